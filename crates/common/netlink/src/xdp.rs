//! Giving what a link receives to AF_XDP sockets, before the host's network stack makes packets of it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::bpf;

/// Receive queues of a link that can have sockets.
const QUEUES: u32 = 64;

const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Where a program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XdpHook {
    /// In the link's driver.
    Driver,
    /// In the network stack, for drivers that run no programs.
    Stack,
}

/// A program at a link that gives frames to sockets; dropping this takes it away. It goes with its process, too.
#[derive(Debug)]
pub struct XdpRedirect {
    sockets: OwnedFd,
    _link: OwnedFd,
}

impl XdpRedirect {
    /// Attaches the program. Errors are the kernel's: EBUSY where the link has a program already.
    pub fn attach(ifindex: u32, hook: XdpHook) -> io::Result<XdpRedirect> {
        let sockets = bpf::make_socket_map(QUEUES)?;
        let program = bpf::load_redirector(&sockets)?;
        let flags = match hook {
            XdpHook::Driver => XDP_FLAGS_DRV_MODE,
            XdpHook::Stack => XDP_FLAGS_SKB_MODE,
        };
        Ok(XdpRedirect { sockets, _link: bpf::attach_xdp(&program, ifindex, flags)? })
    }

    /// Gives what arrives at a queue to this socket, bound to it, from here on. What arrives at queues without one passes
    /// on to the stack.
    pub fn give_to(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        bpf::put_socket(&self.sockets, queue, socket)
    }
}
