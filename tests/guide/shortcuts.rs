//! Flows that the kernel forwards itself while they are hot: hosts, captures, counters and rules see no difference.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};

use end_to_end::{Host, LIMIT, Programs, can_run, can_watch, holds_within, run, until};

use crate::host_devices::capture;
use crate::netflow::Ended;
use crate::{Pair, pages};

/// Whether the kernel may be given programs: by root of the machine, not of a user namespace.
fn can_load() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if !is_whole {
        eprintln!("skipped: root of a user namespace may not load programs into the kernel");
    }
    can_run() && is_whole
}

/// Sends 3,000 datagrams a second from the first line of its input to the last, to somebody who has room for a few; prints how
/// many. They are long enough not to be a flood.
const STREAM: &str = "
import socket, sys, threading, time
end, closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), threading.Event()
end.bind(('', 7001))
print('ready', flush=True)
sys.stdin.readline()
threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
count, start = 0, time.monotonic()
while not closed.is_set():
    while count < (time.monotonic() - start) * 3000:
        end.sendto(bytes(400), ('ADDRESS', 7001))
        count += 1
    time.sleep(0.001)
print(count, flush=True)
";

/// Sends a hundred echo requests, 1 ms apart, and prints how many were answered when all were or `PATIENCE` seconds have passed: ping
/// waits for the last ones only twice as long as others took.
const PINGS: &str = "
import select, socket, struct, time
end = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
end.connect(('10.1.0.2', 0))
answers, number, start = set(), 0, time.monotonic()
def checksum(data):
    total = sum(struct.unpack('!54H', data))
    return 0xffff - total % 0xffff
while len(answers) < 100 and (now := time.monotonic() - start) < PATIENCE:
    if number < 100 and now >= number * 0.001:
        request = struct.pack('!BBHHH100x', 8, 0, 0, 0xabcd, number)
        end.send(request[:2] + struct.pack('!H', checksum(request)) + request[4:])
        number += 1
    while select.select([end], [], [], 0.0005)[0]:
        kind, _, _, name, which = struct.unpack('!BBHHH', end.recv(2000)[20:28])
        if (kind, name) == (0, 0xabcd):
            assert which not in answers, 'twice'
            answers.add(which)
print(len(answers))
";

/// Each host sends the other so many packets that the kernel forwards them; until this is stopped or dropped.
struct Streams([Python; 2]);

impl Streams {
    fn start(pair: &Pair) -> Streams {
        let start = |host, to| Python::ready(host, &STREAM.replace("ADDRESS", to));
        let mut both = [start(&pair.a, "10.1.0.2"), start(&pair.b, "10.1.0.1")];
        // Both have their sockets: nobody says that there is none.
        for python in &mut both {
            python.child.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        }
        Streams(both)
    }

    /// How many were sent by each.
    fn stop(mut self) -> [u64; 2] {
        self.0.each_mut().map(|python| {
            python.close_input();
            python.line().parse().unwrap()
        })
    }
}

impl Pair {
    /// Whether the kernel forwards a flow that comes in by this port.
    fn offloads(&self, port: &str) -> bool {
        let flows = self.switch.appctl("dpctl/dump-flows -m --names type=offloaded");
        let mut flows_only = flows.lines().filter(|line| !line.starts_with("flow-dump from"));
        assert!(flows_only.all(|flow| flow.contains(", offloaded:yes")), "{flows}");
        flows.contains(&format!("in_port({port})"))
    }

    #[track_caller]
    fn until_offloaded(&self) {
        until("the kernel forwards both ways", || self.offloads("pa") && self.offloads("pb"));
    }

    /// Pings a hundred times; how many were answered within so many seconds.
    fn hundred_pings(&self, patience: u32) -> u64 {
        let program = PINGS.replace("PATIENCE", &patience.to_string());
        let said = run(self.a.command("python3").args(["-c", &program])).ok();
        said.trim().parse().unwrap()
    }

    #[track_caller]
    fn expect_answers(&self) {
        assert_eq!(self.hundred_pings(20), 100);
    }

