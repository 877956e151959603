//! The flows of one thread.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use base::{DpPort, Timestamp};
use classifier::{Found, Megaflows, Width};
use dp::{Action, DpError, Fence, Flow, FlowGlance, FlowStats, Ufid, WorkerId};
use flow::{FlowKey, FlowMask, PacketKey, SparseKey};
use hashbrown::{DefaultHashBuilder, HashTable};
use netdev::Shortcuts;
use netdev::shortcut::{Counted, Shortcut};

use super::heat::{self, Heat};

base::coverage!(static ROUNDED = "megaflow_mask_rounded");
base::coverage!(static UNITED = "megaflow_mask_united");
base::coverage!(static WHOLE = "megaflow_mask_whole");

/// Flows that one table takes at most.
const MAX_FLOWS: usize = 400_000;

/// Flows of which is known that they were the last to come.
const LATEST: usize = 64;

/// Lists of actions that are remembered to be shared.
const OUTPUTS: usize = 16;

/// A flow in its table.
pub(crate) struct Entry {
    ufid: Ufid,
    key: SparseKey,
    pub(crate) actions: Arc<[Action]>,
    pub(crate) stats: FlowStats,
    version: Version,
    heat: Heat,
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
    /// Whether it is known to be right by older rules alone than those of the fence.
    #[inline]
    pub(crate) fn is_older_than(&self, fence: Fence) -> bool {
        self.version < Version(fence.all) && (self.version < Version(fence.going_up) || !self.goes_up())
    }

    fn goes_up(&self) -> bool {
        matches!(&self.actions[..], [Action::Userspace(up)] if matches!(up.cookie, dp::Cookie::SlowPath(_)))
    }

    /// Counts one packet; whether the kernel is to forward the flow, if it can, or does.
    #[inline]
    pub(crate) fn count(&mut self, bytes: usize, tcp_flags: u16, now: Timestamp) -> bool {
        self.stats.packets += 1;
        self.stats.bytes += bytes as u64;
        self.stats.used = Some(now);
        self.stats.tcp_flags |= tcp_flags;
        matches!(self.heat, Heat::Handed(_))
            || self.stats.packets.is_multiple_of(heat::PACKETS) && self.heat.look(now)
    }

    /// Adds what the kernel has counted; how many packets that are.
    fn add(&mut self, counted: Counted, now: Timestamp) -> u64 {
        if counted.packets > 0 {
            self.stats.packets += counted.packets;
            self.stats.bytes += counted.bytes;
            self.stats.used = Some(now);
            self.stats.tcp_flags |= counted.tcp_flags;
        }
        counted.packets
    }

    fn glance(&self, worker: WorkerId) -> FlowGlance {
        FlowGlance { ufid: self.ufid, worker, stats: self.stats, version: self.version.get() }
    }
}

/// How many flows had come to a table at some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment(u64);

pub(crate) struct Table {
    flows: Megaflows<Entry>,
    /// Their places by their ids.
    by_ufid: HashTable<u32>,
    /// Senders of packets choose ids, so the hash is another one in each process.
    hasher: DefaultHashBuilder,
    /// How many flows came, ever.
    came: u64,
    /// Where those went that came last.
    latest: [u32; LATEST],
    /// Lists of actions that are no more than an output, by the number of the port.
    outputs: [Option<Arc<[Action]>>; OUTPUTS],
    /// The kernel, which forwards some flows itself, the places of these, and how many packets it has forwarded.
    shortcuts: Arc<Shortcuts>,
    handed: Vec<u32>,
    forwarded: u64,
}

impl Table {
    pub(crate) fn new(shortcuts: Arc<Shortcuts>) -> Table {
        Table {
            flows: Megaflows::new(),
            by_ufid: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            came: 0,
            latest: [0; LATEST],
            outputs: [const { None }; OUTPUTS],
            shortcuts,
            handed: Vec::new(),
            forwarded: 0,
        }
    }

    /// Packets that the kernel is known to have forwarded.
    pub(crate) fn forwarded(&self) -> u64 {
        self.forwarded
    }

    /// Counts what the kernel has forwarded.
    pub(crate) fn absorb(&mut self, now: Timestamp) {
        let mut handed = std::mem::take(&mut self.handed);
        handed.retain(|&place| self.absorb_one(place, now));
        self.handed = handed;
    }

