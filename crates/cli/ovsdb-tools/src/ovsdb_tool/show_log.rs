//! `show-log`: the records of a log, for people.

use crate::shared::{Result, date_text};
use model::{Datum, Json, Schema};
use serde_json::Value;
use std::collections::HashMap;
use store::log_file::{LogFile, Mode};

pub(crate) fn run(path: &str, verbosity: usize) -> Result<()> {
    let mut log = LogFile::open(path, Mode::ReadOnly)?;
    let mut names = HashMap::new();
    let mut schema = None;
    for number in 0.. {
        let Some(record) = log.read()? else { break };
        print!("record {number}:");
        if number == 0 {
            let parsed = Schema::from_json(&record)?;
            println!(
                " \"{}\" schema, version=\"{}\", cksum=\"{}\"",
                parsed.name, parsed.version, parsed.cksum
            );
            schema = Some(parsed);
        } else {
            print_record(&record, schema.as_ref(), verbosity, &mut names);
        }
        println!();
    }
    Ok(())
}

/// `names` are what rows are called, by UUID.
fn print_record(
    record: &Json,
    schema: Option<&Schema>,
    verbosity: usize,
    names: &mut HashMap<String, String>,
) {
    if let Some(date) = record.get("_date").and_then(model::number::integer) {
        // Older versions wrote seconds.
        let ms = if date < i64::from(i32::MAX) { date * 1000 } else { date };
        print!(" {}", date_text(ms));
    }
    if let Some(comment) = record.get("_comment").and_then(Value::as_str) {
        print!(" \"{comment}\"");
    }
    if verbosity > 0 {
        print_rows(record, schema, verbosity, names);
    }
}

fn print_rows(record: &Json, schema: Option<&Schema>, verbosity: usize, names: &mut HashMap<String, String>) {
    let diff = if record.get("_is_diff") == Some(&Value::Bool(true)) { " diff" } else { "" };
    let tables = record.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with('_'));
    for (i, (table, rows)) in tables.filter_map(|(name, rows)| Some((name, rows.as_object()?))).enumerate() {
        if i == 0 {
            println!();
        }
        for (uuid, columns) in rows {
            let short = uuid.get(..8).unwrap_or(uuid);
            let new_name = columns.get("name").map(model::json::sorted);
            match (names.get(uuid), &new_name) {
                (None, Some(name)) => println!("  table {table} insert row {name} ({short}):"),
                (None, None) => println!("  table {table} insert row {short}:"),
                (Some(name), _) => println!("  table {table} row {name} ({short}){diff}:"),
            }
            if columns.is_null() {
                println!("    delete row");
                names.remove(uuid);
                continue;
            }
            if verbosity > 1 {
                print_columns(table, columns, schema);
            }
            match new_name {
                Some(name) => drop(names.insert(uuid.clone(), name)),
                None => drop(names.entry(uuid.clone()).or_insert_with(|| short.to_owned())),
            }
        }
    }
}

fn print_columns(table: &str, columns: &Json, schema: Option<&Schema>) {
    for (name, value) in columns.as_object().into_iter().flatten() {
        let column = schema.and_then(|s| s.table(table)).and_then(|t| t.column(name));
        let text = column.and_then(|column| {
            let datum = Datum::from_json(value, &column.r#type, None).ok()?;
            Some(datum.to_text(&column.r#type))
        });
        println!("    {name}={}", text.unwrap_or_else(|| model::json::sorted(value)));
    }
}
