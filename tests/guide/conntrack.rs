//! Connection tracking: hosts of the kernel speak TCP, UDP, ICMP and FTP through rules that know connections, and what comes of it
//! is what comes of it in the reference.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use end_to_end::{Host, Iperf, Programs, Switch, World, can_run, run, until};

use crate::pages;

/// Answers each connection with the address that it came from, and does what FTP's messages PORT and PASV ask for.
const SERVE: &str = "
import socket, socketserver, threading
class Talk(socketserver.StreamRequestHandler):
    def handle(self):
        if self.server.server_address[1] != 21:
            self.wfile.write((self.client_address[0].removeprefix('::ffff:') + '\\n').encode())
            return
        line = self.rfile.readline().decode().strip()
        if line.startswith('EPRT'):
            _, _, address, port, _ = line[5:].split('|')
            with socket.create_connection((address, int(port)), 30, ('fd00::2', 0)) as data:
                data.sendall(address.encode())
        elif line == 'EPSV':
            with socket.create_server(('fd00::2', 0), family=socket.AF_INET6) as listening:
                self.wfile.write(b'229 Entering Extended Passive Mode (|||%d|)\\r\\n' % listening.getsockname()[1])
                listening.settimeout(30)
                listening.accept()[0].sendall(b'passive')
        elif line.startswith('PORT'):
            numbers = [int(n) for n in line[5:].split(',')]
            address = '.'.join(str(n) for n in numbers[:4])
            with socket.create_connection((address, numbers[4] * 256 + numbers[5]), 30, ('10.0.0.2', 0)) as data:
                data.sendall(address.encode())
        else:
            with socket.create_server(('10.0.0.2', 0)) as listening:
                port = listening.getsockname()[1]
                reply = '227 Entering Passive Mode (10,0,0,2,%d,%d).\\r\\n' % (port // 256, port % 256)
                self.wfile.write(reply.encode())
                listening.settimeout(30)
                listening.accept()[0].sendall(b'passive')
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    request_queue_size = 50
for port in (80, 21):
    threading.Thread(target=Server(('', port), Talk).serve_forever, daemon=True).start()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('', 53))
print('ready', flush=True)
while True:
    data, peer = datagrams.recvfrom(9000)
    datagrams.sendto(('%s %d' % (peer[0], len(data))).encode(), peer)
";

