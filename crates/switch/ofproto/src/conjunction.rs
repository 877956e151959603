//! Conjunctive matches: what a packet matches when rules are parts of one match.
//!
//! A rule whose actions are `conjunction(ID, K/N)` is part K of the
//! conjunction ID. A packet that matches a rule of each of its N parts, all of
//! one priority, is looked up again with `conj_id` set to ID, and the rule that
//! then matches has it. So N sets of addresses take as many rules as they have
//! members, instead of their product.

use std::cmp::Reverse;
use std::sync::Arc;

use classifier::Classifier;
use flow::{FlowKey, FlowMask};
use ofp::Action;
use pipeline::Rule;

use crate::entry::Entry;

/// The rule that a packet matches by way of a conjunction, or though there was one.
pub(crate) struct Found<'a> {
    pub(crate) entry: &'a Arc<Entry>,
    /// The rules that are the parts of the conjunction; none when the rule is no conjunction's.
    pub(crate) parts: Vec<&'a Arc<Entry>>,
}

/// Whether the rule is a part of conjunctions, and nothing else.
pub(crate) fn is_part(rule: &Rule) -> bool {
    // With such an action there are only others of its kind, and notes.
    matches!(
        rule.actions.iter().find(|action| !matches!(action, Action::Note(_))),
        Some(Action::Conjunction(_))
    )
}

/// Looks a packet up in a table where the first rule that matches is a part of a conjunction; `seen` as in
/// [`crate::Table::lookup`].
pub(crate) fn lookup<'a>(
    rules: &'a Classifier<Arc<Entry>>,
    key: &FlowKey,
    mask: &mut FlowMask,
    seen: Option<u64>,
) -> Option<Found<'a>> {
    let is_there = |entry: &Arc<Entry>| seen.is_none_or(|seen| entry.is_of(seen));
    let mut all = rules.matches(key, Some(mask));
    all.retain(|entry| is_there(entry));
    all.sort_by_key(|entry| Reverse(entry.rule.priority));
    for group in all.chunk_by(|a, b| a.rule.priority == b.rule.priority) {
        // A whole match goes before parts of its priority.
        if let Some(entry) = group.iter().find(|entry| !is_part(&entry.rule)) {
            return Some(Found { entry, parts: Vec::new() });
        }
        for id in complete(group) {
            let mut whole = key.clone();
            whole.set_conj_id(id);
            let found =
                rules.lookup_where(&whole, Some(mask), |entry| !is_part(&entry.rule) && is_there(entry));
            if let Some(entry) = found {
                let parts = group.iter().copied().filter(|part| is_part_of(&part.rule, id)).collect();
                return Some(Found { entry, parts });
            }
        }
    }
    None
}

fn is_part_of(rule: &Rule, id: u32) -> bool {
    rule.actions.iter().any(|action| matches!(action, Action::Conjunction(part) if part.id == id))
}

/// The conjunctions all of whose parts are there, in the order in which that is seen.
fn complete(parts: &[&Arc<Entry>]) -> Vec<u32> {
    // By id and number of parts: the parts that were seen, by bit.
    let mut seen: Vec<((u32, u8), u64)> = Vec::new();
    let mut whole = Vec::new();
    for action in parts.iter().flat_map(|part| part.rule.actions.iter()) {
        let Action::Conjunction(part) = action else { continue };
        let name = (part.id, part.n_clauses);
        let at = seen.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            seen.push((name, 0));
            seen.len() - 1
        });
        seen[at].1 |= 1 << (part.clause & 63);
        if seen[at].1.count_ones() == u32::from(part.n_clauses) && !whole.contains(&part.id) {
            whole.push(part.id);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use base::{TableId, Timestamp};
    use ofp::{FlowModCommand, FlowTextKind, Names};

    use super::*;
    use crate::Table;

    fn entry_of(text: &str, sequence: u64) -> Arc<Entry> {
        let kind = FlowTextKind::Mod(FlowModCommand::Add);
        let (fm, _) = ofp::parse_flow_mod(text, kind, Names::default()).unwrap();
        let rule = Rule {
            table: TableId(0),
            priority: fm.priority.into(),
            matching: (&fm.m).into(),
            cookie: fm.new_cookie,
            actions: fm.actions.into(),
            counters: Arc::default(),
        };
        Arc::new(Entry {
            rule: Arc::new(rule),
            flags: fm.flags,
            idle_timeout: 0,
            hard_timeout: 0,
            importance: 0,
            created: Timestamp::ZERO,
            modified: Timestamp::ZERO,
            idle_since: Timestamp::ZERO,
            sequence,
            added_at: sequence,
            changed_at: sequence,
            leaving: Default::default(),
        })
    }

    /// What the table says of a packet from `source` to `destination`, by the cookie of its rule.
    fn found(rules: &[&str], packet: &str) -> Option<u64> {
        let mut table = Table::new(TableId(0), Arc::default());
        for (sequence, text) in (1..).zip(rules) {
            table.insert(entry_of(text, sequence));
        }
        let (packet, _) = fields::Match::parse(packet, None).unwrap();
        let mut mask = FlowMask::default();
        table.lookup(&packet.key, &mut mask, None).map(|entry| entry.rule.cookie)
    }

    const RULES: &[&str] = &[
        "cookie=1,conj_id=1,actions=1",
        "cookie=3,conj_id=3,actions=3",
        "priority=5,ip,nw_src=10.0.0.1,actions=conjunction(1,1/2)",
        "priority=5,ip,nw_dst=10.0.0.2,actions=conjunction(1,2/2),conjunction(9,1/3)",
        "cookie=2,priority=4,ip,nw_src=10.0.0.3,nw_dst=10.0.0.2,actions=2",
        "priority=3,ip,nw_src=10.0.0.1,actions=conjunction(3,1/2)",
        "priority=3,ip,nw_dst=10.0.0.4,actions=note:01,conjunction(3,2/2)",
        "cookie=6,priority=0,actions=6",
    ];

    #[test]
    fn a_packet_that_matches_every_part_has_the_conjunction() {
        assert_eq!(found(RULES, "ip,nw_src=10.0.0.1,nw_dst=10.0.0.2"), Some(1));
    }

    #[test]
    fn a_packet_that_matches_some_parts_falls_back_to_what_is_lower() {
        assert_eq!(found(RULES, "ip,nw_src=10.0.0.3,nw_dst=10.0.0.2"), Some(2));
        assert_eq!(found(RULES, "ip,nw_src=10.0.0.1,nw_dst=10.0.0.4"), Some(3));
        assert_eq!(found(RULES, "ip,nw_src=10.0.0.1,nw_dst=10.0.0.9"), Some(6));
    }

    #[test]
    fn without_a_rule_for_it_a_conjunction_is_none() {
        assert_eq!(found(&RULES[2..4], "ip,nw_src=10.0.0.1,nw_dst=10.0.0.2"), None);
    }
}
