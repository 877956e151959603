//! Quality of service: what the kernel is set up to do is what the reference sets it up to do; packets go by the queues that
//! rules name; policers let no more through than they may. What passed is known by counters, not by time.

use std::process::Stdio;

use end_to_end::{Host, Programs, Switch, World, can_run, until};

use crate::pages;

/// Sends so many datagrams of so many bytes to port 5000 of an address.
const SEND: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[2])):
    s.sendto(b'x' * int(sys.argv[3]), (sys.argv[1], 5000))
";

/// Ethernet, IPv4 and UDP.
const HEADERS: usize = 42;

/// Hosts `u`, `p` and `b` behind the ports `uplink`, `phone` and `backup` of a switch.
struct Network {
    hosts: [Host; 3],
    middle: Host,
    switch: Switch,
    _world: World,
}

impl Network {
    fn new(programs: Programs) -> Network {
        let world = World::new();
        let middle = world.host("m");
        let hosts = ["u", "p", "b"].map(|name| world.host(name));
        for ((number, host), name) in (1..).zip(&hosts).zip(["uplink", "phone", "backup"]) {
            world.wire(&middle, name, host, "eth0");
            host.address("eth0", &format!("10.0.0.{number}/24"));
        }
        // Nobody has to ask for addresses, and nothing is sent but what a test sends.
        for (number, host) in (1..).zip(&hosts) {
            host.ok(&format!("ip link set eth0 address 02:00:00:00:00:0{number}"));
            for other in (1..4).filter(|other| *other != number) {
                host.ok(&format!("ip neigh add 10.0.0.{other} lladdr 02:00:00:00:00:0{other} dev eth0"));
            }
        }
        let switch = Switch::start(&world, &middle, "sw", programs);
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        for (number, name) in (1..).zip(["uplink", "phone", "backup"]) {
            switch.vsctl(&format!("add-port br0 {name} -- set interface {name} ofport_request={number}"));
        }
        Network { hosts, middle, switch, _world: world }
    }

    /// `from` sends datagrams to the host behind the uplink.
    fn send(&self, from: usize, count: usize, bytes: usize) {
        let (count, bytes) = (count.to_string(), bytes.to_string());
        let mut command = self.hosts[from].command("python3");
        let status = command.args(["-c", SEND, "10.0.0.1", &count, &bytes]).stderr(Stdio::inherit()).status();
        assert!(status.unwrap().success());
    }

    /// Disciplines and classes of a device, without what another filter than the reference's makes of them.
    fn shown(&self, device: &str) -> String {
        let [qdisc, class] =
            ["qdisc", "class"].map(|what| self.middle.ok(&format!("tc -d {what} show dev {device}")));
        let mut lines: Vec<&str> =
            qdisc.lines().filter(|line| !line.contains("clsact")).chain(class.lines()).collect();
        lines.sort_unstable();
        lines.join("\n")
    }

    /// How many packets the switch has dropped for a reason.
    fn drops(&self, reason: &str) -> u64 {
        self.switch.appctl(&format!("coverage/read-counter {reason}")).trim().parse().unwrap()
    }

    /// A counter of an interface, as the database shows it, sooner or later.
    fn counter(&self, interface: &str, name: &str) -> u64 {
        let line = format!("--if-exists get interface {interface} statistics:{name}");
        self.switch.vsctl(&line).trim().parse().unwrap_or(0)
    }

    /// Packets that each queue of the uplink has sent, by what OpenFlow says.
    fn queue_packets(&self) -> Vec<(u32, u64)> {
        let shown = self.switch.ofctl("queue-stats br0 uplink");
        let number =
            |text: &str| text.trim_end_matches([':', ',']).rsplit('=').next().unwrap().parse().unwrap();
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let queue = words.iter().position(|word| *word == "queue")?;
            let packets = words.iter().find(|word| word.starts_with("pkts="))?;
            Some((number(words[queue + 1]) as u32, number(packets)))
        };
        shown.lines().skip(1).filter_map(line).collect()
    }
}

/// Whether this kernel has the discipline that these tests are about.
fn has_htb(network: &Network) -> bool {
    network.middle.ok("ip link add name probe type veth peer name prober");
    let has = network.middle.run("tc qdisc add dev probe root htb").status == 0;
    network.middle.ok("ip link del probe");
    if !has {
        eprintln!("skipped: the kernel has no htb");
    }
    has
}

