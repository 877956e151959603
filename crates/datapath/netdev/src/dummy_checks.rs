//! What a dummy port says of the checksums of the packets that it receives, as a device does that has checked them: by its
//! options `ol_ip_rx_csum_set_good`, `ol_l4_rx_csum_set_partial` and their like.
//!
//! A checksum that is said to be good is written, so that nothing behind the port finds it wrong, whatever the test put there.

use dp::{Packet, PortSpec, Verdict};
use wire::checksum::{Checksum, pseudo_ipv4, pseudo_ipv6};
use wire::{ethernet, ipv4, ipv6, transport};

/// What is said of checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Checks {
    /// That of the header of IPv4 is right, or left to whoever sends the packet, which comes to the same.
    ip: bool,
    /// That of the transport header is right.
    l4_good: bool,
    /// It is left to whoever sends the packet.
    l4_partial: bool,
    /// Those of the header of IPv4 and of the transport header are wrong, whatever they are.
    ip_bad: bool,
    l4_bad: bool,
}

/// Where a transport header is, and what its checksum covers beside it.
struct Transport {
    at: usize,
    end: usize,
    protocol: u8,
    pseudo: Checksum,
}

impl Checks {
    pub(crate) fn of(spec: &PortSpec) -> Checks {
        let is_set = |name: &str| spec.option(name) == Some("true");
        Checks {
            ip: is_set("ol_ip_rx_csum_set_good") || is_set("ol_ip_rx_csum_set_partial"),
            l4_good: is_set("ol_l4_rx_csum_set_good"),
            l4_partial: is_set("ol_l4_rx_csum_set_partial"),
            ip_bad: is_set("ol_ip_rx_csum_set_bad"),
            l4_bad: is_set("ol_l4_rx_csum_set_bad"),
        }
    }

    /// Says it of a packet.
    pub(crate) fn apply(self, packet: &mut Packet) {
        if self == Checks::default() {
            return;
        }
        let Some((ip_at, ether_type)) = network(packet.bytes()) else { return };
        if self.ip_bad {
            packet.offload.ip_check = Verdict::Bad;
        }
        if self.l4_bad {
            packet.offload.l4_check = Verdict::Bad;
        }
        if self.ip && ether_type == ethernet::TYPE_IPV4 {
            let header =
                packet.bytes().get(ip_at..).and_then(ipv4::Ipv4::parse_header).map(|ip| ip.header_len());
            if let Some(len) = header {
                ipv4::write_checksum(packet.bytes_mut().get_mut(ip_at..ip_at + len).unwrap_or(&mut []));
                packet.offload.ip_check = Verdict::Good;
            }
        }
        if (self.l4_good || self.l4_partial)
            && let Some(transport) = transport_of(packet.bytes(), ip_at, ether_type)
        {
            self.apply_l4(packet, &transport);
        }
    }

    fn apply_l4(self, packet: &mut Packet, found: &Transport) {
        let Transport { at, end, protocol, pseudo } = *found;
        let bytes = packet.bytes_mut().get_mut(at..end).unwrap_or(&mut []);
        let Some(place) = place_of(protocol) else { return };
        if bytes.len() < place + 2 {
            return;
        }
        if self.l4_partial {
            transport::set_check(protocol, bytes, !pseudo.finish());
            packet.offload.checksum = u16::try_from(at).ok().map(|at| (at, place as u16));
        } else {
            transport::write_checksum(protocol, bytes, pseudo);
            packet.offload.l4_check = Verdict::Good;
        }
    }
}

/// Where the network header is, behind tags, and its type.
fn network(bytes: &[u8]) -> Option<(usize, u16)> {
    let mut at = 12;
    loop {
        let ether_type = u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
        at += 2;
        if !matches!(ether_type, ethernet::TYPE_VLAN | ethernet::TYPE_VLAN_AD) {
            return Some((at, ether_type));
        }
        at += 2;
    }
}

/// The transport header of a packet that is no fragment.
fn transport_of(bytes: &[u8], ip_at: usize, ether_type: u16) -> Option<Transport> {
    let bytes = bytes.get(ip_at..)?;
    match ether_type {
        ethernet::TYPE_IPV4 => {
            let ip = ipv4::Ipv4::parse(bytes)?;
            if ip.is_fragment() {
                return None;
            }
            let (header, protocol) = (ip.header_len(), ip.protocol());
            let pseudo = pseudo_ipv4(ip.src(), ip.dst(), protocol, ip.payload().len());
            let at = ip_at + header;
            Some(Transport { at, end: at + ip.payload().len(), protocol, pseudo })
        }
        ethernet::TYPE_IPV6 => {
            let ip = ipv6::Ipv6::parse(bytes)?;
            let protocol = ip.next_header();
            let pseudo = pseudo_ipv6(ip.src(), ip.dst(), protocol, ip.payload().len());
            let at = ip_at + ipv6::LEN;
            Some(Transport { at, end: at + ip.payload().len(), protocol, pseudo })
        }
        _ => None,
    }
}

/// Where in its header a protocol has its checksum.
fn place_of(protocol: u8) -> Option<usize> {
    match protocol {
        wire::protocol::TCP => Some(16),
        wire::protocol::UDP => Some(6),
        _ => None,
    }
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
        key.set_nw_proto(wire::protocol::UDP);
        key.set_tp_dst(9);
        Packet::from_bytes(&flow::compose(&key, None))
    }

    fn checks(options: &[&str]) -> Checks {
        let mut spec = PortSpec::new("d", dp::PortKind::Dummy);
        spec.options = options.iter().map(|name| ((*name).to_owned(), "true".to_owned())).collect();
        Checks::of(&spec)
    }

    #[test]
    fn what_is_said_to_be_good_is_right() {
        let right = packet();
        let mut wrong = packet();
        wrong.bytes_mut()[24..26].fill(0xde);
        wrong.bytes_mut()[40..42].fill(0xde);
        let mut good = wrong.clone();
        checks(&["ol_ip_rx_csum_set_good", "ol_l4_rx_csum_set_good"]).apply(&mut good);
        assert_eq!(good.bytes(), right.bytes());
        assert_eq!(good.offload.l4_check, Verdict::Good);
        let mut bad = wrong.clone();
        checks(&["ol_ip_rx_csum_set_bad", "ol_l4_rx_csum_set_bad"]).apply(&mut bad);
        assert_eq!(bad.bytes(), wrong.bytes());
        assert_eq!((bad.offload.ip_check, bad.offload.l4_check), (Verdict::Bad, Verdict::Bad));
    }

    #[test]
    fn what_is_left_to_the_sender_is_right_when_it_is_sent() {
        let right = packet();
        let mut partial = packet();
        partial.bytes_mut()[40..42].fill(0xde);
        checks(&["ol_l4_rx_csum_set_partial"]).apply(&mut partial);
        assert_ne!(partial.bytes(), right.bytes());
        dp::offload::complete_checksum(&mut partial);
        assert_eq!(partial.bytes(), right.bytes());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do(bytes: Vec<u8>, is_partial: bool) {
            let l4 = if is_partial { "ol_l4_rx_csum_set_partial" } else { "ol_l4_rx_csum_set_good" };
            let mut packet = Packet::from_bytes(&bytes);
            checks(&["ol_ip_rx_csum_set_good", l4]).apply(&mut packet);
            proptest::prop_assert_eq!(packet.len(), bytes.len());
        }
    }
}
