//! Netlink: what the kernel knows of links and their addresses, and what changes there.
//!
//! Enters: names or indices of links. Leaves: [`Link`]s, and their changes as
//! [`LinkChange`]s. `netdev` asks for ports' state; `bridge` listens for
//! devices that appear and vanish.
//!
//! [`IngressGuard`] keeps what a link receives from the host's own stack. `egress`
//! finds out what the kernel does to frames that a link sends; `discipline` and `class` set up how it queues and shapes them.
//!
//! Messages are encoded and decoded by `netlink-bindings`, which is made from the kernel's own specifications: links,
//! addresses, routes, rules, traffic control, nftables. Of the library only the families in use are compiled. The sockets are our own.
//! What the library does not cover, because it is no netlink: bridges as bridge-utils makes them, and what ethtool(8) asks
//! by ioctl(2) (`ETHTOOL_GSET`, `ETHTOOL_GDRVINFO`, `ETHTOOL_GGRO`). The ethtool family of netlink has no driver's name
//! and version, and other words for modes than the reference shows. Programs are loaded by bpf(2).
//!
//! Routes, their rules and all addresses are read for tunnels, whose packets leave by them.
//!
//! Not here: neighbours, until somebody needs them.

#![warn(missing_docs)]

mod address;
mod ask;
pub mod bpf;
mod bridge;
mod class;
mod discipline;
mod driver;
mod egress;
mod ethtool;
mod ingress;
mod link;
mod merging;
mod message;
mod mode;
mod nftables;
mod psched;
mod route;
mod socket;
mod tc;
#[cfg(test)]
mod testing;
mod xdp;

pub use address::{addresses, addresses_of};
pub use bridge::{add_bridge, add_to_bridge, delete_bridge, remove_from_bridge};
pub use class::{Class, ClassCounters, HfscClass, HtbClass, classes, delete_class, set_class};
pub use discipline::{
    Discipline, RootDiscipline, change_discipline, discipline, install_discipline, remove_discipline,
};
pub use driver::{Driver, driver};
pub use egress::{EgressMonitor, has_egress_chains, has_egress_programs, is_queued_or_filtered};
pub use ingress::{IngressGuard, TC_ACT_STOLEN};
pub use link::{Link, LinkChange, Monitor, link, link_by_index, links, set_link};
pub use merging::{is_merging, set_merging};
pub use mode::{LinkMode, link_mode};
pub use route::{LinkAddress, Route, RouteMonitor, RouteRule, all_addresses, route_rules, routes};
pub use xdp::{XdpHook, XdpRedirect};
