//! Ways out of the logical network: a router whose gateway is on one host at a time, with translation of addresses, and
//! addresses outside that are translated on the host of their guest. The other host has the reference's switch.

use end_to_end::{Programs, can_run, until};

use super::cloud::Cloud;
use super::two_networks;

/// A physical network in VLAN 30, to which both hosts are joined, and to which the router has a port.
fn way_out(cloud: &Cloud) {
    for chassis in &cloud.chassis {
        chassis.switch.vsctl(
            "add-br br-ex -- set bridge br-ex datapath_type=netdev -- add-port br-ex eth1 -- \
             set open . external_ids:ovn-bridge-mappings=physnet:br-ex",
        );
    }
    cloud.nbctl("ls-add pub");
    cloud.nbctl(
        "lrp-add lr0 lr0-pub 02:00:00:00:10:01 172.16.0.1/24 fd00:16::1/64 -- lsp-add pub pub-lr0 -- \
         lsp-set-type pub-lr0 router -- lsp-set-options pub-lr0 router-port=lr0-pub -- \
         lsp-set-addresses pub-lr0 router",
    );
    cloud.nbctl(
        "lsp-add pub ln '' 30 -- lsp-set-type ln localnet -- lsp-set-options ln network_name=physnet -- \
         lsp-set-addresses ln unknown",
    );
    cloud.nbctl("lrp-set-gateway-chassis lr0-pub hv1 20 -- lrp-set-gateway-chassis lr0-pub hv2 10");
    cloud.nbctl("lr-nat-add lr0 snat 172.16.0.1 192.168.0.0/16");
    cloud.nbctl("lr-nat-add lr0 dnat_and_snat 172.16.0.10 192.168.1.3 b1 02:00:00:00:10:10");
    cloud.nbctl("lr-nat-add lr0 dnat_and_snat 172.16.0.11 192.168.1.2");
    cloud.nbctl("lb-add web 172.16.0.1:8080 192.168.1.1:80,192.168.2.2:80 -- lr-lb-add lr0 web");
    cloud.host("ext").ok("ip route add fd00:1::/64 via fd00:16::1");
    cloud.serve(&["ext"]);
    cloud.sync();
}

/// Which host has the router's gateway; empty where none has.
fn claimed(cloud: &Cloud) -> String {
    let line = "--bare --columns=chassis find port_binding logical_port=cr-lr0-pub";
    cloud.central("ovn-sbctl", line).ok().trim().to_owned()
}

fn chassis_named(cloud: &Cloud, name: &str) -> String {
    let line = format!("--bare --columns=_uuid find chassis name={name}");
    cloud.central("ovn-sbctl", &line).ok().trim().to_owned()
}

/// Waits until the router's gateway is on this host, and all know it.
#[track_caller]
fn gateway_is_on(cloud: &Cloud, name: &str) {
    until(&format!("the gateway is on {name}"), || claimed(cloud) == chassis_named(cloud, name));
    cloud.sync();
}

/// Waits until both hosts that can be the gateway hear each other through their tunnel.
#[track_caller]
fn watch_each_other(cloud: &Cloud) {
    for (chassis, tunnel) in cloud.chassis.iter().zip(["ovn-hv2-0", "ovn-hv1-0"]) {
        until("the hosts with gateways watch each other", || {
            chassis.switch.vsctl(&format!("--if-exists get interface {tunnel} bfd_status:state")).trim()
                == "up"
        });
    }
}

fn addresses_are_translated(cloud: &Cloud) {
    cloud.reaches("a1", "172.16.0.100");
    for (guest, outside) in
        [("a1", "172.16.0.1"), ("c2", "172.16.0.1"), ("a2", "172.16.0.11"), ("b1", "172.16.0.10")]
    {
        cloud.answers(guest, "tcp 172.16.0.100 80", &format!("ext {outside}"));
        cloud.answers(guest, "udp 172.16.0.100 53 4000", &format!("ext {outside} 4000"));
    }
    cloud.answers("a1", "tcp fd00:16::100 80", "ext fd00:1::1");
    cloud.answers("ext", "tcp 172.16.0.10 80", "b1 172.16.0.100");
    cloud.answers("ext", "tcp 172.16.0.11 80", "a2 172.16.0.100");
    // From inside to the outer address of another guest.
    cloud.answers("a1", "tcp 172.16.0.10 80", "b1 172.16.0.1");
    cloud.answers("b1", "tcp 172.16.0.11 80", "a2 172.16.0.10");
    assert!(!cloud.host("ext").is_answered("192.168.1.1"), "a guest is reached from outside");
    assert_eq!(cloud.servers("ext", "tcp 172.16.0.1 8080"), ["a1", "c2"]);
}

