//! `ovs collect flows`: receives NetFlow v5, NetFlow v9 and IPFIX, and prints the records or hands them on.
//!
//! Enters: datagrams of any number of exporters. Leaves: a line for each record, the datagrams as pcap, NetFlow v5 or the
//! datagrams themselves to further collectors.
//!
//! Not here: reading datagrams (`telemetry::flow_reader`).

mod elements;

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::SystemTime;

use base::getopt::{Opt, Order, Parser, Takes};
use rpc::program::{self, Stop};
use telemetry::flow_reader::{FlowDatagram, FlowReader, FlowRecord};

use crate::flow::Flow;
use crate::options::{
    Family, Input, NETFLOW_PORT, Source, forward_target, ip_address, netflow_target, no_more, port_number,
};
use crate::pcap;
use crate::run::{self, Take};
use crate::target::{NetflowTarget, Target, netflow};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
struct Options {
    source: Source,
    /// None when datagrams are only handed on.
    format: Option<Format>,
    netflow: Option<SocketAddr>,
    forward: Vec<SocketAddr>,
}

#[derive(Clone, Debug, PartialEq)]
enum Format {
    /// All values of a record in a line, each with its name.
    Text,
    /// The same as a JSON object.
    Json,
    /// What flows have in common, as CSV.
    Lines,
    /// Values of these names, as CSV.
    Fields(Vec<String>),
    /// The datagrams themselves.
    Pcap,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Choice {
    Port,
    Address,
    OnlyV4,
    OnlyV6,
    Read,
    Json,
    Lines,
    Fields,
    Pcap,
    NetFlowHost,
    NetFlowPort,
    Forward,
    Help,
    Version,
}

const OPTIONS: &[Opt<Choice>] = &[
    Opt::both('p', "port", Takes::Argument, Choice::Port),
    Opt::both('b', "listen-address", Takes::Argument, Choice::Address),
    Opt::both('4', "listen-v4-only", Takes::Nothing, Choice::OnlyV4),
    Opt::both('6', "listen-v6-only", Takes::Nothing, Choice::OnlyV6),
    Opt::both('r', "read-pcap", Takes::Argument, Choice::Read),
    Opt::both('j', "json", Takes::Nothing, Choice::Json),
    Opt::both('l', "line", Takes::Nothing, Choice::Lines),
    Opt::both('L', "fields", Takes::Argument, Choice::Fields),
    Opt::both('t', "write-pcap", Takes::Nothing, Choice::Pcap),
    Opt::both('c', "netflow-collector", Takes::Argument, Choice::NetFlowHost),
    Opt::both('d', "netflow-udp-dport", Takes::Argument, Choice::NetFlowPort),
    Opt::both('f', "forwarding-target", Takes::Argument, Choice::Forward),
    Opt::both('h', "help", Takes::Nothing, Choice::Help),
    Opt::both('z', "version", Takes::Nothing, Choice::Version),
];

/// `ovs collect flows …`; `args` are the words after that.
pub(crate) fn collect(program: &str, args: Vec<String>) -> ExitCode {
    program::start(parse(program, args), |options| {
        program::end(program, run(program, &options).map(|()| ExitCode::SUCCESS))
    })
}

fn run(program: &str, options: &Options) -> Result<(), String> {
    let netflow = options.netflow.map(|target| NetflowTarget::open(program, target)).transpose()?;
    let forward = options.forward.iter().map(|&target| Target::open(program, target));
    let out = Out {
        program: program.to_owned(),
        reader: FlowReader::default(),
        format: options.format.clone(),
        port: options.source.port(),
        netflow,
        forward: forward.collect::<Result<_, String>>()?,
    };
    match run::write(&out.prologue()) {
        Ok(()) => run::feed(options.source.clone(), out),
        Err(e) => run::ended(e),
    }
}

fn parse(program: &str, args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{program}: {text}"));
    let mut input = Input::on(telemetry::IPFIX_PORT);
    let (mut format, mut forward) = (None, Vec::new());
    let (mut netflow_host, mut netflow_port) = (None, None);
    let mut parser = Parser::new(program, OPTIONS, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.unwrap_or_default();
        match item.id {
            Choice::Port => input.port = port_number(&argument).map_err(fail)?,
            Choice::Address => input.address = Some(ip_address(&argument).map_err(fail)?),
            Choice::OnlyV4 => input.family = Family::V4,
            Choice::OnlyV6 => input.family = Family::V6,
            Choice::Read => input.file = Some(argument),
            Choice::Json => format = Some(Format::Json),
            Choice::Lines => format = Some(Format::Lines),
            Choice::Fields => {
                format = Some(Format::Fields(argument.split(',').map(str::to_owned).collect()));
            }
            Choice::Pcap => format = Some(Format::Pcap),
            Choice::NetFlowHost => netflow_host = Some(argument),
            Choice::NetFlowPort => netflow_port = Some(port_number(&argument).map_err(fail)?),
            Choice::Forward => forward.push(forward_target(&argument).map_err(fail)?),
            Choice::Help => return Err(Stop::Print(usage(program))),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(program)))),
        }
    }
    no_more(&parser.rest()).map_err(fail)?;
    let netflow = netflow_target(netflow_host, netflow_port).map_err(fail)?;
    if format.is_none() && netflow.is_none() && forward.is_empty() {
        format = Some(Format::Text);
    }
    Ok(Options { source: input.source(), format, netflow, forward })
}

