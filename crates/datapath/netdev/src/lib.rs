//! Ports: where packets come from and go to.
//!
//! Enters: a [`dp::PortSpec`]. Leaves: a [`Device`] from which a worker takes
//! batches of packets and to which any worker gives them.
//!
//! - [`packet::PacketDevice`]: any network device of the machine, over packet(7), and AF_XDP where that is asked for;
//! - [`tap::Tap`]: a device that the switch makes itself (internal ports);
//! - [`dummy::Dummy`]: a port for tests, fed by calls.
//!
//! How frames are queued, shaped and policed is in `qos` for all of them.
//!
//! Partial checksums and trains of segments pass through untouched, as
//! virtio-net headers, so that the kernel's default offloads stay on. For a
//! device that takes neither, the sender does them first ([`dp::offload`]).
//!
//! Not here: patch ports (the pipeline joins their bridges), tunnels (headers
//! are put on by actions), who polls which port (`dp-user`).

// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]
#![warn(missing_docs)]

pub mod device;
pub mod dummy;
mod dummy_checks;
mod dummy_queue;
mod frame;
pub mod lease;
mod listeners;
mod losses;
mod mapping;
pub mod merging;
pub mod packet;
pub mod pcap;
mod policer;
pub mod pool;
mod prioritized;
mod qos;
mod receiving;
pub mod rights;
mod ring;
pub mod shortcut;
mod socket;
mod sync;
pub mod tap;
#[cfg(test)]
mod testing;
mod turns;
pub mod vnet;
mod xdp;
mod xsk;

pub use device::{Arrival, Device, DeviceKind};
pub use lease::{Lease, LeaseState};
pub use listeners::Listeners;
pub use merging::Merging;
pub use pool::Pool;
pub use shortcut::Shortcuts;

/// Packets that a worker takes in one go.
pub const BATCH: usize = 32;
