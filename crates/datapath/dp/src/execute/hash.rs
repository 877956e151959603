//! Flow hashes for `hash(l4(…))` and bonds.

use flow::FlowKey;
use flow::extract::mix;

use crate::{HashAlgorithm, Packet};

/// The hash of the packet's flow; never zero, which means "none yet".
pub(super) fn hash(packet: &Packet, algorithm: HashAlgorithm, basis: u32) -> u32 {
    let key = packet.key(flow::MAX_VLANS);
    let value = match algorithm {
        HashAlgorithm::L4 => five_tuple(&key, basis),
        HashAlgorithm::SymL4 => symmetric(&key, basis),
    };
    value.max(1)
}

fn five_tuple(key: &FlowKey, basis: u32) -> u32 {
    let mut hash = mix(u64::from(basis), u64::from(key.nw_proto()));
    if key.dl_type() == 0x86dd {
        for address in [key.ipv6_src(), key.ipv6_dst()] {
            hash = mix(mix(hash, (address >> 64) as u64), address as u64);
        }
    } else {
        hash = mix(hash, u64::from(key.nw_src()) << 32 | u64::from(key.nw_dst()));
    }
    if matches!(key.nw_proto(), 6 | 17 | 132) {
        hash = mix(hash, u64::from(key.tp_src()) << 16 | u64::from(key.tp_dst()));
    }
    (hash ^ hash >> 32) as u32
}

/// The same for both directions of a connection.
fn symmetric(key: &FlowKey, basis: u32) -> u32 {
    let addresses = if key.dl_type() == 0x86dd {
        key.ipv6_src() ^ key.ipv6_dst()
    } else {
        u128::from(key.nw_src() ^ key.nw_dst())
    };
    let mut hash = mix(u64::from(basis), u64::from(key.nw_proto()));
    hash = mix(mix(hash, (addresses >> 64) as u64), addresses as u64);
    if matches!(key.nw_proto(), 6 | 17 | 132) {
        hash = mix(hash, u64::from(key.tp_src() ^ key.tp_dst()));
    }
    (hash ^ hash >> 32) as u32
}
