//! Numbers that move after a change, and answers that are kept until then.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::dp_user::known::{Known, Moves};

/// Something that changes, and whose changes are noted.
#[derive(Default)]
struct Device {
    /// Without an ordering of its own: the number that moves has to bring it along.
    state: AtomicUsize,
    known: Known<usize>,
}

impl Device {
    fn ask(&self) -> usize {
        *self.known.get(|| self.state.load(Ordering::Relaxed))
    }
}

/// What is answered before a change is not kept after it, however the change and the question meet.
pub fn an_answer_is_not_kept_beyond_a_change() {
    loom::model(|| {
        let device = Arc::new(Device::default());
        let changer = thread::spawn({
            let device = Arc::clone(&device);
            move || {
                device.state.store(1, Ordering::Relaxed);
                device.known.changed();
            }
        });
        let asker = thread::spawn({
            let device = Arc::clone(&device);
            move || device.ask()
        });
        device.ask();
        asker.join().unwrap();
        changer.join().unwrap();
        assert_eq!(device.ask(), 1);
    });
}

/// Who has taken over what a number stands for, and finds that it has not moved since, has the latest: so a worker takes
/// over the ports.
pub fn who_is_up_to_date_by_the_number_has_the_latest() {
    loom::model(|| {
        let shared = Arc::new((AtomicUsize::new(0), Moves::default()));
        let changer = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (ports, moves) = &*shared;
                for change in 1..=2 {
                    ports.store(change, Ordering::Relaxed);
                    moves.note();
                }
            }
        });
        let (ports, moves) = &*shared;
        let mut taken = (0, 0);
        for _ in 0..2 {
            let count = moves.count();
            if taken.0 != count {
                taken = (count, ports.load(Ordering::Relaxed));
                assert!(taken.1 as u64 >= count, "{taken:?}");
            }
        }
        changer.join().unwrap();
        assert!(taken.0 < moves.count() || taken.1 == 2, "{taken:?}");
    });
}
