//! Pushing and popping what stands before or between headers.

use base::MacAddr;
use flow::{SparseKey, VLAN_CFI, slot};
use wire::{TypedForm, ethernet, mpls, nsh};

use crate::Packet;
use crate::sums::{self, Abilities};

/// Packet types (`PT_*`): name space 1 holds EtherTypes.
const NAMESPACE_ETHERTYPE: u32 = 1 << 16;

pub(super) fn push_vlan(packet: &mut Packet, tpid: u16, tci: u16) {
    if packet.len() >= ethernet::TAG_OFFSET {
        packet.insert_header(ethernet::TAG_OFFSET, &ethernet::Tag { tpid, tci: tci & !VLAN_CFI });
    }
}

pub(super) fn pop_vlan(packet: &mut Packet) {
    if packet.len() >= ethernet::HEADER_LEN + ethernet::VLAN_HEADER_LEN && outer_tag(packet).is_some() {
        packet.remove(ethernet::TAG_OFFSET, ethernet::VLAN_HEADER_LEN);
    }
}

/// The outermost tag of what stands where an Ethernet frame has its tags.
fn outer_tag(packet: &Packet) -> Option<ethernet::Tag> {
    ethernet::Tag::parse(packet.bytes().get(ethernet::TAG_OFFSET..)?)
}

/// Gives the outermost tag of a frame the control information that `change` makes of its own.
pub(super) fn change_tci(packet: &mut Packet, change: impl FnOnce(u16) -> u16) {
    if packet.metadata.packet_type == 0
        && let Some(tag) = outer_tag(packet)
    {
        let tci = change(tag.tci) & !VLAN_CFI;
        packet.replace_header(ethernet::TAG_OFFSET, &ethernet::Tag { tci, ..tag });
    }
}

/// Offset of the EtherType behind all tags, and the type; `None` without Ethernet.
#[inline]
fn ether_type_at(packet: &Packet) -> Option<(usize, u16)> {
    if packet.metadata.packet_type != 0 {
        return None;
    }
    ethernet::type_behind_tags(packet.bytes())
}

/// The EtherType of what follows L2, whatever L2 is.
fn ether_type(packet: &Packet) -> u16 {
    ether_type_at(packet).map_or(packet.metadata.packet_type as u16, |(_, ty)| ty)
}

fn set_ether_type(packet: &mut Packet, ether_type: u16) {
    let is_ethernet = packet.metadata.packet_type == 0;
    if !is_ethernet || !ethernet::set_type_behind_tags(packet.bytes_mut(), ether_type) {
        packet.metadata.packet_type = NAMESPACE_ETHERTYPE | u32::from(ether_type);
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
    // Nobody looks for checksums behind labels.
    sums::complete(packet, Abilities::default());
    let at = l2_len(packet);
    set_ether_type(packet, ether_type);
    packet.insert_header(at, &mpls::Entry::from(entry));
    packet.metadata.ct = None;
}

pub(super) fn add_mpls(packet: &mut Packet, entry: u32, ether_type: u16, is_l3: bool) {
    if is_l3 {
        push_mpls(packet, entry, ether_type);
    } else if ethernet::is_mpls(ether_type) {
        sums::complete(packet, Abilities::default());
        packet.insert_header(0, &mpls::Entry::from(entry));
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
    let ether_type = packet.metadata.packet_type as u16;
    packet.insert_header(0, &ethernet::Header { dst, src, ether_type });
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
    if metadata.len() > nsh::MAX_METADATA_LEN {
        return;
    }
    let context = [slot::NSH_C1, slot::NSH_C2, slot::NSH_C3, slot::NSH_C4];
    let metadata = match key.read(slot::NSH_MDTYPE) as u8 {
        nsh::MD_TYPE_1 => nsh::Metadata::Context(context.map(|word| key.read(word) as u32)),
        nsh::MD_TYPE_2 => nsh::Metadata::Variable(metadata.to_vec()),
        other => nsh::Metadata::Other(other, metadata.to_vec()),
    };
    let header = nsh::Header {
        flags: key.read(slot::NSH_FLAGS) as u8,
        ttl: key.read(slot::NSH_TTL) as u8,
        next,
        service_path: key.read(slot::NSH_SPI) as u32,
        service_index: key.read(slot::NSH_SI) as u8,
        metadata,
    };
    // Nobody looks for a checksum to complete under this header.
    crate::offload::complete_checksum(packet);
    packet.insert_header(0, &header);
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

/// Gives the outermost label stack entry the value that `change` makes of its own.
pub(super) fn change_label(packet: &mut Packet, change: impl FnOnce(u32) -> u32) {
    let at = l2_len(packet);
    if ethernet::is_mpls(ether_type(packet))
        && let Some(entry) = packet.bytes().get(at..).and_then(mpls::Entry::parse)
    {
        packet.replace_header(at, &mpls::Entry::from(change(entry.into())));
    }
}

/// The NSH header, for rewriting.
pub(super) fn nsh(packet: &mut Packet) -> Option<nsh::NshMut<'_>> {
    let at = l2_len(packet);
    if ether_type(packet) != ethernet::TYPE_NSH {
        return None;
    }
    nsh::NshMut::parse(packet.bytes_mut().get_mut(at..)?)
}

/// The EtherType and where L3 begins, for rewriting.
pub fn l3(packet: &Packet) -> (usize, u16) {
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
