//! What rules have in common, in memory once: masks and actions.
//!
//! Of a million rules most have one of a few masks, and do one of a few things. Enters: masks and actions as requests
//! have them. Leaves: the ones that equal rules have already, or new ones for the rules that come.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard};

use flow::extract::mix;
use flow::{FlowMask, SparseKey};
use hashbrown::{DefaultHashBuilder, HashTable};
use ofp::Action;
use smallvec::SmallVec;

/// Masks and actions of the rules of one bridge, and of the requests that wait in bundles.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pools: Mutex<Pools>,
}

#[derive(Debug, Default)]
struct Pools {
    masks: Pool<SparseKey>,
    actions: Pool<[Action]>,
    hashing: DefaultHashBuilder,
}

impl Common {
    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A mask, found without making its sparse form.
    pub(crate) fn mask(&self, mask: &FlowMask) -> Arc<SparseKey> {
        let present: SmallVec<[(usize, u64); 8]> = mask.present().collect();
        let hash = present.iter().fold(0, |hash, &(index, word)| mix(mix(hash, index as u64), word));
        let is_it = |known: &SparseKey| known.iter().eq(present.iter().copied());
        self.pools().masks.share(hash, is_it, || Arc::new(SparseKey::from(mask)))
    }

    pub(crate) fn actions(&self, actions: &[Action]) -> Arc<[Action]> {
        let mut pools = self.pools();
        let hash = pools.hashing.hash_one(actions);
        pools.actions.share(hash, |known| known == actions, || Arc::from(actions))
    }
}

/// Shared values. Those that nobody else has any more are forgotten now and then, when their number has doubled.
#[derive(Debug)]
struct Pool<T: ?Sized> {
    /// By their hashes, which are kept.
    known: HashTable<(u64, Arc<T>)>,
    /// How many may be known before they are looked through.
    limit: usize,
}

/// Below this many it is not worth the search.
const FEW: usize = 64;

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Pool { known: HashTable::new(), limit: FEW }
    }
}

impl<T: ?Sized> Pool<T> {
    /// The value of this hash that `is_it`, or what `make` makes.
    fn share(&mut self, hash: u64, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some((_, known)) = self.known.find(hash, |(other, known)| *other == hash && is_it(known)) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.limit {
            self.known.retain(|(_, known)| Arc::strong_count(known) > 1);
            self.limit = FEW.max(self.known.len() * 2);
            self.known.shrink_to(self.limit, |(hash, _)| *hash);
        }
        let new = make();
        self.known.insert_unique(hash, (hash, Arc::clone(&new)), |(hash, _)| *hash);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::slot;

    #[test]
    fn equal_values_are_one() {
        let common = Common::default();
        let one = common.actions(&[Action::Group(1)]);
        assert!(Arc::ptr_eq(&one, &common.actions(&[Action::Group(1)])));
        assert!(!Arc::ptr_eq(&one, &common.actions(&[Action::Group(2)])));
        let mut mask = FlowMask::new();
        mask.add_all(slot::NW_DST);
        let one = common.mask(&mask);
        assert_eq!(*one, SparseKey::from(&mask));
        assert!(Arc::ptr_eq(&one, &common.mask(&mask)));
        assert!(!Arc::ptr_eq(&one, &common.mask(&FlowMask::new())));
    }

    #[test]
    fn what_nobody_has_is_forgotten() {
        let common = Common::default();
        let kept = common.actions(&[Action::Group(0)]);
        for id in 1..10_000 {
            common.actions(&[Action::Group(id)]);
        }
        assert!(common.pools().actions.known.len() <= FEW);
        assert!(Arc::ptr_eq(&kept, &common.actions(&[Action::Group(0)])));
    }
}