const QUEUES: &str = "set port uplink qos=@q -- --id=@q create QoS type=linux-htb other_config:max-rate=80000000 \
                      queues:1=@a queues:5=@b -- --id=@a create Queue other_config:min-rate=8000000 \
                      other_config:burst=80000 other_config:priority=4 -- --id=@b create Queue \
                      other_config:max-rate=16000000";

#[test]
fn the_page_about_quality_of_service_is_true() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    if has_htb(&network) {
        pages::type_all("qos.md", &network.middle, &network.switch);
    }
}

#[test]
fn the_kernel_is_set_up_as_the_reference_sets_it_up() {
    if !can_run() {
        return;
    }
    let (ours, reference) = (Network::new(Programs::Ours), Network::new(Programs::Reference));
    if !has_htb(&ours) {
        return;
    }
    let numbered = |port: &str, words: &str| {
        format!("set port {port} qos=@q -- --id=@q create QoS type=linux-htb {words}")
    };
    let steps = [
        QUEUES.to_owned(),
        // The link says the rate, and a tap is a link too.
        numbered("phone", ""),
        numbered("br0", "queues:7=@a -- --id=@a create Queue other_config:min-rate=1"),
        // Debian's programs cannot have rates beyond 32 bits.
        numbered(
            "backup",
            "other_config:max-rate=30000000000 queues:2=@a -- --id=@a create Queue other_config:min-rate=20000000000",
        ),
        numbered("phone", "other_config:max-rate=1000"),
        "clear port uplink qos".to_owned(),
        numbered("uplink", "queues:61439=@a -- --id=@a create Queue external_ids:a=b"),
        "clear port br0 qos".to_owned(),
    ];
    for step in steps {
        for network in [&ours, &reference] {
            network.switch.vsctl(&step);
        }
        for port in ["uplink", "phone", "backup", "br0"] {
            assert_eq!(ours.shown(port), reference.shown(port), "{port} after {step}");
        }
    }
    for network in [&ours, &reference] {
        network.switch.vsctl(QUEUES);
    }
    let show = |network: &Network| network.switch.appctl("qos/show uplink");
    assert_eq!(show(&ours), show(&reference));
    let kinds = |network: &Network| network.switch.appctl("qos/show-types uplink");
    assert!(kinds(&ours).starts_with(&kinds(&reference)), "{}", kinds(&ours));
}

#[test]
fn packets_go_by_the_queues_that_rules_name() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    if !has_htb(&network) {
        return;
    }
    network.switch.vsctl(QUEUES);
    network.switch.ofctl("del-flows br0");
    network.switch.ofctl("add-flow br0 in_port=phone,udp,actions=set_queue:1,output:uplink");
    network.switch.ofctl("add-flow br0 in_port=backup,udp,actions=enqueue:uplink:5");
    network.send(1, 30, 100);
    network.send(2, 50, 100);
    until("all packets are counted", || network.queue_packets() == [(0, 0), (1, 30), (5, 50)]);
    // A queue that is not there, and none.
    network
        .switch
        .ofctl("add-flow br0 in_port=phone,udp,actions=set_queue:9,output:uplink,pop_queue,output:uplink");
    network.send(1, 10, 100);
    until("all packets are counted", || network.queue_packets() == [(0, 20), (1, 30), (5, 50)]);
    let classes = network.middle.ok("tc -s class show dev uplink classid 1:6");
    let bytes = 50 * (100 + HEADERS);
    assert!(classes.contains(&format!("Sent {bytes} bytes 50 pkt")), "{classes}");
}

