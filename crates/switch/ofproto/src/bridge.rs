//! One bridge: its ports, its tables, what it has learned.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use base::{MacAddr, OfPort, TableId};
use dp::{Capabilities, DpId};
use flow::{FlowKey, FlowMask, SparseMatch};
use ofp::{Action, PacketInReason};
use pipeline::tunnel::OptionPlaces;
use pipeline::{
    BridgeId, BridgeView, Bundle, BundleId, Counters, Exports, Fragments, Group, Mirror, Miss, MissRules,
    Port, Receivers, Rule, SpanningTree, TableTraffic,
};
use wire::geneve::GeneveOption;

use crate::common::Common;
use crate::entry::{Criteria, Entry};
use crate::epoch::Epoch;
use crate::macs::MacTable;
use crate::meter::Meter;
use crate::multicast::{MulticastTable, PortFlooding, Snooping};
use crate::staging::Staging;
use crate::table::{Debris, Table};
use crate::tunnel_options::TunnelOptions;

/// A bridge's settings that forwarding depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub forwards_bpdus: bool,
    /// VLANs in which no address is learned, so that their packets are flooded.
    pub flood_vlans: Arc<BTreeSet<u16>>,
    /// By which protocol loops are kept out.
    pub spanning_tree: Option<SpanningTree>,
    /// Whether multicast goes only to those who are known to listen: see [`Bridge::set_snooping`].
    pub snoops_multicast: bool,
    pub fragments: Fragments,
    /// Whether packets without a rule go to controllers, in tables that do not say otherwise.
    pub misses_to_controller: bool,
    /// Whether a controller is connected, for buckets that watch that.
    pub has_controller: bool,
    /// Whether the bridge has rules of its own for connections that go through it: its own port then gets answers of DHCP.
    pub is_in_band: bool,
    pub exports: Exports,
}

/// A port with what OpenFlow tells of it.
#[derive(Clone, Debug)]
pub struct PortEntry {
    pub port: Port,
    pub desc: ofp::PortDesc,
    /// The name of the patch port at the other end, if it is one.
    pub peer_name: Option<String>,
    pub created: base::Timestamp,
}

/// A bridge.
#[derive(Debug)]
pub struct Bridge {
    pub(crate) id: BridgeId,
    pub(crate) name: String,
    /// The datapath that its ports are in.
    pub(crate) datapath: DpId,
    capabilities: Capabilities,
    pub(crate) ports: BTreeMap<OfPort, PortEntry>,
    pub(crate) bundles: BTreeMap<BundleId, Bundle>,
    pub(crate) bundle_names: HashMap<Arc<str>, BundleId>,
    /// The number that was given out last.
    pub(crate) last_number: u32,
    /// Numbers of ports that are gone, and since when.
    pub(crate) retired: BTreeMap<OfPort, base::Timestamp>,
    tables: Vec<Option<Box<Table>>>,
    /// Lookups in tables that are not made, which never had a rule.
    pub(crate) unmade: Box<[OnceLock<Arc<TableTraffic>>]>,
    /// What rules have in common.
    pub(crate) common: Common,
    /// Whether there has been a rule with which those go that it taught.
    pub(crate) has_taught: bool,
    pub(crate) debris: Vec<Debris>,
    /// Moves with every rule that is added or modified.
    revision: u64,
    pub(crate) groups: BTreeMap<u32, Arc<Group>>,
    pub(crate) meters: BTreeMap<u32, Meter>,
    mirrors: Vec<Mirror>,
    macs: Arc<Mutex<MacTable>>,
    multicast: Arc<Mutex<MulticastTable>>,
    miss_rules: MissRules,
    settings: Settings,
    /// The datapath's names for how long connections of zones live.
    timeout_policies: Arc<BTreeMap<u16, Box<str>>>,
    pub(crate) tunnel_options: TunnelOptions,
    pub(crate) option_places: OptionPlaces,
    /// A change that is being made in steps.
    pub(crate) staging: Option<Box<Staging>>,
    epoch: Arc<Epoch>,
}

