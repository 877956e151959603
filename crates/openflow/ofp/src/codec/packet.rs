//! Packet-in and packet-out as bytes.

use base::OfPort;
use fields::{Field, Match};

use super::raw::{self, Raw};
use super::{Encoder, legacy};
use crate::action::{codec, port_from_of11};
use crate::oxm::{self, Rules};
use crate::prop::{self, Property};
use crate::wire::{Put, Reader};
use crate::*;

/// Properties of NXT_PACKET_IN2 (`NXPINT_*`).
mod property {
    pub(super) const PACKET: u16 = 0;
    pub(super) const FULL_LEN: u16 = 1;
    pub(super) const BUFFER_ID: u16 = 2;
    pub(super) const TABLE_ID: u16 = 3;
    pub(super) const COOKIE: u16 = 4;
    pub(super) const REASON: u16 = 5;
    pub(super) const METADATA: u16 = 6;
    pub(super) const USERDATA: u16 = 7;
    pub(super) const CONTINUATION: u16 = 8;
}

/// Properties of continuations (`NXCPT_*`).
mod continuation {
    pub(super) const BRIDGE: u16 = 0x8000;
    pub(super) const STACK: u16 = 0x8001;
    pub(super) const MIRRORS: u16 = 0x8002;
    pub(super) const CONNTRACKED: u16 = 0x8003;
    pub(super) const TABLE_ID: u16 = 0x8004;
    pub(super) const COOKIE: u16 = 0x8005;
    pub(super) const ACTIONS: u16 = 0x8006;
    pub(super) const ACTION_SET: u16 = 0x8007;
    pub(super) const ODP_PORT: u16 = 0x8008;
}

const LOOSE: Rules = Rules { loose: true, pipeline_only: false, allow_cookie: false };

fn in_port_match(port: OfPort) -> Match {
    let mut m = Match::default();
    m.set_in_port(port);
    m
}

