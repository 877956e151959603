//! The groups in which a datapath key is written, read and set: the one table of them and of their fields.

use flow::{FlowMask, Slot, slot};
use wire::{ethernet, protocol};

/// How the value of a field is written and read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// A number, written in decimal.
    Decimal,
    /// A number, written as `%#x`: hexadecimal with 0x, but zero is `0`.
    Hex,
    /// A number, written in hexadecimal with 0x always.
    Prefixed,
    /// An IPv4 address.
    Ip4,
    /// An IPv6 address.
    Ip6,
    /// An Ethernet address.
    Mac,
    /// `no`, `first` or `later`.
    Fragment,
    /// The group has a form of its own.
    Own,
}

/// The form of a group in text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Each field as `name=value`, in order.
    Fields,
    /// The value of the one field, in hexadecimal.
    Number,
    CtState,
    CtLabel,
    EthType,
    InPort,
    Labels,
    NdExt,
    Nsh,
    PacketType,
    TcpFlags,
    Tunnel,
    Vlan,
}

/// A field of a group.
#[derive(Debug)]
pub(crate) struct Field {
    /// In text, `name=value`.
    pub(crate) name: &'static str,
    pub(crate) slot: Slot,
    /// The bits of the slot that count.
    pub(crate) ones: u128,
    pub(crate) style: Style,
}

const fn field(name: &'static str, slot: Slot, style: Style) -> Field {
    Field { name, slot, ones: slot.ones(), style }
}

/// A field of which only `ones` count.
const fn narrow(name: &'static str, slot: Slot, ones: u128, style: Style) -> Field {
    Field { name, slot, ones, style }
}

/// A value that is written in a form of the group's own.
const fn own(slot: Slot) -> Field {
    Field { name: "", slot, ones: slot.ones(), style: Style::Own }
}

macro_rules! attrs {
    ($($(#[$doc:meta])* $attr:ident $name:literal $form:ident [$($field:expr),* $(,)?];)*) => {
        /// A group of key fields that datapath text shows together, as `name(…)`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Attr {
            $($(#[$doc])* $attr,)*
        }

        impl Attr {
            /// Every group.
            pub const ALL: &[Attr] = &[$(Attr::$attr),*];

            /// The name of the group in text.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Attr::$attr => $name,)*
                }
            }

            /// The form of the group in text.
            pub(crate) const fn form(self) -> Form {
                match self {
                    $(Attr::$attr => Form::$form,)*
                }
            }

            /// The fields of the group, in the order of the text.
            pub(crate) const fn fields(self) -> &'static [Field] {
                match self {
                    $(Attr::$attr => const { &[$($field),*] },)*
                }
            }
        }
    };
}

