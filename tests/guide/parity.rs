//! The guide's commands with our programs and with Debian's, in both
//! directions: the same text and the same exit status as Debian's pair.

use end_to_end::{Output, Programs, Switch, World, can_run};

/// The commands, in the order in which they are run on a fresh switch.
///
/// Not here is `nw_src=ANY`: the guide wants it, and Debian's version refuses it (see `flow_rules.rs`).
const COMMANDS: &[(&str, &[&str])] = &[
    // Without a kernel datapath the reference cannot make a bridge of the default type.
    ("ovs-vsctl", &["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"]),
    ("ovs-vsctl", &["add-br", "br0"]),
    ("ovs-vsctl", &["--may-exist", "add-br", "br0"]),
    ("ovs-vsctl", &["list-br"]),
    ("ovs-vsctl", &["br-exists", "br0"]),
    ("ovs-vsctl", &["br-exists", "br9"]),
    ("ovs-vsctl", &["add-port", "br0", "p1"]),
    ("ovs-vsctl", &["add-port", "br0", "p1"]),
    ("ovs-vsctl", &["add-port", "br9", "p2"]),
    ("ovs-vsctl", &["add-port", "br0", "p2", "tag=7"]),
    ("ovs-vsctl", &["list-ports", "br0"]),
    ("ovs-vsctl", &["port-to-br", "p1"]),
    ("ovs-vsctl", &["port-to-br", "p9"]),
    ("ovs-vsctl", &["get", "port", "p2", "tag"]),
    ("ovs-vsctl", &["set", "port", "p2", "tag=5000"]),
    ("ovs-vsctl", &["set", "port", "p2", "colour=red"]),
    ("ovs-vsctl", &["get", "bridge", "br0", "fail_mode"]),
    ("ovs-vsctl", &["set-fail-mode", "br0", "secure"]),
    ("ovs-vsctl", &["get-fail-mode", "br0"]),
    ("ovs-vsctl", &["del-fail-mode", "br0"]),
    ("ovs-vsctl", &["frobnicate"]),
    ("ovs-vsctl", &["--no-wait", "init"]),
    ("ovs-vsctl", &["show"]),
    ("ovs-vsctl", &["set", "bridge", "br0", "datapath_type=netdev"]),
    ("ovs-vsctl", &["--if-exists", "get", "interface", "p1", "ofport", "error", "link_state"]),
    (
        "ovs-vsctl",
        &[
            "--",
            "--id=@sflow",
            "create",
            "sflow",
            "agent=lo",
            "target=\"127.0.0.1:6343\"",
            "header=128",
            "sampling=64",
            "polling=1",
            "--",
            "set",
            "bridge",
            "br0",
            "sflow=@sflow",
        ],
    ),
    ("ovs-vsctl", &["clear", "bridge", "br0", "sflow"]),
    ("ovs-ofctl", &["show", "br0"]),
    ("ovs-ofctl", &["dump-ports", "br0"]),
    ("ovs-ofctl", &["dump-ports", "br0", "p1"]),
    ("ovs-ofctl", &["dump-ports-desc", "br0"]),
    ("ovs-ofctl", &["-O", "OpenFlow14", "dump-ports-desc", "br0", "p2"]),
    ("ovs-ofctl", &["mod-port", "br0", "p2", "no-flood"]),
    ("ovs-ofctl", &["mod-port", "br0", "p9", "up"]),
    ("ovs-ofctl", &["dump-desc", "br0"]),
    ("ovs-ofctl", &["dump-tables", "br0"]),
    ("ovs-ofctl", &["probe", "br0"]),
    ("ovs-ofctl", &["dump-flows", "br0"]),
    ("ovs-appctl", &["fdb/show", "br0"]),
    ("ovs-appctl", &["dpif/show"]),
    ("ovs-appctl", &["ofproto/list"]),
    (
        "ovs-appctl",
        &[
            "ofproto/trace",
            "br0",
            "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,dl_type=0x1234",
        ],
    ),
    ("ovs-appctl", &["dpctl/dump-flows"]),
    ("ovs-ofctl", &["dump-flows", "br0", "--no-stats"]),
    ("ovs-ofctl", &["add-flow", "br0", "idle_timeout=0,in_port=2,actions=drop"]),
    (
        "ovs-ofctl",
        &["add-flow", "br0", "priority=5,tcp,tp_dst=80,actions=mod_dl_dst:02:00:00:00:00:01,output:1"],
    ),
    ("ovs-ofctl", &["add-flow", "br0", "dl_type=*,nw_src=*,priority=1,actions=drop"]),
    ("ovs-ofctl", &["add-flow", "br0", "tp_dst=80,actions=frob"]),
    ("ovs-ofctl", &["add-flow", "br0", "ip,nw_src=ten,actions=drop"]),
    ("ovs-ofctl", &["--sort", "--no-stats", "dump-flows", "br0"]),
    ("ovs-ofctl", &["del-flows", "br0", "in_port=2"]),
    ("ovs-ofctl", &["--sort", "--no-stats", "dump-flows", "br0"]),
    ("ovs-ofctl", &["dump-flows", "br0"]),
    ("ovs-ofctl", &["dump-aggregate", "br0"]),
    (
        "ovs-vsctl",
        &[
            "--timeout=5",
            "--",
            "--if-exists",
            "del-port",
            "p2",
            "--",
            "add-port",
            "br0",
            "p2",
            "--",
            "set",
            "Interface",
            "p2",
            "external-ids:attached-mac=\"52:54:00:00:00:02\"",
        ],
    ),
    ("ovs-vsctl", &["--timeout=5", "get", "Interface", "p2", "name"]),
    ("ovs-ofctl", &["dump-ports", "br9"]),
    ("ovs-appctl", &["fdb/flush", "br9"]),
    ("ovs-appctl", &["no/such-command"]),
    ("ovs-vsctl", &["del-port", "br0", "p1"]),
    ("ovs-vsctl", &["del-port", "br0", "p1"]),
    ("ovs-vsctl", &["--if-exists", "del-port", "br0", "p1"]),
    ("ovs-vsctl", &["del-br", "br0"]),
    ("ovs-vsctl", &["del-br", "br0"]),
];

