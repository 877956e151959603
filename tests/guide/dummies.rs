//! The switch with dummy ports: what its control commands tell and do, without a device.

use end_to_end::{Programs, Switch, World, can_run, until};

/// A switch of dummies with stopped time and bridge `br0`.
pub(crate) struct Dummies {
    pub(crate) switch: Switch,
    _world: World,
}

/// A packet on port 1.
pub(crate) const PACKET: &str = "eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800),\
    ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)";

impl Dummies {
    pub(crate) fn new(setup: &str) -> Dummies {
        let world = World::new();
        let host = world.host("sw");
        let switch = Switch::start_with(&world, &host, "sw", Programs::Ours, &["--enable-dummy=override"]);
        switch.vsctl(&format!("add-br br0 -- set bridge br0 datapath-type=dummy fail-mode=secure {setup}"));
        switch.appctl("time/stop");
        Dummies { switch, _world: world }
    }

    pub(crate) fn with_ports(numbers: &[u32]) -> Dummies {
        let add =
            |n: &u32| format!("-- add-port br0 p{n} -- set interface p{n} type=dummy ofport_request={n} ");
        Dummies::new(&numbers.iter().map(add).collect::<String>())
    }

    pub(crate) fn receive(&self, port: &str, packet: &str) {
        let packet = packet.replace(' ', "");
        self.switch.appctl(&format!("netdev-dummy/receive {port} {packet}"));
    }

    fn flows(&self) -> String {
        self.switch.appctl("dpctl/dump-flows")
    }

    fn flows_of(&self, datapath: &str) -> String {
        self.switch.appctl(&format!("dpctl/dump-flows {datapath}"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.switch.dir.join("ovs-vswitchd.log")).unwrap_or_default()
    }
}

#[test]
fn a_flow_is_asked_for_and_deleted_by_its_id() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    switch.ofctl("add-flow br0 in_port=1,actions=output:2");
    dummies.receive("p1", PACKET);
    let all = switch.appctl("dpctl/dump-flows -m");
    let ufid = all.split_whitespace().find(|word| word.starts_with("ufid:")).expect("an id");
    let ufid = ufid.trim_end_matches(',');
    let of_bridge = switch.appctl("dpif/dump-flows -m br0");
    assert!(of_bridge.starts_with(&format!("{ufid} recirc_id(0),")), "{of_bridge}");
    let one = switch.appctl(&format!("dpctl/get-flow {ufid}"));
    assert!(one.ends_with("packets:0, bytes:0, used:never, actions:2\n"), "{one}");
    switch.appctl(&format!("dpctl/del-flow {ufid}"));
    assert_eq!(dummies.flows(), "");
    let gone = switch.ctl("ovs-appctl", &format!("dpctl/get-flow {ufid}"));
    assert!(gone.err.contains("getting flow (No such file or directory)"), "{gone:?}");
    // What the flow is remembered by goes after some rounds.
    switch.appctl("time/warp 3000 300");
    assert!(switch.appctl("upcall/show").contains("(keys 0)"));
    assert_eq!(switch.appctl("coverage/read-counter revalidate_missing_dp_flow"), "1\n");
    dummies.receive("p1", PACKET);
    assert!(dummies.flows().contains("actions:2"));
}

#[test]
fn a_port_keeps_its_rules_when_the_datapath_numbers_it_anew() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    switch.ofctl("add-flow br0 in_port=1,actions=output:2");
    let trace = || switch.appctl("ofproto/trace br0 in_port=1");
    assert!(trace().ends_with("Datapath actions: 2\n"));
    let change = |line: &str| switch.ctl("ovs-appctl", &format!("dpif-dummy/change-port-number {line}"));
    assert!(change("ovs-dummy p2 1").err.contains("port number already in use"));
    assert!(change("ovs-dummy p9 7").err.contains("unknown port"));
    change("ovs-dummy p2 7").ok();
    assert!(trace().ends_with("Datapath actions: 7\n"));
    assert!(switch.appctl("dpif/show").contains("    p2 2/7: (dummy)\n"));
}

