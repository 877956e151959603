//! Tunnels: TCP with the offloads that devices have by themselves goes through them, whoever is at the other end: this
//! switch, the reference's, the kernel. The page about them is typed as it stands.

use end_to_end::{Host, Iperf, LIMIT, Programs, Switch, World, can_run, holds_within, run, until};

/// Bytes that each way must carry. One that loses every train of segments would need hours for them.
pub(super) const BYTES: &str = "2M";
/// Sends a word to the UDP port of VXLAN.
const SEND: &str = "import socket,sys; socket.socket(socket.AF_INET,socket.SOCK_DGRAM).sendto(sys.argv[1].encode(),('10.0.0.1',4789))";

/// Two hosts on one wire, each with an address of the network that tunnels go through.
pub(super) struct Pair {
    pub near: Host,
    pub far: Host,
    pub world: World,
}

impl Pair {
    pub fn new() -> Pair {
        let world = World::new();
        let (near, far) = (world.host("near"), world.host("far"));
        for host in [&near, &far] {
            host.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.all.disable_ipv6=0");
        }
        world.wire(&near, "eth0", &far, "eth0");
        Pair { near, far, world }
    }

    /// A switch on `host`, with the wire in `br0`, which has the address, and the tunnel `tun0` in `int`.
    pub fn switch(&self, host: &Host, programs: Programs, outer: &str, inner: &str, tunnel: &str) -> Switch {
        let switch = Switch::start(&self.world, host, &format!("sw-{inner}"), programs);
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 eth0");
        host.ok(&format!("ip addr add {outer} dev br0 {}", if outer.contains(':') { "nodad" } else { "" }));
        host.ok("ip link set br0 up");
        // Room for the headers of every kind of tunnel.
        switch
            .vsctl("add-br int -- set bridge int datapath_type=netdev -- set interface int mtu_request=1400");
        switch.vsctl(&format!("add-port int tun0 -- set interface tun0 {tunnel}"));
        host.address("int", &format!("{inner}/24"));
        host.ok("ip link set int up");
        assert_eq!(switch.vsctl("get interface tun0 error").trim(), "[]");
        switch
    }
}

fn both_ways(pair: &Pair) {
    assert!(pair.near.reaches("192.168.7.2"), "the far end does not answer");
    Iperf::serve(&pair.far).both_ways(&pair.near, "192.168.7.2", BYTES, "through the tunnel");
}

pub(super) const KINDS: [&str; 3] = ["vxlan", "geneve", "gre"];

pub(super) fn options(kind: &str, remote: &str) -> String {
    format!("type={kind} options:remote_ip={remote} options:key=77")
}

#[test]
fn two_of_our_switches_carry_tcp_through_each_kind() {
    if !can_run() {
        return;
    }
    for kind in KINDS {
        let pair = Pair::new();
        let ours = Programs::Ours;
        let near = pair.switch(&pair.near, ours, "10.0.0.1/24", "192.168.7.1", &options(kind, "10.0.0.2"));
        let far = pair.switch(&pair.far, ours, "10.0.0.2/24", "192.168.7.2", &options(kind, "10.0.0.1"));
        both_ways(&pair);
        assert_eq!(near.vsctl("get interface tun0 status:tunnel_egress_iface").trim(), "br0");
        assert_eq!(near.vsctl("get interface tun0 status:tunnel_egress_iface_carrier").trim(), "up");
        near.vsctl("set interface int mtu_request=1500");
        until("lint sees that packets do not fit", || {
            let found = run(near.command("ovs").arg("lint")).out;
            found.contains("packets of 1500 bytes do not fit into tunnel tun0")
        });
        near.vsctl("set interface int mtu_request=1400");
        // Another key at one end: what arrives is of no tunnel.
        far.vsctl("set interface tun0 options:key=78");
        assert!(!pair.near.is_answered("192.168.7.2"), "{kind}: a packet of another key was taken");
        near.vsctl("set interface tun0 options:key=78");
        assert!(pair.near.reaches("192.168.7.2"), "{kind}");
    }
}

#[test]
fn tunnels_over_ipv6_have_checksums() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let ours = Programs::Ours;
    let near = pair.switch(&pair.near, ours, "fc00::1/64", "192.168.7.1", &options("geneve", "fc00::2"));
    let _far = pair.switch(&pair.far, ours, "fc00::2/64", "192.168.7.2", &options("geneve", "fc00::1"));
    both_ways(&pair);
    let shown = near.appctl("tnl/neigh/show");
    assert!(shown.lines().any(|line| line.starts_with("fc00::2 ") && line.ends_with(" br0")), "{shown}");
    let flows = near.appctl("dpctl/dump-flows");
    assert!(flows.contains("csum=0xffff"), "{flows}");
}

