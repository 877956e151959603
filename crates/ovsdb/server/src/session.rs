//! What the server knows of one client.

use crate::monitor::Monitor;
use indexmap::IndexMap;
use model::Json;
use rpc::connection::Chunk;
use std::collections::VecDeque;
use std::task::Waker;
use store::Ticket;

/// Names a session; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// On whose behalf a session acts, and what it may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub read_only: bool,
    /// The role of role-based access control; none may do everything.
    pub role: Option<String>,
    /// The common name of the peer's certificate.
    pub client: Option<String>,
}

/// A reply whose transaction is not on disk yet.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) database: String,
    pub(crate) ticket: Ticket,
    pub(crate) results: Vec<Json>,
    pub(crate) id: Json,
}

/// Something to be sent.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Ready(Chunk),
    /// What comes behind it waits with it: a session's replies come in the order of its requests.
    Held(Held),
}

/// One client.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) identity: Identity,
    /// The client wants to be notified of databases that change their schema or go, and stays connected.
    pub(crate) db_change_aware: bool,
    /// By the text of the monitor's id.
    pub(crate) monitors: IndexMap<String, Monitor>,
    pub(crate) locks_lost: Vec<String>,
    /// What waits for the connection's task.
    pub(crate) outbox: VecDeque<Outgoing>,
    /// Wakes the connection's task.
    pub(crate) waker: Option<Waker>,
    /// The connection must be closed, with this reason for the log.
    pub(crate) doomed: Option<String>,
    /// It waits to be woken by [`crate::broadcast`].
    pub(crate) is_in_broadcast: bool,
    /// Bytes that its connection had not sent when it last looked here.
    pub(crate) backlog: usize,
}

impl Session {
    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        self.push_chunk(Chunk::Own(bytes));
    }

    pub(crate) fn push_chunk(&mut self, chunk: Chunk) {
        self.outbox.push_back(Outgoing::Ready(chunk));
        self.wake();
    }

    /// Whether what would be pushed now has to wait for the disk.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.outbox.front(), Some(Outgoing::Held(_)))
    }

    /// What may be sent now.
    pub(crate) fn take_ready(&mut self) -> Vec<Chunk> {
        let mut chunks = Vec::with_capacity(self.outbox.len());
        while !self.is_held()
            && let Some(Outgoing::Ready(chunk)) = self.outbox.pop_front()
        {
            chunks.push(chunk);
        }
        chunks
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
