use flow::{FlowKey, FlowMask, slot};
use proptest::prelude::*;

use super::*;

/// Texts that parse and come out the same, as keys with masks.
#[test]
fn keys_come_out_as_they_went_in() {
    for text in [
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),ipv4(src=10.0.0.2,frag=no)",
        "recirc_id(0x1),in_port(7),packet_type(ns=0,id=0),eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.3.0/255.255.255.0,op=1,sha=00:00:00:00:00:01)",
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x8100),vlan(vid=10,pcp=0),encap(eth_type(0x0800),ipv4(frag=no))",
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x8100),vlan(pcp=3),encap(eth_type(0x86dd),ipv6(src=fe80::1,dst=ff02::/ffff::,label=0x5,proto=58,frag=no),icmpv6(type=135,code=0),nd(target=fe80::2,sll=00:00:00:00:00:05))",
        "recirc_id(0),in_port(1),ct_state(+est-inv+trk),ct_zone(0x5),ct_mark(0x1/0xf),ct_label(0x1234),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(proto=6,tos=0/0xfc,frag=first),tcp(src=80,dst=1024/0xfc00),tcp_flags(+syn-ack)",
        "recirc_id(0),tunnel(tun_id=0x7b,src=1.1.2.92,dst=1.1.2.88,ttl=64,flags(-df-csum+key)),in_port(3),packet_type(ns=0,id=0),eth_type(0x8847),mpls(label=10/0xfffff,tc=0/0,ttl=0/0x0,bos=1/1)",
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(dst=01:80:c2:00:00:00),eth_type(0/0xffff)",
        "recirc_id(0),dp_hash(0x3/0xf),skb_priority(0x9),in_port(1),skb_mark(0x8),packet_type(ns=1,id=0x800),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=53)",
    ] {
        let (key, mask) = parse_key(text, None).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(format_key(&key, Some(&mask), false, None), text);
    }
}

#[test]
fn a_key_without_mask_shows_all_that_the_packet_has() {
    let text = "recirc_id(0),dp_hash(0),skb_priority(0),in_port(1),skb_mark(0),ct_state(0),ct_zone(0),ct_mark(0),ct_label(0),\
                packet_type(ns=0,id=0),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),\
                ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)";
    let (key, _) = parse_key(text, None).unwrap();
    assert_eq!(format_key(&key, None, true, None), text);
}

#[test]
fn ports_have_names() {
    let ports: PortNames =
        [(DpPort(1), "eth0".to_owned()), (DpPort(2), "p2".to_owned())].into_iter().collect();
    let (key, mask) = parse_key("in_port(p2),eth(),eth_type(0x0800)", Some(&ports)).unwrap();
    assert_eq!(key.in_port(), 2);
    assert!(format_key(&key, Some(&mask), false, Some(&ports)).starts_with("in_port(p2),"));
    let actions = parse_actions("eth0,2,tnl_pop(p2)", Some(&ports)).unwrap();
    assert_eq!(format_actions(&actions, Some(&ports)), "eth0,p2,tnl_pop(p2)");
}

#[test]
fn actions_come_out_as_they_went_in() {
    for text in [
        "drop",
        "1,2,3",
        "push_vlan(vid=1,pcp=0),2,pop_vlan",
        "push_vlan(tpid=0x88a8,vid=5,pcp=3,cfi=0),1",
        "userspace(pid=0,slow_path(action))",
        "userspace(pid=5,slow_path(cfm,bfd),actions)",
        "userspace(pid=0,controller(reason=1,dont_send=0,continuation=0,recirc_id=1,rule_cookie=0,controller_id=0,max_len=65535))",
        "userspace(pid=9,sFlow(vid=9,pcp=7,output=10),tunnel_out_port=10)",
        "userspace(pid=6633,flow_sample(probability=123,collector_set_id=1234,obs_domain_id=2345,obs_point_id=3456,output_port=10,egress))",
        "userspace(pid=6633,ipfix(output_port=10))",
        "userspace(pid=9,userdata(0102030a))",
        "set(eth(dst=0a:8f:a0:00:00:01)),1",
        "set(eth(src=02:02:02:02:02:02,dst=0a:8f:a0:00:00:01)),1",
        "set(ipv4(src=10.0.0.1,ttl=63)),set(tcp(dst=80)),1",
        "set(ipv4(src=1.1.1.1,dst=2.2.2.2,proto=6,tos=0,ttl=64,frag=no))",
        "set(ipv6(dst=fe80::1/ffff::)),set(udp(src=1,dst=2))",
        "set(skb_priority(0x3)),set(skb_mark(0x5)),set(arp(sip=1.1.1.1)),set(mpls(label=5,tc=0,ttl=64,bos=1))",
        "set(tunnel(tun_id=0x5,dst=1.2.3.4,ttl=64,flags(df|key))),4",
        "set(nsh(ttl=10,spi=0x123))",
        "push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x112233,si=1,c1=0x1,c2=0x2,c3=0x0,c4=0x0),pop_nsh()",
        "push_mpls(label=10,tc=0,ttl=100,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800)",
        "hash(l4(0)),recirc(0x1)",
        "sample(sample=50.0%,actions(1,userspace(pid=0,slow_path(action))))",
        "clone(push_vlan(vid=5,pcp=0),1),2",
        "check_pkt_len(size=200,gt(drop),le(5))",
        "trunc(100),1,meter(3),lb_output(7),ct_clear",
        "ct,ct(commit),ct(commit,zone=5,mark=0x1/0xff,label=0x10,helper=ftp,timeout=ovs_test_tp),recirc(0x2)",
        "ct(commit,nat(src=10.0.0.1-10.0.0.9:1024-65535,random))",
        "ct(nat),ct(commit,nat(dst=[fe80::20]:255,hash)),ct(force_commit,nat(src=fe80::1-fe80::9))",
        "push_eth(src=02:02:02:02:02:02,dst=0a:8f:a0:00:00:01),pop_eth",
        "psample(group=12,cookie=0xf1020304)",
        "tnl_push(tnl_port(4),header(size=50,type=4,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=4789,csum=0x0),vxlan(flags=0x8000000,vni=0x1c7)),out_port(1))",
        "tnl_push(tnl_port(6),header(size=70,type=5,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x86dd),ipv6(src=2001:cafe::88,dst=2001:cafe::92,label=0,proto=17,tclass=0x0,hlimit=64),udp(src=0,dst=6081,csum=0x0),geneve(oam,vni=0x1c7)),out_port(1))",
        "tnl_push(tnl_port(6),header(size=58,type=5,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=6081,csum=0x0),geneve(crit,vni=0x1c7,options({class=0xffff,type=0x80,len=4,0xa}))),out_port(1))",
        "tnl_push(tnl_port(3),header(size=42,type=3,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=47,tos=0,ttl=64,frag=0x4000),gre((flags=0x2000,proto=0x6558),key=0x1e241)),out_port(1))",
    ] {
        let actions = parse_actions(text, None).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(format_actions(&actions, None), text);
    }
}

