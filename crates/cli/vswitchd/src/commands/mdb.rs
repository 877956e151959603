//! Who listens to multicast: `mdb/*`.

use std::fmt::Write;
use std::net::Ipv6Addr;

use ofproto::{Bridge, Listener};
use rpc::unixctl::Registry;

use super::bridge_named;
use super::fdb::{Fdb, port_of};

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, fdb: Fdb) {
    let mut group = registry.group(fdb);
    group.add("mdb/show", "bridge", 1, 1, show);
    group.add("mdb/flush", "[bridge]", 0, 1, flush);
}

fn show(fdb: &Fdb, args: &[String]) -> Result<String, String> {
    let switch = fdb.switch.read();
    let bridge = bridge_named(&switch, &args[0])?;
    let listeners = bridge.snooped().ok_or_else(disabled)?.listeners(fdb.clock.now());
    let mut out = " port  VLAN  protocol  GROUP                Age\n".to_owned();
    for Listener { port, vlan, group, age } in listeners {
        let port = port_of(bridge, port).map_or_else(String::new, fields::format_port_plain);
        let (protocol, whom) = match group {
            Some((group, version)) => (version.name(), format!("{}         ", address(group))),
            None => ("UNKNOWN", "querier             ".to_owned()),
        };
        let _ = writeln!(out, "{port:>5}  {vlan:>4}  {protocol:<8}  {whom}{:>3}", age.as_secs());
    }
    Ok(out)
}

fn flush(fdb: &Fdb, args: &[String]) -> Result<String, String> {
    let switch = fdb.switch.read();
    match args.first() {
        Some(name) => {
            let bridge = bridge_named(&switch, name)?;
            if !flush_bridge(bridge) {
                return Err(disabled());
            }
        }
        None => switch.bridges().for_each(|bridge| _ = flush_bridge(bridge)),
    }
    Ok("table successfully flushed".to_owned())
}

/// Returns whether the bridge looks into multicast.
fn flush_bridge(bridge: &Bridge) -> bool {
    let is_changed = bridge.snooped().map(|mut table| table.flush());
    if is_changed == Some(true) {
        bridge.changed();
    }
    is_changed.is_some()
}

fn disabled() -> String {
    "multicast snooping is disabled".to_owned()
}

/// A group as people write it: one of IPv4 in dotted form.
fn address(group: u128) -> String {
    let address = Ipv6Addr::from(group);
    address.to_ipv4_mapped().map_or_else(|| address.to_string(), |address| address.to_string())
}
