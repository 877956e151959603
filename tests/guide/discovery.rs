//! Link layer discovery: the reference and `lldpd` as neighbours learn who we are, and we who they are.

use std::fs;
use std::process::{Child, Stdio};

use end_to_end::Programs::{Ours, Reference};
use end_to_end::{Host, LIMIT, Programs, Switch, World, can_run, holds_within, until};

use crate::pages;

const OURS: &str = "02:00:00:00:00:0a";
const THEIRS: &str = "02:00:00:00:00:0b";

/// A switch of ours and one of the reference, joined by a wire whose ends are called `wire` in both.
struct Neighbours {
    ours: Switch,
    theirs: Switch,
    _world: World,
}

impl Neighbours {
    fn new() -> Neighbours {
        let world = World::new();
        let (one, two) = (world.host("one"), world.host("two"));
        world.wire(&one, "wire", &two, "wire");
        let start = |host: &Host, name: &str, programs: Programs, mac: &str| {
            host.ok(&format!("ip link set wire address {mac}"));
            let switch = Switch::start(&world, host, name, programs);
            switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 wire");
            switch
        };
        let ours = start(&one, "ours", Ours, OURS);
        let theirs = start(&two, "theirs", Reference, THEIRS);
        Neighbours { ours, theirs, _world: world }
    }
}

