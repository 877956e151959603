//! Physical switches and their ports, logical switches and routers, and the
//! VLANs that bind them.

use super::ROOT;
use crate::context::{Context, Failure, Result, fatal};
use model::{Atom, Datum, Uuid};

const SWITCH: &str = "Physical_Switch";
const PORT: &str = "Physical_Port";
const LOGICAL: &str = "Logical_Switch";
const ROUTER: &str = "Logical_Router";

/// The rows of a table, by name and in their order.
fn all(context: &Context, table: &str) -> Vec<(String, Uuid)> {
    let rows = context.transaction.rows(table);
    rows.map(|row| (row.text("name").unwrap_or_default().to_owned(), row.uuid)).collect()
}

/// The physical switches that the gateway has.
fn switches(context: &mut Context) -> Vec<(String, Uuid)> {
    let root = context.root;
    context.transaction.verify(ROOT, &root, "switches");
    let uuids = context.references(ROOT, &root, "switches");
    uuids.into_iter().map(|uuid| (context.text(SWITCH, &uuid, "name"), uuid)).collect()
}

fn named(rows: Vec<(String, Uuid)>, name: &str) -> Option<Uuid> {
    rows.into_iter().find(|(known, _)| known == name).map(|(_, uuid)| uuid)
}

fn find_switch(context: &mut Context, name: &str) -> Option<Uuid> {
    named(switches(context), name)
}

fn need_switch(context: &mut Context, name: &str) -> Result<Uuid> {
    find_switch(context, name).ok_or_else(|| Failure::Fatal(format!("no physical switch named {name}")))
}

/// The ports of a switch.
fn ports(context: &mut Context, switch: &Uuid) -> Vec<(String, Uuid)> {
    context.transaction.verify(SWITCH, switch, "ports");
    let uuids = context.references(SWITCH, switch, "ports");
    uuids.into_iter().map(|uuid| (context.text(PORT, &uuid, "name"), uuid)).collect()
}

/// A port of a switch; one of the switch's own name is none.
fn find_port(context: &mut Context, switch: &str, port: &str) -> Option<Uuid> {
    let uuid = find_switch(context, switch)?;
    named(ports(context, &uuid), port).filter(|_| port != switch)
}

fn need_port(context: &mut Context, switch: &str, port: &str) -> Result<Uuid> {
    find_port(context, switch, port).ok_or_else(|| Failure::Fatal(format!("no port named {port}")))
}

/// The logical switch of this name.
pub(super) fn need_logical(context: &Context, name: &str) -> Result<Uuid> {
    let found = named(all(context, LOGICAL), name);
    found.ok_or_else(|| Failure::Fatal(format!("no logical switch named {name}")))
}

fn args<const N: usize>(context: &Context) -> [String; N] {
    std::array::from_fn(|at| context.arg(at + 1).to_owned())
}

fn print_names(context: &mut Context, rows: Vec<(String, Uuid)>) {
    context.print_sorted(rows.into_iter().map(|(name, _)| name).collect());
}

/// A row that does not exist is exit status 2.
fn exists(found: Option<Uuid>) -> Result<()> {
    found.map(drop).ok_or(Failure::Exit(2))
}

pub(super) fn add_ps(context: &mut Context) -> Result<()> {
    let [name] = args(context);
    if find_switch(context, &name).is_some() {
        if context.has("--may-exist") {
            return Ok(());
        }
        fatal!("cannot create physical switch {name} because it already exists");
    }
    let uuid = context.transaction.insert(SWITCH);
    context.set(SWITCH, &uuid, "name", name.as_str());
    let root = context.root;
    context.add_reference(ROOT, &root, "switches", uuid);
    Ok(())
}

pub(super) fn del_ps(context: &mut Context) -> Result<()> {
    let [name] = args(context);
    if context.has("--if-exists") && find_switch(context, &name).is_none() {
        return Ok(());
    }
    let uuid = need_switch(context, &name)?;
    for (_, port) in ports(context, &uuid) {
        context.transaction.delete(PORT, &port);
    }
    let root = context.root;
    context.remove_reference(ROOT, &root, "switches", uuid);
    context.transaction.delete(SWITCH, &uuid);
    Ok(())
}

pub(super) fn list_ps(context: &mut Context) -> Result<()> {
    let rows = switches(context);
    print_names(context, rows);
    Ok(())
}

pub(super) fn ps_exists(context: &mut Context) -> Result<()> {
    let [name] = args(context);
    exists(find_switch(context, &name))
}

pub(super) fn list_ports(context: &mut Context) -> Result<()> {
    let [name] = args(context);
    let uuid = need_switch(context, &name)?;
    let rows = ports(context, &uuid).into_iter().filter(|(port, _)| *port != name).collect();
    print_names(context, rows);
    Ok(())
}

pub(super) fn add_port(context: &mut Context) -> Result<()> {
    let [switch, port] = args(context);
    if find_port(context, &switch, &port).is_some() {
        if context.has("--may-exist") {
            return Ok(());
        }
        fatal!("cannot create a port named {port} on {switch} because a port with that name already exists");
    }
    let owner = need_switch(context, &switch)?;
    let uuid = context.transaction.insert(PORT);
    context.set(PORT, &uuid, "name", port.as_str());
    context.add_reference(SWITCH, &owner, "ports", uuid);
    Ok(())
}

