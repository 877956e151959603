//! Rules and requests about rules, as users write them.
//!
//! Enters: `priority=5,tcp,actions=drop` and the like. Leaves: [`FlowMod`] or
//! [`FlowStatsRequest`], and the protocols that can express it.

mod unmet;

use base::OfPort;
use fields::text_pairs::next_pair;
use fields::{Protocols, TextError, parse_field, parse_port, parse_table, refuse};

use crate::text::{u16_of, u64_of};
use crate::*;
use unmet::Named;

/// What a text is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowTextKind {
    /// A rule for this command.
    Mod(FlowModCommand),
    /// The text may begin with a command; it adds when it does not.
    AnyMod,
    /// A condition for dumps.
    Request,
}

/// The parts that a command allows.
struct Allowed {
    out_port: bool,
    actions: bool,
    importance: bool,
    timeout: bool,
    priority: bool,
    flags: bool,
}

impl Allowed {
    fn of(command: Option<FlowModCommand>) -> Allowed {
        let modifies = command.is_some_and(|c| !c.is_delete());
        Allowed {
            out_port: !modifies,
            actions: modifies,
            importance: command == Some(FlowModCommand::Add),
            timeout: modifies,
            priority: modifies || command == Some(FlowModCommand::DeleteStrict),
            flags: modifies,
        }
    }
}

/// The command that a text begins with, abbreviated or not, and the rest.
fn leading_command(text: &str) -> (FlowModCommand, &str) {
    let blank = [' ', '\t', '\r', '\n'];
    let text = text.trim_start_matches(blank);
    let end = text.find([',', ' ', '\t', '\r', '\n']).unwrap_or(text.len());
    let word = &text[..end];
    let commands = [
        ("add", FlowModCommand::Add),
        ("delete", FlowModCommand::Delete),
        ("delete_strict", FlowModCommand::DeleteStrict),
        ("modify", FlowModCommand::Modify),
        ("modify_strict", FlowModCommand::ModifyStrict),
    ];
    match commands.iter().find(|(name, _)| name.starts_with(word)) {
        Some((_, command)) => (*command, &text[end..]),
        None => (FlowModCommand::Add, text),
    }
}

/// Cuts the actions off: `None` when there are none.
fn cut_actions(text: &str) -> Option<(&str, &str)> {
    let at = text.find("action")?;
    let equals = at + text[at..].find('=')?;
    Some((&text[..at], &text[equals + 1..]))
}

/// Reads one rule or request. See [`parse_flow_mod`] and
/// [`parse_flow_stats_request`] for what callers want.
pub fn parse_flow_text(
    text: &str,
    kind: FlowTextKind,
    names: Names<'_>,
) -> Result<(FlowMod, Protocols), TextError> {
    let (command, text) = match kind {
        FlowTextKind::Mod(command) => (Some(command), text),
        FlowTextKind::Request => (None, text),
        FlowTextKind::AnyMod => {
            let (command, rest) = leading_command(text);
            (Some(command), rest)
        }
    };
    let allowed = Allowed::of(command);
    let mut fm = FlowMod::new(command.unwrap_or(FlowModCommand::Add));
    let modifies = command.is_some_and(FlowModCommand::is_modify);
    if modifies {
        fm.new_cookie = u64::MAX;
    }
    let (mut rest, actions) = if allowed.actions {
        match cut_actions(text) {
            Some((condition, actions)) => (condition, Some(actions)),
            None => return refuse!("must specify an action"),
        }
    } else {
        (text, None)
    };
    let mut usable = Protocols::ANY;
    let condition = rest;
    let mut named = Vec::new();
    while let Some((key, value, after)) = next_pair(rest) {
        rest = after;
        parse_part(&mut fm, key, value, &allowed, command, names, &mut usable)?;
        named.extend(Named::of(key));
    }
    finish_match(&mut fm, &mut usable);
    if modifies && fm.cookie_mask == 0 && fm.new_cookie == u64::MAX {
        fm.new_cookie = 0;
    }
    // What is wrong with the actions is reported first, as by the reference.
    let parsed = actions.map(|text| parse_instructions(text, names)).transpose()?;
    if !names.normalizes {
        unmet::check(condition, &fm.m, &named)?;
    }
    if let Some((mut list, action_usable)) = parsed {
        usable &= action_usable;
        let mut m = fm.m.clone();
        let mut check = Check::new(&mut m, fm.table, 255);
        let mut checked = check.actions(&mut list);
        usable &= check.usable;
        if checked.is_ok() && usable.is_empty() {
            checked = Err(OfError::OfpbacMatchInconsistent);
        }
        if let Err(error) = checked {
            return refuse!("actions are invalid with specified match ({})", error.name());
        }
        fm.actions = list;
    }
    Ok((fm, usable))
}

