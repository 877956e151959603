//! How far the removal of connections that are over is.

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use crate::table::Cursor;

const DEFAULT_INTERVAL_MS: u32 = 20_000;

#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) interval_ms: AtomicU32,
    pub(crate) cursor: Mutex<Cursor>,
}

impl Default for Sweep {
    fn default() -> Self {
        Sweep { interval_ms: AtomicU32::new(DEFAULT_INTERVAL_MS), cursor: Mutex::default() }
    }
}
