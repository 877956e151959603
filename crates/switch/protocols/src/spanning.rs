//! A bridge's spanning tree, of either kind: what both have in common, and what translation sees of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::OfPort;
use pipeline::{SpanningPort, SpanningState, SpanningTree};

pub use crate::tree::{Flush, Outcome, address, priority, state_name};
use crate::{rstp, stp};

/// What a bridge is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settings {
    /// By the protocol of 1998.
    Stp(stp::Settings, BTreeMap<OfPort, stp::PortSettings>),
    /// By the rapid one.
    Rstp(rstp::Settings, BTreeMap<OfPort, rstp::PortSettings>),
}

impl Settings {
    /// Which protocol it is.
    pub fn kind(&self) -> SpanningTree {
        match self {
            Settings::Stp(..) => SpanningTree::Stp,
            Settings::Rstp(..) => SpanningTree::Rstp,
        }
    }

    /// The ports that take part.
    pub fn ports(&self) -> Vec<OfPort> {
        match self {
            Settings::Stp(_, ports) => ports.keys().copied().collect(),
            Settings::Rstp(_, ports) => ports.keys().copied().collect(),
        }
    }

    /// The interfaces of the ports that take part.
    fn names(&self) -> BTreeMap<OfPort, String> {
        match self {
            Settings::Stp(_, ports) => ports.iter().map(|(port, one)| (*port, one.name.clone())).collect(),
            Settings::Rstp(_, ports) => ports.iter().map(|(port, one)| (*port, one.name.clone())).collect(),
        }
    }
}

/// What the database shows of a bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Of the protocol of 1998.
    Stp(stp::Status),
    /// Of the rapid one.
    Rstp(rstp::Status),
}

/// What the database shows of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortStatus {
    /// Of the protocol of 1998.
    Stp(stp::PortStatus, stp::Counts),
    /// Of the rapid one.
    Rstp(rstp::PortStatus, rstp::Counts),
}

#[derive(Debug)]
enum Machine {
    Stp(stp::Bridge),
    Rstp(rstp::Bridge),
}

/// A port as translation sees it.
#[derive(Debug)]
struct Shown {
    name: String,
    state: Arc<SpanningPort>,
}

/// The tree of a bridge.
#[derive(Debug)]
pub struct Tree {
    name: String,
    machine: Machine,
    shown: BTreeMap<OfPort, Shown>,
    waiting: Outcome,
    /// What operators saw when they were notified last.
    told: Vec<PortStatus>,
    told_bridge: Option<Status>,
}

impl Tree {
    /// That of a bridge of this name.
    pub fn new(name: &str, settings: &Settings, now: i64) -> Tree {
        let machine = match settings {
            Settings::Stp(bridge, _) => Machine::Stp(stp::Bridge::new(name, bridge, now)),
            Settings::Rstp(bridge, _) => Machine::Rstp(rstp::Bridge::new(name, bridge, now)),
        };
        let mut tree = Tree {
            name: name.to_owned(),
            machine,
            shown: BTreeMap::new(),
            waiting: Outcome::default(),
            told: Vec::new(),
            told_bridge: None,
        };
        tree.configure(settings, now);
        tree
    }

    /// Which protocol it is.
    pub fn kind(&self) -> SpanningTree {
        match &self.machine {
            Machine::Stp(_) => SpanningTree::Stp,
            Machine::Rstp(_) => SpanningTree::Rstp,
        }
    }

    /// The name of its bridge.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes over other settings, which are of the same kind.
    pub fn configure(&mut self, settings: &Settings, now: i64) {
        match (&mut self.machine, settings) {
            (Machine::Stp(bridge), Settings::Stp(wanted, ports)) => {
                bridge.configure(wanted, now);
                bridge.set_ports(ports, now);
            }
            (Machine::Rstp(bridge), Settings::Rstp(wanted, ports)) => {
                bridge.configure(wanted);
                bridge.set_ports(ports);
            }
            (Machine::Stp(_), Settings::Rstp(..)) | (Machine::Rstp(_), Settings::Stp(..)) => {
                base::broken!("a spanning tree was to become one of the other kind");
                return;
            }
        }
        let mut names = settings.names();
        let gone: Vec<OfPort> = self.shown.keys().filter(|port| !names.contains_key(port)).copied().collect();
        for port in gone {
            self.remove(port);
        }
        for (port, shown) in &mut self.shown {
            if let Some(name) = names.remove(port) {
                shown.name = name;
            }
        }
        let new = names.into_iter().map(|(port, name)| (port, Shown { name, state: Arc::default() }));
        self.shown.extend(new);
    }

    /// A port takes no part any more.
    pub fn remove(&mut self, port: OfPort) {
        match &mut self.machine {
            Machine::Stp(bridge) => bridge.remove_port(port),
            Machine::Rstp(bridge) => bridge.remove_port(port),
        }
        let kind = self.kind();
        if let Some(shown) = self.shown.remove(&port) {
            self.waiting.add(shown.follow(kind, port, SpanningState::Disabled));
        }
    }

