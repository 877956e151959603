//! Bridge protocol data units, by which bridges agree on a spanning tree (IEEE 802.1D-2004, clause 9), and the frames that
//! carry them.

use base::MacAddr;

use crate::cursor::{Reader, Writer};
use crate::ethernet;
use crate::form::TypedForm;

/// The address that all units go to; no bridge forwards it.
pub const DESTINATION: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x00]);
/// LLC: both service access points are the spanning tree's, and the frame is unnumbered information.
pub const LLC: [u8; 3] = [0x42, 0x42, 0x03];
/// Bytes of a configuration.
pub const CONFIG_LEN: usize = 35;
/// Bytes of a rapid one: it ends with the length of what version 1 would add.
pub const RAPID_LEN: usize = 36;
/// Bytes of a notification of a topology change.
pub const NOTIFICATION_LEN: usize = 4;

const PROTOCOL: u16 = 0;
const VERSION: u8 = 0;
const VERSION_RAPID: u8 = 2;
const TYPE_CONFIG: u8 = 0;
const TYPE_RAPID: u8 = 2;
const TYPE_NOTIFICATION: u8 = 0x80;

/// Bits of [`Config::flags`]; all but the first and the last only in rapid units.
pub mod flag {
    /// The topology has changed: addresses are to be forgotten.
    pub const TOPOLOGY_CHANGE: u8 = 0x01;
    /// The designated port asks whether it may forward at once.
    pub const PROPOSAL: u8 = 0x02;
    /// Two bits: the role of the sending port.
    pub const ROLE: u8 = 0x0c;
    /// [`ROLE`] of a port that does not forward.
    pub const ROLE_ALTERNATE: u8 = 0x04;
    /// [`ROLE`] of a root port.
    pub const ROLE_ROOT: u8 = 0x08;
    /// [`ROLE`] of a designated port.
    pub const ROLE_DESIGNATED: u8 = 0x0c;
    /// The port learns.
    pub const LEARNING: u8 = 0x10;
    /// The port forwards.
    pub const FORWARDING: u8 = 0x20;
    /// The designated port may forward at once.
    pub const AGREEMENT: u8 = 0x40;
    /// A notification of a topology change has arrived.
    pub const ACKNOWLEDGEMENT: u8 = 0x80;
}

/// What a configuration says. Times are in units of 1/256 second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// See [`flag`].
    pub flags: u8,
    /// The bridge that is taken for the root: priority (16 bits) and address.
    pub root: u64,
    /// The cost of the path from the sender to the root.
    pub cost: u32,
    /// The sender.
    pub bridge: u64,
    /// Its port: priority and number.
    pub port: u16,
    /// How old the information is.
    pub message_age: u16,
    /// At which age it is void.
    pub max_age: u16,
    /// The time between units.
    pub hello_time: u16,
    /// The time that a port takes from state to state.
    pub forward_delay: u16,
}

/// A unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bpdu {
    /// A configuration of the protocol of 1998.
    Config(Config),
    /// The same of the rapid protocol.
    Rapid(Config),
    /// The topology has changed: what the root is to know.
    Notification,
}

/// Why bytes are no unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// There are fewer bytes than any unit has.
    #[error("received runt {0}-byte BPDU")]
    Runt(usize),
    /// It is another protocol.
    #[error("received BPDU with unexpected protocol ID {0}")]
    Protocol(u16),
    /// There is no such kind of unit.
    #[error("received BPDU of unexpected type {0}")]
    Type(u8),
    /// It is cut off.
    #[error("received config BPDU with invalid size {0}")]
    Short(usize),
}

impl Bpdu {
    /// The unit at the start of `bytes`. Higher versions are read as the highest one known, as the standard has it
    /// (clause 9.3.4).
    pub fn read(bytes: &[u8]) -> Result<Bpdu, Malformed> {
        let mut input = Reader::new(bytes);
        let runt = || Malformed::Runt(bytes.len());
        let protocol = input.u16().ok_or_else(runt)?;
        let (_version, kind) = (input.u8().ok_or_else(runt)?, input.u8().ok_or_else(runt)?);
        if protocol != PROTOCOL {
            return Err(Malformed::Protocol(protocol));
        }
        let short = || Malformed::Short(bytes.len());
        match kind {
            TYPE_NOTIFICATION => Ok(Bpdu::Notification),
            TYPE_CONFIG => Config::read(&mut input).map(Bpdu::Config).ok_or_else(short),
            TYPE_RAPID if bytes.len() < RAPID_LEN => Err(short()),
            TYPE_RAPID => Config::read(&mut input).map(Bpdu::Rapid).ok_or_else(short),
            other => Err(Malformed::Type(other)),
        }
    }

