//! Control commands about replication and relays.

use super::Program;
use super::config::{ServiceModel, check_excluded};
use rpc::unixctl::Registry;

pub(crate) fn add(registry: &mut Registry<Program>) {
    registry.add("ovsdb-server/set-active-ovsdb-server", "", 1, 1, |program, args| {
        program.refuse_with_config_file()?;
        let target = args.first().cloned().unwrap_or_default();
        for served in program.served.values_mut().filter(|s| s.config.model == ServiceModel::ActiveBackup) {
            match &mut served.config.source {
                Some((old, _)) => old.clone_from(&target),
                None => served.config.set_source(&target),
            }
        }
        program.config.sync_from = Some(target);
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/get-active-ovsdb-server", "", 0, 0, |program, _| {
        Ok(program.config.sync_from.clone().unwrap_or_default())
    });
    registry.add("ovsdb-server/connect-active-ovsdb-server", "", 0, 0, |program, _| connect(program));
    registry.add("ovsdb-server/disconnect-active-ovsdb-server", "", 0, 0, |program, _| {
        program.refuse_with_config_file()?;
        let names: Vec<String> = program.served.keys().cloned().collect();
        for name in names {
            if let Some(served) = program.served.get_mut(&name) {
                served.config.backup = false;
            }
            program.follow_if_replicated(&name);
        }
        program.config.is_backup = false;
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/set-active-ovsdb-server-probe-interval", "", 1, 1, |program, args| {
        set_probe_interval(program, args, ServiceModel::ActiveBackup)
    });
    registry.add("ovsdb-server/set-relay-source-probe-interval", "", 1, 1, |program, args| {
        set_probe_interval(program, args, ServiceModel::Relay)
    });
    registry.add("ovsdb-server/set-sync-exclude-tables", "", 0, 1, |program, args| {
        program.refuse_with_config_file()?;
        let list = args.first().cloned().unwrap_or_default();
        if let Err(error) = check_excluded(&list) {
            // The reference answers this as if all were well.
            return Ok(error);
        }
        program.config.sync_exclude = Some(list.clone());
        let names: Vec<String> = program.served.keys().cloned().collect();
        for name in names {
            if let Some(served) = program.served.get_mut(&name) {
                served.config.excluded = Some(list.clone());
            }
            program.follow_if_replicated(&name);
        }
        program.save();
        Ok(String::new())
    });
    registry.add("ovsdb-server/get-sync-exclude-tables", "", 0, 0, |program, _| {
        Ok(program.config.sync_exclude.clone().unwrap_or_default())
    });
    registry.add("ovsdb-server/sync-status", "", 0, 0, |program, _| Ok(status(program)));
}

fn connect(program: &mut Program) -> Result<String, String> {
    program.refuse_with_config_file()?;
    let Some(source) = program.config.sync_from.clone() else {
        return Ok("Unable to connect: active server is not specified.\n".to_owned());
    };
    let names: Vec<String> = program.served.keys().cloned().collect();
    for name in names {
        let excluded = program.config.sync_exclude.clone();
        let probe_ms = program.replication_probe_ms;
        let Some(served) = program.served.get_mut(&name) else { continue };
        let config = &mut served.config;
        if config.model == ServiceModel::Standalone {
            config.model = ServiceModel::ActiveBackup;
            config.set_source(&source);
            if let Some((_, options)) = &mut config.source {
                options.probe_ms = probe_ms;
            }
            config.excluded = excluded;
        }
        if config.model == ServiceModel::ActiveBackup {
            config.backup = true;
        }
        program.follow_if_replicated(&name);
    }
    program.config.is_backup = true;
    program.save();
    Ok(String::new())
}

fn set_probe_interval(program: &mut Program, args: &[String], model: ServiceModel) -> Result<String, String> {
    program.refuse_with_config_file()?;
    let ms: Option<i64> = args.first().and_then(|ms| ms.parse().ok());
    let ms = ms.ok_or("Invalid probe interval, integer value expected")?;
    if model == ServiceModel::ActiveBackup {
        program.replication_probe_ms = ms;
    }
    for served in program.served.values_mut().filter(|served| served.config.model == model) {
        if let Some((_, options)) = &mut served.config.source {
            options.probe_ms = ms;
        }
        served.set_probe_interval(ms);
    }
    program.save();
    Ok(String::new())
}

fn status(program: &Program) -> String {
    let server = program.server.borrow();
    let mut names: Vec<&str> = server.database_names().collect();
    names.sort_unstable();
    let count = names.len();
    let (mut text, mut any) = (String::new(), false);
    for (i, name) in names.into_iter().enumerate() {
        let Some(served) = program.served.get(name) else { continue };
        if served.config.model != ServiceModel::ActiveBackup {
            continue;
        }
        any = true;
        let state = if served.config.backup { "backup" } else { "active" };
        text.push_str(&format!("database: {name}\nstate: {state}\n"));
        if served.config.backup {
            text.push_str(&served.sync_status(name));
        }
        if i + 1 < count {
            text.push('\n');
        }
    }
    if !any {
        text.push_str("state: active\n");
    }
    text
}

impl Program {
    pub(crate) fn follow_if_replicated(&mut self, name: &str) {
        if self.served.get(name).is_some_and(|served| served.config.model == ServiceModel::ActiveBackup) {
            self.follow(name);
        }
    }

    /// What a configuration file says is changed by changing the file.
    pub(crate) fn refuse_with_config_file(&self) -> Result<(), String> {
        match &self.options.config_file {
            None => Ok(()),
            Some(path) => Err(format!("Update the {path} and use ovsdb-server/reload instead")),
        }
    }
}
