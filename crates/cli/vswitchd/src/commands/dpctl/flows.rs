//! The flows of a datapath, by hand.

use dp::{Datapath, Flow, FlowPut, PutMode, Ufid, WorkerId};
use fields::{Match, PortNames};

use super::{Dpctl, Handler, Known, Style, because, format_flows, format_flows_by_thread, port_names};

pub(super) fn register(mut add: impl FnMut(&'static str, &'static str, usize, usize, Handler)) {
    let many = usize::MAX;
    add("dpctl/dump-flows", "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]", 0, many, dump);
    add("dpctl/get-flow", "[dp] ufid", 1, many, one);
    add("dpctl/add-flow", "[dp] flow actions", 2, many, |s, _, words| put_one(s, words, PutMode::Create));
    add("dpctl/mod-flow", "[dp] flow actions", 2, many, |s, _, words| put_one(s, words, PutMode::Modify));
    add("dpctl/del-flow", "[dp] flow", 1, many, delete_one);
    add("dpctl/add-flows", "[dp] file", 1, many, |dpctl, _, words| from_file(dpctl, words, Command::Add));
    add("dpctl/mod-flows", "[dp] file", 1, many, |dpctl, _, words| from_file(dpctl, words, Command::Modify));
    add("dpctl/del-flows", "[dp] [file]", 0, many, delete_all);
}

/// `dpctl/dump-flows`: those of one thread, of kinds, or that a filter is about.
fn dump(dpctl: &Dpctl, style: Style, words: &[&str]) -> Result<String, String> {
    let (Known { datapath, .. }, rest) = dpctl.open_first(words)?;
    let (mut only, mut filter, mut kinds) = (None, Match::catch_all(), Kinds::ALL);
    for word in rest {
        match word.split_once('=') {
            Some(("pmd", thread)) => only = Some(worker(thread).ok_or("Invalid pmd argument")?),
            Some(("type", words)) => kinds = Kinds::parse(words)?,
            Some(("filter", text)) => filter = parse_filter(&*datapath, text)?,
            _ => return Err(format!("opening datapath {word} failed (No such device)")),
        }
    }
    let now = dpctl.clock.now();
    let wanted = |flow: &Flow| kinds.have(flow) && is_about(&filter, flow);
    if let Some(only) = only {
        let wanted = |flow: &Flow| flow.worker == only && wanted(flow);
        return Ok(format_flows(&*datapath, style, now, ", ", wanted));
    }
    Ok(format_flows_by_thread(&*datapath, style, now, wanted))
}

/// Of which kinds flows are wanted: there are those that this process forwards, and those that the kernel does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kinds {
    workers: bool,
    offloaded: bool,
}

impl Kinds {
    const ALL: Kinds = Kinds { workers: true, offloaded: true };

    fn parse(words: &str) -> Result<Kinds, String> {
        let mut kinds = Kinds { workers: false, offloaded: false };
        for word in words.split(',').filter(|word| !word.is_empty()) {
            match word {
                "ovs" | "all" => kinds = Kinds::ALL,
                "non-offloaded" => kinds.workers = true,
                "offloaded" => kinds.offloaded = true,
                "tc" | "dpdk" | "partially-offloaded" => {}
                _ => return Err(format!("Failed to parse type ({word}) (Invalid argument)")),
            }
        }
        Ok(kinds)
    }

    fn have(self, flow: &Flow) -> bool {
        if flow.is_offloaded { self.offloaded } else { self.workers }
    }
}

/// Fields with values, as rules have them; ports are those of the datapath.
fn parse_filter(datapath: &dyn Datapath, text: &str) -> Result<Match, String> {
    let mut ports = PortNames::new();
    datapath.ports().iter().for_each(|info| ports.insert(info.number.0, &info.name));
    Match::parse_exact(text, Some(&ports)).map_err(|why| format!("Failed to parse filter ({why})"))
}

/// Whether packets of the flow may be of the filter: a flow that leaves a field open is for all of its values.
fn is_about(filter: &Match, flow: &Flow) -> bool {
    filter.key.masked(&flow.mask).equal_under(&flow.key.masked(&flow.mask), &filter.mask)
}

/// A thread that forwards, by the number of its processor; -1 is the main thread.
pub(in crate::commands) fn worker(text: &str) -> Option<WorkerId> {
    match text.parse::<i64>().ok()? {
        -1 => Some(WorkerId::Main),
        core => u32::try_from(core).ok().map(WorkerId::Worker),
    }
}

