//! `clone`: what happens inside is not seen behind it.

use dp::DropReason;
use flow::FlowKey;
use ofp::Action;

use crate::commit::commit;
use crate::context::{Context, Course, PacketState, Walk};

/// Where samples nest deeper than this, they stand in for clones.
const SAMPLES_FOR_CLONES: usize = 3;

/// What a list of actions that works on a copy of the packet must leave as it was.
pub(crate) struct Kept<'a> {
    packet: PacketState,
    base: FlowKey,
    walk: Walk<'a>,
}

impl<'a> Context<'a> {
    pub(super) fn run_clone(&mut self, list: &[Action], last: bool) {
        if !last {
            commit(&mut self.packet, &mut self.out);
        }
        let kept = self.keep_state();
        let outer = std::mem::take(&mut self.out.actions);
        self.walk.list = self.walk.list.outside_buckets();
        self.run_actions(list, true);
        self.finish_lists();
        let inner = std::mem::replace(&mut self.out.actions, outer);
        let base = self.out.base.clone();
        self.restore_state(kept);
        if !self.append_inner(inner, last) {
            self.out.base = base;
        }
    }

    /// Appends what was done to a copy of the packet. What only sends the packet
    /// and rewrites it can be undone by rewriting it again, which is cheaper
    /// than a copy. Returns whether it is a copy, which a datapath without clones makes by a sample of all packets.
    pub(crate) fn append_inner(&mut self, inner: Vec<dp::Action>, last: bool) -> bool {
        if last || inner.iter().all(is_reversible) {
            self.out.actions.extend(inner);
            return false;
        }
        let can = self.walk.bridge.capabilities();
        if can.clone {
            self.out.actions.push(dp::Action::Clone(inner.into()));
        } else if can.sample_nesting > SAMPLES_FOR_CLONES {
            self.out.actions.push(dp::Action::Sample { probability: u32::MAX, actions: inner.into() });
        } else {
            self.lost(DropReason::Pipeline).fault(|| "Failed to compose clone action".to_owned());
        }
        true
    }

    pub(crate) fn keep_state(&self) -> Kept<'a> {
        Kept { packet: self.packet.clone(), base: self.out.base.clone(), walk: self.walk.clone() }
    }

    pub(crate) fn restore_state(&mut self, kept: Kept<'a>) {
        self.packet = kept.packet;
        self.out.base = kept.base;
        self.walk = kept.walk;
        self.course = Course::On;
    }
}

/// Whether the packet is, after this step, as it was but for headers that can be set back.
fn is_reversible(action: &dp::Action) -> bool {
    use dp::Action;
    match action {
        Action::CheckPktLen { greater, less_equal, .. } => {
            greater.iter().chain(less_equal.iter()).all(is_reversible)
        }
        Action::Hash { .. }
        | Action::Ct(_)
        | Action::CtClear
        | Action::Trunc(_)
        | Action::Meter(_)
        | Action::AddMpls { .. }
        | Action::PushEth { .. }
        | Action::PopEth
        | Action::PushNsh { .. }
        | Action::PopNsh
        | Action::TunnelPush(_)
        | Action::TunnelPop(_)
        | Action::DecTtl(_)
        | Action::Drop(_) => false,
        Action::Output(_)
        | Action::LbOutput(_)
        | Action::Userspace(_)
        | Action::Set(_)
        | Action::PushVlan { .. }
        | Action::PopVlan
        | Action::PushMpls { .. }
        | Action::PopMpls { .. }
        | Action::Recirc(_)
        | Action::Sample { .. }
        | Action::Clone(_)
        | Action::Psample { .. } => true,
    }
}
