//! From a key to the bytes of a packet that has it: the inverse of extraction.
//!
//! Made for tests and traces (`netdev-dummy/receive p1 'in_port(1),…'`,
//! `ofproto/trace … -generate`), so lengths and payloads are those of the
//! reference: 64 bytes 0, 1, 2, … behind UDP, echo messages and TCP segments
//! that carry data.

use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::ethernet::EthernetMut;
use wire::ipv4::Ipv4Mut;
use wire::ipv6::Ipv6Mut;
use wire::transport::write_checksum;
use wire::udp::UdpMut;
use wire::{Checksum, TypedForm, arp, ethernet, icmp, ipv4, ipv6, mpls, nd, nsh, protocol, sctp, tcp, udp};

use crate::{DL_TYPE_NONE, FlowKey, MAX_MPLS, MAX_VLANS, Slot, VLAN_CFI, frag, slot};

/// How many bytes follow the last header where nothing else is said.
pub const PAYLOAD_LEN: usize = 64;

/// An Ethernet frame with this key. `payload` are the bytes behind the last
/// header of those protocols that carry some; `None`: [`PAYLOAD_LEN`] of them.
pub fn compose(key: &FlowKey, payload: Option<&[u8]>) -> Vec<u8> {
    let counting: [u8; PAYLOAD_LEN] = std::array::from_fn(|i| i as u8);
    let mut frame = frame(key, payload.unwrap_or(&counting));
    fill_in(key, &mut frame);
    frame
}

/// A frame with this key of exactly `size` bytes; `None` when its headers need more.
pub fn compose_sized(key: &FlowKey, size: usize) -> Option<Vec<u8>> {
    let mut frame = frame(key, &[]);
    if frame.len() > size {
        return None;
    }
    frame.resize(size, 0);
    fill_in(key, &mut frame);
    Some(frame)
}

/// All headers with their values; lengths and checksums are still zero.
fn frame(key: &FlowKey, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + payload.len());
    let mut header = ethernet::Header { dst: key.dl_dst(), src: key.dl_src(), ether_type: key.dl_type() };
    if key.dl_type() == DL_TYPE_NONE {
        header.ether_type = 0;
        header.append(&mut out);
        return out;
    }
    header.append(&mut out);
    for index in (0..MAX_VLANS).rev().filter(|&index| key.vlan_tci(index) & VLAN_CFI != 0) {
        let tag = ethernet::Tag { tpid: key.vlan_tpid(index), tci: key.vlan_tci(index) & !VLAN_CFI };
        out.splice(ethernet::TAG_OFFSET..ethernet::TAG_OFFSET, tag.to_bytes());
    }
    match key.dl_type() {
        ethernet::TYPE_IPV4 => {
            ipv4_header(key).append(&mut out);
            transport(key, payload, &mut out);
        }
        ethernet::TYPE_IPV6 => {
            ipv6_header(key).append(&mut out);
            transport(key, payload, &mut out);
        }
        ethernet::TYPE_ARP | ethernet::TYPE_RARP => {
            let mut packet = arp::Packet { op: key.nw_proto().into(), ..arp::Packet::default() };
            if matches!(packet.op, arp::OP_REQUEST | arp::OP_REPLY) {
                (packet.sender_mac, packet.sender_ip) = (key.arp_sha(), key.nw_src());
                (packet.target_mac, packet.target_ip) = (key.arp_tha(), key.nw_dst());
            }
            packet.append(&mut out);
        }
        ethernet::TYPE_NSH => service_header(key).append(&mut out),
        dl_type if ethernet::is_mpls(dl_type) => {
            for index in 0..MAX_MPLS {
                let entry = mpls::Entry::from(key.read(Slot::mpls(index)) as u32);
                entry.append(&mut out);
                if entry.is_bottom {
                    break;
                }
            }
        }
        _ => {}
    }
    out
}

fn ipv4_header(key: &FlowKey) -> ipv4::Header {
    let mut fragment_word = 0;
    if key.nw_frag() & frag::ANY != 0 {
        fragment_word |= ipv4::MORE_FRAGMENTS;
    }
    if key.nw_frag() & frag::LATER != 0 {
        fragment_word |= 100;
    }
    ipv4::Header {
        tos: key.nw_tos(),
        fragment_word,
        ttl: key.nw_ttl(),
        protocol: key.nw_proto(),
        src: key.nw_src(),
        dst: key.nw_dst(),
        ..ipv4::Header::default()
    }
}

fn ipv6_header(key: &FlowKey) -> ipv6::Header {
    ipv6::Header {
        traffic_class: key.nw_tos(),
        label: key.ipv6_label(),
        payload_len: 0,
        next_header: key.nw_proto(),
        hop_limit: key.nw_ttl(),
        src: key.ipv6_src(),
        dst: key.ipv6_dst(),
    }
}

