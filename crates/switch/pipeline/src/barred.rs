//! Packets that spanning tree does not let in or out.

use dp::DropReason;
use flow::{DL_TYPE_NONE, slot};

use crate::context::Context;
use crate::spanning::{SpanningState, SpanningTree};
use crate::state::Port;
use crate::view::BridgeView;

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
