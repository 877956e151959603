//! Controllers, managers, fail modes and TLS keys.

use crate::bridges::{need_bridge, need_real_bridge, number, real_row};
use crate::cache::ROOT;
use crate::context::{Context, Result, fatal};
use model::{Atom, Datum, Uuid};
use rpc::stream::{is_active_name, is_passive_name};

/// Rows with a "target" that a column refers to: controllers of a bridge, managers of the switch.
struct Targets {
    table: &'static str,
    owner_table: &'static str,
    owner: Uuid,
    column: &'static str,
}

impl Targets {
    fn of_bridge(bridge: Uuid) -> Targets {
        Targets { table: "Controller", owner_table: "Bridge", owner: bridge, column: "controller" }
    }

    fn managers(context: &Context) -> Targets {
        Targets {
            table: "Manager",
            owner_table: context.profile.root,
            owner: context.root,
            column: context.profile.managers,
        }
    }

    fn uuids(&self, context: &Context) -> Vec<Uuid> {
        context.references(self.owner_table, &self.owner, self.column)
    }

    fn verify(&self, context: &mut Context) {
        context.transaction.verify(self.owner_table, &self.owner, self.column);
        for uuid in self.uuids(context) {
            context.transaction.verify(self.table, &uuid, "target");
        }
    }

    fn print(&self, context: &mut Context) {
        self.verify(context);
        let uuids = self.uuids(context);
        let mut targets: Vec<String> =
            uuids.iter().map(|uuid| context.text(self.table, uuid, "target")).collect();
        if self.table == "Manager" {
            targets.sort();
            targets.dedup();
        }
        context.print_sorted(targets);
    }

    fn delete(&self, context: &mut Context) {
        self.verify(context);
        for uuid in self.uuids(context) {
            context.transaction.delete(self.table, &uuid);
        }
        context.set(self.owner_table, &self.owner, self.column, Datum::Empty);
    }

    fn insert(&self, context: &mut Context, targets: &[String]) -> Result<()> {
        let probe = context.option("--inactivity-probe");
        let probe = probe.map(|text| number(text, "--inactivity-probe")).transpose()?;
        let mut uuids = Vec::new();
        for target in targets {
            if !is_active_name(target) && !is_passive_name(target) {
                log::warn!(target: "vsctl", "target type \"{target}\" is possibly erroneous");
            }
            let uuid = context.transaction.insert(self.table);
            context.set(self.table, &uuid, "target", target.as_str());
            if let Some(probe) = probe {
                context.set(self.table, &uuid, "inactivity_probe", probe);
            }
            uuids.push(Atom::from(uuid));
        }
        context.set(self.owner_table, &self.owner, self.column, Datum::set(uuids));
        Ok(())
    }
}

pub(crate) fn get_controller(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let bridge = need_bridge(context, &name)?;
    let row = real_row(context, &bridge)?;
    Targets::of_bridge(row).print(context);
    Ok(())
}

pub(crate) fn del_controller(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let bridge = need_real_bridge(context, &name)?;
    Targets::of_bridge(bridge).delete(context);
    Ok(())
}

pub(crate) fn set_controller(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let targets = Targets::of_bridge(need_real_bridge(context, &name)?);
    targets.delete(context);
    let words = context.args(2);
    targets.insert(context, &words)
}

pub(crate) fn get_manager(context: &mut Context) -> Result<()> {
    Targets::managers(context).print(context);
    Ok(())
}

pub(crate) fn del_manager(context: &mut Context) -> Result<()> {
    Targets::managers(context).delete(context);
    Ok(())
}

pub(crate) fn set_manager(context: &mut Context) -> Result<()> {
    let targets = Targets::managers(context);
    targets.delete(context);
    let words = context.args(1);
    targets.insert(context, &words)
}

pub(crate) fn get_fail_mode(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let bridge = need_bridge(context, &name)?;
    let row = real_row(context, &bridge)?;
    context.transaction.verify("Bridge", &row, "fail_mode");
    let mode = context.text("Bridge", &row, "fail_mode");
    if !mode.is_empty() {
        context.print(&mode);
    }
    Ok(())
}

pub(crate) fn del_fail_mode(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let bridge = need_real_bridge(context, &name)?;
    context.set("Bridge", &bridge, "fail_mode", Datum::Empty);
    Ok(())
}

pub(crate) fn set_fail_mode(context: &mut Context) -> Result<()> {
    let (name, mode) = (context.arg(1).to_owned(), context.arg(2).to_owned());
    let bridge = need_real_bridge(context, &name)?;
    if mode != "standalone" && mode != "secure" {
        fatal!("fail-mode must be \"standalone\" or \"secure\"");
    }
    context.set("Bridge", &bridge, "fail_mode", mode);
    Ok(())
}

fn ssl(context: &mut Context) -> Option<Uuid> {
    let root = context.root;
    context.transaction.verify(ROOT, &root, "ssl");
    context.references(ROOT, &root, "ssl").first().copied()
}

pub(crate) fn get_ssl(context: &mut Context) -> Result<()> {
    let Some(uuid) = ssl(context) else { return Ok(()) };
    for column in ["private_key", "certificate", "ca_cert", "bootstrap_ca_cert"] {
        context.transaction.verify("SSL", &uuid, column);
    }
    for (title, column) in
        [("Private key", "private_key"), ("Certificate", "certificate"), ("CA Certificate", "ca_cert")]
    {
        let text = context.text("SSL", &uuid, column);
        context.print(&format!("{title}: {text}"));
    }
    let bootstrap = context.row("SSL", &uuid).and_then(|row| row.boolean("bootstrap_ca_cert"));
    context.print(&format!("Bootstrap: {}", bootstrap.unwrap_or(false)));
    Ok(())
}

pub(crate) fn del_ssl(context: &mut Context) -> Result<()> {
    if let Some(uuid) = ssl(context) {
        context.transaction.delete("SSL", &uuid);
        let root = context.root;
        context.set(ROOT, &root, "ssl", Datum::Empty);
    }
    Ok(())
}

pub(crate) fn set_ssl(context: &mut Context) -> Result<()> {
    del_ssl(context)?;
    let uuid = context.transaction.insert("SSL");
    for (column, at) in [("private_key", 1), ("certificate", 2), ("ca_cert", 3)] {
        let path = context.arg(at).to_owned();
        context.set("SSL", &uuid, column, path);
    }
    let bootstrap = context.has("--bootstrap");
    context.set("SSL", &uuid, "bootstrap_ca_cert", bootstrap);
    let root = context.root;
    context.set(ROOT, &root, "ssl", uuid);
    Ok(())
}
