//! `ovs-ctl restart`: what an operator or a controller put into the switch is there afterwards, or nothing passes.

use std::os::unix::fs::PermissionsExt;

use end_to_end::{Output, can_run, run, until};

use crate::habits::{Machine, vm};

/// A machine with bridge `br0` and ports `p1` (1) and `p2` (2), each with a VM.
struct Bridge {
    m: Machine,
    one: end_to_end::Host,
    two: end_to_end::Host,
}

impl Bridge {
    fn new() -> Bridge {
        let m = Machine::new();
        m.ok("ovs-ctl", "start --system-id=x --add-bridge=br0");
        let (one, two) = (vm(&m, "one", "p1", "10.7.0.1/24"), vm(&m, "two", "p2", "10.7.0.2/24"));
        let ports = "--timeout=60 add-port br0 p1 -- set interface p1 ofport_request=1 \
                     -- add-port br0 p2 -- set interface p2 ofport_request=2";
        m.ok("ovs-vsctl", ports);
        Bridge { m, one, two }
    }

    #[track_caller]
    fn ofctl(&self, version: &str, words: &[&str]) -> String {
        run(self.m.command("ovs-ofctl").args(["-O", version]).args(words)).ok()
    }

    fn restart(&self) -> Output {
        self.m.run("ovs-ctl", "restart --system-id=x")
    }

    /// The rules as both an old and a new controller see them, in the order of their priorities.
    fn rules(&self) -> String {
        let seen =
            |version| self.ofctl(version, &["--no-stats", "--no-names", "--sort", "dump-flows", "br0"]);
        format!("{}{}", seen("OpenFlow10"), seen("OpenFlow15"))
    }
}

#[test]
fn a_restart_carries_over_rules_groups_and_meters() {
    if !can_run() {
        return;
    }
    let b = Bridge::new();
    for meter in [
        "meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=200",
        "meter=controller,pktps,bands=type=drop,rate=5",
    ] {
        b.ofctl("OpenFlow13", &["add-meter", "br0", meter]);
    }
    for group in [
        "group_id=1,type=select,selection_method=hash,fields(ip_src,ip_dst),bucket=bucket_id:7,weight:3,actions=output:1,bucket=bucket_id:8,weight:1,actions=output:2",
        "group_id=2,type=all,bucket=actions=group:3",
        "group_id=3,type=ff,bucket=watch_port:1,actions=output:1",
    ] {
        b.ofctl("OpenFlow15", &["add-group", "br0", group]);
    }
    b.ofctl(
        "OpenFlow10",
        &["add-flow", "br0", "table=7,priority=9,in_port=1,actions=mod_vlan_vid:5,output:2"],
    );
    b.ofctl(
        "OpenFlow11",
        &["add-flow", "br0", "table=6,priority=8,in_port=1,actions=write_actions(output:2)"],
    );
    let flags = "table=5,cookie=0x77,send_flow_rem,check_overlap,no_packet_counts,no_byte_counts,importance=12,\
                 idle_timeout=900,hard_timeout=1000,tcp,tp_dst=80,actions=meter:1,group:1";
    b.ofctl("OpenFlow15", &["add-flow", "br0", flags]);
    b.ofctl("OpenFlow15", &["add-flow", "br0", "table=4,priority=3,actions=learn(table=9,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:1->NXM_NX_REG0[0..3])"]);
    b.ofctl(
        "OpenFlow15",
        &["add-flow", "br0", "table=4,priority=2,actions=controller(userdata=01.02,pause),group:2"],
    );
    // One that overlaps a rule that was added before and looked for that.
    b.ofctl("OpenFlow15", &["add-flow", "br0", "table=5,tcp,tp_src=5,actions=drop"]);
    let before = (
        b.rules(),
        b.ofctl("OpenFlow15", &["dump-groups", "br0"]),
        b.ofctl("OpenFlow15", &["dump-meters", "br0"]),
    );
    // The versions that controllers may speak have nothing to do with it.
    for protocols in ["", "OpenFlow10"] {
        if !protocols.is_empty() {
            b.m.ok("ovs-vsctl", &format!("set bridge br0 protocols={protocols}"));
        }
        let restarted = b.restart().ok();
        assert!(
            restarted.contains("Saving flows.\n") && restarted.contains("Restoring saved flows.\n"),
            "{restarted}"
        );
        b.m.ok("ovs-vsctl", "clear bridge br0 protocols");
        let after = (
            b.rules(),
            b.ofctl("OpenFlow15", &["dump-groups", "br0"]),
            b.ofctl("OpenFlow15", &["dump-meters", "br0"]),
        );
        assert_eq!(after, before, "with protocols={protocols}");
    }
    assert!(before.0.contains("actions=mod_vlan_vid:5,output:2"), "{}", before.0);
    assert!(before.0.contains("check_overlap") && before.0.contains("importance=12"), "{}", before.0);
    let left =
        std::fs::read_dir(&b.m.dir).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    assert!(!left.into_iter().any(|name| name.ends_with(".saved")));
}

