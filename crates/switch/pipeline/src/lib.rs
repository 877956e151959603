//! Translation: what happens to a packet, and why.
//!
//! Enters: the packet's key and a read-only view of the bridges
//! ([`View`], which `ofproto` implements). Leaves: the datapath
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
mod barred;
mod beyond;
pub mod bond;
mod commit;
mod context;
pub mod effects;
mod exports;
mod flow_log;
mod freeze;
mod frozen;
mod group;
mod hash;
mod mirror;
mod mirroring;
mod multicast;
mod normal;
mod option_places;
mod output;
mod receivers;
mod report;
mod request;
mod sampling;
mod spanning;
pub mod state;
mod taken;
pub mod trace;
mod translate;
pub mod tunnel;
mod tunnel_config;
mod underlay;
mod view;
pub mod vlan;
mod watched;
mod way;

pub use actions::supported_kinds;
pub use beyond::{Beyond, beyond, has_keys_for};
pub use bond::{BUCKETS, Bond, BondMode, BondState, LacpStatus};
pub use effects::Effect;
pub use exports::{BridgeSampling, Exports, IpfixSampling, SflowSampling};
pub use flow_log::{Counted, FlowId, FlowLog, LiveFlow, Taken};
pub use freeze::restore_metadata;
pub use frozen::{Fork, Frame, Frozen, FrozenId};
pub use group::{Bucket as GroupBucket, Group, GroupBuckets, Selection};
pub use mirror::{MAX_MIRRORS, Mirror, MirrorOutput, settle_duplicates};
pub use receivers::{Receivers, Snooped};
pub use report::{describe, report};
pub use request::{Error, Purpose, Request, Start, Trace, Translation};
pub use spanning::{SpanningPort, SpanningState, SpanningTree};
pub use state::{
    BridgeId, Bundle, BundleId, Counters, Credit, Fragments, Miss, MissRules, Port, PortFlags, PortTraffic,
    QueueDscp, Rule, TableTraffic,
};
pub use translate::{installable, translate};
pub use view::{BridgeView, Network, SharedNetwork, View};
pub use vlan::{PriorityTags, VlanConfig, VlanMode, VlanSet};
pub use watched::{BfdFrames, CfmFrames, OwnFrames, Protocol, Watched};
pub use way::Output;
