//! From a transaction to changes: all constraints are checked first, then everything is applied.
//!
//! The order matters, because garbage collection and lost weak references
//! change rows themselves: what changed, strong references, garbage, number of
//! rows, weak references, indexes, versions.

use crate::changes::{Change, Changes};
use crate::column_refs::{ColumnRef, RowId};
use crate::columns::Columns;
use crate::database::{Database, Table};
use crate::row::Row;
use crate::transaction::{TouchedRow, Transaction};
use hashbrown::HashMap;
use model::{ColumnSchema, Datum, Error, Uuid};
use std::sync::Arc;

impl Database {
    /// Checks and applies a transaction whole; after an error nothing has changed.
    pub fn commit(&mut self, transaction: Transaction) -> Result<Changes, Error> {
        let prepared = self.prepare(transaction)?;
        Ok(self.complete(prepared))
    }

    /// The checking half of [`Database::commit`], for callers that write a log in between.
    pub fn prepare(&self, mut transaction: Transaction) -> Result<Prepared, Error> {
        determine_changes(self, &mut transaction);
        let mut commit = Commit { database: self, transaction };
        if !commit.transaction.tables.is_empty() {
            commit.count_references()?;
            commit.collect_garbage();
            commit.check_row_numbers()?;
            commit.assess_weak_references()?;
            commit.check_indexes()?;
        }
        Ok(commit.finish())
    }

    /// The applying half; `prepared` must be of this database as it still stands.
    pub fn complete(&mut self, prepared: Prepared) -> Changes {
        self.apply(&prepared.changes, &prepared.strong);
        prepared.changes
    }
}

/// A transaction that passed all checks.
#[derive(Debug)]
pub struct Prepared {
    pub changes: Changes,
    strong: Vec<(RowId, u64)>,
}

/// Marks the columns that differ, and drops rows that do not.
fn determine_changes(database: &Database, transaction: &mut Transaction) {
    for (table, rows) in &mut transaction.tables {
        let columns = database.tables.get(*table).map_or(0, |t| t.schema.columns.len());
        rows.retain(|_, touched| match (&touched.old, &touched.new) {
            (Some(old), Some(new)) => {
                if Arc::ptr_eq(old, new) {
                    return false;
                }
                touched.changed = old.differences(new);
                !touched.changed.is_empty()
            }
            (None, None) => false,
            _ => {
                touched.changed = Columns::first(columns);
                true
            }
        });
    }
    transaction.tables.retain(|_, rows| !rows.is_empty());
}

struct Commit<'d> {
    database: &'d Database,
    transaction: Transaction,
}

