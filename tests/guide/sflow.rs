//! Section 5: sFlow, from the line that the guide gives to what a collector makes of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use end_to_end::{Host, LIMIT, Programs, Switch, World, can_run, can_watch, holds_within, run, until};

/// Two hosts on a bridge of a switch, whose `eth1` leads to a collector.
struct Network {
    a: Host,
    collector: Host,
    switch: Switch,
    world: World,
}

/// What the guide asks for, without a shell's quoting.
const GUIDE: &str = "-- --id=@sflow create sflow agent=eth1 target=\"172.16.18.18:6343\" header=128 \
                     sampling=64 polling=1 -- set bridge ovsbr0 sflow=@sflow";

/// Pings of a run; each is a packet there and a packet back.
const PINGS: usize = 4000;

impl Network {
    fn new(programs: Programs) -> Network {
        let world = World::new();
        let (a, b, middle) = (world.host("a"), world.host("b"), world.host("sw"));
        let collector = world.host("coll");
        world.wire(&middle, "pa", &a, "eth0");
        world.wire(&middle, "pb", &b, "eth0");
        world.wire(&middle, "eth1", &collector, "eth0");
        a.address("eth0", "10.1.0.1/16");
        b.address("eth0", "10.1.0.2/16");
        middle.address("eth1", "172.16.18.1/24");
        collector.address("eth0", "172.16.18.18/24");
        let switch = Switch::start(&world, &middle, "sw", programs);
        // The reference forwards in the kernel unless told otherwise, and not every kernel can.
        switch.vsctl("add-br ovsbr0 -- set bridge ovsbr0 datapath_type=netdev");
        switch.vsctl("add-port ovsbr0 pa -- add-port ovsbr0 pb");
        Network { a, collector, switch, world }
    }

    fn flood(&self) {
        self.a.ok(&format!("ping -q -f -s 400 -c {PINGS} 10.1.0.2"));
    }

    /// Starts one of our collectors, its output into a file.
    fn collect(&self, line: &str) -> Collector {
        let mut words = line.split_whitespace();
        let program = Programs::Ours.path(words.next().unwrap());
        let file = self.world.dir.path().join(line.replace(['/', ' '], "_"));
        let output = std::fs::File::create(&file).unwrap();
        let child = self.collector.command(program).args(words).stdout(Stdio::from(output)).spawn().unwrap();
        Collector { child, file }
    }

    /// Waits until somebody listens on all of these UDP ports.
    fn await_listeners(&self, ports: &[u16]) {
        until("the collectors listen", || {
            let sockets = self.collector.ok("ss -ulnH");
            ports.iter().all(|port| sockets.contains(&format!(":{port} ")))
        });
    }
}

struct Collector {
    child: Child,
    file: PathBuf,
}

impl Collector {
    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap_or_default()
    }

    /// The lines so far, without one that is still being written, each split at commas.
    fn lines(&self) -> Vec<Vec<String>> {
        let text = self.text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }

    fn stop(mut self) -> PathBuf {
        self.end();
        self.file.clone()
    }

    fn end(&mut self) {
        // It may have been ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.end();
    }
}

/// How many packets tcpdump finds in a capture, and its first lines.
fn read_capture(file: &Path, filter: &[&str]) -> String {
    let mut command = std::process::Command::new("tcpdump");
    run(command.args(["-n", "-e", "-r"]).arg(file).args(filter)).ok()
}

