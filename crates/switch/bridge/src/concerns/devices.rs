//! What is set at devices: addresses and MTUs.

use std::sync::Arc;

use base::DpPort;
use dp::{DpError, DpId, PortInfo};
use log::Level;
use pipeline::Network;

use super::{Concern, Pass};
use crate::concerns::interfaces::describe;
use crate::desired::{Desired, DesiredBridge};
use crate::running::{Notice, Running};

/// The MTU of internal ports where no other port has one.
const DEFAULT_MTU: u32 = 1500;

pub(crate) struct Devices;

impl Concern for Devices {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        running.settle_devices(pass.config);
    }

    fn finish(&self, running: &mut Running, _desired: &Desired) {
        running.follow_mtu();
    }

    fn follow(&self, running: &mut Running) -> bool {
        running.follow_mtu();
        false
    }
}

impl Running {
    /// Gives devices the address and the MTU that their rows ask for.
    pub(crate) fn settle_devices(&mut self, config: &DesiredBridge) {
        let Some(bridge) = self.bridges.get(&config.name) else { return };
        for (desired, interface) in config
            .ports
            .iter()
            .flat_map(|port| port.interfaces.iter().map(move |interface| (port, interface)))
        {
            let mac = match interface.wanted_mac(&config.name) {
                Ok(None) if desired.fake_bridge && interface.is_internal() => {
                    Some(self.fake_bridge_mac(bridge, desired))
                }
                Ok(mac) => mac,
                Err(why) => {
                    self.complaints.say(Level::Error, why);
                    None
                }
            };
            if mac.is_none() && interface.mtu.is_none() {
                continue;
            }
            let running = bridge.interfaces.get(&interface.name);
            let Some(&number) = running.and_then(|running| running.result.as_ref().ok()) else { continue };
            let port = {
                let switch = self.switch.read();
                let entry = switch.get(bridge.id).and_then(|state| state.port_entry(number));
                entry.and_then(|entry| entry.port.datapath)
            };
            let Some(port) = port else { continue };
            let datapath = &bridge.below.datapath;
            let Some(info) = datapath.port(port) else { continue };
            let mac = mac.filter(|mac| *mac != info.mac);
            let mtu = interface.mtu.filter(|mtu| *mtu != info.mtu);
            if mac.is_none() && mtu.is_none() {
                continue;
            }
            if let Err(error) = datapath.configure_port(port, mtu, mac, None) {
                let name = &interface.name;
                let text = format!("interface {name}: setting its address or MTU failed: {error}");
                self.complaints.say(Level::Warn, text);
                continue;
            }
            let Some(info) = datapath.port(port) else { continue };
            let mut switch = self.switch.write();
            let state = switch.get_mut(bridge.id);
            let news =
                state.and_then(|state| state.update_port(number, |entry| describe(&mut entry.desc, &info)));
            self.notices.extend(news.map(|news| Notice::Port { bridge: bridge.id, news }));
        }
    }

    /// Gives the internal ports that no MTU was asked for the least MTU of the
    /// other ports of their bridge, so that what they send fits everywhere.
    ///
    /// When the least one has not changed, only greater ones are lowered: who
    /// set a smaller one by hand keeps it.
    pub(crate) fn follow_mtu(&mut self) {
        let mut settings: Vec<(String, u32, Vec<Arc<PortInfo>>)> = Vec::new();
        for (name, bridge) in &self.bridges {
            let with_mtu = self.devices(bridge).into_iter().filter_map(|(name, _, info)| {
                let info = info.filter(|info| info.mtu != 0)?;
                // Whether it is for the bridge to choose.
                let follows = is_internal(&info) && bridge.interfaces.get(name)?.config.mtu.is_none();
                Some((info, follows))
            });
            let (following, others): (Vec<_>, Vec<_>) = with_mtu.partition(|(_, follows)| *follows);
            let least = others.iter().map(|(info, _)| info.mtu).min().unwrap_or(DEFAULT_MTU);
            let has_changed = bridge.least_mtu != Some(least);
            let is_wrong = |info: &PortInfo| info.mtu != least && (has_changed || info.mtu > least);
            let wrong = following.into_iter().map(|(info, _)| info).filter(|info| is_wrong(info)).collect();
            settings.push((name.clone(), least, wrong));
        }
        for (name, least, wrong) in settings {
            let Some(bridge) = self.bridges.get_mut(&name) else { continue };
            bridge.least_mtu = Some(least);
            for one in wrong {
                if let Err(error) = bridge.below.datapath.configure_port(one.number, Some(least), None, None)
                {
                    let text = format!("interface {}: setting its MTU failed: {error}", one.name);
                    self.complaints.say(Level::Warn, text);
                }
            }
        }
    }

    /// Takes note that a datapath has given a port another number.
    pub fn renumber_port(&mut self, datapath: DpId, old: DpPort, new: DpPort) -> Result<(), DpError> {
        let mut switch = self.switch.write();
        let (bridge, number) = switch.ingress(datapath, old).ok_or(DpError::NoPort(old))?;
        let state = switch.get_mut(bridge).ok_or(DpError::NoPort(old))?;
        let news = state.update_port(number, |entry| entry.port.datapath = Some(new));
        self.notices.extend(news.map(|news| Notice::Port { bridge, news }));
        switch.reconnect();
        Ok(())
    }
}

/// A port of the host itself. Those of a userspace datapath are taps.
fn is_internal(info: &PortInfo) -> bool {
    info.kind.is_internal()
}
