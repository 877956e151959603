//! A port that sends much sends straight to its driver; whoever captures,
//! shapes or filters what it sends finds it all the same.

use std::process::{Child, Stdio};
use std::time::Duration;

use end_to_end::{can_watch, until};

use crate::Pair;
use crate::host_devices::capture;

/// A flood of small frames from host `a` to port `pb`, which ends with the test.
struct Flood(Child);

impl Flood {
    fn start(pair: &Pair) -> Flood {
        // It is about what workers send.
        pair.switch.vsctl("set Open_vSwitch . other_config:hw-offload=false");
        let mut command = pair.a.command("iperf3");
        command.args(["-c", "10.1.0.2", "-u", "-l", "64", "-b", "20M", "-t", "600"]);
        let server = pair.b.command("iperf3").args(["-s", "-1", "-D"]).status().unwrap();
        assert!(server.success());
        until("iperf3 listens", || pair.b.ok("ss -ltnH").contains(":5201 "));
        Flood(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Pair {
    /// Each way that frames of `pb` went, by what the log says.
    fn ways(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.switch.dir.join("ovs-vswitchd.log")).unwrap();
        log.lines()
            .filter_map(|line| line.split_once("pb: frames are ").map(|(_, way)| way.to_owned()))
            .collect()
    }

    /// Waits until frames go directly once more than `before` times.
    fn until_direct(&self, before: usize) -> usize {
        let times = || self.ways().iter().filter(|way| *way == "sent directly").count();
        until("frames are sent directly", || times() > before);
        times()
    }

    /// The first number after `word` in what a command shows.
    pub(crate) fn counted(&self, shown: &str, word: &str) -> u64 {
        let text = self.switch.host.ok(shown);
        let mut counts =
            text.split(word).skip(1).filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
        counts.next().unwrap_or(0)
    }
}

#[test]
fn what_is_sent_directly_can_be_seen_shaped_and_filtered() {
    if !can_watch() {
        return;
    }
    let pair = Pair::new();
    let host = &pair.switch.host;
    pair.switch.appctl("vlog/set dpif_netdev:file:dbg");
    assert!(pair.a.reaches("10.1.0.2"));
    let flood = Flood::start(&pair);
    let mut times = pair.until_direct(0);

    for link in ["pb", "any"] {
        let mut watch = host.command("timeout");
        watch.args(["60", "tcpdump", "-lni", link, "-c", "1000", "-Q", "out", "udp and dst port 5201"]);
        let (mut child, lines) = capture(watch);
        assert_eq!(lines.count(), 1000, "{link}");
        child.wait().unwrap();
        times = pair.until_direct(times);
    }

    host.ok("tc qdisc add dev pb root tbf rate 1mbit burst 2kb limit 3kb");
    until("the discipline delays", || pair.counted("tc -s qdisc show dev pb root", "overlimits ") > 100);
    host.ok("tc qdisc del dev pb root");
    times = pair.until_direct(times);

    // A program that drops: 2 is TC_ACT_SHOT.
    let added = host
        .command("tc")
        .args("filter add dev pb egress pref 1 protocol all bpf bytecode".split(' '))
        .args(["1,6 0 0 2,", "direct-action"])
        .status();
    assert!(added.unwrap().success());
    let arrived = || pair.b.ok("cat /sys/class/net/eth0/statistics/rx_packets");
    until("the filter drops", || {
        let before = arrived();
        std::thread::sleep(Duration::from_millis(100));
        arrived() == before
    });
    host.ok("tc filter del dev pb egress");
    times = pair.until_direct(times);

    host.ok("nft add table netdev watch");
    host.ok("nft add chain netdev watch out { type filter hook egress device pb priority 0 ; }");
    host.ok("nft add rule netdev watch out counter");
    until("the chain counts", || pair.counted("nft list chain netdev watch out", "packets ") > 100);
    host.ok("nft delete table netdev watch");
    pair.until_direct(times);

    // A port that is quiet again needs no lease, and its next frames are queued. It may have been quiet before: the flood
    // comes in spurts where it has to wait for a processor.
    drop(flood);
    let quiet = "queued (it sends little)";
    until("the lease is over", || pair.ways().last().is_some_and(|way| way == quiet));
    let mut watch = host.command("timeout");
    watch.args(["60", "tcpdump", "-lni", "any", "-c", "2", "-Q", "out", "icmp and dst host 10.1.0.2"]);
    let (mut child, lines) = capture(watch);
    pair.a.ok("ping -c 2 -i 0.2 10.1.0.2");
    assert_eq!(lines.count(), 2);
    child.wait().unwrap();
}

#[test]
fn a_link_that_goes_down_and_up_is_sent_to_again() {
    if !can_watch() {
        return;
    }
    let pair = Pair::new();
    pair.switch.appctl("vlog/set dpif_netdev:file:dbg");
    assert!(pair.a.reaches("10.1.0.2"));
    let _flood = Flood::start(&pair);
    let times = pair.until_direct(0);
    pair.switch.host.ok("ip link set pb down");
    pair.switch.host.ok("ip link set pb up");
    pair.until_direct(times);
    assert!(pair.a.reaches("10.1.0.2"));
    // The device itself goes, and with it the port.
    pair.switch.host.ok("ip link del pb");
    until("the port says so", || pair.switch.vsctl("get interface pb error").contains("No such device"));
}
