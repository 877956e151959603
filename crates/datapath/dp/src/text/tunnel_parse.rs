//! The tunnel part of a key, and prepared tunnel headers, from text.

use base::{DpPort, MacAddr};
use flow::{FlowKey, FlowMask, Slot, slot, tunnel_flags};
use wire::ipv6::Ipv6Mut;
use wire::{TypedForm, erspan, ethernet, extension, geneve, gre, gtpu, ipv4, ipv6, udp, vxlan};

use super::key_parse::value;
use super::scan::{Result, Scan};
use super::values::TUNNEL_FLAGS;
use crate::attr::Style;
use crate::{PushTunnel, TunnelOption};

const FIELDS: [(&str, Slot, Style); 9] = [
    ("tun_id=", slot::TUN_ID, Style::Decimal),
    ("src=", slot::TUN_SRC, Style::Ip4),
    ("dst=", slot::TUN_DST, Style::Ip4),
    ("ipv6_src=", slot::TUN_IPV6_SRC, Style::Ip6),
    ("ipv6_dst=", slot::TUN_IPV6_DST, Style::Ip6),
    ("tos=", slot::TUN_TOS, Style::Decimal),
    ("ttl=", slot::TUN_TTL, Style::Decimal),
    ("tp_src=", slot::TUN_TP_SRC, Style::Decimal),
    ("tp_dst=", slot::TUN_TP_DST, Style::Decimal),
];

const OPTIONS: [(&str, &[(&str, Slot)]); 3] = [
    ("vxlan(gbp(", &[("id=", slot::TUN_GBP_ID), ("flags=", slot::TUN_GBP_FLAGS)]),
    (
        "erspan(",
        &[
            ("ver=", slot::TUN_ERSPAN_VER),
            ("idx=", slot::TUN_ERSPAN_IDX),
            ("dir=", slot::TUN_ERSPAN_DIR),
            ("hwid=", slot::TUN_ERSPAN_HWID),
        ],
    ),
    ("gtpu(", &[("flags=", slot::TUN_GTPU_FLAGS), ("msgtype=", slot::TUN_GTPU_MSGTYPE)]),
];

/// The most bytes of an attribute of netlink that holds others: its length has 16 bits, and counts four bytes of its own.
const MAX_NESTED: usize = u16::MAX as usize - NESTED_HEADER;
/// Bytes before the value of each.
const NESTED_HEADER: usize = 4;

/// The inside of `tunnel(…)`, up to its closing parenthesis.
pub(super) fn tunnel(
    scan: &mut Scan<'_>,
    key: &mut FlowKey,
    mask: &mut FlowMask,
    known: &[TunnelOption],
) -> Result<()> {
    let mut size = 0;
    'fields: while !scan.rest().starts_with(')') {
        for (name, place, kind) in FIELDS {
            if scan.take(name) {
                size += NESTED_HEADER + usize::from(place.bits / 8).next_multiple_of(4);
                if size > MAX_NESTED {
                    return scan.too_long();
                }
                let (v, m) = value(scan, place, kind)?;
                key.write(place, v);
                mask.set_bits(place, m);
                if place == slot::TUN_ID {
                    key.set_tun_flags(key.tun_flags() | tunnel_flags::KEY);
                    mask.add(slot::TUN_FLAGS, tunnel_flags::KEY.into());
                }
                let _ = scan.take(",");
                continue 'fields;
            }
        }
        if scan.take("flags(") {
            let (v, m) = scan.flags(&TUNNEL_FLAGS, tunnel_flags::ALL.into())?;
            key.set_tun_flags(key.tun_flags() | v as u16);
            mask.add(slot::TUN_FLAGS, (m & u32::from(tunnel_flags::ALL)).into());
            scan.expect(")")?;
            let _ = scan.take(",");
            continue;
        }
        if scan.take("geneve(") {
            while scan.take("{class=") {
                metadata(scan, key, mask, known)?;
            }
            scan.expect(")")?;
        } else if !option(scan, key, mask)? {
            return scan.error();
        }
        let _ = scan.take(",");
    }
    Ok(())
}

