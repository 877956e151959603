//! Section 8, control: a learning controller drives a switch, ours and the
//! reference's in both places.

use std::process::{Child, Stdio};

use end_to_end::{Host, Programs, Switch, World, can_run, until};

/// The versions in which our switch tells a packet without a rule from one that a rule sends up.
const OUR_VERSIONS: &[&str] = &["OpenFlow10", "OpenFlow13", "OpenFlow15"];

/// Two hosts on a switch whose rules a controller makes.
struct Controlled {
    a: Host,
    b: Host,
    switch: Switch,
    controller: Child,
    _world: World,
}

impl Controlled {
    fn new(of_switch: Programs, of_controller: Programs, options: &str, protocols: &str) -> Controlled {
        let world = World::new();
        let (a, b, middle) = (world.host("a"), world.host("b"), world.host("sw"));
        world.wire(&middle, "pa", &a, "eth0");
        world.wire(&middle, "pb", &b, "eth0");
        a.address("eth0", "10.8.0.1/24");
        b.address("eth0", "10.8.0.2/24");
        let switch = Switch::start(&world, &middle, "sw", of_switch);
        let dir = switch.dir.display().to_string();
        let log = std::fs::File::create(switch.dir.join("controller.out")).unwrap();
        let mut command = switch.command_of(of_controller, "ovs-testcontroller");
        command.args([format!("punix:{dir}/controller"), format!("--unixctl={dir}/controller.ctl")]);
        command.args(options.split_whitespace());
        let controller =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        until("the controller listens", || switch.dir.join("controller").exists());
        switch.vsctl(&format!(
            "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure protocols={protocols} \
             -- add-port br0 pa -- add-port br0 pb -- set-controller br0 unix:{dir}/controller"
        ));
        Controlled { a, b, switch, controller, _world: world }
    }

    fn is_connected(&self) -> bool {
        self.switch.vsctl("--bare --columns=is_connected find controller is_connected=true").contains("true")
    }

    /// The rules in a version that the bridge speaks, without what differs from run to run.
    fn rules(&self, version: &str) -> String {
        self.switch.ofctl(&format!("-O {version} dump-flows --no-stats br0"))
    }

    #[track_caller]
    fn drives(&self, version: &str) {
        until("the controller is connected", || self.is_connected());
        assert!(self.a.reaches("10.8.0.2"), "{}", self.rules(version));
        let rules = self.rules(version);
        assert!(rules.contains("idle_timeout=60") && rules.contains("icmp"), "{rules}");
    }
}

impl Drop for Controlled {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = std::fs::read_to_string(self.switch.dir.join("controller.out")).unwrap_or_default();
            eprintln!("--- controller\n{text}");
        }
        // It may have ended by itself.
        let _ = self.controller.kill();
        let _ = self.controller.wait();
    }
}

#[test]
fn our_controller_drives_our_switch() {
    if !can_run() {
        return;
    }
    for &version in OUR_VERSIONS {
        let mut world = Controlled::new(Programs::Ours, Programs::Ours, "", version);
        world.drives(version);
        assert!(world.b.reaches("10.8.0.1"));
        // Without its controller the switch keeps its rules, and does nothing new.
        world.controller.kill().unwrap();
        until("the controller is missed", || !world.is_connected());
        assert!(world.a.reaches("10.8.0.2"));
    }
}

#[test]
fn a_bridge_connects_anew_on_command() {
    if !can_run() {
        return;
    }
    let world = Controlled::new(Programs::Ours, Programs::Ours, "", "OpenFlow13");
    until("the controller is connected", || world.is_connected());
    let log = world.switch.dir.join("ovs-vswitchd.log");
    let connections = || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.lines().filter(|line| line.contains("|rconn|") && line.ends_with(": connected")).count()
    };
    assert_eq!(connections(), 1);
    world.switch.appctl("bridge/reconnect");
    until("the controller is connected again", || connections() == 2 && world.is_connected());
    assert_eq!(
        world.switch.ctl("ovs-appctl", "bridge/reconnect nobridge").err.lines().next(),
        Some("Unknown bridge")
    );
}

#[test]
fn our_controller_drives_the_reference_switch() {
    if !can_run() {
        return;
    }
    for version in ["OpenFlow10", "OpenFlow13"] {
        Controlled::new(Programs::Reference, Programs::Ours, "", version).drives(version);
    }
}

#[test]
fn the_reference_controller_drives_our_switch() {
    if !can_run() {
        return;
    }
    for &version in OUR_VERSIONS {
        Controlled::new(Programs::Ours, Programs::Reference, "", version).drives(version);
    }
}

#[test]
fn a_controller_can_be_a_hub_or_leave_no_rules() {
    if !can_run() {
        return;
    }
    let hub = Controlled::new(Programs::Ours, Programs::Ours, "--hub --max-idle=permanent", "OpenFlow10");
    assert!(hub.a.reaches("10.8.0.2"));
    let rules = hub.rules("OpenFlow10");
    assert!(rules.contains("actions=FLOOD") && !rules.contains("idle_timeout"), "{rules}");
    let by_hand = Controlled::new(Programs::Ours, Programs::Ours, "--noflow", "OpenFlow10");
    assert!(by_hand.a.reaches("10.8.0.2"));
    assert_eq!(by_hand.rules("OpenFlow10").lines().filter(|line| line.contains("actions")).count(), 0);
    let normal = Controlled::new(Programs::Ours, Programs::Ours, "--normal -w", "OpenFlow10");
    assert!(normal.a.reaches("10.8.0.2"));
    let rules = normal.rules("OpenFlow10");
    assert!(rules.contains("actions=NORMAL") && !rules.contains("icmp"), "{rules}");
}

