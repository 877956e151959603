//! TCP between two switches through a tunnel.

use std::process::Stdio;

use end_to_end::{Host, Programs, Switch, World, until};

use crate::Wanted;
use crate::table::Table;

const KINDS: [&str; 2] = ["vxlan", "geneve"];
/// An MTU that leaves room for the headers of every kind.
const MTU: u32 = 1400;

/// Gbit/s of one TCP stream between two guests, each behind a switch of its own, which are joined by one wire.
pub(crate) fn measure(wanted: &Wanted, table: &mut Table) {
    for kind in KINDS {
        for offloads in [true, false] {
            let how = if offloads { "default offloads" } else { "guests without offloads" };
            for programs in [Programs::Ours, Programs::Reference] {
                let rate = throughput(kind, programs, offloads, wanted.seconds);
                table.add(&format!("TCP through {kind}, {how}, Gbit/s"), programs, rate);
            }
        }
    }
}

fn throughput(kind: &str, programs: Programs, offloads: bool, seconds: u64) -> f64 {
    let world = World::new();
    let hosts = [world.host("one"), world.host("two")];
    let guests = [world.host("a"), world.host("b")];
    world.wire(&hosts[0], "eth0", &hosts[1], "eth0");
    let switches: Vec<Switch> = (0..2)
        .map(|n| {
            world.wire(&hosts[n], "v0", &guests[n], "eth0");
            guests[n].ok(&format!("ip link set eth0 mtu {MTU}"));
            guests[n].address("eth0", &format!("192.168.7.{}/24", n + 1));
            if !offloads {
                guests[n].ok("ethtool -K eth0 tx off tso off gso off gro off");
            }
            begin(&world, &hosts[n], n, kind, programs)
        })
        .collect();
    assert!(guests[0].reaches("192.168.7.2"), "{kind}, {programs:?}: the far guest does not answer");
    let mut server =
        guests[1].command("iperf3").args(["-s", "-1"]).stdout(Stdio::null()).spawn().expect("iperf3");
    until("iperf3 listens", || guests[1].ok("ss -ltnH").contains(":5201 "));
    let done = guests[0].run(&format!("timeout {} iperf3 -J -c 192.168.7.2 -t {seconds}", seconds + 10));
    // One that got nothing through waits for ever.
    let _ = server.kill();
    let _ = server.wait();
    drop(switches);
    let report: serde_json::Value = serde_json::from_str(&done.out).unwrap_or_default();
    report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap_or(0.0) / 1e9
}

/// A switch with the wire in the one bridge, and the guest and the tunnel in the other.
fn begin(world: &World, host: &Host, n: usize, kind: &str, programs: Programs) -> Switch {
    let switch = Switch::start(world, host, &format!("sw{n}"), programs);
    let (near, far) = (n + 1, 2 - n);
    switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 eth0");
    host.address("br0", &format!("10.0.0.{near}/24"));
    host.ok("ip link set br0 up");
    switch.vsctl("add-br int -- set bridge int datapath_type=netdev -- add-port int v0");
    switch.vsctl(&format!(
        "add-port int tun0 -- set interface tun0 type={kind} options:remote_ip=10.0.0.{far} options:key=77"
    ));
    switch
}
