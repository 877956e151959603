//! `ovs collect --top`, and what `ovs collect flows` makes of what it receives.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use end_to_end::{Programs, can_run, run, until};

use super::netflow::{Collector, Ended, Network};

const PINGS: u64 = 10;
/// Of IP, in a ping with nothing asked for.
const PING_BYTES: u64 = 84;
const IPFIX_PORT: u16 = 4739;

/// Each packet is told of once.
const IPFIX: &str = "-- --id=@ix create IPFIX targets=\"172.16.18.18\" sampling=1 \
                     other_config:enable-output-sampling=false -- set bridge br0 ipfix=@ix";

fn ours(network: &Network, args: &[&str]) -> Command {
    let mut command = network.collector.command(Programs::Ours.path("ovs"));
    command.arg("collect").args(args);
    command
}

fn listens(network: &Network, port: u16) {
    until("a collector listens", || network.collector.ok("ss -ulnH").contains(&format!(":{port} ")));
}

/// Packets and bytes by name, as `--json` has them.
fn rows(text: &str) -> BTreeMap<String, (u64, u64)> {
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| row[name].as_u64().unwrap();
        (row["name"].as_str().unwrap().to_owned(), (number("packets"), number("bytes")))
    };
    text.lines().map(row).collect()
}

fn output(child: Child) -> String {
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn those_who_talk_most_are_the_same_by_all_protocols() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    let ports = [6343, 2055, IPFIX_PORT];
    let tops = ports.map(|port| {
        let args = ["--top", "--once", "--json", "--by=pair", "-w", "15", "-p", &port.to_string()];
        ours(&network, &args).stdout(Stdio::piped()).spawn().unwrap()
    });
    ports.iter().for_each(|port| listens(&network, *port));
    network
        .switch
        .vsctl("-- --id=@s create sFlow targets=\"172.16.18.18\" sampling=1 -- set bridge br0 sflow=@s");
    network.switch.vsctl(
        "-- --id=@nf create NetFlow targets=\"172.16.18.18:2055\" active_timeout=1 -- set bridge br0 netflow=@nf",
    );
    network.switch.vsctl(IPFIX);
    network.a.ok(&format!("ping -q -c {PINGS} -i 0.05 10.1.0.2"));
    let tables = tops.map(|child| rows(&output(child)));
    for (table, frame) in tables.iter().zip([0, 14, 0]) {
        for pair in ["10.1.0.1 > 10.1.0.2", "10.1.0.2 > 10.1.0.1"] {
            // NetFlow counts frames.
            assert_eq!(table.get(pair), Some(&(PINGS, PINGS * (PING_BYTES + frame))), "{tables:#?}");
        }
    }
}

#[test]
fn what_was_received_can_be_kept_and_read_and_sent_again() {
    if !can_run() {
        return;
    }
    let network = Network::new(Programs::Ours);
    let file = network.world.dir.path().join("flows.pcap");
    let keep =
        ours(&network, &["flows", "-t"]).stdout(std::fs::File::create(&file).unwrap()).spawn().unwrap();
    let keeper = Ended(keep);
    listens(&network, IPFIX_PORT);
    network.switch.vsctl(IPFIX);
    network.a.ok(&format!("ping -q -c {PINGS} -i 0.05 10.1.0.2"));
    let path = file.to_str().unwrap();
    let read = |args: &[&str]| run(ours(&network, &["flows", "-r", path]).args(args)).ok();
    let pings = |text: &str| text.lines().filter(|line| line.contains("10.1.0.1,10.1.0.2,1,0,2048,")).count();
    until("all records are there", || pings(&read(&["-l"])) as u64 == PINGS);
    drop(keeper);
    let columns = read(&["-l"]);
    assert!(columns.starts_with("exporter,src,dst,protocol,"), "{columns}");
    let chosen = read(&["-L", "sourceIPv4Address,protocolIdentifier,nothing"]);
    assert!(chosen.lines().any(|line| line == "10.1.0.1,1,"), "{chosen}");

    let table = rows(&run(&mut ours(&network, &["--top", "-r", path, "-j", "--by=service"])).ok());
    assert!(table["icmp"].0 >= 2 * PINGS, "{table:?}");
    let text = run(&mut ours(&network, &["--top", "-r", path, "--by=source"])).ok();
    assert!(text.contains("SHARE") && text.contains("10.1.0.1"), "{text}");

    // nfcapd hears of the same packets by NetFlow.
    let collector = Collector::start(&network, 2055);
    read(&["-c", "172.16.18.18", "-d", "2055"]);
    let flows = collector.read();
    let sent = flows.iter().filter(|(name, _)| name.contains("10.1.0.1,0,10.1.0.2,"));
    let sums = sent.fold((0, 0), |sum, (_, (packets, bytes))| (sum.0 + packets, sum.1 + bytes));
    assert_eq!(sums, (PINGS, PINGS * PING_BYTES), "{flows:#?}");
}
