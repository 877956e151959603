//! How much is going on with a flow, and who forwards its packets: the worker, or the kernel itself ([`netdev::Shortcuts`]).

use std::time::Duration;

use base::Timestamp;
use netdev::shortcut::{Ending, Shortcut};

/// After so many packets of a flow it is looked how fast they came.
pub(crate) const PACKETS: u64 = 64;

/// A flow whose packets take longer than this is not worth the change.
const SLOW: Duration = Duration::from_millis(200);
/// How long a flow stays with its worker that was a flood of short packets.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a flow stands. Times are the low 32 bits of microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heat {
    /// The worker forwards it, and looked at this time.
    Looked(u32),
    /// So, and the kernel shall not for a while, from this time on.
    Paused(u32),
    /// The kernel forwards it.
    Handed(Shortcut),
    /// The kernel cannot.
    Refused,
}

impl Default for Heat {
    fn default() -> Heat {
        Heat::Looked(0)
    }
}

fn micros(now: Timestamp) -> u32 {
    (now.as_nanos() / 1000) as u32
}

fn within(limit: Duration, since: u32, now: Timestamp) -> bool {
    u128::from(micros(now).wrapping_sub(since)) < limit.as_micros()
}

impl Heat {
    /// That of a flow which the worker begins to forward.
    pub(crate) fn new(now: Timestamp) -> Heat {
        Heat::Looked(micros(now))
    }

    /// That of a flow which the kernel forwarded.
    pub(crate) fn after(ending: Ending, now: Timestamp) -> Heat {
        match ending {
            Ending::Again => Heat::new(now),
            Ending::Later => Heat::Paused(micros(now)),
        }
    }

    /// To be called after every [`PACKETS`] that the worker forwards: whether the kernel is to go on, unless the flow
    /// [`Heat::is_paused`].
    pub(crate) fn look(&mut self, now: Timestamp) -> bool {
        match *self {
            Heat::Refused | Heat::Handed(_) => false,
            Heat::Paused(since) if within(PAUSE, since, now) => true,
            Heat::Looked(since) | Heat::Paused(since) => {
                *self = Heat::new(now);
                within(SLOW, since, now)
            }
        }
    }

    /// Whether the worker forwards it for a while, however hot it is.
    pub(crate) fn is_paused(self) -> bool {
        matches!(self, Heat::Paused(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn packets_that_come_within_a_while_make_a_flow_hot() {
        let mut heat = Heat::new(at(1000));
        assert!(heat.look(at(1100)));
        assert!(!heat.look(at(1400)), "they took long");
        assert!(heat.look(at(1500)));
        heat = Heat::Refused;
        assert!(!heat.look(at(1500)));
    }

    #[test]
    fn a_flood_stays_with_the_worker_for_a_while() {
        let mut heat = Heat::after(Ending::Later, at(1000));
        assert!(heat.look(at(1010)) && heat.look(at(1990)));
        assert!(heat.is_paused(), "hot, and the worker's");
        assert!(!heat.look(at(2010)) && !heat.is_paused(), "it is looked at anew from here on");
        assert!(heat.look(at(2020)));
        let mut heat = Heat::after(Ending::Again, at(1000));
        assert!(heat.look(at(1010)));
    }

    #[test]
    fn times_wrap() {
        let mut heat = Heat::Looked(u32::MAX - 50);
        assert!(heat.look(Timestamp::from_millis((1 << 32) / 1000 + 1)));
    }
}