fn transport(key: &FlowKey, payload: &[u8], out: &mut Vec<u8>) {
    if key.nw_frag() & frag::LATER != 0 {
        return;
    }
    let (src, dst) = (key.tp_src(), key.tp_dst());
    let mut message = icmp::Header { kind: src as u8, code: dst as u8, ..icmp::Header::default() };
    match key.nw_proto() {
        protocol::TCP => {
            let flags = key.tcp_flags() & 0xfff;
            tcp::Header { src, dst, flags, ..tcp::Header::default() }.append(out);
            if flags & (tcp::SYN | tcp::FIN | tcp::RST) == 0 {
                out.extend(payload);
            }
        }
        protocol::UDP => {
            udp::Header { src, dst, ..udp::Header::default() }.append(out);
            out.extend(payload);
        }
        protocol::SCTP => sctp::Header { src, dst, ..sctp::Header::default() }.append(out),
        protocol::ICMP => {
            message.append(out);
            if matches!(message.kind, icmp::ECHO_REQUEST | icmp::ECHO_REPLY) && message.code == 0 {
                out.extend(payload);
            }
        }
        protocol::IGMP => {
            message.rest = key.igmp_group();
            message.append(out);
        }
        protocol::ICMPV6 => {
            message.rest = key.nd_reserved();
            match (message.kind, message.code) {
                (icmp::V6_NEIGHBOR_SOLICITATION | icmp::V6_NEIGHBOR_ADVERTISEMENT, 0) => {
                    neighbor_discovery(key, message).append(out);
                }
                (icmp::V6_ECHO_REQUEST | icmp::V6_ECHO_REPLY, 0) => {
                    message.append(out);
                    out.extend(payload);
                }
                _ => message.append(out),
            }
        }
        _ => {}
    }
}

fn neighbor_discovery(key: &FlowKey, header: icmp::Header) -> nd::Message {
    let addresses = [(nd::SOURCE_ADDRESS, key.arp_sha()), (nd::TARGET_ADDRESS, key.arp_tha())];
    let given = addresses.into_iter().filter(|(_, mac)| !mac.is_zero());
    nd::Message {
        kind: header.kind,
        code: header.code,
        check: 0,
        flags: header.rest,
        target: key.nd_target(),
        options: given.map(|(kind, mac)| nd::NdOption::address(kind, mac)).collect(),
    }
}

fn service_header(key: &FlowKey) -> nsh::Header {
    let context = [slot::NSH_C1, slot::NSH_C2, slot::NSH_C3, slot::NSH_C4];
    nsh::Header {
        flags: key.nsh_flags(),
        ttl: key.nsh_ttl(),
        next: key.nsh_np(),
        service_path: key.nsh_spi(),
        service_index: key.nsh_si(),
        metadata: match key.nsh_mdtype() {
            nsh::MD_TYPE_1 => nsh::Metadata::Context(context.map(|word| key.read(word) as u32)),
            other => nsh::Metadata::Other(other, Vec::new()),
        },
    }
}

/// Lengths and checksums.
fn fill_in(key: &FlowKey, frame: &mut [u8]) {
    let total = frame.len();
    if key.dl_type() == DL_TYPE_NONE {
        if let Some(mut header) = EthernetMut::parse(frame) {
            header.set_ether_type(total as u16);
        }
        return;
    }
    let l3 = ethernet::HEADER_LEN + ethernet::VLAN_HEADER_LEN * key.vlan_count();
    let Some(packet) = frame.get_mut(l3..) else { return };
    let total = packet.len();
    let l4 = match key.dl_type() {
        ethernet::TYPE_IPV4 => {
            let Some(mut ip) = Ipv4Mut::parse_header(packet) else { return };
            ip.set_total_len(total as u16);
            ipv4::MIN_LEN
        }
        ethernet::TYPE_IPV6 => {
            let Some(mut ip) = Ipv6Mut::parse_header(packet) else { return };
            ip.set_payload_len((total - ipv6::LEN) as u16);
            ipv6::LEN
        }
        _ => return,
    };
    let Some(segment) = packet.get_mut(l4..) else { return };
    let proto = key.nw_proto();
    if key.nw_frag() & frag::LATER != 0 {
        return;
    }
    if proto == protocol::UDP
        && let Some(mut udp) = UdpMut::parse(segment)
    {
        udp.set_len((total - l4) as u16);
    }
    let pseudo = match (proto, key.dl_type()) {
        (protocol::ICMP | protocol::IGMP, _) => Checksum::new(),
        (_, ethernet::TYPE_IPV4) => pseudo_ipv4(key.nw_src(), key.nw_dst(), proto, total - l4),
        _ => pseudo_ipv6(key.ipv6_src(), key.ipv6_dst(), proto, total - l4),
    };
    write_checksum(proto, segment, pseudo);
}

