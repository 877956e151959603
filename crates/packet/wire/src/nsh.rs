//! The Network Service Header (RFC 8300).

use crate::bytes::{be16, be32, byte, put16, put32};
use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// Bytes of base and service path headers.
pub const BASE_LEN: usize = 8;
/// Bytes of a header with metadata of type 1.
pub const MD1_LEN: usize = 24;
/// More bytes than any header has.
pub const MAX_LEN: usize = 256;
/// Bytes of the longest metadata: the length has six bits, and counts words of four.
pub const MAX_METADATA_LEN: usize = 63 * 4 - BASE_LEN;
/// Metadata of four context words.
pub const MD_TYPE_1: u8 = 1;
/// Metadata of variable length.
pub const MD_TYPE_2: u8 = 2;

/// An IPv4 packet follows.
pub const NEXT_IPV4: u8 = 1;
/// An IPv6 packet follows.
pub const NEXT_IPV6: u8 = 2;
/// An Ethernet frame follows.
pub const NEXT_ETHERNET: u8 = 3;
/// Another network service header follows.
pub const NEXT_NSH: u8 = 4;
/// An MPLS packet follows.
pub const NEXT_MPLS: u8 = 5;

/// The view of an NSH header whose stated length fits the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Nsh<'a>(&'a [u8]);

impl<'a> Nsh<'a> {
    /// `None` for other versions and for lengths that metadata types 1 and 2 forbid.
    pub fn parse(bytes: &'a [u8]) -> Option<Nsh<'a>> {
        if bytes.len() < BASE_LEN {
            return None;
        }
        let view = Nsh(bytes);
        let len = view.header_len();
        if view.version() != 0 || len > bytes.len() {
            return None;
        }
        match view.md_type() {
            MD_TYPE_1 if len != MD1_LEN => None,
            MD_TYPE_2 if len < BASE_LEN => None,
            _ => Some(view),
        }
    }

    /// The version, which is 0.
    pub fn version(&self) -> u8 {
        byte(self.0, 0) >> 6
    }

    /// The two bits behind the version; the lower one marks packets of operations and maintenance.
    pub fn flags(&self) -> u8 {
        (be16(self.0, 0) >> 12 & 3) as u8
    }

    /// Hops that the packet may still take, 6 bits.
    pub fn ttl(&self) -> u8 {
        (be16(self.0, 0) >> 6 & 0x3f) as u8
    }

    /// Bytes of the header with its metadata.
    pub fn header_len(&self) -> usize {
        usize::from(be16(self.0, 0) & 0x3f) * 4
    }

    /// The type of the metadata.
    pub fn md_type(&self) -> u8 {
        byte(self.0, 2)
    }

    /// What the payload is.
    pub fn next(&self) -> u8 {
        byte(self.0, 3)
    }

    /// The service path, 24 bits.
    pub fn service_path(&self) -> u32 {
        be32(self.0, 4) >> 8
    }

    /// Where on its path the packet is.
    pub fn service_index(&self) -> u8 {
        byte(self.0, 7)
    }

    /// Context word `index` (0 to 3) of metadata type 1, else 0.
    pub fn context(&self, index: usize) -> u32 {
        if self.md_type() == MD_TYPE_1 && index < 4 { be32(self.0, BASE_LEN + index * 4) } else { 0 }
    }

    /// The metadata behind the base header.
    pub fn metadata(&self) -> &'a [u8] {
        self.0.get(BASE_LEN..self.header_len()).unwrap_or(&[])
    }

    /// What follows header and metadata.
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(self.header_len()..).unwrap_or(&[])
    }
}

/// The first two bytes: version 0, flags, TTL and length.
const fn first_word(flags: u8, ttl: u8, header_len: usize) -> u16 {
    (flags as u16 & 3) << 12 | (ttl as u16 & 0x3f) << 6 | (header_len / 4) as u16 & 0x3f
}

/// An NSH header whose fields can be set in place.
#[derive(Debug)]
pub struct NshMut<'a>(&'a mut [u8]);

