//! Multicast that goes only to those who listen.

use dp::{DropReason, SlowPath};
use pipeline::{Effect, Trace};
use wire::membership::{igmp, igmp_message, mld, mld_message};
use wire::{ethernet, ipv4, ipv6, protocol};

use super::*;
use crate::{PortFlooding, Snooping};

const GROUP: u32 = 0xe001_0101;
const GROUP6: u128 = 0xff1e << 112 | 0x101;
const HOST6: u128 = 0xfe80 << 112 | 5;

fn access(tag: u16) -> VlanConfig {
    VlanConfig { mode: VlanMode::Access, tag, ..VlanConfig::default() }
}

/// A bridge with ports 1 to 4 in VLAN 1 and 5 in VLAN 2 that looks into multicast.
fn bridge(floods_unregistered: bool) -> (Switch, BridgeId) {
    let (mut switch, id) = switch_with(&[access(1), access(1), access(1), access(1), access(2)]);
    add_flow(&mut switch, id, 0, "", "NORMAL");
    switch.get_mut(id).unwrap().set_snooping(Some(Snooping { floods_unregistered, ..Snooping::default() }));
    (switch, id)
}

/// A frame from a host to a group, around an IGMP message or something else over IPv4.
fn frame4(destination: u32, protocol: u8, body: &[u8]) -> Vec<u8> {
    let group = MacAddr::from_u64(0x0100_5e00_0000 | u64::from(destination & 0x7f_ffff));
    let mut frame = ethernet::header(group, MacAddr::from_u64(0xa), ethernet::TYPE_IPV4).to_vec();
    frame.extend(ipv4::header(9, destination, protocol, 0, 1, 0, body.len()));
    frame.extend_from_slice(body);
    frame
}

fn frame6(destination: u128, body: &[u8]) -> Vec<u8> {
    let group = MacAddr::from_u64(0x3333_0000_0000 | (destination & 0xffff_ffff) as u64);
    let mut frame = ethernet::header(group, MacAddr::from_u64(0xa), ethernet::TYPE_IPV6).to_vec();
    frame.extend(ipv6::header(HOST6, destination, protocol::ICMPV6, 0, 0, 1, body.len()));
    frame.extend_from_slice(body);
    frame
}

fn igmp4(kind: u8) -> Vec<u8> {
    frame4(GROUP, protocol::IGMP, &igmp_message(kind, GROUP, &[]))
}

fn mld6(kind: u8) -> Vec<u8> {
    frame6(GROUP6, &mld_message(HOST6, GROUP6, kind, 0, &GROUP6.to_be_bytes()))
}

fn data4() -> Vec<u8> {
    frame4(GROUP, protocol::UDP, &[0; 8])
}

/// An echo request to a group, which is no message of MLD.
fn data6() -> Vec<u8> {
    frame6(GROUP6, &[wire::icmp::V6_ECHO_REQUEST, 0, 0, 0, 0, 0, 0, 0])
}

fn key_of(in_port: u32, frame: &[u8]) -> FlowKey {
    let mut key = flow::extract(&flow::Metadata::default(), frame, flow::MAX_VLANS);
    key.set_in_port(in_port);
    key
}

/// Translates a frame and has the bridge read it, if that is asked; the actions.
fn pass(switch: &Switch, id: BridgeId, in_port: u32, frame: &[u8]) -> Translation {
    let translation = run(switch, id, &key_of(in_port, frame));
    for effect in &translation.effects {
        if let Effect::Snoop(snooped) = effect {
            switch.snoop(*snooped, frame, Timestamp::from_millis(1));
        }
    }
    translation
}

fn sent(switch: &Switch, id: BridgeId, in_port: u32, frame: &[u8]) -> String {
    text(&pass(switch, id, in_port, frame))
}

#[test]
fn data_goes_to_those_who_listen_and_to_routers() {
    for (floods, data, report, leave, query) in [
        (true, data4(), igmp4(igmp::V2_REPORT), igmp4(igmp::LEAVE), igmp4(igmp::QUERY)),
        (false, data6(), mld6(mld::V1_REPORT), mld6(mld::DONE), mld6(mld::QUERY)),
    ] {
        let (switch, id) = bridge(floods);
        let to_all = if floods { "12,13,14" } else { "drop" };
        assert_eq!(sent(&switch, id, 1, &data), to_all);
        assert_eq!(sent(&switch, id, 2, &report), "drop", "no router is there to hear of it");
        assert_eq!(sent(&switch, id, 1, &data), "12");
        assert_eq!(sent(&switch, id, 2, &data), "drop", "who listens has sent it");
        assert_eq!(sent(&switch, id, 4, &query), "11,12,13");
        assert_eq!(sent(&switch, id, 1, &data), "12,14");
        assert_eq!(sent(&switch, id, 3, &report), "14", "reports go to routers alone");
        assert_eq!(sent(&switch, id, 1, &data), "12,13,14");
        assert_eq!(sent(&switch, id, 5, &data), "drop", "nobody else is in that VLAN");
        assert_eq!(sent(&switch, id, 2, &leave), "14");
        assert_eq!(sent(&switch, id, 1, &data), "13,14");
    }
}