/// The answer to an ARP request for `ip` at `mac`, if `frame` is one.
pub fn arp_reply(frame: &[u8], mac: base::MacAddr, ip: u32) -> Option<Vec<u8>> {
    let eth = ethernet::Ethernet::parse(frame)?;
    let request = arp::Arp::parse(eth.payload())?;
    if eth.ether_type() != ethernet::TYPE_ARP || request.op() != arp::OP_REQUEST || request.target_ip() != ip
    {
        return None;
    }
    let mut reply = ethernet::header(eth.src(), mac, ethernet::TYPE_ARP).to_vec();
    reply.extend(arp::build(arp::OP_REPLY, (mac, ip), (eth.src(), request.sender_ip())));
    Some(reply)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Metadata, extract};

    proptest! {
        /// Composing and extracting is the identity, for keys that packets have.
        #[test]
        fn what_is_composed_has_its_key(
            words in prop::collection::vec(any::<u64>(), 20),
            dl_type in prop::sample::select(vec![0x800u16, 0x86dd, 0x806, 0x8847, 0x894f, 0x5ff]),
            proto in prop::sample::select(vec![1u8, 2, 6, 17, 58, 132]),
            is_tagged: bool, is_first: bool,
        ) {
            let mut key = FlowKey::new();
            for (word, value) in (39..59).zip(words) {
                key.core_mut()[word] = value;
            }
            key.set_dl_type(dl_type);
            key.set_nw_proto(proto);
            key.set_nw_frag(if is_first && dl_type == 0x800 { frag::ANY } else { 0 });
            key.set_ipv6_label(key.ipv6_label() & 0xfffff);
            key.set_tcp_flags(key.tcp_flags() & 0xfff);
            key.set_vlan(0, if is_tagged { 0x8100 } else { 0 }, if is_tagged { key.vlan0_tci() | VLAN_CFI } else { 0 });
            key.set_vlan(1, 0, 0);
            key.set_nsh_mdtype(1);
            key.set_nsh_flags(key.nsh_flags() & 3);
            key.set_nsh_ttl(key.nsh_ttl() & 0x3f);
            if matches!(proto, 1 | 2 | 58) {
                key.set_tp_src(if proto == 58 { 135 } else { 8 });
                key.set_tp_dst(0);
            }
            if dl_type == DL_TYPE_NONE {
                // Frames with a length are made without tags.
                key.set_vlan(0, 0, 0);
            }
            let frame = compose(&key, None);
            let back = extract(&Metadata::default(), &frame, 1);
            for place in [slot::DL_SRC, slot::DL_DST, slot::DL_TYPE, slot::VLAN0_TCI] {
                prop_assert_eq!(back.read(place), key.read(place));
            }
            let places: &[Slot] = match dl_type {
                0x800 => &[slot::NW_SRC, slot::NW_DST, slot::NW_TOS, slot::NW_TTL, slot::NW_PROTO, slot::NW_FRAG],
                0x86dd => &[slot::IPV6_SRC, slot::IPV6_DST, slot::IPV6_LABEL, slot::NW_TOS, slot::NW_TTL, slot::NW_PROTO],
                0x8847 => &[slot::MPLS0],
                0x894f => &[slot::NSH_SPI, slot::NSH_SI, slot::NSH_TTL, slot::NSH_FLAGS, slot::NSH_C4],
                _ => &[],
            };
            for &place in places {
                prop_assert_eq!(back.read(place), key.read(place));
            }
            if matches!((dl_type, proto), (0x800, 1 | 2 | 6 | 17 | 132) | (0x86dd, 6 | 17 | 58 | 132)) {
                prop_assert_eq!((back.tp_src(), back.tp_dst()), (key.tp_src(), key.tp_dst()));
            }
            if (dl_type, proto) == (0x86dd, 58) {
                prop_assert_eq!((back.nd_target(), back.nd_reserved()), (key.nd_target(), key.nd_reserved()));
            }
            prop_assert_eq!(compose_sized(&key, 300).map(|frame| frame.len()), Some(300));
        }
    }

    #[test]
    fn lengths_are_those_of_the_reference() {
        let mut key = FlowKey::new();
        key.set_dl_type(0x800);
        key.set_nw_proto(1);
        key.set_tp_src(8);
        assert_eq!(compose(&key, None).len(), 106);
        key.set_nw_proto(6);
        key.set_tcp_flags(tcp::SYN);
        assert_eq!(compose(&key, None).len(), 54);
        assert_eq!(compose_sized(&key, 20), None);
    }
}
