//! Flow keys to text.

use std::fmt::Write as _;

use base::DpPort;
use flow::{FlowKey, FlowMask, MAX_MPLS, MAX_VLANS, Slot, VLAN_CFI, frag, slot};
use wire::{ethernet, icmp, mpls};

use super::PortNames;
use super::tunnel_format::tunnel;
use super::values::{CT_STATE, TCP_FLAGS, chomp, field, flags, flags_masked, hex};
use crate::Attr;
use crate::attr::{Field, Form, Style};

/// The text of a key.
///
/// Without a mask all that the packet has is shown. With one, what is
/// wildcarded is left out, or shown with its zero mask when `verbose`.
pub fn format_key(
    key: &FlowKey,
    mask: Option<&FlowMask>,
    verbose: bool,
    ports: Option<&PortNames>,
) -> String {
    let mut writer = Writer { out: String::new(), key, mask, verbose, ports, has_packet_type: false };
    writer.metadata();
    writer.headers();
    writer.out
}

/// One attribute of `key`, as `name(…)`: the form of a `set` action.
pub fn format_attr(
    attr: Attr,
    key: &FlowKey,
    mask: Option<&FlowMask>,
    verbose: bool,
    ports: Option<&PortNames>,
) -> String {
    let writer = Writer { out: String::new(), key, mask, verbose, ports, has_packet_type: false };
    let mut out = String::new();
    writer.attr(&mut out, attr, 0);
    out
}

struct Writer<'a> {
    out: String,
    key: &'a FlowKey,
    mask: Option<&'a FlowMask>,
    verbose: bool,
    ports: Option<&'a PortNames>,
    has_packet_type: bool,
}

