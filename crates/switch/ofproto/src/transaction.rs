//! Several requests that are carried out together, or not at all: bundles.
//!
//! The caller holds the lock against translation from the first request to the
//! last, so that no packet sees a part of them. A request that cannot be
//! carried out takes back those before it: rules, groups and ports are then
//! what they were, the same entries with the same counters.

use std::sync::Arc;

use base::Timestamp;
use ofp::{GroupMod, OfError, PacketOut, PortMod, port_config, port_state};
use pipeline::{BridgeId, Effect};

use crate::bridge::Bridge;
use crate::entry::Entry;
use crate::flow_mod::Change;
use crate::groups::GroupChange;
use crate::ports::PortNews;
use crate::request::FlowRequest;
use crate::switch::Switch;

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

impl Switch {
    /// Carries out all of `parts`, in their order. `prepare` translates a packet with the bridges as they are by then.
    /// On an error, which comes with the number of the request, nothing has changed.
    pub fn transact<P>(
        &mut self,
        bridge: BridgeId,
        parts: impl Iterator<Item = Part>,
        now: Timestamp,
        prepare: &mut Prepare<'_, P>,
    ) -> Result<Vec<Step<P>>, (usize, OfError)> {
        let mut steps: Vec<Step<P>> = Vec::new();
        for (by, part) in parts.enumerate() {
            match (self.carry_out(bridge, part, now, prepare), steps.last_mut()) {
                // Long bundles are of rules: their changes are kept in one piece.
                (Ok(Done::Rules(changes)), Some(Step { by: first, done: Done::Rules(known) })) => {
                    if known.is_empty() {
                        *first = by;
                    }
                    known.extend(changes);
                }
                (Ok(done), _) => steps.push(Step { by, done }),
                (Err(error), _) => {
                    self.take_back(bridge, steps);
                    return Err((by, error));
                }
            }
        }
        Ok(steps)
    }

    fn carry_out<P>(
        &mut self,
        id: BridgeId,
        part: Part,
        now: Timestamp,
        prepare: &mut Prepare<'_, P>,
    ) -> Result<Done<P>, OfError> {
        // A bridge that is gone has nothing to change, and nobody who asks for it for long.
        let Some(state) = self.get_mut(id) else { return Ok(Done::Rules(Vec::new())) };
        match part {
            Part::Flow(request) => state.flow_mod_of(request, now).map(Done::Rules),
            Part::Group(request) => {
                let change = state.group_mod(&request, now)?;
                Ok(Done::Group(Box::new(change), request))
            }
            Part::Port(request) => {
                state.check_port_mod(&request)?;
                Ok(Done::Port(state.configure_port(&request).map(Box::new)))
            }
            Part::Packet(request) => {
                let (prepared, effects) = prepare(self, &request)?;
                let learned = self.learn_at_once(&effects, now);
                Ok(Done::Packet(Box::new(prepared), learned))
            }
        }
    }

    /// Takes back what [`Switch::transact`] has done, as long as nothing else has changed.
    pub fn take_back<P>(&mut self, id: BridgeId, steps: Vec<Step<P>>) {
        for step in steps.into_iter().rev() {
            if let Done::Packet(_, learned) = step.done {
                for (id, changes) in learned.changes.iter().rev() {
                    if let Some(state) = self.get_mut(*id) {
                        state.undo(changes);
                    }
                }
                for (id, entry) in learned.refreshed.into_iter().rev() {
                    if let Some(state) = self.get_mut(id) {
                        state.table_mut(entry.rule.table).insert(entry);
                    }
                }
                continue;
            }
            let Some(state) = self.get_mut(id) else { continue };
            match step.done {
                Done::Rules(changes) => state.undo(&changes),
                Done::Group(change, _) => state.undo_group(&change),
                Done::Port(news) => {
                    if let Some(old) = news.and_then(|news| news.old) {
                        state.update_port(old.port, |entry| entry.desc = old);
                    }
                }
                Done::Packet(..) => {}
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
