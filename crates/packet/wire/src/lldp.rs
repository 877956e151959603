//! Data units of the link layer discovery protocol (IEEE 802.1AB), with what auto-attach (IEEE 802.1Qcj) adds, and the frames
//! that carry them.
//!
//! A unit is a list of TLVs: seven bits of type, nine of length, the value. Chassis, port and time to live come first.

use base::MacAddr;

use crate::cursor::{Reader, Writer};
use crate::ethernet;
use crate::form::TypedForm;

/// The Ethernet type.
pub const ETHER_TYPE: u16 = 0x88cc;
/// The address of the nearest bridge; no bridge forwards it.
pub const DESTINATION: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e]);
/// The most bytes of the value of a TLV.
pub const MAX_VALUE_LEN: usize = 511;
/// The most bytes of an identifier, or of a name that the standard allows.
pub const MAX_NAME_LEN: usize = 255;
/// The most assignments that a TLV has room for.
pub const MAX_ASSIGNMENTS: usize = (MAX_VALUE_LEN - ASSIGNMENTS_AT) / ASSIGNMENT_LEN;
/// The most assignments that are read of a unit.
pub const MOST_READ: usize = 1024;

/// The types of TLVs.
mod tlv {
    pub(super) const END: u8 = 0;
    pub(super) const CHASSIS_ID: u8 = 1;
    pub(super) const PORT_ID: u8 = 2;
    pub(super) const TIME_TO_LIVE: u8 = 3;
    pub(super) const PORT_DESCRIPTION: u8 = 4;
    pub(super) const SYSTEM_NAME: u8 = 5;
    pub(super) const SYSTEM_DESCRIPTION: u8 = 6;
    pub(super) const CAPABILITIES: u8 = 7;
    pub(super) const MANAGEMENT_ADDRESS: u8 = 8;
    pub(super) const ORGANIZATION: u8 = 127;
}

/// Subtypes of identifiers.
pub mod subtype {
    /// Of a chassis: an Ethernet address.
    pub const CHASSIS_MAC: u8 = 4;
    /// Of a port: the interface's name.
    pub const PORT_INTERFACE_NAME: u8 = 5;
    /// The greatest that is defined.
    pub const LAST: u8 = 7;
}

/// Bits of [`Capabilities`].
pub mod capability {
    /// It is a bridge.
    pub const BRIDGE: u16 = 4;
}

/// The organization whose TLVs are those of auto-attach (Avaya).
const AUTO_ATTACH: [u8; 3] = [0x00, 0x04, 0x0d];
const SUBTYPE_ELEMENT: u8 = 11;
const SUBTYPE_ASSIGNMENTS: u8 = 12;
/// Bytes of the digest that authenticates both; zeros here.
const DIGEST_LEN: usize = 32;
const ELEMENT_LEN: usize = 50;
const ASSIGNMENTS_AT: usize = 4 + DIGEST_LEN;
const ASSIGNMENT_LEN: usize = 5;
/// The most bytes of a management address with its family.
const MAX_ADDRESS_LEN: u8 = 32;

/// The name of a chassis or a port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identifier {
    /// How it is to be read: [`subtype`].
    pub subtype: u8,
    /// One to 255 bytes.
    pub bytes: Vec<u8>,
}

/// What a system is, and which of that it does at present, as bits: [`capability`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// What it can do.
    pub available: u16,
    /// What it does.
    pub enabled: u16,
}

/// What a system is to auto-attach.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Element {
    /// Six bits: [`Element::CLIENT_VIRTUAL_SWITCH`] or another.
    pub kind: u8,
    /// The link is to be tagged.
    pub is_tagged: bool,
    /// Two bits: how VLANs are provisioned.
    pub provisioning: u8,
    /// Twelve bits: the VLAN of management.
    pub management_vlan: u16,
    /// Who it is.
    pub system: SystemId,
}

impl Element {
    /// [`Element::kind`] of a switch for virtual machines.
    pub const CLIENT_VIRTUAL_SWITCH: u8 = 14;
}

/// Who a system is to auto-attach.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SystemId {
    /// Its address.
    pub mac: MacAddr,
    /// Three bits: one link or several.
    pub connection: u8,
    /// Ten bits.
    pub reserved: u16,
    /// Two bytes.
    pub rest: [u8; 2],
}

/// A VLAN that belongs to a service (I-SID).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Assignment {
    /// Four bits: what the server says of it.
    pub status: u8,
    /// Twelve bits.
    pub vlan: u16,
    /// 24 bits: the service.
    pub isid: u32,
}

