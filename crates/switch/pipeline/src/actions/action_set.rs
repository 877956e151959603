//! The action set: what `write_actions` collects and the end of the pipeline runs.

use base::OfPort;
use ofp::Action;

use crate::trace::Kind;
use crate::translate::{Context, action_text};

impl Context<'_> {
    pub(super) fn write_actions(&mut self, list: &[Action]) {
        self.add_to_action_set(list);
        self.record_action_set("is");
    }

    /// Rules can see where the set sends the packet to, unless it is a group that knows.
    pub(crate) fn add_to_action_set(&mut self, list: &[Action]) {
        let is_group = |action: &Action| matches!(action, Action::Group(_));
        let mut has_group = self.action_set.iter().any(is_group);
        for action in list {
            match action {
                Action::Output(output) if !has_group => self.key.set_actset_output(output.port.0),
                Action::Group(_) => {
                    has_group = true;
                    self.key.set_actset_output(OfPort::UNSET.0);
                }
                _ => {}
            }
        }
        self.action_set.extend_from_slice(list);
    }

    pub(super) fn clear_actions(&mut self) {
        self.record_action_set("was");
        self.action_set.clear();
        self.key.set_actset_output(OfPort::UNSET.0);
    }

    fn record_action_set(&mut self, verb: &str) {
        if !self.record.is_on() {
            return;
        }
        let list = ordered(&self.action_set);
        self.detail(|| {
            if list.is_empty() {
                format!("action set {verb} empty")
            } else {
                format!("action set {verb}: {}", action_text(&list))
            }
        });
    }

    /// Runs the action set at the end of the pipeline.
    pub(crate) fn run_action_set(&mut self) {
        let list = ordered(&std::mem::take(&mut self.action_set));
        if list.is_empty() {
            return;
        }
        self.exit = false;
        self.in_action_set = true;
        self.record.open(Kind::Table, || "--. Executing action set:".to_owned());
        self.run_actions(&list, true);
        self.record.close();
        self.in_action_set = false;
    }
}

/// The action set as a list, in the order that OpenFlow 1.5.1 §5.6 gives: pop,
/// push, TTL, set, output. Of each kind the one written last counts, but every
/// change of a field does.
pub(super) fn ordered(set: &[Action]) -> Vec<Action> {
    type Is = fn(&Action) -> bool;
    const ONE_EACH: [Is; 9] = [
        |a| matches!(a, Action::StripVlan { .. }),
        |a| matches!(a, Action::PopMpls(_)),
        |a| matches!(a, Action::Decap(_)),
        |a| matches!(a, Action::Encap(_)),
        |a| matches!(a, Action::PushMpls(_)),
        |a| matches!(a, Action::PushVlan(_)),
        |a| matches!(a, Action::DecTtl(_)),
        |a| matches!(a, Action::DecMplsTtl),
        |a| matches!(a, Action::DecNshTtl),
    ];
    const ENDS: [Is; 5] = [
        |a| matches!(a, Action::Group(_)),
        |a| matches!(a, Action::Output(_)),
        |a| matches!(a, Action::Resubmit(_)),
        |a| matches!(a, Action::CtClear),
        |a| matches!(a, Action::Ct(_)),
    ];
    let last = |is: Is| set.iter().rev().find(|action| is(action)).cloned();
    // A packet that the set sends nowhere is dropped, whatever else would be done to it.
    let Some(end) = ENDS.into_iter().find_map(last) else { return Vec::new() };
    let mut list: Vec<Action> = ONE_EACH.into_iter().filter_map(last).collect();
    list.extend(set.iter().filter(|action| changes_field(action)).cloned());
    list.push(end);
    list
}

fn changes_field(action: &Action) -> bool {
    matches!(
        action,
        Action::SetField(_)
            | Action::RegMove(_)
            | Action::SetVlanVid(_)
            | Action::SetVlanPcp(_)
            | Action::SetEthSrc(_)
            | Action::SetEthDst(_)
            | Action::SetIpv4Src(_)
            | Action::SetIpv4Dst(_)
            | Action::SetIpDscp(_)
            | Action::SetIpEcn(_)
            | Action::SetIpTtl(_)
            | Action::SetL4Src(_)
            | Action::SetL4Dst(_)
            | Action::SetMplsLabel(_)
            | Action::SetMplsTc(_)
            | Action::SetMplsTtl(_)
            | Action::SetTunnel { .. }
            | Action::SetQueue(_)
    )
}
