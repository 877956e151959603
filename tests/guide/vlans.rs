//! Section 4: VLANs on two hosts whose switches are on one wire.

use std::process::{Child, Stdio};

use end_to_end::{Host, Programs, Switch, World, can_run, can_watch, until};

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

    /// Whether VM `from` reaches VM `to`, counted from 1.
    fn reaches(&self, from: usize, to: usize, tries: u32) -> bool {
        self.vms[from - 1].reaches(&format!("10.4.0.{to}"), tries)
    }

    /// Every pair that reaches each other, and no other.
    #[track_caller]
    fn expect(&self, pairs: &[(usize, usize)]) {
        for from in 1..=4 {
            for to in from + 1..=4 {
                let expected = pairs.contains(&(from, to));
                let tries = if expected { 5 } else { 1 };
                assert_eq!(self.reaches(from, to, tries), expected, "VM{from} and VM{to}");
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
