//! Messages about the switch and the connection as bytes.

use super::raw::{self, Raw};
use super::{Encoder, port};
use crate::prop::{self, Property};
use crate::wire::{Put, Reader, round8};
use crate::*;

/// Capability bits that all versions share.
const COMMON: u32 = capability::FLOW_STATS
    | capability::TABLE_STATS
    | capability::PORT_STATS
    | capability::IP_REASM
    | capability::QUEUE_STATS;

fn capability_mask(version: Version) -> u32 {
    match version {
        Version::Of10 => COMMON | capability::STP | capability::ARP_MATCH_IP,
        Version::Of11 => COMMON | capability::ARP_MATCH_IP,
        Version::Of12 | Version::Of13 => COMMON | capability::PORT_BLOCKED,
        Version::Of14 | Version::Of15 => {
            COMMON | capability::PORT_BLOCKED | capability::BUNDLES | capability::FLOW_MONITORING
        }
    }
}

/// "Group statistics" is bit 3 on the wire, bit 4 here.
const WIRE_GROUP_STATS: u32 = 8;

pub(super) fn decode_features(r: &mut Reader<'_>, version: Version) -> Result<SwitchFeatures, OfError> {
    let (datapath_id, n_buffers, n_tables, auxiliary_id) = (r.u64()?, r.u32()?, r.u8()?, r.u8()?);
    r.skip(2)?;
    let (bits, actions) = (r.u32()?, r.u32()?);
    let mut capabilities = bits & capability_mask(version);
    if version >= Version::Of11 && bits & WIRE_GROUP_STATS != 0 {
        capabilities |= capability::GROUP_STATS;
    }
    let actions =
        if version == Version::Of10 { super::table_numbers::kinds_from_bits(actions, version) } else { 0 };
    let ports = if version <= Version::Of12 { port::decode_descs(r, version)? } else { Vec::new() };
    let auxiliary_id = if version >= Version::Of13 { auxiliary_id } else { 0 };
    Ok(SwitchFeatures { datapath_id, n_buffers, n_tables, auxiliary_id, capabilities, actions, ports })
}

pub(super) fn encode_features(f: &SwitchFeatures, e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let raw = match version {
        Version::Of10 => Raw::Ofpt10FeaturesReply,
        Version::Of11 | Version::Of12 => Raw::Ofpt11FeaturesReply,
        Version::Of13 | Version::Of14 | Version::Of15 => Raw::Ofpt13FeaturesReply,
    };
    let start = raw::start(out, raw, version.byte(), e.xid);
    out.put_u64(f.datapath_id);
    out.put_u32(f.n_buffers);
    out.put_u8(f.n_tables);
    out.put_u8(if version >= Version::Of13 { f.auxiliary_id } else { 0 });
    out.put_u16(0);
    let mut bits = f.capabilities & capability_mask(version);
    if version >= Version::Of11 && f.capabilities & capability::GROUP_STATS != 0 {
        bits |= WIRE_GROUP_STATS;
    }
    out.put_u32(bits);
    out.put_u32(if version == Version::Of10 {
        super::table_numbers::kinds_to_bits(f.actions, version)
    } else {
        0
    });
    if version <= Version::Of12 {
        for desc in &f.ports {
            if out.len() - start + 64 > usize::from(u16::MAX) {
                break;
            }
            port::put_desc(desc, version, out);
        }
    }
    raw::finish(out, start);
}

pub(super) fn decode_config(
    r: &mut Reader<'_>,
    version: Version,
    set: bool,
) -> Result<SwitchConfig, OfError> {
    let (flags, miss_send_len) = (r.u16()?, r.u16()?);
    let frag = match flags & 3 {
        0 => FragHandling::Normal,
        1 => FragHandling::Drop,
        2 => FragHandling::Reassemble,
        _ => FragHandling::NxMatch,
    };
    let ttl = version < Version::Of13;
    let known = if ttl { 7 } else { 3 };
    if set && flags & !known != 0 {
        return Err(OfError::OfpscfcBadFlags);
    }
    Ok(SwitchConfig { frag, invalid_ttl_to_controller: ttl.then_some(flags & 4 != 0), miss_send_len })
}

pub(super) fn encode_config(c: &SwitchConfig, raw: Raw, e: &Encoder, out: &mut Vec<u8>) {
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    let ttl = e.version < Version::Of13 && c.invalid_ttl_to_controller == Some(true);
    out.put_u16(c.frag as u16 | if ttl { 4 } else { 0 });
    out.put_u16(c.miss_send_len);
    raw::finish(out, start);
}

