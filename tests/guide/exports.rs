//! docs/exports.md, as it stands there.

use std::process::Stdio;

use end_to_end::{Programs, Switch, World, can_run};

use super::netflow::Ended;

#[test]
fn the_page_on_exports_works_as_it_says() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (a, b, middle) = (world.host("a"), world.host("b"), world.host("sw"));
    let collector = world.host("coll");
    for (name, host, address) in [("server1", &a, "10.1.0.1/16"), ("server2", &b, "10.1.0.2/16")] {
        world.wire(&middle, name, host, "eth0");
        host.address("eth0", address);
    }
    world.wire(&middle, "eth1", &collector, "eth0");
    middle.address("eth1", "172.16.18.1/24");
    collector.address("eth0", "172.16.18.18/24");
    // Somebody has to listen, or the collector's host answers that nobody does.
    let listen = "import socket, time
for port in (6343, 2055, 4739):
    globals()[f's{port}'] = s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', port))
time.sleep(1000)";
    let _listener = Ended(collector.command("python3").args(["-c", listen]).spawn().unwrap());
    end_to_end::until("somebody listens", || collector.ok("ss -ulnH").contains(":4739 "));
    let switch = Switch::start(&world, &middle, "sw", Programs::Ours);
    switch.vsctl("add-br br0 -- add-port br0 server1 -- add-port br0 server2");
    assert!(a.reaches("10.1.0.2"));
    let mut ping = a.command("ping");
    let _traffic = Ended(ping.args(["-i", "0.1", "10.1.0.2"]).stdout(Stdio::null()).spawn().unwrap());
    super::pages::type_all("exports.md", &middle, &switch);
}
