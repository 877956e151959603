//! The sparse form: bitmaps and the words that are not zero.

use crate::words::{WORDS, Words, map_of};
use crate::{FlowKey, FlowMask, Slot};

/// A key or mask with its zero words left out. Small enough to keep one per
/// rule: a rule on a 5-tuple takes four words instead of 64.
///
/// The words of the extension come first, because they count as metadata: the
/// order is that of a staged lookup.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct SparseKey {
    /// Bit `i` is set when word `i` is present.
    map: u64,
    /// Bit `i` is set when word `i` of the extension is present.
    extension: u128,
    words: Box<[u64]>,
}

impl SparseKey {
    fn of(dense: &Words) -> SparseKey {
        let map = map_of(&dense.core);
        let far = dense.extension();
        let extension =
            far.iter().enumerate().fold(0, |map, (index, &word)| map | u128::from(word != 0) << index);
        let mut words = Vec::with_capacity((extension.count_ones() + map.count_ones()) as usize);
        words.extend(far.iter().chain(&dense.core).filter(|&&word| word != 0));
        SparseKey { map, extension, words: words.into_boxed_slice() }
    }

    /// Whether a word of the extension is present.
    pub fn has_extension(&self) -> bool {
        self.extension != 0
    }

    /// The present words, in order.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The present words with their numbers, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let (mut extension, mut map) = (self.extension, self.map);
        self.words.iter().map(move |&word| {
            if extension != 0 {
                let index = WORDS + extension.trailing_zeros() as usize;
                extension &= extension - 1;
                return (index, word);
            }
            let index = map.trailing_zeros() as usize;
            map &= map - 1;
            (index, word)
        })
    }

    /// Where in [`SparseKey::words`] word `index` stands.
    #[inline]
    pub fn place(&self, index: usize) -> Option<usize> {
        if let Some(far) = index.checked_sub(WORDS) {
            return self.far_place(far);
        }
        let bit = 1u64 << index;
        let before = self.extension.count_ones() + (self.map & (bit - 1)).count_ones();
        (self.map & bit != 0).then_some(before as usize)
    }

    #[cold]
    fn far_place(&self, index: usize) -> Option<usize> {
        let bit = 1u128.checked_shl(index as u32)?;
        (self.extension & bit != 0).then(|| (self.extension & (bit - 1)).count_ones() as usize)
    }

    /// Word `index`, zero when it is not present.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.place(index).and_then(|place| self.words.get(place)).copied().unwrap_or(0)
    }

    /// The value in `slot`.
    #[inline]
    pub fn read(&self, slot: Slot) -> u128 {
        slot.value(|index| self.word(index))
    }

    /// With `self` as a mask: whether both dense keys agree in its bits.
    #[inline]
    pub fn agree(&self, a: &FlowKey, b: &FlowKey) -> bool {
        self.iter().all(|(index, mask)| (a.word(index) ^ b.word(index)) & mask == 0)
    }
}

impl From<&FlowKey> for SparseKey {
    fn from(key: &FlowKey) -> SparseKey {
        SparseKey::of(&key.words)
    }
}

impl From<&FlowMask> for SparseKey {
    fn from(mask: &FlowMask) -> SparseKey {
        SparseKey::of(&mask.words)
    }
}

impl From<&SparseKey> for FlowKey {
    fn from(sparse: &SparseKey) -> FlowKey {
        let mut key = FlowKey::new();
        sparse.iter().for_each(|(index, word)| key.set_word(index, word));
        key
    }
}

