//! TCP and UDP through a switch, with one offload off at a port or in a guest, beside a direct wire whose end lacks the
//! same.

use std::process::Stdio;

use end_to_end::{Host, Programs, Switch, World, until};

use crate::Wanted;
use crate::table::{Column, Table};

/// What `ethtool -K DEVICE FEATURE off` takes away.
const FEATURES: [&str; 6] = ["tso", "gso", "gro", "tx", "sg", "txvlan"];
const FAMILIES: [(&str, &str); 2] = [("IPv4", "10.1.0.2"), ("IPv6", "fd00::2")];
/// Bits a second that UDP is sent with, and bytes of each of its packets.
const UDP: (&str, u32) = ("1G", 1400);

/// Where an offload is off.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the port of the guest that serves; on a direct wire, at the other end of it.
    Port,
    /// In the guest that serves.
    Guest,
}

/// Gbit/s that arrive, for each offload that is off at either place, both ways.
pub(crate) fn measure(wanted: &Wanted, table: &mut Table) {
    each(None, wanted, table);
    for place in [Place::Port, Place::Guest] {
        for feature in FEATURES {
            each(Some((place, feature)), wanted, table);
        }
    }
}

/// Both ways of both families, over TCP and UDP, where one offload is off.
fn each(off: Option<(Place, &str)>, wanted: &Wanted, table: &mut Table) {
    let what = match off {
        None => "all offloads".to_owned(),
        Some((Place::Port, feature)) => format!("{feature} off at the port"),
        Some((Place::Guest, feature)) => format!("{feature} off in the guest"),
    };
    let pairs = [Column::Ours, Column::Other].map(|column| (column, Pair::new(column, off)));
    for (family, address) in FAMILIES {
        for (_, pair) in &pairs {
            assert!(pair.a.reaches(address), "{what}: {address} does not answer");
        }
        for (protocol, options) in [("TCP", String::new()), ("UDP", format!("-u -b {} -l {}", UDP.0, UDP.1))]
        {
            for (direction, reverse) in [("to it", ""), ("from it", "-R")] {
                for (column, pair) in &pairs {
                    let rate = pair.transfer(&format!("-c {address} {options} {reverse}"), wanted.seconds);
                    table.add(&format!("{what}: {protocol} over {family} {direction}"), *column, rate);
                }
            }
        }
    }
}

/// Two hosts that are joined by a switch, or by a wire.
struct Pair {
    a: Host,
    b: Host,
    _switch: Option<Switch>,
    _world: World,
}

impl Pair {
    fn new(column: Column, off: Option<(Place, &str)>) -> Pair {
        let world = World::new();
        let (a, b) = (world.host("a"), world.host("b"));
        let switch = match column {
            Column::Other => {
                world.wire(&a, "eth0", &b, "eth0");
                None
            }
            Column::Ours => {
                let middle = world.host("sw");
                world.wire(&middle, "pa", &a, "eth0");
                world.wire(&middle, "pb", &b, "eth0");
                let switch = Switch::start(&world, &middle, "sw", Programs::Ours);
                switch.vsctl("add-br br0 -- add-port br0 pa -- add-port br0 pb");
                Some(switch)
            }
        };
        for (n, host) in [(1, &a), (2, &b)] {
            host.address("eth0", &format!("10.1.0.{n}/16"));
            host.ok("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
            host.ok(&format!("ip addr add fd00::{n}/64 dev eth0 nodad"));
        }
        if let Some((place, feature)) = off {
            let (host, device) = match (place, &switch) {
                (Place::Port, Some(switch)) => (&switch.host, "pb"),
                (Place::Port, None) => (&a, "eth0"),
                (Place::Guest, _) => (&b, "eth0"),
            };
            host.ok(&format!("ethtool -K {device} {feature} off"));
        }
        Pair { a, b, _switch: switch, _world: world }
    }

    /// Gbit/s that arrive from one run of a client on the first host.
    fn transfer(&self, arguments: &str, seconds: u64) -> f64 {
        let mut server =
            self.b.command("iperf3").args(["-s", "-1"]).stdout(Stdio::null()).spawn().expect("iperf3");
        until("iperf3 listens", || self.b.ok("ss -ltnH").contains(":5201 "));
        let done = self.a.run(&format!("timeout {} iperf3 -J {arguments} -t {seconds}", seconds + 10));
        // One that got nothing through waits for ever.
        let _ = server.kill();
        let _ = server.wait();
        let report: serde_json::Value = serde_json::from_str(&done.out).unwrap_or_default();
        let received = &report["end"]["sum_received"]["bits_per_second"];
        received.as_f64().unwrap_or(0.0) / 1e9
    }
}
