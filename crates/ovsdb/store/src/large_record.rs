//! Reading a record of very many rows without making JSON of all of it at once.
//!
//! A compacted log is one record of everything. Its rows are decoded one by one
//! as they are read. Whatever is wrong with it is left to the plain decoder to
//! tell.

use crate::database::Database;
use crate::record::decode_change;
use crate::transaction::Transaction;
use model::{Json, TableSchema};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Smaller records are decoded plainly.
const LARGE_BYTES: usize = 1 << 20;

/// The transaction of a large record; `None` where it is small, or not as it should be.
pub fn decode_large(database: &Database, bytes: &[u8], converting: bool) -> Option<Transaction> {
    if bytes.len() < LARGE_BYTES {
        return None;
    }
    let is_diff = serde_json::Deserializer::from_slice(bytes).deserialize_map(FindDiff).ok()?;
    let mut transaction = Transaction::new();
    let tables = Tables { database, transaction: &mut transaction, is_diff, converting };
    serde_json::Deserializer::from_slice(bytes).deserialize_map(tables).ok()?;
    Some(transaction)
}

/// Whether the record says that it holds differences; that may stand at its end.
struct FindDiff;

impl<'de> Visitor<'de> for FindDiff {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "_is_diff" {
                found = map.next_value::<Json>()? == Json::Bool(true);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct Tables<'a> {
    database: &'a Database,
    transaction: &'a mut Transaction,
    is_diff: bool,
    converting: bool,
}

impl<'de> Visitor<'de> for Tables<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match self.database.table_index(&name) {
                Some(table) => {
                    let schema = self.database.tables.get(table).map(|t| &*t.schema);
                    let schema = schema.ok_or_else(|| A::Error::custom("no such table"))?;
                    map.next_value_seed(Rows { tables: &mut self, table, schema })?;
                }
                None if name == "_comment" => {
                    if let Some(comment) = map.next_value::<Json>()?.as_str() {
                        self.transaction.add_comment(comment);
                    }
                }
                None if self.converting || name == "_date" || name == "_is_diff" => {
                    map.next_value::<IgnoredAny>()?;
                }
                None => return Err(A::Error::custom("no such table")),
            }
        }
        Ok(())
    }
}

struct Rows<'a, 'd> {
    tables: &'a mut Tables<'d>,
    table: usize,
    schema: &'d TableSchema,
}

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows by UUID")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Tables { database, transaction, is_diff, converting } = self.tables;
        while let Some(text) = map.next_key::<String>()? {
            let uuid = model::parse_uuid(&text).ok_or_else(|| A::Error::custom("no UUID"))?;
            let row: Json = map.next_value()?;
            let place = (self.table, self.schema);
            decode_change(database, transaction, place, uuid, &row, (*is_diff, *converting))
                .map_err(|e| A::Error::custom(e.to_string()))?;
        }
        Ok(())
    }
}
