//! Flow monitors: peers that are notified of every change of the rules that they watch.
//!
//! A peer that does not take what its monitors report is not sent more than
//! [`PAUSE`] bytes of it: its monitors pause, and it is notified only of the end of
//! rules that it knows. When it has taken everything, it is notified of what the rules
//! that have changed meanwhile are like by then, and its monitors resume.
//!
//! Rules are shown a part at a time, at first and when monitors resume. What a
//! walk through the rules has not reached so far is not news yet: it is shown
//! as it is when the walk comes by.

use std::collections::VecDeque;

use base::{TableId, Timestamp};
use ofp::{
    FlowMonitorRequest, FlowRemovedReason, FlowUpdate, FlowUpdateFull, Message, OfError, ReplyParts, Version,
    monitor_flag,
};
use ofproto::{Change, Criteria, Entry, Walk};
use pipeline::BridgeId;

use crate::channel::PeerId;
use crate::handle::Answer;
use crate::manager::Manager;
use crate::outbox::Class;
use crate::peer::Peer;
use crate::replies::{LongReply, RULES, Rows, send};

/// Bytes of reports that may wait before monitors pause.
const PAUSE: usize = 128 * 1024;

base::coverage!(static PAUSED = "ofmonitor_pause");
base::coverage!(static RESUMED = "ofmonitor_resume");

/// The monitors of one peer.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    list: Vec<Monitor>,
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Monitor {
    request: FlowMonitorRequest,
    /// How far the rules are shown that it begins with; `None` when they are, or are not wanted.
    shown: Option<Walk>,
}

/// What is known of the time since monitors paused.
#[derive(Debug)]
struct Pause {
    /// The bridge's revision when it began: later changes are still to be shown.
    revision: u64,
    /// Rules that were added up to this revision may be known to the peer.
    known: u64,
    /// How far these are shown.
    shown: Walk,
}

impl Pause {
    fn new(revision: u64) -> Pause {
        Pause { revision, known: revision, shown: Walk::through(TableId::ALL) }
    }

    /// Whether the peer may know a rule.
    fn knows(&self, entry: &Entry) -> bool {
        entry.sequence <= self.known || self.shown.has_passed(entry)
    }
}

impl Monitors {
    pub(crate) fn cancel(&mut self, id: u32) -> Result<(), OfError> {
        let before = self.list.len();
        self.list.retain(|monitor| monitor.request.id != id);
        if self.list.len() == before { Err(OfError::OfpmofcUnknownMonitor) } else { Ok(()) }
    }

    /// The flags of all monitors that report a change, taken together; 0 for none.
    fn flags(&self, change: &Change, entry: &Entry, flag: u16) -> u16 {
        let watching = self.list.iter().filter(|monitor| {
            let request = &monitor.request;
            let watched = criteria(request);
            // What a rule did before counts for ports, not for groups; so it is in the reference.
            let before = Criteria { out_group: ofp::GROUP_ANY, ..criteria(request) };
            request.flags & flag != 0
                && monitor.shown.as_ref().is_none_or(|walk| walk.has_passed(entry))
                && entry.outputs_to_group(request.out_group)
                && (watched.admits_entry(entry)
                    || change.old.as_ref().is_some_and(|old| before.admits_entry(old)))
        });
        watching.fold(0, |flags, monitor| flags | monitor.request.flags)
    }

    /// What is sent to a peer of a rule that has changed since `revision`, if anything.
    fn refresh(&self, entry: &Entry, revision: u64) -> Option<FlowUpdate> {
        if entry.changed_at <= revision {
            return None;
        }
        let is_new = entry.added_at > revision;
        let wanted = if is_new { monitor_flag::ADD | monitor_flag::MODIFY } else { monitor_flag::MODIFY };
        let watching = self
            .list
            .iter()
            .map(|monitor| &monitor.request)
            .filter(|request| request.flags & wanted != 0 && criteria(request).admits_entry(entry));
        let flags = watching.map(|request| request.flags).reduce(|all, flags| all | flags)?;
        let update = Box::new(full(entry, flags));
        Some(if is_new { FlowUpdate::Added(update) } else { FlowUpdate::Modified(update) })
    }
}

