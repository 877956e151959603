//! Tunnels as translation sees them: where packets go in, how they come out, and that megaflows of both are sound.

use std::sync::Arc;

use base::{DpPort, MacAddr, OfPort, Timestamp};
use dp::{DpId, TunnelKind};
use flow::{FlowKey, slot};
use pipeline::BridgeId;
use pipeline::tunnel::{Endpoint, Key, Neighbour, TunnelConfig, TunnelMatch, Underlay, Way, mapped_v4};
use proptest::prelude::*;

use super::{add_flow, run, text};
use crate::{BundleConfig, NewPort, Switch};

const DATAPATH: DpId = DpId(1);
/// The port that all tunnels have in common.
const VXLAN: DpPort = DpPort(9);
const OWN: u32 = 0x0a00_0001;
const NEAR: u32 = 0x0a00_0002;
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// 10.0.0.0/24 is behind the device "br0". With mark 5 another source is taken. Only 10.0.0.2 is known.
#[derive(Debug)]
struct Lower;

impl Underlay for Lower {
    fn has_tunnels(&self, _datapath: DpId) -> bool {
        true
    }

    fn way(&self, mark: u32, destination: u128, _source: u128) -> Option<Way> {
        let is_near = destination >> 8 == mapped_v4(OWN) >> 8;
        let source = mapped_v4(if mark == 5 { OWN + 4 } else { OWN });
        is_near.then(|| Way { device: "br0".into(), gateway: None, source })
    }

    fn has_marks(&self) -> bool {
        true
    }

    fn source(&self, _device: &str, _destination: u128) -> Option<u128> {
        Some(mapped_v4(OWN))
    }

    fn neighbour(&self, _bridge: &str, address: u128) -> Neighbour {
        match address == mapped_v4(NEAR) {
            true => Neighbour::Known(MacAddr([2, 0, 0, 0, 0, 2])),
            false => Neighbour::Unknown,
        }
    }

    fn has_addresses(&self, device: &str) -> bool {
        device == "br0"
    }

    fn is_own(&self, device: &str, address: u128) -> bool {
        device == "br0" && address == mapped_v4(OWN)
    }

    fn is_addressed(&self, device: &str, address: u128) -> bool {
        self.is_own(device, address)
    }

    fn listener(&self, _datapath: DpId, protocol: u8, port: u16) -> Option<DpPort> {
        (protocol == 17 && port == 4789).then_some(VXLAN)
    }

    fn listens(&self, _datapath: DpId, protocol: u8) -> Option<bool> {
        (protocol == 17).then_some(true)
    }

    fn learn(&self, _bridge: &str, _address: u128, _mac: MacAddr, _now: Timestamp) -> bool {
        false
    }

    fn ask(&self, _bridge: &str, _address: u128, _now: Timestamp) -> bool {
        true
    }
}

fn tunnel(kind: TunnelKind, remote: Endpoint, key: Key) -> TunnelConfig {
    let (in_key, out_key, port) = (key, key, 4789);
    TunnelConfig { remote, in_key, out_key, port, ttl: None, ..TunnelConfig::new(kind) }
}

/// `br0`, with its own port and p1, is where outer packets leave; `int` has a port and two tunnels, 2 and 3.
fn switch() -> (Switch, BridgeId, BridgeId) {
    switch_with(TunnelKind::Vxlan)
}

