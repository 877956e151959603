//! The link aggregation control protocol (IEEE 802.1AX, once 802.3ad), in frames of the slow protocols.

use base::MacAddr;

use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// The Ethernet type of slow protocols.
pub const ETHER_TYPE: u16 = 0x8809;
/// The address that frames of slow protocols go to.
pub const DESTINATION: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x02]);
/// The first byte behind the Ethernet header of this protocol.
pub const SUBTYPE: u8 = 1;
/// The same of the marker protocol.
pub const SUBTYPE_MARKER: u8 = 2;
/// Bytes of a message.
pub const LEN: usize = 110;

const VERSION: u8 = 1;
const ACTOR: u8 = 1;
const PARTNER: u8 = 2;
const COLLECTOR: u8 = 3;
const INFO_LEN: u8 = 20;
const COLLECTOR_LEN: u8 = 16;
/// Bytes behind an information: reserved.
const RESERVED: usize = 3;
/// Bytes behind the collector's delay: reserved, the terminator, and reserved again.
const REST: usize = 64;

/// Bits of [`Info::state`].
pub mod state {
    /// It sends unasked.
    pub const ACTIVITY: u8 = 1;
    /// It wants to hear each second, not each half minute.
    pub const TIMEOUT: u8 = 2;
    /// Its link may be joined with others.
    pub const AGGREGATION: u8 = 4;
    /// Its link is part of the aggregate.
    pub const SYNCHRONIZED: u8 = 8;
    /// It takes frames.
    pub const COLLECTING: u8 = 16;
    /// It sends frames.
    pub const DISTRIBUTING: u8 = 32;
    /// It knows of no partner.
    pub const DEFAULTED: u8 = 64;
    /// It has not heard of its partner in time.
    pub const EXPIRED: u8 = 128;
}

/// What one side says of its end of a link. Smaller numbers are of higher priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Info {
    /// The system's priority.
    pub system_priority: u16,
    /// The system.
    pub system: MacAddr,
    /// Links of one key may be joined.
    pub key: u16,
    /// The port's priority.
    pub port_priority: u16,
    /// The port's number in the system.
    pub port: u16,
    /// See [`state`].
    pub state: u8,
}

impl Info {
    fn parse(input: &mut Reader<'_>) -> Option<Info> {
        let info = Info {
            system_priority: input.u16()?,
            system: input.mac()?,
            key: input.u16()?,
            port_priority: input.u16()?,
            port: input.u16()?,
            state: input.u8()?,
        };
        input.take(RESERVED)?;
        Some(info)
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.system_priority);
        out.mac(self.system);
        out.u16(self.key);
        out.u16(self.port_priority);
        out.u16(self.port);
        out.u8(self.state);
        out.padded(&[], RESERVED);
    }
}

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The sender's end.
    pub actor: Info,
    /// The receiver's end, as the sender knows it.
    pub partner: Info,
}

impl TypedForm for Header {
    /// `None` also for another protocol, and where an information has another type or length.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes.get(..LEN)?);
        (input.u8()? == SUBTYPE).then_some(())?;
        let _version = input.u8()?;
        let mut info = |kind| {
            let is_right = input.u8()? == kind && input.u8()? == INFO_LEN;
            is_right.then_some(())?;
            Info::parse(&mut input)
        };
        Some(Header { actor: info(ACTOR)?, partner: info(PARTNER)? })
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(SUBTYPE);
        out.u8(VERSION);
        for (kind, info) in [(ACTOR, &self.actor), (PARTNER, &self.partner)] {
            out.u8(kind);
            out.u8(INFO_LEN);
            info.write(out);
        }
        out.u8(COLLECTOR);
        out.u8(COLLECTOR_LEN);
        // The longest delay: nothing is promised.
        out.u16(u16::MAX);
        out.padded(&[], REST);
    }
}
