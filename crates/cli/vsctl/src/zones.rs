//! Connection tracking zones of a datapath: timeout policies and limits; and what a datapath can do.

use crate::bridges::number;
use crate::cache::ROOT;
use crate::context::{Context, Failure, Result, fatal};
use model::{Atom, Datum, Uuid};

fn find_datapath(context: &Context, name: &str) -> Option<Uuid> {
    let row = context.root_row()?;
    row.get("datapaths").value_of(&Atom::from(name))?.as_uuid()
}

fn datapath(context: &Context) -> Result<Uuid> {
    let name = context.arg(1);
    find_datapath(context, name).ok_or_else(|| Failure::Fatal(format!("datapath {name} does not exist")))
}

fn listed_datapath(context: &Context) -> Result<Uuid> {
    let name = context.arg(1);
    find_datapath(context, name).ok_or_else(|| Failure::Fatal(format!("datapath: {name} record not found")))
}

fn zones(context: &Context, datapath: &Uuid) -> Datum {
    context.row("Datapath", datapath).map(|row| row.get("ct_zones").clone()).unwrap_or_default()
}

fn find_zone(context: &Context, datapath: &Uuid, id: i64) -> Option<Uuid> {
    zones(context, datapath).value_of(&Atom::from(id))?.as_uuid()
}

/// The zone's row, made where there is none.
fn make_zone(context: &mut Context, datapath: &Uuid, id: i64) -> Uuid {
    if let Some(zone) = find_zone(context, datapath, id) {
        return zone;
    }
    let zone = context.transaction.insert("CT_Zone");
    let mut all = zones(context, datapath);
    all.insert_all(&Datum::map([(Atom::from(id), Atom::from(zone))]));
    context.set("Datapath", datapath, "ct_zones", all);
    zone
}

fn remove_zone(context: &mut Context, datapath: &Uuid, id: i64) {
    let mut all = zones(context, datapath);
    all.remove_all(&Datum::from(id));
    context.set("Datapath", datapath, "ct_zones", all);
}

fn is_set(context: &Context, zone: &Uuid, column: &str) -> bool {
    context.row("CT_Zone", zone).is_some_and(|row| !row.get(column).is_empty())
}

/// `zone=N`.
fn zone_id(context: &Context) -> Result<i64> {
    let text = context.arg(2);
    match text.strip_prefix("zone=").filter(|n| n.starts_with(|c: char| c.is_ascii_digit() || c == '-')) {
        Some(id) => number(id, "zone"),
        None => fatal!("invalid zone argument, {text}"),
    }
}

pub(crate) fn add_zone_tp(context: &mut Context) -> Result<()> {
    let id = zone_id(context)?;
    let datapath = datapath(context)?;
    let zone = find_zone(context, &datapath, id);
    let words = context.args(3);
    if words.is_empty() {
        fatal!("No timeout policy");
    }
    if zone.is_some_and(|zone| is_set(context, &zone, "timeout_policy")) && !context.has("--may-exist") {
        fatal!("zone id {id} already has a policy");
    }
    let pairs = words.iter().flat_map(|word| word.split([',', ' '])).filter_map(|word| word.split_once('='));
    let timeouts: Result<Vec<(Atom, Atom)>> =
        pairs.map(|(k, v)| Ok((Atom::from(k), Atom::from(number(v, k)?)))).collect();
    let timeouts = Datum::map(timeouts?);
    let known = context.transaction.rows("CT_Timeout_Policy").find(|row| *row.get("timeouts") == timeouts);
    let policy = match known.map(|row| row.uuid) {
        Some(policy) => policy,
        None => {
            let policy = context.transaction.insert("CT_Timeout_Policy");
            context.set("CT_Timeout_Policy", &policy, "timeouts", timeouts);
            policy
        }
    };
    let zone = make_zone(context, &datapath, id);
    context.set("CT_Zone", &zone, "timeout_policy", policy);
    Ok(())
}

pub(crate) fn del_zone_tp(context: &mut Context) -> Result<()> {
    let must_exist = !context.has("--if-exists");
    let id = zone_id(context)?;
    let datapath = datapath(context)?;
    let zone = find_zone(context, &datapath, id);
    let has_policy = zone.is_some_and(|zone| is_set(context, &zone, "timeout_policy"));
    if must_exist && !has_policy {
        fatal!("zone id {id} does not have a policy");
    }
    let Some(zone) = zone else { return Ok(()) };
    if is_set(context, &zone, "limit") {
        for policy in context.references("CT_Zone", &zone, "timeout_policy") {
            context.transaction.delete("CT_Timeout_Policy", &policy);
        }
        context.set("CT_Zone", &zone, "timeout_policy", Datum::Empty);
    } else {
        remove_zone(context, &datapath, id);
    }
    Ok(())
}