impl<'a> NshMut<'a> {
    /// As [`Nsh::parse`].
    pub fn parse(bytes: &'a mut [u8]) -> Option<NshMut<'a>> {
        Nsh::parse(bytes)?;
        Some(NshMut(bytes))
    }

    /// The same for reading.
    pub fn view(&self) -> Nsh<'_> {
        Nsh(self.0)
    }

    /// Sets the two bits behind the version.
    pub fn set_flags(&mut self, flags: u8) {
        let word = be16(self.0, 0) & !(3 << 12) | (u16::from(flags) & 3) << 12;
        put16(self.0, 0, word);
    }

    /// Sets the hops that the packet may still take; bits beyond its 6 are dropped.
    pub fn set_ttl(&mut self, ttl: u8) {
        let word = be16(self.0, 0) & !(0x3f << 6) | (u16::from(ttl) & 0x3f) << 6;
        put16(self.0, 0, word);
    }

    /// Sets the service path; bits beyond its 24 are dropped.
    pub fn set_service_path(&mut self, path: u32) {
        let word = be32(self.0, 4) & 0xff | path << 8;
        put32(self.0, 4, word);
    }

    /// Sets where on its path the packet is.
    pub fn set_service_index(&mut self, index: u8) {
        crate::bytes::put8(self.0, 7, index);
    }

    /// Sets context word `index` (0 to 3), which only metadata type 1 has.
    pub fn set_context(&mut self, index: usize, value: u32) {
        if self.view().md_type() == MD_TYPE_1 && index < 4 {
            put32(self.0, BASE_LEN + index * 4, value);
        }
    }
}

/// What a header carries beside its path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Metadata {
    /// Type 1: four context words.
    Context([u32; 4]),
    /// Type 2: any number of words of four bytes, of which the whole metadata has at most [`MAX_METADATA_LEN`].
    Variable(Vec<u8>),
    /// A type that has no meaning yet, and its bytes, as many as of type 2.
    Other(u8, Vec<u8>),
}

impl Metadata {
    fn md_type(&self) -> u8 {
        match self {
            Metadata::Context(_) => MD_TYPE_1,
            Metadata::Variable(_) => MD_TYPE_2,
            Metadata::Other(md_type, _) => *md_type,
        }
    }

    fn len(&self) -> usize {
        match self {
            Metadata::Context(_) => MD1_LEN - BASE_LEN,
            Metadata::Variable(bytes) | Metadata::Other(_, bytes) => {
                bytes.len().next_multiple_of(4).min(MAX_METADATA_LEN)
            }
        }
    }
}

/// An NSH header of version 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The two bits behind the version; the lower one marks packets of operations and maintenance.
    pub flags: u8,
    /// Hops that the packet may still take, 6 bits.
    pub ttl: u8,
    /// What the payload is.
    pub next: u8,
    /// The service path, 24 bits.
    pub service_path: u32,
    /// Where on its path the packet is.
    pub service_index: u8,
    /// What it carries beside its path.
    pub metadata: Metadata,
}

impl TypedForm for Header {
    /// `None` also for what [`Nsh::parse`] refuses, and for a header that states to be shorter than its base.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let view = Nsh::parse(bytes).filter(|view| view.header_len() >= BASE_LEN)?;
        let metadata = match view.md_type() {
            MD_TYPE_1 => {
                let mut words = Reader::new(view.metadata());
                Metadata::Context([words.u32()?, words.u32()?, words.u32()?, words.u32()?])
            }
            MD_TYPE_2 => Metadata::Variable(view.metadata().to_vec()),
            other => Metadata::Other(other, view.metadata().to_vec()),
        };
        Some(Header {
            flags: view.flags(),
            ttl: view.ttl(),
            next: view.next(),
            service_path: view.service_path(),
            service_index: view.service_index(),
            metadata,
        })
    }

    fn header_len(&self) -> usize {
        BASE_LEN + self.metadata.len()
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(first_word(self.flags, self.ttl, self.header_len()));
        out.u8(self.metadata.md_type());
        out.u8(self.next);
        out.u32(self.service_path << 8 | u32::from(self.service_index));
        match &self.metadata {
            Metadata::Context(words) => words.iter().for_each(|word| out.u32(*word)),
            Metadata::Variable(bytes) | Metadata::Other(_, bytes) => out.padded(bytes, self.metadata.len()),
        }
    }
}
