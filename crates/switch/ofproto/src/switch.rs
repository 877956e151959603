//! All bridges of the process behind one lock, and the door for translation.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base::held::Held;
use base::{DpPort, OfPort, Timestamp};
use dp::{Capabilities, DpId};
use flow::FlowKey;
use pipeline::tunnel::{Asking, NoUnderlay, TunnelMatch, TunnelTable, Underlay};
use pipeline::{
    BridgeId, BridgeView, BundleId, Credit, Effect, Frozen, FrozenId, Network, Rule, SharedNetwork, Snooped,
    View,
};

use crate::bridge::{Bridge, PortEntry};
use crate::epoch::Epoch;
use crate::flow_mod::Change;
use crate::frozen::FrozenStates;
use crate::meters::MeterNumbers;
use crate::turns::Turns;

/// The bridges, and which of them a datapath port belongs to.
///
/// It is behind one read-write lock for all bridges, not one for each:
/// patch ports lead a translation from bridge to bridge, and to hold the read
/// locks of several while somebody waits to write can block for ever.
#[derive(Debug, Default)]
pub struct Switch {
    bridges: BTreeMap<BridgeId, Bridge>,
    by_datapath_port: HashMap<Place, (BridgeId, OfPort)>,
    by_device: HashMap<(DpId, Arc<str>), (BridgeId, OfPort)>,
    tunnels: TunnelTable,
    underlay: Lower,
    next_bridge: u32,
    next_bundle: u32,
    epoch: Arc<Epoch>,
    frozen: FrozenStates,
    meter_numbers: MeterNumbers,
    /// Changes of rules that translation asked for, to be made when nobody reads.
    asked: Arc<Turns<Asked>>,
    /// Changes of rules that controllers have not been notified of.
    untold: Vec<(BridgeId, Vec<Change>)>,
}

/// The network that tunnels go through, if there is one.
#[derive(Clone, Debug)]
struct Lower(Arc<dyn Underlay>);

impl Default for Lower {
    fn default() -> Lower {
        Lower(Arc::new(NoUnderlay))
    }
}

/// A datapath and a port of it in one number, which is hashed for every packet that misses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Place(u64);

impl Place {
    fn of(datapath: DpId, port: DpPort) -> Place {
        Place(u64::from(datapath.0) << 32 | u64::from(port.0))
    }
}

/// A change of a rule that translation asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    Learn { bridge: BridgeId, rule: Arc<ofp::FlowMod>, limit: u32, used: Timestamp },
    ReduceTimeouts { bridge: BridgeId, rule: Arc<Rule>, idle_s: u16, hard_s: u16 },
}

impl Switch {
    pub fn new() -> Switch {
        Switch::default()
    }

    /// A number that moves whenever packets may be translated otherwise.
    pub fn epoch(&self) -> u64 {
        self.epoch.now()
    }

    /// Adds a bridge on a datapath that can do this.
    pub fn add_bridge(&mut self, name: &str, datapath: DpId, capabilities: Capabilities) -> BridgeId {
        self.next_bridge += 1;
        let id = BridgeId(self.next_bridge);
        let bridge = Bridge::new(id, name, datapath, capabilities, Arc::clone(&self.epoch));
        self.bridges.insert(id, bridge);
        id
    }

    /// Removes a bridge. Its rules are freed with what is returned, for which nobody has to wait.
    pub fn remove_bridge(&mut self, id: BridgeId) -> Option<Bridge> {
        let gone = self.bridges.remove(&id);
        self.reconnect();
        gone
    }

    /// In the order in which they were made.
    pub fn bridges(&self) -> impl Iterator<Item = &Bridge> {
        self.bridges.values()
    }

    pub fn bridges_mut(&mut self) -> impl Iterator<Item = &mut Bridge> {
        self.bridges.values_mut()
    }

    pub fn get(&self, id: BridgeId) -> Option<&Bridge> {
        self.bridges.get(&id)
    }

    pub fn get_mut(&mut self, id: BridgeId) -> Option<&mut Bridge> {
        self.bridges.get_mut(&id)
    }

