//! Sampled packets as NetFlow version 5: a packet of one flow record each.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::packet::Packet;

/// The bit of `sampling_interval` that says that packets were sampled.
const IS_SAMPLED: u16 = 0x4000;

/// A NetFlow packet, or `None` for what NetFlow v5 cannot tell: anything but
/// IPv4, and fragments, whose ports are unknown.
pub(crate) fn datagram(packet: &Packet, sequence: u32, is_scaled: bool, now: SystemTime) -> Option<Vec<u8>> {
    let (Some(IpAddr::V4(src)), Some(IpAddr::V4(dst))) = (packet.src, packet.dst) else { return None };
    if packet.fragment_offset > 0 {
        return None;
    }
    // A large UDP datagram is sampled in its first fragment only, which states the length of all.
    let bytes = if packet.udp_len > 0 { packet.udp_len.into() } else { packet.ip_len() };
    let (packets, bytes, interval) = if is_scaled {
        (packet.rate, packet.rate.wrapping_mul(bytes), 0)
    } else {
        (1, bytes, packet.rate as u16 & !0xc000 | IS_SAMPLED)
    };
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
    // Times count from midnight, as if the exporter had started then.
    let uptime_ms = seconds % 86_400 * 1000;
    let mut out = Vec::with_capacity(72);
    out.extend(5u16.to_be_bytes());
    out.extend(1u16.to_be_bytes());
    for word in [uptime_ms, seconds, 0, sequence] {
        out.extend(word.to_be_bytes());
    }
    out.extend([0, 0]);
    out.extend(interval.to_be_bytes());
    out.extend(src.octets());
    out.extend(dst.octets());
    // The next hop, which samples of a switch do not tell.
    out.extend([0; 4]);
    out.extend((packet.input as u16).to_be_bytes());
    out.extend((packet.output as u16).to_be_bytes());
    for word in [packets, bytes, uptime_ms, uptime_ms] {
        out.extend(word.to_be_bytes());
    }
    out.extend(packet.src_port.to_be_bytes());
    out.extend(packet.dst_port.to_be_bytes());
    out.extend([0, packet.tcp_flags, packet.protocol, packet.tos]);
    // Autonomous systems and prefix lengths are not known either; padding.
    out.extend([0; 8]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fields::Fields;
    use crate::packet::tests::ping;

    #[test]
    fn a_ping_is_a_flow() {
        let mut packet =
            Packet { len: 106, stripped: 4, rate: 64, input: 4, header: ping(), ..Packet::default() };
        packet.read(1, &mut Fields::default());
        let now = UNIX_EPOCH + Duration::from_secs(86_400 + 5);
        let bytes = datagram(&packet, 9, true, now).unwrap();
        assert_eq!(bytes.len(), 72);
        assert_eq!(bytes[4..8], 5000u32.to_be_bytes());
        assert_eq!(bytes[24..32], [10, 1, 0, 1, 10, 1, 0, 2]);
        assert_eq!(bytes[36..38], [0, 4]);
        assert_eq!(bytes[40..48], [[0, 0, 0, 64], (64 * 84u32).to_be_bytes()].concat());
        assert_eq!(bytes[62], 1);
        let bytes = datagram(&packet, 9, false, now).unwrap();
        assert_eq!((&bytes[22..24], &bytes[40..44]), (&[0x40, 64][..], &[0, 0, 0, 1][..]));
        assert_eq!(datagram(&Packet::default(), 0, true, now), None);
    }
}
