//! Actions on the packet's way through the tables, and the rest.

use base::OfPort;
use fields::Subfield;

/// `resubmit(PORT,TABLE[,ct])`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Resubmit {
    /// The port to pretend; `OfPort::IN_PORT` keeps it.
    pub in_port: OfPort,
    /// `None` is the current table.
    pub table: Option<u8>,
    /// Look up with the connection's original direction addresses.
    pub with_ct_orig: bool,
    /// Whether it has the form without a table.
    pub short: bool,
}

/// `conjunction(ID,K/N)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Conjunction {
    /// Which conjunctive match it is a part of; rules with `conj_id` match it.
    pub id: u32,
    /// From 0.
    pub clause: u8,
    /// How many clauses the match has, 2 to 64.
    pub n_clauses: u8,
}

/// `fin_timeout(...)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FinTimeout {
    /// Seconds to lower the idle timeout to; 0: unchanged.
    pub idle: u16,
    /// Seconds to lower the hard timeout to; 0: unchanged.
    pub hard: u16,
}

/// `check_pkt_larger(LEN)->SUBFIELD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CheckPktLarger {
    /// Bytes from the Ethernet header on, without VLAN tags.
    pub length: u16,
    /// One bit: set to 1 when the packet is longer, otherwise to 0.
    pub destination: Subfield,
}

/// Which side of a port a sample counts for (`NX_ACTION_SAMPLE_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SampleDirection {
    /// Not said: the switch decides.
    Default = 0,
    /// As received.
    Ingress = 1,
    /// As sent.
    Egress = 2,
}

/// A number of a sample: given, or read from the packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SampleSource {
    /// The number itself.
    Immediate(u32),
    /// Up to 32 bits of the packet.
    Field(Subfield),
}

/// `sample(...)`: IPFIX sampling.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sample {
    /// Of 65535 packets this many are sampled, at least 1.
    pub probability: u16,
    /// The `id` of a row of `Flow_Sample_Collector_Set`.
    pub collector_set_id: u32,
    /// IPFIX's observation domain id.
    pub obs_domain: SampleSource,
    /// IPFIX's observation point id.
    pub obs_point: SampleSource,
    /// The port that the sample is about; `OfPort::NONE`: none.
    pub sampling_port: OfPort,
    /// Which side of `sampling_port` is meant.
    pub direction: SampleDirection,
    /// Which of the four forms it came in (1 to 4).
    pub form: u8,
}

// ---- bytes and text ----

use fields::text_pairs::next_pair;
use fields::{TextError, format_port, format_table, parse_port, parse_table, refuse};

use super::raw::{self, Raw};
use super::set_field::split_arrow;
use super::{Action, Check, Names, Parser, subfield_destination, subfield_source};
use crate::OfError;
use crate::oxm;
use crate::text::{u16_of, u32_of};
use crate::wire::{Put, Reader, all_zeros};

impl Resubmit {
    pub(super) fn decode(raw: Raw, body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let in_port = OfPort::from_u16(r.u16()?);
        let short = raw == Raw::Resubmit;
        let table = if short { 0xff } else { r.u8()? };
        if !short && !all_zeros(r.rest()) {
            return Err(OfError::OfpbacBadArgument);
        }
        let table = (table != 0xff).then_some(table);
        Ok(Action::Resubmit(Resubmit { in_port, table, with_ct_orig: raw == Raw::ResubmitTableCt, short }))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if self.table.is_none() && self.short {
            return raw::put_number(out, Raw::Resubmit, u128::from(self.in_port.0 as u16), 2);
        }
        raw::put_head(out, if self.with_ct_orig { Raw::ResubmitTableCt } else { Raw::ResubmitTable }, 10);
        out.put_u16(self.in_port.0 as u16);
        out.put_u8(self.table.unwrap_or(0xff));
        out.put_zeros(3);
    }

