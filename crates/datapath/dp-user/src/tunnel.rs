//! Tunnel headers: put on as prepared, taken off and told in the metadata.

use base::DpPort;
use dp::{Packet, PushTunnel};
use flow::{FlowKey, TunnelKey, tunnel_flags};
use wire::bytes::{be16, be32, be128, byte, put16};
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::{ethernet, ipv4, ipv6, protocol, udp};

/// Puts the prepared header before the packet and fills in lengths, ports and checksums.
///
/// A train cannot go into a tunnel whole; it comes back as an error.
pub(crate) fn push(mut packet: Packet, push: &PushTunnel) -> Result<Packet, Packet> {
    if packet.offload.segmentation.is_some() {
        return Err(packet);
    }
    dp::offload::complete_checksum(&mut packet);
    let header = &push.header;
    let entropy = flow_hash(&packet);
    packet.insert(0, header.len());
    if let Some(place) = packet.bytes_mut().get_mut(..header.len()) {
        place.copy_from_slice(header);
    }
    packet.metadata.packet_type = 0;
    packet.metadata.ct = None;
    packet.metadata.tunnel = None;
    let is_v6 = be16(header, 12) == ethernet::TYPE_IPV6;
    let l3 = ethernet::HEADER_LEN;
    let bytes = packet.bytes_mut();
    let total = bytes.len();
    let (l4, proto) = if is_v6 {
        put16(bytes, l3 + 4, total.saturating_sub(l3 + ipv6::LEN) as u16);
        (l3 + ipv6::LEN, byte(bytes, l3 + 6))
    } else {
        put16(bytes, l3 + 2, (total - l3) as u16);
        put16(bytes, l3 + 10, 0);
        let check = wire::checksum(bytes.get(l3..l3 + ipv4::MIN_LEN).unwrap_or(&[]));
        put16(bytes, l3 + 10, check);
        (l3 + ipv4::MIN_LEN, byte(bytes, l3 + 9))
    };
    if proto == protocol::UDP {
        let len = total.saturating_sub(l4);
        put16(bytes, l4 + 4, len as u16);
        // Of the flow inside, in the range for such ports (RFC 7348 §5).
        put16(bytes, l4, 32768 + (entropy % 28232) as u16);
        if be16(bytes, l4 + udp::CHECK_OFFSET) != 0 || is_v6 {
            put16(bytes, l4 + udp::CHECK_OFFSET, 0);
            let pseudo = if is_v6 {
                pseudo_ipv6(be128(bytes, l3 + 8), be128(bytes, l3 + 24), protocol::UDP, len)
            } else {
                pseudo_ipv4(be32(bytes, l3 + 12), be32(bytes, l3 + 16), protocol::UDP, len)
            };
            let check = pseudo.bytes(bytes.get(l4..).unwrap_or(&[])).finish();
            put16(bytes, l4 + udp::CHECK_OFFSET, if check == 0 { 0xffff } else { check });
        }
    }
    Ok(packet)
}

fn flow_hash(packet: &Packet) -> u32 {
    let key = packet.key(1);
    let mut hash = flow::extract::mix(
        u64::from(key.nw_src()) << 32 | u64::from(key.nw_dst()),
        u64::from(key.nw_proto()),
    );
    hash = flow::extract::mix(hash, key.ipv6_src() as u64 ^ key.ipv6_dst() as u64);
    hash = flow::extract::mix(hash, u64::from(key.tp_src()) << 16 | u64::from(key.tp_dst()));
    (hash >> 32) as u32
}

/// Takes the tunnel's headers off; `kind` is the tunnel port's.
pub(crate) fn pop(mut packet: Packet, kind: &str) -> Result<Packet, Packet> {
    match parse(&packet, kind) {
        Some(inner) => {
            packet.remove(0, inner.at);
            packet.metadata.packet_type = inner.packet_type;
            packet.metadata.tunnel = TunnelKey::from_key(&inner.tunnel).map(Box::new);
            packet.metadata.in_port = DpPort::NONE;
            packet.metadata.ct = None;
            packet.metadata.pkt_mark = 0;
            Ok(packet)
        }
        None => Err(packet),
    }
}

struct Inner {
    at: usize,
    packet_type: u32,
    tunnel: FlowKey,
}

