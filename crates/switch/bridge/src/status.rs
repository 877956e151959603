//! From the running switch to status columns. Writes only what differs.
//!
//! A column that a client clears stays so until the switch has something new to say, as in the reference: what follows
//! from the configuration and from links is written after every pass over the configuration, which a change of status
//! columns does not cause; counters are written in rounds, and at once for an interface that is new; what a datapath
//! can do is written once for each of its rows.

mod interface;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::BitOr;
use std::sync::Arc;

use controller::Manager;
use model::{Atom, Datum};
use ofp::ControllerRole;
use replica::{Row, Tables, Transaction};
use schema::{
    bridge, controller as controller_table, datapath, interface as interface_table, open_vswitch, port,
};
use uuid::Uuid;

use crate::desire::root;
use crate::desired::{DesiredBridge, DesiredPort};
use crate::mirrors;
use crate::running::{Running, RunningBridge};
use crate::writer::{Writer, texts};

base::coverage!(static ROWS_REPORTED = "bridge_row_reported");

/// The kinds of datapaths and interfaces that this program offers.
pub const DATAPATH_TYPES: &[&str] = &["netdev", "system"];
pub const INTERFACE_TYPES: &[&str] = &["internal", "patch", "system", "tap"];

/// What the root row tells of the program.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    pub datapath_types: Vec<String>,
    pub interface_types: Vec<String>,
}

/// How much is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent {
    /// What follows from the configuration and the links.
    pub state: bool,
    /// Counters of interfaces and mirrors.
    pub counters: bool,
    /// Connections of controllers.
    pub controllers: bool,
}

impl Extent {
    pub const STATE: Extent = Extent { state: true, counters: false, controllers: true };
    pub const CONTROLLERS: Extent = Extent { state: false, counters: false, controllers: true };
    pub const ROUND: Extent = Extent { state: false, counters: true, controllers: true };
}

impl BitOr for Extent {
    type Output = Extent;

    fn bitor(self, other: Extent) -> Extent {
        Extent {
            state: self.state | other.state,
            counters: self.counters | other.counters,
            controllers: self.controllers | other.controllers,
        }
    }
}

/// What the database was told once and for all.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The first counters of these interfaces, by serial number.
    interfaces: HashSet<u64>,
    /// The state of interfaces by row, with the row as it was then.
    states: Arc<HashMap<Uuid, (Arc<Row>, interface::State)>>,
    /// The capabilities of these datapaths, by type and row.
    datapaths: HashSet<(String, Uuid)>,
}

/// What there is to report.
pub struct Report<'a> {
    pub rows: &'a Tables,
    pub running: &'a Running,
    pub manager: &'a Manager,
    pub identity: &'a Identity,
    /// The `next_cfg` that is in force.
    pub applied: i64,
    pub extent: Extent,
    pub told: &'a Told,
    /// `Open_vSwitch.statistics`, when there are new ones.
    pub machine: Option<&'a BTreeMap<String, String>>,
}

/// The transaction that brings the status columns up to date, and what the database has been told when it succeeds.
pub fn status(report: &Report<'_>) -> (Transaction, Told) {
    let Report { rows, running, extent, .. } = report;
    let mut writer = Writer { rows, transaction: Transaction::new(rows) };
    let mut told = Told::default();
    let mut states = HashMap::new();
    for bridge in running.bridges().values() {
        write_interfaces(&mut writer, report, bridge, &mut told, &mut states);
        if extent.state {
            write_bridge(&mut writer, running, bridge);
        }
        if extent.counters {
            mirrors::report(&mut writer, running, bridge);
        }
        if extent.controllers {
            write_controllers(&mut writer, report, bridge);
        }
    }
    if extent.state {
        for (bridge, why) in running.refused() {
            write_refused(&mut writer, running, bridge, why);
        }
    }
    told.states = if extent.state { Arc::new(states) } else { Arc::clone(&report.told.states) };
    if let Some(root) = root(rows) {
        if extent.state {
            write_root(&mut writer, report, root);
            write_datapaths(&mut writer, report, root, &mut told);
        } else {
            told.datapaths.clone_from(&report.told.datapaths);
        }
        if let Some(machine) = report.machine {
            let columns = vec![(open_vswitch::STATISTICS, texts(machine.clone()))];
            writer.write(open_vswitch::NAME_OF_TABLE, root, columns);
        }
    }
    (writer.transaction, told)
}

