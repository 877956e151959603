//! The operator's guide, section by section: every line as an operator types
//! it, with real namespaces, devices and programs.

mod afxdp;
mod barriers;
mod bonds;
mod bridges;
mod collectors;
mod conntrack;
mod controllers;
mod crashes;
mod datapaths;
mod demo;
mod direct;
mod discovery;
mod drops;
mod dummies;
mod ends;
mod exports;
mod first_minutes;
mod first_packets;
mod flow_rules;
mod frames;
mod full_disk;
mod habits;
mod host_devices;
mod install;
mod ipfix;
mod kernels;
mod lint;
mod liveness;
mod many_ports;
mod mirrors;
mod multicast;
mod netflow;
mod offloads;
mod openflow_peers;
mod ovn;
mod ovsdb_peers;
mod pages;
mod parity;
mod passes;
mod physical_machine;
mod pki;
mod qos;
mod refusals;
mod restart;
mod rows;
mod sflow;
mod shortcuts;
mod spanning;
mod succession;
mod tunnel_ways;
mod tunnels;
mod unread;
mod unsupported;
mod vlans;
mod vtep;
mod whole_bundles;
mod workers;

use end_to_end::{Host, Programs, Switch, World};

/// Two hosts on ports `pa` and `pb` of bridge `ovsbr0`, with addresses 10.1.0.1 and 10.1.0.2.
struct Pair {
    a: Host,
    b: Host,
    switch: Switch,
    _world: World,
}

impl Pair {
    fn new() -> Pair {
        let world = World::new();
        let (a, b, middle) = (world.host("a"), world.host("b"), world.host("sw"));
        world.wire(&middle, "pa", &a, "eth0");
        world.wire(&middle, "pb", &b, "eth0");
        a.address("eth0", "10.1.0.1/16");
        b.address("eth0", "10.1.0.2/16");
        let switch = Switch::start(&world, &middle, "sw", Programs::Ours);
        switch.vsctl("add-br ovsbr0 -- add-port ovsbr0 pa -- add-port ovsbr0 pb");
        Pair { a, b, switch, _world: world }
    }
}
