//! Writing status to rows.

use model::{Atom, Datum};
use replica::{Row, Transaction};

/// Collects the columns that differ from what the database has.
pub(crate) struct Writer {
    pub transaction: Transaction,
}

impl Writer {
    /// Sets columns of `row`, those that differ.
    pub(crate) fn write(&mut self, table: &str, row: &Row, columns: Vec<(&str, Datum)>) {
        for (name, value) in columns {
            if row.schema.column(name).is_some() && *row.get(name) != value {
                self.transaction.set(table, &row.uuid, name, value);
            }
        }
    }
}

/// A map of strings.
pub(crate) fn texts(pairs: impl IntoIterator<Item = (String, String)>) -> Datum {
    Datum::map(pairs.into_iter().map(|(key, value)| (Atom::from(key), Atom::from(value))))
}

/// A map of strings to numbers.
pub(crate) fn pairs(values: impl IntoIterator<Item = (String, u64)>) -> Datum {
    let atom = |value| Atom::from(i64::try_from(value).unwrap_or(i64::MAX));
    Datum::map(values.into_iter().map(|(name, value)| (Atom::from(name), atom(value))))
}
