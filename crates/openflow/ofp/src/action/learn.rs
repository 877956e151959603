//! `learn`: adding a rule made from the packet.

use fields::Subfield;

/// Adds or changes a rule when it is executed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Learn {
    /// Seconds; 0: none.
    pub idle_timeout: u16,
    /// Seconds; 0: none.
    pub hard_timeout: u16,
    /// Of the learned rule.
    pub priority: u16,
    /// Where to add the rule, 0 to 254.
    pub table: u8,
    /// Of the learned rule.
    pub cookie: u64,
    /// Whether removal of the learned rule is reported.
    pub send_flow_rem: bool,
    /// Delete the learned rules with the rule that holds this action.
    pub delete_learned: bool,
    /// The learned rule's `fin_timeout`, in seconds; 0 in both: it has none.
    pub fin_idle_timeout: u16,
    /// As `fin_idle_timeout`, for the hard timeout.
    pub fin_hard_timeout: u16,
    /// Most rules to learn; 0 means no limit.
    pub limit: u32,
    /// Where to say whether a rule was learned.
    pub result: Option<Subfield>,
    /// What the rule matches and does, in order.
    pub specs: Vec<LearnSpec>,
    /// Whether it came in the form with a limit, and is so written back.
    pub newer: bool,
}

/// One part of the learned rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LearnSpec {
    /// Width of source and destination, 1 to 1023.
    pub n_bits: u16,
    /// Where the value comes from.
    pub source: LearnSource,
    /// What the rule does with it.
    pub destination: LearnDestination,
}

/// Where a value for the learned rule comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LearnSource {
    /// Bits of the packet.
    Field(Subfield),
    /// A value, right-aligned.
    Immediate(u128),
}

/// What the learned rule does with a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LearnDestination {
    /// The rule matches it.
    Match(Subfield),
    /// The rule loads it.
    Load(Subfield),
    /// The rule sends to the port that it is.
    Output,
}

// ---- bytes and text ----

use fields::text::{IntError, parse_wide_prefix, put_hex};
use fields::text_pairs::next_pair;
use fields::{Match, TextError, format_table, parse_table, refuse};

use super::raw::{self, Raw};
use super::set_field::RegMove;
use super::{Action, Check, Names, Parser, subfield_destination, subfield_source};
use crate::oxm;
use crate::text::{Hex, u16_of, u32_of, u64_of};
use crate::wire::{Put, Reader, all_zeros};
use crate::{DEFAULT_PRIORITY, OfError};

const SEND_FLOW_REM: u16 = 1;
const DELETE_LEARNED: u16 = 2;
const WRITE_RESULT: u16 = 4;
const SOURCE_IMMEDIATE: u16 = 1 << 13;
const DESTINATION_MASK: u16 = 3 << 11;
const DESTINATION_LOAD: u16 = 1 << 11;
const DESTINATION_OUTPUT: u16 = 2 << 11;

