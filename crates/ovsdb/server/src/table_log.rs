//! Logging of every change to the rows of chosen tables (`ovsdb-server/tlog-set`).

use crate::server::Server;
use store::{Changes, Database, Row, Table};

fn row_text(table: &Table, row: &Row) -> String {
    let columns = table.schema.columns.iter();
    let text =
        columns.filter_map(|c| Some(format!("{}:{}", c.name, row.column(c.index)?.to_text(&c.r#type))));
    text.collect::<Vec<_>>().join(",")
}

/// Logs what was done to rows of the tables of these numbers.
pub(crate) fn log_changes(database: &Database, logged: &[usize], changes: &Changes) {
    for (index, table) in logged.iter().filter_map(|index| Some((index, database.tables.get(*index)?))) {
        for change in changes.of_table(*index) {
            let (operation, row) = match (&change.old, &change.new) {
                (None, Some(new)) => ("inserted", new),
                (Some(_), Some(new)) => ("updated", new),
                (Some(old), None) => ("deleted", old),
                (None, None) => continue,
            };
            let (name, row) = (&table.schema.name, row_text(table, row));
            log::info!(target: "transaction", "table:{name},op:{operation},{row}");
        }
    }
}

impl Server {
    /// Begins or ends to log the changes of a table, named as `DB:TABLE`.
    pub fn set_table_log(&mut self, place: &str, on: bool) -> Result<(), String> {
        let names: Vec<&str> = place.split(':').filter(|name| !name.is_empty()).collect();
        let [database, table] = names.as_slice() else { return Err("invalid DB:TABLE argument".to_owned()) };
        let hosted = self.databases.get_mut(*database).ok_or("no such database")?;
        let index = hosted.file.database.table_index(table).ok_or("no such table")?;
        hosted.logged_tables.retain(|logged| *logged != index);
        if on {
            hosted.logged_tables.push(index);
        }
        Ok(())
    }

    /// All tables and whether their changes are logged.
    pub fn table_logs(&self) -> String {
        let mut text = String::from(
            "database        table                       logging\n\
             --------        -----                       -------\n",
        );
        for (name, hosted) in &self.databases {
            text.push_str(&format!("{name:<16} \n"));
            let tables = hosted.file.database.schema.tables.keys().enumerate();
            let mut tables: Vec<(&String, bool)> =
                tables.map(|(index, table)| (table, hosted.logged_tables.contains(&index))).collect();
            tables.sort();
            for (table, on) in tables {
                let state = if on { "ON" } else { "OFF" };
                text.push_str(&format!("                {table:<27} {state}\n"));
            }
        }
        text
    }
}
