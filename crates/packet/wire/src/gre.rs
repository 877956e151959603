//! GRE (RFC 2784, RFC 2890), and its use as NVGRE (RFC 7637).

use crate::cursor::{Reader, Writer};
use crate::ethernet;
use crate::form::TypedForm;

/// Bytes of a header without optional fields.
pub const MIN_LEN: usize = 4;
/// Bit of the flags: the header has a checksum.
pub const FLAG_CHECKSUM: u16 = 0x8000;
/// Bit of the flags: the header has a key.
pub const FLAG_KEY: u16 = 0x2000;
/// Bit of the flags: the header has a sequence number.
pub const FLAG_SEQUENCE: u16 = 0x1000;

/// A GRE header of version 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// What follows, as an EtherType.
    pub protocol: u16,
    /// The checksum of header and payload.
    pub checksum: Option<u16>,
    /// The number of the flow or network.
    pub key: Option<u32>,
    /// The number of the packet.
    pub sequence: Option<u32>,
}

impl Header {
    /// A header of NVGRE: the number of the virtual subnet (24 bits), and that of the flow.
    pub fn nvgre(subnet: u32, flow: u8) -> Header {
        Header { protocol: ethernet::TYPE_TEB, key: Some(subnet << 8 | u32::from(flow)), ..Header::default() }
    }

    /// The key as NVGRE reads it: the number of the virtual subnet (24 bits), and that of the flow. `None` when the
    /// header is none of NVGRE.
    pub fn virtual_subnet(&self) -> Option<(u32, u8)> {
        let is_nvgre =
            self.protocol == ethernet::TYPE_TEB && self.checksum.is_none() && self.sequence.is_none();
        self.key.filter(|_| is_nvgre).map(|key| (key >> 8, key as u8))
    }

    /// The flags as they stand in the header.
    pub fn flags(&self) -> u16 {
        let bit = |is_set: bool, bit: u16| if is_set { bit } else { 0 };
        bit(self.checksum.is_some(), FLAG_CHECKSUM)
            | bit(self.key.is_some(), FLAG_KEY)
            | bit(self.sequence.is_some(), FLAG_SEQUENCE)
    }
}

impl TypedForm for Header {
    /// `None` also when a bit is set that RFC 2890 wants to be zero, the version among them.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        let (flags, protocol) = (input.u16()?, input.u16()?);
        if flags & !(FLAG_CHECKSUM | FLAG_KEY | FLAG_SEQUENCE) != 0 {
            return None;
        }
        let mut word = |flag: u16| if flags & flag == 0 { Some(None) } else { input.u32().map(Some) };
        Some(Header {
            protocol,
            checksum: word(FLAG_CHECKSUM)?.map(|word| (word >> 16) as u16),
            key: word(FLAG_KEY)?,
            sequence: word(FLAG_SEQUENCE)?,
        })
    }

    fn header_len(&self) -> usize {
        MIN_LEN + 4 * self.flags().count_ones() as usize
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.flags());
        out.u16(self.protocol);
        let words = [self.checksum.map(|check| u32::from(check) << 16), self.key, self.sequence];
        words.into_iter().flatten().for_each(|word| out.u32(word));
    }
}
