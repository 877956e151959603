//! Tables' counters, and sets of actions by number.

use super::raw::{Multipart, Raw};
use super::table_numbers::{decode_miss, miss_number};
use super::{Encoder, table_features};
use crate::wire::{Put, Reader};
use crate::*;

pub(super) fn decode_stats(raw: Raw, r: &mut Reader<'_>) -> Result<Vec<TableStats>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        let mut s =
            TableStats { table: r.u8()?, active_count: 0, lookup_count: 0, matched_count: 0, features: None };
        if raw == Raw::Ofpst13TableReply {
            r.skip(3)?;
        } else {
            s.features = Some(Box::new(table_features::decode_described(raw, r, s.table)?));
        }
        (s.active_count, s.lookup_count, s.matched_count) = (r.u32()?, r.u64()?, r.u64()?);
        all.push(s);
    }
    Ok(all)
}

pub(super) fn encode_stats(tables: &[TableStats], e: &Encoder, out: &mut Vec<u8>) {
    let raw = match e.version {
        Version::Of10 => Raw::Ofpst10TableReply,
        Version::Of11 => Raw::Ofpst11TableReply,
        Version::Of12 => Raw::Ofpst12TableReply,
        Version::Of13 | Version::Of14 | Version::Of15 => Raw::Ofpst13TableReply,
    };
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    let none = TableFeatures::unknown(0);
    for s in tables {
        let f = s.features.as_deref().unwrap_or(&none);
        parts.entry(|out| {
            out.put_u8(s.table);
            if raw == Raw::Ofpst13TableReply {
                out.put_zeros(3);
            } else {
                table_features::put_described(f, raw, out);
            }
            out.put_u32(s.active_count);
            out.put_u64(s.lookup_count);
            out.put_u64(s.matched_count);
        });
    }
    parts.end();
}

const TYPE_EVICTION: u16 = 2;
const TYPE_VACANCY: u16 = 3;

pub(super) fn decode_mod(raw: Raw, r: &mut Reader<'_>, version: Version) -> Result<TableMod, OfError> {
    let table = r.u8()?;
    r.skip(3)?;
    let config = r.u32()?;
    let mut m = TableMod {
        table,
        miss: TableMiss::Default,
        eviction: None,
        eviction_flags: None,
        vacancy_events: None,
        vacancy: Vacancy::default(),
    };
    if raw == Raw::Ofpt11TableMod {
        m.miss = decode_miss(config, version)?;
        return Ok(m);
    }
    m.eviction = Some(config & 4 != 0);
    m.vacancy_events = Some(config & 8 != 0);
    while !r.is_empty() {
        let p = prop::Property::pull(r)?;
        match p.kind {
            TYPE_EVICTION => m.eviction_flags = Some(p.u32()?),
            TYPE_VACANCY => m.vacancy = decode_vacancy(p.data)?,
            _ => return Err(OfError::OfpbrcBadType),
        }
    }
    Ok(m)
}

fn decode_vacancy(data: &[u8]) -> Result<Vacancy, OfError> {
    let mut r = Reader::new(data);
    let vacancy = Vacancy { down: r.u8()?, up: r.u8()?, current: r.u8()? };
    if vacancy.down > vacancy.up || vacancy.up > 100 {
        return Err(OfError::OfpbpcBadValue);
    }
    Ok(vacancy)
}

pub(super) fn put_mod(m: &TableMod, e: &Encoder, out: &mut Vec<u8>) {
    out.put_u8(m.table);
    out.put_zeros(3);
    if e.version < Version::Of14 {
        return out.put_u32(if e.version >= Version::Of13 { 0 } else { miss_number(m.miss) });
    }
    put_settings(m.eviction, m.eviction_flags, m.vacancy_events, &m.vacancy, out);
}

fn put_settings(
    eviction: Option<bool>,
    flags: Option<u32>,
    vacancy_events: Option<bool>,
    vacancy: &Vacancy,
    out: &mut Vec<u8>,
) {
    let bit = |on: Option<bool>, bit: u32| if on == Some(true) { bit } else { 0 };
    out.put_u32(bit(eviction, 4) | bit(vacancy_events, 8));
    if let Some(flags) = flags {
        prop::put_u32(out, TYPE_EVICTION, flags);
    }
    if vacancy_events == Some(true) {
        prop::put(out, TYPE_VACANCY, &[vacancy.down, vacancy.up, vacancy.current, 0]);
    }
}

pub(super) fn decode_descs(r: &mut Reader<'_>) -> Result<Vec<TableDesc>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let len = usize::from(head.u16()?);
        if len < 8 {
            return Err(OfError::OfpbrcBadLen);
        }
        let mut body = Reader::new(r.take(len)?);
        body.skip(2)?;
        let table = body.u8()?;
        body.skip(1)?;
        let config = body.u32()?;
        let mut d = TableDesc {
            table,
            eviction: Some(config & 4 != 0),
            eviction_flags: None,
            vacancy_events: Some(config & 8 != 0),
            vacancy: Vacancy::default(),
        };
        while !body.is_empty() {
            let p = prop::Property::pull(&mut body)?;
            match p.kind {
                TYPE_EVICTION => d.eviction_flags = Some(p.u32()?),
                TYPE_VACANCY => d.vacancy = decode_vacancy(p.data)?,
                _ => return Err(OfError::OfpbpcBadType),
            }
        }
        all.push(d);
    }
    Ok(all)
}

pub(super) fn encode_descs(descs: &[TableDesc], e: &Encoder, out: &mut Vec<u8>) {
    let mut parts = Multipart::new(out, Raw::Ofpst14TableDescReply, e.version.byte(), e.xid);
    for d in descs {
        parts.entry(|out| put_desc(d, out));
    }
    parts.end();
}

pub(super) fn put_desc(d: &TableDesc, out: &mut Vec<u8>) {
    let start = out.len();
    out.put_u16(0);
    out.put_u8(d.table);
    out.put_u8(0);
    put_settings(d.eviction, d.eviction_flags, d.vacancy_events, &d.vacancy, out);
    let len = out.len() - start;
    out.patch_u16(start, len as u16);
}
