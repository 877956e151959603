//! Sections 1 and 7: what old scripts do. `ovs-ctl` starts and stops.

use std::path::PathBuf;
use std::process::Command;

use end_to_end::{Host, Output, Programs, World, can_run, run, until};

/// A machine of its own, with one set of directories.
struct Machine {
    host: Host,
    dir: PathBuf,
    world: World,
}

impl Machine {
    fn new() -> Machine {
        let world = World::new();
        let host = world.host("m");
        let dir = world.dir.path().to_owned();
        Machine { host, dir, world }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.host.command(Programs::Ours.path(program));
        for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, &self.dir);
        }
        command
    }

    /// Runs a program, its words split at blanks.
    #[track_caller]
    fn run(&self, program: &str, line: &str) -> Output {
        run(self.command(program).args(line.split_whitespace()))
    }

    #[track_caller]
    fn ok(&self, program: &str, line: &str) -> String {
        self.run(program, line).ok()
    }

    /// The process of a pid file, if there is one.
    fn pid(&self, name: &str) -> Option<u32> {
        std::fs::read_to_string(self.dir.join(format!("{name}.pid"))).ok()?.trim().parse().ok()
    }

    fn sockets(&self) -> Vec<String> {
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

fn is_running(pid: u32) -> bool {
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
    m.ok("ovs-vsctl", "--timeout=20 -- --may-exist add-br ovsbr0");
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
