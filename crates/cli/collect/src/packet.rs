//! Reading a sampled packet: its first bytes, of which any may be missing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::ipv4::{self, Ipv4};
use wire::ipv6::{self, Ipv6};
use wire::protocol::{AUTH, DEST_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ROUTING, TCP, UDP};
use wire::{bytes, ethernet};

use crate::fields::Fields;

/// What is known of a sampled packet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Packet {
    pub input: u32,
    pub output: u32,
    /// One packet in so many.
    pub rate: u32,
    pub src_mac: [u8; 6],
    pub dst_mac: [u8; 6],
    pub ether_type: u16,
    pub in_vlan: u32,
    pub out_vlan: u32,
    pub src: Option<IpAddr>,
    pub dst: Option<IpAddr>,
    pub protocol: u8,
    pub tos: u8,
    pub ttl: u8,
    /// Ports, or ICMP's type and code.
    pub src_port: u16,
    pub dst_port: u16,
    pub tcp_flags: u8,
    /// Of the UDP header; 0 when it is no UDP.
    pub udp_len: u16,
    pub fragment_offset: u16,
    /// On the wire, with what was stripped.
    pub len: u32,
    pub stripped: u32,
    /// Where the IP header begins.
    pub ip_offset: u32,
    pub header: Vec<u8>,
}

const TAG_TYPES: [u16; 5] = [ethernet::TYPE_VLAN, ethernet::TYPE_VLAN_AD, 0x9100, 0x9200, 0x9300];

/// The largest value of the type field that is a length.
const MAX_LENGTH: u16 = 1500;

/// `header_protocol` of the sampled header.
mod link {
    pub(super) const ETHERNET: u32 = 1;
    pub(super) const IPV4: u32 = 11;
    pub(super) const IPV6: u32 = 12;
}

impl Packet {
    /// Bytes from the IP header on, or of all when there is none.
    pub(crate) fn ip_len(&self) -> u32 {
        self.len.wrapping_sub(self.stripped).wrapping_sub(self.ip_offset)
    }

    /// Reads `self.header`, whose first header is of link type `protocol`.
    pub(crate) fn read(&mut self, protocol: u32, fields: &mut Fields) {
        let bytes = std::mem::take(&mut self.header);
        match protocol {
            link::ETHERNET => self.ethernet(&bytes, fields),
            link::IPV4 => self.ip(4, &bytes, fields),
            link::IPV6 => self.ip(6, &bytes, fields),
            _ => {}
        }
        self.header = bytes;
    }

    fn ethernet(&mut self, bytes: &[u8], fields: &mut Fields) {
        let Some((addresses, mut rest)) = bytes.split_first_chunk::<12>() else { return };
        self.dst_mac.copy_from_slice(&addresses[..6]);
        self.src_mac.copy_from_slice(&addresses[6..]);
        fields.put("dstMAC", mac_text(self.dst_mac));
        fields.put("srcMAC", mac_text(self.src_mac));
        let Some(mut kind) = take16(&mut rest) else { return };
        for depth in 0.. {
            if !TAG_TYPES.contains(&kind) {
                break;
            }
            let (Some(tci), Some(next)) = (take16(&mut rest), take16(&mut rest)) else { return };
            let suffix = if depth == 0 { String::new() } else { format!(".{depth}") };
            self.in_vlan = u32::from(tci & 0xfff);
            fields.put(format!("decodedVLAN{suffix}"), self.in_vlan);
            fields.put(format!("decodedPriority{suffix}"), tci >> 13);
            kind = next;
        }
        if kind <= MAX_LENGTH {
            // 802.2 with SNAP of OUI 0 has the type behind it (RFC 1042).
            let Some(next) = ethernet::snap_type(rest) else { return };
            (kind, rest) = (next, rest.get(ethernet::LLC_SNAP_LEN..).unwrap_or(&[]));
        }
        self.ether_type = kind;
        fields.put("ethernet_type", kind);
        let version = match kind {
            ethernet::TYPE_IPV4 => 4,
            ethernet::TYPE_IPV6 => 6,
            _ => return,
        };
        if rest.first().is_some_and(|byte| byte >> 4 == version) {
            self.ip_offset = (bytes.len() - rest.len()) as u32;
            self.ip(version, rest, fields);
        }
    }

    fn ip(&mut self, version: u8, bytes: &[u8], fields: &mut Fields) {
        fields.put("IPSize", self.ip_len());
        if version == 4 { self.ipv4(bytes, fields) } else { self.ipv6(bytes, fields) }
    }

