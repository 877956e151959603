//! The rows of a database as they stand after the last commit.
//!
//! Rows are shared and never change: a commit puts new ones in their place. So
//! a [`Database::snapshot`] costs a pointer a row, whatever it is used for.

use crate::changes::Changes;
use crate::column_refs::{RowId, TableRefs};
use crate::row::Row;
use hashbrown::HashMap;
use model::{Datum, Schema, TableSchema, Uuid};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) row: Arc<Row>,
    /// How many strong references of other rows there are.
    pub(crate) strong: u64,
}

/// One table.
#[derive(Clone, Debug)]
pub struct Table {
    pub schema: Arc<TableSchema>,
    pub(crate) rows: HashMap<Uuid, Entry>,
    /// For each index of the schema, the row that has given values.
    pub(crate) indexes: Vec<HashMap<Vec<Datum>, Uuid>>,
    /// Which columns refer to which tables.
    pub(crate) refs: TableRefs,
    /// For rows of this table: the rows that refer to them weakly, and how often.
    pub(crate) weak_from: HashMap<Uuid, HashMap<RowId, u32>>,
}

impl Table {
    pub fn row(&self, uuid: &Uuid) -> Option<&Arc<Row>> {
        self.rows.get(uuid).map(|entry| &entry.row)
    }

    /// All rows, in no particular order.
    pub fn rows(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.rows.values().map(|entry| &entry.row)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The tables of a database, by number in the order of the schema.
#[derive(Clone, Debug)]
pub struct Database {
    pub schema: Arc<Schema>,
    pub tables: Vec<Table>,
}

impl Database {
    /// An empty one.
    pub fn new(schema: Arc<Schema>) -> Database {
        let tables = schema
            .tables
            .values()
            .map(|table| Table {
                schema: table.clone(),
                rows: HashMap::new(),
                indexes: vec![HashMap::new(); table.indexes.len()],
                refs: TableRefs::of(table, &schema),
                weak_from: HashMap::new(),
            })
            .collect();
        Database { schema, tables }
    }

    pub fn name(&self) -> &str {
        &self.schema.name
    }

    pub fn table_index(&self, name: &str) -> Option<usize> {
        self.schema.tables.get_index_of(name)
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(self.table_index(name)?)
    }

    /// The rows as they stand, for another thread to write out.
    pub fn snapshot(&self) -> Snapshot {
        let rows = |table: &Table| table.rows().cloned().collect();
        Snapshot { schema: self.schema.clone(), rows: self.tables.iter().map(rows).collect() }
    }

    /// How many atoms all rows hold, a measure of the database's size.
    pub fn count_atoms(&self) -> usize {
        let entries = |d: &Datum| d.atoms().len() + 2 * d.pairs().len();
        let row = |row: &Arc<Row>| row.values().map(entries).sum::<usize>();
        self.tables.iter().flat_map(Table::rows).map(row).sum()
    }

    pub(crate) fn apply(&mut self, changes: &Changes, strong: &[(RowId, u64)]) {
        for (table_index, rows) in &changes.tables {
            for change in rows {
                self.apply_weak(*table_index, change);
            }
            let Some(table) = self.tables.get_mut(*table_index) else { continue };
            // All old keys go before any new one comes: rows may have swapped theirs.
            for change in rows {
                if let Some(old) = &change.old {
                    table.forget_keys(old, change);
                }
            }
            for change in rows {
                match &change.new {
                    None => drop(table.rows.remove(&change.uuid)),
                    Some(new) => {
                        table.remember_keys(new, change);
                        table
                            .rows
                            .entry(change.uuid)
                            .and_modify(|entry| entry.row = new.clone())
                            .or_insert_with(|| Entry { row: new.clone(), strong: 0 });
                    }
                }
            }
        }
        for (row, count) in strong {
            let table = self.tables.get_mut(row.table);
            if let Some(entry) = table.and_then(|table| table.rows.get_mut(&row.uuid)) {
                entry.strong = *count;
            }
        }
    }
}

impl Table {
    fn index_changed(&self, index: usize, change: &crate::Change) -> bool {
        let columns = self.schema.indexes.get(index);
        columns.is_some_and(|columns| change.changed.contains_any(columns))
            || change.new.is_none()
            || change.old.is_none()
    }

    fn forget_keys(&mut self, row: &Row, change: &crate::Change) {
        for i in 0..self.indexes.len() {
            if self.index_changed(i, change)
                && let (Some(index), Some(columns)) = (self.indexes.get_mut(i), self.schema.indexes.get(i))
            {
                index.remove(&row.key(columns));
            }
        }
    }

    fn remember_keys(&mut self, row: &Row, change: &crate::Change) {
        for i in 0..self.indexes.len() {
            if self.index_changed(i, change)
                && let (Some(index), Some(columns)) = (self.indexes.get_mut(i), self.schema.indexes.get(i))
            {
                index.insert(row.key(columns), change.uuid);
            }
        }
    }
}

/// All rows at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub schema: Arc<Schema>,
    pub rows: Vec<Vec<Arc<Row>>>,
}
