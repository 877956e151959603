//! Relays: databases whose rows another server has, and to which changes are forwarded.
//!
//! The task of a relay monitors all tables of the source, and applies what it
//! is told as transactions of its own. Clients are answered from the copy; what
//! would change it goes to the source, whose reply goes back to the client. As
//! the source tells of changes before it replies, a client sees its own
//! transaction's effects before their reply here too.

use crate::hosted::Hosted;
use crate::mirror::{self, Form};
use crate::server::{Server, SharedServer};
use crate::session::SessionId;
use base::Clock;
use model::{Error, Json, Schema, Uuid};
use rpc::{Event, Message, OVSDB_PORT, Session, Tls};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;
use store::DatabaseFile;

/// A connection that was lost a moment ago may be made again before anybody needs to know.
const GRACE: Duration = Duration::from_secs(30);

/// A client's transaction on its way to the source.
#[derive(Debug)]
struct Forward {
    session: SessionId,
    id: Json,
    params: Vec<Json>,
}

/// What the server knows of a relay.
#[derive(Debug, Default)]
pub(crate) struct RelayState {
    pub(crate) has_schema: bool,
    /// The copy is kept up to date, or was until a moment ago.
    pub(crate) connected: bool,
    queue: VecDeque<Forward>,
    sent: HashMap<u64, Forward>,
    waker: Option<Waker>,
}

impl RelayState {
    pub(crate) fn forward(&mut self, session: SessionId, id: Json, params: Vec<Json>) {
        self.queue.push_back(Forward { session, id, params });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The client went away: nobody wants its replies.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.queue.retain(|forward| forward.session != session);
        self.sent.retain(|_, forward| forward.session != session);
    }

    pub(crate) fn is_waiting(&self, session: SessionId, id: &Json) -> bool {
        let is = |forward: &Forward| forward.session == session && forward.id == *id;
        self.queue.iter().any(is) || self.sent.values().any(is)
    }

    pub(crate) fn cancel(&mut self, session: SessionId, id: &Json) {
        let stays = |forward: &Forward| forward.session != session || forward.id != *id;
        self.queue.retain(stays);
        self.sent.retain(|_, forward| stays(forward));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.sent.len()
    }
}

impl Server {
    /// Begins to serve a relay. Its task is [`run_relay`].
    pub fn add_relay(&mut self, name: &str) -> Result<(), Error> {
        if name.starts_with('_') {
            return Err(Error::general(format!("{name}: names beginning with \"_\" are reserved")));
        }
        if self.databases.contains_key(name) {
            return Err(Error::general(format!("{name}: duplicate database name")));
        }
        let schema = Schema::from_json(&json!({"name": name, "version": "0.0.0", "tables": {}}))?;
        let mut hosted = Hosted::new(DatabaseFile::in_memory(schema), self.clock.now());
        hosted.relay = Some(RelayState::default());
        self.add_hosted(hosted);
        Ok(())
    }

    /// Whether a database is a relay.
    pub fn is_relay(&self, name: &str) -> bool {
        self.databases.get(name).is_some_and(|hosted| hosted.relay.is_some())
    }

    /// Tells clients that their forwarded transactions may be lost.
    pub(crate) fn cancel_forwards(&mut self, hosted: &mut Hosted) {
        let Some(relay) = &mut hosted.relay else { return };
        let lost: Vec<Forward> = relay.sent.drain().map(|(_, f)| f).chain(relay.queue.drain(..)).collect();
        for forward in lost {
            self.reply(forward.session, Err(Json::from("canceled")), forward.id);
        }
    }

    fn cancel_sent(&mut self, name: &str) {
        let relay = self.databases.get_mut(name).and_then(|hosted| hosted.relay.as_mut());
        let lost: Vec<Forward> =
            relay.map_or(Vec::new(), |relay| relay.sent.drain().map(|(_, f)| f).collect());
        for forward in lost {
            self.reply(forward.session, Err(Json::from("canceled")), forward.id);
        }
    }

    fn set_relay_connected(&mut self, name: &str, connected: bool) {
        let relay = self.databases.get_mut(name).and_then(|hosted| hosted.relay.as_mut());
        if let Some(relay) = relay.filter(|relay| relay.connected != connected) {
            relay.connected = connected;
            self.update_server_database();
        }
    }

    fn set_relay_schema(&mut self, name: &str, schema: Schema) {
        let Some(hosted) = self.databases.get_mut(name) else { return };
        let Some(relay) = &mut hosted.relay else { return };
        let first = !std::mem::replace(&mut relay.has_schema, true);
        hosted.file = DatabaseFile::in_memory(schema);
        hosted.generation += 1;
        hosted.is_schema_published = false;
        hosted.history.clear();
        let triggers = std::mem::take(&mut hosted.triggers);
        self.cancel_triggers(triggers);
        self.cancel_monitors(name);
        self.update_server_database();
        let what = if first { "connected to storage" } else { "schema changed" };
        self.disconnect_unaware(&format!("database {name} {what}"));
    }

