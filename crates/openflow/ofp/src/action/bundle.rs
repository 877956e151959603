//! `bundle`, `bundle_load` and `multipath`: choices by hash.

use base::OfPort;
use fields::Subfield;

/// Which fields are hashed (`NX_HASH_FIELDS_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum HashFields {
    /// The Ethernet source.
    EthSrc = 0,
    /// Ethernet addresses, Ethertype, VLAN id, IP addresses and protocol, TCP and SCTP ports; both
    /// directions alike.
    SymmetricL4 = 1,
    /// IP addresses and protocol, TCP and SCTP ports; both directions alike.
    SymmetricL3L4 = 2,
    /// As `SymmetricL3L4`, with UDP ports.
    SymmetricL3L4Udp = 3,
    /// The IP source.
    NwSrc = 4,
    /// The IP destination.
    NwDst = 5,
    /// Both IP addresses; both directions alike.
    SymmetricL3 = 6,
}

/// How a member is chosen (`NX_BD_ALG_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum BundleAlgorithm {
    /// The first live one.
    ActiveBackup = 0,
    /// Highest random weight: of the live ones the one whose hash is the greatest.
    Hrw = 1,
}

/// Chooses a live member port and sends to it, or stores it in `destination`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Bundle {
    /// How the member is chosen.
    pub algorithm: BundleAlgorithm,
    /// What `Hrw` hashes.
    pub fields: HashFields,
    /// Varies the hash.
    pub basis: u16,
    /// Where the port's number is stored, `OFPP_NONE` when none is live; `None`: the packet is sent there.
    pub destination: Option<Subfield>,
    /// In order of preference; at most 2048.
    pub members: Vec<OfPort>,
}

/// How a link is chosen (`NX_MP_ALG_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum MultipathAlgorithm {
    /// Hash modulo the number of links.
    ModuloN = 0,
    /// The range of the hash, cut into equal parts.
    HashThreshold = 1,
    /// Highest random weight: a hash per link, of which the greatest wins.
    Hrw = 2,
    /// Hashes modulo `arg`, repeated until one is a link's number.
    IterHash = 3,
}

/// Stores the number of a link, chosen by hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Multipath {
    /// What is hashed.
    pub fields: HashFields,
    /// Varies the hash.
    pub basis: u16,
    /// How the link is chosen.
    pub algorithm: MultipathAlgorithm,
    /// Number of links, minus one.
    pub max_link: u16,
    /// Of `IterHash`: 1 to 4 times the number of links; otherwise, and for 0, the switch chooses.
    pub arg: u32,
    /// Where the number, from 0, is stored; wide enough for `max_link`.
    pub destination: Subfield,
}

// ---- bytes and text ----

use fields::{Field, TextError, format_port, parse_port, refuse};

use super::output::check_output_port;
use super::raw::{self, Raw};
use super::{Action, Check, Names, Parser, subfield_destination};
use crate::OfError;
use crate::oxm;
use crate::text::{u16_of, u32_of};
use crate::wire::{Put, Reader, all_zeros};
use fields::text::parse_int;

/// The greatest number of members.
const MAX_MEMBERS: usize = 2048;

const FIELD_NAMES: [(HashFields, &str); 7] = [
    (HashFields::EthSrc, "eth_src"),
    (HashFields::SymmetricL4, "symmetric_l4"),
    (HashFields::SymmetricL3L4, "symmetric_l3l4"),
    (HashFields::SymmetricL3L4Udp, "symmetric_l3l4+udp"),
    (HashFields::NwSrc, "nw_src"),
    (HashFields::NwDst, "nw_dst"),
    (HashFields::SymmetricL3, "symmetric_l3"),
];

impl HashFields {
    fn from_number(number: u16) -> Option<HashFields> {
        FIELD_NAMES.iter().map(|(f, _)| *f).find(|f| *f as u16 == number)
    }

    /// As in the text of actions: `eth_src`.
    pub fn name(self) -> &'static str {
        FIELD_NAMES.iter().find(|(f, _)| *f == self).map_or("<unknown>", |(_, name)| *name)
    }

    fn from_name(name: &str) -> Option<HashFields> {
        FIELD_NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(f, _)| *f)
    }
}

/// Takes the next token off `text`, whose delimiters are `delimiters`, as C's `strtok_r` does.
fn token<'a>(text: &mut &'a str, delimiters: &[char]) -> Option<&'a str> {
    let start = text.trim_start_matches(delimiters);
    if start.is_empty() {
        *text = "";
        return None;
    }
    let (token, rest) = start.split_once(delimiters).unwrap_or((start, ""));
    *text = rest;
    Some(token)
}

