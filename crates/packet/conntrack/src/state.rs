//! What a connection's protocol makes of its packets.

use crate::tcp::{Segment, Tcp};

/// How far a connection is, which decides how long it lives without packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Stage {
    /// TCP: one side has sent.
    TcpSynSent,
    /// TCP: both have sent.
    TcpSynRecv,
    /// TCP: both were acknowledged.
    TcpEstablished,
    /// TCP: one side has no more to send.
    TcpFinWait,
    /// TCP: neither has more to send.
    TcpTimeWait,
    /// TCP: the end was acknowledged, or the connection reset.
    TcpClose,
    /// Others: one packet was seen.
    UdpFirst,
    /// Others: some packets of one direction were seen.
    UdpSingle,
    /// Others: packets of both directions were seen.
    UdpMultiple,
    /// ICMP: requests were seen.
    IcmpFirst,
    /// ICMP: replies were seen.
    IcmpReply,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Stage; 11] = [
        Stage::TcpSynSent,
        Stage::TcpSynRecv,
        Stage::TcpEstablished,
        Stage::TcpFinWait,
        Stage::TcpTimeWait,
        Stage::TcpClose,
        Stage::UdpFirst,
        Stage::UdpSingle,
        Stage::UdpMultiple,
        Stage::IcmpFirst,
        Stage::IcmpReply,
    ];

    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::TcpSynSent => "tcp_syn_sent",
            Stage::TcpSynRecv => "tcp_syn_recv",
            Stage::TcpEstablished => "tcp_established",
            Stage::TcpFinWait => "tcp_fin_wait",
            Stage::TcpTimeWait => "tcp_time_wait",
            Stage::TcpClose => "tcp_close",
            Stage::UdpFirst => "udp_first",
            Stage::UdpSingle => "udp_single",
            Stage::UdpMultiple => "udp_multiple",
            Stage::IcmpFirst => "icmp_first",
            Stage::IcmpReply => "icmp_reply",
        }
    }

    /// The seconds that hold where no policy says anything.
    pub const fn default_seconds(self) -> u32 {
        match self {
            Stage::TcpSynSent | Stage::TcpSynRecv | Stage::TcpClose => 30,
            Stage::TcpEstablished => 24 * 60 * 60,
            Stage::TcpFinWait => 15 * 60,
            Stage::TcpTimeWait => 45,
            Stage::UdpFirst | Stage::UdpSingle | Stage::IcmpFirst => 60,
            Stage::UdpMultiple | Stage::IcmpReply => 30,
        }
    }
}

/// What a packet is to its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It belongs to a connection that both sides know.
    Valid,
    /// It belongs to it, but the other side has not answered.
    StillNew,
    /// It does not fit in.
    Invalid,
    /// It begins another connection of the same key; this one is over.
    Replaced,
}

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
