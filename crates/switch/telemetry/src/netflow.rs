//! NetFlow v5 as an export of a bridge.
//!
//! A flow is reported when no megaflow counts for it any more, when its packets begin to go another way, and every
//! active timeout while it goes on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{OfPort, Timestamp};
use pipeline::{Counted, FlowId, FlowLog, Output};

use crate::export::{ExportedBridge, Exporter, SampledPacket};
use crate::netflow_v5::{Header, MAX_RECORDS, Record, datagram};

/// How long a flow goes on unreported where nobody says.
pub const ACTIVE_TIMEOUT: Duration = Duration::from_secs(600);
/// Numbers of ports that stand for "nowhere", "several" and "flooded".
const DROPPED: u16 = 0xfffd;
const MULTIPLE: u16 = 0xfffe;
const FLOODED: u16 = 0xffff;
const ICMP: u8 = 1;

/// What the export says of itself, and how often it reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetflowConfig {
    /// The kind of the engine.
    pub engine_type: u8,
    /// Which one of its kind.
    pub engine_id: u8,
    /// Seven bits of `engine_id` stand before nine of each port's number, so that collectors tell bridges apart.
    pub adds_id_to_port: bool,
    /// How long a flow goes on unreported; zero is for ever.
    pub active_timeout: Duration,
}

/// A flow of which packets were counted.
#[derive(Debug)]
struct Flow {
    output: Output,
    /// The first packets since it was reported for another way.
    created: Timestamp,
    used: Timestamp,
    /// When it was reported last, or would have been.
    expired: Timestamp,
    packets: u64,
    bytes: u64,
    tcp_flags: u16,
}

/// The export of one bridge.
#[derive(Debug)]
pub struct Netflow {
    config: NetflowConfig,
    log: Arc<FlowLog>,
    flows: HashMap<FlowId, Flow>,
    writer: Writer,
    /// When active flows are looked at next.
    next: Timestamp,
}

impl Netflow {
    /// Exports what is counted in `log`, from now on.
    pub fn new(config: NetflowConfig, log: Arc<FlowLog>, now: Timestamp) -> Netflow {
        let writer = Writer { boot: now, now, wall: Duration::ZERO, sequence: 0, records: Vec::new() };
        Netflow { config, log, flows: HashMap::new(), writer, next: now }
    }

    /// Takes over what was counted.
    fn follow(&mut self) {
        for (id, taken) in self.log.take() {
            for counted in taken.counted {
                self.count(id, counted);
            }
            if taken.is_over
                && let Some(mut flow) = self.flows.remove(&id)
            {
                self.writer.report(&self.config, id, &mut flow);
            }
        }
    }

    fn count(&mut self, id: FlowId, counted: Counted) {
        let Counted { output, packets, bytes, tcp_flags, first, last } = counted;
        let now = self.writer.now;
        let flow = self.flows.entry(id).or_insert(Flow {
            output,
            created: first,
            used: Timestamp::ZERO,
            expired: now,
            packets: 0,
            bytes: 0,
            tcp_flags: 0,
        });
        if flow.output != output {
            self.writer.report(&self.config, id, flow);
            (flow.created, flow.output, flow.expired) = (first, output, now);
        }
        flow.packets += packets;
        flow.bytes += bytes;
        flow.tcp_flags |= tcp_flags;
        flow.used = flow.used.max(last);
    }

    /// Reports flows that have gone on for long, and forgets those without packets.
    fn expire(&mut self) {
        let now = self.writer.now;
        let (config, writer) = (&self.config, &mut self.writer);
        self.flows.retain(|id, flow| {
            if now.since(flow.expired) <= config.active_timeout {
                return true;
            }
            let is_idle = flow.used < flow.expired;
            writer.report(config, *id, flow);
            flow.expired = flow.expired + config.active_timeout;
            !is_idle
        });
    }
}

