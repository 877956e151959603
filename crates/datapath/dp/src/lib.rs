//! The datapath contract: what every kind of datapath offers, whoever moves the packets.
//!
//! Enters: configuration (ports, flows) and packets to execute. Leaves:
//! upcalls for packets that no flow knows, statistics, packets at ports.
//!
//! - [`Datapath`] is the trait that `dp-user` implements and that `bridge`,
//!   `flowsync` and `dpctl` call; [`Upcall`] is the door it calls back through.
//! - [`Action`] is one step of what shall happen to a packet; [`execute`]
//!   runs steps on a [`Packet`].
//! - [`DropReason`] is why a packet went nowhere; all wings count drops by it.
//! - [`text`] writes and reads flow keys and actions as operators see them
//!   (`ovs-appctl dpctl/dump-flows`).
//!
//! Not here: which packets come and go where (`netdev`), the flow tables and
//! caches (`dp-user`), why an action was chosen (`pipeline`).
//!
//! house: circle datapath <-> qos because a datapath offers quality of service, which fails as datapaths do
//! house: circle datapath <-> upcall because a datapath calls through the door, and the door is asked about its flows
//! house: circle text::key_format <-> text::tunnel_format because a tunnel is a group of a key, written as other groups are
//! house: circle packet <-> sums because what is known of checksums goes with the packet that they are in
//! house: circle text::key_parse <-> text::tunnel_parse because a tunnel is a group of a key, read as other groups are

#![warn(missing_docs)]
// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod action;
mod attr;
mod capabilities;
#[allow(missing_docs)] // counters and ports by the names of the reference are not documented yet
mod datapath;
mod drop_reason;
pub mod execute;
pub mod offload;
mod packet;
mod port_kind;
mod qos;
pub mod sums;
pub mod text;
mod ufid;
mod upcall;
mod workers;

pub use base::PortStats;
pub use rustix::io::Errno;

pub use action::{
    Action, Conntrack, Cookie, HashAlgorithm, Nat, NatKind, NatRange, PushTunnel, SampleDirection, Set,
    SlowPath, Userspace,
};
pub use attr::Attr;
pub use capabilities::{Capabilities, Tracking};
pub use datapath::{
    Datapath, DpError, DpId, DpStats, DummyControl, Execute, Flow, FlowGlance, FlowPut, FlowStats, Meter,
    MeterBand, MeterStats, PortInfo, PortSpec, PortWatcher, PutMode, Succession, TunnelOption,
    TunnelSettings, WorkerId,
};
pub use drop_reason::{DropReason, Drops};
pub use execute::{Executor, Tracked, execute};
pub use packet::{HEADROOM, Offload, Packet, Segmentation};
pub use port_kind::{PortKind, TunnelKind, UnknownPortKind};
pub use qos::{Detail, Policing, Qos, QosKind, QosState, QualityOfService, QueueStats, Settings};
pub use ufid::{Ufid, UfidError};
pub use upcall::{Fence, FenceWatcher, Upcall, UpcallOutcome, UpcallPacket};
pub use workers::{
    Assignment, AutoBalance, LOAD_INTERVAL, LOAD_INTERVALS, Performance, QueueInfo, SleepLimits, WorkerInfo,
    WorkerSettings, Workers,
};