/// An option from its class on; one that is no field is left out.
fn metadata(
    scan: &mut Scan<'_>,
    key: &mut FlowKey,
    mask: &mut FlowMask,
    known: &[TunnelOption],
) -> Result<()> {
    let masked = |scan: &mut Scan<'_>, max: u128| -> Result<u128> {
        let value = scan.number(max)?;
        if scan.take("/") {
            scan.number(max)?;
        }
        Ok(value)
    };
    let class = masked(scan, u16::MAX.into())? as u16;
    scan.expect(",type=")?;
    let kind = masked(scan, u8::MAX.into())? as u8;
    scan.expect(",len=")?;
    let len = masked(scan, geneve::MAX_OPTION_DATA_LEN as u128)? as u8;
    if !len.is_multiple_of(4) {
        return scan.error();
    }
    let (mut value, mut bits) = ([0; geneve::MAX_OPTION_DATA_LEN], [0xff; geneve::MAX_OPTION_DATA_LEN]);
    let at = geneve::MAX_OPTION_DATA_LEN - usize::from(len);
    if scan.take(",") {
        number_as_bytes(scan, value.get_mut(at..).unwrap_or_default())?;
        if scan.take("/") {
            bits = [0; geneve::MAX_OPTION_DATA_LEN];
            number_as_bytes(scan, bits.get_mut(at..).unwrap_or_default())?;
        }
    }
    scan.expect("}")?;
    let is_it = |known: &&TunnelOption| (known.class, known.kind, known.len) == (class, kind, len);
    if let Some(known) = known.iter().find(is_it) {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u128::from(byte));
        let field = usize::from(known.field);
        key.set_tun_metadata(field, number(&value));
        mask.add_all(Slot::tun_metadata(field));
        mask.add(Slot::tun_metadata_value(field), number(&bits));
    }
    Ok(())
}

fn option(scan: &mut Scan<'_>, key: &mut FlowKey, mask: &mut FlowMask) -> Result<bool> {
    for (name, fields) in OPTIONS {
        if !scan.take(name) {
            continue;
        }
        'inside: while !scan.rest().starts_with(')') {
            for &(field, place) in fields {
                if scan.take(field) {
                    let (v, m) = value(scan, place, Style::Decimal)?;
                    key.write(place, v);
                    mask.set_bits(place, m);
                    let _ = scan.take(",");
                    continue 'inside;
                }
            }
            return scan.error();
        }
        scan.expect(if name == "vxlan(gbp(" { "))" } else { ")" })?;
        return Ok(true);
    }
    Ok(false)
}

/// `tnl_push(tnl_port(…),header(…),out_port(…))`, from `tnl_push(` on.
pub(super) fn push(scan: &mut Scan<'_>) -> Result<PushTunnel> {
    let begin = *scan;
    scan.expect("tnl_push(tnl_port(")?;
    let tunnel_port = DpPort(scan.u32()?);
    scan.expect("),header(size=")?;
    let size = scan.u32()? as usize;
    scan.expect(",type=")?;
    let kind = scan.u32()?;
    let mut header = Vec::new();
    l2(scan, &mut header)?;
    let is_v4 = l3(scan, &mut header)?;
    let found = l4(scan, &mut header, is_v4)?;
    // The reference checks both, so that a typing error is not sent.
    if header.len() != size || found != kind {
        return begin.error();
    }
    scan.expect(",out_port(")?;
    let out_port = DpPort(scan.u32()?);
    scan.expect("))")?;
    Ok(PushTunnel { tunnel_port, out_port, kind, header: header.into() })
}

