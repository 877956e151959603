//! The command line of `ovs-testcontroller`.

use base::getopt::{Opt, Order, Parser, Takes};
use fields::Protocols;
use ofp::{FlowMod, FlowModCommand, FlowTextKind, Names, Version};
use rpc::Tls;
use rpc::daemon::{self, DaemonOption};
use rpc::options::{LogOption, TlsOption};
use rpc::program::Stop;
use std::io::Read;

/// What a switch is made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Learn,
    Hub,
    /// The switch does what it normally does.
    Normal,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The name that it is called by, which its files have.
    pub program: &'static str,
    pub mode: Mode,
    /// Seconds after which a rule that nobody uses goes, 0 never; `None`: no rules.
    pub max_idle: Option<u16>,
    /// Fields that rules do not depend on, as bits of OpenFlow 1.0.
    pub wildcards: u32,
    pub is_mute: bool,
    pub queue: Option<u32>,
    /// By the name of the port that packets come from.
    pub port_queues: Vec<(String, u32)>,
    /// The rules to begin with, and what can express them.
    pub flows: (Vec<FlowMod>, Protocols),
    /// Bit `v` for each version byte `v`.
    pub versions: u32,
    pub unixctl: Option<String>,
    pub tls: Tls,
    pub daemon: daemon::Options,
    /// Whom to connect to, and where to listen.
    pub methods: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            program: "ovs-testcontroller",
            mode: Mode::Learn,
            max_idle: Some(60),
            wildcards: 0,
            is_mute: false,
            queue: None,
            port_queues: Vec::new(),
            flows: (Vec::new(), Protocols::ANY),
            versions: default_versions(),
            unixctl: None,
            tls: Tls::default(),
            daemon: daemon::Options::default(),
            methods: Vec::new(),
        }
    }
}

/// What switches speak by themselves.
fn default_versions() -> u32 {
    [Version::Of10, Version::Of13, Version::Of14, Version::Of15]
        .into_iter()
        .fold(0, |bits, version| bits | 1 << version.byte())
}

/// Everything but what makes a learning switch of it: port and addresses.
const DEFAULT_WILDCARDS: u32 = 1 << 4 | 1 << 20 | 0x3f << 8 | 0x3f << 14 | 1 << 21 | 1 << 5 | 1 << 6 | 1 << 7;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Hub,
    NoFlow,
    Normal,
    Wildcards,
    MaxIdle,
    Mute,
    Queue,
    PortQueue,
    WithFlows,
    Unixctl,
    Versions,
    Help,
    Version,
    Daemon(DaemonOption),
    Log(LogOption),
    Tls(TlsOption),
}

fn table() -> Vec<Opt<Choice>> {
    let mut table = vec![
        Opt::both('H', "hub", Takes::Nothing, Choice::Hub),
        Opt::both('n', "noflow", Takes::Nothing, Choice::NoFlow),
        Opt::both('N', "normal", Takes::Nothing, Choice::Normal),
        Opt::both('w', "wildcards", Takes::Perhaps, Choice::Wildcards),
        Opt::long("max-idle", Takes::Argument, Choice::MaxIdle),
        Opt::long("mute", Takes::Nothing, Choice::Mute),
        Opt::both('q', "queue", Takes::Argument, Choice::Queue),
        Opt::both('Q', "port-queue", Takes::Argument, Choice::PortQueue),
        Opt::long("with-flows", Takes::Argument, Choice::WithFlows),
        Opt::long("unixctl", Takes::Argument, Choice::Unixctl),
        Opt::both('O', "protocols", Takes::Argument, Choice::Versions),
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
    ];
    table.extend(daemon::Options::table(Choice::Daemon));
    table.extend(LogOption::table(Choice::Log));
    table.extend(TlsOption::table(Choice::Tls));
    table
}

