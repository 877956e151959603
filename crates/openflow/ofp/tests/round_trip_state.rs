//! What is written of groups, meters, queues, tables and waiting packets is
//! read back as the same values.

#![allow(clippy::panic)] // A test ends that way.

use base::OfPort;
use fields::Protocols;
use ofp::*;
use proptest::prelude::*;

const ALL: [Protocols; 6] = [
    Protocols::OF10_STD,
    Protocols::OF11_STD,
    Protocols::OF12_OXM,
    Protocols::OF13_OXM,
    Protocols::OF14_OXM,
    Protocols::OF15_OXM,
];

fn since(first: usize) -> impl Strategy<Value = Protocols> {
    prop::sample::select(&ALL[first..])
}

fn read_back(message: &Message, protocol: Protocols) -> Message {
    let bytes = message.to_bytes(&Encoder::new(protocol, 5));
    let context = Context { protocol, n_tables: 255, flow_age: true, loose: false };
    match decode(&bytes, &context) {
        Ok(decoded) => decoded.message,
        Err(error) => panic!("{protocol}: {} of {message:?}", error.name()),
    }
}

/// Checks that `message` is read back as it is.
fn check(message: Message, protocol: Protocols) -> Result<(), TestCaseError> {
    prop_assert_eq!(read_back(&message, protocol), message, "{}", protocol);
    Ok(())
}

fn actions(text: &str) -> Vec<Action> {
    parse_instructions(text, Names::default()).map(|(actions, _)| actions).unwrap_or_default()
}

const BUCKET_ACTIONS: &[&str] =
    &["output:3", "dec_ttl,output:1", "group:7", "resubmit(,3)", "output:NXM_NX_REG1[]"];

/// Buckets numbered from 0, as versions without numbers of buckets read them.
fn buckets(kind: GroupType) -> impl Strategy<Value = Vec<Bucket>> {
    let count = if kind == GroupType::Indirect { 1..=1 } else { 0..=5 };
    let bucket = (1u16..100, 1u32..100, any::<u32>(), prop::sample::select(BUCKET_ACTIONS));
    prop::collection::vec(bucket, count).prop_map(move |all| {
        let all = all.into_iter().enumerate();
        all.map(|(id, (weight, port, group, text))| Bucket {
            weight: if kind == GroupType::Select { weight } else { 0 },
            watch_port: if kind == GroupType::FastFailover { OfPort(port) } else { OfPort::ANY },
            watch_group: if kind == GroupType::FastFailover { group } else { GROUP_ANY },
            id: id as u32,
            actions: actions(text),
        })
        .collect()
    })
}

/// A group, and how it selects; only OpenFlow 1.5 and 1.0's extension tell the latter.
fn group() -> impl Strategy<Value = GroupDesc> {
    use GroupType::*;
    prop::sample::select(vec![All, Select, Indirect, FastFailover]).prop_flat_map(|kind| {
        (buckets(kind), 0u32..0xffff_ff00, any::<u64>(), any::<bool>()).prop_map(
            move |(buckets, group, param, has_method)| {
                let mut properties = GroupProperties::default();
                if kind == Select && has_method {
                    properties.selection_method = "dp_hash".to_owned();
                    properties.selection_method_param = param;
                }
                GroupDesc { kind, group, buckets, properties }
            },
        )
    })
}

fn tells_selection(protocol: Protocols) -> bool {
    [Protocols::OF10_STD, Protocols::OF15_OXM].contains(&protocol)
}

fn band() -> impl Strategy<Value = MeterBand> {
    (1u16..3, any::<u32>(), any::<u32>(), any::<u8>()).prop_map(|(kind, rate, burst_size, level)| MeterBand {
        kind,
        rate,
        burst_size,
        prec_level: if kind == 2 { level } else { 0 },
    })
}

