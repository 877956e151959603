//! The network that tunnels go through: routes are followed, neighbours are forgotten, and the datapath ports that tunnels
//! have in common are opened with the first and closed with the last of them.

use std::sync::Arc;

use base::{DpPort, Timestamp};
use dp::{DpId, PortSpec, TunnelKind};
use pipeline::tunnel::{Endpoint, TunnelConfig, Underlay};
use tunnel::{Machine, Network};

use super::Concern;
use crate::desired::{Desired, DesiredBridge};
use crate::extent::Extent;
use crate::running::Running;

/// What lies below tunnels.
#[derive(Debug, Default)]
pub struct Below {
    /// As translation reads it.
    pub network: Arc<Network>,
    machine: Machine,
    /// Routes are those that somebody adds by commands alone (`--disable-system-route`).
    pub(crate) ignores_machine: bool,
}

impl Below {
    pub(crate) fn new(ignores_machine: bool) -> Below {
        Below { ignores_machine, ..Below::default() }
    }
}

/// The datapath port that a tunnel has in common with others.
pub(crate) fn port_spec(config: &TunnelConfig) -> PortSpec {
    let name = match config.kind {
        TunnelKind::Geneve => format!("genev_sys_{}", config.port),
        TunnelKind::Vxlan => format!("vxlan_sys_{}", config.port),
        TunnelKind::Gtpu => format!("gtpu_sys_{}", config.port),
        TunnelKind::Bareudp => format!("udp_sys_{}", config.port),
        TunnelKind::Gre
        | TunnelKind::Ip6Gre
        | TunnelKind::Erspan
        | TunnelKind::Ip6Erspan
        | TunnelKind::Srv6
        | TunnelKind::Lisp
        | TunnelKind::Stt => format!("{}_sys", config.kind),
    };
    PortSpec::new(&name, config.kind.into())
}

impl Running {
    /// One more tunnel has the datapath port.
    pub(crate) fn listen(&mut self, datapath: DpId, port: DpPort, config: &TunnelConfig) {
        let spec = port_spec(config);
        self.below_tunnels.network.listeners_mut().add(datapath, port, &spec.name, config.kind, config.port);
        self.switch.underlay_changed();
    }

    /// One tunnel less has the datapath port; whether it was the last one.
    pub(crate) fn stop_listening(&mut self, datapath: DpId, port: DpPort) -> bool {
        let is_last = self.below_tunnels.network.listeners_mut().remove(datapath, port);
        self.switch.underlay_changed();
        is_last
    }

    /// Takes in what the kernel says of routes, if there is anything new; whether ways changed.
    fn follow_routes(&mut self) -> bool {
        if self.below_tunnels.ignores_machine {
            return false;
        }
        let Some(read) = self.below_tunnels.machine.news() else { return false };
        let has_changed = read.put_into(&mut self.below_tunnels.network.routes_mut());
        if has_changed {
            self.switch.underlay_changed();
        }
        has_changed
    }

    /// The device by which a tunnel's packets leave, and whether it has a carrier; none while there is no way, or while it
    /// is rules that say where packets go.
    pub(crate) fn egress_of(&self, tunnel: &TunnelConfig) -> Option<(Arc<str>, bool)> {
        let Endpoint::Is(remote) = tunnel.remote else { return None };
        let local = match tunnel.local {
            Endpoint::Is(local) => local,
            Endpoint::Any | Endpoint::Flow => 0,
        };
        let way = self.below_tunnels.network.way(tunnel.mark.unwrap_or(0), remote, local)?;
        let datapaths = self.datapaths.shared();
        let own = datapaths.iter().find_map(|below| below.datapath.port_by_name(&way.device));
        let has_carrier = match own {
            Some(info) => info.is_running(),
            None => netlink::link(&way.device).ok().flatten().is_some_and(|link| link.has_carrier()),
        };
        Some((way.device, has_carrier))
    }
}

pub(crate) struct Tunnels;

impl Concern for Tunnels {
    fn finish(&self, running: &mut Running, desired: &Desired) {
        let is_there = |name: &str| {
            let has = |bridge: &Arc<DesiredBridge>| {
                bridge.name == name || bridge.interfaces().any(|interface| interface.name == name)
            };
            desired.bridges.iter().any(has)
        };
        if running.below_tunnels.network.neighbours().keep_bridges(is_there) {
            running.switch.underlay_changed();
        }
    }

    fn tick(&self, running: &mut Running, now: Timestamp) -> Extent {
        let has_moved = running.follow_routes();
        if running.below_tunnels.network.neighbours().expire(now) {
            running.switch.underlay_changed();
        }
        // By which devices tunnels leave is shown.
        Extent { state: has_moved, ..Extent::default() }
    }
}
