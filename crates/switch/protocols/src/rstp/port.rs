//! A port: its variables, and the state machines that need no more than these.

use base::OfPort;
use pipeline::SpanningState;
use wire::stp::{Bpdu, Config, flag};

use super::{Counts, Env, MIGRATE, PointToPoint, PortSettings, Role, Times, Wish};
use crate::tree::Vector;

/// Where what a port knows of its network comes from (infoIs).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Info {
    Disabled,
    Aged,
    Mine,
    Received,
}

/// The state of the port protocol migration machine (clause 17.24).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Migration {
    CheckingRstp,
    SelectingStp,
    Sensing,
}

/// The state of the topology change machine (clause 17.31).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Inactive,
    Learning,
    Active,
}

/// A port. The variables are those of clause 17.19, the timers those of clause 17.17, in seconds.
#[derive(Debug)]
pub(super) struct Port {
    pub of: OfPort,
    pub settings: PortSettings,
    pub number: u16,
    pub id: u16,
    pub is_operational: bool,
    pub counts: Counts,

    /// rcvdBPDU, with what it says.
    pub received: Option<Bpdu>,
    /// What the port information machine is to look at (rcvdMsg).
    pub message: Option<Bpdu>,
    pub info: Info,
    pub role: Role,
    pub selected_role: Role,
    migration: Migration,
    is_edge_state: bool,
    change: Change,
    /// The role machine waits until the port neither learns nor forwards (`DISABLE_PORT`, `BLOCK_PORT`).
    pub is_stopping: bool,

    pub port_priority: Vector,
    pub designated_priority: Vector,
    pub port_times: Times,
    pub designated_times: Times,

    pub agree: bool,
    pub agreed: bool,
    pub disputed: bool,
    pub fdb_flush: bool,
    pub forward: bool,
    pub forwarding: bool,
    pub learn: bool,
    pub learning: bool,
    mcheck: bool,
    pub new_info: bool,
    pub oper_edge: bool,
    pub proposed: bool,
    pub proposing: bool,
    rcvd_rstp: bool,
    rcvd_stp: bool,
    pub rcvd_tc: bool,
    pub rcvd_tc_ack: bool,
    pub rcvd_tcn: bool,
    pub re_root: bool,
    pub reselect: bool,
    pub selected: bool,
    pub send_rstp: bool,
    pub sync: bool,
    pub synced: bool,
    tc_ack: bool,
    pub tc_prop: bool,
    pub updt_info: bool,

    pub edge_delay_while: u16,
    pub fd_while: u16,
    hello_when: u16,
    mdelay_while: u16,
    pub rb_while: u16,
    pub rcvd_info_while: u16,
    pub rr_while: u16,
    tc_while: u16,
    pub tx_count: u16,
}

impl Port {
    /// As the standard has it begin.
    pub(super) fn new(of: OfPort, settings: &PortSettings, is_rapid: bool) -> Port {
        Port {
            of,
            settings: settings.clone(),
            number: 0,
            id: 0,
            is_operational: false,
            counts: Counts::default(),
            received: None,
            message: None,
            info: Info::Disabled,
            role: Role::Disabled,
            selected_role: Role::Disabled,
            migration: Migration::CheckingRstp,
            is_edge_state: settings.is_edge,
            change: Change::Inactive,
            is_stopping: true,
            port_priority: Vector::default(),
            designated_priority: Vector::default(),
            port_times: Times::default(),
            designated_times: Times::default(),
            agree: false,
            agreed: false,
            disputed: false,
            fdb_flush: true,
            forward: false,
            forwarding: false,
            learn: false,
            learning: false,
            mcheck: false,
            new_info: true,
            oper_edge: settings.is_edge,
            proposed: false,
            proposing: false,
            rcvd_rstp: false,
            rcvd_stp: false,
            rcvd_tc: false,
            rcvd_tc_ack: false,
            rcvd_tcn: false,
            re_root: true,
            reselect: true,
            selected: false,
            send_rstp: is_rapid,
            sync: true,
            synced: false,
            tc_ack: false,
            tc_prop: false,
            updt_info: false,
            edge_delay_while: MIGRATE,
            fd_while: 0,
            hello_when: super::HELLO,
            mdelay_while: MIGRATE,
            rb_while: 0,
            rcvd_info_while: 0,
            rr_while: 0,
            tc_while: 0,
            tx_count: 0,
        }
    }

    /// The same port as it begins.
    pub(super) fn anew(&self, is_rapid: bool) -> Port {
        let mut port = Port::new(self.of, &self.settings, is_rapid);
        port.set_number(self.number);
        (port.is_operational, port.counts) = (self.is_operational, self.counts);
        port
    }

    /// Takes over other settings.
    pub(super) fn configure(&mut self, settings: &PortSettings, is_rapid: bool) {
        self.mcheck |= is_rapid && settings.checks_migration;
        self.settings = settings.clone();
        self.set_number(self.number);
    }

    pub(super) fn set_number(&mut self, number: u16) {
        self.number = number;
        self.id = u16::from(self.settings.priority) << 8 | number;
    }

