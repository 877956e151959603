//! An OpenFlow table: rules with their timeouts, looked up by packets and by matches.

use std::sync::Arc;

use base::{TableId, Timestamp};
use classifier::Classifier;
use flow::{FlowKey, FlowMask, SparseMatch};
use pipeline::{Miss, TableTraffic};

use crate::conjunction;
use crate::entry::{Criteria, Entry};
use crate::sequence::Sequence;
use crate::table_settings::{TableSettings, VacancyWatch};

/// So many rules that are gone at once take long to free.
pub const MANY: usize = 10_000;

/// What many rules leave behind, to be freed.
#[derive(Debug)]
pub struct Debris {
    _rules: Classifier<Arc<Entry>>,
    list: Sequence<Arc<Entry>>,
}

impl Debris {
    /// How many rules can be taken out.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Takes the rules out, in the order in which they were added.
    pub(crate) fn take_rules(&mut self) -> impl Iterator<Item = Arc<Entry>> + use<> {
        std::mem::take(&mut self.list).into_values()
    }
}

/// One table of a bridge.
#[derive(Debug)]
pub struct Table {
    id: TableId,
    rules: Classifier<Arc<Entry>>,
    /// Those that stay, by their sequence, for walks that go on after rules have changed.
    by_sequence: Sequence<Arc<Entry>>,
    /// Those that the change that is being made removes: packets see them until it is in force.
    leaving: Vec<Arc<Entry>>,
    pub miss: Miss,
    pub traffic: Arc<TableTraffic>,
    /// How many rules have a timeout, so that a table without any is never searched for expired ones.
    expiring: usize,
    /// How many rules controllers do not see.
    hidden: usize,
    pub(crate) settings: TableSettings,
    /// What a controller asked for beside them.
    pub(crate) controller_name: Option<String>,
    pub(crate) controller_evicts: bool,
    pub(crate) vacancy_watch: Option<VacancyWatch>,
}

impl Table {
    pub fn new(id: TableId, traffic: Arc<TableTraffic>) -> Table {
        Table {
            id,
            rules: Classifier::new(),
            by_sequence: Sequence::default(),
            leaving: Vec::new(),
            miss: Miss::default(),
            traffic,
            expiring: 0,
            hidden: 0,
            settings: TableSettings::default(),
            controller_name: None,
            controller_evicts: false,
            vacancy_watch: None,
        }
    }

    pub fn id(&self) -> TableId {
        self.id
    }

    pub fn len(&self) -> usize {
        self.by_sequence.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_sequence.is_empty()
    }

    /// Rules that controllers see.
    pub fn visible_len(&self) -> usize {
        self.len() - self.hidden
    }

    /// The most rules that it holds, if that is limited.
    pub fn max_rules(&self) -> Option<usize> {
        self.settings.max_rules
    }

    /// Takes over from the settings which prefixes lookups track.
    pub(crate) fn track_prefixes(&mut self) {
        let said = self.settings.prefixes.as_deref();
        self.rules.set_prefixes(said.unwrap_or(&classifier::DEFAULT_PREFIXES));
    }

    /// The best rule for a packet, among those of the revision `seen`; of those that stay where none is given.
    pub(crate) fn lookup(
        &self,
        key: &FlowKey,
        mask: &mut FlowMask,
        seen: Option<u64>,
    ) -> Option<&Arc<Entry>> {
        let best = match seen {
            None => self.rules.lookup(key, Some(mask))?,
            Some(seen) => self.rules.lookup_where(key, Some(mask), |entry| entry.is_of(seen))?,
        };
        if !conjunction::is_part(&best.rule) {
            return Some(best);
        }
        conjunction::lookup(&self.rules, key, mask, seen).map(|found| found.entry)
    }

    /// The parts of the conjunction by which a packet has its rule; none when it has it by itself.
    pub(crate) fn conjunction(&self, key: &FlowKey, seen: Option<u64>) -> Vec<&Arc<Entry>> {
        let found = conjunction::lookup(&self.rules, key, &mut FlowMask::default(), seen);
        found.map(|found| found.parts).unwrap_or_default()
    }

    /// The rule of exactly this match and priority.
    pub fn find(&self, matching: &SparseMatch, priority: i32) -> Option<&Arc<Entry>> {
        self.rules.find_where(matching, priority, |entry| entry.stays())
    }

    fn count(&mut self, entry: &Entry) {
        self.expiring += usize::from(expires(entry));
        self.hidden += usize::from(entry.is_hidden());
    }

    fn discount(&mut self, entry: &Entry) {
        self.expiring -= usize::from(expires(entry));
        self.hidden -= usize::from(entry.is_hidden());
    }

    /// Puts a rule in, in the place of one of the same match and priority.
    pub(crate) fn insert(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let old = self.rules.insert(Arc::clone(&entry));
        if let Some(old) = &old {
            self.discount(old);
            if old.sequence != entry.sequence {
                self.by_sequence.remove(old.sequence);
            }
        }
        self.list(entry);
        old
    }

    /// Puts a rule in where there is none of the same match and priority.
    pub(crate) fn add(&mut self, entry: Arc<Entry>) {
        self.rules.add(Arc::clone(&entry));
        self.list(entry);
    }

    fn list(&mut self, entry: Arc<Entry>) {
        self.count(&entry);
        self.by_sequence.insert(entry.sequence, entry);
    }

