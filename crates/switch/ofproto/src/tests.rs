//! Bridges as translation sees them: switching, VLANs, patch ports, and the
//! property on which the flow cache rests.

use std::sync::Arc;

use base::{DpPort, MacAddr, TableId, Timestamp};
use flow::{FlowKey, slot};
use ofp::{FlowMod, FlowModCommand};
use pipeline::{BridgeId, BridgeView, Network, Request, Start, Translation, VlanConfig, VlanMode, translate};
use proptest::prelude::*;

use crate::{BundleConfig, NewPort, Switch};

mod conntrack;
mod learned;
mod multicast;
mod queues;
mod sampling;
mod spanning;
mod tunnels;

/// A bridge with ports 1, 2, … (datapath ports 11, 12, …) of these VLAN modes.
fn switch_with(ports: &[VlanConfig]) -> (Switch, BridgeId) {
    let mut switch = Switch::new();
    let id = switch.add_bridge("br0", dp::DpId(1), dp::Capabilities::ALL);
    for (index, vlan) in ports.iter().enumerate() {
        let name = format!("p{}", index + 1);
        let bundle = switch.new_bundle_id();
        let bridge = switch.get_mut(id).unwrap();
        let port =
            NewPort { name: name.clone(), datapath: Some(DpPort(11 + index as u32)), ..NewPort::default() };
        let number = bridge.add_port(port, Timestamp::ZERO).unwrap().status.desc.port;
        let config =
            BundleConfig { name, ports: vec![number], bond: None, vlan: vlan.clone(), protected: false };
        bridge.set_bundle(config, || bundle);
    }
    switch.reconnect();
    (switch, id)
}

fn add_flow(switch: &mut Switch, bridge: BridgeId, priority: u16, matching: &str, actions: &str) {
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.m = fields::Match::parse(matching, None).unwrap().0;
    request.priority = priority;
    request.actions = ofp::parse_instructions(actions, ofp::Names::default()).unwrap().0;
    switch.get_mut(bridge).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
}

fn run(switch: &Switch, bridge: BridgeId, key: &FlowKey) -> Translation {
    let request = Request {
        bridge,
        key,
        start: Start::Lookup,
        purpose: pipeline::Purpose::Packet,
        trace: pipeline::Trace::Off,
        packet: None,
    };
    translate(switch, &request)
}

/// Translates and lets the bridge learn; the text of the datapath actions.
fn forward(switch: &Switch, bridge: BridgeId, key: &FlowKey) -> String {
    let translation = run(switch, bridge, key);
    let credit = pipeline::Credit { packets: 1, bytes: 64, tcp_flags: 0, used: Timestamp::from_millis(1) };
    switch.apply(&translation.effects, credit);
    text(&translation)
}

fn text(translation: &Translation) -> String {
    dp::text::format_actions(&translation.actions, None)
}

fn frame(in_port: u32, src: u64, dst: u64, vlan: Option<u16>) -> FlowKey {
    let mut key = FlowKey::new();
    key.set_in_port(in_port);
    key.set_dl_src(MacAddr::from_u64(src));
    key.set_dl_dst(MacAddr::from_u64(dst));
    key.set_dl_type(0x1234);
    if let Some(vid) = vlan {
        key.set_vlan(0, 0x8100, vid | flow::VLAN_CFI);
    }
    key
}

#[test]
fn an_address_is_flooded_until_it_is_learned() {
    let (mut switch, id) =
        switch_with(&[VlanConfig::default(), VlanConfig::default(), VlanConfig::default()]);
    add_flow(&mut switch, id, 0, "", "NORMAL");
    assert_eq!(forward(&switch, id, &frame(1, 0xa, 0xb, None)), "12,13");
    assert_eq!(forward(&switch, id, &frame(2, 0xb, 0xa, None)), "11");
    assert_eq!(forward(&switch, id, &frame(1, 0xa, 0xb, None)), "12");
    assert_eq!(forward(&switch, id, &frame(2, 0xc, 0xb, None)), "drop", "behind the port that it came from");
}

