//! The switch as it runs: carrying out the plan.

mod addresses;
mod bundles;
mod devices;
mod interfaces;
mod troubles;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, MacAddr, OfPort};
use dp::Datapath;
use flowsync::FlowSync;
use log::Level;
use ofproto::{Bridge, PortNews, Settings, SharedSwitch};
use pipeline::{BridgeId, Exports, SflowSampling};
use uuid::Uuid;

use crate::address::Lender;
use crate::complaints::Complaints;
use crate::desired::{Desired, DesiredBridge, DesiredInterface, DesiredPort};
use crate::plan::{Actual, ActualBridge, ActualInterface, Step, plan};
use crate::settings::Unread;
use crate::status::DATAPATH_TYPES;

/// The bridges, the datapath below them, and what is known of each interface.
pub struct Running {
    pub switch: Arc<SharedSwitch>,
    pub datapath: Arc<dyn Datapath>,
    pub flows: Arc<FlowSync>,
    pub(crate) clock: Clock,
    dummies: Dummies,
    bridges: BTreeMap<String, RunningBridge>,
    notices: Vec<Notice>,
    /// Bridges that cannot be made, with the reason.
    refused: BTreeMap<String, (Arc<DesiredBridge>, String)>,
    /// The settings that do nothing, by row.
    unsupported: HashMap<Uuid, String>,
    complaints: Complaints,
    /// How many interfaces were ever added.
    added: u64,
    /// How long a megaflow without packets stays.
    max_idle: Duration,
}

/// Which interfaces are made as dummies, for tests (`--enable-dummy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dummies {
    #[default]
    None,
    /// Those of type dummy, and all of bridges of type dummy.
    Asked,
    /// System and internal ones too.
    Override,
    /// System ones too.
    System,
}

/// A bridge that runs.
#[derive(Debug)]
pub struct RunningBridge {
    pub id: BridgeId,
    pub config: Arc<DesiredBridge>,
    pub mac: MacAddr,
    pub datapath_id: u64,
    /// What of its own row cannot be done.
    pub error: Option<String>,
    /// Who lends it its address.
    lender: Option<Lender>,
    /// The address that it had when the program ran before, until a port is found that lends it one.
    last_mac: Option<MacAddr>,
    interfaces: HashMap<String, RunningInterface>,
    /// The least MTU of its ports when its internal ports were last given one.
    least_mtu: Option<u32>,
    /// The numbers of interfaces whose device has vanished, for when it comes back.
    vanished: HashMap<String, OfPort>,
    /// The interfaces that were added or removed, or could not be, since the bridge was settled last.
    touched: HashSet<String>,
}

/// An interface, working or not.
#[derive(Clone, Debug)]
pub struct RunningInterface {
    config: DesiredInterface,
    /// The number, or why there is none.
    pub result: Result<OfPort, String>,
    /// Why it is of no use though it has a number.
    pub trouble: Option<String>,
    /// Which one it is of all that were ever added.
    pub serial: u64,
}

base::coverage!(static PASSES = "bridge_reconfigure");
base::coverage!(static PORTS_SETTLED = "bridge_port_settled");

/// How long a bridge that keeps loops out remembers an address that it does not hear of.
const GUARDED_AGING: Duration = Duration::from_secs(30);

/// The words for EAFNOSUPPORT.
const NO_SUCH_FAMILY: &str = "Address family not supported by protocol";

/// Something that controllers are to be told.
#[derive(Clone, Debug)]
pub enum Notice {
    Port { bridge: BridgeId, news: PortNews },
    BridgeRemoved(BridgeId),
}

impl Running {
    pub fn new(
        switch: Arc<SharedSwitch>,
        datapath: Arc<dyn Datapath>,
        flows: Arc<FlowSync>,
        clock: Clock,
        dummies: Dummies,
    ) -> Running {
        Running {
            switch,
            datapath,
            flows,
            clock,
            dummies,
            bridges: BTreeMap::new(),
            notices: Vec::new(),
            refused: BTreeMap::new(),
            unsupported: HashMap::new(),
            complaints: Complaints::default(),
            added: 0,
            max_idle: flowsync::DEFAULT_MAX_IDLE,
        }
    }

    pub fn bridges(&self) -> &BTreeMap<String, RunningBridge> {
        &self.bridges
    }

