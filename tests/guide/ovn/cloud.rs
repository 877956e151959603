//! Hosts with OVN: its databases and `ovn-northd` on one more, a wire for tunnels, and a physical network with a host that
//! knows nothing of OVN. Debian's OVN runs on our database server and our switch, or on the reference's.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use end_to_end::{Host, LIMIT, Output, Programs, Switch, World, holds_within, run, until};

use super::talk::{ASK, SERVE};

/// Where Debian keeps what OVN's databases hold.
const SCHEMAS: &str = "/usr/share/ovn";

/// Complaints of `ovn-controller` that are no fault of the switch: there are no representors; it is faster than the switch that it
/// asked for a bridge; tunnels are made anew; a gateway has moved; the machine is busy.
const USUAL: [&str; 6] = [
    "|timeval|",
    "|vif_plug_provider|",
    "br-int.mgmt: connection failed (No such file or directory)",
    // Between bind(2) and listen(2), which a Unix socket has in the reference, too.
    "br-int.mgmt: connection failed (Connection refused)",
    "Failed to locate tunnel to reach main chassis",
    "Trying to release unknown interface cr-",
];

/// A daemon that ends with the test.
pub(super) struct Daemon(Child);

impl Daemon {
    pub(super) fn start(mut command: Command) -> Daemon {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Daemon(quiet.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A host with guests.
pub(super) struct Chassis {
    pub(super) name: &'static str,
    pub(super) switch: Switch,
    controller: Option<Daemon>,
}

impl Chassis {
    pub(super) fn start_controller(&mut self) {
        self.controller = Some(start_controller(&self.switch));
    }

    /// Kills `ovn-controller` as a crash would.
    pub(super) fn kill_controller(&mut self) {
        self.controller = None;
    }

    /// What `ovn-controller` complains of, but for what it says on the reference as well.
    pub(super) fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.switch.dir.join("ovn-controller.log")).unwrap_or_default();
        log.lines()
            .filter(|line| line.contains("|WARN|") || line.contains("|ERR|"))
            .filter(|line| !USUAL.iter().any(|usual| line.contains(usual)))
            .map(str::to_owned)
            .collect()
    }
}

/// Hosts, OVN, and guests.
pub(super) struct Cloud {
    daemons: RefCell<Vec<Daemon>>,
    guests: RefCell<Vec<(String, Host)>>,
    pub(super) chassis: Vec<Chassis>,
    /// The physical network: a switch whose port `ext` is in VLAN 30.
    _physical: Switch,
    pub(super) central: PathBuf,
    pub(super) world: World,
    programs: Vec<Programs>,
}

impl Cloud {
    /// Hosts with these programs, `hv1` and so on, whose tunnels are of this kind. The databases are on the first one's server.
    pub(super) fn new(programs: &[Programs], encapsulation: &str) -> Cloud {
        let world = World::new();
        let (net, control) = (world.host("net"), world.host("central"));
        net.ok("ip link add under type bridge");
        net.ok("ip link set under up");
        plug(&world, &net, &control, "central");
        control.address("eth0", "10.0.0.100/24");
        checksums_first(programs, &control);
        let central = world.dir.path().join("central");
        let daemons = start_central(programs[0], &control, &central);
        let numbered = (1..).zip(["hv1", "hv2", "hv3"]).zip(programs);
        let chassis = numbered.map(|((number, name), &programs)| {
            let host = world.host(name);
            plug(&world, &net, &host, name);
            let switch = Switch::start(&world, &host, name, programs);
            switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 eth0");
            host.address("br0", &format!("10.0.0.{number}/24"));
            host.ok("ip link set br0 up");
            checksums_first_of(&[programs], &host, "br0");
            switch.vsctl(&format!(
                "set open . external_ids:system-id={name} external_ids:ovn-remote=tcp:10.0.0.100:6642 \
                 external_ids:ovn-encap-type={encapsulation} external_ids:ovn-encap-ip=10.0.0.{number} \
                 external_ids:ovn-bridge-datapath-type=netdev"
            ));
            let mut chassis = Chassis { name, switch, controller: None };
            chassis.start_controller();
            chassis
        });
        let chassis: Vec<Chassis> = chassis.collect();
        let outside = world.host("ext");
        let physical = physical_network(&world, &chassis, &outside);
        checksums_first(programs, &outside);
        outside.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.eth0.disable_ipv6=0");
        outside.address("eth0", "172.16.0.100/24");
        outside.ok("ip addr add fd00:16::100/64 dev eth0 nodad");
        let cloud = Cloud {
            daemons: RefCell::new(daemons),
            guests: RefCell::new(vec![("ext".to_owned(), outside)]),
            chassis,
            _physical: physical,
            central,
            world,
            programs: programs.to_vec(),
        };
        for chassis in &cloud.chassis {
            until("ovn-controller adds its bridge", || {
                chassis.switch.ctl("ovs-vsctl", "br-exists br-int").status == 0
            });
        }
        cloud
    }