/// Reads the command line. Log options take effect at once.
pub(crate) fn parse(program: &'static str, args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{program}: {text}"));
    let table = table();
    let mut parser = Parser::new(program, &table, Order::Permute, args);
    let mut options = Options { program, ..Options::default() };
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        match item.id {
            Choice::Help => return Err(Stop::Print(usage(program))),
            Choice::Version => {
                let text = format!("{}\nOpenFlow versions 0x1:0x6\n", rpc::version_text(program));
                return Err(Stop::Print(text));
            }
            other => options.apply(other, item.argument.as_deref()).map_err(fail)?,
        }
    }
    options.methods = parser.rest();
    if options.methods.is_empty() {
        return Err(fail("at least one vconn argument required; use --help for usage".to_owned()));
    }
    options.resolve();
    Ok(options)
}

impl Options {
    fn apply(&mut self, choice: Choice, argument: Option<&str>) -> Result<(), String> {
        let text = argument.unwrap_or_default();
        match choice {
            Choice::Hub if self.mode == Mode::Learn => self.mode = Mode::Hub,
            Choice::Hub | Choice::Help | Choice::Version => {}
            Choice::NoFlow => self.max_idle = None,
            Choice::Normal => self.mode = Mode::Normal,
            Choice::Wildcards => {
                self.wildcards = match argument {
                    None => DEFAULT_WILDCARDS,
                    Some(text) => match u32::from_str_radix(text.trim_start_matches("0x"), 16) {
                        Ok(u32::MAX) => DEFAULT_WILDCARDS,
                        Ok(bits) => bits,
                        Err(_) => return Err(format!("--wildcards: {text} is not a hexadecimal number")),
                    },
                }
            }
            Choice::MaxIdle => {
                let seconds =
                    match text {
                        "permanent" => 0,
                        _ => text.parse().ok().filter(|&seconds| seconds > 0).ok_or(
                            "--max-idle argument must be between 1 and 65535 or the word 'permanent'",
                        )?,
                    };
                self.max_idle = self.max_idle.map(|_| seconds);
            }
            Choice::Mute => self.is_mute = true,
            Choice::Queue => {
                let queue = text
                    .parse()
                    .map_err(|_| format!("--queue: {text} is not a number from 0 to {}", u32::MAX))?;
                self.queue = Some(queue);
            }
            Choice::PortQueue => self.add_port_queue(text)?,
            Choice::WithFlows => self.flows = read_flows(text)?,
            Choice::Unixctl => self.unixctl = argument.map(str::to_owned),
            Choice::Versions => {
                self.versions = Version::parse_bitmap(text)
                    .map_err(|name| format!("Unknown OpenFlow version: \"{name}\""))?;
            }
            Choice::Daemon(option) => self.daemon.apply(option, argument, self.program),
            Choice::Log(option) => option.apply(argument, self.program)?,
            Choice::Tls(option) => option.apply(argument, &mut self.tls),
        }
        Ok(())
    }

    fn add_port_queue(&mut self, text: &str) -> Result<(), String> {
        let form = "argument to -Q or --port-queue should take the form \"<port-name>:<queue-id>\"";
        let (name, queue) = text.split_once(':').ok_or(form)?;
        let queue = queue.parse().map_err(|_| form)?;
        if self.port_queues.iter().any(|(known, _)| known == name) {
            return Err("<port-name> arguments for -Q or --port-queue must be unique".to_owned());
        }
        self.port_queues.push((name.to_owned(), queue));
        Ok(())
    }

    /// Queues need rules that name ports, so they win over what does not.
    fn resolve(&mut self) {
        let program = self.program;
        if self.queue.is_none() && self.port_queues.is_empty() {
            return;
        }
        match self.mode {
            Mode::Learn => return,
            Mode::Normal => {
                eprintln!("{program}: queue IDs are incompatible with -N or --normal; not using OFPP_NORMAL");
            }
            Mode::Hub => {
                eprintln!("{program}: queue IDs are incompatible with -H or --hub; not acting as hub");
            }
        }
        self.mode = Mode::Learn;
    }
}

