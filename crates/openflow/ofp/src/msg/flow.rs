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
    /// Removal of the rule is reported by `OFPT_FLOW_REMOVED` (all versions).
    pub const SEND_FLOW_REM: FlowFlags = FlowFlags(1);
    /// Packets need not be counted (OpenFlow 1.3+).
    pub const NO_PACKET_COUNTS: FlowFlags = FlowFlags(2);
    /// Bytes need not be counted (OpenFlow 1.3+).
    pub const NO_BYTE_COUNTS: FlowFlags = FlowFlags(4);
    /// Adding fails when a rule of the same priority can match the same packet (all versions).
    pub const CHECK_OVERLAP: FlowFlags = FlowFlags(8);
    /// Existing rules that are changed start counting from 0 (OpenFlow 1.2+; implied when adding in 1.0 and
    /// 1.1).
    pub const RESET_COUNTS: FlowFlags = FlowFlags(16);
    /// OpenFlow 1.0's emergency rules, which are refused.
    pub const EMERGENCY: FlowFlags = FlowFlags(32);
    /// What stays with the rule.
    pub const STATE: FlowFlags = FlowFlags(31);

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: FlowFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the flags of `other` too.
    pub fn insert(&mut self, other: FlowFlags) {
        self.0 |= other.0;
    }
}

/// What a flow mod does; the numbers are those of `OFPFC_*`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FlowModCommand {
    /// Adds a rule; one of equal match and priority is replaced.
    Add = 0,
    /// Changes the actions of all rules that the match includes. OpenFlow 1.0 and 1.1 add when there are
    /// none.
    Modify = 1,
    /// Like `Modify`, but only the rule of equal match and priority.
    ModifyStrict = 2,
    /// Deletes all rules that the match includes.
    Delete = 3,
    /// Deletes the rule of equal match and priority.
    DeleteStrict = 4,
}

impl FlowModCommand {
    /// The command of an `OFPFC_*` number; `None` above 4.
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

    /// Whether it deletes, strictly or not.
    pub const fn is_delete(self) -> bool {
        matches!(self, FlowModCommand::Delete | FlowModCommand::DeleteStrict)
    }

    /// Whether it modifies, strictly or not.
    pub const fn is_modify(self) -> bool {
        matches!(self, FlowModCommand::Modify | FlowModCommand::ModifyStrict)
    }

    /// Whether only the rule of equal match and priority is affected.
    pub const fn is_strict(self) -> bool {
        matches!(self, FlowModCommand::ModifyStrict | FlowModCommand::DeleteStrict)
    }

    /// Whether all rules within the match are affected, which may be many.
    pub const fn is_loose(self) -> bool {
        matches!(self, FlowModCommand::Modify | FlowModCommand::Delete)
    }
}