    /// portEnabled.
    pub(super) fn is_enabled(&self) -> bool {
        self.is_operational && self.settings.is_enabled
    }

    pub(super) fn is_point_to_point(&self) -> bool {
        self.settings.point_to_point == PointToPoint::Yes
    }

    /// What it does.
    pub(super) fn state(&self) -> SpanningState {
        match (self.forwarding, self.learning) {
            (true, _) => SpanningState::Forwarding,
            (false, true) => SpanningState::Learning,
            (false, false) => SpanningState::Discarding,
        }
    }

    /// Its part of allSynced (clause 17.20.3).
    pub(super) fn is_in_sync(&self) -> bool {
        let is_decided = self.selected && self.role == self.selected_role && !self.updt_info;
        is_decided && (self.synced || self.role == Role::Root)
    }

    /// Root or designated.
    fn is_active_role(&self) -> bool {
        matches!(self.role, Role::Root | Role::Designated)
    }

    /// A second has passed (clause 17.22).
    pub(super) fn tick(&mut self) {
        for timer in [
            &mut self.edge_delay_while,
            &mut self.fd_while,
            &mut self.hello_when,
            &mut self.mdelay_while,
            &mut self.rb_while,
            &mut self.rcvd_info_while,
            &mut self.rr_while,
            &mut self.tc_while,
            &mut self.tx_count,
        ] {
            *timer = timer.saturating_sub(1);
        }
        self.counts.uptime += 1;
    }

    /// Has each machine take a step. Returns whether one did.
    pub(super) fn step(&mut self, env: &Env, wish: &mut Wish) -> bool {
        let mut has_moved = self.take_received();
        has_moved |= self.detect_edge();
        has_moved |= self.update_information(env, wish);
        has_moved |= self.change_role(env, wish);
        has_moved |= self.change_state();
        has_moved |= self.notice_change(env, wish);
        has_moved | self.migrate(env)
    }

    /// The port receive machine (clause 17.23).
    fn take_received(&mut self) -> bool {
        if !self.is_enabled() {
            if self.received.is_none() && self.edge_delay_while == MIGRATE {
                return false;
            }
            (self.received, self.message) = (None, None);
            (self.rcvd_rstp, self.rcvd_stp) = (false, false);
            self.edge_delay_while = MIGRATE;
            return true;
        }
        if self.message.is_some() {
            return false;
        }
        let Some(unit) = self.received.take() else { return false };
        self.rcvd_rstp = matches!(unit, Bpdu::Rapid(_));
        self.rcvd_stp = !self.rcvd_rstp;
        self.oper_edge = false;
        self.edge_delay_while = MIGRATE;
        self.message = Some(unit);
        true
    }

    /// The port protocol migration machine (clause 17.24).
    fn migrate(&mut self, env: &Env) -> bool {
        let is_enabled = self.is_enabled();
        let next = match self.migration {
            Migration::CheckingRstp if self.mdelay_while == 0 => Migration::Sensing,
            Migration::CheckingRstp if self.mdelay_while != MIGRATE && !is_enabled => Migration::CheckingRstp,
            Migration::SelectingStp if self.mdelay_while == 0 || !is_enabled || self.mcheck => {
                Migration::Sensing
            }
            Migration::Sensing
                if !is_enabled || self.mcheck || env.is_rapid && !self.send_rstp && self.rcvd_rstp =>
            {
                Migration::CheckingRstp
            }
            Migration::Sensing if self.send_rstp && self.rcvd_stp => Migration::SelectingStp,
            Migration::CheckingRstp | Migration::SelectingStp | Migration::Sensing => return false,
        };
        self.migration = next;
        match next {
            Migration::CheckingRstp => {
                self.mcheck = false;
                self.send_rstp = env.is_rapid;
                self.mdelay_while = MIGRATE;
            }
            Migration::SelectingStp => {
                self.send_rstp = false;
                self.mdelay_while = MIGRATE;
            }
            Migration::Sensing => (self.rcvd_rstp, self.rcvd_stp) = (false, false),
        }
        true
    }

    /// The bridge detection machine (clause 17.25).
    fn detect_edge(&mut self) -> bool {
        let (is_enabled, is_asked) = (self.is_enabled(), self.settings.is_edge);
        let is_edge = if self.is_edge_state {
            (is_enabled || is_asked) && self.oper_edge
        } else {
            let is_alone = self.edge_delay_while == 0 && self.send_rstp && self.proposing;
            !is_enabled && is_asked || self.settings.finds_edge && is_alone
        };
        if is_edge == self.is_edge_state {
            return false;
        }
        (self.is_edge_state, self.oper_edge) = (is_edge, is_edge);
        true
    }

    /// The port state transition machine (clause 17.30).
    fn change_state(&mut self) -> bool {
        if self.learning && (!self.learn || self.forwarding && !self.forward) {
            (self.learning, self.forwarding) = (false, false);
        } else if !self.learning && self.learn {
            self.learning = true;
        } else if self.learning && !self.forwarding && self.forward {
            self.forwarding = true;
        } else {
            return false;
        }
        true
    }

