//! Every setting that the database knows, and what becomes of it here.
//!
//! A setting that does nothing must say so. [`COLUMNS`] names every column of every table that configures the switch, and
//! [`KEYS`] every documented key of those that are maps; a test compares the first with the schema and the second with
//! the manual. [`unread`] finds what the rows set and nobody reads.

mod table;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use model::{Atom, Datum};
use replica::{Row, Tables};
use schema::{
    bridge, controller, datapath, flow_sample_collector_set, interface, mirror, open_vswitch, port,
};
use uuid::Uuid;

use crate::columns::Columns;
use crate::memo::Memo;
pub(crate) use table::{COLUMNS, KEYS};

base::coverage!(pub(crate) static ROWS_READ = "bridge_row_read");

/// What becomes of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// The switch does what it says.
    Read,
    /// It is the switch that writes it.
    Status,
    /// Names, notes, and what other programs read.
    Elsewhere,
    /// The switch says when it has done the rest.
    Awaited,
    /// A map of which [`KEYS`] has the keys.
    Map,
    /// It tunes, inside the reference, what this switch has no counterpart of; forwarding is the same without.
    Tuning,
    /// It is meant for hardware, or for a way of reaching it, that this switch does not use: why, and the values that ask for
    /// nothing.
    Refused(&'static str, &'static [&'static str]),
}

/// The tables whose rows have a say by themselves: those that the switch follows.
pub fn tables() -> impl Iterator<Item = &'static str> {
    COLUMNS.chunk_by(|(one, ..), (next, ..)| one == next).filter_map(|columns| Some(columns.first()?.0))
}

/// Why a setting does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// It only tunes.
    Tuning,
    /// It is refused, for this reason.
    Refused(&'static str),
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
    pub why: Why,
}

impl Unread {
    /// What the log says of it.
    pub(crate) fn text(&self) -> String {
        let Unread { table, row, .. } = self;
        format!("{table} {row}: {}", self.what())
    }

    /// What is said of the setting.
    pub(crate) fn what(&self) -> String {
        let setting = &self.setting;
        match self.why {
            Why::Tuning => format!("{setting} has no effect on this switch"),
            Why::Refused(why) => format!("{setting} is refused and has no effect: {why}"),
        }
    }

    pub(crate) fn is_tuning(&self) -> bool {
        self.why == Why::Tuning
    }
}

/// The settings of a table: each column with its use, and with its keys where it is a map.
type Settings = Vec<(&'static str, Use, Vec<(&'static str, Use)>)>;

/// [`COLUMNS`] and [`KEYS`] by table.
static BY_TABLE: LazyLock<HashMap<&'static str, Settings>> = LazyLock::new(|| {
    let mut tables: HashMap<&'static str, Settings> = HashMap::new();
    for (table, column, use_) in COLUMNS {
        let keys = KEYS.iter().filter(|(of, map, ..)| of == table && map == column);
        let keys = keys.map(|(.., key, use_)| (*key, *use_)).collect();
        tables.entry(table).or_default().push((column, *use_, keys));
    }
    tables
});

/// The columns of a table that are maps with documented keys.
pub(crate) fn maps_of(table: &str) -> impl Iterator<Item = &'static str> {
    let columns = BY_TABLE.get(table).into_iter().flatten();
    columns.filter(|(_, use_, _)| *use_ == Use::Map).map(|(column, ..)| *column)
}

/// What each row sets and nobody reads, by row.
pub(crate) type Known = Memo<Row, Arc<[Unread]>>;

/// What the rows set and nobody reads, each once.
pub(crate) fn unread(rows: &Tables, known: &mut Known) -> Vec<Arc<[Unread]>> {
    let found = configuring(rows).into_iter().map(|(table, row)| {
        known.get(row.uuid, &[row], || {
            ROWS_READ.count();
            unread_of(table, row).into()
        })
    });
    let found = found.filter(|of_row| !of_row.is_empty()).collect();
    known.end_pass();
    found
}

fn unread_of(table: &'static str, row: &Row) -> Vec<Unread> {
    let mut found = Vec::new();
    for (column, use_, keys) in BY_TABLE.get(table).into_iter().flatten() {
        let value = row.get(column);
        if value.is_empty() {
            continue;
        }
        let mut note = |setting: String, why| {
            found.push(Unread { table, uuid: row.uuid, row: name_of(table, row), setting, why });
        };
        if *use_ == Use::Map {
            for (key, use_) in keys {
                let Some(text) = row.map_text(column, key) else { continue };
                if let Some(why) = is_unread(*use_, |inert| text == inert) {
                    note(format!("{column}:{key}"), why);
                }
            }
        } else if let Some(why) = is_unread(*use_, |inert| shows(value, inert)) {
            note((*column).to_owned(), why);
        }
    }
    found
}

/// Why a setting does nothing, if it does.
fn is_unread(use_: Use, is: impl Fn(&str) -> bool) -> Option<Why> {
    let asks = |inert: &[&str]| !inert.iter().any(|inert| is(inert));
    match use_ {
        Use::Refused(why, inert) => asks(inert).then_some(Why::Refused(why)),
        Use::Tuning => Some(Why::Tuning),
        Use::Read | Use::Status | Use::Elsewhere | Use::Awaited | Use::Map => None,
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
pub(crate) fn configuring(rows: &Tables) -> Vec<(&'static str, &Arc<Row>)> {
    let mut all = Vec::new();
    let Some(root) = rows.rows(open_vswitch::NAME_OF_TABLE).next() else { return all };
    all.push((open_vswitch::NAME_OF_TABLE, root));
    let find = |table, uuid: Uuid| rows.row(table, &uuid);
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
    all.extend(sets.map(|row| (flow_sample_collector_set::NAME_OF_TABLE, row)));
    all
}

/// By what people know the row.
pub(crate) fn name_of(table: &str, row: &Row) -> String {
    match table {
        controller::NAME_OF_TABLE => row.string(controller::TARGET).to_owned(),
        _ => id_of(table, row),
    }
}

/// By what commands of `ovs-vsctl` find the row.
pub(crate) fn id_of(table: &str, row: &Row) -> String {
    match table {
        open_vswitch::NAME_OF_TABLE => ".".to_owned(),
        bridge::NAME_OF_TABLE | port::NAME_OF_TABLE | interface::NAME_OF_TABLE | mirror::NAME_OF_TABLE => {
            row.string(bridge::NAME).to_owned()
        }
        _ => row.uuid.to_string(),
    }
}

#[cfg(test)]
mod tests;
