//! What keys and masks are made of: words that every packet has, and a box of those that few have.

use crate::Slot;

/// Words that every key has, so that one `u64` names any set of them. The last five are not in use.
pub const WORDS: usize = 64;

/// Words of the extension, which follow the others: those of tunnel options. At most 128, so that one `u128` names any set of
/// them.
pub const EXTENSION_WORDS: usize = 128;

/// All words, by number below [`WORDS`] those that every key has, from there on those of the extension.
///
/// Invariant: the extension ends with a word that is not zero. So equal words are equal values, a key without any costs a
/// look at a length, and one with few a short piece of memory.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Words {
    pub(crate) core: [u64; WORDS],
    extension: Vec<u64>,
}

/// Bit `i` is set when word `i` of `words` is not zero.
#[inline]
pub(crate) fn map_of(words: &[u64]) -> u64 {
    words.iter().enumerate().fold(0, |map, (index, &word)| map | u64::from(word != 0) << index)
}

impl Default for Words {
    #[inline]
    fn default() -> Words {
        Words { core: [0; WORDS], extension: Vec::new() }
    }
}

impl Words {
    /// Every bit set.
    pub(crate) fn ones() -> Words {
        Words { core: [u64::MAX; WORDS], extension: vec![u64::MAX; EXTENSION_WORDS] }
    }

    #[inline]
    pub(crate) fn has_extension(&self) -> bool {
        !self.extension.is_empty()
    }

    /// Word `index`; zero beyond the last one.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> u64 {
        match self.core.get(index) {
            Some(&word) => word,
            None => self.far(index),
        }
    }

    #[cold]
    fn far(&self, index: usize) -> u64 {
        self.extension.get(index - WORDS).copied().unwrap_or(0)
    }

    /// Replaces word `index`; nothing beyond the last one.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, value: u64) {
        match self.core.get_mut(index) {
            Some(word) => *word = value,
            None => self.set_far(index, value),
        }
    }

    /// Adds bits to word `index`; nothing beyond the last one.
    #[inline]
    pub(crate) fn add(&mut self, index: usize, bits: u64) {
        match self.core.get_mut(index) {
            Some(word) => *word |= bits,
            None => self.set_far(index, self.far(index) | bits),
        }
    }

    #[cold]
    fn set_far(&mut self, index: usize, value: u64) {
        let index = index - WORDS;
        if value != 0 && index < EXTENSION_WORDS && index >= self.extension.len() {
            self.extension.resize(index + 1, 0);
        }
        if let Some(word) = self.extension.get_mut(index) {
            *word = value;
            self.trim();
        }
    }

    fn trim(&mut self) {
        while self.extension.last() == Some(&0) {
            self.extension.pop();
        }
    }

    /// Sets no word of the extension.
    #[inline]
    pub(crate) fn clear_extension(&mut self) {
        self.extension.clear();
    }

    /// The words of the extension up to the last one that is not zero.
    #[inline]
    pub(crate) fn extension(&self) -> &[u64] {
        &self.extension
    }

    /// Replaces the words of the extension; those that are missing are zero.
    pub(crate) fn set_extension(&mut self, words: &[u64]) {
        self.extension.clear();
        self.extension.extend_from_slice(words.get(..EXTENSION_WORDS).unwrap_or(words));
        self.trim();
    }

    /// Replaces every word by what `change` makes of it and of the same word of `other`; zeros stay zero.
    #[inline]
    pub(crate) fn combine(&mut self, other: &Words, change: impl Fn(u64, u64) -> u64) {
        for (word, theirs) in self.core.iter_mut().zip(&other.core) {
            *word = change(*word, *theirs);
        }
        if self.has_extension() || other.has_extension() {
            let len = self.extension.len().max(other.extension.len());
            self.extension.resize(len, 0);
            for (index, word) in self.extension.iter_mut().enumerate() {
                *word = change(*word, other.extension.get(index).copied().unwrap_or(0));
            }
            self.trim();
        }
    }

    /// Whether `is_right` holds for each word of `self`, `a` and `b`; it does for zeros.
    #[inline]
    pub(crate) fn all(&self, a: &Words, b: &Words, is_right: impl Fn(u64, u64, u64) -> bool) -> bool {
        let core = self.core.iter().zip(&a.core).zip(&b.core).all(|((&x, &a), &b)| is_right(x, a, b));
        let far = self.extension.len().max(a.extension.len()).max(b.extension.len());
        core && (WORDS..WORDS + far).all(|i| is_right(self.get(i), a.get(i), b.get(i)))
    }

    /// The words that are not zero with their numbers: those of the extension first, as they count as metadata.
    #[inline]
    pub(crate) fn present(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let extension = self.extension.iter().enumerate();
        let extension = extension.map(|(index, &word)| (WORDS + index, word)).filter(|&(_, word)| word != 0);
        let mut map = map_of(&self.core);
        let core = std::iter::from_fn(move || {
            let index = map.trailing_zeros() as usize;
            // Of no word left that is the number behind the last one.
            let word = *self.core.get(index)?;
            map &= map - 1;
            Some((index, word))
        });
        extension.chain(core)
    }

    /// Adds bits to the value in `slot`; those beyond the slot's width are dropped.
    #[inline]
    pub(crate) fn add_to(&mut self, slot: Slot, bits: u128) {
        let word = usize::from(slot.word);
        if slot.bits == 128 {
            self.add(word, (bits >> 64) as u64);
            self.add(word + 1, bits as u64);
        } else {
            self.add(word, (bits as u64 & slot.ones() as u64) << slot.shift);
        }
    }

    /// The value in `slot`.
    #[inline]
    pub(crate) fn read(&self, slot: Slot) -> u128 {
        slot.value(|index| self.get(index))
    }

    /// Replaces the value in `slot`; bits beyond the slot's width are dropped.
    #[inline]
    pub(crate) fn write(&mut self, slot: Slot, value: u128) {
        let word = usize::from(slot.word);
        if slot.bits == 128 {
            self.set(word, (value >> 64) as u64);
            self.set(word + 1, value as u64);
        } else {
            let ones = slot.ones() as u64;
            self.set(word, self.get(word) & !(ones << slot.shift) | (value as u64 & ones) << slot.shift);
        }
    }
}

