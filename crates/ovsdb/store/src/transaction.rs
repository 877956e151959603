//! A transaction under way: the rows it touches, laid over a database that stays as it is.

use crate::column_refs::RowId;
use crate::columns::Columns;
use crate::database::{Database, Table};
use crate::row::Row;
use model::Uuid;
use std::sync::Arc;

/// In the order of insertion. The hash is fast, and seeded anew in each process, as clients choose keys.
pub type IndexMap<K, V> = indexmap::IndexMap<K, V, hashbrown::DefaultHashBuilder>;

/// A row that the transaction touches.
#[derive(Clone, Debug)]
pub(crate) struct TouchedRow {
    pub(crate) old: Option<Arc<Row>>,
    pub(crate) new: Option<Arc<Row>>,
    /// Strong references of other rows, once the commit has begun.
    pub(crate) strong: i64,
    pub(crate) changed: Columns,
    /// A row that it refers to weakly is deleted.
    pub(crate) lost_target: bool,
}

/// Dropping it aborts it.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    pub(crate) tables: IndexMap<usize, IndexMap<Uuid, TouchedRow>>,
    pub(crate) comment: Option<String>,
}

impl Transaction {
    pub fn new() -> Transaction {
        Transaction::default()
    }

    pub(crate) fn touched(&self, table: usize, uuid: &Uuid) -> Option<&TouchedRow> {
        self.tables.get(&table)?.get(uuid)
    }

    /// The row as the transaction sees it.
    pub(crate) fn row<'a>(
        &'a self,
        database: &'a Database,
        table: usize,
        uuid: &Uuid,
    ) -> Option<&'a Arc<Row>> {
        match self.touched(table, uuid) {
            Some(touched) => touched.new.as_ref(),
            None => database.tables.get(table)?.row(uuid),
        }
    }

    /// Rows of a table as the transaction sees them.
    pub(crate) fn rows<'a>(
        &'a self,
        table_index: usize,
        table: &'a Table,
    ) -> impl Iterator<Item = &'a Arc<Row>> {
        let touched = self.tables.get(&table_index);
        let untouched =
            table.rows.iter().filter(move |(uuid, _)| touched.is_none_or(|t| !t.contains_key(*uuid)));
        let touched = touched.into_iter().flat_map(|t| t.values()).filter_map(|t| t.new.as_ref());
        untouched.map(|(_, entry)| &entry.row).chain(touched)
    }

    /// Whether there is such a row, as the transaction sees it.
    pub fn exists(&self, database: &Database, table: usize, uuid: Uuid) -> bool {
        self.row(database, table, &uuid).is_some()
    }

    /// Whether a row may be inserted under this UUID.
    pub(crate) fn may_insert(&self, database: &Database, table: usize, uuid: &Uuid) -> bool {
        self.touched(table, uuid).is_none()
            && database.tables.get(table).is_some_and(|t| t.row(uuid).is_none())
    }

    pub fn insert(&mut self, table: usize, mut row: Row) {
        row.set_version();
        row.tidy();
        let uuid = row.uuid();
        let touched = TouchedRow {
            old: None,
            new: Some(Arc::new(row)),
            strong: 0,
            changed: Columns::default(),
            lost_target: false,
        };
        self.tables.entry(table).or_default().insert(uuid, touched);
    }

    /// Pulls a row into the transaction, if it exists.
    pub(crate) fn touch(&mut self, database: &Database, id: RowId) -> Option<&mut TouchedRow> {
        let rows = self.tables.entry(id.table).or_default();
        if !rows.contains_key(&id.uuid) {
            let entry = database.tables.get(id.table)?.rows.get(&id.uuid)?;
            let touched = TouchedRow {
                old: Some(entry.row.clone()),
                new: Some(entry.row.clone()),
                strong: i64::try_from(entry.strong).unwrap_or(i64::MAX),
                changed: Columns::default(),
                lost_target: false,
            };
            rows.insert(id.uuid, touched);
        }
        rows.get_mut(&id.uuid)
    }

    /// The row, to be changed in place.
    pub fn modify(&mut self, database: &Database, table: usize, uuid: Uuid) -> Option<&mut Row> {
        let touched = self.touch(database, RowId { table, uuid })?;
        touched.new.as_mut().map(Arc::make_mut)
    }

    pub fn delete(&mut self, database: &Database, table: usize, uuid: Uuid) {
        let Some(touched) = self.touch(database, RowId { table, uuid }) else { return };
        touched.new = None;
        if touched.old.is_none()
            && let Some(rows) = self.tables.get_mut(&table)
        {
            rows.shift_remove(&uuid);
        }
    }

    pub(crate) fn add_comment(&mut self, comment: &str) {
        match &mut self.comment {
            None => self.comment = Some(comment.to_owned()),
            Some(text) => {
                text.push('\n');
                text.push_str(comment);
            }
        }
    }
}
