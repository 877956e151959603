//! What is exported of samples, and that whoever has the templates can read it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::MacAddr;
use dp::{Action, DpStats, PortInfo, PortKind, PortStats, TunnelKind};
use flow::FlowKey;
use proptest::prelude::*;

use super::*;
use crate::datagram::AppResources;
use crate::export::ExportedPort;

/// A bridge at a time, with these ports.
struct Bridge {
    ms: u64,
    ports: BTreeMap<DpPort, Arc<PortInfo>>,
}

impl Bridge {
    fn new() -> Bridge {
        let port = |number, name: &str, kind| {
            let ifindex = Some(number + 100);
            let number = DpPort(number);
            (
                number,
                Arc::new(PortInfo { number, name: name.to_owned(), kind, ifindex, ..PortInfo::default() }),
            )
        };
        let ports = [
            port(1, "eth1", PortKind::System),
            port(2, "eth2", PortKind::System),
            port(3, "gre0", PortKind::Tunnel(TunnelKind::Gre)),
        ];
        Bridge { ms: 1_700_000_000_250, ports: ports.into() }
    }
}

impl ExportedBridge for Bridge {
    fn datapath_id(&self) -> u64 {
        0
    }
    fn ifindex(&self, _: DpPort) -> Option<u32> {
        None
    }
    fn ports(&self) -> Vec<ExportedPort> {
        Vec::new()
    }
    fn port(&self, port: DpPort) -> Option<Arc<PortInfo>> {
        self.ports.get(&port).cloned()
    }
    fn port_stats(&self, _: DpPort) -> Option<PortStats> {
        None
    }
    fn datapath_stats(&self) -> DpStats {
        DpStats::default()
    }
    fn wall_clock(&self) -> Duration {
        Duration::from_millis(self.ms)
    }
    fn resources(&self) -> Option<AppResources> {
        None
    }
}

const SOURCE: IpfixSource = IpfixSource::Bridge { domain: 5, point: 6, probability: u32::MAX / 10 };

fn config() -> IpfixConfig {
    IpfixConfig {
        id: 1,
        source: SOURCE,
        active_timeout: Duration::ZERO,
        max_flows: 0,
        stats_interval: IPFIX_INTERVAL,
        template_interval: IPFIX_INTERVAL,
        virtual_id: None,
        reports_tunnels: true,
    }
}

fn frame(protocol: u8) -> FlowKey {
    let mut key = FlowKey::new();
    key.set_in_port(1);
    key.set_dl_src(MacAddr::from_u64(0x0a));
    key.set_dl_dst(MacAddr::from_u64(0x0b));
    key.set_dl_type(0x0800);
    key.set_nw_proto(protocol);
    key.set_nw_src(0x0a00_0001);
    key.set_nw_dst(0x0a00_0002);
    key.set_nw_tos(0xb8);
    key.set_tp_src(1234);
    key.set_tp_dst(80);
    key.set_tcp_flags(0x012);
    key
}

fn input() -> Cookie {
    Cookie::Ipfix { output_port: DpPort::NONE, is_forwarded: true }
}

fn sample(ipfix: &mut Ipfix, key: &FlowKey, cookie: &Cookie, length: usize, bridge: &Bridge) -> Vec<Vec<u8>> {
    let packet = vec![0; length];
    let actions: &[Action] = &[];
    ipfix.sample(
        &SampledPacket { key, packet: &packet, cookie, egress_tunnel: None, actions, lost: 0 },
        bridge,
    )
}

/// A field of a template: its number, its enterprise, its length.
type Field = (u16, u32, u16);
/// A record: its values by number and enterprise; an interface's name and description may come twice.
type Record = Vec<((u16, u32), Vec<u8>)>;

/// Reads messages as a collector does that follows RFC 7011 word by word; panics at what cannot be read.
#[derive(Default)]
struct Reader {
    templates: HashMap<(u32, u16), Vec<Field>>,
}

