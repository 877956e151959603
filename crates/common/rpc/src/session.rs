//! A JSON-RPC session: a connection that is made again when it is lost, that
//! is probed when it is silent, and that answers the peer's probes.
//!
//! Targets enter; [`Event`]s leave, one by one, from [`Session::next`].

use crate::connection::{Backlog, Connection};
use crate::message::Message;
use crate::reconnect::{Action, Reconnect, Status};
use crate::stream::{Listener, Stream, Tls, is_passive_name};
use base::Clock;
use serde_json::Value;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

type Attempt<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;

/// What happens to a session.
#[derive(Debug)]
pub enum Event {
    Connected,
    Disconnected,
    Message(Message),
    /// The connection is lost and will not be tried again.
    Ended,
}

enum Link {
    None,
    Binding(Attempt<Listener>),
    Connecting(Attempt<Stream>),
    Connected(Box<Connection>),
}

/// See the module's text.
pub struct Session {
    targets: Vec<String>,
    next_target: usize,
    default_port: u16,
    tls: Tls,
    clock: Clock,
    reconnect: Reconnect,
    link: Link,
    listener: Option<Listener>,
    accepting: Option<Attempt<Stream>>,
    timer: Pin<Box<tokio::time::Sleep>>,
    backlog_limit: Backlog,
    receive_limit: Option<usize>,
    is_paused: bool,
    max_message: Option<usize>,
    last_error: Option<io::Error>,
    ended: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects to one of `targets` after the other until one answers; with `retry`, for ever.
    /// A passive target (`ptcp:`…) waits to be connected to.
    pub fn open(targets: &[String], default_port: u16, retry: bool, tls: Tls, clock: Clock) -> Session {
        let now = clock.now();
        let mut targets = targets.to_vec();
        if targets.is_empty() {
            targets.push("invalid:".to_owned());
        }
        let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let first = targets.first().cloned().unwrap_or_default();
        let mut reconnect = Reconnect::new(&first, now);
        reconnect.set_free_tries(count);
        if is_passive_name(&first) {
            reconnect.set_passive(true);
        } else if !retry {
            reconnect.set_max_tries(Some(count));
        }
        if first.starts_with("unix:") || first.starts_with("punix:") {
            reconnect.set_probe_interval(None);
        }
        reconnect.enable(now);
        let mut session = Session::bare(targets, default_port, tls, clock, reconnect);
        session.next_target = 1;
        session
    }

    /// A session over a stream that was accepted; it ends with it.
    pub fn accepted(stream: Stream, clock: Clock) -> Session {
        let now = clock.now();
        let mut reconnect = Reconnect::new(stream.name(), now);
        reconnect.set_quiet(true);
        reconnect.set_max_tries(Some(0));
        reconnect.connected(now);
        if !stream.needs_probes() {
            reconnect.set_probe_interval(None);
        }
        let targets = vec![stream.name().to_owned()];
        let mut session = Session::bare(targets, 0, Tls::default(), clock, reconnect);
        session.link = Link::Connected(Box::new(Connection::new(stream)));
        session
    }

    fn bare(
        targets: Vec<String>,
        default_port: u16,
        tls: Tls,
        clock: Clock,
        reconnect: Reconnect,
    ) -> Session {
        Session {
            targets,
            next_target: 0,
            default_port,
            tls,
            clock,
            reconnect,
            link: Link::None,
            listener: None,
            accepting: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            backlog_limit: Backlog::default(),
            receive_limit: None,
            is_paused: false,
            max_message: None,
            last_error: None,
            ended: false,
        }
    }