    /// The topology change machine (clause 17.31).
    fn notice_change(&mut self, env: &Env, wish: &mut Wish) -> bool {
        let is_told = self.rcvd_tc || self.rcvd_tcn || self.rcvd_tc_ack || self.tc_prop;
        match self.change {
            Change::Inactive if self.learn => self.watch_for_change(),
            Change::Learning if !(self.is_active_role() || self.learn || self.learning || is_told) => {
                self.change = Change::Inactive;
                self.fdb_flush = true;
                self.tc_while = 0;
                self.tc_ack = false;
            }
            Change::Learning if is_told => self.watch_for_change(),
            Change::Learning if self.is_active_role() && self.forward && !self.oper_edge => {
                self.start_change(env);
                wish.propagate = true;
                self.new_info = true;
                self.change = Change::Active;
            }
            Change::Active if !self.is_active_role() || self.oper_edge => self.watch_for_change(),
            Change::Active if self.rcvd_tcn || self.rcvd_tc => {
                if self.rcvd_tcn {
                    self.start_change(env);
                }
                (self.rcvd_tcn, self.rcvd_tc) = (false, false);
                self.tc_ack |= self.role == Role::Designated;
                wish.propagate = true;
            }
            Change::Active if self.tc_prop => {
                self.start_change(env);
                self.fdb_flush = true;
                self.tc_prop = false;
            }
            Change::Active if self.rcvd_tc_ack => {
                self.tc_while = 0;
                self.rcvd_tc_ack = false;
            }
            Change::Inactive | Change::Learning | Change::Active => return false,
        }
        true
    }

    fn watch_for_change(&mut self) {
        self.change = Change::Learning;
        (self.rcvd_tc, self.rcvd_tcn, self.rcvd_tc_ack) = (false, false, false);
        self.tc_prop = false;
    }

    /// newTcWhile (clause 17.21.7).
    fn start_change(&mut self, env: &Env) {
        if self.tc_while != 0 {
            return;
        }
        if self.send_rstp {
            self.tc_while = super::HELLO + 1;
            self.new_info = true;
        } else {
            self.tc_while = env.root_times.max_age + env.root_times.forward_delay;
        }
    }

    /// The port transmit machine (clause 17.26): a unit to send, if there is one.
    pub(super) fn transmit(&mut self, env: &Env) -> Option<Bpdu> {
        if self.role == Role::Disabled || !self.selected || self.updt_info {
            return None;
        }
        if self.hello_when == 0 {
            self.hello_when = super::HELLO;
            let is_due = self.role == Role::Designated || self.role == Role::Root && self.tc_while != 0;
            self.new_info |= is_due;
        }
        if !self.new_info || self.tx_count >= env.hold_count {
            return None;
        }
        let unit = match self.role {
            _ if self.send_rstp => Bpdu::Rapid(self.config(self.rapid_flags())),
            Role::Root => Bpdu::Notification,
            Role::Designated => {
                let acknowledges = if self.tc_ack { flag::ACKNOWLEDGEMENT } else { 0 };
                Bpdu::Config(self.config(self.change_flag() | acknowledges))
            }
            Role::Alternate | Role::Backup | Role::Disabled => return None,
        };
        self.tc_ack &= unit == Bpdu::Notification;
        self.new_info = false;
        self.tx_count += 1;
        self.hello_when = super::HELLO;
        self.counts.sent += 1;
        Some(unit)
    }

    fn change_flag(&self) -> u8 {
        if self.tc_while != 0 { flag::TOPOLOGY_CHANGE } else { 0 }
    }

    fn rapid_flags(&self) -> u8 {
        let flags = [
            (self.agree, flag::AGREEMENT),
            (self.proposing, flag::PROPOSAL),
            (self.learning, flag::LEARNING),
            (self.forwarding, flag::FORWARDING),
        ];
        let flags = flags.into_iter().filter(|(is_set, _)| *is_set).fold(0, |bits, (_, bit)| bits | bit);
        flags | self.role.flags() | self.change_flag()
    }

    fn config(&self, flags: u8) -> Config {
        let (vector, times) = (&self.designated_priority, &self.designated_times);
        let encode = |seconds: u16| seconds.saturating_mul(256);
        Config {
            flags,
            root: vector.root,
            cost: vector.cost,
            bridge: vector.bridge,
            port: vector.port,
            message_age: encode(times.message_age),
            max_age: encode(times.max_age),
            hello_time: encode(times.hello),
            forward_delay: encode(times.forward_delay),
        }
    }
}

/// The unit as the machines take it; `None` when they do not (clause 9.3.4). `id` is the bridge's identifier and `port`
/// that of the port.
pub(super) fn admit(unit: Bpdu, id: u64, port: u16) -> Option<Bpdu> {
    match unit {
        Bpdu::Notification => Some(unit),
        // A port that does not say its role is taken for one of the older protocol (clause 9.2.9).
        Bpdu::Rapid(config) if config.flags & flag::ROLE == 0 => admit(Bpdu::Config(config), id, port),
        Bpdu::Rapid(_) => Some(unit),
        Bpdu::Config(config) => {
            let is_own = config.bridge == id && config.port == port;
            (!is_own && config.message_age < config.max_age).then_some(unit)
        }
    }
}
