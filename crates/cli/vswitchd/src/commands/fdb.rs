//! What bridges have learned: `fdb/*`.

use std::sync::Arc;

use base::{Clock, MacAddr, OfPort, Timestamp};
use ofproto::{Bridge, SharedSwitch};
use pipeline::{BridgeView, BundleId};
use rpc::unixctl::{Format, Registry, Reply};
use serde_json::{Map, Value};

use super::bridge_named;

/// What these commands use.
pub(super) struct Fdb {
    pub(super) switch: Arc<SharedSwitch>,
    pub(super) clock: Clock,
}

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, fdb: Fdb) {
    let mut group = registry.group(fdb);
    group.add_formatted("fdb/show", "[bridge...]", 0, usize::MAX, show);
    group.add("fdb/flush", "[bridge]", 0, 1, |fdb, args| {
        for_each(fdb, args, |bridge| {
            bridge.macs().flush();
            bridge.changed();
        })?;
        Ok("table successfully flushed".to_owned())
    });
    group.add("fdb/stats-show", "bridge", 1, 1, stats_show);
    group.add("fdb/stats-clear", "[bridge]", 0, 1, |fdb, args| {
        for_each(fdb, args, |bridge| bridge.macs().counters = Default::default())?;
        Ok("statistics successfully cleared".to_owned())
    });
    group.add("fdb/add", "bridge port vlan mac", 4, 4, add);
    group.add("fdb/del", "bridge vlan mac", 3, 3, del);
}

/// The bridge that `args` name, or all of them.
fn for_each(fdb: &Fdb, args: &[String], act: impl Fn(&Bridge)) -> Result<(), String> {
    let switch = fdb.switch.read();
    match args.first() {
        Some(name) => act(bridge_named(&switch, name)?),
        None => switch.bridges().for_each(act),
    }
    Ok(())
}

fn show(fdb: &Fdb, args: &[String], format: Format) -> Result<Reply, String> {
    let switch = fdb.switch.read();
    let mut bridges = Vec::new();
    for name in args {
        bridges.push(switch.named(name).ok_or_else(|| format!("no such bridge {name}"))?);
    }
    if args.is_empty() {
        bridges.extend(switch.bridges());
    }
    let now = fdb.clock.now();
    Ok(match format {
        Format::Text => Reply::Text(as_text(&bridges, now)),
        Format::Json => Reply::Json(as_json(&bridges, now)),
    })
}

/// One of the ports behind which an address was seen.
pub(super) fn port_of(bridge: &Bridge, bundle: BundleId) -> Option<OfPort> {
    bridge.bundle(bundle).and_then(|bundle| bundle.ports.first().copied())
}

/// A table, with a column for the bridge's name if there are several.
fn as_text(bridges: &[&Bridge], now: Timestamp) -> String {
    let longest = bridges.iter().map(|bridge| bridge.name().len()).max().unwrap_or(0);
    let width = if bridges.len() > 1 { longest.max("Bridge".len()) + 1 } else { 0 };
    let mut out = String::new();
    if width > 0 {
        out.push_str(&format!(" {:<width$}", "Bridge"));
    }
    out.push_str(" Port  VLAN  MAC                Age\n");
    for bridge in bridges {
        let mut label = bridge.name();
        let entries = bridge.macs().entries(now);
        for known in &entries {
            if width > 0 {
                out.push_str(&format!(" {label:<width$}"));
                label = "";
            }
            let port = port_of(bridge, known.port).map_or_else(String::new, fields::format_port_plain);
            let age =
                if known.is_static { "static".to_owned() } else { format!("{:>3}", known.age.as_secs()) };
            out.push_str(&format!("{port:>5}  {:>4}  {}  {age}\n", known.vlan, known.mac));
        }
        if width > 0 && entries.is_empty() {
            out.push_str(&format!(" {label}\n"));
        }
    }
    out
}

/// Each bridge's list of entries, by the bridge's name.
fn as_json(bridges: &[&Bridge], now: Timestamp) -> Value {
    let mut all = Map::new();
    for bridge in bridges {
        let entries = bridge.macs().entries(now).into_iter().map(|known| {
            let mut entry = Map::new();
            let port = port_of(bridge, known.port).unwrap_or(OfPort::NONE);
            entry.insert("port".to_owned(), port.to_u16().into());
            entry.insert("vlan".to_owned(), known.vlan.into());
            entry.insert("mac".to_owned(), known.mac.to_string().into());
            if known.is_static {
                entry.insert("static".to_owned(), true.into());
            } else {
                entry.insert("age".to_owned(), known.age.as_secs().into());
            }
            Value::Object(entry)
        });
        let entries = entries.collect();
        all.insert(bridge.name().to_owned(), Value::Array(entries));
    }
    all.into()
}

fn stats_show(fdb: &Fdb, args: &[String]) -> Result<String, String> {
    let switch = fdb.switch.read();
    let bridge = bridge_named(&switch, &args[0])?;
    let macs = bridge.macs();
    let counters = macs.counters;
    Ok(format!(
        "Statistics for bridge \"{}\":
  Current/maximum MAC entries in the table: {}/{}
  Current static MAC entries in the table : {}
  Total number of learned MAC entries     : {}
  Total number of expired MAC entries     : {}
  Total number of evicted MAC entries     : {}
  Total number of port moved MAC entries  : {}
",
        args[0],
        macs.len(),
        macs.capacity(),
        macs.static_count(),
        counters.learned,
        counters.expired,
        counters.evicted,
        counters.moved
    ))
}

fn vlan_of(text: &str) -> Result<u16, String> {
    let vlan = text.parse().ok().filter(|vlan| *vlan <= 4095);
    vlan.ok_or_else(|| format!("{text}: a VLAN is a number from 0 to 4095"))
}

fn mac_of(text: &str) -> Result<MacAddr, String> {
    text.parse().map_err(|_| "bad MAC address".to_owned())
}

fn add(fdb: &Fdb, args: &[String]) -> Result<String, String> {
    let switch = fdb.switch.read();
    let bridge = bridge_named(&switch, &args[0])?;
    let mac = mac_of(&args[3])?;
    let Some(entry) = bridge.port_named(&args[1]) else {
        return Err("software error, odp port is present but no ofp port".to_owned());
    };
    let Some(bundle) = entry.port.bundle else { return Err("could not add static mac entry".to_owned()) };
    let old = bridge.macs().add_static(vlan_of(&args[2])?, mac, bundle, fdb.clock.now());
    bridge.changed();
    Ok(match old {
        Some(old) if old.port != bundle || !old.is_static => {
            let kind = if old.is_static { "static" } else { "dynamic" };
            let port = port_of(bridge, old.port).map_or_else(String::new, fields::format_port_plain);
            format!("Overriding already existing {kind} entry on {port}\n")
        }
        _ => String::new(),
    })
}

fn del(fdb: &Fdb, args: &[String]) -> Result<String, String> {
    let switch = fdb.switch.read();
    let bridge = bridge_named(&switch, &args[0])?;
    let mac = mac_of(&args[2])?;
    if !bridge.macs().remove_static(vlan_of(&args[1])?, mac) {
        return Err("could not find static mac entry".to_owned());
    }
    bridge.changed();
    Ok(String::new())
}
