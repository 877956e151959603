//! Counters that one thread writes.

use std::sync::Arc;

use loom::thread;

use crate::dp_user::counters::Tally;

/// A reader sees a counter grow, and nothing is lost: the writer needs no addition that locks the bus.
pub fn a_reader_sees_a_counter_grow() {
    loom::model(|| {
        let tally = Arc::new(Tally::default());
        let writer = thread::spawn({
            let tally = Arc::clone(&tally);
            move || {
                tally.add(1);
                tally.add(0);
                tally.add(2);
            }
        });
        let (first, second) = (tally.get(), tally.get());
        assert!([0, 1, 3].contains(&first) && [0, 1, 3].contains(&second), "{first}, then {second}");
        assert!(first <= second, "{first}, then {second}");
        writer.join().unwrap();
        assert_eq!(tally.get(), 3);
    });
}