/// Reads the versions that a hello names. Elements that make no sense are skipped.
/// The versions that a hello's body names, and whether it holds nothing else. `note` hears what is wrong.
pub(super) fn decode_hello(r: &mut Reader<'_>, version: u8, note: fn(&str)) -> (u32, bool) {
    let mut versions = (1u32 << version.min(31)).wrapping_mul(2).wrapping_sub(1) & !1;
    let mut plain = true;
    while let &[a, b, c, d, ..] = r.rest() {
        let (kind, len) = (u16::from_be_bytes([a, b]), usize::from(u16::from_be_bytes([c, d])));
        if len < 4 {
            break;
        }
        let Ok(element) = r.take(round8(len)) else { break };
        let bitmap = Reader::new(&element[4..len]).u32().ok().filter(|_| kind == 1);
        let bitmap = bitmap.and_then(|bits| known_versions(bits, note));
        match bitmap {
            Some(bitmap) => versions = bitmap,
            None => plain = false,
        }
    }
    (versions, plain && r.is_empty())
}

fn known_versions(bitmap: u32, note: fn(&str)) -> Option<u32> {
    if bitmap & 1 != 0 {
        note("peer claims to support invalid OpenFlow version 0x00");
    }
    if bitmap & !1 == 0 {
        note("peer does not support any OpenFlow version (between 0x01 and 0x1f)");
        return None;
    }
    Some(bitmap & !1)
}

/// What [`decode_hello`] finds wrong goes to the log.
pub(super) fn log_hello(text: &str) {
    log::warn!(target: "ofp_util", "{text}");
}

/// A hello of the greatest of `versions`, with a bitmap unless the version says it all.
pub(super) fn encode_hello(versions: u32, e: &Encoder, out: &mut Vec<u8>) {
    let greatest = 31 - (versions | 2).leading_zeros();
    let start = raw::start(out, Raw::OfptHello, greatest as u8, e.xid);
    let implied = u32::MAX >> (31 - greatest) & !1;
    if versions != implied {
        out.put_u16(1);
        out.put_u16(8);
        out.put_u32(versions);
    }
    raw::finish(out, start);
}

/// `type, code` of errors whose vendor follows.
const NX_VENDOR_ERROR: (u16, u16) = (0xb0c2, 0);
const EXPERIMENTER: u16 = 0xffff;

pub(super) fn decode_error(r: &mut Reader<'_>, version: Version) -> Result<Message, OfError> {
    let (mut kind, mut code, mut vendor) = (r.u16()?, r.u16()?, 0);
    if (kind, code) == NX_VENDOR_ERROR {
        (vendor, kind, code) = (r.u32()?, r.u16()?, r.u16()?);
    } else if kind == EXPERIMENTER {
        vendor = r.u32()?;
        (kind, code) = (code, 0);
    }
    let error =
        OfError::from_code(version, ErrorCode { vendor, kind, code }).ok_or(OfError::OfpbrcBadType)?;
    Ok(Message::Error { error, payload: r.rest().to_vec() })
}

pub(super) fn encode_error(error: OfError, payload: &[u8], e: &Encoder, out: &mut Vec<u8>) {
    let version = e.version;
    let code = error.code(version).or_else(|| {
        log::error!(target: "ofp_errors", "cannot encode {error} for OpenFlow {}", &version.short()[2..]);
        OfError::NxbrcUnencodableError.code(version)
    });
    let Some(code) = code else { return };
    let start = raw::start(out, Raw::OfptError, version.byte(), e.xid);
    if code.vendor == 0 {
        out.put_u16(code.kind);
        out.put_u16(code.code);
    } else if version <= Version::Of11 {
        out.put_u16(NX_VENDOR_ERROR.0);
        out.put_u16(NX_VENDOR_ERROR.1);
        out.put_u32(code.vendor);
        out.put_u16(code.kind);
        out.put_u16(code.code);
    } else {
        out.put_u16(EXPERIMENTER);
        out.put_u16(code.kind);
        out.put_u32(code.vendor);
    }
    let room = usize::from(u16::MAX) - (out.len() - start);
    out.extend_from_slice(&payload[..payload.len().min(room)]);
    raw::finish(out, start);
}

pub(super) fn decode_role(raw: Raw, r: &mut Reader<'_>) -> Result<Role, OfError> {
    let number = r.u32()?;
    if matches!(raw, Raw::NxtRoleRequest | Raw::NxtRoleReply) {
        let role = match number {
            0 => ControllerRole::Equal,
            1 => ControllerRole::Primary,
            2 => ControllerRole::Secondary,
            _ => return Err(OfError::OfprrfcBadRole),
        };
        return Ok(Role { role, generation_id: None });
    }
    let role = match number {
        0 => ControllerRole::NoChange,
        1 => ControllerRole::Equal,
        2 => ControllerRole::Primary,
        3 => ControllerRole::Secondary,
        _ => return Err(OfError::OfprrfcBadRole),
    };
    r.skip(4)?;
    let generation_id = r.u64()?;
    let has_id = !matches!(role, ControllerRole::NoChange | ControllerRole::Equal);
    Ok(Role { role, generation_id: has_id.then_some(generation_id) })
}

