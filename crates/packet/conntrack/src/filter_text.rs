//! Filters as operators write them: `zone=Z mark=X[/M] labels=Y[/N] ORIGINAL REPLY`, each of which may be missing.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::filter::{Ends, Filter};
use crate::key::Address;

/// Reads the words; the zone, if one is given, and the rest. The error says what is wrong.
pub fn parse_filter(words: &[&str]) -> Result<(Option<u16>, Filter), String> {
    let mut filter = Filter::default();
    let mut words = words.iter().copied().peekable();
    let mut zone = None;
    if let Some(text) = words.next_if(|word| word.starts_with("zone=")) {
        let digits = text.trim_start_matches("zone=");
        let len = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        zone = Some(digits.get(..len).unwrap_or("").parse().map_err(|_| "failed to parse zone")?);
    }
    if let Some(text) = words.next_if(|word| word.starts_with("mark=")) {
        let (value, mask) =
            masked(text.trim_start_matches("mark="), u32::MAX.into()).ok_or("failed to parse mark")?;
        let narrow = |number| u32::try_from(number).map_err(|_| "failed to parse mark");
        filter.mark = (narrow(value)?, narrow(mask)?);
    }
    if let Some(text) = words.next_if(|word| word.starts_with("labels=")) {
        filter.label =
            masked(text.trim_start_matches("labels="), u128::MAX).ok_or("failed to parse labels")?;
    }
    for is_reply in [false, true] {
        if let Some(text) = words.next() {
            parse_ends(text, &mut filter, is_reply)?;
        }
    }
    match words.next() {
        Some(_) => Err("invalid arguments".to_owned()),
        None => Ok((zone, filter)),
    }
}

/// Value and mask; all of the value counts when there is no mask, or none that can be read.
fn masked(text: &str, all: u128) -> Option<(u128, u128)> {
    let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
    Some((number(value)?, mask.and_then(number).unwrap_or(all)))
}

fn number(text: &str) -> Option<u128> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn parse_ends(text: &str, filter: &mut Filter, is_reply: bool) -> Result<(), String> {
    let mut ends = Ends::default();
    for part in text.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if value.is_empty() {
            return Err(format!("field {name} missing value"));
        }
        parse_field(name, value, &mut ends, filter)?;
    }
    if filter.protocol == 0 && (ends.src_port != 0 || ends.dst_port != 0) {
        return Err("port is set without protocol".to_owned());
    }
    *(if is_reply { &mut filter.reply } else { &mut filter.original }) = ends;
    Ok(())
}

fn parse_field(name: &str, value: &str, ends: &mut Ends, filter: &mut Filter) -> Result<(), String> {
    let wrong = || format!("failed to parse field {name}");
    let read = |limit: u128| number(value).filter(|number| *number <= limit).ok_or_else(wrong);
    match name {
        "ct_nw_src" | "ct_nw_dst" | "ct_ipv6_src" | "ct_ipv6_dst" => {
            let is_v6 = name.starts_with("ct_ipv6");
            if filter.is_v6.is_some_and(|known| known != is_v6) {
                return Err(format!("the L3 protocol does not match {value}"));
            }
            let place = if name.ends_with("src") { &mut ends.src } else { &mut ends.dst };
            if !place.is_zero() {
                return Err(format!("{name} is set multiple times"));
            }
            *place = if is_v6 {
                Address::v6(value.parse::<Ipv6Addr>().map_err(|_| wrong())?.into())
            } else {
                Address::v4(value.parse::<Ipv4Addr>().map_err(|_| wrong())?.into())
            };
            filter.is_v6 = Some(is_v6);
        }
        "ct_nw_proto" => filter.protocol = read(u8::MAX.into())? as u8,
        "ct_tp_src" => ends.src_port = read(u16::MAX.into())? as u16,
        "ct_tp_dst" => ends.dst_port = read(u16::MAX.into())? as u16,
        "icmp_type" | "icmp_code" | "icmp_id" => {
            if !filter.is_icmp() {
                return Err("invalid L4 fields".to_owned());
            }
            match name {
                "icmp_type" => ends.icmp_type = read(u8::MAX.into())? as u8,
                "icmp_code" => ends.icmp_code = read(u8::MAX.into())? as u8,
                _ => ends.icmp_id = read(u16::MAX.into())? as u16,
            }
        }
        _ => return Err(format!("invalid conntrack tuple field: {name}")),
    }
    Ok(())
}

/// As messages that ask for it are shown.
pub fn format_filter(out: &mut String, filter: &Filter) {
    // Writing to a String cannot fail.
    if filter.mark.1 != 0 {
        let _ = write!(out, "mark={}", hex(filter.mark.0.into()));
        if filter.mark.1 != u32::MAX {
            let _ = write!(out, "/{}", hex(filter.mark.1.into()));
        }
        out.push(' ');
    }
    if filter.label.1 != 0 {
        let _ = write!(out, "labels={}", hex(filter.label.0));
        if filter.label.1 != u128::MAX {
            let _ = write!(out, "/{}", hex(filter.label.1));
        }
        out.push(' ');
    }
    out.push('\'');
    format_ends(out, &filter.original, filter);
    let _ = write!(out, ",ct_nw_proto={}' '", filter.protocol);
    format_ends(out, &filter.reply, filter);
    out.push('\'');
}

/// As printf's `%#x`: zero has no prefix.
fn hex(number: u128) -> String {
    if number == 0 { "0".to_owned() } else { format!("{number:#x}") }
}

fn format_ends(out: &mut String, ends: &Ends, filter: &Filter) {
    let is_v4 = filter.is_v6 == Some(false);
    let name = if is_v4 { "nw" } else { "ipv6" };
    // An address that is not given is shown as the one of IPv6.
    let text = |address: Address| address.text(!is_v4 || address.is_zero());
    let _ = write!(out, "ct_{name}_src={},ct_{name}_dst={}", text(ends.src), text(ends.dst));
    let _ = if filter.is_icmp() {
        write!(out, ",icmp_id={},icmp_type={},icmp_code={}", ends.icmp_id, ends.icmp_type, ends.icmp_code)
    } else {
        write!(out, ",ct_tp_src={},ct_tp_dst={}", ends.src_port, ends.dst_port)
    };
}
