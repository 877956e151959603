//! The spanning tree protocol (IEEE 802.1D-1998, clause 8): of all paths between bridges, one remains.
//!
//! Enters: settings, links, units, time in milliseconds. Leaves: units to send, the state of each port, and when learned
//! addresses are to be forgotten. Names in parentheses are the standard's.

mod election;
mod port;
mod show;

use std::collections::BTreeMap;

use base::{MacAddr, OfPort};
use pipeline::SpanningState;
use wire::stp::{Bpdu, Config, flag};

use crate::tree::{Flush, Outcome, Vector, identifier};
use port::Port;
pub use port::{Counts, PortSettings, PortStatus, Role, cost_of_speed};

/// Ports that a bridge can have.
pub const MAX_PORTS: u16 = 255;

/// Units of time in a second, as units of the protocol have it.
const SECOND: i64 = 256;
/// Least time between two configurations (hold time).
const HOLD: i64 = SECOND;
/// What a bridge adds to the age of what it hands on.
const AGE_STEP: i64 = 1;

/// What a bridge is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The address part of its identifier.
    pub system: MacAddr,
    /// The lesser, the more it is to be the root.
    pub priority: u16,
    /// Milliseconds between configurations, if it is the root, as those below.
    pub hello_ms: i64,
    /// Milliseconds after which what was heard is void.
    pub max_age_ms: i64,
    /// Milliseconds from state to state.
    pub forward_delay_ms: i64,
}

/// The times of a tree, in units of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Times {
    max_age: i64,
    hello: i64,
    forward_delay: i64,
}

/// Since when a timer runs, if it does.
type Timer = Option<i64>;

/// What operators see of a bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Its identifier.
    pub bridge: u64,
    /// The root's.
    pub root: u64,
    /// The cost of the path there.
    pub cost: u32,
}

/// A bridge.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    id: u64,
    /// Its times, if it is the root.
    own: Times,
    /// Those of the root.
    times: Times,
    root: u64,
    cost: u32,
    root_port: Option<u16>,
    has_detected_change: bool,
    is_changing: bool,
    hello: Timer,
    notification: Timer,
    change: Timer,
    ports: BTreeMap<u16, Port>,
    /// In units of the protocol.
    now: i64,
    now_ms: i64,
    out: Outcome,
}

impl Bridge {
    /// Without ports. It takes itself for the root.
    pub fn new(name: &str, settings: &Settings, now: i64) -> Bridge {
        let id = identifier(settings.priority, settings.system);
        let own = settings.times();
        Bridge {
            name: name.to_owned(),
            id,
            own,
            times: own,
            root: id,
            cost: 0,
            root_port: None,
            has_detected_change: false,
            is_changing: false,
            // It is over at once.
            hello: Some(units(now) - own.hello),
            notification: None,
            change: None,
            ports: BTreeMap::new(),
            now: units(now),
            now_ms: now,
            out: Outcome::default(),
        }
    }

    /// Takes over other settings.
    pub fn configure(&mut self, settings: &Settings, now: i64) {
        self.set_now(now);
        self.own = settings.times();
        if self.is_root() {
            self.times = self.own;
        }
        let id = identifier(settings.priority, settings.system);
        if id == self.id {
            return;
        }
        let was_root = self.is_root();
        for port in self.ports.values_mut().filter(|port| port.is_designated(self.id)) {
            port.best.bridge = id;
        }
        self.id = id;
        self.recompute();
        if self.is_root() && !was_root {
            self.become_root();
        }
    }

    /// Makes these the ports. One that is new, or has another number, has no link before [`Bridge::set_link`].
    pub fn set_ports(&mut self, wanted: &BTreeMap<OfPort, PortSettings>, now: i64) {
        self.set_now(now);
        let gone: Vec<u16> =
            self.ports.values().filter(|port| !port.is_wanted(wanted)).map(Port::number).collect();
        for number in gone {
            self.disable(number);
            self.ports.remove(&number);
        }
        for (of, settings) in wanted {
            let Some(port) = self.ports.get_mut(&settings.number) else {
                let port = Port::new(*of, settings.clone(), self.own_vector(settings.id()), now);
                self.ports.insert(settings.number, port);
                continue;
            };
            let (old_id, old_cost) = (port.id, port.settings.cost);
            port.settings = settings.clone();
            if old_id != settings.id() {
                self.set_port_id(settings.number, settings.id());
            }
            if old_cost != settings.cost {
                self.recompute();
            }
        }
    }

