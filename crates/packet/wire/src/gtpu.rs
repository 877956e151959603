//! GTP-U (3GPP TS 29.281), version 1.

use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// Bytes of the mandatory part.
pub const MIN_LEN: usize = 8;
/// The port that IANA has assigned.
pub const PORT: u16 = 2152;
/// Kind of message: a user's packet follows.
pub const MESSAGE_PACKET: u8 = 255;
/// Flags of a header without optional part: version 1, protocol type GTP.
pub const FLAGS: u8 = 0x30;
/// Kind of extension: the PDU session container of 5G (TS 38.415).
pub const EXTENSION_PDU_SESSION: u8 = 0x85;

/// Flag: extension headers follow.
const FLAG_EXTENSION: u8 = 4;
/// Flag: the sequence number counts.
const FLAG_SEQUENCE: u8 = 2;
/// Flag: the N-PDU number counts.
const FLAG_N_PDU: u8 = 1;
/// Flags each of which makes the optional part be there.
const OPTIONAL: u8 = FLAG_EXTENSION | FLAG_SEQUENCE | FLAG_N_PDU;
/// Bytes of the optional part.
const OPTIONAL_LEN: usize = 4;

/// The mandatory part of a header, its flags as they stand, whatever they say follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Base {
    /// Version (3 bits), protocol type, a reserved bit, and which optional fields count.
    pub flags: u8,
    /// The kind of message, [`MESSAGE_PACKET`] or another.
    pub message: u8,
    /// Bytes behind the mandatory part.
    pub len: u16,
    /// The tunnel's endpoint.
    pub endpoint: u32,
}

impl TypedForm for Base {
    fn parse(bytes: &[u8]) -> Option<Base> {
        let mut input = Reader::new(bytes);
        let (flags, message) = (input.u8()?, input.u8()?);
        Some(Base { flags, message, len: input.u16()?, endpoint: input.u32()? })
    }

    fn header_len(&self) -> usize {
        MIN_LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(self.flags);
        out.u8(self.message);
        out.u16(self.len);
        out.u32(self.endpoint);
    }
}

/// An extension header.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extension {
    /// What it is, [`EXTENSION_PDU_SESSION`] or another; not zero, which ends the extensions.
    pub kind: u8,
    /// What is between its length and the next kind; emitted so that the header takes words of four bytes, at most
    /// 1018 bytes.
    pub body: Vec<u8>,
}

impl Extension {
    fn len(&self) -> usize {
        (self.body.len() + 2).next_multiple_of(4).min(255 * 4)
    }
}

/// A header of version 1 and protocol type GTP.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The kind of message, [`MESSAGE_PACKET`] or another.
    pub message: u8,
    /// Bytes behind the mandatory part.
    pub len: u16,
    /// The tunnel's endpoint.
    pub endpoint: u32,
    /// The number of the packet.
    pub sequence: Option<u16>,
    /// The N-PDU number, for handing over between kinds of networks.
    pub n_pdu: Option<u8>,
    /// The extension headers, in order.
    pub extensions: Vec<Extension>,
}

impl Header {
    /// The flags as they stand in the header.
    pub fn flags(&self) -> u8 {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        FLAGS
            | bit(!self.extensions.is_empty(), FLAG_EXTENSION)
            | bit(self.sequence.is_some(), FLAG_SEQUENCE)
            | bit(self.n_pdu.is_some(), FLAG_N_PDU)
    }
}

impl TypedForm for Header {
    /// `None` also for other versions, for GTP', and for an extension of length zero.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let Base { flags, message, len, endpoint } = Base::parse(bytes)?;
        if flags & 0xf0 != FLAGS {
            return None;
        }
        let mut header = Header { message, len, endpoint, ..Header::default() };
        if flags & OPTIONAL == 0 {
            return Some(header);
        }
        let mut input = Reader::new(bytes.get(MIN_LEN..)?);
        let (sequence, n_pdu, mut next) = (input.u16()?, input.u8()?, input.u8()?);
        header.sequence = (flags & FLAG_SEQUENCE != 0).then_some(sequence);
        header.n_pdu = (flags & FLAG_N_PDU != 0).then_some(n_pdu);
        while flags & FLAG_EXTENSION != 0 && next != 0 {
            let words = usize::from(input.u8()?);
            let body = input.take((words * 4).checked_sub(2)?)?.to_vec();
            header.extensions.push(Extension { kind: next, body });
            next = input.u8()?;
        }
        Some(header)
    }

    fn header_len(&self) -> usize {
        let optional = if self.flags() & OPTIONAL != 0 { OPTIONAL_LEN } else { 0 };
        MIN_LEN + optional + self.extensions.iter().map(Extension::len).sum::<usize>()
    }

    fn write(&self, out: &mut Writer<'_>) {
        let flags = self.flags();
        Base { flags, message: self.message, len: self.len, endpoint: self.endpoint }.write(out);
        if flags & OPTIONAL == 0 {
            return;
        }
        out.u16(self.sequence.unwrap_or(0));
        out.u8(self.n_pdu.unwrap_or(0));
        for extension in &self.extensions {
            out.u8(extension.kind);
            out.u8((extension.len() / 4) as u8);
            out.padded(&extension.body, extension.len() - 2);
        }
        out.u8(0);
    }
}
