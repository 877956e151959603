//! Tunnels, and the network below them: `ofproto/list-tunnels`, `tnl/*`, `ovs/route/*`; addresses of devices for tests.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, MacAddr};
use flowsync::Datapaths;
use ofproto::SharedSwitch;
use pipeline::tunnel::{Checksum, Key, TunnelConfig, TunnelMatch, mapped, shown};
use rpc::unixctl::{Format, Registry, Reply};
use serde_json::{Map, Value, json};
use tunnel::{Address, DEFAULT, LOCAL, MAIN, Network, Origin, Route, Rule};

/// What these commands use.
pub(super) struct Tunnels {
    pub switch: Arc<SharedSwitch>,
    pub datapaths: Arc<Datapaths>,
    pub network: Arc<Network>,
    pub clock: Clock,
}

const OK: &str = "OK\n";

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, tunnels: Tunnels) {
    let mut group = registry.group(tunnels);
    group.add("ofproto/list-tunnels", "", 0, 0, |tunnels, _| Ok(list(tunnels)));
    group.add("tnl/ports/show", "-v", 0, 1, |tunnels, _| Ok(tunnels.network.listeners().show()));
    group.add("tnl/egress_port_range", "min max", 0, 2, egress_ports);
    for [show, set, flush, age] in [
        ["tnl/arp/show", "tnl/arp/set", "tnl/arp/flush", "tnl/arp/aging"],
        ["tnl/neigh/show", "tnl/neigh/set", "tnl/neigh/flush", "tnl/neigh/aging"],
    ] {
        group.add(show, "", 0, 0, |tunnels, _| Ok(tunnels.network.neighbours().show(tunnels.clock.now())));
        group.add(set, "BRIDGE IP MAC", 3, 3, set_neighbour);
        group.add(flush, "", 0, 0, |tunnels, _| {
            if tunnels.network.neighbours().flush() {
                tunnels.switch.underlay_changed();
            }
            Ok(OK.to_owned())
        });
        group.add(age, "[SECS]", 0, 1, aging);
    }
    group.add("tnl/neigh/retrans_time", "[MSECS]", 0, 1, retransmit_time);
    group.add("ovs/route/add", "ip/plen dev [gw] [pkt_mark=mark] [src=src_ip] [table=id]", 2, 6, add_route);
    group.add_formatted("ovs/route/show", "[table=all|id]", 0, 1, show_routes);
    group.add("ovs/route/del", "ip/plen [pkt_mark=mark] [table=id]", 1, 3, delete_route);
    group.add("ovs/route/lookup", "ip_addr [pkt_mark=mark] [src=src_ip]", 1, 3, look_up);
    group.add_formatted("ovs/route/rule/show", "[-6]", 0, 1, |tunnels, args, format| {
        let of_v4 = args.first().is_none_or(|arg| arg != "-6");
        let routes = tunnels.network.routes();
        Ok(match format {
            Format::Text => Reply::Text(routes.rules(of_v4).map(Rule::show).collect()),
            Format::Json => Reply::Json(routes.rules(of_v4).map(rule_json).collect()),
        })
    });
    let usage = "[-6] [not] from=all|ip/plen [prio=num] table=local|main|default|id";
    group.add("ovs/route/rule/add", usage, 2, 5, add_rule);
    group.add("ovs/route/rule/del", usage, 2, 5, delete_rule);
    group.add("netdev-dummy/ip4addr", "[netdev] ipaddr/mask-prefix-len", 2, 2, |tunnels, args| {
        add_test_address(tunnels, args, true)
    });
    group.add("netdev-dummy/ip6addr", "[netdev] ip6addr", 2, 2, |tunnels, args| {
        add_test_address(tunnels, args, false)
    });
}

fn list(tunnels: &Tunnels) -> String {
    let switch = tunnels.switch.read();
    let mut lines = Vec::new();
    for bridge in switch.bridges() {
        for entry in bridge.port_entries() {
            if let (Some(config), Some(port)) = (&entry.port.tunnel, entry.port.datapath) {
                let matching = TunnelMatch::new(bridge.datapath(), port, config);
                lines.push(line(&entry.port.name, config, &matching));
            }
        }
    }
    lines.sort_unstable();
    lines.concat()
}

