//! What is counted: of a packet, of a flow, of all that was sampled.

use flow::FlowKey;
use wire::tcp;

use super::shape::{Direction, Layer3, Layer4, Shape};

/// Sums of packets; each sampled packet stands for several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub packets: u64,
    /// Those that went to no port.
    pub dropped_packets: u64,
    pub ingress_unicast: u64,
    pub ingress_multicast: u64,
    pub ingress_broadcast: u64,
    pub egress_unicast: u64,
    pub egress_multicast: u64,
    pub egress_broadcast: u64,
    /// Bytes from the Ethernet header on.
    pub layer2_octets: u64,
    /// Bytes from the IP header on; none of other packets. The same of those below.
    pub octets: u64,
    pub dropped_octets: u64,
    /// The sum of the squares of packets' lengths.
    pub octet_squares: u64,
    pub egress_multicast_octets: u64,
    pub ack: u64,
    pub fin: u64,
    pub psh: u64,
    pub rst: u64,
    pub syn: u64,
    pub urg: u64,
}

/// A sampled packet as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub key: &'a FlowKey,
    pub shape: Shape,
    /// How many packets it stands for.
    pub weight: u64,
    /// Bytes from the Ethernet header on.
    pub length: u64,
    /// Bytes from the IP header on.
    pub ip_length: u64,
    pub is_forwarded: bool,
}

impl Counts {
    /// What one sampled packet counts.
    pub(crate) fn of(packet: &Packet<'_>) -> Counts {
        let mut counts = Counts::default();
        let &Packet { key, shape, weight, length, ip_length, is_forwarded } = packet;
        let octets = weight.wrapping_mul(ip_length);
        let is_ip = shape.layer3 != Layer3::Unknown;
        counts.packets = weight;
        counts.layer2_octets = weight.wrapping_mul(length);
        if is_ip {
            counts.octets = octets;
            counts.octet_squares = octets.wrapping_mul(ip_length);
        }
        if !is_forwarded {
            (counts.dropped_packets, counts.dropped_octets) = (weight, counts.octets);
        }
        let destination = key.dl_dst();
        let is_broadcast = destination.is_broadcast();
        let is_multicast = destination.is_multicast() && !is_broadcast;
        let place = match (shape.direction, is_broadcast, is_multicast) {
            (Direction::Ingress, true, _) => &mut counts.ingress_broadcast,
            (Direction::Ingress, false, true) => &mut counts.ingress_multicast,
            (Direction::Ingress, false, false) => &mut counts.ingress_unicast,
            (Direction::Egress, true, _) => &mut counts.egress_broadcast,
            (Direction::Egress, false, true) => &mut counts.egress_multicast,
            (Direction::Egress, false, false) => &mut counts.egress_unicast,
        };
        *place = weight;
        if is_multicast && shape.direction == Direction::Egress {
            counts.egress_multicast_octets = counts.octets;
        }
        if shape.layer4 == Layer4::Tcp {
            let flagged = |flag| if key.tcp_flags() & flag != 0 { weight } else { 0 };
            counts.ack = flagged(tcp::ACK);
            counts.fin = flagged(tcp::FIN);
            counts.psh = flagged(tcp::PSH);
            counts.rst = flagged(tcp::RST);
            counts.syn = flagged(tcp::SYN);
            counts.urg = flagged(tcp::URG);
        }
        counts
    }

    /// Adds what `other` counts.
    pub(crate) fn add(&mut self, other: &Counts) {
        let pairs = [
            (&mut self.packets, other.packets),
            (&mut self.dropped_packets, other.dropped_packets),
            (&mut self.ingress_unicast, other.ingress_unicast),
            (&mut self.ingress_multicast, other.ingress_multicast),
            (&mut self.ingress_broadcast, other.ingress_broadcast),
            (&mut self.egress_unicast, other.egress_unicast),
            (&mut self.egress_multicast, other.egress_multicast),
            (&mut self.egress_broadcast, other.egress_broadcast),
            (&mut self.layer2_octets, other.layer2_octets),
            (&mut self.octets, other.octets),
            (&mut self.dropped_octets, other.dropped_octets),
            (&mut self.octet_squares, other.octet_squares),
            (&mut self.egress_multicast_octets, other.egress_multicast_octets),
            (&mut self.ack, other.ack),
            (&mut self.fin, other.fin),
            (&mut self.psh, other.psh),
            (&mut self.rst, other.rst),
            (&mut self.syn, other.syn),
            (&mut self.urg, other.urg),
        ];
        for (sum, more) in pairs {
            *sum = sum.wrapping_add(more);
        }
    }
}
