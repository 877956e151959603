//! Packets that ask for masks of many kinds: the masks are bounded, and no packet is treated otherwise for it.
#![allow(clippy::unwrap_used)] // tests say what they expect by unwrapping

use std::collections::HashSet;
use std::sync::Arc;

use base::{Clock, DpPort, MacAddr, Timestamp};
use dp::{Capabilities, Datapath, DpId, DummyControl, Flow, Packet, PortKind, PortSpec};
use dp_user::{Config, DpUser};
use flow::{FlowKey, FlowMask};
use flowsync::{FlowSync, PacketIn, Sample, Sink};
use ofp::{FlowMod, FlowModCommand};
use ofproto::{NewPort, SharedSwitch};
use pipeline::{BridgeId, SharedNetwork};

struct Nobody;

impl Sink for Nobody {
    fn ask(&self, _asking: pipeline::tunnel::Asking) {}
    fn packet_in(&self, _: PacketIn) {}
    fn sample(&self, _: Sample) -> bool {
        true
    }
    fn take(&self, _: BridgeId, _: base::OfPort, _: pipeline::Protocol, _: &[u8]) {}
}

struct World {
    switch: Arc<SharedSwitch>,
    bridge: BridgeId,
    datapath: Arc<DpUser>,
    flows: Arc<FlowSync>,
    random: u64,
}

/// Ports by which packets go out: from 2 on.
const OUTPUTS: u32 = 4;

impl World {
    /// Rules with prefixes and L4 ports of all lengths, each with an output of its own.
    fn new(rules: usize) -> World {
        let clock = Clock::new();
        clock.stop();
        let config = Config { is_dummy: true, processors: None, ..Config::default() };
        let datapath = Arc::new(DpUser::new(config, clock.clone()).unwrap());
        let switch = Arc::new(SharedSwitch::default());
        let bridge = switch.write().add_bridge("br0", DpId(1), Capabilities::ALL);
        for number in 1..=1 + OUTPUTS {
            let name = format!("p{number}");
            let number = datapath.add_port(&PortSpec::new(&name, PortKind::Dummy)).unwrap();
            let port = NewPort { name, datapath: Some(number), ..NewPort::default() };
            switch.write().get_mut(bridge).unwrap().add_port(port, Timestamp::ZERO).unwrap();
        }
        switch.write().reconnect();
        let flows = FlowSync::new(
            Arc::clone(&switch) as Arc<dyn SharedNetwork>,
            DpId(1),
            Arc::clone(&datapath) as Arc<dyn Datapath>,
            Arc::new(Nobody),
            clock,
        );
        let mut world = World { switch, bridge, datapath, flows, random: 1 };
        for _ in 0..rules {
            let (src, dst) = (world.address(), world.address());
            let matching = format!(
                "{},nw_src={src}/{},nw_dst={dst}/{},tp_src={}/{:#x},tp_dst={}",
                if world.below(2) == 0 { "udp" } else { "tcp" },
                world.below(33),
                world.below(33),
                world.below(1 << 16),
                0xffff << world.below(16) & 0xffff,
                world.below(64),
            );
            let priority = world.below(1000) as u16;
            world.add_rule(priority + 1, &matching, 2 + world.random as u32 % OUTPUTS);
        }
        world.add_rule(0, "", 2);
        world
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.random = flow::extract::mix(self.random, 0x1234_5678_9abc_def1);
        (self.random >> 20) % limit
    }

    /// Addresses that have many first bits in common, or few.
    fn address(&mut self) -> String {
        let [a, b, c, d] = [2, 4, 256, 256].map(|limit| self.below(limit));
        format!("{}.{}.{c}.{d}", 10 * a, 64 * b)
    }

    fn add_rule(&self, priority: u16, matching: &str, output: u32) {
        let mut request = FlowMod::new(FlowModCommand::Add);
        request.priority = priority;
        request.m = fields::Match::parse(matching, None).unwrap().0;
        request.actions = ofp::parse_actions(&format!("output:{output}"), ofp::Names::default()).unwrap().0;
        let mut switch = self.switch.write();
        switch.get_mut(self.bridge).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
    }

