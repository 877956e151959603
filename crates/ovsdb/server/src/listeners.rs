//! Carries messages between the [`Server`] and the network: one task per listening remote, per remote
//! that is connected to, and per accepted connection.

use crate::remotes::{Remote, RemoteStatus};
use crate::rhythm::Rhythm;
use crate::server::SharedServer;
use crate::session::{Identity, SessionId};
use base::Clock;
use rpc::stream::{is_active_name, is_passive_name};
use rpc::{Event, Listener, OVSDB_PORT, Session, Tls};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::{AbortHandle, spawn_local};

/// While a client leaves more than this many bytes unread, nothing that it asks is looked at.
const UNREAD_BYTES: usize = 1 << 16;

/// A request that is longer ends the connection.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// While a client has more than this many messages that wait for the disk, nothing that it asks is looked at.
const HELD_MESSAGES: usize = 1024;

#[derive(Debug)]
struct State {
    /// Its options may change while it is at work; its target and role do not.
    remote: Remote,
    status: RemoteStatus,
    sessions: Vec<SessionId>,
}

type SharedState = Rc<RefCell<State>>;

#[derive(Debug)]
struct Active {
    state: SharedState,
    tasks: Rc<RefCell<Vec<AbortHandle>>>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.tasks.borrow().iter().for_each(AbortHandle::abort);
    }
}

/// All remotes at work. Tasks are local to the thread: use it inside a `LocalSet`.
#[derive(Debug)]
pub struct Listeners {
    server: SharedServer,
    clock: Clock,
    tls: Tls,
    remotes: BTreeMap<String, Active>,
    rhythm: Rhythm,
    helpers: [AbortHandle; 3],
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.helpers.iter().for_each(AbortHandle::abort);
    }
}

impl Listeners {
    pub fn new(server: SharedServer, clock: Clock) -> Listeners {
        let rhythm = Rhythm::default();
        let helpers = [
            spawn_local(rhythm.clone().run()).abort_handle(),
            spawn_local(crate::disk::run(server.clone(), rhythm.clone())).abort_handle(),
            spawn_local(crate::broadcast::run(server.clone(), rhythm.clone())).abort_handle(),
        ];
        Listeners { server, clock, tls: Tls::default(), remotes: BTreeMap::new(), rhythm, helpers }
    }

    pub fn set_tls(&mut self, tls: Tls) {
        if self.tls != tls {
            self.tls = tls;
            // The old keys must not serve anybody new.
            self.remotes.retain(|target, _| !target.contains("ssl:"));
        }
    }

    /// Makes these the remotes: begins what is new, ends what is not wanted any more, and gives the others
    /// their options. Errors are of remotes that could not be begun, by target.
    pub async fn set_remotes(&mut self, wanted: &[Remote]) -> Vec<(String, io::Error)> {
        self.remotes.retain(|target, active| match wanted.iter().find(|remote| remote.target == *target) {
            Some(remote) => remote.role == active.state.borrow().remote.role,
            None => {
                log::info!(target: "ovsdb_jsonrpc_server", "{target}: remote deconfigured");
                false
            }
        });
        let mut errors = Vec::new();
        for remote in wanted {
            if let Some(active) = self.remotes.get(&remote.target) {
                self.set_options(active, remote);
                continue;
            }
            match self.begin(remote).await {
                Ok(active) => drop(self.remotes.insert(remote.target.clone(), active)),
                Err(e) => errors.push((remote.target.clone(), e)),
            }
        }
        errors
    }

    fn set_options(&self, active: &Active, remote: &Remote) {
        let mut state = active.state.borrow_mut();
        if state.remote != *remote {
            state.remote = remote.clone();
            // A connection that is idle would not look for a long time.
            let mut server = self.server.borrow_mut();
            for id in &state.sessions {
                if let Some(session) = server.sessions.get_mut(id) {
                    session.wake();
                }
            }
        }
    }

    async fn begin(&self, remote: &Remote) -> io::Result<Active> {
        let state = Rc::new(RefCell::new(State {
            remote: remote.clone(),
            status: RemoteStatus::default(),
            sessions: Vec::new(),
        }));
        let tasks = Rc::new(RefCell::new(Vec::new()));
        let door = Door {
            server: self.server.clone(),
            clock: self.clock.clone(),
            target: remote.target.clone(),
            state: state.clone(),
            tasks: tasks.clone(),
            rhythm: self.rhythm.clone(),
        };
        if is_passive_name(&remote.target) {
            let listener = Listener::bind(&remote.target, OVSDB_PORT, &self.tls).await?;
            state.borrow_mut().status.bound_port = listener.port();
            let task = spawn_local(door.listen(listener));
            tasks.borrow_mut().push(task.abort_handle());
        } else if is_active_name(&remote.target) {
            let targets = [remote.target.clone()];
            let session = Session::open(&targets, OVSDB_PORT, true, self.tls.clone(), self.clock.clone());
            let task = spawn_local(run_session(door, session));
            tasks.borrow_mut().push(task.abort_handle());
        } else {
            return Err(io::Error::from_raw_os_error(97));
        }
        Ok(Active { state, tasks })
    }

    /// How the remote of that target does.
    pub fn status(&self, target: &str) -> Option<RemoteStatus> {
        let active = self.remotes.get(target)?;
        let state = active.state.borrow();
        let mut status = state.status.clone();
        if is_passive_name(target) {
            status.connections = state.sessions.len();
            status.is_connected = !state.sessions.is_empty();
            return Some(RemoteStatus { bound_port: status.bound_port, ..status.of_nobody() });
        }
        let server = self.server.borrow();
        for session in &state.sessions {
            let (held, waiting) = server.locks.held_and_awaited(*session);
            status.locks_held.extend(held);
            status.locks_waiting.extend(waiting);
            let lost = server.sessions.get(session).map(|s| s.locks_lost.clone());
            status.locks_lost.extend(lost.unwrap_or_default());
        }
        Some(status)
    }
}