fn usage(program: &str) -> String {
    format!(
        "\
usage: {program} [-p PORT] [OPTION...]
Receives NetFlow v5, NetFlow v9 and IPFIX and prints it, a record a line, unless something else is asked for.

Input:
  -p PORT            listen on this UDP port (default: {})
  -4, -6             listen on IPv4 only, on both
  -b ADDRESS         listen on this address only
  -r FILE            read datagrams from a pcap file; - is standard input

Output:
  -l                 a flow a line, as CSV, below a line of names
  -L FIELD[,FIELD]   a record a line, of these values
  -j                 JSON, an object a line
  -t                 the datagrams as pcap, which -r reads

Further collectors:
  -f HOST/PORT       hand datagrams on; may be repeated
  -c HOST [-d PORT]  send flows of IPv4 as NetFlow v5 (default port: {NETFLOW_PORT})

  -h, --help         print this
  -z, --version      print the version
",
        telemetry::IPFIX_PORT
    )
}

/// The names above the columns of [`flow_line`].
const COLUMNS: &str =
    "exporter,src,dst,protocol,srcPort,dstPort,tos,tcpFlags,vlan,input,output,packets,bytes,milliseconds\n";

/// What becomes of a datagram.
struct Out {
    program: String,
    reader: FlowReader,
    format: Option<Format>,
    /// That datagrams came to.
    port: u16,
    netflow: Option<NetflowTarget>,
    forward: Vec<Target>,
}

impl Out {
    /// What is written before any record.
    fn prologue(&self) -> Vec<u8> {
        match &self.format {
            Some(Format::Pcap) => pcap::file_header(),
            Some(Format::Lines) => COLUMNS.into(),
            Some(Format::Fields(names)) => (names.join(",") + "\n").into_bytes(),
            Some(Format::Text | Format::Json) | None => Vec::new(),
        }
    }
}

