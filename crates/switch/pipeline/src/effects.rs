//! What a translation asks for besides forwarding the packet.
//!
//! Translation performs nothing. `flowsync` applies the effects in order when
//! the packet is there, again for the packets that the megaflow forwarded
//! since, and not at all when it translates only to compare.

use std::sync::Arc;

use base::{MacAddr, OfPort};

use crate::bond::Bond;
use crate::group::Group;
use crate::state::{BridgeId, BundleId, Counters, PortTraffic, Rule, TableTraffic};
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
    /// Forwarding of this packet alone: `NetFlow` wants to know the way it took.
    FlowRecord { bridge: BridgeId, output: Output },
    /// The packets are of this part of those of a bond.
    CountBond { bond: Arc<Bond>, bucket: u8 },
    /// The packet, as it came in, is a protocol's: whoever has it hands it over.
    Take { bridge: BridgeId, port: OfPort, protocol: Protocol },
}

impl Effect {
    /// Whether the switch learns something by it, beside counting.
    pub fn teaches(&self) -> bool {
        matches!(self, Effect::LearnMac { .. } | Effect::LearnRule { .. })
    }
}

/// Where a packet went, as flow export tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Output {
    #[default]
    Drop,
    Port(OfPort),
    Multiple,
    Flood,
}

impl Output {
    /// The sum of what happened before and of what an action did.
    pub(crate) fn then(self, next: Output) -> Output {
        match (self, next) {
            (Output::Flood, _) | (_, Output::Flood) => Output::Flood,
            (before, Output::Drop) => before,
            (Output::Drop, next) => next,
            _ => Output::Multiple,
        }
    }
}
