//! What the database asks for, as types: strings are parsed and mistakes are found before anything changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::{MacAddr, OfPort, TableId};
use fields::Match;
use ofp::Version;
use ofproto::TableSettings;
use pipeline::{VlanConfig, VlanSet};
use uuid::Uuid;

use crate::settings::Unread;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    pub bridges: Vec<Arc<DesiredBridge>>,
    pub flow_limit: usize,
    pub max_idle: Duration,
    /// How many VLAN tags of a packet are looked at.
    pub max_vlans: usize,
    /// How long an OpenFlow bundle may wait for its next message.
    pub bundle_idle: Duration,
    /// What is wrong with the rows, and how bad that is.
    pub complaints: Vec<(log::Level, String)>,
    /// What the rows set and nobody reads.
    pub(crate) unread: Vec<Arc<[Unread]>>,
}

/// One bridge.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredBridge {
    pub uuid: Uuid,
    pub name: String,
    /// "netdev", "system" or "dummy"; empty is system.
    pub datapath_type: String,
    /// `other_config:datapath-id`.
    pub datapath_id: Option<u64>,
    /// `other_config:hwaddr`.
    pub mac: Option<MacAddr>,
    /// The address that its own port had when the row was written last.
    pub last_mac: Option<MacAddr>,
    pub fail_mode: FailMode,
    pub controllers: Vec<DesiredController>,
    /// The OpenFlow versions that it speaks.
    pub versions: Vec<Version>,
    /// By name. Those that have not changed since the last pass are the same ones.
    pub ports: Vec<Arc<DesiredPort>>,
    pub sflow: Option<DesiredSflow>,
    pub mac_aging: Duration,
    pub mac_table_size: usize,
    pub forwards_bpdus: bool,
    /// It asks for spanning tree, of either kind.
    pub asks_spanning_tree: bool,
    pub dp_desc: Option<String>,
    pub mirrors: Vec<DesiredMirror>,
    pub tables: Vec<(TableId, TableSettings)>,
}

impl DesiredBridge {
    /// Those of all ports.
    pub fn interfaces(&self) -> impl Iterator<Item = &DesiredInterface> {
        self.ports.iter().flat_map(|port| &port.interfaces)
    }

    /// The type of its datapath by its full name.
    pub fn datapath_kind(&self) -> &str {
        if self.datapath_type.is_empty() { "system" } else { &self.datapath_type }
    }
}

/// A mirror. Ports are rows of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredMirror {
    pub uuid: Uuid,
    pub name: String,
    /// All ports, both ways.
    pub select_all: bool,
    pub sources: BTreeSet<Uuid>,
    pub destinations: BTreeSet<Uuid>,
    pub vlans: Option<VlanSet>,
    pub filter: Option<Match>,
    pub output: MirrorTarget,
    /// Bytes of each packet, if it does not get all.
    pub snaplen: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorTarget {
    Port(Uuid),
    Vlan(u16),
}

/// What a bridge does when it has controllers but reaches none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailMode {
    /// It acts as a learning switch.
    #[default]
    Standalone,
    /// It does what its rules say, and nothing else.
    Secure,
}

/// An OpenFlow controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredController {
    pub uuid: Uuid,
    pub target: String,
    pub max_backoff: Duration,
    pub inactivity_probe: Duration,
    /// Packet-ins a second, and how many may wait; `None` for no limit.
    pub rate_limit: Option<(u32, u32)>,
    /// Switch-level connections of the service kind take no part in failing over.
    pub is_service: bool,
}

/// A port of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredPort {
    pub uuid: Uuid,
    pub name: String,
    pub interfaces: Vec<DesiredInterface>,
    pub vlan: VlanConfig,
    pub protected: bool,
    /// The interface that forwards while it can, of several.
    pub primary: Option<String>,
    /// The address of the interface that forwarded when the row was written last, of several.
    pub last_active: Option<MacAddr>,
    /// The address by which it takes part in choosing the bridge's, instead of its first interface's.
    pub mac: Option<MacAddr>,
    /// Whether it stands for a bridge of its own (a VLAN bridge of `ovs-vsctl`).
    pub fake_bridge: bool,
}

/// An interface.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredInterface {
    pub uuid: Uuid,
    pub name: String,
    /// As in the database; empty is "system".
    pub kind: String,
    pub options: BTreeMap<String, String>,
    /// The number asked for by the operator, else the one that it had before.
    pub number: Option<OfPort>,
    /// The operator asked for the number.
    pub is_number_asked: bool,
    pub mac: Option<MacAddr>,
    pub mtu: Option<u32>,
}

impl DesiredInterface {
    /// The address that the row gives an internal interface of `bridge`, or why it cannot. The bridge's own port has the
    /// bridge's.
    pub(crate) fn wanted_mac(&self, bridge: &str) -> Result<Option<MacAddr>, String> {
        let Some(mac) = self.mac.filter(|_| self.kind == "internal") else { return Ok(None) };
        let why = if self.name == bridge {
            "ignoring mac in Interface record (use Bridge record to set local port's mac)"
        } else if mac.is_multicast() {
            "cannot set MAC to multicast address"
        } else if mac.is_zero() {
            "cannot set MAC to all zero address"
        } else {
            return Ok(Some(mac));
        };
        Err(format!("interface {}: {why}", self.name))
    }

    pub fn is_patch(&self) -> bool {
        self.kind == "patch"
    }

    pub fn peer(&self) -> Option<&str> {
        self.options.get("peer").map(String::as_str).filter(|_| self.is_patch())
    }
}

/// sFlow export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredSflow {
    pub targets: Vec<String>,
    /// One packet in so many.
    pub sampling: u32,
    /// Seconds between counter samples; 0 for none.
    pub polling: u32,
    /// Bytes of a sampled packet.
    pub header: u32,
    /// The interface whose address names this agent, or an address.
    pub agent: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn bridge(name: &str, ports: Vec<DesiredPort>) -> Arc<DesiredBridge> {
        Arc::new(DesiredBridge {
            uuid: Uuid::nil(),
            name: name.into(),
            datapath_type: String::new(),
            datapath_id: None,
            mac: None,
            last_mac: None,
            fail_mode: FailMode::default(),
            controllers: Vec::new(),
            versions: Vec::new(),
            ports: ports.into_iter().map(Arc::new).collect(),
            sflow: None,
            mac_aging: Duration::from_secs(300),
            mac_table_size: 8192,
            forwards_bpdus: false,
            asks_spanning_tree: false,
            dp_desc: None,
            mirrors: Vec::new(),
            tables: Vec::new(),
        })
    }

    pub(crate) fn port(name: &str) -> DesiredPort {
        DesiredPort {
            uuid: Uuid::nil(),
            name: name.into(),
            interfaces: vec![interface(name, "")],
            vlan: VlanConfig::default(),
            protected: false,
            primary: None,
            last_active: None,
            mac: None,
            fake_bridge: false,
        }
    }

    pub(crate) fn interface(name: &str, kind: &str) -> DesiredInterface {
        DesiredInterface {
            uuid: Uuid::nil(),
            name: name.into(),
            kind: kind.into(),
            options: BTreeMap::new(),
            number: None,
            is_number_asked: false,
            mac: None,
            mtu: None,
        }
    }
}
