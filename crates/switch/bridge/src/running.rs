//! The switch as it runs: carrying out the plan.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use base::{Clock, MacAddr, OfPort, Timestamp};
use controller::Manager;
use dp::DpId;
use flowsync::{Below, Datapaths, OpenError, Sample};
use log::Level;
use ofproto::{Bridge, PortNews, SharedSwitch};
use pipeline::BridgeId;
use protocols::Monitor;
use uuid::Uuid;

use crate::complaints::Complaints;
use crate::concerns::addresses::Lender;
use crate::concerns::bundles::DesiredPort;
use crate::concerns::datapaths::{self, Overrides};
use crate::concerns::exports::Exports;
use crate::concerns::interfaces::{DesiredInterface, RunningInterface};
use crate::concerns::limits::DesiredLimits;
use crate::concerns::machine::MachineStatistics;
use crate::concerns::monitoring::Routes;
use crate::concerns::shaping::QosTroubles;
use crate::concerns::workers::DesiredWorkers;
use crate::concerns::zones::RunningZones;
use crate::concerns::{CONCERNS, Pass, tunnels};
use crate::desired::{Desired, DesiredBridge};
use crate::extent::Extent;
use crate::plan::{Actual, ActualBridge, ActualInterface, Step, plan};

/// The bridges with all that the database configures around them, and what is known of each interface. Lives on the control
/// thread.
pub struct Running {
    pub switch: Arc<SharedSwitch>,
    pub datapaths: Arc<Datapaths>,
    /// The connections to controllers.
    pub manager: Manager,
    /// The protocols that watch over links.
    pub monitor: Arc<Monitor>,
    pub(crate) routes: Arc<Routes>,
    /// The network that tunnels go through.
    pub below_tunnels: tunnels::Below,
    pub(crate) exports: Exports,
    /// What translation is to believe of datapaths.
    pub(crate) overrides: HashMap<DpId, Overrides>,
    pub(crate) machine: MachineStatistics,
    pub(crate) clock: Clock,
    pub(crate) dummies: Dummies,
    /// The command line's say on connections over TLS.
    pub tls: rpc::Tls,
    /// Sockets of controllers outside the run directory are rejected.
    pub(crate) is_confined: bool,
    pub(crate) limits: DesiredLimits,
    pub(crate) workers: DesiredWorkers,
    /// What holds for the connections of datapaths.
    pub(crate) zones: HashMap<DpId, RunningZones>,
    pub(crate) bridges: BTreeMap<String, RunningBridge>,
    pub(crate) notices: Vec<Notice>,
    /// Bridges that cannot be made, with the reason.
    refused: BTreeMap<String, (Arc<DesiredBridge>, String)>,
    /// The settings that do nothing, by row.
    pub(crate) unsupported: HashMap<Uuid, String>,
    /// What of the quality of service of ports is not in force, by their rows.
    pub(crate) qos_troubles: QosTroubles,
    pub(crate) complaints: Complaints,
    /// How many interfaces were ever added.
    pub(crate) added: u64,
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
    /// The datapath that its ports are in.
    pub below: Below,
    pub config: Arc<DesiredBridge>,
    pub mac: MacAddr,
    pub datapath_id: u64,
    /// What of its own row cannot be done.
    pub error: Option<String>,
    /// Who lends it its address.
    pub(crate) lender: Option<Lender>,
    /// The address that it had when the program ran before, until a port is found that lends it one.
    pub(crate) last_mac: Option<MacAddr>,
    pub(crate) interfaces: HashMap<String, RunningInterface>,
    /// The numbers of ports in the spanning tree that nobody asked for, so that they stay when others come.
    pub(crate) tree_numbers: BTreeMap<String, u16>,
    /// The least MTU of its ports when its internal ports were last given one.
    pub(crate) least_mtu: Option<u32>,
    /// The numbers of interfaces whose device has vanished, for when it comes back.
    pub(crate) vanished: HashMap<String, OfPort>,
    /// The rules by which its connections to controllers pass.
    pub(crate) in_band: crate::concerns::controllers::InBand,
    /// The interfaces that were added or removed, or could not be, since the bridge was settled last.
    pub(crate) touched: HashSet<String>,
}

base::coverage!(static PASSES = "bridge_reconfigure");
// Passes after which cached flows are checked again, by the reference's name.
base::coverage!(static CHANGED = "rev_reconfigure");
base::coverage!(static PORTS_SETTLED = "bridge_port_settled");

/// The words for EAFNOSUPPORT.
const NO_SUCH_FAMILY: &str = "Address family not supported by protocol";

