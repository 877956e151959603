//! What spanning trees of both kinds have in common: what they ask of others, identifiers, and the names of states.

use base::{MacAddr, OfPort};
use pipeline::{SpanningState, SpanningTree};
use wire::stp::Config;

/// Learned addresses that are to be forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flush {
    /// All.
    All,
    /// Those behind a port.
    Port(OfPort),
    /// Those behind one port are behind another one from now on.
    Move {
        /// Where they were.
        from: OfPort,
        /// Where they are.
        to: OfPort,
    },
}

/// What is to be done for a tree.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Frames to send.
    pub frames: Vec<(OfPort, Vec<u8>)>,
    /// Addresses to forget.
    pub flushes: Vec<Flush>,
    /// Ports forward otherwise from now on.
    pub has_changed: bool,
    /// What operators see has changed.
    pub has_news: bool,
    /// What is to be logged, by whoever tells operators.
    pub notes: Vec<String>,
}

impl Outcome {
    pub(crate) fn flush(&mut self, flush: Flush) {
        if !self.flushes.contains(&flush) {
            self.flushes.push(flush);
        }
    }

    pub(crate) fn add(&mut self, other: Outcome) {
        self.frames.extend(other.frames);
        other.flushes.into_iter().for_each(|flush| self.flush(flush));
        self.has_changed |= other.has_changed;
        self.has_news |= other.has_news;
        self.notes.extend(other.notes);
    }

    /// Ends the collection: addresses that move are not forgotten where they were, and what moves does so last.
    pub(crate) fn settle(&mut self) {
        let moved: Vec<OfPort> = self.flushes.iter().filter_map(Flush::source).collect();
        self.flushes.retain(|flush| !matches!(flush, Flush::Port(port) if moved.contains(port)));
        self.flushes.sort_by_key(|flush| flush.source().is_some());
    }
}

impl Flush {
    fn source(&self) -> Option<OfPort> {
        match self {
            Flush::Move { from, .. } => Some(*from),
            Flush::All | Flush::Port(_) => None,
        }
    }
}

/// What is said of the way to the root; the lesser is the better (802.1D-2004, clause 17.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Vector {
    pub root: u64,
    pub cost: u32,
    pub bridge: u64,
    pub port: u16,
}

impl Vector {
    pub(crate) fn of(config: &Config) -> Vector {
        Vector { root: config.root, cost: config.cost, bridge: config.bridge, port: config.port }
    }
}

/// A bridge's identifier.
pub(crate) fn identifier(priority: u16, system: MacAddr) -> u64 {
    u64::from(priority) << 48 | system.to_u64()
}

/// The priority in a bridge's identifier.
pub fn priority(id: u64) -> u16 {
    (id >> 48) as u16
}

/// The address in a bridge's identifier.
pub fn address(id: u64) -> MacAddr {
    MacAddr::from_u64(id & 0xffff_ffff_ffff)
}

/// Adds the times of a tree, in seconds, to the text of `stp/show` or `rstp/show`.
pub(crate) fn put_times(out: &mut String, [hello, max_age, forward_delay]: [i64; 3]) {
    put!(out, "  stp-hello-time  {hello}s\n  stp-max-age     {max_age}s\n  stp-fwd-delay   {forward_delay}s");
}

/// The name of a state, as operators know it.
pub fn state_name(kind: SpanningTree, state: SpanningState) -> &'static str {
    match (kind, state) {
        (SpanningTree::Stp, SpanningState::Disabled) => "disabled",
        (SpanningTree::Stp, SpanningState::Blocking | SpanningState::Discarding) => "blocking",
        (SpanningTree::Stp, SpanningState::Listening) => "listening",
        (SpanningTree::Stp, SpanningState::Learning) => "learning",
        (SpanningTree::Stp, SpanningState::Forwarding) => "forwarding",
        (SpanningTree::Rstp, SpanningState::Disabled) => "Disabled",
        (
            SpanningTree::Rstp,
            SpanningState::Blocking | SpanningState::Listening | SpanningState::Discarding,
        ) => "Discarding",
        (SpanningTree::Rstp, SpanningState::Learning) => "Learning",
        (SpanningTree::Rstp, SpanningState::Forwarding) => "Forwarding",
    }
}
