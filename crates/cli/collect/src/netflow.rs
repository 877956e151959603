//! Sampled packets as NetFlow version 5: a packet of one flow record each.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use telemetry::netflow_v5::{self, Header, Record};

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
    let header = Header { uptime_ms, seconds, sequence, sampling: interval, ..Header::default() };
    let record = Record {
        src,
        dst,
        input: packet.input as u16,
        output: packet.output as u16,
        packets,
        bytes,
        first_ms: uptime_ms,
        last_ms: uptime_ms,
        src_port: packet.src_port,
        dst_port: packet.dst_port,
        tcp_flags: packet.tcp_flags,
        protocol: packet.protocol,
        tos: packet.tos,
    };
    Some(netflow_v5::datagram(&header, &[record]))
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
