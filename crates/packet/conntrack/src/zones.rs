//! How many connections zones may have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A zone whose connections are counted.
#[derive(Debug)]
struct Zone {
    /// `None`: the default holds.
    limit: Option<u32>,
    count: Arc<AtomicU32>,
}

/// A connection's place among those of its zone, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admission(Arc<AtomicU32>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The zone has as many connections as it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ZoneFull;

/// A limit as operators see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ZoneLimit {
    /// The zone; `None`: all that have no limit of their own.
    pub zone: Option<u16>,
    /// 0 for the default: there is none.
    pub limit: u32,
    /// The connections that are counted.
    pub count: u32,
}

/// All limits.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    /// The database says which hold; operators do not change them.
    pub(crate) is_protected: AtomicBool,
    /// Whether there are limits at all: else nothing is counted and no lock taken.
    has_limits: AtomicBool,
    limits: RwLock<Limits>,
}

#[derive(Debug, Default)]
struct Limits {
    /// 0: none.
    default: u32,
    zones: BTreeMap<u16, Zone>,
}

impl Zones {
    /// Counts one more connection of a zone; nothing when the zone has no limit.
    pub(crate) fn admit(&self, zone: u16) -> Result<Option<Admission>, ZoneFull> {
        if !self.has_limits.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = limits.zones.get(&zone) {
            return known.admit(limits.default).map(Some);
        }
        if limits.default == 0 {
            return Ok(None);
        }
        drop(limits);
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let default = limits.default;
        limits.zones.entry(zone).or_insert_with(|| Zone::new(None)).admit(default).map(Some)
    }

    /// Sets the limit of a zone, or the default, where 0 is none.
    pub(crate) fn set(&self, zone: Option<u16>, limit: u32) {
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        match zone {
            Some(zone) => limits.zones.entry(zone).or_insert_with(|| Zone::new(None)).limit = Some(limit),
            None if limit == 0 => limits.clear_default(),
            None => limits.default = limit,
        }
        self.has_limits.store(limits.has_some(), Ordering::Relaxed);
    }

    /// Takes the limit of a zone away, or the default; false when there was none.
    pub(crate) fn remove(&self, zone: Option<u16>) -> bool {
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let default = limits.default;
        let was_there = match zone {
            None => {
                limits.clear_default();
                default != 0
            }
            // Its connections are counted on for the default.
            Some(zone) if default != 0 => match limits.zones.get_mut(&zone) {
                Some(known) => {
                    known.limit = None;
                    true
                }
                None => false,
            },
            Some(zone) => limits.zones.remove(&zone).is_some(),
        };
        self.has_limits.store(limits.has_some(), Ordering::Relaxed);
        was_there
    }

    /// The default, then the zones: those that are named, or all that have a limit of their own.
    pub(crate) fn list(&self, named: &[u16]) -> Vec<ZoneLimit> {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let default = ZoneLimit { zone: None, limit: limits.default, count: 0 };
        let show = |zone: u16| {
            let known = limits.zones.get(&zone);
            let limit = known.and_then(|known| known.limit).unwrap_or(limits.default);
            let count = known.map_or(0, |known| known.count.load(Ordering::Relaxed));
            ZoneLimit { zone: Some(zone), limit, count }
        };
        let limited = limits.zones.iter().filter(|(_, zone)| zone.limit.is_some());
        let zones: Vec<u16> =
            if named.is_empty() { limited.map(|(zone, _)| *zone).collect() } else { named.to_vec() };
        std::iter::once(default).chain(zones.into_iter().map(show)).collect()
    }
}

impl Limits {
    fn has_some(&self) -> bool {
        self.default != 0 || !self.zones.is_empty()
    }

    fn clear_default(&mut self) {
        self.default = 0;
        self.zones.retain(|_, zone| zone.limit.is_some());
    }
}

impl Zone {
    fn new(limit: Option<u32>) -> Zone {
        Zone { limit, count: Arc::default() }
    }

    fn admit(&self, default: u32) -> Result<Admission, ZoneFull> {
        let limit = match self.limit {
            Some(limit) => limit,
            None if default == 0 => u32::MAX,
            None => default,
        };
        let one_more = |count: u32| (count < limit).then_some(count.wrapping_add(1));
        match self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Admission(Arc::clone(&self.count))),
            Err(_) => Err(ZoneFull),
        }
    }
}
