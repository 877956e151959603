//! The rapid spanning tree protocol (IEEE 802.1D-2004, clause 17): of all paths between bridges one remains, and another one
//! takes over as soon as the neighbours agree.
//!
//! Enters: settings, links, units, time in milliseconds. Leaves: units to send, the state of each port, and where learned
//! addresses are to be forgotten.
//!
//! The standard's state machines are methods that take one step, if there is one to take: those of a port in `port.rs`
//! (reception, migration, detection of bridges, states, topology changes, transmission), `information.rs` and `roles.rs`
//! (transitions), the bridge's selection of roles in `selection.rs`. [`Bridge::settle`] runs them until none has a step left.
//! Variables have the standard's names (clause 17.19), timers count whole seconds.

mod information;
mod port;
mod roles;
mod selection;
mod show;

use std::collections::BTreeMap;

use base::{MacAddr, OfPort};
use pipeline::SpanningState;
use wire::stp::{Bpdu, flag};

use crate::tree::{Flush, Outcome, Vector, identifier};
use port::Port;

/// Ports that a bridge can have.
pub const MAX_PORTS: u16 = 4095;
/// Seconds between units (Bridge Hello Time): the standard allows no other.
const HELLO: u16 = 2;
/// Seconds for which a port stays with the protocol that it has chosen (Migrate Time).
const MIGRATE: u16 = 3;
/// More steps than this and something is wrong.
const MAX_ROUNDS: usize = 1000;
const SECOND_MS: i64 = 1000;

/// What a bridge is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The address part of its identifier.
    pub address: MacAddr,
    /// The lesser, the more it is to be the root; a multiple of 4096.
    pub priority: u16,
    /// It speaks the rapid protocol, and not only that of 1998.
    pub is_rapid: bool,
    /// Seconds after which what was heard is void, if it is the root, as that below.
    pub max_age: u16,
    /// Seconds from state to state where neighbours do not agree.
    pub forward_delay: u16,
    /// How many units a port may send in a second.
    pub hold_count: u16,
}

/// Whether a port's link has two ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PointToPoint {
    /// It has more, or this is not known.
    No,
    /// It has.
    Yes,
}

/// What a port is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortSettings {
    /// The interface's name.
    pub name: String,
    /// The address that its frames come from.
    pub mac: MacAddr,
    /// From 1 to [`MAX_PORTS`]; `None`: the first that is free.
    pub number: Option<u16>,
    /// The lesser, the more it is to forward; a multiple of 16.
    pub priority: u8,
    /// What a frame costs that leaves by it.
    pub cost: u32,
    /// No bridge is behind it, unless one is heard.
    pub is_edge: bool,
    /// It finds out itself whether no bridge is behind it.
    pub finds_edge: bool,
    /// Whether neighbours can agree there.
    pub point_to_point: PointToPoint,
    /// It may be used.
    pub is_enabled: bool,
    /// It looks again whether its neighbours speak the rapid protocol.
    pub checks_migration: bool,
}

/// What a port is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// It leads to the root.
    Root,
    /// It leads its network to the root.
    Designated,
    /// It would close a loop through other bridges.
    Alternate,
    /// It would close a loop through another port of its own.
    Backup,
    /// It has no link, or may not be used.
    #[default]
    Disabled,
}

impl Role {
    /// Its name, as operators know it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Root => "Root",
            Role::Designated => "Designated",
            Role::Alternate => "Alternate",
            Role::Backup => "Backup",
            Role::Disabled => "Disabled",
        }
    }

    /// The bits that say so in a unit.
    fn flags(self) -> u8 {
        match self {
            Role::Root => flag::ROLE_ROOT,
            Role::Designated => flag::ROLE_DESIGNATED,
            Role::Alternate | Role::Backup => flag::ROLE_ALTERNATE,
            Role::Disabled => 0,
        }
    }
}

/// Times of a tree, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Times {
    message_age: u16,
    max_age: u16,
    hello: u16,
    forward_delay: u16,
}

/// What the machines of a port need to know of their bridge.
#[derive(Clone, Copy, Debug)]
struct Env {
    is_rapid: bool,
    root_times: Times,
    hold_count: u16,
    /// All ports are synced, or the root's (allSynced).
    all_synced: bool,
    /// No other port was the root port a moment ago (reRooted).
    re_rooted: bool,
}

/// What a port asks of the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Wish {
    /// setSyncTree.
    sync: bool,
    /// setReRootTree.
    re_root: bool,
    /// setTcPropTree: of the others alone.
    propagate: bool,
    /// What the others have agreed to does not hold any more.
    disagree: bool,
}

/// What operators see of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortStatus {
    /// Priority and number.
    pub id: u16,
    /// What it is for.
    pub role: Role,
    /// What it does.
    pub state: SpanningState,
    /// The bridge that leads its network to the root.
    pub designated_bridge: u64,
    /// That bridge's port.
    pub designated_port: u16,
    /// The cost from there.
    pub designated_cost: u32,
}

