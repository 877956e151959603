//! The state of one translation: the packet as rules see it, where the walk through the tables is, and what has come of it.

use std::fmt;
use std::sync::Arc;

use base::{OfPort, TableId};
use dp::{DropReason, SlowPath};
use flow::{FlowKey, FlowMask, ct_state};
use ofp::{Action, PacketInReason};

use crate::effects::Effect;
use crate::exports::Export;
use crate::frozen::{Fork, Freeze, FrozenId};
use crate::request::{Error, Purpose, Request, Trace};
use crate::state::Rule;
use crate::trace::{Kind, Recorder};
use crate::view::{BridgeView, View};
use crate::way::Output;

/// So many faults of one packet are reported.
const MAX_FAULTS: usize = 4;

/// One translation. Each module adds the part of its `impl` that it is about; one that needs a part alone is about that.
pub(crate) struct Context<'a> {
    pub view: &'a dyn View,
    pub request: &'a Request<'a>,
    pub packet: PacketState,
    pub walk: Walk<'a>,
    pub course: Course,
    pub out: Outcome,
}

/// The packet as rules see it now, with all that OpenFlow has it carry from rule to rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct PacketState {
    pub key: FlowKey,
    /// Values, each followed by its width in bytes.
    pub stack: Vec<u8>,
    pub action_set: Vec<Action>,
    /// The last label was popped: what is under it is not in the key.
    pub was_mpls: bool,
    /// A header that the key has already, and the packet gets with the next commit; or the other way round.
    pub pending: Option<Pending>,
    /// Connection tracking has said what the key has of it.
    pub conntracked: bool,
}

/// What `encap` or `decap` made of the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Pending {
    /// An Ethernet header.
    Ethernet,
    /// A network service header, with its metadata if that is of variable length.
    Nsh(Box<[u8]>),
    /// A label before all else, where there were `below` labels.
    Mpls { below: usize },
    /// The outermost header is taken off.
    Decap,
}

/// Where the walk through bridges, tables and lists of actions is.
#[derive(Clone)]
pub(crate) struct Walk<'a> {
    pub bridge: &'a dyn BridgeView,
    pub table: TableId,
    /// The rule at hand.
    pub rule: Option<Arc<Rule>>,
    /// Its cookie, all ones where there is no rule.
    pub cookie: u64,
    /// How many lookups, groups and bridges are open.
    pub depth: u32,
    pub list: List,
    /// Bytes of what is sent to a mirror, if it does not get all.
    pub snaplen: Option<u16>,
    /// What is output now is shortened to so many bytes that a rule says.
    pub shortens: bool,
}

/// Which list of actions is being run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum List {
    Rule,
    ActionSet,
    /// That of a group's bucket, where a rule, or the action set, names the group.
    Bucket {
        in_action_set: bool,
    },
}

/// Whether the next action of the lists at hand is run.
#[derive(Debug, Default)]
pub(crate) enum Course {
    #[default]
    On,
    /// All lists are left.
    Exit,
    /// All lists are left, and what is left of them is kept for later.
    Freeze(Freeze),
}

/// What has come of the packet.
pub(crate) struct Outcome {
    /// The packet as the datapath has it after `actions`.
    pub base: FlowKey,
    pub mask: FlowMask,
    pub actions: Vec<dp::Action>,
    pub effects: Vec<Effect>,
    /// The states that the actions refer to.
    pub frozen: Vec<Arc<FrozenId>>,
    /// Those that a trace follows.
    pub forks: Vec<Fork>,
    pub slow: SlowPath,
    /// [`crate::Translation::competes`].
    pub competes: bool,
    /// The datapath can set some bits of a header; else all of it is set, and matched.
    pub sets_some_bits: bool,
    /// The datapath can put labels before the Ethernet header.
    pub adds_labels: bool,
    pub output: Output,
    pub export: Export,
    /// The packet went from a tunnel into one that has options: those that it came with are its own.
    pub carries_options: bool,
    /// There are samples among the actions.
    pub has_samples: bool,
    /// The mirrors that have had the packet as it is, by bit.
    pub mirrored: u32,
    /// Lookups so far.
    pub resubmits: u32,
    /// Why the packet, or a copy of it, last went nowhere: the reason for which it is dropped if nothing is done with it.
    pub lost: DropReason,
    /// The packet, or a copy of it, went to a protocol.
    pub is_taken: bool,
    pub error: Option<Error>,
    pub faults: Vec<String>,
    pub record: Recorder,
}

