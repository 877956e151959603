//! Multicast: hosts of the kernel join and leave, a bridge of the kernel asks in a router's place, and what a switch of
//! ours forwards to whom is what the reference forwards.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use end_to_end::{Host, Programs, Switch, World, can_run, run, until};

use crate::pages;

/// Is in a group until its input ends.
const JOIN: &str = "
import socket, struct, sys
group = sys.argv[1]
if ':' in group:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    link = struct.pack('@I', socket.if_nametoindex('eth0'))
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + link)
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(sys.argv[2]))
sys.stdin.read()
";

/// Shows the marks of all frames up to that which ends it.
const WATCH: &str = "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('eth0', 3))
print('ready', flush=True)
while True:
    frame, where = s.recvfrom(2048)
    if where[2] == socket.PACKET_OUTGOING or b'mark<' not in frame:
        continue
    mark = frame.split(b'mark<')[1].split(b'>')[0].decode()
    print(mark, flush=True)
    if mark == 'end':
        break
";

/// Sends a marked datagram to each group, and one to all that ends what is watched.
const SEND: &str = "
import socket, sys
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 5)
four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('10.0.0.1'))
four.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex('eth0'))
for group in sys.argv[1:]:
    (six if ':' in group else four).sendto(b'mark<' + group.encode() + b'>', (group, 5000))
four.sendto(b'mark<end>', ('10.0.0.255', 5000))
";

/// A sender `a` at port 1, `b` and `c` at 2 and 3, and a bridge of the kernel at 4.
struct Network {
    hosts: [Host; 3],
    router: Host,
    switch: Switch,
    middle: Host,
    _world: World,
}

/// Somebody who is in a group while this exists.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Network {
    /// The ports of the switch have these names.
    fn new(programs: Programs, names: [&str; 4]) -> Network {
        let world = World::new();
        let middle = world.host("m");
        let hosts = ["a", "b", "c"].map(|name| world.host(name));
        let router = world.host("r");
        for ((number, host), name) in (1..).zip(hosts.iter().chain([&router])).zip(names) {
            world.wire(&middle, name, host, "eth0");
            if number < 4 {
                // Group addresses of IPv6 are joined by a link address, which is there at once.
                host.ok("sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.disable_ipv6=0");
                host.address("eth0", &format!("10.0.0.{number}/24"));
            }
        }
        let switch = Switch::start(&world, &middle, "sw", programs);
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        for (number, name) in (1..).zip(names) {
            switch.vsctl(&format!("add-port br0 {name} -- set interface {name} ofport_request={number}"));
        }
        Network { hosts, router, switch, middle, _world: world }
    }

    /// Has the kernel's bridge ask who listens, over both versions of IP.
    fn ask(&self) {
        self.router.ok(
            "ip link add k0 type bridge mcast_querier 1 mcast_query_use_ifaddr 1 mcast_startup_query_interval 50 \
             mcast_query_interval 100 mcast_query_response_interval 10",
        );
        self.router.ok("sysctl -qw net.ipv6.conf.k0.accept_dad=0 net.ipv6.conf.k0.disable_ipv6=0");
        self.router.address("k0", "10.0.0.4/24");
        self.router.ok("ip link set k0 up");
        self.router.ok("ip link set eth0 master k0");
    }

    /// A host joins a group by IGMP of a version, or by MLD.
    fn join(&self, host: usize, group: &str, version: u8) -> Member {
        let own = format!("10.0.0.{}", host + 1);
        let family =
            if group.contains(':') { "ipv6.conf.eth0.force_mld" } else { "ipv4.conf.eth0.force_igmp" };
        self.hosts[host].ok(&format!("sysctl -qw net.{family}_version={version}"));
        let mut command = self.hosts[host].command("python3");
        command.args(["-c", JOIN, group, &own]).stdin(Stdio::piped());
        let member = Member(command.spawn().unwrap());
        until(&format!("{group} is joined"), || self.known().contains(&format!("{} {group}", host + 1)));
        member
    }

    /// The ports and groups, or queriers, that the switch shows.
    fn known(&self) -> BTreeSet<String> {
        let shown = self.switch.appctl("mdb/show br0");
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some(format!("{} {}", words.first()?, words.get(words.len().checked_sub(2)?)?))
        };
        shown.lines().skip(1).filter_map(line).collect()
    }

    /// What each host, and the router, receive of what `a` sends to these groups.
    fn received(&self, groups: &[&str]) -> Vec<BTreeSet<String>> {
        let watching = self.hosts.iter().skip(1).chain([&self.router]).map(|host| {
            let mut command = host.command("python3");
            let mut watch = command.args(["-c", WATCH]).stdout(Stdio::piped()).spawn().unwrap();
            let mut out = BufReader::new(watch.stdout.take().unwrap());
            out.read_line(&mut String::new()).unwrap();
            (watch, out)
        });
        let watching: Vec<_> = watching.collect();
        run(self.hosts[0].command("python3").args(["-c", SEND]).args(groups)).ok();
        let marks = watching.into_iter().map(|(mut watch, mut out)| {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            watch.wait().unwrap();
            let mut marks: Vec<&str> = text.lines().collect();
            assert_eq!(marks.pop(), Some("end"));
            let all = marks.len();
            let marks: BTreeSet<String> = marks.into_iter().map(str::to_owned).collect();
            assert_eq!(marks.len(), all, "nobody gets anything twice: {text}");
            marks
        });
        marks.collect()
    }
}

