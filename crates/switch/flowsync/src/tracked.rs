//! What is remembered of each installed megaflow beside what the datapath has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::Timestamp;
use dp::{FlowStats, Ufid, WorkerId};
use pipeline::{Credit, Effect, FrozenId};

/// Rounds after which a flow that the datapath did not show in any of them is taken for gone.
///
/// One is not enough: a flow is remembered before it is installed, and a round may pass in between.
const MISSED_ROUNDS: u8 = 4;

/// Who forwards with a megaflow, and its id there. Each worker has flows of its own, with counters of its own.
pub(crate) type FlowId = (WorkerId, Ufid);

/// One megaflow of one worker.
#[derive(Debug)]
pub(crate) struct Tracked {
    /// What every further packet of it is to be credited to.
    pub effects: Arc<[Effect]>,
    /// Kept alive for the actions that refer to them.
    pub _frozen: Vec<Arc<FrozenId>>,
    /// Tells it from others that had or will have its id.
    number: u64,
    /// When it was made. What the datapath counted before is another flow's.
    since: Timestamp,
    /// What was credited so far.
    credited: FlowStats,
    /// Rounds since the datapath showed it last.
    missed_rounds: u8,
}

/// All megaflows that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    by_id: HashMap<FlowId, Place>,
    /// How many were ever made.
    made: u64,
}

#[derive(Debug)]
enum Place {
    Known(Tracked),
    /// Somebody removes the flow of this number from the datapath, and credits its last packets.
    Leaving(u64),
}

/// A flow that this thread alone may remove from the datapath.
#[derive(Debug)]
pub(crate) enum Removal {
    Of(Tracked),
    /// Nobody remembers why it is there.
    OfUnknown,
}

impl Flows {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn contains(&self, id: FlowId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Remembers a flow that is to be installed.
    pub(crate) fn insert(
        &mut self,
        id: FlowId,
        effects: Arc<[Effect]>,
        frozen: Vec<Arc<FrozenId>>,
        since: Timestamp,
    ) {
        self.made += 1;
        let tracked = Tracked {
            effects,
            _frozen: frozen,
            number: self.made,
            since,
            credited: FlowStats::default(),
            missed_rounds: 0,
        };
        self.by_id.insert(id, Place::Known(tracked));
    }

    pub(crate) fn get_mut(&mut self, id: FlowId) -> Option<&mut Tracked> {
        match self.by_id.get_mut(&id)? {
            Place::Known(tracked) => Some(tracked),
            Place::Leaving(_) => None,
        }
    }

    /// Begins to remove the flow that was found to have this number, or none. Nobody may where another one removes it, or
    /// where it was made anew meanwhile: a flow is remembered before it is installed.
    pub(crate) fn begin_removal(&mut self, id: FlowId, found: Option<u64>) -> Option<Removal> {
        let Some(place) = self.by_id.get_mut(&id) else {
            return found.is_none().then_some(Removal::OfUnknown);
        };
        match place {
            Place::Known(tracked) if Some(tracked.number) == found => {
                let number = tracked.number;
                match std::mem::replace(place, Place::Leaving(number)) {
                    Place::Known(tracked) => Some(Removal::Of(tracked)),
                    Place::Leaving(_) => None,
                }
            }
            Place::Known(_) | Place::Leaving(_) => None,
        }
    }

    /// The datapath has the flow of this number no more.
    pub(crate) fn end_removal(&mut self, id: FlowId, number: u64) {
        if matches!(self.by_id.get(&id), Some(Place::Leaving(leaving)) if *leaving == number) {
            self.by_id.remove(&id);
        }
    }

    /// Forgets those that were not seen in some rounds in a row; how many.
    pub(crate) fn forget_missing(&mut self, seen: &HashSet<FlowId>) -> usize {
        let before = self.by_id.len();
        self.by_id.retain(|id, place| match place {
            Place::Leaving(_) => true,
            Place::Known(tracked) if seen.contains(id) => {
                tracked.seen();
                true
            }
            Place::Known(tracked) => !tracked.missed(),
        });
        before - self.by_id.len()
    }
}

impl Tracked {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What is to be credited since the last time, if anything; afterwards `stats` is credited.
    ///
    /// Several threads read counters, and the one that read first may come last: what is older than what was credited, or
    /// than this flow, is nothing new.
    pub(crate) fn take_credit(&mut self, stats: FlowStats, now: Timestamp) -> Option<Credit> {
        let used = stats.used.unwrap_or(now);
        let has_fallen = stats.packets < self.credited.packets;
        if used < self.since || (has_fallen && stats.used <= self.credited.used) {
            return None;
        }
        let before = std::mem::replace(&mut self.credited, stats);
        // Counters that fell, and went on since, were set to zero.
        let before = if has_fallen { FlowStats::default() } else { before };
        let packets = stats.packets - before.packets;
        let bytes = stats.bytes.saturating_sub(before.bytes);
        (packets > 0).then_some(Credit { packets, bytes, tcp_flags: stats.tcp_flags, used })
    }

