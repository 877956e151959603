//! `ovs collect --top`: a table of who talks most, from sFlow, NetFlow and IPFIX alike.
//!
//! Enters: datagrams on the ports of all of them, or a capture. Leaves: the table, again every second on a terminal.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::getopt::{Opt, Order, Parser, Takes};
use rpc::program::{self, Stop};
use telemetry::Datagram;
use telemetry::flow_reader::FlowReader;

use crate::flow::Flow;
use crate::options::{Family, ip_address, no_more, port_number};
use crate::output;
use crate::report::report;
use crate::run::{self, Take};
use crate::talkers::{By, Count, Table, Talkers};
use crate::{input, pcap};

/// The usual ports: of sFlow, of NetFlow, of IPFIX.
const PORTS: [u16; 3] = [telemetry::COLLECTOR_PORT, 2055, telemetry::IPFIX_PORT];
/// Datagrams that wait to be counted; what comes beyond waits in the sockets.
const MAX_WAITING: usize = 256;
/// The most rows, and the longest window in seconds.
const MAX: u64 = 300;
/// The first bytes of a datagram of sFlow v5.
const SFLOW: [u8; 4] = [0, 0, 0, 5];

#[derive(Clone, Debug, PartialEq)]
struct Options {
    ports: Vec<u16>,
    address: Option<IpAddr>,
    family: Family,
    file: Option<String>,
    by: By,
    rows: Option<usize>,
    window: u64,
    is_once: bool,
    is_json: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Choice {
    Port,
    Address,
    OnlyV4,
    OnlyV6,
    Read,
    By,
    Rows,
    Window,
    Once,
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
    Opt::both('k', "by", Takes::Argument, Choice::By),
    Opt::both('n', "rows", Takes::Argument, Choice::Rows),
    Opt::both('w', "window", Takes::Argument, Choice::Window),
    Opt::both('1', "once", Takes::Nothing, Choice::Once),
    Opt::both('j', "json", Takes::Nothing, Choice::Json),
    Opt::both('h', "help", Takes::Nothing, Choice::Help),
    Opt::both('z', "version", Takes::Nothing, Choice::Version),
];

/// `ovs collect --top …`; `args` are the words after that.
pub(crate) fn top(program: &str, args: Vec<String>) -> ExitCode {
    program::start(parse(program, args), |options| {
        program::end(program, run(program, &options).map(|()| ExitCode::SUCCESS))
    })
}

fn parse(program: &str, args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{program}: {text}"));
    let count = |text: &str, what: &str| {
        let number = text.parse().ok().filter(|number| (1..=MAX).contains(number));
        number.ok_or_else(|| fail(format!("{text}: {what} is a number from 1 to {MAX}")))
    };
    let mut options = Options {
        ports: Vec::new(),
        address: None,
        family: Family::Any,
        file: None,
        by: By::Source,
        rows: None,
        window: 10,
        is_once: false,
        is_json: false,
    };
    let mut parser = Parser::new(program, OPTIONS, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.unwrap_or_default();
        match item.id {
            Choice::Port => options.ports.push(port_number(&argument).map_err(fail)?),
            Choice::Address => options.address = Some(ip_address(&argument).map_err(fail)?),
            Choice::OnlyV4 => options.family = Family::V4,
            Choice::OnlyV6 => options.family = Family::V6,
            Choice::Read => options.file = Some(argument),
            Choice::By => options.by = key(&argument).map_err(fail)?,
            Choice::Rows => options.rows = Some(count(&argument, "rows")? as usize),
            Choice::Window => options.window = count(&argument, "a window in seconds")?,
            Choice::Once => options.is_once = true,
            Choice::Json => options.is_json = true,
            Choice::Help => return Err(Stop::Print(usage(program))),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(program)))),
        }
    }
    no_more(&parser.rest()).map_err(fail)?;
    if options.ports.is_empty() {
        options.ports = PORTS.to_vec();
    }
    Ok(options)
}

fn key(word: &str) -> Result<By, String> {
    let known = By::NAMES.iter().find(|(name, _)| *name == word);
    known.map(|(_, by)| *by).ok_or_else(|| {
        let words: Vec<&str> = By::NAMES.iter().map(|(name, _)| *name).collect();
        let hint = base::hint::did_you_mean(word, words.iter().copied());
        format!("{word}: it is one of {} that talkers are counted by{hint}", words.join(", "))
    })
}