    /// The port's identifier is another one (8.8.5, set port priority).
    fn set_port_id(&mut self, number: u16, id: u16) {
        let (own, vector) = (self.id, self.own_vector(id));
        let Some(port) = self.ports.get_mut(&number) else { return };
        if port.is_designated(own) {
            port.best.port = id;
        }
        port.id = id;
        if port.best.bridge == own && id < port.best.port {
            port.best = vector;
            self.select_states();
        }
    }

    /// A port's link has come up or gone down.
    pub fn set_link(&mut self, of: OfPort, has_link: bool, now: i64) {
        self.set_now(now);
        let Some(port) = self.of(of) else { return };
        let (number, is_disabled) = (port.number(), port.is_disabled());
        if has_link && is_disabled {
            self.enable(number);
        } else if !has_link && !is_disabled {
            self.disable(number);
        }
    }

    /// A port goes.
    pub fn remove_port(&mut self, of: OfPort) {
        let Some(number) = self.of(of).map(Port::number) else { return };
        self.disable(number);
        self.ports.remove(&number);
    }

    fn of(&self, of: OfPort) -> Option<&Port> {
        self.ports.values().find(|port| port.of == of)
    }

    fn enable(&mut self, number: u16) {
        let now = self.now_ms;
        let Some(id) = self.ports.get(&number).map(|port| port.id) else { return };
        let vector = self.own_vector(id);
        if let Some(port) = self.ports.get_mut(&number) {
            *port = Port::new(port.of, port.settings.clone(), vector, now);
            port.set_state(SpanningState::Blocking, now);
        }
        self.select_states();
    }

    fn disable(&mut self, number: u16) {
        let (was_root, now) = (self.is_root(), self.now_ms);
        let Some(port) = self.ports.get(&number).filter(|port| !port.is_disabled()) else { return };
        let (vector, did_learn) = (self.own_vector(port.id), port.state.learns());
        if let Some(port) = self.ports.get_mut(&number) {
            port.best = vector;
            port.set_state(SpanningState::Disabled, now);
            (port.acknowledges, port.is_config_pending) = (false, false);
            (port.message_age, port.forward_delay) = (None, None);
        }
        self.recompute();
        if self.is_root() && !was_root {
            self.become_root();
        }
        if did_learn {
            // What other bridges know to be behind this port is there no more.
            self.detect_change();
        }
    }

    /// Takes a unit that a port received.
    pub fn receive(&mut self, of: OfPort, bytes: &[u8], now: i64) {
        self.set_now(now);
        let Some(number) = self.of(of).filter(|port| !port.is_disabled()).map(Port::number) else { return };
        let is_good = match Bpdu::read(bytes) {
            Ok(Bpdu::Config(config)) => {
                self.receive_config(number, &config);
                true
            }
            Ok(Bpdu::Notification) => {
                self.receive_notification(number);
                true
            }
            Ok(Bpdu::Rapid(_)) => {
                log::warn!(target: base::bounded!("stp", 20), "{}: received BPDU of unexpected type 2", self.name);
                false
            }
            Err(why) => {
                log::warn!(target: base::bounded!("stp", 20), "{}: {why}", self.name);
                false
            }
        };
        if let Some(port) = self.ports.get_mut(&number) {
            port.counts.received += u64::from(is_good);
            port.counts.errors += u64::from(!is_good);
        }
    }

    fn receive_config(&mut self, number: u16, config: &Config) {
        if config.message_age >= config.max_age {
            let (age, most) = (config.message_age, config.max_age);
            log::warn!(
                target: base::bounded!("stp", 20),
                "{}: received config BPDU with message age ({age}) greater than max age ({most})", self.name
            );
            return;
        }
        let (own, was_root, now) = (self.id, self.is_root(), self.now);
        let Some(port) = self.ports.get_mut(&number) else { return };
        if !port.is_superseded(config, own) {
            if port.is_designated(own) {
                self.send_config(number);
            }
            return;
        }
        port.best = Vector::of(config);
        port.message_age = Some(now - i64::from(config.message_age));
        self.recompute();
        if was_root && !self.is_root() {
            self.hello = None;
            if self.has_detected_change {
                self.change = None;
                self.send_notification();
                self.notification = Some(now);
            }
        }
        if self.root_port == Some(number) {
            self.times = Times {
                max_age: config.max_age.into(),
                hello: config.hello_time.into(),
                forward_delay: config.forward_delay.into(),
            };
            self.is_changing = config.flags & flag::TOPOLOGY_CHANGE != 0;
            self.send_configs();
            if config.flags & flag::ACKNOWLEDGEMENT != 0 {
                self.has_detected_change = false;
                self.notification = None;
            }
            if self.is_changing {
                self.out.flush(Flush::All);
            }
        }
    }

