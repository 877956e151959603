//! The switch as it runs: carrying out the plan.

mod devices;
mod more;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{Clock, MacAddr, OfPort};
use dp::{Datapath, PortSpec};
use flowsync::FlowSync;
use ofp::{port_config, port_state};
use ofproto::{Bridge, BundleConfig, NewPort, PortNews, Settings, SflowSampling, SharedSwitch};
use pipeline::BridgeId;

use crate::desired::{Desired, DesiredBridge, DesiredInterface};
use crate::plan::{Actual, ActualBridge, ActualInterface, Step, plan};
use crate::refused;

/// The bridges, the datapath below them, and what is known of each interface.
pub struct Running {
    pub switch: Arc<SharedSwitch>,
    pub datapath: Arc<dyn Datapath>,
    pub flows: Arc<FlowSync>,
    pub(crate) clock: Clock,
    dummies: Dummies,
    bridges: BTreeMap<String, RunningBridge>,
    notices: Vec<Notice>,
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
    /// Used while no port lends its address.
    default_mac: MacAddr,
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
}

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
        Running { switch, datapath, flows, clock, dummies, bridges: BTreeMap::new(), notices: Vec::new() }
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
        self.flows.set_limits(desired.flow_limit, desired.max_idle);
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
        self.flows.tick();
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
            let datapath_type = bridge.config.datapath_type.clone();
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
        let default_mac = random_mac();
        let bridge = RunningBridge {
            id,
            config: config.clone(),
            mac: default_mac,
            datapath_id: 0,
            default_mac,
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
        bridge.interfaces.insert(config.name.clone(), RunningInterface { config, result });
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
            if config.peer().is_none_or(str::is_empty) {
                return Err(format!("{}: patch type requires valid 'peer' argument", config.name));
            }
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
            let settings =
                Settings { forwards_bpdus: config.forwards_bpdus, sflow, ..state.settings().clone() };
            state.set_settings(settings);
            state.macs().configure(config.mac_table_size, config.mac_aging);
        }
        self.settle_tables(config);
        self.settle_mirrors(config);
    }

    fn settle_bundles(&self, config: &DesiredBridge) {
        let Some(bridge) = self.bridges.get(&config.name) else { return };
        let mut switch = self.switch.write();
        for port in &config.ports {
            let ports: Vec<OfPort> = port
                .interfaces
                .iter()
                .filter_map(|interface| bridge.interfaces.get(&interface.name)?.result.as_ref().ok().copied())
                .collect();
            let new = BundleConfig {
                name: port.name.clone(),
                ports,
                vlan: port.vlan.clone(),
                protected: port.protected,
            };
            let known = switch.get(bridge.id).and_then(|b| b.bundle_named(&port.name)).is_some_and(|have| {
                have.ports == new.ports && have.vlan == new.vlan && have.protected == new.protected
            });
            if !known {
                let id = switch.new_bundle_id();
                if let Some(state) = switch.get_mut(bridge.id) {
                    state.set_bundle(new, || id);
                }
            }
        }
    }

    /// The bridge's own address: as configured, else the least of its ports'.
    fn settle_addresses(&mut self, name: &str) {
        let Some(bridge) = self.bridges.get_mut(name) else { return };
        let lowest = {
            let switch = self.switch.read();
            let ports = switch.get(bridge.id).map(|state| state.port_entries().cloned().collect::<Vec<_>>());
            ports
                .into_iter()
                .flatten()
                .filter(|entry| entry.port.number != OfPort::LOCAL && entry.port.datapath.is_some())
                .filter(|entry| {
                    let kind = bridge.interfaces.get(&entry.desc.name).map(|i| i.config.kind.as_str());
                    !matches!(kind, Some("internal" | "tap"))
                })
                .map(|entry| entry.desc.hw_addr)
                .filter(|mac| !mac.is_multicast() && !mac.is_zero())
                .min()
        };
        bridge.mac = bridge.config.mac.or(lowest).unwrap_or(bridge.default_mac);
        let datapath_id = bridge.config.datapath_id.unwrap_or(bridge.mac.to_u64());
        if bridge.datapath_id != datapath_id {
            log::info!(target: "bridge", "bridge {name}: using datapath ID {datapath_id:016x}");
            bridge.datapath_id = datapath_id;
        }
        let (id, mac) = (bridge.id, bridge.mac);
        let local = {
            let mut switch = self.switch.write();
            let Some(state) = switch.get_mut(id) else { return };
            let news = state.update_port(OfPort::LOCAL, |entry| entry.desc.hw_addr = mac);
            self.notices.extend(news.map(|news| Notice::Port { bridge: id, news }));
            state.port_entry(OfPort::LOCAL).and_then(|entry| entry.port.datapath)
        };
        if let Some(port) = local
            && self.datapath.port(port).is_some_and(|info| info.mac != mac)
            && let Err(e) = self.datapath.configure_port(port, None, Some(mac), None)
        {
            log::warn!(target: "bridge", "bridge {name}: cannot set the address of its own port: {e}");
        }
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

    /// Takes in what devices report of themselves. Returns whether an interface
    /// has gone, or one that could not be opened may now be.
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
