//! How daemons end, and what they do when their log file was moved away.

use std::path::Path;
use std::process::{Command, Stdio};

use end_to_end::{can_run, run, until};

use crate::habits::{Machine, is_running, vm};

/// A daemon: its name, and its command line beside the options that all have.
const DAEMONS: [(&str, &[&str]); 7] = [
    ("ovsdb-server", &["conf.db", "--remote=punix:db.sock"]),
    ("ovs-vswitchd", &["unix:db.sock"]),
    ("ovs-brcompatd", &["unix:db.sock"]),
    ("ovs-testcontroller", &["punix:testcontroller.mgmt"]),
    ("ovs-ofctl", &["monitor", "br0"]),
    ("ovsdb-client", &["monitor", "unix:db.sock", "Open_vSwitch", "Bridge"]),
    ("ovsdb-client", &["lock", "unix:db.sock", "lock0"]),
];

/// A machine on which the database and the switch run, as the others want it.
struct Running {
    m: Machine,
}

impl Running {
    fn new() -> Running {
        let m = Machine::new();
        let running = Running { m };
        running.m.ok("ovsdb-tool", &format!("create {}", running.m.dir.join("conf.db").display()));
        running.start(0);
        running.m.ok("ovs-vsctl", "--no-wait init");
        running.start(1);
        running.m.ok("ovs-vsctl", "--timeout=60 add-br br0 -- set-controller br0 ptcp:0:127.0.0.1");
        running
    }

    fn start(&self, index: usize) -> u32 {
        let (name, words) = DAEMONS[index];
        let mut command = self.m.command(name);
        command.current_dir(&self.m.dir).args([
            "--no-chdir",
            "--detach",
            "--pidfile",
            "--log-file",
            "-vconsole:off",
        ]);
        // Monitors go on to print to what they were given, so there must be nobody who reads it to its end.
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{name}");
        self.m.pid(name).unwrap()
    }

    /// What a daemon has made in the run directory beside its log.
    fn traces(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.m.dir).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut traces: Vec<String> =
            names.filter(|name| !name.ends_with(".log") && !name.starts_with('.')).collect();
        traces.sort();
        traces
    }
}

fn kill(signal: &str, pid: u32) {
    run(Command::new("kill").args([signal, &pid.to_string()])).ok();
}

#[test]
fn daemons_leave_nothing_behind_however_they_end() {
    if !can_run() {
        return;
    }
    let r = Running::new();
    // The two that run are ended last, the switch before its database.
    for index in [2, 3, 4, 5, 6, 1, 0] {
        let name = DAEMONS[index].0;
        for way in ["exit", "-TERM", "-INT"] {
            let pid = match index {
                0 | 1 if way == "exit" => r.m.pid(name).unwrap(),
                _ => {
                    // What belongs to the others stays.
                    r.start(index)
                }
            };
            let mine = r.m.sockets();
            assert!(mine.iter().any(|socket| socket.contains(&format!("{name}.{pid}."))), "{name}: {mine:?}");
            match way {
                "exit" => drop(r.m.ok("ovs-appctl", &format!("-t {name} exit"))),
                signal => kill(signal, pid),
            }
            until(&format!("{name} ends by {way}"), || !is_running(pid));
            let left = r.traces();
            let is_its = |trace: &&String| trace.starts_with(name) || trace.starts_with("testcontroller");
            assert!(!left.iter().any(|trace| is_its(&trace)), "{name} by {way}: {left:?}");
            if index == 1 {
                assert!(!left.iter().any(|trace| trace.starts_with("br0.")), "{name} by {way}: {left:?}");
            }
            if index == 0 {
                assert_eq!(left, ["conf.db"], "{name} by {way}");
            }
        }
    }
}

#[test]
fn daemons_open_their_log_anew_on_sighup() {
    if !can_run() {
        return;
    }
    let r = Running::new();
    for (index, (name, _)) in DAEMONS.into_iter().enumerate() {
        let pid = if index < 2 { r.m.pid(name).unwrap() } else { r.start(index) };
        let (log, old) = (r.m.dir.join(format!("{name}.log")), r.m.dir.join("moved.log"));
        std::fs::rename(&log, &old).unwrap();
        kill("-HUP", pid);
        let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        until(&format!("{name} opens its log"), || text(&log).contains("|vlog|INFO|opened log file "));
        assert!(text(&old).ends_with("|vlog|INFO|closing log file\n"), "{}", text(&old));
        // Where nobody has moved it, nothing happens.
        let before = text(&log);
        kill("-HUP", pid);
        assert!(r.m.ok("ovs-appctl", &format!("-t {name} vlog/list")).contains("vlog"));
        assert_eq!(text(&log), before);
        assert!(is_running(pid), "{name}");
        if index >= 2 {
            r.m.ok("ovs-appctl", &format!("-t {name} exit"));
            until("it ends", || !is_running(pid));
        }
    }
}

#[test]
fn the_switch_ends_quickly_whatever_the_number_of_ports() {
    if !can_run() {
        return;
    }
    let m = Machine::new();
    m.ok("ovs-ctl", "start --system-id=x --add-bridge=br0");
    let (one, _two) = (vm(&m, "one", "p1", "10.7.0.1/24"), vm(&m, "two", "p2", "10.7.0.2/24"));
    m.ok("ovs-vsctl", "--timeout=60 add-port br0 p1 -- add-port br0 p2");
    let mut lines = String::new();
    let mut add = m.command("ovs-vsctl");
    add.arg("--timeout=60");
    for n in 0..250 {
        lines.push_str(&format!(
            "link add a{n} type veth peer name b{n}\nlink set a{n} up\nlink set b{n} up\n"
        ));
        let (outer, inner) = (format!("a{n}"), format!("i{n}"));
        add.args(["--", "add-port", "br0", &outer, "--", "add-port", "br0", &inner]);
        add.args(["--", "set", "interface", &inner, "type=internal"]);
    }
    let batch = m.dir.join("links");
    std::fs::write(&batch, lines).unwrap();
    m.host.ok(&format!("ip -batch {}", batch.display()));
    run(&mut add).ok();
    assert!(one.reaches("10.7.0.2"));
    let (database, switch) = (m.pid("ovsdb-server").unwrap(), m.pid("ovs-vswitchd").unwrap());
    // ovs-ctl waits two seconds before it sends a signal; one after another the devices took four times as long.
    let expected = format!("Exiting ovs-vswitchd ({switch}).\nExiting ovsdb-server ({database}).\n");
    assert_eq!(m.ok("ovs-ctl", "stop"), expected);
    assert!(!m.host.ok("ip -brief link").contains("i249"));
}
