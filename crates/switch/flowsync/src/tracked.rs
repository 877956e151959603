//! What is remembered of each installed megaflow beside what the datapath has.

use std::sync::Arc;

use base::Timestamp;
use dp::{FlowStats, Ufid, WorkerId};
use flow::extract::mix;
use hashbrown::HashMap;
use pipeline::{Credit, Effect, FrozenId};

use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// Rounds after which a flow that the datapath did not show in any of them is taken for gone.
///
/// One is not enough: a flow is remembered before it is installed, and a round may pass in between.
const MISSED_ROUNDS: u8 = 4;

/// Parts of the memory, each behind a lock of its own: threads that make flows at once seldom want the same.
const SHARDS: usize = 16;

/// Lists of effects that one part remembers to share them. Most flows of a time are credited to few lists.
const RECENT: usize = 32;

/// Who forwards with a megaflow, and its id there. Each worker has flows of its own, with counters of its own.
pub(crate) type FlowId = (WorkerId, Ufid);

/// One megaflow of one worker.
#[derive(Debug)]
pub(crate) struct Tracked {
    /// What every further packet of it is to be credited to.
    pub effects: Arc<[Effect]>,
    /// Kept alive for the actions that refer to them.
    pub _frozen: Box<[Arc<FrozenId>]>,
    /// Tells it from others that had or will have its id.
    number: u64,
    /// When it was made. What the datapath counted before is another flow's.
    since: Timestamp,
    /// What was credited so far.
    credited: FlowStats,
    /// The datapath has shown it in the round that goes on.
    is_seen: bool,
    /// Rounds since the datapath showed it last.
    missed_rounds: u8,
}

/// All megaflows that are remembered.
#[derive(Debug)]
pub(crate) struct Flows {
    shards: Box<[Mutex<Shard>]>,
    count: AtomicUsize,
}

impl Default for Flows {
    fn default() -> Flows {
        Flows { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), count: AtomicUsize::new(0) }
    }
}

#[derive(Debug, Default)]
struct Shard {
    by_id: HashMap<FlowId, Place>,
    /// How many were ever made.
    made: u64,
    /// Lists that were made in this round, by their marks; empty or [`RECENT`] places.
    recent: Vec<Option<Arc<[Effect]>>>,
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

impl Shard {
    /// The list, shared with a flow that was made recently and has the same.
    fn shared(&mut self, mut effects: Vec<Effect>) -> Arc<[Effect]> {
        effects.retain(Effect::is_of_flow);
        self.recent.resize(RECENT, None);
        let mark = effects.iter().fold(0, |mark, effect| mix(mark, effect.mark()));
        let Some(place) = self.recent.get_mut(mark as usize % RECENT) else { return effects.into() };
        let is_it = |known: &&mut Arc<[Effect]>| {
            known.len() == effects.len() && known.iter().zip(&effects).all(|(a, b)| a.is_same(b))
        };
        match place.as_mut().filter(is_it) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(place.insert(effects.into())),
        }
    }

    fn get_mut(&mut self, id: FlowId) -> Option<&mut Tracked> {
        match self.by_id.get_mut(&id)? {
            Place::Known(tracked) => Some(tracked),
            Place::Leaving(_) => None,
        }
    }
}

impl Flows {
    fn shard(&self, id: FlowId) -> MutexGuard<'_, Shard> {
        // An id is a hash already.
        let index = (id.1.0 >> 64) as usize % self.shards.len();
        self.shards[index].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many there are, or were a moment ago.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// What the packets of a flow are credited to, if it is there.
    pub(crate) fn effects_of(&self, id: FlowId) -> Option<Arc<[Effect]>> {
        self.shard(id).get_mut(id).map(|tracked| Arc::clone(&tracked.effects))
    }