#[test]
fn the_reference_is_at_the_other_end() {
    if !can_run() {
        return;
    }
    for kind in KINDS {
        let pair = Pair::new();
        let _near =
            pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &options(kind, "10.0.0.2"));
        let reference = Programs::Reference;
        let _far =
            pair.switch(&pair.far, reference, "10.0.0.2/24", "192.168.7.2", &options(kind, "10.0.0.1"));
        assert!(pair.near.reaches("192.168.7.2"), "{kind}: the reference does not answer");
        // Its taps do not compute checksums of what it forwards from elsewhere.
        pair.far.run("ethtool -K int tx off");
        both_ways(&pair);
    }
}

/// Kinds beside [`KINDS`] that the reference knows. Of GRE it checksums packets before it numbers them, so not both at once.
const OTHER_KINDS: [&str; 4] = [
    "erspan options:erspan_ver=1 options:erspan_idx=5",
    "erspan options:erspan_ver=2 options:erspan_dir=1 options:erspan_hwid=4",
    "gre options:csum=true",
    "gre options:seq=true",
];

#[test]
fn the_reference_is_at_the_other_end_of_all_that_it_knows() {
    if !can_run() {
        return;
    }
    let (v4, v6) = (["10.0.0.1/24", "10.0.0.2/24"], ["fc00::1/64", "fc00::2/64"]);
    let over_both = OTHER_KINDS.iter().flat_map(|kind| [(kind, v4), (kind, v6)]);
    for (kind, [near, far]) in over_both.chain(KINDS.iter().map(|kind| (kind, v6))) {
        let pair = Pair::new();
        let to = |remote: &str| options(kind, remote.split('/').next().unwrap_or_default());
        let _near = pair.switch(&pair.near, Programs::Ours, near, "192.168.7.1", &to(far));
        let _far = pair.switch(&pair.far, Programs::Reference, far, "192.168.7.2", &to(near));
        assert!(pair.near.reaches("192.168.7.2"), "{kind} from {near}: the reference does not answer");
        // Its taps do not compute checksums of what it forwards from elsewhere.
        pair.far.run("ethtool -K int tx off");
        both_ways(&pair);
    }
}

#[test]
fn the_kernel_is_at_the_other_end() {
    if !can_run() {
        return;
    }
    let far_devices = [
        ("vxlan", "vxlan id 77 remote 10.0.0.1 dstport 4789 dev eth0"),
        ("gre", "gretap remote 10.0.0.1 local 10.0.0.2 key 77"),
    ];
    for (kind, device) in far_devices {
        let pair = Pair::new();
        pair.far.address("eth0", "10.0.0.2/24");
        if pair.far.run(&format!("ip link add tun0 type {device}")).status != 0 {
            eprintln!("skipped: this kernel has no {kind} devices");
            continue;
        }
        pair.far.ok("ip link set tun0 mtu 1400 up");
        pair.far.address("tun0", "192.168.7.2/24");
        let near =
            pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &options(kind, "10.0.0.2"));
        both_ways(&pair);
        let counted = || {
            let counters = near.vsctl("get interface tun0 statistics");
            !counters.contains("rx_packets=0,") && !counters.contains("tx_packets=0}")
        };
        assert!(holds_within(LIMIT, counted), "{kind}: packets are not counted");
    }
}

#[test]
fn a_tunnel_of_layer_3_joins_that_of_the_kernel() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    pair.far.address("eth0", "10.0.0.2/24");
    if pair.far.run("ip link add tun0 type gre remote 10.0.0.1 local 10.0.0.2 key 77").status != 0 {
        return eprintln!("skipped: this kernel has no gre devices");
    }
    pair.far.ok("ip link set tun0 mtu 1400 up");
    pair.far.address("tun0", "192.168.7.2/24");
    let tunnel = format!("{} options:packet_type=legacy_l3", options("gre", "10.0.0.2"));
    let near = pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &tunnel);
    // Nobody at the other end answers for an Ethernet address.
    pair.near.ok("ip neigh replace 192.168.7.2 lladdr 02:00:00:00:00:09 dev int nud permanent");
    carry_packets(&near);
    both_ways(&pair);
}

