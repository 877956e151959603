//! What the programs read of a frame, as bytes: the same that a key has ([`flow::extract`]), in another order.
//!
//! | bytes from | what |
//! |---|---|
//! | 0 | the Ethernet header |
//! | 14 | the tag, in the machine's order, with [`VLAN_CFI`]; 0: none |
//! | 16 | the device |
//! | 20 | protocol, TOS, TTL, 0 |
//! | 24 | addresses: 2 × 4 bytes of IPv4, 2 × 16 of IPv6 |
//! | 56 | ports, or type and code of ICMP as two bytes each |
//! | 60 | the number of the mask |
//!
//! Frames with anything else that a key has values for, and what is cut off or malformed, the programs leave to this process:
//! of those that they look up, all values of a key that are not here are 0.

use flow::{FlowKey, FlowMask, Slot, VLAN_CFI, slot};
use wire::ethernet;

/// How many bytes there are.
pub(super) const LEN: usize = 64;

pub(super) const TYPE: usize = 12;
pub(super) const TAG: usize = 14;
pub(super) const DEVICE: usize = 16;
pub(super) const PROTOCOL: usize = 20;
pub(super) const TOS: usize = 21;
pub(super) const TTL: usize = 22;
pub(super) const ADDRESSES: usize = 24;
pub(super) const PORTS: usize = 56;
pub(super) const MASK_NUMBER: usize = 60;

/// Words of a key from this one on are read from the frame; those before come with the packet, and are 0 when it arrives, but
/// for the port.
const FIRST_HEADER_WORD: usize = slot::DL_DST.word as usize;

/// What a frame looks like that a flow is for: bytes, and which bits of them count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    pub(super) key: [u8; LEN],
    pub(super) mask: [u8; LEN],
}

/// Values that have a place of their own, whatever the frame is, and how many of their low bytes stand there.
const OF_ALL: [(Slot, usize, usize); 3] =
    [(slot::DL_DST, 0, 6), (slot::DL_SRC, 6, 6), (slot::DL_TYPE, TYPE, 2)];

/// The same of IP.
const OF_IP: [(Slot, usize, usize); 5] = [
    (slot::NW_PROTO, PROTOCOL, 1),
    (slot::NW_TOS, TOS, 1),
    (slot::NW_TTL, TTL, 1),
    (slot::TP_SRC, PORTS, 2),
    (slot::TP_DST, PORTS + 2, 2),
];

/// The same of its versions.
const OF_IPV4: [(Slot, usize, usize); 2] = [(slot::NW_SRC, ADDRESSES, 4), (slot::NW_DST, ADDRESSES + 4, 4)];
const OF_IPV6: [(Slot, usize, usize); 2] =
    [(slot::IPV6_SRC, ADDRESSES, 16), (slot::IPV6_DST, ADDRESSES + 16, 16)];

/// Values that no frame has which the programs look up.
const ABSENT: [Slot; 3] = [slot::VLAN1_TPID, slot::VLAN1_TCI, slot::NW_FRAG];

impl Pattern {
    /// That of the frames which a flow matches; `None` where the programs cannot tell them.
    ///
    /// A flow of one port is meant, whose device has this number.
    pub(super) fn new(key: &FlowKey, mask: &FlowMask, ifindex: u32) -> Option<Pattern> {
        let mut pattern = Pattern { key: [0; LEN], mask: [0; LEN] };
        let mut rest = mask.clone();
        let is_whole = |place: Slot| mask.bits(place) == place.ones();
        if !is_whole(slot::IN_PORT) || !is_whole(slot::DL_TYPE) {
            return None;
        }
        rest.set_bits(slot::IN_PORT, 0);
        pattern.put(DEVICE, &ifindex.to_ne_bytes(), &[0xff; 4]);
        let layers: [&[(Slot, usize, usize)]; 3] = match key.dl_type() {
            ethernet::TYPE_IPV4 => [&OF_ALL, &OF_IP, &OF_IPV4],
            ethernet::TYPE_IPV6 => [&OF_ALL, &OF_IP, &OF_IPV6],
            _ => [&OF_ALL, &[], &[]],
        };
        for &(place, at, len) in layers.into_iter().flatten() {
            let bits = mask.bits(place);
            rest.set_bits(place, 0);
            let tail = |value: u128| value.to_be_bytes();
            let (value, bits) = (tail(key.read(place) & bits), tail(bits));
            pattern.put(at, value.get(16 - len..)?, bits.get(16 - len..)?);
        }
        pattern.put_tag(key, mask, &mut rest)?;
        for place in ABSENT {
            if key.read(place) & mask.bits(place) != 0 {
                return None;
            }
            rest.set_bits(place, 0);
        }
        let can_tell = |(index, bits): (usize, u64)| index < FIRST_HEADER_WORD && key.word(index) & bits == 0;
        (rest.as_key().present().all(can_tell) && !key.has_tun_options()).then_some(pattern)
    }

    fn put(&mut self, at: usize, value: &[u8], bits: &[u8]) {
        for (place, from) in [(&mut self.key, value), (&mut self.mask, bits)] {
            if let Some(place) = place.get_mut(at..at + from.len()) {
                place.copy_from_slice(from);
            }
        }
    }

    /// The tag: frames that are looked up have none or one of 802.1Q.
    fn put_tag(&mut self, key: &FlowKey, mask: &FlowMask, rest: &mut FlowMask) -> Option<()> {
        let (tci, bits) = (key.vlan0_tci(), mask.bits(slot::VLAN0_TCI) as u16);
        let tpid = key.vlan0_tpid();
        let is_known = match tci & VLAN_CFI {
            0 => tci == 0 && tpid == 0,
            _ => tpid == ethernet::TYPE_VLAN,
        };
        // Whether there is one must be known, as its Ethernet type follows from that.
        if bits & VLAN_CFI == 0 || !is_known {
            return None;
        }
        self.put(TAG, &(tci & bits).to_ne_bytes(), &bits.to_ne_bytes());
        rest.set_bits(slot::VLAN0_TCI, 0);
        rest.set_bits(slot::VLAN0_TPID, 0);
        Some(())
    }
}