    fn ipv4(&mut self, bytes: &[u8], fields: &mut Fields) {
        let Some(ip) = Ipv4::parse_header(bytes) else { return };
        let (src, dst) = (Ipv4Addr::from(ip.src()), Ipv4Addr::from(ip.dst()));
        (self.tos, self.ttl, self.protocol) = (ip.tos(), ip.ttl(), ip.protocol());
        (self.src, self.dst) = (Some(src.into()), Some(dst.into()));
        fields.put("ip.tot_len", ip.total_len());
        fields.put("srcIP", src);
        fields.put("dstIP", dst);
        fields.put("IPProtocol", self.protocol);
        fields.put("IPTOS", self.tos);
        fields.put("IPTTL", self.ttl);
        fields.put("IPID", ip.id());
        self.fragment_offset = ip.fragment_word() & ipv4::FRAGMENT_OFFSET;
        if self.fragment_offset > 0 {
            fields.put("IPFragmentOffset", self.fragment_offset);
            return;
        }
        self.upper(bytes.get(ip.header_len()..).unwrap_or(&[]), fields);
    }

    fn ipv6(&mut self, bytes: &[u8], fields: &mut Fields) {
        let Some(ip) = Ipv6::parse_header(bytes) else { return };
        let (src, dst) = (Ipv6Addr::from(ip.src()), Ipv6Addr::from(ip.dst()));
        (self.tos, self.ttl) = (ip.traffic_class(), ip.hop_limit());
        (self.src, self.dst) = (Some(src.into()), Some(dst.into()));
        fields.put("IPTOS", self.tos);
        fields.put("IP6_label", format!("0x{:x}", ip.label()));
        match ip.payload_len() {
            0 => fields.put("IPV6_payloadLen", "<jumbo>"),
            len => fields.put("IPV6_payloadLen", len),
        }
        fields.put("IPTTL", self.ttl);
        fields.put("srcIP6", src);
        fields.put("dstIP6", dst);
        let (mut next, mut rest) = (ip.next_header(), bytes.get(ipv6::LEN..).unwrap_or(&[]));
        // Each header is shown, a cut one too, which `wire::ipv6::upper` has no use for.
        while let HOP_BY_HOP | ROUTING | FRAGMENT | AUTH | DEST_OPTIONS = next {
            fields.put("IP6HeaderExtension", next);
            let Some((&[after, len], _)) = rest.split_first_chunk::<2>() else { return };
            // A fragment header has a fixed length (RFC 8200 §4.5), AH counts words of four (RFC 4302 §2.2).
            let len = match next {
                FRAGMENT => 8,
                AUTH => (usize::from(len) + 2) * 4,
                _ => (usize::from(len) + 1) * 8,
            };
            let Some(behind) = rest.get(len..) else { return };
            (next, rest) = (after, behind);
        }
        self.protocol = next;
        fields.put("IPProtocol", next);
        self.upper(rest, fields);
    }

    fn upper(&mut self, bytes: &[u8], fields: &mut Fields) {
        if bytes.len() < 8 {
            return;
        }
        let (word, byte) = (|at: usize| bytes::be16(bytes, at), |at: usize| bytes::byte(bytes, at));
        match self.protocol {
            ICMP => {
                (self.src_port, self.dst_port) = (byte(0).into(), byte(1).into());
                fields.put("ICMPType", byte(0));
                fields.put("ICMPCode", byte(1));
            }
            TCP => {
                (self.src_port, self.dst_port) = (word(0), word(2));
                self.tcp_flags = byte(13);
                fields.put("TCPSrcPort", self.src_port);
                fields.put("TCPDstPort", self.dst_port);
                fields.put("TCPFlags", self.tcp_flags);
            }
            UDP => {
                (self.src_port, self.dst_port, self.udp_len) = (word(0), word(2), word(4));
                fields.put("UDPSrcPort", self.src_port);
                fields.put("UDPDstPort", self.dst_port);
                fields.put("UDPBytes", self.udp_len);
            }
            _ => {}
        }
    }
}

fn take16(bytes: &mut &[u8]) -> Option<u16> {
    let (word, rest) = bytes.split_first_chunk::<2>()?;
    *bytes = rest;
    Some(u16::from_be_bytes(*word))
}

pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ping from 10.1.0.1 to 10.1.0.2 in VLAN 10.
    pub(crate) fn ping() -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0x60, 10, 8, 0];
        bytes.extend(wire::ipv4::header(0x0a01_0001, 0x0a01_0002, 1, 0, 64, 0, 64));
        bytes.extend([8, 0, 0, 0, 0, 1, 0, 1]);
        bytes.resize(18 + 84, 0x55);
        bytes
    }

    #[test]
    fn a_ping_is_read() {
        let mut fields = Fields::default();
        let mut packet = Packet { len: 106, stripped: 4, header: ping(), ..Packet::default() };
        packet.read(1, &mut fields);
        assert_eq!((packet.in_vlan, packet.ip_offset, packet.ip_len()), (10, 18, 84));
        assert_eq!((packet.src, packet.src_port), (Some([10, 1, 0, 1].into()), 8));
        assert_eq!(fields.find("decodedPriority"), Some("3"));
        assert_eq!(fields.find("dstMAC"), Some("020000000002"));
    }

    #[test]
    fn any_prefix_of_a_packet_is_read() {
        for len in 0..ping().len() {
            for protocol in [1, 11, 12] {
                let header = ping()[..len].to_vec();
                Packet { header, ..Packet::default() }.read(protocol, &mut Fields::default());
            }
        }
    }
}
