//! The rules of one mask.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::extract::mix;
use flow::{FlowKey, FlowMask, STAGES, Slot, SparseKey, slot, stage_word};
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

use crate::prefixes::PrefixSet;

/// A rule as it is kept.
#[derive(Clone, Debug)]
pub struct Rule<T> {
    /// Among rules that match a packet, the greatest wins.
    pub priority: i32,
    /// The values at the places of the mask's words.
    words: Box<[u64]>,
    /// The bits that must agree.
    pub mask: Arc<SparseKey>,
    /// What the caller keeps with the rule.
    pub value: T,
}

impl<T> Rule<T> {
    /// Word `index` of the rule's key, bits outside the mask being zero.
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.mask.place(index).and_then(|place| self.words.get(place)).copied().unwrap_or(0)
    }

    /// The numbers of the mask's words, with the bits of the mask and those of the key.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (usize, u64, u64)> + '_ {
        self.mask.iter().zip(&self.words).map(|((index, bits), &word)| (index, bits, word))
    }

    /// The rule's key, bits outside the mask being zero.
    pub fn key(&self) -> FlowKey {
        let mut key = FlowKey::new();
        for (index, _, word) in self.parts() {
            key.set_word(index, word);
        }
        key
    }

    /// The rule's mask, dense.
    pub fn mask(&self) -> FlowMask {
        FlowMask::from(&*self.mask)
    }
}

/// Rules with equal masked keys, by falling priority.
type Bucket<T> = SmallVec<[Rule<T>; 1]>;

#[derive(Debug)]
pub(crate) struct Subtable<T> {
    mask: Arc<SparseKey>,
    /// The mask's words with their places.
    parts: Box<[(u8, u64)]>,
    /// Where in `parts` each stage ends that has parts, all but the last stage.
    stage_ends: SmallVec<[u8; 3]>,
    /// Per stage in `stage_ends`: how many buckets have this hash up to there.
    stages: SmallVec<[HashMap<u64, u32>; 3]>,
    buckets: HashTable<(u64, Bucket<T>)>,
    /// How many rules have each priority.
    priorities: BTreeMap<i32, u32>,
    /// Tracked fields of which the mask has a prefix: which, its length, its place in `parts`.
    prefixes: SmallVec<[(u8, u8, u8); 2]>,
    /// The L4 ports of the rules, when the mask has bits of them.
    ports: Option<Ports>,
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

    fn value(&self, key: &FlowKey) -> u128 {
        u128::from((key.core()[Ports::WORD] >> 32) as u32 & self.mask)
    }
}

/// What one lookup knows of the key's tracked fields, found when first needed.
pub(crate) struct Asked<'a> {
    fields: &'a [(Slot, PrefixSet)],
    bits: SmallVec<[Option<u32>; 4]>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(fields: &'a [(Slot, PrefixSet)]) -> Asked<'a> {
        Asked { fields, bits: SmallVec::from_elem(None, fields.len()) }
    }

    /// Whether no rule of the table has the key's prefix of this length, and that is cheaper to
    /// depend on than the subtable's own mask. Adds what it depends on.
    fn rules_out(&mut self, key: &FlowKey, index: usize, len: u32, depends: &mut FlowMask) -> bool {
        let Some((field, set)) = self.fields.get(index) else { return false };
        let value = key.read(*field);
        if set.contains(value, len) {
            return false;
        }
        let Some(known) = self.bits.get_mut(index) else { return false };
        let bits = *known.get_or_insert_with(|| set.bits(value));
        let mask = set.mask(bits);
        let is_free = depends.bits(*field) & mask == mask;
        if bits <= len || is_free {
            depends.add(*field, mask);
            return true;
        }
        false
    }
}

