//! What the switch keeps in memory, counted: `memory/show`.

use std::collections::BTreeMap;

use controller::Manager;
use flowsync::Datapaths;
use ofproto::SharedSwitch;
use replica::Tables;

/// One line of `name:count`; what there is none of is left out.
pub(super) fn show(switch: &SharedSwitch, datapaths: &Datapaths, rows: &Tables, manager: &Manager) -> String {
    let keepers = datapaths.shared();
    let switch = switch.read();
    let cells = rows.iter().map(|(_, table)| table.len() * table.schema.columns.len());
    let statuses = switch.bridges().flat_map(|bridge| manager.statuses(bridge.id()));
    let counts = BTreeMap::from([
        ("idl-cells-Open_vSwitch", cells.sum()),
        ("ofconns", statuses.filter(|(_, status)| status.is_connected).count()),
        ("ports", switch.bridges().map(|bridge| bridge.port_entries().count()).sum()),
        ("revalidators", keepers.len()),
        (
            "rules",
            switch.bridges().flat_map(ofproto::Bridge::tables).map(|table| table.entries().count()).sum(),
        ),
        ("udpif keys", keepers.iter().map(|below| below.flows.flow_count()).sum()),
    ]);
    let shown: Vec<String> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name}:{count}"))
        .collect();
    shown.join(" ") + "\n"
}
