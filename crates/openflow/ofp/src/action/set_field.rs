//! `set_field`, `load`, `move`: writing fields by number.

use fields::{Field, Subfield};

/// The form in which a field was set, which decides how it is written back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SetFieldForm {
    /// `set_field:VALUE[/MASK]->FIELD`.
    SetField,
    /// `load:VALUE->SUBFIELD`.
    Load,
    /// The form of `load` for any field, written like `set_field`.
    Load2,
}

/// Sets `value` in the bits of `field` that `mask` names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetField {
    /// Must be writable.
    pub field: Field,
    /// As wide as the field on the wire; zero outside `mask`.
    pub value: u128,
    /// [`Field::exact`] for the whole field.
    pub mask: u128,
    /// How it came.
    pub form: SetFieldForm,
    /// Whether the match said that there is a VLAN tag; found by the check.
    pub flow_has_vlan: bool,
}

impl SetField {
    /// Sets all of `field`, in the form `set_field`.
    pub fn whole(field: Field, value: u128) -> SetField {
        SetField { field, value, mask: field.exact(), form: SetFieldForm::SetField, flow_has_vlan: false }
    }
}

/// `move:SOURCE->DESTINATION`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RegMove {
    /// As wide as `destination`.
    pub source: Subfield,
    /// Must be writable.
    pub destination: Subfield,
    /// Whether it came as the ONF's `copy_field`, and is so written back.
    pub onf: bool,
}

// ---- bytes and text ----

use fields::text::{parse_wide_prefix, put_hex};
use fields::{TextError, refuse};

use super::raw::{self, Raw};
use super::{Action, Check, Names, Parser, subfield_destination, subfield_source};
use crate::oxm;
use crate::wire::{Put, Reader, all_zeros};
use crate::{OfError, Version};

/// Splits `VALUE->FIELD`.
pub(super) fn split_arrow(arg: &str) -> Result<(&str, &str), TextError> {
    match arg.split_once("->") {
        None => refuse!("{arg}: missing `->'"),
        Some((_, "")) => refuse!("{arg}: missing field name following `->'"),
        Some(parts) => Ok(parts),
    }
}

/// Appends a `set_field` of a whole field.
pub(super) fn put_set_field(out: &mut Vec<u8>, version: Version, field: Field, value: u128) {
    let raw = if version >= Version::Of15 { Raw::SetField15 } else { Raw::SetField12 };
    let start = raw::put_head(out, raw, 4);
    oxm::put_entry(out, field, version.byte(), value, field.exact());
    raw::finish(out, start);
}

/// Appends a `reg_load` of at most 64 bits.
pub(super) fn put_reg_load(out: &mut Vec<u8>, destination: &Subfield, value: u64) {
    raw::put_head(out, Raw::RegLoad, 10);
    out.put_u16(super::ofs_nbits(destination));
    out.put_u32(oxm::header_u32(destination.field));
    out.put_u64(value);
}

impl SetField {
    pub(super) fn decode(raw: Raw, body: &[u8]) -> Result<Action, OfError> {
        let load2 = raw == Raw::RegLoad2;
        let mut r = Reader::new(&body[if load2 { 10 } else { 4 }..]);
        let may_mask = raw != Raw::SetField12;
        let (field, value, mask) = oxm::pull_action_entry(&mut r, may_mask)
            .map_err(|e| if e == OfError::OfpbmcBadMask && !load2 { OfError::OfpbacBadSetMask } else { e })?;
        if !all_zeros(r.rest()) {
            return Err(OfError::OfpbacBadSetArgument);
        }
        if !load2 && field == Field::InPortOxm {
            return Err(OfError::OfpbacBadSetArgument);
        }
        if !field.is_writable() {
            log::warn!(target: "ofp_actions", "destination field {} is not writable", field.name());
            return Err(OfError::OfpbacBadSetArgument);
        }
        let vlan = field == Field::VlanVid && (mask & 0x1000 == 0 || value & 0x1000 == 0);
        if !load2 && (!field.is_value_valid(value) || vlan) {
            let mut shown = String::new();
            field.format(&mut shown, value, field.exact(), None);
            log::warn!(target: "ofp_actions", "Invalid value for set field {}: {shown}", field.name());
            return Err(OfError::OfpbacBadSetArgument);
        }
        let form = if load2 { SetFieldForm::Load2 } else { SetFieldForm::SetField };
        Ok(Action::SetField(Box::new(SetField { field, value, mask, form, flow_has_vlan: false })))
    }

    pub(super) fn decode_load(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let (bits, header, value) = (r.u16()?, r.u32()?, r.u64()?);
        let destination = super::subfield_of(oxm::field_of_u32(header)?, bits);
        subfield_destination(&destination, None)?;
        if destination.n_bits < 64 && value >> destination.n_bits != 0 {
            return Err(OfError::OfpbacBadArgument);
        }
        Ok(SetField::load(&destination, u128::from(value)))
    }

