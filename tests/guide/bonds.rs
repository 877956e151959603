//! Ports with several interfaces: one that forwards, packets that are shared, and link aggregation with the reference.

use end_to_end::{Host, Programs, Switch, World, can_run, until};

/// Two hosts behind two switches that are joined by two wires: x1 to x2 and y1 to y2.
struct Joined {
    a: Host,
    b: Host,
    one: Host,
    two: Host,
    /// That with ports x1 and y1.
    ours: Switch,
    other: Switch,
    _world: World,
}

impl Joined {
    fn new(other: Programs) -> Joined {
        let world = World::new();
        let (a, b) = (world.host("a"), world.host("b"));
        let (one, two) = (world.host("one"), world.host("two"));
        world.wire(&a, "eth0", &one, "ha");
        world.wire(&b, "eth0", &two, "hb");
        a.address("eth0", "10.0.0.1/24");
        b.address("eth0", "10.0.0.2/24");
        world.wire(&one, "x1", &two, "x2");
        world.wire(&one, "y1", &two, "y2");
        let ours = Switch::start(&world, &one, "sw1", Programs::Ours);
        ours.vsctl("add-br br1 -- add-port br1 ha");
        let other = Switch::start(&world, &two, "sw2", other);
        other.vsctl("add-br br2 -- set bridge br2 datapath_type=netdev -- add-port br2 hb");
        Joined { a, b, one, two, ours, other, _world: world }
    }

    /// With the reference, over links that both have agreed on.
    fn aggregated() -> Joined {
        let joined = Joined::new(Programs::Reference);
        let asked = "bond_mode=balance-tcp lacp=active other_config:lacp-time=fast";
        joined.ours.vsctl(&format!("add-bond br1 bond x1 y1 {asked}"));
        joined.other.vsctl(&format!("add-bond br2 bond x2 y2 {asked}"));
        joined.agree();
        until("members are enabled", || joined.enabled() == 2);
        joined
    }

    fn agree(&self) {
        let agreed = |switch: &Switch| {
            let shown = switch.appctl("lacp/show bond");
            shown.matches("may_enable: true").count() == 2 && shown.contains("active negotiated")
        };
        until("both agree", || agreed(&self.ours) && agreed(&self.other));
    }

    /// Our members that carry packets.
    fn enabled(&self) -> usize {
        let shown = self.ours.appctl("bond/show");
        shown.lines().filter(|line| line.starts_with("member ") && line.ends_with(": enabled")).count()
    }

    /// Sends packets of many connections, of which both members are to have some.
    fn spread(&self) {
        let sent = || ["x1", "y1"].map(|device| counter(&self.one, device, "tx_packets"));
        let before = sent();
        let script = "for i in $(seq 200); do echo x >/dev/udp/10.0.0.2/$((5000+i)); done 2>/dev/null";
        let done = end_to_end::run(self.a.command("bash").args(["-c", script]));
        assert_eq!(done.status, 0, "{done:?}");
        until("both members are used", || sent().iter().zip(before).all(|(now, before)| now - before > 40));
    }

    fn mac(&self, device: &str) -> String {
        self.one.ok(&format!("cat /sys/class/net/{device}/address")).trim().to_owned()
    }

    fn active(&self) -> String {
        self.ours.vsctl("get port bond bond_active_slave").trim().trim_matches('"').to_owned()
    }
}

fn counter(host: &Host, device: &str, name: &str) -> u64 {
    let path = format!("cat /sys/class/net/{device}/statistics/{name}");
    host.ok(&path).trim().parse().expect("a number")
}

/// The OpenFlow port behind which a bridge has learned an address.
fn learned(switch: &Switch, bridge: &str, mac: &str) -> Option<String> {
    let table = switch.appctl(&format!("fdb/show {bridge}"));
    let line = table.lines().find(|line| line.contains(mac))?;
    line.split_whitespace().next().map(str::to_owned)
}

