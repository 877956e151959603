//! Protocols that the switch itself speaks with its neighbours.
//!
//! Enters: what the database asks for, frames that translation recognises as a protocol's ([`pipeline::Watched`]), time.
//! Leaves: frames to send, whether a port may be forwarded through, and what operators see of it.
//!
//! Each protocol is a state machine in a module of its own: frames and time in, frames and state out. [`Monitor`] runs
//! them on a thread of their own, so that nothing that the switch does otherwise delays a packet that a neighbour waits
//! for.
//!
//! Not here: which frames are a protocol's (`pipeline`), sending and what follows from a port's state (`bridge`).

#![warn(missing_docs)]
// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

/// A line of what operators see, at the end of a String.
macro_rules! put {
    ($out:expr, $($what:tt)+) => {{
        use std::fmt::Write;
        // Writing to a String cannot fail.
        let _ = writeln!($out, $($what)+);
    }};
}

pub mod bfd;
pub mod bond;
pub mod cfm;
pub mod lacp;
pub mod lldp;
mod monitor;
pub mod rstp;
pub mod spanning;
pub mod stp;
mod tree;

pub use monitor::{Joined, JoinedMember, Link, Monitor, PortId, Watch};
