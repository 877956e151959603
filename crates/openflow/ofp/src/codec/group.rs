//! Messages about groups and meters as bytes.

use base::OfPort;

use super::Encoder;
use super::raw::{self, Multipart, Raw};
use crate::action::{codec, port_from_of11};
use crate::oxm;
use crate::prop::{self, Property};
use crate::wire::{Put, Reader};
use crate::*;

const NTR_VENDOR: u32 = 0x154d;
/// Older senders use this one.
const NTR_COMPAT_VENDOR: u32 = 0x1540;
const NTR_SELECTION_METHOD: u32 = 1;
const WEIGHT: u16 = 0;
const WATCH_PORT: u16 = 1;
const WATCH_GROUP: u16 = 2;

fn is_new(raw: Raw) -> bool {
    matches!(raw, Raw::Ofpt15GroupMod | Raw::NxtGroupMod)
}

fn decode_command(number: u16, new: bool) -> Result<GroupCommand, OfError> {
    Ok(match number {
        0 => GroupCommand::Add,
        1 => GroupCommand::Modify,
        2 => GroupCommand::Delete,
        3 if new => GroupCommand::InsertBucket,
        5 if new => GroupCommand::RemoveBucket,
        0x8000 => GroupCommand::AddOrMod,
        _ => return Err(OfError::OfpgmfcBadCommand),
    })
}

pub(super) fn decode_mod(raw: Raw, r: &mut Reader<'_>, version: Version) -> Result<GroupMod, OfError> {
    let new = is_new(raw);
    let command = decode_command(r.u16()?, new)?;
    let kind = r.u8()?;
    r.skip(1)?;
    let group = r.u32()?;
    let mut m = GroupMod {
        command,
        kind: GroupType::All,
        group,
        command_bucket: bucket_id::ALL,
        buckets: Vec::new(),
        properties: GroupProperties::default(),
    };
    if new {
        let len = usize::from(r.u16()?);
        r.skip(2)?;
        m.command_bucket = r.u32()?;
        let mut list = Reader::new(r.take(len)?);
        m.buckets = decode_buckets15(&mut list, version, kind)?;
        m.properties = decode_properties(r, kind, command)?;
    } else {
        if matches!(command, GroupCommand::InsertBucket | GroupCommand::RemoveBucket) {
            return Err(OfError::OfpgmfcBadCommand);
        }
        m.buckets = decode_buckets11(r, version)?;
    }
    if command == GroupCommand::InsertBucket || command == GroupCommand::RemoveBucket {
        let valid = m.command_bucket <= bucket_id::MAX || m.command_bucket >= bucket_id::FIRST;
        if !valid || (command == GroupCommand::InsertBucket && m.command_bucket == bucket_id::ALL) {
            return Err(OfError::OfpgmfcUnknownBucket);
        }
    }
    check_mod(&m, kind).map(|kind| m.kind = kind)?;
    Ok(m)
}

/// Whether the group's type, number and buckets go together.
fn check_mod(m: &GroupMod, kind: u8) -> Result<GroupType, OfError> {
    let kind = GroupType::from_number(kind);
    match kind {
        Some(GroupType::Indirect)
            if matches!(m.command, GroupCommand::Add | GroupCommand::Modify | GroupCommand::AddOrMod)
                && m.buckets.len() != 1 =>
        {
            return Err(OfError::OfpgmfcInvalidGroup);
        }
        None if m.command != GroupCommand::Delete => return Err(OfError::OfpgmfcBadType),
        _ => {}
    }
    for bucket in &m.buckets {
        let watches = bucket.watch_port != OfPort::ANY || bucket.watch_group != GROUP_ANY;
        // What is inserted goes into a group whose type the message does not tell.
        let inserts = m.command == GroupCommand::InsertBucket;
        if bucket.weight != 0 && kind != Some(GroupType::Select) && !inserts {
            return Err(OfError::OfpgmfcInvalidGroup);
        }
        match kind {
            Some(GroupType::All | GroupType::Indirect) if watches => {
                return Err(OfError::OfpgmfcWatchUnsupported);
            }
            Some(GroupType::FastFailover) if !watches => return Err(OfError::OfpgmfcInvalidGroup),
            _ => {}
        }
    }
    Ok(kind.unwrap_or(GroupType::All))
}