#[test]
fn one_member_forwards_and_another_one_takes_over() {
    if !can_run() {
        return;
    }
    // The other side knows of no bond: what it floods comes back to it unless the bond has one member that forwards.
    let joined = Joined::new(Programs::Ours);
    joined.other.vsctl("add-port br2 x2 -- add-port br2 y2");
    joined.ours.vsctl("add-bond br1 bond x1 y1 bond_mode=active-backup");
    let (a, b, one) = (&joined.a, &joined.b, &joined.one);
    assert!(a.reaches("10.0.0.2"));
    let before = (counter(a, "eth0", "rx_packets"), counter(b, "eth0", "rx_packets"));
    for _ in 0..5 {
        b.run("ping -c 1 -W 1 10.0.0.77");
    }
    let news = (counter(a, "eth0", "rx_packets") - before.0, counter(b, "eth0", "rx_packets") - before.1);
    assert!(news.0 <= 20 && news.1 <= 20, "{news:?} frames");

    assert_eq!(joined.active(), joined.mac("x1"));
    let mac = a.ok("cat /sys/class/net/eth0/address").trim().to_owned();
    let number = |port: &str| joined.other.vsctl(&format!("get interface {port} ofport")).trim().to_owned();
    assert_eq!(learned(&joined.other, "br2", &mac), Some(number("x2")));
    one.ok("ip link set x1 down");
    until("the other one is active", || joined.active() == joined.mac("y1"));
    // Nothing has to be sent: the bond tells the other switch where the host is now.
    until("the other switch knows", || learned(&joined.other, "br2", &mac) == Some(number("y2")));
    assert!(a.reaches("10.0.0.2"));
    one.ok("ip link set x1 up");
    one.ok("ip link set y1 down");
    until("the first one is active", || joined.active() == joined.mac("x1"));
    assert!(a.reaches("10.0.0.2"));
    one.ok("ip link set y1 up");
    joined.ours.vsctl("set port bond other_config:bond-primary=y1");
    until("the primary is active", || joined.active() == joined.mac("y1"));
    let shown = joined.ours.appctl("bond/show bond");
    assert!(
        shown.contains("active-backup primary: y1") && shown.contains("member y1: enabled\n  active member")
    );
    assert_eq!(joined.ours.appctl("bond/set-active-member bond x1"), "done\n");
    let refused = joined.ours.ctl("ovs-appctl", "bond/show x1");
    assert_eq!((refused.status, refused.err.lines().next()), (2, Some("no such bond")));
}

#[test]
fn link_aggregation_with_the_reference_shares_connections_and_survives_a_link() {
    if !can_run() {
        return;
    }
    let joined = Joined::aggregated();
    assert_eq!(joined.ours.vsctl("get interface x1 lacp_current").trim(), "true");
    let shape = |text: String| -> Vec<String> {
        text.lines()
            .map(|line| line.split(':').next().unwrap_or("").replace("x1", "x2").replace("y1", "y2"))
            .collect()
    };
    assert_eq!(
        shape(joined.ours.appctl("lacp/show bond")),
        shape(joined.other.appctl("lacp/show bond")),
        "the same lines"
    );
    let (a, b) = (&joined.a, &joined.b);
    assert!(a.reaches("10.0.0.2") && b.reaches("10.0.0.1"));

    // Many connections leave by both members, and a single flow of the datapath serves them.
    joined.spread();
    let flows = joined.ours.appctl("dpctl/dump-flows");
    assert!(flows.contains("hash(l4(0)),recirc("), "{flows}");

    joined.two.ok("ip link set x2 down");
    until("the link is left", || joined.enabled() == 1);
    assert!(a.reaches("10.0.0.2") && b.reaches("10.0.0.1"));
    joined.two.ok("ip link set x2 up");
    joined.agree();
    assert!(a.reaches("10.0.0.2"));
}

#[test]
fn the_datapath_shares_connections_among_members_itself_where_that_is_asked_for() {
    if !can_run() {
        return;
    }
    let joined = Joined::aggregated();
    let (a, b) = (&joined.a, &joined.b);
    let show = |command: &str| joined.ours.appctl(command);
    assert_eq!((show("dpif-netdev/bond-show").as_str(), joined.enabled()), ("", 2));
    joined.ours.vsctl("set port bond other_config:lb-output-action=true");
    until("the datapath knows", || show("bond/show").contains("lb_output action: enabled, bond-id: "));
    let shown = show("bond/show");
    let id = shown.split("bond-id: ").nth(1).and_then(|rest| rest.lines().next()).unwrap().to_owned();
    let parts = show("dpif-netdev/bond-show");
    assert!(parts.starts_with(&format!("Bonds:\n  bond-id {id}:\n    bucket 0 - member ")), "{parts}");
    assert_eq!(parts.lines().count(), 2 + 256);
    assert!(a.reaches("10.0.0.2") && b.reaches("10.0.0.1"));
    joined.spread();
    let flows = show("dpctl/dump-flows");
    assert!(flows.contains(&format!("lb_output({id})")) && !flows.contains("recirc("), "{flows}");

    joined.two.ok("ip link set x2 down");
    until("the link is left", || joined.enabled() == 1);
    let members = || {
        let parts = show("dpif-netdev/bond-show");
        let members = parts.lines().filter_map(|line| line.split("member ").nth(1));
        members.collect::<std::collections::BTreeSet<_>>().len()
    };
    until("the datapath leaves it", || members() == 1);
    assert!(a.reaches("10.0.0.2") && b.reaches("10.0.0.1"));
    joined.two.ok("ip link set x2 up");
    joined.agree();
    until("the datapath uses it again", || members() == 2);

    joined.ours.vsctl("remove port bond other_config lb-output-action");
    until("the datapath forgets it", || show("dpif-netdev/bond-show").is_empty());
    assert!(a.reaches("10.0.0.2"));
    assert!(show("dpctl/dump-flows").contains("recirc("));
    joined.ours.vsctl("set port bond other_config:lb-output-action=true");
    until("the datapath knows", || !show("dpif-netdev/bond-show").is_empty());
    joined.ours.vsctl("del-port bond");
    until("the datapath forgets it", || show("dpif-netdev/bond-show").is_empty());
    let drops = show("coverage/read-counter datapath_drop_invalid_bond");
    assert_eq!(drops, "0\n");
}

