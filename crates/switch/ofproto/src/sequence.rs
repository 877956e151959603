//! Values by growing numbers.
//!
//! A table has its rules in the order in which they were added. Nearly all are added behind the last one, and nearly all
//! walks go through all of them; some are removed from the middle. They are in pieces, of which only the last one grows:
//! to add one costs a tenth of what it costs in a B-tree, and to walk through them is to walk through arrays.

/// Values in a piece, at most.
const PIECE: usize = if cfg!(test) { 4 } else { 256 };

/// Values by number, in the order of the numbers.
#[derive(Debug)]
pub(crate) struct Sequence<T> {
    /// None of them is empty.
    pieces: Vec<Vec<(u64, T)>>,
    len: usize,
}

impl<T> Default for Sequence<T> {
    fn default() -> Sequence<T> {
        Sequence { pieces: Vec::new(), len: 0 }
    }
}

impl<T> Sequence<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The piece in which a number is or should be, if there is any piece.
    fn piece_of(&self, number: u64) -> usize {
        let begins_before = |piece: &Vec<(u64, T)>| piece.first().is_some_and(|&(first, _)| first <= number);
        self.pieces.partition_point(begins_before).saturating_sub(1)
    }

    /// Puts a value in, in the place of one of the same number.
    pub(crate) fn insert(&mut self, number: u64, value: T) {
        let is_last = |piece: &Vec<(u64, T)>| piece.last().is_none_or(|&(last, _)| last < number);
        if self.pieces.last().is_none_or(is_last) {
            return self.push(number, value);
        }
        let index = self.piece_of(number);
        let Some(piece) = self.pieces.get_mut(index) else { return };
        match piece.binary_search_by_key(&number, |&(known, _)| known) {
            Ok(at) => piece[at].1 = value,
            Err(at) => {
                piece.insert(at, (number, value));
                self.len += 1;
                if piece.len() > PIECE {
                    let rest = piece.split_off(PIECE / 2);
                    self.pieces.insert(index + 1, rest);
                }
            }
        }
    }

    /// Puts a value in behind all others.
    fn push(&mut self, number: u64, value: T) {
        self.len += 1;
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push((number, value)),
            Some(_) | None => {
                // The first one may stay small.
                let mut piece = Vec::with_capacity(if self.pieces.is_empty() { 4 } else { PIECE });
                piece.push((number, value));
                self.pieces.push(piece);
            }
        }
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.piece_of(number);
        let piece = self.pieces.get_mut(index)?;
        let at = piece.binary_search_by_key(&number, |&(known, _)| known).ok()?;
        piece.get_mut(at).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let index = self.piece_of(number);
        let piece = self.pieces.get_mut(index)?;
        let at = piece.binary_search_by_key(&number, |&(known, _)| known).ok()?;
        let (_, value) = piece.remove(at);
        self.len -= 1;
        let left = piece.len();
        if left == 0 {
            self.pieces.remove(index);
        } else if left < PIECE / 4 {
            self.join(index);
        }
        Some(value)
    }

    /// Joins a piece that became small with the next one, if that is not large. The last one may grow again.
    fn join(&mut self, index: usize) {
        let [Some(left), Some(next_left)] = [index, index + 1].map(|i| self.pieces.get(i).map(Vec::len))
        else {
            return;
        };
        if left + next_left <= PIECE / 2 {
            let next = self.pieces.remove(index + 1);
            self.pieces[index].extend(next);
        }
        self.pieces[index].shrink_to(PIECE / 2);
    }

    /// The values in the order of their numbers.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten().map(|(_, value)| value)
    }

    /// The values behind `number`.
    pub(crate) fn values_after(&self, number: u64) -> impl Iterator<Item = &T> {
        let index = self.piece_of(number);
        let (first, rest) = match self.pieces.get(index..) {
            Some([first, rest @ ..]) => (first.as_slice(), rest),
            Some([]) | None => (&[] as &[(u64, T)], &[] as &[Vec<(u64, T)>]),
        };
        let from = first.partition_point(|&(known, _)| known <= number);
        let first = first.get(from..).unwrap_or_default();
        first.iter().chain(rest.iter().flatten()).map(|(_, value)| value)
    }

    /// Takes out the values that are `wanted`.
    pub(crate) fn extract(&mut self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for piece in &mut self.pieces {
            taken.extend(piece.extract_if(.., |(_, value)| wanted(value)).map(|(_, value)| value));
        }
        self.pieces.retain(|piece| !piece.is_empty());
        self.len -= taken.len();
        taken
    }

    /// The values in the order of their numbers.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.pieces.into_iter().flatten().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Append,
        Remove(u64),
        Extract(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (0u64..60).prop_map(Step::Insert),
            4 => Just(Step::Append),
            5 => (0u64..60).prop_map(Step::Remove),
            1 => (2u64..5).prop_map(Step::Extract),
        ]
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map(steps in prop::collection::vec(step(), 0..200)) {
            let mut sequence = Sequence::default();
            let mut known: BTreeMap<u64, u64> = BTreeMap::new();
            for (value, step) in (0u64..).zip(steps) {
                match step {
                    Step::Insert(number) => {
                        sequence.insert(number, value);
                        known.insert(number, value);
                    }
                    Step::Append => {
                        let number = known.last_key_value().map_or(0, |(last, _)| last + 1);
                        sequence.insert(number, value);
                        known.insert(number, value);
                    }
                    Step::Remove(number) => prop_assert_eq!(sequence.remove(number), known.remove(&number)),
                    Step::Extract(of) => {
                        let taken: Vec<u64> = known.extract_if(.., |_, value| *value % of == 0).map(|(_, value)| value).collect();
                        prop_assert_eq!(sequence.extract(|value| value % of == 0), taken);
                    }
                }
                prop_assert_eq!((sequence.len(), sequence.is_empty()), (known.len(), known.is_empty()));
                prop_assert!(sequence.values().eq(known.values()));
                prop_assert!(sequence.pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
            }
            for number in 0..60 {
                prop_assert!(sequence.values_after(number).eq(known.range(number + 1..).map(|(_, value)| value)));
                prop_assert_eq!(sequence.get_mut(number), known.get_mut(&number));
            }
            prop_assert!(sequence.into_values().eq(known.into_values()));
        }
    }
}
