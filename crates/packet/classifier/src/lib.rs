//! Finding the rule that a packet belongs to.
//!
//! Enters: rules ([`Classified`]: what knows its match and priority) and
//! packets' keys. Leaves: the matching rule of highest priority, and which bits
//! of the key the answer depended on. `ofproto` keeps each OpenFlow table in a
//! [`Classifier`]; the datapath keeps its cache in a [`Megaflows`].
//!
//! Rules with the same mask stand in one subtable, a hash map from masked key
//! to rules, which takes a few dozen bytes for each: the match itself is the
//! rule's alone. A lookup asks the subtables from the highest priority down and
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

mod classified;
mod megaflows;
mod prefixes;
mod rounding;
mod sorted;
mod subtable;

pub use classified::{Classified, Rule};
pub use megaflows::{EXACT_MASKS, Found, Megaflows, ROUNDED_MASKS, UNITED_MASKS};
pub use rounding::{Width, round};

use std::sync::Arc;

use flow::{FlowKey, FlowMask, Slot, SparseKey, SparseMatch, slot};
use hashbrown::HashMap;
use prefixes::PrefixSet;
use subtable::{Asked, Shortcut, Subtable};

/// Rules, found by packet or by their match.
///
/// Cost: a lookup hashes the key once per subtable that it has to ask; an
/// insertion hashes once, and is O(subtables) when it changes the highest
/// priority of a subtable.
#[derive(Debug)]
pub struct Classifier<T> {
    /// `None` are the free places, whose positions are in `free`.
    subtables: Vec<Option<Subtable<T>>>,
    free: Vec<u32>,
    by_mask: HashMap<Arc<SparseKey>, u32>,
    /// Subtables that have rules, by falling highest priority.
    order: Vec<Place>,
    len: usize,
    /// The fields whose prefixes are tracked, and those in use.
    prefixes: Vec<(Slot, PrefixSet)>,
}

/// A subtable in the order of lookups, with what may show that it need not be asked.
#[derive(Debug)]
struct Place {
    id: u32,
    /// The highest of its rules.
    priority: i32,
    shortcut: Shortcut,
}

/// The fields whose prefixes are tracked where nothing else is said.
pub const DEFAULT_PREFIXES: [Slot; 4] = [slot::NW_DST, slot::NW_SRC, slot::IPV6_DST, slot::IPV6_SRC];

fn prefix_sets(fields: &[Slot]) -> Vec<(Slot, PrefixSet)> {
    fields.iter().map(|&field| (field, PrefixSet::new(field.bits.into()))).collect()
}

impl<T: Classified> Default for Classifier<T> {
    fn default() -> Self {
        Classifier::new()
    }
}

impl<T: Classified> Classifier<T> {
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
        for table in self.subtables.iter_mut().flatten() {
            table.set_prefixes(&self.prefixes);
            for rule in table.different_rules() {
                for (index, len) in table.prefix_lens() {
                    if let Some((field, set)) = self.prefixes.get_mut(index) {
                        set.insert(rule.matching().read(*field), len);
                    }
                }
            }
        }
        let subtables = &self.subtables;
        for place in &mut self.order {
            if let Some(Some(table)) = subtables.get(place.id as usize) {
                place.shortcut = table.shortcut();
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

    fn subtable(&self, id: u32) -> Option<&Subtable<T>> {
        self.subtables.get(id as usize)?.as_ref()
    }

    /// Subtables that have rules, by falling highest priority.
    fn in_order(&self) -> impl Iterator<Item = &Subtable<T>> {
        self.order.iter().filter_map(|place| self.subtable(place.id))
    }

    /// Adds a rule; the rule with this match and priority that it replaces.
    pub fn insert(&mut self, rule: T) -> Option<T> {
        let table = match self.by_mask.get(rule.matching().mask()) {
            Some(&id) => self.subtables.get_mut(id as usize).and_then(Option::as_mut),
            None => None,
        };
        let replaced = match table {
            Some(table) => table.replace(rule),
            None => Err(rule),
        };
        match replaced {
            Ok(old) => Some(old),
            Err(rule) => {
                self.add(rule);
                None
            }
        }
    }

    /// Adds a rule beside others, which may have the same match and priority: it comes before these.
    pub fn add(&mut self, rule: T) {
        self.add_beside(rule, |_| {});
    }

    /// The same, and tells `beside` of each of these.
    pub fn add_beside(&mut self, rule: T, beside: impl FnMut(&T)) {
        let id = match self.by_mask.get(rule.matching().mask()) {
            Some(&id) => id,
            None => self.add_subtable(Arc::clone(rule.matching().mask())),
        };
        let Some(table) = self.subtables.get_mut(id as usize).and_then(Option::as_mut) else { return };
        let before = table.max_priority();
        let prefixes = &mut self.prefixes;
        table.add(
            rule,
            |matching, index, len| {
                if let Some((field, set)) = prefixes.get_mut(index) {
                    set.insert(matching.read(*field), len);
                }
            },
            beside,
        );
        self.len += 1;
        if table.max_priority() != before {
            self.reorder(id, before);
        }
    }

    fn add_subtable(&mut self, mask: Arc<SparseKey>) -> u32 {
        let mut table = Subtable::new(Arc::clone(&mask));
        table.set_prefixes(&self.prefixes);
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.subtables.get_mut(id as usize) {
                    *place = Some(table);
                }
                id
            }
            None => {
                self.subtables.push(Some(table));
                (self.subtables.len() - 1) as u32
            }
        };
        self.by_mask.insert(mask, id);
        id
    }

