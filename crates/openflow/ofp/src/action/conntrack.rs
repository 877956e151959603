//! `ct` and `nat`.

use std::net::{Ipv4Addr, Ipv6Addr};

use fields::Subfield;

use super::Action;

/// Where the zone comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ZoneSource {
    /// The zone itself, 0 to 65535.
    Immediate(u16),
    /// 16 bits of the packet.
    Field(Subfield),
}

/// `ct(...)`: sends the packet through connection tracking.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ct {
    /// Makes the connection known beyond this packet.
    pub commit: bool,
    /// Replaces a known connection of the opposite direction; with `commit` only.
    pub force: bool,
    /// The separate set of connections to look in; 0 by default.
    pub zone: ZoneSource,
    /// Go on in this table with the connection's state.
    pub recirc_table: Option<u8>,
    /// Port of the helper: 0, 21 (ftp) or 69 (tftp).
    pub alg: u16,
    /// `exec(...)` and at most one `nat`.
    pub actions: Vec<Action>,
}

/// Addresses to translate to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NatRange {
    /// Any: of an existing connection, or chosen by the datapath.
    None,
    /// IPv4 addresses.
    V4 {
        /// The first.
        min: Ipv4Addr,
        /// The last; `None`: the same as the first.
        max: Option<Ipv4Addr>,
    },
    /// IPv6 addresses.
    V6 {
        /// The first.
        min: Ipv6Addr,
        /// The last; `None`: the same as the first.
        max: Option<Ipv6Addr>,
    },
}

/// `nat(...)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nat {
    /// Translates the source; not together with `destination`.
    pub source: bool,
    /// Translates the destination; neither: as the connection has it already.
    pub destination: bool,
    /// The same translation after a restart.
    pub persistent: bool,
    /// Chooses the port by a hash of the original; not together with `random`.
    pub hash: bool,
    /// Chooses the port at random.
    pub random: bool,
    /// Addresses to translate to.
    pub range: NatRange,
    /// Ports to translate to; `None` means any.
    pub min_port: Option<u16>,
    /// The last of the ports; `None`: the same as the first.
    pub max_port: Option<u16>,
}

// ---- bytes and text ----

use fields::text::{parse_ipv4, put_ipv6};
use fields::text_pairs::next_pair;
use fields::{TextError, format_table, parse_table, refuse};

use super::raw::{self, Raw};
use super::{Check, Names, Outer, Parser, codec, subfield_source, text};
use crate::oxm;
use crate::text::u16_of;
use crate::wire::{Put, Reader};
use crate::{OfError, Version};