    /// Runs one of OVN's programs for its databases, its words split at blanks, those in quotes kept whole.
    #[track_caller]
    pub(super) fn central(&self, program: &str, line: &str) -> Output {
        let mut command = Command::new(program);
        for database in ["nb", "sb"] {
            let socket = format!("unix:{}/{database}.sock", self.central.display());
            command.env(format!("OVN_{}_DB", database.to_uppercase()), socket);
        }
        command.env("OVN_RUNDIR", &self.central).args(words(line));
        run(&mut command)
    }

    /// Changes or reads what the logical network shall be.
    #[track_caller]
    pub(super) fn nbctl(&self, line: &str) -> String {
        self.central("ovn-nbctl", &format!("--timeout=60 {line}")).ok()
    }

    /// Waits until all hosts have done what the logical network shall be.
    #[track_caller]
    pub(super) fn sync(&self) {
        self.nbctl("--wait=hv sync");
    }

    /// A guest at logical port `name` of host `chassis`, which answers at TCP port 80 and UDP port 53 with its name.
    pub(super) fn guest(&self, chassis: usize, name: &str, mac: &str, addresses: &[&str], routers: &[&str]) {
        let guest = self.world.host(name);
        guest.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0");
        let switch = &self.chassis[chassis].switch;
        self.world.wire(&switch.host, name, &guest, "eth0");
        guest.ok(&format!("ip link set eth0 address {mac} mtu 1400"));
        guest.run("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
        checksums_first(&self.programs, &guest);
        for address in addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            guest.ok(&format!("ip addr add {address} dev eth0 {nodad}"));
        }
        for router in routers {
            guest.ok(&format!("ip route add default via {router}"));
        }
        switch.vsctl(&format!("add-port br-int {name} -- set interface {name} external_ids:iface-id={name}"));
        self.guests.borrow_mut().push((name.to_owned(), guest));
    }

    /// Has guests answer, with their names.
    pub(super) fn serve(&self, names: &[&str]) {
        for name in names {
            let mut command = self.host(name).command("python3");
            command.args(["-c", SERVE, name]);
            self.daemons.borrow_mut().push(Daemon::start(command));
        }
        for name in names {
            until(&format!("{name} serves"), || self.host(name).ok("ss -lunH").contains(":53 "));
        }
    }

    pub(super) fn host(&self, name: &str) -> Host {
        let guests = self.guests.borrow();
        let found = guests.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no guest {name}")).1.clone()
    }

    /// What comes back when a guest asks an address: "tcp ADDRESS PORT" or "udp ADDRESS PORT BYTES"; with
    /// "x TIMES" after that, as often as that.
    pub(super) fn ask(&self, guest: &str, words: &str) -> String {
        let asked = run(self.host(guest).command("python3").args(["-c", ASK]).args(words.split(' ')));
        asked.ok().trim().to_owned()
    }

    /// Expects that an answer comes, after some time at most.
    #[track_caller]
    pub(super) fn answers(&self, guest: &str, words: &str, expected: &str) {
        let mut last = String::new();
        let is_answered = holds_within(LIMIT, || {
            last = self.ask(guest, words);
            last == expected
        });
        assert!(is_answered, "{guest} asks {words}: {expected:?} was expected, and {last:?} came");
    }

    /// Expects that an address answers a guest's pings, after some time at most.
    #[track_caller]
    pub(super) fn reaches(&self, guest: &str, address: &str) {
        assert!(self.host(guest).reaches(address), "{guest} does not reach {address}");
    }

    /// Asks so often that each of two servers is chosen once at least, but for bad luck of one in a million; their names.
    pub(super) fn servers(&self, guest: &str, words: &str) -> Vec<String> {
        let answers = self.ask(guest, &format!("{words} x 20"));
        let names = answers.lines().map(|answer| answer.split(' ').next().unwrap_or_default());
        let mut seen: Vec<String> = names.map(str::to_owned).collect();
        seen.sort();
        seen.dedup();
        seen
    }

