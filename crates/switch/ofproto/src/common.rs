//! What rules have in common, in memory once: masks and actions.
//!
//! Of a million rules most have one of a few masks, and do one of a few things. Enters: masks and actions as requests
//! have them. Leaves: the ones that equal rules have already, or new ones for the rules that come.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use flow::SparseKey;
use hashbrown::HashSet;
use ofp::Action;

/// Masks and actions of the rules of one bridge, and of the requests that wait in bundles.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pools: Mutex<Pools>,
}

#[derive(Debug, Default)]
struct Pools {
    masks: Pool<SparseKey>,
    actions: Pool<[Action]>,
}

impl Common {
    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn mask(&self, mask: SparseKey) -> Arc<SparseKey> {
        self.pools().masks.share(mask)
    }

    pub(crate) fn actions(&self, actions: &[Action]) -> Arc<[Action]> {
        self.pools().actions.share(actions)
    }
}

/// Shared values. Those that nobody else has any more are forgotten now and then, when their number has doubled.
#[derive(Debug)]
struct Pool<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// How many may be known before they are looked through.
    limit: usize,
}

/// Below this many it is not worth the search.
const FEW: usize = 64;

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Pool { known: HashSet::new(), limit: FEW }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    fn share<V: Borrow<T> + Into<Arc<T>>>(&mut self, value: V) -> Arc<T> {
        if let Some(known) = self.known.get(value.borrow()) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.limit {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.limit = FEW.max(self.known.len() * 2);
            self.known.shrink_to(self.limit);
        }
        let new: Arc<T> = value.into();
        self.known.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one() {
        let common = Common::default();
        let one = common.actions(&[Action::Group(1)]);
        assert!(Arc::ptr_eq(&one, &common.actions(&[Action::Group(1)])));
        assert!(!Arc::ptr_eq(&one, &common.actions(&[Action::Group(2)])));
    }

    #[test]
    fn what_nobody_has_is_forgotten() {
        let mut pool: Pool<[Action]> = Pool::default();
        let kept = pool.share(&[Action::Group(0)][..]);
        for id in 1..10_000 {
            pool.share(&[Action::Group(id)][..]);
        }
        assert!(pool.known.len() <= FEW);
        assert!(Arc::ptr_eq(&kept, &pool.share(&[Action::Group(0)][..])));
    }
}
