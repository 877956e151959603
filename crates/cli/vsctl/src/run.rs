//! Connects, executes the commands until they are committed, prints, and waits for the switch.

use crate::context::{Command, Context, Result, fatal};
use crate::names;
use crate::options::Options;
use crate::profile::Profile;
use crate::show;
use crate::syntax::Reads;
use base::Clock;
use model::Uuid;
use model::listing::Listing;
use replica::{Event, Outcome, Replica, Subscription};
use rpc::dirs;
use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::time::Duration;

/// The exit status when the switch could not set up a new interface (EX_DATAERR).
const SWITCH_ERROR: u8 = 65;

/// How long the switch is waited for before that is printed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a command prints, once it is certain.
struct Printout {
    output: String,
    listing: Option<Listing>,
    created: Option<Uuid>,
}

/// A try that the database has taken.
struct Done {
    printouts: Vec<Printout>,
    inserted: HashMap<Uuid, Uuid>,
    /// Where the switch must have come to; `None` when nothing changed.
    next_cfg: Option<i64>,
    new_interfaces: Vec<Uuid>,
}

pub(crate) fn run(options: Options, commands: Vec<Command>, command_line: &str) -> Result<ExitCode> {
    let level = if commands.iter().any(|c| c.syntax.writes) { log::Level::Info } else { log::Level::Debug };
    log::log!(target: "vsctl", level, "Called as {command_line}");
    let runtime = rpc::runtime()?;
    runtime.block_on(drive(&options, &commands, command_line))
}

