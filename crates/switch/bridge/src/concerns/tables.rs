//! Flow tables: what their rows ask for, and setting it.

use base::TableId;
use fields::{Field, Subfield};
use flow::{Slot, slot};
use ofproto::TableSettings;
use replica::{Row, Tables};
use schema::{bridge, flow_table};

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::desired::DesiredBridge;
use crate::running::Running;

/// What is said of the tables of a bridge.
pub(crate) fn desire(rows: &Tables, bridge_row: &Row) -> Vec<(TableId, TableSettings)> {
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
        all.push((TableId(id), desire_one(row, name, id)));
    }
    all
}

fn desire_one(row: &Row, bridge: &str, id: u8) -> TableSettings {
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

pub(crate) struct FlowTables;

impl Concern for FlowTables {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        running.settle_tables(pass.config);
    }
}

impl Running {
    /// Tables that are not said anything of are as they were made.
    fn settle_tables(&self, config: &DesiredBridge) {
        let Some(bridge) = self.bridges().get(&config.name) else { return };
        let now = self.clock.now();
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        let known: Vec<TableId> = state.tables().map(ofproto::Table::id).collect();
        let mut changes = Vec::new();
        for id in known {
            if !config.tables.iter().any(|(said, _)| *said == id) {
                changes.extend(state.configure_table(id, TableSettings::default(), now));
            }
        }
        for (id, settings) in &config.tables {
            changes.extend(state.configure_table(*id, settings.clone(), now));
        }
        switch.leave_untold(bridge.id, changes);
    }
}