    pub fn named(&self, name: &str) -> Option<&Bridge> {
        self.bridges.values().find(|bridge| bridge.name == name)
    }

    pub fn named_mut(&mut self, name: &str) -> Option<&mut Bridge> {
        self.bridges.values_mut().find(|bridge| bridge.name == name)
    }

    /// Takes a bundle from a bridge, and forgets what the other bridges know of
    /// the addresses behind it: whoever had them may now be reached another way.
    pub fn remove_bundle(&mut self, bridge: BridgeId, bundle: BundleId) {
        let Some(state) = self.bridges.get_mut(&bridge) else { return };
        let gone = state.remove_bundle(bundle);
        for other in self.bridges.values().filter(|other| other.id != bridge) {
            if other.macs().forget_all(&gone) {
                other.drifted();
            }
        }
    }

    pub fn new_bundle_id(&mut self) -> BundleId {
        self.next_bundle += 1;
        BundleId(self.next_bundle)
    }

    /// Finds anew which datapath ports are whose, and which patch ports face
    /// each other: those of bridges on the same datapath may. To be called after ports came, went or changed; where nothing did, nothing moves.
    pub fn reconnect(&mut self) {
        let mut by_datapath_port = HashMap::new();
        let mut by_device = HashMap::new();
        let mut tunnels = TunnelTable::default();
        let mut patches: HashMap<(DpId, String), (BridgeId, OfPort, String)> = HashMap::new();
        for bridge in self.bridges.values() {
            for entry in bridge.ports.values() {
                let own = (bridge.id, entry.port.number);
                match (entry.port.datapath, &entry.port.tunnel) {
                    (Some(port), None) => {
                        by_datapath_port.insert(Place::of(bridge.datapath, port), own);
                        by_device.insert((bridge.datapath, Arc::clone(&entry.port.name)), own);
                    }
                    (Some(port), Some(config)) => {
                        // Who adds a tunnel has seen to it that there is no other one like it.
                        let _ = tunnels.insert(TunnelMatch::new(bridge.datapath, port, config), own);
                    }
                    (None, _) => {}
                }
                if let Some(peer) = &entry.peer_name {
                    let name = entry.port.name.to_string();
                    let known = (bridge.id, entry.port.number, peer.clone());
                    patches.insert((bridge.datapath, name), known);
                }
            }
        }
        let mut is_changed = self.by_datapath_port != by_datapath_port
            || self.by_device != by_device
            || self.tunnels != tunnels;
        self.by_datapath_port = by_datapath_port;
        self.by_device = by_device;
        self.tunnels = tunnels;
        for bridge in self.bridges.values_mut() {
            for entry in bridge.ports.values_mut() {
                // Two ports face each other when each names the other.
                let peer = entry.peer_name.as_ref().and_then(|peer| {
                    let (other, number, back) = patches.get(&(bridge.datapath, peer.clone()))?;
                    (**back == *entry.port.name).then_some((*other, *number))
                });
                is_changed |= entry.port.peer != peer;
                entry.port.peer = peer;
            }
        }
        if is_changed {
            self.epoch.change();
        }
    }

    /// Has tunnels go through this network; whoever changes it calls [`SharedSwitch::underlay_changed`].
    pub fn set_underlay(&mut self, underlay: Arc<dyn Underlay>) {
        self.underlay = Lower(underlay);
        self.epoch.change();
    }

    /// The port of a tunnel by which packets would be taken for those of a new one.
    pub fn tunnel_like(&self, matching: &TunnelMatch) -> Option<&PortEntry> {
        let all = self.bridges.values().filter(|bridge| bridge.datapath == matching.datapath);
        all.flat_map(|bridge| bridge.ports.values()).find(|entry| {
            let config = entry.port.tunnel.as_ref().zip(entry.port.datapath);
            config
                .is_some_and(|(config, port)| TunnelMatch::new(matching.datapath, port, config) == *matching)
        })
    }

    /// A bridge with the numbers that the datapath has for meters of all bridges.
    pub fn get_with_meters(&mut self, id: BridgeId) -> Option<(&mut Bridge, &mut MeterNumbers)> {
        Some((self.bridges.get_mut(&id)?, &mut self.meter_numbers))
    }

