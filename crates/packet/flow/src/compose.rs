//! From a key to the bytes of a packet that has it: the inverse of extraction.
//!
//! Made for tests and traces (`netdev-dummy/receive p1 'in_port(1),…'`,
//! `ofproto/trace … -generate`), so lengths and payloads are those of the
//! reference: 64 bytes 0, 1, 2, … behind UDP, echo messages and TCP segments
//! that carry data.

use wire::bytes::put16;
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::{Checksum, ethernet, icmp, ipv4, ipv6, mpls, nsh, protocol, tcp, udp};

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
    out.extend(key.dl_dst().0);
    out.extend(key.dl_src().0);
    if key.dl_type() == DL_TYPE_NONE {
        out.extend([0, 0]);
        return out;
    }
    for index in 0..MAX_VLANS {
        if key.vlan_tci(index) & VLAN_CFI != 0 {
            out.extend(key.vlan_tpid(index).to_be_bytes());
            out.extend((key.vlan_tci(index) & !VLAN_CFI).to_be_bytes());
        }
    }
    out.extend(key.dl_type().to_be_bytes());
    match key.dl_type() {
        ethernet::TYPE_IPV4 => {
            let mut fragment = 0;
            if key.nw_frag() & frag::ANY != 0 {
                fragment |= ipv4::MORE_FRAGMENTS;
            }
            if key.nw_frag() & frag::LATER != 0 {
                fragment |= 100;
            }
            out.extend(ipv4::header(
                key.nw_src(),
                key.nw_dst(),
                key.nw_proto(),
                key.nw_tos(),
                key.nw_ttl(),
                fragment,
                0,
            ));
            transport(key, payload, &mut out);
        }
        ethernet::TYPE_IPV6 => {
            let header = (key.ipv6_src(), key.ipv6_dst());
            out.extend(ipv6::header(
                header.0,
                header.1,
                key.nw_proto(),
                key.nw_tos(),
                key.ipv6_label(),
                key.nw_ttl(),
                0,
            ));
            transport(key, payload, &mut out);
        }
        ethernet::TYPE_ARP | ethernet::TYPE_RARP => {
            let (mut sender, mut target) = Default::default();
            if matches!(key.nw_proto(), 1 | 2) {
                sender = (key.arp_sha(), key.nw_src());
                target = (key.arp_tha(), key.nw_dst());
            }
            out.extend(wire::arp::build(key.nw_proto().into(), sender, target));
        }
        ethernet::TYPE_NSH => service_header(key, &mut out),
        dl_type if ethernet::is_mpls(dl_type) => {
            for index in 0..MAX_MPLS {
                let entry = key.read(Slot::mpls(index)) as u32;
                out.extend(entry.to_be_bytes());
                if mpls::is_bottom(entry) {
                    break;
                }
            }
        }
        _ => {}
    }
    out
}

fn transport(key: &FlowKey, payload: &[u8], out: &mut Vec<u8>) {
    if key.nw_frag() & frag::LATER != 0 {
        return;
    }
    let mut ports = [0; 4];
    put16(&mut ports, 0, key.tp_src());
    put16(&mut ports, 2, key.tp_dst());
    let (kind, code) = (key.tp_src() as u8, key.tp_dst() as u8);
    match key.nw_proto() {
        protocol::TCP => {
            out.extend(ports);
            out.extend([0; 8]);
            out.extend((5 << 12 | key.tcp_flags() & 0xfff).to_be_bytes());
            out.extend([0; 6]);
            if key.tcp_flags() & (tcp::SYN | tcp::FIN | tcp::RST) == 0 {
                out.extend(payload);
            }
        }
        protocol::UDP => {
            out.extend(ports);
            out.extend([0; 4]);
            out.extend(payload);
        }
        protocol::SCTP => {
            out.extend(ports);
            out.extend([0; 8]);
        }
        protocol::ICMP => {
            out.extend([kind, code, 0, 0, 0, 0, 0, 0]);
            if matches!(kind, icmp::ECHO_REQUEST | icmp::ECHO_REPLY) && code == 0 {
                out.extend(payload);
            }
        }
        protocol::IGMP => {
            out.extend([kind, code, 0, 0]);
            out.extend(key.igmp_group().to_be_bytes());
        }
        protocol::ICMPV6 => {
            out.extend([kind, code, 0, 0]);
            out.extend(key.nd_reserved().to_be_bytes());
            if code == 0 && matches!(kind, icmp::V6_NEIGHBOR_SOLICITATION | icmp::V6_NEIGHBOR_ADVERTISEMENT) {
                out.extend(key.nd_target().to_be_bytes());
                for (option, mac) in [(1, key.arp_sha()), (2, key.arp_tha())] {
                    if !mac.is_zero() {
                        out.extend([option, 1]);
                        out.extend(mac.0);
                    }
                }
            } else if code == 0 && matches!(kind, icmp::V6_ECHO_REQUEST | icmp::V6_ECHO_REPLY) {
                out.extend(payload);
            }
        }
        _ => {}
    }
}