    /// The same of one flow; whether the kernel forwards it on.
    fn absorb_one(&mut self, place: u32, now: Timestamp) -> bool {
        let Some(entry) = self.flows.get_mut(place) else { return false };
        let Heat::Handed(shortcut) = entry.heat else { return false };
        let (counted, ending) = self.shortcuts.take(shortcut);
        self.forwarded += entry.add(counted, now);
        let Some(ending) = ending else { return true };
        self.forwarded += entry.add(self.shortcuts.remove(shortcut), now);
        entry.heat = Heat::after(ending, now);
        false
    }

    /// The same of one flow by itself, if the kernel forwards it.
    fn absorb_at(&mut self, place: u32, now: Timestamp) {
        if matches!(self.flows.get(place), Some(Entry { heat: Heat::Handed(_), .. }))
            && !self.absorb_one(place, now)
        {
            self.handed.retain(|other| *other != place);
        }
    }

    /// The flow's way by the kernel, if it has one and that has not ended.
    pub(crate) fn shortcut(&mut self, place: u32, now: Timestamp) -> Option<Shortcut> {
        self.absorb_at(place, now);
        match self.flows.get(place)?.heat {
            Heat::Handed(shortcut) => Some(shortcut),
            Heat::Looked(_) | Heat::Paused(_) | Heat::Refused => None,
        }
    }

    /// Whether a flow is the worker's for a while, however hot it is.
    pub(crate) fn is_paused(&self, place: u32) -> bool {
        self.flows.get(place).is_some_and(|entry| entry.heat.is_paused())
    }

    /// Ends the way of all flows by the kernel.
    pub(crate) fn end_shortcuts(&mut self, now: Timestamp) {
        for place in std::mem::take(&mut self.handed) {
            self.end_shortcut(place, now);
        }
    }

    /// The same of one flow, before it is changed or removed.
    fn end_shortcut(&mut self, place: u32, now: Timestamp) {
        let Some(entry) = self.flows.get_mut(place) else { return };
        if let Heat::Handed(shortcut) = std::mem::replace(&mut entry.heat, Heat::new(now)) {
            self.forwarded += entry.add(self.shortcuts.remove(shortcut), now);
            self.handed.retain(|other| *other != place);
        }
    }

