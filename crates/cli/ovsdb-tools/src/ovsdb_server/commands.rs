//! What `ovs-appctl -t ovsdb-server` can ask for.

use super::{Asked, Program};
use rpc::unixctl::{Registry, Responder};
use std::time::Duration;

pub(crate) fn registry() -> Registry<Program> {
    let mut registry = Registry::new(&rpc::version_text(super::options::PROGRAM));
    registry.add("exit", "", 0, 0, |program: &mut Program, _| {
        program.exiting = true;
        Ok(String::new())
    });
    add_database_commands(&mut registry);
    add_remote_commands(&mut registry);
    add_state_commands(&mut registry);
    super::sync_commands::add(&mut registry);
    registry.add_log_commands();
    registry
}

fn add_database_commands(registry: &mut Registry<Program>) {
    registry.add_deferred("ovsdb-server/compact", "", 0, 1, |program, args, responder| {
        compact(program, args.first(), responder);
    });
    registry.add("ovsdb-server/add-db", "DB", 1, 1, |program, args| {
        program.refuse_with_config_file()?;
        let (name, config) = program.config.parse_database(args.first().map_or("", String::as_str));
        program.open_database(&name, config)?;
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/remove-db", "DB", 1, 1, |program, args| {
        program.refuse_with_config_file()?;
        let name = args.first().map_or("", String::as_str);
        if name.starts_with('_') && program.server.borrow().database(name).is_some() {
            return Err("Cannot remove reserved database.".to_owned());
        }
        if !program.stop_serving(name, &format!("removing {name} database by user request")) {
            return Err("Failed to find the database.".to_owned());
        }
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/list-dbs", "", 0, 0, |program, _| {
        Ok(program.server.borrow().database_names().map(|name| format!("{name}\n")).collect())
    });
    registry.add("ovsdb-server/get-db-storage-status", "DB", 1, 1, |program, args| {
        let name = args.first().map_or("", String::as_str);
        match program.server.borrow().database(name) {
            Some(file) => Ok(match file.write_failure() {
                None => "status: ok".to_owned(),
                Some(e) => format!("status: {e}"),
            }),
            None => Err("Failed to find the database.".to_owned()),
        }
    });
    registry.add("ovsdb-server/tlog-set", "DB:TABLE on|off", 2, 2, |program, args| {
        let on = match args.get(1).map(|arg| arg.to_ascii_lowercase()).as_deref() {
            Some("on") => true,
            Some("off") => false,
            _ => return Err("invalid command argument".to_owned()),
        };
        let place = args.first().map_or("", String::as_str);
        program.server.borrow_mut().set_table_log(place, on).map(|()| String::new())
    });
    registry.add("ovsdb-server/tlog-list", "", 0, 0, |program, _| Ok(program.server.borrow().table_logs()));
    // Conversions are always of the rows at hand.
    registry.add("ovsdb/file/no-data-conversion-enable", "", 0, 0, |_, _| Ok(String::new()));
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

/// Answers when the last compaction has ended.
fn compact(program: &mut Program, only: Option<&String>, responder: Responder) {
    if only.is_some_and(|name| name.starts_with('_')) {
        return responder.reply(Err("cannot compact built-in databases".to_owned()));
    }
    let mut server = program.server.borrow_mut();
    let names: Vec<String> = server.database_names().map(str::to_owned).collect();
    let (mut waiting, mut errors) = (Vec::new(), String::new());
    for name in names.iter().filter(|name| only.map_or(!name.starts_with('_'), |only| *only == **name)) {
        log::info!(target: "ovsdb_server", "compacting {name} database by user request");
        match server.compact(name) {
            Ok(receiver) => waiting.push(receiver),
            Err(e) => errors.push_str(&format!("{e}\n")),
        }
    }
    if waiting.is_empty() && errors.is_empty() {
        return responder.reply(Err("no database by that name".to_owned()));
    }
    tokio::task::spawn_local(async move {
        for receiver in waiting {
            match receiver.await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => errors.push_str(&format!("{e}\n")),
                Err(_) => errors.push_str("the database is not served any more\n"),
            }
        }
        responder.reply(if errors.is_empty() { Ok(String::new()) } else { Err(errors) });
    });
}

