//! Credits of many flows, which are few additions where flows are credited to the same.

use std::sync::Arc;

use hashbrown::HashMap;
use pipeline::{Credit, Effect, SharedNetwork};

/// Lists of effects from which on the credits are worth applying.
const LARGE: usize = 256;

/// What is to be credited, by the list of effects.
#[derive(Debug, Default)]
pub(crate) struct Credits {
    due: Vec<(Arc<[Effect]>, Credit)>,
    /// Places in `due` by the address of the list.
    places: HashMap<usize, usize>,
}

impl Credits {
    /// Adds what one flow has forwarded.
    pub(crate) fn add(&mut self, effects: &Arc<[Effect]>, credit: Credit) {
        // A list is kept in `due`, so no other has its address; all empty ones do nothing.
        let place = *self.places.entry(effects.as_ptr().addr()).or_insert(self.due.len());
        match self.due.get_mut(place) {
            Some((_, sum)) => {
                sum.packets += credit.packets;
                sum.bytes += credit.bytes;
                sum.tcp_flags |= credit.tcp_flags;
                sum.used = sum.used.max(credit.used);
            }
            None => self.due.push((Arc::clone(effects), credit)),
        }
    }

    /// Whether there are so many that they should be applied before more are added.
    pub(crate) fn is_large(&self) -> bool {
        self.due.len() >= LARGE
    }

    /// Applies all, and has none then.
    pub(crate) fn apply(&mut self, network: &dyn SharedNetwork) {
        if self.due.is_empty() {
            return;
        }
        network.read(&mut |network| {
            for (effects, credit) in &self.due {
                network.apply(effects, *credit);
            }
        });
        self.due.clear();
        self.places.clear();
    }
}
