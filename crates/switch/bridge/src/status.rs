//! From the running switch to status columns. Writes only what differs.

use std::collections::BTreeMap;

use base::OfPort;
use controller::Manager;
use model::{Atom, Datum};
use ofp::{ControllerRole, port_config, port_state};
use replica::{Row, Tables, Transaction};
use schema::{bridge, controller as controller_table, interface, open_vswitch};

use crate::desire::root;
use crate::refused;
use crate::running::{Running, RunningBridge};

/// The kinds of datapaths and interfaces that this program offers.
pub const DATAPATH_TYPES: &[&str] = &["netdev", "system"];
pub const INTERFACE_TYPES: &[&str] = &["internal", "patch", "system", "tap"];

/// What the root row tells of the program.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    pub datapath_types: Vec<String>,
    pub interface_types: Vec<String>,
}

/// Collects the columns that differ from what the database has.
struct Writer<'a> {
    rows: &'a Tables,
    transaction: Transaction,
}

impl Writer<'_> {
    /// Sets columns of `row`, those that differ.
    fn write(&mut self, table: &str, row: &Row, columns: Vec<(&str, Datum)>) {
        for (name, value) in columns {
            if row.schema.column(name).is_some() && *row.get(name) != value {
                self.transaction.set(table, &row.uuid, name, value);
            }
        }
    }
}

/// How much is to be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Extent {
    /// State.
    State,
    /// State and counters.
    Counters,
}

/// The transaction that brings the status columns up to date. `applied` is
/// the `next_cfg` that is in force since now.
pub fn status(
    rows: &Tables,
    running: &Running,
    manager: &Manager,
    identity: &Identity,
    applied: Option<i64>,
    extent: Extent,
) -> Transaction {
    let mut writer = Writer { rows, transaction: Transaction::new(rows) };
    for bridge in running.bridges().values() {
        write_bridge(&mut writer, running, bridge, extent);
        write_controllers(&mut writer, running, manager, bridge);
    }
    if let Some(root) = root(rows) {
        let texts = |list: &[String]| Datum::set(list.iter().map(|text| Atom::from(text.as_str())));
        let mut columns = vec![
            (open_vswitch::DATAPATH_TYPES, texts(&identity.datapath_types)),
            (open_vswitch::IFACE_TYPES, texts(&identity.interface_types)),
            (open_vswitch::DPDK_INITIALIZED, Datum::from(false)),
            (open_vswitch::DPDK_VERSION, Datum::from("none")),
        ];
        if let Some(applied) = applied {
            columns.push((open_vswitch::CUR_CFG, Datum::from(applied)));
        }
        writer.write(open_vswitch::NAME_OF_TABLE, root, columns);
    }
    writer.transaction
}

fn write_bridge(writer: &mut Writer<'_>, running: &Running, bridge: &RunningBridge, extent: Extent) {
    let rows = writer.rows;
    if let Some(row) = rows.row(bridge::NAME_OF_TABLE, &bridge.config.uuid) {
        let columns = vec![
            (bridge::DATAPATH_ID, Datum::from(format!("{:016x}", bridge.datapath_id))),
            (bridge::DATAPATH_VERSION, Datum::from("<built-in>")),
        ];
        writer.write(bridge::NAME_OF_TABLE, row, columns);
    }
    for desired in bridge.config.ports.iter().flat_map(|port| &port.interfaces) {
        let Some(row) = rows.row(interface::NAME_OF_TABLE, &desired.uuid) else { continue };
        let columns = match bridge.interface(&desired.name).map(|interface| &interface.result) {
            Some(Ok(number)) => working(running, bridge, *number, &desired.kind, extent),
            // As in the reference, only the log tells why.
            Some(Err(_)) if refused::is_reserved(&desired.name) => broken(Datum::Empty),
            Some(Err(reason)) => broken(Datum::from(reason.as_str())),
            None => broken(Datum::from(format!("could not open network device {}", desired.name))),
        };
        writer.write(interface::NAME_OF_TABLE, row, columns);
    }
}

/// The columns of an interface that works.
fn working(
    running: &Running,
    bridge: &RunningBridge,
    number: OfPort,
    kind: &str,
    extent: Extent,
) -> Vec<(&'static str, Datum)> {
    let switch = running.switch.read();
    let Some(entry) = switch.get(bridge.id).and_then(|state| state.port_entry(number)) else {
        return Vec::new();
    };
    let desc = &entry.desc;
    let is_up = desc.config & port_config::PORT_DOWN == 0;
    let has_link = desc.state & port_state::LINK_DOWN == 0;
    let up = |up: bool| Datum::from(if up { "up" } else { "down" });
    let shown = number.to_u16().map_or(i64::from(number.0), i64::from);
    let mut columns = vec![
        (interface::OFPORT, Datum::from(shown)),
        (interface::ERROR, Datum::Empty),
        (interface::MAC_IN_USE, Datum::from(desc.hw_addr.to_string())),
    ];
    let info = entry.port.datapath.and_then(|port| running.datapath.port(port));
    match &info {
        Some(info) => {
            let speed = i64::from(info.speed_mbps) * 1_000_000;
            columns.extend([
                (interface::ADMIN_STATE, up(is_up)),
                (interface::LINK_STATE, up(has_link)),
                (interface::IFINDEX, Datum::from(i64::from(info.ifindex))),
                (interface::MTU, Datum::from(i64::from(info.mtu))),
                (interface::LINK_RESETS, Datum::from(i64::try_from(info.link_resets).unwrap_or(i64::MAX))),
                (interface::LINK_SPEED, if speed == 0 { Datum::Empty } else { Datum::from(speed) }),
                (
                    interface::DUPLEX,
                    match (speed, info.is_full_duplex) {
                        (0, _) => Datum::Empty,
                        (_, true) => Datum::from("full"),
                        (_, false) => Datum::from("half"),
                    },
                ),
            ]);
        }
        None => columns.extend([
            (interface::ADMIN_STATE, up(true)),
            (interface::LINK_STATE, up(true)),
            (interface::IFINDEX, Datum::from(0)),
            (interface::LINK_RESETS, Datum::from(0)),
        ]),
    }
    if extent == Extent::Counters {
        let stats = match entry.port.datapath {
            Some(port) => running
                .datapath
                .port_stats(port)
                .ok()
                .map(|stats| counters(&stats, running.datapath.custom_port_stats(port))),
            None => Some(patch_counters(entry)),
        };
        columns.extend(stats.map(|stats| (interface::STATISTICS, stats)));
    }
    if kind.is_empty() || kind == "internal" || kind == "tap" {
        let driver = if kind.is_empty() { "af_packet" } else { "tun" };
        let pair = (Atom::from("driver_name"), Atom::from(driver));
        columns.push((interface::STATUS, Datum::map([pair])));
    }
    columns
}