fn decode_buckets11(r: &mut Reader<'_>, version: Version) -> Result<Vec<Bucket>, OfError> {
    let mut buckets = Vec::new();
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let bad = |_| OfError::OfpgmfcBadBucket;
        let len = usize::from(head.u16().map_err(bad)?);
        if len < 16 || len % 8 != 0 {
            return Err(OfError::OfpgmfcBadBucket);
        }
        let mut body = Reader::new(r.take(len).map_err(bad)?);
        body.skip(2)?;
        let (weight, port, watch_group) = (body.u16()?, body.u32()?, body.u32()?);
        body.skip(4)?;
        let watch_port = port_from_of11(port).map_err(|_| OfError::OfpgmfcBadWatch)?;
        let actions_len = body.len();
        let actions = codec::pull_actions(&mut body, actions_len, version)?;
        buckets.push(Bucket { weight, watch_port, watch_group, id: buckets.len() as u32, actions });
    }
    Ok(buckets)
}

fn decode_buckets15(r: &mut Reader<'_>, version: Version, kind: u8) -> Result<Vec<Bucket>, OfError> {
    let mut buckets: Vec<Bucket> = Vec::new();
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let bad = |_| OfError::OfpgmfcBadBucket;
        let len = usize::from(head.u16().map_err(bad)?);
        if len < 8 || len % 8 != 0 {
            return Err(OfError::OfpgmfcBadBucket);
        }
        let mut body = Reader::new(r.take(len).map_err(bad)?);
        body.skip(2)?;
        let (actions_len, id) = (body.u16()?, body.u32()?);
        if usize::from(actions_len) > body.len() {
            return Err(OfError::OfpgmfcBadBucket);
        }
        let actions = codec::pull_actions(&mut body, usize::from(actions_len), version)?;
        let select = kind == GroupType::Select as u8;
        let mut bucket = Bucket {
            weight: u16::from(select),
            watch_port: OfPort::ANY,
            watch_group: GROUP_ANY,
            id,
            actions,
        };
        while !body.is_empty() {
            let p = Property::pull(&mut body)?;
            match p.kind {
                WEIGHT => {
                    bucket.weight = p.u16().or_else(|_| {
                        p.data.get(..2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or(OfError::OfpbpcBadLen)
                    })?
                }
                WATCH_PORT => {
                    bucket.watch_port = port_from_of11(p.u32()?).map_err(|_| OfError::OfpgmfcBadWatch)?
                }
                WATCH_GROUP => bucket.watch_group = p.u32()?,
                _ => return Err(p.unknown("group bucket", false)),
            }
        }
        if id > bucket_id::MAX {
            return Err(OfError::OfpgmfcBadBucket);
        }
        buckets.push(bucket);
    }
    let mut ids: Vec<u32> = buckets.iter().map(|b| b.id).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|w| w[0] == w[1]) {
        return Err(OfError::OfpgmfcBucketExists);
    }
    Ok(buckets)
}

fn decode_properties(
    r: &mut Reader<'_>,
    kind: u8,
    command: GroupCommand,
) -> Result<GroupProperties, OfError> {
    let mut out = GroupProperties::default();
    while !r.is_empty() {
        let p = Property::pull(r)?;
        match p.experimenter {
            Some((NTR_VENDOR | NTR_COMPAT_VENDOR, NTR_SELECTION_METHOD)) => {
                decode_selection(&p, kind, command, &mut out)?
            }
            _ => return Err(p.unknown("group", false)),
        }
    }
    Ok(out)
}

fn decode_selection(
    p: &Property<'_>,
    kind: u8,
    command: GroupCommand,
    out: &mut GroupProperties,
) -> Result<(), OfError> {
    if kind != GroupType::Select as u8
        || matches!(command, GroupCommand::Delete | GroupCommand::InsertBucket | GroupCommand::RemoveBucket)
    {
        return Err(OfError::OfpbpcBadValue);
    }
    let mut r = Reader::new(p.data);
    r.skip(4)?;
    out.selection_method = r.text(16)?;
    if !matches!(out.selection_method.as_str(), "hash" | "dp_hash") {
        log::warn!(target: "ofp_group", "ntr selection method '{}' is not supported", out.selection_method);
        return Err(OfError::OfpbpcBadValue);
    }
    out.selection_method_param = r.u64()?;
    if r.is_empty() {
        return Ok(());
    }
    if out.selection_method != "hash" {
        return Err(OfError::OfpbpcBadValue);
    }
    out.fields = oxm::pull_field_array(r.rest())?;
    Ok(())
}

