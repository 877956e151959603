//! IPFIX: what `nfdump` and `tshark` make of it, ours beside the reference's.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use end_to_end::{Programs, can_run, can_watch, run, until};

use super::netflow::{Collector, Ended, Network};

/// IPFIX's own port.
const PORT: u16 = 4739;
/// Packets of each UDP flow.
const PACKETS: u64 = 3;
/// Bytes of each over IPv4.
const IP_BYTES: u64 = 128;

/// Sends the packets of a UDP flow, over IPv4 with a mark for quality of service.
const SEND: &str = "import socket, sys
ours, port, theirs = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ':' in ours else socket.AF_INET, socket.SOCK_DGRAM)
if s.family == socket.AF_INET:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xb8)
s.bind((ours, int(port)))
for _ in range(3):
    s.sendto(b'x' * 100, (theirs, 5000))
";
/// The flows, as the arguments of [`SEND`].
const FLOWS: [[&str; 3]; 3] =
    [["10.1.0.1", "4000", "10.1.0.2"], ["10.1.0.1", "4001", "10.1.0.2"], ["fd00::1", "4000", "fd00::2"]];

/// A network whose hosts know their neighbours, over IPv6 too.
fn network(programs: Programs) -> Network {
    let network = Network::new(programs);
    for (host, address) in [(&network.a, "fd00::1/64"), (&network.b, "fd00::2/64")] {
        host.ok("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.auto_flowlabels=0");
        host.ok(&format!("ip -6 addr add {address} dev eth0 nodad"));
    }
    until("hosts reach each other", || network.a.run("ping -6 -c 1 -W 1 fd00::2").status == 0);
    network
}

/// Sends the packets of one flow after those of another: `sampled` tells how many packets were sampled.
fn send_all(network: &Network, factor: u64, sampled: impl Fn() -> u64) {
    for flow in FLOWS {
        let before = sampled();
        run(network.a.command("python3").args(["-c", SEND]).args(flow)).ok();
        until("all packets of a flow are sampled", || sampled() >= before + factor * PACKETS);
    }
}

/// A number that `ovs-ofctl` shows behind this name.
fn number(shown: &str, name: &str) -> u64 {
    let rest = shown.split(name).nth(1).unwrap_or_else(|| panic!("{name}: {shown}"));
    rest.split([',', '\n']).next().unwrap().parse().unwrap()
}

/// A capture of what comes to the collector.
struct Capture {
    _child: Ended,
    file: PathBuf,
}

impl Capture {
    fn start(network: &Network) -> Capture {
        let file = network.world.dir.path().join("ipfix.pcap");
        let mut command = network.collector.command("tcpdump");
        command.args(["-U", "-i", "eth0", "-w"]).arg(&file).args(["udp", "port", &PORT.to_string()]);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        until("the capture runs", || file.exists());
        Capture { _child: Ended(child), file }
    }

    /// All messages of IPFIX as `tshark` shows them; empty while one is being written.
    fn shown(&self) -> Vec<String> {
        let mut tshark = Command::new("tshark");
        let decode = format!("udp.port=={PORT},cflow");
        let shown = run(tshark.arg("-r").arg(&self.file).args(["-d", &decode, "-V"]));
        if shown.status != 0 {
            return Vec::new();
        }
        let messages = shown.out.split("\nCisco NetFlow/IPFIX\n").skip(1);
        messages.map(|message| message.split("\n\n").next().unwrap_or_default().to_owned()).collect()
    }
}

/// Our collector, which listens at this port and writes JSON into a file.
struct Ours {
    _child: Ended,
    file: PathBuf,
}

impl Ours {
    fn start(network: &Network, port: u16) -> Ours {
        let file = network.world.dir.path().join(format!("flows-{port}"));
        let output = std::fs::File::create(&file).unwrap();
        let mut command = network.collector.command(Programs::Ours.path("ovs"));
        command.args(["collect", "flows", "-j", "-p", &port.to_string()]).stdout(Stdio::from(output));
        let child = Ended(command.spawn().unwrap());
        until("our collector listens", || network.collector.ok("ss -ulnH").contains(&format!(":{port} ")));
        Ours { _child: child, file }
    }

