//! Columns of rows as the types that the switch works with.

use std::collections::BTreeMap;

use base::MacAddr;
use replica::Row;
use uuid::Uuid;

/// Typed reading, beside what [`Row`] offers itself.
pub(crate) trait Columns {
    /// A string, or the empty one.
    fn string(&self, column: &str) -> &str;
    fn strings(&self, column: &str) -> Vec<&str>;
    fn integers(&self, column: &str) -> Vec<i64>;
    fn is_true(&self, column: &str) -> bool;
    /// The row that it refers to.
    fn reference(&self, column: &str) -> Option<Uuid>;
    /// A map of strings.
    fn map(&self, column: &str) -> BTreeMap<String, String>;
    /// A value of a map of strings as a number, if it is one.
    fn map_number(&self, column: &str, key: &str) -> Option<u64>;
    /// A value of a map of strings as a truth value, if there is one.
    fn map_boolean(&self, column: &str, key: &str) -> Option<bool>;
    /// A string as an Ethernet address, if it is one.
    fn mac(&self, column: &str) -> Option<MacAddr>;
}

impl Columns for Row {
    fn string(&self, column: &str) -> &str {
        self.text(column).unwrap_or("")
    }

    fn strings(&self, column: &str) -> Vec<&str> {
        self.get(column).keys().filter_map(|atom| atom.as_str()).collect()
    }

    fn integers(&self, column: &str) -> Vec<i64> {
        self.get(column).keys().filter_map(|atom| atom.as_integer()).collect()
    }

    fn is_true(&self, column: &str) -> bool {
        self.boolean(column).unwrap_or(false)
    }

    fn reference(&self, column: &str) -> Option<Uuid> {
        self.get(column).one()?.as_uuid()
    }

    fn map(&self, column: &str) -> BTreeMap<String, String> {
        let entries = self.get(column).entries();
        entries
            .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value?.as_str()?.to_owned())))
            .collect()
    }

    fn map_number(&self, column: &str, key: &str) -> Option<u64> {
        self.map_text(column, key)?.trim().parse().ok()
    }

    fn map_boolean(&self, column: &str, key: &str) -> Option<bool> {
        self.map_text(column, key).map(|value| value == "true")
    }

    fn mac(&self, column: &str) -> Option<MacAddr> {
        self.text(column)?.parse().ok()
    }
}
