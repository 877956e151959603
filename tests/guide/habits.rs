//! Sections 1 and 7: what old scripts do: `ovs-ctl` starts and stops, `brctl` and
//! libvirt attach VMs, and their devices come and go.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use end_to_end::{Host, Output, Programs, World, can_run, run, until};

/// A machine of its own, with one set of directories.
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) dir: PathBuf,
    pub(crate) world: World,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let world = World::new();
        let host = world.host("m");
        let dir = world.dir.path().to_owned();
        Machine { host, dir, world }
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.host.command(Programs::Ours.path(program));
        for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, &self.dir);
        }
        command
    }

    /// Runs a program, its words split at blanks.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, line: &str) -> Output {
        run(self.command(program).args(line.split_whitespace()))
    }

    #[track_caller]
    pub(crate) fn ok(&self, program: &str, line: &str) -> String {
        self.run(program, line).ok()
    }

    /// The process of a pid file, if there is one.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        std::fs::read_to_string(self.dir.join(format!("{name}.pid"))).ok()?.trim().parse().ok()
    }

    pub(crate) fn sockets(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".ctl") || name.ends_with(".sock")).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["ovs-vswitchd.log", "ovsdb-server.log", "ovs-brcompatd.log"] {
                let text = std::fs::read_to_string(self.world.dir.path().join(log)).unwrap_or_default();
                eprintln!("--- {log}\n{text}");
            }
        }
        // Daemons would outlive the test; what does not run is no trouble.
        let _ = self.command("ovs-ctl").arg("stop").output();
    }
}

pub(crate) fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn ovs_ctl_starts_what_does_not_run_and_stops_what_does() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    let status = m.run("ovs-ctl", "status");
    assert_eq!(
        (status.status, status.out.as_str()),
        (1, "ovsdb-server is not running\novs-vswitchd is not running\n")
    );
    // What a crash has left.
    drop(std::os::unix::net::UnixListener::bind(m.dir.join("db.sock")).unwrap());
    drop(std::os::unix::net::UnixListener::bind(m.dir.join("ovs-vswitchd.99999999.ctl")).unwrap());

    let started = m.ok("ovs-ctl", "start --system-id=random --external-id=a=b");
    let dir = m.dir.display();
    assert_eq!(
        started,
        format!(
            "{dir}/conf.db does not exist ... (warning).\nCreating empty database {dir}/conf.db.\n\
             Starting ovsdb-server.\nConfiguring Open vSwitch system IDs.\nStarting ovs-vswitchd.\n\
             Enabling remote OVSDB managers.\n"
        )
    );
    let (database, switch) = (m.pid("ovsdb-server").unwrap(), m.pid("ovs-vswitchd").unwrap());
    assert_eq!(
        m.ok("ovs-ctl", "status"),
        format!("ovsdb-server is running with pid {database}\novs-vswitchd is running with pid {switch}\n")
    );
    assert!(!m.sockets().contains(&"ovs-vswitchd.99999999.ctl".to_owned()), "{:?}", m.sockets());
    assert_eq!(std::fs::read_to_string(format!("/proc/{switch}/comm")).unwrap(), "ovs-vswitchd\n");
    let get = |column: &str| m.ok("ovs-vsctl", &format!("get Open_vSwitch . {column}"));
    assert_eq!((get("db-version"), get("ovs-version")), ("\"8.8.0\"\n".to_owned(), "\"4.0.0\"\n".to_owned()));
    let id = get("external-ids:system-id");
    assert_eq!(id.trim().trim_matches('"').len(), 36);
    assert_eq!(get("external-ids:a"), "b\n");

    // The start script's last line, and a second start, which does nothing.
    m.ok("ovs-vsctl", "--timeout=60 -- --may-exist add-br ovsbr0");
    let again = m.ok("ovs-ctl", "start --system-id=random --add-bridge=ovsbr0");
    assert_eq!(
        again,
        "ovsdb-server is already running.\novs-vswitchd is already running.\nEnabling remote OVSDB managers.\n"
    );
    assert_eq!((m.pid("ovsdb-server"), m.pid("ovs-vswitchd")), (Some(database), Some(switch)));

    // A restart has other processes, the same id, and the same rules.
    m.ok("ovs-ofctl", "add-flow ovsbr0 in_port=7,actions=drop");
    let restarted = m.ok("ovs-ctl", "restart --system-id=random");
    assert_eq!(
        restarted,
        format!(
            "Saving flows.\nExiting ovsdb-server ({database}).\nStarting ovsdb-server.\n\
             Configuring Open vSwitch system IDs.\nExiting ovs-vswitchd ({switch}).\nStarting ovs-vswitchd.\n\
             Restoring saved flows.\nEnabling remote OVSDB managers.\n"
        )
    );
    assert!(!is_running(database) && !is_running(switch));
    assert_eq!(get("external-ids:system-id"), id);
    assert!(m.ok("ovs-ofctl", "dump-flows ovsbr0").contains("in_port=7 actions=drop"));
    assert_eq!(m.ok("ovs-vsctl", "get Open_vSwitch . other_config"), "{}\n");

    let (database, switch) = (m.pid("ovsdb-server").unwrap(), m.pid("ovs-vswitchd").unwrap());
    assert_eq!(
        m.ok("ovs-ctl", "stop"),
        format!("Exiting ovs-vswitchd ({switch}).\nExiting ovsdb-server ({database}).\n")
    );
    assert!(!is_running(database) && !is_running(switch));
    assert_eq!(m.sockets(), Vec::<String>::new());
    assert_eq!(m.ok("ovs-ctl", "stop"), "ovs-vswitchd is not running.\novsdb-server is not running.\n");
}