    fn receive_notification(&mut self, number: u16) {
        let own = self.id;
        if !self.ports.get(&number).is_some_and(|port| port.is_designated(own)) {
            return;
        }
        self.detect_change();
        if let Some(port) = self.ports.get_mut(&number) {
            port.acknowledges = true;
        }
        self.send_config(number);
    }

    /// Does what it is time for.
    pub fn run(&mut self, now: i64) {
        self.set_now(now);
        let now = self.now;
        let is_over = |timer: Timer, time: i64| timer.is_some_and(|since| now - since >= time);
        if is_over(self.hello, self.times.hello) {
            self.send_configs();
            self.hello = Some(now);
        }
        if is_over(self.notification, self.own.hello) {
            self.send_notification();
            self.notification = Some(now);
        }
        if is_over(self.change, self.times.max_age + self.times.forward_delay) {
            self.change = None;
            (self.has_detected_change, self.is_changing) = (false, false);
        }
        let numbers: Vec<u16> = self.ports.keys().copied().collect();
        for number in &numbers {
            if self.ports.get(number).is_some_and(|port| is_over(port.message_age, self.times.max_age)) {
                self.lose_information(*number);
            }
        }
        for number in numbers {
            if self
                .ports
                .get(&number)
                .is_some_and(|port| is_over(port.forward_delay, self.times.forward_delay))
            {
                self.step_state(number);
            }
            let held = self.ports.get_mut(&number).filter(|port| is_over(port.hold, HOLD));
            if held.is_some_and(|port| {
                port.hold = None;
                port.is_config_pending
            }) {
                self.send_config(number);
            }
        }
    }

    /// When [`Bridge::run`] has something to do next, in milliseconds.
    pub fn wakes_at(&self) -> i64 {
        let bridge = [
            (self.hello, self.times.hello),
            (self.notification, self.own.hello),
            (self.change, self.times.max_age + self.times.forward_delay),
        ];
        let ports = self.ports.values().flat_map(|port| {
            [
                (port.message_age, self.times.max_age),
                (port.forward_delay, self.times.forward_delay),
                (port.hold.filter(|_| port.is_config_pending), HOLD),
            ]
        });
        let ends = bridge.into_iter().chain(ports).filter_map(|(since, time)| Some(since? + time));
        ends.min().map_or(i64::MAX, milliseconds)
    }

    /// What was heard at a port is void (8.7.3).
    fn lose_information(&mut self, number: u16) {
        let was_root = self.is_root();
        let Some(id) = self.ports.get(&number).map(|port| port.id) else { return };
        let vector = self.own_vector(id);
        if let Some(port) = self.ports.get_mut(&number) {
            port.best = vector;
            port.message_age = None;
        }
        self.recompute();
        if self.is_root() && !was_root {
            self.become_root();
        }
    }

    fn step_state(&mut self, number: u16) {
        let (now, now_ms, own) = (self.now, self.now_ms, self.id);
        let Some(port) = self.ports.get_mut(&number) else { return };
        port.forward_delay = None;
        match port.state {
            SpanningState::Listening => {
                port.set_state(SpanningState::Learning, now_ms);
                port.forward_delay = Some(now);
            }
            SpanningState::Learning => {
                port.set_state(SpanningState::Forwarding, now_ms);
                if self.enabled().any(|port| port.best.bridge == own) {
                    self.detect_change();
                }
            }
            SpanningState::Disabled
            | SpanningState::Blocking
            | SpanningState::Discarding
            | SpanningState::Forwarding => {}
        }
    }

    fn become_root(&mut self) {
        self.times = self.own;
        self.detect_change();
        self.notification = None;
        self.send_configs();
        self.hello = Some(self.now);
    }

    /// An operator has it act as if the topology had changed.
    pub fn notify_change(&mut self, now: i64) {
        self.set_now(now);
        self.detect_change();
    }

    fn detect_change(&mut self) {
        if self.is_root() {
            self.is_changing = true;
            self.change = Some(self.now);
        } else if !self.has_detected_change {
            self.send_notification();
            self.notification = Some(self.now);
        }
        self.has_detected_change = true;
        self.out.flush(Flush::All);
        log::info!(target: base::bounded!("stp", 5), "{}: detected topology change.", self.name);
    }