struct Read {
    domain: u32,
    sequence: u32,
    export_time: u32,
    records: Vec<(u16, Record)>,
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Reader {
    fn read(&mut self, message: &[u8]) -> Read {
        assert_eq!((half(message, 0), usize::from(half(message, 2))), (10, message.len()));
        let domain = word(message, 12);
        let mut records = Vec::new();
        let mut rest = &message[16..];
        while !rest.is_empty() {
            let (set, length) = (half(rest, 0), usize::from(half(rest, 2)));
            let mut body = &rest[4..length];
            rest = &rest[length..];
            match set {
                2 | 3 => {
                    while !body.is_empty() {
                        let (id, count) = (half(body, 0), half(body, 2));
                        body = &body[if set == 3 { 6 } else { 4 }..];
                        let fields = (0..count).map(|_| read_field(&mut body)).collect();
                        self.templates.insert((domain, id), fields);
                    }
                }
                id => {
                    let fields = self.templates.get(&(domain, id)).expect("a template comes first");
                    while !body.is_empty() {
                        records
                            .push((id, fields.iter().map(|field| read_value(*field, &mut body)).collect()));
                    }
                }
            }
        }
        Read { domain, sequence: word(message, 8), export_time: word(message, 4), records }
    }
}

fn read_field(body: &mut &[u8]) -> Field {
    let (id, length) = (half(body, 0), half(body, 2));
    *body = &body[4..];
    if id & 0x8000 == 0 {
        return (id, 0, length);
    }
    let enterprise = word(body, 0);
    *body = &body[4..];
    (id & 0x7fff, enterprise, length)
}

fn read_value((id, enterprise, length): Field, body: &mut &[u8]) -> ((u16, u32), Vec<u8>) {
    let length = if length == 0xffff {
        let length = body[0];
        *body = &body[1..];
        length.into()
    } else {
        length.into()
    };
    let (value, rest) = body.split_at(length);
    *body = rest;
    ((id, enterprise), value.to_vec())
}

fn number(record: &Record, id: u16) -> u64 {
    let (_, value) = record.iter().find(|((of, enterprise), _)| (*of, *enterprise) == (id, 0)).unwrap();
    value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The records of flows in `messages`, and all that is read on the way.
fn read_all(messages: &[Vec<u8>]) -> Vec<Record> {
    let mut reader = Reader::default();
    let records = messages.iter().flat_map(|message| reader.read(message).records);
    records.filter(|(template, _)| *template != 462).map(|(_, record)| record).collect()
}

#[test]
fn a_sample_is_a_record_at_once_without_a_cache() {
    let (mut ipfix, bridge) = (Ipfix::new(config()), Bridge::new());
    let messages = sample(&mut ipfix, &frame(6), &input(), 114, &bridge);
    let mut reader = Reader::default();
    let read: Vec<Read> = messages.iter().map(|message| reader.read(message)).collect();
    assert_eq!(reader.templates.len(), 88 + 1);
    let (first, last) = (&read[0], read.last().unwrap());
    assert_eq!((first.sequence, first.domain, last.sequence, last.domain), (1, 5, 2, 5));
    assert_eq!(last.export_time, 1_700_000_001, "rounded up");
    let statistics = &read[read.len() - 2];
    assert_eq!((statistics.domain, statistics.sequence, statistics.records[0].0), (0, 1, 462));
    let record = &last.records[0].1;
    assert_eq!(
        [138, 61, 10, 4, 8, 12, 7, 11].map(|id| number(record, id)),
        [6, 0, 101, 6, 0x0a00_0001, 0x0a00_0002, 1234, 80]
    );
    // Each sample stands for ten packets.
    assert_eq!(
        [2, 86, 352, 1, 198, 25, 26].map(|id| number(record, id)),
        [10, 10, 1140, 1000, 100_000, 100, 100]
    );
    assert_eq!([158, 159, 136].map(|id| number(record, id)), [750_000, 750_000, 2]);
    assert_eq!([133, 354, 357].map(|id| number(record, id)), [0, 10, 0], "forwarded, to one host, in");
    assert_eq!([222, 218, 219].map(|id| number(record, id)), [10, 10, 0]);
    // No templates again, as nobody has waited long.
    assert_eq!(sample(&mut ipfix, &frame(6), &input(), 114, &bridge).len(), 1);
}

#[test]
fn what_leaves_says_by_which_port() {
    let (mut ipfix, bridge) = (Ipfix::new(config()), Bridge::new());
    let leaves = Cookie::Ipfix { output_port: DpPort(2), is_forwarded: false };
    let mut key = frame(1);
    key.set_dl_dst(MacAddr::from_u64(0x0100_5e00_0001));
    key.set_vlan(0, 0x8100, 0xa00a | flow::VLAN_CFI);
    let record = read_all(&sample(&mut ipfix, &key, &leaves, 118, &bridge)).remove(0);
    assert_eq!([61, 10, 14, 240, 58, 244].map(|id| number(&record, id)), [1, 101, 102, 18, 10, 5]);
    let names: Vec<_> = record.iter().filter(|((id, _), _)| *id == 82).map(|(_, name)| &name[..]).collect();
    assert_eq!(names, [&b"eth1"[..], &b"eth2"[..]]);
    // Multicast that leaves; it went nowhere.
    assert_eq!([19, 20, 133, 132].map(|id| number(&record, id)), [10, 1000, 10, 1000]);
    assert_eq!([176, 177].map(|id| number(&record, id)), [1234 & 0xff, 80]);
}

#[test]
fn flows_are_counted_until_their_time_is_over() {
    let timeout = Duration::from_secs(30);
    let mut ipfix = Ipfix::new(IpfixConfig { active_timeout: timeout, max_flows: 10, ..config() });
    let mut bridge = Bridge::new();
    let key = frame(17);
    assert!(sample(&mut ipfix, &key, &input(), 100, &bridge).is_empty());
    bridge.ms += 20_000;
    assert!(sample(&mut ipfix, &key, &input(), 200, &bridge).is_empty());
    assert!(ipfix.tick(Timestamp::ZERO, &bridge).is_empty());
    assert_eq!(ipfix.ipfix_stats().unwrap().current_flows, 1);
    bridge.ms += 10_000;
    let record = read_all(&ipfix.tick(Timestamp::ZERO, &bridge)).remove(0);
    assert_eq!([2, 352, 25, 26, 136].map(|id| number(&record, id)), [20, 3000, 86, 186, 2]);
    assert_eq!([158, 159].map(|id| number(&record, id)), [30_750_000, 10_750_000]);
    let stats = ipfix.ipfix_stats().unwrap();
    assert_eq!((stats.total_flows, stats.current_flows, stats.packets, stats.ipv4_packets), (1, 0, 2, 2));
}

#[test]
fn a_full_cache_lets_the_oldest_flow_go() {
    let config = IpfixConfig { active_timeout: Duration::from_secs(30), max_flows: 2, ..config() };
    let (mut ipfix, bridge) = (Ipfix::new(config), Bridge::new());
    for source in 1..3 {
        let mut key = frame(17);
        key.set_nw_src(source);
        assert!(sample(&mut ipfix, &key, &input(), 100, &bridge).is_empty());
    }
    let record = read_all(&sample(&mut ipfix, &frame(17), &input(), 100, &bridge)).remove(0);
    assert_eq!([8, 136].map(|id| number(&record, id)), [1, 5]);
    let mut reader = Reader { templates: HashMap::new() };
    message::templates(Header { export_time: 0, sequence: 0, domain: 5 }, false)
        .iter()
        .for_each(|message| _ = reader.read(message));
    let rest = ipfix.finish(bridge.wall_clock());
    let reasons: Vec<u64> = rest
        .iter()
        .flat_map(|message| reader.read(message).records)
        .map(|(_, of)| number(&of, 136))
        .collect();
    assert_eq!(reasons, [4, 4], "the export ends");
}

#[test]
fn templates_and_statistics_go_again_after_their_intervals() {
    let config = IpfixConfig {
        template_interval: Duration::from_secs(10),
        stats_interval: Duration::from_secs(5),
        ..config()
    };
    let (mut ipfix, mut bridge) = (Ipfix::new(config), Bridge::new());
    let mut messages = |seconds: u64| {
        bridge.ms += seconds * 1000;
        sample(&mut ipfix, &frame(17), &input(), 100, &bridge).len()
    };
    let whole = messages(0);
    assert_eq!([messages(4), messages(1), messages(4), messages(1)], [1, 2, 1, whole]);
    ipfix.sent(3, 2);
    bridge.ms += 5000;
    let read = Reader { templates: [((0, 462), vec![(144, 0, 4), (167, 0, 8)])].into() }
        .read(&sample(&mut ipfix, &frame(17), &input(), 100, &bridge)[0]);
    assert_eq!([144, 167].map(|id| number(&read.records[0].1, id)), [1, 2], "datagrams that were not sent");
}

#[test]
fn rules_choose_their_exporter_and_say_what_they_observe() {
    let source = IpfixSource::CollectorSet(7);
    let (mut ipfix, bridge) = (Ipfix::new(IpfixConfig { source, ..config() }), Bridge::new());
    let cookie = |collector_set_id, direction| Cookie::FlowSample {
        probability: 0x7fff,
        collector_set_id,
        obs_domain_id: 8,
        obs_point_id: 9,
        output_port: DpPort::NONE,
        direction,
        is_forwarded: true,
    };
    assert!(sample(&mut ipfix, &frame(6), &cookie(6, SampleDirection::Egress), 114, &bridge).is_empty());
    assert!(sample(&mut ipfix, &frame(6), &input(), 114, &bridge).is_empty());
    let messages = sample(&mut ipfix, &frame(6), &cookie(7, SampleDirection::Egress), 114, &bridge);
    assert_eq!(word(&messages[0], 12), 8);
    let record = read_all(&messages).remove(0);
    assert_eq!([138, 61, 14, 2].map(|id| number(&record, id)), [9, 1, 0, 2]);
    assert_eq!(ipfix.ipfix_stats().unwrap().collector_set, 7);
}

#[test]
fn a_packet_out_of_a_tunnel_says_so() {
    let bridge = Bridge::new();
    let mut key = frame(6);
    key.set_in_port(3);
    key.set_tun_src(0x0101_0101);
    key.set_tun_dst(0x0202_0202);
    key.set_tun_id(0x0102_0304);
    let of = |reports_tunnels| {
        let mut ipfix = Ipfix::new(IpfixConfig { reports_tunnels, ..config() });
        read_all(&sample(&mut ipfix, &key, &input(), 114, &bridge)).remove(0)
    };
    let tunnel: Vec<_> = of(true).into_iter().filter(|((_, enterprise), _)| *enterprise == 6876).collect();
    let values: Vec<(u16, &[u8])> = tunnel.iter().map(|((id, _), value)| (*id, &value[..])).collect();
    assert_eq!(
        values,
        [
            (893, &[1, 1, 1, 1][..]),
            (894, &[2, 2, 2, 2]),
            (895, &[47]),
            (896, &[0, 0]),
            (897, &[0, 0]),
            (891, &[2]),
            (892, &[1, 2, 3, 4]),
        ]
    );
    assert!(of(false).iter().all(|((_, enterprise), _)| *enterprise == 0));
}

#[test]
fn frames_of_bfd_are_not_exported() {
    let (mut ipfix, bridge) = (Ipfix::new(config()), Bridge::new());
    let mut key = frame(17);
    key.set_tp_dst(3784);
    assert!(sample(&mut ipfix, &key, &input(), 66, &bridge).is_empty());
}

#[test]
fn domains_that_packets_name_do_not_pile_up() {
    let source = IpfixSource::CollectorSet(7);
    let (mut ipfix, bridge) = (Ipfix::new(IpfixConfig { source, ..config() }), Bridge::new());
    for obs_domain_id in 0..2 * MAX_DOMAINS as u32 {
        let cookie = Cookie::FlowSample {
            probability: 1,
            collector_set_id: 7,
            obs_domain_id,
            obs_point_id: 0,
            output_port: DpPort::NONE,
            direction: SampleDirection::Default,
            is_forwarded: false,
        };
        sample(&mut ipfix, &frame(6), &cookie, 60, &bridge);
        assert!(ipfix.domains.len() <= MAX_DOMAINS);
    }
}

prop_compose! {
    fn any_key()(
        in_port in 0u32..5,
        tag in prop::option::of(any::<u16>()),
        dl_type in prop::sample::select(vec![0x0800, 0x86dd, 0x0806, 0x05ff]),
        protocol in prop::sample::select(vec![1, 6, 17, 58, 132, 47]),
        addresses: (u32, u128),
        ports: (u16, u16),
        tunnel: bool,
    ) -> FlowKey {
        let mut key = frame(protocol);
        key.set_in_port(in_port);
        tag.into_iter().for_each(|tci| key.set_vlan(0, 0x8100, tci | flow::VLAN_CFI));
        key.set_dl_type(dl_type);
        key.set_nw_src(addresses.0);
        key.set_ipv6_src(addresses.1);
        key.set_tp_src(ports.0);
        key.set_tp_dst(ports.1);
        key.set_tun_dst(tunnel.into());
        key
    }
}

proptest! {
    /// Every message reads back by the templates that came before it, and has the packets that were sampled.
    #[test]
    fn whatever_is_sent_reads_back(
        keys in prop::collection::vec((any_key(), 0u32..4, 0usize..2000), 1..20),
        virtual_id in prop::option::of("[a-z]{0,254}"),
        max_flows in 0u32..8,
        active in 0u64..2,
    ) {
        let active_timeout = Duration::from_secs(active);
        let mut ipfix = Ipfix::new(IpfixConfig { virtual_id: virtual_id.clone(), max_flows, active_timeout, ..config() });
        let mut bridge = Bridge::new();
        let mut messages = Vec::new();
        for (key, output, length) in &keys {
            let output_port = if *output == 0 { DpPort::NONE } else { DpPort(*output) };
            bridge.ms += 300;
            messages.extend(sample(&mut ipfix, key, &Cookie::Ipfix { output_port, is_forwarded: true }, *length, &bridge));
            messages.extend(ipfix.tick(Timestamp::ZERO, &bridge));
        }
        messages.extend(ipfix.finish(bridge.wall_clock()));
        let records = read_all(&messages);
        let sampled = keys.iter().filter(|(key, ..)| !(key.is_ip() && key.nw_proto() == 17 && BFD_PORTS.contains(&key.tp_dst())));
        prop_assert_eq!(records.iter().map(|record| number(record, 2)).sum::<u64>(), 10 * sampled.count() as u64);
        for record in &records {
            let told = record.iter().find(|((id, enterprise), _)| (*id, *enterprise) == (898, 6876));
            prop_assert_eq!(told.map(|(_, id)| id.as_slice()), virtual_id.as_ref().map(|id| id.as_bytes()));
        }
        prop_assert_eq!(ipfix.ipfix_stats().unwrap().current_flows, 0);
    }
}
