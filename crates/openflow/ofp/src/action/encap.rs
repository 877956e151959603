//! `encap` and `decap`.

/// Adds a header of the packet type `packet_type`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Encap {
    /// Namespace in the upper 16 bits, then the type: (0,0) Ethernet, (1,0x894f) NSH, (1,0x8847) and
    /// (1,0x8848) MPLS.
    pub packet_type: u32,
    /// Bytes of the new header; 0: the switch's choice.
    pub header_size: u16,
    /// Of NSH only; empty for others.
    pub properties: Vec<EncapProperty>,
}

/// What the new header contains.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum EncapProperty {
    /// 1: fixed-length context, the default; 2: variable-length.
    NshMdType(u8),
    /// Context of MD type 2.
    NshTlv {
        /// The metadata class.
        class: u16,
        /// The type within the class.
        kind: u8,
        /// The value, without padding.
        data: Vec<u8>,
    },
}

// ---- bytes and text ----

use fields::text_pairs::next_pair;
use fields::{Protocols, TextError, refuse};

use super::raw::{self, Raw};
use super::{Action, Check, Parser};
use crate::OfError;
use crate::text::{hex_bytes, u8_of, u16_of};
use crate::wire::{Put, Reader, round8};

const ETHERNET: u32 = 0;
const NSH: u32 = 0x1_894f;
const MPLS: u32 = 0x1_8847;
const MPLS_MCAST: u32 = 0x1_8848;
const TYPES: [(u32, &str); 4] =
    [(ETHERNET, "ethernet"), (NSH, "nsh"), (MPLS, "mpls"), (MPLS_MCAST, "mpls_mc")];
const CLASS_NSH: u16 = 4;
const MD_TYPE: u8 = 1;
const TLV: u8 = 2;

impl Encap {
    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let header_size = r.u16()?;
        let packet_type = r.u32()?;
        if !TYPES.iter().any(|(t, _)| *t == packet_type) {
            return Err(OfError::NxbacBadHeaderType);
        }
        let mut properties = Vec::new();
        while !r.is_empty() {
            properties.push(EncapProperty::decode(&mut r)?);
        }
        Ok(Action::Encap(Box::new(Encap { packet_type, header_size, properties })))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = raw::put_head(out, Raw::Encap, 10);
        out.put_u16(self.header_size);
        out.put_u32(self.packet_type);
        for property in &self.properties {
            property.encode(out);
        }
        raw::finish(out, start);
    }

    pub(super) fn parse(arg: &str, p: &mut Parser<'_>) -> Result<Action, TextError> {
        p.usable &= Protocols::OF13_UP;
        let Some((key, value, _)) = next_pair(arg) else {
            return refuse!("Missing encap hdr: {arg}");
        };
        let Some((packet_type, _)) = TYPES.iter().find(|(_, name)| *name == key) else {
            return refuse!("Encap hdr not supported: {value}");
        };
        let mut properties = Vec::new();
        let mut rest = value;
        while let Some((name, value, after)) = next_pair(rest) {
            rest = after;
            if *packet_type != NSH || !matches!(name, "md_type" | "tlv") {
                return refuse!("Invalid property: {name}");
            }
            if value.is_empty() {
                return refuse!("Value missing for encap property");
            }
            properties.push(if name == "tlv" { parse_tlv(value)? } else { parse_md_type(value)? });
        }
        Ok(Action::Encap(Box::new(Encap { packet_type: *packet_type, header_size: 0, properties })))
    }

    pub(super) fn format(&self, out: &mut String) {
        use std::fmt::Write;
        let name = TYPES.iter().find(|(t, _)| *t == self.packet_type).map_or("UNKNOWN", |(_, name)| *name);
        let _ = write!(out, "encap({name}");
        for (index, property) in self.properties.iter().enumerate() {
            out.push(if index == 0 { '(' } else { ',' });
            match property {
                EncapProperty::NshMdType(md_type) => {
                    let _ = write!(out, "md_type={md_type}");
                }
                EncapProperty::NshTlv { class, kind, data } => {
                    let _ = write!(out, "tlv({class:#06x},{kind},");
                    put_hex_number(out, data);
                    out.push(')');
                }
            }
        }
        out.push_str(if self.properties.is_empty() { ")" } else { "))" });
    }

    pub(super) fn check(&self, check: &mut Check<'_>) {
        let key = &mut check.m.key;
        key.set_packet_type(self.packet_type);
        if self.packet_type >> 16 == 1 {
            key.set_dl_type(self.packet_type as u16);
        }
        if !matches!(fields::effective_dl_type(key), 0x0800 | 0x86dd) {
            key.set_nw_proto(0);
        }
    }
}

