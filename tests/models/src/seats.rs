//! A queue that passes from one worker to another.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::dp_user::known::Moves;
use crate::dp_user::seat::{Core, Seat};

#[derive(Default)]
struct Shared {
    seat: Seat,
    /// Workers look at the seat when these have moved.
    calls: [Moves; 2],
    /// Packets that were sent; counted by who has the queue, without any ordering of its own.
    sent: AtomicUsize,
}

struct Worker {
    shared: Arc<Shared>,
    core: Core,
    seen: u64,
    has_queue: bool,
    sent: usize,
}

impl Worker {
    fn new(shared: &Arc<Shared>, core: Core) -> Worker {
        Worker { shared: Arc::clone(shared), core, seen: 0, has_queue: false, sent: 0 }
    }

    /// As a worker's turn begins and goes on.
    fn turn(&mut self) {
        let Shared { seat, calls, sent } = &*self.shared;
        let count = calls[self.core as usize].count();
        if self.seen != count {
            self.seen = count;
            if self.has_queue && !seat.keeps(self.core) {
                self.has_queue = false;
                if let Some(next) = seat.stand_up(self.core) {
                    calls[next as usize].note();
                }
            }
            self.has_queue |= seat.sit_down(self.core);
        }
        if self.has_queue {
            sent.store(sent.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            self.sent += 1;
        }
    }

    fn turns(mut self, count: usize) -> Worker {
        (0..count).for_each(|_| self.turn());
        self
    }
}

/// Two workers never have the queue at once, the second one goes on after all that the first one sent, and neither is
/// forgotten when the queue is to pass.
pub fn a_queue_has_one_worker_at_a_time() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        shared.seat.want(Some(0));
        shared.calls[0].note();
        let workers = [0, 1].map(|core| {
            let worker = Worker::new(&shared, core);
            thread::spawn(move || worker.turns(2))
        });
        shared.seat.want(Some(1));
        shared.calls.iter().for_each(Moves::note);
        let [mut first, mut second] = workers.map(|worker| worker.join().unwrap());
        // They sleep until they are called.
        first.turn();
        second.turn();
        assert!(!first.has_queue && second.has_queue);
        assert_eq!(shared.sent.load(Ordering::Relaxed), first.sent + second.sent);
    });
}