/// A change that controllers are notified of.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    Port { bridge: BridgeId, news: PortNews },
    BridgeRemoved(BridgeId),
}

impl Running {
    /// Nothing is configured yet. `is_confined`: see [`crate::concerns::controllers`]; `ignores_routes`: tunnels do not use
    /// those of the machine.
    pub fn new(
        switch: Arc<SharedSwitch>,
        datapaths: Arc<Datapaths>,
        monitor: Arc<Monitor>,
        clock: Clock,
        dummies: Dummies,
        is_confined: bool,
        ignores_routes: bool,
    ) -> Running {
        let below_tunnels = tunnels::Below::new(ignores_routes);
        switch
            .write()
            .set_underlay(Arc::clone(&below_tunnels.network) as Arc<dyn pipeline::tunnel::Underlay>);
        Running {
            routes: Routes::new(Arc::clone(&switch), Arc::clone(&datapaths), clock.clone()),
            monitor,
            below_tunnels,
            manager: Manager::new(Arc::clone(&switch), Arc::clone(&datapaths), clock.clone()),
            switch,
            datapaths,
            exports: Exports::default(),
            overrides: HashMap::new(),
            machine: MachineStatistics::default(),
            clock,
            dummies,
            tls: rpc::Tls::default(),
            is_confined,
            limits: DesiredLimits::default(),
            zones: HashMap::new(),
            workers: DesiredWorkers::default(),
            bridges: BTreeMap::new(),
            notices: Vec::new(),
            refused: BTreeMap::new(),
            unsupported: HashMap::new(),
            qos_troubles: QosTroubles::new(),
            complaints: Complaints::default(),
            added: 0,
        }
    }

    /// Starts the thread of the protocols. `notify` is called when [`Running::follow_protocols`] has something to do.
    pub fn start_protocols(&self, notify: Arc<dyn Fn() + Send + Sync>) -> std::io::Result<()> {
        self.routes.set_notify(notify);
        self.monitor.start(Arc::clone(&self.routes) as Arc<dyn protocols::Link>)
    }