    #[track_caller]
    fn expect_none(&self) {
        assert_eq!(self.hundred_pings(1), 0);
    }

    /// Does something while the kernel forwards what comes in by these ports, and again where a busy machine had it stop in between.
    #[track_caller]
    fn while_offloaded(&self, ports: &[&str], mut act: impl FnMut()) {
        let forwards = || ports.iter().all(|port| self.offloads(port));
        until("the kernel forwards all the time", || {
            forwards() && {
                act();
                forwards()
            }
        });
    }
}

/// A counter of a network device.
fn counter(host: &Host, device: &str, name: &str) -> u64 {
    host.ok(&format!("cat /sys/class/net/{device}/statistics/{name}")).trim().parse().unwrap()
}

#[test]
fn the_page_works_as_it_says() {
    if !can_load() {
        return;
    }
    let pair = Pair::new();
    let _streams = Streams::start(&pair);
    pages::type_all("shortcuts.md", &pair.switch.host, &pair.switch);
}

#[test]
fn what_the_kernel_forwards_is_counted_as_ever() {
    if !can_load() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    pair.switch.ofctl("add-flow ovsbr0 priority=9,ip,in_port=pa,actions=output:pb");
    pair.switch.ofctl("add-flow ovsbr0 priority=9,ip,in_port=pb,actions=output:pa");
    // A host whose program has ended says so of datagrams that still come.
    pair.switch.ofctl("add-flow ovsbr0 priority=10,icmp,icmp_type=3,actions=normal");
    let streams = Streams::start(&pair);
    pair.until_offloaded();
    for _ in 0..5 {
        pair.expect_answers();
    }
    let sent = streams.stop();
    // The counters of flows reach those of rules at intervals.
    for (port, datagrams) in ["pa", "pb"].into_iter().zip(sent) {
        let packets = datagrams + 500;
        // Headers of Ethernet, IPv4, and UDP or ICMP are 42 bytes together.
        let bytes = datagrams * 442 + 500 * 142;
        let mut shown = String::new();
        let is_counted = holds_within(LIMIT, || {
            shown = pair.switch.ofctl(&format!("dump-flows ovsbr0 ip,in_port={port}"));
            shown.contains(&format!("n_packets={packets}, n_bytes={bytes},"))
        });
        assert!(is_counted, "{packets} packets, {bytes} bytes were sent: {shown}");
    }
    until("the flows are the workers' again", || !pair.offloads("pa") && !pair.offloads("pb"));
    for (port, host) in [("pa", &pair.a), ("pb", &pair.b)] {
        for (ours, theirs) in [("rx", "tx"), ("tx", "rx")] {
            for unit in ["packets", "bytes"] {
                // Hosts may look for each other's addresses meanwhile.
                until(&format!("{port} has the same {ours}_{unit} everywhere"), || {
                    let name = format!("{ours}_{unit}");
                    let database =
                        pair.switch.vsctl(&format!("--if-exists get interface {port} statistics:{name}"));
                    let device = counter(&pair.switch.host, port, &name);
                    device == counter(host, "eth0", &format!("{theirs}_{unit}"))
                        && database.trim() == device.to_string()
                });
            }
        }
    }
}

#[test]
fn a_rule_holds_from_the_next_packet_on() {
    if !can_load() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    // These keep the flow hot; those that are looked at are sent after the change.
    let _streams = Streams::start(&pair);
    for rule in ["priority=99,ip", "priority=99,ip,in_port=pb", "priority=99,dl_type=0x0800,nw_dst=10.1.0.2"]
    {
        pair.until_offloaded();
        pair.switch.ofctl(&format!("add-flow ovsbr0 {rule},actions=drop"));
        pair.expect_none();
        pair.switch.ofctl(&format!("--strict del-flows ovsbr0 {rule}"));
        assert!(pair.a.reaches("10.1.0.2"));
    }
    pair.until_offloaded();
    pair.switch.ofctl("mod-port ovsbr0 pb no-forward");
    pair.expect_none();
    pair.switch.ofctl("mod-port ovsbr0 pb forward");
    pair.until_offloaded();
}

