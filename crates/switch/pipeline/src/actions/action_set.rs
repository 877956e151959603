//! The action set: what `write_actions` collects and the end of the pipeline runs.

use base::OfPort;
use ofp::{Action, SetPlace};

use crate::context::{Context, Course, List, PacketState};
use crate::trace::{Kind, action_text};

impl Context<'_> {
    pub(super) fn write_actions(&mut self, list: &[Action]) {
        self.packet.add_to_action_set(list);
        self.record_action_set("is");
    }

    pub(super) fn clear_actions(&mut self) {
        self.record_action_set("was");
        self.packet.action_set.clear();
        self.packet.key.set_actset_output(OfPort::UNSET.0);
    }

    fn record_action_set(&mut self, verb: &str) {
        if !self.out.record.is_on() {
            return;
        }
        let list = ordered(&self.packet.action_set);
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
        let list = ordered(&std::mem::take(&mut self.packet.action_set));
        if list.is_empty() {
            return;
        }
        self.course = Course::On;
        let list_before = std::mem::replace(&mut self.walk.list, List::ActionSet);
        self.out.record.open(Kind::Table, || "--. Executing action set:".to_owned());
        self.run_actions(&list, true);
        self.out.record.close();
        self.walk.list = list_before;
    }
}

impl PacketState {
    /// Rules can see where the set sends the packet to, unless it is a group that knows.
    pub(crate) fn add_to_action_set(&mut self, list: &[Action]) {
        let is_group = |action: &Action| matches!(action, Action::Group(_));
        let mut has_group = self.action_set.iter().any(is_group);
        for action in list {
            if is_group(action) {
                has_group = true;
                self.key.set_actset_output(OfPort::UNSET.0);
            } else if let Action::Output(output) = action
                && !has_group
            {
                self.key.set_actset_output(output.port.0);
            }
        }
        self.action_set.extend_from_slice(list);
    }
}

/// The action set as a list, in the order that OpenFlow 1.5.1 §5.6 gives: pop,
/// push, TTL, set, output. Of each kind the one written last counts, but every
/// change of a field does.
pub(super) fn ordered(set: &[Action]) -> Vec<Action> {
    let place = |action: &Action| action.kind().set_place();
    let last = |wanted: SetPlace| set.iter().rev().find(|action| place(action) == wanted).cloned();
    let ends = set.iter().filter_map(|action| match place(action) {
        SetPlace::End(rank) => Some(rank),
        SetPlace::Never | SetPlace::First(_) | SetPlace::Change => None,
    });
    // A packet that the set sends nowhere is dropped, whatever else would be done to it.
    let Some(end) = ends.min().and_then(|rank| last(SetPlace::End(rank))) else { return Vec::new() };
    let firsts: std::collections::BTreeSet<u8> = set
        .iter()
        .filter_map(|action| match place(action) {
            SetPlace::First(rank) => Some(rank),
            SetPlace::Never | SetPlace::Change | SetPlace::End(_) => None,
        })
        .collect();
    let mut list: Vec<Action> = firsts.into_iter().filter_map(|rank| last(SetPlace::First(rank))).collect();
    list.extend(set.iter().filter(|action| place(action) == SetPlace::Change).cloned());
    list.push(end);
    list
}