fn usage(program: &str) -> String {
    let [sflow, netflow, ipfix] = PORTS;
    format!(
        "\
usage: {program} [OPTION...]
Shows who talks most, as sFlow, NetFlow v5 and v9, and IPFIX tell; on a terminal again every second.

Input:
  -p PORT            listen on this UDP port; may be repeated (default: {sflow}, {netflow}, {ipfix})
  -4, -6             listen on IPv4 only, on both
  -b ADDRESS         listen on this address only
  -r FILE            read datagrams from a pcap file, and show their last seconds; - is standard input

Output:
  -k, --by=WHAT      count by source, destination, pair, flow, service, vlan or exporter (default: source)
  -n, --rows=COUNT   so many rows (default: as the terminal has room for, or 20)
  -w, --window=SECS  of the last SECS seconds (default: 10)
  -1, --once         wait for one window, show it, and end
  -j, --json         a JSON object a row

  -h, --help         print this
  -z, --version      print the version
"
    )
}

/// A datagram as it came.
struct Received {
    bytes: Vec<u8>,
    from: IpAddr,
}

fn run(program: &str, options: &Options) -> Result<(), String> {
    let mut counter = Counter {
        program: program.to_owned(),
        by: options.by,
        reader: FlowReader::default(),
        talkers: Talkers::new(options.window),
    };
    if let Some(path) = &options.file {
        let bytes = run::read_file(path).map_err(|e| format!("{path}: {}", rpc::error_text(&e)))?;
        let mut last = 0;
        for captured in pcap::datagrams(&bytes, &options.ports).map_err(|e| format!("{path}: {e}"))? {
            last = second(captured.time).max(last);
            counter.take(captured.payload, captured.from, captured.time);
        }
        return shown(options, &counter.talkers.table(last), false);
    }
    let (sender, receiver) = sync_channel(MAX_WAITING);
    for port in &options.ports {
        let socket = input::listen(*port, options.address, options.family)?;
        let (mut sender, program) = (Handing(sender.clone()), program.to_owned());
        std::thread::spawn(move || {
            if let Err(why) = run::receive(&socket, &mut sender) {
                eprintln!("{program}: {why}");
            }
        });
    }
    watch(options, &mut counter, &receiver)
}

/// Hands datagrams to who counts them.
struct Handing(SyncSender<Received>);

impl Take for Handing {
    fn take(&mut self, bytes: &[u8], from: IpAddr, _: SystemTime) -> io::Result<()> {
        let handed = self.0.send(Received { bytes: bytes.to_vec(), from });
        handed.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Counts what comes, and shows it again and again.
fn watch(options: &Options, counter: &mut Counter, from: &Receiver<Received>) -> Result<(), String> {
    let is_live = !options.is_once && !options.is_json && io::stdout().is_terminal();
    let interval = Duration::from_secs(if is_live { 1 } else { options.window });
    let mut next = Instant::now() + interval;
    loop {
        match from.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Received { bytes, from }) => counter.take(&bytes, from, SystemTime::now()),
            Err(RecvTimeoutError::Disconnected) => return Err("nothing is received any more".to_owned()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= next {
            next += interval;
            shown(options, &counter.talkers.table(second(SystemTime::now())), is_live)?;
            if options.is_once {
                return Ok(());
            }
        }
    }
}

/// Writes the table; where it is live, in the place of the one before.
fn shown(options: &Options, table: &Table, is_live: bool) -> Result<(), String> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|_| is_live);
    let room = size.map_or(20, |size| usize::from(size.ws_row).saturating_sub(4).max(1));
    let rows = options.rows.unwrap_or(room);
    let mut text = if options.is_json { json(table, rows) } else { text(table, options.by, rows) };
    if is_live {
        // Home, and what was below is gone.
        text.insert_str(0, "\x1b[H\x1b[J");
    }
    run::write(text.as_bytes()).or_else(run::ended)
}