    fn send_configs(&mut self) {
        let own = self.id;
        let designated: Vec<u16> =
            self.enabled().filter(|port| port.is_designated(own)).map(Port::number).collect();
        designated.into_iter().for_each(|number| self.send_config(number));
    }

    fn send_config(&mut self, number: u16) {
        let age = match self.root_port.and_then(|root| self.ports.get(&root)) {
            None if !self.is_root() => return,
            None => 0,
            Some(root) => self.now - root.message_age.unwrap_or(self.now) + AGE_STEP,
        };
        let (times, is_changing) = (self.times, self.is_changing);
        let (root, cost, bridge) = (self.root, self.cost, self.id);
        let Some(port) = self.ports.get_mut(&number) else { return };
        if port.hold.is_some_and(|since| self.now - since < HOLD) {
            port.is_config_pending = true;
            return;
        }
        if age >= times.max_age {
            return;
        }
        let acknowledges = std::mem::take(&mut port.acknowledges);
        port.is_config_pending = false;
        port.hold = Some(self.now);
        port.counts.sent += 1;
        let narrow = |time: i64| u16::try_from(time).unwrap_or(u16::MAX);
        let unit = Bpdu::Config(Config {
            flags: if acknowledges { flag::ACKNOWLEDGEMENT } else { 0 }
                | if is_changing { flag::TOPOLOGY_CHANGE } else { 0 },
            root,
            cost,
            bridge,
            port: port.id,
            message_age: narrow(age),
            max_age: narrow(times.max_age),
            hello_time: narrow(times.hello),
            forward_delay: narrow(times.forward_delay),
        });
        self.out.frames.push((port.of, unit.frame(port.settings.mac)));
    }

    fn send_notification(&mut self) {
        let Some(port) = self.root_port.and_then(|root| self.ports.get_mut(&root)) else { return };
        port.counts.sent += 1;
        self.out.frames.push((port.of, Bpdu::Notification.frame(port.settings.mac)));
    }

    fn enabled(&self) -> impl Iterator<Item = &Port> {
        self.ports.values().filter(|port| !port.is_disabled())
    }

    fn is_root(&self) -> bool {
        self.id == self.root
    }

    /// What it says of itself at a port.
    fn own_vector(&self, port: u16) -> Vector {
        Vector { root: self.root, cost: self.cost, bridge: self.id, port }
    }

    fn set_now(&mut self, now: i64) {
        (self.now, self.now_ms) = (units(now), now);
    }

    /// What is to be done for it.
    pub fn take_outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.out)
    }

    /// What the ports do.
    pub fn states(&self) -> impl Iterator<Item = (OfPort, SpanningState)> {
        self.ports.values().map(|port| (port.of, port.state))
    }

    /// What operators see of it.
    pub fn status(&self) -> Status {
        Status { bridge: self.id, root: self.root, cost: self.cost }
    }

    /// What operators see of a port.
    pub fn port_status(&self, of: OfPort) -> Option<(PortStatus, Counts)> {
        let port = self.of(of)?;
        let status = PortStatus { id: port.id, state: port.state, role: self.role(port), since: port.since };
        Some((status, port.counts))
    }

    fn role(&self, port: &Port) -> Role {
        if self.root_port == Some(port.number()) {
            Role::Root
        } else if port.is_designated(self.id) {
            Role::Designated
        } else if port.is_disabled() {
            Role::Disabled
        } else {
            Role::Alternate
        }
    }
}

impl Settings {
    /// The times, in the limits that the standard sets them, one by the other.
    fn times(&self) -> Times {
        let hello = self.hello_ms.clamp(1000, 10_000);
        let max_age = self.max_age_ms.clamp((2 * (hello + 1000)).max(6000), 40_000);
        let forward_delay = self.forward_delay_ms.clamp(max_age / 2 + 1000, 30_000);
        Times { max_age: units(max_age), hello: units(hello), forward_delay: units(forward_delay) }
    }
}

/// Milliseconds in units of the protocol.
fn units(ms: i64) -> i64 {
    ms.saturating_mul(SECOND).div_euclid(1000)
}

/// The first millisecond at which it is so many units.
fn milliseconds(units: i64) -> i64 {
    (units.saturating_mul(1000) + SECOND - 1).div_euclid(SECOND)
}

#[cfg(test)]
mod tests;
