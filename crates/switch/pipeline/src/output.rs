//! Output: from an OpenFlow port to datapath actions, through patch ports where they lead.

use std::sync::Arc;

use base::{OfPort, TableId};
use dp::DropReason;
use flow::slot;
use ofp::PacketInReason;

use crate::BridgeView;
use crate::commit::commit;
use crate::context::{Context, Course, PacketState};
use crate::effects::Effect;
use crate::freeze::{CONNTRACK, TUNNEL, registers};
use crate::frozen::Frozen;
use crate::request::Start;
use crate::state::{Port, QueueDscp, Rule};
use crate::trace::Kind;
use crate::translate::{Lookup, OnMiss};
use crate::tunnel_config::PacketTypes;
use crate::way::Output;

/// How a packet is sent by a port.
#[derive(Clone, Copy)]
struct Sending {
    /// Not by ports that spanning tree holds back.
    tree_counts: bool,
    /// The datapath chooses another member of the port's bond, which it knows by this number.
    balancer: Option<u32>,
    /// Nothing is done with the packet afterwards.
    is_last: bool,
}

impl Context<'_> {
    /// Output to `port`, which may be one of the reserved ones. `on_miss` is for what finds no rule by way of
    /// `OfPort::TABLE`.
    pub(crate) fn output_action(&mut self, port: OfPort, max_len: u16, on_miss: OnMiss, is_last: bool) {
        let before = std::mem::replace(&mut self.out.output, Output::Drop);
        let in_port = OfPort(self.packet.key.in_port());
        match port {
            OfPort::IN_PORT => self.output_to(in_port, is_last),
            OfPort::TABLE => {
                self.lookup_and_run(&Lookup { table: TableId(0), in_port, on_miss, is_last });
            }
            OfPort::NORMAL => self.normal(is_last),
            OfPort::FLOOD => self.flood(false, is_last),
            OfPort::ALL => self.flood(true, is_last),
            OfPort::CONTROLLER => {
                let reason = match self.request.start {
                    Start::Actions(_) => PacketInReason::PacketOut,
                    Start::Lookup | Start::Resume(_) => self.walk.list.packet_in_reason(),
                };
                self.send_to_controller(max_len, reason, 0, &[], 0);
            }
            OfPort::NONE => {}
            port if port == in_port => {
                self.lost(DropReason::SamePort).detail(|| "skipping output to input port".to_owned());
            }
            port => self.output_to(port, is_last),
        }
        self.out.output = before.then(self.out.output);
    }

    fn flood(&mut self, all: bool, is_last: bool) {
        let in_port = OfPort(self.packet.key.in_port());
        let bridge = self.walk.bridge;
        let targets: Vec<OfPort> = bridge
            .ports()
            .filter(|port| port.number != in_port && (all || !port.flags.no_flood))
            .map(|port| port.number)
            .collect();
        for (index, number) in targets.iter().enumerate() {
            let is_last = is_last && index + 1 == targets.len();
            // OpenFlow's ALL means all ports, whatever spanning tree says of them.
            self.output_where(*number, Sending { tree_counts: !all, balancer: None, is_last });
        }
        self.out.output = Output::Flood;
    }

    /// Output to a real port, with the packet as it is now.
    pub(crate) fn output_to(&mut self, number: OfPort, is_last: bool) {
        self.output_where(number, Sending { tree_counts: true, balancer: None, is_last });
    }

    /// Output to the member of a bond that the datapath chooses, which knows the bond as `balancer`; `member` is one of them.
    pub(crate) fn output_balanced(&mut self, member: OfPort, balancer: u32, is_last: bool) {
        self.output_where(member, Sending { tree_counts: true, balancer: Some(balancer), is_last });
    }

    fn output_where(&mut self, number: OfPort, sending: Sending) {
        let bridge = self.walk.bridge;
        let Some(port) = bridge.port(number) else {
            return self.lost(DropReason::NoOutputPort).warning(|| "Nonexistent output port".to_owned());
        };
        if port.flags.no_forward {
            return self
                .lost(DropReason::PortNoForward)
                .detail(|| "OFPPC_NO_FWD set, skipping output".to_owned());
        }
        if self.walk.snaplen.is_some() && port.datapath.is_none() {
            return self.warning(|| "Mirror truncate to ODPP_NONE, skipping output".to_owned());
        }
        if self.is_between_protected(port) {
            return self
                .lost(DropReason::ProtectedPorts)
                .warning(|| "Flow is between protected ports, skipping output.".to_owned());
        }
        if sending.tree_counts && self.is_held_back(bridge, port) {
            return;
        }
        if port.packet_types() == PacketTypes::LegacyL2 && self.packet.key.packet_type() != 0 {
            return self.lost(DropReason::NotEthernet).warning(|| {
                "Trying to send non-Ethernet packet through legacy L2 port. Dropping packet.".to_owned()
            });
        }
        if let Some((peer_bridge, peer_port)) = port.peer {
            return self.cross_patch(port, peer_bridge, peer_port, sending.is_last);
        }
        let Some(datapath_port) = port.datapath else {
            self.lost(DropReason::NoOutputPort);
            return;
        };
        if let Some(tunnel) = &port.tunnel {
            let is_sent = if tunnel.packet_types == PacketTypes::LegacyL3 {
                self.output_to_l3(port, tunnel, sending.is_last)
            } else {
                self.output_to_tunnel(port, tunnel, sending.is_last)
            };
            if is_sent {
                self.out.output = Output::Port(number);
                self.mirror_egress(port);
            }
            return;
        }
        let tos = self.packet.key.nw_tos();
        if let Some(marks) = &port.queue_dscp {
            self.mark_queue(marks);
        }
        commit(&mut self.packet, &mut self.out);
        // Other outputs do not see the mark.
        self.packet.key.set_nw_tos(tos);
        if sending.balancer.is_none()
            && let Some(tunnels) = self.terminates(port)
        {
            self.out.actions.push(dp::Action::TunnelPop(tunnels));
            self.out.output = Output::Port(number);
            return self.mirror_egress(port);
        }
        self.sample_output(datapath_port, false);
        if let Some(snaplen) = self.walk.snaplen.filter(|&snaplen| snaplen != u16::MAX) {
            self.out.actions.push(dp::Action::Trunc(snaplen.into()));
        }
        match sending.balancer {
            Some(balancer) => self.out.actions.push(dp::Action::LbOutput(balancer)),
            None => {
                self.out.actions.push(dp::Action::Output(datapath_port));
                self.out.export.sent(datapath_port);
            }
        }
        self.out.output = Output::Port(number);
        self.mirror_egress(port);
    }

    /// The packet leaves with the DSCP of its queue, if that has one.
    fn mark_queue(&mut self, marks: &QueueDscp) {
        self.out.mask.add_all(slot::SKB_PRIORITY);
        if let Some(dscp) = marks.get(&self.packet.key.skb_priority())
            && self.packet.key.is_ip()
        {
            self.packet.set_network(&mut self.out.mask, slot::NW_TOS, u128::from(*dscp) << 2, 0xfc);
        }
    }

    fn is_between_protected(&self, out: &Port) -> bool {
        let protected = |port: &Port| {
            port.bundle.and_then(|id| self.walk.bridge.bundle(id)).is_some_and(|bundle| bundle.protected)
        };
        protected(out) && self.walk.bridge.port(OfPort(self.packet.key.in_port())).is_some_and(protected)
    }

    /// The packet goes on in the bridge at the other end; here nothing that happens there is seen.
    fn cross_patch(&mut self, port: &Port, peer_bridge: crate::BridgeId, peer_port: OfPort, is_last: bool) {
        let other = self.view.bridge(peer_bridge);
        let Some((other, peer)) = other.and_then(|other| Some((other, other.port(peer_port)?))) else {
            self.lost(DropReason::NoOutputPort);
            return;
        };
        if self.walk.depth >= 64 {
            self.out.error = Some(crate::Error::RecursionTooDeep);
            return self.fault(|| "over max translation depth 64".to_owned());
        }
        self.out
            .effects
            .push(Effect::CountPatch { sent: port.traffic.clone(), received: peer.traffic.clone() });

        let kept = (self.packet.clone(), self.walk.clone(), self.out.mirrored);
        let kept_tunnel = TUNNEL.map(|place| self.out.mask.bits(place));
        let is_elsewhere = other.id() != self.walk.bridge.id();
        if is_elsewhere {
            self.out.mirrored = 0;
        }
        self.walk.bridge = other;
        self.walk.table = TableId(0);
        self.walk.rule = None;
        self.packet.enter(peer_port);

        self.run_beyond(other, peer, is_last);
        // A fault over there is not one here.
        self.out.error = None;
        self.course = Course::On;

        let mirrored;
        (self.packet, self.walk, mirrored) = kept;
        if is_elsewhere {
            self.out.mirrored = mirrored;
        }
        for (place, bits) in TUNNEL.into_iter().zip(kept_tunnel) {
            self.out.mask.add(place, bits);
        }
    }

    /// The packet's way through the bridge `other`, which it enters by its port `peer`.
    pub(crate) fn run_beyond(&mut self, other: &dyn BridgeView, peer: &Port, is_last: bool) {
        self.out.record.open(Kind::Bridge, || format!("bridge(\"{}\")", other.name()));
        if self.is_taken(other.id(), peer) {
            // It ends here.
        } else if self.may_receive(peer) {
            if !is_last {
                commit(&mut self.packet, &mut self.out);
            }
            let kept_base = self.out.base.clone();
            let outer = std::mem::take(&mut self.out.actions);
            if self.packet.was_mpls {
                self.come_back_to_first_table();
            } else {
                self.walk.depth += 1;
                self.lookup_and_run(&Lookup::first(peer.number));
                self.walk.depth -= 1;
                self.finish_lists();
            }
            let inner = std::mem::replace(&mut self.out.actions, outer);
            if !peer.forwards() {
                // Addresses were learned, which is all that spanning tree lets the port do.
                self.out.base = kept_base;
                let kept = self.out.actions.len();
                self.take_back(kept);
            } else if self.append_inner(inner, is_last) {
                self.out.base = kept_base;
            }
        }
        self.out.record.close();
    }

    /// What is under the labels that were popped is known when the packet comes back, and then rules are looked up.
    fn come_back_to_first_table(&mut self) {
        commit(&mut self.packet, &mut self.out);
        let state = self.state_now();
        let table = TableId(0);
        let id = self.freeze_as(Frozen { table, lookup: Some(table), ..state });
        self.out.actions.push(dp::Action::Recirc(id));
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
        commit(&mut self.packet, &mut self.out);
        // An action of a table's last resort is what OpenFlow 1.3 calls a table miss.
        let is_miss = reason == PacketInReason::Action
            && self.walk.rule.as_ref().is_some_and(|rule| is_table_miss(rule));
        let reason = if is_miss { PacketInReason::ExplicitMiss } else { reason };
        let state = self.state_now();
        let id = self.freeze_as(Frozen {
            stack: Vec::new(),
            action_set: Vec::new(),
            has_hash: false,
            mirrors: 0,
            userdata: userdata.to_vec(),
            ..state
        });
        let controller =
            ofp::Controller { max_len, reason, controller_id, meter_id: meter, ..ofp::Controller::default() };
        self.put_controller(id, &controller, false);
    }

    /// Appends the datapath action that brings a packet and its state to the controllers.
    pub(crate) fn put_controller(&mut self, state: u32, controller: &ofp::Controller, pauses: bool) {
        let cookie = dp::Cookie::Controller {
            reason: u16::from(controller.reason.number()),
            dont_send: self.is_question(),
            continuation: pauses,
            recirc_id: state,
            rule_cookie: self.walk.cookie,
            controller_id: controller.controller_id,
            max_len: controller.max_len,
        };
        let mut userspace = dp::Userspace::new(cookie);
        userspace.ofp_in_port = self.packet.key.in_port();
        let send = dp::Action::Userspace(Box::new(userspace));
        let meter = match controller.meter_id {
            0 => self.walk.bridge.controller_meter(),
            id => self.walk.bridge.meter(id),
        };
        self.out.actions.push(match meter {
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

impl PacketState {
    /// Comes in by `port` of another bridge, where nothing is seen of what only rules know.
    pub(crate) fn enter(&mut self, port: OfPort) {
        self.stack.clear();
        self.action_set.clear();
        self.key.set_in_port(port.0);
        self.key.set_metadata(0);
        for place in registers().chain(TUNNEL) {
            self.key.write(place, 0);
        }
        self.key.clear_tun_options();
        self.key.set_actset_output(OfPort::UNSET.0);
        self.clear_conntrack();
    }

    /// Forgets what connection tracking said.
    pub(crate) fn clear_conntrack(&mut self) {
        self.conntracked = false;
        for place in CONNTRACK {
            self.key.write(place, 0);
        }
    }
}
