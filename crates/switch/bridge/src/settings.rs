//! Every setting that the database knows, and what becomes of it here.
//!
//! A setting that does nothing must say so. [`COLUMNS`] names every column of every table that configures the switch, and
//! [`KEYS`] every documented key of those that are maps; a test compares the first with the schema and the second with
//! the manual. [`unread`] finds what the rows set and nobody reads.

mod table;

use model::{Atom, Datum};
use replica::{Row, Tables};
use schema::{bridge, controller, datapath, flow_sample_collector_set, interface, open_vswitch, port};
use uuid::Uuid;

use crate::columns::Columns;
pub(crate) use table::{COLUMNS, KEYS};

/// What becomes of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// The switch does what it says.
    Read,
    /// It is the switch that writes it.
    Status,
    /// Names, notes, and what other programs read.
    Elsewhere,
    /// A map of which [`KEYS`] has the keys.
    Map,
    /// It tunes, inside the reference, what this switch has no counterpart of; forwarding is the same without.
    Tuning,
    /// Nothing is done about it yet. The values are those that ask for nothing.
    Missing(&'static [&'static str]),
    /// The same, of ports with several interfaces; others have no use for it.
    MissingInBonds(&'static [&'static str]),
}

/// A setting that does nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unread {
    pub table: &'static str,
    pub uuid: Uuid,
    /// The row's name, as people know it.
    pub row: String,
    /// "column" or "column:key".
    pub setting: String,
    /// It only tunes.
    pub is_tuning: bool,
}

impl Unread {
    /// What the log says of it.
    pub(crate) fn text(&self) -> String {
        let Unread { table, row, setting, .. } = self;
        if self.is_tuning {
            return format!("{table} {row}: {setting} has no effect on this switch");
        }
        let instead = instead(table, setting).map(|instead| format!("; {instead}")).unwrap_or_default();
        format!("{table} {row}: {setting} is not supported yet and has no effect{instead}")
    }
}

/// What is done where doing nothing would be dangerous.
pub(crate) fn instead(table: &str, setting: &str) -> Option<&'static str> {
    match (table, setting) {
        (bridge::NAME_OF_TABLE, bridge::STP_ENABLE | bridge::RSTP_ENABLE) => Some(
            "instead, an address is taken from one port at a time, so that a flooded frame that comes back is dropped",
        ),
        (port::NAME_OF_TABLE, port::BOND_MODE | port::LACP) => {
            Some("the port uses one member at a time, as active-backup does")
        }
        _ => None,
    }
}

/// What the rows set and nobody reads, each once.
pub(crate) fn unread(rows: &Tables) -> Vec<Unread> {
    let mut found = Vec::new();
    for (table, row) in configuring(rows) {
        let columns = COLUMNS.iter().filter(|(of, ..)| *of == table);
        for (_, column, use_) in columns {
            let value = row.get(column);
            let mut note = |setting: String, is_tuning| {
                found.push(Unread { table, uuid: row.uuid, row: name_of(table, row), setting, is_tuning });
            };
            match use_ {
                Use::Map => {
                    let keys = KEYS.iter().filter(|(of, map, ..)| *of == table && map == column);
                    for (.., key, use_) in keys {
                        let Some(text) = row.map_text(column, key) else { continue };
                        if let Some(is_tuning) = is_unread(*use_, row, |inert| text == inert) {
                            note(format!("{column}:{key}"), is_tuning);
                        }
                    }
                }
                use_ if !value.is_empty() => {
                    if let Some(is_tuning) = is_unread(*use_, row, |inert| shows(value, inert)) {
                        note((*column).to_owned(), is_tuning);
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether a setting does nothing, and if so, whether it only tunes.
fn is_unread(use_: Use, row: &Row, is: impl Fn(&str) -> bool) -> Option<bool> {
    let asks = |inert: &[&str]| !inert.iter().any(|inert| is(inert));
    match use_ {
        Use::Missing(inert) => asks(inert).then_some(false),
        Use::MissingInBonds(inert) => {
            (row.references(port::INTERFACES).count() > 1 && asks(inert)).then_some(false)
        }
        Use::Tuning => Some(true),
        Use::Read | Use::Status | Use::Elsewhere | Use::Map => None,
    }
}

/// Whether the only value of a column is written so.
fn shows(value: &Datum, text: &str) -> bool {
    value.one().is_some_and(|atom| match atom {
        Atom::String(string) => &**string == text,
        Atom::Integer(number) => number.to_string() == text,
        Atom::Boolean(boolean) => boolean.to_string() == text,
        Atom::Real(_) | Atom::Uuid(_) => false,
    })
}

/// The rows that configure the switch: those that are reached from the root, and have a say there.
fn configuring(rows: &Tables) -> Vec<(&'static str, &Row)> {
    let mut all = Vec::new();
    let Some(root) = crate::desire::root(rows) else { return all };
    all.push((open_vswitch::NAME_OF_TABLE, root));
    let find = |table, uuid: Uuid| rows.row(table, &uuid).map(|row| &**row);
    let datapaths = root.get(open_vswitch::DATAPATHS).entries();
    let datapaths = datapaths.filter_map(|(_, value)| find(datapath::NAME_OF_TABLE, value?.as_uuid()?));
    all.extend(datapaths.map(|row| (datapath::NAME_OF_TABLE, row)));
    let bridges = root.references(open_vswitch::BRIDGES).filter_map(|uuid| find(bridge::NAME_OF_TABLE, uuid));
    for bridge_row in bridges {
        all.push((bridge::NAME_OF_TABLE, bridge_row));
        let controllers = bridge_row.references(bridge::CONTROLLER);
        let controllers = controllers.filter_map(|uuid| find(controller::NAME_OF_TABLE, uuid));
        all.extend(controllers.map(|row| (controller::NAME_OF_TABLE, row)));
        let ports = bridge_row.references(bridge::PORTS).filter_map(|uuid| find(port::NAME_OF_TABLE, uuid));
        for port_row in ports {
            all.push((port::NAME_OF_TABLE, port_row));
            let interfaces = port_row.references(port::INTERFACES);
            let interfaces = interfaces.filter_map(|uuid| find(interface::NAME_OF_TABLE, uuid));
            all.extend(interfaces.map(|row| (interface::NAME_OF_TABLE, row)));
        }
    }
    let sets = rows.rows(flow_sample_collector_set::NAME_OF_TABLE);
    all.extend(sets.map(|row| (flow_sample_collector_set::NAME_OF_TABLE, &**row)));
    all
}

/// By what people know the row.
fn name_of(table: &str, row: &Row) -> String {
    match table {
        open_vswitch::NAME_OF_TABLE => ".".to_owned(),
        controller::NAME_OF_TABLE => row.string(controller::TARGET).to_owned(),
        bridge::NAME_OF_TABLE | port::NAME_OF_TABLE | interface::NAME_OF_TABLE => {
            row.string(bridge::NAME).to_owned()
        }
        _ => row.uuid.to_string(),
    }
}

#[cfg(test)]
mod tests;
