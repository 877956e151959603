//! From a key to a packet that has it: what `netdev-dummy/receive` is told to
//! receive, and `ofproto/trace -generate` traces.
//!
//! The inverse of extraction for the headers that are composed here: VLAN
//! tags, ARP, IPv4 and IPv6 with TCP, UDP, SCTP and ICMP. Lengths and
//! checksums are right.

use base::MacAddr;
use wire::{Checksum, checksum};

use crate::{FlowKey, frag};

/// Payload behind a transport header.
const PAYLOAD: usize = 64;

/// A packet that gives `key` when it is read.
pub fn compose(key: &FlowKey) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    put_mac(&mut out, key.dl_dst());
    put_mac(&mut out, key.dl_src());
    for index in 0..key.vlan_count() {
        out.extend(key.vlan_tpid(index).to_be_bytes());
        out.extend((key.vlan_tci(index) & !crate::VLAN_CFI).to_be_bytes());
    }
    if key.dl_type() == crate::DL_TYPE_NONE {
        // A length, and an LLC header that names no protocol.
        out.extend([0, 3, 0x42, 0x42, 0x03]);
        return out;
    }
    out.extend(key.dl_type().to_be_bytes());
    match key.dl_type() {
        0x0800 => put_ipv4(&mut out, key),
        0x86dd => put_ipv6(&mut out, key),
        0x0806 | 0x8035 => put_arp(&mut out, key),
        0x8847 | 0x8848 => put_mpls(&mut out, key),
        _ => {}
    }
    out
}

fn put_mac(out: &mut Vec<u8>, mac: MacAddr) {
    out.extend(mac.0);
}

fn put_arp(out: &mut Vec<u8>, key: &FlowKey) {
    out.extend([0, 1, 8, 0, 6, 4, 0, key.nw_proto()]);
    put_mac(out, key.arp_sha());
    out.extend(key.nw_src().to_be_bytes());
    put_mac(out, key.arp_tha());
    out.extend(key.nw_dst().to_be_bytes());
}

fn put_mpls(out: &mut Vec<u8>, key: &FlowKey) {
    for entry in [key.mpls0(), key.mpls1(), key.mpls2()] {
        out.extend(entry.to_be_bytes());
        if entry & 0x100 != 0 {
            break;
        }
    }
}

