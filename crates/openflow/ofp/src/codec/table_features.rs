//! What tables can do: the properties of OpenFlow 1.3 and later, and the
//! bitmaps by which the table counters of 1.0 to 1.2 say the same.
//!
//! Enters: the body of one part of a table features multipart. Leaves:
//! [`TableFeatures`]. What tables counted is in [`super::table`].

use fields::{Field, oxm};

use super::Encoder;
use super::raw::{Multipart, Raw};
use super::table_numbers::{kinds_from_bits, kinds_to_bits};
use crate::oxm::{pull_header, put_header};
use crate::wire::{Put, Reader};
use crate::*;

/// The numbers of properties; that of table misses is one more.
mod property {
    pub(super) const INSTRUCTIONS: u16 = 0;
    pub(super) const NEXT_TABLES: u16 = 2;
    pub(super) const WRITE_ACTIONS: u16 = 4;
    pub(super) const APPLY_ACTIONS: u16 = 6;
    pub(super) const MATCH: u16 = 8;
    pub(super) const WILDCARDS: u16 = 10;
    pub(super) const WRITE_SETFIELD: u16 = 12;
    pub(super) const APPLY_SETFIELD: u16 = 14;
    /// Those that must be there.
    pub(super) const REQUIRED: u32 = 0x5555;
}

/// Our bit of an instruction and its number on the wire.
const INSTRUCTIONS: [(u32, u32); 6] = [(5, 1), (4, 2), (3, 3), (1, 4), (2, 5), (0, 6)];

const NO_TABLE: usize = 255;
const EVICTION: u32 = 1 << 0;
const VACANCY_EVENTS: u32 = 1 << 3;

fn instructions(version: Version) -> impl Iterator<Item = (u32, u32)> {
    let meter = matches!(version, Version::Of13 | Version::Of14);
    INSTRUCTIONS.into_iter().filter(move |(_, number)| meter || *number != 6)
}

pub(super) fn instructions_from_bits(bits: u32, version: Version) -> u32 {
    instructions(version).filter(|(_, n)| bits >> n & 1 != 0).fold(0, |set, (bit, _)| set | 1 << bit)
}

pub(super) fn instructions_to_bits(set: u32, version: Version) -> u32 {
    instructions(version).filter(|(bit, _)| set >> bit & 1 != 0).fold(0, |bits, (_, n)| bits | 1 << n)
}

pub(super) fn decode(
    r: &mut Reader<'_>,
    version: Version,
    loose: bool,
) -> Result<Vec<TableFeatures>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        let mut head = Reader::new(r.rest());
        let len = usize::from(head.u16().map_err(|_| OfError::OfpbpcBadLen)?);
        if len < 64 || !len.is_multiple_of(8) || len > r.len() {
            return Err(OfError::OfpbpcBadLen);
        }
        all.push(decode_one(&mut Reader::new(&r.take(len)?[2..]), version, loose)?);
    }
    Ok(all)
}

fn decode_one(r: &mut Reader<'_>, version: Version, loose: bool) -> Result<TableFeatures, OfError> {
    let (table, command) = (r.u8()?, r.u8()?);
    if version >= Version::Of15 && command > 3 {
        return Err(OfError::OfptffcBadCommand);
    }
    if table == 0xff {
        return Err(OfError::OfptffcBadTable);
    }
    r.skip(4)?;
    let mut f = TableFeatures::unknown(table);
    f.command = if version >= Version::Of15 { command } else { 0 };
    f.name = r.text(32)?;
    (f.metadata_match, f.metadata_write) = (r.u64()?, r.u64()?);
    let capabilities = r.u32()?;
    if version >= Version::Of14 {
        f.supports_eviction = Some(capabilities & EVICTION != 0);
        f.supports_vacancy_events = Some(capabilities & VACANCY_EVENTS != 0);
    }
    f.max_entries = r.u32()?;
    f.any_properties = !r.is_empty();
    let mut seen = 0u32;
    while !r.is_empty() {
        let p = prop::Property::pull(r)?;
        if p.kind < 32 {
            let bit = 1 << p.kind;
            if seen & bit != 0 {
                return Err(OfError::OfptffcBadFeatures);
            }
            seen |= bit;
        }
        decode_property(&mut f, &p, version, loose)?;
    }
    let missing = property::REQUIRED & !seen;
    if missing != 0 && (f.any_properties || version < Version::Of15) {
        log::warn!(target: "ofp_table", "table features message missing {} required properties, including property {}", missing.count_ones(), missing.trailing_zeros());
        return Err(OfError::OfptffcBadFeatures);
    }
    if f.any_properties {
        miss_like_others(&mut f, seen);
    }
    make_consistent(&mut f);
    Ok(f)
}

