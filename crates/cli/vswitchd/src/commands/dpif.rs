//! The datapaths under the bridges: `dpif/*`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use base::{Clock, DpPort};
use bridge::Running;
use dp::{Flow, PortKind};
use flowsync::{Below, Datapaths};
use ofproto::SharedSwitch;
use rpc::unixctl::{Format, Registry, Reply};
use serde_json::{Value, json};

use super::bridge_named;
use super::flow_lines::{Style, format_flows};
use super::in_use::datapaths_in_use;

/// What these commands use.
pub(super) struct Dpif {
    pub(super) switch: Arc<SharedSwitch>,
    pub(super) datapaths: Arc<Datapaths>,
    pub(super) clock: Clock,
}

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, dpif: Dpif) {
    let mut group = registry.group(dpif);
    group.add_formatted("dpif/show", "", 0, 0, |dpif, _, format| {
        Ok(match format {
            Format::Text => Reply::Text(show(dpif)),
            Format::Json => Reply::Json(show_json(dpif)),
        })
    });
    group.add("dpif/dump-flows", "[-m] [--names | --no-names] bridge", 1, usize::MAX, dump_bridge_flows);
}

/// `dpif/dump-dps`: the bridges by their datapath's type and their own name, in order.
pub(super) fn dump_bridges(running: &Running) -> String {
    let names = running.bridges().iter().map(|(name, bridge)| {
        let kind = match bridge.config.datapath_type.as_str() {
            "" => "system",
            kind => kind,
        };
        format!("{kind}@{name}\n")
    });
    names.collect::<BTreeSet<String>>().into_iter().collect()
}

/// `dpif/set-dp-features`.
pub(super) fn set_feature(running: &mut Running, arguments: &[String]) -> Result<String, String> {
    let (is_forced, rest) = match arguments.split_first() {
        Some((first, rest)) if first == "--force" && !rest.is_empty() => (true, rest),
        _ => (false, arguments),
    };
    let argument = |index: usize| rest.get(index).map(String::as_str);
    running.set_feature(argument(0).unwrap_or_default(), argument(1), argument(2), is_forced)
}

fn show(dpif: &Dpif) -> String {
    let mut out = String::new();
    for below in datapaths_in_use(&dpif.datapaths, &dpif.switch) {
        let stats = below.datapath.stats();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}: hit:{} missed:{}", below.full_name(), stats.hits, stats.missed);
        for (bridge, ports) in bridges_of(dpif, &below) {
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
fn show_json(dpif: &Dpif) -> Value {
    let datapaths = datapaths_in_use(&dpif.datapaths, &dpif.switch).into_iter().map(|below| {
        let stats = below.datapath.stats();
        let bridges = bridges_of(dpif, &below).into_iter().map(|(bridge, ports)| {
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
        (below.full_name(), json!({"bridges": Value::Object(bridges.collect()), "stats": stats}))
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
fn bridges_of(dpif: &Dpif, below: &Below) -> BTreeMap<String, Vec<ShownPort>> {
    let bridges: Vec<(String, Vec<ofproto::PortEntry>)> = {
        let switch = dpif.switch.read();
        let on_it = switch.bridges().filter(|bridge| bridge.datapath() == below.id);
        on_it.map(|bridge| (bridge.name().to_owned(), bridge.port_entries().cloned().collect())).collect()
    };
    let shown = bridges.into_iter().map(|(name, entries)| {
        let mut ports: Vec<ShownPort> = entries.iter().map(|entry| shown_port(below, entry)).collect();
        ports.sort_by(|a, b| a.name.cmp(&b.name));
        (name, ports)
    });
    shown.collect()
}

fn shown_port(below: &Below, entry: &ofproto::PortEntry) -> ShownPort {
    let port = &entry.port;
    let (kind, config) = match (port.datapath, &port.tunnel) {
        (Some(_), Some(tunnel)) => (tunnel.kind.to_string(), bridge::shown_options(tunnel)),
        (Some(number), None) => {
            let info = below.datapath.port(number).unwrap_or_default();
            (shown_kind(info.kind).to_string(), info.config.clone())
        }
        (None, _) => {
            let peer = entry.peer_name.iter().map(|peer| ("peer".to_owned(), peer.clone()));
            ("patch".to_owned(), peer.collect())
        }
    };
    let number = port.number.to_u16().map_or(port.number.0, u32::from);
    ShownPort { name: port.name.to_string(), number, datapath: port.datapath, kind, config }
}

/// The kind of a device as operators know it: an internal port of a userspace datapath is a tap.
pub(super) fn shown_kind(kind: PortKind) -> PortKind {
    if kind == PortKind::Internal { PortKind::Tap } else { kind }
}

fn dump_bridge_flows(dpif: &Dpif, args: &[String]) -> Result<String, String> {
    let (style, rest) = Style::split(args)?;
    let (bridge, datapath) = {
        let switch = dpif.switch.read();
        let bridge = bridge_named(&switch, rest.last().copied().unwrap_or_default())?;
        (bridge.id(), bridge.datapath())
    };
    let below = dpif.datapaths.get(datapath).ok_or("no such bridge")?;
    let is_of_bridge = |flow: &Flow| {
        use pipeline::Network;
        let owner = dpif.switch.read().arrival(datapath, &flow.key);
        owner.is_some_and(|(id, _)| id == bridge)
    };
    Ok(format_flows(&*below.datapath, style, dpif.clock.now(), " ", is_of_bridge))
}