/// What the tasks of one remote share.
#[derive(Clone)]
struct Door {
    server: SharedServer,
    clock: Clock,
    target: String,
    state: SharedState,
    tasks: Rc<RefCell<Vec<AbortHandle>>>,
    rhythm: Rhythm,
}

impl Door {
    async fn listen(self, listener: Listener) {
        loop {
            let incoming = match listener.accept().await {
                Ok(incoming) => incoming,
                Err(e) => {
                    log::warn!(target: base::bounded!("ovsdb_jsonrpc_server"),
                        "accept failed: {}: {}", self.target, rpc::error_text(&e));
                    // Descriptors may be used up; others must get the chance to give some back.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let door = self.clone();
            let task = spawn_local(async move {
                if let Ok(stream) = incoming.finish().await {
                    let session = Session::accepted(stream, door.clock.clone());
                    run_session(door, session).await;
                }
            });
            let mut tasks = self.tasks.borrow_mut();
            tasks.retain(|task| !task.is_finished());
            tasks.push(task.abort_handle());
        }
    }
}

/// Closes the server's session when the connection's task ends, however it does.
struct Opened {
    server: SharedServer,
    state: SharedState,
    id: SessionId,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.state.borrow_mut().sessions.retain(|id| *id != self.id);
        self.server.borrow_mut().close_session(self.id);
    }
}

/// Gives the connection the remote's options, when they are not those that it has.
fn set_options(link: &mut Session, current: &mut Option<Remote>, wanted: &Remote) {
    if current.as_ref() == Some(wanted) {
        return;
    }
    if let Some(interval) = wanted.probe_interval {
        link.set_probe_interval(interval);
    }
    if let Some(backoff) = wanted.max_backoff {
        link.set_max_backoff(backoff);
    }
    let marked = link.connection().map_or(Ok(()), |connection| connection.stream().set_dscp(wanted.dscp));
    if let Err(e) = marked {
        log::warn!(target: "ovsdb_jsonrpc_server",
            "{}: cannot set DSCP: {}", wanted.target, rpc::error_text(&e));
    }
    *current = Some(wanted.clone());
}

/// Keeps how a connection that is made from here does.
fn note_status(kept: &mut RemoteStatus, link: &Session) {
    let status = link.status();
    kept.is_connected = status.is_connected;
    kept.state = status.state.to_owned();
    kept.since_connect = status.since_connect;
    kept.since_disconnect = status.since_disconnect;
    let error = link.last_error().filter(|_| !status.is_connected);
    kept.last_error = error.map(rpc::error_text);
}

async fn run_session(door: Door, mut link: Session) {
    let mut options = None;
    link.set_receive_limit(UNREAD_BYTES);
    link.set_max_message(MAX_MESSAGE_BYTES);
    let open = |link: &Session| {
        let mut server = door.server.borrow_mut();
        let remote = door.state.borrow().remote.clone();
        let identity = Identity {
            read_only: remote.read_only,
            role: remote.role,
            client: link.connection().and_then(|c| c.stream().peer_id()).map(str::to_owned),
        };
        let id = server.open_session(link.name(), identity);
        door.state.borrow_mut().sessions.push(id);
        Opened { server: door.server.clone(), state: door.state.clone(), id }
    };
    let mut opened = link.is_connected().then(|| open(&link));
    loop {
        if !is_passive_name(&door.target) {
            note_status(&mut door.state.borrow_mut().status, &link);
        }
        let event = poll_fn(|cx| {
            set_options(&mut link, &mut options, &door.state.borrow().remote);
            let mut paused = false;
            if let (Some(opened), Some(connection)) = (&opened, link.connection_mut()) {
                if connection.backlog() > 0 {
                    // When what is left of earlier messages is gone, there may be updates to make. An error is
                    // told by the poll below.
                    let _ = connection.poll_flush(cx);
                }
                let backlog = connection.backlog();
                let (chunks, doomed) = door.server.borrow_mut().drain(opened.id, backlog, cx.waker());
                chunks.into_iter().for_each(|chunk| connection.send_encoded(chunk));
                paused = door.server.borrow().waiting_messages(opened.id) > HELD_MESSAGES;
                if let Some(why) = doomed {
                    log::info!(target: base::bounded!("ovsdb_jsonrpc_server"),
                        "{}: disconnecting ({why})", connection.name());
                    // What is queued may still reach the client, the error that ends it among them.
                    let _ = connection.poll_flush(cx);
                    return Poll::Ready(None);
                }
            }
            link.set_paused(paused);
            let event = link.poll_next(cx).map(Some);
            door.server.borrow_mut().answered.clear();
            event
        })
        .await;
        match event {
            Some(Event::Connected) => {
                // A new connection has to get what belongs to it.
                options = None;
                opened = Some(open(&link));
            }
            Some(Event::Message(message)) => {
                if let Some(opened) = &opened {
                    let mut server = door.server.borrow_mut();
                    server.handle(opened.id, message);
                    // Those who are notified want the processors for it.
                    door.rhythm.answered(server.broadcast.is_done());
                    if server.holding.contains(&opened.id) {
                        door.rhythm.held();
                    }
                }
            }
            Some(Event::Disconnected) => opened = None,
            Some(Event::Ended) => return,
            None => {
                opened = None;
                if is_passive_name(&door.target) {
                    return;
                }
                link.force_reconnect();
            }
        }
    }
}