#[test]
fn every_message_is_looked_at_and_data_is_cached() {
    let (switch, id) = bridge(true);
    for message in
        [igmp4(igmp::V1_REPORT), igmp4(igmp::QUERY), igmp4(0x42), mld6(mld::V1_REPORT), mld6(mld::QUERY)]
    {
        assert_eq!(pass(&switch, id, 1, &message).slow, SlowPath::ACTION);
    }
    for data in [data4(), data6()] {
        assert!(pass(&switch, id, 1, &data).slow.is_empty());
    }
}

#[test]
fn what_nobody_listens_to_is_dropped_for_that() {
    let (switch, id) = bridge(false);
    assert_eq!(pass(&switch, id, 1, &data4()).actions, [dp::Action::Drop(DropReason::NoListener)]);
}

#[test]
fn what_all_hosts_hear_goes_to_all() {
    let (switch, id) = bridge(false);
    assert_eq!(sent(&switch, id, 1, &frame4(0xe000_00fb, protocol::UDP, &[0; 8])), "12,13,14");
    let to_all = frame6(0xff02 << 112 | 1, &[wire::icmp::V6_ECHO_REQUEST, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(sent(&switch, id, 1, &to_all), "12,13,14");
    let mut broadcast = data4();
    broadcast[..6].fill(0xff);
    assert_eq!(sent(&switch, id, 1, &broadcast), "12,13,14");
}

#[test]
fn ports_that_are_set_to_it_get_data_and_reports_in_their_vlan_once() {
    let (switch, id) = bridge(false);
    let state = switch.get(id).unwrap();
    let all = PortFlooding { multicast: true, reports: true };
    state.set_multicast_flooding([("p3", all), ("p5", all), ("none", all)].into_iter());
    assert_eq!(sent(&switch, id, 1, &data4()), "13");
    assert_eq!(sent(&switch, id, 1, &igmp4(igmp::V2_REPORT)), "13");
    sent(&switch, id, 4, &igmp4(igmp::QUERY));
    state.set_multicast_flooding([("p4", PortFlooding { multicast: true, reports: false })].into_iter());
    assert_eq!(sent(&switch, id, 2, &data4()), "11,13,14", "a router that is flooded to gets one");
}

#[test]
fn who_listened_is_forgotten_with_the_port_or_its_vlan_or_the_setting() {
    let (mut switch, id) = bridge(true);
    let join = |switch: &Switch, port| sent(switch, id, port, &igmp4(igmp::V2_REPORT));
    join(&switch, 2);
    join(&switch, 3);
    assert_eq!(sent(&switch, id, 1, &data4()), "12,13");
    let bundle = |name: &str, number: u32, tag| BundleConfig {
        name: name.to_owned(),
        ports: vec![base::OfPort(number)],
        bond: None,
        vlan: access(tag),
        protected: false,
    };
    let before = switch.epoch();
    let state = switch.get_mut(id).unwrap();
    state.set_bundle(bundle("p2", 2, 7), || unreachable!());
    state.set_bundle(bundle("p2", 2, 1), || unreachable!());
    assert!(switch.epoch() > before);
    assert_eq!(sent(&switch, id, 1, &data4()), "13");
    let gone = switch.get(id).unwrap().bundle_named("p3").unwrap().id;
    switch.remove_bundle(id, gone);
    assert_eq!(sent(&switch, id, 1, &data4()), "12,14", "all again, but for the port that is gone");
    join(&switch, 2);
    assert_eq!(sent(&switch, id, 1, &data4()), "12");
    let state = switch.get_mut(id).unwrap();
    state.set_snooping(None);
    assert!(state.snooped().is_none());
    assert_eq!(sent(&switch, id, 1, &data4()), "12,14");
    assert!(pass(&switch, id, 1, &igmp4(igmp::V2_REPORT)).slow.is_empty());
}

#[test]
fn a_report_changes_what_packets_are_translated_to() {
    let (switch, id) = bridge(true);
    for (message, is_news) in [
        (igmp4(igmp::V2_REPORT), true),
        (igmp4(igmp::V2_REPORT), false),
        (igmp4(igmp::LEAVE), true),
        (igmp4(igmp::QUERY), true),
        (igmp4(igmp::QUERY), false),
    ] {
        let before = switch.epoch();
        pass(&switch, id, 2, &message);
        assert_eq!(switch.epoch() > before, is_news);
    }
}

#[test]
fn a_trace_says_what_a_packet_teaches() {
    let (switch, id) = bridge(true);
    let trace = |in_port, frame: &[u8]| {
        let request = Request {
            bridge: id,
            key: &key_of(in_port, frame),
            start: Start::Lookup,
            purpose: pipeline::Purpose::Packet,
            trace: Trace::Numbers,
            packet: Some(frame),
        };
        let translation = translate(&switch, &request);
        pipeline::trace::format(&translation.trace)
    };
    for (in_port, frame, line) in [
        (2, igmp4(igmp::V1_REPORT), "multicast snooping learned that 224.1.1.1 is on port p2 in VLAN 1"),
        (2, igmp4(igmp::LEAVE), "multicast snooping leaving 224.1.1.1 is on port p2 in VLAN 1"),
        (3, igmp4(igmp::QUERY), "multicast snooping query from 0.0.0.9 is on port p3 in VLAN 1"),
        (4, mld6(mld::V1_REPORT), "multicast snooping processed 1 addresses on port p4 in VLAN 1"),
        (4, mld6(mld::QUERY), "multicast snooping query on port p4 in VLAN 1"),
    ] {
        assert!(trace(in_port, &frame).contains(line), "{line}: {}", trace(in_port, &frame));
        pass(&switch, id, in_port, &frame);
        assert!(!trace(in_port, &frame).contains(line), "it is known: {line}");
    }
    let mut bad = igmp4(igmp::V2_REPORT);
    *bad.last_mut().unwrap() ^= 1;
    assert!(trace(2, &bad).contains("multicast snooping received bad IGMP checksum on port p2 in VLAN 1"));
    assert!(trace(2, &bad).contains("learned that 00:00:00:00:00:0a is on port p2 in VLAN 1"));
}

/// Packets over few values, many of them messages about groups.
fn packet() -> impl Strategy<Value = FlowKey> {
    let kinds = prop::sample::select(vec![0u8, 1, igmp::QUERY, igmp::V2_REPORT, 130, 131, 135]);
    let protocols = prop::sample::select(vec![protocol::IGMP, protocol::UDP, protocol::ICMPV6]);
    (1u32..6, any::<bool>(), kinds, protocols, 0u32..3, 0u8..4, 0u16..3).prop_map(
        |(in_port, is_ipv6, kind, proto, group, frag, inner)| {
            let mut key = frame(in_port, 0xa, 0x0100_5e01_0101, (in_port == 4).then_some(1));
            if in_port == 4 && inner > 0 {
                key.set_vlan(1, 0x8100, flow::VLAN_CFI | inner);
            }
            key.set_dl_type(if is_ipv6 { ethernet::TYPE_IPV6 } else { ethernet::TYPE_IPV4 });
            key.set_nw_dst(if is_ipv6 { 0 } else { [GROUP, GROUP + 1, 0xe000_0005][group as usize] });
            key.set_ipv6_dst(if is_ipv6 {
                [GROUP6, GROUP6 + 1, 0xff02 << 112 | 1][group as usize]
            } else {
                0
            });
            key.set_nw_proto(proto);
            key.set_nw_frag(if frag == 3 { flow::frag::ANY | flow::frag::LATER } else { 0 });
            key.set_tp_src(if frag == 3 { 0 } else { kind.into() });
            key
        },
    )
}

proptest! {
    #[test]
    fn a_megaflow_matches_only_multicast_that_is_translated_alike(
        packets in prop::collection::vec(packet(), 40),
        floods_unregistered: bool,
        flooded in 1u32..6,
        joined in prop::collection::vec((1u32..6, any::<bool>()), 0..4),
        router in 1u32..6,
    ) {
        let trunk = VlanConfig::default();
        let (mut switch, id) = switch_with(&[access(1), access(1), access(2), trunk.clone(), trunk]);
        add_flow(&mut switch, id, 0, "", "NORMAL");
        let state = switch.get_mut(id).unwrap();
        state.set_snooping(Some(Snooping { floods_unregistered, ..Snooping::default() }));
        let all = PortFlooding { multicast: true, reports: true };
        state.set_multicast_flooding([(&*format!("p{flooded}"), all)].into_iter());
        for (port, is_ipv6) in joined {
            pass(&switch, id, port, &if is_ipv6 { mld6(mld::V1_REPORT) } else { igmp4(igmp::V2_REPORT) });
        }
        pass(&switch, id, router, &igmp4(igmp::QUERY));
        for one in &packets {
            let translation = run(&switch, id, one);
            let mask = pipeline::installable(&translation.mask, one);
            for other in packets.iter().filter(|other| one.equal_under(other, &mask)) {
                let other_translation = run(&switch, id, other);
                prop_assert_eq!(text(&other_translation), text(&translation), "{:?} and {:?}", one, other);
                prop_assert_eq!(other_translation.slow, translation.slow);
            }
        }
    }
}
