//! What rows of the database say of a running switch: who writes which column, when, and what stands there when
//! something cannot be done.

use end_to_end::{Host, Programs, Switch, World, can_run, until};

/// A switch in a host of its own, with a userspace bridge `br0`.
fn start(world: &World, programs: Programs) -> (Host, Switch) {
    let host = world.host("s");
    let switch = Switch::start(world, &host, "sw", programs);
    switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    (host, switch)
}

/// A device with an address, whose other end stays in the same host.
fn device(host: &Host, name: &str, mac: &str) {
    host.ok(&format!("ip link add name {name} address {mac} type veth peer name {name}p"));
    host.ok(&format!("ip link set {name} up"));
    host.ok(&format!("ip link set {name}p up"));
}

fn get(switch: &Switch, what: &str) -> String {
    switch.vsctl(&format!("get {what}")).trim().to_owned()
}

/// How often the log has a line.
fn logged(switch: &Switch, text: &str) -> usize {
    let log = std::fs::read_to_string(switch.dir.join("ovs-vswitchd.log")).unwrap_or_default();
    log.lines().filter(|line| line.contains(text)).count()
}

fn passes(switch: &Switch) -> u64 {
    let shown = switch.appctl("coverage/read-counter bridge_reconfigure");
    shown.trim().parse().unwrap_or_else(|e| panic!("{shown}: {e}"))
}

#[test]
fn guests_do_not_change_the_address_of_a_bridge() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, mut switch) = start(&world, Programs::Ours);
    let id = |switch: &Switch| get(switch, "bridge br0 datapath_id");
    let before = id(&switch);
    for (guest, mac) in
        [("g1", "2a:00:00:00:00:05"), ("g2", "02:42:ac:11:00:02"), ("g3", "00:23:20:8a:00:01")]
    {
        device(&host, guest, mac);
        switch.vsctl(&format!("add-port br0 {guest}"));
        assert_eq!(id(&switch), before, "{mac}");
    }
    device(&host, "nic", "3c:fd:fe:00:00:01");
    switch.vsctl("add-port br0 nic");
    let nic = "\"00003cfdfe000001\"";
    assert_eq!(id(&switch), nic);
    assert!(host.ok("ip link show br0").contains("3c:fd:fe:00:00:01"));
    // A guest whose address looks like a card's, and is lower.
    device(&host, "g4", "00:16:3e:00:00:01");
    switch.vsctl("add-port br0 g4");
    assert_eq!(id(&switch), nic);
    for guest in ["g1", "g2", "g3"] {
        switch.vsctl(&format!("del-port {guest}"));
        assert_eq!(id(&switch), nic);
    }
    switch.kill_daemon();
    switch.start_daemon();
    until("the address is as before", || id(&switch) == nic);
}

#[test]
fn an_address_that_no_bridge_can_have_is_refused_once() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (_host, switch) = start(&world, Programs::Ours);
    let before = get(&switch, "bridge br0 datapath_id");
    for (hwaddr, why) in [
        ("01:00:5e:00:00:01", "cannot set MAC address to multicast address 01:00:5e:00:00:01"),
        ("00:00:00:00:00:00", "cannot set MAC address to zero"),
        ("00:e0:2b:00:00:04", "cannot set MAC address to reserved address 00:e0:2b:00:00:04"),
        ("nonsense", "other_config:hwaddr \"nonsense\" is not an Ethernet address"),
    ] {
        switch.vsctl(&format!("set bridge br0 other_config:hwaddr=\"{hwaddr}\""));
        switch.vsctl("set bridge br0 other_config:mac-aging-time=100");
        assert_eq!(get(&switch, "bridge br0 datapath_id"), before, "{hwaddr}");
        assert_eq!(logged(&switch, &format!("bridge br0: {why}")), 1);
    }
    switch.vsctl("set bridge br0 other_config:hwaddr=\"aa:55:aa:55:00:01\"");
    assert_eq!(get(&switch, "bridge br0 datapath_id"), "\"0000aa55aa550001\"");
}

