//! What each action is as bytes and as text: the lists of all actions, one beside the other.
//!
//! Long arguments have their own files; these lists call them. What an action requires of a match is in `check`. Lists of
//! actions, and how they are nested, are `codec`'s, `text`'s and `check`'s.

use std::fmt::Write;
use std::net::Ipv4Addr;

use base::MacAddr;
use fields::{Field, Protocols, TextError, format_table, oxm, parse_port, parse_table, refuse};

use super::codec::{
    CLEAR_ACTIONS, GOTO_TABLE, WRITE_ACTIONS, WRITE_METADATA, decode_nested, encode_actions, encode_meter,
    end_instruction, put_instruction,
};
use super::header::{ipv4, mac, parse_set_mpls};
use super::raw::{self, Raw};
use super::set_field::put_set_field;
use super::text::parse_nested;
use super::*;
use crate::text::{Hex, hex_bytes, put_hex_bytes, u8_of, u16_of, u32_of, u64_of};
use crate::wire::{Put, Reader, all_zeros};
use crate::{OfError, Version};

/// Reads one action.
// house: long because it is the list of actions by their numbers; each arm is a call or a line.
pub(super) fn decode(raw: Raw, body: &[u8], version: Version, depth: usize) -> Result<Action, OfError> {
    let number = |width| raw::number(body, width);
    let mac = || MacAddr::from_u64(raw::number(body, 6));
    Ok(match raw {
        Raw::Output10 | Raw::Output11 => return Output::decode(raw, body),
        Raw::SetVlanVid10 => return SetVlanVid::decode(number(2), true),
        Raw::SetVlanVid11 => return SetVlanVid::decode(number(2), false),
        Raw::SetVlanPcp10 => return SetVlanPcp::decode(number(1), true),
        Raw::SetVlanPcp11 => return SetVlanPcp::decode(number(1), false),
        Raw::PushVlan => return PushVlan::decode(number(2)),
        Raw::StripVlan10 => Action::StripVlan { pop: false },
        Raw::PopVlan11 => Action::StripVlan { pop: true },
        Raw::SetDlSrc10 | Raw::SetDlSrc11 => Action::SetEthSrc(mac()),
        Raw::SetDlDst10 | Raw::SetDlDst11 => Action::SetEthDst(mac()),
        Raw::SetNwSrc10 | Raw::SetNwSrc11 => Action::SetIpv4Src(number(4) as u32),
        Raw::SetNwDst10 | Raw::SetNwDst11 => Action::SetIpv4Dst(number(4) as u32),
        Raw::SetNwTos10 | Raw::SetNwTos11 => match number(1) as u8 {
            tos if tos & 3 == 0 => Action::SetIpDscp(tos),
            _ => return Err(OfError::OfpbacBadArgument),
        },
        Raw::SetNwEcn => match number(1) as u8 {
            ecn if ecn & !3 == 0 => Action::SetIpEcn(ecn),
            _ => return Err(OfError::OfpbacBadArgument),
        },
        Raw::SetTpSrc => Action::SetL4Src(SetL4Port { port: number(2) as u16, ip_proto: 0 }),
        Raw::SetTpDst => Action::SetL4Dst(SetL4Port { port: number(2) as u16, ip_proto: 0 }),
        Raw::Enqueue => return Enqueue::decode(body),
        Raw::SetMplsLabel10 | Raw::SetMplsLabel11 => Action::SetMplsLabel(number(4) as u32),
        Raw::SetMplsTc10 | Raw::SetMplsTc11 => Action::SetMplsTc(number(1) as u8),
        Raw::SetMplsTtl10 | Raw::SetMplsTtl11 => Action::SetMplsTtl(number(1) as u8),
        Raw::DecMplsTtl10 | Raw::DecMplsTtl11 => Action::DecMplsTtl,
        Raw::PushMpls10 | Raw::PushMpls11 => match number(2) {
            ethertype @ (0x8847 | 0x8848) => Action::PushMpls(ethertype as u16),
            _ => return Err(OfError::OfpbacBadArgument),
        },
        Raw::PopMpls10 | Raw::PopMpls11 => Action::PopMpls(number(2) as u16),
        Raw::SetQueue10 | Raw::SetQueue11 => Action::SetQueue(number(4) as u32),
        Raw::Group10 | Raw::Group11 => Action::Group(number(4) as u32),
        Raw::SetNwTtl => Action::SetIpTtl(number(1) as u8),
        Raw::DecNwTtl10 | Raw::DecNwTtl11 => Action::DecTtl(DecTtl::plain()),
        Raw::DecTtlCntIds => return DecTtl::decode(body),
        Raw::SetField12 | Raw::SetField15 | Raw::RegLoad2 => return SetField::decode(raw, body),
        Raw::RegLoad => return SetField::decode_load(body),
        Raw::CopyField15 | Raw::CopyField13 | Raw::RegMove => return RegMove::decode(raw, body),
        Raw::Meter15 => Action::Meter(number(4) as u32),
        Raw::Resubmit | Raw::ResubmitTable | Raw::ResubmitTableCt => return Resubmit::decode(raw, body),
        Raw::SetTunnel => Action::SetTunnel { id: number(4), wide: false },
        Raw::SetTunnel64 => Action::SetTunnel { id: number(8), wide: true },
        Raw::PopQueue => Action::PopQueue,
        Raw::Note => Action::Note(body[10..].into()),
        Raw::Multipath => return Multipath::decode(body),
        Raw::Bundle | Raw::BundleLoad => return Bundle::decode(raw, body),
        Raw::OutputReg | Raw::OutputReg2 => return OutputReg::decode(raw, body),
        Raw::Learn | Raw::Learn2 => return Learn::decode(raw, body),
        Raw::Exit => Action::Exit,
        Raw::FinTimeout => return FinTimeout::decode(body),
        Raw::Controller => return Controller::decode(body),
        Raw::Controller2 => return Controller::decode2(body),
        Raw::WriteMetadata => {
            let mut r = Reader::new(&body[10..]);
            if !all_zeros(r.take(6)?) {
                return Err(OfError::NxbrcMustBeZero);
            }
            Action::WriteMetadata { metadata: r.u64()?, mask: r.u64()? }
        }
        Raw::StackPush => {
            let subfield = header::decode_stack(body)?;
            subfield_source(&subfield, None)?;
            Action::StackPush(subfield)
        }
        Raw::StackPop => {
            let subfield = header::decode_stack(body)?;
            subfield_destination(&subfield, None)?;
            Action::StackPop(subfield)
        }
        Raw::Sample | Raw::Sample2 | Raw::Sample3 | Raw::Sample4 => return Sample::decode(raw, body),
        Raw::Conjunction => return Conjunction::decode(body),
        Raw::Ct => return Ct::decode(body, version, depth),
        Raw::Nat => return Nat::decode(body),
        Raw::OutputTrunc => return OutputTrunc::decode(body),
        Raw::Clone => {
            let mut r = Reader::new(&body[16..]);
            Action::Clone(decode_nested(&mut r, version, Outer::None, depth)?)
        }
        Raw::CtClear => Action::CtClear,
        Raw::Encap => return Encap::decode(body),
        Raw::Decap => return encap::decode_decap(body),
        Raw::DecNshTtl => Action::DecNshTtl,
        Raw::CheckPktLarger => return CheckPktLarger::decode(body),
        Raw::DeleteField => Action::DeleteField(crate::oxm::pull_field(&mut Reader::new(&body[10..]))?),
        Raw::DebugSlow => Action::DebugSlow,
        Raw::DebugRecirc => Action::DebugRecirc,
    })
}

