//! Rewriting header fields, and the checksums that cover them.
//!
//! A checksum that the device shall complete ([`crate::Offload::checksum`])
//! holds the sum of the pseudo header only: changes of addresses are brought
//! into that sum, changes of ports are left to the device.

use flow::{CtKey, FlowKey, Slot, TunnelKey, slot};
use wire::bytes::{be16, be32, be48, be128, byte, put, put16, put32, put128};
use wire::checksum::{replace16, replace32, replace128};
use wire::{ethernet, icmp, ipv4, ipv6, nsh, protocol, sctp, tcp, udp};

use super::tags;
use crate::{Attr, Packet, Set};

/// Gives the fields of `set` their new values, as far as the packet has them.
pub(super) fn set(packet: &mut Packet, set: &Set) {
    match set.attr {
        Attr::Priority => {
            packet.metadata.skb_priority = merge32(set, slot::SKB_PRIORITY, packet.metadata.skb_priority)
        }
        Attr::SkbMark => packet.metadata.pkt_mark = merge32(set, slot::PKT_MARK, packet.metadata.pkt_mark),
        Attr::DpHash => packet.metadata.dp_hash = merge32(set, slot::DP_HASH, packet.metadata.dp_hash),
        Attr::RecircId => {
            packet.metadata.recirc_id = merge32(set, slot::RECIRC_ID, packet.metadata.recirc_id)
        }
        Attr::Tunnel => {
            let key = FlowKey::from_words(set.key.to_dense());
            packet.metadata.tunnel = TunnelKey::from_key(&key).map(Box::new);
        }
        Attr::CtState | Attr::CtZone | Attr::CtMark | Attr::CtLabel => set_ct(packet, set),
        Attr::Ethernet => set_ethernet(packet, set),
        Attr::Ipv4 => set_ipv4(packet, set),
        Attr::Ipv6 => set_ipv6(packet, set),
        Attr::Tcp => set_ports(packet, set, protocol::TCP, tcp::MIN_LEN),
        Attr::Udp => set_ports(packet, set, protocol::UDP, udp::LEN),
        Attr::Sctp => set_ports(packet, set, protocol::SCTP, sctp::LEN),
        Attr::Icmp | Attr::Icmpv6 => set_icmp(packet, set),
        Attr::Arp => set_arp(packet, set),
        Attr::Nd | Attr::NdExt => set_nd(packet, set),
        Attr::Mpls => set_mpls(packet, set),
        Attr::Nsh => set_nsh(packet, set),
        Attr::Vlan => {
            if packet.metadata.packet_type == 0 && ethernet::is_vlan(be16(packet.bytes(), 12)) {
                let tci = merge(set, slot::VLAN0_TCI, u128::from(be16(packet.bytes(), 14))) as u16;
                put16(packet.bytes_mut(), 14, tci & !flow::VLAN_CFI);
            }
        }
        // Nobody can set these: the text and netlink forms have no such action.
        Attr::InPort
        | Attr::PacketType
        | Attr::EthType
        | Attr::TcpFlags
        | Attr::CtTuple4
        | Attr::CtTuple6 => {}
    }
}

fn merge(set: &Set, at: Slot, old: u128) -> u128 {
    let mask = set.mask.read(at);
    old & !mask | set.key.read(at) & mask
}

fn merge32(set: &Set, at: Slot, old: u32) -> u32 {
    merge(set, at, u128::from(old)) as u32
}

fn set_ct(packet: &mut Packet, set: &Set) {
    let mut key = packet.metadata.ct.as_ref().map(|ct| ct.to_key()).unwrap_or_default();
    for &(at, _) in set.attr.slots() {
        let value = merge(set, at, key.read(at));
        key.write(at, value);
    }
    packet.metadata.ct = CtKey::from_key(&key).map(Box::new);
}

fn set_ethernet(packet: &mut Packet, set: &Set) {
    if packet.metadata.packet_type != 0 || packet.len() < ethernet::HEADER_LEN {
        return;
    }
    let bytes = packet.bytes_mut();
    for (at, place) in [(0, slot::DL_DST), (6, slot::DL_SRC)] {
        if set.mask.read(place) != 0 {
            let mac = merge(set, place, u128::from(be48(bytes, at))) as u64;
            put(bytes, at, base::MacAddr::from_u64(mac).0);
        }
    }
}

