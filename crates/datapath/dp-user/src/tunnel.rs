//! Tunnel headers: put on as prepared, taken off and told in the metadata.

use std::sync::atomic::{AtomicU32, Ordering};

use base::DpPort;
use dp::{Packet, PushTunnel, TunnelKind};
use flow::{FlowKey, TunnelKey, tunnel_flags};
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::geneve::Geneve;
use wire::ipv4::{self, Ipv4Mut};
use wire::ipv6::{self, Ipv6Mut};
use wire::udp::{self, Udp, UdpMut};
use wire::{TypedForm, ethernet, gre, protocol, transport, vxlan};

/// The first and the last UDP port that tunnels send from, in one word.
static PORTS: AtomicU32 = AtomicU32::new(32768 << 16 | 61000);

/// The first and the last UDP port that tunnels send from.
pub fn tunnel_ports() -> (u16, u16) {
    let ports = PORTS.load(Ordering::Relaxed);
    let (min, max) = ((ports >> 16) as u16, ports as u16);
    (min, max.max(min))
}

/// Has tunnels of all datapaths send from these UDP ports.
pub fn set_tunnel_ports(min: u16, max: u16) {
    PORTS.store(u32::from(min) << 16 | u32::from(max), Ordering::Relaxed);
}

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
    if let Some(outer) = packet.bytes_mut().get_mut(ethernet::HEADER_LEN..) {
        let is_v6 = ethernet::Header::parse(header).is_some_and(|eth| eth.ether_type == ethernet::TYPE_IPV6);
        complete(outer, is_v6, entropy);
    }
    Ok(packet)
}

