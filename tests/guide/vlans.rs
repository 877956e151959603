//! Section 4: VLANs on two hosts whose switches are on one wire.

use std::process::{Child, Stdio};

use end_to_end::{Host, Programs, Switch, World, can_run, can_watch, until};

use super::frames::{BROADCAST, Lan, frame, mac};

/// Hosts A and B, each a switch with its NIC and two VMs. VM1 and VM2 are on B, VM3 and VM4 on A.
struct TwoHosts {
    vms: Vec<Host>,
    a: Switch,
    b: Switch,
    _world: World,
}

impl TwoHosts {
    fn new() -> TwoHosts {
        let world = World::new();
        let (host_a, host_b) = (world.host("A"), world.host("B"));
        world.wire(&host_a, "eth0", &host_b, "eth0");
        let mut vms = Vec::new();
        for number in 1..=4 {
            let vm = world.host(&format!("vm{number}"));
            let host = if number <= 2 { &host_b } else { &host_a };
            world.wire(host, &format!("tap{number}.0"), &vm, "eth0");
            vm.address("eth0", &format!("10.4.0.{number}/24"));
            vms.push(vm);
        }
        let a = Switch::start(&world, &host_a, "A", Programs::Ours);
        let b = Switch::start(&world, &host_b, "B", Programs::Ours);
        for (switch, taps) in [(&a, ["tap3.0", "tap4.0"]), (&b, ["tap1.0", "tap2.0"])] {
            switch.vsctl("add-br ovsbr0 -- add-port ovsbr0 eth0");
            for tap in taps {
                switch.vsctl(&format!("add-port ovsbr0 {tap}"));
            }
        }
        TwoHosts { vms, a, b, _world: world }
    }

    /// Tags VM1 to VM4.
    fn tag(&self, tags: [u16; 4]) {
        for (index, tag) in tags.into_iter().enumerate() {
            let switch = if index < 2 { &self.b } else { &self.a };
            switch.vsctl(&format!("set port tap{}.0 tag={tag}", index + 1));
        }
    }

    /// Every pair that reaches each other, and no other.
    #[track_caller]
    fn expect(&self, pairs: &[(usize, usize)]) {
        for from in 1..=4 {
            for to in from + 1..=4 {
                let (vm, address) = (&self.vms[from - 1], format!("10.4.0.{to}"));
                let expected = pairs.contains(&(from, to));
                let found = if expected { vm.reaches(&address) } else { vm.is_answered(&address) };
                assert_eq!(found, expected, "VM{from} and VM{to}");
            }
        }
    }
}

