//! Flows between a datapath of dummies and a bridge: what is installed, credited and forgotten.
#![allow(clippy::unwrap_used)] // tests say what they expect by unwrapping

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, DpPort, MacAddr, OfPort, TableId, Timestamp};
use dp::{Capabilities, Datapath, DpId, DummyControl, Flow, Packet, PortKind, PortSpec};
use dp_user::{Config, DpUser};
use flowsync::{FlowSync, InjectError, PacketIn, Round, Sample, Sink};
use ofp::{FlowMod, FlowModCommand};
use ofproto::{NewPort, SharedSwitch};
use pipeline::{BfdFrames, BridgeId, OwnFrames, SharedNetwork, Watched};

/// Who keeps what is for controllers, and what is for protocols.
#[derive(Default)]
struct Kept(Mutex<Vec<PacketIn>>, Mutex<Vec<(OfPort, Vec<u8>)>>);

impl Sink for Kept {
    fn ask(&self, _asking: pipeline::tunnel::Asking) {}
    fn packet_in(&self, packet: PacketIn) {
        self.0.lock().unwrap().push(packet);
    }
    fn sample(&self, _: Sample) -> bool {
        true
    }
    fn take(&self, _: BridgeId, port: OfPort, _: pipeline::Protocol, frame: &[u8]) {
        self.1.lock().unwrap().push((port, frame.to_vec()));
    }
}

struct World {
    clock: Clock,
    switch: Arc<SharedSwitch>,
    bridge: BridgeId,
    datapath: Arc<DpUser>,
    flows: Arc<FlowSync>,
    kept: Arc<Kept>,
}

impl World {
    /// A bridge with ports 1 and 2, and one rule: what comes in by 1 goes out by 2.
    fn new() -> World {
        let clock = Clock::new();
        clock.stop();
        let config = Config { is_dummy: true, processors: None, ..Config::default() };
        let datapath = Arc::new(DpUser::new(config, clock.clone()).unwrap());
        let switch = Arc::new(SharedSwitch::default());
        let bridge = switch.write().add_bridge("br0", DpId(1), Capabilities::ALL);
        for name in ["p1", "p2"] {
            let number = datapath.add_port(&PortSpec::new(name, PortKind::Dummy)).unwrap();
            let port = NewPort { name: name.to_owned(), datapath: Some(number), ..NewPort::default() };
            switch.write().get_mut(bridge).unwrap().add_port(port, Timestamp::ZERO).unwrap();
        }
        switch.write().reconnect();
        let kept = Arc::new(Kept::default());
        let flows = FlowSync::new(
            Arc::clone(&switch) as Arc<dyn SharedNetwork>,
            DpId(1),
            Arc::clone(&datapath) as Arc<dyn Datapath>,
            Arc::clone(&kept) as Arc<dyn Sink>,
            clock.clone(),
        );
        let world = World { clock, switch, bridge, datapath, flows, kept };
        world.add_rule("in_port=1", "output:2");
        world
    }

    fn add_rule(&self, matching: &str, actions: &str) {
        self.add_rule_of(0x8000, matching, actions);
    }

    fn add_rule_of(&self, priority: u16, matching: &str, actions: &str) {
        let mut request = FlowMod::new(FlowModCommand::Add);
        request.priority = priority;
        request.m = fields::Match::parse(matching, None).unwrap().0;
        request.actions = ofp::parse_actions(actions, ofp::Names::default()).unwrap().0;
        let mut switch = self.switch.write();
        switch.get_mut(self.bridge).unwrap().flow_mod(&request, self.clock.now()).unwrap();
    }

    fn send(&self, count: usize) {
        for _ in 0..count {
            let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
            let mut bytes = wire::ethernet::header(dst, src, 0x1234).to_vec();
            bytes.resize(60, 0);
            self.datapath.receive(DpPort(1), Packet::from_bytes(&bytes)).unwrap();
        }
    }

    fn installed(&self) -> Vec<Flow> {
        let mut flows = Vec::new();
        self.datapath.flow_dump(&mut |flow| flows.push(flow));
        flows
    }