#[test]
fn ovs_ctl_starts_again_what_was_killed() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs-ctl", "start --no-monitor --system-id=x --add-bridge=ovsbr0");
    let pids = ["ovsdb-server", "ovs-vswitchd"].map(|name| m.pid(name).unwrap());
    for pid in pids {
        run(Command::new("kill").arg("-9").arg(pid.to_string())).ok();
        until("it is gone", || !is_running(pid));
    }
    let status = m.run("ovs-ctl", "status");
    let stale = |name: &str| format!("Pidfile for {name} ({}/{name}.pid) is stale\n", m.dir.display());
    assert_eq!((status.status, status.out), (1, stale("ovsdb-server") + &stale("ovs-vswitchd")));
    let started = m.ok("ovs-ctl", "start --no-monitor --system-id=x");
    assert!(started.starts_with("Starting ovsdb-server.\n"), "{started}");
    assert_eq!(m.ok("ovs-vsctl", "list-br"), "ovsbr0\n");
    assert_eq!(m.sockets().len(), 3, "the stale control sockets went: {:?}", m.sockets());
}

#[test]
fn ovs_ctl_knows_the_switch_that_is_one_process() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs", "up");
    let pid = m.pid("ovs-vswitchd").unwrap();
    assert_eq!(m.pid("ovsdb-server"), Some(pid));
    let started = m.ok("ovs-ctl", "start --system-id=x");
    assert!(
        started.starts_with("ovsdb-server is already running.\novs-vswitchd is already running.\n"),
        "{started}"
    );
    m.ok("ovs-ctl", "stop");
    until("it has ended", || !is_running(pid));
    assert_eq!(m.run("ovs-ctl", "status").status, 1);
    assert_eq!(m.sockets(), Vec::<String>::new());
}

#[test]
fn daemons_run_as_another_user_and_still_forward() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    const NOBODY: u32 = 65534;
    if std::os::unix::fs::chown(&m.dir, Some(NOBODY), Some(NOBODY)).is_err() {
        eprintln!("skipped: this namespace has no other users");
        return;
    }
    m.ok("ovs-ctl", "start --system-id=x --ovs-user=nobody:nogroup");
    let one = vm(&m, "one", "p1", "10.7.0.1/24");
    let _two = vm(&m, "two", "p2", "10.7.0.2/24");
    // Where only root may open /dev/net/tun, the bridge has no port of its own; that is no matter here.
    m.ok("ovs-vsctl", "--no-wait add-br ovsbr0");
    m.ok("ovs-vsctl", "--timeout=60 add-port ovsbr0 p1 -- add-port ovsbr0 p2");
    assert!(one.reaches("10.7.0.2"));
    for name in ["ovsdb-server", "ovs-vswitchd"] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", m.pid(name).unwrap())).unwrap();
        assert!(status.contains("Uid:\t65534\t65534\t65534\t65534\n"), "{status}");
        // After log rotation the daemon writes a file of its own.
        let log = m.dir.join(format!("{name}.log"));
        std::fs::rename(&log, m.dir.join("old.log")).unwrap();
        m.ok("ovs-appctl", &format!("-t {name} vlog/reopen"));
        assert!(log.exists());
    }
    let restarted = m.ok("ovs-ctl", "restart --system-id=x --ovs-user=nobody:nogroup");
    assert!(!restarted.contains("failed"), "{restarted}");
    assert!(one.reaches("10.7.0.2"));
}

