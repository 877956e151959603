//! The datapath's table: megaflows, without priorities, behind a cache of signatures.

use std::collections::VecDeque;

use flow::extract::mix;
use flow::{FlowKey, FlowMask, PacketKey, SparseKey};
use hashbrown::{HashMap, HashTable};

/// Ways of one set of the signature cache.
const WAYS: usize = 4;
/// Sets of the signature cache: 2^15 sets of 4 ways are 1 MiB, touched as used.
const SETS: usize = 1 << 15;
/// Lookups after which the subtables are sorted by use.
const SORT_EVERY: u32 = 1 << 14;

/// A megaflow as it is kept.
#[derive(Debug)]
pub struct Megaflow<T> {
    parts: Box<[(u64, u64)]>,
    indices: Box<[u8]>,
    subtable: u32,
    hash: u64,
    /// What the caller keeps with the flow.
    pub value: T,
}

impl<T> Megaflow<T> {
    #[inline]
    fn is_match(&self, key: &FlowKey) -> bool {
        let mut difference = 0;
        for (&(word, mask), &index) in self.parts.iter().zip(&self.indices) {
            difference |= (key.word(usize::from(index)) & mask) ^ word;
        }
        difference == 0
    }
}

#[derive(Debug)]
struct Subtable {
    mask: SparseKey,
    parts: Box<[(u8, u64)]>,
    /// Places in `Megaflows::flows`.
    places: HashTable<u32>,
    hits: u32,
}

impl Subtable {
    #[inline]
    fn hash(&self, key: &FlowKey) -> u64 {
        self.parts.iter().fold(0, |hash, &(index, mask)| mix(hash, key.word(usize::from(index)) & mask))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Signature {
    tag: u32,
    /// Place plus one; zero is empty.
    place: u32,
}

/// Megaflows by packet.
///
/// Megaflows must not contradict each other: where two match the same packet,
/// either may be the answer. A lookup first asks the signature cache, which
/// remembers by the hash of whole keys where the answer stood; the answer is
/// compared with the key under its mask, so a stale or colliding entry costs
/// time and nothing else.
#[derive(Debug)]
pub struct Megaflows<T> {
    flows: Vec<Option<Megaflow<T>>>,
    /// Places without a flow, those first that have been so longest.
    free: VecDeque<u32>,
    subtables: Vec<Subtable>,
    by_mask: HashMap<SparseKey, u32>,
    order: Vec<u32>,
    cache: Box<[[Signature; WAYS]]>,
    lookups: u32,
    len: usize,
}

/// How a lookup found its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// In the signature cache.
    Cache,
    /// In the table, after asking this many subtables.
    Table(u32),
}

impl<T> Default for Megaflows<T> {
    fn default() -> Self {
        Megaflows::new()
    }
}

impl<T> Megaflows<T> {
    /// A table without flows.
    pub fn new() -> Megaflows<T> {
        Megaflows {
            flows: Vec::new(),
            free: VecDeque::new(),
            subtables: Vec::new(),
            by_mask: HashMap::new(),
            order: Vec::new(),
            cache: vec![[Signature::default(); WAYS]; SETS].into_boxed_slice(),
            lookups: 0,
            len: 0,
        }
    }

    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no flows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many masks the flows have: the subtables that a miss asks.
    pub fn mask_count(&self) -> usize {
        self.order.len()
    }

