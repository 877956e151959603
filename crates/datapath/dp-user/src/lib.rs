//! The userspace datapath: packets from ports through caches and actions to ports.
//!
//! Enters: packets at ports, flows and packets from above. Leaves: packets at
//! ports, upcalls. `bridge` and `flowsync` hold it as a [`dp::Datapath`].
//!
//! A packet's way, all on one worker thread, in batches of [`netdev::BATCH`]:
//!
//! ```text
//! Device::receive ─ PacketKey::refill ─ Megaflows::lookup ─┬ hit ── execute ─ Device::send
//!                                                          └ miss ─ Upcall ── install, execute
//! ```
//!
//! Locks: each worker has its own flow table behind a mutex, held for the
//! lookups of a batch, never during upcalls, actions or system calls. Ports,
//! bonds and doors are snapshots that are swapped whole. The control thread
//! has a table of its own too ([`dp::WorkerId::Main`]), for packets that it
//! executes and for dummy ports, so that tests see no thread at work.
//!
//! Workers, by which processors they run, and which queues each has are set up in `staff`; a queue passes from one to another
//! by its `seat`. Where nobody has said which workers there are, `reinforcing` finds out when one more is needed for a while.
//!
//! A thread of its own helps devices that have much to do (`tuning`), another
//! one closes those of ports that were taken out (`closing`).
//!
//! Sleep: a worker polls the ports that had packets lately, and waits in
//! epoll when there are none. A port with a stream of packets is taken out of
//! epoll meanwhile, so that nobody who sends to it pays for waking.
//!
//! Connections are tracked by `conntrack`, to which `tracking` hands packets; another thread removes those that are over
//! (`sweeping`).
//!
//! Not here: what to do with a packet (`flowsync` behind [`dp::Upcall`]).

// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]
#![warn(missing_docs)]

mod assignment;
mod balancing;
mod bonds;
mod capabilities;
mod closing;
mod context;
mod counters;
mod datapath;
mod dummies;
mod flows;
mod heat;
mod known;
mod load;
mod meters;
mod pace;
mod part;
mod ports;
mod process;
mod processors;
mod qos;
mod reinforcing;
mod seat;
mod settling;
mod share;
mod shared;
mod shortcuts;
mod softirq;
mod staff;
mod succession;
mod sweeping;
mod sync;
mod table;
mod team;
mod together;
mod tracking;
mod tuning;
mod tunnel;
mod waker;
mod wandering;
mod worker;

pub use datapath::DpUser;
pub use processors::{Processor, Processors};
pub use shared::{Config, Predecessor};
pub use tunnel::pop as take_off_tunnel_headers;
