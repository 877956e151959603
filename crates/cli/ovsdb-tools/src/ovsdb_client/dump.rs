//! `dump`: the rows of tables, sorted.

use super::connect::{ask, fetch_schema};
use super::options::Options;
use crate::shared::Result;
use model::listing::{Cell, Listing};
use model::{AtomType, ColumnSchema, Datum, Json, TableSchema};
use rpc::Connection;
use serde_json::{Value, json};
use std::cmp::Ordering;

pub(crate) async fn run(
    connection: &mut Connection,
    database: &str,
    words: &[String],
    options: &Options,
) -> Result<()> {
    let schema = fetch_schema(connection, database).await?;
    let mut tables: Vec<&TableSchema> = schema.tables.values().map(|t| &**t).collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(name) = words.first() {
        tables.retain(|table| table.name == *name);
        if tables.is_empty() {
            return Err(format!("No table \"{name}\" found.").into());
        }
    }
    let mut plans = Vec::new();
    for table in tables {
        let mut columns: Vec<&ColumnSchema> = Vec::new();
        for name in words.iter().skip(1) {
            let column = table.column(name);
            columns.push(column.ok_or_else(|| format!("Table \"{}\" has no column {name}.", table.name))?);
        }
        if columns.is_empty() {
            columns = table.columns.iter().collect();
        }
        columns.retain(|column| column.name != "_version");
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        plans.push((table, columns));
    }
    let mut transaction = vec![Json::from(database)];
    for (table, columns) in &plans {
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        transaction.push(json!({"op": "select", "table": table.name, "where": [], "columns": names}));
    }
    let reply = ask(connection, "transact", transaction).await?;
    for (i, (table, columns)) in plans.iter().enumerate() {
        let rows = reply.get(i).and_then(|r| r.get("rows")).and_then(Value::as_array);
        let Some(rows) = rows else {
            return Err(
                format!("{} table reply is not an object with a \"rows\" member array", table.name).into()
            );
        };
        print!("{}", listing(table, columns, rows)?.print(&options.style, i == 0));
    }
    Ok(())
}

fn listing(table: &TableSchema, columns: &[&ColumnSchema], rows: &[Json]) -> Result<Listing> {
    let mut data = Vec::with_capacity(rows.len());
    for (y, row) in rows.iter().enumerate() {
        let mut values = Vec::with_capacity(columns.len());
        for column in columns {
            let name = &column.name;
            let json = row
                .get(name)
                .ok_or_else(|| format!("row {y} in table {} response lacks {name} column", table.name))?;
            values.push(Datum::from_json(json, &column.r#type.unconstrained(), None)?);
        }
        data.push(values);
    }
    data.sort_by(|a, b| compare(columns, a, b));
    let cells = |values: Vec<Datum>| {
        let pairs = values.into_iter().zip(columns);
        pairs.map(|(value, column)| Cell::Datum(value, column.r#type.clone())).collect()
    };
    Ok(Listing {
        caption: Some(format!("{} table", table.name)),
        headings: columns.iter().map(|c| c.name.clone()).collect(),
        rows: data.into_iter().map(cells).collect(),
        ..Listing::default()
    })
}

/// UUIDs are random, so that they decide last.
fn compare(columns: &[&ColumnSchema], a: &[Datum], b: &[Datum]) -> Ordering {
    for uuids in [false, true] {
        for (column, (a, b)) in columns.iter().zip(a.iter().zip(b)) {
            if (column.r#type.key.kind == AtomType::Uuid) == uuids {
                let order = a.compare(b);
                if order.is_ne() {
                    return order;
                }
            }
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableSchema {
        let json = json!({"columns": {"n": {"type": "integer"}, "s": {"type": "string"}}});
        TableSchema::from_json(&json, "T").expect("a table")
    }

    fn row(uuid: u8, number: i64, text: &str) -> Json {
        json!({"_uuid": ["uuid", format!("00000000-0000-4000-8000-0000000000{uuid:02x}")], "n": number, "s": text})
    }

    #[test]
    fn rows_are_sorted_by_what_is_in_them_and_by_uuid_last() {
        let table = table();
        let columns: Vec<&ColumnSchema> =
            ["_uuid", "n", "s"].iter().filter_map(|name| table.column(name)).collect();
        assert_eq!(columns.len(), 3);
        let rows = [row(1, 5, "b"), row(3, 5, "a"), row(2, 5, "a"), row(4, 1, "z")];
        let listing = listing(&table, &columns, &rows).expect("a listing");
        let order: Vec<String> = listing
            .rows
            .iter()
            .map(|cells| match cells.as_slice() {
                [Cell::Datum(uuid, _), ..] => uuid.to_bare(),
                _ => String::new(),
            })
            .map(|uuid| uuid.chars().last().map(String::from).unwrap_or_default())
            .collect();
        assert_eq!(order, ["4", "2", "3", "1"]);
        assert_eq!(listing.caption.as_deref(), Some("T table"));
    }

    #[test]
    fn a_reply_that_lacks_a_column_is_refused() {
        let table = table();
        let columns: Vec<&ColumnSchema> = table.column("n").into_iter().collect();
        let failed = listing(&table, &columns, &[json!({"s": "x"})]).err();
        assert!(
            matches!(&failed, Some(crate::shared::Stop::Fail(text)) if text == "row 0 in table T response lacks n column"),
            "{failed:?}"
        );
    }
}
