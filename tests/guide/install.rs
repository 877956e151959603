//! Section 1: install, start, stop, by the guide's own command lines.

use std::path::Path;
use std::process::Command;

use end_to_end::{Programs, World, can_run, run, until};

/// A program with the directories of the world.
fn program(world: &World, name: &str) -> Command {
    let mut command = Command::new(Programs::Ours.path(name));
    for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
        command.env(variable, world.dir.path());
    }
    command
}

/// The process of a pid file, if there is one.
fn pid(world: &World, name: &str) -> Option<u32> {
    std::fs::read_to_string(world.dir.path().join(format!("{name}.pid"))).ok()?.trim().parse().ok()
}

fn is_running(pid: u32) -> bool {
    // A zombie has ended; nobody waits for a detached daemon in a container without an init.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The stop script: ends a daemon by its pid file.
fn stop(world: &World, name: &str) {
    let Some(pid) = pid(world, name) else { panic!("{name} has no pid file") };
    run(Command::new("kill").arg(pid.to_string())).ok();
    until("the daemon has ended", || !is_running(pid));
    until("its pid file is gone", || !world.dir.path().join(format!("{name}.pid")).exists());
}

/// Starts the database as the guide does, with this form of the `db:` names.
fn start_database(world: &World, database: &Path, form: &str) {
    let rundir = world.dir.path().display();
    let args = [
        format!("--remote=punix:{rundir}/db.sock"),
        format!("--remote=db:{form}Open_vSwitch,manager_options"),
        format!("--private-key=db:{form}SSL,private_key"),
        format!("--certificate=db:{form}SSL,certificate"),
        format!("--bootstrap-ca-cert=db:{form}SSL,ca_cert"),
        "--pidfile".to_owned(),
        "--log-file".to_owned(),
        "--detach".to_owned(),
    ];
    run(program(world, "ovsdb-server").arg(database).args(args)).ok();
}

#[test]
fn the_start_script_starts_and_the_stop_script_stops() {
    if !can_run() {
        return;
    }
    for form in ["", "Open_vSwitch,"] {
        let world = World::new();
        let database = world.dir.path().join("conf.db");
        run(program(&world, "ovsdb-tool").arg("create").arg(&database)).ok();
        start_database(&world, &database, form);
        run(program(&world, "ovs-vsctl").args(["--no-wait", "init"])).ok();
        let socket = format!("unix:{}/db.sock", world.dir.path().display());
        run(program(&world, "ovs-vswitchd").args([&socket, "--pidfile", "--log-file", "--detach"])).ok();
        let bridge = format!("ovsbr{}", form.len());
        run(program(&world, "ovs-vsctl").args(["--timeout=20", "add-br", &bridge])).ok();
        let listed = run(program(&world, "ovs-vsctl").arg("list-br")).ok();
        assert_eq!(listed, format!("{bridge}\n"));
        run(program(&world, "ovs-vsctl").args(["--timeout=20", "del-br", &bridge])).ok();
        stop(&world, "ovs-vswitchd");
        stop(&world, "ovsdb-server");
    }
}

#[test]
fn a_schema_file_makes_the_same_database_as_the_built_in_schema() {
    let world = World::new();
    let schema = world.dir.path().join("vswitch.ovsschema");
    std::fs::write(&schema, run(program(&world, "ovs").args(["schema", "Open_vSwitch"])).ok()).unwrap();
    let (with, without) = (world.dir.path().join("a.db"), world.dir.path().join("b.db"));
    run(program(&world, "ovsdb-tool").arg("create").args([&with, &schema])).ok();
    run(program(&world, "ovsdb-tool").arg("create").arg(&without)).ok();
    assert_eq!(std::fs::read(&with).unwrap(), std::fs::read(&without).unwrap());
    assert_eq!(run(program(&world, "ovsdb-tool").arg("db-version").arg(&without)).ok(), "8.8.0\n");
    let again = run(program(&world, "ovsdb-tool").arg("create").arg(&without));
    assert_eq!(again.status, 1, "an existing database is never overwritten: {again:?}");
}

#[test]
fn the_reference_reads_our_database_and_we_read_its() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let insert = r#"["Open_vSwitch",{"op":"insert","table":"Open_vSwitch","row":{"external_ids":["map",[["a","b"]]]}}]"#;
    let select =
        r#"["Open_vSwitch",{"op":"select","table":"Open_vSwitch","where":[],"columns":["external_ids"]}]"#;
    let found = "[{\"rows\":[{\"external_ids\":[\"map\",[[\"a\",\"b\"]]]}]}]\n";
    for (maker, reader) in [(Programs::Ours, Programs::Reference), (Programs::Reference, Programs::Ours)] {
        let file = world.dir.path().join(format!("{maker:?}.db"));
        let tool = |who: Programs| Command::new(who.path("ovsdb-tool"));
        run(tool(maker).arg("create").arg(&file).arg("/usr/share/openvswitch/vswitch.ovsschema")).ok();
        run(tool(maker).arg("transact").arg(&file).arg(insert)).ok();
        assert_eq!(
            run(tool(reader).arg("query").arg(&file).arg(select)).ok(),
            found,
            "{maker:?} to {reader:?}"
        );
        run(tool(reader).arg("compact").arg(&file)).ok();
        assert_eq!(
            run(tool(maker).arg("query").arg(&file).arg(select)).ok(),
            found,
            "{reader:?} to {maker:?}"
        );
    }
}

#[test]
fn sockets_that_are_not_there_are_told_in_one_line() {
    let world = World::new();
    let dir = world.dir.path().display();
    let none = run(program(&world, "ovs-vsctl")
        .args(["--timeout=5", "--retry", "--no-wait", "show"])
        .env("OVS_RUNDIR", "/nonexistent"));
    assert_ne!(none.status, 0);
    let appctl = run(program(&world, "ovs-appctl").arg("version"));
    assert_eq!(appctl.status, 1);
    let cannot =
        format!("ovs-appctl: cannot read pidfile \"{dir}/ovs-vswitchd.pid\" (No such file or directory)");
    let lines: Vec<&str> = appctl.err.lines().collect();
    // A line that says what to do follows.
    assert_eq!(lines.iter().rev().nth(1), Some(&cannot.as_str()), "{}", appctl.err);
    let ofctl = run(program(&world, "ovs-ofctl").args(["show", "br9"]));
    assert_eq!(ofctl.status, 1);
    assert_eq!(ofctl.err.lines().next(), Some("ovs-ofctl: br9 is not a bridge or a socket"));
}

#[test]
fn garbage_on_any_socket_leaves_the_daemons_alive() {
    use std::io::Write;
    if !can_run() {
        return;
    }
    let mut pair = crate::Pair::new();
    for (name, garbage) in [
        ("db.sock", &b"{\"id\":0,\"method\":[[[[[[[["[..]),
        ("db.sock", b"\xff\xfe\x00 not json at all"),
        ("ovsbr0.mgmt", b"GET / HTTP/1.0\r\n\r\n"),
        ("ovsbr0.mgmt", b"\x01\x00\x00\x08\x00\x00\x00\x00\x01\xff\x00\x07"),
    ] {
        let mut socket = std::os::unix::net::UnixStream::connect(pair.switch.dir.join(name)).unwrap();
        // The daemon may hang up before all is written.
        let _ = socket.write_all(garbage);
    }
    assert!(pair.a.reaches("10.1.0.2"));
    assert_eq!(pair.switch.vsctl("list-br"), "ovsbr0\n");
    assert!(pair.switch.ofctl("dump-flows ovsbr0").contains("NORMAL"));
    assert!(pair.switch.is_alive());
}
