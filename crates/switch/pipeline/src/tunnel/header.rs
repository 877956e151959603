//! The headers that a tunnel puts before packets, as far as they are the same for all packets of a flow: lengths, checksums
//! and the UDP source port are left to the datapath.

use base::MacAddr;
use dp::TunnelKind;
use flow::{FlowKey, tunnel_flags};
use wire::geneve::GeneveOption;
use wire::{TypedForm, erspan, ethernet, extension, geneve, gre, gtpu, ipv4, ipv6, protocol, udp, vxlan};

use crate::tunnel_config::{Key, TunnelConfig, unmapped};

/// A UDP checksum that is to be computed; transparent to the computation.
const TO_BE_COMPUTED: u16 = 0xffff;

/// Where the outer packet goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub src_mac: MacAddr,
    pub dst_mac: MacAddr,
    /// An address of IPv4 is mapped.
    pub source: u128,
}

/// Headers, and the number by which datapath text names their kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Headers {
    pub kind: u32,
    /// The protocol that rules see in the outer packet: the one behind IP and its extension headers.
    pub protocol: u8,
    pub bytes: Vec<u8>,
}

/// The headers for a packet whose tunnel fields are those of `key`; `None` when the tunnel cannot say what is asked of it.
pub(super) fn build(
    config: &TunnelConfig,
    key: &FlowKey,
    outer: Outer,
    options: Vec<GeneveOption>,
) -> Option<Headers> {
    let is_v6 = key.tun_dst() == 0;
    let number = |v4: u32, v6: u32| if is_v6 { v6 } else { v4 };
    let (kind, protocol) = match config.kind {
        TunnelKind::Vxlan => (4, protocol::UDP),
        TunnelKind::Geneve => (5, protocol::UDP),
        TunnelKind::Gre | TunnelKind::Ip6Gre => (number(3, 109), protocol::GRE),
        TunnelKind::Erspan | TunnelKind::Ip6Erspan => (number(107, 108), protocol::GRE),
        TunnelKind::Gtpu => (110, protocol::UDP),
        TunnelKind::Srv6 => (112, protocol::ROUTING),
        TunnelKind::Bareudp | TunnelKind::Lisp | TunnelKind::Stt => return None,
    };
    let mut bytes = Vec::new();
    let label = if config.kind == TunnelKind::Srv6 { config.flow_label as u32 } else { 0 };
    network(&mut bytes, key, outer, protocol, label)?;
    match config.kind {
        TunnelKind::Vxlan => {
            udp_header(&mut bytes, config, key);
            let mut header = vxlan::Header::new(key.tun_id() as u32 & 0xff_ffff);
            if config.has_next_protocol {
                header = header.with_next_protocol(next_protocol(key.packet_type())?);
            }
            if config.has_group_policy && (key.tun_gbp_id() != 0 || key.tun_gbp_flags() != 0) {
                header = header.with_group_policy(group_policy(key));
            }
            header.append(&mut bytes);
        }
        TunnelKind::Geneve => {
            udp_header(&mut bytes, config, key);
            let has_critical = options.iter().any(|option| option.kind & geneve::CRITICAL != 0);
            geneve::Header {
                is_oam: key.tun_flags() & tunnel_flags::OAM != 0,
                has_critical,
                protocol: ethernet::TYPE_TEB,
                vni: key.tun_id() as u32 & 0xff_ffff,
                options,
            }
            .append(&mut bytes);
        }
        TunnelKind::Gre | TunnelKind::Ip6Gre => gre::Header {
            protocol: match key.packet_type() {
                0 => ethernet::TYPE_TEB,
                // The low half is the EtherType.
                other => other as u16,
            },
            checksum: (key.tun_flags() & tunnel_flags::CSUM != 0).then_some(0),
            key: (config.out_key != Key::Absent).then_some(key.tun_id() as u32),
            sequence: config.has_sequence.then_some(0),
        }
        .append(&mut bytes),
        TunnelKind::Erspan | TunnelKind::Ip6Erspan => {
            let header = erspan_header(key)?;
            gre::Header { protocol: header.protocol(), sequence: Some(0), ..gre::Header::default() }
                .append(&mut bytes);
            header.append(&mut bytes);
        }
        TunnelKind::Gtpu => {
            udp_header(&mut bytes, config, key);
            // What rules do not say is a packet of a user (3GPP TS 29.281 §5.1).
            let or = |value: u8, default: u8| if value == 0 { default } else { value };
            gtpu::Base {
                flags: or(key.tun_gtpu_flags(), gtpu::FLAGS),
                message: or(key.tun_gtpu_msgtype(), gtpu::MESSAGE_PACKET),
                len: 0,
                endpoint: key.tun_id() as u32,
            }
            .append(&mut bytes);
        }
        TunnelKind::Srv6 => segment_routing(config, key)?.append(&mut bytes),
        TunnelKind::Bareudp | TunnelKind::Lisp | TunnelKind::Stt => return None,
    }
    let protocol = if config.kind == TunnelKind::Srv6 { behind_segments(key)? } else { protocol };
    Some(Headers { kind, protocol, bytes })
}