#[test]
fn tunnels_of_layer_3_join_those_of_others() {
    if !can_run() {
        return;
    }
    let (ours, theirs) = (Programs::Ours, Programs::Reference);
    let v4 = ["10.0.0.1/24", "10.0.0.2/24"];
    // The reference of this age has no segments, and the checksums of its GTP-U are those before the length was filled in.
    for (kind, far_programs, outer) in [
        ("gre options:packet_type=legacy_l3", ours, v4),
        ("gre options:packet_type=legacy_l3", theirs, v4),
        ("gtpu", ours, v4),
        ("srv6", ours, ["fc00::1/64", "fc00::2/64"]),
    ] {
        let pair = Pair::new();
        let tunnel = |remote: &str| {
            let key = if kind == "srv6" { "" } else { "options:key=77" };
            let remote = remote.split('/').next().unwrap_or_default();
            format!("type={kind} {key} options:remote_ip={remote}")
        };
        let near = pair.switch(&pair.near, ours, outer[0], "192.168.7.1", &tunnel(outer[1]));
        let far = pair.switch(&pair.far, far_programs, outer[1], "192.168.7.2", &tunnel(outer[0]));
        for (switch, host, other) in [(&near, &pair.near, "192.168.7.2"), (&far, &pair.far, "192.168.7.1")] {
            host.ok(&format!("ip neigh replace {other} lladdr 02:00:00:00:00:09 dev int nud permanent"));
            carry_packets(switch);
        }
        assert!(pair.near.reaches("192.168.7.2"), "{kind} with {far_programs:?} at the far end");
        if far_programs == Programs::Reference {
            // Its taps do not compute checksums of what it forwards from elsewhere.
            pair.far.run("ethtool -K int tx off");
        }
        both_ways(&pair);
        let flows = near.appctl("dpctl/dump-flows");
        assert!(flows.contains("packet_type(ns=1,id=0x800)") && flows.contains("pop_eth"), "{flows}");
    }
}

/// A host behind a router of the kernel that knows segments is reached through it, though the bridge below the tunnel forwards
/// nothing but what is behind segments.
#[test]
fn segments_are_those_of_the_kernel() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let inner = pair.world.host("inner");
    pair.world.wire(&pair.far, "v0", &inner, "eth0");
    let far = &pair.far;
    for name in ["default", "all", "eth0"] {
        far.ok(&format!("sysctl -qw net.ipv6.conf.{name}.seg6_enabled=1 net.ipv6.conf.{name}.forwarding=1"));
    }
    far.ok("sysctl -qw net.ipv4.ip_forward=1");
    far.ok("ip addr add fc00::2/64 dev eth0 nodad");
    far.address("v0", "192.168.9.1/24");
    inner.address("eth0", "192.168.9.2/24");
    inner.ok("ip route add 192.168.7.0/24 via 192.168.9.1");
    if far.run("ip route add 192.168.7.0/24 encap seg6 mode encap segs fc00::1 dev eth0").status != 0 {
        return eprintln!("skipped: this kernel has no segment routing");
    }
    far.ok("ip sr tunsrc set fc00:a::2");
    far.ok("ip -6 route add fc00:a::2/128 encap seg6local action End.DX4 nh4 0.0.0.0 dev v0");
    let tunnel = "type=srv6 options:remote_ip=fc00:a::2";
    let near = pair.switch(&pair.near, Programs::Ours, "fc00::1/64", "192.168.7.1", tunnel);
    pair.near.ok("ip -6 route add fc00:a::2/128 via fc00::2 dev br0");
    pair.near.ok("ip route add 192.168.9.0/24 via 192.168.7.9 dev int");
    pair.near.ok("ip neigh replace 192.168.7.9 lladdr 02:00:00:00:00:09 dev int nud permanent");
    carry_packets(&near);
    near.ofctl("del-flows br0");
    near.ofctl("add-flow br0 ipv6,nw_proto=4,actions=normal");
    near.ofctl("add-flow br0 icmp6,actions=normal");
    assert!(pair.near.reaches("192.168.9.2"), "the host behind the router does not answer");
    Iperf::serve(&inner).both_ways(&pair.near, "192.168.9.2", BYTES, "by segments");
}

