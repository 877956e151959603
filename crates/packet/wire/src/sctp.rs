//! SCTP's common header (RFC 9260).

use crate::bytes::{be16, be32, put};
use crate::checksum;
use crate::cursor::{Reader, Writer};
use crate::form::{TypedForm, setters};

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

    /// The checksum (CRC-32C), which stands in the header with its low byte first.
    pub fn check(&self) -> u32 {
        be32(self.0, CHECK_OFFSET).swap_bytes()
    }
}

/// An SCTP common header whose fields can be set in place.
#[derive(Debug)]
pub struct SctpMut<'a>(&'a mut [u8; LEN]);

impl<'a> SctpMut<'a> {
    /// The header, if there are enough bytes for it.
    pub fn parse(bytes: &'a mut [u8]) -> Option<SctpMut<'a>> {
        bytes.first_chunk_mut().map(SctpMut)
    }

    /// The same for reading.
    pub fn view(&self) -> Sctp<'_> {
        Sctp(self.0)
    }

    /// Sets the checksum.
    pub fn set_check(&mut self, check: u32) {
        put(self.0, CHECK_OFFSET, check.to_le_bytes());
    }

    setters! {
        /// Sets the source port.
        set_src: put16(u16) = 0;
        /// Sets the destination port.
        set_dst: put16(u16) = 2;
    }
}

/// An SCTP common header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The source port.
    pub src: u16,
    /// The destination port.
    pub dst: u16,
    /// The number by which the receiver knows the association.
    pub verification_tag: u32,
    /// The checksum (CRC-32C) of the whole packet.
    pub check: u32,
}

impl TypedForm for Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        Some(Header {
            src: input.u16()?,
            dst: input.u16()?,
            verification_tag: input.u32()?,
            check: input.u32()?.swap_bytes(),
        })
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.src);
        out.u16(self.dst);
        out.u32(self.verification_tag);
        out.u32(self.check.swap_bytes());
    }
}

/// The checksum that an SCTP packet should have.
pub fn checksum_of(packet: &[u8]) -> u32 {
    let Some((header, body)) = packet.split_first_chunk::<LEN>() else { return checksum::crc32c(packet) };
    let mut header = *header;
    put(&mut header, CHECK_OFFSET, [0; 4]);
    checksum::Crc32c::new().bytes(&header).bytes(body).finish()
}

/// Computes the checksum of an SCTP packet and writes it.
pub fn write_checksum(packet: &mut [u8]) {
    let check = checksum_of(packet);
    put(packet, CHECK_OFFSET, check.to_le_bytes());
}
