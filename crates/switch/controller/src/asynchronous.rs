//! Messages that nobody asked for: packets, ports and rules that changed.

use std::sync::Arc;

use base::Timestamp;
use fields::Field;
use flow::ct_state;
use flowsync::PacketIn;
use ofp::{AsyncKind, Decoded, FlowFlags, Message, PacketInReason, Version};
use ofproto::{Change, PortNews};
use pipeline::BridgeId;

use crate::channel::PeerId;
use crate::groups::GroupForms;
use crate::manager::Manager;
use crate::outbox::Class;
use crate::peer::Peer;
use crate::resume::continuation;
use crate::schedule::Offer;

/// Bytes of packets that may wait for a peer before further packets for it are dropped.
const PACKET_IN_BACKLOG: usize = 1 << 20;

base::coverage!(static PACKET_IN_DROPPED = "pinsched_overflow");

impl Manager {
    /// Sends a packet to the controllers that want it.
    pub fn send_packet_in(&mut self, packet: &PacketIn) {
        for peer in self.peers.values_mut().filter(|peer| peer.bridge == packet.bridge) {
            let wanted = peer.wants(AsyncKind::PacketIn, packet.reason.number());
            if peer.controller_id != packet.controller_id || !wanted {
                continue;
            }
            if peer.link.waiting(Class::Packet) > PACKET_IN_BACKLOG {
                PACKET_IN_DROPPED.count();
                continue;
            }
            let reason = reason_for(peer, packet.reason);
            let is_miss = matches!(
                packet.reason,
                PacketInReason::NoMatch | PacketInReason::ImplicitMiss | PacketInReason::ExplicitMiss
            );
            // Always the whole packet: how much a controller wants of one counts only where the
            // rest waits in a buffer, and there are none.
            let message = ofp::PacketIn {
                packet: packet.packet.clone(),
                total_len: packet.packet.len(),
                buffer_id: ofp::NO_BUFFER,
                metadata: metadata_match(packet),
                reason,
                table: packet.table,
                cookie: packet.cookie,
                userdata: packet.userdata.clone(),
                continuation: packet.paused.as_ref().map(|paused| Box::new(continuation(paused))),
            };
            match peer.packet_ins.offer(message, is_miss, self.clock.now()) {
                Offer::Send(message) => peer.send_packet(*message),
                Offer::Kept => {}
                Offer::Dropped => PACKET_IN_DROPPED.count(),
            }
        }
    }

    /// Sends packets that had to wait because a controller limits their rate.
    pub fn send_waiting_packet_ins(&mut self) {
        let now = self.clock.now();
        for peer in self.peers.values_mut() {
            for message in peer.packet_ins.due(now) {
                if peer.link.waiting(Class::Packet) > PACKET_IN_BACKLOG {
                    PACKET_IN_DROPPED.count();
                    continue;
                }
                peer.send_packet(message);
            }
        }
    }

    /// Tells of rules that changed without a request: learned, or gone with those that taught them.
    pub fn tell_untold(&mut self) {
        if !self.switch.read().has_untold() {
            return;
        }
        let now = self.clock.now();
        let untold = self.switch.write().take_untold();
        for (bridge, changes) in untold {
            self.tell_rule_changes(bridge, &changes, None, now);
        }
    }

    /// Tells the other controllers of a bridge what one of them has done to a group or a meter.
    pub(crate) fn forward_request(&mut self, from: PeerId, xid: u32, message: &Message, forms: &GroupForms) {
        let Some(bridge) = self.peers.get(&from).map(|peer| peer.bridge) else { return };
        let reason = u8::from(matches!(message, Message::MeterMod(_)));
        let now = self.clock.now();
        for (id, peer) in &mut self.peers {
            let is_other = *id != from && peer.bridge == bridge;
            let can_say = reason == 0 || peer.version >= Version::Of13;
            if is_other && can_say && peer.wants(AsyncKind::RequestForward, reason) {
                let message = forms.for_version(message, peer.version);
                let inner = Decoded { version: peer.version, xid, more: false, message };
                peer.tell(Class::Notice, &Message::RequestForward(Box::new(inner)), now);
            }
        }
    }

