//! Interfaces that are refused whatever devices the machine has.

use crate::desired::DesiredInterface;

/// Tunnels of the kernel's datapath have devices of these names, with numbers after them.
const TUNNEL_DEVICES: &[&str] = &[
    "genev_sys",
    "gre_sys",
    "vxlan_sys",
    "erspan_sys",
    "ip6erspan_sys",
    "ip6gre_sys",
    "gtpu_sys",
    "udp_sys",
    "srv6_sys",
];

/// The local ports of datapaths are named so.
const DATAPATHS: &[&str] = &["ovs-netdev", "ovs-dummy"];

const TUNNELS: &[&str] =
    &["geneve", "gre", "vxlan", "erspan", "ip6erspan", "ip6gre", "gtpu", "bareudp", "srv6", "lisp", "stt"];

/// Whether the switch has a use of its own for devices of this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    DATAPATHS.contains(&name) || TUNNEL_DEVICES.iter().any(|device| name.starts_with(device))
}

/// Why there cannot be such an interface, worded for its `error` column.
pub(crate) fn refusal(config: &DesiredInterface) -> Option<String> {
    let name = &config.name;
    if is_reserved(name) {
        return Some(format!("could not create interface {name}, name is reserved"));
    }
    // A tunnel that carries nothing must not look like one that works.
    TUNNELS
        .contains(&config.kind.as_str())
        .then(|| format!("{name}: tunnels of type {} are not supported yet", config.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_switch_itself_are_reserved() {
        for (name, reserved) in [
            ("ovs-netdev", true),
            ("vxlan_sys_4789", true),
            ("vxlan0", false),
            ("ovs-system2", false),
            ("eth0", false),
        ] {
            assert_eq!(is_reserved(name), reserved, "{name}");
        }
    }
}
