//! Prefixes in use, to find how few bits of a value rule them out.
//!
//! A packet's address differs from every prefix that it does not have already
//! in its first bits. Who knows all prefixes of a table can say "none of
//! length 24 is yours" after looking at those few bits, and the cached flow
//! then stands for a whole network in place of one host.

use std::collections::BTreeMap;

use crate::sorted::Sorted;

/// Prefixes of values of one width.
#[derive(Clone, Debug)]
pub(crate) struct PrefixSet {
    width: u32,
    prefixes: Prefixes,
    /// How many rules have a prefix of each length.
    lens: BTreeMap<u32, u32>,
    /// Bit `len - 1` is set when there is a prefix of this length.
    lens_in_use: u128,
}

/// A prefix: its value, the other bits zero, and its length.
type Prefix = (u128, u32);

/// What a set knows of one value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfValue {
    /// As [`PrefixSet::bits`].
    pub(crate) bits: u32,
    /// Bit `len` is set when the set has the value's prefix of length `len + 1`.
    lens: u128,
}

impl OfValue {
    /// Whether the set has the value's prefix of this length, which is not zero.
    #[inline]
    pub(crate) fn has(self, len: u32) -> bool {
        self.lens >> (len - 1) & 1 != 0
    }
}

/// How many rules have each prefix. In order: by value, its other bits zero, then by length.
#[derive(Clone, Debug)]
enum Prefixes {
    /// Of at most 32 bits: the value, then eight bits of length, so that a prefix takes twelve bytes.
    Short(Sorted),
    Long(BTreeMap<(u128, u32), u32>),
}

const LENGTH_BITS: u32 = 8;

fn short(value: u128, len: u32) -> u64 {
    (value as u64) << LENGTH_BITS | u64::from(len)
}

fn long(short: u64) -> (u128, u32) {
    (u128::from(short >> LENGTH_BITS), (short & 0xff) as u32)
}

/// The bit of a length, which is not zero, in a set of lengths.
fn bit(len: u32) -> u128 {
    1u128.checked_shl(len.wrapping_sub(1)).unwrap_or(0)
}

/// The set of all lengths up to this one.
fn first(len: u32) -> u128 {
    u128::MAX.checked_shl(len).map_or(u128::MAX, |longer| !longer)
}

fn decrement<K: Ord>(map: &mut BTreeMap<K, u32>, place: K) {
    if let Some(count) = map.get_mut(&place) {
        *count -= 1;
        if *count == 0 {
            map.remove(&place);
        }
    }
}

impl PrefixSet {
    pub(crate) fn new(width: u32) -> PrefixSet {
        let prefixes =
            if width <= 32 { Prefixes::Short(Sorted::default()) } else { Prefixes::Long(BTreeMap::new()) };
        PrefixSet { width, prefixes, lens: BTreeMap::new(), lens_in_use: 0 }
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
        let value = value & self.mask(len);
        match &mut self.prefixes {
            Prefixes::Short(sorted) => sorted.insert(short(value, len)),
            Prefixes::Long(map) => *map.entry((value, len)).or_insert(0) += 1,
        }
        *self.lens.entry(len).or_insert(0) += 1;
        self.lens_in_use |= bit(len);
    }

    pub(crate) fn remove(&mut self, value: u128, len: u32) {
        let value = value & self.mask(len);
        match &mut self.prefixes {
            Prefixes::Short(sorted) => sorted.remove(short(value, len)),
            Prefixes::Long(map) => decrement(map, (value, len)),
        }
        decrement(&mut self.lens, len);
        if !self.lens.contains_key(&len) {
            self.lens_in_use &= !bit(len);
        }
    }

    pub(crate) fn contains(&self, value: u128, len: u32) -> bool {
        let value = value & self.mask(len);
        match &self.prefixes {
            Prefixes::Short(sorted) => sorted.contains(short(value, len)),
            Prefixes::Long(map) => map.contains_key(&(value, len)),
        }
    }

    /// All that is asked of one value again and again.
    pub(crate) fn of_value(&self, value: u128) -> OfValue {
        let near = self.neighbours(value);
        // All prefixes of the value are before it in order, and whatever is between agrees with it in as many bits as they
        // have. So none is longer than what the last one before it has in common with it, which may be one itself.
        let mut lens = 0;
        if let [Some((below, below_len)), _] = near {
            let common = self.common(below, value);
            let mut left = self.lens_in_use & first(common);
            while left != 0 {
                let len = left.trailing_zeros() + 1;
                left &= left - 1;
                if len == below_len || self.contains(value, len) {
                    lens |= bit(len);
                }
            }
        }
        OfValue { bits: self.deciding(near, value), lens }
    }

    /// How many first bits of `value` decide which prefixes it has.
    ///
    /// Every value with the same bits there has the same prefixes. The
    /// neighbours in order suffice: no other prefix agrees in more bits.
    pub(crate) fn bits(&self, value: u128) -> u32 {
        self.deciding(self.neighbours(value), value)
    }

    fn deciding(&self, near: [Option<Prefix>; 2], value: u128) -> u32 {
        let bits = near.into_iter().flatten().map(|(prefix, len)| len.min(self.common(prefix, value) + 1));
        bits.max().unwrap_or(0)
    }

    /// The prefixes before the value and after it, which is longer than all of its prefixes.
    fn neighbours(&self, value: u128) -> [Option<Prefix>; 2] {
        match &self.prefixes {
            // No prefix is as long as this one, which is behind all that the value has.
            Prefixes::Short(sorted) => sorted.neighbours(short(value, 0xff)).map(|near| near.map(long)),
            Prefixes::Long(map) => {
                let at = (value, u32::MAX);
                let below = map.range(..=at).next_back();
                [below, map.range(at..).next()].map(|near| near.map(|(&place, _)| place))
            }
        }
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
        fn the_bits_decide(prefixes in prop::collection::vec((any::<u16>(), 1u32..=16), 0..30), values in prop::collection::vec(any::<u16>(), 40), is_wide in any::<bool>()) {
            let mut set = PrefixSet::new(16);
            if is_wide {
                set.prefixes = Prefixes::Long(BTreeMap::new());
            }
            for &(value, len) in &prefixes {
                set.insert(value.into(), len);
            }
            let has = |value: u16| -> Vec<bool> { (1..=16).map(|len| set.contains(value.into(), len)).collect() };
            for &a in &values {
                let mask = set.mask(set.bits(a.into())) as u16;
                let known = set.of_value(a.into());
                prop_assert_eq!((1..=16).map(|len| known.has(len)).collect::<Vec<_>>(), has(a));
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