#[test]
fn vlans_are_apart_and_tags_are_put_and_taken() {
    let access = |tag| VlanConfig { mode: VlanMode::Access, tag, ..VlanConfig::default() };
    let (mut switch, id) = switch_with(&[access(1), access(1), access(2), VlanConfig::default()]);
    add_flow(&mut switch, id, 0, "", "NORMAL");
    assert_eq!(forward(&switch, id, &frame(1, 0xa, 0xf, None)), "12,push_vlan(vid=1,pcp=0),14");
    assert_eq!(forward(&switch, id, &frame(4, 0xd, 0xf, Some(2))), "pop_vlan,13");
    assert_eq!(forward(&switch, id, &frame(4, 0xd, 0xf, Some(3))), "drop");
    assert_eq!(forward(&switch, id, &frame(1, 0xa, 0xf, Some(1))), "drop", "an access port takes no tags");
}

#[test]
fn a_patch_port_leads_into_the_other_bridge() {
    let mut switch = Switch::new();
    let (a, b) = (
        switch.add_bridge("a", dp::DpId(1), dp::Capabilities::ALL),
        switch.add_bridge("b", dp::DpId(1), dp::Capabilities::ALL),
    );
    for (bridge, name, peer, datapath) in
        [(a, "a1", "", 11), (a, "to-b", "to-a", 0), (b, "to-a", "to-b", 0), (b, "b1", "", 12)]
    {
        let port = NewPort {
            name: name.into(),
            datapath: (datapath != 0).then_some(DpPort(datapath)),
            peer_name: (!peer.is_empty()).then(|| peer.to_owned()),
            ..NewPort::default()
        };
        switch.get_mut(bridge).unwrap().add_port(port, Timestamp::ZERO).unwrap();
    }
    switch.reconnect();
    add_flow(&mut switch, a, 0, "in_port=1", "load:7->NXM_NX_REG0[],mod_dl_dst:00:00:00:00:00:99,output:2");
    add_flow(&mut switch, b, 9, "reg0=7", "drop");
    add_flow(&mut switch, b, 1, "dl_dst=00:00:00:00:00:99", "output:2");
    let translation = run(&switch, a, &frame(1, 0xa, 0xb, None));
    assert_eq!(text(&translation), "set(eth(dst=00:00:00:00:00:99)),12", "registers do not cross");
}

#[test]
fn a_loop_of_resubmits_ends() {
    let (mut switch, id) = switch_with(&[VlanConfig::default(), VlanConfig::default()]);
    add_flow(&mut switch, id, 0, "", "resubmit(,0),resubmit(,0)");
    let translation = run(&switch, id, &frame(1, 0xa, 0xb, None));
    assert_eq!(translation.error, Some(pipeline::Error::RecursionTooDeep));
    assert_eq!(translation.actions, [dp::Action::Drop(dp::DropReason::RecursionTooDeep)]);
}

#[test]
fn requests_change_all_or_nothing() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    add_flow(&mut switch, id, 5, "in_port=1", "drop");
    let bridge = switch.get_mut(id).unwrap();
    let mut overlapping = FlowMod::new(FlowModCommand::Add);
    overlapping.priority = 5;
    overlapping.m = fields::Match::parse("dl_type=0x1234", None).unwrap().0;
    overlapping.flags.insert(ofp::FlowFlags::CHECK_OVERLAP);
    assert_eq!(bridge.flow_mod(&overlapping, Timestamp::ZERO).unwrap_err(), ofp::OfError::OfpfmfcOverlap);
    let delete = FlowMod::new(FlowModCommand::Delete);
    let changes = bridge.flow_mod(&delete, Timestamp::ZERO).unwrap();
    assert_eq!((changes.len(), bridge.rule_count()), (1, 0));
    bridge.undo(&changes);
    assert_eq!(bridge.rule_count(), 1);
}

#[test]
fn rules_time_out() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    let bridge = switch.get_mut(id).unwrap();
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.idle_timeout = 10;
    bridge.flow_mod(&request, Timestamp::ZERO).unwrap();
    let entry = bridge.table(TableId(0)).unwrap().entries().next().unwrap().clone();
    entry.rule.counters.add(1, 1, Timestamp::from_millis(5000));
    assert!(bridge.expired_rules(Timestamp::from_millis(15_000)).is_empty());
    let now = Timestamp::from_millis(15_001);
    let due = bridge.expired_rules(now);
    assert_eq!((due.len(), bridge.rule_count()), (1, 1));
    assert_eq!(bridge.remove_expired(&due, now).len(), 1);
    assert_eq!((bridge.remove_expired(&due, now).len(), bridge.rule_count()), (0, 0));
}