    fn frame(&mut self) -> Vec<u8> {
        let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
        let mut bytes = wire::ethernet::header(dst, src, 0x0800).to_vec();
        let protocol = if self.below(2) == 0 { 17 } else { 6 };
        bytes.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, protocol, 0, 0]);
        for _ in 0..2 {
            let address: std::net::Ipv4Addr = self.address().parse().unwrap();
            bytes.extend(address.octets());
        }
        bytes.extend((self.below(1 << 16) as u16).to_be_bytes());
        bytes.extend((self.below(70) as u16).to_be_bytes());
        bytes.extend([0, 26, 0, 0, 0, 0, 0, 0, 0x50, 2]);
        bytes.resize(60, 0);
        bytes
    }

    fn packet(frame: &[u8]) -> Packet {
        let mut packet = Packet::from_bytes(frame);
        packet.metadata.in_port = DpPort(1);
        packet
    }

    /// What translation says of a key.
    fn translation_of(&self, key: &FlowKey) -> pipeline::Translation {
        let mut made = None;
        SharedNetwork::read(&*self.switch, &mut |network| {
            let request = pipeline::Request {
                bridge: self.bridge,
                key,
                start: pipeline::Start::Lookup,
                purpose: pipeline::Purpose::Flow,
                trace: pipeline::Trace::Off,
                packet: None,
            };
            made = Some(pipeline::translate(network, &request));
        });
        made.unwrap()
    }

    fn translation(&self, frame: &[u8]) -> pipeline::Translation {
        self.translation_of(&World::packet(frame).key(1))
    }

    /// The installed flows, each with the mask that its translation depends on.
    fn needed(&self) -> Vec<(Flow, FlowMask)> {
        let needed = |flow: Flow| {
            let mask = pipeline::installable(&self.translation_of(&flow.key).mask, &flow.key);
            (flow, mask)
        };
        self.installed().into_iter().map(needed).collect()
    }

    fn sent(&self) -> Vec<u64> {
        (2..2 + OUTPUTS)
            .map(|port| self.datapath.port_stats(DpPort(port)).unwrap().tx_packets.unwrap())
            .collect()
    }

    /// Sends a packet, which has to go where a translation now says.
    fn send(&self, frame: &[u8]) {
        let translation = self.translation(frame);
        let port = match &translation.actions[..] {
            [dp::Action::Output(port)] => port.0,
            _ => 0,
        };
        let mut expected = self.sent();
        expected[port as usize - 2] += 1;
        self.datapath.receive(DpPort(1), World::packet(frame)).unwrap();
        assert_eq!(self.sent(), expected, "{frame:?}");
    }

    fn installed(&self) -> Vec<Flow> {
        let mut flows = Vec::new();
        self.datapath.flow_dump(&mut |flow| flows.push(flow));
        flows
    }
}

/// No packet is treated by a flow otherwise than by the rules, with more masks asked for than there may be.
#[test]
fn rounded_flows_do_what_the_rules_say() {
    let mut world = World::new(60);
    let mut asked = HashSet::new();
    let frames: Vec<Vec<u8>> = (0..1000).map(|_| world.frame()).collect();
    for frame in &frames {
        asked.insert(world.translation(frame).mask);
        world.send(frame);
    }
    let masks: HashSet<FlowMask> = world.installed().iter().map(|flow| (*flow.mask).clone()).collect();
    assert!(asked.len() > 2 * classifier::UNITED_MASKS, "only {} masks were asked for", asked.len());
    assert!(masks.len() <= classifier::UNITED_MASKS + 2, "{} masks", masks.len());
    assert_eq!(world.datapath.stats().masks, masks.len() as u64);
    // Each flow is right in the eyes of the revalidator, too.
    world.add_rule(2000, "arp", 3);
    let round = world.flows.revalidate();
    assert_eq!((round.kept, round.changed, round.removed), (world.installed().len(), 0, 0));
    for frame in frames.iter().rev() {
        world.send(frame);
    }
    // Rules that change are followed, whatever the masks are.
    for number in 0..10 {
        let (src, len, bit) = (world.address(), world.below(33), world.below(16));
        world.add_rule(3000 + number, &format!("udp,nw_src={src}/{len},tp_src=0/{:#x}", 1 << bit), 4);
        frames.iter().skip(usize::from(number)).step_by(40).for_each(|frame| world.send(frame));
    }
    world.flows.revalidate();
    frames.iter().for_each(|frame| world.send(frame));
}

/// The mask of each flow has at least the bits that its translation depended on, and matches the packet that made it.
#[test]
fn a_rounded_mask_has_all_that_the_translation_depended_on() {
    let mut world = World::new(40);
    for _ in 0..800 {
        let frame = world.frame();
        world.send(&frame);
    }
    let mut wider = 0;
    for (flow, needed) in world.needed() {
        assert!(flow.mask.covers(&needed), "{:?} lacks some of {needed:?}", flow.mask);
        wider += usize::from(*flow.mask != needed);
    }
    assert!(wider > 100, "few flows were rounded: {wider}");
}

/// As long as there are few masks, flows match as widely as translation allows.
#[test]
fn few_masks_are_left_as_they_are() {
    let mut world = World::new(2);
    for _ in 0..500 {
        let frame = world.frame();
        world.send(&frame);
        if world.datapath.stats().masks >= classifier::EXACT_MASKS as u64 {
            break;
        }
    }
    let flows = world.needed();
    assert!(flows.len() > 3);
    flows.iter().for_each(|(flow, needed)| assert_eq!(*flow.mask, *needed));
}
