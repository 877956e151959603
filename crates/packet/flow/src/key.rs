//! The dense key.

use std::fmt;

use crate::words::Words;
use crate::{Slot, slot};

/// All that the switch knows of one packet.
///
/// Invariant: a value that the packet does not have is zero. Two packets with
/// equal keys are the same packet to every rule.
///
/// Cost: 536 bytes, and up to a kilobyte apart for packets with tunnel options; copying or clearing one takes about a dozen
/// vector stores.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FlowKey {
    pub(crate) words: Words,
}

crate::words::holds_words!(FlowKey);

impl FlowKey {
    /// The key of a packet of which nothing is known.
    pub fn new() -> FlowKey {
        FlowKey::default()
    }

    /// The value in `slot`.
    #[inline]
    pub fn read(&self, slot: Slot) -> u128 {
        self.words.read(slot)
    }

    /// Replaces the value in `slot`; bits beyond its width are dropped.
    #[inline]
    pub fn write(&mut self, slot: Slot, value: u128) {
        self.words.write(slot, value);
    }

    /// Replaces those bits of `slot` that `mask` names.
    #[inline]
    pub fn write_masked(&mut self, slot: Slot, value: u128, mask: u128) {
        self.write(slot, self.read(slot) & !mask | value & mask);
    }

    /// Register `index`, from 0 to [`crate::REGISTERS`] - 1.
    pub fn register(&self, index: usize) -> u32 {
        self.read(Slot::register(index)) as u32
    }

    /// Sets register `index`.
    pub fn set_register(&mut self, index: usize, value: u32) {
        self.write(Slot::register(index), u128::from(value));
    }

    /// TCI of tag `index` (0 outer); zero when there is none.
    pub fn vlan_tci(&self, index: usize) -> u16 {
        self.read(Slot::vlan_tci(index)) as u16
    }

    /// The Ethernet type of tag `index`, counted from the outermost; zero when there is none.
    pub fn vlan_tpid(&self, index: usize) -> u16 {
        self.read(Slot::vlan_tpid(index)) as u16
    }

    /// Sets the Ethernet type and the control information of tag `index`, counted from the outermost.
    pub fn set_vlan(&mut self, index: usize, tpid: u16, tci: u16) {
        self.write(Slot::vlan_tpid(index), u128::from(tpid));
        self.write(Slot::vlan_tci(index), u128::from(tci));
    }

    /// How many tags the packet carries, as far as the key can hold them.
    pub fn vlan_count(&self) -> usize {
        (0..crate::MAX_VLANS).take_while(|&i| self.vlan_tci(i) & crate::VLAN_CFI != 0).count()
    }

    /// Makes it the key that a packet has for who reads at most `max` tags: the next tag's type is what the packet
    /// is of, and what lies behind it is not seen.
    pub fn limit_vlans(&mut self, max: usize) {
        if max >= self.vlan_count() {
            return;
        }
        self.set_dl_type(self.vlan_tpid(max));
        for index in max..crate::MAX_VLANS {
            self.set_vlan(index, 0, 0);
        }
        for word in &mut self.core_mut()[crate::STAGES[2]..] {
            *word = 0;
        }
    }

    /// Whether the packet is IPv4 or IPv6, by its Ethernet type.
    pub fn is_ip(&self) -> bool {
        matches!(self.dl_type(), 0x0800 | 0x86dd)
    }

    /// Whether the packet's type is Ethernet, so that it has L2 addresses.
    pub fn is_ethernet(&self) -> bool {
        self.packet_type() == 0
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("FlowKey");
        for (name, slot) in slot::ALL {
            let value = self.read(*slot);
            if value != 0 {
                out.field(name, &format_args!("{value:#x}"));
            }
        }
        let options =
            (0..crate::slots::OPTION_WORDS).map(|index| (index, self.read(Slot::tun_option(index))));
        for (index, value) in options.filter(|&(_, value)| value != 0) {
            out.field("tun_option", &format_args!("{index}: {value:#010x}"));
        }
        out.finish()
    }
}
