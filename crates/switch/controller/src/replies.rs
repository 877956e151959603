//! Long replies: made in parts, each when the peer has taken enough of those before.
//!
//! What a reply shows is looked up part by part under a short lock, so that a
//! listing of a million rules holds up neither packets nor other peers, and
//! costs as much memory as one of a hundred.

use std::fmt;

use base::TableId;
use ofp::{AggregateStats, FlowStats, FlowStatsRequest, Message, ReplyParts};
use ofproto::{Criteria, Walk};
use pipeline::BridgeId;

use crate::channel::PeerId;
use crate::manager::Manager;
use crate::outbox::Class;

/// How many rules are looked at for one part.
pub(crate) const RULES: usize = 256;

/// A reply that is being made.
pub(crate) trait LongReply: fmt::Debug {
    /// Makes and sends the next part; returns whether more parts follow.
    fn go_on(&mut self, manager: &mut Manager, id: PeerId) -> bool;
}

/// What a listing is of: each part of the reply takes the rows that come next.
pub(crate) trait Rows: fmt::Debug {
    /// The reply without any row.
    fn empty(&self) -> Message;

    /// Adds the next rows; returns whether more follow.
    fn next(&mut self, manager: &mut Manager, bridge: BridgeId, parts: &mut ReplyParts) -> bool;
}

/// A reply that lists rows.
#[derive(Debug)]
struct Listing {
    parts: Option<ReplyParts>,
    rows: Box<dyn Rows>,
}

impl LongReply for Listing {
    fn go_on(&mut self, manager: &mut Manager, id: PeerId) -> bool {
        let Some(bridge) = manager.peers.get(&id).map(|peer| peer.bridge) else { return false };
        let Some(mut parts) = self.parts.take() else { return false };
        let more = self.rows.next(manager, bridge, &mut parts);
        let Some(peer) = manager.peers.get(&id) else { return false };
        if more {
            send(peer, parts.take());
            self.parts = Some(parts);
        } else {
            send(peer, parts.finish());
        }
        more
    }
}

/// Sends messages, if there are any.
pub(crate) fn send(peer: &crate::peer::Peer, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        peer.link.send(Class::Reply, bytes);
    }
}

impl Manager {
    /// Begins an answer that lists rows.
    pub(crate) fn begin_listing(&mut self, id: PeerId, xid: u32, rows: Box<dyn Rows>) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let parts = Some(ReplyParts::new(peer.encoder(xid), &rows.empty()));
            peer.reply = Some(Box::new(Listing { parts, rows }));
        }
    }

    /// Makes the next part of a peer's reply.
    pub(crate) fn go_on_with_reply(&mut self, id: PeerId) {
        let Some(mut reply) = self.peers.get_mut(&id).and_then(|peer| peer.reply.take()) else { return };
        if reply.go_on(self, id)
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.reply = Some(reply);
        }
    }
}

/// Rules with their counters, in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Flows {
    criteria: Criteria,
    walk: Walk,
    /// The rule that was shown last, kept for its memory.
    stats: FlowStats,
}

impl Flows {
    pub(crate) fn new(request: FlowStatsRequest) -> Flows {
        let (walk, stats) = (Walk::through(TableId(request.table)), FlowStats::default());
        Flows { walk, criteria: request.into(), stats }
    }
}

impl Rows for Flows {
    fn empty(&self) -> Message {
        Message::FlowStatsReply(Vec::new())
    }

    fn next(&mut self, manager: &mut Manager, bridge: BridgeId, parts: &mut ReplyParts) -> bool {
        let now = manager.clock.now();
        let switch = manager.switch.survey();
        let Some(state) = switch.get(bridge) else { return false };
        let (criteria, stats) = (&self.criteria, &mut self.stats);
        state.walk(&mut self.walk, RULES, |entry| {
            if criteria.admits_entry(entry) {
                entry.put_stats(now, stats);
                parts.add_flow(stats);
            }
        });
        !self.walk.is_done()
    }
}

/// The sums of what rules counted.
#[derive(Debug)]
pub(crate) struct Aggregate {
    xid: u32,
    criteria: Criteria,
    walk: Walk,
    sum: AggregateStats,
}

impl Aggregate {
    pub(crate) fn new(xid: u32, request: FlowStatsRequest) -> Aggregate {
        let sum = AggregateStats { packet_count: 0, byte_count: 0, flow_count: 0 };
        Aggregate { xid, walk: Walk::through(TableId(request.table)), criteria: request.into(), sum }
    }
}

impl LongReply for Aggregate {
    fn go_on(&mut self, manager: &mut Manager, id: PeerId) -> bool {
        let Some(peer) = manager.peers.get(&id) else { return false };
        let switch = manager.switch.survey();
        let Some(state) = switch.get(peer.bridge) else { return false };
        let (criteria, sum) = (&self.criteria, &mut self.sum);
        state.walk(&mut self.walk, RULES, |entry| {
            if criteria.admits_entry(entry) {
                sum.packet_count += entry.rule.counters.packets();
                sum.byte_count += entry.rule.counters.bytes();
                sum.flow_count += 1;
            }
        });
        if self.walk.is_done() {
            peer.send(self.xid, &Message::AggregateReply(self.sum));
        }
        !self.walk.is_done()
    }
}
