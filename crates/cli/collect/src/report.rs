//! A datagram as named fields: what all texts are made of.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use telemetry::{
    AppResources, CounterRecord, CounterSample, Datagram, DatapathCounters, FlowRecord, FlowSample,
    InterfaceCounters, Ipv4Tunnel, LagCounters, PortRef, Sample, Source,
};

use crate::fields::Fields;
use crate::packet::Packet;

/// A datagram.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    pub received: SystemTime,
    pub agent: IpAddr,
    pub sub_agent: u32,
    pub sequence: u32,
    pub fields: Fields,
    pub samples: Vec<SampleReport>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SampleReport {
    pub format: u32,
    pub source: Source,
    pub fields: Fields,
    pub elements: Vec<Element>,
    pub kind: Kind,
    /// Said when nothing is known of its format.
    pub skipped: Option<String>,
}

/// What it is a sample of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Packet(Box<Packet>),
    Counters(Option<InterfaceCounters>),
    Unknown,
}

/// A record of a sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Element {
    pub format: u32,
    pub fields: Fields,
    pub skipped: Option<String>,
}

/// A datagram of `size` bytes that came from `from`.
pub(crate) fn report(datagram: &Datagram, size: usize, from: IpAddr, received: SystemTime) -> Report {
    let since = received.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut fields = Fields::default();
    fields.put("datagramSourceIP", from);
    fields.put("datagramSize", size);
    fields.put("unixSecondsUTC", since.as_secs());
    fields.put("unixSecondsUTC_uS", since.subsec_micros());
    fields.put("localtime", time_text(received));
    fields.put("datagramVersion", 5);
    fields.put("agentSubId", datagram.sub_agent);
    fields.put("agent", datagram.agent);
    fields.put("packetSequenceNo", datagram.sequence);
    fields.put("sysUpTime", datagram.uptime_ms);
    fields.put("samplesInPacket", datagram.samples.len());
    Report {
        received,
        agent: datagram.agent,
        sub_agent: datagram.sub_agent,
        sequence: datagram.sequence,
        fields,
        samples: datagram.samples.iter().map(sample).collect(),
    }
}

pub(crate) fn time_text(time: SystemTime) -> String {
    base::time::wall_text("%Y-%m-%dT%H:%M:%S+0000", time)
}

/// Enterprise and number of a format.
pub(crate) fn tag_text(format: u32) -> String {
    format!("{}:{}", format >> 12, format & 0xfff)
}

fn port_text(port: PortRef) -> String {
    match port.format {
        0 => port.value.to_string(),
        1 => format!("dropCode {}", port.value),
        2 => format!("multiple {}", port.value),
        other => format!("format=={other} {}", port.value),
    }
}

fn sample(sample: &Sample) -> SampleReport {
    match sample {
        Sample::Flow(flow) => flow_sample(flow),
        Sample::Counters(counters) => counter_sample(counters),
        Sample::Other { format, body } => {
            let mut fields = Fields::default();
            fields.put("sampleType_tag", tag_text(*format));
            SampleReport {
                format: *format,
                source: Source::interface(0),
                fields,
                elements: Vec::new(),
                kind: Kind::Unknown,
                skipped: Some(skipped("sample", *format, body.len())),
            }
        }
    }
}

fn skipped(what: &str, format: u32, len: usize) -> String {
    format!("skipping unknown {what}: {} len={len}", tag_text(format))
}

fn flow_sample(flow: &FlowSample) -> SampleReport {
    let format = if flow.is_expanded { 3 } else { 1 };
    let mut fields = Fields::default();
    fields.put("sampleType_tag", tag_text(format));
    fields.put("sampleType", "FLOWSAMPLE");
    fields.put("sampleSequenceNo", flow.sequence);
    fields.put("sourceId", format_args!("{}:{}", flow.source.class, flow.source.index));
    fields.put("meanSkipCount", flow.rate);
    fields.put("samplePool", flow.pool);
    fields.put("dropEvents", flow.drops);
    fields.put("inputPort", port_text(flow.input));
    fields.put("outputPort", port_text(flow.output));
    let mut packet =
        Packet { input: flow.input.value, output: flow.output.value, rate: flow.rate, ..Packet::default() };
    let elements = flow.records.iter().map(|record| flow_element(record, &mut packet)).collect();
    let kind = Kind::Packet(Box::new(packet));
    SampleReport { format, source: flow.source, fields, elements, kind, skipped: None }
}