#[test]
fn a_restart_carries_over_which_tunnel_options_rules_use() {
    if !can_run() {
        return;
    }
    let b = Bridge::new();
    let maps = "{class=0x102,type=0x80,len=4}->tun_metadata0,{class=0xffff,type=0,len=8}->tun_metadata7";
    b.ofctl("OpenFlow13", &["add-tlv-map", "br0", maps]);
    b.ofctl("OpenFlow13", &["add-flow", "br0", "tun_metadata7=0x5,actions=load:3->NXM_NX_TUN_METADATA0[],2"]);
    let shown = || b.ofctl("OpenFlow13", &["dump-tlv-map", "br0"]) + &b.rules();
    let before = shown();
    assert!(before.contains("tun_metadata7") && before.contains("0x102"), "{before}");
    b.restart().ok();
    assert_eq!(shown(), before);
}

#[test]
fn a_restart_carries_over_settings_of_tables_and_ports() {
    if !can_run() {
        return;
    }
    let b = Bridge::new();
    b.m.ok(
        "ovs-vsctl",
        "--timeout=60 -- --id=@t create Flow_Table name=acl flow_limit=100 -- set bridge br0 flow_tables:3=@t",
    );
    b.ofctl("OpenFlow11", &["mod-table", "br0", "2", "controller"]);
    b.ofctl("OpenFlow14", &["mod-table", "br0", "3", "vacancy:20,80"]);
    b.ofctl("OpenFlow14", &["mod-table", "br0", "4", "evict"]);
    for (port, action) in [("p1", "no-flood"), ("p2", "no-packet-in"), ("br0", "no-receive"), ("br0", "up")] {
        b.ofctl("OpenFlow10", &["mod-port", "br0", port, action]);
    }
    b.ofctl("OpenFlow10", &["set-frags", "br0", "nx-match"]);
    let shown = || {
        let ports = b.ofctl("OpenFlow10", &["dump-ports-desc", "br0"]);
        let ports: Vec<&str> =
            ports.lines().filter(|line| line.contains("config:") || line.contains("): ")).collect();
        [
            ports.join("\n"),
            b.ofctl("OpenFlow14", &["dump-table-desc", "br0"]),
            b.ofctl("OpenFlow11", &["dump-tables", "br0"]),
            b.ofctl("OpenFlow10", &["get-frags", "br0"]),
        ]
        .map(|text| text.lines().filter(|line| !line.contains("lookup=")).collect::<Vec<_>>().join("\n"))
    };
    let before = shown();
    assert!(
        before[0].contains("NO_FLOOD") && before[0].contains("NO_PACKET_IN") && before[0].contains("NO_RECV")
    );
    b.restart().ok();
    for (now, then) in shown().iter().zip(&before) {
        assert_eq!(now, then);
    }
}

#[test]
fn a_restart_carries_over_addresses() {
    if !can_run() {
        return;
    }
    let b = Bridge::new();
    assert!(b.one.reaches("10.7.0.2"));
    b.m.ok("ovs-appctl", "fdb/add br0 p2 12 50:54:00:00:00:05");
    b.m.host.ok("ip link set br0 up");
    b.m.host.address("br0", "10.7.0.9/24");
    assert!(b.one.reaches("10.7.0.9"));
    let shown = || {
        let text = b.m.ok("ovs-appctl", "fdb/show br0");
        // Without the ages.
        let mut lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect();
        lines.sort();
        lines
    };
    let before = shown();
    assert!(before.len() >= 5, "{before:?}");
    b.restart().ok();
    assert_eq!(shown(), before);
    assert!(b.m.ok("ovs-appctl", "fdb/show br0").contains("static"));
    // The host is where it was, too.
    assert!(b.two.reaches("10.7.0.9"));
}

