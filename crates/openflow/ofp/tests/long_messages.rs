//! What is longer than one OpenFlow message: replies of many parts equal the
//! sum of their parts, and what cannot be cut is not sent at all.

#![allow(clippy::panic, clippy::unwrap_used)] // A test ends that way.

use base::OfPort;
use fields::Protocols;
use ofp::*;

const ENTRIES: u32 = 10_000;
/// What a length of sixteen bits can say.
const LONGEST: usize = 65_535;

const ALL: [Protocols; 7] = [
    Protocols::OF10_STD,
    Protocols::OF10_NXM,
    Protocols::OF11_STD,
    Protocols::OF12_OXM,
    Protocols::OF13_OXM,
    Protocols::OF14_OXM,
    Protocols::OF15_OXM,
];

fn since(version: Version) -> impl Iterator<Item = Protocols> {
    ALL.into_iter().filter(move |protocol| Version::of(*protocol) >= version)
}

fn context(protocol: Protocols) -> Context {
    Context { protocol, n_tables: 255, flow_age: true, loose: false }
}

/// The messages that `message` becomes, each read back; they must be a multipart of one request.
fn parts(message: &Message, protocol: Protocols) -> Vec<Message> {
    let mut bytes = Vec::new();
    message.encode(&Encoder::new(protocol, 77), &mut bytes).unwrap();
    let messages: Vec<&[u8]> = split_messages(&bytes).collect();
    assert_eq!(messages.iter().map(|m| m.len()).sum::<usize>(), bytes.len(), "{protocol}");
    let last = messages.len() - 1;
    let decoded = messages.iter().enumerate().map(|(index, bytes)| {
        let decoded = decode(bytes, &context(protocol)).unwrap_or_else(|e| panic!("{protocol}: {e}"));
        assert_eq!((decoded.xid, decoded.more), (77, index != last), "{protocol}: part {index}");
        decoded.message
    });
    decoded.collect()
}

/// Checks that the parts of `message` together are `entries`, in their order.
fn check<T: PartialEq + std::fmt::Debug>(
    message: &Message,
    entries: &[T],
    protocol: Protocols,
    take: impl Fn(Message) -> Option<Vec<T>>,
) {
    let parts = parts(message, protocol);
    assert!(parts.len() > 1, "{protocol}: {} entries fit into one message", entries.len());
    let mut sum = Vec::new();
    for part in parts {
        let part = take(part).unwrap_or_else(|| panic!("{protocol}: a part is another message"));
        assert!(!part.is_empty(), "{protocol}: an empty part");
        sum.extend(part);
    }
    assert_eq!(sum.len(), entries.len(), "{protocol}");
    for (read, written) in sum.iter().zip(entries) {
        assert_eq!(read, written, "{protocol}");
    }
}

macro_rules! check_all {
    ($kind:ident, $first:expr, $entries:expr) => {
        for protocol in since($first) {
            let entries = $entries(protocol);
            check(&Message::$kind(entries.clone()), &entries, protocol, |message| match message {
                Message::$kind(part) => Some(part),
                _ => None,
            });
        }
    };
}

/// `ENTRIES` entries, each made from its number.
fn many<T>(make: impl Fn(u32) -> T) -> Vec<T> {
    (1..=ENTRIES).map(make).collect()
}

fn actions(text: &str) -> Vec<Action> {
    parse_instructions(text, Names::default()).unwrap().0
}

fn bucket(id: u32) -> Bucket {
    Bucket { weight: 0, watch_port: OfPort::ANY, watch_group: GROUP_ANY, id, actions: actions("output:3") }
}

#[test]
fn rules() {
    let actions = actions("dec_ttl,output:3");
    check_all!(FlowStatsReply, Version::Of10, |protocol: Protocols| {
        let has_flags = protocol.intersects(Protocols::OF13_UP);
        let has_age = protocol.intersects(Protocols::OF10_NXM);
        many(|number| {
            let mut m = fields::Match::default();
            m.set_in_port(OfPort(number));
            FlowStats {
                m,
                cookie: number.into(),
                table: 3,
                priority: 7,
                idle_timeout: 1,
                hard_timeout: 2,
                duration_sec: 3,
                duration_nsec: 4,
                idle_age: has_age.then_some(5),
                hard_age: has_age.then_some(6),
                packet_count: number.into(),
                byte_count: 9,
                flags: if has_flags { FlowFlags::SEND_FLOW_REM } else { FlowFlags::default() },
                importance: if protocol.intersects(Protocols::OF14_UP) { 8 } else { 0 },
                actions: actions.clone(),
            }
        })
    });
}

#[test]
fn ports() {
    check_all!(PortStatsReply, Version::Of10, |protocol: Protocols| many(|number| {
        let mut stats = PortStats { port: OfPort(number), rx_packets: number.into(), ..PortStats::default() };
        if protocol.intersects(Protocols::OF13_UP) {
            (stats.duration_sec, stats.duration_nsec) = (3, 4);
        }
        stats
    }));
    check_all!(PortDescReply, Version::Of10, |_| many(|number| PortDesc {
        port: OfPort(number),
        name: format!("p{number}"),
        ..PortDesc::default()
    }));
}

