//! What is written is read back as the same values.

#![allow(clippy::panic)] // A test ends that way.

use base::OfPort;
use fields::Protocols;
use ofp::*;
use proptest::prelude::*;

const MATCHES: &[&str] = &[
    "",
    "in_port=7,",
    "in_port=LOCAL,",
    "dl_src=00:11:22:33:44:55,",
    "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,",
    "dl_vlan=5,",
    "dl_vlan=9,dl_vlan_pcp=3,",
    "tcp,tp_dst=80,",
    "udp,tp_src=0x10/0xf0,",
    "sctp,tp_src=9,",
    "ip,nw_src=10.0.0.0/8,nw_tos=8,nw_ecn=2,",
    "ip,nw_frag=later,nw_ttl=4,",
    "ipv6,ipv6_dst=2001:db8::/32,ipv6_label=5,",
    "icmp,icmp_type=3,icmp_code=1,",
    "icmp6,icmp_type=135,icmp_code=0,nd_target=2001:db8::1,",
    "arp,arp_op=2,arp_spa=1.2.3.4,arp_tha=00:00:00:00:00:09,",
    "mpls,mpls_label=7,mpls_tc=2,mpls_bos=1,",
    "reg3=0x50/0xf0,reg4=1,",
    "xxreg1=0x123456789,",
    "reg20=9,xreg15=0x1234567890,",
    "xxreg7=0x123456789/0xfffffffff,",
    "metadata=0x1234/0xffff,",
    "tun_id=5,tun_src=10.1.1.1,",
    "ct_state=+trk+new,ct_zone=4,ct_mark=1/1,ip,",
    "pkt_mark=9,",
    "conj_id=4,",
];

/// Those that every version that can express them writes as they are.
const ACTIONS: &[&str] = &[
    "drop",
    "output:2",
    "LOCAL",
    "NORMAL",
    "FLOOD,IN_PORT",
    "controller(max_len=64)",
    "controller(reason=invalid_ttl,max_len=128,id=3)",
    "output:NXM_NX_REG1[]",
    "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
    "resubmit(,3),resubmit(2,)",
    "ct(commit,zone=4)",
    "ct(table=1,nat)",
    "dec_mpls_ttl,output:1",
    "set_queue:4,output:1,pop_queue",
    "learn(table=1,hard_timeout=60,NXM_OF_VLAN_TCI[0..11],output:NXM_OF_IN_PORT[])",
    "note:01.02.03.04.05.06",
    "multipath(symmetric_l4,50,modulo_n,16,0,NXM_NX_REG0[])",
    "bundle(eth_src,0,hrw,ofport,members:4,8)",
    "conjunction(1,1/2)",
    "fin_timeout(idle_timeout=5,hard_timeout=6)",
    "exit",
    "clone(output:1,resubmit(,2))",
    "output(port=1,max_len=100)",
    "dec_ttl,dec_ttl(1,2)",
    "push:NXM_NX_REG0[],pop:NXM_NX_REG1[]",
    "sample(probability=12345,collector_set_id=2,obs_domain_id=3,obs_point_id=4)",
    "meter:3,goto_table:4",
    "write_metadata:0x1/0x3,goto_table:9",
    "clear_actions,write_actions(output:3,dec_ttl),goto_table:9",
    "group:5",
];

/// A rule as a request, and a protocol that can express it.
fn flow_mod(matches: impl Strategy<Value = &'static str>) -> impl Strategy<Value = (FlowMod, Protocols)> {
    let numbers = (any::<u16>(), any::<u16>(), any::<u16>(), any::<u64>());
    let kind = (matches, prop::sample::select(ACTIONS), any::<prop::sample::Index>());
    (numbers, kind).prop_filter_map("no version can express it", |((priority, idle, hard, cookie), (m, actions, which))| {
        let cookie = cookie & !1;
        let text = format!("{m}priority={priority},idle_timeout={idle},hard_timeout={hard},cookie={cookie},actions={actions}");
        let kind = FlowTextKind::Mod(FlowModCommand::Add);
        let (fm, usable) = parse_flow_text(&text, kind, Names::default()).ok()?;
        let protocols: Vec<Protocols> =
            (0..9).map(|bit| Protocols(1 << bit)).filter(|p| usable.contains(*p) && !is_changed_by(actions, *p)).collect();
        (!protocols.is_empty()).then(|| (fm, *which.get(&protocols)))
    })
}

/// OpenFlow 1.0 has no instructions: what stands for them is read as actions.
/// OpenFlow 1.1 leaves out of matches what it has no place for.
fn is_changed_by(actions: &str, protocol: Protocols) -> bool {
    let instructions = ["goto_table", "write_", "clear_actions", "meter"];
    protocol == Protocols::OF11_STD
        || protocol.intersects(Protocols::OF10_ANY) && instructions.iter().any(|name| actions.contains(name))
}

