//! Removing connections that are over, a few at a time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use base::Timestamp;

use crate::table::Cursor;
use crate::tracker::Tracker;

const DEFAULT_INTERVAL_MS: u32 = 20_000;

#[derive(Debug)]
pub(crate) struct Sweep {
    interval_ms: AtomicU32,
    cursor: Mutex<Cursor>,
}

impl Default for Sweep {
    fn default() -> Self {
        Sweep { interval_ms: AtomicU32::new(DEFAULT_INTERVAL_MS), cursor: Mutex::default() }
    }
}

impl Tracker {
    /// Looks at the next few connections, of which packets of one part of the connections have to wait for some microseconds.
    /// True at the end of a round.
    pub fn sweep(&self, now: Timestamp) -> bool {
        let mut cursor = self.sweep.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let step = self.table.step(
            &mut cursor,
            |connection| !connection.is_expired(now),
            |connection| self.forget_announced(connection),
        );
        if step.is_none() {
            *cursor = Cursor::default();
        }
        step.is_none()
    }

    /// Milliseconds from one round to the next.
    pub fn sweep_interval_ms(&self) -> u32 {
        self.sweep.interval_ms.load(Ordering::Relaxed)
    }

    /// Sets what [`Tracker::sweep_interval_ms`] returns.
    pub fn set_sweep_interval_ms(&self, ms: u32) {
        self.sweep.interval_ms.store(ms, Ordering::Relaxed);
    }
}
