//! Pushing and popping what stands before or between headers.

use base::MacAddr;
use flow::{SparseKey, VLAN_CFI, slot};
use wire::bytes::{be16, be32, put, put16, put32};
use wire::{ethernet, mpls, nsh};

use crate::{Offload, Packet};

/// Packet types (`PT_*`): name space 1 holds EtherTypes.
const NAMESPACE_ETHERTYPE: u32 = 1 << 16;

pub(super) fn push_vlan(packet: &mut Packet, tpid: u16, tci: u16) {
    if packet.len() < 12 {
        return;
    }
    packet.insert(12, ethernet::VLAN_HEADER_LEN);
    let bytes = packet.bytes_mut();
    put16(bytes, 12, tpid);
    put16(bytes, 14, tci & !VLAN_CFI);
}

pub(super) fn pop_vlan(packet: &mut Packet) {
    if packet.len() >= ethernet::HEADER_LEN + ethernet::VLAN_HEADER_LEN
        && ethernet::is_vlan(be16(packet.bytes(), 12))
    {
        packet.remove(12, ethernet::VLAN_HEADER_LEN);
    }
}

/// Offset of the EtherType behind all tags, and the type; `None` without Ethernet.
fn ether_type_at(packet: &Packet) -> Option<(usize, u16)> {
    let bytes = packet.bytes();
    if packet.metadata.packet_type != 0 || bytes.len() < ethernet::HEADER_LEN {
        return None;
    }
    let mut at = 12;
    while ethernet::is_vlan(be16(bytes, at)) && bytes.len() >= at + 6 {
        at += ethernet::VLAN_HEADER_LEN;
    }
    Some((at, be16(bytes, at)))
}

/// The EtherType of what follows L2, whatever L2 is.
fn ether_type(packet: &Packet) -> u16 {
    ether_type_at(packet).map_or(packet.metadata.packet_type as u16, |(_, ty)| ty)
}

fn set_ether_type(packet: &mut Packet, ether_type: u16) {
    match ether_type_at(packet) {
        Some((at, _)) => put16(packet.bytes_mut(), at, ether_type),
        None => packet.metadata.packet_type = NAMESPACE_ETHERTYPE | u32::from(ether_type),
    }
}

/// Where the first label stands, or would.
fn l2_len(packet: &Packet) -> usize {
    ether_type_at(packet).map_or(0, |(at, _)| at + 2)
}

pub(super) fn push_mpls(packet: &mut Packet, entry: u32, ether_type: u16) {
    if !ethernet::is_mpls(ether_type) {
        return;
    }
    let at = l2_len(packet);
    set_ether_type(packet, ether_type);
    packet.insert(at, mpls::LEN);
    put32(packet.bytes_mut(), at, entry);
    packet.metadata.ct = None;
}

pub(super) fn add_mpls(packet: &mut Packet, entry: u32, ether_type: u16, is_l3: bool) {
    if is_l3 {
        push_mpls(packet, entry, ether_type);
    } else if ethernet::is_mpls(ether_type) {
        packet.insert(0, mpls::LEN);
        put32(packet.bytes_mut(), 0, entry);
        packet.metadata.packet_type = NAMESPACE_ETHERTYPE | u32::from(ether_type);
        packet.metadata.ct = None;
    }
}

pub(super) fn pop_mpls(packet: &mut Packet, new_type: u16) {
    let at = l2_len(packet);
    if !ethernet::is_mpls(ether_type(packet)) || packet.len() < at + mpls::LEN {
        return;
    }
    set_ether_type(packet, new_type);
    packet.remove(at, mpls::LEN);
    if at == 0 && new_type == ethernet::TYPE_TEB {
        packet.metadata.packet_type = 0;
    }
}

pub(super) fn push_eth(packet: &mut Packet, src: MacAddr, dst: MacAddr) {
    if packet.metadata.packet_type == 0 {
        return;
    }
    let header = ethernet::header(dst, src, packet.metadata.packet_type as u16);
    packet.insert(0, header.len());
    put(packet.bytes_mut(), 0, header);
    packet.metadata.packet_type = 0;
}

