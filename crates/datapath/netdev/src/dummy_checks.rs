//! What a dummy port says of the checksums of the packets that it receives, and what it does for those that it sends, as devices
//! do that compute checksums and cut segments: by its options `ol_ip_rx_csum_set_good`, `ol_l4_tx_csum`, `ol_tso_segsz` and
//! their like.

use dp::sums::{self, Abilities, Known, Layers, Sums};
use dp::{Packet, PortSpec, Segmentation};
use wire::{TypedForm, ethernet, ipv4, ipv6, protocol, tcp};

/// What the port does beside receiving and sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Checks {
    /// What it says of the packets that it receives.
    received: Layers,
    /// The checksums that it says it computes.
    computes: Abilities,
    /// Those of them that it does not compute.
    neglects: Abilities,
    /// It receives trains of segments with so many bytes each, and sends trains as they are; 0: it does neither.
    segment_size: u16,
}

/// The options that say what is known of a received checksum, of the network header's and of the transport header's.
const RECEIVED: [[(&str, Known); 3]; 2] = [
    [
        ("ol_ip_rx_csum_set_good", Known::Good),
        ("ol_ip_rx_csum_set_bad", Known::Bad),
        ("ol_ip_rx_csum_set_partial", Known::Due),
    ],
    [
        ("ol_l4_rx_csum_set_good", Known::Good),
        ("ol_l4_rx_csum_set_bad", Known::Bad),
        ("ol_l4_rx_csum_set_partial", Known::Due),
    ],
];

/// The option by which a dummy is to know of trains.
pub(crate) const SEGMENT_SIZE: &str = "ol_tso_segsz";

/// The options that say which checksums are computed, with those by which they are not.
const COMPUTED: [(&str, &str); 4] = [
    ("ol_ip_tx_csum", "ol_ip_tx_csum_disabled"),
    ("ol_l4_tx_csum", "ol_l4_tx_csum_disabled"),
    ("ol_out_ip_tx_csum", "ol_out_ip_tx_csum_disabled"),
    ("ol_out_udp_tx_csum", "ol_out_udp_tx_csum_disabled"),
];

impl Checks {
    pub(crate) fn of(spec: &PortSpec) -> Checks {
        let is_set = |name: &str| spec.option(name) == Some("true");
        let [network, transport] = RECEIVED.map(|options| {
            options.iter().find(|(name, _)| is_set(name)).map_or(Known::Nothing, |&(_, known)| known)
        });
        let segment_size = spec.option(SEGMENT_SIZE).and_then(|text| text.parse().ok()).unwrap_or(0);
        let abilities = |[network, transport, tunnel_network, tunnel_transport]: [bool; 4]| Abilities {
            network,
            transport,
            tunnel_network,
            tunnel_transport,
        };
        Checks {
            received: Layers { network, transport },
            computes: abilities(COMPUTED.map(|(computed, _)| is_set(computed))),
            neglects: abilities(COMPUTED.map(|(computed, not)| is_set(computed) && is_set(not))),
            segment_size,
        }
    }

    /// Says it of a packet that was received.
    pub(crate) fn receive(self, packet: &mut Packet) {
        if self.received != Layers::default() {
            packet.sums = Some(Box::new(Sums { outer: self.received, inner: None }));
        }
        if self.segment_size > 0 {
            packet.offload.segmentation = segmentation(packet.bytes(), self.segment_size);
        }
    }

    /// Whether the port sends this packet as it is, though it is a train.
    pub(crate) fn takes_whole(self, packet: &Packet) -> bool {
        self.segment_size > 0 && packet.offload.segmentation.is_some()
    }

    /// Computes the checksums that are still due, as far as the port does that.
    pub(crate) fn send(self, packet: &mut Packet) {
        sums::complete(packet, self.computes);
        sums::complete(packet, self.neglects);
        packet.sums = None;
    }
}

/// The options about this that are in force, as the port shows them.
pub(crate) fn shown(spec: &PortSpec) -> Vec<(&'static str, String)> {
    let is_set = |name: &str| spec.option(name) == Some("true");
    let received = RECEIVED.as_flattened().iter().map(|(name, _)| *name).filter(|name| is_set(name));
    let computed = COMPUTED.iter().filter(|(name, _)| is_set(name));
    let computed = computed.flat_map(|&(name, not)| [Some(name), Some(not).filter(|not| is_set(not))]);
    let mut all: Vec<(&str, String)> =
        received.chain(computed.flatten()).map(|name| (name, "true".to_owned())).collect();
    let size = spec.option(SEGMENT_SIZE).and_then(|text| text.parse::<u16>().ok()).filter(|size| *size > 0);
    all.extend(size.map(|size| (SEGMENT_SIZE, size.to_string())));
    all
}

