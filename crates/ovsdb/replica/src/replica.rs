//! [`Protocol`] over a [`Session`].

use crate::protocol::{Action, Protocol, Subscription};
use crate::tables::{Change, Tables};
use crate::transaction::{Outcome, Transaction};
use base::Clock;
use indexmap::IndexMap;
use model::{Schema, Uuid};
use rpc::{OVSDB_PORT, Session, Tls};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

/// Names a transaction that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId(u64);

/// What happens to a replica.
#[derive(Debug)]
pub enum Event {
    /// The copy has changed; the first time, it is whole.
    Updated,
    /// There is a connection; the copy is not up to date yet.
    Connected,
    /// The copy stays, and will be brought up to date when there is a connection again.
    Disconnected,
    /// The lock is ours now, or not any more.
    Lock(bool),
    /// A transaction that [`Replica::commit`] sent has ended.
    Committed(TransactionId, Outcome),
    /// The server has no such database.
    NoDatabase(String),
    /// There will be no other connection; the last error, where there was one.
    Ended(Option<String>),
}

/// See the crate's text. All methods return at once but [`Replica::next`].
#[derive(Debug)]
pub struct Replica {
    protocol: Protocol,
    session: Session,
    events: VecDeque<Event>,
}

impl Replica {
    /// Connects to one of `remotes`; with `retry`, again whenever the connection is lost. Needs a runtime.
    pub fn open(
        remotes: &[String],
        database: &str,
        subscription: Subscription,
        retry: bool,
        tls: Tls,
        clock: Clock,
    ) -> Replica {
        Replica {
            protocol: Protocol::new(database, subscription),
            session: Session::open(remotes, OVSDB_PORT, retry, tls, clock),
            events: VecDeque::new(),
        }
    }

    /// See [`Protocol::expect_schema`].
    pub fn expect_schema(&mut self, schema: Schema) {
        self.protocol.expect_schema(schema);
    }

    /// See [`Protocol::written_for`].
    pub fn written_for(&mut self, schema: Schema) {
        self.protocol.written_for(schema);
    }

    /// The connection.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The connection, for its settings.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// See [`Protocol::tables`].
    pub fn tables(&self) -> &Tables {
        self.protocol.tables()
    }

    /// See [`Protocol::schema`].
    pub fn schema(&self) -> Option<&Schema> {
        self.protocol.schema()
    }

    /// See [`Protocol::seqno`].
    pub fn seqno(&self) -> u64 {
        self.protocol.seqno()
    }

    /// Whether the copy has ever been whole.
    pub fn has_data(&self) -> bool {
        self.protocol.seqno() > 0
    }

    /// See [`Protocol::is_live`].
    pub fn is_live(&self) -> bool {
        self.protocol.is_live()
    }

    /// See [`Protocol::has_lock`].
    pub fn has_lock(&self) -> bool {
        self.protocol.has_lock()
    }

    /// Whether another client has the lock that [`Replica::set_lock`] asked for.
    pub fn is_lock_contended(&self) -> bool {
        self.protocol.is_lock_contended()
    }

    /// The rows that changed since the last call, by table and UUID.
    pub fn take_changes(&mut self) -> IndexMap<(String, Uuid), Change> {
        self.protocol.take_changes()
    }

    /// Requests the lock of this name, or gives it up; what comes of it is an [`Event::Lock`].
    pub fn set_lock(&mut self, name: Option<&str>) {
        let actions = self.protocol.set_lock(name);
        self.act(actions);
    }

    /// A transaction over the copy as it is now.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.protocol.tables())
    }

    /// Sends a transaction; its end comes as [`Event::Committed`].
    pub fn commit(&mut self, transaction: Transaction) -> TransactionId {
        let (id, actions) = self.protocol.commit(transaction);
        self.act(actions);
        TransactionId(id)
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(message) => self.session.send(&message),
                Action::Updated => self.events.push_back(Event::Updated),
                Action::Lock(ours) => self.events.push_back(Event::Lock(ours)),
                Action::Committed(id, outcome) => {
                    self.events.push_back(Event::Committed(TransactionId(id), outcome));
                }
                Action::NoDatabase(why) => self.events.push_back(Event::NoDatabase(why)),
                Action::Reconnect(why) => {
                    log::warn!(target: "ovsdb_cs", "{}: {why}", self.session.name());
                    self.session.force_reconnect();
                }
            }
        }
    }

    /// The next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Event {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Replica::next`], for callers that are futures themselves.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            let Poll::Ready(event) = self.session.poll_next(cx) else { return Poll::Pending };
            match event {
                rpc::Event::Connected => {
                    self.events.push_back(Event::Connected);
                    let actions = self.protocol.connected();
                    self.act(actions);
                }
                rpc::Event::Disconnected => {
                    let actions = self.protocol.disconnected();
                    self.act(actions);
                    self.events.push_back(Event::Disconnected);
                }
                rpc::Event::Message(message) => {
                    let actions = self.protocol.received(message);
                    self.act(actions);
                }
                rpc::Event::Ended => {
                    let error = self.session.last_error().map(rpc::error_text);
                    return Poll::Ready(Event::Ended(error));
                }
            }
        }
    }
}