fn l2(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Result<()> {
    scan.expect(",eth(dst=")?;
    let dst = scan.mac()?;
    scan.expect(",src=")?;
    let src = scan.mac()?;
    scan.expect(",dl_type=")?;
    let dl_type = scan.hex(0xffff)? as u16;
    scan.expect("),")?;
    let (dst, src) = (MacAddr::from_u64(dst as u64), MacAddr::from_u64(src as u64));
    ethernet::Header { dst, src, ether_type: dl_type }.append(out);
    Ok(())
}

fn l3(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Result<bool> {
    if scan.take("ipv4(src=") {
        let src = scan.ip4()? as u32;
        scan.expect(",dst=")?;
        let dst = scan.ip4()? as u32;
        scan.expect(",proto=")?;
        let protocol = scan.u8()?;
        scan.expect(",tos=")?;
        let tos = scan.u8()?;
        scan.expect(",ttl=")?;
        let ttl = scan.u8()?;
        scan.expect(",frag=")?;
        let fragment_word = scan.hex(0xffff)? as u16;
        scan.expect("),")?;
        // The length is filled in per packet, and the checksum with it.
        ipv4::Header { tos, fragment_word, ttl, protocol, src, dst, ..ipv4::Header::default() }.append(out);
        return Ok(true);
    }
    scan.expect("ipv6(src=")?;
    let src = scan.ip6()?;
    scan.expect(",dst=")?;
    let dst = scan.ip6()?;
    scan.expect(",label=")?;
    let label = scan.number(ipv6::LABEL_MASK.into())? as u32;
    scan.expect(",proto=")?;
    let next_header = scan.u8()?;
    scan.expect(",tclass=")?;
    let traffic_class = scan.hex(0xff)? as u8;
    scan.expect(",hlimit=")?;
    let hop_limit = scan.u8()?;
    scan.expect("),")?;
    ipv6::Header { traffic_class, label, payload_len: 0, next_header, hop_limit, src, dst }.append(out);
    Ok(false)
}

/// Appends the tunnel header; its kind.
fn l4(scan: &mut Scan<'_>, out: &mut Vec<u8>, is_v4: bool) -> Result<u32> {
    if scan.take("udp(src=") {
        let src = scan.u16()?;
        scan.expect(",dst=")?;
        let dst = scan.u16()?;
        scan.expect(",csum=")?;
        let check = scan.hex(0xffff)? as u16;
        scan.expect("),")?;
        udp::Header { src, dst, len: 0, check }.append(out);
        return over_udp(scan, out);
    }
    if scan.take("gre((flags=") {
        return gre(scan, out, is_v4);
    }
    if scan.take("srv6(segments_left=") {
        return srv6(scan, out);
    }
    if scan.take("erspan(ver=") {
        return erspan(scan, out, is_v4);
    }
    scan.error()
}

fn over_udp(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Result<u32> {
    if scan.take("vxlan(flags=") {
        let flags = scan.hex(u32::MAX.into())? as u32;
        scan.expect(",vni=")?;
        let vni = scan.hex(0xff_ffff)? as u32;
        scan.expect("))")?;
        vxlan::Header { flags, vni }.append(out);
        return Ok(4);
    }
    if scan.take("gtpu(flags=") {
        let flags = scan.u8()?;
        scan.expect(",msgtype=")?;
        let message = scan.u8()?;
        scan.expect(",teid=")?;
        let endpoint = scan.hex(u32::MAX.into())? as u32;
        scan.expect("))")?;
        gtpu::Base { flags, message, len: 0, endpoint }.append(out);
        return Ok(110);
    }
    scan.expect("geneve(")?;
    let is_oam = scan.take("oam,");
    let has_critical = scan.take("crit,");
    scan.expect("vni=")?;
    let vni = scan.number(0xff_ffff)? as u32;
    let mut options = Vec::new();
    if scan.take(",options(") {
        options = geneve_options(scan)?;
        scan.expect(")")?;
    }
    scan.expect("))")?;
    geneve::Header { is_oam, has_critical, protocol: ethernet::TYPE_TEB, vni, options }.append(out);
    Ok(5)
}

fn geneve_options(scan: &mut Scan<'_>) -> Result<Vec<geneve::GeneveOption>> {
    let mut options = Vec::new();
    let mut room = geneve::MAX_OPTIONS_LEN;
    while scan.take("{class=") {
        let class = scan.u16()?;
        scan.expect(",type=")?;
        let kind = scan.u8()?;
        scan.expect(",len=")?;
        let len = scan.number(geneve::MAX_OPTION_DATA_LEN as u128)? as usize;
        let Some(left) = room.checked_sub(geneve::OPTION_HEADER_LEN + len) else { return scan.error() };
        if !len.is_multiple_of(4) {
            return scan.error();
        }
        room = left;
        let mut data = vec![0; len];
        if scan.take(",") {
            number_as_bytes(scan, &mut data)?;
        }
        scan.expect("}")?;
        options.push(geneve::GeneveOption { class, kind, data });
    }
    Ok(options)
}

/// A hexadecimal number of any length, right-aligned in `out`.
pub(super) fn number_as_bytes(scan: &mut Scan<'_>, out: &mut [u8]) -> Result<()> {
    let _ = scan.take("0x");
    let digits = scan.span(|c| c.is_ascii_hexdigit());
    if digits.is_empty()
        || digits.len().div_ceil(2) > out.len() && digits.trim_start_matches('0').len() > out.len() * 2
    {
        return scan.error();
    }
    for (place, pair) in out.iter_mut().rev().zip(digits.as_bytes().rchunks(2)) {
        *place = pair.iter().fold(0, |v, &d| v << 4 | (d as char).to_digit(16).unwrap_or(0) as u8);
    }
    Ok(())
}

fn gre(scan: &mut Scan<'_>, out: &mut Vec<u8>, is_v4: bool) -> Result<u32> {
    let flags = scan.hex(0xffff)? as u16;
    scan.expect(",proto=")?;
    let mut header = gre::Header { protocol: scan.hex(0xffff)? as u16, ..gre::Header::default() };
    scan.expect(")")?;
    if flags & gre::FLAG_CHECKSUM != 0 {
        scan.expect(",csum=")?;
        header.checksum = Some(scan.hex(0xffff)? as u16);
    }
    if flags & gre::FLAG_KEY != 0 {
        scan.expect(",key=")?;
        header.key = Some(scan.hex(u32::MAX.into())? as u32);
    }
    if flags & gre::FLAG_SEQUENCE != 0 {
        scan.expect(",seq=")?;
        header.sequence = Some(scan.hex(u32::MAX.into())? as u32);
    }
    // Nothing else may be set (RFC 2890 §2).
    if header.flags() != flags {
        return scan.error();
    }
    scan.expect("))")?;
    header.append(out);
    Ok(if is_v4 { 3 } else { 109 })
}

fn srv6(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Result<u32> {
    let left = scan.number(9)? as u8;
    scan.expect(",segs(")?;
    let mut segments = Vec::new();
    while !scan.take(")))") {
        segments.push(scan.ip6()?);
        let _ = scan.take(",");
    }
    if segments.len() != usize::from(left) + 1 {
        return scan.error();
    }
    segments.reverse();
    if let Some(mut ip) = out.get_mut(ethernet::HEADER_LEN..).and_then(Ipv6Mut::parse_header) {
        ip.set_next_header(wire::protocol::ROUTING);
    }
    extension::SegmentRouting { segments_left: left, segments, ..Default::default() }.append(out);
    Ok(112)
}

fn erspan(scan: &mut Scan<'_>, out: &mut Vec<u8>, is_v4: bool) -> Result<u32> {
    let version = scan.number(2)?;
    scan.expect(",sid=")?;
    let session = scan.hex(0x3ff)? as u16;
    let kind = if version == 1 {
        scan.expect(",idx=")?;
        erspan::Kind::Ii { index: scan.hex(u32::MAX.into())? as u32 }
    } else if version == 2 {
        scan.expect(",dir=")?;
        let is_egress = scan.number(1)? == 1;
        scan.expect(",hwid=")?;
        let hardware = scan.hex(0x3f)? as u8;
        erspan::Kind::Iii(erspan::TypeIii { is_egress, hardware, ..Default::default() })
    } else {
        return scan.error();
    };
    scan.expect("))")?;
    let header = erspan::Header { session, kind, ..erspan::Header::default() };
    gre::Header { protocol: header.protocol(), sequence: Some(0), ..gre::Header::default() }.append(out);
    header.append(out);
    Ok(if is_v4 { 107 } else { 108 })
}
