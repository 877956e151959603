//! Packets to and from controllers.

use base::OfPort;
use fields::Match;

use crate::Action;

/// Why a packet is sent to the controller (`OFPR_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketInReason {
    /// No rule matched, or only the table-miss rule.
    NoMatch,
    /// An output to the controller in a rule (`OFPR_APPLY_ACTION` in OpenFlow 1.4+).
    Action,
    /// A TTL ran out (OpenFlow 1.2+; Nicira extension before).
    InvalidTtl,
    /// An output in an action set (OpenFlow 1.4+; `Action` before).
    ActionSet,
    /// An output in a group's bucket (OpenFlow 1.4+; `Action` before).
    Group,
    /// An output in a packet-out (OpenFlow 1.4+; `Action` before).
    PacketOut,
    /// Not of the standard: an explicit `controller` action in a table-miss rule.
    ExplicitMiss,
    /// Not of the standard: no rule at all matched.
    ImplicitMiss,
    /// A number that has no name.
    Other(u8),
}

impl PacketInReason {
    /// The `OFPR_*` number; 6 and 7 for the two that are not of the standard.
    pub const fn number(self) -> u8 {
        match self {
            PacketInReason::NoMatch => 0,
            PacketInReason::Action => 1,
            PacketInReason::InvalidTtl => 2,
            PacketInReason::ActionSet => 3,
            PacketInReason::Group => 4,
            PacketInReason::PacketOut => 5,
            PacketInReason::ExplicitMiss => 6,
            PacketInReason::ImplicitMiss => 7,
            PacketInReason::Other(number) => number,
        }
    }

    /// The reason of an `OFPR_*` number; never fails.
    pub const fn from_number(number: u8) -> PacketInReason {
        match number {
            0 => PacketInReason::NoMatch,
            1 => PacketInReason::Action,
            2 => PacketInReason::InvalidTtl,
            3 => PacketInReason::ActionSet,
            4 => PacketInReason::Group,
            5 => PacketInReason::PacketOut,
            6 => PacketInReason::ExplicitMiss,
            7 => PacketInReason::ImplicitMiss,
            other => PacketInReason::Other(other),
        }
    }
}

/// How packet-ins are written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum PacketInFormat {
    /// `OFPT_PACKET_IN` of the version.
    #[default]
    Standard = 0,
    /// `NXT_PACKET_IN`: metadata as NXM.
    Nxt = 1,
    /// `NXT_PACKET_IN2`: properties, with userdata and continuation.
    Nxt2 = 2,
}

/// A packet for the controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketIn {
    /// The packet, or its beginning.
    pub packet: Vec<u8>,
    /// Length of the whole packet.
    pub total_len: usize,
    /// By which a message can name the packet; [`super::NO_BUFFER`]: not buffered.
    pub buffer_id: u32,
    /// in_port and other metadata.
    pub metadata: Match,
    /// Sent as the nearest reason that the version has.
    pub reason: PacketInReason,
    /// The table that sent it; 0 in forms that do not say it.
    pub table: u8,
    /// `u64::MAX` when no rule sent it.
    pub cookie: u64,
    /// Of the `controller` action; empty but in `NXT_PACKET_IN2`.
    pub userdata: Vec<u8>,
    /// Where to resume, when the packet is paused.
    pub continuation: Option<Box<Continuation>>,
}

/// The state of a paused packet (`NXCPT_*`): opaque to controllers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Continuation {
    /// As it came; set on decoding and preferred on encoding a resume.
    pub raw: Vec<u8>,
    /// The UUID of the bridge that paused the packet.
    pub bridge: Option<[u8; 16]>,
    /// Values, the top last; each as many bytes as were pushed.
    pub stack: Vec<Vec<u8>>,
    /// Mirrors that have a copy already: bit `n` for mirror `n`.
    pub mirrors: u32,
    /// Whether the packet has been through connection tracking.
    pub conntracked: bool,
    /// What is left to do, innermost first.
    pub frames: Vec<ContinuationFrame>,
    /// What `write_actions` has gathered.
    pub action_set: Vec<Action>,
    /// The datapath's number of the input port.
    pub odp_port: Option<u32>,
}

/// The rest of one list of actions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContinuationFrame {
    /// The table and the cookie of the rule that the list is of.
    pub rule: Option<(u8, u64)>,
    /// Actions and instructions, the next one first.
    pub actions: Vec<Action>,
}

/// A packet from the controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketOut {
    /// Empty when `buffer_id` names a packet.
    pub packet: Vec<u8>,
    /// [`super::NO_BUFFER`]: the packet is in the message.
    pub buffer_id: u32,
    /// in_port and other metadata.
    pub metadata: Match,
    /// Actions only, no instructions; none drops.
    pub actions: Vec<Action>,
}

impl PacketOut {
    /// The port that the packet counts as received on; may be `CONTROLLER`.
    pub fn in_port(&self) -> OfPort {
        OfPort(self.metadata.key.in_port())
    }
}

impl PacketInReason {
    const NAMES: [&str; 6] = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];

    /// The reason called `name`.
    pub fn from_name(name: &str) -> Option<PacketInReason> {
        let at = PacketInReason::NAMES.iter().position(|n| n.eq_ignore_ascii_case(name))?;
        Some(PacketInReason::from_number(at as u8))
    }
}

/// The name; the two kinds of misses have none, unknown ones are numbers.
impl std::fmt::Display for PacketInReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PacketInReason::ExplicitMiss | PacketInReason::ImplicitMiss => Ok(()),
            PacketInReason::Other(number) => write!(f, "{number}"),
            known @ (PacketInReason::NoMatch
            | PacketInReason::Action
            | PacketInReason::InvalidTtl
            | PacketInReason::ActionSet
            | PacketInReason::Group
            | PacketInReason::PacketOut) => f.write_str(PacketInReason::NAMES[usize::from(known.number())]),
        }
    }
}
