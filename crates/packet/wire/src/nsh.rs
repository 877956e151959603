//! The Network Service Header (RFC 8300).

use crate::bytes::{be16, be32, byte};

/// Bytes of base and service path headers.
pub const BASE_LEN: usize = 8;
/// Bytes of a header with metadata of type 1.
pub const MD1_LEN: usize = 24;
/// More bytes than any header has.
pub const MAX_LEN: usize = 256;
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
pub const fn first_word(flags: u8, ttl: u8, header_len: usize) -> u16 {
    (flags as u16 & 3) << 12 | (ttl as u16 & 0x3f) << 6 | (header_len / 4) as u16 & 0x3f
}
