use super::*;
use base::MacAddr;
use ofp::{FlowFlags, SwitchFeatures};
use std::time::Duration;

fn options(change: impl FnOnce(&mut Options)) -> Rc<Options> {
    let mut options = Options::default();
    change(&mut options);
    Rc::new(options)
}

fn known(options: Rc<Options>, version: Version) -> LearningSwitch {
    let (mut switch, _) = LearningSwitch::new(options, version);
    let features = SwitchFeatures {
        datapath_id: 7,
        n_buffers: 0,
        n_tables: 1,
        auxiliary_id: 0,
        capabilities: 0,
        actions: 0,
        ports: vec![PortDesc { port: OfPort(1), name: "p1".to_owned(), ..PortDesc::default() }],
    };
    assert!(switch.receive(Message::FeaturesReply(features), Timestamp::default()).is_empty());
    switch
}

/// A frame of 60 bytes with an unknown type.
fn frame(from: u64, to: u64) -> Vec<u8> {
    let mut bytes = MacAddr::from_u64(to).0.to_vec();
    bytes.extend(MacAddr::from_u64(from).0);
    bytes.extend([0x88, 0xb5]);
    bytes.resize(60, 0);
    bytes
}

fn packet_in(port: u32, packet: Vec<u8>) -> Message {
    let mut metadata = Match::catch_all();
    metadata.set_in_port(OfPort(port));
    Message::PacketIn(Box::new(PacketIn {
        total_len: packet.len(),
        packet,
        buffer_id: NO_BUFFER,
        metadata,
        reason: PacketInReason::NoMatch,
        table: 0,
        cookie: u64::MAX,
        userdata: Vec::new(),
        continuation: None,
    }))
}

fn messages(outgoing: Outgoing) -> Vec<Message> {
    outgoing.into_iter().map(|(_, message)| message).collect()
}

/// The actions of the rule and of the packet that the answer has.
fn answer(switch: &mut LearningSwitch, port: u32, packet: Vec<u8>) -> (Option<FlowMod>, Option<Vec<Action>>) {
    let (mut rule, mut out) = (None, None);
    for message in messages(switch.receive(packet_in(port, packet), Timestamp::default())) {
        match message {
            Message::FlowMod(add) => rule = Some(*add),
            Message::PacketOut(packet) => out = Some(packet.actions),
            other => panic!("{other:?}"),
        }
    }
    (rule, out)
}

fn output(port: OfPort) -> Vec<Action> {
    vec![Action::Output(Output { port, max_len: 0 })]
}

#[test]
fn what_is_not_known_is_flooded_and_what_is_gets_a_rule() {
    let mut switch = known(options(|_| {}), Version::Of10);
    assert_eq!(answer(&mut switch, 1, frame(2, 4)), (None, Some(output(OfPort::FLOOD))));
    let (rule, out) = answer(&mut switch, 2, frame(4, 2));
    let rule = rule.unwrap();
    assert_eq!((rule.actions, rule.idle_timeout, rule.priority), (output(OfPort(1)), 60, 1));
    assert_eq!(out, Some(output(OfPort(1))));
    assert_eq!(rule.m.key.dl_dst(), MacAddr::from_u64(2));
    assert_eq!(rule.m.key.in_port(), 2);
    assert_eq!(rule.flags, FlowFlags::default());
    // A frame for who is behind the port that it came from goes nowhere, and nobody asks again.
    let (rule, out) = answer(&mut switch, 1, frame(6, 2));
    assert_eq!((rule.unwrap().actions, out), (Vec::new(), None));
}

#[test]
fn frames_for_bridges_alone_are_dropped() {
    let mut switch = known(options(|_| {}), Version::Of10);
    let (rule, out) = answer(&mut switch, 1, frame(2, 0x0180_c200_0000));
    assert_eq!((rule.unwrap().actions, out), (Vec::new(), None));
}

