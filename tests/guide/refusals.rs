//! What the programs refuse, and that they say so by their exit status: bytes that are no text, remotes that cannot be
//! opened, rules that would match more than was written.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use end_to_end::{Programs, run, until};

/// A program of ours with directories of its own.
fn program(dir: &Path, name: &str) -> Command {
    let mut command = Command::new(Programs::Ours.path(name));
    for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
        command.env(variable, dir);
    }
    command
}

#[test]
fn no_program_takes_an_argument_that_is_no_text() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "ovs-vsctl",
        "ovs-ofctl",
        "ovs-appctl",
        "ovs-dpctl",
        "ovs-ctl",
        "ovs-pki",
        "ovs-vswitchd",
        "ovs-testcontroller",
        "ovs-brcompatd",
        "ovsdb-server",
        "ovsdb-client",
        "ovsdb-tool",
        "vtep-ctl",
        "brctl",
        "sflowtool",
    ] {
        let refused = run(program(dir.path(), name).arg("show").arg(OsStr::from_bytes(b"k=a\xffb")));
        let expected = format!("{name}: argument 2 is not valid UTF-8: \"k=a\\xffb\"\n");
        assert_eq!((refused.status, refused.err.as_str()), (1, expected.as_str()));
        let moved =
            run(program(dir.path(), name).env("OVS_RUNDIR", OsStr::from_bytes(b"/\xff")).arg("--version"));
        let expected = format!("{name}: environment variable OVS_RUNDIR is not valid UTF-8: \"/\\xff\"\n");
        assert_eq!((moved.status, moved.err.as_str()), (1, expected.as_str()));
    }
}

#[test]
fn files_of_rules_that_are_no_text_are_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules");
    std::fs::write(&path, b"ip,actions=drop\nip,actions=\xff\n").unwrap();
    let refused = run(program(dir.path(), "ovs-ofctl").arg("parse-flows").arg(&path));
    assert_eq!(refused.status, 1);
    assert_eq!(refused.err, format!("ovs-ofctl: {}: not valid UTF-8 at line 2, column 12\n", path.display()));
    assert_eq!(refused.out, "");
}

/// A database server on `remote`, which is stopped when this goes.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn create(dir: &Path) {
    run(program(dir, "ovsdb-tool").args(["create", "conf.db"]).current_dir(dir)).ok();
}

#[test]
fn a_listening_descriptor_that_is_handed_over_is_served() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let socket = dir.path().join("handed.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    // Connected before there is a server, as by socket activation.
    let mut early = UnixStream::connect(&socket).unwrap();
    // Programs inherit it under its number.
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let mut command = program(dir.path(), "ovsdb-server");
    let remote = format!("--remote=pfd:{}", listener.as_raw_fd());
    command.args(["conf.db", &remote]).current_dir(dir.path()).stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    early.write_all(b"{\"id\":1,\"method\":\"list_dbs\",\"params\":[]}").unwrap();
    let mut answer = [0; 256];
    let n = early.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..n]);
    assert!(answer.contains("Open_vSwitch"), "{answer}");
}

#[test]
fn a_remote_that_cannot_be_opened_is_an_error_of_the_start() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    for remote in ["punix:/nonexistent/db.sock", "ptcp:0:192.0.2.1", "pfd:99", "pfd:x", "nothing:1"] {
        for detach in [false, true] {
            let mut command = program(dir.path(), "ovsdb-server");
            command.args(["conf.db", "--pidfile", &format!("--remote={remote}")]).current_dir(dir.path());
            if detach {
                command.arg("--detach");
            }
            let refused = run(&mut command);
            assert_eq!(refused.status, 1, "{remote}: {}", refused.err);
            assert!(refused.err.contains(&format!("{remote}: listen failed: ")), "{}", refused.err);
            assert!(!dir.path().join("ovsdb-server.pid").exists());
        }
    }
}

#[test]
fn a_remote_that_cannot_be_opened_is_refused_at_run_time_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    create(dir);
    let mut server = program(dir, "ovsdb-server");
    server.arg("conf.db").arg("--remote=punix:db.sock").current_dir(dir).stderr(Stdio::null());
    let _server = Server(server.spawn().unwrap());
    until("it takes commands", || {
        std::fs::read_dir(dir).unwrap().flatten().any(|e| e.file_name().to_string_lossy().ends_with(".ctl"))
    });
    let mut control = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    let control = control.find(|path| path.extension().is_some_and(|end| end == "ctl")).unwrap();
    let ask = |words: &[&str]| run(program(dir, "ovs-appctl").arg("-t").arg(&control).args(words));
    for (remote, reason) in [
        ("ptcp:99999", "Address family not supported by protocol"),
        ("punix:/missing/socket", "No such file or directory"),
        ("rubbish:1", "Address family not supported by protocol"),
    ] {
        let refused = ask(&["ovsdb-server/add-remote", remote]);
        let expected = format!(
            "{remote}: listen failed: {reason}\novs-appctl: {}: server returned an error\n",
            control.display()
        );
        assert_eq!((refused.status, refused.err), (2, expected));
    }
    assert_eq!(ask(&["ovsdb-server/add-remote", "punix:second.sock"]).status, 0);
    assert_eq!(ask(&["ovsdb-server/list-remotes"]).out, "punix:db.sock\npunix:second.sock\n");
}

