//! Instructions per flow-mod, counted by callgrind, and bytes per rule, counted by DHAT: neither depends on what else the
//! machine does. CONTRIBUTING says how to run it.
//!
//! The rules are of three kinds: a MAC address, an IPv4 prefix, a connection. `hundred` are a hundred flow-mods, from
//! their bytes on, in a bridge with 10,000 rules; `whole` is one flow-mod about all 10,000, and `steps` the same as it is
//! made while packets are translated. Of `rules` and `bundle`, "At t-gmax bytes" divided by 10,000 are the bytes per rule,
//! at the peak.
#![allow(clippy::unwrap_used)] // as tests, benchmarks say what they expect by unwrapping

use std::hint::black_box;

use base::Timestamp;
use dp::{Capabilities, DpId};
use fields::Protocols;
use gungraun::prelude::*;
use gungraun::{Dhat, LibraryBenchmarkConfig};
use ofp::{Encoder, FlowMod, FlowModCommand, Message, Names};
use ofproto::{FlowRequest, Part, SharedSwitch, Switch};
use pipeline::BridgeId;

const PROTOCOL: Protocols = Protocols::OF13_OXM;
const RULES: u32 = 10_000;

/// The match of rule `number`, and its priority.
fn rule(number: u32) -> (fields::Match, u16) {
    let mixed = number.wrapping_mul(0x9e37_79b9);
    let [a, b, c, d] = mixed.to_be_bytes();
    let (text, priority) = match number % 10 {
        0..4 => (format!("dl_dst=02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}"), 100),
        4..7 => {
            let len = [16, 20, 22, 24, 26, 28, 30, 32][(number / 10 % 8) as usize];
            (format!("ip,nw_dst={a}.{b}.{c}.{d}/{len}"), 1000 + len)
        }
        _ => {
            let ports = format!("tp_src={},tp_dst={}", 1024 + number % 60_000, 1 + mixed % 60_000);
            (format!("tcp,nw_src=10.{b}.{c}.{d},nw_dst=10.{d}.{b}.{c},{ports}"), 2000 + (mixed % 64) as u16)
        }
    };
    (fields::Match::parse(&text, None).unwrap().0, priority)
}

fn request(command: FlowModCommand, number: u32) -> FlowMod {
    let (m, priority) = rule(number);
    let port = 1 + number % 8 + u32::from(command.is_modify());
    let actions = match command.is_delete() {
        true => Vec::new(),
        false => ofp::parse_actions(&format!("output:{port}"), Names::default()).unwrap().0,
    };
    FlowMod { m, priority, actions, table: 0, ..FlowMod::new(command) }
}

/// A bridge with rules, and messages for it.
struct World {
    switch: Switch,
    bridge: BridgeId,
    messages: Vec<Vec<u8>>,
}

impl World {
    fn new(messages: impl Iterator<Item = FlowMod>) -> World {
        let mut switch = Switch::new();
        let bridge = switch.add_bridge("br0", DpId(1), Capabilities::ALL);
        let encoder = Encoder::new(PROTOCOL, 1);
        let messages =
            messages.map(|request| Message::FlowMod(Box::new(request)).to_bytes(&encoder)).collect();
        World { switch, bridge, messages }
    }

    fn filled(messages: impl Iterator<Item = FlowMod>) -> World {
        let mut world = World::new(messages);
        let bridge = world.switch.get_mut(world.bridge).unwrap();
        for number in 0..RULES {
            bridge.flow_mod(&request(FlowModCommand::Add, number), Timestamp::ZERO).unwrap();
        }
        world
    }

    fn carry_out(&mut self) {
        let bridge = self.switch.get_mut(self.bridge).unwrap();
        let context = ofp::Context { protocol: PROTOCOL, n_tables: 254, flow_age: true, loose: false };
        for bytes in &self.messages {
            let message = ofp::decode(black_box(bytes), &context).unwrap().message;
            let Message::FlowMod(request) = message else { continue };
            black_box(bridge.flow_mod(&request, Timestamp::from_millis(5)).unwrap());
        }
    }
}

