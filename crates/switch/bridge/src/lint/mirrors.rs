//! Mirrors.

use replica::Row;
use schema::{bridge, mirror, port};
use uuid::Uuid;

use super::{BridgeRows, Configured, Findings, Subject};
use crate::columns::Columns;

pub(super) fn check(configured: &Configured<'_>, of: &BridgeRows<'_>, findings: &mut Findings) {
    let rows = of.row.references(bridge::MIRRORS);
    for row in rows.filter_map(|uuid| configured.rows.row(mirror::NAME_OF_TABLE, &uuid)) {
        check_mirror(configured, of, row, findings);
    }
}

fn check_mirror(configured: &Configured<'_>, of: &BridgeRows<'_>, row: &Row, findings: &mut Findings) {
    let subject = Subject { table: mirror::NAME_OF_TABLE, row };
    let port_name = |uuid: &Uuid| {
        configured.rows.row(port::NAME_OF_TABLE, uuid).map_or("?", |row| row.string(port::NAME)).to_owned()
    };
    let output = row.reference(mirror::OUTPUT_PORT);
    let vlan = row.integer(mirror::OUTPUT_VLAN);
    if output.is_none() && vlan.is_none() {
        let mend = format!(
            "ovs-vsctl remove Bridge {} mirrors {}",
            base::shell::quoted(of.row.string(bridge::NAME)),
            row.uuid
        );
        findings.add(
            subject,
            "there is neither an output_port nor an output_vlan: nothing is mirrored",
            mend,
        );
    }
    if output.is_some() && vlan.is_some() {
        let what = "output_vlan has no effect beside output_port";
        findings.add(subject, what, subject.clear(mirror::OUTPUT_VLAN));
    }
    let selects_all = row.is_true(mirror::SELECT_ALL);
    let mut selects = selects_all;
    for column in [mirror::SELECT_SRC_PORT, mirror::SELECT_DST_PORT] {
        let mut selected = row.references(column).peekable();
        selects |= selected.peek().is_some();
        for uuid in selected {
            let name = port_name(&uuid);
            if Some(uuid) == output {
                let what = format!("{column} has its output_port {name}: a mirror does not mirror itself");
                findings.add(subject, what, subject.remove(column, &uuid.to_string()));
            } else if !of.ports.iter().any(|ported| ported.row.uuid == uuid) {
                let what = format!("{column} has port {name}, which is in another bridge");
                findings.add(subject, what, subject.remove(column, &uuid.to_string()));
            }
        }
    }
    selects |= !row.get(mirror::SELECT_VLAN).is_empty();
    if !selects {
        findings.add(subject, "it selects no packet", subject.set(mirror::SELECT_ALL, true));
    }
    if let Some(uuid) = output.filter(|uuid| !of.ports.iter().any(|ported| ported.row.uuid == *uuid)) {
        let what = format!("output_port {} is in another bridge: nothing is mirrored", port_name(&uuid));
        findings.add(subject, what, subject.clear(mirror::OUTPUT_PORT));
    }
}
