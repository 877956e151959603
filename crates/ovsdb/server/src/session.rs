//! What the server knows of one client.

use crate::monitor::Monitor;
use indexmap::IndexMap;
use model::Json;
use rpc::connection::Chunk;
use std::task::Waker;

/// Names a session; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One client.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) read_only: bool,
    /// The client wants to be told of databases that change their schema or go, and stays connected.
    pub(crate) db_change_aware: bool,
    /// By the text of the monitor's id.
    pub(crate) monitors: IndexMap<String, Monitor>,
    pub(crate) locks_lost: Vec<String>,
    /// Encoded messages that wait for the connection's task.
    pub(crate) outbox: Vec<Chunk>,
    /// Wakes the connection's task.
    pub(crate) waker: Option<Waker>,
    /// The connection must be closed, with this reason for the log.
    pub(crate) doomed: Option<String>,
}

impl Session {
    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        self.outbox.push(Chunk::Own(bytes));
        self.wake();
    }

    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn monitor(&self, id: &Json) -> Option<&Monitor> {
        self.monitors.get(&model::json::sorted(id))
    }
}