/// The router answers what has no way on.
fn the_router_says_what_is_wrong(cloud: &Cloud) {
    let a1 = cloud.host("a1");
    let expired = a1.run("ping -c 1 -W 2 -t 1 172.16.0.100");
    assert!(expired.out.contains("From 192.168.1.254 icmp_seq=1 Time to live exceeded"), "{expired:?}");
    cloud.nbctl("set logical_router_port lr0-pub options:gateway_mtu=1200");
    cloud.sync();
    let too_long = a1.run("ping -c 1 -W 2 -M do -s 1300 172.16.0.100");
    assert!(too_long.out.contains("Frag needed and DF set (mtu = 1200)"), "{too_long:?}");
    // Others are told by it how long packets may be, and send shorter ones.
    cloud.answers("c1", "tcp 172.16.0.100 80", "ext 172.16.0.1");
    cloud.nbctl("remove logical_router_port lr0-pub options gateway_mtu");
}

#[test]
fn gateways_lead_out_and_move() {
    if !can_run() {
        return;
    }
    let mut cloud = Cloud::new(&[Programs::Ours, Programs::Reference], "geneve");
    two_networks(&cloud);
    way_out(&cloud);
    gateway_is_on(&cloud, "hv1");
    for (chassis, tunnel) in cloud.chassis.iter().zip(["ovn-hv2-0", "ovn-hv1-0"]) {
        until("the hosts with gateways watch each other", || {
            chassis.switch.vsctl(&format!("--if-exists get interface {tunnel} bfd_status:state")).trim()
                == "up"
        });
    }
    addresses_are_translated(&cloud);
    the_router_says_what_is_wrong(&cloud);

    // The gateway moves to the other host and back: when it is preferred, and when this one retires.
    cloud.nbctl("lrp-set-gateway-chassis lr0-pub hv2 30");
    gateway_is_on(&cloud, "hv2");
    cloud.answers("a1", "tcp 172.16.0.100 80", "ext 172.16.0.1");
    cloud.nbctl("lrp-set-gateway-chassis lr0-pub hv2 10");
    gateway_is_on(&cloud, "hv1");
    cloud.answers("c2", "tcp 172.16.0.100 80", "ext 172.16.0.1");
    cloud.is_content();

    // Guests go on when `ovn-controller` crashes, and when the switch is started anew below it.
    cloud.chassis[0].kill_controller();
    cloud.answers("b1", "tcp 192.168.1.1 80", "a1 192.168.1.3");
    cloud.chassis[0].start_controller();
    cloud.sync();
    cloud.answers("c2", "tcp 192.168.1.1 80", "a1 192.168.2.2");
    cloud.chassis[0].switch.end_daemon();
    cloud.chassis[0].switch.start_daemon();
    cloud.answers("a2", "tcp 192.168.1.1 80", "a1 192.168.1.2");
    cloud.answers("b1", "tcp 192.168.1.1 80", "a1 192.168.1.3");
    cloud.answers("c2", "tcp 172.16.0.100 80", "ext 172.16.0.1");
    // The same after a crash of the switch, which takes its bridges' addresses with it.
    cloud.chassis[0].switch.kill_daemon();
    cloud.chassis[0].switch.start_daemon();
    let host = cloud.chassis[0].switch.host.clone();
    until("the bridge is there again", || host.run("ip addr add 10.0.0.1/24 dev br0").status == 0);
    host.ok("ip link set br0 up");
    cloud.answers("b1", "tcp 192.168.1.1 80", "a1 192.168.1.3");
    cloud.answers("a1", "tcp 172.16.0.100 80", "ext 172.16.0.1");
}

/// Two of three hosts can be the gateway. One that is cut off is replaced within the time in which its silence is noticed.
#[test]
fn a_gateway_that_falls_silent_is_replaced() {
    if !can_run() {
        return;
    }
    let cloud = Cloud::new(&[Programs::Ours; 3], "geneve");
    two_networks(&cloud);
    cloud.nbctl("lsp-add ls2 d1 -- lsp-set-addresses d1 '02:00:00:00:02:04 192.168.2.4'");
    cloud.guest(2, "d1", "02:00:00:00:02:04", &["192.168.2.4/24"], &["192.168.2.254"]);
    way_out(&cloud);
    gateway_is_on(&cloud, "hv1");
    watch_each_other(&cloud);
    cloud.answers("d1", "tcp 172.16.0.100 80", "ext 172.16.0.1");
    let lost = &cloud.chassis[0].switch.host;
    let wires = |state: &str| {
        for device in ["eth0", "eth1"] {
            lost.ok(&format!("ip link set {device} {state}"));
        }
    };
    let is_claimed =
        |name: &str| until("the gateway moves", || claimed(&cloud) == chassis_named(&cloud, name));
    wires("down");
    is_claimed("hv2");
    cloud.answers("d1", "tcp 172.16.0.100 80", "ext 172.16.0.1");
    wires("up");
    is_claimed("hv1");
    cloud.answers("d1", "tcp 172.16.0.100 80", "ext 172.16.0.1");
}
