//! A match as text, in the order in which `ovs-ofctl` shows it.

use std::fmt::Write;

use base::OfPort;
use flow::{Slot, VLAN_CFI, slot};

use crate::prereqs::{effective_dl_type, ether, proto};
use crate::text::{
    CT_STATES, TCP_FLAGS, TUNNEL_FLAGS, put_flags, put_flags_masked, put_hex, put_ipv4_masked,
    put_ipv6_masked, put_mac_masked,
};
use crate::{Match, PortNames, format_packet_type, format_port};

/// The priority that is not shown.
pub const DEFAULT_PRIORITY: i32 = 0x8000;

/// The name of an exact `nw_frag` value and mask.
pub fn format_frag(value: u8, mask: u8) -> Option<&'static str> {
    let (any, later) = (value & 1 != 0, value & 2 != 0);
    match mask & 3 {
        3 => Some(match (any, later) {
            (true, true) => "later",
            (true, false) => "first",
            (false, true) => "<error>",
            (false, false) => "no",
        }),
        1 => Some(if any { "yes" } else { "no" }),
        2 => Some(if later { "later" } else { "not_later" }),
        _ => None,
    }
}

/// What is being written, with short hands for reading it.
struct Writer<'a> {
    m: &'a Match,
    out: &'a mut String,
}

