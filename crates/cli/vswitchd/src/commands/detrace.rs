//! Which rules and groups a megaflow was made by: `ofproto/detrace`.

use std::fmt::Write;
use std::sync::Arc;

use base::{TableId, Timestamp};
use dp::{Ufid, WorkerId};
use flowsync::Datapaths;
use ofproto::{Bridge, SharedSwitch, Switch};
use pipeline::{BridgeView, Effect, Group, Rule, TableTraffic};

use super::all_rules::Line;
use super::dpctl::worker;

/// `ofproto/detrace UFID [pmd=PMD-ID]`. Without a thread, any that has the flow is meant.
pub(super) fn detrace(
    datapaths: &Datapaths,
    switch: &SharedSwitch,
    now: Timestamp,
    args: &[String],
) -> Result<String, String> {
    let ufid: Ufid = args[0].parse().map_err(|_| "failed to parse ufid".to_owned())?;
    let thread: Option<WorkerId> = match args.get(1) {
        None => None,
        Some(word) => {
            let thread = word.strip_prefix("pmd=").and_then(worker);
            Some(thread.ok_or("Invalid pmd argument format. Expecting 'pmd=PMD-ID'")?)
        }
    };
    datapaths.credit();
    let mut out = String::new();
    for below in datapaths.shared() {
        let threads = match thread {
            Some(one) => vec![one],
            None => below.datapath.worker_stats().into_iter().map(|(worker, _)| worker).collect(),
        };
        match threads.into_iter().find_map(|thread| below.flows.effects_of(thread, ufid)) {
            None => _ = writeln!(out, "UFID was not found for {}", below.full_name()),
            Some(effects) => {
                Listing { switch: &switch.read(), now, last: None, out: &mut out }.write(&effects)
            }
        }
    }
    Ok(out)
}

struct Listing<'a> {
    switch: &'a Switch,
    now: Timestamp,
    /// The bridge that was named last.
    last: Option<&'a str>,
    out: &'a mut String,
}

impl<'a> Listing<'a> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of what a packet meets, rules, tables and groups are listed"
    )]
    fn write(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::CountRule(rule) => self.rule(rule),
                Effect::CountTable { traffic, matched } => self.table(traffic, *matched),
                Effect::CountGroup { group, bucket } => self.group(group, *bucket),
                _ => {}
            }
        }
    }

    /// Names a bridge, unless it was named last.
    fn bridge(&mut self, bridge: &'a Bridge) {
        if self.last != Some(bridge.name()) {
            let _ = writeln!(self.out, "{}", bridge.name());
            self.last = Some(bridge.name());
        }
    }

    fn table(&mut self, traffic: &Arc<TableTraffic>, matched: bool) {
        let of = |bridge: &'a Bridge| Some((bridge, bridge.table_of(traffic)?));
        let Some((bridge, TableId(id))) = self.switch.bridges().find_map(of) else { return };
        self.bridge(bridge);
        if !matched {
            let _ = writeln!(self.out, "  table_id={id}, no match");
        }
    }

    fn rule(&mut self, rule: &Arc<Rule>) {
        let of = |bridge: &'a Bridge| {
            let entry = bridge.table(rule.table)?.find(&rule.matching, rule.priority)?;
            Arc::ptr_eq(&entry.rule, rule).then_some(entry.created)
        };
        // One that is gone meanwhile has no age any more.
        let created = self.switch.bridges().find_map(of).unwrap_or(self.now);
        self.out.push_str("  ");
        Line::of(rule, created).write(self.now, true, self.out);
    }

    fn group(&mut self, group: &Arc<Group>, bucket: Option<usize>) {
        let is_of =
            |bridge: &&'a Bridge| bridge.group(group.id).is_some_and(|known| Arc::ptr_eq(known, group));
        if let Some(bridge) = self.switch.bridges().find(is_of) {
            self.bridge(bridge);
        }
        let mut desc = ofproto::group_desc(group);
        if let Some(one) = bucket {
            desc.buckets = desc.buckets.into_iter().nth(one).into_iter().collect();
        }
        self.out.push_str("  ");
        ofp::put_group_desc(self.out, &desc, ofp::Names::default());
        self.out.push('\n');
    }
}
