//! A transaction under construction: a copy of the tables, changed at will, whose difference is sent.

use crate::tables::{Row, Table, Tables};
use indexmap::{IndexMap, IndexSet};
use model::{Atom, Datum, Json, Uuid};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// There was nothing to do.
    Unchanged,
    /// It was committed.
    Success {
        /// For each row inserted, by its provisional UUID, the one it got.
        inserted: HashMap<Uuid, Uuid>,
        /// The new value of the incremented column.
        incremented: Option<i64>,
    },
    /// What was verified has changed, or the connection was lost: build it anew.
    TryAgain,
    /// The lock is not ours.
    NotLocked,
    /// The server's `<error>` as JSON.
    Error(String),
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Transaction {
    original: Tables,
    tables: Tables,
    inserted: IndexMap<Uuid, String>,
    /// Rows whose UUID is not provisional.
    persistent: IndexSet<Uuid>,
    deleted: IndexSet<(String, Uuid)>,
    modified: IndexSet<(String, Uuid)>,
    /// Columns of which only what came and went is sent: by row, the columns' numbers.
    merged: IndexMap<(String, Uuid), IndexSet<usize>>,
    /// Columns that must not have changed: by row, the columns' numbers.
    verified: IndexMap<(String, Uuid), IndexSet<usize>>,
    increment: Option<(String, Uuid, String)>,
    comments: Vec<String>,
    /// Where in the results the inserts and the increment are.
    insert_results: Vec<(usize, Uuid)>,
    increment_result: Option<usize>,
    /// Not committed at the end, only checked.
    pub dry_run: bool,
}

impl Transaction {
    /// A transaction that changes nothing yet, over a copy of `tables`.
    pub fn new(tables: &Tables) -> Transaction {
        Transaction {
            original: tables.clone(),
            tables: tables.clone(),
            inserted: IndexMap::new(),
            persistent: IndexSet::new(),
            deleted: IndexSet::new(),
            modified: IndexSet::new(),
            merged: IndexMap::new(),
            verified: IndexMap::new(),
            increment: None,
            comments: Vec::new(),
            insert_results: Vec::new(),
            increment_result: None,
            dry_run: false,
        }
    }

