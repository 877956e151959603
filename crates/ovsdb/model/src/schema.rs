//! What a database may hold (RFC 7047 §3.2 `<database-schema>`).

use crate::datum::Datum;
use crate::error::Error;
use crate::is_id;
use crate::members::{Kinds, Members};
use crate::types::{AtomType, Type};
use hashbrown::HashMap;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The number of the column `_uuid` in every table.
pub const UUID_COLUMN: usize = 0;
/// The number of the column `_version` in every table.
pub const VERSION_COLUMN: usize = 1;

/// A database's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// The database's name, such as "Open_vSwitch".
    pub name: String,
    /// `x.y.z`, or empty in very old databases.
    pub version: String,
    /// Empty where there is none.
    pub cksum: String,
    /// The tables by name, in the order of the schema.
    pub tables: IndexMap<String, Arc<TableSchema>>,
}

/// A table's schema. Columns have numbers, of which the first two are `_uuid` and `_version`.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSchema {
    /// The table's name, such as "Bridge".
    pub name: String,
    /// Rows may change.
    pub mutable: bool,
    /// `u32::MAX` is no limit.
    pub max_rows: u32,
    /// Rows stay without being referred to.
    pub is_root: bool,
    /// By number.
    pub columns: Vec<ColumnSchema>,
    by_name: HashMap<String, usize>,
    /// Columns that together are unique among the rows.
    pub indexes: Vec<Vec<usize>>,
    /// What each column holds when never set.
    pub defaults: Arc<[Datum]>,
    /// Columns that must be set, as their defaults do not meet the constraints.
    pub unfit_defaults: Vec<usize>,
}

/// A column's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSchema {
    /// The column's name, such as "name".
    pub name: String,
    /// Its number.
    pub index: usize,
    /// Its value may change after the row was inserted.
    pub mutable: bool,
    /// Kept on disk.
    pub persistent: bool,
    /// What it may hold.
    pub r#type: Type,
}

impl Schema {
    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Arc<TableSchema>> {
        self.tables.get(name)
    }

    /// Reads a `<database-schema>` (RFC 7047 §3.2).
    pub fn from_json(json: &Value) -> Result<Schema, Error> {
        let mut members = Members::new(json, &"database schema");
        let name = members.required("name", Kinds::ID).and_then(Value::as_str).unwrap_or("");
        let version = members.text("version");
        let cksum = members.text("cksum").unwrap_or("");
        let tables = members.required("tables", Kinds::OBJECT).and_then(Value::as_object);
        members.finish()?;
        if let Some(version) = version.filter(|v| parse_version(v).is_none()) {
            let message = format!("schema version \"{version}\" not in format x.y.z");
            return Err(Error::syntax(json, message));
        }
        let mut parsed: IndexMap<String, TableSchema> = IndexMap::new();
        for (name, table) in tables.into_iter().flatten() {
            check_name(name, json)?;
            parsed.insert(name.clone(), TableSchema::from_json(table, name)?);
        }
        // Older schemas have no garbage collection: all tables are in the root set.
        if !parsed.values().any(|t| t.is_root) {
            parsed.values_mut().for_each(|t| t.is_root = true);
        }
        check_references(&mut parsed)?;
        Ok(Schema {
            name: name.to_owned(),
            version: version.unwrap_or("").to_owned(),
            cksum: cksum.to_owned(),
            tables: parsed.into_iter().map(|(name, table)| (name, Arc::new(table))).collect(),
        })
    }

    /// As it is read.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), Value::from(self.name.as_str()));
        for (name, value) in [("version", &self.version), ("cksum", &self.cksum)] {
            if !value.is_empty() {
                object.insert(name.to_owned(), Value::from(value.as_str()));
            }
        }
        let all_root = self.tables.values().all(|t| t.is_root);
        let tables: Map<String, Value> =
            self.tables.iter().map(|(name, table)| (name.clone(), table.to_json(all_root))).collect();
        object.insert("tables".to_owned(), tables.into());
        object.into()
    }
}

/// The three numbers of a schema version.
pub fn parse_version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(|part| {
        let digits = part.bytes().all(|c| c.is_ascii_digit());
        if digits { part.parse::<u32>().ok() } else { None }
    });
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}