    /// Frees the number of a meter that the datapath does not have any more.
    pub fn give_back_meter(&mut self, number: u32) {
        self.meter_numbers.give_back(number);
    }

    /// Makes the changes that translation asked for.
    fn make_asked(&mut self, asked: Vec<Asked>) {
        for one in asked {
            let (id, changes) = match one {
                Asked::Learn { bridge, rule, limit, used } => {
                    let Some(state) = self.bridges.get_mut(&bridge) else { continue };
                    (bridge, state.learn(&rule, limit, used))
                }
                Asked::ReduceTimeouts { bridge, rule, idle_s, hard_s } => {
                    if let Some(state) = self.bridges.get_mut(&bridge) {
                        state.reduce_timeouts(&rule, idle_s, hard_s);
                    }
                    continue;
                }
            };
            self.leave_untold(id, changes);
        }
    }

    /// The changes of rules since the last call that no request made.
    pub fn take_untold(&mut self) -> Vec<(BridgeId, Vec<Change>)> {
        std::mem::take(&mut self.untold)
    }

    /// Keeps changes for the next [`Switch::take_untold`].
    pub fn leave_untold(&mut self, bridge: BridgeId, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.untold.push((bridge, changes));
        }
    }

    pub fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Forgets frozen states that nothing refers to any more.
    pub fn sweep_frozen(&self) {
        self.frozen.sweep();
    }
}

impl Network for Switch {
    fn ingress(&self, datapath: DpId, port: DpPort) -> Option<(BridgeId, OfPort)> {
        self.by_datapath_port.get(&Place::of(datapath, port)).copied()
    }

    fn arrival(&self, datapath: DpId, key: &FlowKey) -> Option<(BridgeId, OfPort)> {
        let known = self.ingress(datapath, DpPort(key.in_port()));
        known.or_else(|| self.tunnels.find(datapath, key)).or_else(|| {
            // It has gone through another tunnel meanwhile.
            let state = self.frozen.find(key.recirc_id())?;
            Some((state.frozen.bridge, OfPort(state.frozen.metadata.read(flow::slot::IN_PORT) as u32)))
        })
    }

    fn ask_neighbour(&self, asking: &Asking, now: Timestamp) -> bool {
        let Some(bridge) = self.bridges.get(&asking.bridge) else { return false };
        let is_new = self.underlay.0.ask(&bridge.name, asking.address, now);
        if is_new {
            self.epoch.drift();
        }
        is_new
    }

    fn apply(&self, effects: &[Effect], credit: Credit) {
        let Credit { packets, bytes, tcp_flags, used } = credit;
        for effect in effects {
            match effect {
                Effect::CountRule(rule) => rule.counters.add(packets, bytes, used),
                Effect::CountTable { traffic, matched } => {
                    let counter = if *matched { &traffic.matched } else { &traffic.missed };
                    counter.fetch_add(packets, Ordering::Relaxed);
                }
                Effect::CountPatch { sent, received } => {
                    sent.sent.add(packets, bytes, used);
                    received.received.add(packets, bytes, used);
                }
                Effect::CountGroup { group, bucket } => {
                    group.counters.add(packets, bytes, used);
                    for (index, one) in group.buckets.iter().enumerate() {
                        if bucket.is_none_or(|chosen| chosen == index) {
                            one.counters.add(packets, bytes, used);
                        }
                    }
                }
                Effect::CountBond { bond, bucket } => bond.count(*bucket, packets, bytes),
                Effect::CountMirror(counters) => counters.add(packets, bytes, used),
                Effect::LearnMac { bridge, vlan, mac, port, gratuitous_arp_on_bond } => {
                    if let Some(bridge) = self.bridges.get(bridge) {
                        let mut macs = bridge.macs();
                        // What came before spanning tree had the port's addresses forgotten brings none of them back.
                        let news = bridge.learns_at(*port)
                            && macs.learn(*vlan, *mac, *port, *gratuitous_arp_on_bond, used);
                        drop(macs);
                        if news {
                            bridge.drifted();
                        }
                    }
                }
                Effect::LearnRule { bridge, rule, limit } => {
                    let rule = Arc::clone(rule);
                    self.asked.leave(Asked::Learn { bridge: *bridge, rule, limit: *limit, used });
                }
                Effect::FinTimeout { bridge, rule, idle_s, hard_s } if tcp_flags & FIN_OR_RST != 0 => {
                    let (bridge, rule) = (*bridge, Arc::clone(rule));
                    let (idle_s, hard_s) = (*idle_s, *hard_s);
                    self.asked.leave(Asked::ReduceTimeouts { bridge, rule, idle_s, hard_s });
                }
                Effect::FlowRecord(flow) => flow.count(credit),
                Effect::CountTunnel { traffic, is_sent } => {
                    let counters = if *is_sent { &traffic.sent } else { &traffic.received };
                    counters.add(packets, bytes, used);
                }
                Effect::Outer { header_len, counts } => {
                    let more = packets.saturating_mul((*header_len).into());
                    self.apply(counts, Credit { bytes: bytes.saturating_add(more), ..credit });
                }
                Effect::LearnNeighbour { bridge, address, mac, .. } => {
                    let bridge = self.bridges.get(bridge);
                    if bridge.is_some_and(|b| self.underlay.0.learn(&b.name, *address, *mac, used)) {
                        self.epoch.drift();
                    }
                }
                Effect::FinTimeout { .. }
                | Effect::Take { .. }
                | Effect::Snoop(_)
                | Effect::AskNeighbour(_) => {}
            }
        }
    }