/// The guide's line, and a collector for every form of output.
fn the_guide(programs: Programs) {
    let network = Network::new(programs);
    let lines = network.collect("ovs collect sflow -p 6343 -l -f 127.0.0.1/7000 -f 127.0.0.1/7001");
    let capture = network.collect("sflowtool -p 7000 -t");
    let counters = network.collect("sflowtool -p 7001 -L sysUpTime,ifName,ifInUcastPkts,openflow_port");
    network.await_listeners(&[6343, 7000, 7001]);
    network.switch.vsctl(GUIDE);
    network.flood();

    let samples = || lines.lines().into_iter().filter(|line| line[0] == "FLOW").collect::<Vec<_>>();
    let expected = 2 * PINGS / 64;
    // Five standard deviations of a binomial draw of 8000 by 1 in 64 are 56.
    let near = expected - 56..expected + 56;
    let came = holds_within(LIMIT, || near.contains(&samples().len()));
    assert!(came, "{} samples, where about {expected} were expected: {}", samples().len(), lines.text());
    let index = |name: &str| network.switch.host.ok(&format!("cat /sys/class/net/{name}/ifindex"));
    let (pa, pb) = (index("pa"), index("pb"));
    let pings: Vec<_> = samples().into_iter().filter(|line| line[6] == "0x0800").collect();
    assert!(pings.len() * 10 >= samples().len() * 9, "{:?}", samples());
    for line in &pings {
        assert_eq!(line[1], "172.16.18.1", "the agent is eth1: {line:?}");
        let way = [line[2].as_str(), line[3].as_str()];
        let there = line[9] == "10.1.0.1";
        assert_eq!(way, if there { [pa.trim(), pb.trim()] } else { [pb.trim(), pa.trim()] }, "{line:?}");
        // 14 + 20 + 8 + 400 bytes and the frame check sequence; the rate.
        assert_eq!((line[17].as_str(), line[19].as_str()), ("446", "64"), "{line:?}");
    }

    let of_pa = || {
        let lines = counters.lines().into_iter().filter(|line| line.get(1).is_some_and(|name| name == "pa"));
        lines.collect::<Vec<_>>()
    };
    let number = |text: &String| text.parse::<u64>().unwrap();
    let has_all = |lines: &[Vec<String>]| lines.last().is_some_and(|line| number(&line[2]) >= PINGS as u64);
    until("counters of six seconds, and of all pings, have come", || {
        let lines = of_pa();
        lines.len() >= 6 && has_all(&lines)
    });
    let of_pa = of_pa();
    // One that waited for a processor makes two steps that differ.
    let mut steps: Vec<u64> =
        of_pa.windows(2).map(|pair| number(&pair[1][0]) - number(&pair[0][0])).collect();
    steps.sort_unstable();
    assert!((700..=1600).contains(&steps[steps.len() / 2]), "counters come each second: {of_pa:?}");
    assert_eq!(of_pa[0][3], network.switch.vsctl("get interface pa ofport").trim());

    let file = capture.stop();
    let packets = read_capture(&file, &["icmp"]);
    assert!(near.contains(&packets.lines().count()), "{packets}");
    assert!(packets.contains("length 446: 10.1.0.1 > 10.1.0.2: ICMP echo request"), "{packets}");
    assert!(packets.contains("10.1.0.2 > 10.1.0.1: ICMP echo reply"), "{packets}");
    let lengths = captured_lengths(&std::fs::read(&file).unwrap());
    assert!(lengths.iter().all(|&length| length <= 128) && lengths.contains(&128), "{lengths:?}");
}

/// How many bytes of each packet a pcap file has.
fn captured_lengths(file: &[u8]) -> Vec<u32> {
    let mut rest = &file[24..];
    let mut lengths = Vec::new();
    while rest.len() >= 16 {
        let length = u32::from_ne_bytes(rest[8..12].try_into().unwrap());
        lengths.push(length);
        rest = &rest[16 + length as usize..];
    }
    lengths
}

#[test]
fn the_guides_line_reaches_a_collector() {
    if can_watch() {
        the_guide(Programs::Ours);
    }
}

#[test]
fn our_collector_understands_the_reference() {
    if can_watch() && Programs::Reference.path("ovs-vswitchd").exists() {
        the_guide(Programs::Reference);
    }
}

#[test]
fn every_target_is_sent_to_and_the_agents_address_is_found() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    let first = network.collect("sflowtool -p 6343 -l");
    let second = network.collect("sflowtool -p 7000 -J");
    network.await_listeners(&[6343, 7000]);
    network.switch.vsctl(
        "-- --id=@s create sflow targets=[\"172.16.18.18\",\"172.16.18.18:7000\"] sampling=1 polling=0 \
         -- set bridge ovsbr0 sflow=@s",
    );
    assert!(network.a.reaches("10.1.0.2"));
    until("both have the sample", || {
        first.text().contains("FLOW,172.16.18.1,") && second.text().contains("\"srcIP\":\"10.1.0.1\"")
    });
    assert!(!first.text().contains("CNTR"), "{}", first.text());

    // Another rate is in force at once, and none when the bridge lets go of it.
    network.switch.vsctl("set sflow ovsbr0 sampling=7");
    until("the new rate is told", || {
        network.a.is_answered("10.1.0.2");
        first.lines().last().is_some_and(|line| line[19] == "7")
    });
    network.switch.vsctl("clear bridge ovsbr0 sflow");
    until("flows do not sample", || {
        network.a.is_answered("10.1.0.2");
        let flows = network.switch.appctl("dpctl/dump-flows");
        flows.contains("eth_type(0x0800)") && !flows.contains("sample(")
    });
}
