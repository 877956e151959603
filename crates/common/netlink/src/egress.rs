//! What the kernel does to frames between a socket and the driver of a link.
//!
//! Whoever sends past that must know that there is nothing to be passed by:
//! read once, and again when [`EgressMonitor`] reports a change; programs and
//! chains, whose changes the kernel does not report, are read again and again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::message::u32_at;
use crate::socket::Socket;
use crate::{bpf, link_by_index, nftables, tc};

/// Whether traffic control queues or filters what the link sends.
pub fn is_queued_or_filtered(ifindex: u32) -> io::Result<bool> {
    let Some(link) = link_by_index(ifindex)? else { return Err(io::Error::from_raw_os_error(libc::ENODEV)) };
    Ok(link.discipline != "noqueue" || tc::has_filters(ifindex, tc::EGRESS)?)
}

/// Whether BPF programs outside of traffic control see what the link sends.
pub fn has_egress_programs(ifindex: u32) -> io::Result<bool> {
    bpf::has_programs(ifindex, bpf::Hook::Egress)
}

/// Whether nftables sees what any link sends.
pub fn has_egress_chains() -> io::Result<bool> {
    nftables::has_egress_chains()
}

/// A listener for changes of links, of their disciplines and filters, and for captures that begin.
#[derive(Debug)]
pub struct EgressMonitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl EgressMonitor {
    /// Starts to listen in this thread's network namespace.
    pub fn open() -> io::Result<EgressMonitor> {
        let socket = Socket::for_listening((libc::RTMGRP_LINK | libc::RTMGRP_TC) as u32)?;
        Ok(EgressMonitor { socket, buffer: vec![0; 64 * 1024] })
    }

    /// Tells which links changed since the last call, or `None`: perhaps all of them; never blocks.
    pub fn changes(&mut self, mut visit: impl FnMut(Option<u32>)) {
        self.socket.drain(&mut self.buffer, |message| {
            // Both kinds of message name the link at the same place.
            let ifindex = message.map(|message| u32_at(message.payload, 4));
            visit(ifindex.filter(|&ifindex| ifindex != SHARED_BLOCK));
        });
    }
}

/// Stands for the link where filters belong to a block that links share.
const SHARED_BLOCK: u32 = u32::MAX;

impl AsFd for EgressMonitor {
    /// Readable when there are changes.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_not_there_is_an_error() {
        assert_eq!(is_queued_or_filtered(0x7fff_fff0).unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(has_egress_programs(0x7fff_fff0).is_err());
    }
}
