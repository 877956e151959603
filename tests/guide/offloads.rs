//! What a device cannot do by itself is done for it: traffic with any offload
//! switched off, on either side of a port, arrives whole and with right checksums.

use std::process::Stdio;

use end_to_end::{Host, Iperf, can_run, can_watch, until};

use crate::Pair;
use crate::netflow::Ended;

/// What devices can do, and what they are left with when it is off: `ethtool -K DEV FEATURE off`.
const FEATURES: [&str; 6] = ["tso", "gso", "gro", "tx", "sg", "txvlan"];

/// Bytes of one transfer. A path that loses every train of segments would need hours for them.
const BYTES: &str = "4M";

impl Pair {
    /// Both hosts get IPv6 addresses too, fd00::1 and fd00::2.
    fn with_ipv6(self) -> Pair {
        for (host, address) in [(&self.a, "fd00::1/64"), (&self.b, "fd00::2/64")] {
            host.ok("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
            host.ok(&format!("ip addr add {address} dev eth0 nodad"));
        }
        self
    }
}

/// TCP both ways, over IPv4 and IPv6.
#[track_caller]
fn transfers(server: &Iperf, from: &Host, what: &str, addresses: &[&str]) {
    for address in addresses {
        server.both_ways(from, address, BYTES, what);
    }
}

#[test]
fn tcp_flows_whatever_a_port_cannot_do() {
    if !can_run() {
        return;
    }
    let pair = Pair::new().with_ipv6();
    let server = Iperf::serve(&pair.b);
    for feature in FEATURES {
        pair.switch.host.ok(&format!("ethtool -K pb {feature} off"));
        transfers(&server, &pair.a, &format!("{feature} off on the port"), &["10.1.0.2", "fd00::2"]);
        pair.switch.host.ok(&format!("ethtool -K pb {feature} on"));
    }
}

#[test]
fn tcp_flows_whatever_a_guest_cannot_do() {
    if !can_run() {
        return;
    }
    let pair = Pair::new().with_ipv6();
    let server = Iperf::serve(&pair.b);
    for feature in FEATURES {
        pair.b.ok(&format!("ethtool -K eth0 {feature} off"));
        transfers(&server, &pair.a, &format!("{feature} off in the guest"), &["10.1.0.2", "fd00::2"]);
        pair.b.ok(&format!("ethtool -K eth0 {feature} on"));
    }
}

#[test]
fn tagged_tcp_keeps_its_tag_whatever_a_trunk_cannot_do() {
    if !can_run() {
        return;
    }
    // Two bridges with a wire between them that carries the tag.
    let pair = Pair::new();
    let (switch, host) = (&pair.switch, &pair.switch.host);
    host.wire("trunk0", "trunk1");
    switch.vsctl("set port pa tag=7 -- add-port ovsbr0 trunk0 trunks=7");
    switch
        .vsctl("del-port pb -- add-br ovsbr1 -- add-port ovsbr1 trunk1 trunks=7 -- add-port ovsbr1 pb tag=7");
    let server = Iperf::serve(&pair.b);
    for feature in FEATURES {
        for device in ["trunk0", "trunk1"] {
            host.ok(&format!("ethtool -K {device} {feature} off"));
        }
        transfers(&server, &pair.a, &format!("{feature} off on the trunk"), &["10.1.0.2"]);
        for device in ["trunk0", "trunk1"] {
            host.ok(&format!("ethtool -K {device} {feature} on"));
        }
    }
}

#[test]
fn a_port_that_sums_nothing_sends_right_checksums() {
    if !can_watch() {
        return;
    }
    let pair = Pair::new().with_ipv6();
    let server = Iperf::serve(&pair.b);
    pair.switch.host.ok("ethtool -K pb tx off");
    let file = pair.switch.dir.join("seen.pcap");
    let file = file.to_str().unwrap();
    let mut watch = pair.b.command("tcpdump");
    watch.args(["-i", "eth0", "-Q", "in", "-U", "-w", file, "tcp", "or", "udp"]);
    let mut watch = watch.stderr(Stdio::piped()).spawn().unwrap();
    // It says so on stderr when it has begun.
    use std::io::{BufRead, BufReader};
    let mut said = BufReader::new(watch.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    for address in ["10.1.0.2", "fd00::2"] {
        server.client(&pair.a, &format!("-c {address} -n 200K")).ok();
        server.client(&pair.a, &format!("-u -b 20M -c {address} -n 200K")).ok();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&watch), rustix::process::Signal::TERM)
        .unwrap();
    watch.wait().unwrap();
    let shown = pair.b.ok(&format!("tcpdump -nvv -r {file}"));
    assert!(shown.matches("cksum").count() > 100, "{shown}");
    assert!(!shown.contains("incorrect") && !shown.contains("bad udp"), "{shown}");
}

/// Sends trains of UDP datagrams that the device is to cut (`UDP_SEGMENT`), counts what arrives, and looks at each.
const UDP_TRAINS: &str = "
import socket, sys
role, address = sys.argv[1:3]
family = socket.AF_INET6 if ':' in address else socket.AF_INET
end = socket.socket(family, socket.SOCK_DGRAM)
if role == 'send':
    end.setsockopt(socket.IPPROTO_UDP, 103, 1000)
    end.connect((address, 7000))
    for train in range(5):
        end.send(b''.join(bytes([train, part]) * 500 for part in range(10)))
else:
    end.settimeout(10)
    end.bind((address, 7000))
    print('ready', flush=True)
    seen = set()
    while len(seen) < 50:
        data = end.recv(65536)
        assert len(data) == 1000 and data == data[:2] * 500, data[:20]
        seen.add(data[:2])
    print('whole', flush=True)
";

#[test]
fn trains_of_udp_are_cut_where_the_port_cannot() {
    if !can_run() {
        return;
    }
    let pair = Pair::new().with_ipv6();
    for features in ["tx-udp-segmentation on", "tx-udp-segmentation off", "tx off"] {
        pair.switch.host.ok(&format!("ethtool -K pb {features}"));
        for address in ["10.1.0.2", "fd00::2"] {
            use std::io::{BufRead, BufReader};
            let python = |role: &str| {
                let host = if role == "send" { &pair.a } else { &pair.b };
                let mut command = host.command("python3");
                command.args(["-c", UDP_TRAINS, role, address]).stdout(Stdio::piped());
                command.spawn().unwrap()
            };
            let mut receiver = python("receive");
            let mut lines = BufReader::new(receiver.stdout.take().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "ready");
            // The first train asks for the receiver's address; the path is to be known before.
            assert!(pair.a.reaches(address), "{address}");
            assert!(python("send").wait().unwrap().success());
            let whole = lines.next().and_then(Result::ok);
            receiver.wait().unwrap();
            assert_eq!(whole.as_deref(), Some("whole"), "{features} {address}");
        }
    }
}

#[test]
fn segments_of_a_guest_that_cuts_them_itself_are_merged_while_they_come() {
    if !can_run() {
        return;
    }
    let pair = Pair::new();
    let host = &pair.switch.host;
    let merges = || host.ok("ethtool -k pa").contains("generic-receive-offload: on");
    pair.a.ok("ethtool -K eth0 tx off");
    assert!(!merges());
    // Each has a server of its own: one that has not heard that its client is gone takes no other.
    let endless = || {
        let server = Iperf::serve(&pair.b);
        let mut command = pair.a.command("iperf3");
        let client = command.args(["-c", "10.1.0.2", "-n", "100G"]).stdout(Stdio::null()).spawn().unwrap();
        (Ended(client), server)
    };
    let sending = endless();
    until("the port merges", merges);
    drop(sending);
    until("the port is as it was", || !merges());

    // The port goes in the midst of it.
    let sending = endless();
    until("the port merges again", merges);
    pair.switch.vsctl("del-port pa");
    until("the device is as it was", || !merges());
    drop(sending);

    // Whoever has turned it on finds it on.
    host.ok("ethtool -K pa gro on");
    pair.switch.vsctl("add-port ovsbr0 pa");
    assert!(pair.a.reaches("10.1.0.2"));
    Iperf::serve(&pair.b).client(&pair.a, "-c 10.1.0.2 -n 40M").ok();
    pair.switch.vsctl("del-port pa");
    assert!(merges());
}
