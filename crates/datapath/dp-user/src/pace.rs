//! How fast packets come by a port.

use std::time::Duration;

use base::Timestamp;
use netdev::shortcut;

/// How long is counted at least before something is said.
const WINDOW: Duration = Duration::from_millis(5);
/// After which time without packets it is counted anew.
const SILENCE: Duration = Duration::from_millis(20);

/// What came lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Pace {
    since: Timestamp,
    packets: u64,
    bytes: u64,
    /// Whether more were there after all of these, since when they are counted.
    is_backlog: bool,
    is_flood: Option<bool>,
}

impl Pace {
    /// Takes note of packets; whether `more` are there, so that it is not these that say how fast they come.
    #[inline]
    pub(crate) fn count(&mut self, packets: u64, bytes: u64, more: bool, now: Timestamp) {
        self.packets += packets;
        self.bytes += bytes;
        self.is_backlog &= more;
        let elapsed = now.since(self.since);
        if elapsed >= WINDOW {
            // However long these took, more had come than was taken.
            let within = if self.is_backlog { Duration::ZERO } else { elapsed };
            let is_flood = || shortcut::is_flood(self.packets, self.bytes, within);
            // After a silence nothing is known.
            self.is_flood = (within < SILENCE).then(is_flood);
            (self.since, self.packets, self.bytes, self.is_backlog) = (now, 0, 0, true);
        }
    }

    /// Whether the kernel should forward flows of this port, where it can, and `takes_floods` or not.
    pub(crate) fn is_for_kernel(&self, takes_floods: bool) -> bool {
        self.is_flood.is_some_and(|is_flood| takes_floods || !is_flood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_many_short_packets() {
        let pass = |packets, len, more| {
            let mut pace = Pace::default();
            assert!(!pace.is_for_kernel(true), "nothing is known yet");
            let begin = Timestamp::ZERO + Duration::from_secs(1);
            pace.count(packets, packets * len, more, begin);
            assert!(!pace.is_for_kernel(true), "it was quiet before");
            pace.count(packets, packets * len, more, begin + Duration::from_millis(10));
            assert!(pace.is_for_kernel(true));
            pace.is_for_kernel(false)
        };
        assert!(pass(10, 64, false) && pass(10_000, 1500, false) && !pass(10_000, 64, false));
        assert!(pass(10, 1500, true) && !pass(10, 64, true), "a queue that is never empty");
    }
}
