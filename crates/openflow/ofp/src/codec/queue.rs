//! The configuration of queues as bytes.

use base::OfPort;

use super::Encoder;
use super::port::put_padded_number;
use super::raw::{self, Multipart, Raw};
use crate::action::port_from_of11;
use crate::prop::{self, Property};
use crate::wire::{Put, Reader};
use crate::*;

/// The numbers of rates, in both forms of properties.
const MIN_RATE: u16 = 1;
const MAX_RATE: u16 = 2;
/// A rate that is not said.
const UNSAID: u16 = u16::MAX;
/// The length of a rate before OpenFlow 1.4.
const OLD_RATE_LEN: u16 = 16;

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn decode_request(raw: Raw, r: &mut Reader<'_>) -> Result<Message, OfError> {
    let (port, queue) = match raw {
        Raw::Ofpt10QueueGetConfigRequest => (OfPort::from_u16(r.u16()?), QUEUE_ALL),
        Raw::Ofpt11QueueGetConfigRequest => (port_from_of11(r.u32()?)?, QUEUE_ALL),
        _ => (port_from_of11(r.u32()?)?, r.u32()?),
    };
    let all_allowed = raw != Raw::Ofpt10QueueGetConfigRequest && port == OfPort::ANY;
    if port >= OfPort::MAX && !all_allowed && raw != Raw::Ofpst14QueueDescRequest {
        return Err(OfError::OfpqofcBadPort);
    }
    Ok(Message::QueueDescRequest { port, queue })
}

pub(super) fn encode_request(port: OfPort, queue: u32, e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 => Raw::Ofpt10QueueGetConfigRequest,
        Version::Of11 | Version::Of12 | Version::Of13 => Raw::Ofpt11QueueGetConfigRequest,
        Version::Of14 | Version::Of15 => Raw::Ofpst14QueueDescRequest,
    };
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    if raw == Raw::Ofpt10QueueGetConfigRequest {
        out.put_u16(port.0 as u16);
        out.put_u16(0);
    } else {
        out.put_u32(port.0);
        out.put_u32(if raw == Raw::Ofpst14QueueDescRequest { queue } else { 0 });
    }
    raw::finish(out, start);
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn decode_reply(raw: Raw, r: &mut Reader<'_>, version: Version) -> Result<Message, OfError> {
    let port = match raw {
        Raw::Ofpt10QueueGetConfigReply => {
            let port = OfPort::from_u16(r.u16()?);
            r.skip(6)?;
            Some(port)
        }
        Raw::Ofpt11QueueGetConfigReply => {
            let port = port_from_of11(r.u32()?)?;
            r.skip(4)?;
            Some(port)
        }
        _ => None,
    };
    let mut queues = Vec::new();
    while !r.is_empty() {
        queues.push(match port {
            Some(port) => decode_old(r, port, version)?,
            None => decode_new(r)?,
        });
    }
    Ok(Message::QueueDescReply { port: port.unwrap_or(OfPort::ANY), queues })
}

/// Before OpenFlow 1.4: queues of one port, with properties of their own form.
fn decode_old(r: &mut Reader<'_>, port: OfPort, version: Version) -> Result<QueueConfig, OfError> {
    let queue_at = if version < Version::Of12 { 0 } else { 4 };
    let header = if version < Version::Of12 { 8 } else { 16 };
    let mut head = Reader::new(r.rest());
    let (number, len) = if queue_at == 0 {
        (head.u32()?, usize::from(head.u16()?))
    } else {
        let number = head.u32()?;
        head.skip(4)?;
        (number, usize::from(head.u16()?))
    };
    if len < header || len % 8 != 0 {
        return Err(OfError::OfpbrcBadLen);
    }
    let mut body = Reader::new(r.take(len)?);
    body.skip(header)?;
    let mut queue = QueueConfig { port, queue: number, min_rate: UNSAID, max_rate: UNSAID };
    while !body.is_empty() {
        let mut head = Reader::new(body.rest());
        let (kind, len) = (head.u16()?, head.u16()?);
        if len < 8 || len % 8 != 0 {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut property = Reader::new(body.take(usize::from(len))?);
        property.skip(8)?;
        let rate = match kind {
            MIN_RATE => &mut queue.min_rate,
            MAX_RATE => &mut queue.max_rate,
            _ => continue,
        };
        if len != OLD_RATE_LEN {
            return Err(OfError::OfpbrcBadLen);
        }
        *rate = property.u16()?;
    }
    Ok(queue)
}

fn decode_new(r: &mut Reader<'_>) -> Result<QueueConfig, OfError> {
    let mut head = Reader::new(r.rest());
    head.skip(8)?;
    let len = usize::from(head.u16()?);
    if len < 16 || len % 8 != 0 {
        return Err(OfError::OfpbrcBadLen);
    }
    let mut body = Reader::new(r.take(len)?);
    let (port, number) = (port_from_of11(body.u32()?)?, body.u32()?);
    body.skip(8)?;
    let mut queue = QueueConfig { port, queue: number, min_rate: UNSAID, max_rate: UNSAID };
    while !body.is_empty() {
        let property = Property::pull(&mut body)?;
        match property.kind {
            MIN_RATE => queue.min_rate = property.u16()?,
            MAX_RATE => queue.max_rate = property.u16()?,
            _ => {}
        }
    }
    Ok(queue)
}

pub(super) fn encode_reply(port: OfPort, queues: &[QueueConfig], e: &Encoder, out: &mut Vec<u8>) {
    if e.version >= Version::Of14 {
        let mut parts = Multipart::new(out, Raw::Ofpst14QueueDescReply, e.version.byte(), e.xid);
        for queue in queues {
            parts.entry(|out| put_new(queue, out));
        }
        return parts.end();
    }
    let of10 = e.version == Version::Of10;
    let raw = if of10 { Raw::Ofpt10QueueGetConfigReply } else { Raw::Ofpt11QueueGetConfigReply };
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    put_padded_number(port, e.version, out);
    for (index, queue) in queues.iter().enumerate() {
        let entry = out.len();
        put_old(queue, e.version, out);
        if out.len() - start > usize::from(u16::MAX) {
            // These versions know one message only.
            out.truncate(entry);
            let left = queues.len() - index;
            log::warn!(target: "ofp_queue", "{left} queues do not fit into the message and are left out");
            break;
        }
    }
    raw::finish(out, start);
}

fn put_old(queue: &QueueConfig, version: Version, out: &mut Vec<u8>) {
    let start = out.len();
    out.put_u32(queue.queue);
    let len_at = if version < Version::Of12 {
        out.put_u32(0);
        start + 4
    } else {
        out.put_u32(queue.port.0);
        out.put_zeros(8);
        start + 8
    };
    for (kind, rate) in [(MIN_RATE, queue.min_rate), (MAX_RATE, queue.max_rate)] {
        if rate != UNSAID {
            out.put_u16(kind);
            out.put_u16(OLD_RATE_LEN);
            out.put_u32(0);
            out.put_u16(rate);
            out.put_zeros(6);
        }
    }
    let len = out.len() - start;
    out.patch_u16(len_at, len as u16);
}

fn put_new(queue: &QueueConfig, out: &mut Vec<u8>) {
    let start = out.len();
    out.put_u32(queue.port.0);
    out.put_u32(queue.queue);
    out.put_zeros(8);
    for (kind, rate) in [(MIN_RATE, queue.min_rate), (MAX_RATE, queue.max_rate)] {
        if rate != UNSAID {
            prop::put_u16(out, kind, rate);
        }
    }
    let len = out.len() - start;
    out.patch_u16(start + 8, len as u16);
}