impl Learn {
    pub(super) fn decode(raw: Raw, body: &[u8]) -> Result<Action, OfError> {
        let newer = raw == Raw::Learn2;
        let mut r = Reader::new(&body[10..]);
        let (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
        let (cookie, flags, table, pad) = (r.u64()?, r.u16()?, r.u8()?, r.u8()?);
        let (fin_idle_timeout, fin_hard_timeout) = (r.u16()?, r.u16()?);
        let (limit, result_start, pad2) = if newer { (r.u32()?, r.u16()?, r.u16()?) } else { (0, 0, 0) };
        if pad2 != 0 {
            return Err(OfError::NxbacMustBeZero);
        }
        let known = SEND_FLOW_REM | DELETE_LEARNED | if newer { WRITE_RESULT } else { 0 };
        if pad != 0 || table == 0xff || flags & !known != 0 {
            return Err(OfError::OfpbacBadArgument);
        }
        let result = if flags & WRITE_RESULT != 0 {
            let field = oxm::pull_field(&mut r)?;
            if !field.is_writable() {
                return Err(OfError::OfpbacBadSetArgument);
            }
            Some(Subfield { field, start: result_start, n_bits: 1 })
        } else if result_start != 0 {
            return Err(OfError::OfpbacBadArgument);
        } else {
            None
        };
        let specs = decode_specs(&mut r)?;
        Ok(Action::Learn(Box::new(Learn {
            idle_timeout,
            hard_timeout,
            priority,
            table,
            cookie,
            send_flow_rem: flags & SEND_FLOW_REM != 0,
            delete_learned: flags & DELETE_LEARNED != 0,
            fin_idle_timeout,
            fin_hard_timeout,
            limit,
            result,
            specs,
            newer,
        })))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let newer = self.newer || self.limit != 0 || self.result.is_some();
        let start = raw::put_head(out, if newer { Raw::Learn2 } else { Raw::Learn }, 10);
        for v in [self.idle_timeout, self.hard_timeout, self.priority] {
            out.put_u16(v);
        }
        out.put_u64(self.cookie);
        let mut flags = 0;
        flags |= if self.send_flow_rem { SEND_FLOW_REM } else { 0 };
        flags |= if self.delete_learned { DELETE_LEARNED } else { 0 };
        flags |= if self.result.is_some() { WRITE_RESULT } else { 0 };
        out.put_u16(flags);
        out.put_u8(self.table);
        out.put_u8(0);
        out.put_u16(self.fin_idle_timeout);
        out.put_u16(self.fin_hard_timeout);
        if newer {
            out.put_u32(self.limit);
            out.put_u16(self.result.map_or(0, |s| s.start));
            out.put_u16(0);
        }
        if let Some(result) = &self.result {
            super::widths::put_subfield_header(out, result, 0);
        }
        for spec in &self.specs {
            spec.encode(out);
        }
        raw::finish(out, start);
    }

    pub(super) fn parse(arg: &str, p: &Parser<'_>) -> Result<Action, TextError> {
        let mut learn = Learn {
            idle_timeout: 0,
            hard_timeout: 0,
            priority: DEFAULT_PRIORITY,
            table: 1,
            cookie: 0,
            send_flow_rem: false,
            delete_learned: false,
            fin_idle_timeout: 0,
            fin_hard_timeout: 0,
            limit: 0,
            result: None,
            specs: Vec::new(),
            newer: false,
        };
        let mut rest = arg;
        while let Some((name, value, after)) = next_pair(rest) {
            rest = after;
            match name {
                "table" => match parse_table(value, p.names.tables) {
                    None => return refuse!("unknown table \"{value}\""),
                    Some(255) => return refuse!("{arg}: table id 255 not valid for `learn' action"),
                    Some(table) => learn.table = table,
                },
                "priority" => learn.priority = u16_of(value, name)?,
                "idle_timeout" => learn.idle_timeout = u16_of(value, name)?,
                "hard_timeout" => learn.hard_timeout = u16_of(value, name)?,
                "fin_idle_timeout" => learn.fin_idle_timeout = u16_of(value, name)?,
                "fin_hard_timeout" => learn.fin_hard_timeout = u16_of(value, name)?,
                "cookie" => learn.cookie = u64_of(value)?,
                "send_flow_rem" => learn.send_flow_rem = true,
                "delete_learned" => learn.delete_learned = true,
                "limit" => learn.limit = u32_of(value)?,
                "result_dst" => {
                    let result = Subfield::parse(value)?;
                    if !result.field.is_writable() {
                        return refuse!("{value} is read-only");
                    }
                    if result.n_bits != 1 {
                        return refuse!("result_dst in 'learn' action must be a single bit");
                    }
                    learn.result = Some(result);
                }
                _ => learn.specs.push(parse_spec(arg, name, value, p)?),
            }
        }
        Ok(Action::Learn(Box::new(learn)))
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        use std::fmt::Write;
        out.push_str("learn(table=");
        format_table(out, self.table, names.tables);
        let numbers = [
            ("idle_timeout", self.idle_timeout),
            ("hard_timeout", self.hard_timeout),
            ("fin_idle_timeout", self.fin_idle_timeout),
            ("fin_hard_timeout", self.fin_hard_timeout),
        ];
        for (name, value) in numbers.into_iter().filter(|(_, v)| *v != 0) {
            let _ = write!(out, ",{name}={value}");
        }
        if self.priority != DEFAULT_PRIORITY {
            let _ = write!(out, ",priority={}", self.priority);
        }
        if self.send_flow_rem {
            out.push_str(",send_flow_rem");
        }
        if self.delete_learned {
            out.push_str(",delete_learned");
        }
        if self.cookie != 0 {
            let _ = write!(out, ",cookie={}", Hex(self.cookie));
        }
        if self.limit != 0 {
            let _ = write!(out, ",limit={}", self.limit);
        }
        if let Some(result) = &self.result {
            out.push_str(",result_dst=");
            result.format(out);
        }
        for spec in &self.specs {
            out.push(',');
            spec.format(out, names);
        }
        out.push(')');
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), OfError> {
        let mut learned = Match::default();
        for spec in &self.specs {
            if let LearnSource::Field(source) = &spec.source {
                subfield_source(source, Some(check.m))?;
            }
            match (&spec.destination, &spec.source) {
                (LearnDestination::Match(destination), source) => {
                    subfield_source(destination, Some(&learned))?;
                    if let LearnSource::Immediate(value) = source {
                        destination.write_match(&mut learned, *value);
                    }
                }
                (LearnDestination::Load(destination), _) => {
                    subfield_destination(destination, Some(&learned))?
                }
                (LearnDestination::Output, _) => {}
            }
        }
        Ok(())
    }
}

fn decode_specs(r: &mut Reader<'_>) -> Result<Vec<LearnSpec>, OfError> {
    let mut specs = Vec::new();
    while r.len() >= 2 {
        let header = r.u16()?;
        if header == 0 {
            break;
        }
        specs.push(
            decode_spec(header, r)
                .map_err(|e| if e == OfError::OfpbrcBadLen { OfError::OfpbacBadLen } else { e })?,
        );
    }
    if all_zeros(r.rest()) { Ok(specs) } else { Err(OfError::OfpbacBadArgument) }
}

fn decode_spec(header: u16, r: &mut Reader<'_>) -> Result<LearnSpec, OfError> {
    let n_bits = header & 0x3ff;
    let immediate = header & SOURCE_IMMEDIATE != 0;
    let kind = header & DESTINATION_MASK;
    if kind == DESTINATION_MASK || (kind == DESTINATION_OUTPUT && immediate) {
        return Err(OfError::OfpbacBadArgument);
    }
    // Errors of length come before errors of fields.
    let source_len = if immediate { 2 * usize::from(n_bits).div_ceil(16) } else { 6 };
    let need = source_len + if kind == DESTINATION_OUTPUT { 0 } else { 6 };
    if r.len() < need {
        return Err(OfError::OfpbacBadLen);
    }
    let subfield = |r: &mut Reader<'_>| {
        let field = oxm::field_of_u32(r.u32()?)?;
        Ok::<_, OfError>(Subfield { field, start: r.u16()?, n_bits })
    };
    let source = if immediate {
        LearnSource::Immediate(r.wide(source_len)?)
    } else {
        LearnSource::Field(subfield(r)?)
    };
    let destination = match kind {
        DESTINATION_LOAD => LearnDestination::Load(subfield(r)?),
        DESTINATION_OUTPUT => LearnDestination::Output,
        _ => LearnDestination::Match(subfield(r)?),
    };
    Ok(LearnSpec { n_bits, source, destination })
}