impl Writer<'_> {
    fn metadata(&mut self) {
        let key = self.key;
        for attr in [Attr::RecircId, Attr::DpHash, Attr::Priority] {
            self.show(attr, 0);
        }
        if flow::TunnelKey::from_key(key).is_some() {
            self.show(Attr::Tunnel, 0);
        }
        if key.in_port() != DpPort::NONE.0 {
            self.show(Attr::InPort, 0);
        }
        for attr in [Attr::SkbMark, Attr::CtState, Attr::CtZone, Attr::CtMark, Attr::CtLabel] {
            self.show(attr, 0);
        }
        if key.ct_nw_proto() != 0 {
            match key.dl_type() {
                ethernet::TYPE_IPV4 => self.show(Attr::CtTuple4, 0),
                ethernet::TYPE_IPV6 => self.show(Attr::CtTuple6, 0),
                _ => false,
            };
        }
        self.has_packet_type = self.show(Attr::PacketType, 0);
        if key.packet_type() == 0 && !self.show(Attr::Ethernet, 0) && !self.has_packet_type {
            self.separate();
            self.out.push_str("eth()");
        }
    }

    /// From the tags on; each tag holds what follows it.
    fn headers(&mut self) {
        let key = self.key;
        let mut open = 0;
        let mut is_cut_off = false;
        if key.packet_type() == 0 {
            for index in 0..MAX_VLANS {
                let mut tpid = key.vlan_tpid(index);
                if key.vlan_tci(index) == 0 {
                    if !ethernet::is_vlan(key.dl_type()) || index > 0 {
                        break;
                    }
                    tpid = key.dl_type();
                    is_cut_off = true;
                }
                self.separate();
                let _ = write!(self.out, "eth_type({tpid:#06x})");
                self.show_vlan(index);
                self.separate();
                self.out.push_str("encap(");
                open += 1;
                if is_cut_off {
                    break;
                }
            }
        }
        if !is_cut_off {
            self.after_tags();
        }
        for _ in 0..open {
            self.out.push(')');
        }
    }

    fn show_vlan(&mut self, index: usize) {
        let bits = self.mask.map(|mask| mask.bits(Slot::vlan_tci(index)));
        if self.verbose || bits != Some(0) {
            self.separate();
            self.out.push_str("vlan(");
            let mask = bits.map_or(u16::MAX, |bits| bits as u16);
            vlan_tci(&mut self.out, self.key.vlan_tci(index), mask, self.verbose);
            self.out.push(')');
        }
    }

    fn after_tags(&mut self) {
        let key = self.key;
        let dl_type = key.dl_type();
        if dl_type < ethernet::TYPE_MIN {
            if self.mask.is_some_and(|mask| mask.bits(slot::DL_TYPE) != 0) {
                self.out.push_str(",eth_type(0/0xffff)");
            }
            return;
        }
        self.show(Attr::EthType, 0);
        if let Some(attr) = Attr::of_ether_type(dl_type) {
            let labels = mpls_count(key);
            if attr != Attr::Mpls || labels > 0 {
                self.show(attr, labels);
            }
        }
        if key.is_ip() && key.nw_frag() & frag::LATER == 0 {
            self.transport();
        }
    }

    fn transport(&mut self) {
        let key = self.key;
        let Some(attr) = Attr::of_protocol(key.dl_type(), key.nw_proto()) else { return };
        self.show(attr, 0);
        if attr == Attr::Tcp
            && (key.tcp_flags() != 0 || self.mask.is_some_and(|mask| mask.bits(slot::TCP_FLAGS) != 0))
        {
            self.show(Attr::TcpFlags, 0);
        }
        let is_nd =
            matches!(key.tp_src() as u8, icmp::V6_NEIGHBOR_SOLICITATION | icmp::V6_NEIGHBOR_ADVERTISEMENT);
        if attr == Attr::Icmpv6 && is_nd && key.tp_dst() == 0 {
            self.neighbor_discovery();
        }
    }

    fn neighbor_discovery(&mut self) {
        // A mask counts only when it says that the message is ND.
        let is_masked = self.mask.is_none_or(|mask| mask.bits(slot::TP_SRC) & 0xff == 0xff);
        if is_masked || self.verbose {
            self.show(Attr::Nd, 0);
        }
        if self.key.nd_reserved() != 0 || self.key.nd_options_type() != 0 {
            self.show(Attr::NdExt, 0);
        }
    }

    /// Shows the attribute unless it is wildcarded; whether it did.
    fn show(&mut self, attr: Attr, count: usize) -> bool {
        let is_nested = matches!(attr, Attr::Tunnel | Attr::Nsh);
        if !self.verbose && !is_nested && self.mask.is_some_and(|mask| is_wild(attr, mask, count)) {
            return false;
        }
        self.separate();
        let mut out = std::mem::take(&mut self.out);
        self.attr(&mut out, attr, count);
        self.out = out;
        true
    }

    fn separate(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('(') {
            self.out.push(',');
        }
    }

    /// The attribute as `name(…)`.
    fn attr(&self, out: &mut String, attr: Attr, count: usize) {
        out.push_str(attr.name());
        out.push('(');
        match attr.form() {
            Form::Fields => self.fields(out, attr.fields()),
            Form::Number => attr.fields().iter().for_each(|field| self.number(out, field.slot)),
            Form::CtState => self.ct_state(out),
            Form::CtLabel => self.ct_label(out),
            Form::InPort => self.in_port(out),
            Form::Tunnel => {
                let options = PortNames::options_of(self.ports);
                tunnel(out, self.key, self.mask, self.verbose, options);
            }
            Form::EthType => {
                let _ = write!(out, "{:#06x}", self.key.dl_type());
                if let Some(bits) = self.partial(slot::DL_TYPE) {
                    let _ = write!(out, "/{bits:#06x}");
                }
            }
            Form::TcpFlags => self.tcp_flags(out),
            Form::Labels => self.labels(out, count.max(1)),
            Form::Nsh => nsh(out, self.key, self.mask),
            Form::Vlan => {
                let mask = self.mask.map_or(u16::MAX, |mask| mask.bits(slot::VLAN0_TCI) as u16);
                vlan_tci(out, self.key.vlan0_tci(), mask, self.verbose);
            }
            Form::PacketType => {
                let mask = self.mask.map_or(u128::from(u32::MAX), |mask| mask.bits(slot::PACKET_TYPE));
                let value = u128::from(self.key.packet_type());
                field(out, "ns", Style::Decimal, value >> 16, Some(mask >> 16), 0xffff, self.verbose);
                field(out, "id", Style::Hex, value & 0xffff, Some(mask & 0xffff), 0xffff, self.verbose);
            }
            Form::NdExt => {
                // The flags are shown whole, whatever the mask is.
                let _ = write!(out, "nd_reserved={:#x},", self.key.nd_reserved());
                self.fields(out, attr.fields().get(1..).unwrap_or(&[]));
            }
        }
        chomp(out);
        out.push(')');
    }

    fn fields(&self, out: &mut String, fields: &[Field]) {
        for &Field { name, slot, ones, style } in fields {
            if style == Style::Fragment {
                self.fragment(out);
                continue;
            }
            let mask = self.mask.map(|mask| mask.bits(slot) & ones);
            field(out, name, style, self.key.read(slot) & ones, mask, ones, self.verbose);
        }
    }

    fn fragment(&self, out: &mut String) {
        if self.mask.is_none_or(|mask| mask.bits(slot::NW_FRAG) & u128::from(frag::ANY) != 0) {
            let text = match self.key.nw_frag() {
                f if f & frag::ANY == 0 => "no",
                f if f & frag::LATER == 0 => "first",
                _ => "later",
            };
            let _ = write!(out, "frag={text},");
        }
    }

    /// The mask's bits of `place` when they are not all of it.
    fn partial(&self, place: Slot) -> Option<u128> {
        self.mask.map(|mask| mask.bits(place)).filter(|&bits| bits != place.ones())
    }

    fn number(&self, out: &mut String, place: Slot) {
        let is_ct = matches!(place, slot::CT_MARK | slot::CT_ZONE);
        if is_ct && !self.verbose && self.mask.is_none_or(|mask| mask.bits(place) == 0) {
            return;
        }
        out.push_str(&hex(self.key.read(place)));
        if let Some(bits) = self.partial(place) {
            let _ = write!(out, "/{}", hex(bits));
        }
    }

    fn ct_state(&self, out: &mut String) {
        let state = self.key.ct_state();
        match self.mask.map(|mask| mask.bits(slot::CT_STATE) as u32) {
            None if self.verbose => out.push_str(&hex(u128::from(state))),
            None => flags(out, &CT_STATE, state, '|'),
            Some(mask) if self.verbose => {
                let _ = write!(out, "{}/{}", hex(u128::from(state)), hex(u128::from(mask)));
            }
            Some(mask) => flags_masked(out, &CT_STATE, state, mask, u32::MAX),
        }
    }

    fn ct_label(&self, out: &mut String) {
        let mask = self.mask.map(|mask| mask.bits(slot::CT_LABEL));
        if self.verbose || mask.is_some_and(|mask| mask != 0) {
            out.push_str(&hex(self.key.ct_label()));
            if let Some(mask) = mask.filter(|&mask| mask != u128::MAX) {
                let _ = write!(out, "/{}", hex(mask));
            }
        }
    }

    fn in_port(&self, out: &mut String) {
        let port = self.key.in_port();
        match self.partial(slot::IN_PORT) {
            Some(bits) => {
                let _ = write!(out, "{port}/{}", hex(bits));
            }
            None => port_name(out, DpPort(port), self.ports),
        }
    }

    fn tcp_flags(&self, out: &mut String) {
        let value = u32::from(self.key.tcp_flags());
        match self.mask {
            Some(mask) => {
                flags_masked(out, &TCP_FLAGS, value, mask.bits(slot::TCP_FLAGS) as u32 & 0xfff, 0xfff)
            }
            None => flags(out, &TCP_FLAGS, value, '|'),
        }
    }

    fn labels(&self, out: &mut String, count: usize) {
        let is_exact =
            self.mask.is_none_or(|mask| (0..count).all(|i| mask.bits(Slot::mpls(i)) == u128::from(u32::MAX)));
        for index in 0..count.min(MAX_MPLS) {
            let entry = self.key.read(Slot::mpls(index)) as u32;
            match self.mask.filter(|_| !is_exact).map(|mask| mask.bits(Slot::mpls(index)) as u32) {
                None => label_entry(out, entry),
                Some(m) => {
                    let _ = write!(
                        out,
                        "label={}/{:#x},tc={}/{:x},ttl={}/{:#x},bos={}/{:x}",
                        mpls::label(entry),
                        mpls::label(m),
                        mpls::traffic_class(entry),
                        mpls::traffic_class(m),
                        mpls::ttl(entry),
                        mpls::ttl(m),
                        u8::from(mpls::is_bottom(entry)),
                        u8::from(mpls::is_bottom(m)),
                    );
                }
            }
            out.push(',');
        }
    }
}

