//! Tunnel headers: put on as prepared, taken off and told in the metadata.

use base::DpPort;
use dp::{Packet, PushTunnel, TunnelKind, TunnelSettings, Verdict};
use flow::{FlowKey, TunnelKey, tunnel_flags};
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::geneve::{self, GeneveOption};
use wire::ipv4::{self, Ipv4Mut};
use wire::ipv6::{self, Ipv6Mut};
use wire::udp::{self, Udp, UdpMut};
use wire::{TypedForm, erspan, ethernet, extension, gre, gtpu, protocol, transport, vxlan};

base::coverage!(static IP_CHECKED = "native_tnl_l3csum_checked");
base::coverage!(static IP_WRONG = "native_tnl_l3csum_err");
base::coverage!(static UDP_CHECKED = "native_tnl_l4csum_checked");
base::coverage!(static UDP_WRONG = "native_tnl_l4csum_err");

/// Has the counters of checksums read as zero before they move.
pub(crate) fn list_counters() {
    [&IP_CHECKED, &IP_WRONG, &UDP_CHECKED, &UDP_WRONG].into_iter().for_each(|counter| counter.add(0));
}

/// Puts the prepared header before the packet and fills in lengths, ports and checksums.
///
/// A train cannot go into a tunnel whole; it comes back as an error. `sequence` numbers the packet if the tunnel does.
pub(crate) fn push(
    mut packet: Packet,
    push: &PushTunnel,
    settings: &TunnelSettings,
    sequence: impl FnOnce() -> u32,
) -> Result<Packet, Packet> {
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
    packet.metadata.in_port = push.out_port;
    packet.metadata.packet_type = 0;
    packet.metadata.ct = None;
    packet.metadata.tunnel = None;
    if let Some(outer) = packet.bytes_mut().get_mut(ethernet::HEADER_LEN..) {
        let is_v6 = ethernet::Header::parse(header).is_some_and(|eth| eth.ether_type == ethernet::TYPE_IPV6);
        let (min, max) = settings.udp_ports;
        let count = u64::from(max.saturating_sub(min)) + 1;
        let port = min.saturating_add(((u64::from(entropy) * count) >> 32) as u16);
        match push.kind {
            GTPU => complete_gtpu(outer, is_v6),
            SRV6 => complete_label(outer, header.len() - ethernet::HEADER_LEN, entropy),
            _ => {}
        }
        complete(outer, is_v6, port, sequence);
    }
    Ok(packet)
}

/// Fills in what the prepared headers lack, from the outer network header on.
fn complete(outer: &mut [u8], is_v6: bool, source_port: u16, sequence: impl FnOnce() -> u32) {
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
    let Some(datagram) = outer.get_mut(l4..) else { return };
    if proto == protocol::GRE {
        return complete_gre(datagram, sequence);
    }
    if proto != protocol::UDP {
        return;
    }
    let len = datagram.len();
    let Some(mut header) = UdpMut::parse(datagram) else { return };
    header.set_len(len as u16);
    // Of the flow inside (RFC 7348 §5).
    header.set_src(source_port);
    if header.view().check() != 0 {
        transport::write_checksum(protocol::UDP, datagram, pseudo);
    }
}

/// [`PushTunnel::kind`] of GTP-U and of SRv6.
const GTPU: u32 = 110;
const SRV6: u32 = 112;

/// The length of what is behind the mandatory part.
fn complete_gtpu(outer: &mut [u8], is_v6: bool) {
    let at = udp::LEN + if is_v6 { ipv6::LEN } else { ipv4::MIN_LEN };
    let Some(bytes) = outer.get_mut(at..) else { return };
    let Some(mut header) = gtpu::Base::parse(bytes) else { return };
    header.len = bytes.len().saturating_sub(gtpu::MIN_LEN) as u16;
    // It was read from there, so there is room.
    let _ = header.emit(bytes);
}

/// Where the prepared header says how the flow label is made, that label: 0 of the packet inside, which begins at `inside`, 1
/// zero, 2 a hash.
fn complete_label(outer: &mut [u8], inside: usize, entropy: u32) {
    let inner = outer.get(inside..).and_then(ipv6::Header::parse).map_or(0, |inner| inner.label);
    let is_v6 = outer.get(inside).is_some_and(|first| first >> 4 == 6);
    let Some(mut header) = ipv6::Header::parse(outer) else { return };
    header.label = match header.label {
        0 if is_v6 => inner,
        2 => entropy & ipv6::LABEL_MASK,
        _ => 0,
    };
    // It was read from there, so there is room.
    let _ = header.emit(outer);
}

