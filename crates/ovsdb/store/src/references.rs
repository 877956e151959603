//! Which columns refer to rows of which tables, and the bookkeeping of weak references.

use crate::changes::Change;
use crate::database::Database;
use crate::row::Row;
use hashbrown::HashMap;
use model::{Atom, Datum, RefKind, Schema, TableSchema, Uuid};

/// A row, by number of its table and by UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowId {
    pub(crate) table: usize,
    pub(crate) uuid: Uuid,
}

/// One column, whose keys or values refer to rows of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnRef {
    pub(crate) column: usize,
    pub(crate) target: usize,
    /// The values of a map refer, rather than the keys.
    pub(crate) by_value: bool,
}

impl ColumnRef {
    /// The rows that a value of this column refers to.
    pub(crate) fn targets(self, datum: &Datum) -> impl Iterator<Item = Uuid> {
        datum
            .entries()
            .filter_map(move |(key, value)| if self.by_value { value } else { Some(key) }?.as_uuid())
    }

    /// The row that one entry refers to.
    pub(crate) fn target_of(self, key: &Atom, value: Option<&Atom>) -> Option<Uuid> {
        if self.by_value { value?.as_uuid() } else { key.as_uuid() }
    }
}

/// All references of a table's columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableRefs {
    pub(crate) strong: Vec<ColumnRef>,
    pub(crate) weak: Vec<ColumnRef>,
}

impl TableRefs {
    pub(crate) fn of(table: &TableSchema, schema: &Schema) -> TableRefs {
        let mut refs = TableRefs::default();
        for column in &table.columns {
            let bases = [(Some(&column.r#type.key), false), (column.r#type.value.as_ref(), true)];
            for (base, by_value) in bases {
                let Some((target, kind)) = base.and_then(|b| b.reference()) else { continue };
                let Some(target) = schema.tables.get_index_of(target) else { continue };
                let reference = ColumnRef { column: column.index, target, by_value };
                match kind {
                    RefKind::Strong => refs.strong.push(reference),
                    RefKind::Weak => refs.weak.push(reference),
                }
            }
        }
        refs
    }
}

impl Database {
    /// Keeps `weak_from` true for one change.
    pub(crate) fn apply_weak(&mut self, table: usize, change: &Change) {
        let refs = match self.tables.get(table) {
            Some(t) if !t.refs.weak.is_empty() => t.refs.weak.clone(),
            _ => return,
        };
        let source = RowId { table, uuid: change.uuid };
        for reference in refs {
            if !change.changed.contains(reference.column) && change.old.is_some() && change.new.is_some() {
                continue;
            }
            let targets = |row: &Row| {
                row.column(reference.column).map_or(Vec::new(), |datum| reference.targets(datum).collect())
            };
            let Some(target) = self.tables.get_mut(reference.target) else { continue };
            for uuid in change.old.as_deref().map(targets).unwrap_or_default() {
                forget(&mut target.weak_from, uuid, source);
            }
            for uuid in change.new.as_deref().map(targets).unwrap_or_default() {
                *target.weak_from.entry(uuid).or_default().entry(source).or_insert(0) += 1;
            }
        }
    }
}

fn forget(weak_from: &mut HashMap<Uuid, HashMap<RowId, u32>>, uuid: Uuid, source: RowId) {
    let Some(sources) = weak_from.get_mut(&uuid) else { return };
    if let Some(count) = sources.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            sources.remove(&source);
        }
    }
    if sources.is_empty() {
        weak_from.remove(&uuid);
    }
}
