//! Locks and atomics of the files that are also checked under every order of their threads' steps: the package `models`
//! compiles those files with loom's instead.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
