//! What keys and masks have in common: both are [`WORDS`] words, zero at first.

/// Words of a key. At most 64, so that one `u64` names any set of them.
pub const WORDS: usize = 59;

/// Gives a type with the field `words` its default and its words as a whole.
macro_rules! holds_words {
    ($name:ident) => {
        impl Default for $name {
            fn default() -> Self {
                $name { words: [0; $crate::words::WORDS] }
            }
        }

        impl $name {
            /// From all words, in the order of the layout.
            pub fn from_words(words: [u64; $crate::words::WORDS]) -> $name {
                $name { words }
            }

            /// All words, in the order of the layout.
            #[inline]
            pub fn words(&self) -> &[u64; $crate::words::WORDS] {
                &self.words
            }

            /// All words, to be changed.
            #[inline]
            pub fn words_mut(&mut self) -> &mut [u64; $crate::words::WORDS] {
                &mut self.words
            }
        }
    };
}

pub(crate) use holds_words;
