//! Lists of actions as text.

use std::fmt::Write;
use std::net::Ipv4Addr;

use base::{MacAddr, OfPort};
use fields::text::{parse_ipv4, parse_mac};
use fields::text_pairs::next_pair;
use fields::{Field, Protocols, TextError, format_table, oxm, parse_port, parse_table, refuse};

use super::*;
use crate::Version;
use crate::text::{Hex, hex_bytes, put_hex_bytes, u8_of, u16_of, u32_of, u64_of};

/// How deep actions may contain actions.
const MAX_DEPTH: u32 = 100;

/// Most bytes that a list may take, in the form of OpenFlow 1.1.
const MAX_LIST: usize = u16::MAX as usize;

/// Shorter texts stand for lists that are not too long: the densest action, a
/// port and its comma, is 2 letters for 16 bytes.
const LONG_TEXT: usize = MAX_LIST / 16;

/// What reading actions needs to know, and what it finds out.
pub(crate) struct Parser<'a> {
    pub(crate) names: Names<'a>,
    /// Protocols that can express what was read.
    pub(crate) usable: Protocols,
    depth: u32,
}

/// Reads a rule's actions and instructions.
pub fn parse_instructions(text: &str, names: Names<'_>) -> Result<(Vec<Action>, Protocols), TextError> {
    parse_top(text, names, true)
}

/// Reads actions only.
pub fn parse_actions(text: &str, names: Names<'_>) -> Result<(Vec<Action>, Protocols), TextError> {
    parse_top(text, names, false)
}

fn parse_top(
    text: &str,
    names: Names<'_>,
    instructions: bool,
) -> Result<(Vec<Action>, Protocols), TextError> {
    let mut parser = Parser { names, usable: Protocols::ANY, depth: 0 };
    let actions = parse_list(text, &mut parser, instructions, Outer::None)?;
    Ok((actions, parser.usable))
}

/// Reads the actions inside an action.
pub(super) fn parse_nested(text: &str, p: &mut Parser<'_>, outer: Outer) -> Result<Vec<Action>, TextError> {
    parse_list(text, p, false, outer)
}

fn parse_list(
    text: &str,
    p: &mut Parser<'_>,
    instructions: bool,
    outer: Outer,
) -> Result<Vec<Action>, TextError> {
    if p.depth >= MAX_DEPTH {
        return refuse!("Action nested too deeply");
    }
    p.depth += 1;
    let result = parse_list_inner(text, p, instructions, outer);
    p.depth -= 1;
    result
}

fn parse_list_inner(
    text: &str,
    p: &mut Parser<'_>,
    instructions: bool,
    outer: Outer,
) -> Result<Vec<Action>, TextError> {
    let mut actions = Vec::new();
    let mut drop = false;
    let mut rest = text;
    while let Some((key, value, after)) = next_pair(rest) {
        rest = after;
        if key.eq_ignore_ascii_case("drop") {
            drop = true;
            continue;
        }
        let action = parse_one(key, value, p)?;
        if matches!(action, Action::Meter(_)) && !instructions {
            p.usable &= Protocols::OF15_UP;
        }
        actions.push(action);
    }
    if text.len() >= LONG_TEXT && actions_to_wire(&actions, Version::Of11, instructions).len() > MAX_LIST {
        return refuse!("input too big");
    }
    if drop && !actions.is_empty() {
        return refuse!("\"drop\" must not be accompanied by any other action or instruction");
    }
    check::verify(&actions, Version::Of11, instructions, outer).map_err(|(_, text)| TextError(text))?;
    Ok(actions)
}

