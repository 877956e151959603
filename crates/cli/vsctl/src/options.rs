//! The options before the first command.

use crate::context::{Command, Failure, Result};
use crate::profile::Profile;
use crate::syntax;
use crate::usage;
use base::getopt::{Opt, Order, Parser, Takes};
use indexmap::IndexMap;
use model::listing::{Format, Style};
use rpc::daemon::RunTime;
use rpc::options::{LogOption, TlsOption};
use rpc::{Tls, dirs};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Db,
    NoSyslog,
    NoWait,
    DryRun,
    Oneline,
    Timeout,
    Retry,
    Help,
    Commands,
    Options,
    LeaderOnly,
    Version,
    Format,
    Data,
    NoHeadings,
    Pretty,
    Bare,
    MaxColumnWidth,
    /// An option of the first command, by its place among all options of commands.
    Local(usize),
    Log(LogOption),
    Tls(TlsOption),
}

/// What the options ask for.
pub(crate) struct Options {
    pub(crate) profile: &'static Profile,
    pub(crate) remotes: String,
    pub(crate) wait: bool,
    pub(crate) dry_run: bool,
    pub(crate) oneline: bool,
    pub(crate) retry: bool,
    pub(crate) style: Style,
    pub(crate) tls: Tls,
    pub(crate) run_time: RunTime,
}

fn table(profile: &Profile) -> Vec<Opt<Choice>> {
    let mut table = vec![
        Opt::long("db", Takes::Argument, Choice::Db),
        Opt::long("no-syslog", Takes::Nothing, Choice::NoSyslog),
        Opt::long("dry-run", Takes::Nothing, Choice::DryRun),
        Opt::long("oneline", Takes::Nothing, Choice::Oneline),
        Opt::both('t', "timeout", Takes::Argument, Choice::Timeout),
        Opt::long("retry", Takes::Nothing, Choice::Retry),
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::long("commands", Takes::Nothing, Choice::Commands),
        Opt::long("options", Takes::Nothing, Choice::Options),
        Opt::long("leader-only", Takes::Nothing, Choice::LeaderOnly),
        Opt::long("no-leader-only", Takes::Nothing, Choice::LeaderOnly),
        Opt::long("shuffle-remotes", Takes::Nothing, Choice::LeaderOnly),
        Opt::long("no-shuffle-remotes", Takes::Nothing, Choice::LeaderOnly),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
    ];
    if profile.has_daemon {
        table.push(Opt::long("no-wait", Takes::Nothing, Choice::NoWait));
    }
    table.extend(LogOption::table(Choice::Log));
    table.extend([
        Opt::both('f', "format", Takes::Argument, Choice::Format),
        Opt::both('d', "data", Takes::Argument, Choice::Data),
        Opt::long("no-headings", Takes::Nothing, Choice::NoHeadings),
        Opt::long("pretty", Takes::Nothing, Choice::Pretty),
        Opt::long("bare", Takes::Nothing, Choice::Bare),
        Opt::long("max-column-width", Takes::Argument, Choice::MaxColumnWidth),
    ]);
    table.extend(TlsOption::table(Choice::Tls));
    table
}

fn print_options(table: &[Opt<Choice>]) -> String {
    let mut text = String::new();
    for option in table {
        let takes = option.takes != Takes::Nothing;
        if let Some(long) = option.long {
            text.push_str(&format!("--{long}{}\n", if takes { "=ARG" } else { "" }));
        }
        if let Some(short) = option.short {
            text.push_str(&format!("-{short}{}\n", if takes { " ARG" } else { "" }));
        }
    }
    text
}

/// The long options that come before commands.
pub(crate) fn long_options(profile: &Profile) -> Vec<String> {
    let value = |option: &Opt<Choice>| if option.takes == Takes::Nothing { "" } else { "=" };
    table(profile).iter().filter_map(|option| Some(format!("--{}{}", option.long?, value(option)))).collect()
}

/// Reads the whole command line.
pub(crate) fn parse(profile: &'static Profile, args: Vec<String>) -> Result<(Options, Vec<Command>)> {
    let globals = table(profile);
    let locals = syntax::command_options(profile);
    let mut options_table = globals.clone();
    for (i, (name, takes_value)) in locals.iter().enumerate() {
        let takes = if *takes_value { Takes::Argument } else { Takes::Nothing };
        options_table.push(Opt::long(name, takes, Choice::Local(i)));
    }
    let mut options = Options {
        profile,
        remotes: format!("unix:{}/db.sock", dirs::rundir().display()),
        wait: profile.has_daemon,
        dry_run: false,
        oneline: false,
        retry: false,
        style: Style::new(Format::List),
        tls: Tls::default(),
        run_time: RunTime::default(),
    };
    let mut local: IndexMap<String, Option<String>> = IndexMap::new();
    let mut parser = Parser::new(profile.program, &options_table, Order::StopAtWord, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Failure::Plain(e.to_string()))?;
        if let Choice::Local(at) = item.id {
            let name = locals.get(at).map_or("", |(name, _)| *name);
            if local.insert(format!("--{name}"), item.argument).is_some() {
                return Err(format!("'{name}' option specified multiple times").into());
            }
            continue;
        }
        options.apply(item.id, item.argument.as_deref(), &globals)?;
    }
    let commands = syntax::parse(profile, parser.rest(), local)?;
    Ok((options, commands))
}

impl Options {
    fn apply(&mut self, choice: Choice, argument: Option<&str>, table: &[Opt<Choice>]) -> Result<()> {
        let text = argument.unwrap_or_default();
        match choice {
            Choice::Db => text.clone_into(&mut self.remotes),
            Choice::NoSyslog | Choice::LeaderOnly | Choice::Local(_) => {}
            Choice::NoWait => self.wait = false,
            Choice::DryRun => self.dry_run = true,
            Choice::Oneline => self.oneline = true,
            Choice::Timeout => {
                let done = self.run_time.limit(self.profile.program, text);
                done.map_err(|_| format!("value {text} on -t or --timeout is invalid"))?;
            }
            Choice::Retry => self.retry = true,
            Choice::Help => return Err(Failure::Print(usage::text(self.profile))),
            Choice::Commands => return Err(Failure::Print(usage::commands(self.profile))),
            Choice::Options => return Err(Failure::Print(print_options(table))),
            Choice::Version => {
                let version = self.profile.declared.version;
                let text = format!("{}\nDB Schema {version}\n", rpc::version_text(self.profile.program));
                return Err(Failure::Print(text));
            }
            Choice::Format => self.style.set_format(text)?,
            Choice::Data => self.style.set_cells(text)?,
            Choice::NoHeadings => self.style.headings = false,
            Choice::Pretty => self.style.pretty = true,
            Choice::Bare => self.style.set_bare(),
            Choice::MaxColumnWidth => {
                self.style.max_column_width = text
                    .parse()
                    .map_err(|_| format!("{text}: --max-column-width must be a number of columns"))?;
            }
            Choice::Log(option) => option.apply(argument, self.profile.program)?,
            Choice::Tls(option) => option.apply(argument, &mut self.tls),
        }
        Ok(())
    }
}
