//! Finding the rule that a packet belongs to.
//!
//! Enters: rules (key, mask, priority, any payload) and packets' keys.
//! Leaves: the matching rule of highest priority, and which bits of the key
//! the answer depended on. `ofproto` keeps each OpenFlow table in a
//! [`Classifier`]; the datapath keeps its cache in a [`Megaflows`].
//!
//! Rules with the same mask stand in one subtable, a hash map from masked key
//! to rules; a lookup asks the subtables from the highest priority down and
//! stops when no better rule can follow. Each subtable is asked in stages
//! (metadata, L2, L3, L4; [`flow::STAGES`]): when no rule of it agrees in the
//! words up to a stage, the later words were not looked at, and the answer
//! does not depend on them. Of addresses whose prefixes are tracked, and of
//! L4 ports, an answer depends only on the bits that rule the others out.
//!
//! The invariant that caching rests on: **every key that agrees with the
//! looked-up key in the bits of the returned mask has the same answer**. It
//! holds because each subtable that was asked adds the bits that it looked
//! at, and because a subtable that was not asked was left out for priorities
//! alone.
//!
//! Not here: what rules do (`ofproto`), field names and prerequisites
//! (`fields`).

#![warn(missing_docs)]

mod megaflows;
mod prefixes;
mod subtable;

pub use megaflows::{Found, Megaflow, Megaflows};
pub use subtable::Rule;

use flow::{FlowKey, FlowMask, Slot, SparseKey, slot};
use hashbrown::HashMap;
use prefixes::PrefixSet;
use subtable::{Asked, Subtable};

/// Rules, found by packet or by their match.
///
/// Cost: a lookup hashes the key once per subtable that it has to ask; an
/// insertion hashes once, and is O(subtables) when it changes the highest
/// priority of a subtable.
#[derive(Debug)]
pub struct Classifier<T> {
    subtables: Vec<Subtable<T>>,
    /// Positions of the free places in `subtables`.
    free: Vec<u32>,
    by_mask: HashMap<SparseKey, u32>,
    /// Subtables that have rules, by falling highest priority.
    order: Vec<u32>,
    len: usize,
    /// The fields whose prefixes are tracked, and those in use.
    prefixes: Vec<(Slot, PrefixSet)>,
}

/// The fields whose prefixes are tracked where nothing else is said.
pub const DEFAULT_PREFIXES: [Slot; 4] = [slot::NW_DST, slot::NW_SRC, slot::IPV6_DST, slot::IPV6_SRC];

fn prefix_sets(fields: &[Slot]) -> Vec<(Slot, PrefixSet)> {
    fields.iter().map(|&field| (field, PrefixSet::new(field.bits.into()))).collect()
}

impl<T> Default for Classifier<T> {
    fn default() -> Self {
        Classifier::new()
    }
}

impl<T> Classifier<T> {
    /// A classifier without rules.
    pub fn new() -> Classifier<T> {
        Classifier {
            subtables: Vec::new(),
            free: Vec::new(),
            by_mask: HashMap::new(),
            order: Vec::new(),
            len: 0,
            prefixes: prefix_sets(&DEFAULT_PREFIXES),
        }
    }

