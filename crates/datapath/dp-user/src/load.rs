//! What threads and queues have been busy with lately.

use std::collections::VecDeque;
use std::time::Duration;

use dp::LOAD_INTERVALS;

/// The last values of a counter that grows, at the ends of intervals of the same length.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The counter at the end of the last interval.
    before: u64,
    /// How much it grew in each, the last one first.
    grown: VecDeque<u64>,
}

impl History {
    /// An interval has ended, and the counter stands at `total`.
    pub(crate) fn sample(&mut self, total: u64) {
        self.grown.truncate(LOAD_INTERVALS - 1);
        self.grown.push_front(total.saturating_sub(self.before));
        self.before = total;
    }

    /// How much the counter grew in the last intervals, up to so many.
    pub(crate) fn sum(&self, intervals: usize) -> u64 {
        self.grown.iter().take(intervals).sum()
    }

    /// The same as a time, where the counter is in nanoseconds.
    pub(crate) fn time(&self, intervals: usize) -> Duration {
        Duration::from_nanos(self.sum(intervals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_intervals_are_remembered() {
        let mut history = History::default();
        (1..=20).for_each(|n| history.sample(n * (n + 1) / 2));
        assert_eq!((history.sum(1), history.sum(2)), (20, 39));
        assert_eq!(history.sum(100), (9..=20).sum::<u64>());
        history.sample(211);
        assert_eq!(history.time(1), Duration::from_nanos(1));
    }
}
