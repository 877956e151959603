//! The command line of `ovs-vswitchd`.

use base::getopt::{Opt, Order, Parser, Takes};
use bridge::Dummies;
use rpc::daemon::{self, DaemonOption};
use rpc::dirs;

pub(crate) const PROGRAM: &str = "ovs-vswitchd";

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub daemon: daemon::Options,
    pub unixctl: Option<String>,
    /// Where the database is.
    pub remotes: Vec<String>,
    pub dummies: Dummies,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Daemon(DaemonOption),
    Help,
    Version,
    Unixctl,
    Verbose,
    LogFile,
    SyslogMethod,
    SyslogTarget,
    Mlockall,
    EnableDummy,
    DisableSystem,
    Dpdk,
    Tls,
}

/// What ends the program early: text for stdout, or sentences for stderr.
pub(crate) enum Stop {
    Print(String),
    Fail(String),
}

fn table() -> Vec<Opt<Choice>> {
    let mut table = vec![
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
        Opt::long("mlockall", Takes::Nothing, Choice::Mlockall),
        Opt::long("unixctl", Takes::Argument, Choice::Unixctl),
        Opt::both('v', "verbose", Takes::Perhaps, Choice::Verbose),
        Opt::long("log-file", Takes::Perhaps, Choice::LogFile),
        Opt::long("syslog-method", Takes::Argument, Choice::SyslogMethod),
        Opt::long("syslog-target", Takes::Argument, Choice::SyslogTarget),
        Opt::long("enable-dummy", Takes::Perhaps, Choice::EnableDummy),
        Opt::long("disable-system", Takes::Nothing, Choice::DisableSystem),
        Opt::long("disable-system-route", Takes::Nothing, Choice::DisableSystem),
        Opt::long("dpdk", Takes::Perhaps, Choice::Dpdk),
        Opt::both('p', "private-key", Takes::Argument, Choice::Tls),
        Opt::both('c', "certificate", Takes::Argument, Choice::Tls),
        Opt::both('C', "ca-cert", Takes::Argument, Choice::Tls),
        Opt::long("peer-ca-cert", Takes::Argument, Choice::Tls),
        Opt::long("bootstrap-ca-cert", Takes::Argument, Choice::Tls),
    ];
    table.extend(daemon::Options::table(Choice::Daemon));
    table
}

/// Reads the command line. Log options take effect at once.
pub(crate) fn parse(args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{PROGRAM}: {text}"));
    let table = table();
    let mut parser = Parser::new(PROGRAM, &table, Order::Permute, args);
    let mut options = Options::default();
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.as_deref();
        match item.id {
            Choice::Daemon(option) => options.daemon.apply(option, argument, PROGRAM),
            Choice::Help => return Err(Stop::Print(usage())),
            Choice::Version => {
                return Err(Stop::Print(format!("{}\n", rpc::version_text(PROGRAM))));
            }
            Choice::Unixctl => options.unixctl = item.argument,
            Choice::Verbose => base::vlog::set_levels(argument.unwrap_or("")).map_err(fail)?,
            Choice::LogFile => {
                let default = format!("{PROGRAM}.log");
                let path = dirs::absolute(&dirs::logdir(), argument.unwrap_or(&default));
                // A log that cannot be opened is told, and the switch runs without it.
                if let Err(e) = base::vlog::set_log_file(&path) {
                    log::warn!(target: "vlog", "{e}");
                }
            }
            Choice::SyslogMethod | Choice::SyslogTarget => {
                base::vlog::set_syslog_target(argument.unwrap_or("")).map_err(|e| fail(e.to_string()))?;
            }
            Choice::EnableDummy => {
                options.dummies = match argument {
                    None | Some("") => Dummies::Asked,
                    Some("override") => Dummies::Override,
                    Some("system") => Dummies::System,
                    Some(other) => {
                        return Err(fail(format!("--enable-dummy: '{other}' is not override or system")));
                    }
                }
            }
            Choice::Dpdk => {
                return Err(fail("--dpdk is not supported: this switch forwards without DPDK".to_owned()));
            }
            Choice::Tls => {
                log::warn!(target: "vswitchd", "{} has no effect: the database is reached without TLS", item.written);
            }
            Choice::Mlockall | Choice::DisableSystem => {}
        }
    }
    let words = parser.rest();
    match words.as_slice() {
        [] => options.remotes = vec![format!("unix:{}", dirs::rundir().join("db.sock").display())],
        [remote] => options.remotes = remote.split(',').map(str::to_owned).collect(),
        _ => return Err(fail("at most one non-option argument accepted; use --help for usage".to_owned())),
    }
    Ok(options)
}

fn usage() -> String {
    let rundir = dirs::rundir();
    let rundir = rundir.display();
    format!(
        "{PROGRAM}: Open vSwitch daemon
usage: {PROGRAM} [OPTIONS] [DATABASE]
where DATABASE is a socket on which ovsdb-server is listening
      (default: \"unix:{rundir}/db.sock\").
{}
Other options:
  --unixctl=SOCKET          override default control socket name
  -h, --help                display this help message
  -V, --version             display version information
",
        daemon::usage(PROGRAM)
    )
}
