//! Translation: what happens to a packet, and why.
//!
//! Enters: the packet's key and a read-only view of the bridges
//! ([`state::View`], which `ofproto` implements). Leaves: the datapath
//! actions, the mask of what the outcome depended on, the effects to apply
//! and, when asked for, the trace. `flowsync` calls it for packets that no
//! megaflow matches and to check the megaflows that it has; `ofproto/trace`
//! calls it for people.
//!
//! ```text
//!   lookup ─▶ actions ─▶ NORMAL ─▶ output ─▶ commit ─▶ datapath actions
//!     ▲          │                    │
//!     └─ resubmit┘      patch port ───┘ (the same again in the next bridge)
//! ```
//!
//! The one property on which the flow cache rests: two packets that agree in
//! the bits of the returned mask are translated alike.
//!
//! Not here: applying effects, installing flows (`flowsync`), tables and
//! rules (`ofproto`), executing actions (`dp`).

// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod actions;
mod commit;
mod context;
pub mod effects;
mod export;
mod freeze;
mod group;
mod hash;
mod mirror;
mod normal;
mod output;
mod report;
mod request;
pub mod state;
pub mod trace;
mod translate;
pub mod vlan;

pub use actions::{supported_kinds, unsupported};
pub use effects::{Effect, Output};
pub use export::{Exports, SflowSampling};
pub use freeze::{Frame, Frozen, FrozenId, restore_metadata};
pub use group::{Bucket as GroupBucket, Group, GroupBuckets, Selection};
pub use mirror::{MAX_MIRRORS, Mirror, MirrorOutput, settle_duplicates};
pub use report::{describe, report};
pub use request::{Error, Purpose, Request, Start, Trace, Translation};
pub use state::{
    BridgeId, BridgeView, Bundle, BundleId, Counters, Credit, Fragments, Miss, MissRules, Network, Port,
    PortFlags, PortTraffic, Rule, SharedNetwork, TableTraffic, View,
};
pub use translate::{installable, translate};
pub use vlan::{PriorityTags, VlanConfig, VlanMode, VlanSet};