/// The rules of a file, one a line, and what can express them all.
fn read_flows(path: &str) -> Result<(Vec<FlowMod>, Protocols), String> {
    let mut bytes = Vec::new();
    let read = match path {
        "-" => std::io::stdin().read_to_end(&mut bytes),
        _ => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|e| format!("{path}: open failed ({})", rpc::error_text(&e)))?;
    let text = base::text::decode(&bytes).map_err(|e| format!("{path}: {e}"))?;
    let mut flows = Vec::new();
    let mut usable = Protocols::ANY;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let kind = FlowTextKind::Mod(FlowModCommand::Add);
        let (flow, of_line) =
            ofp::parse_flow_mod(line, kind, Names::default()).map_err(|e| format!("{path}:{number}: {e}"))?;
        usable &= of_line;
        flows.push(flow);
    }
    Ok((flows, usable))
}

fn usage(program: &str) -> String {
    format!(
        "\
{program}: OpenFlow controller
usage: {program} [OPTIONS] METHOD...
where METHOD is any OpenFlow connection method:
  tcp:HOST[:PORT], ssl:HOST[:PORT], unix:FILE        connect to a switch
  ptcp:[PORT][:IP], pssl:[PORT][:IP], punix:FILE     wait for switches
{}
OpenFlow version options:
  -V, --version           display version information
  -O, --protocols         allow only these OpenFlow versions

TLS options:
  -p, --private-key=FILE, -c, --certificate=FILE, -C, --ca-cert=FILE,
  --peer-ca-cert=FILE, --bootstrap-ca-cert=FILE

Other options:
  -H, --hub               act as hub instead of learning switch
  -n, --noflow            pass traffic, but don't add flows
  --max-idle=SECS         max idle time for new flows
  -N, --normal            use OFPP_NORMAL action
  -w, --wildcards[=MASK]  wildcard (specified) bits in flows
  -q, --queue=QUEUE-ID    OpenFlow queue ID to use for output
  -Q PORT-NAME:QUEUE-ID   use QUEUE-ID for frames from PORT-NAME
  --with-flows FILE       use the flows from FILE
  --mute                  accept switches, but answer nothing
  --unixctl=SOCKET        override default control socket name
  -h, --help              display this help message
  -V, --version           display version information
",
        daemon::usage(program)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Stop> {
        parse("ovs-testcontroller", line.split_whitespace().map(str::to_owned).collect())
    }

    fn refused(line: &str) -> String {
        match parsed(line) {
            Err(Stop::Fail(text)) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn options_are_taken() {
        let options = parsed("-N --max-idle=permanent -w ptcp: tcp:127.0.0.1 -Onone --detach");
        assert_eq!(
            options.unwrap_err(),
            Stop::Fail("ovs-testcontroller: Unknown OpenFlow version: \"none\"".to_owned())
        );
        let options = parsed("-N --max-idle=permanent -w ptcp: -O OpenFlow13 --detach").unwrap();
        assert_eq!((options.mode, options.max_idle), (Mode::Normal, Some(0)));
        assert_eq!((options.wildcards, options.versions), (DEFAULT_WILDCARDS, 1 << 4));
        assert_eq!(options.methods, ["ptcp:"]);
        assert!(options.daemon.detach);
        assert_eq!(parsed("-n ptcp:").unwrap().max_idle, None);
        // Whoever wants queues cannot have a hub.
        let options = parsed("-H -Q p1:3 ptcp:").unwrap();
        assert_eq!((options.mode, options.port_queues), (Mode::Learn, vec![("p1".to_owned(), 3)]));
    }

    #[test]
    fn mistakes_are_one_line_each() {
        assert_eq!(
            refused(""),
            "ovs-testcontroller: at least one vconn argument required; use --help for usage"
        );
        assert_eq!(
            refused("--max-idle=0 x"),
            "ovs-testcontroller: --max-idle argument must be between 1 and 65535 or the word 'permanent'"
        );
        assert_eq!(
            refused("-Q a x"),
            "ovs-testcontroller: argument to -Q or --port-queue should take the form \"<port-name>:<queue-id>\""
        );
        assert_eq!(
            refused("--with-flows=/nonexistent/f x"),
            "ovs-testcontroller: /nonexistent/f: open failed (No such file or directory)"
        );
    }
}
