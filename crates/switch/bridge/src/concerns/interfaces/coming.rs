//! Adding and removing interfaces, and asking their devices.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{DpPort, MacAddr, OfPort};
use dp::{Datapath, DpId, PortInfo, PortKind, PortSpec, TunnelKind};
use flowsync::Below;
use ofp::{port_config, port_state};
use ofproto::NewPort;
use pipeline::tunnel::{TunnelConfig, TunnelMatch};
use pipeline::{BridgeView, Port};
use protocols::PortId;
use uuid::Uuid;

use super::{DesiredInterface, InterfaceKind, RunningInterface, refused, tunnel_options};
use crate::concerns::tunnels;
use crate::running::{Dummies, Notice, Running, RunningBridge};

/// What an interface that comes needs of the datapath.
enum Coming {
    Patch,
    Device(PortSpec),
    /// A port that it may have in common with others.
    Tunnel(PortSpec, Arc<TunnelConfig>),
}

impl Coming {
    fn spec(&self) -> Option<&PortSpec> {
        match self {
            Coming::Patch => None,
            Coming::Device(spec) | Coming::Tunnel(spec, _) => Some(spec),
        }
    }
}

impl Running {
    /// Adds interfaces, each with its bridge's name. Their devices are opened together.
    pub(crate) fn add_interfaces(&mut self, coming: Vec<(String, DesiredInterface)>) {
        let mut by_datapath: BTreeMap<DpId, Vec<(String, DesiredInterface)>> = BTreeMap::new();
        for (bridge, config) in coming {
            if let Some(running) = self.bridges.get(&bridge) {
                by_datapath.entry(running.below.id).or_default().push((bridge, config));
            }
        }
        for (id, coming) in by_datapath {
            if let Some(below) = self.datapaths.get(id) {
                self.add_interfaces_of(&below, coming);
            }
        }
    }

    /// The same for bridges on one datapath.
    fn add_interfaces_of(&mut self, below: &Below, coming: Vec<(String, DesiredInterface)>) {
        // A device that is on its way out of another datapath may be wanted here.
        for other in self.datapaths.shared().iter().filter(|other| other.id != below.id) {
            if !other.datapath.is_settled() {
                other.datapath.settle();
            }
        }
        let devices: Vec<Result<Coming, String>> =
            coming.iter().map(|(bridge, config)| self.device_for(bridge, config)).collect();
        let mut specs: Vec<PortSpec> = Vec::new();
        for spec in devices.iter().flatten().filter_map(Coming::spec) {
            // Tunnels have ports in common.
            let is_there = |name: &str| below.datapath.port_by_name(name).is_some();
            let is_shared = spec.kind.tunnel().is_some();
            if !is_shared || !is_there(&spec.name) && specs.iter().all(|other| other.name != spec.name) {
                specs.push(spec.clone());
            }
        }
        let opened = below.datapath.add_ports(&specs);
        let opened: HashMap<String, Result<DpPort, String>> = specs
            .into_iter()
            .zip(opened)
            .map(|(spec, result)| (spec.name, result.map_err(|error| error.to_string())))
            .collect();
        let port_of = |spec: &PortSpec| match opened.get(&spec.name) {
            Some(result) => result.clone(),
            None => {
                let gone = || format!("could not open network device {}", spec.name);
                below.datapath.port_by_name(&spec.name).map(|info| info.number).ok_or_else(gone)
            }
        };
        for ((bridge, config), device) in coming.into_iter().zip(devices) {
            let (opened, tunnel) = match device {
                Ok(Coming::Patch) => (Ok(None), None),
                Ok(Coming::Device(spec)) => (port_of(&spec).map(Some), None),
                Ok(Coming::Tunnel(spec, tunnel)) => (port_of(&spec).map(Some), Some(tunnel)),
                Err(reason) => (Err(reason), None),
            };
            self.add_interface(&bridge, config, opened, tunnel);
        }
    }

    /// What is to be opened. The error is worded for the interface's `error` column.
    fn device_for(&mut self, bridge_name: &str, config: &DesiredInterface) -> Result<Coming, String> {
        if let Some(refusal) = refused::refusal(config) {
            return Err(refusal);
        }
        let kind = match &config.kind {
            InterfaceKind::Patch => return config.check_patch().map(|()| Coming::Patch),
            InterfaceKind::Unknown(error) => return Err(error.to_string()),
            InterfaceKind::Port(PortKind::Tunnel(kind)) => {
                let parsed = tunnel_options::parse(&config.name, *kind, &config.options);
                for warning in parsed.warnings {
                    self.complaints.say(log::Level::Warn, warning);
                }
                let tunnel = Arc::new(parsed.config?);
                refused::check_tunnel(&config.name, &tunnel)?;
                self.check_group_policy(bridge_name, &config.name, &tunnel)?;
                return Ok(Coming::Tunnel(tunnels::port_spec(&tunnel), tunnel));
            }
            InterfaceKind::Port(PortKind::System) if config.name == bridge_name => PortKind::Internal,
            InterfaceKind::Port(kind) => *kind,
        };
        let kind = self.kind_of(bridge_name, kind);
        Ok(Coming::Device(PortSpec {
            options: config.options.clone().into_iter().collect(),
            ..PortSpec::new(&config.name, kind)
        }))
    }

