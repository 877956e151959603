//! From what rules did to the key to what the datapath must do to the packet.
//!
//! Actions change only `key`. Before the packet leaves, [`commit`] appends the
//! datapath actions that turn `base` (the packet as the datapath has it) into
//! `key`, and adds to the mask the bits that this depended on.

use dp::{Action, Attr, SlowPath};
use flow::{FlowKey, FlowMask, MAX_VLANS, Slot, SparseKey, VLAN_CFI, slot};

use crate::context::{Outcome, PacketState, Pending};

/// Appends what is missing. Afterwards `base` equals `key` in all that a packet carries.
pub(crate) fn commit(packet: &mut PacketState, out: &mut Outcome) {
    let pending = packet.pending.take();
    let key = &packet.key;
    commit_packet_type(key, out, pending);
    set(key, out, Attr::Ethernet, ETHERNET);
    let has_labels = is_mpls(key.dl_type());
    if is_mpls(out.base.dl_type()) && !has_labels {
        // Only what is not under a label can be set.
        commit_mpls(key, out);
    }
    // What was under labels is not known before the packet comes back, nor was it changed.
    if !has_labels && !packet.was_mpls {
        commit_nsh(key, out);
        commit_network(key, out);
        commit_transport(key, out);
    }
    if has_labels {
        commit_mpls(key, out);
    }
    commit_vlans(key, out);
    set(key, out, Attr::Priority, &[slot::SKB_PRIORITY]);
    set(key, out, Attr::SkbMark, &[slot::PKT_MARK]);
}

/// The name space of packet types that are Ethernet types.
pub(crate) const ETHER_TYPES: u32 = 1 << 16;
pub(crate) const TYPE_NSH: u32 = ETHER_TYPES | wire::ethernet::TYPE_NSH as u32;
pub(crate) const TYPE_MPLS: u32 = ETHER_TYPES | wire::ethernet::TYPE_MPLS as u32;
pub(crate) const TYPE_MPLS_MULTICAST: u32 = ETHER_TYPES | wire::ethernet::TYPE_MPLS_MULTICAST as u32;

const NSH: &[Slot] = &[
    slot::NSH_FLAGS,
    slot::NSH_TTL,
    slot::NSH_SPI,
    slot::NSH_SI,
    slot::NSH_C1,
    slot::NSH_C2,
    slot::NSH_C3,
    slot::NSH_C4,
];

/// Puts on, or takes off, the header that makes the packet one of another type.
fn commit_packet_type(key: &FlowKey, out: &mut Outcome, pending: Option<Pending>) {
    match pending {
        Some(Pending::Ethernet) => {
            out.actions.push(Action::PushEth { src: key.dl_src(), dst: key.dl_dst() });
            out.base.set_dl_src(key.dl_src());
            out.base.set_dl_dst(key.dl_dst());
            out.base.set_dl_type(out.base.packet_type() as u16);
            out.base.set_packet_type(0);
        }
        Some(Pending::Nsh(metadata)) => {
            let mut header = FlowKey::new();
            for &place in NSH.iter().chain(&[slot::NSH_MDTYPE, slot::NSH_NP]) {
                header.write(place, key.read(place));
            }
            out.actions.push(Action::PushNsh { key: Box::new(SparseKey::from(&header)), metadata });
            take_headers(key, out);
        }
        Some(Pending::Mpls { below }) => {
            let labels = labels(key);
            if !out.adds_labels {
                out.slow = out.slow.with(dp::SlowPath::ACTION);
            }
            for &entry in labels.iter().take(labels.len().saturating_sub(below)).rev() {
                out.actions.push(Action::AddMpls { entry, ether_type: key.dl_type(), is_l3: false });
            }
            take_headers(key, out);
        }
        None if out.base.packet_type() == key.packet_type() => {}
        Some(Pending::Decap) | None => match out.base.packet_type() {
            0 => {
                out.actions.push(Action::PopEth);
                out.base.set_packet_type(key.packet_type());
                out.base.set_dl_src(base::MacAddr::ZERO);
                out.base.set_dl_dst(base::MacAddr::ZERO);
            }
            // What is inside is known when the packet comes back.
            TYPE_NSH => out.actions.push(Action::PopNsh),
            // Labels are taken off with the others.
            _ => out.base.set_packet_type(key.packet_type()),
        },
    }
}