#[test]
fn a_rule_that_is_used_or_replaced_between_looking_and_removing_stays() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    let bridge = switch.get_mut(id).unwrap();
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.idle_timeout = 10;
    bridge.flow_mod(&request, Timestamp::ZERO).unwrap();
    let now = Timestamp::from_millis(20_000);
    let due = bridge.expired_rules(now);
    due[0].rule.counters.add(1, 1, Timestamp::from_millis(19_000));
    assert!(bridge.remove_expired(&due, now).is_empty());
    let later = Timestamp::from_millis(40_000);
    let due = bridge.expired_rules(later);
    bridge.flow_mod(&request, later).unwrap();
    assert!(bridge.remove_expired(&due, later).is_empty());
    assert_eq!(bridge.rule_count(), 1);
}

#[test]
fn a_rule_in_the_place_of_another_goes_on_with_its_idleness() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    let bridge = switch.get_mut(id).unwrap();
    let at = Timestamp::from_millis;
    let idle = |bridge: &crate::Bridge, now| {
        let entry = bridge.table(TableId(0)).unwrap().entries().next().unwrap();
        let stats = entry.stats(now);
        (stats.duration_sec, stats.packet_count, stats.idle_age)
    };
    let mut request = FlowMod::new(FlowModCommand::Add);
    bridge.flow_mod(&request, at(1000)).unwrap();
    let entry = bridge.table(TableId(0)).unwrap().entries().next().unwrap().clone();
    entry.rule.counters.add(1, 60, at(2000));
    request.flags.insert(ofp::FlowFlags::RESET_COUNTS);
    bridge.flow_mod(&request, at(3000)).unwrap();
    assert_eq!(idle(bridge, at(4000)), (1, 0, Some(2)), "added anew");
    request.command = FlowModCommand::Modify;
    bridge.flow_mod(&request, at(5000)).unwrap();
    assert_eq!(idle(bridge, at(6000)), (3, 0, Some(4)), "modified");
}

#[test]
fn the_number_of_a_frozen_state_is_not_given_out_again() {
    use pipeline::View;
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    add_flow(&mut switch, id, 0, "", "debug_recirc,output:1");
    let frozen = |switch: &Switch| run(switch, id, &frame(1, 0xa, 0xb, None)).frozen;
    let first = frozen(&switch);
    let same = frozen(&switch);
    assert_eq!(first[0].id, same[0].id, "as long as somebody refers to it");
    let number = first[0].id;
    drop((first, same));
    let later = frozen(&switch);
    assert_ne!(later[0].id, number);
    assert!(switch.thaw(number).is_some(), "for packets on their way");
    switch.sweep_frozen();
    assert!(switch.thaw(number).is_none() && switch.thaw(later[0].id).is_some());
}

#[test]
fn faults_are_told_of_packets_only() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    add_flow(&mut switch, id, 0, "", "pop:NXM_NX_REG0[],output:1");
    let key = frame(1, 0xa, 0xb, None);
    let faults = run(&switch, id, &key).faults;
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("stack underflow on bridge br0 while processing in_port=1,"), "{faults:?}");
    let request = Request {
        bridge: id,
        key: &key,
        start: Start::Lookup,
        purpose: pipeline::Purpose::Flow,
        trace: pipeline::Trace::Off,
        packet: None,
    };
    assert!(translate(&switch, &request).faults.is_empty());
}

/// Packets over few values, so that rules and packets meet.
fn packet() -> impl Strategy<Value = FlowKey> {
    let tag = || prop_oneof![Just(None), (0u16..3).prop_map(Some)];
    let vlan = (tag(), tag());
    let l4 = prop_oneof![Just(6u8), Just(17u8), Just(1u8)];
    (1u32..4, 0u64..4, 0u64..4, vlan, any::<bool>(), (0u32..4, 0u32..4), l4, (0u16..3, 0u16..3), 0u8..3)
        .prop_map(
            |(in_port, src, dst, (vlan, inner), is_ip, (nw_src, nw_dst), proto, (tp_src, tp_dst), ttl)| {
                let mut key = frame(in_port, 2 * src + 2, 2 * dst + 2, vlan);
                if let (Some(_), Some(inner)) = (vlan, inner) {
                    key.set_vlan(1, 0x8100, flow::VLAN_CFI | inner);
                }
                if is_ip {
                    key.set_dl_type(0x0800);
                    key.set_nw_src(0x0a00_0000 | nw_src);
                    key.set_nw_dst(0x0a00_0000 | nw_dst);
                    key.set_nw_proto(proto);
                    key.set_nw_ttl(ttl);
                    key.set_tp_src(tp_src);
                    key.set_tp_dst(tp_dst);
                } else if proto == 1 {
                    key.set_dl_type(0x894f);
                    key.set_nsh_mdtype(1);
                    key.set_nsh_np(3);
                    key.set_nsh_ttl(ttl);
                    key.set_nsh_spi(tp_src.into());
                    key.set_nsh_si(tp_dst as u8);
                    key.set_nsh_c1(nw_src);
                }
                key
            },
        )
}

