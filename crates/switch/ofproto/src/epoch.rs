//! How far the bridges have changed.

use std::sync::atomic::{AtomicU64, Ordering};

use dp::Fence;

base::coverage!(static CHANGES = "ofproto_change");

/// Numbers that only grow: the epoch, which moves with every change after
/// which packets may be translated otherwise, and the fence, the epoch of the
/// last change that must be in force for the next packet. The fence of what
/// goes up moves with those of these changes that are not of rules alone.
///
/// Whoever reads the epoch before it translates knows that the translation is
/// at least that new: changes are made, and the numbers moved, under the lock
/// against translation (what packets taught excepted, which moves the epoch
/// after it is made).
#[derive(Debug, Default)]
pub(crate) struct Epoch {
    now: AtomicU64,
    fence: AtomicU64,
    going_up: AtomicU64,
}

impl Epoch {
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    pub(crate) fn fence(&self) -> Fence {
        let (all, going_up) = (self.fence.load(Ordering::Acquire), self.going_up.load(Ordering::Acquire));
        Fence { all, going_up }
    }

    /// A change that somebody may count on.
    pub(crate) fn change(&self) {
        let now = self.drift();
        self.going_up.fetch_max(now, Ordering::AcqRel);
        self.fence.fetch_max(now, Ordering::AcqRel);
    }

    /// The same of rules alone.
    pub(crate) fn change_rules(&self) {
        let now = self.drift();
        self.fence.fetch_max(now, Ordering::AcqRel);
    }

    /// A change that comes into force soon.
    pub(crate) fn drift(&self) -> u64 {
        CHANGES.count();
        self.now.fetch_add(1, Ordering::AcqRel) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_is_at_the_last_change_that_counts() {
        let epoch = Epoch::default();
        let fence = |all, going_up| Fence { all, going_up };
        epoch.change();
        assert_eq!((epoch.now(), epoch.fence()), (1, fence(1, 1)));
        epoch.drift();
        assert_eq!((epoch.now(), epoch.fence()), (2, fence(1, 1)));
        epoch.change_rules();
        assert_eq!((epoch.now(), epoch.fence()), (3, fence(3, 1)));
        epoch.change();
        assert_eq!((epoch.now(), epoch.fence()), (4, fence(4, 4)));
    }
}
