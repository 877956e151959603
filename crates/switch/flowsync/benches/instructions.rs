//! Instructions per packet in each tier of its way, counted by callgrind: the counts do not depend on what else the machine
//! does. CONTRIBUTING says how to run it.
#![allow(clippy::unwrap_used)] // as tests, benchmarks say what they expect by unwrapping

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

use base::{Clock, DpPort, MacAddr, Timestamp};
use classifier::Megaflows;
use dp::{Action, Capabilities, Datapath, DpId, DummyControl, FlowPut, Packet, PortKind, PortSpec, PutMode};
use dp_user::{Config, DpUser};
use flow::{FlowMask, Metadata, PacketKey, slot};
use flowsync::{FlowSync, PacketIn, Sample, Sink};
use gungraun::prelude::*;
use ofp::{FlowMod, FlowModCommand};
use ofproto::{NewPort, SharedSwitch};
use pipeline::{BridgeId, SharedNetwork};

/// An Ethernet frame of 60 bytes: UDP over IPv4, from `source_port`.
fn frame(source_port: u16) -> Vec<u8> {
    let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
    let mut bytes = wire::ethernet::header(dst, src, 0x0800).to_vec();
    bytes.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(source_port.to_be_bytes());
    bytes.extend([0, 80, 0, 26, 0, 0]);
    bytes.resize(60, 0);
    bytes
}

fn key_of(source_port: u16) -> PacketKey {
    let mut key = PacketKey::new();
    key.refill(&Metadata::new(DpPort(1)), &frame(source_port), 1);
    key
}

/// `masks` megaflows, each with a mask of its own; only the last one's is that of the key of [`frame`] 7.
fn table(masks: u16) -> Box<(Megaflows<u32>, PacketKey)> {
    let mut table = Megaflows::new();
    for number in 0..masks {
        let mut mask = FlowMask::new();
        mask.add_all(slot::IN_PORT);
        mask.add_all(slot::DL_TYPE);
        mask.add(slot::TP_SRC, u128::from(u16::MAX >> (number % 16)));
        mask.add(slot::NW_SRC, u128::from(u32::MAX << (number / 16)));
        let source_port = if number + 1 == masks { 7 } else { 1000 + number };
        table.insert(key_of(source_port).key(), &mask, u32::from(number));
    }
    Box::new((table, key_of(7)))
}

fn key_and_frame() -> Box<(PacketKey, Vec<u8>)> {
    Box::new((key_of(7), frame(7)))
}

#[library_benchmark]
#[bench::udp(setup = key_and_frame)]
fn extraction(mut of: Box<(PacketKey, Vec<u8>)>) -> Box<(PacketKey, Vec<u8>)> {
    let (key, bytes) = &mut *of;
    key.refill(black_box(&Metadata::new(DpPort(1))), black_box(bytes), 1);
    of
}

fn warmed() -> Box<(Megaflows<u32>, PacketKey)> {
    let mut warmed = table(1);
    let (table, key) = &mut *warmed;
    table.lookup(key, key.hash());
    warmed
}

#[library_benchmark]
#[bench::one(setup = warmed)]
fn cache_hit(mut of: Box<(Megaflows<u32>, PacketKey)>) -> Box<(Megaflows<u32>, PacketKey)> {
    let (table, key) = &mut *of;
    black_box(table.lookup(black_box(key), key.hash()));
    of
}

#[library_benchmark]
#[bench::one_mask(args = [1], setup = table)]
#[bench::ten_masks(args = [10], setup = table)]
fn table_hit(mut of: Box<(Megaflows<u32>, PacketKey)>) -> Box<(Megaflows<u32>, PacketKey)> {
    let (table, key) = &mut *of;
    black_box(table.lookup_table(black_box(key.key())));
    of
}

/// Numbers that look like random ones.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = flow::extract::mix(self.0, 0x1234_5678_9abc_def1);
        (self.0 >> 20) % limit
    }

    /// Of 10.0.0.0/8.
    fn address(&mut self) -> Ipv4Addr {
        Ipv4Addr::from(10 << 24 | self.below(1 << 24) as u32)
    }

    /// A frame with a 5-tuple of its own.
    fn frame(&mut self) -> Vec<u8> {
        let mut frame = frame(1024 + self.below(64_512) as u16);
        for place in [26, 30] {
            frame[place..place + 4].copy_from_slice(&self.address().octets());
        }
        frame[36..38].copy_from_slice(&(1 + self.below(65_535) as u16).to_be_bytes());
        frame
    }
}

