//! Adding and removing interfaces, and asking their devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{DpPort, MacAddr, OfPort};
use dp::{Datapath, DpId, PortInfo, PortKind, PortSpec};
use flowsync::Below;
use ofp::{port_config, port_state};
use ofproto::NewPort;
use protocols::PortId;
use uuid::Uuid;

use super::{DesiredInterface, InterfaceKind, RunningInterface, refused};
use crate::running::{Dummies, Notice, Running, RunningBridge};

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
        let devices: Vec<Result<Option<PortSpec>, String>> =
            coming.iter().map(|(bridge, config)| self.device_for(bridge, config)).collect();
        let specs: Vec<PortSpec> = devices.iter().flatten().flatten().cloned().collect();
        let mut opened = below.datapath.add_ports(&specs).into_iter();
        for ((bridge, config), device) in coming.into_iter().zip(devices) {
            let opened = match device {
                Ok(Some(_)) => opened.next().map(|result| result.map_err(|e| e.to_string())).transpose(),
                Ok(None) => Ok(None),
                Err(reason) => Err(reason),
            };
            self.add_interface(&bridge, config, opened);
        }
    }

    /// The device to open; `None` for a patch port. The error is worded for the interface's `error` column.
    fn device_for(&self, bridge_name: &str, config: &DesiredInterface) -> Result<Option<PortSpec>, String> {
        if let Some(refusal) = refused::refusal(config) {
            return Err(refusal);
        }
        let kind = match &config.kind {
            InterfaceKind::Patch => return config.check_patch().map(|()| None),
            InterfaceKind::Unknown(error) => return Err(error.to_string()),
            InterfaceKind::Port(PortKind::System) if config.name == bridge_name => PortKind::Internal,
            InterfaceKind::Port(kind) => *kind,
        };
        let kind = self.kind_of(bridge_name, kind);
        Ok(Some(PortSpec {
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
    ) {
        let result = opened.and_then(|port| self.add_port(bridge_name, &config, port));
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
    ) -> Result<OfPort, String> {
        let gone = || format!("bridge {bridge_name} does not exist");
        let Some(running) = self.bridges.get(bridge_name) else { return Err(gone()) };
        let (id, datapath) = (running.id, Arc::clone(&running.below.datapath));
        let mut desc = ofp::PortDesc { hw_addr: random_mac(), ..ofp::PortDesc::default() };
        if let Some(info) = datapath_port.and_then(|number| datapath.port(number)) {
            describe(&mut desc, &info);
        }
        desc.state &= !port_state::LIVE;
        let new = NewPort {
            name: config.name.clone(),
            wanted: config.number.or_else(|| running.vanished.get(&config.name).copied()),
            datapath: datapath_port,
            peer_name: config.peer().map(str::to_owned),
            desc,
        };
        let now = self.clock.now();
        let news = self.switch.write().get_mut(id).and_then(|bridge| bridge.add_port(new, now));
        let Some(news) = news else {
            if let Some(number) = datapath_port {
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
        let (id, datapath) = (bridge.id, Arc::clone(&bridge.below.datapath));
        bridge.touched.insert(name.to_owned());
        let Some(interface) = bridge.interfaces.remove(name) else { return };
        let Ok(number) = interface.result else { return };
        self.unwatch(PortId { bridge: id, port: number });
        let now = self.clock.now();
        let mut datapath_port = None;
        if let Some(bridge) = self.switch.write().get_mut(id) {
            datapath_port = bridge.port_entry(number).and_then(|entry| entry.port.datapath);
            if let Some(news) = bridge.remove_port(number, now) {
                self.notices.push(Notice::Port { bridge: id, news });
            }
        }
        if let Some(number) = datapath_port {
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
                Some((name.as_str(), number, state.port_entry(number)?.port.datapath?))
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
