//! The command line, with `sflowtool`'s letters.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use base::getopt::{Opt, Order, Parser, Takes};
use rpc::program::Stop;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub source: Source,
    /// None when datagrams are only handed on.
    pub format: Option<Format>,
    pub netflow: Option<NetFlow>,
    pub forward: Vec<SocketAddr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Socket { port: u16, address: Option<IpAddr>, family: Family },
    File { path: String, port: u16 },
}

impl Source {
    /// The UDP port that datagrams come to.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Source::Socket { port, .. } | Source::File { port, .. } => *port,
        }
    }
}

/// What is listened on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Family {
    Any,
    V4,
    V6,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// A field a line.
    Full,
    /// The same with its context on each line.
    Grep,
    /// A sample a line.
    Lines,
    /// A sample a line, of these fields.
    Fields(Vec<String>),
    Json {
        is_pretty: bool,
    },
    Pcap,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NetFlow {
    pub target: SocketAddr,
    /// Whether packets and bytes are multiplied by the sampling rate.
    pub is_scaled: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Choice {
    Port,
    Pcap,
    Lines,
    Fields,
    Grep,
    Json,
    PrettyJson,
    Read,
    NetFlowHost,
    NetFlowPort,
    NetFlowVersion,
    Unscaled,
    Forward,
    OnlyV4,
    OnlyV6,
    AnyFamily,
    Address,
    Nothing,
    Help,
    Version,
}

const OPTIONS: &[Opt<Choice>] = &[
    Opt::both('p', "port", Takes::Argument, Choice::Port),
    Opt::both('t', "write-pcap", Takes::Nothing, Choice::Pcap),
    Opt::both('l', "line", Takes::Nothing, Choice::Lines),
    Opt::both('L', "fields", Takes::Argument, Choice::Fields),
    Opt::both('g', "grep", Takes::Nothing, Choice::Grep),
    Opt::both('j', "json", Takes::Nothing, Choice::Json),
    Opt::both('J', "json-indented", Takes::Nothing, Choice::PrettyJson),
    Opt::both('r', "read-pcap", Takes::Argument, Choice::Read),
    Opt::both('c', "netflow-collector", Takes::Argument, Choice::NetFlowHost),
    Opt::both('d', "netflow-udp-dport", Takes::Argument, Choice::NetFlowPort),
    Opt::both('N', "netflow-version", Takes::Argument, Choice::NetFlowVersion),
    Opt::both('s', "no-scaling", Takes::Nothing, Choice::Unscaled),
    Opt::both('f', "forwarding-target", Takes::Argument, Choice::Forward),
    Opt::both('4', "listen-v4-only", Takes::Nothing, Choice::OnlyV4),
    Opt::both('6', "listen-v6-only", Takes::Nothing, Choice::OnlyV6),
    Opt::both('A', "listen-v4-v6", Takes::Nothing, Choice::AnyFamily),
    Opt::both('b', "listen-address", Takes::Argument, Choice::Address),
    // Names are always allowed, and errors never end the program.
    Opt::both('D', "allow-dns", Takes::Nothing, Choice::Nothing),
    Opt::both('k', "keep-going-on-error", Takes::Nothing, Choice::Nothing),
    // Without routes in samples, the peer's AS is as unknown as the origin's.
    Opt::both('e', "netflow-peer-as", Takes::Nothing, Choice::Nothing),
    Opt::both('h', "help", Takes::Nothing, Choice::Help),
    Opt::both('z', "version", Takes::Nothing, Choice::Version),
];

/// The usual port of NetFlow collectors.
pub(crate) const NETFLOW_PORT: u16 = 9991;

pub(crate) fn parse(program: &str, args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{program}: {text}"));
    let mut input = Input::on(telemetry::COLLECTOR_PORT);
    let (mut format, mut forward) = (None, Vec::new());
    let (mut netflow_host, mut netflow_port, mut is_scaled) = (None, None, true);
    // "+4" is an old way to say "-A".
    let args = args.into_iter().map(|arg| if arg == "+4" { "-A".to_owned() } else { arg });
    let mut parser = Parser::new(program, OPTIONS, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.unwrap_or_default();
        match item.id {
            Choice::Port => input.port = port_number(&argument).map_err(fail)?,
            Choice::Pcap => format = Some(Format::Pcap),
            Choice::Lines => format = Some(Format::Lines),
            Choice::Fields => {
                format = Some(Format::Fields(argument.split(',').map(str::to_owned).collect()));
            }
            Choice::Grep => format = Some(Format::Grep),
            Choice::Json => format = Some(Format::Json { is_pretty: false }),
            Choice::PrettyJson => format = Some(Format::Json { is_pretty: true }),
            Choice::Read => input.file = Some(argument),
            Choice::NetFlowHost => netflow_host = Some(argument),
            Choice::NetFlowPort => netflow_port = Some(port_number(&argument).map_err(fail)?),
            Choice::NetFlowVersion if argument == "5" => {}
            Choice::NetFlowVersion => {
                return Err(fail(format!("NetFlow version {argument}: 5 is what there is")));
            }
            Choice::Unscaled => is_scaled = false,
            Choice::Forward => forward.push(forward_target(&argument).map_err(fail)?),
            Choice::OnlyV4 => input.family = Family::V4,
            Choice::OnlyV6 => input.family = Family::V6,
            Choice::AnyFamily => input.family = Family::Any,
            Choice::Address => input.address = Some(ip_address(&argument).map_err(fail)?),
            Choice::Nothing => {}
            Choice::Help => return Err(Stop::Print(usage(program))),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(program)))),
        }
    }
    no_more(&parser.rest()).map_err(fail)?;
    let netflow = netflow_target(netflow_host, netflow_port).map_err(fail)?;
    let netflow = netflow.map(|target| NetFlow { target, is_scaled });
    if format.is_none() && netflow.is_none() && forward.is_empty() {
        format = Some(Format::Full);
    }
    Ok(Options { source: input.source(), format, netflow, forward })
}

