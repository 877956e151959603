//! What the protocols over IP have in common: ports first, and a checksum somewhere.

use crate::bytes::{be16, put16};
use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;
use crate::{Checksum, icmp, protocol, tcp, udp};

/// The four bytes with which TCP, UDP and SCTP begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ports {
    /// The source port.
    pub src: u16,
    /// The destination port.
    pub dst: u16,
}

impl Ports {
    /// Both as one number, the source in its upper half.
    pub const fn word(self) -> u32 {
        (self.src as u32) << 16 | self.dst as u32
    }
}

impl TypedForm for Ports {
    #[inline]
    fn parse(bytes: &[u8]) -> Option<Ports> {
        let mut input = Reader::new(bytes);
        Some(Ports { src: input.u16()?, dst: input.u16()? })
    }

    #[inline]
    fn header_len(&self) -> usize {
        4
    }

    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.src);
        out.u16(self.dst);
    }
}

/// Where the Internet checksum of a header stands, if `len` bytes hold the whole of it.
fn check_offset(protocol: u8, len: usize) -> Option<usize> {
    let (at, least) = match protocol {
        protocol::TCP => (tcp::CHECK_OFFSET, tcp::MIN_LEN),
        protocol::UDP => (udp::CHECK_OFFSET, udp::LEN),
        protocol::ICMP | protocol::IGMP | protocol::ICMPV6 => (icmp::CHECK_OFFSET, icmp::CHECK_OFFSET + 2),
        _ => return None,
    };
    (len >= least).then_some(at)
}

/// The checksum in the header at the start of `bytes`; `None` when it is cut off, and for protocols that have no
/// Internet checksum.
#[inline]
pub fn check(protocol: u8, bytes: &[u8]) -> Option<u16> {
    check_offset(protocol, bytes.len()).map(|at| be16(bytes, at))
}

/// Sets what [`check`] reads, where there is one.
#[inline]
pub fn set_check(protocol: u8, bytes: &mut [u8], check: u16) {
    if let Some(at) = check_offset(protocol, bytes.len()) {
        put16(bytes, at, check);
    }
}

/// Computes the checksum over `bytes`, which are header and payload, and over `pseudo`, and sets it.
pub fn write_checksum(protocol: u8, bytes: &mut [u8], pseudo: Checksum) {
    set_check(protocol, bytes, 0);
    let sum = pseudo.bytes(bytes).finish();
    set_check(protocol, bytes, usable(protocol, sum));
}

/// `check` as it may stand in a header: UDP's zero says that there is none.
#[inline]
pub const fn usable(protocol: u8, check: u16) -> u16 {
    if protocol == protocol::UDP && check == 0 { 0xffff } else { check }
}