    /// Removes the rule with exactly this match and priority.
    pub fn remove(&mut self, matching: &SparseMatch, priority: i32) -> Option<T> {
        self.remove_where(matching, priority, |_| true)
    }

    /// Of the rules with exactly this match and priority, removes the first that `is_meant`.
    pub fn remove_where(
        &mut self,
        matching: &SparseMatch,
        priority: i32,
        is_meant: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let id = *self.by_mask.get(matching.mask())?;
        let place = self.subtables.get_mut(id as usize)?;
        let table = place.as_mut()?;
        let before = table.max_priority();
        let (old, is_last) = table.remove(matching, priority, is_meant)?;
        self.len -= 1;
        if !is_last {
            return Some(old);
        }
        for (index, len) in table.prefix_lens() {
            if let Some((field, set)) = self.prefixes.get_mut(index) {
                set.remove(matching.read(*field), len);
            }
        }
        let is_moved = table.max_priority() != before;
        if table.is_empty() {
            *place = None;
            self.by_mask.remove(matching.mask());
            self.free.push(id);
        }
        if is_moved {
            self.reorder(id, before);
        }
        Some(old)
    }

    /// Moves subtable `id`, whose highest priority was `before`, to its place.
    fn reorder(&mut self, id: u32, before: Option<i32>) {
        if before.is_some()
            && let Some(at) = self.order.iter().position(|other| other.id == id)
        {
            self.order.remove(at);
        }
        let Some(table) = self.subtable(id) else { return };
        if let Some(priority) = table.max_priority() {
            let place = Place { id, priority, shortcut: table.shortcut() };
            let at = self.order.partition_point(|other| other.priority >= priority);
            self.order.insert(at, place);
        }
    }

    /// The rule with exactly this match and priority.
    pub fn find(&self, matching: &SparseMatch, priority: i32) -> Option<&T> {
        self.find_where(matching, priority, |_| true)
    }

    /// Of the rules with exactly this match and priority, the first that `is_meant`.
    pub fn find_where(
        &self,
        matching: &SparseMatch,
        priority: i32,
        is_meant: impl Fn(&T) -> bool,
    ) -> Option<&T> {
        let id = *self.by_mask.get(matching.mask())?;
        self.subtable(id)?.find(matching, priority, is_meant)
    }

    /// The mask that rules of equal masks share, if there are any.
    pub fn shared_mask(&self, mask: &SparseKey) -> Option<&Arc<SparseKey>> {
        self.by_mask.get_key_value(mask).map(|(mask, _)| mask)
    }

    /// The matching rule of highest priority.
    ///
    /// The bits that the answer depended on are added to `depends`. Of rules
    /// that match with the same priority any may be the answer.
    pub fn lookup(&self, key: &FlowKey, depends: Option<&mut FlowMask>) -> Option<&T> {
        self.lookup_where(key, depends, |_| true)
    }

    /// Like [`Classifier::lookup`] among the rules that `is_wanted` accepts.
    pub fn lookup_where(
        &self,
        key: &FlowKey,
        mut depends: Option<&mut FlowMask>,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> Option<&T> {
        let mut best: Option<(i32, &T)> = None;
        let mut asked = Asked::new(&self.prefixes);
        for place in &self.order {
            if best.is_some_and(|(priority, _)| priority >= place.priority) {
                break;
            }
            if depends.as_deref().is_some_and(|depends| asked.leaves_out(&place.shortcut, depends)) {
                continue;
            }
            let Some(table) = self.subtable(place.id) else { continue };
            let found = table.lookup(key, &mut asked, depends.as_deref_mut());
            if let Some(rule) = found.iter().find(|rule| is_wanted(rule)) {
                let priority = rule.priority();
                if best.is_none_or(|(best, _)| priority > best) {
                    best = Some((priority, rule));
                }
            }
        }
        best.map(|(_, rule)| rule)
    }

    /// Every rule that matches, in no order; `depends` as in a lookup.
    pub fn matches<'a>(&'a self, key: &FlowKey, mut depends: Option<&mut FlowMask>) -> Vec<&'a T> {
        let mut asked = Asked::new(&self.prefixes);
        self.in_order().flat_map(|table| table.lookup(key, &mut asked, depends.as_deref_mut())).collect()
    }

    /// The rules of this priority that some packet could match as well as the given match.
    pub fn overlapping<'a>(
        &'a self,
        matching: &'a SparseMatch,
        priority: i32,
    ) -> impl Iterator<Item = &'a T> {
        let tables = self.in_order().filter(move |table| table.has_priority(priority));
        let rules = tables.flat_map(Subtable::rules);
        rules.filter(move |rule| rule.priority() == priority && rule.matching().overlaps(matching))
    }

    /// Every rule, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.in_order().flat_map(Subtable::rules)
    }

    /// Every rule that matches only packets which the given match matches ("loose" requests).
    pub fn iter_within<'a>(&'a self, matching: &'a SparseMatch) -> impl Iterator<Item = &'a T> {
        let mask = matching.mask();
        self.in_order()
            .filter(|table| mask.iter().all(|(i, bits)| bits & !table.mask().word(i) == 0))
            .flat_map(Subtable::rules)
            .filter(|rule| {
                matching.parts().all(|(i, bits, word)| (rule.matching().word(i) ^ word) & bits == 0)
            })
    }

    /// Takes all rules out, as a classifier of their own.
    pub fn take(&mut self) -> Classifier<T> {
        let fields: Vec<Slot> = self.prefixes.iter().map(|(field, _)| *field).collect();
        let mut empty = Classifier::new();
        empty.set_prefixes(&fields);
        std::mem::replace(self, empty)
    }
}

#[cfg(test)]
mod tests;
