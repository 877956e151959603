//! Interfaces that are refused whatever devices the machine has.

use std::net::IpAddr;

use dp::{PortKind, TunnelKind};

use super::{DesiredInterface, InterfaceKind};

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
    let InterfaceKind::Port(PortKind::Tunnel(kind)) = config.kind else { return None };
    // A tunnel that carries nothing must not look like one that works.
    Some(bad_peer(config, kind).unwrap_or_else(|| format!("{name}: {kind} tunnels are not supported yet")))
}

/// What is wrong with the other end of a tunnel.
fn bad_peer(config: &DesiredInterface, kind: TunnelKind) -> Option<String> {
    let name = &config.name;
    let missing = format!("{name}: {kind} type requires valid 'remote_ip' argument");
    match config.options.get("remote_ip").map(String::as_str) {
        None => Some(missing),
        Some(ip) if ip == "flow" || ip.parse::<IpAddr>().is_ok() => None,
        Some(_) => Some(format!("{name}: bad {kind} 'remote_ip'\n{missing}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_are_rejected_and_their_other_ends_looked_at() {
        for kind in TunnelKind::ALL {
            let mut config = crate::desired::tests::interface("t0", kind.into());
            let missing = format!("t0: {kind} type requires valid 'remote_ip' argument");
            assert_eq!(refusal(&config).as_ref(), Some(&missing));
            config.options.insert("remote_ip".to_owned(), "192.0.2.300".to_owned());
            assert_eq!(refusal(&config), Some(format!("t0: bad {kind} 'remote_ip'\n{missing}")));
            config.options.insert("remote_ip".to_owned(), "192.0.2.3".to_owned());
            assert_eq!(refusal(&config), Some(format!("t0: {kind} tunnels are not supported yet")));
        }
        for kind in PortKind::DEVICES {
            assert_eq!(refusal(&crate::desired::tests::interface("p0", kind)), None);
        }
    }

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
