//! The tunnel part of a key, and prepared tunnel headers, to text.

use std::fmt::Write as _;

use flow::{FlowKey, FlowMask, Slot, slot, tunnel_flags};
use wire::bytes::{be16, be32, be128, byte};
use wire::{ethernet, ipv4, ipv6, udp};

use super::PortNames;
use super::key_format::port_name;
use super::values::{TUNNEL_FLAGS, chomp, field, flags, flags_masked, hex, ip6};
use crate::attr::Style;
use crate::{PushTunnel, TunnelOption};

/// The inside of `tunnel(…)`.
pub(super) fn tunnel(
    out: &mut String,
    key: &FlowKey,
    mask: Option<&FlowMask>,
    verbose: bool,
    known: &[TunnelOption],
) {
    let mut show = |name: &str, place: Slot, style: Style| {
        field(out, name, style, key.read(place), mask.map(|mask| mask.bits(place)), place.ones(), verbose);
    };
    let has_id = key.tun_id() != 0 || key.tun_flags() & tunnel_flags::KEY != 0;
    if has_id && (mask.is_some() || verbose) {
        show("tun_id", slot::TUN_ID, Style::Prefixed);
    }
    if key.tun_src() != 0 {
        show("src", slot::TUN_SRC, Style::Ip4);
    }
    if key.tun_dst() != 0 {
        show("dst", slot::TUN_DST, Style::Ip4);
    }
    if key.tun_ipv6_src() != 0 {
        show("ipv6_src", slot::TUN_IPV6_SRC, Style::Ip6);
    }
    if key.tun_ipv6_dst() != 0 {
        show("ipv6_dst", slot::TUN_IPV6_DST, Style::Ip6);
    }
    if key.tun_tos() != 0 {
        show("tos", slot::TUN_TOS, Style::Hex);
    }
    show("ttl", slot::TUN_TTL, Style::Decimal);
    if key.tun_tp_src() != 0 {
        show("tp_src", slot::TUN_TP_SRC, Style::Decimal);
    }
    if key.tun_tp_dst() != 0 {
        show("tp_dst", slot::TUN_TP_DST, Style::Decimal);
    }
    options(out, key, mask, verbose, known);
    flag_field(out, key, mask, verbose, has_id);
    chomp(out);
}

/// What single kinds of tunnel have beside addresses.
fn options(out: &mut String, key: &FlowKey, mask: Option<&FlowMask>, verbose: bool, known: &[TunnelOption]) {
    let show = |out: &mut String, name: &str, place: Slot, style: Style| {
        field(out, name, style, key.read(place), mask.map(|mask| mask.bits(place)), place.ones(), verbose);
    };
    if key.tun_gbp_id() != 0 || key.tun_gbp_flags() != 0 {
        out.push_str("vxlan(gbp(");
        show(out, "id", slot::TUN_GBP_ID, Style::Decimal);
        show(out, "flags", slot::TUN_GBP_FLAGS, Style::Hex);
        chomp(out);
        out.push_str(")),");
    }
    let mut there = known.iter().filter(|known| key.tun_metadata(known.field.into()).is_some()).peekable();
    if there.peek().is_some() {
        out.push_str("geneve(");
        there.for_each(|option| metadata(out, option, key, mask, verbose));
        out.push_str("),");
    }
    if matches!(key.tun_erspan_ver(), 1 | 2) {
        out.push_str("erspan(");
        show(out, "ver", slot::TUN_ERSPAN_VER, Style::Decimal);
        if key.tun_erspan_ver() == 1 {
            let _ = write!(out, "idx={}", hex(u128::from(key.tun_erspan_idx())));
            if let Some(mask) = mask {
                let _ = write!(out, "/{}", hex(mask.bits(slot::TUN_ERSPAN_IDX)));
            }
            out.push(',');
        } else {
            show(out, "dir", slot::TUN_ERSPAN_DIR, Style::Decimal);
            show(out, "hwid", slot::TUN_ERSPAN_HWID, Style::Hex);
        }
        chomp(out);
        out.push_str("),");
    }
    if key.tun_gtpu_flags() != 0 && key.tun_gtpu_msgtype() != 0 {
        out.push_str("gtpu(");
        show(out, "flags", slot::TUN_GTPU_FLAGS, Style::Hex);
        show(out, "msgtype", slot::TUN_GTPU_MSGTYPE, Style::Decimal);
        chomp(out);
        out.push_str("),");
    }
}

