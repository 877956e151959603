//! Changes of many rules, and several requests that are carried out together or not at all: bundles.
//!
//! A change is made in steps. The lock against translation is held for one step, which is about some rules, and the change
//! comes into force at once when all steps are made ([`crate::steps`]): no packet sees a part of it, and none waits for
//! more than a step. A request that cannot be carried out takes back those before it: rules, groups and ports are then
//! what they were, the same entries with the same counters.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::Timestamp;
use ofp::{
    FlowMod, FlowRemovedReason, GroupCommand, GroupMod, MeterCommand, MeterMod, OfError, PacketOut, PortMod,
    port_config, port_state,
};
use pipeline::{BridgeId, Effect};

use crate::bridge::Bridge;
use crate::entry::{Criteria, Entry};
use crate::flow_mod::Change;
use crate::groups::GroupChange;
use crate::meters::MeterChange;
use crate::ports::PortNews;
use crate::request::FlowRequest;
use crate::switch::{SharedSwitch, Switch, Turn};
use crate::table::{Debris, MANY};

/// One of the requests.
#[derive(Clone, Debug)]
pub enum Part {
    Flow(FlowRequest),
    Group(Box<GroupMod>),
    Port(PortMod),
    Packet(Box<PacketOut>),
}

/// What a request has done, in enough detail to take it back. `P` is what the caller has made of a packet.
#[derive(Debug)]
pub enum Done<P> {
    Rules(Vec<Change>),
    Group(Box<GroupChange>, Box<GroupMod>),
    /// What is to be said of a port that is configured otherwise.
    Port(Option<Box<PortNews>>),
    Packet(Box<P>, Learned),
}

/// What one request has done, or several about rules that follow one another.
#[derive(Debug)]
pub struct Step<P> {
    /// The number of the request; of several the first that has changed something.
    pub by: usize,
    pub done: Done<P>,
}

/// The rules that a packet has taught.
#[derive(Debug, Default)]
pub struct Learned {
    pub changes: Vec<(BridgeId, Vec<Change>)>,
    /// Rules that it has taught again, as they were.
    refreshed: Vec<(BridgeId, Arc<Entry>)>,
}

/// What a packet-out does: the caller's own, and the effects that are rules to learn.
pub type Prepare<'a, P> = dyn FnMut(&Switch, &PacketOut) -> Result<(P, Vec<Effect>), OfError> + 'a;

/// A change that is being made; packets see nothing of it before it ends. It comes into force when this is dropped, unless
/// all was taken back.
#[derive(Debug)]
pub struct Transaction<'a> {
    shared: &'a SharedSwitch,
    bridge: BridgeId,
    _turn: Turn<'a>,
}

/// How many rules are changed in one step, and requests carried out.
const STEP: usize = if cfg!(test) { 3 } else { 32 };

/// So many rules that a change removes are left to whoever has the next turn: nobody waits until they are let go of.
const LITTER: usize = if cfg!(test) { 5 } else { MANY };