#[test]
fn a_port_that_is_of_no_use_says_why_until_it_is() {
    if !can_run() {
        return;
    }
    for programs in [Programs::Ours, Programs::Reference] {
        let world = World::new();
        let (host, switch) = start(&world, programs);
        let error = |interface: &str| get(&switch, &format!("interface {interface} error"));
        let no_peer = "\"No usable peer 'q' exists in 'netdev' datapath.\"";
        switch.vsctl("add-port br0 p -- set interface p type=patch options:peer=q");
        until("the missing peer is told", || error("p") == no_peer);
        assert!(switch.vsctl("show").contains("error: \"No usable peer 'q' exists in 'netdev' datapath.\""));
        switch.vsctl("add-br br1 -- set bridge br1 datapath_type=netdev");
        switch.vsctl("add-port br1 q -- set interface q type=patch options:peer=p");
        until("both are of use", || error("p") == "[]" && error("q") == "[]");
        // The peer faces another one.
        switch.vsctl("set interface q options:peer=other");
        until("the peer is taken", || error("p") == no_peer && error("q").contains("'other'"));
        switch.vsctl("set interface q options:peer=p");
        until("both are of use again", || error("p") == "[]" && error("q") == "[]");
        switch.vsctl("del-br br1");
        until("the peer is gone", || error("p") == no_peer);
        for (options, why) in [
            ("peer=p", "\"p: patch peer must not be self\""),
            ("", "\"p: patch type requires valid 'peer' argument\""),
            ("peer=q options:x=y", "\"p: patch type takes only a 'peer' argument\""),
        ] {
            let set = if options.is_empty() {
                String::new()
            } else {
                format!(" -- set interface p options:{options}")
            };
            switch.vsctl(&format!("clear interface p options{set}"));
            until("the mistake is told", || error("p") == why);
        }
        // A device that is missing, comes, and goes.
        // It tells of the error in its own way; the row is what counts here.
        switch.ctl("ovs-vsctl", "--timeout=20 add-port br0 ethd");
        let missing = "\"could not open network device ethd (No such device)\"";
        assert_eq!(error("ethd"), missing);
        device(&host, "ethd", "02:00:00:00:00:0d");
        until("it is opened", || error("ethd") == "[]" && get(&switch, "interface ethd ofport") != "-1");
        // The reference keeps showing the device.
        if programs == Programs::Ours {
            host.ok("ip link del ethd");
            until("its end is told", || {
                error("ethd") == missing && get(&switch, "interface ethd ofport") == "-1"
            });
            switch.vsctl("set bridge br0 other_config:mac-aging-time=100");
            assert_eq!(logged(&switch, "could not open network device ethd (No such device)"), 2);
            assert_eq!(logged(&switch, "interface p: No usable peer 'q'"), 3);
        }
    }
}

#[test]
fn counters_and_drivers_are_there_when_a_port_was_added() {
    if !can_run() {
        return;
    }
    let mut shown = Vec::new();
    for programs in [Programs::Ours, Programs::Reference] {
        let world = World::new();
        let (host, switch) = start(&world, programs);
        device(&host, "v", "02:00:00:00:00:01");
        switch.vsctl("add-port br0 v -- add-port br0 i -- set interface i type=internal");
        let rows: Vec<(String, String)> = ["v", "i", "br0"]
            .into_iter()
            .map(|name| {
                let statistics = get(&switch, &format!("interface {name} statistics"));
                let names: Vec<&str> = statistics.split(['=', ' ', '{']).step_by(1).collect();
                let names = names.into_iter().filter(|word| word.contains('_') || *word == "collisions");
                let status = get(&switch, &format!("interface {name} status"));
                // Debian's version does not tell of the other end of a veth; upstream's does.
                let status =
                    status.split(", peer_ifindex").next().unwrap_or("").trim_end_matches('}').to_owned();
                (names.collect::<Vec<_>>().join(" "), status)
            })
            .collect();
        assert!(rows[0].0.contains("rx_multicast_packets"), "{rows:?}");
        assert!(rows[0].1.contains("driver_name=veth") && rows[1].1.contains("driver_name=tun"), "{rows:?}");
        shown.push(rows);
    }
    assert_eq!(shown[0], shown[1]);
}