fn check_new_remote(program: &Program, remote: &str) -> Result<(), String> {
    program.refuse_with_config_file()?;
    if remote.starts_with("pfd:") {
        return Err("pfd: remotes can only be specified on the command line".to_owned());
    }
    if remote.starts_with("db:") {
        server::database_remotes(&program.server.borrow(), remote)?;
    }
    Ok(())
}

fn add_remote_commands(registry: &mut Registry<Program>) {
    registry.add_deferred("ovsdb-server/add-remote", "REMOTE", 1, 1, |program, args, responder| {
        let remote = args.first().cloned().unwrap_or_default();
        match check_new_remote(program, &remote) {
            Ok(()) => program.asked = Some((Asked::Remote(remote), responder)),
            Err(e) => responder.reply(Err(e)),
        }
    });
    registry.add("ovsdb-server/remove-remote", "REMOTE", 1, 1, |program, args| {
        program.refuse_with_config_file()?;
        if program.config.remotes.shift_remove(args.first().map_or("", String::as_str)).is_none() {
            return Err("no such remote".to_owned());
        }
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/list-remotes", "", 0, 0, |program, _| {
        let mut remotes: Vec<&String> = program.config.remotes.keys().collect();
        remotes.sort();
        Ok(remotes.into_iter().map(|remote| format!("{remote}\n")).collect())
    });
    registry.add("ovsdb-server/reconnect", "", 0, 0, |program, _| {
        program.server.borrow_mut().reconnect_all("user ran ovsdb-server/reconnect");
        Ok(String::new())
    });
    registry.add("ovsdb-server/disable-monitor-cond", "", 0, 0, |program, _| {
        let mut server = program.server.borrow_mut();
        server.monitor_cond = false;
        server.reconnect_all("user ran ovsdb-server/disable-monitor-cond");
        Ok(String::new())
    });
}

/// What servers of clusters know.
const CLUSTER_COMMANDS: &[(&str, &str)] = &[
    ("cluster/change-election-timer", "DB TIME"),
    ("cluster/cid", "DB"),
    ("cluster/failure-test", "FAILURE SCENARIO"),
    ("cluster/kick", "DB SERVER"),
    ("cluster/leave", "DB"),
    ("cluster/set-backlog-threshold", "DB N_MSGS N_BYTES"),
    ("cluster/sid", "DB"),
    ("cluster/status", "DB"),
];

fn add_state_commands(registry: &mut Registry<Program>) {
    registry.add_deferred("ovsdb-server/reload", "", 0, 0, |program, _, responder| {
        if program.options.config_file.is_none() {
            return responder.reply(Err("Configuration file was not specified on command line".to_owned()));
        }
        program.asked = Some((Asked::Reload, responder));
    });
    registry.add("ovsdb-server/memory-trim-on-compaction", "on|off", 1, 1, |_, args| {
        match args.first().map(String::as_str) {
            Some("on" | "off") => Ok(String::new()),
            _ => Err("invalid argument".to_owned()),
        }
    });
    registry.add("ovsdb-server/perf-counters-show", "", 0, 0, |_, _| Ok(String::new()));
    registry.add("ovsdb-server/perf-counters-clear", "", 0, 0, |_, _| Ok(String::new()));
    for (name, usage) in CLUSTER_COMMANDS {
        registry.add(name, usage, 0, usize::MAX, move |_, _| {
            Err(format!("\"{name}\" is not supported yet: this server does not have clustered databases"))
        });
    }
    registry.add("memory/show", "", 0, 0, |program, _| {
        let usage = program.server.borrow().memory_usage();
        let shown: Vec<String> =
            usage.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name}:{n}")).collect();
        Ok(shown.join(" ") + "\n")
    });
    registry.add("coverage/show", "", 0, 0, |program, _| Ok(program.coverage.show()));
    registry.add("coverage/read-counter", "COUNTER", 1, 1, |_, args| {
        base::coverage::read(args.first().map_or("", String::as_str))
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