#[test]
fn a_port_that_goes_takes_its_flows_with_it() {
    if !can_load() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let _streams = Streams::start(&pair);
    for port in ["pa", "pb"] {
        pair.until_offloaded();
        pair.switch.vsctl(&format!("del-port {port}"));
        pair.expect_none();
        assert!(!pair.offloads("pa") && !pair.offloads("pb"));
        pair.switch.vsctl(&format!("add-port ovsbr0 {port}"));
        assert!(pair.a.reaches("10.1.0.2"));
    }
    // The device itself goes, and with it the other end.
    pair.until_offloaded();
    pair.switch.host.ok("ip link del pb");
    until("no flow is the kernel's", || !pair.offloads("pa") && !pair.offloads("pb"));
}

#[test]
fn settings_that_a_worker_has_to_see_to_leave_it_the_packets() {
    if !can_load() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let _streams = Streams::start(&pair);
    let cases = [
        (
            "set interface pa ingress_policing_rate=100000 ingress_policing_burst=100000",
            "set interface pa ingress_policing_rate=0 ingress_policing_burst=0",
            &["pa"][..],
        ),
        (
            "set Open_vSwitch . other_config:hw-offload=false",
            "remove Open_vSwitch . other_config hw-offload",
            &["pa", "pb"],
        ),
    ];
    for (set, unset, ports) in cases {
        pair.until_offloaded();
        pair.switch.vsctl(set);
        until(set, || !ports.iter().any(|port| pair.offloads(port)));
        // Nor do more packets change that.
        for _ in 0..3 {
            pair.expect_answers();
            assert!(!ports.iter().any(|port| pair.offloads(port)), "{set}");
        }
        pair.switch.vsctl(unset);
    }
    pair.until_offloaded();
}

/// The lines of a capture of a hundred pings, each once: requests and answers.
fn hundred(lines: impl Iterator<Item = String>) -> Vec<String> {
    let echo = |line: &str| line.split_once("ICMP echo ").map(|(_, rest)| rest.to_owned());
    let lines: Vec<String> = lines.collect();
    let mut echoes: Vec<String> = lines.iter().filter_map(|line| echo(line)).collect();
    echoes.sort();
    echoes.dedup();
    let requests = echoes.iter().filter(|echo| echo.starts_with("request")).count();
    assert_eq!((requests, echoes.len()), (100, 200), "{lines:?}");
    lines
}

/// A capture of the frames of a hundred pings and of their answers.
fn watch(host: &Host, device: &str) -> (Ended, impl Iterator<Item = String>) {
    let mut command = host.command("timeout");
    command.args(["60", "tcpdump", "-pelni", device, "-c", "200"]);
    // A tag is looked for only where that is said.
    command.arg("icmp or (vlan and icmp)");
    let (child, lines) = capture(command);
    (Ended(child), lines)
}

#[test]
fn captures_shaping_and_filters_of_a_port_see_every_frame() {
    if !can_load() || !can_watch() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let _streams = Streams::start(&pair);
    for port in ["pa", "pb"] {
        pair.while_offloaded(&["pa", "pb"], || {
            let (_child, lines) = watch(&pair.switch.host, port);
            pair.expect_answers();
            hundred(lines);
        });
    }

    let host = &pair.switch.host;
    host.ok("tc qdisc add dev pb root tbf rate 100kbit burst 2kb limit 3kb");
    let delayed = || pair.counted("tc -s qdisc show dev pb root", "overlimits ");
    pair.while_offloaded(&["pa"], || {
        let before = delayed();
        until("the discipline delays", || delayed() > before + 100);
    });
    host.ok("tc qdisc del dev pb root");

    // A program that drops: 2 is TC_ACT_SHOT.
    let mut filter = host.command("tc");
    filter.args("filter add dev pb egress pref 1 protocol all bpf bytecode".split(' '));
    assert!(filter.args(["1,6 0 0 2,", "direct-action"]).status().unwrap().success());
    pair.while_offloaded(&["pa"], || pair.expect_none());
    host.ok("tc filter del dev pb egress");

    // Chains of nftables would not see what the kernel forwards, so that workers do.
    host.ok("nft add table netdev watch");
    host.ok("nft add chain netdev watch out { type filter hook egress device pb priority 0 ; }");
    host.ok("nft add rule netdev watch out ip protocol icmp counter");
    let sees_all = || {
        let before = pair.counted("nft list chain netdev watch out", "packets ");
        pair.expect_answers();
        pair.counted("nft list chain netdev watch out", "packets ") == before + 100
    };
    until("the workers forward", sees_all);
    for _ in 0..5 {
        assert!(sees_all() && !pair.offloads("pa") && !pair.offloads("pb"));
    }
    host.ok("nft delete table netdev watch");
    pair.until_offloaded();
}

