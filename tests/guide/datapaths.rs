//! Several datapaths at once: each with bridges, ports, flows and commands of its own.

use end_to_end::{Programs, Switch, World, can_run, until};

use crate::dummies::PACKET;

/// Two bridges on datapaths of different kinds. Each sends from its first port to its second; their datapaths number
/// these alike.
struct Two {
    switch: Switch,
    _world: World,
}

impl Two {
    fn new() -> Two {
        let world = World::new();
        let host = world.host("sw");
        let switch = Switch::start_with(&world, &host, "sw", Programs::Ours, &["--enable-dummy=override"]);
        for (bridge, port, kind) in [("br0", "a", "dummy"), ("br1", "b", "netdev")] {
            switch.vsctl(&format!(
                "add-br {bridge} -- set bridge {bridge} datapath-type={kind} fail-mode=secure \
                 -- add-port {bridge} {port}1 -- set interface {port}1 type=dummy ofport_request=1 \
                 -- add-port {bridge} {port}2 -- set interface {port}2 type=dummy ofport_request=2"
            ));
            switch.ofctl(&format!("add-flow {bridge} in_port=1,actions=output:2"));
        }
        switch.appctl("time/stop");
        Two { switch, _world: world }
    }

    fn receive(&self, port: &str) {
        let packet = PACKET.replace(' ', "");
        self.switch.appctl(&format!("netdev-dummy/receive {port} {packet}"));
    }

    fn flows_of(&self, datapath: &str) -> usize {
        self.switch.appctl(&format!("dpctl/dump-flows {datapath}")).matches("packets:").count()
    }

    /// The datapath's number of an interface.
    fn number(&self, interface: &str) -> String {
        let shown = self.switch.appctl("dpif/show");
        let line = shown.lines().find(|line| line.trim_start().starts_with(&format!("{interface} ")));
        let line = line.unwrap_or_else(|| panic!("{interface}: {shown}"));
        line.split(['/', ':']).nth(1).expect("a number").to_owned()
    }
}

#[test]
fn bridges_of_different_kinds_forward_on_datapaths_of_their_own() {
    if !can_run() {
        return;
    }
    let two = Two::new();
    let switch = &two.switch;
    assert_eq!(switch.appctl("dpctl/dump-dps"), "dummy@ovs-dummy\nnetdev@ovs-netdev\n");
    assert_eq!(two.number("a1"), two.number("b1"), "numbers are each datapath's own");

    two.receive("a1");
    assert_eq!((two.flows_of("dummy@ovs-dummy"), two.flows_of("netdev@ovs-netdev")), (1, 0));
    two.receive("b1");
    two.receive("b1");
    assert_eq!((two.flows_of("dummy@ovs-dummy"), two.flows_of("netdev@ovs-netdev")), (1, 1));
    let counted = |bridge: &str| switch.ofctl(&format!("dump-aggregate {bridge}"));
    assert!(counted("br0").contains("packet_count=1 "), "{}", counted("br0"));
    assert!(counted("br1").contains("packet_count=2 "), "{}", counted("br1"));

    let both = switch.ctl("ovs-appctl", "dpctl/dump-flows");
    assert!(both.err.contains("multiple datapaths, specify one"), "{both:?}");
    let shown = switch.appctl("dpctl/show dummy@ovs-dummy");
    assert!(shown.contains(": a1 ") && !shown.contains("b1"), "{shown}");
    switch.appctl("dpctl/del-flows netdev@ovs-netdev");
    assert_eq!((two.flows_of("dummy@ovs-dummy"), two.flows_of("netdev@ovs-netdev")), (1, 0));
}