/// The number of the packet, and the checksum over header and payload (RFC 2784 §2.5).
fn complete_gre(bytes: &mut [u8], sequence: impl FnOnce() -> u32) {
    let Some(mut header) = gre::Header::parse(bytes) else { return };
    if header.sequence.is_some() {
        header.sequence = Some(sequence());
    }
    let has_checksum = header.checksum.is_some();
    if has_checksum {
        header.checksum = Some(0);
    }
    if header.emit(bytes).is_err() || !has_checksum {
        return;
    }
    header.checksum = Some(wire::checksum(bytes));
    // It was emitted before, so there is room.
    let _ = header.emit(bytes);
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

/// Takes the tunnel's headers off; `kind` is the tunnel port's. A packet that does not begin with sound headers of that kind
/// comes back as an error, unchanged.
pub fn pop(mut packet: Packet, kind: TunnelKind, settings: &TunnelSettings) -> Result<Packet, Packet> {
    match parse(&packet, kind, settings) {
        Some(inner) => {
            // What fills up a short frame is not of the packet inside.
            packet.set_len(inner.end);
            packet.remove(0, inner.at);
            packet.metadata.packet_type = inner.packet_type;
            packet.metadata.tunnel = TunnelKey::from_key(&inner.tunnel).map(Box::new);
            packet.metadata.in_port = DpPort::NONE;
            packet.metadata.ct = None;
            packet.metadata.pkt_mark = 0;
            // The device has not looked at what is inside.
            packet.offload.ip_check = Verdict::Unknown;
            packet.offload.l4_check = Verdict::Unknown;
            Ok(packet)
        }
        None => Err(packet),
    }
}

struct Inner {
    /// Where the packet inside begins and ends.
    at: usize,
    end: usize,
    packet_type: u32,
    tunnel: FlowKey,
}

/// Bytes that a frame has at least on a wire, without its checksum (IEEE 802.3).
const FILLED_UP_TO: usize = 60;

/// The name space of packet types that are Ethernet types.
const ETHER_TYPES: u32 = 1 << 16;

fn parse(packet: &Packet, kind: TunnelKind, settings: &TunnelSettings) -> Option<Inner> {
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
    let (l3, l4) = (usize::from(layers.l3), usize::from(layers.l4));
    if l4 == 0 {
        return None;
    }
    let network_end = network_len(bytes.get(l3..)?).and_then(|len| l3.checked_add(len))?;
    if !has_sound_header(packet, bytes.get(l3..l4)?) {
        return None;
    }
    let segment = bytes.get(l4..network_end)?;
    // Only the shortest frames are filled up; whatever is behind the packet in longer ones is taken for the frame inside.
    let end = if bytes.len() <= FILLED_UP_TO { network_end } else { bytes.len() };
    let (len, packet_type, flags) = match kind {
        TunnelKind::Vxlan => {
            let outer = sound_udp(packet, segment, &key)?;
            let (len, packet_type) = read_vxlan(outer.payload(), &mut key)?;
            (udp::LEN + len, packet_type, tunnel_flags::KEY | checksum_flag(&outer))
        }
        TunnelKind::Geneve => {
            let outer = sound_udp(packet, segment, &key)?;
            let (len, flags) = read_geneve(outer.payload(), &mut key, settings)?;
            (udp::LEN + len, 0, flags | checksum_flag(&outer))
        }
        TunnelKind::Gre | TunnelKind::Ip6Gre => read_gre(packet, segment, &mut key)?,
        TunnelKind::Erspan | TunnelKind::Ip6Erspan => (read_erspan(segment, &mut key)?, 0, tunnel_flags::KEY),
        TunnelKind::Gtpu => {
            let outer = sound_udp(packet, segment, &key)?;
            let flags = tunnel_flags::KEY | checksum_flag(&outer);
            let Some((len, packet_type)) = read_gtpu(outer.payload(), &mut key)? else {
                // A message about the tunnel itself stays as it is, for whoever rules send it to.
                key.set_tun_flags(flags);
                return Some(Inner { at: 0, end, packet_type: 0, tunnel: key });
            };
            (udp::LEN + len, packet_type, flags)
        }
        TunnelKind::Srv6 => {
            let (at, packet_type) = read_srv6(bytes.get(l3..)?)?;
            return Some(Inner { at: l3 + at, end, packet_type, tunnel: key });
        }
        TunnelKind::Bareudp | TunnelKind::Lisp | TunnelKind::Stt => return None,
    };
    key.set_tun_flags(flags);
    let at = l4 + len;
    (at <= end).then_some(Inner { at, end, packet_type, tunnel: key })
}

/// Bytes of an IP packet by its own account; `None` when it says that there are more than there are.
fn network_len(bytes: &[u8]) -> Option<usize> {
    let len = match bytes.first()? >> 4 {
        4 => ipv4::Header::parse(bytes)?.total_len.into(),
        6 => ipv6::LEN + usize::from(ipv6::Header::parse(bytes)?.payload_len),
        _ => return None,
    };
    (len <= bytes.len()).then_some(len)
}

/// Whether the outer header, if it is one of IPv4, was not damaged.
fn has_sound_header(packet: &Packet, header: &[u8]) -> bool {
    if header.first().is_none_or(|first| first >> 4 != 4) {
        return true;
    }
    let is_sound = match packet.offload.ip_check {
        Verdict::Good => true,
        Verdict::Bad => false,
        Verdict::Unknown => {
            IP_CHECKED.count();
            wire::checksum(header) == 0
        }
    };
    if !is_sound {
        IP_WRONG.count();
        log::warn!(target: base::bounded!("native_tnl"), "ip packet has invalid checksum");
    }
    is_sound
}

/// The datagram, unless its checksum says that it was damaged.
fn sound_udp<'a>(packet: &Packet, segment: &'a [u8], key: &FlowKey) -> Option<Udp<'a>> {
    let outer = Udp::parse(segment)?;
    let is_left_to_sender = packet.offload.checksum.is_some();
    match packet.offload.l4_check {
        Verdict::Good => return Some(outer),
        Verdict::Bad if outer.check() != 0 => {
            UDP_WRONG.count();
            return None;
        }
        Verdict::Bad | Verdict::Unknown if outer.check() == 0 || is_left_to_sender => return Some(outer),
        Verdict::Bad | Verdict::Unknown => UDP_CHECKED.count(),
    }
    let pseudo = if key.tun_dst() != 0 {
        pseudo_ipv4(key.tun_src(), key.tun_dst(), protocol::UDP, segment.len())
    } else {
        pseudo_ipv6(key.tun_ipv6_src(), key.tun_ipv6_dst(), protocol::UDP, segment.len())
    };
    let is_sound = pseudo.bytes(segment).sum() == 0xffff;
    if !is_sound {
        UDP_WRONG.count();
    }
    is_sound.then_some(outer)
}