/// Where L4 is and which, for rewriting; later fragments have none.
struct L4 {
    at: usize,
    protocol: u8,
    /// Length of header and payload.
    len: usize,
    /// The pseudo header covers the addresses that stand in the fixed header.
    covers_addresses: bool,
}

fn l4(packet: &Packet) -> Option<L4> {
    let (l3, ether_type) = tags::l3(packet);
    let bytes = packet.bytes().get(l3..)?;
    match ether_type {
        ethernet::TYPE_IPV4 => {
            let ip = ipv4::Ipv4::parse(bytes)?;
            let len = ip.payload().len();
            (!ip.is_later_fragment()).then(|| L4 {
                at: l3 + ip.header_len(),
                protocol: ip.protocol(),
                len,
                covers_addresses: true,
            })
        }
        ethernet::TYPE_IPV6 => {
            let ip = ipv6::Ipv6::parse(bytes)?;
            let payload = ip.payload();
            let upper = ipv6::upper(ip.next_header(), payload)?;
            (!upper.is_later_fragment).then(|| L4 {
                at: l3 + ipv6::LEN + payload.len() - upper.payload.len(),
                protocol: upper.protocol,
                len: upper.payload.len(),
                covers_addresses: !upper.has_routing,
            })
        }
        _ => None,
    }
}

/// The place of the checksum that covers the pseudo header, if L4 has one in use.
fn l4_check(packet: &Packet, l4: &L4) -> Option<usize> {
    let bytes = packet.bytes();
    match l4.protocol {
        protocol::TCP if l4.len >= tcp::MIN_LEN => Some(l4.at + tcp::CHECK_OFFSET),
        protocol::UDP if l4.len >= udp::LEN => {
            let at = l4.at + udp::CHECK_OFFSET;
            (be16(bytes, at) != 0 || is_partial(packet)).then_some(at)
        }
        protocol::ICMPV6 if l4.len >= 4 => Some(l4.at + 2),
        _ => None,
    }
}

fn is_partial(packet: &Packet) -> bool {
    packet.offload.checksum.is_some()
}

/// Corrects the L4 checksum after an address changed; `fix` corrects a checksum.
fn fix_address(packet: &mut Packet, fix: impl Fn(u16) -> u16) {
    let Some(l4) = l4(packet) else { return };
    if !l4.covers_addresses {
        return;
    }
    let Some(at) = l4_check(packet, &l4) else { return };
    let old = be16(packet.bytes(), at);
    // A partial checksum is a sum and not its complement.
    let new = if is_partial(packet) { !fix(!old) } else { nonzero(&l4, fix(old)) };
    put16(packet.bytes_mut(), at, new);
}

/// UDP's zero means "no checksum".
fn nonzero(l4: &L4, check: u16) -> u16 {
    if l4.protocol == protocol::UDP && check == 0 { 0xffff } else { check }
}

fn set_ipv4(packet: &mut Packet, set: &Set) {
    let (at, ether_type) = tags::l3(packet);
    let Some(bytes) = packet.bytes().get(at..) else { return };
    if ether_type != ethernet::TYPE_IPV4 || ipv4::Ipv4::parse(bytes).is_none() {
        return;
    }
    for (offset, place) in [(12, slot::NW_SRC), (16, slot::NW_DST)] {
        let old = be32(packet.bytes(), at + offset);
        let new = merge32(set, place, old);
        if new != old {
            fix_address(packet, |check| replace32(check, old, new));
            let bytes = packet.bytes_mut();
            put32(bytes, at + offset, new);
            let check = be16(bytes, at + 10);
            put16(bytes, at + 10, replace32(check, old, new));
        }
    }
    let bytes = packet.bytes_mut();
    for (offset, place) in [(1, slot::NW_TOS), (8, slot::NW_TTL)] {
        let word_at = at + (offset & !1);
        let old = be16(bytes, word_at);
        put(bytes, at + offset, [merge(set, place, u128::from(byte(bytes, at + offset))) as u8]);
        let check = be16(bytes, at + 10);
        let new = be16(bytes, word_at);
        if new != old {
            put16(bytes, at + 10, replace16(check, old, new));
        }
    }
}