pub(super) fn pop_eth(packet: &mut Packet) {
    if let Some((at, ether_type)) = ether_type_at(packet) {
        packet.remove(0, at + 2);
        packet.metadata.packet_type = NAMESPACE_ETHERTYPE | u32::from(ether_type);
    }
}

pub(super) fn push_nsh(packet: &mut Packet, key: &SparseKey, metadata: &[u8]) {
    let next = match packet.metadata.packet_type {
        0 => nsh::NEXT_ETHERNET,
        0x1_0800 => nsh::NEXT_IPV4,
        0x1_86dd => nsh::NEXT_IPV6,
        0x1_894f => nsh::NEXT_NSH,
        _ => return,
    };
    let md_type = key.read(slot::NSH_MDTYPE) as u8;
    let len = if md_type == nsh::MD_TYPE_1 {
        nsh::MD1_LEN
    } else {
        nsh::BASE_LEN + metadata.len().next_multiple_of(4)
    };
    if len > nsh::MAX_LEN {
        return;
    }
    packet.insert(0, len);
    let bytes = packet.bytes_mut();
    put16(bytes, 0, nsh::first_word(key.read(slot::NSH_FLAGS) as u8, key.read(slot::NSH_TTL) as u8, len));
    put(bytes, 2, [md_type, next]);
    put32(bytes, 4, (key.read(slot::NSH_SPI) as u32) << 8 | key.read(slot::NSH_SI) as u32);
    if md_type == nsh::MD_TYPE_1 {
        for (index, word) in [slot::NSH_C1, slot::NSH_C2, slot::NSH_C3, slot::NSH_C4].into_iter().enumerate()
        {
            put32(bytes, nsh::BASE_LEN + index * 4, key.read(word) as u32);
        }
    } else if let Some(place) = bytes.get_mut(nsh::BASE_LEN..nsh::BASE_LEN + metadata.len()) {
        place.copy_from_slice(metadata);
    }
    packet.offload = Offload::default();
    packet.metadata.packet_type = NAMESPACE_ETHERTYPE | u32::from(ethernet::TYPE_NSH);
}

/// False when it is no NSH packet, or what follows is unknown.
pub(super) fn pop_nsh(packet: &mut Packet) -> bool {
    let at = l2_len(packet);
    if ether_type(packet) != ethernet::TYPE_NSH {
        return false;
    }
    let Some(header) = nsh::Nsh::parse(packet.bytes().get(at..).unwrap_or(&[])) else { return false };
    let len = header.header_len();
    let next_type = match header.next() {
        nsh::NEXT_ETHERNET => 0,
        nsh::NEXT_IPV4 => NAMESPACE_ETHERTYPE | u32::from(ethernet::TYPE_IPV4),
        nsh::NEXT_IPV6 => NAMESPACE_ETHERTYPE | u32::from(ethernet::TYPE_IPV6),
        nsh::NEXT_NSH => NAMESPACE_ETHERTYPE | u32::from(ethernet::TYPE_NSH),
        _ => return false,
    };
    if len < nsh::BASE_LEN {
        return false;
    }
    packet.remove(0, at + len);
    packet.metadata.packet_type = next_type;
    true
}

/// The first label, for rewriting.
pub(super) fn first_label(packet: &Packet) -> Option<(usize, u32)> {
    let at = l2_len(packet);
    (ethernet::is_mpls(ether_type(packet)) && packet.len() >= at + mpls::LEN)
        .then(|| (at, be32(packet.bytes(), at)))
}

/// The offset of the NSH header.
pub(super) fn nsh_at(packet: &Packet) -> Option<usize> {
    let at = l2_len(packet);
    let is_nsh = ether_type(packet) == ethernet::TYPE_NSH;
    (is_nsh && nsh::Nsh::parse(packet.bytes().get(at..)?).is_some()).then_some(at)
}

/// The EtherType and where L3 begins, for rewriting.
pub(super) fn l3(packet: &Packet) -> (usize, u16) {
    let at = l2_len(packet);
    let ty = ether_type(packet);
    if ty < ethernet::TYPE_MIN
        && packet.metadata.packet_type == 0
        && let Some(snap) = packet.bytes().get(at..).and_then(ethernet::snap_type)
    {
        return (at + ethernet::LLC_SNAP_LEN, snap);
    }
    (at, ty)
}
