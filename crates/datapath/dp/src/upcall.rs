//! The door through which a datapath asks what to do with a packet.

use std::sync::Arc;

use base::Timestamp;
use flow::{FlowKey, FlowMask};

use crate::{Action, DropReason, Flow, Packet, Ufid, Userspace, WorkerId};

/// A packet on its way up.
#[derive(Debug)]
pub struct UpcallPacket<'a> {
    /// May be read and, before actions run, changed.
    pub packet: &'a mut Packet,
    /// The packet's key, `in_port` being a datapath port.
    pub key: &'a FlowKey,
    /// The id that a megaflow installed for exactly this key gets.
    pub ufid: Ufid,
    /// Whose table that megaflow goes into.
    pub worker: WorkerId,
    /// When it came.
    pub now: Timestamp,
}

/// What is to be done with a packet that no flow matched.
#[derive(Clone, Debug)]
pub struct UpcallOutcome {
    /// Run on the packet now and, when installed, on those that follow.
    pub actions: Arc<[Action]>,
    /// What the choice depended on.
    pub mask: FlowMask,
    /// Install a megaflow of key and mask with these actions.
    pub install: bool,
    /// Other actions for the megaflow than for this packet, for slow-path flows.
    pub install_actions: Option<Arc<[Action]>>,
    /// The version of the rules that the choice was made by; see [`Upcall::fence`].
    pub version: u64,
}

impl UpcallOutcome {
    /// Drops this packet for `reason` and installs nothing.
    pub fn drop_packet(reason: DropReason) -> UpcallOutcome {
        UpcallOutcome {
            actions: Arc::new([Action::Drop(reason)]),
            mask: FlowMask::exact(),
            install: false,
            install_actions: None,
            version: 0,
        }
    }
}

/// The versions that flows must have at least.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fence {
    /// All flows.
    pub all: u64,
    /// Those whose packets go up, which are then treated by the rules that there are: rules alone do not move it.
    pub going_up: u64,
}

/// Who has to know of the fence: called with [`Fence::all`] whenever that has moved. Must not block.
pub type FenceWatcher = Box<dyn Fn(u64) + Send + Sync>;

/// What stands behind the door: `flowsync`.
///
/// Called by workers, several at once, with no lock of the datapath held. An
/// implementation may call the [`crate::Datapath`] that calls it, and shall
/// not block for long: the packets behind this one wait.
pub trait Upcall: Send + Sync {
    /// The versions that flows must have at least. A packet that matches an older flow may be treated by rules that are
    /// gone, so that flow is given to [`Upcall::check`] first. Read once for each batch of packets, after they were
    /// received: whoever moves the fence and then sends a packet knows that no older flow is used for it.
    fn fence(&self) -> Fence {
        Fence::default()
    }

    /// Finds out what a flow that is older than the fence should do now, and confirms, changes or removes it in the
    /// datapath.
    fn check(&self, _flow: &Flow) {}

    /// A packet that no flow matched.
    fn miss(&self, upcall: &mut UpcallPacket<'_>) -> UpcallOutcome;

    /// Whether a packet that comes to this [`Action::Userspace`] step can be handed over at all. Where it can't, that is
    /// counted, and [`Upcall::userspace`] need not be called, for which the packet would have to be read.
    fn has_room(&self, _action: &Userspace) -> bool {
        true
    }

    /// A packet that came to a [`Action::Userspace`] step. `rest` are the
    /// steps behind it when it asked for them. The actions returned are run
    /// on the packet, apart from the steps that follow; none where the packet
    /// has reached whom it was for. One that could not be handed on is dropped
    /// by an action that says why.
    fn userspace(
        &self,
        upcall: &mut UpcallPacket<'_>,
        action: &Userspace,
        rest: &[Action],
    ) -> Option<Arc<[Action]>>;
}
