//! `show`, `showmacs` and `showstp`, in bridge-utils' columns.

use super::Result;
use super::kernel;
use super::switch::Switch;

/// A line of "show", wherever the bridge is.
struct Shown {
    name: String,
    id: String,
    stp: bool,
    interfaces: Vec<String>,
}

pub(super) fn show(args: &[String]) -> Result {
    let switch = Switch::reach();
    let ours = |name: &str| {
        let bridge = switch.as_ref()?.bridge(name)?;
        let mut interfaces: Vec<String> = bridge.ports.iter().map(|port| port.name.clone()).collect();
        interfaces.sort();
        let id = format!("{:04x}.{}", bridge.priority, bridge.mac);
        Some(Shown { name: name.to_owned(), id, stp: bridge.stp, interfaces })
    };
    let theirs = |name: &str| {
        let dir = kernel::device(name).join("bridge");
        Shown {
            name: name.to_owned(),
            id: kernel::text(&dir, "bridge_id"),
            stp: kernel::number(&dir, "stp_state") != 0,
            interfaces: kernel::interfaces(name),
        }
    };
    if args.is_empty() {
        let mut names = kernel::bridges().map_err(|e| format!("can't get info: {}", rpc::error_text(&e)))?;
        names.extend(switch.iter().flat_map(|switch| switch.bridges.iter().map(|b| b.name.clone())));
        names.sort();
        names.dedup();
        let shown: Vec<Shown> = names.iter().map(|name| ours(name).unwrap_or_else(|| theirs(name))).collect();
        if !shown.is_empty() {
            print_header();
        }
        shown.iter().for_each(print);
        return Ok(());
    }
    let mut has_header = false;
    for name in args {
        let shown = match ours(name) {
            Some(shown) => shown,
            None if kernel::is_bridge(name) => theirs(name),
            None if kernel::exists(name) => return Err(format!("device {name} is not a bridge!")),
            None => return Err(format!("bridge {name} does not exist!")),
        };
        if !std::mem::replace(&mut has_header, true) {
            print_header();
        }
        print(&shown);
    }
    Ok(())
}

fn print_header() {
    println!("bridge name\tbridge id\t\tSTP enabled\tinterfaces");
}

fn print(shown: &Shown) {
    let stp = if shown.stp { "yes" } else { "no" };
    let mut interfaces = shown.interfaces.iter().map(String::as_str);
    println!("{}\t\t{}\t{stp}\t\t{}", shown.name, shown.id, interfaces.next().unwrap_or_default());
    for interface in interfaces {
        println!("\t\t\t\t\t\t\t{interface}");
    }
}

pub(super) fn macs(args: &[String]) -> Result {
    let [name] = args else { return Ok(()) };
    // Port, address as text, whether it is the port's own, age in hundredths of a second.
    let mut rows: Vec<(u32, String, bool, u64)> = Vec::new();
    match Switch::that_has(name) {
        Some(switch) => {
            let ports = switch.bridge(name).map(|bridge| bridge.ports.as_slice()).unwrap_or_default();
            let own = ports.iter().filter(|port| !port.mac.is_empty());
            rows.extend(own.map(|port| (port.number, port.mac.clone(), true, 0)));
            let learned = Switch::learned(name)?;
            rows.extend(learned.into_iter().map(|(port, mac, age)| (port, mac, false, age * 100)));
        }
        None => {
            let known = kernel::known(name);
            let known =
                known.map_err(|e| format!("read of forward table failed: {}", rpc::error_text(&e)))?;
            let text = |mac: [u8; 6]| base::MacAddr(mac).to_string();
            rows.extend(known.iter().map(|k| (k.port, text(k.mac), k.is_local, u64::from(k.age))));
        }
    }
    rows.sort_by(|a, b| a.1.cmp(&b.1));
    println!("port no\tmac addr\t\tis local?\tageing timer");
    for (port, mac, is_local, age) in rows {
        println!("{port:3}\t{mac}\t{}\t\t{}", if is_local { "yes" } else { "no" }, seconds(age));
    }
    Ok(())
}

/// Hundredths of a second as "   0.00".
fn seconds(hundredths: u64) -> String {
    format!("{:4}.{:02}", hundredths / 100, hundredths % 100)
}