impl Take for Out {
    fn take(&mut self, bytes: &[u8], from: IpAddr, received: SystemTime) -> io::Result<()> {
        self.forward.iter().for_each(|target| target.send(bytes));
        if self.format == Some(Format::Pcap) {
            run::write(&pcap::datagram_record(bytes, from, self.port, received))?;
        }
        if self.netflow.is_none() && matches!(self.format, None | Some(Format::Pcap)) {
            return Ok(());
        }
        let datagram = match self.reader.read(from, bytes) {
            Ok(datagram) => datagram,
            Err(e) => {
                eprintln!("{}: a datagram from {from} is left out: {e}", self.program);
                return Ok(());
            }
        };
        if datagram.unknown_sets > 0 {
            let (program, sets) = (&self.program, datagram.unknown_sets);
            eprintln!(
                "{program}: {sets} sets of records from {from} are left out: their templates have not come yet"
            );
        }
        let flows =
            || datagram.records.iter().filter_map(|record| Flow::of_record(record, datagram.sampling));
        if let Some(target) = &mut self.netflow {
            for flow in flows() {
                target.send(|sequence| netflow(&flow, sequence, received));
            }
        }
        let lines: String = match &self.format {
            None | Some(Format::Pcap) => return Ok(()),
            Some(Format::Lines) => flows().map(|flow| flow_line(&flow, from)).collect(),
            Some(Format::Fields(names)) => {
                datagram.records.iter().filter_map(|record| chosen(record, names)).collect()
            }
            Some(format) => {
                let is_json = *format == Format::Json;
                datagram.records.iter().map(|record| line(&datagram, record, from, is_json)).collect()
            }
        };
        run::write(lines.as_bytes())
    }
}

fn flow_line(flow: &Flow, from: IpAddr) -> String {
    let address = |ip: Option<IpAddr>| ip.map_or("-".to_owned(), |ip| ip.to_string());
    let Flow { protocol, src_port, dst_port, tos, tcp_flags, vlan, .. } = flow;
    let Flow { input, output, packets, bytes, duration_ms, .. } = flow;
    let (src, dst) = (address(flow.src), address(flow.dst));
    format!(
        "{from},{src},{dst},{protocol},{src_port},{dst_port},0x{tos:02x},0x{tcp_flags:02x},{vlan},\
         {input},{output},{packets},{bytes},{duration_ms}\n"
    )
}

/// The values of these names, as CSV, if the record has one of them.
fn chosen(record: &FlowRecord<'_>, names: &[String]) -> Option<String> {
    let shown: Vec<(String, String)> =
        record.values.iter().filter_map(|(element, value)| elements::shown(*element, value)).collect();
    let find = |name: &String| shown.iter().find(|(shown, _)| shown == name).map(|(_, value)| csv(value));
    let values: Vec<Option<String>> = names.iter().map(find).collect();
    values.iter().any(Option::is_some).then(|| {
        let values: Vec<String> = values.into_iter().map(Option::unwrap_or_default).collect();
        values.join(",") + "\n"
    })
}

/// A value as RFC 4180 has it.
fn csv(value: &str) -> String {
    if value.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

/// A record as a line. A name that comes again has its place behind it: `interfaceName`, `interfaceName_2`.
fn line(datagram: &FlowDatagram<'_>, record: &FlowRecord<'_>, from: IpAddr, is_json: bool) -> String {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut out = String::new();
    let (version, domain, template) = (datagram.version, datagram.domain, record.template);
    // Writing to a String cannot fail.
    let _ = if is_json {
        write!(
            out,
            "{{\"exporter\":\"{from}\",\"version\":\"{version}\",\"domain\":\"{domain}\",\"template\":\"{template}\""
        )
    } else {
        write!(out, "exporter={from} version={version} domain={domain} template={template}")
    };
    for (element, value) in &record.values {
        let Some((name, text)) = elements::shown(*element, value) else { continue };
        let times = seen.entry(name.clone()).or_insert(0);
        *times += 1;
        let name = if *times == 1 { name } else { format!("{name}_{times}") };
        // As text, a value may be anything; JSON's form of it has no blanks that are not in quotation marks.
        let quoted = serde_json::Value::from(text.as_str());
        let is_plain = text.chars().all(|c| c.is_ascii_graphic() && !"\"\\=".contains(c)) && !text.is_empty();
        let _ = match (is_json, is_plain) {
            (true, _) => write!(out, ",\"{name}\":{quoted}"),
            (false, true) => write!(out, " {name}={text}"),
            (false, false) => write!(out, " {name}={quoted}"),
        };
    }
    out.push_str(if is_json { "}\n" } else { "\n" });
    out
}

#[cfg(test)]
mod tests;