/// Ethernet and IP.
fn network(bytes: &mut Vec<u8>, key: &FlowKey, outer: Outer, protocol: u8, label: u32) -> Option<()> {
    let ether = |ether_type| ethernet::Header { dst: outer.dst_mac, src: outer.src_mac, ether_type };
    if key.tun_dst() != 0 {
        ether(ethernet::TYPE_IPV4).append(bytes);
        let is_fixed = key.tun_flags() & tunnel_flags::DONT_FRAGMENT != 0;
        ipv4::Header {
            tos: key.tun_tos(),
            fragment_word: if is_fixed { ipv4::DONT_FRAGMENT } else { 0 },
            ttl: key.tun_ttl(),
            protocol,
            src: unmapped(outer.source)?,
            dst: key.tun_dst(),
            ..ipv4::Header::default()
        }
        .append(bytes);
    } else {
        ether(ethernet::TYPE_IPV6).append(bytes);
        ipv6::Header {
            traffic_class: key.tun_tos(),
            label,
            next_header: protocol,
            hop_limit: key.tun_ttl(),
            src: outer.source,
            dst: key.tun_ipv6_dst(),
            ..ipv6::Header::default()
        }
        .append(bytes);
    }
    Some(())
}

fn udp_header(bytes: &mut Vec<u8>, config: &TunnelConfig, key: &FlowKey) {
    let has_checksum = key.tun_flags() & tunnel_flags::CSUM != 0;
    let check = if has_checksum { TO_BE_COMPUTED } else { 0 };
    udp::Header { dst: config.port, check, ..udp::Header::default() }.append(bytes);
}

/// The segments, the last one first (RFC 8754 §2). `None` over IPv4, for what is no IP packet, and for a way that does not begin
/// where the outer packet goes.
fn segment_routing(config: &TunnelConfig, key: &FlowKey) -> Option<extension::SegmentRouting> {
    let first = key.tun_ipv6_dst();
    let mut segments = if config.segments.is_empty() { vec![first] } else { config.segments.clone() };
    if first == 0 || segments.first() != Some(&first) {
        return None;
    }
    segments.reverse();
    let next_header = behind_segments(key)?;
    let segments_left = u8::try_from(segments.len() - 1).ok()?;
    Some(extension::SegmentRouting { next_header, segments_left, segments, ..Default::default() })
}

/// What stands behind a segment routing header: the packet inside.
fn behind_segments(key: &FlowKey) -> Option<u8> {
    match key.dl_type() {
        ethernet::TYPE_IPV4 => Some(protocol::IPIP),
        ethernet::TYPE_IPV6 => Some(protocol::IPV6),
        _ => None,
    }
}

/// What VXLAN-GPE says of packets of this type; `None` where it cannot.
fn next_protocol(packet_type: u32) -> Option<u8> {
    match (packet_type >> 16, packet_type as u16) {
        (0, 0) => Some(vxlan::NEXT_ETHERNET),
        (1, ethernet::TYPE_IPV4) => Some(vxlan::NEXT_IPV4),
        (1, ethernet::TYPE_IPV6) => Some(vxlan::NEXT_IPV6),
        (1, ethernet::TYPE_NSH) => Some(vxlan::NEXT_NSH),
        _ => None,
    }
}

