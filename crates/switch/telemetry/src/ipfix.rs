//! IPFIX (RFC 7011) as an export of a bridge: flows of sampled packets, each as a record of its own datagram.
//!
//! A record has the fields of its template, which the protocols of the packet choose (`shape.rs`); both are written from the
//! same list. All templates go before the first record of a domain and again after an interval.

mod cache;
mod counts;
mod field;
mod message;
mod observed;
mod shape;

use std::collections::HashMap;
use std::time::Duration;

use base::{DpPort, Timestamp};
use dp::{Cookie, SampleDirection};
use flow::FlowKey;
use ofp::IpfixStats;
use wire::protocol;

use self::cache::{Cache, EndReason, Flow, FlowName};
use self::counts::{Counts, Packet};
use self::message::Header;
use self::observed::{ObservedPacket, Recognized, Tunnel, ethernet_len};
use self::shape::{Direction, Layer3};
use crate::export::{ExportedBridge, Exporter, SampledPacket};

/// The port of collectors where a target names none (RFC 7011 §10.3.4).
pub const IPFIX_PORT: u16 = 4739;
/// Between templates, and between statistics, where nobody says.
pub const IPFIX_INTERVAL: Duration = Duration::from_secs(600);
/// The longest [`IpfixConfig::virtual_id`].
pub const MAX_VIRTUAL_ID: usize = 254;
/// So many domains are remembered to have templates: rules may take their numbers from packets.
const MAX_DOMAINS: usize = 1024;
/// Ports of BFD over UDP (RFC 5881 §4), which is the switch's own.
const BFD_PORTS: [u16; 2] = [3784, 3785];

/// How an exporter exports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IpfixConfig {
    /// Which exporter of the switch it is (`exportingProcessId`).
    pub id: u32,
    /// What it exports.
    pub source: IpfixSource,
    /// How long packets of a flow are counted before its record goes; zero: each packet has a record.
    pub active_timeout: Duration,
    /// How many flows may wait; zero: each packet has a record.
    pub max_flows: u32,
    /// Between statistics of the exporter.
    pub stats_interval: Duration,
    /// Between templates of a domain.
    pub template_interval: Duration,
    /// What is added to each record (`virtualObsID`), of at most [`MAX_VIRTUAL_ID`] bytes.
    pub virtual_id: Option<String>,
    /// Records of packets that came out of a tunnel say so.
    pub reports_tunnels: bool,
}

/// Whose samples are exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IpfixSource {
    /// A bridge's own.
    Bridge {
        /// The observation domain.
        domain: u32,
        /// The observation point.
        point: u32,
        /// With which probability it samples, of 2^32; not zero.
        probability: u32,
    },
    /// Those of rules that name this set of collectors.
    CollectorSet(u32),
}

impl IpfixSource {
    /// The set of collectors; none of a bridge.
    pub fn collector_set(self) -> Option<u32> {
        match self {
            IpfixSource::Bridge { .. } => None,
            IpfixSource::CollectorSet(id) => Some(id),
        }
    }
}

/// A sample that is this exporter's.
#[derive(Clone, Copy, Debug)]
struct Taken {
    domain: u32,
    point: u32,
    direction: SampleDirection,
    output: DpPort,
    /// How many packets it stands for.
    weight: u64,
    is_forwarded: bool,
}

/// The export of a bridge, or of one set of collectors.
#[derive(Debug)]
pub struct Ipfix {
    config: IpfixConfig,
    cache: Cache,
    totals: Counts,
    stats: IpfixStats,
    /// Messages with records or statistics that were sent, and one.
    sequence: u32,
    /// When statistics were sent last; as times of export are, in seconds since 1970.
    stats_sent: Option<u32>,
    /// When each domain had its templates last.
    domains: HashMap<u32, u32>,
}

impl Ipfix {
    /// An exporter that has seen nothing.
    pub fn new(config: IpfixConfig) -> Ipfix {
        let collector_set = config.source.collector_set().unwrap_or(0);
        Ipfix {
            config,
            cache: Cache::default(),
            totals: Counts::default(),
            stats: IpfixStats { collector_set, ..IpfixStats::default() },
            sequence: 1,
            stats_sent: None,
            domains: HashMap::new(),
        }
    }