#[test]
fn dpif_show_tells_what_ports_were_set_up_with() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::new(
        "-- add-port br0 p1 -- set interface p1 type=dummy-pmd options:n_rxq=2 \
         -- add-port br0 to -- set interface to type=patch options:peer=from",
    );
    let text = dummies.switch.appctl("dpif/show");
    assert!(text.contains(" (dummy-pmd: n_rxq=2, n_txq=1, numa_id=0)\n"), "{text}");
    assert!(text.contains("/none: (patch: peer=from)\n"), "{text}");
    dummies.switch.vsctl("add-br br9 -- set bridge br9 datapath-type=dummy");
    assert_eq!(dummies.switch.appctl("dpif/dump-dps"), "dummy@br0\ndummy@br9\n");
    assert_eq!(dummies.switch.appctl("dpctl/dump-dps"), "dummy@ovs-dummy\n");
    let json = dummies.switch.appctl("--format json dpif/show");
    assert!(json.contains(r#""config":{"n_rxq":"2","n_txq":"1","numa_id":"0"}"#), "{json}");
    assert!(json.contains(r#""stats":{"hit":"0","missed":"0"}"#), "{json}");
}

#[test]
fn an_internal_port_has_the_least_mtu_of_its_bridge() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    let mtu = || switch.vsctl("get interface br0 mtu").trim().to_owned();
    switch.vsctl("set interface p1 mtu_request=1400 -- set interface p2 mtu_request=1600");
    until("the least is taken", || mtu() == "1400");
    switch.vsctl("del-port p1");
    until("the next is taken", || mtu() == "1600");
    switch.vsctl("set interface br0 mtu_request=1700");
    until("what was asked for is taken", || mtu() == "1700");
    switch.vsctl("clear interface br0 mtu_request");
    until("the least is taken again", || mtu() == "1600");
}

#[test]
fn faults_of_rules_are_told_with_the_packet() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    switch.ofctl("add-flow br0 in_port=1,actions=pop:NXM_NX_REG0[],output:2");
    dummies.receive("p1", PACKET);
    let log = dummies.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("|ofproto_dpif_xlate|WARN|")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("stack underflow on bridge br0 while processing udp,in_port=1,"), "{told:?}");
    // A loop is shown rule by rule.
    switch.ofctl("add-flow br0 in_port=2,actions=resubmit(,0)");
    dummies.receive("p2", PACKET);
    let log = dummies.log();
    assert!(log.contains("Translation failed (Recursion too deep), packet is dropped."), "{log}");
    assert!(log.lines().filter(|line| line.trim_start().starts_with("resubmit")).count() > 60, "{log}");
}

#[test]
fn a_filter_of_a_mirror_names_no_port_and_has_no_masks() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    switch.vsctl(
        "set bridge br0 mirrors=@m -- --id=@p get port p2 \
         -- --id=@m create mirror name=m select_all=true output_port=@p filter=\"in_port=p1\"",
    );
    assert!(dummies.log().contains("|ofproto_dpif_mirror|WARN|filter is invalid due to in_port field."));
    switch.vsctl("set mirror m filter=nonsense");
    assert!(dummies.log().contains("filter is invalid: nonsense: unknown field nonsense"));
}

#[test]
fn as_many_tags_are_looked_at_as_the_limit_says() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2, 3]);
    let switch = &dummies.switch;
    switch.ofctl("add-flow br0 dl_type=0x8100,actions=output:2");
    switch.ofctl("add-flow br0 dl_type=0xabcd,actions=output:3");
    let packet = "eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x8100),vlan(vid=1,pcp=0),\
        encap(eth_type(0x8100),vlan(vid=2,pcp=0),encap(eth_type(0xabcd)))";
    dummies.receive("p1", packet);
    assert!(dummies.flows().contains("actions:2\n"));
    switch.vsctl("set open_vswitch . other_config:vlan-limit=0");
    assert_eq!(dummies.flows(), "");
    dummies.receive("p1", packet);
    assert!(
        dummies.flows().contains("encap(eth_type(0xabcd))), packets:0, bytes:0, used:never, actions:3\n")
    );
}

