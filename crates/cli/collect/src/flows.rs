//! `ovs collect flows`: receives NetFlow v5, NetFlow v9 and IPFIX, and prints the records.
//!
//! Enters: datagrams of any number of exporters. Leaves: a line for each record, as text or JSON.
//!
//! Not here: reading datagrams (`telemetry::flow_reader`).

mod elements;

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::SystemTime;

use base::getopt::{Opt, Order, Parser, Takes};
use rpc::program::{self, Stop};
use telemetry::flow_reader::{FlowDatagram, FlowReader, FlowRecord};

use crate::options::{Family, Input, Source, ip_address, no_more, port_number};
use crate::run::{self, Take};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
struct Options {
    source: Source,
    is_json: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Choice {
    Port,
    Address,
    OnlyV4,
    OnlyV6,
    Read,
    Json,
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
    Opt::both('h', "help", Takes::Nothing, Choice::Help),
    Opt::both('z', "version", Takes::Nothing, Choice::Version),
];

/// `ovs collect flows …`; `args` are the words after that.
pub(crate) fn collect(program: &str, args: Vec<String>) -> ExitCode {
    program::start(parse(program, args), |options| {
        let printer =
            Printer { program: program.to_owned(), reader: FlowReader::default(), is_json: options.is_json };
        program::end(program, run::feed(options.source, printer).map(|()| ExitCode::SUCCESS))
    })
}

fn parse(program: &str, args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{program}: {text}"));
    let mut input = Input::on(telemetry::IPFIX_PORT);
    let mut is_json = false;
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
            Choice::Json => is_json = true,
            Choice::Help => return Err(Stop::Print(usage(program))),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(program)))),
        }
    }
    no_more(&parser.rest()).map_err(fail)?;
    Ok(Options { source: input.source(), is_json })
}

fn usage(program: &str) -> String {
    format!(
        "\
usage: {program} [-p PORT] [OPTION...]
Receives NetFlow v5, NetFlow v9 and IPFIX and prints it, a record a line.

  -p PORT            listen on this UDP port (default: {})
  -4, -6             listen on IPv4 only, on both
  -b ADDRESS         listen on this address only
  -r FILE            read datagrams from a pcap file; - is standard input
  -j                 JSON, an object a line
  -h, --help         print this
  -z, --version      print the version
",
        telemetry::IPFIX_PORT
    )
}

/// Prints records as they come.
struct Printer {
    program: String,
    reader: FlowReader,
    is_json: bool,
}

impl Take for Printer {
    fn take(&mut self, bytes: &[u8], from: IpAddr, _: SystemTime) -> io::Result<()> {
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
        let lines: String =
            datagram.records.iter().map(|record| line(&datagram, record, from, self.is_json)).collect();
        run::write(lines.as_bytes())
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