fn put_buckets11(buckets: &[Bucket], version: Version, out: &mut Vec<u8>) {
    for b in buckets {
        let start = out.len();
        out.put_u16(0);
        out.put_u16(b.weight);
        out.put_u32(b.watch_port.0);
        out.put_u32(b.watch_group);
        out.put_u32(0);
        codec::encode_actions(&b.actions, version, out);
        let len = out.len() - start;
        out.patch_u16(start, len as u16);
    }
}

fn put_buckets15(buckets: &[Bucket], kind: GroupType, version: Version, out: &mut Vec<u8>) {
    for b in buckets {
        let start = out.len();
        out.put_u32(0);
        out.put_u32(b.id);
        codec::encode_actions(&b.actions, version, out);
        let actions_len = out.len() - start - 8;
        if kind == GroupType::Select || b.weight > 0 {
            prop::put_u16(out, WEIGHT, b.weight);
        }
        if b.watch_port != OfPort::ANY {
            prop::put_u32(out, WATCH_PORT, b.watch_port.0);
        }
        if b.watch_group != GROUP_ANY {
            prop::put_u32(out, WATCH_GROUP, b.watch_group);
        }
        let len = out.len() - start;
        out.patch_u16(start, len as u16);
        out.patch_u16(start + 2, actions_len as u16);
    }
}

fn put_properties(p: &GroupProperties, version: Version, out: &mut Vec<u8>) {
    if p.selection_method.is_empty() {
        return;
    }
    let at = prop::start_experimenter(out, NTR_VENDOR, NTR_SELECTION_METHOD);
    out.put_u32(0);
    out.put_text(&p.selection_method, 16);
    out.put_u64(p.selection_method_param);
    for (field, mask) in &p.fields {
        oxm::put_header(out, *field, version.byte(), false);
        out.put_wide(*mask, field.n_bytes());
    }
    prop::end(out, at);
}

pub(super) fn encode_mod(m: &GroupMod, e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let raw = match version {
        Version::Of10 => Raw::NxtGroupMod,
        Version::Of15 => Raw::Ofpt15GroupMod,
        Version::Of11 | Version::Of12 | Version::Of13 | Version::Of14 => Raw::Ofpt11GroupMod,
    };
    let start = raw::start(out, raw, version.byte(), e.xid);
    out.put_u16(m.command as u16);
    out.put_u8(m.kind as u8);
    out.put_u8(0);
    out.put_u32(m.group);
    if is_new(raw) {
        let at = out.len();
        out.put_u32(0);
        out.put_u32(m.command_bucket);
        let before = out.len();
        put_buckets15(&m.buckets, m.kind, version, out);
        let len = out.len() - before;
        out.patch_u16(at, len as u16);
        put_properties(&m.properties, version, out);
    } else {
        put_buckets11(&m.buckets, version, out);
    }
    raw::finish(out, start);
}

fn is_new_desc(raw: Raw, version: Version) -> bool {
    raw == Raw::NxstGroupDescReply || version >= Version::Of15
}

pub(super) fn decode_descs(
    raw: Raw,
    r: &mut Reader<'_>,
    version: Version,
) -> Result<Vec<GroupDesc>, OfError> {
    let mut all = Vec::new();
    let new = is_new_desc(raw, version);
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let len = usize::from(head.u16()?);
        if len < if new { 16 } else { 8 } {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut body = Reader::new(r.take(len)?);
        body.skip(2)?;
        let kind = body.u8()?;
        body.skip(1)?;
        let group = body.u32()?;
        let (buckets, properties) = if new {
            let len = usize::from(body.u16()?);
            body.skip(6)?;
            let mut list = Reader::new(body.take(len)?);
            let buckets = decode_buckets15(&mut list, version, kind)?;
            (buckets, decode_properties(&mut body, kind, GroupCommand::Add)?)
        } else {
            (decode_buckets11(&mut body, version)?, GroupProperties::default())
        };
        let kind = GroupType::from_number(kind).ok_or(OfError::OfpgmfcBadType)?;
        all.push(GroupDesc { kind, group, buckets, properties });
    }
    Ok(all)
}

