//! MurmurHash3, 32 bits (public domain, Austin Appleby), a word at a time: the reference's hash where others see it.

/// A hash that words are added to.
#[derive(Clone, Copy, Debug)]
pub struct Murmur(u32);

impl Murmur {
    /// One that starts from `basis`.
    pub fn new(basis: u32) -> Murmur {
        Murmur(basis)
    }

    /// Adds a word.
    pub fn add(&mut self, word: u32) {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        self.0 = (self.0 ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }

    /// The hash; `last` is added as it is, MurmurHash3's being the number of bytes.
    pub fn finish(self, last: u32) -> u32 {
        let mut hash = self.0 ^ last;
        hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }
}

/// The hash of bytes, those that do not fill a word being followed by zeros.
pub fn hash_bytes(bytes: &[u8], basis: u32) -> u32 {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
    let mut hash = Murmur::new(basis);
    bytes.chunks(4).for_each(|bytes| hash.add(word(bytes)));
    hash.finish(bytes.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_murmur3() {
        // The published value for four zero bytes and seed 0.
        assert_eq!(hash_bytes(&[0; 4], 0), 0x2362_f9de);
        assert_eq!(hash_bytes(&[], 0), 0);
    }
}