    /// Packets that the rules have counted.
    fn counted(&self) -> u64 {
        let switch = self.switch.read();
        let table = switch.get(self.bridge).unwrap().table(TableId(0)).unwrap();
        table.entries().map(|entry| entry.rule.counters.packets()).sum()
    }
}

#[test]
fn packets_are_credited_whatever_becomes_of_their_flow() {
    let world = World::new();
    world.send(10);
    assert_eq!(world.counted(), 1, "the first one at once");
    world.flows.credit();
    assert_eq!(world.counted(), 10);
    world.send(5);
    // The rule changes, the flow with it.
    world.add_rule("in_port=1,dl_type=0x9999", "drop");
    world.flows.revalidate();
    world.send(5);
    world.flows.purge();
    assert!(world.installed().is_empty());
    world.send(2);
    world.flows.revalidate();
    assert_eq!(world.counted(), 22);
}

#[test]
fn a_flow_deleted_behind_the_back_is_forgotten_after_some_rounds() {
    let world = World::new();
    world.send(1);
    world.datapath.flow_flush();
    for _ in 0..3 {
        world.flows.revalidate();
        assert_eq!(world.flows.flow_count(), 1, "it may be on its way into the datapath");
    }
    world.flows.revalidate();
    assert_eq!(world.flows.flow_count(), 0);
    world.send(2);
    world.flows.revalidate();
    assert_eq!((world.installed().len(), world.flows.flow_count(), world.counted()), (1, 1, 3));
}

#[test]
fn an_idle_flow_goes() {
    let world = World::new();
    world.send(2);
    world.clock.warp(Duration::from_secs(9));
    assert_eq!(world.flows.revalidate().removed, 0);
    world.clock.warp(Duration::from_secs(2));
    assert_eq!(world.flows.revalidate().removed, 1);
    assert_eq!((world.flows.flow_count(), world.counted()), (0, 2));
}

#[test]
fn a_flow_that_only_its_first_packet_met_goes_too() {
    let world = World::new();
    world.send(1);
    world.clock.warp(Duration::from_secs(9));
    assert_eq!(world.flows.revalidate().removed, 0);
    world.clock.warp(Duration::from_secs(2));
    assert_eq!(world.flows.revalidate().removed, 1);
    assert_eq!((world.flows.flow_count(), world.counted()), (0, 1));
}

#[test]
fn exact_flows_have_the_whole_packet_in_their_mask() {
    let world = World::new();
    world.flows.set_megaflows(false);
    world.send(1);
    let flow = &world.installed()[0];
    let text = dp::text::format_key(&flow.key, Some(&flow.mask), false, None);
    assert!(text.contains("eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)"), "{text}");
}

#[test]
fn the_next_packet_after_a_change_is_treated_by_the_new_rules() {
    let world = World::new();
    world.send(2);
    let sent = |port| world.datapath.port_stats(DpPort(port)).unwrap().tx_packets.unwrap();
    assert_eq!(sent(2), 2);
    // No round of the revalidator passes in between.
    world.add_rule("in_port=1", "drop");
    world.send(1);
    assert_eq!(sent(2), 2);
    world.add_rule("in_port=1", "output:2");
    world.send(1);
    assert_eq!(sent(2), 3);
    // A rule that needs more of the packet than the flow's mask has.
    world.add_rule_of(0x9000, "in_port=1,dl_dst=02:00:00:00:00:02", "drop");
    world.send(3);
    assert_eq!(sent(2), 3);
    world.flows.credit();
    assert_eq!(world.counted(), 7, "each packet is credited once");
}

#[test]
fn a_flow_that_a_change_leaves_as_it_was_stays() {
    let world = World::new();
    world.send(1);
    let before = world.installed()[0].clone();
    world.add_rule("in_port=2", "drop");
    let missed = world.datapath.stats().missed;
    world.send(1);
    let after = &world.installed()[0];
    assert_eq!((after.ufid, after.stats.packets), (before.ufid, 1));
    assert!(after.version > before.version);
    assert_eq!(world.datapath.stats().missed, missed);
}