struct NoSink;

impl Sink for NoSink {
    fn ask(&self, _asking: pipeline::tunnel::Asking) {}
    fn packet_in(&self, _: PacketIn) {}
    fn sample(&self, _: Sample) -> bool {
        true
    }
    fn take(&self, _: pipeline::BridgeId, _: base::OfPort, _: pipeline::Protocol, _: &[u8]) {}
}

/// A datapath of dummies under a bridge with the ports 1 and 2.
struct World {
    datapath: Arc<DpUser>,
    switch: Arc<SharedSwitch>,
    bridge: BridgeId,
    flows: Arc<FlowSync>,
}

impl World {
    /// One rule: connections to port 80 go from 1 to 2.
    fn new() -> World {
        let world = World::without_rules();
        world.add_rule(0, 0x8000, "udp,in_port=1,tp_src=0/0,tp_dst=80", "output:2");
        world.send(1);
        world
    }

    /// Ten tables with a hundred rules each, on prefixes and L4 ports, and a packet that has passed them.
    fn with_pipeline() -> World {
        let world = World::without_rules();
        let mut random = Random(11);
        for table in 0..10 {
            let next = if table < 9 { format!("goto_table:{}", table + 1) } else { "output:2".to_owned() };
            for _ in 0..99 {
                let [src, dst] = [0, 0].map(|_| random.address());
                let [src_len, dst_len] = [0, 0].map(|_| 8 * (1 + random.below(4)));
                let protocol = if random.below(2) == 0 { "tcp" } else { "udp" };
                let (from, to) = (1024 + random.below(64_512), 1 + random.below(65_535));
                let matching = format!(
                    "{protocol},nw_src={src}/{src_len},nw_dst={dst}/{dst_len},tp_src={from},tp_dst={to}"
                );
                world.add_rule(table, 100 + (src_len + dst_len) as u16, &matching, &next);
            }
            world.add_rule(table, 1, "", &next);
        }
        world.send(1);
        world
    }

    fn add_rule(&self, table: u8, priority: u16, matching: &str, instructions: &str) {
        let mut request = FlowMod::new(FlowModCommand::Add);
        request.table = table;
        request.priority = priority;
        request.m = fields::Match::parse(matching, None).unwrap().0;
        request.actions = ofp::parse_instructions(instructions, ofp::Names::default()).unwrap().0;
        let mut switch = self.switch.write();
        switch.get_mut(self.bridge).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
    }

    fn without_rules() -> World {
        let clock = Clock::new();
        clock.stop();
        let config = Config { is_dummy: true, processors: None, ..Config::default() };
        let datapath = Arc::new(DpUser::new(config, clock.clone()).unwrap());
        let switch = Arc::new(SharedSwitch::default());
        let bridge = switch.write().add_bridge("br0", DpId(1), Capabilities::ALL);
        for name in ["p1", "p2"] {
            let number = datapath.add_port(&PortSpec::new(name, PortKind::Dummy)).unwrap();
            let port = NewPort { name: name.to_owned(), datapath: Some(number), ..NewPort::default() };
            let mut switch = switch.write();
            switch.get_mut(bridge).unwrap().add_port(port, Timestamp::ZERO).unwrap();
        }
        switch.write().reconnect();
        let flows = FlowSync::new(
            Arc::clone(&switch) as Arc<dyn SharedNetwork>,
            DpId(1),
            Arc::clone(&datapath) as Arc<dyn Datapath>,
            Arc::new(NoSink),
            clock,
        );
        World { datapath, switch, bridge, flows }
    }

    /// With one flow that somebody put: its actions are `actions`.
    fn with_flow(actions: &str) -> World {
        let world = World::new();
        world.send(2);
        let actions: Vec<Action> = dp::text::parse_actions(actions, None).unwrap();
        let mut mask = FlowMask::new();
        mask.add_all(slot::IN_PORT);
        mask.add_all(slot::DL_TYPE);
        world.datapath.flow_flush();
        let put = FlowPut {
            ufid: None,
            worker: None,
            key: key_of(7).key().clone(),
            mask,
            actions: actions.into(),
            mode: PutMode::Create,
            zero_stats: true,
            version: None,
        };
        world.datapath.flow_put(&put).unwrap();
        world.send(2);
        world
    }

