//! Linux bridges: making them, and putting links into them, as bridge-utils
//! asks the kernel for it. The kernel's reasons to refuse are its errors.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;

use crate::ask::with_any_socket;
use crate::socket::Socket;

const ADD_BRIDGE: libc::c_ulong = 0x89a0;
const DELETE_BRIDGE: libc::c_ulong = 0x89a1;
const ADD_INTERFACE: libc::c_ulong = 0x89a2;
const DELETE_INTERFACE: libc::c_ulong = 0x89a3;

/// A name as the kernel wants it: what is too long is cut, as bridge-utils does.
fn short(name: &str) -> io::Result<CString> {
    let bytes: Vec<u8> = name.bytes().take(libc::IFNAMSIZ - 1).collect();
    CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn named(request: libc::c_ulong, name: &str) -> io::Result<()> {
    let mut buffer = [0u8; libc::IFNAMSIZ];
    let name = short(name)?;
    buffer[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
    // SAFETY: the kernel reads IFNAMSIZ bytes at the pointer, which `buffer` has; it lives until the call returns.
    asked(|socket: &Socket| unsafe {
        libc::ioctl(socket.fd().as_raw_fd(), request as _, buffer.as_mut_ptr())
    })
}

fn member(request: libc::c_ulong, bridge: &str, index: u32) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut body: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in body.ifr_name.iter_mut().zip(short(bridge)?.as_bytes()) {
        *to = *from as libc::c_char;
    }
    body.ifr_ifru.ifru_ifindex = index as libc::c_int;
    // SAFETY: the kernel reads one ifreq at the pointer; it lives until the call returns.
    asked(|socket: &Socket| unsafe { libc::ioctl(socket.fd().as_raw_fd(), request as _, &raw mut body) })
}

/// Every kind of socket takes these requests. What `ask` returns is ioctl(2)'s result.
fn asked(ask: impl FnOnce(&Socket) -> i32) -> io::Result<()> {
    with_any_socket(|socket| if ask(socket) < 0 { Err(io::Error::last_os_error()) } else { Ok(()) })?
}

/// Makes a Linux bridge.
pub fn add_bridge(name: &str) -> io::Result<()> {
    named(ADD_BRIDGE, name)
}

/// Removes a Linux bridge. `EBUSY`: it is up. `EPERM`: it is no bridge.
pub fn delete_bridge(name: &str) -> io::Result<()> {
    named(DELETE_BRIDGE, name)
}

/// Puts the link of this index into a Linux bridge. `EBUSY`: it is in one. `ELOOP`: it is a bridge.
pub fn add_to_bridge(bridge: &str, index: u32) -> io::Result<()> {
    member(ADD_INTERFACE, bridge, index)
}

/// Takes the link of this index out of a Linux bridge. `EINVAL`: it is not in it.
pub fn remove_from_bridge(bridge: &str, index: u32) -> io::Result<()> {
    member(DELETE_INTERFACE, bridge, index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused() {
        for refused in [delete_bridge("no-such-bridge"), add_to_bridge("no-such-bridge", 1)] {
            // An unprivileged user hears of that first.
            let errno = refused.unwrap_err().raw_os_error();
            assert!([Some(libc::ENXIO), Some(libc::ENODEV), Some(libc::EPERM)].contains(&errno), "{errno:?}");
        }
        assert_eq!(add_bridge("a\0b").unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
