//! What OVN does for guests beside forwarding: addresses by DHCP and router advertisements, names, health of servers, limits.

use std::process::{Command, Stdio};

use end_to_end::{LIMIT, Programs, can_run, holds_within, run, until};

use super::cloud::Cloud;
use super::two_networks;

/// Asks the router for the address of a name; the reply's code and last four bytes.
const RESOLVE: &str = "
import socket, struct
name = b''.join(bytes([len(part)]) + part for part in (b'guest', b'example')) + b'\\0'
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.sendto(struct.pack('>HHHHHH', 7, 0x100, 1, 0, 0, 0) + name + struct.pack('>HH', 1, 1), ('192.168.1.254', 53))
reply = s.recv(500)
print(reply[3] & 15, socket.inet_ntoa(reply[-4:]))
";

/// A row that another one refers to: its identifier.
fn create(cloud: &Cloud, what: &str) -> String {
    cloud.nbctl(&format!("create {what}")).trim().to_owned()
}

fn addresses_are_given(cloud: &Cloud) {
    let options = create(cloud, "dhcp_options cidr=192.168.1.0/24");
    cloud.nbctl(&format!(
        "dhcp-options-set-options {options} lease_time=3600 router=192.168.1.254 server_id=192.168.1.254 \
         server_mac=02:00:00:00:01:fe -- lsp-set-dhcpv4-options a1 {options}"
    ));
    cloud.nbctl(
        "set logical_router_port lr0-ls1 ipv6_ra_configs:address_mode=slaac ipv6_ra_configs:send_periodic=true \
         ipv6_ra_configs:max_interval=4 ipv6_ra_configs:min_interval=3",
    );
    cloud.sync();
    let (a1, a2) = (cloud.host("a1"), cloud.host("a2"));
    a1.ok("ip addr del 192.168.1.1/24 dev eth0");
    let lease = a1.run("busybox udhcpc -i eth0 -n -q -f -t 5 -T 1 -s /bin/true");
    assert!(lease.err.contains("lease of 192.168.1.1 obtained from 192.168.1.254"), "{lease:?}");
    a1.address("eth0", "192.168.1.1/24");
    a1.ok("ip route replace default via 192.168.1.254");
    a2.ok("ip -6 addr flush dev eth0");
    a2.run("sysctl -qw net.ipv6.conf.eth0.accept_ra=1");
    a2.ok("ip link set eth0 down");
    a2.ok("ip link set eth0 up");
    a2.ok("ip route replace default via 192.168.1.254");
    until("the router's advertisement is taken in", || {
        a2.ok("ip -6 addr show dev eth0").contains("fd00:1::ff:fe00:102")
    });
}

/// By DHCPv6, to a client that knows nothing of OVN.
fn addresses_of_ipv6_are_given(cloud: &Cloud) {
    let options = create(cloud, "dhcp_options cidr=\"fd00:1::/64\"");
    cloud.nbctl(&format!(
        "dhcp-options-set-options {options} server_id=02:00:00:00:01:fe dns_server=fd00:1::53 -- \
         lsp-set-dhcpv6-options a1 {options}"
    ));
    cloud.sync();
    let a1 = cloud.host("a1");
    a1.ok("ip addr del fd00:1::1/64 dev eth0");
    let directory = tempfile::tempdir().unwrap();
    let leases = directory.path().join("leases").display().to_string();
    let id = format!("{leases}.pid");
    let mut client = a1.command("dhclient");
    let client =
        client.args(["-6", "-d", "-sf", "/bin/true", "-cf", "/dev/null", "-lf", &leases, "-pf", &id]);
    let mut client = client.arg("eth0").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the client has its address and its server of names", || {
        let lease = std::fs::read_to_string(&leases).unwrap_or_default();
        lease.contains("iaaddr fd00:1::1 ") && lease.contains("fd00:1::53")
    });
    // It may have ended by itself.
    let _ = client.kill();
    let _ = client.wait();
    a1.ok("ip addr add fd00:1::1/64 dev eth0 nodad");
}

fn names_are_known(cloud: &Cloud) {
    let names = create(cloud, "dns records:guest.example=192.168.1.3");
    cloud.nbctl(&format!("set logical_switch ls1 dns_records={names}"));
    cloud.sync();
    let resolved = run(cloud.host("c1").command("python3").args(["-c", RESOLVE]));
    assert_eq!(resolved.status, 1, "names are those of the other network");
    let is_resolved = holds_within(LIMIT, || {
        run(cloud.host("a1").command("python3").args(["-c", RESOLVE])).out.trim() == "0 192.168.1.3"
    });
    assert!(is_resolved, "the name is not resolved");
}