pub(super) fn del_port(context: &mut Context) -> Result<()> {
    let [switch, port] = args(context);
    if context.has("--if-exists") && find_port(context, &switch, &port).is_none() {
        return Ok(());
    }
    let uuid = need_port(context, &switch, &port)?;
    let owner = need_switch(context, &switch)?;
    context.remove_reference(SWITCH, &owner, "ports", uuid);
    context.transaction.delete(PORT, &uuid);
    Ok(())
}

/// "add-ls" and "add-lr".
fn add(context: &mut Context, table: &str, what: &str) -> Result<()> {
    let [name] = args(context);
    if named(all(context, table), &name).is_some() {
        if context.has("--may-exist") {
            return Ok(());
        }
        fatal!("cannot create {what} {name} because it already exists");
    }
    let uuid = context.transaction.insert(table);
    context.set(table, &uuid, "name", name.as_str());
    Ok(())
}

fn delete(context: &mut Context, table: &str, what: &str) -> Result<()> {
    let [name] = args(context);
    match named(all(context, table), &name) {
        Some(uuid) => context.transaction.delete(table, &uuid),
        None if context.has("--if-exists") => {}
        None => fatal!("no {what} named {name}"),
    }
    Ok(())
}

fn list(context: &mut Context, table: &str) -> Result<()> {
    let rows = all(context, table);
    print_names(context, rows);
    Ok(())
}

fn has(context: &mut Context, table: &str) -> Result<()> {
    let [name] = args(context);
    exists(named(all(context, table), &name))
}

pub(super) fn add_ls(context: &mut Context) -> Result<()> {
    add(context, LOGICAL, "logical switch")
}

pub(super) fn del_ls(context: &mut Context) -> Result<()> {
    delete(context, LOGICAL, "logical switch")
}

pub(super) fn list_ls(context: &mut Context) -> Result<()> {
    list(context, LOGICAL)
}

pub(super) fn ls_exists(context: &mut Context) -> Result<()> {
    has(context, LOGICAL)
}

pub(super) fn add_lr(context: &mut Context) -> Result<()> {
    add(context, ROUTER, "logical router")
}

pub(super) fn del_lr(context: &mut Context) -> Result<()> {
    delete(context, ROUTER, "logical router")
}

pub(super) fn list_lr(context: &mut Context) -> Result<()> {
    list(context, ROUTER)
}

pub(super) fn lr_exists(context: &mut Context) -> Result<()> {
    has(context, ROUTER)
}

/// The VLANs of a port with their logical switches.
fn bindings(context: &Context, port: &Uuid) -> Vec<(i64, Uuid)> {
    let Some(row) = context.row(PORT, port) else { return Vec::new() };
    let pairs = row.get("vlan_bindings").pairs().iter();
    pairs.filter_map(|(vlan, switch)| Some((vlan.as_integer()?, switch.as_uuid()?))).collect()
}

fn set_bindings(context: &mut Context, port: &Uuid, bindings: Vec<(i64, Uuid)>) {
    let pairs = bindings.into_iter().map(|(vlan, switch)| (Atom::from(vlan), Atom::from(switch)));
    context.transaction.verify(PORT, port, "vlan_bindings");
    context.set(PORT, port, "vlan_bindings", Datum::map(pairs));
}

fn vlan_of(text: &str) -> Result<i64> {
    let number = text.parse().ok().filter(|vlan| (0..=4095).contains(vlan));
    number.ok_or_else(|| Failure::Fatal(format!("{text}: a VLAN from 0 to 4095 expected")))
}

pub(super) fn list_bindings(context: &mut Context) -> Result<()> {
    let [switch, port] = args(context);
    let port = need_port(context, &switch, &port)?;
    let lines = bindings(context, &port);
    let lines =
        lines.iter().map(|(vlan, switch)| format!("{vlan:04} {}", context.text(LOGICAL, switch, "name")));
    let lines = lines.collect();
    context.print_sorted(lines);
    Ok(())
}

pub(super) fn bind_ls(context: &mut Context) -> Result<()> {
    let [switch, port, vlan, logical] = args(context);
    let port = need_port(context, &switch, &port)?;
    let logical = need_logical(context, &logical)?;
    let number = vlan_of(&vlan)?;
    let mut all = bindings(context, &port);
    if all.iter().any(|(known, _)| *known == number) {
        fatal!("multiple bindings for vlan {vlan}");
    }
    all.push((number, logical));
    set_bindings(context, &port, all);
    Ok(())
}

pub(super) fn unbind_ls(context: &mut Context) -> Result<()> {
    let [switch, port, vlan] = args(context);
    let port = need_port(context, &switch, &port)?;
    let number = vlan_of(&vlan)?;
    let mut all = bindings(context, &port);
    let before = all.len();
    all.retain(|(known, _)| *known != number);
    if all.len() == before {
        fatal!("no binding for vlan {vlan}");
    }
    set_bindings(context, &port, all);
    Ok(())
}

pub(super) fn set_replication_mode(context: &mut Context) -> Result<()> {
    let [name, mode] = args(context);
    if !["service_node", "source_node"].contains(&mode.as_str()) {
        fatal!("Replication mode must be 'service_node' or 'source_node'");
    }
    let uuid = need_logical(context, &name)?;
    context.set(LOGICAL, &uuid, "replication_mode", mode.as_str());
    Ok(())
}

pub(super) fn get_replication_mode(context: &mut Context) -> Result<()> {
    let [name] = args(context);
    let uuid = need_logical(context, &name)?;
    let mode = context.text(LOGICAL, &uuid, "replication_mode");
    // As the reference writes what is not there.
    context.print(if mode.is_empty() { "(null)" } else { &mode });
    Ok(())
}
