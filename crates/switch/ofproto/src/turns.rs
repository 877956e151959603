//! Whose turn it is to change the bridges, and what others leave for whoever has it.
//!
//! A change may take long, though nobody is kept from looking meanwhile. Threads that forward packets do not wait for their
//! turn: they leave what they want to change, and it is done by whoever has the turn, at its end.

use crate::sync::{Mutex, MutexGuard};

/// A turn that one has at a time, and what is left to be done in one.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    turn: Mutex<()>,
    left: Mutex<Vec<T>>,
}

impl<T> Default for Turns<T> {
    fn default() -> Turns<T> {
        Turns { turn: Mutex::new(()), left: Mutex::new(Vec::new()) }
    }
}

impl<T> Turns<T> {
    /// Waits for the turn. Who has had it calls [`Turns::settle`].
    pub(crate) fn take(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Leaves something to be done. Who has left something calls [`Turns::settle`].
    pub(crate) fn leave(&self, one: T) {
        self.left().push(one);
    }

    /// Whether something is left to be done.
    pub(crate) fn has_left(&self) -> bool {
        !self.left().is_empty()
    }

    /// Does what is left, unless somebody has the turn, who will do it.
    pub(crate) fn settle(&self, mut act: impl FnMut(Vec<T>)) {
        // What is left while somebody has the turn is seen by that one, who looks again afterwards.
        while self.has_left() {
            let Ok(_turn) = self.turn.try_lock() else { return };
            let left = std::mem::take(&mut *self.left());
            act(left);
        }
    }

    fn left(&self) -> MutexGuard<'_, Vec<T>> {
        self.left.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
