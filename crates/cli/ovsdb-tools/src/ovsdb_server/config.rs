//! What the server is to serve and where: from the command line, from control commands, or from a file.
//!
//! The JSON form is that of `--config-file` (ovsdb-server(7)), and is also what
//! a daemon keeps for the one that is started after it under `--monitor`.

use indexmap::IndexMap;
use model::Members;
use model::members::Kinds;
use serde_json::{Map, Value, json};
use server::{DEFAULT_DSCP, Remote};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a source may be silent before it is probed.
pub(crate) const REPLICATION_PROBE_MS: i64 = 60_000;
pub(crate) const RELAY_PROBE_MS: i64 = 5_000;
const PROBE_MS: i64 = 5_000;
const MAX_BACKOFF_MS: i64 = 8_000;

/// How a connection is made and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkOptions {
    pub(crate) max_backoff_ms: i64,
    pub(crate) probe_ms: i64,
    dscp: i64,
}

/// Zero or less is never.
pub(crate) fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// "punix:" and "unix:" need no probes; what is no stream at all is treated as one that does.
fn needs_probes(target: &str) -> bool {
    !target.starts_with("unix:") && !target.starts_with("punix:")
}

impl LinkOptions {
    fn default_for(target: &str) -> LinkOptions {
        let probe_ms = if needs_probes(target) { PROBE_MS } else { 0 };
        LinkOptions { max_backoff_ms: MAX_BACKOFF_MS, probe_ms, dscp: DEFAULT_DSCP.into() }
    }

    fn to_map(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("max-backoff".to_owned(), json!(self.max_backoff_ms));
        map.insert("inactivity-probe".to_owned(), json!(self.probe_ms));
        map.insert("dscp".to_owned(), json!(self.dscp));
        map
    }

    fn update(&mut self, members: &mut Members<'_>) {
        for (name, slot) in [
            ("max-backoff", &mut self.max_backoff_ms),
            ("inactivity-probe", &mut self.probe_ms),
            ("dscp", &mut self.dscp),
        ] {
            if let Some(number) = members.integer(name) {
                *slot = number;
            }
        }
    }
}

/// One remote's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteOptions {
    link: LinkOptions,
    read_only: bool,
    role: Option<String>,
}

impl RemoteOptions {
    pub(crate) fn default_for(target: &str) -> RemoteOptions {
        RemoteOptions { link: LinkOptions::default_for(target), read_only: false, role: None }
    }

    pub(crate) fn remote(&self, target: &str) -> Remote {
        Remote {
            target: target.to_owned(),
            read_only: self.read_only,
            role: self.role.clone(),
            probe_interval: Some(duration(self.link.probe_ms)),
            max_backoff: Some(duration(self.link.max_backoff_ms)),
            dscp: u8::try_from(self.link.dscp).ok().filter(|dscp| *dscp <= 63).unwrap_or(DEFAULT_DSCP),
        }
    }

    fn to_json(&self) -> Value {
        let mut map = self.link.to_map();
        map.insert("read-only".to_owned(), json!(self.read_only));
        if let Some(role) = &self.role {
            map.insert("role".to_owned(), json!(role));
        }
        map.into()
    }

    fn update(&mut self, json: &Value) {
        let mut members = Members::new(json, &"JSON-RPC options");
        self.link.update(&mut members);
        self.read_only = members.boolean("read-only").unwrap_or(self.read_only);
        if let Some(role) = members.text("role") {
            self.role = Some(role.to_owned());
        }
        if let Err(e) = members.finish() {
            log::warn!(target: "ovsdb_jsonrpc_server", "{e}");
        }
    }
}

/// By whom a database is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceModel {
    /// To be seen from the file.
    Undefined,
    Standalone,
    /// Known by name only: clustered files are refused.
    Clustered,
    ActiveBackup,
    Relay,
}

