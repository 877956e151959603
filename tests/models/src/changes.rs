//! Whose turn it is to change the bridges, and what threads that forward packets leave for whoever has it.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use turns::Turns;

#[path = "../../../crates/switch/ofproto/src/turns.rs"]
mod turns;

/// Bridges that who has the turn changes, in the order of the changes.
#[derive(Default)]
struct Bridges {
    turns: Turns<u32>,
    changes: Changes,
    /// Others may go on at each step of a change.
    steps: AtomicUsize,
}

/// Loom reports whoever touches this while somebody else does.
#[derive(Default)]
struct Changes(UnsafeCell<Vec<u32>>);

// SAFETY: loom checks each access, and ends the model where two threads have one at once; that is what the model is for.
unsafe impl Sync for Changes {}

impl Bridges {
    fn note(&self, changes: &[u32]) {
        // SAFETY: the pointer is good during the call, and loom has checked that nobody else uses it.
        self.changes.0.with_mut(|noted| unsafe { (*noted).extend(changes) });
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// A change of the control thread.
    fn change(&self, number: u32) {
        let turn = self.turns.take();
        self.note(&[number]);
        drop(turn);
        self.settle();
    }

    /// What packets teach.
    fn learn(&self, number: u32) {
        self.turns.leave(number);
        self.settle();
    }

    fn settle(&self) {
        self.turns.settle(|left| self.note(&left));
    }
}

/// Changes are made by one thread at a time. What is left while somebody has the turn is made, once, in its order, by
/// somebody who does not come back for it: when all threads have gone on, nothing is left.
pub fn what_is_left_is_done_once_and_in_order() {
    // Three threads that lock and look have too many orders of steps; those with up to three interruptions are tried.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let bridges = Arc::new(Bridges::default());
        let begin = |act: fn(&Bridges)| {
            let bridges = Arc::clone(&bridges);
            thread::spawn(move || act(&bridges))
        };
        let threads = [
            begin(|bridges| {
                bridges.learn(1);
                bridges.learn(2);
            }),
            begin(|bridges| bridges.learn(10)),
        ];
        bridges.change(100);
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(!bridges.turns.has_left());
        // SAFETY: as above.
        let made = bridges.changes.0.with(|changes| unsafe { (*changes).clone() });
        let of_the_first: Vec<u32> = made.iter().copied().filter(|&number| number < 10).collect();
        assert_eq!(of_the_first, [1, 2]);
        let mut all = made;
        all.sort_unstable();
        assert_eq!(all, [1, 2, 10, 100]);
    });
}
