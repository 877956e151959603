//! Which worker has a queue, and how the queue passes from one to another.
//!
//! A queue has one seat. Who assigns queues says which worker is wanted there; that one sits down when the seat is free, and
//! the one before stands up by itself when it has sent all that it has taken. So no two workers ever take packets from the
//! same queue, and those of the second are sent after those of the first.

use crate::sync::{Mutex, MutexGuard};

/// By what workers are told apart: the number of the processor that each was made for.
pub(crate) type Core = u32;

/// The seat of one queue.
#[derive(Debug, Default)]
pub(crate) struct Seat(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    wanted: Option<Core>,
    sitting: Option<Core>,
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Says which worker is wanted from now on. Both it and the one that sits there are to be woken.
    pub(crate) fn want(&self, worker: Option<Core>) {
        self.lock().wanted = worker;
    }

    /// The worker that is wanted.
    pub(crate) fn wanted(&self) -> Option<Core> {
        self.lock().wanted
    }

    /// Whether the worker sits there and is still wanted.
    pub(crate) fn keeps(&self, worker: Core) -> bool {
        let state = self.lock();
        state.sitting == Some(worker) && state.wanted == Some(worker)
    }

    /// The worker sits down, if it is wanted and the seat is free; whether it does.
    pub(crate) fn sit_down(&self, worker: Core) -> bool {
        let mut state = self.lock();
        let may = state.wanted == Some(worker) && state.sitting.is_none();
        if may {
            state.sitting = Some(worker);
        }
        may
    }

    /// The worker stands up, having sent all that it has taken. The worker that waits for the seat, which is to be woken.
    pub(crate) fn stand_up(&self, worker: Core) -> Option<Core> {
        let mut state = self.lock();
        if state.sitting == Some(worker) {
            state.sitting = None;
        }
        state.wanted.filter(|wanted| *wanted != worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_taken_when_it_is_free() {
        let seat = Seat::default();
        assert!(!seat.sit_down(1), "nobody is wanted");
        seat.want(Some(1));
        assert!(!seat.sit_down(2) && seat.sit_down(1) && seat.keeps(1));
        seat.want(Some(2));
        assert!(!seat.keeps(1) && !seat.sit_down(2), "the other one sits there");
        assert_eq!(seat.stand_up(1), Some(2));
        assert!(seat.sit_down(2) && !seat.sit_down(1));
        seat.want(None);
        assert_eq!((seat.keeps(2), seat.stand_up(2), seat.wanted()), (false, None, None));
    }
}
