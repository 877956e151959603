//! Why a packet was dropped: each cause is counted, and shown where operators look.

use std::collections::BTreeMap;

use end_to_end::{can_run, until};

use crate::Pair;
use crate::dummies::{Dummies, PACKET};

const SUM: &str = "drop_action_of_pipeline";

impl Dummies {
    /// The counters of drops that moved.
    fn drops(&self) -> BTreeMap<String, u64> {
        let shown = self.switch.appctl("coverage/show");
        let counters = shown.lines().filter_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            let total = rest.rsplit_once("total: ")?.1.parse().ok()?;
            name.contains("drop_").then(|| (name.to_owned(), total))
        });
        counters.collect()
    }

    /// What `act` drops, by reason.
    fn dropped_by(&self, act: impl FnOnce()) -> Vec<(String, u64)> {
        let before = self.drops();
        act();
        let since = |(name, total): (String, u64)| {
            let count = total - before.get(&name).copied().unwrap_or(0);
            (count != 0).then_some((name, count))
        };
        self.drops().into_iter().filter_map(since).collect()
    }

    /// Expects that `packet` at `port` is dropped by rules, for `reason`, as the first one and as one of a known flow.
    #[track_caller]
    fn drops_for(&self, reason: &str, port: &str, packet: &str) {
        for _ in 0..2 {
            let mut expected = vec![(SUM.to_owned(), 1)];
            if reason != SUM {
                expected.push((reason.to_owned(), 1));
            }
            assert_eq!(self.dropped_by(|| self.receive(port, packet)), expected);
        }
    }

    /// Expects that a packet at p1 is dropped for a fault of rules.
    #[track_caller]
    fn fails_for(&self, reason: &str, rules: &[String]) {
        self.switch.ofctl("del-flows br0");
        rules.iter().for_each(|rule| drop(self.switch.ofctl(&format!("add-flow br0 {rule}"))));
        assert_eq!(self.dropped_by(|| self.receive("p1", PACKET)), [(reason.to_owned(), 1)]);
    }
}

#[test]
fn what_rules_and_ports_drop_is_counted_by_reason() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2, 3]);
    let switch = &dummies.switch;
    let only = |actions: &str| {
        switch.ofctl("del-flows br0");
        switch.ofctl(&format!("add-flow br0 actions={actions}"));
    };
    assert_eq!(switch.appctl(&format!("coverage/read-counter {SUM}")), "0\n", "known before the first drop");
    dummies.drops_for("drop_rules_table_miss", "p1", PACKET);
    only("drop");
    dummies.drops_for(SUM, "p1", PACKET);
    assert!(switch.appctl("dpctl/dump-flows").contains("actions:drop\n"));
    only("2");
    assert_eq!(dummies.dropped_by(|| dummies.receive("p1", PACKET)), []);

    switch.ofctl("mod-port br0 2 no-forward");
    dummies.drops_for("drop_rules_port_no_forward", "p1", PACKET);
    switch.ofctl("mod-port br0 2 forward");
    switch.ofctl("mod-port br0 1 no-receive");
    dummies.drops_for("drop_rules_port_no_receive", "p1", PACKET);
    switch.ofctl("mod-port br0 1 receive");
    switch.ofctl("set-frags br0 drop");
    dummies.drops_for("drop_rules_fragment", "p1", &PACKET.replace("frag=no", "frag=first"));
    switch.ofctl("set-frags br0 normal");

    only("1");
    dummies.drops_for("drop_rules_same_port", "p1", PACKET);
    only("99");
    dummies.drops_for("drop_rules_no_output_port", "p1", PACKET);
    only("2");
    switch.vsctl("set port p1 protected=true -- set port p2 protected=true");
    dummies.drops_for("drop_rules_protected_ports", "p1", PACKET);
    switch.vsctl("set port p1 protected=false -- set port p2 protected=false");

    switch
        .ctl("ovs-ofctl", "-O OpenFlow11 add-group br0 group_id=7,type=ff,bucket=watch_port:3,actions=3")
        .ok();
    only("group:7");
    switch.appctl("netdev-dummy/set-admin-state p3 down");
    until("the port is known to be down", || switch.ofctl("show br0").contains("LINK_DOWN"));
    dummies.drops_for("drop_rules_no_group", "p1", PACKET);
}