const MATCHES: &[&str] = &[
    "",
    "in_port=1",
    "dl_src=00:00:00:00:00:02",
    "dl_dst=00:00:00:00:00:04/00:00:00:00:00:04",
    "dl_vlan=1",
    "vlan_tci=0/0x1000",
    "ip,nw_dst=10.0.0.2/31",
    "ip,nw_src=10.0.0.1",
    "tcp,tp_dst=1",
    "udp,tp_src=2,nw_src=10.0.0.3",
    "reg0=1",
    "metadata=0x2",
    "conj_id=1",
    "ip,ct_state=+trk+new",
    "ip,ct_mark=1/1,ct_zone=0",
    "dl_type=0x894f,nsh_spi=1",
    "dl_type=0x894f,nsh_c1=0/1",
    "packet_type=(1,0x800),nw_src=10.0.0.1",
    "packet_type=(1,0x894f),nsh_si=1",
];

const ACTIONS: &[&str] = &[
    "NORMAL",
    "drop",
    "output:2",
    "output:1,output:3",
    "FLOOD",
    "IN_PORT",
    "resubmit(,1)",
    "load:1->NXM_NX_REG0[],resubmit(,2)",
    "mod_dl_dst:00:00:00:00:00:06,resubmit(,1)",
    "mod_vlan_vid:2,NORMAL",
    "strip_vlan,output:3",
    "load:0->NXM_OF_VLAN_TCI[],output:3",
    "push_vlan:0x8100,set_field:4097->vlan_vid,output:1",
    "dec_ttl,output:2",
    "mod_nw_src:10.0.0.1,resubmit(,2)",
    "mod_tp_dst:2,output:1",
    "move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],resubmit(,2)",
    "write_metadata:2,goto_table:2",
    "write_actions(output:3),goto_table:2",
    "clone(mod_dl_src:00:00:00:00:00:08,output:1),output:2",
    "conjunction(1,1/2)",
    "conjunction(1,2/2)",
    "group:1",
    "group:2",
    "group:3",
    "group:4",
    "mod_nw_dst:10.0.0.1,group:5,output:3",
    "write_actions(group:3),goto_table:2",
    "learn(table=2,eth_type=0x800,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],load:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG0[0..15],output:NXM_OF_IN_PORT[])",
    "learn(table=2,NXM_OF_VLAN_TCI[0..11],output:NXM_OF_IN_PORT[],limit=2),resubmit(,2)",
    "multipath(eth_src,0,modulo_n,2,0,NXM_NX_REG0[]),resubmit(,2)",
    "multipath(symmetric_l4,9,hrw,3,0,NXM_NX_REG0[0..1]),output:NXM_NX_REG0[0..1]",
    "bundle(nw_src,0,hrw,ofport,members:2,3)",
    "bundle_load(nw_dst,0,active_backup,ofport,NXM_NX_REG0[],members:9,1),resubmit(,2)",
    "push_mpls:0x8847,set_field:5->mpls_label,output:2",
    "push_mpls:0x8847,pop_mpls:0x0800,dec_ttl,output:2",
    "check_pkt_larger(100)->NXM_NX_REG0[0],output:2,resubmit(,2)",
    "fin_timeout(idle_timeout=5),output:2",
    "output(port=2,max_len=60),output:3",
    "mod_nw_src:10.0.0.1,sample(probability=65535,collector_set_id=1,obs_domain_id=NXM_OF_IP_DST[],sampling_port=2),output:3",
    "ct(table=1)",
    "ct(commit,table=2,zone=NXM_OF_IP_DST[0..15],nat(dst=10.0.0.1)),output:2",
    "mod_nw_src:10.0.0.1,ct(commit,exec(move:NXM_NX_CT_MARK[0]->NXM_NX_CT_LABEL[3])),ct_clear,output:3",
    "ct(table=2,exec(set_field:1/1->ct_mark))",
    "resubmit(,2,ct)",
    "encap(nsh(md_type=1)),set_field:1->nsh_spi,encap(ethernet),set_field:00:00:00:00:00:0a->eth_dst,output:2",
    "decap(),encap(ethernet),output:3",
    "decap(),resubmit(,1)",
    "encap(nsh),decap(),resubmit(,1)",
    "encap(mpls),set_field:7->mpls_label,encap(ethernet),output:2,output:3",
    "decap(),decap(),output:2",
    "dec_nsh_ttl,set_field:2->nsh_si,output:2",
    "move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG0[0..15],clone(decap(),resubmit(,2)),output:3",
    "clone(sample(probability=100,collector_set_id=2,obs_point_id=NXM_OF_TCP_DST[])),output:2",
];

