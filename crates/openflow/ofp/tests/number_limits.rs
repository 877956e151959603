//! Numbers that do not fit where they are to be kept.

use ofp::{
    FlowModCommand, FlowTextKind, GroupCommand, Names, parse_flow_mod, parse_flow_monitor_request,
    parse_group_mod, parse_packet_out,
};

/// Why a rule is refused; empty when it is taken.
fn refusal(text: &str) -> String {
    match parse_flow_mod(text, FlowTextKind::Mod(FlowModCommand::Add), Names::default()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn fields_of_matches_hold_no_more_than_their_width() {
    for (text, value, limit) in [
        ("dl_vlan=4096", "4096", "4095"),
        ("dl_vlan=4097", "4097", "4095"),
        ("dl_vlan_pcp=8", "8", "7"),
        ("vlan_pcp=8", "8", "7"),
        ("vlan_vid=0x2000", "0x2000", "8191"),
        ("vlan_vid=5/0x2fff", "0x2fff", "0x1fff"),
        ("vlan_tci=0x10000", "0x10000", "2-byte"),
        ("dl_type=0x10000", "0x10000", "2-byte"),
        ("dl_src=1ff:0:0:0:0:1", "1ff", "ff"),
        ("dl_dst=0:0:0:0:0:1/1ff:0:0:0:0:0", "1ff", "ff"),
        ("ip,nw_src=10.0.0.300", "300", "255"),
        ("ip,nw_src=10.0.0.256/24", "256", "255"),
        ("ip,nw_dst=10.0.0.0/255.0.0.256", "256", "255"),
        ("ip,nw_dst=10.0.0.0/33", "33", "32"),
        ("ipv6,ipv6_src=::/129", "129", "128"),
        ("ipv6,ipv6_src=::10000", "10000", ""),
        ("ipv6,ipv6_label=0x100000", "0x100000", "0xfffff"),
        ("ip,nw_proto=256", "256", "1-byte"),
        ("ip,nw_tos=257", "257", "1-byte"),
        ("ip,nw_tos=5", "5", "lowest bits"),
        ("ip,ip_dscp=64", "64", "63"),
        ("ip,nw_ecn=4", "4", "3"),
        ("ip,nw_ttl=256", "256", "1-byte"),
        ("arp,arp_op=256", "256", "255"),
        ("tcp,tp_dst=65536", "65536", "2-byte"),
        ("tcp,tcp_flags=0x1000", "0x1000", "unknown"),
        ("tcp,tcp_flags=0x100000001/0x1", "0x100000001", "unknown"),
        ("icmp,icmp_type=256", "256", "1-byte"),
        ("mpls,mpls_label=1048576", "1048576", "1048575"),
        ("mpls,mpls_tc=8", "8", "7"),
        ("mpls,mpls_bos=2", "2", "1"),
        ("reg0=0x100000000", "0x100000000", "4-byte"),
        ("metadata=0x10000000000000000", "0x1", "8-byte"),
        ("in_port=65536", "65536", "in_port"),
        ("ct_state=0x100/0x100", "0x100", "unknown"),
        ("ct_zone=65536", "65536", "2-byte"),
        ("tun_id=0x10000000000000000", "0x1", "8-byte"),
        ("reg0[0..3]=16", "0x10", "4 bits"),
        ("dl_type=0x894f,nsh_ttl=64", "64", "63"),
        ("dl_type=0x894f,nsh_spi=0x1000000", "0x1000000", "0xffffff"),
    ] {
        let error = refusal(&format!("{text},actions=drop"));
        assert!(error.contains(value) && error.contains(limit), "{text}: {error}");
    }
}

#[test]
fn old_ways_to_write_no_vlan_stay() {
    for text in ["dl_vlan=65535", "dl_vlan=8191", "dl_vlan=4095", "vlan_vid=0x1fff", "cookie=-1,ip"] {
        let text = format!("{text},actions=drop");
        parse_flow_mod(&text, FlowTextKind::Mod(FlowModCommand::Add), Names::default()).expect(&text);
    }
}

#[test]
fn parts_of_rules_hold_no_more_than_their_width() {
    for (text, limit) in [
        ("priority=65536", "65535"),
        ("priority=-1", "0"),
        ("idle_timeout=65536", "65535"),
        ("hard_timeout=99999999999999999999", "65535"),
        ("importance=65536", "65535"),
        ("cookie=0x10000000000000000", "18446744073709551615"),
        ("table=256", "256"),
    ] {
        let error = refusal(&format!("{text},actions=drop"));
        let (_, value) = text.split_once('=').unwrap();
        assert!(error.contains(value) && error.contains(limit), "{text}: {error}");
    }
}

#[test]
fn parts_of_actions_hold_no_more_than_their_width() {
    for (action, value) in [
        ("learn(priority=65536)", "65536"),
        ("learn(idle_timeout=65536)", "65536"),
        ("learn(hard_timeout=-1)", "-1"),
        ("learn(fin_idle_timeout=65536)", "65536"),
        ("learn(fin_hard_timeout=1x)", "1x"),
        ("learn(cookie=0x10000000000000000)", "0x10000000000000000"),
        ("learn(limit=4294967296)", "4294967296"),
        ("learn(load:0x1fedbca9876543210fedbca9876543210->NXM_NX_IPV6_DST[])", "does not fit into 128 bits"),
        ("set_mpls_ttl(256)", "256"),
        ("bundle(eth_src,65536,hrw,ofport,members:1)", "65536"),
        ("multipath(eth_src,65536,modulo_n,1,0,reg0[])", "65536"),
        ("multipath(eth_src,1,modulo_n,65537,0,reg0[])", "65537"),
        ("multipath(eth_src,1,modulo_n,1,4294967296,reg0[])", "4294967296"),
        ("conjunction(4294967296,1/2)", "4294967296"),
        ("dec_ttl(65536)", "65536"),
        ("load:5x->reg0[]", "5x"),
        ("load:0x100000000->reg0[]", "0x100000000"),
        ("mod_vlan_vid:4096", "4096"),
        ("mod_nw_src:10.0.0.256", "256"),
        ("mod_dl_src:100:0:0:0:0:0", "100"),
        ("mod_tp_dst:65536", "65536"),
        ("set_field:10.0.0.256->ip_src", "256"),
        ("enqueue:1:4294967296", "4294967296"),
        ("controller(max_len=65536)", "65536"),
        ("group:4294967296", "4294967296"),
        ("resubmit(,256)", "256"),
        ("output(port=1,max_len=4294967296)", "4294967296"),
    ] {
        let error = refusal(&format!("tcp,actions={action}"));
        assert!(error.contains(value), "{action}: {error}");
    }
}

#[test]
fn other_requests_hold_no_more_than_their_width() {
    let none = Names::default();
    assert!(parse_flow_monitor_request("out_port=65536", 1, none).is_err());
    assert!(parse_flow_monitor_request("out_group=4294967296", 1, none).is_err());
    assert!(parse_flow_monitor_request("table=256", 1, none).is_err());
    let packet = "packet=000000000000000000000000000000,packet_type";
    assert!(parse_packet_out(&format!("{packet}(65536,0),actions=1"), none).is_err());
    assert!(parse_packet_out(&format!("{packet}(1,65536),actions=1"), none).is_err());
    for text in ["group_id=1,type=all,bucket=weight:65536,actions=1", "group_id=4294967296,type=all"] {
        assert!(parse_group_mod(text, Some(GroupCommand::Add), none).is_err(), "{text}");
    }
}
