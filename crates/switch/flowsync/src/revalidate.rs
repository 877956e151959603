//! Rounds over the installed flows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use dp::{Flow, FlowPut, PutMode};

use super::tracked::{FlowId, Removal, Tracked};
use super::upcall::translate;
use super::{FlowSync, REVALIDATION_INTERVAL};
use crate::sync::Ordering;

base::coverage!(static ROUNDS = "revalidate_round");
base::coverage!(static CHANGED = "revalidate_flow_changed");
base::coverage!(static REMOVED = "revalidate_flow_removed");
base::coverage!(static MISSING = "revalidate_missing_dp_flow");

/// Up to so many flows, counters are brought up to date whenever somebody asks.
const FEW_FLOWS: usize = 1000;

/// How old counters may be when there are more.
const CREDIT_INTERVAL: Duration = Duration::from_millis(100);

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    pub kept: usize,
    pub changed: usize,
    pub removed: usize,
}

/// What is to become of a flow.
enum Verdict {
    Keep,
    /// The number by which it is remembered, if it is.
    Remove(Option<u64>),
    /// It matches as it should, but does something else.
    Change(Arc<[dp::Action]>),
}

impl FlowSync {
    /// Looks every flow through: removes idle ones and those that match too
    /// much, changes those that do something else than a translation now
    /// would, and credits the packets of all to their rules.
    pub fn revalidate(&self) -> Round {
        ROUNDS.count();
        let now = self.clock.now();
        let epoch = self.network.epoch();
        let max_idle = self.max_idle();
        let mut round = Round::default();
        let mut seen = HashSet::new();
        self.datapath.flow_dump(&mut |flow| {
            self.log_dumped(&flow, now);
            seen.insert((flow.worker, flow.ufid));
            let verdict = self.judge(&flow, epoch, now, max_idle);
            let counter = match verdict {
                Verdict::Keep => &mut round.kept,
                Verdict::Remove(_) => &mut round.removed,
                Verdict::Change(_) => &mut round.changed,
            };
            *counter += 1;
            self.carry_out(&flow, verdict, epoch, now);
        });
        self.forget_missing(&seen);
        self.settled.store(epoch, Ordering::Release);
        round
    }

    /// Looks one flow through that a packet has matched and that is older than the fence.
    pub(crate) fn recheck(&self, flow: &Flow) {
        let now = self.clock.now();
        // Read before translating, as in a round.
        let epoch = self.network.epoch();
        let verdict = match self.credit_one(flow, now) {
            Some(number) => self.compare(flow, number),
            None => Verdict::Remove(None),
        };
        self.carry_out(flow, verdict, epoch, now);
    }

    fn carry_out(&self, flow: &Flow, verdict: Verdict, epoch: u64, now: Timestamp) {
        match verdict {
            Verdict::Keep if is_older(flow, epoch) => {
                self.datapath.flow_confirm(flow, epoch);
            }
            Verdict::Keep => {}
            Verdict::Remove(number) => {
                REMOVED.count();
                self.remove(flow, number, now);
            }
            Verdict::Change(actions) => {
                CHANGED.count();
                self.change(flow, actions, epoch);
            }
        }
    }

    /// Forgets flows that the datapath does not have: refused by it, or deleted behind our back.
    fn forget_missing(&self, seen: &HashSet<FlowId>) {
        MISSING.add(self.flows().forget_missing(seen) as u64);
    }

    fn log_dumped(&self, flow: &Flow, now: Timestamp) {
        if log::log_enabled!(target: "dpif", log::Level::Debug) {
            log::debug!(
                target: "dpif",
                "{}@{}: flow_dump {} {}",
                self.datapath.kind(),
                self.datapath.name(),
                flow.ufid,
                dp::text::format_flow(flow, now, true, None)
            );
        }
    }

    /// How long an idle flow may stay: less when there are more than allowed.
    fn max_idle(&self) -> Duration {
        let idle = Duration::from_millis(self.limits.max_idle_ms.load(Ordering::Relaxed));
        let (count, limit) = (self.flow_count(), self.flow_limit());
        if count > 2 * limit {
            Duration::ZERO
        } else if count > limit {
            idle.min(Duration::from_millis(100))
        } else {
            idle
        }
    }

