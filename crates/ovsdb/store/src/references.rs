//! The bookkeeping of references between rows.

use crate::changes::Change;
use crate::column_refs::RowId;
use crate::database::Database;
use crate::row::Row;
use hashbrown::HashMap;
use model::Uuid;

impl Database {
    /// Keeps `weak_from` true for one change.
    pub(crate) fn apply_weak(&mut self, table: usize, change: &Change) {
        let refs = match self.tables.get(table) {
            Some(t) if !t.refs.weak.is_empty() => t.refs.weak.clone(),
            _ => return,
        };
        let source = RowId { table, uuid: change.uuid };
        for reference in refs {
            if !change.changed.contains(reference.column) && change.old.is_some() && change.new.is_some() {
                continue;
            }
            let targets = |row: &Row| {
                row.column(reference.column).map_or(Vec::new(), |datum| reference.targets(datum).collect())
            };
            let Some(target) = self.tables.get_mut(reference.target) else { continue };
            for uuid in change.old.as_deref().map(targets).unwrap_or_default() {
                forget(&mut target.weak_from, uuid, source);
            }
            for uuid in change.new.as_deref().map(targets).unwrap_or_default() {
                *target.weak_from.entry(uuid).or_default().entry(source).or_insert(0) += 1;
            }
        }
    }
}

fn forget(weak_from: &mut HashMap<Uuid, HashMap<RowId, u32>>, uuid: Uuid, source: RowId) {
    let Some(sources) = weak_from.get_mut(&uuid) else { return };
    if let Some(count) = sources.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            sources.remove(&source);
        }
    }
    if sources.is_empty() {
        weak_from.remove(&uuid);
    }
}
