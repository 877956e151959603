//! What `ovs-appctl -t ovsdb-server` can ask for.

use super::Program;
use rpc::unixctl::Registry;
use std::time::Duration;
use store::DatabaseFile;
use store::log_file::Mode;

pub(crate) fn registry() -> Registry<Program> {
    let mut registry = Registry::new(&rpc::version_text(super::options::PROGRAM));
    registry.add("exit", "", 0, 0, |program: &mut Program, _| {
        program.exiting = true;
        Ok(String::new())
    });
    add_database_commands(&mut registry);
    add_remote_commands(&mut registry);
    add_state_commands(&mut registry);
    for command in base::vlog::COMMANDS {
        registry.add(command.name, command.usage, command.min_args, command.max_args, |_, args| {
            (command.run)(args)
        });
    }
    registry
}

fn add_database_commands(registry: &mut Registry<Program>) {
    registry.add("ovsdb-server/compact", "", 0, 1, |program, args| compact(program, args.first()));
    registry.add("ovsdb-server/add-db", "DB", 1, 1, |program, args| {
        let path = args.first().cloned().unwrap_or_default();
        program.open_database(&path)?;
        program.options.databases.push(path);
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/remove-db", "DB", 1, 1, |program, args| {
        let name = args.first().map_or("", String::as_str);
        if name.starts_with('_') && program.server.borrow().database(name).is_some() {
            return Err("Cannot remove reserved database.".to_owned());
        }
        let path = program.server.borrow().database(name).and_then(|f| f.path().map(|p| p.to_owned()));
        if !program.server.borrow_mut().remove_database(name) {
            return Err("Failed to find the database.".to_owned());
        }
        program.options.databases.retain(|kept| std::path::absolute(kept).ok() != path);
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/list-dbs", "", 0, 0, |program, _| {
        Ok(program.server.borrow().database_names().map(|name| format!("{name}\n")).collect())
    });
    registry.add("ovsdb-server/get-db-storage-status", "DB", 1, 1, |program, args| {
        let name = args.first().map_or("", String::as_str);
        match program.server.borrow().database(name) {
            Some(_) => Ok("status: ok".to_owned()),
            None => Err("Failed to find the database.".to_owned()),
        }
    });
    registry.add("ovsdb/file/column-diff-enable", "", 0, 0, |program, _| {
        program.options.column_diff = true;
        let mut server = program.server.borrow_mut();
        let names: Vec<String> = server.database_names().map(str::to_owned).collect();
        for name in names {
            if let Some(file) = server.database_mut(&name) {
                file.column_diff = true;
            }
        }
        Ok(String::new())
    });
}

fn compact(program: &mut Program, only: Option<&String>) -> Result<String, String> {
    if only.is_some_and(|name| name.starts_with('_')) {
        return Err("cannot compact built-in databases".to_owned());
    }
    let mut server = program.server.borrow_mut();
    let names: Vec<String> = server.database_names().map(str::to_owned).collect();
    let (mut any, mut errors) = (false, String::new());
    for name in names.iter().filter(|name| only.map_or(!name.starts_with('_'), |only| *only == **name)) {
        log::info!(target: "ovsdb_server", "compacting {name} database by user request");
        any = true;
        if let Some(file) = server.database_mut(name)
            && let Err(e) = file.compact("compacting database online")
        {
            errors.push_str(&format!("{e}\n"));
        }
    }
    match (any, errors.is_empty()) {
        (false, _) => Err("no database by that name".to_owned()),
        (true, true) => Ok(String::new()),
        (true, false) => Err(errors),
    }
}