fn parse_spec(orig: &str, name: &str, value: &str, p: &Parser<'_>) -> Result<LearnSpec, TextError> {
    if let Ok(destination) = Subfield::parse(name) {
        return parse_match_spec(orig, name, value, destination, p);
    }
    match name {
        "load" => parse_load_spec(name, value),
        "output" => {
            let source = Subfield::parse(value)?;
            Ok(LearnSpec {
                n_bits: source.n_bits,
                source: LearnSource::Field(source),
                destination: LearnDestination::Output,
            })
        }
        _ => refuse!("{orig}: unknown keyword {name}"),
    }
}

fn parse_match_spec(
    orig: &str,
    name: &str,
    value: &str,
    destination: Subfield,
    p: &Parser<'_>,
) -> Result<LearnSpec, TextError> {
    let field = destination.field;
    if !oxm::has_u32_header(field) {
        return refuse!("{orig}: experimenter OXM field '{name}' not supported");
    }
    let spec = |source| LearnSpec {
        n_bits: destination.n_bits,
        source,
        destination: LearnDestination::Match(destination),
    };
    if value.is_empty() {
        return Ok(spec(LearnSource::Field(destination)));
    }
    let error = match Subfield::parse(value) {
        Ok(source) if source.n_bits == destination.n_bits => return Ok(spec(LearnSource::Field(source))),
        Ok(source) => {
            return refuse!(
                "{orig}: bit widths of {name} ({}) and {value} ({}) differ",
                source.n_bits,
                destination.n_bits
            );
        }
        Err(error) => error,
    };
    let immediate = if destination.is_whole() {
        field.parse_value(value, p.names.ports)
    } else {
        match parse_wide_prefix(value, field.n_bytes()) {
            Ok((v, "")) if v & !destination.ones() == 0 => Ok(v),
            Ok((v, "")) => {
                let mut shown = String::new();
                field.format(&mut shown, v, field.exact(), None);
                refuse!("{orig}: value {shown} does not fit into {} bits", destination.n_bits)
            }
            _ => refuse!("{orig}: cannot parse integer value"),
        }
    };
    match immediate {
        Ok(v) => Ok(spec(LearnSource::Immediate(v))),
        Err(immediate) => refuse!(
            "{orig}: {name} value {value} cannot be parsed as a subfield ({error}) or an immediate value ({immediate})"
        ),
    }
}

