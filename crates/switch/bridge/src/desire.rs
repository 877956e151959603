//! From rows to what is wanted. Pure: a mistake in a row is logged, named, and costs only what it is about.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use base::{MacAddr, OfPort};
use log::Level;
use ofp::Version;
use pipeline::{PriorityTags, VlanConfig, VlanMode};
use replica::{Row, Tables};
use schema::{bridge, controller, interface, open_vswitch, port, sflow};
use smallvec::SmallVec;

use crate::address;
use crate::columns::Columns;
use crate::desired::{
    Desired, DesiredBridge, DesiredController, DesiredInterface, DesiredPort, DesiredSflow, FailMode,
};
use crate::memo::Memo;
use crate::settings;
use crate::{mirrors, tables};

/// What is wrong with a row, and how bad that is.
type Complaint = (Level, String);

/// The one row of the root table.
pub(crate) fn root(rows: &Tables) -> Option<&Row> {
    rows.rows(open_vswitch::NAME_OF_TABLE).next().map(|row| &**row)
}

/// As many VLAN tags as switches looked at before they could look at more.
const DEFAULT_MAX_VLANS: usize = 1;

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
    let mut bridges: Vec<DesiredBridge> = root
        .references(open_vswitch::BRIDGES)
        .filter_map(|uuid| rows.row(bridge::NAME_OF_TABLE, &uuid))
        .filter(|row| has_safe_name(row, &mut complaints))
        .map(|row| desire_bridge(rows, row, known))
        .collect();
    bridges.sort_by(|a, b| a.name.cmp(&b.name));
    for (bridge, row) in bridges.iter_mut().filter_map(|bridge| {
        let row = rows.row(bridge::NAME_OF_TABLE, &bridge.uuid)?;
        Some((bridge, row))
    }) {
        check_addresses(bridge, row, &mut complaints);
    }
    known.ports.end_pass();
    drop_taken_names(&mut bridges, &mut complaints);
    Some(Desired {
        bridges: bridges.into_iter().map(Arc::new).collect(),
        flow_limit: config("flow-limit").map_or(flowsync::DEFAULT_FLOW_LIMIT, |n| n as usize),
        bundle_idle: config("bundle-idle-timeout")
            .filter(|&seconds| seconds > 0)
            .map_or(::controller::DEFAULT_BUNDLE_IDLE, |seconds| Duration::from_secs(seconds.max(1))),
        max_vlans: match config("vlan-limit") {
            None => DEFAULT_MAX_VLANS,
            Some(0) => usize::MAX,
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        },
        max_idle: config("max-idle").map_or(flowsync::DEFAULT_MAX_IDLE, Duration::from_millis),
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

/// Takes the bridge's `other_config:hwaddr` if it may have it, and its `other_config:datapath-id` if that is one.
fn check_addresses(bridge: &mut DesiredBridge, row: &Row, complaints: &mut Vec<Complaint>) {
    let name = &bridge.name;
    if let Some(text) = row.map_text(bridge::OTHER_CONFIG, "hwaddr") {
        match text.parse() {
            Ok(mac) => match address::refusal_of_hwaddr(mac) {
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
            None => complaints.push((
                Level::Error,
                format!("bridge {name}: \"{text}\" is not a datapath id (16 hexadecimal digits)"),
            )),
        }
    }
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
    // From the last on, so that the places of the others stay what they are.
    for (b, p, i) in taken.into_iter().rev() {
        if let Some(port) = bridges.get_mut(b).and_then(|bridge| bridge.ports.get_mut(p)) {
            Arc::make_mut(port).interfaces.remove(i);
        }
    }
}

fn desire_bridge(rows: &Tables, row: &Row, known: &mut KnownRows) -> DesiredBridge {
    let name = row.string(bridge::NAME).to_owned();
    let other = |key| row.map_text(bridge::OTHER_CONFIG, key);
    let number = |key| row.map_number(bridge::OTHER_CONFIG, key);
    let mut ports: Vec<Arc<DesiredPort>> = row
        .references(bridge::PORTS)
        .filter_map(|uuid| rows.row(port::NAME_OF_TABLE, &uuid))
        .map(|row| known_port(rows, row, known))
        .collect();
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    if !ports.iter().any(|port| port.name == name) {
        ports.insert(0, Arc::new(local_port(&name)));
    }
    let controllers = row
        .references(bridge::CONTROLLER)
        .filter_map(|uuid| rows.row(controller::NAME_OF_TABLE, &uuid))
        .map(|row| desire_controller(row))
        .filter(|controller| controller.target != "none")
        .collect();
    DesiredBridge {
        uuid: row.uuid,
        datapath_type: row.string(bridge::DATAPATH_TYPE).to_owned(),
        datapath_id: None,
        mac: None,
        last_mac: last_mac(rows, &name, &ports),
        fail_mode: match row.text(bridge::FAIL_MODE) {
            Some("secure") => FailMode::Secure,
            _ => FailMode::Standalone,
        },
        controllers,
        versions: versions(&row.strings(bridge::PROTOCOLS)),
        ports,
        sflow: row
            .reference(bridge::SFLOW)
            .and_then(|uuid| rows.row(sflow::NAME_OF_TABLE, &uuid))
            .map(|row| desire_sflow(row)),
        mac_aging: Duration::from_secs(number("mac-aging-time").unwrap_or(300)),
        mac_table_size: number("mac-table-size").map_or(ofproto::DEFAULT_CAPACITY, |n| n as usize),
        forwards_bpdus: row.map_boolean(bridge::OTHER_CONFIG, "forward-bpdu").unwrap_or(false),
        asks_spanning_tree: row.is_true(bridge::STP_ENABLE) || row.is_true(bridge::RSTP_ENABLE),
        dp_desc: other("dp-desc").map(str::to_owned),
        mirrors: mirrors::desire(rows, row),
        tables: tables::desire(rows, row),
        name,
    }
}

/// Every bridge has a port of its own name, though old databases lack the row.
fn local_port(bridge: &str) -> DesiredPort {
    let interface = DesiredInterface {
        uuid: uuid::Uuid::nil(),
        name: bridge.to_owned(),
        kind: "internal".to_owned(),
        options: Default::default(),
        number: Some(OfPort::LOCAL),
        is_number_asked: false,
        mac: None,
        mtu: None,
    };
    DesiredPort {
        uuid: uuid::Uuid::nil(),
        name: bridge.to_owned(),
        interfaces: vec![interface],
        vlan: VlanConfig::default(),
        protected: false,
        primary: None,
        last_active: None,
        mac: None,
        fake_bridge: false,
    }
}

/// The address that the bridge's own port was given last.
fn last_mac(rows: &Tables, bridge: &str, ports: &[Arc<DesiredPort>]) -> Option<MacAddr> {
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

fn versions(names: &[&str]) -> Vec<Version> {
    let all = ::controller::default_versions();
    if names.is_empty() {
        return all;
    }
    all.into_iter().filter(|version| names.contains(&version.name())).collect()
}

fn desire_controller(row: &Row) -> DesiredController {
    let millis = |column, default| {
        Duration::from_millis(row.integer(column).and_then(|ms| u64::try_from(ms).ok()).unwrap_or(default))
    };
    let limit = row.integer(controller::CONTROLLER_RATE_LIMIT).and_then(|n| u32::try_from(n).ok());
    let burst = row.integer(controller::CONTROLLER_BURST_LIMIT).and_then(|n| u32::try_from(n).ok());
    DesiredController {
        uuid: row.uuid,
        target: row.string(controller::TARGET).to_owned(),
        max_backoff: millis(controller::MAX_BACKOFF, 8000).max(Duration::from_secs(1)),
        inactivity_probe: millis(controller::INACTIVITY_PROBE, 5000),
        rate_limit: limit.map(|rate| (rate.max(100), burst.unwrap_or(rate / 4).max(25))),
        is_service: row.text(controller::TYPE) == Some("service"),
    }
}

/// A port, read anew where its row or one of its interfaces' is another than before.
fn known_port(rows: &Tables, row: &Arc<Row>, known: &mut KnownRows) -> Arc<DesiredPort> {
    let interfaces =
        row.references(port::INTERFACES).filter_map(|uuid| rows.row(interface::NAME_OF_TABLE, &uuid));
    let all: SmallVec<[&Arc<Row>; 3]> = std::iter::once(row).chain(interfaces).collect();
    known.ports.get(row.uuid, &all, || {
        settings::ROWS_READ.add(all.len() as u64);
        let interfaces = all.iter().skip(1).map(|row| desire_interface(row)).collect();
        Arc::new(desire_port(row, interfaces))
    })
}

fn desire_port(row: &Row, mut interfaces: Vec<DesiredInterface>) -> DesiredPort {
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    DesiredPort {
        uuid: row.uuid,
        name: row.string(port::NAME).to_owned(),
        interfaces,
        vlan: desire_vlan(row),
        protected: row.is_true(port::PROTECTED),
        primary: row.map_text(port::OTHER_CONFIG, "bond-primary").map(str::to_owned),
        last_active: row.mac(port::BOND_ACTIVE_SLAVE),
        mac: row.mac(port::MAC),
        fake_bridge: row.is_true(port::FAKE_BRIDGE),
    }
}

fn desire_vlan(row: &Row) -> VlanConfig {
    let tag = row.integer(port::TAG).and_then(|tag| u16::try_from(tag).ok());
    let vids = |column| {
        let vids: Vec<u16> =
            row.integers(column).into_iter().filter_map(|vid| u16::try_from(vid).ok()).collect();
        (!vids.is_empty()).then(|| vids.into_iter().collect())
    };
    let trunks = vids(port::TRUNKS);
    let mode = match row.text(port::VLAN_MODE) {
        Some("access") => VlanMode::Access,
        Some("native-tagged") => VlanMode::NativeTagged,
        Some("native-untagged") => VlanMode::NativeUntagged,
        Some("dot1q-tunnel") => VlanMode::Dot1qTunnel,
        Some("trunk") => VlanMode::Trunk,
        // A port with a tag and no mode is an access port, whatever it trunks.
        _ if tag.is_some() => VlanMode::Access,
        _ => VlanMode::Trunk,
    };
    let priority_tags = match row.map_text(port::OTHER_CONFIG, "priority-tags") {
        Some("if-nonzero" | "true") => PriorityTags::IfNonzero,
        Some("always") => PriorityTags::Always,
        _ => PriorityTags::Never,
    };
    let qinq_tpid = match row.map_text(port::OTHER_CONFIG, "qinq-ethtype") {
        Some("802.1q") => pipeline::vlan::TPID_8021Q,
        _ => pipeline::vlan::TPID_8021AD,
    };
    VlanConfig {
        mode,
        tag: tag.unwrap_or(0),
        trunks: if mode == VlanMode::Access { None } else { trunks },
        cvlans: vids(port::CVLANS),
        qinq_tpid,
        priority_tags,
    }
}

fn desire_interface(row: &Row) -> DesiredInterface {
    let number = |column| OfPort::from_database(u32::try_from(row.integer(column)?).ok()?);
    let asked = number(interface::OFPORT_REQUEST);
    DesiredInterface {
        uuid: row.uuid,
        name: row.string(interface::NAME).to_owned(),
        kind: match row.string(interface::TYPE) {
            "system" => String::new(),
            kind => kind.to_owned(),
        },
        options: row.map(interface::OPTIONS),
        number: asked.or_else(|| number(interface::OFPORT)),
        is_number_asked: asked.is_some(),
        mac: row.mac(interface::MAC),
        mtu: row.integer(interface::MTU_REQUEST).and_then(|mtu| u32::try_from(mtu).ok()),
    }
}

fn desire_sflow(row: &Row) -> DesiredSflow {
    let number = |column, default| row.integer(column).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    DesiredSflow {
        targets: row.strings(sflow::TARGETS).into_iter().map(str::to_owned).collect(),
        sampling: number(sflow::SAMPLING, 400).max(1),
        polling: number(sflow::POLLING, 30),
        header: number(sflow::HEADER, 128),
        agent: row.text(sflow::AGENT).map(str::to_owned),
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