    /// Tracks the prefixes of these fields (the `prefixes` column of Flow_Table); none: of no field.
    pub fn set_prefixes(&mut self, fields: &[Slot]) {
        self.prefixes = prefix_sets(fields);
        for table in &mut self.subtables {
            table.set_prefixes(&self.prefixes);
            for rule in table.rules() {
                let key = rule.key();
                for (index, len) in table.prefix_lens() {
                    if let Some((field, set)) = self.prefixes.get_mut(index) {
                        set.insert(key.read(*field), len);
                    }
                }
            }
        }
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many different masks the rules have.
    pub fn mask_count(&self) -> usize {
        self.order.len()
    }

    /// Adds a rule; the payload of the rule with this match and priority that it replaces.
    pub fn insert(&mut self, key: &FlowKey, mask: &FlowMask, priority: i32, value: T) -> Option<T> {
        let sparse = SparseKey::from(mask);
        let id = match self.by_mask.get(&sparse) {
            Some(&id) => id,
            None => self.add_subtable(sparse),
        };
        let table = self.subtables.get_mut(id as usize)?;
        let before = table.max_priority();
        let old = table.insert(key, priority, value);
        if old.is_none() {
            self.len += 1;
            for (index, len) in table.prefix_lens() {
                if let Some((field, set)) = self.prefixes.get_mut(index) {
                    set.insert(key.read(*field), len);
                }
            }
        }
        if table.max_priority() != before {
            self.reorder(id, before);
        }
        old
    }

    fn add_subtable(&mut self, mask: SparseKey) -> u32 {
        let mut table = Subtable::new(mask.clone());
        table.set_prefixes(&self.prefixes);
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.subtables.get_mut(id as usize) {
                    *place = table;
                }
                id
            }
            None => {
                self.subtables.push(table);
                (self.subtables.len() - 1) as u32
            }
        };
        self.by_mask.insert(mask, id);
        id
    }

    /// Removes the rule with exactly this match and priority.
    pub fn remove(&mut self, key: &FlowKey, mask: &FlowMask, priority: i32) -> Option<T> {
        let sparse = SparseKey::from(mask);
        let id = *self.by_mask.get(&sparse)?;
        let table = self.subtables.get_mut(id as usize)?;
        let before = table.max_priority();
        let old = table.remove(key, priority)?;
        self.len -= 1;
        for (index, len) in table.prefix_lens() {
            if let Some((field, set)) = self.prefixes.get_mut(index) {
                set.remove(key.read(*field), len);
            }
        }
        if table.max_priority() != before {
            self.reorder(id, before);
        }
        if self.subtables.get(id as usize).is_some_and(Subtable::is_empty) {
            self.by_mask.remove(&sparse);
            self.free.push(id);
        }
        Some(old)
    }

    /// Moves subtable `id`, whose highest priority was `before`, to its place.
    fn reorder(&mut self, id: u32, before: Option<i32>) {
        if before.is_some()
            && let Some(at) = self.order.iter().position(|&other| other == id)
        {
            self.order.remove(at);
        }
        let priority_of = |id: u32| self.subtables.get(id as usize).and_then(Subtable::max_priority);
        if let Some(priority) = priority_of(id) {
            let at = self.order.partition_point(|&other| priority_of(other) >= Some(priority));
            self.order.insert(at, id);
        }
    }

    /// The rule with exactly this match and priority.
    pub fn find_exact(&self, key: &FlowKey, mask: &FlowMask, priority: i32) -> Option<&Rule<T>> {
        let id = *self.by_mask.get(&SparseKey::from(mask))?;
        self.subtables.get(id as usize)?.find_exact(key, priority)
    }

    /// The same, to change its payload.
    pub fn find_exact_mut(&mut self, key: &FlowKey, mask: &FlowMask, priority: i32) -> Option<&mut T> {
        let id = *self.by_mask.get(&SparseKey::from(mask))?;
        self.subtables.get_mut(id as usize)?.find_exact_mut(key, priority)
    }

    /// The matching rule of highest priority.
    ///
    /// The bits that the answer depended on are added to `depends`. Of rules
    /// that match with the same priority any may be the answer.
    pub fn lookup(&self, key: &FlowKey, depends: Option<&mut FlowMask>) -> Option<&Rule<T>> {
        self.lookup_where(key, depends, |_| true)
    }

    /// Like [`Classifier::lookup`] among the rules that `is_wanted` accepts.
    pub fn lookup_where(
        &self,
        key: &FlowKey,
        mut depends: Option<&mut FlowMask>,
        mut is_wanted: impl FnMut(&Rule<T>) -> bool,
    ) -> Option<&Rule<T>> {
        let mut best: Option<&Rule<T>> = None;
        let mut asked = Asked::new(&self.prefixes);
        for &id in &self.order {
            let Some(table) = self.subtables.get(id as usize) else { continue };
            if best.is_some_and(|best| Some(best.priority) >= table.max_priority()) {
                break;
            }
            let found = table.lookup(key, &mut asked, depends.as_deref_mut());
            if let Some(rule) = found.iter().find(|rule| is_wanted(rule))
                && best.is_none_or(|best| rule.priority > best.priority)
            {
                best = Some(rule);
            }
        }
        best
    }

    /// Every rule that matches, in no order; `depends` as in a lookup.
    pub fn matches<'a>(&'a self, key: &FlowKey, mut depends: Option<&mut FlowMask>) -> Vec<&'a Rule<T>> {
        let mut asked = Asked::new(&self.prefixes);
        let tables = self.order.iter().filter_map(|&id| self.subtables.get(id as usize));
        tables.flat_map(|table| table.lookup(key, &mut asked, depends.as_deref_mut())).collect()
    }

    /// A rule of this priority that some packet could match as well as the given match.
    pub fn overlapping(&self, key: &FlowKey, mask: &FlowMask, priority: i32) -> Option<&Rule<T>> {
        let tables = self.order.iter().filter_map(|&id| self.subtables.get(id as usize));
        tables.filter(|table| table.has_priority(priority)).flat_map(Subtable::rules).find(|rule| {
            rule.priority == priority
                && rule.parts().all(|(i, bits, word)| (word ^ key.word(i)) & bits & mask.word(i) == 0)
        })
    }

    /// Every rule, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule<T>> {
        self.order.iter().filter_map(|&id| self.subtables.get(id as usize)).flat_map(Subtable::rules)
    }

    /// Every rule that matches only packets which the given match matches ("loose" requests).
    pub fn iter_within<'a>(
        &'a self,
        key: &'a FlowKey,
        mask: &'a FlowMask,
    ) -> impl Iterator<Item = &'a Rule<T>> {
        let tables = self.order.iter().filter_map(|&id| self.subtables.get(id as usize));
        tables
            .filter(|table| mask.present().all(|(i, bits)| bits & !table.mask().word(i) == 0))
            .flat_map(Subtable::rules)
            .filter(move |rule| mask.present().all(|(i, bits)| (rule.word(i) ^ key.word(i)) & bits == 0))
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        let fields: Vec<Slot> = self.prefixes.iter().map(|(field, _)| *field).collect();
        *self = Classifier::new();
        self.set_prefixes(&fields);
    }
}

#[cfg(test)]
mod tests;
