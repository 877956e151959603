//! All connections, in shards that are locked each for itself.
//!
//! A connection lies in the shard of its original key. Replies have the same hash, unless addresses are translated: then the
//! shard of the reply's key has an *alias*, which says in which shard to look. No lock is held while another one is taken.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::Timestamp;
use flow::extract::mix;
use hashbrown::HashTable;

use crate::connection::Connection;
use crate::key::{Direction, Key};

const SHARDS: usize = 256;
/// Connections that are allocated at once, and looked at in one step of a walk.
const CHUNK: usize = 128;

#[derive(Debug)]
pub(crate) struct Table {
    shards: Box<[Mutex<Shard>; SHARDS]>,
    basis: u64,
    count: AtomicUsize,
    next_alias: AtomicU32,
}

#[derive(Debug, Default)]
struct Shard {
    /// Chunks of a size that never changes, so that growing copies nothing.
    chunks: Vec<Vec<Option<Connection>>>,
    free: Vec<u32>,
    index: HashTable<Place>,
    aliases: HashTable<Alias>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    slot: u32,
}

/// Where the connection of a reply is.
#[derive(Clone, Copy, Debug)]
struct Alias {
    /// Of the reply's key, the direction included.
    reply: u64,
    /// Of the original key.
    original: u64,
    number: u32,
}

/// How far a walk over all connections is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    shard: usize,
    chunk: usize,
}

impl Table {
    /// An empty table. `basis` is to be secret, so that nobody can fill one shard.
    pub(crate) fn new(basis: u64) -> Table {
        Table {
            shards: Box::new(std::array::from_fn(|_| Mutex::default())),
            basis,
            count: AtomicUsize::new(0),
            next_alias: AtomicU32::new(1),
        }
    }

