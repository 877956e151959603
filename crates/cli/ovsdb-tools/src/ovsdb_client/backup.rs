//! `backup` and `restore`: a whole database as a file.

use super::connect::{ask, fetch_schema};
use super::options::Options;
use crate::ovsdb_tool::same;
use crate::shared::Result;
use model::{Datum, Json, Schema};
use rpc::Connection;
use serde_json::{Map, Value, json};
use std::io::{IsTerminal, Write};
use store::DatabaseFile;
use store::log_file::{Mode, compose};

pub(crate) async fn backup(connection: &mut Connection, database: &str) -> Result<()> {
    if std::io::stdout().is_terminal() {
        let message = "not writing backup to a terminal; please redirect stdout to a file";
        return Err(message.to_owned().into());
    }
    let schema = fetch_schema(connection, database).await?;
    let mut transaction = vec![Json::from(database)];
    for (name, table) in &schema.tables {
        let columns: Vec<&str> =
            table.columns.iter().filter(|c| c.persistent).map(|c| c.name.as_str()).collect();
        transaction.push(json!({"op": "select", "table": name, "where": [], "columns": columns}));
    }
    let reply = ask(connection, "transact", transaction).await?;
    let mut record = Map::new();
    for (i, name) in schema.tables.keys().enumerate() {
        let mut rows = Map::new();
        for row in reply.get(i).and_then(|r| r.get("rows")).and_then(Value::as_array).into_iter().flatten() {
            let Some(mut columns) = row.as_object().cloned() else { continue };
            let uuid = columns.swap_remove("_uuid").unwrap_or_default();
            if let Some(uuid) = uuid.get(1).and_then(Value::as_str) {
                rows.insert(uuid.to_owned(), columns.into());
            }
        }
        if !rows.is_empty() {
            record.insert(name.clone(), rows.into());
        }
    }
    record.insert("_comment".to_owned(), Json::from("produced by \"ovsdb-client backup\""));
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    record.insert("_date".to_owned(), Json::from(u64::try_from(since.as_millis()).unwrap_or(0)));
    let mut out = std::io::stdout().lock();
    for json in [schema.to_json(), record.into()] {
        out.write_all(&compose(&json.to_string()))
            .map_err(|e| format!("write to stdout failed ({})", rpc::error_text(&e)))?;
    }
    Ok(())
}

pub(crate) async fn restore(connection: &mut Connection, database: &str, options: &Options) -> Result<()> {
    if std::io::stdin().is_terminal() {
        let message = "not reading backup from a terminal; please redirect stdin from a file";
        return Err(message.to_owned().into());
    }
    let backup = DatabaseFile::read_strictly("/dev/stdin", Mode::ReadOnly, None)?;
    let served = fetch_schema(connection, database).await?;
    let saved = &backup.database.schema;
    if !same(saved, &served) {
        let text = difference(saved, &served);
        if !options.force {
            let hint =
                "use --force to override differences, or \"ovsdb-client convert\" to change the schema";
            return Err(format!("{text} ({hint})").into());
        }
        log::info!(target: "ovsdb_client", "{text}");
    }
    let result = ask(connection, "transact", operations(&backup)).await?;
    for part in result.as_array().into_iter().flatten() {
        if part.get("error").is_some() {
            return Err(format!("server returned error reply: {}", model::json::sorted(part)).into());
        }
    }
    Ok(())
}

fn difference(saved: &Schema, served: &Schema) -> String {
    let (a, b) = (&saved.version, &served.version);
    if a == b {
        format!("backup schema and database schema are both version {a} but still differ")
    } else {
        format!("backup schema has version \"{a}\" but database schema has version \"{b}\"")
    }
}

/// Empties all tables and fills them anew; rows refer to each other by name.
fn operations(backup: &DatabaseFile) -> Vec<Json> {
    let mut operations = vec![Json::from(backup.database.name())];
    for table in &backup.database.tables {
        let name = &table.schema.name;
        operations.push(json!({"op": "delete", "table": name, "where": []}));
        for row in table.rows() {
            let mut columns = Map::new();
            for column in table.schema.declared_columns().filter(|c| c.persistent) {
                let Some(value) = row.column(column.index) else { continue };
                if value.is_default(&column.r#type) {
                    continue;
                }
                let base = &column.r#type;
                let keys = base.key.reference().is_some();
                let values = base.value.as_ref().is_some_and(|v| v.reference().is_some());
                let json = named(value, base.is_map(), keys, values);
                columns.insert(column.name.clone(), json);
            }
            let uuid_name = model::row_name(&row.uuid());
            operations.push(json!({"op": "insert", "table": name, "uuid-name": uuid_name, "row": columns}));
        }
    }
    operations
}

/// A value in JSON, with references by name.
fn named(value: &Datum, is_map: bool, keys: bool, values: bool) -> Json {
    let atom = |atom: &model::Atom, refers: bool| match atom {
        model::Atom::Uuid(uuid) if refers => json!(["named-uuid", model::row_name(uuid)]),
        other => other.to_json(),
    };
    let entries: Vec<Json> = value
        .entries()
        .map(|(k, v)| match v {
            None => atom(k, keys),
            Some(v) => json!([atom(k, keys), atom(v, values)]),
        })
        .collect();
    json!([if is_map { "map" } else { "set" }, entries])
}
