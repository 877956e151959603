//! The methods of the protocol (RFC 7047 §4.1 and ovsdb-server(7)), by name.

use crate::hosted::Hosted;
use crate::monitor::{Monitor, Version, condition_updates, notification_head};
use crate::monitor_request;
use crate::server::Server;
use crate::session::SessionId;
use model::{Error, Json, Schema, is_id};
use rpc::Message;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

type Answer = Result<Json, Json>;

fn syntax(params: &[Json], details: impl Into<String>) -> Json {
    Error::syntax(&Value::Array(params.to_vec()), details).to_json()
}

fn empty() -> Json {
    Value::Object(Map::new())
}

impl Server {
    /// Takes in one message of a client. Answers, and what others are to know, go to the outboxes.
    pub fn handle(&mut self, id: SessionId, message: Message) {
        match message {
            Message::Request { method, params, id: request } => self.request(id, &method, params, request),
            Message::Notify { method, params } if method == "cancel" => {
                if let [request] = params.as_slice() {
                    self.cancel(id, request);
                }
            }
            Message::Notify { .. } => {}
            Message::Reply { .. } | Message::Error { .. } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.doomed = Some(format!("received unexpected {} message", message.kind()));
                }
            }
        }
    }

    fn request(&mut self, id: SessionId, method: &str, params: Vec<Json>, request: Json) {
        let answer = match method {
            "transact" => match self.lookup(method, &params) {
                Err(e) => Err(e),
                Ok(_) if self.has_trigger(id, &request) => {
                    Err(syntax(&params, "transact: duplicate request ID"))
                }
                Ok(name) => {
                    let before = self.generation();
                    self.transact(&name, id, params, request);
                    if self.generation() != before {
                        self.run_triggers(&name);
                    }
                    return;
                }
            },
            "convert" => self.convert_request(id, &params),
            "monitor" | "monitor_cond" | "monitor_cond_since" if method == "monitor" || self.monitor_cond => {
                let version = match method {
                    "monitor" => Version::One,
                    "monitor_cond" => Version::Two,
                    _ => Version::Three,
                };
                match self.monitor(id, method, &params, version, &request) {
                    Ok(()) => return,
                    Err(e) => Err(e),
                }
            }
            "monitor_cond_change" => self.monitor_cond_change(id, &params),
            "monitor_cancel" => self.monitor_cancel(id, &params),
            "get_schema" => match self.lookup(method, &params) {
                Ok(name) => {
                    let Some(hosted) = self.databases.get_mut(&name) else { return };
                    let text = hosted.schema_text();
                    return self.reply_text(id, "", text, "", &request);
                }
                Err(e) => Err(e),
            },
            "list_dbs" => Ok(self.database_names().map(Value::from).collect()),
            "get_server_id" => Ok(Value::from(self.uuid.to_string())),
            "lock" | "steal" => self.lock(id, method, &params),
            "unlock" => self.unlock(id, &params),
            "set_db_change_aware" => self.set_db_change_aware(id, &params),
            "echo" => Ok(Value::Array(params)),
            _ => Err(Value::from("unknown method")),
        };
        self.reply(id, answer, request);
    }

    /// The database that the first parameter names.
    fn lookup(&self, method: &str, params: &[Json]) -> Result<String, Json> {
        let Some(name) = params.first().and_then(Value::as_str) else {
            return Err(syntax(params, format!("{method} request params must begin with <db-name>")));
        };
        match self.databases.get(name) {
            Some(hosted) if hosted.is_available() => return Ok(name.to_owned()),
            Some(_) => {
                let message = format!(
                    "{method} request specifies database {name} which is not yet available because it has not \
                     completed joining its cluster"
                );
                return Err(Error::new("database not available", message).to_json());
            }
            None => {}
        }
        let message = format!("{method} request specifies unknown database {name}");
        Err(Error::new("unknown database", message).about(&Value::Array(params.to_vec())).to_json())
    }

    fn convert_request(&mut self, id: SessionId, params: &[Json]) -> Answer {
        let name = self.lookup("convert", params)?;
        let identity = self.sessions.get(&id).map(|s| s.identity.clone()).unwrap_or_default();
        if let Some(role) = identity.role.filter(|role| !role.is_empty()) {
            let client = identity.client.unwrap_or_default();
            let message = format!(
                "RBAC rules for client \"{client}\" role \"{role}\" prohibit \"convert\" of database {name} \
                 (only the root role may convert databases)"
            );
            return Err(Error::new("permission error", message).to_json());
        }
        let hosted_read_only = self.databases.get(&name).is_some_and(|hosted| hosted.read_only);
        if self.read_only || hosted_read_only || name.starts_with('_') || identity.read_only {
            let message = format!("conversion is not allowed for read-only database {name}");
            return Err(Error::new("not allowed", message).to_json());
        }
        let [_, schema] = params else { return Err(syntax(params, "array expected")) };
        let schema = Schema::from_json(schema).map_err(|e| e.to_json())?;
        if schema.name != name {
            let message = format!("new schema name ({}) does not match database name ({name})", schema.name);
            return Err(Error::new("invalid parameters", message).to_json());
        }
        self.convert(&name, schema).map_err(|e| e.to_json())?;
        Ok(empty())
    }

    fn monitor(
        &mut self,
        id: SessionId,
        method: &str,
        params: &[Json],
        version: Version,
        request: &Json,
    ) -> Result<(), Json> {
        let name = self.lookup(method, params)?;
        let Some(hosted) = self.databases.get_mut(&name) else { return Ok(()) };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let monitor_id = params.get(1).cloned().unwrap_or_default();
        if session.monitor(&monitor_id).is_some() {
            return Err(Error::syntax(&monitor_id, "duplicate monitor ID").to_json());
        }
        let wanted =
            monitor_request::parse(params, version, &hosted.file.database).map_err(|e| e.to_json())?;
        let place = hosted.watches.join(id, version, wanted.tables);
        let last_id = hosted.last_id();
        let Some(watch) = hosted.watches.watch(place) else { return Ok(()) };
        let missed = hosted.history.after(wanted.last_id).map(|commits| watch.since(commits));
        let (found, updates) = match missed {
            Some(updates) => (true, Arc::new(updates.into_bytes())),
            None => (false, watch.initial(&hosted.file.database)),
        };
        let monitor = Monitor::new(monitor_id, &name, version, place);
        session.monitors.insert(model::json::sorted(&monitor.id), monitor);
        match version {
            Version::One | Version::Two => self.reply_text(id, "", updates, "", request),
            Version::Three => {
                self.reply_text(id, &format!("[{found},\"{last_id}\","), updates, "]", request);
            }
        }
        Ok(())
    }

    fn monitor_cond_change(&mut self, id: SessionId, params: &[Json]) -> Answer {
        self.flush_monitors(id);
        let [old_id, new_id, requests] = params else { return Err(syntax(params, "invalid parameters")) };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(Value::Null) };
        let old_key = model::json::sorted(old_id);
        let new_key = model::json::sorted(new_id);
        if !session.monitors.contains_key(&old_key) {
            return Err(Error::syntax(old_id, "unknown monitor session").to_json());
        }
        if old_key != new_key && session.monitors.contains_key(&new_key) {
            return Err(Error::syntax(new_id, "duplicate monitor ID").to_json());
        }
        let Some(mut monitor) = session.monitors.swap_remove(&old_key) else { return Ok(Value::Null) };
        let result = change_conditions(id, &mut monitor, requests, new_id, &mut self.databases);
        if let Ok(Some(notification)) = &result {
            session.push(notification.clone());
        }
        session.monitors.insert(model::json::sorted(&monitor.id), monitor);
        result.map(|_| empty()).map_err(|e| e.to_json())
    }

    fn monitor_cancel(&mut self, id: SessionId, params: &[Json]) -> Answer {
        let [monitor] = params else { return Err(Value::from("invalid parameters")) };
        let key = model::json::sorted(monitor);
        let session = self.sessions.get_mut(&id);
        match session.and_then(|session| session.monitors.shift_remove(&key)) {
            Some(monitor) => {
                self.leave_watch(id, &monitor);
                Ok(empty())
            }
            None => Err(Value::from("unknown monitor")),
        }
    }

    fn lock_name<'p>(&self, id: SessionId, method: &str, params: &'p [Json]) -> Result<&'p str, Json> {
        if self.sessions.get(&id).is_some_and(|session| session.identity.read_only) {
            return Err(Value::from("lock and unlock methods not allowed, DB server is read only."));
        }
        match params {
            [Value::String(name)] if is_id(name) => Ok(name),
            _ => Err(syntax(params, format!("{method} request params must be <id>"))),
        }
    }

    fn lock(&mut self, id: SessionId, method: &str, params: &[Json]) -> Answer {
        let name = self.lock_name(id, method, params)?;
        if self.locks.is_waiting(name, id) {
            return Err(syntax(params, format!("must issue \"unlock\" before new \"{method}\"")));
        }
        let locked = if method == "steal" {
            if let Some(victim) = self.locks.steal(name, id) {
                if let Some(session) = self.sessions.get_mut(&victim) {
                    session.locks_lost.push(name.to_owned());
                }
                self.notify(victim, "stolen", name);
            }
            true
        } else {
            self.locks.lock(name, id)
        };
        Ok(json!({ "locked": locked }))
    }

    fn unlock(&mut self, id: SessionId, params: &[Json]) -> Answer {
        let name = self.lock_name(id, "unlock", params)?;
        if !self.locks.is_waiting(name, id) {
            return Err(syntax(params, "unlock: \"unlock\" without \"lock\" or \"steal\""));
        }
        self.give_up_lock(name, id);
        Ok(empty())
    }

    fn set_db_change_aware(&mut self, id: SessionId, params: &[Json]) -> Answer {
        let [Value::Bool(aware)] = params else {
            return Err(syntax(params, "set_db_change_aware: true or false parameter expected"));
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.db_change_aware = *aware;
        }
        Ok(empty())
    }
}

