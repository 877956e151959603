//! Sets of very many atoms, such as the ports of a bridge: sorted, in chunks that copies share.
//!
//! A copy of a set costs a pointer per chunk, and a change copies one chunk. Two
//! copies that differ little are compared by looking at the chunks that differ.

use crate::atom::Atom;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A chunk is split when it has twice as many atoms.
const CHUNK: usize = 32;

/// See the module's text. No chunk is empty.
#[derive(Clone, Debug, Default)]
pub struct LargeSet {
    chunks: Vec<Arc<Vec<Atom>>>,
    len: usize,
}

impl LargeSet {
    /// From atoms that are sorted and all different.
    pub(crate) fn from_sorted(atoms: Vec<Atom>) -> LargeSet {
        let len = atoms.len();
        let mut atoms = atoms.into_iter();
        let mut chunks = Vec::with_capacity(len / CHUNK + 1);
        loop {
            let chunk: Vec<Atom> = atoms.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return LargeSet { chunks, len };
            }
            chunks.push(Arc::new(chunk));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The chunk in which an atom is, or would be.
    fn chunk_of(&self, atom: &Atom) -> usize {
        let at = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| last < atom));
        at.min(self.chunks.len().saturating_sub(1))
    }

    pub(crate) fn contains(&self, atom: &Atom) -> bool {
        self.chunks.get(self.chunk_of(atom)).is_some_and(|chunk| chunk.binary_search(atom).is_ok())
    }

    pub(crate) fn position(&self, atom: &Atom) -> Option<usize> {
        let chunk = self.chunk_of(atom);
        let within = self.chunks.get(chunk)?.binary_search(atom).ok()?;
        Some(self.chunks.iter().take(chunk).map(|c| c.len()).sum::<usize>() + within)
    }

    pub(crate) fn insert(&mut self, atom: &Atom) {
        let at = self.chunk_of(atom);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(Arc::new(vec![atom.clone()]));
            self.len += 1;
            return;
        };
        let Err(within) = chunk.binary_search(atom) else { return };
        let atoms = Arc::make_mut(chunk);
        atoms.insert(within, atom.clone());
        self.len += 1;
        if atoms.len() >= 2 * CHUNK {
            let upper = atoms.split_off(CHUNK);
            self.chunks.insert(at + 1, Arc::new(upper));
        }
    }

    pub(crate) fn remove(&mut self, atom: &Atom) {
        let at = self.chunk_of(atom);
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        let Ok(within) = chunk.binary_search(atom) else { return };
        let atoms = Arc::make_mut(chunk);
        atoms.remove(within);
        self.len -= 1;
        if atoms.is_empty() {
            self.chunks.remove(at);
        } else if atoms.len() < CHUNK / 4 {
            self.join(at);
        }
    }

    /// Joins a small chunk with the one before it, where there is room.
    fn join(&mut self, at: usize) {
        let Some(before) = at.checked_sub(1) else { return };
        let room = |i: usize| self.chunks.get(i).map_or(usize::MAX, |chunk| chunk.len());
        if room(before).saturating_add(room(at)) > CHUNK {
            return;
        }
        let small = self.chunks.remove(at);
        if let Some(chunk) = self.chunks.get_mut(before) {
            Arc::make_mut(chunk).extend(small.iter().cloned());
        }
    }

    /// The chunks and where reading begins.
    fn cursor(&self) -> Cursor<'_> {
        Cursor { chunks: &self.chunks, within: 0 }
    }
}

struct Cursor<'s> {
    /// What is left; the first is read already up to `within`.
    chunks: &'s [Arc<Vec<Atom>>],
    within: usize,
}

impl<'s> Cursor<'s> {
    /// What is left of the first chunk.
    fn slice(&self) -> &'s [Atom] {
        self.chunks.first().and_then(|chunk| chunk.get(self.within..)).unwrap_or_default()
    }

    fn peek(&self) -> Option<&'s Atom> {
        self.slice().first()
    }

    fn next(&mut self) {
        self.advance(1);
    }

    /// Passes over some atoms of the first chunk.
    fn advance(&mut self, n: usize) {
        self.within += n;
        if self.chunks.first().is_some_and(|chunk| self.within >= chunk.len()) {
            self.skip();
        }
    }

    fn skip(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.within = 0;
    }
}

