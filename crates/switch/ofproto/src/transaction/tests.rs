use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::{NewPort, SharedSwitch};
use base::{DpPort, OfPort, TableId};
use flow::FlowKey;
use ofp::{Bucket, FlowMod, FlowModCommand, GroupCommand, GroupProperties, GroupType, Names};
use pipeline::{Network, Request, SharedNetwork, Start};
use proptest::prelude::*;

fn actions(text: &str) -> Vec<ofp::Action> {
    ofp::parse_instructions(text, Names::default()).unwrap().0
}

fn flow(command: FlowModCommand, table: u8, priority: u16, text: &str) -> Part {
    let request = FlowMod { table, priority, actions: actions(text), ..FlowMod::new(command) };
    Part::Flow((&request).into())
}

fn group(command: GroupCommand, group: u32, text: &str) -> Part {
    let bucket = Bucket {
        weight: 0,
        watch_port: OfPort::ANY,
        watch_group: ofp::GROUP_ANY,
        id: 0,
        actions: actions(text),
    };
    let buckets = if command == GroupCommand::Delete { Vec::new() } else { vec![bucket] };
    let (kind, properties) = (GroupType::All, GroupProperties::default());
    let command_bucket = ofp::bucket_id::ALL;
    Part::Group(Box::new(GroupMod { command, kind, group, command_bucket, buckets, properties }))
}

fn port(number: u32, config: u32, mask: u32) -> Part {
    let hw_addr = hw_addr(number);
    Part::Port(PortMod { port: OfPort(number), hw_addr, config, mask, advertise: 0 })
}

fn hw_addr(number: u32) -> base::MacAddr {
    base::MacAddr([2, 0, 0, 0, 0, number as u8])
}

fn packet(text: &str) -> Part {
    let mut metadata = fields::Match::default();
    metadata.set_in_port(OfPort(1));
    let actions = ofp::parse_actions(text, Names::default()).unwrap().0;
    Part::Packet(Box::new(PacketOut { packet: vec![0; 64], buffer_id: ofp::NO_BUFFER, metadata, actions }))
}

/// Bridge with ports 1 to 4, datapath ports 11 to 14.
fn add_bridge(switch: &mut Switch) -> BridgeId {
    let id = switch.add_bridge("br0", dp::DpId(1), dp::Capabilities::ALL);
    for number in 1..=4 {
        let desc = ofp::PortDesc { hw_addr: hw_addr(number), ..ofp::PortDesc::default() };
        let new = NewPort {
            name: format!("p{number}"),
            datapath: Some(DpPort(10 + number)),
            desc,
            wanted: Some(OfPort(number)),
            ..NewPort::default()
        };
        switch.get_mut(id).unwrap().add_port(new, Timestamp::ZERO).unwrap();
    }
    switch.reconnect();
    id
}

/// What a packet from port 1 does, be it by the rules or by `actions`; and what it teaches.
fn translate(network: &dyn Network, bridge: BridgeId, start: Start<'_>) -> (String, Vec<Effect>) {
    let mut key = FlowKey::default();
    key.set_in_port(1);
    let request = Request {
        bridge,
        key: &key,
        start,
        purpose: pipeline::Purpose::Packet,
        trace: pipeline::Trace::Off,
        packet: None,
    };
    let translation = pipeline::translate(network, &request);
    (dp::text::format_actions(&translation.actions, None), translation.effects)
}

fn carry_out(
    change: &mut Transaction<'_>,
    parts: impl IntoIterator<Item = Part>,
) -> Result<Vec<Step<String>>, (usize, OfError)> {
    let id = change.bridge;
    let parts = parts.into_iter().map(|part| ((), part));
    let done = change.carry_out(parts, Timestamp::from_millis(7), &mut |switch, request| {
        switch.get(id).unwrap().check_references(&request.actions)?;
        Ok(translate(switch, id, Start::Actions(&request.actions)))
    });
    done.map_err(|((), by, error)| (by, error))
}