#[test]
fn nothing_passes_before_the_rules_are_back() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs-ctl", "start --system-id=x --add-bridge=ovsbr0");
    let (one, two) = (vm(&m, "one", "p1", "10.7.0.1/24"), vm(&m, "two", "p2", "10.7.0.2/24"));
    m.ok("ovs-vsctl", "--timeout=60 add-port ovsbr0 p1 -- add-port ovsbr0 p2");
    assert!(one.reaches("10.7.0.2"));
    m.ok("ovs-ofctl", "add-flow ovsbr0 in_port=p1,actions=drop");
    assert!(!one.is_answered("10.7.0.2"));
    let heard = || two.ok("cat /sys/class/net/eth0/statistics/rx_packets");
    let before = heard();
    // Pings all the time, while the switch is away and comes back.
    let mut ping = one.command("ping").args(["-q", "-f", "10.7.0.2"]).stdout(Stdio::null()).spawn().unwrap();
    for _ in 0..3 {
        let restarted = m.ok("ovs-ctl", "restart --system-id=x");
        assert!(restarted.contains("Restoring saved flows.\n"), "{restarted}");
    }
    ping.kill().unwrap();
    ping.wait().unwrap();
    assert_eq!(heard(), before, "the rule that drops them was away");
    m.ok("ovs-ofctl", "--strict del-flows ovsbr0 in_port=p1");
    assert!(one.reaches("10.7.0.2"));
}

#[test]
fn ovs_ctl_refuses_in_one_line() {
    let refused = |line: &str| {
        let output = run(Command::new(Programs::Ours.path("ovs-ctl")).args(line.split_whitespace()));
        (output.status, output.err)
    };
    assert_eq!(
        refused("begin"),
        (1, "ovs-ctl: unknown command \"begin\" (use --help for help)\n".to_owned())
    );
    assert_eq!(refused(""), (1, "ovs-ctl: missing command name (use --help for help)\n".to_owned()));
}

/// The two ends of a wire, one in the machine, one in a VM.
pub(crate) fn vm(m: &Machine, name: &str, device: &str, address: &str) -> Host {
    let vm = m.world.host(name);
    m.world.wire(&m.host, device, &vm, "eth0");
    vm.address("eth0", address);
    vm
}

#[test]
fn brctl_works_on_our_bridges_while_ovs_brcompatd_runs() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs-ctl", "start --system-id=x");
    m.ok("ovs-brcompatd", "--pidfile --detach --log-file");
    let one = vm(&m, "one", "tap44.0", "10.7.0.1/24");
    let two = vm(&m, "two", "vif1.0", "10.7.0.2/24");

    m.ok("brctl", "addbr ovsbr0");
    // The next line of a script uses it.
    m.host.ok("ip link set ovsbr0 up");
    m.ok("brctl", "addif ovsbr0 tap44.0");
    m.ok("brctl", "addif ovsbr0 vif1.0");
    assert_eq!(m.ok("ovs-vsctl", "list-ports ovsbr0"), "tap44.0\nvif1.0\n");
    assert!(one.reaches("10.7.0.2"), "through our bridge");
    let macs = m.ok("brctl", "showmacs ovsbr0");
    assert_eq!(macs.lines().filter(|line| line.contains("\tno\t")).count(), 2, "{macs}");

    let mac = m.ok("ovs-vsctl", "get interface ovsbr0 mac_in_use").replace([':', '"', '\n'], "");
    let header = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";
    assert_eq!(
        m.ok("brctl", "show"),
        format!("{header}ovsbr0\t\t8000.{mac}\tno\t\ttap44.0\n\t\t\t\t\t\t\tvif1.0\n")
    );
    m.ok("brctl", "setageing ovsbr0 60");
    assert_eq!(m.ok("ovs-vsctl", "get bridge ovsbr0 other_config:mac-aging-time"), "\"60\"\n");
    m.ok("brctl", "stp ovsbr0 off");

    m.ok("brctl", "delif ovsbr0 vif1.0");
    assert!(!two.is_answered("10.7.0.1"), "it is not in the bridge any more");
    m.ok("brctl", "delbr ovsbr0");
    assert_eq!(m.ok("ovs-vsctl", "list-br"), "");

    // The daemon ends as the stop script ends it, and brctl is for Linux bridges again.
    let pid = m.pid("ovs-brcompatd").unwrap();
    run(Command::new("kill").arg(pid.to_string())).ok();
    until("it has ended", || !is_running(pid));
    until("its pid file is gone", || m.pid("ovs-brcompatd").is_none());
    m.ok("brctl", "addbr lb0");
    assert_eq!(m.ok("ovs-vsctl", "list-br"), "");
    assert_eq!(m.ok("brctl", "show"), format!("{header}lb0\t\t8000.000000000000\tno\t\t\n"));
}

