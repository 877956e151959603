//! ARP and RARP for IPv4 over Ethernet (RFC 826, RFC 903).

use base::MacAddr;

use crate::bytes::{be16, be32, be48, byte, put, put16, put32};
use crate::ethernet;

/// Bytes of a packet for IPv4 over Ethernet.
pub const LEN: usize = 28;
/// Who has the target address?
pub const OP_REQUEST: u16 = 1;
/// The sender has it.
pub const OP_REPLY: u16 = 2;

/// The view of an ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug)]
pub struct Arp<'a>(&'a [u8]);

impl<'a> Arp<'a> {
    /// `None` also for other hardware or protocol types.
    pub fn parse(bytes: &'a [u8]) -> Option<Arp<'a>> {
        let fits = bytes.len() >= LEN
            && be16(bytes, 0) == 1
            && be16(bytes, 2) == ethernet::TYPE_IPV4
            && byte(bytes, 4) == 6
            && byte(bytes, 5) == 4;
        fits.then_some(Arp(bytes))
    }

    /// The operation.
    pub fn op(&self) -> u16 {
        be16(self.0, 6)
    }

    /// The hardware address of the sender.
    pub fn sender_mac(&self) -> MacAddr {
        MacAddr::from_u64(be48(self.0, 8))
    }

    /// The IPv4 address of the sender.
    pub fn sender_ip(&self) -> u32 {
        be32(self.0, 14)
    }

    /// The hardware address that is wanted; zero in a request.
    pub fn target_mac(&self) -> MacAddr {
        MacAddr::from_u64(be48(self.0, 18))
    }

    /// The IPv4 address whose hardware address is wanted.
    pub fn target_ip(&self) -> u32 {
        be32(self.0, 24)
    }
}

/// An ARP packet without its Ethernet header.
pub fn build(op: u16, sender: (MacAddr, u32), target: (MacAddr, u32)) -> [u8; LEN] {
    let mut out = [0; LEN];
    put16(&mut out, 0, 1);
    put16(&mut out, 2, ethernet::TYPE_IPV4);
    put(&mut out, 4, [6, 4]);
    put16(&mut out, 6, op);
    put(&mut out, 8, sender.0.0);
    put32(&mut out, 14, sender.1);
    put(&mut out, 18, target.0.0);
    put32(&mut out, 24, target.1);
    out
}