fn service_header(key: &FlowKey, out: &mut Vec<u8>) {
    let is_type_1 = key.nsh_mdtype() == nsh::MD_TYPE_1;
    let len = if is_type_1 { nsh::MD1_LEN } else { nsh::BASE_LEN };
    out.extend(nsh::first_word(key.nsh_flags(), key.nsh_ttl(), len).to_be_bytes());
    out.extend([key.nsh_mdtype(), key.nsh_np()]);
    out.extend((key.nsh_spi() << 8 | u32::from(key.nsh_si())).to_be_bytes());
    if is_type_1 {
        for word in [slot::NSH_C1, slot::NSH_C2, slot::NSH_C3, slot::NSH_C4] {
            out.extend((key.read(word) as u32).to_be_bytes());
        }
    }
}

/// Lengths and checksums.
fn fill_in(key: &FlowKey, frame: &mut [u8]) {
    let total = frame.len();
    if key.dl_type() == DL_TYPE_NONE {
        put16(frame, 12, total as u16);
        return;
    }
    let l3 = ethernet::HEADER_LEN + ethernet::VLAN_HEADER_LEN * key.vlan_count();
    let (l4, pseudo) = match key.dl_type() {
        ethernet::TYPE_IPV4 => {
            let l4 = l3 + ipv4::MIN_LEN;
            put16(frame, l3 + 2, (total - l3) as u16);
            put16(frame, l3 + 10, 0);
            let check = wire::checksum(frame.get(l3..l4).unwrap_or(&[]));
            put16(frame, l3 + 10, check);
            (l4, pseudo_ipv4(key.nw_src(), key.nw_dst(), key.nw_proto(), total - l4))
        }
        ethernet::TYPE_IPV6 => {
            let l4 = l3 + ipv6::LEN;
            put16(frame, l3 + 4, (total - l4) as u16);
            (l4, pseudo_ipv6(key.ipv6_src(), key.ipv6_dst(), key.nw_proto(), total - l4))
        }
        _ => return,
    };
    if key.nw_frag() & frag::LATER != 0 {
        return;
    }
    let (at, sum) = match key.nw_proto() {
        protocol::TCP => (tcp::CHECK_OFFSET, pseudo),
        protocol::UDP => {
            put16(frame, l4 + 4, (total - l4) as u16);
            (udp::CHECK_OFFSET, pseudo)
        }
        protocol::ICMP | protocol::IGMP => (2, Checksum::new()),
        protocol::ICMPV6 => (2, pseudo),
        _ => return,
    };
    let check = sum.bytes(frame.get(l4..).unwrap_or(&[])).finish();
    let check = if key.nw_proto() == protocol::UDP && check == 0 { 0xffff } else { check };
    put16(frame, l4 + at, check);
}

/// The answer to an ARP request for `ip` at `mac`, if `frame` is one.
pub fn arp_reply(frame: &[u8], mac: base::MacAddr, ip: u32) -> Option<Vec<u8>> {
    let eth = ethernet::Ethernet::parse(frame)?;
    let request = wire::arp::Arp::parse(eth.payload())?;
    if eth.ether_type() != ethernet::TYPE_ARP
        || request.op() != wire::arp::OP_REQUEST
        || request.target_ip() != ip
    {
        return None;
    }
    let mut reply = ethernet::header(eth.src(), mac, ethernet::TYPE_ARP).to_vec();
    reply.extend(wire::arp::build(wire::arp::OP_REPLY, (mac, ip), (eth.src(), request.sender_ip())));
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
            for (word, value) in (31..51).zip(words) {
                key.words_mut()[word] = value;
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
