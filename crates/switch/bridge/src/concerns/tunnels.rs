//! The network that tunnels go through: routes are followed, neighbours are forgotten, and the datapath ports that tunnels
//! have in common are opened with the first and closed with the last of them.

use std::sync::Arc;

use base::{DpPort, Timestamp};
use dp::{DpId, PortSpec, TunnelKind};
use pipeline::tunnel::TunnelConfig;
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

    /// Takes in what the kernel says of routes, if there is anything new. Returns what is to be reported: tunnels may leave
    /// elsewhere now.
    pub fn follow_routes(&mut self) -> Extent {
        if self.below_tunnels.ignores_machine {
            return Extent::default();
        }
        let Some(read) = self.below_tunnels.machine.news() else { return Extent::default() };
        let is_changed = read.put_into(&mut self.below_tunnels.network.routes_mut());
        if is_changed {
            self.switch.underlay_changed();
        }
        let has_tunnels = self.below_tunnels.network.listeners().iter().next().is_some();
        if is_changed && has_tunnels { Extent::STATE } else { Extent::default() }
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
        let extent = running.follow_routes();
        if running.below_tunnels.network.neighbours().expire(now) {
            running.switch.underlay_changed();
        }
        extent
    }
}