/// The columns of an interface that cannot be used, for this reason.
fn broken(error: Datum) -> Vec<(&'static str, Datum)> {
    let empty = [
        interface::MAC_IN_USE,
        interface::ADMIN_STATE,
        interface::LINK_STATE,
        interface::IFINDEX,
        interface::MTU,
        interface::LINK_RESETS,
        interface::LINK_SPEED,
        interface::DUPLEX,
        interface::STATUS,
        interface::STATISTICS,
    ];
    let mut columns = vec![(interface::OFPORT, Datum::from(-1)), (interface::ERROR, error)];
    columns.extend(empty.map(|column| (column, Datum::Empty)));
    columns
}

fn counters(stats: &dp::PortStats, custom: Vec<(String, u64)>) -> Datum {
    let common = [
        ("collisions", stats.collisions),
        ("rx_bytes", stats.rx_bytes),
        ("rx_crc_err", stats.rx_crc_errors),
        ("rx_dropped", stats.rx_dropped),
        ("rx_errors", stats.rx_errors),
        ("rx_frame_err", stats.rx_frame_errors),
        ("rx_missed_errors", stats.rx_missed_errors),
        ("rx_over_err", stats.rx_over_errors),
        ("rx_packets", stats.rx_packets),
        ("tx_bytes", stats.tx_bytes),
        ("tx_dropped", stats.tx_dropped),
        ("tx_errors", stats.tx_errors),
        ("tx_packets", stats.tx_packets),
    ];
    let kept = common.into_iter().filter(|(_, value)| *value != dp::UNCOUNTED);
    pairs(kept.map(|(name, value)| (name.to_owned(), value)).chain(custom))
}

fn patch_counters(entry: &ofproto::PortEntry) -> Datum {
    let traffic = &entry.port.traffic;
    let counters = [
        ("rx_bytes", traffic.received.bytes()),
        ("rx_packets", traffic.received.packets()),
        ("tx_bytes", traffic.sent.bytes()),
        ("tx_packets", traffic.sent.packets()),
    ];
    pairs(counters.map(|(name, value)| (name.to_owned(), value)))
}

fn pairs(values: impl IntoIterator<Item = (String, u64)>) -> Datum {
    let atom = |value| Atom::from(i64::try_from(value).unwrap_or(i64::MAX));
    Datum::map(values.into_iter().map(|(name, value)| (Atom::from(name), atom(value))))
}

fn write_controllers(writer: &mut Writer<'_>, running: &Running, manager: &Manager, bridge: &RunningBridge) {
    let rows = writer.rows;
    let statuses: BTreeMap<String, controller::ControllerStatus> =
        manager.statuses(bridge.id).into_iter().collect();
    for wanted in &bridge.config.controllers {
        let Some(status) = statuses.get(&wanted.target) else { continue };
        let Some(row) = rows.row(controller_table::NAME_OF_TABLE, &wanted.uuid) else { continue };
        let role = match status.role {
            None => Datum::Empty,
            Some(ControllerRole::Primary) => Datum::from("master"),
            Some(ControllerRole::Secondary) => Datum::from("slave"),
            Some(_) => Datum::from("other"),
        };
        let mut details = vec![("state", if status.is_connected { "ACTIVE" } else { "BACKOFF" }.to_owned())];
        let now = running.clock.now();
        for (key, at) in
            [("sec_since_connect", status.connected_at), ("sec_since_disconnect", status.disconnected_at)]
        {
            details.extend(at.map(|at| (key, (now - at).as_secs().to_string())));
        }
        details.extend(status.last_error.as_ref().map(|error| ("last_error", error.clone())));
        let details = details.into_iter().map(|(key, value)| (Atom::from(key), Atom::from(value)));
        let columns = vec![
            (controller_table::IS_CONNECTED, Datum::from(status.is_connected)),
            (controller_table::ROLE, role),
            (controller_table::STATUS, Datum::map(details)),
        ];
        writer.write(controller_table::NAME_OF_TABLE, row, columns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_counters_that_a_device_keeps_are_written() {
        let stats = dp::PortStats { rx_packets: 3, tx_bytes: 64, ..dp::PortStats::UNCOUNTED };
        let written = counters(&stats, vec![("rx_q0_packets".to_owned(), 3)]);
        let pair = |name: &str, value: i64| (Atom::from(name), Atom::from(value));
        let expected = [pair("rx_packets", 3), pair("rx_q0_packets", 3), pair("tx_bytes", 64)];
        assert_eq!(written, Datum::map(expected));
    }
}
