//! When a barrier is answered, the rules before it are in force for every packet that comes then.

use end_to_end::{Programs, Switch, World, can_run};

/// Packets that went the old way, of so many repetitions, among so many installed flows.
fn stale(repetitions: usize, flows: usize) -> String {
    let world = World::new();
    let (guests, middle) = (world.host("guests"), world.host("sw"));
    let switch = Switch::start(&world, &middle, "sw", Programs::Ours);
    switch.vsctl("add-br ovsbr0 -- set bridge ovsbr0 fail_mode=secure");
    for number in 1..=3 {
        world.wire(&middle, &format!("p{number}"), &guests, &format!("e{number}"));
        switch
            .vsctl(&format!("add-port ovsbr0 p{number} -- set interface p{number} ofport_request={number}"));
    }
    switch.ofctl("add-flow ovsbr0 actions=drop");
    if flows > 1 {
        // Each source address makes a flow of its own, which is there until the end, however long that takes, and however
        // long it takes to look all of them through.
        switch.vsctl("set open_vswitch . other_config:max-idle=3600000 other_config:flow-limit=100000000");
        switch.appctl("upcall/disable-megaflows");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/guide/barriers.py");
    let socket = switch.dir.join("ovsbr0.mgmt");
    let mut command = guests.command("python3");
    command.arg(script).arg(socket).arg(repetitions.to_string()).arg(flows.to_string());
    let said = end_to_end::run(&mut command).ok();
    let installed = switch.appctl("upcall/show");
    let current =
        installed.split("(current ").nth(1).and_then(|rest| rest.split(')').next()?.parse::<usize>().ok());
    assert!(current.is_some_and(|current| current >= flows), "{installed}");
    said
}

#[test]
fn no_packet_after_a_barrier_goes_by_rules_that_are_gone() {
    if can_run() {
        assert_eq!(stale(3000, 1), "0\n");
    }
}

#[test]
fn no_packet_after_a_barrier_goes_by_rules_that_are_gone_whatever_is_installed() {
    if can_run() {
        assert_eq!(stale(300, 20_000), "0\n");
    }
}
