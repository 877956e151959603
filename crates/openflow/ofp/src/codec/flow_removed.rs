//! That a rule has ended, as bytes.

use super::Encoder;
use super::flow_stats::{OxsStats, known};
use super::legacy;
use super::raw::{self, Raw};
use crate::oxm::{self, Rules};
use crate::wire::{Put, Reader};
use crate::*;

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
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

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn encode_removed(f: &FlowRemoved, e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let raw = match version {
        Version::Of10 if e.protocol.is_nxm10() => Raw::NxtFlowRemoved,
        Version::Of10 => Raw::Ofpt10FlowRemoved,
        Version::Of15 => Raw::Ofpt15FlowRemoved,
        Version::Of11 | Version::Of12 | Version::Of13 | Version::Of14 => Raw::Ofpt11FlowRemoved,
    };
    let start = raw::start(out, raw, version.byte(), e.xid);
    // Eviction is of OpenFlow 1.4; before, it is reported as a deletion.
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
