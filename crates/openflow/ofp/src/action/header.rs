//! Actions on single header fields, as OpenFlow 1.0 and 1.1 have them.

/// `mod_vlan_vid` (pushes a tag if there is none) or `set_vlan_vid`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetVlanVid {
    /// 0 to 4095.
    pub vid: u16,
    /// OpenFlow 1.0's meaning.
    pub push_if_needed: bool,
    /// Whether the match said that there is a tag; found by the check.
    pub flow_has_vlan: bool,
}

/// `mod_vlan_pcp` (pushes a tag if there is none) or `set_vlan_pcp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetVlanPcp {
    /// 0 to 7.
    pub pcp: u8,
    /// OpenFlow 1.0's meaning.
    pub push_if_needed: bool,
    /// Whether the match said that there is a tag; found by the check.
    pub flow_has_vlan: bool,
}

/// `push_vlan:ETHERTYPE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PushVlan {
    /// 0x8100 or 0x88a8.
    pub ethertype: u16,
}

/// `mod_tp_src`, `mod_tp_dst`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetL4Port {
    /// 0 to 65535.
    pub port: u16,
    /// The protocol that the match asks for, or 0; found by the check.
    pub ip_proto: u8,
}

/// `dec_ttl` or `dec_ttl(ID,...)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DecTtl {
    /// The controllers that are notified of expired packets: `[0]` in the plain form.
    pub controllers: Vec<u16>,
    /// Whether it has the form with controllers.
    pub with_ids: bool,
}

// ---- bytes and text ----

use base::MacAddr;
use fields::text::{parse_ipv4, parse_mac};
use fields::{Field, Subfield, TextError, refuse};
use flow::VLAN_CFI;

use super::raw::{self, Raw};
use super::set_field::{put_reg_load, put_set_field};
use super::{Action, Check, Parser, subfield_source};
use crate::oxm;
use crate::text::{u8_of, u16_of, u32_of};
use crate::wire::{Put, Reader, all_zeros};
use crate::{OfError, Version};

impl SetVlanVid {
    pub(super) fn decode(value: u64, push_if_needed: bool) -> Result<Action, OfError> {
        if value & !0xfff != 0 {
            return Err(OfError::OfpbacBadArgument);
        }
        Ok(Action::SetVlanVid(SetVlanVid { vid: value as u16, push_if_needed, flow_has_vlan: false }))
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version > Version::Of10 && self.push_if_needed && !self.flow_has_vlan {
            raw::put_number(out, Raw::PushVlan, 0x8100, 2);
        }
        match version {
            Version::Of10 => raw::put_number(out, Raw::SetVlanVid10, u128::from(self.vid), 2),
            Version::Of11 => raw::put_number(out, Raw::SetVlanVid11, u128::from(self.vid), 2),
            Version::Of12 | Version::Of13 | Version::Of14 | Version::Of15 => {
                put_set_field(out, version, Field::VlanVid, u128::from(self.vid | VLAN_CFI))
            }
        }
    }

    pub(super) fn parse(arg: &str, push_if_needed: bool) -> Result<Action, TextError> {
        let vid = u16_of(arg, "VLAN VID")?;
        if vid & !0xfff != 0 {
            return refuse!("{arg}: not a valid VLAN VID");
        }
        Ok(Action::SetVlanVid(SetVlanVid { vid, push_if_needed, flow_has_vlan: false }))
    }
}

impl SetVlanPcp {
    pub(super) fn decode(value: u64, push_if_needed: bool) -> Result<Action, OfError> {
        if value & !7 != 0 {
            return Err(OfError::OfpbacBadArgument);
        }
        Ok(Action::SetVlanPcp(SetVlanPcp { pcp: value as u8, push_if_needed, flow_has_vlan: false }))
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version > Version::Of10 && self.push_if_needed && !self.flow_has_vlan {
            raw::put_number(out, Raw::PushVlan, 0x8100, 2);
        }
        match version {
            Version::Of10 => raw::put_number(out, Raw::SetVlanPcp10, u128::from(self.pcp), 1),
            Version::Of11 => raw::put_number(out, Raw::SetVlanPcp11, u128::from(self.pcp), 1),
            Version::Of12 | Version::Of13 | Version::Of14 | Version::Of15 => {
                put_set_field(out, version, Field::VlanPcp, u128::from(self.pcp))
            }
        }
    }

    pub(super) fn parse(arg: &str, push_if_needed: bool) -> Result<Action, TextError> {
        let pcp = u8_of(arg, "VLAN PCP")?;
        if pcp & !7 != 0 {
            return refuse!("{arg}: not a valid VLAN PCP");
        }
        Ok(Action::SetVlanPcp(SetVlanPcp { pcp, push_if_needed, flow_has_vlan: false }))
    }
}

