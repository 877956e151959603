//! The port information machine (clause 17.27): what a port hears of its network, and how long that holds.

use wire::stp::{Bpdu, Config, flag};

use super::port::{Info, Port};
use super::{Env, Times, Wish};
use crate::tree::{Vector, address};

/// What a unit is to a port that knows something already (rcvInfo, clause 17.21.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Heard {
    SuperiorDesignated,
    RepeatedDesignated,
    InferiorDesignated,
    InferiorRootAlternate,
    Other,
}

/// The bits of a port number in its identifier.
const NUMBER: u16 = 0x0fff;

impl Port {
    pub(super) fn update_information(&mut self, env: &Env, wish: &mut Wish) -> bool {
        if !self.is_enabled() {
            if self.info == Info::Disabled && self.message.is_none() {
                return false;
            }
            self.message = None;
            (self.proposing, self.proposed) = (false, false);
            (self.agree, self.agreed) = (false, false);
            self.rcvd_info_while = 0;
            self.ask_selection(Info::Disabled);
            return true;
        }
        match self.info {
            Info::Disabled => self.ask_selection(Info::Aged),
            Info::Aged | Info::Mine | Info::Received if self.selected && self.updt_info => {
                self.take_designated()
            }
            Info::Aged => return false,
            Info::Mine | Info::Received if self.message.is_some() && !self.updt_info => {
                if let Some(unit) = self.message.take() {
                    self.hear(unit, env, wish);
                }
            }
            Info::Received if self.rcvd_info_while == 0 && !self.updt_info => self.ask_selection(Info::Aged),
            Info::Mine | Info::Received => return false,
        }
        true
    }

    fn ask_selection(&mut self, info: Info) {
        self.info = info;
        self.reselect = true;
        self.selected = false;
    }

    /// The state `UPDATE`: it is this bridge that leads the network.
    fn take_designated(&mut self) {
        (self.proposing, self.proposed) = (false, false);
        let is_as_good = self.info == Info::Mine && self.designated_priority <= self.port_priority;
        self.agreed &= is_as_good;
        self.synced &= self.agreed;
        self.port_priority = self.designated_priority;
        self.port_times = self.designated_times;
        self.updt_info = false;
        self.info = Info::Mine;
        self.new_info = true;
    }

    fn hear(&mut self, unit: Bpdu, env: &Env, wish: &mut Wish) {
        let (config, is_designated, is_rapid) = match unit {
            Bpdu::Notification => {
                self.rcvd_tcn = true;
                return;
            }
            Bpdu::Config(config) => (config, true, false),
            Bpdu::Rapid(config) => (config, config.flags & flag::ROLE == flag::ROLE_DESIGNATED, true),
        };
        let (vector, times) = (Vector::of(&config), Times::of(&config));
        let flags = config.flags;
        let agrees = is_rapid && flags & flag::AGREEMENT != 0;
        match self.compare(&vector, times, is_designated) {
            Heard::SuperiorDesignated => {
                // What the others agreed to was said of another root, or of one that a worse bridge took for the way there
                // (802.1Q-2011, checkBPDUConsistency).
                let is_of_another_root = vector.root != self.port_priority.root;
                wish.disagree |= is_rapid && (is_of_another_root || flags & flag::LEARNING != 0);
                (self.agreed, self.proposing) = (false, false);
                self.record_proposal(flags, is_rapid);
                self.set_tc_flags(flags);
                self.agree &= self.info == Info::Received && vector <= self.port_priority;
                self.record_agreement(agrees, env);
                self.synced &= self.agreed;
                self.port_priority = vector;
                self.port_times = Times { hello: times.hello.max(1), ..times };
                self.update_rcvd_info_while();
                self.ask_selection(Info::Received);
            }
            Heard::RepeatedDesignated => {
                self.record_proposal(flags, is_rapid);
                self.set_tc_flags(flags);
                self.record_agreement(agrees, env);
                self.update_rcvd_info_while();
            }
            Heard::InferiorDesignated => {
                // Whoever is worse and learns does not hear this port (recordDispute).
                if is_rapid && flags & flag::LEARNING != 0 {
                    self.disputed = true;
                    self.agreed = false;
                }
            }
            Heard::InferiorRootAlternate => {
                // An agreement about another root, or of another port of this bridge about another way to it, was on its
                // way when this one was heard of.
                let known = &self.port_priority;
                let is_own = address(vector.bridge) == address(known.bridge);
                let is_current = vector.root == known.root && (!is_own || vector.cost == known.cost);
                self.record_agreement(agrees && is_current, env);
                self.set_tc_flags(flags);
            }
            Heard::Other => {}
        }
    }

    /// Superior is also what comes from the very port from which came what is known (clause 17.6).
    fn compare(&self, vector: &Vector, times: Times, is_designated: bool) -> Heard {
        let known = &self.port_priority;
        let is_same = vector == known;
        let is_of_same_port =
            address(vector.bridge) == address(known.bridge) && vector.port & NUMBER == known.port & NUMBER;
        let is_superior = vector < known || is_of_same_port && !is_same;
        match is_designated {
            true if is_superior || is_same && times.heard() != self.port_times => Heard::SuperiorDesignated,
            true if is_same => Heard::RepeatedDesignated,
            true => Heard::InferiorDesignated,
            false if vector >= known => Heard::InferiorRootAlternate,
            false => Heard::Other,
        }
    }

    fn record_proposal(&mut self, flags: u8, is_rapid: bool) {
        self.proposed |= is_rapid && flags & flag::PROPOSAL != 0;
    }

    fn set_tc_flags(&mut self, flags: u8) {
        self.rcvd_tc |= flags & flag::TOPOLOGY_CHANGE != 0;
        self.rcvd_tc_ack |= flags & flag::ACKNOWLEDGEMENT != 0;
    }

    fn record_agreement(&mut self, agrees: bool, env: &Env) {
        self.agreed = env.is_rapid && self.is_point_to_point() && agrees;
        self.proposing &= !self.agreed;
    }

    /// updtRcvdInfoWhile (clause 17.21.23).
    fn update_rcvd_info_while(&mut self) {
        let is_fresh = self.port_times.message_age < self.port_times.max_age;
        self.rcvd_info_while = if is_fresh { 3 * self.port_times.hello } else { 0 };
    }
}

impl Times {
    fn of(config: &Config) -> Times {
        Times {
            message_age: config.message_age / 256,
            max_age: config.max_age / 256,
            hello: config.hello_time / 256,
            forward_delay: config.forward_delay / 256,
        }
    }

    /// As they are kept.
    fn heard(self) -> Times {
        Times { hello: self.hello.max(1), ..self }
    }
}
