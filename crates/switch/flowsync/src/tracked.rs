//! What is remembered of each installed megaflow beside what the datapath has.

use std::collections::HashMap;
use std::sync::Arc;

use base::Timestamp;
use dp::{FlowStats, Ufid, WorkerId};
use pipeline::{Credit, Effect, FrozenId};

/// Rounds after which a flow that the datapath did not show in any of them is taken for gone.
///
/// One is not enough: a flow is remembered before it is installed, and a round may pass in between.
const MISSED_ROUNDS: u8 = 4;

/// One megaflow of one worker.
#[derive(Debug)]
pub(crate) struct Tracked {
    /// What every further packet of it is to be credited to.
    pub effects: Arc<[Effect]>,
    /// Kept alive for the actions that refer to them.
    pub _frozen: Vec<Arc<FrozenId>>,
    /// What was credited so far.
    credited: FlowStats,
    /// Rounds since the datapath showed it last.
    missed_rounds: u8,
}

/// All megaflows, by who forwards with them and their id. Each worker has flows of its own, with counters of its own.
pub(crate) type Flows = HashMap<(WorkerId, Ufid), Tracked>;

impl Tracked {
    pub(crate) fn new(effects: Arc<[Effect]>, frozen: Vec<Arc<FrozenId>>) -> Tracked {
        Tracked { effects, _frozen: frozen, credited: FlowStats::default(), missed_rounds: 0 }
    }

    /// What is to be credited since the last time, if anything; afterwards `stats` is credited.
    pub(crate) fn take_credit(&mut self, stats: FlowStats, now: Timestamp) -> Option<Credit> {
        let before = std::mem::replace(&mut self.credited, stats);
        // Counters that fell belong to a flow that was removed and made anew.
        let before = if stats.packets < before.packets { FlowStats::default() } else { before };
        let packets = stats.packets - before.packets;
        let bytes = stats.bytes.saturating_sub(before.bytes);
        let used = stats.used.unwrap_or(now);
        (packets > 0).then_some(Credit { packets, bytes, tcp_flags: stats.tcp_flags, used })
    }

    /// The datapath has shown the flow.
    pub(crate) fn seen(&mut self) {
        self.missed_rounds = 0;
    }

    /// A round has ended without the flow; whether it is to be forgotten.
    pub(crate) fn missed(&mut self) -> bool {
        self.missed_rounds = self.missed_rounds.saturating_add(1);
        self.missed_rounds >= MISSED_ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(packets: u64) -> FlowStats {
        FlowStats { packets, bytes: packets * 100, ..FlowStats::default() }
    }

    fn tracked() -> Tracked {
        Tracked::new(Arc::new([]), Vec::new())
    }

    #[test]
    fn every_packet_is_credited_once() {
        let mut tracked = tracked();
        let mut take =
            |packets| tracked.take_credit(stats(packets), Timestamp::ZERO).map(|c| (c.packets, c.bytes));
        assert_eq!(take(3), Some((3, 300)));
        assert_eq!(take(3), None);
        assert_eq!(take(5), Some((2, 200)));
        assert_eq!(take(1), Some((1, 100)), "made anew");
    }

    #[test]
    fn a_flow_is_forgotten_only_after_some_rounds_in_a_row() {
        let mut tracked = tracked();
        assert!(!tracked.missed() && !tracked.missed() && !tracked.missed());
        tracked.seen();
        assert!(!tracked.missed() && !tracked.missed() && !tracked.missed());
        assert!(tracked.missed());
    }
}
