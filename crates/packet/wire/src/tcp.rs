//! TCP (RFC 9293).

use crate::bytes::{be16, be32, byte};

/// Bytes of a header without options.
pub const MIN_LEN: usize = 20;
/// Where the checksum stands.
pub const CHECK_OFFSET: usize = 16;

/// Flag: the sender has no more data.
pub const FIN: u16 = 0x001;
/// Flag: the connection begins.
pub const SYN: u16 = 0x002;
/// Flag: the connection is reset.
pub const RST: u16 = 0x004;
/// Flag: the data is to be delivered at once.
pub const PSH: u16 = 0x008;
/// Flag: the acknowledgement number counts.
pub const ACK: u16 = 0x010;
/// Flag: the urgent pointer counts.
pub const URG: u16 = 0x020;
/// Flag: congestion was seen (RFC 3168).
pub const ECE: u16 = 0x040;
/// Flag: the congestion window was reduced (RFC 3168).
pub const CWR: u16 = 0x080;
/// Flag: the nonce sum (RFC 3540).
pub const NS: u16 = 0x100;

/// The view of a TCP header, options included.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a>(&'a [u8]);

impl<'a> Tcp<'a> {
    /// The view, if the header with its options fits `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Tcp<'a>> {
        if bytes.len() < MIN_LEN {
            return None;
        }
        let view = Tcp(bytes);
        (view.header_len() >= MIN_LEN && view.header_len() <= bytes.len()).then_some(view)
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

    /// The number of the first byte of the payload.
    pub fn sequence(&self) -> u32 {
        be32(self.0, 4)
    }

    /// The number of the next byte that is expected.
    pub fn acknowledgment(&self) -> u32 {
        be32(self.0, 8)
    }

    /// Bytes of the header with its options, at least [`MIN_LEN`].
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(byte(self.0, 12) >> 4) * 4
    }

    /// Twelve bits.
    #[inline]
    pub fn flags(&self) -> u16 {
        be16(self.0, 12) & 0xfff
    }

    /// How many bytes may be sent, before scaling.
    pub fn window(&self) -> u16 {
        be16(self.0, 14)
    }

    /// The checksum.
    pub fn check(&self) -> u16 {
        be16(self.0, CHECK_OFFSET)
    }

    /// The options, padding included.
    pub fn options(&self) -> &'a [u8] {
        self.0.get(MIN_LEN..self.header_len()).unwrap_or(&[])
    }

    /// What follows the header, padding of the frame included.
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(self.header_len()..).unwrap_or(&[])
    }
}