impl SharedSwitch {
    /// Begins a change of a bridge. Nobody else changes anything until it ends.
    pub fn begin(&self, bridge: BridgeId) -> Transaction<'_> {
        let turn = self.turn();
        // A packet of the change may teach other bridges.
        self.step().bridges_mut().for_each(Bridge::stage);
        Transaction { shared: self, bridge, _turn: turn }
    }

    /// Carries out a request about rules. On an error nothing has changed.
    pub fn flow_mod(
        &self,
        bridge: BridgeId,
        request: &FlowMod,
        now: Timestamp,
    ) -> Result<Vec<Change>, OfError> {
        let turn = self.turn();
        if !request.command.is_loose() {
            let mut switch = self.step();
            let state = switch.get_mut(bridge);
            return state.map_or(Ok(Vec::new()), |state| state.flow_mod(request, now));
        }
        let request = {
            let switch = self.read();
            let Some(state) = switch.get(bridge) else { return Ok(Vec::new()) };
            state.flow_request(request)
        };
        if let Some(changes) = self.clear_tables(bridge, &request) {
            return Ok(changes);
        }
        drop(turn);
        self.begin(bridge).loose_flow_mod(request, now)
    }

    /// Carries out a request that deletes all rules of tables, where nothing else goes with these.
    fn clear_tables(&self, bridge: BridgeId, request: &FlowRequest) -> Option<Vec<Change>> {
        let criteria = request.criteria().ok().filter(Criteria::is_all_of_tables)?;
        if !request.command.is_delete() {
            return None;
        }
        let mut debris = {
            let mut switch = self.step();
            let state = switch.get_mut(bridge).filter(|state| !state.has_taught)?;
            state.clear_tables(criteria.table)
        };
        let mut changes = Vec::with_capacity(debris.iter().map(Debris::len).sum());
        for table in &mut debris {
            let gone = table.take_rules();
            changes.extend(gone.map(|entry| Change::removal(entry, FlowRemovedReason::Delete)));
        }
        if let Some(state) = self.step().get_mut(bridge) {
            state.debris.append(&mut debris);
        }
        Some(changes)
    }

    /// Removes those of the rules that are still there and whose time is still over.
    pub fn remove_expired(&self, bridge: BridgeId, rules: &[Arc<Entry>], now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for some in rules.chunks(STEP) {
            // Each rule has a time of its own: they need not go together.
            let _turn = self.turn();
            if let Some(state) = self.step().get_mut(bridge) {
                changes.extend(state.remove_expired(some, now));
            }
        }
        changes
    }

    /// Carries out a request about a group. On an error nothing has changed.
    pub fn group_mod(
        &self,
        bridge: BridgeId,
        request: &GroupMod,
        now: Timestamp,
    ) -> Result<GroupChange, OfError> {
        if request.command == GroupCommand::Delete {
            return Ok(self.begin(bridge).delete_groups(request.group));
        }
        let mut switch = self.write();
        switch.get_mut(bridge).map_or(Ok(GroupChange::default()), |state| state.group_mod(request, now))
    }

    /// Carries out a request about a meter. On an error nothing has changed.
    pub fn meter_mod(
        &self,
        bridge: BridgeId,
        request: &MeterMod,
        now: Timestamp,
    ) -> Result<MeterChange, OfError> {
        let mut rules = Vec::new();
        if request.command == MeterCommand::Delete {
            // The rules that name a meter go first: none names one that is not there.
            let mut change = self.begin(bridge);
            let users = change.look(|state| state.users_of_meters(request.config.meter));
            rules = change.remove(users, FlowRemovedReason::MeterDelete);
        }
        let mut switch = self.write();
        let Some((state, numbers)) = switch.get_with_meters(bridge) else {
            return Ok(MeterChange::default());
        };
        let mut change = state.meter_mod(request, numbers, now)?;
        rules.append(&mut change.rules);
        Ok(MeterChange { rules, ..change })
    }
}

