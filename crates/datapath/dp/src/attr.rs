//! The groups in which a datapath key is written and set.

use flow::{FlowMask, Slot, slot};

/// A group of key fields that datapath text shows together, as `name(…)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Attr {
    RecircId,
    DpHash,
    Priority,
    Tunnel,
    InPort,
    SkbMark,
    CtState,
    CtZone,
    CtMark,
    CtLabel,
    CtTuple4,
    CtTuple6,
    PacketType,
    Ethernet,
    Vlan,
    EthType,
    Ipv4,
    Ipv6,
    Arp,
    Mpls,
    Nsh,
    Tcp,
    TcpFlags,
    Udp,
    Sctp,
    Icmp,
    Icmpv6,
    Nd,
    NdExt,
}

const fn all(s: Slot) -> (Slot, u128) {
    (s, s.ones())
}

impl Attr {
    pub const fn name(self) -> &'static str {
        match self {
            Attr::RecircId => "recirc_id",
            Attr::DpHash => "dp_hash",
            Attr::Priority => "skb_priority",
            Attr::Tunnel => "tunnel",
            Attr::InPort => "in_port",
            Attr::SkbMark => "skb_mark",
            Attr::CtState => "ct_state",
            Attr::CtZone => "ct_zone",
            Attr::CtMark => "ct_mark",
            Attr::CtLabel => "ct_label",
            Attr::CtTuple4 => "ct_tuple4",
            Attr::CtTuple6 => "ct_tuple6",
            Attr::PacketType => "packet_type",
            Attr::Ethernet => "eth",
            Attr::Vlan => "vlan",
            Attr::EthType => "eth_type",
            Attr::Ipv4 => "ipv4",
            Attr::Ipv6 => "ipv6",
            Attr::Arp => "arp",
            Attr::Mpls => "mpls",
            Attr::Nsh => "nsh",
            Attr::Tcp => "tcp",
            Attr::TcpFlags => "tcp_flags",
            Attr::Udp => "udp",
            Attr::Sctp => "sctp",
            Attr::Icmp => "icmp",
            Attr::Icmpv6 => "icmpv6",
            Attr::Nd => "nd",
            Attr::NdExt => "nd_ext",
        }
    }

    /// The slots of the group, each with the bits that count there.
    pub fn slots(self) -> &'static [(Slot, u128)] {
        const PORTS: &[(Slot, u128)] = &[all(slot::TP_SRC), all(slot::TP_DST)];
        const KIND: &[(Slot, u128)] = &[(slot::TP_SRC, 0xff), (slot::TP_DST, 0xff)];
        match self {
            Attr::RecircId => const { &[all(slot::RECIRC_ID)] },
            Attr::DpHash => const { &[all(slot::DP_HASH)] },
            Attr::Priority => const { &[all(slot::SKB_PRIORITY)] },
            Attr::Tunnel => TUNNEL,
            Attr::InPort => const { &[all(slot::IN_PORT)] },
            Attr::SkbMark => const { &[all(slot::PKT_MARK)] },
            Attr::CtState => const { &[all(slot::CT_STATE)] },
            Attr::CtZone => const { &[all(slot::CT_ZONE)] },
            Attr::CtMark => const { &[all(slot::CT_MARK)] },
            Attr::CtLabel => const { &[all(slot::CT_LABEL)] },
            Attr::CtTuple4 => CT_TUPLE4,
            Attr::CtTuple6 => CT_TUPLE6,
            Attr::PacketType => const { &[all(slot::PACKET_TYPE)] },
            Attr::Ethernet => const { &[all(slot::DL_SRC), all(slot::DL_DST)] },
            Attr::Vlan => const { &[all(slot::VLAN0_TCI)] },
            Attr::EthType => const { &[all(slot::DL_TYPE)] },
            Attr::Ipv4 => IPV4,
            Attr::Ipv6 => IPV6,
            Attr::Arp => ARP,
            Attr::Mpls => const { &[all(slot::MPLS0)] },
            Attr::Nsh => NSH,
            Attr::Tcp | Attr::Udp | Attr::Sctp => PORTS,
            Attr::TcpFlags => const { &[(slot::TCP_FLAGS, 0xfff)] },
            Attr::Icmp | Attr::Icmpv6 => KIND,
            Attr::Nd => const { &[all(slot::ND_TARGET), all(slot::ARP_SHA), all(slot::ARP_THA)] },
            Attr::NdExt => const { &[all(slot::ND_RESERVED), all(slot::ND_OPTIONS_TYPE)] },
        }
    }

    /// Whether `mask` names every bit of the group.
    pub fn is_exact(self, mask: &FlowMask) -> bool {
        self.slots().iter().all(|&(slot, ones)| match slot {
            slot::NW_FRAG => mask.bits(slot) & 1 != 0,
            _ => mask.bits(slot) & ones == ones,
        })
    }

    /// Whether `mask` names no bit of the group.
    pub fn is_wild(self, mask: &FlowMask) -> bool {
        self.slots().iter().all(|&(slot, ones)| mask.bits(slot) & ones == 0)
    }
}