/// Every command's answer, with what must differ made alike.
fn answers(daemons: Programs, clients: Programs) -> Vec<(String, Output)> {
    let world = World::new();
    let host = world.host("sw");
    for port in ["p1", "p2"] {
        host.ok(&format!("ip link add {port} type veth peer name {port}x"));
    }
    let switch = Switch::start(&world, &host, "sw", daemons);
    let alike = |text: String| normal(&text, &switch);
    COMMANDS
        .iter()
        .map(|(program, words)| {
            let timeout = if *program == "ovs-vsctl" { vec!["--timeout=10"] } else { Vec::new() };
            let words: Vec<&str> = timeout.into_iter().chain(words.iter().copied()).collect();
            let output = switch.ctl_of(clients, program, &words);
            let output = Output { out: alike(output.out), err: alike(output.err), ..output };
            (format!("{program} {}", words.join(" ")), output)
        })
        .collect()
}

/// Names of directories and process ids, transaction ids and UUIDs differ between any two runs.
fn normal(text: &str, switch: &Switch) -> String {
    let text = text.replace(&switch.dir.display().to_string(), "DIR");
    // What the later version says otherwise.
    let text = text.replace("Software: 3.1.0", "Software: 4.0.0").replace(" port  VLAN", " Port  VLAN");
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<String> = line.split(' ').map(normal_word).collect();
        // A log line on the console begins with its time.
        if !line.contains("|WARN|") && !line.contains("|INFO|") && !line.contains("|ERR|") {
            out.push_str(&words.join(" "));
            out.push('\n');
        }
    }
    let mut lines: Vec<&str> = out.lines().collect();
    if ["Interface", "cookie=", "pkts="].iter().any(|word| text.contains(word)) {
        // The order of ports and rules in a listing follows hashes.
        lines.sort_unstable();
    }
    lines.join("\n")
}

fn normal_word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is_uuid = bare.len() == 36 && bare.matches('-').count() == 4;
    if is_uuid {
        return word.replace(bare, "UUID");
    }
    if let Some(at) = word.find("(xid=0x") {
        return format!("{}(xid):", &word[..at]);
    }
    // Times, random addresses, and counters of devices that hear their own start.
    for name in
        ["duration=", "addr:", "dpid:", "pkts=", "bytes=", "drop=", "lookup=", "matched=", "idle_age="]
    {
        if let Some((before, value)) = word.split_once(name) {
            let rest = value.trim_start_matches(|c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
            return if rest.len() == value.len() {
                word.to_owned()
            } else {
                format!("{before}{name}N{rest}")
            };
        }
    }
    word.to_owned()
}

#[test]
fn both_directions_answer_as_the_reference_does() {
    if !can_run() {
        return;
    }
    let expected = answers(Programs::Reference, Programs::Reference);
    let mut wrong = Vec::new();
    for (daemons, clients) in [
        (Programs::Ours, Programs::Reference),
        (Programs::Reference, Programs::Ours),
        (Programs::Ours, Programs::Ours),
    ] {
        for ((command, reference), (_, ours)) in expected.iter().zip(answers(daemons, clients)) {
            if *reference != ours {
                wrong.push(format!(
                    "{command} ({daemons:?} daemons, {clients:?} client)\n  reference: {reference:?}\n  this pair: {ours:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}