impl Bridge {
    /// `epoch` moves with every change after which packets may be translated otherwise.
    pub(crate) fn new(
        id: BridgeId,
        name: &str,
        datapath: DpId,
        capabilities: Capabilities,
        epoch: Arc<Epoch>,
    ) -> Bridge {
        Bridge {
            id,
            name: name.to_owned(),
            datapath,
            capabilities,
            ports: BTreeMap::new(),
            bundles: BTreeMap::new(),
            bundle_names: HashMap::new(),
            last_number: 0,
            retired: BTreeMap::new(),
            tables: (0..TableId::COUNT).map(|_| None).collect(),
            unmade: (0..TableId::COUNT).map(|_| OnceLock::new()).collect(),
            common: Common::default(),
            has_taught: false,
            debris: Vec::new(),
            revision: 0,
            groups: BTreeMap::new(),
            meters: BTreeMap::new(),
            mirrors: Vec::new(),
            macs: Arc::default(),
            multicast: Arc::default(),
            miss_rules: miss_rules(),
            settings: Settings::default(),
            timeout_policies: Arc::default(),
            tunnel_options: TunnelOptions::default(),
            option_places: OptionPlaces::default(),
            staging: None,
            epoch,
        }
    }

    pub fn id(&self) -> BridgeId {
        self.id
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The datapath that its ports are in.
    pub fn datapath(&self) -> DpId {
        self.datapath
    }

    /// Takes note of what the datapath can do now.
    pub fn set_capabilities(&mut self, capabilities: Capabilities) {
        if self.capabilities != capabilities {
            self.capabilities = capabilities;
            self.changed();
        }
    }

    /// Takes note of the datapath's names for how long connections of zones live.
    pub fn set_timeout_policies(&mut self, policies: Arc<BTreeMap<u16, Box<str>>>) {
        if self.timeout_policies != policies {
            self.timeout_policies = policies;
            self.changed();
        }
    }

    /// Says that packets are to be translated otherwise from now on: no packet that comes later is treated as before.
    pub fn changed(&self) {
        match &self.staging {
            Some(staging) if !staging.is_shown => staging.is_changed.store(true, Ordering::Relaxed),
            _ => self.epoch.change(),
        }
    }

    /// Says the same of a change of rules alone.
    pub(crate) fn rules_changed(&self) {
        match &self.staging {
            Some(staging) if !staging.is_shown => staging.are_rules_changed.store(true, Ordering::Relaxed),
            _ => self.epoch.change_rules(),
        }
    }

    /// Says that packets are to be translated otherwise soon: because of what packets taught, or what timed out.
    pub fn drifted(&self) {
        self.epoch.drift();
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn set_settings(&mut self, settings: Settings) {
        if self.settings != settings {
            self.settings = settings;
            self.changed();
        }
    }

    /// What was learned. Do not hold it across a translation.
    pub fn macs(&self) -> MutexGuard<'_, MacTable> {
        self.macs.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The same for who cannot wait for the bridges. Who changes it so moves the epoch afterwards.
    pub fn shared_macs(&self) -> Arc<Mutex<MacTable>> {
        Arc::clone(&self.macs)
    }

    /// Has the bridge forward multicast only to those who are known to listen, or to all again.
    pub fn set_snooping(&mut self, snooping: Option<Snooping>) {
        let mut table = self.multicast();
        let is_changed = match snooping {
            Some(snooping) => table.configure(snooping),
            None => {
                table.reset();
                false
            }
        };
        drop(table);
        if is_changed {
            self.changed();
        }
        self.set_settings(Settings { snoops_multicast: snooping.is_some(), ..self.settings.clone() });
    }

    /// Sets what the bundles of these names get of multicast, whoever listens.
    pub fn set_multicast_flooding<'a>(&self, ports: impl Iterator<Item = (&'a str, PortFlooding)>) {
        let mut table = self.multicast();
        let known = ports.filter_map(|(name, flooding)| Some((*self.bundle_names.get(name)?, flooding)));
        let is_changed = known.fold(false, |any, (id, flooding)| table.set_port(id, flooding) | any);
        drop(table);
        if is_changed {
            self.changed();
        }
    }