const TUNNEL: &[(Slot, u128)] = &[
    all(slot::TUN_ID),
    all(slot::TUN_SRC),
    all(slot::TUN_DST),
    all(slot::TUN_IPV6_SRC),
    all(slot::TUN_IPV6_DST),
    all(slot::TUN_FLAGS),
    all(slot::TUN_TOS),
    all(slot::TUN_TTL),
    all(slot::TUN_TP_SRC),
    all(slot::TUN_TP_DST),
    all(slot::TUN_GBP_ID),
    all(slot::TUN_GBP_FLAGS),
    all(slot::TUN_ERSPAN_VER),
    all(slot::TUN_ERSPAN_DIR),
    all(slot::TUN_ERSPAN_HWID),
    all(slot::TUN_ERSPAN_IDX),
    all(slot::TUN_GTPU_FLAGS),
    all(slot::TUN_GTPU_MSGTYPE),
];

const CT_TUPLE4: &[(Slot, u128)] = &[
    all(slot::CT_NW_SRC),
    all(slot::CT_NW_DST),
    all(slot::CT_NW_PROTO),
    all(slot::CT_TP_SRC),
    all(slot::CT_TP_DST),
];

const CT_TUPLE6: &[(Slot, u128)] = &[
    all(slot::CT_IPV6_SRC),
    all(slot::CT_IPV6_DST),
    all(slot::CT_NW_PROTO),
    all(slot::CT_TP_SRC),
    all(slot::CT_TP_DST),
];

const IPV4: &[(Slot, u128)] = &[
    all(slot::NW_SRC),
    all(slot::NW_DST),
    all(slot::NW_PROTO),
    all(slot::NW_TOS),
    all(slot::NW_TTL),
    all(slot::NW_FRAG),
];

const IPV6: &[(Slot, u128)] = &[
    all(slot::IPV6_SRC),
    all(slot::IPV6_DST),
    (slot::IPV6_LABEL, 0xfffff),
    all(slot::NW_PROTO),
    all(slot::NW_TOS),
    all(slot::NW_TTL),
    all(slot::NW_FRAG),
];

const ARP: &[(Slot, u128)] =
    &[all(slot::NW_SRC), all(slot::NW_DST), all(slot::NW_PROTO), all(slot::ARP_SHA), all(slot::ARP_THA)];

const NSH: &[(Slot, u128)] = &[
    all(slot::NSH_FLAGS),
    all(slot::NSH_TTL),
    all(slot::NSH_MDTYPE),
    all(slot::NSH_NP),
    all(slot::NSH_SPI),
    all(slot::NSH_SI),
    all(slot::NSH_C1),
    all(slot::NSH_C2),
    all(slot::NSH_C3),
    all(slot::NSH_C4),
];