    /// What a sample is to this exporter.
    fn take(&self, sampled: &SampledPacket<'_>) -> Option<Taken> {
        match (self.config.source, sampled.cookie) {
            (
                IpfixSource::Bridge { domain, point, probability },
                &Cookie::Ipfix { output_port, is_forwarded },
            ) if !is_bfd(sampled) => Some(Taken {
                domain,
                point,
                direction: SampleDirection::Default,
                output: output_port,
                weight: (u32::MAX / probability.max(1)).into(),
                is_forwarded,
            }),
            (
                IpfixSource::CollectorSet(set),
                &Cookie::FlowSample {
                    probability,
                    collector_set_id,
                    obs_domain_id,
                    obs_point_id,
                    output_port,
                    direction,
                    is_forwarded,
                },
            ) if set == collector_set_id => Some(Taken {
                domain: obs_domain_id,
                point: obs_point_id,
                direction,
                output: output_port,
                weight: (u16::MAX / probability.max(1)).into(),
                is_forwarded,
            }),
            (IpfixSource::Bridge { .. } | IpfixSource::CollectorSet(_), _) => None,
        }
    }

    /// Counts a sample.
    fn count(&mut self, taken: &Taken, sampled: &SampledPacket<'_>, bridge: &dyn ExportedBridge) {
        let ingress = bridge.port(DpPort(sampled.key.in_port()));
        let leaves = taken.output != DpPort::NONE;
        let direction = match taken.direction {
            SampleDirection::Ingress => Direction::Ingress,
            SampleDirection::Egress => Direction::Egress,
            SampleDirection::Default if leaves => Direction::Egress,
            SampleDirection::Default => Direction::Ingress,
        };
        let egress = if leaves { bridge.port(taken.output) } else { None };
        let goes_in = sampled.egress_tunnel.filter(|_| leaves).map(FlowKey::from);
        let outer =
            if leaves { goes_in.as_ref() } else { Some(sampled.key).filter(|key| key.tun_dst() != 0) };
        let outer = outer.filter(|_| self.config.reports_tunnels);
        let end = if leaves { &egress } else { &ingress };
        let kind = end.as_ref().and_then(|port| port.kind.tunnel()).filter(|_| outer.is_some());
        let observed = ObservedPacket {
            key: sampled.key,
            outer: outer.unwrap_or(sampled.key),
            point: taken.point,
            direction,
            tunnel: kind.and_then(Tunnel::of),
            ingress,
            egress,
        };
        let shape = observed.shape();
        let length = sampled.packet.len() as u64;
        let ip_length = length.saturating_sub(ethernet_len(sampled.key).into());
        let counts = Counts::of(&Packet {
            key: sampled.key,
            shape,
            weight: taken.weight,
            length,
            ip_length,
            is_forwarded: taken.is_forwarded,
        });
        self.totals.add(&counts);
        let now_us = bridge.wall_clock().as_millis() as u64 * 1000;
        let of_ip = if shape.layer3 == Layer3::Unknown { 0 } else { ip_length };
        let flow = Flow {
            start_us: now_us,
            end_us: now_us,
            counts,
            totals: self.totals,
            least_length: of_ip,
            greatest_length: of_ip,
        };
        let name = FlowName { domain: taken.domain, shape, key: observed.key_bytes(shape) };
        let is_new = self.cache.count(name, flow);
        self.note(is_new, shape.recognized());
    }

    fn note(&mut self, is_new: bool, recognized: Recognized) {
        let stats = &mut self.stats;
        stats.packets += 1;
        stats.total_flows += u64::from(is_new);
        stats.current_flows = self.cache.len() as u64;
        match recognized {
            Recognized::Ipv4 => stats.ipv4_packets += 1,
            Recognized::Ipv6 => stats.ipv6_packets += 1,
            Recognized::Ipv4Other => {
                stats.ipv4_error_packets += 1;
                stats.error_packets += 1;
            }
            Recognized::Ipv6Other => {
                stats.ipv6_error_packets += 1;
                stats.error_packets += 1;
            }
            Recognized::NotIp => {}
        }
    }

