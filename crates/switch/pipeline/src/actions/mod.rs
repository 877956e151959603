//! Running a list of OpenFlow actions.

use base::{OfPort, TableId};
use fields::Subfield;
use flow::{MAX_VLANS, Slot, VLAN_CFI, slot};
use ofp::{Action, PacketInReason};

use crate::commit::commit;
use crate::trace::Kind;
use crate::translate::Context;
use crate::translate::action_text;

/// Whether the next action of a list is still to be run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
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
            if self.exit || self.error.is_some() {
                break;
            }
            let last = is_last && index + 1 == list.len() && self.action_set.is_empty();
            self.record.line(Kind::Action, || action_text(std::slice::from_ref(action)));
            if self.run_action(action, last) == Next::Leave {
                break;
            }
        }
    }

    // house: long because it is the one list of actions; each arm is a call or a line.
    fn run_action(&mut self, action: &Action, last: bool) -> Next {
        match action {
            Action::Output(output) => self.output_action(output.port, output.max_len, last),
            Action::Controller(controller) => self.send_to_controller(
                controller.max_len,
                controller.reason,
                controller.controller_id,
                &controller.userdata,
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
            Action::PopQueue => {
                self.mask.add_all(slot::SKB_PRIORITY);
                self.key.set_skb_priority(0);
            }
            Action::Resubmit(resubmit) => self.resubmit(resubmit, last),
            Action::GotoTable(table) => {
                let in_port = OfPort(self.key.in_port());
                self.lookup_and_run(TableId(*table), in_port, true, true, last);
            }
            Action::WriteMetadata { metadata, mask } => {
                let merged = self.key.metadata() & !mask | metadata & mask;
                self.key.set_metadata(merged);
            }
            Action::WriteActions(list) => self.write_actions(list),
            Action::ClearActions => {
                self.record_action_set("was");
                self.action_set.clear();
                self.key.set_actset_output(OfPort::UNSET.0);
            }
            Action::Clone(list) => self.run_clone(list, last),
            Action::Exit => self.exit = true,
            Action::CtClear => self.clear_conntrack(),
            Action::Conjunction(_) => {
                self.record.line(Kind::Error, || "executing no-op conjunction action".to_owned());
            }
            // What is left changes nothing here: notes, and header changes that the packet has no header for.
            _ => {}
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
        }
        self.key.set_skb_priority(kept);
    }

    fn set_queue(&mut self, queue: u32) {
        self.mask.add_all(slot::SKB_PRIORITY);
        self.key.set_skb_priority(queue);
    }

    fn output_register(&mut self, output: &ofp::OutputReg, last: bool) {
        let number = output.source.read(&self.key);
        let Ok(number) = u16::try_from(number) else { return };
        self.detail(|| format!("output port is {number}"));
        output.source.add_to_mask(&mut self.mask);
        self.output_action(OfPort::from_u16(number), output.max_len, last);
    }

    fn output_truncated(&mut self, port: OfPort, max_len: u32, last: bool) {
        let in_port = OfPort(self.key.in_port());
        let number = match port {
            OfPort::IN_PORT => in_port,
            port if port == in_port => {
                return self.detail(|| "skipping output to input port".to_owned());
            }
            port => port,
        };
        if self.bridge.port(number).is_some_and(|port| port.peer.is_some()) {
            let text = "Cannot truncate output to patch port";
            return self.record.line(Kind::Error, || text.to_owned());
        }
        commit(self);
        let position = self.actions.len();
        self.output_to(number, last);
        if self.actions.len() > position {
            self.actions.insert(position, dp::Action::Trunc(max_len));
        }
    }

    fn set_field(&mut self, set: &ofp::SetField) {
        let info = set.field.info();
        if !info.prereq.met_by(&self.key, Some(&mut self.mask)) {
            let name = info.name;
            return self.warning(|| format!("unmet prerequisites for {name}, set_field ignored"));
        }
        self.mask_protocol_of(set.field);
        if !set.field.is_tunnel() {
            set.field.add_bits_to_mask(&mut self.mask, set.mask);
        }
        set.field.write_masked(&mut self.key, set.value, set.mask);
    }

    /// Changing a network or transport header is possible only as long as the protocol is what it is.
    fn mask_protocol_of(&mut self, field: fields::Field) {
        if field.is_l3_or_higher() && self.key.is_ip() {
            self.mask.add_all(slot::NW_PROTO);
        }
    }

    fn move_field(&mut self, copy: &ofp::RegMove) {
        let (source, destination) = (copy.source, copy.destination);
        let from = source.field.info();
        let to = destination.field.info();
        if !from.prereq.met_by(&self.key, Some(&mut self.mask)) {
            return self.warning(|| format!("unmet prerequisites for {}, reg_move ignored", from.name));
        }
        if !to.prereq.met_by(&self.key, Some(&mut self.mask)) {
            return self.warning(|| format!("unmet prerequisites for {}, reg_move ignored", to.name));
        }
        self.mask_protocol_of(destination.field);
        source.add_to_mask(&mut self.mask);
        destination.add_to_mask(&mut self.mask);
        let value = source.read(&self.key);
        destination.write(&mut self.key, value);
        self.record_subfield(destination);
    }

    fn record_subfield(&mut self, subfield: Subfield) {
        let value = subfield.read(&self.key);
        self.detail(|| {
            let mut text = String::new();
            subfield.format(&mut text);
            format!("{text} is now {value:#x}")
        });
    }

    fn push_stack(&mut self, source: Subfield) {
        source.add_to_mask(&mut self.mask);
        let value = source.read(&self.key);
        let width = usize::from(source.n_bits).div_ceil(8).clamp(1, 16);
        self.stack.extend(&value.to_be_bytes()[16 - width..]);
        self.stack.push(width as u8);
    }

    fn pop_stack(&mut self, destination: Subfield) {
        let Some(width) = self.stack.pop().map(usize::from) else {
            return self.warning(|| "stack underflow".to_owned());
        };
        let start = self.stack.len().saturating_sub(width);
        let value = self.stack.drain(start..).fold(0u128, |value, byte| value << 8 | u128::from(byte));
        destination.add_to_mask(&mut self.mask);
        destination.write(&mut self.key, value & destination.ones());
        self.record_subfield(destination);
    }

    /// Sets a header value that every packet has.
    fn set_slot(&mut self, place: Slot, value: u128) {
        self.mask.add_all(place);
        self.key.write(place, value);
    }

    /// Sets bits of a network or transport header that the packet is known to have.
    fn set_network(&mut self, place: Slot, value: u128, bits: u128) {
        self.mask.add_all(slot::NW_PROTO);
        self.mask.add(place, bits);
        self.key.write_masked(place, value, bits);
    }

    fn has_transport(&self) -> bool {
        self.key.is_ip() && self.key.nw_frag() & flow::frag::LATER == 0
    }

    fn set_vlan_bits(&mut self, bits: u16, value: u16, push_if_needed: bool) {
        self.mask.add(slot::VLAN0_TCI, u128::from(bits | VLAN_CFI));
        let tci = self.key.vlan0_tci();
        if tci & VLAN_CFI == 0 && !push_if_needed {
            return;
        }
        let tpid = if self.key.vlan0_tpid() == 0 { crate::vlan::TPID_8021Q } else { self.key.vlan0_tpid() };
        self.key.set_vlan(0, tpid, tci & !bits | value | VLAN_CFI);
    }

    fn pop_vlan(&mut self) {
        let count = self.key.vlan_count();
        for index in 1..count {
            self.mask_tag(index);
            let (tpid, tci) = (self.key.vlan_tpid(index), self.key.vlan_tci(index));
            self.key.set_vlan(index - 1, tpid, tci);
        }
        if count > 0 {
            self.key.set_vlan(count - 1, 0, 0);
        }
    }

    fn push_vlan(&mut self, tpid: u16) {
        for index in (0..self.key.vlan_count()).rev() {
            self.mask_tag(index);
            if index + 1 < MAX_VLANS {
                let (old_tpid, tci) = (self.key.vlan_tpid(index), self.key.vlan_tci(index));
                self.key.set_vlan(index + 1, old_tpid, tci);
            }
        }
        self.key.set_vlan(0, tpid, VLAN_CFI);
    }

    fn mask_tag(&mut self, index: usize) {
        self.mask.add_all(Slot::vlan_tci(index));
        self.mask.add_all(Slot::vlan_tpid(index));
    }

    fn decrement_ttl(&mut self, controllers: &[u16]) -> Next {
        if !self.key.is_ip() {
            return Next::Go;
        }
        self.mask.add_all(slot::NW_TTL);
        self.mask.add_all(slot::NW_PROTO);
        let ttl = self.key.nw_ttl();
        if ttl > 1 {
            self.key.set_nw_ttl(ttl - 1);
            return Next::Go;
        }
        for &controller in controllers {
            self.send_to_controller(u16::MAX, PacketInReason::InvalidTtl, controller, &[]);
        }
        let version = if self.key.dl_type() == 0x0800 { 4 } else { 6 };
        self.warning(|| format!("IPv{version} decrement TTL exception"));
        Next::Leave
    }

    /// What a clone does is not seen by the actions behind it.
    fn run_clone(&mut self, list: &[Action], last: bool) {
        let key = self.key.clone();
        let stack = self.stack.clone();
        let set = std::mem::take(&mut self.action_set);
        let exit = self.exit;
        let reversible = last || list.iter().all(is_reversible);
        if reversible {
            self.run_actions(list, last);
        } else {
            commit(self);
            let base = self.base.clone();
            let outer = std::mem::take(&mut self.actions);
            self.run_actions(list, true);
            let inner = std::mem::replace(&mut self.actions, outer);
            if !inner.is_empty() {
                self.actions.push(dp::Action::Clone(inner.into()));
            }
            self.base = base;
        }
        self.key = key;
        self.stack = stack;
        self.action_set = set;
        self.exit = exit;
    }

    fn write_actions(&mut self, list: &[Action]) {
        for action in list {
            if let Action::Output(output) = action {
                self.key.set_actset_output(output.port.0);
            }
            self.action_set.push(action.clone());
        }
        self.record_action_set("is");
    }

    fn record_action_set(&mut self, verb: &str) {
        if !self.record.is_on() {
            return;
        }
        let list = ordered(&self.action_set);
        self.detail(|| {
            if list.is_empty() {
                format!("action set {verb} empty")
            } else {
                format!("action set {verb}: {}", action_text(&list))
            }
        });
    }

    /// Runs the action set at the end of the pipeline.
    pub(crate) fn run_action_set(&mut self) {
        let list = ordered(&std::mem::take(&mut self.action_set));
        if list.is_empty() {
            return;
        }
        self.exit = false;
        self.in_action_set = true;
        self.record.open(Kind::Table, || "--. Executing action set:".to_owned());
        self.run_actions(&list, true);
        self.record.close();
        self.in_action_set = false;
    }
}