fn finish_match(fm: &mut FlowMod, usable: &mut Protocols) {
    use flow::slot;
    let m = &mut fm.m;
    let packet_type = m.key.packet_type();
    let mut dl_type = m.key.dl_type();
    if m.mask.bits(slot::PACKET_TYPE) == u128::from(u32::MAX) && packet_type >> 16 == 1 {
        dl_type = packet_type as u16;
    }
    if dl_type == 0x86dd
        && [slot::NW_PROTO, slot::NW_TOS, slot::TP_SRC, slot::TP_DST].iter().any(|s| m.mask.bits(*s) != 0)
    {
        *usable &= Protocols::NXM_OXM_ANY;
    }
}

fn parse_part(
    fm: &mut FlowMod,
    key: &str,
    value: &str,
    allowed: &Allowed,
    command: Option<FlowModCommand>,
    names: Names<'_>,
    usable: &mut Protocols,
) -> Result<(), TextError> {
    if allowed.flags {
        let flag = match key {
            "send_flow_rem" => Some((FlowFlags::SEND_FLOW_REM, Protocols::ANY)),
            "check_overlap" => Some((FlowFlags::CHECK_OVERLAP, Protocols::ANY)),
            "reset_counts" => Some((FlowFlags::RESET_COUNTS, Protocols::OF12_UP)),
            "no_packet_counts" => Some((FlowFlags::NO_PACKET_COUNTS, Protocols::OF13_UP)),
            "no_byte_counts" => Some((FlowFlags::NO_BYTE_COUNTS, Protocols::OF13_UP)),
            _ => None,
        };
        if let Some((flag, protocols)) = flag {
            fm.flags.insert(flag);
            *usable &= protocols;
            return Ok(());
        }
    }
    if matches!(key, "no_readonly_table" | "allow_hidden_fields")
        || parse_field(&mut fm.m, key, value, names.ports, usable)?
    {
        return Ok(());
    }
    if value.is_empty() {
        return refuse!("field {key} missing value");
    }
    match key {
        "table" => {
            fm.table = parse_table(value, names.tables)
                .ok_or_else(|| TextError(format!("unknown table \"{value}\"")))?;
            if fm.table != 0xff {
                *usable &= Protocols::TID;
            }
        }
        "out_port" if allowed.out_port => {
            fm.out_port = parse_port(value, names.ports)
                .ok_or_else(|| TextError(format!("{value} is not a valid OpenFlow port")))?;
        }
        "out_group" if allowed.out_port => {
            *usable &= Protocols::OF11_UP;
            fm.out_group = parse_group(value)
                .ok_or_else(|| TextError(format!("{value} is not a valid OpenFlow group")))?;
        }
        "priority" if allowed.priority => fm.priority = u16_of(value, key)?,
        "idle_timeout" if allowed.timeout => fm.idle_timeout = u16_of(value, key)?,
        "hard_timeout" if allowed.timeout => fm.hard_timeout = u16_of(value, key)?,
        "importance" if allowed.importance => fm.importance = u16_of(value, key)?,
        "cookie" => parse_cookie(fm, value, command, usable)?,
        "duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age" => {}
        _ => return refuse!("unknown keyword {key}{}", fields::did_you_mean(key, KEYWORDS)),
    }
    Ok(())
}

/// What a rule may have beside its match and flags.
const KEYWORDS: &[&str] = &[
    "actions",
    "table",
    "priority",
    "cookie",
    "idle_timeout",
    "hard_timeout",
    "importance",
    "out_port",
    "out_group",
    "send_flow_rem",
    "check_overlap",
    "reset_counts",
    "no_packet_counts",
    "no_byte_counts",
];