#[test]
fn a_frame_that_a_device_drops_is_counted_once() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, switch) = start(&world, Programs::Ours);
    host.ok("ip link add v type veth peer name vp");
    host.ok("ip link set v up");
    switch.vsctl("add-port br0 v -- add-port br0 i -- set interface i type=internal");
    let dropped = |name: &str| {
        let shown = switch.ofctl(&format!("dump-ports br0 {name}"));
        let tx = shown.lines().find(|line| line.contains("tx pkts")).unwrap_or_default().to_owned();
        tx.split("drop=").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok())
    };
    // The peer of one is down, and so is the other itself.
    for (name, frames) in [("v", 10), ("i", 2)] {
        let before = dropped(name).expect("a counter");
        for _ in 0..frames {
            let frame = "ffffffffffff02000000000108060001".to_owned() + &"00".repeat(44);
            switch.ofctl(&format!("packet-out br0 in_port=local,packet={frame},actions=output:{name}"));
        }
        assert_eq!(dropped(name), Some(before + frames), "{name}");
    }
}

#[test]
fn what_a_client_clears_stays_so_until_there_is_news() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, switch) = start(&world, Programs::Ours);
    device(&host, "v", "02:00:00:00:00:01");
    switch.vsctl("add-port br0 v");
    let cleared = [
        "bridge br0 datapath_id",
        "interface v ofport",
        "interface v mac_in_use",
        "interface v status",
        "interface v link_state",
    ];
    // What is on its way when the port has come is over when the counters have been written once more.
    let round = || {
        switch.vsctl("--no-wait clear interface v statistics");
        until("a round of counters was written", || get(&switch, "interface v statistics") != "{}");
    };
    round();
    let before = passes(&switch);
    for column in cleared {
        switch.vsctl(&format!("--no-wait clear {column}"));
    }
    round();
    for column in cleared {
        assert!(["[]", "{}"].contains(&&*get(&switch, column)), "{column}");
    }
    assert_eq!(passes(&switch), before, "status columns are no configuration");
    switch.vsctl("set bridge br0 external_ids:note=x -- set interface v external_ids:iface-id=y");
    switch.vsctl("set bridge br0 other_config:mac-aging-time=100");
    for column in cleared {
        assert!(!["[]", "{}"].contains(&&*get(&switch, column)), "{column}");
    }
}

#[test]
fn a_datapath_says_what_it_can_do_once() {
    if !can_run() {
        return;
    }
    for programs in [Programs::Ours, Programs::Reference] {
        let world = World::new();
        let (_host, switch) = start(&world, programs);
        switch
            .vsctl("-- --id=@d create Datapath datapath_version=0 -- set Open_vSwitch . datapaths:netdev=@d");
        let row = switch.vsctl("--bare --columns=_uuid list Datapath").trim().to_owned();
        let capabilities = || get(&switch, &format!("Datapath {row} capabilities"));
        until("it tells", || capabilities().contains("max_vlan_headers"));
        for name in ["ct_zero_snat", "recirc", "sample_nesting", "check_pkt_len", "max_mpls_depth"] {
            assert!(capabilities().contains(name), "{name}");
        }
        switch.vsctl(&format!("clear Datapath {row} capabilities"));
        switch.vsctl("set bridge br0 other_config:mac-aging-time=100");
        assert_eq!(capabilities(), "{}");
    }
}

