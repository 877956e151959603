//! Ports in the sense of the database: one interface, or several of which one forwards.
//!
//! Of several, whatever `bond_mode` says, one forwards and the others only wait: no frame comes twice or goes round in a
//! circle, however they are joined on the other side. Which one: the one that did, while its link is up; else the one that
//! `other_config:bond-primary` names; else the first by name. The primary takes over when its link comes back.

use std::sync::Arc;

use base::{MacAddr, OfPort};
use model::Datum;
use ofproto::{Bridge, BundleConfig};
use pipeline::{PriorityTags, VlanConfig, VlanMode};
use replica::Row;
use schema::port as table;
use uuid::Uuid;

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::concerns::interfaces::DesiredInterface;
use crate::running::{Running, RunningBridge};
use crate::status::{Report, Reporting, is_shown};
use crate::writer::texts;

/// A port of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredPort {
    pub uuid: Uuid,
    pub name: String,
    pub interfaces: Vec<DesiredInterface>,
    pub vlan: VlanConfig,
    pub protected: bool,
    /// The interface that forwards while it can, of several.
    pub primary: Option<String>,
    /// The address of the interface that forwarded when the row was written last, of several.
    pub last_active: Option<MacAddr>,
    /// The address by which it takes part in choosing the bridge's, instead of its first interface's.
    pub mac: Option<MacAddr>,
    /// Whether it stands for a bridge of its own (a VLAN bridge of `ovs-vsctl`).
    pub fake_bridge: bool,
}

pub(crate) fn desire(row: &Row, mut interfaces: Vec<DesiredInterface>) -> DesiredPort {
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    DesiredPort {
        uuid: row.uuid,
        name: row.string(table::NAME).to_owned(),
        interfaces,
        vlan: desire_vlan(row),
        protected: row.is_true(table::PROTECTED),
        primary: row.map_text(table::OTHER_CONFIG, "bond-primary").map(str::to_owned),
        last_active: row.mac(table::BOND_ACTIVE_SLAVE),
        mac: row.mac(table::MAC),
        fake_bridge: row.is_true(table::FAKE_BRIDGE),
    }
}

fn desire_vlan(row: &Row) -> VlanConfig {
    let tag = row.integer(table::TAG).and_then(|tag| u16::try_from(tag).ok());
    let vids = |column| {
        let vids: Vec<u16> =
            row.integers(column).into_iter().filter_map(|vid| u16::try_from(vid).ok()).collect();
        (!vids.is_empty()).then(|| vids.into_iter().collect())
    };
    let trunks = vids(table::TRUNKS);
    let mode = match row.text(table::VLAN_MODE) {
        Some("access") => VlanMode::Access,
        Some("native-tagged") => VlanMode::NativeTagged,
        Some("native-untagged") => VlanMode::NativeUntagged,
        Some("dot1q-tunnel") => VlanMode::Dot1qTunnel,
        Some("trunk") => VlanMode::Trunk,
        // A port with a tag and no mode is an access port, whatever it trunks.
        _ if tag.is_some() => VlanMode::Access,
        _ => VlanMode::Trunk,
    };
    let priority_tags = match row.map_text(table::OTHER_CONFIG, "priority-tags") {
        Some("if-nonzero" | "true") => PriorityTags::IfNonzero,
        Some("always") => PriorityTags::Always,
        _ => PriorityTags::Never,
    };
    let qinq_tpid = match row.map_text(table::OTHER_CONFIG, "qinq-ethtype") {
        Some("802.1q") => pipeline::vlan::TPID_8021Q,
        _ => pipeline::vlan::TPID_8021AD,
    };
    VlanConfig {
        mode,
        tag: tag.unwrap_or(0),
        trunks: if mode == VlanMode::Access { None } else { trunks },
        cvlans: vids(table::CVLANS),
        qinq_tpid,
        priority_tags,
    }
}

pub(crate) struct Bundles;

impl Concern for Bundles {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        if let Some(bridge) = running.bridges.get(&pass.config.name) {
            running.set_bundles(bridge, &pass.changed);
        }
    }

    /// Takes in that links came up or went down.
    fn follow(&self, running: &mut Running) -> bool {
        running.follow_bonds();
        false
    }

    fn report(&self, out: &mut Reporting, report: &Report<'_>, bridge: &RunningBridge) {
        if !report.extent.state {
            return;
        }
        for desired in &bridge.config.ports {
            let Some(row) = report.rows.row(table::NAME_OF_TABLE, &desired.uuid) else { continue };
            let state = State::of(report.running, bridge, desired);
            if !is_shown(&report.told.ports, row, &state) {
                out.writer.write(table::NAME_OF_TABLE, row, state.columns());
            }
            Arc::make_mut(&mut out.told.ports).insert(desired.uuid, (Arc::clone(row), state));
        }
    }

    fn report_switch(&self, out: &mut Reporting, report: &Report<'_>, _root: &Row) {
        if !report.extent.state {
            out.told.ports = Arc::clone(&report.told.ports);
        }
    }
}

/// What the row of a port shows follows from this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    unsupported: Option<String>,
    /// Of several interfaces: the address of the one that forwards. A port that is no bond any more keeps what it showed, as
    /// in the reference.
    active: Option<Option<MacAddr>>,
}

impl State {
    fn of(running: &Running, bridge: &RunningBridge, desired: &DesiredPort) -> State {
        let active = || running.active_member(bridge, desired).map(|(_, mac)| mac);
        State {
            unsupported: running.unsupported_of(&desired.uuid),
            active: (desired.interfaces.len() > 1).then(active),
        }
    }

    fn columns(&self) -> Vec<(&'static str, Datum)> {
        let unsupported = self.unsupported.iter().map(|text| ("unsupported".to_owned(), text.clone()));
        let mut columns = vec![
            (table::STATUS, texts(unsupported)),
            (table::STATISTICS, Datum::Empty),
            (table::RSTP_STATUS, Datum::Empty),
            (table::RSTP_STATISTICS, Datum::Empty),
        ];
        if let Some(active) = self.active {
            let mac = active.map_or(Datum::Empty, |mac| Datum::from(mac.to_string()));
            columns.push((table::BOND_ACTIVE_SLAVE, mac));
        }
        columns
    }
}

/// An interface of a bond.
struct Member<'a> {
    name: &'a str,
    number: OfPort,
    mac: MacAddr,
    is_up: bool,
}

impl Running {
    /// Has members of bonds take over from those through which nobody is reached any more.
    pub(crate) fn follow_bonds(&self) {
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
        let is_up = entry.port.is_live() && !entry.port.flags.down;
        Some(Member { name: &interface.name, number, mac: entry.desc.hw_addr, is_up })
    });
    working.collect()
}