fn flow_element(record: &FlowRecord, packet: &mut Packet) -> Element {
    let mut fields = Fields::default();
    let mut note = None;
    let start = |fields: &mut Fields, format: u32| {
        fields.put("flowBlock_tag", tag_text(format));
        format
    };
    let format = match record {
        FlowRecord::Header { protocol, frame_length, stripped, bytes } => {
            let format = start(&mut fields, 1);
            fields.put("flowSampleType", "HEADER");
            fields.put("headerProtocol", protocol);
            fields.put("sampledPacketSize", frame_length);
            fields.put("strippedBytes", stripped);
            fields.put("headerLen", bytes.len());
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            fields.put("headerBytes", hex.join("-"));
            (packet.len, packet.stripped, packet.header) = (*frame_length, *stripped, bytes.clone());
            packet.read(*protocol, &mut fields);
            format
        }
        FlowRecord::Switch(tags) => {
            let format = start(&mut fields, 1001);
            fields.put("extendedType", "SWITCH");
            fields.put("in_vlan", tags.in_vlan);
            fields.put("in_priority", tags.in_priority);
            fields.put("out_vlan", tags.out_vlan);
            fields.put("out_priority", tags.out_priority);
            (packet.in_vlan, packet.out_vlan) = (tags.in_vlan, tags.out_vlan);
            format
        }
        FlowRecord::TunnelEgress(tunnel) => {
            let format = start(&mut fields, 1023);
            tunnel_fields("tunnel_ipv4_out_", tunnel, &mut fields);
            format
        }
        FlowRecord::TunnelIngress(tunnel) => {
            let format = start(&mut fields, 1024);
            tunnel_fields("tunnel_ipv4_in_", tunnel, &mut fields);
            format
        }
        FlowRecord::VniEgress(vni) => {
            let format = start(&mut fields, 1029);
            fields.put("extendedType", "out_VNI");
            fields.put("out_VNI", vni);
            format
        }
        FlowRecord::VniIngress(vni) => {
            let format = start(&mut fields, 1030);
            fields.put("extendedType", "in_VNI");
            fields.put("in_VNI", vni);
            format
        }
        FlowRecord::Mpls(stacks) => {
            let format = start(&mut fields, 1006);
            fields.put("extendedType", "MPLS");
            fields.put("mplsNextHop", stacks.next_hop);
            for (name, stack) in [("mpls_input_stack", &stacks.came), ("mpls_output_stack", &stacks.left)] {
                if !stack.is_empty() {
                    fields.put(name, label_stack(stack));
                }
            }
            format
        }
        FlowRecord::Other { format, body } => {
            note = Some(skipped("flow_sample_element", *format, body.len()));
            start(&mut fields, *format)
        }
    };
    Element { format, fields, skipped: note }
}

/// `LABEL.CLASS.BOTTOM.TTL` of each entry.
fn label_stack(entries: &[u32]) -> String {
    let entry = |e: &u32| format!("{}.{}.{}.{}", e >> 12, e >> 9 & 7, e >> 8 & 1, e & 0xff);
    entries.iter().map(entry).collect::<Vec<_>>().join("-")
}

fn tunnel_fields(prefix: &str, tunnel: &Ipv4Tunnel, fields: &mut Fields) {
    let mut put = |name: &str, value: &dyn Display| fields.put(format!("{prefix}{name}"), value);
    put("sampledPacketSize", &tunnel.length);
    put("IPSize", &tunnel.length);
    put("srcIP", &std::net::Ipv4Addr::from(tunnel.src));
    put("dstIP", &std::net::Ipv4Addr::from(tunnel.dst));
    put("IPProtocol", &tunnel.protocol);
    put("IPTOS", &tunnel.tos);
    match tunnel.protocol {
        6 => {
            put("TCPSrcPort", &tunnel.src_port);
            put("TCPDstPort", &tunnel.dst_port);
            put("TCPFlags", &tunnel.tcp_flags);
        }
        17 => {
            put("UDPSrcPort", &tunnel.src_port);
            put("UDPDstPort", &tunnel.dst_port);
        }
        _ => {}
    }
}

fn counter_sample(counters: &CounterSample) -> SampleReport {
    let format = if counters.is_expanded { 4 } else { 2 };
    let mut fields = Fields::default();
    fields.put("sampleType_tag", tag_text(format));
    fields.put("sampleType", "COUNTERSSAMPLE");
    fields.put("sampleSequenceNo", counters.sequence);
    fields.put("sourceId", format_args!("{}:{}", counters.source.class, counters.source.index));
    let interface = counters.records.iter().find_map(|record| match record {
        CounterRecord::Interface(interface) => Some(*interface),
        _ => None,
    });
    let elements = counters.records.iter().map(counter_element).collect();
    let kind = Kind::Counters(interface);
    SampleReport { format, source: counters.source, fields, elements, kind, skipped: None }
}

