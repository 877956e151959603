//! Lists of actions and instructions as bytes.

use base::MacAddr;
use fields::Field;

use super::raw::{self, Raw};
use super::set_field::put_set_field;
use super::*;
use crate::wire::{Put, Reader, all_zeros};
use crate::{OfError, Version};

/// How deep actions may contain actions.
const MAX_DEPTH: usize = 64;

/// Reads one action.
// house: long because it is the one list of actions by their numbers; each arm is a call or a line.
fn decode_one(raw: Raw, body: &[u8], version: Version, depth: usize) -> Result<Action, OfError> {
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

/// Reads actions to the end of `bytes`, without looking at their order.
fn decode_list(bytes: &[u8], version: Version, depth: usize, out: &mut Vec<Action>) -> Result<(), OfError> {
    if depth > MAX_DEPTH {
        return Err(OfError::OfpbacTooMany);
    }
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let offset = bytes.len() - r.len();
        let step = raw::pull(&mut r, version).and_then(|(raw, body)| decode_one(raw, body, version, depth));
        match step {
            Ok(action) => out.push(action),
            Err(error) => {
                if log::log_enabled!(target: "ofp_actions", log::Level::Warn) {
                    let mut dump = String::new();
                    crate::text::put_hex_dump(&mut dump, bytes, 0, false);
                    log::warn!(target: "ofp_actions", "bad action at offset {offset} ({error}):\n{dump}");
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Takes `len` bytes of actions and reads them.
fn pull_checked(
    r: &mut Reader<'_>,
    len: usize,
    version: Version,
    outer: Outer,
    instructions: bool,
    depth: usize,
) -> Result<Vec<Action>, OfError> {
    if !len.is_multiple_of(8) {
        log::warn!(target: "ofp_actions", "OpenFlow message actions length {len} is not a multiple of 8");
        return Err(OfError::OfpbrcBadLen);
    }
    let left = r.len();
    let bytes = r.take(len).inspect_err(|_| {
        log::warn!(target: "ofp_actions", "OpenFlow message actions length {len} exceeds remaining message length ({left})");
    })?;
    let mut actions = Vec::new();
    decode_list(bytes, version, depth, &mut actions)?;
    check::verify_logged(&actions, version, instructions, outer)?;
    Ok(actions)
}

/// Reads `len` bytes of actions (packet-out, buckets).
pub(crate) fn pull_actions(r: &mut Reader<'_>, len: usize, version: Version) -> Result<Vec<Action>, OfError> {
    pull_checked(r, len, version, Outer::None, false, 0)
}

/// Reads the actions inside an action, to the end of `r`.
pub(super) fn decode_nested(
    r: &mut Reader<'_>,
    version: Version,
    outer: Outer,
    depth: usize,
) -> Result<Vec<Action>, OfError> {
    let len = r.len();
    let actions = pull_checked(r, len, version, outer, false, depth + 1)?;
    if actions.iter().any(|a| matches!(a, Action::Meter(_)) && version < Version::Of15) {
        return Err(OfError::OfpbicUnsupInst);
    }
    Ok(actions)
}

const GOTO_TABLE: u16 = 1;
const WRITE_METADATA: u16 = 2;
const WRITE_ACTIONS: u16 = 3;
const APPLY_ACTIONS: u16 = 4;
const CLEAR_ACTIONS: u16 = 5;
const METER: u16 = 6;

/// Reads `len` bytes of a rule's instructions (of its actions, in OpenFlow 1.0).
pub(crate) fn pull_instructions(
    r: &mut Reader<'_>,
    len: usize,
    version: Version,
) -> Result<Vec<Action>, OfError> {
    if version == Version::Of10 {
        return pull_checked(r, len, version, Outer::None, true, 0);
    }
    if !len.is_multiple_of(8) {
        log::warn!(target: "ofp_actions", "OpenFlow message instructions length {len} is not a multiple of 8");
        return Err(OfError::OfpbicBadLen);
    }
    let left = r.len();
    let bytes = r.take(len).map_err(|_| {
        log::warn!(target: "ofp_actions", "OpenFlow message instructions length {len} exceeds remaining message length ({left})");
        OfError::OfpbicBadLen
    })?;
    let found = find_instructions(bytes, version)?;
    let body = |kind: u16| found[usize::from(kind)].map(|b| Reader::new(&b[4..]));
    let mut actions = Vec::new();
    if let Some(mut r) = body(METER) {
        actions.push(Action::Meter(r.u32()?));
    }
    if let Some(mut r) = body(APPLY_ACTIONS) {
        r.skip(4)?;
        decode_list(r.rest(), version, 0, &mut actions)?;
    }
    if body(CLEAR_ACTIONS).is_some() {
        actions.push(Action::ClearActions);
    }
    if let Some(mut r) = body(WRITE_ACTIONS) {
        r.skip(4)?;
        let mut nested = Vec::new();
        decode_list(r.rest(), version, 1, &mut nested)?;
        if !nested.iter().all(Action::is_allowed_in_set) {
            log::warn!(target: "ofp_actions", "disallowed action in action set");
            return Err(OfError::OfpbacBadType);
        }
        actions.push(Action::WriteActions(nested));
    }
    if let Some(mut r) = body(WRITE_METADATA) {
        r.skip(4)?;
        actions.push(Action::WriteMetadata { metadata: r.u64()?, mask: r.u64()? });
    }
    if let Some(mut r) = body(GOTO_TABLE) {
        actions.push(Action::GotoTable(r.u8()?));
    }
    check::verify_logged(&actions, version, true, Outer::None)?;
    Ok(actions)
}

/// The bytes of each instruction, by its number.
fn find_instructions(bytes: &[u8], version: Version) -> Result<[Option<&[u8]>; 7], OfError> {
    let mut found = [None; 7];
    let mut rest = bytes;
    while let &[a, b, c, d, ..] = rest {
        let kind = u16::from_be_bytes([a, b]);
        let len = usize::from(u16::from_be_bytes([c, d]));
        if len % 8 != 0 || len < 8 || len > rest.len() {
            log::warn!(target: "ofp_actions", "bad instruction format at offset {}", bytes.len() - rest.len());
            return Err(OfError::OfpbicBadLen);
        }
        let expected = match kind {
            0xffff => return Err(OfError::OfpbicBadExperimenter),
            GOTO_TABLE | CLEAR_ACTIONS => Some(8),
            METER => Some(8),
            WRITE_METADATA => Some(24),
            WRITE_ACTIONS | APPLY_ACTIONS => None,
            _ => return Err(OfError::OfpbicUnknownInst),
        };
        if expected.is_some_and(|e| e != len) {
            return Err(OfError::OfpbicBadLen);
        }
        if kind == METER && version >= Version::Of15 {
            return Err(OfError::OfpbicUnknownInst);
        }
        let place = &mut found[usize::from(kind)];
        if place.is_some() {
            return Err(OfError::OfpbicDupInst);
        }
        *place = Some(&rest[..len]);
        rest = &rest[len..];
    }
    Ok(found)
}

fn put_instruction(out: &mut Vec<u8>, kind: u16, len: u16) {
    out.put_u16(kind);
    out.put_u16(len);
}

/// Appends one action.
// house: long because it is the one list of actions and how each is written; each arm is a call or a line.
fn encode_one(action: &Action, version: Version, out: &mut Vec<u8>) {
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
            crate::oxm::put_header(out, *field, 0, false);
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

/// Meters came with OpenFlow 1.3, as an instruction, and became an action with 1.5.
fn encode_meter(id: u32, version: Version, out: &mut Vec<u8>) {
    if version >= Version::Of15 {
        raw::put_number(out, Raw::Meter15, u128::from(id), 4);
    } else if version >= Version::Of13 {
        put_instruction(out, METER, 8);
        out.put_u32(id);
    }
}

/// Writes the length of an instruction with actions, or drops an empty one.
fn end_instruction(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    if len > 8 {
        out.patch_u16(start + 2, len as u16);
    } else {
        out.truncate(start);
    }
}

/// Appends actions.
pub(crate) fn encode_actions(actions: &[Action], version: Version, out: &mut Vec<u8>) {
    for action in actions {
        encode_one(action, version, out);
    }
}

/// Appends a rule's instructions (its actions, in OpenFlow 1.0).
pub(crate) fn encode_instructions(actions: &[Action], version: Version, out: &mut Vec<u8>) {
    if version == Version::Of10 {
        return encode_actions(actions, version, out);
    }
    let is_apply = |a: &Action| Instruction::of(a, version) == Instruction::Apply;
    let mut rest = actions;
    while let Some(first) = rest.first() {
        if !is_apply(first) {
            encode_one(first, version, out);
            rest = &rest[1..];
            continue;
        }
        let n = rest.iter().position(|a| !is_apply(a)).unwrap_or(rest.len());
        let start = out.len();
        put_instruction(out, APPLY_ACTIONS, 8);
        out.put_zeros(4);
        encode_actions(&rest[..n], version, out);
        end_instruction(out, start);
        rest = &rest[n..];
    }
}

/// Reads actions, or instructions, that fill `bytes`. The match is not considered.
pub fn actions_from_wire(bytes: &[u8], version: Version, instructions: bool) -> Result<Vec<Action>, OfError> {
    let mut r = Reader::new(bytes);
    if instructions {
        pull_instructions(&mut r, bytes.len(), version)
    } else {
        pull_actions(&mut r, bytes.len(), version)
    }
}

/// The bytes of actions or instructions.
pub fn actions_to_wire(actions: &[Action], version: Version, instructions: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if instructions {
        encode_instructions(actions, version, &mut out);
    } else {
        encode_actions(actions, version, &mut out);
    }
    out
}
