//! The state of the server: databases, sessions, locks, and transactions that wait.

use crate::locks::Locks;
use crate::session::{Session, SessionId};
use base::{Clock, Timestamp};
use model::{Error, Json, Uuid};
use rpc::Message;
use rpc::connection::Chunk;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;
use store::{Changes, DatabaseFile, Executed, Request};

/// The server as the tasks of one thread share it. Nobody holds a borrow across an await.
pub type SharedServer = Rc<RefCell<Server>>;

/// A "transact" that waits for rows to be as it wants them.
#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) session: SessionId,
    pub(crate) id: Json,
    params: Vec<Json>,
    created: Timestamp,
    timeout: Option<Duration>,
}

/// One database and what waits for it.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) file: DatabaseFile,
    pub(crate) triggers: Vec<Trigger>,
    /// How many commits there were.
    pub(crate) generation: u64,
}

/// See the crate's text.
#[derive(Debug)]
pub struct Server {
    pub(crate) clock: Clock,
    pub(crate) uuid: Uuid,
    pub(crate) databases: BTreeMap<String, Hosted>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) locks: Locks,
    next_session: u64,
    /// No client may change anything.
    pub read_only: bool,
    /// "monitor_cond" and "monitor_cond_since" are known.
    pub monitor_cond: bool,
    /// Wakes who listens for commits.
    commit_waker: Option<Waker>,
}

impl Server {
    /// A server of no database but its own `_Server`.
    pub fn new(clock: Clock) -> Result<Server, Error> {
        let mut server = Server {
            clock,
            uuid: Uuid::new_v4(),
            databases: BTreeMap::new(),
            sessions: BTreeMap::new(),
            locks: Locks::default(),
            next_session: 0,
            read_only: false,
            monitor_cond: true,
            commit_waker: None,
        };
        let own = crate::server_database::create()?;
        server.databases.insert(own.database.name().to_owned(), Hosted::new(own));
        server.update_server_database();
        Ok(server)
    }

    /// Begins to serve a database.
    pub fn add_database(&mut self, file: DatabaseFile) -> Result<(), Error> {
        let name = file.database.name().to_owned();
        if name.starts_with('_') {
            return Err(Error::general(format!("{name}: names beginning with \"_\" are reserved")));
        }
        if self.databases.contains_key(&name) {
            return Err(Error::general(format!("{name}: duplicate database name")));
        }
        self.databases.insert(name.clone(), Hosted::new(file));
        self.update_server_database();
        self.disconnect_unaware(&format!("adding {name} database"));
        Ok(())
    }

    /// Stops serving a database; false when there is none of that name.
    pub fn remove_database(&mut self, name: &str) -> bool {
        let Some(hosted) = self.databases.remove(name) else { return false };
        self.cancel_triggers(hosted.triggers);
        self.cancel_monitors(name);
        self.update_server_database();
        self.disconnect_unaware(&format!("removing {name} database by user request"));
        true
    }

    /// Ends transactions whose database is gone or changed. Clients that do not expect that are told by
    /// losing their connection.
    fn cancel_triggers(&mut self, triggers: Vec<Trigger>) {
        for trigger in triggers {
            if self.sessions.get(&trigger.session).is_some_and(|session| session.db_change_aware) {
                self.reply(trigger.session, Err(Json::from("canceled")), trigger.id);
            }
        }
    }

    /// Tells the sessions that monitor a database that they do not any more.
    pub(crate) fn cancel_monitors(&mut self, database: &str) {
        for session in self.sessions.values_mut() {
            let (gone, kept): (Vec<_>, Vec<_>) =
                std::mem::take(&mut session.monitors).into_iter().partition(|(_, m)| m.database == database);
            session.monitors = kept.into_iter().collect();
            let aware = session.db_change_aware;
            for (_, monitor) in gone.into_iter().filter(|_| aware) {
                session.push(Message::notify("monitor_canceled", vec![monitor.id]).encode());
            }
        }
    }

    /// Clients that do not expect databases to change must connect anew to see how they are now.
    pub(crate) fn disconnect_unaware(&mut self, why: &str) {
        for session in self.sessions.values_mut().filter(|s| !s.db_change_aware) {
            session.doomed = Some(why.to_owned());
            session.wake();
        }
    }

    /// All clients must connect anew.
    pub fn reconnect_all(&mut self, why: &str) {
        for session in self.sessions.values_mut() {
            session.doomed = Some(why.to_owned());
            session.wake();
        }
    }

