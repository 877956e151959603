//! The switch on other kernels than this machine's: two servers in QEMU, joined by emulated
//! NICs, each with two VMs per uplink. What they do is in `kernels/guest.sh`.

use std::time::Duration;

use end_to_end::{Guest, Image, Kernel, Programs};

/// How long a guest may say nothing: it boots, and each trial ends, in far less.
const SILENCE: Duration = Duration::from_secs(120);

const PROGRAMS: [&str; 5] = ["/usr/bin/iperf3", "/sbin/ip", "/bin/ping", "/sbin/tc", "/usr/bin/basename"];

/// Boots both servers with this kernel and returns what server a has to say: a line for each trial.
fn trials(version: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let kernel = Kernel::named(version);
    let mut image = Image::new(&kernel, include_str!("kernels/guest.sh"));
    image.add_ours(
        dir.path(),
        &["ovsdb-tool", "ovsdb-server", "ovs-vsctl", "ovs-vswitchd", "ovs-appctl", "sflowtool"],
    );
    PROGRAMS.iter().for_each(|program| image.add_program(program));
    let file = dir.path().join("image");
    std::fs::write(&file, image.finish()).unwrap();
    let nics = |is_server: bool| {
        let mut args = Vec::new();
        for (number, model) in ["virtio-net-pci", "e1000"].into_iter().enumerate() {
            let path = dir.path().join(format!("wire{number}"));
            let mode = if is_server { "on" } else { "off" };
            let wire =
                format!("stream,id=n{number},server={mode},addr.type=unix,addr.path={}", path.display());
            let mac = format!("52:54:00:00:0{number}:0{}", u8::from(is_server));
            args.extend(["-netdev".to_owned(), wire]);
            args.extend(["-device".to_owned(), format!("{model},netdev=n{number},mac={mac}")]);
        }
        args
    };
    let b = Guest::boot(&kernel, &file, "server=b", &nics(true));
    let mut said = Vec::new();
    while let Some(line) = b.line(SILENCE) {
        let is_ready = line == "READY";
        said.push(format!("b: {line}"));
        if is_ready {
            break;
        }
    }
    let a = Guest::boot(&kernel, &file, "server=a", &nics(false));
    while let Some(line) = a.line(SILENCE) {
        let is_done = line == "DONE";
        said.push(line);
        if is_done {
            break;
        }
    }
    said
}

/// All that the kernel is asked for in quality of service, with the reference in the same guest to compare.
#[test]
fn disciplines_of_the_kernel_are_set_up_as_the_reference_sets_them_up() {
    let dir = tempfile::tempdir().unwrap();
    let kernel = Kernel::named("6.1");
    let mut image = Image::new(&kernel, include_str!("kernels/qos.sh"));
    let programs = ["ovsdb-tool", "ovsdb-server", "ovs-vsctl", "ovs-vswitchd", "ovs-appctl"];
    image.add_ours(dir.path(), &programs);
    programs.iter().for_each(|name| image.add_program(&Programs::Reference.path(name).to_string_lossy()));
    image.add_file("/usr/share/openvswitch/vswitch.ovsschema");
    ["/sbin/ip", "/sbin/tc"].iter().for_each(|program| image.add_program(program));
    let file = dir.path().join("image");
    std::fs::write(&file, image.finish()).unwrap();
    let guest = Guest::boot(&kernel, &file, "", &[]);
    let mut said = Vec::new();
    while let Some(line) = guest.line(SILENCE) {
        let is_done = line == "DONE";
        said.push(line);
        if is_done {
            break;
        }
    }
    let shown = said.join("\n");
    eprintln!("{shown}");
    assert!(said.last().is_some_and(|line| line == "DONE"), "it ended early:\n{shown}");
    let failed: Vec<&String> = said.iter().filter(|line| line.contains("FAIL ")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(said.iter().filter(|line| line.starts_with("PASS ")).count() > 23, "{shown}");
}

#[track_caller]
fn check(version: &str) {
    let said = trials(version);
    let shown = said.join("\n");
    eprintln!("{shown}");
    assert!(said.last().is_some_and(|line| line == "DONE"), "it ended early:\n{shown}");
    let failed: Vec<&String> = said.iter().filter(|line| line.contains("FAIL ")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(said.iter().filter(|line| line.starts_with("PASS ")).count() > 40, "{shown}");
}

#[test]
fn two_servers_with_the_kernel_of_debian_12() {
    check("6.1");
}

#[test]
fn two_servers_with_the_kernel_of_debian_11() {
    check("5.10");
}