#[test]
fn a_mirror_gets_every_packet_from_then_on() {
    if !can_load() || !can_watch() {
        return;
    }
    let pair = Pair::new();
    let host = &pair.switch.host;
    host.wire("mirror", "watcher");
    pair.switch.vsctl("add-port ovsbr0 mirror");
    assert!(pair.a.reaches("10.1.0.2"));
    let _streams = Streams::start(&pair);
    for _ in 0..3 {
        let (_child, lines) = watch(host, "watcher");
        pair.until_offloaded();
        pair.switch.vsctl(
            "-- --id=@to get port mirror -- --id=@m create mirror name=m select_all=true output_port=@to \
             -- set bridge ovsbr0 mirrors=@m",
        );
        pair.expect_answers();
        assert!(!pair.offloads("pa") && !pair.offloads("pb"));
        hundred(lines);
        pair.switch.vsctl("clear bridge ovsbr0 mirrors");
    }
    pair.until_offloaded();
}

#[test]
fn a_tag_is_put_on_and_taken_off_by_the_kernel() {
    if !can_load() || !can_watch() {
        return;
    }
    // Two bridges with a wire between them that carries the tag.
    let pair = Pair::new();
    let host = &pair.switch.host;
    host.wire("trunk0", "trunk1");
    pair.switch.vsctl("set port pa tag=7 -- add-port ovsbr0 trunk0 trunks=7,8 -- del-port pb");
    pair.switch.vsctl("add-br ovsbr1 -- add-port ovsbr1 trunk1 trunks=7,8 -- add-port ovsbr1 pb tag=7");
    assert!(pair.a.reaches("10.1.0.2"));
    let _streams = Streams::start(&pair);
    let all_four = ["pa", "trunk0", "trunk1", "pb"];
    for (host, device, expected) in [
        (host, "trunk1", "vlan 7, p 0, ethertype IPv4 "),
        (&pair.b, "eth0", "ethertype IPv4 (0x0800), length"),
        (&pair.a, "eth0", "ethertype IPv4 (0x0800), length"),
    ] {
        pair.while_offloaded(&all_four, || {
            let (_child, lines) = watch(host, device);
            pair.expect_answers();
            let lines = hundred(lines);
            assert!(lines.iter().all(|line| line.contains(expected)), "{device}: {lines:?}");
        });
    }
    // The VLAN changes under a flow that is hot.
    pair.switch.vsctl("set port pa tag=8");
    pair.expect_none();
    pair.switch.vsctl("set port pb tag=8");
    assert!(pair.a.reaches("10.1.0.2"));
    pair.while_offloaded(&all_four, || {
        let (_child, lines) = watch(host, "trunk0");
        pair.expect_answers();
        assert!(hundred(lines).iter().all(|line| line.contains("vlan 8, ")));
    });
}

/// Sends 200 MB over TCP, and more while its input is open; prints how many blocks, and a checksum.
const SEND_TCP: &str = "
import hashlib, random, socket, sys, threading
closed = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
block = random.randbytes(1 << 20)
end, count, digest = socket.create_connection(('10.1.0.2', 7000)), 0, hashlib.sha256()
while count < 200 or not closed.is_set():
    part = count.to_bytes(8, 'big') + block
    end.sendall(part)
    digest.update(part)
    count += 1
end.shutdown(socket.SHUT_WR)
print(count, digest.hexdigest(), flush=True)
";

