//! Neighbours that are watched: BFD with the reference's daemon, and what follows when it falls silent.

use std::process::Stdio;
use std::time::{Duration, Instant};

use end_to_end::{Host, Programs, Switch, World, can_run, until};

/// A switch of ours and one of the reference's, joined by a wire on which both speak BFD.
struct Neighbours {
    ours: Switch,
    theirs: Switch,
    host: Host,
    other: Host,
    _world: World,
}

impl Neighbours {
    fn new() -> Neighbours {
        // Less, and they give up where processors are shared.
        let watched = "bfd:enable=true bfd:min_rx=300 bfd:min_tx=300";
        let neighbours = Neighbours::watched(watched, watched);
        until("both sides hear each other", || neighbours.forwarding() == ["true", "true"]);
        neighbours
    }

    /// The same with other settings of the two interfaces.
    fn watched(ours_asks: &str, theirs_asks: &str) -> Neighbours {
        let world = World::new();
        let (host, other) = (world.host("ours"), world.host("theirs"));
        world.wire(&host, "pa", &other, "pb");
        let ours = Switch::start(&world, &host, "ours", Programs::Ours);
        let theirs = Switch::start(&world, &other, "theirs", Programs::Reference);
        ours.vsctl(&format!("add-br br0 -- add-port br0 pa -- set interface pa {ours_asks}"));
        theirs.vsctl(&format!(
            "add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 pb -- set interface pb {theirs_asks}"
        ));
        Neighbours { ours, theirs, host, other, _world: world }
    }

    /// What each side says of its port.
    fn forwarding(&self) -> [String; 2] {
        [(&self.ours, "pa"), (&self.theirs, "pb")].map(|(switch, port)| status(switch, port, "forwarding"))
    }
}

fn status(switch: &Switch, port: &str, key: &str) -> String {
    let text = switch.vsctl(&format!("--if-exists get interface {port} bfd_status:{key}"));
    text.trim().trim_matches('"').to_owned()
}

#[test]
fn both_sides_come_up_and_the_database_and_the_commands_say_so() {
    if !can_run() {
        return;
    }
    let pair = Neighbours::new();
    for (key, value) in [("state", "up"), ("remote_state", "up"), ("diagnostic", "No Diagnostic")] {
        until(&format!("{key} is {value}"), || status(&pair.ours, "pa", key) == value);
    }
    until("the switch has shown that it was up once", || status(&pair.ours, "pa", "flap_count") == "1");
    let shape = |text: String| -> Vec<String> {
        let name = |line: &str| line.split(':').next().unwrap_or("").to_owned();
        text.lines().map(name).collect()
    };
    assert_eq!(
        shape(pair.ours.appctl("bfd/show pa")),
        shape(pair.theirs.appctl("bfd/show pb")),
        "the same lines"
    );
    let refused = pair.ours.ctl("ovs-appctl", "bfd/show pc");
    assert_eq!((refused.status, refused.err.lines().next()), (2, Some("no such bfd object")));
    assert!(pair.ours.vsctl("show").contains("bfd_status: {diagnostic=\"No Diagnostic\""));

    // Its packets are the switch's own: nobody behind another port sees them, and rules do not forward them.
    let flows = pair.ours.appctl("dpctl/dump-flows");
    let line = flows.lines().find(|line| line.contains("3784")).unwrap_or_else(|| panic!("{flows}"));
    assert!(line.contains("slow_path(bfd)"), "{line}");
    let traced = pair.ours.appctl("ofproto/trace br0 in_port=pa,udp,tp_dst=3784");
    assert!(traced.contains("Consists of BFD packets."), "{traced}");

    pair.ours.vsctl("remove interface pa bfd enable");
    assert_eq!(pair.ours.vsctl("get interface pa bfd_status").trim(), "{}");
    until("the other side notices", || pair.forwarding()[1] == "false");
}

