//! Remotes that a database names: `db:DATABASE,TABLE,COLUMN`.
//!
//! A column of strings holds targets. A column of references leads to rows (such
//! as those of `Manager`) that hold a target with options, and whose status
//! columns are kept up to date.

use crate::server::Server;
use model::{AtomType, Datum, Json};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{Database, Row, Table};

/// Where to listen or whom to connect to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub target: String,
    pub read_only: bool,
    /// The role that its clients act in.
    pub role: Option<String>,
    /// Zero is never.
    pub probe_interval: Option<Duration>,
    pub max_backoff: Option<Duration>,
    /// How packets to its clients are marked.
    pub dscp: u8,
}

/// What packets are marked with unless told otherwise: internetwork control (RFC 4594).
pub const DEFAULT_DSCP: u8 = 48;

impl Remote {
    pub fn new(target: &str) -> Remote {
        Remote {
            target: target.to_owned(),
            read_only: false,
            role: None,
            probe_interval: None,
            max_backoff: None,
            dscp: DEFAULT_DSCP,
        }
    }
}

/// How a remote does, for the status columns of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteStatus {
    pub is_connected: bool,
    pub state: String,
    pub since_connect: Option<Duration>,
    pub since_disconnect: Option<Duration>,
    /// Why the last connection or attempt ended.
    pub last_error: Option<String>,
    pub locks_held: Vec<String>,
    pub locks_waiting: Vec<String>,
    pub locks_lost: Vec<String>,
    pub connections: usize,
    pub bound_port: Option<u16>,
}

impl RemoteStatus {
    /// What is reported of a remote that is no single connection: nothing, but zeros for its times.
    pub(crate) fn of_nobody(&self) -> RemoteStatus {
        RemoteStatus {
            is_connected: self.is_connected,
            connections: self.connections,
            since_connect: Some(Duration::ZERO),
            since_disconnect: Some(Duration::ZERO),
            ..RemoteStatus::default()
        }
    }

    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut put = |name: &str, value: String| pairs.push((name.to_owned(), value));
        if !self.state.is_empty() {
            put("state", self.state.clone());
        }
        if let Some(since) = self.since_connect {
            put("sec_since_connect", since.as_secs().to_string());
        }
        if let Some(since) = self.since_disconnect {
            put("sec_since_disconnect", since.as_secs().to_string());
        }
        if let Some(error) = &self.last_error {
            put("last_error", error.clone());
        }
        for (name, locks) in [
            ("locks_held", &self.locks_held),
            ("locks_waiting", &self.locks_waiting),
            ("locks_lost", &self.locks_lost),
        ] {
            if !locks.is_empty() {
                put(name, locks.join(" "));
            }
        }
        if self.connections > 1 {
            put("n_connections", self.connections.to_string());
        }
        if let Some(port) = self.bound_port {
            put("bound_port", port.to_string());
        }
        pairs
    }
}

struct Place<'s> {
    database: &'s Database,
    table: &'s Table,
    column: usize,
}

/// Finds what `db:DATABASE,TABLE,COLUMN` names, or `db:TABLE,COLUMN` while one database is served.
fn parse<'s>(server: &'s Server, name: &str) -> Result<Place<'s>, String> {
    let invalid = || format!("\"{name}\": invalid syntax");
    let words = name.strip_prefix("db:").ok_or_else(invalid)?.split(',').filter(|w| !w.is_empty());
    let words: Vec<&str> = words.collect();
    let (database, table, column) = match words.as_slice() {
        [database, table, column, ..] => (*database, *table, *column),
        // The old form, which is clear while there is one database.
        [table, column] => (server.only_database().ok_or_else(invalid)?, *table, *column),
        _ => return Err(invalid()),
    };
    let file = server.database(database);
    let database = &file.ok_or_else(|| format!("\"{name}\": no database named {database}"))?.database;
    let table = database.table(table).ok_or_else(|| format!("\"{name}\": no table named {table}"))?;
    let found = table.schema.column(column);
    let column = found
        .ok_or_else(|| format!("\"{name}\": table \"{}\" has no column \"{column}\"", table.schema.name))?;
    Ok(Place { database, table, column: column.index })
}

/// The first string in the column that `db:DATABASE,TABLE,COLUMN` names, or `name` itself.
pub(crate) fn string_of(server: &Server, name: &str) -> Result<Option<String>, String> {
    if !name.starts_with("db:") {
        return Ok(Some(name.to_owned()));
    }
    let place = parse(server, name)?;
    let schema = place.table.schema.columns.get(place.column);
    if let Some(column) = schema.filter(|c| c.r#type.key.kind != AtomType::String || c.r#type.is_map()) {
        let table = &place.table.schema.name;
        let column = &column.name;
        return Err(format!(
            "\"{name}\": table \"{table}\" column \"{column}\" is not string or set of strings"
        ));
    }
    let values = place.table.rows().filter_map(|row| row.column(place.column));
    let mut strings = values.flat_map(|value| value.atoms().iter().filter_map(|a| a.as_str()));
    Ok(strings.find(|text| !text.is_empty()).map(str::to_owned))
}

