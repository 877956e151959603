//! Locks, in one place: the models of threads' steps (`tests/models`) put others in their place.

pub(crate) use std::sync::{Mutex, MutexGuard};
