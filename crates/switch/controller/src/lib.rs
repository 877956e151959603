//! OpenFlow connections.
//!
//! Enters: bytes from controllers and from `ovs-ofctl`. Leaves: calls on the
//! bridges (`ofproto`) and replies, and messages that nobody asked for:
//! packets, ports and rules that changed.
//!
//! ```text
//!   stream ─▶ channel (a task each) ─▶ Event ─▶ Manager::handle ─▶ bridge
//!          ◀─ encoded replies ◀────────────────┘
//! ```
//! A task owns each stream: it shakes hands, frames, decodes, answers echoes
//! and reconnects. All state is the [`Manager`]'s, on the control thread.
//!
//! A peer that asks faster than it is answered, or than it takes its answers,
//! is slowed down by its own connection: little is read ahead, requests wait
//! while many replies do (`outbox`), peers are served in turns (`turns`), and
//! long replies are made in parts as the peer takes them (`replies`).
//!
//! Not here: what messages look like (`ofp`), what a rule is (`ofproto`).
//!
//! house: circle channel <-> snoop because what a channel sends is copied to watchers, and a watcher is a channel that shakes hands
//! house: circle monitors <-> peer because a peer keeps its monitors, and they report to the peer that keeps them
//! house: circle peer <-> replies because a peer keeps the reply that it is being given, and a reply goes on as its peer takes it

// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod asynchronous;
mod bundles;
mod channel;
mod commit;
mod fail_mode;
mod groups;
mod handle;
mod life;
mod listings;
mod manager;
mod memory;
mod monitors;
mod outbox;
mod peer;
mod probe;
mod received;
mod replies;
mod resume;
mod roles;
mod rule_log;
mod saved;
mod schedule;
mod snoop;
mod statistics;
mod tables;
mod tunnel_options;
mod turns;

/// How many tables controllers may use.
pub(crate) const TABLES: u8 = 254;

pub use bundles::DEFAULT_BUNDLE_IDLE;
pub use channel::{Event, PeerId};
pub use fail_mode::add_own_rule;
pub use manager::{BridgeSettings, ControllerSpec, ControllerStatus, DEFAULT_DSCP, IpfixCounters, Manager};
pub use peer::Kind;
pub use saved::RestoreError;
pub use schedule::RateLimit;

/// The default OpenFlow versions of a bridge: 1.0 to 1.5.
pub fn default_versions() -> Vec<ofp::Version> {
    use ofp::Version::{Of10, Of11, Of12, Of13, Of14, Of15};
    vec![Of10, Of11, Of12, Of13, Of14, Of15]
}
