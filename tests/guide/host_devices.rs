//! A port's device seen from the host: its own stack, captures, traffic control.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use end_to_end::{Host, Programs, can_run, can_watch, until};

use crate::Pair;

/// Starts a capture that ends by itself after `count` frames; returns when it watches.
pub(crate) fn capture(mut command: Command) -> (Child, impl Iterator<Item = String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let watches = said.any(|line| line.is_ok_and(|line| line.starts_with("listening on")));
    assert!(watches, "the capture ended before it began");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Its further words must not stop it.
    std::thread::spawn(move || said.for_each(drop));
    (child, lines.map_while(Result::ok))
}

impl Pair {
    /// Gives the bridge's own port the address 10.1.0.254 and the same hardware address as port `pa`, for whose sake the
    /// host's stack would take frames of the bridge straight from the port.
    fn with_own_address(self) -> Pair {
        let host = &self.switch.host;
        let mac = host.ok("cat /sys/class/net/pa/address");
        self.switch.vsctl(&format!("set bridge ovsbr0 other_config:hwaddr=\"{}\"", mac.trim()));
        host.ok("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0");
        for device in ["pa", "pb", "ovsbr0"] {
            host.ok(&format!("sysctl -qw net.ipv6.conf.{device}.disable_ipv6=0"));
            host.ok(&format!("ip link set {device} down"));
            host.ok(&format!("ip link set {device} address {}", mac.trim()));
            host.ok(&format!("ip link set {device} up"));
        }
        host.address("ovsbr0", "10.1.0.254/16");
        host.ok("ip addr add fd00::254/64 dev ovsbr0 nodad");
        self.a.ok("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
        self.a.ok("ip addr add fd00::1/64 dev eth0 nodad");
        self
    }
}

#[test]
fn what_enters_a_port_is_the_switchs_alone() {
    if !can_watch() {
        return;
    }
    let pair = Pair::new().with_own_address();
    assert!(pair.a.reaches("10.1.0.254"));
    assert!(pair.a.reaches("fd00::254"));
    for address in ["10.1.0.254", "fd00::254"] {
        let said = pair.a.ok(&format!("ping -c 5 -i 0.05 {address}"));
        assert!(
            said.contains("5 received") && !said.contains("DUP") && !said.contains("duplicates"),
            "{said}"
        );
    }
    // Who has the address is asked of the bridge, not of each of its ports.
    pair.a.ok("ip neigh flush dev eth0");
    let mut watch = pair.a.command("tcpdump");
    watch.args(["-lni", "eth0", "-Q", "in", "arp or icmp"]);
    let (mut child, mut lines) = capture(watch);
    pair.a.ok("ping -c 2 -i 0.2 10.1.0.254");
    let mut answers = 0;
    let mut echoes = 0;
    while echoes < 2 {
        let line = lines.next().unwrap();
        answers += usize::from(line.contains("ARP, Reply 10.1.0.254"));
        echoes += usize::from(line.contains("ICMP echo reply"));
    }
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(answers, 1);
}

#[test]
fn an_address_left_on_a_port_is_reported() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let host = &pair.switch.host;
    pair.switch.vsctl("del-port pa");
    host.address("pa", "192.0.2.7/24");
    pair.switch.vsctl("add-port ovsbr0 pa");
    let log = std::fs::read_to_string(pair.switch.dir.join("ovs-vswitchd.log")).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("192.0.2.7")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("pa: its address 192.0.2.7 cannot be reached"), "{}", lines[0]);
}

#[test]
fn a_device_is_left_as_it_was_found() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let host = &pair.switch.host;
    let state = |device: &str| (host.ok(&format!("tc qdisc show dev {device}")), filters(host, device));
    assert!(state("pa").1.contains("ironbridge"), "{:?}", state("pa"));
    // Whoever had a filter of his own keeps it.
    host.ok("tc filter add dev pb ingress pref 7 u32 match u32 0 0");
    pair.switch.vsctl("del-port pa -- del-port pb");
    until("the filter is gone", || !filters(host, "pa").contains("ironbridge"));
    assert!(!state("pa").0.contains("clsact"), "{:?}", state("pa"));
    until("the filter is gone", || !filters(host, "pb").contains("ironbridge"));
    assert!(state("pb").1.contains("pref 7 u32"), "{:?}", state("pb"));
    pair.switch.vsctl("add-port ovsbr0 pa");
    until("the port is closed to the host", || filters(host, "pa").contains("ironbridge"));
    pair.switch.appctl("exit");
    until("the daemon has gone", || !filters(host, "pa").contains("ironbridge"));
    assert!(!state("pa").0.contains("clsact"), "{:?}", state("pa"));
}

#[test]
fn what_a_killed_daemon_left_is_taken_over() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new();
    let host = pair.switch.host.clone();
    pair.switch.kill_daemon();
    assert!(filters(&host, "pa").contains("ironbridge"));
    pair.switch.start_daemon();
    assert!(pair.a.reaches("10.1.0.2"));
    assert_eq!(filters(&host, "pa").matches("ironbridge").count(), 1);
    pair.switch.vsctl("del-port pa");
    until("the device is as it was", || !host.ok("tc qdisc show dev pa").contains("clsact"));
}

fn filters(host: &Host, device: &str) -> String {
    // Without the discipline that has the hook, there is nothing to show.
    host.run(&format!("tc filter show dev {device} ingress")).out
}

#[test]
fn a_capture_on_a_port_shows_both_directions() {
    if !can_watch() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let mut command = pair.switch.host.command("tcpdump");
    command.args(["-lni", "pb", "-c", "4", "icmp"]);
    let (mut child, lines) = capture(command);
    pair.a.ok("ping -c 2 -i 0.2 10.1.0.2");
    let lines: Vec<String> = lines.collect();
    child.wait().unwrap();
    for kind in ["echo request", "echo reply"] {
        assert_eq!(lines.iter().filter(|line| line.contains(kind)).count(), 2, "{lines:?}");
    }
}

#[test]
fn the_references_ovs_tcpdump_shows_both_directions() {
    if !can_watch() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let mut command = pair.switch.command_of(Programs::Reference, "ovs-tcpdump");
    let socket = format!("unix:{}", pair.switch.dir.join("db.sock").display());
    command.args(["--db-sock", &socket, "-i", "pb", "-lnc", "4", "icmp"]);
    let (mut child, lines) = capture(command);
    until("it has its mirror", || pair.switch.vsctl("list-ports ovsbr0").contains("mipb"));
    pair.a.ok("ping -c 2 -i 0.2 10.1.0.2");
    let lines: Vec<String> = lines.collect();
    child.wait().unwrap();
    for kind in ["echo request", "echo reply"] {
        assert_eq!(lines.iter().filter(|line| line.contains(kind)).count(), 2, "{lines:?}");
    }
}

#[test]
fn traffic_control_of_a_port_shapes_what_it_sends() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    pair.switch.host.ok("tc qdisc add dev pb root tbf rate 1mbit burst 2kb limit 3kb");
    // Frames of 10 kB in all, where 2 kB may go at once.
    pair.a.run("ping -q -c 10 -i 0.002 -s 1000 10.1.0.2");
    let shown = pair.switch.host.ok("tc -s qdisc show dev pb root");
    let delayed =
        shown.split("overlimits ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(delayed.is_some_and(|delayed| delayed > 0), "{shown}");
}
