//! OVN on two hosts: Debian's `ovn-northd` and `ovn-controller` on our database server and our switch. Guests speak over logical
//! switches and routers, through firewalls, load balancers and gateways, and what comes of it is what comes of it on the reference.

mod cloud;
mod gateways;
mod page;
mod services;
mod talk;

use end_to_end::{LIMIT, Programs, can_run, holds_within, until};

use cloud::Cloud;

/// Two logical networks and a router between them: `a1`, `a2` and `c1` on the first host, `b1` and `c2` on the second one.
fn two_networks(cloud: &Cloud) {
    for (number, ports) in [(1, ["a1", "a2", "b1"].as_slice()), (2, &["c1", "c2"])] {
        let (network, hex) = (format!("ls{number}"), format!("02:00:00:00:0{number}"));
        cloud.nbctl(&format!("ls-add {network}"));
        for (last, port) in (1..).zip(ports) {
            cloud.nbctl(&format!(
                "lsp-add {network} {port} -- \
                 lsp-set-addresses {port} '{hex}:0{last} 192.168.{number}.{last} fd00:{number}::{last}'"
            ));
        }
    }
    cloud.nbctl("lr-add lr0");
    for number in [1, 2] {
        cloud.nbctl(&format!(
            "lrp-add lr0 lr0-ls{number} 02:00:00:00:0{number}:fe 192.168.{number}.254/24 fd00:{number}::fe/64 -- \
             lsp-add ls{number} ls{number}-lr0 -- lsp-set-type ls{number}-lr0 router -- \
             lsp-set-options ls{number}-lr0 router-port=lr0-ls{number} -- lsp-set-addresses ls{number}-lr0 router"
        ));
    }
    for (chassis, name, network, last) in
        [(0, "a1", 1, 1), (0, "a2", 1, 2), (1, "b1", 1, 3), (0, "c1", 2, 1), (1, "c2", 2, 2)]
    {
        cloud.guest(
            chassis,
            name,
            &format!("02:00:00:00:0{network}:0{last}"),
            &[&format!("192.168.{network}.{last}/24"), &format!("fd00:{network}::{last}/64")],
            &[&format!("192.168.{network}.254"), &format!("fd00:{network}::fe")],
        );
    }
    cloud.serve(&["a1", "a2", "b1", "c1", "c2"]);
    cloud.sync();
}

/// On one host, through a tunnel, and through the router, over both versions of IP, in TCP and in fragments of UDP.
fn guests_reach_each_other(cloud: &Cloud) {
    for (guest, address) in
        [("a1", "192.168.1.2"), ("a1", "192.168.1.3"), ("c2", "fd00:1::1"), ("b1", "fd00:1::fe")]
    {
        cloud.reaches(guest, address);
    }
    cloud.answers("a1", "tcp 192.168.1.2 80", "a2 192.168.1.1");
    cloud.answers("a1", "udp 192.168.1.3 53 3000", "b1 192.168.1.1 3000");
    cloud.answers("c2", "tcp 192.168.1.1 80", "a1 192.168.2.2");
    cloud.answers("c2", "udp 192.168.2.1 53 3000", "c1 192.168.2.2 3000");
    cloud.answers("b1", "tcp fd00:1::2 80", "a2 fd00:1::3");
    cloud.answers("c2", "udp fd00:1::1 53 3000", "a1 fd00:2::2 3000");
    assert_eq!(cloud.ask("c1", "tcp 192.168.1.3 22"), "Connection refused", "by the guest itself");
}