/// The reference of this age sends GTP-U with the checksum of a header whose length is not yet filled in, which nobody takes.
#[test]
fn the_reference_takes_what_comes_by_gtpu() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let near =
        pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &options("gtpu", "10.0.0.2"));
    let far = pair.switch(
        &pair.far,
        Programs::Reference,
        "10.0.0.2/24",
        "192.168.7.2",
        &options("gtpu", "10.0.0.1"),
    );
    pair.near.ok("ip neigh replace 192.168.7.2 lladdr 02:00:00:00:00:09 dev int nud permanent");
    carry_packets(&near);
    carry_packets(&far);
    until("what came by the tunnel is counted", || {
        pair.near.is_answered("192.168.7.2");
        let rules = far.ofctl("dump-flows int");
        rules.lines().any(|rule| rule.contains("mod_dl_dst") && !rule.contains("n_packets=0"))
    });
}

/// IPv4 goes from the host into the tunnel and back; the Ethernet header that rules see before it has no addresses.
fn carry_packets(switch: &Switch) {
    let (number, mac) =
        (switch.vsctl("get interface tun0 ofport"), switch.vsctl("get interface int mac_in_use"));
    let (number, mac) = (number.trim(), mac.trim().trim_matches('"'));
    switch.ofctl("del-flows int");
    switch.ofctl(&format!("add-flow int in_port=LOCAL,ip,actions=output:{number}"));
    switch.ofctl(&format!("add-flow int in_port={number},ip,actions=mod_dl_dst:{mac},LOCAL"));
}

#[test]
fn frames_go_through_a_service_path() {
    if !can_run() {
        return;
    }
    for far_programs in [Programs::Ours, Programs::Reference] {
        let pair = Pair::new();
        let tunnel =
            |remote: &str| format!("{} options:exts=gpe options:packet_type=ptap", options("vxlan", remote));
        let near = pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &tunnel("10.0.0.2"));
        let far = pair.switch(&pair.far, far_programs, "10.0.0.2/24", "192.168.7.2", &tunnel("10.0.0.1"));
        let path = |switch: &Switch, path: u32| {
            let number = switch.vsctl("get interface tun0 ofport");
            let number = number.trim();
            switch.ofctl("del-flows int");
            for rule in [
                format!(
                    "in_port=LOCAL,actions=encap(nsh(md_type=1)),set_field:{path}->nsh_spi,output:{number}"
                ),
                format!(
                    "in_port={number},packet_type=(1,0x894f),nsh_spi={path},actions=dec_nsh_ttl,decap(),output:LOCAL"
                ),
            ] {
                let added = switch.ctl("ovs-ofctl", &format!("-O OpenFlow13 add-flow int {rule}"));
                assert_eq!(added.status, 0, "{added:?}");
            }
        };
        path(&near, 0x77);
        path(&far, 0x77);
        assert!(pair.near.reaches("192.168.7.2"), "{far_programs:?} at the far end");
        if far_programs == Programs::Reference {
            // Its taps do not compute checksums of what it forwards from elsewhere.
            pair.far.run("ethtool -K int tx off");
        }
        both_ways(&pair);
        path(&near, 0x78);
        assert!(!pair.near.is_answered("192.168.7.2"), "another path was taken");
    }
}

#[test]
fn options_of_geneve_become_metadata_and_back() {
    if !can_run() {
        return;
    }
    // As OVN has it: the number of the network in the key, ports in an option.
    let map = "{class=0x102,type=0x80,len=4}->tun_metadata0";
    for far_programs in [Programs::Ours, Programs::Reference] {
        let pair = Pair::new();
        let flow = "type=geneve options:key=flow options:remote_ip=";
        let near =
            pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &format!("{flow}10.0.0.2"));
        let far =
            pair.switch(&pair.far, far_programs, "10.0.0.2/24", "192.168.7.2", &format!("{flow}10.0.0.1"));
        for (switch, sent, expected) in [(&near, 5, 6), (&far, 6, 5)] {
            switch.ofctl(&format!("add-tlv-map int {map}"));
            assert!(switch.ofctl("dump-tlv-map int").contains("0x102"));
            switch.ofctl("del-flows int");
            let tunnel = switch.vsctl("get interface tun0 ofport");
            let tunnel = tunnel.trim();
            // Bit by bit, as OVN's rules set them.
            switch.ofctl(&format!(
                "add-flow int in_port=LOCAL,actions=set_field:0x77/0xffffff->tun_id,load:{sent}->NXM_NX_REG14[],\
                 move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],output:{tunnel}"
            ));
            switch.ofctl(&format!(
                "add-flow int in_port={tunnel},tun_id=0x77,tun_metadata0={:#x}/0x7fff0000,actions=LOCAL",
                expected << 16
            ));
        }
        assert!(pair.near.reaches("192.168.7.2"), "{far_programs:?} at the far end");
        // Another value is not taken.
        near.ofctl("del-flows int tun_id=0x77");
        assert!(!pair.near.is_answered("192.168.7.2"));
        let dump = near.ofctl("dump-flows int");
        assert!(dump.contains("NXM_NX_TUN_METADATA0[16..30]"), "{dump}");
        // What rules use stays.
        let refused = near.ctl("ovs-ofctl", "del-tlv-map int");
        assert!(refused.err.contains("NXTTMFC_INVALID_TLV_DEL"), "{refused:?}");
        near.ofctl("del-flows int");
        near.ofctl("del-tlv-map int");
        assert!(!near.ofctl("dump-tlv-map int").contains("0x102"));
    }
}

