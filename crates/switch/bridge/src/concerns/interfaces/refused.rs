//! Interfaces that are refused whatever devices the machine has.

use dp::TunnelKind;
use pipeline::tunnel::TunnelConfig;

use super::DesiredInterface;

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
    None
}

/// Refuses tunnels that would carry nothing: they must not look like ones that work.
pub(super) fn check_tunnel(name: &str, config: &TunnelConfig) -> Result<(), String> {
    let kind = config.kind;
    match kind {
        TunnelKind::Bareudp | TunnelKind::Lisp | TunnelKind::Stt => {
            Err(format!("{name}: {kind} tunnels are not supported yet"))
        }
        TunnelKind::Geneve
        | TunnelKind::Gre
        | TunnelKind::Vxlan
        | TunnelKind::Erspan
        | TunnelKind::Ip6Erspan
        | TunnelKind::Ip6Gre
        | TunnelKind::Gtpu
        | TunnelKind::Srv6 => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_that_would_carry_nothing_are_rejected() {
        for kind in [TunnelKind::Bareudp, TunnelKind::Lisp, TunnelKind::Stt] {
            let refusal = check_tunnel("t0", &TunnelConfig::new(kind));
            assert_eq!(refusal, Err(format!("t0: {kind} tunnels are not supported yet")));
        }
        for kind in [TunnelKind::Vxlan, TunnelKind::Geneve, TunnelKind::Gre] {
            assert_eq!(check_tunnel("t0", &TunnelConfig::new(kind)), Ok(()));
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
