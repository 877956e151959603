//! What the database asks for, as types, and reading it from rows.
//!
//! Pure: strings are parsed and mistakes are found before anything changes. A mistake in a row is logged, named, and costs
//! only what it is about. What belongs to one concern is read in its file.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{MacAddr, OfPort, TableId};
use log::Level;
use ofp::Version;
use ofproto::TableSettings;
use pipeline::VlanConfig;
use replica::{Row, Tables};
use schema::{bridge, interface, open_vswitch, port};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::columns::Columns;
use crate::concerns::bundles::{self, DesiredPort};
use crate::concerns::controllers::{self, DesiredController};
use crate::concerns::discovery;
use crate::concerns::exports::{self, DesiredExport, DesiredSampling};
use crate::concerns::forwarding::{self, DesiredForwarding};
use crate::concerns::interfaces::{self, DesiredInterface};
use crate::concerns::limits::{self, DesiredLimits};
use crate::concerns::mirrors::{self, DesiredMirror};
use crate::concerns::multicast;
use crate::concerns::qos::{self, QosRows};
use crate::concerns::trees::{self, DesiredTree};
use crate::concerns::workers::{self, DesiredWorkers};
use crate::concerns::zones::{self, DesiredZones};
use crate::concerns::{addresses, tables};
use crate::memo::Memo;
use crate::settings::{self, Unread};

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    pub bridges: Vec<Arc<DesiredBridge>>,
    pub limits: DesiredLimits,
    pub workers: DesiredWorkers,
    /// What holds for connections, by the kind of the datapath.
    pub zones: BTreeMap<String, DesiredZones>,
    /// `Open_vSwitch.statistics` is to be kept.
    pub wants_machine_statistics: bool,
    /// How long an OpenFlow bundle may wait for its next message.
    pub bundle_idle: Duration,
    /// What is wrong with the rows, and how bad that is.
    pub complaints: Vec<(log::Level, String)>,
    /// What the rows set and nobody reads.
    pub(crate) unread: Vec<Arc<[Unread]>>,
}

/// One bridge.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredBridge {
    pub uuid: Uuid,
    pub name: String,
    /// "netdev", "system" or "dummy"; empty is system.
    pub datapath_type: String,
    /// `other_config:datapath-id`.
    pub datapath_id: Option<u64>,
    /// `other_config:hwaddr`.
    pub mac: Option<MacAddr>,
    /// The address that its own port had when the row was written last.
    pub last_mac: Option<MacAddr>,
    pub fail_mode: FailMode,
    pub controllers: Vec<DesiredController>,
    /// The OpenFlow versions that it speaks.
    pub versions: Vec<Version>,
    /// By name. Those that have not changed since the last pass are the same ones.
    pub ports: Vec<Arc<DesiredPort>>,
    pub exports: Vec<DesiredExport>,
    /// What else its samples are for.
    pub sampling: DesiredSampling,
    pub forwarding: DesiredForwarding,
    /// How it keeps loops out, if it does.
    pub spanning: Option<DesiredTree>,
    /// How it finds out who listens to multicast, if it does.
    pub snooping: Option<ofproto::Snooping>,
    /// What its ports say of it to neighbours.
    pub discovery: protocols::lldp::Settings,
    pub dp_desc: Option<String>,
    pub in_band: controllers::DesiredInBand,
    /// The serial number by which controllers know it.
    pub serial: Option<String>,
    pub mirrors: Vec<DesiredMirror>,
    pub tables: Vec<(TableId, TableSettings)>,
}

impl DesiredBridge {
    /// Those of all ports.
    pub fn interfaces(&self) -> impl Iterator<Item = &DesiredInterface> {
        self.ports.iter().flat_map(|port| port.devices())
    }

    /// By which protocol it keeps loops out, if it does.
    pub(crate) fn tree_kind(&self) -> Option<pipeline::SpanningTree> {
        self.spanning.as_ref().map(DesiredTree::kind)
    }

    /// The type of its datapath by its full name.
    pub fn datapath_kind(&self) -> &str {
        if self.datapath_type.is_empty() { "system" } else { &self.datapath_type }
    }
}

/// What a bridge does when it has controllers but reaches none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailMode {
    /// It acts as a learning switch.
    #[default]
    Standalone,
    /// It does what its rules say, and nothing else.
    Secure,
}

/// What is wrong with a row, and how bad that is.
type Complaint = (Level, String);

/// The one row of the root table.
pub(crate) fn root(rows: &Tables) -> Option<&Row> {
    rows.rows(open_vswitch::NAME_OF_TABLE).next().map(|row| &**row)
}

