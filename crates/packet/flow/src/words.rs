//! What keys and masks are made of: words that every packet has, and a box of those that few have.

use crate::Slot;

/// Words that every key has, so that one `u64` names any set of them. The last five are not in use.
pub const WORDS: usize = 64;

/// Words of the extension, which follow the others: those of tunnel options, and seven not in use. At most 64.
pub const EXTENSION_WORDS: usize = 40;

/// All words, by number below [`WORDS`] those that every key has, from there on those of the extension.
///
/// Invariant: the extension is there when one of its words is not zero, and only then. So equal words are equal
/// values, and a key without any costs a pointer and no look at it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Words {
    pub(crate) core: [u64; WORDS],
    extension: Option<Box<[u64; EXTENSION_WORDS]>>,
}

/// Bit `i` is set when word `i` of `words` is not zero.
#[inline]
pub(crate) fn map_of(words: &[u64]) -> u64 {
    words.iter().enumerate().fold(0, |map, (index, &word)| map | u64::from(word != 0) << index)
}

impl Default for Words {
    #[inline]
    fn default() -> Words {
        Words { core: [0; WORDS], extension: None }
    }
}

impl Words {
    /// Every bit set.
    pub(crate) fn ones() -> Words {
        Words { core: [u64::MAX; WORDS], extension: Some(Box::new([u64::MAX; EXTENSION_WORDS])) }
    }

    #[inline]
    pub(crate) fn has_extension(&self) -> bool {
        self.extension.is_some()
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
        let words = self.extension.as_ref();
        words.and_then(|words| words.get(index - WORDS)).copied().unwrap_or(0)
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
        if value == 0 && self.extension.is_none() {
            return;
        }
        let words = self.extension.get_or_insert_with(|| Box::new([0; EXTENSION_WORDS]));
        if let Some(word) = words.get_mut(index - WORDS) {
            *word = value;
        }
        if words.iter().all(|&word| word == 0) {
            self.extension = None;
        }
    }

    /// Sets no word of the extension.
    #[inline]
    pub(crate) fn clear_extension(&mut self) {
        if self.extension.is_some() {
            self.extension = None;
        }
    }

    /// The words of the extension, all zero when there is none.
    pub(crate) fn extension(&self) -> &[u64; EXTENSION_WORDS] {
        const NONE: &[u64; EXTENSION_WORDS] = &[0; EXTENSION_WORDS];
        self.extension.as_deref().unwrap_or(NONE)
    }

    /// Replaces every word by what `change` makes of it and of the same word of `other`.
    #[inline]
    pub(crate) fn combine(&mut self, other: &Words, change: impl Fn(u64, u64) -> u64) {
        for (word, theirs) in self.core.iter_mut().zip(&other.core) {
            *word = change(*word, *theirs);
        }
        if self.extension.is_some() || other.extension.is_some() {
            for (index, theirs) in other.extension().iter().enumerate() {
                let value = change(self.get(WORDS + index), *theirs);
                self.set(WORDS + index, value);
            }
        }
    }

    /// Whether `is_right` holds for each word of `self`, `a` and `b`; it does for zeros.
    #[inline]
    pub(crate) fn all(&self, a: &Words, b: &Words, is_right: impl Fn(u64, u64, u64) -> bool) -> bool {
        let core = self.core.iter().zip(&a.core).zip(&b.core).all(|((&x, &a), &b)| is_right(x, a, b));
        let is_near = self.extension.is_none() && a.extension.is_none() && b.extension.is_none();
        core && (is_near
            || (WORDS..WORDS + EXTENSION_WORDS).all(|i| is_right(self.get(i), a.get(i), b.get(i))))
    }

    /// The words that are not zero with their numbers: those of the extension first, as they count as metadata.
    #[inline]
    pub(crate) fn present(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let extension = self.extension.iter().flat_map(|words| words.iter().enumerate());
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