/// The bytes of the next frame of the protocol that `host` receives.
fn next_frame(host: &Host) -> Vec<u8> {
    let shown = host.ok("timeout 60 tcpdump -ni wire -Q in -c 1 -xx ether proto 0x88cc");
    let lines = shown.lines().filter_map(|line| line.trim().strip_prefix("0x")?.split_once(":  "));
    let digits: String = lines.flat_map(|(_, bytes)| bytes.split_whitespace()).collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// `bytes` with `mac` left out of them.
fn without(mac: u8, bytes: &[u8]) -> Vec<u8> {
    let text: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mac = format!("02:00:00:00:00:{mac:02x}");
    text.join(":").replace(&mac, "mac").into_bytes()
}

#[test]
fn the_reference_and_ours_say_the_same_of_themselves_and_show_the_same_of_each_other() {
    if !can_run() {
        return;
    }
    let neighbours = Neighbours::new();
    let both = [&neighbours.ours, &neighbours.theirs];
    for switch in both {
        switch.vsctl(
            "-- --id=@aa create AutoAttach system_name=edge system_description=test \
             -- set bridge br0 auto_attach=@aa -- set interface wire lldp:enable=true",
        );
        switch.vsctl("add-aa-mapping br0 5001 10");
    }
    let is_heard = |switch: &Switch, mac: &str| switch.appctl("autoattach/status").contains(mac);
    assert!(holds_within(LIMIT, || is_heard(&neighbours.ours, THEIRS) && is_heard(&neighbours.theirs, OURS)));
    let hosts = both.map(|switch| switch.host.clone());
    let [from_theirs, from_ours] = hosts.map(|host| std::thread::spawn(move || next_frame(&host)));
    let (from_theirs, from_ours) = (from_theirs.join().unwrap(), from_ours.join().unwrap());
    assert!(from_ours.len() > 100);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert_eq!(text(without(0xa, &from_ours)), text(without(0xb, &from_theirs)));
    let hears_assignments = |switch: &Switch| switch.appctl("autoattach/show-isid").contains("Undefined");
    until("assignments are heard", || both.iter().all(|switch| hears_assignments(switch)));
    for command in ["autoattach/status", "autoattach/show-isid", "autoattach/statistics"] {
        let [ours, theirs] = both.map(|switch| switch.appctl(command));
        let words = |text: &str| {
            let text = text.replace(OURS, "mac").replace(THEIRS, "mac");
            let is_counted = |line: &&str| command.ends_with("statistics") && line.contains("x cnt");
            let lines = text.lines().map(|line| match is_counted(&line) {
                true => line.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned(),
                false => line.to_owned(),
            });
            lines.collect::<Vec<_>>()
        };
        assert_eq!(words(&ours), words(&theirs), "{command}");
    }
    let trunks = |switch: &Switch| switch.vsctl("get port wire trunks vlan_mode");
    until("VLANs are carried", || both.iter().all(|switch| trunks(switch) == "[10]\ntrunk\n"));
    both.iter().for_each(|switch| _ = switch.vsctl("del-aa-mapping br0 5001 10"));
    until("VLANs are given up", || both.iter().all(|switch| trunks(switch) == "[]\naccess\n"));
}

#[test]
fn frames_of_the_protocol_are_the_switchs_own_only_where_it_is_enabled() {
    if !can_run() {
        return;
    }
    let neighbours = Neighbours::new();
    let both = [&neighbours.ours, &neighbours.theirs];
    for switch in both {
        switch.vsctl("set bridge br0 other_config:forward-bpdu=true");
    }
    let frame = "in_port=wire,dl_type=0x88cc,dl_dst=01:80:c2:00:00:0e,dl_src=02:00:00:00:00:77";
    let traces = || {
        both.map(|switch| {
            let trace = switch.appctl(&format!("ofproto/trace br0 {frame}"));
            let end = trace.find("Final flow").unwrap_or_default();
            trace[end..].replace("in_port=wire", "in_port=1")
        })
    };
    let [ours, theirs] = traces();
    assert_eq!(ours, theirs);
    assert!(!ours.contains("LLDP"), "{ours}");
    both.iter().for_each(|switch| _ = switch.vsctl("set interface wire lldp:enable=true"));
    let [ours, theirs] = traces();
    assert_eq!(ours, theirs);
    assert!(ours.contains("LLDP packets"), "{ours}");
}

/// `lldpd`, whose control socket is in the test's directory.
struct Lldpd {
    daemon: Child,
    socket: String,
}

impl Lldpd {
    fn start(world: &World, host: &Host) -> Lldpd {
        let socket = world.dir.path().join("lldpd").display().to_string();
        // Told so by `lldpcli` while it starts, it may send nothing for half a minute.
        let configuration = world.dir.path().join("lldpd.conf");
        fs::write(&configuration, "configure lldp tx-interval 1\n").unwrap();
        let mut daemon = host.command("lldpd");
        daemon.args(["-d", "-u", &socket, "-I", "wire", "-S", "a host", "-O"]).arg(configuration);
        let daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let lldpd = Lldpd { daemon, socket };
        until("lldpd answers", || lldpd.ask("show interfaces").is_some());
        lldpd
    }

    /// What the daemon answers; `None` while it does not.
    fn ask(&self, words: &str) -> Option<String> {
        let mut command = std::process::Command::new("lldpcli");
        command.args(["-u", &self.socket]).args(words.split_whitespace());
        let asked = end_to_end::run(&mut command);
        (asked.status == 0).then_some(asked.out)
    }

    /// Ends it by SIGTERM, upon which it says that it goes.
    fn end(&mut self) {
        end_to_end::run(std::process::Command::new("kill").arg(self.daemon.id().to_string())).ok();
        let _ = self.daemon.wait();
    }
}

impl Drop for Lldpd {
    fn drop(&mut self) {
        if matches!(self.daemon.try_wait(), Ok(None)) {
            self.end();
        }
    }
}

#[test]
fn lldpd_learns_of_the_switch_and_is_known_until_it_goes() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (one, two) = (world.host("one"), world.host("two"));
    world.wire(&one, "wire", &two, "wire");
    let switch = Switch::start(&world, &one, "sw", Ours);
    switch.vsctl(
        "add-br br0 -- add-port br0 wire -- set interface wire lldp:enable=true -- --id=@aa create AutoAttach \
         system_name=edge system_description=test -- set bridge br0 auto_attach=@aa",
    );
    let mut lldpd = Lldpd::start(&world, &two);
    let statistics = || switch.appctl("autoattach/statistics br0");
    assert!(holds_within(LIMIT, || statistics().contains("  insert cnt: 1\n")), "{}", statistics());
    let known = || lldpd.ask("-f keyvalue show neighbors details").unwrap_or_default();
    let says = |line: &str| known().lines().any(|known| known == format!("lldp.wire.{line}"));
    assert!(holds_within(LIMIT, || says("chassis.name=edge")), "{}", known());
    let mac = one.ok("cat /sys/class/net/wire/address");
    for line in [
        &format!("chassis.mac={}", mac.trim()),
        "chassis.descr=test",
        "chassis.Bridge.enabled=on",
        "port.ifname=wire",
        "port.ttl=120",
    ] {
        assert!(says(line), "{line}: {}", known());
    }
    // lldpd is no part of auto-attach.
    assert_eq!(switch.appctl("autoattach/status br0"), "LLDP: wire\n");
    switch.vsctl("set AutoAttach br0 system_name=other");
    assert!(holds_within(LIMIT, || says("chassis.name=other")), "{}", known());
    lldpd.end();
    until("the neighbour is gone", || statistics().contains("  delete cnt: 1\n"));
    assert!(statistics().contains("  ageout cnt: 0\n"));
}

#[test]
fn the_page_on_discovery_works_as_it_says() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (one, two) = (world.host("one"), world.host("two"));
    world.wire(&one, "uplink", &two, "edge");
    two.ok(&format!("ip link set edge address {THEIRS}"));
    let core = Switch::start(&world, &two, "core", Reference);
    core.vsctl(
        "add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 edge -- set interface edge lldp:enable=true \
         -- --id=@aa create AutoAttach system_name=core system_description=core -- set bridge br0 auto_attach=@aa",
    );
    let switch = Switch::start(&world, &one, "sw", Ours);
    switch.vsctl("add-br br0 -- add-port br0 uplink");
    pages::type_all("discovery.md", &switch.host, &switch);
}