fn add_remote_commands(registry: &mut Registry<Program>) {
    registry.add("ovsdb-server/add-remote", "REMOTE", 1, 1, |program, args| {
        let remote = args.first().cloned().unwrap_or_default();
        if remote.starts_with("pfd:") {
            return Err("pfd: remotes can only be specified on the command line".to_owned());
        }
        if remote.starts_with("db:") {
            server::database_remotes(&program.server.borrow(), &remote)?;
        }
        if !program.options.remotes.contains(&remote) {
            program.options.remotes.push(remote);
            program.save();
        }
        Ok(String::new())
    });
    registry.add("ovsdb-server/remove-remote", "REMOTE", 1, 1, |program, args| {
        let before = program.options.remotes.len();
        program.options.remotes.retain(|remote| Some(remote) != args.first());
        if program.options.remotes.len() == before {
            return Err("no such remote".to_owned());
        }
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/list-remotes", "", 0, 0, |program, _| {
        let mut remotes = program.options.remotes.clone();
        remotes.sort();
        remotes.dedup();
        Ok(remotes.into_iter().map(|remote| format!("{remote}\n")).collect())
    });
    registry.add("ovsdb-server/reconnect", "", 0, 0, |program, _| {
        program.server.borrow_mut().reconnect_all("user ran ovsdb-server/reconnect");
        Ok(String::new())
    });
    registry.add_hidden("ovsdb-server/disable-monitor-cond", 0, 0, |program, _| {
        let mut server = program.server.borrow_mut();
        server.monitor_cond = false;
        server.reconnect_all("user ran ovsdb-server/disable-monitor-cond");
        Ok(String::new())
    });
}

fn add_state_commands(registry: &mut Registry<Program>) {
    registry.add("ovsdb-server/reload", "", 0, 0, |_, _| {
        Err("Configuration file was not specified on command line".to_owned())
    });
    registry.add("ovsdb-server/sync-status", "", 0, 0, |_, _| Ok("state: active\n".to_owned()));
    registry.add("ovsdb-server/memory-trim-on-compaction", "on|off", 1, 1, |_, args| {
        match args.first().map(String::as_str) {
            Some("on" | "off") => Ok(String::new()),
            _ => Err("invalid argument".to_owned()),
        }
    });
    registry.add("ovsdb-server/perf-counters-show", "", 0, 0, |_, _| Ok(String::new()));
    registry.add("ovsdb-server/perf-counters-clear", "", 0, 0, |_, _| Ok(String::new()));
    registry.add("memory/show", "", 0, 0, |program, _| {
        let server = program.server.borrow();
        let (sessions, monitors, triggers) = server.counts();
        let (mut atoms, mut cells) = (0, 0);
        for name in server.database_names() {
            if let Some(file) = server.database(name) {
                atoms += file.database.count_atoms();
                cells += file.database.tables.iter().map(|t| t.len() * t.schema.columns.len()).sum::<usize>();
            }
        }
        let mut text = String::new();
        for (name, n) in [
            ("atoms", atoms),
            ("cells", cells),
            ("monitors", monitors),
            ("sessions", sessions),
            ("triggers", triggers),
        ] {
            if n > 0 {
                text.push_str(&format!("{}{name}:{n}", if text.is_empty() { "" } else { " " }));
            }
        }
        Ok(text + "\n")
    });
    registry.add("time/stop", "", 0, 0, |program, _| {
        program.clock.stop();
        Ok(String::new())
    });
    registry.add("time/warp", "[large_msecs] msecs", 1, 2, |program, args| {
        let ms = args.first().and_then(|ms| ms.parse().ok()).filter(|ms| *ms > 0);
        program.clock.warp(Duration::from_millis(ms.ok_or_else(|| "invalid MSECS".to_owned())?));
        Ok("warped".to_owned())
    });
}

impl Program {
    /// Opens a file and serves it.
    pub(crate) fn open_database(&mut self, path: &str) -> Result<(), String> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let mut server = self.server.borrow_mut();
        let served = |name: &str| server.database(name).and_then(DatabaseFile::path) == Some(&absolute);
        if server.database_names().any(served) {
            return Err(format!("ovsdb error: {path}: already open"));
        }
        let mut file = DatabaseFile::open(path, Mode::ReadWrite).map_err(|e| e.to_string())?;
        file.column_diff = self.options.column_diff;
        server.add_database(file).map_err(|e| e.to_string())
    }
}
