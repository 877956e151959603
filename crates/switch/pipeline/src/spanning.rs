//! What spanning tree lets the ports of a bridge do.

use std::sync::atomic::{AtomicU8, Ordering};

use dp::DropReason;
use flow::{DL_TYPE_NONE, slot};

use crate::context::Context;
use crate::state::Port;
use crate::view::BridgeView;

/// The protocol by which a bridge keeps loops out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanningTree {
    /// IEEE 802.1D-1998.
    Stp,
    /// IEEE 802.1D-2004.
    Rstp,
}

/// What a port does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum SpanningState {
    /// Its link is down, or nothing is known of it yet.
    #[default]
    Disabled,
    /// It takes only units of the protocol.
    Blocking,
    /// It waits whether another bridge objects.
    Listening,
    /// It takes neither part, in the rapid protocol's words.
    Discarding,
    /// It learns addresses.
    Learning,
    /// It learns and forwards.
    Forwarding,
}

impl SpanningState {
    const ALL: [SpanningState; 6] = [
        SpanningState::Disabled,
        SpanningState::Blocking,
        SpanningState::Listening,
        SpanningState::Discarding,
        SpanningState::Learning,
        SpanningState::Forwarding,
    ];

    /// Whether frames may come in and leave.
    pub fn forwards(self) -> bool {
        self == SpanningState::Forwarding
    }

    /// Whether addresses are learned from frames.
    pub fn learns(self) -> bool {
        matches!(self, SpanningState::Learning | SpanningState::Forwarding)
    }
}

/// The state of a port, shared by translation and the protocol that decides.
#[derive(Debug, Default)]
pub struct SpanningPort(AtomicU8);

impl SpanningPort {
    /// What the port does now.
    pub fn state(&self) -> SpanningState {
        let state = usize::from(self.0.load(Ordering::Acquire));
        SpanningState::ALL.get(state).copied().unwrap_or_default()
    }

    /// From now on it does this. The bridges' epoch is to be moved afterwards.
    pub fn set_state(&self, state: SpanningState) {
        self.0.store(state as u8, Ordering::Release);
    }
}

impl Port {
    /// Whether spanning tree lets frames in and out.
    pub fn forwards(&self) -> bool {
        self.spanning.as_ref().is_none_or(|port| port.state().forwards())
    }

    /// Whether spanning tree has addresses learned from what comes in.
    pub fn learns(&self) -> bool {
        self.spanning.as_ref().is_none_or(|port| port.state().learns())
    }
}

impl Context<'_> {
    /// Whether the packet is a unit of a spanning tree's protocol.
    pub(crate) fn is_bpdu(&mut self) -> bool {
        if self.packet.key.dl_type() != DL_TYPE_NONE {
            return false;
        }
        self.out.mask.add_all(slot::DL_DST);
        self.packet.key.dl_dst() == wire::stp::DESTINATION
    }

    /// Whether spanning tree keeps the packet from leaving by `port`; notes why.
    pub(crate) fn is_held_back(&mut self, bridge: &dyn BridgeView, port: &Port) -> bool {
        let (Some(kind), Some(state)) =
            (bridge.spanning_tree(), port.spanning.as_ref().map(|port| port.state()))
        else {
            return false;
        };
        if state.forwards() {
            return false;
        }
        let why = if self.is_bpdu() {
            match kind {
                SpanningTree::Stp if state == SpanningState::Blocking => {
                    "STP not in listening state, skipping bpdu output"
                }
                SpanningTree::Stp | SpanningTree::Rstp => return false,
            }
        } else if self.is_for_liveness(port) {
            // The protocols that watch links work below the tree.
            return false;
        } else {
            match kind {
                SpanningTree::Stp => "STP not in forwarding state, skipping output",
                SpanningTree::Rstp => "RSTP not in forwarding state, skipping output",
            }
        };
        self.lost(DropReason::SpanningTree).warning(|| why.to_owned());
        true
    }

    /// Learning was done; the packet goes nowhere, as spanning tree does not let it in.
    pub(crate) fn take_back(&mut self, actions: usize) {
        self.out.actions.truncate(actions);
        self.packet.action_set.clear();
        self.course = crate::context::Course::On;
        self.lost(DropReason::SpanningTree);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_shared_as_it_is() {
        let port = SpanningPort::default();
        assert_eq!(port.state(), SpanningState::Disabled);
        for state in SpanningState::ALL {
            port.set_state(state);
            assert_eq!(port.state(), state);
        }
        assert!(SpanningState::Learning.learns() && !SpanningState::Learning.forwards());
    }
}
