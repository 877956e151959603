//! What a committed transaction did, row by row.

use crate::columns::Columns;
use crate::row::Row;
use model::Uuid;
use std::sync::Arc;

/// One row: inserted (no `old`), deleted (no `new`) or modified.
#[derive(Clone, Debug)]
pub struct Change {
    pub uuid: Uuid,
    pub old: Option<Arc<Row>>,
    pub new: Option<Arc<Row>>,
    /// The columns that differ; for inserted and deleted rows all of them.
    pub changed: Columns,
}

/// The rows that changed, by number of their table.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub tables: Vec<(usize, Vec<Change>)>,
    /// The comments of the transaction, joined by line ends.
    pub comment: Option<String>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub fn of_table(&self, table: usize) -> &[Change] {
        self.tables.iter().find(|(t, _)| *t == table).map_or(&[], |(_, changes)| changes)
    }
}
