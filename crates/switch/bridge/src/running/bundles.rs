//! Ports in the sense of the database: one interface, or several of which one forwards.
//!
//! Of several, whatever `bond_mode` says, one forwards and the others only wait: no frame comes twice or goes round in a
//! circle, however they are joined on the other side. Which one: the one that did, while its link is up; else the one that
//! `other_config:bond-primary` names; else the first by name. The primary takes over when its link comes back.

use std::sync::Arc;

use base::{MacAddr, OfPort};
use ofproto::{Bridge, BundleConfig};

use super::{Running, RunningBridge};
use crate::desired::{DesiredInterface, DesiredPort};

/// An interface of a bond.
struct Member<'a> {
    name: &'a str,
    number: OfPort,
    mac: MacAddr,
    is_up: bool,
}

impl Running {
    /// Brings these ports of a bridge into force.
    pub(super) fn settle_bundles(&self, bridge: &str, ports: &[&Arc<DesiredPort>]) {
        if let Some(bridge) = self.bridges.get(bridge) {
            self.set_bundles(bridge, ports);
        }
    }

    /// Takes in that links came up or went down.
    pub(super) fn follow_links(&self) {
        for bridge in self.bridges.values() {
            let bonds: Vec<_> = bridge.config.ports.iter().filter(|port| port.interfaces.len() > 1).collect();
            self.set_bundles(bridge, &bonds);
        }
    }

    fn set_bundles(&self, bridge: &RunningBridge, ports: &[&Arc<DesiredPort>]) {
        if ports.is_empty() {
            return;
        }
        let mut switch = self.switch.write();
        for port in ports {
            let Some(state) = switch.get(bridge.id) else { return };
            let active = choose_member(state, bridge, port);
            let working = |interface: &DesiredInterface| {
                bridge.interfaces.get(&interface.name)?.result.as_ref().ok().copied()
            };
            let new = BundleConfig {
                name: port.name.clone(),
                ports: port.interfaces.iter().filter_map(working).collect(),
                active,
                vlan: port.vlan.clone(),
                protected: port.protected,
            };
            let known = state.bundle_named(&port.name);
            let had = known.and_then(|have| have.active);
            let id = known.map(|have| have.id);
            if port.interfaces.len() > 1 && had != active {
                let name = |number| state.port_entry(number).map(|entry| entry.desc.name.clone());
                match active.and_then(name) {
                    Some(member) => {
                        log::info!(target: "bond", "bond {}: active member is now {member}", port.name);
                    }
                    None => log::info!(target: "bond", "bond {}: all members are now disabled", port.name),
                }
            }
            let id = id.unwrap_or_else(|| switch.new_bundle_id());
            if let Some(state) = switch.get_mut(bridge.id) {
                state.set_bundle(new, || id);
            }
        }
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

/// Which interface of a port forwards.
fn choose_member(state: &Bridge, bridge: &RunningBridge, port: &DesiredPort) -> Option<OfPort> {
    let members = members(state, bridge, port);
    if port.interfaces.len() == 1 {
        return members.first().map(|member| member.number);
    }
    let known = state.bundle_named(&port.name);
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
fn members<'a>(state: &Bridge, bridge: &RunningBridge, port: &'a DesiredPort) -> Vec<Member<'a>> {
    let working = port.interfaces.iter().filter_map(|interface| {
        let number = *bridge.interfaces.get(&interface.name)?.result.as_ref().ok()?;
        let entry = state.port_entry(number)?;
        let is_up = entry.port.is_live && !entry.port.flags.down;
        Some(Member { name: &interface.name, number, mac: entry.desc.hw_addr, is_up })
    });
    working.collect()
}