    /// Remembers a flow that is to be installed; false when there are `limit` already.
    pub(crate) fn insert(
        &self,
        id: FlowId,
        effects: Vec<Effect>,
        frozen: Vec<Arc<FrozenId>>,
        since: Timestamp,
        limit: usize,
    ) -> bool {
        let mut shard = self.shard(id);
        let is_new = !shard.by_id.contains_key(&id);
        if is_new {
            if self.len() >= limit {
                return false;
            }
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        shard.made += 1;
        let tracked = Tracked {
            effects: shard.shared(effects),
            _frozen: frozen.into(),
            number: shard.made,
            since,
            credited: FlowStats::default(),
            is_seen: false,
            missed_rounds: 0,
        };
        shard.by_id.insert(id, Place::Known(tracked));
        true
    }

    /// What `look` makes of a flow that is remembered and that nobody removes.
    pub(crate) fn with<R>(&self, id: FlowId, look: impl FnOnce(&mut Tracked) -> R) -> Option<R> {
        self.shard(id).get_mut(id).map(look)
    }

    /// Replaces what is remembered of a flow, whose packets go another way from now on.
    pub(crate) fn replace(&self, id: FlowId, effects: Vec<Effect>, frozen: Vec<Arc<FrozenId>>) {
        let mut shard = self.shard(id);
        let effects = shard.shared(effects);
        if let Some(tracked) = shard.get_mut(id) {
            tracked.effects = effects;
            tracked._frozen = frozen.into();
        }
    }

    /// Begins to remove the flow that was found to have this number, or none. Nobody may where another one removes it, or
    /// where it was made anew meanwhile: a flow is remembered before it is installed.
    pub(crate) fn begin_removal(&self, id: FlowId, found: Option<u64>) -> Option<Removal> {
        let mut shard = self.shard(id);
        let Some(place) = shard.by_id.get_mut(&id) else {
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
    pub(crate) fn end_removal(&self, id: FlowId, number: u64) {
        let mut shard = self.shard(id);
        if matches!(shard.by_id.get(&id), Some(Place::Leaving(leaving)) if *leaving == number) {
            shard.by_id.remove(&id);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A round has ended: forgets flows that were not seen in some rounds in a row; how many.
    pub(crate) fn end_round(&self) -> usize {
        let mut forgotten = 0;
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let before = shard.by_id.len();
            shard.by_id.retain(|_, place| match place {
                Place::Leaving(_) => true,
                Place::Known(tracked) => !tracked.is_forgotten(),
            });
            let after = shard.by_id.len();
            if after < shard.by_id.capacity() / 8 {
                shard.by_id.shrink_to_fit();
            }
            // They would keep rules that are gone.
            shard.recent.clear();
            forgotten += before - after;
        }
        self.count.fetch_sub(forgotten, Ordering::Relaxed);
        forgotten
    }
}

impl Tracked {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// When it came.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
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
    pub(crate) fn seen(&mut self) {
        self.is_seen = true;
    }

    /// A round has ended; whether the flow is to be forgotten.
    fn is_forgotten(&mut self) -> bool {
        self.missed_rounds = if std::mem::take(&mut self.is_seen) { 0 } else { self.missed_rounds + 1 };
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

    fn insert(flows: &Flows, ms: u64) -> u64 {
        assert!(flows.insert(ID, Vec::new(), Vec::new(), at(ms), 10));
        flows.with(ID, |tracked| tracked.number()).unwrap()
    }

    #[test]
    fn every_packet_is_credited_once() {
        let flows = Flows::default();
        insert(&flows, 0);
        let take = |packets, ms| {
            let credit = flows.with(ID, |tracked| tracked.take_credit(stats(packets, ms), at(ms))).unwrap();
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
        let flows = Flows::default();
        insert(&flows, 50);
        let take = |stats| flows.with(ID, |tracked| tracked.take_credit(stats, at(60))).unwrap();
        assert_eq!(take(stats(3, 40)), None);
        assert_eq!(take(stats(2, 60)).map(|credit| credit.packets), Some(2));
    }

    #[test]
    fn a_flow_is_forgotten_only_after_some_rounds_in_a_row() {
        let flows = Flows::default();
        insert(&flows, 0);
        assert_eq!((0..3).map(|_| flows.end_round()).sum::<usize>(), 0);
        flows.with(ID, Tracked::seen).unwrap();
        assert_eq!(flows.end_round(), 0);
        assert_eq!((0..3).map(|_| flows.end_round()).sum::<usize>(), 0);
        assert_eq!((flows.end_round(), flows.len()), (1, 0));
    }

    #[test]
    fn there_are_as_many_as_the_limit_allows() {
        let flows = Flows::default();
        let insert =
            |id: u128| flows.insert((WorkerId::Main, Ufid(id << 64)), Vec::new(), Vec::new(), at(0), 3);
        assert_eq!((0..5).map(insert).collect::<Vec<_>>(), [true, true, true, false, false]);
        assert!(insert(1), "it is made anew");
        assert_eq!(flows.len(), 3);
    }

    #[test]
    fn flows_with_the_same_effects_share_them() {
        let flows = Flows::default();
        let rules: Vec<_> = (0..2).map(|_| Arc::new(pipeline::Counters::default())).collect();
        let effects = |rule: usize| vec![Effect::CountMirror(Arc::clone(&rules[rule]))];
        for (id, rule) in [(1, 0), (2, 0), (3, 1)] {
            flows.insert((WorkerId::Main, Ufid(id)), effects(rule), Vec::new(), at(0), 10);
        }
        let of = |id| flows.with((WorkerId::Main, Ufid(id)), |tracked| Arc::clone(&tracked.effects)).unwrap();
        assert!(Arc::ptr_eq(&of(1), &of(2)));
        assert!(!Arc::ptr_eq(&of(1), &of(3)));
        // Nobody keeps a list that no flow has, longer than for a round.
        drop(
            flows.begin_removal(
                (WorkerId::Main, Ufid(3)),
                flows.with((WorkerId::Main, Ufid(3)), |t| t.number()),
            ),
        );
        flows.end_round();
        assert_eq!(Arc::strong_count(&rules[1]), 1);
    }

    #[test]
    fn one_thread_removes_a_flow() {
        let flows = Flows::default();
        let number = insert(&flows, 0);
        assert!(matches!(flows.begin_removal(ID, Some(number)), Some(Removal::Of(_))));
        assert!(flows.begin_removal(ID, Some(number)).is_none());
        assert!(flows.begin_removal(ID, None).is_none(), "it is remembered until it is gone");
        flows.end_removal(ID, number);
        assert!(matches!(flows.begin_removal(ID, None), Some(Removal::OfUnknown)));
        assert!(flows.begin_removal(ID, Some(number)).is_none(), "it was removed by another thread");
    }

    #[test]
    fn a_flow_that_was_made_anew_stays() {
        let flows = Flows::default();
        let old = insert(&flows, 0);
        let Some(Removal::Of(_)) = flows.begin_removal(ID, Some(old)) else { panic!("it is known") };
        let new = insert(&flows, 1);
        flows.end_removal(ID, old);
        for found in [Some(old), None] {
            assert!(flows.begin_removal(ID, found).is_none());
        }
        assert_eq!(flows.with(ID, |tracked| tracked.number()), Some(new));
    }
}