/// Appends one action.
// house: long because it is the one list of actions and how each is written; each arm is a call or a line.
pub(super) fn encode(action: &Action, version: Version, out: &mut Vec<u8>) {
    let of10 = version == Version::Of10;
    let pick = |a, b| if of10 { a } else { b };
    let old = version < Version::Of12;
    match action {
        Action::Output(a) => a.encode(version, out),
        Action::Group(id) => raw::put_number(out, pick(Raw::Group10, Raw::Group11), u128::from(*id), 4),
        Action::Controller(a) => a.encode(out),
        Action::Enqueue(a) => a.encode(version, out),
        Action::OutputReg(a) => a.encode(out),
        Action::OutputTrunc(a) => a.encode(out),
        Action::Bundle(a) => a.encode(out),
        Action::SetField(a) => a.encode(version, out),
        Action::SetVlanVid(a) => a.encode(version, out),
        Action::SetVlanPcp(a) => a.encode(version, out),
        Action::StripVlan { .. } => {
            raw::put(out, pick(Raw::StripVlan10, Raw::PopVlan11));
        }
        Action::PushVlan(_) if of10 => {}
        Action::PushVlan(a) => raw::put_number(out, Raw::PushVlan, u128::from(a.ethertype), 2),
        Action::SetEthSrc(mac) if old => {
            raw::put_number(out, pick(Raw::SetDlSrc10, Raw::SetDlSrc11), u128::from(mac.to_u64()), 6);
        }
        Action::SetEthDst(mac) if old => {
            raw::put_number(out, pick(Raw::SetDlDst10, Raw::SetDlDst11), u128::from(mac.to_u64()), 6);
        }
        Action::SetEthSrc(mac) => put_set_field(out, version, Field::EthSrc, u128::from(mac.to_u64())),
        Action::SetEthDst(mac) => put_set_field(out, version, Field::EthDst, u128::from(mac.to_u64())),
        Action::SetIpv4Src(ip) if old => {
            raw::put_number(out, pick(Raw::SetNwSrc10, Raw::SetNwSrc11), u128::from(*ip), 4)
        }
        Action::SetIpv4Dst(ip) if old => {
            raw::put_number(out, pick(Raw::SetNwDst10, Raw::SetNwDst11), u128::from(*ip), 4)
        }
        Action::SetIpv4Src(ip) => put_set_field(out, version, Field::Ipv4Src, u128::from(*ip)),
        Action::SetIpv4Dst(ip) => put_set_field(out, version, Field::Ipv4Dst, u128::from(*ip)),
        Action::SetIpDscp(tos) if old => {
            raw::put_number(out, pick(Raw::SetNwTos10, Raw::SetNwTos11), u128::from(*tos), 1)
        }
        Action::SetIpDscp(tos) => put_set_field(out, version, Field::IpDscpShifted, u128::from(tos >> 2)),
        Action::SetIpEcn(ecn) => header::encode_ecn(*ecn, version, out),
        Action::SetIpTtl(ttl) => header::encode_ttl(*ttl, version, out),
        Action::SetL4Src(a) => a.encode(true, version, out),
        Action::SetL4Dst(a) => a.encode(false, version, out),
        Action::RegMove(a) => a.encode(version, out),
        Action::StackPush(s) => header::encode_stack(Raw::StackPush, s, out),
        Action::StackPop(s) => header::encode_stack(Raw::StackPop, s, out),
        Action::DecTtl(a) => a.encode(version, out),
        Action::SetMplsLabel(label) if old => {
            raw::put_number(out, pick(Raw::SetMplsLabel10, Raw::SetMplsLabel11), u128::from(*label), 4);
        }
        Action::SetMplsLabel(label) => put_set_field(out, version, Field::MplsLabel, u128::from(*label)),
        Action::SetMplsTc(tc) if old => {
            raw::put_number(out, pick(Raw::SetMplsTc10, Raw::SetMplsTc11), u128::from(*tc), 1)
        }
        Action::SetMplsTc(tc) => put_set_field(out, version, Field::MplsTc, u128::from(*tc)),
        Action::SetMplsTtl(ttl) => {
            raw::put_number(out, pick(Raw::SetMplsTtl10, Raw::SetMplsTtl11), u128::from(*ttl), 1)
        }
        Action::DecMplsTtl => {
            raw::put(out, pick(Raw::DecMplsTtl10, Raw::DecMplsTtl11));
        }
        Action::PushMpls(t) => {
            raw::put_number(out, pick(Raw::PushMpls10, Raw::PushMpls11), u128::from(*t), 2)
        }
        Action::PopMpls(t) => raw::put_number(out, pick(Raw::PopMpls10, Raw::PopMpls11), u128::from(*t), 2),
        Action::DecNshTtl => {
            raw::put(out, Raw::DecNshTtl);
        }
        Action::DeleteField(field) => {
            let start = raw::put_head(out, Raw::DeleteField, 10);
            super::widths::put_longest_header(out, *field);
            out.put_zeros(24 - (out.len() - start).min(24));
        }
        Action::Encap(a) => a.encode(out),
        Action::Decap(packet_type) => encap::encode_decap(*packet_type, out),
        Action::SetTunnel { id, .. } if !old => put_set_field(out, version, Field::TunId, u128::from(*id)),
        Action::SetTunnel { id, wide } if *wide || *id > u64::from(u32::MAX) => {
            raw::put_number(out, Raw::SetTunnel64, u128::from(*id), 8);
        }
        Action::SetTunnel { id, .. } => raw::put_number(out, Raw::SetTunnel, u128::from(*id), 4),
        Action::SetQueue(queue) => {
            raw::put_number(out, pick(Raw::SetQueue10, Raw::SetQueue11), u128::from(*queue), 4)
        }
        Action::PopQueue => {
            raw::put(out, Raw::PopQueue);
        }
        Action::FinTimeout(a) => a.encode(out),
        Action::Resubmit(a) => a.encode(out),
        Action::Learn(a) => a.encode(out),
        Action::Conjunction(a) => a.encode(out),
        Action::Multipath(a) => a.encode(out),
        Action::Note(data) => {
            let start = raw::put_head(out, Raw::Note, 10);
            out.extend_from_slice(data);
            raw::finish(out, start);
        }
        Action::Exit => {
            raw::put(out, Raw::Exit);
        }
        Action::Sample(a) => a.encode(out),
        Action::Ct(a) => a.encode(version, out),
        Action::CtClear => {
            raw::put(out, Raw::CtClear);
        }
        Action::Nat(a) => a.encode(out),
        Action::Clone(actions) => {
            let start = raw::put(out, Raw::Clone);
            encode_actions(actions, version, out);
            raw::finish(out, start);
        }
        Action::CheckPktLarger(a) => a.encode(out),
        Action::DebugRecirc => {
            raw::put(out, Raw::DebugRecirc);
        }
        Action::DebugSlow => {
            raw::put(out, Raw::DebugSlow);
        }
        Action::Meter(id) => encode_meter(*id, version, out),
        // OpenFlow 1.0 has no action set.
        Action::ClearActions | Action::WriteActions(_) if of10 => {}
        Action::ClearActions => {
            put_instruction(out, CLEAR_ACTIONS, 8);
            out.put_zeros(4);
        }
        Action::WriteActions(actions) => {
            let start = out.len();
            put_instruction(out, WRITE_ACTIONS, 8);
            out.put_zeros(4);
            encode_actions(actions, version, out);
            end_instruction(out, start);
        }
        Action::WriteMetadata { metadata, mask } => {
            if of10 {
                raw::put_head(out, Raw::WriteMetadata, 16);
            } else {
                put_instruction(out, WRITE_METADATA, 24);
                out.put_zeros(4);
            }
            out.put_u64(*metadata);
            out.put_u64(*mask);
        }
        Action::GotoTable(table) if of10 => {
            // What does the same there.
            let in_port = base::OfPort::IN_PORT;
            Resubmit { in_port, table: Some(*table), with_ct_orig: false, short: false }.encode(out);
        }
        Action::GotoTable(table) => {
            put_instruction(out, GOTO_TABLE, 8);
            out.put_u8(*table);
            out.put_zeros(3);
        }
    }
}

/// Reads an action by its name.
pub(super) fn parse(key: &str, value: &str, p: &mut Parser<'_>) -> Result<Action, TextError> {
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

impl Action {
    /// Writes the action.
    // house: long because it is the one list of actions and how each is shown; each arm is a call or a line.
    /// Appends the text that [`super::parse_actions`] reads.
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
