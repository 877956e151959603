//! `ovsdb-tool`: works on database files that no server has open.

mod show_log;

use crate::shared::{Result, Stop, parse_json, read_schema, report};
use base::getopt::{Opt, Order, Parser, Takes};
use model::schema::parse_version;
use model::{Json, Schema};
use rpc::dirs;
use rpc::options::LogOption;
use std::process::ExitCode;
use store::log_file::{Kind, LogFile, Mode, kind_of, read_cluster_header, read_schema as schema_of_log};
use store::{DatabaseFile, Executed, Request};

const PROGRAM: &str = "ovsdb-tool";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    RbacRole,
    More,
    /// Accepted, for databases that have no use for it.
    Other,
    Help,
    Options,
    Version,
    Log(LogOption),
}

struct Command {
    name: &'static str,
    arguments: &'static str,
    min: usize,
    max: usize,
    run: fn(&Invocation) -> Result<()>,
}

/// The words after the command, and how much to tell.
struct Invocation {
    words: Vec<String>,
    verbosity: usize,
    rbac_role: Option<String>,
}

const COMMANDS: &[Command] = &[
    Command { name: "create", arguments: "[db [schema]]", min: 0, max: 2, run: create },
    Command { name: "compact", arguments: "[db [dst]]", min: 0, max: 2, run: compact },
    Command { name: "convert", arguments: "[db [schema [dst]]]", min: 0, max: 3, run: convert },
    Command { name: "needs-conversion", arguments: "", min: 0, max: 2, run: needs_conversion },
    Command { name: "db-name", arguments: "[db]", min: 0, max: 1, run: db_name },
    Command {
        name: "db-version",
        arguments: "[db]",
        min: 0,
        max: 1,
        run: |i| print(&i.db_schema()?.version),
    },
    Command { name: "db-cksum", arguments: "[db]", min: 0, max: 1, run: |i| print(&i.db_schema()?.cksum) },
    Command { name: "db-cid", arguments: "db", min: 1, max: 1, run: |i| cluster_member(i, "cluster_id") },
    Command { name: "db-sid", arguments: "db", min: 1, max: 1, run: |i| cluster_member(i, "server_id") },
    Command {
        name: "db-local-address",
        arguments: "db",
        min: 1,
        max: 1,
        run: |i| cluster_member(i, "local_address"),
    },
    Command {
        name: "db-is-clustered",
        arguments: "db",
        min: 1,
        max: 1,
        run: |i| expect_kind(i, Kind::Clustered),
    },
    Command {
        name: "db-is-standalone",
        arguments: "db",
        min: 1,
        max: 1,
        run: |i| expect_kind(i, Kind::Standalone),
    },
    Command {
        name: "schema-name",
        arguments: "[schema]",
        min: 0,
        max: 1,
        run: |i| print(&i.schema(0)?.name),
    },
    Command {
        name: "schema-version",
        arguments: "[schema]",
        min: 0,
        max: 1,
        run: |i| print(&i.schema(0)?.version),
    },
    Command {
        name: "schema-cksum",
        arguments: "[schema]",
        min: 0,
        max: 1,
        run: |i| print(&i.schema(0)?.cksum),
    },
    Command { name: "query", arguments: "[db] trns", min: 1, max: 2, run: |i| transact(i, Mode::ReadOnly) },
    Command {
        name: "transact",
        arguments: "[db] trns",
        min: 1,
        max: 2,
        run: |i| transact(i, Mode::ReadWrite),
    },
    Command {
        name: "show-log",
        arguments: "[db]",
        min: 0,
        max: 1,
        run: |i| show_log::run(&i.db(), i.verbosity),
    },
    Command { name: "compare-versions", arguments: "a op b", min: 3, max: 3, run: compare_versions },
    Command { name: "help", arguments: "", min: 0, max: usize::MAX, run: |_| Err(Stop::Print(usage())) },
    Command { name: "list-commands", arguments: "", min: 0, max: usize::MAX, run: list_commands },
];

/// The program. `args` are the words after its name.
pub fn ovsdb_tool(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    base::vlog::set_all_levels(Some(base::vlog::Destination::Console), base::vlog::Level::Warning);
    report(PROGRAM, run(args))
}

