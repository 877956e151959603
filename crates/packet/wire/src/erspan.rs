//! ERSPAN types II and III (draft-foschiano-erspan), behind a GRE header with a sequence number.

use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// GRE's protocol for type II, which is version 1 of the header.
pub const PROTOCOL_II: u16 = 0x88be;
/// GRE's protocol for type III, which is version 2 of the header.
pub const PROTOCOL_III: u16 = 0x22eb;
/// Bytes of a header of type II.
pub const LEN_II: usize = 8;
/// Bytes of a header of type III without platform-specific part.
pub const LEN_III: usize = 12;

/// An ERSPAN header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The original frame's VLAN, 12 bits.
    pub vlan: u16,
    /// The original frame's class of service, 3 bits.
    pub class: u8,
    /// Two bits: in type II how the original frame was tagged, in type III whether it was sound.
    pub frame: u8,
    /// The frame was cut.
    pub is_truncated: bool,
    /// The session, 10 bits.
    pub session: u16,
    /// What the type has of its own.
    pub kind: Kind,
}

/// What a type of ERSPAN has of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Type II, version 1.
    Ii {
        /// Which port, and which direction, the frame was mirrored from; the upper 12 of the 32 bits are reserved.
        index: u32,
    },
    /// Type III, version 2.
    Iii(TypeIii),
}

/// What only type III has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TypeIii {
    /// When the frame was seen.
    pub timestamp: u32,
    /// The security group tag.
    pub group: u16,
    /// An Ethernet frame follows, also where `frame_type` is 0.
    pub is_protocol: bool,
    /// What follows, 5 bits; 0 is Ethernet.
    pub frame_type: u8,
    /// The engine that mirrors, 6 bits.
    pub hardware: u8,
    /// The frame left; else it came in.
    pub is_egress: bool,
    /// The unit of the timestamp, 2 bits.
    pub granularity: u8,
    /// A platform-specific part follows, which is not read here.
    pub has_platform_part: bool,
}

impl TypeIii {
    /// The half-word behind the group.
    fn word(self) -> u16 {
        u16::from(self.is_protocol) << 15
            | (u16::from(self.frame_type) & 0x1f) << 10
            | (u16::from(self.hardware) & 0x3f) << 4
            | u16::from(self.is_egress) << 3
            | (u16::from(self.granularity) & 3) << 1
            | u16::from(self.has_platform_part)
    }

    fn from_words(timestamp: u32, group: u16, word: u16) -> TypeIii {
        TypeIii {
            timestamp,
            group,
            is_protocol: word & 0x8000 != 0,
            frame_type: (word >> 10 & 0x1f) as u8,
            hardware: (word >> 4 & 0x3f) as u8,
            is_egress: word & 8 != 0,
            granularity: (word >> 1 & 3) as u8,
            has_platform_part: word & 1 != 0,
        }
    }
}

impl Default for Kind {
    fn default() -> Kind {
        Kind::Ii { index: 0 }
    }
}

impl Header {
    /// GRE's protocol for this type.
    pub fn protocol(&self) -> u16 {
        match self.kind {
            Kind::Ii { .. } => PROTOCOL_II,
            Kind::Iii(_) => PROTOCOL_III,
        }
    }

    /// The version that the header states: 1 of type II, 2 of type III.
    pub fn version(&self) -> u8 {
        match self.kind {
            Kind::Ii { .. } => 1,
            Kind::Iii(_) => 2,
        }
    }
}

impl TypedForm for Header {
    /// `None` also for other versions than 1 and 2.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        let (first, second) = (input.u16()?, input.u16()?);
        let kind = match first >> 12 {
            1 => Kind::Ii { index: input.u32()? },
            2 => Kind::Iii(TypeIii::from_words(input.u32()?, input.u16()?, input.u16()?)),
            _ => return None,
        };
        Some(Header {
            vlan: first & 0xfff,
            class: (second >> 13) as u8,
            frame: (second >> 11 & 3) as u8,
            is_truncated: second & 0x400 != 0,
            session: second & 0x3ff,
            kind,
        })
    }

    fn header_len(&self) -> usize {
        match self.kind {
            Kind::Ii { .. } => LEN_II,
            Kind::Iii(_) => LEN_III,
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(u16::from(self.version()) << 12 | self.vlan & 0xfff);
        let truncated = u16::from(self.is_truncated) << 10;
        let class = u16::from(self.class) << 13;
        out.u16(class | (u16::from(self.frame) & 3) << 11 | truncated | self.session & 0x3ff);
        match self.kind {
            Kind::Ii { index } => out.u32(index),
            Kind::Iii(own) => {
                out.u32(own.timestamp);
                out.u16(own.group);
                out.u16(own.word());
            }
        }
    }
}
