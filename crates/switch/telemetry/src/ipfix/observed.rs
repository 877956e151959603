//! A sampled packet in IPFIX's terms: the shape of its record, and the part of the record that tells its flow from others.

use std::sync::Arc;

use dp::{PortInfo, TunnelKind};
use flow::FlowKey;
use wire::{ethernet, protocol};

use super::field::KeyField;
use super::shape::{Direction, Layer2, Layer3, Layer4, Shape};

/// Bytes of an interface's name and description, at most.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 128;

/// How far a packet was told apart, as `ovs-ofctl dump-ipfix-flow` counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recognized {
    Ipv4,
    Ipv6,
    /// IPv4 or IPv6 that carries something else.
    Ipv4Other,
    Ipv6Other,
    NotIp,
}

/// A sampled packet.
#[derive(Clone, Debug)]
pub(crate) struct ObservedPacket<'a> {
    pub key: &'a FlowKey,
    /// Of what its tunnel's fields are: its own where it came out of a tunnel, others where it goes into one.
    pub outer: &'a FlowKey,
    pub point: u32,
    pub direction: Direction,
    /// The port that it came in by; none that the bridge does not know.
    pub ingress: Option<Arc<PortInfo>>,
    /// The port that it leaves by.
    pub egress: Option<Arc<PortInfo>>,
    /// What carried it here, or carries it away.
    pub tunnel: Option<Tunnel>,
}

/// The kinds of tunnels that are reported (`tunnelType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tunnel {
    Vxlan = 1,
    Gre = 2,
    Geneve = 7,
}

impl Tunnel {
    /// The kind of a tunnel port, if it is one that is reported.
    pub(crate) fn of(kind: TunnelKind) -> Option<Tunnel> {
        match kind {
            TunnelKind::Vxlan => Some(Tunnel::Vxlan),
            TunnelKind::Gre => Some(Tunnel::Gre),
            TunnelKind::Geneve => Some(Tunnel::Geneve),
            TunnelKind::Erspan
            | TunnelKind::Ip6Erspan
            | TunnelKind::Ip6Gre
            | TunnelKind::Gtpu
            | TunnelKind::Bareudp
            | TunnelKind::Srv6
            | TunnelKind::Lisp
            | TunnelKind::Stt => None,
        }
    }

    fn protocol(self) -> u8 {
        match self {
            Tunnel::Gre => protocol::GRE,
            Tunnel::Vxlan | Tunnel::Geneve => protocol::UDP,
        }
    }

    /// How many of the low bytes of the key are the tunnel's.
    fn key_len(self) -> usize {
        match self {
            Tunnel::Gre => 4,
            Tunnel::Vxlan | Tunnel::Geneve => 3,
        }
    }
}

