//! Flow monitors as bytes.

use base::OfPort;

use super::Encoder;
use super::raw::{Multipart, Raw};
use crate::action::{codec, port_from_of11};
use crate::oxm::{self, Rules};
use crate::wire::{Put, Reader};
use crate::*;

pub(super) fn decode_requests(raw: Raw, r: &mut Reader<'_>) -> Result<Vec<FlowMonitorRequest>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        let id = r.u32()?;
        if raw == Raw::Ofpst14FlowMonitorRequest {
            let (out_port, out_group, flags) = (port_from_of11(r.u32()?)?, r.u32()?, r.u16()?);
            let (table, command) = (r.u8()?, r.u8()?);
            if command > 2 {
                return Err(OfError::OfpmofcBadCommand);
            }
            if flags & !0x7f != 0 {
                return Err(OfError::OfpmofcBadFlags);
            }
            let m = oxm::pull_oxm_match(r, Rules::default())?;
            all.push(FlowMonitorRequest { id, command, flags, out_port, out_group, table, m });
            continue;
        }
        let onf = raw == Raw::Onfst13FlowMonitorRequest;
        let flags = r.u16()?;
        let (out_port, match_len) = match onf {
            true => {
                let match_len = r.u16()?;
                (port_from_of11(r.u32()?)?, match_len)
            }
            false => (OfPort::from_u16(r.u16()?), r.u16()?),
        };
        let table = r.u8()?;
        if !crate::wire::all_zeros(r.take(if onf { 3 } else { 5 })?) {
            return Err(OfError::NxbrcMustBeZero);
        }
        if flags & !0x3f != 0 {
            return Err(OfError::OfpmofcBadFlags);
        }
        // The extension numbers them INITIAL ADD DELETE MODIFY ACTIONS OWN.
        let own = flags & 0x20 != 0;
        let flags = flags & 0x1f | if own { monitor_flag::ONLY_OWN } else { 0 };
        let m = match onf {
            true => oxm::pull_oxm_match(r, Rules::default())?,
            false => oxm::pull_nx_match(r, usize::from(match_len), Rules::default())?.0,
        };
        all.push(FlowMonitorRequest { id, command: 0, flags, out_port, out_group: GROUP_ANY, table, m });
    }
    Ok(all)
}

