//! What bridges have learned: `fdb/*`.

use base::{MacAddr, OfPort};
use pipeline::BridgeView;
use rpc::unixctl::Registry;

use super::bridge_named;
use crate::switchd::State;

pub(super) fn register(registry: &mut Registry<State>) {
    registry.add("fdb/show", "[bridge...]", 0, usize::MAX, show);
    registry.add("fdb/flush", "[bridge]", 0, 1, |state, args| {
        for_each(state, args, |bridge| {
            bridge.macs().flush();
            bridge.changed();
        })?;
        Ok("table successfully flushed".to_owned())
    });
    registry.add("fdb/stats-show", "bridge", 1, 1, stats_show);
    registry.add("fdb/stats-clear", "[bridge]", 0, 1, |state, args| {
        for_each(state, args, |bridge| bridge.macs().counters = Default::default())?;
        Ok("statistics successfully cleared".to_owned())
    });
    registry.add("fdb/add", "bridge port vlan mac", 4, 4, add);
    registry.add("fdb/del", "bridge vlan mac", 3, 3, del);
}

/// The bridge that `args` name, or all of them.
fn for_each(state: &State, args: &[String], act: impl Fn(&ofproto::Bridge)) -> Result<(), String> {
    let switch = state.switch.read();
    match args.first() {
        Some(name) => act(bridge_named(&switch, name)?),
        None => switch.bridges().for_each(act),
    }
    Ok(())
}

fn show(state: &mut State, args: &[String]) -> Result<String, String> {
    let switch = state.switch.read();
    let mut bridges = Vec::new();
    for name in args {
        bridges.push(switch.named(name).ok_or_else(|| format!("no such bridge {name}"))?);
    }
    if args.is_empty() {
        bridges.extend(switch.bridges());
    }
    let longest = bridges.iter().map(|bridge| bridge.name().len()).max().unwrap_or(0);
    let width = if bridges.len() > 1 { longest.max("Bridge".len()) + 1 } else { 0 };
    let mut out = String::new();
    if width > 0 {
        out.push_str(&format!(" {:<width$}", "Bridge"));
    }
    out.push_str(" Port  VLAN  MAC                Age\n");
    let now = state.clock.now();
    for bridge in bridges {
        let mut label = bridge.name();
        let entries = bridge.macs().entries(now);
        for known in &entries {
            if width > 0 {
                out.push_str(&format!(" {label:<width$}"));
                label = "";
            }
            let port = bridge.bundle(known.port).and_then(|bundle| bundle.ports.first().copied());
            let port = port.map_or_else(String::new, fields::format_port_plain);
            let age =
                if known.is_static { "static".to_owned() } else { format!("{:>3}", known.age.as_secs()) };
            out.push_str(&format!("{port:>5}  {:>4}  {}  {age}\n", known.vlan, known.mac));
        }
        if width > 0 && entries.is_empty() {
            out.push_str(&format!(" {label}\n"));
        }
    }
    Ok(out)
}

fn stats_show(state: &mut State, args: &[String]) -> Result<String, String> {
    let switch = state.switch.read();
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

fn vlan_and_mac(vlan: &str, mac: &str) -> Result<(u16, MacAddr), String> {
    let vlan = vlan.parse().map_err(|_| format!("Unsupported VLAN '{vlan}'"));
    let mac = mac.parse().map_err(|_| format!("Invalid MAC address '{mac}'"));
    Ok((vlan?, mac?))
}

fn add(state: &mut State, args: &[String]) -> Result<String, String> {
    let switch = state.switch.read();
    let bridge = bridge_named(&switch, &args[0])?;
    let port = args[1].parse().ok().map(OfPort).and_then(|number| bridge.port(number));
    let port = port.or_else(|| bridge.port_named(&args[1]).map(|entry| &entry.port));
    let bundle =
        port.and_then(|port| port.bundle).ok_or_else(|| format!("Port '{}' is not attached", args[1]))?;
    let (vlan, mac) = vlan_and_mac(&args[2], &args[3])?;
    bridge.macs().add_static(vlan, mac, bundle, state.clock.now());
    bridge.changed();
    Ok(String::new())
}

fn del(state: &mut State, args: &[String]) -> Result<String, String> {
    let switch = state.switch.read();
    let bridge = bridge_named(&switch, &args[0])?;
    let (vlan, mac) = vlan_and_mac(&args[1], &args[2])?;
    let found = bridge.macs().remove(vlan, mac);
    bridge.changed();
    if found { Ok(String::new()) } else { Err("MAC entry not found".to_owned()) }
}
