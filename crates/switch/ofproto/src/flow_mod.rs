//! Changing rules: all checks first, then the whole change, with enough kept to take it back.

use std::sync::Arc;

use base::{TableId, Timestamp};
use flow::{SparseMatch, slot};
use ofp::{Action, FlowFlags, FlowMod, FlowModCommand, FlowRemovedReason, OfError};
use pipeline::tunnel::OptionPlaces;
use pipeline::{BridgeView, Counters, Rule};

use crate::bridge::Bridge;
use crate::entry::{Criteria, Entry, Leaving};
use crate::lessons;
use crate::request::FlowRequest;
use crate::table::{Debris, Table};
use crate::tunnel_options::TunnelOptions;

/// What happened to one rule.
#[derive(Clone, Debug)]
pub struct Change {
    pub old: Option<Arc<Entry>>,
    pub new: Option<Arc<Entry>>,
    /// Why a rule that is gone is gone.
    pub reason: Option<FlowRemovedReason>,
    /// The request was to modify what there is, not to add.
    pub is_modification: bool,
}

impl Change {
    pub(crate) fn removal(entry: Arc<Entry>, reason: FlowRemovedReason) -> Change {
        Change { old: Some(entry), new: None, reason: Some(reason), is_modification: false }
    }
}

/// The table that a rule for `table` is to be added to, which may not be the switch's own.
pub fn table_to_add_to(table: u8) -> Result<TableId, OfError> {
    match table {
        0xff => Ok(TableId(0)),
        table if table == TableId::INTERNAL.0 => Err(OfError::OfpbrcEperm),
        table if usize::from(table) < TableId::COUNT => Ok(TableId(table)),
        _ => Err(OfError::OfpbrcBadTableId),
    }
}

impl Bridge {
    /// Carries out `request`. On an error nothing has changed.
    pub fn flow_mod(&mut self, request: &FlowMod, now: Timestamp) -> Result<Vec<Change>, OfError> {
        self.flow_mod_of(self.flow_request(request), now)
    }

    /// The same with a request as it is kept.
    pub fn flow_mod_of(&mut self, request: FlowRequest, now: Timestamp) -> Result<Vec<Change>, OfError> {
        let mut changes = Vec::new();
        self.carry_out(request, now, &mut changes)?;
        Ok(changes)
    }

    /// The same; what changed is appended to `changes`.
    pub(crate) fn carry_out(
        &mut self,
        request: FlowRequest,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) -> Result<(), OfError> {
        let before = changes.len();
        self.carry_out_silently(request, now, changes)?;
        if changes.len() > before {
            self.rules_changed();
        }
        Ok(())
    }

    /// The same, leaving it to the caller to say that something changed.
    pub(crate) fn carry_out_silently(
        &mut self,
        request: FlowRequest,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) -> Result<(), OfError> {
        if !request.command.is_delete() {
            if tunnel_options_of(&request.matching) & !self.tunnel_options().fields() != 0 {
                return Err(OfError::NxfmfcInvalidTlvField);
            }
            self.check_references(&request.actions)?;
        }
        match request.command {
            FlowModCommand::Add => return self.add_rule(request, now, changes),
            FlowModCommand::Modify | FlowModCommand::ModifyStrict => {
                changes.extend(self.modify_rules(request, now)?);
            }
            FlowModCommand::Delete | FlowModCommand::DeleteStrict => {
                changes.extend(self.delete_rules(&request));
            }
        }
        Ok(())
    }

    /// Takes changes back, the last one first.
    pub fn undo(&mut self, changes: &[Change]) {
        for change in changes.iter().rev() {
            self.put_back(change.new.as_ref(), change.old.as_ref());
        }
        if !changes.is_empty() {
            self.rules_changed();
        }
    }

    /// Whether all that `actions` name exists, and the datapath knows how to do them.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
    pub fn check_references(&self, actions: &[Action]) -> Result<(), OfError> {
        self.check_supported(actions)?;
        self.check_tunnel_options(actions)?;
        for action in actions {
            match action {
                Action::Group(id) if !self.groups.contains_key(id) => {
                    return Err(OfError::OfpbacBadOutGroup);
                }
                Action::Meter(id) if !self.meters.contains_key(id) => {
                    return Err(OfError::OfpmmfcInvalidMeter);
                }
                other => self.check_references(other.nested())?,
            }
        }
        Ok(())
    }

    /// Whether the fields of tunnel metadata that `actions` use are mapped to options that are as long.
    fn check_tunnel_options(&self, actions: &[Action]) -> Result<(), OfError> {
        let mut result = Ok(());
        let mut check = |field: usize, bits: u32| {
            result = result.and(match self.tunnel_options().len_of(field) {
                None => Err(OfError::NxfmfcInvalidTlvField),
                Some(len) if bits > 8 * u32::from(len) => Err(OfError::OfpbacBadSetLen),
                Some(_) => Ok(()),
            });
        };
        actions.iter().for_each(|action| action.tunnel_options(&mut check));
        result
    }

