//! Runs of bits of fields: `NXM_NX_REG0[0..15]`, `reg0[]`.

use std::fmt::Write;

use flow::{FlowKey, FlowMask};

use crate::{Field, Match, TextError, oxm, refuse};

/// `n_bits` bits of `field` from bit `start` up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Subfield {
    /// The field.
    pub field: Field,
    /// The lowest bit.
    pub start: u16,
    /// How many bits.
    pub n_bits: u16,
}

/// Why a subfield cannot be used as source or destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubfieldError {
    /// No bits, or bits beyond the field's width.
    BadLength,
    /// The match does not say that packets have the field.
    PrereqsNotMet,
    /// Actions may not write it.
    NotWritable,
}

impl Subfield {
    /// All of `field`.
    pub fn whole(field: Field) -> Subfield {
        Subfield { field, start: 0, n_bits: field.n_bits() as u16 }
    }

    /// Whether it is all of the field.
    pub fn is_whole(&self) -> bool {
        self.start == 0 && u32::from(self.n_bits) == self.field.n_bits()
    }

    /// `n_bits` ones.
    pub fn ones(&self) -> u128 {
        if self.n_bits >= 128 { u128::MAX } else { (1 << self.n_bits) - 1 }
    }

    /// The bits of the field that the subfield covers.
    pub fn field_mask(&self) -> u128 {
        self.ones().checked_shl(u32::from(self.start)).unwrap_or(0)
    }

    /// The value in `key`, right-aligned.
    pub fn read(&self, key: &FlowKey) -> u128 {
        self.field.read(key).checked_shr(u32::from(self.start)).unwrap_or(0) & self.ones()
    }

    /// Writes the low `n_bits` of `value`.
    pub fn write(&self, key: &mut FlowKey, value: u128) {
        let mask = self.field_mask();
        self.field.write_masked(key, value.checked_shl(u32::from(self.start)).unwrap_or(0), mask);
    }

    /// Adds the covered bits to `mask`.
    pub fn add_to_mask(&self, mask: &mut FlowMask) {
        self.field.add_bits_to_mask(mask, self.field_mask());
    }

    /// Makes `m` ask for the low `n_bits` of `value` in the covered bits.
    pub fn write_match(&self, m: &mut Match, value: u128) {
        let (old_value, old_mask) = m.get(self.field);
        let bits = self.field_mask();
        let shifted = value.checked_shl(u32::from(self.start)).unwrap_or(0) & bits;
        let mut mask = old_mask | bits;
        let width = if self.field.n_bits() >= 128 { u128::MAX } else { (1 << self.field.n_bits()) - 1 };
        if mask & width == width && !matches!(self.field, Field::VlanVid | Field::TcpFlags) {
            mask = self.field.exact();
        }
        m.set(self.field, old_value & !bits | shifted, mask);
    }

    /// Whether it can be read, given what `m` says of packets.
    pub fn check_source(&self, m: Option<&Match>) -> Result<(), SubfieldError> {
        let field = self.field;
        let end = u32::from(self.start) + u32::from(self.n_bits);
        if self.n_bits == 0 || end > field.n_bits() {
            log::warn!(target: "meta_flow", "bit offset {} and width {} exceeds {}-bit width of field {}", self.start, self.n_bits, field.n_bits(), field.name());
            return Err(SubfieldError::BadLength);
        }
        if m.is_some_and(|m| !field.info().prereq.met_by_match(m)) {
            log::warn!(target: "meta_flow", "source field {} lacks correct prerequisites", field.name());
            return Err(SubfieldError::PrereqsNotMet);
        }
        Ok(())
    }

    /// Whether it can be written, given what `m` says of packets.
    pub fn check_destination(&self, m: Option<&Match>) -> Result<(), SubfieldError> {
        let field = self.field;
        let end = u32::from(self.start) + u32::from(self.n_bits);
        if self.n_bits == 0 || end > field.n_bits() {
            log::warn!(target: "meta_flow", "bit offset {} and width {} exceeds {}-bit width of destination field {}", self.start, self.n_bits, field.n_bits(), field.name());
            return Err(SubfieldError::BadLength);
        }
        if m.is_some_and(|m| !field.info().prereq.met_by_match(m)) {
            log::warn!(target: "meta_flow", "destination field {} lacks correct prerequisites", field.name());
            return Err(SubfieldError::PrereqsNotMet);
        }
        if !field.is_writable() {
            log::warn!(target: "meta_flow", "destination field {} is not writable", field.name());
            return Err(SubfieldError::NotWritable);
        }
        Ok(())
    }

    /// Writes the usual form, with the NXM name where there is one.
    pub fn format(&self, out: &mut String) {
        out.push_str(oxm::preferred(self.field, 0).map_or(self.field.name(), |id| id.name));
        let end = u32::from(self.start) + u32::from(self.n_bits);
        let _ = if self.is_whole() {
            out.write_str("[]")
        } else if self.n_bits == 1 {
            write!(out, "[{}]", self.start)
        } else {
            write!(out, "[{}..{}]", self.start, end.saturating_sub(1))
        };
    }

    /// Reads a subfield from the start of `text` and returns the rest.
    pub fn parse_prefix(text: &str) -> Result<(Subfield, &str), TextError> {
        let name_len = text.find(['[', '-']).unwrap_or(text.len());
        let (name, rest) = text.split_at(name_len);
        let plain = name.strip_suffix("_W").filter(|n| !n.is_empty()).unwrap_or(name);
        let Some(field) = oxm::by_name(plain).map(|(f, _)| f).or_else(|| Field::from_name(name)) else {
            return refuse!("{text}: unknown field `{name}'");
        };
        let width = field.n_bits() as i64;
        let (mut start, mut end) = (0, width - 1);
        let mut rest = rest;
        if rest.starts_with('[') {
            let Some(close) = rest.find(']') else {
                return refuse!("{text}: syntax error expecting [] or [<bit>] or [<start>..<end>]");
            };
            let inner = &rest[1..close];
            let bounds = inner.split_once("..");
            match (inner, bounds) {
                ("", _) => {}
                (_, Some((a, b))) if integer(a).is_some() && integer(b).is_some() => {
                    start = integer(a).unwrap_or(0);
                    end = integer(b).unwrap_or(0);
                }
                (one, None) if integer(one).is_some() => {
                    start = integer(one).unwrap_or(0);
                    end = start;
                }
                _ => return refuse!("{text}: syntax error expecting [] or [<bit>] or [<start>..<end>]"),
            }
            rest = &rest[close + 1..];
        }
        if start > end {
            refuse!("{text}: starting bit {start} is after ending bit {end}")
        } else if start >= width {
            refuse!("{text}: starting bit {start} is not valid because field is only {width} bits wide")
        } else if end >= width {
            refuse!("{text}: ending bit {end} is not valid because field is only {width} bits wide")
        } else if start < 0 {
            refuse!("{text}: syntax error expecting [] or [<bit>] or [<start>..<end>]")
        } else {
            Ok((Subfield { field, start: start as u16, n_bits: (end - start + 1) as u16 }, rest))
        }
    }

    /// Reads a subfield that is all of `text`.
    pub fn parse(text: &str) -> Result<Subfield, TextError> {
        match Subfield::parse_prefix(text)? {
            (subfield, "") => Ok(subfield),
            _ => refuse!("unexpected input following field syntax"),
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    text.trim_start().parse::<i32>().ok().map(i64::from)
}

impl std::fmt::Display for Subfield {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.format(&mut out);
        f.write_str(&out)
    }
}