const SERVICE_MODELS: [(ServiceModel, &str); 5] = [
    (ServiceModel::Undefined, "undefined"),
    (ServiceModel::Standalone, "standalone"),
    (ServiceModel::Clustered, "clustered"),
    (ServiceModel::ActiveBackup, "active-backup"),
    (ServiceModel::Relay, "relay"),
];

impl ServiceModel {
    pub(crate) fn name(self) -> &'static str {
        SERVICE_MODELS.iter().find(|(model, _)| *model == self).map_or("", |(_, name)| name)
    }

    /// Whether a database may go from one to the other while it is served.
    pub(crate) fn can_become(self, other: ServiceModel) -> bool {
        use ServiceModel::{ActiveBackup, Clustered, Standalone, Undefined};
        self == other
            || matches!(
                (self, other),
                (Standalone | Clustered, Undefined) | (Standalone, ActiveBackup) | (ActiveBackup, Standalone)
            )
    }
}

/// One database's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseConfig {
    pub(crate) model: ServiceModel,
    /// Whom to follow.
    pub(crate) source: Option<(String, LinkOptions)>,
    /// Tables that are not followed, as given: `DB:TABLE,…`.
    pub(crate) excluded: Option<String>,
    /// It follows its source now.
    pub(crate) backup: bool,
}

impl DatabaseConfig {
    fn plain(model: ServiceModel) -> DatabaseConfig {
        DatabaseConfig { model, source: None, excluded: None, backup: false }
    }

    pub(crate) fn set_source(&mut self, target: &str) {
        let mut options = LinkOptions::default_for(target);
        match self.model {
            ServiceModel::ActiveBackup => options.probe_ms = REPLICATION_PROBE_MS,
            ServiceModel::Relay => options.probe_ms = RELAY_PROBE_MS,
            _ => {}
        }
        self.source = Some((target.to_owned(), options));
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.model != ServiceModel::Undefined {
            map.insert("service-model".to_owned(), json!(self.model.name()));
        }
        if let Some((target, options)) = &self.source {
            map.insert("source".to_owned(), json!({ target: options.to_map() }));
        }
        if self.model == ServiceModel::ActiveBackup {
            if let Some(excluded) = &self.excluded {
                map.insert("exclude-tables".to_owned(), json!(split(excluded)));
            }
            map.insert("backup".to_owned(), json!(self.backup));
        }
        map.into()
    }

    fn from_json(name: &str, json: &Value) -> Result<DatabaseConfig, model::Error> {
        let mut config = DatabaseConfig::plain(ServiceModel::Undefined);
        if json.is_null() {
            return Ok(config);
        }
        let title = format!("database {name}");
        let mut members = Members::new(json, &title);
        if let Some(text) = members.text("service-model") {
            let found = SERVICE_MODELS.iter().find(|(_, name)| *name == text);
            config.model = found.map_or(ServiceModel::Undefined, |(model, _)| *model);
            if found.is_none() {
                log::warn!(target: "ovsdb_server", "Unrecognized database service model: '{text}'");
            }
            if config.model == ServiceModel::Undefined {
                members.fail(&format!("'{text}' is not a valid service model"));
            }
        }
        if config.model == ServiceModel::ActiveBackup {
            let backup = members.required("backup", Kinds::BOOLEAN).and_then(Value::as_bool);
            config.backup = backup.unwrap_or(false);
            if let Some(tables) = members.optional("exclude-tables", Kinds::ARRAY).and_then(Value::as_array) {
                let names: Option<Vec<&str>> = tables.iter().map(Value::as_str).collect();
                match names {
                    Some(names) => config.excluded = Some(names.join(",")),
                    None => members.fail("'exclude-tables' must contain strings"),
                }
            }
        }
        if matches!(config.model, ServiceModel::ActiveBackup | ServiceModel::Relay) {
            // An active database may do without a source.
            let source = if config.model == ServiceModel::ActiveBackup && !config.backup {
                members.optional("source", Kinds::OBJECT)
            } else {
                members.required("source", Kinds::OBJECT)
            };
            config.read_source(source, &mut members);
        }
        members.finish().map(|()| config)
    }