impl<T> Subtable<T> {
    pub(crate) fn new(mask: SparseKey) -> Subtable<T> {
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
            mask: Arc::new(mask),
            stages: stage_ends.iter().map(|_| HashMap::new()).collect(),
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

    /// The tracked fields of which the mask has a prefix, and its length.
    pub(crate) fn prefix_lens(&self) -> SmallVec<[(usize, u32); 2]> {
        self.prefixes.iter().map(|&(index, len, _)| (usize::from(index), u32::from(len))).collect()
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

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule<T>> {
        self.buckets.iter().flat_map(|(_, bucket)| bucket)
    }

    /// The masked words of `key`, their hash, and the hashes up to each stage.
    fn masked(&self, key: &FlowKey) -> (Box<[u64]>, u64, SmallVec<[u64; 3]>) {
        let masked: Box<[u64]> =
            self.parts.iter().map(|&(index, mask)| key.word(usize::from(index)) & mask).collect();
        let mut hash = 0;
        let mut stages = SmallVec::new();
        for (count, &word) in masked.iter().enumerate() {
            if self.stage_ends.get(stages.len()) == Some(&(count as u8)) {
                stages.push(hash);
            }
            hash = mix(hash, word);
        }
        (masked, hash, stages)
    }

    pub(crate) fn insert(&mut self, key: &FlowKey, priority: i32, value: T) -> Option<T> {
        let (words, hash, stages) = self.masked(key);
        let rule = Rule { priority, words, mask: self.mask.clone(), value };
        let found = self.buckets.find_mut(hash, |(h, bucket)| *h == hash && has_words(bucket, &rule.words));
        match found {
            Some((_, bucket)) => {
                let at = bucket.partition_point(|other| other.priority > priority);
                if let Some(same) = bucket.get_mut(at).filter(|other| other.priority == priority) {
                    return Some(std::mem::replace(&mut same.value, rule.value));
                }
                bucket.insert(at, rule);
            }
            None => {
                let mut bucket = Bucket::new();
                bucket.push(rule);
                self.buckets.insert_unique(hash, (hash, bucket), |(hash, _)| *hash);
                if let Some(ports) = &mut self.ports {
                    ports.set.insert(ports.value(key), ports.len);
                }
                for (stage, hash) in self.stages.iter_mut().zip(stages) {
                    *stage.entry(hash).or_insert(0) += 1;
                }
            }
        }
        *self.priorities.entry(priority).or_insert(0) += 1;
        None
    }

    pub(crate) fn remove(&mut self, key: &FlowKey, priority: i32) -> Option<T> {
        let (words, hash, stages) = self.masked(key);
        let mut entry =
            self.buckets.find_entry(hash, |(h, bucket)| *h == hash && has_words(bucket, &words)).ok()?;
        let bucket = &mut entry.get_mut().1;
        let at = bucket.iter().position(|rule| rule.priority == priority)?;
        let rule = bucket.remove(at);
        if bucket.is_empty() {
            entry.remove();
            if let Some(ports) = &mut self.ports {
                ports.set.remove(ports.value(key), ports.len);
            }
            for (stage, hash) in self.stages.iter_mut().zip(stages) {
                decrement(stage, hash);
            }
        }
        if let Some(count) = self.priorities.get_mut(&priority) {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&priority);
            }
        }
        Some(rule.value)
    }

    pub(crate) fn find_exact(&self, key: &FlowKey, priority: i32) -> Option<&Rule<T>> {
        let (words, hash, _) = self.masked(key);
        let (_, bucket) = self.buckets.find(hash, |(h, bucket)| *h == hash && has_words(bucket, &words))?;
        bucket.iter().find(|rule| rule.priority == priority)
    }

    pub(crate) fn find_exact_mut(&mut self, key: &FlowKey, priority: i32) -> Option<&mut T> {
        let (words, hash, _) = self.masked(key);
        let (_, bucket) =
            self.buckets.find_mut(hash, |(h, bucket)| *h == hash && has_words(bucket, &words))?;
        bucket.iter_mut().find(|rule| rule.priority == priority).map(|rule| &mut rule.value)
    }

    /// The rules that `key` matches; the bits looked at are added to `depends`.
    pub(crate) fn lookup(
        &self,
        key: &FlowKey,
        asked: &mut Asked<'_>,
        mut depends: Option<&mut FlowMask>,
    ) -> &[Rule<T>] {
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
            if !known.contains_key(&hash) {
                self.looked_at(end, depends);
                return &[];
            }
            from = end;
        }
        let found = self.buckets.find(hash, |(h, bucket)| {
            *h == hash
                && bucket.first().is_some_and(|rule| {
                    let mut parts = rule.words.iter().zip(&self.parts);
                    parts.all(|(&word, &(index, mask))| key.word(usize::from(index)) & mask == word)
                })
        });
        if found.is_none()
            && let Some(ports) = &self.ports
            && let Some(depends) = depends.as_deref_mut()
            && !ports.set.contains(ports.value(key), ports.len)
        {
            // The ports alone rule every rule out. The other fields of the last stage count as looked at all
            // the same: they are in the masks that people know from the reference.
            let bits = ports.set.mask(ports.set.bits(ports.value(key))) as u32 & ports.mask;
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
        found.map_or(&[], |(_, bucket)| bucket)
    }

    fn looked_at(&self, count: usize, depends: Option<&mut FlowMask>) {
        if let Some(depends) = depends {
            for &(index, mask) in self.parts.iter().take(count) {
                depends.add_word(usize::from(index), mask);
            }
        }
    }
}

fn has_words<T>(bucket: &Bucket<T>, words: &[u64]) -> bool {
    bucket.first().is_some_and(|rule| *rule.words == *words)
}

fn decrement(counts: &mut HashMap<u64, u32>, hash: u64) {
    if let Some(count) = counts.get_mut(&hash) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&hash);
        }
    }
}
