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
//! Not here: forwarding (`ofproto`, `pipeline`), the main loop (`vswitchd`).

mod address;
mod columns;
mod complaints;
mod desire;
mod desired;
mod memo;
mod mirrors;
mod plan;
mod refused;
mod running;
mod settings;
mod status;
mod status_columns;
mod tables;
mod writer;

pub use desire::{KnownRows, desire};
pub use desired::{
    Desired, DesiredBridge, DesiredController, DesiredInterface, DesiredPort, DesiredSflow, FailMode,
};
pub use running::{Dummies, Notice, Running, RunningBridge, RunningInterface};
pub use status::{DATAPATH_TYPES, Extent, INTERFACE_TYPES, Identity, Report, Told, status};
pub use status_columns::configures;
