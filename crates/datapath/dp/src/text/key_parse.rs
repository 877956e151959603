//! Flow keys from text.

use base::DpPort;
use flow::{DL_TYPE_NONE, FlowKey, FlowMask, MAX_MPLS, Slot, VLAN_CFI, frag, slot};
use wire::ethernet;

use super::scan::{Result, Scan};
use super::tunnel_parse;
use super::values::{CT_STATE, TCP_FLAGS};
use super::{ParseError, PortNames};
use crate::attr::{Field, Form, Style};
use crate::{Attr, Ufid};

/// What a frame without `eth_type` is, by the header that it has; of several the first.
const IMPLIED_TYPES: [(Attr, u16); 3] =
    [(Attr::Ipv4, ethernet::TYPE_IPV4), (Attr::Ipv6, ethernet::TYPE_IPV6), (Attr::Mpls, ethernet::TYPE_MPLS)];
const NONE_IMPLIED: usize = IMPLIED_TYPES.len();

/// The key and the mask that `text` tells of.
///
/// What the text does not name is zero and wildcarded; what it names without
/// a mask is exact. A leading `ufid:…` is skipped. A missing `packet_type`
/// means Ethernet, a missing `eth_type` the one of the `ipv4`, `ipv6` or
/// `mpls` that there is, or else a frame without type.
pub fn parse_key(
    text: &str,
    ports: Option<&PortNames>,
) -> std::result::Result<(FlowKey, FlowMask), ParseError> {
    let mut key = KeyParser::new(ports);
    let mut scan = Scan::new(text);
    loop {
        scan.skip_delimiters();
        if scan.is_end() {
            break;
        }
        if scan.take("ufid:") {
            parse_ufid_digits(scan.word()).map_or_else(|| scan.error(), Ok)?;
            continue;
        }
        let before = scan;
        if let Err(error) = key.attr(&mut scan, 0) {
            return Err(ParseError { at: before.rest().to_owned(), ..error });
        }
    }
    key.finish();
    Ok((key.key, key.mask))
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub(super) fn parse_ufid_digits(text: &str) -> Option<Ufid> {
    let lens: Vec<usize> = text.split('-').map(str::len).collect();
    let digits = text.replace('-', "");
    (lens == [8, 4, 4, 4, 12]).then(|| u128::from_str_radix(&digits, 16).ok())?.map(Ufid)
}

pub(super) struct KeyParser<'a> {
    pub(super) key: FlowKey,
    pub(super) mask: FlowMask,
    ports: Option<&'a PortNames>,
    /// The attribute parsed last.
    pub(super) attr: Option<Attr>,
    has_eth_type: bool,
    has_ethernet: bool,
    /// The first of [`IMPLIED_TYPES`] that was read.
    implied_type: usize,
}

