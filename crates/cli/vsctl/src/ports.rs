//! Ports, bonds and interfaces.

use crate::bridges::{
    check_conflicts, delete_port, find_bridge, find_interface, find_port, need_bridge, need_interface,
    need_port, real_row, verify_ports,
};
use crate::columns::set;
use crate::context::{Context, Failure, Result, fatal};
use crate::names;
use model::{Atom, Datum};

pub(crate) fn list_ports(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let bridge = need_bridge(context, &name)?;
    let row = real_row(context, &bridge)?;
    context.transaction.verify("Bridge", &row, "ports");
    context.print_sorted(bridge.ports.into_iter().filter(|port| *port != bridge.name).collect());
    Ok(())
}

pub(crate) fn list_ifaces(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let bridge = need_bridge(context, &name)?;
    verify_ports(context);
    let cache = context.cache();
    let ports = bridge.ports.iter().filter_map(|port| cache.ports.get(port));
    let names = ports.flat_map(|port| port.interfaces.clone()).filter(|name| *name != bridge.name).collect();
    context.print_sorted(names);
    Ok(())
}

pub(crate) fn port_to_br(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let port = need_port(context, &name)?;
    context.print(&port.bridge);
    Ok(())
}

pub(crate) fn iface_to_br(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let interface = need_interface(context, &name)?;
    let bridge = context.cache().bridge_of(&interface).unwrap_or_default().to_owned();
    context.print(&bridge);
    Ok(())
}

pub(crate) fn add_port(context: &mut Context) -> Result<()> {
    let (bridge, port) = (context.arg(1).to_owned(), context.arg(2).to_owned());
    let settings = context.args(3);
    insert_port(context, &bridge, &port, std::slice::from_ref(&port), &settings, false)
}

pub(crate) fn add_bond(context: &mut Context) -> Result<()> {
    let (bridge, port) = (context.arg(1).to_owned(), context.arg(2).to_owned());
    let words = context.args(3);
    let n = words.iter().position(|word| word.contains('=')).unwrap_or(words.len());
    if n < 2 {
        fatal!("add-bond requires at least 2 interfaces, but only {n} were specified");
    }
    let (interfaces, settings) = words.split_at(n);
    let fake = context.has("--fake-iface");
    insert_port(context, &bridge, &port, interfaces, settings, fake)
}

/// With `--may-exist`: true when the port is there, on that bridge, of these interfaces.
fn exists(context: &mut Context, bridge: &str, name: &str, interfaces: &[String]) -> Result<bool> {
    let Some(port) = find_port(context, name) else { return Ok(false) };
    if port.bridge != bridge {
        let command = context.command_text();
        fatal!("\"{command}\" but {name} is actually attached to bridge {}", port.bridge);
    }
    let (mut have, mut want) = (port.interfaces, interfaces.to_vec());
    have.sort();
    want.sort();
    if have != want {
        let (command, have) = (context.command_text(), have.join(", "));
        fatal!("\"{command}\" but {name} actually has interface(s) {have}");
    }
    Ok(true)
}

fn insert_port(
    context: &mut Context,
    bridge_name: &str,
    name: &str,
    interfaces: &[String],
    settings: &[String],
    fake_interface: bool,
) -> Result<()> {
    if name.is_empty() {
        fatal!("port name must not be empty string");
    }
    if interfaces.iter().any(String::is_empty) {
        fatal!("interface name must not be empty string");
    }
    if context.has("--may-exist") && exists(context, bridge_name, name, interfaces)? {
        return Ok(());
    }
    check_conflicts(context, name, &format!("cannot create a port named {name}"))?;
    for interface in interfaces {
        check_conflicts(context, interface, &format!("cannot create an interface named {interface}"))?;
    }
    let bridge = need_bridge(context, bridge_name)?;
    let mut uuids = Vec::new();
    for interface in interfaces {
        let uuid = context.transaction.insert("Interface");
        context.set("Interface", &uuid, "name", interface.as_str());
        context.new_interfaces.push(uuid);
        uuids.push(uuid);
    }
    let port = context.transaction.insert("Port");
    context.set("Port", &port, "name", name);
    context.set("Port", &port, "interfaces", Datum::set(uuids.iter().map(|uuid| Atom::from(*uuid))));
    context.set("Port", &port, "bond_fake_iface", fake_interface);
    if bridge.parent.is_some() {
        context.set("Port", &port, "tag", bridge.vlan);
    }
    let table = names::table(context.profile, "Port")?;
    for setting in settings {
        set(context, table, &port, setting)?;
    }
    let row = real_row(context, &bridge)?;
    context.add_reference("Bridge", &row, "ports", port);
    let Some(row) = context.row("Port", &port).cloned() else { return Ok(()) };
    let real = bridge.parent.unwrap_or(bridge.name);
    let cache = context.cache();
    cache.add_port(name, &row, &real);
    for (interface, uuid) in interfaces.iter().zip(uuids) {
        cache.add_interface(interface, uuid, name);
    }
    Ok(())
}

