//! Telemetry: what a switch tells collectors about its traffic (sFlow v5,
//! sflow.org "sFlow Version 5", July 2004).
//!
//! Enters: sampled packets, counters of ports, the time. Leaves: datagrams,
//! as bytes. [`Agent`] is one bridge's agent; `vswitchd` feeds it and owns the
//! sockets. [`Datagram`] is the same as types, and reads back what any agent
//! sent: `collect` prints it.
//!
//! Not here: which packets are sampled (`pipeline`), sockets, the clock, the
//! choice of an agent's address.

mod agent;
mod datagram;
mod decode;
mod encode;
mod switch;

pub use agent::{Agent, Config, MAX_DATAGRAM};
pub use datagram::{
    AppResources, CounterRecord, CounterSample, Datagram, DatapathCounters, FlowRecord, FlowSample,
    InterfaceCounters, Ipv4Tunnel, MplsStacks, PortRef, Sample, Source, SwitchTags, UNKNOWN,
};
pub use decode::DecodeError;
pub use switch::{SampledPacket, bridge_records, port_records};

/// The port of collectors where a target names none (IANA).
pub const COLLECTOR_PORT: u16 = 6343;