/// The same with tunnels of this kind, and the first option of Geneve as `tun_metadata0`, the second as `tun_metadata1`.
fn switch_with(kind: TunnelKind) -> (Switch, BridgeId, BridgeId) {
    let mut switch = Switch::new();
    let outside = switch.add_bridge("br0", DATAPATH, dp::Capabilities::ALL);
    let inside = switch.add_bridge("int", DATAPATH, dp::Capabilities::ALL);
    switch.set_underlay(Arc::new(Lower));
    let fixed = tunnel(kind, Endpoint::Is(mapped_v4(NEAR)), Key::Is(7));
    let flowing = tunnel(kind, Endpoint::Flow, Key::Flow);
    let ports = [
        (outside, "br0", 1, None),
        (outside, "p1", 2, None),
        (inside, "guest", 3, None),
        (inside, "fixed", VXLAN.0, Some(fixed)),
        (inside, "flowing", VXLAN.0, Some(flowing)),
    ];
    for (bridge, name, datapath, tunnel) in ports {
        let bundle = switch.new_bundle_id();
        let state = switch.get_mut(bridge).unwrap();
        let new = NewPort {
            name: name.to_owned(),
            datapath: Some(DpPort(datapath)),
            tunnel: tunnel.map(Arc::new),
            desc: ofp::PortDesc { hw_addr: MAC, ..ofp::PortDesc::default() },
            ..NewPort::default()
        };
        let number = state.add_port(new, Timestamp::ZERO).unwrap().status.desc.port;
        let config = BundleConfig {
            name: name.to_owned(),
            ports: vec![number],
            bond: None,
            vlan: pipeline::VlanConfig::default(),
            protected: false,
        };
        state.set_bundle(config, || bundle);
    }
    let mapping = |index| ofp::TlvMap { class: 0x102, kind: index as u8, length: 4, index };
    let request = ofp::TlvTableMod { command: 0, mappings: vec![mapping(0), mapping(1)] };
    let state = switch.get_mut(inside).unwrap();
    let options = state.tunnel_options().changed(&request).unwrap();
    let read = crate::in_datapath(&[], [&options].into_iter()).unwrap();
    let places = options.places(&read);
    state.set_tunnel_options(options, places);
    switch.reconnect();
    add_flow(&mut switch, outside, 0, "", "NORMAL");
    (switch, outside, inside)
}

fn packet(in_port: OfPort) -> FlowKey {
    let mut key = FlowKey::new();
    key.set_in_port(in_port.0);
    key.set_dl_type(0x0800);
    key.set_nw_ttl(9);
    key.set_nw_proto(17);
    key
}

/// Connections in a tunnel have outer ports of their own; they share flows nevertheless, also after connection tracking.
#[test]
fn what_no_rule_sees_of_outer_headers_makes_no_flows() {
    let (mut switch, _, inside) = switch();
    add_flow(&mut switch, inside, 0, "", "ct(table=1)");
    let mut key = packet(OfPort(3));
    key.set_tun_dst(OWN);
    key.set_tun_src(0x0a00_0009);
    key.set_tun_id(7);
    let first = run(&switch, inside, &key);
    for place in [slot::TUN_TP_SRC, slot::TUN_TP_DST, slot::TUN_TTL] {
        assert_eq!(first.mask.bits(place), 0, "{place:?}");
    }
    key.set_tun_tp_src(40_000);
    key.set_tun_tp_dst(4789);
    key.set_tun_ttl(63);
    let second = run(&switch, inside, &key);
    assert_eq!(text(&first), text(&second));
    // Which network it is, rules may ask.
    key.set_tun_id(8);
    assert_ne!(text(&first), text(&run(&switch, inside, &key)));
    assert_ne!(first.mask.bits(slot::TUN_ID), 0);
}

#[test]
fn a_packet_goes_into_a_tunnel_and_on_its_way() {
    let (mut switch, _, inside) = switch();
    add_flow(&mut switch, inside, 0, "", "output:2,output:1");
    let mut from_tunnel = packet(OfPort(3));
    from_tunnel.set_tun_dst(OWN);
    from_tunnel.set_tun_src(0x0a00_0009);
    let shown = text(&run(&switch, inside, &from_tunnel));
    // The same bytes whichever port it came by; flooded, as nobody knows where the neighbour is.
    let push = "clone(tnl_push(tnl_port(9),header(size=50,type=4,eth(dst=02:00:00:00:00:02,src=02:00:00:00:00:01,\
                dl_type=0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=9,frag=0x4000),\
                udp(src=0,dst=4789,csum=0x0),vxlan(flags=0x8000000,vni=0x7)),out_port(1)),2),3";
    assert_eq!(shown, push);
    // Who is not known is asked for, and nothing is sent.
    add_flow(&mut switch, inside, 9, "tun_id=1", "set_field:10.0.0.7->tun_dst,output:3");
    let mut key = packet(OfPort(1));
    key.set_tun_id(1);
    let translation = run(&switch, inside, &key);
    assert_eq!(text(&translation), "drop");
    let asks = |effect: &pipeline::Effect| matches!(effect, pipeline::Effect::AskNeighbour(_));
    assert!(translation.effects.iter().any(asks));
    assert_eq!(translation.actions, [dp::Action::Drop(dp::DropReason::TunnelNeighbour)]);
    // No route.
    add_flow(&mut switch, inside, 10, "tun_id=1", "set_field:192.0.2.7->tun_dst,output:3");
    assert_eq!(run(&switch, inside, &key).actions, [dp::Action::Drop(dp::DropReason::TunnelRouting)]);
}

