//! The datapath under the bridges: `dpif/*`, `upcall/*`, `revalidator/*`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use base::DpPort;
use dp::{Datapath, Flow};
use rpc::unixctl::{Format, Registry, Reply};
use serde_json::{Value, json};

use super::bridge_named;
use super::flow_lines::{Style, format_flows};
use crate::switchd::State;

pub(super) fn register(registry: &mut Registry<State>) {
    registry.add_formatted("dpif/show", "", 0, 0, |state, _, format| {
        Ok(match format {
            Format::Text => Reply::Text(show(state)),
            Format::Json => Reply::Json(show_json(state)),
        })
    });
    registry.add("dpif/dump-dps", "", 0, 0, |state, _| Ok(dump_bridges(state)));
    registry.add("dpif/dump-flows", "[-m] [--names | --no-names] bridge", 1, usize::MAX, dump_bridge_flows);
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
pub(super) fn datapath_names(state: &State) -> Vec<&'static str> {
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

/// The bridges by their datapath's type and their own name, in order.
fn dump_bridges(state: &State) -> String {
    let names = state.running.bridges().iter().map(|(name, bridge)| {
        let kind = match bridge.config.datapath_type.as_str() {
            "" => "system",
            kind => kind,
        };
        format!("{kind}@{name}\n")
    });
    names.collect::<BTreeSet<String>>().into_iter().collect()
}

fn show(state: &State) -> String {
    let mut out = String::new();
    for name in datapath_names(state) {
        let stats = state.datapath.stats();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}: hit:{} missed:{}", stats.hits, stats.missed);
        for (bridge, ports) in bridges_of(state, name) {
            let _ = writeln!(out, "  {bridge}:");
            for port in ports {
                let number = port.datapath.map_or_else(|| "none".to_owned(), |number| number.to_string());
                let _ = write!(out, "    {} {}/{number}: ({}", port.name, port.number, port.kind);
                for (index, (name, value)) in port.config.iter().enumerate() {
                    let _ = write!(out, "{} {name}={value}", if index == 0 { ':' } else { ',' });
                }
                out.push_str(")\n");
            }
        }
    }
    out
}

/// The same as a value. Numbers are text, as the reference gives them.
fn show_json(state: &State) -> Value {
    let datapaths = datapath_names(state).into_iter().map(|name| {
        let stats = state.datapath.stats();
        let bridges = bridges_of(state, name).into_iter().map(|(bridge, ports)| {
            let ports = ports.into_iter().map(|port| {
                let number = port.datapath.map_or_else(|| "none".to_owned(), |number| number.to_string());
                let mut shown =
                    json!({"ofport": port.number.to_string(), "port_no": number, "type": port.kind});
                if let Some(shown) = shown.as_object_mut().filter(|_| !port.config.is_empty()) {
                    shown.insert("config".to_owned(), json!(port.config));
                }
                (port.name, shown)
            });
            (bridge, Value::Object(ports.collect()))
        });
        let stats = json!({"hit": stats.hits.to_string(), "missed": stats.missed.to_string()});
        (name.to_owned(), json!({"bridges": Value::Object(bridges.collect()), "stats": stats}))
    });
    Value::Object(datapaths.collect())
}

/// A port as `dpif/show` tells it.
struct ShownPort {
    name: String,
    number: u32,
    /// `None` for a patch port.
    datapath: Option<DpPort>,
    kind: String,
    config: BTreeMap<String, String>,
}

/// The bridges on a datapath with their ports, all in the order of their names.
fn bridges_of(state: &State, datapath: &str) -> BTreeMap<String, Vec<ShownPort>> {
    let is_on_it = |bridge: &&ofproto::Bridge| {
        let running = state.running.bridges().get(bridge.name());
        running.is_some_and(|bridge| datapath_name(&bridge.config.datapath_type) == datapath)
    };
    let bridges: Vec<(String, Vec<ofproto::PortEntry>)> = {
        let switch = state.switch.read();
        let on_it = switch.bridges().filter(is_on_it);
        on_it.map(|bridge| (bridge.name().to_owned(), bridge.port_entries().cloned().collect())).collect()
    };
    let shown = bridges.into_iter().map(|(name, entries)| {
        let mut ports: Vec<ShownPort> = entries.iter().map(|entry| shown_port(state, entry)).collect();
        ports.sort_by(|a, b| a.name.cmp(&b.name));
        (name, ports)
    });
    shown.collect()
}

fn shown_port(state: &State, entry: &ofproto::PortEntry) -> ShownPort {
    let port = &entry.port;
    let (kind, config) = match port.datapath {
        Some(number) => {
            let info = state.datapath.port(number).unwrap_or_default();
            (shown_kind(&info.kind).to_owned(), info.config.clone())
        }
        None => {
            let peer = entry.peer_name.iter().map(|peer| ("peer".to_owned(), peer.clone()));
            ("patch".to_owned(), peer.collect())
        }
    };
    let number = port.number.to_u16().map_or(port.number.0, u32::from);
    ShownPort { name: port.name.to_string(), number, datapath: port.datapath, kind, config }
}

/// The kind of a device as operators know it: an internal port of a userspace datapath is a tap.
pub(super) fn shown_kind(kind: &str) -> &str {
    match kind {
        "" => "system",
        "internal" => "tap",
        "dummy-internal" => "dummy-internal",
        other => other,
    }
}

fn upcall_show(state: &State) -> String {
    let (keys, count) = (state.flows.flow_count(), state.datapath.stats().flows);
    let name = datapath_names(state).into_iter().next().unwrap_or("netdev@ovs-netdev");
    format!(
        "{name}:\n  flows         : (current {count}) (avg {count}) (max {count}) (limit {})\n  dump duration : 1ms\n  ufid enabled : true\n\n  1: (keys {keys})\n",
        state.flows.flow_limit()
    )
}

fn dump_bridge_flows(state: &mut State, args: &[String]) -> Result<String, String> {
    let (style, rest) = Style::split(args)?;
    let bridge = {
        let switch = state.switch.read();
        bridge_named(&switch, rest.last().copied().unwrap_or_default())?.id()
    };
    let is_of_bridge = |flow: &Flow| {
        use pipeline::Network;
        let owner = state.switch.read().ingress(DpPort(flow.key.in_port()));
        owner.is_some_and(|(id, _)| id == bridge)
    };
    Ok(format_flows(&state.datapath, style, state.clock.now(), " ", is_of_bridge))
}
