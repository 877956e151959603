//! What a tunnel port was configured as.

use std::net::{IpAddr, Ipv6Addr};

use dp::TunnelKind;

/// One end of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Endpoint {
    /// Any address: of the machine's own, that of the route.
    #[default]
    Any,
    /// This address; one of IPv4 is mapped ([`mapped`]).
    Is(u128),
    /// Rules say which.
    Flow,
}

/// By what packets of tunnels between the same ends are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Key {
    /// There is none.
    #[default]
    Absent,
    /// This number.
    Is(u64),
    /// Rules say which.
    Flow,
}

/// Whether headers have a checksum of what they carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Checksum {
    /// Where IPv6 asks for it.
    #[default]
    Default,
    /// The protocol has none, or an optional one that nobody asked for.
    DefaultNone,
    On,
    Off,
}

/// What packets of the tunnel begin with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PacketTypes {
    /// An Ethernet header.
    #[default]
    LegacyL2,
    /// A network header; the bridge sees an Ethernet header before it.
    LegacyL3,
    /// Either, as the packet is.
    Aware,
}

/// The flow label of SRv6's outer header. The numbers are those that datapath text has in the place of the label.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FlowLabel {
    /// That of the packet inside, if it is of IPv6.
    #[default]
    Copy = 0,
    Zero = 1,
    /// A hash of the packet inside.
    Compute = 2,
}

/// What ERSPAN has beside a session; `None` where rules say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Erspan {
    /// 1 or 2; 0 where nothing was said.
    pub version: Option<u8>,
    pub index: Option<u32>,
    pub direction: Option<u8>,
    pub hardware: Option<u8>,
}

impl Default for Erspan {
    fn default() -> Erspan {
        Erspan { version: Some(0), index: Some(0), direction: Some(0), hardware: Some(0) }
    }
}

/// A tunnel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TunnelConfig {
    pub kind: TunnelKind,
    pub remote: Endpoint,
    pub local: Endpoint,
    pub in_key: Key,
    pub out_key: Key,
    /// The DSCP of the outer header, in its place there; `None`: that of the packet inside.
    pub tos: Option<u8>,
    /// `None`: that of the packet inside.
    pub ttl: Option<u8>,
    /// The UDP port that the other end listens on, and this one; 0 where the protocol has none.
    pub port: u16,
    pub checksum: Checksum,
    /// Packets are numbered.
    pub has_sequence: bool,
    pub dont_fragment: bool,
    /// The mark of outer packets, if it is not that of the packet inside.
    pub mark: Option<u32>,
    pub packet_types: PacketTypes,
    /// VXLAN has group policy.
    pub has_group_policy: bool,
    /// VXLAN says what is inside.
    pub has_next_protocol: bool,
    pub erspan: Erspan,
    /// The segments that SRv6 visits, the first one first; none: the other end alone.
    pub segments: Vec<u128>,
    pub flow_label: FlowLabel,
}

/// The TTL of outer packets where nothing is said.
pub const DEFAULT_TTL: u8 = 64;

impl TunnelConfig {
    /// One of this kind of which nothing was said.
    pub fn new(kind: TunnelKind) -> TunnelConfig {
        TunnelConfig {
            kind,
            remote: Endpoint::Any,
            local: Endpoint::Any,
            in_key: Key::Absent,
            out_key: Key::Absent,
            tos: Some(0),
            ttl: Some(DEFAULT_TTL),
            port: 0,
            checksum: Checksum::Default,
            has_sequence: false,
            dont_fragment: true,
            mark: None,
            packet_types: PacketTypes::LegacyL2,
            has_group_policy: false,
            has_next_protocol: false,
            erspan: Erspan::default(),
            segments: Vec::new(),
            flow_label: FlowLabel::default(),
        }
    }
}

/// An address of IPv4 as one of IPv6 (RFC 4291 §2.5.5.2); 0 stays 0, which is no address.
pub const fn mapped_v4(address: u32) -> u128 {
    if address == 0 { 0 } else { 0xffff_0000_0000 | address as u128 }
}

/// The address of IPv4 that is mapped in `address`.
pub const fn unmapped(address: u128) -> Option<u32> {
    if address >> 32 == 0xffff { Some(address as u32) } else { None }
}

/// Any address as one of IPv6.
pub fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => 0xffff_0000_0000 | u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// An address as people write it.
pub fn shown(address: u128) -> String {
    match unmapped(address) {
        Some(v4) => std::net::Ipv4Addr::from(v4).to_string(),
        None => Ipv6Addr::from(address).to_string(),
    }
}

/// The address of a tunnel's end, of whichever family.
pub(crate) fn either(v4: u32, v6: u128) -> u128 {
    if v4 != 0 { mapped_v4(v4) } else { v6 }
}
