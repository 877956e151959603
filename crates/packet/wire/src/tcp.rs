//! TCP (RFC 9293).

use crate::bytes::{be16, be32, byte, put16};
use crate::cursor::{Reader, Writer};
use crate::form::{TypedForm, setters};

/// Bytes of a header without options.
pub const MIN_LEN: usize = 20;
/// Bytes of the longest options.
pub const MAX_OPTIONS_LEN: usize = 40;
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

/// A TCP header whose fields can be set in place; the checksum is the caller's.
#[derive(Debug)]
pub struct TcpMut<'a>(&'a mut [u8; MIN_LEN]);

impl<'a> TcpMut<'a> {
    /// The header, if there are enough bytes for one without options.
    #[inline]
    pub fn parse(bytes: &'a mut [u8]) -> Option<TcpMut<'a>> {
        bytes.first_chunk_mut().map(TcpMut)
    }

    /// The same for reading; its options and payload are not seen.
    #[inline]
    pub fn view(&self) -> Tcp<'_> {
        Tcp(self.0)
    }

    /// Sets the twelve bits of the flags.
    #[inline]
    pub fn set_flags(&mut self, flags: u16) {
        let word = be16(self.0, 12) & 0xf000 | flags & 0xfff;
        put16(self.0, 12, word);
    }

    setters! {
        /// Sets the source port.
        set_src: put16(u16) = 0;
        /// Sets the destination port.
        set_dst: put16(u16) = 2;
        /// Sets the number of the first byte of the payload.
        set_sequence: put32(u32) = 4;
        /// Sets the checksum.
        set_check: put16(u16) = CHECK_OFFSET;
    }
}

/// A TCP header.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The source port.
    pub src: u16,
    /// The destination port.
    pub dst: u16,
    /// The number of the first byte of the payload.
    pub sequence: u32,
    /// The number of the next byte that is expected.
    pub acknowledgment: u32,
    /// Twelve bits: [`FIN`] and the others.
    pub flags: u16,
    /// How many bytes may be sent, before scaling.
    pub window: u16,
    /// The checksum.
    pub check: u16,
    /// The end of the urgent data, when [`URG`] is set.
    pub urgent: u16,
    /// Options; emitted in words of four bytes, at most [`MAX_OPTIONS_LEN`] bytes.
    pub options: Vec<u8>,
}

impl Header {
    fn options_len(&self) -> usize {
        self.options.len().next_multiple_of(4).min(MAX_OPTIONS_LEN)
    }
}

impl TypedForm for Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        let (src, dst, sequence, acknowledgment) = (input.u16()?, input.u16()?, input.u32()?, input.u32()?);
        let word = input.u16()?;
        let (window, check, urgent) = (input.u16()?, input.u16()?, input.u16()?);
        let options_len = (usize::from(word >> 12) * 4).checked_sub(MIN_LEN)?;
        let options = input.take(options_len)?.to_vec();
        Some(Header {
            src,
            dst,
            sequence,
            acknowledgment,
            flags: word & 0xfff,
            window,
            check,
            urgent,
            options,
        })
    }

    fn header_len(&self) -> usize {
        MIN_LEN + self.options_len()
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.src);
        out.u16(self.dst);
        out.u32(self.sequence);
        out.u32(self.acknowledgment);
        out.u16((self.header_len() as u16 / 4) << 12 | self.flags & 0xfff);
        out.u16(self.window);
        out.u16(self.check);
        out.u16(self.urgent);
        out.padded(&self.options, self.options_len());
    }
}