/// The packet has the headers that the key tells of.
fn take_headers(key: &FlowKey, out: &mut Outcome) {
    let first = flow::STAGES[1];
    out.base.core_mut()[first..].copy_from_slice(&key.core()[first..]);
    out.base.set_packet_type(key.packet_type());
}

/// Sets all that rules read or wrote of a network service header, if any of it differs.
fn commit_nsh(key: &FlowKey, out: &mut Outcome) {
    let is_nsh = out.base.dl_type() == wire::ethernet::TYPE_NSH;
    if !is_nsh || NSH.iter().all(|&place| key.read(place) == out.base.read(place)) {
        return;
    }
    let mut changed = FlowMask::new();
    if !out.sets_some_bits {
        for &place in NSH.iter().chain(&[slot::NSH_MDTYPE, slot::NSH_NP]) {
            out.mask.add_all(place);
            changed.add_all(place);
        }
    }
    for &place in NSH {
        if out.mask.bits(place) == 0 && key.read(place) != out.base.read(place) {
            out.mask.add_all(place);
        }
        changed.set_bits(place, out.mask.bits(place));
        out.base.write(place, key.read(place));
    }
    out.actions.push(Action::set(Attr::Nsh, key, &changed));
}

const ETHERNET: &[Slot] = &[slot::DL_SRC, slot::DL_DST];

/// Sets those of `slots` that differ.
///
/// That the others are left alone is right only as long as they are what they
/// are in this packet, so all that was read or set stays in the mask.
fn set(key: &FlowKey, out: &mut Outcome, attr: Attr, slots: &[Slot]) {
    if slots.iter().all(|&place| key.read(place) == out.base.read(place)) {
        return;
    }
    let mut changed = FlowMask::new();
    for &place in slots {
        if key.read(place) != out.base.read(place) {
            // What an action set is in the mask already; a bit that is not was neither read nor set.
            changed.set_bits(place, out.mask.bits(place));
            if out.mask.bits(place) == 0 {
                changed.set_bits(place, place.ones());
                out.mask.add_all(place);
            }
        }
    }
    if !out.sets_some_bits {
        for &place in slots {
            changed.set_bits(place, place.ones());
            out.mask.add_all(place);
        }
    }
    for &place in slots {
        let value = key.read(place);
        out.base.write(place, value);
    }
    out.actions.push(Action::set(attr, key, &changed));
}

const IPV4: &[Slot] = &[slot::NW_SRC, slot::NW_DST, slot::NW_TOS, slot::NW_TTL];
const IPV6: &[Slot] = &[slot::IPV6_SRC, slot::IPV6_DST, slot::IPV6_LABEL, slot::NW_TOS, slot::NW_TTL];
const ARP: &[Slot] = &[slot::NW_SRC, slot::NW_DST, slot::NW_PROTO, slot::ARP_SHA, slot::ARP_THA];

fn commit_network(key: &FlowKey, out: &mut Outcome) {
    let slots = match out.base.dl_type() {
        0x0800 => IPV4,
        0x86dd => IPV6,
        0x0806 | 0x8035 => ARP,
        _ => return,
    };
    let differs = |place: &Slot| key.read(*place) != out.base.read(*place);
    if slots.iter().any(differs) {
        if slots == ARP {
            out.mask.add_all(slot::NW_PROTO);
        }
        // Packets that are known to be without a protocol, or an operation, may be without the header.
        let is_known = out.mask.bits(slot::NW_PROTO) == slot::NW_PROTO.ones();
        if is_known && key.nw_proto() == 0 {
            return;
        }
    }
    match out.base.dl_type() {
        0x0800 => set(key, out, Attr::Ipv4, slots),
        0x86dd => {
            set(key, out, Attr::Ipv6, slots);
            set_slowly(key, out, Attr::Nd, &[slot::ND_TARGET, slot::ARP_SHA, slot::ARP_THA]);
            set_slowly(key, out, Attr::NdExt, &[slot::ND_RESERVED, slot::ND_OPTIONS_TYPE]);
        }
        _ => set_slowly(key, out, Attr::Arp, slots),
    }
}

