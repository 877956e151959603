//! `check_pkt_larger`: the packet's length decides, so the datapath does, or each packet goes up.

use std::sync::Arc;

use dp::SlowPath;
use ofp::{Action, CheckPktLarger};

use crate::commit::commit;
use crate::context::Context;

impl Context<'_> {
    /// Translates `rest`, all that follows, twice: for packets that are larger and for those that are not.
    pub(super) fn check_pkt_larger(&mut self, check: &CheckPktLarger, rest: &[Action]) {
        if !self.walk.bridge.capabilities().check_pkt_len {
            return self.compare_length(check, rest);
        }
        commit(&mut self.packet, &mut self.out);
        let greater = self.one_outcome(check, 1, rest);
        let less_equal = self.one_outcome(check, 0, rest);
        self.out.actions.push(dp::Action::CheckPktLen { size: check.length, greater, less_equal });
    }

    /// Translates `rest` for this packet alone. Where there is no packet, as in a trace, it is taken for a short one.
    fn compare_length(&mut self, check: &CheckPktLarger, rest: &[Action]) {
        let is_larger = self.request.packet.is_some_and(|packet| packet.len() > check.length.into());
        self.out.slow = self.out.slow.with(SlowPath::ACTION);
        check.destination.add_to_mask(&mut self.out.mask);
        check.destination.write(&mut self.packet.key, is_larger.into());
        self.run_actions(rest, true);
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
