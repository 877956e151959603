//! Section 8, security of control: keys and certificates of `ovs-pki` serve
//! our programs and the reference's, whoever made them.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use end_to_end::{Output, Programs, Switch, World, can_run, run, until};

/// `ovs-pki` in a directory, whose infrastructure is in `pki`.
fn pki(whose: Programs, dir: &Path, line: &str) -> Output {
    let mut command = Command::new(whose.path("ovs-pki"));
    let common = [format!("--dir={}/pki", dir.display()), format!("--log={}/log", dir.display())];
    run(command.args(common).args(line.split_whitespace()).current_dir(dir))
}

/// A database server that takes connections over TLS on a port of its choice.
struct Server {
    child: Child,
    port: u16,
}

fn tls(dir: &Path, name: &str, peer: &str) -> [String; 3] {
    let dir = dir.display();
    [
        format!("--private-key={dir}/{name}-privkey.pem"),
        format!("--certificate={dir}/{name}-cert.pem"),
        format!("--ca-cert={dir}/pki/{peer}ca/cacert.pem"),
    ]
}

impl Server {
    fn start(whose: Programs, dir: &Path) -> Server {
        let database = dir.join(format!("{whose:?}.db"));
        let schema = "/usr/share/openvswitch/vswitch.ovsschema";
        run(Command::new(whose.path("ovsdb-tool")).arg("create").arg(&database).arg(schema)).ok();
        let log = dir.join(format!("{whose:?}.log"));
        let mut command = Command::new(whose.path("ovsdb-server"));
        command.arg(&database).args(tls(dir, "ctl", "switch")).arg("--remote=pssl:0:127.0.0.1");
        command.arg(format!("--unixctl={}/{whose:?}.ctl", dir.display()));
        command.args([&format!("--log-file={}", log.display()), "-vconsole:off"]);
        let child = command.env("OVS_RUNDIR", dir).stdin(Stdio::null()).spawn().unwrap();
        let mut server = Server { child, port: 0 };
        until("the server listens", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let port = text.split("listening on port ").nth(1).and_then(|rest| rest.lines().next());
            server.port = port.and_then(|port| port.trim().parse().ok()).unwrap_or(0);
            server.port != 0
        });
        server
    }

    fn ask(&self, whose: Programs, dir: &Path, name: &str) -> Output {
        let mut command = Command::new(whose.path("ovs-vsctl"));
        command.args(tls(dir, name, "controller"));
        command.args(["--timeout=60", "--no-wait", &format!("--db=ssl:127.0.0.1:{}", self.port)]);
        run(command.args(["--", "init", "--", "list-br"]))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn has_reference() -> bool {
    let there = Path::new("/usr/bin/ovs-pki").exists() && Path::new("/usr/bin/openssl").exists();
    if !there {
        eprintln!("skipped: the reference's ovs-pki and openssl are not installed");
    }
    there
}

#[test]
fn certificates_serve_both_sides_whoever_made_them() {
    if !has_reference() {
        return;
    }
    for maker in [Programs::Ours, Programs::Reference] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        pki(maker, dir, "init").ok();
        // Our program goes on in a directory that either has made.
        pki(Programs::Ours, dir, "req+sign ctl controller").ok();
        pki(maker, dir, "req sc").ok();
        pki(Programs::Ours, dir, "-b sign sc switch").ok();
        pki(Programs::Ours, dir, "req+sign stranger controller").ok();
        for (name, kind) in [("ctl", "controller"), ("sc", "switch")] {
            let verdict = pki(Programs::Ours, dir, &format!("verify {name} {kind}"));
            assert_eq!(verdict, pki(Programs::Reference, dir, &format!("verify {name} {kind}")));
            assert_eq!(verdict.ok(), format!("{name}-cert.pem: OK\n"));
        }
        assert_eq!(pki(Programs::Ours, dir, "verify sc controller").status, 2);
        for (server, client) in [
            (Programs::Ours, Programs::Reference),
            (Programs::Reference, Programs::Ours),
            (Programs::Ours, Programs::Ours),
        ] {
            let running = Server::start(server, dir);
            assert_eq!(running.ask(client, dir, "sc").ok(), "", "{client:?} asks {server:?}");
            // Who has a certificate of the other authority is not let in.
            assert_ne!(running.ask(client, dir, "stranger").status, 0, "{client:?} asks {server:?}");
            drop(running);
            std::fs::remove_file(dir.join(format!("{server:?}.db"))).unwrap();
            std::fs::remove_file(dir.join(format!("{server:?}.log"))).unwrap();
        }
    }
}

