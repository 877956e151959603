//! The state of the switch that translation reads: ports, rules, counters.
//!
//! `ofproto` keeps its state in these very types, so that there is no second
//! copy to keep equal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{DpPort, MacAddr, OfPort, TableId, Timestamp};
use flow::SparseMatch;
use ofp::Action;

use crate::bond::Bond;
use crate::spanning::SpanningPort;
use crate::tunnel_config::{PacketTypes, TunnelConfig};
use crate::vlan::VlanConfig;
use crate::watched::Watched;

/// A bridge; never used again for another one while the process lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BridgeId(pub u32);

/// A port in the sense of the database: one interface, or several bonded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BundleId(pub u32);

/// OpenFlow's port configuration bits, as far as they affect forwarding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortFlags {
    pub down: bool,
    pub no_receive: bool,
    pub no_flood: bool,
    pub no_forward: bool,
    pub no_packet_in: bool,
    /// Units of a spanning tree's protocol are not let in.
    pub no_receive_stp: bool,
}

/// DSCPs by the numbers of queues.
pub type QueueDscp = BTreeMap<u32, u8>;

/// An OpenFlow port.
#[derive(Clone, Debug)]
pub struct Port {
    pub number: OfPort,
    pub name: Arc<str>,
    /// Where the datapath knows it; a patch port is in no datapath.
    pub datapath: Option<DpPort>,
    pub bundle: Option<BundleId>,
    /// The address of its device.
    pub mac: MacAddr,
    /// What it is, if it is a tunnel; `datapath` is then what it has in common with others.
    pub tunnel: Option<Arc<TunnelConfig>>,
    /// The other end of a patch port.
    pub peer: Option<(BridgeId, OfPort)>,
    pub flags: PortFlags,
    /// Whether its link is up, as far as is known.
    pub has_link: bool,
    /// What protocols do here.
    pub watched: Option<Arc<Watched>>,
    /// What spanning tree lets it do, if it is part of one.
    pub spanning: Option<Arc<SpanningPort>>,
    /// With which DSCP packets of its queues leave, where one is asked for.
    pub queue_dscp: Option<Arc<QueueDscp>>,
    /// What crossed a patch port, or went through a tunnel, which no device counts.
    pub traffic: Arc<PortTraffic>,
}

impl Port {
    /// What packets that pass it begin with.
    pub fn packet_types(&self) -> PacketTypes {
        match &self.tunnel {
            Some(tunnel) => tunnel.packet_types,
            None if self.peer.is_some() => PacketTypes::Aware,
            None => PacketTypes::LegacyL2,
        }
    }

    /// Whether packets that leave by it arrive somewhere, as far as is known.
    pub fn is_live(&self) -> bool {
        self.has_link && self.watched.as_ref().is_none_or(|watched| watched.is_up())
    }
}

/// A port in the sense of the database.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub id: BundleId,
    pub name: Arc<str>,
    /// Its OpenFlow ports.
    pub ports: Vec<OfPort>,
    /// How several share the packets, and which of them forward; a single one does.
    pub bond: Option<Arc<Bond>>,
    pub vlan: VlanConfig,
    /// Whether flooding reaches it: no port of it says no-flood.
    pub floodable: bool,
    /// Protected ports do not forward to each other.
    pub protected: bool,
}

/// Packets and bytes that crossed a patch port.
#[derive(Debug, Default)]
pub struct PortTraffic {
    pub received: Counters,
    pub sent: Counters,
}

/// Packets, bytes, and when the last one was.
#[derive(Debug, Default)]
pub struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    used: AtomicU64,
}

impl Counters {
    pub fn add(&self, packets: u64, bytes: u64, used: Timestamp) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.used.fetch_max(used.as_nanos(), Ordering::Relaxed);
    }

    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When something was counted last; zero for never.
    pub fn used(&self) -> Timestamp {
        Timestamp::from_nanos(self.used.load(Ordering::Relaxed))
    }

    pub fn reset(&self) {
        self.packets.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}

/// Lookups in a table, and how many found a rule.
#[derive(Debug, Default)]
pub struct TableTraffic {
    pub matched: AtomicU64,
    pub missed: AtomicU64,
}

/// An OpenFlow rule. It does not change: modifying a rule puts another one in its place that shares the counters.
#[derive(Debug)]
pub struct Rule {
    pub table: TableId,
    /// Up to 65,535 for controllers; the switch's own rules may lie above.
    pub priority: i32,
    pub matching: SparseMatch,
    pub cookie: u64,
    pub actions: Arc<[Action]>,
    pub counters: Arc<Counters>,
}

/// What a packet meets that no rule of a table matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Miss {
    /// What the versions that the controllers speak say.
    #[default]
    Default,
    Drop,
    /// Goes to the controllers.
    Controller,
    /// Goes on in the next table.
    Continue,
}

/// What becomes of IP fragments (`OFPC_FRAG_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fragments {
    /// They match without L4 ports.
    #[default]
    Normal,
    Drop,
    /// The first fragment matches with its ports, later ones with ports 0.
    NxMatch,
}

/// Packets on behalf of which effects are applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit {
    pub packets: u64,
    pub bytes: u64,
    /// All TCP flags that were seen.
    pub tcp_flags: u16,
    /// When the last one was.
    pub used: Timestamp,
}

/// Rules of the hidden table that count what matched nothing.
#[derive(Debug)]
pub struct MissRules {
    pub drop: Arc<Rule>,
    pub controller: Arc<Rule>,
    pub drop_fragments: Arc<Rule>,
}
