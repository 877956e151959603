//! Running a list of OpenFlow actions: one file per action or family.

mod action_set;
mod check_pkt_larger;
mod clone;
mod conntrack;
mod encap;
mod fields;
mod group;
mod learn;
mod mpls;
mod select;
mod tags;
mod ttl;

pub(crate) use tags::mask_tags;

use base::{OfPort, TableId};
use dp::{DropReason, SlowPath};
use flow::slot;
use ofp::{Action, ActionKind};

use crate::commit::commit;
use crate::context::{Context, Course};
use crate::trace::{Kind, action_text};
use crate::translate::{Lookup, OnMiss};

/// Whether the next action of a list is still to be run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    /// A freeze has begun, and this action is done.
    Behind,
    /// What this action looked up may have begun a freeze; it is done itself.
    Nested,
    /// The rest of this list is left out, as `dec_ttl` says of packets that are too old.
    Leave,
}

impl Context<'_> {
    /// Runs `list`. `is_last` says that nothing happens to the packet afterwards.
    pub(crate) fn run_actions(&mut self, list: &[Action], is_last: bool) {
        if list.is_empty() {
            return self.out.record.line(Kind::Action, || "drop".to_owned());
        }
        for (index, action) in list.iter().enumerate() {
            if self.out.error.is_some() {
                break;
            }
            if self.packet.was_mpls && self.course.is_on() && needs_payload(action) {
                self.begin_freezing();
            }
            if !self.course.is_on() {
                self.keep(&list[index..]);
                break;
            }
            if changes_packet(action, &self.packet.key) {
                self.out.mirrored = 0;
            }
            let last = is_last && index + 1 == list.len() && self.packet.action_set.is_empty();
            self.out.record.line(Kind::Action, || action_text(std::slice::from_ref(action)));
            if let Action::CheckPktLarger(check) = action {
                return self.check_pkt_larger(check, &list[index + 1..]);
            }
            match self.run_action(action, last) {
                Next::Leave => break,
                Next::Go if self.has_just_frozen() => {
                    self.keep(&list[index..]);
                    break;
                }
                Next::Behind => {
                    self.keep(&list[index + 1..]);
                    break;
                }
                Next::Go | Next::Nested => {}
            }
        }
    }

    // house: long because it is the one list of actions; each arm is a call or a line.
    fn run_action(&mut self, action: &Action, last: bool) -> Next {
        match action {
            Action::Output(output) => {
                self.output_action(output.port, output.max_len, OnMiss::AsConfigured, last)
            }
            Action::Controller(controller) if controller.pause => {
                self.begin_freezing();
                if let Some(freeze) = self.course.freeze() {
                    freeze.pause = Some((**controller).clone());
                }
                return Next::Behind;
            }
            Action::Controller(controller) => self.send_to_controller(
                controller.max_len,
                controller.reason,
                controller.controller_id,
                &controller.userdata,
                controller.meter_id,
            ),
            Action::Enqueue(enqueue) => self.enqueue(enqueue.port, enqueue.queue, last),
            Action::OutputReg(output) => self.output_register(output, last),
            Action::OutputTrunc(output) => self.output_truncated(output.port, output.max_len, last),
            Action::SetField(set) => self.packet.set_field(&mut self.out, set),
            Action::RegMove(copy) => self.packet.move_field(&mut self.out, copy),
            Action::SetVlanVid(set) => {
                self.packet.set_vlan_bits(&mut self.out.mask, 0x0fff, set.vid, set.push_if_needed);
            }
            Action::SetVlanPcp(set) => {
                self.packet.set_vlan_bits(
                    &mut self.out.mask,
                    0xe000,
                    u16::from(set.pcp) << 13,
                    set.push_if_needed,
                );
            }
            Action::StripVlan { .. } => self.packet.pop_vlan(&mut self.out.mask),
            Action::PushVlan(push) => self.packet.push_vlan(&mut self.out.mask, push.ethertype),
            Action::SetEthSrc(mac) => {
                self.packet.set_slot(&mut self.out.mask, slot::DL_SRC, mac.to_u64().into())
            }
            Action::SetEthDst(mac) => {
                self.packet.set_slot(&mut self.out.mask, slot::DL_DST, mac.to_u64().into())
            }
            Action::SetIpv4Src(address) if self.packet.key.dl_type() == 0x0800 => {
                self.packet.set_network(&mut self.out.mask, slot::NW_SRC, (*address).into(), u32::MAX.into());
            }
            Action::SetIpv4Dst(address) if self.packet.key.dl_type() == 0x0800 => {
                self.packet.set_network(&mut self.out.mask, slot::NW_DST, (*address).into(), u32::MAX.into());
            }
            Action::SetIpDscp(dscp) if self.packet.key.is_ip() => {
                self.packet.set_network(&mut self.out.mask, slot::NW_TOS, (*dscp).into(), 0xfc)
            }
            Action::SetIpEcn(ecn) if self.packet.key.is_ip() => {
                self.packet.set_network(&mut self.out.mask, slot::NW_TOS, (*ecn).into(), 0x03)
            }
            Action::SetIpTtl(ttl) if self.packet.key.is_ip() => {
                self.packet.set_network(&mut self.out.mask, slot::NW_TTL, (*ttl).into(), 0xff)
            }
            Action::SetL4Src(set) if self.packet.has_transport() => {
                self.packet.set_network(&mut self.out.mask, slot::TP_SRC, set.port.into(), 0xffff);
            }
            Action::SetL4Dst(set) if self.packet.has_transport() => {
                self.packet.set_network(&mut self.out.mask, slot::TP_DST, set.port.into(), 0xffff);
            }
            Action::DecTtl(dec) => return self.decrement_ttl(&dec.controllers),
            Action::StackPush(source) => self.packet.push_stack(&mut self.out.mask, *source),
            Action::StackPop(destination) => {
                if !self.packet.pop_stack(&mut self.out, *destination) {
                    self.fault(|| "stack underflow".to_owned());
                }
            }
            Action::SetTunnel { id, .. } => self.packet.key.set_tun_id(*id),
            Action::SetQueue(queue) => self.set_queue(*queue),
            Action::PopQueue => self.pop_queue(),
            Action::PushMpls(ether_type) => self.push_mpls(*ether_type),
            Action::PopMpls(ether_type) => self.pop_mpls(*ether_type),
            Action::SetMplsLabel(label) => self.packet.set_mpls_label(&mut self.out.mask, *label),
            Action::SetMplsTc(class) => self.packet.set_mpls_tc(&mut self.out.mask, *class),
            Action::SetMplsTtl(ttl) => self.packet.set_mpls_ttl(&mut self.out.mask, *ttl),
            Action::DecMplsTtl => return self.decrement_mpls_ttl(),
            Action::Learn(learn) => self.learn(learn),
            Action::FinTimeout(timeout) => self.fin_timeout(timeout),
            Action::Multipath(multipath) => self.packet.multipath(&mut self.out, multipath),
            Action::Bundle(bundle) => self.bundle(bundle, last),
            Action::Meter(meter) => {
                if let Some(meter) = self.walk.bridge.meter(*meter) {
                    self.out.actions.push(dp::Action::Meter(meter));
                }
            }
            Action::DebugRecirc => {
                self.begin_freezing();
                return Next::Behind;
            }
            Action::DebugSlow => self.out.slow = self.out.slow.with(dp::SlowPath::ACTION),
            Action::Group(group) if !self.group_action(*group, last) => return Next::Leave,
            Action::Group(_) => {}
            Action::Resubmit(resubmit) => {
                self.resubmit(resubmit, last);
                return Next::Nested;
            }
            Action::GotoTable(table) => {
                let in_port = OfPort(self.packet.key.in_port());
                let table = TableId(*table);
                let on_miss = OnMiss::AsConfigured;
                self.lookup_and_run(&Lookup { table, in_port, on_miss, is_last: last });
                return Next::Nested;
            }
            Action::WriteMetadata { metadata, mask } => {
                let merged = self.packet.key.metadata() & !mask | metadata & mask;
                self.packet.key.set_metadata(merged);
            }
            Action::WriteActions(list) => self.write_actions(list),
            Action::ClearActions => self.clear_actions(),
            Action::Clone(list) => self.run_clone(list, last),
            Action::Sample(sample) => self.sample(sample),
            Action::Exit => self.course = Course::Exit,
            Action::Ct(ct) => self.conntrack(ct),
            // Part of the `ct` that it stands in.
            Action::Nat(_) => {}
            Action::CtClear => self.forget_connection(),
            Action::Conjunction(_) => {
                self.fault(|| "executing no-op conjunction action".to_owned());
            }
            // Header changes that the packet has no header for, and what only people read.
            Action::SetIpv4Src(_)
            | Action::SetIpv4Dst(_)
            | Action::SetIpDscp(_)
            | Action::SetIpEcn(_)
            | Action::SetIpTtl(_)
            | Action::SetL4Src(_)
            | Action::SetL4Dst(_)
            | Action::Note(_) => {}
            Action::CheckPktLarger(_) => base::broken!("check_pkt_larger is translated with what follows it"),
            Action::DeleteField(field) => {
                if let Some(index) = field.tunnel_option() {
                    self.packet.key.clear_tun_metadata(index);
                }
                self.detail(|| format!("delete {}", field.name()));
            }
            Action::DecNshTtl => return self.decrement_nsh_ttl(),
            Action::Encap(encap) => self.encap(encap),
            Action::Decap(new_type) => return self.decap(*new_type),
        }
        Next::Go
    }

    fn resubmit(&mut self, resubmit: &ofp::Resubmit, last: bool) {
        let in_port = match resubmit.in_port {
            OfPort::IN_PORT => OfPort(self.packet.key.in_port()),
            port => port,
        };
        let table = resubmit.table.map_or(self.walk.table, TableId);
        let lookup = Lookup { table, in_port, on_miss: OnMiss::Return, is_last: last };
        if resubmit.with_ct_orig {
            self.lookup_by_original(&lookup);
        } else {
            self.lookup_and_run(&lookup);
        }
    }

    fn enqueue(&mut self, port: OfPort, queue: u32, last: bool) {
        self.out.mask.add_all(slot::SKB_PRIORITY);
        let kept = self.packet.key.skb_priority();
        self.packet.key.set_skb_priority(queue);
        // To the port that it came in by, a packet goes only when IN_PORT is said.
        let in_port = OfPort(self.packet.key.in_port());
        if port == OfPort::IN_PORT {
            self.output_to(in_port, last);
        } else if port != in_port {
            self.output_to(port, last);
        } else {
            self.lost(DropReason::SamePort);
        }
        self.packet.key.set_skb_priority(kept);
    }

    fn set_queue(&mut self, queue: u32) {
        self.out.mask.add_all(slot::SKB_PRIORITY);
        self.packet.key.set_skb_priority(queue);
    }

    fn pop_queue(&mut self) {
        self.out.mask.add_all(slot::SKB_PRIORITY);
        let priority = self.request.key.skb_priority();
        if self.packet.key.skb_priority() != priority {
            self.packet.key.set_skb_priority(priority);
            self.detail(|| format!("queue = {priority:#x}"));
        }
    }

    fn output_register(&mut self, output: &ofp::OutputReg, last: bool) {
        let number = output.source.read(&self.packet.key);
        let Ok(number) = u16::try_from(number) else {
            self.lost(DropReason::NoOutputPort);
            return;
        };
        self.detail(|| format!("output port is {number}"));
        output.source.add_to_mask(&mut self.out.mask);
        let port = OfPort::from_u16(number);
        self.output_action(port, output.max_len, OnMiss::AsConfiguredButController, last);
    }

    fn output_truncated(&mut self, port: OfPort, max_len: u32, last: bool) {
        let in_port = OfPort(self.packet.key.in_port());
        let number = match port {
            OfPort::IN_PORT => in_port,
            port if port == in_port => {
                return self.lost(DropReason::SamePort).detail(|| "skipping output to input port".to_owned());
            }
            port => port,
        };
        if self.walk.bridge.port(number).is_none_or(|port| port.datapath.is_none()) {
            let shown = ::fields::format_port_plain(number);
            return self
                .lost(DropReason::NoOutputPort)
                .fault(|| format!("output_trunc does not support patch port {shown}"));
        }
        commit(&mut self.packet, &mut self.out);
        let position = self.out.actions.len();
        self.walk.shortens = true;
        self.output_to(number, last);
        self.walk.shortens = false;
        if self.out.actions.len() > position {
            self.out.actions.insert(position, dp::Action::Trunc(max_len));
            if !self.walk.bridge.capabilities().trunc {
                self.out.slow = self.out.slow.with(SlowPath::ACTION);
            }
        }
    }
}

