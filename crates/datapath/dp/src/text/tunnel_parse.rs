//! The tunnel part of a key, and prepared tunnel headers, from text.

use base::DpPort;
use flow::{FlowKey, FlowMask, Slot, slot, tunnel_flags};
use wire::bytes::{put, put16, put32, put128};
use wire::{ethernet, ipv4, ipv6, udp};

use super::key_parse::{Kind, value};
use super::scan::{Result, Scan};
use super::values::TUNNEL_FLAGS;
use crate::PushTunnel;

const FIELDS: [(&str, Slot, Kind); 9] = [
    ("tun_id=", slot::TUN_ID, Kind::Number),
    ("src=", slot::TUN_SRC, Kind::Ip4),
    ("dst=", slot::TUN_DST, Kind::Ip4),
    ("ipv6_src=", slot::TUN_IPV6_SRC, Kind::Ip6),
    ("ipv6_dst=", slot::TUN_IPV6_DST, Kind::Ip6),
    ("tos=", slot::TUN_TOS, Kind::Number),
    ("ttl=", slot::TUN_TTL, Kind::Number),
    ("tp_src=", slot::TUN_TP_SRC, Kind::Number),
    ("tp_dst=", slot::TUN_TP_DST, Kind::Number),
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

/// The inside of `tunnel(…)`, up to its closing parenthesis.
pub(super) fn tunnel(scan: &mut Scan<'_>, key: &mut FlowKey, mask: &mut FlowMask) -> Result<()> {
    'fields: while !scan.rest().starts_with(')') {
        for (name, place, kind) in FIELDS {
            if scan.take(name) {
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
        if !option(scan, key, mask)? {
            return scan.error();
        }
        let _ = scan.take(",");
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
                    let (v, m) = value(scan, place, Kind::Number)?;
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
    out.extend(ethernet::header(
        base::MacAddr::from_u64(dst as u64),
        base::MacAddr::from_u64(src as u64),
        dl_type,
    ));
    Ok(())
}

fn l3(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Result<bool> {
    if scan.take("ipv4(src=") {
        let src = scan.ip4()? as u32;
        scan.expect(",dst=")?;
        let dst = scan.ip4()? as u32;
        scan.expect(",proto=")?;
        let proto = scan.u8()?;
        scan.expect(",tos=")?;
        let tos = scan.u8()?;
        scan.expect(",ttl=")?;
        let ttl = scan.u8()?;
        scan.expect(",frag=")?;
        let frag = scan.hex(0xffff)? as u16;
        scan.expect("),")?;
        let mut header = ipv4::header(src, dst, proto, tos, ttl, frag, 0);
        // Length and, with it, the checksum are filled in per packet.
        put16(&mut header, 2, 0);
        put16(&mut header, 10, 0);
        let check = wire::checksum(&header);
        put16(&mut header, 10, check);
        out.extend(header);
        return Ok(true);
    }
    scan.expect("ipv6(src=")?;
    let src = scan.ip6()?;
    scan.expect(",dst=")?;
    let dst = scan.ip6()?;
    scan.expect(",label=")?;
    let label = scan.number(ipv6::LABEL_MASK.into())? as u32;
    scan.expect(",proto=")?;
    let proto = scan.u8()?;
    scan.expect(",tclass=")?;
    let class = scan.hex(0xff)? as u8;
    scan.expect(",hlimit=")?;
    let hops = scan.u8()?;
    scan.expect("),")?;
    out.extend(ipv6::header(src, dst, proto, class, label, hops, 0));
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
        let mut header = udp::header(src, dst, 0);
        put16(&mut header, 4, 0);
        put16(&mut header, udp::CHECK_OFFSET, check);
        out.extend(header);
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
    let mut header = [0; 8];
    if scan.take("vxlan(flags=") {
        put32(&mut header, 0, scan.hex(u32::MAX.into())? as u32);
        scan.expect(",vni=")?;
        put32(&mut header, 4, (scan.hex(0xff_ffff)? as u32) << 8);
        scan.expect("))")?;
        out.extend(header);
        return Ok(4);
    }
    if scan.take("gtpu(flags=") {
        put(&mut header, 0, [scan.u8()?]);
        scan.expect(",msgtype=")?;
        put(&mut header, 1, [scan.u8()?]);
        scan.expect(",teid=")?;
        put32(&mut header, 4, scan.hex(u32::MAX.into())? as u32);
        scan.expect("))")?;
        out.extend(header);
        return Ok(110);
    }
    scan.expect("geneve(")?;
    let mut flags = 0;
    if scan.take("oam,") {
        flags |= 0x80;
    }
    if scan.take("crit,") {
        flags |= 0x40;
    }
    scan.expect("vni=")?;
    put(&mut header, 1, [flags]);
    put16(&mut header, 2, ethernet::TYPE_TEB);
    put32(&mut header, 4, (scan.number(0xff_ffff)? as u32) << 8);
    let mut options = Vec::new();
    if scan.take(",options(") {
        geneve_options(scan, &mut options)?;
        scan.expect(")")?;
    }
    scan.expect("))")?;
    put(&mut header, 0, [(options.len() / 4) as u8 & 0x3f]);
    out.extend(header);
    out.extend(options);
    Ok(5)
}

fn geneve_options(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Result<()> {
    while scan.take("{class=") {
        let class = scan.u16()?;
        scan.expect(",type=")?;
        let kind = scan.u8()?;
        scan.expect(",len=")?;
        let len = scan.number(124)? as usize;
        if !len.is_multiple_of(4) || out.len() + 4 + len > 252 {
            return scan.error();
        }
        out.extend(class.to_be_bytes());
        out.extend([kind, (len / 4) as u8]);
        let mut data = vec![0; len];
        if scan.take(",") {
            number_as_bytes(scan, &mut data)?;
        }
        out.extend(data);
        scan.expect("}")?;
    }
    Ok(())
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
    let proto = scan.hex(0xffff)? as u16;
    scan.expect(")")?;
    out.extend(flags.to_be_bytes());
    out.extend(proto.to_be_bytes());
    if flags & 0x8000 != 0 {
        scan.expect(",csum=")?;
        out.extend((scan.hex(0xffff)? as u16).to_be_bytes());
        out.extend([0, 0]);
    }
    if flags & 0x2000 != 0 {
        scan.expect(",key=")?;
        out.extend((scan.hex(u32::MAX.into())? as u32).to_be_bytes());
    }
    if flags & 0x1000 != 0 {
        scan.expect(",seq=")?;
        out.extend((scan.hex(u32::MAX.into())? as u32).to_be_bytes());
    }
    scan.expect("))")?;
    Ok(if is_v4 { 3 } else { 109 })
}

fn srv6(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Result<u32> {
    let left = scan.number(9)? as usize;
    scan.expect(",segs(")?;
    let mut segments = Vec::new();
    while !scan.take(")))") {
        segments.push(scan.ip6()?);
        let _ = scan.take(",");
    }
    if segments.len() != left + 1 {
        return scan.error();
    }
    // The IPv6 header's next header is the routing header.
    put(out, ethernet::HEADER_LEN + 6, [wire::protocol::ROUTING]);
    let at = out.len();
    out.resize(at + 8 + 16 * segments.len(), 0);
    put(out, at, [0, (2 * segments.len()) as u8, 4, left as u8, left as u8]);
    for (index, segment) in segments.iter().rev().enumerate() {
        put128(out, at + 8 + 16 * index, *segment);
    }
    Ok(112)
}

fn erspan(scan: &mut Scan<'_>, out: &mut Vec<u8>, is_v4: bool) -> Result<u32> {
    let version = scan.number(2)? as u16;
    scan.expect(",sid=")?;
    let sid = scan.hex(0x3ff)? as u16;
    out.extend(0x1000u16.to_be_bytes());
    out.extend(if version == 1 { 0x88beu16 } else { 0x22eb }.to_be_bytes());
    out.extend([0; 4]);
    out.extend((version << 12).to_be_bytes());
    out.extend(sid.to_be_bytes());
    if version == 1 {
        scan.expect(",idx=")?;
        out.extend((scan.hex(u32::MAX.into())? as u32).to_be_bytes());
    } else {
        scan.expect(",dir=")?;
        let dir = scan.number(1)? as u16;
        scan.expect(",hwid=")?;
        let hwid = scan.hex(0x3f)? as u16;
        out.extend([0; 6]);
        out.extend((dir << 3 | hwid << 4).to_be_bytes());
    }
    scan.expect("))")?;
    Ok(if is_v4 { 107 } else { 108 })
}
