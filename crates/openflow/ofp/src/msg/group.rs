//! Messages about groups.

use base::OfPort;
use fields::Field;

use crate::Action;

/// How buckets of a group are chosen; the numbers are those of `OFPGT_*` (OpenFlow 1.1+).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum GroupType {
    /// A copy of the packet goes through every bucket.
    All = 0,
    /// One live bucket, by hash of the packet and weight.
    Select = 1,
    /// The only bucket.
    Indirect = 2,
    /// The first bucket that is live.
    FastFailover = 3,
}

impl GroupType {
    /// The type of an `OFPGT_*` number; `None` above 3.
    pub const fn from_number(number: u8) -> Option<GroupType> {
        Some(match number {
            0 => GroupType::All,
            1 => GroupType::Select,
            2 => GroupType::Indirect,
            3 => GroupType::FastFailover,
            _ => return None,
        })
    }
}

/// What a group mod does (`OFPGC_*`); 1.5's numbers, of which 0 to 2 are those of 1.1 too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum GroupCommand {
    /// Adds a group; fails when its id is in use.
    Add = 0,
    /// Replaces type and buckets; fails when there is no such group.
    Modify = 1,
    /// Deletes a group, or with [`GROUP_ALL`](super::GROUP_ALL) all of them, and the rules that send to it.
    Delete = 2,
    /// Adds buckets before or after [`GroupMod::command_bucket`] (OpenFlow 1.5).
    InsertBucket = 3,
    /// Removes the bucket [`GroupMod::command_bucket`] (OpenFlow 1.5).
    RemoveBucket = 5,
    /// Not of the standard: add, or modify when it exists.
    AddOrMod = 0x8000,
}

/// Special bucket ids of insert and remove.
pub mod bucket_id {
    /// The greatest id of a real bucket.
    pub const MAX: u32 = 0xffff_ff00;
    /// Insert before the first; remove the first.
    pub const FIRST: u32 = 0xffff_fffd;
    /// Insert after the last; remove the last.
    pub const LAST: u32 = 0xffff_fffe;
    /// All buckets, when removing.
    pub const ALL: u32 = 0xffff_ffff;
}

/// One list of actions of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Share of a select group's traffic, relative to the sum of weights; 0: never chosen.
    pub weight: u16,
    /// Live only while this port is; `OfPort::ANY`: not considered.
    pub watch_port: OfPort,
    /// Live only while this group has a live bucket; [`GROUP_ANY`](super::GROUP_ANY): not considered.
    pub watch_group: u32,
    /// Unique in the group (OpenFlow 1.5); numbered by position in older versions.
    pub id: u32,
    /// Run as an action set.
    pub actions: Vec<Action>,
}

/// How a select group chooses (Netronome's extension).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupProperties {
    /// Empty: the switch's own way.
    pub selection_method: String,
    /// Seed of the hash methods; 0 by default.
    pub selection_method_param: u64,
    /// Fields and masks, in the registry's order.
    pub fields: Vec<(Field, u128)>,
}

/// `OFPT_GROUP_MOD` (OpenFlow 1.1+; Nicira extension in 1.0).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMod {
    /// What to do with the group.
    pub command: GroupCommand,
    /// Ignored when deleting.
    pub kind: GroupType,
    /// At most [`GROUP_MAX`](super::GROUP_MAX); [`GROUP_ALL`](super::GROUP_ALL) when deleting.
    pub group: u32,
    /// Insert and remove only.
    pub command_bucket: u32,
    /// In order of preference; empty for the commands that only remove.
    pub buckets: Vec<Bucket>,
    /// Selection method (OpenFlow 1.5, and Nicira's form for 1.0).
    pub properties: GroupProperties,
}

/// Counters of a group (`OFPMP_GROUP`, `OFPMP_GROUP_STATS` in OpenFlow 1.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupStats {
    /// The group's id.
    pub group: u32,
    /// How many rules and groups send to it.
    pub ref_count: u32,
    /// `u64::MAX` when unknown.
    pub packet_count: u64,
    /// `u64::MAX` when unknown.
    pub byte_count: u64,
    /// `u32::MAX` when unknown.
    pub duration_sec: u32,
    /// Nanoseconds beyond `duration_sec` (OpenFlow 1.3+).
    pub duration_nsec: u32,
    /// Packets and bytes of each bucket.
    pub buckets: Vec<(u64, u64)>,
}

/// Configuration of a group (`OFPMP_GROUP_DESC`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDesc {
    /// How it chooses buckets.
    pub kind: GroupType,
    /// The group's id.
    pub group: u32,
    /// In order of preference.
    pub buckets: Vec<Bucket>,
    /// Selection method (OpenFlow 1.5).
    pub properties: GroupProperties,
}

/// What groups the switch supports (`OFPMP_GROUP_FEATURES`, OpenFlow 1.2+; Nicira extension before).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupFeatures {
    /// Bits by [`GroupType`].
    pub types: u32,
    /// Bits: 0 weight, 1 liveness, 2 chaining, 3 chaining checks.
    pub capabilities: u32,
    /// The most groups of each [`GroupType`].
    pub max_groups: [u32; 4],
    /// Bits by [`crate::ActionKind`], by group type.
    pub actions: [u64; 4],
}