impl Server {
    /// See the command line's `--private-key=db:…`.
    pub fn string_of(&self, name: &str) -> Result<Option<String>, String> {
        string_of(self, name)
    }
}

/// The remotes that `db:DATABASE,TABLE,COLUMN` names now.
pub fn database_remotes(server: &Server, name: &str) -> Result<Vec<Remote>, String> {
    let place = parse(server, name)?;
    let Some(column) = place.table.schema.columns.get(place.column) else { return Ok(Vec::new()) };
    let base = &column.r#type.key;
    if base.kind == AtomType::String && !column.r#type.is_map() {
        let values = place.table.rows().filter_map(|row| row.column(place.column));
        let targets = values.flat_map(|value| value.atoms().iter().filter_map(|a| a.as_str()));
        return Ok(targets.filter(|target| may_be_named(target)).map(Remote::new).collect());
    }
    let mut remotes = Vec::new();
    if let Some((table, _)) = base.reference().filter(|_| !column.r#type.is_map()) {
        for row in referred_rows(&place, table) {
            remotes.extend(manager_remote(place.database, table, &row));
        }
    }
    Ok(remotes)
}

/// Whether a database may name this remote: open files are for whoever starts the server.
fn may_be_named(target: &str) -> bool {
    let is_file = target.starts_with("pfd:");
    if is_file {
        log::warn!(target: "ovsdb_server",
            "pfd: remotes can only be specified on the command line; ignoring \"{target}\" from database");
    }
    !is_file
}

fn referred_rows(place: &Place<'_>, target: &str) -> Vec<Arc<Row>> {
    let Some(target) = place.database.table(target) else { return Vec::new() };
    let values = place.table.rows().filter_map(|row| row.column(place.column));
    let uuids = values.flat_map(|value| value.atoms().iter().filter_map(|a| a.as_uuid()));
    uuids.filter_map(|uuid| target.row(&uuid).cloned()).collect()
}

fn manager_remote(database: &Database, table: &str, row: &Row) -> Option<Remote> {
    let schema = &database.table(table)?.schema;
    let value = |name: &str| -> Option<&Datum> { row.column(schema.column(name)?.index) };
    let Some(target) = value("target").and_then(|v| v.one()).and_then(|a| a.as_str()) else {
        log::info!(target: "ovsdb_server", "Table `{table}' has missing or invalid `target' column");
        return None;
    };
    if !may_be_named(target) {
        return None;
    }
    let duration = |name: &str| {
        let ms = value(name)?.one()?.as_integer()?;
        u64::try_from(ms).ok().map(Duration::from_millis)
    };
    Some(Remote {
        target: target.to_owned(),
        read_only: value("read_only").and_then(|v| v.one()).and_then(|a| a.as_boolean()).unwrap_or(false),
        role: value("role").and_then(|v| v.one()).and_then(|a| a.as_str()).map(str::to_owned),
        probe_interval: duration("inactivity_probe"),
        max_backoff: duration("max_backoff"),
        dscp: value("other_config")
            .and_then(|v| v.get("dscp"))
            .and_then(|text| text.parse().ok())
            .filter(|dscp| *dscp <= 63)
            .unwrap_or(DEFAULT_DSCP),
    })
}

/// Brings the status columns of the rows that `db:DATABASE,TABLE,COLUMN` names up to date.
pub fn write_status(server: &mut Server, name: &str, status_of: &dyn Fn(&str) -> Option<RemoteStatus>) {
    let Ok(place) = parse(server, name) else { return };
    let column = place.table.schema.columns.get(place.column);
    let Some((table, _)) = column.and_then(|c| c.r#type.key.reference()) else { return };
    let database = place.database.name().to_owned();
    let Some(schema) = place.database.table(table).map(|t| t.schema.clone()) else { return };
    let mut operations = vec![Json::from(database.as_str())];
    for row in referred_rows(&place, table) {
        let Some(target) = schema.column("target").and_then(|c| row.column(c.index)) else { continue };
        let Some(target) = target.one().and_then(|a| a.as_str()) else { continue };
        let status = status_of(target).unwrap_or_else(|| RemoteStatus::default().of_nobody());
        let mut values = serde_json::Map::new();
        if schema.column("is_connected").is_some() {
            values.insert("is_connected".to_owned(), json!(status.is_connected));
        }
        if schema.column("status").is_some_and(|c| c.r#type.is_map()) {
            let pairs = status.pairs().into_iter().map(|(k, v)| json!([k, v]));
            values.insert("status".to_owned(), json!(["map", pairs.collect::<Vec<_>>()]));
        }
        let uuid = row.uuid().to_string();
        operations.push(json!({
            "op": "update", "table": table, "where": [["_uuid", "==", ["uuid", uuid]]], "row": values
        }));
    }
    if operations.len() > 1
        && let Err(e) = server.commit_own(&database, &operations)
    {
        log::error!(target: "ovsdb_server", "Failed to update remote status: {e}");
    }
}
