//! Datapaths by hand: `dpctl/*`, as `ovs-dpctl` asks for it.
//!
//! Those under the bridges are some of them. Others can be made, given
//! ports and flows, and deleted; no bridge knows of them, and a packet that no
//! flow of theirs matches is dropped.

mod connections;
mod flows;
pub(super) use flows::worker;
mod fragments;
mod limits;
mod words;

use std::fmt::Write;
use std::sync::Arc;

use base::{Clock, DpPort};
use dp::{Datapath, DpError, DpId, PortInfo, PortKind, PortSpec, PortStats, UnknownPortKind};
use flowsync::{Datapaths, OpenError};
use ofproto::SharedSwitch;
use rpc::unixctl::Registry;

use super::dpif::shown_kind;
use super::flow_lines::{Style, format_flows, format_flows_by_thread, port_names};
use super::in_use::{datapaths_in_use, is_named};
use crate::options::PROGRAM;

/// What these commands use.
#[derive(Clone)]
pub(super) struct Dpctl {
    pub(super) switch: Arc<SharedSwitch>,
    pub(super) datapaths: Arc<Datapaths>,
    pub(super) clock: Clock,
}

type Handler = fn(&Dpctl, Style, &[&str]) -> Result<String, String>;

const MANY: usize = usize::MAX;

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, dpctl: Dpctl) {
    let mut group = registry.group(dpctl);
    let mut add = |name, usage, min, max, handler: Handler| {
        group.add(name, usage, min, max, move |dpctl, args| run(dpctl, args, handler));
    };
    add("dpctl/add-dp", "dp [iface...]", 1, MANY, add_datapath);
    add("dpctl/del-dp", "dp", 1, 1, delete_datapath);
    add("dpctl/add-if", "dp iface...", 2, MANY, add_interfaces);
    add("dpctl/set-if", "dp iface...", 2, MANY, set_interfaces);
    add("dpctl/show", "[-s] [dp...]", 0, MANY, show);
    add("dpctl/dump-dps", "", 0, 0, |dpctl, _, _| {
        Ok(dpctl.all().iter().map(|known| format!("{}\n", known.name)).collect())
    });
    words::register(&mut add);
    connections::register(&mut add);
    limits::register(&mut add);
    fragments::register(&mut add);
    flows::register(add);
}

/// `dpctl/del-if`. Whoever calls it sees to bridges that lose a port.
pub(super) fn del_if(dpctl: &Dpctl, args: &[String]) -> Result<String, String> {
    run(dpctl, args, delete_interfaces)
}

fn run(dpctl: &Dpctl, args: &[String], handler: Handler) -> Result<String, String> {
    let done = Style::split(args).and_then(|(style, words)| handler(dpctl, style, &words));
    // The programs say their name before what they refuse.
    done.map_err(|refusal| refusal.lines().map(|line| format!("{PROGRAM}: {line}\n")).collect())
}

/// A datapath that there is.
#[derive(Clone)]
struct Known {
    id: DpId,
    /// With its kind.
    name: String,
    datapath: Arc<dyn Datapath>,
    /// Bridges are on it.
    is_of_bridges: bool,
}

