//! Ports of the types `afxdp` and `afxdp-nonpmd`.

use end_to_end::{Host, Iperf, Programs, Switch, World, can_run, until};

use crate::pages;

/// Two hosts, which a switch has as `pa` and `pb`.
struct Wires {
    a: Host,
    b: Host,
    switch: Switch,
    _world: World,
}

impl Wires {
    fn new() -> Wires {
        let world = World::new();
        let (a, b, middle) = (world.host("a"), world.host("b"), world.host("sw"));
        for (host, port, number) in [(&a, "pa", 1), (&b, "pb", 2)] {
            world.wire(&middle, port, host, "eth0");
            host.address("eth0", &format!("10.1.0.{number}/16"));
            host.ok("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
            host.ok(&format!("ip addr add fd00::{number}/64 dev eth0 nodad"));
        }
        let switch = Switch::start(&world, &middle, "sw", Programs::Ours);
        Wires { a, b, switch, _world: world }
    }

    /// The same with both ports of this type.
    fn of_type(kind: &str) -> Wires {
        let wires = Wires::new();
        wires.switch.vsctl(&format!(
            "add-br br0 -- add-port br0 pa -- set interface pa type={kind} -- add-port br0 pb -- set interface pb type={kind}"
        ));
        assert_eq!(wires.errors(), "[]\n[]\n");
        wires
    }

    fn errors(&self) -> String {
        self.switch.vsctl("get interface pa error -- get interface pb error")
    }

    /// How many programs of XDP the ports have.
    fn programs(&self) -> usize {
        let links = self.switch.host.ok("ip link show");
        links.lines().filter(|line| line.split_whitespace().any(|word| word.starts_with("xdp"))).count()
    }
}

#[test]
fn the_page_works_as_it_says() {
    if !can_run() {
        return;
    }
    let wires = Wires::new();
    pages::type_all("afxdp.md", &wires.switch.host, &wires.switch);
    assert!(wires.a.reaches("10.1.0.2"));
}

#[test]
fn hosts_talk_with_their_usual_offloads() {
    if !can_run() {
        return;
    }
    for kind in ["afxdp", "afxdp-nonpmd"] {
        let wires = Wires::of_type(kind);
        assert_eq!(wires.programs(), 2);
        let server = Iperf::serve(&wires.b);
        for address in ["10.1.0.2", "fd00::2"] {
            assert!(wires.a.reaches(address));
            server.both_ways(&wires.a, address, "20M", kind);
            let whole = wires.a.run(&format!("ping -c 3 -i 0.1 -s 5000 {address}"));
            assert!(whole.out.contains(" 0% packet loss"), "{whole:?}");
        }
        // The bridge's own port has other offloads.
        wires.switch.host.address("br0", "10.1.0.9/16");
        wires.switch.host.ok("ip link set br0 up");
        assert!(wires.a.reaches("10.1.0.9"));
        let own = Iperf::serve(&wires.switch.host);
        own.both_ways(&wires.a, "10.1.0.9", "20M", kind);
    }
}

#[test]
fn packets_pass_while_another_process_takes_over_and_after_a_crash() {
    if !can_run() {
        return;
    }
    let mut wires = Wires::of_type("afxdp-nonpmd");
    let is_open = |wires: &Wires| {
        wires.programs() == 2 && wires.switch.vsctl("get interface pa status").contains("xdp-mode=native")
    };
    assert!(wires.a.reaches("10.1.0.2"));
    wires.switch.end_daemon();
    // By packet sockets, of a process that keeps the devices.
    until("the kernel has taken the programs away", || wires.programs() == 0);
    assert!(wires.a.reaches("10.1.0.2"));
    wires.switch.start_daemon();
    until("the sockets are open again", || is_open(&wires));
    assert!(wires.a.reaches("10.1.0.2"));
    wires.switch.kill_daemon();
    until("the kernel has taken the programs away", || wires.programs() == 0);
    wires.switch.start_daemon();
    until("the sockets are open again", || is_open(&wires));
    assert!(wires.a.reaches("10.1.0.2"));
    wires.switch.ctl("ovs-appctl", "exit").ok();
    until("the process ends", || wires.programs() == 0);
}

#[test]
fn a_port_changes_its_type_and_its_number_stays() {
    if !can_run() {
        return;
    }
    let wires = Wires::of_type("system");
    for (kind, programs) in [("afxdp-nonpmd", 1), ("afxdp", 1), ("system", 0)] {
        wires.switch.vsctl(&format!("set interface pa type={kind}"));
        assert_eq!(wires.switch.vsctl("get interface pa error ofport"), "[]\n1\n", "{kind}");
        assert_eq!(wires.programs(), programs, "{kind}");
        assert!(wires.a.reaches("10.1.0.2"), "{kind}");
    }
}

#[test]
fn wrong_options_are_refused_in_the_words_of_the_reference() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let errors = [Programs::Ours, Programs::Reference].map(|programs| {
        let name = if programs == Programs::Ours { "ours" } else { "theirs" };
        let (host, other) = (world.host(name), world.host(&format!("{name}-peer")));
        world.wire(&host, "pa", &other, "eth0");
        let switch = Switch::start(&world, &host, name, programs);
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        switch.vsctl("--no-wait add-port br0 pa -- set interface pa type=afxdp");
        ["xdp-mode=fast", "n_rxq=17"].map(|option| {
            switch.vsctl(&format!("set interface pa options:{option}"));
            let error = switch.vsctl("get interface pa error ofport");
            switch.vsctl("clear interface pa options");
            error
        })
    });
    assert_eq!(errors[0], errors[1]);
    assert!(errors[0][0].contains("could not set configuration"), "{errors:?}");
}
