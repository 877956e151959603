//! What travels with a packet beside its bytes.

use base::DpPort;

use crate::Slot;
use crate::slot::{CONJ_ID, CT_STATE, TUN_ERSPAN_IDX, TUN_ID};
use crate::{FlowKey, ct_state};

/// Words of the tunnel part of a key.
pub(crate) const TUNNEL_RANGE: std::ops::Range<usize> =
    TUN_ID.word as usize..TUN_ERSPAN_IDX.word as usize + 1;
/// Words of the connection-tracking part of a key; the last one holds [`CONJ_ID`] as well, which is no part of it.
pub(crate) const CT_RANGE: std::ops::Range<usize> = CT_STATE.word as usize..CONJ_ID.word as usize + 1;
/// The tunnel part of a key: from which tunnel a packet came, or into which it shall go.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TunnelKey {
    words: [u64; TUNNEL_RANGE.end - TUNNEL_RANGE.start],
    /// That of [`crate::slot::TUN_PRESENT_HIGH`].
    present_high: u32,
    /// The data of options.
    options: Box<[u64]>,
}

impl TunnelKey {
    /// The tunnel part of `key`, or `None` when it has no tunnel addresses.
    pub fn from_key(key: &FlowKey) -> Option<TunnelKey> {
        let is_set =
            key.tun_dst() != 0 || key.tun_src() != 0 || key.tun_ipv6_dst() != 0 || key.tun_ipv6_src() != 0;
        is_set.then(|| TunnelKey {
            words: std::array::from_fn(|index| key.word(TUNNEL_RANGE.start + index)),
            present_high: key.tun_present_high(),
            options: key.words.extension().into(),
        })
    }

    /// Copies this part into `key`.
    pub fn write_to(&self, key: &mut FlowKey) {
        key.core_mut()[TUNNEL_RANGE].copy_from_slice(&self.words);
        key.set_tun_present_high(self.present_high);
        if !self.options.is_empty() || key.has_extension() {
            key.words.set_extension(&self.options);
        }
    }

    /// A key of which only the tunnel part is set, for its accessors.
    pub fn to_key(&self) -> FlowKey {
        let mut key = FlowKey::new();
        self.write_to(&mut key);
        key
    }
}

/// The connection-tracking part of a key.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct CtKey {
    words: [u64; CT_RANGE.end - CT_RANGE.start],
}

impl CtKey {
    /// The connection-tracking part of `key`, or `None` when the packet was not tracked.
    pub fn from_key(key: &FlowKey) -> Option<CtKey> {
        let mut key = key.clone();
        key.set_conj_id(0);
        let words = std::array::from_fn(|index| key.word(CT_RANGE.start + index));
        words.iter().any(|&w| w != 0).then_some(CtKey { words })
    }

    /// Writes all but what depends on the packet's headers; see [`crate::extract`].
    pub fn write_to(&self, key: &mut FlowKey) {
        let conj_id = key.conj_id();
        key.core_mut()[CT_RANGE].copy_from_slice(&self.words);
        key.set_conj_id(conj_id);
    }

    /// A key of which only this part is set, for its accessors.
    pub fn to_key(&self) -> FlowKey {
        let mut key = FlowKey::new();
        self.write_to(&mut key);
        key
    }

    /// The value of one of this part's slots; 0 of others.
    #[inline]
    pub fn read(&self, slot: Slot) -> u128 {
        slot.value(|word| {
            let index = word.checked_sub(CT_RANGE.start);
            index.and_then(|index| self.words.get(index)).copied().unwrap_or_default()
        })
    }

    /// Sets the value of one of this part's slots; bits beyond its width are dropped.
    #[inline]
    pub fn write(&mut self, slot: Slot, value: u128) {
        let Some(first) = usize::from(slot.word).checked_sub(CT_RANGE.start) else { return };
        let value = value & slot.ones();
        let Some([high, rest @ ..]) = self.words.get_mut(first..) else { return };
        if slot.bits == 128 {
            *high = (value >> 64) as u64;
            if let Some(low) = rest.first_mut() {
                *low = value as u64;
            }
        } else {
            *high = *high & !((slot.ones() as u64) << slot.shift) | (value as u64) << slot.shift;
        }
    }

    /// Whether the packet went through the connection tracker.
    pub fn is_tracked(&self) -> bool {
        self.read(CT_STATE) as u32 & ct_state::TRACKED != 0
    }
}

/// What a packet carries beside its bytes, from its arrival to its end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// The datapath port that it came in by.
    pub in_port: DpPort,
    /// Where its translation goes on; 0 when it has not begun.
    pub recirc_id: u32,
    /// The hash by which the datapath chooses among links; 0 when none was computed.
    pub dp_hash: u32,
    /// The queueing priority (`set_queue`).
    pub skb_priority: u32,
    /// The packet mark, as the kernel's `fwmark`.
    pub pkt_mark: u32,
    /// As in [`FlowKey::packet_type`]: 0 is Ethernet, else the bytes begin at L3.
    pub packet_type: u32,
    /// The tunnel that it came out of or goes into.
    pub tunnel: Option<Box<TunnelKey>>,
    /// What the connection tracker knows of it.
    pub ct: Option<Box<CtKey>>,
}

impl Metadata {
    /// The metadata of a packet that came in at `in_port`, and nothing else.
    pub fn new(in_port: DpPort) -> Metadata {
        Metadata { in_port, ..Metadata::default() }
    }

    /// The metadata that `key` tells of.
    pub fn from_key(key: &FlowKey) -> Metadata {
        Metadata {
            in_port: DpPort(key.in_port()),
            recirc_id: key.recirc_id(),
            dp_hash: key.dp_hash(),
            skb_priority: key.skb_priority(),
            pkt_mark: key.pkt_mark(),
            packet_type: key.packet_type(),
            tunnel: TunnelKey::from_key(key).map(Box::new),
            ct: CtKey::from_key(key).map(Box::new),
        }
    }
}
