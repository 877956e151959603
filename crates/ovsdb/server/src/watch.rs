//! Watches: what monitors of any sessions that want the same have in common.
//!
//! A commit is noted once per watch, not once per client, as the old and the
//! new version of each row; versions are shared, so that costs pointers. The
//! text is made when the first client can take it, and is the same bytes for
//! all that are at the same place. A client that is slow gets many commits
//! merged into one update, so what is kept for it is bounded by the number of
//! rows.
//!
//! ```text
//! commits   1   2   3   4   5   6
//! set A     └───────────────────┤  a client that has not read since commit 1
//! set B                     └───┤  clients that took all up to commit 4
//! ```

use crate::monitor::{MonitoredTable, TableUpdates, Version, are_alike, initial};
use crate::session::SessionId;
use model::Uuid;
use std::sync::{Arc, Weak};
use store::{Change, Changes, Database, IndexMap, Row};

/// Where in a watch a monitor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) watch: u64,
    set: u64,
}

/// The versions of a row before and after what is still to be sent.
#[derive(Clone, Debug)]
struct Pending {
    old: Option<Arc<Row>>,
    new: Option<Arc<Row>>,
}

/// What monitors at the same place are still to be sent.
#[derive(Debug)]
struct ChangeSet {
    id: u64,
    members: usize,
    /// By table as in the watch.
    pending: Vec<IndexMap<Uuid, Pending>>,
    /// The text of it, once somebody wanted it: the inner `None` is nothing to tell.
    encoded: Option<Option<Arc<Vec<u8>>>>,
}

impl ChangeSet {
    fn is_empty(&self) -> bool {
        self.pending.iter().all(IndexMap::is_empty)
    }
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) id: u64,
    pub(crate) version: Version,
    pub(crate) tables: Vec<MonitoredTable>,
    /// The sessions of its monitors; one that has two is there twice.
    pub(crate) members: Vec<SessionId>,
    sets: Vec<ChangeSet>,
    next_set: u64,
    /// The text of all rows, as long as some connection still holds it and nothing has changed.
    initial: Weak<Vec<u8>>,
}

/// `<table-updates>` as the end of a message.
fn body(mut text: String, end: &str) -> Arc<Vec<u8>> {
    text.push_str(end);
    text.shrink_to_fit();
    Arc::new(text.into_bytes())
}

impl Watch {
    fn new(id: u64, version: Version, tables: Vec<MonitoredTable>) -> Watch {
        Watch {
            id,
            version,
            tables,
            members: Vec::new(),
            sets: Vec::new(),
            next_set: 0,
            initial: Weak::new(),
        }
    }

    fn join(&mut self, session: SessionId) -> Place {
        self.members.push(session);
        Place { watch: self.id, set: self.enter_last() }
    }

    /// The set of those who were told everything.
    fn enter_last(&mut self) -> u64 {
        if self.sets.last().is_none_or(|set| !set.is_empty()) {
            let pending = vec![IndexMap::default(); self.tables.len()];
            self.sets.push(ChangeSet { id: self.next_set, members: 0, pending, encoded: None });
            self.next_set += 1;
        }
        self.sets.last_mut().map_or(0, |set| {
            set.members += 1;
            set.id
        })
    }

    fn leave_set(&mut self, id: u64) {
        if let Some(set) = self.sets.iter_mut().find(|set| set.id == id) {
            set.members -= 1;
        }
        self.sets.retain(|set| set.members > 0);
    }

    fn leave(&mut self, session: SessionId, place: Place) {
        if let Some(at) = self.members.iter().position(|member| *member == session) {
            self.members.swap_remove(at);
        }
        self.leave_set(place.set);
    }

    /// Notes a commit; true when there may be something to send now.
    fn note(&mut self, changes: &Changes) -> bool {
        let mut any = false;
        for (table, monitored) in self.tables.iter().enumerate() {
            for change in changes.of_table(monitored.table).iter().filter(|c| monitored.is_affected(c)) {
                any = true;
                for set in &mut self.sets {
                    set.encoded = None;
                    if let Some(pending) = set.pending.get_mut(table) {
                        note_row(pending, change);
                    }
                }
            }
        }
        if any {
            self.initial = Weak::new();
        }
        any
    }

