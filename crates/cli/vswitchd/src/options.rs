//! The command line of `ovs-vswitchd`.

use base::getopt::{Opt, Order, Parser, Takes};
use bridge::Dummies;
use rpc::daemon::{self, DaemonOption};
use rpc::dirs;
use rpc::options::{LogOption, TlsOption, log_usage, stream_usage};
use rpc::program::Stop;

pub(crate) const PROGRAM: &str = "ovs-vswitchd";

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub daemon: daemon::Options,
    pub unixctl: Option<String>,
    /// Where the database is.
    pub remotes: Vec<String>,
    pub dummies: Dummies,
    /// The nodes of processors that there are not, for tests.
    pub dummy_nodes: Option<String>,
    /// How a database behind TLS is reached.
    pub tls: rpc::Tls,
    /// Tunnels do not use the machine's routes.
    pub ignores_routes: bool,
    /// No page of the process may be swapped out.
    pub locks_memory: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Daemon(DaemonOption),
    Help,
    Version,
    Unixctl,
    Log(LogOption),
    Mlockall,
    EnableDummy,
    DisableSystem,
    DisableRoutes,
    DummyNuma,
    Dpdk,
    Tls(TlsOption),
}

fn table() -> Vec<Opt<Choice>> {
    let mut table = vec![
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
        Opt::long("mlockall", Takes::Nothing, Choice::Mlockall),
        Opt::long("unixctl", Takes::Argument, Choice::Unixctl),
        Opt::long("enable-dummy", Takes::Perhaps, Choice::EnableDummy),
        Opt::long("disable-system", Takes::Nothing, Choice::DisableSystem),
        Opt::long("disable-system-route", Takes::Nothing, Choice::DisableRoutes),
        Opt::long("dummy-numa", Takes::Argument, Choice::DummyNuma),
        Opt::long("dpdk", Takes::Perhaps, Choice::Dpdk),
    ];
    table.extend(daemon::Options::table(Choice::Daemon));
    table.extend(LogOption::table(Choice::Log));
    table.extend(TlsOption::table(Choice::Tls));
    table
}

/// Reads the command line. Log options take effect at once.
pub(crate) fn parse(args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{PROGRAM}: {text}"));
    let table = table();
    let mut parser = Parser::new(PROGRAM, &table, Order::Permute, args);
    let mut options = Options::default();
    options.daemon.uses_devices = true;
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
            Choice::Log(option) => option.apply(argument, PROGRAM).map_err(fail)?,
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
            Choice::Tls(option) => option.apply(argument, &mut options.tls),
            Choice::Mlockall => options.locks_memory = true,
            Choice::DummyNuma => options.dummy_nodes = item.argument,
            Choice::DisableSystem => {}
            Choice::DisableRoutes => options.ignores_routes = true,
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
{}{}{}
Other options:
  --unixctl=SOCKET          override default control socket name
  -h, --help                display this help message
  -V, --version             display version information
",
        stream_usage("DATABASE", true, false, true),
        daemon::usage(PROGRAM),
        log_usage(PROGRAM)
    )
}