/// `{class=…,type=…,len=…,0x…/0x…}` of an option that the key has.
fn metadata(out: &mut String, option: &TunnelOption, key: &FlowKey, mask: Option<&FlowMask>, verbose: bool) {
    let TunnelOption { class, kind, len, field } = *option;
    let _ = write!(out, "{{class={},type={},len={len}", hex(class.into()), hex(kind.into()));
    let place = Slot::tun_metadata_value(field.into());
    let ones = u128::MAX.checked_shr(128 - 8 * u32::from(len)).unwrap_or(0);
    let bits = mask.map_or(ones, |mask| mask.bits(place) & ones);
    if len > 0 && (verbose || bits != 0) {
        let _ = write!(out, ",{}", hex(key.read(place) & ones));
        if bits != ones {
            let _ = write!(out, "/{}", hex(bits));
        }
    }
    out.push('}');
}

fn flag_field(out: &mut String, key: &FlowKey, mask: Option<&FlowMask>, verbose: bool, has_id: bool) {
    let mut value = key.tun_flags() & (tunnel_flags::ALL & !tunnel_flags::KEY);
    if has_id {
        value |= tunnel_flags::KEY;
    }
    let Some(mask) = mask else {
        out.push_str("flags(");
        flags(out, &TUNNEL_FLAGS, u32::from(value), '|');
        out.push_str("),");
        return;
    };
    let mut bits = mask.bits(slot::TUN_FLAGS) as u16 & (tunnel_flags::ALL & !tunnel_flags::KEY);
    if has_id {
        bits |= tunnel_flags::KEY;
    }
    if verbose || bits != 0 {
        out.push_str("flags(");
        flags_masked(out, &TUNNEL_FLAGS, u32::from(value), u32::from(bits), u32::from(tunnel_flags::ALL));
        out.push_str("),");
    }
}

/// `tnl_push(tnl_port(…),header(…),out_port(…))`.
pub(super) fn push(out: &mut String, push: &PushTunnel, ports: Option<&PortNames>) {
    out.push_str("tnl_push(tnl_port(");
    port_name(out, push.tunnel_port, ports);
    out.push_str("),");
    header(out, push);
    out.push_str(",out_port(");
    port_name(out, push.out_port, ports);
    out.push_str("))");
}

fn header(out: &mut String, push: &PushTunnel) {
    let bytes = &push.header[..];
    let _ = write!(out, "header(size={},type={}", bytes.len(), push.kind);
    let Some(eth) = ethernet::Ethernet::parse(bytes) else {
        out.push_str(", eth(truncated header))");
        return;
    };
    let _ = write!(out, ",eth(dst={},src={},dl_type={:#06x}),", eth.dst(), eth.src(), eth.ether_type());
    let l3 = eth.payload();
    let l4 = if eth.ether_type() == ethernet::TYPE_IPV4 {
        if l3.len() < ipv4::MIN_LEN {
            out.push_str("ipv4(truncated header))");
            return;
        }
        let _ = write!(
            out,
            "ipv4(src={},dst={},proto={},tos={},ttl={},frag=0x{:x}),",
            std::net::Ipv4Addr::from(be32(l3, 12)),
            std::net::Ipv4Addr::from(be32(l3, 16)),
            byte(l3, 9),
            hex(u128::from(byte(l3, 1))),
            byte(l3, 8),
            be16(l3, 6)
        );
        &l3[ipv4::MIN_LEN..]
    } else {
        if l3.len() < ipv6::LEN {
            out.push_str("ipv6(truncated header))");
            return;
        }
        let first = be32(l3, 0);
        let _ = write!(
            out,
            "ipv6(src={},dst={},label={},proto={},tclass=0x{:x},hlimit={}),",
            ip6(be128(l3, 8)),
            ip6(be128(l3, 24)),
            first & ipv6::LABEL_MASK,
            byte(l3, 6),
            first >> 20 & 0xff,
            byte(l3, 7)
        );
        &l3[ipv6::LEN..]
    };
    match push.kind {
        4 => udp_header(out, l4, vxlan),
        5 => udp_header(out, l4, geneve),
        110 => udp_header(out, l4, gtpu),
        112 => srv6(out, l4),
        3 | 109 => gre(out, l4),
        107 | 108 => erspan(out, l4),
        _ => {}
    }
    out.push(')');
}

