//! Output: from an OpenFlow port to datapath actions, through patch ports where they lead.

use std::sync::Arc;

use base::{OfPort, TableId};
use dp::DropReason;
use ofp::PacketInReason;

use crate::BridgeView;
use crate::commit::commit;
use crate::effects::{Effect, Output};
use crate::freeze::{CONNTRACK, Frozen, TUNNEL, registers};
use crate::state::{Port, Rule};
use crate::trace::Kind;
use crate::translate::Context;

impl Context<'_> {
    /// Output to `port`, which may be one of the reserved ones. `tells_misses`: what finds no rule by way of
    /// `OfPort::TABLE` goes to the controllers, as plain outputs have it.
    pub(crate) fn output_action(&mut self, port: OfPort, max_len: u16, tells_misses: bool, is_last: bool) {
        let before = std::mem::replace(&mut self.output, Output::Drop);
        let in_port = OfPort(self.key.in_port());
        match port {
            OfPort::IN_PORT => self.output_to(in_port, is_last),
            OfPort::TABLE => self.lookup_and_run(TableId(0), in_port, tells_misses, true, is_last),
            OfPort::NORMAL => self.normal(is_last),
            OfPort::FLOOD => self.flood(false, is_last),
            OfPort::ALL => self.flood(true, is_last),
            OfPort::CONTROLLER => {
                let reason = if self.in_packet_out {
                    PacketInReason::PacketOut
                } else if self.in_group {
                    PacketInReason::Group
                } else if self.in_action_set {
                    PacketInReason::ActionSet
                } else {
                    PacketInReason::Action
                };
                self.send_to_controller(max_len, reason, 0, &[], 0);
            }
            OfPort::NONE => {}
            port if port == in_port => {
                self.lost(DropReason::SamePort).detail(|| "skipping output to input port".to_owned());
            }
            port => self.output_to(port, is_last),
        }
        self.output = before.then(self.output);
    }

    fn flood(&mut self, all: bool, is_last: bool) {
        let in_port = OfPort(self.key.in_port());
        let bridge = self.bridge;
        let targets: Vec<OfPort> = bridge
            .ports()
            .filter(|port| port.number != in_port && (all || !port.flags.no_flood))
            .map(|port| port.number)
            .collect();
        for (index, number) in targets.iter().enumerate() {
            self.output_to(*number, is_last && index + 1 == targets.len());
        }
        self.output = Output::Flood;
    }

    /// Output to a real port, with the packet as it is now.
    pub(crate) fn output_to(&mut self, number: OfPort, is_last: bool) {
        let bridge = self.bridge;
        let Some(port) = bridge.port(number) else {
            return self.lost(DropReason::NoOutputPort).warning(|| "Nonexistent output port".to_owned());
        };
        if port.flags.no_forward {
            return self
                .lost(DropReason::PortNoForward)
                .detail(|| "OFPPC_NO_FWD set, skipping output".to_owned());
        }
        if self.mirror_snaplen != 0 && port.datapath.is_none() {
            return self.warning(|| "Mirror truncate to ODPP_NONE, skipping output".to_owned());
        }
        if self.is_between_protected(port) {
            return self
                .lost(DropReason::ProtectedPorts)
                .warning(|| "Flow is between protected ports, skipping output.".to_owned());
        }
        if self.key.packet_type() != 0 {
            return self
                .lost(DropReason::NotEthernet)
                .warning(|| "Trying to send non-Ethernet packet through L2 port, skipping".to_owned());
        }
        if let Some((peer_bridge, peer_port)) = port.peer {
            return self.cross_patch(port, peer_bridge, peer_port, is_last);
        }
        let Some(datapath_port) = port.datapath else {
            self.lost(DropReason::NoOutputPort);
            return;
        };
        commit(self);
        if !matches!(self.mirror_snaplen, 0 | u16::MAX) {
            self.actions.push(dp::Action::Trunc(self.mirror_snaplen.into()));
        }
        self.actions.push(dp::Action::Output(datapath_port));
        self.sflow.outputs += 1;
        self.sflow.last = Some(datapath_port);
        self.output = Output::Port(number);
        self.mirror_egress(port);
    }

    fn is_between_protected(&self, out: &Port) -> bool {
        let protected = |port: &Port| {
            port.bundle.and_then(|id| self.bridge.bundle(id)).is_some_and(|bundle| bundle.protected)
        };
        protected(out) && self.bridge.port(OfPort(self.key.in_port())).is_some_and(protected)
    }

    /// The packet goes on in the bridge at the other end; here nothing that happens there is seen.
    fn cross_patch(&mut self, port: &Port, peer_bridge: crate::BridgeId, peer_port: OfPort, is_last: bool) {
        let other = self.view.bridge(peer_bridge);
        let Some((other, peer)) = other.and_then(|other| Some((other, other.port(peer_port)?))) else {
            self.lost(DropReason::NoOutputPort);
            return;
        };
        if self.depth >= 64 {
            self.error = Some(crate::Error::RecursionTooDeep);
            return self.fault(|| "over max translation depth 64".to_owned());
        }
        self.effects.push(Effect::CountPatch { sent: port.traffic.clone(), received: peer.traffic.clone() });

        let kept_key = self.key.clone();
        let kept_tunnel = TUNNEL.map(|place| self.mask.bits(place));
        let kept_stack = std::mem::take(&mut self.stack);
        let kept_set = std::mem::take(&mut self.action_set);
        let kept_table = std::mem::replace(&mut self.table, TableId(0));
        let kept_bridge = std::mem::replace(&mut self.bridge, other);
        let kept_cookie = self.cookie;
        let kept_conntracked = self.conntracked;
        let kept_exit = std::mem::replace(&mut self.exit, false);
        let kept_mirrors = self.mirrors;
        if other.id() != kept_bridge.id() {
            self.mirrors = 0;
        }
        let kept_rule = self.rule.take();
        let kept_was_mpls = self.was_mpls;

        self.key.set_in_port(peer_port.0);
        self.key.set_metadata(0);
        for place in registers() {
            self.key.write(place, 0);
        }
        for place in TUNNEL {
            self.key.write(place, 0);
        }
        self.key.set_actset_output(OfPort::UNSET.0);
        self.clear_conntrack();

        self.run_beyond(other, peer, is_last);
        // A fault over there is not one here.
        self.error = None;

        self.bridge = kept_bridge;
        self.key = kept_key;
        self.table = kept_table;
        self.stack = kept_stack;
        self.action_set = kept_set;
        self.cookie = kept_cookie;
        self.conntracked = kept_conntracked;
        self.exit = kept_exit;
        if other.id() != self.bridge.id() {
            self.mirrors = kept_mirrors;
        }
        self.rule = kept_rule;
        self.was_mpls = kept_was_mpls;
        for (place, bits) in TUNNEL.into_iter().zip(kept_tunnel) {
            self.mask.add(place, bits);
        }
    }

    /// The packet's way through the bridge `other`, which it enters by its port `peer`.
    fn run_beyond(&mut self, other: &dyn BridgeView, peer: &Port, is_last: bool) {
        self.record.open(Kind::Bridge, || format!("bridge(\"{}\")", other.name()));
        if self.may_receive(peer) {
            if !is_last {
                commit(self);
            }
            let kept_base = self.base.clone();
            let outer = std::mem::take(&mut self.actions);
            self.depth += 1;
            self.lookup_and_run(TableId(0), peer.number, true, true, true);
            self.depth -= 1;
            if self.error.is_none() && self.freeze.is_none() {
                self.run_action_set();
            }
            if self.error.is_none() {
                self.finish_freezing();
            }
            let inner = std::mem::replace(&mut self.actions, outer);
            if self.append_inner(inner, is_last) {
                self.base = kept_base;
            }
        } else {
            self.lost(DropReason::PortNoReceive);
        }
        self.record.close();
    }

    /// Forgets what connection tracking said.
    pub(crate) fn clear_conntrack(&mut self) {
        self.conntracked = false;
        for place in CONNTRACK {
            self.key.write(place, 0);
        }
    }

    /// Puts sFlow's sampling before everything else, if it is on.
    pub(crate) fn add_sflow_sample(&mut self) {
        let Some(probability) = self.bridge.sflow_probability() else { return };
        let mut userspace = dp::Userspace::new(dp::Cookie::Sflow { vlan_tci: 0, output: 0 });
        userspace.include_actions = true;
        let action = dp::Action::Userspace(Box::new(userspace));
        self.sflow.position = Some(self.actions.len());
        self.actions.push(if probability == u32::MAX {
            action
        } else {
            dp::Action::Sample { probability, actions: std::sync::Arc::new([action]) }
        });
    }

    /// Fills in where the sampled packet went, which is known only now.
    pub(crate) fn finish_sflow_sample(&mut self) {
        let Some(position) = self.sflow.position else { return };
        let output = match self.sflow.outputs {
            0 => SFLOW_DROPPED,
            1 => {
                self.sflow.last.and_then(|port| self.bridge.sflow_ifindex(port)).unwrap_or(SFLOW_MULTIPLE | 1)
            }
            many => SFLOW_MULTIPLE | many,
        };
        let cookie = dp::Cookie::Sflow { vlan_tci: self.base.vlan_tci(0), output };
        let patch = |action: &mut dp::Action| {
            let dp::Action::Userspace(userspace) = action else {
                return base::broken!("{action:?} stands in the place of sFlow's sample");
            };
            userspace.cookie = cookie.clone();
        };
        match self.actions.get_mut(position) {
            Some(dp::Action::Sample { actions, .. }) => {
                let mut inner = actions.to_vec();
                inner.iter_mut().for_each(patch);
                *actions = inner.into();
            }
            Some(action) => patch(action),
            None => base::broken!("sFlow's sample is gone from the actions"),
        }
    }

    /// Hands the packet as it is now to the controllers.
    pub(crate) fn send_to_controller(
        &mut self,
        max_len: u16,
        reason: PacketInReason,
        controller_id: u16,
        userdata: &[u8],
        meter: u32,
    ) {
        commit(self);
        // An action of a table's last resort is what OpenFlow 1.3 calls a table miss.
        let is_miss =
            reason == PacketInReason::Action && self.rule.as_ref().is_some_and(|rule| is_table_miss(rule));
        let reason = if is_miss { PacketInReason::ExplicitMiss } else { reason };
        let metadata = self.metadata();
        let state = self.view.freeze(Frozen {
            bridge: self.bridge.id(),
            table: self.table,
            metadata,
            stack: Vec::new(),
            action_set: Vec::new(),
            frames: Vec::new(),
            conntracked: self.conntracked,
            has_hash: false,
            mirrors: 0,
            userdata: userdata.to_vec(),
        });
        let id = state.id;
        self.frozen.push(state);
        let controller =
            ofp::Controller { max_len, reason, controller_id, meter_id: meter, ..ofp::Controller::default() };
        self.put_controller(id, &controller, false);
    }

    /// Appends the datapath action that brings a packet and its state to the controllers.
    pub(crate) fn put_controller(&mut self, state: u32, controller: &ofp::Controller, pauses: bool) {
        let cookie = dp::Cookie::Controller {
            reason: u16::from(controller.reason.number()),
            dont_send: self.is_dry,
            continuation: pauses,
            recirc_id: state,
            rule_cookie: self.cookie,
            controller_id: controller.controller_id,
            max_len: controller.max_len,
        };
        let mut userspace = dp::Userspace::new(cookie);
        userspace.ofp_in_port = self.key.in_port();
        let send = dp::Action::Userspace(Box::new(userspace));
        let meter = match controller.meter_id {
            0 => self.bridge.controller_meter(),
            id => self.bridge.meter(id),
        };
        self.actions.push(match meter {
            // In a list of its own, so that what the meter drops is dropped for the controller only.
            Some(meter) => dp::Action::Sample {
                probability: u32::MAX,
                actions: Arc::new([dp::Action::Meter(meter), send]),
            },
            None => send,
        });
    }
}

/// Whether a rule is the one of a table that matches what no other does.
fn is_table_miss(rule: &Rule) -> bool {
    rule.priority == 0 && rule.matching.is_catch_all()
}

/// sFlow v5: "packet dropped for unknown reason", and "number of output ports".
const SFLOW_DROPPED: u32 = 0x4000_0000 | 256;
const SFLOW_MULTIPLE: u32 = 0x8000_0000;
