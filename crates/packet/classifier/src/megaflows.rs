//! The datapath's table: megaflows, without priorities, behind a cache of signatures.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;

use flow::extract::mix;
use flow::{FlowKey, FlowMask, PacketKey, SparseKey, WORDS, slot};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::rounding::{self, Width};

/// Ways of one set of the signature cache.
const WAYS: usize = 4;
/// Sets of the signature cache at least: 2^15 sets of 4 ways are 1 MiB, touched as used.
const MIN_SETS: usize = 1 << 15;
/// Sets of it at most.
const MAX_SETS: usize = 1 << 18;
/// Packets of a port that were not of its first subtable after which its subtables are sorted by use.
const SORT_EVERY: u32 = 1 << 14;

/// Masks that the flows of one port have before new ones are rounded.
pub const EXACT_MASKS: usize = 32;
/// Masks of one port, rounded ones among them, before new ones are united.
pub const ROUNDED_MASKS: usize = 48;
/// Masks of one port before the flows that want another one match all that a packet has. Of these masks there are two:
/// with and without the options of tunnels.
pub const UNITED_MASKS: usize = 56;

/// Ports with a smaller number have their masks at that place in a list.
const LISTED_PORTS: u32 = 1 << 16;

/// A megaflow as it is kept.
#[derive(Debug)]
struct Megaflow<T> {
    /// The words of its key where its mask has any, in the order of [`Subtable::masked`].
    words: Box<[u64]>,
    subtable: u32,
    value: T,
}

/// The flows of one port with one mask.
#[derive(Debug)]
struct Subtable {
    mask: SparseKey,
    /// The mask's words that every key has, with their numbers.
    near: Box<[(u8, u64)]>,
    /// Those of the extension, which few masks have.
    far: Box<[(u8, u64)]>,
    /// Half of each flow's hash, and its place in `Megaflows::flows`: most flows that are not meant are told from the
    /// hash, without a look at them.
    places: HashTable<(u32, u32)>,
    hits: u64,
    port: Option<u32>,
    seed: u64,
}

/// The hash of a masked key for the hash table: that of 32 bits, twice.
#[inline]
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

impl Subtable {
    /// The words of the key that count, in the order of a flow's words.
    fn masked(&self, key: &FlowKey) -> Box<[u64]> {
        let parts = self.near.iter().chain(&self.far);
        parts.map(|&(index, mask)| key.word(usize::from(index)) & mask).collect()
    }

    #[inline(always)]
    fn hash(&self, key: &FlowKey) -> u32 {
        let core = key.core();
        let near = self.near.iter();
        let hash =
            near.fold(self.seed, |hash, &(index, mask)| mix(hash, core[usize::from(index) % WORDS] & mask));
        if self.far.is_empty() { hash as u32 } else { self.hash_far(hash, key) }
    }

    #[cold]
    fn hash_far(&self, hash: u64, key: &FlowKey) -> u32 {
        let far = self.far.iter();
        far.fold(hash, |hash, &(index, mask)| mix(hash, key.word(usize::from(index)) & mask)) as u32
    }

    /// The hash of a key of which these are the masked words.
    fn hash_of(&self, words: &[u64]) -> u32 {
        words.iter().fold(self.seed, |hash, &word| mix(hash, word)) as u32
    }

    #[inline(always)]
    fn is_match(&self, words: &[u64], key: &FlowKey) -> bool {
        let core = key.core();
        for (&(index, mask), &word) in self.near.iter().zip(words) {
            // A loop without this way out would be made one of vectors, which are slower for so few words.
            if core[usize::from(index) % WORDS] & mask != word {
                return false;
            }
        }
        self.far.is_empty() || self.is_far_match(words, key)
    }

