//! Translations that are interrupted, and go on with a packet that comes again (recirculation, pausing).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::{Frozen, FrozenId};

/// Interrupted translations by number. Equal states share one as long as
/// something refers to it, so that translating the same packet again gives the
/// same actions. A number is not given out again soon: packets may be on their
/// way with it.
#[derive(Debug, Default)]
pub(crate) struct FrozenStates {
    states: Mutex<Frozens>,
}

#[derive(Debug, Default)]
struct Frozens {
    last: u32,
    by_number: HashMap<u32, Arc<FrozenId>>,
    numbers: HashMap<Frozen, u32>,
}

impl FrozenStates {
    fn lock(&self) -> MutexGuard<'_, Frozens> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn intern(&self, frozen: Frozen) -> Arc<FrozenId> {
        let mut states = self.lock();
        let same = states.numbers.get(&frozen).and_then(|id| states.by_number.get(id));
        // One reference is the one in the map.
        if let Some(same) = same.filter(|same| Arc::strong_count(same) > 1) {
            return Arc::clone(same);
        }
        let mut id = states.last.wrapping_add(1).max(1);
        while states.by_number.contains_key(&id) {
            id = id.wrapping_add(1).max(1);
        }
        states.last = id;
        let state = Arc::new(FrozenId { id, frozen: frozen.clone() });
        states.by_number.insert(id, Arc::clone(&state));
        states.numbers.insert(frozen, id);
        state
    }

    pub(crate) fn find(&self, id: u32) -> Option<Arc<FrozenId>> {
        self.lock().by_number.get(&id).cloned()
    }

    pub(crate) fn sweep(&self) {
        let states = &mut *self.lock();
        states.by_number.retain(|_, state| Arc::strong_count(state) > 1);
        let kept = &states.by_number;
        states.numbers.retain(|_, id| kept.contains_key(id));
    }
}