/// The first action of `list` that translation does not know how to do. A
/// rule with one is refused when it is added, so that it is never ignored.
pub fn unsupported(list: &[Action]) -> Option<&Action> {
    list.iter().find_map(|action| match action {
        Action::Group(_)
        | Action::Bundle(_)
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
        | Action::FinTimeout(_)
        | Action::Learn(_)
        | Action::Multipath(_)
        | Action::Sample(_)
        | Action::Ct(_)
        | Action::Nat(_)
        | Action::CheckPktLarger(_)
        | Action::DebugRecirc
        | Action::DebugSlow
        | Action::Meter(_) => Some(action),
        Action::Controller(controller) if controller.pause => Some(action),
        other => unsupported(other.nested()),
    })
}

/// Whether an action leaves the packet as the datapath has it, so that a clone needs no copy.
fn is_reversible(action: &Action) -> bool {
    !matches!(
        action,
        Action::Ct(_)
            | Action::Meter(_)
            | Action::Nat(_)
            | Action::OutputTrunc(_)
            | Action::Encap(_)
            | Action::Decap(_)
            | Action::DecNshTtl
    )
}

/// The action set as a list, in the order that OpenFlow 1.5.1 §5.6 gives: pop,
/// push, TTL, set, QoS, output. Of each kind the one written last counts,
/// but every change of a field does.
fn ordered(set: &[Action]) -> Vec<Action> {
    type Is = fn(&Action) -> bool;
    const ONE_EACH: [Is; 6] = [
        |a| matches!(a, Action::StripVlan { .. }),
        |a| matches!(a, Action::PopMpls(_)),
        |a| matches!(a, Action::PushMpls(_)),
        |a| matches!(a, Action::PushVlan(_)),
        |a| matches!(a, Action::DecTtl(_)),
        |a| matches!(a, Action::DecMplsTtl),
    ];
    let mut list = Vec::new();
    let last = |is: Is| set.iter().rev().find(|action| is(action)).cloned();
    list.extend(ONE_EACH.into_iter().filter_map(last));
    list.extend(set.iter().filter(|action| changes_field(action)).cloned());
    list.extend(last(|a| matches!(a, Action::SetQueue(_))));
    let ends: [Is; 3] = [
        |a| matches!(a, Action::Group(_)),
        |a| matches!(a, Action::Output(_)),
        |a| matches!(a, Action::Resubmit(_)),
    ];
    match ends.into_iter().find_map(last) {
        Some(end) => list.push(end),
        // A packet that the set sends nowhere is dropped, whatever else would be done to it.
        None => list.clear(),
    }
    list
}

fn changes_field(action: &Action) -> bool {
    matches!(
        action,
        Action::SetField(_)
            | Action::RegMove(_)
            | Action::SetVlanVid(_)
            | Action::SetVlanPcp(_)
            | Action::SetEthSrc(_)
            | Action::SetEthDst(_)
            | Action::SetIpv4Src(_)
            | Action::SetIpv4Dst(_)
            | Action::SetIpDscp(_)
            | Action::SetIpEcn(_)
            | Action::SetIpTtl(_)
            | Action::SetL4Src(_)
            | Action::SetL4Dst(_)
            | Action::SetMplsLabel(_)
            | Action::SetMplsTc(_)
            | Action::SetMplsTtl(_)
            | Action::SetTunnel { .. }
    )
}
