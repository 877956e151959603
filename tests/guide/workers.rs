//! The threads that forward: which there are, which queues each has, and what it has done.

use end_to_end::{Programs, Switch, World, can_run, until};

use crate::dummies::PACKET;

/// A switch with a port of four queues; its processors, which there are not, are next to these nodes.
fn switch(world: &World, nodes: &str) -> Switch {
    let host = world.host("sw");
    let nodes = format!("--dummy-numa={nodes}");
    let options = ["--enable-dummy=override", &nodes];
    let switch = Switch::start_with(world, &host, "sw", Programs::Ours, &options);
    switch.vsctl(
        "add-br br0 -- set bridge br0 datapath-type=dummy fail-mode=secure \
         -- add-port br0 p1 -- set interface p1 type=dummy-pmd options:n_rxq=4 ofport_request=1 \
         -- add-port br0 p2 -- set interface p2 type=dummy-pmd options:numa_id=1 ofport_request=2",
    );
    switch
}

/// The processor of each queue.
fn places(switch: &Switch) -> Vec<String> {
    let text = switch.appctl("dpif-netdev/pmd-rxq-show");
    let mut places = Vec::new();
    let mut core = "";
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["pmd", "thread", "numa_id", _, "core_id", number] => core = number.trim_end_matches(':'),
            ["port:", port, "queue-id:", queue, ..] => places.push(format!("{port}.{queue}@{core}")),
            _ => {}
        }
    }
    places.sort();
    places
}

#[test]
fn queues_are_shared_among_workers_of_their_node_and_pinned() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let switch = switch(&world, "0,0,1");
    assert_eq!(places(&switch), ["p1.0@0", "p1.1@0", "p1.2@0", "p1.3@0", "p2.0@2"]);
    switch.vsctl("set Open_vSwitch . other_config:pmd-cpu-mask=0x3 other_config:pmd-rxq-assign=roundrobin");
    assert_eq!(places(&switch), ["p1.0@0", "p1.1@1", "p1.2@0", "p1.3@1", "p2.0@0"]);
    switch.vsctl("set Open_vSwitch . other_config:pmd-rxq-assign=cycles");
    assert_eq!(places(&switch), ["p1.0@0", "p1.1@1", "p1.2@1", "p1.3@0", "p2.0@0"]);
    switch.vsctl("set interface p1 other_config:pmd-rxq-affinity=2:1");
    assert_eq!(places(&switch), ["p1.0@0", "p1.1@0", "p1.2@1", "p1.3@0", "p2.0@0"]);
    let shown = switch.appctl("dpif-netdev/pmd-rxq-show -pmd 1 -secs 7");
    assert_eq!(
        shown,
        "Displaying last 10 seconds pmd usage %\npmd thread numa_id 0 core_id 1:\n  isolated : true\n  port: p1                \
         queue-id:  2 (enabled)   pmd usage: NOT AVAIL\n  overhead: NOT AVAIL\n"
    );
    switch.vsctl("remove interface p1 other_config pmd-rxq-affinity -- remove Open_vSwitch . other_config pmd-cpu-mask");
    assert_eq!(places(&switch), ["p1.0@0", "p1.1@0", "p1.2@0", "p1.3@0", "p2.0@2"]);
    assert_eq!(switch.appctl("dpif-netdev/pmd-rxq-rebalance"), "pmd rxq rebalance requested.\n");
    switch.vsctl("del-port p1 -- set Open_vSwitch . other_config:pmd-cpu-mask=4");
    assert_eq!(places(&switch), ["p2.0@2"]);
}