pub(crate) fn list_zone_tp(context: &mut Context) -> Result<()> {
    let datapath = listed_datapath(context)?;
    for (id, zone) in zones(context, &datapath).pairs() {
        let zone = zone.as_uuid().unwrap_or_default();
        let policy = context.references("CT_Zone", &zone, "timeout_policy").first().copied();
        let row = policy.and_then(|policy| context.row("CT_Timeout_Policy", &policy));
        let text = match row {
            None => "system default".to_owned(),
            Some(row) => {
                let pairs = row.get("timeouts").pairs().iter();
                pairs.map(|(k, v)| format!("{}={v}", k.to_bare())).collect::<Vec<_>>().join(" ")
            }
        };
        context.print(format!("Zone:{id}, Timeout Policies: {text}").trim_end());
    }
    Ok(())
}

/// A zone's number, or `None` for "default".
fn limited_zone(context: &Context) -> Result<Option<i64>> {
    match context.arg(2) {
        "default" => Ok(None),
        text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => number(text, "zone").map(Some),
        text => fatal!("invalid zone id, {text}"),
    }
}

pub(crate) fn set_zone_limit(context: &mut Context) -> Result<()> {
    let id = limited_zone(context)?;
    let text = context.arg(3);
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        fatal!("invalid limit, {text}");
    }
    let limit = number(text, "limit")?;
    let datapath = datapath(context)?;
    if !(0..=i64::from(u32::MAX)).contains(&limit) {
        fatal!("limit ({limit}) out of range");
    }
    let Some(id) = id else {
        context.set("Datapath", &datapath, "ct_zone_default_limit", limit);
        return Ok(());
    };
    if !(0..=i64::from(u16::MAX)).contains(&id) {
        fatal!("zone_id ({id}) out of range");
    }
    let zone = make_zone(context, &datapath, id);
    context.set("CT_Zone", &zone, "limit", limit);
    Ok(())
}

pub(crate) fn del_zone_limit(context: &mut Context) -> Result<()> {
    let must_exist = !context.has("--if-exists");
    let id = limited_zone(context)?;
    let datapath = datapath(context)?;
    let Some(id) = id else {
        let row = context.row("Datapath", &datapath);
        if must_exist && row.is_none_or(|row| row.get("ct_zone_default_limit").is_empty()) {
            fatal!("datapath {} does not have a limit", context.arg(1));
        }
        context.set("Datapath", &datapath, "ct_zone_default_limit", Datum::Empty);
        return Ok(());
    };
    let zone = find_zone(context, &datapath, id);
    if must_exist && !zone.is_some_and(|zone| is_set(context, &zone, "limit")) {
        fatal!("zone_id {id} does not have a limit");
    }
    match zone {
        None => {}
        Some(zone) if is_set(context, &zone, "timeout_policy") => {
            context.set("CT_Zone", &zone, "limit", Datum::Empty);
        }
        Some(_) => remove_zone(context, &datapath, id),
    }
    Ok(())
}

pub(crate) fn list_zone_limits(context: &mut Context) -> Result<()> {
    let datapath = listed_datapath(context)?;
    let default = context.row("Datapath", &datapath).and_then(|row| row.integer("ct_zone_default_limit"));
    if let Some(limit) = default {
        context.print(&format!("Default, Limit: {limit}"));
    }
    for (id, zone) in zones(context, &datapath).pairs() {
        let zone = zone.as_uuid().unwrap_or_default();
        if let Some(limit) = context.row("CT_Zone", &zone).and_then(|row| row.integer("limit")) {
            context.print(&format!("Zone: {id}, Limit: {limit}"));
        }
    }
    Ok(())
}

pub(crate) fn list_dp_cap(context: &mut Context) -> Result<()> {
    let name = context.arg(1).to_owned();
    let Some(datapath) = find_datapath(context, &name) else {
        fatal!("datapath \"{name}\" record not found");
    };
    context.transaction.verify(ROOT, &context.root.clone(), "datapaths");
    let capabilities =
        context.row("Datapath", &datapath).map(|row| row.get("capabilities").to_bare()).unwrap_or_default();
    context.print(&capabilities);
    Ok(())
}