impl<'a> KeyParser<'a> {
    pub(super) fn new(ports: Option<&'a PortNames>) -> KeyParser<'a> {
        KeyParser {
            key: FlowKey::new(),
            mask: FlowMask::new(),
            ports,
            attr: None,
            has_eth_type: false,
            has_ethernet: false,
            implied_type: NONE_IMPLIED,
        }
    }

    fn finish(&mut self) {
        if !self.has_eth_type {
            let implied = IMPLIED_TYPES.get(self.implied_type);
            self.key.set_dl_type(implied.map_or(DL_TYPE_NONE, |(_, ether_type)| *ether_type));
        }
        if !self.has_ethernet
            && self.key.packet_type() == 0
            && self.has_eth_type
            && self.mask.bits(slot::PACKET_TYPE) == 0
        {
            // Without eth() the packet begins at L3.
            self.key.set_packet_type(1 << 16 | u32::from(self.key.dl_type()));
        }
    }

    /// One `name(…)`; `depth` counts the tags around it.
    pub(super) fn attr(&mut self, scan: &mut Scan<'_>, depth: usize) -> Result<()> {
        let before = *scan;
        let name = scan.span(|c| c.is_ascii_alphanumeric() || c == '_');
        scan.expect("(")?;
        if name == "encap" {
            return self.encap(scan, depth);
        }
        let attr = Attr::by_name(name).map_or_else(|| before.error(), Ok)?;
        self.attr = Some(attr);
        self.implied_type = self
            .implied_type
            .min(IMPLIED_TYPES.iter().position(|(of, _)| *of == attr).unwrap_or(NONE_IMPLIED));
        match attr.form() {
            Form::Fields | Form::NdExt | Form::Nsh => {
                self.has_ethernet |= attr == Attr::Ethernet;
                self.named(scan, attr)?;
            }
            Form::Number | Form::CtLabel => {
                for field in attr.fields() {
                    self.single(scan, field.slot)?;
                }
                if attr == Attr::RecircId {
                    // The number of a recirculation has no parts.
                    self.mask.add_all(slot::RECIRC_ID);
                }
            }
            Form::CtState => self.flags(scan, slot::CT_STATE, &CT_STATE, 0xff)?,
            Form::TcpFlags => self.flags(scan, slot::TCP_FLAGS, &TCP_FLAGS, 0xfff)?,
            Form::InPort => self.in_port(scan)?,
            Form::EthType => self.eth_type(scan)?,
            Form::Vlan => self.vlan(scan)?,
            Form::Labels => self.labels(scan)?,
            Form::Tunnel => {
                let options = PortNames::options_of(self.ports);
                tunnel_parse::tunnel(scan, &mut self.key, &mut self.mask, options)?;
            }
            Form::PacketType => self.packet_type(scan)?,
        }
        scan.expect(")")
    }

    fn encap(&mut self, scan: &mut Scan<'_>, depth: usize) -> Result<()> {
        // The type seen so far is that of the tag.
        if depth < flow::MAX_VLANS {
            self.key.write(Slot::vlan_tpid(depth), u128::from(self.key.dl_type()));
            self.mask.set_bits(Slot::vlan_tpid(depth), 0xffff);
        } else {
            return scan.error();
        }
        if self.key.read(Slot::vlan_tci(depth)) & u128::from(VLAN_CFI) == 0 {
            // A tag that was cut off: its type is all there is.
            self.key.write(Slot::vlan_tpid(depth), 0);
            self.mask.set_bits(Slot::vlan_tpid(depth), 0);
        } else {
            self.key.set_dl_type(DL_TYPE_NONE);
            self.mask.set_bits(slot::DL_TYPE, 0);
        }
        loop {
            scan.skip_delimiters();
            if scan.take(")") {
                return Ok(());
            }
            if scan.is_end() {
                return scan.error();
            }
            self.attr(scan, depth + 1)?;
        }
    }

    fn put(&mut self, place: Slot, value: u128, mask: u128) {
        self.key.write(place, value);
        self.mask.set_bits(place, mask);
    }

    /// Value and optional mask.
    fn single(&mut self, scan: &mut Scan<'_>, place: Slot) -> Result<()> {
        let value = scan.number(place.ones())?;
        let mask = if scan.take("/") { scan.number(place.ones())? } else { place.ones() };
        self.put(place, value, mask);
        Ok(())
    }

    fn flags(&mut self, scan: &mut Scan<'_>, place: Slot, names: &[&str], allowed: u32) -> Result<()> {
        let (value, mask) = scan.flags(names, allowed)?;
        // A whole mask of 16-bit flags is 16 bits wide.
        let whole = place.ones();
        self.put(place, value.into(), if mask == u32::MAX { whole } else { mask.into() });
        Ok(())
    }

    fn in_port(&mut self, scan: &mut Scan<'_>) -> Result<()> {
        if self.single(scan, slot::IN_PORT).is_ok() && scan.rest().starts_with(')') {
            return Ok(());
        }
        let name = scan.span(|c| c != ')');
        let port: Option<DpPort> = self.ports.and_then(|ports| ports.number(name));
        let Some(port) = port else { return scan.error() };
        self.put(slot::IN_PORT, port.0.into(), slot::IN_PORT.ones());
        Ok(())
    }

    fn eth_type(&mut self, scan: &mut Scan<'_>) -> Result<()> {
        self.single(scan, slot::DL_TYPE)?;
        self.has_eth_type = true;
        if self.key.dl_type() < ethernet::TYPE_MIN {
            self.key.set_dl_type(DL_TYPE_NONE);
        }
        Ok(())
    }

    fn packet_type(&mut self, scan: &mut Scan<'_>) -> Result<()> {
        let (mut value, mut mask) = (0, 0);
        loop {
            let shift = if scan.take("ns=") {
                16
            } else if scan.take("id=") {
                0
            } else if scan.rest().starts_with(')') {
                break;
            } else {
                return scan.error();
            };
            value |= u32::from(scan.u16()?) << shift;
            mask |= if scan.take("/") { u32::from(scan.u16()?) } else { 0xffff } << shift;
            let _ = scan.take(",");
        }
        self.put(slot::PACKET_TYPE, value.into(), mask.into());
        Ok(())
    }

    fn vlan(&mut self, scan: &mut Scan<'_>) -> Result<()> {
        let index = if self.key.vlan0_tci() != 0 { 1 } else { 0 };
        let (mut tci, mut mask) = (VLAN_CFI, VLAN_CFI);
        while !scan.rest().starts_with(')') {
            let (shift, ones) = if scan.take("vid=") {
                (0, 0xfff)
            } else if scan.take("pcp=") {
                (13, 7)
            } else if scan.take("cfi=") {
                (12, 1)
            } else {
                return scan.error();
            };
            let value = scan.number(ones)? as u16;
            let bits = if scan.take("/") { scan.number(ones)? as u16 } else { ones as u16 };
            tci = tci & !((ones as u16) << shift) | value << shift;
            mask = mask & !((ones as u16) << shift) | bits << shift;
            let _ = scan.take(",");
        }
        self.put(Slot::vlan_tci(index), tci.into(), mask.into());
        Ok(())
    }

    fn labels(&mut self, scan: &mut Scan<'_>) -> Result<()> {
        let mut index = 0;
        let (mut entry, mut bits, mut seen) = (0u32, 0u32, 0u8);
        while !scan.rest().starts_with(')') {
            let (field, shift, ones) = if scan.take("label=") {
                (1, 12, 0xfffff)
            } else if scan.take("tc=") {
                (2, 9, 7)
            } else if scan.take("ttl=") {
                (4, 0, 0xff)
            } else if scan.take("bos=") {
                (8, 8, 1)
            } else {
                return scan.error();
            };
            if seen & field != 0 {
                self.put(Slot::mpls(index), entry.into(), bits.into());
                index += 1;
                if index == MAX_MPLS {
                    return scan.error();
                }
                (entry, bits, seen) = (0, 0, 0);
            }
            seen |= field;
            entry |= (scan.number(ones)? as u32) << shift;
            // Masks of labels are written without 0x where they are small.
            let mask = if scan.take("/") { scan.hex(ones)? } else { ones };
            bits |= (mask as u32) << shift;
            let _ = scan.take(",");
        }
        self.put(Slot::mpls(index), entry.into(), bits.into());
        Ok(())
    }

    /// `name=value[/mask],…` up to the closing parenthesis.
    fn named(&mut self, scan: &mut Scan<'_>, attr: Attr) -> Result<()> {
        while !scan.rest().starts_with(')') {
            let Some((name, field)) = named_field(attr, scan.rest()) else { return scan.error() };
            scan.expect(name)?;
            scan.expect("=")?;
            let (value, mask) = value(scan, field.slot, field.style)?;
            self.put(field.slot, value, mask);
            if !scan.take(",") && !scan.rest().starts_with(')') {
                return scan.error();
            }
        }
        Ok(())
    }
}

/// One value and its mask; all ones when the text gives none.
pub(super) fn value(scan: &mut Scan<'_>, place: Slot, style: Style) -> Result<(u128, u128)> {
    let ones = match place {
        slot::IPV6_LABEL => 0xfffff,
        _ => place.ones(),
    };
    let read = |scan: &mut Scan<'_>| match style {
        Style::Decimal | Style::Hex | Style::Prefixed | Style::Own => scan.number(ones),
        Style::Ip4 => scan.ip4(),
        Style::Ip6 => scan.ip6(),
        Style::Mac => scan.mac(),
        Style::Fragment => match scan.span(|c| c.is_ascii_lowercase()) {
            "no" => Ok(0),
            "first" => Ok(frag::ANY.into()),
            "later" => Ok((frag::ANY | frag::LATER).into()),
            _ => scan.error(),
        },
    };
    let value = read(scan)?;
    let is_fragment = style == Style::Fragment;
    let whole = if is_fragment { u128::from(frag::ANY | frag::LATER) } else { ones };
    let mask = if !is_fragment && scan.take("/") { read(scan)? } else { whole };
    Ok((value, mask))
}

/// The field whose name, and an equals sign, `text` begins with; and the name.
fn named_field(attr: Attr, text: &str) -> Option<(&'static str, &'static Field)> {
    /// Names that are read and not written: the reference's documentation has these.
    const ALIASES: [(&str, &str); 2] = [("tp_src", "src_port"), ("tp_dst", "dst_port")];
    let is_at = |name: &str| text.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
    let field = |name: &str| attr.fields().iter().find(|field| field.name == name);
    let known = attr.fields().iter().find(|field| field.style != Style::Own && is_at(field.name));
    known.map(|field| (field.name, field)).or_else(|| {
        let (alias, name) = ALIASES.into_iter().find(|(alias, _)| is_at(alias))?;
        field(name).map(|field| (alias, field))
    })
}