/// Moves a monitor to the watch of its new conditions; returns the notification of rows that come and go.
fn change_conditions(
    session: SessionId,
    monitor: &mut Monitor,
    requests: &Json,
    new_id: &Json,
    databases: &mut BTreeMap<String, Hosted>,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(hosted) = databases.get_mut(&monitor.database) else { return Ok(None) };
    let last_id = hosted.last_id();
    let Some(watch) = hosted.watches.watch(monitor.place) else { return Ok(None) };
    let (version, old) = (watch.version, watch.tables.clone());
    let conditions = monitor_request::parse_change(requests, &old, &hosted.file.database)?;
    let mut new = old.clone();
    for (index, condition) in conditions {
        if let Some(monitored) = new.iter_mut().find(|t| t.table == index) {
            monitored.condition = condition;
        }
    }
    let updates = condition_updates(&old, &new, version, &hosted.file.database);
    hosted.watches.leave(session, monitor.place);
    let place = hosted.watches.join(session, version, new);
    *monitor = Monitor::new(new_id.clone(), &monitor.database, version, place);
    Ok(updates.map(|updates| {
        let mut notification = notification_head(version, new_id, last_id);
        notification.extend_from_slice(updates.as_bytes());
        notification.extend_from_slice(b"]}");
        notification
    }))
}
