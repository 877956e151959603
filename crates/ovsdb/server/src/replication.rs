//! Active-backup replication: a database that is read-only here and follows the server where it is active.

use crate::mirror::{self, Form};
use crate::server::{Server, SharedServer};
use base::Clock;
use model::{Error, Json, Schema};
use rpc::{Event, Message, OVSDB_PORT, Session, Tls};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Whom to follow, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub target: String,
    /// Tables that stay as they are here.
    pub excluded: Vec<String>,
    /// How long the source may be silent; may be changed at any time.
    pub probe_interval: Rc<Cell<Duration>>,
    pub max_backoff: Option<Duration>,
}

/// How far replication is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Connecting,
    Replicating,
    /// It cannot be done, or not any more.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    ServerId,
    Databases,
    Schema,
    Monitor,
    Replicating,
}

impl Server {
    /// Makes a database a backup, which only its source changes, or an active one.
    pub fn set_backup(&mut self, name: &str, backup: bool) {
        if let Some(hosted) = self.databases.get_mut(name) {
            hosted.read_only = backup;
        }
    }

    fn apply_replicated(
        &mut self,
        name: &str,
        updates: &Json,
        form: Form,
        excluded: &[String],
    ) -> Result<(), Error> {
        let Some(hosted) = self.databases.get_mut(name) else { return Ok(()) };
        let is_mirrored = |table: &str| excluded.iter().all(|excluded| excluded != table);
        let transaction = mirror::mirrored(&hosted.file.database, updates, form, &is_mirrored)?;
        let (changes, _) = hosted.file.commit_unsynced(transaction, false)?;
        self.committed(name, &changes);
        self.run_triggers(name);
        Ok(())
    }
}

/// Follows the source until it cannot. `progress` tells how far it is, and `wake` is called when it fails.
pub async fn run_replication(
    server: SharedServer,
    name: String,
    source: Source,
    progress: Rc<Cell<Progress>>,
    wake: Rc<tokio::sync::Notify>,
    tls: Tls,
    clock: Clock,
) {
    let remotes: Vec<String> = source.target.split(',').map(str::to_owned).collect();
    let mut link = Session::open(&remotes, OVSDB_PORT, true, tls, clock);
    link.set_probe_interval(source.probe_interval.get());
    if let Some(backoff) = source.max_backoff {
        link.set_max_backoff(backoff);
    }
    let mut replication = Replication { server, name, source, state: State::Idle, next_id: 0, awaited: 0 };
    loop {
        link.set_probe_interval(replication.source.probe_interval.get());
        let failure = match link.next().await {
            Event::Connected => {
                progress.set(Progress::Connecting);
                replication.request(&mut link, State::ServerId, "get_server_id", Vec::new());
                None
            }
            Event::Message(message) => replication.received(&mut link, message).err(),
            Event::Disconnected => {
                progress.set(Progress::Connecting);
                replication.state = State::Idle;
                None
            }
            Event::Ended => Some("the connection ended".to_owned()),
        };
        if replication.state == State::Replicating {
            progress.set(Progress::Replicating);
        }
        if let Some(why) = failure {
            log::error!(target: "replication", "{}: {why}", replication.name);
            progress.set(Progress::Failed);
            wake.notify_one();
            return;
        }
    }
}

struct Replication {
    server: SharedServer,
    name: String,
    source: Source,
    state: State,
    next_id: u64,
    awaited: u64,
}

impl Replication {
    fn request(&mut self, link: &mut Session, state: State, method: &str, params: Vec<Json>) {
        self.awaited = self.next_id;
        self.next_id += 1;
        self.state = state;
        link.send(&Message::request(method, params, self.awaited));
    }

    fn received(&mut self, link: &mut Session, message: Message) -> Result<(), String> {
        match message {
            Message::Notify { method, params } if method == "update" => self.updated(&params),
            Message::Reply { result, id } if id.as_u64() == Some(self.awaited) => self.replied(link, &result),
            Message::Reply { .. } => {
                log::warn!(target: "replication", "{}: received unexpected reply.", self.name);
                Ok(())
            }
            Message::Notify { .. } | Message::Error { .. } | Message::Request { .. } => Ok(()),
        }
    }

