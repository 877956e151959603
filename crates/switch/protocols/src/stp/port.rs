//! A port: what it is asked to do, what it knows of its network, and what operators see of it.

use std::collections::BTreeMap;

use base::{MacAddr, OfPort};
use pipeline::SpanningState;
use wire::stp::Config;

use super::Timer;
use crate::tree::Vector;

/// What a port is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortSettings {
    /// The interface's name.
    pub name: String,
    /// The address that its frames come from.
    pub mac: MacAddr,
    /// From 1 to [`MAX_PORTS`].
    pub number: u16,
    /// The lesser, the more it is to forward.
    pub priority: u8,
    /// What a frame costs that leaves by it.
    pub cost: u16,
}

/// What a frame costs that leaves by a port of this speed, in Mb/s, unless somebody says otherwise (table 8-5).
pub fn cost_of_speed(mbps: u32) -> u16 {
    match mbps {
        10_000.. => 2,
        1000.. => 4,
        100.. => 19,
        16.. => 62,
        10.. => 100,
        4.. => 250,
        0..4 => 2,
    }
}

/// What a port is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It leads to the root.
    Root,
    /// It leads its network to the root.
    Designated,
    /// It would close a loop.
    Alternate,
    /// It takes no part.
    Disabled,
}

impl Role {
    /// Its name, as operators know it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Designated => "designated",
            Role::Alternate => "alternate",
            Role::Disabled => "disabled",
        }
    }
}

/// What operators see of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortStatus {
    /// Priority and number.
    pub id: u16,
    /// What it does.
    pub state: SpanningState,
    /// What it is for.
    pub role: Role,
    /// Since when it does that, in milliseconds.
    pub since: i64,
}

/// Units that a port has sent and received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Sent.
    pub sent: u64,
    /// Received and understood.
    pub received: u64,
    /// Received and not understood.
    pub errors: u64,
}

#[derive(Debug)]
pub(super) struct Port {
    pub of: OfPort,
    pub settings: PortSettings,
    pub id: u16,
    pub state: SpanningState,
    pub since: i64,
    /// The best configuration of its network (designated root, cost, bridge and port).
    pub best: Vector,
    pub acknowledges: bool,
    pub is_config_pending: bool,
    pub message_age: Timer,
    pub forward_delay: Timer,
    pub hold: Timer,
    pub counts: Counts,
}

impl PortSettings {
    pub(super) fn id(&self) -> u16 {
        u16::from(self.priority) << 8 | self.number
    }
}

impl Port {
    pub(super) fn new(of: OfPort, settings: PortSettings, best: Vector, now: i64) -> Port {
        Port {
            of,
            id: settings.id(),
            settings,
            state: SpanningState::Disabled,
            since: now,
            best,
            acknowledges: false,
            is_config_pending: false,
            message_age: None,
            forward_delay: None,
            hold: None,
            counts: Counts::default(),
        }
    }

    pub(super) fn number(&self) -> u16 {
        self.settings.number
    }

    pub(super) fn is_wanted(&self, wanted: &BTreeMap<OfPort, PortSettings>) -> bool {
        wanted.get(&self.of).is_some_and(|settings| settings.number == self.settings.number)
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.state == SpanningState::Disabled
    }

    pub(super) fn is_designated(&self, own: u64) -> bool {
        self.best.bridge == own && self.best.port == self.id
    }

    /// What a path through it leads to.
    pub(super) fn path(&self) -> Vector {
        Vector { cost: self.best.cost.saturating_add(self.settings.cost.into()), ..self.best }
    }

    pub(super) fn is_superseded(&self, config: &Config, own: u64) -> bool {
        let (new, old) = (Vector::of(config), &self.best);
        match (new.root, new.cost, new.bridge).cmp(&(old.root, old.cost, old.bridge)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => new.bridge != own || new.port <= old.port,
        }
    }

    pub(super) fn make_forwarding(&mut self, now: i64, now_ms: i64) {
        if self.state == SpanningState::Blocking {
            self.set_state(SpanningState::Listening, now_ms);
            self.forward_delay = Some(now);
        }
    }

    pub(super) fn set_state(&mut self, state: SpanningState, now: i64) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }
}