#[test]
fn errors_show_what_was_not_understood() {
    assert_eq!(parse_key("in_port(1),eht()", None).unwrap_err().to_string(), "syntax error at eht()");
    assert!(parse_actions("1,foo(2)", None).is_err());
    assert!(parse_actions("clone(1", None).is_err());
    assert!(parse_actions(&"clone(".repeat(100_000), None).is_err());
    assert!(parse_key(&"encap(".repeat(100_000), None).is_err());
}

proptest! {
    #[test]
    fn any_text_is_harmless(text in "(set|ct|nat|eth|vlan|mpls|ipv4|tunnel|in_port|sample|clone|userspace|[a-z(),=/0-9.:+-]){0,30}") {
        let _ = parse_key(&text, None);
        let _ = parse_actions(&text, None);
    }

    /// Any key and mask can be written, and what was written can be read.
    #[test]
    fn any_key_can_be_written(words in prop::collection::vec(any::<u64>(), flow::WORDS), bits in prop::collection::vec(any::<u64>(), flow::WORDS),
                              dl_type in prop::sample::select(vec![0x800u16, 0x86dd, 0x806, 0x8847, 0x894f, 0x600, 0x5ff]), proto in prop::sample::select(vec![1u8, 6, 17, 58, 132]), is_far: bool) {
        let mut key = FlowKey::from_words(words.try_into().unwrap());
        key.set_dl_type(dl_type);
        key.set_nw_proto(proto);
        key.set_packet_type(0);
        key.set_ipv6_label(key.ipv6_label() & 0xfffff);
        for index in 0..2 {
            key.set_vlan(index, 0x8100, key.vlan_tci(index) | 0x1000);
        }
        let mut mask = FlowMask::from_words(bits.try_into().unwrap());
        mask.add_all(slot::PACKET_TYPE);
        mask.add_all(slot::DL_TYPE);
        mask.set_bits(slot::IPV6_LABEL, mask.bits(slot::IPV6_LABEL) & 0xfffff);
        if is_far {
            key.set_tun_metadata(0, proto.into());
            mask.add_tun_metadata(0);
        }
        for verbose in [false, true] {
            let text = format_key(&key, Some(&mask), verbose, None);
            let parsed = parse_key(&text, None);
            prop_assert!(parsed.is_ok(), "{}: {:?}", text, parsed);
            format_key(&key, None, verbose, None);
        }
    }
}

#[test]
fn a_network_header_implies_the_type_of_the_frame() {
    let type_of = |text: &str| parse_key(text, None).unwrap().0.dl_type();
    let eth = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a)";
    assert_eq!(
        type_of(&format!("{eth},ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,tos=0,ttl=64,frag=no)")),
        0x0800
    );
    assert_eq!(
        type_of(&format!("{eth},ipv6(src=::1,dst=::2,label=0,proto=58,tclass=0,hlimit=64,frag=no)")),
        0x86dd
    );
    assert_eq!(type_of(&format!("{eth},mpls(label=1,tc=0,ttl=64,bos=1)")), 0x8847);
    assert_eq!(type_of(eth), flow::DL_TYPE_NONE);
}