#[test]
fn sessions_of_bfd_watch_over_tunnels() {
    if !can_run() {
        return;
    }
    // As OVN has it: the key is for rules to say, and the session's own frames have none.
    let flow = |remote: &str| {
        let watched = "bfd:enable=true bfd:check_tnl_key=true bfd:min_rx=100 bfd:min_tx=100";
        format!("type=geneve options:key=flow options:remote_ip={remote} {watched}")
    };
    let pair = Pair::new();
    let near = pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &flow("10.0.0.2"));
    let far = pair.switch(&pair.far, Programs::Reference, "10.0.0.2/24", "192.168.7.2", &flow("10.0.0.1"));
    for switch in [&near, &far] {
        until("the session is up", || {
            switch.vsctl("--if-exists get interface tun0 bfd_status:state").trim() == "up"
        });
    }
    far.vsctl("set interface tun0 bfd:enable=false");
    until("the silence is noticed", || {
        near.vsctl("get interface tun0 bfd_status:forwarding").trim() == "\"false\""
    });
}

#[test]
fn the_status_follows_the_way_to_the_other_end() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let options = options("vxlan", "10.0.0.2");
    let near = pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &options);
    let far = pair.switch(&pair.far, Programs::Reference, "10.0.0.2/24", "192.168.7.2", &options);
    let is_shown = |switch: &Switch, expected: &str| {
        until(&format!("the status is {expected}"), || {
            switch.vsctl("get interface tun0 status").trim() == expected
        });
    };
    for (host, switch) in [(&pair.near, &near), (&pair.far, &far)] {
        is_shown(switch, "{tunnel_egress_iface=br0, tunnel_egress_iface_carrier=up}");
        host.ok("ip addr flush dev br0");
        is_shown(switch, "{}");
    }
    pair.near.address("br0", "10.0.0.1/24");
    is_shown(&near, "{tunnel_egress_iface=br0, tunnel_egress_iface_carrier=up}");
    near.vsctl("set interface tun0 options:remote_ip=flow");
    is_shown(&near, "{}");
}

#[test]
fn malformed_headers_are_dropped_and_counted() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    pair.far.address("eth0", "10.0.0.2/24");
    let tunnel = options("vxlan", "10.0.0.2");
    let near = pair.switch(&pair.near, Programs::Ours, "10.0.0.1/24", "192.168.7.1", &tunnel);
    assert!(pair.far.reaches("10.0.0.1"));
    let dropped = || {
        let shown = near.appctl("coverage/read-counter datapath_drop_tunnel_pop_error");
        shown.trim().parse::<u64>().unwrap_or(0)
    };
    // Too short, and without the flag that says that there is a number.
    for payload in ["x", "0123456789abcdefghijklmnopqrstuvwxyz"] {
        let before = dropped();
        run(pair.far.command("python3").args(["-c", SEND, payload])).ok();
        assert!(holds_within(LIMIT, || dropped() > before), "{payload} was not counted");
    }
}

#[test]
fn the_page_about_packet_types_is_true() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("s");
    let switch = Switch::start(&world, &host, "sw", Programs::Ours);
    super::pages::type_all("packet-types.md", &host, &switch);
}

#[test]
fn the_page_about_tunnels_is_true() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    pair.far.address("eth0", "192.0.2.2/24");
    pair.far.ok("ip link add tun0 type vxlan id 77 remote 192.0.2.1 dstport 4789 dev eth0");
    pair.far.ok("ip link set tun0 mtu 1450 up");
    pair.far.address("tun0", "10.7.0.2/24");
    let switch = Switch::start(&pair.world, &pair.near, "sw", Programs::Ours);
    super::pages::type_all("tunnels.md", &pair.near, &switch);
}
