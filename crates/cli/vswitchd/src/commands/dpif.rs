//! The datapath and its flows: `dpif/*`, `dpctl/*`, `upcall/*`, `revalidator/*`.

use std::fmt::Write;

use base::DpPort;
use dp::{Datapath, Flow};
use rpc::unixctl::Registry;

use super::bridge_named;
use crate::switchd::State;

pub(super) fn register(registry: &mut Registry<State>) {
    registry.add("dpif/show", "", 0, 0, |state, _| Ok(show(state)));
    registry.add("dpif/dump-dps", "", 0, 0, |state, _| Ok(dump_datapaths(state)));
    registry.add("dpif/dump-flows", "[-m] [--names | --no-names] bridge", 1, usize::MAX, dump_bridge_flows);
    registry.add(
        "dpctl/dump-flows",
        "[--names] [--no-names] [dp] [filter=...] [type=...]",
        0,
        usize::MAX,
        dump_flows,
    );
    registry.add("dpctl/show", "[dp...]", 0, usize::MAX, |state, _| Ok(dpctl_show(state)));
    registry.add("dpctl/dump-dps", "", 0, 0, |state, _| Ok(dump_datapaths(state)));
    registry.add("dpctl/del-if", "dp iface...", 2, usize::MAX, delete_interfaces);
    registry.add("dpctl/del-flows", "[dp]", 0, 1, |state, _| {
        state.flows.purge();
        Ok(String::new())
    });
    registry.add("upcall/show", "", 0, 0, |state, _| Ok(upcall_show(state)));
    registry.add("upcall/set-flow-limit", "flow-limit-number", 1, 1, |state, args| {
        let limit = args[0].parse().map_err(|_| format!("{}: not a number", args[0]))?;
        state.flows.set_limits(limit, flowsync::DEFAULT_MAX_IDLE);
        Ok(format!("set flow_limit to {limit}\n"))
    });
    // Flows always have UFIDs here, and dumps always tell all.
    registry.add("upcall/disable-ufid", "", 0, 0, |_, _| {
        Ok("Datapath dumping tersely using UFID disabled\n".to_owned())
    });
    registry.add("upcall/enable-ufid", "", 0, 0, |_, _| {
        Ok("Datapath dumping tersely using UFID enabled\n".to_owned())
    });
    registry.add("upcall/disable-megaflows", "", 0, 0, |state, _| {
        state.flows.set_megaflows(false);
        Ok("megaflows disabled\n".to_owned())
    });
    registry.add("upcall/enable-megaflows", "", 0, 0, |state, _| {
        state.flows.set_megaflows(true);
        Ok("megaflows enabled\n".to_owned())
    });
    registry.add("revalidator/wait", "", 0, 0, |state, _| {
        state.flows.wait_round();
        Ok(String::new())
    });
    registry.add("revalidator/purge", "", 0, 0, |state, _| {
        state.flows.purge();
        Ok(String::new())
    });
}

/// The name under which a bridge's datapath type is listed. All share one datapath; operators and
/// scripts know dummy ones by a name of their own.
fn datapath_name(datapath_type: &str) -> &'static str {
    match datapath_type {
        "dummy" => "dummy@ovs-dummy",
        _ => "netdev@ovs-netdev",
    }
}