    /// The flow at `place`, which stays its place until it is removed.
    #[inline]
    pub fn get(&self, place: u32) -> Option<&T> {
        self.flows.get(place as usize)?.as_ref().map(|flow| &flow.value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.flows.get_mut(place as usize)?.as_mut().map(|flow| &mut flow.value)
    }

    /// The number of places, some of them empty; for walking in chunks.
    pub fn places(&self) -> u32 {
        self.flows.len() as u32
    }

    /// Adds a flow; its place. The caller sees to it that none with this match exists.
    pub fn insert(&mut self, key: &FlowKey, mask: &FlowMask, value: T) -> u32 {
        let sparse = SparseKey::from(mask);
        let id = match self.by_mask.get(&sparse) {
            Some(&id) => id,
            None => {
                let parts = sparse.iter().map(|(index, mask)| (index as u8, mask)).collect();
                self.subtables.push(Subtable {
                    mask: sparse.clone(),
                    parts,
                    places: HashTable::new(),
                    hits: 0,
                });
                let id = (self.subtables.len() - 1) as u32;
                self.by_mask.insert(sparse.clone(), id);
                self.order.push(id);
                id
            }
        };
        let parts = sparse.iter().map(|(index, mask)| (key.word(index) & mask, mask)).collect();
        let indices = sparse.iter().map(|(index, _)| index as u8).collect();
        let Some(table) = self.subtables.get_mut(id as usize) else { return u32::MAX };
        let hash = table.hash(key);
        let flow = Megaflow { parts, indices, subtable: id, hash, value };
        let place = match self.free.pop_front() {
            Some(place) => {
                if let Some(slot) = self.flows.get_mut(place as usize) {
                    *slot = Some(flow);
                }
                place
            }
            None => {
                self.flows.push(Some(flow));
                (self.flows.len() - 1) as u32
            }
        };
        let flows = &self.flows;
        table.places.insert_unique(hash, place, |&p| {
            flows.get(p as usize).and_then(Option::as_ref).map_or(0, |f| f.hash)
        });
        self.len += 1;
        place
    }

    /// Removes the flow at `place`.
    pub fn remove(&mut self, place: u32) -> Option<T> {
        let flow = self.flows.get_mut(place as usize)?.take()?;
        self.free.push_back(place);
        self.len -= 1;
        if let Some(table) = self.subtables.get_mut(flow.subtable as usize) {
            if let Ok(entry) = table.places.find_entry(flow.hash, |&p| p == place) {
                entry.remove();
            }
            if table.places.is_empty() {
                self.drop_subtable(flow.subtable);
            }
        }
        Some(flow.value)
    }

    fn drop_subtable(&mut self, id: u32) {
        let last = self.subtables.len() as u32 - 1;
        let gone = self.subtables.swap_remove(id as usize);
        self.by_mask.remove(&gone.mask);
        self.order.retain(|&other| other != id);
        if last == id {
            return;
        }
        for other in &mut self.order {
            if *other == last {
                *other = id;
            }
        }
        if let Some(moved) = self.subtables.get(id as usize) {
            self.by_mask.insert(moved.mask.clone(), id);
            for &place in &moved.places {
                if let Some(Some(flow)) = self.flows.get_mut(place as usize) {
                    flow.subtable = id;
                }
            }
        }
    }

    /// The flow that `key` matches, `hash` being [`PacketKey::hash`]; its place, and how it was found.
    #[inline]
    pub fn lookup(&mut self, key: &PacketKey, hash: u64) -> Option<(u32, Found)> {
        let set = hash as usize % SETS;
        let tag = (hash >> 32) as u32;
        for signature in self.cache.get(set)? {
            if signature.tag == tag && signature.place != 0 {
                let place = signature.place - 1;
                if let Some(Some(flow)) = self.flows.get(place as usize)
                    && flow.is_match(key.key())
                {
                    return Some((place, Found::Cache));
                }
            }
        }
        let (place, asked) = self.lookup_table(key.key())?;
        if let Some(ways) = self.cache.get_mut(set) {
            let way = ways
                .iter()
                .position(|s| s.tag == tag || s.place == 0)
                .unwrap_or(self.lookups as usize % WAYS);
            if let Some(entry) = ways.get_mut(way) {
                *entry = Signature { tag, place: place + 1 };
            }
        }
        Some((place, Found::Table(asked)))
    }

    /// The same without the cache, for whoever has no packet's hash.
    pub fn lookup_table(&mut self, key: &FlowKey) -> Option<(u32, u32)> {
        self.lookups = self.lookups.wrapping_add(1);
        if self.lookups.is_multiple_of(SORT_EVERY) {
            self.sort();
        }
        let flows = &self.flows;
        let mut asked = 0;
        for &id in &self.order {
            asked += 1;
            let Some(table) = self.subtables.get_mut(id as usize) else { continue };
            let hash = table.hash(key);
            let found = table.places.find(hash, |&place| {
                flows.get(place as usize).and_then(Option::as_ref).is_some_and(|flow| flow.is_match(key))
            });
            if let Some(&place) = found {
                table.hits = table.hits.saturating_add(1);
                return Some((place, asked));
            }
        }
        None
    }

    /// Brings the subtables that are hit most to the front.
    fn sort(&mut self) {
        let tables = &mut self.subtables;
        self.order
            .sort_by_key(|&id| std::cmp::Reverse(tables.get(id as usize).map_or(0, |table| table.hits)));
        for table in tables {
            table.hits /= 2;
        }
    }

    /// Removes all flows; places are given out from the first again.
    pub fn clear(&mut self) {
        self.flows.clear();
        self.free.clear();
        self.subtables.clear();
        self.by_mask.clear();
        self.order.clear();
        self.cache.fill([Signature::default(); WAYS]);
        self.len = 0;
    }
}