/// A unit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unit {
    /// The system that sends it.
    pub chassis: Identifier,
    /// Its port.
    pub port: Identifier,
    /// For how many seconds it holds; zero: the port goes.
    pub ttl: u16,
    /// Empty where there is none.
    pub system_name: Vec<u8>,
    /// The same.
    pub system_description: Vec<u8>,
    /// The same.
    pub port_description: Vec<u8>,
    /// All zero where they are not stated.
    pub capabilities: Capabilities,
    /// Auto-attach.
    pub element: Option<Element>,
    /// The same.
    pub assignments: Vec<Assignment>,
}

/// Why bytes are no unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Bytes end within the type and length of a TLV.
    Header,
    /// Bytes end within the value of a TLV.
    Value,
    /// A TLV, by name and the word for its place, stands at the place of this number.
    Place(&'static str, &'static str, usize),
    /// A TLV of this name is too short.
    Short(&'static str),
    /// The last TLV has a value.
    End,
    /// An identifier is longer than any can be.
    Long,
    /// An identifier is of a kind that is not known.
    Subtype,
    /// The length of a management address, of which no family has one.
    AddressLen,
    /// An address that is longer than those of its family.
    Address,
    /// Assignments do not fill their TLV.
    Assignments,
    /// Chassis, port, time to live or end are missing.
    Incomplete,
}

impl Malformed {
    /// What the log says of a unit that was received on `port`.
    pub fn text(self, port: &str) -> String {
        let what = match self {
            Malformed::Header => "tlv header too short",
            Malformed::Value => "frame too short for tlv",
            Malformed::Place(name, place, at) => {
                return format!("{name} TLV should be {place} on {port}, but it is on position {at}");
            }
            Malformed::Short(name) => return format!("{name} TLV too short received on {port}"),
            Malformed::End => "lldp end received with size not null",
            Malformed::Long => return format!("Port/Chassis Id TLV too large received on {port}"),
            Malformed::Subtype => "unknown subtype for tlv id",
            Malformed::AddressLen => return format!("invalid management address length on {port}"),
            Malformed::Address => "too long management address",
            Malformed::Assignments => "malformed vlan-isid mappings tlv",
            Malformed::Incomplete => "some mandatory tlv are missing for frame",
        };
        let received = if self == Malformed::End { "" } else { " received" };
        format!("{what}{received} on {port}")
    }
}

impl Unit {
    /// The unit at the start of `bytes`, and how many TLVs were not understood.
    pub fn read(bytes: &[u8]) -> Result<(Unit, u64), Malformed> {
        let mut reading = Reading::default();
        let mut input = Reader::new(bytes);
        while !reading.has_ended && !input.rest().is_empty() {
            let word = input.u16().ok_or(Malformed::Header)?;
            let value = input.take(usize::from(word & 0x1ff)).ok_or(Malformed::Value)?;
            reading.take((word >> 9) as u8, value)?;
        }
        if reading.count < 3 || !reading.has_ended || reading.has_missing {
            return Err(Malformed::Incomplete);
        }
        Ok((reading.unit, reading.unrecognized))
    }

    /// The frame that brings it from `source`.
    pub fn frame(&self, source: MacAddr) -> Vec<u8> {
        let mut frame = ethernet::header(DESTINATION, source, ETHER_TYPE).to_vec();
        self.append(&mut frame);
        frame
    }

    fn tlvs(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let identifier = |id: &Identifier| {
            let bytes = id.bytes.get(..MAX_NAME_LEN).unwrap_or(&id.bytes);
            [&[id.subtype], bytes].concat()
        };
        put(&mut out, tlv::CHASSIS_ID, &identifier(&self.chassis));
        put(&mut out, tlv::PORT_ID, &identifier(&self.port));
        put(&mut out, tlv::TIME_TO_LIVE, &self.ttl.to_be_bytes());
        for (kind, text) in
            [(tlv::SYSTEM_NAME, &self.system_name), (tlv::SYSTEM_DESCRIPTION, &self.system_description)]
        {
            put_text(&mut out, kind, text);
        }
        let Capabilities { available, enabled } = self.capabilities;
        put(&mut out, tlv::CAPABILITIES, &[available.to_be_bytes(), enabled.to_be_bytes()].concat());
        put_text(&mut out, tlv::PORT_DESCRIPTION, &self.port_description);
        if let Some(element) = &self.element {
            put(&mut out, tlv::ORGANIZATION, &element.value());
        }
        for some in self.assignments.chunks(MAX_ASSIGNMENTS) {
            let mut value = auto_attach(SUBTYPE_ASSIGNMENTS);
            for assignment in some {
                value.extend((u16::from(assignment.status) << 12 | assignment.vlan & 0xfff).to_be_bytes());
                let [_, isid @ ..] = assignment.isid.to_be_bytes();
                value.extend(isid);
            }
            put(&mut out, tlv::ORGANIZATION, &value);
        }
        put(&mut out, tlv::END, &[]);
        out
    }
}

