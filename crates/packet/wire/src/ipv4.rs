//! IPv4 (RFC 791).

use crate::bytes::{be16, be32, byte, put, put16, put32};
use crate::checksum;

/// Bytes of a header without options.
pub const MIN_LEN: usize = 20;
/// Bit of the fragment word: routers must not fragment the packet.
pub const DONT_FRAGMENT: u16 = 0x4000;
/// Bit of the fragment word: other fragments follow.
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// Bits of the fragment word: where the fragment belongs, in units of eight bytes.
pub const FRAGMENT_OFFSET: u16 = 0x1fff;

/// The view of an IPv4 header whose stated lengths fit the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a>(&'a [u8]);

impl<'a> Ipv4<'a> {
    /// The view, if the header with its options and the stated total length fit `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Ipv4<'a>> {
        if bytes.len() < MIN_LEN {
            return None;
        }
        let view = Ipv4(bytes);
        let header = view.header_len();
        let total = view.total_len();
        (header >= MIN_LEN && header <= bytes.len() && total <= bytes.len() && total >= header)
            .then_some(view)
    }

    /// The view of a header alone, whose packet may be cut off, as in a sample: lengths are as it states them.
    pub fn parse_header(bytes: &'a [u8]) -> Option<Ipv4<'a>> {
        (bytes.len() >= MIN_LEN).then_some(Ipv4(bytes))
    }

    /// Bytes of the header with its options, at least [`MIN_LEN`].
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(byte(self.0, 0) & 0xf) * 4
    }

    /// Bytes of header and payload.
    #[inline]
    pub fn total_len(&self) -> usize {
        usize::from(be16(self.0, 2))
    }

    /// The number by which fragments of a packet belong together.
    pub fn id(&self) -> u16 {
        be16(self.0, 4)
    }

    /// DSCP in the upper six bits, ECN in the lower two.
    #[inline]
    pub fn tos(&self) -> u8 {
        byte(self.0, 1)
    }

    /// Flags and offset as they stand.
    #[inline]
    pub fn fragment_word(&self) -> u16 {
        be16(self.0, 6)
    }

    /// Whether the packet is a fragment, the first one included.
    pub fn is_fragment(&self) -> bool {
        self.fragment_word() & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    /// A fragment other than the first.
    pub fn is_later_fragment(&self) -> bool {
        self.fragment_word() & FRAGMENT_OFFSET != 0
    }

    /// Time to live, in hops.
    #[inline]
    pub fn ttl(&self) -> u8 {
        byte(self.0, 8)
    }

    /// The protocol of the payload (see [`crate::protocol`]).
    #[inline]
    pub fn protocol(&self) -> u8 {
        byte(self.0, 9)
    }

    /// The checksum of the header.
    pub fn check(&self) -> u16 {
        be16(self.0, 10)
    }

    /// The source address.
    #[inline]
    pub fn src(&self) -> u32 {
        be32(self.0, 12)
    }

    /// The destination address.
    #[inline]
    pub fn dst(&self) -> u32 {
        be32(self.0, 16)
    }

    /// What follows the header, without padding of the frame.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(self.header_len()..self.total_len()).unwrap_or(&[])
    }
}

/// A header without options and with its checksum, for `payload_len` bytes.
pub fn header(
    src: u32,
    dst: u32,
    protocol: u8,
    tos: u8,
    ttl: u8,
    fragment_word: u16,
    payload_len: usize,
) -> [u8; MIN_LEN] {
    let mut out = [0; MIN_LEN];
    out[0] = 0x45;
    out[1] = tos;
    put16(&mut out, 2, u16::try_from(payload_len + MIN_LEN).unwrap_or(u16::MAX));
    put16(&mut out, 6, fragment_word);
    put(&mut out, 8, [ttl, protocol]);
    put32(&mut out, 12, src);
    put32(&mut out, 16, dst);
    let check = checksum::checksum(&out);
    put16(&mut out, 10, check);
    out
}