fn decode_property(
    f: &mut TableFeatures,
    p: &prop::Property<'_>,
    version: Version,
    loose: bool,
) -> Result<(), OfError> {
    let half = if p.kind & 1 == 0 { &mut f.nonmiss } else { &mut f.miss };
    match p.kind & !1 {
        property::INSTRUCTIONS => half.instructions = decode_instructions(p.data, version, loose)?,
        property::NEXT_TABLES => half.next = decode_next(p.data)?,
        property::WRITE_ACTIONS => half.write.actions = kinds_from_bits(decode_ids(p.data)?, version),
        property::APPLY_ACTIONS => half.apply.actions = kinds_from_bits(decode_ids(p.data)?, version),
        property::WRITE_SETFIELD => half.write.set_fields = decode_exact(p.data, loose)?,
        property::APPLY_SETFIELD => half.apply.set_fields = decode_exact(p.data, loose)?,
        property::MATCH if p.kind == property::MATCH => {
            (f.match_fields, f.mask_fields) = decode_fields(p.data, loose)?;
        }
        property::WILDCARDS if p.kind == property::WILDCARDS => {
            f.wildcard_fields = decode_exact(p.data, loose)?
        }
        _ if loose => {}
        _ => return Err(p.unknown("table features", loose)),
    }
    Ok(())
}

/// Numbers of actions or instructions, which are properties without padding.
fn decode_ids(data: &[u8]) -> Result<u32, OfError> {
    let mut r = Reader::new(data);
    let mut bits = 0;
    while !r.is_empty() {
        let id = prop::Property::pull_aligned(&mut r, false)?;
        if id.kind < 32 {
            bits |= 1 << id.kind;
        }
    }
    Ok(bits)
}

fn decode_instructions(data: &[u8], version: Version, loose: bool) -> Result<u32, OfError> {
    let mut r = Reader::new(data);
    let mut set = 0;
    while !r.is_empty() {
        let id = prop::Property::pull_aligned(&mut r, false)?;
        let known = INSTRUCTIONS.into_iter().find(|(_, n)| *n == u32::from(id.kind));
        match known.filter(|(_, n)| *n != 6 || version >= Version::Of13) {
            Some((bit, _)) => set |= 1 << bit,
            None if loose => {}
            None if id.kind == prop::EXPERIMENTER => return Err(OfError::OfpbicBadExperimenter),
            None => return Err(OfError::OfpbicUnknownInst),
        }
    }
    Ok(set)
}

fn decode_next(data: &[u8]) -> Result<[u64; 4], OfError> {
    let mut next = [0u64; 4];
    for &table in data {
        if usize::from(table) >= NO_TABLE {
            return Err(OfError::OfpbpcBadValue);
        }
        next[usize::from(table / 64)] |= 1 << (table % 64);
    }
    Ok(next)
}

/// The fields listed without a mask, and those with one.
fn decode_fields(data: &[u8], loose: bool) -> Result<(FieldSet, FieldSet), OfError> {
    let (mut exact, mut masked) = (FieldSet::default(), FieldSet::default());
    let mut r = Reader::new(data);
    while !r.is_empty() {
        let (header, field) = pull_header(&mut r, false)?;
        match field {
            Ok(field) if header.has_mask => masked.insert(field),
            Ok(field) => exact.insert(field),
            Err(OfError::OfpbmcBadField) if loose => {}
            Err(error) => return Err(error),
        }
    }
    Ok((exact, masked))
}