pub(super) fn stp(args: &[String]) -> Result {
    let [name] = args else { return Ok(()) };
    if Switch::that_has(name).is_some() {
        return Err(format!("{name} is a bridge of the switch: 'ovs-appctl stp/show {name}' shows its STP"));
    }
    if !kernel::is_bridge(name) {
        let what = if kernel::exists(name) { "device" } else { "bridge" };
        let why = if kernel::exists(name) { "is not a bridge!" } else { "does not exist!" };
        return Err(format!("{what} {name} {why}"));
    }
    print!("{}", bridge_stp(name));
    for port in kernel::interfaces(name) {
        print!("{}", port_stp(&port));
    }
    Ok(())
}

fn bridge_stp(name: &str) -> String {
    let dir = kernel::device(name).join("bridge");
    let text = |attribute: &str| kernel::text(&dir, attribute);
    let number = |attribute: &str| kernel::number(&dir, attribute);
    let time = |attribute: &str| seconds(number(attribute));
    let mut flags = String::new();
    if number("topology_change") != 0 {
        flags.push_str("TOPOLOGY_CHANGE ");
    }
    if number("topology_change_detected") != 0 {
        flags.push_str("TOPOLOGY_CHANGE_DETECTED ");
    }
    format!(
        "{name}\n bridge id\t\t{id}\n designated root\t{root}\n root port\t\t{port:4}\t\t\tpath cost\t\t{cost:4}\n \
         max age\t\t{age}\t\t\tbridge max age\t\t{age}\n hello time\t\t{hello}\t\t\tbridge hello time\t{hello}\n \
         forward delay\t\t{delay}\t\t\tbridge forward delay\t{delay}\n ageing time\t\t{ageing}\n \
         hello timer\t\t{hello_timer}\t\t\ttcn timer\t\t{tcn}\n topology change timer\t{change}\t\t\tgc timer\t\t{gc}\n \
         flags\t\t\t{flags}\n\n\n",
        id = text("bridge_id"),
        root = text("root_id"),
        port = number("root_port"),
        cost = number("root_path_cost"),
        age = time("max_age"),
        hello = time("hello_time"),
        delay = time("forward_delay"),
        ageing = time("ageing_time"),
        hello_timer = time("hello_timer"),
        tcn = time("tcn_timer"),
        change = time("topology_change_timer"),
        gc = time("gc_timer"),
    )
}

fn port_stp(name: &str) -> String {
    const STATES: [&str; 5] = ["disabled", "listening", "learning", "forwarding", "blocking"];
    let dir = kernel::device(name).join("brport");
    let text = |attribute: &str| kernel::text(&dir, attribute);
    let number = |attribute: &str| kernel::number(&dir, attribute);
    let time = |attribute: &str| seconds(number(attribute));
    let state =
        usize::try_from(number("state")).ok().and_then(|state| STATES.get(state)).unwrap_or(&"unknown");
    let mut flags = String::new();
    if number("change_ack") != 0 {
        flags.push_str("TOPOLOGY_CHANGE_ACK ");
    }
    if number("config_pending") != 0 {
        flags.push_str("CONFIG_PENDING ");
    }
    let hairpin = match number("hairpin_mode") {
        0 => String::new(),
        mode => format!(" hairpin mode\t\t{mode:4}\n"),
    };
    format!(
        "{name} ({no})\n port id\t\t{id:04x}\t\t\tstate\t\t{state:>15}\n \
         designated root\t{root}\tpath cost\t\t{cost:4}\n \
         designated bridge\t{bridge}\tmessage age timer\t{age}\n \
         designated port\t{port:04x}\t\t\tforward delay timer\t{delay}\n \
         designated cost\t{designated_cost:4}\t\t\thold timer\t\t{hold}\n flags\t\t\t{flags}\n{hairpin}\n",
        no = number("port_no"),
        id = number("port_id"),
        root = text("designated_root"),
        cost = number("path_cost"),
        bridge = text("designated_bridge"),
        age = time("message_age_timer"),
        port = number("designated_port"),
        delay = time("forward_delay_timer"),
        designated_cost = number("designated_cost"),
        hold = time("hold_timer"),
    )
}