/// The kinds of actions that translation can do, as a set: all.
pub fn supported_kinds() -> u64 {
    ActionKind::in_set(u64::MAX).fold(0, |set, kind| set | kind.bit())
}

/// Whether an action may look at what is under the labels that were popped,
/// which is known only after the packet has gone around.
// house: long because it is a table, a line for each kind.
fn needs_payload(action: &Action) -> bool {
    match action {
        Action::Output(_)
        | Action::OutputTrunc(_)
        | Action::Enqueue(_)
        | Action::OutputReg(_)
        | Action::SetVlanVid(_)
        | Action::SetVlanPcp(_)
        | Action::SetEthSrc(_)
        | Action::SetEthDst(_)
        | Action::SetTunnel { .. }
        | Action::SetQueue(_)
        | Action::Group(_) => false,
        Action::SetField(set) => set.field.is_l3_or_higher(),
        Action::Controller(_)
        | Action::Bundle(_)
        | Action::StripVlan { .. }
        | Action::PushVlan(_)
        | Action::SetIpv4Src(_)
        | Action::SetIpv4Dst(_)
        | Action::SetIpDscp(_)
        | Action::SetIpEcn(_)
        | Action::SetIpTtl(_)
        | Action::SetL4Src(_)
        | Action::SetL4Dst(_)
        | Action::RegMove(_)
        | Action::StackPush(_)
        | Action::StackPop(_)
        | Action::DecTtl(_)
        | Action::SetMplsLabel(_)
        | Action::SetMplsTc(_)
        | Action::SetMplsTtl(_)
        | Action::DecMplsTtl
        | Action::PushMpls(_)
        | Action::PopMpls(_)
        | Action::DecNshTtl
        | Action::DeleteField(_)
        | Action::Encap(_)
        | Action::Decap(_)
        | Action::PopQueue
        | Action::FinTimeout(_)
        | Action::Resubmit(_)
        | Action::Learn(_)
        | Action::Conjunction(_)
        | Action::Multipath(_)
        | Action::Note(_)
        | Action::Exit
        | Action::Sample(_)
        | Action::Ct(_)
        | Action::CtClear
        | Action::Nat(_)
        | Action::Clone(_)
        | Action::CheckPktLarger(_)
        | Action::DebugRecirc
        | Action::DebugSlow
        | Action::Meter(_)
        | Action::ClearActions
        | Action::WriteActions(_)
        | Action::WriteMetadata { .. }
        | Action::GotoTable(_) => true,
    }
}

