//! `ovs lint`: each kind of mistake is found, and the command beside it mends it.

use end_to_end::{Host, Output, Programs, Switch, World, can_run, run, until};

/// What is set up, what is found, and how the command that mends it begins.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "set Port p1 tag=5 trunks=6",
        "Port p1: trunks has no effect beside tag 5: the port carries VLAN 5 alone, without a tag",
        "ovs-vsctl clear Port p1 trunks",
    ),
    (
        "set Port p1 tag=5 vlan_mode=trunk",
        "Port p1: tag 5 has no effect: vlan_mode is trunk",
        "ovs-vsctl clear Port p1 tag",
    ),
    (
        "set Port p1 tag=5 vlan_mode=native-untagged",
        "Port p1: trunks is empty beside tag 5: with vlan_mode native-untagged the port carries all VLANs",
        "ovs-vsctl set Port p1 trunks=5",
    ),
    (
        "set Port p1 vlan_mode=access",
        "Port p1: vlan_mode is access, but there is no tag: VLAN 0 is taken",
        "ovs-vsctl clear Port p1 vlan_mode",
    ),
    (
        "set Port p1 cvlans=7",
        "Port p1: cvlans has no effect: vlan_mode is not dot1q-tunnel",
        "ovs-vsctl clear Port p1 cvlans",
    ),
    (
        "set Port t0 tag=9",
        "Port t0: tag 9 on a patch port: the bridge behind it sees packets of VLAN 9 alone, without a tag",
        "ovs-vsctl clear Port t0 tag",
    ),
    (
        "set Port p1 bond_mode=balance-slb",
        "Port p1: bond_mode has no effect: the port has one interface, so it is no bond",
        "ovs-vsctl clear Port p1 bond_mode",
    ),
    (
        "set Port p1 other_config:bond-primary=p1",
        "Port p1: other_config:bond-primary has no effect: the port has one interface, so it is no bond",
        "ovs-vsctl remove Port p1 other_config bond-primary",
    ),
    (
        "set Port bond0 bond_mode=balance-tcp",
        "Port bond0: bond_mode is balance-tcp without LACP: nothing is sent before the neighbour agrees by LACP",
        "ovs-vsctl set Port bond0 lacp=active",
    ),
    (
        "set Port bond0 other_config:bond-primary=p1",
        "Port bond0: other_config:bond-primary has no effect: p1 is not one of its interfaces",
        "ovs-vsctl remove Port bond0 other_config bond-primary",
    ),
    (
        "-- --id=@p get Port p1 -- --id=@q get Port p2 -- --id=@m create Mirror name=m select_src_port=@p,@q \
         output_port=@p -- set Bridge br0 mirrors=@m",
        "Mirror m: select_src_port has its output_port p1: a mirror does not mirror itself",
        "ovs-vsctl remove Mirror m select_src_port",
    ),
    (
        "-- --id=@p get Port p1 -- --id=@m create Mirror name=m output_port=@p -- set Bridge br0 mirrors=@m",
        "Mirror m: it selects no packet",
        "ovs-vsctl set Mirror m select_all=true",
    ),
    (
        "-- --id=@m create Mirror name=m select_all=true -- set Bridge br0 mirrors=@m",
        "Mirror m: there is neither an output_port nor an output_vlan: nothing is mirrored",
        "ovs-vsctl remove Bridge br0 mirrors",
    ),
    (
        "set-fail-mode br0 secure",
        "Bridge br0: fail_mode is secure, but there is no controller: only rules that somebody adds forward packets",
        "ovs-vsctl del-fail-mode br0",
    ),
    (
        "set Bridge br0 stp_enable=true rstp_enable=true",
        "Bridge br0: stp_enable and rstp_enable are both true: a bridge has one spanning tree",
        "ovs-vsctl set Bridge br0 stp_enable=false",
    ),
    (
        "set Port p1 other_config:stp-path-cost=7",
        "Port p1: other_config:stp-path-cost has no effect: stp_enable of bridge br0 is false",
        "ovs-vsctl remove Port p1 other_config stp-path-cost",
    ),
    (
        "set Interface p1 ofport_request=40 -- set Interface p2 ofport_request=40",
        "ofport_request 40 is also that of interface ",
        "ovs-vsctl clear Interface p",
    ),
    ("create Queue other_config:max-rate=1000000", "no QoS uses it", "ovs-vsctl destroy Queue "),
    (
        "set Interface p1 ingress_policing_burst=100",
        "Interface p1: ingress_policing_burst has no effect: ingress_policing_rate is 0",
        "ovs-vsctl set Interface p1 ingress_policing_burst=0",
    ),
    (
        "add-port br0 t2 -- set Interface t2 type=patch options:peer=nowhere",
        "Interface t2: options:peer is nowhere, which is no port",
        "ovs-vsctl del-port t2",
    ),
    (
        "set Interface t1 options:peer=t1",
        "Interface t0: options:peer is t1, but the peer of t1 is t1",
        "ovs-vsctl set Interface t1 options:peer=t0",
    ),
    (
        "set Bridge br0 other_config:mac-agin-time=60",
        "Bridge br0: other_config:mac-agin-time is unknown and has no effect; mac-aging-time may be meant",
        "ovs-vsctl remove Bridge br0 other_config mac-agin-time -- set Bridge br0 other_config:mac-aging-time=60",
    ),
    (
        "set Bridge br0 other_config:colour=blue",
        "Bridge br0: other_config:colour is unknown and has no effect",
        "ovs-vsctl remove Bridge br0 other_config colour",
    ),
    (
        "set Interface p1 options:xdp-mode=native",
        "Interface p1: options:xdp-mode has no effect on a port of type system",
        "ovs-vsctl remove Interface p1 options xdp-mode",
    ),
    (
        "set Interface p1 options:n_rxq_desc=1024",
        "Interface p1: options:n_rxq_desc is refused and has no effect: this switch does not use DPDK",
        "ovs-vsctl remove Interface p1 options n_rxq_desc",
    ),
];

