//! The connections that a datapath tracks.

use std::collections::BTreeMap;
use std::fmt::Write;

use conntrack::{Detail, State, TcpState, Tracker};
use dp::Datapath;

use super::{Dpctl, Handler, Known, Style};

pub(super) fn register(mut add: impl FnMut(&'static str, &'static str, usize, usize, Handler)) {
    add("dpctl/dump-conntrack", "[-m] [-s] [dp] [zone=N]", 0, 4, dump);
    add("dpctl/dump-conntrack-exp", "[dp] [zone=N]", 0, 2, dump_expectations);
    let filter = "[dp] [zone=N] [mark=X[/M]] [labels=Y[/N]] [ct-orig-tuple [ct-reply-tuple]]";
    add("dpctl/flush-conntrack", filter, 0, 6, flush);
    add("dpctl/ct-stats-show", "[dp] [zone=N]", 0, 3, stats);
    add("dpctl/ct-bkts", "[dp] [gt=N]", 0, 2, buckets);
    add("dpctl/ct-set-maxconns", "[dp] maxconns", 1, 2, |dpctl, _, words| {
        let (known, rest) = open_for(dpctl, words, 1)?;
        let max = last_number(rest).ok_or("maxconns missing or malformed (Invalid argument)")?;
        tracker(&*known.datapath)?.set_max(max);
        Ok("setting maxconns successful".to_owned())
    });
    add("dpctl/ct-get-maxconns", "[dp]", 0, 1, |dpctl, _, words| {
        look(dpctl, words, |tracker| format!("{}\n", tracker.max()))
    });
    add("dpctl/ct-get-nconns", "[dp]", 0, 1, |dpctl, _, words| {
        look(dpctl, words, |tracker| format!("{}\n", tracker.count()))
    });
    add("dpctl/ct-enable-tcp-seq-chk", "[dp]", 0, 1, |dpctl, _, words| check_sequences(dpctl, words, true));
    add("dpctl/ct-disable-tcp-seq-chk", "[dp]", 0, 1, |dpctl, _, words| check_sequences(dpctl, words, false));
    add("dpctl/ct-get-tcp-seq-chk", "[dp]", 0, 1, |dpctl, _, words| {
        look(dpctl, words, |tracker| {
            let state = if tracker.checks_sequences() { "enabled" } else { "disabled" };
            format!("TCP sequence checking: {state}\n")
        })
    });
    add("dpctl/ct-set-sweep-interval", "[dp] ms", 1, 2, |dpctl, _, words| {
        let (known, rest) = open_for(dpctl, words, 1)?;
        let ms = last_number(rest).filter(|ms| *ms != 0).ok_or("invalid sweep value (Invalid argument)")?;
        tracker(&*known.datapath)?.set_sweep_interval_ms(ms);
        Ok("setting sweep interval successful\n".to_owned())
    });
    add("dpctl/ct-get-sweep-interval", "[dp]", 0, 1, |dpctl, _, words| {
        look(dpctl, words, |tracker| tracker.sweep_interval_ms().to_string())
    });
}

/// The tracker of a datapath, or the refusal.
pub(super) fn tracker(datapath: &dyn Datapath) -> Result<&Tracker, String> {
    datapath.connections().ok_or_else(|| "Operation not supported".to_owned())
}

/// Runs `show` on the tracker of the datapath that is named, or of the only one.
pub(super) fn look(
    dpctl: &Dpctl,
    words: &[&str],
    show: impl FnOnce(&Tracker) -> String,
) -> Result<String, String> {
    let Known { datapath, .. } = open(dpctl, words)?;
    Ok(show(tracker(&*datapath)?))
}

/// The digits that a text begins with; what stands behind them is not read.
pub(super) fn leading_number(text: &str) -> Option<u32> {
    let len = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..len)?.parse().ok()
}

fn last_number(words: &[&str]) -> Option<u32> {
    words.last().and_then(|word| leading_number(word))
}

/// The words without a zone at their end, and the zone.
fn zone_of<'a>(words: &'a [&'a str]) -> (&'a [&'a str], Option<u16>) {
    if let Some((last, rest)) = words.split_last()
        && let Some(text) = last.strip_prefix("zone=")
        && let Some(zone) = leading_number(text).and_then(|zone| u16::try_from(zone).ok())
    {
        return (rest, Some(zone));
    }
    (words, None)
}

/// The datapath that is named, or the only one, and the words behind it, of which a command takes so many: one more is the name of
/// a datapath that there is not.
pub(super) fn open_for<'a>(
    dpctl: &Dpctl,
    words: &'a [&'a str],
    most: usize,
) -> Result<(Known, &'a [&'a str]), String> {
    let (known, rest) = dpctl.open_first(words)?;
    if rest.len() > most {
        Err("datapath not found (Invalid argument)".to_owned())
    } else {
        Ok((known, rest))
    }
}

fn open(dpctl: &Dpctl, words: &[&str]) -> Result<Known, String> {
    open_for(dpctl, words, 0).map(|(known, _)| known)
}