fn write_root(writer: &mut Writer<'_>, report: &Report<'_>, root: &Row) {
    let set = |list: &[String]| Datum::set(list.iter().map(|text| Atom::from(text.as_str())));
    let columns = vec![
        (open_vswitch::DATAPATH_TYPES, set(&report.identity.datapath_types)),
        (open_vswitch::IFACE_TYPES, set(&report.identity.interface_types)),
        (open_vswitch::DPDK_INITIALIZED, Datum::from(false)),
        (open_vswitch::DPDK_VERSION, Datum::from("none")),
        (open_vswitch::CUR_CFG, Datum::from(report.applied)),
    ];
    writer.write(open_vswitch::NAME_OF_TABLE, root, columns);
}

/// Tells of each datapath that has a row what it can do. Clients may change it then: it is written once.
fn write_datapaths(writer: &mut Writer<'_>, report: &Report<'_>, root: &Row, told: &mut Told) {
    for (kind, uuid) in root.get(open_vswitch::DATAPATHS).entries() {
        let (Some(kind), Some(uuid)) = (kind.as_str(), uuid.and_then(Atom::as_uuid)) else { continue };
        let Some(row) = writer.rows.row(datapath::NAME_OF_TABLE, &uuid) else { continue };
        let exists = report.running.bridges().values().any(|bridge| bridge.config.datapath_kind() == kind);
        let key = (kind.to_owned(), uuid);
        if !report.told.datapaths.contains(&key) {
            if !exists {
                continue;
            }
            // What others have noted there stays.
            let mut all: BTreeMap<String, String> =
                crate::columns::Columns::map(&**row, datapath::CAPABILITIES);
            all.extend(
                report
                    .running
                    .datapath
                    .capabilities()
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value)),
            );
            writer.write(datapath::NAME_OF_TABLE, row, vec![(datapath::CAPABILITIES, texts(all))]);
        }
        told.datapaths.insert(key);
    }
}

fn write_bridge(writer: &mut Writer<'_>, running: &Running, bridge: &RunningBridge) {
    let rows = writer.rows;
    if let Some(row) = rows.row(bridge::NAME_OF_TABLE, &bridge.config.uuid) {
        let mut state = unsupported(running, &bridge.config.uuid);
        state.extend(bridge.error.iter().map(|error| ("error".to_owned(), error.clone())));
        let columns = vec![
            (bridge::DATAPATH_ID, Datum::from(format!("{:016x}", bridge.datapath_id))),
            (bridge::DATAPATH_VERSION, Datum::from("<built-in>")),
            (bridge::STATUS, texts(state)),
            (bridge::RSTP_STATUS, Datum::Empty),
        ];
        writer.write(bridge::NAME_OF_TABLE, row, columns);
    }
    for desired in &bridge.config.ports {
        write_port(writer, running, bridge, desired);
    }
}

fn write_port(writer: &mut Writer<'_>, running: &Running, bridge: &RunningBridge, desired: &DesiredPort) {
    let Some(row) = writer.rows.row(port::NAME_OF_TABLE, &desired.uuid) else { return };
    let mut columns = vec![
        (port::STATUS, texts(unsupported(running, &desired.uuid))),
        (port::STATISTICS, Datum::Empty),
        (port::RSTP_STATUS, Datum::Empty),
        (port::RSTP_STATISTICS, Datum::Empty),
    ];
    // Who is no bond any more keeps what it showed, as in the reference.
    if desired.interfaces.len() > 1 {
        let active = running.active_member(bridge, desired);
        let mac = active.map_or(Datum::Empty, |(_, mac)| Datum::from(mac.to_string()));
        columns.push((port::BOND_ACTIVE_SLAVE, mac));
    }
    writer.write(port::NAME_OF_TABLE, row, columns);
}