    fn unlist(&mut self, entry: &Entry) {
        self.discount(entry);
        self.by_sequence.remove(entry.sequence);
    }

    pub(crate) fn remove(&mut self, matching: &SparseMatch, priority: i32) -> Option<Arc<Entry>> {
        let old = self.rules.remove(matching, priority)?;
        self.unlist(&old);
        Some(old)
    }

    /// As [`Table::insert`], as part of a change that is in force from `revision` on. Until then packets see the old rule.
    pub(crate) fn stage(&mut self, entry: Arc<Entry>, revision: u64) -> Option<Arc<Entry>> {
        let mut old = None;
        self.rules.add_beside(Arc::clone(&entry), |other| {
            if other.stays() {
                old = Some(Arc::clone(other));
            }
        });
        let Some(old) = old else {
            self.list(entry);
            return None;
        };
        old.leaving.begin(revision);
        self.discount(&old);
        self.count(&entry);
        match self.by_sequence.get_mut(old.sequence) {
            Some(place) if old.sequence == entry.sequence => *place = entry,
            Some(_) | None => {
                self.by_sequence.remove(old.sequence);
                self.by_sequence.insert(entry.sequence, entry);
            }
        }
        self.leaving.push(Arc::clone(&old));
        Some(old)
    }

    /// As [`Table::remove`], as part of a change that is in force from `revision` on.
    pub(crate) fn stage_removal(
        &mut self,
        matching: &SparseMatch,
        priority: i32,
        revision: u64,
    ) -> Option<Arc<Entry>> {
        let old = Arc::clone(self.find(matching, priority)?);
        old.leaving.begin(revision);
        self.unlist(&old);
        self.leaving.push(Arc::clone(&old));
        Some(old)
    }

    /// Takes back that a rule was added in a change that is not in force yet.
    pub(crate) fn unstage(&mut self, new: &Arc<Entry>) {
        let removed =
            self.rules.remove_where(&new.rule.matching, new.rule.priority, |entry| Arc::ptr_eq(entry, new));
        if removed.is_some() && new.stays() {
            self.unlist(new);
        }
    }

    /// Takes back that a rule was removed in a change that is not in force yet.
    pub(crate) fn unstage_removal(&mut self, old: &Arc<Entry>) {
        old.leaving.revoke();
        self.list(Arc::clone(old));
    }

    /// How many rules are gone since a change is in force, and are still to be let go of.
    pub(crate) fn gone_count(&self) -> usize {
        self.leaving.len()
    }

    /// Lets go of rules that are gone since a change is in force, at most `count`; whether there are more.
    pub(crate) fn sweep(&mut self, count: usize) -> bool {
        let from = self.leaving.len().saturating_sub(count);
        for gone in self.leaving.drain(from..) {
            // One whose removal was taken back is there twice or not at all.
            if !gone.stays() {
                self.rules
                    .remove_where(&gone.rule.matching, gone.rule.priority, |entry| Arc::ptr_eq(entry, &gone));
            }
        }
        if self.leaving.is_empty() {
            self.leaving = Vec::new();
        }
        from > 0
    }

    /// Takes all rules out at once, but the switch's own.
    pub(crate) fn clear(&mut self) -> Debris {
        let mut debris = Debris { list: std::mem::take(&mut self.by_sequence), _rules: self.rules.take() };
        self.expiring = 0;
        if std::mem::take(&mut self.hidden) > 0 {
            let own = debris.list.extract(|entry| entry.is_hidden());
            own.into_iter().for_each(|entry| self.add(entry));
        }
        debris
    }

    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.rules.iter().filter(|entry| entry.stays())
    }

    /// The rules behind the one of `sequence`, in the order in which they were added.
    pub(crate) fn entries_after(&self, sequence: u64) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_sequence.values_after(sequence)
    }

    /// The rules that `criteria` are about.
    pub fn select<'a>(&'a self, criteria: &'a Criteria) -> Box<dyn Iterator<Item = &'a Arc<Entry>> + 'a> {
        if criteria.table != TableId::ALL && criteria.table != self.id {
            return Box::new(std::iter::empty());
        }
        match criteria.strict_priority {
            Some(priority) => Box::new(
                self.find(&criteria.matching, priority).into_iter().filter(|entry| criteria.admits(entry)),
            ),
            // In their order: what are neighbours there are mostly neighbours in memory.
            None if criteria.matching.is_catch_all() => {
                Box::new(self.by_sequence.values().filter(|entry| criteria.admits(entry)))
            }
            None => {
                let rules = self.rules.iter_within(&criteria.matching);
                Box::new(rules.filter(|entry| entry.stays() && criteria.admits(entry)))
            }
        }
    }

    /// Whether some packet is of `matching` and of another rule of the same priority.
    pub fn overlaps(&self, matching: &SparseMatch, priority: i32) -> bool {
        self.rules.overlapping(matching, priority).any(|entry| entry.stays())
    }

    /// The rules that have timed out.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Entry>> {
        let entries = (self.expiring != 0).then(|| self.entries());
        entries.into_iter().flatten().filter(move |entry| entry.expiry(now).is_some())
    }
}

fn expires(entry: &Entry) -> bool {
    entry.idle_timeout != 0 || entry.hard_timeout != 0
}