impl Bundle {
    pub(super) fn decode(raw: Raw, body: &[u8]) -> Result<Action, OfError> {
        let load = raw == Raw::BundleLoad;
        let mut r = Reader::new(&body[10..]);
        let (algorithm, fields, basis, member_type, n_members) =
            (r.u16()?, r.u16()?, r.u16()?, r.u32()?, r.u16()?);
        let (bits, header) = (r.u16()?, r.u32()?);
        let mut valid = all_zeros(r.take(4)?) && usize::from(n_members) <= MAX_MEMBERS && member_type == 2;
        let algorithm = match algorithm {
            0 => Some(BundleAlgorithm::ActiveBackup),
            1 => Some(BundleAlgorithm::Hrw),
            _ => None,
        };
        let destination = if load {
            let subfield = super::subfield_of(oxm::field_of_u32(header)?, bits);
            valid &= subfield.n_bits >= 16;
            Some(subfield)
        } else {
            valid &= bits == 0 && header == 0;
            None
        };
        if r.len() < 2 * usize::from(n_members) {
            log::warn!(target: "ofp_actions", "Nicira action {} only has {} bytes allocated for members.  {} bytes are required for {n_members} members.", if load { "bundle_load" } else { "bundle" }, r.len(), 2 * n_members);
            return Err(OfError::OfpbacBadLen);
        }
        let (Some(algorithm), Some(fields), true) = (algorithm, HashFields::from_number(fields), valid)
        else {
            log::warn!(target: "ofp_actions", "bundle action has bad arguments");
            return Err(OfError::OfpbacBadArgument);
        };
        let members = (0..n_members).map(|_| r.u16().map(OfPort::from_u16)).collect::<Result<_, _>>()?;
        let bundle = Bundle { algorithm, fields, basis, destination, members };
        bundle.check(None)?;
        Ok(Action::Bundle(Box::new(bundle)))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let raw = if self.destination.is_some() { Raw::BundleLoad } else { Raw::Bundle };
        let start = raw::put_head(out, raw, 10);
        out.put_u16(self.algorithm as u16);
        out.put_u16(self.fields as u16);
        out.put_u16(self.basis);
        out.put_u32(oxm::header_u32(Field::InPort));
        out.put_u16(self.members.len() as u16);
        out.put_u16(self.destination.as_ref().map_or(0, super::ofs_nbits));
        out.put_u32(self.destination.map_or(0, |d| oxm::header_u32(d.field)));
        out.put_zeros(4);
        for member in &self.members {
            out.put_u16(member.0 as u16);
        }
        raw::finish(out, start);
    }

    pub(super) fn parse(arg: &str, load: bool, p: &Parser<'_>) -> Result<Action, TextError> {
        const COMMA: &[char] = &[',', ' '];
        let mut rest = arg;
        let fields = token(&mut rest, COMMA);
        let basis = token(&mut rest, COMMA);
        let algorithm = token(&mut rest, COMMA);
        let member_type = token(&mut rest, COMMA);
        let destination = if load { token(&mut rest, COMMA) } else { None };
        let delimiter = token(&mut rest, &[':', ' ']);
        let (Some(fields), Some(basis), Some(algorithm), Some(member_type), Some(delimiter)) =
            (fields, basis, algorithm, member_type, delimiter)
        else {
            return refuse!("{arg}: not enough arguments to bundle action");
        };
        if !["members", "slaves"].iter().any(|w| w.eq_ignore_ascii_case(delimiter)) {
            return refuse!("{arg}: missing member delimiter, expected `members', got `{delimiter}'");
        }
        let mut members = Vec::new();
        while members.len() < MAX_MEMBERS {
            let Some(member) = token(&mut rest, &[',', ' ', '[', ']']) else { break };
            let Some(port) = parse_port(member, p.names.ports) else {
                return refuse!("{member}: bad port number");
            };
            members.push(port);
        }
        let Some(fields) = HashFields::from_name(fields) else {
            return refuse!("{arg}: unknown fields `{fields}'");
        };
        let algorithm = match algorithm.to_ascii_lowercase().as_str() {
            "active_backup" => BundleAlgorithm::ActiveBackup,
            "hrw" => BundleAlgorithm::Hrw,
            _ => return refuse!("{arg}: unknown algorithm `{algorithm}'"),
        };
        if !member_type.eq_ignore_ascii_case("ofport") {
            return refuse!("{arg}: unknown member_type `{member_type}'");
        }
        let destination = match destination {
            None => None,
            Some(text) => {
                let subfield = Subfield::parse(text)?;
                if !oxm::has_u32_header(subfield.field) {
                    return refuse!("{arg}: experimenter OXM field '{text}' not supported");
                }
                Some(subfield)
            }
        };
        Ok(Action::Bundle(Box::new(Bundle {
            algorithm,
            fields,
            basis: u16_of(basis, "basis")?,
            destination,
            members,
        })))
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        use std::fmt::Write;
        let action = if self.destination.is_some() { "bundle_load" } else { "bundle" };
        let algorithm = match self.algorithm {
            BundleAlgorithm::ActiveBackup => "active_backup",
            BundleAlgorithm::Hrw => "hrw",
        };
        let _ = write!(out, "{action}({},{},{algorithm},ofport,", self.fields.name(), self.basis);
        if let Some(destination) = &self.destination {
            destination.format(out);
            out.push(',');
        }
        out.push_str("members:");
        for (index, member) in self.members.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            format_port(out, *member, names.ports);
        }
        out.push(')');
    }

    pub(super) fn check(&self, check: Option<&Check<'_>>) -> Result<(), OfError> {
        if let Some(destination) = &self.destination {
            subfield_destination(destination, check.map(|c| &*c.m))?;
        }
        for port in &self.members {
            if *port != OfPort::NONE && check_output_port(*port).is_err() {
                log::warn!(target: "bundle", "invalid member {}", port.0);
                return Err(OfError::OfpbacBadOutPort);
            }
            if *port == OfPort::CONTROLLER {
                log::warn!(target: "bundle", "unsupported controller member");
                return Err(OfError::OfpbacBadOutPort);
            }
        }
        Ok(())
    }
}