    fn read_source(&mut self, source: Option<&Value>, members: &mut Members<'_>) {
        let Some(source) = source.and_then(Value::as_object) else { return };
        let (Some((target, json)), 1) = (source.iter().next(), source.len()) else {
            members.fail("'source' should be an object with exactly one element");
            return;
        };
        self.set_source(target);
        let Some((_, options)) = &mut self.source else { return };
        match json {
            Value::Null => {}
            Value::Object(_) => {
                let mut members = Members::new(json, &"JSON-RPC options");
                options.update(&mut members);
                if let Err(e) = members.finish() {
                    log::warn!(target: "ovsdb_jsonrpc_server", "{e}");
                }
            }
            _ => members.fail("JSON-RPC options is not a JSON object or null"),
        }
    }
}

/// Names between blanks and commas.
pub(crate) fn split(list: &str) -> BTreeSet<&str> {
    list.split([' ', ',']).filter(|name| !name.is_empty()).collect()
}

/// Checks a list of `DB:TABLE`.
pub(crate) fn check_excluded(list: &str) -> Result<(), String> {
    match split(list).into_iter().find(|name| !name.contains(':')) {
        Some(name) => Err(format!("Can't parse excluded table: {name}")),
        None => Ok(()),
    }
}

/// The tables of one database in such a list.
pub(crate) fn excluded_tables(list: &str, database: &str) -> Vec<String> {
    let table = |name: &str| match name.split_once(':') {
        None => Some(name.to_owned()),
        Some((of, table)) => (of == database).then(|| table.to_owned()),
    };
    split(list).into_iter().filter_map(table).collect()
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub(crate) remotes: IndexMap<String, RemoteOptions>,
    /// By file name, or for relays by database.
    pub(crate) databases: IndexMap<String, DatabaseConfig>,
    pub(crate) sync_from: Option<String>,
    pub(crate) sync_exclude: Option<String>,
    pub(crate) is_backup: bool,
}

impl Config {
    pub(crate) fn add_remote(&mut self, target: &str) {
        if !self.remotes.contains_key(target) {
            self.remotes.insert(target.to_owned(), RemoteOptions::default_for(target));
        }
    }

    /// Reads a database as the command line names it: a file, or `relay:DB:REMOTES`.
    pub(crate) fn parse_database(&self, text: &str) -> (String, DatabaseConfig) {
        let relay = text.strip_prefix("relay:").and_then(|rest| rest.split_once(':'));
        if let Some((name, remotes)) = relay.filter(|(_, remotes)| !remotes.is_empty()) {
            let mut config = DatabaseConfig::plain(ServiceModel::Relay);
            config.set_source(remotes);
            return (name.to_owned(), config);
        }
        let mut config = DatabaseConfig::plain(ServiceModel::Undefined);
        if let Some(source) = &self.sync_from {
            config.model = ServiceModel::ActiveBackup;
            config.set_source(source);
            config.excluded.clone_from(&self.sync_exclude);
            config.backup = self.is_backup;
        }
        (text.to_owned(), config)
    }

