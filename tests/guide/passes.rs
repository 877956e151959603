//! What a change of the configuration costs: passes over it, and how much of the switch each touches.

use end_to_end::{Programs, Switch, World, can_run, until};

const PORTS: u64 = 40;

/// Counters of `ovs-appctl coverage/show`.
#[derive(Debug)]
struct Counts {
    passes: u64,
    /// Rows of the database that were read because they had changed.
    read: u64,
    /// Ports that were brought into force.
    settled: u64,
    /// Rows of which it was looked whether they say what is.
    reported: u64,
    /// Changes after which packets may be forwarded otherwise.
    changes: u64,
}

impl Counts {
    fn of(switch: &Switch) -> Counts {
        let read = |name: &str| {
            let shown = switch.appctl(&format!("coverage/read-counter {name}"));
            shown.trim().parse().unwrap_or_else(|e| panic!("{name}: {shown}: {e}"))
        };
        Counts {
            passes: read("bridge_reconfigure"),
            read: read("bridge_row_read"),
            settled: read("bridge_port_settled"),
            reported: read("bridge_row_reported"),
            changes: read("ofproto_change"),
        }
    }

    /// What a command costs.
    fn spent(switch: &Switch, command: &str) -> Counts {
        let before = Counts::of(switch);
        switch.vsctl(command);
        let after = Counts::of(switch);
        Counts {
            passes: after.passes - before.passes,
            read: after.read - before.read,
            settled: after.settled - before.settled,
            reported: after.reported - before.reported,
            changes: after.changes - before.changes,
        }
    }
}

#[test]
fn a_change_costs_what_it_changes() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("s");
    let switch = Switch::start(&world, &host, "sw", Programs::Ours);
    let ports = (1..=PORTS).map(|n| format!(" -- add-port br0 p{n} -- set interface p{n} type=internal"));
    // Counters that are written meanwhile would make rows change.
    switch.vsctl(&format!(
        "set open_vswitch . other_config:stats-update-interval=3600000 -- add-br br0{}",
        ports.collect::<String>()
    ));
    // What was written of the new ports is taken note of.
    switch.vsctl("set port p1 tag=1");

    let spent = Counts::spent(&switch, "set port p2 tag=7");
    assert!(spent.passes == 1 && spent.settled == 1, "{spent:?}");
    assert!((1..10).contains(&spent.read) && spent.reported < 10, "{spent:?}");
    assert!((1..10).contains(&spent.changes), "{spent:?}");

    let spent = Counts::spent(&switch, "add-port br0 one-more -- set interface one-more type=internal");
    assert!(spent.passes <= 3 && spent.settled <= 4 && spent.read < 20, "{spent:?}");

    let spent = Counts::spent(&switch, "del-port p3");
    assert!(spent.passes <= 2 && spent.settled <= 2 && spent.read < 20, "{spent:?}");

    // A setting that concerns no bridge makes a pass, and moves nothing.
    let spent = Counts::spent(&switch, "set open_vswitch . other_config:bundle-idle-timeout=11");
    assert!(spent.passes == 1 && spent.settled == 0 && spent.changes == 0, "{spent:?}");

    // Notes of others are no configuration.
    let spent = Counts::spent(&switch, "set bridge br0 external_ids:owner=me");
    assert!(spent.passes == 0 && spent.changes == 0, "{spent:?}");
}

#[test]
fn whoever_waits_after_making_a_device_finds_its_port() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("s");
    let switch = Switch::start(&world, &host, "sw", Programs::Ours);
    switch.vsctl("--no-wait -- add-br br0 -- add-port br0 late");
    let number = || switch.vsctl("get interface late ofport").trim().to_owned();
    for time in 0..8 {
        until("the port has no device", || number() == "-1");
        host.ok("ip link add late type veth peer name late1");
        // Nothing of this concerns the switch, but it is awaited.
        switch.vsctl(&format!("set bridge br0 external_ids:time={time}"));
        assert_eq!(number(), "1", "time {time}");
        host.ok("ip link del late");
    }
}
