//! `check_pkt_larger`: the packet's length decides, so the datapath does.

use std::sync::Arc;

use ofp::{Action, CheckPktLarger};

use crate::commit::commit;
use crate::context::Context;

impl Context<'_> {
    /// Translates `rest`, all that follows, twice: for packets that are larger and for those that are not.
    pub(super) fn check_pkt_larger(&mut self, check: &CheckPktLarger, rest: &[Action]) {
        commit(&mut self.packet, &mut self.out);
        let greater = self.one_outcome(check, 1, rest);
        let less_equal = self.one_outcome(check, 0, rest);
        self.out.actions.push(dp::Action::CheckPktLen { size: check.length, greater, less_equal });
    }

    fn one_outcome(&mut self, check: &CheckPktLarger, value: u128, rest: &[Action]) -> Arc<[dp::Action]> {
        let kept = self.keep_state();
        let outer = std::mem::take(&mut self.out.actions);
        check.destination.add_to_mask(&mut self.out.mask);
        check.destination.write(&mut self.packet.key, value);
        if !rest.is_empty() {
            self.run_actions(rest, true);
        }
        self.finish_lists();
        self.restore_state(kept);
        std::mem::replace(&mut self.out.actions, outer).into()
    }
}