impl Ct {
    pub(super) fn decode(body: &[u8], version: Version, depth: usize) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let flags = r.u16()?;
        let zone_source = r.u32()?;
        let zone = r.u16()?;
        let table = r.u8()?;
        r.skip(3)?;
        let alg = r.u16()?;
        let (commit, force) = (flags & 1 != 0, flags & 2 != 0);
        if force && !commit {
            return Err(OfError::OfpbacBadArgument);
        }
        let zone = if zone_source != 0 {
            let source = super::subfield_of(oxm::field_of_u32(zone_source)?, zone);
            subfield_source(&source, None)?;
            if source.n_bits != 16 {
                log::warn!(target: "ofp_actions", "zone n_bits {} not within valid range [16..16]", source.n_bits);
                return Err(OfError::OfpbacBadSetLen);
            }
            ZoneSource::Field(source)
        } else {
            ZoneSource::Immediate(zone)
        };
        let actions = codec::decode_nested(&mut r, version, Outer::Ct, depth)?;
        let bare = |a: &Action| matches!(a, Action::Nat(nat) if !nat.has_arguments());
        if !commit && !actions.iter().all(bare) {
            log::warn!(target: "ofp_actions", "CT action requires commit flag if actions other than NAT without arguments are specified.");
            return Err(OfError::OfpbacBadArgument);
        }
        let recirc_table = (table != 0xff).then_some(table);
        Ok(Action::Ct(Box::new(Ct { commit, force, zone, recirc_table, alg, actions })))
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let start = raw::put_head(out, Raw::Ct, 10);
        out.put_u16(u16::from(self.commit) | u16::from(self.force) << 1);
        match &self.zone {
            ZoneSource::Field(source) => {
                out.put_u32(oxm::header_u32(source.field));
                out.put_u16(super::ofs_nbits(source));
            }
            ZoneSource::Immediate(zone) => {
                out.put_u32(0);
                out.put_u16(*zone);
            }
        }
        out.put_u8(self.recirc_table.unwrap_or(0xff));
        out.put_zeros(3);
        out.put_u16(self.alg);
        codec::encode_actions(&self.actions, version, out);
        raw::finish(out, start);
    }

    pub(super) fn parse(arg: &str, p: &mut Parser<'_>) -> Result<Action, TextError> {
        let mut ct = Ct {
            commit: false,
            force: false,
            zone: ZoneSource::Immediate(0),
            recirc_table: None,
            alg: 0,
            actions: Vec::new(),
        };
        let mut rest = arg;
        while let Some((key, value, after)) = next_pair(rest) {
            rest = after;
            match key {
                "commit" => ct.commit = true,
                "force" => ct.force = true,
                "table" => match parse_table(value, p.names.tables) {
                    None => return refuse!("unknown table {value}"),
                    Some(255) => return refuse!("invalid table 0xff"),
                    Some(table) => ct.recirc_table = Some(table),
                },
                "zone" => {
                    ct.zone = match u16_of(value, "zone") {
                        Ok(zone) => ZoneSource::Immediate(zone),
                        Err(_) => ZoneSource::Field(Subfield::parse(value)?),
                    }
                }
                "alg" => {
                    ct.alg = match value {
                        "ftp" => 21,
                        "tftp" => 69,
                        _ => return refuse!("invalid conntrack helper \"{value}\""),
                    }
                }
                "nat" => ct.actions.push(Nat::parse(value)?),
                "exec" => ct.actions.extend(text::parse_nested(value, p, Outer::Ct)?),
                _ => return refuse!("invalid argument to \"ct\" action: `{key}'"),
            }
        }
        if ct.force && !ct.commit {
            return refuse!("\"force\" flag requires \"commit\" flag.");
        }
        Ok(Action::Ct(Box::new(ct)))
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        use std::fmt::Write;
        out.push_str("ct(");
        if self.commit {
            out.push_str("commit,");
        }
        if self.force {
            out.push_str("force,");
        }
        if let Some(table) = self.recirc_table {
            out.push_str("table=");
            format_table(out, table, names.tables);
            out.push(',');
        }
        match &self.zone {
            ZoneSource::Field(source) => {
                out.push_str("zone=");
                source.format(out);
                out.push(',');
            }
            ZoneSource::Immediate(0) => {}
            ZoneSource::Immediate(zone) => {
                let _ = write!(out, "zone={zone},");
            }
        }
        let mut actions = &self.actions[..];
        if let [Action::Nat(nat), rest @ ..] = actions {
            nat.format(out);
            out.push(',');
            actions = rest;
        }
        if !actions.is_empty() {
            out.push_str("exec(");
            text::format_actions(actions, out, names);
            out.push_str("),");
        }
        let _ = match self.alg {
            0 => Ok(()),
            21 => out.write_str("alg=ftp,"),
            69 => out.write_str("alg=tftp,"),
            port => write!(out, "alg={port},"),
        };
        super::chomp(out);
        out.push(')');
    }

    pub(super) fn check(&mut self, check: &mut Check<'_>) -> Result<(), OfError> {
        let key = &check.m.key;
        let ip = matches!(fields::effective_dl_type(key), 0x0800 | 0x86dd);
        let invalid = key.ct_state() & flow::ct_state::INVALID != 0 && self.commit;
        let protocol = key.nw_proto();
        if !ip || invalid || (self.alg == 21 && protocol != 6) || (self.alg == 69 && protocol != 17) {
            return Err(OfError::OfpbacMatchInconsistent);
        }
        if let ZoneSource::Field(source) = &self.zone {
            return subfield_source(source, Some(check.m));
        }
        check.nested(&mut self.actions)
    }
}

/// Bits that say which parts of a range are there.
mod present {
    pub(super) const V4_MIN: u16 = 1;
    pub(super) const V4_MAX: u16 = 2;
    pub(super) const V6_MIN: u16 = 4;
    pub(super) const V6_MAX: u16 = 8;
    pub(super) const PORT_MIN: u16 = 16;
    pub(super) const PORT_MAX: u16 = 32;
}

impl Nat {
    fn flags(&self) -> u16 {
        [self.source, self.destination, self.persistent, self.hash, self.random]
            .iter()
            .enumerate()
            .fold(0, |flags, (bit, on)| flags | u16::from(*on) << bit)
    }

