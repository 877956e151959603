//! Named locks that sessions hold or wait for (RFC 7047 §4.1.8).

use crate::session::SessionId;
use std::collections::{BTreeMap, VecDeque};

/// All locks; the first of each queue is the owner.
#[derive(Debug, Default)]
pub(crate) struct Locks(BTreeMap<String, VecDeque<SessionId>>);

impl Locks {
    pub(crate) fn is_waiting(&self, name: &str, session: SessionId) -> bool {
        self.0.get(name).is_some_and(|queue| queue.contains(&session))
    }

    pub(crate) fn is_owner(&self, name: &str, session: SessionId) -> bool {
        self.0.get(name).and_then(VecDeque::front) == Some(&session)
    }

    /// Queues a session; true when it owns the lock at once.
    pub(crate) fn lock(&mut self, name: &str, session: SessionId) -> bool {
        let queue = self.0.entry(name.to_owned()).or_default();
        queue.push_back(session);
        queue.len() == 1
    }

    /// Makes a session the owner; returns the one that was. The victim does not wait for the lock any more
    /// but must still give it up.
    pub(crate) fn steal(&mut self, name: &str, session: SessionId) -> Option<SessionId> {
        let queue = self.0.entry(name.to_owned()).or_default();
        let victim = queue.front().copied();
        queue.push_front(session);
        victim
    }

    /// Takes a session out of a queue; returns the new owner where there is one.
    pub(crate) fn unlock(&mut self, name: &str, session: SessionId) -> Option<SessionId> {
        let queue = self.0.get_mut(name)?;
        let owned = queue.front() == Some(&session);
        queue.retain(|waiting| *waiting != session);
        let next = queue.front().copied();
        if next.is_none() {
            self.0.remove(name);
        }
        next.filter(|_| owned)
    }

    /// The names of all locks that a session holds or waits for.
    pub(crate) fn of_session(&self, session: SessionId) -> Vec<String> {
        let has = |queue: &VecDeque<SessionId>| queue.contains(&session);
        self.0.iter().filter(|(_, queue)| has(queue)).map(|(name, _)| name.clone()).collect()
    }

    /// The names of locks that a session holds, and of those it waits for.
    pub(crate) fn held_and_awaited(&self, session: SessionId) -> (Vec<String>, Vec<String>) {
        self.of_session(session).into_iter().partition(|name| self.is_owner(name, session))
    }
}