fn parse_one(key: &str, value: &str, p: &mut Parser<'_>) -> Result<Action, TextError> {
    let name = key.to_ascii_lowercase();
    Ok(match name.as_str() {
        "output" | "output_reg" => return Output::parse(value, p),
        "group" => Action::Group(u32_of(value)?),
        "controller" => return Controller::parse(value),
        "enqueue" => return Enqueue::parse(value, p),
        "bundle" => return Bundle::parse(value, false, p),
        "bundle_load" => return Bundle::parse(value, true, p),
        "set_field" => return SetField::parse(value, p),
        "load" => return SetField::parse_load(value),
        "set_vlan_vid" => return SetVlanVid::parse(value, false),
        "mod_vlan_vid" => return SetVlanVid::parse(value, true),
        "set_vlan_pcp" => return SetVlanPcp::parse(value, false),
        "mod_vlan_pcp" => return SetVlanPcp::parse(value, true),
        "strip_vlan" => Action::StripVlan { pop: false },
        "pop_vlan" => Action::StripVlan { pop: true },
        "push_vlan" => return PushVlan::parse(value, p),
        "mod_dl_src" => Action::SetEthSrc(mac(value)?),
        "mod_dl_dst" => Action::SetEthDst(mac(value)?),
        "mod_nw_src" => Action::SetIpv4Src(ipv4(value)?),
        "mod_nw_dst" => Action::SetIpv4Dst(ipv4(value)?),
        "mod_nw_tos" => match u8_of(value, "TOS")? {
            tos if tos & 3 == 0 => Action::SetIpDscp(tos),
            _ => return refuse!("{value}: not a valid TOS"),
        },
        "mod_nw_ecn" => match u8_of(value, "ECN")? {
            ecn if ecn & !3 == 0 => Action::SetIpEcn(ecn),
            _ => return refuse!("{value}: not a valid ECN"),
        },
        "mod_nw_ttl" | "set_nw_ttl" => Action::SetIpTtl(u8_of(value, "TTL")?),
        "mod_tp_src" => Action::SetL4Src(SetL4Port { port: u16_of(value, "source port")?, ip_proto: 0 }),
        "mod_tp_dst" => Action::SetL4Dst(SetL4Port { port: u16_of(value, "destination port")?, ip_proto: 0 }),
        "move" => Action::RegMove(RegMove::parse(value)?),
        "push" => Action::StackPush(header::parse_stack(value)?),
        "pop" => Action::StackPop(header::parse_stack(value)?),
        "dec_ttl" => return DecTtl::parse(value),
        "dec_mpls_ttl" => Action::DecMplsTtl,
        "push_mpls" => Action::PushMpls(u16_of(value, "push_mpls")?),
        "pop_mpls" => Action::PopMpls(u16_of(value, "pop_mpls")?),
        "set_mpls_label" | "set_mpls_tc" | "set_mpls_ttl" => return parse_set_mpls(&name, value),
        "dec_nsh_ttl" => Action::DecNshTtl,
        "delete_field" => match oxm::by_name(value).map(|(f, _)| f).or_else(|| Field::from_name(value)) {
            Some(field) => Action::DeleteField(field),
            None => return refuse!("unknown field `{value}'"),
        },
        "encap" => return Encap::parse(value, p),
        "decap" => return encap::parse_decap(value),
        _ => return parse_other(&name, key, value, p),
    })
}

/// Names of actions that rules are shown with under another one, and of ports.
const OTHER_NAMES: [&str; 14] = [
    "drop",
    "normal",
    "flood",
    "all",
    "local",
    "in_port",
    "mod_vlan_vid",
    "mod_vlan_pcp",
    "pop_vlan",
    "load",
    "set_tunnel64",
    "set_nw_ttl",
    "dec_ttl",
    "bundle_load",
];

fn parse_other(name: &str, key: &str, value: &str, p: &mut Parser<'_>) -> Result<Action, TextError> {
    Ok(match name {
        "set_tunnel" => Action::SetTunnel { id: u64_of(value)?, wide: false },
        "set_tunnel64" => Action::SetTunnel { id: u64_of(value)?, wide: true },
        "set_queue" => Action::SetQueue(u32_of(value)?),
        "pop_queue" => Action::PopQueue,
        "fin_timeout" => return FinTimeout::parse(value),
        "resubmit" => return Resubmit::parse(value, p),
        "learn" => return Learn::parse(value, p),
        "conjunction" => return Conjunction::parse(value),
        "multipath" => return Multipath::parse(value),
        "note" => match hex_bytes(value) {
            Some((bytes, "")) => Action::Note(bytes.into()),
            _ => return refuse!("bad hex digit in `note' argument"),
        },
        "exit" => Action::Exit,
        "sample" => return Sample::parse(value, p),
        "unroll_xlate" => return refuse!("UNROLL is an internal action that shouldn't be used via OpenFlow"),
        "output_trunc" => return refuse!("unknown action {value}"),
        "ct" => return Ct::parse(value, p),
        "ct_clear" => Action::CtClear,
        "nat" => return Nat::parse(value),
        "clone" => Action::Clone(parse_nested(value, p, Outer::Clone)?),
        "check_pkt_larger" => return CheckPktLarger::parse(value),
        "debug_recirc" => Action::DebugRecirc,
        "debug_slow" => Action::DebugSlow,
        "meter" => {
            p.usable &= Protocols::OF13_UP;
            Action::Meter(u32_of(value)?)
        }
        "clear_actions" => Action::ClearActions,
        "write_actions" => Action::WriteActions(parse_nested(value, p, Outer::WriteActions)?),
        "write_metadata" => {
            p.usable &= Protocols::NXM_OF11_UP;
            match value.split_once('/') {
                Some((metadata, mask)) => {
                    let mask = u64_of(mask)?;
                    Action::WriteMetadata { metadata: u64_of(metadata)?, mask }
                }
                None => Action::WriteMetadata { metadata: u64_of(value)?, mask: u64::MAX },
            }
        }
        "goto_table" => match parse_table(value, p.names.tables) {
            Some(table) => Action::GotoTable(table),
            None => return refuse!("unknown table \"{value}\""),
        },
        "apply_actions" => return refuse!("apply_actions is the default instruction"),
        _ => match parse_port(key, p.names.ports) {
            Some(port) => Action::Output(Output { port, max_len: 0 }),
            None => {
                let known = ActionKind::in_set(u64::MAX).map(ActionKind::name).chain(OTHER_NAMES);
                return refuse!("unknown action {key}{}", base::hint::did_you_mean(key, known));
            }
        },
    })
}

