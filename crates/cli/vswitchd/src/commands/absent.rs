//! Commands of features that this switch does not have yet. They are listed as the reference lists them, so that
//! completion and scripts find them, and each answers which feature is missing.

use rpc::unixctl::Registry;

/// A feature, and its commands with their usage.
struct Feature {
    name: &'static str,
    commands: &'static [(&'static str, &'static str)],
}

const FEATURES: &[Feature] = &[
    Feature {
        name: "hardware offload",
        commands: &[("dpctl/offload-stats-show", "[dp]"), ("dpif/offload/show", "")],
    },
    Feature {
        name: "logging of suspicious iterations",
        commands: &[(
            "dpif-netdev/pmd-perf-log-set",
            "on|off [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]",
        )],
    },
    Feature {
        name: "a choice between implementations of lookups and actions",
        commands: &[
            ("dpif-netdev/dpif-impl-get", ""),
            ("dpif-netdev/dpif-impl-set", "dpif_implementation_name"),
            ("dpif-netdev/miniflow-parser-get", ""),
            ("dpif-netdev/miniflow-parser-set", "[-pmd core] miniflow_implementation_name [study_pkt_cnt]"),
            ("dpif-netdev/subtable-lookup-info-get", ""),
            ("dpif-netdev/subtable-lookup-prio-set", "[lookup_func] [prio]"),
            ("odp-execute/action-impl-set", ""),
            ("odp-execute/action-impl-show", ""),
        ],
    },
    Feature { name: "the kernel's datapath", commands: &[("dpif-netlink/dispatch-mode", "")] },
    Feature {
        name: "a dummy device's connection and addresses",
        commands: &[
            ("netdev-dummy/conn-state", "[netdev]"),
            ("netdev-dummy/ip4addr", "[netdev] ipaddr/mask-prefix-len"),
            ("netdev-dummy/ip6addr", "[netdev] ip6addr"),
        ],
    },
    Feature {
        name: "measuring with stopwatches",
        commands: &[("stopwatch/reset", "[NAME]"), ("stopwatch/show", "[NAME]")],
    },
    Feature {
        name: "tunnels",
        commands: &[
            ("ofproto/list-tunnels", ""),
            ("ovs/route/add", "ip/plen dev [gw] [pkt_mark=mark] [src=src_ip] [table=id]"),
            ("ovs/route/del", "ip/plen [pkt_mark=mark] [table=id]"),
            ("ovs/route/lookup", "ip_addr [pkt_mark=mark] [src=src_ip]"),
            ("ovs/route/rule/add", "[-6] [not] from=all|ip/plen [prio=num] table=local|main|default|id"),
            ("ovs/route/rule/del", "[-6] [not] from=all|ip/plen [prio=num] table=local|main|default|id"),
            ("ovs/route/rule/show", "[-6]"),
            ("ovs/route/show", "[table=all|id]"),
            ("tnl/arp/aging", "[SECS]"),
            ("tnl/arp/flush", ""),
            ("tnl/arp/set", "BRIDGE IP MAC"),
            ("tnl/arp/show", ""),
            ("tnl/egress_port_range", "min max"),
            ("tnl/neigh/aging", "[SECS]"),
            ("tnl/neigh/flush", ""),
            ("tnl/neigh/retrans_time", "[MSECS]"),
            ("tnl/neigh/set", "BRIDGE IP MAC"),
            ("tnl/neigh/show", ""),
            ("tnl/ports/show", "-v"),
        ],
    },
];

/// Other names of these commands, which the reference knows without listing them.
const OLD_NAMES: &[(&str, &str)] = &[
    ("dpif/offload/classes", "hardware offload"),
    ("revalidator/pause", "pausing revalidators"),
    ("revalidator/resume", "pausing revalidators"),
];

/// Registers them. Whoever has a command of the feature registers it afterwards, and so in this one's place.
pub(super) fn register<C: 'static>(registry: &mut Registry<C>) {
    for feature in FEATURES {
        for (name, usage) in feature.commands {
            registry.add(name, usage, 0, usize::MAX, |_, _| Err(refusal(name, feature.name)));
        }
    }
    for (name, feature) in OLD_NAMES {
        registry.add_hidden(name, 0, usize::MAX, |_, _| Err(refusal(name, feature)));
    }
}

fn refusal(command: &str, feature: &str) -> String {
    format!("\"{command}\" is not supported yet: this switch does not have {feature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_stands_once() {
        let mut names: Vec<&str> = FEATURES
            .iter()
            .flat_map(|feature| feature.commands)
            .chain(OLD_NAMES)
            .map(|(name, _)| *name)
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
