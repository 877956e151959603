//! Which bits of a key matter.

use std::fmt;

use crate::words::WORDS;
use crate::{FlowKey, Slot, slot};

/// A set of key bits: one bit set for each bit of the key that matters.
///
/// Used twice: as the mask of a rule's match, and while translating as the
/// growing record of what the outcome depended on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FlowMask {
    words: [u64; WORDS],
}

crate::words::holds_words!(FlowMask);

impl FlowMask {
    /// No bit matters.
    pub fn new() -> FlowMask {
        FlowMask::default()
    }

    /// Every bit matters.
    pub fn exact() -> FlowMask {
        FlowMask { words: [u64::MAX; WORDS] }
    }

    /// The bits of `slot` that matter.
    #[inline]
    pub fn bits(&self, slot: Slot) -> u128 {
        slot.read(&self.words)
    }

    /// Replaces the bits of `slot`.
    #[inline]
    pub fn set_bits(&mut self, slot: Slot, bits: u128) {
        slot.write(&mut self.words, bits);
    }

    /// Adds `bits` of `slot`.
    #[inline]
    pub fn add(&mut self, slot: Slot, bits: u128) {
        let bits = self.bits(slot) | bits;
        slot.write(&mut self.words, bits);
    }

    /// Adds the whole of `slot`.
    #[inline]
    pub fn add_all(&mut self, slot: Slot) {
        slot.write(&mut self.words, slot.ones());
    }

    /// Adds all that `other` names.
    pub fn unite(&mut self, other: &FlowMask) {
        for (word, m) in self.words.iter_mut().zip(&other.words) {
            *word |= m;
        }
    }

    /// Whether all bits of `other` are in this mask.
    pub fn covers(&self, other: &FlowMask) -> bool {
        self.words.iter().zip(&other.words).all(|(a, b)| b & !a == 0)
    }

    /// Whether it names no bit: every key agrees under it.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&w| w == 0)
    }

    /// The same bits as a key, for code that prints or parses values and masks alike.
    pub fn as_key(&self) -> FlowKey {
        FlowKey::from_words(self.words)
    }
}

impl FlowKey {
    /// The key with every bit that `mask` does not name cleared.
    #[must_use]
    pub fn masked(&self, mask: &FlowMask) -> FlowKey {
        let mut out = self.clone();
        for (word, m) in out.words_mut().iter_mut().zip(mask.words()) {
            *word &= m;
        }
        out
    }

    /// Whether both keys agree in every bit that `mask` names.
    pub fn equal_under(&self, other: &FlowKey, mask: &FlowMask) -> bool {
        self.words().iter().zip(other.words()).zip(mask.words()).all(|((a, b), m)| (a ^ b) & m == 0)
    }
}

impl From<FlowKey> for FlowMask {
    fn from(key: FlowKey) -> FlowMask {
        FlowMask { words: *key.words() }
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