/// Bytes of the header, and what is inside.
fn read_vxlan(bytes: &[u8], key: &mut FlowKey) -> Option<(usize, u32)> {
    let header = vxlan::Header::parse(bytes)?;
    // The VNI must be there; each extension has its own flag.
    if header.flags & vxlan::FLAG_VNI == 0 {
        return None;
    }
    key.set_tun_id(header.vni.into());
    if let Some(policy) = header.group_policy() {
        key.set_tun_gbp_id(policy.group);
        key.set_tun_gbp_flags((header.flags >> 16) as u8 & GBP_FLAGS);
    }
    let packet_type = match header.next_protocol() {
        None | Some(vxlan::NEXT_ETHERNET) => 0,
        Some(vxlan::NEXT_IPV4) => ETHER_TYPES | u32::from(ethernet::TYPE_IPV4),
        Some(vxlan::NEXT_IPV6) => ETHER_TYPES | u32::from(ethernet::TYPE_IPV6),
        Some(vxlan::NEXT_NSH) => ETHER_TYPES | u32::from(ethernet::TYPE_NSH),
        Some(_) => return None,
    };
    Some((header.header_len(), packet_type))
}

/// The bits of a group policy beside the group: not learned, applied.
const GBP_FLAGS: u8 = 0x48;

/// Bytes of the header with its options, and the tunnel's flags. Options that nobody asked for are left out, unless they
/// are critical: a packet with one of those must not be taken (RFC 8926 §3.4).
fn read_geneve(bytes: &[u8], key: &mut FlowKey, settings: &TunnelSettings) -> Option<(usize, u16)> {
    let header = geneve::Header::parse(bytes)?;
    if header.protocol != ethernet::TYPE_TEB {
        return None;
    }
    key.set_tun_id(header.vni.into());
    for option in &header.options {
        read_option(option, key, settings)?;
    }
    let oam = if header.is_oam { tunnel_flags::OAM } else { 0 };
    Some((header.header_len(), tunnel_flags::KEY | oam))
}

