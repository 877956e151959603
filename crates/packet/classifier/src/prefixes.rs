//! Prefixes in use, to find how few bits of a value rule them out.
//!
//! A packet's address differs from every prefix that it does not have already
//! in its first bits. Who knows all prefixes of a table can say "none of
//! length 24 is yours" after looking at those few bits, and the cached flow
//! then stands for a whole network in place of one host.

use std::collections::BTreeMap;

/// Prefixes of values of one width.
#[derive(Clone, Debug)]
pub(crate) struct PrefixSet {
    width: u32,
    /// Value, its other bits zero, and length; how many rules have it.
    prefixes: BTreeMap<(u128, u32), u32>,
}

impl PrefixSet {
    pub(crate) fn new(width: u32) -> PrefixSet {
        PrefixSet { width, prefixes: BTreeMap::new() }
    }

    /// The first `len` bits set.
    pub(crate) fn mask(&self, len: u32) -> u128 {
        let ones = if self.width == 128 { u128::MAX } else { (1 << self.width) - 1 };
        if len == 0 { 0 } else { ones & !(ones.checked_shr(len).unwrap_or(0)) }
    }

    /// The length of a mask that is a prefix, zero for any other.
    pub(crate) fn len_of(&self, mask: u128) -> u32 {
        let len = mask.count_ones();
        if mask == self.mask(len) { len } else { 0 }
    }

    pub(crate) fn insert(&mut self, value: u128, len: u32) {
        *self.prefixes.entry((value & self.mask(len), len)).or_insert(0) += 1;
    }

    pub(crate) fn remove(&mut self, value: u128, len: u32) {
        let place = (value & self.mask(len), len);
        if let Some(count) = self.prefixes.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.prefixes.remove(&place);
            }
        }
    }

    pub(crate) fn contains(&self, value: u128, len: u32) -> bool {
        self.prefixes.contains_key(&(value & self.mask(len), len))
    }

    /// How many first bits of `value` decide which prefixes it has.
    ///
    /// Every value with the same bits there has the same prefixes. The
    /// neighbours in order suffice: no other prefix agrees in more bits.
    pub(crate) fn bits(&self, value: u128) -> u32 {
        let below = self.prefixes.range(..=(value, u32::MAX)).next_back();
        let above = self.prefixes.range((value, u32::MAX)..).next();
        below
            .into_iter()
            .chain(above)
            .map(|(&(prefix, len), _)| len.min(self.common(prefix, value) + 1))
            .max()
            .unwrap_or(0)
    }

    fn common(&self, a: u128, b: u128) -> u32 {
        ((a ^ b) << (128 - self.width)).leading_zeros().min(self.width)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_bits_decide(prefixes in prop::collection::vec((any::<u16>(), 1u32..=16), 0..30), values in prop::collection::vec(any::<u16>(), 40)) {
            let mut set = PrefixSet::new(16);
            for &(value, len) in &prefixes {
                set.insert(value.into(), len);
            }
            let has = |value: u16| -> Vec<bool> { (1..=16).map(|len| set.contains(value.into(), len)).collect() };
            for &a in &values {
                let mask = set.mask(set.bits(a.into())) as u16;
                for &b in &values {
                    let b = a & mask | b & !mask;
                    prop_assert_eq!(has(a), has(b));
                }
            }
            for (value, len) in prefixes {
                set.remove(value.into(), len);
            }
            prop_assert_eq!(set.bits(5), 0);
        }
    }
}