fn set_ipv6(packet: &mut Packet, set: &Set) {
    let (at, ether_type) = tags::l3(packet);
    let Some(bytes) = packet.bytes().get(at..) else { return };
    if ether_type != ethernet::TYPE_IPV6 || ipv6::Ipv6::parse(bytes).is_none() {
        return;
    }
    for (offset, place) in [(8, slot::IPV6_SRC), (24, slot::IPV6_DST)] {
        let old = be128(packet.bytes(), at + offset);
        let new = merge(set, place, old);
        if new != old {
            fix_address(packet, |check| replace128(check, old, new));
            put128(packet.bytes_mut(), at + offset, new);
        }
    }
    let bytes = packet.bytes_mut();
    let first = be32(bytes, at);
    let class = merge(set, slot::NW_TOS, u128::from(first >> 20 & 0xff)) as u32;
    let label = merge32(set, slot::IPV6_LABEL, first & ipv6::LABEL_MASK) & ipv6::LABEL_MASK;
    put32(bytes, at, first & 0xf000_0000 | class << 20 | label);
    put(bytes, at + 7, [merge(set, slot::NW_TTL, u128::from(byte(bytes, at + 7))) as u8]);
}

/// Sets the ports of a packet of this protocol, whose header takes `least` bytes or more.
fn set_ports(packet: &mut Packet, set: &Set, protocol: u8, least: usize) {
    let Some(l4) = l4(packet) else { return };
    if l4.protocol != protocol || l4.len < least {
        return;
    }
    let old = be32(packet.bytes(), l4.at);
    let src = merge(set, slot::TP_SRC, u128::from(old >> 16)) as u32;
    let new = src << 16 | merge(set, slot::TP_DST, u128::from(old & 0xffff)) as u32;
    if new == old {
        return;
    }
    if l4.protocol == protocol::SCTP {
        set_sctp_ports(packet, &l4, new);
        return;
    }
    if !is_partial(packet)
        && let Some(at) = l4_check(packet, &l4)
    {
        let check = nonzero(&l4, replace32(be16(packet.bytes(), at), old, new));
        put16(packet.bytes_mut(), at, check);
    }
    put32(packet.bytes_mut(), l4.at, new);
}

/// A wrong CRC stays wrong by the same difference, so that errors stay visible.
fn set_sctp_ports(packet: &mut Packet, l4: &L4, ports: u32) {
    let Some(body) = packet.bytes_mut().get_mut(l4.at..l4.at + l4.len) else { return };
    let at = sctp::CHECK_OFFSET;
    let stated = be32(body, at);
    sctp::write_checksum(body);
    let difference = stated ^ be32(body, at);
    put32(body, 0, ports);
    sctp::write_checksum(body);
    let right = be32(body, at);
    put32(body, at, right ^ difference);
}

fn set_icmp(packet: &mut Packet, set: &Set) {
    let Some(l4) = l4(packet) else { return };
    if !matches!(l4.protocol, protocol::ICMP | protocol::ICMPV6) || l4.len < 4 {
        return;
    }
    let bytes = packet.bytes_mut();
    let old = be16(bytes, l4.at);
    let kind = merge(set, slot::TP_SRC, u128::from(old >> 8)) as u8;
    let code = merge(set, slot::TP_DST, u128::from(old & 0xff)) as u8;
    let new = u16::from_be_bytes([kind, code]);
    if new != old {
        put16(bytes, l4.at, new);
        let check = be16(bytes, l4.at + 2);
        put16(bytes, l4.at + 2, replace16(check, old, new));
    }
}

fn set_arp(packet: &mut Packet, set: &Set) {
    let (at, ether_type) = tags::l3(packet);
    if !matches!(ether_type, ethernet::TYPE_ARP | ethernet::TYPE_RARP) || packet.len() < at + wire::arp::LEN {
        return;
    }
    let bytes = packet.bytes_mut();
    let op = merge(set, slot::NW_PROTO, u128::from(be16(bytes, at + 6))) as u16;
    put16(bytes, at + 6, op);
    for (offset, place) in [(8, slot::ARP_SHA), (18, slot::ARP_THA)] {
        let mac = merge(set, place, u128::from(be48(bytes, at + offset))) as u64;
        put(bytes, at + offset, base::MacAddr::from_u64(mac).0);
    }
    for (offset, place) in [(14, slot::NW_SRC), (24, slot::NW_DST)] {
        let ip = merge32(set, place, be32(bytes, at + offset));
        put32(bytes, at + offset, ip);
    }
}

