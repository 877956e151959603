//! Bridges, real and fake, and looking them up.

use crate::cache::ROOT;
use crate::cache::{Bridge, Interface, Port};
use crate::context::{Context, Failure, Result, fatal};
use model::{Datum, Uuid};

/// Changes of what the lookups went by make the transaction start over.
pub(crate) fn verify_ports(context: &mut Context) {
    if std::mem::replace(&mut context.cache().verified, true) {
        return;
    }
    let root = context.root;
    context.transaction.verify(ROOT, &root, "bridges");
    for bridge in context.references(ROOT, &root, "bridges") {
        context.transaction.verify("Bridge", &bridge, "ports");
        for port in context.references("Bridge", &bridge, "ports") {
            context.transaction.verify("Port", &port, "interfaces");
        }
    }
}

pub(crate) fn find_bridge(context: &mut Context, name: &str) -> Option<Bridge> {
    let root = context.root;
    context.transaction.verify(ROOT, &root, "bridges");
    context.cache().bridges.get(name).cloned()
}

pub(crate) fn need_bridge(context: &mut Context, name: &str) -> Result<Bridge> {
    find_bridge(context, name).ok_or_else(|| Failure::Fatal(format!("no bridge named {name}")))
}

/// A bridge that has a row of its own.
pub(crate) fn need_real_bridge(context: &mut Context, name: &str) -> Result<Uuid> {
    match need_bridge(context, name)?.uuid {
        Some(uuid) => Ok(uuid),
        None => fatal!("{name} is a fake bridge"),
    }
}

/// The row of a bridge, or that of the real bridge that it is in.
pub(crate) fn real_row(context: &mut Context, bridge: &Bridge) -> Result<Uuid> {
    if let Some(uuid) = bridge.uuid {
        return Ok(uuid);
    }
    let parent = bridge.parent.clone().unwrap_or_default();
    need_real_bridge(context, &parent)
}

/// A port that is not the local port of its bridge.
pub(crate) fn find_port(context: &mut Context, name: &str) -> Option<Port> {
    verify_ports(context);
    context.cache().ports.get(name).filter(|port| port.bridge != name).cloned()
}

pub(crate) fn need_port(context: &mut Context, name: &str) -> Result<Port> {
    find_port(context, name).ok_or_else(|| Failure::Fatal(format!("no port named {name}")))
}

pub(crate) fn find_interface(context: &mut Context, name: &str) -> Option<Interface> {
    verify_ports(context);
    let cache = context.cache();
    let interface = cache.interfaces.get(name)?.clone();
    (cache.bridge_of(&interface) != Some(name)).then_some(interface)
}

pub(crate) fn need_interface(context: &mut Context, name: &str) -> Result<Interface> {
    find_interface(context, name).ok_or_else(|| Failure::Fatal(format!("no interface named {name}")))
}

/// Fails with `message` when anything has that name already.
pub(crate) fn check_conflicts(context: &mut Context, name: &str, message: &str) -> Result<()> {
    verify_ports(context);
    let cache = context.cache();
    if cache.bridges.contains_key(name) {
        fatal!("{message} because a bridge named {name} already exists");
    }
    if let Some(port) = cache.ports.get(name) {
        fatal!("{message} because a port named {name} already exists on bridge {}", port.bridge);
    }
    if let Some(interface) = cache.interfaces.get(name) {
        let bridge = cache.bridge_of(interface).unwrap_or_default();
        fatal!("{message} because an interface named {name} already exists on bridge {bridge}");
    }
    Ok(())
}

/// A whole decimal number; what else it may not be is for the schema to say.
pub(crate) fn number(text: &str, what: &str) -> Result<i64> {
    match text.trim().parse() {
        Ok(number) => Ok(number),
        Err(_) => fatal!("{text}: {what} must be a number between {} and {}", i64::MIN, i64::MAX),
    }
}

pub(crate) fn init(_: &mut Context) -> Result<()> {
    Ok(())
}

/// Inserts a port with one interface that the switch itself provides.
fn insert_local_port(context: &mut Context, name: &str) -> Uuid {
    let interface = context.transaction.insert("Interface");
    context.set("Interface", &interface, "name", name);
    context.set("Interface", &interface, "type", "internal");
    context.new_interfaces.push(interface);
    let port = context.transaction.insert("Port");
    context.set("Port", &port, "name", name);
    context.set("Port", &port, "interfaces", interface);
    port
}