impl Dpctl {
    /// All datapaths, those under bridges and those made by hand, in the order of their names.
    fn all(&self) -> Vec<Known> {
        let in_use = datapaths_in_use(&self.datapaths, &self.switch).into_iter();
        let mut all: Vec<Known> = in_use
            .map(|below| Known {
                id: below.id,
                name: below.full_name(),
                datapath: below.datapath,
                is_of_bridges: true,
            })
            .collect();
        all.extend(self.datapaths.by_hand().into_iter().map(|(id, datapath)| Known {
            id,
            name: format!("{}@{}", datapath.kind(), datapath.name()),
            datapath,
            is_of_bridges: false,
        }));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn find(&self, word: &str) -> Option<Known> {
        let in_use = datapaths_in_use(&self.datapaths, &self.switch);
        let of_bridges = in_use.iter().find(|below| is_named(below, word)).map(|below| below.id);
        let (kind, name) = split_name(word);
        let whole = format!("{kind}@{name}");
        self.all().into_iter().find(|known| match of_bridges {
            Some(id) => known.id == id,
            None => !known.is_of_bridges && known.name == whole,
        })
    }

    fn open(&self, word: &str) -> Result<Known, String> {
        self.find(word).ok_or_else(|| "opening datapath (No such device)".to_owned())
    }

    /// The datapath that the first word names, or the only one; and the words behind it.
    fn open_first<'a>(&self, words: &'a [&'a str]) -> Result<(Known, &'a [&'a str]), String> {
        if let Some((first, rest)) = words.split_first()
            && let Some(found) = self.find(first)
        {
            return Ok((found, rest));
        }
        match self.all().as_slice() {
            [] => Err("no datapaths exist\ndatapath not found (Invalid argument)".to_owned()),
            [only] => Ok((only.clone(), words)),
            _ => Err("multiple datapaths, specify one\ndatapath not found (Invalid argument)".to_owned()),
        }
    }
}

/// What is wrong, with the system's words for it.
fn because(what: &str, error: &DpError) -> String {
    let system = std::io::Error::from(error.errno());
    format!("{what} ({})", rpc::error_text(&system))
}

/// Type and name of a datapath; without a type it is the kernel's.
fn split_name(word: &str) -> (&str, &str) {
    word.split_once('@').unwrap_or(("system", word))
}

fn add_datapath(dpctl: &Dpctl, style: Style, words: &[&str]) -> Result<String, String> {
    let word = words.first().copied().unwrap_or_default();
    let (kind, name) = split_name(word);
    if dpctl.find(word).is_some() {
        return Err("add_dp (File exists)".to_owned());
    }
    let (id, datapath) = dpctl.datapaths.add(kind, name).map_err(|error| match error {
        OpenError::Exists => "add_dp (File exists)".to_owned(),
        OpenError::UnknownKind(_) => "add_dp (Address family not supported by protocol)".to_owned(),
        OpenError::System(error) => format!("add_dp ({})", rpc::error_text(&error)),
    })?;
    let local = if kind == "dummy" { PortKind::DummyInternal } else { PortKind::Internal };
    let local = PortSpec { number: Some(DpPort(0)), ..PortSpec::new(name, local) };
    if let Err(error) = datapath.add_port(&local) {
        dpctl.datapaths.remove(id);
        return Err(because("add_dp", &error));
    }
    if words.len() > 1 { add_interfaces(dpctl, style, words) } else { Ok(String::new()) }
}

fn delete_datapath(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let found = dpctl.open(words.first().copied().unwrap_or_default())?;
    if found.is_of_bridges {
        return Err("del_dp (Device or resource busy)".to_owned());
    }
    dpctl.datapaths.remove(found.id);
    Ok(String::new())
}

/// An interface as the command line has it: `name,type=…,port_no=…,option=value`.
struct Wanted<'a> {
    name: &'a str,
    kind: Option<&'a str>,
    number: Option<u32>,
    options: Vec<(&'a str, &'a str)>,
}

impl Wanted<'_> {
    fn parse(text: &str) -> Result<Wanted<'_>, String> {
        let mut words = text.split(',');
        let name = words.next().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| format!("{text} is not a valid network device name"))?;
        let mut wanted = Wanted { name, kind: None, number: None, options: Vec::new() };
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key {
                "type" => wanted.kind = Some(value),
                "port_no" => {
                    wanted.number = Some(value.parse().map_err(|_| "Invalid option format".to_owned())?);
                }
                _ if wanted.options.iter().any(|(known, _)| *known == key) => {
                    return Err(format!("duplicate \"{key}\" option"));
                }
                _ => wanted.options.push((key, value)),
            }
        }
        Ok(wanted)
    }
}

/// Does `act` for each of `names`; the refusals of all together.
fn for_each(names: &[&str], mut act: impl FnMut(&str) -> Result<(), String>) -> Result<String, String> {
    let refusals: Vec<String> = names.iter().filter_map(|name| act(name).err()).collect();
    if refusals.is_empty() { Ok(String::new()) } else { Err(refusals.join("\n")) }
}

fn add_interfaces(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (word, names) = words.split_first().ok_or("opening datapath (No such device)")?;
    let Known { datapath, is_of_bridges, .. } = dpctl.open(word)?;
    for_each(names, |text| {
        let wanted = Wanted::parse(text)?;
        let what = format!("adding {} to {word} failed", wanted.name);
        if is_of_bridges {
            // The bridges give it the ports that the database asks for, and no others.
            return Err(format!("{what} (Operation not permitted)"));
        }
        let kind = wanted.kind.unwrap_or_default().parse();
        let kind: PortKind = kind.map_err(|error: UnknownPortKind| because(&what, &error.into()))?;
        let options = wanted.options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let spec = PortSpec {
            number: wanted.number.map(DpPort),
            options: options.collect(),
            ..PortSpec::new(wanted.name, kind)
        };
        let number = datapath.add_port(&spec).map_err(|error| because(&what, &error))?;
        let up = datapath.configure_port(number, None, None, Some(true));
        up.map_err(|error| because(&format!("{}: failed bringing interface up", wanted.name), &error))
    })
}

/// Nothing of a port can be changed; what it is may be said again.
fn set_interfaces(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (word, names) = words.split_first().ok_or("opening datapath (No such device)")?;
    let Known { datapath, .. } = dpctl.open(word)?;
    for_each(names, |text| {
        let Wanted { name, kind, number, options } = Wanted::parse(text)?;
        let info = datapath
            .port_by_name(name)
            .ok_or_else(|| format!("{name}: failed to query port in {word} (No such device)"))?;
        let have = shown_kind(info.kind);
        if let Some(kind) = kind.filter(|kind| *kind != have.name()) {
            return Err(format!("{name}: can't change type from {have} to {kind}"));
        }
        if let Some(number) = number.filter(|number| *number != info.number.0) {
            return Err(format!("{name}: can't change port number from {} to {number}", info.number));
        }
        match options.first() {
            Some((key, _)) => Err(format!("{name}: setting {key} failed (Operation not supported)")),
            None => Ok(()),
        }
    })
}