    fn snoop(&self, snooped: Snooped, packet: &[u8], now: Timestamp) {
        let Snooped { bridge, vlan, port } = snooped;
        let Some(bridge) = self.bridges.get(&bridge) else { return };
        let Some(bundle) = bridge.bundle(port).filter(|_| bridge.learns_at(port)) else { return };
        let message = match wire::membership::read(packet) {
            Ok(message) => message,
            Err(error) => {
                log::debug!(
                    target: base::bounded!("ofproto_dpif_xlate"),
                    "multicast snooping received {error} on port {} in VLAN {vlan}",
                    bundle.name
                );
                return;
            }
        };
        if bridge.snooped().is_some_and(|mut table| table.take(vlan, port, message, now)) {
            bridge.drifted();
        }
    }
}

/// The TCP flags that end a connection.
const FIN_OR_RST: u16 = 0x01 | 0x04;

impl View for Switch {
    fn bridge(&self, id: BridgeId) -> Option<&dyn BridgeView> {
        self.bridges.get(&id).map(|bridge| bridge as &dyn BridgeView)
    }

    fn underlay(&self) -> &dyn Underlay {
        &*self.underlay.0
    }

    fn port_of_device(&self, datapath: DpId, device: &str) -> Option<(BridgeId, OfPort)> {
        self.by_device.get(&(datapath, Arc::from(device))).copied()
    }

    fn freeze(&self, frozen: Frozen) -> Arc<FrozenId> {
        self.frozen.intern(frozen)
    }

    fn thaw(&self, id: u32) -> Option<Arc<FrozenId>> {
        self.frozen.find(id)
    }
}

/// The switch behind its lock.
///
/// Translation takes the lock for reading, and never waits for long: who changes something holds it for one step of the
/// change, some microseconds, however long the whole change takes ([`Transaction`]), and first lets those in who wait for
/// it. All changes are made in turn; who wants to look for long has the turn, too ([`SharedSwitch::survey`]), so that
/// nobody waits to write, which would keep others from reading.
#[derive(Debug)]
pub struct SharedSwitch {
    switch: RwLock<Switch>,
    turns: Arc<Turns<Asked>>,
    /// How many threads wait to read.
    waiting: AtomicUsize,
    /// Whether the last change has left rules that are gone ([`SharedSwitch::sweep`]).
    pub(crate) has_litter: AtomicBool,
    epoch: Arc<Epoch>,
}

/// How often who wants to write gives up the processor for those who wait to read.
const PATIENCE: u32 = 100;

