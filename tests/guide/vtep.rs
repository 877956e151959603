//! Section 8, tunnels: the database of a VXLAN gateway, by `vtep-ctl`.

use std::process::{Child, Command, Stdio};

use end_to_end::{Output, Programs, run, until};

/// A database server with the gateway's database.
struct Gateway {
    dir: tempfile::TempDir,
    server: Child,
}

impl Gateway {
    fn new() -> Gateway {
        let dir = tempfile::tempdir().unwrap();
        let ours = |name: &str| Command::new(Programs::Ours.path(name));
        let schema = run(ours("ovs").args(["schema", "hardware_vtep"])).ok();
        std::fs::write(dir.path().join("vtep.ovsschema"), schema).unwrap();
        run(ours("ovsdb-tool").args(["create", "db", "vtep.ovsschema"]).current_dir(dir.path())).ok();
        let mut command = ours("ovsdb-server");
        command.args(["db", "--remote=punix:socket", "--unixctl=none", "-vconsole:off"]);
        command.env("OVS_RUNDIR", dir.path()).current_dir(dir.path()).stdin(Stdio::null());
        let server = command.spawn().unwrap();
        let socket = dir.path().join("socket");
        until("the server listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        Gateway { dir, server }
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(Programs::Ours.path("vtep-ctl"));
        command.arg(format!("--db=unix:{}/socket", self.dir.path().display()));
        run(command.arg("--timeout=60").args(line.split_whitespace()))
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        self.run(line).ok()
    }

    #[track_caller]
    fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!((output.status, output.out.as_str()), (1, ""), "{line}");
        output.err
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn switches_ports_and_their_vlans_are_configured() {
    let gateway = Gateway::new();
    gateway.ok("add-ps tor -- add-port tor eth1 -- add-port tor eth2 -- add-ls red -- add-ls blue");
    gateway.ok("bind-ls tor eth1 10 red -- bind-ls tor eth1 200 blue -- set-manager ptcp:6640:127.0.0.1");
    gateway.ok("set Physical_Switch tor tunnel_ips=10.0.0.1");
    assert_eq!(gateway.ok("list-ps"), "tor\n");
    assert_eq!(gateway.ok("list-ports tor"), "eth1\neth2\n");
    assert_eq!(gateway.ok("list-ls"), "blue\nred\n");
    assert_eq!(gateway.ok("list-bindings tor eth1"), "0010 red\n0200 blue\n");
    let shown = gateway.ok("show");
    let (_, tree) = shown.split_once('\n').unwrap();
    let head =
        "    Manager \"ptcp:6640:127.0.0.1\"\n    Physical_Switch tor\n        tunnel_ips: [\"10.0.0.1\"]\n";
    assert!(tree.starts_with(head), "{tree}");
    // Ports come in the order of their UUIDs.
    let bound = "        Physical_Port eth1\n            vlan_bindings:\n                10=red\n                200=blue\n";
    assert!(tree.contains(bound) && tree.contains("        Physical_Port eth2\n"), "{tree}");
    assert_eq!(gateway.ok("get-replication-mode red"), "(null)\n");
    gateway.ok("set-replication-mode red source_node");
    assert_eq!(gateway.ok("get-replication-mode red"), "source_node\n");
    assert_eq!(gateway.run("ps-exists tor").status, 0);
    assert_eq!(gateway.run("lr-exists none").status, 2);
    for (line, refusal) in [
        ("add-ps tor", "cannot create physical switch tor because it already exists"),
        (
            "add-port tor eth1",
            "cannot create a port named eth1 on tor because a port with that name already exists",
        ),
        ("del-ls green", "no logical switch named green"),
        ("bind-ls tor eth1 10 blue", "multiple bindings for vlan 10"),
        ("unbind-ls tor eth2 10", "no binding for vlan 10"),
        ("bind-ls tor eth9 10 blue", "no port named eth9"),
        ("bind-ls tor eth1 5000 blue", "5000: a VLAN from 0 to 4095 expected"),
        ("set-replication-mode red both", "Replication mode must be 'service_node' or 'source_node'"),
        ("add-br br0", "unknown command 'add-br'; use --help for help\nDid you mean 'add-lr'?"),
    ] {
        assert_eq!(gateway.refused(line), format!("vtep-ctl: {refusal}\n"));
    }
    gateway.ok("unbind-ls tor eth1 200 -- del-port tor eth2 -- del-ls blue");
    assert_eq!(gateway.ok("list-bindings tor eth1"), "0010 red\n");
    gateway.ok("del-ps tor");
    assert_eq!(gateway.ok("-- list-ps -- find Physical_Port"), "");
}

#[test]
fn addresses_are_behind_locators() {
    let gateway = Gateway::new();
    gateway.ok("add-ls red -- add-ucast-local red 02:00:00:00:00:01 10.0.0.1");
    gateway.ok("add-ucast-remote red 02:00:00:00:00:02 vxlan_over_ipv4 10.0.0.2");
    gateway.ok("add-mcast-local red unknown-dst 10.0.0.1 -- add-mcast-local red unknown-dst 10.0.0.3");
    assert_eq!(
        gateway.ok("list-local-macs red"),
        "ucast-mac-local\n  02:00:00:00:00:01 -> vxlan_over_ipv4/10.0.0.1\n\nmcast-mac-local\n  \
         unknown-dst -> vxlan_over_ipv4/10.0.0.1\n  unknown-dst -> vxlan_over_ipv4/10.0.0.3\n\n"
    );
    // An address moves: it is behind one locator only.
    gateway.ok("add-ucast-local red 02:00:00:00:00:01 10.0.0.4");
    gateway.ok("del-mcast-local red unknown-dst 10.0.0.1");
    assert_eq!(
        gateway.ok("list-local-macs red"),
        "ucast-mac-local\n  02:00:00:00:00:01 -> vxlan_over_ipv4/10.0.0.4\n\nmcast-mac-local\n  \
         unknown-dst -> vxlan_over_ipv4/10.0.0.3\n\n"
    );
    assert!(gateway.ok("list-remote-macs red").contains("02:00:00:00:00:02 -> vxlan_over_ipv4/10.0.0.2"));
    gateway.ok("clear-local-macs red -- clear-remote-macs red");
    assert_eq!(gateway.ok("list-local-macs red"), "ucast-mac-local\n\nmcast-mac-local\n\n");
    // Locators that nobody refers to any more are gone.
    assert_eq!(gateway.ok("list Physical_Locator"), "");
    let wrong = gateway.refused("add-ucast-local red 02:00:00:00:00:01 gre 10.0.0.1");
    assert!(wrong.contains("constraint violation") && wrong.contains("vxlan_over_ipv4"), "{wrong}");
}