/// Notes whether there is a tag, and that there is one from here on.
pub(super) fn check_set_vlan(has_vlan: &mut bool, push_if_needed: bool, check: &mut Check<'_>) {
    let tci = check.m.key.vlan0_tci();
    *has_vlan = tci & VLAN_CFI != 0;
    if !*has_vlan && !push_if_needed {
        check.inconsistent();
    }
    check.m.key.set_vlan0_tci(tci | VLAN_CFI);
}

/// Takes the outer tag off the key.
pub(super) fn check_strip_vlan(check: &mut Check<'_>) {
    let key = &mut check.m.key;
    let tagged = key.vlan0_tci() & VLAN_CFI != 0;
    let (tpid, tci) = (key.vlan_tpid(1), key.vlan_tci(1));
    key.set_vlan(0, tpid, tci);
    key.set_vlan(1, 0, 0);
    if !tagged {
        check.inconsistent();
    }
}

impl PushVlan {
    pub(super) fn decode(value: u64) -> Result<Action, OfError> {
        match value {
            0x8100 | 0x88a8 => Ok(Action::PushVlan(PushVlan { ethertype: value as u16 })),
            _ => Err(OfError::OfpbacBadArgument),
        }
    }

    pub(super) fn parse(arg: &str, p: &mut Parser<'_>) -> Result<Action, TextError> {
        p.usable &= fields::Protocols::OF11_UP;
        let ethertype = u16_of(arg, "ethertype")?;
        if !matches!(ethertype, 0x8100 | 0x88a8) {
            return refuse!("{arg}: not a valid VLAN ethertype");
        }
        Ok(Action::PushVlan(PushVlan { ethertype }))
    }

    pub(super) fn check(&self, check: &mut Check<'_>) -> Result<(), OfError> {
        let key = &mut check.m.key;
        if key.vlan_tci(1) & VLAN_CFI != 0 {
            return Err(OfError::OfpbacBadTag);
        }
        let (tpid, tci) = (key.vlan_tpid(0), key.vlan_tci(0));
        key.set_vlan(1, tpid, tci);
        key.set_vlan(0, self.ethertype, VLAN_CFI);
        Ok(())
    }
}

impl SetL4Port {
    pub(super) fn encode(&self, source: bool, version: Version, out: &mut Vec<u8>) {
        let field = match (self.ip_proto, source) {
            (6, true) => Some(Field::TcpSrc),
            (6, false) => Some(Field::TcpDst),
            (17, true) => Some(Field::UdpSrc),
            (17, false) => Some(Field::UdpDst),
            (132, true) => Some(Field::SctpSrc),
            (132, false) => Some(Field::SctpDst),
            _ => None,
        };
        match field {
            Some(field) if version >= Version::Of12 => {
                put_set_field(out, version, field, u128::from(self.port))
            }
            _ => raw::put_number(
                out,
                if source { Raw::SetTpSrc } else { Raw::SetTpDst },
                u128::from(self.port),
                2,
            ),
        }
    }

    pub(super) fn check(&mut self, check: &mut Check<'_>) {
        let key = &check.m.key;
        let ip = matches!(fields::effective_dl_type(key), 0x0800 | 0x86dd);
        let protocol = key.nw_proto();
        self.ip_proto = protocol;
        if !ip || key.nw_frag() & flow::frag::LATER != 0 || !matches!(protocol, 6 | 17 | 132) {
            check.inconsistent();
        }
    }
}

/// ECN and TTL have no action of their own in OpenFlow 1.0.
pub(super) fn encode_ecn(ecn: u8, version: Version, out: &mut Vec<u8>) {
    match version {
        Version::Of10 => {
            put_reg_load(out, &Subfield { field: Field::IpEcn, start: 0, n_bits: 2 }, u64::from(ecn))
        }
        Version::Of11 => raw::put_number(out, Raw::SetNwEcn, u128::from(ecn), 1),
        Version::Of12 | Version::Of13 | Version::Of14 | Version::Of15 => {
            put_set_field(out, version, Field::IpEcn, u128::from(ecn))
        }
    }
}

pub(super) fn encode_ttl(ttl: u8, version: Version, out: &mut Vec<u8>) {
    match version {
        Version::Of10 => put_reg_load(out, &Subfield::whole(Field::IpTtl), u64::from(ttl)),
        Version::Of11 | Version::Of12 | Version::Of13 | Version::Of14 | Version::Of15 => {
            raw::put_number(out, Raw::SetNwTtl, u128::from(ttl), 1)
        }
    }
}

