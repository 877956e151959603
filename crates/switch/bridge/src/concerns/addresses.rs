//! Addresses of bridges, and with them their datapath ids.

mod choice;

use std::sync::Arc;

use base::{MacAddr, OfPort};
use dp::PortInfo;
use log::Level;

use replica::{Row, Tables};
use schema::{bridge, interface};

pub(crate) use choice::Lender;

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::concerns::bundles::DesiredPort;
use crate::concerns::mirrors::MirrorTarget;
use crate::desired::DesiredBridge;
use crate::running::{Notice, Running, RunningBridge};

/// What is wrong with a row, and how bad that is.
type Complaint = (Level, String);

/// Takes the bridge's `other_config:hwaddr` if it may have it, and its `other_config:datapath-id` if that is one.
pub(crate) fn desire(bridge: &mut DesiredBridge, row: &Row, complaints: &mut Vec<Complaint>) {
    let name = &bridge.name;
    if let Some(text) = row.map_text(bridge::OTHER_CONFIG, "hwaddr") {
        match text.parse() {
            Ok(mac) => match choice::refusal_of_hwaddr(mac) {
                None => bridge.mac = Some(mac),
                Some(why) => complaints.push((Level::Error, format!("bridge {name}: {why}"))),
            },
            Err(_) => complaints.push((
                Level::Error,
                format!("bridge {name}: other_config:hwaddr \"{text}\" is not an Ethernet address"),
            )),
        }
    }
    if let Some(text) = row.map_text(bridge::OTHER_CONFIG, "datapath-id") {
        match parse_datapath_id(text) {
            // The way to ask for the bridge's own.
            Some(0) => {}
            Some(id) => bridge.datapath_id = Some(id),
            // The reference says nothing of it, and who watches its log for errors finds none.
            None => complaints.push((
                Level::Info,
                format!("bridge {name}: \"{text}\" is not a datapath id (16 hexadecimal digits)"),
            )),
        }
    }
}

/// The address that the bridge's own port was given last.
pub(crate) fn last_mac(rows: &Tables, bridge: &str, ports: &[Arc<DesiredPort>]) -> Option<MacAddr> {
    let own = ports.iter().flat_map(|port| &port.interfaces).find(|interface| interface.name == bridge)?;
    rows.row(interface::NAME_OF_TABLE, &own.uuid)?.mac(interface::MAC_IN_USE)
}

/// Sixteen hexadecimal digits, or `0x` and fewer; not zero.
fn parse_datapath_id(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) if digits.len() <= 16 => u64::from_str_radix(digits, 16).ok(),
        None if text.len() == 16 => u64::from_str_radix(text, 16).ok(),
        _ => None,
    }
}

pub(crate) struct Addresses;

impl Concern for Addresses {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        running.settle_addresses(&pass.config.name);
    }

    fn follow(&self, running: &mut Running) -> bool {
        running.follow_addresses()
    }
}

impl Running {
    /// Gives a bridge, and its own port, the address that is to be its.
    pub(crate) fn settle_addresses(&mut self, name: &str) {
        let Some(bridge) = self.bridges.get(name) else { return };
        let lenders = self.lenders(bridge, |_| true);
        let Some(bridge) = self.bridges.get_mut(name) else { return };
        // A bridge that has just been made takes up the address that it had.
        let last = bridge.last_mac.and_then(|mac| lenders.iter().find(|lender| lender.mac == mac));
        let current = bridge.lender.as_ref().or(last);
        let lender = choice::choose(&lenders, current).cloned();
        if lender.is_some() {
            bridge.last_mac = None;
        }
        bridge.lender = lender;
        let lent = bridge.lender.as_ref().map(|lender| lender.mac);
        bridge.mac = bridge.config.mac.or(lent).unwrap_or_else(|| choice::default_mac(bridge.config.uuid));
        let datapath_id = bridge.config.datapath_id.unwrap_or(bridge.mac.to_u64());
        if bridge.datapath_id != datapath_id {
            log::info!(target: "bridge", "bridge {name}: using datapath ID {datapath_id:016x}");
            bridge.datapath_id = datapath_id;
        }
        let (id, mac, datapath) = (bridge.id, bridge.mac, Arc::clone(&bridge.below.datapath));
        let local = {
            let mut switch = self.switch.write();
            let Some(state) = switch.get_mut(id) else { return };
            let news = state.update_port(OfPort::LOCAL, |entry| entry.desc.hw_addr = mac);
            self.notices.extend(news.map(|news| Notice::Port { bridge: id, news }));
            state.port_entry(OfPort::LOCAL).and_then(|entry| entry.port.datapath)
        };
        if let Some(port) = local
            && datapath.port(port).is_some_and(|info| info.mac != mac)
            && let Err(e) = datapath.configure_port(port, None, Some(mac), None)
        {
            let text = format!("bridge {name}: failed to set bridge Ethernet address: {e}");
            self.complaints.say(Level::Error, text);
        }
    }

