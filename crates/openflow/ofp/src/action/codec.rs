//! Lists of actions and instructions as bytes.

use super::raw::{self, Raw};
use super::*;
use crate::wire::{Put, Reader};
use crate::{OfError, Version};

/// How deep actions may contain actions.
const MAX_DEPTH: usize = 64;

/// Reads actions to the end of `bytes`, without looking at their order.
fn decode_list(bytes: &[u8], version: Version, depth: usize, out: &mut Vec<Action>) -> Result<(), OfError> {
    if depth > MAX_DEPTH {
        return Err(OfError::OfpbacTooMany);
    }
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let offset = bytes.len() - r.len();
        let step =
            raw::pull(&mut r, version).and_then(|(raw, body)| forms::decode(raw, body, version, depth));
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

pub(super) const GOTO_TABLE: u16 = 1;
pub(super) const WRITE_METADATA: u16 = 2;
pub(super) const WRITE_ACTIONS: u16 = 3;
const APPLY_ACTIONS: u16 = 4;
pub(super) const CLEAR_ACTIONS: u16 = 5;
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

pub(super) fn put_instruction(out: &mut Vec<u8>, kind: u16, len: u16) {
    out.put_u16(kind);
    out.put_u16(len);
}

pub(super) fn encode_meter(id: u32, version: Version, out: &mut Vec<u8>) {
    if version >= Version::Of15 {
        raw::put_number(out, Raw::Meter15, u128::from(id), 4);
    } else if version >= Version::Of13 {
        put_instruction(out, METER, 8);
        out.put_u32(id);
    }
}

/// Writes the length of an instruction with actions, or drops an empty one.
pub(super) fn end_instruction(out: &mut Vec<u8>, start: usize) {
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
        forms::encode(action, version, out);
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
            forms::encode(first, version, out);
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
