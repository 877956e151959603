//! Running a list of OpenFlow actions: one file per action or family.

mod action_set;
mod check_pkt_larger;
mod clone;
mod fields;
mod group;
mod learn;
mod mpls;
mod select;
mod tags;
mod ttl;

use base::{OfPort, TableId};
use dp::DropReason;
use flow::slot;
use ofp::{Action, ActionKind};

use crate::commit::commit;
use crate::trace::Kind;
use crate::translate::{Context, action_text};

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
            return self.record.line(Kind::Action, || "drop".to_owned());
        }
        for (index, action) in list.iter().enumerate() {
            if self.error.is_some() {
                break;
            }
            if self.was_mpls && !self.exit && needs_payload(action) {
                self.begin_freezing();
            }
            if self.exit {
                self.keep(&list[index..]);
                break;
            }
            if changes_packet(action, &self.key) {
                self.mirrors = 0;
            }
            let last = is_last && index + 1 == list.len() && self.action_set.is_empty();
            self.record.line(Kind::Action, || action_text(std::slice::from_ref(action)));
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
            Action::Output(output) => self.output_action(output.port, output.max_len, true, last),
            Action::Controller(controller) if controller.pause => {
                self.begin_freezing();
                if let Some(freeze) = &mut self.freeze {
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
            Action::SetField(set) => self.set_field(set),
            Action::RegMove(copy) => self.move_field(copy),
            Action::SetVlanVid(set) => {
                self.set_vlan_bits(0x0fff, set.vid, set.push_if_needed);
            }
            Action::SetVlanPcp(set) => {
                self.set_vlan_bits(0xe000, u16::from(set.pcp) << 13, set.push_if_needed);
            }
            Action::StripVlan { .. } => self.pop_vlan(),
            Action::PushVlan(push) => self.push_vlan(push.ethertype),
            Action::SetEthSrc(mac) => self.set_slot(slot::DL_SRC, mac.to_u64().into()),
            Action::SetEthDst(mac) => self.set_slot(slot::DL_DST, mac.to_u64().into()),
            Action::SetIpv4Src(address) if self.key.dl_type() == 0x0800 => {
                self.set_network(slot::NW_SRC, (*address).into(), u32::MAX.into());
            }
            Action::SetIpv4Dst(address) if self.key.dl_type() == 0x0800 => {
                self.set_network(slot::NW_DST, (*address).into(), u32::MAX.into());
            }
            Action::SetIpDscp(dscp) if self.key.is_ip() => {
                self.set_network(slot::NW_TOS, (*dscp).into(), 0xfc)
            }
            Action::SetIpEcn(ecn) if self.key.is_ip() => self.set_network(slot::NW_TOS, (*ecn).into(), 0x03),
            Action::SetIpTtl(ttl) if self.key.is_ip() => self.set_network(slot::NW_TTL, (*ttl).into(), 0xff),
            Action::SetL4Src(set) if self.has_transport() => {
                self.set_network(slot::TP_SRC, set.port.into(), 0xffff);
            }
            Action::SetL4Dst(set) if self.has_transport() => {
                self.set_network(slot::TP_DST, set.port.into(), 0xffff);
            }
            Action::DecTtl(dec) => return self.decrement_ttl(&dec.controllers),
            Action::StackPush(source) => self.push_stack(*source),
            Action::StackPop(destination) => self.pop_stack(*destination),
            Action::SetTunnel { id, .. } => self.key.set_tun_id(*id),
            Action::SetQueue(queue) => self.set_queue(*queue),
            Action::PopQueue => self.pop_queue(),
            Action::PushMpls(ether_type) => self.push_mpls(*ether_type),
            Action::PopMpls(ether_type) => self.pop_mpls(*ether_type),
            Action::SetMplsLabel(label) => self.set_mpls_label(*label),
            Action::SetMplsTc(class) => self.set_mpls_tc(*class),
            Action::SetMplsTtl(ttl) => self.set_mpls_ttl(*ttl),
            Action::DecMplsTtl => return self.decrement_mpls_ttl(),
            Action::Learn(learn) => self.learn(learn),
            Action::FinTimeout(timeout) => self.fin_timeout(timeout),
            Action::Multipath(multipath) => self.multipath(multipath),
            Action::Bundle(bundle) => self.bundle(bundle, last),
            Action::Meter(meter) => {
                if let Some(meter) = self.bridge.meter(*meter) {
                    self.actions.push(dp::Action::Meter(meter));
                }
            }
            Action::DebugRecirc => {
                self.begin_freezing();
                return Next::Behind;
            }
            Action::DebugSlow => self.slow = self.slow.with(dp::SlowPath::ACTION),
            Action::Group(group) if !self.group_action(*group, last) => return Next::Leave,
            Action::Group(_) => {}
            Action::Resubmit(resubmit) => {
                self.resubmit(resubmit, last);
                return Next::Nested;
            }
            Action::GotoTable(table) => {
                let in_port = OfPort(self.key.in_port());
                self.lookup_and_run(TableId(*table), in_port, true, true, last);
                return Next::Nested;
            }
            Action::WriteMetadata { metadata, mask } => {
                let merged = self.key.metadata() & !mask | metadata & mask;
                self.key.set_metadata(merged);
            }
            Action::WriteActions(list) => self.write_actions(list),
            Action::ClearActions => self.clear_actions(),
            Action::Clone(list) => self.run_clone(list, last),
            Action::Exit => self.exit = true,
            Action::CtClear => self.clear_conntrack(),
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
            Action::DecNshTtl
            | Action::DeleteField(_)
            | Action::Encap(_)
            | Action::Decap(_)
            | Action::Ct(_)
            | Action::Nat(_)
            | Action::Sample(_) => {
                base::broken!("rules with {} are refused", action.kind().name());
            }
        }
        Next::Go
    }

    fn resubmit(&mut self, resubmit: &ofp::Resubmit, last: bool) {
        let in_port = match resubmit.in_port {
            OfPort::IN_PORT => OfPort(self.key.in_port()),
            port => port,
        };
        let table = resubmit.table.map_or(self.table, TableId);
        self.lookup_and_run(table, in_port, false, false, last);
    }

    fn enqueue(&mut self, port: OfPort, queue: u32, last: bool) {
        self.mask.add_all(slot::SKB_PRIORITY);
        let kept = self.key.skb_priority();
        self.key.set_skb_priority(queue);
        // To the port that it came in by, a packet goes only when IN_PORT is said.
        let in_port = OfPort(self.key.in_port());
        if port == OfPort::IN_PORT {
            self.output_to(in_port, last);
        } else if port != in_port {
            self.output_to(port, last);
        } else {
            self.lost(DropReason::SamePort);
        }
        self.key.set_skb_priority(kept);
    }

    fn set_queue(&mut self, queue: u32) {
        self.mask.add_all(slot::SKB_PRIORITY);
        self.key.set_skb_priority(queue);
    }

    fn pop_queue(&mut self) {
        self.mask.add_all(slot::SKB_PRIORITY);
        if self.key.skb_priority() != self.original_priority {
            let priority = self.original_priority;
            self.key.set_skb_priority(priority);
            self.detail(|| format!("queue = {priority:#x}"));
        }
    }

    fn output_register(&mut self, output: &ofp::OutputReg, last: bool) {
        let number = output.source.read(&self.key);
        let Ok(number) = u16::try_from(number) else {
            self.lost(DropReason::NoOutputPort);
            return;
        };
        self.detail(|| format!("output port is {number}"));
        output.source.add_to_mask(&mut self.mask);
        self.output_action(OfPort::from_u16(number), output.max_len, false, last);
    }

    fn output_truncated(&mut self, port: OfPort, max_len: u32, last: bool) {
        let in_port = OfPort(self.key.in_port());
        let number = match port {
            OfPort::IN_PORT => in_port,
            port if port == in_port => {
                return self.lost(DropReason::SamePort).detail(|| "skipping output to input port".to_owned());
            }
            port => port,
        };
        if self.bridge.port(number).is_none_or(|port| port.datapath.is_none()) {
            let shown = ::fields::format_port_plain(number);
            return self
                .lost(DropReason::NoOutputPort)
                .fault(|| format!("output_trunc does not support patch port {shown}"));
        }
        commit(self);
        let position = self.actions.len();
        self.output_to(number, last);
        if self.actions.len() > position {
            self.actions.insert(position, dp::Action::Trunc(max_len));
        }
    }
}