#[test]
fn what_is_cut_off_is_seen_below() {
    let (mut switch, _, inside) = switch();
    add_flow(&mut switch, inside, 0, "", "output(port=2,max_len=100),output(port=2,max_len=80)");
    let shown = text(&run(&switch, inside, &packet(OfPort(1))));
    let parts: Vec<&str> = shown.split("trunc(").collect();
    assert_eq!(parts.len(), 3, "{shown}");
    assert!(
        parts[1].starts_with("100),clone(tnl_push(") && parts[1].ends_with("out_port(1)),recirc(0)),"),
        "{shown}"
    );
    assert!(parts[2].starts_with("80),tnl_push(") && parts[2].ends_with("out_port(1)),recirc(0)"), "{shown}");
}

#[test]
fn what_arrives_for_a_tunnel_is_taken_out_of_it() {
    use pipeline::Network;
    let (switch, outside, inside) = switch();
    let mut key = packet(OfPort(1));
    key.set_dl_dst(MAC);
    key.set_nw_dst(OWN);
    key.set_tp_dst(4789);
    add_mac(&switch, outside);
    assert_eq!(text(&run(&switch, outside, &key)), "tnl_pop(9)");
    key.set_tp_dst(4790);
    assert_eq!(text(&run(&switch, outside, &key)), "1");
    let mut popped = FlowKey::new();
    popped.set_in_port(VXLAN.0);
    popped.set_tun_src(NEAR);
    popped.set_tun_dst(OWN);
    for (id, port) in [(7, 2), (8, 3)] {
        popped.set_tun_id(id);
        assert_eq!(switch.arrival(DATAPATH, &popped), Some((inside, OfPort(port))));
    }
    assert_eq!(switch.arrival(DpId(2), &popped), None);
    let twin = TunnelMatch::new(DATAPATH, VXLAN, &tunnel(TunnelKind::Vxlan, Endpoint::Flow, Key::Flow));
    assert_eq!(&*switch.tunnel_like(&twin).unwrap().port.name, "flowing");
    // A port that several have in common is nobody's.
    assert_eq!(switch.ingress(DATAPATH, VXLAN), None);
}

/// The machine's own address is known to be behind the bridge's own port.
fn add_mac(switch: &Switch, outside: BridgeId) {
    let mut key = FlowKey::new();
    key.set_in_port(OfPort::LOCAL.0);
    key.set_dl_src(MAC);
    super::forward(switch, outside, &key);
}

#[test]
fn congestion_in_the_tunnel_is_told_inside() {
    let (mut switch, _, inside) = switch();
    add_flow(&mut switch, inside, 0, "", "output:1");
    let mut key = packet(OfPort(2));
    key.set_tun_dst(OWN);
    key.set_tun_tos(3);
    assert_eq!(run(&switch, inside, &key).actions, [dp::Action::Drop(dp::DropReason::TunnelCongestion)]);
    key.set_nw_tos(2);
    assert_eq!(text(&run(&switch, inside, &key)), "set(ipv4(tos=0x3/0x3)),3");
}

const MATCHES: &[&str] = &[
    "",
    "in_port=1",
    "tun_id=7",
    "tun_id=0/2",
    "tun_src=10.0.0.2",
    "ip,nw_ttl=1",
    "tun_metadata0=1/1",
    "tun_flags=+oam",
    "tun_metadata1",
];