    fn judge(&self, flow: &Flow, epoch: u64, now: Timestamp, max_idle: Duration) -> Verdict {
        // Nobody remembers why it is there.
        let Some(number) = self.credit_one(flow, now) else { return Verdict::Remove(None) };
        let idle_since = flow.stats.used.unwrap_or(Timestamp::ZERO);
        if flow.stats.used.is_some() && now - idle_since > max_idle {
            return Verdict::Remove(Some(number));
        }
        if is_older(flow, epoch) { self.compare(flow, number) } else { Verdict::Keep }
    }

    /// Credits what the flow has forwarded since the last time; the number by which it is remembered, if it is.
    fn credit_one(&self, flow: &Flow, now: Timestamp) -> Option<u64> {
        let (number, effects, credit) = {
            let mut flows = self.flows();
            let tracked = flows.get_mut((flow.worker, flow.ufid))?;
            let credit = tracked.take_credit(flow.stats, now);
            (tracked.number(), Arc::clone(&tracked.effects), credit)
        };
        if let Some(credit) = credit {
            self.network.read(&mut |network| network.apply(&effects, credit));
        }
        Some(number)
    }

    /// Translates the flow's key again and compares.
    fn compare(&self, flow: &Flow, number: u64) -> Verdict {
        let mut made = None;
        let purpose = pipeline::Purpose::Flow;
        self.network.read(&mut |network| made = translate(network, self.id, &flow.key, purpose));
        let Some((_, translation)) = made else { return Verdict::Remove(Some(number)) };
        // A wider mask than needed only costs hits; a narrower one is wrong.
        let is_cached = translation.error.is_none_or(pipeline::Error::may_be_cached);
        if !is_cached || !flow.mask.covers(&translation.mask) {
            return Verdict::Remove(Some(number));
        }
        let actions = if translation.slow.is_empty() {
            translation.actions
        } else {
            vec![dp::Action::slow_path(translation.slow)]
        };
        if let Some(tracked) = self.flows().get_mut((flow.worker, flow.ufid)) {
            tracked.effects = translation.effects.into();
            tracked._frozen = translation.frozen;
        }
        if *flow.actions == *actions { Verdict::Keep } else { Verdict::Change(actions.into()) }
    }

    fn change(&self, flow: &Flow, actions: Arc<[dp::Action]>, epoch: u64) {
        let put = FlowPut {
            ufid: Some(flow.ufid),
            worker: Some(flow.worker),
            key: (*flow.key).clone(),
            mask: (*flow.mask).clone(),
            actions,
            mode: PutMode::Modify,
            zero_stats: false,
            version: Some(epoch),
        };
        // A flow that went away meanwhile needs no change.
        if self.datapath.flow_put(&put).is_err() {
            log::debug!(target: "ofproto_dpif_upcall", "{} went away while it was changed", flow.ufid);
        }
    }

    /// Removes a flow, which was found to be remembered by this number or not at all, and credits its last packets.
    ///
    /// Of several threads that want to remove it one does, which has what is to be credited. A flow that a packet has made
    /// anew meanwhile stays: it is remembered before it is installed, and would be forgotten for ever.
    fn remove(&self, flow: &Flow, number: Option<u64>, now: Timestamp) {
        let id = (flow.worker, flow.ufid);
        let removal = self.flows().begin_removal(id, number);
        let Some(removal) = removal else { return };
        let last = self.datapath.flow_del(flow.ufid, Some(flow.worker)).ok();
        let due = {
            let mut flows = self.flows();
            let due = |tracked: &mut Tracked| {
                let credit = tracked.take_credit(last?, now)?;
                Some((Arc::clone(&tracked.effects), credit))
            };
            match removal {
                Removal::Of(mut tracked) => {
                    flows.end_removal(id, tracked.number());
                    due(&mut tracked)
                }
                // Perhaps it was one that a packet has just made.
                Removal::OfUnknown => flows.get_mut(id).and_then(due),
            }
        };
        if let Some((effects, credit)) = due {
            self.network.read(&mut |network| network.apply(&effects, credit));
        }
    }