impl Exporter for Netflow {
    fn sample(&mut self, _: &SampledPacket<'_>, _: &dyn ExportedBridge) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn tick(&mut self, now: Timestamp, bridge: &dyn ExportedBridge) -> Vec<Vec<u8>> {
        (self.writer.now, self.writer.wall) = (now, bridge.wall_clock());
        self.follow();
        if !self.config.active_timeout.is_zero() && now >= self.next {
            self.next = now + Duration::from_secs(1);
            self.expire();
        }
        self.writer.take(&self.config)
    }

    fn finish(&mut self, _: Duration) -> Vec<Vec<u8>> {
        self.follow();
        for (id, mut flow) in std::mem::take(&mut self.flows) {
            self.writer.report(&self.config, id, &mut flow);
        }
        self.writer.take(&self.config)
    }
}

/// Gathers records, and puts them into datagrams.
#[derive(Debug)]
struct Writer {
    /// From when on the switch's time counts.
    boot: Timestamp,
    now: Timestamp,
    /// Since 1970.
    wall: Duration,
    /// Records that were sent.
    sequence: u32,
    records: Vec<Record>,
}

impl Writer {
    /// Reports what was counted since the last time, and counts from zero on.
    fn report(&mut self, config: &NetflowConfig, id: FlowId, flow: &mut Flow) {
        let [first_ms, last_ms] =
            [flow.created, flow.created.max(flow.used)].map(|time| self.uptime_ms(time));
        let (src_port, dst_port) =
            if id.protocol == ICMP { (0, id.tp_src << 8 | id.tp_dst & 0xff) } else { (id.tp_src, id.tp_dst) };
        let (mut packets, mut bytes) = (flow.packets, flow.bytes);
        // Records have 32 bits for each: what is more is spread over several.
        while bytes > 0 {
            let records = bytes.div_ceil(u32::MAX.into());
            let (some_packets, some_bytes) = (packets / records, bytes / records);
            self.records.push(Record {
                src: id.src,
                dst: id.dst,
                input: config.port(port_number(id.in_port)),
                output: config.port(output_number(flow.output)),
                packets: some_packets as u32,
                bytes: some_bytes as u32,
                first_ms,
                last_ms,
                src_port,
                dst_port,
                tcp_flags: flow.tcp_flags as u8,
                protocol: id.protocol,
                tos: id.tos,
            });
            packets -= some_packets;
            bytes -= some_bytes;
        }
        (flow.packets, flow.bytes, flow.tcp_flags) = (0, 0, 0);
    }

    /// The datagrams of all records that were gathered.
    fn take(&mut self, config: &NetflowConfig) -> Vec<Vec<u8>> {
        let mut header = Header {
            uptime_ms: self.uptime_ms(self.now),
            seconds: self.wall.as_secs() as u32,
            nanoseconds: self.wall.subsec_nanos(),
            sequence: self.sequence,
            engine_type: config.engine_type,
            engine_id: config.engine_id,
            ..Header::default()
        };
        let records = std::mem::take(&mut self.records);
        let datagrams = records.chunks(MAX_RECORDS).map(|records| {
            let bytes = datagram(&header, records);
            header.sequence = header.sequence.wrapping_add(records.len() as u32);
            bytes
        });
        let datagrams = datagrams.collect();
        self.sequence = header.sequence;
        datagrams
    }

    fn uptime_ms(&self, time: Timestamp) -> u32 {
        time.as_millis().wrapping_sub(self.boot.as_millis()) as u32
    }
}

impl NetflowConfig {
    fn port(&self, number: u16) -> u16 {
        if self.adds_id_to_port { u16::from(self.engine_id & 0x7f) << 9 | number & 0x1ff } else { number }
    }
}

/// As OpenFlow 1.0 numbers it.
fn port_number(port: OfPort) -> u16 {
    port.to_u16().unwrap_or(FLOODED)
}

fn output_number(output: Output) -> u16 {
    match output {
        Output::Drop => DROPPED,
        Output::Port(port) => port_number(port),
        Output::Multiple => MULTIPLE,
        Output::Flood => FLOODED,
    }
}

#[cfg(test)]
mod tests;
