//! Matches as rules keep them.

use std::sync::Arc;

use crate::{FlowKey, FlowMask, Slot, SparseKey};

/// Which bits of a key count, and their values: the mask, which rules share, and the values at the places of its words.
///
/// A rule on a 5-tuple takes five words of its own; the dense form takes a thousand bytes. Invariant: there are as many
/// words as in the mask, and their bits outside it are zero.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct SparseMatch {
    mask: Arc<SparseKey>,
    words: Box<[u64]>,
}

impl SparseMatch {
    /// The bits of `key` that `mask` names, with a mask of its own.
    pub fn new(key: &FlowKey, mask: &FlowMask) -> SparseMatch {
        SparseMatch::with_mask(key, Arc::new(SparseKey::from(mask)))
    }

    /// The bits of `key` that `mask` names.
    pub fn with_mask(key: &FlowKey, mask: Arc<SparseKey>) -> SparseMatch {
        let words = mask.iter().map(|(index, bits)| key.word(index) & bits).collect();
        SparseMatch { mask, words }
    }

    /// The bits that count.
    #[inline]
    pub fn mask(&self) -> &Arc<SparseKey> {
        &self.mask
    }

    /// The values at the places of the mask's words.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The numbers of the mask's words, with the bits of the mask and the values.
    #[inline]
    pub fn parts(&self) -> impl Iterator<Item = (usize, u64, u64)> + '_ {
        self.mask.iter().zip(&self.words).map(|((index, bits), &word)| (index, bits, word))
    }

    /// Word `index` of the values, zero where no bit counts.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.mask.place(index).and_then(|place| self.words.get(place)).copied().unwrap_or(0)
    }

    /// The value in `slot`.
    #[inline]
    pub fn read(&self, slot: Slot) -> u128 {
        slot.value(|index| self.word(index))
    }

    /// Whether every key is of the match.
    pub fn is_catch_all(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether `key` is of the match.
    pub fn matches(&self, key: &FlowKey) -> bool {
        self.parts().all(|(index, bits, word)| key.word(index) & bits == word)
    }

    /// Whether every key of this match is one of `other`.
    pub fn is_within(&self, other: &SparseMatch) -> bool {
        other.parts().all(|(index, bits, word)| {
            bits & !self.mask.word(index) == 0 && (self.word(index) ^ word) & bits == 0
        })
    }

    /// Whether some key is of both matches.
    pub fn overlaps(&self, other: &SparseMatch) -> bool {
        self.parts()
            .all(|(index, bits, word)| (word ^ other.word(index)) & bits & other.mask.word(index) == 0)
    }

    /// The values as a dense key, zero where no bit counts.
    pub fn key(&self) -> FlowKey {
        let mut key = FlowKey::new();
        for (index, _, word) in self.parts() {
            key.set_word(index, word);
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slot;

    const SLOTS: [Slot; 4] = [slot::IN_PORT, slot::NW_SRC, slot::TP_DST, Slot::tun_option(5)];

    fn dense() -> impl Strategy<Value = (FlowKey, FlowMask)> {
        prop::collection::vec((0u128..4, 0u128..4), SLOTS.len()).prop_map(|values| {
            let (mut key, mut mask) = (FlowKey::new(), FlowMask::new());
            for (place, (value, bits)) in SLOTS.into_iter().zip(values) {
                key.write(place, value);
                mask.set_bits(place, bits);
            }
            (key, mask)
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_dense_form((key, mask) in dense(), (other, other_mask) in dense()) {
            let (one, two) = (SparseMatch::new(&key, &mask), SparseMatch::new(&other, &other_mask));
            prop_assert_eq!(one.key(), key.masked(&mask));
            prop_assert_eq!(FlowMask::from(&**one.mask()), mask.clone());
            prop_assert_eq!(one.is_catch_all(), mask.is_empty());
            prop_assert_eq!(one.matches(&other), key.equal_under(&other, &mask));
            prop_assert_eq!(one.is_within(&two), mask.covers(&other_mask) && key.equal_under(&other, &other_mask));
            let mut both = FlowMask::new();
            for (index, bits) in mask.present() {
                both.set_word(index, bits & other_mask.word(index));
            }
            prop_assert_eq!(one.overlaps(&two), key.equal_under(&other, &both));
            for place in SLOTS {
                prop_assert_eq!(one.read(place), key.masked(&mask).read(place));
            }
            prop_assert_eq!(one == two, mask == other_mask && key.equal_under(&other, &mask));
        }
    }
}
