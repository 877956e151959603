//! A set of column numbers.

use smallvec::SmallVec;

/// Which columns of a row; small, as tables have tens of columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns(SmallVec<[u64; 2]>);

impl Columns {
    /// The columns 0 to `n` - 1.
    pub fn first(n: usize) -> Columns {
        let word = |i: usize| match n.saturating_sub(i * 64) {
            bits @ 0..64 => (1 << bits) - 1,
            _ => u64::MAX,
        };
        Columns((0..n.div_ceil(64)).map(word).collect())
    }

    pub fn insert(&mut self, column: usize) {
        let word = column / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (column % 64);
        }
    }

    pub fn contains(&self, column: usize) -> bool {
        self.0.get(column / 64).is_some_and(|bits| bits >> (column % 64) & 1 != 0)
    }

    pub(crate) fn contains_any(&self, columns: &[usize]) -> bool {
        columns.iter().any(|column| self.contains(*column))
    }

    /// How many columns of lower number there are.
    pub(crate) fn rank(&self, column: usize) -> usize {
        let (word, bit) = (column / 64, column % 64);
        let before: u32 = self.0.iter().take(word).map(|bits| bits.count_ones()).sum();
        let within = self.0.get(word).map_or(0, |bits| (bits & ((1 << bit) - 1)).count_ones());
        (before + within) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(word, bits)| (0..64).filter(move |i| bits >> i & 1 != 0).map(move |i| word * 64 + i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_columns_are_those_inserted_one_by_one() {
        for n in [0, 1, 63, 64, 65, 128, 200] {
            let mut columns = Columns::default();
            (0..n).for_each(|i| columns.insert(i));
            assert_eq!(Columns::first(n), columns);
            assert_eq!(columns.iter().count(), n);
        }
    }
}