impl Peer {
    /// Reports changes of rules to the peer's monitors; those that it made itself are reported in short.
    pub(crate) fn report(&mut self, changes: &[Change], own_xid: Option<u32>, revision: u64, now: Timestamp) {
        if self.monitors.list.is_empty() || changes.is_empty() || self.give_up_stuck(now) {
            return;
        }
        let mut parts = ReplyParts::new(self.encoder(0), &Message::FlowMonitorReply(Vec::new()));
        let mut is_abbreviated = false;
        for change in changes {
            let Some(entry) = change.new.as_ref().or(change.old.as_ref()) else { continue };
            let flag = match &change.new {
                None => monitor_flag::REMOVED,
                Some(_) if change.is_modification => monitor_flag::MODIFY,
                Some(_) => monitor_flag::ADD,
            };
            let pause = self.monitors.pause.as_ref();
            if pause.is_some_and(|pause| flag != monitor_flag::REMOVED || !pause.knows(entry)) {
                continue;
            }
            let flags = self.monitors.flags(change, entry, flag);
            if flags == 0 {
                continue;
            }
            let is_short = pause.is_none() && flags & monitor_flag::ONLY_OWN == 0;
            let update = match own_xid.filter(|_| is_short) {
                Some(_) if is_abbreviated => continue,
                Some(xid) => {
                    is_abbreviated = true;
                    FlowUpdate::Abbreviated { xid }
                }
                None => full_update(change, entry, flag, flags),
            };
            parts.add(&Message::FlowMonitorReply(vec![update]));
            let messages = parts.take();
            if !messages.is_empty() {
                self.link.send(Class::Monitor, messages);
            }
        }
        if !parts.is_empty() {
            self.link.send(Class::Monitor, parts.finish());
        }
        if self.monitors.pause.is_none() && self.link.waiting(Class::Monitor) > PAUSE {
            PAUSED.count();
            self.monitors.pause = Some(Pause::new(revision));
            self.link.send(Class::Monitor, self.bytes(0, &self.pausing()));
            self.link.pause();
        }
    }

    fn pausing(&self) -> Message {
        if self.version >= Version::Of14 {
            Message::FlowMonitorReply(vec![FlowUpdate::Paused])
        } else {
            Message::FlowMonitorPaused
        }
    }

    fn resuming(&self) -> Message {
        if self.version >= Version::Of14 {
            Message::FlowMonitorReply(vec![FlowUpdate::Resumed])
        } else {
            Message::FlowMonitorResumed
        }
    }

    /// Whether its monitors have paused, and it has taken all that they reported.
    pub(crate) fn may_resume_monitors(&self) -> bool {
        self.monitors.pause.is_some() && self.link.waiting(Class::Monitor) == 0
    }
}

impl Manager {
    /// Starts monitors; the answer is all that they watch as it is.
    pub(crate) fn add_monitors(&mut self, id: PeerId, xid: u32, requests: Vec<FlowMonitorRequest>) -> Answer {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(Vec::new()) };
        let exists = |request: &FlowMonitorRequest| {
            peer.monitors.list.iter().any(|monitor| monitor.request.id == request.id)
        };
        if requests.iter().any(exists) {
            return Err(OfError::OfpmofcMonitorExists);
        }
        let monitors = requests.iter().map(|request| request.id).collect();
        peer.monitors.list.extend(requests.into_iter().map(|request| {
            let shows = request.flags & monitor_flag::INITIAL != 0;
            Monitor { shown: shows.then(|| Walk::through(TableId(request.table))), request }
        }));
        self.begin_listing(id, xid, Box::new(Initial { peer: id, monitors }));
        Ok(Vec::new())
    }

    /// Begins to tell a peer what has changed while its monitors paused.
    pub(crate) fn resume_monitors(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let revision = self.switch.read().get(peer.bridge).map_or(0, ofproto::Bridge::revision);
        let parts = ReplyParts::new(peer.encoder(0), &Message::FlowMonitorReply(Vec::new()));
        peer.reply = Some(Box::new(Resuming { parts, revision }));
    }
}

