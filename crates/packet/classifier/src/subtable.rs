//! The rules of one mask.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::extract::mix;
use flow::{FlowKey, FlowMask, STAGES, Slot, SparseKey, SparseMatch, slot, stage_word};
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::classified::Classified;
use crate::prefixes::{OfValue, PrefixSet};

/// Rules with equal masked keys, by falling priority. Nearly always it is one, so that one takes no memory of its own.
#[derive(Debug)]
enum Bucket<T> {
    One(T),
    Several(Box<Several<T>>),
}

/// In a box of its own, so that a bucket is as small as one pointer and its tag.
#[derive(Debug)]
struct Several<T> {
    rules: SmallVec<[T; 2]>,
}

impl<T: Classified> Bucket<T> {
    fn rules(&self) -> &[T] {
        match self {
            Bucket::One(rule) => std::slice::from_ref(rule),
            Bucket::Several(several) => &several.rules,
        }
    }

    fn has_words(&self, words: &[u64]) -> bool {
        self.rules().first().is_some_and(|rule| rule.matching().words() == words)
    }

    /// The first rule of this priority.
    fn of_priority(&mut self, priority: i32) -> Option<&mut T> {
        let rules = match self {
            Bucket::One(rule) => std::slice::from_mut(rule),
            Bucket::Several(several) => &mut several.rules,
        };
        rules.iter_mut().find(|rule| rule.priority() == priority)
    }

    /// How many rules have this priority.
    fn count_of(&self, priority: i32) -> usize {
        self.rules().iter().filter(|rule| rule.priority() == priority).count()
    }

    /// Puts a rule before those of the same priority.
    fn add(&mut self, rule: T) {
        let priority = rule.priority();
        if let Bucket::One(_) = self {
            let new = Bucket::Several(Box::new(Several { rules: SmallVec::new() }));
            let one = std::mem::replace(self, new);
            if let (Bucket::One(other), Bucket::Several(several)) = (one, &mut *self) {
                several.rules.push(other);
            }
        }
        if let Bucket::Several(several) = self {
            let at = several.rules.partition_point(|other| other.priority() > priority);
            several.rules.insert(at, rule);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Subtable<T> {
    mask: Arc<SparseKey>,
    /// The mask's words with their places.
    parts: Box<[(u8, u64)]>,
    /// Where in `parts` each stage ends that has parts, all but the last stage.
    stage_ends: SmallVec<[u8; 3]>,
    /// Per stage in `stage_ends`: how many buckets have this hash up to there.
    stages: SmallVec<[Counts; 3]>,
    buckets: HashTable<(u64, Bucket<T>)>,
    /// How many matches have rules of each priority.
    priorities: BTreeMap<i32, u32>,
    /// Tracked fields of which the mask has a prefix: which, its length, its place in `parts`.
    prefixes: SmallVec<[(u8, u8, u8); 2]>,
    /// The L4 ports of the rules, when the mask has bits of them.
    ports: Option<Ports>,
}

/// How often each hash was counted.
#[derive(Debug, Default)]
struct Counts {
    table: HashTable<(u64, u32)>,
}

impl Counts {
    fn contains(&self, hash: u64) -> bool {
        self.table.find(hash, |(known, _)| *known == hash).is_some()
    }

    fn add(&mut self, hash: u64) {
        let entry = self.table.entry(hash, |(known, _)| *known == hash, |(hash, _)| *hash);
        entry.or_insert((hash, 0)).get_mut().1 += 1;
    }

    fn subtract(&mut self, hash: u64) {
        if let Ok(mut entry) = self.table.find_entry(hash, |(known, _)| *known == hash) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
                give_back(&mut self.table, |(hash, _)| *hash);
            }
        }
    }
}

/// Gives memory back that a table has had no use for since it lost most of its entries.
fn give_back<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    const KEPT: usize = 64;
    if table.capacity() > KEPT && table.len() < table.capacity() / 8 {
        table.shrink_to(table.len() * 2, hash);
    }
}

/// The L4 ports as one 32-bit value: the high half of their word.
#[derive(Debug)]
struct Ports {
    mask: u32,
    len: u32,
    set: PrefixSet,
}

impl Ports {
    const WORD: usize = slot::TP_SRC.word as usize;

    fn of(mask: &SparseKey) -> Option<Ports> {
        let mask = (mask.word(Ports::WORD) >> 32) as u32;
        (mask != 0).then(|| Ports { mask, len: 32 - mask.trailing_zeros(), set: PrefixSet::new(32) })
    }

