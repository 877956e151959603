//! Messages about groups.

use base::OfPort;
use fields::Field;

use crate::Action;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum GroupType {
    All = 0,
    Select = 1,
    Indirect = 2,
    FastFailover = 3,
}

impl GroupType {
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

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum GroupCommand {
    Add = 0,
    Modify = 1,
    Delete = 2,
    InsertBucket = 3,
    RemoveBucket = 5,
    /// Not of the standard: add, or modify when it exists.
    AddOrMod = 0x8000,
}

/// Special bucket ids of insert and remove.
pub mod bucket_id {
    pub const MAX: u32 = 0xffff_ff00;
    pub const FIRST: u32 = 0xffff_fffd;
    pub const LAST: u32 = 0xffff_fffe;
    pub const ALL: u32 = 0xffff_ffff;
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    pub weight: u16,
    pub watch_port: OfPort,
    pub watch_group: u32,
    pub id: u32,
    pub actions: Vec<Action>,
}

/// How a select group chooses (Netronome's extension).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupProperties {
    /// Empty: the switch's own way.
    pub selection_method: String,
    pub selection_method_param: u64,
    /// Fields and masks, in the registry's order.
    pub fields: Vec<(Field, u128)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMod {
    pub command: GroupCommand,
    pub kind: GroupType,
    pub group: u32,
    /// Insert and remove only.
    pub command_bucket: u32,
    pub buckets: Vec<Bucket>,
    pub properties: GroupProperties,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupStats {
    pub group: u32,
    pub ref_count: u32,
    pub packet_count: u64,
    pub byte_count: u64,
    /// `u32::MAX` when unknown.
    pub duration_sec: u32,
    pub duration_nsec: u32,
    /// Packets and bytes of each bucket.
    pub buckets: Vec<(u64, u64)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDesc {
    pub kind: GroupType,
    pub group: u32,
    pub buckets: Vec<Bucket>,
    pub properties: GroupProperties,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupFeatures {
    /// Bits by [`GroupType`].
    pub types: u32,
    /// Bits: 0 weight, 1 liveness, 2 chaining, 3 chaining checks.
    pub capabilities: u32,
    pub max_groups: [u32; 4],
    /// Bits by [`crate::ActionKind`], by group type.
    pub actions: [u64; 4],
}
