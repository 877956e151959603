//! The core joined to a session that reconnects.

use std::collections::{BTreeSet, VecDeque};

use base::Clock;
use model::Uuid;
use rpc::{Session, Tls, session};

use crate::core::{Core, Event, MonitorSpec, TransactionId};
use crate::row::Table;
use crate::transaction::Transaction;

/// The copy of a database on a server, kept up to date.
#[derive(Debug)]
pub struct Replica {
    session: Session,
    core: Core,
    ready: VecDeque<Event>,
}

impl Replica {
    /// Connects to one of `remotes`, again and again. Needs a runtime.
    pub fn open(remotes: &[String], database: &str, spec: MonitorSpec, clock: Clock) -> Replica {
        let session = Session::open(remotes, rpc::OVSDB_PORT, true, Tls::default(), clock);
        Replica { session, core: Core::new(database, spec), ready: VecDeque::new() }
    }

    /// What happens next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Event {
        loop {
            self.flush();
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            match self.session.next().await {
                session::Event::Connected => self.core.connected(),
                session::Event::Disconnected | session::Event::Ended => {
                    self.ready.extend(self.core.disconnected());
                }
                session::Event::Message(message) => match self.core.handle(message) {
                    Ok(event) => self.ready.extend(event),
                    Err(reason) => {
                        log::warn!(target: "ovsdb_cs", "{}: {reason}; reconnecting", self.session.name());
                        self.ready.extend(self.core.disconnected());
                        self.session.force_reconnect();
                    }
                },
            }
        }
    }

    fn flush(&mut self) {
        for message in self.core.take_outgoing() {
            self.session.send(&message);
        }
    }

    /// Sends a transaction; its outcome comes as an [`Event::Transacted`].
    pub fn transact(&mut self, transaction: Transaction) -> TransactionId {
        let id = self.core.transact(transaction.into_operations());
        self.flush();
        id
    }

    pub fn set_lock(&mut self, name: &str) {
        self.core.set_lock(name);
    }

    pub fn is_connected(&self) -> bool {
        self.session.is_connected()
    }

    /// Whether the copy has been whole since the connection was made.
    pub fn is_synced(&self) -> bool {
        self.core.is_synced()
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.core.table(name)
    }

    pub fn take_changes(&mut self) -> BTreeSet<(String, Uuid)> {
        self.core.take_changes()
    }
}
