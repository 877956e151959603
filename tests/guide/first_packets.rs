//! Section 8, control: the first packets of connections go through a
//! controller, and none of them is lost or bent on the way.

use std::process::{Child, Stdio};

use end_to_end::{Host, Programs, Switch, World, can_run, python_packages, run, until};

/// Who controls the switch.
#[derive(Clone, Copy, Debug)]
enum Controller {
    /// Debian's `ovs-testcontroller`.
    Reference,
    /// A learning switch on os-ken, from PyPI.
    OsKen,
    Ours,
}

/// Four hosts on a switch that forwards only what a controller says.
struct Controlled {
    hosts: Vec<Host>,
    switch: Switch,
    controller: Child,
    _world: World,
}

/// Where os-ken listens, in the switch's own namespace.
const PORT: u16 = 6653;

impl Controlled {
    fn new(controller: Controller, version: &str) -> Controlled {
        let world = World::new();
        let middle = world.host("sw");
        let hosts: Vec<Host> = (1..=4)
            .map(|number| {
                let host = world.host(&format!("h{number}"));
                world.wire(&middle, &format!("p{number}"), &host, "eth0");
                host.address("eth0", &format!("10.8.0.{number}/24"));
                host
            })
            .collect();
        let switch = Switch::start(&world, &middle, "sw", Programs::Ours);
        let dir = switch.dir.display().to_string();
        let mut command = match controller {
            Controller::OsKen => {
                let mut command = middle.command("python3");
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/guide/learning_switch.py");
                command.args([script, &PORT.to_string()]).env("PYTHONPATH", python_packages());
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Controller::Ours | Controller::Reference => {
                let of =
                    if matches!(controller, Controller::Ours) { Programs::Ours } else { Programs::Reference };
                let mut command = switch.command_of(of, "ovs-testcontroller");
                command.args([format!("ptcp:{PORT}:127.0.0.1"), format!("--unixctl={dir}/controller.ctl")]);
                command
            }
        };
        let log = std::fs::File::create(switch.dir.join("controller.out")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let controller = command.spawn().unwrap();
        // The first attempt is to succeed, so that none has to be waited for.
        let listens = || middle.ok("ss -ltn").contains(&format!("127.0.0.1:{PORT}"));
        until("the controller listens", listens);
        switch.vsctl(&format!(
            "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure protocols={version} \
             -- add-port br0 p1 -- add-port br0 p2 -- add-port br0 p3 -- add-port br0 p4 \
             -- set-controller br0 tcp:127.0.0.1:{PORT}"
        ));
        let controlled = Controlled { hosts, switch, controller, _world: world };
        until("the controller is connected", || {
            let connected = "--bare --columns=is_connected find controller is_connected=true";
            controlled.switch.vsctl(connected).contains("true")
        });
        if version == "OpenFlow13" {
            until("packets without a rule go to the controller", || {
                controlled.switch.ofctl("-O OpenFlow13 dump-flows br0").contains("CONTROLLER")
            });
        }
        controlled
    }
}

impl Drop for Controlled {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = std::fs::read_to_string(self.switch.dir.join("controller.out")).unwrap_or_default();
            eprintln!("--- controller\n{text}");
        }
        // It may have ended by itself.
        let _ = self.controller.kill();
        let _ = self.controller.wait();
    }
}

/// Receives datagrams until as many came as it is told, or too long none; prints how many came as they were sent.
const RECEIVER: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 5001))
s.settimeout(30)
print('ready', flush=True)
good = 0
try:
    while good < int(sys.argv[1]):
        data, peer = s.recvfrom(4096)
        good += data == bytes([good % 251]) * 1470
except TimeoutError:
    pass
print('good', good)
";

/// Sends datagrams of 1,470 bytes, each from a port of its own.
const SENDER: &str = "
import socket, sys, time
for number in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(bytes([number % 251]) * 1470, (sys.argv[1], 5001))
    time.sleep(0.02)
";

const DATAGRAMS: u32 = 20;

/// How many datagrams arrive that are the first traffic between two hosts.
fn udp_arrives(from: &Host, to: &Host, address: &str) -> String {
    let mut receiver = to.command("python3");
    receiver.args(["-c", RECEIVER, &DATAGRAMS.to_string()]).stdout(Stdio::piped());
    let receiver = receiver.spawn().unwrap();
    let bound = || to.ok("ss -lun").contains(":5001");
    until("the receiver listens", bound);
    run(from.command("python3").args(["-c", SENDER, address, &DATAGRAMS.to_string()])).ok();
    String::from_utf8(receiver.wait_with_output().unwrap().stdout).unwrap()
}

#[track_caller]
fn loses_nothing(controller: Controller, version: &str) {
    let world = Controlled::new(controller, version);
    let what = format!("{controller:?}, {version}");
    let ping = world.hosts[0].run("ping -c 10 -i 0.2 -W 30 -s 1000 10.8.0.2");
    assert!(ping.out.contains(" 0% packet loss"), "{what}: {}", ping.out);
    let udp = udp_arrives(&world.hosts[2], &world.hosts[3], "10.8.0.4");
    assert!(udp.contains(&format!("good {DATAGRAMS}")), "{what}: {udp}");
    let rules = world.switch.ofctl(&format!("-O {version} dump-flows --no-stats br0"));
    assert!(rules.contains("idle_timeout=60"), "{what}: the controller made no rules: {rules}");
}

#[test]
fn the_reference_controller_loses_no_first_packet() {
    if !can_run() {
        return;
    }
    for version in ["OpenFlow10", "OpenFlow13"] {
        loses_nothing(Controller::Reference, version);
    }
}

#[test]
fn a_controller_on_os_ken_loses_no_first_packet() {
    if !can_run() {
        return;
    }
    for version in ["OpenFlow10", "OpenFlow13"] {
        loses_nothing(Controller::OsKen, version);
    }
}

#[test]
fn our_controller_loses_no_first_packet() {
    if !can_run() {
        return;
    }
    for version in ["OpenFlow10", "OpenFlow13"] {
        loses_nothing(Controller::Ours, version);
    }
}
