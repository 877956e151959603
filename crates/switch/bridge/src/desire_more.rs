//! Mirrors and tables: rows to types.

use base::TableId;
use fields::{Field, Match, PortNames, Subfield};
use flow::{Slot, slot};
use ofproto::TableSettings;
use replica::{Row, Tables};
use schema::{bridge, flow_table, interface, mirror, port};

use crate::columns::Columns;
use crate::desired::{DesiredMirror, MirrorTarget};

/// The mirrors of a bridge, by name. One that says nothing of where to is told of and left out.
pub(crate) fn mirrors(rows: &Tables, bridge_row: &Row) -> Vec<DesiredMirror> {
    let names = port_names(rows, bridge_row);
    let all = bridge_row
        .references(bridge::MIRRORS)
        .filter_map(|uuid| rows.row(mirror::NAME_OF_TABLE, &uuid))
        .filter_map(|row| desire_mirror(row, bridge_row.string(bridge::NAME), &names));
    let mut all: Vec<DesiredMirror> = all.collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if all.len() > pipeline::MAX_MIRRORS {
        log::warn!(target: "ofproto_dpif_mirror", "maximum of {} port mirrors reached", pipeline::MAX_MIRRORS);
        all.truncate(pipeline::MAX_MIRRORS);
    }
    all
}

/// The names that a bridge's ports go by. Their numbers are not known yet, and nobody asks for them: any will do.
fn port_names(rows: &Tables, bridge_row: &Row) -> PortNames {
    let ports = bridge_row.references(bridge::PORTS).filter_map(|uuid| rows.row(port::NAME_OF_TABLE, &uuid));
    let interfaces = ports.flat_map(|row| row.references(port::INTERFACES));
    let rows = interfaces.filter_map(|uuid| rows.row(interface::NAME_OF_TABLE, &uuid));
    let mut names = PortNames::new();
    for (number, row) in (1..).zip(rows) {
        names.insert(number, row.string(interface::NAME));
    }
    names
}

fn desire_mirror(row: &Row, bridge: &str, names: &PortNames) -> Option<DesiredMirror> {
    let name = row.string(mirror::NAME).to_owned();
    let vlan = row.integer(mirror::OUTPUT_VLAN).and_then(|vid| u16::try_from(vid).ok());
    let output = match (row.reference(mirror::OUTPUT_PORT), vlan) {
        (Some(port), _) => MirrorTarget::Port(port),
        (None, Some(vid)) => MirrorTarget::Vlan(vid),
        (None, None) => {
            log::error!(target: "bridge", "bridge {bridge}: mirror {name} does not specify output; ignoring");
            return None;
        }
    };
    let vids: Vec<u16> =
        row.integers(mirror::SELECT_VLAN).into_iter().filter_map(|vid| u16::try_from(vid).ok()).collect();
    let filter = match row
        .text(mirror::FILTER)
        .filter(|text| !text.is_empty())
        .map(|text| parse_filter(text, names))
    {
        None => None,
        Some(Ok(filter)) => Some(filter),
        Some(Err(why)) => {
            log::warn!(target: "ofproto_dpif_mirror", "{why}");
            log::error!(target: "bridge", "bridge {bridge}: mirror {name} configuration is invalid");
            return None;
        }
    };
    Some(DesiredMirror {
        uuid: row.uuid,
        name,
        select_all: row.is_true(mirror::SELECT_ALL),
        sources: row.references(mirror::SELECT_SRC_PORT).collect(),
        destinations: row.references(mirror::SELECT_DST_PORT).collect(),
        vlans: (!vids.is_empty()).then(|| vids.into_iter().collect()),
        filter,
        output,
        snaplen: row.integer(mirror::SNAPLEN).and_then(|length| u16::try_from(length).ok()).unwrap_or(0),
    })
}

fn parse_filter(text: &str, names: &PortNames) -> Result<Match, String> {
    let filter = Match::parse_exact(text, Some(names)).map_err(|why| format!("filter is invalid: {why}"))?;
    if filter.mask.bits(flow::slot::IN_PORT) != 0 {
        return Err("filter is invalid due to in_port field.".to_owned());
    }
    Ok(filter)
}

/// What is said of the tables of a bridge.
pub(crate) fn tables(rows: &Tables, bridge_row: &Row) -> Vec<(TableId, TableSettings)> {
    let name = bridge_row.string(bridge::NAME);
    let said = bridge_row.get(bridge::FLOW_TABLES);
    let entries = said.entries().filter_map(|(key, value)| {
        let id = u8::try_from(key.as_integer()?).ok()?;
        let row = rows.row(flow_table::NAME_OF_TABLE, &value?.as_uuid()?)?;
        Some((id, row))
    });
    let mut all = Vec::new();
    for (id, row) in entries {
        if id >= TableId::INTERNAL.0 {
            log::warn!(
                target: "bridge",
                "bridge {name}: ignoring configuration for flow table {id} not supported by this datapath"
            );
            continue;
        }
        all.push((TableId(id), desire_table(row, name, id)));
    }
    all
}

fn desire_table(row: &Row, bridge: &str, id: u8) -> TableSettings {
    let mut groups = Vec::new();
    for text in row.strings(flow_table::GROUPS) {
        match Subfield::parse(text) {
            Ok(field) => groups.push(field),
            Err(why) => log::warn!(
                target: "bridge",
                "bridge {bridge} table {id}: error parsing 'groups' ({why})"
            ),
        }
    }
    TableSettings {
        name: row.text(flow_table::NAME).map(str::to_owned),
        max_rules: row.integer(flow_table::FLOW_LIMIT).and_then(|limit| usize::try_from(limit).ok()),
        evicts: row.text(flow_table::OVERFLOW_POLICY) == Some("evict"),
        groups,
        prefixes: prefixes(row, bridge),
    }
}

/// Fields of which prefixes can be tracked: addresses, and what tunnels number like them.
const PREFIX_FIELDS: [Slot; 13] = [
    slot::TUN_ID,
    slot::TUN_SRC,
    slot::TUN_DST,
    slot::TUN_IPV6_SRC,
    slot::TUN_IPV6_DST,
    slot::CT_NW_SRC,
    slot::CT_NW_DST,
    slot::CT_IPV6_SRC,
    slot::CT_IPV6_DST,
    slot::NW_SRC,
    slot::NW_DST,
    slot::IPV6_SRC,
    slot::IPV6_DST,
];

/// The fields whose prefixes a table is to track; nothing where nothing useful is said.
fn prefixes(row: &Row, bridge: &str) -> Option<Vec<Slot>> {
    let mut slots = Vec::new();
    for name in row.strings(flow_table::PREFIXES) {
        if name == "none" {
            return Some(Vec::new());
        }
        match Field::from_name(name).map(Field::slot) {
            Some(slot) if !PREFIX_FIELDS.contains(&slot) => {
                log::warn!(
                    target: "bridge",
                    "bridge {bridge}: 'prefixes' with incompatible field: {name}"
                );
            }
            Some(slot) if slots.contains(&slot) => {}
            Some(slot) => slots.push(slot),
            None => {
                log::warn!(target: "bridge", "bridge {bridge}: 'prefixes' with unknown field: {name}");
            }
        }
    }
    (!slots.is_empty()).then_some(slots)
}