    fn updated(&mut self, params: &[Json]) -> Result<(), String> {
        let [Value::String(id), updates] = params else { return Ok(()) };
        if *id != self.name {
            return Err(format!("received update for unexpected database {id}"));
        }
        self.apply(updates, Form::Update1)
    }

    fn apply(&self, updates: &Json, form: Form) -> Result<(), String> {
        let mut server = self.server.borrow_mut();
        match server.apply_replicated(&self.name, updates, form, &self.source.excluded) {
            // The reference lets such updates pass.
            Err(e) if e.tag == "consistency violation" => Ok(()),
            result => result.map_err(|e| e.to_string()),
        }
    }

    fn replied(&mut self, link: &mut Session, result: &Json) -> Result<(), String> {
        let name = Json::from(self.name.as_str());
        match self.state {
            State::ServerId => {
                let id = result.as_str().and_then(model::parse_uuid);
                let id = id.ok_or("get_server_id failed: Server ID is not valid UUID")?;
                if id == self.server.borrow().uuid {
                    return Err("Server ID check failed: Self replicating is not allowed".to_owned());
                }
                self.request(link, State::Databases, "list_dbs", Vec::new());
            }
            State::Databases => {
                let names = result.as_array().ok_or("list_dbs failed: list_dbs response is not array")?;
                if !names.contains(&name) {
                    return Err("list_dbs failed: database name is not in the list".to_owned());
                }
                self.request(link, State::Schema, "get_schema", vec![name]);
            }
            State::Schema => {
                let schema = Schema::from_json(result).map_err(|e| e.to_string())?;
                self.check_schema(&schema)?;
                let mut requests = Map::new();
                for table in schema.tables.keys().filter(|table| !self.source.excluded.contains(table)) {
                    requests.insert(table.clone(), json!([{}]));
                }
                self.request(link, State::Monitor, "monitor", vec![name.clone(), name, requests.into()]);
            }
            State::Monitor => {
                log::info!(target: "replication",
                    "{}: Monitor reply received. Resetting the database.", self.name);
                self.apply(result, Form::Initial1)?;
                self.state = State::Replicating;
            }
            State::Idle | State::Replicating => {}
        }
        Ok(())
    }

    /// The source may lack tables and columns that are here, but not the other way round.
    fn check_schema(&self, active: &Schema) -> Result<(), String> {
        let server = self.server.borrow();
        let Some(local) = server.database(&self.name).map(|file| file.database.schema.clone()) else {
            return Ok(());
        };
        if active.name != local.name {
            return Err(format!("unexpected schema {}.", active.name));
        }
        if *active == *local {
            return Ok(());
        }
        let name = &self.name;
        log::info!(target: "replication",
            "{name}: Schema version mismatch, checking if {name} can still be replicated or not.");
        match first_difference(active, &local) {
            None => {
                log::info!(target: "replication", "{name} can be replicated.");
                Ok(())
            }
            Some(difference) => {
                log::info!(target: "replication", "{difference}");
                log::info!(target: "replication", "{name} cannot be replicated.");
                Err("the schemas differ".to_owned())
            }
        }
    }
}

/// What the local schema lacks of the active one.
fn first_difference(active: &Schema, local: &Schema) -> Option<String> {
    for (name, table) in &active.tables {
        let Some(ours) = local.tables.get(name) else {
            return Some(format!("Table {name} not present in the local db schema"));
        };
        for column in table.declared_columns() {
            let Some(our_column) = ours.column(&column.name) else {
                let column = &column.name;
                return Some(format!("Column {column} not present in the local db schema table {name}."));
            };
            let same = column.r#type == our_column.r#type
                && column.mutable == our_column.mutable
                && column.persistent == our_column.persistent;
            if !same {
                return Some(format!("Column {} mismatch in local db schema table {name}.", column.name));
            }
        }
    }
    None
}
