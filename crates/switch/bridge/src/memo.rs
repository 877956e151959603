//! What was read from rows, so that rows that are the same are not read again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use uuid::Uuid;

/// What follows from rows, by a key. A row of the replica that changes is another one, so that it is enough to
/// look whether they are those of the last time.
#[derive(Debug)]
pub(crate) struct Memo<R, T> {
    known: HashMap<Uuid, Known<R, T>>,
    pass: u64,
}

#[derive(Debug)]
struct Known<R, T> {
    rows: Vec<Arc<R>>,
    value: T,
    /// When it was asked for last.
    pass: u64,
}

impl<R, T> Default for Memo<R, T> {
    fn default() -> Memo<R, T> {
        Memo { known: HashMap::new(), pass: 0 }
    }
}

impl<R, T: Clone + PartialEq> Memo<R, T> {
    /// What follows from `rows`, all of which `make` reads, and nothing else; `key` is theirs alone. It is the same value as
    /// the last time, not another one that is equal, unless it has changed.
    pub(crate) fn get(&mut self, key: Uuid, rows: &[&Arc<R>], make: impl FnOnce() -> T) -> T {
        let pass = self.pass;
        let known = match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let rows = rows.iter().map(|row| Arc::clone(row)).collect();
                return place.insert(Known { rows, value: make(), pass }).value.clone();
            }
        };
        known.pass = pass;
        let are_same =
            known.rows.len() == rows.len() && known.rows.iter().zip(rows).all(|(a, b)| Arc::ptr_eq(a, b));
        if !are_same {
            known.rows = rows.iter().map(|row| Arc::clone(row)).collect();
            let value = make();
            // Other columns may have changed.
            if value != known.value {
                known.value = value;
            }
        }
        known.value.clone()
    }

    /// Forgets what was not asked for since the last call.
    pub(crate) fn end_pass(&mut self) {
        let pass = self.pass;
        self.known.retain(|_, known| known.pass == pass);
        self.pass += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_that_changed_are_read_again() {
        let (port, interface) = (Arc::new("port"), Arc::new("interface"));
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut memo = Memo::default();
        let made = std::cell::Cell::new(0);
        let make = || made.replace(made.get() + 1) + 1;
        assert_eq!(memo.get(a, &[&port, &interface], make), 1);
        assert_eq!(memo.get(b, &[&interface], make), 2);
        memo.end_pass();
        assert_eq!(memo.get(a, &[&port, &interface], make), 1);
        assert_eq!(memo.get(a, &[&port], make), 3, "it has one interface less");
        assert_eq!(memo.get(a, &[&port, &Arc::new("interface")], make), 4, "equal is not the same");
        memo.end_pass();
        assert_eq!(memo.get(b, &[&interface], make), 5, "it was gone for a pass");
    }

    #[test]
    fn what_is_equal_stays_the_same() {
        let key = Uuid::from_u128(1);
        let mut memo = Memo::default();
        let first = memo.get(key, &[&Arc::new("row")], || Arc::new("value".to_owned()));
        let again = memo.get(key, &[&Arc::new("changed row")], || Arc::new("value".to_owned()));
        assert!(Arc::ptr_eq(&first, &again));
    }
}