    pub(crate) fn basis(&self) -> u64 {
        self.basis
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // Not the bits by which a shard's own tables choose.
        let index = (hash >> 40) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directed(&self, key: &Key, hash: u64) -> u64 {
        let number = key.src.address.number();
        let port = u64::from(key.src.port) << 8 | u64::from(key.src.icmp_type);
        mix(mix(mix(hash, (number >> 64) as u64), number as u64), port)
    }

    /// Calls `act` with the connection that packets with this key belong to, whose shard is locked meanwhile.
    pub(crate) fn with<R>(
        &self,
        key: &Key,
        now: Timestamp,
        act: impl FnOnce(&mut Connection, Direction) -> R,
    ) -> Option<R> {
        let hash = key.hash(self.basis);
        let mut shard = self.shard(hash);
        if let Some((connection, direction)) = shard.find(hash, key, now) {
            return Some(act(connection, direction));
        }
        let original = shard.alias(self.directed(key, hash))?.original;
        drop(shard);
        let mut shard = self.shard(original);
        let (connection, direction) = shard.find(original, key, now)?;
        Some(act(connection, direction))
    }

    /// Keeps replies with key `reply` for a connection with key `original` that is to be inserted; the number of the alias,
    /// or `None` when the key is taken.
    pub(crate) fn reserve(&self, reply: &Key, original: &Key, now: Timestamp) -> Option<u32> {
        let hash = reply.hash(self.basis);
        let directed = self.directed(reply, hash);
        let mut shard = self.shard(hash);
        if shard.find(hash, reply, now).is_some() {
            return None;
        }
        if let Some(known) = shard.alias(directed).copied() {
            drop(shard);
            // What is over and only was not swept away yet takes no place, unless it has announced others.
            self.remove_at(known.original, |other| {
                other.reply == *reply && other.is_expired(now) && other.helper.is_none()
            })?;
            shard = self.shard(hash);
            if shard.alias(directed).is_some() {
                return None;
            }
        }
        let number = self.next_alias.fetch_add(1, Ordering::Relaxed).max(1);
        let alias = Alias { reply: directed, original: original.hash(self.basis), number };
        shard.aliases.insert_unique(directed, alias, |alias| alias.reply);
        Some(number)
    }

    /// Gives back what [`Table::reserve`] keeps.
    pub(crate) fn release(&self, reply: &Key, number: u32) {
        let hash = reply.hash(self.basis);
        let directed = self.directed(reply, hash);
        let mut shard = self.shard(hash);
        if let Ok(entry) = shard.aliases.find_entry(directed, |alias| alias.number == number) {
            entry.remove();
        }
    }

    /// Adds a connection, or gives it back when its key is taken.
    pub(crate) fn insert(&self, connection: Connection, now: Timestamp) -> Result<(), Box<Connection>> {
        let hash = connection.original.hash(self.basis);
        let mut shard = self.shard(hash);
        if shard.find(hash, &connection.original, now).is_some() {
            return Err(Box::new(connection));
        }
        // One that is over may still lie there under the same key. Only the newer one is found, as it is not over.
        shard.put(hash, connection);
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the connection that has this key.
    pub(crate) fn remove(&self, key: &Key, now: Timestamp) -> Option<Connection> {
        let original = self.with(key, now, |connection, _| connection.original)?;
        self.remove_at(original.hash(self.basis), |connection| {
            connection.original == original && !connection.is_expired(now)
        })
    }

    /// Removes the first connection in a shard that has this hash and is `meant`.
    fn remove_at(&self, hash: u64, meant: impl Fn(&Connection) -> bool) -> Option<Connection> {
        let mut shard = self.shard(hash);
        let removed = shard.take(hash, meant)?;
        let emptied = shard.tidy();
        drop(shard);
        drop(emptied);
        self.gone(&removed);
        Some(removed)
    }

    fn gone(&self, connection: &Connection) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if connection.alias != 0 {
            self.release(&connection.reply, connection.alias);
        }
    }

    /// Walks over the next few connections, and removes those for which `keeps` is false; `None` at the end of the table.
    /// Those that were removed go to `removed`, without a lock.
    pub(crate) fn step(
        &self,
        cursor: &mut Cursor,
        mut keeps: impl FnMut(&Connection) -> bool,
        mut removed: impl FnMut(&Connection),
    ) -> Option<()> {
        let place = self.shards.get(cursor.shard)?;
        let mut shard = place.lock().unwrap_or_else(PoisonError::into_inner);
        let first = cursor.chunk * CHUNK;
        let slots = shard.chunks.get(cursor.chunk).map_or(0, Vec::len);
        let mut taken = Vec::new();
        for slot in first..first + slots {
            if shard.slot(slot as u32).is_some_and(|connection| !keeps(connection)) {
                taken.extend(shard.take_slot(slot as u32, self.basis));
            }
        }
        cursor.chunk += 1;
        if cursor.chunk >= shard.chunks.len() {
            *cursor = Cursor { shard: cursor.shard + 1, chunk: 0 };
        }
        let emptied = shard.tidy();
        drop(shard);
        drop(emptied);
        for connection in taken {
            removed(&connection);
            self.gone(&connection);
        }
        Some(())
    }
}

impl Shard {
    fn slot(&self, slot: u32) -> Option<&Connection> {
        self.chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)?.as_ref()
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Option<Connection>> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)
    }

    fn find(&mut self, hash: u64, key: &Key, now: Timestamp) -> Option<(&mut Connection, Direction)> {
        let is_meant = |place: &Place| {
            place.hash == hash
                && self.slot(place.slot).is_some_and(|connection| {
                    !connection.is_expired(now) && (connection.original == *key || connection.reply == *key)
                })
        };
        let slot = self.index.find(hash, is_meant)?.slot;
        let connection = self.slot_mut(slot)?.as_mut()?;
        let direction = if connection.original == *key { Direction::Original } else { Direction::Reply };
        Some((connection, direction))
    }

    fn alias(&self, directed: u64) -> Option<&Alias> {
        self.aliases.find(directed, |alias| alias.reply == directed)
    }

    fn put(&mut self, hash: u64, connection: Connection) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                    self.chunks.push(Vec::with_capacity(CHUNK));
                }
                let chunks = self.chunks.len();
                let Some(chunk) = self.chunks.last_mut() else { return };
                chunk.push(None);
                ((chunks - 1) * CHUNK + chunk.len() - 1) as u32
            }
        };
        if let Some(place) = self.slot_mut(slot) {
            *place = Some(connection);
        }
        self.index.insert_unique(hash, Place { hash, slot }, |place| place.hash);
    }

    fn take(&mut self, hash: u64, meant: impl Fn(&Connection) -> bool) -> Option<Connection> {
        let is_meant = |place: &Place| place.hash == hash && self.slot(place.slot).is_some_and(&meant);
        let slot = self.index.find(hash, is_meant)?.slot;
        self.take_place(hash, slot)
    }

    fn take_slot(&mut self, slot: u32, basis: u64) -> Option<Connection> {
        let hash = self.slot(slot)?.original.hash(basis);
        self.take_place(hash, slot)
    }

    fn take_place(&mut self, hash: u64, slot: u32) -> Option<Connection> {
        if let Ok(entry) = self.index.find_entry(hash, |place| place.slot == slot) {
            entry.remove();
        }
        let connection = self.slot_mut(slot)?.take();
        self.free.push(slot);
        connection
    }

    /// What held connections, if none are left. It is to be dropped without the lock: the system may take its time to take back
    /// so much memory.
    fn tidy(&mut self) -> Option<Shard> {
        let is_idle = self.index.is_empty() && !self.chunks.is_empty();
        is_idle.then(|| {
            let aliases = std::mem::take(&mut self.aliases);
            std::mem::replace(self, Shard { aliases, ..Shard::default() })
        })
    }
}
