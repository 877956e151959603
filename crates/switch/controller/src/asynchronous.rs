//! Messages that nobody asked for: packets, ports and rules that changed.

use base::Timestamp;
use flowsync::PacketIn;
use ofp::{
    AsyncKind, FlowFlags, FlowMonitorRequest, FlowRemovedReason, FlowUpdate, FlowUpdateFull, Message,
    OfError, PacketInReason, PortStatus, monitor_flag,
};
use ofproto::{Change, Criteria, Entry};
use pipeline::BridgeId;

use crate::channel::PeerId;
use crate::manager::Manager;
use crate::peer::Peer;

/// Bytes that may wait for a peer before packets for it are dropped.
const PACKET_IN_BACKLOG: usize = 1 << 20;

base::coverage!(static PACKET_IN_DROPPED = "pinsched_overflow");

impl Manager {
    /// Sends a packet to the controllers that want it.
    pub fn send_packet_in(&mut self, packet: &PacketIn) {
        for peer in self.peers.values_mut().filter(|peer| peer.bridge == packet.bridge) {
            let reason = reason_for(peer, packet.reason);
            if peer.controller_id != packet.controller_id || !peer.wants(AsyncKind::PacketIn, reason.number())
            {
                continue;
            }
            if peer.link.waiting() > PACKET_IN_BACKLOG {
                PACKET_IN_DROPPED.count();
                continue;
            }
            let is_miss = matches!(
                packet.reason,
                PacketInReason::NoMatch | PacketInReason::ImplicitMiss | PacketInReason::ExplicitMiss
            );
            let max_len = if is_miss { peer.miss_send_len } else { packet.max_len };
            let shown = packet.packet.len().min(usize::from(max_len));
            let message = ofp::PacketIn {
                packet: packet.packet[..shown].to_vec(),
                total_len: packet.packet.len(),
                buffer_id: ofp::NO_BUFFER,
                metadata: metadata_match(packet),
                reason,
                table: packet.table,
                cookie: packet.cookie,
                userdata: packet.userdata.clone(),
                continuation: None,
            };
            peer.send(0, &Message::PacketIn(message));
        }
    }

    /// Tells the bridge's controllers of a port.
    pub fn tell_port_status(&mut self, bridge: BridgeId, status: &PortStatus) {
        for peer in self.peers.values_mut() {
            if peer.bridge == bridge && peer.wants(AsyncKind::PortStatus, status.reason as u8) {
                peer.tell(&Message::PortStatus(status.clone()));
            }
        }
    }

    /// Removes the rules that have timed out and tells of them.
    pub fn expire_rules(&mut self) {
        let now = self.clock.now();
        let bridges: Vec<BridgeId> = self.bridges.keys().copied().collect();
        for bridge in bridges {
            let changes = self.switch.write().get_mut(bridge).map(|state| state.expire_rules(now));
            if let Some(changes) = changes.filter(|changes| !changes.is_empty()) {
                self.tell_rule_changes(bridge, &changes, None, now);
            }
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
        for (id, peer) in &mut self.peers {
            if peer.bridge != bridge {
                continue;
            }
            for change in changes {
                tell_removed(peer, change, now);
            }
            tell_monitors(peer, changes, by.filter(|(who, _)| who == id).map(|(_, xid)| xid));
        }
    }

    /// Starts monitors; the answer is all that they watch as it is now.
    pub(crate) fn add_monitors(
        &mut self,
        id: PeerId,
        requests: Vec<FlowMonitorRequest>,
        _now: Timestamp,
    ) -> Result<Vec<Message>, OfError> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(Vec::new()) };
        let duplicate = requests.iter().any(|request| peer.monitors.iter().any(|m| m.id == request.id));
        if duplicate {
            return Err(OfError::OfpmofcMonitorExists);
        }
        let mut updates = Vec::new();
        let switch = self.switch.read();
        for request in &requests {
            if request.flags & monitor_flag::INITIAL == 0 {
                continue;
            }
            let entries =
                switch.get(peer.bridge).map(|state| state.select(&criteria(request))).unwrap_or_default();
            updates.extend(entries.iter().map(|entry| FlowUpdate::Initial(Box::new(full(entry, request)))));
        }
        peer.monitors.extend(requests);
        Ok(vec![Message::FlowMonitorReply(updates)])
    }
}

