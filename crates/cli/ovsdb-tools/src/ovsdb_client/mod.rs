//! `ovsdb-client`: asks a database server, from the command line.

mod backup;
mod connect;
mod dump;
mod lock;
mod monitor;
mod options;
mod schema;
mod transact;

use crate::shared::{Result, Stop, report};
use connect::Connected;
use options::Options;
use std::process::ExitCode;

pub(crate) const PROGRAM: &str = "ovsdb-client";

/// What a command needs before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// It connects itself, or not at all.
    Nothing,
    Server,
    Database,
}

/// One command at work.
pub(crate) struct Invocation {
    pub(crate) options: Options,
    pub(crate) command: &'static Command,
    /// The words after the command.
    pub(crate) words: Vec<String>,
}

pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) min: usize,
    pub(crate) max: usize,
}

const MANY: usize = usize::MAX;

const COMMANDS: &[Command] = &[
    Command { name: "list-dbs", needs: Needs::Server, min: 0, max: 0 },
    Command { name: "get-schema", needs: Needs::Database, min: 0, max: 0 },
    Command { name: "get-schema-version", needs: Needs::Database, min: 0, max: 0 },
    Command { name: "get-schema-cksum", needs: Needs::Database, min: 0, max: 0 },
    Command { name: "list-tables", needs: Needs::Database, min: 0, max: 0 },
    Command { name: "list-columns", needs: Needs::Database, min: 0, max: 1 },
    Command { name: "transact", needs: Needs::Nothing, min: 1, max: 2 },
    Command { name: "query", needs: Needs::Nothing, min: 1, max: 2 },
    Command { name: "monitor", needs: Needs::Database, min: 1, max: MANY },
    Command { name: "monitor-cond", needs: Needs::Database, min: 2, max: MANY },
    Command { name: "monitor-cond-since", needs: Needs::Database, min: 2, max: MANY },
    Command { name: "wait", needs: Needs::Nothing, min: 2, max: 3 },
    Command { name: "convert", needs: Needs::Nothing, min: 1, max: 2 },
    Command { name: "needs-conversion", needs: Needs::Nothing, min: 1, max: 2 },
    Command { name: "dump", needs: Needs::Database, min: 0, max: MANY },
    Command { name: "backup", needs: Needs::Database, min: 0, max: 0 },
    Command { name: "restore", needs: Needs::Database, min: 0, max: 0 },
    Command { name: "lock", needs: Needs::Server, min: 1, max: 1 },
    Command { name: "steal", needs: Needs::Server, min: 1, max: 1 },
    Command { name: "unlock", needs: Needs::Server, min: 1, max: 1 },
    Command { name: "help", needs: Needs::Nothing, min: 0, max: MANY },
];

/// The program. `args` are the words after its name.
pub fn ovsdb_client(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    report(PROGRAM, run(args))
}

fn run(args: Vec<String>) -> Result<()> {
    let (options, words) = options::parse(args)?;
    let mut words = words.into_iter();
    let Some(name) = words.next() else {
        return Err("missing command name; use --help for help".to_owned().into());
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        let hint = base::hint::did_you_mean(&name, COMMANDS.iter().map(|command| command.name));
        return Err(format!("unknown command '{name}'; use --help for help{hint}").into());
    };
    if command.name == "help" {
        return Err(Stop::Print(options::usage()));
    }
    let mut daemon_options = options.daemon.clone();
    daemon_options.keep_output = true;
    // Processes are forked before the runtime exists; what fails later still reaches the terminal.
    let daemon = rpc::daemon::start(daemon_options).map_err(|e| e.to_string())?;
    let invocation = Invocation { options, command, words: words.collect() };
    let runtime = rpc::runtime()?;
    let leaves_traces = invocation.options.daemon.detach || daemon.pidfile().is_some();
    let termination = runtime.block_on(async {
        if !leaves_traces {
            return dispatch(invocation, daemon).await.map(|()| None);
        }
        let mut signals = daemon.signals().map_err(|e| rpc::error_text(&e))?;
        tokio::select! {
            done = dispatch(invocation, daemon) => done.map(|()| None),
            signal = signals.next() => Ok(Some(signal)),
        }
    })?;
    // The sockets and files of a daemon are gone by now.
    match termination {
        Some(signal) => signal.die(),
        None => Ok(()),
    }
}

async fn dispatch(invocation: Invocation, daemon: rpc::daemon::Daemon) -> Result<()> {
    if invocation.command.needs == Needs::Nothing {
        return match invocation.command.name {
            "transact" | "query" => transact::run(&invocation, daemon).await,
            "wait" => schema::wait(&invocation, daemon).await,
            "convert" => schema::convert(&invocation).await,
            _ => schema::needs_conversion(&invocation).await,
        };
    }
    let command = invocation.command;
    let Connected { mut connection, database, words } =
        connect::open(&invocation, invocation.words.clone(), command.min, command.needs, None).await?;
    if words.len() < command.min || words.len() > command.max {
        return Err(format!("invalid syntax for '{}' (use --help for help)", command.name).into());
    }
    let options = &invocation.options;
    match command.name {
        "list-dbs" => {
            for name in connect::list_databases(&mut connection).await? {
                println!("{name}");
            }
            Ok(())
        }
        "get-schema" => schema::print(&mut connection, &database, options).await,
        "get-schema-version" => {
            println!("{}", connect::fetch_schema(&mut connection, &database).await?.version);
            Ok(())
        }
        "get-schema-cksum" => {
            println!("{}", connect::fetch_schema(&mut connection, &database).await?.cksum);
            Ok(())
        }
        "list-tables" => schema::list_tables(&mut connection, &database, options).await,
        "list-columns" => schema::list_columns(&mut connection, &database, &words, options).await,
        "dump" => dump::run(&mut connection, &database, &words, options).await,
        "backup" => backup::backup(&mut connection, &database).await,
        "restore" => backup::restore(&mut connection, &database, options).await,
        "lock" | "steal" | "unlock" => lock::run(connection, command.name, &words, options, daemon).await,
        _ => monitor::run(connection, &database, command.name, words, options, daemon).await,
    }
}
