//! UDP (RFC 768).

use crate::bytes::{be16, put16};

/// Bytes of the header.
pub const LEN: usize = 8;
/// Where the checksum stands.
pub const CHECK_OFFSET: usize = 6;

/// The view of a UDP header.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a>(&'a [u8]);

impl<'a> Udp<'a> {
    /// The view, if there are enough bytes for the header.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Udp<'a>> {
        (bytes.len() >= LEN).then_some(Udp(bytes))
    }

    /// The source port.
    #[inline]
    pub fn src(&self) -> u16 {
        be16(self.0, 0)
    }

    /// The destination port.
    #[inline]
    pub fn dst(&self) -> u16 {
        be16(self.0, 2)
    }

    /// Header and payload, as the header states it.
    pub fn len(&self) -> usize {
        usize::from(be16(self.0, 4))
    }

    /// Whether the header states no payload.
    pub fn is_empty(&self) -> bool {
        self.len() <= LEN
    }

    /// Zero when the sender did not compute one.
    pub fn check(&self) -> u16 {
        be16(self.0, CHECK_OFFSET)
    }

    /// What follows the header, padding of the frame included.
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(LEN..).unwrap_or(&[])
    }
}

/// A header without checksum, for `payload_len` bytes.
pub fn header(src: u16, dst: u16, payload_len: usize) -> [u8; LEN] {
    let mut out = [0; LEN];
    put16(&mut out, 0, src);
    put16(&mut out, 2, dst);
    put16(&mut out, 4, u16::try_from(payload_len + LEN).unwrap_or(u16::MAX));
    out
}
