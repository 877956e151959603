//! What operators see and change.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use base::Timestamp;

use crate::connection::{Connection, Helper};
use crate::filter::Filter;
use crate::key::Key;
use crate::stage::Stage;
use crate::state::State;
use crate::table::Cursor;
use crate::tracker::Tracker;
use crate::zones::ZoneLimit;

/// A connection as operators see it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As packets of the original direction name it.
    pub original: Key,
    /// As replies name it.
    pub reply: Key,
    /// The connection that announced it.
    pub parent: Option<Key>,
    /// Its mark.
    pub mark: u32,
    /// Its label.
    pub label: u128,
    /// What its protocol knows.
    pub state: State,
    /// Whose messages are read.
    pub helper: Option<Helper>,
    /// Seconds until it is over, if no packet comes.
    pub timeout: u64,
}

/// An announced connection as operators see it.
#[derive(Clone, Copy, Debug)]
pub struct ExpectationEntry {
    /// As its first packet will name it; the source port is 0.
    pub key: Key,
    /// The connection that announced it.
    pub parent: Key,
    /// The mark that it will have.
    pub mark: u32,
    /// The label that it will have.
    pub label: u128,
}

impl Entry {
    fn new(connection: &Connection, now: Timestamp) -> Entry {
        Entry {
            original: connection.original,
            reply: connection.reply,
            parent: connection.parent.as_deref().copied(),
            mark: connection.mark,
            label: connection.label,
            state: connection.state,
            helper: connection.helper,
            timeout: connection.expires.since(now).as_secs(),
        }
    }
}

impl Tracker {
    /// Calls `visit` with every connection, or those of a zone. No lock is held meanwhile.
    pub fn visit(&self, zone: Option<u16>, now: Timestamp, mut visit: impl FnMut(Entry)) {
        let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
        let mut look = |connection: &Connection| {
            let is_meant = zone.is_none_or(|zone| connection.original.zone == zone);
            if is_meant && !connection.is_expired(now) {
                seen.push(Entry::new(connection, now));
            }
            true
        };
        let mut is_more = true;
        while is_more {
            is_more = self.table.step(&mut cursor, &mut look, |_| ()).is_some();
        }
        seen.into_iter().for_each(&mut visit);
    }

    /// The announced connections, or those of a zone.
    pub fn expectations(&self, zone: Option<u16>) -> Vec<ExpectationEntry> {
        let entry = |one: crate::expectations::Expectation| ExpectationEntry {
            key: one.key,
            parent: one.parent,
            mark: one.mark,
            label: one.label,
        };
        self.expectations.list(zone).into_iter().map(entry).collect()
    }

    /// Removes the connections of a zone, or of all, that `filter` means. False when it names exactly one that is not there.
    pub fn flush(&self, zone: Option<u16>, filter: &Filter, now: Timestamp) -> bool {
        if let Some(key) = filter.exact(zone.unwrap_or_default()) {
            return self.remove(&key, now);
        }
        let mut cursor = Cursor::default();
        let keeps = |connection: &Connection| {
            !(zone.is_none_or(|zone| connection.original.zone == zone)
                && filter.matches(&connection.original, &connection.reply, connection.mark, connection.label))
        };
        while self.table.step(&mut cursor, keeps, |connection| self.forget_announced(connection)).is_some() {}
        true
    }

    /// Removes the connection with this key; false when there is none.
    pub(crate) fn remove(&self, key: &Key, now: Timestamp) -> bool {
        match self.table.remove(key, now) {
            Some(connection) => {
                self.forget_announced(&connection);
                true
            }
            None => false,
        }
    }

    /// What the connection announced is not waited for any more.
    pub(crate) fn forget_announced(&self, connection: &Connection) {
        if connection.helper.is_some() {
            self.expectations.remove_of(&connection.original);
        }
    }

    /// How many connections there are, those included that are over and were not swept away yet.
    pub fn count(&self) -> u32 {
        self.table.count() as u32
    }

    /// How many there may be.
    pub fn max(&self) -> u32 {
        self.max.load(Ordering::Relaxed)
    }

    /// Sets what [`Tracker::max`] returns.
    pub fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Whether TCP segments have to fit into the windows of their connection.
    pub fn checks_sequences(&self) -> bool {
        self.checks_sequences.load(Ordering::Relaxed)
    }

    /// Sets what [`Tracker::checks_sequences`] returns.
    pub fn set_checks_sequences(&self, checks: bool) {
        self.checks_sequences.store(checks, Ordering::Relaxed);
    }

    /// The default limit, then those of the zones that are named, or of all zones that have one.
    pub fn limits(&self, zones: &[u16]) -> Vec<ZoneLimit> {
        self.zones.list(zones)
    }

    /// Sets how many connections a zone may have, or each zone without a limit of its own, where 0 is no limit.
    pub fn set_limit(&self, zone: Option<u16>, limit: u32) {
        self.zones.set(zone, limit);
        match zone {
            Some(zone) => log::info!(target: "conntrack", "Changed zone limit of {limit} for zone {zone}"),
            None => log::info!(target: "conntrack", "Set default zone limit to {limit}"),
        }
    }

    /// Whether the database says which limits hold, so that nobody else changes them.
    pub fn limits_are_protected(&self) -> bool {
        self.zones.is_protected.load(Ordering::Relaxed)
    }

    /// Sets what [`Tracker::limits_are_protected`] returns.
    pub fn protect_limits(&self, are_protected: bool) {
        self.zones.is_protected.store(are_protected, Ordering::Relaxed);
    }

    /// Takes such a limit away.
    pub fn remove_limit(&self, zone: Option<u16>) {
        let was_there = self.zones.remove(zone);
        match zone {
            Some(zone) if was_there => {
                log::info!(target: "conntrack", "Deleted zone limit for zone {zone}");
            }
            Some(zone) => {
                log::info!(target: "conntrack", "Attempted delete of non-existent zone limit: zone {zone}");
            }
            None => {}
        }
    }

    /// Makes or changes the policy by which connections expire that ask for it by this name: seconds for stages, the others'
    /// being the defaults. Without seconds, takes it away.
    pub fn set_policy(&self, name: &str, seconds: Option<&[(Stage, u32)]>) {
        self.policies.set(name, seconds);
    }

    /// Looks at the next few connections, of which packets of one part of the connections have to wait for some microseconds.
    /// True at the end of a round.
    pub fn sweep(&self, now: Timestamp) -> bool {
        let mut cursor = self.sweep.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let step = self.table.step(
            &mut cursor,
            |connection| !connection.is_expired(now),
            |connection| self.forget_announced(connection),
        );
        if step.is_none() {
            *cursor = Cursor::default();
        }
        step.is_none()
    }

    /// Milliseconds from one round to the next.
    pub fn sweep_interval_ms(&self) -> u32 {
        self.sweep.interval_ms.load(Ordering::Relaxed)
    }

    /// Sets what [`Tracker::sweep_interval_ms`] returns.
    pub fn set_sweep_interval_ms(&self, ms: u32) {
        self.sweep.interval_ms.store(ms, Ordering::Relaxed);
    }
}