    pub(super) fn parse(arg: &str, p: &Parser<'_>) -> Result<Action, TextError> {
        let mut parts = arg.split(',');
        let in_port = match parts.next() {
            None | Some("") => OfPort::IN_PORT,
            Some(text) => match parse_port(text, p.names.ports) {
                Some(port) => port,
                None => return refuse!("{text}: resubmit to unknown port"),
            },
        };
        let table = match parts.next() {
            None | Some("") => None,
            Some(text) => match parse_table(text, p.names.tables) {
                Some(table) => Some(table).filter(|t| *t != 255),
                None => return refuse!("{text}: resubmit to unknown table"),
            },
        };
        let with_ct_orig = match parts.next() {
            None | Some("") => false,
            Some("ct") => true,
            Some(text) => return refuse!("{text}: unknown parameter"),
        };
        if in_port == OfPort::IN_PORT && table.is_none() {
            return refuse!("at least one \"in_port\" or \"table\" must be specified on resubmit");
        }
        Ok(Action::Resubmit(Resubmit { in_port, table, with_ct_orig, short: false }))
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        if self.in_port != OfPort::IN_PORT && self.table.is_none() {
            out.push_str("resubmit:");
            return format_port(out, self.in_port, names.ports);
        }
        out.push_str("resubmit(");
        if self.in_port != OfPort::IN_PORT {
            format_port(out, self.in_port, names.ports);
        }
        out.push(',');
        if let Some(table) = self.table {
            format_table(out, table, names.tables);
        }
        out.push_str(if self.with_ct_orig { ",ct)" } else { ")" });
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), OfError> {
        if self.with_ct_orig && !fields::Prereq::CtValid.met_by_match(check.m) {
            return Err(OfError::OfpbacMatchInconsistent);
        }
        Ok(())
    }
}

impl Conjunction {
    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let (clause, n_clauses, id) = (r.u8()?, r.u8()?, r.u32()?);
        if !(2..=64).contains(&n_clauses) || clause >= n_clauses {
            return Err(OfError::NxbacBadConjunction);
        }
        Ok(Action::Conjunction(Conjunction { id, clause, n_clauses }))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        raw::put_head(out, Raw::Conjunction, 10);
        out.put_u8(self.clause);
        out.put_u8(self.n_clauses);
        out.put_u32(self.id);
    }

    pub(super) fn parse(arg: &str) -> Result<Action, TextError> {
        let parts = || {
            let (id, rest) = arg.split_once(',')?;
            let (clause, n_clauses) = rest.split_once('/')?;
            Some((id.trim(), clause.trim().parse::<u8>().ok()?, n_clauses.trim().parse::<u8>().ok()?))
        };
        let Some((id, clause, n_clauses)) = parts() else {
            return refuse!("\"conjunction\" syntax is \"conjunction(id,i/n)\"");
        };
        if n_clauses < 2 {
            refuse!("conjunction must have at least 2 clauses")
        } else if n_clauses > 64 {
            refuse!("conjunction must have at most 64 clauses")
        } else if clause < 1 {
            refuse!("clause index must be positive")
        } else if clause > n_clauses {
            refuse!("clause index must be less than or equal to number of clauses")
        } else {
            let id = u32_of(id)?;
            Ok(Action::Conjunction(Conjunction { id, clause: clause - 1, n_clauses }))
        }
    }
}

impl FinTimeout {
    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        Ok(Action::FinTimeout(FinTimeout { idle: r.u16()?, hard: r.u16()? }))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        raw::put_head(out, Raw::FinTimeout, 10);
        out.put_u16(self.idle);
        out.put_u16(self.hard);
        out.put_u16(0);
    }

    pub(super) fn parse(arg: &str) -> Result<Action, TextError> {
        let mut timeout = FinTimeout { idle: 0, hard: 0 };
        let mut rest = arg;
        while let Some((key, value, after)) = next_pair(rest) {
            rest = after;
            match key {
                "idle_timeout" => timeout.idle = u16_of(value, key)?,
                "hard_timeout" => timeout.hard = u16_of(value, key)?,
                _ => return refuse!("invalid key '{key}' in 'fin_timeout' argument"),
            }
        }
        Ok(Action::FinTimeout(timeout))
    }

    pub(super) fn format(&self, out: &mut String) {
        use std::fmt::Write;
        out.push_str("fin_timeout(");
        if self.idle != 0 {
            let _ = write!(out, "idle_timeout={},", self.idle);
        }
        if self.hard != 0 {
            let _ = write!(out, "hard_timeout={},", self.hard);
        }
        super::chomp(out);
        out.push(')');
    }
}

