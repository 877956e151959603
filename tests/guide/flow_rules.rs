//! Section 3: flow rules.

use end_to_end::{can_run, until};

use crate::Pair;

#[test]
fn a_port_falls_silent_and_comes_back() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let switch = &pair.switch;
    assert!(pair.a.reaches("10.1.0.2"));
    switch.ofctl("add-flow ovsbr0 idle_timeout=0,in_port=2,actions=drop");
    assert!(!pair.a.is_answered("10.1.0.2"));
    let rules = switch.ofctl("dump-flows ovsbr0");
    assert!(rules.contains("in_port=") && rules.contains("actions=drop"), "{rules}");
    switch.ofctl("del-flows ovsbr0 in_port=2");
    assert!(pair.a.reaches("10.1.0.2"));
}

#[test]
fn wildcards_of_old_scripts_are_understood() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let added = pair.switch.ctl("ovs-ofctl", "add-flow ovsbr0 dl_type=*,nw_src=ANY,action=drop");
    assert_eq!(added.status, 0, "{added:?}");
    assert!(!pair.a.is_answered("10.1.0.2"));
}

#[test]
fn a_field_without_its_prerequisite_is_told_and_costs_nothing_else() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let switch = &pair.switch;
    switch.ofctl("add-flow ovsbr0 priority=7,arp,actions=normal");
    for command in ["add-flow", "mod-flows"] {
        let told = switch.ctl("ovs-ofctl", &format!("{command} ovsbr0 priority=3,tp_dst=80,actions=drop"));
        assert_eq!(told.status, 1, "{told:?}");
        assert!(told.err.ends_with(" and nw_proto: use \"tcp,priority=3,tp_dst=80\"\n"), "{told:?}");
    }
    // Deleting by such a match would delete every rule.
    assert_eq!(switch.ctl("ovs-ofctl", "del-flows ovsbr0 tp_dst=80").status, 1);
    let rules = switch.ofctl("dump-flows ovsbr0");
    assert!(rules.contains("priority=7,arp") && !rules.contains("priority=3"), "{rules}");
    // Who reads the log with a program has the rule without the field, and the note, as from the reference.
    let add = "-vPATTERN:ANY:%c|%p|%m add-flow ovsbr0 priority=3,tp_dst=80,actions=normal";
    let told = switch.ctl("ovs-ofctl", add);
    assert!(
        told.err.contains("normalization changed ofp_match") && told.err.contains("pre: tp_dst=80"),
        "{told:?}"
    );
    let rules = switch.ofctl("dump-flows ovsbr0");
    assert!(rules.contains("priority=3 actions=NORMAL"), "{rules}");
    let refused = switch.ctl("ovs-ofctl", "add-flow ovsbr0 ip,nw_src=ten,actions=normal");
    assert_eq!((refused.status, refused.err.as_str()), (1, "ovs-ofctl: ten: invalid IP address\n"));
    assert_eq!(switch.ofctl("dump-flows ovsbr0").lines().count(), rules.lines().count());
}

#[test]
fn an_idle_rule_expires() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let switch = &pair.switch;
    switch.ofctl("add-flow ovsbr0 idle_timeout=1,priority=9,udp,actions=drop");
    until("the rule is gone", || !switch.ofctl("dump-flows ovsbr0").contains("udp"));
}

#[test]
fn actions_run_in_the_order_given() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let switch = &pair.switch;
    switch.ofctl("add-flow ovsbr0 priority=5,ip,in_port=1,actions=mod_dl_dst:02:00:00:00:00:09,output:2");
    let trace = switch.appctl("ofproto/trace ovsbr0 in_port=1,ip");
    assert!(trace.ends_with("Datapath actions: set(eth(dst=02:00:00:00:00:09)),3\n"), "{trace}");
}

#[test]
fn counters_tell_what_passed() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let switch = &pair.switch;
    switch.ofctl("add-flow ovsbr0 priority=5,icmp,actions=normal");
    assert!(pair.a.reaches("10.1.0.2"));
    pair.a.ok("ping -c 5 -i 0.05 10.1.0.2");
    let rules = switch.ofctl("dump-flows ovsbr0 icmp");
    let packets: u64 = rules
        .split("n_packets=")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    assert!(packets >= 12, "six pings and their answers: {rules}");
    let ports = switch.ofctl("dump-ports ovsbr0");
    assert!(ports.contains("3 ports"), "{ports}");
    let shown = switch.ofctl("show ovsbr0");
    assert!(shown.contains(" 1(pa): addr:") && shown.contains(" LOCAL(ovsbr0): addr:"), "{shown}");
}