/// A server that is not there any more gets no connections, and who has a server keeps it.
fn servers_are_watched(cloud: &Cloud) {
    cloud.nbctl("lb-add watched 192.168.9.7:80 192.168.1.2:80,192.168.1.3:80 tcp -- ls-lb-add ls1 watched");
    cloud.nbctl(
        "--id=@check create load_balancer_health_check 'vip=\"192.168.9.7:80\"' options:interval=1 \
         options:timeout=1 options:success_count=1 options:failure_count=1 -- \
         set load_balancer watched health_check=@check ip_port_mappings:192.168.1.2=a2:192.168.1.253 \
         ip_port_mappings:192.168.1.3=b1:192.168.1.253",
    );
    let monitors = || {
        let shown = cloud.central("ovn-sbctl", "--bare --columns=status list service_monitor").ok();
        shown.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    until("both servers are found", || monitors() == ["online", "online"]);
    cloud.sync();
    assert_eq!(cloud.servers("a1", "tcp 192.168.9.7 80"), ["a2", "b1"]);
    cloud.host("b1").ok("ip link set eth0 down");
    until("the server is missed", || monitors().contains(&"offline".to_owned()));
    cloud.sync();
    assert_eq!(cloud.servers("a1", "tcp 192.168.9.7 80"), ["a2"]);

    cloud.nbctl("lb-add loyal 192.168.9.8:80 192.168.1.2:80,192.168.2.1:80 tcp -- ls-lb-add ls1 loyal");
    cloud.nbctl("set load_balancer loyal options:affinity_timeout=60");
    cloud.sync();
    // OVN drops the connection by which it learns.
    cloud.ask("a1", "tcp 192.168.9.8 80");
    assert_eq!(cloud.servers("a1", "tcp 192.168.9.8 80").len(), 1, "a client has one server");
    let rules = cloud.chassis[0].switch.ofctl("dump-flows br-int");
    assert!(rules.contains("idle_timeout=60"), "nothing was learned");
}

/// What a guest may send as, and how much of it.
fn guests_are_limited(cloud: &Cloud) {
    cloud.nbctl("lsp-set-port-security a1 '02:00:00:00:01:01 192.168.1.1'");
    cloud.sync();
    let a1 = cloud.host("a1");
    cloud.reaches("a1", "192.168.2.2");
    a1.address("eth0", "192.168.1.77/24");
    assert_ne!(a1.run("ping -c 1 -W 1 -I 192.168.1.77 192.168.2.2").status, 0, "another's address is taken");

    cloud.nbctl("qos-add ls1 from-lport 100 'inport==\"a1\" && ip4.dst==192.168.1.2' rate=40 burst=40");
    cloud.nbctl("meter-add few drop 2 pktps 0");
    cloud.nbctl(
        "--log --severity=info --name=pings --meter=few acl-add ls1 to-lport 900 'outport==\"a2\" && icmp4' allow",
    );
    cloud.sync();
    // Five kilobytes a second: of a hundred packets of one, a few arrive.
    let pings = a1.run("ping -q -c 100 -i 0.005 -W 1 -s 1000 192.168.1.2").out;
    let received =
        pings.split_once("transmitted, ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(received.is_some_and(|received| (1..20).contains(&received)), "{pings}");
    cloud.nbctl("qos-del ls1");
    cloud.sync();
    a1.ok("ping -q -c 50 -i 0.005 -W 1 192.168.1.2");
    let log = std::fs::read_to_string(cloud.chassis[0].switch.dir.join("ovn-controller.log")).unwrap();
    let logged = log.lines().filter(|line| line.contains("name=\"pings\"")).count();
    assert!((1..20).contains(&logged), "{logged} lines");
}

/// The commands with which operators look for the way of a packet.
fn packets_are_traced(cloud: &Cloud) {
    let packet = "inport==\"a1\" && eth.src==02:00:00:00:01:01 && eth.dst==02:00:00:00:01:03 && ip4.src==192.168.1.1 \
                  && ip4.dst==192.168.1.3 && ip.ttl==64 && icmp4";
    let logical = cloud.central("ovn-trace", &format!("--summary ls1 '{packet}'")).ok();
    assert!(logical.contains("output to \"b1\""), "{logical}");
    let switch = &cloud.chassis[0].switch;
    let port = switch.vsctl("get interface a1 ofport");
    let traced = switch.appctl(&format!(
        "ofproto/trace br-int in_port={},icmp,dl_src=02:00:00:00:01:01,dl_dst=02:00:00:00:01:03,\
         nw_src=192.168.1.1,nw_dst=192.168.1.3,nw_ttl=64",
        port.trim()
    ));
    assert!(traced.contains("tnl_push"), "{traced}");
    let file = cloud.world.dir.path().join("trace");
    std::fs::write(&file, &traced).unwrap();
    let [north, south] = ["nb", "sb"].map(|name| format!("unix:{}/{name}.sock", cloud.central.display()));
    let detraced = Command::new("ovn-detrace")
        .args([format!("--ovnnb={north}"), format!("--ovnsb={south}")])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let detraced = String::from_utf8_lossy(&detraced.stdout).into_owned();
    assert!(detraced.contains("Logical datapath: \"ls1\""), "{detraced}");
    let zones = switch
        .command_of(Programs::Reference, "ovn-appctl")
        .args(["-t", "ovn-controller", "ct-zone-list"])
        .output();
    assert!(String::from_utf8_lossy(&zones.unwrap().stdout).contains("a1 "));
}

/// What OVN sets itself is no mistake. Guests whose packets are too long for tunnels are named once each, however many tunnels
/// there are.
fn ovn_is_no_mistake(cloud: &Cloud) {
    let switch = &cloud.chassis[0].switch;
    let named = || {
        let shown = switch.ctl("ovs", "lint").out;
        let findings = shown.lines().filter(|line| !line.starts_with(' ') && line.contains(": "));
        findings.map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    until("only lengths are wrong", || named() == ["Interface a1", "Interface a2", "Interface c1"]);
    for guest in ["a1", "a2", "c1"] {
        switch.vsctl(&format!("set interface {guest} mtu_request=1450"));
    }
    until("nothing is wrong", || named().is_empty());
}

#[test]
fn guests_are_served_and_limited() {
    if !can_run() {
        return;
    }
    let cloud = Cloud::new(&[Programs::Ours; 2], "geneve");
    two_networks(&cloud);
    ovn_is_no_mistake(&cloud);
    packets_are_traced(&cloud);
    addresses_are_given(&cloud);
    addresses_of_ipv6_are_given(&cloud);
    names_are_known(&cloud);
    guests_are_limited(&cloud);
    servers_are_watched(&cloud);
    cloud.is_content();
}
