//! Types to bytes (XDR, RFC 4506).

use std::net::IpAddr;

use base::MacAddr;

use crate::datagram::{
    AppResources, CounterRecord, CounterSample, Datagram, DatapathCounters, FlowRecord, FlowSample,
    InterfaceCounters, Ipv4Tunnel, LagCounters, PortRef, Sample, Source, format,
};

/// The version of all datagrams here.
pub(crate) const VERSION: u32 = 5;

impl Datagram {
    pub fn encode(&self) -> Vec<u8> {
        let samples: Vec<Vec<u8>> = self.samples.iter().map(Sample::encode).collect();
        self.encode_around(&samples)
    }

    /// The datagram with samples that are bytes already, instead of its own.
    pub(crate) fn encode_around(&self, samples: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Xdr::default();
        out.u32(VERSION);
        out.address(self.agent);
        out.u32s(&[self.sub_agent, self.sequence, self.uptime_ms, samples.len() as u32]);
        for sample in samples {
            out.0.extend(sample);
        }
        out.0
    }
}

impl Sample {
    /// With its format and length.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Sample::Flow(sample) => {
                (if sample.is_expanded { format::FLOW_EXPANDED } else { format::FLOW }, flow(sample))
            }
            Sample::Counters(sample) => (
                if sample.is_expanded { format::COUNTERS_EXPANDED } else { format::COUNTERS },
                counters(sample),
            ),
            Sample::Other { format, body } => (*format, body.clone()),
        };
        let mut out = Xdr::default();
        out.record(kind, &body);
        out.0
    }
}

fn flow(sample: &FlowSample) -> Vec<u8> {
    let mut out = Xdr::default();
    out.u32(sample.sequence);
    out.source(sample.source, sample.is_expanded);
    out.u32s(&[sample.rate, sample.pool, sample.drops]);
    out.port(sample.input, sample.is_expanded);
    out.port(sample.output, sample.is_expanded);
    out.u32(sample.records.len() as u32);
    for record in &sample.records {
        let (kind, body) = flow_record(record);
        out.record(kind, &body);
    }
    out.0
}

fn flow_record(record: &FlowRecord) -> (u32, Vec<u8>) {
    let mut out = Xdr::default();
    let kind = match record {
        FlowRecord::Header { protocol, frame_length, stripped, bytes } => {
            out.u32s(&[*protocol, *frame_length, *stripped]);
            out.opaque(bytes);
            format::HEADER
        }
        FlowRecord::Switch(tags) => {
            out.u32s(&[tags.in_vlan, tags.in_priority, tags.out_vlan, tags.out_priority]);
            format::SWITCH
        }
        FlowRecord::TunnelEgress(tunnel) => {
            out.u32s(&tunnel_words(tunnel));
            format::TUNNEL_EGRESS
        }
        FlowRecord::TunnelIngress(tunnel) => {
            out.u32s(&tunnel_words(tunnel));
            format::TUNNEL_INGRESS
        }
        FlowRecord::VniEgress(vni) => {
            out.u32(*vni);
            format::VNI_EGRESS
        }
        FlowRecord::VniIngress(vni) => {
            out.u32(*vni);
            format::VNI_INGRESS
        }
        FlowRecord::Mpls(stacks) => {
            out.address(stacks.next_hop);
            for stack in [&stacks.came, &stacks.left] {
                out.u32(stack.len() as u32);
                out.u32s(stack);
            }
            format::MPLS
        }
        FlowRecord::Other { format, body } => {
            out.0.extend(body);
            *format
        }
    };
    (kind, out.0)
}

fn tunnel_words(t: &Ipv4Tunnel) -> [u32; 8] {
    [t.length, t.protocol, t.src, t.dst, t.src_port, t.dst_port, t.tcp_flags, t.tos]
}

fn counters(sample: &CounterSample) -> Vec<u8> {
    let mut out = Xdr::default();
    out.u32(sample.sequence);
    out.source(sample.source, sample.is_expanded);
    out.u32(sample.records.len() as u32);
    for record in &sample.records {
        let (kind, body) = counter_record(record);
        out.record(kind, &body);
    }
    out.0
}