#[test]
fn datapaths_can_be_made_by_hand() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1]);
    let switch = &dummies.switch;
    let told = |line: &str| switch.ctl("ovs-appctl", &format!("dpctl/{line}"));
    let refused = |line: &str| told(line).err.lines().next().unwrap_or_default().to_owned();
    told("add-dp dummy@hand port,type=dummy,port_no=4").ok();
    assert_eq!(refused("add-dp dummy@hand"), "ovs-vswitchd: add_dp (File exists)");
    assert_eq!(
        switch.appctl("dpctl/show dummy@hand"),
        "dummy@hand:\n  lookups: hit:0 missed:0 lost:0\n  flows: 0\n  \
         port 0: hand (dummy-internal)\n  port 4: port (dummy)\n"
    );
    assert!(
        told("-s show dummy@hand").err.contains("not a valid command"),
        "options come behind the command"
    );
    assert!(
        told("show -s dummy@hand").ok().contains("    RX packets:0 errors:? dropped:? overruns:? frame:?\n")
    );
    assert_eq!(
        refused("set-if dummy@hand port,type=tap"),
        "ovs-vswitchd: port: can't change type from dummy to tap"
    );
    told("add-flow dummy@hand in_port(4),eth_type(0x1234) 0").ok();
    let flows = || switch.appctl("dpctl/dump-flows dummy@hand");
    assert!(
        flows().ends_with(",eth_type(0x1234), packets:0, bytes:0, used:never, actions:0\n"),
        "{}",
        flows()
    );
    assert_eq!(dummies.flows_of("dummy@ovs-dummy"), "", "the bridges' datapath has it not");
    let file = switch.dir.join("flows");
    std::fs::write(&file, "modify in_port(4),eth_type(0x1234) drop # no more\n\nnonsense\n").expect("a file");
    let out = told(&format!("add-flows dummy@hand {}", file.display())).ok();
    assert_eq!(out, "ovs-vswitchd: Failed parsing line number 3, skipped!\n");
    assert!(flows().ends_with("actions:drop\n"), "{}", flows());
    told("del-flow dummy@hand in_port(4),eth_type(0x1234)").ok();
    assert_eq!(flows(), "");
    assert_eq!(
        refused("del-if dummy@hand hand"),
        "ovs-vswitchd: deleting port hand from dummy@hand failed (Invalid argument)"
    );
    told("del-dp dummy@hand").ok();
    assert_eq!(refused("del-dp dummy@hand"), "ovs-vswitchd: opening datapath (No such device)");
    assert_eq!(refused("del-dp dummy@ovs-dummy"), "ovs-vswitchd: del_dp (Device or resource busy)");
}

#[test]
fn addresses_put_in_by_hand_are_told_as_text_and_as_json() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    assert_eq!(switch.appctl("--format json fdb/show br0").trim(), r#"{"br0":[]}"#);
    switch.appctl("fdb/add br0 p1 7 50:54:00:00:00:09");
    let again = switch.appctl("fdb/add br0 p2 7 50:54:00:00:00:09");
    assert_eq!(again, "Overriding already existing static entry on 1\n");
    assert!(switch.appctl("fdb/show br0").ends_with("\n    2     7  50:54:00:00:00:09  static\n"));
    assert_eq!(
        switch.appctl("--format json fdb/show br0").trim(),
        r#"{"br0":[{"mac":"50:54:00:00:00:09","port":2,"static":true,"vlan":7}]}"#
    );
    switch.appctl("fdb/flush br0");
    assert!(switch.appctl("fdb/stats-show br0").contains("Current static MAC entries in the table : 1\n"));
    switch.appctl("fdb/del br0 7 50:54:00:00:00:09");
    assert_eq!(switch.appctl("--format json fdb/show br0").trim(), r#"{"br0":[]}"#);
}

#[test]
fn a_switch_does_without_what_its_datapath_is_said_not_to_do() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2, 3, 4]);
    let switch = &dummies.switch;
    let feature =
        |name: &str, value: &str| switch.appctl(&format!("dpif/set-dp-features br0 {name} {value}"));
    let sent = |port: u32| {
        let shown = switch.ofctl(&format!("dump-ports br0 {port}"));
        let count = shown.split("tx pkts=").nth(1).and_then(|rest| rest.split(',').next());
        count.and_then(|count| count.parse::<u64>().ok())
    };
    // Without a copy that the datapath makes, a sample of all packets is one.
    switch.ofctl("add-flow br0 in_port=1,ip,actions=clone(ct(commit),output:2),output:3");
    let trace = || switch.appctl(&format!("ofproto/trace ovs-dummy in_port(1),{}", PACKET.replace(' ', "")));
    assert!(trace().contains("Datapath actions: clone(ct(commit),2),3"), "{}", trace());
    feature("clone", "false");
    let as_sample = "Datapath actions: sample(sample=100.0%,actions(ct(commit),2)),3";
    assert!(trace().contains(as_sample), "{}", trace());
    // Who looks at the length of packets that the datapath cannot look at looks at each one.
    feature("check_pkt_len", "false");
    switch.ofctl("add-flow br0 in_port=4,actions=check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,1)");
    switch.ofctl("add-flow br0 table=1,priority=2,reg0=1,actions=output:2");
    switch.ofctl("add-flow br0 table=1,priority=1,actions=output:3");
    for len in [60, 200, 64, 300, 300] {
        switch.appctl(&format!("netdev-dummy/receive p4 {} --len {len}", PACKET.replace(' ', "")));
    }
    until("each went by its length", || (sent(2), sent(3)) == (Some(3), Some(2)));
    // Labels that the datapath cannot put before the Ethernet header are put there packet by packet.
    let labelled = "add-flow br0 in_port=1,ip,actions=encap(mpls),encap(ethernet),output:2";
    assert_eq!(switch.ctl("ovs-ofctl", &format!("-O OpenFlow13 {labelled}")).status, 0);
    assert!(!trace().contains("userspace slow path"), "{}", trace());
    feature("add_mpls", "false");
    assert!(trace().contains("userspace slow path"), "{}", trace());
    // Rules that cannot be done without are rejected, and say why.
    feature("ct_state_nat", "false");
    let refused = switch.ctl("ovs-ofctl", "add-flow br0 ip,actions=ct(commit,nat(src=10.0.0.9))");
    assert!(refused.err.contains("NXBAC_CT_DATAPATH_SUPPORT"), "{}", refused.err);
    assert!(dummies.log().contains("Rejecting ct action because datapath does not support nat"));
    let refused = switch.ctl("ovs-ofctl", "add-flow br0 ct_state=+trk+snat,ip,actions=2");
    assert!(refused.err.contains("NXBMC_CT_DATAPATH_SUPPORT"), "{}", refused.err);
    feature("ct_state_nat", "true");
    switch.ofctl("add-flow br0 ct_state=+trk+snat,ip,actions=2");
    // What makes no difference says so.
    feature("ufid", "false");
    assert!(dummies.log().contains("ufid is without effect on this switch"));
}