attrs! {
    /// Where translation goes on.
    RecircId "recirc_id" Number [own(slot::RECIRC_ID)];
    /// The hash that the datapath computed.
    DpHash "dp_hash" Number [own(slot::DP_HASH)];
    /// The queueing priority.
    Priority "skb_priority" Number [own(slot::SKB_PRIORITY)];
    /// The tunnel that the packet came out of, or goes into; its options come with it.
    Tunnel "tunnel" Tunnel [
        own(slot::TUN_ID),
        own(slot::TUN_SRC),
        own(slot::TUN_DST),
        own(slot::TUN_IPV6_SRC),
        own(slot::TUN_IPV6_DST),
        own(slot::TUN_FLAGS),
        own(slot::TUN_TOS),
        own(slot::TUN_TTL),
        own(slot::TUN_TP_SRC),
        own(slot::TUN_TP_DST),
        own(slot::TUN_GBP_ID),
        own(slot::TUN_GBP_FLAGS),
        own(slot::TUN_ERSPAN_VER),
        own(slot::TUN_ERSPAN_DIR),
        own(slot::TUN_ERSPAN_HWID),
        own(slot::TUN_ERSPAN_IDX),
        own(slot::TUN_GTPU_FLAGS),
        own(slot::TUN_GTPU_MSGTYPE),
    ];
    /// The datapath port of arrival.
    InPort "in_port" InPort [own(slot::IN_PORT)];
    /// The packet mark.
    SkbMark "skb_mark" Number [own(slot::PKT_MARK)];
    /// The state of the connection.
    CtState "ct_state" CtState [own(slot::CT_STATE)];
    /// The zone in which the connection is tracked.
    CtZone "ct_zone" Number [own(slot::CT_ZONE)];
    /// The mark of the connection.
    CtMark "ct_mark" Number [own(slot::CT_MARK)];
    /// The label of the connection.
    CtLabel "ct_label" CtLabel [own(slot::CT_LABEL)];
    /// The addresses with which an IPv4 connection began.
    CtTuple4 "ct_tuple4" Fields [
        field("src", slot::CT_NW_SRC, Style::Ip4),
        field("dst", slot::CT_NW_DST, Style::Ip4),
        field("proto", slot::CT_NW_PROTO, Style::Decimal),
        field("tp_src", slot::CT_TP_SRC, Style::Decimal),
        field("tp_dst", slot::CT_TP_DST, Style::Decimal),
    ];
    /// The addresses with which an IPv6 connection began.
    CtTuple6 "ct_tuple6" Fields [
        field("src", slot::CT_IPV6_SRC, Style::Ip6),
        field("dst", slot::CT_IPV6_DST, Style::Ip6),
        field("proto", slot::CT_NW_PROTO, Style::Decimal),
        field("src_port", slot::CT_TP_SRC, Style::Decimal),
        field("dst_port", slot::CT_TP_DST, Style::Decimal),
    ];
    /// What the packet begins with, Ethernet or another.
    PacketType "packet_type" PacketType [own(slot::PACKET_TYPE)];
    /// The Ethernet addresses.
    Ethernet "eth" Fields [field("src", slot::DL_SRC, Style::Mac), field("dst", slot::DL_DST, Style::Mac)];
    /// The outermost VLAN tag.
    Vlan "vlan" Vlan [own(slot::VLAN0_TCI)];
    /// The Ethernet type behind the tags.
    EthType "eth_type" EthType [own(slot::DL_TYPE)];
    /// The IPv4 header.
    Ipv4 "ipv4" Fields [
        field("src", slot::NW_SRC, Style::Ip4),
        field("dst", slot::NW_DST, Style::Ip4),
        field("proto", slot::NW_PROTO, Style::Decimal),
        field("tos", slot::NW_TOS, Style::Hex),
        field("ttl", slot::NW_TTL, Style::Decimal),
        field("frag", slot::NW_FRAG, Style::Fragment),
    ];
    /// The IPv6 header.
    Ipv6 "ipv6" Fields [
        field("src", slot::IPV6_SRC, Style::Ip6),
        field("dst", slot::IPV6_DST, Style::Ip6),
        narrow("label", slot::IPV6_LABEL, 0xfffff, Style::Hex),
        field("proto", slot::NW_PROTO, Style::Decimal),
        field("tclass", slot::NW_TOS, Style::Hex),
        field("hlimit", slot::NW_TTL, Style::Decimal),
        field("frag", slot::NW_FRAG, Style::Fragment),
    ];
    /// An ARP packet.
    Arp "arp" Fields [
        field("sip", slot::NW_SRC, Style::Ip4),
        field("tip", slot::NW_DST, Style::Ip4),
        field("op", slot::NW_PROTO, Style::Decimal),
        field("sha", slot::ARP_SHA, Style::Mac),
        field("tha", slot::ARP_THA, Style::Mac),
    ];
    /// The MPLS label stack.
    Mpls "mpls" Labels [own(slot::MPLS0)];
    /// The network service header. What is written in hexadecimal here has masks of eight digits.
    Nsh "nsh" Nsh [
        field("flags", slot::NSH_FLAGS, Style::Decimal),
        field("ttl", slot::NSH_TTL, Style::Decimal),
        field("mdtype", slot::NSH_MDTYPE, Style::Decimal),
        field("np", slot::NSH_NP, Style::Decimal),
        field("spi", slot::NSH_SPI, Style::Prefixed),
        field("si", slot::NSH_SI, Style::Decimal),
        field("c1", slot::NSH_C1, Style::Prefixed),
        field("c2", slot::NSH_C2, Style::Prefixed),
        field("c3", slot::NSH_C3, Style::Prefixed),
        field("c4", slot::NSH_C4, Style::Prefixed),
    ];
    /// The ports of TCP.
    Tcp "tcp" Fields [field("src", slot::TP_SRC, Style::Decimal), field("dst", slot::TP_DST, Style::Decimal)];
    /// The flags of TCP.
    TcpFlags "tcp_flags" TcpFlags [narrow("", slot::TCP_FLAGS, 0xfff, Style::Own)];
    /// The ports of UDP.
    Udp "udp" Fields [field("src", slot::TP_SRC, Style::Decimal), field("dst", slot::TP_DST, Style::Decimal)];
    /// The ports of SCTP.
    Sctp "sctp" Fields [field("src", slot::TP_SRC, Style::Decimal), field("dst", slot::TP_DST, Style::Decimal)];
    /// Type and code of ICMP.
    Icmp "icmp" Fields [
        narrow("type", slot::TP_SRC, 0xff, Style::Decimal),
        narrow("code", slot::TP_DST, 0xff, Style::Decimal),
    ];
    /// Type and code of ICMPv6.
    Icmpv6 "icmpv6" Fields [
        narrow("type", slot::TP_SRC, 0xff, Style::Decimal),
        narrow("code", slot::TP_DST, 0xff, Style::Decimal),
    ];
    /// Target and link-layer addresses of neighbour discovery.
    Nd "nd" Fields [
        field("target", slot::ND_TARGET, Style::Ip6),
        field("sll", slot::ARP_SHA, Style::Mac),
        field("tll", slot::ARP_THA, Style::Mac),
    ];
    /// Flags and the type of the option of neighbour discovery.
    NdExt "nd_ext" NdExt [
        field("nd_reserved", slot::ND_RESERVED, Style::Hex),
        field("nd_options_type", slot::ND_OPTIONS_TYPE, Style::Decimal),
    ];
}

