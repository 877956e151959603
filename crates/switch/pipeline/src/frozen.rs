//! What is kept of an interrupted translation.

use base::TableId;
use dp::HashAlgorithm;
use ofp::{Action, Controller};

use crate::state::{BridgeId, BundleId};

/// An interrupted translation, and all that it needs to go on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Frozen {
    pub bridge: BridgeId,
    /// The table that was at work.
    pub table: TableId,
    /// The table in which the packet is looked up when it comes back from connection tracking; then nothing else is left to do.
    pub lookup: Option<TableId>,
    /// The values that headers do not hold: registers, metadata, tunnel, the OpenFlow `in_port`.
    pub metadata: flow::SparseKey,
    /// Values, each followed by its width in bytes.
    pub stack: Vec<u8>,
    pub action_set: Vec<Action>,
    /// What is left to do, innermost first.
    pub frames: Vec<Frame>,
    pub conntracked: bool,
    /// Whether the datapath had computed a hash of the packet, or was asked to.
    pub has_hash: bool,
    /// The mirrors that have had the packet.
    pub mirrors: u32,
    /// Opaque bytes for the controller.
    pub userdata: Vec<u8>,
    /// What is left is to send the packet by the member of this bond that its hash chooses.
    pub bond: Option<BundleId>,
}

/// The rest of one list of actions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Frame {
    pub table: TableId,
    pub cookie: u64,
    pub actions: Vec<Action>,
}

/// A frozen state with its number.
#[derive(Debug)]
pub struct FrozenId {
    pub id: u32,
    pub frozen: Frozen,
}

/// A copy of the packet that goes on when it comes back from connection tracking, for who wants to follow it.
#[derive(Clone, Debug)]
pub struct Fork {
    /// The packet as it went, with the number of its state and its zone.
    pub key: flow::FlowKey,
    /// How its addresses are translated.
    pub nat: Option<ofp::Nat>,
}

/// A freeze under way: lists are being left.
#[derive(Debug, Default)]
pub(crate) struct Freeze {
    pub frames: Vec<Frame>,
    /// The hash that the datapath is to compute.
    pub hash: Option<(HashAlgorithm, u32)>,
    /// The controller that the packet waits for.
    pub pause: Option<Controller>,
}
