//! The options of `ovsdb-client`.

use super::PROGRAM;
use crate::shared::{Result, Stop};
use base::getopt::{Opt, Order, Parser, Takes};
use model::listing::{Format, Style};
use rpc::daemon::{self, DaemonOption, RunTime};
use rpc::options::{LogOption, TlsOption};
use rpc::{Tls, dirs};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Help,
    Version,
    Timestamp,
    Force,
    Timeout,
    ChangeAware(bool),
    Leader,
    Format,
    Data,
    NoHeadings,
    Pretty,
    Bare,
    MaxColumnWidth,
    Daemon(DaemonOption),
    Log(LogOption),
    Tls(TlsOption),
}

/// What they ask for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) style: Style,
    pub(crate) timestamp: bool,
    pub(crate) force: bool,
    /// Whether to tell the server so; `None` when it has not been said.
    pub(crate) change_aware: Option<bool>,
    pub(crate) daemon: daemon::Options,
    pub(crate) tls: Tls,
    pub(crate) run_time: RunTime,
}

/// The options, and the words among them.
pub(crate) fn parse(args: Vec<String>) -> Result<(Options, Vec<String>)> {
    let mut table = vec![
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
        Opt::long("timestamp", Takes::Nothing, Choice::Timestamp),
        Opt::long("force", Takes::Nothing, Choice::Force),
        Opt::both('t', "timeout", Takes::Argument, Choice::Timeout),
        Opt::long("db-change-aware", Takes::Nothing, Choice::ChangeAware(true)),
        Opt::long("no-db-change-aware", Takes::Nothing, Choice::ChangeAware(false)),
        Opt::long("leader-only", Takes::Nothing, Choice::Leader),
        Opt::long("no-leader-only", Takes::Nothing, Choice::Leader),
        Opt::both('f', "format", Takes::Argument, Choice::Format),
        Opt::both('d', "data", Takes::Argument, Choice::Data),
        Opt::long("no-headings", Takes::Nothing, Choice::NoHeadings),
        Opt::long("pretty", Takes::Nothing, Choice::Pretty),
        Opt::long("bare", Takes::Nothing, Choice::Bare),
        Opt::long("max-column-width", Takes::Argument, Choice::MaxColumnWidth),
    ];
    table.extend(LogOption::table(Choice::Log));
    table.extend(daemon::Options::table(Choice::Daemon));
    table.extend(TlsOption::table(Choice::Tls));
    let mut options = Options {
        style: Style::new(Format::Table),
        timestamp: false,
        force: false,
        change_aware: None,
        daemon: daemon::Options::default(),
        tls: Tls::default(),
        run_time: RunTime::default(),
    };
    let mut parser = Parser::new(PROGRAM, &table, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Plain(e.to_string()))?;
        let argument = item.argument.as_deref();
        let text = argument.unwrap_or_default();
        match item.id {
            Choice::Help => return Err(Stop::Print(usage())),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(PROGRAM)))),
            Choice::Timestamp => options.timestamp = true,
            Choice::Force => options.force = true,
            Choice::Timeout => {
                let done = options.run_time.limit(PROGRAM, text);
                done.map_err(|_| format!("value {text} on -t or --timeout is invalid"))?;
            }
            Choice::ChangeAware(aware) => options.change_aware = Some(aware),
            Choice::Leader => {}
            Choice::Format => options.style.set_format(text)?,
            Choice::Data => options.style.set_cells(text)?,
            Choice::NoHeadings => options.style.headings = false,
            Choice::Pretty => options.style.pretty = true,
            Choice::Bare => options.style.set_bare(),
            Choice::MaxColumnWidth => {
                options.style.max_column_width = text
                    .parse()
                    .map_err(|_| format!("{text}: --max-column-width must be a number of columns"))?;
            }
            Choice::Daemon(option) => options.daemon.apply(option, argument, PROGRAM),
            Choice::Log(option) => option.apply(argument, PROGRAM)?,
            Choice::Tls(option) => option.apply(argument, &mut options.tls),
        }
    }
    Ok((options, parser.rest()))
}