fn there_and_back(message: &Message, protocol: Protocols) -> Message {
    let bytes = message.to_bytes(&Encoder::new(protocol, 5));
    let context = Context { protocol, n_tables: 255, flow_age: true, loose: false };
    match decode(&bytes, &context) {
        Ok(decoded) => {
            assert_eq!(decoded.xid, 5);
            decoded.message
        }
        Err(error) => panic!("{protocol}: {} of {message:?}", error.name()),
    }
}

fn text_of(actions: &[Action]) -> String {
    let mut text = String::new();
    format_actions(actions, &mut text, Names::default());
    text
}

fn port() -> impl Strategy<Value = OfPort> {
    prop_oneof![(1u32..0xff00).prop_map(OfPort), Just(OfPort::LOCAL)]
}

fn version() -> impl Strategy<Value = Protocols> {
    prop::sample::select(vec![
        Protocols::OF10_STD,
        Protocols::OF11_STD,
        Protocols::OF12_OXM,
        Protocols::OF13_OXM,
        Protocols::OF14_OXM,
        Protocols::OF15_OXM,
    ])
}

fn since_of13() -> impl Strategy<Value = Protocols> {
    prop::sample::select(vec![Protocols::OF13_OXM, Protocols::OF14_OXM, Protocols::OF15_OXM])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flow_mods((fm, protocol) in flow_mod(prop::sample::select(MATCHES))) {
        let back = there_and_back(&Message::FlowMod(Box::new(fm.clone())), protocol);
        let Message::FlowMod(back) = back else { panic!("another message: {back:?}") };
        prop_assert_eq!(&back.m, &fm.m);
        prop_assert_eq!((back.command, back.priority, back.new_cookie), (fm.command, fm.priority, fm.new_cookie));
        prop_assert_eq!((back.idle_timeout, back.hard_timeout), (fm.idle_timeout, fm.hard_timeout));
        // Versions have different forms of some actions, which users do not see.
        prop_assert_eq!(text_of(&back.actions), text_of(&fm.actions));
        // What was read once stays as it is.
        let again = there_and_back(&Message::FlowMod(back.clone()), protocol);
        prop_assert_eq!(again, Message::FlowMod(back));
    }

    #[test]
    fn flow_statistics((fm, protocol) in flow_mod(prop::sample::select(MATCHES)), counts in any::<(u32, u32)>(), table in 0u8..254) {
        let nxm = protocol.is_nxm10();
        let stats = FlowStats {
            m: fm.m,
            cookie: fm.new_cookie,
            table,
            priority: fm.priority,
            idle_timeout: fm.idle_timeout,
            hard_timeout: fm.hard_timeout,
            duration_sec: counts.0,
            duration_nsec: counts.1 % 1_000_000_000,
            idle_age: nxm.then_some(7),
            hard_age: nxm.then_some(9),
            packet_count: u64::from(counts.0),
            byte_count: u64::from(counts.1),
            flags: FlowFlags::default(),
            importance: 0,
            actions: fm.actions,
        };
        let back = there_and_back(&Message::FlowStatsReply(vec![stats.clone(), stats.clone()]), protocol);
        let Message::FlowStatsReply(all) = &back else { panic!("another message: {back:?}") };
        prop_assert_eq!(text_of(&all[1].actions), text_of(&stats.actions));
        prop_assert_eq!(&FlowStats { actions: stats.actions.clone(), ..all[1].clone() }, &stats);
        prop_assert_eq!(there_and_back(&back, protocol), back);
    }

    #[test]
    fn packets_out((fm, protocol) in flow_mod(prop::sample::select(&[""][..])), in_port in port(), packet in prop::collection::vec(any::<u8>(), 14..100)) {
        let only_rules = ["clear_actions", "write_actions", "goto_table", "meter", "write_metadata"];
        let listed = |a: &Action| !only_rules.contains(&a.kind().name());
        prop_assume!(fm.actions.iter().all(listed));
        let mut metadata = fields::Match::default();
        metadata.set_in_port(in_port);
        let message = Message::PacketOut(Box::new(PacketOut { packet, buffer_id: NO_BUFFER, metadata, actions: fm.actions }));
        let back = there_and_back(&message, protocol);
        let (Message::PacketOut(sent), Message::PacketOut(read)) = (&message, &back) else { panic!("another message: {back:?}") };
        prop_assert_eq!((&read.packet, read.buffer_id, &read.metadata), (&sent.packet, sent.buffer_id, &sent.metadata));
        prop_assert_eq!(text_of(&read.actions), text_of(&sent.actions));
        prop_assert_eq!(there_and_back(&back, protocol), back);
    }

    #[test]
    fn packets_in(protocol in version(), in_port in port(), packet in prop::collection::vec(any::<u8>(), 14..100), cookie: u64) {
        let mut metadata = fields::Match::default();
        metadata.set_in_port(in_port);
        let sent = PacketIn {
            total_len: packet.len(),
            packet,
            buffer_id: NO_BUFFER,
            metadata,
            reason: PacketInReason::Action,
            table: 3,
            cookie,
            userdata: Vec::new(),
            continuation: None,
        };
        let back = there_and_back(&Message::PacketIn(Box::new(sent.clone())), protocol);
        let Message::PacketIn(back) = back else { panic!("another message: {back:?}") };
        prop_assert_eq!((&back.packet, back.total_len, back.reason), (&sent.packet, sent.total_len, sent.reason));
        prop_assert_eq!(back.metadata.key.in_port(), sent.metadata.key.in_port());
        if protocol.intersects(Protocols::OF13_UP) {
            prop_assert_eq!(back.cookie, sent.cookie);
        }
        let again = there_and_back(&Message::PacketIn(back.clone()), protocol);
        prop_assert_eq!(again, Message::PacketIn(back));
    }

    #[test]
    fn flow_monitors(
        protocol in version(),
        id: u32,
        (flags, own) in (0u16..0x20, any::<bool>()),
        (out_port, table) in (port(), any::<u8>()),
        m in prop::sample::select(MATCHES),
        numbers in any::<(u16, u16, u16, u64, u32)>(),
    ) {
        let (m, _) = fields::Match::parse(m, None).unwrap();
        let flags = flags | if own { monitor_flag::ONLY_OWN } else { 0 };
        let asked =
            vec![FlowMonitorRequest { id, command: 0, flags, out_port, out_group: GROUP_ANY, table, m: m.clone() }];
        let Message::FlowMonitorRequest(back) = there_and_back(&Message::FlowMonitorRequest(asked.clone()), protocol)
        else { panic!("another message") };
        prop_assert_eq!(back, asked);

        let (idle_timeout, hard_timeout, priority, cookie, xid) = numbers;
        let (actions, _) = parse_instructions("output:2", Names::default()).unwrap();
        let full = Box::new(FlowUpdateFull { idle_timeout, hard_timeout, table, priority, cookie, m, actions });
        let sent = vec![
            FlowUpdate::Added(full.clone()),
            FlowUpdate::Removed { reason: 2, update: full.clone() },
            FlowUpdate::Modified(full),
            FlowUpdate::Abbreviated { xid },
        ];
        let Message::FlowMonitorReply(back) = there_and_back(&Message::FlowMonitorReply(sent.clone()), protocol)
        else { panic!("another message") };
        prop_assert_eq!(back, sent);
    }

    #[test]
    fn port_statistics(protocol in version(), port in port(), counts in any::<[u64; 12]>()) {
        let with_duration = protocol.intersects(Protocols::OF13_UP);
        let unknown = PortStats::default();
        let stats = PortStats {
            port,
            rx_packets: counts[0],
            tx_packets: counts[1],
            rx_bytes: counts[2],
            tx_bytes: counts[3],
            rx_dropped: counts[4],
            tx_dropped: counts[5],
            rx_errors: counts[6],
            tx_errors: counts[7],
            rx_frame_errors: counts[8],
            rx_over_errors: counts[9],
            rx_crc_errors: counts[10],
            collisions: counts[11],
            duration_sec: if with_duration { 5 } else { unknown.duration_sec },
            duration_nsec: if with_duration { 6 } else { unknown.duration_nsec },
            ..unknown
        };
        let back = there_and_back(&Message::PortStatsReply(vec![stats.clone()]), protocol);
        let Message::PortStatsReply(back) = back else { panic!("another message: {back:?}") };
        prop_assert_eq!((back[0].port, back[0].rx_packets, back[0].collisions), (stats.port, stats.rx_packets, stats.collisions));
        let again = there_and_back(&Message::PortStatsReply(back.clone()), protocol);
        prop_assert_eq!(again, Message::PortStatsReply(back));
    }

    #[test]
    fn table_features(protocol in since_of13(), table in 0u8..254, words in any::<[u64; 4]>(), actions: u64, instructions in 0u32..0x40) {
        let mut features = TableFeatures::unknown(table);
        features.any_properties = true;
        features.nonmiss.next = words;
        features.nonmiss.instructions = instructions;
        features.nonmiss.write.actions = actions;
        features.nonmiss.apply.set_fields = fields::Field::all().filter(|f| f.is_writable()).collect();
        features.miss = features.nonmiss;
        features.match_fields = fields::Field::all().collect();
        let back = there_and_back(&Message::TableFeaturesReply(vec![features]), protocol);
        let again = there_and_back(&back, protocol);
        prop_assert_eq!(again, back);
    }
}

#[test]
fn a_list_that_no_message_can_hold_is_refused() {
    let outputs = |count: usize| parse_actions(&vec!["3"; count].join(","), Names::default());
    assert_eq!(outputs(4095).unwrap().0.len(), 4095);
    assert_eq!(outputs(4096).unwrap_err().0, "input too big");
}
