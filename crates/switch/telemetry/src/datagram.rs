//! An sFlow v5 datagram as types. Bytes are `encode`'s and `decode`'s.

use std::net::IpAddr;

use base::MacAddr;

/// What a counter says that its agent does not keep.
pub const UNKNOWN: u32 = u32::MAX;

/// One UDP payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// The address by which the agent is known, wherever the datagram came from.
    pub agent: IpAddr,
    /// One of several that share the address.
    pub sub_agent: u32,
    pub sequence: u32,
    pub uptime_ms: u32,
    pub samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sample {
    Flow(FlowSample),
    Counters(CounterSample),
    /// Of a format (enterprise and number) that is not known here.
    Other {
        format: u32,
        body: Vec<u8>,
    },
}

/// What is sampled or counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source {
    pub class: u32,
    pub index: u32,
}

impl Source {
    /// An interface, by the kernel's number.
    pub const fn interface(index: u32) -> Source {
        Source { class: 0, index }
    }

    /// A physical entity (ENTITY-MIB): here, a bridge.
    pub const fn entity(index: u32) -> Source {
        Source { class: 2, index }
    }
}

/// Where a packet came in or left: format 0 is an interface, 1 a reason for
/// which it was dropped, 2 the number of ports that it left by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortRef {
    pub format: u32,
    pub value: u32,
}

impl PortRef {
    /// Both as samples that are not expanded have them: the format in the upper two bits.
    pub const fn from_word(word: u32) -> PortRef {
        PortRef { format: word >> 30, value: word & 0x3fff_ffff }
    }

    pub const fn word(self) -> u32 {
        self.format << 30 | self.value & 0x3fff_ffff
    }
}

/// A packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowSample {
    /// Whether source and ports are written in the wide form.
    pub is_expanded: bool,
    /// Counts samples of the source.
    pub sequence: u32,
    pub source: Source,
    /// One packet in so many.
    pub rate: u32,
    /// Packets that could have been sampled.
    pub pool: u32,
    pub drops: u32,
    pub input: PortRef,
    pub output: PortRef,
    pub records: Vec<FlowRecord>,
}

/// What is reported of a sampled packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlowRecord {
    /// Its first bytes.
    Header {
        /// 1 is Ethernet.
        protocol: u32,
        /// On the wire, with the bytes that were stripped.
        frame_length: u32,
        stripped: u32,
        bytes: Vec<u8>,
    },
    Switch(SwitchTags),
    TunnelEgress(Ipv4Tunnel),
    TunnelIngress(Ipv4Tunnel),
    VniEgress(u32),
    VniIngress(u32),
    Mpls(MplsStacks),
    Other {
        format: u32,
        body: Vec<u8>,
    },
}

/// The tags with which it came and left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SwitchTags {
    pub in_vlan: u32,
    pub in_priority: u32,
    pub out_vlan: u32,
    pub out_priority: u32,
}

/// The outer header of a tunnelled packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ipv4Tunnel {
    pub length: u32,
    pub protocol: u32,
    pub src: u32,
    pub dst: u32,
    pub src_port: u32,
    pub dst_port: u32,
    pub tcp_flags: u32,
    pub tos: u32,
}

/// The label stacks with which it came and left; each the outer entry first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MplsStacks {
    pub next_hop: IpAddr,
    pub came: Vec<u32>,
    pub left: Vec<u32>,
}

/// Counters of one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CounterSample {
    pub is_expanded: bool,
    pub sequence: u32,
    pub source: Source,
    pub records: Vec<CounterRecord>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CounterRecord {
    Interface(InterfaceCounters),
    /// The 13 counters of EtherLike-MIB, in its order.
    Ethernet([u32; 13]),
    OpenFlowPort {
        datapath_id: u64,
        port: u32,
    },
    PortName(String),
    /// Of a port that LACP may join with others.
    Lag(LagCounters),
    AppResources(AppResources),
    Datapath(DatapathCounters),
    Other {
        format: u32,
        body: Vec<u8>,
    },
}

/// IF-MIB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InterfaceCounters {
    pub index: u32,
    /// IANAifType; 6 is Ethernet.
    pub kind: u32,
    /// Bits per second.
    pub speed: u64,
    /// 0 unknown, 1 full duplex, 2 half duplex.
    pub direction: u32,
    /// Bit 0 administratively up, bit 1 operationally up.
    pub status: u32,
    pub in_octets: u64,
    pub in_unicast: u32,
    pub in_multicast: u32,
    pub in_broadcast: u32,
    pub in_discards: u32,
    pub in_errors: u32,
    pub in_unknown_protocols: u32,
    pub out_octets: u64,
    pub out_unicast: u32,
    pub out_multicast: u32,
    pub out_broadcast: u32,
    pub out_discards: u32,
    pub out_errors: u32,
    pub promiscuous: u32,
}

/// dot3adAggPort of IEEE8023-LAG-MIB (sFlow's `lag_port_stats`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LagCounters {
    pub actor_system: MacAddr,
    pub partner_system: MacAddr,
    /// The key of the aggregate.
    pub aggregate: u32,
    /// States of LACP: the actor's as configured and as it is, then the partner's.
    pub states: [u8; 4],
    pub received: u32,
    pub markers_received: u32,
    pub marker_responses_received: u32,
    pub unknown_received: u32,
    pub illegal_received: u32,
    pub sent: u32,
    pub markers_sent: u32,
    pub marker_responses_sent: u32,
}

/// What the switch's process uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AppResources {
    pub user_time_ms: u32,
    pub system_time_ms: u32,
    pub memory_used: u64,
    pub memory_max: u64,
    pub open_files: u32,
    pub max_files: u32,
    pub connections: u32,
    pub max_connections: u32,
}

/// How the flow cache does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DatapathCounters {
    pub hits: u32,
    pub misses: u32,
    pub lost: u32,
    pub mask_hits: u32,
    pub flows: u32,
    pub masks: u32,
}

/// Numbers of formats of enterprise 0.
pub(crate) mod format {
    pub(crate) const FLOW: u32 = 1;
    pub(crate) const COUNTERS: u32 = 2;
    pub(crate) const FLOW_EXPANDED: u32 = 3;
    pub(crate) const COUNTERS_EXPANDED: u32 = 4;

    pub(crate) const HEADER: u32 = 1;
    pub(crate) const SWITCH: u32 = 1001;
    pub(crate) const MPLS: u32 = 1006;
    pub(crate) const TUNNEL_EGRESS: u32 = 1023;
    pub(crate) const TUNNEL_INGRESS: u32 = 1024;
    pub(crate) const VNI_EGRESS: u32 = 1029;
    pub(crate) const VNI_INGRESS: u32 = 1030;

    pub(crate) const INTERFACE: u32 = 1;
    pub(crate) const ETHERNET: u32 = 2;
    pub(crate) const LAG: u32 = 7;
    pub(crate) const OPENFLOW_PORT: u32 = 1004;
    pub(crate) const PORT_NAME: u32 = 1005;
    pub(crate) const APP_RESOURCES: u32 = 2203;
    pub(crate) const DATAPATH: u32 = 2207;
}