fn parse_cookie(
    fm: &mut FlowMod,
    value: &str,
    command: Option<FlowModCommand>,
    usable: &mut Protocols,
) -> Result<(), TextError> {
    if let Some((cookie, mask)) = value.split_once('/') {
        if command == Some(FlowModCommand::Add) {
            return refuse!("flow additions cannot use a cookie mask");
        }
        fm.cookie = u64_of(cookie)?;
        fm.cookie_mask = u64_of(mask)?;
        if fm.cookie_mask != 0 {
            *usable &= Protocols::NXM_OF11_UP;
        }
        return Ok(());
    }
    if command.is_none_or(FlowModCommand::is_delete) {
        return refuse!("cannot set cookie (to match on a cookie, specify a mask, e.g. cookie={value}/-1)");
    }
    fm.new_cookie = u64_of(value)?;
    fm.modify_cookie = true;
    Ok(())
}

/// A group's number or name (`all`, `any`).
pub fn parse_group(text: &str) -> Option<u32> {
    if text.eq_ignore_ascii_case("any") {
        return Some(GROUP_ANY);
    }
    if text.eq_ignore_ascii_case("all") {
        return Some(GROUP_ALL);
    }
    fields::text::parse_u64(text).and_then(|v| u32::try_from(v).ok())
}

pub(crate) fn put_group(out: &mut String, group: u32) {
    use std::fmt::Write;
    match group {
        GROUP_ALL => out.push_str("ALL"),
        GROUP_ANY => out.push_str("ANY"),
        _ => {
            let _ = write!(out, "{group}");
        }
    }
}

/// A rule to add, change or delete. Says in the log what of the match has no effect.
pub fn parse_flow_mod(
    text: &str,
    kind: FlowTextKind,
    names: Names<'_>,
) -> Result<(FlowMod, Protocols), TextError> {
    let (fm, usable) = parse_flow_text(text, kind, names)?;
    fm.m.clone().normalize();
    Ok((fm, usable))
}

/// Which rules to list or to sum up.
pub fn parse_flow_stats_request(
    text: &str,
    names: Names<'_>,
) -> Result<(FlowStatsRequest, Protocols), TextError> {
    let (fm, mut usable) = parse_flow_text(text, FlowTextKind::Request, names)?;
    // A table in a request takes no extension.
    for (with, without) in
        [(Protocols::OF10_STD_TID, Protocols::OF10_STD), (Protocols::OF10_NXM_TID, Protocols::OF10_NXM)]
    {
        if usable.contains(with) {
            usable = Protocols(usable.0 | without.0);
        }
    }
    let request = FlowStatsRequest {
        m: fm.m,
        cookie: fm.cookie,
        cookie_mask: fm.cookie_mask,
        out_port: fm.out_port,
        out_group: fm.out_group,
        table: fm.table,
    };
    Ok((request, usable))
}