#[test]
fn brctl_leaves_linux_bridges_alone() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.host.ok("ip link add lb0 type bridge");
    m.ok("ovs-ctl", "start --system-id=x --brcompat --add-bridge=ovsbr0");
    let one = vm(&m, "one", "p1", "10.7.0.1/24");
    let _two = vm(&m, "two", "p2", "10.7.0.2/24");
    for port in ["p1", "p2"] {
        m.ok("brctl", &format!("addif lb0 {port}"));
    }
    m.host.ok("ip link set lb0 up");
    assert!(one.reaches("10.7.0.2"), "through the kernel's bridge");
    assert_eq!(m.ok("ovs-vsctl", "list-ports ovsbr0"), "");
    // What the kernel has is not taken away, and there is one device of a name.
    for (line, refusal) in [
        ("addif ovsbr0 p1", "device p1 is already a member of a bridge; can't add it to bridge ovsbr0."),
        ("addbr lb0", "device lb0 already exists; can't create bridge with the same name"),
        (
            "addif ovsbr0 lb0",
            "device lb0 is a bridge device itself; can't add a bridge device to a bridge device.",
        ),
        ("addif ovsbr0 nodev", "interface nodev does not exist!"),
        ("delif ovsbr0 p1", "device p1 is not a port of ovsbr0"),
        ("delbr nobr", "bridge nobr doesn't exist; can't delete it"),
        ("show nobr", "bridge nobr does not exist!"),
        ("delbr lb0", "bridge lb0 is still up; can't delete it"),
    ] {
        let output = m.run("brctl", line);
        assert_eq!((output.status, output.err.trim_end()), (1, refusal), "{line}");
    }
    let shown = m.ok("brctl", "show");
    let bridges: Vec<&str> = shown.lines().skip(1).filter(|line| !line.starts_with('\t')).collect();
    assert!(
        bridges.len() == 2 && bridges[0].starts_with("lb0\t") && bridges[1].starts_with("ovsbr0\t"),
        "{shown}"
    );
    m.host.ok("ip link set lb0 down");
    m.ok("brctl", "delbr lb0");
    let stopped = m.ok("ovs-ctl", "stop");
    assert!(stopped.starts_with("Exiting ovs-brcompatd ("), "{stopped}");
    assert_eq!(m.sockets(), Vec::<String>::new());
}

#[test]
fn a_vif_that_comes_again_under_its_name_is_added_again() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs-ctl", "start --system-id=x --brcompat --add-bridge=ovsbr0");
    for time in 0..3 {
        let guest = vm(&m, &format!("g{time}"), "vif1.0", "10.7.0.1/24");
        // The script of a VM that starts: on the kernel's bridge it would be new each time.
        m.ok("brctl", "addif ovsbr0 vif1.0");
        let again = m.run("brctl", "addif ovsbr0 vif1.0");
        assert_eq!(again.status, 1, "the same device twice is a mistake: {again:?}");
        m.host.ok("ip addr replace 10.7.0.9/24 dev ovsbr0");
        m.host.ok("ip link set ovsbr0 up");
        assert!(guest.reaches("10.7.0.9"), "guest {time}");
        m.host.ok("ip link del vif1.0");
        // The port is kept, and tells what it lacks.
        until("the error is shown", || {
            m.ok("ovs-vsctl", "show").contains("could not open network device vif1.0")
        });
        assert_eq!(m.ok("ovs-vsctl", "list-ports ovsbr0"), "vif1.0\n");
    }
}