/// How a packet of TCP is to be cut into segments with so many bytes each.
fn segmentation(frame: &[u8], size: u16) -> Option<Segmentation> {
    let (at, ether_type) = ethernet::type_behind_tags(frame)?;
    let l3 = at + 2;
    let packet = frame.get(l3..)?;
    let (kind, l4, protocol) = match ether_type {
        ethernet::TYPE_IPV4 => {
            let ip = ipv4::Ipv4::parse_header(packet)?;
            (Segmentation::TCP_V4, l3 + ip.header_len(), ip.protocol())
        }
        ethernet::TYPE_IPV6 => {
            let next = ipv6::Header::parse(packet)?.next_header;
            (Segmentation::TCP_V6, l3 + ipv6::LEN, next)
        }
        _ => return None,
    };
    let header = tcp::Tcp::parse(frame.get(l4..)?).filter(|_| protocol == protocol::TCP)?;
    Some(Segmentation { kind, size, header_len: u16::try_from(l4 + header.header_len()).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        let mut key = flow::FlowKey::new();
        key.set_dl_type(ethernet::TYPE_IPV4);
        key.set_nw_src(1);
        key.set_nw_dst(2);
        key.set_nw_ttl(64);
        key.set_nw_proto(protocol::TCP);
        key.set_tp_dst(9);
        Packet::from_bytes(&flow::compose(&key, None))
    }

    fn checks(options: &[&str]) -> Checks {
        let mut spec = PortSpec::new("d", dp::PortKind::Dummy);
        spec.options = options.iter().map(|name| ((*name).to_owned(), "true".to_owned())).collect();
        Checks::of(&spec)
    }

    /// With both checksums wrong.
    fn wrong() -> Packet {
        let mut wrong = packet();
        wrong.bytes_mut()[24..26].fill(0xde);
        wrong.bytes_mut()[50..52].fill(0xde);
        wrong
    }

    #[test]
    fn what_is_said_of_a_packet_changes_nothing_in_it() {
        for option in ["good", "bad", "partial"] {
            let mut packet = wrong();
            checks(&[&format!("ol_ip_rx_csum_set_{option}")]).receive(&mut packet);
            assert_eq!(packet.bytes(), wrong().bytes());
            assert!(packet.sums.is_some());
        }
        let mut packet = wrong();
        checks(&[]).receive(&mut packet);
        assert_eq!(packet, wrong());
    }

    #[test]
    fn what_is_left_to_the_sender_is_right_when_it_is_sent() {
        let all = ["ol_ip_rx_csum_set_partial", "ol_l4_rx_csum_set_partial"];
        for options in [&[][..], &["ol_ip_tx_csum"], &["ol_ip_tx_csum", "ol_l4_tx_csum"]] {
            let mut partial = wrong();
            checks(&all).receive(&mut partial);
            checks(options).send(&mut partial);
            assert_eq!(partial.bytes(), packet().bytes());
        }
    }

    #[test]
    fn a_port_may_do_less_than_it_says() {
        let mut partial = wrong();
        checks(&["ol_ip_rx_csum_set_partial", "ol_l4_rx_csum_set_partial"]).receive(&mut partial);
        checks(&["ol_l4_tx_csum", "ol_l4_tx_csum_disabled"]).send(&mut partial);
        assert_eq!(partial.bytes()[24..26], packet().bytes()[24..26]);
        assert_eq!(partial.bytes()[50..52], [0xde; 2]);
    }

    #[test]
    fn packets_of_tcp_are_trains() {
        let mut spec = PortSpec::new("d", dp::PortKind::Dummy);
        spec.options.push((SEGMENT_SIZE.to_owned(), "500".to_owned()));
        let (mut train, checks) = (packet(), Checks::of(&spec));
        checks.receive(&mut train);
        let expected = Segmentation { kind: Segmentation::TCP_V4, size: 500, header_len: 54 };
        assert_eq!(train.offload.segmentation, Some(expected));
        assert!(checks.takes_whole(&train) && !Checks::default().takes_whole(&train));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do(bytes: Vec<u8>, is_partial: bool) {
            let l4 = if is_partial { "ol_l4_rx_csum_set_partial" } else { "ol_l4_rx_csum_set_good" };
            let mut packet = Packet::from_bytes(&bytes);
            let checks = Checks { segment_size: 100, ..checks(&["ol_ip_rx_csum_set_partial", l4]) };
            checks.receive(&mut packet);
            checks.send(&mut packet);
            proptest::prop_assert_eq!(packet.len(), bytes.len());
        }
    }
}