fn is_wild(attr: Attr, mask: &FlowMask, count: usize) -> bool {
    if attr == Attr::Mpls {
        return (0..count).all(|index| mask.bits(Slot::mpls(index)) == 0);
    }
    attr.fields().iter().all(|field| {
        let ones = if field.style == Style::Fragment { u128::from(frag::ANY) } else { field.ones };
        mask.bits(field.slot) & ones == 0
    })
}

/// How many labels the key's packet has, as far as the key holds them.
fn mpls_count(key: &FlowKey) -> usize {
    for index in 0..MAX_MPLS {
        let entry = key.read(Slot::mpls(index)) as u32;
        if mpls::is_bottom(entry) {
            return index + 1;
        }
    }
    (0..MAX_MPLS).rev().find(|&index| key.read(Slot::mpls(index)) != 0).map_or(0, |index| index + 1)
}

pub(super) fn port_name(out: &mut String, port: DpPort, ports: Option<&PortNames>) {
    match ports.and_then(|ports| ports.name(port)) {
        Some(name) => out.push_str(name),
        None => {
            let _ = write!(out, "{port}");
        }
    }
}

pub(super) fn vlan_tci(out: &mut String, tci: u16, mask: u16, verbose: bool) {
    let (vid, pcp) = (tci & 0xfff, tci >> 13);
    let (vid_mask, pcp_mask) = (mask & 0xfff, mask >> 13);
    if verbose || vid != 0 || vid_mask != 0 {
        let _ = write!(out, "vid={vid}");
        if vid_mask != 0xfff {
            let _ = write!(out, "/{vid_mask:#x}");
        }
        out.push(',');
    }
    if verbose || pcp != 0 || pcp_mask != 0 {
        let _ = write!(out, "pcp={pcp}");
        if pcp_mask != 7 {
            let _ = write!(out, "/{pcp_mask:#x}");
        }
        out.push(',');
    }
    if tci & VLAN_CFI == 0 {
        out.push_str("cfi=0,");
    }
    chomp(out);
}

