//! Transactions as the log file keeps them: JSON by table, row and column.
//!
//! Rows that are modified hold the *difference* of each column when `_is_diff`
//! is true (see [`model::Datum::diff`]), else the new value. Deleted rows are
//! null.

pub use crate::large_record::decode_large;

use crate::changes::{Change, Changes};
use crate::database::{Database, Snapshot};
use crate::row::Row;
use crate::transaction::Transaction;
use model::{Datum, Error, Json, TableSchema, Uuid};
use serde_json::Value;
use std::fmt::Write;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Write differences; releases before 2.17 of the reference cannot read them.
    pub column_diff: bool,
    /// Milliseconds since 1970.
    pub date_ms: i64,
}

/// Writes the record of a commit as JSON text over what `out` has; false when nothing in it is kept on disk.
pub fn encode(out: &mut String, database: &Database, changes: &Changes, style: Style) -> bool {
    out.clear();
    out.push('{');
    for (index, rows) in &changes.tables {
        let Some(table) = database.tables.get(*index) else { continue };
        let mut first = true;
        for change in rows {
            let begin = out.len();
            if first {
                separate(out);
                model::json::write_string(out, &table.schema.name);
                out.push_str(":{");
            } else {
                out.push(',');
            }
            out.push('"');
            model::json::write_uuid(out, &change.uuid);
            out.push_str("\":");
            if encode_change(out, &table.schema, change, style) {
                first = false;
            } else {
                out.truncate(begin);
            }
        }
        if !first {
            out.push('}');
        }
    }
    if out.len() == 1 {
        return false;
    }
    separate(out);
    annotate(out, changes.comment.as_deref(), style);
    true
}

/// The value of one row; false when only columns have changed that are not kept on disk.
fn encode_change(out: &mut String, table: &TableSchema, change: &Change, style: Style) -> bool {
    let (old, new) = match (&change.old, &change.new) {
        (_, None) => {
            out.push_str("null");
            return true;
        }
        (None, Some(new)) => {
            write_row(out, new, table);
            return true;
        }
        (Some(old), Some(new)) => (old, new),
    };
    let mut any = false;
    for column in change.changed.iter() {
        let Some(schema) = table.columns.get(column).filter(|c| c.persistent) else { continue };
        let (Some(old), Some(new)) = (old.column(column), new.column(column)) else { continue };
        out.push(if any { ',' } else { '{' });
        any = true;
        let is_map = schema.r#type.is_map();
        model::json::write_string(out, &schema.name);
        out.push(':');
        if style.column_diff {
            old.diff(new, &schema.r#type).write_json(out, is_map);
        } else {
            new.write_json(out, is_map);
        }
    }
    if any {
        out.push('}');
    }
    any
}

/// A piece of a snapshot's record is about this long.
const PIECE_BYTES: usize = 1 << 16;

/// The record that makes the whole database out of an empty one, in pieces.
pub fn encode_snapshot(
    snapshot: &Snapshot,
    comment: Option<&str>,
    style: Style,
    write: &mut dyn FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut out = String::with_capacity(2 * PIECE_BYTES);
    let mut any = false;
    for (table, rows) in snapshot.schema.tables.values().zip(&snapshot.rows) {
        if rows.is_empty() {
            continue;
        }
        out.push(if any { ',' } else { '{' });
        any = true;
        model::json::write_string(&mut out, &table.name);
        for (i, row) in rows.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}\"{}\":", if i == 0 { ":{" } else { "," }, row.uuid());
            write_row(&mut out, row, table);
            if out.len() >= PIECE_BYTES {
                write(&out)?;
                out.clear();
            }
        }
        out.push('}');
    }
    if any {
        out.push(',');
    } else {
        out.push('{');
    }
    annotate(&mut out, comment, style);
    write(&out)
}

fn separate(out: &mut String) {
    if out.len() > 1 {
        out.push(',');
    }
}

fn annotate(out: &mut String, comment: Option<&str>, style: Style) {
    if let Some(comment) = comment {
        out.push_str("\"_comment\":");
        model::json::write_string(out, comment);
        out.push(',');
    }
    if style.column_diff {
        out.push_str("\"_is_diff\":true,");
    }
    // Writing to a string cannot fail.
    let _ = write!(out, "\"_date\":{}}}", style.date_ms);
}