const ACTIONS: &[&str] = &[
    "output:1",
    "output:2",
    "output:2,output:1",
    "set_field:10.0.0.2->tun_dst,output:3",
    "set_field:10.0.0.2->tun_dst,set_field:3/3->tun_id,output:3,output:1",
    "set_field:10.0.0.7->tun_dst,output:3",
    "move:NXM_OF_IP_SRC[]->NXM_NX_TUN_IPV4_DST[],output:3",
    "move:NXM_OF_IP_SRC[0..14]->NXM_NX_TUN_METADATA0[16..30],set_field:10.0.0.2->tun_dst,output:3",
    "dec_ttl,output:2",
    "delete_field:tun_metadata0,set_field:10.0.0.2->tun_dst,output:3",
    "set_field:1->tun_metadata1,set_field:10.0.0.2->tun_dst,output:3",
    "push:NXM_NX_TUN_METADATA0[0..1],pop:NXM_NX_REG0[0..1],output:1",
    "set_field:5->pkt_mark,output:2",
    "NORMAL",
    "drop",
];

prop_compose! {
    fn any_packet()(
        port in 1u32..4, tos in 0u8..4, tun_tos in 0u8..4, id in 5u64..9, source in 1u32..4, ttl in 1u8..3,
        mark in 4u32..6, metadata in 0u128..4, has_option: bool, flags in 0u16..16, address in 0u32..4,
    ) -> FlowKey {
        let mut key = packet(OfPort(port));
        key.set_nw_tos(tos);
        key.set_nw_ttl(ttl);
        key.set_nw_src(0x0a00_0000 | address);
        key.set_pkt_mark(mark);
        if port > 1 {
            key.set_tun_id(id);
            key.set_tun_src(0x0a00_0000 | source);
            key.set_tun_dst(OWN);
            key.set_tun_tos(tun_tos);
            key.set_tun_flags(flags);
            if has_option {
                fields::Field::TunMetadata0.write(&mut key, metadata);
            }
        }
        key
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Two packets that agree in the mask of the one's translation are translated alike, tunnels and all.
    #[test]
    fn megaflows_of_tunnels_match_only_what_is_translated_alike(
        rules in prop::collection::vec((0u16..4, 0..MATCHES.len(), 0..ACTIONS.len()), 1..8),
        outside_rules in prop::collection::vec(0u32..3, 0..2),
        packets in prop::collection::vec(any_packet(), 24),
        is_geneve: bool,
    ) {
        let kind = if is_geneve { TunnelKind::Geneve } else { TunnelKind::Vxlan };
        let (mut switch, outside, inside) = switch_with(kind);
        for (priority, matching, actions) in rules {
            add_flow(&mut switch, inside, priority, MATCHES[matching], ACTIONS[actions]);
        }
        // The way of outer packets may depend on what both have in common.
        for mark in outside_rules {
            add_flow(&mut switch, outside, 5, &format!("pkt_mark={}", mark + 4), "output:1");
        }
        for one in &packets {
            let translation = run(&switch, inside, one);
            let mask = pipeline::installable(&translation.mask, one);
            for other in packets.iter().filter(|other| one.equal_under(other, &mask)) {
                let expected = super::outcome(&translation);
                prop_assert_eq!(super::outcome(&run(&switch, inside, other)), expected, "{:?} and {:?}", one, other);
            }
            for place in [slot::NW_TTL, slot::NW_TOS, slot::PKT_MARK, slot::TUN_TOS, slot::TUN_ID, slot::NW_SRC] {
                let mut other = one.clone();
                other.write(place, other.read(place) ^ 1);
                // Who came out of no tunnel has none of its values.
                let is_real = one.tun_dst() != 0 || !matches!(place, slot::TUN_TOS | slot::TUN_ID);
                if is_real && one.equal_under(&other, &mask) {
                    let shown = text(&run(&switch, inside, &other));
                    prop_assert_eq!(shown, text(&translation), "{:?} of {:?}", place, one);
                }
            }
        }
    }
}