fn line(name: &str, config: &TunnelConfig, matching: &TunnelMatch) -> String {
    let mut text = format!("port {}: {name} ({}: {matching}", matching.port, config.kind);
    if config.in_key != config.out_key {
        text.push_str(", out_key=");
        let _ = match config.out_key {
            Key::Absent => write!(text, "none"),
            Key::Flow => write!(text, "flow"),
            Key::Is(0) => write!(text, "0"),
            Key::Is(number) => write!(text, "{number:#x}"),
        };
    }
    let _ = match config.ttl {
        None => write!(text, ", ttl=inherit"),
        Some(ttl) => write!(text, ", ttl={ttl}"),
    };
    let _ = match config.tos {
        None => write!(text, ", tos=inherit"),
        Some(0) => Ok(()),
        Some(tos) => write!(text, ", tos={tos:#x}"),
    };
    if !config.dont_fragment {
        text.push_str(", df=false");
    }
    match config.checksum {
        Checksum::On => text.push_str(", csum=true"),
        Checksum::Off => text.push_str(", csum=false"),
        Checksum::Default | Checksum::DefaultNone => {}
    }
    text + ")\n"
}

fn egress_ports(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let datapaths = tunnels.datapaths.shared();
    let number = |text: &String| text.parse::<u16>().ok().filter(|port| *port != 0);
    match args {
        [min, max] => {
            let Some(min) = number(min) else { return Ok("Invalid min.\n".to_owned()) };
            let Some(max) = number(max) else { return Ok("Invalid max.\n".to_owned()) };
            for below in datapaths.iter() {
                let settings = (*below.datapath.tunnel_settings()).clone();
                let udp_ports = (min.min(max), min.max(max));
                below.datapath.set_tunnel_settings(dp::TunnelSettings { udp_ports, ..settings });
            }
            Ok(OK.to_owned())
        }
        _ => {
            let first = datapaths.first().map(|below| below.datapath.tunnel_settings()).unwrap_or_default();
            let (min, max) = first.udp_ports;
            Ok(format!("Tunnel UDP source port range: {min}-{max}\n"))
        }
    }
}

fn set_neighbour(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let [bridge, ip, mac] = args else { return Err("bad IP address".to_owned()) };
    let address = mapped(ip.parse::<IpAddr>().map_err(|_| "bad IP address")?);
    let mac: MacAddr = mac.parse().map_err(|_| "bad MAC address")?;
    if tunnels.network.neighbours().set(bridge, address, mac, tunnels.clock.now()) {
        tunnels.switch.underlay_changed();
    }
    Ok(OK.to_owned())
}

fn aging(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let mut neighbours = tunnels.network.neighbours();
    match args.first() {
        None => Ok(format!("{}\n", neighbours.aging().as_secs())),
        Some(text) => {
            let seconds = text.parse().map_err(|_| "bad aging value")?;
            neighbours.set_aging(seconds, tunnels.clock.now())?;
            Ok(OK.to_owned())
        }
    }
}

fn retransmit_time(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let mut neighbours = tunnels.network.neighbours();
    match args.first() {
        None => Ok(format!("{}\n", neighbours.retransmit().as_millis())),
        Some(text) => {
            let time = text.parse::<u32>().map_err(|_| "bad retrans_time value")?;
            neighbours.set_retransmit(Duration::from_millis(time.into()), tunnels.clock.now())?;
            Ok(OK.to_owned())
        }
    }
}

