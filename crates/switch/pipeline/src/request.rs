//! What translation is asked, and what comes of it.

use std::sync::Arc;

use dp::{DropReason, SlowPath};
use flow::{FlowKey, FlowMask};
use ofp::Action;

use crate::effects::Effect;
use crate::frozen::{Fork, Frozen, FrozenId};
use crate::state::BridgeId;
use crate::trace::Node;
use crate::way::Output;

/// Where translation begins.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// With a lookup in table 0, or where a frozen state says.
    Lookup,
    /// With these actions, of a packet-out of a controller.
    Actions(&'a [Action]),
    /// Where a controller paused it.
    Resume(&'a Frozen),
}

/// Whether the way of the packet is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trace {
    #[default]
    Off,
    /// Ports by number.
    Numbers,
    /// Ports by name.
    Names,
}

/// What a key is translated for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A packet has it: faults of the rules that it meets are reported.
    Packet,
    /// An installed flow has it, whose faults were reported when its first packet came.
    Flow,
    /// Somebody asks what would happen: nothing is learned or sent because of it.
    Question,
}

impl Purpose {
    /// Whether nothing is done.
    pub(crate) fn is_question(self) -> bool {
        self == Purpose::Question
    }
}

/// What is asked.
#[derive(Debug)]
pub struct Request<'a> {
    pub bridge: BridgeId,
    /// The packet's key; its `in_port` is an OpenFlow port.
    pub key: &'a FlowKey,
    pub start: Start<'a>,
    pub purpose: Purpose,
    pub trace: Trace,
    /// The packet, if there is one: of what is in it that the key has not, only traces tell, and its length counts where the
    /// datapath cannot look at that.
    pub packet: Option<&'a [u8]>,
}

/// What comes of it.
#[derive(Debug)]
pub struct Translation {
    /// Empty only when the packet is a protocol's: one with which nothing is to be done is dropped by an action that says
    /// why.
    pub actions: Vec<dp::Action>,
    /// The bits of the key that the outcome depended on.
    pub mask: FlowMask,
    /// The mask without the options that the packet came with and leaves with, if it does.
    pub matched: Option<Box<FlowMask>>,
    /// In the order in which they are to be applied.
    pub effects: Vec<Effect>,
    /// Why the actions can't be cached, if anything.
    pub slow: SlowPath,
    /// A rule is to be learned of which there may be few, and it is not there: who has it depends on whose packet comes first.
    pub competes: bool,
    /// Where the packet went.
    pub output: Output,
    /// The states that the actions refer to; they live as long as these handles.
    pub frozen: Vec<Arc<FrozenId>>,
    /// The copies that go on from [`Translation::frozen`] states after connection tracking; empty unless a trace is asked for.
    pub forks: Vec<Fork>,
    /// Empty unless asked for.
    pub trace: Vec<Node>,
    /// The key as it was in the end.
    pub final_key: FlowKey,
    /// Why the packet is dropped, when it is for a fault.
    pub error: Option<Error>,
    /// What is wrong with the rules that the packet met, each with the bridge and the packet, for the log.
    /// The trace has it too; where there is one, nothing stands here.
    pub faults: Vec<String>,
}

/// A fault of the rules; the packet is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("Bridge not found")]
    BridgeNotFound,
    #[error("Recursion too deep")]
    RecursionTooDeep,
    #[error("Too many resubmits")]
    TooManyResubmits,
    #[error("Stack too deep")]
    StackTooDeep,
    #[error("No recirculation context")]
    NoRecirculationContext,
    #[error("Too many MPLS labels")]
    TooManyMplsLabels,
    #[error("Unsupported packet type")]
    UnsupportedPacketType,
}

impl Error {
    /// Whether packets that are alike will meet the fault too, for as long as the bridges stay as they are: then a flow
    /// may drop them. A state to go on with may come any time.
    pub fn may_be_cached(self) -> bool {
        match self {
            Error::RecursionTooDeep
            | Error::TooManyResubmits
            | Error::StackTooDeep
            | Error::TooManyMplsLabels
            | Error::UnsupportedPacketType => true,
            Error::BridgeNotFound | Error::NoRecirculationContext => false,
        }
    }

    /// The reason that the packet is dropped for.
    pub fn drop_reason(self) -> DropReason {
        match self {
            Error::BridgeNotFound => DropReason::BridgeNotFound,
            Error::RecursionTooDeep => DropReason::RecursionTooDeep,
            Error::TooManyResubmits => DropReason::TooManyResubmits,
            Error::StackTooDeep => DropReason::StackTooDeep,
            Error::NoRecirculationContext => DropReason::NoRecirculationContext,
            Error::TooManyMplsLabels => DropReason::TooManyMplsLabels,
            Error::UnsupportedPacketType => DropReason::UnsupportedPacketType,
        }
    }
}

impl Translation {
    pub(crate) fn failed(key: &FlowKey, error: Error) -> Translation {
        Translation {
            actions: vec![dp::Action::Drop(error.drop_reason())],
            mask: FlowMask::exact(),
            matched: None,
            effects: Vec::new(),
            slow: SlowPath::default(),
            competes: false,
            output: Output::Drop,
            frozen: Vec::new(),
            forks: Vec::new(),
            trace: Vec::new(),
            final_key: key.clone(),
            error: Some(error),
            faults: Vec::new(),
        }
    }
}