    /// How many interfaces were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    pub fn bridges(&self) -> &BTreeMap<String, RunningBridge> {
        &self.bridges
    }

    /// Makes it so. What cannot be done is noted at its interface and tried
    /// again at the next call. Connections to controllers follow with [`Running::tell`].
    pub fn apply(&mut self, desired: Desired) {
        PASSES.count();
        let epoch = self.switch.read().epoch();
        CONCERNS.iter().for_each(|concern| concern.prepare(self, &desired));
        let desired = &self.possible(desired);
        let mut coming = Vec::new();
        for step in plan(desired, &self.actual()) {
            self.carry_out(step, desired, &mut coming);
        }
        self.switch.write().reconnect();
        CONCERNS.iter().for_each(|concern| concern.finish(self, desired));
        for (level, text) in &desired.complaints {
            self.complaints.say(*level, text.clone());
        }
        self.complaints.end_pass();
        self.datapaths.tick();
        if self.switch.read().epoch() != epoch {
            CHANGED.count();
        }
    }

    /// Takes in what devices report of themselves. Returns whether a pass has to follow: an interface has gone, one that
    /// could not be opened may now be, or a bridge has another datapath id.
    pub fn follow(&mut self) -> bool {
        CONCERNS.iter().fold(false, |again, concern| concern.follow(self) | again)
    }

    /// Does what time asks for. Returns what is to be reported.
    pub fn tick(&mut self, now: Timestamp) -> Extent {
        CONCERNS.iter().fold(Extent::default(), |extent, concern| extent | concern.tick(self, now))
    }

    /// Tells controllers of ports and bridges that came, changed or went, and brings connections in line with what the
    /// database asks for.
    pub async fn tell(&mut self) {
        for notice in std::mem::take(&mut self.notices) {
            match notice {
                Notice::Port { bridge, news } => self.manager.tell_port(bridge, &news, None),
                // Before new bridges get their sockets: an old one may have had the same name.
                Notice::BridgeRemoved(bridge) => self.manager.remove_bridge(bridge).await,
            }
        }
        self.manager.settle().await;
    }

    /// Tells controllers of ports as [`Running::tell`] does, up to a bridge that has gone.
    pub fn tell_ports(&mut self) {
        let mut notices = std::mem::take(&mut self.notices).into_iter().peekable();
        while let Some(Notice::Port { bridge, news }) =
            notices.next_if(|notice| matches!(notice, Notice::Port { .. }))
        {
            self.manager.tell_port(bridge, &news, None);
        }
        self.notices = notices.collect();
    }

    /// Sends the frame that asks for a tunnel's neighbour: the bridge forwards it as if the device's port had received it.
    pub fn ask_neighbour(&self, asking: &pipeline::tunnel::Asking) {
        let datapath = self.switch.read().get(asking.bridge).map(Bridge::datapath);
        let Some(below) = datapath.and_then(|id| self.datapaths.get(id)) else { return };
        let mut metadata = flow::FlowKey::new();
        metadata.set_in_port(asking.port.0);
        let to_tables = [ofp::Action::Output(ofp::Output { port: OfPort::TABLE, max_len: 0 })];
        let packet = dp::Packet::from_bytes(&asking.frame);
        if let Err(error) = below.flows.packet_out(asking.bridge, packet, &metadata, &to_tables) {
            log::warn!(target: base::bounded!("bridge"), "a tunnel's neighbour could not be asked for: {error}");
        }
    }

    /// Takes a packet that was sampled.
    pub fn take_sample(&mut self, sample: &Sample) {
        let mut exports = std::mem::take(&mut self.exports);
        exports.take(sample, self);
        self.exports = exports;
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
            let (why, error) = match self.datapaths.below(bridge.datapath_kind()) {
                Ok(_) => return true,
                Err(OpenError::System(error)) => {
                    let error = base::error_text(&error);
                    (format!("its datapath cannot be opened ({error})"), error)
                }
                Err(unknown @ (OpenError::UnknownKind(_) | OpenError::Exists)) => {
                    (unknown.to_string(), NO_SUCH_FAMILY.to_owned())
                }
            };
            match self.bridges.get_mut(&bridge.name) {
                Some(running) => {
                    bridge.datapath_type.clone_from(&running.config.datapath_type);
                    let why = format!("{why}; it stays {}", running.config.datapath_kind());
                    self.complaints.say(Level::Error, format!("bridge {}: {why}", bridge.name));
                    running.error = Some(why);
                    true
                }
                None => {
                    let text = format!("failed to create bridge {}: {error}", bridge.name);
                    self.complaints.say(Level::Error, format!("{text} ({why})"));
                    self.refused.insert(bridge.name.clone(), (Arc::clone(shared), why));
                    false
                }
            }
        });
        desired.bridges = bridges;
        desired
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
                drop(switch);
                if let Some((bridge, _)) = found {
                    self.monitor.part(bridge, &bundle);
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
        // What is possible was found out before.
        let Ok(below) = self.datapaths.below(config.datapath_kind()) else { return };
        let capabilities = below.datapath.capabilities();
        if !self.bridges.values().any(|bridge| bridge.below.id == below.id) {
            datapaths::log_features(&below.full_name(), &capabilities);
        }
        let id = self.switch.write().add_bridge(&config.name, below.id, capabilities);
        let bridge = RunningBridge {
            id,
            below,
            config: Arc::clone(config),
            mac: MacAddr::ZERO,
            datapath_id: 0,
            error: None,
            lender: None,
            last_mac: config.last_mac,
            interfaces: HashMap::new(),
            tree_numbers: BTreeMap::new(),
            least_mtu: None,
            vanished: HashMap::new(),
            in_band: crate::concerns::controllers::InBand::default(),
            touched: HashSet::new(),
        };
        self.bridges.insert(config.name.clone(), bridge);
        // Before it has ports, which could close a loop.
        self.set_tree_kind(&config.name, config.tree_kind());
    }

    fn remove_bridge(&mut self, name: &str) {
        let Some(bridge) = self.bridges.get(name) else { return };
        let id = bridge.id;
        let interfaces: Vec<String> = bridge.interfaces.keys().cloned().collect();
        for interface in interfaces {
            self.remove_interface(name, &interface);
        }
        self.bridges.remove(name);
        self.monitor.leave(id);
        self.routes.set_learned(id, None);
        let gone = self.switch.write().remove_bridge(id);
        drop(gone);
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
            let says_otherwise =
                || before.discovery != config.discovery && port.interfaces.iter().any(|one| one.lldp);
            !known.contains(&Arc::as_ptr(port))
                || port.interfaces.len() > 1
                || is_touched()
                || says_otherwise()
        };
        let changed: Vec<&Arc<DesiredPort>> = config.ports.iter().filter(is_new).collect();
        PORTS_SETTLED.add(changed.len() as u64);
        let pass = Pass { config, changed, has_fewer_ports: config.ports.len() < before.ports.len() };
        CONCERNS.iter().for_each(|concern| concern.settle(self, &pass));
    }
}

impl RunningBridge {
    pub(crate) fn lacks_devices(&self) -> bool {
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
