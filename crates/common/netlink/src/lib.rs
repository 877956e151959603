//! Netlink: what the kernel knows of links and their addresses, and what changes there.
//!
//! Enters: names or indices of links. Leaves: [`Link`]s, and their changes as
//! [`LinkChange`]s. `netdev` asks for ports' state; `bridge` listens for
//! devices that appear and vanish.
//!
//! [`IngressGuard`] keeps what a link receives from the host's own stack. `egress`
//! finds out what the kernel does to frames that a link sends.
//!
//! Not here: routes, neighbours and queueing disciplines, until somebody needs them.

mod address;
mod bpf;
mod bridge;
mod driver;
mod egress;
mod ethtool;
mod ingress;
mod link;
mod merging;
mod message;
mod mode;
mod nftables;
mod socket;
mod tc;

pub use address::addresses;
pub use bridge::{add_bridge, add_to_bridge, delete_bridge, remove_from_bridge};
pub use driver::{Driver, driver};
pub use egress::{EgressMonitor, has_egress_chains, has_egress_programs, is_queued_or_filtered};
pub use ingress::IngressGuard;
pub use link::{Link, LinkChange, LinkCounters, Monitor, link, link_by_index, links, set_link};
pub use merging::{is_merging, set_merging};
pub use mode::{LinkMode, link_mode};
