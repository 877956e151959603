//! The sparse form: a bitmap and the words that are not zero.

use crate::{FlowKey, FlowMask, Slot, WORDS};

/// A key or mask with its zero words left out. Small enough to keep one per
/// rule: a rule on a 5-tuple takes four words instead of 51.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct SparseKey {
    map: u64,
    words: Box<[u64]>,
}

impl SparseKey {
    /// The words of `dense` that are not zero.
    pub fn from_dense(dense: &[u64; WORDS]) -> SparseKey {
        let mut map = 0;
        for (index, &word) in dense.iter().enumerate() {
            map |= u64::from(word != 0) << index;
        }
        let mut words = Vec::with_capacity(map.count_ones() as usize);
        let mut rest = map;
        while rest != 0 {
            words.push(dense[rest.trailing_zeros() as usize]);
            rest &= rest - 1;
        }
        SparseKey { map, words: words.into_boxed_slice() }
    }

    /// Bit `i` is set when word `i` is present.
    pub fn map(&self) -> u64 {
        self.map
    }

    /// The present words, in order.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The present words with their index.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let mut map = self.map;
        self.words.iter().map(move |&word| {
            let index = map.trailing_zeros() as usize;
            map &= map - 1;
            (index, word)
        })
    }

    /// The dense words.
    pub fn to_dense(&self) -> [u64; WORDS] {
        let mut dense = [0; WORDS];
        for (index, word) in self.iter() {
            dense[index] = word;
        }
        dense
    }

    /// Word `index`, zero when it is not present.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        let bit = 1u64 << index;
        if self.map & bit == 0 {
            return 0;
        }
        self.words[(self.map & (bit - 1)).count_ones() as usize]
    }

    /// The value in `slot`.
    #[inline]
    pub fn read(&self, slot: Slot) -> u128 {
        let word = usize::from(slot.word);
        if slot.bits == 128 {
            u128::from(self.word(word)) << 64 | u128::from(self.word(word + 1))
        } else {
            u128::from(self.word(word) >> slot.shift) & slot.ones()
        }
    }

    /// With `self` as a mask: whether both dense keys agree in its bits.
    #[inline]
    pub fn agree(&self, a: &FlowKey, b: &FlowKey) -> bool {
        let (a, b) = (a.words(), b.words());
        self.iter().all(|(index, mask)| (a[index] ^ b[index]) & mask == 0)
    }
}

impl From<&FlowKey> for SparseKey {
    fn from(key: &FlowKey) -> SparseKey {
        SparseKey::from_dense(key.words())
    }
}

impl From<&FlowMask> for SparseKey {
    fn from(mask: &FlowMask) -> SparseKey {
        SparseKey::from_dense(mask.words())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slot;

    /// Words of which about half are zero.
    fn words() -> impl Strategy<Value = [u64; WORDS]> {
        prop::collection::vec(prop_oneof![Just(0), any::<u64>()], WORDS)
            .prop_map(|v| v.try_into().expect("as many words as asked for"))
    }

    proptest! {
        #[test]
        fn sparse_and_dense_are_the_same_key(dense in words()) {
            let sparse = SparseKey::from_dense(&dense);
            prop_assert_eq!(sparse.to_dense(), dense);
            prop_assert_eq!(sparse.words().len(), sparse.map().count_ones() as usize);
            let key = FlowKey::from_words(dense);
            for (_, place) in slot::ALL {
                prop_assert_eq!(sparse.read(*place), key.read(*place));
            }
        }

        #[test]
        fn a_slot_holds_its_value_and_touches_no_other(dense in words(), value: u128, pick in 0..slot::ALL.len()) {
            let before = FlowKey::from_words(dense);
            let mut after = before.clone();
            let place = slot::ALL[pick].1;
            after.write(place, value);
            prop_assert_eq!(after.read(place), value & place.ones());
            for (index, (_, other)) in slot::ALL.iter().enumerate() {
                if index != pick {
                    prop_assert_eq!(after.read(*other), before.read(*other));
                }
            }
        }
    }

    #[test]
    fn slots_do_not_overlap_and_lie_inside_the_key() {
        let mut taken = [0u64; WORDS];
        for (name, place) in slot::ALL {
            let mut words = [0u64; WORDS];
            Slot::write(*place, &mut words, u128::MAX);
            for (have, new) in taken.iter_mut().zip(words) {
                assert_eq!(*have & new, 0, "{name} overlaps");
                *have |= new;
            }
        }
    }
}
