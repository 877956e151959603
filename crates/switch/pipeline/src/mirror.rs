//! Mirrors as they are configured.

use std::collections::BTreeSet;
use std::sync::Arc;

use fields::Match;

use crate::state::{BundleId, Counters};
use crate::vlan::VlanSet;

/// How many mirrors a bridge may have: each is a bit of a word.
pub const MAX_MIRRORS: usize = 32;

/// Where a mirror sends to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MirrorOutput {
    Port(BundleId),
    Vlan(u16),
}

/// A mirror.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// What it is known by where it is configured.
    pub id: u128,
    /// The ports of which it wants what they receive, and what they send.
    pub sources: BTreeSet<BundleId>,
    pub destinations: BTreeSet<BundleId>,
    /// Only these VLANs, if any are named.
    pub vlans: Option<VlanSet>,
    /// Only packets that match, if anything is asked.
    pub filter: Option<Match>,
    pub output: MirrorOutput,
    /// Bytes of each packet, if it does not get all.
    pub snaplen: Option<u16>,
    /// The mirrors, by bit, that send to the same place, itself among them: a packet is sent there once.
    pub duplicates: u32,
    pub counters: Arc<Counters>,
}

impl Mirror {
    /// Whether it does the same as `other`.
    pub fn is_same(&self, other: &Mirror) -> bool {
        let ports = |mirror: &Mirror| (mirror.id, mirror.output, mirror.snaplen);
        ports(self) == ports(other)
            && self.sources == other.sources
            && self.destinations == other.destinations
            && self.vlans == other.vlans
            && self.filter == other.filter
    }

    pub(crate) fn outputs_to(&self, bundle: BundleId) -> bool {
        self.output == MirrorOutput::Port(bundle)
    }
}

/// Fills in which mirrors send to the same place.
pub fn settle_duplicates(mirrors: &mut [Mirror]) {
    let outputs: Vec<MirrorOutput> = mirrors.iter().map(|mirror| mirror.output).collect();
    for mirror in mirrors {
        let same = outputs.iter().enumerate().filter(|(_, output)| **output == mirror.output);
        mirror.duplicates = same.fold(0, |bits, (index, _)| bits | 1 << index);
    }
}
