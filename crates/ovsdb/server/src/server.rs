//! The state of the server: databases, sessions, locks, and what is to be sent to whom.

use crate::broadcast::Broadcast;
use crate::hosted::{Hosted, Trigger};
use crate::locks::Locks;
use crate::monitor::{Version, notification_head};
use crate::session::{Held, Identity, Outgoing, Session, SessionId};
use base::Clock;
use model::{Error, Json, Uuid};
use rpc::Message;
use rpc::connection::Chunk;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use store::{Changes, DatabaseFile, Ticket};

base::coverage!(static COMMITS = "ovsdb_commit");

/// The server as the tasks of one thread share it. Nobody holds a borrow across an await.
pub type SharedServer = Rc<RefCell<Server>>;

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
    pub(crate) deadline_waker: Option<Waker>,
    /// Told by the disk's threads that they have done something.
    pub(crate) disk_news: Arc<tokio::sync::Notify>,
    /// Sessions that wait to be notified of commits.
    pub(crate) broadcast: Broadcast,
    /// Sessions that have replies which wait for the disk.
    pub(crate) holding: BTreeSet<SessionId>,
    /// Requests that were answered. Freeing them takes a while, so replies are sent first.
    pub(crate) answered: Vec<Vec<Json>>,
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
            deadline_waker: None,
            disk_news: Arc::default(),
            broadcast: Broadcast::default(),
            holding: BTreeSet::new(),
            answered: Vec::new(),
        };
        let own = crate::server_database::create()?;
        let now = server.clock.now();
        server.databases.insert(own.database.name().to_owned(), Hosted::new(own, now));
        server.update_server_database();
        Ok(server)
    }

    /// Begins to serve a database.
    pub fn add_database(&mut self, mut file: DatabaseFile) -> Result<(), Error> {
        let name = file.database.name().to_owned();
        if name.starts_with('_') {
            return Err(Error::general(format!("{name}: names beginning with \"_\" are reserved")));
        }
        if self.databases.contains_key(&name) {
            return Err(Error::general(format!("{name}: duplicate database name")));
        }
        file.serve(self.disk_notify())?;
        self.add_hosted(Hosted::new(file, self.clock.now()));
        Ok(())
    }

    pub(crate) fn add_hosted(&mut self, hosted: Hosted) {
        let name = hosted.file.database.name().to_owned();
        self.databases.insert(name.clone(), hosted);
        self.update_server_database();
        self.disconnect_unaware(&format!("adding {name} database"));
    }

    /// Stops serving a database; false when there is none of that name. Clients that do not expect that
    /// are disconnected with a reason for the log.
    pub fn remove_database(&mut self, name: &str, why: &str) -> bool {
        self.cancel_monitors(name);
        let Some(mut hosted) = self.databases.remove(name) else { return false };
        self.cancel_triggers(std::mem::take(&mut hosted.triggers));
        self.cancel_forwards(&mut hosted);
        self.update_server_database();
        self.disconnect_unaware(why);
        true
    }

    /// Ends transactions whose database is gone or changed. Clients that do not expect that are notified by
    /// losing their connection.
    pub(crate) fn cancel_triggers(&mut self, triggers: Vec<Trigger>) {
        for trigger in triggers {
            if self.sessions.get(&trigger.session).is_some_and(|session| session.db_change_aware) {
                self.reply(trigger.session, Err(Json::from("canceled")), trigger.id);
            }
        }
    }

    /// Tells the sessions that monitor a database that they do not any more.
    pub(crate) fn cancel_monitors(&mut self, database: &str) {
        if let Some(hosted) = self.databases.get_mut(database) {
            hosted.watches = crate::watch::Watches::default();
        }
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

    /// Who is woken by a transaction that begins to wait with a limit, since [`Server::deadline`] may be nearer then.
    pub fn wake_on_deadline(&mut self, waker: &Waker) {
        self.deadline_waker = Some(waker.clone());
    }

    /// What takes memory, by the names of `memory/show`.
    pub fn memory_usage(&self) -> BTreeMap<&'static str, usize> {
        let mut usage = BTreeMap::new();
        let mut add = |name: &'static str, n: usize| *usage.entry(name).or_insert(0) += n;
        for hosted in self.databases.values() {
            let database = &hosted.file.database;
            add("atoms", database.count_atoms());
            add("cells", database.tables.iter().map(|t| t.len() * t.schema.columns.len()).sum());
            add("monitors", hosted.watches.count());
            add("txn-history", hosted.history.len());
            add("changes", hosted.watches.backlog());
            add("triggers", hosted.triggers.len());
            add("triggers", hosted.relay.as_ref().map_or(0, |relay| relay.waiting()));
        }
        for session in self.sessions.values() {
            add("sessions", 1);
            add("backlog", session.backlog);
        }
        usage
    }

    pub fn open_session(&mut self, remote: &str, identity: Identity) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        log::debug!(target: "ovsdb_jsonrpc_server", "{remote}: new session");
        let session = Session { identity, ..Session::default() };
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
            if let Some(relay) = &mut hosted.relay {
                relay.forget(id);
            }
        }
        self.holding.remove(&id);
        let Some(session) = self.sessions.remove(&id) else { return };
        for monitor in session.monitors.into_values() {
            self.leave_watch(id, &monitor);
        }
    }

    pub(crate) fn leave_watch(&mut self, id: SessionId, monitor: &crate::monitor::Monitor) {
        if let Some(hosted) = self.databases.get_mut(&monitor.database) {
            hosted.watches.leave(id, monitor.place);
        }
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

    /// Messages for the session's connection, and whether it must be closed. While it has a `backlog` of bytes
    /// that it could not send, updates of monitors are held back. The waker is woken when there is more.
    pub(crate) fn drain(
        &mut self,
        id: SessionId,
        backlog: usize,
        waker: &Waker,
    ) -> (Vec<Chunk>, Option<String>) {
        let Some(session) = self.sessions.get_mut(&id) else { return (Vec::new(), None) };
        if let Some(why) = session.doomed.take() {
            // What it would still be told is of a state that it does not know how to follow.
            return (Vec::new(), Some(why));
        }
        session.backlog = backlog;
        if backlog == 0 && !session.is_held() {
            self.flush_monitors(id);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return (Vec::new(), None) };
        if session.waker.as_ref().is_none_or(|old| !old.will_wake(waker)) {
            session.waker = Some(waker.clone());
        }
        (session.take_ready(), None)
    }

    /// How many messages of a session wait for the disk.
    pub(crate) fn waiting_messages(&self, id: SessionId) -> usize {
        self.sessions.get(&id).map_or(0, |session| session.outbox.len())
    }

    /// Puts what the session's monitors have to tell into its outbox.
    pub(crate) fn flush_monitors(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for monitor in session.monitors.values_mut() {
            let Some(hosted) = self.databases.get_mut(&monitor.database) else { continue };
            let last_id = hosted.last_id();
            let Some(watch) = hosted.watches.watch(monitor.place) else { continue };
            let Some(updates) = watch.take(&mut monitor.place) else { continue };
            let head = if watch.version == Version::Three && !last_id.is_nil() {
                Arc::new(notification_head(watch.version, &monitor.id, last_id))
            } else {
                monitor.head.clone()
            };
            session.outbox.push_back(Outgoing::Ready(Chunk::Part(head)));
            session.outbox.push_back(Outgoing::Ready(Chunk::Shared(updates)));
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

    /// Answers a request by JSON text in parts, the middle of which others may get as well.
    pub(crate) fn reply_text(
        &mut self,
        id: SessionId,
        before: &str,
        shared: Arc<Vec<u8>>,
        after: &str,
        request: &Json,
    ) {
        self.flush_monitors(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let head = format!(r#"{{"id":{request},"result":{before}"#).into_bytes();
        session.push_chunk(Chunk::Part(Arc::new(head)));
        session.push_chunk(Chunk::Part(shared));
        session.push(format!(r#"{after},"error":null}}"#).into_bytes());
    }

    /// Answers a transaction as soon as it is on disk.
    pub(crate) fn reply_held(
        &mut self,
        id: SessionId,
        database: &str,
        ticket: Ticket,
        results: Vec<Json>,
        request: Json,
    ) {
        self.flush_monitors(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let held = Held { database: database.to_owned(), ticket, results, id: request };
        session.outbox.push_back(Outgoing::Held(held));
        self.holding.insert(id);
    }

    /// Tells watchers and whoever waits that rows have changed.
    pub(crate) fn committed(&mut self, name: &str, changes: &Changes) {
        if changes.is_empty() {
            return;
        }
        let Some(hosted) = self.databases.get_mut(name) else { return };
        COMMITS.count();
        hosted.generation += 1;
        crate::table_log::log_changes(&hosted.file.database, &hosted.logged_tables, changes);
        let affected = hosted.watches.note(changes);
        self.announce(affected);
        if let Some(waker) = self.commit_waker.take() {
            waker.wake();
        }
    }
}
