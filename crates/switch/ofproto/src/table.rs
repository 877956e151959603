//! An OpenFlow table: rules with their timeouts, looked up by packets and by matches.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base::{TableId, Timestamp};
use classifier::Classifier;
use flow::{FlowKey, FlowMask, SparseMatch};
use pipeline::{Miss, TableTraffic};

use crate::conjunction;
use crate::entry::{Criteria, Entry};
use crate::table_settings::{TableSettings, VacancyWatch};

/// So many rules that are gone at once take long to free.
pub const MANY: usize = 10_000;

/// What many rules leave behind, to be freed.
#[derive(Debug)]
pub struct Debris {
    _rules: Classifier<Arc<Entry>>,
}

/// One table of a bridge.
#[derive(Debug)]
pub struct Table {
    id: TableId,
    rules: Classifier<Arc<Entry>>,
    /// The same rules by their sequence, for walks that go on after rules have changed.
    by_sequence: BTreeMap<u64, Arc<Entry>>,
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
    pub fn new(id: TableId) -> Table {
        Table {
            id,
            rules: Classifier::new(),
            by_sequence: BTreeMap::new(),
            miss: Miss::default(),
            traffic: Arc::default(),
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
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Rules that controllers see.
    pub fn visible_len(&self) -> usize {
        self.rules.len() - self.hidden
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

    /// The best rule for a packet.
    pub fn lookup(&self, key: &FlowKey, mask: &mut FlowMask) -> Option<&Arc<Entry>> {
        let best = self.rules.lookup(key, Some(mask))?;
        if !conjunction::is_part(&best.rule) {
            return Some(best);
        }
        conjunction::lookup(&self.rules, key, mask).map(|found| found.entry)
    }

    /// The parts of the conjunction by which a packet has its rule; none when it has it by itself.
    pub fn conjunction(&self, key: &FlowKey) -> Vec<&Arc<Entry>> {
        let found = conjunction::lookup(&self.rules, key, &mut FlowMask::default());
        found.map(|found| found.parts).unwrap_or_default()
    }

    /// The rule of exactly this match and priority.
    pub fn find(&self, matching: &SparseMatch, priority: i32) -> Option<&Arc<Entry>> {
        self.rules.find(matching, priority)
    }

    /// Puts a rule in, in the place of one of the same match and priority.
    pub fn insert(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        self.expiring += usize::from(expires(&entry));
        self.hidden += usize::from(entry.is_hidden());
        let old = self.rules.insert(Arc::clone(&entry));
        if let Some(old) = &old {
            self.expiring -= usize::from(expires(old));
            self.hidden -= usize::from(old.is_hidden());
            if old.sequence != entry.sequence {
                self.by_sequence.remove(&old.sequence);
            }
        }
        self.by_sequence.insert(entry.sequence, entry);
        old
    }

    pub fn remove(&mut self, matching: &SparseMatch, priority: i32) -> Option<Arc<Entry>> {
        let old = self.rules.remove(matching, priority)?;
        self.by_sequence.remove(&old.sequence);
        self.expiring -= usize::from(expires(&old));
        self.hidden -= usize::from(old.is_hidden());
        Some(old)
    }

    /// Removes all rules but the switch's own. Gives those that are gone, in the order in which they were added, and what
    /// is left of their index.
    pub(crate) fn clear(&mut self) -> (Vec<Arc<Entry>>, Debris) {
        let mut gone: Vec<Arc<Entry>> = std::mem::take(&mut self.by_sequence).into_values().collect();
        let debris = Debris { _rules: self.rules.take() };
        self.expiring = 0;
        if std::mem::take(&mut self.hidden) > 0 {
            for entry in gone.extract_if(.., |entry| entry.is_hidden()) {
                self.insert(entry);
            }
        }
        (gone, debris)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.rules.iter()
    }

    /// The rules behind the one of `sequence`, in the order in which they were added.
    pub(crate) fn entries_after(&self, sequence: u64) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_sequence.range((Bound::Excluded(sequence), Bound::Unbounded)).map(|(_, entry)| entry)
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
                Box::new(self.rules.iter_within(&criteria.matching).filter(|entry| criteria.admits(entry)))
            }
        }
    }

    /// Whether some packet is of `matching` and of another rule of the same priority.
    pub fn overlaps(&self, matching: &SparseMatch, priority: i32) -> bool {
        self.rules.overlapping(matching, priority).is_some()
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