/// Old versions know one reason for packets without a rule.
fn reason_for(peer: &Peer, reason: PacketInReason) -> PacketInReason {
    match reason {
        PacketInReason::ImplicitMiss | PacketInReason::ExplicitMiss => PacketInReason::NoMatch,
        PacketInReason::ActionSet | PacketInReason::Group | PacketInReason::PacketOut
            if peer.version < ofp::Version::Of14 =>
        {
            PacketInReason::Action
        }
        other => other,
    }
}

/// The values that headers do not hold, as a match.
fn metadata_match(packet: &PacketIn) -> fields::Match {
    let mut matching = fields::Match::default();
    let key = &packet.metadata;
    for field in fields::Field::all().filter(|field| field.is_frozen_metadata()) {
        let value = field.read(key);
        if value != 0 && field != fields::Field::ActsetOutput {
            matching.set_exact(field, value);
        }
    }
    matching.set_in_port(base::OfPort(key.in_port()));
    matching
}

fn tell_removed(peer: &mut Peer, change: &Change, now: Timestamp) {
    let (Some(old), Some(reason)) = (&change.old, change.reason) else { return };
    if old.flags.contains(FlowFlags::SEND_FLOW_REM)
        && !old.is_hidden()
        && peer.wants(AsyncKind::FlowRemoved, reason as u8)
    {
        peer.tell(&Message::FlowRemoved(old.removed(reason, now)));
    }
}

/// Tells a peer's monitors of changes; changes that it made itself are told in short.
fn tell_monitors(peer: &mut Peer, changes: &[Change], own_xid: Option<u32>) {
    let mut updates = Vec::new();
    for change in changes {
        let Some(entry) = change.new.as_ref().or(change.old.as_ref()) else { continue };
        let (flag, is_removal) = match (&change.old, &change.new) {
            (None, Some(_)) => (monitor_flag::ADD, false),
            (Some(_), Some(_)) => (monitor_flag::MODIFY, false),
            _ => (monitor_flag::REMOVED, true),
        };
        let wanting = peer
            .monitors
            .iter()
            .find(|monitor| monitor.flags & flag != 0 && criteria(monitor).admits_entry(entry));
        let Some(monitor) = wanting else { continue };
        if let Some(xid) = own_xid.filter(|_| monitor.flags & monitor_flag::ONLY_OWN == 0) {
            updates.push(FlowUpdate::Abbreviated { xid });
            break;
        }
        let update = Box::new(full(entry, monitor));
        updates.push(match (is_removal, flag) {
            (true, _) => {
                let reason = change.reason.unwrap_or(FlowRemovedReason::Delete) as u8;
                FlowUpdate::Removed { reason, update }
            }
            (_, monitor_flag::ADD) => FlowUpdate::Added(update),
            _ => FlowUpdate::Modified(update),
        });
    }
    if !updates.is_empty() {
        peer.send(0, &Message::FlowMonitorReply(updates));
    }
}

fn criteria(request: &FlowMonitorRequest) -> Criteria {
    Criteria {
        table: base::TableId(request.table),
        matching: request.m.clone(),
        out_port: request.out_port,
        out_group: request.out_group,
        ..Criteria::all()
    }
}

fn full(entry: &Entry, request: &FlowMonitorRequest) -> FlowUpdateFull {
    let rule = &entry.rule;
    FlowUpdateFull {
        idle_timeout: entry.idle_timeout,
        hard_timeout: entry.hard_timeout,
        table: rule.table.0,
        priority: rule.priority.clamp(0, i32::from(u16::MAX)) as u16,
        cookie: rule.cookie,
        m: rule.matching.clone(),
        actions: if request.flags & monitor_flag::INSTRUCTIONS != 0 {
            rule.actions.to_vec()
        } else {
            Vec::new()
        },
    }
}
