//! What every room of the house shares: identifiers, the text forms of
//! addresses, the clock, logging (`vlog`), event counters (`coverage`), and bytes from outside as text and as JSON.
//!
//! Nothing here does I/O but the log's own destinations.

#![warn(missing_docs)]

pub mod coverage;
pub mod getopt;
pub mod held;
pub mod hint;
pub mod id;
pub mod invariant;
pub mod json;
pub mod link_feature;
pub mod mac;
pub mod murmur;
mod port_stats;
pub mod shell;
pub mod text;
pub mod time;
pub mod vlog;

pub use id::{DpPort, OfPort, TableId};
pub use mac::MacAddr;
pub use port_stats::PortStats;
pub use text::error_text;
pub use time::{Clock, Timestamp};
