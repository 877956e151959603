//! Messages about ports, queues and tables' counters as bytes.

use base::{MacAddr, OfPort};

use super::Encoder;
use super::raw::{self, Multipart, Raw};
use crate::action::port_from_of11;
use crate::prop::{self, Property};
use crate::wire::{Put, Reader};
use crate::*;

const INTEL_VENDOR: u32 = 0xaa01;
const INTEL_RFC2819: u32 = 1;
const INTEL_CUSTOM: u32 = 2;
const ETHERNET: u16 = 0;

/// Configuration bits that OpenFlow 1.1 and later know.
const CONFIG11: u32 =
    port_config::PORT_DOWN | port_config::NO_RECV | port_config::NO_FWD | port_config::NO_PACKET_IN;

/// OpenFlow 1.0's feature bits from 7 up are others.
fn features_from10(bits: u32) -> u32 {
    bits & 0x7f | (bits & 0xf80) << 4
}

fn features_to10(bits: u32) -> u32 {
    bits & 0x7f | (bits >> 4) & 0xf80
}

/// Appends a port's number as requests have it, padded to eight bytes.
pub(super) fn put_padded_number(port: OfPort, version: Version, out: &mut Vec<u8>) {
    if version == Version::Of10 {
        out.put_u16(port.0 as u16);
        out.put_zeros(6);
    } else {
        out.put_u32(port.0);
        out.put_u32(0);
    }
}

/// Takes one port.
pub(super) fn pull_desc(r: &mut Reader<'_>, version: Version) -> Result<PortDesc, OfError> {
    let mut p = PortDesc::default();
    match version {
        Version::Of10 => {
            p.port = OfPort::from_u16(r.u16()?);
            p.hw_addr = MacAddr(r.array()?);
            p.name = r.text(16)?;
            (p.config, p.state) = (r.u32()? & 0x7f, r.u32()? & 0x301);
            let mut feature = || r.u32().map(features_from10);
            (p.current, p.advertised, p.supported, p.peer) = (feature()?, feature()?, feature()?, feature()?);
            p.current_speed = base::link_feature::speed_kbps(p.current);
            p.max_speed = base::link_feature::speed_kbps(p.supported);
        }
        Version::Of11 | Version::Of12 | Version::Of13 => {
            p.port = port_from_of11(r.u32()?)?;
            r.skip(4)?;
            p.hw_addr = MacAddr(r.array()?);
            r.skip(2)?;
            p.name = r.text(16)?;
            (p.config, p.state) = (r.u32()? & CONFIG11, r.u32()? & 7);
            (p.current, p.advertised, p.supported, p.peer) = (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
            (p.current_speed, p.max_speed) = (r.u32()?, r.u32()?);
        }
        Version::Of14 | Version::Of15 => {
            let mut head = Reader::new(r.rest());
            head.skip(4)?;
            let len = usize::from(head.u16()?);
            if len < 40 {
                return Err(OfError::OfpbrcBadLen);
            }
            let mut body = Reader::new(r.take(len)?);
            p.port = port_from_of11(body.u32()?)?;
            body.skip(4)?;
            p.hw_addr = MacAddr(body.array()?);
            body.skip(2)?;
            p.name = body.text(16)?;
            (p.config, p.state) = (body.u32()? & CONFIG11, body.u32()? & 7);
            while !body.is_empty() {
                let prop = Property::pull(&mut body)?;
                if prop.kind == ETHERNET {
                    let mut e = Reader::new(prop.data);
                    e.skip(4)?;
                    (p.current, p.advertised, p.supported, p.peer) = (e.u32()?, e.u32()?, e.u32()?, e.u32()?);
                    (p.current_speed, p.max_speed) = (e.u32()?, e.u32()?);
                }
            }
        }
    }
    Ok(p)
}

pub(super) fn put_desc(p: &PortDesc, version: Version, out: &mut Vec<u8>) {
    match version {
        Version::Of10 => {
            out.put_u16(p.port.0 as u16);
            out.extend_from_slice(&p.hw_addr.0);
            out.put_text(&p.name, 16);
            out.put_u32(p.config & 0x7f);
            out.put_u32(p.state & 0x301);
            for f in [p.current, p.advertised, p.supported, p.peer] {
                out.put_u32(features_to10(f));
            }
        }
        Version::Of11 | Version::Of12 | Version::Of13 | Version::Of14 | Version::Of15 => {
            let start = out.len();
            let new = version >= Version::Of14;
            out.put_u32(p.port.0);
            out.put_u16(if new { 72 } else { 0 });
            out.put_u16(0);
            out.extend_from_slice(&p.hw_addr.0);
            out.put_zeros(2);
            out.put_text(&p.name, 16);
            out.put_u32(p.config & CONFIG11);
            out.put_u32(p.state & 7);
            let ethernet = |out: &mut Vec<u8>| {
                for f in [p.current, p.advertised, p.supported, p.peer, p.current_speed, p.max_speed] {
                    out.put_u32(f);
                }
            };
            if new {
                let at = prop::start(out, ETHERNET);
                out.put_u32(0);
                ethernet(out);
                prop::end(out, at);
                debug_assert_eq!(out.len() - start, 72);
            } else {
                ethernet(out);
            }
        }
    }
}

pub(super) fn decode_descs(r: &mut Reader<'_>, version: Version) -> Result<Vec<PortDesc>, OfError> {
    let mut ports = Vec::new();
    while !r.is_empty() {
        ports.push(pull_desc(r, version)?);
    }
    Ok(ports)
}

pub(super) fn encode_descs(ports: &[PortDesc], e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 => Raw::Ofpst10PortDescReply,
        Version::Of14 | Version::Of15 => Raw::Ofpst14PortDescReply,
        Version::Of11 | Version::Of12 | Version::Of13 => Raw::Ofpst11PortDescReply,
    };
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    for port in ports {
        parts.entry(|out| put_desc(port, e.version, out));
    }
    parts.end();
}

