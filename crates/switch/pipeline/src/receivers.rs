//! Whom multicast is for, as the bridge knows it from what hosts and routers say.

use crate::state::{BridgeId, BundleId};

/// Whom a packet to one group in one VLAN is for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receivers {
    /// The ports with hosts that listen, the one that said so longest ago first; `None` when nobody listens.
    pub members: Option<Vec<BundleId>>,
    /// The ports with routers in this VLAN, the one that asked longest ago first.
    pub routers: Vec<BundleId>,
    /// How many ports have routers in other VLANs.
    pub routers_elsewhere: usize,
    /// The ports that get all multicast, but for reports.
    pub flood_ports: Vec<BundleId>,
    /// The ports that get all reports of hosts.
    pub report_ports: Vec<BundleId>,
    /// Whether what nobody listens to goes to all ports.
    pub floods_unregistered: bool,
}

/// Where a packet came in that says who listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snooped {
    pub bridge: BridgeId,
    pub vlan: u16,
    pub port: BundleId,
}