/// Which changes of rules to be notified of: `watch:!initial,table=1,tcp` of the `monitor` command.
pub fn parse_flow_monitor_request(
    text: &str,
    id: u32,
    names: Names<'_>,
) -> Result<(FlowMonitorRequest, Protocols), TextError> {
    use monitor_flag::*;
    let mut request = FlowMonitorRequest {
        id,
        command: 0,
        flags: INITIAL | ADD | REMOVED | MODIFY | ONLY_OWN | INSTRUCTIONS,
        out_port: OfPort::NONE,
        out_group: GROUP_ANY,
        table: 0xff,
        m: fields::Match::default(),
    };
    let mut usable = Protocols::ANY;
    let mut rest = text;
    let mut named = Vec::new();
    while let Some((key, value, after)) = next_pair(rest) {
        rest = after;
        let unwanted = match key {
            "!initial" => Some(INITIAL),
            "!add" => Some(ADD),
            "!delete" => Some(REMOVED),
            "!modify" => Some(MODIFY),
            "!actions" => Some(INSTRUCTIONS),
            "!abbrev" => Some(NO_ABBREV),
            "!own" => Some(ONLY_OWN),
            _ => None,
        };
        if let Some(flag) = unwanted {
            request.flags &= !flag;
            continue;
        }
        if parse_field(&mut request.m, key, value, names.ports, &mut usable)? {
            if !usable.intersects(Protocols::OF10_ANY) {
                return refuse!("{key}: match field is not supported for flow monitor");
            }
            named.extend(Named::of(key));
            continue;
        }
        if value.is_empty() {
            return refuse!("{text}: field {key} missing value");
        }
        match key {
            "table" => {
                request.table = parse_table(value, names.tables)
                    .ok_or_else(|| TextError(format!("unknown table \"{value}\"")))?;
            }
            "out_port" => {
                request.out_port = parse_port(value, names.ports)
                    .ok_or_else(|| TextError(format!("{value} is not a valid OpenFlow port")))?;
            }
            "out_group" => {
                request.out_group = parse_group(value)
                    .ok_or_else(|| TextError(format!("{value} is not a valid OpenFlow group")))?;
            }
            _ => {
                return refuse!(
                    "{text}: unknown keyword {key}{}",
                    fields::did_you_mean(key, MONITOR_KEYWORDS)
                );
            }
        }
    }
    unmet::check(text, &request.m, &named)?;
    Ok((request, usable))
}

/// What a flow monitor may ask for beside a match.
const MONITOR_KEYWORDS: &[&str] =
    &["table", "out_port", "out_group", "!initial", "!add", "!delete", "!modify", "!actions", "!own"];

/// A packet to send: `in_port=1,packet=<hex>,actions=…`.
pub fn parse_packet_out(text: &str, names: Names<'_>) -> Result<(PacketOut, Protocols), TextError> {
    let mut out = PacketOut {
        packet: Vec::new(),
        buffer_id: NO_BUFFER,
        metadata: fields::Match::default(),
        actions: Vec::new(),
    };
    out.metadata.set_in_port(OfPort::CONTROLLER);
    let mut usable = Protocols::ANY;
    let (mut rest, actions) = cut_actions(text).map_or((text, None), |(rest, actions)| (rest, Some(actions)));
    while let Some((key, value, after)) = next_pair(rest) {
        rest = after;
        if value.is_empty() {
            return refuse!("field {key} missing value");
        }
        match key {
            "in_port" => {
                let port = parse_port(value, names.ports)
                    .ok_or_else(|| TextError(format!("{value} is not a valid OpenFlow port")))?;
                if port.0 > OfPort::MAX.0
                    && !matches!(port, OfPort::LOCAL | OfPort::NONE | OfPort::CONTROLLER)
                {
                    return refuse!("{value} is not a valid OpenFlow port for PACKET_OUT");
                }
                out.metadata.set_in_port(port);
            }
            "packet" => {
                let Some((packet, "")) = hex_bytes(value) else {
                    return refuse!("packet: Trailing garbage in packet data");
                };
                if packet.len() < 14 {
                    return refuse!("packet: Packet data too short for Ethernet");
                }
                out.packet = packet;
            }
            "packet_type" => {
                let Some((space, kind)) = value.split_once(',') else {
                    return refuse!("{key}({value}) can't be interpreted");
                };
                let space = u32::from(u16_of(space, "packet_type")?);
                let kind = u32::from(u16_of(kind, "packet_type")?);
                out.metadata.set_packet_type(space << 16 | kind);
            }
            _ => match fields::Field::from_name(key) {
                Some(field) => {
                    parse_field(&mut out.metadata, key, value, names.ports, &mut usable)?;
                    if !field.is_pipeline() {
                        return refuse!("{key} is not a valid pipeline field for PACKET_OUT");
                    }
                }
                None => {
                    let known = ["packet", "in_port", "packet_type", "actions"];
                    return refuse!("unknown keyword {key}{}", fields::did_you_mean(key, &known));
                }
            },
        }
    }
    if out.packet.is_empty() {
        return refuse!("must specify packet");
    }
    if let Some(actions) = actions {
        let (list, action_usable) = parse_actions(actions, names)?;
        out.actions = list;
        usable &= action_usable;
    }
    Ok((out, usable))
}
