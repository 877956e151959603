//! Another server's `<table-updates>` as transactions on a copy of its rows.

use model::{Datum, Error, Json, TableSchema, Uuid};
use serde_json::{Map, Value};
use std::collections::HashSet;
use store::{Database, Row, Transaction};

/// What the updates are, by protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All rows, in RFC 7047's form; rows that are not there are gone.
    Initial1,
    /// All rows, in the form of "monitor_cond".
    Initial2,
    /// Changes, with whole columns.
    Update1,
    /// Changes, with differences of columns.
    Update2,
}

impl Form {
    fn is_initial(self) -> bool {
        matches!(self, Form::Initial1 | Form::Initial2)
    }
}

/// The transaction that makes the copy what the updates tell.
pub(crate) fn transaction(database: &Database, updates: &Json, form: Form) -> Result<Transaction, Error> {
    mirrored(database, updates, form, &|_| true)
}

/// The same for some tables only; the others stay as they are.
pub(crate) fn mirrored(
    database: &Database,
    updates: &Json,
    form: Form,
    is_mirrored: &dyn Fn(&str) -> bool,
) -> Result<Transaction, Error> {
    let mut transaction = Transaction::new();
    let Some(tables) = updates.as_object() else {
        return Err(Error::syntax(updates, "<table-updates> is not object"));
    };
    let mut seen: HashSet<(usize, Uuid)> = HashSet::new();
    for (name, rows) in tables {
        let Some(index) = database.table_index(name) else {
            return Err(Error::new("unknown table", format!("unknown table {name}")));
        };
        let Some(rows) = rows.as_object() else {
            return Err(Error::new("Not a JSON object", "<table-update> for table is not object"));
        };
        for (text, update) in rows {
            let uuid = model::parse_uuid(text)
                .ok_or_else(|| Error::syntax(update, "<table-update> names must be UUIDs"))?;
            seen.insert((index, uuid));
            let update = update
                .as_object()
                .ok_or_else(|| Error::new("Not a JSON object", "<row-update> is not object"))?;
            row_update(database, &mut transaction, index, uuid, update, form)?;
        }
    }
    if form.is_initial() {
        for (index, table) in database.tables.iter().enumerate() {
            let gone = table.rows().map(|row| row.uuid()).filter(|uuid| !seen.contains(&(index, *uuid)));
            if is_mirrored(&table.schema.name) {
                gone.for_each(|uuid| transaction.delete(database, index, uuid));
            }
        }
    }
    Ok(transaction)
}

fn row_update(
    database: &Database,
    transaction: &mut Transaction,
    table: usize,
    uuid: Uuid,
    update: &Map<String, Value>,
    form: Form,
) -> Result<(), Error> {
    let Some(schema) = database.tables.get(table).map(|t| t.schema.clone()) else { return Ok(()) };
    let inconsistent = |what: &str| {
        Error::new("consistency violation", format!("Row {uuid} in table {} {what}", schema.name))
    };
    let exists = transaction.exists(database, table, uuid);
    let whole = update.get("new").or_else(|| update.get("insert")).or_else(|| update.get("initial"));
    let diff = update.get("modify");
    match (whole, diff) {
        (None, None) if exists => transaction.delete(database, table, uuid),
        (None, None) => return Err(inconsistent("doesn't exist, cannot delete.")),
        (Some(columns), _) => {
            let is_update = form == Form::Update1 && update.contains_key("old");
            let mut row = Row::new(&schema, uuid);
            if exists && (is_update || form.is_initial()) {
                // Columns that are not told hold defaults, but for the version, which is our own.
                if let Some(slot) = transaction.modify(database, table, uuid) {
                    let declared = (2..schema.columns.len()).filter(|_| form.is_initial());
                    for column in declared {
                        slot.set(column, row.column(column).cloned().unwrap_or_default());
                    }
                    set_columns(slot, &schema, columns, false)?;
                }
            } else if exists {
                return Err(inconsistent("already exists, cannot insert."));
            } else if is_update {
                return Err(inconsistent("doesn't exist, cannot modify."));
            } else {
                set_columns(&mut row, &schema, columns, false)?;
                transaction.insert(table, row);
            }
        }
        (None, Some(columns)) => match transaction.modify(database, table, uuid) {
            Some(slot) => set_columns(slot, &schema, columns, true)?,
            None => return Err(inconsistent("doesn't exist, cannot modify.")),
        },
    }
    Ok(())
}

fn set_columns(row: &mut Row, schema: &TableSchema, json: &Json, is_diff: bool) -> Result<(), Error> {
    let Some(columns) = json.as_object() else {
        return Err(Error::syntax(json, "row must be JSON object"));
    };
    for (name, value) in columns {
        let column = schema.column(name).ok_or_else(|| {
            Error::new("unknown column", format!("No column {name} in table {}.", schema.name))
        })?;
        if column.index == model::schema::UUID_COLUMN || column.index == model::schema::VERSION_COLUMN {
            continue;
        }
        let Some(slot) = row.column_mut(column.index) else { continue };
        *slot = if is_diff {
            slot.apply_diff(&Datum::diff_from_json(value, &column.r#type)?, &column.r#type)?
        } else {
            Datum::from_json(value, &column.r#type, None)?
        };
    }
    Ok(())
}