    /// Takes note of what has become of a flow that was to be the kernel's; false where the flow is another one by now.
    pub(crate) fn hand_over(&mut self, place: u32, flow: &Flow, heat: Heat) -> bool {
        let Some(entry) = self.flows.get_mut(place) else { return false };
        let is_it = entry.ufid == flow.ufid
            && Arc::ptr_eq(&entry.actions, &flow.actions)
            && !matches!(entry.heat, Heat::Handed(_));
        if is_it {
            entry.heat = heat;
            if let Heat::Handed(shortcut) = heat {
                self.handed.push(place);
                // It may have been confirmed meanwhile.
                self.shortcuts.confirm(shortcut, entry.version.0);
            }
        }
        is_it
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

    /// The present, to be given to [`Table::lookup_since`] later.
    #[inline]
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.came)
    }

    /// Looks up a key that no flow matched at that moment: of the flows, those that came since are asked.
    pub(crate) fn lookup_since(&mut self, moment: Moment, key: &PacketKey) -> Option<u32> {
        if self.came - moment.0 > LATEST as u64 {
            return self.flows.lookup(key, key.hash()).map(|(place, _)| place);
        }
        let places = (moment.0..self.came).filter_map(|number| self.latest.get(number as usize % LATEST));
        places.copied().find(|&place| self.flows.is_match(place, key.key()))
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, place: u32) -> Option<&mut Entry> {
        self.flows.get_mut(place)
    }

    /// Adds a flow that a packet made, with a mask that may be wider than needed: see [`Megaflows::fit`].
    pub(crate) fn install(
        &mut self,
        ufid: Ufid,
        key: &FlowKey,
        mask: &mut FlowMask,
        actions: Arc<[Action]>,
        version: u64,
    ) -> Result<(), DpError> {
        match self.flows.fit(key, mask) {
            Width::Exact => {}
            Width::Rounded => ROUNDED.count(),
            Width::United => UNITED.count(),
            Width::Whole => WHOLE.count(),
        }
        let actions = self.shared(actions);
        self.insert(ufid, key, mask, actions, Some(version))
    }

    pub(crate) fn insert(
        &mut self,
        ufid: Ufid,
        key: &FlowKey,
        mask: &FlowMask,
        actions: Arc<[Action]>,
        version: Option<u64>,
    ) -> Result<(), DpError> {
        if self.place_of(ufid).is_some() {
            return Err(DpError::FlowExists);
        }
        if self.flows.len() >= MAX_FLOWS {
            return Err(DpError::TableFull);
        }
        let entry = Entry {
            ufid,
            key: SparseKey::from(key),
            actions,
            stats: FlowStats::default(),
            version: Version::new(version),
            heat: Heat::default(),
        };
        if log::log_enabled!(target: "dpif_netdev", log::Level::Debug) {
            let flow = dp::text::format_key(key, Some(mask), false, None);
            let actions = dp::text::format_actions(&entry.actions, None);
            let mega = Ufid::of_megaflow(key, mask);
            log::debug!(target: "dpif_netdev", "flow_add: {ufid} mega_{mega} {flow}, actions:{actions}");
        }
        let place = self.flows.insert(key, mask, entry);
        let (flows, hasher) = (&self.flows, &self.hasher);
        let hash_at = |&place: &u32| flows.get(place).map_or(0, |entry| hasher.hash_one(entry.ufid));
        self.by_ufid.insert_unique(hasher.hash_one(ufid), place, hash_at);
        if let Some(latest) = self.latest.get_mut(self.came as usize % LATEST) {
            *latest = place;
        }
        self.came += 1;
        Ok(())
    }

    /// The list, shared with a flow that came lately and has the same: most flows of a time do one of few things.
    fn shared(&mut self, actions: Arc<[Action]>) -> Arc<[Action]> {
        let [Action::Output(DpPort(port))] = &actions[..] else { return actions };
        match self.outputs.get_mut(*port as usize % OUTPUTS) {
            Some(Some(known)) if *known == actions => Arc::clone(known),
            Some(place) => Arc::clone(place.insert(actions)),
            None => actions,
        }
    }

    fn place_of(&self, ufid: Ufid) -> Option<u32> {
        let is_it = |&place: &u32| self.flows.get(place).is_some_and(|entry| entry.ufid == ufid);
        self.by_ufid.find(self.hasher.hash_one(ufid), is_it).copied()
    }

    fn by_ufid_mut(&mut self, ufid: Ufid) -> Option<&mut Entry> {
        self.flows.get_mut(self.place_of(ufid)?)
    }

    pub(crate) fn confirm(&mut self, flow: &Flow, version: u64) {
        if let Some(entry) = self.by_ufid_mut(flow.ufid)
            && Arc::ptr_eq(&entry.actions, &flow.actions)
        {
            entry.version = entry.version.max(Version(version));
            if let Heat::Handed(shortcut) = entry.heat {
                let version = entry.version.0;
                self.shortcuts.confirm(shortcut, version);
            }
        }
    }

    pub(crate) fn modify(
        &mut self,
        ufid: Ufid,
        actions: Arc<[Action]>,
        version: Option<u64>,
        zero_stats: bool,
        now: Timestamp,
    ) -> bool {
        let Some(place) = self.place_of(ufid) else { return false };
        self.end_shortcut(place, now);
        let Some(entry) = self.flows.get_mut(place) else { return false };
        (entry.actions, entry.heat) = (actions, Heat::new(now));
        entry.version = Version::new(version);
        if zero_stats {
            entry.stats = FlowStats::default();
        }
        true
    }

    pub(crate) fn remove(&mut self, ufid: Ufid, now: Timestamp) -> Option<FlowStats> {
        let (flows, hasher) = (&self.flows, &self.hasher);
        let is_it = |&place: &u32| flows.get(place).is_some_and(|entry| entry.ufid == ufid);
        let (place, _) = self.by_ufid.find_entry(hasher.hash_one(ufid), is_it).ok()?.remove();
        if self.by_ufid.len() < self.by_ufid.capacity() / 8 {
            let hash_at = |&place: &u32| flows.get(place).map_or(0, |entry| hasher.hash_one(entry.ufid));
            self.by_ufid.shrink_to_fit(hash_at);
        }
        self.end_shortcut(place, now);
        self.flows.remove(place).map(|entry| entry.stats)
    }

    pub(crate) fn get(&mut self, ufid: Ufid, worker: WorkerId, now: Timestamp) -> Option<Flow> {
        let place = self.place_of(ufid)?;
        self.absorb_at(place, now);
        self.flow_at(place, worker)
    }

    /// A copy of the flow at `place`.
    pub(crate) fn flow_at(&self, place: u32, worker: WorkerId) -> Option<Flow> {
        let entry = self.flows.get(place)?;
        Some(Flow {
            ufid: entry.ufid,
            worker,
            key: Arc::new(FlowKey::from(&entry.key)),
            mask: Arc::new(FlowMask::from(self.flows.mask(place)?)),
            actions: entry.actions.clone(),
            stats: entry.stats,
            is_offloaded: matches!(entry.heat, Heat::Handed(_)),
            version: entry.version.get(),
        })
    }

    /// What `copy` takes of the flows in up to `count` places from `place` on; the place to go on from.
    pub(crate) fn chunk<F>(
        &self,
        place: u32,
        count: u32,
        out: &mut Vec<F>,
        copy: impl Fn(&Table, u32) -> Option<F>,
    ) -> Option<u32> {
        let end = place.saturating_add(count).min(self.flows.places());
        out.extend((place..end).filter_map(|place| copy(self, place)));
        (end < self.flows.places()).then_some(end)
    }

    /// What is seen of the flow at `place` at a glance.
    pub(crate) fn glance_at(&self, place: u32, worker: WorkerId) -> Option<FlowGlance> {
        self.flows.get(place).map(|entry| entry.glance(worker))
    }
}