#[test]
fn libvirts_calls_attach_and_detach_a_vm() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs-ctl", "start --system-id=x --add-bridge=ovsbr");
    m.host.ok("ip addr add 10.7.0.9/24 dev ovsbr");
    m.host.ok("ip link set ovsbr up");
    for name in ["g1", "g2"] {
        let guest = vm(&m, name, "vnet0", "10.7.0.1/24");
        m.ok(
            "ovs-vsctl",
            "--timeout=60 -- --if-exists del-port vnet0 -- add-port ovsbr vnet0 \
             -- set Interface vnet0 external-ids:attached-mac=\"52:54:00:12:34:56\" \
             -- set Interface vnet0 external-ids:iface-id=\"9b4f3ad7-6c1d-4a4e-a8f9-8d0f6c3e0a11\" \
             -- set Interface vnet0 external-ids:vm-id=\"0d3c1d66-f6c0-43d4-9c63-5f0b2ab0a3ee\" \
             -- set Interface vnet0 external-ids:iface-status=active",
        );
        assert!(guest.reaches("10.7.0.9"));
        assert_eq!(
            m.ok("ovs-vsctl", "--timeout=60 --if-exists get Interface vnet0 external_ids:iface-status"),
            "active\n"
        );
        m.ok("ovs-vsctl", "--timeout=60 -- --if-exists del-port vnet0");
        m.host.ok("ip link del vnet0");
    }
    // A VM that is gone before it is detached is no mistake.
    m.ok("ovs-vsctl", "--timeout=60 -- --if-exists del-port vnet0");
}

/// A VM in miniature: opens a tap device, and answers ARP and pings for 10.7.0.50 until it is killed.
const VM: &str = r#"
import fcntl, os, struct, sys
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", sys.argv[1].encode(), 0x1002))
mac, ip = bytes.fromhex("525400000050"), bytes([10, 7, 0, 50])
while True:
    frame = os.read(tap, 2048)
    kind = frame[12:14]
    if kind == b"\x08\x06" and frame[20:22] == b"\x00\x01" and frame[38:42] == ip:
        asker = frame[22:32]
        os.write(tap, asker[:6] + mac + frame[12:20] + b"\x00\x02" + mac + ip + asker)
    elif kind == b"\x08\x00" and frame[:6] == mac and frame[23] == 1 and frame[34] == 8:
        total = struct.unpack(">H", frame[36:38])[0] + 0x0800
        total = (total & 0xffff) + (total >> 16)
        reply = frame[6:12] + mac + frame[12:26] + ip + frame[26:30]
        os.write(tap, reply + b"\x00\x00" + struct.pack(">H", total) + frame[38:])
"#;

#[test]
fn a_tap_that_a_vm_opens_comes_and_goes() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs-ctl", "start --system-id=x --add-bridge=ovsbr0");
    let one = vm(&m, "one", "p1", "10.7.0.1/24");
    m.ok("ovs-vsctl", "--timeout=60 add-port ovsbr0 p1");
    // No VM yet: the port is kept with its error, and the exit status tells.
    let early = m.run("ovs-vsctl", "--timeout=60 add-port ovsbr0 tap44.0");
    assert!(early.err.contains("could not open network device tap44.0"), "{early:?}");
    assert!(m.ok("ovs-vsctl", "show").contains("error: \"could not open network device tap44.0"));
    let number = || m.ok("ovs-vsctl", "get interface tap44.0 ofport");
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let mut guest = m.host.command("python3").args(["-c", VM, "tap44.0"]).spawn().unwrap();
        until("the device is there", || m.host.run("ip link set tap44.0 up").status == 0);
        assert!(one.reaches("10.7.0.50"), "the VM behind the tap");
        assert!(!m.ok("ovs-vsctl", "show").contains("error"));
        numbers.push(number());
        guest.kill().unwrap();
        guest.wait().unwrap();
        until("the error is back", || m.ok("ovs-vsctl", "show").contains("error"));
        assert!(!one.is_answered("10.7.0.50"));
    }
    assert_eq!(numbers[0], numbers[1], "a port keeps its number");
}