fn decode_exact(data: &[u8], loose: bool) -> Result<FieldSet, OfError> {
    let (exact, masked) = decode_fields(data, loose)?;
    if masked.is_empty() { Ok(exact) } else { Err(OfError::OfpbmcBadMask) }
}

/// What is not said of table misses holds as for other packets.
fn miss_like_others(f: &mut TableFeatures, seen: u32) {
    let is_present = |property: u16| seen >> (property + 1) & 1 != 0;
    let (from, to) = (&f.nonmiss, &mut f.miss);
    if !is_present(property::INSTRUCTIONS) {
        to.instructions = from.instructions;
    }
    if !is_present(property::NEXT_TABLES) {
        to.next = from.next;
    }
    if !is_present(property::WRITE_ACTIONS) {
        to.write.actions = from.write.actions;
    }
    if !is_present(property::APPLY_ACTIONS) {
        to.apply.actions = from.apply.actions;
    }
    if !is_present(property::WRITE_SETFIELD) {
        to.write.set_fields = from.write.set_fields;
    }
    if !is_present(property::APPLY_SETFIELD) {
        to.apply.set_fields = from.apply.set_fields;
    }
}

/// A field that takes masks can be matched and left out; one that cannot be
/// matched need not be left out.
fn make_consistent(f: &mut TableFeatures) {
    f.match_fields = f.match_fields.iter().chain(f.mask_fields.iter()).collect();
    f.wildcard_fields = f
        .wildcard_fields
        .iter()
        .chain(f.mask_fields.iter())
        .filter(|field| f.match_fields.contains(*field))
        .collect();
}

pub(super) fn encode(raw: Raw, all: &[TableFeatures], e: &Encoder, out: &mut Vec<u8>) {
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    let mut lists = FieldLists::default();
    for f in all {
        parts.entry(|out| put_one(f, &mut lists, e.version, out));
    }
    parts.end();
}

/// Lists of fields as bytes. Tables mostly can do the same: each list is made once for all of them.
#[derive(Debug, Default)]
pub(super) struct FieldLists {
    /// A set, which of its fields may be masked, and the headers of all.
    known: Vec<(FieldSet, FieldSet, Vec<u8>)>,
}

impl FieldLists {
    /// More than this many are not kept: bits of a registry that tables choose from make few lists.
    const MOST: usize = 16;

    fn put(&mut self, set: &FieldSet, masks: &FieldSet, version: Version, out: &mut Vec<u8>) {
        if let Some((.., bytes)) = self.known.iter().find(|(of, masked, _)| (of, masked) == (set, masks)) {
            return out.extend_from_slice(bytes);
        }
        let start = out.len();
        for field in set.iter() {
            put_header(out, field, version.byte(), masks.contains(field));
        }
        if self.known.len() < FieldLists::MOST {
            self.known.push((*set, *masks, out.get(start..).unwrap_or_default().to_vec()));
        }
    }
}

/// Appends the entry of one table. `lists` is kept for the other tables of the same reply.
pub(super) fn put_one(f: &TableFeatures, lists: &mut FieldLists, version: Version, out: &mut Vec<u8>) {
    let start = out.len();
    out.put_u16(0);
    out.put_u8(f.table);
    out.put_u8(if version >= Version::Of15 { f.command } else { 0 });
    out.put_zeros(4);
    out.put_text(&f.name, 32);
    out.put_u64(f.metadata_match);
    out.put_u64(f.metadata_write);
    let capability = |has: Option<bool>, bit| if has == Some(true) { bit } else { 0 };
    let known = version >= Version::Of14;
    out.put_u32(if known {
        capability(f.supports_eviction, EVICTION) | capability(f.supports_vacancy_events, VACANCY_EVENTS)
    } else {
        0
    });
    out.put_u32(f.max_entries);
    if f.any_properties {
        put_instruction_features(&f.nonmiss, 0, lists, version, out);
        put_instruction_features(&f.miss, 1, lists, version, out);
        let unmasked = FieldSet::default();
        for (set, masks, property) in [
            (&f.match_fields, &f.mask_fields, property::MATCH),
            (&f.wildcard_fields, &unmasked, property::WILDCARDS),
        ] {
            let start = prop::start(out, property);
            lists.put(set, masks, version, out);
            prop::end(out, start);
        }
    }
    let len = out.len() - start;
    out.patch_u16(start, len as u16);
}

