//! A database under another schema.

use std::sync::Arc;

use model::{Datum, Error, Schema, TableSchema};

use crate::database::Database;
use crate::row::Row;
use crate::transaction::Transaction;

impl Database {
    /// The same rows under another schema. Tables and columns that it lacks are dropped; what it has
    /// more holds defaults.
    pub fn convert(&self, schema: Arc<Schema>) -> Result<Database, Error> {
        let target = Database::new(schema);
        let mut transaction = Transaction::new();
        for table in &self.tables {
            let Some(index) = target.table_index(&table.schema.name) else { continue };
            let Some(new_table) = target.tables.get(index) else { continue };
            for row in table.rows() {
                let converted = convert_row(row, &table.schema, &new_table.schema)?;
                transaction.insert(index, converted);
            }
        }
        let mut target = target;
        target.commit(transaction)?;
        Ok(target)
    }
}

fn convert_row(row: &Row, from: &TableSchema, to: &TableSchema) -> Result<Row, Error> {
    let mut converted = Row::new(to, row.uuid());
    for column in from.declared_columns() {
        let Some(target) = to.column(&column.name) else { continue };
        let Some(value) = row.column(column.index) else { continue };
        let value = if target.r#type == column.r#type {
            value.clone()
        } else {
            Datum::from_json(&value.to_json(column.r#type.is_map()), &target.r#type, None)?
        };
        converted.set(target.index, value);
    }
    Ok(converted)
}
