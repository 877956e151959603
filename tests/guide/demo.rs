//! `ovs demo`: section 4 in one command, for root and for everybody else.

use std::process::Command;

use end_to_end::{Output, Programs, can_run, run};

const LAST: &str = "Every case came out as it should.\n";

/// A command of an ordinary user. `setpriv` itself still reaches files that only root may; what it runs does not, so
/// a program that may lie in root's home is best run by `env`.
fn ordinary(words: &[&str]) -> Output {
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    run(Command::new("setpriv").args(nobody).args(words))
}

#[track_caller]
fn came_out(demo: Output) {
    let out = demo.ok();
    assert!(out.ends_with(LAST), "{out}");
    for part in ["4. two VLANs across one wire", "The rules of host A:", "Its megaflows:", "VM3 to VM1: "] {
        assert!(out.contains(part), "{part} is missing: {out}");
    }
}

#[test]
fn the_demo_comes_out_as_it_should() {
    if !can_run() {
        return;
    }
    came_out(run(Command::new(Programs::Ours.path("ovs")).arg("demo")));
}

#[test]
fn the_demo_needs_no_root_where_users_have_namespaces() {
    if !can_run() {
        return;
    }
    let ovs = Programs::Ours.path("ovs").display().to_string();
    if ordinary(&["unshare", "--user", "--net", "true"]).status != 0
        || ordinary(&["env", &ovs, "version"]).status != 0
    {
        eprintln!("skipped: ordinary users have no namespaces here, or cannot run the programs");
        return;
    }
    came_out(ordinary(&["env", &ovs, "demo"]));
}

#[test]
fn who_may_not_is_told_why() {
    if !can_run() {
        return;
    }
    let ovs = Programs::Ours.path("ovs").display().to_string();
    if ordinary(&["env", &ovs, "version"]).status != 0 {
        eprintln!("skipped: ordinary users cannot run the programs");
        return;
    }
    // Without the program that makes user namespaces nobody gets one.
    let refused = ordinary(&["env", "PATH=/nonexistent", &ovs, "demo"]);
    assert_eq!((refused.status, refused.out.as_str()), (1, ""));
    assert!(
        refused.err.starts_with("ovs: demo: it makes network namespaces, which takes root"),
        "{refused:?}"
    );
    let unknown = run(Command::new(&ovs).args(["demo", "--slowly"]));
    assert_eq!((unknown.status, unknown.err.as_str()), (1, "ovs: demo: unknown option '--slowly'\n"));
}