pub(super) fn encode_role(role: &Role, request: bool, e: &Encoder, out: &mut Vec<u8>) {
    let nx = e.version < Version::Of12;
    let raw = match (nx, request) {
        (true, true) => Raw::NxtRoleRequest,
        (true, false) => Raw::NxtRoleReply,
        (false, true) => Raw::Ofpt12RoleRequest,
        (false, false) => Raw::Ofpt12RoleReply,
    };
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    if nx {
        out.put_u32((role.role as u32).saturating_sub(1));
    } else {
        out.put_u32(role.role as u32);
        out.put_u32(0);
        out.put_u64(role.generation_id.unwrap_or(u64::MAX));
    }
    raw::finish(out, start);
}

/// Reasons that exist, by kind of message, and the version that knows them all.
fn async_known(kind: usize) -> u32 {
    [0x3f, 0x07, 0x3f, 0x07, 0x18, 0x03][kind.min(5)]
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other errors stay")]
pub(super) fn decode_async(raw: Raw, r: &mut Reader<'_>) -> Result<AsyncUpdate, OfError> {
    let mut update = AsyncUpdate::default();
    if matches!(raw, Raw::Ofpt13GetAsyncReply | Raw::Ofpt13SetAsync | Raw::NxtSetAsyncConfig) {
        for kind in 0..3 {
            update.primary[kind] = Some(r.u32()? & async_known(kind));
            update.secondary[kind] = Some(r.u32()? & async_known(kind));
        }
        return Ok(update);
    }
    let loose = raw == Raw::Ofpt14GetAsyncReply;
    while !r.is_empty() {
        let p = Property::pull(r)?;
        let (kind, primary) = (usize::from(p.kind / 2), p.kind & 1 != 0);
        if kind > 5 {
            return Err(match p.unknown("async config", loose) {
                OfError::OfpbpcBadType => OfError::OfpacfcUnsupported,
                other => other,
            });
        }
        let mask = p.u32()?;
        let allowed = async_known(kind);
        if mask & !allowed != 0 && !loose {
            let name = ASYNC_KINDS[kind];
            log::warn!(target: "ofp_connection", "bad value {mask:#x} for {name} (allowed mask {allowed:#x})");
            return Err(OfError::OfpacfcInvalid);
        }
        let place = if primary { &mut update.primary[kind] } else { &mut update.secondary[kind] };
        *place = Some(mask & async_known(kind));
    }
    Ok(update)
}

pub(super) fn encode_async(update: &AsyncUpdate, set: bool, e: &Encoder, out: &mut Vec<u8>) {
    let properties = e.version >= Version::Of14;
    let raw = match (e.version, set) {
        (Version::Of10 | Version::Of11 | Version::Of12, _) => Raw::NxtSetAsyncConfig,
        (Version::Of13, true) => Raw::Ofpt13SetAsync,
        (Version::Of13, false) => Raw::Ofpt13GetAsyncReply,
        (_, true) => Raw::Ofpt14SetAsync,
        (_, false) => Raw::Ofpt14GetAsyncReply,
    };
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    for kind in 0..if properties { 6 } else { 3 } {
        let (primary, secondary) = (update.primary[kind], update.secondary[kind]);
        if properties {
            if let Some(mask) = secondary {
                prop::put_u32(out, kind as u16 * 2, mask);
            }
            if let Some(mask) = primary {
                prop::put_u32(out, kind as u16 * 2 + 1, mask);
            }
        } else {
            out.put_u32(primary.unwrap_or(0));
            out.put_u32(secondary.unwrap_or(0));
        }
    }
    raw::finish(out, start);
}

pub(super) fn decode_desc(r: &mut Reader<'_>) -> Result<SwitchDesc, OfError> {
    Ok(SwitchDesc {
        manufacturer: r.text(256)?,
        hardware: r.text(256)?,
        software: r.text(256)?,
        serial: r.text(32)?,
        datapath: r.text(256)?,
    })
}

pub(super) fn put_desc(d: &SwitchDesc, out: &mut Vec<u8>) {
    out.put_text(&d.manufacturer, 256);
    out.put_text(&d.hardware, 256);
    out.put_text(&d.software, 256);
    out.put_text(&d.serial, 32);
    out.put_text(&d.datapath, 256);
}
