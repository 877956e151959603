//! Finding the rows that a condition is about.

use crate::database::Database;
use crate::row::Row;
use crate::transaction::Transaction;
use model::{Clause, Condition, Datum, Function, Uuid};
use std::sync::Arc;

/// The rows that meet all clauses, as the transaction sees them.
pub(crate) fn matching<'a>(
    database: &'a Database,
    transaction: &'a Transaction,
    table_index: usize,
    condition: &Condition,
) -> Vec<&'a Arc<Row>> {
    let Some(table) = database.tables.get(table_index) else { return Vec::new() };
    let matches = |row: &&Arc<Row>| condition.matches_all(|c| row.column(c));
    if let Some(uuid) = by_uuid(condition) {
        return transaction.row(database, table_index, &uuid).into_iter().filter(matches).collect();
    }
    for (index, columns) in table.indexes.iter().zip(&table.schema.indexes) {
        let Some(key) = by_index(condition, columns) else { continue };
        // Rows that the transaction touched are few, and are not in the index as they are now.
        let touched = transaction.tables.get(&table_index);
        let untouched = index.get(&key).filter(|uuid| touched.is_none_or(|t| !t.contains_key(*uuid)));
        let untouched = untouched.and_then(|uuid| table.row(uuid));
        let touched = touched.into_iter().flat_map(|t| t.values()).filter_map(|t| t.new.as_ref());
        return untouched.into_iter().chain(touched).filter(matches).collect();
    }
    transaction.rows(table_index, table).filter(matches).collect()
}

fn equals(clause: &Clause) -> bool {
    clause.function == Function::Equal
}

fn by_uuid(condition: &Condition) -> Option<Uuid> {
    let clause = condition.clauses.iter().find(|c| equals(c) && c.column == model::schema::UUID_COLUMN)?;
    clause.argument.one()?.as_uuid()
}

/// The key to look up when the clauses fix all columns of an index.
fn by_index(condition: &Condition, columns: &[usize]) -> Option<Vec<Datum>> {
    let value = |column: &usize| {
        let clause = condition.clauses.iter().find(|c| equals(c) && c.column == *column)?;
        Some(clause.argument.clone())
    };
    columns.iter().map(value).collect()
}
