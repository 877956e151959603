//! Hashes of packets by which `multipath`, `bundle` and select groups choose,
//! and the parts of the key that each of them depends on.

use flow::extract::mix;
use flow::{FlowKey, FlowMask, MAX_VLANS, Slot, VLAN_CFI, slot};
use ofp::HashFields;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// A hash of the chosen fields; adds to `mask` what it read.
pub(crate) fn of_fields(key: &FlowKey, mask: &mut FlowMask, fields: HashFields, basis: u16) -> u32 {
    of_fields_from(key, mask, fields, u32::from(basis))
}

/// The same with a wider start.
pub(crate) fn of_fields_from(key: &FlowKey, mask: &mut FlowMask, fields: HashFields, basis: u32) -> u32 {
    match fields {
        HashFields::EthSrc => of_slots(key, mask, &[slot::DL_SRC], basis),
        HashFields::SymmetricL4 => symmetric_l4(key, mask, basis),
        HashFields::SymmetricL3L4 => symmetric_l3l4(key, mask, basis, false),
        HashFields::SymmetricL3L4Udp => symmetric_l3l4(key, mask, basis, true),
        HashFields::NwSrc => of_slots(key, mask, addresses(key, 0), basis),
        HashFields::NwDst => of_slots(key, mask, addresses(key, 1), basis),
        HashFields::SymmetricL3 => {
            let [source, destination] = [addresses(key, 0), addresses(key, 1)];
            finish(fold(u64::from(basis), exclusive_or(key, mask, source, destination)))
        }
    }
}

/// A hash of addresses and ports that both directions of a connection share. Ports of UDP do not count.
pub(crate) fn symmetric_l4(key: &FlowKey, mask: &mut FlowMask, basis: u32) -> u32 {
    let mut hash = fold(u64::from(basis), exclusive_or(key, mask, &[slot::DL_SRC], &[slot::DL_DST]));
    let mut vid = 0;
    for index in 0..MAX_VLANS {
        mask.add(Slot::vlan_tci(index), u128::from(0x0fff | VLAN_CFI));
        vid ^= key.vlan_tci(index) & 0x0fff;
    }
    hash = mix(hash, u64::from(key.dl_type()) << 16 | u64::from(vid));
    if key.is_ip() {
        hash = fold(hash, exclusive_or(key, mask, addresses(key, 0), addresses(key, 1)));
        mask.add_all(slot::NW_PROTO);
        hash = mix(hash, u64::from(key.nw_proto()));
        if matches!(key.nw_proto(), TCP | SCTP) {
            hash = fold(hash, exclusive_or(key, mask, &[slot::TP_SRC], &[slot::TP_DST]));
        }
    }
    finish(hash)
}

fn symmetric_l3l4(key: &FlowKey, mask: &mut FlowMask, basis: u32, with_udp: bool) -> u32 {
    if !key.is_ip() {
        return symmetric_l2(key, mask, basis);
    }
    let mut hash = fold(u64::from(basis), exclusive_or(key, mask, addresses(key, 0), addresses(key, 1)));
    mask.add_all(slot::NW_PROTO);
    hash = mix(hash, u64::from(key.nw_proto()));
    let has_ports = matches!(key.nw_proto(), TCP | SCTP) || with_udp && key.nw_proto() == UDP;
    // Fragments have the same hash whether or not they show their ports.
    if has_ports && key.nw_frag() & flow::frag::ANY == 0 {
        hash = fold(hash, exclusive_or(key, mask, &[slot::TP_SRC], &[slot::TP_DST]));
    }
    finish(hash)
}

fn symmetric_l2(key: &FlowKey, mask: &mut FlowMask, basis: u32) -> u32 {
    if key.packet_type() != 0 {
        return 0;
    }
    let mut hash = fold(u64::from(basis), exclusive_or(key, mask, &[slot::DL_SRC], &[slot::DL_DST]));
    for index in 0..MAX_VLANS {
        mask.add(Slot::vlan_tci(index), u128::from(0x0fff | VLAN_CFI));
        hash = mix(hash, u64::from(key.vlan_tci(index) & 0x0fff));
    }
    finish(mix(hash, u64::from(key.dl_type())))
}

/// A hash of single values, one after the other.
pub(crate) fn of_value(hash: u32, value: u128) -> u32 {
    finish(fold(u64::from(hash), value))
}

/// Two numbers to one, for choosing by the highest of several.
pub(crate) fn of_pair(a: u32, b: u32) -> u32 {
    finish(mix(u64::from(a), u64::from(b)))
}

/// The network source (0) or destination (1) address, if the packet has one.
fn addresses(key: &FlowKey, which: usize) -> &'static [Slot] {
    match (key.dl_type(), which) {
        (0x0800, 0) => &[slot::NW_SRC],
        (0x0800, _) => &[slot::NW_DST],
        (0x86dd, 0) => &[slot::IPV6_SRC],
        (0x86dd, _) => &[slot::IPV6_DST],
        _ => &[],
    }
}

fn of_slots(key: &FlowKey, mask: &mut FlowMask, slots: &[Slot], basis: u32) -> u32 {
    let mut hash = u64::from(basis);
    for &place in slots {
        mask.add_all(place);
        hash = fold(hash, key.read(place));
    }
    finish(hash)
}

fn exclusive_or(key: &FlowKey, mask: &mut FlowMask, a: &[Slot], b: &[Slot]) -> u128 {
    let mut value = 0;
    for &place in a.iter().chain(b) {
        mask.add_all(place);
        value ^= key.read(place);
    }
    value
}

fn fold(hash: u64, value: u128) -> u64 {
    mix(mix(hash, (value >> 64) as u64), value as u64)
}

fn finish(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_of_a_connection_are_one() {
        let mut key = FlowKey::new();
        key.set_dl_type(0x0800);
        key.set_nw_src(1);
        key.set_nw_dst(2);
        key.set_nw_proto(TCP);
        key.set_tp_src(3);
        key.set_tp_dst(4);
        let mut back = key.clone();
        back.set_nw_src(2);
        back.set_nw_dst(1);
        back.set_tp_src(4);
        back.set_tp_dst(3);
        for fields in [
            HashFields::SymmetricL4,
            HashFields::SymmetricL3L4,
            HashFields::SymmetricL3L4Udp,
            HashFields::SymmetricL3,
        ] {
            let mut mask = FlowMask::new();
            let hash = of_fields(&key, &mut mask, fields, 7);
            assert_eq!(hash, of_fields(&back, &mut mask, fields, 7), "{fields:?}");
            assert_ne!(hash, of_fields(&key, &mut mask, fields, 8), "{fields:?}");
        }
    }
}