fn udp_header(out: &mut String, bytes: &[u8], then: fn(&mut String, &[u8])) {
    let Some(header) = udp::Udp::parse(bytes) else {
        out.push_str("udp(truncated header)");
        return;
    };
    let _ = write!(out, "udp(src={},dst={},csum=0x{:x}),", header.src(), header.dst(), header.check());
    then(out, header.payload());
}

fn vxlan(out: &mut String, bytes: &[u8]) {
    let _ = write!(out, "vxlan(flags=0x{:x},vni=0x{:x})", be32(bytes, 0), be32(bytes, 4) >> 8);
}

fn geneve(out: &mut String, bytes: &[u8]) {
    let first = byte(bytes, 1);
    let oam = if first & 0x80 != 0 { "oam," } else { "" };
    let critical = if first & 0x40 != 0 { "crit," } else { "" };
    let _ = write!(out, "geneve({oam}{critical}vni=0x{:x}", be32(bytes, 4) >> 8);
    let options_len = usize::from(byte(bytes, 0) & 0x3f) * 4;
    if options_len > 0 {
        match bytes.get(8..8 + options_len) {
            Some(options) => {
                out.push_str(",options(");
                geneve_options(out, options);
                out.push(')');
            }
            None => out.push_str(",options(invalid length)"),
        }
    }
    out.push(')');
}

/// `{class=…,type=…,len=…,0x…}` for each option.
fn geneve_options(out: &mut String, mut options: &[u8]) {
    while options.len() >= 4 {
        let len = usize::from(byte(options, 3) & 0x1f) * 4;
        let Some(data) = options.get(4..4 + len) else {
            let _ = write!(out, "opt len {} greater than remaining {}", len + 4, options.len());
            return;
        };
        let class = be16(options, 0);
        let kind = byte(options, 2);
        let _ = write!(out, "{{class={},type={},len={len}", hex(class.into()), hex(kind.into()));
        if len > 0 {
            out.push(',');
            bytes_as_number(out, data);
        }
        out.push('}');
        options = &options[4 + len..];
    }
}

/// Bytes as one hexadecimal number without leading zeros.
pub(super) fn bytes_as_number(out: &mut String, bytes: &[u8]) {
    let Some(first) = bytes.iter().position(|&b| b != 0) else {
        out.push('0');
        return;
    };
    for (index, b) in bytes.iter().enumerate().skip(first) {
        let _ = if index == first { write!(out, "{b:#x}") } else { write!(out, "{b:02x}") };
    }
}

fn gtpu(out: &mut String, bytes: &[u8]) {
    let _ = write!(
        out,
        "gtpu(flags=0x{:x},msgtype={},teid=0x{:x})",
        byte(bytes, 0),
        byte(bytes, 1),
        be32(bytes, 4)
    );
}

fn srv6(out: &mut String, bytes: &[u8]) {
    let count = usize::from(byte(bytes, 4)) + 1;
    let _ = write!(out, "srv6(segments_left={},segs(", byte(bytes, 3));
    for index in (0..count).rev() {
        out.push_str(&ip6(be128(bytes, 8 + index * 16)));
        out.push(',');
    }
    chomp(out);
    out.push_str("))");
}

fn gre(out: &mut String, bytes: &[u8]) {
    let word = be16(bytes, 0);
    let _ = write!(out, "gre((flags=0x{word:x},proto=0x{:x})", be16(bytes, 2));
    let mut at = 4;
    if word & 0x8000 != 0 {
        let _ = write!(out, ",csum=0x{:x}", be16(bytes, at));
        at += 4;
    }
    if word & 0x2000 != 0 {
        let _ = write!(out, ",key=0x{:x}", be32(bytes, at));
        at += 4;
    }
    if word & 0x1000 != 0 {
        let _ = write!(out, ",seq=0x{:x}", be32(bytes, at));
    }
    out.push(')');
}

fn erspan(out: &mut String, bytes: &[u8]) {
    // Behind the GRE header with its sequence number.
    let sid = be16(bytes, 10) & 0x3ff;
    match byte(bytes, 8) >> 4 {
        1 => {
            let _ = write!(out, "erspan(ver=1,sid=0x{sid:x},idx=0x{:x})", be32(bytes, 12));
        }
        2 => {
            let word = be16(bytes, 18);
            let _ = write!(
                out,
                "erspan(ver=2,sid=0x{sid:x},dir={},hwid=0x{:x})",
                word >> 3 & 1,
                word >> 4 & 0x3f
            );
        }
        _ => {}
    }
}