impl<'d> Commit<'d> {
    fn table(&self, index: usize) -> Option<&'d Table> {
        self.database.tables.get(index)
    }

    fn ids(&self) -> Vec<RowId> {
        let tables = self.transaction.tables.iter();
        tables
            .flat_map(|(table, rows)| rows.keys().map(|uuid| RowId { table: *table, uuid: *uuid }))
            .collect()
    }

    fn touched(&self, id: RowId) -> Option<&TouchedRow> {
        self.transaction.touched(id.table, &id.uuid)
    }

    /// Adjusts the numbers of strong references of all rows that are referred to.
    fn count_references(&mut self) -> Result<(), Error> {
        for id in self.ids() {
            let Some(table) = self.table(id.table) else { continue };
            for reference in &table.refs.strong {
                let Some(touched) = self.touched(id) else { continue };
                if !touched.changed.contains(reference.column) {
                    continue;
                }
                let Some(column) = table.schema.columns.get(reference.column) else { continue };
                let value = |row: &Option<Arc<Row>>| {
                    row.as_ref().and_then(|r| r.column(reference.column)).cloned().unwrap_or_default()
                };
                let (old, new) = (value(&touched.old), value(&touched.new));
                let (added, removed) = old.added_removed(&new, &column.r#type);
                self.adjust(id, *reference, column, &removed, -1)?;
                self.adjust(id, *reference, column, &added, 1)?;
            }
        }
        for (table, rows) in &self.transaction.tables {
            let name = self.table(*table).map_or("", |t| t.schema.name.as_str());
            for (uuid, touched) in rows {
                if touched.new.is_none() && touched.strong > 0 {
                    return Err(Error::new(
                        "referential integrity violation",
                        format!(
                            "cannot delete {name} row {uuid} because of {} remaining reference(s)",
                            touched.strong
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    fn adjust(
        &mut self,
        id: RowId,
        reference: ColumnRef,
        column: &ColumnSchema,
        datum: &Datum,
        by: i64,
    ) -> Result<(), Error> {
        for uuid in reference.targets(datum) {
            if uuid == id.uuid {
                // A row does not keep itself alive.
                continue;
            }
            let target = RowId { table: reference.target, uuid };
            match self.transaction.touch(self.database, target) {
                Some(touched) => touched.strong += by,
                None if by < 0 => {}
                None => {
                    let name = |t: usize| self.table(t).map_or("", |t| t.schema.name.as_str());
                    return Err(Error::new(
                        "referential integrity violation",
                        format!(
                            "Table {} column {} row {} references nonexistent row {uuid} in table {}.",
                            name(id.table),
                            column.name,
                            id.uuid,
                            name(reference.target)
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Deletes rows outside the root set that nothing refers to, and then those that only they referred to.
    fn collect_garbage(&mut self) {
        let mut suspects = self.ids();
        while let Some(id) = suspects.pop() {
            let Some(table) = self.table(id.table) else { continue };
            if table.schema.is_root {
                continue;
            }
            let Some(touched) = self.transaction.touch(self.database, id) else { continue };
            if touched.strong > 0 {
                continue;
            }
            let Some(row) = touched.new.take() else { continue };
            for reference in &table.refs.strong {
                let Some(datum) = row.column(reference.column) else { continue };
                for uuid in reference.targets(datum).filter(|uuid| *uuid != id.uuid) {
                    let target = RowId { table: reference.target, uuid };
                    if let Some(touched) = self.transaction.touch(self.database, target) {
                        touched.strong -= 1;
                        suspects.push(target);
                    }
                }
            }
        }
    }

    fn check_row_numbers(&self) -> Result<(), Error> {
        for (index, rows) in &self.transaction.tables {
            let Some(table) = self.table(*index) else { continue };
            let max = table.schema.max_rows;
            if max == u32::MAX {
                continue;
            }
            let inserted = rows.values().filter(|t| t.old.is_none() && t.new.is_some()).count();
            let deleted = rows.values().filter(|t| t.old.is_some() && t.new.is_none()).count();
            let n = (table.len() + inserted).saturating_sub(deleted);
            if n > max as usize {
                return Err(Error::constraint(format!(
                    "transaction causes \"{}\" table to contain {n} rows, greater than the schema-defined limit of {max} row(s)",
                    table.schema.name
                )));
            }
        }
        Ok(())
    }

    /// Takes weak references to rows that are gone out of the rows that have them.
    fn assess_weak_references(&mut self) -> Result<(), Error> {
        for id in self.ids() {
            let Some(touched) = self.touched(id) else { continue };
            if touched.old.is_none() || touched.new.is_some() {
                continue;
            }
            let Some(sources) = self.table(id.table).and_then(|t| t.weak_from.get(&id.uuid)) else {
                continue;
            };
            for source in sources.keys() {
                if let Some(touched) = self.transaction.touch(self.database, *source) {
                    touched.lost_target = true;
                }
            }
        }
        for id in self.ids() {
            let Some(table) = self.table(id.table) else { continue };
            for reference in &table.refs.weak {
                self.assess_column(id, table, *reference)?;
            }
        }
        Ok(())
    }

    fn assess_column(&mut self, id: RowId, table: &Table, reference: ColumnRef) -> Result<(), Error> {
        let Some(touched) = self.touched(id) else { return Ok(()) };
        if !touched.lost_target && !touched.changed.contains(reference.column) {
            return Ok(());
        }
        let Some(column) = table.schema.columns.get(reference.column) else { return Ok(()) };
        let Some(row) = &touched.new else { return Ok(()) };
        let Some(value) = row.column(reference.column).filter(|value| !value.is_empty()) else {
            return Ok(());
        };
        let mut rest = value.clone();
        let mut zero = false;
        rest.retain(|key, value| {
            let Some(uuid) = reference.target_of(key, value) else { return true };
            let exists = self.transaction.row(self.database, reference.target, &uuid).is_some();
            zero |= !exists && uuid.is_nil();
            exists
        });
        let lost = value.len() - rest.len();
        if lost == 0 {
            return Ok(());
        }
        let inserted = touched.old.is_none();
        if rest.len() < column.r#type.min as usize {
            return Err(Error::constraint(weak_error(table, column, id.uuid, lost, inserted, zero)));
        }
        let Some(touched) = self.transaction.touch(self.database, id) else { return Ok(()) };
        touched.changed.insert(reference.column);
        if let Some(row) = &mut touched.new {
            Arc::make_mut(row).set(reference.column, rest);
        }
        Ok(())
    }

    fn check_indexes(&self) -> Result<(), Error> {
        for (table_index, rows) in &self.transaction.tables {
            let Some(table) = self.table(*table_index) else { continue };
            for (index, columns) in table.indexes.iter().zip(&table.schema.indexes) {
                let mut seen: HashMap<Vec<Datum>, Uuid> = HashMap::new();
                let is_alone = rows.len() == 1;
                for (uuid, touched) in rows {
                    let Some(new) = &touched.new else { continue };
                    if is_alone && touched.old.is_some() && !touched.changed.contains_any(columns) {
                        continue;
                    }
                    let key = new.key(columns);
                    let twin =
                        seen.get(&key).or_else(|| index.get(&key).filter(|twin| !rows.contains_key(*twin)));
                    if let Some(twin) = twin {
                        return Err(self.duplicate(*table_index, table, columns, *twin, *uuid));
                    }
                    if !is_alone {
                        seen.insert(key, *uuid);
                    }
                }
            }
        }
        Ok(())
    }

    fn duplicate(&self, index: usize, table: &Table, columns: &[usize], a: Uuid, b: Uuid) -> Error {
        let row = |uuid: &Uuid| self.transaction.row(self.database, index, uuid);
        let (Some(row_a), Some(row_b)) = (row(&a), row(&b)) else {
            return Error::constraint("index violation");
        };
        let (first, second) = if comparable_order(table, row_a, row_b).is_lt() { (b, a) } else { (a, b) };
        let describe = |uuid: Uuid, title: &str| {
            format!("{title} row, with UUID {uuid}, {}", self.story(index, table, columns, uuid))
        };
        Error::constraint(format!(
            "Transaction causes multiple rows in \"{}\" table to have identical values ({}) for index on {}.  {}  {}",
            table.schema.name,
            row_text(table, columns, row_a),
            table.schema.columns_english(columns),
            describe(first, "First"),
            describe(second, "Second"),
        ))
    }

    /// What happened to one of two rows with equal keys.
    fn story(&self, index: usize, table: &Table, columns: &[usize], uuid: Uuid) -> String {
        let unmodified =
            "existed in the database before this transaction and was not modified by the transaction.";
        let Some(touched) = self.transaction.touched(index, &uuid) else { return unmodified.to_owned() };
        if touched.changed.is_empty() {
            return unmodified.to_owned();
        }
        let Some(old) = &touched.old else { return "was inserted by this transaction.".to_owned() };
        if !touched.changed.contains_any(columns) {
            return "existed in the database before this transaction, which modified some of the row's columns \
                    but not any columns in this index."
                .to_owned();
        }
        format!("had the following index values before the transaction: {}.", row_text(table, columns, old))
    }

    /// Gives changed rows their new versions and sorts out what is left.
    fn finish(self) -> Prepared {
        let mut changes = Changes { tables: Vec::new(), comment: self.transaction.comment };
        let mut strong = Vec::new();
        for (table, rows) in self.transaction.tables {
            let mut list = Vec::with_capacity(rows.len());
            for (uuid, mut touched) in rows {
                if touched.new.is_some() {
                    let count = u64::try_from(touched.strong).unwrap_or(0);
                    strong.push((RowId { table, uuid }, count));
                }
                let modified = touched.old.is_some() && touched.new.is_some();
                if (modified && touched.changed.is_empty())
                    || (touched.old.is_none() && touched.new.is_none())
                {
                    continue;
                }
                if modified {
                    touched.changed.insert(model::schema::VERSION_COLUMN);
                    if let Some(new) = &mut touched.new {
                        let new = Arc::make_mut(new);
                        new.set_version();
                        new.tidy();
                    }
                }
                list.push(Change { uuid, old: touched.old, new: touched.new, changed: touched.changed });
            }
            if !list.is_empty() {
                changes.tables.push((table, list));
            }
        }
        Prepared { changes, strong }
    }
}

fn weak_error(
    table: &Table,
    column: &ColumnSchema,
    uuid: Uuid,
    lost: usize,
    inserted: bool,
    zero: bool,
) -> String {
    let (column, table) = (&column.name, &table.schema.name);
    if zero && inserted {
        return format!(
            "Weak reference column \"{column}\" in \"{table}\" row {uuid} (inserted within this transaction) \
             contained all-zeros UUID (probably as the default value for this column) but deleting this value \
             caused a constraint volation because this column is not allowed to be empty."
        );
    }
    let when = if inserted { "(inserted within this transaction) " } else { "" };
    format!(
        "Deletion of {lost} weak reference(s) to deleted (or never-existing) rows from column \"{column}\" in \
         \"{table}\" row {uuid} {when}caused this column to become empty, but constraints on this column disallow \
         an empty column."
    )
}

/// "1, "xyz", and [1, 2, 3]".
fn row_text(table: &Table, columns: &[usize], row: &Row) -> String {
    let total = columns.len();
    let mut text = String::new();
    for (i, column) in columns.iter().enumerate() {
        text.push_str(match i {
            0 => "",
            _ if i < total - 1 => ", ",
            _ if total > 2 => ", and ",
            _ => " and ",
        });
        if let (Some(schema), Some(value)) = (table.schema.columns.get(*column), row.column(*column)) {
            text.push_str(&value.to_text(&schema.r#type));
        }
    }
    text
}

/// An order that does not depend on UUIDs, which are random.
fn comparable_order(table: &Table, a: &Row, b: &Row) -> std::cmp::Ordering {
    let mut columns: Vec<&ColumnSchema> = table.schema.columns.iter().collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    let is_uuid = |c: &ColumnSchema| {
        c.r#type.key.kind == model::AtomType::Uuid
            || c.r#type.value.as_ref().is_some_and(|v| v.kind == model::AtomType::Uuid)
    };
    for column in columns.into_iter().filter(|c| !is_uuid(c)) {
        if let (Some(a), Some(b)) = (a.column(column.index), b.column(column.index)) {
            let order = a.compare(b);
            if order.is_ne() {
                return order;
            }
        }
    }
    std::cmp::Ordering::Equal
}