pub(super) fn decode_status(r: &mut Reader<'_>, version: Version) -> Result<PortStatus, OfError> {
    let reason = match r.u8()? {
        0 => PortReason::Add,
        1 => PortReason::Delete,
        2 => PortReason::Modify,
        _ => return Err(OfError::NxbrcBadReason),
    };
    r.skip(7)?;
    Ok(PortStatus { reason, desc: pull_desc(r, version)? })
}

pub(super) fn encode_status(s: &PortStatus, e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 => Raw::Ofpt10PortStatus,
        Version::Of14 | Version::Of15 => Raw::Ofpt14PortStatus,
        Version::Of11 | Version::Of12 | Version::Of13 => Raw::Ofpt11PortStatus,
    };
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    out.put_u8(s.reason as u8);
    out.put_zeros(7);
    put_desc(&s.desc, e.version, out);
    raw::finish(out, start);
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn decode_mod(raw: Raw, r: &mut Reader<'_>) -> Result<PortMod, OfError> {
    let of10 = raw == Raw::Ofpt10PortMod;
    let port = if of10 { OfPort::from_u16(r.u16()?) } else { port_from_of11(r.u32()?)? };
    r.skip(if of10 { 0 } else { 4 })?;
    let hw_addr = MacAddr(r.array()?);
    r.skip(if of10 { 0 } else { 2 })?;
    let known = if of10 { 0x7f } else { CONFIG11 };
    let (config, mask) = (r.u32()? & known, r.u32()? & known);
    let mut advertise = 0;
    match raw {
        Raw::Ofpt10PortMod => advertise = features_from10(r.u32()?),
        Raw::Ofpt11PortMod => advertise = r.u32()?,
        _ => {
            while !r.is_empty() {
                let prop = Property::pull(r)?;
                match prop.kind {
                    ETHERNET => advertise = prop.u32()?,
                    _ => return Err(prop.unknown("port_mod", false)),
                }
            }
        }
    }
    Ok(PortMod { port, hw_addr, config: config & mask, mask, advertise })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn encode_mod(m: &PortMod, e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 => Raw::Ofpt10PortMod,
        Version::Of14 | Version::Of15 => Raw::Ofpt14PortMod,
        Version::Of11 | Version::Of12 | Version::Of13 => Raw::Ofpt11PortMod,
    };
    let of10 = raw == Raw::Ofpt10PortMod;
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    if of10 {
        out.put_u16(m.port.0 as u16);
    } else {
        out.put_u32(m.port.0);
        out.put_u32(0);
    }
    out.extend_from_slice(&m.hw_addr.0);
    let known = if of10 { 0x7f } else { CONFIG11 };
    out.put_zeros(if of10 { 0 } else { 2 });
    out.put_u32(m.config & known);
    out.put_u32(m.mask & known);
    match raw {
        Raw::Ofpt14PortMod => {
            if m.advertise != 0 {
                prop::put_u32(out, ETHERNET, m.advertise);
            }
        }
        _ => {
            out.put_u32(if of10 { features_to10(m.advertise) } else { m.advertise });
            out.put_u32(0);
        }
    }
    raw::finish(out, start);
}

