//! What all exports have in common: packets and time come in, datagrams leave.
//!
//! An export of one bridge is an [`Exporter`]. Whoever drives it owns the sockets and the clock; it asks the bridge
//! through [`ExportedBridge`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::{DpPort, OfPort, Timestamp};
use dp::{Action, Cookie, DpStats, PortInfo, PortStats};
use flow::{FlowKey, SparseKey};
use ofp::IpfixStats;

use crate::datagram::{AppResources, LagCounters};

/// A packet as it was sampled.
#[derive(Clone, Copy, Debug)]
pub struct SampledPacket<'a> {
    /// As it was sampled; `in_port` is a datapath port.
    pub key: &'a FlowKey,
    pub packet: &'a [u8],
    /// What translation says of its way.
    pub cookie: &'a Cookie,
    /// The tunnel's fields with which it is about to leave, if it leaves by one.
    pub egress_tunnel: Option<&'a SparseKey>,
    /// What was done to it.
    pub actions: &'a [Action],
    /// How many samples had been lost; the number wraps.
    pub lost: u32,
}

/// A port of a bridge that collectors can know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExportedPort {
    /// The index of its interface.
    pub ifindex: u32,
    pub number: OfPort,
    pub datapath: DpPort,
}

/// What exporters ask of the bridge that they export.
pub trait ExportedBridge {
    fn datapath_id(&self) -> u64;
    /// The index of a port's interface as translation knows it. Asks no device.
    fn ifindex(&self, port: DpPort) -> Option<u32>;
    /// The ports whose interfaces have an index.
    fn ports(&self) -> Vec<ExportedPort>;
    fn port(&self, port: DpPort) -> Option<Arc<PortInfo>>;
    /// None of a device that has just gone.
    fn port_stats(&self, port: DpPort) -> Option<PortStats>;
    /// What LACP says of a port that it may join with others.
    fn lag(&self, _port: OfPort) -> Option<LagCounters> {
        None
    }
    fn datapath_stats(&self) -> DpStats;
    /// The time since 1970.
    fn wall_clock(&self) -> Duration;
    /// What the process uses, if it is this bridge that tells of the whole switch.
    fn resources(&self) -> Option<AppResources>;
}

/// One export of one bridge.
pub trait Exporter: fmt::Debug {
    /// Takes a sampled packet, if it was sampled for this export. Returns the datagrams that are to go because of it.
    fn sample(&mut self, sampled: &SampledPacket<'_>, bridge: &dyn ExportedBridge) -> Vec<Vec<u8>>;
    /// A second has passed. Returns the datagrams that are to go now.
    fn tick(&mut self, now: Timestamp, bridge: &dyn ExportedBridge) -> Vec<Vec<u8>>;
    /// Datagrams were sent, or could not be; each counts once for each collector.
    fn sent(&mut self, _sent: u64, _failed: u64) {}
    /// What controllers can ask for, of an export that counts it.
    fn ipfix_stats(&self) -> Option<IpfixStats> {
        None
    }
    /// Takes on the counters of an export that this one replaces.
    fn count_on(&mut self, _counters: IpfixStats) {}
    /// The export ends, at this time since 1970. Returns the datagrams that have not gone yet.
    fn finish(&mut self, _wall: Duration) -> Vec<Vec<u8>> {
        Vec::new()
    }
}
