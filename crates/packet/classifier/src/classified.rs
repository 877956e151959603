//! What a classifier keeps.

use std::sync::Arc;

use flow::{FlowKey, FlowMask, SparseMatch};

/// A rule: it knows its match and its priority, so that neither is in memory twice.
///
/// Both stay what they are as long as the rule is in a classifier.
pub trait Classified {
    /// Which packets it is for.
    fn matching(&self) -> &SparseMatch;

    /// Among rules that match a packet, the greatest wins.
    fn priority(&self) -> i32;
}

impl<T: Classified> Classified for Arc<T> {
    #[inline]
    fn matching(&self) -> &SparseMatch {
        T::matching(self)
    }

    #[inline]
    fn priority(&self) -> i32 {
        T::priority(self)
    }
}

/// A rule of any payload, for who has none that knows its match.
#[derive(Clone, Debug)]
pub struct Rule<T> {
    /// Among rules that match a packet, the greatest wins.
    pub priority: i32,
    /// Which packets it is for.
    pub matching: SparseMatch,
    /// What the caller keeps with the rule.
    pub value: T,
}

impl<T> Rule<T> {
    /// A rule for the packets that agree with `key` in the bits of `mask`.
    pub fn new(key: &FlowKey, mask: &FlowMask, priority: i32, value: T) -> Rule<T> {
        Rule { priority, matching: SparseMatch::new(key, mask), value }
    }
}

impl<T> Classified for Rule<T> {
    #[inline]
    fn matching(&self) -> &SparseMatch {
        &self.matching
    }

    #[inline]
    fn priority(&self) -> i32 {
        self.priority
    }
}
