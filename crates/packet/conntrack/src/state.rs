//! What a connection's protocol makes of its packets.

use crate::stage::{Stage, Verdict};
use crate::tcp::{Segment, Tcp};

/// What a packet begins with over IP, as far as protocols look at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upper {
    /// TCP.
    Tcp(Segment),
    /// A message of ICMP or ICMPv6, with its type.
    Icmp(u8),
    /// Others.
    Other,
}

/// The state that a protocol keeps of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// TCP.
    Tcp(Tcp),
    /// ICMP and ICMPv6: whether there was a reply.
    Icmp(bool),
    /// UDP and others.
    Other(Other),
}

/// How far a connection is whose protocol has no states that we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Other {
    /// One packet.
    First,
    /// Some of one direction.
    Multiple,
    /// Both directions.
    Both,
}

impl State {
    /// Of a connection that `upper` begins; `None` when it may not begin one.
    pub fn begin(upper: &Upper, is_v6: bool) -> Option<State> {
        match upper {
            Upper::Tcp(segment) => segment.may_begin().then(|| State::Tcp(Tcp::begin(segment))),
            Upper::Icmp(kind) => {
                let begins = if is_v6 { *kind == 128 } else { matches!(kind, 8 | 13 | 15) };
                begins.then_some(State::Icmp(false))
            }
            Upper::Other => Some(State::Other(Other::First)),
        }
    }

    /// The stage that a connection begins with.
    pub const fn first_stage(&self) -> Stage {
        match self {
            State::Tcp(_) => Stage::TcpSynSent,
            State::Icmp(_) => Stage::IcmpFirst,
            State::Other(_) => Stage::UdpFirst,
        }
    }

    /// Takes a packet into account. A stage comes with those that keep the connection alive.
    pub fn update(&mut self, upper: &Upper, is_reply: bool, checks: bool) -> (Verdict, Option<Stage>) {
        match (self, upper) {
            (State::Tcp(tcp), Upper::Tcp(segment)) => tcp.update(segment, is_reply, checks),
            (State::Tcp(_), Upper::Icmp(_) | Upper::Other) => (Verdict::Invalid, None),
            (State::Icmp(is_answered), _) => {
                *is_answered |= is_reply;
                if *is_answered {
                    (Verdict::Valid, Some(Stage::IcmpReply))
                } else {
                    (Verdict::StillNew, Some(Stage::IcmpFirst))
                }
            }
            (State::Other(other), _) => {
                *other = if is_reply || *other == Other::Both { Other::Both } else { Other::Multiple };
                match other {
                    Other::Both => (Verdict::Valid, Some(Stage::UdpMultiple)),
                    Other::First | Other::Multiple => (Verdict::StillNew, Some(Stage::UdpSingle)),
                }
            }
        }
    }
}
