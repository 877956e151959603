//! From one process of the switch to the next: what passes meanwhile, and what is left when none comes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use end_to_end::{Programs, Switch, World, can_run, until};

use crate::Pair;

/// Pings a thousand times a second until [`Pings::lost`].
struct Pings(Child);

impl Pings {
    fn start(pair: &Pair) -> Pings {
        let ping = "ping -q -i 0.001 -s 10 10.1.0.2";
        let mut words = ping.split(' ');
        let mut command = pair.a.command(words.next().unwrap());
        Pings(command.args(words).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// How many were sent, and how many of them were not answered.
    fn lost(self) -> (i64, i64) {
        let ping = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(ping, rustix::process::Signal::INT).unwrap();
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers = |word: &str| {
            let before = text.split(word).next().unwrap();
            before.split_whitespace().next_back().unwrap().parse::<i64>().unwrap()
        };
        let (sent, received) = (numbers(" packets transmitted"), numbers(" received"));
        (sent, sent - received)
    }
}

/// Packet sockets that take frames, in the switch's host.
fn sockets(pair: &Pair) -> usize {
    let table = pair.switch.host.ok("cat /proc/net/packet");
    table.lines().filter(|line| line.split_whitespace().nth(3) == Some("0003")).count()
}

fn filters(pair: &Pair) -> String {
    pair.switch.host.ok("tc filter show dev pa ingress")
}

#[test]
fn packets_pass_while_the_next_process_starts() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let pings = Pings::start(&pair);
    for _ in 0..3 {
        pair.switch.end_daemon();
        pair.switch.start_daemon();
        until("the next process forwards", || {
            let log = std::fs::read_to_string(pair.switch.dir.join("ovs-vswitchd.log")).unwrap();
            log.matches("forwards in place of the one before").count()
                == log.matches("forwards until this one is ready").count()
        });
    }
    let (sent, lost) = pings.lost();
    assert!(lost <= 60, "{lost} of {sent} were lost in three restarts");
    let log = std::fs::read_to_string(pair.switch.dir.join("ovs-vswitchd.log")).unwrap();
    assert_eq!(log.matches("forwards in place of the one before").count(), 3, "{log}");
    until("the keepers are gone", || sockets(&pair) == 2);
    assert!(!filters(&pair).is_empty());
    assert!(pair.a.reaches("10.1.0.2"));
}

#[test]
fn the_bridges_own_port_stays_with_its_addresses() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new();
    pair.switch.host.address("ovsbr0", "10.1.0.9/16");
    pair.switch.host.ok("ip link set ovsbr0 up");
    let index = |pair: &Pair| pair.switch.host.ok("cat /sys/class/net/ovsbr0/ifindex");
    let before = index(&pair);
    pair.switch.end_daemon();
    pair.switch.start_daemon();
    until("the host is reached", || pair.a.is_answered("10.1.0.9"));
    assert_eq!(index(&pair), before);
}

#[test]
fn devices_are_as_before_when_no_process_follows() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new();
    assert!(!filters(&pair).is_empty());
    pair.switch.end_daemon();
    until("the keeper closes the ports", || sockets(&pair) == 0);
    until("it is gone", || {
        !pair.switch.host.run("ip link show ovsbr0").status == 0 || filters(&pair).is_empty()
    });
    assert_eq!(filters(&pair), "");
    assert_ne!(pair.switch.host.run("ip link show ovsbr0").status, 0);
    assert!(!pair.switch.dir.join(".ovs-vswitchd.keeper").exists());
    pair.switch.start_daemon();
    until("packets pass again", || pair.a.is_answered("10.1.0.2"));
}

#[test]
fn another_switch_gets_the_devices_at_once() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("sw");
    for name in ["first", "second", "third"] {
        let mut switch = Switch::start(&world, &host, name, Programs::Ours);
        switch.vsctl("add-br br0");
        assert_eq!(switch.vsctl("get interface br0 error"), "[]\n");
        switch.end_daemon();
    }
}

#[test]
fn who_says_exit_means_the_end() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new();
    pair.switch.ctl("ovs-appctl", "exit").ok();
    until("the process ends", || !pair.switch.is_alive());
    assert_eq!(sockets(&pair), 0);
    assert_eq!(filters(&pair), "");
}

/// The open files of a process: what each number stands for.
fn files(pid: u32) -> BTreeMap<String, PathBuf> {
    let directory = Path::new("/proc").join(pid.to_string()).join("fd");
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            Some((entry.file_name().into_string().ok()?, std::fs::read_link(entry.path()).ok()?))
        })
        .collect()
}

#[test]
fn a_killed_switch_is_gone_before_its_ports_are_closed() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new();
    let daemon = pair.switch.pid();
    let children = std::fs::read_to_string(format!("/proc/{daemon}/task/{daemon}/children")).unwrap();
    let holder: u32 = children.trim().parse().expect("one child");
    let has_ports = |files: &BTreeMap<String, PathBuf>| files.values().any(|path| path.ends_with("tun"));
    // Whatever the daemon opens, the holder has it.
    until("both have the same files", || {
        let files = files(holder);
        has_ports(&files) && files == self::files(daemon)
    });
    pair.switch.kill_daemon();
    until("the holder closes everything", || sockets(&pair) == 0 && files(holder).is_empty());
    pair.switch.start_daemon();
    until("packets pass again", || pair.a.is_answered("10.1.0.2"));
}