fn second(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Reads datagrams of all kinds, and counts.
struct Counter {
    program: String,
    by: By,
    reader: FlowReader,
    talkers: Talkers,
}

impl Counter {
    fn take(&mut self, bytes: &[u8], from: IpAddr, received: SystemTime) {
        let flows = match self.read(bytes, from, received) {
            Ok(flows) => flows,
            Err(why) => return eprintln!("{}: a datagram from {from} is left out: {why}", self.program),
        };
        for flow in flows {
            let count = Count { packets: flow.packets, bytes: flow.bytes };
            self.talkers.add(second(received), self.by.name(&flow, from), count);
        }
    }

    fn read(&mut self, bytes: &[u8], from: IpAddr, received: SystemTime) -> Result<Vec<Flow>, String> {
        if bytes.starts_with(&SFLOW) {
            let datagram = Datagram::decode(bytes).map_err(|e| e.to_string())?;
            let report = report(&datagram, bytes.len(), from, received);
            return Ok(output::packets(&report).map(Flow::of_packet).collect());
        }
        let datagram = self.reader.read(from, bytes).map_err(|e| e.to_string())?;
        let flows = datagram.records.iter();
        Ok(flows.filter_map(|record| Flow::of_record(record, datagram.sampling)).collect())
    }
}

fn text(table: &Table, by: By, rows: usize) -> String {
    let Table { total, seconds, .. } = table;
    let (bits, packets) = (rate(total.bytes * 8, *seconds), rate(total.packets, *seconds));
    let mut out = format!("{bits}bit/s, {packets}packets/s, the last {seconds} s\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:>6} {:>10} {:>10}  {}", "SHARE", "BIT/S", "PACKETS/S", by.word().to_uppercase());
    let shown = table.rows.iter().take(rows).map(|(name, count)| (name.as_str(), *count));
    let left = table.rows.iter().skip(rows).fold(table.rest, |mut sum, (_, count)| {
        sum.packets += count.packets;
        sum.bytes += count.bytes;
        sum
    });
    let left = (left.packets > 0).then_some(("(all others)", left));
    for (name, count) in shown.chain(left) {
        let share = 100.0 * count.bytes as f64 / total.bytes.max(1) as f64;
        let (bits, packets) = (rate(count.bytes * 8, *seconds), rate(count.packets, *seconds));
        let _ = writeln!(out, "{share:>5.1}% {:>10} {:>10}  {name}", bits.trim_end(), packets.trim_end());
    }
    out
}

fn json(table: &Table, rows: usize) -> String {
    let mut out = String::new();
    for (name, count) in table.rows.iter().take(rows) {
        let row = serde_json::json!({
            "name": name,
            "bytes": count.bytes,
            "packets": count.packets,
            "seconds": table.seconds,
        });
        let _ = writeln!(out, "{row}");
    }
    out
}

/// So many in so many seconds, in three or four digits, with a blank behind it or before its prefix: `12 `, `1.50 k`.
fn rate(count: u64, seconds: u64) -> String {
    let mut value = count as f64 / seconds.max(1) as f64;
    for prefix in ["", "k", "M", "G", "T"] {
        if value < 1000.0 || prefix == "T" {
            let digits = if prefix.is_empty() { 0 } else { (2 - value.max(1.0).log10() as usize).min(2) };
            return format!("{value:.digits$} {prefix}");
        }
        value /= 1000.0;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Stop> {
        parse("ovs collect --top", line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn rates_have_prefixes() {
        for (count, seconds, shown) in [
            (0, 1, "0 "),
            (999, 1, "999 "),
            (1500, 1, "1.50 k"),
            (123_456, 1, "123 k"),
            (50_000_000, 10, "5.00 M"),
        ] {
            assert_eq!(rate(count, seconds), shown);
        }
    }

    #[test]
    fn the_table_ends_with_all_others() {
        let row = |name: &str, bytes| (name.to_owned(), Count { packets: 1, bytes });
        let table = Table {
            rows: vec![row("10.0.0.1", 750), row("10.0.0.2", 150), row("10.0.0.3", 100)],
            rest: Count::default(),
            total: Count { packets: 3, bytes: 1000 },
            seconds: 1,
        };
        assert_eq!(
            text(&table, By::Source, 2),
            "8.00 kbit/s, 3 packets/s, the last 1 s\n SHARE      BIT/S  PACKETS/S  SOURCE\n 75.0%     6.00 k          1  10.0.0.1\n \
             15.0%     1.20 k          1  10.0.0.2\n 10.0%        800          1  (all others)\n"
        );
        assert_eq!(json(&table, 1), "{\"name\":\"10.0.0.1\",\"bytes\":750,\"packets\":1,\"seconds\":1}\n");
    }

    #[test]
    fn mistakes_are_told() {
        let refused = |line| match parsed(line) {
            Err(Stop::Fail(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(refused("--by=port").starts_with("ovs collect --top: port: it is one of source,"));
        assert_eq!(refused("-w 0"), "ovs collect --top: 0: a window in seconds is a number from 1 to 300");
        assert_eq!(parsed("-p 7 -p 8").unwrap().ports, [7, 8]);
        assert_eq!(parsed("").unwrap().ports, PORTS);
    }
}