fn parse_set_mpls(name: &str, value: &str) -> Result<Action, TextError> {
    if value.is_empty() {
        return refuse!("{name}: expected {}.", &name["set_mpls_".len()..]);
    }
    Ok(match name {
        "set_mpls_label" => match u32_of(value)? {
            label if label <= 0xf_ffff => Action::SetMplsLabel(label),
            _ => return refuse!("{value}: not a valid MPLS label"),
        },
        "set_mpls_tc" => match u8_of(value, "MPLS TC")? {
            tc if tc <= 7 => Action::SetMplsTc(tc),
            _ => return refuse!("{value}: not a valid MPLS TC"),
        },
        _ => match u32_of(value).map(u8::try_from) {
            Ok(Ok(ttl)) => Action::SetMplsTtl(ttl),
            _ => return refuse!("invalid MPLS TTL \"{value}\""),
        },
    })
}

fn mac(text: &str) -> Result<MacAddr, TextError> {
    match parse_mac(text) {
        Some(mac) => Ok(MacAddr::from_u64(mac)),
        None => refuse!("invalid mac address {text}"),
    }
}

fn ipv4(text: &str) -> Result<u32, TextError> {
    match parse_ipv4(text) {
        Some(ip) => Ok(ip),
        None => refuse!("{text}: could not convert to IP address"),
    }
}

/// Writes actions joined by commas, `drop` for none.
pub fn format_actions(actions: &[Action], out: &mut String, names: Names<'_>) {
    if actions.is_empty() {
        return out.push_str("drop");
    }
    for (index, action) in actions.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        action.format(out, names);
    }
}