fn set_nd(packet: &mut Packet, set: &Set) {
    let Some(l4) = l4(packet) else { return };
    if l4.protocol != protocol::ICMPV6 || l4.len < icmp::LEN {
        return;
    }
    let Some(body) = packet.bytes_mut().get_mut(l4.at..l4.at + l4.len) else { return };
    let mut check = be16(body, 2);
    if set.attr == Attr::NdExt {
        let old = be32(body, 4);
        let new = merge32(set, slot::ND_RESERVED, old);
        put32(body, 4, new);
        check = replace32(check, old, new);
    } else if body.len() >= 24 {
        let old = be128(body, 8);
        let new = merge(set, slot::ND_TARGET, old);
        put128(body, 8, new);
        check = replace128(check, old, new);
    }
    let mut at = 24;
    while body.len() >= at + 8 {
        let len = usize::from(byte(body, at + 1)) * 8;
        if len == 0 || at + len > body.len() {
            break;
        }
        let kind = byte(body, at);
        if len == 8 && matches!(kind, 1 | 2) {
            let old = [be32(body, at), be32(body, at + 4)];
            if set.attr == Attr::NdExt {
                put(body, at, [merge(set, slot::ND_OPTIONS_TYPE, u128::from(kind)) as u8]);
            } else {
                let place = if kind == 1 { slot::ARP_SHA } else { slot::ARP_THA };
                let mac = merge(set, place, u128::from(be48(body, at + 2))) as u64;
                put(body, at + 2, base::MacAddr::from_u64(mac).0);
            }
            check = replace32(check, old[0], be32(body, at));
            check = replace32(check, old[1], be32(body, at + 4));
        }
        at += len;
    }
    put16(body, 2, check);
}

fn set_mpls(packet: &mut Packet, set: &Set) {
    if let Some((at, entry)) = tags::first_label(packet) {
        let entry = merge32(set, slot::MPLS0, entry);
        put32(packet.bytes_mut(), at, entry);
    }
}

fn set_nsh(packet: &mut Packet, set: &Set) {
    let Some(at) = tags::nsh_at(packet) else { return };
    let bytes = packet.bytes_mut();
    let first = be16(bytes, at);
    let flags = merge(set, slot::NSH_FLAGS, u128::from(first >> 12 & 3)) as u8;
    let ttl = merge(set, slot::NSH_TTL, u128::from(first >> 6 & 0x3f)) as u8;
    put16(bytes, at, nsh::first_word(flags, ttl, usize::from(first & 0x3f) * 4) | first & 0xc000);
    let path = be32(bytes, at + 4);
    let spi = merge32(set, slot::NSH_SPI, path >> 8);
    let si = merge32(set, slot::NSH_SI, path & 0xff);
    put32(bytes, at + 4, spi << 8 | si & 0xff);
    if byte(bytes, at + 2) == nsh::MD_TYPE_1 {
        for (index, place) in [slot::NSH_C1, slot::NSH_C2, slot::NSH_C3, slot::NSH_C4].into_iter().enumerate()
        {
            let at = at + nsh::BASE_LEN + index * 4;
            let word = merge32(set, place, be32(bytes, at));
            put32(bytes, at, word);
        }
    }
}

/// Takes one off the TTL or hop limit; false when it is at its end.
pub(super) fn decrement_ttl(packet: &mut Packet) -> bool {
    let (at, ether_type) = tags::l3(packet);
    let bytes = packet.bytes_mut();
    match ether_type {
        ethernet::TYPE_IPV4 if bytes.len() >= at + ipv4::MIN_LEN => {
            let old = be16(bytes, at + 8);
            if old >> 8 <= 1 {
                return false;
            }
            put16(bytes, at + 8, old - 0x100);
            let check = be16(bytes, at + 10);
            put16(bytes, at + 10, replace16(check, old, old - 0x100));
            true
        }
        ethernet::TYPE_IPV6 if bytes.len() >= at + ipv6::LEN => {
            let hops = byte(bytes, at + 7);
            put(bytes, at + 7, [hops.saturating_sub(1)]);
            hops > 1
        }
        _ => true,
    }
}