    /// The tables as the transaction has them.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The table as the transaction leaves it.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.table(name)
    }

    /// The row as the transaction leaves it.
    pub fn row(&self, table: &str, uuid: &Uuid) -> Option<&Arc<Row>> {
        self.tables.row(table, uuid)
    }

    /// All rows of a table as the transaction leaves them.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = &Arc<Row>> {
        self.tables.rows(table)
    }

    /// Inserts a row under a provisional UUID, by which other rows may refer to it at once.
    pub fn insert(&mut self, table: &str) -> Uuid {
        self.insert_as(table, Uuid::new_v4())
    }

    /// Inserts a row under this provisional UUID, which other rows may refer to already.
    pub fn insert_as(&mut self, table: &str, uuid: Uuid) -> Uuid {
        if let Some(rows) = self.tables.table_mut(table) {
            let row = Row::new(uuid, &rows.schema);
            rows.rows.insert(uuid, Arc::new(row));
            self.inserted.insert(uuid, table.to_owned());
        }
        uuid
    }

    /// Inserts a row that is to have this very UUID.
    pub fn insert_with_uuid(&mut self, table: &str, uuid: Uuid) -> Uuid {
        self.persistent.insert(uuid);
        self.insert_as(table, uuid)
    }

    /// Whether the UUID of a row is provisional.
    fn is_named(&self, uuid: &Uuid) -> bool {
        self.inserted.contains_key(uuid) && !self.persistent.contains(uuid)
    }

    /// Whether the row is one that this transaction inserts.
    pub fn is_inserted(&self, uuid: &Uuid) -> bool {
        self.inserted.contains_key(uuid)
    }

    /// Deletes a row.
    pub fn delete(&mut self, table: &str, uuid: &Uuid) {
        if let Some(rows) = self.tables.table_mut(table) {
            rows.rows.shift_remove(uuid);
        }
        if self.inserted.shift_remove(uuid).is_none() {
            self.deleted.insert((table.to_owned(), *uuid));
        }
    }

    /// Gives a column a value. Columns that the database lacks are passed over.
    pub fn set(&mut self, table: &str, uuid: &Uuid, column: &str, value: impl Into<Datum>) {
        let Some(rows) = self.tables.table_mut(table) else { return };
        let Some(index) = rows.schema.column(column).map(|c| c.index) else { return };
        let Some(row) = rows.rows.get_mut(uuid) else { return };
        if let Some(slot) = Arc::make_mut(row).columns.get_mut(index) {
            *slot = value.into();
        }
        if !self.inserted.contains_key(uuid) {
            let key = (table.to_owned(), *uuid);
            if let Some(merged) = self.merged.get_mut(&key) {
                merged.shift_remove(&index);
            }
            self.modified.insert(key);
        }
    }

    /// Like [`Transaction::set`], but only the entries that come and go by it are sent, so that what others
    /// do to the column at the same time stays. A column that was set before is still told whole.
    pub fn merge(&mut self, table: &str, uuid: &Uuid, column: &str, value: impl Into<Datum>) {
        let schema = self.tables.table(table).and_then(|t| t.schema.column(column));
        let Some((index, max)) = schema.map(|c| (c.index, c.r#type.max)) else { return };
        if max == 1 {
            // There is no room for others.
            return self.set(table, uuid, column, value);
        }
        let key = (table.to_owned(), *uuid);
        let is_merged = self.merged.get(&key).is_some_and(|merged| merged.contains(&index));
        let old = |tables: &Tables| tables.row(table, uuid).and_then(|row| row.columns.get(index).cloned());
        let untouched = old(&self.tables) == old(&self.original);
        self.set(table, uuid, column, value);
        if (is_merged || untouched) && !self.inserted.contains_key(uuid) {
            self.merged.entry(key).or_default().insert(index);
        }
    }

    /// Sets a key of a map of strings, or removes it.
    pub fn set_key(&mut self, table: &str, uuid: &Uuid, column: &str, key: &str, value: Option<&str>) {
        let Some(row) = self.row(table, uuid) else { return };
        let old = row.get(column).pairs().iter().filter(|(k, _)| k.as_str() != Some(key)).cloned();
        let new = value.map(|value| (Atom::from(key), Atom::from(value)));
        let map = Datum::map(old.chain(new));
        self.set(table, uuid, column, map);
    }

    /// The transaction fails with [`Outcome::TryAgain`] when the column is not any more as it is in the copy.
    pub fn verify(&mut self, table: &str, uuid: &Uuid, column: &str) {
        if self.inserted.contains_key(uuid) {
            return;
        }
        if let Some(column) = self.original.table(table).and_then(|t| t.schema.column(column)) {
            self.verified.entry((table.to_owned(), *uuid)).or_default().insert(column.index);
        }
    }

    /// Adds one to an integer column when the rest is done, if there is a rest; the outcome tells the result.
    pub fn increment(&mut self, table: &str, uuid: &Uuid, column: &str) {
        self.increment = Some((table.to_owned(), *uuid, column.to_owned()));
    }

    /// Adds a line to the comment that the server's log keeps with the transaction.
    pub fn comment(&mut self, text: &str) {
        self.comments.push(text.to_owned());
    }

    fn row_ref(&self, uuid: &Uuid) -> Json {
        if self.is_named(uuid) {
            json!(["named-uuid", model::row_name(uuid)])
        } else {
            json!(["uuid", uuid.to_string()])
        }
    }

    /// A value in JSON, with rows that are inserted by name.
    fn value(&self, value: &Datum, is_map: bool) -> Json {
        let mut json = value.to_json(is_map);
        if !self.inserted.is_empty() {
            self.rename(&mut json);
        }
        json
    }

    fn rename(&self, json: &mut Json) {
        let Some(items) = json.as_array_mut() else { return };
        if let [Value::String(tag), Value::String(text)] = items.as_mut_slice() {
            if tag == "uuid"
                && let Some(uuid) = model::parse_uuid(text).filter(|u| self.is_named(u))
            {
                *tag = "named-uuid".to_owned();
                *text = model::row_name(&uuid);
            }
            return;
        }
        items.iter_mut().for_each(|item| self.rename(item));
    }

    fn condition(uuid: &Uuid) -> Json {
        json!([["_uuid", "==", ["uuid", uuid.to_string()]]])
    }

    /// The operations to send; `None` when there is nothing to do.
    pub(crate) fn operations(&mut self, lock: Option<&str>) -> Option<Vec<Json>> {
        let mut operations = Vec::new();
        if let Some(lock) = lock {
            operations.push(json!({"op": "assert", "lock": lock}));
        }
        self.push_waits(&mut operations);
        let fixed = operations.len();
        for (table, uuid) in &self.deleted {
            operations.push(json!({"op": "delete", "table": table, "where": Self::condition(uuid)}));
        }
        for (table, uuid) in &self.modified {
            if let Some(row) = self.changed_columns(table, uuid) {
                let condition = Self::condition(uuid);
                operations.push(json!({"op": "update", "table": table, "where": condition, "row": row}));
            }
            let mutations = self.mutations(table, uuid);
            if !mutations.is_empty() {
                let condition = Self::condition(uuid);
                operations.push(
                    json!({"op": "mutate", "table": table, "where": condition, "mutations": mutations}),
                );
            }
        }
        let mut insert_results = Vec::new();
        for (uuid, table) in &self.inserted {
            insert_results.push((operations.len(), *uuid));
            let row = self.inserted_columns(table, uuid);
            let mut operation = json!({"op": "insert", "table": table, "row": row});
            if let Some(object) = operation.as_object_mut() {
                if self.persistent.contains(uuid) {
                    object.insert("uuid".to_owned(), Json::from(uuid.to_string()));
                } else {
                    object.insert("uuid-name".to_owned(), Json::from(model::row_name(uuid)));
                }
            }
            operations.push(operation);
        }
        self.insert_results = insert_results;
        if operations.len() == fixed {
            return None;
        }
        if let Some((table, uuid, column)) = &self.increment {
            let condition = json!([["_uuid", "==", self.row_ref(uuid)]]);
            operations.push(json!({
                "op": "mutate", "table": table, "where": condition, "mutations": [[column, "+=", 1]]
            }));
            self.increment_result = Some(operations.len());
            operations.push(json!({"op": "select", "table": table, "where": condition, "columns": [column]}));
        }
        if !self.comments.is_empty() {
            operations.push(json!({"op": "comment", "comment": self.comments.join("\n")}));
        }
        if self.dry_run {
            operations.push(json!({"op": "abort"}));
        }
        Some(operations)
    }

    fn push_waits(&self, operations: &mut Vec<Json>) {
        for ((table, uuid), columns) in &self.verified {
            let Some(row) = self.original.row(table, uuid) else { continue };
            let (mut names, mut values) = (Vec::new(), Map::new());
            for index in columns {
                if let (Some(schema), Some(value)) = (row.schema.columns.get(*index), row.columns.get(*index))
                {
                    names.push(Json::from(schema.name.as_str()));
                    values.insert(schema.name.clone(), value.to_json(schema.r#type.is_map()));
                }
            }
            operations.push(json!({
                "op": "wait", "table": table, "timeout": 0, "where": Self::condition(uuid),
                "columns": names, "until": "==", "rows": [values]
            }));
        }
    }

    fn changed_columns(&self, table: &str, uuid: &Uuid) -> Option<Json> {
        let new = self.tables.row(table, uuid)?;
        let old = self.original.row(table, uuid)?;
        let mut row = Map::new();
        let merged = self.merged.get(&(table.to_owned(), *uuid));
        for (schema, (old, new)) in new.schema.columns.iter().zip(old.columns.iter().zip(&new.columns)) {
            if old != new && !merged.is_some_and(|merged| merged.contains(&schema.index)) {
                row.insert(schema.name.clone(), self.value(new, schema.r#type.is_map()));
            }
        }
        (!row.is_empty()).then_some(Value::Object(row))
    }

    /// What came and went in the columns that are merged. A key whose value changes goes and comes.
    fn mutations(&self, table: &str, uuid: &Uuid) -> Vec<Json> {
        let mut mutations = Vec::new();
        let merged = self.merged.get(&(table.to_owned(), *uuid));
        let (Some(old), Some(new)) = (self.original.row(table, uuid), self.tables.row(table, uuid)) else {
            return mutations;
        };
        for index in merged.into_iter().flatten() {
            let (Some(schema), Some(old), Some(new)) =
                (new.schema.columns.get(*index), old.columns.get(*index), new.columns.get(*index))
            else {
                continue;
            };
            let (come, gone) = old.added_removed(new, &schema.r#type);
            let keys = Datum::set(gone.keys().chain(come.keys().filter(|_| schema.r#type.is_map())).cloned());
            let is_map = schema.r#type.is_map();
            let delete = json!([schema.name, "delete", self.value(&keys, false)]);
            let insert = json!([schema.name, "insert", self.value(&come, is_map)]);
            // A set that may not be empty gets before it gives; a map keeps old values of keys it has.
            let both = [(delete, !keys.is_empty()), (insert, !come.is_empty())];
            let wanted = |(mutation, wanted): (Json, bool)| wanted.then_some(mutation);
            if is_map {
                mutations.extend(both.into_iter().filter_map(wanted));
            } else {
                mutations.extend(both.into_iter().rev().filter_map(wanted));
            }
        }
        mutations
    }

    fn inserted_columns(&self, table: &str, uuid: &Uuid) -> Json {
        let mut columns = Map::new();
        if let Some(row) = self.tables.row(table, uuid) {
            for (schema, value) in row.schema.columns.iter().zip(&row.columns).skip(2) {
                if !value.is_default(&schema.r#type) {
                    columns.insert(schema.name.clone(), self.value(value, schema.r#type.is_map()));
                }
            }
        }
        Value::Object(columns)
    }

    /// What the results of the operations mean.
    pub(crate) fn outcome(&self, results: &Json) -> Outcome {
        let Some(results) = results.as_array() else {
            return Outcome::Error(model::json::sorted(results));
        };
        for result in results {
            match result.get("error").and_then(Value::as_str) {
                None => {}
                Some("timed out") => return Outcome::TryAgain,
                Some("not owner") => return Outcome::NotLocked,
                Some("aborted") if self.dry_run => {}
                Some(_) => return Outcome::Error(model::json::sorted(result)),
            }
        }
        let uuid = |at: usize| {
            let text = results.get(at)?.get("uuid")?.get(1)?.as_str()?;
            model::parse_uuid(text)
        };
        let inserted =
            self.insert_results.iter().filter_map(|(at, temporary)| Some((*temporary, uuid(*at)?))).collect();
        let incremented = self.increment_result.and_then(|at| {
            let column = &self.increment.as_ref()?.2;
            model::number::integer(results.get(at)?.get("rows")?.get(0)?.get(column)?)
        });
        Outcome::Success { inserted, incremented }
    }
}
