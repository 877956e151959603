//! A rule with its timeouts, and what requests say of the rules that they are about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{OfPort, TableId, Timestamp};
use classifier::Classified;
use flow::SparseMatch;
use ofp::{FlowFlags, FlowRemovedReason};
use pipeline::Rule;

/// A rule as a controller made it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub rule: Arc<Rule>,
    pub flags: FlowFlags,
    /// In seconds; 0 for never.
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    pub importance: u16,
    pub created: Timestamp,
    pub modified: Timestamp,
    /// Since when it is idle, as long as no packet is counted: a rule in the place of another goes on with its age.
    pub idle_since: Timestamp,
    /// The place of the rule among those of its table: it grows with each rule that is added to the bridge, and a rule
    /// that replaces another one takes its place.
    pub sequence: u64,
    /// The bridge's revision when the rule was added, be it in the place of another one.
    pub added_at: u64,
    /// The bridge's revision when a controller last added or modified the rule.
    pub changed_at: u64,
    /// From when on it is gone, while packets may still see it.
    pub leaving: Leaving,
}

/// The revision of a bridge from which on a rule is gone, if a change that is being made removes it.
#[derive(Debug)]
pub struct Leaving(AtomicU64);

const STAYS: u64 = u64::MAX;

impl Default for Leaving {
    fn default() -> Leaving {
        Leaving(AtomicU64::new(STAYS))
    }
}

impl Clone for Leaving {
    /// A rule that is made from another one stays.
    fn clone(&self) -> Leaving {
        Leaving::default()
    }
}

impl Leaving {
    // The lock over the bridges orders these steps.
    pub(crate) fn begin(&self, revision: u64) {
        self.0.store(revision, Ordering::Relaxed);
    }

    pub(crate) fn revoke(&self) {
        self.0.store(STAYS, Ordering::Relaxed);
    }
}

impl Classified for Entry {
    fn matching(&self) -> &SparseMatch {
        &self.rule.matching
    }

    fn priority(&self) -> i32 {
        self.rule.priority
    }
}

impl Entry {
    /// Whether no change that is being made removes it.
    pub(crate) fn stays(&self) -> bool {
        self.leaving.0.load(Ordering::Relaxed) == STAYS
    }

    /// Whether it was there at a revision of the bridge.
    pub(crate) fn is_of(&self, revision: u64) -> bool {
        self.changed_at <= revision && revision < self.leaving.0.load(Ordering::Relaxed)
    }

    /// Whether controllers see it; the switch's own rules lie above their priorities.
    pub fn is_hidden(&self) -> bool {
        self.rule.priority > i32::from(u16::MAX)
    }

    /// When a packet last used it or the one before it, or when the first of them was made.
    pub fn used(&self) -> Timestamp {
        self.rule.counters.used().max(self.idle_since)
    }

    /// Why its time is over, if it is: a rule is still there when it has all its time behind it, as in the reference.
    pub(crate) fn expiry(&self, now: Timestamp) -> Option<FlowRemovedReason> {
        let due = |since: Timestamp, timeout: u16| {
            timeout != 0 && now - since > Duration::from_secs(timeout.into())
        };
        if due(self.modified, self.hard_timeout) {
            Some(FlowRemovedReason::HardTimeout)
        } else if due(self.used(), self.idle_timeout) {
            Some(FlowRemovedReason::IdleTimeout)
        } else {
            None
        }
    }

    /// When it ends if nothing uses it, if it ends at all.
    pub fn expiration(&self) -> Option<Timestamp> {
        let after = |since: Timestamp, timeout: u16| {
            (timeout != 0).then(|| since + Duration::from_secs(timeout.into()))
        };
        let hard = after(self.modified, self.hard_timeout);
        let idle = after(self.used(), self.idle_timeout);
        hard.into_iter().chain(idle).min()
    }

    /// Whether it sends packets to `group`.
    pub fn outputs_to_group(&self, group: u32) -> bool {
        group == ofp::GROUP_ANY || ofp::outputs_to_group(&self.rule.actions, group)
    }

    /// Whether it sends packets to `port`, whatever the way.
    pub fn outputs_to(&self, port: OfPort) -> bool {
        port == OfPort::ANY || ofp::outputs_to_port(&self.rule.actions, port)
    }
}

/// Which rules a request is about.
#[derive(Clone, Debug)]
pub struct Criteria {
    pub table: TableId,
    pub matching: SparseMatch,
    /// Rules of exactly this match and priority; else all whose match is as narrow or narrower.
    pub strict_priority: Option<i32>,
    pub cookie: u64,
    pub cookie_mask: u64,
    pub out_port: OfPort,
    pub out_group: u32,
    pub include_hidden: bool,
}

impl Criteria {
    /// All that controllers can see.
    pub fn all() -> Criteria {
        Criteria {
            table: TableId::ALL,
            matching: SparseMatch::default(),
            strict_priority: None,
            cookie: 0,
            cookie_mask: 0,
            out_port: OfPort::ANY,
            out_group: ofp::GROUP_ANY,
            include_hidden: false,
        }
    }

    /// Whether they are about all rules of tables that controllers can see.
    pub(crate) fn is_all_of_tables(&self) -> bool {
        self.matching.is_catch_all()
            && self.strict_priority.is_none()
            && self.cookie_mask == 0
            && self.out_port == OfPort::ANY
            && self.out_group == ofp::GROUP_ANY
            && !self.include_hidden
    }

    /// Whether `entry` is one that a loose request is about.
    pub fn admits_entry(&self, entry: &Entry) -> bool {
        let rule = &entry.rule;
        (self.table == TableId::ALL || self.table == rule.table)
            && self.admits(entry)
            && rule.matching.is_within(&self.matching)
    }

    pub(crate) fn admits(&self, entry: &Entry) -> bool {
        (self.include_hidden || !entry.is_hidden())
            && (entry.rule.cookie ^ self.cookie) & self.cookie_mask == 0
            && entry.outputs_to(self.out_port)
            && entry.outputs_to_group(self.out_group)
    }
}
