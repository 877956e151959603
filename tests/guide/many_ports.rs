//! Many ports at once: what they cost, devices that all go and come back, and a process that runs out of files.

use std::fmt::Write;

use end_to_end::{can_run, run, until};

use crate::Pair;

/// How many ports beside the pair's.
const COUNT: usize = 150;

/// Runs the lines by `ip -batch` in the switch's host.
fn batch(pair: &Pair, lines: &str) {
    let path = pair.switch.dir.join("batch");
    std::fs::write(&path, lines).unwrap();
    run(pair.switch.host.command("ip").arg("-batch").arg(&path)).ok();
}

fn make_devices(pair: &Pair) {
    let mut lines = String::new();
    for n in 0..COUNT {
        writeln!(lines, "link add v{n} type veth peer name w{n}").unwrap();
        writeln!(lines, "link set v{n} up\nlink set w{n} up").unwrap();
    }
    batch(pair, &lines);
}

fn add_ports(pair: &Pair) {
    let words: Vec<String> = (0..COUNT).map(|n| format!("add-port ovsbr0 v{n}")).collect();
    pair.switch.vsctl(&format!("--timeout=60 {}", words.join(" -- ")));
}

/// A column of all interfaces: name and value.
fn column(pair: &Pair, name: &str) -> Vec<String> {
    let lines =
        pair.switch.vsctl(&format!("--format=csv --no-headings --columns=name,{name} list interface"));
    let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_quiet_port_takes_little_memory() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    make_devices(&pair);
    let before = pair.switch.memory();
    add_ports(&pair);
    let each = pair.switch.memory().saturating_sub(before) / COUNT;
    assert!(each < 64 << 10, "{each} bytes a port");
}

#[test]
fn devices_that_all_go_at_once_come_back_with_their_numbers() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    make_devices(&pair);
    add_ports(&pair);
    let numbers = column(&pair, "ofport");
    let lines: Vec<String> = (0..COUNT).map(|n| format!("link del v{n}")).collect();
    batch(&pair, &lines.join("\n"));
    until("all are missed", || {
        column(&pair, "error").iter().filter(|line| line.contains("No such device")).count() == COUNT
    });
    assert!(pair.a.reaches("10.1.0.2"), "the others forward");
    make_devices(&pair);
    until("all are back", || column(&pair, "ofport") == numbers);
    assert!(column(&pair, "error").iter().all(|line| !line.contains("No such device")));
    assert!(pair.a.reaches("10.1.0.2"));
}

#[test]
fn after_a_crash_the_first_ports_forward_before_the_others_are_open() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new();
    make_devices(&pair);
    add_ports(&pair);
    pair.switch.vsctl("set port v7 tag=7");
    let numbers = column(&pair, "ofport");
    pair.switch.kill_daemon();
    let log = pair.switch.dir.join("ovs-vswitchd.log");
    let before = std::fs::read_to_string(&log).unwrap().len();
    pair.switch.start_daemon();
    pair.switch.vsctl("--timeout=60 set bridge ovsbr0 external_ids:a=b");
    assert_eq!(column(&pair, "ofport"), numbers);
    assert!(pair.a.reaches("10.1.0.2"));
    let said = std::fs::read_to_string(&log).unwrap().split_off(before);
    let added: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("added "))
        .map(|line| line.rsplit('|').next().unwrap())
        .collect();
    let ready = added.iter().position(|line| line.contains("ovsbr0.mgmt")).unwrap();
    assert!((1..COUNT / 2).contains(&ready), "{ready} ports before the bridge was ready: {added:?}");
    assert_eq!(added.len(), COUNT + 4, "{added:?}");
}

#[test]
fn without_file_descriptors_ports_say_so_and_the_others_forward() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    make_devices(&pair);
    let pid = pair.switch.pid();
    // The switch keeps some back, without which it could not look after the ports that it has.
    let limit = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() + 64 + COUNT / 2;
    run(std::process::Command::new("prlimit").args([
        "--pid",
        &pid.to_string(),
        &format!("--nofile={limit}:"),
    ]))
    .ok();
    let words: Vec<String> = (0..COUNT).map(|n| format!("add-port ovsbr0 v{n}")).collect();
    // It reports the ports that fail.
    pair.switch.ctl("ovs-vsctl", &format!("--timeout=60 {}", words.join(" -- ")));
    let failed = column(&pair, "error").iter().filter(|line| line.contains("Too many open files")).count();
    assert!((1..COUNT).contains(&failed), "{failed} of {COUNT} failed");
    assert!(pair.a.reaches("10.1.0.2"));
    run(std::process::Command::new("prlimit").args(["--pid", &pid.to_string(), "--nofile=1024:"])).ok();
    // Any change has those tried again that failed.
    pair.switch.vsctl("--timeout=60 set bridge ovsbr0 external_ids:a=b");
    until("all are open", || column(&pair, "error").iter().all(|line| !line.contains("Too many open files")));
}
