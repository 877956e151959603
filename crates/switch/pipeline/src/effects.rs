//! What a translation asks for besides forwarding the packet.
//!
//! Translation performs nothing. `flowsync` applies the effects in order when
//! the packet is there, again for the packets that the megaflow forwarded
//! since, and not at all when it translates only to compare.

use std::sync::Arc;

use base::{MacAddr, OfPort};

use crate::bond::Bond;
use crate::flow_log::LiveFlow;
use crate::group::Group;
use crate::receivers::Snooped;
use crate::state::{BridgeId, BundleId, Counters, PortTraffic, Rule, TableTraffic};
use crate::underlay::Asking;
use crate::watched::Protocol;

/// One thing to do, or to count.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The packets belong to the rule's counters, and keep it from idling out.
    CountRule(Arc<Rule>),
    /// The packets were looked up in a table.
    CountTable { traffic: Arc<TableTraffic>, matched: bool },
    /// The packets left through one patch port and came in through its peer.
    CountPatch { sent: Arc<PortTraffic>, received: Arc<PortTraffic> },
    /// The packets left, or came in, by a tunnel port.
    CountTunnel { traffic: Arc<PortTraffic>, is_sent: bool },
    /// The packets count so with headers of so many bytes before them.
    Outer { header_len: u16, counts: Arc<[Effect]> },
    /// Somebody behind a bridge has this link address, or is in use with it; an address of IPv4 is mapped.
    LearnNeighbour {
        bridge: BridgeId,
        address: u128,
        mac: MacAddr,
        /// Other packets of the same flow may say otherwise.
        is_of_packet: bool,
    },
    /// A neighbour's link address is needed: whoever has the packet sends the frame that asks for it, once.
    AskNeighbour(Arc<Asking>),
    /// A source address was seen.
    LearnMac { bridge: BridgeId, vlan: u16, mac: MacAddr, port: BundleId, gratuitous_arp_on_bond: bool },
    /// A `learn` action matched: a rule is to be added.
    LearnRule { bridge: BridgeId, rule: Arc<ofp::FlowMod>, limit: u32 },
    /// A `fin_timeout` action: with FIN or RST, the rule's timeouts shrink.
    FinTimeout { bridge: BridgeId, rule: Arc<Rule>, idle_s: u16, hard_s: u16 },
    /// The packets went through a group: one bucket of it, or all.
    CountGroup { group: Arc<Group>, bucket: Option<usize> },
    /// The packets went to a mirror.
    CountMirror(Arc<Counters>),
    /// NetFlow counts the packets as those of a flow.
    FlowRecord(Arc<LiveFlow>),
    /// The packets are of this part of those of a bond.
    CountBond { bond: Arc<Bond>, bucket: u8 },
    /// The packet, as it came in, is a protocol's: whoever has it hands it over.
    Take { bridge: BridgeId, port: OfPort, protocol: Protocol },
    /// The packet, as it came in, says who listens to which multicast group: whoever has it has the bridge read it.
    Snoop(Snooped),
}

