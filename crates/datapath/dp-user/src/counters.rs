//! Counters of one thread that forwards.

use crate::sync::{AtomicU64, Ordering};

/// A counter that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    /// Counts, without locking the bus: to be called by the one thread alone that writes.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        if count != 0 {
            self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
        }
    }

    /// What was counted so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
