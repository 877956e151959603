//! Tunnels: by which ways they go, what is inside, and what each bridge makes of their options.

use end_to_end::{Host, Iperf, LIMIT, Programs, Switch, can_run, holds_within, until};

use super::tunnels::{BYTES, KINDS, Pair, options};

#[test]
fn ipv4_goes_by_routers_of_ipv6() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let ours = Programs::Ours;
    let near = pair.switch(&pair.near, ours, "10.0.0.1/24", "192.168.7.1", &options("vxlan", "10.9.0.2"));
    let far = pair.switch(&pair.far, ours, "10.9.0.2/24", "192.168.7.2", &options("vxlan", "10.0.0.1"));
    let is_shown = |switch: &Switch, line: &str| {
        until(line, || switch.appctl("ovs/route/show").lines().any(|shown| shown.starts_with(line)));
    };
    for (host, own, to, router) in
        [(&pair.near, "fe80::1", "10.9.0.0/24", "fe80::2"), (&pair.far, "fe80::2", "10.0.0.0/24", "fe80::1")]
    {
        host.ok(&format!("ip addr add {own}/64 dev br0 nodad"));
        host.ok(&format!("ip route add {to} via inet6 {router} dev br0"));
    }
    is_shown(&near, "Cached: 10.9.0.0/24 dev br0 GW fe80::2 SRC fe80::");
    is_shown(&far, "Cached: 10.0.0.0/24 dev br0 GW fe80::1 SRC fe80::");
    assert!(pair.near.reaches("192.168.7.2"), "{}", near.appctl("tnl/neigh/show"));
    let flows = near.appctl("dpctl/dump-flows");
    assert!(flows.contains("ipv4(src=10.0.0.1,dst=10.9.0.2"), "{flows}");
    pair.near.ok("ip route del 10.9.0.0/24");
    until("the way is gone", || !near.appctl("ovs/route/show").contains("10.9.0.0/24"));
    assert!(!pair.near.is_answered("192.168.7.2"));
}

#[test]
fn rules_of_ipv6_are_followed() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let near =
        pair.switch(&pair.near, Programs::Ours, "fc00::1/64", "192.168.7.1", &options("vxlan", "fc00::2"));
    let rule = "from 2001:db8::/32 lookup 100 priority 7";
    let is_there = || near.appctl("ovs/route/rule/show -6").contains("7: from 2001:db8::/32  lookup 100");
    pair.near.ok(&format!("ip -6 rule add {rule}"));
    until("the rule is there", is_there);
    pair.near.ok(&format!("ip -6 rule del {rule}"));
    until("the rule is gone", || !is_there());
}

#[test]
fn the_bridge_below_sees_what_was_cut_off() {
    if !can_run() {
        return;
    }
    for (kind, headers) in [("vxlan", 50), ("gre", 42)] {
        let pair = Pair::new();
        let ours = Programs::Ours;
        let marked = format!("{} options:tos=inherit", options(kind, "10.0.0.2"));
        let near = pair.switch(&pair.near, ours, "10.0.0.1/24", "192.168.7.1", &marked);
        let far = pair.switch(&pair.far, ours, "10.0.0.2/24", "192.168.7.2", &options(kind, "10.0.0.1"));
        assert!(pair.near.reaches("192.168.7.2"));
        let tunnel = near.vsctl("get interface tun0 ofport");
        let tunnel = tunnel.trim();
        // By its class the packet is known below, where others go by, too.
        let (big, below) = ("in_port=LOCAL,icmp,nw_tos=32", "in_port=LOCAL,ip,nw_tos=32");
        near.ofctl(&format!("add-flow int priority=9,{big},actions=output(port={tunnel},max_len=100)"));
        near.ofctl(&format!("add-flow br0 priority=9,{below},actions=NORMAL"));
        // Of a header that says that there is more, no more than the type is seen.
        far.ofctl("add-flow int priority=9,ip,nw_src=0.0.0.0,actions=drop");
        pair.near.run("ping -c 1 -W 1 -Q 32 -s 400 192.168.7.2");
        let counts = |switch: &Switch, bridge: &str, rule: &str, bytes: u32| {
            let expected = format!("n_packets=1, n_bytes={bytes},");
            let listed = || switch.ofctl(&format!("dump-flows {bridge} {rule}"));
            let is_counted = holds_within(LIMIT, || listed().contains(&expected));
            assert!(is_counted, "{kind}, {bridge}: {expected} {}", listed());
        };
        counts(&near, "int", big, 442);
        counts(&near, "br0", below, 100 + headers);
        counts(&far, "int", "ip,nw_src=0.0.0.0", 100);
    }
}