impl Transaction<'_> {
    /// Looks at the bridge as it is with all that has changed. Packets are translated meanwhile.
    pub fn look<R: Default>(&self, look: impl FnOnce(&Bridge) -> R) -> R {
        self.shared.read().get(self.bridge).map(look).unwrap_or_default()
    }

    /// One step. A bridge that is gone has nothing to change, and nobody who asks for it for long.
    fn step<R: Default>(&self, step: impl FnOnce(&mut Bridge) -> R) -> R {
        self.shared.step().get_mut(self.bridge).map(step).unwrap_or_default()
    }

    /// Carries out one request after the other; each comes with what the caller wants to have back with an error. `prepare`
    /// translates a packet with the bridges as they are by then. On an error, which comes with the number of the request,
    /// nothing has changed.
    pub fn carry_out<H, P>(
        &mut self,
        parts: impl Iterator<Item = (H, Part)>,
        now: Timestamp,
        prepare: &mut Prepare<'_, P>,
    ) -> Result<Vec<Step<P>>, (H, usize, OfError)> {
        let mut parts = parts.enumerate();
        let mut steps: Vec<Step<P>> = Vec::new();
        let mut small = Vec::with_capacity(STEP);
        loop {
            // The caller's iterator may take its time, so it is asked without the lock.
            let mut large = None;
            for (by, (head, part)) in parts.by_ref().take(STEP) {
                if part.is_large() {
                    large = Some((by, head, part));
                    break;
                }
                small.push((by, head, part));
            }
            if small.is_empty() && large.is_none() {
                return Ok(steps);
            }
            let mut carried_out = self.carry_out_small(&mut small, now, prepare, &mut steps);
            if let (Ok(()), Some((by, head, part))) = (&carried_out, large) {
                carried_out = match self.carry_out_large(part, now) {
                    Ok(done) => {
                        steps.push(Step { by, done });
                        Ok(())
                    }
                    Err(error) => Err((head, by, error)),
                };
            }
            if let Err(failed) = carried_out {
                self.take_back(steps);
                return Err(failed);
            }
        }
    }

    /// Carries out requests that are about one rule each, in one step.
    fn carry_out_small<H, P>(
        &self,
        parts: &mut Vec<(usize, H, Part)>,
        now: Timestamp,
        prepare: &mut Prepare<'_, P>,
        steps: &mut Vec<Step<P>>,
    ) -> Result<(), (H, usize, OfError)> {
        if parts.is_empty() {
            return Ok(());
        }
        let mut switch = self.shared.step();
        for (by, head, part) in parts.drain(..) {
            if let Err(error) = switch.carry_out(self.bridge, by, part, now, prepare, steps) {
                return Err((head, by, error));
            }
        }
        Ok(())
    }

    fn carry_out_large<P>(&mut self, part: Part, now: Timestamp) -> Result<Done<P>, OfError> {
        match part {
            Part::Flow(request) => self.loose_flow_mod(request, now).map(Done::Rules),
            Part::Group(request) => Ok(Done::Group(Box::new(self.delete_groups(request.group)), request)),
            Part::Port(_) | Part::Packet(_) => {
                base::broken!("a request about a port or a packet was taken for one about many rules");
                Err(OfError::OfpbrcBadType)
            }
        }
    }

    /// Carries out a request to modify or to delete whatever is within its match.
    fn loose_flow_mod(&mut self, request: FlowRequest, now: Timestamp) -> Result<Vec<Change>, OfError> {
        let is_delete = request.command.is_delete();
        if !is_delete {
            let checked = self.look(|state| Some(state.check_references(&request.actions)));
            checked.unwrap_or(Ok(()))?;
        }
        let criteria = match request.criteria() {
            Ok(criteria) => criteria,
            // A table that cannot exist has no rules to delete.
            Err(_) if is_delete => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let found = self.look(|state| state.select(&criteria));
        if is_delete {
            return Ok(self.remove(found, FlowRemovedReason::Delete));
        }
        if found.is_empty() {
            return self.step(|state| Some(state.modify_nothing(request, now))).unwrap_or(Ok(Vec::new()));
        }
        let changed_at = self.step(Bridge::next_revision);
        Ok(self.in_steps(found, |state, some| state.modify_entries(some, &request, changed_at, now)))
    }

    fn remove(&mut self, rules: Vec<Arc<Entry>>, reason: FlowRemovedReason) -> Vec<Change> {
        self.in_steps(rules, |state, some| state.remove_only(some, reason))
    }

    /// Changes some of the rules in each step. What they taught is forgotten afterwards.
    fn in_steps(
        &mut self,
        rules: Vec<Arc<Entry>>,
        change: impl Fn(&mut Bridge, &mut dyn Iterator<Item = Arc<Entry>>) -> Vec<Change>,
    ) -> Vec<Change> {
        let mut changes = Vec::with_capacity(rules.len());
        let mut rules = rules.into_iter().peekable();
        while rules.peek().is_some() {
            let mut some = rules.by_ref().take(STEP);
            changes.extend(self.step(|state| change(state, &mut some)));
        }
        if !changes.is_empty() {
            self.step(|state| state.forget_learned(&mut changes, 0));
            self.step(|state| state.changed());
        }
        changes
    }

    fn delete_groups(&mut self, which: u32) -> GroupChange {
        let users = self.look(|state| state.users_of_groups(which));
        let mut change = self.step(|state| state.remove_groups(which));
        change.rules = self.remove(users, FlowRemovedReason::GroupDelete);
        change
    }

    /// Takes back what [`Transaction::carry_out`] has done.
    pub fn take_back<P>(&mut self, steps: Vec<Step<P>>) {
        for step in steps.into_iter().rev() {
            match step.done {
                Done::Rules(changes) => self.undo(&changes),
                Done::Group(change, _) => {
                    self.undo(&change.rules);
                    self.step(|state| state.undo_group(&change));
                }
                Done::Port(news) => {
                    if let Some(old) = news.and_then(|news| news.old) {
                        self.step(|state| state.update_port(old.port, |entry| entry.desc = old));
                    }
                }
                Done::Packet(_, learned) => self.shared.step().unlearn(learned),
            }
        }
        self.shared.step().bridges_mut().for_each(Bridge::nothing_changed);
    }

    fn undo(&self, changes: &[Change]) {
        for some in changes.rchunks(STEP) {
            self.step(|state| state.undo(some));
        }
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        let gone: usize = {
            let mut switch = self.shared.step();
            switch.bridges_mut().for_each(Bridge::show);
            switch.bridges().map(Bridge::gone_count).sum()
        };
        self.shared.leave_litter();
        if gone < LITTER {
            self.shared.sweep();
        }
    }
}

impl SharedSwitch {
    /// Lets go of what changes have left behind, by who has the turn.
    pub(crate) fn sweep(&self) {
        if !self.take_litter() {
            return;
        }
        let sweep = || {
            let mut switch = self.step();
            switch.bridges_mut().any(|bridge| bridge.sweep(STEP))
        };
        while sweep() {}
    }