/// Receives it; prints a checksum.
const RECEIVE_TCP: &str = "
import hashlib, socket
listener = socket.create_server(('', 7000))
print('ready', flush=True)
end, digest, length = listener.accept()[0], hashlib.sha256(), 0
while data := end.recv(1 << 18):
    digest.update(data)
    length += len(data)
print(length // ((1 << 20) + 8), digest.hexdigest(), flush=True)
";

/// Sends numbered datagrams, five a millisecond, 10,000 and more while its input is open; after them a few that are empty.
const SEND_UDP: &str = "
import socket, sys, threading, time
closed = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
end, count = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
while count < 10000 or not closed.is_set():
    for _ in range(5):
        end.sendto(count.to_bytes(8, 'big') * 8, ('10.1.0.2', 7000))
        count += 1
    time.sleep(0.001)
for _ in range(100):
    end.sendto(b'', ('10.1.0.2', 7000))
    time.sleep(0.01)
print(count, flush=True)
";

/// Receives them until an empty one; prints each that comes after a later one.
const RECEIVE_UDP: &str = "
import socket
end, last, late = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), -1, []
end.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)
end.bind(('', 7000))
print('ready', flush=True)
while data := end.recv(100):
    number = int.from_bytes(data[:8], 'big')
    if number <= last:
        late.append((number, last))
    last = max(number, last)
print('late', late, flush=True)
";

