//! IPv6's extension headers (RFC 8200 §4), and segment routing's (RFC 8754).
//!
//! What stands behind them all is [`crate::ipv6::upper`].

use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// Bytes of a fragment header.
pub const FRAGMENT_LEN: usize = 8;
/// Bytes of the longest header whose length counts eights.
const MAX_LEN: usize = 256 * 8;

/// The byte that tells the length of a header of `len` bytes, in eights without the first.
fn eights(len: usize) -> u8 {
    (len / 8).saturating_sub(1) as u8
}

/// A hop-by-hop, destination options or routing header, as bytes behind the first two.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extension {
    /// What follows (see [`crate::protocol`]).
    pub next_header: u8,
    /// What is behind the length; emitted so that the header takes eights of bytes, at most 2048.
    pub body: Vec<u8>,
}

impl TypedForm for Extension {
    fn parse(bytes: &[u8]) -> Option<Extension> {
        let mut input = Reader::new(bytes);
        let (next_header, len) = (input.u8()?, input.u8()?);
        let body = input.take(usize::from(len) * 8 + 6)?.to_vec();
        Some(Extension { next_header, body })
    }

    fn header_len(&self) -> usize {
        (self.body.len() + 2).next_multiple_of(8).min(MAX_LEN)
    }

    fn write(&self, out: &mut Writer<'_>) {
        let len = self.header_len();
        out.u8(self.next_header);
        out.u8(eights(len));
        out.padded(&self.body, len - 2);
    }
}

/// A fragment header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fragment {
    /// What follows in the first fragment (see [`crate::protocol`]).
    pub next_header: u8,
    /// Where the fragment belongs, in units of eight bytes; 13 bits.
    pub offset: u16,
    /// Whether other fragments follow.
    pub has_more: bool,
    /// The number by which fragments of a packet belong together.
    pub id: u32,
}

impl TypedForm for Fragment {
    fn parse(bytes: &[u8]) -> Option<Fragment> {
        let mut input = Reader::new(bytes);
        let (next_header, _reserved, word) = (input.u8()?, input.u8()?, input.u16()?);
        Some(Fragment { next_header, offset: word >> 3, has_more: word & 1 != 0, id: input.u32()? })
    }

    fn header_len(&self) -> usize {
        FRAGMENT_LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(self.next_header);
        out.u8(0);
        out.u16(self.offset << 3 | u16::from(self.has_more));
        out.u32(self.id);
    }
}

/// An authentication header (RFC 4302).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Authentication {
    /// What follows (see [`crate::protocol`]).
    pub next_header: u8,
    /// The number of the security association.
    pub spi: u32,
    /// The number of the packet.
    pub sequence: u32,
    /// The integrity check value; emitted in words of four bytes, at most 1016 bytes.
    pub check: Vec<u8>,
}

impl TypedForm for Authentication {
    /// `None` also when it states to be shorter than its fixed part.
    fn parse(bytes: &[u8]) -> Option<Authentication> {
        let mut input = Reader::new(bytes);
        let (next_header, words, _reserved) = (input.u8()?, input.u8()?, input.u16()?);
        let (spi, sequence) = (input.u32()?, input.u32()?);
        let check = input.take(usize::from(words).checked_sub(1)? * 4)?.to_vec();
        Some(Authentication { next_header, spi, sequence, check })
    }

    fn header_len(&self) -> usize {
        12 + self.check.len().next_multiple_of(4).min(254 * 4)
    }

    fn write(&self, out: &mut Writer<'_>) {
        let check_len = self.header_len() - 12;
        out.u8(self.next_header);
        out.u8((check_len / 4 + 1) as u8);
        out.u16(0);
        out.u32(self.spi);
        out.u32(self.sequence);
        out.padded(&self.check, check_len);
    }
}

/// The routing type of segment routing.
pub const SEGMENT_ROUTING: u8 = 4;

/// Bytes of a segment routing header before its segments.
pub const SEGMENTS_OFFSET: usize = 8;

/// A segment routing header.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SegmentRouting {
    /// What follows (see [`crate::protocol`]).
    pub next_header: u8,
    /// How many segments are still to be visited.
    pub segments_left: u8,
    /// Flags, of which none is defined.
    pub flags: u8,
    /// Marks packets of one class.
    pub tag: u16,
    /// The segments, the last to be visited first; at least one and at most 127 can be emitted.
    pub segments: Vec<u128>,
    /// What follows the segments; emitted in eights of bytes, as far as the header has room.
    pub tlvs: Vec<u8>,
}

impl SegmentRouting {
    fn count(&self) -> usize {
        self.segments.len().min(127)
    }

    fn tlvs_len(&self) -> usize {
        self.tlvs.len().next_multiple_of(8).min(255 * 8 - self.count() * 16)
    }
}

impl TypedForm for SegmentRouting {
    /// `None` also for other types of routing, and when the segments do not fit the stated length.
    fn parse(bytes: &[u8]) -> Option<SegmentRouting> {
        let mut input = Reader::new(bytes);
        let (next_header, len, kind) = (input.u8()?, usize::from(input.u8()?) * 8, input.u8()?);
        if kind != SEGMENT_ROUTING {
            return None;
        }
        let (segments_left, last, flags, tag) = (input.u8()?, input.u8()?, input.u8()?, input.u16()?);
        let mut body = Reader::new(input.take(len)?);
        let segments = (0..=last).map(|_| body.u128()).collect::<Option<Vec<u128>>>()?;
        Some(SegmentRouting { next_header, segments_left, flags, tag, segments, tlvs: body.rest().to_vec() })
    }

    fn header_len(&self) -> usize {
        SEGMENTS_OFFSET + self.count() * 16 + self.tlvs_len()
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(self.next_header);
        out.u8(eights(self.header_len()));
        out.u8(SEGMENT_ROUTING);
        out.u8(self.segments_left);
        out.u8(self.count().saturating_sub(1) as u8);
        out.u8(self.flags);
        out.u16(self.tag);
        self.segments.iter().take(self.count()).for_each(|segment| out.u128(*segment));
        out.padded(&self.tlvs, self.tlvs_len());
    }
}