/// What command lines say of where datagrams come from.
pub(crate) struct Input {
    pub port: u16,
    pub file: Option<String>,
    pub family: Family,
    pub address: Option<IpAddr>,
}

impl Input {
    /// From this port of all addresses, unless something else is said.
    pub(crate) fn on(port: u16) -> Input {
        Input { port, file: None, family: Family::Any, address: None }
    }

    pub(crate) fn source(self) -> Source {
        let Input { port, file, family, address } = self;
        match file {
            Some(path) => Source::File { path, port },
            None => Source::Socket { port, address, family },
        }
    }
}

/// Refuses words that stand behind all options.
pub(crate) fn no_more(words: &[String]) -> Result<(), String> {
    match words.first() {
        Some(word) => Err(format!("unexpected argument '{word}'; use -h for help")),
        None => Ok(()),
    }
}

pub(crate) fn ip_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text}: not an IP address"))
}

pub(crate) fn port_number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text}: not a port number"))
}

/// What `-c` and `-d` say of a collector that is sent NetFlow.
pub(crate) fn netflow_target(host: Option<String>, port: Option<u16>) -> Result<Option<SocketAddr>, String> {
    match (host, port) {
        (Some(host), port) => Ok(Some(resolve(&host, port.unwrap_or(NETFLOW_PORT))?)),
        (None, Some(_)) => Err("-d needs -c with the NetFlow collector's host".to_owned()),
        (None, None) => Ok(None),
    }
}

/// `HOST/PORT`.
pub(crate) fn forward_target(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once('/').ok_or_else(|| format!("{text}: HOST/PORT was expected"))?;
    resolve(host, port_number(port)?)
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut addresses =
        (host, port).to_socket_addrs().map_err(|e| format!("{host}: {}", rpc::error_text(&e)))?;
    addresses.next().ok_or_else(|| format!("{host}: the name has no address"))
}

pub(crate) fn usage(program: &str) -> String {
    format!(
        "\
usage: {program} [-p PORT] [OPTION...]
Receives sFlow and prints it, a field a line, unless something else is asked for.

Input:
  -p PORT            listen on this UDP port (default: 6343)
  -4                 listen on IPv4 only; -6 and -A on both, as without them
  -b ADDRESS         listen on this address only
  -r FILE            read datagrams from a pcap file; - is standard input

Output:
  -l                 a sample a line, as CSV
  -L FIELD[,FIELD]   a sample a line, of these fields
  -g                 a field a line, with its agent and source on each
  -j, -J             JSON: a datagram a line, or indented
  -t                 the sampled packets as pcap, for tcpdump -r -

Further collectors:
  -f HOST/PORT       hand datagrams on; may be repeated
  -c HOST [-d PORT]  send sampled packets as NetFlow v5 (default port: {NETFLOW_PORT})
  -s                 do not multiply NetFlow's packets and bytes by the sampling rate

  -h, --help         print this
  -z, --version      print the version
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Options {
        parse("sflowtool", line.split_whitespace().map(str::to_owned).collect()).unwrap()
    }

    fn refused(line: &str) -> String {
        match parse("sflowtool", line.split_whitespace().map(str::to_owned).collect()) {
            Err(Stop::Fail(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_letters_are_those_of_sflowtool() {
        let options = parsed("-p 7000 -t");
        assert_eq!(options.source, Source::Socket { port: 7000, address: None, family: Family::Any });
        assert_eq!(options.format, Some(Format::Pcap));
        assert_eq!(parsed("").format, Some(Format::Full));
        let options = parsed("-c 10.0.0.9 -d 9999 -f 127.0.0.1/7777 -f ::1/7778");
        assert_eq!(options.netflow.unwrap().target, "10.0.0.9:9999".parse().unwrap());
        assert_eq!(options.forward, ["127.0.0.1:7777", "[::1]:7778"].map(|t| t.parse().unwrap()));
        assert_eq!(options.format, None);
        assert_eq!(
            parsed("-L srcIP,dstIP").format,
            Some(Format::Fields(vec!["srcIP".into(), "dstIP".into()]))
        );
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(refused("-p x"), "sflowtool: x: not a port number");
        assert_eq!(refused("-f 127.0.0.1"), "sflowtool: 127.0.0.1: HOST/PORT was expected");
        assert_eq!(refused("word"), "sflowtool: unexpected argument 'word'; use -h for help");
        assert_eq!(refused("-N 9"), "sflowtool: NetFlow version 9: 5 is what there is");
    }
}
