//! Flow monitors: telling controllers of changed rules.

use base::OfPort;
use fields::Match;

use crate::Action;

/// Flags of flow monitors (OpenFlow 1.4 numbers).
pub mod monitor_flag {
    pub const INITIAL: u16 = 1;
    pub const ADD: u16 = 2;
    pub const REMOVED: u16 = 4;
    pub const MODIFY: u16 = 8;
    pub const INSTRUCTIONS: u16 = 16;
    pub const NO_ABBREV: u16 = 32;
    pub const ONLY_OWN: u16 = 64;
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowMonitorRequest {
    pub id: u32,
    /// 0 add, 1 modify, 2 delete.
    pub command: u8,
    /// [`monitor_flag`] bits.
    pub flags: u16,
    pub out_port: OfPort,
    pub out_group: u32,
    pub table: u8,
    pub m: Match,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlowUpdate {
    Initial(Box<FlowUpdateFull>),
    Added(Box<FlowUpdateFull>),
    Removed {
        reason: u8,
        update: Box<FlowUpdateFull>,
    },
    Modified(Box<FlowUpdateFull>),
    /// The controller's own request `xid` made a change.
    Abbreviated {
        xid: u32,
    },
    /// The controller reads too slowly: no more updates until [`FlowUpdate::Resumed`].
    Paused,
    Resumed,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowUpdateFull {
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    pub table: u8,
    pub priority: u16,
    pub cookie: u64,
    pub m: Match,
    pub actions: Vec<Action>,
}
