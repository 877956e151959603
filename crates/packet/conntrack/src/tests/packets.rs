//! Packets to be tracked.

use wire::bytes::{be16, be32};
use wire::{ipv4, protocol, sctp, transport};

use crate::{Datagram, KnownChecksum};

/// 10.1.1.1.
pub(super) const A: u32 = 0x0a01_0101;
/// 10.1.1.2.
pub(super) const B: u32 = 0x0a01_0102;

/// A packet of IPv4, from its header on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Datagram for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn is_v6(&self) -> bool {
        self.0.first().is_some_and(|first| first >> 4 == 6)
    }

    fn link_len(&self) -> usize {
        wire::ethernet::HEADER_LEN
    }

    fn checksum(&self) -> KnownChecksum {
        KnownChecksum::Unknown
    }

    fn splice(&mut self, at: usize, count: usize, with: &[u8]) {
        self.0.splice(at..at + count, with.iter().copied());
    }
}

fn over_ip(src: u32, dst: u32, proto: u8, mut l4: Vec<u8>) -> Bytes {
    let pseudo = if proto == protocol::ICMP {
        wire::Checksum::new()
    } else {
        wire::checksum::pseudo_ipv4(src, dst, proto, l4.len())
    };
    transport::write_checksum(proto, &mut l4, pseudo);
    let mut bytes = ipv4::header(src, dst, proto, 0, 64, 0, l4.len()).to_vec();
    bytes.extend(l4);
    Bytes(bytes)
}

pub(super) fn udp(src: u32, dst: u32, from: u16, to: u16, text: &[u8]) -> Bytes {
    let mut l4 =
        [from.to_be_bytes(), to.to_be_bytes(), (8 + text.len() as u16).to_be_bytes(), [0; 2]].concat();
    l4.extend(text);
    over_ip(src, dst, protocol::UDP, l4)
}

#[allow(clippy::too_many_arguments)] // the fields of a segment
pub(super) fn tcp(
    src: u32,
    dst: u32,
    from: u16,
    to: u16,
    flags: u16,
    sequence: u32,
    ack: u32,
    text: &[u8],
) -> Bytes {
    let mut l4 = [from.to_be_bytes(), to.to_be_bytes()].concat();
    l4.extend(sequence.to_be_bytes());
    l4.extend(ack.to_be_bytes());
    l4.extend((5 << 12 | flags).to_be_bytes());
    l4.extend(1024u16.to_be_bytes());
    l4.extend([0; 4]);
    l4.extend(text);
    over_ip(src, dst, protocol::TCP, l4)
}

/// An SCTP packet with one chunk of data; `text` fills words of four bytes.
pub(super) fn sctp(src: u32, dst: u32, from: u16, to: u16, text: &[u8]) -> Bytes {
    let mut l4 = [from.to_be_bytes(), to.to_be_bytes()].concat();
    // The tag, the checksum, and the chunk's type, flags and length.
    l4.extend([0, 0, 0, 9, 0, 0, 0, 0, 0, 3]);
    l4.extend((4 + text.len() as u16).to_be_bytes());
    l4.extend(text);
    let sum = sctp::checksum_of(&l4);
    l4[sctp::CHECK_OFFSET..][..4].copy_from_slice(&sum.to_le_bytes());
    over_ip(src, dst, protocol::SCTP, l4)
}

/// An echo request, or the reply to it.
pub(super) fn echo(src: u32, dst: u32, id: u16, is_reply: bool, text: &[u8]) -> Bytes {
    let mut l4 = vec![if is_reply { 0 } else { 8 }, 0, 0, 0];
    l4.extend(id.to_be_bytes());
    l4.extend([0, 1]);
    l4.extend(text);
    over_ip(src, dst, protocol::ICMP, l4)
}

/// The destination cannot be reached, as its side says of `packet`.
pub(super) fn icmp_error(packet: &Bytes) -> Bytes {
    let mut l4 = vec![3, 1, 0, 0, 0, 0, 0, 0];
    l4.extend(&packet.0);
    over_ip(be32(&packet.0, 16), be32(&packet.0, 12), protocol::ICMP, l4)
}

/// A datagram of UDP the other way.
pub(super) fn reversed(packet: &Bytes) -> Bytes {
    let bytes = &packet.0;
    udp(be32(bytes, 16), be32(bytes, 12), be16(bytes, 22), be16(bytes, 20), &bytes[28..])
}