    pub(crate) fn add_database(&mut self, text: &str) {
        let (name, config) = self.parse_database(text);
        if self.databases.insert(name, config).is_some() {
            log::warn!(target: "ovsdb_server", "Duplicate database configuration: {text}");
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let remotes: Map<String, Value> =
            self.remotes.iter().map(|(k, v)| (k.clone(), v.to_json())).collect();
        let databases: Map<String, Value> =
            self.databases.iter().map(|(k, v)| (k.clone(), v.to_json())).collect();
        let mut json = json!({"remotes": remotes, "databases": databases, "is_backup": self.is_backup});
        for (name, value) in [("sync_from", &self.sync_from), ("sync_exclude", &self.sync_exclude)] {
            if let Some(value) = value {
                json[name] = json!(value);
            }
        }
        json
    }

    /// From the text of a configuration file; what is wrong goes to the log.
    pub(crate) fn from_text(text: &[u8]) -> Option<Config> {
        let json: Value = match base::json::parse(text) {
            Ok(json) => json,
            Err(e) => {
                log::warn!(target: "ovsdb_server", "config: reading JSON failed ({e})");
                return None;
            }
        };
        let Some(object) = json.as_object() else {
            log::warn!(target: "ovsdb_server", "configuration in a file must be a JSON object");
            return None;
        };
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut config = Config {
            sync_from: text("sync_from"),
            sync_exclude: text("sync_exclude"),
            is_backup: object.get("is_backup") == Some(&Value::Bool(true)),
            ..Config::default()
        };
        let member = |name: &str| object.get(name).unwrap_or(&Value::Null);
        if !config.read_remotes(member("remotes")) {
            log::warn!(target: "ovsdb_server", "config: failed to parse 'remotes'");
            return None;
        }
        if !config.read_databases(member("databases")) {
            log::warn!(target: "ovsdb_server", "config: failed to parse 'databases'");
            return None;
        }
        Some(config)
    }

    fn read_remotes(&mut self, json: &Value) -> bool {
        let object = match json {
            Value::Null => return true,
            Value::Object(object) => object,
            _ => {
                log::warn!(target: "ovsdb_server", "config: 'remotes' is not a JSON object");
                return false;
            }
        };
        for (target, json) in object {
            let mut options = RemoteOptions::default_for(target);
            match json {
                Value::Null => {}
                Value::Object(_) => options.update(json),
                _ => {
                    log::warn!(target: "ovsdb_server",
                        "{target}: JSON-RPC options are not a JSON object or null");
                    return false;
                }
            }
            self.remotes.insert(target.clone(), options);
        }
        true
    }

    fn read_databases(&mut self, json: &Value) -> bool {
        let object = match json {
            Value::Null => return true,
            Value::Object(object) => object,
            _ => {
                log::warn!(target: "ovsdb_server", "config: 'databases' is not a JSON object or null");
                return false;
            }
        };
        for (name, json) in object {
            match DatabaseConfig::from_json(name, json) {
                Ok(config) => drop(self.databases.insert(name.clone(), config)),
                Err(e) => {
                    log::warn!(target: "ovsdb_server", "{e}");
                    return false;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_the_next_daemon_is_read_back() {
        let mut config = Config {
            sync_from: Some("tcp:1.2.3.4:5".to_owned()),
            sync_exclude: Some("a:b".to_owned()),
            is_backup: true,
            ..Config::default()
        };
        config.add_remote("ptcp:0");
        config.add_database("x.db");
        config.add_database("relay:D:unix:a,unix:b");
        let again = Config::from_text(config.to_json().to_string().as_bytes()).unwrap();
        assert_eq!(again.remotes, config.remotes);
        assert_eq!(again.databases, config.databases);
        let relay = &again.databases["D"];
        assert_eq!(relay.model, ServiceModel::Relay);
        assert_eq!(relay.source.as_ref().unwrap().0, "unix:a,unix:b");
        assert_eq!(again.databases["x.db"].excluded.as_deref(), Some("a:b"));
    }

    #[test]
    fn mistakes_in_a_file_are_refused_whole() {
        for text in [
            "[]",
            "{",
            r#"{"remotes": []}"#,
            r#"{"remotes": {"punix:x": 1}}"#,
            r#"{"databases": {"d": {"service-model": "odd"}}}"#,
            r#"{"databases": {"d": {"service-model": "relay"}}}"#,
            r#"{"databases": {"d": {"service-model": "active-backup"}}}"#,
            r#"{"databases": {"d": {"extra": 1}}}"#,
        ] {
            assert!(Config::from_text(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Config::from_text(br#"{"remotes": null, "databases": {"d": null}}"#).is_some());
    }
}