    /// The datapath has shown the flow.
    fn seen(&mut self) {
        self.missed_rounds = 0;
    }

    /// A round has ended without the flow; whether it is to be forgotten.
    fn missed(&mut self) -> bool {
        self.missed_rounds = self.missed_rounds.saturating_add(1);
        self.missed_rounds >= MISSED_ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: FlowId = (WorkerId::Main, Ufid(1));

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn stats(packets: u64, ms: u64) -> FlowStats {
        FlowStats { packets, bytes: packets * 100, used: Some(at(ms)), tcp_flags: 0 }
    }

    fn insert(flows: &mut Flows, ms: u64) -> u64 {
        flows.insert(ID, Arc::new([]), Vec::new(), at(ms));
        flows.get_mut(ID).unwrap().number()
    }

    #[test]
    fn every_packet_is_credited_once() {
        let mut flows = Flows::default();
        insert(&mut flows, 0);
        let mut take = |packets, ms| {
            let credit = flows.get_mut(ID).unwrap().take_credit(stats(packets, ms), at(ms));
            credit.map(|credit| (credit.packets, credit.bytes))
        };
        assert_eq!(take(3, 10), Some((3, 300)));
        assert_eq!(take(3, 10), None);
        assert_eq!(take(5, 20), Some((2, 200)));
        assert_eq!(take(4, 15), None, "somebody else has read the counters later, and was faster");
        assert_eq!(take(6, 30), Some((1, 100)));
        assert_eq!(take(1, 40), Some((1, 100)), "set to zero");
    }

    #[test]
    fn what_a_flow_of_the_same_id_counted_before_is_not_credited() {
        let mut flows = Flows::default();
        insert(&mut flows, 50);
        let tracked = flows.get_mut(ID).unwrap();
        assert_eq!(tracked.take_credit(stats(3, 40), at(60)), None);
        assert_eq!(tracked.take_credit(stats(2, 60), at(60)).map(|credit| credit.packets), Some(2));
    }

    #[test]
    fn a_flow_is_forgotten_only_after_some_rounds_in_a_row() {
        let mut flows = Flows::default();
        insert(&mut flows, 0);
        let unseen = HashSet::new();
        assert_eq!((0..3).map(|_| flows.forget_missing(&unseen)).sum::<usize>(), 0);
        assert_eq!(flows.forget_missing(&HashSet::from([ID])), 0);
        assert_eq!((0..3).map(|_| flows.forget_missing(&unseen)).sum::<usize>(), 0);
        assert_eq!((flows.forget_missing(&unseen), flows.len()), (1, 0));
    }

    #[test]
    fn one_thread_removes_a_flow() {
        let mut flows = Flows::default();
        let number = insert(&mut flows, 0);
        assert!(matches!(flows.begin_removal(ID, Some(number)), Some(Removal::Of(_))));
        assert!(flows.begin_removal(ID, Some(number)).is_none());
        assert!(flows.begin_removal(ID, None).is_none(), "it is remembered until it is gone");
        flows.end_removal(ID, number);
        assert!(matches!(flows.begin_removal(ID, None), Some(Removal::OfUnknown)));
        assert!(flows.begin_removal(ID, Some(number)).is_none(), "it was removed by another thread");
    }

    #[test]
    fn a_flow_that_was_made_anew_stays() {
        let mut flows = Flows::default();
        let old = insert(&mut flows, 0);
        let Some(Removal::Of(_)) = flows.begin_removal(ID, Some(old)) else { panic!("it is known") };
        let new = insert(&mut flows, 1);
        flows.end_removal(ID, old);
        for found in [Some(old), None] {
            assert!(flows.begin_removal(ID, found).is_none());
        }
        assert_eq!(flows.get_mut(ID).unwrap().number(), new);
    }
}