    fn value(&self, word: u64) -> u128 {
        u128::from((word >> 32) as u32 & self.mask)
    }
}

/// By what a subtable may be left out of a lookup without being looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shortcut {
    /// The words of the stages before that of the prefixes; those that are not needed without any bit.
    before: [(u8, u64); 2],
    /// Of the first stage that has any: which tracked field, and how long the mask's prefix of it is, zero behind the last.
    prefixes: [(u8, u8); 2],
}

/// What one lookup knows of the key's tracked fields, found when first needed.
pub(crate) struct Asked<'a> {
    fields: &'a [(Slot, PrefixSet)],
    prefixes: SmallVec<[Option<Known>; 4]>,
}

/// What one lookup knows of a tracked field.
#[derive(Clone, Copy)]
struct Known {
    of_value: OfValue,
    /// Whether the answer depends already on the bits that decide which prefixes the value has.
    is_looked_at: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(fields: &'a [(Slot, PrefixSet)]) -> Asked<'a> {
        Asked { fields, prefixes: SmallVec::from_elem(None, fields.len()) }
    }

    /// Whether no rule of the table has the key's prefix of this length, and that is cheaper to
    /// depend on than the subtable's own mask. Adds what it depends on.
    fn rules_out(&mut self, key: &FlowKey, index: usize, len: u32, depends: &mut FlowMask) -> bool {
        let Some((field, set)) = self.fields.get(index) else { return false };
        let Some(known) = self.prefixes.get_mut(index) else { return false };
        let known = known
            .get_or_insert_with(|| Known { of_value: set.of_value(key.read(*field)), is_looked_at: false });
        if known.of_value.has(len) {
            return false;
        }
        let bits = known.of_value.bits;
        let mask = set.mask(bits);
        let is_free = depends.bits(*field) & mask == mask;
        if bits <= len || is_free {
            depends.add(*field, mask);
            known.is_looked_at = true;
            return true;
        }
        false
    }

    /// Whether asking a subtable finds nothing, and adds nothing to what the answer depends on, by what is known already.
    #[inline]
    pub(crate) fn leaves_out(&self, shortcut: &Shortcut, depends: &FlowMask) -> bool {
        for &(index, len) in &shortcut.prefixes {
            if len == 0 {
                return false;
            }
            let Some(Some(known)) = self.prefixes.get(usize::from(index)) else { return false };
            if known.of_value.has(len.into()) {
                continue;
            }
            let is_looked_at = |&(index, mask): &(u8, u64)| mask & !depends.word(index.into()) == 0;
            return known.is_looked_at && shortcut.before.iter().all(is_looked_at);
        }
        false
    }
}

impl<T: Classified> Subtable<T> {
    pub(crate) fn new(mask: Arc<SparseKey>) -> Subtable<T> {
        let parts: Box<[(u8, u64)]> = mask.iter().map(|(index, word)| (index as u8, word)).collect();
        let mut stage_ends = SmallVec::new();
        for &end in &STAGES[1..STAGES.len() - 1] {
            let count =
                parts.iter().take_while(|(index, _)| stage_word(usize::from(*index)) < end).count() as u8;
            if count > 0 && usize::from(count) < parts.len() && stage_ends.last() != Some(&count) {
                stage_ends.push(count);
            }
        }
        let ports = Ports::of(&mask);
        Subtable {
            mask,
            stages: stage_ends.iter().map(|_| Counts::default()).collect(),
            parts,
            stage_ends,
            buckets: HashTable::new(),
            priorities: BTreeMap::new(),
            prefixes: SmallVec::new(),
            ports,
        }
    }

    /// Takes note of which tracked fields the mask has a prefix of.
    pub(crate) fn set_prefixes(&mut self, fields: &[(Slot, PrefixSet)]) {
        self.prefixes.clear();
        for (index, (field, set)) in fields.iter().enumerate() {
            let len = set.len_of(self.mask.read(*field));
            let place = self.parts.iter().position(|&(word, _)| word == field.word);
            if let Some(place) = place.filter(|_| len > 0) {
                self.prefixes.push((index as u8, len as u8, place as u8));
            }
        }
    }