/// The group and what is known of it, in the bits that VXLAN has for them.
fn group_policy(key: &FlowKey) -> vxlan::GroupPolicy {
    vxlan::GroupPolicy {
        group: key.tun_gbp_id(),
        is_not_learned: key.tun_gbp_flags() & 0x40 != 0,
        is_applied: key.tun_gbp_flags() & 0x08 != 0,
    }
}

/// `None` for a session of more than ten bits, and where no version was said.
fn erspan_header(key: &FlowKey) -> Option<erspan::Header> {
    let session = u16::try_from(key.tun_id()).ok().filter(|session| *session < 0x400)?;
    let kind = match key.tun_erspan_ver() {
        1 => erspan::Kind::Ii { index: key.tun_erspan_idx() },
        2 => erspan::Kind::Iii(erspan::TypeIii {
            hardware: key.tun_erspan_hwid(),
            is_egress: key.tun_erspan_dir() != 0,
            ..erspan::TypeIii::default()
        }),
        _ => return None,
    };
    Some(erspan::Header { session, kind, ..erspan::Header::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::mapped_v4;

    fn outer() -> Outer {
        Outer {
            src_mac: MacAddr([2, 0, 0, 0, 0, 1]),
            dst_mac: MacAddr([2, 0, 0, 0, 0, 2]),
            source: mapped_v4(1),
        }
    }

    #[test]
    fn headers_read_back() {
        let config = TunnelConfig { port: 4789, ..TunnelConfig::new(TunnelKind::Vxlan) };
        let mut key = FlowKey::new();
        key.set_tun_dst(2);
        key.set_tun_id(0x123);
        key.set_tun_ttl(64);
        key.set_tun_flags(tunnel_flags::KEY | tunnel_flags::DONT_FRAGMENT);
        let built = build(&config, &key, outer(), Vec::new()).unwrap();
        assert_eq!((built.kind, built.protocol, built.bytes.len()), (4, 17, 50));
        let header = vxlan::Header::parse(&built.bytes[42..]).unwrap();
        assert_eq!((header.vni, header.flags), (0x123, vxlan::FLAG_VNI));
        let config = TunnelConfig { out_key: Key::Is(7), ..TunnelConfig::new(TunnelKind::Gre) };
        key.set_tun_id(7);
        let built = build(&config, &key, outer(), Vec::new()).unwrap();
        assert_eq!((built.kind, built.bytes.len()), (3, 42));
        assert_eq!(gre::Header::parse(&built.bytes[34..]).unwrap().key, Some(7));
        // An address of one family cannot be the source for one of the other.
        let wrong = Outer { source: 1, ..outer() };
        assert_eq!(build(&config, &key, wrong, Vec::new()), None);
    }

    #[test]
    fn rules_see_what_is_behind_the_segments() {
        let config = TunnelConfig::new(TunnelKind::Srv6);
        let mut key = FlowKey::new();
        key.set_tun_ipv6_dst(0xfc00 << 112 | 2);
        let outer = Outer { source: 0xfc00 << 112 | 1, ..outer() };
        for (inside, protocol) in
            [(ethernet::TYPE_IPV4, protocol::IPIP), (ethernet::TYPE_IPV6, protocol::IPV6)]
        {
            key.set_dl_type(inside);
            let built = build(&config, &key, outer, Vec::new()).unwrap();
            assert_eq!((built.kind, built.protocol, built.bytes[20]), (112, protocol, protocol::ROUTING));
            assert_eq!(built.bytes[54], protocol);
        }
        key.set_dl_type(ethernet::TYPE_ARP);
        assert_eq!(build(&config, &key, outer, Vec::new()), None);
    }

    #[test]
    fn what_erspan_cannot_say_is_not_sent() {
        let config = TunnelConfig::new(TunnelKind::Erspan);
        let mut key = FlowKey::new();
        key.set_tun_dst(2);
        assert_eq!(build(&config, &key, outer(), Vec::new()), None, "no version");
        key.set_tun_erspan_ver(2);
        assert_eq!(build(&config, &key, outer(), Vec::new()).unwrap().bytes.len(), 54);
        key.set_tun_id(0x400);
        assert_eq!(build(&config, &key, outer(), Vec::new()), None, "more than ten bits");
    }
}