    /// Who listens to multicast, if the bridge looks into that. Do not hold it across a translation.
    pub fn snooped(&self) -> Option<MutexGuard<'_, MulticastTable>> {
        self.settings.snoops_multicast.then(|| self.multicast())
    }

    pub(crate) fn multicast(&self) -> MutexGuard<'_, MulticastTable> {
        self.multicast.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// As [`Bridge::shared_macs`], of multicast.
    pub fn shared_multicast(&self) -> Arc<Mutex<MulticastTable>> {
        Arc::clone(&self.multicast)
    }

    pub fn table(&self, id: TableId) -> Option<&Table> {
        self.tables.get(usize::from(id.0))?.as_deref()
    }

    /// The table, made if it did not exist; a number beyond the last table means the last.
    pub(crate) fn table_mut(&mut self, id: TableId) -> &mut Table {
        let index = usize::from(id.0).min(self.tables.len() - 1);
        self.tables[index].get_or_insert_with(|| {
            let traffic = self.unmade.get(index).and_then(OnceLock::get);
            Box::new(Table::new(TableId(index as u8), traffic.cloned().unwrap_or_default()))
        })
    }

    /// The next revision, which the rule that is about to be added or modified has.
    pub fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// Moves with every rule that is added or modified.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The tables that were ever used.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter_map(Option::as_deref)
    }

    /// Puts a rule in, in the place of `old`, which has its match and priority, if there is one.
    pub(crate) fn put_rule(&mut self, entry: Arc<Entry>, old: Option<&Arc<Entry>>) {
        let revision = self.staging.as_ref().map(|staging| staging.first);
        let table = self.table_mut(entry.rule.table);
        match (revision, old) {
            (_, None) => table.add(entry),
            (None, Some(_)) => _ = table.insert(entry),
            (Some(revision), Some(_)) => _ = table.stage(entry, revision),
        }
    }

    /// Puts a rule of the switch's own in, in the place of one of the same match and priority.
    pub fn put_own_rule(&mut self, entry: Arc<Entry>) {
        self.table_mut(entry.rule.table).insert(entry);
        self.changed();
    }

    /// Removes a rule of the switch's own.
    pub fn remove_own_rule(&mut self, table: TableId, matching: &SparseMatch, priority: i32) {
        self.table_mut(table).remove(matching, priority);
        self.changed();
    }

    /// Removes the rule of the match and priority of `entry`.
    pub(crate) fn remove_rule(&mut self, entry: &Entry) {
        let revision = self.staging.as_ref().map(|staging| staging.first);
        let (matching, priority) = (&entry.rule.matching, entry.rule.priority);
        let table = self.table_mut(entry.rule.table);
        match revision {
            None => table.remove(matching, priority),
            Some(revision) => table.stage_removal(matching, priority, revision),
        };
    }

    /// The rules of all tables that `is_meant`.
    pub(crate) fn entries_that(&self, is_meant: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let entries = self.tables().flat_map(Table::entries);
        entries.filter(|entry| is_meant(entry)).cloned().collect()
    }

    /// The rule of the match and priority of `entry`.
    pub(crate) fn find_at(&self, entry: &Entry) -> Option<&Arc<Entry>> {
        self.table(entry.rule.table)?.find(&entry.rule.matching, entry.rule.priority)
    }

    /// The revision of the rules that packets see, if it is not that of all that stay.
    fn seen(&self) -> Option<u64> {
        self.staging.as_ref().map(|staging| staging.seen())
    }

    /// What packets see in the place of what a change that is being made has changed.
    fn hidden(&self) -> Option<&Staging> {
        self.staging.as_deref().filter(|staging| !staging.is_shown)
    }

    pub(crate) fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        self.tables.iter_mut().filter_map(Option::as_deref_mut)
    }

    /// Whether a controller wants to know how full a table is.
    pub fn watches_vacancy(&self, table: TableId) -> bool {
        self.table(table).is_some_and(|table| table.vacancy_watch.is_some())
    }

    /// What many rules that were removed at once have left behind, to be freed when nobody waits for it.
    pub fn take_debris(&mut self) -> Vec<Debris> {
        std::mem::take(&mut self.debris)
    }

    /// The rules that `criteria` are about, in the order of their tables.
    pub fn select(&self, criteria: &Criteria) -> Vec<Arc<Entry>> {
        self.tables().flat_map(|table| table.select(criteria)).cloned().collect()
    }

    pub fn rule_count(&self) -> usize {
        self.tables().map(Table::len).sum()
    }

    /// Replaces the mirrors.
    pub fn set_mirrors(&mut self, mut mirrors: Vec<Mirror>) {
        let same = self.mirrors.len() == mirrors.len()
            && self.mirrors.iter().zip(&mirrors).all(|(old, new)| old.is_same(new));
        if !same {
            pipeline::settle_duplicates(&mut mirrors);
            self.mirrors = mirrors;
            // A port that is for mirrors now is not where anybody listens.
            self.multicast().flush();
            self.changed();
        }
    }

    pub fn mirrors(&self) -> &[Mirror] {
        &self.mirrors
    }

    /// What the mirror of this id has sent.
    pub fn mirror_counters(&self, id: u128) -> Option<&pipeline::Counters> {
        self.mirrors.iter().find(|mirror| mirror.id == id).map(|mirror| &*mirror.counters)
    }

    /// Removes every rule, the groups and the meters. Returns the meters, which the datapath is to forget. The rules are
    /// left behind as debris.
    pub fn flush(&mut self) -> Vec<Meter> {
        let Bridge { tables, debris, .. } = self;
        debris.extend(tables.iter_mut().flatten().map(|table| table.clear()));
        self.groups.clear();
        self.changed();
        std::mem::take(&mut self.meters).into_values().collect()
    }
}

