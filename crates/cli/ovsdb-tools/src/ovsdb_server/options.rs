//! The command line of `ovsdb-server`.

use super::config::{Config, check_excluded};
use base::getopt::{Opt, Order, Parser, Takes};
use rpc::Tls;
use rpc::daemon::{self, DaemonOption};
use rpc::dirs;
use rpc::options::{LogOption, TlsOption};
use rpc::program::Stop;

pub(crate) const PROGRAM: &str = "ovsdb-server";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Remote,
    Unixctl,
    Run,
    Help,
    Version,
    SyncFrom,
    SyncExclude,
    Active,
    NoDbs,
    NoColumnDiff,
    NoDataConversion,
    ConfigFile,
    Daemon(DaemonOption),
    Log(LogOption),
    Tls(TlsOption),
}

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Absolute.
    pub(crate) config_file: Option<String>,
    pub(crate) unixctl: Option<String>,
    pub(crate) run: Option<String>,
    pub(crate) column_diff: bool,
    pub(crate) daemon: daemon::Options,
    /// Paths, or places in a database (`db:…`).
    pub(crate) tls: Tls,
}

pub(crate) fn parse(args: Vec<String>) -> Result<(Options, Config), Stop> {
    let mut table = vec![
        Opt::long("remote", Takes::Argument, Choice::Remote),
        Opt::long("unixctl", Takes::Argument, Choice::Unixctl),
        Opt::long("run", Takes::Argument, Choice::Run),
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
        Opt::long("sync-from", Takes::Argument, Choice::SyncFrom),
        Opt::long("sync-exclude-tables", Takes::Argument, Choice::SyncExclude),
        Opt::long("active", Takes::Nothing, Choice::Active),
        Opt::long("no-dbs", Takes::Nothing, Choice::NoDbs),
        Opt::long("disable-file-column-diff", Takes::Nothing, Choice::NoColumnDiff),
        Opt::long("disable-file-no-data-conversion", Takes::Nothing, Choice::NoDataConversion),
        Opt::long("config-file", Takes::Argument, Choice::ConfigFile),
    ];
    table.extend(daemon::Options::table(Choice::Daemon));
    table.extend(LogOption::table(Choice::Log));
    table.extend(TlsOption::table(Choice::Tls));
    let fail = |text: String| Stop::Fail(format!("{PROGRAM}: {text}"));
    let mut config = Config::default();
    let mut active = false;
    let mut options = Options { column_diff: true, ..Options::default() };
    let mut default_database = true;
    let mut parser = Parser::new(PROGRAM, &table, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.as_deref();
        let text = || argument.unwrap_or_default().to_owned();
        match item.id {
            Choice::Remote => config.add_remote(&text()),
            Choice::Unixctl => options.unixctl = Some(text()),
            Choice::Run => options.run = Some(text()),
            Choice::Help => return Err(Stop::Print(usage())),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(PROGRAM)))),
            Choice::SyncFrom => config.sync_from = Some(text()),
            Choice::SyncExclude => {
                check_excluded(&text()).map_err(fail)?;
                config.sync_exclude = Some(text());
            }
            Choice::ConfigFile => {
                let path = dirs::absolute(&dirs::dbdir(), &text());
                options.config_file = Some(path.display().to_string());
                default_database = false;
            }
            Choice::Active => active = true,
            Choice::NoDataConversion => {}
            Choice::NoDbs => default_database = false,
            Choice::NoColumnDiff => options.column_diff = false,
            Choice::Daemon(option) => options.daemon.apply(option, argument, PROGRAM),
            Choice::Log(option) => option.apply(argument, PROGRAM).map_err(fail)?,
            Choice::Tls(option) => option.apply(argument, &mut options.tls),
        }
    }
    let databases = parser.rest();
    if options.config_file.is_some() {
        if config.sync_from.is_some() || config.sync_exclude.is_some() || active {
            let others = "--sync-from, --sync-exclude and --active";
            return Err(fail(format!("--config-file is mutually exclusive with {others}")));
        }
        if !config.remotes.is_empty() {
            return Err(fail("--config-file is mutually exclusive with --remote".to_owned()));
        }
        if !databases.is_empty() {
            return Err(fail("Databases should be specified in a config file".to_owned()));
        }
    }
    config.is_backup = config.sync_from.is_some() && !active;
    for database in &databases {
        config.add_database(database);
    }
    if databases.is_empty() && default_database {
        config.add_database(&dirs::dbdir().join("conf.db").display().to_string());
    }
    Ok((options, config))
}