pub(super) fn encode_descs(groups: &[GroupDesc], e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let raw = if version == Version::Of10 { Raw::NxstGroupDescReply } else { Raw::Ofpst11GroupDescReply };
    let new = is_new_desc(raw, version);
    let mut parts = Multipart::new(out, raw, version.byte(), e.xid);
    for g in groups {
        parts.entry(|out| {
            let start = out.len();
            out.put_u16(0);
            out.put_u8(g.kind as u8);
            out.put_u8(0);
            out.put_u32(g.group);
            if new {
                let at = out.len();
                out.put_zeros(8);
                put_buckets15(&g.buckets, g.kind, version, out);
                let len = out.len() - at - 8;
                out.patch_u16(at, len as u16);
                put_properties(&g.properties, version, out);
            } else {
                put_buckets11(&g.buckets, version, out);
            }
            let len = out.len() - start;
            out.patch_u16(start, len as u16);
        });
    }
    parts.end();
}

pub(super) fn decode_stats(raw: Raw, r: &mut Reader<'_>) -> Result<Vec<GroupStats>, OfError> {
    let mut all = Vec::new();
    let timed = raw == Raw::Ofpst13GroupReply || raw == Raw::NxstGroupReply;
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let len = usize::from(head.u16()?);
        let least = if timed { 40 } else { 32 };
        if len < least {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut body = Reader::new(r.take(len)?);
        body.skip(4)?;
        let (group, ref_count) = (body.u32()?, body.u32()?);
        body.skip(4)?;
        let (packet_count, byte_count) = (body.u64()?, body.u64()?);
        let (duration_sec, duration_nsec) =
            if timed { (body.u32()?, body.u32()?) } else { (u32::MAX, u32::MAX) };
        let mut buckets = Vec::new();
        while !body.is_empty() {
            buckets.push((body.u64()?, body.u64()?));
        }
        all.push(GroupStats {
            group,
            ref_count,
            packet_count,
            byte_count,
            duration_sec,
            duration_nsec,
            buckets,
        });
    }
    Ok(all)
}

pub(super) fn encode_stats(groups: &[GroupStats], e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 => Raw::NxstGroupReply,
        Version::Of11 | Version::Of12 => Raw::Ofpst11GroupReply,
        Version::Of13 | Version::Of14 | Version::Of15 => Raw::Ofpst13GroupReply,
    };
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    for g in groups {
        parts.entry(|out| {
            let start = out.len();
            out.put_u32(0);
            out.put_u32(g.group);
            out.put_u32(g.ref_count);
            out.put_u32(0);
            out.put_u64(g.packet_count);
            out.put_u64(g.byte_count);
            if raw != Raw::Ofpst11GroupReply {
                out.put_u32(g.duration_sec);
                out.put_u32(g.duration_nsec);
            }
            for (packets, bytes) in &g.buckets {
                out.put_u64(*packets);
                out.put_u64(*bytes);
            }
            let len = out.len() - start;
            out.patch_u16(start, len as u16);
        });
    }
    parts.end();
}

pub(super) fn decode_features(r: &mut Reader<'_>, version: Version) -> Result<GroupFeatures, OfError> {
    let mut f = GroupFeatures { types: r.u32()?, capabilities: r.u32()?, ..GroupFeatures::default() };
    for max in &mut f.max_groups {
        *max = r.u32()?;
    }
    for actions in &mut f.actions {
        *actions = super::table_numbers::kinds_from_bits(r.u32()?, version);
    }
    Ok(f)
}

pub(super) fn encode_features(f: &GroupFeatures, e: &Encoder, out: &mut Vec<u8>) {
    let raw =
        if e.version < Version::Of12 { Raw::NxstGroupFeaturesReply } else { Raw::Ofpst12GroupFeaturesReply };
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    out.put_u32(f.types);
    out.put_u32(f.capabilities);
    f.max_groups.iter().for_each(|v| out.put_u32(*v));
    f.actions.iter().for_each(|v| out.put_u32(super::table_numbers::kinds_to_bits(*v, e.version)));
    raw::finish(out, start);
}

// Meters.

fn decode_bands(r: &mut Reader<'_>) -> Result<Vec<MeterBand>, OfError> {
    let mut bands = Vec::new();
    while !r.is_empty() {
        if r.len() < 16 {
            return Err(OfError::OfpbrcBadLen);
        }
        let (kind, len, rate, burst_size) = (r.u16()?, r.u16()?, r.u32()?, r.u32()?);
        let prec_level = r.u8()?;
        r.skip(3)?;
        match kind {
            1 | 2 if len == 16 => {}
            1 | 2 | 0xffff => return Err(OfError::OfpbrcBadLen),
            _ => return Err(OfError::OfpmmfcBadBand),
        }
        bands.push(MeterBand { kind, rate, burst_size, prec_level: if kind == 2 { prec_level } else { 0 } });
    }
    Ok(bands)
}

