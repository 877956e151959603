//! Many flows that live: they stay through rounds, and are found as before.
#![allow(clippy::unwrap_used)] // tests say what they expect by unwrapping

use std::sync::Arc;

use base::{Clock, DpPort, MacAddr, Timestamp};
use dp::{Capabilities, Datapath, DpId, DummyControl, Packet, PortKind, PortSpec};
use dp_user::{Config, DpUser};
use flowsync::{FlowSync, PacketIn, Round, Sample, Sink};
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

/// A frame of UDP of a 5-tuple of its own.
fn frame(number: u16) -> Vec<u8> {
    let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
    let mut bytes = wire::ethernet::header(dst, src, 0x0800).to_vec();
    bytes.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(number.to_be_bytes());
    bytes.extend([0, 80, 0, 26, 0, 0]);
    bytes.resize(60, 0);
    bytes
}

fn add_rule(switch: &SharedSwitch, bridge: BridgeId, matching: &str, actions: &str) {
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.m = fields::Match::parse(matching, None).unwrap().0;
    request.actions = ofp::parse_actions(actions, ofp::Names::default()).unwrap().0;
    switch.write().get_mut(bridge).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
}

#[test]
fn flows_that_live_stay_through_rounds_and_changes_of_rules() {
    const FLOWS: u16 = 3000;
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
    let network = Arc::clone(&switch) as Arc<dyn SharedNetwork>;
    let below = Arc::clone(&datapath) as Arc<dyn Datapath>;
    let flows = FlowSync::new(network, DpId(1), below, Arc::new(Nobody), clock);
    // What depends on a hash of the 5-tuple is said for that alone.
    add_rule(
        &switch,
        bridge,
        "udp,in_port=1",
        "multipath(symmetric_l3l4+udp,50,modulo_n,16,0,NXM_NX_REG0[]),output:2",
    );
    let send_all = || {
        for number in 0..FLOWS {
            datapath.receive(DpPort(1), Packet::from_bytes(&frame(number))).unwrap();
        }
    };
    send_all();
    let count = usize::from(FLOWS);
    assert_eq!((flows.flow_count(), datapath.stats().missed), (count, u64::from(FLOWS)));
    let all_kept = Round { kept: count, changed: 0, removed: 0 };
    assert_eq!(flows.revalidate(), all_kept);
    add_rule(&switch, bridge, "tcp", "drop");
    assert_eq!(flows.revalidate(), all_kept, "they do what they did");
    add_rule(
        &switch,
        bridge,
        "udp,in_port=1",
        "multipath(symmetric_l3l4+udp,50,modulo_n,16,0,NXM_NX_REG0[]),output:1,output:2,output:2",
    );
    assert_eq!(flows.revalidate(), Round { kept: 0, changed: count, removed: 0 });
    send_all();
    let stats = datapath.stats();
    assert_eq!((stats.missed, stats.flows), (u64::from(FLOWS), u64::from(FLOWS)), "none is made anew");
    assert_eq!((stats.masks, flows.flow_limit()), (1, flowsync::DEFAULT_FLOW_LIMIT));
}
