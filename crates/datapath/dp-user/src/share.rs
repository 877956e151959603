//! How many packets a port may give in its turn.

use std::time::Duration;

use netdev::BATCH;

/// The time of one round of turns that ports share, once there are enough of them.
const ROUND: Duration = Duration::from_millis(1);
/// The most that a turn lasts: a whole batch, also where each packet is as long as a frame can be, or is a train of
/// segments. Batches that are not full cost more system calls for a packet.
const LONGEST: Duration = Duration::from_micros(256);
/// The least that a turn lasts, below which batches get too small to be worth it.
const SHORTEST: Duration = Duration::from_micros(16);
/// What one packet is taken to cost at most: who was kept from the processor meanwhile is not the port's fault.
const DEAREST: Duration = Duration::from_micros(200);

/// What a port's packets have cost lately, and hence how many fill its turn.
///
/// Turns are measured in time, not in packets: where a packet that some flow
/// matches takes 2 µs, one that has to be translated takes ten times as much.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    /// Nanoseconds for one packet, averaged over the last turns.
    cost_ns: u64,
}

impl Share {
    /// How many packets the next turn may have, with so many ports taking turns; at least one.
    pub(crate) fn packets(self, active: usize) -> usize {
        let turn = (ROUND / active.max(1) as u32).clamp(SHORTEST, LONGEST);
        let count = turn.as_nanos() as u64 / self.cost_ns.max(1);
        count.clamp(1, BATCH as u64) as usize
    }

    /// A turn of `count` packets took so long.
    pub(crate) fn used(&mut self, count: usize, elapsed: Duration) {
        let each = (elapsed / count.max(1) as u32).min(DEAREST).as_nanos() as u64;
        self.cost_ns = (self.cost_ns * 7 + each) / 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(cost: Duration) -> Share {
        let mut share = Share::default();
        for _ in 0..100 {
            share.used(4, cost * 4);
        }
        share
    }

    #[test]
    fn cheap_packets_fill_a_batch() {
        assert_eq!(Share::default().packets(1), BATCH);
        assert_eq!(settled(Duration::from_micros(1)).packets(4), BATCH);
    }

    #[test]
    fn dear_packets_come_one_by_one() {
        assert_eq!(settled(Duration::from_micros(150)).packets(1), 1);
        assert_eq!(settled(Duration::from_secs(1)).packets(1), 1);
    }

    #[test]
    fn many_ports_have_short_turns() {
        let share = settled(Duration::from_micros(2));
        assert!(share.packets(1) > 28, "{share:?}");
        assert_eq!(share.packets(1000), 8);
    }

    #[test]
    fn one_long_turn_is_soon_forgotten() {
        let mut share = settled(Duration::from_micros(1));
        share.used(1, Duration::from_millis(10));
        assert!(share.packets(1) < BATCH);
        for _ in 0..30 {
            share.used(4, Duration::from_micros(4));
        }
        assert_eq!(share.packets(1), BATCH);
    }
}
