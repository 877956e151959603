//! The MAC learning table: which port an address was last seen on, per VLAN.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base::{MacAddr, Timestamp};
use pipeline::BundleId;

use crate::usage::PortUsage;

base::coverage!(static LEARNED = "mac_learning_learned");
base::coverage!(static EXPIRED = "mac_learning_expired");
base::coverage!(static EVICTED = "mac_learning_evicted");
base::coverage!(static MOVED = "mac_learning_moved");
base::coverage!(static STATIC_NOT_MOVED = "mac_learning_static_none_move");

/// Most addresses that a bridge remembers unless configured otherwise (`other_config:mac-table-size`).
pub const DEFAULT_CAPACITY: usize = 8192;

/// How long an address that is not seen again is remembered unless configured otherwise (`other_config:mac-aging-time`).
pub const DEFAULT_IDLE: Duration = Duration::from_secs(300);

/// Within this long after a gratuitous ARP, other packets do not move an address of a bond: they may be reflections.
const GRATUITOUS_ARP_LOCK: Duration = Duration::from_secs(5);

type Address = (u16, MacAddr);

/// The addresses of one bridge.
///
/// Invariants: `by_age` and `per_port` hold exactly the entries of `entries`
/// that are not static, and there are never more than `capacity` of them;
/// `usage` counts what `per_port` holds.
/// Looking up and refreshing are O(log n).
#[derive(Debug)]
pub struct MacTable {
    entries: HashMap<Address, Entry>,
    /// Oldest first. A port's own entries are found through `per_port`.
    by_age: BTreeMap<u64, Address>,
    per_port: HashMap<BundleId, BTreeMap<u64, Address>>,
    usage: PortUsage,
    sequence: u64,
    capacity: usize,
    idle: Duration,
    pub counters: MacCounters,
}

/// What has happened so far (`fdb/stats-show`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MacCounters {
    pub learned: u64,
    pub expired: u64,
    pub evicted: u64,
    pub moved: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    port: BundleId,
    used: Timestamp,
    arp_lock: Timestamp,
    /// Grows with each use: key in `by_age` and `per_port` of what is not static.
    sequence: u64,
    /// Put in by hand: it never ages.
    is_static: bool,
}

/// One line of `fdb/show`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub port: BundleId,
    pub vlan: u16,
    pub mac: MacAddr,
    pub age: Duration,
    pub is_static: bool,
}

impl Default for MacTable {
    fn default() -> Self {
        MacTable {
            entries: HashMap::new(),
            by_age: BTreeMap::new(),
            per_port: HashMap::new(),
            usage: PortUsage::default(),
            sequence: 0,
            capacity: DEFAULT_CAPACITY,
            idle: DEFAULT_IDLE,
            counters: MacCounters::default(),
        }
    }
}

impl MacTable {
    /// Sets the bounds. Shrinking forgets the oldest addresses.
    pub fn configure(&mut self, capacity: usize, idle: Duration) {
        self.capacity = capacity.clamp(10, 1_000_000);
        self.idle = idle.clamp(Duration::from_secs(15), Duration::from_secs(3600));
        while self.by_age.len() > self.capacity {
            self.evict();
        }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries were put in by hand.
    pub fn static_count(&self) -> usize {
        self.entries.len() - self.by_age.len()
    }

    /// The port behind which `mac` lives.
    pub fn lookup(&self, vlan: u16, mac: MacAddr) -> Option<BundleId> {
        self.entries.get(&(vlan, mac)).map(|entry| entry.port)
    }

    /// Notes that `mac` was seen on `port`. Returns whether forwarding may
    /// now differ: the address is new or has moved.
    pub fn learn(
        &mut self,
        vlan: u16,
        mac: MacAddr,
        port: BundleId,
        gratuitous_arp_on_bond: bool,
        now: Timestamp,
    ) -> bool {
        if mac.is_multicast() {
            return false;
        }
        let address = (vlan, mac);
        let old = self.entries.get(&address).copied();
        if let Some(entry) = old {
            if entry.is_static {
                if entry.port != port {
                    STATIC_NOT_MOVED.count();
                }
                return false;
            }
            if entry.port == port && entry.used == now {
                return false;
            }
            if !gratuitous_arp_on_bond && entry.port != port && now < entry.arp_lock {
                return false;
            }
            self.unlist(address, &entry);
        } else if self.by_age.len() >= self.capacity {
            self.evict();
        }
        let arp_lock = if gratuitous_arp_on_bond {
            now + GRATUITOUS_ARP_LOCK
        } else {
            old.map_or(Timestamp::ZERO, |e| e.arp_lock)
        };
        let entry = Entry { port, used: now, arp_lock, sequence: self.next_sequence(), is_static: false };
        self.by_age.insert(entry.sequence, address);
        self.per_port.entry(port).or_default().insert(entry.sequence, address);
        self.entries.insert(address, entry);
        match old {
            Some(entry) if entry.port == port => return false,
            Some(entry) => {
                self.usage.lose(entry.port);
                self.counters.moved += 1;
                MOVED.count();
            }
            None => {
                self.counters.learned += 1;
                LEARNED.count();
            }
        }
        self.usage.gain(port);
        true
    }

    /// Puts an address in by hand: it stays until it is removed by hand.
    /// Returns what was known of it before.
    pub fn add_static(&mut self, vlan: u16, mac: MacAddr, port: BundleId, now: Timestamp) -> Option<Known> {
        let old = self.forget((vlan, mac));
        let sequence = self.next_sequence();
        let entry = Entry { port, used: now, arp_lock: Timestamp::ZERO, sequence, is_static: true };
        self.entries.insert((vlan, mac), entry);
        old.map(|entry| entry.known((vlan, mac), now))
    }

    /// Removes an address that was put in by hand. Returns whether there was such a one.
    pub fn remove_static(&mut self, vlan: u16, mac: MacAddr) -> bool {
        let is_static = self.entries.get(&(vlan, mac)).is_some_and(|entry| entry.is_static);
        is_static && self.forget((vlan, mac)).is_some()
    }

    /// Forgets addresses that were not seen for too long. Returns whether there were any.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.counters.expired;
        while let Some((_, &address)) = self.by_age.first_key_value() {
            let stale = self.entries.get(&address).is_none_or(|entry| now - entry.used >= self.idle);
            if !stale {
                break;
            }
            self.forget(address);
            self.counters.expired += 1;
            EXPIRED.count();
        }
        self.counters.expired != before
    }