fn put_bands(bands: &[MeterBand], out: &mut Vec<u8>) {
    for b in bands {
        out.put_u16(b.kind);
        out.put_u16(16);
        out.put_u32(b.rate);
        out.put_u32(b.burst_size);
        out.put_u8(b.prec_level);
        out.put_zeros(3);
    }
}

pub(super) fn decode_meter_mod(r: &mut Reader<'_>) -> Result<MeterMod, OfError> {
    let (command, flags, meter) = (r.u16()?, r.u16()?, r.u32()?);
    let command = match command {
        0 => MeterCommand::Add,
        1 => MeterCommand::Modify,
        2 => MeterCommand::Delete,
        _ => return Err(OfError::OfpmmfcBadCommand),
    };
    if command == MeterCommand::Delete {
        return Ok(MeterMod { command, config: MeterConfig { meter, flags: 0, bands: Vec::new() } });
    }
    // Which flags a meter may have is the switch's to say; that a rate has two units makes no sense anywhere.
    if flags & meter_flag::KBPS != 0 && flags & meter_flag::PKTPS != 0 {
        return Err(OfError::OfpmmfcBadFlags);
    }
    Ok(MeterMod { command, config: MeterConfig { meter, flags, bands: decode_bands(r)? } })
}

pub(super) fn put_meter_mod(m: &MeterMod, out: &mut Vec<u8>) {
    out.put_u16(m.command as u16);
    out.put_u16(m.config.flags);
    out.put_u32(m.config.meter);
    put_bands(&m.config.bands, out);
}

pub(super) fn decode_meter_configs(r: &mut Reader<'_>) -> Result<Vec<MeterConfig>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let len = usize::from(head.u16()?);
        if len < 8 {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut body = Reader::new(r.take(len)?);
        body.skip(2)?;
        all.push(MeterConfig { flags: body.u16()?, meter: body.u32()?, bands: decode_bands(&mut body)? });
    }
    Ok(all)
}

pub(super) fn encode_meter_configs(meters: &[MeterConfig], e: &Encoder, out: &mut Vec<u8>) {
    let mut parts = Multipart::new(out, Raw::Ofpst13MeterConfigReply, e.version.byte(), e.xid);
    for m in meters {
        parts.entry(|out| {
            out.put_u16((8 + 16 * m.bands.len()) as u16);
            out.put_u16(m.flags);
            out.put_u32(m.meter);
            put_bands(&m.bands, out);
        });
    }
    parts.end();
}

pub(super) fn decode_meter_stats(r: &mut Reader<'_>) -> Result<Vec<MeterStats>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        head.skip(4)?;
        let len = usize::from(head.u16()?);
        if len < 40 || (len - 40) % 16 != 0 {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut body = Reader::new(r.take(len)?);
        let meter = body.u32()?;
        body.skip(8)?;
        let (flow_count, packet_in_count, byte_in_count) = (body.u32()?, body.u64()?, body.u64()?);
        let (duration_sec, duration_nsec) = (body.u32()?, body.u32()?);
        let mut bands = Vec::new();
        while !body.is_empty() {
            bands.push((body.u64()?, body.u64()?));
        }
        all.push(MeterStats {
            meter,
            flow_count,
            packet_in_count,
            byte_in_count,
            duration_sec,
            duration_nsec,
            bands,
        });
    }
    Ok(all)
}

pub(super) fn encode_meter_stats(meters: &[MeterStats], e: &Encoder, out: &mut Vec<u8>) {
    let mut parts = Multipart::new(out, Raw::Ofpst13MeterReply, e.version.byte(), e.xid);
    for m in meters {
        parts.entry(|out| {
            out.put_u32(m.meter);
            out.put_u16((40 + 16 * m.bands.len()) as u16);
            out.put_zeros(6);
            out.put_u32(m.flow_count);
            out.put_u64(m.packet_in_count);
            out.put_u64(m.byte_in_count);
            out.put_u32(m.duration_sec);
            out.put_u32(m.duration_nsec);
            for (packets, bytes) in &m.bands {
                out.put_u64(*packets);
                out.put_u64(*bytes);
            }
        });
    }
    parts.end();
}