/// Bytes as one hexadecimal number.
fn put_hex_number(out: &mut String, bytes: &[u8]) {
    use std::fmt::Write;
    let Some(first) = bytes.iter().position(|&b| b != 0) else {
        return out.push('0');
    };
    let _ = write!(out, "{:#x}", bytes[first]);
    crate::text::put_hex_bytes(out, &bytes[first + 1..], "");
}

fn parse_md_type(value: &str) -> Result<EncapProperty, TextError> {
    match u8_of(value, "md_type")? {
        md_type @ 1..=2 => Ok(EncapProperty::NshMdType(md_type)),
        _ => refuse!("invalid md_type"),
    }
}

fn parse_tlv(value: &str) -> Result<EncapProperty, TextError> {
    let parse = || {
        let (class, rest) = value.strip_prefix("0x")?.split_once(',')?;
        let (kind, data) = rest.split_once(",0x")?;
        let (data, _) = hex_bytes(data)?;
        Some(EncapProperty::NshTlv {
            class: u16::from_str_radix(class, 16).ok()?,
            kind: kind.trim().parse().ok()?,
            data,
        })
    };
    parse().ok_or_else(|| TextError(format!("Invalid NSH TLV header: {value}")))
}

impl EncapProperty {
    fn decode(r: &mut Reader<'_>) -> Result<EncapProperty, OfError> {
        let bad = |_| OfError::OfpbacBadLen;
        let mut head = Reader::new(r.rest());
        let (class, kind, len) =
            (head.u16().map_err(bad)?, head.u8().map_err(bad)?, usize::from(head.u8().map_err(bad)?));
        if len < 4 || round8(len) > r.len() {
            return Err(OfError::OfpbacBadLen);
        }
        let mut body = Reader::new(&r.take(round8(len))?[4..]);
        match (class, kind) {
            (CLASS_NSH, MD_TYPE) if len > 8 => Err(OfError::NxbacBadEdProp),
            (CLASS_NSH, MD_TYPE) => Ok(EncapProperty::NshMdType(body.u8()?)),
            (CLASS_NSH, TLV) => {
                let (class, kind, n) = (body.u16()?, body.u8()?, usize::from(body.u8()?));
                if len != 8 + round8(n) {
                    return Err(OfError::NxbacBadEdProp);
                }
                Ok(EncapProperty::NshTlv { class, kind, data: body.take(n)?.to_vec() })
            }
            _ => Err(OfError::NxbacUnknownEdProp),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(CLASS_NSH);
        match self {
            EncapProperty::NshMdType(md_type) => {
                out.extend_from_slice(&[MD_TYPE, 5, *md_type, 0, 0, 0]);
            }
            EncapProperty::NshTlv { class, kind, data } => {
                out.put_u8(TLV);
                out.put_u8((8 + round8(data.len())) as u8);
                out.put_u16(*class);
                out.put_u8(*kind);
                out.put_u8(data.len() as u8);
                out.extend_from_slice(data);
                out.put_zeros(round8(data.len()) - data.len());
            }
        }
    }
}

pub(super) fn decode_decap(body: &[u8]) -> Result<Action, OfError> {
    if body.len() > 16 {
        return Err(OfError::NxbacUnknownEdProp);
    }
    let mut r = Reader::new(&body[12..]);
    Ok(Action::Decap(r.u32()?))
}

pub(super) fn encode_decap(packet_type: u32, out: &mut Vec<u8>) {
    raw::put_head(out, Raw::Decap, 10);
    out.put_u16(0);
    out.put_u32(packet_type);
}

pub(super) fn parse_decap(arg: &str) -> Result<Action, TextError> {
    let Some((key, value, _)) = next_pair(arg) else {
        return Ok(Action::Decap(Action::DECAP_NEXT));
    };
    if key != "packet_type" {
        return refuse!("Invalid decap argument: {key}");
    }
    let Some(("ns", ns, rest)) = next_pair(value) else {
        return refuse!("Missing packet_type attribute ns");
    };
    let ns = u16_of(ns, "ns")?;
    if ns >= 6 {
        return refuse!("Unsupported ns value: {ns}");
    }
    let Some(("type", kind, _)) = next_pair(rest) else {
        return refuse!("Missing packet_type attribute type");
    };
    Ok(Action::Decap(u32::from(ns) << 16 | u32::from(u16_of(kind, "type")?)))
}

pub(super) fn check_decap(check: &mut Check<'_>) {
    let key = &mut check.m.key;
    if key.packet_type() == 0 {
        key.set_packet_type(1 << 16 | u32::from(key.dl_type()));
    } else {
        key.set_packet_type(0xffff);
        key.set_dl_type(0xffff);
    }
}