/// The rules that account for packets without a rule. They are listed as the reference's, which differ in a register.
fn miss_rules() -> MissRules {
    let rule = |number: u32, actions: Vec<Action>| {
        let mut matching = fields::Match::catch_all();
        matching.set(fields::Field::Reg0, number.into(), fields::Field::Reg0.exact());
        Arc::new(Rule {
            table: TableId::INTERNAL,
            priority: 0,
            matching: (&matching).into(),
            cookie: 0,
            actions: actions.into(),
            counters: Arc::new(Counters::default()),
        })
    };
    let to_controller =
        ofp::Controller { reason: PacketInReason::ImplicitMiss, ..ofp::Controller::default() };
    MissRules {
        controller: rule(1, vec![Action::Controller(Box::new(to_controller))]),
        drop: rule(2, Vec::new()),
        drop_fragments: rule(3, Vec::new()),
    }
}

impl BridgeView for Bridge {
    fn id(&self) -> BridgeId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn datapath(&self) -> DpId {
        self.datapath
    }

    fn tunnel_options(&self, key: &FlowKey) -> Vec<GeneveOption> {
        self.tunnel_options.of_key(key)
    }

    fn option_places(&self) -> &OptionPlaces {
        &self.option_places
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn timeout_policy(&self, zone: u16) -> Option<&str> {
        self.timeout_policies.get(&zone).map(|name| &**name)
    }

    fn lookup(&self, table: TableId, key: &FlowKey, mask: &mut FlowMask) -> Option<&Arc<Rule>> {
        self.table(table)?.lookup(key, mask, self.seen()).map(|entry| &entry.rule)
    }

    fn conjunction(&self, table: TableId, key: &FlowKey) -> Vec<Arc<Rule>> {
        let parts = self.table(table).map(|table| table.conjunction(key, self.seen()));
        let parts = parts.unwrap_or_default();
        parts.into_iter().map(|entry| Arc::clone(&entry.rule)).collect()
    }

    fn miss(&self, table: TableId) -> Miss {
        match self.table(table).map(|table| table.miss) {
            Some(known) if known != Miss::Default => known,
            _ if self.settings.misses_to_controller => Miss::Controller,
            _ => Miss::Drop,
        }
    }

    fn table_traffic(&self, table: TableId) -> Option<&Arc<TableTraffic>> {
        match self.table(table) {
            Some(table) => Some(&table.traffic),
            None => Some(self.unmade.get(usize::from(table.0))?.get_or_init(Arc::default)),
        }
    }

    fn miss_rules(&self) -> &MissRules {
        &self.miss_rules
    }

    fn group(&self, id: u32) -> Option<&Arc<Group>> {
        match self.hidden().and_then(|hidden| hidden.groups.get(&id)) {
            Some(before) => before.as_ref(),
            None => self.groups.get(&id),
        }
    }

    fn meter(&self, id: u32) -> Option<u32> {
        self.meters.get(&id).map(|meter| meter.number)
    }

    fn controller_meter(&self) -> Option<u32> {
        self.meter(ofp::meter_id::CONTROLLER)
    }

    fn slow_path_meter(&self) -> Option<u32> {
        self.meter(ofp::meter_id::SLOWPATH)
    }

    fn mirrors(&self) -> &[Mirror] {
        &self.mirrors
    }

    fn is_in_band(&self) -> bool {
        self.settings.is_in_band
    }

    fn has_controller(&self) -> bool {
        self.settings.has_controller
    }

    fn may_learn(&self, rule: &ofp::FlowMod, limit: u32) -> bool {
        self.admits_learned(rule, limit)
    }

    fn has_learned(&self, rule: &ofp::FlowMod) -> bool {
        self.find_same(rule).is_some()
    }

    fn fragments(&self) -> Fragments {
        self.settings.fragments
    }

    fn port(&self, number: OfPort) -> Option<&Port> {
        let now = || Some(&self.ports.get(&number)?.port);
        self.hidden().and_then(|hidden| hidden.ports.get(&number)).or_else(now)
    }

    fn ports(&self) -> Box<dyn Iterator<Item = &Port> + '_> {
        let now = self.ports.values().map(|entry| &entry.port);
        match self.hidden() {
            None => Box::new(now),
            Some(hidden) => Box::new(now.map(|port| hidden.ports.get(&port.number).unwrap_or(port))),
        }
    }

