//! What is remembered of each installed megaflow beside what the datapath has.

use std::collections::HashMap;
use std::sync::Arc;

use base::Timestamp;
use dp::{FlowStats, Ufid, WorkerId};
use pipeline::{Credit, Effect, FrozenId};

/// One megaflow.
#[derive(Debug)]
pub(crate) struct Tracked {
    /// What every further packet of it is to be credited to.
    pub effects: Arc<[Effect]>,
    /// Kept alive for the actions that refer to them.
    pub _frozen: Vec<Arc<FrozenId>>,
    /// The epoch of the bridges when it was translated.
    pub epoch: u64,
    /// What was credited so far, for each worker that has the flow.
    pub credited: Vec<(WorkerId, FlowStats)>,
}

/// All megaflows by id.
pub(crate) type Flows = HashMap<Ufid, Tracked>;

impl Tracked {
    /// What is to be credited since the last time, if anything; afterwards `stats` is credited.
    pub(crate) fn take_credit(
        &mut self,
        worker: WorkerId,
        stats: FlowStats,
        now: Timestamp,
    ) -> Option<Credit> {
        let (packets, bytes) = self.take_delta(worker, stats);
        let used = stats.used.unwrap_or(now);
        (packets > 0).then_some(Credit { packets, bytes, tcp_flags: stats.tcp_flags, used })
    }

    fn take_delta(&mut self, worker: WorkerId, stats: FlowStats) -> (u64, u64) {
        let before = match self.credited.iter_mut().find(|(w, _)| *w == worker) {
            Some((_, known)) => std::mem::replace(known, stats),
            None => {
                self.credited.push((worker, stats));
                FlowStats::default()
            }
        };
        // Counters that fell belong to a flow that was removed and made anew.
        if stats.packets < before.packets {
            return (stats.packets, stats.bytes);
        }
        (stats.packets - before.packets, stats.bytes.saturating_sub(before.bytes))
    }
}