/// What was read from rows before.
#[derive(Debug, Default)]
pub struct KnownRows {
    ports: Memo<Row, Arc<DesiredPort>>,
    unread: settings::Known,
}

/// What the rows ask for; `None` before the database was initialised. Of ports, only the rows that have changed are read.
pub fn desire(rows: &Tables, known: &mut KnownRows) -> Option<Desired> {
    let root = root(rows)?;
    let config = |key| root.map_number(open_vswitch::OTHER_CONFIG, key);
    let mut complaints = Vec::new();
    let mut bridges = Vec::new();
    let of_root = root.references(open_vswitch::BRIDGES);
    for row in of_root.filter_map(|uuid| rows.row(bridge::NAME_OF_TABLE, &uuid)) {
        if has_safe_name(row, &mut complaints) {
            bridges.push(desire_bridge(rows, row, known, &mut complaints));
        }
    }
    bridges.sort_by(|a, b| a.name.cmp(&b.name));
    for (bridge, row) in bridges.iter_mut().filter_map(|bridge| {
        let row = rows.row(bridge::NAME_OF_TABLE, &bridge.uuid)?;
        Some((bridge, row))
    }) {
        addresses::desire(bridge, row, &mut complaints);
    }
    known.ports.end_pass();
    drop_taken_names(&mut bridges, &mut complaints);
    let zones = zones::desire(rows, root, &mut complaints);
    Some(Desired {
        bridges: bridges.into_iter().map(Arc::new).collect(),
        limits: limits::desire(root),
        workers: workers::desire(root),
        zones,
        wants_machine_statistics: root
            .map_boolean(open_vswitch::OTHER_CONFIG, "enable-statistics")
            .unwrap_or(false),
        bundle_idle: config("bundle-idle-timeout")
            .filter(|&seconds| seconds > 0)
            .map_or(::controller::DEFAULT_BUNDLE_IDLE, |seconds| Duration::from_secs(seconds.max(1))),
        complaints,
        unread: settings::unread(rows, &mut known.unread),
    })
}

/// Whether the bridge's name can be part of a socket's path: one with a slash could stand for any place.
fn has_safe_name(row: &Row, complaints: &mut Vec<Complaint>) -> bool {
    let name = row.string(bridge::NAME);
    let is_safe = !name.contains('/');
    if !is_safe {
        complaints.push((Level::Warn, format!("ignoring bridge with invalid name \"{name}\"")));
    }
    is_safe
}

/// A device can be in one bridge only: the first one by name has it.
fn drop_taken_names(bridges: &mut [DesiredBridge], complaints: &mut Vec<Complaint>) {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    let mut taken = Vec::new();
    for (b, bridge) in bridges.iter().enumerate() {
        for (p, port) in bridge.ports.iter().enumerate() {
            for (i, interface) in port.interfaces.iter().enumerate() {
                match owners.entry(&interface.name) {
                    Entry::Vacant(place) => _ = place.insert(&bridge.name),
                    Entry::Occupied(owner) => {
                        let (name, owner) = (&bridge.name, owner.get());
                        let text = format!(
                            "bridge {name}: interface {} is already in bridge {owner}",
                            interface.name
                        );
                        complaints.push((Level::Warn, text));
                        taken.push((b, p, i));
                    }
                }
            }
        }
    }
    let mut namesakes = Vec::new();
    for (b, bridge) in bridges.iter().enumerate() {
        for (p, port) in bridge.ports.iter().enumerate() {
            if port.namesake.is_some() && owners.contains_key(&*port.name) {
                let text =
                    format!("port {}: bond_fake_iface has no effect, an interface has the name", port.name);
                complaints.push((Level::Warn, text));
                namesakes.push((b, p));
            }
        }
    }
    for (b, p) in namesakes {
        if let Some(port) = bridges.get_mut(b).and_then(|bridge| bridge.ports.get_mut(p)) {
            Arc::make_mut(port).namesake = None;
        }
    }
    // From the last on, so that the places of the others stay what they are.
    for (b, p, i) in taken.into_iter().rev() {
        if let Some(port) = bridges.get_mut(b).and_then(|bridge| bridge.ports.get_mut(p)) {
            Arc::make_mut(port).interfaces.remove(i);
        }
    }
}