pub(super) fn encode_requests(requests: &[FlowMonitorRequest], e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of14 | Version::Of15 => Raw::Ofpst14FlowMonitorRequest,
        Version::Of13 => Raw::Onfst13FlowMonitorRequest,
        Version::Of10 | Version::Of11 | Version::Of12 => Raw::NxstFlowMonitorRequest,
    };
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    for q in requests {
        parts.entry(|out| {
            out.put_u32(q.id);
            if raw == Raw::Ofpst14FlowMonitorRequest {
                out.put_u32(q.out_port.0);
                out.put_u32(q.out_group);
                out.put_u16(q.flags);
                out.put_u8(q.table);
                out.put_u8(q.command);
                oxm::put_oxm_match(out, &q.m, e.version);
                return;
            }
            let own = q.flags & monitor_flag::ONLY_OWN != 0;
            out.put_u16(q.flags & 0x1f | if own { 0x20 } else { 0 });
            if raw == Raw::Onfst13FlowMonitorRequest {
                let at = out.len();
                out.put_u16(0);
                out.put_u32(q.out_port.0);
                out.put_u8(q.table);
                out.put_zeros(3);
                let len = oxm::put_oxm_match(out, &q.m, e.version);
                out.patch_u16(at, len as u16);
                return;
            }
            out.put_u16(q.out_port.0 as u16);
            let at = out.len();
            out.put_u16(0);
            out.put_u8(q.table);
            out.put_zeros(5);
            let len = oxm::put_nx_match(out, &q.m, 0, 0);
            out.patch_u16(at, len as u16);
        });
    }
    parts.end();
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn decode_updates(
    raw: Raw,
    r: &mut Reader<'_>,
    version: Version,
) -> Result<Vec<FlowUpdate>, OfError> {
    let of14 = raw == Raw::Ofpst14FlowMonitorReply;
    let mut all = Vec::new();
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let len = usize::from(head.u16()?);
        if len < 8 || len % 8 != 0 {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut body = Reader::new(r.take(len)?);
        body.skip(2)?;
        let event = body.u16()?;
        let short = match (event, of14) {
            (4, true) | (3, false) => Some(FlowUpdate::Abbreviated { xid: body.u32()? }),
            (5, true) => Some(FlowUpdate::Paused),
            (6, true) => Some(FlowUpdate::Resumed),
            _ => None,
        };
        if let Some(update) = short {
            all.push(update);
            continue;
        }
        let mut u = Box::new(FlowUpdateFull {
            idle_timeout: 0,
            hard_timeout: 0,
            table: 0,
            priority: 0,
            cookie: 0,
            m: Default::default(),
            actions: Vec::new(),
        });
        let reason;
        if of14 {
            u.table = body.u8()?;
            reason = body.u8()?;
            (u.idle_timeout, u.hard_timeout, u.priority) = (body.u16()?, body.u16()?, body.u16()?);
            body.skip(4)?;
            u.cookie = body.u64()?;
            u.m = oxm::pull_oxm_match(&mut body, Rules::default())?;
        } else {
            reason = body.u16()? as u8;
            (u.priority, u.idle_timeout, u.hard_timeout) = (body.u16()?, body.u16()?, body.u16()?);
            let match_len = usize::from(body.u16()?);
            u.table = body.u8()?;
            body.skip(1)?;
            u.cookie = body.u64()?;
            u.m = match raw {
                Raw::Onfst13FlowMonitorReply => oxm::pull_oxm_match(&mut body, Rules::default())?,
                _ => oxm::pull_nx_match(&mut body, match_len, Rules::default())?.0,
            };
        }
        let actions_len = body.len();
        // The extension lists actions, the standards instructions.
        u.actions = match raw {
            Raw::NxstFlowMonitorReply => codec::pull_actions(&mut body, actions_len, version)?,
            _ => codec::pull_instructions(&mut body, actions_len, version)?,
        };
        all.push(match (event, of14) {
            (0, true) => FlowUpdate::Initial(u),
            (0, false) | (1, true) => FlowUpdate::Added(u),
            (1, false) | (2, true) => FlowUpdate::Removed { reason, update: u },
            (2, false) | (3, true) => FlowUpdate::Modified(u),
            _ => return Err(OfError::NxbrcFmBadEvent),
        });
    }
    Ok(all)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn encode_updates(updates: &[FlowUpdate], e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of14 | Version::Of15 => Raw::Ofpst14FlowMonitorReply,
        Version::Of13 => Raw::Onfst13FlowMonitorReply,
        Version::Of10 | Version::Of11 | Version::Of12 => Raw::NxstFlowMonitorReply,
    };
    let of14 = raw == Raw::Ofpst14FlowMonitorReply;
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    for update in updates {
        let (event, reason, full) = match update {
            FlowUpdate::Abbreviated { xid } => {
                parts.entry(|out| put_short(out, if of14 { 4 } else { 3 }, *xid));
                continue;
            }
            FlowUpdate::Paused | FlowUpdate::Resumed => {
                // Earlier versions say these by a message of their own.
                if of14 {
                    parts.entry(|out| put_short(out, if *update == FlowUpdate::Paused { 5 } else { 6 }, 0));
                }
                continue;
            }
            FlowUpdate::Initial(u) => (0, 0, u),
            FlowUpdate::Added(u) => (u16::from(of14), 0, u),
            FlowUpdate::Removed { reason, update } => (1 + u16::from(of14), *reason, update),
            FlowUpdate::Modified(u) => (2 + u16::from(of14), 0, u),
        };
        parts.entry(|out| {
            let start = out.len();
            out.put_u16(0);
            out.put_u16(event);
            if of14 {
                out.put_u8(full.table);
                out.put_u8(reason);
                for v in [full.idle_timeout, full.hard_timeout, full.priority] {
                    out.put_u16(v);
                }
                out.put_u32(0);
                out.put_u64(full.cookie);
                oxm::put_oxm_match(out, &full.m, e.version);
            } else {
                out.put_u16(u16::from(reason));
                for v in [full.priority, full.idle_timeout, full.hard_timeout] {
                    out.put_u16(v);
                }
                let at = out.len();
                out.put_u16(0);
                out.put_u8(full.table);
                out.put_u8(0);
                out.put_u64(full.cookie);
                let len = match raw {
                    Raw::Onfst13FlowMonitorReply => oxm::put_oxm_match(out, &full.m, e.version),
                    _ => oxm::put_nx_match(out, &full.m, 0, 0),
                };
                out.patch_u16(at, len as u16);
            }
            match raw {
                Raw::NxstFlowMonitorReply => codec::encode_actions(&full.actions, e.version, out),
                _ => codec::encode_instructions(&full.actions, e.version, out),
            }
            let len = out.len() - start;
            out.patch_u16(start, len as u16);
        });
    }
    parts.end();
}

/// An update of an event and a number.
fn put_short(out: &mut Vec<u8>, event: u16, number: u32) {
    out.put_u16(8);
    out.put_u16(event);
    out.put_u32(number);
}