    /// Adds an interface with its datapath port, or takes note of why there is none.
    fn add_interface(
        &mut self,
        bridge_name: &str,
        config: DesiredInterface,
        opened: Result<Option<DpPort>, String>,
        tunnel: Option<Arc<TunnelConfig>>,
    ) {
        let result = opened.and_then(|port| self.add_port(bridge_name, &config, port, tunnel));
        let Some(bridge) = self.bridges.get_mut(bridge_name) else { return };
        match &result {
            Ok(number) => {
                let shown = number.to_u16().map_or(number.0, u32::from);
                log::info!(target: "bridge", "bridge {bridge_name}: added interface {} on port {shown}", config.name);
            }
            Err(reason) => {
                let known = bridge.interfaces.get(&config.name).and_then(|old| old.result.as_ref().err());
                if known != Some(reason) {
                    let is_tunnel = matches!(config.kind, InterfaceKind::Port(PortKind::Tunnel(_)));
                    let target = if is_tunnel { "netdev_vport" } else { "bridge" };
                    log::warn!(target: target, "{reason}");
                }
            }
        }
        self.added += 1;
        bridge.touched.insert(config.name.clone());
        let running = RunningInterface { config, result, trouble: None, serial: self.added };
        bridge.interfaces.insert(running.config.name.clone(), running);
    }

    /// Gives the bridge a port. The error is worded for the interface's `error` column.
    fn add_port(
        &mut self,
        bridge_name: &str,
        config: &DesiredInterface,
        datapath_port: Option<DpPort>,
        tunnel: Option<Arc<TunnelConfig>>,
    ) -> Result<OfPort, String> {
        let gone = || format!("bridge {bridge_name} does not exist");
        let Some(running) = self.bridges.get(bridge_name) else { return Err(gone()) };
        let (id, datapath, below) = (running.id, Arc::clone(&running.below.datapath), running.below.id);
        if let (Some(tunnel), Some(port)) = (&tunnel, datapath_port) {
            self.listen(below, port, tunnel);
            if let Some(refusal) = self.tunnel_twin(below, port, &config.name, tunnel) {
                if self.stop_listening(below, port) {
                    close_port(&*datapath, port);
                }
                return Err(refusal);
            }
        }
        let Some(running) = self.bridges.get(bridge_name) else { return Err(gone()) };
        let mut desc = ofp::PortDesc { hw_addr: random_mac(), ..ofp::PortDesc::default() };
        if let Some(info) =
            datapath_port.filter(|_| tunnel.is_none()).and_then(|number| datapath.port(number))
        {
            describe(&mut desc, &info);
        }
        desc.state &= !port_state::LIVE;
        let new = NewPort {
            name: config.name.clone(),
            wanted: config.number.or_else(|| running.vanished.get(&config.name).copied()),
            datapath: datapath_port,
            peer_name: config.peer().map(str::to_owned),
            tunnel: tunnel.clone(),
            desc,
        };
        let now = self.clock.now();
        let news = self.switch.write().get_mut(id).and_then(|bridge| bridge.add_port(new, now));
        let Some(news) = news else {
            if let Some(number) = datapath_port
                && (tunnel.is_none() || self.stop_listening(below, number))
            {
                close_port(&*datapath, number);
            }
            return Err(format!(
                "could not add network device {} to ofproto (Too many open files)",
                config.name
            ));
        };
        let number = news.status.desc.port;
        self.notices.push(Notice::Port { bridge: id, news });
        Ok(number)
    }

    /// Why a tunnel cannot be: another one has the same ends and key.
    fn tunnel_twin(&self, datapath: DpId, port: DpPort, name: &str, config: &TunnelConfig) -> Option<String> {
        let matching = TunnelMatch::new(datapath, port, config);
        let switch = self.switch.read();
        let other = switch.tunnel_like(&matching)?;
        log::warn!(
            target: "tunnel",
            "{name}: attempting to add tunnel port with same config as port '{}' ({matching})",
            other.port.name
        );
        Some(format!("could not add network device {name} to ofproto (File exists)"))
    }

    /// Whether those of VXLAN at one port agree on group policy: the flags of a header that one kind reads, the other ignores.
    fn check_group_policy(&self, bridge: &str, name: &str, new: &TunnelConfig) -> Result<(), String> {
        if new.kind != TunnelKind::Vxlan {
            return Ok(());
        }
        let differs = |known: &TunnelConfig| {
            known.kind == new.kind && known.port == new.port && known.has_group_policy != new.has_group_policy
        };
        let switch = self.switch.read();
        let clashes = |port: &Port| &*port.name != name && port.tunnel.as_deref().is_some_and(differs);
        if !switch.bridges().flat_map(|bridge| bridge.ports()).any(clashes) {
            return Ok(());
        }
        let known = self.bridges.get(bridge).and_then(|bridge| bridge.interfaces.get(name));
        if known.is_none_or(|known| known.result.is_ok()) {
            log::warn!(target: "netdev", "{name}: could not set configuration (File exists)");
        }
        Err(format!("{name}: VXLAN-GBP, and non-VXLAN-GBP tunnels can't be configured on the same dst_port"))
    }