pub(crate) fn add_br(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    if name.is_empty() {
        fatal!("bridge name must not be empty string");
    }
    let (parent, vlan) = match context.count() {
        2 => (None, 0),
        4 => (Some(context.arg(2).to_owned()), number(context.arg(3), "vlan")?),
        _ => fatal!("'{}' command takes exactly 1 or 3 arguments", context.arg(0)),
    };
    if !(0..=4095).contains(&vlan) {
        fatal!("{}: vlan must be between 0 and 4095", context.arg(0));
    }
    if context.has("--may-exist")
        && let Some(bridge) = find_bridge(context, &name)
    {
        return check_existing(&bridge, &name, parent.as_deref(), vlan);
    }
    check_conflicts(context, &name, &format!("cannot create a bridge named {name}"))?;
    match parent {
        None => {
            let port = insert_local_port(context, &name);
            let bridge = context.transaction.insert("Bridge");
            context.set("Bridge", &bridge, "name", name.as_str());
            context.set("Bridge", &bridge, "ports", port);
            let root = context.root;
            context.add_reference(ROOT, &root, "bridges", bridge);
        }
        Some(parent) => add_fake_bridge(context, &name, &parent, vlan)?,
    }
    context.forget_cache();
    Ok(())
}

fn check_existing(bridge: &Bridge, name: &str, parent: Option<&str>, vlan: i64) -> Result<()> {
    match (parent, &bridge.parent) {
        (None, None) => Ok(()),
        (None, Some(_)) => {
            fatal!("\"--may-exist add-br {name}\" but {name} is a VLAN bridge for VLAN {}", bridge.vlan)
        }
        (Some(parent), None) => {
            fatal!("\"--may-exist add-br {name} {parent} {vlan}\" but {name} is not a VLAN bridge")
        }
        (Some(parent), Some(actual)) if parent != actual => {
            fatal!("\"--may-exist add-br {name} {parent} {vlan}\" but {name} has the wrong parent {actual}")
        }
        (Some(parent), Some(_)) if bridge.vlan != vlan => fatal!(
            "\"--may-exist add-br {name} {parent} {vlan}\" but {name} is a VLAN bridge for the wrong VLAN {}",
            bridge.vlan
        ),
        (Some(_), Some(_)) => Ok(()),
    }
}

fn add_fake_bridge(context: &mut Context, name: &str, parent: &str, vlan: i64) -> Result<()> {
    let Some(real) = find_bridge(context, parent) else {
        fatal!("parent bridge {parent} does not exist");
    };
    let Some(uuid) = real.uuid else {
        fatal!("cannot create bridge with fake bridge as parent");
    };
    if let Some(conflict) = context.cache().vlan_bridge(parent, vlan) {
        fatal!("bridge {parent} already has a child VLAN bridge {} on VLAN {vlan}", conflict.name);
    }
    let port = insert_local_port(context, name);
    context.set("Port", &port, "fake_bridge", true);
    context.set("Port", &port, "tag", vlan);
    context.add_reference("Bridge", &uuid, "ports", port);
    Ok(())
}

/// Deletes a port and its interfaces.
pub(crate) fn delete_port(context: &mut Context, name: &str) -> Result<()> {
    let Some(port) = context.cache().ports.get(name).cloned() else { return Ok(()) };
    let bridge = need_bridge(context, &port.bridge)?;
    let row = real_row(context, &bridge)?;
    context.remove_reference("Bridge", &row, "ports", port.uuid);
    let cache = context.cache();
    let interfaces: Vec<Uuid> =
        port.interfaces.iter().filter_map(|i| cache.interfaces.shift_remove(i)).map(|i| i.uuid).collect();
    cache.ports.shift_remove(name);
    if let Some(bridge) = cache.bridges.get_mut(&port.bridge) {
        bridge.ports.retain(|port| port != name);
    }
    for interface in interfaces {
        context.transaction.delete("Interface", &interface);
    }
    context.transaction.delete("Port", &port.uuid);
    Ok(())
}

fn delete_bridge(context: &mut Context, name: &str) -> Result<()> {
    let bridge = need_bridge(context, name)?;
    let children: Vec<String> = {
        let bridges = context.cache().bridges.values();
        bridges.filter(|b| b.parent.as_deref() == Some(name)).map(|b| b.name.clone()).collect()
    };
    for child in children {
        delete_bridge(context, &child)?;
    }
    for port in need_bridge(context, name)?.ports {
        delete_port(context, &port)?;
    }
    if let Some(uuid) = bridge.uuid {
        let sets = context.transaction.rows("Flow_Sample_Collector_Set");
        let sets: Vec<Uuid> =
            sets.filter(|row| row.references("bridge").any(|b| b == uuid)).map(|row| row.uuid).collect();
        for set in sets {
            context.transaction.delete("Flow_Sample_Collector_Set", &set);
        }
        context.transaction.delete("Bridge", &uuid);
        let root = context.root;
        context.remove_reference(ROOT, &root, "bridges", uuid);
    }
    context.cache().bridges.shift_remove(name);
    Ok(())
}

pub(crate) fn del_br(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    if find_bridge(context, &name).is_none() {
        if context.has("--if-exists") {
            return Ok(());
        }
        fatal!("no bridge named {name}");
    }
    delete_bridge(context, &name)
}

pub(crate) fn list_br(context: &mut Context) -> Result<()> {
    let (real, fake) = (context.has("--real"), context.has("--fake"));
    let both = real == fake;
    let bridges = context.cache().bridges.values();
    let wanted = bridges.filter(|b| both || if b.parent.is_some() { fake } else { real });
    let names = wanted.map(|b| b.name.clone()).collect();
    context.print_sorted(names);
    Ok(())
}

