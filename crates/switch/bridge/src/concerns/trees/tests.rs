//! Settings within the limits that the standards set.

use super::desire::{rapid_priority, rapid_times};

#[test]
fn rapid_priorities_are_multiples_of_4096() {
    assert_eq!([0, 4095, 4096, 61_440, 65_535].map(rapid_priority), [0, 0, 4096, 61_440, 61_440].map(Some));
    assert_eq!(rapid_priority(65_536), None);
}

#[test]
fn rapid_times_that_do_not_fit_each_other_are_ignored() {
    assert_eq!(rapid_times(None, None), (20, 15));
    assert_eq!(rapid_times(Some(6), Some(4)), (6, 4));
    assert_eq!(rapid_times(Some(40), Some(30)), (40, 30), "the delay makes room for the age");
    assert_eq!(rapid_times(Some(40), None), (20, 15));
    assert_eq!(rapid_times(None, Some(4)), (20, 15));
    assert_eq!(rapid_times(Some(5), Some(31)), (20, 15), "outside the limits");
}