/// The rules with which monitors begin.
#[derive(Debug)]
struct Initial {
    peer: PeerId,
    /// The monitors that are not finished with.
    monitors: VecDeque<u32>,
}

impl Rows for Initial {
    fn empty(&self) -> Message {
        Message::FlowMonitorReply(Vec::new())
    }

    fn next(&mut self, manager: &mut Manager, bridge: BridgeId, parts: &mut ReplyParts) -> bool {
        let Some(peer) = manager.peers.get_mut(&self.peer) else { return false };
        let Some(id) = self.monitors.front() else { return false };
        let monitor = peer.monitors.list.iter_mut().find(|monitor| monitor.request.id == *id);
        if let Some(Monitor { request, shown: shown @ Some(_) }) = monitor
            && let Some(walk) = shown
        {
            let switch = manager.switch.survey();
            let Some(state) = switch.get(bridge) else { return false };
            let watched = criteria(request);
            state.walk(walk, RULES, |entry| {
                if watched.admits_entry(entry) {
                    let update = FlowUpdate::Initial(Box::new(full(entry, request.flags)));
                    parts.add(&Message::FlowMonitorReply(vec![update]));
                }
            });
            if !walk.is_done() {
                return true;
            }
            *shown = None;
        }
        self.monitors.pop_front();
        !self.monitors.is_empty()
    }
}

/// What has changed while monitors paused.
#[derive(Debug)]
struct Resuming {
    parts: ReplyParts,
    /// The bridge's revision when the walk through the rules began.
    revision: u64,
}

impl LongReply for Resuming {
    fn go_on(&mut self, manager: &mut Manager, id: PeerId) -> bool {
        let Some(peer) = manager.peers.get_mut(&id) else { return false };
        let Some(mut pause) = peer.monitors.pause.take() else { return false };
        let revision = {
            let switch = manager.switch.survey();
            let Some(state) = switch.get(peer.bridge) else { return false };
            let (monitors, parts) = (&peer.monitors, &mut self.parts);
            state.walk(&mut pause.shown, RULES, |entry| {
                if let Some(update) = monitors.refresh(entry, pause.revision) {
                    parts.add(&Message::FlowMonitorReply(vec![update]));
                }
            });
            state.revision()
        };
        send(peer, self.parts.take());
        if pause.shown.is_done() {
            if revision == self.revision {
                RESUMED.count();
                let parts = std::mem::replace(
                    &mut self.parts,
                    ReplyParts::new(peer.encoder(0), &Message::FlowMonitorReply(Vec::new())),
                );
                if !parts.is_empty() {
                    send(peer, parts.finish());
                }
                peer.send(0, &peer.resuming());
                return false;
            }
            // Where the walk had passed already, rules may have changed again.
            pause = Pause { known: revision, ..Pause::new(self.revision) };
            self.revision = revision;
        }
        peer.monitors.pause = Some(pause);
        true
    }
}

fn criteria(request: &FlowMonitorRequest) -> Criteria {
    Criteria {
        table: TableId(request.table),
        matching: (&request.m).into(),
        out_port: request.out_port,
        out_group: request.out_group,
        ..Criteria::all()
    }
}

/// A change as monitors with these flags report it.
fn full_update(change: &Change, entry: &Entry, flag: u16, flags: u16) -> FlowUpdate {
    let update = Box::new(full(entry, flags));
    match flag {
        monitor_flag::REMOVED => {
            let reason = change.reason.unwrap_or(FlowRemovedReason::Delete) as u8;
            FlowUpdate::Removed { reason, update }
        }
        monitor_flag::ADD => FlowUpdate::Added(update),
        _ => FlowUpdate::Modified(update),
    }
}

fn full(entry: &Entry, flags: u16) -> FlowUpdateFull {
    let rule = &entry.rule;
    FlowUpdateFull {
        idle_timeout: entry.idle_timeout,
        hard_timeout: entry.hard_timeout,
        table: rule.table.0,
        priority: rule.priority.clamp(0, i32::from(u16::MAX)) as u16,
        cookie: rule.cookie,
        m: (&rule.matching).into(),
        actions: if flags & monitor_flag::INSTRUCTIONS != 0 { rule.actions.to_vec() } else { Vec::new() },
    }
}
