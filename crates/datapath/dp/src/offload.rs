//! Doing in software what was left to the device: checksums, and cutting trains of segments.

use wire::bytes::put16;
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::ipv4::{Ipv4, Ipv4Mut};
use wire::ipv6::{Ipv6, Ipv6Mut};
use wire::tcp::TcpMut;
use wire::udp::UdpMut;
use wire::{Checksum, ethernet, ipv4, ipv6, protocol, tcp, transport, udp};

use crate::sums::{self, Abilities};
use crate::{Offload, Packet, Segmentation};

base::coverage! {
    /// A train was cut into its segments.
    pub static TRAINS_CUT = "dp_packet_gso"
}

/// Completes the checksums that `packet` left to the device.
pub fn complete_checksum(packet: &mut Packet) {
    sums::complete(packet, Abilities::default());
    let Some((start, at)) = packet.offload.checksum.take() else { return };
    let (start, at) = (usize::from(start), usize::from(at));
    let Some(covered) = packet.bytes_mut().get_mut(start..) else { return };
    let sum = Checksum::new().bytes(covered).finish();
    // In UDP zero means "none".
    let sum = if sum == 0 { 0xffff } else { sum };
    put16(covered, at, sum);
}

/// The packets to send in place of `packet` to a port that can cut and sum nothing.
///
/// A packet that is no train comes out alone, its checksum completed. A train
/// whose headers are not understood is given back as an error.
pub fn segment(mut packet: Packet, out: &mut Vec<Packet>) -> Result<(), Packet> {
    let Some(seg) = packet.offload.segmentation else {
        complete_checksum(&mut packet);
        out.push(packet);
        return Ok(());
    };
    let Some(train) = Train::parse(&packet, seg) else { return Err(packet) };
    TRAINS_CUT.count();
    let bytes = packet.bytes();
    let (headers, payload) = bytes.split_at(train.payload.min(bytes.len()));
    let size = usize::from(seg.size).max(1);
    let count = payload.len().div_ceil(size).max(1);
    for index in 0..count {
        let part = payload.get(index * size..).unwrap_or(&[]);
        let part = part.get(..size).unwrap_or(part);
        let mut one = Packet::with_capacity(headers.len() + part.len() + 64);
        one.append(headers);
        one.append(part);
        one.metadata = packet.metadata.clone();
        one.segment = index as u16;
        train.fix(&mut one, index, size, index + 1 == count);
        out.push(one);
    }
    Ok(())
}

/// Where the headers of a train are.
struct Train {
    l3: usize,
    l4: usize,
    payload: usize,
    is_v6: bool,
    is_tcp: bool,
}

impl Train {
    fn parse(packet: &Packet, seg: Segmentation) -> Option<Train> {
        let bytes = packet.bytes();
        let (l3, ether_type) = if packet.metadata.packet_type == 0 {
            let (at, ether_type) = ethernet::type_behind_tags(bytes)?;
            (at + 2, ether_type)
        } else {
            (0, packet.metadata.packet_type as u16)
        };
        let rest = bytes.get(l3..)?;
        let (l4, proto, is_v6) = match ether_type {
            ethernet::TYPE_IPV4 => {
                // The stated length of a train may be wrong or zero: only the header's own length counts.
                let ip = Ipv4::parse_header(rest)?;
                (ip.header_len() >= ipv4::MIN_LEN).then_some((l3 + ip.header_len(), ip.protocol(), false))?
            }
            ethernet::TYPE_IPV6 => {
                let next = Ipv6::parse_header(rest)?.next_header();
                let upper = ipv6::upper(next, rest.get(ipv6::LEN..)?)?;
                (bytes.len() - upper.payload.len(), upper.protocol, true)
            }
            _ => return None,
        };
        let header = bytes.get(l4..)?;
        let (header_len, is_tcp) = match (seg.base_kind(), proto) {
            (Segmentation::TCP_V4 | Segmentation::TCP_V6, protocol::TCP) => {
                (tcp::Tcp::parse(header)?.header_len(), true)
            }
            (Segmentation::UDP_L4, protocol::UDP) => {
                udp::Udp::parse(header)?;
                (udp::LEN, false)
            }
            _ => return None,
        };
        Some(Train { l3, l4, payload: l4 + header_len, is_v6, is_tcp })
    }

