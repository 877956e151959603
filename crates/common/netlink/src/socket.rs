//! The socket itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::message::messages;

/// A netlink socket.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// One of the route family; `groups` is a bit set of `RTMGRP_*`.
    pub(crate) fn open(groups: u32, is_nonblocking: bool) -> io::Result<Socket> {
        Socket::of_family(libc::NETLINK_ROUTE, groups, is_nonblocking)
    }

    pub(crate) fn of_family(family: i32, groups: u32, is_nonblocking: bool) -> io::Result<Socket> {
        let flags =
            libc::SOCK_RAW | libc::SOCK_CLOEXEC | if is_nonblocking { libc::SOCK_NONBLOCK } else { 0 };
        // SAFETY: socket(2) takes no pointers; the descriptor is checked and then owned.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, flags, family) };
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

    /// Gives all messages that wait to `visit`, by type and payload; `None` where the kernel could not keep them all. Of a
    /// socket that does not block.
    pub(crate) fn drain(&self, buffer: &mut [u8], mut visit: impl FnMut(Option<(u16, &[u8])>)) {
        loop {
            match self.receive(buffer) {
                Ok(0) => return,
                Ok(len) => {
                    messages(buffer.get(..len).unwrap_or(&[])).for_each(|message| visit(Some(message)))
                }
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => visit(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}