#[test]
fn the_machine_is_told_of_while_that_is_asked_for() {
    if !can_run() {
        return;
    }
    let mut keys = Vec::new();
    for programs in [Programs::Ours, Programs::Reference] {
        let world = World::new();
        let (_host, switch) = start(&world, programs);
        let statistics = || get(&switch, "Open_vSwitch . statistics");
        assert_eq!(statistics(), "{}");
        switch.vsctl("set Open_vSwitch . other_config:enable-statistics=true");
        until("they are written", || statistics().contains("process_ovs-vswitchd"));
        let shown = statistics();
        let names =
            shown.split("=\"").map(|part| part.rsplit(['{', ' ']).next().unwrap_or_default().to_owned());
        let names = names.filter(|name| !name.contains('"'));
        let counts = shown.split("=\"").skip(1).map(|part| {
            let value = part.split('"').next().unwrap_or_default();
            value.split(' ').map(|one| one.split(',').count()).collect::<Vec<_>>()
        });
        keys.push((names.collect::<Vec<_>>(), counts.collect::<Vec<_>>()));
        switch.vsctl("set Open_vSwitch . other_config:enable-statistics=false");
        assert_eq!(statistics(), "{}");
    }
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn every_kind_of_interface_that_is_listed_can_be_opened() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, switch) = start(&world, Programs::Ours);
    for name in ["psystem", "pafxdp", "pafxdp-nonpmd"] {
        device(&host, name, "02:00:00:00:00:01");
    }
    let listed = get(&switch, "Open_vSwitch . iface_types");
    let kinds: Vec<&str> = listed.trim_matches(['[', ']']).split(", ").collect();
    let devices = ["internal", "patch", "system", "tap", "afxdp", "afxdp-nonpmd"];
    assert!(devices.iter().chain(&["geneve", "gre", "vxlan"]).all(|kind| kinds.contains(kind)), "{listed}");
    for kind in kinds {
        let options = match kind {
            "patch" => " options:peer=x",
            _ if devices.contains(&kind) => "",
            _ => " options:remote_ip=192.0.2.2",
        };
        switch.vsctl(&format!("add-port br0 p{kind} -- set interface p{kind} type={kind}{options}"));
        let number: i64 = get(&switch, &format!("interface p{kind} ofport")).parse().expect("a number");
        assert!(number > 0, "{kind}");
    }
}

#[test]
fn a_mirror_counts_what_it_sends() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, switch) = start(&world, Programs::Ours);
    for name in ["va", "vm"] {
        device(&host, name, "02:00:00:00:00:01");
    }
    switch.vsctl(
        "add-port br0 va -- add-port br0 vm -- --id=@m get port vm \
         -- --id=@mirror create mirror name=x select_all=true output_port=@m -- set bridge br0 mirrors=@mirror",
    );
    let frame = "ffffffffffff02000000000108060001".to_owned() + &"00".repeat(44);
    for _ in 0..3 {
        switch.ofctl(&format!("packet-out br0 in_port=local,packet={frame},actions=output:va"));
    }
    until("they are counted", || get(&switch, "mirror x statistics") == "{tx_bytes=180, tx_packets=3}");
}

#[test]
fn an_unknown_datapath_type_interrupts_nothing() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (host, switch) = start(&world, Programs::Ours);
    device(&host, "v", "02:00:00:00:00:01");
    switch.vsctl("add-port br0 v");
    switch.ofctl("add-flow br0 priority=7,actions=drop");
    switch.ctl("ovs-vsctl", "--timeout=20 set bridge br0 datapath_type=foo").ok();
    until("the error is told", || get(&switch, "bridge br0 status").contains("unknown datapath_type"));
    assert!(switch.ofctl("dump-flows br0").contains("priority=7"));
    assert_eq!(logged(&switch, "deleted interface"), 0);
    assert_eq!(logged(&switch, "bridge br0: unknown datapath_type \"foo\"; it stays netdev"), 1);
    switch.vsctl("set bridge br0 datapath_type=netdev");
    until("it is mended", || get(&switch, "bridge br0 status") == "{}");
    // One that is new cannot be made, and its ports say so.
    device(&host, "w", "02:00:00:00:00:02");
    switch.vsctl("--no-wait add-br br9 -- set bridge br9 datapath_type=foo -- add-port br9 w");
    until("its port tells", || get(&switch, "interface w error").contains("bridge br9 does not exist"));
    assert_eq!(logged(&switch, "failed to create bridge br9: Address family not supported by protocol"), 1);
    switch.vsctl("set bridge br9 datapath_type=netdev");
    until("its port works", || get(&switch, "interface w error") == "[]");
}