fn one(dpctl: &Dpctl, style: Style, words: &[&str]) -> Result<String, String> {
    let (Known { datapath, .. }, rest) = dpctl.open_first(words)?;
    let ufid: Option<Ufid> = rest.last().and_then(|word| word.parse().ok());
    let ufid = ufid.ok_or("parsing flow ufid (Invalid argument)")?;
    datapath.flow_get(ufid, None).ok_or("getting flow (No such file or directory)")?;
    let mut is_first = true;
    let flows = format_flows(&*datapath, style, dpctl.clock.now(), ", ", |flow| flow.ufid == ufid);
    // Two threads may have it.
    Ok(flows.split_inclusive('\n').take_while(|_| std::mem::take(&mut is_first)).collect())
}

/// A flow as it is typed: perhaps its id, its key, perhaps with a mask.
fn parse_flow(datapath: &dyn Datapath, text: &str) -> Result<(Ufid, flow::FlowKey, flow::FlowMask), String> {
    let text = text.trim();
    let (given, text) = match text.find([',', ' ']).filter(|_| text.starts_with("ufid:")) {
        Some(end) => {
            let ufid = text[..end].parse().map_err(|_| "parsing flow ufid (Invalid argument)".to_owned())?;
            (Some(ufid), text[end..].trim_start_matches([',', ' ']))
        }
        None => (None, text),
    };
    let (key, mask) = dp::text::parse_key(text, Some(&port_names(datapath))).map_err(|error| {
        let why = if error.is_too_long { "Argument list too long" } else { "Invalid argument" };
        format!("parsing flow key ({error}) ({why})")
    })?;
    Ok((given.unwrap_or_else(|| Ufid::of(&key)), key, mask))
}

fn put(datapath: &dyn Datapath, text: &str, actions: &str, mode: PutMode) -> Result<(), String> {
    let (ufid, key, mask) = parse_flow(datapath, text)?;
    if mask.bits(flow::slot::IN_PORT) != flow::slot::IN_PORT.ones() {
        let what = if mode == PutMode::Modify { "modify" } else { "create" };
        log::error!(target: "dpif_netdev", "failed to put[{what}] flow: in_port is not an exact match");
        return Err("updating flow table (Invalid argument)".to_owned());
    }
    let actions = dp::text::parse_actions(actions.trim(), Some(&port_names(datapath)))
        .map_err(|_| "parsing actions (Invalid argument)".to_owned())?;
    let put = FlowPut {
        ufid: Some(ufid),
        worker: None,
        key,
        mask,
        actions: actions.into(),
        mode,
        zero_stats: false,
        version: None,
    };
    datapath.flow_put(&put).map_err(|error| because("updating flow table", &error))
}

fn put_one(dpctl: &Dpctl, words: &[&str], mode: PutMode) -> Result<String, String> {
    let (Known { datapath, .. }, rest) = dpctl.open_first(words)?;
    let [text, actions] = rest else { return Err("a flow and its actions are expected".to_owned()) };
    put(&*datapath, text, actions, mode).map(|()| String::new())
}

fn delete(datapath: &dyn Datapath, text: &str) -> Result<(), String> {
    let ufid = match text.parse() {
        Ok(ufid) => ufid,
        Err(_) => parse_flow(datapath, text)?.0,
    };
    datapath.flow_del(ufid, None).map(|_| ()).map_err(|error| because("deleting flow", &error))
}

/// Takes one flow, by its id or by the key that made it, out of the datapath.
fn delete_one(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (Known { datapath, .. }, rest) = dpctl.open_first(words)?;
    let [text] = rest else { return Err("a flow is expected".to_owned()) };
    dpctl.datapaths.credit();
    delete(&*datapath, text).map(|()| String::new())
}

/// Takes all flows out of the datapath, or those in a file. The revalidator finds that out by itself.
fn delete_all(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    if words.last().is_some_and(|word| dpctl.find(word).is_none()) {
        return from_file(dpctl, words, Command::Delete);
    }
    let (Known { datapath, .. }, _) = dpctl.open_first(words)?;
    dpctl.datapaths.credit();
    datapath.flow_flush();
    Ok(String::new())
}

/// What a line of a file asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Add,
    Modify,
    Delete,
}

