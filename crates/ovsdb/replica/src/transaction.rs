//! Putting a transaction together.

use model::Json;
use serde_json::{Map, json};
use uuid::Uuid;

/// The operations of one transaction (RFC 7047 §5.2), in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    operations: Vec<Json>,
}

/// A reference to a row that the same transaction inserts under `name`.
pub fn named_uuid(name: &str) -> Json {
    json!(["named-uuid", name])
}

impl Transaction {
    pub fn new() -> Transaction {
        Transaction::default()
    }

    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Inserts a row that the other operations know by `name`.
    pub fn insert(&mut self, table: &str, name: &str, row: Map<String, Json>) {
        self.operations.push(json!({ "op": "insert", "table": table, "uuid-name": name, "row": row }));
    }

    /// Changes columns of a row.
    pub fn update(&mut self, table: &str, uuid: Uuid, row: Map<String, Json>) {
        self.operations.push(json!({ "op": "update", "table": table, "where": by_uuid(uuid), "row": row }));
    }

    pub fn delete(&mut self, table: &str, uuid: Uuid) {
        self.operations.push(json!({ "op": "delete", "table": table, "where": by_uuid(uuid) }));
    }

    /// Changes a column by what stands in it, such as `("ports", "insert", …)`.
    pub fn mutate(&mut self, table: &str, uuid: Uuid, column: &str, mutator: &str, value: Json) {
        self.operations.push(json!({
            "op": "mutate", "table": table, "where": by_uuid(uuid), "mutations": [[column, mutator, value]],
        }));
    }

    /// The whole fails unless the row has these values.
    pub fn verify(&mut self, table: &str, uuid: Uuid, row: Map<String, Json>) {
        let columns: Vec<&String> = row.keys().collect();
        self.operations.push(json!({
            "op": "wait", "timeout": 0, "table": table, "where": by_uuid(uuid),
            "columns": columns, "until": "==", "rows": [row],
        }));
    }

    /// A note in the server's log.
    pub fn comment(&mut self, text: &str) {
        self.operations.push(json!({ "op": "comment", "comment": text }));
    }

    pub fn into_operations(self) -> Vec<Json> {
        self.operations
    }
}

fn by_uuid(uuid: Uuid) -> Json {
    json!([["_uuid", "==", ["uuid", uuid.to_string()]]])
}
