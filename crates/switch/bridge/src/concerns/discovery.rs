//! Link layer discovery with auto-attach: what bridges' rows have their ports say, and the VLANs that ports carry because of
//! it. The protocol itself is started with the others (`monitoring.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use log::Level;
use model::{Atom, Datum};
use protocols::lldp::Settings;
use replica::{Row, Tables};
use schema::{autoattach as table, bridge, port};
use uuid::Uuid;
use wire::lldp::{MAX_ASSIGNMENTS, MAX_NAME_LEN};

use super::Concern;
use crate::columns::Columns;
use crate::concerns::bundles::DesiredPort;
use crate::running::RunningBridge;
use crate::status::{Report, Reporting};

/// The VLANs that each port's row was given because of mappings.
pub(crate) type Attached = Arc<HashMap<Uuid, BTreeSet<u16>>>;

/// What a bridge's ports say of it.
pub(crate) fn desire(rows: &Tables, bridge_row: &Row, complaints: &mut Vec<(Level, String)>) -> Settings {
    let row =
        bridge_row.reference(bridge::AUTO_ATTACH).and_then(|uuid| rows.row(table::NAME_OF_TABLE, &uuid));
    let name = bridge_row.string(bridge::NAME);
    let mut warn = |text: String| complaints.push((Level::Warn, format!("bridge {name}: {text}")));
    let mut text = |column| {
        let text = row.map_or("", |row| row.string(column));
        let end = text.floor_char_boundary(MAX_NAME_LEN);
        if end < text.len() {
            warn(format!("{column} is cut, as LLDP has room for {MAX_NAME_LEN} bytes"));
        }
        text[..end].to_owned()
    };
    let system_name = text(table::SYSTEM_NAME);
    let mut system_description = text(table::SYSTEM_DESCRIPTION);
    if system_description.is_empty() {
        system_description = format!("openvswitch {}", rpc::REFERENCE_VERSION);
    }
    let mut mappings: BTreeMap<u32, u16> = row.map(|row| mappings(row)).unwrap_or_default();
    if let Some(&least) = mappings.keys().nth(MAX_ASSIGNMENTS) {
        let left_out = mappings.split_off(&least).len();
        warn(format!("LLDP has room for {MAX_ASSIGNMENTS} mappings; {left_out} have no effect"));
    }
    Settings { system_name, system_description, mappings }
}

fn mappings(row: &Row) -> BTreeMap<u32, u16> {
    let entries = row.get(table::MAPPINGS).entries();
    let mapping = |(isid, vlan): (&Atom, Option<&Atom>)| {
        Some((u32::try_from(isid.as_integer()?).ok()?, u16::try_from(vlan?.as_integer()?).ok()?))
    };
    entries.filter_map(mapping).collect()
}

pub(crate) struct Discovery;

impl Concern for Discovery {
    /// A port that has neighbours learn of mappings carries their VLANs: its row is given them when a mapping comes, and
    /// loses them when it goes. What others do to the row meanwhile stands.
    fn report(&self, out: &mut Reporting, report: &Report<'_>, bridge: &RunningBridge) {
        if !report.extent.state {
            return;
        }
        let vlans: BTreeSet<u16> = bridge.config.discovery.mappings.values().copied().collect();
        for desired in bridge.config.ports.iter().filter(|port| is_discovered(bridge, port)) {
            let Some(row) = report.rows.row(port::NAME_OF_TABLE, &desired.uuid) else { continue };
            let none = BTreeSet::new();
            let before = report.told.attached.get(&desired.uuid).unwrap_or(&none);
            if *before != vlans {
                out.writer.write(port::NAME_OF_TABLE, row, columns(row, before, &vlans));
            }
            Arc::make_mut(&mut out.told.attached).insert(desired.uuid, vlans.clone());
        }
    }

    fn report_switch(&self, out: &mut Reporting, report: &Report<'_>, _root: &Row) {
        if !report.extent.state {
            out.told.attached = Arc::clone(&report.told.attached);
        }
    }
}

/// Whether one of the port's interfaces speaks the protocol.
fn is_discovered(bridge: &RunningBridge, port: &DesiredPort) -> bool {
    let runs = |name: &str| bridge.interface(name).is_some_and(|interface| interface.result.is_ok());
    port.interfaces.iter().any(|interface| interface.lldp && runs(&interface.name))
}

/// The columns of a port that carried the VLANs `before` because of mappings, and carries `now`. A port without VLANs of its
/// own would carry all, so its mode says that it carries none.
fn columns(row: &Row, before: &BTreeSet<u16>, now: &BTreeSet<u16>) -> Vec<(&'static str, Datum)> {
    let old: BTreeSet<i64> = row.integers(port::TRUNKS).into_iter().collect();
    let goes = |vlan: &i64| before.iter().any(|one| i64::from(*one) == *vlan);
    let new: BTreeSet<i64> = old
        .iter()
        .copied()
        .filter(|vlan| !goes(vlan))
        .chain(now.iter().map(|vlan| i64::from(*vlan)))
        .collect();
    columns_of(&old, &new)
}

fn columns_of(old: &BTreeSet<i64>, new: &BTreeSet<i64>) -> Vec<(&'static str, Datum)> {
    let mode = match (old.len(), new.len()) {
        _ if old == new => return Vec::new(),
        (_, 0) => Some("access"),
        (0, _) | (_, 1) => Some("trunk"),
        _ => None,
    };
    let mut columns = vec![(port::TRUNKS, Datum::set(new.iter().map(|vlan| Atom::from(*vlan))))];
    columns.extend(mode.map(|mode| (port::VLAN_MODE, Datum::from(mode))));
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_comes_to_carry_vlans_is_a_trunk_and_one_that_loses_all_carries_none() {
        let vlans = |vlans: &[i64]| Datum::set(vlans.iter().map(|vlan| Atom::from(*vlan)));
        let check = |old: &[i64], new: &[i64], mode: Option<&str>| {
            let set = |vlans: &[i64]| vlans.iter().copied().collect();
            let mut expected = vec![(port::TRUNKS, vlans(new))];
            expected.extend(mode.map(|mode| (port::VLAN_MODE, Datum::from(mode))));
            assert_eq!(columns_of(&set(old), &set(new)), expected);
        };
        check(&[], &[5, 6], Some("trunk"));
        check(&[5], &[5, 6], None);
        check(&[5, 6], &[6], Some("trunk"));
        check(&[6], &[], Some("access"));
        let same = BTreeSet::from([6]);
        assert_eq!(columns_of(&same, &same), Vec::new());
    }
}
