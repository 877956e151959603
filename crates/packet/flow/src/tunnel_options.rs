//! The options of a tunnel (fields `tun_metadata0` to `tun_metadata63`) in a key.
//!
//! A key holds which fields the packet has, and 252 bytes in which their data
//! lies, as much as a Geneve header carries. Where in these bytes a field's
//! data lies is not fixed: each bridge maps option classes and types to
//! fields, and assigns each field its place. Who reads a field brings its
//! place along.

use crate::slots::OPTION_WORDS;
use crate::{FlowKey, FlowMask, Slot};

/// Fields of tunnel metadata.
pub const TUN_METADATA_FIELDS: usize = 64;

/// How many words of four bytes the data of one option takes at most.
pub const MAX_OPTION_WORDS: u8 = 31;

/// A piece of the data of tunnel options. Most fields lie in one piece.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OptionPlace {
    first: u8,
    words: u8,
}

impl OptionPlace {
    /// `words` words of four bytes from word `first` on; `None` when they do not fit, are none, or are more than an
    /// option has.
    pub const fn new(first: u8, words: u8) -> Option<OptionPlace> {
        if words == 0 || words > MAX_OPTION_WORDS || first as usize + words as usize > OPTION_WORDS {
            return None;
        }
        Some(OptionPlace { first, words })
    }

    /// Bytes of the piece.
    pub const fn len(self) -> usize {
        self.words as usize * 4
    }

    /// Never: a piece has a word at least.
    pub const fn is_empty(self) -> bool {
        self.words == 0
    }

    /// The slots of the piece, four bytes each.
    fn slots(self) -> impl Iterator<Item = Slot> {
        let first = usize::from(self.first);
        (first..first + usize::from(self.words)).map(Slot::tun_option)
    }
}

fn slots(places: &[OptionPlace]) -> impl Iterator<Item = Slot> {
    places.iter().flat_map(|place| place.slots())
}

impl FlowKey {
    /// The data of field `tun_metadata<index>`, which lies at `places`; `None` when the packet does not have it.
    pub fn tun_metadata(&self, index: usize, places: &[OptionPlace]) -> Option<Vec<u8>> {
        let is_present = self.read(Slot::tun_metadata(index)) != 0;
        is_present.then(|| slots(places).flat_map(|place| (self.read(place) as u32).to_be_bytes()).collect())
    }

    /// Gives the packet field `tun_metadata<index>`, which lies at `places`. Data that is missing is zero, what is
    /// too long is dropped.
    pub fn set_tun_metadata(&mut self, index: usize, places: &[OptionPlace], data: &[u8]) {
        self.write(Slot::tun_metadata(index), 1);
        let mut words = data.chunks(4);
        for place in slots(places) {
            let mut bytes = [0; 4];
            bytes.iter_mut().zip(words.next().unwrap_or(&[])).for_each(|(byte, value)| *byte = *value);
            self.write(place, u32::from_be_bytes(bytes).into());
        }
    }

    /// Takes field `tun_metadata<index>`, which lies at `places`, from the packet.
    pub fn clear_tun_metadata(&mut self, index: usize, places: &[OptionPlace]) {
        self.write(Slot::tun_metadata(index), 0);
        slots(places).for_each(|place| self.write(place, 0));
    }

    /// Replaces all options by those of `other`.
    pub fn copy_tun_options(&mut self, other: &FlowKey) {
        if self.has_extension() || other.has_extension() {
            for index in crate::metadata::OPTION_RANGE {
                self.set_word(index, other.word(index));
            }
        }
    }

    /// Whether the packet has any option.
    pub fn has_tun_options(&self) -> bool {
        self.has_extension() && { crate::metadata::OPTION_RANGE }.any(|index| self.word(index) != 0)
    }
}

impl FlowMask {
    /// Adds field `tun_metadata<index>`, which lies at `places`: that it is there, and its data.
    pub fn add_tun_metadata(&mut self, index: usize, places: &[OptionPlace]) {
        self.add_all(Slot::tun_metadata(index));
        slots(places).for_each(|place| self.add_all(place));
    }

    /// Adds all options.
    pub fn add_tun_options(&mut self) {
        self.add_all(crate::slot::TUN_METADATA_PRESENT);
        (0..OPTION_WORDS).for_each(|index| self.add_all(Slot::tun_option(index)));
    }
}