/// One group of each type and selection.
const GROUPS: &[&str] = &[
    "group_id=1,type=all,bucket=output:2,bucket=mod_nw_src:10.0.0.3,output:3",
    "group_id=2,type=select,bucket=weight:1,output:2,bucket=weight:2,output:3",
    "group_id=3,type=select,selection_method=hash,fields(ip_src,tcp_dst),bucket=output:2,bucket=dec_ttl,output:3",
    "group_id=4,type=ff,bucket=watch_port:9,output:9,bucket=watch_port:3,mod_tp_src:1,output:3",
    "group_id=5,type=indirect,bucket=group:3",
];

fn add_groups(switch: &mut Switch, bridge: BridgeId) {
    for text in GROUPS {
        let command = Some(ofp::GroupCommand::Add);
        let (request, _) = ofp::parse_group_mod(text, command, ofp::Names::default()).unwrap();
        switch.get_mut(bridge).unwrap().group_mod(&request, Timestamp::ZERO).unwrap();
    }
}

/// What the third port gets of TCP, too.
fn add_mirror(switch: &mut Switch, bridge: BridgeId) {
    let bridge = switch.get_mut(bridge).unwrap();
    let bundle = |name: &str| bridge.bundle_named(name).unwrap().id;
    let mirror = pipeline::Mirror {
        id: 1,
        sources: [bundle("p1")].into(),
        destinations: [bundle("p2")].into(),
        vlans: None,
        filter: Some(fields::Match::parse("tcp,tp_dst=1", None).unwrap().0),
        output: pipeline::MirrorOutput::Port(bundle("p3")),
        snaplen: None,
        duplicates: 0,
        counters: std::sync::Arc::default(),
    };
    bridge.set_mirrors(vec![mirror]);
}

/// What is done to a packet, and what it teaches.
fn outcome(translation: &Translation) -> String {
    let taught = translation.effects.iter().filter(|effect| effect.teaches() && effect.is_of_flow());
    taught.fold(text(translation), |text, effect| format!("{text}; {effect:?}"))
}

/// Places that megaflows often leave out.
const PLACES: [flow::Slot; 8 + OF_DATAPATH.len() - 1 + OF_NSH.len()] = [
    slot::NSH_TTL,
    slot::NSH_SPI,
    slot::NSH_SI,
    slot::NSH_C1,
    slot::NW_TTL,
    slot::TP_SRC,
    slot::TP_DST,
    slot::NW_SRC,
    slot::NW_DST,
    slot::DL_SRC,
    slot::NW_TOS,
    slot::DP_HASH,
    slot::CT_STATE,
    slot::CT_MARK,
    slot::CT_LABEL,
    slot::CT_NW_PROTO,
    slot::CT_NW_DST,
];

/// Places of the network service header.
const OF_NSH: [flow::Slot; 4] = [slot::NSH_TTL, slot::NSH_SPI, slot::NSH_SI, slot::NSH_C1];

/// Places of what the datapath finds out, which are empty before a packet comes back.
const OF_DATAPATH: [flow::Slot; 6] =
    [slot::DP_HASH, slot::CT_STATE, slot::CT_MARK, slot::CT_LABEL, slot::CT_NW_PROTO, slot::CT_NW_DST];

