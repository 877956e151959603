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
    Feature { name: "a dummy device's connection", commands: &[("netdev-dummy/conn-state", "[netdev]")] },
    Feature {
        name: "measuring with stopwatches",
        commands: &[("stopwatch/reset", "[NAME]"), ("stopwatch/show", "[NAME]")],
    },
];

/// Other names of these commands, which the reference knows without listing them.
const OLD_NAMES: &[(&str, &str)] = &[("dpif/offload/classes", "hardware offload")];

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