    /// `load:VALUE->DESTINATION`.
    pub fn load(destination: &Subfield, value: u128) -> Action {
        let mask = destination.field_mask();
        Action::SetField(Box::new(SetField {
            field: destination.field,
            value: value << destination.start & mask,
            mask,
            form: SetFieldForm::Load,
            flow_has_vlan: false,
        }))
    }

    /// The runs of at most 64 bits that are set, with their values.
    fn segments(&self) -> impl Iterator<Item = (Subfield, u64)> + '_ {
        let width = self.field.n_bits();
        let bit = move |i: u32| self.mask >> i & 1 != 0;
        let mut next = 0;
        std::iter::from_fn(move || {
            while next < width && !bit(next) {
                next += 1;
            }
            if next >= width {
                return None;
            }
            let start = next;
            while next < width && next < start + 64 && bit(next) {
                next += 1;
            }
            let run = Subfield { field: self.field, start: start as u16, n_bits: (next - start) as u16 };
            Some((run, (self.value >> start & run.ones()) as u64))
        })
    }

    fn encode_load(&self, out: &mut Vec<u8>) {
        let is_option = self.field.tunnel_option().is_some();
        if self.form == SetFieldForm::Load2 || is_option || !oxm::has_u32_header(self.field) {
            let start = raw::put_head(out, Raw::RegLoad2, 10);
            oxm::put_entry(out, self.field, 0, self.value, self.mask);
            raw::finish(out, start);
        } else {
            for (run, value) in self.segments() {
                put_reg_load(out, &run, value);
            }
        }
    }

    fn encode_set_field(&self, version: Version, out: &mut Vec<u8>) {
        let raw = if version >= Version::Of15 { Raw::SetField15 } else { Raw::SetField12 };
        let start = raw::put_head(out, raw, 4);
        oxm::put_entry(out, self.field, version.byte(), self.value, self.mask);
        raw::finish(out, start);
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version >= Version::Of15 {
            self.encode_set_field(version, out);
        } else if self.form != SetFieldForm::SetField {
            self.encode_load(out);
        } else if version < Version::Of12 {
            self.encode_legacy(version, out);
        } else if self.mask == self.field.exact() {
            self.encode_set_field(version, out);
        } else {
            self.encode_load(out);
        }
    }

    /// OpenFlow 1.0 and 1.1 have an action per field.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others have no action of their own")]
    fn encode_legacy(&self, version: Version, out: &mut Vec<u8>) {
        let v = self.value;
        let of10 = version == Version::Of10;
        let pick = |a, b| if of10 { a } else { b };
        match self.field {
            Field::VlanTci => {
                if v & 0x1000 == 0 {
                    raw::put(out, pick(Raw::StripVlan10, Raw::PopVlan11));
                    return;
                }
                if !of10 && !self.flow_has_vlan {
                    raw::put_number(out, Raw::PushVlan, 0x8100, 2);
                }
                raw::put_number(out, pick(Raw::SetVlanVid10, Raw::SetVlanVid11), v & 0xfff, 2);
                raw::put_number(out, pick(Raw::SetVlanPcp10, Raw::SetVlanPcp11), v >> 13 & 7, 1);
            }
            Field::VlanVid => raw::put_number(out, pick(Raw::SetVlanVid10, Raw::SetVlanVid11), v & 0xfff, 2),
            Field::VlanPcp => raw::put_number(out, pick(Raw::SetVlanPcp10, Raw::SetVlanPcp11), v, 1),
            Field::EthSrc => raw::put_number(out, pick(Raw::SetDlSrc10, Raw::SetDlSrc11), v, 6),
            Field::EthDst => raw::put_number(out, pick(Raw::SetDlDst10, Raw::SetDlDst11), v, 6),
            Field::Ipv4Src => raw::put_number(out, pick(Raw::SetNwSrc10, Raw::SetNwSrc11), v, 4),
            Field::Ipv4Dst => raw::put_number(out, pick(Raw::SetNwDst10, Raw::SetNwDst11), v, 4),
            Field::IpDscp => raw::put_number(out, pick(Raw::SetNwTos10, Raw::SetNwTos11), v, 1),
            Field::IpDscpShifted => raw::put_number(out, pick(Raw::SetNwTos10, Raw::SetNwTos11), v << 2, 1),
            Field::IpEcn if of10 => {
                put_reg_load(out, &Subfield { field: Field::IpEcn, start: 0, n_bits: 2 }, v as u64)
            }
            Field::IpEcn => raw::put_number(out, Raw::SetNwEcn, v, 1),
            Field::TcpSrc | Field::UdpSrc => raw::put_number(out, Raw::SetTpSrc, v, 2),
            Field::TcpDst | Field::UdpDst => raw::put_number(out, Raw::SetTpDst, v, 2),
            _ => self.encode_load(out),
        }
    }

    pub(super) fn parse(arg: &str, p: &mut Parser<'_>) -> Result<Action, TextError> {
        let (text, key) = split_arrow(arg)?;
        let Some(field) = Field::from_name(key) else {
            return refuse!("{key} is not a valid OXM field name");
        };
        if !field.is_writable() {
            return refuse!("{key} is read-only");
        }
        let (value, mask) = field.parse(text, p.names.ports)?;
        if !field.is_value_valid(value) {
            return refuse!("{text} is not a valid value for field {key}");
        }
        p.usable &= field.protocols_exact();
        Ok(Action::SetField(Box::new(SetField {
            field,
            value,
            mask,
            form: SetFieldForm::SetField,
            flow_has_vlan: false,
        })))
    }

    pub(super) fn parse_load(arg: &str) -> Result<Action, TextError> {
        let (text, key) = split_arrow(arg)?;
        let destination = Subfield::parse(key)?;
        let Ok((value, "")) = parse_wide_prefix(text, destination.field.n_bytes()) else {
            return refuse!("{arg}: cannot parse integer value");
        };
        if value & !destination.ones() != 0 {
            let mut shown = String::new();
            destination.field.format(&mut shown, value, destination.field.exact(), None);
            return refuse!("{arg}: value {shown} does not fit into {} bits", destination.n_bits);
        }
        Ok(SetField::load(&destination, value))
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        if self.form != SetFieldForm::Load {
            out.push_str("set_field:");
            self.field.format(out, self.value, self.mask, names.ports);
            out.push_str("->");
            out.push_str(self.field.name());
            return;
        }
        for (run, value) in self.segments() {
            out.push_str("load:");
            put_hex(out, u128::from(value));
            out.push_str("->");
            run.format(out);
            out.push(',');
        }
        super::chomp(out);
    }

    pub(super) fn check(&mut self, check: &mut Check<'_>) -> Result<(), OfError> {
        let tci = check.m.key.vlan0_tci();
        let tagged = tci & flow::VLAN_CFI != 0;
        if !self.field.prereqs_met(&check.m.key) || (self.field == Field::VlanVid && !tagged) {
            log::warn!(target: "ofp_actions", "set_field {} lacks correct prerequisites", self.field.name());
            return Err(OfError::OfpbacMatchInconsistent);
        }
        self.flow_has_vlan = tagged;
        if self.field == Field::VlanTci {
            check.m.key.set_vlan0_tci(self.value as u16);
        }
        Ok(())
    }
}

