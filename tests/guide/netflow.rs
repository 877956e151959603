//! NetFlow v5: what `nfdump` makes of it, ours beside the reference's.

use std::collections::BTreeMap;
use std::process::Child;

use end_to_end::{Host, Programs, Switch, World, can_run, run, until};

/// Two hosts on a bridge of a switch, whose `eth1` leads to a collector.
pub(super) struct Network {
    pub(super) a: Host,
    pub(super) b: Host,
    pub(super) collector: Host,
    pub(super) switch: Switch,
    pub(super) world: World,
}

/// UDP packets of one run, each of so many bytes over IPv4.
const PACKETS: u64 = 40;
const IP_BYTES: u64 = 128;
/// What [`SEND`] has in its frames beside it.
const ETHERNET_BYTES: u64 = 14;
const PINGS: u64 = 5;

/// Takes what is sent, so that the host does not answer that nobody does.
const RECEIVE: &str = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); \
                       s.bind(('10.1.0.2', 5000)); time.sleep(1000)";

/// Sends packets with a mark for quality of service from one port to another.
const SEND: &str = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); \
                    s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xb8); s.bind(('10.1.0.1', 4000)); \
                    [s.sendto(b'x' * 100, ('10.1.0.2', 5000)) for _ in range(COUNT)]";

impl Network {
    pub(super) fn new(programs: Programs) -> Network {
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
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure");
        switch.vsctl(
            "add-port br0 pa -- set interface pa ofport_request=1 -- add-port br0 pb -- set interface pb ofport_request=2 \
             -- set open . other_config:max-idle=500",
        );
        // Nothing is learned, so that all packets of a flow go the same way.
        switch.ofctl("add-flow br0 in_port=1,actions=output:2");
        switch.ofctl("add-flow br0 in_port=2,actions=output:1");
        // Addresses are resolved before anything is counted.
        assert!(a.reaches("10.1.0.2"));
        Network { a, b, collector, switch, world }
    }
}

/// A collector that writes into a directory.
pub(super) struct Collector {
    child: Ended,
    host: Host,
    port: u16,
    pub(super) directory: std::path::PathBuf,
}

impl Collector {
    /// One that listens at this port.
    pub(super) fn start(network: &Network, port: u16) -> Collector {
        let directory = network.world.dir.path().join("flows");
        std::fs::create_dir(&directory).unwrap();
        let mut command = network.collector.command("nfcapd");
        command.args(["-p", &port.to_string(), "-t", "3600", "-w"]).arg(&directory);
        let child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        until("the collector listens", || network.collector.ok("ss -ulnH").contains(&format!(":{port} ")));
        Collector { child: Ended(child), host: network.collector.clone(), port, directory }
    }

    /// Packets and bytes of each flow, by all that NetFlow tells of it; and the engine. Everything that was sent is in it.
    pub(super) fn read(mut self) -> BTreeMap<String, (u64, u64)> {
        let has_read = || {
            let sockets = self.host.ok("ss -ulnH");
            let own = sockets.lines().find(|line| line.contains(&format!(":{} ", self.port)));
            own.and_then(|line| line.split_whitespace().nth(1)) == Some("0")
        };
        until("the collector has read what came", has_read);
        run(std::process::Command::new("kill").arg(self.child.0.id().to_string())).ok();
        self.child.0.wait().unwrap();
        let mut command = std::process::Command::new("nfdump");
        command.arg("-R").arg(&self.directory).args(["-q", "-N", "-6", "-o"]);
        let records = run(command.arg("fmt:%eng,%in,%out,%pr,%sa,%sp,%da,%dp,%tos,%flg;%pkt;%byt")).ok();
        let mut flows = BTreeMap::new();
        for record in records.lines().filter(|line| line.contains(';')) {
            let parts: Vec<&str> = record.split(';').map(str::trim).collect();
            let name = parts[0].replace(' ', "");
            let sums: &mut (u64, u64) = flows.entry(name).or_default();
            sums.0 += parts[1].parse::<u64>().unwrap();
            sums.1 += parts[2].parse::<u64>().unwrap();
        }
        flows
    }
}

/// A process that ends with this.
pub(super) struct Ended(pub(super) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a collector has of some traffic.
fn collected(programs: Programs) -> BTreeMap<String, (u64, u64)> {
    let network = Network::new(programs);
    let collector = Collector::start(&network, 2055);
    network.switch.vsctl(
        "-- --id=@nf create netflow targets=\"172.16.18.18:2055\" engine_type=2 engine_id=7 \
         active_timeout=1 -- set bridge br0 netflow=@nf",
    );
    let receive = network.b.command("python3").args(["-c", RECEIVE]).spawn().unwrap();
    let _receiver = Ended(receive);
    until("somebody receives", || network.b.ok("ss -ulnH").contains(":5000 "));
    let send = SEND.replace("COUNT", &PACKETS.to_string());
    let mut python = network.a.command("python3");
    run(python.args(["-c", &send])).ok();
    network.a.ok(&format!("ping -q -c {PINGS} -i 0.05 10.1.0.2"));
    // Until all flows have gone, and some seconds more than an active timeout.
    until("the flows have gone", || !network.switch.appctl("dpctl/dump-flows").contains("ipv4"));
    std::thread::sleep(std::time::Duration::from_secs(4));
    collector.read()
}

#[test]
fn a_collector_hears_the_same_of_flows_as_from_the_reference() {
    if !can_run() {
        return;
    }
    let ours = collected(Programs::Ours);
    let packets = |part: &str| {
        let flows = ours.iter().filter(|(name, _)| name.contains(part));
        flows.fold((0, 0), |sum, (_, counted)| (sum.0 + counted.0, sum.1 + counted.1))
    };
    let udp = packets("10.1.0.1,4000,10.1.0.2,5000");
    assert_eq!(udp, (PACKETS, PACKETS * (IP_BYTES + ETHERNET_BYTES)), "{ours:#?}");
    assert_eq!(packets("10.1.0.1,0,10.1.0.2,8.0").0, PINGS, "{ours:#?}");
    assert_eq!(packets("10.1.0.2,0,10.1.0.1,0.0").0, PINGS, "{ours:#?}");
    assert_eq!(ours, collected(Programs::Reference));
}
