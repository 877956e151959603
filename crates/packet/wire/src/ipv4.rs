//! IPv4 (RFC 791).

use crate::Checksum;
use crate::bytes::{be16, be32, byte, put8, put16, put32};
use crate::checksum::{replace16, replace32};
use crate::cursor::{Reader, Writer};
use crate::form::{TypedForm, array};

/// Bytes of a header without options.
pub const MIN_LEN: usize = 20;
/// Bytes of the longest options.
pub const MAX_OPTIONS_LEN: usize = 40;
/// Bit of the fragment word: routers must not fragment the packet.
pub const DONT_FRAGMENT: u16 = 0x4000;
/// Bit of the fragment word: other fragments follow.
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// Bits of the fragment word: where the fragment belongs, in units of eight bytes.
pub const FRAGMENT_OFFSET: u16 = 0x1fff;

/// The view of an IPv4 header whose stated lengths fit the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a>(&'a [u8]);

impl<'a> Ipv4<'a> {
    /// The view, if the header with its options and the stated total length fit `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Ipv4<'a>> {
        if bytes.len() < MIN_LEN {
            return None;
        }
        let view = Ipv4(bytes);
        let header = view.header_len();
        let total = view.total_len();
        (header >= MIN_LEN && header <= bytes.len() && total <= bytes.len() && total >= header)
            .then_some(view)
    }

    /// The view of a header alone, whose packet may be cut off, as in a sample: lengths are as it states them.
    pub fn parse_header(bytes: &'a [u8]) -> Option<Ipv4<'a>> {
        (bytes.len() >= MIN_LEN).then_some(Ipv4(bytes))
    }

    /// Bytes of the header with its options, at least [`MIN_LEN`].
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(byte(self.0, 0) & 0xf) * 4
    }

    /// Bytes of header and payload.
    #[inline]
    pub fn total_len(&self) -> usize {
        usize::from(be16(self.0, 2))
    }

    /// The number by which fragments of a packet belong together.
    pub fn id(&self) -> u16 {
        be16(self.0, 4)
    }

    /// DSCP in the upper six bits, ECN in the lower two.
    #[inline]
    pub fn tos(&self) -> u8 {
        byte(self.0, 1)
    }

    /// Flags and offset as they stand.
    #[inline]
    pub fn fragment_word(&self) -> u16 {
        be16(self.0, 6)
    }

    /// Whether the packet is a fragment, the first one included.
    pub fn is_fragment(&self) -> bool {
        self.fragment_word() & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    /// A fragment other than the first.
    pub fn is_later_fragment(&self) -> bool {
        self.fragment_word() & FRAGMENT_OFFSET != 0
    }

    /// Time to live, in hops.
    #[inline]
    pub fn ttl(&self) -> u8 {
        byte(self.0, 8)
    }

    /// The protocol of the payload (see [`crate::protocol`]).
    #[inline]
    pub fn protocol(&self) -> u8 {
        byte(self.0, 9)
    }

    /// The checksum of the header.
    pub fn check(&self) -> u16 {
        be16(self.0, 10)
    }

    /// The source address.
    #[inline]
    pub fn src(&self) -> u32 {
        be32(self.0, 12)
    }

    /// The destination address.
    #[inline]
    pub fn dst(&self) -> u32 {
        be32(self.0, 16)
    }

    /// What follows the header, without padding of the frame.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(self.header_len()..self.total_len()).unwrap_or(&[])
    }
}

/// An IPv4 header whose fields can be set in place; each setter corrects the header's checksum.
#[derive(Debug)]
pub struct Ipv4Mut<'a>(&'a mut [u8; MIN_LEN]);

impl<'a> Ipv4Mut<'a> {
    /// The header, if its stated lengths fit `bytes`, as for [`Ipv4::parse`].
    #[inline]
    pub fn parse(bytes: &'a mut [u8]) -> Option<Ipv4Mut<'a>> {
        Ipv4::parse(bytes)?;
        Ipv4Mut::parse_header(bytes)
    }

    /// The header alone, whatever lengths it states.
    #[inline]
    pub fn parse_header(bytes: &'a mut [u8]) -> Option<Ipv4Mut<'a>> {
        bytes.first_chunk_mut().map(Ipv4Mut)
    }

    /// The same for reading; its payload is not seen.
    #[inline]
    pub fn view(&self) -> Ipv4<'_> {
        Ipv4(self.0)
    }

    /// Sets DSCP and ECN.
    #[inline]
    pub fn set_tos(&mut self, tos: u8) {
        self.correcting16(0, |bytes| put8(bytes, 1, tos));
    }

    /// Sets the bytes of header and payload.
    #[inline]
    pub fn set_total_len(&mut self, len: u16) {
        self.correcting16(2, |bytes| put16(bytes, 2, len));
    }

    /// Sets the number by which fragments belong together.
    #[inline]
    pub fn set_id(&mut self, id: u16) {
        self.correcting16(4, |bytes| put16(bytes, 4, id));
    }

    /// Sets the time to live.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        self.correcting16(8, |bytes| put8(bytes, 8, ttl));
    }