    /// The frame that brings it from `source`.
    pub fn frame(&self, source: MacAddr) -> Vec<u8> {
        let len = LLC.len() + self.header_len();
        let mut frame = ethernet::header(DESTINATION, source, len as u16).to_vec();
        frame.extend(LLC);
        self.append(&mut frame);
        frame
    }
}

impl Config {
    fn read(input: &mut Reader<'_>) -> Option<Config> {
        let wide = |input: &mut Reader<'_>| Some(u64::from(input.u32()?) << 32 | u64::from(input.u32()?));
        Some(Config {
            flags: input.u8()?,
            root: wide(input)?,
            cost: input.u32()?,
            bridge: wide(input)?,
            port: input.u16()?,
            message_age: input.u16()?,
            max_age: input.u16()?,
            hello_time: input.u16()?,
            forward_delay: input.u16()?,
        })
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(self.flags);
        out.bytes(&self.root.to_be_bytes());
        out.u32(self.cost);
        out.bytes(&self.bridge.to_be_bytes());
        out.u16(self.port);
        for time in [self.message_age, self.max_age, self.hello_time, self.forward_delay] {
            out.u16(time);
        }
    }
}

impl TypedForm for Bpdu {
    fn parse(bytes: &[u8]) -> Option<Bpdu> {
        Bpdu::read(bytes).ok()
    }

    fn header_len(&self) -> usize {
        match self {
            Bpdu::Config(_) => CONFIG_LEN,
            Bpdu::Rapid(_) => RAPID_LEN,
            Bpdu::Notification => NOTIFICATION_LEN,
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        let (version, kind) = match self {
            Bpdu::Config(_) => (VERSION, TYPE_CONFIG),
            Bpdu::Rapid(_) => (VERSION_RAPID, TYPE_RAPID),
            Bpdu::Notification => (VERSION, TYPE_NOTIFICATION),
        };
        out.u16(PROTOCOL);
        out.u8(version);
        out.u8(kind);
        match self {
            Bpdu::Config(config) => config.write(out),
            Bpdu::Rapid(config) => {
                config.write(out);
                // Version 1 adds nothing.
                out.u8(0);
            }
            Bpdu::Notification => {}
        }
    }
}

/// What a frame carries behind LLC, without padding; `None` when it is no frame of the spanning tree.
pub fn payload(frame: &[u8]) -> Option<&[u8]> {
    let (at, len) = ethernet::type_behind_tags(frame)?;
    let content = frame.get(at + 2..)?;
    let content = content.get(..usize::from(len)).unwrap_or(content);
    content.strip_prefix(&LLC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_gives_its_unit_without_padding() {
        let unit =
            Bpdu::Config(Config { root: 0x8000_0200_0000_0001, max_age: 20 << 8, ..Config::default() });
        let mut frame = unit.frame(MacAddr([2, 0, 0, 0, 0, 1]));
        assert_eq!(frame.len(), 14 + 3 + CONFIG_LEN);
        frame.resize(60, 0xff);
        let payload = payload(&frame).unwrap();
        assert_eq!((payload.len(), Bpdu::read(payload)), (CONFIG_LEN, Ok(unit)));
    }

    #[test]
    fn what_is_no_unit_says_why() {
        assert_eq!(Bpdu::read(&[0, 0, 0]), Err(Malformed::Runt(3)));
        assert_eq!(Bpdu::read(&[0, 7, 0, 0]), Err(Malformed::Protocol(7)));
        assert_eq!(Bpdu::read(&[0, 0, 0, 9]), Err(Malformed::Type(9)));
        assert_eq!(Bpdu::read(&[0, 0, 0, 0, 1]), Err(Malformed::Short(5)));
        let rapid = Bpdu::Rapid(Config::default()).to_bytes();
        assert_eq!(Bpdu::read(&rapid[..CONFIG_LEN]), Err(Malformed::Short(CONFIG_LEN)));
        let text = Malformed::Runt(3).to_string();
        assert_eq!(text, "received runt 3-byte BPDU");
    }

    #[test]
    fn frames_of_others_carry_none() {
        let mut frame = Bpdu::Notification.frame(MacAddr::ZERO);
        assert_eq!(payload(&frame), Some(&[0, 0, 0, 0x80][..]));
        frame[14] = 0xaa;
        assert_eq!(payload(&frame), None);
        assert_eq!(payload(&frame[..10]), None);
    }
}
