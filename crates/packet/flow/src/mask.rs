//! Which bits of a key matter.

use std::fmt;

use crate::words::Words;
use crate::{FlowKey, Slot, slot};

/// A set of key bits: one bit set for each bit of the key that matters.
///
/// Used twice: as the mask of a rule's match, and while translating as the
/// growing record of what the outcome depended on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FlowMask {
    pub(crate) words: Words,
}

crate::words::holds_words!(FlowMask);

impl FlowMask {
    /// No bit matters.
    pub fn new() -> FlowMask {
        FlowMask::default()
    }

    /// Every bit matters.
    pub fn exact() -> FlowMask {
        FlowMask { words: Words::ones() }
    }

    /// The bits of `slot` that matter.
    #[inline]
    pub fn bits(&self, slot: Slot) -> u128 {
        self.words.read(slot)
    }

    /// Replaces the bits of `slot`.
    #[inline]
    pub fn set_bits(&mut self, slot: Slot, bits: u128) {
        self.words.write(slot, bits);
    }

    /// Adds `bits` of `slot`.
    #[inline]
    pub fn add(&mut self, slot: Slot, bits: u128) {
        self.words.add_to(slot, bits);
    }

    /// Adds `bits` of word `index`, of the extension too.
    #[inline]
    pub fn add_word(&mut self, index: usize, bits: u64) {
        self.words.add(index, bits);
    }

    /// Adds the whole of `slot`.
    #[inline]
    pub fn add_all(&mut self, slot: Slot) {
        self.words.add_to(slot, slot.ones());
    }

    /// Adds all that `other` names.
    pub fn unite(&mut self, other: &FlowMask) {
        self.words.combine(&other.words, |word, m| word | m);
    }

    /// Whether all bits of `other` are in this mask.
    pub fn covers(&self, other: &FlowMask) -> bool {
        self.words.all(&other.words, &other.words, |ours, theirs, _| theirs & !ours == 0)
    }

    /// Whether it names no bit: every key agrees under it.
    pub fn is_empty(&self) -> bool {
        self.words == Words::default()
    }

    /// The same bits as a key, for code that prints or parses values and masks alike.
    pub fn as_key(&self) -> FlowKey {
        FlowKey { words: self.words.clone() }
    }
}

impl FlowKey {
    /// The key with every bit that `mask` does not name cleared.
    #[must_use]
    pub fn masked(&self, mask: &FlowMask) -> FlowKey {
        let mut out = self.clone();
        out.words.combine(&mask.words, |word, m| word & m);
        out
    }

    /// Whether both keys agree in every bit that `mask` names.
    pub fn equal_under(&self, other: &FlowKey, mask: &FlowMask) -> bool {
        mask.words.all(&self.words, &other.words, |m, a, b| (a ^ b) & m == 0)
    }
}

impl From<FlowKey> for FlowMask {
    fn from(key: FlowKey) -> FlowMask {
        FlowMask { words: key.words }
    }
}

impl fmt::Debug for FlowMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("FlowMask");
        for (name, slot) in slot::ALL {
            let bits = self.bits(*slot);
            if bits != 0 {
                out.field(name, &format_args!("{bits:#x}"));
            }
        }
        out.finish()
    }
}