fn put_ipv4(out: &mut Vec<u8>, key: &FlowKey) {
    let addresses = [key.nw_src().to_be_bytes(), key.nw_dst().to_be_bytes()].concat();
    let body = transport(key, &addresses);
    let fragment: u16 = match key.nw_frag() {
        f if f & frag::LATER != 0 => 0x2000 | 8,
        f if f & frag::ANY != 0 => 0x2000,
        _ => 0,
    };
    let start = out.len();
    out.extend([0x45, key.nw_tos()]);
    out.extend(((20 + body.len()) as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend(fragment.to_be_bytes());
    out.extend([key.nw_ttl(), key.nw_proto(), 0, 0]);
    out.extend(key.nw_src().to_be_bytes());
    out.extend(key.nw_dst().to_be_bytes());
    let sum = checksum(&out[start..]).to_be_bytes();
    out[start + 10..start + 12].copy_from_slice(&sum);
    out.extend(body);
}

fn put_ipv6(out: &mut Vec<u8>, key: &FlowKey) {
    let addresses = [key.ipv6_src().to_be_bytes(), key.ipv6_dst().to_be_bytes()].concat();
    let body = transport(key, &addresses);
    let is_fragment = key.nw_frag() & frag::ANY != 0;
    let first = 6u32 << 28 | u32::from(key.nw_tos()) << 20 | key.ipv6_label() & 0xf_ffff;
    out.extend(first.to_be_bytes());
    let length = body.len() + if is_fragment { 8 } else { 0 };
    out.extend((length as u16).to_be_bytes());
    out.extend([if is_fragment { 44 } else { key.nw_proto() }, key.nw_ttl()]);
    out.extend(key.ipv6_src().to_be_bytes());
    out.extend(key.ipv6_dst().to_be_bytes());
    if is_fragment {
        let offset: u16 = if key.nw_frag() & frag::LATER != 0 { 8 } else { 1 };
        out.extend([key.nw_proto(), 0]);
        out.extend(offset.to_be_bytes());
        out.extend([0; 4]);
    }
    out.extend(body);
}

/// The transport header with its payload; `addresses` are the pseudo header's.
fn transport(key: &FlowKey, addresses: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    if key.nw_frag() & frag::LATER != 0 {
        return body;
    }
    let (source, destination) = (key.tp_src().to_be_bytes(), key.tp_dst().to_be_bytes());
    let is_v6 = key.dl_type() == 0x86dd;
    // Where the checksum stands, and whether it covers the pseudo header.
    let sum = match (key.nw_proto(), is_v6) {
        (6, _) => {
            body.extend(source);
            body.extend(destination);
            body.extend([0; 8]);
            body.extend((5 << 12 | key.tcp_flags() & 0xfff).to_be_bytes());
            body.extend([0; 6]);
            body.extend([0; PAYLOAD]);
            Some((16, true))
        }
        (17, _) => {
            body.extend(source);
            body.extend(destination);
            body.extend((8 + PAYLOAD as u16).to_be_bytes());
            body.extend([0; 2 + PAYLOAD]);
            Some((6, true))
        }
        (132, _) => {
            body.extend(source);
            body.extend(destination);
            body.extend([0; 8 + PAYLOAD]);
            None
        }
        (1, false) => {
            body.extend([key.tp_src() as u8, key.tp_dst() as u8]);
            body.extend([0; 6 + PAYLOAD]);
            Some((2, false))
        }
        (58, true) => {
            put_icmpv6(&mut body, key);
            Some((2, true))
        }
        _ => {
            body.extend([0; PAYLOAD]);
            None
        }
    };
    if let Some((place, with_pseudo)) = sum {
        let pseudo =
            if with_pseudo { pseudo_header(addresses, key.nw_proto(), body.len()) } else { Vec::new() };
        let value = Checksum::new().bytes(&pseudo).bytes(&body).finish();
        // RFC 768: a sum of zero is sent as all ones, for zero says that there is none.
        let value = if key.nw_proto() == 17 && value == 0 { 0xffff } else { value };
        body[place..place + 2].copy_from_slice(&value.to_be_bytes());
    }
    body
}

fn pseudo_header(addresses: &[u8], protocol: u8, length: usize) -> Vec<u8> {
    let mut header = addresses.to_vec();
    header.extend([0, protocol]);
    header.extend((length as u16).to_be_bytes());
    header
}

fn put_icmpv6(body: &mut Vec<u8>, key: &FlowKey) {
    let kind = key.tp_src() as u8;
    body.extend([kind, key.tp_dst() as u8, 0, 0]);
    body.extend(key.nd_reserved().to_be_bytes());
    if matches!(kind, 135 | 136) {
        body.extend(key.nd_target().to_be_bytes());
        for (option, mac) in [(1, key.arp_sha()), (2, key.arp_tha())] {
            if !mac.is_zero() {
                body.extend([option, 1]);
                put_mac(body, mac);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metadata, extract};

    fn round_trip(key: &FlowKey) -> FlowKey {
        extract::extract(&Metadata::from_key(key), &compose(key), crate::MAX_VLANS)
    }

    fn ethernet() -> FlowKey {
        let mut key = FlowKey::new();
        key.set_dl_src(MacAddr::from_u64(0x0a));
        key.set_dl_dst(MacAddr::from_u64(0x0b));
        key
    }

    fn ip(proto: u8) -> FlowKey {
        let mut key = ethernet();
        key.set_dl_type(0x0800);
        key.set_nw_src(0x0a00_0001);
        key.set_nw_dst(0x0a00_0002);
        key.set_nw_proto(proto);
        key.set_nw_ttl(64);
        key
    }

    #[test]
    fn a_composed_packet_has_its_key() {
        let mut arp = ethernet();
        arp.set_dl_type(0x0806);
        arp.set_nw_proto(1);
        arp.set_nw_src(1);
        arp.set_nw_dst(2);
        arp.set_arp_sha(MacAddr::from_u64(3));
        let mut tcp = ip(6);
        tcp.set_tp_src(80);
        tcp.set_tp_dst(8080);
        tcp.set_tcp_flags(0x12);
        tcp.set_vlan(0, 0x8100, 7 | crate::VLAN_CFI);
        let mut udp6 = ethernet();
        udp6.set_dl_type(0x86dd);
        udp6.set_ipv6_src(1);
        udp6.set_ipv6_dst(2);
        udp6.set_nw_proto(17);
        udp6.set_nw_ttl(3);
        udp6.set_tp_dst(53);
        let mut icmp = ip(1);
        icmp.set_tp_src(8);
        let mut later = ip(17);
        later.set_nw_frag(frag::ANY | frag::LATER);
        let mut llc = ethernet();
        llc.set_dl_type(crate::DL_TYPE_NONE);
        for key in [arp, tcp, udp6, icmp, later, llc] {
            assert_eq!(round_trip(&key), key);
        }
    }

    #[test]
    fn checksums_are_right() {
        let packet = compose(&ip(17));
        assert_eq!(checksum(&packet[14..34]), 0);
        let pseudo = pseudo_header(&packet[26..34], 17, 72);
        assert_eq!(Checksum::new().bytes(&pseudo).bytes(&packet[34..]).finish(), 0);
    }
}
