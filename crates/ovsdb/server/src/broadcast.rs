//! Notifying many watchers of a commit without delaying any client.
//!
//! Watchers are woken a few at a time, and between two batches the sockets are
//! polled: a client that sends a request is answered before all watchers have
//! been notified. While it sends requests in quick succession, one batch is
//! notified after each of them, which leaves the processors to it and to that
//! batch. What is committed meanwhile is merged into what the rest receive, so
//! the busier the server, the fewer messages it sends.

use crate::rhythm::Rhythm;
use crate::server::{Server, SharedServer};
use crate::session::SessionId;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// As many sessions are woken at a time, or more if it took too many portions.
const BATCH: usize = 8;

/// All are notified in not many more portions.
const PORTIONS: usize = 16;

/// The sessions that wait to be woken, each once.
#[derive(Debug, Default)]
pub(crate) struct Broadcast {
    queue: VecDeque<SessionId>,
    waker: Option<Waker>,
}

impl Broadcast {
    /// Nobody waits to be woken.
    pub(crate) fn is_done(&self) -> bool {
        self.queue.is_empty()
    }
}

impl Server {
    /// Wakes sessions for which there may be news: a few at once, many in portions.
    pub(crate) fn announce(&mut self, sessions: Vec<SessionId>) {
        if sessions.len() <= BATCH && self.broadcast.is_done() {
            for id in sessions {
                self.wake_session(id);
            }
            return;
        }
        for id in sessions {
            if let Some(session) = self.sessions.get_mut(&id)
                && !std::mem::replace(&mut session.is_in_broadcast, true)
            {
                self.broadcast.queue.push_back(id);
            }
        }
        if let Some(waker) = self.broadcast.waker.take() {
            waker.wake();
        }
    }

    fn wake_session(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.is_in_broadcast = false;
            session.wake();
        }
    }

    /// Wakes so many of the next sessions; false when there are none.
    fn announce_some(&mut self, portion: usize) -> bool {
        let n = self.broadcast.queue.len().min(portion);
        let batch: Vec<SessionId> = self.broadcast.queue.drain(..n).collect();
        for id in &batch {
            self.wake_session(*id);
        }
        !batch.is_empty()
    }
}

/// Wakes sessions whenever there are some; ends never.
pub(crate) async fn run(server: SharedServer, rhythm: Rhythm) {
    loop {
        let portion = poll_fn(|cx| {
            let mut server = server.borrow_mut();
            if let n @ 1.. = server.broadcast.queue.len() {
                return Poll::Ready(BATCH.max(n / PORTIONS));
            }
            server.broadcast.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        while server.borrow_mut().announce_some(portion) {
            rhythm.next_portion().await;
        }
    }
}
