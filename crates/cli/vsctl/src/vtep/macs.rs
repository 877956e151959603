//! Addresses of logical switches, and the locators that they are behind.

use super::switches::need_logical;
use crate::context::{Context, Result};
use model::{Atom, Datum, Uuid};

const LOCATOR: &str = "Physical_Locator";
const LOCATOR_SET: &str = "Physical_Locator_Set";

/// Which addresses: those of this gateway, or of others.
#[derive(Clone, Copy)]
enum Side {
    Local,
    Remote,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Side::Local => "local",
            Side::Remote => "remote",
        }
    }

    fn unicast(self) -> &'static str {
        match self {
            Side::Local => "Ucast_Macs_Local",
            Side::Remote => "Ucast_Macs_Remote",
        }
    }

    fn multicast(self) -> &'static str {
        match self {
            Side::Local => "Mcast_Macs_Local",
            Side::Remote => "Mcast_Macs_Remote",
        }
    }
}

/// The words of a command: logical switch, address, and where it is behind.
struct Entry {
    switch: Uuid,
    mac: String,
    encapsulation: String,
    ip: String,
}

impl Entry {
    fn of(context: &Context) -> Result<Entry> {
        let switch = need_logical(context, context.arg(1))?;
        let (encapsulation, ip) = match context.count() {
            5 => (context.arg(3), context.arg(4)),
            _ => ("vxlan_over_ipv4", context.arg(3)),
        };
        Ok(Entry {
            switch,
            mac: context.arg(2).to_owned(),
            encapsulation: encapsulation.to_owned(),
            ip: ip.to_owned(),
        })
    }

    fn locator(&self, context: &Context) -> Option<Uuid> {
        let mut rows = context.transaction.rows(LOCATOR);
        let found = rows.find(|row| {
            row.text("encapsulation_type") == Some(&self.encapsulation)
                && row.text("dst_ip") == Some(&self.ip)
        });
        found.map(|row| row.uuid)
    }

    fn locator_or_new(&self, context: &mut Context) -> Uuid {
        if let Some(uuid) = self.locator(context) {
            return uuid;
        }
        let uuid = context.transaction.insert(LOCATOR);
        context.set(LOCATOR, &uuid, "dst_ip", self.ip.as_str());
        context.set(LOCATOR, &uuid, "encapsulation_type", self.encapsulation.as_str());
        uuid
    }

    /// The row of the address in a table, if there is one.
    fn row(&self, context: &Context, table: &str) -> Option<Uuid> {
        let rows = of_switch(context, table, &self.switch);
        rows.into_iter().find(|(mac, _)| *mac == self.mac).map(|(_, uuid)| uuid)
    }

    fn row_or_new(&self, context: &mut Context, table: &str) -> Uuid {
        if let Some(uuid) = self.row(context, table) {
            return uuid;
        }
        let uuid = context.transaction.insert(table);
        context.set(table, &uuid, "MAC", self.mac.as_str());
        context.set(table, &uuid, "logical_switch", self.switch);
        uuid
    }
}

/// The addresses of a logical switch in a table.
fn of_switch(context: &Context, table: &str, switch: &Uuid) -> Vec<(String, Uuid)> {
    let rows = context.transaction.rows(table);
    rows.filter(|row| row.references("logical_switch").any(|uuid| uuid == *switch))
        .map(|row| (row.text("MAC").unwrap_or_default().to_owned(), row.uuid))
        .collect()
}

fn add_unicast(context: &mut Context, side: Side) -> Result<()> {
    let entry = Entry::of(context)?;
    let locator = entry.locator_or_new(context);
    let row = entry.row_or_new(context, side.unicast());
    context.set(side.unicast(), &row, "locator", locator);
    Ok(())
}

fn delete_unicast(context: &mut Context, side: Side) -> Result<()> {
    let entry = Entry::of(context)?;
    if let Some(row) = entry.row(context, side.unicast()) {
        context.transaction.delete(side.unicast(), &row);
    }
    Ok(())
}

/// The locators of a group.
fn members(context: &Context, table: &str, row: &Uuid) -> Vec<Uuid> {
    let sets = context.references(table, row, "locator_set");
    sets.iter().flat_map(|set| context.references(LOCATOR_SET, set, "locators")).collect()
}