fn counter_record(record: &CounterRecord) -> (u32, Vec<u8>) {
    let mut out = Xdr::default();
    let kind = match record {
        CounterRecord::Interface(counters) => {
            interface(&mut out, counters);
            format::INTERFACE
        }
        CounterRecord::Ethernet(counters) => {
            out.u32s(counters);
            format::ETHERNET
        }
        CounterRecord::OpenFlowPort { datapath_id, port } => {
            out.u64(*datapath_id);
            out.u32(*port);
            format::OPENFLOW_PORT
        }
        CounterRecord::PortName(name) => {
            out.opaque(name.as_bytes());
            format::PORT_NAME
        }
        CounterRecord::Lag(counters) => {
            lag(&mut out, counters);
            format::LAG
        }
        CounterRecord::AppResources(r) => {
            let AppResources { user_time_ms, system_time_ms, memory_used, memory_max, .. } = *r;
            out.u32s(&[user_time_ms, system_time_ms]);
            out.u64(memory_used);
            out.u64(memory_max);
            out.u32s(&[r.open_files, r.max_files, r.connections, r.max_connections]);
            format::APP_RESOURCES
        }
        CounterRecord::Datapath(d) => {
            let DatapathCounters { hits, misses, lost, mask_hits, flows, masks } = *d;
            out.u32s(&[hits, misses, lost, mask_hits, flows, masks]);
            format::DATAPATH
        }
        CounterRecord::Other { format, body } => {
            out.0.extend(body);
            *format
        }
    };
    (kind, out.0)
}

fn lag(out: &mut Xdr, c: &LagCounters) {
    out.mac(c.actor_system);
    out.mac(c.partner_system);
    out.u32s(&[c.aggregate, u32::from_be_bytes(c.states)]);
    out.u32s(&[c.received, c.markers_received, c.marker_responses_received]);
    out.u32s(&[c.unknown_received, c.illegal_received]);
    out.u32s(&[c.sent, c.markers_sent, c.marker_responses_sent]);
}

fn interface(out: &mut Xdr, c: &InterfaceCounters) {
    out.u32s(&[c.index, c.kind]);
    out.u64(c.speed);
    out.u32s(&[c.direction, c.status]);
    out.u64(c.in_octets);
    out.u32s(&[c.in_unicast, c.in_multicast, c.in_broadcast]);
    out.u32s(&[c.in_discards, c.in_errors, c.in_unknown_protocols]);
    out.u64(c.out_octets);
    out.u32s(&[c.out_unicast, c.out_multicast, c.out_broadcast]);
    out.u32s(&[c.out_discards, c.out_errors, c.promiscuous]);
}

/// Bytes being written.
#[derive(Default)]
struct Xdr(Vec<u8>);

impl Xdr {
    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_be_bytes());
    }

    fn u32s(&mut self, values: &[u32]) {
        for value in values {
            self.u32(*value);
        }
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                self.u32(1);
                self.0.extend(address.octets());
            }
            IpAddr::V6(address) => {
                self.u32(2);
                self.0.extend(address.octets());
            }
        }
    }

    fn mac(&mut self, address: MacAddr) {
        self.0.extend(address.0);
        self.0.extend([0; 2]);
    }

    /// Its length, the bytes, and zeros up to a multiple of four.
    fn opaque(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn record(&mut self, format: u32, body: &[u8]) {
        self.u32(format);
        self.opaque(body);
    }

    fn source(&mut self, source: Source, is_expanded: bool) {
        if is_expanded {
            self.u32s(&[source.class, source.index]);
        } else {
            self.u32(source.class << 24 | source.index & 0xff_ffff);
        }
    }

    fn port(&mut self, port: PortRef, is_expanded: bool) {
        if is_expanded { self.u32s(&[port.format, port.value]) } else { self.u32(port.word()) }
    }
}