/// Adds, changes or deletes rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowMod {
    /// What to do with the rules that agree.
    pub command: FlowModCommand,
    /// The match.
    pub m: Match,
    /// 0 to 65535, the greatest first; ignored by the loose commands.
    pub priority: u16,
    /// Only rules whose cookie agrees in the bits of `cookie_mask` are
    /// affected; the mask is 0 when adding.
    pub cookie: u64,
    /// Bits of `cookie` that must agree; 0 for any cookie (OpenFlow 1.1+, and NXM in 1.0).
    pub cookie_mask: u64,
    /// Cookie to give; `u64::MAX` means none.
    pub new_cookie: u64,
    /// Whether existing rules get `new_cookie` too.
    pub modify_cookie: bool,
    /// 0xff: the switch chooses, or all tables when deleting.
    pub table: u8,
    /// Seconds without a packet until the rule expires; 0: never.
    pub idle_timeout: u16,
    /// Seconds from the last change until the rule expires; 0: never.
    pub hard_timeout: u16,
    /// A buffered packet to send through the rule; [`NO_BUFFER`]: none.
    pub buffer_id: u32,
    /// Only rules that send to it are deleted; `OfPort::ANY` for all.
    pub out_port: OfPort,
    /// Only rules that send to it are deleted; [`GROUP_ANY`] for all (OpenFlow 1.1+).
    pub out_group: u32,
    /// Which of them count depends on the version; see [`FlowFlags`].
    pub flags: FlowFlags,
    /// Rules of less importance are evicted first (OpenFlow 1.4+); 0 elsewhere.
    pub importance: u16,
    /// Actions and instructions of the rule; none drops. Empty when deleting.
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
    /// Rules that it includes.
    pub m: Match,
    /// Compared in the bits of `cookie_mask`.
    pub cookie: u64,
    /// 0 for any cookie (OpenFlow 1.1+, and NXM in 1.0).
    pub cookie_mask: u64,
    /// Only rules that send to it; `OfPort::ANY` for all.
    pub out_port: OfPort,
    /// Only rules that send to it; [`GROUP_ANY`] for all (OpenFlow 1.1+).
    pub out_group: u32,
    /// 0xff: all tables.
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
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FlowStats {
    /// The match.
    pub m: Match,
    /// The controller's value; 0 when it gave none.
    pub cookie: u64,
    /// The table that holds the rule, 0 to 254.
    pub table: u8,
    /// 0 to 65535, the greatest first.
    pub priority: u16,
    /// Seconds without a packet until expiry; 0: never.
    pub idle_timeout: u16,
    /// Seconds from the last change until expiry; 0: never.
    pub hard_timeout: u16,
    /// Whole seconds since the rule was added.
    pub duration_sec: u32,
    /// Nanoseconds beyond `duration_sec`.
    pub duration_nsec: u32,
    /// Seconds since the last packet.
    pub idle_age: Option<u16>,
    /// Seconds since the last change.
    pub hard_age: Option<u16>,
    /// `u64::MAX` when unknown.
    pub packet_count: u64,
    /// `u64::MAX` when unknown.
    pub byte_count: u64,
    /// Those that stay with a rule (OpenFlow 1.3+); empty when the version cannot report them.
    pub flags: FlowFlags,
    /// Rules of less importance are evicted first (OpenFlow 1.4+); 0 elsewhere.
    pub importance: u16,
    /// Actions and instructions of the rule; none drops.
    pub actions: Vec<Action>,
}

/// The sum over the rules of a request (`OFPMP_AGGREGATE`, `OFPMP_AGGREGATE_STATS` in OpenFlow 1.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AggregateStats {
    /// `u64::MAX` when unknown.
    pub packet_count: u64,
    /// `u64::MAX` when unknown.
    pub byte_count: u64,
    /// How many rules the sums are of.
    pub flow_count: u32,
}

/// Why a rule is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FlowRemovedReason {
    /// No packet matched for `idle_timeout` seconds.
    IdleTimeout = 0,
    /// `hard_timeout` seconds have passed since the last change.
    HardTimeout = 1,
    /// A flow mod deleted it.
    Delete = 2,
    /// A group to which it sends was deleted (OpenFlow 1.1+).
    GroupDelete = 3,
    /// A meter that it uses was deleted (OpenFlow 1.4+).
    MeterDelete = 4,
    /// It made room for another rule (OpenFlow 1.4+).
    Eviction = 5,
}

impl FlowRemovedReason {
    /// The reason of an `OFPRR_*` number; `None` above 5.
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

/// `OFPT_FLOW_REMOVED`, or `NXT_FLOW_REMOVED`: a rule with `SEND_FLOW_REM` is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowRemoved {
    /// The match that the rule had.
    pub m: Match,
    /// The cookie that the rule had.
    pub cookie: u64,
    /// The priority that the rule had.
    pub priority: u16,
    /// The number is kept, for reasons that are not known.
    pub reason: u8,
    /// 255 when the message does not say it.
    pub table: u8,
    /// Whole seconds from adding to removal.
    pub duration_sec: u32,
    /// Nanoseconds beyond `duration_sec`.
    pub duration_nsec: u32,
    /// Seconds, as configured; 0: none.
    pub idle_timeout: u16,
    /// Seconds, as configured; 0: none, or not reported (OpenFlow 1.0 and `NXT_FLOW_REMOVED`).
    pub hard_timeout: u16,
    /// `u64::MAX` when unknown.
    pub packet_count: u64,
    /// `u64::MAX` when unknown.
    pub byte_count: u64,
}