pub(super) fn decode_port_request(r: &mut Reader<'_>, version: Version) -> Result<OfPort, OfError> {
    if version == Version::Of10 { r.u16().map(OfPort::from_u16) } else { port_from_of11(r.u32()?) }
}

fn pull_basic(r: &mut Reader<'_>, s: &mut PortStats) -> Result<(), OfError> {
    (s.rx_packets, s.tx_packets, s.rx_bytes, s.tx_bytes) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
    (s.rx_dropped, s.tx_dropped, s.rx_errors, s.tx_errors) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
    Ok(())
}

fn pull_ethernet(r: &mut Reader<'_>, s: &mut PortStats) -> Result<(), OfError> {
    (s.rx_frame_errors, s.rx_over_errors, s.rx_crc_errors, s.collisions) =
        (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
    Ok(())
}

pub(super) fn decode_stats(raw: Raw, r: &mut Reader<'_>) -> Result<Vec<PortStats>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        let mut s = PortStats::default();
        if raw == Raw::Ofpst14PortReply {
            let mut head = Reader::new(r.rest());
            let len = usize::from(head.u16()?);
            if len < 80 {
                return Err(OfError::OfpbrcBadLen);
            }
            let mut body = Reader::new(r.take(len)?);
            body.skip(4)?;
            s.port = port_from_of11(body.u32()?)?;
            (s.duration_sec, s.duration_nsec) = (body.u32()?, body.u32()?);
            pull_basic(&mut body, &mut s)?;
            while !body.is_empty() {
                decode_stats_property(&Property::pull(&mut body)?, &mut s)?;
            }
        } else {
            let of10 = raw == Raw::Ofpst10PortReply;
            s.port = if of10 { OfPort::from_u16(r.u16()?) } else { port_from_of11(r.u32()?)? };
            r.skip(if of10 { 6 } else { 4 })?;
            pull_basic(r, &mut s)?;
            pull_ethernet(r, &mut s)?;
            if raw == Raw::Ofpst13PortReply {
                (s.duration_sec, s.duration_nsec) = (r.u32()?, r.u32()?);
            }
        }
        all.push(s);
    }
    Ok(all)
}

