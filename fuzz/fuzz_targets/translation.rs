#![no_main]
//! Any text is the rules of a bridge and any bytes are a packet: translation ends, and what its megaflow leaves
//! out could have been otherwise.

use std::sync::Arc;

use base::{DpPort, OfPort, Timestamp};
use fields::Protocols;
use flow::{FlowKey, Slot, slot};
use libfuzzer_sys::fuzz_target;
use ofp::{Encoder, FlowMod, FlowModCommand, Message, Names};
use ofproto::{BundleConfig, NewPort, Switch};
use pipeline::{BridgeId, Request, Start, Translation, VlanConfig};

/// What is changed in a packet where the megaflow does not look.
const PLACES: [Slot; 7] =
    [slot::NW_TTL, slot::TP_SRC, slot::TP_DST, slot::NW_SRC, slot::NW_DST, slot::DL_SRC, slot::NW_TOS];

/// Two ports, and a bond of two whose packets are shared by their source; multicast goes to those who listen.
fn bridge_with_ports() -> (Switch, BridgeId) {
    let mut switch = Switch::new();
    let id = switch.add_bridge("br0", dp::DpId(1), dp::Capabilities::ALL);
    let bond = Arc::new(pipeline::Bond::default());
    let members = [OfPort(3), OfPort(4)];
    bond.set_state(pipeline::BondState {
        mode: pipeline::BondMode::BalanceSlb,
        enabled: members.to_vec(),
        active: Some(members[0]),
        buckets: (0..pipeline::BUCKETS).map(|bucket| Some(members[bucket % 2])).collect(),
        ..pipeline::BondState::default()
    });
    for (ports, bond) in [(1..=1, None), (2..=2, None), (3..=4, Some(bond))] {
        let bundle = switch.new_bundle_id();
        let Some(bridge) = switch.get_mut(id) else { continue };
        for number in ports.clone() {
            let (name, datapath) = (format!("p{number}"), Some(DpPort(10 + number)));
            bridge.add_port(NewPort { name, datapath, ..NewPort::default() }, Timestamp::ZERO);
        }
        let (name, ports) = (format!("b{}", ports.start()), ports.map(OfPort).collect());
        let config = BundleConfig { name, ports, bond, vlan: VlanConfig::default(), protected: false };
        bridge.set_bundle(config, || bundle);
    }
    if let Some(bridge) = switch.get_mut(id) {
        bridge.set_snooping(Some(ofproto::Snooping::default()));
    }
    switch.reconnect();
    (switch, id)
}

/// `TABLE PRIORITY MATCH; ACTIONS`.
fn add(switch: &mut Switch, id: BridgeId, line: &str) -> Option<()> {
    let (head, actions) = line.split_once(';')?;
    let mut words = head.splitn(3, ' ');
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.table = words.next()?.parse().ok()?;
    request.priority = words.next()?.parse().ok()?;
    request.m = fields::Match::parse(words.next()?, None).ok()?.0;
    request.actions = ofp::parse_instructions(actions, Names::default()).ok()?.0;
    // As it comes to the switch, which may refuse it.
    let bytes = Message::FlowMod(Box::new(request)).to_bytes(&Encoder::new(Protocols::OF15_OXM, 1));
    let Ok(decoded) = ofp::decode(&bytes, &ofp::Context::default()) else { return None };
    let Message::FlowMod(request) = decoded.message else { return None };
    switch.get_mut(id)?.flow_mod(&request, Timestamp::ZERO).ok().map(|_| ())
}

fn run(switch: &Switch, bridge: BridgeId, key: &FlowKey) -> Translation {
    let (purpose, trace) = (pipeline::Purpose::Question, pipeline::Trace::Off);
    let request = Request { bridge, key, start: Start::Lookup, purpose, trace, packet: None };
    pipeline::translate(switch, &request)
}

fuzz_target!(|bytes: &[u8]| {
    let Some(at) = bytes.iter().position(|byte| *byte == 0) else { return };
    let (rules, packet) = bytes.split_at(at);
    let Ok(rules) = std::str::from_utf8(rules) else { return };
    let (mut switch, id) = bridge_with_ports();
    let added = rules.lines().take(32).filter_map(|line| add(&mut switch, id, line)).count();
    if added == 0 {
        return;
    }
    let mut key =
        flow::extract(&flow::Metadata::default(), packet.get(1..).unwrap_or_default(), flow::MAX_VLANS);
    key.set_in_port(1);
    let translation = run(&switch, id, &key);
    let mask = pipeline::installable(&translation.mask, &key);
    let text = |translation: &Translation| dp::text::format_actions(&translation.actions, None);
    for place in PLACES {
        let mut other = key.clone();
        other.write(place, other.read(place) ^ 1);
        if key.equal_under(&other, &mask) {
            assert_eq!(text(&run(&switch, id, &other)), text(&translation), "{place:?}");
        }
    }
});