    /// By what the table may be left out.
    pub(crate) fn shortcut(&self) -> Shortcut {
        let Some(place) = self.prefixes.iter().map(|&(.., place)| place).min() else {
            return Shortcut::default();
        };
        let from = self.stage_ends.iter().copied().take_while(|&end| end <= place).last().unwrap_or(0);
        let end = self.stage_ends.iter().copied().find(|&end| end > place).unwrap_or(u8::MAX);
        let of_stage = self.prefixes.iter().filter(|(.., place)| (from..end).contains(place));
        let mut shortcut = Shortcut::default();
        if usize::from(from) > shortcut.before.len() {
            // Few masks have more there: their subtables are asked.
            return shortcut;
        }
        shortcut
            .before
            .iter_mut()
            .zip(self.parts.iter().take(from.into()))
            .for_each(|(place, part)| *place = *part);
        shortcut
            .prefixes
            .iter_mut()
            .zip(of_stage)
            .for_each(|(place, &(index, len, _))| *place = (index, len));
        shortcut
    }

    /// The tracked fields of which the mask has a prefix, and its length.
    pub(crate) fn prefix_lens(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.prefixes.iter().map(|&(index, len, _)| (usize::from(index), u32::from(len)))
    }

    pub(crate) fn mask(&self) -> &SparseKey {
        &self.mask
    }

    pub(crate) fn max_priority(&self) -> Option<i32> {
        self.priorities.last_key_value().map(|(&priority, _)| priority)
    }

    pub(crate) fn has_priority(&self, priority: i32) -> bool {
        self.priorities.contains_key(&priority)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.priorities.is_empty()
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &T> {
        self.buckets.iter().flat_map(|(_, bucket)| bucket.rules())
    }

    /// Of rules that have the same match and priority one.
    pub(crate) fn different_rules(&self) -> impl Iterator<Item = &T> {
        let buckets = self.buckets.iter().map(|(_, bucket)| bucket.rules());
        let groups = buckets.flat_map(|rules| rules.chunk_by(|a, b| a.priority() == b.priority()));
        groups.filter_map(|rules| rules.first())
    }

    /// The hash of a match with this mask, and the hashes up to each stage.
    fn hashes(&self, matching: &SparseMatch) -> (u64, SmallVec<[u64; 3]>) {
        let mut hash = 0;
        let mut stages = SmallVec::new();
        for (count, &word) in matching.words().iter().enumerate() {
            if self.stage_ends.get(stages.len()) == Some(&(count as u8)) {
                stages.push(hash);
            }
            hash = mix(hash, word);
        }
        (hash, stages)
    }

    /// Replaces the rule of this match and priority; gives the new one back where there is none.
    pub(crate) fn replace(&mut self, rule: T) -> Result<T, T> {
        let (hash, _) = self.hashes(rule.matching());
        let words = rule.matching().words();
        let found = self.buckets.find_mut(hash, |(h, bucket)| *h == hash && bucket.has_words(words));
        match found.and_then(|(_, bucket)| bucket.of_priority(rule.priority())) {
            Some(old) => Ok(std::mem::replace(old, rule)),
            None => Err(rule),
        }
    }

    /// Adds a rule, whose mask is the subtable's, before those of the same match and priority, which `beside` is told of. If
    /// there are none, each tracked prefix is given to `track`, as the number of its field and its length.
    pub(crate) fn add(
        &mut self,
        rule: T,
        mut track: impl FnMut(&SparseMatch, usize, u32),
        beside: impl FnMut(&T),
    ) {
        let (hash, stages) = self.hashes(rule.matching());
        let words = rule.matching().words();
        let mut found = self.buckets.find_mut(hash, |(h, bucket)| *h == hash && bucket.has_words(words));
        let is_first =
            |(_, bucket): &mut &mut (u64, Bucket<T>)| bucket.of_priority(rule.priority()).is_none();
        if found.as_mut().is_none_or(is_first) {
            *self.priorities.entry(rule.priority()).or_insert(0) += 1;
            self.prefixes.iter().for_each(|&(i, len, _)| track(rule.matching(), i.into(), len.into()));
        }
        if let Some((_, bucket)) = found {
            let priority = rule.priority();
            bucket.rules().iter().filter(|other| other.priority() == priority).for_each(beside);
            return bucket.add(rule);
        }
        if let Some(ports) = &mut self.ports {
            ports.set.insert(ports.value(rule.matching().word(Ports::WORD)), ports.len);
        }
        for (stage, hash) in self.stages.iter_mut().zip(stages) {
            stage.add(hash);
        }
        self.buckets.insert_unique(hash, (hash, Bucket::One(rule)), |(hash, _)| *hash);
    }

    /// Removes the first rule of this match and priority that `is_meant`; and whether no other has both.
    pub(crate) fn remove(
        &mut self,
        matching: &SparseMatch,
        priority: i32,
        is_meant: impl Fn(&T) -> bool,
    ) -> Option<(T, bool)> {
        let (hash, stages) = self.hashes(matching);
        let words = matching.words();
        let mut entry =
            self.buckets.find_entry(hash, |(h, bucket)| *h == hash && bucket.has_words(words)).ok()?;
        let is_it = |rule: &T| rule.priority() == priority && is_meant(rule);
        let at = entry.get().1.rules().iter().position(is_it)?;
        let is_last = entry.get().1.count_of(priority) == 1;
        let rule = if let (_, Bucket::Several(several)) = entry.get_mut() {
            let rule = several.rules.remove(at);
            if several.rules.len() == 1
                && let Some(last) = several.rules.pop()
            {
                entry.get_mut().1 = Bucket::One(last);
            }
            rule
        } else {
            let ((_, Bucket::One(rule)), _) = entry.remove() else { return None };
            give_back(&mut self.buckets, |(hash, _)| *hash);
            if let Some(ports) = &mut self.ports {
                ports.set.remove(ports.value(matching.word(Ports::WORD)), ports.len);
            }
            for (stage, hash) in self.stages.iter_mut().zip(stages) {
                stage.subtract(hash);
            }
            rule
        };
        if is_last && let Some(count) = self.priorities.get_mut(&priority) {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&priority);
            }
        }
        Some((rule, is_last))
    }