impl List {
    /// The list of a bucket of a group that this one names.
    pub(crate) fn bucket(self) -> List {
        List::Bucket { in_action_set: self.outside_buckets() == List::ActionSet }
    }

    /// The list that named the group.
    pub(crate) fn outside_buckets(self) -> List {
        match self {
            List::Bucket { in_action_set: true } => List::ActionSet,
            List::Bucket { in_action_set: false } => List::Rule,
            List::Rule | List::ActionSet => self,
        }
    }

    /// What controllers are given as the reason for a packet that the list outputs to them.
    pub(crate) fn packet_in_reason(self) -> PacketInReason {
        match self {
            List::Rule => PacketInReason::Action,
            List::ActionSet => PacketInReason::ActionSet,
            List::Bucket { .. } => PacketInReason::Group,
        }
    }
}

impl Course {
    pub(crate) fn is_on(&self) -> bool {
        matches!(self, Course::On)
    }

    pub(crate) fn freeze(&mut self) -> Option<&mut Freeze> {
        match self {
            Course::Freeze(freeze) => Some(freeze),
            Course::On | Course::Exit => None,
        }
    }
}

impl Outcome {
    pub(crate) fn detail(&mut self, text: impl FnOnce() -> String) {
        self.record.line(Kind::Detail, text);
    }

    pub(crate) fn warning(&mut self, text: impl FnOnce() -> String) {
        self.record.line(Kind::Warning, text);
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        view: &'a dyn View,
        bridge: &'a dyn BridgeView,
        request: &'a Request<'a>,
    ) -> Context<'a> {
        let mut key = request.key.clone();
        key.set_actset_output(OfPort::UNSET.0);
        let out = Outcome {
            base: key.clone(),
            mask: FlowMask::new(),
            actions: Vec::new(),
            effects: Vec::new(),
            frozen: Vec::new(),
            forks: Vec::new(),
            slow: SlowPath::default(),
            competes: false,
            sets_some_bits: bridge.capabilities().masked_set,
            adds_labels: bridge.capabilities().add_mpls,
            output: Output::Drop,
            export: Export::default(),
            carries_options: false,
            has_samples: false,
            mirrored: 0,
            resubmits: 0,
            lost: DropReason::Pipeline,
            is_taken: false,
            error: None,
            faults: Vec::new(),
            record: Recorder::new(request.trace != Trace::Off),
        };
        let walk = Walk {
            bridge,
            table: TableId(0),
            rule: None,
            cookie: u64::MAX,
            depth: 0,
            list: List::Rule,
            snaplen: None,
            shortens: false,
        };
        let conntracked = key.ct_state() & ct_state::TRACKED != 0;
        let packet = PacketState { key, conntracked, ..PacketState::default() };
        Context { view, request, packet, walk, course: Course::On, out }
    }

    /// Whether somebody only asks what would happen.
    pub(crate) fn is_question(&self) -> bool {
        self.request.purpose.is_question()
    }

    pub(crate) fn detail(&mut self, text: impl FnOnce() -> String) {
        self.out.detail(text);
    }

    pub(crate) fn warning(&mut self, text: impl FnOnce() -> String) {
        self.out.warning(text);
    }

    /// Something is wrong with the rules: reported in the trace, or else to whoever keeps the log.
    pub(crate) fn fault(&mut self, text: impl FnOnce() -> String) {
        if self.out.record.is_on() {
            self.out.record.line(Kind::Error, text);
        } else if self.request.purpose == Purpose::Packet && self.out.faults.len() < MAX_FAULTS {
            let packet = crate::report::describe(&self.out.base, None);
            let bridge = self.walk.bridge.name();
            self.out.faults.push(format!("{} on bridge {bridge} while processing {packet}", text()));
        }
    }

    /// Notes why the packet, or a copy of it, goes nowhere here.
    pub(crate) fn lost(&mut self, reason: DropReason) -> &mut Self {
        self.out.lost = reason;
        self
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, key) = (&self.walk.table, &self.packet.key);
        f.debug_struct("Context").field("table", table).field("key", key).finish_non_exhaustive()
    }
}