#[test]
fn a_long_request_about_tables_is_answered_when_all_of_it_is_there() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1]);
    let switch = &dummies.switch;
    switch.vsctl("-- --id=@t create Flow_Table name=zero -- set bridge br0 flow_tables:0=@t");
    // This version says all of all tables.
    let ofctl = |words: &str| switch.ctl("ovs-ofctl", &format!("-O OpenFlow13 {words}"));
    let refused = ofctl("mod-table br0 0 name:other");
    assert!(refused.status != 0 && refused.err.contains("OFPTFFC_EPERM"), "{refused:?}");
    assert_eq!(ofctl("mod-table br0 1 name:one").status, 0);
    let shown = ofctl("dump-table-features br0").out;
    assert!(shown.contains("(\"zero\")") && shown.contains("(\"one\")"), "{shown}");
    assert!(!dummies.log().contains("dropped mid-packet"), "{}", dummies.log());
}

#[test]
fn idle_flows_stay_while_revalidation_is_paused() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    switch.ofctl("add-flow br0 in_port=1,actions=output:2");
    dummies.receive("p1", PACKET);
    dummies.receive("p1", PACKET);
    switch.appctl("revalidator/pause");
    switch.appctl("time/warp 60000");
    assert!(dummies.flows().contains("packets:1"), "{}", dummies.flows());
    switch.appctl("revalidator/resume");
    switch.appctl("revalidator/wait");
    assert!(!dummies.flows().contains("packets:1"), "{}", dummies.flows());
}

#[test]
fn a_dummy_takes_other_options_as_it_is() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    switch.ofctl("add-flow br0 in_port=1,actions=mod_nw_dst:10.0.0.9,output:2");
    let capture = switch.dir.join("p2.pcap");
    switch.vsctl(&format!("set interface p2 options:tx_pcap={}", capture.display()));
    dummies.receive("p1", PACKET);
    let has_received = || switch.ofctl("dump-ports br0 1").contains("rx pkts=1,");
    assert!(has_received());
    switch.vsctl("set interface p1 options:ifindex=77 options:ol_ip_rx_csum_set_good=true");
    assert_eq!(switch.vsctl("get interface p1 ifindex").trim(), "77");
    assert!(has_received(), "it is still the same port");
    // A wrong checksum that the device is said to have found right leaves as one that is right.
    let wrong = "505400000002505400000001080045000014000000004011dead0a0000010a000002";
    switch.appctl(&format!("netdev-dummy/receive p1 {wrong}"));
    let sent = std::fs::read(&capture).unwrap();
    let header = &sent[sent.len() - 20..];
    let sum = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{header:x?}");
}

