//! Counters of IPFIX: entries of 88 bytes, alike for bridges and sets of collectors.

use super::Encoder;
use super::raw::{Multipart, Raw};
use crate::wire::{Put, Reader};
use crate::{IpfixStats, OfError};

pub(super) fn decode(r: &mut Reader<'_>) -> Result<Vec<IpfixStats>, OfError> {
    let mut all = Vec::new();
    while !r.is_empty() {
        all.push(IpfixStats {
            total_flows: r.u64()?,
            current_flows: r.u64()?,
            packets: r.u64()?,
            ipv4_packets: r.u64()?,
            ipv6_packets: r.u64()?,
            error_packets: r.u64()?,
            ipv4_error_packets: r.u64()?,
            ipv6_error_packets: r.u64()?,
            tx_packets: r.u64()?,
            tx_errors: r.u64()?,
            collector_set: r.u32()?,
        });
        r.skip(4)?;
    }
    Ok(all)
}

pub(super) fn encode(raw: Raw, all: &[IpfixStats], e: &Encoder, out: &mut Vec<u8>) {
    let mut parts = Multipart::new(out, raw, e.version.byte(), e.xid);
    for stats in all {
        parts.entry(|out| {
            let counters = [
                stats.total_flows,
                stats.current_flows,
                stats.packets,
                stats.ipv4_packets,
                stats.ipv6_packets,
                stats.error_packets,
                stats.ipv4_error_packets,
                stats.ipv6_error_packets,
                stats.tx_packets,
                stats.tx_errors,
            ];
            counters.iter().for_each(|counter| out.put_u64(*counter));
            out.put_u32(stats.collector_set);
            out.put_zeros(4);
        });
    }
    parts.end();
}