    /// Tells the bridge's controllers of a port: those whose version can tell
    /// the difference. `by` is who asked for the change, and knows it already,
    /// unless it is of OpenFlow 1.5.
    pub fn tell_port(&mut self, bridge: BridgeId, news: &PortNews, by: Option<PeerId>) {
        let status = &news.status;
        let now = self.clock.now();
        for (id, peer) in &mut self.peers {
            let asked = by == Some(*id) && peer.version < Version::Of15;
            if asked || peer.bridge != bridge || !peer.wants(AsyncKind::PortStatus, status.reason as u8) {
                continue;
            }
            if let Some(old) = &news.old {
                let before = ofp::PortStatus { reason: status.reason, desc: old.clone() };
                if peer.bytes(0, &Message::PortStatus(before))
                    == peer.bytes(0, &Message::PortStatus(status.clone()))
                {
                    continue;
                }
            }
            peer.tell(Class::Notice, &Message::PortStatus(status.clone()), now);
        }
    }

    /// Removes the rules that have timed out and tells of them.
    pub fn expire_rules(&mut self) {
        let now = self.clock.now();
        let bridges: Vec<BridgeId> = self.bridges.keys().copied().collect();
        for bridge in bridges {
            let due = self.switch.survey().get(bridge).map(|state| state.expired_rules(now));
            let Some(due) = due.filter(|due| !due.is_empty()) else { continue };
            let changes = self.switch.remove_expired(bridge, &due, now);
            self.tell_rule_changes(bridge, &changes, None, now);
        }
    }

    /// Tells whoever wants to know that rules changed. `by` is who asked for it.
    pub(crate) fn tell_rule_changes(
        &mut self,
        bridge: BridgeId,
        changes: &[Change],
        by: Option<(PeerId, u32)>,
        now: Timestamp,
    ) {
        if changes.is_empty() {
            return;
        }
        let (revision, is_watched) = {
            let switch = self.switch.read();
            let Some(state) = switch.get(bridge) else { return };
            (state.revision(), changed_tables(changes).any(|table| state.watches_vacancy(table)))
        };
        let statuses = if is_watched { self.table_statuses(bridge, changes) } else { Vec::new() };
        for (id, peer) in &mut self.peers {
            if peer.bridge != bridge {
                continue;
            }
            for status in &statuses {
                if peer.version >= Version::Of14 && peer.wants(AsyncKind::TableStatus, status.reason) {
                    peer.tell(Class::Notice, &Message::TableStatus(status.clone()), now);
                }
            }
            if peer.wants_any(AsyncKind::FlowRemoved) {
                for change in changes {
                    tell_removed(peer, change, now);
                }
            }
            peer.report(changes, by.filter(|(who, _)| who == id).map(|(_, xid)| xid), revision, now);
        }
    }

    /// Lets go of rules that are gone: of many on a thread of its own, as nobody has to wait until they are freed.
    pub(crate) fn free_later(&self, bridge: BridgeId, changes: Vec<Change>) {
        if changes.len() < ofproto::MANY {
            return;
        }
        let switch = Arc::clone(&self.switch);
        let free = move || {
            // Who has the turn lets go of what the change has left behind.
            let debris = switch.write().get_mut(bridge).map(ofproto::Bridge::take_debris);
            drop((changes, debris));
            rpc::memory::give_back();
        };
        // Where no thread can be had, they are freed here.
        let _ = std::thread::Builder::new().name("free".to_owned()).spawn(free);
    }

    /// Gives the memory back of rules that are gone, if they were many.
    pub fn give_back_memory(&mut self) {
        let rules = self.switch.read().bridges().map(ofproto::Bridge::rule_count).sum();
        if self.rule_memory.is_due(rules) {
            // Where no thread can be had, memory is kept.
            let _ = std::thread::Builder::new().name("trim".to_owned()).spawn(rpc::memory::give_back);
        }
    }