#[test]
fn commands_know_which_datapath_a_bridge_is_on() {
    if !can_run() {
        return;
    }
    let two = Two::new();
    let switch = &two.switch;
    two.receive("b1");
    assert_eq!(switch.appctl("dpif/dump-flows br0"), "");
    assert!(switch.appctl("dpif/dump-flows br1").contains("packets:0"));
    let shown = switch.appctl("dpif/show");
    let (of_dummy, of_netdev) = shown.split_once("netdev@ovs-netdev: ").expect("both");
    assert!(of_dummy.starts_with("dummy@ovs-dummy: hit:0 missed:0\n  br0:\n"), "{shown}");
    assert!(of_netdev.starts_with("hit:0 missed:1\n  br1:\n"), "{shown}");
    let upcalls = switch.appctl("upcall/show");
    assert!(upcalls.contains("dummy@ovs-dummy:\n") && upcalls.contains("netdev@ovs-netdev:\n"), "{upcalls}");

    let number = two.number("b1");
    let flow = format!("in_port({number}),eth(),eth_type(0x1234)");
    let trace = switch.appctl(&format!("ofproto/trace netdev@ovs-netdev {flow}"));
    assert!(trace.contains("bridge(\"br1\")"), "{trace}");
    let trace = switch.appctl(&format!("ofproto/trace dummy@ovs-dummy {flow}"));
    assert!(trace.contains("bridge(\"br0\")"), "{trace}");
    let unnamed = switch.ctl("ovs-appctl", &format!("ofproto/trace {flow}"));
    assert!(unnamed.err.contains("Cannot find the datapath"), "{unnamed:?}");

    switch.ofctl("packet-out br1 in_port=1,packet=505400000002505400000001123400000000,actions=output:2");
    let sent = |port: &str| switch.vsctl(&format!("get interface {port} statistics:tx_packets"));
    switch.appctl("time/warp 6000 1000");
    until("the packet is counted", || sent("b2").trim() == "2");
    assert_eq!(sent("a2").trim(), "0");
}

#[test]
fn a_patch_needs_a_peer_on_the_same_datapath() {
    if !can_run() {
        return;
    }
    let two = Two::new();
    let switch = &two.switch;
    switch.vsctl(
        "add-port br0 to -- set interface to type=patch options:peer=from \
         -- add-port br1 from -- set interface from type=patch options:peer=to",
    );
    let error = |port: &str| switch.vsctl(&format!("get interface {port} error"));
    assert_eq!(error("to").trim(), "\"No usable peer 'from' exists in 'dummy' datapath.\"");
    assert_eq!(error("from").trim(), "\"No usable peer 'to' exists in 'netdev' datapath.\"");
    switch.vsctl("set bridge br1 datapath_type=dummy");
    until("they find each other", || error("to").trim() == "[]" && error("from").trim() == "[]");
    assert_eq!(switch.appctl("dpctl/dump-dps"), "dummy@ovs-dummy\n");
}

/// How many threads of the daemon keep the flows of a datapath.
fn revalidators(switch: &Switch) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", switch.pid())).unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "revalidator").count()
}

#[test]
fn a_datapath_goes_with_its_last_bridge() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let [host, a, b] = ["sw", "a", "b"].map(|name| world.host(name));
    world.wire(&a, "eth0", &host, "p1");
    world.wire(&b, "eth0", &host, "p2");
    a.address("eth0", "10.0.0.1/24");
    b.address("eth0", "10.0.0.2/24");
    let switch = Switch::start(&world, &host, "sw", Programs::Ours);
    for _ in 0..2 {
        switch.vsctl(
            "add-br br0 -- set bridge br0 datapath_type=netdev -- add-br br1 -- set bridge br1 datapath_type=netdev \
             -- add-port br0 p1 -- add-port br0 p2",
        );
        assert!(a.reaches("10.0.0.2"));
        switch.vsctl("del-br br1");
        assert_eq!(
            (revalidators(&switch), switch.appctl("dpctl/dump-dps").as_str()),
            (1, "netdev@ovs-netdev\n")
        );
        switch.vsctl("del-br br0");
        until("the datapath is closed", || revalidators(&switch) == 0);
        assert_eq!(switch.appctl("dpctl/dump-dps"), "");
    }
}

#[test]
fn what_a_datapath_can_do_is_listed_as_by_the_reference() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let shown = [Programs::Ours, Programs::Reference].map(|programs| {
        let name = if programs == Programs::Ours { "ours" } else { "theirs" };
        let switch = Switch::start(&world, &world.host(name), name, programs);
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        let refused = switch.ctl("ovs-appctl", "dpif/show-dp-features br9");
        assert_eq!((refused.status, refused.err.lines().next()), (2, Some("no such bridge")));
        switch.appctl("dpif/show-dp-features br0")
    });
    let [ours, theirs] = &shown;
    let names = |text: &str| {
        let names = text.lines().filter_map(|line| line.split(": ").next()).map(str::to_owned);
        names.filter(|name| name != "psample action").collect::<Vec<_>>()
    };
    assert_eq!(names(ours), names(theirs), "psample is newer than the reference here");
    for line in ["Optimized Balance TCP mode: Yes", "Max dp_hash algorithm: 1", "Sample nesting: 10"] {
        assert!(ours.contains(line) && theirs.contains(line), "{line}: {ours}");
    }
}