    /// The target at hand, or the peer's name.
    pub fn name(&self) -> &str {
        self.reconnect.name()
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected(_))
    }

    /// Whether the session is connected or may yet be.
    pub fn is_alive(&self) -> bool {
        !self.ended
    }

    /// Why the last connection or attempt ended.
    pub fn last_error(&self) -> Option<&io::Error> {
        self.last_error.as_ref()
    }

    pub fn status(&self) -> Status {
        self.reconnect.status(self.clock.now())
    }

    /// Zero switches probes off.
    pub fn set_probe_interval(&mut self, interval: Duration) {
        self.reconnect.set_probe_interval(Some(interval));
    }

    pub fn set_max_backoff(&mut self, max: Duration) {
        self.reconnect.set_backoff(Duration::from_secs(1), max);
    }

    pub fn set_backlog_limit(&mut self, limit: Backlog) {
        self.backlog_limit = limit;
        if let Link::Connected(connection) = &mut self.link {
            connection.set_backlog_limit(limit);
        }
    }

    /// While more than this many bytes wait to be written nothing is read, so that a peer which asks and does
    /// not listen cannot make the queue grow.
    pub fn set_receive_limit(&mut self, bytes: usize) {
        self.receive_limit = Some(bytes);
    }

    /// While paused nothing is read. Who ends the pause polls the session again.
    pub fn set_paused(&mut self, paused: bool) {
        self.is_paused = paused;
    }

    /// Longer messages end the connection.
    pub fn set_max_message(&mut self, bytes: usize) {
        self.max_message = Some(bytes);
        if let Link::Connected(connection) = &mut self.link {
            connection.set_max_message(bytes);
        }
    }

    /// From now on a lost connection is made again.
    pub fn enable_reconnect(&mut self) {
        self.reconnect.set_max_tries(None);
    }

    pub fn force_reconnect(&mut self) {
        self.reconnect.force_reconnect(self.clock.now());
    }

    pub fn connection(&self) -> Option<&Connection> {
        match &self.link {
            Link::Connected(connection) => Some(connection),
            _ => None,
        }
    }

    pub fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.link {
            Link::Connected(connection) => Some(connection),
            _ => None,
        }
    }

    /// Queues a message; without a connection it is lost, which [`Event::Disconnected`] has told.
    pub fn send(&mut self, message: &Message) {
        if let Link::Connected(connection) = &mut self.link {
            connection.send(message);
        }
    }

    /// The next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Event {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// See [`Session::next`]. After [`Event::Ended`] it stays pending.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.ended {
            return Poll::Pending;
        }
        loop {
            if let Some(event) = self.poll_accept(cx) {
                return Poll::Ready(event);
            }
            if let Some(event) = self.poll_link(cx) {
                return Poll::Ready(event);
            }
            let was_idle = matches!(self.link, Link::None);
            if let Some(event) = self.run_machine() {
                return Poll::Ready(event);
            }
            if was_idle && !matches!(self.link, Link::None) {
                // An attempt was begun: it must be polled to go on.
                continue;
            }
            if !self.is_busy() && self.reconnect.deadline().is_none() {
                self.ended = true;
                return Poll::Ready(Event::Ended);
            }
            if !self.poll_timer(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Whether something other than the timer can bring an event.
    fn is_busy(&self) -> bool {
        !matches!(self.link, Link::None) || self.listener.is_some()
    }

    /// True when the machine's time has come, or a fresh attempt is to be polled.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.reconnect.deadline() else {
            return false;
        };
        let now = self.clock.now();
        if now >= deadline {
            return true;
        }
        let at = tokio::time::Instant::now() + deadline.since(now);
        self.timer.as_mut().reset(at);
        // A stopped clock does not reach the deadline by waiting: look again when the wait is over.
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = self.clock.now();
            if now >= deadline {
                return true;
            }
            let wait = deadline.since(now).max(Duration::from_millis(1));
            self.timer.as_mut().reset(tokio::time::Instant::now() + wait);
        }
        false
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        if let Some(listener) = &self.listener
            && let Poll::Ready(accepted) = listener.poll_accept(cx)
        {
            match accepted {
                Ok(incoming) => self.accepting = Some(Box::pin(incoming.finish())),
                Err(e) => {
                    self.reconnect.disconnected(self.clock.now(), Some(&e));
                    self.last_error = Some(e);
                    self.listener = None;
                }
            }
        }
        let Poll::Ready(stream) = self.accepting.as_mut()?.as_mut().poll(cx) else {
            return None;
        };
        self.accepting = None;
        let stream = stream.ok()?;
        if self.is_connected() {
            log::info!(target: base::bounded!("jsonrpc"),
                "{}: new connection replacing active connection", self.name());
            self.link = Link::None;
        }
        Some(self.become_connected(stream))
    }

    fn become_connected(&mut self, stream: Stream) -> Event {
        let mut connection = Connection::new(stream);
        connection.set_backlog_limit(self.backlog_limit);
        if let Some(bytes) = self.max_message {
            connection.set_max_message(bytes);
        }
        self.link = Link::Connected(Box::new(connection));
        self.reconnect.connected(self.clock.now());
        Event::Connected
    }

    fn poll_link(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        match &mut self.link {
            Link::None => None,
            Link::Binding(attempt) => {
                let Poll::Ready(result) = attempt.as_mut().poll(cx) else { return None };
                self.link = Link::None;
                match result {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        self.reconnect.listening(self.clock.now());
                        self.poll_accept(cx)
                    }
                    Err(e) => {
                        self.attempt_failed(e);
                        None
                    }
                }
            }
            Link::Connecting(attempt) => {
                let Poll::Ready(result) = attempt.as_mut().poll(cx) else { return None };
                match result {
                    Ok(stream) => Some(self.become_connected(stream)),
                    Err(e) => {
                        self.link = Link::None;
                        self.attempt_failed(e);
                        None
                    }
                }
            }
            Link::Connected(_) => self.poll_connection(cx),
        }
    }

    fn attempt_failed(&mut self, error: io::Error) {
        self.reconnect.connect_failed(self.clock.now(), &error);
        self.last_error = Some(error);
        self.pick_target();
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        loop {
            let Link::Connected(connection) = &mut self.link else { return None };
            let progress = (connection.received_bytes(), connection.backlog() > 0, connection.sent_bytes());
            let flushed = connection.poll_flush(cx);
            let full = self.receive_limit.is_some_and(|limit| connection.backlog() > limit);
            let received = match flushed {
                Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                Poll::Pending if full => Poll::Pending,
                _ if self.is_paused => Poll::Pending,
                _ => connection.poll_receive(cx),
            };
            let received_more = connection.received_bytes() != progress.0;
            let sent_more = progress.1 && connection.sent_bytes() != progress.2;
            if received_more || sent_more {
                self.reconnect.activity(self.clock.now());
            }
            match received {
                Poll::Pending => return None,
                Poll::Ready(Err(e)) => {
                    self.reconnect.disconnected(self.clock.now(), Some(&e));
                    self.last_error = Some(e);
                    return Some(self.drop_link());
                }
                Poll::Ready(Ok(message)) => {
                    if let Some(message) = self.filter_echo(message) {
                        return Some(Event::Message(message));
                    }
                }
            }
        }
    }

    /// Answers the peer's probes and swallows the answers to ours.
    fn filter_echo(&mut self, message: Message) -> Option<Message> {
        match message {
            Message::Request { method, params, id } if method == "echo" => {
                self.send(&Message::Reply { result: Value::Array(params), id });
                None
            }
            Message::Reply { id, .. } if id == "echo" => None,
            other => Some(other),
        }
    }

    fn drop_link(&mut self) -> Event {
        self.link = Link::None;
        if self.listener.is_some() {
            self.reconnect.listening(self.clock.now());
        } else {
            self.pick_target();
        }
        Event::Disconnected
    }

    fn pick_target(&mut self) {
        if let Some(target) = self.targets.get(self.next_target % self.targets.len().max(1)) {
            self.reconnect.set_name(target);
            self.next_target += 1;
        }
    }

    fn run_machine(&mut self) -> Option<Event> {
        let now = self.clock.now();
        match self.reconnect.run(now)? {
            Action::Connect => {
                self.begin();
                None
            }
            Action::Disconnect => {
                self.reconnect.disconnected(now, None);
                let was_connected = self.is_connected();
                let event = self.drop_link();
                was_connected.then_some(event)
            }
            Action::Probe => {
                self.send(&Message::request("echo", Vec::new(), "echo"));
                None
            }
        }
    }

    fn begin(&mut self) {
        let now = self.clock.now();
        let (name, port, tls) = (self.name().to_owned(), self.default_port, self.tls.clone());
        if is_passive_name(&name) {
            if self.listener.is_some() {
                self.reconnect.listening(now);
                return;
            }
            self.reconnect.connecting(now);
            self.link = Link::Binding(Box::pin(async move { Listener::bind(&name, port, &tls).await }));
        } else {
            self.reconnect.connecting(now);
            self.link = Link::Connecting(Box::pin(async move { Stream::connect(&name, port, &tls).await }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_goes_on_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let name = format!("unix:{}", directory.path().join("s").display());
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let listener = Listener::bind(&format!("p{name}"), 0, &Tls::default()).await.unwrap();
            let clock = Clock::new();
            clock.stop();
            let mut session = Session::open(&[name], 0, false, Tls::default(), clock);
            assert!(matches!(session.next().await, Event::Connected));
            drop(listener);
            assert!(matches!(session.next().await, Event::Disconnected));
            assert!(matches!(session.next().await, Event::Ended));
        });
    }
}
