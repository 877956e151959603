//! What is reported of flows, and when.

use std::net::Ipv4Addr;

use dp::{DpStats, PortInfo, PortStats};

use super::*;
use crate::datagram::AppResources;
use crate::export::ExportedPort;
use crate::netflow_v5::{HEADER_LEN, RECORD_LEN};

struct Bridge;

impl ExportedBridge for Bridge {
    fn datapath_id(&self) -> u64 {
        0
    }
    fn ifindex(&self, _: base::DpPort) -> Option<u32> {
        None
    }
    fn ports(&self) -> Vec<ExportedPort> {
        Vec::new()
    }
    fn port(&self, _: base::DpPort) -> Option<Arc<PortInfo>> {
        None
    }
    fn port_stats(&self, _: base::DpPort) -> Option<PortStats> {
        None
    }
    fn datapath_stats(&self) -> DpStats {
        DpStats::default()
    }
    fn wall_clock(&self) -> Duration {
        Duration::new(1_700_000_000, 5)
    }
    fn resources(&self) -> Option<AppResources> {
        None
    }
}

const CONFIG: NetflowConfig = NetflowConfig {
    engine_type: 2,
    engine_id: 0x81,
    adds_id_to_port: false,
    active_timeout: Duration::from_secs(10),
};

fn netflow(config: NetflowConfig) -> Netflow {
    Netflow::new(config, Arc::default(), Timestamp::from_millis(1000))
}

fn id(tp_src: u16) -> FlowId {
    let [src, dst] = [1, 2].map(|n| Ipv4Addr::new(10, 0, 0, n));
    FlowId { in_port: OfPort(1), src, dst, tos: 0xb8, protocol: 6, tp_src, tp_dst: 80 }
}

/// One packet of a hundred bytes at this millisecond.
fn one(ms: u64, output: Output) -> Counted {
    let time = Timestamp::from_millis(ms);
    Counted { output, packets: 1, bytes: 100, tcp_flags: 0x112, first: time, last: time }
}

fn tick(netflow: &mut Netflow, ms: u64) -> Vec<Vec<u8>> {
    netflow.tick(Timestamp::from_millis(ms), &Bridge)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) << 16 | u32::from(half(bytes, at + 2))
}

#[test]
fn a_record_is_as_the_format_has_it() {
    let mut netflow = netflow(CONFIG);
    netflow.count(id(7), one(2000, Output::Port(OfPort(2))));
    netflow.count(id(7), one(2500, Output::Port(OfPort(2))));
    assert_eq!(tick(&mut netflow, 3000), Vec::<Vec<u8>>::new(), "it goes on");
    let datagrams = netflow.finish(Duration::ZERO);
    let [datagram] = datagrams.as_slice() else { panic!("{datagrams:?}") };
    let hex: String = datagram.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = concat!("0005", "0001", "000007d0", "6553f100", "00000005", "00000000", "02", "81", "0000");
    let addresses = concat!("0a000001", "0a000002", "00000000", "0001", "0002");
    let counters = concat!("00000002", "000000c8", "000003e8", "000005dc");
    let rest = concat!("0007", "0050", "00", "12", "06", "b8", "0000000000000000");
    assert_eq!(hex, [header, addresses, counters, rest].concat());
}

#[test]
fn icmp_has_type_and_code_in_the_port_and_ports_may_have_the_engine() {
    let mut netflow = netflow(NetflowConfig { adds_id_to_port: true, ..CONFIG });
    netflow.count(FlowId { protocol: ICMP, tp_src: 8, tp_dst: 1, ..id(0) }, one(1, Output::Flood));
    let datagram = netflow.finish(Duration::ZERO).remove(0);
    assert_eq!((half(&datagram, 24 + 32), half(&datagram, 24 + 34)), (0, 0x0801));
    assert_eq!((half(&datagram, 24 + 12), half(&datagram, 24 + 14)), (1 << 9 | 1, 1 << 9 | 0x1ff));
}

#[test]
fn a_flow_that_goes_another_way_is_reported_for_each() {
    let mut netflow = netflow(CONFIG);
    for (ms, output) in [(2000, Output::Flood), (2100, Output::Drop), (2200, Output::Multiple)] {
        netflow.count(id(1), one(ms, output));
    }
    let datagram = netflow.finish(Duration::ZERO).remove(0);
    let ways: Vec<u16> = datagram[HEADER_LEN..].chunks(RECORD_LEN).map(|record| half(record, 14)).collect();
    assert_eq!(ways, [FLOODED, DROPPED, MULTIPLE]);
    let starts: Vec<u32> = datagram[HEADER_LEN..].chunks(RECORD_LEN).map(|record| word(record, 24)).collect();
    assert_eq!(starts, [1000, 1100, 1200]);
}

#[test]
fn a_flow_that_goes_on_is_reported_every_timeout_and_forgotten_when_it_is_idle() {
    let mut netflow = netflow(CONFIG);
    let mut reported = Vec::new();
    for second in 1..60 {
        if second <= 25 {
            netflow.count(id(1), one(second * 1000, Output::Flood));
        }
        let datagrams = tick(&mut netflow, second * 1000);
        reported.extend(datagrams.iter().map(|datagram| (second, word(datagram, HEADER_LEN + 16))));
    }
    assert_eq!(reported, [(12, 12), (22, 10), (32, 3)]);
    assert!(netflow.flows.is_empty());
}

#[test]
fn without_a_timeout_a_flow_is_reported_when_it_is_over() {
    let mut netflow = netflow(NetflowConfig { active_timeout: Duration::ZERO, ..CONFIG });
    netflow.count(id(1), one(2000, Output::Flood));
    assert!((3..10_000).all(|second| tick(&mut netflow, second * 1000).is_empty()));
    assert_eq!(netflow.finish(Duration::ZERO).len(), 1);
}

#[test]
fn counters_beyond_32_bits_are_spread_over_records() {
    let mut netflow = netflow(CONFIG);
    netflow.count(id(1), Counted { packets: 10_000_000, bytes: 10_000_000_001, ..one(1, Output::Flood) });
    let datagram = netflow.finish(Duration::ZERO).remove(0);
    let records: Vec<&[u8]> = datagram[HEADER_LEN..].chunks(RECORD_LEN).collect();
    let sum = |at| records.iter().map(|record| u64::from(word(record, at))).sum::<u64>();
    assert_eq!((records.len(), sum(16), sum(20)), (3, 10_000_000, 10_000_000_001));
}

#[test]
fn datagrams_have_thirty_records_and_number_those_before() {
    let mut netflow = netflow(CONFIG);
    (0..70).for_each(|source| netflow.count(id(source), one(1, Output::Flood)));
    let datagrams = netflow.finish(Duration::ZERO);
    let heads: Vec<(u16, u32)> =
        datagrams.iter().map(|datagram| (half(datagram, 2), word(datagram, 16))).collect();
    assert_eq!(heads, [(30, 0), (30, 30), (10, 60)]);
    assert!(
        datagrams
            .iter()
            .all(|datagram| datagram.len() == HEADER_LEN + RECORD_LEN * usize::from(half(datagram, 2)))
    );
}