fn lint(switch: &Switch) -> Output {
    run(switch.command("ovs").arg("lint"))
}

fn start(world: &World, host: &Host) -> Switch {
    let switch = Switch::start(world, host, "sw", Programs::Ours);
    switch.vsctl(
        "add-br br0 -- set bridge br0 datapath_type=netdev -- add-br br1 -- set bridge br1 datapath_type=netdev",
    );
    for name in ["p1", "p2", "m1", "m2"] {
        host.ok(&format!("ip link add {name} type veth peer name {name}x"));
    }
    switch.vsctl("add-port br0 p1 -- add-port br0 p2 -- add-bond br0 bond0 m1 m2");
    switch.vsctl(
        "add-port br0 t0 -- set Interface t0 type=patch options:peer=t1 \
         -- add-port br1 t1 -- set Interface t1 type=patch options:peer=t0",
    );
    switch
}

#[test]
fn each_mistake_is_found_and_mended() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("s");
    let switch = start(&world, &host);
    let sound = lint(&switch);
    assert_eq!((sound.status, sound.out.as_str()), (0, "Nothing found.\n"), "{sound:?}");
    for (setup, finding, mend) in MISTAKES {
        switch.vsctl(setup);
        let found = lint(&switch);
        assert_eq!(found.status, 1, "{setup}: {found:?}");
        assert!(found.out.lines().any(|line| line.contains(finding)), "{setup}: {finding}\n{}", found.out);
        let command = |out: &str| {
            let is_it = |line: &&str| line.trim_start().starts_with("ovs-vsctl ");
            out.lines().find(is_it).map(|line| line.trim_start().to_owned())
        };
        assert!(found.out.contains(&format!("    {mend}")), "{setup}: {mend}\n{}", found.out);
        // What is typed as it stands there leaves nothing to find, after a few findings at most.
        let mut left = found.out;
        for _ in 0..3 {
            let Some(line) = command(&left) else { break };
            switch.vsctl(line.strip_prefix("ovs-vsctl ").unwrap());
            left = lint(&switch).out;
        }
        assert_eq!(left, "Nothing found.\n", "{setup}");
        let clean = "clear Port p1 tag trunks vlan_mode other_config -- clear Bridge br0 other_config mirrors \
                     -- set Bridge br0 stp_enable=false rstp_enable=false -- clear Port bond0 bond_mode lacp";
        switch.vsctl(clean);
    }
}

#[test]
fn the_log_names_a_mistake_once() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("s");
    let switch = start(&world, &host);
    let log = || std::fs::read_to_string(switch.dir.join("ovs-vswitchd.log")).unwrap_or_default();
    switch.vsctl("set Port p1 tag=5 trunks=6");
    let line = "INFO|Port p1: trunks has no effect beside tag 5";
    until("the log names it", || log().contains(line));
    switch.vsctl("set Bridge br0 other_config:colour=blue");
    until("the log names the next one", || log().contains("other_config:colour is unknown"));
    assert_eq!(log().matches(line).count(), 1);
}

#[test]
fn the_page_on_lint_works_as_it_says() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("s");
    let switch = Switch::start(&world, &host, "sw", Programs::Ours);
    for name in ["server1", "server2"] {
        host.ok(&format!("ip link add {name} type veth peer name {name}x"));
    }
    switch.vsctl(
        "add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 server1 -- add-port br0 server2",
    );
    super::pages::type_all("lint.md", &host, &switch);
}