/// The rows of a bridge that cannot be made: its own says why, and none of its interfaces is of use.
fn write_refused(writer: &mut Writer<'_>, running: &Running, config: &DesiredBridge, why: &str) {
    let rows = writer.rows;
    if let Some(row) = rows.row(bridge::NAME_OF_TABLE, &config.uuid) {
        let mut state = unsupported(running, &config.uuid);
        state.insert("error".to_owned(), why.to_owned());
        let columns = vec![(bridge::STATUS, texts(state)), (bridge::DATAPATH_ID, Datum::Empty)];
        writer.write(bridge::NAME_OF_TABLE, row, columns);
    }
    for desired in config.ports.iter().flat_map(|port| &port.interfaces) {
        let Some(row) = rows.row(interface_table::NAME_OF_TABLE, &desired.uuid) else { continue };
        let error = format!("bridge {} does not exist: {why}", config.name);
        writer.write(interface_table::NAME_OF_TABLE, row, interface::broken(Datum::from(error)));
    }
}

/// The settings of a row that do nothing, as status columns show them.
fn unsupported(running: &Running, row: &Uuid) -> BTreeMap<String, String> {
    let settings = running.unsupported_of(row);
    settings.map(|settings| ("unsupported".to_owned(), settings)).into_iter().collect()
}

fn write_interfaces(
    writer: &mut Writer<'_>,
    report: &Report<'_>,
    bridge: &RunningBridge,
    told: &mut Told,
    states: &mut HashMap<Uuid, (Arc<Row>, interface::State)>,
) {
    let Report { rows, running, extent, .. } = report;
    for desired in bridge.config.interfaces() {
        let Some(row) = rows.row(interface_table::NAME_OF_TABLE, &desired.uuid) else { continue };
        let known = bridge.interface(&desired.name);
        let mut columns = Vec::new();
        if extent.state {
            let state = interface::State::of(running, bridge, desired, known);
            // A row of which nothing has changed, nor of what it says, says it already.
            let is_told = report
                .told
                .states
                .get(&desired.uuid)
                .is_some_and(|(told_row, told)| Arc::ptr_eq(told_row, row) && *told == state);
            if !is_told {
                ROWS_REPORTED.count();
                columns.extend(state.columns());
            }
            states.insert(desired.uuid, (Arc::clone(row), state));
        }
        if let Some(known) = known {
            let is_new = !report.told.interfaces.contains(&known.serial);
            if extent.counters || extent.state && is_new {
                columns.extend(interface::statistics(running, bridge, known));
            }
            if extent.counters || extent.state || !is_new {
                told.interfaces.insert(known.serial);
            }
        }
        writer.write(interface_table::NAME_OF_TABLE, row, columns);
    }
}

fn write_controllers(writer: &mut Writer<'_>, report: &Report<'_>, bridge: &RunningBridge) {
    let rows = writer.rows;
    let statuses: BTreeMap<String, controller::ControllerStatus> =
        report.manager.statuses(bridge.id).into_iter().collect();
    for wanted in &bridge.config.controllers {
        let Some(row) = rows.row(controller_table::NAME_OF_TABLE, &wanted.uuid) else { continue };
        let mut details = unsupported(report.running, &wanted.uuid);
        // Of who listens for connections there is nothing to tell.
        let status = statuses.get(&wanted.target);
        let role = match status.and_then(|status| status.role) {
            None => Datum::Empty,
            Some(ControllerRole::Primary) => Datum::from("master"),
            Some(ControllerRole::Secondary) => Datum::from("slave"),
            Some(_) => Datum::from("other"),
        };
        if let Some(status) = status {
            let state = if status.is_connected { "ACTIVE" } else { "BACKOFF" };
            details.insert("state".to_owned(), state.to_owned());
            let now = report.running.clock.now();
            for (key, at) in
                [("sec_since_connect", status.connected_at), ("sec_since_disconnect", status.disconnected_at)]
            {
                details.extend(at.map(|at| (key.to_owned(), (now - at).as_secs().to_string())));
            }
            details.extend(status.last_error.as_ref().map(|error| ("last_error".to_owned(), error.clone())));
        }
        let is_connected = status.is_some_and(|status| status.is_connected);
        let columns = vec![
            (controller_table::IS_CONNECTED, Datum::from(is_connected)),
            (controller_table::ROLE, role),
            (controller_table::STATUS, texts(details)),
        ];
        writer.write(controller_table::NAME_OF_TABLE, row, columns);
    }
}
