//! What one thread changes and others look at: numbers that move, and answers that are kept until they do.

use std::sync::Arc;

use crate::sync::{AtomicU64, Mutex, Ordering};

/// A number that moves after every change.
///
/// Whoever reads the number first and what changes afterwards has at least what the number stands for; that there is
/// more, the next look at the number shows.
#[derive(Debug, Default)]
pub(crate) struct Moves(AtomicU64);

impl Moves {
    /// Something has changed.
    pub(crate) fn note(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// How often something has changed.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// An answer that is kept until what it depends on has changed.
#[derive(Debug)]
pub(crate) struct Known<T> {
    changes: Moves,
    /// The answer, and how many changes there had been before it was asked for.
    answer: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> Default for Known<T> {
    fn default() -> Known<T> {
        Known { changes: Moves::default(), answer: Mutex::new(None) }
    }
}

impl<T> Known<T> {
    /// From here on the kept answer counts no more.
    pub(crate) fn changed(&self) {
        self.changes.note();
    }

    /// The kept answer, or that of `ask`.
    pub(crate) fn get(&self, ask: impl FnOnce() -> T) -> Arc<T> {
        let mut answer = self.answer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Counted before asking: a change that comes in between makes the answer stale, not fresh.
        let changes = self.changes.count();
        match &*answer {
            Some((at, known)) if *at == changes => Arc::clone(known),
            _ => Arc::clone(&answer.insert((changes, Arc::new(ask()))).1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_until_something_changes() {
        let known = Known::default();
        assert_eq!(*known.get(|| 1), 1);
        assert_eq!(*known.get(|| 2), 1);
        known.changed();
        assert_eq!(*known.get(|| 3), 3);
    }
}