#[test]
fn each_worker_has_its_own_flows_and_counters() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let switch = switch(&world, "0,0,1");
    switch.ofctl("add-flow br0 in_port=1,actions=output:2");
    switch.vsctl("set Open_vSwitch . other_config:pmd-cpu-mask=3");
    let packet = PACKET.replace(' ', "");
    for queue in [0, 1, 1] {
        switch.appctl(&format!("netdev-dummy/receive p1 --qid {queue} {packet}"));
    }
    let refused = switch.ctl("ovs-appctl", &format!("netdev-dummy/receive p1 --qid 4 {packet}"));
    assert!(refused.err.contains("bad rx queue id."), "{refused:?}");
    let flows = switch.appctl("dpctl/dump-flows");
    let heads: Vec<&str> = flows.lines().filter(|line| line.starts_with("flow-dump")).collect();
    assert_eq!(heads, ["flow-dump from pmd on cpu core: 0", "flow-dump from pmd on cpu core: 1"]);
    let own = switch.appctl("dpctl/dump-flows pmd=1");
    assert!(own.lines().count() == 1 && own.contains("packets:1,"), "{own}");
    assert_eq!(switch.appctl("dpctl/dump-flows pmd=-1"), "");
    let shown = |core: u32| switch.appctl(&format!("dpif-netdev/pmd-perf-show -pmd {core}"));
    let line = |core, name: &str| {
        let text = shown(core);
        let found = text.lines().find_map(|line| line.trim().strip_prefix(name)?.split_whitespace().next());
        found.unwrap_or_default().to_owned()
    };
    assert_eq!([line(0, "Rx packets:"), line(1, "Rx packets:")], ["1", "2"]);
    assert_eq!([line(0, "- Upcalls:"), line(1, "- Upcalls:")], ["1", "1"]);
    assert_eq!(line(1, "Tx packets:"), "2");
    switch.appctl("dpif-netdev/pmd-stats-clear -pmd 1");
    assert_eq!([line(0, "Rx packets:"), line(1, "Rx packets:")], ["1", "0"]);
    // The rule has all of them.
    until("three packets are counted", || switch.ofctl("dump-flows br0").contains("n_packets=3,"));
}

#[test]
fn workers_sleep_as_long_as_they_may() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let switch = switch(&world, "0,1");
    let shown = || switch.appctl("dpif-netdev/pmd-sleep-show");
    let text = |default: u32, first: u32, second: u32| {
        format!(
            "Default max sleep: {default:4} us\npmd thread numa_id 0 core_id 0:\n  max sleep: {first:4} us\n\
             pmd thread numa_id 1 core_id 1:\n  max sleep: {second:4} us\n"
        )
    };
    assert_eq!(shown(), text(0, 0, 0));
    switch.vsctl("set Open_vSwitch . other_config:pmd-sleep-max=70,1:20000");
    assert_eq!(shown(), text(70, 70, 10_000));
    let refused = switch.ctl("ovs-appctl", "dpif-netdev/pmd-perf-log-set on");
    assert!(refused.err.contains("not supported"), "{refused:?}");
}

#[test]
fn balancing_says_in_the_log_what_it_is_set_to_and_why_it_does_nothing() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let switch = switch(&world, "0,0,1");
    let log = || std::fs::read_to_string(switch.dir.join("ovs-vswitchd.log")).unwrap_or_default();
    let known = std::cell::Cell::new(0);
    // Whether the log has lines with all these since the last call.
    let has = |texts: &[&str]| {
        let log = log();
        let found = texts.iter().all(|text| log[known.get()..].contains(text));
        if found {
            known.set(log.len());
        }
        found
    };
    assert!(has(&[
        "PMD auto load balance interval set to 1 mins",
        "PMD auto load balance improvement threshold set to 25%",
        "PMD auto load balance load threshold set to 95%",
        "PMD auto load balance is disabled.",
    ]));
    let set = |settings: &str| switch.vsctl(&format!("set Open_vSwitch . {settings}"));
    set("other_config:pmd-auto-lb=true other_config:pmd-auto-lb-load-threshold=0");
    assert!(has(&["PMD auto load balance load threshold set to 0%", "PMD auto load balance is enabled"]));
    switch.appctl("vlog/set dpif_netdev:dbg");
    switch.appctl("time/stop");
    let look = |line: &str| {
        known.set(log().len());
        switch.appctl("time/warp 70000 10000");
        until(line, || has(&[line]));
    };
    look("Numa node 1. Current variance 0 Estimated variance 0. Variance improvement 0%.");
    switch.vsctl("set interface p2 options:numa_id=7");
    look("PMD auto load balance detected cross-numa polling with multiple numa nodes.");
    set("other_config:pmd-cpu-mask=0x1");
    look("PMD auto load balance nothing to do, not enough non-isolated PMDs or RxQs.");
    look("PMD auto load balance nothing to do, no configuration changes since last check.");
    set("other_config:pmd-cpu-mask=0x3");
    look("PMD load variance improvement threshold 25% is not met.");
    set("other_config:pmd-rxq-assign=roundrobin");
    look("PMD auto load balance nothing to do, pmd-rxq-assign=roundrobin assignment type configured.");
}
