//! Which columns refer to rows of which tables.

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
