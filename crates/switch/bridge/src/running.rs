//! The switch as it runs: carrying out the plan.

mod addresses;
mod bundles;
mod devices;
mod more;
mod troubles;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, MacAddr, OfPort};
use dp::{Datapath, PortSpec};
use flowsync::FlowSync;
use log::Level;
use ofp::{port_config, port_state};
use ofproto::{Bridge, NewPort, PortNews, Settings, SflowSampling, SharedSwitch};
use pipeline::BridgeId;

use crate::address::Lender;
use crate::complaints::Complaints;
use crate::desired::{Desired, DesiredBridge, DesiredInterface};
use crate::plan::{Actual, ActualBridge, ActualInterface, Step, plan};
use crate::refused;
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
    refused: BTreeMap<String, (DesiredBridge, String)>,
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
    pub config: DesiredBridge,
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
    pub fn apply(&mut self, desired: &Desired) {
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
        for step in plan(desired, &self.actual()) {
            self.carry_out(step, desired);
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
    fn take_unread(&mut self, unread: &[Unread]) {
        self.unsupported.clear();
        for one in unread {
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
    fn possible(&mut self, desired: &Desired) -> Desired {
        let mut possible = desired.clone();
        self.refused.clear();
        for bridge in self.bridges.values_mut() {
            bridge.error = None;
        }
        possible.bridges.retain_mut(|bridge| {
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
                    self.refused.insert(bridge.name.clone(), (bridge.clone(), why));
                    false
                }
            }
        });
        possible
    }

    fn is_known_datapath(&self, kind: &str) -> bool {
        DATAPATH_TYPES.contains(&kind) || kind == "dummy" && self.dummies != Dummies::None
    }

    /// Bridges that cannot be made, with the reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &(DesiredBridge, String)> {
        self.refused.values()
    }

    fn actual(&self) -> Actual {
        let bridges = self.bridges.iter().map(|(name, bridge)| {
            let interfaces = bridge.interfaces.iter().filter_map(|(name, interface)| {
                let number = interface.result.as_ref().ok()?;
                let config = &interface.config;
                let have = ActualInterface {
                    kind: config.kind.clone(),
                    options: config.options.clone(),
                    number: Some(*number),
                };
                Some((name.clone(), have))
            });
            let switch = self.switch.read();
            let bundles = switch.get(bridge.id).map(bundle_names).unwrap_or_default();
            let datapath_type = bridge.config.datapath_kind().to_owned();
            (name.clone(), ActualBridge { datapath_type, interfaces: interfaces.collect(), bundles })
        });
        Actual { bridges: bridges.collect() }
    }

    fn carry_out(&mut self, step: Step, desired: &Desired) {
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
            Step::AddInterface { bridge, interface } => self.add_interface(&bridge, *interface),
            Step::Settle { bridge } => {
                if let Some(config) = config(&bridge) {
                    self.settle(config);
                }
            }
        }
    }

    fn add_bridge(&mut self, config: &DesiredBridge) {
        let id = self.switch.write().add_bridge(&config.name);
        let bridge = RunningBridge {
            id,
            config: config.clone(),
            mac: MacAddr::ZERO,
            datapath_id: 0,
            error: None,
            lender: None,
            last_mac: config.last_mac,
            interfaces: HashMap::new(),
            least_mtu: None,
            vanished: HashMap::new(),
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

    fn add_interface(&mut self, bridge_name: &str, config: DesiredInterface) {
        let Some(id) = self.bridges.get(bridge_name).map(|bridge| bridge.id) else { return };
        let result = self.open_interface(bridge_name, id, &config);
        let Some(bridge) = self.bridges.get_mut(bridge_name) else { return };
        match &result {
            Ok(number) => {
                let shown = number.to_u16().map_or(number.0, u32::from);
                log::info!(target: "bridge", "bridge {bridge_name}: added interface {} on port {shown}", config.name);
            }
            Err(reason) => {
                let known = bridge.interfaces.get(&config.name).and_then(|old| old.result.as_ref().err());
                if known != Some(reason) {
                    log::warn!(target: "bridge", "{reason}");
                }
            }
        }
        self.added += 1;
        let running = RunningInterface { config, result, trouble: None, serial: self.added };
        bridge.interfaces.insert(running.config.name.clone(), running);
    }

    /// Opens the device and adds the port. The error is worded for the interface's `error` column.
    fn open_interface(
        &mut self,
        bridge_name: &str,
        id: BridgeId,
        config: &DesiredInterface,
    ) -> Result<OfPort, String> {
        if let Some(refusal) = refused::refusal(config) {
            return Err(refusal);
        }
        let is_local = config.name == bridge_name;
        let mut desc = ofp::PortDesc { hw_addr: random_mac(), ..ofp::PortDesc::default() };
        let datapath_port = if config.is_patch() {
            check_patch(config)?;
            None
        } else {
            let kind = if is_local && config.kind.is_empty() { "internal" } else { &config.kind };
            let kind = self.kind_of(bridge_name, kind);
            let spec = PortSpec {
                options: config.options.clone().into_iter().collect(),
                ..PortSpec::new(&config.name, kind)
            };
            let number = self.datapath.add_port(&spec).map_err(|e| e.to_string())?;
            if let Some(info) = self.datapath.port(number) {
                describe(&mut desc, &info);
            }
            Some(number)
        };
        let is_live = desc.state & port_state::LIVE != 0;
        desc.state &= !port_state::LIVE;
        let new = NewPort {
            name: config.name.clone(),
            wanted: config
                .number
                .or_else(|| self.bridges.get(bridge_name)?.vanished.get(&config.name).copied()),
            datapath: datapath_port,
            peer_name: config.peer().map(str::to_owned),
            desc,
        };
        let now = self.clock.now();
        let news = self.switch.write().get_mut(id).and_then(|bridge| bridge.add_port(new, now));
        let Some(news) = news else {
            if let Some(number) = datapath_port {
                self.close_port(number);
            }
            return Err(format!(
                "could not add network device {} to ofproto (Too many open files)",
                config.name
            ));
        };
        let number = news.status.desc.port;
        self.notices.push(Notice::Port { bridge: id, news });
        // Whether the link is up is told when it is known, after the port itself.
        if is_live && let Some(bridge) = self.switch.write().get_mut(id) {
            let news = bridge.update_port(number, |entry| entry.desc.state |= port_state::LIVE);
            self.notices.extend(news.map(|news| Notice::Port { bridge: id, news }));
        }
        Ok(number)
    }

    /// The kind of device that stands for `kind`.
    fn kind_of<'a>(&self, bridge: &str, kind: &'a str) -> &'a str {
        let in_dummy_bridge = self.bridges.get(bridge).is_some_and(|b| b.config.datapath_type == "dummy");
        match (self.dummies, kind) {
            (Dummies::None, kind) => kind,
            (Dummies::Override | Dummies::System, "") => "dummy",
            (Dummies::Override, "internal" | "tap") => "dummy-internal",
            (_, "internal") if in_dummy_bridge => "dummy-internal",
            (_, kind) => kind,
        }
    }

    fn remove_interface(&mut self, bridge_name: &str, name: &str) {
        let Some(bridge) = self.bridges.get_mut(bridge_name) else { return };
        let id = bridge.id;
        let Some(interface) = bridge.interfaces.remove(name) else { return };
        let Ok(number) = interface.result else { return };
        let now = self.clock.now();
        let mut datapath_port = None;
        if let Some(bridge) = self.switch.write().get_mut(id) {
            datapath_port = bridge.port_entry(number).and_then(|entry| entry.port.datapath);
            if let Some(news) = bridge.remove_port(number, now) {
                self.notices.push(Notice::Port { bridge: id, news });
            }
        }
        if let Some(number) = datapath_port {
            self.close_port(number);
        }
        let shown = fields::format_port_plain(number);
        log::info!(target: "bridge", "bridge {bridge_name}: deleted interface {name} on port {shown}");
    }

    fn close_port(&self, number: base::DpPort) {
        if let Err(e) = self.datapath.del_port(number) {
            log::warn!(target: "bridge", "failed to remove port {number} from the datapath: {e}");
        }
    }

    /// Sets all of a bridge that can be set again without harm.
    fn settle(&mut self, config: &DesiredBridge) {
        let Some(bridge) = self.bridges.get_mut(&config.name) else { return };
        bridge.config = config.clone();
        for port in &config.ports {
            for interface in &port.interfaces {
                if let Some(known) = bridge.interfaces.get_mut(&interface.name) {
                    known.config = interface.clone();
                }
            }
        }
        // Interfaces that never worked and are not wanted any more.
        let wanted = |name: &str| config.ports.iter().flat_map(|p| &p.interfaces).any(|i| i.name == name);
        bridge.interfaces.retain(|name, _| wanted(name));
        bridge.vanished.retain(|name, _| wanted(name));
        self.settle_bundles(config);
        self.settle_addresses(&config.name);
        self.settle_devices(config);
        let sflow = self.sflow_of(config);
        let Some(bridge) = self.bridges.get(&config.name) else { return };
        if let Some(state) = self.switch.write().get_mut(bridge.id) {
            let settings = Settings {
                forwards_bpdus: config.forwards_bpdus,
                guards_loops: config.asks_spanning_tree,
                sflow,
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
        let switch = self.switch.read();
        let ifindexes = switch
            .get(bridge.id)?
            .port_entries()
            .filter_map(|entry| entry.port.datapath)
            .filter_map(|port| Some((port, self.datapath.port(port)?.ifindex)))
            .filter(|(_, ifindex)| *ifindex != 0)
            .collect();
        Some(SflowSampling { probability: u32::MAX / sflow.sampling.max(1), ifindexes })
    }

    /// Takes in what devices report of themselves. Returns whether an interface has gone, one that could not be opened
    /// may now be, or a bridge has another datapath id.
    pub fn refresh_ports(&mut self) -> bool {
        let mut again = false;
        for bridge in self.bridges.values() {
            let mut switch = self.switch.write();
            let Some(state) = switch.get_mut(bridge.id) else { continue };
            for interface in bridge.interfaces.values() {
                let Ok(number) = interface.result else {
                    again = true;
                    continue;
                };
                let Some(port) = state.port_entry(number).and_then(|entry| entry.port.datapath) else {
                    continue;
                };
                match self.datapath.port(port).filter(|info| info.is_present) {
                    Some(info) => {
                        let news = state.update_port(number, |entry| describe(&mut entry.desc, &info));
                        self.notices.extend(news.map(|news| Notice::Port { bridge: bridge.id, news }));
                    }
                    None => again = true,
                }
            }
        }
        self.follow_mtu();
        self.follow_links();
        again |= self.follow_addresses();
        again
    }

    /// Closes the ports whose device has vanished, so that they are opened anew when it comes back.
    pub fn drop_vanished(&mut self) {
        let mut vanished = Vec::new();
        for (bridge_name, bridge) in &self.bridges {
            let switch = self.switch.read();
            let Some(state) = switch.get(bridge.id) else { continue };
            for (name, interface) in &bridge.interfaces {
                let Ok(number) = interface.result else { continue };
                let port = state.port_entry(number).and_then(|entry| entry.port.datapath);
                let gone =
                    port.is_some_and(|port| !self.datapath.port(port).is_some_and(|info| info.is_present));
                if gone {
                    vanished.push((bridge_name.clone(), name.clone(), number));
                }
            }
        }
        for (bridge, interface, number) in vanished {
            self.remove_interface(&bridge, &interface);
            if let Some(bridge) = self.bridges.get_mut(&bridge) {
                bridge.vanished.insert(interface, number);
            }
        }
    }
}

impl RunningBridge {
    pub fn interface(&self, name: &str) -> Option<&RunningInterface> {
        self.interfaces.get(name)
    }
}

/// Whether the options of a patch port are in order.
fn check_patch(config: &DesiredInterface) -> Result<(), String> {
    let name = &config.name;
    let why = match config.peer() {
        None => "patch type requires valid 'peer' argument",
        Some(_) if config.options.len() > 1 => "patch type takes only a 'peer' argument",
        Some(peer) if peer == name => "patch peer must not be self",
        Some(_) => return Ok(()),
    };
    Err(format!("{name}: {why}"))
}

fn bundle_names(bridge: &Bridge) -> std::collections::BTreeSet<String> {
    use pipeline::BridgeView;
    bridge.bundles().map(|bundle| bundle.name.to_string()).collect()
}

/// Fills in what a device says of itself.
fn describe(desc: &mut ofp::PortDesc, info: &dp::PortInfo) {
    desc.hw_addr = info.mac;
    let set = |bits: &mut u32, bit: u32, on: bool| *bits = if on { *bits | bit } else { *bits & !bit };
    set(&mut desc.config, port_config::PORT_DOWN, !info.is_up);
    // A device that is down has no carrier, whatever it says.
    set(&mut desc.state, port_state::LINK_DOWN, !(info.has_link && info.is_up));
    set(&mut desc.state, port_state::LIVE, info.is_up && info.has_link);
    desc.current = info.current_features;
    desc.advertised = info.advertised_features;
    desc.supported = info.supported_features;
    desc.current_speed = info.speed_mbps.saturating_mul(1000);
    desc.max_speed = base::link_feature::speed_kbps(info.supported_features);
}

/// A local, unicast address under the prefix that OVS uses for its own (00:23:20).
fn random_mac() -> MacAddr {
    let random = Uuid::new_v4().as_u128() as u64 & 0xff_ffff;
    MacAddr::from_u64(0x0023_2000_0000 | random | 0x80_0000)
}

use uuid::Uuid;
