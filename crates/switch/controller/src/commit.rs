//! Carrying out bundles.

use std::time::Duration;

use base::Timestamp;
use ofp::{BundleControl, GroupMod, Message, OfError};
use ofproto::{Bridge, GroupChange};

use crate::bundles::{Bundle, Change, Outcome};
use crate::channel::PeerId;
use crate::groups::GroupForms;
use crate::handle::{Answer, check_packet_out, not_sent};
use crate::manager::Manager;

/// How long a bundle may wait for its next message unless `other_config:bundle-idle-timeout` says otherwise.
pub const DEFAULT_BUNDLE_IDLE: Duration = Duration::from_secs(10);

/// What a part of a bundle has done, in enough detail to take it back.
enum Done {
    Rules(Vec<ofproto::Change>),
    Group {
        request: Box<GroupMod>,
        xid: u32,
        change: Box<GroupChange>,
    },
    /// The message and the datapath actions of a packet-out, translated in its place in the bundle.
    Packet(Box<flowsync::Prepared>),
    Nothing,
}

impl Manager {
    pub(crate) fn bundle_control(&mut self, id: PeerId, request: BundleControl, head: &[u8]) -> Answer {
        let now = self.clock.now();
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(Vec::new()) };
        match peer.bundles.control(&request, head, now)? {
            Outcome::Reply(reply) => Ok(vec![Message::BundleControl(reply)]),
            Outcome::Commit(bundle, reply) => {
                self.commit(id, bundle)?;
                Ok(vec![Message::BundleControl(reply)])
            }
        }
    }

    /// Carries out a bundle under one lock: nobody sees a part of it, and a part that fails takes back the rest.
    fn commit(&mut self, id: PeerId, bundle: Bundle) -> Result<(), OfError> {
        let Some(peer) = self.peers.get(&id) else { return Ok(()) };
        let bridge = peer.bridge;
        let now = self.clock.now();
        let mut done = Vec::new();
        let mut failed = None;
        {
            let mut switch = self.switch.write();
            for entry in &bundle.entries {
                let result = match &entry.change {
                    Change::Packet(request) => match switch.get(bridge) {
                        Some(state) => check_packet_out(state, request).and_then(|()| {
                            let prepared = self.flows.prepare(&*switch, bridge, request);
                            let prepared = prepared.map_err(|error| not_sent(&error.into()))?;
                            Ok(Done::Packet(Box::new(prepared)))
                        }),
                        None => Ok(Done::Nothing),
                    },
                    change => match switch.get_mut(bridge) {
                        Some(state) => carry_out(state, change, entry.xid, now),
                        None => Ok(Done::Nothing),
                    },
                };
                match result {
                    Ok(one) => done.push(one),
                    Err(error) => {
                        failed = Some((error, entry.xid, entry.head.clone()));
                        break;
                    }
                }
            }
            if failed.is_some()
                && let Some(state) = switch.get_mut(bridge)
            {
                take_back(state, done.drain(..).rev());
            }
        }
        if let Some((error, xid, head)) = failed {
            self.send_error(id, xid, error, head);
            return Err(OfError::OfpbfcMsgFailed);
        }
        for entry in &bundle.entries {
            match &entry.change {
                Change::Port(request) => {
                    // The rest is in force: what a device refuses fails for itself.
                    if let Err(error) = self.port_mod(id, request) {
                        self.send_error(id, entry.xid, error, entry.head.clone());
                    }
                }
                Change::Flow(request) => {
                    if let Some(peer) = self.peers.get_mut(&id) {
                        peer.rule_log.note(request.command, now);
                    }
                }
                Change::Group(_) | Change::Packet(_) => {}
            }
        }
        let xids = bundle.entries.iter().map(|entry| entry.xid);
        self.tell_of_bundle(id, bridge, done, xids, now);
        Ok(())
    }

    /// Tells of what a bundle did; `xids` are those of its messages.
    fn tell_of_bundle(
        &mut self,
        id: PeerId,
        bridge: pipeline::BridgeId,
        done: Vec<Done>,
        xids: impl Iterator<Item = u32>,
        now: Timestamp,
    ) {
        let mut rules = Vec::new();
        // Who changes what it watches is told in short, with the first message that changed something.
        let mut first = None;
        for (one, xid) in done.into_iter().zip(xids) {
            match one {
                Done::Rules(changes) => {
                    first = first.or((!changes.is_empty()).then_some((id, xid)));
                    rules.extend(changes);
                }
                Done::Group { request, xid, change } => {
                    first = first.or((!change.rules.is_empty()).then_some((id, xid)));
                    rules.extend(change.rules.iter().cloned());
                    let forms = GroupForms::of(&request, &change);
                    self.forward_request(id, xid, &Message::GroupMod(*request), &forms);
                }
                Done::Packet(prepared) => {
                    if let Err(e) = self.flows.send(*prepared) {
                        // The bundle is committed; there is no taking back now.
                        not_sent(&e.into());
                    }
                }
                Done::Nothing => {}
            }
        }
        self.tell_rule_changes(bridge, &rules, first, now);
    }

    /// Gives up bundles with which nothing was done for too long.
    pub fn expire_bundles(&mut self) {
        let now = self.clock.now();
        let mut expired = Vec::new();
        for (&id, peer) in &mut self.peers {
            expired.extend(peer.bundles.expire(self.bundle_idle, now).into_iter().map(|bundle| (id, bundle)));
        }
        for (id, (xid, head)) in expired {
            self.send_error(id, xid, OfError::OfpbfcTimeout, head);
        }
    }
}

fn carry_out(state: &mut Bridge, change: &Change, xid: u32, now: Timestamp) -> Result<Done, OfError> {
    match change {
        Change::Flow(request) => state.flow_mod(request, now).map(Done::Rules),
        Change::Group(request) => {
            let change = state.group_mod(request, now)?;
            Ok(Done::Group { request: request.clone(), xid, change: Box::new(change) })
        }
        Change::Port(request) if state.port_entry(request.port).is_none() => Err(OfError::OfppmfcBadPort),
        Change::Port(_) | Change::Packet(_) => Ok(Done::Nothing),
    }
}

fn take_back(state: &mut Bridge, done: impl Iterator<Item = Done>) {
    for one in done {
        match one {
            Done::Rules(changes) => state.undo(&changes),
            Done::Group { change, .. } => state.undo_group(&change),
            Done::Packet(_) | Done::Nothing => {}
        }
    }
}