pub(crate) fn usage() -> String {
    format!(
        "{PROGRAM}: Open vSwitch database JSON-RPC client
usage: {PROGRAM} [OPTIONS] COMMAND [ARG...]

Commands:
  list-dbs [SERVER]           the databases of a server
  get-schema [SERVER] [DATABASE]  the schema of a database
  get-schema-version [SERVER] [DATABASE]  its version only
  get-schema-cksum [SERVER] [DATABASE]  its checksum only
  list-tables [SERVER] [DATABASE]  the tables of a database
  list-columns [SERVER] [DATABASE] [TABLE]  the columns of a table, or of all
  transact [SERVER] TRANSACTION  execute a transaction (the parameters of a
                              \"transact\" request) and print its results
  query [SERVER] TRANSACTION  the same, but nothing is changed
  monitor [SERVER] [DATABASE] TABLE [COLUMN,...]...
                              print contents of columns and how they change;
                              !initial, !insert, !delete or !modify among the
                              columns leaves that kind out
  monitor [SERVER] [DATABASE] ALL  the same of all columns of all tables
  monitor-cond [SERVER] [DATABASE] CONDITION TABLE [COLUMN,...]...
                              only of the rows that fulfil CONDITION
  monitor-cond-since [SERVER] [DATABASE] [LASTID] CONDITION TABLE [COLUMN,...]...
                              only what came after the transaction LASTID
  convert [SERVER] SCHEMA     convert a database to the schema in a file
  needs-conversion [SERVER] SCHEMA  whether that would change anything
  wait [SERVER] DATABASE STATE  wait until a database is \"added\", \"connected\"
                              or \"removed\"
  dump [SERVER] [DATABASE] [TABLE [COLUMN]...]  print contents
  backup [SERVER] [DATABASE] > SNAPSHOT  print contents as a database file
  [--force] restore [SERVER] [DATABASE] < SNAPSHOT
                              replace contents by those of such a file
  lock [SERVER] LOCK          wait for a lock, hold it, and tell of it
  steal [SERVER] LOCK         take a lock from its owner
  unlock [SERVER] LOCK        give a lock up

The default SERVER is unix:{}/db.sock.
The default DATABASE is Open_vSwitch.

Output formatting options:
  -f, --format=FORMAT         set output formatting to FORMAT
                              (\"table\", \"html\", \"csv\", or \"json\")
  -d, --data=FORMAT           set table cell output formatting to
                              FORMAT (\"string\", \"bare\", or \"json\")
  --no-headings               omit table heading row
  --pretty                    pretty-print JSON in output
  --bare                      equivalent to \"--format=list --data=bare --no-headings\"
  --timestamp                 timestamp \"monitor\" output
{}{}{}
Other options:
  -t, --timeout=SECS          limits ovsdb-client runtime to
                              approximately SECS seconds.
  -h, --help                  display this help message
  -V, --version               display version information
",
        dirs::rundir().display(),
        rpc::options::stream_usage("SERVER", true, true, true),
        daemon::usage(PROGRAM),
        rpc::options::log_usage(PROGRAM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Options, Vec<String>)> {
        parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_stand_among_the_words() {
        let (options, words) =
            read("dump --no-headings Open_vSwitch -f csv Bridge --timestamp --no-db-change-aware")
                .expect("options");
        assert_eq!(words, ["dump", "Open_vSwitch", "Bridge"]);
        assert!(!options.style.headings && options.timestamp && !options.force);
        assert_eq!(options.change_aware, Some(false));
        assert_eq!(read("dump").map(|(options, _)| options.change_aware).ok(), Some(None));
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for (line, refused) in [
            ("-t later dump", "value later on -t or --timeout is invalid"),
            ("--max-column-width=wide dump", "wide: --max-column-width must be a number of columns"),
        ] {
            let failed = read(line).err();
            assert!(matches!(&failed, Some(Stop::Fail(text)) if text == refused), "{line}: {failed:?}");
        }
        for line in ["-f braille dump", "-d braille dump"] {
            let failed = read(line).err();
            assert!(
                matches!(&failed, Some(Stop::Fail(text)) if text.contains("braille")),
                "{line}: {failed:?}"
            );
        }
    }
}
