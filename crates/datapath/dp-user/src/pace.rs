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
    is_flood: Option<bool>,
}

impl Pace {
    /// Takes note of packets.
    #[inline]
    pub(crate) fn count(&mut self, packets: u64, bytes: u64, now: Timestamp) {
        self.packets += packets;
        self.bytes += bytes;
        let elapsed = now.since(self.since);
        if elapsed >= WINDOW {
            // After a silence nothing is known.
            let is_flood = || shortcut::is_flood(self.packets, self.bytes, elapsed);
            self.is_flood = (elapsed < SILENCE).then(is_flood);
            (self.since, self.packets, self.bytes) = (now, 0, 0);
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
        let pass = |packets, len| {
            let mut pace = Pace::default();
            assert!(!pace.is_for_kernel(true), "nothing is known yet");
            let begin = Timestamp::ZERO + Duration::from_secs(1);
            pace.count(packets, packets * len, begin);
            assert!(!pace.is_for_kernel(true), "it was quiet before");
            pace.count(packets, packets * len, begin + Duration::from_millis(10));
            assert!(pace.is_for_kernel(true));
            pace.is_for_kernel(false)
        };
        assert!(pass(10, 64) && pass(10_000, 1500) && !pass(10_000, 64));
    }
}