/// A TLV at the end of `out`; what does not fit is cut.
fn put(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = value.get(..MAX_VALUE_LEN).unwrap_or(value);
    out.extend((u16::from(kind) << 9 | value.len() as u16).to_be_bytes());
    out.extend(value);
}

fn put_text(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    if !text.is_empty() {
        put(out, kind, text);
    }
}

/// What a TLV of auto-attach begins with.
fn auto_attach(subtype: u8) -> Vec<u8> {
    let mut value = AUTO_ATTACH.to_vec();
    value.push(subtype);
    value.extend([0; DIGEST_LEN]);
    value
}

impl Element {
    fn value(&self) -> Vec<u8> {
        let state = u32::from(self.is_tagged) << 5 | u32::from(self.provisioning & 3) << 3;
        let kind = u32::from(self.kind & 0x3f);
        let mut value = auto_attach(SUBTYPE_ELEMENT);
        value.extend((kind << 26 | state << 20 | u32::from(self.management_vlan & 0xfff) << 8).to_be_bytes());
        value.extend(self.system.mac.0);
        let SystemId { connection, reserved, rest, .. } = self.system;
        value.extend((u16::from(connection & 7) << 13 | reserved & 0x3ff).to_be_bytes());
        value.extend(rest);
        value
    }

    /// Reads what is behind the digest.
    fn read(input: &mut Reader<'_>) -> Option<Element> {
        let word = input.u32()?;
        let mac = input.mac()?;
        let system = input.u16()?;
        Some(Element {
            kind: (word >> 26) as u8,
            is_tagged: word >> 25 & 1 == 1,
            provisioning: (word >> 23 & 3) as u8,
            management_vlan: (word >> 8 & 0xfff) as u16,
            system: SystemId {
                mac,
                connection: (system >> 13) as u8,
                reserved: system & 0x3ff,
                rest: [input.u8()?, input.u8()?],
            },
        })
    }
}

/// A unit of which some TLVs are read.
#[derive(Default)]
struct Reading {
    unit: Unit,
    /// How many TLVs there were.
    count: usize,
    unrecognized: u64,
    has_ended: bool,
    /// One of the first three is another.
    has_missing: bool,
}

impl Reading {
    fn take(&mut self, kind: u8, value: &[u8]) -> Result<(), Malformed> {
        self.count += 1;
        self.check_place(kind)?;
        let mut input = Reader::new(value);
        match kind {
            tlv::END if value.is_empty() => self.has_ended = true,
            tlv::END => return Err(Malformed::End),
            tlv::CHASSIS_ID => self.unit.chassis = identifier(value)?,
            tlv::PORT_ID => self.unit.port = identifier(value)?,
            tlv::TIME_TO_LIVE => self.unit.ttl = input.u16().ok_or(Malformed::Short("TTL"))?,
            tlv::PORT_DESCRIPTION => set_text(&mut self.unit.port_description, value),
            tlv::SYSTEM_NAME => set_text(&mut self.unit.system_name, value),
            tlv::SYSTEM_DESCRIPTION => set_text(&mut self.unit.system_description, value),
            tlv::CAPABILITIES => {
                let mut word = || input.u16().ok_or(Malformed::Short("System capabilities"));
                self.unit.capabilities = Capabilities { available: word()?, enabled: word()? };
            }
            tlv::MANAGEMENT_ADDRESS => check_address(value)?,
            tlv::ORGANIZATION => self.take_organization(value)?,
            _ => self.unrecognized += 1,
        }
        Ok(())
    }

    fn check_place(&mut self, kind: u8) -> Result<(), Malformed> {
        const FIRST: [(u8, &str, &str); 3] = [
            (tlv::CHASSIS_ID, "Chassis ID", "first"),
            (tlv::PORT_ID, "Port ID", "second"),
            (tlv::TIME_TO_LIVE, "TTL", "third"),
        ];
        let expected = FIRST.get(self.count - 1).map(|(kind, ..)| *kind);
        self.has_missing |= expected.is_some_and(|expected| expected != kind);
        match FIRST.iter().find(|(known, ..)| *known == kind) {
            Some((_, name, place)) if expected != Some(kind) => {
                Err(Malformed::Place(name, place, self.count))
            }
            _ => Ok(()),
        }
    }