    /// Sets the source address.
    #[inline]
    pub fn set_src(&mut self, src: u32) {
        self.correcting32(12, src);
    }

    /// Sets the destination address.
    #[inline]
    pub fn set_dst(&mut self, dst: u32) {
        self.correcting32(16, dst);
    }

    /// Runs `change`, which changes the 16-bit word at `at` alone.
    #[inline]
    fn correcting16(&mut self, at: usize, change: impl FnOnce(&mut [u8])) {
        let old = be16(self.0, at);
        change(self.0);
        let new = be16(self.0, at);
        if new != old {
            let check = replace16(self.view().check(), old, new);
            put16(self.0, CHECK_OFFSET, check);
        }
    }

    #[inline]
    fn correcting32(&mut self, at: usize, new: u32) {
        let old = be32(self.0, at);
        if new != old {
            put32(self.0, at, new);
            let check = replace32(self.view().check(), old, new);
            put16(self.0, CHECK_OFFSET, check);
        }
    }
}

/// Where the checksum stands.
/// Where in the header its checksum stands.
pub const CHECK_OFFSET: usize = 10;

/// Computes the checksum of the header at the start of `bytes`, options included, and writes it.
pub fn write_checksum(bytes: &mut [u8]) {
    let len = (usize::from(byte(bytes, 0) & 0xf) * 4).max(MIN_LEN).min(bytes.len());
    put16(bytes, CHECK_OFFSET, 0);
    let check = crate::checksum(bytes.get(..len).unwrap_or(&[]));
    put16(bytes, CHECK_OFFSET, check);
}

/// An IPv4 header. Emitting computes its checksum; parsing does not check it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// Bytes of header and payload.
    pub total_len: u16,
    /// The number by which fragments of a packet belong together.
    pub id: u16,
    /// Flags and offset: [`DONT_FRAGMENT`], [`MORE_FRAGMENTS`], [`FRAGMENT_OFFSET`].
    pub fragment_word: u16,
    /// Time to live, in hops.
    pub ttl: u8,
    /// The protocol of the payload (see [`crate::protocol`]).
    pub protocol: u8,
    /// The source address.
    pub src: u32,
    /// The destination address.
    pub dst: u32,
    /// Options; emitted in words of four bytes, at most [`MAX_OPTIONS_LEN`] bytes.
    pub options: Vec<u8>,
}

impl Header {
    #[inline]
    fn options_len(&self) -> usize {
        self.options.len().next_multiple_of(4).min(MAX_OPTIONS_LEN)
    }
}

impl TypedForm for Header {
    /// `None` also for another version, and for a header that states to be shorter than [`MIN_LEN`]. The packet
    /// may be cut off behind the header.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        let first = input.u8()?;
        let options_len = (usize::from(first & 0xf) * 4).checked_sub(MIN_LEN).filter(|_| first >> 4 == 4)?;
        let (tos, total_len, id, fragment_word) = (input.u8()?, input.u16()?, input.u16()?, input.u16()?);
        let (ttl, protocol, _check) = (input.u8()?, input.u8()?, input.u16()?);
        let (src, dst) = (input.u32()?, input.u32()?);
        let options = input.take(options_len)?.to_vec();
        Some(Header { tos, total_len, id, fragment_word, ttl, protocol, src, dst, options })
    }

    #[inline]
    fn header_len(&self) -> usize {
        MIN_LEN + self.options_len()
    }

    fn write(&self, out: &mut Writer<'_>) {
        let first = 0x40 | (self.header_len() / 4) as u8;
        let options = self.options.get(..self.options_len()).unwrap_or(&self.options);
        let check = Checksum::new()
            .word(u16::from_be_bytes([first, self.tos]))
            .word(self.total_len)
            .word(self.id)
            .word(self.fragment_word)
            .word(u16::from_be_bytes([self.ttl, self.protocol]))
            .dword(self.src)
            .dword(self.dst)
            .bytes(options)
            .finish();
        out.u8(first);
        out.u8(self.tos);
        out.u16(self.total_len);
        out.u16(self.id);
        out.u16(self.fragment_word);
        out.u8(self.ttl);
        out.u8(self.protocol);
        out.u16(check);
        out.u32(self.src);
        out.u32(self.dst);
        out.padded(options, self.options_len());
    }
}

/// A header without options and with its checksum, for `payload_len` bytes.
pub fn header(
    src: u32,
    dst: u32,
    protocol: u8,
    tos: u8,
    ttl: u8,
    fragment_word: u16,
    payload_len: usize,
) -> [u8; MIN_LEN] {
    let total_len = u16::try_from(payload_len + MIN_LEN).unwrap_or(u16::MAX);
    array(&Header { tos, total_len, fragment_word, ttl, protocol, src, dst, ..Header::default() })
}