/// Rules about the guest `b1`: what is not allowed is refused, or dropped and logged.
fn access_is_controlled(cloud: &Cloud) {
    for rule in [
        "1002 'outport==\"b1\" && tcp.dst==80' allow-related",
        "1001 'outport==\"b1\" && udp.dst==53 && ip4' allow-related",
        "1001 'outport==\"b1\" && icmp6' allow-related",
        "900 'outport==\"b1\" && (tcp || ip6)' reject",
    ] {
        cloud.nbctl(&format!("acl-add ls1 to-lport {rule}"));
    }
    cloud.nbctl("--log --severity=info --name=quiet acl-add ls1 to-lport 800 'outport==\"b1\" && ip4' drop");
    cloud.sync();
    cloud.answers("a1", "tcp 192.168.1.3 80", "b1 192.168.1.1");
    cloud.answers("c2", "tcp fd00:1::3 80", "b1 fd00:2::2");
    cloud.answers("c1", "udp 192.168.1.3 53 1000", "b1 192.168.2.1 1000");
    for (guest, words) in [
        ("a1", "tcp 192.168.1.3 22"),
        ("c2", "tcp 192.168.1.3 22"),
        ("a1", "tcp fd00:1::3 22"),
        ("c1", "udp fd00:1::3 53 10"),
    ] {
        cloud.answers(guest, words, "Connection refused");
    }
    assert!(!cloud.host("a1").is_answered("192.168.1.3"), "an echo request is let in");
    cloud.reaches("b1", "192.168.1.1");
    cloud.reaches("a1", "fd00:1::3");
    let log = cloud.chassis[1].switch.dir.join("ovn-controller.log");
    until("the dropped request is logged", || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("name=\"quiet\", verdict=drop, severity=info, direction=to-lport: icmp,")
    });
    cloud.nbctl("acl-del ls1");
    cloud.sync();
    cloud.reaches("a1", "192.168.1.3");
}

/// One address for two guests on different hosts; one of them asks itself as well.
fn load_is_balanced(cloud: &Cloud) {
    cloud.nbctl("lb-add t4 192.168.9.9:80 192.168.1.2:80,192.168.1.3:80 tcp");
    cloud.nbctl("lb-add u4 192.168.9.9:53 192.168.1.2:53,192.168.1.3:53 udp");
    cloud.nbctl("lb-add t6 [fd00:9::9]:80 [fd00:1::2]:80,[fd00:1::3]:80 tcp");
    for (network, balancer) in
        ["ls1", "ls2"].iter().flat_map(|network| ["t4", "u4", "t6"].map(|lb| (network, lb)))
    {
        cloud.nbctl(&format!("ls-lb-add {network} {balancer}"));
    }
    cloud.sync();
    for guest in ["a1", "a2", "c2"] {
        for words in ["tcp 192.168.9.9 80", "udp 192.168.9.9 53 10", "tcp fd00:9::9 80"] {
            assert_eq!(cloud.servers(guest, words), ["a2", "b1"], "{guest} asks {words}");
        }
    }
    // Connections do not have flows of their own for what no rule sees of outer headers.
    let flows = cloud.chassis[0].switch.appctl("dpctl/dump-flows");
    assert!(flows.contains("tunnel(") && !flows.contains("tp_src="), "{flows}");
    for balancer in ["t4", "u4", "t6"] {
        cloud.nbctl(&format!("lb-del {balancer}"));
    }
    cloud.sync();
    assert_eq!(cloud.ask("c2", "tcp 192.168.9.9 80"), "nothing");
}

#[test]
fn guests_on_two_hosts_share_logical_networks() {
    if !can_run() {
        return;
    }
    let cloud = Cloud::new(&[Programs::Ours; 2], "geneve");
    two_networks(&cloud);
    guests_reach_each_other(&cloud);
    access_is_controlled(&cloud);
    load_is_balanced(&cloud);
    // The same through the other kind of tunnel.
    for chassis in &cloud.chassis {
        chassis.switch.vsctl("set open . external_ids:ovn-encap-type=vxlan");
    }
    let is_changed =
        || cloud.chassis[0].switch.vsctl("--columns=type find interface type=vxlan").contains("vxlan");
    assert!(holds_within(LIMIT, is_changed), "the tunnels are not changed");
    cloud.sync();
    guests_reach_each_other(&cloud);
    access_is_controlled(&cloud);
    cloud.is_content();
}