/// Both send more than there is room for, so that each gets what its class is for.
#[test]
fn tcp_shares_the_rate_as_the_queues_say() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    if !has_htb(&network) {
        return;
    }
    network.switch.vsctl(
        "set port uplink qos=@q -- --id=@q create QoS type=linux-htb other_config:max-rate=32000000 queues:1=@a \
         queues:2=@b -- --id=@a create Queue other_config:min-rate=24000000 -- --id=@b create Queue \
         other_config:min-rate=8000000",
    );
    network.switch.ofctl("add-flow br0 priority=9,in_port=phone,actions=set_queue:1,normal");
    network.switch.ofctl("add-flow br0 priority=9,in_port=backup,actions=set_queue:2,normal");
    let mut running = Vec::new();
    for port in ["5201", "5202"] {
        let mut server = network.hosts[0].command("iperf3");
        running.push(server.args(["-s", "-1", "-p", port]).stdout(Stdio::null()).spawn().unwrap());
        until("iperf3 serves", || {
            network.hosts[0].ok("ss -Hltn").lines().any(|line| line.contains(&format!(":{port}")))
        });
    }
    for (host, port) in [(1, "5201"), (2, "5202")] {
        let mut client = network.hosts[host].command("iperf3");
        client.args(["-c", "10.0.0.1", "-p", port, "-t", "3"]).stdout(Stdio::null());
        running.push(client.spawn().unwrap());
    }
    running.into_iter().for_each(|mut process| assert!(process.wait().unwrap().success()));
    let number = |queue: u32, name: &str| {
        let class = network.middle.ok(&format!("tc -s class show dev uplink classid 1:{:x}", queue + 1));
        let words: Vec<&str> = class.split_whitespace().collect();
        let place = words.iter().position(|word| *word == name).unwrap();
        words[place + 1].parse::<u64>().unwrap()
    };
    assert!(number(1, "overlimits") > 0 && number(2, "overlimits") > 0, "both had to wait");
    let (one, other) = (number(1, "Sent"), number(2, "Sent"));
    assert!(one > other + other / 2 && one < other * 6, "three to one: {one}, {other}");
}

#[test]
fn what_does_not_change_is_not_touched() {
    if !can_run() {
        return;
    }
    let mut network = Network::new(Programs::Ours);
    if !has_htb(&network) {
        return;
    }
    network.switch.vsctl(QUEUES);
    network.switch.ofctl("add-flow br0 priority=9,in_port=phone,udp,actions=set_queue:1,output:uplink");
    network.send(1, 30, 100);
    until("all packets are counted", || network.queue_packets().contains(&(1, 30)));
    let log = network.middle.ok("mktemp").trim().to_owned();
    let mut monitor =
        network.middle.command("sh").args(["-c", &format!("exec tc monitor > {log}")]).spawn().unwrap();
    let seen = || std::fs::read_to_string(&log).unwrap();
    // What is seen once it watches: a class of another device.
    network.middle.ok("ip link add name other type veth peer name others");
    network.middle.ok("tc qdisc add dev other root handle 9: htb");
    until("the kernel is watched", || {
        network.middle.ok("tc class replace dev other parent 9: classid 9:1 htb rate 1mbit");
        seen().contains("class htb 9:1")
    });
    network.switch.vsctl("set open . external_ids:a=b");
    network.switch.vsctl("set port uplink external_ids:a=b -- set interface uplink external_ids:a=b");
    network.switch.vsctl("add-port br0 i0 -- set interface i0 type=internal -- del-port br0 backup");
    network
        .switch
        .vsctl("set queue $(x) other_config:burst=160000".replace("$(x)", &queue(&network, 1)).as_str());
    until("the change is seen", || seen().contains("class htb 1:2"));
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    let of_uplink: Vec<String> =
        seen().lines().filter(|line| line.contains("uplink")).map(str::to_owned).collect();
    assert!(of_uplink.iter().all(|line| line.contains("class htb 1:2")), "{of_uplink:?}");
    std::fs::remove_file(&log).unwrap();
    // Nor does the next process start anew.
    network.switch.end_daemon();
    network.switch.vsctl("--no-wait remove qos . queues 5".replace('.', &qos(&network)).as_str());
    network.switch.start_daemon();
    until("the queue is gone", || network.queue_packets() == [(0, 0), (1, 30)]);
}

fn qos(network: &Network) -> String {
    network.switch.vsctl("get port uplink qos").trim().to_owned()
}

fn queue(network: &Network, number: u32) -> String {
    network.switch.vsctl(&format!("get qos {} queues:{number}", qos(network))).trim().to_owned()
}

