//! Changes of rules as bytes.

use base::OfPort;
use fields::Protocols;

use super::legacy;
use super::raw::{self, Raw};
use super::{Context, Encoder};
use crate::action::{codec, port_from_of11};
use crate::oxm::{self, Rules};
use crate::wire::{Put, Reader};
use crate::*;

/// flag, its bit on the wire, first and last version.
const FLAGS: [(FlowFlags, u16, u8, u8); 6] = [
    (FlowFlags::SEND_FLOW_REM, 1, 1, 6),
    (FlowFlags::CHECK_OVERLAP, 2, 1, 6),
    (FlowFlags::EMERGENCY, 4, 1, 1),
    (FlowFlags::RESET_COUNTS, 4, 3, 6),
    (FlowFlags::NO_PACKET_COUNTS, 8, 4, 6),
    (FlowFlags::NO_BYTE_COUNTS, 16, 4, 6),
];

pub(super) fn decode_flags(
    bits: u16,
    command: Option<FlowModCommand>,
    version: Version,
) -> Result<FlowFlags, OfError> {
    let mut flags = FlowFlags::default();
    let mut rest = bits;
    for (flag, bit, from, to) in FLAGS {
        if bits & bit != 0 && (from..=to).contains(&version.byte()) {
            flags.insert(flag);
            rest &= !bit;
        }
    }
    if version <= Version::Of11 && command == Some(FlowModCommand::Add) {
        flags.insert(FlowFlags::RESET_COUNTS);
    }
    if rest == 0 { Ok(flags) } else { Err(OfError::OfpfmfcBadFlags) }
}

pub(super) fn encode_flags(flags: FlowFlags, version: Version) -> u16 {
    FLAGS
        .iter()
        .filter(|(flag, _, from, to)| flags.contains(*flag) && (*from..=*to).contains(&version.byte()))
        .fold(0, |bits, (_, bit, ..)| bits | bit)
}

/// Reads a flow-mod and checks its actions against its match.
#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn decode_flow_mod(
    raw: Raw,
    r: &mut Reader<'_>,
    version: Version,
    cx: &Context,
) -> Result<Box<FlowMod>, OfError> {
    let mut fm = Box::new(FlowMod::new(FlowModCommand::Add));
    let (command, flags) = match raw {
        Raw::Ofpt11FlowMod => decode_flow_mod11(r, version, &mut fm)?,
        Raw::Ofpt10FlowMod => decode_flow_mod10(r, &mut fm)?,
        _ => decode_flow_mod_nx(r, &mut fm)?,
    };
    let command = if raw == Raw::Ofpt11FlowMod {
        command
    } else {
        fm.modify_cookie = fm.new_cookie != u64::MAX;
        if cx.protocol.intersects(Protocols::TID) {
            fm.table = (command >> 8) as u8;
            command & 0xff
        } else {
            if command > 0xff {
                log::warn!(target: "ofp_flow", "flow_mod has explicit table_id but flow_mod_table_id extension is not enabled");
            }
            command
        }
    };
    if legacy::has_ct_mismatch(&fm.m) {
        return Err(OfError::OfpbacMatchInconsistent);
    }
    fm.command = FlowModCommand::from_number(command).ok_or(OfError::OfpfmfcBadCommand)?;
    let len = r.len();
    fm.actions = codec::pull_instructions(r, len, version)?;
    fm.flags = decode_flags(flags, Some(fm.command), version)?;
    if fm.flags.contains(FlowFlags::EMERGENCY) {
        let timeout = fm.hard_timeout != 0 || fm.idle_timeout != 0;
        return Err(if timeout { OfError::OfpfmfcBadEmergTimeout } else { OfError::OfpfmfcTableFull });
    }
    Check::new(&mut fm.m, fm.table, cx.n_tables).actions_for(&mut fm.actions, cx.protocol)?;
    Ok(fm)
}

fn decode_flow_mod11(r: &mut Reader<'_>, version: Version, fm: &mut FlowMod) -> Result<(u16, u16), OfError> {
    let (cookie, cookie_mask, table, command) = (r.u64()?, r.u64()?, r.u8()?, r.u8()?);
    (fm.idle_timeout, fm.hard_timeout, fm.priority) = (r.u16()?, r.u16()?, r.u16()?);
    fm.buffer_id = r.u32()?;
    let (out_port, out_group, flags, importance) = (r.u32()?, r.u32()?, r.u16()?, r.u16()?);
    legacy::pull11_into(r, Rules::default(), &mut fm.m)?;
    let add = command == FlowModCommand::Add as u8;
    let delete = command == FlowModCommand::Delete as u8 || command == FlowModCommand::DeleteStrict as u8;
    let modify = command == FlowModCommand::Modify as u8 || command == FlowModCommand::ModifyStrict as u8;
    if add || (version == Version::Of11 && modify && cookie_mask == 0) {
        fm.new_cookie = cookie;
    } else {
        (fm.cookie, fm.cookie_mask, fm.new_cookie) = (cookie, cookie_mask, u64::MAX);
    }
    if table == 0xff && (version == Version::Of11 || !delete) {
        return Err(OfError::OfpfmfcBadTableId);
    }
    fm.table = table;
    fm.importance = if version >= Version::Of14 && add { importance } else { 0 };
    fm.out_port = port_from_of11(out_port)?;
    fm.out_group = if delete { out_group } else { GROUP_ANY };
    Ok((u16::from(command), flags))
}

