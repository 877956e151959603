//! Connections that other connections have announced.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::connection::Translated;
use crate::key::{Address, Direction, Key};

/// How many there are at most, of all connections together and of one.
const MAX_TOTAL: usize = 16_384;
const MAX_OF_ONE: usize = 64;

/// An announced connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    /// As its first packet names it, but for the source port, which nobody knows: 0.
    pub(crate) key: Key,
    /// The connection that announced it.
    pub(crate) parent: Key,
    pub(crate) mark: u32,
    pub(crate) label: u128,
    /// Where translation is asked for: which address of the first packet becomes which.
    pub(crate) translated: Translated,
    pub(crate) address: Address,
}

/// The ends of the connection that announces another one.
pub(crate) struct Announcing<'a> {
    pub(crate) original: &'a Key,
    pub(crate) reply: &'a Key,
    pub(crate) translated: Option<Translated>,
    pub(crate) mark: u32,
    pub(crate) label: u128,
}

impl Expectation {
    /// What `by` announces in a packet of `direction`: a connection to port `port`, which comes from the other side.
    pub(crate) fn new(by: &Announcing<'_>, direction: Direction, port: u16) -> Expectation {
        let is_destination = by.translated == Some(Translated::Destination);
        let (ends, translated, address) = match direction {
            // The server listens.
            Direction::Reply if is_destination => {
                (*by.original, Translated::Destination, by.reply.src.address)
            }
            Direction::Reply => (*by.original, Translated::Source, by.reply.dst.address),
            // The client listens.
            Direction::Original if is_destination => (*by.reply, Translated::Source, by.original.dst.address),
            Direction::Original => (*by.reply, Translated::Destination, by.original.src.address),
        };
        let mut key = ends;
        key.src.port = 0;
        key.dst.port = port;
        Expectation { key, parent: *by.original, mark: by.mark, label: by.label, translated, address }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    /// How many there are, so that nobody takes the lock while there are none.
    count: AtomicUsize,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_key: HashMap<Key, Expectation>,
    by_parent: HashMap<Key, Vec<Key>>,
}

impl Expectations {
    /// What was announced of a packet with this key.
    pub(crate) fn find(&self, key: &Key) -> Option<Expectation> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut key = *key;
        key.src.port = 0;
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_key.get(&key).copied()
    }

    /// Notes one more, unless it is known or there are too many.
    pub(crate) fn add(&self, expectation: Expectation) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let of_parent = known.by_parent.get(&expectation.parent).map_or(0, Vec::len);
        let is_full = known.by_key.len() >= MAX_TOTAL || of_parent >= MAX_OF_ONE;
        if is_full || known.by_key.contains_key(&expectation.key) {
            return;
        }
        known.by_key.insert(expectation.key, expectation);
        known.by_parent.entry(expectation.parent).or_default().push(expectation.key);
        self.count.store(known.by_key.len(), Ordering::Relaxed);
    }

    /// Forgets those that a connection announced.
    pub(crate) fn remove_of(&self, parent: &Key) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for key in known.by_parent.remove(parent).unwrap_or_default() {
            known.by_key.remove(&key);
        }
        self.count.store(known.by_key.len(), Ordering::Relaxed);
    }

    /// All, or those of a zone.
    pub(crate) fn list(&self, zone: Option<u16>) -> Vec<Expectation> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_key.values().filter(|one| zone.is_none_or(|zone| one.key.zone == zone)).copied().collect()
    }
}
