//! Section 6: two NICs on the bridge, one to the outside, one to a hub with a
//! physical machine.

use std::process::{Child, Stdio};

use end_to_end::{Host, Programs, Switch, World, can_run, until};

/// The machine room.
///
/// ```text
///  outside ── eth0 ┐                     ┌ physical
///                  ├ ovsbr0 ── eth1 ── hub
///  vm1, vm2 ─ taps ┘                     └ neighbour
/// ```
struct Room {
    outside: Host,
    physical: Host,
    neighbour: Host,
    hub: Host,
    vms: [Host; 2],
    switch: Switch,
    world: World,
}

impl Room {
    fn new() -> Room {
        let world = World::new();
        let server = world.host("server");
        let outside = world.host("out");
        let hub = world.host("hub");
        world.wire(&server, "eth0", &outside, "eth0");
        world.wire(&server, "eth1", &hub, "uplink");
        let plugged = |name: &str, address: &str| {
            let machine = world.host(name);
            world.wire(&hub, name, &machine, "eth0");
            machine.address("eth0", address);
            machine
        };
        let physical = plugged("physical", "10.6.0.50/24");
        let neighbour = plugged("neighbour", "10.6.0.51/24");
        // A hub is a bridge that learns nothing: every frame goes everywhere.
        hub.ok("ip link add hub type bridge ageing_time 0");
        hub.ok("ip link set hub up");
        for port in ["uplink", "physical", "neighbour"] {
            hub.ok(&format!("ip link set {port} master hub"));
        }
        let vms = [1, 2].map(|number| {
            let vm = world.host(&format!("vm{number}"));
            world.wire(&server, &format!("tap{number}.0"), &vm, "eth0");
            vm.address("eth0", &format!("10.6.0.{number}/24"));
            vm
        });
        outside.address("eth0", "10.6.0.254/24");
        let switch = Switch::start(&world, &server, "server", Programs::Ours);
        switch.vsctl("add-br ovsbr0");
        for port in ["eth0", "eth1", "tap1.0", "tap2.0"] {
            switch.vsctl(&format!("add-port ovsbr0 {port}"));
        }
        Room { outside, physical, neighbour, hub, vms, switch, world }
    }

    /// A collector on the outside, its lines into a file.
    fn collect(&self) -> Collector {
        let file = self.world.dir.path().join("samples");
        let output = std::fs::File::create(&file).unwrap();
        let mut command = self.outside.command(Programs::Ours.path("sflowtool"));
        let child = command.args(["-4", "-p", "6343", "-l"]).stdout(Stdio::from(output)).spawn().unwrap();
        until("the collector listens", || self.outside.ok("ss -ulnH").contains(":6343 "));
        Collector { child, file }
    }
}

struct Collector {
    child: Child,
    file: std::path::PathBuf,
}

impl Collector {
    /// The samples of packets from `from` to `to`: the ports that they came in and went out by.
    fn samples(&self, from: &str, to: &str) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let mut ports = Vec::new();
        for line in text.lines() {
            let fields: Vec<&str> = line.split(',').collect();
            if let ["FLOW", _, input, output, _, _, "0x0800", _, _, source, target, ..] = fields.as_slice()
                && *source == from
                && *target == to
            {
                ports.push(((*input).to_owned(), (*output).to_owned()));
            }
        }
        ports
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_physical_machine_behind_a_hub_reaches_the_vms_and_the_outside() {
    if !can_run() {
        return;
    }
    let room = Room::new();
    for address in ["10.6.0.1", "10.6.0.2", "10.6.0.254"] {
        assert!(room.physical.reaches(address), "{address}");
    }
    for vm in &room.vms {
        assert!(vm.reaches("10.6.0.50") && vm.reaches("10.6.0.254"));
    }
    // What the machines behind the hub say to each other comes by, and is not sent back.
    assert!(room.physical.reaches("10.6.0.51"));
    let heard = |host: &Host, device: &str| -> u64 {
        host.ok(&format!("cat /sys/class/net/{device}/statistics/rx_packets")).trim().parse().unwrap()
    };
    let before = heard(&room.hub, "uplink");
    room.physical.ok("ping -q -f -c 200 10.6.0.51");
    assert!(heard(&room.hub, "uplink") - before < 20, "frames went back where they came from");
    // The machine moves from the hub to another port, and is found there.
    room.hub.ok("ip link set physical nomaster");
    room.world.wire(&room.switch.host, "eth2", &room.physical, "eth1");
    room.physical.ok("ip addr flush dev eth0");
    room.physical.ok("ip link set eth0 down");
    let mac = room.physical.ok("cat /sys/class/net/eth0/address");
    room.physical.ok(&format!("ip link set eth1 address {mac}"));
    room.physical.address("eth1", "10.6.0.50/24");
    room.switch.vsctl("add-port ovsbr0 eth2");
    assert!(room.physical.reaches("10.6.0.1") && room.neighbour.reaches("10.6.0.50"));
}

#[test]
fn sflow_sees_the_physical_machine() {
    if !can_run() {
        return;
    }
    let room = Room::new();
    let server = &room.switch.host;
    // The agent's own way to the collector is the bridge.
    server.address("ovsbr0", "10.6.0.200/24");
    server.ok("ip link set ovsbr0 up");
    let collector = room.collect();
    room.switch.vsctl(
        "-- --id=@sflow create sflow agent=ovsbr0 target=\"10.6.0.254:6343\" header=128 sampling=8 polling=1 \
         -- set bridge ovsbr0 sflow=@sflow",
    );
    room.physical.ok("ping -q -f -c 800 10.6.0.1");
    let index = |device: &str| server.ok(&format!("cat /sys/class/net/{device}/ifindex")).trim().to_owned();
    let (eth1, tap1) = (index("eth1"), index("tap1.0"));
    let seen = |from: &str, to: &str| collector.samples(from, to);
    until("both directions are sampled", || {
        seen("10.6.0.50", "10.6.0.1").len() > 50 && seen("10.6.0.1", "10.6.0.50").len() > 50
    });
    // Which way they went: between the NIC of the hub and the VM.
    assert!(seen("10.6.0.50", "10.6.0.1").contains(&(eth1.clone(), tap1.clone())));
    assert!(seen("10.6.0.1", "10.6.0.50").contains(&(tap1, eth1)));
    assert!(seen("10.6.0.51", "10.6.0.1").is_empty(), "who is silent is not seen");
}