/// Takes ports away, by name or number. Bridges open theirs again at the next change of configuration.
fn delete_interfaces(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (word, names) = words.split_first().ok_or("opening datapath (No such device)")?;
    let Known { datapath, is_of_bridges, .. } = dpctl.open(word)?;
    let done = for_each(names, |name| {
        let by_number = || datapath.port(DpPort(name.parse().ok()?));
        let info = datapath.port_by_name(name).or_else(by_number);
        let info = info.ok_or_else(|| format!("no port named {name}"))?;
        let what = format!("deleting port {name} from {word} failed");
        if info.number == DpPort(0) && !is_of_bridges {
            return Err(format!("{what} (Invalid argument)"));
        }
        datapath.del_port(info.number).map_err(|error| because(&what, &error))
    });
    // Whoever looks for the devices when the command returns finds them gone.
    datapath.settle();
    done
}

fn show(dpctl: &Dpctl, style: Style, words: &[&str]) -> Result<String, String> {
    let mut out = String::new();
    if words.is_empty() {
        for known in dpctl.all() {
            show_datapath(&mut out, &known.name, &*known.datapath, style.statistics);
        }
        return Ok(out);
    }
    for word in words {
        let found = dpctl.find(word);
        let found = found.ok_or_else(|| format!("opening datapath {word} failed (No such device)"))?;
        show_datapath(&mut out, &found.name, &*found.datapath, style.statistics);
    }
    Ok(out)
}

fn show_datapath(out: &mut String, name: &str, datapath: &dyn Datapath, with_statistics: bool) {
    let stats = datapath.stats();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{name}:\n  lookups: hit:{} missed:{} lost:{}\n  flows: {}",
        stats.hits, stats.missed, stats.lost, stats.flows
    );
    for info in datapath.ports() {
        let _ = write!(out, "  port {}: {}", info.number, info.name);
        show_kind(out, &info);
        out.push('\n');
        if with_statistics && let Ok(stats) = datapath.port_stats(info.number) {
            show_statistics(out, &stats);
        }
    }
}

fn show_kind(out: &mut String, info: &PortInfo) {
    let kind = shown_kind(info.kind);
    if kind == PortKind::System {
        return;
    }
    let _ = write!(out, " ({kind}");
    for (index, (name, value)) in info.config.iter().enumerate() {
        let _ = write!(out, "{} {name}={value}", if index == 0 { ':' } else { ',' });
    }
    out.push(')');
}

fn show_statistics(out: &mut String, stats: &PortStats) {
    let [packets, errors, dropped, overruns, frame] =
        [stats.rx_packets, stats.rx_errors, stats.rx_dropped, stats.rx_over_errors, stats.rx_frame_errors]
            .map(counted);
    let _ = writeln!(
        out,
        "    RX packets:{packets} errors:{errors} dropped:{dropped} overruns:{overruns} frame:{frame}"
    );
    let [packets, errors, dropped, collisions] =
        [stats.tx_packets, stats.tx_errors, stats.tx_dropped, stats.collisions].map(counted);
    let _ = writeln!(
        out,
        "    TX packets:{packets} errors:{errors} dropped:{dropped} aborted:? carrier:?\n    collisions:{collisions}",
    );
    let [received, sent] = [stats.rx_bytes, stats.tx_bytes];
    let _ = writeln!(
        out,
        "    RX bytes:{}{}  TX bytes:{}{}\n    UPCALL packets:? errors:?",
        counted(received),
        in_units(received),
        counted(sent),
        in_units(sent)
    );
}

/// What a device does not count is a question mark.
fn counted(counter: Option<u64>) -> String {
    counter.map_or_else(|| "?".to_owned(), |count| count.to_string())
}

/// A number of bytes in the greatest unit that it fills, if it fills one.
fn in_units(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return String::new() };
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, bits)| bytes >> bits != 0) {
        Some((unit, bits)) => format!(" ({:.1} {unit})", bytes as f64 / (1u64 << bits) as f64),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_with_their_options() {
        let wanted = Wanted::parse("p1,type=dummy,port_no=5,a=b,c").unwrap();
        assert_eq!((wanted.name, wanted.kind, wanted.number), ("p1", Some("dummy"), Some(5)));
        assert_eq!(wanted.options, [("a", "b"), ("c", "")]);
        let refusal = |text| Wanted::parse(text).err().unwrap();
        assert_eq!(refusal("p1,a=1,a=2"), "duplicate \"a\" option");
        assert_eq!(refusal("p1,port_no=x"), "Invalid option format");
        assert_eq!(refusal(",type=dummy"), ",type=dummy is not a valid network device name");
    }

    #[test]
    fn bytes_are_shown_in_units_that_they_fill() {
        assert_eq!(in_units(Some(1023)), "");
        assert_eq!(in_units(Some(1536)), " (1.5 KiB)");
        assert_eq!(in_units(Some(3 << 40)), " (3.0 TiB)");
        assert_eq!(
            (in_units(None), counted(None), counted(Some(0))),
            (String::new(), "?".to_owned(), "0".to_owned())
        );
    }
}