#[test]
fn rules_by_which_a_bond_shares_packets_are_listed_and_counted() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::new("-- add-port br0 p5 -- set interface p5 type=dummy ofport_request=5");
    let switch = &dummies.switch;
    let socket = |name: &str| switch.dir.join(name).display().to_string();
    let bond = |bridge: &str, members: [(&str, u32, String); 2]| {
        let set = |(name, number, option): &(&str, u32, String)| {
            format!("-- set interface {name} type=dummy ofport_request={number} options:{option} ")
        };
        let [one, other] = &members;
        switch.vsctl(&format!(
            "add-bond {bridge} bond-{bridge} {} {} bond_mode=balance-tcp lacp=active other-config:lacp-time=fast {}{}",
            one.0, other.0, set(one), set(other)
        ));
    };
    switch.vsctl("add-br br1 -- set bridge br1 datapath-type=dummy fail-mode=secure");
    bond(
        "br0",
        [
            ("p1", 1, format!("pstream=punix:{}", socket("1.sock"))),
            ("p2", 2, format!("pstream=punix:{}", socket("2.sock"))),
        ],
    );
    bond(
        "br1",
        [
            ("p3", 3, format!("stream=unix:{}", socket("1.sock"))),
            ("p4", 4, format!("stream=unix:{}", socket("2.sock"))),
        ],
    );
    switch.ofctl("add-flow br0 actions=normal");
    until("the members are up", || {
        switch.appctl("time/warp 300");
        switch.appctl("bond/show bond-br0").matches("may_enable: true").count() == 2
    });
    dummies.receive("p5", PACKET);
    dummies.receive("p5", PACKET);
    let rules = switch.appctl("bridge/dump-flows br0");
    let sharing: Vec<&str> = rules.lines().filter(|line| line.starts_with("table_id=254, ")).collect();
    assert_eq!(sharing.len(), 256, "{rules}");
    assert!(
        sharing
            .iter()
            .all(|line| line.contains("priority=20,recirc_id=") && line.contains("/0xff,actions=output:"))
    );
    let used: Vec<&&str> = sharing.iter().filter(|line| line.contains("n_packets=2, ")).collect();
    assert_eq!(used.len(), 1, "both have the same hash: {rules}");
    assert!(!switch.ofctl("dump-flows br0").contains("dp_hash"), "controllers do not see them");
}

#[test]
fn the_rules_and_groups_behind_a_flow_are_listed() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let switch = &dummies.switch;
    switch.ofctl("-O OpenFlow15 add-group br0 group_id=7,type=all,bucket=actions=output:2");
    switch.ofctl("add-flow br0 in_port=1,actions=resubmit(,3),resubmit(,4)");
    switch.ofctl("add-flow br0 cookie=5,table=4,udp,actions=group:7");
    dummies.receive("p1", PACKET);
    let all = switch.appctl("dpctl/dump-flows -m");
    let ufid = all.split([' ', ',', '\n']).find(|word| word.starts_with("ufid:")).expect("an id");
    let counts = "duration=0s, n_packets=1, n_bytes=106, n_offload_packets=0, n_offload_bytes=0, ";
    let expected = format!(
        "br0\n  {counts}in_port=1,actions=resubmit(,3),resubmit(,4)\n\
         \x20 table_id=3, no match\n\
         \x20 cookie=0x5, table_id=4, {counts}udp,actions=group:7\n\
         \x20 group_id=7,type=all,bucket=bucket_id:0,actions=output:2\n"
    );
    let shown = switch.appctl(&format!("ofproto/detrace {ufid} pmd=-1"));
    assert_eq!(shown, expected);
    // Lookups in a table without any rule count, too.
    assert!(switch.ofctl("dump-tables br0").contains("table 3:\n    active=0, lookup=1, matched=0"));
    for (words, error) in [
        ("nonsense", "failed to parse ufid"),
        (&*format!("{ufid} x"), "Invalid pmd argument format. Expecting 'pmd=PMD-ID'"),
    ] {
        assert!(switch.ctl("ovs-appctl", &format!("ofproto/detrace {words}")).err.contains(error));
    }
    let gone = "ufid:00000000-0000-0000-0000-000000000001";
    let gone = switch.appctl(&format!("ofproto/detrace {gone}"));
    assert_eq!(gone, "UFID was not found for dummy@ovs-dummy\n");
}