    fn has_arguments(&self) -> bool {
        self.flags() != 0 || self.range != NatRange::None
    }

    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let bad = |_| OfError::OfpbacBadArgument;
        let mut r = Reader::new(&body[10..]);
        r.skip(2)?;
        let (flags, parts) = (r.u16()?, r.u16()?);
        let has = |bit| parts & bit != 0;
        if flags & !0x1f != 0 || flags & 3 == 3 || flags & 0x18 == 0x18 {
            return Err(OfError::OfpbacBadArgument);
        }
        let range = if has(present::V4_MIN) {
            if has(present::V6_MIN) || has(present::V6_MAX) {
                return Err(OfError::OfpbacBadArgument);
            }
            let min = r.u32().map_err(bad)?;
            let max = if has(present::V4_MAX) { Some(r.u32().map_err(bad)?) } else { None };
            if min == 0 || max.is_some_and(|max| max < min) {
                return Err(OfError::OfpbacBadArgument);
            }
            NatRange::V4 { min: min.into(), max: max.filter(|m| *m != 0).map(Ipv4Addr::from) }
        } else if has(present::V4_MAX) {
            return Err(OfError::OfpbacBadArgument);
        } else if has(present::V6_MIN) {
            let min = r.u128().map_err(bad)?;
            let max = if has(present::V6_MAX) { Some(r.u128().map_err(bad)?) } else { None };
            if min == 0 || max.is_some_and(|max| max < min) {
                return Err(OfError::OfpbacBadArgument);
            }
            NatRange::V6 { min: min.into(), max: max.map(Ipv6Addr::from) }
        } else if has(present::V6_MAX) {
            return Err(OfError::OfpbacBadArgument);
        } else {
            NatRange::None
        };
        let (mut min_port, mut max_port) = (None, None);
        if has(present::PORT_MIN) {
            let min = r.u16().map_err(bad)?;
            let max = if has(present::PORT_MAX) { Some(r.u16().map_err(bad)?) } else { None };
            if range == NatRange::None || min == 0 || max.is_some_and(|max| max < min) {
                return Err(OfError::OfpbacBadArgument);
            }
            (min_port, max_port) = (Some(min), max);
        } else if has(present::PORT_MAX) {
            return Err(OfError::OfpbacBadArgument);
        }
        let flag = |bit: u16| flags >> bit & 1 != 0;
        Ok(Action::Nat(Box::new(Nat {
            source: flag(0),
            destination: flag(1),
            persistent: flag(2),
            hash: flag(3),
            random: flag(4),
            range,
            min_port,
            max_port,
        })))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = raw::put_head(out, Raw::Nat, 10);
        out.put_zeros(2);
        out.put_u16(self.flags());
        let mut parts = 0;
        let parts_at = out.len();
        out.put_u16(0);
        match &self.range {
            NatRange::None => {}
            // All zeros, the packet's own address, is sent as no address.
            NatRange::V4 { min, max: None } if min.is_unspecified() => {}
            NatRange::V6 { min, max: None } if min.is_unspecified() => {}
            NatRange::V4 { min, max } => {
                out.put_u32((*min).into());
                parts |= present::V4_MIN;
                if let Some(max) = max {
                    out.put_u32((*max).into());
                    parts |= present::V4_MAX;
                }
            }
            NatRange::V6 { min, max } => {
                out.put_u128((*min).into());
                parts |= present::V6_MIN;
                if let Some(max) = max {
                    out.put_u128((*max).into());
                    parts |= present::V6_MAX;
                }
            }
        }
        if self.range != NatRange::None {
            for (port, bit) in [(self.min_port, present::PORT_MIN), (self.max_port, present::PORT_MAX)] {
                if let Some(port) = port.filter(|p| *p != 0) {
                    out.put_u16(port);
                    parts |= bit;
                }
            }
        }
        out.patch_u16(parts_at, parts);
        raw::finish(out, start);
    }

    pub(super) fn parse(arg: &str) -> Result<Action, TextError> {
        let mut nat = Nat {
            source: false,
            destination: false,
            persistent: false,
            hash: false,
            random: false,
            range: NatRange::None,
            min_port: None,
            max_port: None,
        };
        let mut rest = arg;
        while let Some((key, value, after)) = next_pair(rest) {
            rest = after;
            match key {
                "src" => {
                    nat.source = true;
                    nat.parse_range(value)?;
                }
                "dst" => {
                    nat.destination = true;
                    nat.parse_range(value)?;
                }
                "persistent" => nat.persistent = true,
                "hash" => nat.hash = true,
                "random" => nat.random = true,
                _ => return refuse!("invalid key \"{key}\" in \"nat\" argument"),
            }
        }
        if nat.source && nat.destination {
            return refuse!("May only specify one of \"src\" or \"dst\".");
        }
        if !nat.source && !nat.destination {
            if nat.flags() != 0 {
                return refuse!("Flags allowed only with \"src\" or \"dst\".");
            }
            if nat.range != NatRange::None {
                return refuse!("Range allowed only with \"src\" or \"dst\".");
            }
        }
        if nat.hash && nat.random {
            return refuse!("Both \"hash\" and \"random\" are not allowed.");
        }
        Ok(Action::Nat(Box::new(nat)))
    }

    /// `A[-B][:P[-Q]]`, with IPv6 addresses in brackets when ports follow.
    fn parse_range(&mut self, text: &str) -> Result<(), TextError> {
        let bad = || TextError(format!("invalid nat range \"{text}\""));
        let mut rest = text;
        if let Some((min, after)) = take_ipv4(rest) {
            rest = after;
            let mut max = None;
            if let Some(after) = rest.strip_prefix('-') {
                let (high, after) = take_ipv4(after).ok_or_else(bad)?;
                if high < min {
                    return Err(bad());
                }
                (max, rest) = (Some(high), after);
            }
            self.range = NatRange::V4 { min, max };
        } else if let Some((min, after)) = take_ipv6(rest) {
            rest = after;
            let mut max = None;
            if let Some(after) = rest.strip_prefix('-') {
                let (high, after) = take_ipv6(after).ok_or_else(bad)?;
                if high < min {
                    return Err(bad());
                }
                (max, rest) = (Some(high), after);
            }
            self.range = NatRange::V6 { min, max };
        }
        if self.range != NatRange::None && rest.starts_with(':') {
            let (min, after) = take_u16(&rest[1..]).ok_or_else(bad)?;
            self.min_port = Some(min).filter(|p| *p != 0);
            rest = after;
            if let Some(after) = rest.strip_prefix('-') {
                let (max, after) = take_u16(after).ok_or_else(bad)?;
                if max < min {
                    return Err(bad());
                }
                self.max_port = Some(max).filter(|p| *p != 0);
                rest = after;
            }
        }
        if !rest.is_empty() {
            return refuse!("garbage ({rest}) after nat range \"{text}\" (pos: {})", text.len() - rest.len());
        }
        Ok(())
    }

    pub(super) fn format(&self, out: &mut String) {
        use std::fmt::Write;
        out.push_str("nat");
        if !self.source && !self.destination {
            return;
        }
        out.push_str(if self.source { "(src" } else { "(dst" });
        if self.range != NatRange::None {
            out.push('=');
            let bracket = self.min_port.is_some();
            let v6 = |out: &mut String, ip: Ipv6Addr| {
                if bracket {
                    out.push('[');
                }
                put_ipv6(out, ip.into());
                if bracket {
                    out.push(']');
                }
            };
            match self.range {
                NatRange::None => {}
                NatRange::V4 { min, max } => {
                    let _ = write!(out, "{min}");
                    if let Some(max) = max.filter(|max| *max != min) {
                        let _ = write!(out, "-{max}");
                    }
                }
                NatRange::V6 { min, max } => {
                    v6(out, min);
                    if let Some(max) = max.filter(|max| *max != min && !max.is_unspecified()) {
                        out.push('-');
                        v6(out, max);
                    }
                }
            }
            if let Some(min) = self.min_port {
                let _ = write!(out, ":{min}");
                if let Some(max) = self.max_port.filter(|max| *max != min) {
                    let _ = write!(out, "-{max}");
                }
            }
            out.push(',');
            for (on, word) in
                [(self.persistent, "persistent,"), (self.hash, "hash,"), (self.random, "random,")]
            {
                if on {
                    out.push_str(word);
                }
            }
        }
        super::chomp(out);
        out.push(')');
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), OfError> {
        let fits = matches!(
            (fields::effective_dl_type(&check.m.key), &self.range),
            (0x0800, NatRange::None | NatRange::V4 { .. }) | (0x86dd, NatRange::None | NatRange::V6 { .. })
        );
        if fits { Ok(()) } else { Err(OfError::OfpbacMatchInconsistent) }
    }
}

fn take_while(text: &str, keep: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|c| !keep(c)).unwrap_or(text.len()))
}

fn take_ipv4(text: &str) -> Option<(Ipv4Addr, &str)> {
    let (ip, rest) = take_while(text, |c| c.is_ascii_digit() || c == b'.');
    parse_ipv4(ip).map(|ip| (ip.into(), rest))
}

fn take_ipv6(text: &str) -> Option<(Ipv6Addr, &str)> {
    if let Some(inner) = text.strip_prefix('[') {
        let (ip, rest) = inner.split_once(']')?;
        return ip.parse().ok().map(|ip| (ip, rest));
    }
    let (ip, rest) = take_while(text, |c| c.is_ascii_hexdigit() || c == b':' || c == b'.');
    ip.parse().ok().map(|ip| (ip, rest))
}

fn take_u16(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = take_while(text, |c| c.is_ascii_digit());
    digits.parse().ok().map(|v| (v, rest))
}