/// A program of the test that ends with it.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openflow_is_spoken_over_tls_with_the_keys_of_the_ssl_table() {
    if !has_reference() || !can_run() {
        return;
    }
    let (ours, reference) = (Programs::Ours, Programs::Reference);
    for (of_switch, of_controller) in [(ours, reference), (reference, ours), (ours, ours)] {
        let world = World::new();
        let host = world.host("sw");
        let switch = Switch::start(&world, &host, "sw", of_switch);
        let dir = world.dir.path();
        pki(ours, dir, "init").ok();
        for line in ["ctl controller", "sc switch"] {
            pki(ours, dir, &format!("req+sign {line}")).ok();
        }
        let mut controller = host.command(of_controller.path("ovs-testcontroller"));
        controller.args(tls(dir, "ctl", "switch")).arg("pssl:6653:127.0.0.1");
        controller.arg(format!("--unixctl={}/controller.ctl", dir.display()));
        let _controller = Daemon(controller.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until("the controller listens", || host.ok("ss -ltnH").contains(":6653 "));
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        switch.vsctl("set-controller br0 ssl:127.0.0.1:6653");
        let last_error =
            || switch.vsctl("--if-exists get controller br0 status:last_error").trim().to_owned();
        until("the controller is missed", || !last_error().is_empty());
        assert_eq!(last_error(), "\"Protocol not available\"", "{of_switch:?} without keys");
        let [key, certificate, authority] = tls(dir, "sc", "controller");
        let file = |option: &str| option.split_once('=').map_or("", |(_, path)| path).to_owned();
        switch.vsctl(&format!("set-ssl {} {} {}", file(&key), file(&certificate), file(&authority)));
        let is_connected = || switch.vsctl("get controller br0 is_connected").trim() == "true";
        until("the controller is connected", is_connected);
        switch.vsctl("set-controller br0 ssl:127.0.0.1:6653 pssl:6654:127.0.0.1");
        until("the switch listens", || host.ok("ss -ltnH").contains(":6654 "));
        for client in [ours, reference] {
            let ask = |name: &str| {
                let mut command = host.command(client.path("ovs-ofctl"));
                command.args(tls(dir, name, "switch")).arg("--timeout=60");
                run(command.args(["dump-flows", "ssl:127.0.0.1:6654"]))
            };
            let shown = ask("ctl").ok();
            assert!(shown.contains("actions="), "{client:?} asks {of_switch:?}: {shown}");
            // Who has a certificate of the other authority is not let in.
            assert_ne!(ask("sc").status, 0, "{client:?} asks {of_switch:?}");
        }
    }
}

#[test]
fn the_reference_goes_on_in_our_directory() {
    if !has_reference() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pki(Programs::Ours, dir, "init").ok();
    pki(Programs::Ours, dir, "req+sign one").ok();
    pki(Programs::Reference, dir, "req+sign two").ok();
    pki(Programs::Ours, dir, "req+sign three").ok();
    for name in ["one", "two", "three"] {
        assert_eq!(
            pki(Programs::Reference, dir, &format!("verify {name}")).ok(),
            format!("{name}-cert.pem: OK\n")
        );
    }
    let index = std::fs::read_to_string(dir.join("pki/switchca/index.txt")).unwrap();
    let mut serials: Vec<&str> = index.lines().filter_map(|line| line.split('\t').nth(3)).collect();
    serials.dedup();
    assert_eq!(serials.len(), 4, "each has a number of its own: {index}");
}

#[test]
fn fingerprints_are_those_of_the_reference() {
    if !has_reference() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pki(Programs::Ours, dir, "init").ok();
    let req = pki(Programs::Ours, dir, "req sc").ok();
    assert_eq!(req, pki(Programs::Reference, dir, "fingerprint sc-req.pem").ok());
    let answer = |line: &str| {
        let mut command = Command::new(Programs::Ours.path("ovs-pki"));
        command.args([format!("--dir={}/pki", dir.display()), format!("--log={}/log", dir.display())]);
        command
            .args(["sign", "sc"])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), line.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let refused = answer("no\n");
    assert!(!refused.status.success() && !dir.join("sc-cert.pem").exists());
    assert_eq!(String::from_utf8_lossy(&refused.stdout), format!("{req}Does fingerprint match? (yes/no)\n"));
    assert!(answer("yes\n").status.success() && dir.join("sc-cert.pem").exists());
}

/// A certificate that `name` makes for itself, as `openssl req -x509` does.
fn sign_oneself(dir: &Path, name: &str) {
    let line = format!(
        "req -x509 -newkey rsa:2048 -nodes -keyout {name}-privkey.pem -out {name}-cert.pem -days 30 -subj /CN={name}"
    );
    run(Command::new("openssl").args(line.split_whitespace()).current_dir(dir)).ok();
}