/// An address with the bits of its prefix, of 128.
fn network(text: &str) -> Option<(u128, u8)> {
    let (address, len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let len: u8 = len.map_or(Some(bits), |len| len.parse().ok()).filter(|len| *len <= bits)?;
    Some((mapped(address), len + (128 - bits)))
}

fn is_v4(address: u128) -> bool {
    address >> 32 == 0xffff
}

/// An address of the same family as `like`.
fn alike(text: &str, like: u128) -> Option<u128> {
    text.parse::<IpAddr>().ok().map(mapped).filter(|address| is_v4(*address) == is_v4(like))
}

fn mark_of(text: &str) -> Option<u32> {
    text.strip_prefix("pkt_mark=")?.parse().ok()
}

/// A table by its number; the error is worded for who runs the command.
fn table_of(text: &str) -> Option<Result<u32, String>> {
    let number = text.strip_prefix("table=")?;
    Some(number.parse().map_err(|_| "Invalid table format".to_owned()))
}

fn add_route(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let [to, device, options @ ..] = args else { return Err("Invalid 'ip/plen' parameter".to_owned()) };
    let (address, prefix_len) = network(to).ok_or("Invalid 'ip/plen' parameter")?;
    let mut route = Route {
        table: MAIN,
        mark: 0,
        network: address,
        prefix_len,
        origin: Origin::User,
        device: device.as_str().into(),
        gateway: 0,
        source: 0,
    };
    for option in options {
        if let Some(mark) = mark_of(option) {
            route.mark = mark;
        } else if let Some(source) = option.strip_prefix("src=").and_then(|text| alike(text, address)) {
            route.source = source;
        } else if let Some(gateway) = alike(option, address) {
            route.gateway = gateway;
        } else if let Some(table) = table_of(option) {
            route.table = table?;
        } else {
            return Err("Invalid pkt_mark, IP gateway or src_ip".to_owned());
        }
    }
    let added = tunnels.network.routes_mut().add(route);
    added.map_err(|tunnel::NoSource| "Error while inserting route.")?;
    tunnels.switch.underlay_changed();
    Ok(OK.to_owned())
}

fn delete_route(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let [to, options @ ..] = args else { return Err("Invalid parameters".to_owned()) };
    let (address, prefix_len) = network(to).ok_or("Invalid parameters")?;
    let (mut mark, mut table) = (0, MAIN);
    for option in options {
        if let Some(found) = mark_of(option) {
            mark = found;
        } else if let Some(found) = table_of(option) {
            table = found?;
        } else {
            return Err("Invalid pkt_mark or table".to_owned());
        }
    }
    let removed = tunnels.network.routes_mut().remove(table, mark, address, prefix_len);
    match removed {
        Some(true) => {
            tunnels.switch.underlay_changed();
            Ok(OK.to_owned())
        }
        Some(false) => Err("Not found".to_owned()),
        None if table == MAIN => Err("Table not found".to_owned()),
        None => Err(format!("Table table={table} not found")),
    }
}

fn rule_json(rule: &Rule) -> Value {
    let from = if rule.prefix_len == 0 { "all".to_owned() } else { shown(rule.source) };
    json!({
        "priority": rule.priority, "user": rule.origin == Origin::User, "invert": rule.is_inverted,
        "ipv4": rule.is_v4, "src-prefix": rule.prefix_len, "lookup": rule.table, "from": from,
    })
}

fn route_json(route: &Route) -> Value {
    let is_user = route.origin == Origin::User;
    let len = if is_v4(route.network) { route.prefix_len.saturating_sub(96) } else { route.prefix_len };
    let mut hop = Map::from_iter([("dev".to_owned(), json!(&*route.device))]);
    if route.gateway != 0 {
        hop.insert("gateway".to_owned(), json!(shown(route.gateway)));
    }
    let mut json = Map::from_iter([
        ("table".to_owned(), json!(route.table)),
        ("user".to_owned(), json!(is_user)),
        ("local".to_owned(), json!(route.table == LOCAL && !is_user)),
        ("prefix".to_owned(), json!(len)),
        ("dst".to_owned(), json!(shown(route.network))),
        ("prefsrc".to_owned(), json!(shown(route.source))),
        ("nexthops".to_owned(), json!([hop])),
    ]);
    if route.mark != 0 {
        json.insert("mark".to_owned(), json!(route.mark));
    }
    Value::Object(json)
}

fn show_routes(tunnels: &Tunnels, args: &[String], format: Format) -> Result<Reply, String> {
    let which = match args.first().map(String::as_str) {
        None => None,
        Some("table=all") => Some(None),
        Some(text) => match table_of(text) {
            Some(Ok(0)) => None,
            Some(Ok(number)) => Some(Some(number)),
            Some(Err(_)) | None => return Err("Invalid table format".to_owned()),
        },
    };
    let missing = || format!("Table '{}' not found", args.first().map_or("", String::as_str));
    let routes = tunnels.network.routes();
    let text = routes.show(which).ok_or_else(missing)?;
    Ok(match (format, which) {
        (Format::Text, _) => Reply::Text(text),
        (Format::Json, Some(None)) => Reply::Json(
            routes.table_numbers().flat_map(|n| routes.of_table(Some(n))).map(route_json).collect(),
        ),
        (Format::Json, which) => Reply::Json(routes.of_table(which.flatten()).map(route_json).collect()),
    })
}

fn look_up(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let [to, options @ ..] = args else { return Err("Invalid 'ip/plen' parameter".to_owned()) };
    let (address, _) = network(to).filter(|(_, len)| *len == 128).ok_or("Invalid 'ip/plen' parameter")?;
    let (mut mark, mut source) = (0, 0);
    for option in options {
        if let Some(found) = mark_of(option) {
            mark = found;
        } else if let Some(found) = option.strip_prefix("src=").and_then(|text| alike(text, address)) {
            source = found;
        } else {
            return Err("Invalid pkt_mark or src".to_owned());
        }
    }
    let way = tunnels.network.routes().find(mark, address, source).ok_or("Not found")?;
    let gateway = way.gateway.map_or_else(|| "::".to_owned(), shown);
    Ok(format!("src {}\ngateway {gateway}\ndev {}\n", shown(way.source), way.device))
}

/// The rule that words ask for.
fn rule(args: &[String]) -> Result<Rule, String> {
    let mut words = args.iter().map(String::as_str).peekable();
    let mut is_v4_rule = words.next_if_eq(&"-6").is_none();
    let is_inverted = words.next_if_eq(&"not").is_some();
    let few = || "Not enough arguments".to_owned();
    let from = words.next().ok_or_else(few)?.strip_prefix("from=").ok_or("Invalid 'from' parameter")?;
    let (source, prefix_len) = if from == "all" {
        (if is_v4_rule { 0xffff_0000_0000 } else { 0 }, 0)
    } else {
        let (address, len) = network(from).ok_or("Invalid from=ip/plen")?;
        is_v4_rule = is_v4(address);
        (address, if is_v4_rule { len - 96 } else { len })
    };
    let mut next = words.next().ok_or_else(few)?;
    let mut priority = 0;
    if let Some(number) = next.strip_prefix("prio=").and_then(|text| text.parse().ok()) {
        priority = number;
        next = words.next().ok_or_else(few)?;
    }
    let table = match next.strip_prefix("table=") {
        Some("local") => LOCAL,
        Some("main") => MAIN,
        Some("default") => DEFAULT,
        other => other.and_then(|number| number.parse().ok()).ok_or("Invalid 'table' format")?,
    };
    let is_v4 = is_v4_rule;
    Ok(Rule { priority, is_inverted, origin: Origin::User, source, prefix_len, table, is_v4 })
}

fn add_rule(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let mut rule = rule(args)?;
    let mut routes = tunnels.network.routes_mut();
    if rule.priority == 0 {
        rule.priority = routes.next_priority();
    }
    routes.add_rule(rule);
    drop(routes);
    tunnels.switch.underlay_changed();
    Ok(OK.to_owned())
}

fn delete_rule(tunnels: &Tunnels, args: &[String]) -> Result<String, String> {
    let is_removed = tunnels.network.routes_mut().remove_rule(&rule(args)?);
    if !is_removed {
        return Err("Failed to delete router rule: 2 (No such file or directory)".to_owned());
    }
    tunnels.switch.underlay_changed();
    Ok(OK.to_owned())
}

fn add_test_address(tunnels: &Tunnels, args: &[String], is_of_v4: bool) -> Result<String, String> {
    let [device, address] = args else { return Err("Unknown Dummy Interface".to_owned()) };
    let is_dummy = tunnels
        .datapaths
        .shared()
        .iter()
        .any(|below| below.datapath.port_by_name(device).is_some_and(|info| info.kind.is_dummy()));
    if !is_dummy {
        return Err("Unknown Dummy Interface".to_owned());
    }
    let found = network(address).filter(|(address, _)| is_v4(*address) == is_of_v4);
    let (address, prefix_len) = found.ok_or_else(|| format!("{address}: invalid IP address"))?;
    tunnels.network.routes_mut().add_test_address(device, Address { address, prefix_len });
    tunnels.switch.underlay_changed();
    Ok(OK.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn rules_are_read_as_the_reference_reads_them() {
        let read = rule(&words("not from=10.0.0.0/8 prio=5 table=main")).unwrap();
        assert_eq!((read.is_inverted, read.prefix_len, read.priority, read.table), (true, 8, 5, MAIN));
        assert!(!rule(&words("-6 from=all table=7")).unwrap().is_v4);
        for (text, error) in [
            ("table=7 x", "Invalid 'from' parameter"),
            ("from=10.0.0.0/40 table=7", "Invalid from=ip/plen"),
            ("from=all", "Not enough arguments"),
            ("from=all prio=4", "Not enough arguments"),
            ("from=all table=x", "Invalid 'table' format"),
        ] {
            assert_eq!(rule(&words(text)).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn networks_are_of_128_bits() {
        assert_eq!(network("10.0.0.1/24"), Some((0xffff_0a00_0001, 120)));
        assert_eq!(network("fc00::/7").map(|(_, len)| len), Some(7));
        assert_eq!(network("10.0.0.1"), Some((0xffff_0a00_0001, 128)));
        assert_eq!((network("10.0.0.1/33"), network("x")), (None, None));
    }
}
