//! Asking the driver of a link, as ethtool(8) does.

use std::os::fd::AsRawFd;

use crate::ask::with_any_socket;
use crate::socket::Socket;

/// What a driver is asked for: a structure that begins with a command, and that the kernel fills in.
///
/// # Safety
///
/// The type is `repr(C)`, any bytes are a valid value of it, and it is as large as what the command
/// that stands in it makes the kernel write.
pub(crate) unsafe trait Request {}

/// Asks the driver of the link of this name, in this thread's network namespace; false when there is no such link, or
/// its driver does not answer.
pub(crate) fn ask<T: Request>(name: &str, asked: &mut T) -> bool {
    if name.len() >= libc::IFNAMSIZ {
        return false;
    }
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(asked).cast();
    // SAFETY: the kernel reads the request and writes to `ifru_data` at most what its command asks for, for which
    // `Request` promises that there is room; both live until the call returns.
    let ask = |socket: &Socket| unsafe {
        libc::ioctl(socket.fd().as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request)
    };
    with_any_socket(ask).is_ok_and(|rc| rc == 0)
}