    /// The names of all databases.
    pub fn database_names(&self) -> impl Iterator<Item = &str> {
        self.databases.keys().map(String::as_str)
    }

    pub fn database(&self, name: &str) -> Option<&DatabaseFile> {
        self.databases.get(name).map(|hosted| &hosted.file)
    }

    /// The name of the database, when there is just one beside the server's own.
    pub(crate) fn only_database(&self) -> Option<&str> {
        let mut names = self.databases.keys().filter(|name| !name.starts_with('_'));
        names.next().filter(|_| names.next().is_none()).map(String::as_str)
    }

    pub fn database_mut(&mut self, name: &str) -> Option<&mut DatabaseFile> {
        self.databases.get_mut(name).map(|hosted| &mut hosted.file)
    }

    /// A number that changes with every commit to any database.
    pub fn generation(&self) -> u64 {
        self.databases.values().map(|hosted| hosted.generation).sum()
    }

    /// Who is woken by the next commit.
    pub fn wake_on_commit(&mut self, waker: &Waker) {
        self.commit_waker = Some(waker.clone());
    }

    /// How many sessions, monitors and waiting transactions there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        let monitors = self.sessions.values().map(|s| s.monitors.len()).sum();
        let triggers = self.databases.values().map(|d| d.triggers.len()).sum();
        (self.sessions.len(), monitors, triggers)
    }

    pub fn open_session(&mut self, remote: &str, read_only: bool) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        log::debug!(target: "ovsdb_jsonrpc_server", "{remote}: new session");
        let session = Session { read_only, ..Session::default() };
        self.sessions.insert(id, session);
        id
    }

    /// Forgets a session; its locks go to those who wait for them.
    pub fn close_session(&mut self, id: SessionId) {
        for name in self.locks.of_session(id) {
            self.give_up_lock(&name, id);
        }
        for hosted in self.databases.values_mut() {
            hosted.triggers.retain(|trigger| trigger.session != id);
        }
        self.sessions.remove(&id);
    }

    pub(crate) fn give_up_lock(&mut self, name: &str, id: SessionId) {
        if let Some(owner) = self.locks.unlock(name, id) {
            self.notify(owner, "locked", name);
        }
    }

    pub(crate) fn notify(&mut self, id: SessionId, method: &str, lock: &str) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.push(Message::notify(method, vec![Json::from(lock)]).encode());
        }
    }

    /// Messages for the session's connection, and whether it must be closed. While `congested`, updates of
    /// monitors are held back. The waker is woken when there is more.
    pub(crate) fn drain(
        &mut self,
        id: SessionId,
        congested: bool,
        waker: &Waker,
    ) -> (Vec<Chunk>, Option<String>) {
        if let Some(why) = self.sessions.get_mut(&id).and_then(|session| session.doomed.take()) {
            // What it would still be told is of a state that it does not know how to follow.
            return (Vec::new(), Some(why));
        }
        if !congested {
            self.flush_monitors(id);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return (Vec::new(), None) };
        session.waker = Some(waker.clone());
        (std::mem::take(&mut session.outbox), None)
    }

    /// Encodes what the session's monitors have to tell.
    pub(crate) fn flush_monitors(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for monitor in session.monitors.values_mut().filter(|m| m.has_pending()) {
            if let Some(updates) = monitor.take_updates() {
                session.outbox.push(Chunk::Own(monitor.notification(&updates)));
            }
        }
    }

    /// Answers a request; what its monitors have to tell comes before.
    pub(crate) fn reply(&mut self, id: SessionId, result: Result<Json, Json>, request: Json) {
        self.flush_monitors(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let message = match result {
            Ok(result) => Message::Reply { result, id: request },
            Err(error) => Message::Error { error, id: request },
        };
        session.push(message.encode());
    }

    /// Executes a transaction now; keeps it when it must wait.
    pub(crate) fn transact(&mut self, database: &str, session: SessionId, params: Vec<Json>, id: Json) {
        let created = self.clock.now();
        self.attempt(database, Trigger { session, id, params, created, timeout: None });
    }

    /// Whether the session has a transaction of that id that waits.
    pub(crate) fn has_trigger(&self, session: SessionId, id: &Json) -> bool {
        let mut triggers = self.databases.values().flat_map(|hosted| &hosted.triggers);
        triggers.any(|trigger| trigger.session == session && trigger.id == *id)
    }

    /// Gives up a transaction that waits.
    pub(crate) fn cancel(&mut self, session: SessionId, id: &Json) {
        if self.has_trigger(session, id) {
            for hosted in self.databases.values_mut() {
                hosted.triggers.retain(|trigger| trigger.session != session || trigger.id != *id);
            }
            self.reply(session, Err(Json::from("canceled")), id.clone());
        }
    }

    fn attempt(&mut self, name: &str, mut trigger: Trigger) {
        let Some(hosted) = self.databases.get_mut(name) else { return };
        let locks = &self.locks;
        let session_read_only = self.sessions.get(&trigger.session).is_some_and(|s| s.read_only);
        let elapsed = self.clock.now().since(trigger.created);
        let request = Request {
            params: &trigger.params,
            read_only: self.read_only || session_read_only,
            privileged: false,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            holds_lock: &|lock| locks.is_owner(lock, trigger.session),
        };
        match store::execute(&hosted.file.database, &request) {
            Executed::Blocked { timeout_ms } => {
                trigger.timeout = timeout_ms.map(Duration::from_millis);
                hosted.triggers.push(trigger);
            }
            Executed::Failed(results) => {
                self.reply(trigger.session, Ok(Json::Array(results)), trigger.id);
            }
            Executed::Ready { transaction, mut results, durable } => {
                match hosted.file.commit(transaction, durable) {
                    Ok(changes) => self.committed(name, &changes),
                    Err(e) => results.push(e.to_json()),
                }
                self.reply(trigger.session, Ok(Json::Array(results)), trigger.id);
            }
        }
    }

    /// Commits a transaction of the server itself.
    pub(crate) fn commit_own(&mut self, database: &str, params: &[Json]) -> Result<(), Error> {
        let Some(hosted) = self.databases.get_mut(database) else { return Ok(()) };
        let changes = crate::server_database::transact(&mut hosted.file, params)?;
        self.committed(database, &changes);
        self.run_triggers(database);
        Ok(())
    }

    /// Tells monitors and whoever waits that rows have changed.
    pub(crate) fn committed(&mut self, name: &str, changes: &Changes) {
        if changes.is_empty() {
            return;
        }
        for session in self.sessions.values_mut() {
            let mut any = false;
            for monitor in session.monitors.values_mut().filter(|m| m.database == name) {
                any |= monitor.note(changes);
            }
            if any {
                session.wake();
            }
        }
        if let Some(hosted) = self.databases.get_mut(name) {
            hosted.generation += 1;
        }
        if let Some(waker) = self.commit_waker.take() {
            waker.wake();
        }
    }

    /// Tries again the transactions that wait for this database, as long as that changes it.
    pub(crate) fn run_triggers(&mut self, name: &str) {
        loop {
            let Some(hosted) = self.databases.get_mut(name) else { return };
            if hosted.triggers.is_empty() {
                return;
            }
            let before = hosted.generation;
            for trigger in std::mem::take(&mut hosted.triggers) {
                self.attempt(name, trigger);
            }
            if self.databases.get(name).is_none_or(|hosted| hosted.generation == before) {
                return;
            }
        }
    }

    /// When [`Server::run_timeouts`] has something to do at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        let triggers = self.databases.values().flat_map(|hosted| &hosted.triggers);
        triggers.filter_map(|trigger| Some(trigger.created + trigger.timeout?)).min()
    }

    /// Ends the transactions that have waited too long.
    pub fn run_timeouts(&mut self) {
        let now = self.clock.now();
        let due = |trigger: &Trigger| trigger.timeout.is_some_and(|t| trigger.created + t <= now);
        let names: Vec<String> = self.databases.keys().cloned().collect();
        for name in names {
            if self.databases.get(&name).is_some_and(|hosted| hosted.triggers.iter().any(due)) {
                self.run_triggers(&name);
            }
        }
    }

    /// Converts a database to another schema.
    pub fn convert(&mut self, name: &str, schema: model::Schema) -> Result<(), Error> {
        let Some(hosted) = self.databases.get_mut(name) else { return Ok(()) };
        hosted.file.convert(schema, "converted by ovsdb-server")?;
        hosted.generation += 1;
        let triggers = std::mem::take(&mut hosted.triggers);
        self.cancel_triggers(triggers);
        self.cancel_monitors(name);
        self.update_server_database();
        self.disconnect_unaware(&format!("committed {name} database schema conversion"));
        Ok(())
    }
}

impl Hosted {
    fn new(file: DatabaseFile) -> Hosted {
        Hosted { file, triggers: Vec::new(), generation: 0 }
    }
}
