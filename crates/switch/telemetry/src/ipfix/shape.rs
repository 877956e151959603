//! The shapes of records: which fields a record of a packet has, and the number of its template.

use super::field::{CountField, KeyField};

/// Whether a packet has a VLAN tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Layer2 {
    Ethernet,
    Vlan,
}

/// What is known of a packet's network layer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Layer3 {
    Unknown,
    Ipv4,
    Ipv6,
}

/// What is known of a packet's transport layer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Layer4 {
    Unknown,
    Tcp,
    Udp,
    Sctp,
    Icmp,
}

/// Which way a packet goes where it is sampled (`flowDirection`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Direction {
    Ingress = 0,
    Egress = 1,
}

/// All on which the fields of a record depend.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Shape {
    pub layer2: Layer2,
    pub layer3: Layer3,
    pub layer4: Layer4,
    pub is_tunneled: bool,
    pub direction: Direction,
}

/// Numbers of templates begin here (RFC 7011 §3.4.1).
const FIRST_TEMPLATE: u16 = 256;
/// How many kinds there are of each, as the numbers of templates count them.
const LAYER2: u16 = 2;
const LAYER3: u16 = 3;
const LAYER4: u16 = 5;
const TUNNELS: u16 = 2;
const DIRECTIONS: u16 = 2;

/// The number of a template, by the places of what it is for; those may lie behind the last.
const fn number(layer2: u16, layer3: u16, layer4: u16, tunnel: u16, direction: u16) -> u16 {
    let layers = (layer2 * LAYER3 + layer3) * LAYER4 + layer4;
    FIRST_TEMPLATE + (layers * TUNNELS + tunnel) * DIRECTIONS + direction
}

/// The template of statistics of the exporter.
pub(crate) const STATISTICS_TEMPLATE: u16 = number(LAYER2, LAYER3, LAYER4, TUNNELS, DIRECTIONS);

impl Shape {
    /// All shapes, in the order of their templates.
    pub(crate) fn all() -> impl Iterator<Item = Shape> {
        use Layer4::{Icmp, Sctp, Tcp, Udp};
        let layers = [Layer2::Ethernet, Layer2::Vlan].into_iter().flat_map(|layer2| {
            let network = [Layer3::Unknown, Layer3::Ipv4, Layer3::Ipv6];
            network.into_iter().map(move |layer3| (layer2, layer3))
        });
        let layers = layers.flat_map(|(layer2, layer3)| {
            let transport: &[Layer4] = match layer3 {
                Layer3::Unknown => &[Layer4::Unknown],
                Layer3::Ipv4 | Layer3::Ipv6 => &[Layer4::Unknown, Tcp, Udp, Sctp, Icmp],
            };
            transport.iter().map(move |&layer4| (layer2, layer3, layer4))
        });
        layers.flat_map(|(layer2, layer3, layer4)| {
            let ways = [false, true].into_iter().flat_map(|tunneled| {
                [Direction::Ingress, Direction::Egress].map(|direction| (tunneled, direction))
            });
            ways.map(move |(is_tunneled, direction)| Shape { layer2, layer3, layer4, is_tunneled, direction })
        })
    }

    /// The number of the template.
    pub(crate) fn template(self) -> u16 {
        number(
            self.layer2 as u16,
            self.layer3 as u16,
            self.layer4 as u16,
            self.is_tunneled.into(),
            self.direction as u16,
        )
    }

    /// The fields that tell flows apart, in their order.
    pub(crate) fn key_fields(self) -> Vec<KeyField> {
        use KeyField::*;
        let mut fields = vec![ObservationPoint, Direction, SrcMac, DstMac, EtherType, EthernetHeaderLength];
        fields.extend([IngressIndex, IngressType, IngressName, IngressDescription]);
        if self.direction == self::Direction::Egress {
            fields.extend([EgressIndex, EgressType, EgressName, EgressDescription]);
        }
        if self.layer2 == Layer2::Vlan {
            fields.extend([Vlan, Dot1qVlan, Dot1qPriority]);
        }
        if self.layer3 != Layer3::Unknown {
            fields.extend([IpVersion, Ttl, Protocol, Dscp, Precedence, ClassOfService]);
        }
        match self.layer3 {
            Layer3::Unknown => {}
            Layer3::Ipv4 => fields.extend([SrcIpv4, DstIpv4]),
            Layer3::Ipv6 => fields.extend([SrcIpv6, DstIpv6, FlowLabel]),
        }
        match (self.layer4, self.layer3) {
            (Layer4::Tcp | Layer4::Udp | Layer4::Sctp, _) => fields.extend([SrcPort, DstPort]),
            (Layer4::Icmp, Layer3::Ipv4) => fields.extend([Icmpv4Type, Icmpv4Code]),
            (Layer4::Icmp, _) => fields.extend([Icmpv6Type, Icmpv6Code]),
            (Layer4::Unknown, _) => {}
        }
        if self.is_tunneled {
            fields.extend([TunnelSrc, TunnelDst, TunnelProtocol, TunnelSrcPort, TunnelDstPort]);
            fields.extend([TunnelType, TunnelKey]);
        }
        fields
    }

    /// The fields that count, in their order.
    pub(crate) fn count_fields(self) -> Vec<CountField> {
        use CountField::*;
        let mut fields = vec![StartDelta, EndDelta];
        fields.extend([DroppedPackets, DroppedPacketsTotal, Packets, PacketsTotal]);
        fields.extend([IngressUnicastTotal, IngressMulticastTotal, IngressBroadcastTotal]);
        fields.extend([EgressUnicastTotal, EgressBroadcastTotal, EgressMulticast, EgressMulticastTotal]);
        fields.extend([Layer2Octets, Layer2OctetsTotal, EndReason]);
        if self.layer3 != Layer3::Unknown {
            fields.extend([DroppedOctets, DroppedOctetsTotal, Octets, OctetsTotal]);
            fields.extend([OctetSquares, OctetSquaresTotal, LeastLength, GreatestLength]);
            fields.extend([EgressMulticastOctets, EgressMulticastOctetsTotal]);
        }
        if self.layer4 == Layer4::Tcp {
            fields.extend([AckTotal, FinTotal, PshTotal, RstTotal, SynTotal, UrgTotal]);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_numbered_as_the_reference_does() {
        let numbers: Vec<u16> = Shape::all().map(Shape::template).collect();
        assert_eq!(numbers.len(), 2 * 11 * 4);
        assert!(numbers.is_sorted_by(|a, b| a < b));
        let last = numbers.last();
        assert_eq!((numbers.first(), last, STATISTICS_TEMPLATE), (Some(&256), Some(&375), 462));
    }
}