fn transact(
    shared: &SharedSwitch,
    id: BridgeId,
    parts: &[Part],
) -> Result<Vec<Step<String>>, (usize, OfError)> {
    carry_out(&mut shared.begin(id), parts.iter().cloned())
}

fn shared_with_bridge() -> (SharedSwitch, BridgeId) {
    let shared = SharedSwitch::default();
    let id = add_bridge(&mut shared.write());
    (shared, id)
}

/// All that requests can change, each rule and group as itself.
fn state(switch: &Switch, id: BridgeId) -> Vec<String> {
    let bridge = switch.get(id).unwrap();
    let mut walk = crate::Walk::through(TableId::ALL);
    let mut state = Vec::new();
    bridge.walk(&mut walk, usize::MAX, |entry| state.push(format!("{:p} {:?}", Arc::as_ptr(entry), entry)));
    let by_classifier = bridge.tables().map(|table| {
        let mut entries: Vec<String> = table.entries().map(|e| format!("{:p}", Arc::as_ptr(e))).collect();
        entries.sort_unstable();
        format!("{:?} {} {entries:?}", table.id(), table.len())
    });
    // A table that was made and is empty is as good as none.
    state.extend(by_classifier.filter(|table| !table.ends_with("0 []")));
    state.extend(bridge.groups_after(None).map(|group| format!("{:p} {group:?}", Arc::as_ptr(group))));
    state.extend(bridge.port_entries().map(|entry| format!("{entry:?}")));
    state.extend(bridge.meters_after(None).map(|meter| format!("{meter:?}")));
    state
}

fn part() -> impl Strategy<Value = Part> {
    let command = prop_oneof![
        4 => Just(FlowModCommand::Add),
        1 => Just(FlowModCommand::Modify),
        1 => Just(FlowModCommand::ModifyStrict),
        1 => Just(FlowModCommand::Delete),
        1 => Just(FlowModCommand::DeleteStrict),
    ];
    let text = prop_oneof![
        Just("output:2"),
        Just("group:1"),
        Just("group:2,output:3"),
        Just(
            "load:3->NXM_NX_REG0[],learn(table=1,priority=5,delete_learned,cookie=9,output:NXM_NX_REG0[]),output:1"
        ),
    ];
    let grouping = prop_oneof![
        Just(GroupCommand::Add),
        Just(GroupCommand::Modify),
        Just(GroupCommand::AddOrMod),
        Just(GroupCommand::Delete),
    ];
    prop_oneof![
        6 => (command, 0u8..3, 1u16..6, text).prop_map(|(command, table, priority, text)| {
            flow(command, table, priority, text)
        }),
        3 => (grouping, prop_oneof![Just(1u32), Just(2), Just(3), Just(ofp::GROUP_ALL)]).prop_map(
            |(command, number)| group(command, number, "output:4")
        ),
        2 => (1u32..5, any::<u32>(), any::<u32>()).prop_map(|(number, config, mask)| port(number, config, mask & 0x65)),
        1 => Just(packet("resubmit(,0)")),
        1 => Just(packet("load:1->NXM_NX_REG0[],learn(table=2,priority=4,output:NXM_NX_REG0[]),output:2")),
    ]
}

fn failing() -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(flow(FlowModCommand::Add, 0, 1, "group:77")),
        Just(flow(FlowModCommand::Add, 0, 1, "meter:3,output:1")),
        Just(flow(FlowModCommand::Add, 254, 1, "output:1")),
        Just(group(GroupCommand::Modify, 77, "output:1")),
        Just(port(9, 0, 1)),
        Just(Part::Port(PortMod { port: OfPort(1), hw_addr: hw_addr(7), config: 0, mask: 1, advertise: 0 })),
        Just(packet("group:77")),
    ]
}

