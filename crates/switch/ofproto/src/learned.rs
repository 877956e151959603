//! Rules that packets taught: `learn`, and what goes with the rules that taught them.

use std::sync::Arc;

use base::{TableId, Timestamp};
use ofp::{FlowMod, FlowRemovedReason};
use pipeline::Rule;

use crate::bridge::Bridge;
use crate::entry::Entry;
use crate::flow_mod::Change;
use crate::lessons::{Lesson, lessons};

impl Bridge {
    /// Adds a learned rule, or notes that it was learned again at `used`.
    pub(crate) fn learn(&mut self, request: &FlowMod, limit: u32, used: Timestamp) -> Vec<Change> {
        if let Some(entry) = self.find_same(request).cloned() {
            // The rule says the same as before; no packet is translated otherwise.
            if used > entry.modified {
                let refreshed = Entry { modified: used, ..Entry::clone(&entry) };
                self.put_rule(Arc::new(refreshed), Some(&entry));
            }
            return Vec::new();
        }
        if self.has_newer(request, used) {
            return Vec::new();
        }
        if !self.admits_learned(request, limit) {
            log::info!(target: base::bounded!("ofproto"), "Learn limit for flow {} reached.", request.new_cookie);
            return Vec::new();
        }
        let mut changes = Vec::new();
        match self.carry_out_silently(self.flow_request(request), used, &mut changes) {
            Ok(()) => {
                // Rules that packets teach come into force soon, not with the next packet: there may be thousands a second.
                self.drifted();
                changes
            }
            Err(error) => {
                log::warn!(target: base::bounded!("ofproto"), "{}: a rule could not be learned ({})", self.name, error.name());
                Vec::new()
            }
        }
    }

    /// Whether another rule stands where `request` would add one, and came after the packet that teaches this.
    ///
    /// Counters of flows say in no order which packets came: the last one is to be believed.
    fn has_newer(&self, request: &FlowMod, used: Timestamp) -> bool {
        let table = self.table(TableId(request.table));
        let found = table.and_then(|table| table.find(&(&request.m).into(), i32::from(request.priority)));
        found.is_some_and(|entry| entry.modified > used)
    }

    /// Whether a learned rule may be added where at most `limit` of its table and cookie may be; 0 for any number.
    pub(crate) fn admits_learned(&self, request: &FlowMod, limit: u32) -> bool {
        if limit == 0 || self.find_same(request).is_some() {
            return true;
        }
        let of_cookie = |entry: &&Arc<Entry>| entry.rule.cookie == request.new_cookie;
        let learned =
            self.table(TableId(request.table)).map_or(0, |table| table.entries().filter(of_cookie).count());
        learned < limit as usize
    }

    /// The rule that `request` would add, if it is there and just like that.
    pub(crate) fn find_same(&self, request: &FlowMod) -> Option<&Arc<Entry>> {
        let entry =
            self.table(TableId(request.table))?.find(&(&request.m).into(), i32::from(request.priority))?;
        let timeouts = (entry.idle_timeout, entry.hard_timeout);
        let same = entry.rule.cookie == request.new_cookie
            && *entry.rule.actions == *request.actions
            && timeouts == (request.idle_timeout, request.hard_timeout);
        same.then_some(entry)
    }

    /// Shortens a rule's timeouts to these, in seconds; 0 leaves one as it is.
    pub(crate) fn reduce_timeouts(&mut self, rule: &Arc<Rule>, idle_s: u16, hard_s: u16) {
        let entry = self.table(rule.table).and_then(|table| table.find(&rule.matching, rule.priority));
        let Some(entry) = entry.cloned() else { return };
        if !Arc::ptr_eq(&entry.rule, rule) {
            return;
        }
        let reduce = |timeout: u16, most: u16| match (timeout, most) {
            (timeout, 0) => timeout,
            (0, most) => most,
            (timeout, most) => timeout.min(most),
        };
        let idle_timeout = reduce(entry.idle_timeout, idle_s);
        let hard_timeout = reduce(entry.hard_timeout, hard_s);
        if (idle_timeout, hard_timeout) != (entry.idle_timeout, entry.hard_timeout) {
            let reduced = Entry { idle_timeout, hard_timeout, ..Entry::clone(&entry) };
            self.put_rule(Arc::new(reduced), Some(&entry));
        }
    }

    /// Removes what was learned from rules that are gone, where they asked for that.
    pub(crate) fn forget_learned(&mut self, changes: &mut Vec<Change>, from: usize) {
        if !self.has_taught {
            return;
        }
        let mut next = from;
        while next < changes.len() {
            let gone: Vec<Lesson> = changes[next..]
                .iter()
                .filter_map(|change| change.old.as_ref())
                .flat_map(|old| lessons(&old.rule.actions))
                .collect();
            next = changes.len();
            for (table, cookie) in gone {
                let taught = |entry: &Arc<Entry>| lessons(&entry.rule.actions).contains(&(table, cookie));
                if self.tables().flat_map(|t| t.entries()).any(taught) {
                    continue;
                }
                let found =
                    self.entries_that(|entry| entry.rule.table == table && entry.rule.cookie == cookie);
                changes.extend(self.remove_only(found.into_iter(), FlowRemovedReason::Delete));
            }
        }
    }
}