fn adding() -> World {
    World::filled((RULES..RULES + 100).map(|number| request(FlowModCommand::Add, number)))
}

fn hundred_of(command: FlowModCommand) -> World {
    World::filled((0..100).map(|number| request(command, number * 97)))
}

fn whole_of(command: FlowModCommand) -> World {
    let all = FlowMod { m: fields::Match::default(), ..request(command, 0) };
    World::filled(std::iter::once(all))
}

#[library_benchmark]
#[bench::add(setup = adding)]
#[bench::modify_strict(args = [FlowModCommand::ModifyStrict], setup = hundred_of)]
#[bench::delete_strict(args = [FlowModCommand::DeleteStrict], setup = hundred_of)]
fn hundred(mut world: World) -> World {
    world.carry_out();
    world
}

#[library_benchmark]
#[bench::modify(args = [FlowModCommand::Modify], setup = whole_of)]
#[bench::delete(args = [FlowModCommand::Delete], setup = whole_of)]
fn whole(mut world: World) -> World {
    world.carry_out();
    world
}

fn empty() -> World {
    World::new(std::iter::empty())
}

#[library_benchmark(config = LibraryBenchmarkConfig::default().tool(Dhat::default()))]
#[bench::ten_thousand(setup = empty)]
fn rules(mut world: World) -> World {
    let bridge = world.switch.get_mut(world.bridge).unwrap();
    for number in 0..RULES {
        bridge.flow_mod(&request(FlowModCommand::Add, number), Timestamp::ZERO).unwrap();
    }
    world
}

/// A bridge behind its lock, with so many rules.
fn shared(rules: u32) -> (SharedSwitch, BridgeId) {
    let shared = SharedSwitch::default();
    let bridge = shared.write().add_bridge("br0", DpId(1), Capabilities::ALL);
    for number in 0..rules {
        let request = request(FlowModCommand::Add, number);
        shared.flow_mod(bridge, &request, Timestamp::ZERO).unwrap();
    }
    (shared, bridge)
}

fn shared_for(command: FlowModCommand) -> Box<(SharedSwitch, BridgeId, FlowMod)> {
    let (shared, bridge) = shared(RULES);
    // One match that all rules are within, and not all rules of a table: those are deleted at once.
    let all = FlowMod { m: fields::Match::default(), cookie_mask: u64::MAX, ..request(command, 0) };
    Box::new((shared, bridge, all))
}

#[library_benchmark]
#[bench::modify(args = [FlowModCommand::Modify], setup = shared_for)]
#[bench::delete(args = [FlowModCommand::Delete], setup = shared_for)]
fn steps(of: Box<(SharedSwitch, BridgeId, FlowMod)>) -> Box<(SharedSwitch, BridgeId, FlowMod)> {
    let (shared, bridge, request) = &*of;
    let changes = shared.flow_mod(*bridge, black_box(request), Timestamp::from_millis(5)).unwrap();
    assert_eq!(changes.len(), RULES as usize);
    of
}

fn bundled() -> (SharedSwitch, BridgeId) {
    shared(0)
}

#[library_benchmark(config = LibraryBenchmarkConfig::default().tool(Dhat::default()))]
#[bench::ten_thousand(setup = bundled)]
fn bundle((shared, bridge): (SharedSwitch, BridgeId)) -> (SharedSwitch, BridgeId) {
    let requests: Vec<FlowRequest> =
        (0..RULES).map(|number| (&request(FlowModCommand::Add, number)).into()).collect();
    let parts = requests.into_iter().map(|request| ((), Part::Flow(request)));
    let done = shared
        .begin(bridge)
        .carry_out::<(), ()>(parts, Timestamp::ZERO, &mut |_, _| Err(ofp::OfError::OfpbrcBadType));
    black_box(done.unwrap());
    (shared, bridge)
}

library_benchmark_group!(name = flow_mods, benchmarks = [hundred, whole, steps, rules, bundle]);
main!(library_benchmark_groups = flow_mods);
