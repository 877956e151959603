//! Rows and their typed values.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::MacAddr;
use model::{Datum, TableSchema};
use uuid::Uuid;

/// The copy of one table: the columns that are watched, of every row.
#[derive(Debug)]
pub struct Table {
    pub schema: Arc<TableSchema>,
    rows: HashMap<Uuid, Row>,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub uuid: Uuid,
    values: BTreeMap<String, Datum>,
}

/// What a row lacks is empty.
static EMPTY: Datum = Datum::Empty;

impl Table {
    pub(crate) fn new(schema: Arc<TableSchema>) -> Table {
        Table { schema, rows: HashMap::new() }
    }

    pub fn row(&self, uuid: &Uuid) -> Option<&Row> {
        self.rows.get(uuid)
    }

    /// In no order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn remove(&mut self, uuid: &Uuid) -> bool {
        self.rows.remove(uuid).is_some()
    }

    /// Makes the row if need be; its columns begin with their defaults.
    pub(crate) fn insert(&mut self, uuid: Uuid) -> &mut Row {
        let schema = &self.schema;
        self.rows.entry(uuid).or_insert_with(|| {
            let defaults = schema.declared_columns().map(|c| (c.name.clone(), c.r#type.default_datum()));
            Row { uuid, values: defaults.collect() }
        })
    }

    pub(crate) fn get_mut(&mut self, uuid: &Uuid) -> Option<&mut Row> {
        self.rows.get_mut(uuid)
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }
}

impl Row {
    pub(crate) fn set(&mut self, column: &str, value: Datum) {
        self.values.insert(column.to_owned(), value);
    }

    /// The value of a column; empty when it is not watched.
    pub fn datum(&self, column: &str) -> &Datum {
        self.values.get(column).unwrap_or(&EMPTY)
    }

    /// A string, or the empty one.
    pub fn text(&self, column: &str) -> &str {
        self.optional_text(column).unwrap_or("")
    }

    pub fn optional_text(&self, column: &str) -> Option<&str> {
        self.datum(column).one()?.as_str()
    }

    pub fn texts(&self, column: &str) -> Vec<&str> {
        self.datum(column).atoms().iter().filter_map(|atom| atom.as_str()).collect()
    }

    pub fn integer(&self, column: &str) -> Option<i64> {
        self.datum(column).one()?.as_integer()
    }

    pub fn integers(&self, column: &str) -> Vec<i64> {
        self.datum(column).atoms().iter().filter_map(|atom| atom.as_integer()).collect()
    }

    pub fn boolean(&self, column: &str) -> bool {
        self.datum(column).one().and_then(|atom| atom.as_boolean()).unwrap_or(false)
    }

    /// The rows that it refers to.
    pub fn references(&self, column: &str) -> Vec<Uuid> {
        self.datum(column).keys().filter_map(|atom| atom.as_uuid()).collect()
    }

    pub fn reference(&self, column: &str) -> Option<Uuid> {
        self.datum(column).one()?.as_uuid()
    }

    /// A map of strings.
    pub fn map(&self, column: &str) -> BTreeMap<String, String> {
        let pair = |(key, value): &(model::Atom, model::Atom)| {
            Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))
        };
        self.datum(column).pairs().iter().filter_map(pair).collect()
    }

    /// A value of a map of strings.
    pub fn map_value(&self, column: &str, key: &str) -> Option<&str> {
        self.datum(column).get(key)
    }

    /// A value of a map of strings as a number, if it is one.
    pub fn map_number(&self, column: &str, key: &str) -> Option<u64> {
        self.map_value(column, key)?.trim().parse().ok()
    }

    /// A value of a map of strings as a truth value, if there is one.
    pub fn map_boolean(&self, column: &str, key: &str) -> Option<bool> {
        self.map_value(column, key).map(|value| value == "true")
    }

    /// A string as an Ethernet address, if it is one.
    pub fn mac(&self, column: &str) -> Option<MacAddr> {
        self.optional_text(column)?.parse().ok()
    }
}
