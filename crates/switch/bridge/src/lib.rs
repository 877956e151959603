//! From database rows to a running switch, and back to status columns.
mod desired;
mod plan;
mod running;
pub use desired::*;
pub use running::{Notice, Running, RunningBridge, RunningInterface};