/// Sets what datapaths can't be relied on to set: each packet goes through userspace.
fn set_slowly(key: &FlowKey, out: &mut Outcome, attr: Attr, slots: &[Slot]) {
    let before = out.actions.len();
    set(key, out, attr, slots);
    if out.actions.len() != before {
        out.slow = out.slow.with(SlowPath::ACTION);
    }
}

fn commit_transport(key: &FlowKey, out: &mut Outcome) {
    type Setter = fn(&FlowKey, &mut Outcome, Attr, &[Slot]);
    let (attr, setter): (Attr, Setter) = match (out.base.dl_type(), key.nw_proto()) {
        (0x0800 | 0x86dd, 6) => (Attr::Tcp, set),
        (0x0800 | 0x86dd, 17) => (Attr::Udp, set),
        (0x0800 | 0x86dd, 132) => (Attr::Sctp, set),
        (0x0800, 1) => (Attr::Icmp, set_slowly),
        (0x86dd, 58) => (Attr::Icmpv6, set_slowly),
        _ => return,
    };
    let before = out.actions.len();
    setter(key, out, attr, &[slot::TP_SRC, slot::TP_DST]);
    if out.actions.len() != before {
        out.mask.add_all(slot::NW_PROTO);
    }
}

fn commit_vlans(key: &FlowKey, out: &mut Outcome) {
    let (mut old, mut new) = (out.base.vlan_count(), key.vlan_count());
    if old > 0 && old != new {
        // Which of them stay depends on all of them, and on there being no other inside.
        for index in 0..old {
            out.mask.add_all(Slot::vlan_tci(index));
            out.mask.add_all(Slot::vlan_tpid(index));
        }
        if old < MAX_VLANS {
            out.mask.add(Slot::vlan_tci(old), VLAN_CFI.into());
        }
    }
    // Tags that are the same from the inside out stay on the packet.
    while old > 0 && new > 0 && tag(&out.base, old - 1) == tag(key, new - 1) {
        old -= 1;
        new -= 1;
    }
    for index in (0..old).rev() {
        out.actions.push(Action::PopVlan);
        out.mask.add_all(Slot::vlan_tci(index));
        out.mask.add_all(Slot::vlan_tpid(index));
    }
    for index in (0..new).rev() {
        let (tpid, tci) = tag(key, index);
        out.actions.push(Action::PushVlan { tpid, tci: tci | VLAN_CFI });
    }
    for index in 0..MAX_VLANS {
        let (tpid, tci) = tag(key, index);
        out.base.set_vlan(index, tpid, tci);
    }
}

fn tag(key: &FlowKey, index: usize) -> (u16, u16) {
    (key.vlan_tpid(index), key.vlan_tci(index))
}

pub(crate) fn is_mpls(ether_type: u16) -> bool {
    matches!(ether_type, 0x8847 | 0x8848)
}

/// The label stack, as far as the key holds it.
fn labels(key: &FlowKey) -> Vec<u32> {
    if !is_mpls(key.dl_type()) {
        return Vec::new();
    }
    let mut all = Vec::new();
    for index in 0..flow::MAX_MPLS {
        let entry = key.read(Slot::mpls(index)) as u32;
        all.push(entry);
        if entry & 0x100 != 0 {
            break;
        }
    }
    all
}

/// Labels from the bottom up: pop what differs, change the outer one in place where that is enough, push the rest.
fn commit_mpls(key: &FlowKey, out: &mut Outcome) {
    let (old, new) = (labels(&out.base), labels(key));
    if old == new && (new.is_empty() || out.base.dl_type() == key.dl_type()) {
        return;
    }
    let common = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    if old.len() == new.len() && old.len() - common == 1 {
        set(key, out, Attr::Mpls, &[slot::MPLS0]);
    } else {
        for left in (common..old.len()).rev() {
            let last = key.dl_type();
            let ether_type = if left > 0 && !is_mpls(last) { 0x8847 } else { last };
            out.actions.push(Action::PopMpls { ether_type });
        }
        for entry in new[..new.len() - common].iter().rev() {
            out.actions.push(Action::PushMpls { entry: *entry, ether_type: key.dl_type() });
        }
    }
    let ether_type = key.dl_type();
    out.base.set_dl_type(ether_type);
    for index in 0..flow::MAX_MPLS {
        let value = key.read(Slot::mpls(index));
        out.base.write(Slot::mpls(index), value);
    }
}