fn counter_element(record: &CounterRecord) -> Element {
    let mut fields = Fields::default();
    let mut note = None;
    let start = |fields: &mut Fields, format: u32| {
        fields.put("counterBlock_tag", tag_text(format));
        format
    };
    let format = match record {
        CounterRecord::Interface(counters) => {
            let format = start(&mut fields, 1);
            for (name, value) in interface_fields(counters) {
                fields.put(name, value);
            }
            format
        }
        CounterRecord::Ethernet(counters) => {
            let format = start(&mut fields, 2);
            for (name, value) in ETHERNET_NAMES.into_iter().zip(counters) {
                fields.put(format!("dot3Stats{name}"), value);
            }
            format
        }
        CounterRecord::OpenFlowPort { datapath_id, port } => {
            let format = start(&mut fields, 1004);
            fields.put("openflow_datapath_id", format_args!("{datapath_id:016x}"));
            fields.put("openflow_port", port);
            format
        }
        CounterRecord::PortName(name) => {
            let format = start(&mut fields, 1005);
            fields.put("ifName", name);
            format
        }
        CounterRecord::Lag(counters) => {
            let format = start(&mut fields, 7);
            for (name, value) in lag_fields(counters) {
                fields.put(name, value);
            }
            format
        }
        CounterRecord::AppResources(r) => {
            let format = start(&mut fields, 2203);
            let AppResources { user_time_ms, system_time_ms, memory_used, memory_max, .. } = r;
            fields.put("user_time", user_time_ms);
            fields.put("system_time", system_time_ms);
            fields.put("memory_used", memory_used);
            fields.put("memory_max", memory_max);
            fields.put("files_open", r.open_files);
            fields.put("files_max", r.max_files);
            fields.put("connections_open", r.connections);
            fields.put("connections_max", r.max_connections);
            format
        }
        CounterRecord::Datapath(DatapathCounters { hits, misses, lost, mask_hits, flows, masks }) => {
            let format = start(&mut fields, 2207);
            fields.put("OVS_dp_hits", hits);
            fields.put("OVS_dp_misses", misses);
            fields.put("OVS_dp_lost", lost);
            fields.put("OVS_dp_mask_hits", mask_hits);
            fields.put("OVS_dp_flows", flows);
            fields.put("OVS_dp_masks", masks);
            format
        }
        CounterRecord::Other { format, body } => {
            note = Some(skipped("counters_sample_element", *format, body.len()));
            start(&mut fields, *format)
        }
    };
    Element { format, fields, skipped: note }
}

/// What a port that LACP may join with others says of that, by sflowtool's names.
fn lag_fields(c: &LagCounters) -> [(&'static str, String); 15] {
    let system = |mac: base::MacAddr| mac.0.map(|byte| format!("{byte:02x}")).concat();
    let [actor_admin, actor_oper, partner_admin, partner_oper] = c.states.map(|state| state.to_string());
    [
        ("actorSystemID", system(c.actor_system)),
        ("partnerSystemID", system(c.partner_system)),
        ("attachedAggID", c.aggregate.to_string()),
        ("actorAdminPortState", actor_admin),
        ("actorOperPortState", actor_oper),
        ("partnerAdminPortState", partner_admin),
        ("partnerOperPortState", partner_oper),
        ("LACPDUsRx", c.received.to_string()),
        ("markerPDUsRx", c.markers_received.to_string()),
        ("markerResponsePDUsRx", c.marker_responses_received.to_string()),
        ("unknownRx", c.unknown_received.to_string()),
        ("illegalRx", c.illegal_received.to_string()),
        ("LACPDUsTx", c.sent.to_string()),
        ("markerPDUsTx", c.markers_sent.to_string()),
        ("markerResponsePDUsTx", c.marker_responses_sent.to_string()),
    ]
}

const ETHERNET_NAMES: [&str; 13] = [
    "AlignmentErrors",
    "FCSErrors",
    "SingleCollisionFrames",
    "MultipleCollisionFrames",
    "SQETestErrors",
    "DeferredTransmissions",
    "LateCollisions",
    "ExcessiveCollisions",
    "InternalMacTransmitErrors",
    "CarrierSenseErrors",
    "FrameTooLongs",
    "InternalMacReceiveErrors",
    "SymbolErrors",
];

/// The counters of an interface by their names, in the order of IF-MIB.
pub(crate) fn interface_fields(c: &InterfaceCounters) -> [(&'static str, u64); 19] {
    [
        ("ifIndex", c.index.into()),
        ("networkType", c.kind.into()),
        ("ifSpeed", c.speed),
        ("ifDirection", c.direction.into()),
        ("ifStatus", c.status.into()),
        ("ifInOctets", c.in_octets),
        ("ifInUcastPkts", c.in_unicast.into()),
        ("ifInMulticastPkts", c.in_multicast.into()),
        ("ifInBroadcastPkts", c.in_broadcast.into()),
        ("ifInDiscards", c.in_discards.into()),
        ("ifInErrors", c.in_errors.into()),
        ("ifInUnknownProtos", c.in_unknown_protocols.into()),
        ("ifOutOctets", c.out_octets),
        ("ifOutUcastPkts", c.out_unicast.into()),
        ("ifOutMulticastPkts", c.out_multicast.into()),
        ("ifOutBroadcastPkts", c.out_broadcast.into()),
        ("ifOutDiscards", c.out_discards.into()),
        ("ifOutErrors", c.out_errors.into()),
        ("ifPromiscuousMode", c.promiscuous.into()),
    ]
}