#[test]
fn queues() {
    check_all!(QueueStatsReply, Version::Of10, |protocol: Protocols| many(|number| {
        let age = if protocol.intersects(Protocols::OF13_UP) { 5 } else { u32::MAX };
        QueueStats {
            port: OfPort(number),
            queue: number,
            tx_bytes: 1,
            tx_packets: 2,
            tx_errors: 3,
            duration_sec: age,
            duration_nsec: age,
        }
    }));
    for protocol in since(Version::Of14) {
        let queues = many(|queue| QueueConfig { port: OfPort(1), queue, min_rate: 5, max_rate: 6 });
        let message = Message::QueueDescReply { port: OfPort(1), queues: queues.clone() };
        check(&message, &queues, protocol, |message| match message {
            Message::QueueDescReply { queues, .. } => Some(queues),
            _ => None,
        });
    }
}

#[test]
fn counters_of_ipfix() {
    check_all!(IpfixFlowStatsReply, Version::Of10, |_| many(|collector_set| IpfixStats {
        total_flows: 1,
        tx_errors: u64::MAX,
        collector_set,
        ..IpfixStats::default()
    }));
}

#[test]
fn groups_and_meters() {
    check_all!(GroupDescReply, Version::Of10, |_| many(|group| GroupDesc {
        kind: GroupType::All,
        group,
        buckets: vec![bucket(0), bucket(1)],
        properties: GroupProperties::default(),
    }));
    check_all!(GroupStatsReply, Version::Of10, |protocol: Protocols| many(|group| {
        let has_duration = protocol.intersects(Protocols::OF10_ANY | Protocols::OF13_UP);
        let age = if has_duration { 9 } else { u32::MAX };
        GroupStats {
            group,
            ref_count: 1,
            packet_count: 2,
            byte_count: 3,
            duration_sec: age,
            duration_nsec: age,
            buckets: vec![(4, 5), (6, 7)],
        }
    }));
    let band = MeterBand { kind: 1, rate: 2, burst_size: 3, prec_level: 0 };
    check_all!(MeterConfigReply, Version::Of13, |_| many(|meter| MeterConfig {
        meter,
        flags: meter_flag::KBPS,
        bands: vec![band; 2],
    }));
    check_all!(MeterStatsReply, Version::Of13, |_| many(|meter| MeterStats {
        meter,
        flow_count: 1,
        packet_in_count: 2,
        byte_in_count: 3,
        duration_sec: 4,
        duration_nsec: 5,
        bands: vec![(6, 7)],
    }));
}

#[test]
fn tables() {
    // Tables have numbers of eight bits: as many of each as it takes.
    check_all!(TableDescReply, Version::Of14, |_| many(|number| TableDesc {
        table: number as u8,
        eviction: Some(true),
        eviction_flags: Some(6),
        vacancy_events: Some(true),
        vacancy: Vacancy { down: 1, up: 2, current: 3 },
    }));
    check_all!(TableStatsReply, Version::Of13, |_| many(|number| TableStats {
        table: number as u8,
        active_count: number,
        lookup_count: 1,
        matched_count: 2,
        features: None,
    }));
    check_all!(TableFeaturesReply, Version::Of13, |protocol: Protocols| {
        let known = protocol.intersects(Protocols::OF14_UP).then_some(true);
        (0..=253u8)
            .map(|table| TableFeatures {
                command: 0,
                table,
                name: format!("table{table}"),
                metadata_match: 1,
                metadata_write: 2,
                max_entries: 3,
                any_properties: true,
                miss_config: TableMiss::Default,
                supports_eviction: known,
                supports_vacancy_events: known,
                nonmiss: instructions(),
                miss: instructions(),
                match_fields: some_fields(),
                mask_fields: some_fields(),
                wildcard_fields: some_fields(),
            })
            .collect::<Vec<_>>()
    });
}

fn some_fields() -> FieldSet {
    [fields::Field::EthSrc, fields::Field::EthDst].into_iter().collect()
}

fn instructions() -> TableInstructionFeatures {
    let list = TableActionFeatures { actions: ActionKind::Output.bit(), set_fields: some_fields() };
    // Many tables to go to make long entries; OpenFlow 1.5 has no instruction for meters.
    TableInstructionFeatures {
        next: [u64::MAX, u64::MAX, u64::MAX, 0],
        instructions: 0x3e,
        write: list,
        apply: list,
    }
}

#[test]
fn updates_of_flow_monitors() {
    for first in [Version::Of10, Version::Of13] {
        check_all!(FlowMonitorReply, first, |_| many(|number| {
            FlowUpdate::Added(Box::new(FlowUpdateFull {
                idle_timeout: 1,
                hard_timeout: 2,
                table: 3,
                priority: 4,
                cookie: number.into(),
                m: fields::Match::default(),
                actions: actions("output:3"),
            }))
        }));
    }
}