#[test]
fn a_hub_floods_by_a_rule_and_normal_leaves_it_to_the_switch() {
    let mut hub = known(options(|o| o.mode = Mode::Hub), Version::Of10);
    let (rule, out) = answer(&mut hub, 1, frame(2, 4));
    assert_eq!((rule.unwrap().actions, out), (output(OfPort::FLOOD), Some(output(OfPort::FLOOD))));
    let mut normal = known(options(|o| o.mode = Mode::Normal), Version::Of10);
    let (rule, _) = answer(&mut normal, 1, frame(2, 4));
    assert_eq!(rule.unwrap().actions, output(OfPort::NORMAL));
}

#[test]
fn without_rules_every_packet_is_sent_by_hand() {
    let mut switch = known(options(|o| o.max_idle = None), Version::Of10);
    answer(&mut switch, 1, frame(2, 4));
    assert_eq!(answer(&mut switch, 2, frame(4, 2)), (None, Some(output(OfPort(1)))));
}

#[test]
fn queues_are_by_port_or_for_all() {
    let set = options(|o| {
        o.queue = Some(3);
        o.port_queues = vec![("p1".to_owned(), 5)];
    });
    let mut switch = known(set, Version::Of10);
    answer(&mut switch, 1, frame(2, 4));
    answer(&mut switch, 2, frame(4, 8));
    let enqueue = |port, queue| vec![Action::Enqueue(Enqueue { port: OfPort(port), queue })];
    assert_eq!(answer(&mut switch, 1, frame(2, 4)).0.unwrap().actions, enqueue(2, 5));
    assert_eq!(answer(&mut switch, 2, frame(4, 2)).0.unwrap().actions, enqueue(1, 3));
}

#[test]
fn the_greeting_is_that_of_the_version() {
    let flow_mods = |version| {
        let (_, greeting) = LearningSwitch::new(options(|_| {}), version);
        messages(greeting).into_iter().filter(|m| matches!(m, Message::FlowMod(_))).count()
    };
    assert_eq!((flow_mods(Version::Of10), flow_mods(Version::Of13)), (0, 1));
}

#[test]
fn rules_of_a_file_go_in_a_protocol_that_can_say_them() {
    let set = options(|o| {
        let kind = ofp::FlowTextKind::Mod(FlowModCommand::Add);
        let (flow, usable) = ofp::parse_flow_mod("reg1=3,actions=drop", kind, ofp::Names::default()).unwrap();
        o.flows = (vec![flow], usable);
    });
    let (_, greeting) = LearningSwitch::new(Rc::clone(&set), Version::Of10);
    let last = greeting.last().unwrap();
    assert!(Protocols::OF10_NXM_ANY.contains(last.0), "{:?}", last.0);
    assert!(greeting.iter().any(|(_, m)| *m == Message::SetFlowFormat { nxm: true }));
    // OpenFlow 1.3 can say it as it is.
    let (_, greeting) = LearningSwitch::new(set, Version::Of13);
    assert_eq!(greeting.last().unwrap().0, Protocols::OF13_OXM);
}

#[test]
fn an_echo_is_answered_before_all_else() {
    let (mut switch, _) = LearningSwitch::new(options(|_| {}), Version::Of10);
    let answers = messages(switch.receive(Message::EchoRequest(vec![1, 2]), Timestamp::default()));
    assert_eq!(answers, [Message::EchoReply(vec![1, 2])]);
    assert_eq!(switch.receive(packet_in(1, frame(2, 4)), Timestamp::default()), []);
}

#[test]
fn an_address_that_is_silent_for_long_is_forgotten() {
    let mut switch = known(options(|_| {}), Version::Of10);
    answer(&mut switch, 1, frame(2, 4));
    let later = Timestamp::default() + Duration::from_secs(301);
    let answers = messages(switch.receive(packet_in(2, frame(4, 2)), later));
    assert!(matches!(&answers[..], [Message::PacketOut(out)] if out.actions == output(OfPort::FLOOD)));
}

#[test]
fn wildcards_are_those_of_openflow_1_0() {
    assert_eq!(mask_of_wildcards(0).bits(slot::NW_SRC), u128::from(u32::MAX));
    let mask = mask_of_wildcards(8 << 8 | 1);
    assert_eq!((mask.bits(slot::NW_SRC), mask.bits(slot::IN_PORT)), (0xffff_ff00, 0));
    assert_eq!(mask_of_wildcards(u32::MAX).bits(slot::NW_DST), 0);
}