const ALGORITHMS: [(MultipathAlgorithm, &str); 4] = [
    (MultipathAlgorithm::ModuloN, "modulo_n"),
    (MultipathAlgorithm::HashThreshold, "hash_threshold"),
    (MultipathAlgorithm::Hrw, "hrw"),
    (MultipathAlgorithm::IterHash, "iter_hash"),
];

impl Multipath {
    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let (fields, basis, _, algorithm, max_link) = (r.u16()?, r.u16()?, r.u16()?, r.u16()?, r.u16()?);
        let arg = r.u32()?;
        r.skip(2)?;
        let (bits, header) = (r.u16()?, r.u32()?);
        let destination = super::subfield_of(oxm::field_of_u32(header)?, bits);
        let Some(fields) = HashFields::from_number(fields) else {
            log::warn!(target: "ofp_actions", "unsupported fields {fields}");
            return Err(OfError::OfpbacBadArgument);
        };
        let Some((algorithm, _)) = ALGORITHMS.iter().find(|(a, _)| *a as u16 == algorithm) else {
            log::warn!(target: "ofp_actions", "unsupported algorithm {algorithm}");
            return Err(OfError::OfpbacBadArgument);
        };
        let n_links = u32::from(max_link) + 1;
        let min_bits = 32 - (n_links - 1).leading_zeros();
        if u32::from(destination.n_bits) < min_bits {
            log::warn!(target: "ofp_actions", "multipath action requires at least {min_bits} bits for {n_links} links");
            return Err(OfError::OfpbacBadArgument);
        }
        subfield_destination(&destination, None)?;
        Ok(Action::Multipath(Multipath { fields, basis, algorithm: *algorithm, max_link, arg, destination }))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        raw::put_head(out, Raw::Multipath, 10);
        for v in [self.fields as u16, self.basis, 0, self.algorithm as u16, self.max_link] {
            out.put_u16(v);
        }
        out.put_u32(self.arg);
        out.put_u16(0);
        out.put_u16(super::ofs_nbits(&self.destination));
        out.put_u32(oxm::header_u32(self.destination.field));
    }

    pub(super) fn parse(text: &str) -> Result<Action, TextError> {
        let mut rest = text;
        let parts: Vec<&str> = std::iter::from_fn(|| token(&mut rest, &[',', ' '])).collect();
        let [fields, basis, algorithm, n_links, arg, destination, ..] = parts[..] else {
            return refuse!("{text}: not enough arguments to multipath action");
        };
        let Some(fields) = HashFields::from_name(fields) else {
            return refuse!("{text}: unknown fields `{fields}'");
        };
        let Some((algorithm, _)) = ALGORITHMS.iter().find(|(_, n)| n.eq_ignore_ascii_case(algorithm)) else {
            return refuse!("{text}: unknown algorithm `{algorithm}'");
        };
        let Some(n_links) = parse_int(n_links).filter(|n| (1..=65536).contains(n)) else {
            return refuse!("{text}: n_links {n_links} is not in valid range 1 to 65536");
        };
        let subfield = Subfield::parse(destination)?;
        if !oxm::has_u32_header(subfield.field) {
            return refuse!("{text}: experimenter OXM field '{destination}' not supported");
        }
        let width = subfield.n_bits;
        if width < 16 && n_links > 1 << width {
            return refuse!(
                "{text}: {width}-bit destination field has {} possible values, less than specified n_links {n_links}",
                1u32 << width
            );
        }
        let max_link = (n_links - 1) as u16;
        Ok(Action::Multipath(Multipath {
            fields,
            basis: u16_of(basis, "basis")?,
            algorithm: *algorithm,
            max_link,
            arg: u32_of(arg)?,
            destination: subfield,
        }))
    }

    pub(super) fn format(&self, out: &mut String) {
        use std::fmt::Write;
        let algorithm =
            ALGORITHMS.iter().find(|(a, _)| *a == self.algorithm).map_or("<unknown>", |(_, name)| *name);
        let links = u32::from(self.max_link) + 1;
        let _ =
            write!(out, "multipath({},{},{algorithm},{links},{},", self.fields.name(), self.basis, self.arg);
        self.destination.format(out);
        out.push(')');
    }
}
