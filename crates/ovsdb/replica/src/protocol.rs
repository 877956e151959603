//! The client's side of the protocol without I/O: messages in, messages and actions out.

use crate::tables::{Change, Tables};
use crate::transaction::{Outcome, Transaction};
use indexmap::IndexMap;
use model::{Json, Schema, Uuid};
use rpc::Message;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What to monitor.
#[derive(Clone, Debug, Default)]
pub struct Subscription {
    /// Tables, each with its columns or all of them. `None` is everything.
    pub tables: Option<Vec<(String, Option<Vec<String>>)>>,
    /// Whether only some rows are wanted: by table, the clauses of a condition.
    pub conditions: HashMap<String, Json>,
}

impl Subscription {
    /// The columns of a table that are monitored, or all of them; `None` where the table is not.
    fn columns_of(&self, table: &str) -> Option<Option<&Vec<String>>> {
        let Some(tables) = &self.tables else { return Some(None) };
        tables.iter().find(|(name, _)| name == table).map(|(_, columns)| columns.as_ref())
    }
}

/// What the owner should know of.
#[derive(Debug)]
pub enum Action {
    /// Send this to the server.
    Send(Message),
    /// The copy has changed, or is whole for the first time.
    Updated,
    /// The lock is ours now, or not any more.
    Lock(bool),
    /// A transaction is over.
    Committed(u64, Outcome),
    /// The server speaks wrongly: drop the connection.
    Reconnect(String),
    /// The server has no such database; it may get it.
    NoDatabase(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Disconnected,
    Schema,
    Monitor(Version),
    Live,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Since,
    Conditional,
    Plain,
}

#[derive(Debug)]
struct InFlight {
    transaction: Transaction,
}

/// See the module's text.
#[derive(Debug)]
pub struct Protocol {
    database: String,
    subscription: Subscription,
    state: State,
    next_id: u64,
    /// The id of the request whose reply moves `state` on.
    awaited: u64,
    schema: Option<Schema>,
    /// The server's schema is taken to be this one until it shows that it is not.
    expected: Option<Schema>,
    /// What the program was written for.
    written_for: Option<Schema>,
    /// `schema` is what was expected, not what the server told.
    is_assumed: bool,
    tables: Tables,
    changes: IndexMap<(String, Uuid), Change>,
    last_id: Uuid,
    seqno: u64,
    transactions: HashMap<u64, InFlight>,
    lock: Option<String>,
    lock_request: Option<u64>,
    has_lock: bool,
    /// Another client has the lock that was asked for on this connection.
    is_contended: bool,
}

impl Protocol {
    /// The protocol for a copy of what `subscription` names in `database`, not connected yet.
    pub fn new(database: &str, subscription: Subscription) -> Protocol {
        Protocol {
            database: database.to_owned(),
            subscription,
            state: State::Disconnected,
            next_id: 0,
            awaited: 0,
            schema: None,
            expected: None,
            written_for: None,
            is_assumed: false,
            tables: Tables::default(),
            changes: IndexMap::new(),
            last_id: Uuid::nil(),
            seqno: 0,
            transactions: HashMap::new(),
            lock: None,
            lock_request: None,
            has_lock: false,
            is_contended: false,
        }
    }

    /// Says what schema the server is thought to have, as far as the tables go that are subscribed to. That
    /// saves asking for it.
    pub fn expect_schema(&mut self, schema: Schema) {
        self.written_for = Some(schema.clone());
        self.expected = Some(schema);
    }

    /// Says what schema the program was written for: the log names what the server's lacks of it, as far as it is
    /// subscribed to.
    pub fn written_for(&mut self, schema: Schema) {
        self.written_for = Some(schema);
    }