    fn apply_mirrored(&mut self, name: &str, updates: &Json, form: Form, last_id: Uuid) -> Result<(), Error> {
        let Some(hosted) = self.databases.get_mut(name) else { return Ok(()) };
        let transaction = mirror::transaction(&hosted.file.database, updates, form)?;
        let (changes, _) = hosted.file.commit_unsynced(transaction, false)?;
        let changes = Rc::new(changes);
        if last_id.is_nil() {
            hosted.history.clear();
        } else {
            hosted.remember(last_id, &changes);
        }
        self.committed(name, &changes);
        self.run_triggers(name);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Disconnected,
    Schema,
    /// The source does not have the database yet, and will tell when that changes.
    Waiting,
    Monitor(&'static str),
    Live,
}

/// Follows the source of a relay as long as it is served.
pub async fn run_relay(
    server: SharedServer,
    name: String,
    remotes: Vec<String>,
    probe_interval: Rc<Cell<Duration>>,
    max_backoff: Option<Duration>,
    tls: Tls,
    clock: Clock,
) {
    let mut link = Session::open(&remotes, OVSDB_PORT, true, tls, clock);
    link.set_probe_interval(probe_interval.get());
    if let Some(backoff) = max_backoff {
        link.set_max_backoff(backoff);
    }
    let mut relay = Relay {
        server,
        name,
        state: State::Disconnected,
        next_id: 0,
        awaited: 0,
        server_monitor: u64::MAX,
        schema: None,
        has_alternatives: remotes.len() > 1,
    };
    let grace = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(grace);
    let mut in_grace = false;
    loop {
        link.set_probe_interval(probe_interval.get());
        tokio::select! {
            event = poll_fn(|cx| {
                relay.send_queued(&mut link, cx.waker());
                link.poll_next(cx)
            }) => match event {
                Event::Connected => relay.connected(&mut link),
                Event::Message(message) => {
                    if let Err(why) = relay.received(&mut link, message) {
                        log::warn!(target: "relay", "{}: {why}", relay.name);
                        relay.schema = None;
                        link.force_reconnect();
                    }
                }
                Event::Disconnected => {
                    relay.state = State::Disconnected;
                    relay.server.borrow_mut().cancel_sent(&relay.name);
                    in_grace = true;
                    grace.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
                Event::Ended => return,
            },
            () = &mut grace, if in_grace => {
                in_grace = false;
                if relay.state != State::Live {
                    relay.server.borrow_mut().set_relay_connected(&relay.name, false);
                }
            }
        }
    }
}

struct Relay {
    server: SharedServer,
    name: String,
    state: State,
    next_id: u64,
    awaited: u64,
    /// The id of the request to monitor the source's databases.
    server_monitor: u64,
    /// That of the source, once it is known.
    schema: Option<Schema>,
    /// There are other sources to be tried.
    has_alternatives: bool,
}

impl Relay {
    fn request(&mut self, link: &mut Session, method: &str, params: Vec<Json>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        link.send(&Message::request(method, params, id));
        id
    }

    fn connected(&mut self, link: &mut Session) {
        // The source tells of other schemas, rather than dropping the connection.
        self.request(link, "set_db_change_aware", vec![Json::Bool(true)]);
        self.ask_schema(link);
    }

    fn ask_schema(&mut self, link: &mut Session) {
        self.state = State::Schema;
        self.awaited = self.request(link, "get_schema", vec![Json::from(self.name.as_str())]);
    }

    fn send_queued(&mut self, link: &mut Session, waker: &Waker) {
        let server = self.server.clone();
        let mut server = server.borrow_mut();
        let hosted = server.databases.get_mut(&self.name);
        let Some(relay) = hosted.and_then(|hosted| hosted.relay.as_mut()) else { return };
        relay.waker = Some(waker.clone());
        while self.state == State::Live
            && let Some(mut forward) = relay.queue.pop_front()
        {
            let id = self.request(link, "transact", std::mem::take(&mut forward.params));
            relay.sent.insert(id, forward);
        }
    }

    fn received(&mut self, link: &mut Session, message: Message) -> Result<(), String> {
        match message {
            Message::Reply { result, id } => self.replied(link, &id, Ok(result)),
            Message::Error { error, id } => self.replied(link, &id, Err(error)),
            Message::Notify { method, params } => self.notified(link, &method, &params),
            Message::Request { id, .. } => {
                link.send(&Message::Error { error: Json::from("unknown method"), id });
                Ok(())
            }
        }
    }

    fn replied(&mut self, link: &mut Session, id: &Json, result: Result<Json, Json>) -> Result<(), String> {
        let Some(id) = id.as_u64() else { return Ok(()) };
        if id == self.awaited {
            return match (self.state, result) {
                (State::Schema, Ok(schema)) => self.got_schema(link, &schema),
                (State::Schema, Err(error)) if self.has_alternatives => Err(error.to_string()),
                (State::Schema, Err(_)) => {
                    self.state = State::Waiting;
                    let requests = json!({"Database": [{"columns": ["name", "connected", "schema"]}]});
                    // Asked again, the source answers that there is such a monitor already.
                    let params = vec![json!("_Server"), json!("server"), requests];
                    self.server_monitor = self.request(link, "monitor", params);
                    Ok(())
                }
                (State::Monitor(method), Ok(reply)) => self.got_monitor(method, &reply),
                (State::Monitor("monitor_cond_since"), Err(_)) => {
                    self.monitor(link, "monitor_cond");
                    Ok(())
                }
                (State::Monitor("monitor_cond"), Err(_)) => {
                    self.monitor(link, "monitor");
                    Ok(())
                }
                (State::Monitor(_), Err(error)) => Err(error.to_string()),
                (State::Disconnected | State::Waiting | State::Live, _) => Ok(()),
            };
        }
        if id == self.server_monitor {
            // The database may have come before the monitor did.
            if self.state == State::Waiting && result.is_ok_and(|reply| self.is_offered(&reply)) {
                self.ask_schema(link);
            }
            return Ok(());
        }
        let mut server = self.server.borrow_mut();
        let hosted = server.databases.get_mut(&self.name);
        let forward = hosted.and_then(|hosted| hosted.relay.as_mut()?.sent.remove(&id));
        if let Some(forward) = forward {
            server.reply(forward.session, result, forward.id);
        }
        Ok(())
    }

    /// Whether the rows of the source's `_Server` tell of the database and its schema.
    fn is_offered(&self, updates: &Json) -> bool {
        let rows = updates.get("Database").and_then(Json::as_object);
        rows.into_iter().flat_map(|rows| rows.values()).any(|row| {
            let column = |name: &str| row.get("new")?.get(name);
            column("name") == Some(&json!(self.name)) && column("schema").is_some_and(Json::is_string)
        })
    }

    fn got_schema(&mut self, link: &mut Session, json: &Json) -> Result<(), String> {
        self.schema = Some(Schema::from_json(json).map_err(|e| e.to_string())?);
        self.monitor(link, "monitor_cond_since");
        Ok(())
    }

    /// The last transaction of the copy, as long as the schema is the same.
    fn last_id(&self) -> Uuid {
        let server = self.server.borrow();
        let Some(hosted) = server.databases.get(&self.name) else { return Uuid::nil() };
        let same = hosted.is_available() && self.schema.as_ref() == Some(&*hosted.file.database.schema);
        if same { hosted.last_id() } else { Uuid::nil() }
    }

    fn monitor(&mut self, link: &mut Session, method: &'static str) {
        let mut requests = Map::new();
        for name in self.schema.iter().flat_map(|schema| schema.tables.keys()) {
            requests.insert(name.clone(), json!([{}]));
        }
        let name = Json::from(self.name.as_str());
        let mut params = vec![name.clone(), json!(["monid", name]), Value::Object(requests)];
        if method == "monitor_cond_since" {
            params.push(Json::from(self.last_id().to_string()));
        }
        self.awaited = self.request(link, method, params);
        self.state = State::Monitor(method);
    }

    fn got_monitor(&mut self, method: &str, reply: &Json) -> Result<(), String> {
        let (found, last_id, updates) = match (method, reply.as_array().map(Vec::as_slice)) {
            ("monitor_cond_since", Some([found, last_id, updates])) => {
                (found == &Value::Bool(true), uuid(last_id), updates)
            }
            ("monitor_cond_since", _) => return Err("bad reply to monitor_cond_since".to_owned()),
            _ => (false, Uuid::nil(), reply),
        };
        let form = match (method, found) {
            ("monitor", _) => Form::Initial1,
            (_, false) => Form::Initial2,
            (_, true) => Form::Update2,
        };
        let mut server = self.server.borrow_mut();
        let hosted = server.databases.get(&self.name);
        let current = hosted.filter(|h| h.is_available()).map(|h| h.file.database.schema.clone());
        if let Some(schema) = self.schema.as_ref().filter(|schema| current.as_deref() != Some(schema)) {
            let schema = schema.clone();
            server.set_relay_schema(&self.name, schema);
        }
        server.apply_mirrored(&self.name, updates, form, last_id).map_err(|e| e.to_string())?;
        server.set_relay_connected(&self.name, true);
        self.state = State::Live;
        Ok(())
    }

    fn notified(&mut self, link: &mut Session, method: &str, params: &[Json]) -> Result<(), String> {
        let (updates, last_id, form) = match (method, params) {
            ("update", [Value::String(id), _]) if id == "server" => {
                if self.state == State::Waiting {
                    self.ask_schema(link);
                }
                return Ok(());
            }
            ("update3", [_, last_id, updates]) => (updates, uuid(last_id), Form::Update2),
            ("update2", [_, updates]) => (updates, Uuid::nil(), Form::Update2),
            ("update", [_, updates]) => (updates, Uuid::nil(), Form::Update1),
            ("monitor_canceled", _) => {
                self.ask_schema(link);
                return Ok(());
            }
            _ => return Ok(()),
        };
        if self.state != State::Live {
            return Ok(());
        }
        let mut server = self.server.borrow_mut();
        server.apply_mirrored(&self.name, updates, form, last_id).map_err(|e| e.to_string())
    }
}

fn uuid(json: &Json) -> Uuid {
    json.as_str().and_then(model::parse_uuid).unwrap_or_default()
}