/// Whether packets that differ from `key` in one value that the mask leaves out are treated like it.
fn check_neighbours(switch: &Switch, id: BridgeId, key: &FlowKey) -> Result<(), TestCaseError> {
    let translation = run(switch, id, key);
    let mask = pipeline::installable(&translation.mask, key);
    let places = PLACES.into_iter().filter(|place| !OF_DATAPATH.contains(place) || key.recirc_id() != 0);
    let places = places.filter(|place| !OF_NSH.contains(place) || key.dl_type() == 0x894f);
    for place in places {
        let mut other = key.clone();
        other.write(place, other.read(place) ^ 1);
        if key.equal_under(&other, &mask) {
            prop_assert_eq!(
                outcome(&run(switch, id, &other)),
                outcome(&translation),
                "{:?} of {:?}",
                place,
                key
            );
        }
    }
    // The packet comes back from the datapath, with a hash, and as one of a connection.
    for state in &translation.frozen {
        let mut back = key.clone();
        back.set_recirc_id(state.id);
        back.set_dp_hash(5);
        if state.frozen.conntracked {
            back.set_ct_state(flow::ct_state::TRACKED | flow::ct_state::NEW);
            back.set_ct_nw_proto(6);
            back.set_ct_nw_dst(0x0a00_0002);
            back.set_ct_tp_dst(1);
        }
        check_neighbours(switch, id, &back)?;
    }
    Ok(())
}