    /// Tables that became fuller or emptier than somebody wants to know.
    fn table_statuses(&self, bridge: BridgeId, changes: &[Change]) -> Vec<ofp::TableStatus> {
        let mut tables: Vec<base::TableId> = changed_tables(changes).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut switch = self.switch.write();
        switch.get_mut(bridge).map(|state| state.take_table_statuses(tables.into_iter())).unwrap_or_default()
    }
}

/// The tables of the rules, again and again.
fn changed_tables(changes: &[Change]) -> impl Iterator<Item = base::TableId> {
    let entries = changes.iter().filter_map(|change| change.new.as_ref().or(change.old.as_ref()));
    entries.map(|entry| entry.rule.table)
}

/// The reason as the peer's version knows it.
fn reason_for(peer: &Peer, reason: PacketInReason) -> PacketInReason {
    match reason {
        PacketInReason::ImplicitMiss => PacketInReason::NoMatch,
        // A rule of last resort is a rule like others before OpenFlow 1.3.
        PacketInReason::ExplicitMiss if peer.version < Version::Of13 => PacketInReason::Action,
        PacketInReason::ExplicitMiss => PacketInReason::NoMatch,
        PacketInReason::ActionSet | PacketInReason::Group | PacketInReason::PacketOut
            if peer.version < Version::Of14 =>
        {
            PacketInReason::Action
        }
        other @ (PacketInReason::NoMatch
        | PacketInReason::Action
        | PacketInReason::InvalidTtl
        | PacketInReason::ActionSet
        | PacketInReason::Group
        | PacketInReason::PacketOut
        | PacketInReason::Other(_)) => other,
    }
}

/// The types of Ethernet whose connections have an original direction.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// The values that headers do not hold, as a match.
fn metadata_match(packet: &PacketIn) -> fields::Match {
    let mut matching = fields::Match::default();
    let key = &packet.metadata;
    let registers = (0..flow::REGISTERS).filter_map(Field::register);
    let others = Field::all().filter(|field| {
        let is_of_packet =
            matches!(field, Field::PktMark | Field::CtState | Field::CtZone | Field::CtMark | Field::CtLabel);
        let is_kept = field.is_frozen_metadata() && !field.is_register() && *field != Field::ActsetOutput;
        is_of_packet || is_kept
    });
    for field in registers.chain(others) {
        let value = field.read(key);
        if value != 0 {
            matching.set_exact(field, value);
        }
    }
    matching.set_in_port(base::OfPort(key.in_port()));
    if !key.is_ethernet() {
        matching.set_packet_type(key.packet_type());
    }
    // Others belong to no connection.
    let is_valid = key.ct_state() & (ct_state::NEW | ct_state::ESTABLISHED | ct_state::REPLY) != 0;
    if key.ct_state() != 0 && key.dl_type() != 0 {
        matching.set_dl_type(key.dl_type());
        let original: &[Field] = match key.dl_type() {
            IPV4 if is_valid && key.ct_nw_proto() != 0 => &[Field::CtNwSrc, Field::CtNwDst],
            IPV6 if is_valid && key.ct_nw_proto() != 0 => &[Field::CtIpv6Src, Field::CtIpv6Dst],
            _ => return matching,
        };
        for field in original.iter().chain(&[Field::CtNwProto, Field::CtTpSrc, Field::CtTpDst]) {
            matching.set_exact(*field, field.read(key));
        }
    }
    matching
}

fn tell_removed(peer: &mut Peer, change: &Change, now: Timestamp) {
    let (Some(old), Some(reason)) = (&change.old, change.reason) else { return };
    if old.flags.contains(FlowFlags::SEND_FLOW_REM)
        && !old.is_hidden()
        && peer.wants(AsyncKind::FlowRemoved, reason as u8)
    {
        // As in the reference, these count as replies: who does not take them cannot go on to add rules.
        peer.tell(Class::Reply, &Message::FlowRemoved(Box::new(old.removed(reason, now))), now);
    }
}
