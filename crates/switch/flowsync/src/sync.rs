//! Locks and atomics, which the package `models` replaces by loom's: there the files of this crate are compiled once more,
//! and run under every order of their threads' steps.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