#[test]
fn a_confirmation_of_other_actions_is_ignored() {
    let world = World::new();
    world.send(1);
    let seen = world.installed()[0].clone();
    world.add_rule("in_port=1", "drop");
    world.send(1);
    let version = world.installed()[0].version.unwrap();
    world.datapath.flow_confirm(&seen, version + 1);
    assert_eq!(world.installed()[0].version, Some(version), "the flow was changed since it was seen");
}

/// A TCP packet over IPv4 whose checksum is left to the device, as virtual devices hand it over.
fn unfinished(payload: usize) -> Packet {
    let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
    let mut bytes = wire::ethernet::header(dst, src, 0x0800).to_vec();
    let len = (40 + payload) as u16;
    bytes.extend([0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0, 7, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes.extend((0..payload).map(|at| at as u8));
    let pseudo = wire::checksum::pseudo_ipv4(0x0a00_0001, 0x0a00_0002, 6, 20 + payload);
    bytes[50..52].copy_from_slice(&(!pseudo.finish()).to_be_bytes());
    let mut packet = Packet::from_bytes(&bytes);
    packet.offload.checksum = Some((34, 16));
    packet
}

/// Whether the checksum of a TCP packet over IPv4 is right.
fn is_sound(frame: &[u8]) -> bool {
    let pseudo = wire::checksum::pseudo_ipv4(0x0a00_0001, 0x0a00_0002, 6, frame.len() - 34);
    pseudo.bytes(&frame[34..]).finish() == 0
}

#[test]
fn a_controller_gets_frames_with_nothing_left_to_a_device() {
    let world = World::new();
    world.add_rule_of(0x9000, "in_port=1,tcp", "controller:20");
    let send = |packet| world.datapath.receive(DpPort(1), packet).unwrap();
    send(unfinished(100));
    // A train of three segments.
    let mut train = unfinished(2500);
    let kind = dp::Segmentation::TCP_V4;
    train.offload.segmentation = Some(dp::Segmentation { kind, size: 1000, header_len: 54 });
    send(train);
    let kept = world.kept.0.lock().unwrap();
    let lengths: Vec<usize> = kept.iter().map(|packet| packet.packet.len()).collect();
    assert_eq!(lengths, [154, 1054, 1054, 554]);
    assert!(kept.iter().all(|packet| is_sound(&packet.packet)));
}

#[test]
fn a_packet_that_cannot_be_translated_is_not_sent_and_not_counted() {
    let world = World::new();
    world.add_rule_of(0x9000, "in_port=1", "resubmit(,0),resubmit(,0)");
    let mut metadata = flow::FlowKey::default();
    metadata.set_in_port(1);
    let actions = ofp::parse_actions("resubmit(,0)", ofp::Names::default()).unwrap().0;
    let before = world.counted();
    let refused = world.flows.packet_out(world.bridge, unfinished(10), &metadata, &actions);
    let error = refused.unwrap_err();
    let expected = [pipeline::Error::RecursionTooDeep, pipeline::Error::TooManyResubmits];
    assert!(expected.into_iter().any(|one| error == InjectError::Translation(one)), "{error}");
    assert_eq!(world.counted(), before);
}

#[test]
fn a_loop_of_rules_is_translated_once_and_then_dropped_by_its_flow() {
    let world = World::new();
    world.add_rule("in_port=1", "resubmit(,0)");
    let before = dp::DropReason::RecursionTooDeep.total();
    world.send(3);
    assert_eq!(dp::DropReason::RecursionTooDeep.total(), before + 3);
    assert_eq!(world.datapath.stats().missed, 1, "the others meet the flow");
    world.flows.revalidate();
    assert_eq!(world.flows.flow_count(), 1);
    world.add_rule("in_port=1", "output:2");
    world.flows.revalidate();
    world.send(1);
    assert_eq!(world.datapath.port_stats(DpPort(2)).unwrap().tx_packets, Some(1));
}

/// A UDP datagram to this port, from 10.0.0.1 to 10.0.0.2.
fn datagram(port: u16) -> Vec<u8> {
    let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
    let mut bytes = wire::ethernet::header(dst, src, 0x0800).to_vec();
    let protocol = wire::protocol::UDP;
    bytes.extend(wire::ipv4::header(0x0a00_0001, 0x0a00_0002, protocol, 0, 255, 0, 8 + wire::bfd::LEN));
    bytes.extend(wire::udp::header(50_000, port, wire::bfd::LEN));
    bytes.resize(bytes.len() + wire::bfd::LEN, 0);
    bytes
}

#[test]
fn frames_of_a_protocol_go_to_it_and_nowhere_else() {
    let world = World::new();
    let receive = |port: u16| {
        world.datapath.receive(DpPort(1), Packet::from_bytes(&datagram(port))).unwrap();
    };
    let sent = || world.datapath.port_stats(DpPort(2)).unwrap().tx_packets;
    receive(wire::bfd::PORT);
    assert_eq!((sent(), world.kept.1.lock().unwrap().len()), (Some(1), 0), "nobody watches the port");

    let watch = |frames| {
        let own = OwnFrames { bfd: Some(frames), ..OwnFrames::default() };
        let watched = Arc::new(Watched::new(own, false));
        world.switch.write().get_mut(world.bridge).unwrap().watch_port(OfPort(1), Some(watched));
    };
    watch(BfdFrames::default());
    (0..3).for_each(|_| receive(wire::bfd::PORT));
    receive(wire::bfd::PORT + 1);
    assert_eq!(sent(), Some(2), "the one to another port");
    let taken = std::mem::take(&mut *world.kept.1.lock().unwrap());
    assert_eq!(taken, vec![(OfPort(1), datagram(wire::bfd::PORT)); 3]);

    // A session that has an address takes what is sent to it; the flows follow.
    watch(BfdFrames { destination: Some(0x0a00_0009), ..BfdFrames::default() });
    receive(wire::bfd::PORT);
    watch(BfdFrames { destination: Some(0x0a00_0002), ..BfdFrames::default() });
    receive(wire::bfd::PORT);
    assert_eq!((sent(), world.kept.1.lock().unwrap().len()), (Some(3), 1));
    world.flows.credit();
    assert_eq!(world.counted(), 7, "the rule that they would have met counts them");
}

#[test]
fn flows_that_live_stay_through_rounds_and_changes_of_rules() {
    const FLOWS: u16 = 3000;
    let world = World::new();
    // What depends on a hash of the 5-tuple is said for that alone.
    let spread = |outputs: &str| {
        let actions = format!("multipath(symmetric_l3l4+udp,50,modulo_n,16,0,NXM_NX_REG0[]),{outputs}");
        world.add_rule_of(0x9000, "udp,in_port=1", &actions);
    };
    spread("output:2");
    let send_all = || {
        for number in 0..FLOWS {
            world.datapath.receive(DpPort(1), Packet::from_bytes(&datagram(number))).unwrap();
        }
    };
    send_all();
    let count = usize::from(FLOWS);
    assert_eq!((world.flows.flow_count(), world.datapath.stats().missed), (count, u64::from(FLOWS)));
    let all_kept = Round { kept: count, changed: 0, removed: 0 };
    assert_eq!(world.flows.revalidate(), all_kept);
    world.add_rule("tcp", "drop");
    assert_eq!(world.flows.revalidate(), all_kept, "they do what they did");
    spread("output:1,output:2,output:2");
    assert_eq!(world.flows.revalidate(), Round { kept: 0, changed: count, removed: 0 });
    send_all();
    let stats = world.datapath.stats();
    assert_eq!((stats.missed, stats.flows), (u64::from(FLOWS), u64::from(FLOWS)), "none is made anew");
    assert_eq!((stats.masks, world.flows.flow_limit()), (1, flowsync::DEFAULT_FLOW_LIMIT));
}
