//! What the switch keeps in memory, counted: `memory/show`.

use std::collections::BTreeMap;

use crate::switchd::State;

/// One line of `name:count`; what there is none of is left out.
pub(super) fn show(state: &State) -> String {
    let switch = state.switch.read();
    let cells = state.replica.tables().iter().map(|(_, table)| table.len() * table.schema.columns.len());
    let statuses = switch.bridges().flat_map(|bridge| state.manager.statuses(bridge.id()));
    let counts = BTreeMap::from([
        ("idl-cells-Open_vSwitch", cells.sum()),
        ("ofconns", statuses.filter(|(_, status)| status.is_connected).count()),
        ("ports", switch.bridges().map(|bridge| bridge.port_entries().count()).sum()),
        ("revalidators", 1),
        (
            "rules",
            switch.bridges().flat_map(ofproto::Bridge::tables).map(|table| table.entries().count()).sum(),
        ),
        ("udpif keys", state.flows.flow_count()),
    ]);
    let shown: Vec<String> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name}:{count}"))
        .collect();
    shown.join(" ") + "\n"
}