proptest! {
    #[test]
    fn a_transaction_that_fails_leaves_everything_as_it_was(
        before in prop::collection::vec(part(), 0..20),
        mut parts in prop::collection::vec(part(), 0..20),
        (bad, at) in (failing(), any::<prop::sample::Index>()),
        limit in prop::option::of(1usize..4),
    ) {
        let (shared, id) = shared_with_bridge();
        let settings = crate::TableSettings { max_rules: limit, evicts: true, ..Default::default() };
        shared.write().get_mut(id).unwrap().configure_table(TableId(0), settings, Timestamp::ZERO);
        for one in &before {
            // Whether each is possible does not matter.
            let _ = transact(&shared, id, std::slice::from_ref(one));
        }
        let known = state(&shared.read(), id);
        let at = at.index(parts.len() + 1);
        parts.insert(at, bad);
        let failed = transact(&shared, id, &parts);
        prop_assert!(matches!(failed, Err((index, _)) if index <= at));
        prop_assert_eq!(state(&shared.read(), id), known);
    }

    #[test]
    fn what_is_taken_back_can_be_done_again(
        before in prop::collection::vec(part(), 0..20),
        parts in prop::collection::vec(part(), 0..20),
    ) {
        let (shared, id) = shared_with_bridge();
        for one in &before {
            let _ = transact(&shared, id, std::slice::from_ref(one));
        }
        let known = state(&shared.read(), id);
        let mut change = shared.begin(id);
        let done = carry_out(&mut change, parts.iter().cloned());
        let can = done.is_ok();
        if let Ok(done) = done {
            change.take_back(done);
        }
        drop(change);
        if can {
            prop_assert_eq!(state(&shared.read(), id), known);
            prop_assert!(transact(&shared, id, &parts).is_ok());
        }
    }
}

#[test]
fn a_packet_meets_the_rules_groups_and_ports_as_they_are_by_then() {
    let (shared, id) = shared_with_bridge();
    let no_forward = port_config::NO_FWD;
    let done = transact(
        &shared,
        id,
        &[
            packet("resubmit(,0)"),
            group(GroupCommand::Add, 2, "output:3"),
            group(GroupCommand::Add, 1, "group:2"),
            flow(FlowModCommand::Add, 0, 1, "group:1"),
            packet("resubmit(,0)"),
            group(GroupCommand::Modify, 2, "output:4"),
            packet("resubmit(,0)"),
            port(4, no_forward, no_forward),
            packet("resubmit(,0)"),
            packet("load:2->NXM_NX_REG0[],learn(table=0,priority=7,output:NXM_NX_REG0[]),output:3"),
            packet("resubmit(,0)"),
        ],
    );
    let sent = done.unwrap().into_iter().filter_map(|step| match step.done {
        Done::Packet(text, _) => Some(*text),
        Done::Rules(_) | Done::Group(..) | Done::Port(_) => None,
    });
    assert_eq!(sent.collect::<Vec<_>>(), ["drop", "13", "14", "drop", "13", "12"]);
}

/// Threads translate while bundles turn one whole configuration into another, some of which fail: no packet meets
/// the rules of one with the groups or ports of the other.
#[test]
fn no_packet_sees_a_part_of_a_transaction() {
    let (shared, id) = shared_with_bridge();
    let no_forward = port_config::NO_FWD;
    // One sends to port 2 by three tables and a chain of groups, and lets nothing out of port 3; the other the other way round.
    let configuration = |to: u32, blocked: u32| {
        let output = format!("output:{to}");
        vec![
            flow(FlowModCommand::Delete, 0xff, 0, ""),
            flow(FlowModCommand::Add, 0, 1, "goto_table:1"),
            group(GroupCommand::Delete, ofp::GROUP_ALL, ""),
            group(GroupCommand::Add, to, "group:9"),
            port(blocked, no_forward, no_forward),
            flow(FlowModCommand::Add, 1, 1, &format!("{output},goto_table:2")),
            packet("resubmit(,0)"),
            flow(FlowModCommand::Add, 2, 1, &format!("group:{to}")),
            group(GroupCommand::Add, 9, &output),
            port(to, 0, no_forward),
        ]
    };
    let (two, three) = (configuration(2, 3), configuration(3, 2));
    assert!(transact(&shared, id, &two).is_ok());
    let is_over = AtomicBool::new(false);
    let whole = |text: &str| matches!(text, "12,12" | "13,13");
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = std::collections::BTreeMap::new();
                    while !is_over.load(Ordering::Relaxed) {
                        SharedNetwork::read(&shared, &mut |network| {
                            *seen.entry(translate(network, id, Start::Lookup).0).or_insert(0u32) += 1;
                        });
                    }
                    seen
                })
            })
            .collect();
        for round in 0..100 {
            let mut parts = if round % 4 < 2 { three.clone() } else { two.clone() };
            let fails = round % 2 == 1;
            if fails {
                parts.push(port(9, 0, 0));
            }
            assert_eq!(transact(&shared, id, &parts).is_err(), fails);
        }
        is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            let seen = thread.join().unwrap();
            assert!(seen.keys().all(|text| whole(text)), "{seen:?}");
        }
    });
}

