//! What a switch reports of other controllers and of its tables, as bytes.

use super::raw::{self, Raw};
use super::{Context, Encoder, decode, table};
use crate::wire::{Put, Reader};
use crate::*;

pub(super) fn decode_forward(r: &mut Reader<'_>, cx: &Context) -> Result<Message, OfError> {
    let inner = r.rest();
    let header = raw::Header::read(inner).ok_or(OfError::OfpbfcMsgBadLen)?;
    let inner = inner.get(..usize::from(header.length)).ok_or(OfError::OfpbrcBadLen)?;
    let decoded = decode(inner, cx)?;
    if !matches!(decoded.message, Message::GroupMod(_) | Message::MeterMod(_)) {
        return Err(OfError::OfpbfcMsgUnsup);
    }
    Ok(Message::RequestForward(Box::new(decoded)))
}

pub(super) fn encode_forward(inner: &Decoded, e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 | Version::Of11 | Version::Of12 => Raw::NxtRequestforward,
        Version::Of13 => Raw::Onft13Requestforward,
        Version::Of14 | Version::Of15 => Raw::Ofpt14Requestforward,
    };
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    inner.message.write(&Encoder { xid: inner.xid, ..*e }, out);
    raw::finish(out, start);
}

pub(super) fn decode_table_status(r: &mut Reader<'_>) -> Result<Message, OfError> {
    let reason = r.u8()?;
    r.skip(7)?;
    match table::decode_descs(r)?.pop() {
        Some(desc) => Ok(Message::TableStatus(TableStatus { reason, desc })),
        None => Err(OfError::OfpbrcBadLen),
    }
}

pub(super) fn encode_table_status(status: &TableStatus, e: &Encoder, out: &mut Vec<u8>) {
    let start = raw::start(out, Raw::Ofpt14TableStatus, e.version.byte(), e.xid);
    out.put_u8(status.reason);
    out.put_zeros(7);
    table::put_desc(&status.desc, out);
    raw::finish(out, start);
}
