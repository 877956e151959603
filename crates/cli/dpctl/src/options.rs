//! The command line of `ovs-dpctl`.

use base::getopt::{Opt, Order, Parser, Takes};
use rpc::daemon::RunTime;
use rpc::options::LogOption;
use rpc::program::Stop;

use crate::PROGRAM;

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub command: String,
    pub arguments: Vec<String>,
    /// Options that the command itself is to have.
    pub switches: Vec<String>,
    pub read_only: bool,
    pub run_time: RunTime,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Handed on to the command.
    Switch(&'static str),
    ReadOnly,
    Timeout,
    Help,
    Options,
    Version,
    Log(LogOption),
}

fn table() -> Vec<Opt<Choice>> {
    let mut table = vec![
        Opt::both('s', "statistics", Takes::Nothing, Choice::Switch("-s")),
        Opt::long("clear", Takes::Nothing, Choice::Switch("--clear")),
        Opt::long("may-create", Takes::Nothing, Choice::Switch("--may-create")),
        Opt::long("read-only", Takes::Nothing, Choice::ReadOnly),
        Opt::both('m', "more", Takes::Nothing, Choice::Switch("-m")),
        Opt::long("names", Takes::Nothing, Choice::Switch("--names")),
        Opt::long("no-names", Takes::Nothing, Choice::Switch("--no-names")),
        Opt::both('t', "timeout", Takes::Argument, Choice::Timeout),
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('o', "option", Takes::Nothing, Choice::Options),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
    ];
    table.extend(LogOption::table(Choice::Log));
    table
}

/// Reads the command line.
pub(crate) fn parse(args: Vec<String>) -> Result<Request, Stop> {
    let fail = |text: String| Stop::Fail(format!("{PROGRAM}: {text}"));
    let table = table();
    let mut request = Request::default();
    let mut parser = Parser::new(PROGRAM, &table, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.as_deref();
        match item.id {
            Choice::Switch(word) => request.switches.push(word.to_owned()),
            Choice::ReadOnly => request.read_only = true,
            Choice::Timeout => {
                let text = argument.unwrap_or_default();
                request
                    .run_time
                    .limit(PROGRAM, text)
                    .map_err(|_| fail(format!("value {text} on -t or --timeout is invalid")))?;
            }
            Choice::Help => return Err(Stop::Print(usage())),
            Choice::Options => return Err(Stop::Print(rpc::options::list(&table))),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(PROGRAM)))),
            Choice::Log(option) => option.apply(argument, PROGRAM).map_err(fail)?,
        }
    }
    let mut words = parser.rest().into_iter();
    request.command =
        words.next().ok_or_else(|| fail("missing command name; use --help for help".to_owned()))?;
    request.arguments = words.collect();
    Ok(request)
}

pub(crate) fn usage() -> String {
    format!(
        "\
{PROGRAM}: Open vSwitch datapath management utility
usage: {PROGRAM} [OPTIONS] COMMAND [ARG...]
  dump-dps                 display names of all datapaths
  show [DP...]             show basic info on all datapaths, or on each DP
  dump-flows [DP]          display flows in DP
  add-flow [DP] FLOW ACTIONS   add FLOW with ACTIONS to DP
  mod-flow [DP] FLOW ACTIONS   change FLOW actions to ACTIONS in DP
  get-flow [DP] ufid:UFID  fetch flow corresponding to UFID
  del-flow [DP] FLOW       delete FLOW from DP
  del-flows [DP] [FILE]    delete all or specified flows from DP
  add-dp DP [IFACE...]     add new datapath DP (with IFACEs)
  del-dp DP                delete local datapath DP
  add-if, set-if, del-if DP IFACE...   change the ports of DP
  dump-conntrack [DP] [zone=ZONE]      display conntrack entries
  flush-conntrack [DP] [zone=ZONE] [ct-tuple]   delete conntrack entries
The datapath is that of the ovs-vswitchd that runs; DP may be left out.
All commands: {PROGRAM} list-commands

Options for show and mod-flow:
  -s,  --statistics           print statistics for port or flow

Options for dump-flows:
  -m, --more                  increase verbosity of output
  --names                     use port names in output

Options for mod-flow:
  --may-create                create flow if it doesn't exist
  --read-only                 do not run read/write commands
  --clear                     reset existing stats to zero

Other options:
  -t, --timeout=SECS          give up after SECS seconds
  -h, --help                  display this help message
  -V, --version               display version information
"
    )
}