    fn take_organization(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let mut input = Reader::new(value);
        let short = || Malformed::Short("Organisational");
        let organization = input.take(AUTO_ATTACH.len()).ok_or_else(short)?;
        let subtype = input.u8().ok_or_else(short)?;
        if organization != AUTO_ATTACH {
            self.unrecognized += 1;
            return Ok(());
        }
        let (name, least) = match subtype {
            SUBTYPE_ELEMENT => ("ELEMENT", ELEMENT_LEN),
            SUBTYPE_ASSIGNMENTS => ("ISID_VLAN_ASGNS", ASSIGNMENTS_AT),
            _ => {
                self.unrecognized += 1;
                return Ok(());
            }
        };
        let short = Malformed::Short(name);
        let mut input = Reader::new(value.get(ASSIGNMENTS_AT..).ok_or(short)?);
        if value.len() < least {
            return Err(short);
        }
        if subtype == SUBTYPE_ELEMENT {
            self.unit.element = Some(Element::read(&mut input).ok_or(short)?);
            return Ok(());
        }
        let (assignments, []) = input.rest().as_chunks::<ASSIGNMENT_LEN>() else {
            return Err(Malformed::Assignments);
        };
        let room = MOST_READ.saturating_sub(self.unit.assignments.len());
        self.unit.assignments.extend(assignments.iter().take(room).map(|[high, low, isid @ ..]| {
            Assignment {
                status: high >> 4,
                vlan: u16::from_be_bytes([high & 0xf, *low]),
                isid: u32::from_be_bytes([0, isid[0], isid[1], isid[2]]),
            }
        }));
        Ok(())
    }
}

fn set_text(text: &mut Vec<u8>, value: &[u8]) {
    if !value.is_empty() {
        *text = value.to_vec();
    }
}

fn identifier(value: &[u8]) -> Result<Identifier, Malformed> {
    let (subtype, bytes) = value.split_first().ok_or(Malformed::Short("Port/Chassis Id"))?;
    match bytes.len() {
        0 => Err(Malformed::Short("Port/Chassis Id")),
        1..=MAX_NAME_LEN if (1..=subtype::LAST).contains(subtype) => {
            Ok(Identifier { subtype: *subtype, bytes: bytes.to_vec() })
        }
        1..=MAX_NAME_LEN => Err(Malformed::Subtype),
        _ => Err(Malformed::Long),
    }
}

/// Nobody asks for the addresses of management, but those that are none make the unit none.
fn check_address(value: &[u8]) -> Result<(), Malformed> {
    /// The numbers of IPv4 and IPv6, and the most bytes of an address of either.
    const FAMILIES: std::ops::RangeInclusive<u8> = 1..=2;
    const LONGEST: usize = 16;
    let short = Malformed::Short("Management address");
    let mut input = Reader::new(value);
    let len = input.u8().ok_or(short)?;
    if !(1..=MAX_ADDRESS_LEN).contains(&len) {
        return Err(Malformed::AddressLen);
    }
    let address = input.take(len.into()).ok_or(short)?;
    // The number of an interface, and what kind of number it is.
    input.take(5).ok_or(short)?;
    match address {
        [family, address @ ..] if FAMILIES.contains(family) && address.len() > LONGEST => {
            Err(Malformed::Address)
        }
        _ => Ok(()),
    }
}

impl TypedForm for Unit {
    fn parse(bytes: &[u8]) -> Option<Unit> {
        Unit::read(bytes).ok().map(|(unit, _)| unit)
    }

