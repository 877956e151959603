//! The page about OVN, typed as it stands: on a host that is central as well, with another one beside it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use end_to_end::{Host, Programs, Switch, World, can_run};

use super::cloud::{Daemon, plug, start_controller};

/// The other host, which has done the same with its own name, and has a guest.
fn other_host(world: &World, net: &Host) -> (Switch, Daemon) {
    let host = world.host("two");
    plug(world, net, &host, "two");
    let switch = Switch::start(world, &host, "two", Programs::Ours);
    switch.vsctl("add-br br0 -- add-port br0 eth0");
    host.address("br0", "192.0.2.2/24");
    host.ok("ip link set br0 up");
    switch.vsctl(
        "set open . external_ids:system-id=host2 external_ids:ovn-remote=tcp:192.0.2.1:6642 \
         external_ids:ovn-encap-type=geneve external_ids:ovn-encap-ip=192.0.2.2",
    );
    switch.vsctl(
        "add-br br-int -- add-port br-int vm2 -- set interface vm2 type=internal mac=\"02:00:00:00:00:02\" \
         mtu_request=1400 external_ids:iface-id=vm2",
    );
    host.address("vm2", "10.7.0.2/24");
    host.ok("ip link set vm2 up");
    let controller = start_controller(&switch);
    (switch, controller)
}

/// What `ovn-ctl` and `ovs-ctl` have started on a host, and may not have ended when a command failed.
struct Started(PathBuf);

impl Drop for Started {
    fn drop(&mut self) {
        for name in ["ovn-controller", "ovn-northd", "ovnnb_db", "ovnsb_db", "ovs-vswitchd", "ovsdb-server"] {
            if let Ok(pid) = std::fs::read_to_string(self.0.join(format!("{name}.pid"))) {
                // It may have ended by itself.
                let _ = Command::new("kill").args(["-9", pid.trim()]).output();
            }
        }
    }
}

#[test]
fn the_page_about_ovn_is_true() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (net, outside, one) = (world.host("net"), world.host("ext"), world.host("one"));
    net.ok("ip link add under type bridge");
    net.ok("ip link set under up");
    plug(&world, &net, &one, "one");
    plug(&world, &net, &outside, "ext");
    outside.address("eth0", "192.0.2.9/24");
    outside.address("eth0", "203.0.113.9/32");
    let (other, _controller) = other_host(&world, &net);
    let switch = Switch::start(&world, &one, "one", Programs::Ours);
    let _started = Started(switch.dir.clone());
    // From before the first guest comes to after the restarts.
    let mut ping = other.host.command("ping");
    let mut ping = ping.args(["-i", "0.1", "10.7.0.1"]).stdout(Stdio::piped()).spawn().unwrap();
    crate::pages::type_all("ovn.md", &one, &switch);
    let _ = ping.kill();
    let answers = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
    assert!(answers.contains("64 bytes from 10.7.0.1"), "{answers}");
}