    /// Waits for a record with these values.
    fn await_record(&self, values: &[(&str, &str)]) {
        let parts: Vec<String> =
            values.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let is_there = || {
            let all = std::fs::read_to_string(&self.file).unwrap_or_default();
            all.lines().any(|line| parts.iter().all(|part| line.contains(part)))
        };
        until(&format!("a record has {values:?}"), is_there);
    }
}

/// What differs from run to run: addresses, times, the number of the exporter. Interfaces have their numbers in the order in
/// which they are made, as do those of both worlds.
fn is_steady(line: &str) -> bool {
    let varies = ["Mac Address", "Time", "Duration", "FlowExporter"];
    !varies.iter().any(|word| line.contains(word))
}

/// What `tshark` shows of the records of rules' samples, and what `ovs-ofctl` counts of them.
fn sampled_by_rules(programs: Programs) -> (Vec<String>, String) {
    let network = network(programs);
    let _collector = Collector::start(&network, PORT);
    let capture = Capture::start(&network);
    let switch = &network.switch;
    switch.vsctl(
        "-- --id=@br get bridge br0 -- --id=@ix create ipfix targets=\"172.16.18.18:4739\" \
         other_config:virtual_obs_id=here -- create Flow_Sample_Collector_Set id=1 bridge=@br ipfix=@ix",
    );
    let sample = "sample(probability=65535,collector_set_id=1,obs_domain_id=7,obs_point_id=8";
    // Rules of their own, so that the reference finds its actions for each of their packets.
    for (matching, more) in [
        ("udp,tp_src=4000", ")"),
        ("udp,tp_src=4001", ",sampling_port=2)"),
        ("udp6,tp_src=4000", ",sampling_port=1,egress)"),
        ("icmp", ",ingress)"),
    ] {
        switch.ofctl(&format!(
            "add-flow br0 priority=50000,in_port=1,{matching},actions={sample}{more},output:2"
        ));
    }
    switch.ofctl("add-flow br0 priority=50000,in_port=2,icmp,actions=drop");
    send_all(&network, 1, || number(&switch.ofctl("dump-ipfix-flow br0"), "sampled pkts="));
    network.a.run("ping -c 1 -W 1 10.1.0.2");
    let expected = 3 * PACKETS as usize + 1;
    let records = |shown: &[String]| shown.iter().filter(|message| message.contains("Direction: ")).count();
    let mut shown = Vec::new();
    until("all records came", || {
        shown = capture.shown();
        records(&shown) == expected
    });
    let steady =
        |message: &String| message.lines().filter(|line| is_steady(line)).collect::<Vec<_>>().join("\n");
    (shown.iter().map(steady).collect(), switch.ofctl("dump-ipfix-flow br0"))
}

#[test]
fn records_of_rules_samples_are_those_of_the_reference() {
    if !can_watch() {
        return;
    }
    let (ours, counted) = sampled_by_rules(Programs::Ours);
    for word in ["Malformed", "No template found"] {
        assert!(!ours.iter().any(|message| message.contains(word)), "{ours:#?}");
    }
    let first = ours.iter().find(|message| message.contains("Direction: ")).unwrap();
    for line in [
        "Observation Domain Id: 7",
        "IfName: pa",
        "SrcPort: 4000 (4000)",
        "IP ToS: 0xb8",
        "Packets: 1",
        "Octets: 128",
    ] {
        assert!(first.lines().any(|shown| shown.trim() == line), "{line}: {first}");
    }
    let (theirs, counted_by_them) = sampled_by_rules(Programs::Reference);
    assert_eq!(ours, theirs);
    assert_eq!(counted, counted_by_them);
}

