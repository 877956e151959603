//! Several datapaths at once: what is below bridges of each kind, and those that no bridge knows.
#![allow(clippy::unwrap_used)] // tests say what they expect by unwrapping

use std::sync::{Arc, Mutex};

use base::{Clock, DpPort, MacAddr, TableId, Timestamp};
use dp::{Capabilities, Datapath, Packet, PortKind, PortSpec};
use dp_user::{Config, DpUser};
use flowsync::{Below, Datapaths, Kind, OpenError, PacketIn, Purpose, Sample, Sink};
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
    fn take(&self, _: pipeline::BridgeId, _: base::OfPort, _: pipeline::Protocol, _: &[u8]) {}
}

struct World {
    switch: Arc<SharedSwitch>,
    datapaths: Datapaths,
    opened: Arc<Mutex<Vec<(String, Purpose)>>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.datapaths.end();
    }
}

impl World {
    fn new() -> World {
        let clock = Clock::new();
        clock.stop();
        let opened = Arc::<Mutex<Vec<(String, Purpose)>>>::default();
        let kind = |name, aliases, shared| {
            let (clock, opened) = (clock.clone(), Arc::clone(&opened));
            let open = move |called: &str, purpose| {
                opened.lock().unwrap().push((called.to_owned(), purpose));
                let kind = String::from(name);
                let config = Config {
                    name: called.into(),
                    kind,
                    is_dummy: true,
                    processors: None,
                    max_vlans: 1,
                    ..Config::default()
                };
                DpUser::new(config, clock.clone()).map(|made| Arc::new(made) as Arc<dyn Datapath>)
            };
            Kind { name, aliases, shared, open: Box::new(open) }
        };
        let kinds = vec![kind("one", &["first"], "dp-one"), kind("two", &[], "dp-two")];
        let switch = Arc::new(SharedSwitch::default());
        let network = Arc::clone(&switch) as Arc<dyn SharedNetwork>;
        let datapaths = Datapaths::new(kinds, network, Arc::new(Nobody), Arc::new(|| {}), clock);
        World { switch, datapaths, opened }
    }

    /// A bridge on a datapath of this type that sends from its port 1 to its port 2.
    fn bridge(&self, name: &str, datapath_type: &str) -> (BridgeId, Below) {
        let below = self.datapaths.below(datapath_type).unwrap();
        let id = self.switch.write().add_bridge(name, below.id, below.datapath.capabilities());
        for number in [1, 2] {
            let name = format!("{name}-p{number}");
            let datapath = Some(below.datapath.add_port(&PortSpec::new(&name, PortKind::Dummy)).unwrap());
            let port = NewPort { name, datapath, ..NewPort::default() };
            self.switch.write().get_mut(id).unwrap().add_port(port, Timestamp::ZERO).unwrap();
        }
        let mut request = FlowMod::new(FlowModCommand::Add);
        request.m = fields::Match::parse("in_port=1", None).unwrap().0;
        request.actions = ofp::parse_actions("output:2", ofp::Names::default()).unwrap().0;
        let mut switch = self.switch.write();
        switch.get_mut(id).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
        switch.reconnect();
        (id, below)
    }

    fn send(below: &Below) {
        let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
        let mut bytes = wire::ethernet::header(dst, src, 0x1234).to_vec();
        bytes.resize(60, 0);
        below.datapath.dummies().unwrap().receive(DpPort(1), Packet::from_bytes(&bytes)).unwrap();
    }

    fn counted(&self, bridge: BridgeId) -> u64 {
        let switch = self.switch.read();
        let table = switch.get(bridge).unwrap().table(TableId(0)).unwrap();
        table.entries().map(|entry| entry.rule.counters.packets()).sum()
    }
}

fn flows_of(below: &Below) -> usize {
    let mut count = 0;
    below.datapath.flow_dump(&mut |_| count += 1);
    count
}

#[test]
fn ports_of_the_same_number_in_two_datapaths_are_of_different_bridges() {
    let world = World::new();
    let (first, below_first) = world.bridge("a", "one");
    let (second, below_second) = world.bridge("b", "two");
    assert_ne!(below_first.id, below_second.id);
    (0..3).for_each(|_| World::send(&below_first));
    World::send(&below_second);
    assert_eq!((flows_of(&below_first), flows_of(&below_second)), (1, 1));
    world.datapaths.credit();
    assert_eq!((world.counted(first), world.counted(second)), (3, 1));
    below_second.flows.purge();
    assert_eq!((flows_of(&below_first), flows_of(&below_second)), (1, 0));
}

