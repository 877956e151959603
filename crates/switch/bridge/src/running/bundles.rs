//! Ports in the sense of the database: one interface, or several of which one forwards.
//!
//! Of several, whatever `bond_mode` says, one forwards and the others only wait: no frame comes twice or goes round in a
//! circle, however they are joined on the other side. Which one: the one that did, while its link is up; else the one that
//! `other_config:bond-primary` names; else the first by name. The primary takes over when its link comes back.

use base::{MacAddr, OfPort};
use ofproto::BundleConfig;

use super::{Running, RunningBridge};
use crate::desired::{DesiredBridge, DesiredPort};

/// An interface of a bond.
struct Member<'a> {
    name: &'a str,
    number: OfPort,
    mac: MacAddr,
    is_up: bool,
}

impl Running {
    pub(super) fn settle_bundles(&self, config: &DesiredBridge) {
        let Some(bridge) = self.bridges.get(&config.name) else { return };
        for port in &config.ports {
            self.settle_bundle(bridge, port);
        }
    }

    /// Takes in that links came up or went down.
    pub(super) fn follow_links(&self) {
        for bridge in self.bridges.values() {
            for port in bridge.config.ports.iter().filter(|port| port.interfaces.len() > 1) {
                self.settle_bundle(bridge, port);
            }
        }
    }

    fn settle_bundle(&self, bridge: &RunningBridge, port: &DesiredPort) {
        let active = self.choose_member(bridge, port);
        let ports: Vec<OfPort> = port
            .interfaces
            .iter()
            .filter_map(|interface| bridge.interfaces.get(&interface.name)?.result.as_ref().ok().copied())
            .collect();
        let mut switch = self.switch.write();
        let new = BundleConfig {
            name: port.name.clone(),
            ports,
            active,
            vlan: port.vlan.clone(),
            protected: port.protected,
        };
        let known = switch.get(bridge.id).and_then(|state| state.bundle_named(&port.name));
        let had = known.and_then(|have| have.active);
        let id = known.map(|have| have.id);
        let id = id.unwrap_or_else(|| switch.new_bundle_id());
        let Some(state) = switch.get_mut(bridge.id) else { return };
        if port.interfaces.len() > 1 && had != active {
            let name = |number| state.port_entry(number).map(|entry| entry.desc.name.clone());
            match active.and_then(name) {
                Some(member) => {
                    log::info!(target: "bond", "bond {}: active member is now {member}", port.name);
                }
                None => log::info!(target: "bond", "bond {}: all members are now disabled", port.name),
            }
        }
        state.set_bundle(new, || id);
    }

    /// Which interface of a port forwards.
    fn choose_member(&self, bridge: &RunningBridge, port: &DesiredPort) -> Option<OfPort> {
        let members = self.members(bridge, port);
        if port.interfaces.len() == 1 {
            return members.first().map(|member| member.number);
        }
        let switch = self.switch.read();
        let known = switch.get(bridge.id)?.bundle_named(&port.name);
        let has_forwarded = |member: &&Member<'_>| match known {
            Some(bundle) => bundle.active == Some(member.number),
            None => port.last_active == Some(member.mac),
        };
        let up = || members.iter().filter(|member| member.is_up);
        let primary = up().find(|member| port.primary.as_deref() == Some(member.name));
        let chosen = primary.or_else(|| up().find(has_forwarded)).or_else(|| up().next());
        chosen.map(|member| member.number)
    }

    /// The interfaces of a port that work, by name.
    fn members<'a>(&self, bridge: &RunningBridge, port: &'a DesiredPort) -> Vec<Member<'a>> {
        let switch = self.switch.read();
        let Some(state) = switch.get(bridge.id) else { return Vec::new() };
        let working = port.interfaces.iter().filter_map(|interface| {
            let number = *bridge.interfaces.get(&interface.name)?.result.as_ref().ok()?;
            let entry = state.port_entry(number)?;
            let is_up = entry.port.is_live && !entry.port.flags.down;
            Some(Member { name: &interface.name, number, mac: entry.desc.hw_addr, is_up })
        });
        working.collect()
    }

    /// The interface of a bond that forwards, and its address.
    pub(crate) fn active_member(
        &self,
        bridge: &RunningBridge,
        port: &DesiredPort,
    ) -> Option<(OfPort, MacAddr)> {
        let switch = self.switch.read();
        let state = switch.get(bridge.id)?;
        let active = state.bundle_named(&port.name)?.active?;
        Some((active, state.port_entry(active)?.desc.hw_addr))
    }
}
