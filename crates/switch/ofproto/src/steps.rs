//! Changing a bridge in steps of which packets see nothing before the last.
//!
//! A change of many rules is made a few at a time, with the lock over the bridges released in between, and comes into
//! force at once. Rules know from which revision of their bridge they are there, and until which; groups, ports and bundles
//! that are changed are kept as they were before ([`Staging`]). So packets that are translated meanwhile see none of it, and
//! those after [`Bridge::show`] see all.
//!
//! One change is made at a time ([`crate::Transaction`]); nothing else changes bridges meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::OfPort;

use crate::bridge::Bridge;
use crate::entry::Entry;
use crate::staging::Staging;
use crate::table::Table;

impl Bridge {
    /// From now on packets see what there is now, whatever changes, until [`Bridge::show`].
    pub(crate) fn stage(&mut self) {
        self.staging = Some(Box::new(Staging {
            first: self.revision() + 1,
            is_shown: false,
            is_changed: AtomicBool::new(false),
            are_rules_changed: AtomicBool::new(false),
            groups: BTreeMap::new(),
            ports: BTreeMap::new(),
            bundles: BTreeMap::new(),
        }));
    }

    /// Has packets see what has changed, all at once.
    pub(crate) fn show(&mut self) {
        let Some(staging) = &mut self.staging else { return };
        staging.is_shown = true;
        if staging.is_changed.load(Ordering::Relaxed) {
            self.changed();
        } else if staging.are_rules_changed.load(Ordering::Relaxed) {
            self.rules_changed();
        }
    }

    /// How many rules are to be let go of by [`Bridge::sweep`].
    pub(crate) fn gone_count(&self) -> usize {
        self.tables().map(Table::gone_count).sum()
    }

    /// Lets go of what is gone since [`Bridge::show`], at most `count` rules; whether there is more.
    pub(crate) fn sweep(&mut self, count: usize) -> bool {
        let mut has_more = false;
        for table in self.tables_mut() {
            has_more |= table.sweep(count);
        }
        if !has_more {
            self.staging = None;
        }
        has_more
    }

    /// Shows the change to whoever looks next, or hides it again: for a packet that is part of the change.
    pub(crate) fn show_for_now(&mut self, is_shown: bool) {
        if let Some(staging) = &mut self.staging {
            staging.is_shown = is_shown;
        }
    }

    /// Keeps a group as it is, for packets.
    pub(crate) fn keep_group(&mut self, id: u32) {
        if let Some(staging) = &mut self.staging {
            staging.groups.entry(id).or_insert_with(|| self.groups.get(&id).cloned());
        }
    }

    /// Keeps a port and its bundle as they are, for packets.
    pub(crate) fn keep_port(&mut self, number: OfPort) {
        let Some(staging) = &mut self.staging else { return };
        let Some(entry) = self.ports.get(&number) else { return };
        staging.ports.entry(number).or_insert_with(|| entry.port.clone());
        if let Some(bundle) = entry.port.bundle.and_then(|id| self.bundles.get(&id)) {
            staging.bundles.entry(bundle.id).or_insert_with(|| bundle.clone());
        }
    }

    /// Nothing of the change is left: all of it was taken back.
    pub(crate) fn nothing_changed(&mut self) {
        if let Some(staging) = &mut self.staging {
            staging.is_changed.store(false, Ordering::Relaxed);
        }
    }

    /// Takes back that `old` was replaced by `new`, or that either came or went.
    pub(crate) fn put_back(&mut self, new: Option<&Arc<Entry>>, old: Option<&Arc<Entry>>) {
        let is_staged = self.staging.is_some();
        if let Some(new) = new {
            let table = self.table_mut(new.rule.table);
            match is_staged {
                true => table.unstage(new),
                false => _ = table.remove(&new.rule.matching, new.rule.priority),
            }
        }
        if let Some(old) = old {
            let table = self.table_mut(old.rule.table);
            match is_staged {
                true => table.unstage_removal(old),
                false => _ = table.insert(Arc::clone(old)),
            }
        }
    }
}
