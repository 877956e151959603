//! From what rules did to the key to what the datapath must do to the packet.
//!
//! Actions change only `key`. Before the packet leaves, [`commit`] appends the
//! datapath actions that turn `base` (the packet as the datapath has it) into
//! `key`, and adds to the mask the bits that this depended on.

use dp::{Action, Attr, SlowPath};
use flow::{FlowKey, FlowMask, MAX_VLANS, Slot, VLAN_CFI, slot};

use crate::translate::Context;

/// Appends what is missing. Afterwards `base` equals `key` in all that a packet carries.
pub(crate) fn commit(context: &mut Context<'_>) {
    set(context, Attr::Ethernet, ETHERNET);
    let has_labels = is_mpls(context.key.dl_type());
    if is_mpls(context.base.dl_type()) && !has_labels {
        // Only what is not under a label can be set.
        commit_mpls(context);
    }
    // What was under labels is not known before the packet comes back, nor was it changed.
    if !has_labels && !context.was_mpls {
        commit_network(context);
        commit_transport(context);
    }
    if has_labels {
        commit_mpls(context);
    }
    commit_vlans(context);
    set(context, Attr::Priority, &[slot::SKB_PRIORITY]);
    set(context, Attr::SkbMark, &[slot::PKT_MARK]);
}

const ETHERNET: &[Slot] = &[slot::DL_SRC, slot::DL_DST];

/// Sets those of `slots` that differ.
///
/// That the others are left alone is right only as long as they are what they
/// are in this packet, so all that was read or set stays in the mask.
fn set(context: &mut Context<'_>, attr: Attr, slots: &[Slot]) {
    let mut changed = FlowMask::new();
    for &place in slots {
        if context.key.read(place) != context.base.read(place) {
            // What an action set is in the mask already; a bit that is not was neither read nor set.
            changed.set_bits(place, context.mask.bits(place));
            if context.mask.bits(place) == 0 {
                changed.set_bits(place, place.ones());
                context.mask.add_all(place);
            }
        }
    }
    if changed.is_empty() {
        return;
    }
    for &place in slots {
        let value = context.key.read(place);
        context.base.write(place, value);
    }
    context.actions.push(Action::set(attr, &context.key, &changed));
}

const IPV4: &[Slot] = &[slot::NW_SRC, slot::NW_DST, slot::NW_TOS, slot::NW_TTL];
const IPV6: &[Slot] = &[slot::IPV6_SRC, slot::IPV6_DST, slot::IPV6_LABEL, slot::NW_TOS, slot::NW_TTL];
const ARP: &[Slot] = &[slot::NW_SRC, slot::NW_DST, slot::NW_PROTO, slot::ARP_SHA, slot::ARP_THA];

fn commit_network(context: &mut Context<'_>) {
    let slots = match context.base.dl_type() {
        0x0800 => IPV4,
        0x86dd => IPV6,
        0x0806 | 0x8035 => ARP,
        _ => return,
    };
    let differs = |place: &Slot| context.key.read(*place) != context.base.read(*place);
    if slots.iter().any(differs) {
        if slots == ARP {
            context.mask.add_all(slot::NW_PROTO);
        }
        // Packets that are known to be without a protocol, or an operation, may be without the header.
        let is_known = context.mask.bits(slot::NW_PROTO) == slot::NW_PROTO.ones();
        if is_known && context.key.nw_proto() == 0 {
            return;
        }
    }
    match context.base.dl_type() {
        0x0800 => set(context, Attr::Ipv4, slots),
        0x86dd => {
            set(context, Attr::Ipv6, slots);
            set_slowly(context, Attr::Nd, &[slot::ND_TARGET, slot::ARP_SHA, slot::ARP_THA]);
            set_slowly(context, Attr::NdExt, &[slot::ND_RESERVED, slot::ND_OPTIONS_TYPE]);
        }
        _ => set_slowly(context, Attr::Arp, slots),
    }
}

