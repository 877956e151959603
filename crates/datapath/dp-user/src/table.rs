//! The flows of one thread.

use std::collections::HashMap;
use std::sync::Arc;

use base::Timestamp;
use classifier::{Found, Megaflows};
use dp::{Action, DpError, Flow, FlowStats, Ufid, WorkerId};
use flow::{FlowKey, FlowMask, PacketKey, SparseKey};

/// Flows that one table takes at most.
const MAX_FLOWS: usize = 400_000;

/// A flow in its table.
pub(crate) struct Entry {
    ufid: Ufid,
    key: SparseKey,
    mask: SparseKey,
    pub(crate) actions: Arc<[Action]>,
    pub(crate) stats: FlowStats,
    version: Version,
}

/// [`Flow::version`] in one word that is compared once per packet: what follows from no rules is newer than all rules.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u64);

impl Version {
    const OF_NO_RULES: Version = Version(u64::MAX);

    fn new(version: Option<u64>) -> Version {
        version.map_or(Version::OF_NO_RULES, Version)
    }

    fn get(self) -> Option<u64> {
        (self != Version::OF_NO_RULES).then_some(self.0)
    }
}

impl Entry {
    /// Whether it is known to be right by older rules alone than those of the version `fence`.
    #[inline]
    pub(crate) fn is_older_than(&self, fence: u64) -> bool {
        self.version < Version(fence)
    }

    /// Counts one packet.
    #[inline]
    pub(crate) fn count(&mut self, bytes: usize, tcp_flags: u16, now: Timestamp) {
        self.stats.packets += 1;
        self.stats.bytes += bytes as u64;
        self.stats.used = Some(now);
        self.stats.tcp_flags |= tcp_flags;
    }

    pub(crate) fn to_flow(&self, worker: WorkerId) -> Flow {
        Flow {
            ufid: self.ufid,
            worker,
            key: Arc::new(FlowKey::from(&self.key)),
            mask: Arc::new(FlowMask::from(&self.mask)),
            actions: self.actions.clone(),
            stats: self.stats,
            version: self.version.get(),
        }
    }
}

pub(crate) struct Table {
    flows: Megaflows<Entry>,
    by_ufid: HashMap<Ufid, u32>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table { flows: Megaflows::new(), by_ufid: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(crate) fn mask_count(&self) -> usize {
        self.flows.mask_count()
    }

    #[inline]
    pub(crate) fn lookup(&mut self, key: &PacketKey, hash: u64) -> Option<(u32, Found)> {
        self.flows.lookup(key, hash)
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, place: u32) -> Option<&mut Entry> {
        self.flows.get_mut(place)
    }

    pub(crate) fn insert(
        &mut self,
        ufid: Ufid,
        key: &FlowKey,
        mask: &FlowMask,
        actions: Arc<[Action]>,
        version: Option<u64>,
    ) -> Result<u32, DpError> {
        if self.by_ufid.contains_key(&ufid) {
            return Err(DpError::FlowExists);
        }
        if self.flows.len() >= MAX_FLOWS {
            return Err(DpError::TableFull);
        }
        let entry = Entry {
            ufid,
            key: SparseKey::from(key),
            mask: SparseKey::from(mask),
            actions,
            stats: FlowStats::default(),
            version: Version::new(version),
        };
        if log::log_enabled!(target: "dpif_netdev", log::Level::Debug) {
            let flow = dp::text::format_key(key, Some(mask), false, None);
            let actions = dp::text::format_actions(&entry.actions, None);
            log::debug!(target: "dpif_netdev", "flow_add: {ufid} {flow}, actions:{actions}");
        }
        let place = self.flows.insert(key, mask, entry);
        self.by_ufid.insert(ufid, place);
        Ok(place)
    }

    fn by_ufid_mut(&mut self, ufid: Ufid) -> Option<&mut Entry> {
        self.flows.get_mut(*self.by_ufid.get(&ufid)?)
    }

    pub(crate) fn confirm(&mut self, flow: &Flow, version: u64) {
        if let Some(entry) = self.by_ufid_mut(flow.ufid)
            && Arc::ptr_eq(&entry.actions, &flow.actions)
        {
            entry.version = entry.version.max(Version(version));
        }
    }

    pub(crate) fn modify(
        &mut self,
        ufid: Ufid,
        actions: Arc<[Action]>,
        version: Option<u64>,
        zero_stats: bool,
    ) -> bool {
        let Some(entry) = self.by_ufid_mut(ufid) else { return false };
        entry.actions = actions;
        entry.version = Version::new(version);
        if zero_stats {
            entry.stats = FlowStats::default();
        }
        true
    }

    pub(crate) fn remove(&mut self, ufid: Ufid) -> Option<FlowStats> {
        let place = self.by_ufid.remove(&ufid)?;
        let entry = self.flows.remove(place);
        if entry.is_none() {
            base::broken!("{ufid} has a place without a flow");
        }
        entry.map(|entry| entry.stats)
    }

    pub(crate) fn get(&self, ufid: Ufid, worker: WorkerId) -> Option<Flow> {
        let place = *self.by_ufid.get(&ufid)?;
        self.flows.get(place).map(|entry| entry.to_flow(worker))
    }

    /// Copies of the flows in up to `count` places from `place` on; the place to go on from.
    pub(crate) fn chunk(&self, place: u32, count: u32, worker: WorkerId, out: &mut Vec<Flow>) -> Option<u32> {
        let end = place.saturating_add(count).min(self.flows.places());
        out.extend((place..end).filter_map(|place| self.flows.get(place)).map(|entry| entry.to_flow(worker)));
        (end < self.flows.places()).then_some(end)
    }

    pub(crate) fn clear(&mut self) {
        self.flows.clear();
        self.by_ufid.clear();
    }
}
