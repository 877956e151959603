//! The protocol without I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{Datum, Json, Schema};
use rpc::Message;
use serde_json::{Map, json};
use uuid::Uuid;

use crate::row::Table;

/// Which columns of which tables are watched. A table that is not named is not watched.
#[derive(Clone, Debug, Default)]
pub struct MonitorSpec {
    /// Column names by table; an empty list is every column.
    pub tables: BTreeMap<String, Vec<String>>,
}

/// The number of a transaction that was sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TransactionId(u64);

/// What a message brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The copy is whole, or has changed.
    Changed,
    /// A transaction ended: the results of its operations, or why it was not run.
    Transacted { id: TransactionId, result: Result<Vec<Json>, String> },
    /// The lock that was asked for is ours, or somebody took it.
    Locked(bool),
    /// The server does not have the database, or refuses to serve it.
    Refused(String),
}

/// What a request that is under way is for.
#[derive(Clone, Debug)]
enum Pending {
    Schema,
    MonitorSince,
    MonitorPlain,
    Transaction(TransactionId),
    Lock,
}

/// The copy and the conversation about it.
#[derive(Debug)]
pub struct Core {
    database: String,
    spec: MonitorSpec,
    tables: HashMap<String, Table>,
    pending: HashMap<u64, Pending>,
    next_id: u64,
    /// The last transaction that the copy has, as the server counts.
    last_transaction: Option<String>,
    is_synced: bool,
    lock: Option<String>,
    outgoing: Vec<Message>,
    changed: BTreeSet<(String, Uuid)>,
}

const MONITOR_ID: &str = "monitor";