#[test]
fn what_a_learning_switch_drops_is_counted_by_reason() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2, 3, 4, 5]);
    let switch = &dummies.switch;
    switch.ofctl("add-flow br0 actions=normal");
    let tagged = "eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x8100),vlan(vid=9,pcp=0),encap(eth_type(0x1234))";
    switch.vsctl("set port p2 tag=5");
    dummies.drops_for("drop_rules_vlan_not_allowed", "p2", tagged);
    dummies.drops_for("drop_rules_partial_vlan_tag", "p1", "5054000000025054000000018100");
    let reserved = PACKET.replace("dst=50:54:00:00:00:02", "dst=01:80:c2:00:00:00");
    dummies.drops_for("drop_rules_reserved_mac", "p1", &reserved);

    dummies.receive("p1", PACKET);
    let back = PACKET.replace(
        "src=50:54:00:00:00:01,dst=50:54:00:00:00:02",
        "src=50:54:00:00:00:07,dst=50:54:00:00:00:01",
    );
    dummies.drops_for("drop_rules_same_port", "p1", &back);

    let packet = "ffffffffffff5054000000011234".to_owned() + &"00".repeat(46);
    let out = format!("packet-out br0 in_port=CONTROLLER,packet={packet},actions=normal");
    let expected = [(SUM.to_owned(), 1), ("drop_rules_no_bundle".to_owned(), 1)];
    assert_eq!(dummies.dropped_by(|| drop(switch.ofctl(&out))), expected);

    switch.vsctl("-- --id=@p get port p3 -- --id=@m create mirror name=m select_all=true output_port=@p -- set bridge br0 mirrors=@m");
    dummies.drops_for("drop_rules_mirror_only", "p3", PACKET);
    switch.vsctl("clear bridge br0 mirrors");

    switch.vsctl("del-port p4 -- del-port p5 -- add-bond br0 bond0 p4 p5 -- set interface p4 type=dummy -- set interface p5 type=dummy");
    let from = |address: &str| PACKET.replace("src=50:54:00:00:00:01", &format!("src={address}"));
    let refused = |port: &str| dummies.dropped_by(|| dummies.receive(port, &from("50:54:00:00:00:44")));
    let (one, other) = (refused("p4"), refused("p5"));
    let expected = vec![("drop_action_of_pipeline".to_owned(), 1), ("drop_rules_bond_refused".to_owned(), 1)];
    assert!([&one, &other].contains(&&expected) && one != other, "{one:?} {other:?}");

    switch.vsctl("set bridge br0 stp_enable=true");
    until("the tree has the port", || switch.appctl("stp/show br0").contains("listening"));
    dummies.drops_for("drop_rules_spanning_tree", "p1", &from("50:54:00:00:00:55"));
}

#[test]
fn faults_of_rules_are_counted_by_reason() {
    if !can_run() {
        return;
    }
    let dummies = Dummies::with_ports(&[1, 2]);
    let rules = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<String>>();
    dummies.fails_for("drop_action_recursion_too_deep", &rules(&["actions=resubmit(,0)"]));
    // Each doubles the work of the one before.
    let doubling = |last: u32, what: &str| {
        let resubmits =
            (1..last).map(|n| format!("in_port={n},actions=resubmit:{m},resubmit:{m},local", m = n + 1));
        resubmits.chain([format!("in_port={last},actions={what}")]).collect::<Vec<String>>()
    };
    dummies.fails_for("drop_action_too_many_resubmit", &doubling(65, "local"));
    let pushes = ["push:NXM_NX_REG0[]"; 8].join(",");
    dummies.fails_for("drop_action_stack_too_deep", &doubling(13, &pushes));
    let labels = ["push_mpls:0x8847"; 4].join(",");
    dummies.fails_for("drop_action_too_many_mpls_labels", &rules(&[&format!("actions={labels},2")]));

    let flow = "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(),eth_type(0x0800),ipv4(frag=no)";
    dummies.switch.appctl("revalidator/purge");
    dummies.switch.appctl(&format!("dpctl/add-flow {flow} recirc(0x999)"));
    let reason = ("drop_action_no_recirculation_context".to_owned(), 1);
    assert_eq!(dummies.dropped_by(|| dummies.receive("p1", PACKET)), [reason]);
}