fn check_name(name: &str, json: &Value) -> Result<(), Error> {
    if name.starts_with('_') {
        return Err(Error::syntax(json, "names beginning with \"_\" are reserved"));
    }
    if !is_id(name) {
        return Err(Error::syntax(json, "name must be a valid id"));
    }
    Ok(())
}

/// Every reference must be to a table that exists. A column with strong references to rows that
/// nothing else keeps alive must be persistent, or replaying the log would collect them.
fn check_references(tables: &mut IndexMap<String, TableSchema>) -> Result<(), Error> {
    let roots: HashMap<String, bool> =
        tables.iter().map(|(name, table)| (name.clone(), table.is_root)).collect();
    for table in tables.values_mut() {
        for column in &mut table.columns {
            let bases = [(Some(&column.r#type.key), "key"), (column.r#type.value.as_ref(), "value")];
            let mut persistent = column.persistent;
            for (base, place) in bases {
                let Some(base) = base else { continue };
                let Some((target, _)) = base.reference() else { continue };
                match roots.get(target) {
                    None => {
                        let name = &column.name;
                        let message = format!("column {name} {place} refers to undefined table {target}");
                        return Err(Error::new("syntax error", message));
                    }
                    Some(is_root) => persistent |= base.is_strong_ref() && !is_root,
                }
            }
            column.persistent = persistent;
        }
    }
    Ok(())
}

impl TableSchema {
    fn new(name: &str) -> TableSchema {
        let mut table = TableSchema {
            name: name.to_owned(),
            mutable: true,
            max_rows: u32::MAX,
            is_root: false,
            columns: Vec::new(),
            by_name: HashMap::new(),
            defaults: Arc::new([]),
            indexes: Vec::new(),
            unfit_defaults: Vec::new(),
        };
        for (name, persistent) in [("_uuid", true), ("_version", false)] {
            let r#type = Type::scalar(AtomType::Uuid);
            table.push(ColumnSchema { name: name.to_owned(), index: 0, mutable: false, persistent, r#type });
        }
        table
    }

    fn push(&mut self, mut column: ColumnSchema) {
        column.index = self.columns.len();
        self.by_name.insert(column.name.clone(), column.index);
        self.columns.push(column);
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.columns.get(*self.by_name.get(name)?)
    }

    /// The columns that the schema declares: all but `_uuid` and `_version`.
    pub fn declared_columns(&self) -> impl Iterator<Item = &ColumnSchema> {
        self.columns.iter().skip(2)
    }

    /// Reads a `<table-schema>` (RFC 7047 §3.2).
    pub fn from_json(json: &Value, name: &str) -> Result<TableSchema, Error> {
        let title = format!("table schema for table {name}");
        let mut members = Members::new(json, &title);
        let columns = members.required("columns", Kinds::OBJECT).and_then(Value::as_object);
        let mutable = members.boolean("mutable").unwrap_or(true);
        let max_rows = members.integer("maxRows");
        let is_root = members.boolean("isRoot").unwrap_or(false);
        let indexes = members.optional("indexes", Kinds::ARRAY).and_then(Value::as_array);
        members.finish()?;
        if max_rows.is_some_and(|n| n <= 0) {
            return Err(Error::syntax(json, "maxRows must be at least 1"));
        }
        let Some(columns) = columns.filter(|c| !c.is_empty()) else {
            return Err(Error::syntax(json, "table must have at least one column"));
        };
        let mut table = TableSchema::new(name);
        table.mutable = mutable;
        table.is_root = is_root;
        table.max_rows = max_rows.map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX));
        for (name, column) in columns {
            check_name(name, json)?;
            table.push(ColumnSchema::from_json(column, name)?);
        }
        for index in indexes.into_iter().flatten() {
            let columns = table.column_set(index)?;
            table.check_index(&columns, json)?;
            table.indexes.push(columns);
        }
        table.defaults = table.columns.iter().map(|column| column.r#type.default_datum()).collect();
        let defaults = table.defaults.iter().zip(&table.columns);
        let unfit = defaults.filter(|(default, column)| default.check(&column.r#type).is_err());
        table.unfit_defaults = unfit.map(|(_, column)| column.index).collect();
        Ok(table)
    }

    /// Numbers of distinct columns from a JSON array of names. Without an array: all columns.
    pub fn column_set(&self, json: &Value) -> Result<Vec<usize>, Error> {
        let bad = || Error::syntax(json, "array of distinct column names expected");
        let names = json.as_array().ok_or_else(bad)?;
        let mut set = Vec::with_capacity(names.len());
        for name in names {
            let name = name.as_str().ok_or_else(bad)?;
            let column = self
                .column(name)
                .ok_or_else(|| Error::syntax(json, format!("{name} is not a valid column name")))?;
            if set.contains(&column.index) {
                return Err(bad());
            }
            set.push(column.index);
        }
        Ok(set)
    }

    fn check_index(&self, columns: &[usize], json: &Value) -> Result<(), Error> {
        if columns.is_empty() {
            return Err(Error::syntax(json, "index must have at least one column"));
        }
        let ephemeral = columns.iter().filter_map(|c| self.columns.get(*c)).find(|c| !c.persistent);
        match ephemeral {
            None => Ok(()),
            Some(column) => Err(Error::syntax(
                json,
                format!("ephemeral columns (such as {}) may not be indexed", column.name),
            )),
        }
    }

    /// `default_is_root` is what an absent "isRoot" means in this schema.
    pub fn to_json(&self, default_is_root: bool) -> Value {
        let mut object = Map::new();
        if !self.mutable {
            object.insert("mutable".to_owned(), Value::from(false));
        }
        if self.is_root != default_is_root {
            object.insert("isRoot".to_owned(), Value::from(self.is_root));
        }
        let columns: Map<String, Value> =
            self.declared_columns().map(|c| (c.name.clone(), c.to_json())).collect();
        object.insert("columns".to_owned(), columns.into());
        if self.max_rows != u32::MAX {
            object.insert("maxRows".to_owned(), Value::from(self.max_rows));
        }
        if !self.indexes.is_empty() {
            let name = |c: &usize| self.columns.get(*c).map_or(Value::Null, |c| Value::from(c.name.as_str()));
            let indexes = self.indexes.iter().map(|index| Value::Array(index.iter().map(name).collect()));
            object.insert("indexes".to_owned(), Value::Array(indexes.collect()));
        }
        object.into()
    }

    /// "column "a"", "columns "a", "b", and "c"".
    pub fn columns_english(&self, columns: &[usize]) -> String {
        if columns.is_empty() {
            return "no columns".to_owned();
        }
        let total = columns.len();
        let mut text = if total > 1 { "columns ".to_owned() } else { "column ".to_owned() };
        for (i, column) in columns.iter().enumerate() {
            text.push_str(match i {
                0 => "",
                _ if i < total - 1 => ", ",
                _ if total > 2 => ", and ",
                _ => " and ",
            });
            let name = self.columns.get(*column).map_or("", |c| c.name.as_str());
            text.push_str(&format!("\"{name}\""));
        }
        text
    }
}

impl ColumnSchema {
    fn from_json(json: &Value, name: &str) -> Result<ColumnSchema, Error> {
        let title = format!("schema for column {name}");
        let mut members = Members::new(json, &title);
        let mutable = members.boolean("mutable").unwrap_or(true);
        let ephemeral = members.boolean("ephemeral").unwrap_or(false);
        let r#type = members.required("type", Kinds::STRING | Kinds::OBJECT);
        members.finish()?;
        let r#type = Type::from_json(r#type.unwrap_or(&Value::Null))?;
        // A weak reference changes when its row goes, so it cannot be immutable.
        let weak = r#type.key.is_weak_ref() || r#type.value.as_ref().is_some_and(|v| v.is_weak_ref());
        Ok(ColumnSchema {
            name: name.to_owned(),
            index: 0,
            mutable: mutable || weak,
            persistent: !ephemeral,
            r#type,
        })
    }

    /// As it is read, without the two columns that every table has.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        if !self.mutable {
            object.insert("mutable".to_owned(), Value::from(false));
        }
        if !self.persistent {
            object.insert("ephemeral".to_owned(), Value::from(true));
        }
        object.insert("type".to_owned(), self.r#type.to_json());
        object.into()
    }
}