/// A new row: the columns that do not hold defaults.
fn write_row(out: &mut String, row: &Row, table: &TableSchema) {
    out.push('{');
    let mut any = false;
    for (index, value) in row.kept().filter(|(index, _)| *index != model::schema::UUID_COLUMN) {
        let Some(schema) = table.columns.get(index) else { continue };
        if !schema.persistent || value.is_default(&schema.r#type) {
            continue;
        }
        if any {
            out.push(',');
        }
        any = true;
        model::json::write_string(out, &schema.name);
        out.push(':');
        value.write_json(out, schema.r#type.is_map());
    }
    out.push('}');
}

/// From a record. While converting to another schema, what that lacks is passed over.
pub fn decode(database: &Database, json: &Json, converting: bool) -> Result<Transaction, Error> {
    let Some(object) = json.as_object() else {
        return Err(Error::syntax(json, "object expected"));
    };
    let is_diff = object.get("_is_diff") == Some(&Value::Bool(true));
    let mut transaction = Transaction::new();
    for (name, value) in object {
        match database.table_index(name) {
            Some(table) => decode_table(database, &mut transaction, table, value, is_diff, converting)?,
            None if name == "_date" && value.is_number() => {}
            None if name == "_is_diff" && value.is_boolean() => {}
            None if name == "_comment" => {
                if let Some(comment) = value.as_str() {
                    transaction.add_comment(comment);
                }
            }
            None if converting => {}
            None => {
                let message = format!("No table named {name}.");
                return Err(Error::new("unknown table", message).about(json));
            }
        }
    }
    Ok(transaction)
}

fn decode_table(
    database: &Database,
    transaction: &mut Transaction,
    table: usize,
    json: &Json,
    is_diff: bool,
    converting: bool,
) -> Result<(), Error> {
    let Some(rows) = json.as_object() else {
        return Err(Error::syntax(json, "object expected"));
    };
    let Some(schema) = database.tables.get(table).map(|t| &t.schema) else { return Ok(()) };
    for (text, row_json) in rows {
        let uuid = model::parse_uuid(text)
            .ok_or_else(|| Error::syntax(json, format!("\"{text}\" is not a valid UUID")))?;
        decode_change(database, transaction, (table, schema), uuid, row_json, (is_diff, converting))?;
    }
    Ok(())
}

/// One row of a record.
pub(crate) fn decode_change(
    database: &Database,
    transaction: &mut Transaction,
    (table, schema): (usize, &TableSchema),
    uuid: Uuid,
    row_json: &Json,
    (is_diff, converting): (bool, bool),
) -> Result<(), Error> {
    let exists = transaction.row(database, table, &uuid).is_some();
    if row_json.is_null() {
        if !exists {
            let message = format!("transaction deletes row {uuid} that does not exist");
            return Err(Error::new("syntax error", message));
        }
        transaction.delete(database, table, uuid);
    } else if exists {
        if let Some(row) = transaction.modify(database, table, uuid) {
            decode_row(row, schema, row_json, is_diff, converting)?;
        }
    } else {
        let mut row = Row::new(schema, uuid);
        decode_row(&mut row, schema, row_json, false, converting)?;
        transaction.insert(table, row);
    }
    Ok(())
}

fn decode_row(
    row: &mut Row,
    schema: &TableSchema,
    json: &Json,
    is_diff: bool,
    converting: bool,
) -> Result<(), Error> {
    let Some(object) = json.as_object() else {
        return Err(Error::syntax(json, "row must be JSON object"));
    };
    for (name, value) in object {
        let Some(column) = schema.column(name) else {
            if converting {
                continue;
            }
            let message = format!("No column {name} in table {}.", schema.name);
            return Err(Error::new("unknown column", message).about(json));
        };
        let Some(slot) = row.column_mut(column.index) else { continue };
        *slot = if is_diff {
            slot.apply_diff(&Datum::diff_from_json(value, &column.r#type)?, &column.r#type)?
        } else {
            Datum::from_json(value, &column.r#type, None)?
        };
    }
    Ok(())
}

/// The rows of a record by table, for listings: `None` for a deleted row.
pub fn rows_of(record: &Json) -> impl Iterator<Item = (&str, Uuid, Option<&Json>)> {
    let tables = record.as_object().into_iter().flatten();
    tables.filter_map(|(name, rows)| Some((name.as_str(), rows.as_object()?))).flat_map(|(name, rows)| {
        rows.iter().filter_map(move |(uuid, row)| {
            let uuid = model::parse_uuid(uuid)?;
            Some((name, uuid, (!row.is_null()).then_some(row)))
        })
    })
}