/// A program in Python, and what it prints.
struct Python {
    child: Ended,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Python {
    fn start(host: &Host, program: &str) -> Python {
        let mut command = host.command("python3");
        command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Python { child: Ended(child), lines }
    }

    /// One that says when it is ready.
    fn ready(host: &Host, program: &str) -> Python {
        let mut python = Python::start(host, program);
        assert_eq!(python.line(), "ready");
        python
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").unwrap()
    }

    fn close_input(&mut self) {
        drop(self.child.0.stdin.take());
    }
}

#[test]
fn tcp_with_its_usual_offloads_arrives_whole() {
    if !can_load() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let _streams = Streams::start(&pair);
    let mut receiver = Python::ready(&pair.b, RECEIVE_TCP);
    let mut sender = Python::start(&pair.a, SEND_TCP);
    pair.until_offloaded();
    sender.close_input();
    assert_eq!(sender.line(), receiver.line());
}

#[test]
fn packets_keep_their_order_while_the_flow_changes_hands() {
    if !can_load() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let mut receiver = Python::ready(&pair.b, RECEIVE_UDP);
    let mut sender = Python::start(&pair.a, SEND_UDP);
    let is_offloaded = || pair.offloads("pa");
    for round in 0..10 {
        until("the kernel forwards", is_offloaded);
        // Rules that do not concern the flow.
        for number in 0..10 {
            pair.switch
                .ofctl(&format!("add-flow ovsbr0 priority={},tcp,tp_dst=7{number},actions=drop", 10 + round));
        }
        pair.switch.ofctl("del-flows ovsbr0 tcp");
        // The worker gets it, and gives it away again.
        pair.switch.vsctl("set Open_vSwitch . other_config:hw-offload=false");
        until("the worker forwards", || !is_offloaded());
        pair.switch.vsctl("remove Open_vSwitch . other_config hw-offload");
    }
    until("the kernel forwards", is_offloaded);
    sender.close_input();
    assert!(sender.line().parse::<u64>().unwrap() >= 10_000);
    assert_eq!(receiver.line(), "late []");
}

#[test]
fn a_frame_that_comes_in_again_is_a_new_one() {
    if !can_load() {
        return;
    }
    // A wire leads from one bridge to the other, whose rules leave the workers what comes by it.
    let pair = Pair::new();
    let host = &pair.switch.host;
    host.wire("wa", "wb");
    pair.switch
        .vsctl("del-port pb -- add-port ovsbr0 wa -- add-br other -- set bridge other datapath_type=netdev");
    pair.switch.vsctl("add-port other wb -- add-port other pb");
    pair.switch.ofctl("add-flow other priority=9,in_port=wb,actions=normal,LOCAL");
    assert!(pair.a.reaches("10.1.0.2"));
    let before = counter(&pair.b, "eth0", "rx_packets");
    let streams = Streams::start(&pair);
    pair.until_offloaded();
    for _ in 0..3 {
        pair.expect_answers();
    }
    assert!(pair.offloads("pa") && !pair.offloads("wb"));
    let [sent, _] = streams.stop();
    let came = counter(&pair.b, "eth0", "rx_packets") - before;
    assert!(came < sent + 1000, "{sent} datagrams were sent, {came} packets came");
}

/// Sends such datagrams on one processor, of which it has most, as fast as it can, until its input ends.
const FLOOD: &str = "
import os, socket, sys, threading, time
os.sched_setaffinity(0, {PROCESSOR})
os.nice(-10)
closed = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
end, count = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
while not closed.is_set():
    for count in range(count + 1, count + 100):
        end.sendto(count.to_bytes(8, 'big'), ('10.1.0.2', 7000))
for _ in range(100):
    end.sendto(b'', ('10.1.0.2', 7000))
    time.sleep(0.01)
";

#[test]
fn a_flood_is_the_kernels_where_workers_lose_it_for_want_of_a_processor() {
    if !can_load() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let allowed = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let processor = allowed.trim().rsplit([',', '-']).next().unwrap();
    pair.switch.host.ok(&format!("taskset -acp {processor} {}", pair.switch.pid()));
    let mut receiver = Python::ready(&pair.b, RECEIVE_UDP);
    let mut sender = Python::start(&pair.a, &FLOOD.replace("PROCESSOR", processor));
    let came = || counter(&pair.b, "eth0", "rx_packets");
    until("the kernel forwards a flood, and goes on", || {
        let (before, began) = (came(), Instant::now());
        let goes_on = (0..10).all(|_| {
            std::thread::sleep(Duration::from_millis(100));
            pair.offloads("pa")
        });
        goes_on && (came() - before) as f64 > 60_000.0 * began.elapsed().as_secs_f64()
    });
    sender.close_input();
    assert_eq!(receiver.line(), "late []");
}

#[test]
fn the_next_process_takes_hot_flows_over() {
    if !can_load() {
        return;
    }
    let mut pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let _streams = Streams::start(&pair);
    for _ in 0..3 {
        pair.until_offloaded();
        pair.switch.end_daemon();
        // One that only forwards stands in for it.
        assert!(pair.a.reaches("10.1.0.2"));
        pair.switch.start_daemon();
        assert!(pair.a.reaches("10.1.0.2"));
    }
    pair.until_offloaded();
    pair.switch.kill_daemon();
    until("nobody forwards", || !pair.a.is_answered("10.1.0.2"));
    pair.switch.start_daemon();
    assert!(pair.a.reaches("10.1.0.2"));
    pair.until_offloaded();
    pair.switch.ctl("ovs-appctl", "exit").ok();
    until("the process ends", || !pair.switch.is_alive());
    pair.expect_none();
}

#[test]
fn without_the_right_to_load_programs_workers_forward_all() {
    if !can_load() {
        return;
    }
    let mut pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    pair.switch.ctl("ovs-appctl", "exit").ok();
    until("the process ends", || !pair.switch.is_alive());
    let plain = pair.switch.command("ovs-vswitchd");
    let mut command = pair.switch.host.command("setpriv");
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.arg("--bounding-set=-sys_admin,-bpf").arg(Programs::Ours.path("ovs-vswitchd"));
    let dir = pair.switch.dir.display();
    command.arg(format!("unix:{dir}/db.sock")).args(["--pidfile", "--log-file", "-vconsole:off"]);
    let _daemon = Ended(command.stderr(Stdio::null()).spawn().unwrap());
    assert!(pair.a.reaches("10.1.0.2"));
    for _ in 0..5 {
        pair.expect_answers();
        assert!(!pair.offloads("pa") && !pair.offloads("pb"));
    }
    let log = std::fs::read_to_string(pair.switch.dir.join("ovs-vswitchd.log")).unwrap();
    assert_eq!(log.matches("the kernel forwards no flows itself").count(), 1, "{log}");
}