    /// Makes the copied headers those of segment `index`.
    fn fix(&self, packet: &mut Packet, index: usize, size: usize, is_last: bool) {
        packet.offload = Offload::default();
        let bytes = packet.bytes_mut();
        let total = bytes.len();
        let l4_len = total - self.l4;
        let proto = if self.is_tcp { protocol::TCP } else { protocol::UDP };
        let l3 = bytes.get_mut(self.l3..self.l4).unwrap_or(&mut []);
        let pseudo = if self.is_v6 {
            let Some(mut ip) = Ipv6Mut::parse_header(l3) else { return };
            ip.set_payload_len((total - self.l3 - ipv6::LEN) as u16);
            pseudo_ipv6(ip.view().src(), ip.view().dst(), proto, l4_len)
        } else {
            let Some(mut ip) = Ipv4Mut::parse_header(l3) else { return };
            let id = ip.view().id().wrapping_add(index as u16);
            ip.set_total_len((total - self.l3) as u16);
            ip.set_id(id);
            let pseudo = pseudo_ipv4(ip.view().src(), ip.view().dst(), proto, l4_len);
            // The checksum of the train need not have been right.
            ipv4::write_checksum(l3);
            pseudo
        };
        let l4 = bytes.get_mut(self.l4..).unwrap_or(&mut []);
        if self.is_tcp {
            let Some(mut tcp) = TcpMut::parse(l4) else { return };
            let sequence = tcp.view().sequence().wrapping_add((index * size) as u32);
            let mut flags = tcp.view().flags();
            if !is_last {
                flags &= !(tcp::FIN | tcp::PSH);
            }
            if index > 0 {
                flags &= !tcp::CWR;
            }
            tcp.set_sequence(sequence);
            tcp.set_flags(flags);
        } else {
            let Some(mut udp) = UdpMut::parse(l4) else { return };
            udp.set_len(l4_len as u16);
        }
        transport::write_checksum(proto, l4, pseudo);
    }
}

#[cfg(test)]
mod tests {
    use base::MacAddr;
    use proptest::prelude::*;
    use wire::bytes::be32;

    use super::*;

    proptest! {
        #[test]
        fn segments_carry_the_payload_with_right_checksums(payload in prop::collection::vec(any::<u8>(), 0..5000), size in 100u16..1500, is_v6: bool) {
            let mut l4 = vec![0u8; 20];
            l4[12] = 0x50;
            l4[13] = (tcp::PSH | tcp::ACK) as u8;
            l4.extend(&payload);
            let mut bytes = ethernet::header(MacAddr([1; 6]), MacAddr([2; 6]), if is_v6 { 0x86dd } else { 0x0800 }).to_vec();
            if is_v6 {
                bytes.extend(ipv6::header(1, 2, 6, 0, 0, 64, l4.len()));
            } else {
                bytes.extend(ipv4::header(1, 2, 6, 0, 64, 0, l4.len()));
            }
            let l4_at = bytes.len();
            bytes.extend(l4);
            let mut packet = Packet::from_bytes(&bytes);
            packet.offload.checksum = Some((l4_at as u16, 16));
            packet.offload.segmentation = Some(Segmentation { kind: if is_v6 { 4 } else { 1 }, size, header_len: (l4_at + 20) as u16 });
            let mut out = Vec::new();
            prop_assert!(segment(packet, &mut out).is_ok());
            let mut joined: Vec<u8> = Vec::new();
            for one in &out {
                let l4 = &one.bytes()[l4_at..];
                let pseudo = if is_v6 { pseudo_ipv6(1, 2, 6, l4.len()) } else { pseudo_ipv4(1, 2, 6, l4.len()) };
                prop_assert_eq!(pseudo.bytes(l4).sum(), 0xffff);
                prop_assert_eq!(be32(l4, 4) as usize, joined.len());
                joined.extend(&l4[20..]);
            }
            prop_assert_eq!(joined, payload);
        }

        #[test]
        fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..100), kind: u8, size: u16, start: u16, at: u16) {
            let mut packet = Packet::from_bytes(&bytes);
            packet.offload.checksum = Some((start % 120, at % 120));
            complete_checksum(&mut packet.clone());
            packet.offload.segmentation = Some(Segmentation { kind, size, header_len: start });
            let mut out = Vec::new();
            prop_assert_eq!(segment(packet, &mut out).is_ok(), !out.is_empty());
        }
    }
}
