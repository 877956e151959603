//! Telemetry: what a switch tells collectors about its traffic (sFlow v5,
//! sflow.org "sFlow Version 5", July 2004; NetFlow v5, Cisco's "NetFlow Export Datagram Formats"; IPFIX, RFC 7011).
//!
//! Enters: sampled packets, counters of flows and ports, the time. Leaves: datagrams,
//! as bytes. An [`Exporter`] is one export of one bridge, [`Sflow`], [`Netflow`] and [`Ipfix`] are those
//! that there are; `vswitchd` feeds them and owns the sockets. [`Datagram`] is what sFlow
//! sends as types, and reads back what any agent sent: `collect` prints it.
//!
//! Not here: which packets are sampled (`pipeline`), sockets, the clock, the
//! choice of an agent's address.

mod agent;
mod datagram;
mod decode;
mod encode;
mod export;
pub mod flow_reader;
mod ipfix;
mod netflow;
pub mod netflow_v5;
mod sflow;
mod switch;

pub use agent::{Agent, Config, MAX_DATAGRAM};
pub use datagram::{
    AppResources, CounterRecord, CounterSample, Datagram, DatapathCounters, FlowRecord, FlowSample,
    InterfaceCounters, Ipv4Tunnel, LagCounters, MplsStacks, PortRef, Sample, Source, SwitchTags, UNKNOWN,
};
pub use decode::DecodeError;
pub use export::{ExportedBridge, ExportedPort, Exporter, SampledPacket};
pub use ipfix::{IPFIX_INTERVAL, IPFIX_PORT, Ipfix, IpfixConfig, IpfixSource, MAX_VIRTUAL_ID};
pub use netflow::{ACTIVE_TIMEOUT, Netflow, NetflowConfig};
pub use sflow::Sflow;

/// The port of collectors where a target names none (IANA).
pub const COLLECTOR_PORT: u16 = 6343;