impl ObservedPacket<'_> {
    /// The shape of its record.
    pub(crate) fn shape(&self) -> Shape {
        let layer2 = if self.key.vlan_tci(0) == 0 { Layer2::Ethernet } else { Layer2::Vlan };
        let layer3 = match self.key.dl_type() {
            ethernet::TYPE_IPV4 => Layer3::Ipv4,
            ethernet::TYPE_IPV6 => Layer3::Ipv6,
            _ => Layer3::Unknown,
        };
        let layer4 = match (layer3, self.key.nw_proto()) {
            (Layer3::Unknown, _) => Layer4::Unknown,
            (_, protocol::TCP) => Layer4::Tcp,
            (_, protocol::UDP) => Layer4::Udp,
            (_, protocol::SCTP) => Layer4::Sctp,
            (Layer3::Ipv4, protocol::ICMP) | (Layer3::Ipv6, protocol::ICMPV6) => Layer4::Icmp,
            (_, _) => Layer4::Unknown,
        };
        Shape { layer2, layer3, layer4, is_tunneled: self.tunnel.is_some(), direction: self.direction }
    }

    /// The bytes of the record's key.
    pub(crate) fn key_bytes(&self, shape: Shape) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        shape.key_fields().into_iter().for_each(|field| self.put(field, &mut out));
        out
    }

    // house: long because it is a table, an arm for each field.
    fn put(&self, field: KeyField, out: &mut Vec<u8>) {
        let key = self.key;
        let mut byte = |byte: u8| out.push(byte);
        match field {
            KeyField::ObservationPoint => out.extend(self.point.to_be_bytes()),
            KeyField::Direction => byte(self.direction as u8),
            KeyField::SrcMac => out.extend(&key.dl_src().to_u64().to_be_bytes()[2..]),
            KeyField::DstMac => out.extend(&key.dl_dst().to_u64().to_be_bytes()[2..]),
            KeyField::EtherType => out.extend(key.dl_type().to_be_bytes()),
            KeyField::EthernetHeaderLength => byte(ethernet_len(key)),
            KeyField::IngressIndex => put_index(self.ingress.as_deref(), out),
            KeyField::IngressType => put_type(self.ingress.as_deref(), out),
            KeyField::IngressName => put_name(self.ingress.as_deref(), out),
            KeyField::IngressDescription => put_description(self.ingress.as_deref(), out),
            KeyField::EgressIndex => put_index(self.egress.as_deref(), out),
            KeyField::EgressType => put_type(self.egress.as_deref(), out),
            KeyField::EgressName => put_name(self.egress.as_deref(), out),
            KeyField::EgressDescription => put_description(self.egress.as_deref(), out),
            KeyField::Vlan | KeyField::Dot1qVlan => out.extend((key.vlan_tci(0) & 0xfff).to_be_bytes()),
            KeyField::Dot1qPriority => byte((key.vlan_tci(0) >> 13) as u8),
            KeyField::IpVersion => byte(if key.dl_type() == ethernet::TYPE_IPV6 { 6 } else { 4 }),
            KeyField::Ttl => byte(key.nw_ttl()),
            KeyField::Protocol => byte(key.nw_proto()),
            KeyField::Dscp => byte(key.nw_tos() >> 2),
            KeyField::Precedence => byte(key.nw_tos() >> 5),
            KeyField::ClassOfService => byte(key.nw_tos()),
            KeyField::SrcIpv4 => out.extend(key.nw_src().to_be_bytes()),
            KeyField::DstIpv4 => out.extend(key.nw_dst().to_be_bytes()),
            KeyField::SrcIpv6 => out.extend(key.ipv6_src().to_be_bytes()),
            KeyField::DstIpv6 => out.extend(key.ipv6_dst().to_be_bytes()),
            KeyField::FlowLabel => out.extend(key.ipv6_label().to_be_bytes()),
            KeyField::SrcPort => out.extend(key.tp_src().to_be_bytes()),
            KeyField::DstPort => out.extend(key.tp_dst().to_be_bytes()),
            KeyField::Icmpv4Type | KeyField::Icmpv6Type => byte(key.tp_src() as u8),
            KeyField::Icmpv4Code | KeyField::Icmpv6Code => byte(key.tp_dst() as u8),
            KeyField::TunnelSrc => out.extend(self.outer.tun_src().to_be_bytes()),
            KeyField::TunnelDst => out.extend(self.outer.tun_dst().to_be_bytes()),
            KeyField::TunnelProtocol => byte(self.tunnel.map_or(0, Tunnel::protocol)),
            KeyField::TunnelSrcPort => out.extend(self.outer.tun_tp_src().to_be_bytes()),
            KeyField::TunnelDstPort => out.extend(self.outer.tun_tp_dst().to_be_bytes()),
            KeyField::TunnelType => byte(self.tunnel.map_or(0, |tunnel| tunnel as u8)),
            KeyField::TunnelKey => {
                let bytes = self.outer.tun_id().to_be_bytes();
                let len = self.tunnel.map_or(0, Tunnel::key_len);
                put_variable(bytes.get(bytes.len() - len..).unwrap_or(&[]), out);
            }
        }
    }
}

/// Bytes of the Ethernet header, as far as IPFIX counts tags.
pub(crate) fn ethernet_len(key: &FlowKey) -> u8 {
    if key.vlan_tci(0) == 0 { 14 } else { 18 }
}

impl Shape {
    /// How far a packet of this shape was told apart.
    pub(crate) fn recognized(self) -> Recognized {
        match (self.layer3, self.layer4) {
            (Layer3::Unknown, _) => Recognized::NotIp,
            (Layer3::Ipv4, Layer4::Unknown) => Recognized::Ipv4Other,
            (Layer3::Ipv6, Layer4::Unknown) => Recognized::Ipv6Other,
            (Layer3::Ipv4, _) => Recognized::Ipv4,
            (Layer3::Ipv6, _) => Recognized::Ipv6,
        }
    }
}

/// A value with its length, which is less than 255 (RFC 7011 §7).
pub(crate) fn put_variable(value: &[u8], out: &mut Vec<u8>) {
    let value = value.get(..254).unwrap_or(value);
    out.push(value.len() as u8);
    out.extend(value);
}

fn put_index(port: Option<&PortInfo>, out: &mut Vec<u8>) {
    out.extend(port.and_then(|port| port.ifindex).unwrap_or(0).to_be_bytes());
}

fn put_type(port: Option<&PortInfo>, out: &mut Vec<u8>) {
    let told = port.and_then(|port| port.status.get("if_type")?.parse::<u32>().ok());
    out.extend(told.unwrap_or(0).to_be_bytes());
}

fn put_name(port: Option<&PortInfo>, out: &mut Vec<u8>) {
    put_text(port.map_or("", |port| &port.name), MAX_NAME, out);
}

fn put_description(port: Option<&PortInfo>, out: &mut Vec<u8>) {
    let told = port.and_then(|port| port.status.get("if_descr"));
    put_text(told.map_or("", |text| text), MAX_DESCRIPTION, out);
}

fn put_text(text: &str, most: usize, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    put_variable(bytes.get(..most).unwrap_or(bytes), out);
}
