//! Flow hashes for `hash(l4(…))`, `hash(sym_l4(…))` and bonds.
//!
//! The symmetric hash is the reference's, bit by bit (MurmurHash3 over words
//! in memory order), so that a select group sends a connection to the same
//! bucket on either.

use base::murmur::Murmur;
use flow::extract::mix;
use flow::{FlowKey, MAX_VLANS};

use crate::{HashAlgorithm, Packet};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// The hash of the packet's flow; never zero, which means "none yet".
pub(super) fn hash(packet: &Packet, algorithm: HashAlgorithm, basis: u32) -> u32 {
    let key = packet.key(MAX_VLANS);
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
    if matches!(key.nw_proto(), TCP | UDP | SCTP) {
        hash = mix(hash, u64::from(key.tp_src()) << 16 | u64::from(key.tp_dst()));
    }
    (hash ^ hash >> 32) as u32
}

/// The same for both directions of a connection. Ports of UDP do not count.
fn symmetric(key: &FlowKey, basis: u32) -> u32 {
    let mut hash = Murmur::new(basis);
    match key.dl_type() {
        0x0800 => hash.add((key.nw_src() ^ key.nw_dst()).swap_bytes()),
        0x86dd => (key.ipv6_src() ^ key.ipv6_dst())
            .to_be_bytes()
            .chunks_exact(4)
            .for_each(|word| hash.add(word_of(word))),
        _ => return symmetric_l2(key, basis),
    }
    hash.add(key.nw_proto().into());
    if key.nw_frag() & flow::frag::ANY == 0 && matches!(key.nw_proto(), TCP | SCTP) {
        hash.add((key.tp_src() ^ key.tp_dst()).swap_bytes().into());
    }
    hash.finish(basis)
}

fn symmetric_l2(key: &FlowKey, basis: u32) -> u32 {
    if key.packet_type() != 0 {
        return 0;
    }
    let vid = (0..MAX_VLANS).fold(0, |vid, index| vid ^ key.vlan_tci(index) & 0x0fff);
    let addresses = (key.dl_src().to_u64() ^ key.dl_dst().to_u64()).to_be_bytes();
    let mut bytes = [0; 12];
    bytes[..2].copy_from_slice(&key.dl_type().to_be_bytes());
    bytes[2..4].copy_from_slice(&vid.to_be_bytes());
    bytes[4..10].copy_from_slice(&addresses[2..]);
    let mut hash = Murmur::new(basis);
    bytes.chunks_exact(4).for_each(|word| hash.add(word_of(word)));
    hash.finish(basis)
}

fn word_of(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_do_not_matter() {
        let mut key = FlowKey::new();
        key.set_dl_type(0x0800);
        key.set_nw_proto(TCP);
        key.set_nw_src(1);
        key.set_nw_dst(2);
        key.set_tp_src(3);
        key.set_tp_dst(4);
        let mut back = key.clone();
        back.set_nw_src(2);
        back.set_nw_dst(1);
        back.set_tp_src(4);
        back.set_tp_dst(3);
        assert_eq!(symmetric(&key, 5), symmetric(&back, 5));
        assert_ne!(symmetric(&key, 5), symmetric(&key, 6));
    }
}