#[test]
fn packets_of_a_bridge_are_counted_where_they_come_in_and_leave() {
    if !can_watch() {
        return;
    }
    let network = network(Programs::Ours);
    let collector = Collector::start(&network, PORT);
    let ours = Ours::start(&network, 4740);
    let capture = Capture::start(&network);
    network.switch.vsctl(
        "-- --id=@ix create ipfix targets=\"172.16.18.18\",\"172.16.18.18:4740\" sampling=1 cache_max_flows=1000 \
         cache_active_timeout=4200 -- set bridge br0 ipfix=@ix",
    );
    let stats = || network.switch.ofctl("dump-ipfix-bridge br0");
    send_all(&network, 2, || number(&stats(), "ipv4 ok=") + number(&stats(), "ipv6 ok="));
    assert_eq!(number(&stats(), "tx pkts="), 0, "flows are kept: {}", stats());
    let sampled = number(&stats(), "sampled pkts=");
    network.switch.vsctl("set bridge br0 other_config:mac-aging-time=100");
    assert_eq!(number(&stats(), "tx pkts="), 0, "nothing has changed for the export: {}", stats());
    let row = network.switch.vsctl("get bridge br0 ipfix");
    network.switch.vsctl(&format!("set ipfix {} cache_max_flows=999", row.trim()));
    assert!(number(&stats(), "sampled pkts=") >= sampled, "counters go on: {}", stats());
    assert_ne!(number(&stats(), "tx pkts="), 0, "what was kept is sent: {}", stats());
    // So it is when the export ends.
    network.switch.vsctl("clear bridge br0 ipfix");
    let mut shown = Vec::new();
    let has = |message: &str, lines: &[&str]| {
        lines.iter().all(|line| message.lines().any(|shown| shown.trim() == *line))
    };
    for (direction, out) in [("Direction: Ingress (0)", None), ("Direction: Egress (1)", Some("IfName: pb"))]
    {
        for source in ["SrcPort: 4000 (4000)", "SrcPort: 4001 (4001)"] {
            let octets = format!("Octets: {}", PACKETS * IP_BYTES);
            let mut lines = vec![direction, source, "SrcAddr: 10.1.0.1", "IfName: pa", "Packets: 3", &octets];
            lines.extend(["Flow End Reason: Forced end (4)", "MinLength: 128"]);
            lines.extend(out);
            until("the flow's record came", || {
                shown = capture.shown();
                shown.iter().any(|message| has(message, &lines))
            });
        }
    }
    let udp =
        [("sourceIPv4Address", "10.1.0.1"), ("sourceTransportPort", "4001"), ("protocolIdentifier", "17")];
    let more =
        [("version", "10"), ("packetDeltaCount", "3"), ("interfaceName_2", "pb"), ("flowEndReason", "4")];
    ours.await_record(&[&udp[..], &more].concat());
    // What nfcapd has kept, it sends on as NetFlow.
    let directory = collector.directory.clone();
    collector.read();
    let mut files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let kept = files.find(|path| path.to_string_lossy().contains("nfcapd.2")).unwrap();
    for (port, version) in [(4741, "5"), (4742, "9")] {
        let ours = Ours::start(&network, port);
        let mut replay = network.collector.command("nfreplay");
        replay.args(["-H", "127.0.0.1", "-p", &port.to_string(), "-v", version, "-r"]).arg(&kept);
        run(&mut replay).ok();
        ours.await_record(&[&udp[..], &[("version", version)]].concat());
    }
    let refused = network.switch.ctl("ovs-ofctl", "dump-ipfix-bridge br0");
    assert!(refused.out.contains("NXST_NOT_CONFIGURED"), "{refused:?}");
}

#[test]
fn what_cannot_be_exported_is_said() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    network.switch.vsctl(
        "-- --id=@br get bridge br0 -- --id=@ix create ipfix targets=\"nonsense:x\" \
         -- create Flow_Sample_Collector_Set id=1 bridge=@br ipfix=@ix local_group_id=5",
    );
    let log = std::fs::read_to_string(network.switch.dir.join("ovs-vswitchd.log")).unwrap();
    for line in [
        "|ipfix|WARN|no collectors could be initialized, IPFIX exporter disabled",
        "|bridge|WARN|bridge br0: ignoring local sampling configuration: not supported by this datapath",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(!log.contains("no effect"), "{log}");
}