fn decode_stats_property(prop: &Property<'_>, s: &mut PortStats) -> Result<(), OfError> {
    let mut r = Reader::new(prop.data);
    match (prop.kind, prop.experimenter) {
        (ETHERNET, None) => {
            r.skip(4)?;
            pull_ethernet(&mut r, s)
        }
        (_, Some((INTEL_VENDOR, INTEL_RFC2819))) => {
            r.skip(4)?;
            s.rfc2819.iter_mut().try_for_each(|v| r.u64().map(|n| *v = n))
        }
        (_, Some((INTEL_VENDOR, INTEL_CUSTOM))) => {
            r.skip(2)?;
            for _ in 0..r.u16()? {
                let len = usize::from(r.u8()?);
                let name = r.text(len)?;
                s.custom.push((name, r.u64()?));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(super) fn encode_stats(stats: &[PortStats], e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 => Raw::Ofpst10PortReply,
        Version::Of11 | Version::Of12 => Raw::Ofpst11PortReply,
        Version::Of13 => Raw::Ofpst13PortReply,
        Version::Of14 | Version::Of15 => Raw::Ofpst14PortReply,
    };
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    for s in stats {
        parts.entry(|out| encode_one_stats(raw, s, out));
    }
    parts.end();
}

fn encode_one_stats(raw: Raw, s: &PortStats, out: &mut Vec<u8>) {
    let basic = [
        s.rx_packets,
        s.tx_packets,
        s.rx_bytes,
        s.tx_bytes,
        s.rx_dropped,
        s.tx_dropped,
        s.rx_errors,
        s.tx_errors,
    ];
    let ethernet = [s.rx_frame_errors, s.rx_over_errors, s.rx_crc_errors, s.collisions];
    let put = |out: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| out.put_u64(*v));
    if raw != Raw::Ofpst14PortReply {
        if raw == Raw::Ofpst10PortReply {
            out.put_u16(s.port.0 as u16);
            out.put_zeros(6);
        } else {
            out.put_u32(s.port.0);
            out.put_zeros(4);
        }
        put(out, &basic);
        put(out, &ethernet);
        if raw == Raw::Ofpst13PortReply {
            out.put_u32(s.duration_sec);
            out.put_u32(s.duration_nsec);
        }
        return;
    }
    let start = out.len();
    out.put_u32(0);
    out.put_u32(s.port.0);
    out.put_u32(s.duration_sec);
    out.put_u32(s.duration_nsec);
    put(out, &basic);
    let at = prop::start(out, ETHERNET);
    out.put_u32(0);
    put(out, &ethernet);
    prop::end(out, at);
    if s.rfc2819.iter().any(|v| *v != u64::MAX) {
        let at = prop::start_experimenter(out, INTEL_VENDOR, INTEL_RFC2819);
        out.put_u32(0);
        put(out, &s.rfc2819);
        prop::end(out, at);
    }
    if !s.custom.is_empty() {
        let at = prop::start_experimenter(out, INTEL_VENDOR, INTEL_CUSTOM);
        out.put_u16(0);
        out.put_u16(s.custom.len() as u16);
        for (name, value) in &s.custom {
            let name = &name.as_bytes()[..name.len().min(255)];
            out.put_u8(name.len() as u8);
            out.extend_from_slice(name);
            out.put_u64(*value);
        }
        prop::end(out, at);
    }
    let len = out.len() - start;
    out.patch_u16(start, len as u16);
}

pub(super) fn decode_queue_request(r: &mut Reader<'_>, version: Version) -> Result<(OfPort, u32), OfError> {
    let port = decode_port_request(r, version)?;
    r.skip(if version == Version::Of10 { 2 } else { 0 })?;
    Ok((port, r.u32()?))
}

pub(super) fn put_queue_request(port: OfPort, queue: u32, version: Version, out: &mut Vec<u8>) {
    if version == Version::Of10 {
        // OpenFlow 1.0 says "all ports" with the number that it has for ALL.
        out.put_u16(if port == OfPort::ANY { 0xfffc } else { port.0 as u16 });
        out.put_u16(0);
    } else {
        out.put_u32(port.0);
    }
    out.put_u32(queue);
}

pub(super) fn decode_queues(raw: Raw, r: &mut Reader<'_>) -> Result<Vec<QueueStats>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        let mut q = QueueStats {
            port: OfPort(0),
            queue: 0,
            tx_bytes: 0,
            tx_packets: 0,
            tx_errors: 0,
            duration_sec: u32::MAX,
            duration_nsec: u32::MAX,
        };
        if raw == Raw::Ofpst14QueueReply {
            let mut head = Reader::new(r.rest());
            let len = usize::from(head.u16()?);
            if len < 48 || len % 8 != 0 {
                return Err(OfError::OfpbrcBadLen);
            }
            let mut body = Reader::new(r.take(len)?);
            body.skip(8)?;
            (q.port, q.queue) = (port_from_of11(body.u32()?)?, body.u32()?);
            (q.tx_bytes, q.tx_packets, q.tx_errors) = (body.u64()?, body.u64()?, body.u64()?);
            (q.duration_sec, q.duration_nsec) = (body.u32()?, body.u32()?);
        } else {
            let version = if raw == Raw::Ofpst10QueueReply { Version::Of10 } else { Version::Of11 };
            (q.port, q.queue) = decode_queue_request(r, version)?;
            (q.tx_bytes, q.tx_packets, q.tx_errors) = (r.u64()?, r.u64()?, r.u64()?);
            if raw == Raw::Ofpst13QueueReply {
                (q.duration_sec, q.duration_nsec) = (r.u32()?, r.u32()?);
            }
        }
        all.push(q);
    }
    Ok(all)
}

pub(super) fn encode_queues(queues: &[QueueStats], e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 => Raw::Ofpst10QueueReply,
        Version::Of11 | Version::Of12 => Raw::Ofpst11QueueReply,
        Version::Of13 => Raw::Ofpst13QueueReply,
        Version::Of14 | Version::Of15 => Raw::Ofpst14QueueReply,
    };
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    for q in queues {
        parts.entry(|out| {
            if raw == Raw::Ofpst14QueueReply {
                out.put_u16(48);
                out.put_zeros(6);
            }
            if raw == Raw::Ofpst10QueueReply {
                out.put_u16(q.port.0 as u16);
                out.put_u16(0);
            } else {
                out.put_u32(q.port.0);
            }
            out.put_u32(q.queue);
            for v in [q.tx_bytes, q.tx_packets, q.tx_errors] {
                out.put_u64(v);
            }
            if matches!(raw, Raw::Ofpst13QueueReply | Raw::Ofpst14QueueReply) {
                out.put_u32(q.duration_sec);
                out.put_u32(q.duration_nsec);
            }
        });
    }
    parts.end();
}