    /// What controllers are to be told since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Makes it so. What cannot be done is noted at its interface and tried
    /// again at the next call.
    pub fn apply(&mut self, desired: Desired) {
        PASSES.count();
        let desired = &self.possible(desired);
        self.flows.set_limits(desired.flow_limit, desired.max_idle);
        self.max_idle = desired.max_idle;
        let max_vlans = self.datapath.max_vlans();
        self.datapath.set_max_vlans(desired.max_vlans);
        if self.datapath.max_vlans() != max_vlans {
            // The keys of installed flows are of another shape.
            self.flows.purge();
        }
        let mut coming = Vec::new();
        for step in plan(desired, &self.actual()) {
            self.carry_out(step, desired, &mut coming);
        }
        self.follow_mtu();
        self.switch.write().reconnect();
        self.review();
        self.take_unread(&desired.unread);
        for (level, text) in &desired.complaints {
            self.complaints.say(*level, text.clone());
        }
        self.complaints.end_pass();
        self.flows.tick();
    }

    /// Logs the settings that do nothing, and keeps them for their rows.
    fn take_unread(&mut self, unread: &[Arc<[Unread]>]) {
        self.unsupported.clear();
        for one in unread.iter().flat_map(|of_row| &**of_row) {
            let level = if one.is_tuning { Level::Info } else { Level::Warn };
            self.complaints.say(level, one.text());
            if !one.is_tuning {
                let settings = self.unsupported.entry(one.uuid).or_default();
                let separator = if settings.is_empty() { "" } else { ", " };
                settings.push_str(separator);
                settings.push_str(&one.setting);
            }
        }
    }

    /// The settings of a row that do nothing.
    pub(crate) fn unsupported_of(&self, row: &Uuid) -> Option<String> {
        self.unsupported.get(row).cloned()
    }

    /// What is desired without what cannot be: a bridge of a type that is not known stays as it is, or is not made.
    fn possible(&mut self, mut desired: Desired) -> Desired {
        self.refused.clear();
        for bridge in self.bridges.values_mut() {
            bridge.error = None;
        }
        let mut bridges = std::mem::take(&mut desired.bridges);
        bridges.retain_mut(|shared| {
            let bridge = Arc::make_mut(shared);
            let kind = bridge.datapath_kind();
            if self.is_known_datapath(kind) {
                return true;
            }
            let why = format!("unknown datapath_type \"{kind}\"");
            match self.bridges.get_mut(&bridge.name) {
                Some(running) => {
                    bridge.datapath_type.clone_from(&running.config.datapath_type);
                    let why = format!("{why}; it stays {}", running.config.datapath_kind());
                    self.complaints.say(Level::Error, format!("bridge {}: {why}", bridge.name));
                    running.error = Some(why);
                    true
                }
                None => {
                    let text = format!("failed to create bridge {}: {NO_SUCH_FAMILY}", bridge.name);
                    self.complaints.say(Level::Error, format!("{text} ({why})"));
                    self.refused.insert(bridge.name.clone(), (Arc::clone(shared), why));
                    false
                }
            }
        });
        desired.bridges = bridges;
        desired
    }

    fn is_known_datapath(&self, kind: &str) -> bool {
        DATAPATH_TYPES.contains(&kind) || kind == "dummy" && self.dummies != Dummies::None
    }