    /// Expects that no `ovn-controller` had reason to complain, and no switch to report errors.
    #[track_caller]
    pub(super) fn is_content(&self) {
        for chassis in &self.chassis {
            let complaints = chassis.complaints();
            assert!(complaints.is_empty(), "{}: {complaints:#?}", chassis.name);
            let log =
                std::fs::read_to_string(chassis.switch.dir.join("ovs-vswitchd.log")).unwrap_or_default();
            let errors: Vec<&str> = log.lines().filter(|line| line.contains("|ERR|")).collect();
            assert!(errors.is_empty(), "{}: {errors:#?}", chassis.name);
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for chassis in &self.chassis {
                let log = std::fs::read_to_string(chassis.switch.dir.join("ovn-controller.log"));
                eprintln!("--- ovn-controller.log of {}\n{}", chassis.name, log.unwrap_or_default());
            }
        }
    }
}

/// Starts `ovn-controller` on a host.
pub(super) fn start_controller(switch: &Switch) -> Daemon {
    let mut command = switch.command_of(Programs::Reference, "ovn-controller");
    command.arg(format!("unix:{}/db.sock", switch.dir.display()));
    command.args(["--pidfile", "--log-file", "-vconsole:off"]);
    Daemon::start(command)
}

/// A command line's words: what stands in single quotes is one.
pub(super) fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// Plugs the host's new device `eth0` into the wire that all hosts share.
pub(super) fn plug(world: &World, net: &Host, host: &Host, name: &str) {
    world.wire(host, "eth0", net, name);
    net.ok(&format!("ip link set {name} master under"));
}

/// The reference's userspace datapath takes no packets whose checksums are left to the device.
fn checksums_first(programs: &[Programs], host: &Host) {
    checksums_first_of(programs, host, "eth0");
}

fn checksums_first_of(programs: &[Programs], host: &Host, device: &str) {
    if programs.contains(&Programs::Reference) {
        host.ok(&format!("ethtool -K {device} tx off"));
    }
}

/// Both of OVN's databases, and `ovn-northd`.
fn start_central(programs: Programs, host: &Host, dir: &PathBuf) -> Vec<Daemon> {
    std::fs::create_dir(dir).unwrap();
    let dir = dir.display();
    let mut daemons = Vec::new();
    for (name, table) in [("nb", "OVN_Northbound,NB_Global"), ("sb", "OVN_Southbound,SB_Global")] {
        let file = format!("{dir}/{name}.db");
        let schema = format!("{SCHEMAS}/ovn-{name}.ovsschema");
        run(Command::new(programs.path("ovsdb-tool")).args(["create", &file, &schema])).ok();
        let mut server = host.command(programs.path("ovsdb-server"));
        server.args([&file, "-vconsole:off"]);
        server.arg(format!("--remote=punix:{dir}/{name}.sock"));
        server.arg(format!("--remote=db:{table},connections"));
        server.arg(format!("--unixctl={dir}/{name}.ctl"));
        daemons.push(Daemon::start(server));
        until("the database listens", || {
            run(Command::new(format!("ovn-{name}ctl"))
                .args([&format!("--db=unix:{dir}/{name}.sock"), "init"]))
            .status
                == 0
        });
    }
    let sockets = [format!("--ovnnb-db=unix:{dir}/nb.sock"), format!("--ovnsb-db=unix:{dir}/sb.sock")];
    let mut northd = host.command("ovn-northd");
    northd.args(&sockets).arg(format!("--unixctl={dir}/northd.ctl"));
    daemons.push(Daemon::start(northd));
    let mut listen = Command::new("ovn-sbctl");
    run(listen.args([&format!("--db=unix:{dir}/sb.sock"), "set-connection", "ptcp:6642"])).ok();
    daemons
}

/// The network that the hosts' second devices and the outside are in.
fn physical_network(world: &World, chassis: &[Chassis], outside: &Host) -> Switch {
    let host = world.host("phys");
    for chassis in chassis {
        world.wire(&chassis.switch.host, "eth1", &host, chassis.name);
    }
    world.wire(outside, "eth0", &host, "ext");
    let switch = Switch::start(world, &host, "phys", Programs::Ours);
    switch.vsctl("add-br phys -- add-port phys ext tag=30");
    for chassis in chassis {
        switch.vsctl(&format!("add-port phys {}", chassis.name));
    }
    switch
}