/// Bridges `int` and `two` with a tunnel each, and options that one of them does not map, or maps otherwise.
fn two_maps(host: &Host, switch: &Switch, remote: &str, inner: &str) {
    switch.vsctl("add-br two -- set bridge two datapath_type=netdev -- set interface two mtu_request=1400");
    switch.vsctl(&format!(
        "add-port two tun1 -- set interface tun1 type=geneve options:key=78 options:remote_ip={remote}"
    ));
    host.address("two", inner);
    host.ok("ip link set two up");
    switch.ofctl("add-tlv-map int {class=0x102,type=0x80,len=4}->tun_metadata0");
    switch.ofctl(
        "add-tlv-map two {class=0x103,type=1,len=8}->tun_metadata0,{class=0x102,type=0x80,len=4}->tun_metadata1",
    );
    let number = |port: &str| switch.vsctl(&format!("get interface {port} ofport")).trim().to_owned();
    let (first, second) = (number("tun0"), number("tun1"));
    for (bridge, tunnel, fields) in
        [("int", first, &[(0, 5u64)][..]), ("two", second, &[(0, 0x0102_0304_0506_0708), (1, 6)][..])]
    {
        let set: String = fields.iter().map(|(n, v)| format!("set_field:{v:#x}->tun_metadata{n},")).collect();
        let has: String = fields.iter().map(|(n, v)| format!("tun_metadata{n}={v:#x},")).collect();
        switch.ofctl(&format!("del-flows {bridge}"));
        switch.ofctl(&format!("add-flow {bridge} in_port=LOCAL,actions={set}output:{tunnel}"));
        switch.ofctl(&format!("add-flow {bridge} in_port={tunnel},{has}actions=LOCAL"));
    }
}

#[test]
fn each_bridge_maps_options_by_itself() {
    if !can_run() {
        return;
    }
    for far_programs in [Programs::Ours, Programs::Reference] {
        let pair = Pair::new();
        let tunnel = |remote: &str| options("geneve", remote);
        let near = pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &tunnel("10.0.0.2"));
        let far = pair.switch(&pair.far, far_programs, "10.0.0.2/24", "192.168.7.2", &tunnel("10.0.0.1"));
        two_maps(&pair.near, &near, "10.0.0.2", "192.168.8.1/24");
        two_maps(&pair.far, &far, "10.0.0.1", "192.168.8.2/24");
        for address in ["192.168.7.2", "192.168.8.2"] {
            assert!(pair.near.reaches(address), "{address}, {far_programs:?} at the far end");
        }
        // Another value is not taken.
        let number = near.vsctl("get interface tun1 ofport");
        near.ofctl(&format!(
            "add-flow two in_port=LOCAL,actions=set_field:9->tun_metadata0,set_field:6->tun_metadata1,output:{}",
            number.trim()
        ));
        assert!(!pair.near.is_answered("192.168.8.2"), "{far_programs:?} at the far end");
        assert!(pair.near.reaches("192.168.7.2"));
        let listed = near.ofctl("dump-tlv-map two");
        assert!(listed.contains("0x103") && listed.contains("tun_metadata1"), "{listed}");
        assert!(!near.ofctl("dump-tlv-map int").contains("0x103"));
    }
}

#[test]
fn tcp_of_ipv6_in_a_vlan_goes_through_ipv6() {
    if !can_run() {
        return;
    }
    let kinds = KINDS.map(|kind| (kind, Programs::Ours));
    for (kind, far_programs) in kinds.into_iter().chain([("geneve", Programs::Reference)]) {
        let pair = Pair::new();
        let near =
            pair.switch(&pair.near, Programs::Ours, "fc00::1/64", "192.168.7.1", &options(kind, "fc00::2"));
        let far =
            pair.switch(&pair.far, far_programs, "fc00::2/64", "192.168.7.2", &options(kind, "fc00::1"));
        for (switch, host, address) in [(&near, &pair.near, "fd07::1/64"), (&far, &pair.far, "fd07::2/64")] {
            switch.vsctl("set port int tag=5");
            host.ok(&format!("ip addr add {address} dev int nodad"));
        }
        assert!(pair.near.reaches("fd07::2"), "{kind} with {far_programs:?} at the far end");
        if far_programs == Programs::Reference {
            // Its taps do not compute checksums of what it forwards from elsewhere.
            pair.far.run("ethtool -K int tx off");
        }
        Iperf::serve(&pair.far).both_ways(&pair.near, "fd07::2", BYTES, kind);
        let flows = near.appctl("dpctl/dump-flows");
        assert!(flows.contains("vlan(vid=5") && flows.contains("ipv6(src=fc00::1,dst=fc00::2"), "{flows}");
    }
}
