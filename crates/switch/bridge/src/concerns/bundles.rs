//! Ports in the sense of the database: one interface, or several that are joined (`joining.rs`).

mod joining;

use std::sync::Arc;

use base::{MacAddr, OfPort};
use model::Datum;
use ofproto::{BundleConfig, PortFlooding};
use pipeline::{PriorityTags, VlanConfig, VlanMode};
use protocols::PortId;
use replica::Row;
use schema::port as table;
use uuid::Uuid;

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::concerns::interfaces::DesiredInterface;
use crate::concerns::multicast;
use crate::concerns::qos::DesiredQos;
use crate::concerns::trees::{self, DesiredTreePort};
use crate::desired::Desired;
use crate::running::{Notice, Running, RunningBridge};
use crate::status::{Report, Reporting, is_shown};
use crate::writer::texts;
use joining::DesiredLacp;
pub(crate) use joining::no_bond;

/// A port of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredPort {
    pub uuid: Uuid,
    pub name: String,
    pub interfaces: Vec<DesiredInterface>,
    /// An internal interface with the name of a bond, for software that expects one (`bond_fake_iface`). It is no member.
    pub namesake: Option<DesiredInterface>,
    pub vlan: VlanConfig,
    pub protected: bool,
    /// How several interfaces share the packets.
    pub bond: protocols::bond::Settings,
    /// How it takes part in a spanning tree.
    pub spanning: DesiredTreePort,
    /// What it gets of multicast, whoever listens.
    pub multicast: PortFlooding,
    /// How it queues, shapes and polices what it sends.
    pub qos: DesiredQos,
    /// How the neighbour is asked which links are joined.
    pub lacp: Option<DesiredLacp>,
    /// The address by which it takes part in choosing the bridge's, instead of its first interface's.
    pub mac: Option<MacAddr>,
    /// Whether it stands for a bridge of its own (a VLAN bridge of `ovs-vsctl`).
    pub fake_bridge: bool,
}

impl DesiredPort {
    /// Its interfaces, and what else stands for it.
    pub fn devices(&self) -> impl Iterator<Item = &DesiredInterface> {
        self.interfaces.iter().chain(&self.namesake)
    }
}

pub(crate) fn desire(row: &Row, mut interfaces: Vec<DesiredInterface>, qos: DesiredQos) -> DesiredPort {
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    let name = row.string(table::NAME);
    let has_namesake = row.is_true(table::BOND_FAKE_IFACE) && interfaces.len() > 1;
    DesiredPort {
        uuid: row.uuid,
        name: name.to_owned(),
        interfaces,
        namesake: has_namesake.then(|| DesiredInterface::internal(name, None)),
        vlan: desire_vlan(row),
        protected: row.is_true(table::PROTECTED),
        bond: joining::desire_bond(row),
        spanning: trees::desire_port(row),
        multicast: multicast::desire_port(row),
        qos,
        lacp: joining::desire_lacp(row),
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
        let changed: Vec<Arc<DesiredPort>> = pass.changed.iter().map(|port| Arc::clone(port)).collect();
        running.set_bundles(&pass.config.name, &changed);
    }

    /// A bridge's address, by which neighbours know it, may have changed after its ports were joined.
    fn finish(&self, running: &mut Running, _desired: &Desired) {
        running.join_again();
    }

    /// Takes in that links came up or went down.
    fn follow(&self, running: &mut Running) -> bool {
        running.follow_links();
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
    /// What of its quality of service is not in force.
    qos_error: Option<String>,
    /// What spanning tree says of it.
    spanning: trees::PortColumns,
    /// Of several interfaces: the address of the one that forwards. A port that is no bond any more keeps what it showed, as
    /// in the reference.
    active: Option<Option<MacAddr>>,
}

impl State {
    fn of(running: &Running, bridge: &RunningBridge, desired: &DesiredPort) -> State {
        State {
            unsupported: running.unsupported_of(&desired.uuid),
            qos_error: running.qos_troubles.get(&desired.uuid).cloned(),
            spanning: trees::port_columns(running, bridge, &desired.interfaces),
            active: running.monitor.active_mac(bridge.id, &desired.name),
        }
    }

    fn columns(&self) -> Vec<(&'static str, Datum)> {
        let unsupported = self.unsupported.iter().map(|text| ("unsupported".to_owned(), text.clone()));
        let qos_error = self.qos_error.iter().map(|text| ("qos_error".to_owned(), text.clone()));
        let mut columns = vec![
            (table::STATUS, texts(unsupported.chain(qos_error).chain(self.spanning.stp.clone()))),
            (table::RSTP_STATUS, texts(self.spanning.rstp.clone())),
        ];
        if let Some(active) = self.active {
            let mac = active.map_or(Datum::Empty, |mac| Datum::from(mac.to_string()));
            columns.push((table::BOND_ACTIVE_SLAVE, mac));
        }
        columns
    }
}

impl Running {
    fn set_bundles(&mut self, bridge_name: &str, ports: &[Arc<DesiredPort>]) {
        for port in ports {
            let Some(bridge) = self.bridges.get(bridge_name) else { return };
            let working = |interface: &DesiredInterface| {
                bridge.interfaces.get(&interface.name)?.result.as_ref().ok().copied()
            };
            let numbers: Vec<OfPort> = port.interfaces.iter().filter_map(working).collect();
            let new = BundleConfig {
                name: port.name.clone(),
                ports: numbers.clone(),
                // The protocols are asked while nobody waits for the bridges.
                bond: self.join(bridge, port),
                vlan: port.vlan.clone(),
                protected: port.protected,
            };
            let id = bridge.id;
            let watched: Vec<_> =
                numbers.iter().map(|port| self.monitor.watched(PortId { bridge: id, port: *port })).collect();
            let mut switch = self.switch.write();
            let Some(state) = switch.get(id) else { return };
            let known = state.bundle_named(&port.name).map(|known| known.id);
            let bundle = known.unwrap_or_else(|| switch.new_bundle_id());
            let Some(state) = switch.get_mut(id) else { return };
            state.set_bundle(new, || bundle);
            for (number, watched) in numbers.into_iter().zip(watched) {
                let news = state.watch_port(number, watched);
                self.notices.extend(news.map(|news| Notice::Port { bridge: id, news }));
            }
        }
    }
}