async fn drive(options: &Options, commands: &[Command], command_line: &str) -> Result<ExitCode> {
    let remotes = split_remotes(&options.remotes);
    let subscription = subscription(options.profile, commands)?;
    let tables: Vec<&str> = subscription.tables.iter().flatten().map(|(name, _)| name.as_str()).collect();
    let schema = names::schema_of(options.profile, &tables)?;
    let mut replica = Replica::open(
        &remotes,
        options.profile.declared.name,
        subscription,
        options.retry,
        options.tls.clone(),
        Clock::new(),
    );
    replica.expect_schema(schema);
    let mut tried = 0;
    let names = || commands.iter().map(|command| command.syntax.name).collect::<Vec<_>>().join(" -- ");
    options.run_time.waits_for(format!("an answer of the database at {}", options.remotes));
    let done = loop {
        if replica.is_live() && replica.seqno() != tried {
            tried = replica.seqno();
            if let Some(done) = attempt(&mut replica, options, commands, command_line).await? {
                break done;
            }
            options.run_time.waits_for(format!("the database to change so that \"{}\" can go on", names()));
            continue;
        }
        wait(&mut replica, options).await?;
    };
    print(&done, options);
    if options.wait
        && !options.dry_run
        && let Some(next_cfg) = done.next_cfg
    {
        return wait_for_switch(&mut replica, options, &done, next_cfg).await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Remotes are separated by commas; a comma in a path is not.
fn split_remotes(text: &str) -> Vec<String> {
    let mut remotes: Vec<String> = Vec::new();
    for part in text.split(',') {
        let is_start = rpc::stream::is_active_name(part) || rpc::stream::is_passive_name(part);
        match remotes.last_mut() {
            Some(last) if !is_start => {
                last.push(',');
                last.push_str(part);
            }
            _ => remotes.push(part.to_owned()),
        }
    }
    remotes
}

/// The next event; only a connection that is lost for good ends the program.
async fn wait(replica: &mut Replica, options: &Options) -> Result<Option<Outcome>> {
    match replica.next().await {
        Event::Ended(error) => {
            let error = error.unwrap_or_else(|| "End of file".to_owned());
            let hint = rpc::hint::no_database(&options.remotes);
            fatal!("{}: database connection failed ({error}){hint}", options.remotes)
        }
        Event::NoDatabase(why) if !options.retry => {
            fatal!("{}: {why}", options.remotes)
        }
        Event::Committed(_, outcome) => Ok(Some(outcome)),
        _ => Ok(None),
    }
}

/// The tables and columns that the commands read.
fn subscription(profile: &'static Profile, commands: &[Command]) -> Result<Subscription> {
    let mut tables: BTreeMap<String, Option<Vec<String>>> = BTreeMap::new();
    let mut want = |table: &str, columns: Option<&[&str]>| {
        let entry = tables.entry(table.to_owned()).or_insert_with(|| Some(Vec::new()));
        match columns {
            None => *entry = None,
            Some(columns) => {
                if let Some(list) = entry {
                    list.extend(columns.iter().map(|c| (*c).to_owned()));
                }
            }
        }
    };
    profile.always.iter().for_each(|(table, columns)| want(table, *columns));
    for command in commands {
        if command.syntax.reads != Reads::Nothing {
            profile.things.iter().for_each(|(table, columns)| want(table, *columns));
        }
        match command.syntax.reads {
            Reads::Nothing | Reads::Things => {}
            Reads::Tables(list) => list.iter().for_each(|table| want(table, None)),
            Reads::Show => {
                show::prerequisites(profile).for_each(|(table, columns)| want(table, Some(&columns)))
            }
            Reads::Table => {
                let table = names::table_argument(profile, command.words.get(1).map_or("", String::as_str))?;
                want(&table.name, None);
                if let Some((table, columns)) = names::naming_table(profile, &table.name) {
                    want(table, Some(&columns));
                }
            }
        }
    }
    Ok(Subscription { tables: Some(tables.into_iter().collect()), ..Subscription::default() })
}

/// "bash (pid 17)": who called.
fn parent() -> String {
    let pid = std::os::unix::process::parent_id();
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let name = line.split(|c| *c == 0).next().unwrap_or_default();
    format!("{} (pid {pid})", String::from_utf8_lossy(name))
}

/// Executes the commands once; `None` when the database must change before it makes sense again.
async fn attempt(
    replica: &mut Replica,
    options: &Options,
    commands: &[Command],
    command_line: &str,
) -> Result<Option<Done>> {
    let mut transaction = replica.transaction();
    transaction.dry_run = options.dry_run;
    let profile = options.profile;
    let program = profile.program;
    transaction.comment(&match profile.has_daemon {
        true => format!("{program} (invoked by {}): {command_line}", parent()),
        false => format!("{program}: {command_line}"),
    });
    let root = transaction.rows(profile.root).next().map(|row| row.uuid);
    let root = root.unwrap_or_else(|| transaction.insert(profile.root));
    if options.wait {
        transaction.increment(profile.root, &root, "next_cfg");
    }
    let Some(first) = commands.first() else { return Ok(None) };
    let mut context = Context::new(profile, transaction, root, first.clone());
    let mut printouts = Vec::new();
    for command in commands {
        context.command = command.clone();
        (command.syntax.run)(&mut context)?;
        if context.try_again {
            return Ok(None);
        }
        printouts.push(Printout {
            output: std::mem::take(&mut context.output),
            listing: context.listing.take(),
            created: context.created.take(),
        });
    }
    check_symbols(&context)?;
    let Context { transaction, new_interfaces, .. } = context;
    replica.commit(transaction);
    let outcome = loop {
        if let Some(outcome) = wait(replica, options).await? {
            break outcome;
        }
    };
    match outcome {
        Outcome::Unchanged => {
            Ok(Some(Done { printouts, inserted: HashMap::new(), next_cfg: None, new_interfaces }))
        }
        Outcome::Success { inserted, incremented } => {
            let next_cfg = Some(incremented.unwrap_or(0));
            Ok(Some(Done { printouts, inserted, next_cfg, new_interfaces }))
        }
        Outcome::TryAgain => Ok(None),
        Outcome::NotLocked => fatal!("database not locked"),
        Outcome::Error(error) => fatal!("transaction error: {error}"),
    }
}

fn check_symbols(context: &Context) -> Result<()> {
    for (name, symbol) in context.symbols.iter() {
        if !symbol.created {
            fatal!(
                "row id \"{name}\" is referenced but never created (e.g. with \"-- --id={name} create ...\")"
            );
        }
        if !symbol.strong_ref {
            let what = if symbol.weak_ref {
                "only a weak reference to it was inserted"
            } else {
                "no reference to it was inserted"
            };
            log::warn!(target: "vsctl",
                "row id \"{name}\" was created but {what}, so it will not actually appear in the database");
        }
    }
    Ok(())
}

fn print(done: &Done, options: &Options) {
    let mut first = true;
    for printout in &done.printouts {
        let mut text = printout.output.clone();
        if let Some(uuid) = &printout.created {
            text.push_str(&format!("{}\n", done.inserted.get(uuid).unwrap_or(uuid)));
        }
        if let Some(listing) = &printout.listing {
            print!("{}", listing.print(&options.style, first));
            first = false;
        } else if options.oneline {
            let line = text.strip_suffix('\n').unwrap_or(&text);
            println!("{}", line.replace('\\', "\\\\").replace('\n', "\\n"));
        } else {
            print!("{text}");
        }
    }
}

async fn wait_for_switch(
    replica: &mut Replica,
    options: &Options,
    done: &Done,
    next_cfg: i64,
) -> Result<ExitCode> {
    let hint = switch_hint(options);
    options.run_time.waits_for(format!(
        "ovs-vswitchd to do what the database says{}",
        if hint.is_empty() { String::new() } else { format!("; {}", hint.trim_start()) }
    ));
    replica.session_mut().enable_reconnect();
    let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
    let mut is_patient = !hint.is_empty();
    loop {
        let reached = |row: &replica::Row| row.integer("cur_cfg").is_some_and(|cfg| cfg >= next_cfg);
        if replica.tables().rows(options.profile.root).any(|row| reached(row)) {
            return Ok(check_interfaces(replica, done, options.profile.program));
        }
        tokio::select! {
            event = wait(replica, options) => drop(event?),
            () = &mut patience, if is_patient => {
                is_patient = false;
                // It may have come up by now.
                let hint = switch_hint(options);
                if !hint.is_empty() {
                    eprintln!("{}: the database has the change; waiting for the switch{hint}", options.profile.program);
                }
            }
        }
    }
}

/// That the switch which the database configures is not running, where that can be known.
fn switch_hint(options: &Options) -> String {
    match rpc::hint::is_local_database(&options.remotes) && options.profile.has_daemon {
        true => rpc::hint::not_running("ovs-vswitchd"),
        false => String::new(),
    }
}

/// Whether the switch could set up the interfaces that were added.
fn check_interfaces(replica: &Replica, done: &Done, program: &str) -> ExitCode {
    let mut failed = false;
    for uuid in done.new_interfaces.iter().filter_map(|uuid| done.inserted.get(uuid)) {
        let Some(row) = replica.tables().row("Interface", uuid) else { continue };
        if row.integer("ofport").is_some_and(|port| port != -1) {
            continue;
        }
        let name = row.text("name").unwrap_or_default();
        let see = "See ovs-vswitchd log for details.";
        match row.text("error").filter(|error| !error.is_empty()) {
            Some(error) => eprintln!("{program}: Error detected while setting up '{name}': {error}.  {see}"),
            None => eprintln!("{program}: Error detected while setting up '{name}'.  {see}"),
        }
        failed = true;
    }
    if failed {
        eprintln!("{program}: The default log directory is \"{}\".", dirs::logdir().display());
        return ExitCode::from(SWITCH_ERROR);
    }
    ExitCode::SUCCESS
}