#[test]
fn tags_that_move_are_all_part_of_the_megaflow() {
    let tunnel =
        VlanConfig { mode: VlanMode::Dot1qTunnel, tag: 1, qinq_tpid: 0x88a8, ..VlanConfig::default() };
    let access = VlanConfig { mode: VlanMode::Access, tag: 1, ..VlanConfig::default() };
    let (mut switch, id) = switch_with(&[tunnel, VlanConfig::default(), VlanConfig::default(), access]);
    add_flow(&mut switch, id, 10, "in_port=2", "load:0->NXM_OF_VLAN_TCI[],output:3");
    add_flow(&mut switch, id, 1, "", "NORMAL");
    let tagged = |port, tags: &[(u16, u16)]| {
        let mut key = frame(port, 2, 4, None);
        for (index, (tpid, vid)) in tags.iter().enumerate() {
            key.set_vlan(index, *tpid, *vid | flow::VLAN_CFI);
        }
        key
    };
    let packets: Vec<FlowKey> = [1, 2, 4]
        .into_iter()
        .flat_map(|port| {
            [
                tagged(port, &[]),
                tagged(port, &[(0x8100, 2)]),
                tagged(port, &[(0x8100, 2), (0x8100, 2)]),
                tagged(port, &[(0x8100, 2), (0x88a8, 2)]),
                tagged(port, &[(0x8100, 2), (0x8100, 0)]),
                tagged(port, &[(0x8100, 0)]),
                tagged(port, &[(0x8100, 0), (0x8100, 0)]),
                tagged(port, &[(0x8100, 0), (0x8100, 2)]),
            ]
        })
        .collect();
    for one in &packets {
        let translation = run(&switch, id, one);
        let mask = pipeline::installable(&translation.mask, one);
        for other in packets.iter().filter(|other| one.equal_under(other, &mask)) {
            assert_eq!(text(&run(&switch, id, other)), text(&translation), "{one:?} and {other:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Two packets that agree in the mask of the one's translation are translated alike.
    #[test]
    fn a_megaflow_matches_only_what_is_translated_alike(
        rules in prop::collection::vec((0u8..3, 0u16..4, 0..MATCHES.len(), 0..ACTIONS.len()), 1..12),
        learned in prop::collection::vec(packet(), 0..4),
        packets in prop::collection::vec(packet(), 24),
        mode in prop::sample::select(vec![VlanMode::Trunk, VlanMode::Access, VlanMode::NativeTagged, VlanMode::NativeUntagged, VlanMode::Dot1qTunnel]),
        is_mirrored: bool,
        is_sampled: bool,
    ) {
        let cvlans = Some([2].into_iter().collect());
        let first = VlanConfig { mode, tag: 1, cvlans, qinq_tpid: 0x8100, ..VlanConfig::default() };
        let (mut switch, id) = switch_with(&[first, VlanConfig::default(), VlanConfig::default()]);
        add_groups(&mut switch, id);
        if is_mirrored {
            add_mirror(&mut switch, id);
        }
        if is_sampled {
            sampling::sample_all(&mut switch, id);
        }
        for (table, priority, matching, actions) in rules {
            // A table can be left only towards later ones.
            let actions = ACTIONS[actions];
            let later = |n: u8| actions.contains(&format!("(,{n})")) || actions.contains(&format!("goto_table:{n}")) || actions.contains(&format!("table={n}"));
            if later(1) && table >= 1 || later(2) && table >= 2 {
                continue;
            }
            let mut request = FlowMod::new(FlowModCommand::Add);
            request.table = table;
            request.priority = priority;
            request.m = fields::Match::parse(MATCHES[matching], None).unwrap().0;
            request.actions = ofp::parse_instructions(actions, ofp::Names::default()).unwrap().0;
            switch.get_mut(id).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
        }
        for key in &learned {
            forward(&switch, id, key);
        }
        for one in &packets {
            let translation = run(&switch, id, one);
            let mask = pipeline::installable(&translation.mask, one);
            for other in packets.iter().filter(|other| one.equal_under(other, &mask)) {
                prop_assert_eq!(outcome(&run(&switch, id, other)), outcome(&translation), "{:?} and {:?}", one, other);
            }
            check_neighbours(&switch, id, one)?;
        }
    }
}

#[test]
fn nothing_is_learned_where_packets_are_to_be_flooded() {
    let (mut switch, bridge) = switch_with(&vec![VlanConfig::default(); 3]);
    add_flow(&mut switch, bridge, 0, "", "NORMAL");
    let state = switch.get_mut(bridge).unwrap();
    let flood_vlans = Arc::new([5].into());
    state.set_settings(crate::Settings { flood_vlans, ..state.settings().clone() });
    for vlan in [5, 6] {
        forward(&switch, bridge, &frame(1, 2, 4, Some(vlan)));
    }
    assert_eq!(forward(&switch, bridge, &frame(2, 4, 2, Some(5))), "11,13");
    assert_eq!(forward(&switch, bridge, &frame(2, 4, 2, Some(6))), "11");
}

#[test]
fn addresses_behind_a_bundle_that_goes_are_forgotten_everywhere() {
    let (mut switch, bridge) = switch_with(&[VlanConfig::default(), VlanConfig::default()]);
    let other = switch.add_bridge("br1", dp::DpId(1), dp::Capabilities::ALL);
    let bundles: Vec<_> =
        (1..=2).map(|n| switch.get(bridge).unwrap().port(base::OfPort(n)).unwrap().bundle.unwrap()).collect();
    let (a, b) = (MacAddr::from_u64(2), MacAddr::from_u64(4));
    let learn = |id, mac, bundle| {
        let state = switch.get(id).unwrap();
        assert!(state.macs().learn(0, mac, bundle, false, Timestamp::ZERO));
    };
    learn(bridge, a, bundles[0]);
    learn(bridge, b, bundles[1]);
    learn(other, a, pipeline::BundleId(99));
    learn(other, b, pipeline::BundleId(99));
    switch.remove_bundle(bridge, bundles[0]);
    let known = |id| {
        let entries = switch.get(id).unwrap().macs().entries(Timestamp::ZERO);
        entries.iter().map(|known| known.mac).collect::<Vec<_>>()
    };
    assert_eq!(known(bridge), [b]);
    assert_eq!(known(other), [b]);
}

#[test]
fn the_prefixes_that_a_table_tracks_are_what_an_answer_depends_on() {
    let (mut switch, bridge) = switch_with(&[VlanConfig::default(), VlanConfig::default()]);
    add_flow(&mut switch, bridge, 20, "ip,nw_dst=10.1.2.3,nw_src=10.9.0.0/16", "drop");
    add_flow(&mut switch, bridge, 10, "ip,nw_dst=10.0.0.0/8", "output:2");
    let mut key = FlowKey::new();
    key.set_in_port(11);
    key.set_dl_type(0x0800);
    key.set_nw_src(0x0a08_0001);
    key.set_nw_dst(0x0a02_0202);
    let addresses = |switch: &Switch| {
        let mask = run(switch, bridge, &key).mask;
        (mask.bits(slot::NW_SRC) as u32, mask.bits(slot::NW_DST) as u32)
    };
    // 10.1.2.3 is ruled out by the first bit in which it differs, the 15th.
    assert_eq!(addresses(&switch), (0, 0xfffe_0000));
    let configure = |switch: &mut Switch, prefixes| {
        let settings = crate::TableSettings { prefixes, ..Default::default() };
        switch.get_mut(bridge).unwrap().configure_table(TableId(0), settings, Timestamp::ZERO);
    };
    configure(&mut switch, Some(Vec::new()));
    assert_eq!(addresses(&switch), (0xffff_0000, u32::MAX));
    configure(&mut switch, Some(vec![slot::NW_SRC]));
    assert_eq!(addresses(&switch), (0xffff_0000, 0xff00_0000));
    configure(&mut switch, None);
    assert_eq!(addresses(&switch), (0, 0xfffe_0000));
}

#[test]
fn saying_again_what_is_moves_nothing() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    let before = switch.epoch();
    let mut say = |protected| {
        let (name, vlan, ports) = ("p1".to_owned(), VlanConfig::default(), vec![base::OfPort(1)]);
        let config = BundleConfig { name, bond: None, ports, vlan, protected };
        switch.get_mut(id).unwrap().set_bundle(config, || unreachable!("it has an id"));
        switch.reconnect();
        switch.epoch()
    };
    assert_eq!(say(false), before);
    assert!(say(true) > before);
}

#[test]
fn a_bond_forwards_by_the_member_that_it_prefers_and_takes_nothing_from_others() {
    let (mut switch, id) =
        switch_with(&[VlanConfig::default(), VlanConfig::default(), VlanConfig::default()]);
    let bond = Arc::new(pipeline::Bond::default());
    let prefer = |port: u32| {
        let active = Some(base::OfPort(port));
        bond.set_state(pipeline::BondState {
            active,
            enabled: active.into_iter().collect(),
            ..Default::default()
        });
    };
    prefer(1);
    let second = switch.get(id).unwrap().bundle_named("p2").unwrap().id;
    switch.remove_bundle(id, second);
    let config = BundleConfig {
        name: "p1".to_owned(),
        ports: vec![base::OfPort(1), base::OfPort(2)],
        bond: Some(Arc::clone(&bond)),
        vlan: VlanConfig::default(),
        protected: false,
    };
    let before = switch.epoch();
    switch.get_mut(id).unwrap().set_bundle(config.clone(), || unreachable!("it has an id"));
    let joined = switch.epoch();
    assert!(joined > before);
    switch.get_mut(id).unwrap().set_bundle(config, || unreachable!("it has an id"));
    assert_eq!(switch.epoch(), joined, "it is the same bond");
    add_flow(&mut switch, id, 0, "", "NORMAL");

    let output = |port: u32| [dp::Action::Output(base::DpPort(10 + port))];
    assert_eq!(run(&switch, id, &frame(3, 0xa, 0xb, None)).actions, output(1));
    assert_eq!(run(&switch, id, &frame(1, 0xc, 0xd, None)).actions, output(3));
    let refused = [dp::Action::Drop(dp::DropReason::BondRefused)];
    assert_eq!(run(&switch, id, &frame(2, 0xc, 0xd, None)).actions, refused);
    prefer(2);
    assert_eq!(run(&switch, id, &frame(3, 0xa, 0xb, None)).actions, output(2));
    assert_eq!(run(&switch, id, &frame(1, 0xc, 0xd, None)).actions, refused);
}

#[test]
fn a_packet_without_ethernet_header_is_dropped_at_an_ethernet_port() {
    let (mut switch, id) = switch_with(&[VlanConfig::default(), VlanConfig::default()]);
    add_flow(&mut switch, id, 0, "packet_type=(1,0x800)", "output:2");
    let mut key = frame(1, 0xa, 0xb, None);
    key.set_packet_type(1 << 16 | 0x800);
    key.set_dl_type(0x0800);
    let translation = run(&switch, id, &key);
    assert_eq!(translation.actions, [dp::Action::Drop(dp::DropReason::NotEthernet)]);
}

#[test]
fn a_packet_of_a_bridge_that_is_gone_is_dropped_for_that() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    switch.remove_bridge(id);
    let translation = run(&switch, id, &frame(1, 0xa, 0xb, None));
    assert_eq!(translation.actions, [dp::Action::Drop(dp::DropReason::BridgeNotFound)]);
}
