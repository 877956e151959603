//! How many connections zones of a datapath may have.

use super::connections::{leading_number, look, tracker};
use super::{Dpctl, Handler, Known, Style};

pub(super) fn register(mut add: impl FnMut(&'static str, &'static str, usize, usize, Handler)) {
    add("dpctl/ct-set-limits", "[dp] [default=L] [zone=N,limit=L]...", 1, usize::MAX, set);
    add("dpctl/ct-del-limits", "[dp] [default] [zone=N1[,N2]...]", 1, 3, remove);
    add("dpctl/ct-get-limits", "[dp] [zone=N1[,N2]...]", 0, 2, show);
}

fn invalid(text: &str) -> String {
    format!("{text} (Invalid argument)")
}

/// What the database says holds.
fn protected(command: &str) -> String {
    format!(
        "the zone limits are set via database, use 'ovs-vsctl {command} <...>' instead. (Operation not permitted)"
    )
}

fn set(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (Known { datapath, .. }, mut rest) = open_some(dpctl, words)?;
    let mut limits = Vec::new();
    if let Some((first, others)) = rest.split_first()
        && let Some(text) = first.strip_prefix("default=")
    {
        limits.push((None, text.parse().map_err(|_| invalid("invalid default limit"))?));
        rest = others;
    }
    for text in rest {
        limits.push(parse_limit(text).map_err(|wrong| invalid(&wrong))?);
    }
    let tracker = tracker(&*datapath)?;
    if tracker.limits_are_protected() {
        return Err(protected("set-zone-limit"));
    }
    limits.into_iter().for_each(|(zone, limit)| tracker.set_limit(zone, limit));
    Ok(String::new())
}

/// `zone=N,limit=L`.
fn parse_limit(text: &str) -> Result<(Option<u16>, u32), String> {
    let (mut zone, mut limit) = (None, None);
    for part in text.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if value.is_empty() {
            return Err(format!("field {name} missing value"));
        }
        let wrong = |_| format!("failed to parse field {name}");
        match name {
            "zone" => zone = Some(value.parse().map_err(wrong)?),
            "limit" => limit = Some(value.parse().map_err(wrong)?),
            _ => return Err(format!("invalid zone limit field: {name}")),
        }
    }
    match (zone, limit) {
        (Some(zone), Some(limit)) => Ok((Some(zone), limit)),
        _ => Err("failed to parse zone limit".to_owned()),
    }
}

/// `zone=N1[,N2]...`.
fn parse_zones(text: &str) -> Result<Vec<u16>, String> {
    let zones = text.strip_prefix("zone=").ok_or_else(|| format!("invalid argument {text}"))?;
    let zone = |text: &str| leading_number(text).and_then(|zone| u16::try_from(zone).ok());
    let zones = zones.split(',').filter(|text| !text.is_empty()).map(zone);
    zones.collect::<Option<Vec<u16>>>().ok_or_else(|| "invalid zone".to_owned())
}

fn remove(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (Known { datapath, .. }, mut rest) = open_some(dpctl, words)?;
    let mut zones = Vec::new();
    if let Some((&"default", others)) = rest.split_first() {
        zones.push(None);
        rest = others;
    }
    if let Some(text) = rest.first() {
        zones.extend(parse_zones(text).map_err(|wrong| invalid(&wrong))?.into_iter().map(Some));
    }
    let tracker = tracker(&*datapath)?;
    if tracker.limits_are_protected() {
        return Err(protected("del-zone-limit"));
    }
    zones.into_iter().for_each(|zone| tracker.remove_limit(zone));
    Ok(String::new())
}

fn show(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (words, zones) = match words.split_last() {
        Some((last, rest)) if dpctl.find(last).is_none() => {
            (rest, parse_zones(last).map_err(|wrong| invalid(&wrong))?)
        }
        _ => (words, Vec::new()),
    };
    look(dpctl, words, |tracker| conntrack::format_limits(&tracker.limits(&zones)) + "\n")
}

/// The datapath, and at least one word behind it.
fn open_some<'a>(dpctl: &Dpctl, words: &'a [&'a str]) -> Result<(Known, &'a [&'a str]), String> {
    let names_only_a_datapath = matches!(words, [only] if dpctl.find(only).is_some());
    if names_only_a_datapath { Err(invalid("too few arguments")) } else { dpctl.open_first(words) }
}