    pub(crate) fn find(
        &self,
        matching: &SparseMatch,
        priority: i32,
        is_meant: impl Fn(&T) -> bool,
    ) -> Option<&T> {
        let (hash, _) = self.hashes(matching);
        let words = matching.words();
        let (_, bucket) = self.buckets.find(hash, |(h, bucket)| *h == hash && bucket.has_words(words))?;
        bucket.rules().iter().find(|rule| rule.priority() == priority && is_meant(rule))
    }

    /// The rules that `key` matches; the bits looked at are added to `depends`.
    pub(crate) fn lookup(
        &self,
        key: &FlowKey,
        asked: &mut Asked<'_>,
        mut depends: Option<&mut FlowMask>,
    ) -> &[T] {
        let mut hash = 0;
        let mut from = 0;
        for stage in 0..=self.stages.len() {
            let end = self.stage_ends.get(stage).map_or(self.parts.len(), |&end| usize::from(end));
            if let Some(depends) = depends.as_deref_mut() {
                let here =
                    self.prefixes.iter().filter(|(.., place)| (from..end).contains(&usize::from(*place)));
                for &(index, len, _) in here {
                    if asked.rules_out(key, usize::from(index), u32::from(len), depends) {
                        self.looked_at(from, Some(depends));
                        return &[];
                    }
                }
            }
            for &(index, mask) in self.parts.get(from..end).unwrap_or(&[]) {
                hash = mix(hash, key.word(usize::from(index)) & mask);
            }
            let Some(known) = self.stages.get(stage) else { break };
            if !known.contains(hash) {
                self.looked_at(end, depends);
                return &[];
            }
            from = end;
        }
        let found = self.buckets.find(hash, |(h, bucket)| {
            *h == hash
                && bucket.rules().first().is_some_and(|rule| {
                    let mut parts = rule.matching().words().iter().zip(&self.parts);
                    parts.all(|(&word, &(index, mask))| key.word(usize::from(index)) & mask == word)
                })
        });
        if found.is_none()
            && let Some(ports) = &self.ports
            && let Some(depends) = depends.as_deref_mut()
            && !ports.set.contains(ports.value(key.word(Ports::WORD)), ports.len)
        {
            // The ports alone rule every rule out. The other fields of the last stage count as looked at all
            // the same: they are in the masks that people know from the reference.
            let bits = ports.set.mask(ports.set.bits(ports.value(key.word(Ports::WORD)))) as u32 & ports.mask;
            for &(index, mask) in &self.parts {
                let mask = match usize::from(index) {
                    Ports::WORD => mask & u64::from(u32::MAX) | u64::from(bits) << 32,
                    _ => mask,
                };
                depends.add_word(usize::from(index), mask);
            }
            return &[];
        }
        self.looked_at(self.parts.len(), depends);
        found.map_or(&[], |(_, bucket)| bucket.rules())
    }

    fn looked_at(&self, count: usize, depends: Option<&mut FlowMask>) {
        if let Some(depends) = depends {
            for &(index, mask) in self.parts.iter().take(count) {
                depends.add_word(usize::from(index), mask);
            }
        }
    }
}
