//! `clone`: what happens inside is not seen behind it.

use flow::FlowKey;
use ofp::Action;

use crate::commit::commit;
use crate::translate::Context;

/// What a list of actions that works on a copy of the packet must leave as it was.
pub(crate) struct Kept {
    key: FlowKey,
    base: FlowKey,
    stack: Vec<u8>,
    action_set: Vec<Action>,
    exit: bool,
    was_mpls: bool,
    conntracked: bool,
}

impl Context<'_> {
    pub(super) fn run_clone(&mut self, list: &[Action], last: bool) {
        if !last {
            commit(self);
        }
        let kept = self.keep_state();
        let outer = std::mem::take(&mut self.actions);
        let in_group = std::mem::take(&mut self.in_group);
        self.run_actions(list, true);
        self.in_group = in_group;
        if self.freeze.is_none() && self.error.is_none() {
            self.run_action_set();
        }
        self.finish_freezing();
        let inner = std::mem::replace(&mut self.actions, outer);
        let base = self.base.clone();
        self.restore_state(kept);
        if !self.append_inner(inner, last) {
            self.base = base;
        }
    }

    /// Appends what was done to a copy of the packet. What only sends the packet
    /// and rewrites it can be undone by rewriting it again, which is cheaper
    /// than a copy. Returns whether it is a copy.
    pub(crate) fn append_inner(&mut self, inner: Vec<dp::Action>, last: bool) -> bool {
        if last || inner.iter().all(is_reversible) {
            self.actions.extend(inner);
            return false;
        }
        self.actions.push(dp::Action::Clone(inner.into()));
        true
    }

    pub(super) fn keep_state(&self) -> Kept {
        Kept {
            key: self.key.clone(),
            base: self.base.clone(),
            stack: self.stack.clone(),
            action_set: self.action_set.clone(),
            exit: self.exit,
            was_mpls: self.was_mpls,
            conntracked: self.conntracked,
        }
    }

    pub(super) fn restore_state(&mut self, kept: Kept) {
        self.key = kept.key;
        self.base = kept.base;
        self.stack = kept.stack;
        self.action_set = kept.action_set;
        self.exit = kept.exit;
        self.was_mpls = kept.was_mpls;
        self.conntracked = kept.conntracked;
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