impl Effect {
    /// Whether both do the same to the same things.
    pub fn is_same(&self, other: &Effect) -> bool {
        match (self, other) {
            (Effect::CountRule(a), Effect::CountRule(b)) => Arc::ptr_eq(a, b),
            (
                Effect::CountTable { traffic, matched },
                Effect::CountTable { traffic: other, matched: other_matched },
            ) => Arc::ptr_eq(traffic, other) && matched == other_matched,
            (
                Effect::CountPatch { sent, received },
                Effect::CountPatch { sent: other_sent, received: other_received },
            ) => Arc::ptr_eq(sent, other_sent) && Arc::ptr_eq(received, other_received),
            (
                Effect::LearnMac { bridge, vlan, mac, port, gratuitous_arp_on_bond },
                Effect::LearnMac { bridge: b, vlan: v, mac: m, port: p, gratuitous_arp_on_bond: g },
            ) => (bridge, vlan, mac, port, gratuitous_arp_on_bond) == (b, v, m, p, g),
            (
                Effect::LearnRule { bridge, rule, limit },
                Effect::LearnRule { bridge: b, rule: r, limit: l },
            ) => Arc::ptr_eq(rule, r) && (bridge, limit) == (b, l),
            (
                Effect::FinTimeout { bridge, rule, idle_s, hard_s },
                Effect::FinTimeout { bridge: b, rule: r, idle_s: idle, hard_s: hard },
            ) => Arc::ptr_eq(rule, r) && (bridge, idle_s, hard_s) == (b, idle, hard),
            (Effect::CountGroup { group, bucket }, Effect::CountGroup { group: g, bucket: b }) => {
                Arc::ptr_eq(group, g) && bucket == b
            }
            (Effect::CountMirror(a), Effect::CountMirror(b)) => Arc::ptr_eq(a, b),
            (Effect::FlowRecord(a), Effect::FlowRecord(b)) => a.is_same(b),
            (Effect::CountBond { bond, bucket }, Effect::CountBond { bond: other, bucket: b }) => {
                Arc::ptr_eq(bond, other) && bucket == b
            }
            (
                Effect::Take { bridge, port, protocol },
                Effect::Take { bridge: b, port: p, protocol: other },
            ) => (bridge, port, protocol) == (b, p, other),
            (Effect::Snoop(a), Effect::Snoop(b)) => a == b,
            (
                Effect::CountTunnel { traffic, is_sent },
                Effect::CountTunnel { traffic: other, is_sent: sent },
            ) => Arc::ptr_eq(traffic, other) && is_sent == sent,
            (
                Effect::LearnNeighbour { bridge, address, mac, is_of_packet },
                Effect::LearnNeighbour { bridge: b, address: a, mac: m, is_of_packet: p },
            ) => (bridge, address, mac, is_of_packet) == (b, a, m, p),
            (Effect::AskNeighbour(a), Effect::AskNeighbour(b)) => a == b,
            (Effect::Outer { header_len, counts }, Effect::Outer { header_len: len, counts: other }) => {
                header_len == len
                    && counts.len() == other.len()
                    && counts.iter().zip(&**other).all(|(a, b)| a.is_same(b))
            }
            _ => false,
        }
    }

    /// A number that the same effects have in common and most others do not.
    pub fn mark(&self) -> u64 {
        fn address<T>(of: &Arc<T>) -> u64 {
            Arc::as_ptr(of).addr() as u64
        }
        match self {
            Effect::CountRule(rule) => address(rule),
            Effect::CountTable { traffic, matched } => address(traffic) | u64::from(*matched),
            Effect::CountPatch { sent, .. } => address(sent),
            Effect::LearnMac { vlan, mac, .. } => mac.to_u64() << 16 | u64::from(*vlan),
            Effect::LearnRule { rule, .. } => address(rule),
            Effect::FinTimeout { rule, .. } => address(rule),
            Effect::CountGroup { group, bucket } => address(group) ^ bucket.unwrap_or(usize::MAX) as u64,
            Effect::CountMirror(counters) => address(counters),
            Effect::CountBond { bond, bucket } => address(bond) ^ u64::from(*bucket),
            Effect::Take { port, .. } => u64::from(port.0),
            Effect::Snoop(snooped) => u64::from(snooped.port.0) << 16 | u64::from(snooped.vlan),
            Effect::FlowRecord(flow) => flow.mark(),
            Effect::CountTunnel { traffic, is_sent } => address(traffic) | u64::from(*is_sent),
            Effect::LearnNeighbour { address, mac, .. } => *address as u64 ^ mac.to_u64() << 16,
            Effect::AskNeighbour(asking) => asking.address as u64,
            Effect::Outer { header_len, counts } => {
                counts.iter().fold(u64::from(*header_len), |mark, one| mark.rotate_left(7) ^ one.mark())
            }
        }
    }

    /// Whether packets and bytes are counted by it, and nothing else is done.
    pub(crate) fn counts(&self) -> bool {
        match self {
            Effect::CountRule(_)
            | Effect::CountTable { .. }
            | Effect::CountPatch { .. }
            | Effect::CountTunnel { .. }
            | Effect::CountGroup { .. }
            | Effect::CountMirror(_)
            | Effect::CountBond { .. }
            | Effect::FlowRecord(_)
            | Effect::Outer { .. } => true,
            Effect::LearnMac { .. }
            | Effect::LearnRule { .. }
            | Effect::LearnNeighbour { .. }
            | Effect::AskNeighbour(_)
            | Effect::FinTimeout { .. }
            | Effect::Take { .. }
            | Effect::Snoop(_) => false,
        }
    }

    /// Whether it holds for all packets of the flow, and not for the one alone that was translated.
    pub fn is_of_flow(&self) -> bool {
        !matches!(self, Effect::LearnNeighbour { is_of_packet: true, .. } | Effect::AskNeighbour(_))
    }

    /// Whether the switch learns something by it, beside counting.
    pub fn teaches(&self) -> bool {
        matches!(self, Effect::LearnMac { .. } | Effect::LearnRule { .. } | Effect::LearnNeighbour { .. })
    }
}