const FOUR: &str = "239.1.1.1";
const SIX: &str = "ff1e::7";

/// What `b`, `c` and the router are to receive.
fn sets(expected: [&[&str]; 3]) -> Vec<BTreeSet<String>> {
    expected.iter().map(|groups| groups.iter().map(|group| (*group).to_owned()).collect()).collect()
}

#[test]
fn hosts_that_join_and_leave_get_what_the_references_get() {
    if !can_run() {
        return;
    }
    for programs in [Programs::Reference, Programs::Ours] {
        let network = Network::new(programs, ["pa", "pb", "pc", "pr"]);
        let groups = [FOUR, SIX];
        assert_eq!(network.received(&groups), sets([&groups, &groups, &groups]), "{programs:?}");
        network.switch.vsctl(
            "set bridge br0 mcast_snooping_enable=true other_config:mcast-snooping-disable-flood-unregistered=true",
        );
        assert_eq!(network.received(&groups), sets([&[], &[], &[]]), "{programs:?}: nobody has joined");
        for version in [1, 2, 3] {
            let old = network.join(1, FOUR, version);
            let new = network.join(2, SIX, version.min(2));
            assert_eq!(network.received(&groups), sets([&[FOUR], &[SIX], &[]]), "{programs:?}, {version}");
            drop((old, new));
            // There is no message by which hosts of version 1 leave.
            if version == 1 {
                network.switch.appctl("mdb/flush br0");
            }
            until("both have left", || {
                let known = network.known();
                !known.contains(&format!("2 {FOUR}")) && !known.contains(&format!("3 {SIX}"))
            });
            assert_eq!(network.received(&groups), sets([&[], &[], &[]]), "{programs:?}, {version}");
        }
        let _members = (network.join(1, FOUR, 2), network.join(2, SIX, 1), network.join(1, SIX, 1));
        network.ask();
        until("the router is known", || network.known().contains("4 querier"));
        let expected = sets([&groups, &[SIX], &groups]);
        assert_eq!(network.received(&groups), expected, "{programs:?}: with a router");
        // Who listens says so again when it is asked.
        network.switch.appctl("mdb/flush br0");
        let known = [format!("2 {FOUR}"), format!("2 {SIX}"), format!("3 {SIX}"), "4 querier".to_owned()];
        until("all is known again", || network.known().is_superset(&known.clone().into()));
        assert_eq!(network.received(&groups), expected, "{programs:?}: asked again");
        network.switch.vsctl("set bridge br0 mcast_snooping_enable=false");
        assert_eq!(network.received(&groups), sets([&groups, &groups, &groups]), "{programs:?}");
    }
}

#[test]
fn who_listens_is_forgotten_when_a_spanning_tree_finds_another_way() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours, ["pa", "pb", "pc", "pr"]);
    network.ask();
    network.switch.vsctl("set bridge br0 mcast_snooping_enable=true rstp_enable=true");
    for port in ["pa", "pb", "pc", "pr"] {
        network.switch.vsctl(&format!("set port {port} other_config:rstp-port-admin-edge=true"));
    }
    let _member = network.join(1, FOUR, 2);
    // What is not asked again is not said again.
    network.router.ok("ip link set eth0 nomaster");
    assert!(network.known().contains(&format!("2 {FOUR}")));
    until("it is forgotten", || {
        network.middle.ok("ip link set pc down");
        let is_forgotten = network.known().is_empty();
        network.middle.ok("ip link set pc up");
        is_forgotten
    });
}

#[test]
fn the_page_on_multicast_works_as_it_says() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours, ["camera", "viewer1", "viewer2", "uplink"]);
    network.ask();
    network.switch.vsctl("set bridge br0 mcast_snooping_enable=true");
    let _member = network.join(1, FOUR, 2);
    network.switch.appctl("mdb/flush br0");
    network.switch.vsctl("set bridge br0 mcast_snooping_enable=false");
    pages::type_all("multicast.md", &network.middle, &network.switch);
}
