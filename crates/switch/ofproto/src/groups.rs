//! Groups: making, changing and deleting them, and what they counted.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use base::Timestamp;
use ofp::{
    Action, Bucket, FlowRemovedReason, GROUP_ALL, GROUP_MAX, GroupCommand, GroupDesc, GroupFeatures,
    GroupMod, GroupStats, OfError, bucket_id,
};
use pipeline::{Counters, Group, GroupBuckets};

use crate::bridge::Bridge;
use crate::entry::Entry;
use crate::flow_mod::Change;

/// What a group request did.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    pub old: Vec<Arc<Group>>,
    pub new: Option<Arc<Group>>,
    /// Rules that went with their group.
    pub rules: Vec<Change>,
}

/// Weights, watching, groups in groups.
const CAPABILITIES: u32 = 0b0111;

impl Bridge {
    /// Carries out `request`. On an error nothing has changed.
    pub fn group_mod(&mut self, request: &GroupMod, now: Timestamp) -> Result<GroupChange, OfError> {
        for bucket in &request.buckets {
            // A group may name groups that come later.
            self.check_supported(&bucket.actions)?;
        }
        let known = self.groups.get(&request.group).cloned();
        match (request.command, known) {
            (GroupCommand::Add, Some(_)) => Err(OfError::OfpgmfcGroupExists),
            (GroupCommand::Add | GroupCommand::AddOrMod, None) => {
                self.put_group(request, request.buckets.clone(), None, now)
            }
            (GroupCommand::Delete, _) => Ok(self.delete_groups(request.group)),
            (_, None) => Err(OfError::OfpgmfcUnknownGroup),
            (GroupCommand::Modify | GroupCommand::AddOrMod, Some(old)) => {
                self.put_group(request, request.buckets.clone(), Some(old), now)
            }
            (GroupCommand::InsertBucket, Some(old)) => {
                let buckets = insert_buckets(&old, request)?;
                self.put_group(request, buckets, Some(old), now)
            }
            (GroupCommand::RemoveBucket, Some(old)) => {
                let buckets = remove_buckets(&old, request.command_bucket)?;
                self.put_group(request, buckets, Some(old), now)
            }
        }
    }

    fn put_group(
        &mut self,
        request: &GroupMod,
        buckets: Vec<Bucket>,
        old: Option<Arc<Group>>,
        now: Timestamp,
    ) -> Result<GroupChange, OfError> {
        if request.group > GROUP_MAX {
            return Err(OfError::OfpgmfcInvalidGroup);
        }
        let of_buckets = matches!(request.command, GroupCommand::InsertBucket | GroupCommand::RemoveBucket);
        let (kind, properties) = match &old {
            // What is about buckets leaves the rest of the group alone.
            Some(old) if of_buckets => (old.kind, old.properties.clone()),
            _ => (request.kind, request.properties.clone()),
        };
        let group = Arc::new(match &old {
            None => Group::new(request.group, kind, properties, buckets, now),
            Some(old) => {
                let change = GroupBuckets { given: &request.buckets, all: buckets };
                Group::replacing(old, kind, properties, change)
            }
        });
        self.keep_group(request.group);
        self.groups.insert(request.group, Arc::clone(&group));
        self.changed();
        Ok(GroupChange { old: old.into_iter().collect(), new: Some(group), rules: Vec::new() })
    }

    fn delete_groups(&mut self, which: u32) -> GroupChange {
        let users = self.users_of_groups(which);
        let mut change = self.remove_groups(which);
        change.rules = self.remove_entries(users.into_iter(), FlowRemovedReason::GroupDelete);
        change
    }

    /// The rules that name a group of this number, which may be all.
    pub(crate) fn users_of_groups(&self, which: u32) -> Vec<Arc<Entry>> {
        let known: Vec<u32> = self.groups(which).map(|group| group.id).collect();
        if known.is_empty() {
            return Vec::new();
        }
        let uses = |actions: &[Action]| known.iter().any(|id| ofp::outputs_to_group(actions, *id));
        self.entries_that(|entry| uses(&entry.rule.actions))
    }