fn read_option(option: &GeneveOption, key: &mut FlowKey, settings: &TunnelSettings) -> Option<()> {
    let known = settings.options.iter().find(|known| {
        (known.class, known.kind, usize::from(known.len)) == (option.class, option.kind, option.data.len())
    });
    let Some(known) = known else { return (option.kind & geneve::CRITICAL == 0).then_some(()) };
    let value = option.data.iter().fold(0u128, |value, &byte| value << 8 | u128::from(byte));
    key.set_tun_metadata(known.field.into(), value);
    Some(())
}

/// Bytes of the header and what is inside; nothing for a message that carries no packet.
fn read_gtpu(bytes: &[u8], key: &mut FlowKey) -> Option<Option<(usize, u32)>> {
    let base = gtpu::Base::parse(bytes)?;
    key.set_tun_id(base.endpoint.into());
    key.set_tun_gtpu_flags(base.flags);
    key.set_tun_gtpu_msgtype(base.message);
    if base.message != gtpu::MESSAGE_PACKET {
        return Some(None);
    }
    let len = gtpu::Header::parse(bytes)?.header_len();
    let ether_type = match bytes.get(len)? >> 4 {
        4 => ethernet::TYPE_IPV4,
        6 => ethernet::TYPE_IPV6,
        _ => return None,
    };
    Some(Some((len, ETHER_TYPES | u32::from(ether_type))))
}

/// Bytes of the outer headers and what is inside, for a packet that is at the end of its segments. The routing header stands
/// behind IPv6's own.
fn read_srv6(bytes: &[u8]) -> Option<(usize, u32)> {
    let outer = ipv6::Header::parse(bytes).filter(|outer| outer.next_header == protocol::ROUTING)?;
    let header = extension::SegmentRouting::parse(bytes.get(outer.header_len()..)?)?;
    let ether_type = match header.next_header {
        protocol::IPIP => ethernet::TYPE_IPV4,
        protocol::IPV6 => ethernet::TYPE_IPV6,
        _ => return None,
    };
    let len = outer.header_len() + header.header_len();
    (header.segments_left == 0 && len <= bytes.len()).then_some((len, ETHER_TYPES | u32::from(ether_type)))
}

/// Bytes of the header, what is inside, and the tunnel's flags.
fn read_gre(packet: &Packet, segment: &[u8], key: &mut FlowKey) -> Option<(usize, u32, u16)> {
    let header = gre::Header::parse(segment)?;
    let mut flags = 0;
    if header.checksum.is_some() {
        let is_known = packet.offload.checksum.is_some();
        if !is_known && wire::checksum(segment) != 0 {
            return None;
        }
        flags |= tunnel_flags::CSUM;
    }
    if let Some(number) = header.key {
        key.set_tun_id(number.into());
        flags |= tunnel_flags::KEY;
    }
    let is_ethernet = header.protocol == ethernet::TYPE_TEB;
    let packet_type = if is_ethernet { 0 } else { ETHER_TYPES | u32::from(header.protocol) };
    Some((header.header_len(), packet_type, flags))
}

/// Bytes of both headers.
fn read_erspan(segment: &[u8], key: &mut FlowKey) -> Option<usize> {
    let outer = gre::Header::parse(segment)?;
    let header = erspan::Header::parse(segment.get(outer.header_len()..)?)?;
    if header.protocol() != outer.protocol {
        return None;
    }
    key.set_tun_id(header.session.into());
    key.set_tun_erspan_ver(header.version());
    match header.kind {
        erspan::Kind::Ii { index } => key.set_tun_erspan_idx(index & 0xf_ffff),
        erspan::Kind::Iii(own) => {
            key.set_tun_erspan_dir(own.is_egress.into());
            key.set_tun_erspan_hwid(own.hardware);
        }
    }
    Some(outer.header_len() + header.header_len())
}

/// The flag that says that the outer header has a checksum.
fn checksum_flag(outer: &Udp<'_>) -> u16 {
    if outer.check() != 0 { tunnel_flags::CSUM } else { 0 }
}

#[cfg(test)]
mod tests;