    /// What is to be sent at this place, as `<table-updates>]}`; the place moves behind it.
    pub(crate) fn take(&mut self, place: &mut Place) -> Option<Arc<Vec<u8>>> {
        let set = self.sets.iter_mut().find(|set| set.id == place.set)?;
        if set.is_empty() {
            return None;
        }
        let encoded = match &set.encoded {
            Some(encoded) => encoded.clone(),
            None => {
                let encoded = encode(&self.tables, self.version, &set.pending).map(|text| body(text, "]}"));
                set.encoded.insert(encoded).clone()
            }
        };
        let left = set.id;
        place.set = self.enter_last();
        self.leave_set(left);
        encoded
    }

    /// All rows as they are, as `<table-updates>`.
    pub(crate) fn initial(&mut self, database: &Database) -> Arc<Vec<u8>> {
        if let Some(text) = self.initial.upgrade() {
            return text;
        }
        let text = body(initial(&self.tables, self.version, database), "");
        self.initial = Arc::downgrade(&text);
        text
    }

    /// What these commits did, taken together, as `<table-updates>`.
    pub(crate) fn since<'c>(&self, commits: impl Iterator<Item = &'c Changes>) -> String {
        let mut pending = vec![IndexMap::default(); self.tables.len()];
        for changes in commits {
            for (monitored, pending) in self.tables.iter().zip(&mut pending) {
                let affected = changes.of_table(monitored.table).iter().filter(|c| monitored.is_affected(c));
                affected.for_each(|change| note_row(pending, change));
            }
        }
        encode(&self.tables, self.version, &pending).unwrap_or_else(|| "{}".to_owned())
    }

    /// How many changes are kept for monitors that have not taken them.
    fn backlog(&self) -> usize {
        self.sets.iter().flat_map(|set| &set.pending).map(IndexMap::len).sum()
    }
}

fn encode(
    tables: &[MonitoredTable],
    version: Version,
    pending: &[IndexMap<Uuid, Pending>],
) -> Option<String> {
    let mut out = TableUpdates::new();
    for (monitored, pending) in tables.iter().zip(pending) {
        for (uuid, pending) in pending {
            let (old, new) = (pending.old.as_deref(), pending.new.as_deref());
            out.row(monitored, *uuid, version, old, new, monitored.kind_of(old, new));
        }
    }
    out.finish()
}

fn note_row(pending: &mut IndexMap<Uuid, Pending>, change: &Change) {
    match pending.entry(change.uuid) {
        indexmap::map::Entry::Vacant(slot) => {
            slot.insert(Pending { old: change.old.clone(), new: change.new.clone() });
        }
        indexmap::map::Entry::Occupied(mut slot) => {
            slot.get_mut().new.clone_from(&change.new);
            if slot.get().old.is_none() && slot.get().new.is_none() {
                slot.shift_remove();
            }
        }
    }
}

/// The watches of one database.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    list: Vec<Watch>,
    next: u64,
}

impl Watches {
    /// Joins the watch that tells this, or begins it.
    pub(crate) fn join(
        &mut self,
        session: SessionId,
        version: Version,
        tables: Vec<MonitoredTable>,
    ) -> Place {
        let like = |watch: &&mut Watch| watch.version == version && are_alike(&watch.tables, &tables);
        if let Some(watch) = self.list.iter_mut().find(like) {
            return watch.join(session);
        }
        let mut watch = Watch::new(self.next, version, tables);
        self.next += 1;
        let place = watch.join(session);
        self.list.push(watch);
        place
    }

    pub(crate) fn leave(&mut self, session: SessionId, place: Place) {
        if let Some(watch) = self.watch(place) {
            watch.leave(session, place);
        }
        self.list.retain(|watch| !watch.members.is_empty());
    }

    pub(crate) fn watch(&mut self, place: Place) -> Option<&mut Watch> {
        self.list.iter_mut().find(|watch| watch.id == place.watch)
    }

    /// Notes a commit; returns the sessions that there may be something to tell.
    pub(crate) fn note(&mut self, changes: &Changes) -> Vec<SessionId> {
        let mut affected = Vec::new();
        for watch in &mut self.list {
            if watch.note(changes) {
                affected.extend_from_slice(&watch.members);
            }
        }
        affected
    }

    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// How many changes are kept for monitors that have not taken them.
    pub(crate) fn backlog(&self) -> usize {
        self.list.iter().map(Watch::backlog).sum()
    }
}