impl Pair {
    /// A counter of `Interface.statistics` after the next round, or 0.
    fn statistic(&self, port: &str, key: &str) -> u64 {
        let all = self.switch.vsctl(&format!("get interface {port} statistics"));
        let value =
            all.split([' ', ',', '{', '}']).find_map(|word| word.trim().strip_prefix(&format!("{key}=")));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    fn counter(&self, name: &str) -> u64 {
        self.switch.appctl(&format!("coverage/read-counter {name}")).trim().parse().unwrap()
    }
}

#[test]
fn what_a_device_does_not_take_is_counted_at_its_port() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    pair.switch.vsctl("set Open_vSwitch . other_config:stats-update-interval=5000");
    assert!(pair.a.reaches("10.1.0.2"));
    assert_eq!(pair.counter("datapath_drop_tx_mtu_exceeded"), 0);
    pair.switch.host.ok("ip link set pb mtu 1300");
    pair.a.run("ping -c 3 -i 0.2 -W 1 -s 1400 10.1.0.2");
    until("each is counted", || pair.counter("datapath_drop_tx_mtu_exceeded") == 3);
    until("it is in the port's statistics", || pair.statistic("pb", "ovs_tx_mtu_exceeded_drops") == 3);
    assert!(pair.statistic("pb", "tx_dropped") >= 3);
    let shown = pair.switch.appctl("dpctl/show -s");
    let of_port = shown.split(": pb").nth(1).and_then(|rest| rest.split("TX packets:").nth(1)).unwrap();
    let dropped = of_port.split("dropped:").nth(1).and_then(|rest| rest.split_whitespace().next());
    assert!(dropped.unwrap().parse::<u64>().unwrap() >= 3, "{shown}");
    assert!(
        pair.switch
            .ctl("ovs-ofctl", "-O OpenFlow14 dump-ports ovsbr0 pb")
            .out
            .contains("ovs_tx_mtu_exceeded_drops=3")
    );
    let before = pair.counter("datapath_drop_tx_failure");
    pair.switch.host.ok("ip link set pb down");
    until("a frame is refused by the device that is down", || {
        pair.a.run("ping -c 1 -W 1 10.1.0.2");
        pair.counter("datapath_drop_tx_failure") > before
    });
    until("it is in the port's statistics", || pair.statistic("pb", "ovs_tx_failure_drops") > 0);
}

#[test]
fn what_a_port_is_not_asked_for_in_time_is_counted_there() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    assert!(pair.a.reaches("10.1.0.2"));
    let pid = std::fs::read_to_string(pair.switch.dir.join("ovs-vswitchd.pid")).unwrap();
    let signal = |name: &str| pair.switch.host.ok(&format!("kill -{name} {}", pid.trim()));
    signal("STOP");
    // More frames than the queue of the socket has room for.
    let unanswered = pair.a.run("ping -q -f -c 40000 -l 40000 -w 3 10.1.0.2");
    signal("CONT");
    assert!(unanswered.out.contains(" 0 received"), "{unanswered:?}");
    until("losses are counted", || pair.counter("datapath_drop_rx_queue_full") > 0);
    until("they are in the port's statistics", || pair.statistic("pa", "ovs_rx_queue_full_drops") > 0);
    assert!(pair.statistic("pa", "rx_dropped") >= pair.statistic("pa", "ovs_rx_queue_full_drops"));
}