/// What operators see of a bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Its identifier.
    pub bridge: u64,
    /// The root's.
    pub root: u64,
    /// The cost of the path there.
    pub cost: u32,
    /// The bridge that leads it there.
    pub designated_bridge: u64,
    /// That bridge's port.
    pub designated_port: u16,
    /// Its own.
    pub root_port: u16,
}

/// Units that a port has sent and received, and the seconds for which it has been there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Sent.
    pub sent: u64,
    /// Received and understood.
    pub received: u64,
    /// Received and not understood.
    pub errors: u64,
    /// Seconds.
    pub uptime: u64,
}

/// A bridge.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    id: u64,
    settings: Settings,
    root: Vector,
    root_times: Times,
    /// By which port the root is reached.
    root_port: Option<u16>,
    ports: BTreeMap<u16, Port>,
    next_second: i64,
    out: Outcome,
}

impl Bridge {
    /// Without ports. It takes itself for the root.
    pub fn new(name: &str, settings: &Settings, now: i64) -> Bridge {
        let id = identifier(settings.priority, settings.address);
        Bridge {
            name: name.to_owned(),
            id,
            root: Vector { root: id, cost: 0, bridge: id, port: 0 },
            root_times: settings.times(),
            settings: settings.clone(),
            root_port: None,
            ports: BTreeMap::new(),
            next_second: now + SECOND_MS,
            out: Outcome::default(),
        }
    }

    /// Takes over other settings.
    pub fn configure(&mut self, settings: &Settings) {
        if self.settings == *settings {
            return;
        }
        let old = std::mem::replace(&mut self.settings, settings.clone());
        self.id = identifier(settings.priority, settings.address);
        if old.is_rapid != settings.is_rapid {
            // The standard has all begin anew (clause 17.13).
            for port in self.ports.values_mut() {
                *port = port.anew(settings.is_rapid);
            }
            self.root_port = None;
        }
        for port in self.ports.values_mut() {
            (port.selected, port.reselect) = (false, true);
            if old.hold_count != settings.hold_count {
                port.tx_count = 0;
            }
        }
        self.select_roles();
        self.settle();
    }