/// The log of the server of `whose`.
fn log_of(whose: Programs, dir: &Path) -> String {
    std::fs::read_to_string(dir.join(format!("{whose:?}.log"))).unwrap_or_default()
}

#[test]
fn a_pair_may_trust_the_certificates_that_each_made_for_itself() {
    let world = tempfile::tempdir().unwrap();
    let dir = world.path();
    for (name, ca) in [("ctl", "controllerca"), ("sw", "switchca"), ("stranger", "strangerca")] {
        sign_oneself(dir, name);
        std::fs::create_dir_all(dir.join("pki").join(ca)).unwrap();
        std::fs::copy(dir.join(format!("{name}-cert.pem")), dir.join("pki").join(ca).join("cacert.pem"))
            .unwrap();
    }
    let theirs = Server::start(Programs::Reference, dir);
    assert_eq!(theirs.ask(Programs::Ours, dir, "sw").status, 0);
    let server = Server::start(Programs::Ours, dir);
    for client in [Programs::Ours, Programs::Reference] {
        assert_eq!(server.ask(client, dir, "sw").status, 0);
    }
    // Another one's is refused by the server, which says why.
    assert_ne!(server.ask(Programs::Ours, dir, "stranger").status, 0);
    let log = log_of(Programs::Ours, dir);
    assert!(log.contains("|stream_ssl|WARN|TLS handshake: certificate verify failed: "), "{log}");
    assert!(!log.contains("Other(") && !log.contains("[48, "), "{log}");
}

#[test]
fn a_certificate_of_version_1_is_refused_by_name_with_a_remedy() {
    let world = tempfile::tempdir().unwrap();
    let dir = world.path();
    sign_oneself(dir, "ca");
    for ca in ["controllerca", "switchca"] {
        std::fs::create_dir_all(dir.join("pki").join(ca)).unwrap();
        std::fs::copy(dir.join("ca-cert.pem"), dir.join("pki").join(ca).join("cacert.pem")).unwrap();
    }
    let openssl =
        |line: String| run(Command::new("openssl").args(line.split_whitespace()).current_dir(dir)).ok();
    std::fs::write(dir.join("extensions"), "basicConstraints=CA:FALSE\n").unwrap();
    for (name, extensions) in [("ctl", "-extfile extensions"), ("sw", ""), ("good", "-extfile extensions")] {
        openssl(format!(
            "req -newkey rsa:2048 -nodes -keyout {name}-privkey.pem -out {name}.csr -subj /CN={name}"
        ));
        openssl(format!(
            "x509 -req -in {name}.csr -CA ca-cert.pem -CAkey ca-privkey.pem -CAcreateserial -out {name}-cert.pem \
             -days 30 {extensions}"
        ));
    }
    let server = Server::start(Programs::Ours, dir);
    // The command that the message names makes one that is taken.
    assert_eq!(server.ask(Programs::Ours, dir, "good").status, 0);
    let refused = server.ask(Programs::Ours, dir, "sw");
    assert_ne!(refused.status, 0);
    let expected =
        "sw-cert.pem: the certificate is of X.509 version 1, which is not supported: make one of version 3";
    assert!(refused.err.contains(expected), "{refused:?}");
    assert!(!refused.err.contains("Private key does not match"), "{refused:?}");
    // A client that takes it itself is refused by the server, in the same words.
    assert_ne!(server.ask(Programs::Reference, dir, "sw").status, 0);
    let log = log_of(Programs::Ours, dir);
    assert!(
        log.contains("certificate verify failed: it is of X.509 version 1, which is not supported"),
        "{log}"
    );
}

#[test]
fn a_file_that_holds_something_else_is_named_with_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, ours) = (dir.path(), Programs::Ours);
    pki(ours, dir, "init").ok();
    pki(ours, dir, "req a").ok();
    let (key, request) = (dir.join("a-privkey.pem"), dir.join("a-req.pem"));
    let whole = std::fs::read(&request).unwrap();
    std::fs::write(
        &request,
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    )
    .unwrap();
    let refused = pki(ours, dir, "--batch sign a switch");
    assert_ne!(refused.status, 0);
    assert!(refused.err.contains("a-req.pem: there is no certificate request in it"), "{}", refused.err);
    std::fs::write(&request, whole).unwrap();
    std::fs::write(&key, "not a key").unwrap();
    let refused = pki(ours, dir, "self-sign a");
    assert_ne!(refused.status, 0);
    assert!(refused.err.contains("a-privkey.pem: there is no private key in it"), "{}", refused.err);
}