pub(crate) fn add_bond_iface(context: &mut Context) -> Result<()> {
    let (port_name, name) = (context.arg(1).to_owned(), context.arg(2).to_owned());
    let port = need_port(context, &port_name)?;
    if context.has("--may-exist")
        && let Some(interface) = find_interface(context, &name)
    {
        if interface.port == port_name {
            return Ok(());
        }
        let command = context.command_text();
        fatal!("\"{command}\" but {name} is actually attached to port {}", interface.port);
    }
    check_conflicts(context, &name, &format!("cannot create an interface named {name}"))?;
    let uuid = context.transaction.insert("Interface");
    context.set("Interface", &uuid, "name", name.as_str());
    context.add_reference("Port", &port.uuid, "interfaces", uuid);
    context.new_interfaces.push(uuid);
    context.cache().add_interface(&name, uuid, &port_name);
    Ok(())
}

pub(crate) fn del_bond_iface(context: &mut Context) -> Result<()> {
    let name = context.arg(context.count() - 1).to_owned();
    let interface = match find_interface(context, &name) {
        Some(interface) => interface,
        None if context.has("--if-exists") => return Ok(()),
        None => fatal!("no interface named {name}"),
    };
    if context.count() > 2 {
        let port = context.arg(1).to_owned();
        need_port(context, &port)?;
        if interface.port != port {
            fatal!("port {port} does not have an interface {name}");
        }
    }
    let Some(port) = context.cache().ports.get(&interface.port).cloned() else { return Ok(()) };
    if port.interfaces.len() < 2 {
        fatal!("cannot delete last interface from port {}", interface.port);
    }
    context.remove_reference("Port", &port.uuid, "interfaces", interface.uuid);
    context.transaction.delete("Interface", &interface.uuid);
    context.forget_cache();
    Ok(())
}

pub(crate) fn del_port(context: &mut Context) -> Result<()> {
    let must_exist = !context.has("--if-exists");
    let target = context.arg(context.count() - 1).to_owned();
    if find_bridge(context, &target).is_some() {
        if must_exist {
            fatal!(
                "cannot delete port {target} because it is the local port for bridge {target} (deleting this port \
                 requires deleting the entire bridge)"
            );
        }
        return Ok(());
    }
    let mut name = find_port(context, &target).map(|_| target.clone());
    if context.has("--with-iface") {
        name = name.or_else(|| find_interface(context, &target).map(|interface| interface.port));
    }
    let Some(name) = name else {
        return match (must_exist, context.has("--with-iface")) {
            (false, _) => Ok(()),
            (true, true) => Err(Failure::Fatal(format!("no port or interface named {target}"))),
            (true, false) => Err(Failure::Fatal(format!("no port named {target}"))),
        };
    };
    if context.count() == 3 {
        check_on_bridge(context, &name)?;
    }
    delete_port(context, &name)
}

/// The port must be on the bridge that the first argument names.
fn check_on_bridge(context: &mut Context, name: &str) -> Result<()> {
    let (bridge_name, typed) = (context.arg(1).to_owned(), context.arg(2).to_owned());
    need_bridge(context, &bridge_name)?;
    let cache = context.cache();
    let actual = cache.ports.get(name).map(|port| port.bridge.clone()).unwrap_or_default();
    if actual == bridge_name {
        return Ok(());
    }
    let parent = cache.bridges.get(&actual).and_then(|bridge| bridge.parent.as_deref());
    if parent == Some(&*bridge_name) {
        fatal!("bridge {bridge_name} does not have a port {typed} (although its child bridge {actual} does)");
    }
    fatal!("bridge {bridge_name} does not have a port {typed}");
}
