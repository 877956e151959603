//! A session as operators see it.

use wire::lldp::SystemId;

use super::{Counters, Neighbour, Session};

const NONE: &str = "<None>";

impl Session {
    /// Who at this port is one to attach to: the part of `autoattach/status`.
    pub(crate) fn servers(&self) -> String {
        let mut out = String::new();
        put!(out, "LLDP: {}", self.name);
        for Neighbour { unit, .. } in &self.neighbours {
            let Some(element) = unit.element.filter(|element| element.system != SystemId::default()) else {
                continue;
            };
            put!(out, "  Auto Attach Primary Server Id: {}", hex(&unit.chassis.bytes));
            let description = String::from_utf8_lossy(&unit.system_description);
            let description = if description.is_empty() { NONE } else { &description };
            put!(out, "  Auto Attach Primary Server Descr: {description}");
            put!(out, "  Auto Attach Primary Server System Id: {}", hex(&memory(&element.system)));
        }
        out
    }

    /// The VLANs of services, with what the neighbour says of them: the part of `autoattach/show-isid`.
    pub(crate) fn services(&self) -> String {
        let mut out = String::new();
        put!(out, "LLDP: {}", self.name);
        put!(out, "{:<8} {:<4} {:<11} {:<8}", "I-SID", "VLAN", "Source", "Status");
        put!(out, "-------- ---- ----------- --------");
        for (isid, vlan) in &self.settings.mappings {
            let mut assignments = self.neighbours.iter().flat_map(|neighbour| &neighbour.unit.assignments);
            let said = assignments.rfind(|one| one.isid == *isid);
            let status = said.map_or("Pending", |one| status_name(one.status));
            put!(out, "{isid:<8} {vlan:<4} {:<11} {status:<11}", "Switch");
        }
        out
    }

    /// The part of `autoattach/statistics`.
    pub(crate) fn statistics(&self) -> String {
        let Counters { sent, received, discarded, unrecognized, aged, inserted, deleted, dropped } =
            self.counters;
        let mut out = String::new();
        put!(out, "Statistics: {}", self.name);
        for (name, count) in [
            ("tx", sent),
            ("rx", received),
            ("rx discarded", discarded),
            ("rx unrecognized", unrecognized),
            ("ageout", aged),
            ("insert", inserted),
            ("delete", deleted),
            ("drop", dropped),
        ] {
            put!(out, "  {name} cnt: {count}");
        }
        out
    }
}

fn status_name(status: u8) -> &'static str {
    match status {
        2 => "Active",
        3 => "Reject (Generic)",
        4 => "Reject (AA resources unavailable)",
        6 => "Reject (Invalid)",
        8 => "Reject (VLAN resources unavailable)",
        9 => "Reject (Application interaction issue)",
        _ => "Undefined",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// An identifier as the reference shows it: as it lies in the memory of a little-endian machine.
fn memory(system: &SystemId) -> Vec<u8> {
    let connection = u16::from(system.connection).to_le_bytes();
    [&system.mac.0[..], &connection, &system.reserved.to_le_bytes(), &system.rest].concat()
}