#[cfg(test)]
mod tests {
    use flow::{Metadata, slot};

    use super::*;

    /// The key of a packet that came in by this port.
    fn key_of(port: u32) -> PacketKey {
        let mut key = PacketKey::new();
        key.refill(&Metadata::new(DpPort(port)), &[0; 60], 1);
        key
    }

    fn add(table: &mut Table, port: u32) {
        let key = key_of(port);
        let mut mask = FlowMask::new();
        mask.add_all(slot::IN_PORT);
        let actions = Arc::from([Action::Output(DpPort(port % 2))]);
        table.install(Ufid::of(key.key()), key.key(), &mut mask, actions, 1).unwrap();
    }

    #[test]
    fn flows_that_came_since_are_found_and_only_they_are_looked_at() {
        let mut table = Table::new(Arc::new(Shortcuts::none()));
        add(&mut table, 1);
        let moment = table.moment();
        assert_eq!(table.lookup_since(moment, &key_of(1)), None, "it was there before");
        for port in 2..2 + LATEST as u32 {
            add(&mut table, port);
        }
        for port in 2..2 + LATEST as u32 {
            let found = table
                .lookup_since(moment, &key_of(port))
                .and_then(|place| table.flow_at(place, WorkerId::Main));
            assert_eq!(found.map(|flow| flow.key.in_port()), Some(port));
        }
        // Of more than it remembers it knows no order, and looks at all.
        add(&mut table, 1000);
        for port in 1..2 + LATEST as u32 {
            assert!(table.lookup_since(moment, &key_of(port)).is_some());
        }
        assert_eq!(table.lookup_since(moment, &key_of(2000)), None);
    }

    #[test]
    fn a_flow_that_came_and_went_is_not_found() {
        let mut table = Table::new(Arc::new(Shortcuts::none()));
        let moment = table.moment();
        add(&mut table, 1);
        table.remove(Ufid::of(key_of(1).key()), Timestamp::ZERO).unwrap();
        assert_eq!(table.lookup_since(moment, &key_of(1)), None);
        // Its place is another one's.
        add(&mut table, 2);
        assert_eq!(table.lookup_since(moment, &key_of(1)), None);
        assert!(table.lookup_since(moment, &key_of(2)).is_some());
    }

    #[test]
    fn flows_that_only_output_share_their_actions() {
        let mut table = Table::new(Arc::new(Shortcuts::none()));
        (1..=4).for_each(|port| add(&mut table, port));
        let mut actions =
            |port| table.get(Ufid::of(key_of(port).key()), WorkerId::Main, Timestamp::ZERO).unwrap().actions;
        assert!(Arc::ptr_eq(&actions(1), &actions(3)) && Arc::ptr_eq(&actions(2), &actions(4)));
        assert_eq!(*actions(1), [Action::Output(DpPort(1))]);
    }
}
