//! Bringing the databases that are served to what the configuration says.

use super::Program;
use super::config::{DatabaseConfig, ServiceModel, duration, excluded_tables};
use server::{Progress, Source};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use store::DatabaseFile;
use store::log_file::Mode;
use tokio::task::{AbortHandle, spawn_local};

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A database that is served.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) file_name: String,
    pub(crate) config: DatabaseConfig,
    /// Follows the source.
    task: Option<(Task, (String, Option<String>))>,
    progress: Rc<Cell<Progress>>,
    probe_interval: Rc<Cell<Duration>>,
}

impl Served {
    pub(crate) fn set_probe_interval(&self, ms: i64) {
        self.probe_interval.set(duration(ms));
    }

    /// How replication does, as `ovsdb-server/sync-status` tells it.
    pub(crate) fn sync_status(&self, name: &str) -> String {
        let source = self.config.source.as_ref().map_or("", |(target, _)| target);
        match (&self.task, self.progress.get()) {
            (None, _) => format!("{name} is not configured for replication"),
            (_, Progress::Connecting) => format!("connecting: {source}"),
            (_, Progress::Failed) => format!("Replication to ({source}) failed"),
            (_, Progress::Replicating) => {
                let mut text = format!("replicating: {source}\n");
                let excluded = excluded_tables(self.config.excluded.as_deref().unwrap_or_default(), name);
                if !excluded.is_empty() {
                    let list: Vec<String> = excluded.iter().map(|table| format!("{name}:{table}")).collect();
                    text.push_str(&format!("exclude: {}", list.join(",")));
                }
                text
            }
        }
    }
}

impl Program {
    /// Serves what the configuration names and nothing else; false when something could not be opened.
    pub(crate) fn configure_databases(&mut self) -> bool {
        let mut wanted = self.config.databases.clone();
        let names: Vec<String> = self.served.keys().cloned().collect();
        for name in names {
            let Some(served) = self.served.get(&name) else { continue };
            let Some(new) = wanted.shift_remove(&served.file_name) else {
                self.stop_serving(&name, &format!("database {name} removed from configuration"));
                continue;
            };
            if !served.config.model.can_become(new.model) {
                let file_name = served.file_name.clone();
                self.stop_serving(&name, &format!("service model changed for database {name}"));
                wanted.insert(file_name, new);
                continue;
            }
            self.update_served(&name, new);
        }
        let mut all = true;
        for (file_name, config) in wanted {
            if let Err(e) = self.open_database(&file_name, config) {
                log::warn!(target: "ovsdb_server", "failed to open database '{file_name}': {e}");
                all = false;
            }
        }
        all
    }

    fn update_served(&mut self, name: &str, mut new: DatabaseConfig) {
        let Some(served) = self.served.get_mut(name) else { return };
        if new.model == ServiceModel::Undefined {
            new.model = served.config.model;
        }
        served.config = new;
        self.follow(name);
    }

    pub(crate) fn stop_serving(&mut self, name: &str, why: &str) -> bool {
        self.served.remove(name);
        self.server.borrow_mut().remove_database(name, why)
    }

    /// Opens a file, or begins a relay, and serves it.
    pub(crate) fn open_database(
        &mut self,
        file_name: &str,
        mut config: DatabaseConfig,
    ) -> Result<(), String> {
        let name = if config.model == ServiceModel::Relay {
            self.server.borrow_mut().add_relay(file_name).map_err(|e| e.to_string())?;
            file_name.to_owned()
        } else {
            self.open_file(file_name, &mut config)?
        };
        let progress = Rc::new(Cell::new(Progress::Connecting));
        let probe_interval = Rc::default();
        let served = Served { file_name: file_name.to_owned(), config, task: None, progress, probe_interval };
        self.served.insert(name.clone(), served);
        self.follow(&name);
        Ok(())
    }

    fn open_file(&mut self, path: &str, config: &mut DatabaseConfig) -> Result<String, String> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let mut server = self.server.borrow_mut();
        let served = |name: &str| server.database(name).and_then(DatabaseFile::path) == Some(&absolute);
        if server.database_names().any(served) {
            return Err(format!("ovsdb error: {path}: already open"));
        }
        let mut file = DatabaseFile::open(path, Mode::ReadWrite).map_err(|e| e.to_string())?;
        match config.model {
            ServiceModel::Clustered => {
                return Err(format!("ovsdb error: {path}: database is standalone and not clustered"));
            }
            ServiceModel::Undefined => config.model = ServiceModel::Standalone,
            _ => {}
        }
        file.column_diff = self.options.column_diff;
        let name = file.database.name().to_owned();
        server.add_database(file).map_err(|e| e.to_string())?;
        Ok(name)
    }

    /// Makes a database follow its source, or nobody, as its configuration says.
    pub(crate) fn follow(&mut self, name: &str) {
        let tls = self.tls(&mut Vec::new());
        let Some(served) = self.served.get_mut(name) else { return };
        let config = &served.config;
        let is_relay = config.model == ServiceModel::Relay;
        let is_backup = config.model == ServiceModel::ActiveBackup && config.backup;
        let Some((target, options)) = config.source.clone().filter(|_| is_relay || is_backup) else {
            served.task = None;
            self.server.borrow_mut().set_backup(name, false);
            return;
        };
        let wanted = (target.clone(), config.excluded.clone());
        served.probe_interval.set(duration(options.probe_ms));
        if served.task.as_ref().is_some_and(|(_, at_work)| *at_work == wanted) {
            return;
        }
        // The old task ends before the new one begins.
        served.task = None;
        let (server, clock) = (self.server.clone(), self.clock.clone());
        let probe_interval = served.probe_interval.clone();
        let max_backoff = Some(duration(options.max_backoff_ms));
        let task = if is_relay {
            let remotes = target.split(',').map(str::to_owned).collect();
            let name = name.to_owned();
            spawn_local(server::run_relay(server, name, remotes, probe_interval, max_backoff, tls, clock))
        } else {
            served.progress.set(Progress::Connecting);
            server.borrow_mut().set_backup(name, true);
            let excluded = excluded_tables(config.excluded.as_deref().unwrap_or_default(), name);
            let source = Source { target, excluded, probe_interval, max_backoff };
            let (progress, wake) = (served.progress.clone(), self.wake.clone());
            let name = name.to_owned();
            spawn_local(server::run_replication(server, name, source, progress, wake, tls, clock))
        };
        served.task = Some((Task(task.abort_handle()), wanted));
    }

    /// Makes databases active whose replication failed. Without a configuration file, that is all of them.
    pub(crate) fn end_failed_replication(&mut self) {
        let is_backup =
            |served: &Served| served.config.model == ServiceModel::ActiveBackup && served.config.backup;
        let failed = |served: &Served| is_backup(served) && served.progress.get() == Progress::Failed;
        if !self.served.values().any(failed) {
            return;
        }
        let all = self.options.config_file.is_none() && self.config.is_backup;
        let names: Vec<String> = self
            .served
            .iter()
            .filter(|(_, served)| failed(served) || (all && is_backup(served)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            if let Some(served) = self.served.get_mut(&name) {
                served.config.backup = false;
            }
            self.follow(&name);
        }
        if all {
            self.config.is_backup = false;
        }
    }
}
