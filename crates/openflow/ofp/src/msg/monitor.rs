//! Flow monitors: telling controllers of changed rules.

use base::OfPort;
use fields::Match;

use crate::Action;

/// Flags of flow monitors (OpenFlow 1.4 numbers).
pub mod monitor_flag {
    /// Report the rules that exist at the time of the request.
    pub const INITIAL: u16 = 1;
    /// Report rules as they are added.
    pub const ADD: u16 = 2;
    /// Report rules as they are removed.
    pub const REMOVED: u16 = 4;
    /// Report rules as they are changed.
    pub const MODIFY: u16 = 8;
    /// Include the actions in reports.
    pub const INSTRUCTIONS: u16 = 16;
    /// Report the controller's own changes in full too.
    pub const NO_ABBREV: u16 = 32;
    /// Report only the controller's own changes (OpenFlow 1.4+).
    pub const ONLY_OWN: u16 = 64;
}

/// One monitor of `OFPMP_FLOW_MONITOR` (OpenFlow 1.4+; Nicira and ONF extensions before).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowMonitorRequest {
    /// Chosen by the controller; unique per connection.
    pub id: u32,
    /// 0 add, 1 modify, 2 delete.
    pub command: u8,
    /// [`monitor_flag`] bits.
    pub flags: u16,
    /// Only rules that send to it, before or after a change; `OfPort::ANY` for all.
    pub out_port: OfPort,
    /// Only rules that send to it; [`GROUP_ANY`](super::GROUP_ANY) for all (OpenFlow 1.4+).
    pub out_group: u32,
    /// 0xff: all tables.
    pub table: u8,
    /// Rules that it includes.
    pub m: Match,
}

/// One report of a flow monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlowUpdate {
    /// A rule that existed before the monitor (OpenFlow 1.4+; `Added` in older versions).
    Initial(Box<FlowUpdateFull>),
    /// A rule was added.
    Added(Box<FlowUpdateFull>),
    /// A rule was removed.
    Removed {
        /// A [`super::FlowRemovedReason`] number.
        reason: u8,
        /// The rule as it was.
        update: Box<FlowUpdateFull>,
    },
    /// A rule's actions or settings were changed.
    Modified(Box<FlowUpdateFull>),
    /// The controller's own request `xid` made a change.
    Abbreviated {
        /// That of the request.
        xid: u32,
    },
    /// The controller reads too slowly: no more updates until [`FlowUpdate::Resumed`].
    Paused,
    /// Reports go on; what was missed meanwhile has been sent.
    Resumed,
}

/// The rule that a report is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowUpdateFull {
    /// Seconds; 0: none.
    pub idle_timeout: u16,
    /// Seconds; 0: none.
    pub hard_timeout: u16,
    /// The table that holds the rule, 0 to 254.
    pub table: u8,
    /// 0 to 65535, the greatest first.
    pub priority: u16,
    /// The rule's cookie.
    pub cookie: u64,
    /// The match.
    pub m: Match,
    /// Empty without [`monitor_flag::INSTRUCTIONS`], and of removed rules.
    pub actions: Vec<Action>,
}
