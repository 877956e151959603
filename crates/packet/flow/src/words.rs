//! What keys and masks have in common: both are [`crate::WORDS`] words, zero at first.

/// Gives a type with the field `words` its default and its words as a whole.
macro_rules! holds_words {
    ($name:ident) => {
        impl Default for $name {
            fn default() -> Self {
                $name { words: [0; $crate::WORDS] }
            }
        }

        impl $name {
            pub fn from_words(words: [u64; $crate::WORDS]) -> $name {
                $name { words }
            }

            #[inline]
            pub fn words(&self) -> &[u64; $crate::WORDS] {
                &self.words
            }

            #[inline]
            pub fn words_mut(&mut self) -> &mut [u64; $crate::WORDS] {
                &mut self.words
            }
        }
    };
}

pub(crate) use holds_words;