fn put_instruction_features(
    f: &TableInstructionFeatures,
    miss: u16,
    fields: &mut FieldLists,
    version: Version,
    out: &mut Vec<u8>,
) {
    put_ids(instructions_to_bits(f.instructions, version), property::INSTRUCTIONS + miss, out);
    let start = prop::start(out, property::NEXT_TABLES + miss);
    out.extend(
        (0..NO_TABLE).filter(|table| f.next[table / 64] >> (table % 64) & 1 != 0).map(|table| table as u8),
    );
    prop::end(out, start);
    let lists = [
        (&f.write, property::WRITE_ACTIONS, property::WRITE_SETFIELD),
        (&f.apply, property::APPLY_ACTIONS, property::APPLY_SETFIELD),
    ];
    for (list, actions, set_fields) in lists {
        put_ids(kinds_to_bits(list.actions, version), actions + miss, out);
        let start = prop::start(out, set_fields + miss);
        fields.put(&list.set_fields, &FieldSet::default(), version, out);
        prop::end(out, start);
    }
}

fn put_ids(bits: u32, property: u16, out: &mut Vec<u8>) {
    let start = prop::start(out, property);
    for id in (0..32).filter(|id| bits >> id & 1 != 0) {
        prop::start(out, id);
    }
    prop::end(out, start);
}

/// Fields by their bits in an old version's bitmap.
type Bits = [(u32, Field)];

const OF10_WILDCARDS: &Bits = &[
    (1 << 0, Field::InPort),
    (1 << 1, Field::VlanVid),
    (1 << 2, Field::EthSrc),
    (1 << 3, Field::EthDst),
    (1 << 4, Field::EthType),
    (1 << 5, Field::IpProto),
    (1 << 6, Field::TcpSrc),
    (1 << 7, Field::TcpDst),
    (0x3f << 8, Field::Ipv4Src),
    (0x3f << 14, Field::Ipv4Dst),
    (1 << 20, Field::VlanPcp),
    (1 << 21, Field::IpDscp),
];

const OF11_FIELDS: &Bits = &[
    (1 << 0, Field::InPort),
    (1 << 1, Field::VlanVid),
    (1 << 2, Field::VlanPcp),
    (1 << 3, Field::EthType),
    (1 << 4, Field::IpDscp),
    (1 << 5, Field::IpProto),
    (1 << 6, Field::TcpSrc),
    (1 << 7, Field::TcpDst),
    (1 << 8, Field::MplsLabel),
    (1 << 9, Field::MplsTc),
    (1 << 11, Field::EthSrc),
    (1 << 12, Field::EthDst),
    (1 << 13, Field::Ipv4Src),
    (1 << 14, Field::Ipv4Dst),
    (1 << 15, Field::Metadata),
];

fn fields_from(bits: u32, map: &Bits) -> FieldSet {
    map.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, field)| *field).collect()
}

fn fields_to(map: &Bits, wanted: impl Fn(Field) -> bool) -> u32 {
    map.iter().filter(|(_, field)| wanted(*field)).fold(0, |bits, (bit, _)| bits | bit)
}

/// What may be left out of a match, or cannot be in it.
fn is_wild(f: &TableFeatures, field: Field) -> bool {
    f.wildcard_fields.contains(field) || !f.match_fields.contains(field)
}

/// The bit of a field in the bitmaps of OpenFlow 1.2.
fn basic_bit(field: Field) -> u64 {
    match oxm::preferred(field, Version::Of12.byte()) {
        Some(id) if id.class == 0x8000 && id.number < 64 && id.version <= Version::Of12.byte() => {
            1 << id.number
        }
        _ => 0,
    }
}

fn basic_to_bits(set: &FieldSet) -> u64 {
    set.iter().fold(0, |bits, field| bits | basic_bit(field))
}

fn basic_from_bits(bits: u64) -> FieldSet {
    Field::all().filter(|field| bits & basic_bit(*field) != 0).collect()
}

