//! The options of the command line.

use std::io::IsTerminal;

use base::getopt::{Opt, Order, Parser, Takes};
use fields::{Field, Protocols};
use ofp::{PacketInFormat, Version};
use rpc::Tls;
use rpc::daemon::{self, DaemonOption, RunTime};
use rpc::options::{LogOption, TlsOption};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Timeout,
    Strict,
    Readd,
    FlowFormat,
    PacketInFormat,
    More,
    Timestamp,
    Sort,
    Rsort,
    Names,
    NoNames,
    Stats,
    NoStats,
    Unixctl,
    Help,
    ListOptions,
    Bundle,
    Color,
    MayCreate,
    Raw,
    ReadOnly,
    Pcap,
    Bare,
    BadChecksum,
    Versions,
    Version,
    Daemon(DaemonOption),
    Log(LogOption),
    Tls(TlsOption),
}

fn table() -> Vec<Opt<Choice>> {
    let mut table = vec![
        Opt::both('t', "timeout", Takes::Argument, Choice::Timeout),
        Opt::long("strict", Takes::Nothing, Choice::Strict),
        Opt::long("readd", Takes::Nothing, Choice::Readd),
        Opt::both('F', "flow-format", Takes::Argument, Choice::FlowFormat),
        Opt::both('P', "packet-in-format", Takes::Argument, Choice::PacketInFormat),
        Opt::both('m', "more", Takes::Nothing, Choice::More),
        Opt::long("timestamp", Takes::Nothing, Choice::Timestamp),
        Opt::long("sort", Takes::Perhaps, Choice::Sort),
        Opt::long("rsort", Takes::Perhaps, Choice::Rsort),
        Opt::long("names", Takes::Nothing, Choice::Names),
        Opt::long("no-names", Takes::Nothing, Choice::NoNames),
        Opt::long("stats", Takes::Nothing, Choice::Stats),
        Opt::long("no-stats", Takes::Nothing, Choice::NoStats),
        Opt::long("unixctl", Takes::Argument, Choice::Unixctl),
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('o', "option", Takes::Nothing, Choice::ListOptions),
        Opt::long("bundle", Takes::Nothing, Choice::Bundle),
        Opt::long("color", Takes::Perhaps, Choice::Color),
        Opt::long("may-create", Takes::Nothing, Choice::MayCreate),
        Opt::long("pcap", Takes::Nothing, Choice::Pcap),
        Opt::long("bare", Takes::Nothing, Choice::Bare),
        Opt::long("bad-csum", Takes::Nothing, Choice::BadChecksum),
        Opt::long("raw", Takes::Nothing, Choice::Raw),
        Opt::long("read-only", Takes::Nothing, Choice::ReadOnly),
    ];
    table.extend(daemon::Options::table(Choice::Daemon));
    table.push(Opt::both('O', "protocols", Takes::Argument, Choice::Versions));
    table.push(Opt::both('V', "version", Takes::Nothing, Choice::Version));
    table.extend(LogOption::table(Choice::Log));
    table.extend(TlsOption::table(Choice::Tls));
    table
}

/// A key to sort rules by: a field, or the priority.
#[derive(Clone, Copy)]
pub(crate) struct SortKey {
    pub(crate) field: Option<Field>,
    pub(crate) descending: bool,
}

/// What the options say.
pub(crate) struct Options {
    pub(crate) versions: u32,
    pub(crate) protocols: Protocols,
    pub(crate) packet_in_format: Option<PacketInFormat>,
    pub(crate) verbosity: i32,
    pub(crate) strict: bool,
    pub(crate) readd: bool,
    pub(crate) timestamp: bool,
    pub(crate) sort: Vec<SortKey>,
    pub(crate) names: Option<bool>,
    pub(crate) stats: bool,
    pub(crate) bundle: bool,
    pub(crate) may_create: bool,
    pub(crate) raw: bool,
    pub(crate) read_only: bool,
    /// `compose-packet` writes a capture file.
    pub(crate) pcap: bool,
    /// `compose-packet` writes nothing but digits.
    pub(crate) bare: bool,
    /// `compose-packet` writes a wrong checksum into the header of IPv4.
    pub(crate) has_bad_checksum: bool,
    /// `-vPATTERN:…` was given, as by those who read the log with a program. They get the reference's note about a
    /// rule whose match is cut down, where others get an error.
    pub(crate) log_has_pattern: bool,
    pub(crate) tls: Tls,
    pub(crate) daemon: daemon::Options,
    pub(crate) unixctl: Option<String>,
    pub(crate) run_time: RunTime,
}

impl Options {
    /// Whether names go into the output.
    pub(crate) fn shows_names(&self) -> bool {
        self.names.unwrap_or_else(|| std::io::stdout().is_terminal())
    }

