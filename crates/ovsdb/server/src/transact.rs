//! Transactions: at once, when what they wait for has come, or when they have waited too long.

use crate::hosted::Trigger;
use crate::server::Server;
use crate::session::SessionId;
use base::Timestamp;
use model::{Error, Json};
use std::time::Duration;
use store::{Executed, Request};

impl Server {
    /// Executes a transaction now; keeps it when it must wait.
    pub(crate) fn transact(&mut self, database: &str, session: SessionId, params: Vec<Json>, id: Json) {
        let created = self.clock.now();
        self.attempt(database, Trigger { session, id, params, created, timeout: None });
    }

    /// Whether the session has a transaction of that id that waits.
    pub(crate) fn has_trigger(&self, session: SessionId, id: &Json) -> bool {
        let mut triggers = self.databases.values().flat_map(|hosted| &hosted.triggers);
        triggers.any(|trigger| trigger.session == session && trigger.id == *id)
            || self.relays().any(|relay| relay.is_waiting(session, id))
    }

    fn relays(&self) -> impl Iterator<Item = &crate::relay::RelayState> {
        self.databases.values().filter_map(|hosted| hosted.relay.as_ref())
    }

    /// Gives up a transaction that waits.
    pub(crate) fn cancel(&mut self, session: SessionId, id: &Json) {
        if self.has_trigger(session, id) {
            for hosted in self.databases.values_mut() {
                hosted.triggers.retain(|trigger| trigger.session != session || trigger.id != *id);
                if let Some(relay) = &mut hosted.relay {
                    relay.cancel(session, id);
                }
            }
            self.reply(session, Err(Json::from("canceled")), id.clone());
        }
    }

    pub(crate) fn attempt(&mut self, name: &str, mut trigger: Trigger) {
        let Some(hosted) = self.databases.get_mut(name) else { return };
        let locks = &self.locks;
        let identity = self.sessions.get(&trigger.session).map(|s| s.identity.clone()).unwrap_or_default();
        let elapsed = self.clock.now().since(trigger.created);
        let request = Request {
            params: &trigger.params,
            read_only: self.read_only || hosted.read_only || identity.read_only,
            privileged: false,
            role: identity.role.as_deref().filter(|role| !role.is_empty()),
            client: identity.client.as_deref(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            holds_lock: &|lock| locks.is_owner(lock, trigger.session),
        };
        match store::execute(&hosted.file.database, &request) {
            Executed::Blocked { timeout_ms } => {
                trigger.timeout = timeout_ms.map(Duration::from_millis);
                if trigger.timeout.is_some()
                    && let Some(waker) = self.deadline_waker.take()
                {
                    waker.wake();
                }
                hosted.triggers.push(trigger);
            }
            Executed::Failed(results) => {
                self.reply(trigger.session, Ok(Json::Array(results)), trigger.id);
            }
            Executed::Ready { changes_rows: true, .. } if hosted.relay.is_some() => {
                if let Some(relay) = &mut hosted.relay {
                    relay.forward(trigger.session, trigger.id, trigger.params);
                }
            }
            Executed::Ready { transaction, mut results, durable, .. } => {
                match hosted.file.commit_unsynced(transaction, durable) {
                    Ok((changes, ticket)) => {
                        self.committed(name, &changes);
                        self.answered.push(trigger.params);
                        if let Some(ticket) = ticket {
                            self.reply_held(trigger.session, name, ticket, results, trigger.id);
                            return;
                        }
                    }
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
        hosted.is_schema_published = false;
        let triggers = std::mem::take(&mut hosted.triggers);
        self.cancel_triggers(triggers);
        self.cancel_monitors(name);
        self.update_server_database();
        self.disconnect_unaware(&format!("committed {name} database schema conversion"));
        Ok(())
    }
}