/// The names of all datapaths in use, in order.
fn datapath_names(state: &State) -> Vec<&'static str> {
    let mut names: Vec<_> =
        state.running.bridges().values().map(|bridge| datapath_name(&bridge.config.datapath_type)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether `word` is a datapath in use: its name, with or without its type, or its type.
pub(super) fn is_datapath(state: &State, word: &str) -> bool {
    datapath_names(state).iter().any(|name| {
        let (kind, bare) = name.split_once('@').unwrap_or((name, name));
        [*name, kind, bare].contains(&word)
    })
}

fn dump_datapaths(state: &State) -> String {
    datapath_names(state).iter().map(|name| format!("{name}\n")).collect()
}

fn show(state: &State) -> String {
    datapath_names(state).into_iter().map(|name| show_datapath(state, name)).collect()
}

fn show_datapath(state: &State, name: &str) -> String {
    let stats = state.datapath.stats();
    let mut out = format!("{name}: hit:{} missed:{}\n", stats.hits, stats.missed);
    let switch = state.switch.read();
    let is_on_it = |bridge: &&ofproto::Bridge| {
        let running = state.running.bridges().get(bridge.name());
        running.is_some_and(|bridge| datapath_name(&bridge.config.datapath_type) == name)
    };
    let mut bridges: Vec<&ofproto::Bridge> = switch.bridges().filter(is_on_it).collect();
    bridges.sort_by_key(|bridge| bridge.name());
    for bridge in bridges {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {}:", bridge.name());
        let mut ports: Vec<&ofproto::PortEntry> = bridge.port_entries().collect();
        ports.sort_by_key(|entry| entry.port.name.clone());
        for entry in ports {
            let number = entry.port.number.to_u16().map_or(entry.port.number.0, u32::from);
            let datapath = entry.port.datapath.map_or_else(|| "none:".to_owned(), |port| format!("{port}:"));
            let kind = match (entry.port.datapath, &entry.peer_name) {
                (Some(port), _) => state.datapath.port(port).map(|info| info.kind).unwrap_or_default(),
                (None, Some(peer)) => format!("patch: peer={peer}"),
                (None, None) => "patch".to_owned(),
            };
            let _ = writeln!(out, "    {} {number}/{datapath} ({})", entry.port.name, shown_kind(&kind));
        }
    }
    out
}

/// The kind of a device as operators know it: an internal port of a userspace datapath is a tap.
fn shown_kind(kind: &str) -> &str {
    match kind {
        "" => "system",
        "internal" => "tap",
        "dummy-internal" => "dummy-internal",
        other => other,
    }
}

fn dpctl_show(state: &State) -> String {
    datapath_names(state).into_iter().map(|name| dpctl_show_datapath(state, name)).collect()
}

fn dpctl_show_datapath(state: &State, name: &str) -> String {
    let stats = state.datapath.stats();
    let mut out = format!(
        "{name}:\n  lookups: hit:{} missed:{} lost:{}\n  flows: {}\n",
        stats.hits, stats.missed, stats.lost, stats.flows
    );
    for info in state.datapath.ports() {
        let kind = shown_kind(&info.kind);
        let shown = if kind == "system" { String::new() } else { format!(" ({kind})") };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  port {}: {}{shown}", info.number, info.name);
    }
    out
}

fn upcall_show(state: &State) -> String {
    let count = state.flows.flow_count();
    let name = datapath_names(state).into_iter().next().unwrap_or("netdev@ovs-netdev");
    format!(
        "{name}:\n  flows         : (current {count}) (avg {count}) (max {count}) (limit {})\n  dump duration : 1ms\n  ufid enabled : true\n\n  1: (keys {count})\n",
        state.flows.flow_limit()
    )
}

/// How flows are to be shown.
#[derive(Clone, Copy)]
struct Style {
    verbose: bool,
    names: bool,
}

impl Style {
    /// From options; what is not one is returned.
    fn parse(args: &[String]) -> Result<(Style, Vec<&str>), String> {
        let (mut verbose, mut names, mut rest) = (false, None, Vec::new());
        for arg in args {
            match arg.as_str() {
                "-m" | "--more" => verbose = true,
                "--names" => names = Some(true),
                "--no-names" => names = Some(false),
                option if option.starts_with('-') => return Err(format!("{option}: unknown option")),
                other => rest.push(other),
            }
        }
        Ok((Style { verbose, names: names.unwrap_or(verbose) }, rest))
    }
}

/// Takes devices away from under the bridges, which open them again at the next change of configuration.
fn delete_interfaces(state: &mut State, args: &[String]) -> Result<String, String> {
    let (datapath, names) = args.split_first().ok_or("missing datapath")?;
    if !is_datapath(state, datapath) {
        return Err(format!("opening datapath {datapath} failed (No such device)"));
    }
    for name in names {
        let port = state.datapath.port_by_name(name).map(|info| info.number);
        let deleted =
            port.ok_or(dp::DpError::NoPortName(name.clone())).and_then(|port| state.datapath.del_port(port));
        deleted.map_err(|error| format!("deleting port {name} from {datapath} failed ({error})"))?;
    }
    state.running.drop_vanished();
    Ok(String::new())
}

fn dump_bridge_flows(state: &mut State, args: &[String]) -> Result<String, String> {
    let (style, rest) = Style::parse(args)?;
    let bridge = {
        let switch = state.switch.read();
        bridge_named(&switch, rest.last().copied().unwrap_or_default())?.id()
    };
    Ok(format_flows(state, style, |state, flow| {
        use pipeline::Network;
        let owner = state.switch.read().ingress(DpPort(flow.key.in_port()));
        owner.is_some_and(|(id, _)| id == bridge)
    }))
}

fn dump_flows(state: &mut State, args: &[String]) -> Result<String, String> {
    let (style, rest) = Style::parse(args)?;
    for word in rest {
        if !word.contains('=') && !is_datapath(state, word) {
            return Err(format!("opening datapath {word} failed (No such device)"));
        }
    }
    let flows = format_flows(state, style, |_, _| true);
    // Which thread forwards is nobody's business here; the reference names it.
    let heading = if flows.is_empty() { "" } else { "flow-dump from the main thread:\n" };
    Ok(format!("{heading}{flows}"))
}

fn format_flows(state: &State, style: Style, wanted: impl Fn(&State, &Flow) -> bool) -> String {
    let names = style.names.then(|| {
        let mut names = dp::text::PortNames::new();
        for info in state.datapath.ports() {
            names.insert(info.number, &info.name);
        }
        names
    });
    let now = state.clock.now();
    let mut flows = Vec::new();
    state.datapath.flow_dump(&mut |flow| flows.push(flow));
    let mut out = String::new();
    for flow in flows.iter().filter(|flow| wanted(state, flow)) {
        if style.verbose {
            out.push_str(&format!("{}, ", flow.ufid));
        }
        out.push_str(&dp::text::format_key(&flow.key, Some(&flow.mask), style.verbose, names.as_ref()));
        out.push_str(&format!(", packets:{}, bytes:{}, used:", flow.stats.packets, flow.stats.bytes));
        match flow.stats.used {
            Some(used) => out.push_str(&format!("{:.3}s", (now - used).as_secs_f64())),
            None => out.push_str("never"),
        }
        if flow.stats.tcp_flags != 0 {
            out.push_str(&format!(", flags:{}", format_tcp_flags(flow.stats.tcp_flags)));
        }
        out.push_str(", actions:");
        out.push_str(&dp::text::format_actions(&flow.actions, names.as_ref()));
        out.push('\n');
    }
    out
}

/// TCP flags by their letters, as tcpdump writes them; bits without a letter as a number.
fn format_tcp_flags(flags: u16) -> String {
    const LETTERS: [char; 8] = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'C'];
    let letters = LETTERS.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 != 0);
    let mut text: String = letters.map(|(_, letter)| letter).collect();
    if flags & 0xff00 != 0 {
        text.push_str(&format!("[{:x}]", flags & 0xff00));
    }
    text
}