    /// The messages of flows that have no more time, or no room; of all, where the export ends.
    fn expire(&mut self, wall: Duration, is_end: bool) -> Vec<Vec<u8>> {
        let now_us = wall.as_millis() as u64 * 1000;
        let oldest = now_us.saturating_sub(self.config.active_timeout.as_micros() as u64);
        let max_flows = self.config.max_flows as usize;
        let reason = |flow: &Flow, flows: usize| {
            if is_end {
                Some(EndReason::Forced)
            } else if flow.start_us <= oldest {
                Some(EndReason::ActiveTimeout)
            } else if flows > max_flows {
                Some(EndReason::LackOfResources)
            } else {
                None
            }
        };
        // Times in records are written as how long before the time of export they were, in whole seconds.
        let export_time = now_us.div_ceil(1_000_000) as u32;
        let mut messages = Vec::new();
        while let Some((name, flow, reason)) = self.cache.take(reason) {
            self.prepare(name.domain, export_time, &mut messages);
            let header = self.next_header(name.domain, export_time);
            let virtual_id = self.config.virtual_id.as_deref();
            messages.push(message::record(header, name.shape, &name.key, virtual_id, &flow, reason));
        }
        self.stats.current_flows = self.cache.len() as u64;
        messages
    }

    /// What has to go before a record: templates, and statistics, when it is time for them.
    fn prepare(&mut self, domain: u32, export_time: u32, messages: &mut Vec<Vec<u8>>) {
        let is_due = |sent: Option<u32>, interval: Duration| {
            sent.is_none_or(|sent| u64::from(sent) + interval.as_secs() <= u64::from(export_time))
        };
        if is_due(self.domains.get(&domain).copied(), self.config.template_interval) {
            if self.domains.len() >= MAX_DOMAINS {
                self.domains.clear();
            }
            self.domains.insert(domain, export_time);
            let header = Header { export_time, sequence: self.sequence, domain };
            messages.extend(message::templates(header, self.config.virtual_id.is_some()));
        }
        if is_due(self.stats_sent, self.config.stats_interval) {
            self.stats_sent = Some(export_time);
            let header = self.next_header(0, export_time);
            messages.push(message::statistics(header, self.config.id, self.stats.tx_errors));
        }
    }

    fn next_header(&mut self, domain: u32, export_time: u32) -> Header {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Header { export_time, sequence, domain }
    }
}

impl Exporter for Ipfix {
    fn sample(&mut self, sampled: &SampledPacket<'_>, bridge: &dyn ExportedBridge) -> Vec<Vec<u8>> {
        let Some(taken) = self.take(sampled) else { return Vec::new() };
        self.count(&taken, sampled, bridge);
        let is_full = self.cache.len() > self.config.max_flows as usize;
        if is_full || self.config.active_timeout.is_zero() {
            return self.expire(bridge.wall_clock(), false);
        }
        Vec::new()
    }

    fn tick(&mut self, _: Timestamp, bridge: &dyn ExportedBridge) -> Vec<Vec<u8>> {
        self.expire(bridge.wall_clock(), false)
    }

    fn sent(&mut self, sent: u64, failed: u64) {
        self.stats.tx_packets += sent;
        self.stats.tx_errors += failed;
    }

    fn ipfix_stats(&self) -> Option<IpfixStats> {
        Some(self.stats)
    }

    fn count_on(&mut self, counters: IpfixStats) {
        self.stats = IpfixStats { current_flows: self.stats.current_flows, ..counters };
    }

    fn finish(&mut self, wall: Duration) -> Vec<Vec<u8>> {
        self.expire(wall, true)
    }
}

fn is_bfd(sampled: &SampledPacket<'_>) -> bool {
    let key = sampled.key;
    key.is_ip() && key.nw_proto() == protocol::UDP && BFD_PORTS.contains(&key.tp_dst())
}

#[cfg(test)]
mod tests;