    /// The kind of device that stands for `kind`.
    fn kind_of(&self, bridge: &str, kind: PortKind) -> PortKind {
        let in_dummy_bridge = self.bridges.get(bridge).is_some_and(|b| b.config.datapath_type == "dummy");
        match (self.dummies, kind) {
            (Dummies::None, kind) => kind,
            (Dummies::Override | Dummies::System, PortKind::System) => PortKind::Dummy,
            (Dummies::Override, PortKind::Internal | PortKind::Tap) => PortKind::DummyInternal,
            (_, PortKind::Internal) if in_dummy_bridge => PortKind::DummyInternal,
            (_, kind) => kind,
        }
    }

    pub(crate) fn remove_interface(&mut self, bridge_name: &str, name: &str) {
        let Some(bridge) = self.bridges.get_mut(bridge_name) else { return };
        let (id, datapath, below) = (bridge.id, Arc::clone(&bridge.below.datapath), bridge.below.id);
        bridge.touched.insert(name.to_owned());
        let Some(interface) = bridge.interfaces.remove(name) else { return };
        let Ok(number) = interface.result else { return };
        self.unwatch(PortId { bridge: id, port: number });
        let now = self.clock.now();
        let (mut datapath_port, mut is_tunnel) = (None, false);
        if let Some(bridge) = self.switch.write().get_mut(id) {
            if let Some(entry) = bridge.port_entry(number) {
                (datapath_port, is_tunnel) = (entry.port.datapath, entry.port.tunnel.is_some());
            }
            if let Some(news) = bridge.remove_port(number, now) {
                self.notices.push(Notice::Port { bridge: id, news });
            }
        }
        if let Some(number) = datapath_port
            && (!is_tunnel || self.stop_listening(below, number))
        {
            close_port(&*datapath, number);
        }
        let shown = fields::format_port_plain(number);
        log::info!(target: "bridge", "bridge {bridge_name}: deleted interface {name} on port {shown}");
    }

    /// The interfaces of a bridge that work: their names, their numbers, and what their devices report, where they have one.
    ///
    /// Devices are asked while nobody waits for the bridges.
    pub(crate) fn devices<'a>(
        &self,
        bridge: &'a RunningBridge,
    ) -> Vec<(&'a str, OfPort, Option<Arc<PortInfo>>)> {
        let working: Vec<(&str, OfPort, DpPort)> = {
            let switch = self.switch.read();
            let Some(state) = switch.get(bridge.id) else { return Vec::new() };
            let with_device = bridge.interfaces.iter().filter_map(|(name, interface)| {
                let number = *interface.result.as_ref().ok()?;
                let port = &state.port_entry(number)?.port;
                // What tunnels have in common is nobody's own.
                Some((name.as_str(), number, port.datapath.filter(|_| port.tunnel.is_none())?))
            });
            with_device.collect()
        };
        let asked = working.into_iter().map(|(name, number, port)| {
            let info = bridge.below.datapath.port(port).filter(|info| info.is_present);
            (name, number, info)
        });
        asked.collect()
    }

    /// Whether an interface could not be opened, which may succeed the next time.
    pub fn lacks_devices(&self) -> bool {
        self.bridges.values().any(RunningBridge::lacks_devices)
    }

    /// Closes the ports whose device has vanished, so that they are opened anew when it comes back.
    pub fn drop_vanished(&mut self) {
        let mut vanished = Vec::new();
        for (bridge_name, bridge) in &self.bridges {
            for (name, number, info) in self.devices(bridge) {
                if info.is_none() {
                    vanished.push((bridge_name.clone(), name.to_owned(), number));
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

fn close_port(datapath: &dyn Datapath, number: DpPort) {
    if let Err(e) = datapath.del_port(number) {
        log::warn!(target: "bridge", "failed to remove port {number} from the datapath: {e}");
    }
}

/// Fills in what a device says of itself.
pub(crate) fn describe(desc: &mut ofp::PortDesc, info: &dp::PortInfo) {
    desc.hw_addr = info.mac;
    desc.config &= !port_config::PORT_DOWN;
    if !info.is_up {
        desc.config |= port_config::PORT_DOWN;
    }
    desc.state = port_state::with_link(desc.state, info.is_running());
    desc.current = info.current_features;
    desc.advertised = info.advertised_features;
    desc.supported = info.supported_features;
    desc.current_speed = info.speed_mbps.unwrap_or(0).saturating_mul(1000);
    desc.max_speed = base::link_feature::speed_kbps(info.supported_features);
}

/// A local, unicast address under the prefix that OVS uses for its own (00:23:20).
fn random_mac() -> MacAddr {
    let random = Uuid::new_v4().as_u128() as u64 & 0xff_ffff;
    MacAddr::from_u64(0x0023_2000_0000 | random | 0x80_0000)
}