fn meter() -> impl Strategy<Value = MeterConfig> {
    let bands = prop::collection::vec(band(), 0..4);
    // Rates are in at most one unit; which other flags there may be is not for the codec to say.
    let flags = (0u16..3, 0u16..0x4000).prop_map(|(unit, others)| unit | others << 2);
    (1u32..0xffff_0000, flags, bands).prop_map(|(meter, flags, bands)| MeterConfig { meter, flags, bands })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn group_mods(
        desc in group(),
        protocol in prop::sample::select(&ALL[..]),
        command in prop::sample::select(vec![GroupCommand::Add, GroupCommand::Modify, GroupCommand::AddOrMod]),
    ) {
        let GroupDesc { kind, group, buckets, mut properties } = desc;
        if !tells_selection(protocol) {
            properties = GroupProperties::default();
        }
        let command_bucket = bucket_id::ALL;
        check(Message::GroupMod(GroupMod { command, kind, group, command_bucket, buckets, properties }), protocol)?;
    }

    #[test]
    fn changes_of_buckets(buckets in buckets(GroupType::Select), group in 0u32..0xffff_ff00, place in 0u32..100, removes: bool) {
        let insert = GroupMod {
            command: GroupCommand::InsertBucket,
            kind: GroupType::All,
            group,
            command_bucket: bucket_id::LAST,
            buckets,
            properties: GroupProperties::default(),
        };
        let request = match removes {
            true => GroupMod {
                command: GroupCommand::RemoveBucket,
                command_bucket: place,
                buckets: Vec::new(),
                ..insert
            },
            false => insert,
        };
        check(Message::GroupMod(request), Protocols::OF15_OXM)?;
    }

    #[test]
    fn group_descriptions(mut all in prop::collection::vec(group(), 0..3), protocol in prop::sample::select(&ALL[..])) {
        if !tells_selection(protocol) {
            all.iter_mut().for_each(|desc| desc.properties = GroupProperties::default());
        }
        check(Message::GroupDescReply(all), protocol)?;
    }

    #[test]
    fn group_statistics(
        group: u32,
        counts in any::<(u32, u64, u64)>(),
        buckets in prop::collection::vec(any::<(u64, u64)>(), 0..4),
        protocol in prop::sample::select(&ALL[..]),
    ) {
        let has_duration = protocol.intersects(Protocols::OF10_ANY | Protocols::OF13_UP);
        let unknown = if has_duration { 9 } else { u32::MAX };
        let stats = GroupStats {
            group,
            ref_count: counts.0,
            packet_count: counts.1,
            byte_count: counts.2,
            duration_sec: unknown,
            duration_nsec: unknown,
            buckets,
        };
        check(Message::GroupStatsReply(vec![stats.clone(), stats]), protocol)?;
    }

    #[test]
    fn meters(config in meter(), protocol in since(3), bands in prop::collection::vec(any::<(u64, u64)>(), 0..3)) {
        for command in [MeterCommand::Add, MeterCommand::Modify] {
            check(Message::MeterMod(MeterMod { command, config: config.clone() }), protocol)?;
        }
        let stats = MeterStats {
            meter: config.meter,
            flow_count: 3,
            packet_in_count: 4,
            byte_in_count: 5,
            duration_sec: 6,
            duration_nsec: 7,
            bands,
        };
        check(Message::MeterStatsReply(vec![stats.clone(), stats]), protocol)?;
        check(Message::MeterConfigReply(vec![config.clone(), config]), protocol)?;
    }

    #[test]
    fn table_statuses(table in 0u8..254, reason in 3u8..5, levels in (0u8..50, 50u8..100), current in 0u8..101, protocol in since(4)) {
        let desc = TableDesc {
            table,
            eviction: Some(true),
            eviction_flags: Some(6),
            vacancy_events: Some(true),
            vacancy: Vacancy { down: levels.0, up: levels.1, current },
        };
        check(Message::TableStatus(TableStatus { reason, desc }), protocol)?;
    }

    #[test]
    fn forwarded_requests(desc in group(), config in meter(), protocol in since(4), xid: u32) {
        let GroupDesc { kind, group, buckets, .. } = desc;
        let group = GroupMod {
            command: GroupCommand::Modify,
            kind,
            group,
            command_bucket: bucket_id::ALL,
            buckets,
            properties: GroupProperties::default(),
        };
        let meter = MeterMod { command: MeterCommand::Add, config };
        for message in [Message::GroupMod(group), Message::MeterMod(meter)] {
            let version = if protocol == Protocols::OF14_OXM { Version::Of14 } else { Version::Of15 };
            check(Message::RequestForward(Box::new(Decoded { version, xid, more: false, message })), protocol)?;
        }
    }

    #[test]
    fn continuations(
        bridge: Option<[u8; 16]>,
        stack in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 0..3),
        frames in prop::collection::vec((0u8..254, any::<u64>(), prop::sample::select(BUCKET_ACTIONS)), 0..3),
        mirrors: u32,
        conntracked: bool,
        protocol in prop::sample::select(&ALL[..]),
    ) {
        let frames = frames.into_iter().map(|(table, cookie, text)| ContinuationFrame {
            rule: Some((table, cookie)),
            actions: actions(text),
        });
        let continuation = Continuation {
            raw: Vec::new(),
            bridge,
            stack,
            mirrors,
            conntracked,
            frames: frames.collect(),
            action_set: actions("dec_ttl,output:2"),
            odp_port: None,
        };
        let packet = PacketIn {
            packet: vec![7; 60],
            total_len: 60,
            buffer_id: NO_BUFFER,
            metadata: fields::Match::default(),
            reason: PacketInReason::Action,
            table: 3,
            cookie: 4,
            userdata: vec![1, 2, 3],
            continuation: Some(Box::new(continuation.clone())),
        };
        let Message::Resume(back) = read_back(&Message::Resume(Box::new(packet)), protocol) else { panic!("another message") };
        let back = back.continuation.map(|back| Continuation { raw: Vec::new(), ..*back });
        prop_assert_eq!(back, Some(continuation));
    }
}
