//! How far the bridges have changed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use dp::{Fence, FenceWatcher};

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
    watchers: Watchers,
}

/// Who is told when the fence has moved.
#[derive(Default)]
struct Watchers(Mutex<Vec<FenceWatcher>>);

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watchers")
    }
}

impl Watchers {
    fn tell(&self, fence: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|watcher| watcher(fence));
    }
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
        self.move_fence(now);
    }

    /// The same of rules alone.
    pub(crate) fn change_rules(&self) {
        let now = self.drift();
        self.move_fence(now);
    }

    fn move_fence(&self, now: u64) {
        self.fence.fetch_max(now, Ordering::AcqRel);
        self.watchers.tell(now);
    }

    /// Has `watcher` called with where the fence is now, and whenever it has moved, before the change is done.
    pub(crate) fn watch(&self, watcher: FenceWatcher) {
        let mut watchers = self.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        watcher(self.fence.load(Ordering::Acquire));
        watchers.push(watcher);
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