/// Whether translation knows how to do such actions. Sampling is for
/// collectors of IPFIX and of the kernel, of which there are none.
// house: long because it is a table, a line for each kind.
fn is_supported(kind: ActionKind) -> bool {
    match kind {
        ActionKind::Output
        | ActionKind::Group
        | ActionKind::Controller
        | ActionKind::Enqueue
        | ActionKind::OutputReg
        | ActionKind::Bundle
        | ActionKind::SetField
        | ActionKind::SetVlanVid
        | ActionKind::SetVlanPcp
        | ActionKind::StripVlan
        | ActionKind::PushVlan
        | ActionKind::SetEthSrc
        | ActionKind::SetEthDst
        | ActionKind::SetIpv4Src
        | ActionKind::SetIpv4Dst
        | ActionKind::SetIpDscp
        | ActionKind::SetIpEcn
        | ActionKind::SetIpTtl
        | ActionKind::SetL4Src
        | ActionKind::SetL4Dst
        | ActionKind::RegMove
        | ActionKind::StackPush
        | ActionKind::StackPop
        | ActionKind::DecTtl
        | ActionKind::SetMplsLabel
        | ActionKind::SetMplsTc
        | ActionKind::SetMplsTtl
        | ActionKind::DecMplsTtl
        | ActionKind::PushMpls
        | ActionKind::PopMpls
        | ActionKind::SetTunnel
        | ActionKind::SetQueue
        | ActionKind::PopQueue
        | ActionKind::FinTimeout
        | ActionKind::Resubmit
        | ActionKind::Learn
        | ActionKind::Conjunction
        | ActionKind::Multipath
        | ActionKind::Note
        | ActionKind::Exit
        | ActionKind::CtClear
        | ActionKind::OutputTrunc
        | ActionKind::Clone
        | ActionKind::CheckPktLarger
        | ActionKind::DebugRecirc
        | ActionKind::DebugSlow
        | ActionKind::Meter
        | ActionKind::ClearActions
        | ActionKind::WriteActions
        | ActionKind::WriteMetadata
        | ActionKind::GotoTable => true,
        ActionKind::DecNshTtl
        | ActionKind::DeleteField
        | ActionKind::Encap
        | ActionKind::Decap
        | ActionKind::Ct
        | ActionKind::Nat
        | ActionKind::Sample => false,
    }
}

/// The kinds of actions that translation can do, as a set.
pub fn supported_kinds() -> u64 {
    ActionKind::in_set(u64::MAX).filter(|kind| is_supported(*kind)).fold(0, |set, kind| set | kind.bit())
}

/// The first action of `list` that translation does not know how to do. A
/// rule with one is refused when it is added, so that it is never ignored.
pub fn unsupported(list: &[Action]) -> Option<&Action> {
    list.iter().find_map(|action| {
        if is_supported(action.kind()) { unsupported(action.nested()) } else { Some(action) }
    })
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
        | Action::SetVlanPcp(_) => true,
        Action::SetField(set) => set.field.info().prereq.met_by(key, None) && !is_metadata(set.field),
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
        | Action::Encap(_)
        | Action::Decap(_)
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
