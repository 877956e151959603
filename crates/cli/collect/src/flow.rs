//! What was seen of a flow, whichever protocol told of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use telemetry::flow_reader::FlowRecord;

use crate::packet::Packet;

/// Packets that have addresses, protocol and ports in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    pub src: Option<IpAddr>,
    pub dst: Option<IpAddr>,
    pub protocol: u8,
    pub src_port: u16,
    /// The destination's port; of ICMP, 256 times the type, and the code.
    pub dst_port: u16,
    pub tos: u8,
    pub tcp_flags: u8,
    pub vlan: u16,
    /// The interface that the packets came in by.
    pub input: u32,
    /// The interface that they left by.
    pub output: u32,
    pub packets: u64,
    /// Of the packets from their IP headers on; of frames where nothing else is known.
    pub bytes: u64,
    /// From the first packet to the last, in milliseconds.
    pub duration_ms: u64,
}

impl Flow {
    /// A record of NetFlow or IPFIX of which one packet in `sampling` was counted; `None` of a record that counts no packets,
    /// such as an exporter's own statistics.
    // house: long because it is a table, a line for each element of IANA's registry.
    pub(crate) fn of_record(record: &FlowRecord<'_>, sampling: u16) -> Option<Flow> {
        let mut flow = Flow::default();
        let (mut frame_bytes, mut uptime, mut clock) = (0, (0, 0), (0, 0));
        let (mut icmp_type, mut icmp_code) = (None, None);
        for (element, value) in record.values.iter().filter(|(element, _)| element.enterprise == 0) {
            let number = number(value);
            match element.id {
                1 => flow.bytes = number,
                2 => flow.packets = number,
                4 => flow.protocol = number as u8,
                5 => flow.tos = number as u8,
                6 => flow.tcp_flags = number as u8,
                7 => flow.src_port = number as u16,
                8 | 27 => flow.src = address(value),
                10 => flow.input = number as u32,
                11 | 32 => flow.dst_port = number as u16,
                12 | 28 => flow.dst = address(value),
                14 => flow.output = number as u32,
                21 => uptime.1 = number,
                22 => uptime.0 = number,
                58 | 243 => flow.vlan = number as u16,
                152 => clock.0 = number,
                153 => clock.1 = number,
                176 | 178 => icmp_type = Some(number as u8),
                177 | 179 => icmp_code = Some(number as u8),
                352 => frame_bytes = number,
                _ => {}
            }
        }
        if let (Some(icmp_type), code) = (icmp_type, icmp_code.unwrap_or(0)) {
            flow.dst_port = u16::from_be_bytes([icmp_type, code]);
        }
        if flow.bytes == 0 {
            flow.bytes = frame_bytes;
        }
        flow.duration_ms = uptime.1.saturating_sub(uptime.0).max(clock.1.saturating_sub(clock.0));
        flow.packets = flow.packets.saturating_mul(sampling.into());
        flow.bytes = flow.bytes.saturating_mul(sampling.into());
        (flow.packets > 0).then_some(flow)
    }

    /// A sampled packet, for all that it stands for.
    pub(crate) fn of_packet(packet: &Packet) -> Flow {
        let rate = u64::from(packet.rate.max(1));
        Flow {
            src: packet.src,
            dst: packet.dst,
            protocol: packet.protocol,
            src_port: packet.src_port,
            dst_port: packet.dst_port,
            tos: packet.tos,
            tcp_flags: packet.tcp_flags,
            vlan: packet.in_vlan as u16,
            input: packet.input,
            output: packet.output,
            packets: rate,
            bytes: rate * u64::from(packet.ip_len()),
            duration_ms: 0,
        }
    }
}

/// A number of up to eight bytes; of more, the last ones.
fn number(value: &[u8]) -> u64 {
    value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(value).map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
    four.or_else(|_| <[u8; 16]>::try_from(value).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

#[cfg(test)]
mod tests {
    use telemetry::flow_reader::Element;

    use super::*;

    fn record<'a>(values: &[(u16, &'a [u8])]) -> FlowRecord<'a> {
        let values = values.iter().map(|(id, value)| (Element { enterprise: 0, id: *id }, *value)).collect();
        FlowRecord { template: 256, values }
    }

    #[test]
    fn a_record_counts_what_was_not_sampled() {
        let values: [(u16, &[u8]); 6] =
            [(8, &[10, 0, 0, 1]), (12, &[10, 0, 0, 2]), (2, &[3]), (1, &[1, 0]), (4, &[6]), (11, &[0, 80])];
        let flow = Flow::of_record(&record(&values), 10).unwrap();
        let (src, dst) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        assert_eq!(
            flow,
            Flow { src, dst, protocol: 6, dst_port: 80, packets: 30, bytes: 2560, ..Flow::default() }
        );
    }

    #[test]
    fn a_record_without_packets_is_no_flow() {
        assert_eq!(Flow::of_record(&record(&[(144, &[1]), (1, &[9])]), 1), None);
        // Values longer than any number harm nobody.
        assert!(Flow::of_record(&record(&[(2, &[1; 70])]), 1).is_some());
    }

    #[test]
    fn types_of_icmp_stand_where_netflow_has_them() {
        let flow = Flow::of_record(&record(&[(2, &[1]), (176, &[8]), (177, &[1])]), 1).unwrap();
        assert_eq!(flow.dst_port, 0x801);
        let flow = Flow::of_record(&record(&[(2, &[1]), (352, &[98]), (152, &[2]), (153, &[9])]), 1).unwrap();
        assert_eq!((flow.bytes, flow.duration_ms), (98, 7));
    }
}
