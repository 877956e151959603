//! Bytes to types. Accepts what any agent sends; never panics, whatever comes.
//!
//! A record of a known format whose body does not fit that format is handed on
//! as `Other`: one odd record does not cost the rest of its datagram.

use std::net::IpAddr;

use base::MacAddr;

use crate::datagram::{
    AppResources, CounterRecord, CounterSample, Datagram, DatapathCounters, FlowRecord, FlowSample,
    InterfaceCounters, Ipv4Tunnel, LagCounters, MplsStacks, PortRef, Sample, Source, SwitchTags, format,
};
use crate::encode::VERSION;

/// What is wrong with a datagram.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the datagram ends at byte {at}, within its {what}")]
    Short { what: &'static str, at: usize },
    #[error("sFlow version {0}, where 5 was expected")]
    Version(u32),
    #[error("agent address of type {0}, where 1 (IPv4) or 2 (IPv6) was expected")]
    AddressType(u32),
}

impl Datagram {
    pub fn decode(bytes: &[u8]) -> Result<Datagram, DecodeError> {
        let mut input = Input { bytes, at: 0 };
        let version = input.need("version", Input::u32)?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let agent = match input.need("address type", Input::u32)? {
            1 => IpAddr::from(input.need("agent address", Input::array::<4>)?),
            2 => IpAddr::from(input.need("agent address", Input::array::<16>)?),
            other => return Err(DecodeError::AddressType(other)),
        };
        let sub_agent = input.need("sub-agent", Input::u32)?;
        let sequence = input.need("sequence number", Input::u32)?;
        let uptime_ms = input.need("uptime", Input::u32)?;
        let count = input.need("number of samples", Input::u32)?;
        let mut samples = Vec::new();
        for _ in 0..count {
            let format = input.need("sample format", Input::u32)?;
            let body = input.need("sample", Input::opaque)?;
            samples.push(sample(format, body));
        }
        Ok(Datagram { agent, sub_agent, sequence, uptime_ms, samples })
    }
}

fn sample(kind: u32, body: &[u8]) -> Sample {
    let mut input = Input { bytes: body, at: 0 };
    let known = match kind {
        format::FLOW => flow(&mut input, false).map(Sample::Flow),
        format::FLOW_EXPANDED => flow(&mut input, true).map(Sample::Flow),
        format::COUNTERS => counters(&mut input, false).map(Sample::Counters),
        format::COUNTERS_EXPANDED => counters(&mut input, true).map(Sample::Counters),
        _ => None,
    };
    known.unwrap_or_else(|| Sample::Other { format: kind, body: body.to_vec() })
}

fn flow(input: &mut Input<'_>, is_expanded: bool) -> Option<FlowSample> {
    Some(FlowSample {
        is_expanded,
        sequence: input.u32()?,
        source: input.source(is_expanded)?,
        rate: input.u32()?,
        pool: input.u32()?,
        drops: input.u32()?,
        input: input.port(is_expanded)?,
        output: input.port(is_expanded)?,
        records: input.records(|kind, body| {
            flow_record(kind, body).unwrap_or_else(|| FlowRecord::Other { format: kind, body: body.to_vec() })
        })?,
    })
}

fn flow_record(kind: u32, body: &[u8]) -> Option<FlowRecord> {
    let mut input = Input { bytes: body, at: 0 };
    let record = match kind {
        format::HEADER => FlowRecord::Header {
            protocol: input.u32()?,
            frame_length: input.u32()?,
            stripped: input.u32()?,
            bytes: input.opaque()?.to_vec(),
        },
        format::SWITCH => FlowRecord::Switch(SwitchTags {
            in_vlan: input.u32()?,
            in_priority: input.u32()?,
            out_vlan: input.u32()?,
            out_priority: input.u32()?,
        }),
        format::TUNNEL_EGRESS => FlowRecord::TunnelEgress(tunnel(&mut input)?),
        format::TUNNEL_INGRESS => FlowRecord::TunnelIngress(tunnel(&mut input)?),
        format::VNI_EGRESS => FlowRecord::VniEgress(input.u32()?),
        format::VNI_INGRESS => FlowRecord::VniIngress(input.u32()?),
        format::MPLS => FlowRecord::Mpls(MplsStacks {
            next_hop: input.address()?,
            came: input.words()?,
            left: input.words()?,
        }),
        _ => return None,
    };
    Some(record)
}

fn tunnel(input: &mut Input<'_>) -> Option<Ipv4Tunnel> {
    Some(Ipv4Tunnel {
        length: input.u32()?,
        protocol: input.u32()?,
        src: input.u32()?,
        dst: input.u32()?,
        src_port: input.u32()?,
        dst_port: input.u32()?,
        tcp_flags: input.u32()?,
        tos: input.u32()?,
    })
}

fn counters(input: &mut Input<'_>, is_expanded: bool) -> Option<CounterSample> {
    Some(CounterSample {
        is_expanded,
        sequence: input.u32()?,
        source: input.source(is_expanded)?,
        records: input.records(|kind, body| {
            counter_record(kind, body)
                .unwrap_or_else(|| CounterRecord::Other { format: kind, body: body.to_vec() })
        })?,
    })
}