    /// Whether names are understood in the input.
    pub(crate) fn accepts_names(&self) -> bool {
        self.names.unwrap_or(true)
    }
}

/// What the command line asks for.
pub(crate) enum Parsed {
    Print(String),
    Run(Box<Options>, Vec<String>),
}

fn sort_key(argument: Option<&str>, descending: bool) -> Result<SortKey, String> {
    match argument {
        None | Some("") => Ok(SortKey { field: None, descending }),
        Some(name) if name.eq_ignore_ascii_case("priority") => Ok(SortKey { field: None, descending }),
        Some(name) => match Field::from_name(name) {
            Some(field) => Ok(SortKey { field: Some(field), descending }),
            None => Err(format!("{name}: unknown field name{}", fields::did_you_mean(name, &["priority"]))),
        },
    }
}

fn flow_formats(text: &str) -> Result<Protocols, String> {
    let mut all = Protocols::NONE;
    for word in text.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        all |= Protocols::parse(word).ok_or_else(|| format!("{word}: unknown flow protocol"))?;
    }
    if all.is_empty() { Err(format!("{text}: no flow protocol specified")) } else { Ok(all) }
}

/// Reads the command line; an error is the whole line for standard error.
pub(crate) fn parse(program: &'static str, args: Vec<String>) -> Result<Parsed, String> {
    let say = |text: String| format!("{program}: {text}");
    let mut options = Options {
        versions: 0,
        protocols: Protocols::ANY,
        packet_in_format: None,
        verbosity: 0,
        strict: false,
        readd: false,
        timestamp: false,
        sort: Vec::new(),
        names: None,
        stats: true,
        bundle: false,
        may_create: false,
        raw: false,
        read_only: false,
        pcap: false,
        bare: false,
        has_bad_checksum: false,
        log_has_pattern: false,
        tls: Tls::default(),
        daemon: daemon::Options::default(),
        unixctl: None,
        run_time: RunTime::default(),
    };
    let table = table();
    let mut parser = Parser::new(program, &table, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| e.to_string())?;
        let argument = item.argument.as_deref();
        let text = argument.unwrap_or_default();
        match item.id {
            Choice::Timeout => options
                .run_time
                .limit(program, text)
                .map_err(|_| say(format!("value {text} on -t or --timeout is invalid")))?,
            Choice::FlowFormat => {
                options.protocols = flow_formats(text).map_err(say)?;
            }
            Choice::PacketInFormat => {
                let format = PacketInFormat::from_name(text);
                options.packet_in_format =
                    Some(format.ok_or_else(|| say(format!("unknown packet-in format `{text}'")))?);
            }
            Choice::Versions => {
                options.versions = Version::parse_bitmap(text)
                    .map_err(|word| say(format!("Unknown OpenFlow version: \"{word}\"")))?;
            }
            Choice::More => options.verbosity += 1,
            Choice::Strict => options.strict = true,
            Choice::Readd => options.readd = true,
            Choice::Timestamp => options.timestamp = true,
            Choice::Sort => options.sort.push(sort_key(argument, false).map_err(say)?),
            Choice::Rsort => options.sort.push(sort_key(argument, true).map_err(say)?),
            Choice::Names => options.names = Some(true),
            Choice::NoNames => options.names = Some(false),
            Choice::Stats => options.stats = true,
            Choice::NoStats => options.stats = false,
            Choice::Bundle => options.bundle = true,
            Choice::Raw => options.raw = true,
            Choice::ReadOnly => options.read_only = true,
            Choice::Pcap => options.pcap = true,
            Choice::Bare => options.bare = true,
            Choice::BadChecksum => options.has_bad_checksum = true,
            Choice::Help => return Ok(Parsed::Print(crate::usage::text(program))),
            Choice::ListOptions => return Ok(Parsed::Print(rpc::options::list(&table))),
            Choice::Version => {
                return Ok(Parsed::Print(format!(
                    "{}\nOpenFlow versions 0x1:0x6\n",
                    rpc::version_text(program)
                )));
            }
            Choice::Log(option) => {
                options.log_has_pattern |=
                    option == LogOption::Verbose && text.to_ascii_uppercase().starts_with("PATTERN");
                option.apply(argument, program).map_err(say)?;
            }
            Choice::Daemon(option) => options.daemon.apply(option, argument, program),
            Choice::Unixctl => options.unixctl = Some(text.to_owned()),
            Choice::MayCreate => options.may_create = true,
            Choice::Tls(option) => option.apply(argument, &mut options.tls),
            Choice::Color => {}
        }
    }
    finish(&mut options).map_err(say)?;
    Ok(Parsed::Run(Box::new(options), parser.rest()))
}