/// Gives a group other locators. A set never changes, so it gets another one.
fn set_members(context: &mut Context, table: &str, row: &Uuid, members: Vec<Uuid>) {
    let set = context.transaction.insert(LOCATOR_SET);
    let locators = Datum::set(members.into_iter().map(Atom::from));
    context.set(LOCATOR_SET, &set, "locators", locators);
    context.transaction.verify(table, row, "locator_set");
    context.set(table, row, "locator_set", set);
}

fn add_multicast(context: &mut Context, side: Side) -> Result<()> {
    let entry = Entry::of(context)?;
    let locator = entry.locator_or_new(context);
    let row = entry.row_or_new(context, side.multicast());
    let mut all = members(context, side.multicast(), &row);
    if !all.contains(&locator) {
        all.push(locator);
    }
    set_members(context, side.multicast(), &row, all);
    Ok(())
}

fn delete_multicast(context: &mut Context, side: Side) -> Result<()> {
    let entry = Entry::of(context)?;
    let (Some(row), Some(locator)) = (entry.row(context, side.multicast()), entry.locator(context)) else {
        return Ok(());
    };
    let mut left = members(context, side.multicast(), &row);
    left.retain(|member| *member != locator);
    if left.is_empty() {
        context.transaction.delete(side.multicast(), &row);
    } else {
        set_members(context, side.multicast(), &row, left);
    }
    Ok(())
}

fn clear(context: &mut Context, side: Side) -> Result<()> {
    let switch = need_logical(context, context.arg(1))?;
    for table in [side.unicast(), side.multicast()] {
        for (_, row) in of_switch(context, table, &switch) {
            context.transaction.delete(table, &row);
        }
    }
    Ok(())
}

fn list(context: &mut Context, side: Side) -> Result<()> {
    let switch = need_logical(context, context.arg(1))?;
    let line = |context: &Context, mac: &str, locator: &Uuid| {
        let text = |column: &str| context.text(LOCATOR, locator, column);
        format!("  {mac} -> {}/{}", text("encapsulation_type"), text("dst_ip"))
    };
    let mut unicast = Vec::new();
    for (mac, row) in of_switch(context, side.unicast(), &switch) {
        let locators = context.references(side.unicast(), &row, "locator");
        unicast.extend(locators.iter().map(|locator| line(context, &mac, locator)));
    }
    let mut multicast = Vec::new();
    for (mac, row) in of_switch(context, side.multicast(), &switch) {
        let locators = members(context, side.multicast(), &row);
        multicast.extend(locators.iter().map(|locator| line(context, &mac, locator)));
    }
    for (kind, lines) in [("ucast", unicast), ("mcast", multicast)] {
        context.print(&format!("{kind}-mac-{}", side.word()));
        context.print_sorted(lines);
        context.print("");
    }
    Ok(())
}

pub(super) fn add_ucast_local(context: &mut Context) -> Result<()> {
    add_unicast(context, Side::Local)
}

pub(super) fn add_ucast_remote(context: &mut Context) -> Result<()> {
    add_unicast(context, Side::Remote)
}

pub(super) fn del_ucast_local(context: &mut Context) -> Result<()> {
    delete_unicast(context, Side::Local)
}

pub(super) fn del_ucast_remote(context: &mut Context) -> Result<()> {
    delete_unicast(context, Side::Remote)
}

pub(super) fn add_mcast_local(context: &mut Context) -> Result<()> {
    add_multicast(context, Side::Local)
}

pub(super) fn add_mcast_remote(context: &mut Context) -> Result<()> {
    add_multicast(context, Side::Remote)
}

pub(super) fn del_mcast_local(context: &mut Context) -> Result<()> {
    delete_multicast(context, Side::Local)
}

pub(super) fn del_mcast_remote(context: &mut Context) -> Result<()> {
    delete_multicast(context, Side::Remote)
}

pub(super) fn clear_local(context: &mut Context) -> Result<()> {
    clear(context, Side::Local)
}

pub(super) fn clear_remote(context: &mut Context) -> Result<()> {
    clear(context, Side::Remote)
}

pub(super) fn list_local(context: &mut Context) -> Result<()> {
    list(context, Side::Local)
}

pub(super) fn list_remote(context: &mut Context) -> Result<()> {
    list(context, Side::Remote)
}