#[test]
fn bridges_of_a_kind_share_a_datapath_whichever_of_its_names_they_use() {
    let world = World::new();
    let below = |kind| world.datapaths.below(kind).unwrap().id;
    assert_eq!(below("one"), below("first"));
    assert_eq!(*world.opened.lock().unwrap(), [("dp-one".to_owned(), Purpose::Bridges)]);
    assert!(matches!(world.datapaths.below("three"), Err(OpenError::UnknownKind(kind)) if kind == "three"));
    assert_eq!(world.datapaths.types().collect::<Vec<_>>(), ["one", "first", "two"]);
}

#[test]
fn a_datapath_made_by_hand_has_a_name_of_its_own_and_can_be_removed() {
    let world = World::new();
    let shared = world.datapaths.below("two").unwrap();
    let (id, _) = world.datapaths.add("two", "hand").unwrap();
    assert_ne!(id, shared.id);
    assert!(matches!(world.datapaths.add("two", "hand"), Err(OpenError::Exists)));
    assert!(matches!(world.datapaths.add("two", "dp-two"), Err(OpenError::Exists)));
    assert!(matches!(world.datapaths.add("first", "hand"), Err(OpenError::UnknownKind(_))));
    assert_eq!(world.datapaths.named("two@hand").map(|(id, _)| id), Some(id));
    assert!(world.datapaths.get(id).is_none(), "bridges cannot be on it");
    world.datapaths.remove(id);
    assert!(world.datapaths.named("two@hand").is_none());
    assert!(world.datapaths.named("two@dp-two").is_some());
}

#[test]
fn a_datapath_is_closed_after_its_last_bridge_and_opened_anew_with_the_next() {
    let world = World::new();
    let (_, one) = world.bridge("a", "one");
    let (of_two, two) = world.bridge("b", "two");
    let ids = || world.switch.read().bridges().map(ofproto::Bridge::datapath).collect::<Vec<_>>();
    world.datapaths.close_unused(|id| ids().contains(&id));
    assert_eq!(world.datapaths.shared().len(), 2, "each has a bridge");
    let epoch = world.datapaths.port_epoch();
    let (closed, id) = (Arc::downgrade(&two.datapath), two.id);
    drop(two);
    world.switch.write().remove_bridge(of_two);
    world.datapaths.close_unused(|id| ids().contains(&id));
    assert!(closed.upgrade().is_none() && world.datapaths.get(id).is_none());
    assert_ne!(world.datapaths.port_epoch(), epoch);
    assert_eq!(world.datapaths.below("one").unwrap().id, one.id, "the other one stays");
    let (again, two) = world.bridge("b", "two");
    assert_ne!(two.id, id);
    World::send(&two);
    world.datapaths.credit();
    assert_eq!(world.counted(again), 1);
}

#[test]
fn what_is_set_holds_for_datapaths_that_are_opened_later() {
    let world = World::new();
    let before = world.datapaths.below("one").unwrap();
    world.datapaths.set_limits(flowsync::Bounds { flow_limit: 7, ..flowsync::Bounds::default() });
    world.datapaths.set_max_vlans(2);
    world.datapaths.serve(false);
    let (bridge, after) = world.bridge("b", "two");
    for below in [&before, &after] {
        assert_eq!(below.flows.flow_limit(), 7);
        assert_eq!(below.datapath.max_vlans(), 2);
    }
    World::send(&after);
    world.datapaths.credit();
    assert_eq!((flows_of(&after), world.counted(bridge)), (0, 0), "nobody serves misses");
    world.datapaths.serve(true);
    World::send(&after);
    assert_eq!(flows_of(&after), 1);
}

#[test]
fn translation_keeps_to_what_the_datapath_can_do() {
    let world = World::new();
    let (id, below) = world.bridge("a", "one");
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.actions = ofp::parse_actions("push_mpls:0x8847,output:2", ofp::Names::default()).unwrap().0;
    request.m = fields::Match::parse("in_port=1", None).unwrap().0;
    world.switch.write().get_mut(id).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
    let actions = || {
        below.flows.purge();
        World::send(&below);
        let mut found = Vec::new();
        below.datapath.flow_dump(&mut |flow| found.push(dp::text::format_actions(&flow.actions, None)));
        found
    };
    assert_eq!(actions(), ["push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),2"]);
    let without_labels = Capabilities { max_mpls: 0, ..below.datapath.capabilities() };
    world.switch.write().get_mut(id).unwrap().set_capabilities(without_labels);
    assert_eq!(actions(), ["drop"]);
}
