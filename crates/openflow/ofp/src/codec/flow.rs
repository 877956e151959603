//! Messages about rules as bytes.
//!
//! house: long because a rule travels in three forms (flow-mod, statistics, removal) whose headers share their parts.

use base::OfPort;
use fields::Protocols;

use super::legacy;
use super::raw::{self, Multipart, Raw};
use super::{Context, Encoder};
use crate::action::{codec, port_from_of11};
use crate::oxm::{self, Rules};
use crate::wire::{Put, Reader, round8};
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
pub(super) fn decode_flow_mod(
    raw: Raw,
    r: &mut Reader<'_>,
    version: Version,
    cx: &Context,
) -> Result<FlowMod, OfError> {
    let mut fm = FlowMod::new(FlowModCommand::Add);
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
    fm.m = legacy::pull11(r, Rules::default())?;
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

pub(super) fn decode_stats_request(raw: Raw, r: &mut Reader<'_>) -> Result<FlowStatsRequest, OfError> {
    let mut out = FlowStatsRequest::default();
    match raw {
        Raw::Ofpst10FlowRequest | Raw::Ofpst10AggregateRequest => {
            (out.m, _) = legacy::pull10(r)?;
            out.table = r.u8()?;
            r.skip(1)?;
            out.out_port = OfPort::from_u16(r.u16()?);
        }
        Raw::NxstFlowRequest | Raw::NxstAggregateRequest => {
            out.out_port = OfPort::from_u16(r.u16()?);
            let match_len = usize::from(r.u16()?);
            out.table = r.u8()?;
            r.skip(3)?;
            let rules = Rules { allow_cookie: true, ..Rules::default() };
            (out.m, out.cookie, out.cookie_mask) = oxm::pull_nx_match(r, match_len, rules)?;
            if !r.is_empty() {
                return Err(OfError::OfpbrcBadLen);
            }
        }
        _ => {
            out.table = r.u8()?;
            r.skip(3)?;
            out.out_port = port_from_of11(r.u32()?)?;
            out.out_group = r.u32()?;
            r.skip(4)?;
            (out.cookie, out.cookie_mask) = (r.u64()?, r.u64()?);
            out.m = legacy::pull11(r, Rules::default())?;
        }
    }
    Ok(out)
}

pub(super) fn encode_stats_request(
    request: &FlowStatsRequest,
    aggregate: bool,
    e: &Encoder,
    out: &mut Vec<u8>,
) {
    let version = e.version;
    let raw = match (version, e.protocol.is_nxm10(), aggregate) {
        (Version::Of10, false, false) => Raw::Ofpst10FlowRequest,
        (Version::Of10, false, true) => Raw::Ofpst10AggregateRequest,
        (Version::Of10, true, false) => Raw::NxstFlowRequest,
        (Version::Of10, true, true) => Raw::NxstAggregateRequest,
        (Version::Of15, _, true) => Raw::Ofpst15AggregateRequest,
        (_, _, true) => Raw::Ofpst11AggregateRequest,
        (_, _, false) => Raw::Ofpst11FlowRequest,
    };
    let start = raw::start(out, raw, version.byte(), e.xid);
    if version != Version::Of10 {
        out.put_u8(request.table);
        out.put_zeros(3);
        out.put_u32(request.out_port.0);
        out.put_u32(request.out_group);
        out.put_zeros(4);
        out.put_u64(request.cookie);
        out.put_u64(request.cookie_mask);
        legacy::put_match(out, &request.m, version);
    } else if e.protocol.is_nxm10() {
        out.put_u16(request.out_port.0 as u16);
        let at = out.len();
        out.put_u16(0);
        out.put_u8(request.table);
        out.put_zeros(3);
        let len = oxm::put_nx_match(out, &request.m, request.cookie, request.cookie_mask);
        out.patch_u16(at, len as u16);
    } else {
        legacy::put10(out, &request.m);
        out.put_u8(request.table);
        out.put_u8(0);
        out.put_u16(request.out_port.0 as u16);
    }
    raw::finish(out, start);
}

/// Counters as OpenFlow 1.5 writes them (§7.2.4).
#[derive(Clone, Copy)]
struct OxsStats {
    duration: (u32, u32),
    idle: Option<u32>,
    flow_count: Option<u32>,
    packet_count: u64,
    byte_count: u64,
}

impl OxsStats {
    const NONE: OxsStats = OxsStats {
        duration: (u32::MAX, u32::MAX),
        idle: None,
        flow_count: None,
        packet_count: u64::MAX,
        byte_count: u64::MAX,
    };

    /// Reads a padded `ofp_stats`.
    fn pull(r: &mut Reader<'_>) -> Result<OxsStats, OfError> {
        let mut out = OxsStats::NONE;
        let mut head = Reader::new(r.rest());
        head.skip(2)?;
        let len = usize::from(head.u16()?);
        if len < 4 {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut body = Reader::new(&r.take(round8(len))?[4..len]);
        while !body.is_empty() {
            let (class, number, n) = (body.u16()?, body.u8()? >> 1, usize::from(body.u8()?));
            let mut value = Reader::new(body.take(n)?);
            match (class, number) {
                (0x8002, 0) => out.duration = (value.u32()?, value.u32()?),
                (0x8002, 1) => out.idle = Some(value.u32()?),
                (0x8002, 3) => out.flow_count = Some(value.u32()?),
                (0x8002, 4) => out.packet_count = value.u64()?,
                (0x8002, 5) => out.byte_count = value.u64()?,
                _ => {}
            }
        }
        Ok(out)
    }

    fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_u32(0);
        let mut entry = |number: u8, value: u64, n: usize| {
            out.put_u16(0x8002);
            out.put_u8(number << 1);
            out.put_u8(n as u8);
            out.put_wide(u128::from(value), n);
        };
        if self.duration.0 != u32::MAX {
            entry(0, u64::from(self.duration.0) << 32 | u64::from(self.duration.1), 8);
        }
        if let Some(idle) = self.idle {
            entry(1, u64::from(idle) << 32, 8);
        }
        if self.packet_count != u64::MAX {
            entry(4, self.packet_count, 8);
        }
        if self.byte_count != u64::MAX {
            entry(5, self.byte_count, 8);
        }
        if let Some(count) = self.flow_count {
            entry(3, u64::from(count), 4);
        }
        let len = out.len() - start;
        out.patch_u16(start + 2, len as u16);
        out.pad8_from(start);
    }
}

pub(super) fn decode_stats_reply(
    raw: Raw,
    r: &mut Reader<'_>,
    version: Version,
    cx: &Context,
) -> Result<Vec<FlowStats>, OfError> {
    let mut flows = Vec::new();
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let len = usize::from(head.u16()?);
        if len < 24 {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut entry = Reader::new(r.take(len)?);
        entry.skip(2)?;
        flows.push(decode_flow(raw, &mut entry, version, cx)?);
    }
    Ok(flows)
}

fn decode_flow(raw: Raw, r: &mut Reader<'_>, version: Version, cx: &Context) -> Result<FlowStats, OfError> {
    let mut f = FlowStats {
        m: Default::default(),
        cookie: 0,
        table: 0,
        priority: 0,
        idle_timeout: 0,
        hard_timeout: 0,
        duration_sec: 0,
        duration_nsec: 0,
        idle_age: None,
        hard_age: None,
        packet_count: 0,
        byte_count: 0,
        flags: FlowFlags::default(),
        importance: 0,
        actions: Vec::new(),
    };
    match raw {
        Raw::Ofpst15FlowReply => {
            r.skip(2)?;
            f.table = r.u8()?;
            r.skip(1)?;
            (f.priority, f.idle_timeout, f.hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
            f.flags = decode_flags(r.u16()?, None, version)?;
            f.importance = r.u16()?;
            f.cookie = r.u64()?;
            f.m = legacy::pull11(r, Rules::default())?;
            let stats = OxsStats::pull(r)?;
            (f.duration_sec, f.duration_nsec) = stats.duration;
            f.idle_age = stats.idle.map(|v| v.min(u32::from(u16::MAX)) as u16);
            (f.packet_count, f.byte_count) = (stats.packet_count, stats.byte_count);
        }
        Raw::Ofpst11FlowReply | Raw::Ofpst13FlowReply => {
            f.table = r.u8()?;
            r.skip(1)?;
            (f.duration_sec, f.duration_nsec) = (r.u32()?, r.u32()?);
            (f.priority, f.idle_timeout, f.hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
            let (flags, importance) = (r.u16()?, r.u16()?);
            r.skip(2)?;
            (f.cookie, f.packet_count, f.byte_count) = (r.u64()?, r.u64()?, r.u64()?);
            if version >= Version::Of14 {
                f.importance = importance;
            }
            if raw == Raw::Ofpst13FlowReply {
                f.flags = decode_flags(flags, None, version)?;
            }
            f.m = legacy::pull11(r, Rules::default())?;
        }
        Raw::Ofpst10FlowReply => {
            f.table = r.u8()?;
            r.skip(1)?;
            (f.m, _) = legacy::pull10(r)?;
            (f.duration_sec, f.duration_nsec) = (r.u32()?, r.u32()?);
            (f.priority, f.idle_timeout, f.hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
            r.skip(6)?;
            (f.cookie, f.packet_count, f.byte_count) = (r.u64()?, r.u64()?, r.u64()?);
        }
        _ => {
            f.table = r.u8()?;
            r.skip(1)?;
            (f.duration_sec, f.duration_nsec) = (r.u32()?, r.u32()?);
            (f.priority, f.idle_timeout, f.hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
            let (match_len, idle, hard) = (r.u16()?, r.u16()?, r.u16()?);
            (f.cookie, f.packet_count, f.byte_count) = (r.u64()?, r.u64()?, r.u64()?);
            if cx.flow_age {
                f.idle_age = idle.checked_sub(1);
                f.hard_age = hard.checked_sub(1);
            }
            (f.m, ..) = oxm::pull_nx_match(r, usize::from(match_len), Rules::default())?;
        }
    }
    let len = r.len();
    f.actions = codec::pull_instructions(r, len, version)?;
    Ok(f)
}

pub(super) fn encode_stats_reply(flows: &[FlowStats], e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let raw = match version {
        Version::Of10 if e.protocol.is_nxm10() => Raw::NxstFlowReply,
        Version::Of10 => Raw::Ofpst10FlowReply,
        Version::Of11 | Version::Of12 => Raw::Ofpst11FlowReply,
        Version::Of13 | Version::Of14 => Raw::Ofpst13FlowReply,
        Version::Of15 => Raw::Ofpst15FlowReply,
    };
    let mut parts = Multipart::new(out, raw, version.byte(), e.xid);
    for flow in flows {
        parts.entry(|out| {
            let start = out.len();
            encode_flow(raw, flow, version, out);
            let len = out.len() - start;
            out.patch_u16(start, len as u16);
        });
    }
    parts.end();
}

fn known(count: u64) -> u64 {
    if count == u64::MAX { 0 } else { count }
}

fn encode_flow(raw: Raw, f: &FlowStats, version: Version, out: &mut Vec<u8>) {
    out.put_u16(0);
    let timing = |out: &mut Vec<u8>| {
        out.put_u32(f.duration_sec);
        out.put_u32(f.duration_nsec);
        for v in [f.priority, f.idle_timeout, f.hard_timeout] {
            out.put_u16(v);
        }
    };
    match raw {
        Raw::Ofpst15FlowReply => {
            out.put_zeros(2);
            out.put_u8(f.table);
            out.put_u8(0);
            for v in
                [f.priority, f.idle_timeout, f.hard_timeout, encode_flags(f.flags, version), f.importance]
            {
                out.put_u16(v);
            }
            out.put_u64(f.cookie);
            legacy::put_match(out, &f.m, version);
            OxsStats {
                duration: (f.duration_sec, f.duration_nsec),
                idle: f.idle_age.map(u32::from),
                flow_count: None,
                packet_count: f.packet_count,
                byte_count: f.byte_count,
            }
            .put(out);
        }
        Raw::Ofpst11FlowReply | Raw::Ofpst13FlowReply => {
            out.put_u8(f.table);
            out.put_u8(0);
            timing(out);
            out.put_u16(if raw == Raw::Ofpst13FlowReply { encode_flags(f.flags, version) } else { 0 });
            out.put_u16(if version >= Version::Of14 { f.importance } else { 0 });
            out.put_zeros(2);
            for v in [f.cookie, known(f.packet_count), known(f.byte_count)] {
                out.put_u64(v);
            }
            // Always OXM, as upstream does even for OpenFlow 1.1.
            oxm::put_oxm_match(out, &f.m, version);
        }
        Raw::Ofpst10FlowReply => {
            out.put_u8(f.table);
            out.put_u8(0);
            legacy::put10(out, &f.m);
            timing(out);
            out.put_zeros(6);
            for v in [f.cookie, known(f.packet_count), known(f.byte_count)] {
                out.put_u64(v);
            }
        }
        _ => {
            out.put_u8(f.table);
            out.put_u8(0);
            timing(out);
            let at = out.len();
            out.put_u16(0);
            for age in [f.idle_age, f.hard_age] {
                out.put_u16(age.map_or(0, |a| a.saturating_add(1)));
            }
            for v in [f.cookie, f.packet_count, f.byte_count] {
                out.put_u64(v);
            }
            let len = oxm::put_nx_match(out, &f.m, 0, 0);
            out.patch_u16(at, len as u16);
        }
    }
    codec::encode_instructions(&f.actions, version, out);
}

pub(super) fn decode_aggregate(raw: Raw, r: &mut Reader<'_>) -> Result<AggregateStats, OfError> {
    if raw == Raw::Ofpst15AggregateReply {
        let stats = OxsStats::pull(r)?;
        return Ok(AggregateStats {
            packet_count: stats.packet_count,
            byte_count: stats.byte_count,
            flow_count: stats.flow_count.unwrap_or(u32::MAX),
        });
    }
    Ok(AggregateStats { packet_count: r.u64()?, byte_count: r.u64()?, flow_count: r.u32()? })
}

pub(super) fn encode_aggregate(stats: &AggregateStats, e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of15 => Raw::Ofpst15AggregateReply,
        Version::Of10 if e.protocol.is_nxm10() => Raw::NxstAggregateReply,
        _ => Raw::OfpstAggregateReply,
    };
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    if e.version == Version::Of15 {
        OxsStats {
            packet_count: stats.packet_count,
            byte_count: stats.byte_count,
            flow_count: Some(stats.flow_count),
            ..OxsStats::NONE
        }
        .put(out);
    } else {
        out.put_u64(known(stats.packet_count));
        out.put_u64(known(stats.byte_count));
        out.put_u32(stats.flow_count);
        out.put_u32(0);
    }
    raw::finish(out, start);
}

pub(super) fn decode_removed(
    raw: Raw,
    r: &mut Reader<'_>,
    _version: Version,
) -> Result<FlowRemoved, OfError> {
    let mut f = FlowRemoved {
        m: Default::default(),
        cookie: 0,
        priority: 0,
        reason: 0,
        table: 255,
        duration_sec: 0,
        duration_nsec: 0,
        idle_timeout: 0,
        hard_timeout: 0,
        packet_count: 0,
        byte_count: 0,
    };
    match raw {
        Raw::Ofpt15FlowRemoved => {
            (f.table, f.reason, f.priority) = (r.u8()?, r.u8()?, r.u16()?);
            (f.idle_timeout, f.hard_timeout, f.cookie) = (r.u16()?, r.u16()?, r.u64()?);
            f.m = legacy::pull11(r, Rules::default())?;
            let stats = OxsStats::pull(r)?;
            (f.duration_sec, f.duration_nsec) = stats.duration;
            (f.packet_count, f.byte_count) = (stats.packet_count, stats.byte_count);
        }
        Raw::Ofpt11FlowRemoved => {
            (f.cookie, f.priority, f.reason, f.table) = (r.u64()?, r.u16()?, r.u8()?, r.u8()?);
            (f.duration_sec, f.duration_nsec) = (r.u32()?, r.u32()?);
            (f.idle_timeout, f.hard_timeout) = (r.u16()?, r.u16()?);
            (f.packet_count, f.byte_count) = (r.u64()?, r.u64()?);
            f.m = legacy::pull11(r, Rules::default())?;
        }
        Raw::Ofpt10FlowRemoved => {
            (f.m, _) = legacy::pull10(r)?;
            (f.cookie, f.priority, f.reason) = (r.u64()?, r.u16()?, r.u8()?);
            r.skip(1)?;
            (f.duration_sec, f.duration_nsec, f.idle_timeout) = (r.u32()?, r.u32()?, r.u16()?);
            r.skip(2)?;
            (f.packet_count, f.byte_count) = (r.u64()?, r.u64()?);
        }
        _ => {
            (f.cookie, f.priority, f.reason) = (r.u64()?, r.u16()?, r.u8()?);
            f.table = r.u8()?.checked_sub(1).unwrap_or(255);
            (f.duration_sec, f.duration_nsec, f.idle_timeout) = (r.u32()?, r.u32()?, r.u16()?);
            let match_len = r.u16()?;
            (f.packet_count, f.byte_count) = (r.u64()?, r.u64()?);
            (f.m, ..) = oxm::pull_nx_match(r, usize::from(match_len), Rules::default())?;
            if !r.is_empty() {
                return Err(OfError::OfpbrcBadLen);
            }
        }
    }
    Ok(f)
}

pub(super) fn encode_removed(f: &FlowRemoved, e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let raw = match version {
        Version::Of10 if e.protocol.is_nxm10() => Raw::NxtFlowRemoved,
        Version::Of10 => Raw::Ofpt10FlowRemoved,
        Version::Of15 => Raw::Ofpt15FlowRemoved,
        _ => Raw::Ofpt11FlowRemoved,
    };
    let start = raw::start(out, raw, version.byte(), e.xid);
    // Eviction is of OpenFlow 1.4; before, it is told as a deletion.
    let reason = if f.reason == FlowRemovedReason::MeterDelete as u8 && version < Version::Of14 {
        FlowRemovedReason::Delete as u8
    } else {
        f.reason
    };
    match raw {
        Raw::Ofpt15FlowRemoved => {
            out.put_u8(f.table);
            out.put_u8(reason);
            for v in [f.priority, f.idle_timeout, f.hard_timeout] {
                out.put_u16(v);
            }
            out.put_u64(f.cookie);
            legacy::put_match(out, &f.m, version);
            OxsStats {
                duration: (f.duration_sec, f.duration_nsec),
                packet_count: f.packet_count,
                byte_count: f.byte_count,
                ..OxsStats::NONE
            }
            .put(out);
        }
        Raw::Ofpt11FlowRemoved => {
            out.put_u64(f.cookie);
            out.put_u16(f.priority);
            out.put_u8(reason);
            out.put_u8(f.table);
            out.put_u32(f.duration_sec);
            out.put_u32(f.duration_nsec);
            out.put_u16(f.idle_timeout);
            out.put_u16(f.hard_timeout);
            out.put_u64(f.packet_count);
            out.put_u64(f.byte_count);
            legacy::put_match(out, &f.m, version);
        }
        Raw::Ofpt10FlowRemoved => {
            legacy::put10(out, &f.m);
            out.put_u64(f.cookie);
            out.put_u16(f.priority);
            out.put_u8(reason);
            out.put_u8(0);
            out.put_u32(f.duration_sec);
            out.put_u32(f.duration_nsec);
            out.put_u16(f.idle_timeout);
            out.put_u16(0);
            out.put_u64(known(f.packet_count));
            out.put_u64(known(f.byte_count));
        }
        _ => {
            out.put_u64(f.cookie);
            out.put_u16(f.priority);
            out.put_u8(reason);
            out.put_u8(f.table.wrapping_add(1));
            out.put_u32(f.duration_sec);
            out.put_u32(f.duration_nsec);
            out.put_u16(f.idle_timeout);
            let at = out.len();
            out.put_u16(0);
            out.put_u64(f.packet_count);
            out.put_u64(f.byte_count);
            let len = oxm::put_nx_match(out, &f.m, 0, 0);
            out.patch_u16(at, len as u16);
        }
    }
    raw::finish(out, start);
}