#[test]
fn one_vlan_joins_and_two_part() {
    if !can_run() {
        return;
    }
    let hosts = TwoHosts::new();
    // 1 and 2: two VMs of one host.
    hosts.tag([1, 1, 3, 4]);
    hosts.expect(&[(1, 2)]);
    hosts.tag([1, 2, 3, 4]);
    hosts.expect(&[]);
    // 3: all four of one VLAN.
    hosts.tag([1, 1, 1, 1]);
    hosts.expect(&[(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]);
}

#[test]
fn two_vlans_cross_one_wire_apart() {
    if !can_watch() {
        return;
    }
    let hosts = TwoHosts::new();
    hosts.tag([1, 2, 1, 2]);
    let capture = Capture::start(&hosts.a.host, "eth0");
    // 4: the case that the guide's author could not make work.
    hosts.expect(&[(1, 3), (2, 4)]);
    let seen = capture.stop(|text| text.contains("vlan 1,") && text.contains("vlan 2,"));
    assert!(seen.contains("vlan 1,") && seen.contains("vlan 2,"), "802.1Q tags on the wire: {seen}");
}

/// Settings of ports, a frame of guest 1, and to which guests it goes with which tags.
type Case = (&'static str, &'static [&'static str], &'static [(usize, &'static str)]);

const CASES: [Case; 10] = [
    (
        "set port p1 tag=10 -- set port p2 tag=10 -- set port p3 trunks=10,20 -- set port p4 tag=20",
        &[],
        &[(2, ""), (3, "8100000a")],
    ),
    // An access port takes no frame of another VLAN, and none of its own with a tag.
    ("set port p1 tag=10", &["81000014"], &[]),
    ("set port p1 tag=10 trunks=20 vlan_mode=native-untagged", &["81000014"], &[(3, "81000014"), (4, "")]),
    ("set port p1 tag=10 trunks=20 vlan_mode=native-untagged", &[], &[(2, ""), (3, "8100000a")]),
    // A priority is kept where there is a tag to carry it.
    ("set port p1 trunks=10 -- clear port p1 tag vlan_mode", &["8100a00a"], &[(2, ""), (3, "8100a00a")]),
    ("set port p2 other_config:priority-tags=if-nonzero", &["8100a00a"], &[(2, "8100a000"), (3, "8100a00a")]),
    ("set port p2 other_config:priority-tags=always", &["8100000a"], &[(2, ""), (3, "8100000a")]),
    // A provider's VLAN around the customers'.
    (
        "set port p1 vlan_mode=dot1q-tunnel tag=20 cvlans=5 -- clear port p1 trunks",
        &["81000005"],
        &[(3, "88a8001481000005")],
    ),
    ("set port p1 vlan_mode=dot1q-tunnel tag=20 cvlans=5 -- clear port p1 trunks", &["81000006"], &[]),
    ("set port p1 other_config:qinq-ethtype=802.1q", &["81000005"], &[(3, "8100001481000005")]),
];

#[test]
fn tags_come_and_go_as_the_references_do() {
    if !can_watch() {
        return;
    }
    let mut all = Vec::new();
    for programs in [Programs::Ours, Programs::Reference] {
        let lan = Lan::new(programs);
        // Two tags are looked at.
        lan.set("set open_vswitch . other_config:vlan-limit=2");
        let mut heard = Vec::new();
        for (number, (settings, tags, wanted)) in CASES.iter().enumerate() {
            lan.set(settings);
            let mark = number as u8 + 1;
            let sent = lan.send(1, &[&frame(BROADCAST, &mac(1), tags, mark)], wanted.len());
            let found: Vec<(usize, String)> = sent
                .keys()
                .map(|(guest, bytes)| {
                    (*guest, bytes[24..].split("88b5").next().unwrap_or_default().to_owned())
                })
                .collect();
            let wanted: Vec<(usize, String)> =
                wanted.iter().map(|(guest, tags)| (*guest, (*tags).to_owned())).collect();
            assert_eq!(found, wanted, "{programs:?}: {settings}, {tags:?}");
            heard.push(sent);
        }
        all.push(heard);
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn guests_are_kept_apart_and_addresses_where_they_are_said_to_be() {
    if !can_watch() {
        return;
    }
    let mut all = Vec::new();
    for programs in [Programs::Ours, Programs::Reference] {
        let lan = Lan::new(programs);
        let whom = |heard: &super::frames::Heard| heard.keys().map(|(guest, _)| *guest).collect::<Vec<_>>();
        let to = |guest: usize, mark| frame(&mac(guest), &mac(1), &[], mark);
        lan.set("set port p1 protected=true -- set port p2 protected=true");
        let apart = lan.send(1, &[&frame(BROADCAST, &mac(1), &[], 1)], 2);
        lan.set("set port p1 protected=false -- set port p2 protected=false");
        // What is learned goes to one port; in a VLAN that floods, nothing is learned.
        lan.send(2, &[&frame(BROADCAST, &mac(2), &[], 2)], 3);
        let learned = lan.send(1, &[&to(2, 3)], 1);
        lan.set("set bridge br0 flood_vlans=0");
        lan.switch.appctl("fdb/flush br0");
        lan.send(2, &[&frame(BROADCAST, &mac(2), &[], 4)], 3);
        let flooded = lan.send(1, &[&to(2, 5)], 3);
        lan.set("clear bridge br0 flood_vlans");
        // An address that is set stays where it is set, whoever sends by it.
        lan.switch.appctl("fdb/add br0 p4 0 02:00:00:00:00:02");
        lan.set("set port p4 other_config:x=1");
        lan.send(2, &[&frame(BROADCAST, &mac(2), &[], 6)], 3);
        let fixed = lan.send(1, &[&to(2, 7)], 1);
        let table = lan.switch.appctl("fdb/show br0");
        assert!(table.contains("    4     0  02:00:00:00:00:02  static"), "{programs:?}: {table}");
        assert_eq!(
            [&apart, &learned, &flooded, &fixed].map(whom),
            [vec![3, 4], vec![2], vec![2, 3, 4], vec![4]],
            "{programs:?}"
        );
        all.push([apart, learned, flooded, fixed]);
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn the_page_on_vlans_works_as_it_says() {
    if !can_watch() {
        return;
    }
    let lan = Lan::new(Programs::Ours);
    super::pages::type_all("vlans.md", &lan.host, &lan.switch);
}

/// tcpdump of tagged frames, into a file.
struct Capture {
    child: Child,
    file: tempfile::NamedTempFile,
}

impl Capture {
    fn start(host: &Host, device: &str) -> Capture {
        let file = tempfile::NamedTempFile::new().unwrap();
        let errors = tempfile::NamedTempFile::new().unwrap();
        let child = host
            .command("tcpdump")
            .args(["-l", "-e", "-n", "-i", device, "vlan"])
            .stdout(Stdio::from(file.reopen().unwrap()))
            .stderr(Stdio::from(errors.reopen().unwrap()))
            .spawn()
            .unwrap();
        until("tcpdump listens", || {
            std::fs::read_to_string(errors.path()).is_ok_and(|text| text.contains("listening on"))
        });
        Capture { child, file }
    }

    /// Ends the capture once `enough` is there.
    fn stop(mut self, enough: impl Fn(&str) -> bool) -> String {
        let read = || std::fs::read_to_string(self.file.path()).unwrap_or_default();
        until("the frames are seen", || enough(&read()));
        let text = read();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        text
    }
}