    /// When [`MacTable::expire`] has something to do, if ever.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let (_, address) = self.by_age.first_key_value()?;
        self.entries.get(address).map(|entry| entry.used + self.idle)
    }

    /// Forgets all that was learned; what was put in by hand stays.
    pub fn flush(&mut self) {
        let learned: Vec<Address> = self.by_age.values().copied().collect();
        for address in learned {
            self.forget(address);
        }
    }

    /// Forgets everything about a port that goes away. Returns what was known.
    pub fn flush_port(&mut self, port: BundleId) -> Vec<(u16, MacAddr)> {
        let behind = self.entries.iter().filter(|(_, entry)| entry.port == port);
        let addresses: Vec<Address> = behind.map(|(&address, _)| address).collect();
        self.forget_all(&addresses);
        addresses
    }

    /// Forgets what was learned behind a port; what was put in by hand stays.
    pub fn flush_learned(&mut self, port: BundleId) {
        let behind = self.per_port.get(&port);
        let addresses: Vec<Address> = behind.into_iter().flat_map(|ages| ages.values().copied()).collect();
        self.forget_all(&addresses);
    }

    /// What was learned behind one port is behind another one from now on.
    pub fn move_port(&mut self, from: BundleId, to: BundleId) {
        if from == to {
            return;
        }
        let moved = self.per_port.remove(&from).unwrap_or_default();
        for (sequence, address) in moved {
            if let Some(entry) = self.entries.get_mut(&address) {
                entry.port = to;
                self.usage.lose(from);
                self.usage.gain(to);
                self.per_port.entry(to).or_default().insert(sequence, address);
            }
        }
    }

    /// Forgets addresses, wherever they are. Returns whether any was known.
    pub fn forget_all(&mut self, addresses: &[(u16, MacAddr)]) -> bool {
        addresses.iter().fold(false, |any, &address| self.forget(address).is_some() | any)
    }

    /// All entries, the one seen or put in longest ago first.
    pub fn entries(&self, now: Timestamp) -> Vec<Known> {
        let mut all: Vec<(Address, &Entry)> = self.entries.iter().map(|(a, entry)| (*a, entry)).collect();
        all.sort_by_key(|(_, entry)| entry.sequence);
        all.into_iter().map(|(address, entry)| entry.known(address, now)).collect()
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn forget(&mut self, address: Address) -> Option<Entry> {
        let entry = self.entries.remove(&address)?;
        if !entry.is_static {
            self.unlist(address, &entry);
            self.usage.lose(entry.port);
        }
        Some(entry)
    }

    /// Takes a learned entry out of the lists by age.
    fn unlist(&mut self, address: Address, entry: &Entry) {
        let listed = self.by_age.remove(&entry.sequence);
        debug_assert_eq!(listed, Some(address));
        if let Some(ages) = self.per_port.get_mut(&entry.port) {
            ages.remove(&entry.sequence);
            if ages.is_empty() {
                self.per_port.remove(&entry.port);
            }
        }
    }

    /// Makes room: the port with the most addresses loses its oldest, so that
    /// one port that invents addresses cannot push out those of the others.
    fn evict(&mut self) {
        let greediest = self.usage.greediest().and_then(|port| self.per_port.get(&port));
        let victim = greediest.and_then(|ages| ages.first_key_value()).map(|(_, &address)| address);
        if let Some(address) = victim {
            self.forget(address);
            self.counters.evicted += 1;
            EVICTED.count();
        }
    }
}