#[test]
fn a_request_that_is_no_text_is_answered_with_an_error_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let mut command = program(dir.path(), "ovsdb-server");
    command.args(["conf.db", "--remote=punix:db.sock"]).current_dir(dir.path()).stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    let path = dir.path().join("db.sock");
    until("the server listens", || UnixStream::connect(&path).is_ok());
    let mut stream = UnixStream::connect(&path).unwrap();
    let request = b"{\"id\":5,\"method\":\"transact\",\"params\":[\"Open_vSwitch\",{\"op\":\"insert\",\"table\":\"SSL\",\
        \"row\":{\"private_key\":\"a\xffb\",\"certificate\":\"\",\"ca_cert\":\"\"}}]}";
    stream.write_all(request).unwrap();
    let mut answer = [0; 1024];
    let n = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..n]);
    assert!(answer.contains("\"id\":5") && answer.contains("not valid UTF-8"), "{answer}");
    let rows = run(program(dir.path(), "ovs-vsctl").args(["--no-wait", "list", "SSL"])).ok();
    assert_eq!(rows, "");
}

#[test]
fn a_rule_that_lacks_a_lower_layer_is_refused_with_the_line_that_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let refused = run(program(dir.path(), "ovs-ofctl").args(["parse-flow", "tp_dst=22,actions=drop"]));
    assert_eq!(refused.status, 1);
    let expected =
        "ovs-ofctl: tp_dst can be matched only together with dl_type and nw_proto: use \"tcp,tp_dst=22\"\n";
    assert_eq!(refused.err, expected);
    run(program(dir.path(), "ovs-ofctl").args(["parse-flow", "tcp,tp_dst=22,actions=drop"])).ok();
}

/// What a program that is to end by itself said, and its exit status.
fn refused(dir: &Path, name: &str, words: &[&str]) -> (i32, String) {
    let ended = run(program(dir, name).args(words).current_dir(dir));
    (ended.status, ended.err)
}

#[test]
fn numbers_of_options_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = ["x", "", "-1", "1.5", "4294967296", "99999999999999999999", "0x10", "5s"];
    let lines: [(&str, &[&str], &str); 9] = [
        ("ovs-vsctl", &["--timeout={}", "show"], "value {} on -t or --timeout is invalid"),
        ("vtep-ctl", &["-t", "{}", "show"], "value {} on -t or --timeout is invalid"),
        ("ovs-appctl", &["-T", "{}", "version"], "value {} on -T or --timeout is invalid"),
        ("ovs-ofctl", &["-t", "{}", "show", "br0"], "value {} on -t or --timeout is invalid"),
        ("ovs-dpctl", &["-t", "{}", "show"], "value {} on -t or --timeout is invalid"),
        ("ovsdb-client", &["-t", "{}", "list-dbs"], "value {} on -t or --timeout is invalid"),
        (
            "ovs-testcontroller",
            &["--max-idle={}", "punix:s"],
            "--max-idle argument must be between 1 and 65535 or the word 'permanent'",
        ),
        (
            "ovs-testcontroller",
            &["--queue={}", "punix:s"],
            "--queue: {} is not a number from 0 to 4294967295",
        ),
        (
            "ovs-testcontroller",
            &["--port-queue=p:{}", "punix:s"],
            "argument to -Q or --port-queue should take the form \"<port-name>:<queue-id>\"",
        ),
    ];
    for (name, words, expected) in lines {
        for number in numbers {
            let words: Vec<String> = words.iter().map(|word| word.replace("{}", number)).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let said = refused(dir.path(), name, &words);
            assert_eq!(said, (1, format!("{name}: {}\n", expected.replace("{}", number))), "{words:?}");
        }
    }
}

#[test]
fn a_daemon_that_cannot_start_says_why_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    for (name, target) in
        [("ovs-vswitchd", "unix:db"), ("ovsdb-server", "conf.db"), ("ovs-testcontroller", "punix:s")]
    {
        for (option, expected) in [
            ("--pidfile=/none/x", "/none/x.tmp: create failed (No such file or directory)"),
            ("--log-file=/none/x", "failed to open /none/x for logging: No such file or directory"),
            ("--unixctl=/none/x", "/none/x: could not initialize control socket (No such file or directory)"),
            ("--user=nobody-of-this-name", "user nobody-of-this-name not found, aborting."),
            ("--user=root:no-such-group", "group no-such-group not found, aborting."),
            ("-vfoo:bar:baz", "processing \"foo:bar:baz\": no destination, level, or module \"foo\""),
            ("--syslog-method=foo", "unsupported syslog method 'foo'"),
            ("--syslog-target=foo", "failed to open foo for logging: "),
        ] {
            for words in [&[option, target][..], &["--detach", option, target][..]] {
                let (status, said) = refused(dir.path(), name, words);
                assert_eq!(status, 1, "{name} {words:?}: {said}");
                assert!(said.contains(&format!("{name}: {expected}")), "{name} {words:?}: {said}");
                assert!(!said.contains("os error"), "{name} {words:?}: {said}");
            }
        }
    }
}

#[test]
fn a_collector_of_system_logs_gets_what_the_system_log_gets() {
    let dir = tempfile::tempdir().unwrap();
    let collector = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(end_to_end::LIMIT)).unwrap();
    let address = collector.local_addr().unwrap();
    create(dir.path());
    for option in ["--syslog-target=", "--syslog-method=udp:"] {
        let option = format!("{option}{address}");
        let mut server = program(dir.path(), "ovsdb-server");
        server.args([&option, "conf.db"]).current_dir(dir.path()).stderr(Stdio::null());
        let _server = Server(server.spawn().unwrap());
        let mut buffer = [0; 2000];
        let len = collector.recv(&mut buffer).unwrap();
        let line = std::str::from_utf8(&buffer[..len]).unwrap();
        assert!(line.contains("ovsdb-server (Open vSwitch)"), "{line}");
        assert_eq!(line.contains(">1 "), option.starts_with("--syslog-target"), "{line}");
    }
}
