//! `ct`, as datapath actions, and how packets go on when they come back.

use flow::ct_state;

use super::*;

fn tcp() -> FlowKey {
    let mut key = frame(1, 2, 4, None);
    key.set_dl_type(0x0800);
    key.set_nw_src(0x0a00_0001);
    key.set_nw_dst(0x0a00_0002);
    key.set_nw_proto(6);
    key.set_tp_src(1000);
    key.set_tp_dst(80);
    key
}

fn bridge(rules: &[(u8, &str, &str)]) -> (Switch, BridgeId) {
    let (mut switch, id) = switch_with(&vec![VlanConfig::default(); 3]);
    for (table, matching, actions) in rules {
        let mut request = FlowMod::new(FlowModCommand::Add);
        request.table = *table;
        request.m = fields::Match::parse(matching, None).unwrap().0;
        request.actions = ofp::parse_instructions(actions, ofp::Names::default()).unwrap().0;
        switch.get_mut(id).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
    }
    (switch, id)
}

fn translated(actions: &str) -> String {
    let (switch, id) = bridge(&[(0, "in_port=1", actions)]);
    text(&run(&switch, id, &tcp()))
}

/// The packet as it comes back from the first state of `translation`.
fn back(translation: &Translation, state: u32) -> FlowKey {
    let mut key = tcp();
    key.set_recirc_id(translation.frozen[0].id);
    key.set_ct_state(ct_state::TRACKED | state);
    key
}

#[test]
fn what_is_committed_is_in_the_action() {
    assert_eq!(translated("ct(commit)"), "ct(commit)");
    assert_eq!(translated("ct(commit,force,zone=5),output:2"), "ct(force_commit,zone=5),12");
    assert_eq!(translated("ct(commit,alg=ftp)"), "ct(commit,helper=ftp)");
    assert_eq!(
        translated("ct(commit,exec(set_field:7->ct_mark,set_field:0x10/0xf0->ct_label))"),
        "ct(commit,mark=0x7/0xffffffff,label=0x10/0xf0)"
    );
    assert_eq!(
        translated(
            "load:0x1234->NXM_NX_REG1[],ct(commit,zone=NXM_NX_REG1[0..15],exec(move:NXM_NX_REG1[0..7]->NXM_NX_CT_LABEL[96..103]))"
        ),
        "ct(commit,zone=4660,label=0x34000000000000000000000000/0xff000000000000000000000000)"
    );
}

#[test]
fn what_is_set_on_a_connection_is_not_matched() {
    let (switch, id) = bridge(&[(0, "in_port=1", "ct(commit,exec(set_field:7->ct_mark)),output:2")]);
    assert_eq!(run(&switch, id, &tcp()).mask.bits(slot::CT_MARK), 0);
    let (switch, id) =
        bridge(&[(0, "in_port=1", "ct(commit,exec(move:NXM_NX_CT_MARK[0..3]->NXM_NX_CT_MARK[8..11]))")]);
    assert_eq!(run(&switch, id, &tcp()).mask.bits(slot::CT_MARK), 0xf);
}

#[test]
fn addresses_are_translated_to_ranges() {
    for (nat, expected) in [
        ("nat", "ct(commit,nat)"),
        ("nat(src)", "ct(commit,nat(src))"),
        ("nat(src=10.0.0.9)", "ct(commit,nat(src=10.0.0.9))"),
        ("nat(dst=10.0.0.5-10.0.0.9:80-90,random)", "ct(commit,nat(dst=10.0.0.5-10.0.0.9:80-90,random))"),
        ("nat(src=[fe80::1]:7,hash,persistent)", "ct(commit,nat(src=[fe80::1]:7,persistent,hash))"),
    ] {
        assert_eq!(translated(&format!("ct(commit,{nat})")), expected);
    }
}

#[test]
fn a_copy_goes_on_in_another_table_with_what_rules_gave_it() {
    let (switch, id) = bridge(&[
        (0, "in_port=1,ct_state=-trk,ip", "load:9->NXM_NX_REG3[],ct(table=4,zone=3),output:2"),
        (4, "ct_state=+trk+new,ip,reg3=9", "output:3"),
        (4, "ct_state=+trk+est,ip,reg3=9", "output:2"),
        (0, "ct_state=+trk,ip", "drop"),
    ]);
    let first = run(&switch, id, &tcp());
    assert_eq!(text(&first), format!("ct(zone=3),recirc({:#x}),12", first.frozen[0].id));
    assert_eq!(text(&run(&switch, id, &back(&first, ct_state::NEW))), "13");
    let second = run(&switch, id, &back(&first, ct_state::ESTABLISHED));
    assert_eq!(text(&second), "12");
    assert_ne!(second.mask.bits(slot::CT_STATE), 0);
}

#[test]
fn the_original_goes_on_untracked() {
    let (switch, id) = bridge(&[
        (0, "in_port=1,ip,ct_state=-trk", "ct(table=1),resubmit(,2)"),
        (1, "", "output:3"),
        (2, "ip,ct_state=+trk", "output:2"),
        (2, "ip,ct_state=-trk", "output:IN_PORT"),
    ]);
    let first = run(&switch, id, &tcp());
    assert_eq!(text(&first), format!("ct,recirc({:#x}),11", first.frozen[0].id));
}

#[test]
fn connections_are_forgotten_where_there_is_one() {
    let (switch, id) = bridge(&[
        (0, "in_port=1,ip", "ct_clear,ct(table=1)"),
        (1, "ip", "ct_clear,resubmit(,2)"),
        (2, "ip,ct_state=-trk", "output:2"),
    ]);
    let first = run(&switch, id, &tcp());
    assert_eq!(text(&first), format!("ct,recirc({:#x})", first.frozen[0].id));
    assert_eq!(text(&run(&switch, id, &back(&first, ct_state::NEW))), "ct_clear,12");
}

#[test]
fn rules_are_looked_up_for_the_first_packet_of_the_connection() {
    let (switch, id) = bridge(&[
        (0, "in_port=1,ip,ct_state=-trk", "ct(table=1)"),
        (1, "ip,ct_state=+trk", "resubmit(,2,ct)"),
        (2, "tcp,nw_src=10.0.0.7,tp_dst=99", "output:3"),
        (2, "tcp", "output:2"),
    ]);
    let mut packet = back(&run(&switch, id, &tcp()), ct_state::ESTABLISHED);
    packet.set_ct_nw_proto(6);
    packet.set_ct_nw_src(0x0a00_0007);
    packet.set_ct_tp_dst(99);
    let translation = run(&switch, id, &packet);
    assert_eq!(text(&translation), "13");
    assert_eq!(translation.mask.bits(slot::CT_NW_SRC), u128::from(u32::MAX));
    assert_eq!(translation.mask.bits(slot::NW_SRC), 0);
    assert_eq!(translation.final_key.nw_src(), packet.nw_src());
}

#[test]
fn a_datapath_without_a_tracker_gets_no_such_rules() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    let bridge = switch.get_mut(id).unwrap();
    let conntrack = dp::Tracking { state: false, ..dp::Tracking::ALL };
    bridge.set_capabilities(dp::Capabilities { conntrack, ..dp::Capabilities::ALL });
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.actions = ofp::parse_instructions("clone(ct(commit))", ofp::Names::default()).unwrap().0;
    assert_eq!(
        bridge.flow_mod(&request, Timestamp::ZERO).map(|_| ()),
        Err(ofp::OfError::NxbacCtDatapathSupport)
    );
}
