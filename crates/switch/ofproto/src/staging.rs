//! What packets see while a change is made in steps ([`crate::steps`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use base::OfPort;
use pipeline::{Bundle, BundleId, Group, Port};

/// A change of a bridge that is being made.
#[derive(Debug)]
pub(crate) struct Staging {
    /// The first revision of the change.
    pub(crate) first: u64,
    /// Whether packets see the change.
    pub(crate) is_shown: bool,
    /// Whether anything else than rules has changed.
    pub(crate) is_changed: AtomicBool,
    pub(crate) are_rules_changed: AtomicBool,
    /// What is changed, as it was before; nothing for a group that was not there.
    pub(crate) groups: BTreeMap<u32, Option<Arc<Group>>>,
    pub(crate) ports: BTreeMap<OfPort, Port>,
    pub(crate) bundles: BTreeMap<BundleId, Bundle>,
}

impl Staging {
    /// The revision of the rules that packets see.
    pub(crate) fn seen(&self) -> u64 {
        // The greatest number is that of rules that stay.
        if self.is_shown { u64::MAX - 1 } else { self.first - 1 }
    }
}
