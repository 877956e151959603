//! A database on a disk that is full, or that fails: changes are refused with a clear error, reading goes on,
//! and when the disk is well again so do changes. What was acknowledged is there after a crash.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use end_to_end::{Output, Programs, can_run, run, until};

use crate::ovsdb_peers::{SCHEMA, Server};

/// A small file system of its own, gone with its owner.
struct Disk<'d>(&'d Path);

impl Disk<'_> {
    fn mount(at: &Path) -> Disk<'_> {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at)).ok();
        Disk(at)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        run(Command::new("umount").args(["-l"]).arg(self.0));
    }
}

fn vsctl(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(Programs::Ours.path("ovs-vsctl"));
    command.arg(format!("--db=unix:{}", server.path("s"))).args(["--no-wait", "--timeout=10"]);
    run(command.args(arguments))
}

/// Sets a key to a long value; true when that was acknowledged.
fn set(server: &Server, n: usize, errors: &mut Vec<String>) -> bool {
    let value = format!("external_ids:key{n}={}", "x".repeat(8000));
    let output = vsctl(server, &["set", "Open_vSwitch", ".", &value]);
    if output.status != 0 {
        errors.push(output.err);
    }
    output.status == 0
}

#[test]
fn a_full_disk_refuses_changes_and_loses_nothing() {
    if !can_run() || !Path::new(SCHEMA).exists() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::mount(directory.path());
    let mut server = Server::start(directory.path());
    std::fs::write(server.path("fill"), vec![0; 600_000]).unwrap();
    let (mut acknowledged, mut errors) = (Vec::new(), Vec::new());
    let mut n = 0;
    while errors.len() < 3 {
        if set(&server, n, &mut errors) {
            acknowledged.push(n);
        }
        n += 1;
        assert!(n < 500, "the disk does not fill");
    }
    assert!(errors.iter().all(|error| error.contains("No space left on device")), "{errors:?}");
    // Reading goes on.
    assert!(vsctl(&server, &["get", "Open_vSwitch", ".", "external_ids:key0"]).ok().contains("xxx"));
    std::fs::remove_file(server.path("fill")).unwrap();
    assert!(set(&server, n, &mut errors), "{errors:?}");
    acknowledged.push(n);
    server.compact();
    server.restart();
    let ids = vsctl(&server, &["get", "Open_vSwitch", ".", "external_ids"]).ok();
    for n in &acknowledged {
        assert!(ids.contains(&format!("key{n}=")), "key{n} was acknowledged and is lost");
    }
    drop(server);
    drop(disk);
}

/// Makes every sync of a process fail, as a broken disk does, until it is dropped.
struct BrokenDisk(Child);

impl BrokenDisk {
    fn of(process: u32) -> BrokenDisk {
        let mut child = Command::new("strace")
            .args(["-f", "-p", &process.to_string(), "-e", "trace=fsync,fdatasync"])
            .args(["-e", "inject=fsync,fdatasync:error=EIO"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        // What it says later must go somewhere.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        BrokenDisk(child)
    }
}

impl Drop for BrokenDisk {
    fn drop(&mut self) {
        run(Command::new("kill").args(["-INT", &self.0.id().to_string()]));
        let _ = self.0.wait();
    }
}

/// Adds a bridge in a transaction that is to be on disk when it is answered; the answer.
fn add_durably(server: &Server, name: &str) -> String {
    let transaction = format!(
        r#"["Open_vSwitch",{{"op":"insert","table":"Bridge","row":{{"name":"{name}"}},"uuid-name":"b"}},
            {{"op":"mutate","table":"Open_vSwitch","where":[],"mutations":[["bridges","insert",["named-uuid","b"]]]}},
            {{"op":"commit","durable":true}}]"#
    );
    let mut client = Command::new(Programs::Ours.path("ovsdb-client"));
    client.args(["--timeout=10", "transact", &format!("unix:{}", server.path("s")), &transaction]);
    run(&mut client).ok()
}

#[test]
fn what_a_failing_disk_did_not_take_is_not_acknowledged() {
    if !can_run() || !Path::new(SCHEMA).exists() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path());
    let good = |answer: &str| !answer.contains("error");
    assert!(good(&add_durably(&server, "before")));
    let broken = BrokenDisk::of(server.process());
    let refused = add_durably(&server, "during");
    assert!(refused.contains(r#""error":"I/O error""#) && refused.contains("fsync failed"), "{refused}");
    // It goes on serving those who read, and tells all who write.
    assert!(vsctl(&server, &["list-br"]).ok().contains("before"));
    let refused = add_durably(&server, "later");
    assert!(refused.contains(r#""error":"I/O error""#), "{refused}");
    drop(broken);
    // The log is written anew, as nobody can know what the disk holds of the old one.
    let mut n = 0;
    until("the disk takes transactions", || {
        n += 1;
        good(&add_durably(&server, &format!("after{n}")))
    });
    server.restart();
    let bridges = vsctl(&server, &["list-br"]).ok();
    assert!(bridges.contains("before") && bridges.contains(&format!("after{n}")), "{bridges}");
}