pub(super) fn label_entry(out: &mut String, entry: u32) {
    let _ = write!(
        out,
        "label={},tc={},ttl={},bos={}",
        mpls::label(entry),
        mpls::traffic_class(entry),
        mpls::ttl(entry),
        u8::from(mpls::is_bottom(entry))
    );
}

/// NSH fields; those of a mask are shown only where it names them.
pub(super) fn nsh(out: &mut String, key: &FlowKey, mask: Option<&FlowMask>) {
    for &Field { name, slot, ones, style } in Attr::Nsh.fields() {
        let is_wide = style == Style::Prefixed;
        let value = key.read(slot);
        match mask.map(|mask| mask.bits(slot)) {
            None if name.starts_with('c') && key.nsh_mdtype() != 1 => {}
            Some(0) => {}
            Some(bits) if bits != ones => {
                let width = if is_wide { 10 } else { 4 };
                let shown = if is_wide { format!("{value:#x}") } else { format!("{value:#04x}") };
                let _ = write!(out, "{name}={shown}/{bits:#0width$x},");
            }
            None | Some(_) if is_wide => {
                let _ = write!(out, "{name}={value:#x},");
            }
            None | Some(_) => {
                let _ = write!(out, "{name}={value},");
            }
        }
    }
    chomp(out);
}