impl Attr {
    /// The group that frames of an Ethernet type have, the type being the one behind the tags.
    pub(crate) const fn of_ether_type(ether_type: u16) -> Option<Attr> {
        match ether_type {
            ethernet::TYPE_IPV4 => Some(Attr::Ipv4),
            ethernet::TYPE_IPV6 => Some(Attr::Ipv6),
            ethernet::TYPE_ARP | ethernet::TYPE_RARP => Some(Attr::Arp),
            ethernet::TYPE_MPLS | ethernet::TYPE_MPLS_MULTICAST => Some(Attr::Mpls),
            ethernet::TYPE_NSH => Some(Attr::Nsh),
            _ => None,
        }
    }

    /// The group that packets of a protocol over IP have.
    pub(crate) const fn of_protocol(ether_type: u16, protocol: u8) -> Option<Attr> {
        match (protocol, ether_type) {
            (protocol::TCP, _) => Some(Attr::Tcp),
            (protocol::UDP, _) => Some(Attr::Udp),
            (protocol::SCTP, _) => Some(Attr::Sctp),
            (protocol::ICMP, ethernet::TYPE_IPV4) => Some(Attr::Icmp),
            (protocol::ICMPV6, ethernet::TYPE_IPV6) => Some(Attr::Icmpv6),
            _ => None,
        }
    }

    /// The group with this name in text.
    pub fn by_name(name: &str) -> Option<Attr> {
        Attr::ALL.iter().copied().find(|attr| attr.name() == name)
    }

    /// Whether `mask` names every bit of the group.
    pub fn is_exact(self, mask: &FlowMask) -> bool {
        self.fields().iter().all(|field| match field.style {
            Style::Fragment => mask.bits(field.slot) & 1 != 0,
            Style::Decimal
            | Style::Hex
            | Style::Prefixed
            | Style::Ip4
            | Style::Ip6
            | Style::Mac
            | Style::Own => mask.bits(field.slot) & field.ones == field.ones,
        })
    }

    /// Whether `mask` names no bit of the group.
    pub fn is_wild(self, mask: &FlowMask) -> bool {
        self.fields().iter().all(|field| mask.bits(field.slot) & field.ones == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_of_one_group_and_of_one_of_its_fields() {
        for &attr in Attr::ALL {
            assert_eq!(Attr::by_name(attr.name()), Some(attr));
            for (index, field) in attr.fields().iter().enumerate() {
                assert!(field.style == Style::Own || !field.name.is_empty(), "{attr:?}");
                let others = attr.fields().iter().skip(index + 1);
                assert!(others.into_iter().all(|other| other.name != field.name || field.name.is_empty()));
                assert_eq!(field.ones & !field.slot.ones(), 0, "{attr:?}: {}", field.name);
            }
        }
        assert_eq!(Attr::by_name("encap"), None);
    }
}
