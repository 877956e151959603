//! `dpif/show-dp-features`: what the datapath of a bridge can do.

use std::fmt::Write;
use std::sync::Arc;

use dp::Capabilities;
use ofproto::SharedSwitch;
use pipeline::BridgeView;
use rpc::unixctl::Registry;

/// How deep samples may be nested, as the reference has it.
const SAMPLE_NESTING: usize = 10;

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, switch: Arc<SharedSwitch>) {
    let mut group = registry.group(switch);
    group.add("dpif/show-dp-features", "bridge", 1, 1, |switch, args| {
        let switch = switch.read();
        Ok(show(super::bridge_named(&switch, &args[0])?.capabilities()))
    });
}

fn show(can: &Capabilities) -> String {
    let flag = |has: bool| if has { "Yes" } else { "No" }.to_owned();
    let tracks = || flag(can.conntrack);
    let lines = [
        ("Masked set action", flag(can.masked_set)),
        ("Tunnel push pop", flag(can.tunnels)),
        ("Ufid", flag(can.ufid)),
        ("Truncate action", flag(can.trunc)),
        ("Clone action", flag(can.clone)),
        ("Sample nesting", if can.sample_nesting { SAMPLE_NESTING } else { 1 }.to_string()),
        ("Conntrack eventmask", tracks()),
        ("Conntrack clear", tracks()),
        ("Max dp_hash algorithm", can.max_hash_algorithm.to_string()),
        ("Check pkt length action", flag(can.check_pkt_len)),
        ("Conntrack timeout policy", tracks()),
        ("Explicit Drop action", flag(can.explicit_drop)),
        ("Optimized Balance TCP mode", flag(can.lb_output)),
        ("Conntrack all-zero IP SNAT", tracks()),
        ("MPLS Label add", flag(can.add_mpls)),
        ("psample action", flag(can.psample)),
        ("Max VLAN headers", can.max_vlans.to_string()),
        ("Max MPLS depth", can.max_mpls.to_string()),
        ("Recirc", flag(can.recirc)),
        ("CT state", tracks()),
        ("CT zone", tracks()),
        ("CT mark", tracks()),
        ("CT label", tracks()),
        ("CT state NAT", tracks()),
        ("CT orig tuple", tracks()),
        ("CT orig tuple for IPv6", tracks()),
        ("IPv6 ND Extension", flag(can.nd_extensions)),
    ];
    let mut out = String::new();
    for (name, value) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}: {value}");
    }
    out
}