impl Core {
    pub fn new(database: &str, spec: MonitorSpec) -> Core {
        Core {
            database: database.to_owned(),
            spec,
            tables: HashMap::new(),
            pending: HashMap::new(),
            next_id: 0,
            last_transaction: None,
            is_synced: false,
            lock: None,
            outgoing: Vec::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Whether the copy has been whole since the connection was made.
    pub fn is_synced(&self) -> bool {
        self.is_synced
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// The rows that changed, came or went since the last call.
    pub fn take_changes(&mut self) -> BTreeSet<(String, Uuid)> {
        std::mem::take(&mut self.changed)
    }

    /// What is to be sent, in this order.
    pub fn take_outgoing(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.outgoing)
    }

    /// A connection was made: the conversation begins anew.
    pub fn connected(&mut self) {
        self.pending.clear();
        self.is_synced = false;
        let database = self.database.clone();
        self.request("get_schema", vec![database.into()], Pending::Schema);
        if let Some(lock) = self.lock.clone() {
            self.request("lock", vec![lock.into()], Pending::Lock);
        }
    }

    /// The connection is lost: nobody knows what became of the transactions under way.
    pub fn disconnected(&mut self) -> Vec<Event> {
        self.is_synced = false;
        let pending = std::mem::take(&mut self.pending);
        let lost = pending.into_values().filter_map(|pending| match pending {
            Pending::Transaction(id) => {
                Some(Event::Transacted { id, result: Err("connection lost".to_owned()) })
            }
            _ => None,
        });
        lost.collect()
    }

    /// Asks for the lock of this name, now and after every reconnection.
    pub fn set_lock(&mut self, name: &str) {
        self.lock = Some(name.to_owned());
        self.request("lock", vec![name.into()], Pending::Lock);
    }

    pub fn transact(&mut self, operations: Vec<Json>) -> TransactionId {
        let id = TransactionId(self.next_id);
        let mut params = vec![Json::from(self.database.clone())];
        params.extend(operations);
        self.request("transact", params, Pending::Transaction(id));
        id
    }

    fn request(&mut self, method: &str, params: Vec<Json>, pending: Pending) {
        let id = self.next_id;
        self.next_id += 1;
        self.pending.insert(id, pending);
        self.outgoing.push(Message::request(method, params, id));
    }

    /// Takes in a message. An error is a fault of the server: the connection is of no more use.
    pub fn handle(&mut self, message: Message) -> Result<Option<Event>, String> {
        match message {
            Message::Reply { id, result, .. } => match self.take_pending(&id) {
                Some(pending) => self.reply(pending, result),
                None => Ok(None),
            },
            Message::Error { id, error, .. } => match self.take_pending(&id) {
                Some(pending) => self.refused(pending, &error),
                None => Ok(None),
            },
            Message::Notify { method, params, .. } => self.notify(&method, params),
            Message::Request { .. } => Ok(None),
        }
    }

    fn take_pending(&mut self, id: &Json) -> Option<Pending> {
        self.pending.remove(&id.as_u64()?)
    }

    fn reply(&mut self, pending: Pending, result: Json) -> Result<Option<Event>, String> {
        match pending {
            Pending::Schema => {
                let schema = Schema::from_json(&result).map_err(|e| e.to_string())?;
                self.start_monitor(&schema);
                Ok(None)
            }
            Pending::MonitorSince => {
                let [found, last, updates] = result.as_array().map(Vec::as_slice).unwrap_or_default() else {
                    return Err("monitor_cond_since: malformed reply".to_owned());
                };
                if found != &Json::Bool(true) {
                    self.clear();
                }
                self.last_transaction = last.as_str().map(str::to_owned);
                self.apply(updates, Core::apply_row2)?;
                self.is_synced = true;
                Ok(Some(Event::Changed))
            }
            Pending::MonitorPlain => {
                self.clear();
                self.apply(&result, Core::apply_row1)?;
                self.is_synced = true;
                Ok(Some(Event::Changed))
            }
            Pending::Transaction(id) => {
                let result = result.as_array().cloned().ok_or("transact: malformed reply")?;
                Ok(Some(Event::Transacted { id, result: Ok(result) }))
            }
            Pending::Lock => Ok(Some(Event::Locked(result["locked"] == true))),
        }
    }

    fn refused(&mut self, pending: Pending, error: &Json) -> Result<Option<Event>, String> {
        let text = error["error"].as_str().map_or_else(|| error.to_string(), str::to_owned);
        match pending {
            Pending::MonitorSince => {
                // An old server: the first form of monitors is known to all.
                self.last_transaction = None;
                let params = vec![self.database.clone().into(), MONITOR_ID.into(), self.requests()];
                self.request("monitor", params, Pending::MonitorPlain);
                Ok(None)
            }
            Pending::Transaction(id) => Ok(Some(Event::Transacted { id, result: Err(text) })),
            Pending::Schema | Pending::MonitorPlain => Ok(Some(Event::Refused(text))),
            Pending::Lock => Ok(Some(Event::Locked(false))),
        }
    }

    fn start_monitor(&mut self, schema: &Schema) {
        let known = |name: &String| schema.table(name).is_some();
        self.spec.tables.retain(|name, _| known(name));
        for (name, columns) in &mut self.spec.tables {
            let Some(table) = schema.table(name) else { continue };
            columns.retain(|column| table.column(column).is_some());
            match self.tables.get_mut(name) {
                Some(copy) => copy.schema = table.clone(),
                None => drop(self.tables.insert(name.clone(), Table::new(table.clone()))),
            }
        }
        let since = self.last_transaction.clone().unwrap_or_else(|| Uuid::nil().to_string());
        let params = vec![self.database.clone().into(), MONITOR_ID.into(), self.requests(), since.into()];
        self.request("monitor_cond_since", params, Pending::MonitorSince);
    }

    fn requests(&self) -> Json {
        let tables = self.spec.tables.iter().map(|(table, columns)| {
            let request = if columns.is_empty() { json!([{}]) } else { json!([{ "columns": columns }]) };
            (table.clone(), request)
        });
        Json::Object(tables.collect())
    }

    fn clear(&mut self) {
        for (name, table) in &mut self.tables {
            self.changed.extend(table.rows().map(|row| (name.clone(), row.uuid)));
            table.clear();
        }
    }

    fn notify(&mut self, method: &str, params: Vec<Json>) -> Result<Option<Event>, String> {
        match (method, params.as_slice()) {
            ("update", [_, updates]) => self.apply(updates, Core::apply_row1)?,
            ("update2", [_, updates]) => self.apply(updates, Core::apply_row2)?,
            ("update3", [_, last, updates]) => {
                self.last_transaction = last.as_str().map(str::to_owned);
                self.apply(updates, Core::apply_row2)?;
            }
            ("locked", _) => return Ok(Some(Event::Locked(true))),
            ("stolen", _) => return Ok(Some(Event::Locked(false))),
            ("monitor_canceled", _) => {
                self.last_transaction = None;
                self.connected();
                return Ok(None);
            }
            _ => return Ok(None),
        }
        Ok(Some(Event::Changed))
    }

    /// Applies the updates of several tables, row by row.
    fn apply(
        &mut self,
        updates: &Json,
        row: fn(&mut Table, Uuid, &Map<String, Json>) -> Result<(), String>,
    ) -> Result<(), String> {
        let tables = updates.as_object().ok_or("updates are not an object")?;
        for (name, rows) in tables {
            let table = self.tables.get_mut(name).ok_or_else(|| format!("update of unknown table {name}"))?;
            for (uuid, update) in rows.as_object().ok_or("table update is not an object")? {
                let id = model::parse_uuid(uuid).ok_or_else(|| format!("{uuid}: not a UUID"))?;
                row(table, id, update.as_object().ok_or("row update is not an object")?)?;
                self.changed.insert((name.clone(), id));
            }
        }
        Ok(())
    }

    /// RFC 7047 §4.1.6: old and new values.
    fn apply_row1(table: &mut Table, uuid: Uuid, update: &Map<String, Json>) -> Result<(), String> {
        match update.get("new").and_then(Json::as_object) {
            Some(new) => set_columns(table, uuid, new),
            None => {
                table.remove(&uuid);
                Ok(())
            }
        }
    }

    /// ovsdb-server(7) §4.1.14: initial, insert, delete or modify with differences.
    fn apply_row2(table: &mut Table, uuid: Uuid, update: &Map<String, Json>) -> Result<(), String> {
        if update.contains_key("delete") {
            table.remove(&uuid);
            return Ok(());
        }
        if let Some(new) = update.get("insert").or_else(|| update.get("initial")).and_then(Json::as_object) {
            table.remove(&uuid);
            return set_columns(table, uuid, new);
        }
        let modify = update.get("modify").and_then(Json::as_object).ok_or("row update of no known kind")?;
        let schema = table.schema.clone();
        let row = table.get_mut(&uuid).ok_or("modification of a row that is not there")?;
        for (name, json) in modify {
            let Some(column) = schema.column(name) else { continue };
            let kind = column.r#type.unconstrained();
            let difference = Datum::from_json(json, &kind, None).map_err(|e| e.to_string())?;
            let new = row.datum(name).apply_diff(&difference, &kind).map_err(|e| e.to_string())?;
            row.set(name, new);
        }
        Ok(())
    }
}

fn set_columns(table: &mut Table, uuid: Uuid, columns: &Map<String, Json>) -> Result<(), String> {
    let schema = table.schema.clone();
    let row = table.insert(uuid);
    for (name, json) in columns {
        let Some(column) = schema.column(name) else { continue };
        let value =
            Datum::from_json(json, &column.r#type.unconstrained(), None).map_err(|e| e.to_string())?;
        row.set(name, value);
    }
    Ok(())
}