fn empty() -> PacketIn {
    PacketIn {
        packet: Vec::new(),
        total_len: 0,
        buffer_id: NO_BUFFER,
        metadata: Match::default(),
        reason: PacketInReason::NoMatch,
        table: 0,
        cookie: u64::MAX,
        userdata: Vec::new(),
        continuation: None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn decode_in(raw: Raw, r: &mut Reader<'_>, version: Version) -> Result<PacketIn, OfError> {
    let mut p = empty();
    match raw {
        Raw::Ofpt10PacketIn => {
            (p.buffer_id, p.total_len) = (r.u32()?, usize::from(r.u16()?));
            p.metadata = in_port_match(OfPort::from_u16(r.u16()?));
            p.reason = PacketInReason::from_number(r.u8()?);
            r.skip(1)?;
        }
        Raw::Ofpt11PacketIn => {
            p.buffer_id = r.u32()?;
            p.metadata = in_port_match(port_from_of11(r.u32()?)?);
            r.skip(4)?;
            p.total_len = usize::from(r.u16()?);
            (p.reason, p.table) = (PacketInReason::from_number(r.u8()?), r.u8()?);
        }
        Raw::Ofpt12PacketIn | Raw::Ofpt13PacketIn => {
            (p.buffer_id, p.total_len) = (r.u32()?, usize::from(r.u16()?));
            (p.reason, p.table) = (PacketInReason::from_number(r.u8()?), r.u8()?);
            if raw == Raw::Ofpt13PacketIn {
                p.cookie = r.u64()?;
            }
            p.metadata = oxm::pull_oxm_match(r, LOOSE)?;
            r.skip(2)?;
        }
        Raw::NxtPacketIn => {
            (p.buffer_id, p.total_len) = (r.u32()?, usize::from(r.u16()?));
            (p.reason, p.table) = (PacketInReason::from_number(r.u8()?), r.u8()?);
            p.cookie = r.u64()?;
            let match_len = usize::from(r.u16()?);
            r.skip(6)?;
            (p.metadata, ..) = oxm::pull_nx_match(r, match_len, LOOSE)?;
            r.skip(2)?;
        }
        _ => {
            decode_in2(r, version, &mut p)?;
            return Ok(p);
        }
    }
    p.packet = r.rest().to_vec();
    Ok(p)
}

fn decode_in2(r: &mut Reader<'_>, version: Version, p: &mut PacketIn) -> Result<(), OfError> {
    while !r.is_empty() {
        let prop = Property::pull(r)?;
        match prop.kind {
            property::PACKET => p.packet = prop.data.to_vec(),
            property::FULL_LEN => p.total_len = prop.u32()? as usize,
            property::BUFFER_ID => p.buffer_id = prop.u32()?,
            property::TABLE_ID => p.table = prop.u8()?,
            property::COOKIE => p.cookie = prop.u64()?,
            property::REASON => p.reason = PacketInReason::from_number(prop.u8()?),
            property::METADATA => (p.metadata, ..) = oxm::decode(prop.data, LOOSE)?,
            property::USERDATA => p.userdata = prop.data.to_vec(),
            property::CONTINUATION => {
                p.continuation = Some(Box::new(decode_continuation(prop.data, version)?))
            }
            _ if prop.kind & 0x8000 != 0 => {}
            _ => return Err(prop.unknown("NX_PACKET_IN2", true)),
        }
    }
    if p.packet.is_empty() {
        log::warn!(target: "ofp_packet", "NXT_PACKET_IN2 lacks packet");
        return Err(OfError::OfpbrcBadLen);
    }
    if p.total_len == 0 {
        p.total_len = p.packet.len();
    } else if p.total_len < p.packet.len() {
        log::warn!(target: "ofp_packet", "NXT_PACKET_IN2 claimed full_len < len");
        return Err(OfError::OfpbrcBadLen);
    }
    Ok(())
}

/// Nested data follows four bytes of padding.
fn nested(data: &[u8]) -> Result<&[u8], OfError> {
    data.get(4..).ok_or(OfError::OfpbpcBadLen)
}

fn decode_continuation(data: &[u8], version: Version) -> Result<Continuation, OfError> {
    let data = nested(data)?;
    let mut out = Continuation { raw: data.to_vec(), ..Continuation::default() };
    let mut table = 0;
    let mut r = Reader::new(data);
    while !r.is_empty() {
        let prop = Property::pull(&mut r)?;
        match prop.kind {
            continuation::BRIDGE => {
                let id = prop.data.get(4..).and_then(|b| b.try_into().ok()).ok_or(OfError::OfpbpcBadLen)?;
                out.bridge = Some(id);
            }
            continuation::STACK => out.stack.insert(0, prop.data.to_vec()),
            continuation::MIRRORS => out.mirrors = prop.u32()?,
            continuation::CONNTRACKED => out.conntracked = true,
            continuation::TABLE_ID => table = prop.u8()?,
            continuation::COOKIE => {
                let rule = Some((table, prop.u64()?));
                out.frames.push(ContinuationFrame { rule, actions: Vec::new() });
            }
            continuation::ACTIONS => {
                let mut actions = Reader::new(nested(prop.data)?);
                let len = actions.len();
                let actions = codec::pull_instructions(&mut actions, len, version)?;
                match out.frames.last_mut().filter(|frame| frame.actions.is_empty()) {
                    Some(frame) => frame.actions = actions,
                    None => out.frames.push(ContinuationFrame { rule: None, actions }),
                }
            }
            continuation::ACTION_SET => {
                let mut actions = Reader::new(nested(prop.data)?);
                let len = actions.len();
                out.action_set = codec::pull_actions(&mut actions, len, version)?;
            }
            continuation::ODP_PORT => out.odp_port = Some(prop.u32()?),
            _ => return Err(prop.unknown("continuation", false)),
        }
    }
    Ok(out)
}

fn put_nested(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    let start = prop::start(out, kind);
    out.put_u32(0);
    write(out);
    prop::end(out, start);
}

fn encode_continuation(c: &Continuation, version: Version, out: &mut Vec<u8>) {
    if !c.raw.is_empty() {
        return out.extend_from_slice(&c.raw);
    }
    if let Some(bridge) = &c.bridge {
        let start = prop::start(out, continuation::BRIDGE);
        out.put_u32(0);
        out.extend_from_slice(bridge);
        prop::end(out, start);
    }
    for value in c.stack.iter().rev() {
        prop::put(out, continuation::STACK, value);
    }
    if c.mirrors != 0 {
        prop::put_u32(out, continuation::MIRRORS, c.mirrors);
    }
    if c.conntracked {
        prop::put(out, continuation::CONNTRACKED, &[]);
    }
    for frame in &c.frames {
        if let Some((table, cookie)) = frame.rule {
            prop::put_u8(out, continuation::TABLE_ID, table);
            prop::put_u64(out, continuation::COOKIE, cookie);
        }
        put_nested(out, continuation::ACTIONS, |out| {
            codec::encode_instructions(&frame.actions, version, out)
        });
    }
    if !c.action_set.is_empty() {
        put_nested(out, continuation::ACTION_SET, |out| codec::encode_actions(&c.action_set, version, out));
    }
    if let Some(port) = c.odp_port {
        prop::put_u32(out, continuation::ODP_PORT, port);
    }
}

/// The reason as `version` can say it.
fn encode_reason(reason: PacketInReason, version: Version) -> u8 {
    use PacketInReason::*;
    match reason {
        ActionSet | Group | PacketOut if version < Version::Of14 => Action.number(),
        ExplicitMiss if version < Version::Of13 => Action.number(),
        ExplicitMiss | ImplicitMiss => NoMatch.number(),
        other @ (NoMatch | Action | InvalidTtl | ActionSet | Group | PacketOut | Other(_)) => other.number(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn encode_in(p: &PacketIn, resume: bool, e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let reason = encode_reason(p.reason, version);
    let total_len = p.total_len.max(p.packet.len());
    if resume || e.packet_in_format == PacketInFormat::Nxt2 {
        let start =
            raw::start(out, if resume { Raw::NxtResume } else { Raw::NxtPacketIn2 }, version.byte(), e.xid);
        if p.packet.is_empty() {
            // Receivers refuse it as one that lacks its packet.
            return raw::abandon(out, start);
        }
        encode_in2(p, reason, total_len, version, out);
        return raw::finish(out, start);
    }
    let raw = match (e.packet_in_format, version) {
        (PacketInFormat::Nxt, _) => Raw::NxtPacketIn,
        (_, Version::Of10) => Raw::Ofpt10PacketIn,
        (_, Version::Of11) => Raw::Ofpt11PacketIn,
        (_, Version::Of12) => Raw::Ofpt12PacketIn,
        _ => Raw::Ofpt13PacketIn,
    };
    let start = raw::start(out, raw, version.byte(), e.xid);
    let in_port = p.metadata.key.in_port();
    let len = total_len.min(usize::from(u16::MAX)) as u16;
    out.put_u32(p.buffer_id);
    match raw {
        Raw::Ofpt10PacketIn => {
            out.put_u16(len);
            out.put_u16(in_port as u16);
            out.put_u8(reason);
            out.put_u8(0);
        }
        Raw::Ofpt11PacketIn => {
            out.put_u32(in_port);
            out.put_u32(in_port);
            out.put_u16(len);
            out.put_u8(reason);
            out.put_u8(p.table);
        }
        _ => {
            out.put_u16(len);
            out.put_u8(reason);
            out.put_u8(p.table);
            if raw == Raw::Ofpt13PacketIn {
                out.put_u64(p.cookie);
            }
            if raw == Raw::NxtPacketIn {
                out.put_u64(p.cookie);
                let at = out.len();
                out.put_zeros(8);
                let match_len = oxm::put_nx_match(out, &p.metadata, 0, 0);
                out.patch_u16(at, match_len as u16);
            } else {
                oxm::put_oxm_match(out, &p.metadata, version);
            }
            out.put_zeros(2);
        }
    }
    out.extend_from_slice(&p.packet);
    raw::finish(out, start);
}

fn encode_in2(p: &PacketIn, reason: u8, total_len: usize, version: Version, out: &mut Vec<u8>) {
    prop::put(out, property::PACKET, &p.packet);
    if total_len != p.packet.len() {
        prop::put_u32(out, property::FULL_LEN, total_len as u32);
    }
    prop::put_u8(out, property::TABLE_ID, p.table);
    if p.cookie != u64::MAX {
        prop::put_u64(out, property::COOKIE, p.cookie);
    }
    prop::put_u8(out, property::REASON, reason);
    let start = prop::start(out, property::METADATA);
    oxm::put_match(out, &p.metadata, version.byte(), 0, 0);
    prop::end(out, start);
    if !p.userdata.is_empty() {
        prop::put(out, property::USERDATA, &p.userdata);
    }
    if let Some(c) = &p.continuation {
        put_nested(out, property::CONTINUATION, |out| encode_continuation(c, version, out));
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn decode_out(raw: Raw, r: &mut Reader<'_>, version: Version) -> Result<PacketOut, OfError> {
    let buffer_id = r.u32()?;
    let (metadata, actions_len) = match raw {
        Raw::Ofpt10PacketOut => {
            let port = OfPort::from_u16(r.u16()?);
            (in_port_match(port), r.u16()?)
        }
        Raw::Ofpt11PacketOut => {
            let port = port_from_of11(r.u32()?).map_err(|_| {
                log::warn!(target: "ofp_packet", "packet-out has bad input port");
                OfError::OfpbrcBadPort
            })?;
            let len = r.u16()?;
            r.skip(6)?;
            (in_port_match(port), len)
        }
        _ => {
            let len = r.u16()?;
            r.skip(2)?;
            let rules = Rules { pipeline_only: true, ..LOOSE };
            let m = oxm::pull_oxm_match(r, rules)?;
            if Field::InPort.is_wild(&m.mask) {
                return Err(OfError::OfpbrcBadPort);
            }
            (m, len)
        }
    };
    let actions = codec::pull_actions(r, usize::from(actions_len), version)?;
    let port = OfPort(metadata.key.in_port());
    if port >= OfPort::MAX && !matches!(port, OfPort::LOCAL | OfPort::NONE | OfPort::CONTROLLER) {
        log::warn!(target: "ofp_packet", "packet-out has bad input port {:#x}", port.0 as u16);
        return Err(OfError::OfpbrcBadPort);
    }
    let packet = if buffer_id == NO_BUFFER { r.rest().to_vec() } else { Vec::new() };
    Ok(PacketOut { packet, buffer_id, metadata, actions })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn encode_out(p: &PacketOut, e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let raw = match version {
        Version::Of10 => Raw::Ofpt10PacketOut,
        Version::Of15 => Raw::Ofpt15PacketOut,
        Version::Of11 | Version::Of12 | Version::Of13 | Version::Of14 => Raw::Ofpt11PacketOut,
    };
    let start = raw::start(out, raw, version.byte(), e.xid);
    out.put_u32(p.buffer_id);
    let in_port = p.metadata.key.in_port();
    let at = match raw {
        Raw::Ofpt10PacketOut => {
            out.put_u16(in_port as u16);
            out.put_u16(0);
            out.len() - 2
        }
        Raw::Ofpt11PacketOut => {
            out.put_u32(in_port);
            out.put_zeros(8);
            out.len() - 8
        }
        _ => {
            let at = out.len();
            out.put_zeros(4);
            legacy::put_match(out, &p.metadata, version);
            at
        }
    };
    let before = out.len();
    codec::encode_actions(&p.actions, version, out);
    let len = out.len() - before;
    out.patch_u16(at, len as u16);
    if p.buffer_id == NO_BUFFER {
        out.extend_from_slice(&p.packet);
    }
    raw::finish(out, start);
}