    /// Takes in that devices may have other addresses. Returns whether a bridge has another datapath id now.
    pub(crate) fn follow_addresses(&mut self) -> bool {
        let before: Vec<(String, u64)> =
            self.bridges.iter().map(|(name, bridge)| (name.clone(), bridge.datapath_id)).collect();
        let mut has_changed = false;
        for (name, datapath_id) in before {
            self.settle_addresses(&name);
            has_changed |= self.bridges.get(&name).is_some_and(|bridge| bridge.datapath_id != datapath_id);
        }
        has_changed
    }

    /// The address of the internal port that stands for a VLAN bridge: of the ports of its VLAN, as a bridge's is of all.
    pub(crate) fn fake_bridge_mac(&self, bridge: &RunningBridge, port: &DesiredPort) -> MacAddr {
        let is_of_vlan = |other: &DesiredPort| other.vlan.tag == port.vlan.tag;
        let lenders = self.lenders(bridge, |other| other.name != port.name && is_of_vlan(other));
        let device = self.device_of(bridge, &port.name);
        let current = device.and_then(|info| lenders.iter().find(|lender| lender.mac == info.mac));
        let lender = choice::choose(&lenders, current);
        lender.map_or_else(|| choice::default_mac(bridge.config.uuid), |lender| lender.mac)
    }

    /// The ports that may lend an address: those that work and take no mirrored packets.
    fn lenders(&self, bridge: &RunningBridge, takes_part: impl Fn(&DesiredPort) -> bool) -> Vec<Lender> {
        let config = &bridge.config;
        let takes_mirrors = |port: &DesiredPort| {
            config.mirrors.iter().any(|mirror| mirror.output == MirrorTarget::Port(port.uuid))
        };
        let candidates = config.ports.iter().filter(|port| !takes_mirrors(port) && takes_part(port));
        candidates.filter_map(|port| self.lender(bridge, port)).collect()
    }

    /// A port as its first interface by name stands for it, or the interface whose address the port's row names.
    fn lender(&self, bridge: &RunningBridge, port: &DesiredPort) -> Option<Lender> {
        let infos = || port.interfaces.iter().filter_map(|one| self.device_of(bridge, &one.name));
        let is_guest = |info: &PortInfo| choice::leads_to_guest(&info.link_kind);
        match port.mac {
            Some(mac) => {
                let of_this_mac = infos().find(|info| info.mac == mac);
                let is_guest = of_this_mac.is_some_and(|info| is_guest(&info));
                Some(Lender { port: port.name.clone(), mac, is_guest })
            }
            None => {
                let first = port.interfaces.first()?;
                let info = self.device_of(bridge, &first.name)?;
                let is_own = first.name == bridge.config.name;
                (!is_own).then(|| Lender {
                    port: port.name.clone(),
                    mac: info.mac,
                    is_guest: is_guest(&info),
                })
            }
        }
    }

    /// What the device of an interface that works says of itself.
    fn device_of(&self, bridge: &RunningBridge, interface: &str) -> Option<Arc<PortInfo>> {
        let number = *bridge.interfaces.get(interface)?.result.as_ref().ok()?;
        let port = self.switch.read().get(bridge.id)?.port_entry(number)?.port.datapath?;
        bridge.below.datapath.port(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datapath_id_has_sixteen_digits_or_a_prefix() {
        assert_eq!(parse_datapath_id("0123456789abcdef"), Some(0x0123_4567_89ab_cdef));
        assert_eq!(parse_datapath_id("0x5ad515c0"), Some(0x5ad5_15c0));
        assert_eq!(parse_datapath_id("0x00"), Some(0), "the bridge's own");
        for junk in ["", "0x", "12", "0123456789abcdeg", "0x0123456789abcdef0"] {
            assert_eq!(parse_datapath_id(junk), None, "{junk}");
        }
    }
}
