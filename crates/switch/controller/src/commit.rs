//! Carrying out bundles.

use std::time::Duration;

use base::Timestamp;
use ofp::{BundleControl, GroupMod, Message, OfError};
use ofproto::{Bridge, GroupChange};

use crate::bundles::{Bundle, Change, Outcome};
use crate::channel::PeerId;
use crate::groups::GroupForms;
use crate::handle::{Answer, check_packet_out};
use crate::manager::Manager;

/// How long a bundle may wait for its next message unless `other_config:bundle-idle-timeout` says otherwise.
pub const DEFAULT_BUNDLE_IDLE: Duration = Duration::from_secs(10);

/// What a part of a bundle has done, in enough detail to take it back.
enum Done {
    Rules(Vec<ofproto::Change>),
    Group {
        request: Box<GroupMod>,
        xid: u32,
        change: GroupChange,
    },
    /// The message and the datapath actions of a packet-out, translated in its place in the bundle.
    Packet(flowsync::Prepared),
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
                        Some(state) => check_packet_out(state, request)
                            .map(|()| Done::Packet(self.flows.prepare(&*switch, bridge, request))),
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
                Change::Port(request) => self.port_mod(id, request)?,
                Change::Flow(request) => {
                    if let Some(peer) = self.peers.get_mut(&id) {
                        peer.rule_log.note(request.command, now);
                    }
                }
                Change::Group(_) | Change::Packet(_) => {}
            }
        }
        self.tell_of_bundle(id, bridge, done, now);
        Ok(())
    }

    fn tell_of_bundle(&mut self, id: PeerId, bridge: pipeline::BridgeId, done: Vec<Done>, now: Timestamp) {
        let mut rules = Vec::new();
        for one in done {
            match one {
                Done::Rules(changes) => rules.extend(changes),
                Done::Group { request, xid, change } => {
                    rules.extend(change.rules.iter().cloned());
                    let forms = GroupForms::of(&request, &change);
                    self.forward_request(id, xid, &Message::GroupMod(*request), &forms);
                }
                Done::Packet(prepared) => {
                    if let Err(e) = self.flows.send(prepared) {
                        log::warn!(target: "ofproto_dpif", "packet-out failed: {e}");
                    }
                }
                Done::Nothing => {}
            }
        }
        self.tell_rule_changes(bridge, &rules, None, now);
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
            Ok(Done::Group { request: request.clone(), xid, change })
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