/// Fills in what the prepared headers lack, from the outer network header on.
fn complete(outer: &mut [u8], is_v6: bool, entropy: u32) {
    let total = outer.len();
    let (l4, proto, pseudo) = if is_v6 {
        let len = total.saturating_sub(ipv6::LEN);
        let Some(mut ip) = Ipv6Mut::parse_header(outer) else { return };
        ip.set_payload_len(len as u16);
        let pseudo = pseudo_ipv6(ip.view().src(), ip.view().dst(), protocol::UDP, len);
        (ipv6::LEN, ip.view().next_header(), pseudo)
    } else {
        let len = total.saturating_sub(ipv4::MIN_LEN);
        let Some(mut ip) = Ipv4Mut::parse_header(outer) else { return };
        ip.set_total_len(total as u16);
        let pseudo = pseudo_ipv4(ip.view().src(), ip.view().dst(), protocol::UDP, len);
        let proto = ip.view().protocol();
        ipv4::write_checksum(outer);
        (ipv4::MIN_LEN, proto, pseudo)
    };
    if proto != protocol::UDP {
        return;
    }
    let Some(datagram) = outer.get_mut(l4..) else { return };
    let len = datagram.len();
    let Some(mut header) = UdpMut::parse(datagram) else { return };
    header.set_len(len as u16);
    // Of the flow inside (RFC 7348 §5).
    let (min, max) = tunnel_ports();
    let count = u64::from(max - min) + 1;
    header.set_src(min + (u64::from(entropy) * count >> 32) as u16);
    if header.view().check() != 0 || is_v6 {
        transport::write_checksum(protocol::UDP, datagram, pseudo);
    }
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
pub(crate) fn pop(mut packet: Packet, kind: TunnelKind) -> Result<Packet, Packet> {
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

fn parse(packet: &Packet, kind: TunnelKind) -> Option<Inner> {
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
    let segment = bytes.get(l4..)?;
    let mut flags = 0;
    let (at, packet_type) = match kind {
        TunnelKind::Vxlan => {
            let outer = Udp::parse(segment)?;
            let header = vxlan::Header::parse(outer.payload())?;
            // The VNI must be there; group policy has its own flag.
            if header.flags & vxlan::FLAG_VNI == 0 {
                return None;
            }
            key.set_tun_id(header.vni.into());
            flags |= tunnel_flags::KEY | checksum_flag(&outer);
            (l4 + udp::LEN + header.header_len(), 0)
        }
        TunnelKind::Geneve => {
            let outer = Udp::parse(segment)?;
            let header = Geneve::parse(outer.payload())?;
            if header.version() != 0 || header.protocol() != ethernet::TYPE_TEB {
                return None;
            }
            key.set_tun_id(header.vni().into());
            flags |= tunnel_flags::KEY | checksum_flag(&outer);
            if header.is_oam() {
                flags |= tunnel_flags::OAM;
            }
            (l4 + udp::LEN + header.header_len(), 0)
        }
        TunnelKind::Gre | TunnelKind::Ip6Gre => {
            let header = gre::Header::parse(segment)?;
            if header.checksum.is_some() {
                flags |= tunnel_flags::CSUM;
            }
            if let Some(number) = header.key {
                key.set_tun_id(number.into());
                flags |= tunnel_flags::KEY;
            }
            let is_ethernet = header.protocol == ethernet::TYPE_TEB;
            (l4 + header.header_len(), if is_ethernet { 0 } else { 1 << 16 | u32::from(header.protocol) })
        }
        TunnelKind::Erspan
        | TunnelKind::Ip6Erspan
        | TunnelKind::Gtpu
        | TunnelKind::Bareudp
        | TunnelKind::Srv6
        | TunnelKind::Lisp
        | TunnelKind::Stt => return None,
    };
    key.set_tun_flags(flags);
    (at <= bytes.len()).then_some(Inner { at, packet_type, tunnel: key })
}

/// The flag that says that the outer header has a checksum.
fn checksum_flag(outer: &Udp<'_>) -> u16 {
    if outer.check() != 0 { tunnel_flags::CSUM } else { 0 }
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
        let back = pop(packet, TunnelKind::Vxlan).unwrap();
        assert_eq!(back.bytes(), inner);
        let key = back.metadata.tunnel.unwrap().to_key();
        assert_eq!((key.tun_id(), key.tun_dst(), key.tun_flags()), (0x1c7, 0x0101_025c, tunnel_flags::KEY));
    }

    /// The tunnel that is popped behind the header of `text`, pushed on a packet.
    fn through(kind: TunnelKind, header: &str) -> (Packet, FlowKey) {
        let text = format!("tnl_push(tnl_port(4),header({header}),out_port(1))");
        let actions = dp::text::parse_actions(&text, None).unwrap();
        let [Action::TunnelPush(header)] = &actions[..] else { panic!("one push") };
        let pushed = push(Packet::from_bytes(&[7u8; 60]), header).unwrap();
        let back = pop(pushed.clone(), kind).unwrap();
        assert_eq!(back.bytes(), [7u8; 60], "{kind}");
        (pushed, back.metadata.tunnel.unwrap().to_key())
    }

    #[test]
    fn each_kind_of_header_is_completed_and_read() {
        let eth = "eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0";
        let v6 =
            "dl_type=0x86dd),ipv6(src=2001:cafe::88,dst=2001:cafe::92,label=0,proto=17,tclass=0x0,hlimit=64)";
        let (pushed, key) = through(
            TunnelKind::Geneve,
            &format!(
                "size=78,type=5,{eth},{v6},udp(src=0,dst=6081,csum=0x0),\
                 geneve(oam,vni=0x7,options({{class=0xffff,type=0,len=4,0xa}}))"
            ),
        );
        let flags = tunnel_flags::KEY | tunnel_flags::OAM | tunnel_flags::CSUM;
        assert_eq!((key.tun_id(), key.tun_tp_dst(), key.tun_flags()), (7, 6081, flags));
        let ip = wire::ipv6::Ipv6::parse(&pushed.bytes()[14..]).unwrap();
        let sum = pseudo_ipv6(ip.src(), ip.dst(), protocol::UDP, ip.payload().len()).bytes(ip.payload());
        assert_eq!(sum.sum(), 0xffff);
        let v4 = "dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=47,tos=0,ttl=64,frag=0x4000)";
        let (pushed, key) = through(
            TunnelKind::Gre,
            &format!("size=42,type=3,{eth},{v4},gre((flags=0x2000,proto=0x6558),key=0x1e241)"),
        );
        assert_eq!((key.tun_id(), key.tun_flags()), (0x1e241, tunnel_flags::KEY));
        assert_eq!(wire::checksum(&pushed.bytes()[14..34]), 0);
    }

    #[test]
    fn a_gre_header_with_bits_that_mean_nothing_is_not_popped() {
        let mut bytes = wire::ethernet::header(base::MacAddr::ZERO, base::MacAddr::ZERO, 0x800).to_vec();
        bytes.extend(wire::ipv4::header(1, 2, protocol::GRE, 0, 64, 0, 20));
        let at = bytes.len();
        bytes.extend([0, 0, 0x65, 0x58]);
        bytes.extend([0; 16]);
        assert!(pop(Packet::from_bytes(&bytes), TunnelKind::Gre).is_ok());
        bytes[at + 1] = 1;
        assert!(pop(Packet::from_bytes(&bytes), TunnelKind::Gre).is_err(), "version 1");
    }
}