fn parse(packet: &Packet, kind: &str) -> Option<Inner> {
    let bytes = packet.bytes();
    let mut key = FlowKey::new();
    let layers = {
        let mut outer = flow::PacketKey::new();
        outer.refill(&packet.metadata, bytes, flow::MAX_VLANS);
        let layers = outer.layers();
        let from = outer.key();
        key.set_tun_src(from.nw_src());
        key.set_tun_dst(from.nw_dst());
        key.set_tun_ipv6_src(from.ipv6_src());
        key.set_tun_ipv6_dst(from.ipv6_dst());
        key.set_tun_tos(from.nw_tos());
        key.set_tun_ttl(from.nw_ttl());
        key.set_tun_tp_src(from.tp_src());
        key.set_tun_tp_dst(from.tp_dst());
        layers
    };
    let l4 = usize::from(layers.l4);
    if l4 == 0 {
        return None;
    }
    let mut flags = 0;
    let body = l4 + udp::LEN;
    let (at, packet_type) = match kind {
        "vxlan" => {
            bytes.get(body..body + 8)?;
            // The VNI must be there; group policy has its own flag.
            if be32(bytes, body) & 0x0800_0000 == 0 {
                return None;
            }
            key.set_tun_id(u64::from(be32(bytes, body + 4) >> 8));
            flags |= tunnel_flags::KEY;
            if be16(bytes, l4 + udp::CHECK_OFFSET) != 0 {
                flags |= tunnel_flags::CSUM;
            }
            (body + 8, 0)
        }
        "geneve" => {
            bytes.get(body..body + 8)?;
            let options = usize::from(byte(bytes, body) & 0x3f) * 4;
            if byte(bytes, body) >> 6 != 0 || be16(bytes, body + 2) != ethernet::TYPE_TEB {
                return None;
            }
            key.set_tun_id(u64::from(be32(bytes, body + 4) >> 8));
            flags |= tunnel_flags::KEY;
            if byte(bytes, body + 1) & 0x80 != 0 {
                flags |= tunnel_flags::OAM;
            }
            if be16(bytes, l4 + udp::CHECK_OFFSET) != 0 {
                flags |= tunnel_flags::CSUM;
            }
            (body + 8 + options, 0)
        }
        "gre" | "ip6gre" => {
            bytes.get(l4..l4 + 4)?;
            let word = be16(bytes, l4);
            let proto = be16(bytes, l4 + 2);
            let mut at = l4 + 4;
            if word & 0x8000 != 0 {
                flags |= tunnel_flags::CSUM;
                at += 4;
            }
            if word & 0x2000 != 0 {
                key.set_tun_id(u64::from(be32(bytes, at)));
                flags |= tunnel_flags::KEY;
                at += 4;
            }
            if word & 0x1000 != 0 {
                at += 4;
            }
            (at, if proto == ethernet::TYPE_TEB { 0 } else { 1 << 16 | u32::from(proto) })
        }
        _ => return None,
    };
    key.set_tun_flags(flags);
    (at <= bytes.len()).then_some(Inner { at, packet_type, tunnel: key })
}

#[cfg(test)]
mod tests {
    use dp::Action;

    use super::*;

    #[test]
    fn what_is_pushed_can_be_popped() {
        let text = "tnl_push(tnl_port(4),header(size=50,type=4,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x0800),\
                    ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=4789,csum=0x0),\
                    vxlan(flags=0x8000000,vni=0x1c7)),out_port(1))";
        let actions = dp::text::parse_actions(text, None).unwrap();
        let [Action::TunnelPush(header)] = &actions[..] else { panic!("one push") };
        let inner = [7u8; 60];
        let packet = push(Packet::from_bytes(&inner), header).unwrap();
        assert_eq!(packet.len(), 110);
        assert_eq!(wire::checksum(&packet.bytes()[14..34]), 0);
        let back = pop(packet, "vxlan").unwrap();
        assert_eq!(back.bytes(), inner);
        let key = back.metadata.tunnel.unwrap().to_key();
        assert_eq!((key.tun_id(), key.tun_dst(), key.tun_flags()), (0x1c7, 0x0101_025c, tunnel_flags::KEY));
    }
}
