//! A database on a disk that is full: changes are refused with a clear error, reading goes on, and when there
//! is room again so do changes. What was acknowledged is there after a crash.

use std::path::Path;
use std::process::Command;

use end_to_end::{Output, Programs, can_run, run};

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
