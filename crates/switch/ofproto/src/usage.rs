//! Which port has the most learned addresses.
//!
//! Enters: that a port gained or lost an address. Leaves: the port that has
//! the most, which [`crate::MacTable`] makes give one up when it is full. Among
//! ports with equally many the answer depends on nothing but the order of what
//! happened: no hashing, so that the same traffic always evicts the same addresses.

use std::collections::HashMap;

use pipeline::BundleId;

/// A binary heap of ports by their counts, the greatest on top; each operation is O(log n).
///
/// Invariants: no count is zero; no node's count is greater than its parent's
/// (of node `i`, node `(i - 1) / 2`); `places[port]` is where `port` stands.
#[derive(Debug, Default)]
pub(crate) struct PortUsage {
    nodes: Vec<(BundleId, usize)>,
    places: HashMap<BundleId, usize>,
}

impl PortUsage {
    /// The port with the most addresses.
    pub(crate) fn greediest(&self) -> Option<BundleId> {
        self.nodes.first().map(|(port, _)| *port)
    }

    /// `port` has one address more.
    pub(crate) fn gain(&mut self, port: BundleId) {
        let place = match self.places.get(&port) {
            Some(&place) => place,
            None => {
                self.nodes.push((port, 0));
                self.places.insert(port, self.nodes.len() - 1);
                self.nodes.len() - 1
            }
        };
        self.nodes[place].1 += 1;
        self.rise(place);
    }

    /// `port` has one address less. Nothing happens to a port that has none.
    pub(crate) fn lose(&mut self, port: BundleId) {
        let Some(&place) = self.places.get(&port) else { return };
        if self.nodes[place].1 > 1 {
            self.nodes[place].1 -= 1;
            self.sink(place);
            return;
        }
        self.places.remove(&port);
        self.nodes.swap_remove(place);
        if let Some((moved, _)) = self.nodes.get(place) {
            self.places.insert(*moved, place);
            if !self.rise(place) {
                self.sink(place);
            }
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.nodes.swap(a, b);
        self.places.insert(self.nodes[a].0, a);
        self.places.insert(self.nodes[b].0, b);
    }

    /// Moves a node up to where it belongs. Returns whether it moved.
    fn rise(&mut self, mut place: usize) -> bool {
        let start = place;
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.nodes[parent].1 >= self.nodes[place].1 {
                break;
            }
            self.swap(parent, place);
            place = parent;
        }
        place != start
    }

    /// Moves a node down to where it belongs.
    fn sink(&mut self, mut place: usize) {
        loop {
            let mut greatest = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if self.nodes.get(child).is_some_and(|node| node.1 > self.nodes[greatest].1) {
                    greatest = child;
                }
            }
            if greatest == place {
                return;
            }
            self.swap(place, greatest);
            place = greatest;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_port_with_nothing_is_not_there() {
        let mut usage = PortUsage::default();
        usage.lose(BundleId(1));
        assert_eq!(usage.greediest(), None);
        usage.gain(BundleId(1));
        assert_eq!(usage.greediest(), Some(BundleId(1)));
        usage.lose(BundleId(1));
        assert_eq!(usage.greediest(), None);
    }

    proptest! {
        #[test]
        fn the_greediest_is_never_behind_another(steps in prop::collection::vec((any::<bool>(), 0u32..8), 0..200)) {
            let mut usage = PortUsage::default();
            let mut naive: BTreeMap<u32, usize> = BTreeMap::new();
            for (gains, port) in steps {
                if gains {
                    usage.gain(BundleId(port));
                    *naive.entry(port).or_default() += 1;
                } else {
                    usage.lose(BundleId(port));
                    naive.entry(port).and_modify(|count| *count = count.saturating_sub(1));
                }
                let most = naive.values().copied().max().unwrap_or(0);
                let found = usage.greediest().map_or(0, |port| naive[&port.0]);
                prop_assert_eq!(found, most);
            }
        }
    }
}
