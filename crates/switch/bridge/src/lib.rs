//! From database rows to a running switch, and back to status columns.
//!
//! ```text
//!   rows ─▶ desire ─▶ plan ─▶ steps ─▶ Running ─▶ status ─▶ rows
//!          (pure)    (pure)
//! ```
//! [`desire`] parses what the rows say into types and names every mistake.
//! [`Running::apply`] compares that with what runs, and carries out the
//! ordered steps; what fails is noted at its interface, and the rest goes on.
//! [`status`] tells the database what has become of it, `cur_cfg` last, so
//! that `ovs-vsctl` returns when the change is in force.
//!
//! Each concern of the database has a file under `concerns`: mirrors, flow
//! tables, controllers, exports, … It has the concern's rows as types, brings
//! them into force, follows what changes by itself, and reports.
//!
//! house: circle concerns <-> desired because a bridge's configuration is made of what its concerns ask for.
//! house: circle concerns <-> running because what runs is made of what its concerns keep, and changed by each of them.
//! house: circle concerns <-> status because a report goes through all concerns, and each adds to it.
//!
//! Not here: forwarding (`ofproto`, `pipeline`), the main loop (`vswitchd`).

mod beginning;
mod columns;
mod complaints;
mod concerns;
mod desired;
mod extent;
mod lint;
mod memo;
mod plan;
mod running;
mod settings;
mod status;
mod status_columns;
mod writer;

pub use concerns::bundles::DesiredPort;
pub use concerns::controllers::DesiredController;
pub use concerns::exports::{DesiredExport, DesiredIpfix, DesiredNetflow, DesiredSampling, DesiredSflow};
pub use concerns::forwarding::DesiredForwarding;
pub use concerns::interfaces::{DesiredInterface, InterfaceKind, RunningInterface, shown_options};
pub use concerns::limits::DesiredLimits;
pub use concerns::mirrors::{DesiredMirror, MirrorTarget};
pub use concerns::workers::DesiredWorkers;
pub use concerns::zones::DesiredZones;
pub use desired::{Desired, DesiredBridge, FailMode, KnownRows, desire};
pub use extent::Extent;
pub use lint::{Finding, Linter, lint};
pub use running::{Dummies, Running, RunningBridge};
pub use settings::tables as followed_tables;
pub use status::{Report, Told, status};
pub use status_columns::configures;