/// Sets what datapaths can't be relied on to set: each packet goes through userspace.
fn set_slowly(context: &mut Context<'_>, attr: Attr, slots: &[Slot]) {
    let before = context.actions.len();
    set(context, attr, slots);
    if context.actions.len() != before {
        context.slow = context.slow.with(SlowPath::ACTION);
    }
}

fn commit_transport(context: &mut Context<'_>) {
    type Setter = fn(&mut Context<'_>, Attr, &[Slot]);
    let (attr, setter): (Attr, Setter) = match (context.base.dl_type(), context.key.nw_proto()) {
        (0x0800 | 0x86dd, 6) => (Attr::Tcp, set),
        (0x0800 | 0x86dd, 17) => (Attr::Udp, set),
        (0x0800 | 0x86dd, 132) => (Attr::Sctp, set),
        (0x0800, 1) => (Attr::Icmp, set_slowly),
        (0x86dd, 58) => (Attr::Icmpv6, set_slowly),
        _ => return,
    };
    let before = context.actions.len();
    setter(context, attr, &[slot::TP_SRC, slot::TP_DST]);
    if context.actions.len() != before {
        context.mask.add_all(slot::NW_PROTO);
    }
}

fn commit_vlans(context: &mut Context<'_>) {
    let (mut base, mut key) = (context.base.vlan_count(), context.key.vlan_count());
    if base > 0 && base != key {
        // Which of them stay depends on all of them, and on there being no other inside.
        for index in 0..base {
            context.mask.add_all(Slot::vlan_tci(index));
            context.mask.add_all(Slot::vlan_tpid(index));
        }
        if base < MAX_VLANS {
            context.mask.add(Slot::vlan_tci(base), VLAN_CFI.into());
        }
    }
    // Tags that are the same from the inside out stay on the packet.
    while base > 0 && key > 0 && tag(&context.base, base - 1) == tag(&context.key, key - 1) {
        base -= 1;
        key -= 1;
    }
    for index in (0..base).rev() {
        context.actions.push(Action::PopVlan);
        context.mask.add_all(Slot::vlan_tci(index));
        context.mask.add_all(Slot::vlan_tpid(index));
    }
    for index in (0..key).rev() {
        let (tpid, tci) = tag(&context.key, index);
        context.actions.push(Action::PushVlan { tpid, tci: tci | VLAN_CFI });
    }
    for index in 0..MAX_VLANS {
        let (tpid, tci) = tag(&context.key, index);
        context.base.set_vlan(index, tpid, tci);
    }
}

fn tag(key: &FlowKey, index: usize) -> (u16, u16) {
    (key.vlan_tpid(index), key.vlan_tci(index))
}

pub(crate) fn is_mpls(ether_type: u16) -> bool {
    matches!(ether_type, 0x8847 | 0x8848)
}

/// Labels from the bottom up: pop what differs, change the outer one in place where that is enough, push the rest.
fn commit_mpls(context: &mut Context<'_>) {
    let labels = |key: &FlowKey| -> Vec<u32> {
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
    };
    let (base, key) = (labels(&context.base), labels(&context.key));
    if base == key && (key.is_empty() || context.base.dl_type() == context.key.dl_type()) {
        return;
    }
    let common = base.iter().rev().zip(key.iter().rev()).take_while(|(a, b)| a == b).count();
    if base.len() == key.len() && base.len() - common == 1 {
        set(context, Attr::Mpls, &[slot::MPLS0]);
    } else {
        for left in (common..base.len()).rev() {
            let last = context.key.dl_type();
            let ether_type = if left > 0 && !is_mpls(last) { 0x8847 } else { last };
            context.actions.push(Action::PopMpls { ether_type });
        }
        for entry in key[..key.len() - common].iter().rev() {
            context.actions.push(Action::PushMpls { entry: *entry, ether_type: context.key.dl_type() });
        }
    }
    let ether_type = context.key.dl_type();
    context.base.set_dl_type(ether_type);
    for index in 0..flow::MAX_MPLS {
        let value = context.key.read(Slot::mpls(index));
        context.base.write(Slot::mpls(index), value);
    }
}