impl Action {
    /// Writes the action.
    // house: long because it is the one list of actions and how each is shown; each arm is a call or a line.
    pub fn format(&self, out: &mut String, names: Names<'_>) {
        let _ = match self {
            Action::Output(a) => return a.format(out, names),
            Action::Group(id) => write!(out, "group:{id}"),
            Action::Controller(a) => return a.format(out),
            Action::Enqueue(a) => return a.format(out, names),
            Action::OutputReg(a) => {
                out.push_str("output:");
                return a.source.format(out);
            }
            Action::OutputTrunc(a) => return a.format(out, names),
            Action::Bundle(a) => return a.format(out, names),
            Action::SetField(a) => return a.format(out, names),
            Action::SetVlanVid(a) => {
                write!(out, "{}_vlan_vid:{}", if a.push_if_needed { "mod" } else { "set" }, a.vid)
            }
            Action::SetVlanPcp(a) => {
                write!(out, "{}_vlan_pcp:{}", if a.push_if_needed { "mod" } else { "set" }, a.pcp)
            }
            Action::StripVlan { pop } => out.write_str(if *pop { "pop_vlan" } else { "strip_vlan" }),
            Action::PushVlan(a) => write!(out, "push_vlan:{:#x}", a.ethertype),
            Action::SetEthSrc(mac) => write!(out, "mod_dl_src:{mac}"),
            Action::SetEthDst(mac) => write!(out, "mod_dl_dst:{mac}"),
            Action::SetIpv4Src(ip) => write!(out, "mod_nw_src:{}", Ipv4Addr::from(*ip)),
            Action::SetIpv4Dst(ip) => write!(out, "mod_nw_dst:{}", Ipv4Addr::from(*ip)),
            Action::SetIpDscp(tos) => write!(out, "mod_nw_tos:{tos}"),
            Action::SetIpEcn(ecn) => write!(out, "mod_nw_ecn:{ecn}"),
            Action::SetIpTtl(ttl) => write!(out, "mod_nw_ttl:{ttl}"),
            Action::SetL4Src(a) => write!(out, "mod_tp_src:{}", a.port),
            Action::SetL4Dst(a) => write!(out, "mod_tp_dst:{}", a.port),
            Action::RegMove(a) => return a.format(out),
            Action::StackPush(s) => {
                out.push_str("push:");
                return s.format(out);
            }
            Action::StackPop(s) => {
                out.push_str("pop:");
                return s.format(out);
            }
            Action::DecTtl(a) => return a.format(out),
            Action::SetMplsLabel(label) => write!(out, "set_mpls_label({label})"),
            Action::SetMplsTc(tc) => write!(out, "set_mpls_tc({tc})"),
            Action::SetMplsTtl(ttl) => write!(out, "set_mpls_ttl({ttl})"),
            Action::DecMplsTtl => out.write_str("dec_mpls_ttl"),
            Action::PushMpls(t) => write!(out, "push_mpls:{t:#06x}"),
            Action::PopMpls(t) => write!(out, "pop_mpls:{t:#06x}"),
            Action::DecNshTtl => out.write_str("dec_nsh_ttl"),
            Action::DeleteField(field) => write!(out, "delete_field:{}", field.name()),
            Action::Encap(a) => return a.format(out),
            Action::Decap(Action::DECAP_NEXT) => out.write_str("decap()"),
            Action::Decap(t) => {
                write!(out, "decap(packet_type(ns={},type={}))", t >> 16, Hex(u64::from(t & 0xffff)))
            }
            Action::SetTunnel { id, wide } => {
                let suffix = if *wide || *id > u64::from(u32::MAX) { "64" } else { "" };
                write!(out, "set_tunnel{suffix}:{}", Hex(*id))
            }
            Action::SetQueue(queue) => write!(out, "set_queue:{queue}"),
            Action::PopQueue => out.write_str("pop_queue"),
            Action::FinTimeout(a) => return a.format(out),
            Action::Resubmit(a) => return a.format(out, names),
            Action::Learn(a) => return a.format(out, names),
            Action::Conjunction(a) => {
                write!(out, "conjunction({},{}/{})", a.id, u32::from(a.clause) + 1, a.n_clauses)
            }
            Action::Multipath(a) => return a.format(out),
            Action::Note(data) => {
                out.push_str("note:");
                return put_hex_bytes(out, data, ".");
            }
            Action::Exit => out.write_str("exit"),
            Action::Sample(a) => return a.format(out, names),
            Action::Ct(a) => return a.format(out, names),
            Action::CtClear => out.write_str("ct_clear"),
            Action::Nat(a) => return a.format(out),
            Action::Clone(actions) => {
                out.push_str("clone(");
                format_actions(actions, out, names);
                out.write_str(")")
            }
            Action::CheckPktLarger(a) => {
                let _ = write!(out, "check_pkt_larger({})->", a.length);
                return a.destination.format(out);
            }
            Action::DebugRecirc => out.write_str("debug_recirc"),
            Action::DebugSlow => out.write_str("debug_slow"),
            Action::Meter(id) => write!(out, "meter:{id}"),
            Action::ClearActions => out.write_str("clear_actions"),
            Action::WriteActions(actions) => {
                out.push_str("write_actions(");
                format_actions(actions, out, names);
                out.write_str(")")
            }
            Action::WriteMetadata { metadata, mask } => {
                let _ = write!(out, "write_metadata:{}", Hex(*metadata));
                if *mask == u64::MAX { Ok(()) } else { write!(out, "/{}", Hex(*mask)) }
            }
            Action::GotoTable(table) => {
                out.push_str("goto_table:");
                return format_table(out, *table, names.tables);
            }
        };
    }
}

/// Whether the list sends to `port`, nested actions included.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
pub fn outputs_to_port(actions: &[Action], port: OfPort) -> bool {
    actions.iter().any(|action| match action {
        Action::Output(a) => a.port == port,
        Action::Enqueue(a) => a.port == port,
        Action::Controller(_) => port == OfPort::CONTROLLER,
        _ => outputs_to_port(action.nested(), port),
    })
}

/// Whether the list sends to `group`, nested actions included.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
pub fn outputs_to_group(actions: &[Action], group: u32) -> bool {
    actions.iter().any(|action| match action {
        Action::Group(id) => *id == group,
        other => outputs_to_group(other.nested(), group),
    })
}
