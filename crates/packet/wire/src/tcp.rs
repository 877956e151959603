//! TCP (RFC 9293).

use crate::bytes::{be16, be32, byte};

pub const MIN_LEN: usize = 20;
pub const CHECK_OFFSET: usize = 16;

pub const FIN: u16 = 0x001;
pub const SYN: u16 = 0x002;
pub const RST: u16 = 0x004;
pub const PSH: u16 = 0x008;
pub const ACK: u16 = 0x010;
pub const URG: u16 = 0x020;
pub const ECE: u16 = 0x040;
pub const CWR: u16 = 0x080;
pub const NS: u16 = 0x100;

/// The view of a TCP header, options included.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a>(&'a [u8]);

impl<'a> Tcp<'a> {
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Tcp<'a>> {
        if bytes.len() < MIN_LEN {
            return None;
        }
        let view = Tcp(bytes);
        (view.header_len() >= MIN_LEN && view.header_len() <= bytes.len()).then_some(view)
    }

    #[inline]
    pub fn src(&self) -> u16 {
        be16(self.0, 0)
    }

    #[inline]
    pub fn dst(&self) -> u16 {
        be16(self.0, 2)
    }

    pub fn sequence(&self) -> u32 {
        be32(self.0, 4)
    }

    pub fn acknowledgment(&self) -> u32 {
        be32(self.0, 8)
    }

    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(byte(self.0, 12) >> 4) * 4
    }

    /// Twelve bits.
    #[inline]
    pub fn flags(&self) -> u16 {
        be16(self.0, 12) & 0xfff
    }

    pub fn window(&self) -> u16 {
        be16(self.0, 14)
    }

    pub fn check(&self) -> u16 {
        be16(self.0, CHECK_OFFSET)
    }

    pub fn options(&self) -> &'a [u8] {
        self.0.get(MIN_LEN..self.header_len()).unwrap_or(&[])
    }

    pub fn payload(&self) -> &'a [u8] {
        self.0.get(self.header_len()..).unwrap_or(&[])
    }
}