#[test]
fn features_show_as_many_ports_as_fit() {
    let ports = many(|number| PortDesc { port: OfPort(number), ..PortDesc::default() });
    for protocol in [Protocols::OF10_STD, Protocols::OF11_STD, Protocols::OF12_OXM] {
        let features = SwitchFeatures {
            datapath_id: 1,
            n_buffers: 0,
            n_tables: 254,
            auxiliary_id: 0,
            capabilities: 0,
            actions: 0,
            ports: ports.clone(),
        };
        let bytes = Message::FeaturesReply(features).to_bytes(&Encoder::new(protocol, 1));
        let size = if protocol == Protocols::OF10_STD { 48 } else { 64 };
        // Whoever reads it knows by its length that there may be more, and asks for descriptions.
        assert!(bytes.len() <= LONGEST && bytes.len() + size > LONGEST, "{protocol}: {}", bytes.len());
        let Ok(Decoded { message: Message::FeaturesReply(read), .. }) = decode(&bytes, &context(protocol))
        else {
            panic!("{protocol}");
        };
        assert_eq!(read.ports, ports[..read.ports.len()], "{protocol}");
    }
}

fn packet_in(len: usize, userdata: usize) -> PacketIn {
    PacketIn {
        packet: vec![7; len],
        total_len: len,
        buffer_id: NO_BUFFER,
        metadata: fields::Match::default(),
        reason: PacketInReason::Action,
        table: 3,
        cookie: 4,
        userdata: vec![1; userdata],
        continuation: None,
    }
}

#[test]
fn a_message_is_sent_whole_or_not_at_all() {
    let formats = [PacketInFormat::Standard, PacketInFormat::Nxt, PacketInFormat::Nxt2];
    for protocol in ALL {
        for packet_in_format in formats {
            let encoder = Encoder { packet_in_format, ..Encoder::new(protocol, 1) };
            let mut fitted = 0;
            for len in (LONGEST - 200)..=LONGEST + 1 {
                // What stands before it stays.
                let mut bytes = vec![0xee; 3];
                let is_sent =
                    Message::PacketIn(Box::new(packet_in(len, 0))).encode(&encoder, &mut bytes).is_ok();
                let message = bytes.split_off(3);
                assert_eq!(bytes, [0xee; 3]);
                assert_eq!(is_sent, !message.is_empty());
                if !is_sent {
                    continue;
                }
                fitted = len;
                let Ok(Decoded { message: Message::PacketIn(read), .. }) =
                    decode(&message, &context(protocol))
                else {
                    panic!("{protocol} {packet_in_format:?}: {len} bytes are not read back");
                };
                assert_eq!((read.packet.len(), read.total_len), (len, len), "{protocol}");
            }
            assert!((LONGEST - 190..LONGEST).contains(&fitted), "{protocol} {packet_in_format:?}: {fitted}");
        }
    }
}

#[test]
fn what_cannot_be_sent_says_why() {
    let encoder = Encoder { packet_in_format: PacketInFormat::Nxt2, ..Encoder::new(Protocols::OF13_OXM, 1) };
    let refused = |message: &Message| {
        let mut bytes = Vec::new();
        let text = message.encode(&encoder, &mut bytes).unwrap_err().to_string();
        assert!(bytes.is_empty() && message.to_bytes(&encoder).is_empty());
        text
    };
    assert_eq!(
        refused(&Message::PacketIn(Box::new(packet_in(0, 1)))),
        "NXT_PACKET_IN2 message cannot be sent: it lacks what a receiver needs"
    );
    // A part that is too long for its own length makes its message too long.
    assert_eq!(
        refused(&Message::PacketIn(Box::new(packet_in(60, 70_000)))),
        "NXT_PACKET_IN2 message cannot be sent: it takes 70128 bytes, and OpenFlow has room for 65535"
    );
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.actions = (0..5000).flat_map(|_| actions("output:1")).collect();
    let text = refused(&Message::FlowMod(Box::new(request.clone())));
    assert!(text.starts_with("OFPT_FLOW_MOD message cannot be sent: it takes 80"), "{text}");
    let raw = Vec::new();
    let add = BundleAdd {
        bundle: 1,
        flags: 0,
        xid: 1,
        message: Box::new(Message::FlowMod(Box::new(request))),
        raw,
    };
    let text = refused(&Message::BundleAdd(add));
    assert!(text.starts_with("ONFT_BUNDLE_ADD_MESSAGE message cannot be sent"), "{text}");
}

#[test]
fn an_entry_longer_than_a_message_is_left_out_and_the_others_stay() {
    let wide = GroupDesc {
        kind: GroupType::All,
        group: 2,
        buckets: (0..5000).map(bucket).collect(),
        properties: GroupProperties::default(),
    };
    let narrow = |group| GroupDesc { group, buckets: vec![bucket(0)], ..wide.clone() };
    let all = vec![narrow(1), wide.clone(), narrow(3)];
    for protocol in ALL {
        let parts = parts(&Message::GroupDescReply(all.clone()), protocol);
        let groups: Vec<u32> = parts
            .into_iter()
            .flat_map(|part| match part {
                Message::GroupDescReply(groups) => groups,
                other => panic!("{protocol}: {other:?}"),
            })
            .map(|desc| desc.group)
            .collect();
        assert_eq!(groups, [1, 3], "{protocol}");
    }
}