impl Writer<'_> {
    fn value(&self, place: Slot) -> u128 {
        self.m.key.read(place)
    }

    fn mask(&self, place: Slot) -> u128 {
        self.m.mask.bits(place)
    }

    /// `name=0x12/0xff,` with `0x0` as `0`.
    fn hex(&mut self, name: &str, place: Slot) {
        let (value, mask) = (self.value(place), self.mask(place));
        if mask == 0 {
            return;
        }
        self.out.push_str(name);
        self.out.push('=');
        put_hex(self.out, value);
        if mask != place.ones() {
            self.out.push('/');
            put_hex(self.out, mask);
        }
        self.out.push(',');
    }

    /// Like [`Writer::hex`], but zero is `0x0`.
    fn hex0(&mut self, name: &str, value: u128, mask: u128, full: u128) {
        if mask == 0 {
            return;
        }
        let _ = if mask == full {
            write!(self.out, "{name}={value:#x},")
        } else {
            write!(self.out, "{name}={value:#x}/{mask:#x},")
        };
    }

    /// Decimal when exact, else hexadecimal with mask.
    fn decimal(&mut self, name: &str, place: Slot) {
        let (value, mask) = (self.value(place), self.mask(place));
        if mask == place.ones() {
            let _ = write!(self.out, "{name}={value},");
        } else if mask != 0 {
            let _ = write!(self.out, "{name}={value:#x}/{mask:#x},");
        }
    }

    /// Decimal whatever the mask says, when there is one.
    fn plain(&mut self, name: &str, place: Slot) {
        if self.mask(place) != 0 {
            let _ = write!(self.out, "{name}={},", self.value(place));
        }
    }

    fn byte(&mut self, name: &str, place: Slot) {
        let (value, mask) = (self.value(place), self.mask(place));
        if mask == 0xff {
            let _ = write!(self.out, "{name}={value},");
        } else if mask != 0 {
            let _ = write!(self.out, "{name}={value:#04x}/{mask:#04x},");
        }
    }

    fn ipv4(&mut self, name: &str, place: Slot) {
        let (value, mask) = (self.value(place) as u32, self.mask(place) as u32);
        if mask != 0 {
            let _ = write!(self.out, "{name}=");
            put_ipv4_masked(self.out, value, mask);
            self.out.push(',');
        }
    }

    fn ipv6(&mut self, name: &str, place: Slot) {
        let (value, mask) = (self.value(place), self.mask(place));
        if mask != 0 {
            let _ = write!(self.out, "{name}=");
            put_ipv6_masked(self.out, value, mask);
            self.out.push(',');
        }
    }

    fn mac(&mut self, name: &str, place: Slot) {
        let (value, mask) = (self.value(place) as u64, self.mask(place) as u64);
        if mask != 0 {
            let _ = write!(self.out, "{name}=");
            put_mac_masked(self.out, value, mask);
            self.out.push(',');
        }
    }

    fn port(&mut self, name: &str, place: Slot, names: Option<&PortNames>) {
        if self.mask(place) != 0 {
            let _ = write!(self.out, "{name}=");
            format_port(self.out, OfPort(self.value(place) as u32), names);
            self.out.push(',');
        }
    }

    fn conntrack(&mut self) {
        let state = self.value(slot::CT_STATE) as u32;
        let mask = self.mask(slot::CT_STATE) as u32;
        if mask != 0 {
            self.out.push_str("ct_state=");
            if mask == 0xff {
                put_flags(self.out, CT_STATES, state, '|');
            } else {
                put_flags_masked(self.out, CT_STATES, state, mask, 0xff);
            }
            self.out.push(',');
        }
        self.decimal("ct_zone", slot::CT_ZONE);
        self.hex("ct_mark", slot::CT_MARK);
        self.hex("ct_label", slot::CT_LABEL);
        self.ipv4("ct_nw_src", slot::CT_NW_SRC);
        self.ipv6("ct_ipv6_src", slot::CT_IPV6_SRC);
        self.ipv4("ct_nw_dst", slot::CT_NW_DST);
        self.ipv6("ct_ipv6_dst", slot::CT_IPV6_DST);
        if self.mask(slot::CT_NW_PROTO) != 0 {
            self.plain("ct_nw_proto", slot::CT_NW_PROTO);
            self.decimal("ct_tp_src", slot::CT_TP_SRC);
            self.decimal("ct_tp_dst", slot::CT_TP_DST);
        }
    }

    fn tunnel(&mut self) {
        self.hex("tun_id", slot::TUN_ID);
        self.ipv4("tun_src", slot::TUN_SRC);
        self.ipv4("tun_dst", slot::TUN_DST);
        self.ipv6("tun_ipv6_src", slot::TUN_IPV6_SRC);
        self.ipv6("tun_ipv6_dst", slot::TUN_IPV6_DST);
        self.decimal("tun_gbp_id", slot::TUN_GBP_ID);
        let hex = |w: &mut Self, name: &str, place: Slot| {
            if w.mask(place) != 0 {
                let _ = write!(w.out, "{name}=");
                put_hex(w.out, w.m.key.read(place));
                w.out.push(',');
            }
        };
        hex(self, "tun_gbp_flags", slot::TUN_GBP_FLAGS);
        if self.mask(slot::TUN_TOS) != 0 {
            let _ = write!(self.out, "tun_tos={:x},", self.m.key.tun_tos());
        }
        self.plain("tun_ttl", slot::TUN_TTL);
        self.plain("tun_erspan_ver", slot::TUN_ERSPAN_VER);
        let version = self.m.key.tun_erspan_ver();
        if version == 1 {
            hex(self, "tun_erspan_idx", slot::TUN_ERSPAN_IDX);
        }
        if version == 2 {
            self.plain("tun_erspan_dir", slot::TUN_ERSPAN_DIR);
            hex(self, "tun_erspan_hwid", slot::TUN_ERSPAN_HWID);
        }
        hex(self, "gtpu_flags", slot::TUN_GTPU_FLAGS);
        self.plain("gtpu_msgtype", slot::TUN_GTPU_MSGTYPE);
        let mask = self.mask(slot::TUN_FLAGS) as u32 & 0xf;
        if mask != 0 {
            self.out.push_str("tun_flags=");
            put_flags_masked(self.out, TUNNEL_FLAGS, u32::from(self.m.key.tun_flags()) & 0xf, mask, 0xf);
            self.out.push(',');
        }
        if self.m.mask.has_tun_options() {
            (0..crate::TUNNEL_OPTIONS).for_each(|index| self.tunnel_option(index));
        }
    }

    /// An option of a tunnel, with its value unless only the option itself is asked for.
    fn tunnel_option(&mut self, index: usize) {
        let place = Slot::tun_metadata_value(index);
        if self.mask(Slot::tun_metadata(index)) == 0 && self.mask(place) == 0 {
            return;
        }
        let _ = write!(self.out, "tun_metadata{index}");
        let mask = self.mask(place);
        if self.mask(Slot::tun_metadata(index)) != 0 && self.m.key.read(Slot::tun_metadata(index)) == 0 {
            self.out.push_str("=NP");
        } else if mask != 0 {
            self.out.push('=');
            put_hex(self.out, self.m.key.read(place));
            if mask != u128::MAX {
                self.out.push('/');
                put_hex(self.out, mask);
            }
        }
        self.out.push(',');
    }

    /// `tcp,` and the like. Returns whether the type and the protocol are thereby said.
    fn shorthand(&mut self, dl_type: u16) -> (bool, bool) {
        if self.mask(slot::DL_TYPE) == 0 {
            return (false, false);
        }
        let protocol = (self.mask(slot::NW_PROTO) != 0).then(|| self.m.key.nw_proto());
        let (word, skip_protocol) = match (dl_type, protocol) {
            (ether::IP, Some(proto::ICMP)) => ("icmp,", true),
            (ether::IP, Some(proto::TCP)) => ("tcp,", true),
            (ether::IP, Some(proto::UDP)) => ("udp,", true),
            (ether::IP, Some(proto::SCTP)) => ("sctp,", true),
            (ether::IP, _) => ("ip,", false),
            (ether::IPV6, Some(proto::ICMPV6)) => ("icmp6,", true),
            (ether::IPV6, Some(proto::TCP)) => ("tcp6,", true),
            (ether::IPV6, Some(proto::UDP)) => ("udp6,", true),
            (ether::IPV6, Some(proto::SCTP)) => ("sctp6,", true),
            (ether::IPV6, _) => ("ipv6,", false),
            (ether::ARP, _) => ("arp,", false),
            (ether::RARP, _) => ("rarp,", false),
            (ether::MPLS, _) => ("mpls,", false),
            (ether::MPLS_MCAST, _) => ("mplsm,", false),
            _ => return (false, false),
        };
        self.out.push_str(word);
        (true, skip_protocol)
    }

    fn vlans(&mut self) {
        for index in 0..flow::MAX_VLANS {
            let mask = self.mask(Slot::vlan_tci(index)) as u16;
            let tci = self.m.key.vlan_tci(index);
            if mask == 0 {
                break;
            }
            let suffix = if index == 0 { "" } else { "1" };
            let (vid, pcp) = (mask & 0xfff, mask & 0xe000);
            let tag = mask & tci & VLAN_CFI != 0;
            if tag && matches!(vid, 0 | 0xfff) && matches!(pcp, 0 | 0xe000) && (vid | pcp) != 0 {
                if vid != 0 {
                    let _ = write!(self.out, "dl_vlan{suffix}={},", tci & 0xfff);
                }
                if pcp != 0 {
                    let _ = write!(self.out, "dl_vlan_pcp{suffix}={},", tci >> 13);
                }
            } else if mask == 0xffff {
                let _ = write!(self.out, "vlan_tci{suffix}={tci:#06x},");
            } else {
                let _ = write!(self.out, "vlan_tci{suffix}={tci:#06x}/{mask:#06x},");
            }
        }
    }

    fn network(&mut self, dl_type: u16) {
        match dl_type {
            ether::IPV6 => {
                self.ipv6("ipv6_src", slot::IPV6_SRC);
                self.ipv6("ipv6_dst", slot::IPV6_DST);
                let (label, mask) = (self.m.key.ipv6_label(), self.mask(slot::IPV6_LABEL) as u32);
                if mask == u32::MAX {
                    let _ = write!(self.out, "ipv6_label={label:#07x},");
                } else if mask != 0 {
                    let _ = write!(self.out, "ipv6_label={label:#07x}/{mask:#07x},");
                }
            }
            ether::ARP | ether::RARP => {
                self.ipv4("arp_spa", slot::NW_SRC);
                self.ipv4("arp_tpa", slot::NW_DST);
            }
            ether::NSH => self.nsh(),
            _ => {
                self.ipv4("nw_src", slot::NW_SRC);
                self.ipv4("nw_dst", slot::NW_DST);
            }
        }
    }

    fn nsh(&mut self) {
        self.byte("nsh_flags", slot::NSH_FLAGS);
        self.byte("nsh_ttl", slot::NSH_TTL);
        self.byte("nsh_mdtype", slot::NSH_MDTYPE);
        self.byte("nsh_np", slot::NSH_NP);
        let place = slot::NSH_SPI;
        self.hex0("nsh_spi", self.value(place), self.mask(place), place.ones());
        self.byte("nsh_si", slot::NSH_SI);
        if self.mask(slot::NSH_MDTYPE) == 0xff && self.m.key.nsh_mdtype() == 1 {
            for (name, place) in [
                ("nsh_c1", slot::NSH_C1),
                ("nsh_c2", slot::NSH_C2),
                ("nsh_c3", slot::NSH_C3),
                ("nsh_c4", slot::NSH_C4),
            ] {
                self.hex0(name, self.value(place), self.mask(place), place.ones());
            }
        }
    }

    fn ip_bits(&mut self) {
        let tos_mask = self.mask(slot::NW_TOS) as u8;
        let tos = self.m.key.nw_tos();
        if tos_mask & 0xfc != 0 {
            let _ = write!(self.out, "nw_tos={},", tos & 0xfc);
        }
        if tos_mask & 3 != 0 {
            let _ = write!(self.out, "nw_ecn={},", tos & 3);
        }
        self.plain("nw_ttl", slot::NW_TTL);
        let (lse, mask) = (self.m.key.mpls0(), self.mask(slot::MPLS0) as u32);
        for (name, shift, ones) in
            [("mpls_label", 12, 0xf_ffff), ("mpls_tc", 9, 7), ("mpls_ttl", 0, 0xff), ("mpls_bos", 8, 1)]
        {
            if mask >> shift & ones != 0 {
                let _ = write!(self.out, "{name}={},", lse >> shift & ones);
            }
        }
        for (name, place) in [("mpls_lse1", slot::MPLS1), ("mpls_lse2", slot::MPLS2)] {
            let (value, mask) = (self.value(place), self.mask(place));
            if mask == place.ones() {
                let _ = write!(self.out, "{name}={value},");
            } else if mask != 0 {
                let _ = write!(self.out, "{name}={value:#010x}/{mask:#010x},");
            }
        }
        if let Some(frag) = format_frag(self.m.key.nw_frag(), self.mask(slot::NW_FRAG) as u8) {
            let _ = write!(self.out, "nw_frag={frag},");
        }
    }

    fn transport(&mut self, dl_type: u16) {
        let protocol = self.m.key.nw_proto();
        if dl_type == ether::IP && protocol == proto::ICMP {
            self.decimal("icmp_type", slot::TP_SRC);
            self.decimal("icmp_code", slot::TP_DST);
        } else if dl_type == ether::IPV6 && protocol == proto::ICMPV6 {
            self.decimal("icmp_type", slot::TP_SRC);
            self.decimal("icmp_code", slot::TP_DST);
            self.ipv6("nd_target", slot::ND_TARGET);
            self.mac("nd_sll", slot::ARP_SHA);
            self.mac("nd_tll", slot::ARP_THA);
            self.decimal("nd_reserved", slot::ND_RESERVED);
            self.decimal("nd_options_type", slot::ND_OPTIONS_TYPE);
        } else {
            self.decimal("tp_src", slot::TP_SRC);
            self.decimal("tp_dst", slot::TP_DST);
        }
        let mask = self.mask(slot::TCP_FLAGS) as u32;
        let ip = matches!(effective_dl_type(&self.m.key), ether::IP | ether::IPV6);
        if ip && protocol == proto::TCP && mask != 0 {
            self.out.push_str("tcp_flags=");
            put_flags_masked(self.out, TCP_FLAGS, u32::from(self.m.key.tcp_flags()), mask & 0xfff, 0xfff);
        }
    }
}

