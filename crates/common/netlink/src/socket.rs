//! The socket itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::message::{Message, messages};

/// How long the kernel may take for one datagram of its answers. It makes them at once; this bounds the wait for one that
/// was lost.
const PATIENCE: libc::timeval = libc::timeval { tv_sec: 5, tv_usec: 0 };

/// A netlink socket.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// One to send requests on, of this family (`NETLINK_*`). Who waits on it for an answer too long gets an error.
    pub(crate) fn for_asking(family: i32) -> io::Result<Socket> {
        let socket = Socket::open(family, 0, 0)?;
        socket.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, PATIENCE)?;
        Ok(socket)
    }

    /// One that hears what changes, and does not block; `groups` is a bit set of `RTMGRP_*`.
    pub(crate) fn for_listening(groups: u32) -> io::Result<Socket> {
        Socket::open(libc::NETLINK_ROUTE, libc::SOCK_NONBLOCK, groups)
    }

    fn open(family: i32, flags: i32, groups: u32) -> io::Result<Socket> {
        // SAFETY: socket(2) takes no pointers; the descriptor is checked and then owned.
        let fd =
            unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC | flags, family) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a fresh descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all-zero bytes are a valid sockaddr_nl.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = groups;
        // SAFETY: the pointer and length describe `address`, which lives until the call returns.
        let rc = unsafe {
            libc::bind(
                fd.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                std::mem::size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(Socket { fd }) }
    }

    /// From here on the kernel filters a dump by all that the request says.
    /// Kernels before 4.20 ignore some of it, and the answer has more.
    pub(crate) fn be_strict(&self) {
        let _ = self.set(libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK, 1i32);
    }

    fn set<T: Copy>(&self, level: i32, name: i32, value: T) -> io::Result<()> {
        // SAFETY: pointer and length describe `value`, which lives until the call returns; the kernel only reads it, and
        // neither option has addresses in it.
        let rc = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                name,
                std::ptr::from_ref(&value).cast(),
                std::mem::size_of::<T>() as libc::socklen_t,
            )
        };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: pointer and length describe `bytes`.
        let rc = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// One datagram; its length.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: pointer and length describe `buffer`, which the kernel fills at most to that length.
        let rc = unsafe { libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc as usize) }
    }

    /// Gives all messages that wait to `visit`; `None` where the kernel could not keep them all. Of a socket that does not
    /// block.
    pub(crate) fn drain(&self, buffer: &mut [u8], mut visit: impl FnMut(Option<Message<'_>>)) {
        loop {
            match self.receive(buffer) {
                Ok(0) => return,
                Ok(len) => {
                    messages(buffer.get(..len).unwrap_or(&[])).for_each(|message| visit(Some(message)));
                }
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => visit(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}