fn rule_of_port(number: u16) -> Part {
    let mut m = fields::Match::default();
    m.set_in_port(OfPort(1000 + u32::from(number)));
    let request = FlowMod { m, actions: actions("output:2"), ..FlowMod::new(FlowModCommand::Add) };
    Part::Flow((&request).into())
}

/// While a bundle of many rules is carried out, which takes as long as this test likes, packets are translated and see
/// none of it; so are frames of protocols that go by the rules.
#[test]
fn packets_are_translated_while_a_bundle_of_many_rules_is_carried_out() {
    const RULES: u16 = 20_000;
    let (shared, id) = shared_with_bridge();
    assert!(transact(&shared, id, &[flow(FlowModCommand::Add, 0, 1, "output:3")]).is_ok());
    let seen = || {
        let mut seen = String::new();
        SharedNetwork::read(&shared, &mut |network| seen = translate(network, id, Start::Lookup).0);
        seen
    };
    let patience = std::time::Duration::from_secs(60);
    std::thread::scope(|scope| {
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let (answer, answered) = std::sync::mpsc::channel::<String>();
        scope.spawn(move || {
            for () in asked {
                answer.send(seen()).unwrap();
            }
        });
        let mut parts = vec![flow(FlowModCommand::Add, 0, 2, "output:4")];
        parts.extend((0..RULES).map(rule_of_port));
        let mut during = Vec::new();
        let mut change = shared.begin(id);
        let parts = parts.into_iter().enumerate().map(|(number, part)| {
            if number % 1000 == 999 {
                ask.send(()).unwrap();
                during.push(answered.recv_timeout(patience).expect("a packet waits for the bundle"));
            }
            part
        });
        assert!(carry_out(&mut change, parts).is_ok());
        assert_eq!(during, vec!["13"; usize::from(RULES) / 1000]);
        drop(change);
        ask.send(()).unwrap();
        assert_eq!(answered.recv_timeout(patience).unwrap(), "14");
    });
    assert_eq!(shared.read().get(id).unwrap().rule_count(), usize::from(RULES) + 2);
}

#[test]
fn many_rules_that_are_gone_are_let_go_of_by_whoever_has_the_next_turn() {
    let shared = SharedSwitch::default();
    let id = add_bridge(&mut shared.write());
    let mod_all = FlowMod { actions: actions("output:3"), ..FlowMod::new(FlowModCommand::Modify) };
    let gone = || shared.read().get(id).unwrap().gone_count();
    for priority in 1..=20 {
        let add = FlowMod { priority, actions: actions("output:2"), ..FlowMod::new(FlowModCommand::Add) };
        shared.flow_mod(id, &add, Timestamp::ZERO).unwrap();
    }
    assert_eq!(shared.flow_mod(id, &mod_all, Timestamp::ZERO).unwrap().len(), 20);
    assert_eq!(gone(), 20, "nobody waits for it");
    drop(shared.survey());
    assert_eq!(gone(), 0);
    shared.flow_mod(id, &mod_all, Timestamp::ZERO).unwrap();
    assert_eq!(gone(), 20);
    drop(shared.write());
    assert_eq!(gone(), 0);
}