#[test]
fn addresses_are_shared_without_the_other_switch_taking_part() {
    if !can_run() {
        return;
    }
    let joined = Joined::new(Programs::Ours);
    joined.other.vsctl("add-port br2 x2 -- add-port br2 y2");
    joined.ours.vsctl("add-bond br1 bond x1 y1 bond_mode=balance-slb");
    let (a, b) = (&joined.a, &joined.b);
    assert!(a.reaches("10.0.0.2") && b.reaches("10.0.0.1"));
    // Frames of many hosts, which the switch knows apart by their addresses.
    let sent = || ["x1", "y1"].map(|device| counter(&joined.one, device, "tx_packets"));
    let before = sent();
    for number in 1..=16 {
        a.ok(&format!(
            "ip link add link eth0 name m{number} address 02:00:00:01:00:{number:02x} type macvlan"
        ));
        a.ok(&format!("ip link set m{number} up"));
        a.address(&format!("m{number}"), &format!("10.0.1.{number}/24"));
    }
    until("both members are used", || {
        (1..=16).for_each(|number| _ = a.run(&format!("ping -c 1 -W 0.1 -I m{number} 10.0.1.99")));
        sent().iter().zip(before).all(|(now, before)| now - before > 3)
    });
    let hash = joined.ours.appctl("bond/hash 02:00:00:00:00:01 7");
    assert_eq!(hash, joined.other.appctl("bond/hash 02:00:00:00:00:01 7"));
    assert_eq!(joined.ours.appctl("bond/migrate bond 5 y1"), "migrated\n");
    assert!(a.reaches("10.0.0.2"));
}

#[test]
fn a_bond_has_a_device_of_its_name_where_that_is_asked_for() {
    if !can_run() {
        return;
    }
    let joined = Joined::new(Programs::Ours);
    let switch = &joined.ours;
    let is_there = || {
        let has_device = joined.one.run("ip link show bond").status == 0;
        let has_port = switch.ofctl("show br1").contains("(bond): ");
        assert_eq!(has_device, has_port);
        has_device
    };
    switch.vsctl("add-bond br1 bond x1 y1 bond_mode=active-backup");
    assert!(!is_there());
    switch.vsctl("set port bond bond_fake_iface=true");
    assert!(is_there());
    assert!(switch.appctl("bond/show bond").contains("member x1: enabled"));
    // It is no member, and what it sends goes nowhere.
    let shown = switch.ofctl("show br1");
    let number =
        shown.lines().find(|line| line.contains("(bond)")).unwrap().trim().split('(').next().unwrap();
    let trace = switch.appctl(&format!("ofproto/trace br1 in_port={number},dl_dst=ff:ff:ff:ff:ff:ff"));
    assert!(trace.contains("no input bundle, dropping"), "{trace}");
    switch.vsctl("set port bond bond_fake_iface=false");
    assert!(!is_there());
    switch.vsctl("set port bond bond_fake_iface=true");
    assert!(is_there());
    switch.vsctl("del-port bond");
    assert!(!is_there());
}

#[test]
fn the_page_on_bonds_works_as_it_says() {
    if !can_run() {
        return;
    }
    let joined = Joined::new(Programs::Reference);
    joined
        .other
        .vsctl("add-bond br2 bond x2 y2 bond_mode=balance-tcp lacp=active other_config:lacp-time=fast");
    super::pages::type_all("bonds.md", &joined.one, &joined.ours);
    assert!(joined.a.reaches("10.0.0.2"), "after all that, packets pass");
}