/// Whether an action changes the packet, so that mirrors that had it may have it again.
fn changes_packet(action: &Action, key: &flow::FlowKey) -> bool {
    let has_ports = key.is_ip() && key.nw_frag() & flow::frag::LATER == 0;
    match action {
        Action::StripVlan { .. }
        | Action::PushVlan(_)
        | Action::SetEthSrc(_)
        | Action::SetEthDst(_)
        | Action::PushMpls(_)
        | Action::PopMpls(_)
        | Action::SetMplsLabel(_)
        | Action::SetMplsTc(_)
        | Action::SetMplsTtl(_)
        | Action::DecMplsTtl
        | Action::DecTtl(_)
        | Action::SetVlanVid(_)
        | Action::SetVlanPcp(_)
        | Action::Encap(_)
        | Action::Decap(_) => true,
        Action::SetField(set) => {
            let is_seen = !is_metadata(set.field) && set.field.tunnel_option().is_none();
            is_seen && set.field.info().prereq.met_by(key, None)
        }
        Action::SetIpv4Src(_) | Action::SetIpv4Dst(_) => key.dl_type() == 0x0800,
        Action::SetIpDscp(_) | Action::SetIpEcn(_) | Action::SetIpTtl(_) => key.is_ip(),
        Action::SetL4Src(_) | Action::SetL4Dst(_) => has_ports,
        Action::Output(_)
        | Action::Group(_)
        | Action::Controller(_)
        | Action::Enqueue(_)
        | Action::OutputReg(_)
        | Action::Bundle(_)
        | Action::RegMove(_)
        | Action::StackPush(_)
        | Action::StackPop(_)
        | Action::DecNshTtl
        | Action::DeleteField(_)
        | Action::SetTunnel { .. }
        | Action::SetQueue(_)
        | Action::PopQueue
        | Action::FinTimeout(_)
        | Action::Resubmit(_)
        | Action::Learn(_)
        | Action::Conjunction(_)
        | Action::Multipath(_)
        | Action::Note(_)
        | Action::Exit
        | Action::Sample(_)
        | Action::Ct(_)
        | Action::CtClear
        | Action::Nat(_)
        | Action::OutputTrunc(_)
        | Action::Clone(_)
        | Action::CheckPktLarger(_)
        | Action::DebugRecirc
        | Action::DebugSlow
        | Action::Meter(_)
        | Action::ClearActions
        | Action::WriteActions(_)
        | Action::WriteMetadata { .. }
        | Action::GotoTable(_) => false,
    }
}

/// Whether a field is of the packet's context and not of the packet; a tunnel's values go out with it.
fn is_metadata(field: ::fields::Field) -> bool {
    usize::from(field.slot().word) < flow::STAGES[1] && !field.is_tunnel()
}
