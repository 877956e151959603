//! Numbers in order, each with a count.
//!
//! They are in pieces, so that one more moves few others. A search takes two binary searches of plain numbers, a tenth of
//! the instructions that a B-tree takes to find both neighbours of a number.

/// Numbers in a piece, at most.
const PIECE: usize = if cfg!(test) { 8 } else { 256 };

/// How often each number was put in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted {
    /// The first number of each piece, none of which is empty.
    firsts: Vec<u64>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, Default)]
struct Piece {
    numbers: Vec<u64>,
    counts: Vec<u32>,
}

impl Sorted {
    /// The piece in which a number is, if it is in any.
    fn piece_of(&self, number: u64) -> usize {
        self.firsts.partition_point(|&first| first <= number).saturating_sub(1)
    }

    pub(crate) fn insert(&mut self, number: u64) {
        let index = self.piece_of(number);
        if self.pieces.is_empty() {
            self.firsts.push(number);
            self.pieces.push(Piece::default());
        }
        let Some(piece) = self.pieces.get_mut(index) else { return };
        match piece.numbers.binary_search(&number) {
            Ok(at) => piece.counts[at] += 1,
            Err(at) => {
                piece.numbers.insert(at, number);
                piece.counts.insert(at, 1);
                if at == 0 {
                    self.firsts[index] = number;
                }
                if piece.numbers.len() > PIECE {
                    let numbers = piece.numbers.split_off(PIECE / 2);
                    let counts = piece.counts.split_off(PIECE / 2);
                    piece.fit();
                    self.firsts.insert(index + 1, numbers[0]);
                    self.pieces.insert(index + 1, Piece { numbers, counts });
                }
            }
        }
    }

    pub(crate) fn remove(&mut self, number: u64) {
        let index = self.piece_of(number);
        let Some(piece) = self.pieces.get_mut(index) else { return };
        let Ok(at) = piece.numbers.binary_search(&number) else { return };
        piece.counts[at] -= 1;
        if piece.counts[at] > 0 {
            return;
        }
        piece.numbers.remove(at);
        piece.counts.remove(at);
        match piece.numbers.first() {
            Some(&first) => self.firsts[index] = first,
            None => {
                self.pieces.remove(index);
                self.firsts.remove(index);
                return;
            }
        }
        if piece.numbers.len() < PIECE / 4 {
            self.join(index);
        }
    }

    /// Joins a piece that became small with the next one, if that is not large.
    fn join(&mut self, index: usize) {
        let [Some(len), next_len] = [index, index + 1].map(|i| self.pieces.get(i).map(|p| p.numbers.len()))
        else {
            return;
        };
        if next_len.is_some_and(|next_len| len + next_len <= PIECE / 2) {
            let next = self.pieces.remove(index + 1);
            self.firsts.remove(index + 1);
            self.pieces[index].numbers.extend(next.numbers);
            self.pieces[index].counts.extend(next.counts);
        }
        self.pieces[index].fit();
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let piece = self.pieces.get(self.piece_of(number));
        piece.is_some_and(|piece| piece.numbers.binary_search(&number).is_ok())
    }

    /// The last number up to this one, and the first behind it.
    pub(crate) fn neighbours(&self, number: u64) -> [Option<u64>; 2] {
        let index = self.piece_of(number);
        let Some(piece) = self.pieces.get(index) else { return [None, None] };
        let at = piece.numbers.partition_point(|&other| other <= number);
        let below = at.checked_sub(1).and_then(|at| piece.numbers.get(at));
        let above = piece.numbers.get(at).or_else(|| self.firsts.get(index + 1));
        [below.copied(), above.copied()]
    }
}

impl Piece {
    /// Gives memory back that is not in use.
    fn fit(&mut self) {
        let wanted = self.numbers.len() + self.numbers.len() / 4;
        self.numbers.shrink_to(wanted);
        self.counts.shrink_to(wanted);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_an_ordered_map_of_counts(steps in prop::collection::vec((any::<bool>(), 0u64..60), 0..400)) {
            let mut sorted = Sorted::default();
            let mut known: BTreeMap<u64, u32> = BTreeMap::new();
            for (is_removal, number) in steps {
                if !is_removal {
                    sorted.insert(number);
                    *known.entry(number).or_insert(0) += 1;
                } else if let Some(count) = known.get_mut(&number) {
                    sorted.remove(number);
                    *count -= 1;
                    if *count == 0 {
                        known.remove(&number);
                    }
                }
                let numbers: Vec<u64> = sorted.pieces.iter().flat_map(|piece| piece.numbers.clone()).collect();
                prop_assert_eq!(&numbers, &known.keys().copied().collect::<Vec<_>>());
                prop_assert!(sorted.pieces.iter().all(|piece| (1..=PIECE).contains(&piece.numbers.len())));
            }
            for number in 0..60 {
                prop_assert_eq!(sorted.contains(number), known.contains_key(&number));
                let below = known.range(..=number).next_back().map(|(number, _)| *number);
                let above = known.range(number + 1..).next().map(|(number, _)| *number);
                prop_assert_eq!(sorted.neighbours(number), [below, above]);
            }
        }
    }
}
