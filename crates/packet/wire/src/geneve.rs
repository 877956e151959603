//! Geneve (RFC 8926).

use crate::bytes::{be16, be32, byte};
use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// Bytes of the header without options.
pub const MIN_LEN: usize = 8;
/// The port that IANA has assigned.
pub const PORT: u16 = 6081;
/// Bytes of all options of a header together: the length has six bits, and counts words of four.
pub const MAX_OPTIONS_LEN: usize = 63 * 4;
/// Bytes before an option's data.
pub const OPTION_HEADER_LEN: usize = 4;
/// Bytes of the longest data of an option: the length has five bits, and counts words of four.
pub const MAX_OPTION_DATA_LEN: usize = 31 * 4;
/// Bit of an option's type: who does not know the option must drop the packet.
pub const CRITICAL: u8 = 0x80;

const OAM_BIT: u8 = 0x80;
const CRITICAL_BIT: u8 = 0x40;

/// The view of a Geneve header, whatever its options are.
#[derive(Clone, Copy, Debug)]
pub struct Geneve<'a>(&'a [u8]);

impl<'a> Geneve<'a> {
    /// The view, if there are enough bytes for the header without options.
    pub fn parse(bytes: &'a [u8]) -> Option<Geneve<'a>> {
        (bytes.len() >= MIN_LEN).then_some(Geneve(bytes))
    }

    /// The version, which is 0.
    pub fn version(&self) -> u8 {
        byte(self.0, 0) >> 6
    }

    /// Bytes of the header with its options.
    pub fn header_len(&self) -> usize {
        MIN_LEN + usize::from(byte(self.0, 0) & 0x3f) * 4
    }

    /// Whether the packet is of operations and maintenance.
    pub fn is_oam(&self) -> bool {
        byte(self.0, 1) & OAM_BIT != 0
    }

    /// Whether there are options that who does not know them must not ignore.
    pub fn has_critical(&self) -> bool {
        byte(self.0, 1) & CRITICAL_BIT != 0
    }

    /// What follows, as an EtherType.
    pub fn protocol(&self) -> u16 {
        be16(self.0, 2)
    }

    /// The number of the virtual network.
    pub fn vni(&self) -> u32 {
        be32(self.0, 4) >> 8
    }

    /// The options as bytes; `None` when they are cut off.
    pub fn options(&self) -> Option<&'a [u8]> {
        self.0.get(MIN_LEN..self.header_len())
    }
}

/// An option.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GeneveOption {
    /// Who defined the type.
    pub class: u16,
    /// The type, [`CRITICAL`] included.
    pub kind: u8,
    /// The data; emitted in words of four bytes, at most [`MAX_OPTION_DATA_LEN`] bytes.
    pub data: Vec<u8>,
}

impl GeneveOption {
    fn data_len(&self) -> usize {
        self.data.len().next_multiple_of(4).min(MAX_OPTION_DATA_LEN)
    }
}

impl TypedForm for GeneveOption {
    fn parse(bytes: &[u8]) -> Option<GeneveOption> {
        let mut input = Reader::new(bytes);
        let (class, kind, words) = (input.u16()?, input.u8()?, input.u8()? & 0x1f);
        let data = input.take(usize::from(words) * 4)?.to_vec();
        Some(GeneveOption { class, kind, data })
    }

    fn header_len(&self) -> usize {
        OPTION_HEADER_LEN + self.data_len()
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.class);
        out.u8(self.kind);
        out.u8((self.data_len() / 4) as u8);
        out.padded(&self.data, self.data_len());
    }
}

/// A Geneve header of version 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The packet is of operations and maintenance.
    pub is_oam: bool,
    /// There are options that who does not know them must not ignore.
    pub has_critical: bool,
    /// What follows, as an EtherType.
    pub protocol: u16,
    /// The number of the virtual network, 24 bits.
    pub vni: u32,
    /// The options, in order; those that do not fit [`MAX_OPTIONS_LEN`] bytes are not emitted.
    pub options: Vec<GeneveOption>,
}

impl Header {
    /// The options that fit, and the bytes that they take.
    fn fitting(&self) -> (&[GeneveOption], usize) {
        let mut len = 0;
        for (index, option) in self.options.iter().enumerate() {
            let longer = len + option.header_len();
            if longer > MAX_OPTIONS_LEN {
                return (self.options.get(..index).unwrap_or(&[]), len);
            }
            len = longer;
        }
        (&self.options, len)
    }
}

impl TypedForm for Header {
    /// `None` also for another version, and for options that do not end where the header does.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        let (first, flags, protocol) = (input.u8()?, input.u8()?, input.u16()?);
        if first >> 6 != 0 {
            return None;
        }
        let vni = input.u32()? >> 8;
        let mut rest = Reader::new(input.take(usize::from(first & 0x3f) * 4)?);
        let mut options = Vec::new();
        while !rest.rest().is_empty() {
            let option = GeneveOption::parse(rest.rest())?;
            rest.take(option.header_len())?;
            options.push(option);
        }
        let (is_oam, has_critical) = (flags & OAM_BIT != 0, flags & CRITICAL_BIT != 0);
        Some(Header { is_oam, has_critical, protocol, vni, options })
    }

    fn header_len(&self) -> usize {
        MIN_LEN + self.fitting().1
    }

    fn write(&self, out: &mut Writer<'_>) {
        let (options, len) = self.fitting();
        let oam = if self.is_oam { OAM_BIT } else { 0 };
        let critical = if self.has_critical { CRITICAL_BIT } else { 0 };
        out.u8((len / 4) as u8);
        out.u8(oam | critical);
        out.u16(self.protocol);
        out.u32(self.vni << 8);
        options.iter().for_each(|option| option.write(out));
    }
}