    /// Something is left to [`SharedSwitch::sweep`].
    fn leave_litter(&self) {
        self.has_litter.store(true, Ordering::Relaxed);
    }

    /// Whether something is left to be swept, which the caller does.
    fn take_litter(&self) -> bool {
        // Only who has the turn looks and changes it.
        self.has_litter.load(Ordering::Relaxed) && self.has_litter.swap(false, Ordering::Relaxed)
    }
}

impl Part {
    /// Whether it may be about many rules.
    fn is_large(&self) -> bool {
        match self {
            Part::Flow(request) => request.command.is_loose(),
            Part::Group(request) => request.command == GroupCommand::Delete,
            Part::Port(_) | Part::Packet(_) => false,
        }
    }
}

impl Switch {
    /// Carries out the request of the number `by`, and adds what it has done to `steps`.
    fn carry_out<P>(
        &mut self,
        id: BridgeId,
        by: usize,
        part: Part,
        now: Timestamp,
        prepare: &mut Prepare<'_, P>,
        steps: &mut Vec<Step<P>>,
    ) -> Result<(), OfError> {
        // A bridge that is gone has nothing to change, and nobody who asks for it for long.
        let Some(state) = self.get_mut(id) else { return Ok(()) };
        let done = match part {
            Part::Flow(request) => {
                // Long bundles are of rules: their changes are kept in one piece.
                if let Some(Step { by: first, done: Done::Rules(changes) }) = steps.last_mut() {
                    if changes.is_empty() {
                        *first = by;
                    }
                    return state.carry_out(request, now, changes);
                }
                let mut changes = Vec::new();
                state.carry_out(request, now, &mut changes)?;
                Done::Rules(changes)
            }
            Part::Group(request) => {
                let change = state.group_mod(&request, now)?;
                Done::Group(Box::new(change), request)
            }
            Part::Port(request) => {
                state.check_port_mod(&request)?;
                Done::Port(state.configure_port(&request).map(Box::new))
            }
            Part::Packet(request) => {
                self.bridges_mut().for_each(|bridge| bridge.show_for_now(true));
                let prepared = prepare(self, &request);
                self.bridges_mut().for_each(|bridge| bridge.show_for_now(false));
                let (prepared, effects) = prepared?;
                let learned = self.learn_at_once(&effects, now);
                Done::Packet(Box::new(prepared), learned)
            }
        };
        steps.push(Step { by, done });
        Ok(())
    }

    fn unlearn(&mut self, learned: Learned) {
        for (id, changes) in learned.changes.iter().rev() {
            if let Some(state) = self.get_mut(*id) {
                state.undo(changes);
            }
        }
        for (id, entry) in learned.refreshed.into_iter().rev() {
            if let Some(state) = self.get_mut(id) {
                let now = state.find_at(&entry).cloned();
                // One that was taught again in the same moment was left as it was.
                if now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, &entry)) {
                    state.put_back(now.as_ref(), Some(&entry));
                }
            }
        }
    }

    fn learn_at_once(&mut self, effects: &[Effect], now: Timestamp) -> Learned {
        let mut learned = Learned::default();
        for effect in effects {
            let Effect::LearnRule { bridge, rule, limit } = effect else { continue };
            let Some(state) = self.get_mut(*bridge) else { continue };
            learned.refreshed.extend(state.find_same(rule).map(|entry| (*bridge, Arc::clone(entry))));
            let changes = state.learn(rule, *limit, now);
            if !changes.is_empty() {
                learned.changes.push((*bridge, changes));
            }
        }
        learned
    }
}

impl Bridge {
    /// Whether a port-mod is about a port as it is.
    pub fn check_port_mod(&self, request: &PortMod) -> Result<(), OfError> {
        let entry = self.port_entry(request.port).ok_or(OfError::OfppmfcBadPort)?;
        if entry.desc.hw_addr == request.hw_addr { Ok(()) } else { Err(OfError::OfppmfcBadHwAddr) }
    }

    /// Sets the bits of the request's mask in a port's configuration. Its device is the caller's to set.
    pub fn configure_port(&mut self, request: &PortMod) -> Option<PortNews> {
        self.update_port(request.port, |entry| {
            entry.desc.config ^= (entry.desc.config ^ request.config) & request.mask;
            if entry.desc.config & port_config::PORT_DOWN != 0 {
                entry.desc.state &= !port_state::LIVE;
            }
        })
    }
}

#[cfg(test)]
mod tests;
