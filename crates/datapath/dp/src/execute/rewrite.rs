//! Rewriting header fields, and the checksums that cover them.
//!
//! A checksum that the device shall complete ([`crate::Offload::checksum`])
//! holds the sum of the pseudo header only: changes of addresses are brought
//! into that sum, changes of ports are left to the device.

use base::MacAddr;
use flow::{CtKey, FlowKey, Slot, TunnelKey, slot};
use wire::arp::ArpMut;
use wire::checksum::{replace16, replace32, replace128};
use wire::ethernet::EthernetMut;
use wire::icmp::IcmpMut;
use wire::ipv4::Ipv4Mut;
use wire::ipv6::Ipv6Mut;
use wire::sctp::SctpMut;
use wire::transport::{self, Ports};
use wire::{TypedForm, ethernet, ipv4, ipv6, nd, protocol, sctp, tcp, udp};

use super::tags;
use crate::{Attr, Packet, Set, sums};

/// Gives the fields of `set` their new values, as far as the packet has them.
pub(super) fn set(packet: &mut Packet, set: &Set) {
    if packet.sums.is_some() {
        sums::leave_to_sender(packet, |packet| set_fields(packet, set));
    } else {
        set_fields(packet, set);
    }
}

fn set_fields(packet: &mut Packet, set: &Set) {
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
            let key = FlowKey::from(&set.key);
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
        Attr::Mpls => tags::change_label(packet, |entry| merge32(set, slot::MPLS0, entry)),
        Attr::Nsh => set_nsh(packet, set),
        Attr::Vlan => {
            tags::change_tci(packet, |tci| merge(set, slot::VLAN0_TCI, u128::from(tci)) as u16);
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

fn merge8(set: &Set, at: Slot, old: u8) -> u8 {
    merge(set, at, u128::from(old)) as u8
}

fn merge_mac(set: &Set, at: Slot, old: MacAddr) -> MacAddr {
    MacAddr::from_u64(merge(set, at, u128::from(old.to_u64())) as u64)
}

fn merge32(set: &Set, at: Slot, old: u32) -> u32 {
    merge(set, at, u128::from(old)) as u32
}

fn set_ct(packet: &mut Packet, set: &Set) {
    let mut key = packet.metadata.ct.as_ref().map(|ct| ct.to_key()).unwrap_or_default();
    for field in set.attr.fields() {
        let value = merge(set, field.slot, key.read(field.slot));
        key.write(field.slot, value);
    }
    packet.metadata.ct = CtKey::from_key(&key).map(Box::new);
}

fn set_ethernet(packet: &mut Packet, set: &Set) {
    if packet.metadata.packet_type != 0 {
        return;
    }
    let Some(mut eth) = EthernetMut::parse(packet.bytes_mut()) else { return };
    let (dst, src) = (eth.view().dst(), eth.view().src());
    eth.set_dst(merge_mac(set, slot::DL_DST, dst));
    eth.set_src(merge_mac(set, slot::DL_SRC, src));
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

impl L4 {
    /// Header and payload.
    fn bytes_mut<'a>(&self, packet: &'a mut Packet) -> &'a mut [u8] {
        packet.bytes_mut().get_mut(self.at..self.at + self.len).unwrap_or(&mut [])
    }

    /// Corrects the checksum that covers the pseudo header, if there is one in use; `fix` makes the new one of the old.
    fn fix_check(&self, packet: &mut Packet, fix: impl Fn(u16) -> u16) {
        let is_partial = is_partial(packet);
        let bytes = self.bytes_mut(packet);
        let Some(old) = transport::check(self.protocol, bytes) else { return };
        let new = match self.protocol {
            protocol::TCP | protocol::UDP | protocol::ICMPV6 if is_partial => !fix(!old),
            // The sender computed none.
            protocol::UDP if old == 0 => return,
            protocol::TCP | protocol::UDP | protocol::ICMPV6 => transport::usable(self.protocol, fix(old)),
            // Their checksums cover no addresses and ports.
            _ => return,
        };
        transport::set_check(self.protocol, bytes, new);
    }
}

fn is_partial(packet: &Packet) -> bool {
    packet.offload.checksum.is_some()
}

/// Corrects the L4 checksum after addresses changed; `fix` corrects a checksum.
fn fix_addresses(packet: &mut Packet, fix: impl Fn(u16) -> u16) {
    if let Some(l4) = l4(packet)
        && l4.covers_addresses
    {
        l4.fix_check(packet, fix);
    }
}

fn set_ipv4(packet: &mut Packet, set: &Set) {
    let (at, ether_type) = tags::l3(packet);
    if ether_type != ethernet::TYPE_IPV4 {
        return;
    }
    let Some(mut ip) = packet.bytes_mut().get_mut(at..).and_then(Ipv4Mut::parse) else { return };
    let old = (ip.view().src(), ip.view().dst());
    let new = (merge32(set, slot::NW_SRC, old.0), merge32(set, slot::NW_DST, old.1));
    let (tos, ttl) = (ip.view().tos(), ip.view().ttl());
    ip.set_tos(merge8(set, slot::NW_TOS, tos));
    ip.set_ttl(merge8(set, slot::NW_TTL, ttl));
    if new != old {
        ip.set_src(new.0);
        ip.set_dst(new.1);
        fix_addresses(packet, |check| replace32(replace32(check, old.0, new.0), old.1, new.1));
    }
}

fn set_ipv6(packet: &mut Packet, set: &Set) {
    let (at, ether_type) = tags::l3(packet);
    if ether_type != ethernet::TYPE_IPV6 {
        return;
    }
    let Some(mut ip) = packet.bytes_mut().get_mut(at..).and_then(Ipv6Mut::parse) else { return };
    let old = (ip.view().src(), ip.view().dst());
    let new = (merge(set, slot::IPV6_SRC, old.0), merge(set, slot::IPV6_DST, old.1));
    let (class, label, hops) = (ip.view().traffic_class(), ip.view().label(), ip.view().hop_limit());
    ip.set_traffic_class(merge8(set, slot::NW_TOS, class));
    ip.set_label(merge32(set, slot::IPV6_LABEL, label));
    ip.set_hop_limit(merge8(set, slot::NW_TTL, hops));
    if new != old {
        ip.set_src(new.0);
        ip.set_dst(new.1);
        fix_addresses(packet, |check| replace128(replace128(check, old.0, new.0), old.1, new.1));
    }
}

/// Sets the ports of a packet of this protocol, whose header takes `least` bytes or more.
fn set_ports(packet: &mut Packet, set: &Set, protocol: u8, least: usize) {
    let Some(l4) = l4(packet).filter(|l4| l4.protocol == protocol && l4.len >= least) else { return };
    let Some(old) = Ports::parse(l4.bytes_mut(packet)) else { return };
    let new = Ports {
        src: merge(set, slot::TP_SRC, old.src.into()) as u16,
        dst: merge(set, slot::TP_DST, old.dst.into()) as u16,
    };
    if new == old {
        return;
    }
    if protocol == protocol::SCTP {
        set_sctp_ports(l4.bytes_mut(packet), new);
        return;
    }
    if !is_partial(packet) {
        l4.fix_check(packet, |check| replace32(check, old.word(), new.word()));
    }
    packet.replace_header(l4.at, &new);
}

/// A wrong CRC stays wrong by the same difference, so that errors stay visible.
fn set_sctp_ports(bytes: &mut [u8], ports: Ports) {
    let right = sctp::checksum_of(bytes);
    let Some(mut header) = SctpMut::parse(bytes) else { return };
    let difference = header.view().check() ^ right;
    header.set_src(ports.src);
    header.set_dst(ports.dst);
    let right = sctp::checksum_of(bytes);
    if let Some(mut header) = SctpMut::parse(bytes) {
        header.set_check(right ^ difference);
    }
}

fn set_icmp(packet: &mut Packet, set: &Set) {
    let Some(l4) = l4(packet) else { return };
    if !matches!(l4.protocol, protocol::ICMP | protocol::ICMPV6) {
        return;
    }
    let Some(mut header) = IcmpMut::parse(l4.bytes_mut(packet)) else { return };
    let old = [header.view().kind(), header.view().code()];
    let new = [merge8(set, slot::TP_SRC, old[0]), merge8(set, slot::TP_DST, old[1])];
    if new != old {
        let check = replace16(header.view().check(), u16::from_be_bytes(old), u16::from_be_bytes(new));
        header.set_kind(new[0]);
        header.set_code(new[1]);
        header.set_check(check);
    }
}

fn set_arp(packet: &mut Packet, set: &Set) {
    let (at, ether_type) = tags::l3(packet);
    if !matches!(ether_type, ethernet::TYPE_ARP | ethernet::TYPE_RARP) {
        return;
    }
    let Some(mut arp) = packet.bytes_mut().get_mut(at..).and_then(ArpMut::parse) else { return };
    let op = arp.view().op();
    arp.set_op(merge(set, slot::NW_PROTO, op.into()) as u16);
    let (sender, target) = (arp.view().sender_mac(), arp.view().target_mac());
    arp.set_sender_mac(merge_mac(set, slot::ARP_SHA, sender));
    arp.set_target_mac(merge_mac(set, slot::ARP_THA, target));
    let (sender, target) = (arp.view().sender_ip(), arp.view().target_ip());
    arp.set_sender_ip(merge32(set, slot::NW_SRC, sender));
    arp.set_target_ip(merge32(set, slot::NW_DST, target));
}

fn set_nd(packet: &mut Packet, set: &Set) {
    let Some(l4) = l4(packet).filter(|l4| l4.protocol == protocol::ICMPV6) else { return };
    let Some(mut message) = nd::MessageMut::parse(l4.bytes_mut(packet)) else { return };
    if set.attr == Attr::NdExt {
        let flags = message.flags();
        message.set_flags(merge32(set, slot::ND_RESERVED, flags));
        message.change_addresses(|kind, _| *kind = merge8(set, slot::ND_OPTIONS_TYPE, *kind));
    } else {
        let target = message.target();
        message.set_target(merge(set, slot::ND_TARGET, target));
        message.change_addresses(|kind, mac| {
            let place = if *kind == nd::SOURCE_ADDRESS { slot::ARP_SHA } else { slot::ARP_THA };
            *mac = merge_mac(set, place, *mac);
        });
    }
}

fn set_nsh(packet: &mut Packet, set: &Set) {
    let Some(mut header) = tags::nsh(packet) else { return };
    let (flags, ttl) = (header.view().flags(), header.view().ttl());
    header.set_flags(merge8(set, slot::NSH_FLAGS, flags));
    header.set_ttl(merge8(set, slot::NSH_TTL, ttl));
    let (path, index) = (header.view().service_path(), header.view().service_index());
    header.set_service_path(merge32(set, slot::NSH_SPI, path));
    header.set_service_index(merge8(set, slot::NSH_SI, index));
    let words = [slot::NSH_C1, slot::NSH_C2, slot::NSH_C3, slot::NSH_C4];
    for (index, place) in words.into_iter().enumerate() {
        let word = header.view().context(index);
        header.set_context(index, merge32(set, place, word));
    }
}

/// Takes one off the TTL or hop limit; false when it is at its end.
pub(super) fn decrement_ttl(packet: &mut Packet) -> bool {
    sums::leave_to_sender(packet, decrement)
}

fn decrement(packet: &mut Packet) -> bool {
    let (at, ether_type) = tags::l3(packet);
    let bytes = packet.bytes_mut().get_mut(at..).unwrap_or(&mut []);
    match ether_type {
        ethernet::TYPE_IPV4 => {
            let Some(mut ip) = Ipv4Mut::parse_header(bytes) else { return true };
            let ttl = ip.view().ttl();
            if ttl <= 1 {
                return false;
            }
            ip.set_ttl(ttl - 1);
            true
        }
        ethernet::TYPE_IPV6 => {
            let Some(mut ip) = Ipv6Mut::parse_header(bytes) else { return true };
            let hops = ip.view().hop_limit();
            ip.set_hop_limit(hops.saturating_sub(1));
            hops > 1
        }
        _ => true,
    }
}
