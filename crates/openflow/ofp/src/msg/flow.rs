//! Messages about rules.

use base::OfPort;
use fields::Match;

use crate::Action;

/// "Any group" in requests.
pub const GROUP_ANY: u32 = 0xffff_ffff;
/// "All groups".
pub const GROUP_ALL: u32 = 0xffff_fffc;
/// The greatest number of a real group.
pub const GROUP_MAX: u32 = 0xffff_ff00;
/// "No buffer".
pub const NO_BUFFER: u32 = 0xffff_ffff;
/// The priority of rules that name none.
pub const DEFAULT_PRIORITY: u16 = 0x8000;

/// Flags of a rule (`OFPUTIL_FF_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct FlowFlags(pub u16);

impl FlowFlags {
    pub const SEND_FLOW_REM: FlowFlags = FlowFlags(1);
    pub const NO_PACKET_COUNTS: FlowFlags = FlowFlags(2);
    pub const NO_BYTE_COUNTS: FlowFlags = FlowFlags(4);
    pub const CHECK_OVERLAP: FlowFlags = FlowFlags(8);
    pub const RESET_COUNTS: FlowFlags = FlowFlags(16);
    /// OpenFlow 1.0's emergency rules, which are refused.
    pub const EMERGENCY: FlowFlags = FlowFlags(32);
    /// What stays with the rule.
    pub const STATE: FlowFlags = FlowFlags(31);

    pub const fn contains(self, other: FlowFlags) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn insert(&mut self, other: FlowFlags) {
        self.0 |= other.0;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FlowModCommand {
    Add = 0,
    Modify = 1,
    ModifyStrict = 2,
    Delete = 3,
    DeleteStrict = 4,
}

impl FlowModCommand {
    pub const fn from_number(number: u16) -> Option<FlowModCommand> {
        Some(match number {
            0 => FlowModCommand::Add,
            1 => FlowModCommand::Modify,
            2 => FlowModCommand::ModifyStrict,
            3 => FlowModCommand::Delete,
            4 => FlowModCommand::DeleteStrict,
            _ => return None,
        })
    }

    pub const fn is_delete(self) -> bool {
        matches!(self, FlowModCommand::Delete | FlowModCommand::DeleteStrict)
    }

    pub const fn is_modify(self) -> bool {
        matches!(self, FlowModCommand::Modify | FlowModCommand::ModifyStrict)
    }

    pub const fn is_strict(self) -> bool {
        matches!(self, FlowModCommand::ModifyStrict | FlowModCommand::DeleteStrict)
    }
}

/// Adds, changes or deletes rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowMod {
    pub command: FlowModCommand,
    pub m: Match,
    pub priority: u16,
    /// Only rules whose cookie agrees in the bits of `cookie_mask` are
    /// affected; the mask is 0 when adding.
    pub cookie: u64,
    pub cookie_mask: u64,
    /// Cookie to give; `u64::MAX` means none.
    pub new_cookie: u64,
    /// Whether existing rules get `new_cookie` too.
    pub modify_cookie: bool,
    /// 0xff: the switch chooses, or all tables when deleting.
    pub table: u8,
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    pub buffer_id: u32,
    /// Only rules that send to it are deleted; `OfPort::ANY` for all.
    pub out_port: OfPort,
    pub out_group: u32,
    pub flags: FlowFlags,
    pub importance: u16,
    pub actions: Vec<Action>,
}

impl FlowMod {
    /// A request with nothing in it.
    pub fn new(command: FlowModCommand) -> FlowMod {
        FlowMod {
            command,
            m: Match::default(),
            priority: DEFAULT_PRIORITY,
            cookie: 0,
            cookie_mask: 0,
            new_cookie: 0,
            modify_cookie: false,
            table: 0xff,
            idle_timeout: 0,
            hard_timeout: 0,
            buffer_id: NO_BUFFER,
            out_port: OfPort::ANY,
            out_group: GROUP_ANY,
            flags: FlowFlags::default(),
            importance: 0,
            actions: Vec::new(),
        }
    }
}

/// Asks for rules, or for their sum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowStatsRequest {
    pub m: Match,
    pub cookie: u64,
    pub cookie_mask: u64,
    pub out_port: OfPort,
    pub out_group: u32,
    pub table: u8,
}

impl Default for FlowStatsRequest {
    fn default() -> Self {
        FlowStatsRequest {
            m: Match::default(),
            cookie: 0,
            cookie_mask: 0,
            out_port: OfPort::ANY,
            out_group: GROUP_ANY,
            table: 0xff,
        }
    }
}

/// One rule and its counters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowStats {
    pub m: Match,
    pub cookie: u64,
    pub table: u8,
    pub priority: u16,
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    pub duration_sec: u32,
    pub duration_nsec: u32,
    /// Seconds since the last packet.
    pub idle_age: Option<u16>,
    /// Seconds since the last change.
    pub hard_age: Option<u16>,
    /// `u64::MAX` when unknown.
    pub packet_count: u64,
    pub byte_count: u64,
    pub flags: FlowFlags,
    pub importance: u16,
    pub actions: Vec<Action>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AggregateStats {
    /// `u64::MAX` when unknown.
    pub packet_count: u64,
    pub byte_count: u64,
    pub flow_count: u32,
}

/// Why a rule is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FlowRemovedReason {
    IdleTimeout = 0,
    HardTimeout = 1,
    Delete = 2,
    GroupDelete = 3,
    MeterDelete = 4,
    Eviction = 5,
}

impl FlowRemovedReason {
    pub const fn from_number(number: u8) -> Option<FlowRemovedReason> {
        Some(match number {
            0 => FlowRemovedReason::IdleTimeout,
            1 => FlowRemovedReason::HardTimeout,
            2 => FlowRemovedReason::Delete,
            3 => FlowRemovedReason::GroupDelete,
            4 => FlowRemovedReason::MeterDelete,
            5 => FlowRemovedReason::Eviction,
            _ => return None,
        })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowRemoved {
    pub m: Match,
    pub cookie: u64,
    pub priority: u16,
    /// The number is kept, for reasons that are not known.
    pub reason: u8,
    /// 255 when the message does not say it.
    pub table: u8,
    pub duration_sec: u32,
    pub duration_nsec: u32,
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    pub packet_count: u64,
    pub byte_count: u64,
}
