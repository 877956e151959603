//! Rounds over the installed flows.

use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use dp::{Flow, FlowGlance, FlowPut, PutMode};

use pipeline::Effect;

use super::FlowSync;
use super::credits::Credits;
use super::tracked::{Removal, Tracked};
use super::upcall::translate;
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

/// What is to become of a flow, by a glance at it.
enum Verdict {
    Keep,
    Remove,
    /// It may be of rules that are gone.
    Compare,
}

/// What a flow is beside a translation of its key by the rules of now.
enum Comparison {
    Right,
    /// It matches too much, or should not be there.
    Wrong,
    /// It matches as it should, but does something else.
    Other(Arc<[dp::Action]>),
}

/// What became of a flow.
enum Outcome {
    Kept,
    Changed,
    Removed,
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
        self.limits.begin_round(self.datapath.stats().flows as usize);
        self.log_dump(now);
        let mut round = Round::default();
        let mut credits = Credits::default();
        self.datapath.flow_glance(&mut |flow| {
            let known = self.credit_one(&flow, now, &mut credits);
            let number = known.map(|(number, _)| number);
            let counter = match self.judge(&flow, known.map(|(_, since)| since), epoch, now, max_idle) {
                Verdict::Keep => &mut round.kept,
                Verdict::Remove => {
                    REMOVED.count();
                    self.remove(&flow, number, now);
                    &mut round.removed
                }
                Verdict::Compare => match self.compare_and_carry_out(&flow, number, epoch, now) {
                    Outcome::Kept => &mut round.kept,
                    Outcome::Changed => &mut round.changed,
                    Outcome::Removed => &mut round.removed,
                },
            };
            *counter += 1;
            if credits.is_large() {
                credits.apply(&*self.network);
            }
        });
        credits.apply(&*self.network);
        // Forgets flows that the datapath does not have: refused by it, or deleted behind our back.
        MISSING.add(self.flows.end_round() as u64);
        self.settled.store(epoch, Ordering::Release);
        self.limits.adapt(self.clock.now() - now, round.kept + round.changed);
        round
    }

    /// Looks one flow through that a packet has matched and that is older than the fence.
    pub(crate) fn recheck(&self, flow: &Flow) {
        let now = self.clock.now();
        // Read before translating, as in a round.
        let epoch = self.network.epoch();
        let glance = FlowGlance::from(flow);
        let mut credits = Credits::default();
        let number = self.credit_one(&glance, now, &mut credits).map(|(number, _)| number);
        credits.apply(&*self.network);
        let verdict = match number {
            Some(_) => self.compare(flow),
            None => Comparison::Wrong,
        };
        self.carry_out(flow, number, verdict, epoch, now);
    }

    /// Fetches the flow, translates its key again, and does what follows from that.
    fn compare_and_carry_out(
        &self,
        flow: &FlowGlance,
        number: Option<u64>,
        epoch: u64,
        now: Timestamp,
    ) -> Outcome {
        match self.datapath.flow_get(flow.ufid, Some(flow.worker)) {
            Some(flow) => self.carry_out(&flow, number, self.compare(&flow), epoch, now),
            // Somebody has removed it meanwhile.
            None => Outcome::Removed,
        }
    }

    fn carry_out(
        &self,
        flow: &Flow,
        number: Option<u64>,
        comparison: Comparison,
        epoch: u64,
        now: Timestamp,
    ) -> Outcome {
        match comparison {
            Comparison::Right => {
                self.datapath.flow_confirm(flow, epoch);
                Outcome::Kept
            }
            Comparison::Wrong => {
                REMOVED.count();
                self.remove(&FlowGlance::from(flow), number, now);
                Outcome::Removed
            }
            Comparison::Other(actions) => {
                CHANGED.count();
                self.change(flow, actions, epoch);
                Outcome::Changed
            }
        }
    }

    /// Writes all flows to the log, where somebody wants to read that.
    fn log_dump(&self, now: Timestamp) {
        if !log::log_enabled!(target: "dpif", log::Level::Debug) {
            return;
        }
        self.datapath.flow_dump(&mut |flow| {
            log::debug!(
                target: "dpif",
                "{}@{}: flow_dump {} {}",
                self.datapath.kind(),
                self.datapath.name(),
                flow.ufid,
                dp::text::format_flow(&flow, now, true, None)
            );
        });
    }

    /// How long an idle flow may stay: less when there are more than allowed.
    fn max_idle(&self) -> Duration {
        self.limits.max_idle_of(self.flow_count())
    }

    fn judge(
        &self,
        flow: &FlowGlance,
        since: Option<Timestamp>,
        epoch: u64,
        now: Timestamp,
        max_idle: Duration,
    ) -> Verdict {
        // Nobody remembers why a flow is there that came at no known time.
        let Some(since) = since else { return Verdict::Remove };
        // The packet that it was installed for is not counted by it.
        if now - flow.stats.used.unwrap_or(since) > max_idle {
            Verdict::Remove
        } else if is_older(flow, epoch) {
            Verdict::Compare
        } else {
            Verdict::Keep
        }
    }

    /// Notes what the flow has forwarded since the last time; the number by which it is remembered, if it is, and since when.
    fn credit_one(
        &self,
        flow: &FlowGlance,
        now: Timestamp,
        credits: &mut Credits,
    ) -> Option<(u64, Timestamp)> {
        self.flows.with((flow.worker, flow.ufid), |tracked| {
            tracked.seen();
            if let Some(credit) = tracked.take_credit(flow.stats, now) {
                credits.add(&tracked.effects, credit);
            }
            (tracked.number(), tracked.since())
        })
    }

    /// Translates the flow's key again and compares.
    fn compare(&self, flow: &Flow) -> Comparison {
        let mut made = None;
        let purpose = pipeline::Purpose::Flow;
        self.network.read(&mut |network| made = translate(network, self.id, &flow.key, None, purpose));
        let Some((_, translation)) = made else { return Comparison::Wrong };
        // A narrower mask than needed only costs hits; a wider one is wrong.
        let is_cached = translation.error.is_none_or(pipeline::Error::may_be_cached);
        // No packet has come that could learn: what a flow for one would do is not known.
        let is_unknown = translation.competes;
        if !is_cached || is_unknown || !flow.mask.covers(&translation.mask) {
            return Comparison::Wrong;
        }
        let actions = if translation.slow.is_empty() {
            translation.actions
        } else {
            vec![super::slow::action(&translation)]
        };
        self.ask_neighbours(&translation.effects, self.clock.now());
        self.flows.replace((flow.worker, flow.ufid), translation.effects, translation.frozen);
        if *flow.actions == *actions { Comparison::Right } else { Comparison::Other(actions.into()) }
    }

    /// Asks for the neighbours that a translation waits for. A flow that drops packets for want of one keeps them from asking.
    pub fn ask_neighbours(&self, effects: &[Effect], now: Timestamp) {
        for effect in effects {
            if let Effect::AskNeighbour(asking) = effect {
                self.ask_neighbour(asking, now);
            }
        }
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
    fn remove(&self, flow: &FlowGlance, number: Option<u64>, now: Timestamp) {
        let id = (flow.worker, flow.ufid);
        let Some(removal) = self.flows.begin_removal(id, number) else { return };
        let last = self.datapath.flow_del(flow.ufid, Some(flow.worker)).ok();
        let due = |tracked: &mut Tracked| {
            let credit = tracked.take_credit(last?, now)?;
            Some((Arc::clone(&tracked.effects), credit))
        };
        let due = match removal {
            Removal::Of(mut tracked) => {
                self.flows.end_removal(id, tracked.number());
                due(&mut tracked)
            }
            // Perhaps it was one that a packet has just made.
            Removal::OfUnknown => self.flows.with(id, due).flatten(),
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
        let mut credits = Credits::default();
        self.datapath.flow_glance(&mut |flow| {
            self.flows.with((flow.worker, flow.ufid), |tracked| {
                if let Some(credit) = tracked.take_credit(flow.stats, now) {
                    credits.add(&tracked.effects, credit);
                }
            });
            if credits.is_large() {
                credits.apply(&*self.network);
            }
        });
        credits.apply(&*self.network);
    }

    /// Removes every flow, after crediting its packets (`revalidator/purge`).
    pub fn purge(&self) {
        let now = self.clock.now();
        let mut flows = Vec::new();
        self.datapath.flow_glance(&mut |flow| flows.push(flow));
        for flow in flows {
            let number = self.flows.with((flow.worker, flow.ufid), |tracked| tracked.number());
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
        let interval = self.limits.interval();
        let due = self.rounds().last.is_none_or(|last| now - last >= interval);
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
        while rounds.done < target && !rounds.ending && !rounds.held {
            rounds = self.wake.wait(rounds).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Runs rounds whenever somebody asks, until [`FlowSync::end`]. The body of the revalidator thread.
    pub fn run(&self) {
        loop {
            let wanted = {
                let mut rounds = self.rounds();
                while (rounds.wanted == rounds.done || rounds.held) && !rounds.ending {
                    rounds = self.wake.wait(rounds).unwrap_or_else(|poisoned| poisoned.into_inner());
                }
                if rounds.ending {
                    self.wake.notify_all();
                    return;
                }
                rounds.last = Some(self.clock.now());
                rounds.running = true;
                rounds.wanted
            };
            self.revalidate();
            {
                let mut rounds = self.rounds();
                rounds.done = wanted;
                rounds.running = false;
            }
            self.wake.notify_all();
        }
    }

    /// No round begins from now on, and when this returns, none is under way (`revalidator/pause`): flows that are idle or
    /// that nobody remembers stay, and nothing is credited. Packets are still forwarded by no rule that is gone.
    pub fn hold(&self) {
        let mut rounds = self.rounds();
        rounds.held = true;
        self.wake.notify_all();
        while rounds.running {
            rounds = self.wake.wait(rounds).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Rounds begin again (`revalidator/resume`).
    pub fn release(&self) {
        self.rounds().held = false;
        self.wake.notify_all();
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
fn is_older(flow: &FlowGlance, epoch: u64) -> bool {
    flow.version.is_some_and(|version| version < epoch)
}
