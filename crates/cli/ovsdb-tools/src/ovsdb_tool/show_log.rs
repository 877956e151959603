//! `ovsdb-tool show-log`: the records of a database file, as people read them.

use std::collections::HashMap;
use std::fmt::Write;

use model::{Datum, Json, Schema};
use store::log_file::{LogFile, Mode};

use super::{Options, Outcome, default_database};

pub(super) fn show_log(options: &Options, args: &[String]) -> Outcome {
    let path = args.first().cloned().unwrap_or_else(default_database);
    let mut log = LogFile::open(&path, Mode::ReadOnly)?;
    let mut report = Report { out: String::new(), names: HashMap::new(), verbosity: options.verbosity };
    let mut schema = None;
    let mut number = 0;
    while let Some(record) = log.read()? {
        // Writing to a String cannot fail.
        let _ = write!(report.out, "record {number}:");
        match &schema {
            None => {
                let first = Schema::from_json(&record)?;
                let (name, version, cksum) = (&first.name, &first.version, &first.cksum);
                let _ = writeln!(report.out, " \"{name}\" schema, version=\"{version}\", cksum=\"{cksum}\"");
                schema = Some(first);
            }
            Some(schema) => report.record(&record, schema),
        }
        report.out.push('\n');
        number += 1;
    }
    Ok(report.out)
}

struct Report {
    out: String,
    /// What rows are called, by UUID.
    names: HashMap<String, String>,
    verbosity: u32,
}

impl Report {
    fn record(&mut self, record: &Json, schema: &Schema) {
        let Some(tables) = record.as_object() else { return };
        if let Some(date) = tables.get("_date").and_then(model::number::integer) {
            // Old records count seconds.
            let millis = if date < 1 << 31 { date * 1000 } else { date };
            let _ = write!(self.out, " {}", date_text(millis));
        }
        if let Some(comment) = tables.get("_comment").and_then(Json::as_str) {
            let mut quoted = String::new();
            model::json::write_string(&mut quoted, comment);
            let _ = write!(self.out, " {quoted}");
        }
        if self.verbosity > 0 {
            self.changes(tables, schema);
        } else {
            self.out.push('\n');
        }
    }

    fn changes(&mut self, tables: &serde_json::Map<String, Json>, schema: &Schema) {
        let is_difference = tables.get("_is_diff") == Some(&Json::Bool(true));
        let mut first = true;
        for (table, rows) in tables {
            let Some(rows) = rows.as_object().filter(|_| !table.starts_with('_')) else { continue };
            if std::mem::take(&mut first) {
                self.out.push('\n');
            }
            for (uuid, columns) in rows {
                self.row(table, uuid, columns, is_difference, schema);
            }
        }
    }

    fn row(&mut self, table: &str, uuid: &str, columns: &Json, is_difference: bool, schema: &Schema) {
        let short = uuid.get(..8).unwrap_or(uuid);
        let old = self.names.get(uuid).cloned();
        let new = columns.get("name").map(model::json::sorted);
        let _ = write!(self.out, "  table {table}");
        let _ = match (&old, &new) {
            (None, Some(name)) => writeln!(self.out, " insert row {name} ({short}):"),
            (None, None) => writeln!(self.out, " insert row {short}:"),
            (Some(name), _) => {
                let diff = if is_difference { " diff" } else { "" };
                writeln!(self.out, " row {name} ({short}){diff}:")
            }
        };
        match columns.as_object() {
            Some(values) => {
                if self.verbosity > 1 {
                    for (column, value) in values {
                        let _ =
                            writeln!(self.out, "    {column}={}", value_text(schema, table, column, value));
                    }
                }
                let name = new.or(old).unwrap_or_else(|| short.to_owned());
                self.names.insert(uuid.to_owned(), name);
            }
            None => {
                self.out.push_str("    delete row\n");
                self.names.remove(uuid);
            }
        }
    }
}

fn value_text(schema: &Schema, table: &str, column: &str, value: &Json) -> String {
    let kind = schema.table(table).and_then(|table| table.column(column)).map(|column| &column.r#type);
    kind.and_then(|kind| Some(Datum::from_json(value, kind, None).ok()?.to_text(kind)))
        .unwrap_or_else(|| model::json::sorted(value))
}

/// `2024-02-29 12:34:56.789`, in UTC.
fn date_text(millis: i64) -> String {
    let wall = std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis.unsigned_abs());
    base::time::wall_text("%Y-%m-%d %H:%M:%S.###", wall)
}