    /// Bridges that cannot be made, with the reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &(Arc<DesiredBridge>, String)> {
        self.refused.values()
    }

    fn actual(&self) -> Actual<'_> {
        let switch = self.switch.read();
        let bridges = self.bridges.iter().map(|(name, bridge)| {
            let interfaces = bridge.interfaces.iter().filter_map(|(name, interface)| {
                let number = *interface.result.as_ref().ok()?;
                let config = &interface.config;
                let have =
                    ActualInterface { kind: &config.kind, options: &config.options, number: Some(number) };
                Some((name.as_str(), have))
            });
            let bundles = switch.get(bridge.id).map(bundle_names).unwrap_or_default();
            let datapath_type = bridge.config.datapath_kind();
            (name.as_str(), ActualBridge { datapath_type, interfaces: interfaces.collect(), bundles })
        });
        Actual { bridges: bridges.collect() }
    }

    /// `coming` are the interfaces to add: all together, before a bridge is settled.
    fn carry_out(&mut self, step: Step, desired: &Desired, coming: &mut Vec<(String, DesiredInterface)>) {
        let config = |name: &str| desired.bridges.iter().find(|bridge| bridge.name == name);
        match step {
            Step::RemoveBridge(name) => self.remove_bridge(&name),
            Step::RemoveInterface { bridge, interface } => self.remove_interface(&bridge, &interface),
            Step::RemoveBundle { bridge, bundle } => {
                let mut switch = self.switch.write();
                let found = switch.named(&bridge).and_then(|state| {
                    let bundle = state.bundle_named(&bundle)?;
                    Some((state.id(), bundle.id))
                });
                if let Some((bridge, bundle)) = found {
                    switch.remove_bundle(bridge, bundle);
                }
            }
            Step::AddBridge { bridge } => {
                if let Some(config) = config(&bridge) {
                    self.add_bridge(config);
                }
            }
            Step::AddInterface { bridge, interface } => coming.push((bridge, *interface)),
            Step::Settle { bridge } => {
                self.add_interfaces(std::mem::take(coming));
                if let Some(config) = config(&bridge) {
                    self.settle(config);
                }
            }
        }
    }

    fn add_bridge(&mut self, config: &Arc<DesiredBridge>) {
        let id = self.switch.write().add_bridge(&config.name);
        let bridge = RunningBridge {
            id,
            config: Arc::clone(config),
            mac: MacAddr::ZERO,
            datapath_id: 0,
            error: None,
            lender: None,
            last_mac: config.last_mac,
            interfaces: HashMap::new(),
            least_mtu: None,
            vanished: HashMap::new(),
            touched: HashSet::new(),
        };
        self.bridges.insert(config.name.clone(), bridge);
    }

    fn remove_bridge(&mut self, name: &str) {
        let Some(bridge) = self.bridges.get(name) else { return };
        let id = bridge.id;
        let interfaces: Vec<String> = bridge.interfaces.keys().cloned().collect();
        for interface in interfaces {
            self.remove_interface(name, &interface);
        }
        self.bridges.remove(name);
        self.switch.write().remove_bridge(id);
        self.notices.push(Notice::BridgeRemoved(id));
    }

    /// Sets all of a bridge that can be set again without harm.
    fn settle(&mut self, config: &Arc<DesiredBridge>) {
        let Some(bridge) = self.bridges.get_mut(&config.name) else { return };
        let before = std::mem::replace(&mut bridge.config, Arc::clone(config));
        let known: HashSet<*const DesiredPort> = before.ports.iter().map(Arc::as_ptr).collect();
        let touched = std::mem::take(&mut bridge.touched);
        let is_new = |port: &&Arc<DesiredPort>| {
            let is_touched = || port.interfaces.iter().any(|one| touched.contains(&one.name));
            !known.contains(&Arc::as_ptr(port)) || port.interfaces.len() > 1 || is_touched()
        };
        let changed: Vec<&Arc<DesiredPort>> = config.ports.iter().filter(is_new).collect();
        for interface in changed.iter().flat_map(|port| &port.interfaces) {
            if let Some(known) = bridge.interfaces.get_mut(&interface.name) {
                known.config = interface.clone();
            }
        }
        if !changed.is_empty() || config.ports.len() != before.ports.len() {
            // Interfaces that never worked and are not wanted any more.
            let wanted: HashSet<&str> = config.interfaces().map(|interface| &*interface.name).collect();
            bridge.interfaces.retain(|name, _| wanted.contains(&**name));
            bridge.vanished.retain(|name, _| wanted.contains(&**name));
        }
        PORTS_SETTLED.add(changed.len() as u64);
        self.settle_bundles(&config.name, &changed);
        self.settle_addresses(&config.name);
        self.settle_devices(config);
        let exports = Exports { sflow: self.sflow_of(config) };
        let Some(bridge) = self.bridges.get(&config.name) else { return };
        if let Some(state) = self.switch.write().get_mut(bridge.id) {
            let settings = Settings {
                forwards_bpdus: config.forwards_bpdus,
                guards_loops: config.asks_spanning_tree,
                exports,
                ..state.settings().clone()
            };
            state.set_settings(settings);
            // An address that moved is refused until it is forgotten where it was. That must not take longer than spanning
            // tree takes to agree, nor be quicker than a flow is to lose its last trace.
            let guarded = config.mac_aging.min(GUARDED_AGING).max(2 * self.max_idle);
            let aging = if config.asks_spanning_tree { guarded } else { config.mac_aging };
            state.macs().configure(config.mac_table_size, aging);
        }
        self.settle_tables(config);
        self.settle_mirrors(config);
    }

    fn sflow_of(&self, config: &DesiredBridge) -> Option<SflowSampling> {
        let sflow = config.sflow.as_ref().filter(|sflow| !sflow.targets.is_empty())?;
        let bridge = self.bridges.get(&config.name)?;
        let devices = self.devices(bridge).into_iter().filter_map(|(_, _, info)| info);
        let ifindexes =
            devices.map(|info| (info.number, info.ifindex)).filter(|(_, ifindex)| *ifindex != 0).collect();
        Some(SflowSampling { probability: u32::MAX / sflow.sampling.max(1), ifindexes })
    }
}

impl RunningBridge {
    fn lacks_devices(&self) -> bool {
        self.interfaces.values().any(|interface| interface.result.is_err())
    }

    pub fn interface(&self, name: &str) -> Option<&RunningInterface> {
        self.interfaces.get(name)
    }
}

fn bundle_names(bridge: &Bridge) -> BTreeSet<String> {
    use pipeline::BridgeView;
    bridge.bundles().map(|bundle| bundle.name.to_string()).collect()
}
