//! The database `_Server`, in which the server lists the databases that it serves (ovsdb-server(7)).

use crate::server::Server;
use model::{Error, Json, Schema, Uuid};
use serde_json::{Value, json};
use store::{Changes, DatabaseFile, Executed, Request};

/// Its name.
pub const SERVER_DATABASE: &str = "_Server";

pub(crate) fn create() -> Result<DatabaseFile, Error> {
    let optional = |kind: &str| json!({"type": {"key": {"type": kind}, "min": 0, "max": 1}});
    let model = json!({"type": "string", "enum": ["set", ["standalone", "clustered", "relay"]]});
    let schema = json!({
        "name": SERVER_DATABASE,
        "version": "1.2.0",
        "cksum": "3009684573 744",
        "tables": {"Database": {"isRoot": true, "columns": {
            "name": {"type": "string"},
            "model": {"type": {"key": model}},
            "connected": {"type": "boolean"},
            "leader": {"type": "boolean"},
            "schema": optional("string"),
            "cid": optional("uuid"),
            "sid": optional("uuid"),
            "index": optional("integer")
        }}}
    });
    Ok(DatabaseFile::in_memory(Schema::from_json(&schema)?))
}

/// Runs a transaction that clients could not, as names that begin with "_" are reserved.
pub(crate) fn transact(file: &mut DatabaseFile, params: &[Json]) -> Result<Changes, Error> {
    let request = Request { privileged: true, holds_lock: &|_| true, ..Request::of(params) };
    match store::execute(&file.database, &request) {
        Executed::Ready { transaction, durable, .. } => file.commit(transaction, durable),
        Executed::Blocked { .. } => Err(Error::general("the server's own transaction would wait")),
        Executed::Failed(results) => {
            let error = results.into_iter().find(|r| r.get("error").is_some());
            Err(Error::general(error.map_or_else(String::new, |e| e.to_string())))
        }
    }
}

impl Server {
    /// Makes the rows of `_Server` tell how things are.
    pub(crate) fn update_server_database(&mut self) {
        let mut operations: Vec<Json> = vec![json!(SERVER_DATABASE)];
        let Some(own) = self.database(SERVER_DATABASE) else { return };
        let mut known: Vec<(String, Uuid)> = Vec::new();
        for row in own.database.table("Database").into_iter().flat_map(|t| t.rows()) {
            let name =
                own.database.table("Database").and_then(|t| row.column(t.schema.column("name")?.index));
            known.push((name.map_or_else(String::new, |n| n.to_bare()), row.uuid()));
        }
        for (name, hosted) in &mut self.databases {
            let mut row = json!({"name": name});
            match &hosted.relay {
                None => {
                    row["model"] = json!("standalone");
                    row["connected"] = json!(true);
                    row["leader"] = json!(true);
                }
                Some(relay) => {
                    row["model"] = json!("relay");
                    row["connected"] = json!(relay.connected);
                    row["leader"] = json!(false);
                }
            }
            let known = known.iter().find(|(n, _)| n == name);
            if !hosted.is_schema_published && hosted.is_available() {
                hosted.is_schema_published = true;
                row["schema"] = json!(model::json::sorted(&hosted.file.database.schema.to_json()));
            }
            operations.push(match known {
                None => json!({"op": "insert", "table": "Database", "row": row}),
                Some((_, uuid)) => json!({
                    "op": "update", "table": "Database", "row": row,
                    "where": [["_uuid", "==", ["uuid", uuid.to_string()]]]
                }),
            });
        }
        for (name, uuid) in known.iter().filter(|(name, _)| !self.databases.contains_key(name)) {
            log::debug!(target: "ovsdb_server", "forgetting {name}");
            let condition: Value = json!([["_uuid", "==", ["uuid", uuid.to_string()]]]);
            operations.push(json!({"op": "delete", "table": "Database", "where": condition}));
        }
        if let Err(e) = self.commit_own(SERVER_DATABASE, &operations) {
            log::error!(target: "ovsdb_server", "updating {SERVER_DATABASE} failed: {e}");
        }
    }
}
