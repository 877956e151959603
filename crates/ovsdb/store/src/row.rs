//! One row: a value per column, of which only those are kept that are not as a new row has them.
//!
//! Most columns of most rows hold defaults. What is kept is in the order of the
//! columns, and a bitmap has a bit for each of those columns.

use crate::columns::Columns;
use model::schema::{UUID_COLUMN, VERSION_COLUMN};
use model::{Atom, Datum, TableSchema, Uuid};
use std::sync::Arc;

/// See the module's text. The first two columns are `_uuid` and `_version`.
#[derive(Clone, Debug)]
pub struct Row {
    defaults: Arc<[Datum]>,
    kept: Columns,
    values: Vec<Datum>,
}

impl Row {
    /// A row whose columns hold what the schema says they hold when never set.
    pub fn new(schema: &TableSchema, uuid: Uuid) -> Row {
        let mut row = Row {
            defaults: schema.defaults.clone(),
            kept: Columns::default(),
            values: Vec::with_capacity(2),
        };
        row.set(UUID_COLUMN, Datum::One(Atom::Uuid(uuid)));
        row
    }

    pub fn uuid(&self) -> Uuid {
        self.column(UUID_COLUMN).and_then(Datum::one).and_then(Atom::as_uuid).unwrap_or_default()
    }

    /// The value of a column; `None` where there is no such column.
    pub fn column(&self, index: usize) -> Option<&Datum> {
        if self.kept.contains(index) {
            return self.values.get(self.kept.rank(index));
        }
        self.defaults.get(index)
    }

    /// The value of a column that may not hold its default.
    pub fn kept_column(&self, index: usize) -> Option<&Datum> {
        self.kept.contains(index).then(|| self.values.get(self.kept.rank(index)))?
    }

    /// All columns that may not hold their defaults, by number.
    pub fn kept(&self) -> impl Iterator<Item = (usize, &Datum)> {
        self.kept.iter().zip(&self.values)
    }

    /// The value of every column.
    pub fn values(&self) -> impl Iterator<Item = &Datum> {
        (0..self.defaults.len()).filter_map(|index| self.column(index))
    }

    /// Gives a column a value. Columns that are not there are left alone.
    pub fn set(&mut self, index: usize, value: Datum) {
        if let Some(slot) = self.column_mut(index) {
            *slot = value;
        }
    }

    /// A column's value, to be changed in place.
    pub fn column_mut(&mut self, index: usize) -> Option<&mut Datum> {
        let rank = self.kept.rank(index);
        if !self.kept.contains(index) {
            let default = self.defaults.get(index)?.clone();
            self.kept.insert(index);
            self.values.insert(rank, default);
        }
        self.values.get_mut(rank)
    }

    /// The columns in which two rows of a table differ.
    pub fn differences(&self, other: &Row) -> Columns {
        let mut differences = Columns::default();
        for index in self.kept.iter().chain(other.kept.iter()) {
            if self.column(index) != other.column(index) {
                differences.insert(index);
            }
        }
        differences
    }

    /// Forgets what is kept without need, before the row is kept for long.
    pub(crate) fn tidy(&mut self) {
        let is_default = |(index, value): (usize, &Datum)| self.defaults.get(index) == Some(value);
        if self.kept().any(is_default) {
            let stays: Vec<(usize, Datum)> = self
                .kept()
                .filter(|entry| !is_default(*entry))
                .map(|(index, value)| (index, value.clone()))
                .collect();
            self.kept = Columns::default();
            stays.iter().for_each(|(index, _)| self.kept.insert(*index));
            self.values = stays.into_iter().map(|(_, value)| value).collect();
        }
        self.values.shrink_to_fit();
    }

    pub(crate) fn key(&self, index: &[usize]) -> Vec<Datum> {
        index.iter().map(|c| self.column(*c).cloned().unwrap_or_default()).collect()
    }

    pub(crate) fn set_version(&mut self) {
        self.set(VERSION_COLUMN, Datum::One(Atom::Uuid(model::fresh_uuid())));
    }
}
