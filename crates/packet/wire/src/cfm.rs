//! Continuity check messages of connectivity fault management (IEEE 802.1ag), with what Open vSwitch puts where ITU-T Y.1731
//! wants zeros.

use base::MacAddr;

use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// The Ethernet type.
pub const ETHER_TYPE: u16 = 0x8902;
/// The address that messages go to.
pub const DESTINATION: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x30]);
/// The same in extended mode, which other bridges forward.
pub const DESTINATION_EXTENDED: MacAddr = MacAddr([0x01, 0x23, 0x20, 0x00, 0x00, 0x30]);
/// The operation code of continuity check messages.
pub const OPCODE: u8 = 1;
/// Bytes of a message.
pub const LEN: usize = 75;
/// Bytes of a message without its last one, which old versions left out.
pub const LEAST_LEN: usize = 74;
/// Bytes of the name of a maintenance association.
pub const MAID_LEN: usize = 48;
/// Flag: the sender hears nobody.
pub const FLAG_RDI: u8 = 0x80;

/// Where the first TLV is, counted from behind this field.
const TLV_OFFSET: u8 = 70;
const RESERVED: usize = 5;

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// [`OPCODE`] or another.
    pub opcode: u8,
    /// [`FLAG_RDI`], and the interval in the lower three bits.
    pub flags: u8,
    /// The number of the message.
    pub sequence: u32,
    /// The sender.
    pub mpid: u16,
    /// The maintenance association.
    pub maid: [u8; MAID_LEN],
    /// The interval in milliseconds, where the flags have none.
    pub interval_ms: u16,
    /// The sender in extended mode.
    pub extended_mpid: u64,
    /// The sender's port is not to be used.
    pub is_down: bool,
}

impl Default for Header {
    fn default() -> Header {
        Header {
            opcode: OPCODE,
            flags: 0,
            sequence: 0,
            mpid: 0,
            maid: [0; MAID_LEN],
            interval_ms: 0,
            extended_mpid: 0,
            is_down: false,
        }
    }
}

impl TypedForm for Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes.get(..LEN)?);
        let _level_and_version = input.u8()?;
        let (opcode, flags, _tlv_offset) = (input.u8()?, input.u8()?, input.u8()?);
        Some(Header {
            opcode,
            flags,
            sequence: input.u32()?,
            mpid: input.u16()?,
            maid: input.take(MAID_LEN)?.try_into().ok()?,
            interval_ms: input.u16()?,
            extended_mpid: u64::from(input.u32()?) << 32 | u64::from(input.u32()?),
            is_down: input.u8()? != 0,
        })
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(0);
        out.u8(self.opcode);
        out.u8(self.flags);
        out.u8(TLV_OFFSET);
        out.u32(self.sequence);
        out.u16(self.mpid);
        out.bytes(&self.maid);
        out.u16(self.interval_ms);
        out.u32((self.extended_mpid >> 32) as u32);
        out.u32(self.extended_mpid as u32);
        out.u8(self.is_down.into());
        // Reserved, and the end of the TLVs.
        out.padded(&[], RESERVED + 1);
    }
}
