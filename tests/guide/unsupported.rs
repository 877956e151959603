//! Settings that nothing is done about: each says so, and none is dangerous.

use end_to_end::{Programs, Switch, World, can_run};

fn get(switch: &Switch, what: &str) -> String {
    switch.vsctl(&format!("get {what}")).trim().to_owned()
}

fn log_of(switch: &Switch) -> String {
    std::fs::read_to_string(switch.dir.join("ovs-vswitchd.log")).unwrap_or_default()
}

#[test]
fn a_setting_without_effect_says_so_in_its_row_and_once_in_the_log() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("s");
    let switch = Switch::start(&world, &host, "sw", Programs::Ours);
    switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 p -- set interface p type=internal");
    assert_eq!(get(&switch, "interface p error"), "[]");
    switch.vsctl("set Interface p options:n_rxq_desc=1024");
    let shown = get(&switch, "Interface p error");
    assert!(shown.contains("options:n_rxq_desc"), "{shown}");
    switch.vsctl("set bridge br0 other_config:mac-aging-time=100");
    let line = "WARN|Interface p: options:n_rxq_desc is refused and has no effect";
    assert_eq!(log_of(&switch).matches(line).count(), 1, "{line}");
    switch.vsctl("set Open_vSwitch . other_config:tc-policy=skip_sw other_config:n-handler-threads=2");
    for line in [
        "WARN|Open_vSwitch .: other_config:tc-policy is refused and has no effect: this switch hands no flows to network cards",
        "INFO|Open_vSwitch .: other_config:n-handler-threads has no effect on this switch",
    ] {
        assert_eq!(log_of(&switch).matches(line).count(), 1, "{line}");
    }
    assert!(switch.vsctl("show").contains("error:"));
    switch.vsctl("clear interface p options");
    assert_eq!(get(&switch, "interface p error"), "[]");
    switch.vsctl("clear bridge br0 other_config");
    assert_eq!(get(&switch, "bridge br0 status"), "{}");
}

#[test]
fn every_command_of_the_reference_is_known() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (ours, theirs) = (world.host("o"), world.host("t"));
    let ours = Switch::start(&world, &ours, "ours", Programs::Ours);
    let theirs = Switch::start(&world, &theirs, "theirs", Programs::Reference);
    let listed = theirs.appctl("list-commands");
    let names: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 100, "{listed}");
    let (mut absent, mut unknown) = (0, Vec::new());
    for name in names {
        // These two would end what is asked.
        if ["exit", "version"].contains(&name) {
            continue;
        }
        let answer = ours.ctl("ovs-appctl", name);
        if answer.err.contains("is not a valid command") {
            unknown.push(name);
        }
        absent += usize::from(answer.err.contains("not supported yet"));
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    let listed = ours.appctl("list-commands");
    assert!(!listed.contains("netdev-dummy/") && !listed.contains("time/"), "those of tests: {listed}");
    assert!(absent > 5, "features that are missing say so: {absent}");
    for (name, feature) in
        [("dpctl/offload-stats-show", "hardware offload"), ("stopwatch/show", "measuring with stopwatches")]
    {
        let answer = ours.ctl("ovs-appctl", name);
        assert_ne!(answer.status, 0);
        assert!(
            answer.err.contains(feature) && answer.err.contains("not supported yet"),
            "{name}: {}",
            answer.err
        );
    }
}