    /// The tree goes. Returns what is to be done.
    pub fn end(&mut self) -> Outcome {
        let ports: Vec<OfPort> = self.shown.keys().copied().collect();
        ports.into_iter().for_each(|port| self.remove(port));
        let mut out = std::mem::take(&mut self.waiting);
        out.frames.clear();
        out
    }

    /// A port's link has come up or gone down.
    pub fn set_link(&mut self, port: OfPort, has_link: bool, now: i64) {
        match &mut self.machine {
            Machine::Stp(bridge) => bridge.set_link(port, has_link, now),
            Machine::Rstp(bridge) => bridge.set_link(port, has_link),
        }
    }

    /// Takes a frame that a port received.
    pub fn receive(&mut self, port: OfPort, frame: &[u8], now: i64) {
        let bytes = wire::stp::payload(frame).unwrap_or(&[]);
        match &mut self.machine {
            Machine::Stp(bridge) => bridge.receive(port, bytes, now),
            Machine::Rstp(bridge) => bridge.receive(port, bytes),
        }
    }

    /// Does what it is time for, and returns what is to be done by others.
    pub fn run(&mut self, now: i64) -> Outcome {
        let mut out = std::mem::take(&mut self.waiting);
        let states: Vec<(OfPort, SpanningState)> = match &mut self.machine {
            Machine::Stp(bridge) => {
                bridge.run(now);
                out.add(bridge.take_outcome());
                bridge.states().collect()
            }
            Machine::Rstp(bridge) => {
                bridge.run(now);
                out.add(bridge.take_outcome());
                bridge.states().collect()
            }
        };
        let kind = self.kind();
        for (port, state) in states {
            if let Some(shown) = self.shown.get(&port) {
                out.add(shown.follow(kind, port, state));
            }
        }
        let told =
            self.shown.keys().filter_map(|port| self.port_status(*port)).map(PortStatus::without_counts);
        let told: Vec<PortStatus> = told.collect();
        let bridge = Some(self.status());
        if told != self.told || bridge != self.told_bridge {
            (self.told, self.told_bridge) = (told, bridge);
            out.has_news = true;
        }
        out.settle();
        out
    }

    /// When [`Tree::run`] has something to do next.
    pub fn wakes_at(&self) -> i64 {
        match &self.machine {
            Machine::Stp(bridge) => bridge.wakes_at(),
            Machine::Rstp(bridge) => bridge.wakes_at(),
        }
    }

    /// What translation sees of the ports.
    pub fn ports(&self) -> BTreeMap<OfPort, Arc<SpanningPort>> {
        self.shown.iter().map(|(port, shown)| (*port, Arc::clone(&shown.state))).collect()
    }

    /// An operator has it act as if the topology had changed.
    pub fn notify_change(&mut self, now: i64) {
        match &mut self.machine {
            Machine::Stp(bridge) => bridge.notify_change(now),
            // The reference has its state machines look again, and there is nothing for them to see.
            Machine::Rstp(bridge) => bridge.look_again(),
        }
    }

    /// The text of `stp/show` or `rstp/show`.
    pub fn details(&self) -> String {
        match &self.machine {
            Machine::Stp(bridge) => bridge.details(),
            Machine::Rstp(bridge) => bridge.details(),
        }
    }

    /// What the database shows of the bridge.
    pub fn status(&self) -> Status {
        match &self.machine {
            Machine::Stp(bridge) => Status::Stp(bridge.status()),
            Machine::Rstp(bridge) => Status::Rstp(bridge.status()),
        }
    }

    /// What the database shows of a port.
    pub fn port_status(&self, port: OfPort) -> Option<PortStatus> {
        match &self.machine {
            Machine::Stp(bridge) => {
                bridge.port_status(port).map(|(status, counts)| PortStatus::Stp(status, counts))
            }
            Machine::Rstp(bridge) => {
                bridge.port_status(port).map(|(status, counts)| PortStatus::Rstp(status, counts))
            }
        }
    }
}

impl PortStatus {
    /// Of which operators are not notified at every change.
    fn without_counts(self) -> PortStatus {
        match self {
            PortStatus::Stp(status, _) => PortStatus::Stp(status, stp::Counts::default()),
            PortStatus::Rstp(status, _) => PortStatus::Rstp(status, rstp::Counts::default()),
        }
    }
}

impl Shown {
    /// From now on the port does this.
    fn follow(&self, kind: SpanningTree, port: OfPort, state: SpanningState) -> Outcome {
        let before = self.state.state();
        let mut out = Outcome::default();
        if before == state {
            return out;
        }
        let kind_name = kind.name();
        let (old, new) = (state_name(kind, before), state_name(kind, state));
        out.notes.push(format!("port {}: {kind_name} state changed from {old} to {new}", self.name));
        self.state.set_state(state);
        (out.has_changed, out.has_news) = (true, true);
        if before.learns() != state.learns() {
            out.flush(match kind {
                SpanningTree::Stp => Flush::All,
                SpanningTree::Rstp => Flush::Port(port),
            });
        }
        out
    }
}

#[cfg(test)]
pub(crate) mod tests;
