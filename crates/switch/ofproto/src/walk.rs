//! Walks through rules that may change meanwhile: a few rules at a time, each rule once.

use std::sync::Arc;

use base::TableId;

use crate::bridge::Bridge;
use crate::entry::Entry;

/// How far a walk through the rules of a bridge, or of one of its tables, has come.
///
/// Rules have their places by their tables and in these by the order in which they were added, and a rule keeps its
/// place as long as it exists. So each rule that is there all the time is visited once, whatever happens between the
/// parts of the walk; one that is added meanwhile may be visited, one that is removed may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The last table, which is the first one, too, of a walk through a single table.
    last: TableId,
    /// The place of the last rule that was visited.
    table: TableId,
    sequence: u64,
    is_done: bool,
}

impl Walk {
    /// Through one table, or [`TableId::ALL`].
    pub fn through(table: TableId) -> Walk {
        let (first, last) = match table {
            TableId::ALL => (TableId(0), TableId::INTERNAL),
            one => (one, one),
        };
        Walk { last, table: first, sequence: 0, is_done: false }
    }

    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether the walk has passed the place of `entry`.
    pub fn has_passed(&self, entry: &Entry) -> bool {
        self.is_done || (entry.rule.table, entry.sequence) <= (self.table, self.sequence)
    }
}

impl Bridge {
    /// Visits the next rules, at most `count`, the switch's own ones too. When there are no more the walk is done.
    pub fn walk(&self, walk: &mut Walk, count: usize, mut visit: impl FnMut(&Arc<Entry>)) {
        let mut left = count;
        loop {
            if let Some(table) = self.table(walk.table) {
                for entry in table.entries_after(walk.sequence).take(left) {
                    walk.sequence = entry.sequence;
                    left -= 1;
                    visit(entry);
                }
                if left == 0 {
                    return;
                }
            }
            if walk.table >= walk.last {
                walk.is_done = true;
                return;
            }
            (walk.table, walk.sequence) = (TableId(walk.table.0 + 1), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Timestamp;
    use ofp::{FlowMod, FlowModCommand};
    use proptest::prelude::*;

    /// A request about the rule of this table and priority.
    fn request(command: FlowModCommand, table: u8, priority: u16) -> FlowMod {
        FlowMod { table, priority, ..FlowMod::new(command) }
    }

    fn change(bridge: &mut Bridge, command: FlowModCommand, (table, priority): (u8, u16)) {
        bridge.flow_mod(&request(command, table, priority), Timestamp::ZERO).unwrap();
    }

    fn names(bridge: &Bridge, walk: &mut Walk, count: usize) -> Vec<(u8, u16)> {
        let mut visited = Vec::new();
        bridge.walk(walk, count, |entry| visited.push((entry.rule.table.0, entry.rule.priority as u16)));
        visited
    }

    fn rule() -> impl Strategy<Value = (u8, u16)> {
        (0u8..3, 0u16..12)
    }

    fn command() -> impl Strategy<Value = FlowModCommand> {
        prop_oneof![
            Just(FlowModCommand::Add),
            Just(FlowModCommand::ModifyStrict),
            Just(FlowModCommand::DeleteStrict)
        ]
    }

    proptest! {
        #[test]
        fn a_rule_that_stays_is_visited_once(
            before in prop::collection::vec(rule(), 0..30),
            steps in prop::collection::vec((1usize..5, prop::collection::vec((command(), rule()), 0..4)), 0..30),
        ) {
            let mut switch = crate::Switch::new();
            let id = switch.add_bridge("br0", dp::DpId(1), dp::Capabilities::ALL);
            let bridge = switch.get_mut(id).unwrap();
            for rule in before {
                change(bridge, FlowModCommand::Add, rule);
            }
            let all = |bridge: &Bridge| names(bridge, &mut Walk::through(TableId::ALL), usize::MAX);
            let mut stayed = all(bridge);
            let mut walk = Walk::through(TableId::ALL);
            let mut visited = Vec::new();
            for (count, changes) in steps {
                visited.extend(names(bridge, &mut walk, count));
                for (command, rule) in changes {
                    change(bridge, command, rule);
                    let now = all(bridge);
                    stayed.retain(|rule| now.contains(rule));
                }
            }
            visited.extend(names(bridge, &mut walk, usize::MAX));
            prop_assert!(walk.is_done());
            for rule in stayed {
                prop_assert_eq!(visited.iter().filter(|other| **other == rule).count(), 1, "{:?}", rule);
            }
        }
    }

    #[test]
    fn a_walk_through_one_table_ends_with_it() {
        let mut switch = crate::Switch::new();
        let id = switch.add_bridge("br0", dp::DpId(1), dp::Capabilities::ALL);
        let bridge = switch.get_mut(id).unwrap();
        for rule in [(0, 1), (1, 2), (1, 1), (2, 5)] {
            change(bridge, FlowModCommand::Add, rule);
        }
        let mut walk = Walk::through(TableId(1));
        assert_eq!(names(bridge, &mut walk, 2), [(1, 2), (1, 1)]);
        assert!(!walk.is_done());
        assert_eq!(names(bridge, &mut walk, 2), []);
        assert!(walk.is_done());
    }
}