    fn header_len(&self) -> usize {
        self.tlvs().len()
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.bytes(&self.tlvs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> Unit {
        Unit {
            chassis: Identifier { subtype: subtype::CHASSIS_MAC, bytes: vec![2, 0, 0, 0, 0, 1] },
            port: Identifier { subtype: subtype::PORT_INTERFACE_NAME, bytes: b"eth0".to_vec() },
            ttl: 120,
            ..Unit::default()
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.bytes().filter_map(|c| char::from(c).to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn read(bytes: &[u8]) -> Result<(Unit, u64), String> {
        Unit::read(bytes).map_err(|error| error.text("p1"))
    }

    #[test]
    fn a_unit_has_these_bytes() {
        let mut unit = unit();
        unit.system_name = b"ab".to_vec();
        unit.capabilities = Capabilities { available: 4, enabled: 4 };
        unit.element = Some(Element {
            kind: 14,
            system: SystemId { mac: MacAddr([2, 0, 0, 0, 0, 1]), ..SystemId::default() },
            ..Element::default()
        });
        unit.assignments = vec![Assignment { status: 2, vlan: 0x123, isid: 0x0a_0b0c }];
        let expected = "0207 04 020000000001 0405 05 65746830 0602 0078 0a02 6162 0e04 0004 0004 \
             fe32 00040d 0b 0000000000000000000000000000000000000000000000000000000000000000 \
             38000000 020000000001 0000 0000 \
             fe29 00040d 0c 0000000000000000000000000000000000000000000000000000000000000000 2123 0a0b0c \
             0000";
        assert_eq!(unit.to_bytes(), hex(expected));
        let frame = unit.frame(MacAddr([2, 0, 0, 0, 0, 9]));
        assert_eq!(frame[..14], hex("0180c200000e 020000000009 88cc"));
        assert_eq!(read(&frame[14..]), Ok((unit, 0)));
    }

    #[test]
    fn what_is_not_understood_is_counted_and_does_no_harm() {
        let bytes = unit().to_bytes();
        let (start, _end) = bytes.split_at(bytes.len() - 2);
        let unknown = "1202 0102 fe05 0080c2 01 00 fe04 00040d 63";
        let address = "100c 05 01 0a000001 02 00000003 00";
        let more = [start, &hex(&format!("{unknown} 0a00 {address} 0000 ffff"))].concat();
        assert_eq!(read(&more), Ok((unit(), 3)));
    }

    #[test]
    fn what_is_no_unit_says_why() {
        let refused = |bytes: &str| read(&hex(bytes)).unwrap_err();
        assert_eq!(refused(""), "some mandatory tlv are missing for frame received on p1");
        assert_eq!(refused("0207"), "frame too short for tlv received on p1");
        assert_eq!(refused("02"), "tlv header too short received on p1");
        assert_eq!(refused("0402 05 65"), "Port ID TLV should be second on p1, but it is on position 1");
        assert_eq!(refused("0202 04 02 0602 0078"), "TTL TLV should be third on p1, but it is on position 2");
        assert_eq!(refused("0201 04"), "Port/Chassis Id TLV too short received on p1");
        assert_eq!(refused("0202 08 02"), "unknown subtype for tlv id received on p1");
        assert_eq!(refused("0001 00"), "lldp end received with size not null on p1");
        let start = "0202 04 02 0402 05 65 0602 0078";
        let after = |bytes: &str| refused(&format!("{start} {bytes}"));
        assert_eq!(after(""), "some mandatory tlv are missing for frame received on p1");
        assert_eq!(after("fe05 00040d 0c 01 0000"), "ISID_VLAN_ASGNS TLV too short received on p1");
        assert_eq!(after("fe05 00040d 0b 01 0000"), "ELEMENT TLV too short received on p1");
        assert_eq!(after("fe03 00040d 0000"), "Organisational TLV too short received on p1");
        assert_eq!(after("1001 00 0000"), "invalid management address length on p1");
        assert_eq!(after("1006 05 010a000001 0000"), "Management address TLV too short received on p1");
        assert_eq!(after("0e02 0004 0000"), "System capabilities TLV too short received on p1");
        let digest = "00".repeat(32);
        assert_eq!(
            after(&format!("fe25 00040d 0c {digest} 21 0000")),
            "malformed vlan-isid mappings tlv received on p1"
        );
    }

    #[test]
    fn a_unit_may_miss_nothing_of_the_first_three() {
        assert_eq!(Unit::read(&hex("0a01 61 0a01 61 0a01 61 0000")), Err(Malformed::Incomplete));
        assert_eq!(Unit::read(&hex("0202 04 02 0402 05 65 0000")), Err(Malformed::Incomplete));
    }

    #[test]
    fn assignments_that_one_tlv_has_no_room_for_go_into_others() {
        let assignment = |isid| Assignment { status: 0, vlan: 7, isid };
        let unit = Unit { assignments: (0..200).map(assignment).collect(), ..unit() };
        assert_eq!(read(&unit.to_bytes()), Ok((unit.clone(), 0)));
        let many = Unit { assignments: (0..2000).map(assignment).collect(), ..unit };
        assert_eq!(read(&many.to_bytes()).unwrap().0.assignments.len(), MOST_READ);
    }
}