    /// What the server's schema lacks, in words.
    pub(crate) fn lacking(&self) -> Vec<String> {
        let (Some(schema), Some(written_for)) = (&self.schema, &self.written_for) else { return Vec::new() };
        let database = &self.database;
        let mut lacking = Vec::new();
        for (name, wanted) in &written_for.tables {
            let Some(columns) = self.subscription.columns_of(name) else { continue };
            let Some(table) = schema.tables.get(name) else {
                lacking.push(format!("{database} database lacks {name} table (database needs upgrade?)"));
                continue;
            };
            let wanted = wanted.declared_columns().map(|column| &column.name);
            let wanted = wanted.filter(|column| columns.is_none_or(|list| list.contains(*column)));
            lacking.extend(wanted.filter(|column| table.column(column).is_none()).map(|column| {
                format!("{name} table in {database} database lacks {column} column (database needs upgrade?)")
            }));
        }
        lacking
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The copy, as far as it is known.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The database's schema, once it is known.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// Changes whenever the copy does; zero until it is whole for the first time.
    pub fn seqno(&self) -> u64 {
        self.seqno
    }

    /// Whether the copy is kept up to date now.
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// Whether the server granted the lock that [`Protocol::set_lock`] names.
    pub fn has_lock(&self) -> bool {
        self.has_lock
    }

    /// Whether another client has the lock.
    pub fn is_lock_contended(&self) -> bool {
        self.is_contended
    }

    /// The rows that changed since the last call, by table and UUID.
    pub fn take_changes(&mut self) -> IndexMap<(String, Uuid), Change> {
        std::mem::take(&mut self.changes)
    }

    fn request(&mut self, method: &str, params: Vec<Json>) -> (u64, Action) {
        let id = self.next_id;
        self.next_id += 1;
        (id, Action::Send(Message::request(method, params, id)))
    }

    /// A connection was made.
    pub fn connected(&mut self) -> Vec<Action> {
        if let Some(expected) = self.expected.take() {
            self.schema = Some(expected);
            self.is_assumed = true;
            return vec![self.monitor(Version::Since)];
        }
        self.ask_schema()
    }

    fn ask_schema(&mut self) -> Vec<Action> {
        if std::mem::take(&mut self.is_assumed) {
            self.schema = None;
        }
        self.state = State::Schema;
        let (id, action) = self.request("get_schema", vec![Json::from(self.database.as_str())]);
        self.awaited = id;
        vec![action]
    }

    /// The connection was lost; the copy stays as it is.
    pub fn disconnected(&mut self) -> Vec<Action> {
        self.state = State::Disconnected;
        self.lock_request = None;
        let mut actions = Vec::new();
        self.is_contended = false;
        if std::mem::take(&mut self.has_lock) {
            actions.push(Action::Lock(false));
        }
        let mut lost: Vec<u64> = self.transactions.drain().map(|(id, _)| id).collect();
        lost.sort_unstable();
        actions.extend(lost.into_iter().map(|id| Action::Committed(id, Outcome::TryAgain)));
        actions
    }

    /// Wants a lock, now and after each new connection, or none.
    pub fn set_lock(&mut self, name: Option<&str>) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.lock.as_deref() == name {
            return actions;
        }
        let live = self.state == State::Live;
        if let Some(old) = self.lock.take().filter(|_| live) {
            actions.push(self.request("unlock", vec![Json::from(old)]).1);
        }
        self.has_lock = false;
        self.lock = name.map(str::to_owned);
        if live {
            actions.extend(self.ask_for_lock());
        }
        actions
    }

    fn ask_for_lock(&mut self) -> Option<Action> {
        let name = self.lock.clone()?;
        let (id, action) = self.request("lock", vec![Json::from(name)]);
        self.lock_request = Some(id);
        Some(action)
    }

    /// Sends a transaction; its end comes as [`Action::Committed`] with this number.
    pub fn commit(&mut self, mut transaction: Transaction) -> (u64, Vec<Action>) {
        let id = self.next_id;
        let operations = transaction.operations(self.lock.as_deref());
        let Some(operations) = operations else {
            self.next_id += 1;
            return (id, vec![Action::Committed(id, Outcome::Unchanged)]);
        };
        if self.state != State::Live {
            self.next_id += 1;
            return (id, vec![Action::Committed(id, Outcome::TryAgain)]);
        }
        let mut params = vec![Json::from(self.database.as_str())];
        params.extend(operations);
        let (id, action) = self.request("transact", params);
        self.transactions.insert(id, InFlight { transaction });
        (id, vec![action])
    }

    /// Takes in a message of the server.
    pub fn received(&mut self, message: Message) -> Vec<Action> {
        match message {
            Message::Reply { result, id } => self.replied(&id, Ok(result)),
            Message::Error { error, id } => self.replied(&id, Err(error)),
            Message::Notify { method, params } => self.notified(&method, &params),
            Message::Request { id, .. } => {
                vec![Action::Send(Message::Error { error: Json::from("unknown method"), id })]
            }
        }
    }

    fn replied(&mut self, id: &Json, result: Result<Json, Json>) -> Vec<Action> {
        let Some(id) = id.as_u64() else { return Vec::new() };
        if let Some(sent) = self.transactions.remove(&id) {
            let outcome = match result {
                Ok(results) => sent.transaction.outcome(&results),
                Err(error) => Outcome::Error(model::json::sorted(&error)),
            };
            return vec![Action::Committed(id, outcome)];
        }
        if self.lock_request == Some(id) {
            self.lock_request = None;
            let locked = result.is_ok_and(|r| r.get("locked") == Some(&Value::Bool(true)));
            self.has_lock = locked;
            self.is_contended = !locked;
            return vec![Action::Lock(locked)];
        }
        if id != self.awaited {
            return Vec::new();
        }
        match (self.state, result) {
            (State::Schema, Ok(schema)) => self.got_schema(&schema),
            (State::Schema, Err(error)) => vec![Action::NoDatabase(error_text(&error))],
            (State::Monitor(version), Ok(reply)) => self.got_initial(version, &reply),
            (State::Monitor(_), Err(_)) if self.is_assumed => self.ask_schema(),
            (State::Monitor(Version::Since), Err(_)) => vec![self.monitor(Version::Conditional)],
            (State::Monitor(Version::Conditional), Err(_)) => vec![self.monitor(Version::Plain)],
            (State::Monitor(Version::Plain), Err(error)) => vec![Action::Reconnect(error_text(&error))],
            (State::Disconnected | State::Live, _) => Vec::new(),
        }
    }

