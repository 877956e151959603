//! The last transactions of a database, for clients that come back ("monitor_cond_since").

use model::Uuid;
use std::collections::VecDeque;
use std::rc::Rc;
use store::Changes;

/// No more transactions than this are kept.
const MAX_TRANSACTIONS: usize = 100;

#[derive(Debug)]
struct Entry {
    id: Uuid,
    changes: Rc<Changes>,
    rows: usize,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: VecDeque<Entry>,
    last_id: Uuid,
    rows: usize,
}

impl History {
    pub(crate) fn last_id(&self) -> Uuid {
        self.last_id
    }

    /// Adds a transaction. Together they are kept no larger than the database, of `limit` rows, itself: who
    /// missed more gets that.
    pub(crate) fn push(&mut self, id: Uuid, changes: Rc<Changes>, limit: usize) {
        let rows = changes.tables.iter().map(|(_, rows)| rows.len()).sum();
        self.last_id = id;
        self.rows += rows;
        self.entries.push_back(Entry { id, changes, rows });
        while self.entries.len() > 1 && (self.entries.len() > MAX_TRANSACTIONS || self.rows > limit) {
            if let Some(entry) = self.entries.pop_front() {
                self.rows -= entry.rows;
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = History::default();
    }

    /// The transactions after the one of that id; `None` where it is not known.
    pub(crate) fn after(&self, id: Uuid) -> Option<impl Iterator<Item = &Changes>> {
        if id.is_nil() {
            return None;
        }
        let at = self.entries.iter().position(|entry| entry.id == id)?;
        Some(self.entries.iter().skip(at + 1).map(|entry| &*entry.changes))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