    fn send(&self, source_port: u16) {
        self.send_frame(&frame(source_port));
    }

    fn send_frame(&self, frame: &[u8]) {
        self.datapath.receive(DpPort(1), Packet::from_bytes(frame)).unwrap();
    }
}

// From the receiving port to the sending one, with the packet's buffer.
#[library_benchmark]
#[bench::output(args = ["2"], setup = World::with_flow)]
#[bench::push_vlan(args = ["push_vlan(vid=5,pcp=0),2"], setup = World::with_flow)]
#[bench::set_source(args = ["set(ipv4(src=10.9.9.9)),2"], setup = World::with_flow)]
#[bench::dropped(args = ["drop"], setup = World::with_flow)]
fn packet(world: World) -> World {
    world.send(black_box(7));
    world
}

fn flushed() -> World {
    let world = World::new();
    world.send(2);
    world.datapath.flow_flush();
    world
}

// A packet without a flow: translated, its flow installed, its actions executed.
#[library_benchmark]
#[bench::one_rule(setup = flushed)]
fn miss(world: World) -> World {
    world.send(black_box(7));
    world
}

/// A world of many rules in which so many packets were sent, each of a flow of its own; and the frames that are next.
fn busy(packets: u32) -> Box<(World, Vec<Vec<u8>>)> {
    let world = World::with_pipeline();
    let mut random = Random(7);
    for _ in 0..packets {
        world.send_frame(&random.frame());
    }
    Box::new((world, (0..100).map(|_| random.frame()).collect()))
}

// A hundred packets of new 5-tuples through ten tables with a thousand rules.
#[library_benchmark]
#[bench::first(args = [1], setup = busy)]
#[bench::later(args = [3000], setup = busy)]
fn hundred_misses(of: Box<(World, Vec<Vec<u8>>)>) -> Box<(World, Vec<Vec<u8>>)> {
    let (world, frames) = &*of;
    frames.iter().for_each(|frame| world.send_frame(black_box(frame)));
    of
}

/// A world in which so many flows live, each of a 5-tuple of its own; and frames of a hundred of them.
fn alive(count: usize) -> Box<(World, Vec<Vec<u8>>)> {
    let world = World::without_rules();
    // What depends on a hash of the 5-tuple is said for that alone.
    let actions = "multipath(symmetric_l3l4+udp,50,modulo_n,16,0,NXM_NX_REG0[]),output:2";
    world.add_rule(0, 0x8000, "udp,in_port=1", actions);
    let mut random = Random(7);
    let frames: Vec<Vec<u8>> = (0..count).map(|_| random.frame()).collect();
    frames.iter().for_each(|frame| world.send_frame(frame));
    let hundred = frames.into_iter().step_by(count / 100).collect();
    let round = world.flows.revalidate();
    assert_eq!((round.kept, world.flows.flow_count()), (count, count));
    Box::new((world, hundred))
}

/// The same after a rule was added, so that each flow may do otherwise.
fn changed(count: usize) -> Box<(World, Vec<Vec<u8>>)> {
    let of = alive(count);
    of.0.add_rule(0, 1, "tcp", "drop");
    of
}

// A round over all flows: to know that nothing has changed, and to translate each again.
#[library_benchmark]
#[bench::unchanged_2_000(args = [2_000], setup = alive)]
#[bench::unchanged_200_000(args = [200_000], setup = alive)]
#[bench::changed_2_000(args = [2_000], setup = changed)]
#[bench::changed_20_000(args = [20_000], setup = changed)]
fn round(of: Box<(World, Vec<Vec<u8>>)>) -> Box<(World, Vec<Vec<u8>>)> {
    black_box(of.0.flows.revalidate());
    of
}

// A hundred packets of flows that are known, among so many.
#[library_benchmark]
#[bench::of_2_000(args = [2_000], setup = alive)]
#[bench::of_200_000(args = [200_000], setup = alive)]
fn hundred_known(of: Box<(World, Vec<Vec<u8>>)>) -> Box<(World, Vec<Vec<u8>>)> {
    let (world, frames) = &*of;
    frames.iter().for_each(|frame| world.send_frame(black_box(frame)));
    of
}

library_benchmark_group!(
    name = tiers,
    benchmarks = [extraction, cache_hit, table_hit, packet, miss, hundred_misses, round, hundred_known]
);
main!(library_benchmark_groups = tiers);