    #[cold]
    fn is_far_match(&self, words: &[u64], key: &FlowKey) -> bool {
        let words = words.get(self.near.len()..).unwrap_or_default();
        self.far.iter().zip(words).all(|(&(index, mask), &word)| key.word(usize::from(index)) & mask == word)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Signature {
    tag: u32,
    /// Place plus one; zero is empty.
    place: u32,
}

/// The masks of the flows of one port, or of those that packets of any port match.
#[derive(Debug, Default)]
struct Masks {
    /// Subtables, by falling number of hits when they were sorted last.
    order: Vec<u32>,
    /// Since they were sorted.
    late_hits: u32,
    /// The united mask that was made last.
    united: Option<Box<FlowMask>>,
}

/// Megaflows by packet.
///
/// Megaflows must not contradict each other: where two match the same packet,
/// either may be the answer. A lookup first asks the signature cache, which
/// remembers by the hash of whole keys where the answer stood; the answer is
/// compared with the key under its mask, so a stale or colliding entry costs
/// time and nothing else.
///
/// Each port has masks of its own, and a packet is looked up under those of
/// its port alone. Whoever sends packets can make flows with masks of many
/// kinds, which every miss has to ask; [`Megaflows::fit`] bounds them.
#[derive(Debug)]
pub struct Megaflows<T> {
    flows: Vec<Option<Megaflow<T>>>,
    /// Places without a flow, those first that have been so longest.
    free: VecDeque<u32>,
    subtables: Vec<Subtable>,
    /// Places in `subtables` without flows.
    free_subtables: Vec<u32>,
    /// By number of port.
    ports: Vec<Masks>,
    /// Of ports with large numbers.
    far_ports: HashMap<u32, Masks>,
    /// Of flows that do not say of which port they are.
    any_port: Masks,
    cache: Box<[[Signature; WAYS]]>,
    victim: u32,
    len: usize,
    /// Senders of packets choose keys, so hashes are others in each process.
    seed: u64,
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

fn new_cache(sets: usize) -> Box<[[Signature; WAYS]]> {
    vec![[Signature::default(); WAYS]; sets].into_boxed_slice()
}

impl<T> Megaflows<T> {
    /// A table without flows.
    pub fn new() -> Megaflows<T> {
        Megaflows {
            flows: Vec::new(),
            free: VecDeque::new(),
            subtables: Vec::new(),
            free_subtables: Vec::new(),
            ports: Vec::new(),
            far_ports: HashMap::new(),
            any_port: Masks::default(),
            cache: new_cache(MIN_SETS),
            victim: 0,
            len: 0,
            seed: DefaultHashBuilder::default().hash_one(0),
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

    /// How many masks the flows have, the same mask counting once for each port.
    pub fn mask_count(&self) -> usize {
        self.subtables.len() - self.free_subtables.len()
    }

    /// How many masks the flows of one port have: the subtables that a miss of its packets asks.
    pub fn masks_of_port(&self, port: u32) -> usize {
        self.masks(Some(port)).map_or(0, |masks| masks.order.len())
    }

    /// The flow at `place`, which stays its place until it is removed.
    #[inline]
    pub fn get(&self, place: u32) -> Option<&T> {
        self.flows.get(place as usize)?.as_ref().map(|flow| &flow.value)
    }

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.flows.get_mut(place as usize)?.as_mut().map(|flow| &mut flow.value)
    }

    /// The mask of the flow at `place`.
    pub fn mask(&self, place: u32) -> Option<&SparseKey> {
        let flow = self.flows.get(place as usize)?.as_ref()?;
        self.subtables.get(flow.subtable as usize).map(|table| &table.mask)
    }

    /// Whether there is a flow at `place` which `key` matches.
    pub fn is_match(&self, place: u32, key: &FlowKey) -> bool {
        let flow = self.flows.get(place as usize).and_then(Option::as_ref);
        flow.is_some_and(|flow| {
            let table = self.subtables.get(flow.subtable as usize);
            table.is_some_and(|table| table.is_match(&flow.words, key))
        })
    }

    /// The number of places, some of them empty; for walking in chunks.
    pub fn places(&self) -> u32 {
        self.flows.len() as u32
    }

    fn masks(&self, port: Option<u32>) -> Option<&Masks> {
        match port {
            Some(port) if port < LISTED_PORTS => self.ports.get(port as usize),
            Some(port) => self.far_ports.get(&port),
            None => Some(&self.any_port),
        }
    }

    fn masks_mut(&mut self, port: Option<u32>) -> &mut Masks {
        match port {
            Some(port) if port < LISTED_PORTS => {
                let index = port as usize;
                if self.ports.len() <= index {
                    self.ports.resize_with(index + 1, Masks::default);
                }
                match self.ports.get_mut(index) {
                    Some(masks) => masks,
                    None => &mut self.any_port,
                }
            }
            Some(port) => self.far_ports.entry(port).or_default(),
            None => &mut self.any_port,
        }
    }

    /// Widens the mask of a flow that a packet with `key` makes, where its port has many masks already; how far.
    ///
    /// However packets are made, the flows of a port whose masks went through here have [`UNITED_MASKS`] different
    /// ones at most, and two more.
    pub fn fit(&mut self, key: &FlowKey, mask: &mut FlowMask) -> Width {
        let port = port_of(key, mask.bits(slot::IN_PORT));
        let Some(masks) = self.masks(port) else { return Width::Exact };
        let count = masks.order.len();
        if count < EXACT_MASKS || self.subtable_of(port, &SparseKey::from(&*mask)).is_some() {
            return Width::Exact;
        }
        rounding::round(mask, key);
        if count < ROUNDED_MASKS || self.subtable_of(port, &SparseKey::from(&*mask)).is_some() {
            return Width::Rounded;
        }
        let before = self.masks(port).and_then(|masks| masks.united.as_deref());
        if let Some(before) = before {
            mask.unite(before);
        }
        if count < UNITED_MASKS || self.subtable_of(port, &SparseKey::from(&*mask)).is_some() {
            if before != Some(&*mask) {
                self.masks_mut(port).united = Some(Box::new(mask.clone()));
            }
            return Width::United;
        }
        rounding::make_whole(mask);
        Width::Whole
    }

    fn subtable_of(&self, port: Option<u32>, mask: &SparseKey) -> Option<u32> {
        let is_it = |id: u32| self.subtables.get(id as usize).is_some_and(|table| table.mask == *mask);
        self.masks(port)?.order.iter().copied().find(|&id| is_it(id))
    }

    fn add_subtable(&mut self, port: Option<u32>, mask: SparseKey) -> u32 {
        let parts = mask.iter().map(|(index, mask)| (index as u8, mask));
        let (near, far): (Vec<_>, Vec<_>) = parts.partition(|&(index, _)| usize::from(index) < WORDS);
        let (near, far) = (near.into(), far.into());
        let table = Subtable { mask, near, far, places: HashTable::new(), hits: 0, port, seed: self.seed };
        let id = match self.free_subtables.pop() {
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
        self.masks_mut(port).order.push(id);
        id
    }

    /// Adds a flow; its place. The caller sees to it that none with this match exists.
    pub fn insert(&mut self, key: &FlowKey, mask: &FlowMask, value: T) -> u32 {
        let port = port_of(key, mask.bits(slot::IN_PORT));
        let sparse = SparseKey::from(mask);
        let id = match self.subtable_of(port, &sparse) {
            Some(id) => id,
            None => self.add_subtable(port, sparse),
        };
        let Some(table) = self.subtables.get_mut(id as usize) else { return u32::MAX };
        let words = table.masked(key);
        let half = table.hash_of(&words);
        let flow = Megaflow { words, subtable: id, value };
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
        table.places.insert_unique(spread(half), (half, place), |&(half, _)| spread(half));
        self.len += 1;
        if self.len * 2 > self.cache.len() * WAYS && self.cache.len() < MAX_SETS {
            self.cache = new_cache(self.cache.len() * 2);
        }
        place
    }

    /// Removes the flow at `place`.
    pub fn remove(&mut self, place: u32) -> Option<T> {
        let flow = self.flows.get_mut(place as usize)?.take()?;
        self.free.push_back(place);
        self.len -= 1;
        if let Some(table) = self.subtables.get_mut(flow.subtable as usize) {
            let hash = spread(table.hash_of(&flow.words));
            if let Ok(entry) = table.places.find_entry(hash, |&(_, p)| p == place) {
                entry.remove();
            }
            if table.places.is_empty() {
                self.drop_subtable(flow.subtable);
            } else if table.places.len() < table.places.capacity() / 8 {
                table.places.shrink_to_fit(|&(half, _)| spread(half));
            }
        }
        if self.len * 16 < self.cache.len() * WAYS && self.cache.len() > MIN_SETS {
            self.cache = new_cache(self.cache.len() / 2);
        }
        Some(flow.value)
    }

    fn drop_subtable(&mut self, id: u32) {
        let Some(table) = self.subtables.get_mut(id as usize) else { return };
        table.places = HashTable::new();
        let port = table.port;
        self.free_subtables.push(id);
        let masks = self.masks_mut(port);
        masks.order.retain(|&other| other != id);
        if masks.order.is_empty() {
            *masks = Masks::default();
            if let Some(port) = port {
                self.far_ports.remove(&port);
            }
        }
    }

    /// The flow that `key` matches, `hash` being [`PacketKey::hash`]; its place, and how it was found.
    #[inline]
    pub fn lookup(&mut self, key: &PacketKey, hash: u64) -> Option<(u32, Found)> {
        let set = hash as usize & (self.cache.len() - 1);
        let tag = (hash >> 32) as u32;
        for signature in self.cache.get(set)? {
            if signature.tag == tag && signature.place != 0 {
                let place = signature.place - 1;
                if let Some(Some(flow)) = self.flows.get(place as usize)
                    && let Some(table) = self.subtables.get(flow.subtable as usize)
                    && table.is_match(&flow.words, key.key())
                {
                    return Some((place, Found::Cache));
                }
            }
        }
        let (place, asked) = self.lookup_table(key.key())?;
        self.victim = self.victim.wrapping_add(1);
        if let Some(ways) = self.cache.get_mut(set) {
            let way =
                ways.iter().position(|s| s.tag == tag || s.place == 0).unwrap_or(self.victim as usize % WAYS);
            if let Some(entry) = ways.get_mut(way) {
                *entry = Signature { tag, place: place + 1 };
            }
        }
        Some((place, Found::Table(asked)))
    }

    /// The same without the cache, for whoever has no packet's hash.
    #[inline]
    pub fn lookup_table(&mut self, key: &FlowKey) -> Option<(u32, u32)> {
        let port = key.in_port();
        let own = match self.ports.get(port as usize) {
            Some(masks) => masks.order.as_slice(),
            None if self.far_ports.is_empty() => &[],
            None => self.far_ports.get(&port).map_or(&[][..], |masks| &masks.order),
        };
        let (flows, subtables) = (self.flows.as_slice(), self.subtables.as_mut_slice());
        if let Some((place, asked)) = ask(own, subtables, flows, key) {
            if asked > 1 {
                self.count_late_hit(Some(port));
            }
            return Some((place, asked));
        }
        if self.any_port.order.is_empty() {
            return None;
        }
        let before = own.len() as u32;
        let (place, asked) = ask(&self.any_port.order, subtables, flows, key)?;
        if asked > 1 {
            self.count_late_hit(None);
        }
        Some((place, before + asked))
    }

    /// Counts a packet that was looked up in vain in subtables before its own; after many, those that are hit most come to
    /// the front.
    #[inline(never)]
    fn count_late_hit(&mut self, port: Option<u32>) {
        let masks = match port {
            Some(port) if port < LISTED_PORTS => self.ports.get_mut(port as usize),
            Some(port) => self.far_ports.get_mut(&port),
            None => Some(&mut self.any_port),
        };
        let Some(masks) = masks else { return };
        masks.late_hits += 1;
        if masks.late_hits == SORT_EVERY {
            masks.late_hits = 0;
            sort(masks, &mut self.subtables);
        }
    }

    /// Removes all flows; places are given out from the first again.
    pub fn clear(&mut self) {
        *self = Megaflows::new();
    }
}

/// The number of the port whose packets alone match, by the bits that a mask has of it.
fn port_of(key: &FlowKey, bits: u128) -> Option<u32> {
    (bits == slot::IN_PORT.ones()).then(|| key.in_port())
}

/// The flow that `key` matches under one of these subtables, which are asked in turn; its place, and how many were asked.
#[inline(always)]
fn ask<T>(
    order: &[u32],
    subtables: &mut [Subtable],
    flows: &[Option<Megaflow<T>>],
    key: &FlowKey,
) -> Option<(u32, u32)> {
    let mut asked = 0;
    for &id in order {
        asked += 1;
        let Some(table) = subtables.get_mut(id as usize) else { continue };
        let half = table.hash(key);
        let found = table.places.find(spread(half), |&(other, place)| {
            other == half
                && flows
                    .get(place as usize)
                    .and_then(Option::as_ref)
                    .is_some_and(|flow| table.is_match(&flow.words, key))
        });
        if let Some(&(_, place)) = found {
            table.hits += 1;
            return Some((place, asked));
        }
    }
    None
}

/// Brings the subtables that are hit most to the front.
#[cold]
fn sort(masks: &mut Masks, subtables: &mut [Subtable]) {
    let hits = |id: u32| subtables.get(id as usize).map_or(0, |table| table.hits);
    masks.order.sort_by_key(|&id| std::cmp::Reverse(hits(id)));
    for &id in &masks.order {
        if let Some(table) = subtables.get_mut(id as usize) {
            table.hits /= 2;
        }
    }
}

#[cfg(test)]
mod tests;