fn usage() -> String {
    format!(
        "{PROGRAM}: Open vSwitch database server
usage: {PROGRAM} [OPTIONS] [DATABASE...]
where each DATABASE is a database file in ovsdb format.
The default DATABASE, if none is given, is
{}/conf.db.

JSON-RPC options (may be specified any number of times):
  --remote=REMOTE         connect or listen to REMOTE

Configuration file:
  --config-file PATH      Use configuration file as a source of
                          database and JSON-RPC configuration.
                          Mutually exclusive with the DATABASE,
                          JSON-RPC and Syncing options.
                          Assumes --no-dbs.
{}
Syncing options:
  --sync-from=SERVER      sync DATABASE from active SERVER and start in
                          backup mode (except with --active)
  --sync-exclude-tables=DB:TABLE,...
                          exclude the TABLE in DB from syncing
  --active                with --sync-from, start in active mode

Other options:
  --run COMMAND           run COMMAND as subprocess then exit
  --unixctl=SOCKET        override default control socket name
  --no-dbs                do not add default database
  --disable-file-column-diff
                          don't use column diff in database file
  -h, --help              display this help message
  -V, --version           display version information
",
        dirs::dbdir().display(),
        daemon::usage(PROGRAM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Options, Config), String> {
        parse(line.split_whitespace().map(str::to_owned).collect()).map_err(|stop| match stop {
            Stop::Fail(text) => text,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn a_server_without_databases_serves_the_default_one() {
        let count = |line: &str| read(line).map(|(_, config)| config.databases.len());
        assert_eq!(count(""), Ok(1));
        assert_eq!(count("--no-dbs"), Ok(0));
        assert_eq!(count("--config-file=/x"), Ok(0), "the file names them");
        assert_eq!(count("/tmp/a.db --no-dbs /tmp/b.db"), Ok(2));
    }

    #[test]
    fn a_server_with_a_source_is_a_backup_until_it_is_active() {
        let is_backup = |line: &str| read(line).map(|(_, config)| config.is_backup);
        assert_eq!(is_backup("--sync-from=tcp:127.0.0.1:6640"), Ok(true));
        assert_eq!(is_backup("--sync-from=tcp:127.0.0.1:6640 --active"), Ok(false));
        assert_eq!(is_backup("--active"), Ok(false));
    }

    #[test]
    fn a_configuration_file_excludes_what_it_holds() {
        let others =
            "ovsdb-server: --config-file is mutually exclusive with --sync-from, --sync-exclude and --active";
        for (line, refused) in [
            ("--config-file=/x --sync-from=tcp:127.0.0.1:1", others),
            ("--config-file=/x --sync-exclude-tables=a:b", others),
            ("--config-file=/x --active", others),
            (
                "--remote=punix:x --config-file=/x",
                "ovsdb-server: --config-file is mutually exclusive with --remote",
            ),
            ("--config-file=/x db", "ovsdb-server: Databases should be specified in a config file"),
        ] {
            assert_eq!(read(line).err().as_deref(), Some(refused), "{line}");
        }
    }

    #[test]
    fn records_are_written_as_differences_unless_that_is_switched_off() {
        let column_diff = |line: &str| read(line).map(|(options, _)| options.column_diff);
        assert_eq!((column_diff(""), column_diff("--disable-file-column-diff")), (Ok(true), Ok(false)));
    }
}
