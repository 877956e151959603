//! How far connections are, and what packets are to them.

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
