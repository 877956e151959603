//! Doing in software what was left to the device: checksums, and cutting trains of segments.

use wire::bytes::{be16, be32, byte, put, put16, put32};
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::{Checksum, ethernet, ipv4, ipv6, protocol, tcp, udp};

use crate::{Offload, Packet, Segmentation};

/// Completes the checksum that `packet` left to the device.
pub fn complete_checksum(packet: &mut Packet) {
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
        one.rss_hash = packet.rss_hash;
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
        let mut at = 12;
        while ethernet::is_vlan(be16(bytes, at)) {
            at += 4;
        }
        let ether_type = if packet.metadata.packet_type == 0 {
            be16(bytes, at)
        } else {
            packet.metadata.packet_type as u16
        };
        let l3 = if packet.metadata.packet_type == 0 { at + 2 } else { 0 };
        let rest = bytes.get(l3..)?;
        let (l4, proto, is_v6) = match ether_type {
            ethernet::TYPE_IPV4 => {
                // The stated length of a train may be wrong or zero: only the header's own length counts.
                let header = usize::from(byte(rest, 0) & 0xf) * 4;
                (header >= ipv4::MIN_LEN).then_some((l3 + header, byte(rest, 9), false))?
            }
            ethernet::TYPE_IPV6 => {
                let upper = ipv6::upper(byte(rest, 6), rest.get(ipv6::LEN..)?)?;
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
        let pseudo = if self.is_v6 {
            put16(bytes, self.l3 + 4, (total - self.l3 - ipv6::LEN) as u16);
            let src = wire::bytes::be128(bytes, self.l3 + 8);
            let dst = wire::bytes::be128(bytes, self.l3 + 24);
            pseudo_ipv6(src, dst, proto, l4_len)
        } else {
            put16(bytes, self.l3 + 2, (total - self.l3) as u16);
            let id = be16(bytes, self.l3 + 4).wrapping_add(index as u16);
            put16(bytes, self.l3 + 4, id);
            put16(bytes, self.l3 + 10, 0);
            let check = wire::checksum(bytes.get(self.l3..self.l4).unwrap_or(&[]));
            put16(bytes, self.l3 + 10, check);
            pseudo_ipv4(be32(bytes, self.l3 + 12), be32(bytes, self.l3 + 16), proto, l4_len)
        };
        let check_at = if self.is_tcp {
            let sequence = be32(bytes, self.l4 + 4).wrapping_add((index * size) as u32);
            put32(bytes, self.l4 + 4, sequence);
            let mut flags = byte(bytes, self.l4 + 13);
            if !is_last {
                flags &= !(tcp::FIN | tcp::PSH) as u8;
            }
            if index > 0 {
                flags &= !tcp::CWR as u8;
            }
            put(bytes, self.l4 + 13, [flags]);
            self.l4 + tcp::CHECK_OFFSET
        } else {
            put16(bytes, self.l4 + 4, l4_len as u16);
            self.l4 + udp::CHECK_OFFSET
        };
        put16(bytes, check_at, 0);
        let sum = pseudo.bytes(bytes.get(self.l4..).unwrap_or(&[])).finish();
        put16(bytes, check_at, if sum == 0 && !self.is_tcp { 0xffff } else { sum });
    }
}

#[cfg(test)]
mod tests {
    use base::MacAddr;
    use proptest::prelude::*;

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
