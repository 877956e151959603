//! Flows whose records have not gone yet, in the order in which they began.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::counts::Counts;
use super::shape::Shape;

/// Why a flow's record is sent (`flowEndReason`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndReason {
    /// It has been counted for as long as may be.
    ActiveTimeout = 2,
    /// The export ends.
    Forced = 4,
    /// There is no room for it.
    LackOfResources = 5,
}

/// What tells flows apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FlowName {
    pub domain: u32,
    pub shape: Shape,
    /// As in the record.
    pub key: Vec<u8>,
}

/// What was counted of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flow {
    /// When its first packet was sampled, in microseconds since 1970.
    pub start_us: u64,
    /// The last one.
    pub end_us: u64,
    /// Its own.
    pub counts: Counts,
    /// Of all that was sampled until its last packet.
    pub totals: Counts,
    /// The least and greatest length of its packets over IP; zero of others.
    pub least_length: u64,
    pub greatest_length: u64,
}

/// The flows.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    flows: HashMap<Arc<FlowName>, Flow>,
    order: VecDeque<Arc<FlowName>>,
}

impl Cache {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// Counts a packet. Returns whether the flow is new.
    pub(crate) fn count(&mut self, name: FlowName, packet: Flow) -> bool {
        let Some(flow) = self.flows.get_mut(&name) else {
            let name = Arc::new(name);
            self.order.push_back(Arc::clone(&name));
            self.flows.insert(name, packet);
            return true;
        };
        flow.start_us = flow.start_us.min(packet.start_us);
        flow.end_us = flow.end_us.max(packet.end_us);
        flow.counts.add(&packet.counts);
        flow.totals = packet.totals;
        if flow.least_length == 0 || packet.least_length != 0 && packet.least_length < flow.least_length {
            flow.least_length = packet.least_length;
        }
        flow.greatest_length = flow.greatest_length.max(packet.greatest_length);
        false
    }

    /// Takes out the flow that began first, if `reason` has one for it.
    pub(crate) fn take(
        &mut self,
        reason: impl FnOnce(&Flow, usize) -> Option<EndReason>,
    ) -> Option<(Arc<FlowName>, Flow, EndReason)> {
        let first = self.order.front()?;
        let reason = reason(self.flows.get(first)?, self.flows.len())?;
        let name = self.order.pop_front()?;
        let flow = self.flows.remove(&name)?;
        Some((name, flow, reason))
    }
}