fn dump(dpctl: &Dpctl, style: Style, words: &[&str]) -> Result<String, String> {
    let (words, zone) = zone_of(words);
    let Known { datapath, .. } = open(dpctl, words)?;
    let detail = Detail { verbose: style.verbose, statistics: style.statistics };
    let mut out = String::new();
    tracker(&*datapath)?.visit(zone, dpctl.clock.now(), |entry| {
        conntrack::format_entry(&mut out, &entry, detail);
        out.push('\n');
    });
    Ok(out)
}

fn dump_expectations(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (words, zone) = zone_of(words);
    let Known { datapath, .. } = open(dpctl, words)?;
    let mut out = String::new();
    for entry in tracker(&*datapath)?.expectations(zone) {
        conntrack::format_expectation(&mut out, &entry);
        out.push('\n');
    }
    Ok(out)
}

fn flush(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let rest = if words.first().is_some_and(|word| dpctl.find(word).is_some()) { &words[1..] } else { words };
    let (zone, filter) =
        conntrack::parse_filter(rest).map_err(|wrong| format!("{wrong} (Invalid argument)"))?;
    let (Known { datapath, .. }, _) = dpctl
        .open_first(words)
        .map_err(|refusal| format!("{refusal}\nCannot open dpif (Invalid argument)"))?;
    match datapath.flush_connections(zone, &filter, dpctl.clock.now()) {
        Some(true) => Ok(String::new()),
        Some(false) => Err("failed to flush conntrack (No such file or directory)".to_owned()),
        None => Err("failed to flush conntrack (Operation not supported)".to_owned()),
    }
}

fn check_sequences(dpctl: &Dpctl, words: &[&str], checks: bool) -> Result<String, String> {
    look(dpctl, words, |tracker| {
        tracker.set_checks_sequences(checks);
        let done = if checks { "enabling" } else { "disabling" };
        format!("{done} TCP sequence checking successful")
    })
}

/// The protocols that are counted, in the order in which they are shown.
const COUNTED: [(u8, &str); 8] = [
    (6, "TCP"),
    (17, "UDP"),
    (136, "UDPLITE"),
    (132, "SCTP"),
    (1, "ICMP"),
    (33, "DCCP"),
    (2, "IGMP"),
    (58, ""),
];

fn stats(dpctl: &Dpctl, style: Style, words: &[&str]) -> Result<String, String> {
    let (mut words, mut zone, mut verbose) = (words, None, style.verbose);
    while let Some((last, rest)) = words.split_last() {
        if last.starts_with("verbose") {
            (verbose, words) = (true, rest);
        } else if let (rest, Some(named)) = zone_of(words) {
            (zone, words) = (Some(named), rest);
        } else {
            break;
        }
    }
    let Known { datapath, .. } = open(dpctl, words)?;
    let (mut total, mut others) = (0, 0);
    let (mut protocols, mut states) = (BTreeMap::<u8, u32>::new(), BTreeMap::<TcpState, u32>::new());
    tracker(&*datapath)?.visit(zone, dpctl.clock.now(), |entry| {
        total += 1;
        let protocol = entry.original.protocol;
        if COUNTED.iter().any(|(number, _)| *number == protocol) {
            *protocols.entry(protocol).or_default() += 1;
        } else {
            others += 1;
        }
        if let State::Tcp(tcp) = &entry.state {
            *states.entry(conntrack::shown_tcp_state(tcp)).or_default() += 1;
        }
    });
    let mut out = format!("Connections Stats:\n    Total: {total}\n");
    // Writing to a String cannot fail.
    for (number, name) in COUNTED.iter().filter(|(_, name)| !name.is_empty()) {
        let Some(count) = protocols.get(number) else { continue };
        let _ = writeln!(out, "  {name}: {count}");
        if *name == "TCP" && verbose {
            out.push_str("    Conn per TCP states:\n");
            for (state, count) in &states {
                let _ = writeln!(out, "\t  [{}]={count}", state.name());
            }
        }
    }
    if others != 0 {
        let _ = writeln!(out, "  Other: {others}");
    }
    Ok(out)
}

/// The reference shows one bucket since its connections lie in tables by zone; so do those here.
fn buckets(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (mut words, mut above) = (words, 0);
    if let Some((last, rest)) = words.split_last()
        && let Some(text) = last.strip_prefix("gt=")
        && let Some(number) = leading_number(text)
    {
        (words, above) = (rest, number);
    }
    let Known { datapath, .. } = open(dpctl, words)?;
    let mut count = 0;
    tracker(&*datapath)?.visit(None, dpctl.clock.now(), |_| count += 1);
    let mut out = format!("Total Buckets: 1\nCurrent Connections: {count}\n\n");
    if count > 0 {
        let line = "+-----------+-----------------------------------------+\n";
        out.push_str(line);
        out.push_str("|  Buckets  |         Connections per Buckets         |\n");
        out.push_str(line.trim_end());
        let shown = if count > above { format!("{count:5}") } else { format!("{:>5}", ".") };
        let _ = write!(out, "\n   0..  7   | {shown}\n\n");
    }
    Ok(out)
}
