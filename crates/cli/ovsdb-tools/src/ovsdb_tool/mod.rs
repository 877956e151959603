//! `ovsdb-tool`: database files without a server.

mod commands;
mod show_log;

use std::process::ExitCode;

use base::getopt::{Opt, Order, Parser, Takes};
use rpc::dirs;

const PROGRAM: &str = "ovsdb-tool";

/// What the options say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// How much `show-log` shows, 0 to 2.
    pub verbosity: u32,
}

/// How a command ended that did not print what it was asked for.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A sentence for stderr; exit status 1.
    Fail(String),
    /// "No", told by exit status 2 alone.
    No,
}

impl From<model::Error> for Stop {
    fn from(error: model::Error) -> Stop {
        Stop::Fail(error.to_string())
    }
}

/// What a command prints.
pub(crate) type Outcome = Result<String, Stop>;

/// A command: name, fewest and most arguments, what it does.
struct Command {
    name: &'static str,
    usage: Option<&'static str>,
    min: usize,
    max: usize,
    run: fn(&Options, &[String]) -> Outcome,
}

const COMMANDS: &[Command] = &[
    Command { name: "create", usage: Some("[db [schema]]"), min: 0, max: 2, run: commands::create },
    Command { name: "compact", usage: Some("[db [dst]]"), min: 0, max: 2, run: commands::compact },
    Command { name: "convert", usage: Some("[db [schema [dst]]]"), min: 0, max: 3, run: commands::convert },
    Command { name: "needs-conversion", usage: None, min: 0, max: 2, run: commands::needs_conversion },
    Command { name: "db-name", usage: Some("[db]"), min: 0, max: 1, run: commands::db_name },
    Command { name: "db-version", usage: Some("[db]"), min: 0, max: 1, run: commands::db_version },
    Command { name: "db-cksum", usage: Some("[db]"), min: 0, max: 1, run: commands::db_cksum },
    Command { name: "db-is-clustered", usage: Some("db"), min: 1, max: 1, run: commands::db_is_clustered },
    Command { name: "db-is-standalone", usage: Some("db"), min: 1, max: 1, run: commands::db_is_standalone },
    Command { name: "schema-name", usage: Some("[schema]"), min: 0, max: 1, run: commands::schema_name },
    Command {
        name: "schema-version",
        usage: Some("[schema]"),
        min: 0,
        max: 1,
        run: commands::schema_version,
    },
    Command { name: "schema-cksum", usage: Some("[schema]"), min: 0, max: 1, run: commands::schema_cksum },
    Command { name: "query", usage: Some("[db] trns"), min: 1, max: 2, run: commands::query },
    Command { name: "transact", usage: Some("[db] trns"), min: 1, max: 2, run: commands::transact },
    Command { name: "show-log", usage: Some("[db]"), min: 0, max: 1, run: show_log::show_log },
    Command {
        name: "compare-versions",
        usage: Some("a op b"),
        min: 3,
        max: 3,
        run: commands::compare_versions,
    },
    Command { name: "list-commands", usage: None, min: 0, max: usize::MAX, run: |_, _| Ok(list_commands()) },
    Command { name: "help", usage: None, min: 0, max: usize::MAX, run: |_, _| Ok(usage()) },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    More,
    Help,
    Version,
    Options,
    Verbose,
    Ignored,
}

const OPTIONS: &[Opt<Choice>] = &[
    Opt::both('m', "more", Takes::Nothing, Choice::More),
    Opt::long("rbac-role", Takes::Argument, Choice::Ignored),
    Opt::both('v', "verbose", Takes::Perhaps, Choice::Verbose),
    Opt::long("log-file", Takes::Perhaps, Choice::Ignored),
    Opt::long("syslog-method", Takes::Argument, Choice::Ignored),
    Opt::long("syslog-target", Takes::Argument, Choice::Ignored),
    Opt::both('h', "help", Takes::Nothing, Choice::Help),
    Opt::both('o', "option", Takes::Nothing, Choice::Options),
    Opt::both('V', "version", Takes::Nothing, Choice::Version),
];

/// The program. `args` are the words after its name.
pub fn ovsdb_tool(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    base::vlog::set_all_levels(None, base::vlog::Level::Warning);
    match run(args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Stop::No) => ExitCode::from(2),
        Err(Stop::Fail(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> Outcome {
    let fail = |text: String| Stop::Fail(format!("{PROGRAM}: {text}"));
    let mut parser = Parser::new(PROGRAM, OPTIONS, Order::StopAtWord, args);
    let mut options = Options::default();
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        match item.id {
            Choice::More => options.verbosity += 1,
            Choice::Help => return Ok(usage()),
            Choice::Version => return Ok(format!("{}\n", rpc::version_text(PROGRAM))),
            Choice::Options => return Ok(option_list()),
            Choice::Verbose => {
                base::vlog::set_levels(item.argument.as_deref().unwrap_or("")).map_err(fail)?
            }
            Choice::Ignored => {}
        }
    }
    let words = parser.rest();
    let Some((name, args)) = words.split_first() else {
        return Err(fail("missing command name; use --help for help".to_owned()));
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(fail(format!("unknown command '{name}'; use --help for help")));
    };
    if args.len() < command.min {
        return Err(fail(format!("'{name}' command requires at least {} arguments", command.min)));
    }
    if args.len() > command.max {
        return Err(fail(format!("'{name}' command takes at most {} arguments", command.max)));
    }
    (command.run)(&options, args).map_err(|stop| match stop {
        Stop::Fail(text) => fail(text),
        Stop::No => Stop::No,
    })
}

fn list_commands() -> String {
    let mut names: Vec<String> = COMMANDS
        .iter()
        .filter_map(|command| Some(format!("  {:<23} {}\n", command.name, command.usage?)))
        .collect();
    names.sort();
    format!("The available commands are:\n{}", names.concat())
}

fn option_list() -> String {
    let shown = OPTIONS.iter().filter_map(|option| option.long);
    shown.map(|name| format!("--{name}\n")).collect()
}

fn usage() -> String {
    format!(
        "\
{PROGRAM}: Open vSwitch database management utility
usage: {PROGRAM} [OPTIONS] COMMAND [ARG...]
  create [DB [SCHEMA]]    create DB with the given SCHEMA
  compact [DB [DST]]      compact DB in-place (or to DST)
  convert [DB [SCHEMA [DST]]]   convert DB to SCHEMA (to DST)
  db-name [DB]            report name of schema used by DB
  db-version [DB]         report version of schema used by DB
  db-cksum [DB]           report checksum of schema used by DB
  db-is-clustered DB      test whether DB is clustered
  db-is-standalone DB     test whether DB is standalone
  schema-name [SCHEMA]    report SCHEMA's name
  schema-version [SCHEMA] report SCHEMA's schema version
  schema-cksum [SCHEMA]   report SCHEMA's checksum
  compare-versions A OP B  compare OVSDB schema version numbers
  query [DB] TRNS         execute read-only transaction on DB
  transact [DB] TRNS      execute read/write transaction on DB
  [-m]... show-log [DB]   print DB's log entries
The default DB is {}.
The default SCHEMA is built in.

Other options:
  -m, --more                  increase show-log verbosity
  -h, --help                  display this help message
  -V, --version               display version information
",
        default_database()
    )
}

pub(crate) fn default_database() -> String {
    dirs::dbdir().join("conf.db").display().to_string()
}