impl Entry {
    fn known(&self, (vlan, mac): Address, now: Timestamp) -> Known {
        Known { port: self.port, vlan, mac, age: now - self.used, is_static: self.is_static }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: u64) -> MacAddr {
        MacAddr::from_u64(n)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    const A: BundleId = BundleId(1);
    const B: BundleId = BundleId(2);

    #[test]
    fn an_address_is_learned_moves_and_ages() {
        let mut table = MacTable::default();
        assert!(table.learn(0, mac(2), A, false, at(0)));
        assert!(!table.learn(0, mac(2), A, false, at(100)), "a refresh changes nothing");
        assert!(table.learn(0, mac(2), B, false, at(200)), "a move does");
        assert_eq!(table.lookup(0, mac(2)), Some(B));
        assert_eq!(table.lookup(1, mac(2)), None, "VLANs are apart");
        assert!(!table.expire(at(499)));
        assert_eq!(table.next_expiry(), Some(at(500)));
        assert!(table.expire(at(500)));
        assert!(table.is_empty());
        assert_eq!(table.counters, MacCounters { learned: 1, expired: 1, evicted: 0, moved: 1 });
    }

    #[test]
    fn what_was_learned_moves_from_port_to_port() {
        let mut table = MacTable::default();
        table.learn(0, mac(2), A, false, at(0));
        table.learn(0, mac(4), B, false, at(0));
        table.add_static(0, mac(6), A, at(0));
        table.move_port(A, B);
        let port = |n| table.lookup(0, mac(n));
        assert_eq!([port(2), port(4), port(6)], [Some(B), Some(B), Some(A)], "those put in by hand stay");
        table.flush_learned(B);
        assert_eq!(table.len(), 1, "what was put in by hand stays");
        assert!(table.learn(0, mac(2), A, false, at(1)));
        table.expire(at(10_000));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn group_addresses_are_never_learned() {
        assert!(!MacTable::default().learn(0, MacAddr::BROADCAST, A, false, at(0)));
    }

    #[test]
    fn a_full_table_takes_from_the_greediest_port() {
        let mut table = MacTable::default();
        table.configure(10, DEFAULT_IDLE);
        table.learn(0, mac(1 << 8), B, false, at(0));
        for n in 0..30 {
            table.learn(0, mac((n + 2) << 8), A, false, at(1));
        }
        assert_eq!(table.len(), 10);
        assert_eq!(table.lookup(0, mac(1 << 8)), Some(B), "the oldest of all, but B's only one");
        assert_eq!(table.counters.evicted, 21);
    }

    #[test]
    fn static_entries_outlive_ageing_and_traffic() {
        let mut table = MacTable::default();
        table.add_static(5, mac(2), A, at(0));
        assert!(!table.learn(5, mac(2), B, false, at(1)));
        table.expire(at(10_000));
        table.flush();
        assert_eq!(table.lookup(5, mac(2)), Some(A));
        assert_eq!(table.static_count(), 1);
        assert!(table.remove_static(5, mac(2)) && !table.remove_static(5, mac(2)));
    }

    #[test]
    fn an_address_put_in_by_hand_takes_the_place_of_what_was_known() {
        let mut table = MacTable::default();
        table.learn(0, mac(2), A, false, at(0));
        assert!(!table.remove_static(0, mac(2)), "it was learned");
        let old = table.add_static(0, mac(2), B, at(1)).unwrap();
        assert_eq!((old.port, old.is_static), (A, false));
        let old = table.add_static(0, mac(2), A, at(2)).unwrap();
        assert_eq!((old.port, old.is_static), (B, true));
        let before = STATIC_NOT_MOVED.total();
        assert!(!table.learn(0, mac(2), B, false, at(3)));
        assert!(STATIC_NOT_MOVED.total() > before);
        assert_eq!((table.len(), table.static_count()), (1, 1));
    }

    #[test]
    fn entries_are_listed_in_the_order_of_their_last_use() {
        let mut table = MacTable::default();
        table.add_static(0, mac(6), A, at(0));
        table.learn(0, mac(2), A, false, at(0));
        table.learn(0, mac(4), A, false, at(1));
        table.learn(0, mac(2), A, false, at(2));
        table.add_static(0, mac(8), A, at(2));
        let macs: Vec<u64> = table.entries(at(3)).iter().map(|known| known.mac.to_u64()).collect();
        assert_eq!(macs, [6, 4, 2, 8]);
    }

    #[test]
    fn equally_greedy_ports_are_chosen_by_what_happened_alone() {
        let run = || {
            let mut table = MacTable::default();
            table.configure(10, DEFAULT_IDLE);
            for n in 0..40 {
                table.learn(0, mac((n + 1) << 4), BundleId(n as u32 % 7), false, at(n));
            }
            table.entries(at(50))
        };
        let first = run();
        assert!((0..10).all(|_| run() == first));
    }

    #[test]
    fn a_gratuitous_arp_locks_an_address_against_reflections() {
        let mut table = MacTable::default();
        table.learn(0, mac(2), A, true, at(10));
        assert!(!table.learn(0, mac(2), B, false, at(12)));
        assert!(table.learn(0, mac(2), B, false, at(16)));
    }
}