pub(crate) fn br_exists(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    match find_bridge(context, &name) {
        Some(_) => Ok(()),
        None => Err(Failure::Exit(2)),
    }
}

pub(crate) fn br_to_vlan(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let vlan = need_bridge(context, &name)?.vlan;
    context.print(&vlan.to_string());
    Ok(())
}

pub(crate) fn br_to_parent(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let bridge = need_bridge(context, &name)?;
    context.print(&bridge.parent.unwrap_or(bridge.name));
    Ok(())
}

/// Where a bridge keeps its external ids: table, row, and what its keys begin with there.
fn external_ids(context: &mut Context) -> Result<(&'static str, Uuid, &'static str)> {
    let name = context.arg(1).to_owned();
    let bridge = need_bridge(context, &name)?;
    let place = match bridge.uuid {
        Some(uuid) => ("Bridge", uuid, ""),
        None => {
            let port = context.cache().ports.get(&name).map(|port| port.uuid);
            ("Port", port.unwrap_or_default(), "fake-bridge-")
        }
    };
    context.transaction.verify(place.0, &place.1, "external_ids");
    Ok(place)
}

pub(crate) fn br_set_external_id(context: &mut Context) -> Result<()> {
    let (table, uuid, prefix) = external_ids(context)?;
    let key = format!("{prefix}{}", context.arg(2));
    let value = (context.count() >= 4).then(|| context.arg(3).to_owned());
    context.transaction.set_key(table, &uuid, "external_ids", &key, value.as_deref());
    Ok(())
}

pub(crate) fn br_get_external_id(context: &mut Context) -> Result<()> {
    let (table, uuid, prefix) = external_ids(context)?;
    let ids = context.row(table, &uuid).map(|row| row.get("external_ids").clone()).unwrap_or_default();
    if context.count() >= 3 {
        let key = format!("{prefix}{}", context.arg(2));
        if let Some(value) = ids.get(&key) {
            context.print(value);
        }
        return Ok(());
    }
    for (key, value) in ids.pairs() {
        if let (Some(key), Some(value)) = (key.as_str().and_then(|k| k.strip_prefix(prefix)), value.as_str())
        {
            context.print(&format!("{key}={value}"));
        }
    }
    Ok(())
}

/// I-SIDs and VLANs of Auto Attach: the row that holds them, where there is one.
fn auto_attach(context: &mut Context) -> Result<(Uuid, Option<Uuid>)> {
    let name = context.arg(1).to_owned();
    let bridge = need_bridge(context, &name)?;
    let row = real_row(context, &bridge)?;
    Ok((row, context.references("Bridge", &row, "auto_attach").first().copied()))
}

fn mapping(context: &Context) -> Result<(i64, i64)> {
    let positive = |text: &str| match text.trim_start().bytes().next() {
        Some(c) if c.is_ascii_digit() => number(text, "argument"),
        _ => Err(Failure::Fatal(format!("Invalid argument {text}"))),
    };
    Ok((positive(context.arg(2))?, positive(context.arg(3))?))
}

pub(crate) fn add_aa_mapping(context: &mut Context) -> Result<()> {
    let (isid, vlan) = mapping(context)?;
    let (bridge, row) = auto_attach(context)?;
    let row = match row {
        Some(row) => row,
        None => {
            let row = context.transaction.insert("AutoAttach");
            context.set("Bridge", &bridge, "auto_attach", row);
            row
        }
    };
    let old = context.row("AutoAttach", &row).map(|row| row.get("mappings").clone()).unwrap_or_default();
    let mut mappings = Datum::map([(isid.into(), vlan.into())]);
    mappings.insert_all(&old);
    context.set("AutoAttach", &row, "mappings", mappings);
    Ok(())
}

pub(crate) fn del_aa_mapping(context: &mut Context) -> Result<()> {
    let (isid, vlan) = mapping(context)?;
    let (_, Some(row)) = auto_attach(context)? else { return Ok(()) };
    let Some(mut mappings) = context.row("AutoAttach", &row).map(|row| row.get("mappings").clone()) else {
        return Ok(());
    };
    mappings.remove_all(&Datum::map([(isid.into(), vlan.into())]));
    context.set("AutoAttach", &row, "mappings", mappings);
    Ok(())
}

pub(crate) fn get_aa_mapping(context: &mut Context) -> Result<()> {
    let (bridge, row) = auto_attach(context)?;
    context.transaction.verify("Bridge", &bridge, "auto_attach");
    let Some(row) = row else { return Ok(()) };
    context.transaction.verify("AutoAttach", &row, "mappings");
    let mappings = context.row("AutoAttach", &row).map(|row| row.get("mappings").clone()).unwrap_or_default();
    for (isid, vlan) in mappings.pairs() {
        context.print(&format!("{isid} {vlan}"));
    }
    Ok(())
}