/// What an entry of table counters says between the table's number and the
/// counters, in OpenFlow 1.0 to 1.2.
#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn decode_described(raw: Raw, r: &mut Reader<'_>, table: u8) -> Result<TableFeatures, OfError> {
    let mut f = TableFeatures::unknown(table);
    r.skip(if raw == Raw::Ofpst10TableReply { 3 } else { 7 })?;
    f.name = r.text(32)?;
    match raw {
        Raw::Ofpst10TableReply => {
            f.match_fields = fields_from(r.u32()?, OF10_WILDCARDS);
            f.wildcard_fields = f.match_fields;
        }
        Raw::Ofpst11TableReply => {
            f.wildcard_fields = fields_from(r.u32()?, OF11_FIELDS);
            f.match_fields = fields_from(r.u32()?, OF11_FIELDS);
            f.nonmiss.instructions = instructions_from_bits(r.u32()?, Version::Of11);
            f.nonmiss.write.actions = kinds_from_bits(r.u32()?, Version::Of11);
            f.nonmiss.apply.actions = f.nonmiss.write.actions;
            r.skip(4)?;
            f.miss_config = super::table_numbers::decode_miss(r.u32()?, Version::Of11)?;
        }
        _ => {
            f.match_fields = basic_from_bits(r.u64()?);
            f.wildcard_fields = basic_from_bits(r.u64()?);
            f.nonmiss.write.actions = kinds_from_bits(r.u32()?, Version::Of12);
            f.nonmiss.apply.actions = kinds_from_bits(r.u32()?, Version::Of12);
            f.nonmiss.write.set_fields = basic_from_bits(r.u64()?);
            f.nonmiss.apply.set_fields = basic_from_bits(r.u64()?);
            (f.metadata_match, f.metadata_write) = (r.u64()?, r.u64()?);
            f.nonmiss.instructions = instructions_from_bits(r.u32()?, Version::Of12);
            f.miss_config = super::table_numbers::decode_miss(r.u32()?, Version::Of12)?;
        }
    }
    f.miss = f.nonmiss;
    f.match_fields = f.match_fields.iter().chain(f.wildcard_fields.iter()).collect();
    f.max_entries = r.u32()?;
    Ok(f)
}

/// The counterpart of [`decode_described`].
#[expect(clippy::wildcard_enum_match_arm, reason = "called for the kinds that it reads, by a list of all")]
pub(super) fn put_described(f: &TableFeatures, raw: Raw, out: &mut Vec<u8>) {
    out.put_zeros(if raw == Raw::Ofpst10TableReply { 3 } else { 7 });
    out.put_text(&f.name, 32);
    let half = &f.nonmiss;
    match raw {
        Raw::Ofpst10TableReply => out.put_u32(fields_to(OF10_WILDCARDS, |field| is_wild(f, field))),
        Raw::Ofpst11TableReply => {
            out.put_u32(fields_to(OF11_FIELDS, |field| is_wild(f, field)));
            out.put_u32(fields_to(OF11_FIELDS, |field| f.match_fields.contains(field)));
            out.put_u32(instructions_to_bits(half.instructions, Version::Of11));
            out.put_u32(kinds_to_bits(half.write.actions, Version::Of11));
            out.put_u32(kinds_to_bits(half.apply.actions, Version::Of11));
            out.put_u32(f.miss_config as u32);
        }
        _ => {
            out.put_u64(basic_to_bits(&f.match_fields));
            out.put_u64(basic_to_bits(&f.wildcard_fields));
            out.put_u32(kinds_to_bits(half.write.actions, Version::Of12));
            out.put_u32(kinds_to_bits(half.apply.actions, Version::Of12));
            out.put_u64(basic_to_bits(&half.write.set_fields));
            out.put_u64(basic_to_bits(&half.apply.set_fields));
            out.put_u64(f.metadata_match);
            out.put_u64(f.metadata_write);
            out.put_u32(instructions_to_bits(half.instructions, Version::Of12));
            out.put_u32(super::table_numbers::miss_number(f.miss_config));
        }
    }
    out.put_u32(f.max_entries);
}
