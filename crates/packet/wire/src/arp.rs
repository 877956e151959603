//! ARP and RARP for IPv4 over Ethernet (RFC 826, RFC 903).

use base::MacAddr;

use crate::bytes::{be16, be32, be48, byte};
use crate::cursor::{Reader, Writer};
use crate::ethernet;
use crate::form::{TypedForm, array, setters};

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

/// An ARP packet of any types, whose fields can be set in place as if it were for IPv4 over Ethernet.
#[derive(Debug)]
pub struct ArpMut<'a>(&'a mut [u8; LEN]);

impl<'a> ArpMut<'a> {
    /// The packet, if there are enough bytes for one.
    pub fn parse(bytes: &'a mut [u8]) -> Option<ArpMut<'a>> {
        bytes.first_chunk_mut().map(ArpMut)
    }

    /// The same for reading.
    pub fn view(&self) -> Arp<'_> {
        Arp(self.0)
    }

    setters! {
        /// Sets the operation.
        set_op: put16(u16) = 6;
        /// Sets the hardware address of the sender.
        set_sender_mac: put_mac(MacAddr) = 8;
        /// Sets the IPv4 address of the sender.
        set_sender_ip: put32(u32) = 14;
        /// Sets the hardware address that is wanted.
        set_target_mac: put_mac(MacAddr) = 18;
        /// Sets the IPv4 address whose hardware address is wanted.
        set_target_ip: put32(u32) = 24;
    }
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packet {
    /// The operation.
    pub op: u16,
    /// The hardware address of the sender.
    pub sender_mac: MacAddr,
    /// The IPv4 address of the sender.
    pub sender_ip: u32,
    /// The hardware address that is wanted; zero in a request.
    pub target_mac: MacAddr,
    /// The IPv4 address whose hardware address is wanted.
    pub target_ip: u32,
}

/// Ethernet, IPv4, and the lengths of their addresses.
const TYPES: [u8; 6] = [0, 1, 8, 0, 6, 4];

impl TypedForm for Packet {
    /// `None` also for other hardware or protocol types.
    fn parse(bytes: &[u8]) -> Option<Packet> {
        let mut input = Reader::new(bytes);
        if input.take(TYPES.len())? != TYPES {
            return None;
        }
        Some(Packet {
            op: input.u16()?,
            sender_mac: input.mac()?,
            sender_ip: input.u32()?,
            target_mac: input.mac()?,
            target_ip: input.u32()?,
        })
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.bytes(&TYPES);
        out.u16(self.op);
        out.mac(self.sender_mac);
        out.u32(self.sender_ip);
        out.mac(self.target_mac);
        out.u32(self.target_ip);
    }
}

/// An ARP packet without its Ethernet header.
pub fn build(op: u16, sender: (MacAddr, u32), target: (MacAddr, u32)) -> [u8; LEN] {
    array(&Packet {
        op,
        sender_mac: sender.0,
        sender_ip: sender.1,
        target_mac: target.0,
        target_ip: target.1,
    })
}