impl DecTtl {
    pub(super) fn plain() -> DecTtl {
        DecTtl { controllers: vec![0], with_ids: false }
    }

    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let n = usize::from(r.u16()?);
        if !all_zeros(r.take(4)?) {
            return Err(OfError::NxbrcMustBeZero);
        }
        if r.len() < 2 * n {
            log::warn!(target: "ofp_actions", "Nicira action dec_ttl_cnt_ids only has {} bytes allocated for controller ids.  {} bytes are required for {n} controllers.", r.len(), 2 * n);
            return Err(OfError::OfpbacBadLen);
        }
        let controllers = (0..n).map(|_| r.u16()).collect::<Result<_, _>>()?;
        Ok(Action::DecTtl(DecTtl { controllers, with_ids: true }))
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if !self.with_ids && self.controllers == [0] {
            raw::put(out, if version == Version::Of10 { Raw::DecNwTtl10 } else { Raw::DecNwTtl11 });
            return;
        }
        let start = raw::put_head(out, Raw::DecTtlCntIds, 10);
        out.put_u16(self.controllers.len() as u16);
        out.put_zeros(4);
        for id in &self.controllers {
            out.put_u16(*id);
        }
        raw::finish(out, start);
    }

    pub(super) fn parse(arg: &str) -> Result<Action, TextError> {
        if arg.is_empty() {
            return Ok(Action::DecTtl(DecTtl::plain()));
        }
        let ids = arg.split([',', ' ']).filter(|id| !id.is_empty());
        let controllers: Vec<u16> = ids.map(|id| u16_of(id, "controller id")).collect::<Result<_, _>>()?;
        if controllers.is_empty() {
            return refuse!("dec_ttl_cnt_ids: expected at least one controller id.");
        }
        Ok(Action::DecTtl(DecTtl { controllers, with_ids: true }))
    }

    pub(super) fn format(&self, out: &mut String) {
        out.push_str("dec_ttl");
        if self.with_ids {
            let ids: Vec<String> = self.controllers.iter().map(u16::to_string).collect();
            out.push('(');
            out.push_str(&ids.join(","));
            out.push(')');
        }
    }
}

/// `push:SUBFIELD`, `pop:SUBFIELD`.
pub(super) fn decode_stack(body: &[u8]) -> Result<Subfield, OfError> {
    let mut r = Reader::new(&body[10..]);
    let start = r.u16()?;
    let field = oxm::pull_field(&mut r)?;
    let n_bits = r.u16()?;
    if !all_zeros(r.rest()) {
        return Err(OfError::NxbrcMustBeZero);
    }
    Ok(Subfield { field, start, n_bits })
}

pub(super) fn encode_stack(raw: Raw, subfield: &Subfield, out: &mut Vec<u8>) {
    let start = raw::put_head(out, raw, 10);
    out.put_u16(subfield.start);
    super::widths::put_subfield_header(out, subfield, 0);
    out.put_u16(subfield.n_bits);
    out.put_zeros(24 - (out.len() - start).min(24));
}

pub(super) fn parse_stack(arg: &str) -> Result<Subfield, TextError> {
    match Subfield::parse_prefix(arg)? {
        (subfield, "") => Ok(subfield),
        (_, rest) => refuse!("{rest}: trailing garbage following push or pop"),
    }
}

pub(super) fn check_stack_source(subfield: &Subfield, check: &Check<'_>) -> Result<(), OfError> {
    subfield_source(subfield, Some(check.m))
}

pub(super) fn parse_set_mpls(name: &str, value: &str) -> Result<Action, TextError> {
    if value.is_empty() {
        return refuse!("{name}: expected {}.", &name["set_mpls_".len()..]);
    }
    Ok(match name {
        "set_mpls_label" => match u32_of(value)? {
            label if label <= 0xf_ffff => Action::SetMplsLabel(label),
            _ => return refuse!("{value}: not a valid MPLS label"),
        },
        "set_mpls_tc" => match u8_of(value, "MPLS TC")? {
            tc if tc <= 7 => Action::SetMplsTc(tc),
            _ => return refuse!("{value}: not a valid MPLS TC"),
        },
        _ => match u32_of(value).map(u8::try_from) {
            Ok(Ok(ttl)) => Action::SetMplsTtl(ttl),
            _ => return refuse!("invalid MPLS TTL \"{value}\""),
        },
    })
}

pub(super) fn mac(text: &str) -> Result<MacAddr, TextError> {
    match parse_mac(text) {
        Some(mac) => Ok(MacAddr::from_u64(mac)),
        None => refuse!("invalid mac address {text}"),
    }
}

pub(super) fn ipv4(text: &str) -> Result<u32, TextError> {
    match parse_ipv4(text) {
        Some(ip) => Ok(ip),
        None => refuse!("{text}: could not convert to IP address"),
    }
}