fn run(args: Vec<String>) -> Result<()> {
    let mut table = vec![
        Opt::both('m', "more", Takes::Nothing, Choice::More),
        Opt::long("rbac-role", Takes::Argument, Choice::RbacRole),
        Opt::long("cid", Takes::Argument, Choice::Other),
        Opt::long("election-timer", Takes::Argument, Choice::Other),
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('o', "option", Takes::Nothing, Choice::Options),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
    ];
    table.extend(LogOption::table(Choice::Log));
    let (mut verbosity, mut rbac_role) = (0, None);
    let mut parser = Parser::new(PROGRAM, &table, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Plain(e.to_string()))?;
        match item.id {
            Choice::More => verbosity += 1,
            Choice::RbacRole => rbac_role = item.argument,
            Choice::Other => {}
            Choice::Help => return Err(Stop::Print(usage())),
            Choice::Options => {
                let long = table.iter().filter_map(|option| option.long);
                return Err(Stop::Print(long.map(|name| format!("--{name}\n")).collect()));
            }
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(PROGRAM)))),
            Choice::Log(option) => option.apply(item.argument.as_deref(), PROGRAM)?,
        }
    }
    let mut words = parser.rest().into_iter();
    let Some(name) = words.next() else {
        return Err("missing command name; use --help for help".to_owned().into());
    };
    let words: Vec<String> = words.collect();
    if matches!(name.as_str(), "create-cluster" | "join-cluster" | "check-cluster" | "cluster-to-standalone")
    {
        return Err(format!("'{name}': clustered databases are not supported yet").into());
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        let hint = base::hint::did_you_mean(&name, COMMANDS.iter().map(|command| command.name));
        return Err(format!("unknown command '{name}'; use --help for help{hint}").into());
    };
    if words.len() < command.min {
        return Err(format!("'{name}' command requires at least {} arguments", command.min).into());
    }
    if words.len() > command.max {
        return Err(format!("'{name}' command takes at most {} arguments", command.max).into());
    }
    (command.run)(&Invocation { words, verbosity, rbac_role })
}

fn print(text: &str) -> Result<()> {
    println!("{text}");
    Ok(())
}

impl Invocation {
    fn word(&self, at: usize) -> Option<&str> {
        self.words.get(at).map(String::as_str)
    }

    /// The database's path, which comes first.
    fn db(&self) -> String {
        self.word(0).map_or_else(|| dirs::dbdir().join("conf.db").display().to_string(), str::to_owned)
    }

    fn db_schema(&self) -> Result<Schema> {
        Ok(schema_of_log(&mut LogFile::open(&self.db(), Mode::ReadOnly)?)?)
    }

    /// A schema by path; without one that of the switch, which is built in.
    fn schema(&self, at: usize) -> Result<Schema> {
        match self.word(at) {
            Some(path) => read_schema(path),
            None => Ok(Schema::from_json(&schema::OPEN_VSWITCH.to_json())?),
        }
    }
}

fn create(invocation: &Invocation) -> Result<()> {
    let schema = invocation.schema(1)?;
    let path = invocation.db();
    DatabaseFile::create(&path, &schema)
        .map_err(|e| Stop::Fail(format!("{e}{}", rpc::hint::missing_directory(std::path::Path::new(&path)))))
}

/// Writes the database, compacted, over itself or to another file.
fn rewrite(source: &str, target: Option<&str>, schema: Option<Schema>, comment: &str) -> Result<()> {
    let mode = if target.is_none() { Mode::ReadWrite } else { Mode::ReadOnly };
    let mut file = DatabaseFile::read_strictly(source, mode, schema)?;
    file.column_diff = false;
    match target {
        None => Ok(file.compact(comment)?),
        Some(target) => Ok(file.write_copy(target, comment)?),
    }
}

fn compact(invocation: &Invocation) -> Result<()> {
    let comment = format!("compacted by ovsdb-tool {}", rpc::REFERENCE_VERSION);
    rewrite(&invocation.db(), invocation.word(1), None, &comment)
}

fn convert(invocation: &Invocation) -> Result<()> {
    let comment = format!("converted by ovsdb-tool {}", rpc::REFERENCE_VERSION);
    rewrite(&invocation.db(), invocation.word(2), Some(invocation.schema(1)?), &comment)
}

fn needs_conversion(invocation: &Invocation) -> Result<()> {
    let (old, new) = (invocation.db_schema()?, invocation.schema(1)?);
    print(if same(&old, &new) { "no" } else { "yes" })
}

/// Whether two schemas say the same, in whatever order.
pub(crate) fn same(a: &Schema, b: &Schema) -> bool {
    model::json::sorted(&a.to_json()) == model::json::sorted(&b.to_json())
}

/// A member of the first record of a clustered database.
fn cluster_member(invocation: &Invocation, name: &str) -> Result<()> {
    let path = invocation.db();
    if kind_of(&path)? == Kind::Standalone {
        return Err(format!("{path}: not a clustered database").into());
    }
    match read_cluster_header(&path)?.get(name).and_then(Json::as_str) {
        Some(text) => print(text),
        None => Err(format!("{path}: the first record has no {name}").into()),
    }
}

