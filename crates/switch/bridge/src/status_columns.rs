//! Which changes of the database are changes of the configuration.

use replica::Change;

use crate::settings::{COLUMNS, Use};

/// Whether the change may ask the switch for something. What the switch itself writes, and what others note for
/// themselves, does not: no pass over the configuration follows, so that a client may clear such a column. Nor does a new
/// `next_cfg`, of whoever waits for the changes that came with it.
pub fn configures(table: &str, change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    new.schema.declared_columns().any(|column| {
        let name = &*column.name;
        old.get(name) != new.get(name) && !is_inert(table, name)
    })
}

fn is_inert(table: &str, column: &str) -> bool {
    let known = COLUMNS.iter().find(|(of, name, _)| *of == table && *name == column);
    match known {
        Some((.., use_)) => matches!(use_, Use::Status | Use::Elsewhere | Use::Awaited),
        None => column == "external_ids",
    }
}