    /// Makes these the ports. One that is new has no link before [`Bridge::set_link`].
    pub fn set_ports(&mut self, wanted: &BTreeMap<OfPort, PortSettings>) {
        let gone: Vec<u16> = self
            .ports
            .iter()
            .filter(|(_, port)| !wanted.contains_key(&port.of))
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            self.ports.remove(&number);
            self.reselect();
            self.select_roles();
        }
        for (of, settings) in wanted {
            self.set_port(*of, settings);
        }
        self.settle();
    }

    fn set_port(&mut self, of: OfPort, settings: &PortSettings) {
        let known = self.number(of);
        let is_free = |number: &u16| !self.ports.contains_key(number) || known == Some(*number);
        let number = settings.number.filter(is_free).or(known.filter(|_| settings.number.is_none()));
        let Some(number) = number.or_else(|| (1..=MAX_PORTS).find(is_free)) else { return };
        let mut port = match known.and_then(|known| self.ports.remove(&known)) {
            Some(mut port) => {
                if known == Some(number) && port.settings == *settings {
                    self.ports.insert(number, port);
                    return;
                }
                port.configure(settings, self.settings.is_rapid);
                port
            }
            None => Port::new(of, settings, self.settings.is_rapid),
        };
        port.set_number(number);
        self.ports.insert(number, port);
        self.reselect();
    }

    fn reselect(&mut self) {
        for port in self.ports.values_mut() {
            (port.selected, port.reselect) = (false, true);
        }
    }

    /// A port goes.
    pub fn remove_port(&mut self, of: OfPort) {
        if let Some(number) = self.number(of) {
            self.ports.remove(&number);
            self.reselect();
            self.select_roles();
            self.settle();
        }
    }

    /// A port's link has come up or gone down.
    pub fn set_link(&mut self, of: OfPort, has_link: bool) {
        let port = self.number(of).and_then(|number| self.ports.get_mut(&number));
        if let Some(port) = port.filter(|port| port.is_operational != has_link) {
            port.is_operational = has_link;
            self.settle();
        }
    }

    /// Takes a unit that a port received.
    pub fn receive(&mut self, of: OfPort, bytes: &[u8]) {
        let id = self.id;
        let Some(port) = self.number(of).and_then(|number| self.ports.get_mut(&number)) else { return };
        if !port.is_enabled() {
            return;
        }
        match Bpdu::read(bytes).ok().and_then(|unit| port::admit(unit, id, port.id)) {
            Some(unit) => {
                port.counts.received += 1;
                port.received = Some(unit);
                self.settle();
            }
            None => port.counts.errors += 1,
        }
    }

    /// Does what it is time for.
    pub fn run(&mut self, now: i64) {
        if now < self.next_second {
            return;
        }
        self.next_second = now + SECOND_MS;
        self.ports.values_mut().for_each(Port::tick);
        self.settle();
    }

    /// When [`Bridge::run`] has something to do next.
    pub fn wakes_at(&self) -> i64 {
        if self.ports.is_empty() { i64::MAX } else { self.next_second }
    }

    /// Has the machines look again whether there is something to do.
    pub fn look_again(&mut self) {
        self.settle();
    }

    /// Runs the machines until none has a step to take, and sends what is to be sent.
    fn settle(&mut self) {
        let numbers: Vec<u16> = self.ports.keys().copied().collect();
        for round in 0.. {
            let mut has_moved = self.ports.values().any(|port| port.reselect);
            if has_moved {
                self.ports.values_mut().for_each(|port| port.reselect = false);
                self.select_roles();
                self.ports.values_mut().for_each(|port| port.selected = true);
            }
            for number in &numbers {
                let env = self.env(*number);
                let mut wish = Wish::default();
                let Some(port) = self.ports.get_mut(number) else { continue };
                has_moved |= port.step(&env, &mut wish);
                if std::mem::take(&mut port.fdb_flush) {
                    self.out.flush(Flush::Port(port.of));
                }
                self.grant(*number, wish);
            }
            if !has_moved {
                break;
            }
            if round == MAX_ROUNDS {
                base::broken!("the state machines of a spanning tree do not come to rest");
                break;
            }
        }
        for number in numbers {
            let env = self.env(number);
            let Some(port) = self.ports.get_mut(&number) else { continue };
            while let Some(unit) = port.transmit(&env) {
                self.out.frames.push((port.of, unit.frame(port.settings.mac)));
            }
        }
    }

    fn env(&self, of: u16) -> Env {
        let others = || self.ports.iter().filter(|(number, _)| **number != of);
        Env {
            is_rapid: self.settings.is_rapid,
            root_times: self.root_times,
            hold_count: self.settings.hold_count,
            all_synced: self.ports.values().all(Port::is_in_sync),
            re_rooted: others().all(|(_, port)| port.rr_while == 0),
        }
    }

    fn grant(&mut self, asking: u16, wish: Wish) {
        if wish == Wish::default() {
            return;
        }
        for (number, port) in &mut self.ports {
            let is_other = *number != asking;
            port.sync |= wish.sync;
            port.re_root |= wish.re_root;
            port.tc_prop |= wish.propagate && is_other;
            port.agreed &= !(wish.disagree && is_other);
        }
    }

    fn number(&self, of: OfPort) -> Option<u16> {
        self.ports.iter().find(|(_, port)| port.of == of).map(|(number, _)| *number)
    }

    fn is_root(&self) -> bool {
        self.root.bridge == self.id
    }

    /// What is to be done for it.
    pub fn take_outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.out)
    }

    /// What the ports do.
    pub fn states(&self) -> impl Iterator<Item = (OfPort, SpanningState)> {
        self.ports.values().map(|port| (port.of, port.state()))
    }

    /// What operators see of it.
    pub fn status(&self) -> Status {
        let root_port = self.root_port.and_then(|number| self.ports.get(&number)).map_or(0, |port| port.id);
        Status {
            bridge: self.id,
            root: self.root.root,
            cost: self.root.cost,
            designated_bridge: self.root.bridge,
            designated_port: self.root.port,
            root_port,
        }
    }

    /// What operators see of a port.
    pub fn port_status(&self, of: OfPort) -> Option<(PortStatus, Counts)> {
        let port = self.number(of).and_then(|number| self.ports.get(&number))?;
        let status = PortStatus {
            id: port.id,
            role: port.role,
            state: port.state(),
            designated_bridge: port.port_priority.bridge,
            designated_port: port.port_priority.port,
            designated_cost: port.port_priority.cost,
        };
        Some((status, port.counts))
    }
}

/// What a frame costs that leaves by a port of this speed, in Mb/s, unless somebody says otherwise (table 17-3).
pub fn cost_of_speed(mbps: u32) -> u32 {
    match mbps {
        10_000_000.. => 2,
        1_000_000.. => 20,
        100_000.. => 200,
        10_000.. => 2000,
        1000.. => 20_000,
        100.. => 200_000,
        10.. => 2_000_000,
        1.. => 20_000_000,
        0 => 2000,
    }
}

impl Settings {
    /// bridgeTimes.
    fn times(&self) -> Times {
        Times { message_age: 0, max_age: self.max_age, hello: HELLO, forward_delay: self.forward_delay }
    }
}

#[cfg(test)]
mod tests;