fn db_name(invocation: &Invocation) -> Result<()> {
    match kind_of(&invocation.db())? {
        Kind::Standalone => print(&invocation.db_schema()?.name),
        Kind::Clustered => cluster_member(invocation, "name"),
    }
}

/// Ends with status 2 when the database is of another kind.
fn expect_kind(invocation: &Invocation, kind: Kind) -> Result<()> {
    if kind_of(&invocation.db())? == kind { Ok(()) } else { Err(Stop::Exit(2)) }
}

fn transact(invocation: &Invocation, mode: Mode) -> Result<()> {
    let (path, text) = match invocation.words.as_slice() {
        [path, text] => (path.clone(), text),
        [text] => (Invocation { words: Vec::new(), verbosity: 0, rbac_role: None }.db(), text),
        _ => return Ok(()),
    };
    let mut file = DatabaseFile::read_strictly(&path, mode, None)?;
    let json = parse_json(text)?;
    let Some(params) = json.as_array() else {
        return print(&model::json::sorted(&model::Error::syntax(&json, "array expected").to_json()));
    };
    let request = Request { role: invocation.rbac_role.as_deref(), ..Request::of(params) };
    let results = match store::execute(&file.database, &request) {
        Executed::Blocked { .. } => {
            // Nobody else can make it true.
            let error = model::Error::new("not supported", "triggers not supported");
            vec![error.to_json()]
        }
        Executed::Failed(results) if params.first().and_then(Json::as_str) != Some(file.database.name()) => {
            return print(&results.first().map(model::json::sorted).unwrap_or_default());
        }
        Executed::Failed(results) => results,
        Executed::Ready { transaction, mut results, durable, .. } => {
            let committed = match mode {
                Mode::ReadOnly => file.database.prepare(transaction).map(drop),
                _ => file.commit(transaction, durable).map(drop),
            };
            if let Err(e) = committed {
                results.push(e.to_json());
            }
            results
        }
    };
    print(&model::json::sorted(&Json::Array(results)))
}

fn compare_versions(invocation: &Invocation) -> Result<()> {
    let version = |text: &str| {
        parse_version(text)
            .ok_or_else(|| Stop::Fail(format!("{text}: not an OVSDB version number in format x.y.z")))
    };
    let [a, operator, b] = invocation.words.as_slice() else { return Ok(()) };
    let order = version(a)?.cmp(&version(b)?);
    let holds = match operator.as_str() {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        "==" => order.is_eq(),
        ">=" => order.is_ge(),
        ">" => order.is_gt(),
        "!=" => order.is_ne(),
        _ => return Err(format!("{operator}: not a relational operator").into()),
    };
    if holds { Ok(()) } else { Err(Stop::Exit(2)) }
}

fn list_commands(_: &Invocation) -> Result<()> {
    let lines = COMMANDS.iter().map(|c| format!("  {:<23} {}\n", c.name, c.arguments));
    Err(Stop::Print(format!("The available commands are:\n{}", lines.collect::<String>())))
}

fn usage() -> String {
    format!(
        "{PROGRAM}: Open vSwitch database management utility
usage: {PROGRAM} [OPTIONS] COMMAND [ARG...]
  create [DB [SCHEMA]]    create DB with the given SCHEMA
  compact [DB [DST]]      compact DB in-place (or to DST)
  convert [DB [SCHEMA [DST]]]   convert DB to SCHEMA (to DST)
  db-name [DB]            report name of schema used by DB
  db-version [DB]         report version of schema used by DB
  db-cksum [DB]           report checksum of schema used by DB
  db-cid DB               report cluster ID of clustered DB
  db-sid DB               report server ID of clustered DB
  db-local-address DB     report local address of clustered DB
  db-is-clustered DB      test whether DB is clustered
  db-is-standalone DB     test whether DB is standalone
  schema-name [SCHEMA]    report SCHEMA's name
  schema-version [SCHEMA] report SCHEMA's schema version
  schema-cksum [SCHEMA]   report SCHEMA's checksum
  compare-versions A OP B  compare OVSDB schema version numbers
  query [DB] TRNS         execute read-only transaction on DB
  transact [DB] TRNS      execute read/write transaction on DB
  [-m]... show-log [DB]   print DB's log entries
The default DB is {}/conf.db.
The default SCHEMA is {}/vswitch.ovsschema, or the built-in one.

Other options:
  -m, --more                  increase show-log verbosity
  -h, --help                  display this help message
  -V, --version               display version information
",
        dirs::dbdir().display(),
        dirs::pkgdatadir().display()
    )
}

#[cfg(test)]
mod tests;
