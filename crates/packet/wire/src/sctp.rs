//! SCTP's common header (RFC 9260).

use crate::bytes::{be16, be32, put};
use crate::checksum;

/// Bytes of the common header.
pub const LEN: usize = 12;
/// Where the checksum stands.
pub const CHECK_OFFSET: usize = 8;

/// The view of an SCTP common header.
#[derive(Clone, Copy, Debug)]
pub struct Sctp<'a>(&'a [u8]);

impl<'a> Sctp<'a> {
    /// The view, if there are enough bytes for the header.
    pub fn parse(bytes: &'a [u8]) -> Option<Sctp<'a>> {
        (bytes.len() >= LEN).then_some(Sctp(bytes))
    }

    /// The source port.
    pub fn src(&self) -> u16 {
        be16(self.0, 0)
    }

    /// The destination port.
    pub fn dst(&self) -> u16 {
        be16(self.0, 2)
    }

    /// The number by which the receiver knows the association.
    pub fn verification_tag(&self) -> u32 {
        be32(self.0, 4)
    }
}

/// Computes the checksum of an SCTP packet and writes it.
pub fn write_checksum(packet: &mut [u8]) {
    put(packet, CHECK_OFFSET, [0; 4]);
    let crc = checksum::crc32c(packet);
    put(packet, CHECK_OFFSET, crc.to_le_bytes());
}