#[test]
fn a_controller_gives_a_switch_the_rules_of_a_file() {
    if !can_run() {
        return;
    }
    let flows = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(flows.path(), "# to begin with\ntable=1,reg1=3,actions=drop\nin_port=9,actions=4\n")
        .unwrap();
    let options = format!("--with-flows={}", flows.path().display());
    for version in ["OpenFlow10", "OpenFlow13"] {
        let world = Controlled::new(Programs::Ours, Programs::Ours, &options, version);
        until("the rules are there", || world.rules(version).contains("in_port=9 actions=output:4"));
        assert!(world.rules(version).contains("table=1, reg1=0x3 actions=drop"), "{}", world.rules(version));
    }
}

/// A bridge without rules whose own port is the host's only way to `far`.
fn closed_bridge(world: &World) -> (Host, Host, Switch) {
    let (far, middle) = (world.host("far"), world.host("sw"));
    world.wire(&middle, "pa", &far, "eth0");
    far.address("eth0", "10.8.0.2/24");
    let switch = Switch::start(world, &middle, "sw", Programs::Ours);
    switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure -- add-port br0 pa");
    middle.ok("ip link set br0 up");
    (far, middle, switch)
}

#[test]
fn a_manager_behind_the_bridge_is_reached_whatever_the_rules_are() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (far, middle, switch) = closed_bridge(&world);
    middle.address("br0", "10.8.0.1/24");
    switch.vsctl("set-manager tcp:10.8.0.2:6640 -- set manager . max_backoff=1000");
    until("the rules are there", || {
        switch.appctl("bridge/dump-flows br0").contains("tcp,nw_dst=10.8.0.2,tp_dst=6640,actions=NORMAL")
    });
    let listed = far.ok("/usr/bin/ovs-vsctl --timeout=60 --db=ptcp:6640:10.8.0.2 --no-wait list-br");
    assert_eq!(listed, "br0\n");
    switch.vsctl("del-manager");
    until("the rules are gone", || !switch.appctl("bridge/dump-flows br0").contains("10.8.0.2"));
}

#[test]
fn a_bridge_that_is_controlled_through_itself_gets_a_lease() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (far, middle, switch) = closed_bridge(&world);
    let settings = switch.dir.join("udhcpd.conf");
    let leases = switch.dir.join("leases").display().to_string();
    std::fs::write(&leases, "").unwrap();
    let text = format!(
        "start 10.8.0.50\nend 10.8.0.60\ninterface eth0\nlease_file {leases}\npidfile {leases}.pid\n"
    );
    std::fs::write(&settings, text).unwrap();
    let mut server = far.command("busybox");
    let mut server = server.args(["udhcpd", "-f"]).arg(&settings).stderr(Stdio::null()).spawn().unwrap();
    until("the server listens", || far.ok("ss -lunH").contains(":67 "));
    let ask =
        |tries: u32| middle.run(&format!("busybox udhcpc -i br0 -n -q -f -t {tries} -T 1 -s /bin/true"));
    assert_ne!(ask(1).status, 0, "no rule lets it ask");
    switch.vsctl("set-controller br0 tcp:10.8.0.2:6653");
    until("the rules are there", || switch.appctl("bridge/dump-flows br0").contains("priority=180000,"));
    let lease = ask(10);
    assert_eq!(lease.status, 0, "{}{}", lease.out, lease.err);
    let traced = "ofproto/trace br0 in_port=pa,udp,nw_src=10.8.0.2,tp_src=67,tp_dst=68";
    let traced = switch.appctl(traced);
    assert!(traced.contains("outputting DHCP packet to local port for in-band control"), "{traced}");
    // It may have ended by itself.
    let _ = server.kill();
    let _ = server.wait();
}

#[test]
fn a_controller_behind_the_bridge_is_reached_whatever_the_rules_are() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (far, middle) = (world.host("far"), world.host("sw"));
    world.wire(&middle, "pa", &far, "eth0");
    far.address("eth0", "10.8.0.2/24");
    let switch = Switch::start(&world, &middle, "sw", Programs::Ours);
    switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure other_config:disable-in-band=true -- add-port br0 pa");
    middle.address("br0", "10.8.0.1/24");
    middle.ok("ip link set br0 up");
    let listening = switch.dir.join("far.ctl");
    let mut controller = far
        .command("ovs-testcontroller")
        .args(["ptcp:6653:10.8.0.2", "--noflow", &format!("--unixctl={}", listening.display())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the controller listens", || far.ok("ss -ltnH").contains(":6653 "));
    switch.vsctl("set-controller br0 tcp:10.8.0.2:6653 -- set controller br0 max_backoff=1000");
    let own_rules = || switch.appctl("bridge/dump-flows br0").matches("priority=1800").count();
    let connected = "--bare --columns=is_connected find controller is_connected=true";
    assert_eq!(own_rules(), 0, "in-band control is disabled");
    assert!(!switch.vsctl(connected).contains("true"), "no rule lets the connection pass");
    switch.vsctl("del-controller br0 -- remove bridge br0 other_config disable-in-band");
    super::pages::type_all("in-band.md", &middle, &switch);
    until("the rules are gone", || own_rules() == 0);
    switch.vsctl(
        "remove bridge br0 other_config disable-in-band -- set controller br0 connection_mode=in-band",
    );
    until("the rules are there again", || own_rules() > 0);
    assert!(!switch.ofctl("dump-flows br0").contains("10.8.0.2"), "controllers do not see them");
    switch.vsctl("del-controller br0 -- set manager . connection_mode=out-of-band");
    until("nobody is to be reached in this way", || own_rules() == 0);
    // It may have ended by itself.
    let _ = controller.kill();
    let _ = controller.wait();
}