fn decode_flow_mod10(r: &mut Reader<'_>, fm: &mut FlowMod) -> Result<(u16, u16), OfError> {
    let (mut m, wild) = legacy::pull10(r)?;
    m.normalize();
    fm.m = m;
    fm.new_cookie = r.u64()?;
    let command = r.u16()?;
    (fm.idle_timeout, fm.hard_timeout) = (r.u16()?, r.u16()?);
    let priority = r.u16()?;
    fm.priority = if wild { priority } else { u16::MAX };
    fm.buffer_id = r.u32()?;
    fm.out_port = OfPort::from_u16(r.u16()?);
    Ok((command, r.u16()?))
}

fn decode_flow_mod_nx(r: &mut Reader<'_>, fm: &mut FlowMod) -> Result<(u16, u16), OfError> {
    fm.new_cookie = r.u64()?;
    let command = r.u16()?;
    (fm.idle_timeout, fm.hard_timeout, fm.priority) = (r.u16()?, r.u16()?, r.u16()?);
    fm.buffer_id = r.u32()?;
    fm.out_port = OfPort::from_u16(r.u16()?);
    let (flags, match_len) = (r.u16()?, r.u16()?);
    r.skip(6)?;
    (fm.m, fm.cookie, fm.cookie_mask) =
        oxm::pull_nx_match(r, usize::from(match_len), Rules { allow_cookie: true, ..Rules::default() })?;
    if command & 0xff == FlowModCommand::Add as u16 && fm.cookie_mask != 0 {
        return Err(OfError::NxbrcNxmInvalid);
    }
    Ok((command, flags))
}

pub(super) fn encode_flow_mod(fm: &FlowMod, e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let flags = encode_flags(fm.flags, version);
    let command = fm.command as u16;
    if version != Version::Of10 {
        let start = raw::start(out, Raw::Ofpt11FlowMod, version.byte(), e.xid);
        let adds = fm.command == FlowModCommand::Add
            || (version == Version::Of11 && fm.command.is_modify() && fm.cookie_mask == 0);
        out.put_u64(if adds { fm.new_cookie } else { fm.cookie & fm.cookie_mask });
        out.put_u64(fm.cookie_mask);
        let all_tables = version != Version::Of11 && fm.command.is_delete();
        out.put_u8(if fm.table != 0xff || all_tables { fm.table } else { 0 });
        out.put_u8(command as u8);
        out.put_u16(fm.idle_timeout);
        out.put_u16(fm.hard_timeout);
        out.put_u16(fm.priority);
        out.put_u32(fm.buffer_id);
        out.put_u32(fm.out_port.0);
        out.put_u32(fm.out_group);
        out.put_u16(flags);
        out.put_u16(if version >= Version::Of14 && fm.command == FlowModCommand::Add {
            fm.importance
        } else {
            0
        });
        legacy::put_match(out, &fm.m, version);
        codec::encode_instructions(&fm.actions, version, out);
        return raw::finish(out, start);
    }
    let command =
        if e.protocol.intersects(Protocols::TID) { u16::from(fm.table) << 8 | command } else { command };
    let nxm = e.protocol.is_nxm10();
    let start = raw::start(out, if nxm { Raw::NxtFlowMod } else { Raw::Ofpt10FlowMod }, 1, e.xid);
    if !nxm {
        legacy::put10(out, &fm.m);
    }
    out.put_u64(fm.new_cookie);
    out.put_u16(command);
    out.put_u16(fm.idle_timeout);
    out.put_u16(fm.hard_timeout);
    out.put_u16(fm.priority);
    out.put_u32(fm.buffer_id);
    out.put_u16(fm.out_port.0 as u16);
    out.put_u16(flags);
    if nxm {
        let at = out.len();
        out.put_zeros(8);
        let len = oxm::put_nx_match(out, &fm.m, fm.cookie, fm.cookie_mask);
        out.patch_u16(at, len as u16);
    }
    codec::encode_actions(&fm.actions, version, out);
    raw::finish(out, start);
}