    /// Removes groups, but not the rules that name them.
    pub(crate) fn remove_groups(&mut self, which: u32) -> GroupChange {
        let old: Vec<Arc<Group>> = self.groups(which).cloned().collect();
        for group in &old {
            self.keep_group(group.id);
            self.groups.remove(&group.id);
        }
        if !old.is_empty() {
            self.changed();
        }
        GroupChange { old, new: None, rules: Vec::new() }
    }

    /// Takes a change back, but for what it has done to rules.
    pub(crate) fn undo_group(&mut self, change: &GroupChange) {
        if let Some(new) = &change.new {
            self.groups.remove(&new.id);
        }
        for old in &change.old {
            self.groups.insert(old.id, Arc::clone(old));
        }
        self.changed();
    }

    /// The groups, or the one asked for, in the order of their numbers.
    pub fn groups(&self, which: u32) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values().filter(move |group| which == GROUP_ALL || group.id == which)
    }

    /// The groups behind the one of this number, in the order of their numbers.
    pub fn groups_after(&self, after: Option<u32>) -> impl Iterator<Item = &Arc<Group>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.groups.range((from, Bound::Unbounded)).map(|(_, group)| group)
    }
}

/// What a group counted; `references`: how many rules name it.
pub fn group_stats(group: &Group, references: u32, now: Timestamp) -> GroupStats {
    let age = now - group.created;
    let read = |counters: &Counters| (counters.packets(), counters.bytes());
    let (packet_count, byte_count) = read(&group.counters);
    GroupStats {
        group: group.id,
        ref_count: references,
        packet_count,
        byte_count,
        duration_sec: u32::try_from(age.as_secs()).unwrap_or(u32::MAX),
        duration_nsec: age.subsec_millis() * 1_000_000,
        buckets: group.buckets.iter().map(|bucket| read(&bucket.counters)).collect(),
    }
}

/// A group as controllers made it.
pub fn group_desc(group: &Group) -> GroupDesc {
    GroupDesc {
        kind: group.kind,
        group: group.id,
        buckets: group.buckets.iter().map(|bucket| bucket.desc.clone()).collect(),
        properties: group.properties.clone(),
    }
}

/// What groups can do, on every bridge.
pub fn group_features() -> GroupFeatures {
    GroupFeatures {
        types: 0xf,
        capabilities: CAPABILITIES,
        max_groups: [GROUP_MAX; 4],
        actions: [pipeline::supported_kinds(); 4],
    }
}

/// Counts in `references` each group that `actions` name.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
pub fn count_groups(actions: &[Action], references: &mut HashMap<u32, u32>) {
    for action in actions {
        match action {
            Action::Group(group) => *references.entry(*group).or_default() += 1,
            other => count_groups(other.nested(), references),
        }
    }
}

/// The old buckets with the new ones where the request says.
fn insert_buckets(old: &Group, request: &GroupMod) -> Result<Vec<Bucket>, OfError> {
    let kept: Vec<Bucket> = old.buckets.iter().map(|bucket| bucket.desc.clone()).collect();
    let position = match request.command_bucket {
        bucket_id::FIRST => 0,
        bucket_id::LAST => kept.len(),
        // Behind the bucket of this number.
        id => kept.iter().position(|bucket| bucket.id == id).ok_or(OfError::OfpgmfcUnknownBucket)? + 1,
    };
    let exists = |bucket: &Bucket| kept.iter().any(|old| old.id == bucket.id);
    if request.buckets.iter().any(exists) {
        return Err(OfError::OfpgmfcBucketExists);
    }
    let mut all = kept;
    all.splice(position..position, request.buckets.iter().cloned());
    Ok(all)
}

fn remove_buckets(old: &Group, which: u32) -> Result<Vec<Bucket>, OfError> {
    let mut kept: Vec<Bucket> = old.buckets.iter().map(|bucket| bucket.desc.clone()).collect();
    match which {
        bucket_id::ALL => kept.clear(),
        bucket_id::FIRST => drop(kept.drain(..kept.len().min(1))),
        bucket_id::LAST => drop(kept.pop()),
        id => {
            let at = kept.iter().position(|bucket| bucket.id == id).ok_or(OfError::OfpgmfcUnknownBucket)?;
            kept.remove(at);
        }
    }
    Ok(kept)
}