fn parse_load_spec(name: &str, value: &str) -> Result<LearnSpec, TextError> {
    let Some(arrow) = value.find("->") else {
        return refuse!("{name}: missing `->' in `{value}'");
    };
    if arrow == 0 {
        return refuse!("{name}: missing source before `->' in `{value}'");
    }
    match parse_wide_prefix(value, 16) {
        Ok((immediate, rest)) => {
            if rest.len() != value.len() - arrow {
                return refuse!("{name}: garbage before `->' in `{value}'");
            }
            let text = &value[arrow + 2..];
            let destination = Subfield::parse(text)?;
            if !oxm::has_u32_header(destination.field) {
                return refuse!("{value}: experimenter OXM field '{text}' not supported");
            }
            if immediate & !destination.ones() != 0 {
                return refuse!("{value}: value does not fit into {} bits", destination.n_bits);
            }
            let n_bits = destination.n_bits;
            Ok(LearnSpec {
                n_bits,
                source: LearnSource::Immediate(immediate),
                destination: LearnDestination::Load(destination),
            })
        }
        Err(IntError::Range) => {
            let destination = Subfield::parse(&value[arrow + 2..])?;
            refuse!("{value}: value does not fit into {} bits", destination.n_bits)
        }
        Err(IntError::Syntax) => {
            let RegMove { source, destination, .. } = RegMove::parse(value)?;
            Ok(LearnSpec {
                n_bits: source.n_bits,
                source: LearnSource::Field(source),
                destination: LearnDestination::Load(destination),
            })
        }
    }
}

impl LearnSpec {
    fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.destination {
            LearnDestination::Match(_) => 0,
            LearnDestination::Load(_) => DESTINATION_LOAD,
            LearnDestination::Output => DESTINATION_OUTPUT,
        };
        let immediate = matches!(self.source, LearnSource::Immediate(_));
        out.put_u16(self.n_bits | kind | if immediate { SOURCE_IMMEDIATE } else { 0 });
        match &self.source {
            LearnSource::Field(source) => {
                out.put_u32(oxm::header_u32(source.field));
                out.put_u16(source.start);
            }
            LearnSource::Immediate(value) => out.put_wide(*value, 2 * usize::from(self.n_bits).div_ceil(16)),
        }
        if let LearnDestination::Match(d) | LearnDestination::Load(d) = &self.destination {
            out.put_u32(oxm::header_u32(d.field));
            out.put_u16(d.start);
        }
    }

    fn format(&self, out: &mut String, names: Names<'_>) {
        match (&self.source, &self.destination) {
            (LearnSource::Immediate(value), LearnDestination::Match(d)) if d.is_whole() => {
                out.push_str(d.field.name());
                out.push('=');
                d.field.format(out, *value, d.field.exact(), names.ports);
            }
            (LearnSource::Immediate(value), LearnDestination::Match(d)) => {
                d.format(out);
                out.push('=');
                put_hex(out, *value);
            }
            (LearnSource::Field(s), LearnDestination::Match(d)) => {
                d.format(out);
                if s.field != d.field || s.start != d.start {
                    out.push('=');
                    s.format(out);
                }
            }
            (LearnSource::Immediate(value), LearnDestination::Load(d)) => {
                out.push_str("load:");
                put_hex(out, *value);
                out.push_str("->");
                d.format(out);
            }
            (LearnSource::Field(s), LearnDestination::Load(d)) => {
                out.push_str("load:");
                s.format(out);
                out.push_str("->");
                d.format(out);
            }
            (LearnSource::Field(s), LearnDestination::Output) => {
                out.push_str("output:");
                s.format(out);
            }
            (LearnSource::Immediate(_), LearnDestination::Output) => {}
        }
    }
}