/// What a program printed, without the time of log lines, and its status.
fn told(programs: Programs, dir: &std::path::Path, line: &str) -> (i32, String, String) {
    let mut command = Command::new(programs.path("ovs-dpctl"));
    let done = run(command.args(line.split_whitespace()).env("OVS_RUNDIR", dir));
    let timeless = |line: &str| line.split_once("Z|").map_or(line, |(_, rest)| rest).to_owned() + "\n";
    (done.status, done.out, done.err.lines().map(timeless).collect())
}

#[test]
fn ovs_dpctl_says_what_the_reference_says_where_no_datapath_is() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "dump-dps",
        "show",
        "show br0",
        "dump-flows",
        "dump-flows br0",
        "add-dp br0",
        "del-dp br0",
        "add-if br0 eth0",
        "del-if br0 eth0",
        "add-flow br0 in_port(1) 2",
        "del-flows",
        "dump-conntrack",
        "flush-conntrack",
        "ct-stats-show",
        "cache-get-size",
        "add-if br0",
        "nonsense",
        "",
    ] {
        let mut ours = told(Programs::Ours, dir.path(), line);
        let theirs = told(Programs::Reference, dir.path(), line);
        // What starts a datapath here follows as a line of its own.
        let hint = format!("ovs-vswitchd is not running in {}: '", dir.path().display());
        let at = ours.2.find(&hint);
        let needs_datapath = !matches!(line, "add-if br0" | "nonsense" | "");
        assert_eq!(at.is_some(), needs_datapath, "ovs-dpctl {line}: {ours:?}");
        ours.2.truncate(at.unwrap_or(ours.2.len()));
        assert_eq!(ours, theirs, "ovs-dpctl {line}");
    }
}

#[test]
fn ovs_dpctl_reaches_the_datapath_of_the_daemon() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs-ctl", "start --system-id=x --add-bridge=ovsbr0");
    let one = vm(&m, "one", "p1", "10.7.0.1/24");
    let _two = vm(&m, "two", "p2", "10.7.0.2/24");
    m.ok("ovs-vsctl", "--timeout=60 add-port ovsbr0 p1 -- add-port ovsbr0 p2");
    assert!(one.reaches("10.7.0.2"));
    let name = m.ok("ovs-dpctl", "dump-dps");
    assert_eq!(name, m.ok("ovs-appctl", "dpctl/dump-dps"));
    let shown = m.ok("ovs-dpctl", &format!("show {name}"));
    assert!(shown.contains(": p1\n") && shown.contains(": ovsbr0 (tap)\n"), "{shown}");
    let flows = m.ok("ovs-dpctl", "--names dump-flows");
    assert!(flows.contains("in_port(p1)") && flows.contains("actions:p2"), "{flows}");
    m.ok("ovs-dpctl", "del-flows");
    let refused = m.run("ovs-dpctl", "dump-flows nonsense");
    assert_eq!(
        (refused.status, refused.err.as_str()),
        (1, "ovs-dpctl: opening datapath nonsense failed (No such device)\n")
    );
}