/// Speaks to an address in one way, and shows what comes back; nothing when nothing comes.
const ASK: &str = "
import socket, sys
how, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    if how == 'udp':
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(10)
        s.sendto(b'x' * int(sys.argv[4]), (address, port))
        print(s.recv(100).decode())
    else:
        s = socket.create_connection((address, port), 10)
        if how == 'port':
            with socket.create_server(('', 0)) as listening:
                listening.settimeout(30)
                own = listening.getsockname()[1]
                s.sendall(('PORT %s,%d,%d\\r\\n' % (s.getsockname()[0].replace('.', ','), own // 256, own % 256)).encode())
                print(listening.accept()[0].recv(100).decode())
        elif how == 'eprt':
            with socket.create_server(('', 0), family=socket.AF_INET6) as listening:
                listening.settimeout(30)
                own = listening.getsockname()[1]
                s.sendall(('EPRT |2|%s|%d|\\r\\n' % (s.getsockname()[0], own)).encode())
                print(listening.accept()[0].recv(100).decode())
        elif how == 'epsv':
            s.sendall(b'EPSV\\r\\n')
            own = int(s.recv(200).decode().split('|||')[1].split('|')[0])
            with socket.create_connection((address, own), 30) as data:
                print(data.recv(100).decode())
        elif how == 'pasv':
            s.sendall(b'PASV\\r\\n')
            numbers = s.recv(200).decode().split('(')[1].split(')')[0].split(',')
            own = int(numbers[4]) * 256 + int(numbers[5])
            with socket.create_connection(('.'.join(numbers[:4]), own), 30) as data:
                print(data.recv(100).decode())
        else:
            print(s.makefile().readline().strip())
        s.close()
except OSError:
    pass
";

/// A client at port 1 and a server at port 2, 10.0.0.1 and 10.0.0.2, fd00::1 and fd00::2.
struct Network {
    client: Host,
    server: Host,
    middle: Host,
    switch: Switch,
    serving: Child,
    _world: World,
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.serving.kill();
        let _ = self.serving.wait();
    }
}

impl Network {
    fn new(programs: Programs, names: [&str; 2]) -> Network {
        let world = World::new();
        let (middle, client, server) = (world.host("m"), world.host("c"), world.host("s"));
        for (number, (host, name)) in (1..).zip([(&client, names[0]), (&server, names[1])]) {
            world.wire(&middle, name, host, "eth0");
            host.ok(&format!("ip link set eth0 address 02:00:00:00:00:0{number}"));
            host.address("eth0", &format!("10.0.0.{number}/24"));
            host.ok("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
            host.ok(&format!("ip addr add fd00::{number}/64 dev eth0 nodad"));
            if programs == Programs::Reference {
                // Its userspace datapath takes no packets whose checksums are left to the device.
                host.ok("ethtool -K eth0 tx off tso off gso off");
            }
        }
        // Addresses that nobody has, for translation.
        for address in ["10.0.0.240", "fd00::240"] {
            server.ok(&format!("ip neigh add {address} lladdr 02:00:00:00:00:01 dev eth0"));
        }
        for address in ["10.0.0.100", "fd00::100"] {
            client.ok(&format!("ip neigh add {address} lladdr 02:00:00:00:00:02 dev eth0"));
        }
        let switch = Switch::start(&world, &middle, "sw", programs);
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure");
        for (number, name) in (1..).zip(names) {
            switch.vsctl(&format!("add-port br0 {name} -- set interface {name} ofport_request={number}"));
        }
        let mut serving =
            server.command("python3").args(["-c", SERVE]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(serving.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Network { client, server, middle, switch, serving, _world: world }
    }

    fn rules(&self, rules: &[&str]) {
        self.switch.ofctl("del-flows br0");
        self.switch.ofctl("add-flow br0 priority=20,arp,actions=normal");
        self.switch.ofctl("add-flow br0 priority=20,icmp6,actions=normal");
        for rule in rules {
            self.switch.ofctl(&format!("add-flow br0 {rule}"));
        }
        self.switch.appctl("dpctl/flush-conntrack");
    }

    /// What comes back when `host` asks.
    fn ask(&self, host: &Host, words: &str) -> String {
        run(host.command("python3").args(["-c", ASK]).args(words.split(' '))).ok().trim().to_owned()
    }

    /// The connections, without what differs each time.
    fn connections(&self) -> Vec<String> {
        let shown = self.switch.appctl("dpctl/dump-conntrack");
        let is_free = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 1024);
        let mut lines: Vec<String> = shown
            .lines()
            .map(|line| {
                let parts = line.split(',').map(|part| match part.split_once('=') {
                    Some((name, value)) if is_free(value.trim_end_matches(')')) || name == "id" => {
                        format!("{name}=*")
                    }
                    _ => part.to_owned(),
                });
                parts.collect::<Vec<String>>().join(",")
            })
            .collect();
        lines.sort();
        lines.dedup();
        lines
    }
}

/// The client may open connections, the server may answer.
const FIREWALL: [&str; 5] = [
    "table=0,priority=10,ip,actions=ct(table=1,zone=5)",
    "table=1,ct_state=+trk+new,ip,in_port=1,actions=ct(commit,zone=5),output:2",
    "table=1,ct_state=+trk+est,ip,in_port=1,actions=output:2",
    "table=1,ct_state=+trk+est,ip,in_port=2,actions=output:1",
    "table=1,ct_state=+trk+rel,ip,actions=ct(commit,zone=5),normal",
];

fn firewall(programs: Programs) -> Vec<Vec<String>> {
    let network = Network::new(programs, ["c0", "s0"]);
    let (client, server) = (&network.client, &network.server);
    network.rules(&FIREWALL);
    assert_eq!(network.ask(client, "tcp 10.0.0.2 80"), "10.0.0.1", "{programs:?}");
    assert_eq!(network.ask(client, "udp 10.0.0.2 53 100"), "10.0.0.1 100", "{programs:?}");
    assert_eq!(network.ask(client, "udp 10.0.0.2 53 5000"), "10.0.0.1 5000", "{programs:?}: in fragments");
    client.ok("ping -c 2 -i 0.2 -W 30 10.0.0.2");
    assert_eq!(network.ask(server, "tcp 10.0.0.1 80"), "", "{programs:?}: the server opens nothing");
    assert_eq!(server.run("ping -c 1 -W 1 10.0.0.1").status, 1, "{programs:?}");
    // A port that nobody has is refused by an error, which is related.
    let refused = client.run("ping -c 1 -W 1 10.0.0.2");
    assert_eq!(refused.status, 0);
    vec![network.connections()]
}

fn translation(programs: Programs) -> Vec<Vec<String>> {
    let network = Network::new(programs, ["c0", "s0"]);
    let client = &network.client;
    let mut seen = Vec::new();
    network.rules(&[
        "in_port=1,ip,actions=ct(commit,zone=1,nat(src=10.0.0.240)),output:2",
        "in_port=2,ip,actions=ct(table=1,zone=1,nat)",
        "table=1,in_port=2,ct_state=+trk+est,ip,actions=output:1",
    ]);
    assert_eq!(network.ask(client, "tcp 10.0.0.2 80"), "10.0.0.240", "{programs:?}");
    assert_eq!(network.ask(client, "udp 10.0.0.2 53 100"), "10.0.0.240 100", "{programs:?}");
    client.ok("ping -c 1 -W 30 10.0.0.2");
    seen.push(network.connections());
    network.rules(&[
        "in_port=1,tcp,nw_dst=10.0.0.100,actions=ct(commit,zone=2,nat(dst=10.0.0.2:80)),output:2",
        "in_port=2,tcp,actions=ct(table=1,zone=2,nat)",
        "table=1,in_port=2,ct_state=+trk+est,tcp,actions=output:1",
    ]);
    assert_eq!(network.ask(client, "tcp 10.0.0.100 8080"), "10.0.0.1", "{programs:?}");
    seen.push(network.connections());
    // FTP, whose messages have addresses: the source is translated, and data connections are related.
    network.rules(&[
        "in_port=1,tcp,actions=ct(table=1,zone=3,nat)",
        "in_port=2,tcp,actions=ct(table=1,zone=3,nat)",
        "table=1,in_port=1,ct_state=+trk+new-rel,tcp,tp_dst=21,actions=ct(commit,alg=ftp,zone=3,nat(src=10.0.0.240)),output:2",
        "table=1,in_port=1,ct_state=+trk+new+rel,tcp,actions=ct(commit,zone=3,nat),output:2",
        "table=1,in_port=2,ct_state=+trk+new+rel,tcp,actions=ct(commit,zone=3,nat),output:1",
        "table=1,in_port=1,ct_state=+trk+est,tcp,actions=output:2",
        "table=1,in_port=2,ct_state=+trk+est,tcp,actions=output:1",
    ]);
    assert_eq!(network.ask(client, "port 10.0.0.2 21"), "10.0.0.240", "{programs:?}: active");
    assert_eq!(network.ask(client, "pasv 10.0.0.2 21"), "passive", "{programs:?}");
    seen
}

/// FTP over IPv6, whose messages have the client's address.
fn ftp_over_ipv6(programs: Programs) -> Vec<Vec<String>> {
    let network = Network::new(programs, ["c0", "s0"]);
    network.rules(&[
        "in_port=1,tcp6,actions=ct(table=1,zone=4,nat)",
        "in_port=2,tcp6,actions=ct(table=1,zone=4,nat)",
        "table=1,in_port=1,ct_state=+trk+new-rel,tcp6,tp_dst=21,actions=ct(commit,alg=ftp,zone=4,nat(src=fd00::240)),output:2",
        "table=1,in_port=1,ct_state=+trk+new+rel,tcp6,actions=ct(commit,zone=4,nat),output:2",
        "table=1,in_port=2,ct_state=+trk+new+rel,tcp6,actions=ct(commit,zone=4,nat),output:1",
        "table=1,in_port=1,ct_state=+trk+est,tcp6,actions=output:2",
        "table=1,in_port=2,ct_state=+trk+est,tcp6,actions=output:1",
    ]);
    assert_eq!(network.ask(&network.client, "eprt fd00::2 21"), "fd00::240", "{programs:?}: active");
    assert_eq!(network.ask(&network.client, "epsv fd00::2 21"), "passive", "{programs:?}");
    vec![network.connections()]
}

#[test]
fn ftp_over_ipv6_is_translated_as_the_reference_translates_it() {
    if !can_run() {
        return;
    }
    let [theirs, ours] = [Programs::Reference, Programs::Ours].map(ftp_over_ipv6);
    assert_eq!(ours, theirs);
}

/// Bytes of one transfer. A path that loses every train of segments would need hours for them.
const BYTES: &str = "4M";

/// Trains of segments, and checksums that are left to the device, go through translation of sources and of destinations. Guests
/// that do all of it by themselves get what they sent, too.
#[test]
fn trains_and_partial_checksums_are_translated() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours, ["c0", "s0"]);
    let (client, server) = (&network.client, &network.server);
    let served = Iperf::serve(server);
    for offloads in ["on", "off"] {
        for host in [client, server] {
            host.ok(&format!("ethtool -K eth0 tx {offloads} tso {offloads} gso {offloads} gro {offloads}"));
        }
        for (kind, taken, hidden, own) in
            [("ip", "10.0.0.100", "10.0.0.240", "10.0.0.2"), ("ipv6", "fd00::100", "fd00::240", "fd00::2")]
        {
            network.rules(&[
                &format!("in_port=1,{kind},actions=ct(commit,zone=7,nat(src={hidden}),table=1)"),
                &format!("table=1,{kind},actions=ct(commit,zone=8,nat(dst={own})),output:2"),
                &format!("in_port=2,{kind},actions=ct(table=2,zone=8,nat)"),
                &format!("table=2,{kind},actions=ct(table=3,zone=7,nat)"),
                &format!("table=3,ct_state=+trk+est,{kind},actions=output:1"),
            ]);
            served.both_ways(client, taken, BYTES, &format!("{kind}, offloads {offloads}"));
            let shown = network.switch.appctl("dpctl/dump-conntrack zone=7");
            assert!(shown.contains(hidden), "{shown}");
        }
    }
    // Datagrams whose checksum is left to the device.
    client.ok("ethtool -K eth0 tx on");
    network.rules(&[
        "in_port=1,udp,actions=ct(commit,zone=9,nat(src=10.0.0.240)),output:2",
        "in_port=2,udp,actions=ct(table=1,zone=9,nat)",
        "table=1,ct_state=+trk+est,udp,actions=output:1",
    ]);
    assert_eq!(network.ask(client, "udp 10.0.0.2 53 1000"), "10.0.0.240 1000");
}

#[test]
fn a_firewall_lets_through_what_the_references_lets_through() {
    if !can_run() {
        return;
    }
    let [theirs, ours] = [Programs::Reference, Programs::Ours].map(firewall);
    assert_eq!(ours, theirs);
}

#[test]
fn addresses_are_translated_as_the_reference_translates_them() {
    if !can_run() {
        return;
    }
    let [theirs, ours] = [Programs::Reference, Programs::Ours].map(translation);
    assert_eq!(ours, theirs);
}

#[test]
fn the_page_on_connection_tracking_works_as_it_says() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours, ["client1", "server1"]);
    network.switch.ofctl("add-flow br0 priority=20,arp,actions=normal");
    // A connection that is there, and asks again and again.
    let again = "
import socket, sys, time
while True:
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(('', 5000))
        s.settimeout(0.2)
        s.sendto(b'x', ('10.0.0.2', 53))
        s.recv(100)
        time.sleep(0.05)
    except OSError:
        pass
";
    let mut asking =
        network.client.command("python3").args(["-c", again]).stderr(Stdio::piped()).spawn().unwrap();
    pages::type_all("conntrack.md", &network.middle, &network.switch);
    asking.kill().unwrap();
    let mut said = String::new();
    asking.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    asking.wait().unwrap();
    assert_eq!(said, "");
    until("the daemon still answers", || !network.switch.appctl("version").is_empty());
}
