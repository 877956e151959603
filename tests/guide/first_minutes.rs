//! The first minutes: the lines that the programs and the README give to newcomers work unchanged, on a machine
//! where nothing of ours has been yet; and what is missing is named.

use std::path::Path;
use std::process::Command;

use end_to_end::{Output, Programs, World, can_run, run};

/// One line typed, and what came of it.
#[derive(Debug)]
struct Typed {
    line: String,
    status: i32,
    output: String,
}

/// Types lines into one shell, one by one, on a machine of its own: its network, its processes, an empty /run and
/// /var/log, and no /etc/openvswitch. The directory has `target/bin`, as a checkout has after a build.
fn type_lines(dir: &Path, before: &str, lines: &[String]) -> Vec<Typed> {
    const SHELL: &str = r#"
        set -e
        mkdir etc && cp -a /etc/. etc/ 2>/dev/null || true
        rm -rf etc/openvswitch
        mount --bind etc /etc
        mount -t tmpfs fresh /run
        mount -t tmpfs fresh /var/log
        ip link set lo up
        set +e
        . ./before
        for typed in lines/*; do
            number=${typed#lines/}
            eval "$(cat "$typed")" > output/$number 2>&1 < /dev/null
            echo $? > status/$number
        done
    "#;
    for sub in ["lines", "output", "status", "target"] {
        std::fs::create_dir(dir.join(sub)).unwrap();
    }
    let programs = Programs::Ours.path("ovs").parent().unwrap().to_owned();
    std::os::unix::fs::symlink(programs, dir.join("target/bin")).unwrap();
    std::fs::write(dir.join("before"), before).unwrap();
    let file = |sub: &str, number: usize| dir.join(sub).join(format!("{number:03}"));
    for (number, line) in lines.iter().enumerate() {
        std::fs::write(file("lines", number), line).unwrap();
    }
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", SHELL]);
    for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
        shell.env_remove(variable);
    }
    let done = run(shell.current_dir(dir));
    let typed = lines.iter().enumerate().map(|(number, line)| {
        let read = |sub: &str| std::fs::read_to_string(file(sub, number)).unwrap_or_default();
        let status = read("status").trim().parse().unwrap_or(-1);
        Typed { line: line.clone(), status, output: read("output") }
    });
    let typed: Vec<Typed> = typed.collect();
    assert_eq!(done.status, 0, "{done:?}\n{typed:#?}");
    typed
}

#[track_caller]
fn all_worked(typed: &[Typed]) {
    for line in typed {
        assert_eq!(line.status, 0, "{line:#?}\nall: {typed:#?}");
    }
}

/// The lines that a text sets off for typing.
fn set_off(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// The README without its fenced blocks, and those blocks: the first is what one reads, the others what one sees.
fn readme() -> (String, Vec<String>) {
    let whole = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    for (number, part) in whole.split("```").enumerate() {
        match part.strip_prefix("text\n") {
            Some(block) if number % 2 == 1 => blocks.push(block.to_owned()),
            _ => {
                assert_eq!(number % 2, 0, "a fenced block that is no output: {part}");
                prose.push_str(part);
            }
        }
    }
    (prose, blocks)
}

/// Stands in for cargo, where the programs are built already, and for what installs it.
const BUILT_ALREADY: &str = r#"
    cargo() {
        case "$1 $2" in
            "xtask build" | "xtask test") true ;;
            "xtask up" | "xtask demo" | "xtask down") "$PWD/target/bin/ovs" "$2" ;;
            *) echo "cargo $*: the README has a line that this test does not know"; false ;;
        esac
    }
    apt-get() { [ "$1" = update ] || [ "$1" = install ]; }
"#;

#[test]
fn the_lines_of_the_readme_work_one_by_one() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let (prose, blocks) = readme();
    let [said_by_up, shown] = &blocks[..] else { panic!("{blocks:#?}") };
    let mut lines = set_off(&prose);
    let up = lines.iter().position(|line| line.starts_with("cargo xtask up")).expect("a line that starts it");
    let next = set_off(said_by_up).into_iter().filter(|line| line != "ovs down");
    lines.splice(up + 1..up + 1, next);
    for needed in ["cargo xtask up", "ovsdb-tool create", "ovs-vswitchd --pidfile", "ovs-ctl start"] {
        assert!(lines.iter().any(|line| line.contains(needed)), "{needed} is not in {lines:#?}");
    }
    let typed = type_lines(world.dir.path(), BUILT_ALREADY, &lines);
    all_worked(&typed);
    assert_eq!(&typed[up].output, said_by_up);
    let shows: Vec<&Typed> = typed.iter().filter(|typed| typed.line == "ovs-vsctl show").collect();
    let [first, .., last] = &shows[..] else { panic!("{shows:#?}") };
    // The root's UUID is of this database alone, and so is the order of the ports, which is that of their UUIDs.
    let rows = |text: &str| {
        let mut blocks: Vec<String> = text.split("        Port ").skip(1).map(str::to_owned).collect();
        blocks.sort();
        (text.lines().next().map(str::len), text.lines().nth(1).map(str::to_owned), blocks)
    };
    assert_eq!(rows(&first.output), rows(shown));
    assert!(last.output.contains("Port wire0") && !last.output.contains("error"), "{last:?}");
}

/// Types `up` as it is, and then what the answer to it says.
#[track_caller]
fn up_and_what_it_says(up: &str, before: &str) -> Vec<Typed> {
    let said = {
        let world = World::new();
        let typed = type_lines(world.dir.path(), before, &[up.to_owned()]);
        all_worked(&typed);
        // The other directory has another name.
        typed[0].output.replace(&world.dir.path().display().to_string(), "$PWD")
    };
    let mut lines = vec![up.to_owned()];
    lines.extend(set_off(&said));
    let down = lines.pop().unwrap();
    assert!(down.ends_with(" down"), "{said}");
    let log = said.split("Its log is ").nth(1).and_then(|text| text.split(".\n").next()).unwrap_or_default();
    lines.push(format!("grep -q 'bridge br0: using datapath ID' {log}"));
    lines.push(down);
    let world = World::new();
    let typed = type_lines(world.dir.path(), before, &lines);
    all_worked(&typed);
    typed
}

#[test]
fn what_up_says_next_works_as_it_stands() {
    if !can_run() {
        return;
    }
    let typed = up_and_what_it_says("target/bin/ovs up", "");
    assert_eq!(typed[1].line, "export PATH=$PWD/target/bin:$PATH");
    assert!(typed.iter().any(|typed| typed.line.starts_with("ip link add port1 ")), "{typed:#?}");
    let shown = typed.iter().find(|typed| typed.line == "ovs-vsctl show").unwrap();
    assert!(shown.output.contains("Port port1") && !shown.output.contains("error"), "{shown:?}");
}

#[test]
fn what_up_says_next_fits_the_shell_that_it_is_typed_into() {
    if !can_run() {
        return;
    }
    let before = "export OVS_RUNDIR=$PWD/r OVS_DBDIR=$PWD/d OVS_LOGDIR=$PWD/l; PATH=$PWD/target/bin:$PATH\n\
                  ip link add port1 type veth peer name other";
    let typed = up_and_what_it_says("ovs up", before);
    assert_eq!(typed[1].line, "export OVS_RUNDIR=$PWD/r OVS_DBDIR=$PWD/d OVS_LOGDIR=$PWD/l");
    assert_eq!(typed[2].line, "ovs-vsctl --may-exist add-br br0");
    assert!(typed[3].line.starts_with("ip link add port2 "), "port1 is taken: {typed:#?}");
}

#[test]
fn a_start_that_fails_shows_what_the_log_says() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let lines = ["mkdir -p /etc/openvswitch", "echo rubbish > /etc/openvswitch/conf.db", "target/bin/ovs up"];
    let typed = type_lines(world.dir.path(), "", &lines.map(str::to_owned));
    let up = &typed[2];
    assert_eq!(up.status, 1, "{up:?}");
    assert!(up.output.starts_with("ovs: up: the switch ended at once (exit status: 1); its log "), "{up:?}");
    assert!(up.output.contains("/var/log/openvswitch/ovs-vswitchd.log says:\n"), "{up:?}");
    assert!(up.output.contains("/etc/openvswitch/conf.db: unexpected file format"), "{up:?}");
}

#[test]
fn the_demo_runs_beside_devices_of_its_names() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let devices = "for name in eth0 vm1 tap1.0 ovsbr0; do ip link add $name type veth; done";
    let typed = type_lines(world.dir.path(), "", &[devices.to_owned(), "target/bin/ovs demo".to_owned()]);
    all_worked(&typed);
    assert!(typed[1].output.ends_with("Every case came out as it should.\n"), "{typed:#?}");
}

/// A program of ours with the directories under `dir`, which need not exist.
fn program(dir: &Path, name: &str, words: &[&str]) -> Output {
    let mut command = Command::new(Programs::Ours.path(name));
    for (variable, sub) in [("OVS_RUNDIR", "run"), ("OVS_DBDIR", "db"), ("OVS_LOGDIR", "log")] {
        command.env(variable, dir.join(sub));
    }
    run(command.args(words))
}

/// The lines of standard error that are not the log's.
fn messages(output: &Output) -> Vec<&str> {
    output.err.lines().filter(|line| !line.starts_with("20")).collect()
}

#[test]
fn every_command_says_what_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let listing = program(dir.path(), "ovs", &["--help"]).ok();
    let commands: Vec<&str> = listing
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| !matches!(*word, "ovs" | "") && !word.starts_with(' '))
        .collect();
    assert!(commands.len() > 20, "{listing}");
    for name in commands {
        let mut texts = Vec::new();
        for words in [&[name, "--help"][..], &[name, "-h"], &["help", name]] {
            let output = program(dir.path(), "ovs", words);
            assert_eq!((output.status, output.err.as_str()), (0, ""), "{words:?}");
            assert!(output.out.to_lowercase().contains("usage"), "{words:?}: {output:?}");
            texts.push(output.out);
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{name}: {texts:?}");
    }
}

#[test]
fn unknown_words_are_answered_with_the_nearest_known_one() {
    let dir = tempfile::tempdir().unwrap();
    for (name, words, first, hint) in [
        ("ovs", &["vsclt"][..], "ovs: unknown command 'vsclt'; use --help for help", "vsctl"),
        ("ovs-vsctl", &["ad-br", "x"], "ovs-vsctl: unknown command 'ad-br'; use --help for help", "add-br"),
        ("ovs-vsctl", &["list", "Brige"], "ovs-vsctl: unknown table \"Brige\"", "Bridge"),
        ("ovs-vsctl", &["--tiemout=3", "show"], "ovs-vsctl: unrecognized option '--tiemout'", "--timeout"),
        (
            "ovs-vsctl",
            &["--", "--if-exist", "del-br", "x"],
            "ovs-vsctl: 'del-br' command has no '--if-exist' option",
            "--if-exists",
        ),
        ("vtep-ctl", &["ad-ps", "x"], "vtep-ctl: unknown command 'ad-ps'; use --help for help", "add-ps"),
        (
            "ovs-ofctl",
            &["dump-flow", "x"],
            "ovs-ofctl: unknown command 'dump-flow'; use --help for help",
            "dump-flows",
        ),
        ("ovs-ofctl", &["parse-flow", "actions=ouput:1"], "ovs-ofctl: unknown action ouput", "output"),
        (
            "ovs-ofctl",
            &["parse-flow", "tcp,tp_dts=2,actions=drop"],
            "ovs-ofctl: unknown keyword tp_dts",
            "tp_dst",
        ),
        (
            "ovs-ofctl",
            &["parse-flow", "pirority=2,actions=drop"],
            "ovs-ofctl: unknown keyword pirority",
            "priority",
        ),
        (
            "ovs-dpctl",
            &["dump-flow"],
            "ovs-dpctl: unknown command 'dump-flow'; use --help for help",
            "dump-flows",
        ),
        (
            "ovsdb-client",
            &["list-db"],
            "ovsdb-client: unknown command 'list-db'; use --help for help",
            "list-dbs",
        ),
        ("ovsdb-tool", &["creat"], "ovsdb-tool: unknown command 'creat'; use --help for help", "create"),
        ("ovs-pki", &["ini"], "ovs-pki: ini command unknown; use --help for help", "init"),
        ("brctl", &["adbr", "x"], "never heard of command [adbr]", "addbr"),
        ("ovs-ctl", &["strat"], "ovs-ctl: unknown command \"strat\" (use --help for help)", "start"),
    ] {
        let output = program(dir.path(), name, words);
        assert_eq!(output.status, 1, "{name} {words:?}: {output:?}");
        let lines = messages(&output);
        assert_eq!(lines, [first, &format!("Did you mean '{hint}'?")], "{name} {words:?}");
    }
    // Nothing is guessed where nothing is near.
    assert_eq!(messages(&program(dir.path(), "ovs-vsctl", &["xyzzy"])).len(), 1);
}

#[test]
fn unknown_words_are_known_to_what_runs_too() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let cases = [
        (
            "ovs-appctl ofproto/trce br0 in_port=1",
            "\"ofproto/trce\" is not a valid command (",
            "ofproto/trace",
        ),
        ("ovs-appctl -t ovsdb-server vlog/lst", "\"vlog/lst\" is not a valid command (", "vlog/list"),
        (
            "ovs-vsctl get bridge bridge1 datapath_idd",
            "ovs-vsctl: Bridge does not contain a column",
            "datapath_id",
        ),
        (
            "ovs-vsctl set bridge bridge1 fail_moed=secure",
            "ovs-vsctl: Bridge does not contain a column",
            "fail_mode",
        ),
        ("ovs-ofctl show brigde1", "ovs-ofctl: brigde1 is not a bridge or a socket", "bridge1"),
        (
            "ovs-ofctl add-flow bridge1 dl_scr=1:2:3:4:5:6,actions=drop",
            "ovs-ofctl: unknown keyword dl_scr",
            "dl_src",
        ),
        (
            "ovs-appctl ofproto/trace bridge1 in_prt=1",
            "Bad openflow flow syntax: in_prt=1: unknown field in_prt\nDid",
            "in_port",
        ),
    ];
    let mut lines = vec!["target/bin/ovs up", "PATH=$PWD/target/bin:$PATH", "ovs-vsctl add-br bridge1"];
    lines.extend(cases.map(|(line, _, _)| line));
    lines.push("ovs down");
    let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    let typed = type_lines(world.dir.path(), "", &lines);
    all_worked(&typed[..3]);
    for (typed, (line, first, hint)) in typed[3..].iter().zip(cases) {
        assert_ne!(typed.status, 0, "{typed:?}");
        assert!(typed.output.starts_with(first), "{line}: {typed:?}");
        assert!(typed.output.contains(&format!("\nDid you mean '{hint}'?\n")), "{line}: {typed:?}");
    }
}

#[test]
fn a_daemon_that_does_not_run_is_named_with_what_starts_it() {
    let dir = tempfile::tempdir().unwrap();
    let rundir = dir.path().join("run").display().to_string();
    std::fs::create_dir(&rundir).unwrap();
    let socket = format!("{rundir}/db.sock");
    let switch_pidfile = format!("{rundir}/ovs-vswitchd.pid");
    let cases = [
        (
            "ovs-vsctl",
            &["show"][..],
            format!("ovs-vsctl: unix:{socket}: database connection failed (No such file or directory)"),
            "ovsdb-server",
        ),
        (
            "ovsdb-client",
            &["list-dbs"],
            format!("ovsdb-client: failed to connect to \"unix:{socket}\" (No such file or directory)"),
            "ovsdb-server",
        ),
        (
            "ovs-appctl",
            &["fdb/show", "br0"],
            format!("ovs-appctl: cannot read pidfile \"{switch_pidfile}\" (No such file or directory)"),
            "ovs-vswitchd",
        ),
        (
            "ovs-ofctl",
            &["show", "br0"],
            "ovs-ofctl: br0 is not a bridge or a socket".to_owned(),
            "ovs-vswitchd",
        ),
    ];
    for (name, words, first, daemon) in cases {
        let output = program(dir.path(), name, words);
        assert_eq!(output.status, 1, "{output:?}");
        let lines = messages(&output);
        let hint = format!("{daemon} is not running in {rundir}: '");
        assert!(lines.len() == 2 && lines[0] == first && lines[1].starts_with(&hint), "{lines:?}");
        assert!(lines[1].ends_with("ctl start' starts it."), "{lines:?}");
    }
    // A socket that the user named is the user's business.
    let other = program(dir.path(), "ovs-vsctl", &["--db=unix:foo", "show"]);
    assert_eq!(
        messages(&other),
        ["ovs-vsctl: unix:foo: database connection failed (No such file or directory)"]
    );
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let made = tempfile::tempdir().unwrap();
    let missing = |sub: &str| {
        let path = dir.path().join(sub).display().to_string();
        format!("The directory {path} does not exist: 'mkdir -p {path}' makes it.")
    };
    let pidfile = format!("--pidfile={}/x.pid", made.path().display());
    for (name, words, sub) in [
        ("ovsdb-tool", &["create"][..], "db"),
        ("ovs-vswitchd", &["--pidfile"], "run"),
        ("ovs-vswitchd", &[&pidfile], "run"),
        ("ovsdb-server", &["--pidfile"], "run"),
        ("ovsdb-server", &["--log-file"], "log"),
        ("ovsdb-server", &[&pidfile], "db"),
        ("ovs-testcontroller", &["ptcp:0:127.0.0.1", &pidfile], "run"),
    ] {
        let output = program(dir.path(), name, words);
        assert_eq!(output.status, 1, "{name} {words:?}: {output:?}");
        assert_eq!(messages(&output).last(), Some(&missing(sub).as_str()), "{name} {words:?}: {output:?}");
    }
}

#[test]
fn a_timeout_that_passes_says_what_was_waited_for() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let dir = world.dir.path();
    let rundir = dir.join("run");
    std::fs::create_dir(&rundir).unwrap();
    std::fs::create_dir(dir.join("db")).unwrap();
    // A socket that takes connections and says nothing.
    let mute = rundir.join("mute");
    let _listener = std::os::unix::net::UnixListener::bind(&mute).unwrap();
    let unix = format!("unix:{}", mute.display());
    let (target, db) = (mute.display().to_string(), format!("--db={unix}"));
    for (name, words, what) in [
        ("ovs-vsctl", &["-t1", &db, "show"][..], format!("an answer of the database at {unix}")),
        ("vtep-ctl", &["-t1", &db, "show"], format!("an answer of the database at {unix}")),
        ("ovs-appctl", &["-T1", "-t", &target, "version"], format!("the answer of {target} to \"version\"")),
        ("ovs-ofctl", &["-t1", "show", &unix], format!("a connection to {unix}")),
        ("ovsdb-client", &["-t1", "list-dbs", &unix], format!("{unix} to answer \"list-dbs\"")),
    ] {
        let words: Vec<&str> = words.to_vec();
        let shell = format!(
            "{} {}; echo $?",
            Programs::Ours.path(name).display(),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
        );
        let output = run(Command::new("bash").args(["-c", &shell]).env("OVS_RUNDIR", &rundir));
        assert_eq!(output.out, "142\n", "it dies of SIGALRM: {output:?}");
        let line = format!("{name}: 1 second passed (--timeout) while waiting for {what}");
        assert!(output.err.lines().any(|said| said == line), "{line} is missing: {output:?}");
    }
}

#[test]
fn a_change_that_nobody_carries_out_says_who_is_missing() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let lines = [
        "mkdir -p /run/openvswitch /etc/openvswitch",
        "PATH=$PWD/target/bin:$PATH",
        "ovsdb-tool create /etc/openvswitch/conf.db",
        "ovsdb-server --remote=punix:/var/run/openvswitch/db.sock --pidfile --detach",
        "ovs-vsctl --timeout=4 add-br br0",
    ];
    let typed = type_lines(world.dir.path(), "", &lines.map(str::to_owned));
    all_worked(&typed[..4]);
    let last = &typed[4];
    assert_eq!(last.status, 142, "{last:?}");
    let hint = "ovs-vswitchd is not running in /var/run/openvswitch: 'ovs-ctl start' starts it.";
    for line in [
        "ovs-vsctl: the database has the change; waiting for the switch",
        hint,
        &format!(
            "ovs-vsctl: 4 seconds passed (--timeout) while waiting for ovs-vswitchd to do what the database says; {hint}"
        ),
    ] {
        assert!(last.output.lines().any(|said| said == line), "{line} is missing: {last:?}");
    }
}

#[test]
fn rights_and_device_files_that_are_missing_are_named() {
    if !can_run() {
        return;
    }
    for (deprive, words, error) in [
        (
            "setpriv --bounding-set=-net_admin --inh-caps=-net_admin",
            "ovs-vswitchd lacks CAP_NET_ADMIN",
            "Operation not permitted; ovs-vswitchd lacks CAP_NET_ADMIN",
        ),
        (
            "unshare --mount sh -c 'mount -t tmpfs none /dev/net && exec \"$@\"' sh",
            "ovs-vswitchd lacks /dev/net/tun",
            "No such file or directory; it takes /dev/net/tun, which cannot be opened: 'modprobe tun' loads its driver",
        ),
    ] {
        let world = World::new();
        let lines = [
            "mkdir -p /run/openvswitch /etc/openvswitch /var/log/openvswitch".to_owned(),
            "PATH=$PWD/target/bin:$PATH".to_owned(),
            "ovsdb-tool create /etc/openvswitch/conf.db".to_owned(),
            "ovsdb-server --remote=punix:/var/run/openvswitch/db.sock --pidfile --detach".to_owned(),
            "ovs-vsctl --no-wait init".to_owned(),
            format!("{deprive} ovs-vswitchd --pidfile --log-file --detach"),
            "ovs-vsctl --timeout=20 add-br br0".to_owned(),
            "ovs-vsctl get interface br0 error".to_owned(),
            format!("grep -q '|vswitchd|WARN|{words}: ' /var/log/openvswitch/ovs-vswitchd.log"),
        ];
        let typed = type_lines(world.dir.path(), "", &lines);
        all_worked(&typed[..6]);
        assert_eq!(typed[6].status, 65, "the port is not there: {typed:#?}");
        let expected = format!("could not open network device br0 ({error})");
        assert!(typed[7].output.contains(&expected), "{expected}: {typed:#?}");
        assert_eq!(typed[8].status, 0, "{typed:#?}");
    }
}
