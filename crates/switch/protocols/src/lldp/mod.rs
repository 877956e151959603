//! Link layer discovery (IEEE 802.1AB): neighbours learn who is at the other end of a link, and by auto-attach
//! (IEEE 802.1Qcj) which services VLANs belong to.
//!
//! Times are milliseconds on the switch's clock.

mod show;

use std::collections::BTreeMap;

use base::MacAddr;
use wire::lldp::{
    Assignment, Capabilities, DESTINATION, ETHER_TYPE, Element, Identifier, SystemId, Unit, capability,
    subtype,
};

/// Milliseconds between units.
const INTERVAL: i64 = 5000;
/// For how many seconds a unit of ours holds.
const TIME_TO_LIVE: u16 = 120;
/// The most neighbours of a port.
const MOST_NEIGHBOURS: usize = 64;
/// Bytes of the shortest frame that is looked at: an Ethernet header and two TLVs.
const LEAST_LEN: usize = 18;

/// What a port says of the switch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// At most [`wire::lldp::MAX_NAME_LEN`] bytes; empty: it says none.
    pub system_name: String,
    /// The same.
    pub system_description: String,
    /// The VLANs of services (I-SID): at most [`wire::lldp::MAX_ASSIGNMENTS`].
    pub mappings: BTreeMap<u32, u16>,
}

/// What a port has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counters {
    sent: u64,
    received: u64,
    /// Frames that are no units.
    discarded: u64,
    /// TLVs that were not understood.
    unrecognized: u64,
    /// Neighbours that were not heard any more.
    aged: u64,
    inserted: u64,
    /// Neighbours that went, or were not heard any more.
    deleted: u64,
    /// Units of neighbours that there was no room for.
    dropped: u64,
}

/// What was heard of a neighbour last.
#[derive(Debug)]
struct Neighbour {
    unit: Unit,
    expires_at: i64,
}

impl Neighbour {
    fn is(&self, unit: &Unit) -> bool {
        (&self.unit.chassis, &self.unit.port) == (&unit.chassis, &unit.port)
    }
}

/// What a port says and hears.
#[derive(Debug)]
pub struct Session {
    name: String,
    settings: Settings,
    next_tx: i64,
    /// The one that changed last is the last.
    neighbours: Vec<Neighbour>,
    counters: Counters,
}

impl Session {
    /// A session that knows no neighbours yet, for interface `name`.
    pub fn new(name: &str, settings: Settings, now: i64) -> Session {
        Session {
            name: name.to_owned(),
            settings,
            next_tx: now,
            neighbours: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Takes over other settings, and tells neighbours of them.
    pub fn configure(&mut self, settings: Settings, now: i64) {
        if self.settings != settings {
            self.settings = settings;
            self.next_tx = now;
        }
    }

    /// When [`Session::run`] or [`Session::frame`] has something to do next.
    pub fn wakes_at(&self) -> i64 {
        self.neighbours.iter().map(|neighbour| neighbour.expires_at).fold(self.next_tx, i64::min)
    }

    /// Forgets neighbours whose last unit does not hold any more.
    pub fn run(&mut self, now: i64) {
        let before = self.neighbours.len();
        self.neighbours.retain(|neighbour| now < neighbour.expires_at);
        let aged = (before - self.neighbours.len()) as u64;
        self.counters.aged += aged;
        self.counters.deleted += aged;
    }

    /// The frame that is to be sent at `now`, if one is, from a port with address `mac`.
    pub fn frame(&mut self, mac: MacAddr, now: i64) -> Option<Vec<u8>> {
        if now < self.next_tx {
            return None;
        }
        self.next_tx = now + INTERVAL;
        self.counters.sent += 1;
        Some(self.unit(mac).frame(mac))
    }

    fn unit(&self, mac: MacAddr) -> Unit {
        let settings = &self.settings;
        let assignment = |(isid, vlan): (&u32, &u16)| Assignment { status: 0, vlan: *vlan, isid: *isid };
        Unit {
            chassis: Identifier { subtype: subtype::CHASSIS_MAC, bytes: mac.0.to_vec() },
            port: Identifier { subtype: subtype::PORT_INTERFACE_NAME, bytes: self.name.as_bytes().to_vec() },
            ttl: TIME_TO_LIVE,
            system_name: settings.system_name.as_bytes().to_vec(),
            system_description: settings.system_description.as_bytes().to_vec(),
            port_description: Vec::new(),
            capabilities: Capabilities { available: capability::BRIDGE, enabled: capability::BRIDGE },
            element: Some(Element {
                kind: Element::CLIENT_VIRTUAL_SWITCH,
                system: SystemId { mac, ..SystemId::default() },
                ..Element::default()
            }),
            assignments: settings.mappings.iter().map(assignment).collect(),
        }
    }

    /// Takes a frame that translation has recognised.
    pub fn receive(&mut self, frame: &[u8], now: i64) {
        self.counters.received += 1;
        if frame.len() < LEAST_LEN {
            self.counters.discarded += 1;
            return;
        }
        let Some(bytes) = content(frame) else { return };
        match Unit::read(bytes) {
            Ok((unit, unrecognized)) => self.hear(unit, unrecognized, now),
            Err(malformed) => {
                self.counters.discarded += 1;
                log::warn!(target: base::bounded!("lldp", 20), "{}", malformed.text(&self.name));
            }
        }
    }

    fn hear(&mut self, unit: Unit, unrecognized: u64, now: i64) {
        let expires_at = now + i64::from(unit.ttl) * 1000;
        let known = self.neighbours.iter().position(|neighbour| neighbour.is(&unit));
        if let Some(neighbour) = known.and_then(|at| self.neighbours.get_mut(at))
            && neighbour.unit == unit
        {
            neighbour.expires_at = expires_at;
            return;
        }
        self.counters.unrecognized += unrecognized;
        if let Some(at) = known {
            self.neighbours.remove(at);
        }
        if unit.ttl == 0 {
            self.counters.deleted += u64::from(known.is_some());
            return;
        }
        if self.neighbours.len() >= MOST_NEIGHBOURS {
            self.counters.dropped += 1;
            return;
        }
        self.counters.inserted += u64::from(known.is_none());
        self.neighbours.push(Neighbour { unit, expires_at });
    }
}

/// The unit of a frame; `None` where it goes to another address.
fn content(frame: &[u8]) -> Option<&[u8]> {
    let destination = wire::ethernet::Ethernet::parse(frame)?.dst();
    let (at, ether_type) = wire::ethernet::type_behind_tags(frame)?;
    ((destination, ether_type) == (DESTINATION, ETHER_TYPE)).then(|| frame.get(at + 2..))?
}

#[cfg(test)]
mod tests;
