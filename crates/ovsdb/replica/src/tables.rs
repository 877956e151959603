//! The copy itself: tables of rows, by name and UUID, and what changed in them.

use indexmap::IndexMap;
use model::{ColumnSchema, Datum, Error, Json, Schema, TableSchema, Uuid};
use serde_json::{Map, Value};
use std::sync::Arc;

/// One row. Columns that are not monitored hold defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The row's `_uuid`.
    pub uuid: Uuid,
    /// The schema of its table.
    pub schema: Arc<TableSchema>,
    /// By number, as in the schema.
    pub columns: Vec<Datum>,
}

static EMPTY: Datum = Datum::Empty;

impl Row {
    pub(crate) fn new(uuid: Uuid, schema: &Arc<TableSchema>) -> Row {
        let mut columns: Vec<Datum> = schema.columns.iter().map(|c| c.r#type.default_datum()).collect();
        if let Some(slot) = columns.first_mut() {
            *slot = Datum::from(uuid);
        }
        Row { uuid, schema: schema.clone(), columns }
    }

    /// The value of a column; nothing where the database has no such column.
    pub fn get(&self, column: &str) -> &Datum {
        let index = self.schema.column(column).map(|c| c.index);
        index.and_then(|i| self.columns.get(i)).unwrap_or(&EMPTY)
    }

    /// The only string of a column.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.get(column).one()?.as_str()
    }

    /// The only integer of a column.
    pub fn integer(&self, column: &str) -> Option<i64> {
        self.get(column).one()?.as_integer()
    }

    /// The only boolean of a column.
    pub fn boolean(&self, column: &str) -> Option<bool> {
        self.get(column).one()?.as_boolean()
    }

    /// The value of a key in a column that is a map of strings.
    pub fn map_text(&self, column: &str, key: &str) -> Option<&str> {
        self.get(column).get(key)
    }

    /// The rows that a column refers to.
    pub fn references(&self, column: &str) -> impl Iterator<Item = Uuid> {
        self.get(column).atoms().iter().filter_map(|atom| atom.as_uuid())
    }
}

/// How a row changed: without `old` it came, without `new` it went.
#[derive(Clone, Debug)]
pub struct Change {
    /// As it was.
    pub old: Option<Arc<Row>>,
    /// As it is.
    pub new: Option<Arc<Row>>,
}

/// One table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its schema, with the columns that are monitored and those that are not.
    pub schema: Arc<TableSchema>,
    pub(crate) rows: IndexMap<Uuid, Arc<Row>>,
}

impl Table {
    /// The row of this UUID.
    pub fn row(&self, uuid: &Uuid) -> Option<&Arc<Row>> {
        self.rows.get(uuid)
    }

    /// All rows, in the order in which they came.
    pub fn rows(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.rows.values()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The schema of a column.
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.schema.column(name)
    }
}

/// All tables. Copies are cheap: they share what neither changes.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pub(crate) tables: IndexMap<String, Arc<Table>>,
}

impl Tables {
    pub(crate) fn new(schema: &Schema) -> Tables {
        let table = |t: &Arc<TableSchema>| Arc::new(Table { schema: t.clone(), rows: IndexMap::new() });
        Tables { tables: schema.tables.iter().map(|(name, t)| (name.clone(), table(t))).collect() }
    }

    /// The table of this name, if it is monitored.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name).map(Arc::as_ref)
    }

    /// All tables, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.tables.iter().map(|(name, table)| (name.as_str(), table.as_ref()))
    }

    /// The row of this UUID in the table of this name.
    pub fn row(&self, table: &str, uuid: &Uuid) -> Option<&Arc<Row>> {
        self.table(table)?.row(uuid)
    }

    /// All rows of a table; none where the database has no such table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = &Arc<Row>> {
        self.table(table).into_iter().flat_map(Table::rows)
    }

    pub(crate) fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.get_mut(name).map(Arc::make_mut)
    }

    /// Takes in `<table-updates>` or `<table-updates2>`; what changed is added to `changes`.
    pub(crate) fn apply(
        &mut self,
        updates: &Json,
        changes: &mut IndexMap<(String, Uuid), Change>,
    ) -> Result<(), Error> {
        let bad = |json: &Json| Error::syntax(json, "<table-updates> is not an object");
        for (name, rows) in updates.as_object().ok_or_else(|| bad(updates))? {
            let Some(table) = self.table_mut(name) else {
                return Err(Error::syntax(
                    updates,
                    format!("<table-updates> includes unknown table \"{name}\""),
                ));
            };
            for (text, update) in rows.as_object().ok_or_else(|| bad(rows))? {
                let uuid = model::parse_uuid(text)
                    .ok_or_else(|| Error::syntax(rows, format!("\"{text}\" is not a valid UUID")))?;
                let old = table.row(&uuid).cloned();
                let new = table.updated(uuid, old.as_deref(), update)?.map(Arc::new);
                match &new {
                    Some(row) => drop(table.rows.insert(uuid, row.clone())),
                    None => drop(table.rows.swap_remove(&uuid)),
                }
                note(changes, (name.clone(), uuid), old, new);
            }
        }
        Ok(())
    }
}

fn note(
    changes: &mut IndexMap<(String, Uuid), Change>,
    key: (String, Uuid),
    old: Option<Arc<Row>>,
    new: Option<Arc<Row>>,
) {
    changes.entry(key).or_insert(Change { old, new: None }).new = new;
}

impl Table {
    /// The row after a `<row-update>` or `<row-update2>`.
    fn updated(&self, uuid: Uuid, old: Option<&Row>, update: &Json) -> Result<Option<Row>, Error> {
        let object = update.as_object();
        let object = object.ok_or_else(|| Error::syntax(update, "<row-update> is not an object"))?;
        if object.contains_key("delete") {
            return Ok(None);
        }
        let fresh = || Row::new(uuid, &self.schema);
        let known = || old.cloned().unwrap_or_else(fresh);
        if let Some(Value::Object(columns)) = object.get("initial").or_else(|| object.get("insert")) {
            return self.with_columns(fresh(), columns, false).map(Some);
        }
        if let Some(Value::Object(columns)) = object.get("modify") {
            return self.with_columns(known(), columns, true).map(Some);
        }
        match object.get("new") {
            Some(Value::Object(columns)) => self.with_columns(known(), columns, false).map(Some),
            _ => Ok(None),
        }
    }

    fn with_columns(&self, mut row: Row, columns: &Map<String, Value>, is_diff: bool) -> Result<Row, Error> {
        for (name, value) in columns {
            let Some(column) = self.schema.column(name) else { continue };
            let Some(slot) = row.columns.get_mut(column.index) else { continue };
            // The server has checked the values; a difference may break the limits of the type.
            let value = Datum::from_json(value, &column.r#type.unconstrained(), None)?;
            *slot = if is_diff { slot.apply_diff(&value, &column.r#type)? } else { value };
        }
        Ok(row)
    }
}
