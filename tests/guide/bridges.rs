//! Section 2: bridges and ports.

use end_to_end::{Host, Programs, Switch, World, can_run, until};

use crate::Pair;

fn alone(world: &World) -> (Host, Switch) {
    let host = world.host("sw");
    let switch = Switch::start(world, &host, "sw", Programs::Ours);
    (host, switch)
}

#[test]
fn bridges_come_and_go() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, switch) = alone(&world);
    assert_eq!(switch.ctl("ovs-vsctl", "br-exists br0").status, 2);
    switch.vsctl("add-br br0");
    assert_eq!(switch.vsctl("list-br"), "br0\n");
    assert_eq!(switch.ctl("ovs-vsctl", "br-exists br0").status, 0);
    assert_eq!(host.run("ip link show br0").status, 0, "the bridge's own port is a device");
    switch.vsctl("set bridge br0 datapath_type=netdev");
    assert_eq!(host.run("ip link show br0").status, 0, "also after a change of the datapath type");
    switch.vsctl("del-br br0");
    assert_eq!(switch.vsctl("list-br"), "");
    assert_ne!(host.run("ip link show br0").status, 0);
}

#[test]
fn a_bridge_made_anew_has_its_device_at_once() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, switch) = alone(&world);
    switch.vsctl("add-br br0");
    for kind in ["netdev", "system"].repeat(5) {
        switch.vsctl(&format!("set bridge br0 datapath_type={kind}"));
        assert_eq!(host.run("ip link show br0").status, 0, "the old one was closed before");
    }
}

#[test]
fn one_bridge_can_be_shown_alone() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (_, switch) = alone(&world);
    switch.vsctl("add-br br0 -- add-br br1");
    let shown = switch.vsctl("show br1");
    assert!(shown.contains("Bridge br1") && !shown.contains("br0"), "{shown}");
    assert_eq!(switch.ctl("ovs-vsctl", "show br9").status, 1);
}

#[test]
fn ports_come_and_go() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let switch = &pair.switch;
    assert_eq!(switch.vsctl("list-ports ovsbr0"), "pa\npb\n");
    assert_eq!(switch.vsctl("port-to-br pa"), "ovsbr0\n");
    assert!(pair.a.reaches("10.1.0.2"));
    switch.vsctl("del-port ovsbr0 pb");
    assert_eq!(switch.vsctl("list-ports ovsbr0"), "pa\n");
    assert!(!pair.a.is_answered("10.1.0.2"));
    switch.vsctl("add-port ovsbr0 pb");
    assert!(pair.a.reaches("10.1.0.2"));
}

#[test]
fn the_bridge_has_an_address_of_its_own() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    pair.switch.host.ok("ip addr add 10.1.19.230/16 dev ovsbr0");
    pair.switch.host.ok("ip link set ovsbr0 up");
    assert!(pair.a.reaches("10.1.19.230"));
    assert!(pair.switch.host.reaches("10.1.0.2"));
}

#[test]
fn a_missing_device_is_told_and_used_when_it_appears() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let refused = pair.switch.ctl("ovs-vsctl", "--timeout=20 add-port ovsbr0 late");
    assert!(refused.err.contains("could not open network device late (No such device)"), "{refused:?}");
    let shown = pair.switch.vsctl("show");
    assert!(shown.contains("error: \"could not open network device late (No such device)\""), "{shown}");
    pair.switch.host.ok("ip link add late type veth peer name late0");
    until("the port gets its number", || pair.switch.vsctl("get interface late ofport").trim() == "3");
    assert!(!pair.switch.vsctl("show").contains("error"));
}

#[test]
fn large_segments_and_partial_checksums_pass_untouched() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let mut server =
        pair.b.command("iperf3").args(["-s", "-1"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    until("TCP with the kernel's own offloads flows", || {
        let done = pair.a.run("iperf3 -c 10.1.0.2 -t 1 --connect-timeout 2000 -J");
        done.status == 0 && done.out.contains("bits_per_second")
    });
    server.wait().unwrap();
    let flows = pair.switch.appctl("dpctl/dump-flows");
    assert!(flows.contains("eth_type(0x0800)"), "{flows}");
}