fn finish(options: &mut Options) -> Result<(), String> {
    if !options.sort.is_empty() {
        options.sort.push(SortKey { field: None, descending: true });
    }
    if options.versions == 0 {
        options.versions = 1 << Version::Of10.byte();
    }
    let with_bundles = Protocols::OF13_UP.version_bitmap();
    if options.bundle && options.versions & with_bundles == 0 {
        options.versions = (options.versions | Protocols::OF14_OXM.version_bitmap()) & with_bundles;
    }
    let of_versions = Protocols::from_version_bitmap(options.versions);
    if !options.protocols.intersects(of_versions) {
        let names: Vec<&str> =
            Version::ALL.iter().filter(|v| options.versions >> v.byte() & 1 != 0).map(|v| v.name()).collect();
        return Err(format!(
            "None of the enabled OpenFlow versions ({}) supports any of the enabled flow formats ({}).  \
             (Use -O to enable additional OpenFlow versions or -F to enable additional flow formats.)",
            names.join(", "),
            options.protocols
        ));
    }
    options.protocols &= of_versions;
    options.versions &= options.protocols.version_bitmap();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Options, Vec<String>), String> {
        match parse("ovs-ofctl", line.split_whitespace().map(str::to_owned).collect())? {
            Parsed::Run(options, words) => Ok((*options, words)),
            Parsed::Print(text) => Err(text),
        }
    }

    #[test]
    fn formats_and_versions_limit_one_another() {
        for (line, protocols, versions) in [
            ("show br0", "OpenFlow10,NXM", 0x02),
            ("-O OpenFlow13 show br0", "OXM-OpenFlow13", 0x10),
            ("-O OpenFlow10,OpenFlow13 -F OXM-OpenFlow13 show br0", "OXM-OpenFlow13", 0x10),
            ("-F nxm show br0", "NXM", 0x02),
        ] {
            let (options, _) = read(line).expect("options");
            assert_eq!(
                (options.protocols.to_string().as_str(), options.versions),
                (protocols, versions),
                "{line}"
            );
        }
    }

    #[test]
    fn a_bundle_asks_for_a_version_that_has_them() {
        for (line, versions) in [
            ("--bundle add-flow br0 x", 0x20),
            ("--bundle -O OpenFlow10 add-flow br0 x", 0x20),
            ("--bundle -O OpenFlow13 add-flow br0 x", 0x10),
            ("--bundle -O OpenFlow10,OpenFlow13 add-flow br0 x", 0x12),
        ] {
            assert_eq!(read(line).map(|(options, _)| options.versions), Ok(versions), "{line}");
        }
    }

    #[test]
    fn options_stand_anywhere_and_words_keep_their_order() {
        let (options, words) = read("dump-flows -m br0 --strict tcp --names").expect("options");
        assert_eq!(words, ["dump-flows", "br0", "tcp"]);
        assert!(options.strict && options.verbosity == 1 && options.shows_names());
        let (options, _) = read("--no-names dump-flows br0").expect("options");
        assert!(!options.shows_names() && !options.accepts_names());
    }

    #[test]
    fn rules_are_sorted_by_priority_where_the_given_keys_are_equal() {
        let keys = |line: &str| {
            let (options, _) = read(line).expect("options");
            options.sort.iter().map(|key| (key.field, key.descending)).collect::<Vec<_>>()
        };
        assert_eq!(keys("dump-flows br0"), []);
        assert_eq!(keys("--sort dump-flows br0"), [(None, false), (None, true)]);
        let nw_src = Field::from_name("nw_src");
        assert_eq!(
            keys("--rsort=nw_src --sort=Priority dump-flows br0"),
            [(nw_src, true), (None, false), (None, true)]
        );
    }

    #[test]
    fn what_no_option_takes_is_refused_by_name() {
        for (line, refused) in [
            ("--sort=nw_scr x", "ovs-ofctl: nw_scr: unknown field name\nDid you mean 'nw_src'?"),
            ("-F nothing x", "ovs-ofctl: nothing: unknown flow protocol"),
            ("-F , x", "ovs-ofctl: ,: no flow protocol specified"),
            ("-P old x", "ovs-ofctl: unknown packet-in format `old'"),
            ("-O OpenFlow9 x", "ovs-ofctl: Unknown OpenFlow version: \"OpenFlow9\""),
            ("-t soon x", "ovs-ofctl: value soon on -t or --timeout is invalid"),
            (
                "-O OpenFlow10 -F OXM-OpenFlow13 x",
                "ovs-ofctl: None of the enabled OpenFlow versions (OpenFlow10) supports any of the enabled flow \
                 formats (OXM-OpenFlow13).  (Use -O to enable additional OpenFlow versions or -F to enable \
                 additional flow formats.)",
            ),
        ] {
            assert_eq!(read(line).err().as_deref(), Some(refused), "{line}");
        }
    }
}
