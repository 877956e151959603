//! Lock-free pieces and races, run under every order of their threads' steps.
//!
//! The files of the crates are compiled here once more, with loom's locks and atomics in place of the standard library's:
//! they take them from `crate::sync`, which is this crate's own here. Loom then runs a model again and again, each time
//! with another order of steps, and with every value that a load may see by the orderings of the program.
//!
//! Enters: nothing. Leaves: functions that panic when some order breaks what the files promise; the tests call one each.

// Used by the files that are included.
use {classifier as _, fields as _, hashbrown as _, log as _, ofp as _, thiserror as _};

/// What the included files take for `std::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[allow(dead_code, reason = "models use a part")]
mod dp_user;
#[allow(dead_code, unused_imports, unreachable_pub, reason = "models use a part")]
#[path = "../../../crates/switch/flowsync/src/lib.rs"]
mod flowsync;
#[allow(dead_code, reason = "models use a part")]
mod netdev;

pub mod changes;
pub mod counters;
pub mod flows;
pub mod known;
pub mod seats;
pub mod turns;