#[test]
fn one_restart_takes_over_from_the_reference() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    let theirs = |program: &str, line: &str| {
        let mut command = m.host.command(Programs::Reference.path(program));
        for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, &m.dir);
        }
        run(command.args(line.split_whitespace())).ok()
    };
    let dir = m.dir.display();
    let (one, _two) = (vm(&m, "one", "p1", "10.7.0.1/24"), vm(&m, "two", "p2", "10.7.0.2/24"));
    let third = vm(&m, "three", "p3", "10.7.0.3/24");
    theirs("ovsdb-tool", &format!("create {dir}/conf.db /usr/share/openvswitch/vswitch.ovsschema"));
    let daemon = "--detach --pidfile --log-file --monitor -vconsole:off";
    theirs("ovsdb-server", &format!("{dir}/conf.db --remote=punix:{dir}/db.sock {daemon}"));
    theirs("ovs-vsctl", "--no-wait init");
    theirs("ovs-vswitchd", &format!("unix:{dir}/db.sock {daemon}"));
    theirs("ovs-vsctl", "--timeout=60 add-br ovsbr0 -- set bridge ovsbr0 datapath_type=netdev");
    for (port, number) in [("p1", 11), ("p2", 12), ("p3", 13)] {
        theirs(
            "ovs-vsctl",
            &format!("--timeout=60 add-port ovsbr0 {port} -- set interface {port} ofport_request={number}"),
        );
    }
    theirs("ovs-ofctl", "add-flow ovsbr0 table=0,in_port=13,actions=drop");
    theirs("ovs-ofctl", "add-flow ovsbr0 table=3,tcp,tp_dst=80,actions=mod_vlan_vid:5,output:12");
    theirs(
        "ovs-ofctl",
        "-O OpenFlow13 add-meter ovsbr0 meter=4,kbps,burst,bands=type=drop,rate=9000,burst_size=900",
    );
    theirs(
        "ovs-ofctl",
        "-O OpenFlow15 add-group ovsbr0 group_id=2,type=select,selection_method=dp_hash,bucket=actions=output:12",
    );
    theirs(
        "ovs-ofctl",
        "-O OpenFlow15 add-flow ovsbr0 table=4,importance=7,send_flow_rem,actions=meter:4,group:2",
    );
    theirs("ovs-ofctl", "-O OpenFlow14 mod-table ovsbr0 5 vacancy:20,80");
    theirs("ovs-ofctl", "mod-port ovsbr0 p3 no-flood");
    theirs("ovs-ofctl", "set-frags ovsbr0 drop");
    theirs("ovs-appctl", "fdb/add ovsbr0 p2 7 50:54:00:00:00:07");
    assert!(one.reaches("10.7.0.2"));

    let restarted = m.ok("ovs-ctl", "restart --system-id=x");
    for line in ["Saving flows.", "Converting database schema.", "Restoring saved flows."] {
        assert!(restarted.contains(&format!("{line}\n")), "{restarted}");
    }
    assert_eq!(m.ok("ovs-appctl", "version"), "ovs-vswitchd (Open vSwitch) 4.0.0\n");
    assert!(m.dir.join("conf.db.backup8.3.1-3012963480").exists(), "{restarted}");
    for (port, number) in [("p1", "11\n"), ("p2", "12\n"), ("p3", "13\n")] {
        assert_eq!(m.ok("ovs-vsctl", &format!("get interface {port} ofport")), number);
    }
    let rules = m.ok("ovs-ofctl", "--no-names --no-stats dump-flows ovsbr0");
    assert!(rules.contains(" in_port=13 actions=drop"), "{rules}");
    assert!(rules.contains(" table=3, tcp,tp_dst=80 actions=mod_vlan_vid:5,output:12"), "{rules}");
    let rules = m.ok("ovs-ofctl", "-O OpenFlow15 --no-names --no-stats dump-flows ovsbr0");
    assert!(rules.contains(" table=4, send_flow_rem importance=7, actions=meter:4,group:2"), "{rules}");
    let meters = m.ok("ovs-ofctl", "-O OpenFlow13 dump-meters ovsbr0");
    assert!(meters.contains("meter=4 kbps burst bands=\ntype=drop rate=9000 burst_size=900\n"), "{meters}");
    assert!(m.ok("ovs-ofctl", "-O OpenFlow15 dump-groups ovsbr0").contains("selection_method=dp_hash"));
    assert!(
        m.ok("ovs-ofctl", "-O OpenFlow14 dump-table-desc ovsbr0").contains("vacancy_down=20% vacancy_up=80%")
    );
    assert!(m.ok("ovs-ofctl", "show ovsbr0").contains("config:     NO_FLOOD\n"));
    assert_eq!(m.ok("ovs-ofctl", "get-frags ovsbr0"), "drop\n");
    assert!(m.ok("ovs-appctl", "fdb/show ovsbr0").contains("   12     7  50:54:00:00:00:07  static\n"));
    assert!(one.reaches("10.7.0.2") && !third.is_answered("10.7.0.2"));
}