fn counter_record(kind: u32, body: &[u8]) -> Option<CounterRecord> {
    let mut input = Input { bytes: body, at: 0 };
    let record = match kind {
        format::INTERFACE => CounterRecord::Interface(interface(&mut input)?),
        format::ETHERNET => {
            let mut counters = [0; 13];
            for counter in &mut counters {
                *counter = input.u32()?;
            }
            CounterRecord::Ethernet(counters)
        }
        format::OPENFLOW_PORT => {
            CounterRecord::OpenFlowPort { datapath_id: input.u64()?, port: input.u32()? }
        }
        format::PORT_NAME => CounterRecord::PortName(String::from_utf8(input.opaque()?.to_vec()).ok()?),
        format::LAG => CounterRecord::Lag(lag(&mut input)?),
        format::APP_RESOURCES => CounterRecord::AppResources(AppResources {
            user_time_ms: input.u32()?,
            system_time_ms: input.u32()?,
            memory_used: input.u64()?,
            memory_max: input.u64()?,
            open_files: input.u32()?,
            max_files: input.u32()?,
            connections: input.u32()?,
            max_connections: input.u32()?,
        }),
        format::DATAPATH => CounterRecord::Datapath(DatapathCounters {
            hits: input.u32()?,
            misses: input.u32()?,
            lost: input.u32()?,
            mask_hits: input.u32()?,
            flows: input.u32()?,
            masks: input.u32()?,
        }),
        _ => return None,
    };
    Some(record)
}

fn lag(input: &mut Input<'_>) -> Option<LagCounters> {
    Some(LagCounters {
        actor_system: input.mac()?,
        partner_system: input.mac()?,
        aggregate: input.u32()?,
        states: input.array()?,
        received: input.u32()?,
        markers_received: input.u32()?,
        marker_responses_received: input.u32()?,
        unknown_received: input.u32()?,
        illegal_received: input.u32()?,
        sent: input.u32()?,
        markers_sent: input.u32()?,
        marker_responses_sent: input.u32()?,
    })
}

fn interface(input: &mut Input<'_>) -> Option<InterfaceCounters> {
    Some(InterfaceCounters {
        index: input.u32()?,
        kind: input.u32()?,
        speed: input.u64()?,
        direction: input.u32()?,
        status: input.u32()?,
        in_octets: input.u64()?,
        in_unicast: input.u32()?,
        in_multicast: input.u32()?,
        in_broadcast: input.u32()?,
        in_discards: input.u32()?,
        in_errors: input.u32()?,
        in_unknown_protocols: input.u32()?,
        out_octets: input.u64()?,
        out_unicast: input.u32()?,
        out_multicast: input.u32()?,
        out_broadcast: input.u32()?,
        out_discards: input.u32()?,
        out_errors: input.u32()?,
        promiscuous: input.u32()?,
    })
}

/// Bytes being read.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn need<T>(
        &mut self,
        what: &'static str,
        read: impl Fn(&mut Input<'a>) -> Option<T>,
    ) -> Result<T, DecodeError> {
        read(self).ok_or(DecodeError::Short { what, at: self.bytes.len() })
    }

    /// An address and two bytes that fill its words up.
    fn mac(&mut self) -> Option<MacAddr> {
        let address = self.array::<6>()?;
        self.array::<2>()?;
        Some(MacAddr(address))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(array)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Words with their number before.
    fn words(&mut self) -> Option<Vec<u32>> {
        let count = self.u32()?;
        // Not collected into room for as many as it says: it may lie.
        (0..count).map(|_| self.u32()).collect()
    }

    fn address(&mut self) -> Option<IpAddr> {
        match self.u32()? {
            1 => self.array::<4>().map(IpAddr::from),
            2 => self.array::<16>().map(IpAddr::from),
            _ => None,
        }
    }

    /// Bytes with their length before and padding behind; padding may be missing at the very end.
    fn opaque(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let end = self.at.checked_add(len)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end.checked_next_multiple_of(4)?;
        Some(bytes)
    }

    fn source(&mut self, is_expanded: bool) -> Option<Source> {
        let first = self.u32()?;
        Some(if is_expanded {
            Source { class: first, index: self.u32()? }
        } else {
            Source { class: first >> 24, index: first & 0xff_ffff }
        })
    }

    fn port(&mut self, is_expanded: bool) -> Option<PortRef> {
        let first = self.u32()?;
        Some(if is_expanded {
            PortRef { format: first, value: self.u32()? }
        } else {
            PortRef::from_word(first)
        })
    }

    fn records<T>(&mut self, read: impl Fn(u32, &[u8]) -> T) -> Option<Vec<T>> {
        let mut records = Vec::new();
        for _ in 0..self.u32()? {
            let format = self.u32()?;
            records.push(read(format, self.opaque()?));
        }
        Some(records)
    }
}

#[cfg(test)]
mod tests;