fn desire_bridge(
    rows: &Tables,
    row: &Row,
    known: &mut KnownRows,
    complaints: &mut Vec<Complaint>,
) -> DesiredBridge {
    let name = row.string(bridge::NAME).to_owned();
    let other = |key| row.map_text(bridge::OTHER_CONFIG, key);
    let mut ports: Vec<Arc<DesiredPort>> = row
        .references(bridge::PORTS)
        .filter_map(|uuid| rows.row(port::NAME_OF_TABLE, &uuid))
        .map(|row| known_port(rows, row, known))
        .collect();
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    if !ports.iter().any(|port| port.name == name) {
        ports.insert(0, Arc::new(local_port(&name)));
    }
    DesiredBridge {
        uuid: row.uuid,
        datapath_type: row.string(bridge::DATAPATH_TYPE).to_owned(),
        datapath_id: None,
        mac: None,
        last_mac: addresses::last_mac(rows, &name, &ports),
        fail_mode: match row.text(bridge::FAIL_MODE) {
            Some("secure") => FailMode::Secure,
            _ => FailMode::Standalone,
        },
        controllers: controllers::desire(rows, row),
        versions: versions(&row.strings(bridge::PROTOCOLS)),
        ports,
        exports: exports::desire(rows, row),
        sampling: exports::desire_sampling(rows, root(rows), row),
        forwarding: forwarding::desire(row),
        spanning: trees::desire(row),
        snooping: multicast::desire(row),
        discovery: discovery::desire(rows, row, complaints),
        dp_desc: other("dp-desc").map(str::to_owned),
        in_band: controllers::desire_in_band(rows, root(rows), row),
        serial: other("dp-sn").map(str::to_owned),
        mirrors: mirrors::desire(rows, row),
        tables: tables::desire(rows, row),
        name,
    }
}

/// Every bridge has a port of its own name, though old databases lack the row.
fn local_port(bridge: &str) -> DesiredPort {
    let interface = DesiredInterface::internal(bridge, Some(OfPort::LOCAL));
    DesiredPort {
        uuid: Uuid::nil(),
        name: bridge.to_owned(),
        interfaces: vec![interface],
        namesake: None,
        vlan: VlanConfig::default(),
        protected: false,
        bond: bundles::no_bond(),
        spanning: Default::default(),
        multicast: Default::default(),
        qos: Default::default(),
        lacp: None,
        mac: None,
        fake_bridge: false,
    }
}

fn versions(names: &[&str]) -> Vec<Version> {
    let all = ::controller::default_versions();
    if names.is_empty() {
        return all;
    }
    all.into_iter().filter(|version| names.contains(&version.name())).collect()
}

/// A port, read anew where its row, or one of those of its interfaces and its QoS, is another than before.
fn known_port(rows: &Tables, row: &Arc<Row>, known: &mut KnownRows) -> Arc<DesiredPort> {
    let interfaces =
        row.references(port::INTERFACES).filter_map(|uuid| rows.row(interface::NAME_OF_TABLE, &uuid));
    let interfaces: SmallVec<[&Arc<Row>; 2]> = interfaces.collect();
    let qos = QosRows::of(rows, row);
    let all: SmallVec<[&Arc<Row>; 3]> =
        std::iter::once(row).chain(interfaces.iter().copied()).chain(qos.rows()).collect();
    known.ports.get(row.uuid, &all, || {
        settings::ROWS_READ.add(all.len() as u64);
        let interfaces = interfaces.iter().map(|row| interfaces::desire(row)).collect();
        Arc::new(bundles::desire(row, interfaces, qos::desire(&qos)))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::concerns::interfaces::InterfaceKind;
    use dp::PortKind;

    pub(crate) fn bridge(name: &str, ports: Vec<DesiredPort>) -> Arc<DesiredBridge> {
        Arc::new(DesiredBridge {
            uuid: Uuid::nil(),
            name: name.into(),
            datapath_type: String::new(),
            datapath_id: None,
            mac: None,
            last_mac: None,
            fail_mode: FailMode::default(),
            controllers: Vec::new(),
            versions: Vec::new(),
            ports: ports.into_iter().map(Arc::new).collect(),
            exports: Vec::new(),
            sampling: DesiredSampling::default(),
            forwarding: DesiredForwarding::default(),
            spanning: None,
            snooping: None,
            discovery: Default::default(),
            dp_desc: None,
            in_band: controllers::DesiredInBand::default(),
            serial: None,
            mirrors: Vec::new(),
            tables: Vec::new(),
        })
    }

    pub(crate) fn port(name: &str) -> DesiredPort {
        DesiredPort { interfaces: vec![interface(name, PortKind::System)], ..local_port(name) }
    }

    pub(crate) fn interface(name: &str, kind: PortKind) -> DesiredInterface {
        DesiredInterface { kind: InterfaceKind::Port(kind), ..DesiredInterface::internal(name, None) }
    }
}
