//! Settings that nothing is done about yet: each says so, and none is dangerous.

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
    for (row, settings, place) in [
        ("Interface p", "ingress_policing_rate=1000", "error"),
        ("Interface p", "bfd:oam=true", "error"),
        ("Interface p", "lldp:enable=true", "error"),
        ("Bridge br0", "stp_enable=true", "status"),
        ("Bridge br0", "rstp_enable=true", "status"),
        ("Bridge br0", "mcast_snooping_enable=true", "status"),
        ("Bridge br0", "other_config:stp-priority=1", "status"),
        ("Port p", "other_config:stp-path-cost=7", "status"),
    ] {
        switch.vsctl(&format!("set {row} {settings}"));
        let setting = settings.split('=').next().unwrap_or_default();
        let shown = get(&switch, &format!("{row} {place}"));
        assert!(shown.contains(setting), "{row} {setting}: {shown}");
        switch.vsctl("set bridge br0 other_config:mac-aging-time=100");
        let line = format!("WARN|{row}: {setting} is not supported yet and has no effect");
        assert_eq!(log_of(&switch).matches(&line).count(), 1, "{line}");
    }
    switch.vsctl("-- --id=@q create qos type=linux-htb -- set port p qos=@q");
    switch.vsctl("-- --id=@n create netflow targets=\"127.0.0.1:2055\" -- set bridge br0 netflow=@n");
    switch.vsctl("-- --id=@i create ipfix targets=\"127.0.0.1:4739\" -- set bridge br0 ipfix=@i");
    switch.vsctl("set Open_vSwitch . other_config:hw-offload=true other_config:n-handler-threads=2");
    for line in [
        "WARN|Port p: qos is not supported yet",
        "WARN|Bridge br0: netflow is not supported yet",
        "WARN|Bridge br0: ipfix is not supported yet",
        "WARN|Open_vSwitch .: other_config:hw-offload is not supported yet",
        "INFO|Open_vSwitch .: other_config:n-handler-threads has no effect on this switch",
    ] {
        assert_eq!(log_of(&switch).matches(line).count(), 1, "{line}");
    }
    assert!(switch.vsctl("show").contains("error:"));
    switch.vsctl("clear interface p bfd lldp -- set interface p ingress_policing_rate=0");
    assert_eq!(get(&switch, "interface p error"), "[]");
    switch.vsctl(
        "clear port p other_config qos -- clear bridge br0 netflow ipfix other_config \
         -- set bridge br0 stp_enable=false rstp_enable=false mcast_snooping_enable=false",
    );
    assert_eq!(
        (get(&switch, "port p status"), get(&switch, "bridge br0 status")),
        ("{}".into(), "{}".into())
    );
}

/// Two bridges, each with a host behind it, that are joined twice. Returns the switches and the hosts.
fn joined_twice(world: &World, is_patch: bool) -> (Vec<Switch>, [end_to_end::Host; 2]) {
    let (a, b) = (world.host("a"), world.host("b"));
    let one = world.host("one");
    let two = if is_patch { one.clone() } else { world.host("two") };
    world.wire(&a, "eth0", &one, "ha");
    world.wire(&b, "eth0", &two, "hb");
    a.address("eth0", "10.0.0.1/24");
    b.address("eth0", "10.0.0.2/24");
    let mut switches = vec![Switch::start(world, &one, "sw1", Programs::Ours)];
    if is_patch {
        switches[0].vsctl(
            "add-br br1 -- set bridge br1 stp_enable=true -- add-br br2 -- set bridge br2 stp_enable=true \
             -- add-port br1 ha -- add-port br2 hb",
        );
        for link in ["x", "y"] {
            switches[0].vsctl(&format!(
                "add-port br1 {link}1 -- set interface {link}1 type=patch options:peer={link}2 \
                 -- add-port br2 {link}2 -- set interface {link}2 type=patch options:peer={link}1"
            ));
        }
    } else {
        switches.push(Switch::start(world, &two, "sw2", Programs::Ours));
        world.wire(&one, "x1", &two, "x2");
        world.wire(&one, "y1", &two, "y2");
        switches[0].vsctl("add-br br1 -- set bridge br1 stp_enable=true -- add-port br1 ha -- add-port br1 x1 -- add-port br1 y1");
        switches[1].vsctl("add-br br2 -- set bridge br2 rstp_enable=true -- add-port br2 hb -- add-port br2 x2 -- add-port br2 y2");
    }
    (switches, [a, b])
}

/// Frames that a device has received.
fn received(host: &end_to_end::Host, device: &str) -> u64 {
    let path = format!("/sys/class/net/{device}/statistics/rx_packets");
    host.ok(&format!("cat {path}")).trim().parse().expect("a counter")
}

#[test]
fn parallel_links_of_bridges_that_ask_for_spanning_tree_do_not_storm() {
    if !can_run() {
        return;
    }
    for is_patch in [true, false] {
        let world = World::new();
        let (_switches, [a, b]) = joined_twice(&world, is_patch);
        assert!(a.reaches("10.0.0.2", 20), "patch: {is_patch}");
        assert!(b.reaches("10.0.0.1", 20), "patch: {is_patch}");
        let before = (received(&a, "eth0"), received(&b, "eth0"));
        // Broadcasts of both, and an address that nobody has.
        for _ in 0..5 {
            a.run("ping -c 1 -W 1 10.0.0.77");
            b.run("ping -c 1 -W 1 10.0.0.78");
        }
        assert!(a.reaches("10.0.0.2", 5));
        let after = (received(&a, "eth0"), received(&b, "eth0"));
        let news = (after.0 - before.0, after.1 - before.1);
        assert!(news.0 < 100 && news.1 < 100, "patch: {is_patch}: {news:?} frames");
    }
}

#[test]
fn a_second_way_is_taken_when_the_first_one_is_gone() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (switches, [a, b]) = joined_twice(&world, false);
    assert!(a.reaches("10.0.0.2", 20));
    for (down, up) in [("x1", "y1"), ("y1", "x1")] {
        switches[0].host.ok(&format!("ip link set {up} up"));
        switches[0].host.ok(&format!("ip link set {down} down"));
        assert!(a.reaches("10.0.0.2", 40) && b.reaches("10.0.0.1", 40), "without {down}");
    }
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
    assert!(absent > 20, "features that are missing say so: {absent}");
    for (name, feature) in
        [("stp/show", "STP"), ("qos/show", "QoS"), ("dpctl/dump-conntrack", "connection tracking")]
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