impl From<&SparseKey> for FlowMask {
    fn from(sparse: &SparseKey) -> FlowMask {
        let mut mask = FlowMask::new();
        sparse.iter().for_each(|(index, word)| mask.set_word(index, word));
        mask
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slot;
    use crate::words::EXTENSION_WORDS;

    /// Keys of whose words about half are zero, those of the extension in one of two.
    fn any_key() -> impl Strategy<Value = FlowKey> {
        let word = prop_oneof![Just(0), any::<u64>()];
        (prop::collection::vec(word, WORDS + EXTENSION_WORDS), any::<bool>()).prop_map(|(words, is_far)| {
            let mut key = FlowKey::new();
            let count = if is_far { words.len() } else { WORDS };
            for (index, word) in words.into_iter().take(count).enumerate() {
                key.set_word(index, word);
            }
            key
        })
    }

    /// Every slot, and those that have no name of their own.
    fn slots() -> Vec<(String, Slot)> {
        let named = slot::ALL.iter().map(|&(name, place)| (name.to_owned(), place));
        let options = (0..crate::OPTION_WORDS).map(|i| (format!("tun_option{i}"), Slot::tun_option(i)));
        named.chain(options).collect()
    }

    proptest! {
        #[test]
        fn sparse_and_dense_are_the_same_key(key in any_key()) {
            let sparse = SparseKey::from(&key);
            prop_assert_eq!(&FlowKey::from(&sparse), &key);
            prop_assert_eq!(sparse.words().len(), sparse.iter().count());
            prop_assert!(sparse.iter().eq(key.present()));
            for index in 0..WORDS + EXTENSION_WORDS + 30 {
                prop_assert_eq!(sparse.word(index), key.word(index), "word {}", index);
            }
            for (_, place) in slots() {
                prop_assert_eq!(sparse.read(place), key.read(place));
            }
        }

        #[test]
        fn a_slot_holds_its_value_and_touches_no_other(before in any_key(), value: u128, pick: prop::sample::Index) {
            let mut after = before.clone();
            let pick = pick.index(slots().len());
            let place = slots()[pick].1;
            after.write(place, value);
            prop_assert_eq!(after.read(place), value & place.ones());
            for (index, (name, other)) in slots().into_iter().enumerate() {
                if index != pick {
                    prop_assert_eq!(after.read(other), before.read(other), "{}", name);
                }
            }
        }

        /// The extension is there only as long as it holds something: equal values are equal keys.
        #[test]
        fn a_key_whose_extension_is_cleared_equals_one_that_never_had_it(key in any_key(), far in any_key()) {
            let mut cleared = far;
            for index in 0..WORDS + EXTENSION_WORDS {
                cleared.set_word(index, 0);
            }
            prop_assert!(!cleared.has_extension());
            prop_assert_eq!(&cleared, &FlowKey::new());
            for (index, word) in key.present() {
                cleared.set_word(index, word);
            }
            prop_assert_eq!(cleared, key);
        }

        /// Masks do on every word what they do on one, whoever has an extension.
        #[test]
        fn masks_work_word_by_word(a in any_key(), b in any_key(), mask in any_key()) {
            let mask = FlowMask::from(mask);
            let all = || 0..WORDS + EXTENSION_WORDS;
            let masked = a.masked(&mask);
            prop_assert!(all().all(|i| masked.word(i) == a.word(i) & mask.word(i)));
            prop_assert_eq!(masked.has_extension(), all().skip(WORDS).any(|i| masked.word(i) != 0));
            let agree = all().all(|i| (a.word(i) ^ b.word(i)) & mask.word(i) == 0);
            prop_assert_eq!(a.equal_under(&b, &mask), agree);
            prop_assert_eq!(SparseKey::from(&mask).agree(&a, &b), agree);
            prop_assert!(a.equal_under(&masked, &mask) && masked.equal_under(&a, &mask));
            let mut united = FlowMask::from(a.clone());
            united.unite(&mask);
            prop_assert!(all().all(|i| united.word(i) == a.word(i) | mask.word(i)));
            prop_assert!(united.covers(&mask) && FlowMask::exact().covers(&united));
            prop_assert_eq!(mask.covers(&united), all().all(|i| a.word(i) & !mask.word(i) == 0));
            prop_assert_eq!(mask.is_empty(), all().all(|i| mask.word(i) == 0));
        }

        /// A field of tunnel options holds its value and touches no other.
        #[test]
        fn tunnel_options_hold_their_values(before in any_key(), field in 0usize..64, value: u128) {
            let mut key = before.clone();
            key.set_tun_metadata(field, value);
            prop_assert_eq!(key.tun_metadata(field), Some(value));
            for other in (0..64).filter(|&other| other != field) {
                prop_assert_eq!(key.tun_metadata(other), before.tun_metadata(other));
            }
            let mut mask = FlowMask::new();
            mask.add_tun_metadata(field);
            let mut other = before.clone();
            prop_assert_eq!(other.equal_under(&key, &mask), before.tun_metadata(field) == Some(value));
            other.set_tun_metadata(field, value);
            prop_assert!(other.equal_under(&key, &mask));
            let mut all = FlowMask::new();
            all.add_tun_options(&key);
            prop_assert!(all.covers(&mask));
            key.clear_tun_metadata(field);
            prop_assert_eq!(key.tun_metadata(field), None);
            prop_assert!(key.masked(&mask) == FlowKey::new());
        }
    }

    #[test]
    fn slots_do_not_overlap_and_lie_inside_the_key() {
        let mut taken = FlowMask::new();
        for (name, place) in slots() {
            let mut new = FlowMask::new();
            new.add_all(place);
            assert_eq!(new.present().map(|(_, bits)| bits.count_ones()).sum::<u32>(), u32::from(place.bits));
            for (index, bits) in new.present() {
                assert_eq!(taken.word(index) & bits, 0, "{name} overlaps");
                taken.add_word(index, bits);
            }
        }
    }
}