    fn got_schema(&mut self, json: &Json) -> Vec<Action> {
        match Schema::from_json(json) {
            Err(e) => vec![Action::Reconnect(e.to_string())],
            Ok(schema) => {
                if self.schema.as_ref() != Some(&schema) {
                    self.last_id = Uuid::nil();
                    self.schema = Some(schema);
                    for lack in self.lacking() {
                        log::warn!(target: "ovsdb_idl", "{lack}");
                    }
                }
                vec![self.monitor(Version::Since)]
            }
        }
    }

    fn monitor_id(&self) -> Json {
        json!(["monid", self.database])
    }

    fn monitor(&mut self, version: Version) -> Action {
        self.state = State::Monitor(version);
        let mut params =
            vec![Json::from(self.database.as_str()), self.monitor_id(), self.monitor_requests(version)];
        let method = match version {
            Version::Since => {
                params.push(Json::from(self.last_id.to_string()));
                "monitor_cond_since"
            }
            Version::Conditional => "monitor_cond",
            Version::Plain => "monitor",
        };
        let (id, action) = self.request(method, params);
        self.awaited = id;
        action
    }

    fn monitor_requests(&self, version: Version) -> Json {
        let mut requests = Map::new();
        let Some(schema) = &self.schema else { return requests.into() };
        for (name, table) in &schema.tables {
            let Some(columns) = self.subscription.columns_of(name) else { continue };
            let mut request = Map::new();
            let wanted = table.declared_columns().map(|c| c.name.as_str());
            let known: Vec<&str> =
                wanted.filter(|c| columns.is_none_or(|list| list.iter().any(|w| w == c))).collect();
            request.insert("columns".to_owned(), json!(known));
            if let Some(condition) =
                self.subscription.conditions.get(name).filter(|_| version != Version::Plain)
            {
                request.insert("where".to_owned(), condition.clone());
            }
            requests.insert(name.clone(), Value::Array(vec![request.into()]));
        }
        requests.into()
    }

    fn got_initial(&mut self, version: Version, reply: &Json) -> Vec<Action> {
        let (continued, updates) = match (version, reply.as_array().map(Vec::as_slice)) {
            (Version::Since, Some([found, last_id, updates])) => {
                self.last_id = last_id.as_str().and_then(model::parse_uuid).unwrap_or_default();
                (found == &Value::Bool(true), updates)
            }
            (Version::Since, _) => return vec![Action::Reconnect("bad monitor reply".to_owned())],
            _ => (false, reply),
        };
        if !continued {
            self.start_over();
        }
        if let Err(e) = self.tables.apply(updates, &mut self.changes) {
            if self.is_assumed {
                self.changes.clear();
                return self.ask_again();
            }
            return vec![Action::Reconnect(e.to_string())];
        }
        self.changes.retain(|_, change| change.old != change.new);
        self.state = State::Live;
        self.seqno += 1;
        let mut actions = vec![Action::Updated];
        actions.extend(self.ask_for_lock());
        actions
    }

    /// Asks for the schema after all, and ends the monitor that was begun without it.
    fn ask_again(&mut self) -> Vec<Action> {
        let (_, cancel) = self.request("monitor_cancel", vec![self.monitor_id()]);
        let mut actions = vec![cancel];
        actions.extend(self.ask_schema());
        actions
    }

    /// Empties the copy; rows that were there count as gone until they come again.
    fn start_over(&mut self) {
        let Some(schema) = &self.schema else { return };
        let old = std::mem::replace(&mut self.tables, Tables::new(schema));
        for (name, table) in &old.tables {
            for (uuid, row) in &table.rows {
                let key = (name.clone(), *uuid);
                self.changes.entry(key).or_insert(Change { old: Some(row.clone()), new: None }).new = None;
            }
        }
    }

    fn notified(&mut self, method: &str, params: &[Json]) -> Vec<Action> {
        match (method, params) {
            ("update3", [_, last_id, updates]) => {
                self.last_id = last_id.as_str().and_then(model::parse_uuid).unwrap_or_default();
                self.updated(updates)
            }
            ("update" | "update2", [_, updates]) => self.updated(updates),
            ("locked" | "stolen", [name]) if name.as_str() == self.lock.as_deref() => {
                self.has_lock = method == "locked";
                self.is_contended = !self.has_lock;
                vec![Action::Lock(self.has_lock)]
            }
            ("monitor_canceled", _) => self.ask_schema(),
            _ => Vec::new(),
        }
    }

    fn updated(&mut self, updates: &Json) -> Vec<Action> {
        if self.state != State::Live {
            return Vec::new();
        }
        if let Err(e) = self.tables.apply(updates, &mut self.changes) {
            log::warn!(target: "ovsdb_idl", "{e}");
            return vec![Action::Reconnect(e.to_string())];
        }
        self.seqno += 1;
        vec![Action::Updated]
    }
}

fn error_text(error: &Json) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    match (text("error"), text("details")) {
        (Some(tag), Some(details)) => format!("{tag}: {details}"),
        _ => model::json::sorted(error),
    }
}