#[test]
fn a_restart_carries_over_mirrors_and_controllers() {
    if !can_run() {
        return;
    }
    let b = Bridge::new();
    let three = vm(&b.m, "three", "p3", "10.7.0.3/24");
    b.m.ok(
        "ovs-vsctl",
        "--timeout=60 add-port br0 p3 -- --id=@p get port p3 -- --id=@m create mirror name=m select_all=true \
         output_port=@p -- set bridge br0 mirrors=@m",
    );
    let mut controller = b.m.command("ovs-testcontroller");
    let target = format!("unix:{}", b.m.dir.join("controller.mgmt").display());
    let mut controller = controller.arg(format!("p{target}")).spawn().unwrap();
    b.m.ok("ovs-vsctl", &format!("--timeout=60 set-controller br0 {target} -- set-fail-mode br0 secure"));
    let is_connected = || b.m.ok("ovs-vsctl", "--bare --columns=is_connected list controller") == "true\n";
    until("the controller is connected", is_connected);
    // A rule that is an operator's; the controller makes its own meanwhile.
    b.ofctl("OpenFlow10", &["add-flow", "br0", "priority=9,in_port=LOCAL,actions=drop"]);
    let first = b.m.pid("ovs-vswitchd");
    b.restart().ok();
    assert_ne!(b.m.pid("ovs-vswitchd"), first);
    until("the controller is connected", is_connected);
    assert_eq!(b.m.ok("ovs-vsctl", "--bare --columns=role list controller"), "other\n");
    let log = std::fs::read_to_string(b.m.dir.join("ovs-vswitchd.log")).unwrap();
    let last = log.rfind("restored what was saved before the restart").unwrap();
    assert!(log[last..].contains("added primary controller"), "controllers come after the rules: {log}");
    assert!(b.ofctl("OpenFlow10", &["dump-flows", "br0"]).contains("priority=9,in_port=LOCAL actions=drop"));
    let heard = || three.ok("cat /sys/class/net/eth0/statistics/rx_packets").trim().parse::<u64>().unwrap();
    let before = heard();
    assert!(b.one.reaches("10.7.0.2"));
    until("the mirror sends", || heard() > before);
    controller.kill().unwrap();
    controller.wait().unwrap();
}

#[test]
fn what_cannot_be_restored_lets_nothing_pass() {
    if !can_run() {
        return;
    }
    let b = Bridge::new();
    assert!(b.one.reaches("10.7.0.2"));
    b.m.ok("ovs-vsctl", "--timeout=60 add-br other");
    b.ofctl("OpenFlow10", &["add-flow", "br0", "priority=5,in_port=1,actions=drop"]);
    b.ofctl("OpenFlow10", &["add-flow", "other", "priority=5,in_port=1,actions=drop"]);
    // The daemon is started by way of a program that spoils the rules of br0 first.
    let tools = b.m.dir.join("tools");
    std::fs::create_dir(&tools).unwrap();
    let (tool, saved) = (tools.join("strace"), b.m.dir.join("br0.saved"));
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != --version ] || exit 0\necho 'flow 0 actions=nonsense' >> {}\nshift 8\nexec \"$@\"\n",
        saved.display()
    );
    std::fs::write(&tool, script).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut restart = b.m.command("ovs-ctl");
    restart.env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH").unwrap()));
    let restarted = run(restart.args(["restart", "--system-id=x", "--ovs-vswitchd-wrapper=strace"]));
    assert_eq!(restarted.status, 1, "{restarted:?}");
    assert!(restarted.out.contains("Restoring saved flows ... failed!\n"), "{restarted:?}");
    assert!(restarted.err.contains("br0 forwards nothing until it has rules"), "{restarted:?}");
    assert!(restarted.err.contains("nonsense"), "{restarted:?}");
    let log = std::fs::read_to_string(b.m.dir.join("ovs-vswitchd.log")).unwrap();
    assert!(
        log.contains("|ofproto|ERR|br0: what was saved before the restart could not be restored"),
        "{log}"
    );
    assert_eq!(b.m.ok("ovs-vsctl", "get-fail-mode br0"), "secure\n");
    assert_eq!(b.m.ok("ovs-ofctl", "--no-stats dump-flows br0"), "");
    assert!(!b.one.is_answered("10.7.0.2") && !b.two.is_answered("10.7.0.1"));
    // Its neighbour has its rules, and is served.
    assert!(b.m.ok("ovs-ofctl", "--no-stats dump-flows other").contains("in_port=1 actions=drop"));
    assert_eq!(b.m.ok("ovs-vsctl", "--if-exists get open_vswitch . other_config:flow-restore-wait"), "\n");
    // What it had is still there, and the command that is printed restores it.
    let text = std::fs::read_to_string(&saved).unwrap().replace("flow 0 actions=nonsense\n", "");
    std::fs::write(&saved, text).unwrap();
    b.m.ok("ovs-appctl", &format!("bridge/restore br0 {}", saved.display()));
    assert!(b.m.ok("ovs-ofctl", "--no-stats dump-flows br0").contains("in_port=1 actions=drop"));
    assert!(b.two.run("ping -c 1 -W 1 10.7.0.1").status != 0);
}