    /// Credits what flows have forwarded since the last round, so that counters are whole.
    ///
    /// It looks at every flow, so who asks again and again is answered with
    /// what was counted a moment ago: counters are never older than
    /// [`CREDIT_INTERVAL`], however many flows there are.
    pub fn credit(&self) {
        let now = self.clock.now();
        if self.flow_count() > FEW_FLOWS {
            let mut rounds = self.rounds();
            if rounds.credited.is_some_and(|last| now - last < CREDIT_INTERVAL) {
                return;
            }
            rounds.credited = Some(now);
        }
        let mut credits = Vec::new();
        self.datapath.flow_dump(&mut |flow| {
            let mut flows = self.flows();
            let Some(tracked) = flows.get_mut((flow.worker, flow.ufid)) else { return };
            if let Some(credit) = tracked.take_credit(flow.stats, now) {
                credits.push((credit, Arc::clone(&tracked.effects)));
            }
        });
        if !credits.is_empty() {
            self.network.read(&mut |network| {
                for (credit, effects) in &credits {
                    network.apply(effects, *credit);
                }
            });
        }
    }

    /// Removes every flow, after crediting its packets (`revalidator/purge`).
    pub fn purge(&self) {
        let now = self.clock.now();
        let mut flows = Vec::new();
        self.datapath.flow_dump(&mut |flow| flows.push(flow));
        for flow in flows {
            let number = self.flows().get_mut((flow.worker, flow.ufid)).map(|tracked| tracked.number());
            self.remove(&flow, number, now);
        }
    }

    /// Asks for a round, without waiting for it.
    pub fn poke(&self) {
        self.rounds().wanted += 1;
        self.wake.notify_all();
    }

    /// Asks for a round if the bridges changed or the last one is too long ago.
    pub fn tick(&self) {
        let now = self.clock.now();
        let changed = self.is_unsettled();
        let due = self.rounds().last.is_none_or(|last| now - last >= REVALIDATION_INTERVAL);
        if changed || due {
            self.poke();
        }
    }

    /// Whether installed flows may do otherwise than a translation now would. Where none is installed, no thread has to
    /// be woken to find that out: controllers fill bridges with rules before there is traffic.
    fn is_unsettled(&self) -> bool {
        let epoch = self.network.epoch();
        if epoch == self.settled.load(Ordering::Acquire) {
            return false;
        }
        let is_empty = self.flow_count() == 0;
        if is_empty {
            self.settled.store(epoch, Ordering::Release);
        }
        !is_empty
    }

    /// Waits until a round that begins after now has ended (`revalidator/wait`).
    pub fn wait_round(&self) {
        let mut rounds = self.rounds();
        rounds.wanted += 1;
        let target = rounds.wanted;
        self.wake.notify_all();
        while rounds.done < target && !rounds.ending {
            rounds = self.wake.wait(rounds).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Runs rounds whenever somebody asks, until [`FlowSync::end`]. The body of the revalidator thread.
    pub fn run(&self) {
        loop {
            let wanted = {
                let mut rounds = self.rounds();
                while rounds.wanted == rounds.done && !rounds.ending {
                    rounds = self.wake.wait(rounds).unwrap_or_else(|poisoned| poisoned.into_inner());
                }
                if rounds.ending {
                    self.wake.notify_all();
                    return;
                }
                rounds.last = Some(self.clock.now());
                rounds.wanted
            };
            self.revalidate();
            self.rounds().done = wanted;
            self.wake.notify_all();
        }
    }

    /// Ends [`FlowSync::run`]; misses are served on.
    pub fn pause(&self) {
        self.rounds().ending = true;
        self.wake.notify_all();
    }

    /// Ends [`FlowSync::run`] and stops serving misses.
    pub fn end(&self) {
        self.pause();
        self.datapath.set_upcall(None);
    }
}

/// Whether the flow is known to be right by rules from before `epoch` alone.
fn is_older(flow: &Flow, epoch: u64) -> bool {
    flow.version.is_some_and(|version| version < epoch)
}
