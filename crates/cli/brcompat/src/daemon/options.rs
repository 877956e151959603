//! The command line of `ovs-brcompatd`.

use base::getopt::{Opt, Order, Parser, Takes};
use rpc::daemon::{self, DaemonOption};
use rpc::options::{LogOption, TlsOption};
use rpc::program::Stop;
use rpc::{Tls, dirs};

pub(crate) const PROGRAM: &str = "ovs-brcompatd";

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub daemon: daemon::Options,
    pub unixctl: Option<String>,
    pub tls: Tls,
    /// Where the database is.
    pub remotes: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Daemon(DaemonOption),
    Log(LogOption),
    Tls(TlsOption),
    Unixctl,
    /// Of old versions, which called other programs by them.
    Old,
    Help,
    Version,
}

/// Reads the command line. Log options take effect at once.
pub(crate) fn parse(args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{PROGRAM}: {text}"));
    let mut table = vec![
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
        Opt::long("unixctl", Takes::Argument, Choice::Unixctl),
        Opt::long("appctl-command", Takes::Argument, Choice::Old),
        Opt::long("vsctl", Takes::Argument, Choice::Old),
    ];
    table.extend(daemon::Options::table(Choice::Daemon));
    table.extend(LogOption::table(Choice::Log));
    table.extend(TlsOption::table(Choice::Tls));
    let mut options = Options::default();
    let mut parser = Parser::new(PROGRAM, &table, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.as_deref();
        match item.id {
            Choice::Daemon(option) => options.daemon.apply(option, argument, PROGRAM),
            Choice::Log(option) => option.apply(argument, PROGRAM).map_err(fail)?,
            Choice::Tls(option) => option.apply(argument, &mut options.tls),
            Choice::Unixctl => options.unixctl = item.argument,
            Choice::Old => {}
            Choice::Help => return Err(Stop::Print(usage())),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(PROGRAM)))),
        }
    }
    options.remotes = match parser.rest().as_slice() {
        [] => vec![default_remote()],
        [remotes] => remotes.split(',').map(str::to_owned).collect(),
        _ => return Err(fail("at most one non-option argument accepted; use --help for usage".to_owned())),
    };
    Ok(options)
}

fn default_remote() -> String {
    format!("unix:{}", dirs::rundir().join("db.sock").display())
}

fn usage() -> String {
    format!(
        "{PROGRAM}: does for bridges of the switch what brctl asks for
usage: {PROGRAM} [OPTIONS] [DATABASE]
where DATABASE is a socket on which ovsdb-server is listening
      (default: \"{}\").
{}
Other options:
  --unixctl=SOCKET          override default control socket name
  -h, --help                display this help message
  -V, --version             display version information
",
        default_remote(),
        daemon::usage(PROGRAM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Stop> {
        parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn the_old_command_line_is_taken() {
        let options = parsed("--pidfile --detach --appctl-command=/x unix:/y/db.sock").unwrap();
        assert!(options.daemon.detach && options.daemon.pidfile.is_some());
        assert_eq!(options.remotes, ["unix:/y/db.sock"]);
        assert_eq!(parsed("").unwrap().remotes, [default_remote()]);
    }

    #[test]
    fn two_databases_are_refused() {
        let refusal = "ovs-brcompatd: at most one non-option argument accepted; use --help for usage";
        assert_eq!(parsed("a b").unwrap_err(), Stop::Fail(refusal.to_owned()));
    }
}
