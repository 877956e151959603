//! The options of a tunnel (fields `tun_metadata0` to `tun_metadata63`) in a key.
//!
//! A key holds which fields the packet has, and a number of up to 16 bytes for each. Which option of Geneve is which field
//! is mapped elsewhere, as controllers ask for it.

use crate::slot::{TUN_PRESENT_HIGH, TUN_PRESENT_LOW};
use crate::slots::TUN_METADATA_FIELDS;
use crate::{FlowKey, FlowMask, Slot};

/// The most bytes that a field of tunnel metadata holds.
pub const MAX_OPTION_LEN: usize = 16;

const PRESENT: [Slot; 2] = [TUN_PRESENT_LOW, TUN_PRESENT_HIGH];

impl FlowKey {
    /// The data of field `tun_metadata<index>` as a number; `None` when the packet does not have it.
    pub fn tun_metadata(&self, index: usize) -> Option<u128> {
        let is_present = self.read(Slot::tun_metadata(index)) != 0;
        is_present.then(|| self.read(Slot::tun_metadata_value(index)))
    }

    /// Gives the packet field `tun_metadata<index>`.
    pub fn set_tun_metadata(&mut self, index: usize, value: u128) {
        self.write(Slot::tun_metadata(index), 1);
        self.write(Slot::tun_metadata_value(index), value);
    }

    /// Takes field `tun_metadata<index>` from the packet.
    pub fn clear_tun_metadata(&mut self, index: usize) {
        self.write(Slot::tun_metadata(index), 0);
        self.write(Slot::tun_metadata_value(index), 0);
    }

    /// Takes all options from the packet.
    pub fn clear_tun_options(&mut self) {
        self.copy_tun_options(&FlowKey::new());
    }

    /// Replaces all options by those of `other`.
    pub fn copy_tun_options(&mut self, other: &FlowKey) {
        PRESENT.iter().for_each(|&place| self.write(place, other.read(place)));
        if self.has_extension() || other.has_extension() {
            self.words.set_extension(other.words.extension());
        }
    }

    /// Whether the packet has any option.
    pub fn has_tun_options(&self) -> bool {
        self.tun_present_low() != 0 || self.tun_present_high() != 0 || self.has_extension()
    }
}

impl FlowMask {
    /// Whether it names anything of options.
    pub fn has_tun_options(&self) -> bool {
        PRESENT.iter().any(|&place| self.bits(place) != 0) || self.has_extension()
    }

    /// Adds field `tun_metadata<index>`: that it is there, and its data.
    pub fn add_tun_metadata(&mut self, index: usize) {
        self.add_all(Slot::tun_metadata(index));
        self.add_all(Slot::tun_metadata_value(index));
    }

    /// Adds which options there are, and the data of all that `key` has.
    pub fn add_tun_options(&mut self, key: &FlowKey) {
        PRESENT.iter().for_each(|&place| self.add_all(place));
        let present = (0..TUN_METADATA_FIELDS).filter(|&index| key.read(Slot::tun_metadata(index)) != 0);
        present.for_each(|index| self.add_all(Slot::tun_metadata_value(index)));
    }
}