impl RegMove {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "called for the forms that it reads, by a list of all"
    )]
    pub(super) fn decode(raw: Raw, body: &[u8]) -> Result<Action, OfError> {
        let head = match raw {
            Raw::CopyField15 => 4,
            Raw::CopyField13 => 12,
            _ => 10,
        };
        let mut r = Reader::new(&body[head..]);
        let (n_bits, source_start, destination_start) = (r.u16()?, r.u16()?, r.u16()?);
        if raw != Raw::RegMove {
            r.skip(2)?;
        }
        let source = Subfield { field: oxm::pull_field(&mut r)?, start: source_start, n_bits };
        let destination = Subfield { field: oxm::pull_field(&mut r)?, start: destination_start, n_bits };
        if !all_zeros(r.rest()) {
            return Err(OfError::NxbrcMustBeZero);
        }
        subfield_source(&source, None)?;
        subfield_destination(&destination, None)?;
        Ok(Action::RegMove(RegMove { source, destination, onf: raw != Raw::RegMove }))
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let (raw, keep, oxm_version) = if version >= Version::Of15 {
            (Raw::CopyField15, 4, version.byte())
        } else if version == Version::Of13 && self.onf {
            (Raw::CopyField13, 12, version.byte())
        } else {
            (Raw::RegMove, 10, 0)
        };
        let start = raw::put_head(out, raw, keep);
        out.put_u16(self.destination.n_bits);
        out.put_u16(self.source.start);
        out.put_u16(self.destination.start);
        if raw != Raw::RegMove {
            out.put_zeros(2);
        }
        super::widths::put_subfield_header(out, &self.source, oxm_version);
        super::widths::put_subfield_header(out, &self.destination, oxm_version);
        raw::finish(out, start);
    }

    pub(super) fn parse(arg: &str) -> Result<RegMove, TextError> {
        let (source, rest) = Subfield::parse_prefix(arg)?;
        let Some(rest) = rest.strip_prefix("->") else {
            return refuse!("{arg}: missing `->' following source");
        };
        let destination = Subfield::parse(rest)?;
        if source.n_bits != destination.n_bits {
            return refuse!(
                "{arg}: source field is {} bits wide but destination is {} bits wide",
                source.n_bits,
                destination.n_bits
            );
        }
        Ok(RegMove { source, destination, onf: false })
    }

    pub(super) fn format(&self, out: &mut String) {
        out.push_str("move:");
        self.source.format(out);
        out.push_str("->");
        self.destination.format(out);
    }
}