impl CheckPktLarger {
    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let (length, start) = (r.u16()?, r.u16()?);
        let destination = Subfield { field: oxm::pull_field(&mut r)?, start, n_bits: 1 };
        if !all_zeros(r.rest()) {
            return Err(OfError::NxbrcMustBeZero);
        }
        subfield_destination(&destination, None)?;
        Ok(Action::CheckPktLarger(CheckPktLarger { length, destination }))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = raw::put_head(out, Raw::CheckPktLarger, 10);
        out.put_u16(self.length);
        out.put_u16(self.destination.start);
        super::widths::put_subfield_header(out, &self.destination, 0);
        out.put_zeros(24 - (out.len() - start).min(24));
    }

    pub(super) fn parse(arg: &str) -> Result<Action, TextError> {
        let (value, key) = split_arrow(arg)?;
        let value = value.strip_suffix(')').unwrap_or(value);
        let destination = Subfield::parse(key)?;
        if destination.n_bits != 1 {
            return refuse!("Only 1-bit destination field is allowed");
        }
        Ok(Action::CheckPktLarger(CheckPktLarger { length: u16_of(value, "(null)")?, destination }))
    }
}

impl Sample {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "called for the forms that it reads, by a list of all"
    )]
    pub(super) fn decode(raw: Raw, body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let (probability, collector_set_id) = (r.u16()?, r.u32()?);
        let form = match raw {
            Raw::Sample => 1,
            Raw::Sample2 => 2,
            Raw::Sample3 => 3,
            _ => 4,
        };
        let (obs_domain, obs_point) = if form == 4 {
            let mut id = || {
                let source = r.u32()?;
                let immediate = r.u32()?;
                decode_source(source, immediate)
            };
            (id(), id())
        } else {
            (Ok(SampleSource::Immediate(r.u32()?)), Ok(SampleSource::Immediate(r.u32()?)))
        };
        let (mut sampling_port, mut direction) = (OfPort::NONE, SampleDirection::Default);
        if form > 1 {
            sampling_port = OfPort::from_u16(r.u16()?);
            let number = r.u8()?;
            if form > 2 {
                if !all_zeros(r.rest()) {
                    return Err(OfError::NxbrcMustBeZero);
                }
                direction = match number {
                    0 => SampleDirection::Default,
                    1 => SampleDirection::Ingress,
                    2 => SampleDirection::Egress,
                    _ => {
                        log::warn!(target: "ofp_actions", "invalid sample direction {number}");
                        return Err(OfError::OfpbacBadArgument);
                    }
                };
            }
        }
        if probability == 0 {
            return Err(OfError::OfpbacBadArgument);
        }
        let (obs_domain, obs_point) = (obs_domain?, obs_point?);
        Ok(Action::Sample(Box::new(Sample {
            probability,
            collector_set_id,
            obs_domain,
            obs_point,
            sampling_port,
            direction,
            form,
        })))
    }

    /// The form that can say all of it, and is no older than the one it came in.
    fn needed_form(&self) -> u8 {
        let fields = [self.obs_domain, self.obs_point].iter().any(|s| matches!(s, SampleSource::Field(_)));
        let need = if fields {
            4
        } else if self.direction != SampleDirection::Default {
            3
        } else if self.sampling_port != OfPort::NONE {
            2
        } else {
            1
        };
        need.max(self.form)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let form = self.needed_form();
        let raw = [Raw::Sample, Raw::Sample2, Raw::Sample3, Raw::Sample4][usize::from(form.clamp(1, 4)) - 1];
        raw::put_head(out, raw, 10);
        out.put_u16(self.probability);
        out.put_u32(self.collector_set_id);
        for source in [&self.obs_domain, &self.obs_point] {
            match source {
                SampleSource::Immediate(id) => {
                    if form == 4 {
                        out.put_u32(0);
                    }
                    out.put_u32(*id);
                }
                SampleSource::Field(subfield) => {
                    out.put_u32(oxm::header_u32(subfield.field));
                    out.put_u16(super::ofs_nbits(subfield));
                    out.put_u16(0);
                }
            }
        }
        if form > 1 {
            out.put_u16(self.sampling_port.0 as u16);
            out.put_u8(self.direction as u8);
            out.put_zeros(5);
        }
    }

    pub(super) fn parse(arg: &str, p: &Parser<'_>) -> Result<Action, TextError> {
        let mut sample = Sample {
            probability: 0,
            collector_set_id: 0,
            obs_domain: SampleSource::Immediate(0),
            obs_point: SampleSource::Immediate(0),
            sampling_port: OfPort::NONE,
            direction: SampleDirection::Default,
            form: 1,
        };
        let mut rest = arg;
        while let Some((key, value, after)) = next_pair(rest) {
            rest = after;
            match key {
                "probability" => {
                    sample.probability = u16_of(value, "probability")?;
                    if sample.probability == 0 {
                        return refuse!("invalid probability value \"{value}\"");
                    }
                }
                "collector_set_id" => sample.collector_set_id = u32_of(value)?,
                "obs_domain_id" => sample.obs_domain = parse_source(key, value)?,
                "obs_point_id" => sample.obs_point = parse_source(key, value)?,
                "sampling_port" => {
                    sample.sampling_port = parse_port(value, p.names.ports)
                        .ok_or_else(|| TextError(format!("{value}: unknown port")))?;
                }
                "ingress" => sample.direction = SampleDirection::Ingress,
                "egress" => sample.direction = SampleDirection::Egress,
                _ => return refuse!("invalid key \"{key}\" in \"sample\" argument"),
            }
        }
        if sample.probability == 0 {
            return refuse!("non-zero \"probability\" must be specified on sample");
        }
        Ok(Action::Sample(Box::new(sample)))
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        use std::fmt::Write;
        let _ =
            write!(out, "sample(probability={},collector_set_id={}", self.probability, self.collector_set_id);
        for (name, source) in [("obs_domain_id", &self.obs_domain), ("obs_point_id", &self.obs_point)] {
            let _ = write!(out, ",{name}=");
            match source {
                SampleSource::Immediate(id) => {
                    let _ = write!(out, "{id}");
                }
                SampleSource::Field(subfield) => subfield.format(out),
            }
        }
        if self.sampling_port != OfPort::NONE {
            out.push_str(",sampling_port=");
            format_port(out, self.sampling_port, names.ports);
        }
        match self.direction {
            SampleDirection::Default => {}
            SampleDirection::Ingress => out.push_str(",ingress"),
            SampleDirection::Egress => out.push_str(",egress"),
        }
        out.push(')');
    }
}

fn decode_source(header: u32, immediate: u32) -> Result<SampleSource, OfError> {
    if header == 0 {
        return Ok(SampleSource::Immediate(immediate));
    }
    let subfield = super::subfield_of(oxm::field_of_u32(header)?, (immediate >> 16) as u16);
    subfield_source(&subfield, None)?;
    if subfield.n_bits > 32 {
        log::warn!(target: "ofp_actions", "size of field used in observation_id ({}) exceeds maximum (32)", subfield.n_bits);
        return Err(OfError::OfpbacBadArgument);
    }
    Ok(SampleSource::Field(subfield))
}

fn parse_source(key: &str, value: &str) -> Result<SampleSource, TextError> {
    if let Ok(id) = u32_of(value) {
        return Ok(SampleSource::Immediate(id));
    }
    let subfield = Subfield::parse(value)?;
    if subfield.n_bits > 32 {
        return refuse!("size of {key} field ({}) exceeds maximum (32)", subfield.n_bits);
    }
    Ok(SampleSource::Field(subfield))
}