    /// Which options of tunnels are which fields.
    pub fn tunnel_options(&self) -> &TunnelOptions {
        &self.tunnel_options
    }

    /// Sets that, and where the datapath has the options.
    pub fn set_tunnel_options(&mut self, options: TunnelOptions, places: OptionPlaces) {
        if (&self.tunnel_options, &self.option_places) != (&options, &places) {
            self.tunnel_options = options;
            self.option_places = places;
            self.changed();
        }
    }

    /// Whether rules match on, or do something with, one of these fields of tunnel metadata, a bit each.
    pub fn uses_tunnel_options(&self, fields: u64) -> bool {
        let uses = |entry: &Arc<Entry>| {
            let mut used = tunnel_options_of(&entry.rule.matching);
            let mut add = |field: usize, _: u32| used |= 1u64.checked_shl(field as u32).unwrap_or(0);
            entry.rule.actions.iter().for_each(|action| action.tunnel_options(&mut add));
            used & fields != 0
        };
        fields != 0 && self.tables().any(|table| table.entries().any(uses))
    }

    /// Whether the datapath knows how to do all of `actions`. The error is the standard's, so the log names the action.
    pub fn check_supported(&self, actions: &[Action]) -> Result<(), OfError> {
        let Some(beyond) = pipeline::beyond(actions, self.capabilities()) else { return Ok(()) };
        let (bridge, pipeline::Beyond { action, what, error }) = (self.name(), beyond);
        log::warn!(
            target: base::bounded!("ofproto_dpif"),
            "{bridge}: Rejecting {action} action because datapath does not support {what}"
        );
        Err(error)
    }

    fn add_rule(
        &mut self,
        request: FlowRequest,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) -> Result<(), OfError> {
        if !pipeline::has_keys_for(request.matching.mask(), self.capabilities()) {
            return Err(OfError::NxbmcCtDatapathSupport);
        }
        let table = table_to_add_to(request.table)?;
        let priority = i32::from(request.priority);
        if request.flags.contains(FlowFlags::CHECK_OVERLAP)
            && self.table(table).is_some_and(|t| t.overlaps(&request.matching, priority))
        {
            return Err(OfError::OfpfmfcOverlap);
        }
        let old = self.table_mut(table).find(&request.matching, priority).cloned();
        let before = changes.len();
        if old.is_none() {
            changes.extend(self.ensure_room(table, now)?);
        }
        let keeps_counts = !request.flags.contains(FlowFlags::RESET_COUNTS);
        let counters = match &old {
            Some(old) if keeps_counts => Arc::clone(&old.rule.counters),
            _ => Arc::new(Counters::default()),
        };
        let revision = self.next_revision();
        let entry = Arc::new(Entry {
            rule: Arc::new(Rule {
                table,
                priority,
                matching: request.matching,
                cookie: request.new_cookie,
                actions: request.actions,
                counters,
            }),
            flags: FlowFlags(request.flags.0 & FlowFlags::STATE.0),
            idle_timeout: request.idle_timeout,
            hard_timeout: request.hard_timeout,
            importance: request.importance,
            created: now,
            modified: now,
            idle_since: old.as_ref().map_or(now, |old| old.used()),
            sequence: old.as_ref().map_or(revision, |old| old.sequence),
            added_at: revision,
            changed_at: revision,
            leaving: Leaving::default(),
        });
        self.has_taught |= lessons::teaches(&entry.rule.actions);
        self.put_rule(Arc::clone(&entry), old.as_ref());
        changes.push(Change { old, new: Some(entry), reason: None, is_modification: false });
        self.forget_learned(changes, before);
        Ok(())
    }

    fn modify_rules(&mut self, request: FlowRequest, now: Timestamp) -> Result<Vec<Change>, OfError> {
        let found = self.select(&request.criteria()?);
        if found.is_empty() {
            return self.modify_nothing(request, now);
        }
        let changed_at = self.next_revision();
        let mut changes = self.modify_entries(found, &request, changed_at, now);
        self.forget_learned(&mut changes, 0);
        Ok(changes)
    }

    /// A request to modify that is about no rule.
    pub(crate) fn modify_nothing(
        &mut self,
        request: FlowRequest,
        now: Timestamp,
    ) -> Result<Vec<Change>, OfError> {
        // OpenFlow 1.0 adds what it finds nothing to modify of; a request that asks for a cookie does not.
        let adds = request.cookie_mask == 0 && request.new_cookie != u64::MAX;
        let mut changes = Vec::new();
        if adds {
            self.add_rule(request, now, &mut changes)?;
        }
        Ok(changes)
    }

