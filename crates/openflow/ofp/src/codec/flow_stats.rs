//! Statistics of rules as bytes: requests, rules with their counters, sums.

use super::flow::{decode_flags, encode_flags};
use super::legacy;
use super::raw::{self, Multipart, Raw};
use super::{Context, Encoder};
use crate::action::{codec, port_from_of11};
use crate::oxm::{self, Rules};
use crate::wire::{Put, Reader, round8};
use crate::*;
use base::OfPort;

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
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
pub(super) struct OxsStats {
    pub(super) duration: (u32, u32),
    pub(super) idle: Option<u32>,
    pub(super) flow_count: Option<u32>,
    pub(super) packet_count: u64,
    pub(super) byte_count: u64,
}

impl OxsStats {
    pub(super) const NONE: OxsStats = OxsStats {
        duration: (u32::MAX, u32::MAX),
        idle: None,
        flow_count: None,
        packet_count: u64::MAX,
        byte_count: u64::MAX,
    };

    /// Reads a padded `ofp_stats`.
    pub(super) fn pull(r: &mut Reader<'_>) -> Result<OxsStats, OfError> {
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

    pub(super) fn put(&self, out: &mut Vec<u8>) {
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

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
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

fn reply_kind(e: &Encoder) -> Raw {
    match e.version {
        Version::Of10 if e.protocol.is_nxm10() => Raw::NxstFlowReply,
        Version::Of10 => Raw::Ofpst10FlowReply,
        Version::Of11 | Version::Of12 => Raw::Ofpst11FlowReply,
        Version::Of13 | Version::Of14 => Raw::Ofpst13FlowReply,
        Version::Of15 => Raw::Ofpst15FlowReply,
    }
}

pub(super) fn encode_stats_reply(flows: &[FlowStats], e: &Encoder, out: &mut Vec<u8>) {
    let mut parts = Multipart::new(out, reply_kind(e), e.version.byte(), e.xid);
    for flow in flows {
        parts.entry(|out| put_entry(flow, e, out));
    }
    parts.end();
}

/// Appends the entry of one rule of a reply.
pub(super) fn put_entry(flow: &FlowStats, e: &Encoder, out: &mut Vec<u8>) {
    let start = out.len();
    encode_flow(reply_kind(e), flow, e.version, out);
    let len = out.len() - start;
    out.patch_u16(start, len as u16);
}

pub(super) fn known(count: u64) -> u64 {
    if count == u64::MAX { 0 } else { count }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
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
        Version::Of10 | Version::Of11 | Version::Of12 | Version::Of13 | Version::Of14 => {
            Raw::OfpstAggregateReply
        }
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