/// Gives a type around [`Words`] its default and its words.
macro_rules! holds_words {
    ($name:ident) => {
        impl Default for $name {
            #[inline]
            fn default() -> Self {
                $name { words: Default::default() }
            }
        }

        impl $name {
            /// From the words that all have, in the order of the layout; no word of the extension is set.
            pub fn from_words(core: [u64; $crate::WORDS]) -> $name {
                let mut out = $name::default();
                out.words.core = core;
                out
            }

            /// The words that all have, in the order of the layout.
            #[inline]
            pub fn core(&self) -> &[u64; $crate::WORDS] {
                &self.words.core
            }

            /// The words that all have, to be changed.
            #[inline]
            pub fn core_mut(&mut self) -> &mut [u64; $crate::WORDS] {
                &mut self.words.core
            }

            /// Whether a word of the extension is set, from number [`crate::WORDS`] on.
            #[inline]
            pub fn has_extension(&self) -> bool {
                self.words.has_extension()
            }

            /// Word `index`, of the extension too.
            #[inline]
            pub fn word(&self, index: usize) -> u64 {
                self.words.get(index)
            }

            /// Replaces word `index`, of the extension too.
            #[inline]
            pub fn set_word(&mut self, index: usize, value: u64) {
                self.words.set(index, value);
            }

            /// The words that are not zero with their numbers: those of the extension, then the others.
            #[inline]
            pub fn present(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
                self.words.present()
            }
        }
    };
}

pub(crate) use holds_words;