#[test]
fn another_number_of_queues_ends_no_session_and_no_traffic() {
    if !can_run() {
        return;
    }
    // Slow enough for any machine: a session that is made anew is known by its discriminator.
    let watched = "bfd:enable=true bfd:min_rx=1000 bfd:min_tx=1000";
    let pair = Neighbours::watched(watched, watched);
    until("both sides hear each other", || pair.forwarding() == ["true", "true"]);
    for (switch, host, address) in [(&pair.ours, &pair.host, 1), (&pair.theirs, &pair.other, 2)] {
        switch.ofctl("add-flow br0 actions=normal");
        host.ok(&format!("ip addr add 10.0.0.{address}/24 dev br0"));
        host.ok("ip link set br0 up");
    }
    until("the neighbour answers", || pair.host.is_answered("10.0.0.2"));
    let session = || {
        let shown = pair.ours.appctl("bfd/show pa");
        shown.lines().find(|line| line.contains("Local Discriminator")).map(str::to_owned)
    };
    let number = || pair.ours.vsctl("get interface pa ofport");
    let received = || -> u64 {
        pair.ours.vsctl("get interface pa statistics:rx_packets").trim().parse().expect("a number")
    };
    let (before, had, spoken) = (number(), received(), session());
    let queues = || {
        let shown = pair.ours.appctl("dpif-netdev/pmd-rxq-show");
        shown.lines().filter(|line| line.trim_start().starts_with("port: pa ")).count()
    };
    assert_eq!(queues(), 1);
    let mut ping = pair.host.command("ping");
    let ping =
        ping.args(["-q", "-i", "0.02", "-c", "100", "10.0.0.2"]).stdout(Stdio::piped()).spawn().unwrap();
    for count in [3, 2, 1] {
        pair.ours.vsctl(&format!("set interface pa options:n_rxq={count}"));
        assert_eq!(queues(), count);
    }
    let report = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
    let answers: u32 = report
        .split_once(" received")
        .and_then(|(text, _)| text.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{report}"));
    // A frame that comes between the last call of one socket and the first of the next is lost.
    assert!(answers >= 95, "{report}");
    assert_eq!((number(), queues()), (before, 1));
    assert!(received() >= had, "counters go on");
    assert!(spoken.is_some());
    assert_eq!(session(), spoken, "the session goes on");
    assert_eq!(pair.forwarding(), ["true", "true"]);
}

#[test]
fn a_neighbour_that_falls_silent_ends_forwarding_and_groups_take_another_way() {
    if !can_run() {
        return;
    }
    let pair = Neighbours::new();
    pair.ours.vsctl("add-port br0 spare -- set interface spare type=internal");
    pair.host.ok("ip link set spare up");
    pair.ours.ofctl(
        "-O OpenFlow13 add-group br0 group_id=1,type=ff,bucket=watch_port:pa,output:pa,bucket=watch_port:spare,output:spare",
    );
    let chosen = || {
        let add = "add-flow br0 in_port=LOCAL,actions=group:1";
        pair.ours.ofctl(&format!("-O OpenFlow13 {add}"));
        let traced = pair.ours.appctl("ofproto/trace br0 in_port=LOCAL");
        traced.lines().last().unwrap_or("").to_owned()
    };
    let number = |port: &str| {
        let shown = pair.ours.appctl("dpif/show");
        let line = shown.lines().find(|line| line.trim_start().starts_with(&format!("{port} ")));
        line.and_then(|line| line.split(['/', ':']).nth(1)).expect("a number").to_owned()
    };
    assert_eq!(chosen(), format!("Datapath actions: {}", number("pa")));

    pair.theirs.vsctl("set interface pb bfd:enable=false");
    until("our side notices", || pair.forwarding()[0] == "false");
    assert_eq!(status(&pair.ours, "pa", "diagnostic"), "Control Detection Time Expired");
    assert_eq!(chosen(), format!("Datapath actions: {}", number("spare")));

    pair.ours.appctl("bfd/set-forwarding pa true");
    assert_eq!(chosen(), format!("Datapath actions: {}", number("pa")));
    pair.ours.appctl("bfd/set-forwarding pa normal");

    pair.theirs.vsctl("set interface pb bfd:enable=true");
    until("both are up again", || pair.forwarding() == ["true", "true"]);
    assert_eq!(chosen(), format!("Datapath actions: {}", number("pa")));
}

/// What the control thread does otherwise takes longer than the neighbour waits; the neighbour must not notice.
#[test]
fn reconfiguration_delays_no_packet_that_a_neighbour_waits_for() {
    if !can_run() {
        return;
    }
    // Long enough that a packet that waits for a processor comes in time.
    let watched = "bfd:enable=true bfd:min_rx=1000 bfd:min_tx=1000";
    let patience = Duration::from_secs(3);
    let pair = Neighbours::watched(watched, watched);
    until("both sides hear each other", || pair.forwarding() == ["true", "true"]);
    until("the flap is counted", || status(&pair.theirs, "pb", "flap_count") == "1");
    let rules: String = (0..20_000)
        .map(|n| format!("table=7,udp,nw_src=10.{}.{}.1,tp_src={},actions=drop\n", n >> 8, n & 255, n % 999))
        .collect();
    let file = pair.ours.database_file().with_extension("rules");
    std::fs::write(&file, rules).expect("a file of rules");
    let file = file.to_str().expect("a path");
    let many = |verb: &str| {
        let port = |n| match verb {
            "add" => format!("add-port br0 i{n} -- set interface i{n} type=internal"),
            _ => format!("del-port br0 i{n}"),
        };
        (0..100).map(port).collect::<Vec<_>>().join(" -- ")
    };
    let begun = Instant::now();
    for _ in 0..2 {
        pair.ours.vsctl(&many("add"));
        pair.ours.ofctl(&format!("-O OpenFlow14 --bundle add-flows br0 {file}"));
        pair.ours.ofctl("dump-flows br0");
        pair.ours.ofctl("del-flows br0 table=7");
        pair.ours.vsctl(&many("del"));
    }
    assert!(begun.elapsed() > patience, "longer than the neighbour waits");
    assert_eq!(status(&pair.theirs, "pb", "flap_count"), "1");
    assert_eq!(pair.forwarding(), ["true", "true"]);
}

#[test]
fn connectivity_checks_agree_with_the_references() {
    if !can_run() {
        return;
    }
    let asked = "other_config:cfm_interval=100 other_config:cfm_extended=true";
    let pair = Neighbours::watched(&format!("cfm_mpid=1 {asked}"), &format!("cfm_mpid=2 {asked}"));
    let column = |switch: &Switch, port: &str, column: &str| {
        switch.vsctl(&format!("get interface {port} {column}")).trim().to_owned()
    };
    let is_well = || {
        column(&pair.ours, "pa", "cfm_remote_mpids") == "[2]"
            && column(&pair.theirs, "pb", "cfm_remote_mpids") == "[1]"
            && column(&pair.ours, "pa", "cfm_fault") == "false"
            && column(&pair.theirs, "pb", "cfm_fault") == "false"
    };
    until("both sides are well", is_well);
    until("health is known", || column(&pair.ours, "pa", "cfm_health") == "100");
    let lines = |text: String| {
        text.lines().map(|line| line.split(':').next().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    let ours = lines(pair.ours.appctl("cfm/show pa"));
    let theirs = lines(pair.theirs.appctl("cfm/show pb"));
    assert_eq!(ours[2..ours.len() - 3], theirs[2..theirs.len() - 3], "the same lines");

    pair.theirs.vsctl("set interface pb other_config:cfm_opstate=down");
    until("our side knows", || column(&pair.ours, "pa", "cfm_remote_opstate") == "down");
    pair.theirs.vsctl("clear interface pb cfm_mpid");
    until("our side notices", || column(&pair.ours, "pa", "cfm_fault_status") == "[recv]");
    assert_eq!(column(&pair.ours, "pa", "cfm_fault"), "true");
    pair.ours.vsctl("clear interface pa cfm_mpid");
    assert_eq!(column(&pair.ours, "pa", "cfm_fault"), "[]");
    let refused = pair.ours.ctl("ovs-appctl", "cfm/show pa");
    assert_eq!((refused.status, refused.err.lines().next()), (2, Some("no such CFM object")));
}

#[test]
fn the_page_on_liveness_works_as_it_says() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, other) = (world.host("ours"), world.host("theirs"));
    let ours = Switch::start(&world, &host, "ours", Programs::Ours);
    let theirs = Switch::start(&world, &other, "theirs", Programs::Reference);
    // Three wires between two bridges would be a loop.
    ours.vsctl("add-br br0 -- set bridge br0 fail_mode=secure");
    theirs.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure");
    let watched = "bfd:enable=true bfd:min_rx=100 bfd:min_tx=100";
    for (port, settings) in
        [("pa", watched), ("pb", watched), ("pc", "cfm_mpid=2 other_config:cfm_interval=100")]
    {
        world.wire(&host, port, &other, &format!("{port}2"));
        ours.vsctl(&format!("add-port br0 {port}"));
        theirs.vsctl(&format!("add-port br0 {port}2 -- set interface {port}2 {settings}"));
    }
    super::pages::type_all("liveness.md", &host, &ours);
}
