//! A share of the time for work that comes without end.

use std::time::{Duration, Instant};

/// Work that may take one part of the time in so many. What it did not take it may take later, but no more than a burst.
#[derive(Debug)]
pub(crate) struct Share {
    parts: u32,
    burst: Duration,
    /// What the work may still take.
    left: Duration,
    last: Instant,
}

impl Share {
    pub(crate) fn new(parts: u32, burst: Duration, now: Instant) -> Share {
        Share { parts, burst, left: burst, last: now }
    }

    /// The work was done from `begun` to `now`. Until when it has to wait, if it has taken its share.
    pub(crate) fn spend(&mut self, begun: Instant, now: Instant) -> Option<Instant> {
        let earned = now.saturating_duration_since(self.last) / self.parts;
        self.last = now;
        let took = now.saturating_duration_since(begun);
        let has = self.left + earned;
        self.left = has.saturating_sub(took).min(self.burst);
        (self.left.is_zero()).then(|| now + (took.saturating_sub(has) + self.burst) * self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn work_without_end_takes_its_part() {
        let start = Instant::now();
        let mut share = Share::new(10, MS, start);
        let (mut now, mut worked) = (start, Duration::ZERO);
        while now < start + 1000 * MS {
            let begun = now;
            now += MS / 4;
            worked += MS / 4;
            now = share.spend(begun, now).unwrap_or(now);
        }
        assert!((85 * MS..=115 * MS).contains(&worked), "{worked:?}");
    }

    #[test]
    fn work_that_comes_seldom_does_not_wait() {
        let start = Instant::now();
        let mut share = Share::new(10, MS, start);
        for second in 1..100 {
            let begun = start + second * 100 * MS;
            assert_eq!(share.spend(begun, begun + MS / 2), None);
        }
    }
}
