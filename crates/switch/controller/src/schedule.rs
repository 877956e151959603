//! How many packets a controller is sent (`controller_rate_limit`, `controller_burst_limit`).
//!
//! A bucket of tokens for packets without a rule and one for others, so that
//! neither crowds the other out; a few may wait for a token. Time is an
//! argument.

use std::collections::VecDeque;

use base::Timestamp;
use ofp::PacketIn;

/// Packets that a controller may be sent in a second, and how many may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    pub rate: u32,
    pub burst: u32,
}

/// The packets for one connection.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    limit: Option<RateLimit>,
    misses: Queue,
    others: Queue,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<PacketIn>,
    /// Thousandths of a packet.
    tokens: u64,
    filled: Option<Timestamp>,
}

/// What becomes of a packet.
#[derive(Debug)]
pub(crate) enum Offer {
    Send(PacketIn),
    Kept,
    Dropped,
}

impl Scheduler {
    pub(crate) fn set_limit(&mut self, limit: Option<RateLimit>) {
        self.limit = limit;
    }

    pub(crate) fn offer(&mut self, packet: PacketIn, is_miss: bool, now: Timestamp) -> Offer {
        let Some(limit) = self.limit else { return Offer::Send(packet) };
        let queue = if is_miss { &mut self.misses } else { &mut self.others };
        queue.fill(limit, now);
        if queue.waiting.is_empty() && queue.take() {
            return Offer::Send(packet);
        }
        if queue.waiting.len() >= limit.burst as usize {
            return Offer::Dropped;
        }
        queue.waiting.push_back(packet);
        Offer::Kept
    }

    /// The packets whose turn has come.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<PacketIn> {
        let mut due = Vec::new();
        for queue in [&mut self.misses, &mut self.others] {
            let Some(limit) = self.limit else {
                due.extend(queue.waiting.drain(..));
                continue;
            };
            queue.fill(limit, now);
            while !queue.waiting.is_empty() && queue.take() {
                due.extend(queue.waiting.pop_front());
            }
        }
        due
    }
}

const TOKEN: u64 = 1000;

impl Queue {
    fn fill(&mut self, limit: RateLimit, now: Timestamp) {
        let most = u64::from(limit.burst) * TOKEN;
        let elapsed = match self.filled.replace(now) {
            Some(last) => u64::try_from((now - last).as_millis()).unwrap_or(u64::MAX),
            // A fresh connection may use its burst at once.
            None => return self.tokens = most,
        };
        self.tokens = self.tokens.saturating_add(elapsed.saturating_mul(limit.rate.into())).min(most);
    }

    fn take(&mut self) -> bool {
        let has_one = self.tokens >= TOKEN;
        self.tokens -= if has_one { TOKEN } else { 0 };
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> PacketIn {
        PacketIn {
            packet: Vec::new(),
            total_len: 0,
            buffer_id: ofp::NO_BUFFER,
            metadata: fields::Match::default(),
            reason: ofp::PacketInReason::Action,
            table: 0,
            cookie: 0,
            userdata: Vec::new(),
            continuation: None,
        }
    }

    #[test]
    fn a_burst_passes_some_wait_and_the_rest_is_dropped() {
        let mut scheduler = Scheduler::default();
        scheduler.set_limit(Some(RateLimit { rate: 10, burst: 2 }));
        let at = Timestamp::from_millis;
        let mut sent = |ms, is_miss| matches!(scheduler.offer(packet(), is_miss, at(ms)), Offer::Send(_));
        assert_eq!([sent(0, false), sent(0, false), sent(0, false)], [true, true, false]);
        assert!(sent(0, true), "packets without a rule have a bucket of their own");
        assert!(matches!(scheduler.offer(packet(), false, at(0)), Offer::Kept));
        assert!(matches!(scheduler.offer(packet(), false, at(0)), Offer::Dropped));
        assert_eq!(scheduler.due(at(100)).len(), 1);
        assert_eq!(scheduler.due(at(1000)).len(), 1);
    }
}