/// A line taken apart: the command, if it names one, the flow, and the actions.
fn split_line(line: &str, default: Command) -> (Command, &str, Option<&str>) {
    let line = line.trim();
    let first = line.split([',', ' ', '\t']).next().unwrap_or_default();
    let (command, rest) = match first {
        "add" => (Command::Add, &line[first.len()..]),
        "modify" => (Command::Modify, &line[first.len()..]),
        "delete" => (Command::Delete, &line[first.len()..]),
        _ => (default, line),
    };
    match rest.trim_start().split_once([' ', '\t']) {
        Some((flow, actions)) => (command, flow, Some(actions.trim())),
        None => (command, rest.trim_start(), None),
    }
}

/// A file of flows. A line that cannot be done is reported, and the others are done.
fn from_file(dpctl: &Dpctl, words: &[&str], default: Command) -> Result<String, String> {
    let (Known { datapath, .. }, rest) = dpctl.open_first(words)?;
    let [file] = rest else { return Err("a file is expected".to_owned()) };
    let bytes = std::fs::read(file)
        .map_err(|error| format!("Opening file \"{file}\" failed ({})", rpc::error_text(&error)))?;
    let text = base::text::decode(&bytes).map_err(|error| format!("{file}: {error}"))?;
    let mut told = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        let done = match split_line(line, default) {
            (Command::Add, flow, Some(actions)) => put(&*datapath, flow, actions, PutMode::Create),
            (Command::Modify, flow, Some(actions)) => put(&*datapath, flow, actions, PutMode::Modify),
            (Command::Delete, flow, None) => delete(&*datapath, flow),
            _ => Err(format!("Failed parsing line number {}, skipped!", index + 1)),
        };
        if let Err(refusal) = done {
            told.push_str(&format!("{}: {refusal}\n", crate::options::PROGRAM));
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_about_flows_that_may_have_such_packets() {
        let flow = |text: &str| {
            let (key, mask) = dp::text::parse_key(text, None).unwrap();
            Flow {
                ufid: Ufid::of(&key),
                worker: WorkerId::Main,
                key: key.into(),
                mask: mask.into(),
                actions: [].into(),
                stats: dp::FlowStats::default(),
                is_offloaded: false,
                version: None,
            }
        };
        let is = |filter: &str, text: &str| is_about(&Match::parse_exact(filter, None).unwrap(), &flow(text));
        let first = "recirc_id(0),in_port(3),eth_type(0x0800),ipv4(dst=10.0.0.2,frag=no)";
        assert!(is("recirc_id(0),in_port(3),ipv4", first));
        assert!(is("ip,nw_src=10.0.0.9,nw_dst=10.0.0.2", first), "the source is open");
        for other in ["recirc_id(1)", "in_port(4)", "ipv6", "ip,nw_dst=10.0.0.3"] {
            assert!(!is(other, first), "{other}");
        }
        let open = "recirc_id(0),in_port(3),eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0,frag=no)";
        assert!(is("ip,nw_dst=10.0.0.3", open) && !is("ip,nw_dst=11.0.0.3", open));
    }

    #[test]
    fn flows_are_forwarded_by_workers_or_by_the_kernel() {
        let kinds = |workers, offloaded| Ok(Kinds { workers, offloaded });
        assert_eq!(Kinds::parse("tc,offloaded"), kinds(false, true));
        assert_eq!(Kinds::parse("tc"), kinds(false, false));
        assert_eq!(Kinds::parse("tc,ovs"), Ok(Kinds::ALL));
        assert_eq!(Kinds::parse("non-offloaded"), kinds(true, false));
        assert_eq!(Kinds::parse("x").unwrap_err(), "Failed to parse type (x) (Invalid argument)");
    }

    #[test]
    fn lines_may_name_what_to_do() {
        assert_eq!(split_line("in_port(1) 2,3", Command::Add), (Command::Add, "in_port(1)", Some("2,3")));
        assert_eq!(split_line(" in_port(1)", Command::Delete), (Command::Delete, "in_port(1)", None));
        let line = "modify in_port(1),eth() \tset(eth(dst=1)) , 3";
        assert_eq!(split_line(line, Command::Add).0, Command::Modify);
        assert_eq!(split_line(line, Command::Add).2, Some("set(eth(dst=1)) , 3"));
        assert_eq!(split_line("delete in_port(1)", Command::Add), (Command::Delete, "in_port(1)", None));
    }
}