/// Visits in order the atoms that are in one of two sets only.
pub(crate) fn walk<'s>(
    old: &'s LargeSet,
    new: &'s LargeSet,
    mut visit: impl FnMut(Option<&'s Atom>, Option<&'s Atom>),
) {
    let (mut old, mut new) = (old.cursor(), new.cursor());
    loop {
        if let (0, 0, Some(a), Some(b)) = (old.within, new.within, old.chunks.first(), new.chunks.first())
            && Arc::ptr_eq(a, b)
        {
            old.skip();
            new.skip();
            continue;
        }
        let same = old.slice().iter().zip(new.slice()).take_while(|(a, b)| a == b).count();
        if same > 0 {
            old.advance(same);
            new.advance(same);
            continue;
        }
        let (a, b) = (old.peek(), new.peek());
        match (a, b) {
            (None, None) => return,
            (Some(_), None) => {
                visit(a, None);
                old.next();
            }
            (None, Some(_)) => {
                visit(None, b);
                new.next();
            }
            (Some(x), Some(y)) if x < y => {
                visit(a, None);
                old.next();
            }
            (Some(_), Some(_)) => {
                visit(None, b);
                new.next();
            }
        }
    }
}

impl PartialEq for LargeSet {
    fn eq(&self, other: &LargeSet) -> bool {
        if self.len != other.len {
            return false;
        }
        let mut same = true;
        walk(self, other, |_, _| same = false);
        same
    }
}

impl Eq for LargeSet {}

impl Hash for LargeSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len.hash(state);
        self.chunks.iter().flat_map(|chunk| chunk.iter()).for_each(|atom| atom.hash(state));
    }
}

/// The atoms of a set, in order.
#[derive(Clone, Copy, Debug)]
pub enum Atoms<'a> {
    /// A slice, sorted.
    Few(&'a [Atom]),
    /// A set that shares its parts.
    Many(&'a LargeSet),
}

impl<'a> Atoms<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Atoms::Few(atoms) => atoms.len(),
            Atoms::Many(set) => set.len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// All, in order.
    pub fn iter(self) -> AtomsIter<'a> {
        match self {
            Atoms::Few(atoms) => AtomsIter { current: atoms.iter(), rest: [].iter() },
            Atoms::Many(set) => AtomsIter { current: [].iter(), rest: set.chunks.iter() },
        }
    }
}

impl<'a> IntoIterator for Atoms<'a> {
    type Item = &'a Atom;
    type IntoIter = AtomsIter<'a>;

    fn into_iter(self) -> AtomsIter<'a> {
        self.iter()
    }
}

/// See [`Atoms::iter`].
#[derive(Clone, Debug)]
pub struct AtomsIter<'a> {
    current: std::slice::Iter<'a, Atom>,
    rest: std::slice::Iter<'a, Arc<Vec<Atom>>>,
}

impl<'a> Iterator for AtomsIter<'a> {
    type Item = &'a Atom;

    fn next(&mut self) -> Option<&'a Atom> {
        loop {
            if let Some(atom) = self.current.next() {
                return Some(atom);
            }
            self.current = self.rest.next()?.iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn atoms(set: &LargeSet) -> Vec<i64> {
        Atoms::Many(set).iter().filter_map(Atom::as_integer).collect()
    }

    proptest! {
        #[test]
        fn it_is_a_set_whose_copies_stay(changes in proptest::collection::vec((any::<bool>(), 0i64..600), 0..900)) {
            let mut set = LargeSet::default();
            let mut model = BTreeSet::new();
            let mut copies = Vec::new();
            for (i, (add, n)) in changes.into_iter().enumerate() {
                // More is added than removed.
                if add || i % 3 == 0 {
                    set.insert(&Atom::from(n));
                    model.insert(n);
                } else {
                    set.remove(&Atom::from(n));
                    model.remove(&n);
                }
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(set.contains(&Atom::from(n)), model.contains(&n));
                if i % 97 == 0 {
                    copies.push((set.clone(), model.clone()));
                }
            }
            copies.push((set.clone(), model));
            for (copy, model) in &copies {
                prop_assert_eq!(atoms(copy), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(*copy == set, atoms(copy) == atoms(&set));
                let (mut gone, mut come) = (Vec::new(), Vec::new());
                walk(copy, &set, |old, new| match (old, new) {
                    (Some(a), None) => gone.extend(a.as_integer()),
                    (None, Some(b)) => come.extend(b.as_integer()),
                    _ => {}
                });
                let now: BTreeSet<i64> = atoms(&set).into_iter().collect();
                prop_assert_eq!(gone, model.difference(&now).copied().collect::<Vec<_>>());
                prop_assert_eq!(come, now.difference(model).copied().collect::<Vec<_>>());
            }
            let rebuilt = LargeSet::from_sorted(Atoms::Many(&set).iter().cloned().collect());
            prop_assert_eq!(&rebuilt, &set);
            if let Some(first) = atoms(&set).first() {
                prop_assert_eq!(set.position(&Atom::from(*first)), Some(0));
            }
        }
    }
}
