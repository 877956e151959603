//! Bridges: what should be.
//!
//! Enters: configuration (ports, bundles, settings) from `bridge`, OpenFlow
//! requests from `controller`, effects of translations from `flowsync`.
//! Leaves: the view that translation reads, and messages for controllers
//! about what changed.
//!
//! [`Switch`] holds all bridges behind one lock; a [`Bridge`] has 255
//! [`Table`]s of rules, ports and bundles, a [`MacTable`] and a [`MulticastTable`]. Every change
//! after which packets may be translated otherwise moves the switch's epoch,
//! which `flowsync` watches.
//!
//! Not here: how packets are translated (`pipeline`), keeping the flow cache
//! true (`flowsync`), OpenFlow connections (`controller`).

// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod bridge;
mod common;
mod conjunction;
mod entry;
mod epoch;
mod eviction;
mod flow_mod;
mod frozen;
mod groups;
mod learned;
mod lessons;
mod macs;
mod meter;
mod meters;
mod multicast;
mod ports;
mod request;
mod sequence;
mod staging;
mod stats;
mod steps;
mod switch;
mod sync;
mod table;
mod table_settings;
mod transaction;
mod tunnel_options;
mod turns;
mod usage;
mod walk;

pub use bridge::{Bridge, PortEntry, Settings};
pub use entry::{Criteria, Entry, Leaving};
pub use flow_mod::{Change, table_to_add_to};
pub use groups::{GroupChange, count_groups, group_desc, group_features, group_stats};
pub use macs::{DEFAULT_CAPACITY, DEFAULT_IDLE, Known, MacCounters, MacTable};
pub use meter::Meter;
pub use meters::{MeterChange, MeterNumbers, count_meters, meter_features};
pub use multicast::{DEFAULT_GROUPS, DEFAULT_MEMBERSHIP, Listener, MulticastTable, PortFlooding, Snooping};
pub use ports::{BundleConfig, NewPort, PortNews};
pub use request::FlowRequest;
pub use switch::{SharedSwitch, Switch};
pub use table::{Debris, MANY, Table};
pub use table_settings::TableSettings;
pub use transaction::{Done, Learned, Part, Prepare, Step, Transaction};
pub use tunnel_options::{TunnelOptions, in_datapath};
pub use walk::Walk;

#[cfg(test)]
mod tests;