impl Default for SharedSwitch {
    fn default() -> Self {
        let switch = Switch::new();
        SharedSwitch {
            epoch: Arc::clone(&switch.epoch),
            turns: Arc::clone(&switch.asked),
            waiting: AtomicUsize::new(0),
            has_litter: AtomicBool::new(false),
            switch: RwLock::new(switch),
        }
    }
}

/// A guard of the lock over the bridges. Nobody asks the kernel while it exists ([`base::held`]).
#[derive(Debug)]
pub struct Locked<'a, G> {
    guard: G,
    _held: Held,
    // Fields are dropped in this order: the turn ends when the lock is released.
    _turn: Option<Turn<'a>>,
}

impl<G: Deref<Target = Switch>> Deref for Locked<'_, G> {
    type Target = Switch;

    fn deref(&self) -> &Switch {
        &self.guard
    }
}

impl<G: DerefMut<Target = Switch>> DerefMut for Locked<'_, G> {
    fn deref_mut(&mut self) -> &mut Switch {
        &mut self.guard
    }
}

/// The turn to change bridges, or to look at them for long.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    shared: &'a SharedSwitch,
    guard: Option<MutexGuard<'a, ()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        self.shared.make_asked();
    }
}

/// A step of a change.
pub(crate) type Step<'a> = Locked<'a, RwLockWriteGuard<'a, Switch>>;

impl SharedSwitch {
    /// For looking. Keep it short: nobody can write meanwhile, and who waits to write keeps others from reading.
    pub fn read(&self) -> Locked<'_, RwLockReadGuard<'_, Switch>> {
        Locked { guard: self.look(), _held: Held::new(), _turn: None }
    }

    /// For looking that takes long, like listing many rules. Nobody else waits meanwhile but those who want to change
    /// something.
    pub fn survey(&self) -> Locked<'_, RwLockReadGuard<'_, Switch>> {
        let turn = Some(self.turn());
        Locked { guard: self.look(), _held: Held::new(), _turn: turn }
    }

    /// For changing. Keep it short: no packet is translated meanwhile.
    pub fn write(&self) -> Locked<'_, RwLockWriteGuard<'_, Switch>> {
        let turn = Some(self.turn());
        Locked { _turn: turn, ..self.step() }
    }

    pub(crate) fn turn(&self) -> Turn<'_> {
        let turn = Turn { shared: self, guard: Some(self.turns.take()) };
        self.sweep();
        turn
    }

    /// For a step of a change, by who has the turn.
    pub(crate) fn step(&self) -> Step<'_> {
        // A lock that is released and taken again at once is lost to those who sleep for it.
        for _ in 0..PATIENCE {
            if self.waiting.load(Ordering::Relaxed) == 0 {
                break;
            }
            std::thread::yield_now();
        }
        let guard = self.switch.write().unwrap_or_else(PoisonError::into_inner);
        Locked { guard, _held: Held::new(), _turn: None }
    }

    fn look(&self) -> RwLockReadGuard<'_, Switch> {
        if let Ok(guard) = self.switch.try_read() {
            return guard;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.switch.read().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    /// Makes the changes that translation asked for, unless somebody changes something, who will do it.
    fn make_asked(&self) {
        self.turns.settle(|asked| {
            self.sweep();
            self.step().make_asked(asked);
        });
    }

    /// A protocol has found that a port may, or may not, be forwarded through any more: the change that it made
    /// ([`pipeline::Watched::set_up`]) is in force for the next packet. Needs no lock.
    pub fn liveness_changed(&self) {
        self.epoch.change();
    }

    /// Routes, addresses or neighbours are others than before: the change is in force for the next packet. Needs no lock.
    pub fn underlay_changed(&self) {
        self.epoch.change();
    }
}

impl SharedNetwork for SharedSwitch {
    fn read(&self, look: &mut dyn FnMut(&dyn Network)) {
        look(&*SharedSwitch::read(self));
        self.make_asked();
    }

    fn epoch(&self) -> u64 {
        self.epoch.now()
    }

    fn fence(&self) -> dp::Fence {
        self.epoch.fence()
    }

    fn watch_fence(&self, watcher: dp::FenceWatcher) {
        self.epoch.watch(watcher);
    }
}