    fn bundle(&self, id: BundleId) -> Option<&Bundle> {
        let now = || self.bundles.get(&id);
        self.hidden().and_then(|hidden| hidden.bundles.get(&id)).or_else(now)
    }

    fn bundles(&self) -> Box<dyn Iterator<Item = &Bundle> + '_> {
        let now = self.bundles.values();
        match self.hidden() {
            None => Box::new(now),
            Some(hidden) => Box::new(now.map(|bundle| hidden.bundles.get(&bundle.id).unwrap_or(bundle))),
        }
    }

    fn learns_in(&self, vlan: u16) -> bool {
        !self.settings.flood_vlans.contains(&vlan)
    }

    fn learned(&self, vlan: u16, mac: MacAddr) -> Option<BundleId> {
        if self.learns_in(vlan) { self.macs().lookup(vlan, mac) } else { None }
    }

    fn snoops_multicast(&self) -> bool {
        self.settings.snoops_multicast
    }

    fn receivers(&self, vlan: u16, group: u128) -> Receivers {
        self.multicast().receivers(vlan, group)
    }

    fn forwards_bpdus(&self) -> bool {
        self.settings.forwards_bpdus
    }

    fn spanning_tree(&self) -> Option<SpanningTree> {
        self.settings.spanning_tree
    }

    fn exports(&self) -> &Exports {
        &self.settings.exports
    }
}