impl Match {
    /// Appends the match. `priority` is shown unless it is the default one.
    pub fn format(&self, out: &mut String, names: Option<&PortNames>, priority: i32) {
        let start = out.len();
        if priority != DEFAULT_PRIORITY {
            let _ = write!(out, "priority={priority},");
        }
        let mut w = Writer { m: self, out };
        let key = &self.key;
        let mut dl_type = key.dl_type();
        w.hex("pkt_mark", slot::PKT_MARK);
        w.hex("recirc_id", slot::RECIRC_ID);
        let megaflow = w.mask(slot::RECIRC_ID) != 0;
        w.hex("dp_hash", slot::DP_HASH);
        w.plain("conj_id", slot::CONJ_ID);
        if w.mask(slot::SKB_PRIORITY) != 0 {
            w.out.push_str("skb_priority=");
            put_hex(w.out, u128::from(key.skb_priority()));
            w.out.push(',');
        }
        w.port("actset_output", slot::ACTSET_OUTPUT, names);
        w.conntrack();
        let type_mask = w.mask(slot::PACKET_TYPE) as u32;
        if type_mask != 0 && (!self.has_default_packet_type() || megaflow) {
            format_packet_type(w.out, key.packet_type(), type_mask);
            w.out.push(',');
            if key.packet_type() >> 16 == 1 {
                dl_type = key.packet_type() as u16;
            }
        }
        let (skip_type, skip_protocol) = w.shorthand(dl_type);
        for index in 0..flow::REGISTERS {
            let place = Slot::register(index);
            if w.mask(place) != 0 {
                w.hex(&format!("reg{index}"), place);
            }
        }
        w.tunnel();
        w.hex("metadata", slot::METADATA);
        w.port("in_port", slot::IN_PORT, names);
        w.vlans();
        w.mac("dl_src", slot::DL_SRC);
        w.mac("dl_dst", slot::DL_DST);
        if !skip_type && w.mask(slot::DL_TYPE) != 0 {
            let _ = write!(w.out, "dl_type={dl_type:#06x},");
        }
        w.network(dl_type);
        let arp = matches!(dl_type, ether::ARP | ether::RARP);
        if !skip_protocol {
            w.plain(if arp { "arp_op" } else { "nw_proto" }, slot::NW_PROTO);
        }
        if arp {
            w.mac("arp_sha", slot::ARP_SHA);
            w.mac("arp_tha", slot::ARP_THA);
        }
        w.ip_bits();
        w.transport(dl_type);
        if out.len() > start && out.ends_with(',') {
            out.pop();
        }
    }

    /// The match as text, without priority and names.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.format(&mut out, None, DEFAULT_PRIORITY);
        out
    }
}