#[test]
fn no_more_comes_in_than_policing_allows() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    network.switch.ofctl("del-flows br0");
    network.switch.ofctl("add-flow br0 cookie=1,udp,in_port=phone,actions=output:uplink");
    // 1,024 bytes at once, then 125 a second.
    network.switch.vsctl("set interface phone ingress_policing_rate=1 ingress_policing_burst=8");
    network.send(1, 100, 400);
    let passed = || {
        let shown = network.switch.ofctl("dump-aggregate br0 cookie=1/-1");
        let count = shown.split("packet_count=").nth(1).unwrap().split(' ').next().unwrap();
        count.parse::<u64>().unwrap()
    };
    until("all packets are counted", || passed() + network.drops("datapath_drop_rx_policing") == 100);
    assert!((2..10).contains(&passed()), "{} passed", passed());
    let shown = || ["ovs_rx_qos_drops", "rx_dropped"].map(|name| network.counter("phone", name));
    until("the database has it", || shown().iter().all(|count| *count >= 90));
    assert_eq!(network.middle.ok("tc filter show dev phone ingress").matches("police").count(), 0);
    // Without a limit everything passes.
    network.switch.vsctl("set interface phone ingress_policing_rate=0");
    let before = passed();
    network.send(1, 100, 400);
    until("all packets have passed", || passed() == before + 100);
    // What the host sends comes in by the bridge's own port.
    network.switch.ofctl("add-flow br0 cookie=2,udp,in_port=LOCAL,actions=output:uplink");
    network.middle.address("br0", "10.0.0.9/24");
    network.middle.ok("ip link set br0 up");
    network.middle.ok("ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev br0");
    network.switch.vsctl("set interface br0 ingress_policing_kpkts_rate=1 ingress_policing_kpkts_burst=1");
    let send = ["-c", SEND, "10.0.0.1", "20000", "100"];
    let before = network.drops("datapath_drop_rx_policing");
    assert!(network.middle.command("python3").args(send).status().unwrap().success());
    until("packets were dropped", || network.drops("datapath_drop_rx_policing") > before);
}

#[test]
fn no_more_leaves_than_policers_allow() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    network.switch.ofctl("del-flows br0");
    network.switch.ofctl("add-flow br0 in_port=phone,udp,actions=set_queue:1,output:uplink");
    network.switch.ofctl("add-flow br0 in_port=backup,udp,actions=output:uplink");
    network.switch.vsctl(
        "set port uplink qos=@q -- --id=@q create QoS type=egress-policer other_config:cir=1 other_config:cbs=2000",
    );
    let dropped = || network.drops("datapath_drop_tx_policing");
    // 928 bytes each, which behind the Ethernet header is all that counts.
    network.send(1, 50, 900);
    until("the others are dropped", || dropped() == 48);
    let shown = || ["ovs_tx_qos_drops", "tx_dropped"].map(|name| network.counter("uplink", name));
    until("the database has it", || shown().iter().all(|count| *count >= 48));
    let colours = "other_config:cir=1 other_config:cbs=1000 other_config:eir=1 other_config:ebs=1000";
    network.switch.vsctl(&format!(
        "set port uplink qos=@q -- --id=@q create QoS type=trtcm-policer other_config:cir=1 other_config:cbs=100000 \
         other_config:eir=1 other_config:ebs=100000 queues:1=@a -- --id=@a create Queue {colours}"
    ));
    network.send(1, 50, 900);
    network.send(2, 50, 900);
    // Queue 1 has room for one packet by each rate, queue 0 for all.
    until("the queues have counted", || network.queue_packets() == [(0, 50), (1, 2)]);
    until("the others are dropped", || dropped() == 96);
}

#[test]
fn what_cannot_be_done_is_said() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    let make =
        |words: &str| network.switch.vsctl(&format!("set port uplink qos=@q -- --id=@q create QoS {words}"));
    let error = || network.switch.vsctl("get port uplink status:qos_error");
    let log = || std::fs::read_to_string(network.switch.dir.join("ovs-vswitchd.log")).unwrap();
    make("type=linux-what");
    assert!(error().contains("uplink: QoS of type \\\"linux-what\\\" is not supported"), "{}", error());
    make("type=linux-netem other_config:loss=101");
    assert!(error().contains("loss was 101"), "{}", error());
    make("type=egress-policer other_config:cir=1");
    assert!(error().contains("cbs"), "{}", error());
    make(
        "type=egress-policer other_config:cir=1 other_config:cbs=1 other_config:max-rate=1 other_config:x=y",
    );
    assert_eq!(network.switch.vsctl("get port uplink status").trim(), "{}");
    let expected = "port uplink: other_config:max-rate has no effect with QoS of type egress-policer";
    assert!(log().contains(expected), "{}", log());
}
