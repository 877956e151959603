//! The database schemas, declared once.
//!
//! Each table is a module with its name ([`bridge::NAME_OF_TABLE`] and so on)
//! and a constant per column, so that a misspelt column does not compile;
//! the schema's JSON, as files and `get_schema` carry it, is made from the
//! same declaration by [`Schema::to_json`].
//!
//! Not here: checking values against a schema (`model`), rows (`store`,
//! `replica`).

#![warn(missing_docs)]

mod switch;
mod types;
pub mod vtep;

pub use switch::*;
pub use types::{Base, Type};
pub use vtep::HARDWARE_VTEP;

use serde_json::{Map, Value, json};

/// A database schema.
pub struct Schema {
    /// Its name, such as "Open_vSwitch".
    pub name: &'static str,
    /// Three numbers with dots between them (RFC 7047 §3.2).
    pub version: &'static str,
    /// The checksum that published copies of this schema carry.
    pub cksum: &'static str,
    /// In the order of the published schema.
    pub tables: &'static [Table],
}

/// A table of a schema.
pub struct Table {
    /// Its name, such as "Bridge".
    pub name: &'static str,
    /// Names and types, in the order of the published schema.
    pub columns: &'static [(&'static str, Type)],
    /// Whether its rows live without being referred to.
    pub is_root: bool,
    /// How many rows it may have; `None` is without limit.
    pub max_rows: Option<u32>,
    /// Columns whose values together are unique among its rows.
    pub indexes: &'static [&'static [&'static str]],
}

impl Schema {
    /// RFC 7047 §3.2 `<database-schema>`.
    pub fn to_json(&self) -> Value {
        let tables: Map<String, Value> =
            self.tables.iter().map(|table| (table.name.to_owned(), table.to_json())).collect();
        json!({ "name": self.name, "version": self.version, "cksum": self.cksum, "tables": tables })
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl Table {
    /// As RFC 7047 writes a table's schema.
    pub fn to_json(&self) -> Value {
        let columns: Map<String, Value> =
            self.columns.iter().map(|(name, kind)| ((*name).to_owned(), kind.to_json())).collect();
        let mut table = Map::new();
        table.insert("columns".into(), Value::Object(columns));
        if let Some(max_rows) = self.max_rows {
            table.insert("maxRows".into(), json!(max_rows));
        }
        if self.is_root {
            table.insert("isRoot".into(), json!(true));
        }
        if !self.indexes.is_empty() {
            table.insert("indexes".into(), json!(self.indexes));
        }
        Value::Object(table)
    }
}

/// Declares a table: a module with `TABLE`, `NAME_OF_TABLE` and a constant per column.
macro_rules! table {
    (
        $(#[$doc:meta])*
        $module:ident: $table:literal $($attribute:ident $(($value:tt))?)* {
            $($constant:ident $column:literal: $kind:expr,)*
        }
    ) => {
        $(#[$doc])*
        pub mod $module {
            /// The table's name.
            pub const NAME_OF_TABLE: &str = $table;
            $(
                #[doc = concat!(" The column `", $column, "`.")]
                pub const $constant: &str = $column;
            )*
            pub(super) const TABLE: crate::Table = {
                #[allow(unused_imports)]
                use crate::types::*;
                #[allow(unused_mut)]
                let mut table = crate::Table {
                    name: $table,
                    columns: &[$(($column, $kind)),*],
                    is_root: false,
                    max_rows: None,
                    indexes: &[],
                };
                $(crate::attribute!(table $attribute $($value)?);)*
                table
            };
        }
    };
}

macro_rules! attribute {
    ($table:ident root) => {
        $table.is_root = true;
    };
    ($table:ident max_rows $count:literal) => {
        $table.max_rows = Some($count);
    };
    ($table:ident index $columns:tt) => {
        $table.indexes = &[&$columns];
    };
}

use {attribute, table};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_tables_that_exist() {
        fn target(base: &Base) -> Option<&'static str> {
            match base {
                Base::Strong(table) | Base::Weak(table) => Some(table),
                _ => None,
            }
        }
        for schema in [&OPEN_VSWITCH, &HARDWARE_VTEP] {
            for table in schema.tables {
                for (column, kind) in table.columns {
                    for name in kind.elements().filter_map(target) {
                        assert!(schema.table(name).is_some(), "{}.{column} refers to {name}", table.name);
                    }
                }
            }
        }
    }

    /// Columns that the newer schema declares otherwise: `prefixes` holds four fields since 8.4.
    const CHANGED_SINCE: &[(&str, &str)] = &[("Flow_Table", "prefixes")];

    /// Every column that Debian's older schema has is declared here with the same type.
    #[test]
    fn the_installed_schema_agrees() {
        let Ok(text) = std::fs::read_to_string("/usr/share/openvswitch/vswitch.ovsschema") else {
            eprintln!("skipped: Debian's openvswitch-common is not installed");
            return;
        };
        let theirs: Value = serde_json::from_str(&text).unwrap();
        let ours = OPEN_VSWITCH.to_json();
        let mut compared = 0;
        for (table, content) in theirs["tables"].as_object().unwrap() {
            for (column, declared) in content["columns"].as_object().unwrap() {
                if CHANGED_SINCE.contains(&(table.as_str(), column.as_str())) {
                    continue;
                }
                let mine = &ours["tables"][table]["columns"][column];
                assert_eq!(canonical(mine), canonical(declared), "{table}.{column}");
                compared += 1;
            }
            for attribute in ["isRoot", "maxRows", "indexes"] {
                assert_eq!(ours["tables"][table][attribute], content[attribute], "{table}");
            }
        }
        assert!(compared > 180, "only {compared} columns in the installed schema");
    }

    /// What Debian's openvswitch-vtep and ours say of the gateway's database is the same.
    #[test]
    fn the_installed_schema_of_gateways_agrees() {
        let Ok(text) = std::fs::read_to_string("/usr/share/openvswitch/vtep.ovsschema") else {
            eprintln!("skipped: Debian's openvswitch-vtep is not installed");
            return;
        };
        let theirs: Value = serde_json::from_str(&text).unwrap();
        let ours = HARDWARE_VTEP.to_json();
        for (table, content) in theirs["tables"].as_object().unwrap() {
            for (column, declared) in content["columns"].as_object().unwrap() {
                let mine = &ours["tables"][table]["columns"][column];
                assert_eq!(canonical(mine), canonical(declared), "{table}.{column}");
            }
        }
    }

    /// A column with all that may be left out filled in, so that two ways of writing it compare equal.
    fn canonical(column: &Value) -> Value {
        let base = |b: &Value| {
            let mut b = if b.is_string() { json!({ "type": b }) } else { b.clone() };
            if b["refTable"].is_string() && b["refType"].is_null() {
                b["refType"] = json!("strong");
            }
            if b["enum"].is_string() {
                b["enum"] = json!(["set", [b["enum"]]]);
            }
            if let Some(values) = b.pointer_mut("/enum/1").and_then(Value::as_array_mut) {
                values.sort_by_key(ToString::to_string);
            }
            b
        };
        let kind = &column["type"];
        let (key, value) =
            if kind.is_object() { (&kind["key"], &kind["value"]) } else { (kind, &Value::Null) };
        json!({
            "key": base(key),
            "value": if value.is_null() { Value::Null } else { base(value) },
            "min": kind.get("min").cloned().unwrap_or(json!(1)),
            "max": kind.get("max").cloned().unwrap_or(json!(1)),
            "ephemeral": column["ephemeral"].as_bool().unwrap_or(false),
            "mutable": column["mutable"].as_bool().unwrap_or(true),
        })
    }
}
