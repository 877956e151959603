//! UDP (RFC 768).

use crate::bytes::be16;
use crate::cursor::{Reader, Writer};
use crate::form::{TypedForm, array, setters};

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

/// A UDP header whose fields can be set in place; the checksum is the caller's.
#[derive(Debug)]
pub struct UdpMut<'a>(&'a mut [u8; LEN]);

impl<'a> UdpMut<'a> {
    /// The header, if there are enough bytes for it.
    #[inline]
    pub fn parse(bytes: &'a mut [u8]) -> Option<UdpMut<'a>> {
        bytes.first_chunk_mut().map(UdpMut)
    }

    /// The same for reading; its payload is not seen.
    #[inline]
    pub fn view(&self) -> Udp<'_> {
        Udp(self.0)
    }

    setters! {
        /// Sets the source port.
        set_src: put16(u16) = 0;
        /// Sets the destination port.
        set_dst: put16(u16) = 2;
        /// Sets the bytes of header and payload.
        set_len: put16(u16) = 4;
        /// Sets the checksum; zero says that there is none.
        set_check: put16(u16) = CHECK_OFFSET;
    }
}

/// A UDP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The source port.
    pub src: u16,
    /// The destination port.
    pub dst: u16,
    /// Bytes of header and payload.
    pub len: u16,
    /// The checksum; zero says that there is none.
    pub check: u16,
}

impl TypedForm for Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        Some(Header { src: input.u16()?, dst: input.u16()?, len: input.u16()?, check: input.u16()? })
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.src);
        out.u16(self.dst);
        out.u16(self.len);
        out.u16(self.check);
    }
}

/// A header without checksum, for `payload_len` bytes.
pub fn header(src: u16, dst: u16, payload_len: usize) -> [u8; LEN] {
    let len = u16::try_from(payload_len + LEN).unwrap_or(u16::MAX);
    array(&Header { src, dst, len, check: 0 })
}