    /// Modifies the entries as the request says. What they taught is the caller's to forget.
    pub(crate) fn modify_entries(
        &mut self,
        entries: impl IntoIterator<Item = Arc<Entry>>,
        request: &FlowRequest,
        changed_at: u64,
        now: Timestamp,
    ) -> Vec<Change> {
        self.has_taught |= lessons::teaches(&request.actions);
        let resets = request.flags.contains(FlowFlags::RESET_COUNTS);
        let changes = entries.into_iter().map(|old| {
            let rule = &old.rule;
            let new = Arc::new(Entry {
                rule: Arc::new(Rule {
                    table: rule.table,
                    priority: rule.priority,
                    matching: rule.matching.clone(),
                    cookie: if request.modify_cookie { request.new_cookie } else { rule.cookie },
                    actions: Arc::clone(&request.actions),
                    counters: if resets { Arc::default() } else { Arc::clone(&rule.counters) },
                }),
                modified: now,
                idle_since: old.used(),
                changed_at,
                ..Entry::clone(&old)
            });
            self.put_rule(Arc::clone(&new), Some(&old));
            Change { old: Some(old), new: Some(new), reason: None, is_modification: true }
        });
        changes.collect()
    }

    fn delete_rules(&mut self, request: &FlowRequest) -> Vec<Change> {
        match request.criteria() {
            Ok(criteria) => self.remove_rules(&criteria, FlowRemovedReason::Delete),
            // A table that cannot exist has no rules to delete.
            Err(_) => Vec::new(),
        }
    }

    /// Removes what `criteria` are about.
    fn remove_rules(&mut self, criteria: &Criteria, reason: FlowRemovedReason) -> Vec<Change> {
        let found = self.select(criteria);
        self.remove_entries(found.into_iter(), reason)
    }

    /// Removes all rules of a table, or of all tables, but the switch's own. What they taught stays.
    pub(crate) fn clear_tables(&mut self, which: TableId) -> Vec<Debris> {
        let tables = self.tables_mut().filter(|table| which == TableId::ALL || which == table.id());
        let debris: Vec<Debris> = tables.filter(|table| !table.is_empty()).map(Table::clear).collect();
        if !debris.is_empty() {
            self.rules_changed();
        }
        debris
    }

    /// The rules whose time is over, for [`Bridge::remove_expired`].
    pub fn expired_rules(&self, now: Timestamp) -> Vec<Arc<Entry>> {
        self.tables().flat_map(|table| table.expired(now)).cloned().collect()
    }

    /// Removes those of the rules that are still there and whose time is still over.
    pub fn remove_expired(&mut self, rules: &[Arc<Entry>], now: Timestamp) -> Vec<Change> {
        let is_there = |entry: &Arc<Entry>| {
            let table = self.table(entry.rule.table);
            let found = table.and_then(|table| table.find(&entry.rule.matching, entry.rule.priority));
            found.is_some_and(|found| Arc::ptr_eq(found, entry))
        };
        let due: Vec<_> = rules
            .iter()
            .filter(|entry| is_there(entry))
            .filter_map(|entry| Some((Arc::clone(entry), entry.expiry(now)?)))
            .collect();
        let mut changes = Vec::with_capacity(due.len());
        for (entry, reason) in due {
            self.remove_rule(&entry);
            changes.push(Change::removal(entry, reason));
        }
        self.forget_learned(&mut changes, 0);
        if !changes.is_empty() {
            self.drifted();
        }
        changes
    }

    /// Removes the entries; the caller says that something changed.
    pub(crate) fn remove_entries(
        &mut self,
        entries: impl Iterator<Item = Arc<Entry>>,
        reason: FlowRemovedReason,
    ) -> Vec<Change> {
        let mut changes = self.remove_only(entries, reason);
        self.forget_learned(&mut changes, 0);
        changes
    }

    /// The same; what the rules taught is the caller's to forget.
    pub(crate) fn remove_only(
        &mut self,
        entries: impl Iterator<Item = Arc<Entry>>,
        reason: FlowRemovedReason,
    ) -> Vec<Change> {
        let removed = entries.map(|entry| {
            self.remove_rule(&entry);
            Change::removal(entry, reason)
        });
        removed.collect()
    }
}
/// The fields of tunnel metadata that a match names, a bit each.
fn tunnel_options_of(matching: &SparseMatch) -> u64 {
    let bits = |place| matching.mask().read(place) as u64;
    bits(slot::TUN_PRESENT_HIGH) << 32 | bits(slot::TUN_PRESENT_LOW)
}
