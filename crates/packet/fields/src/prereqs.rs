//! What must be known of a packet before a field of it can be looked at.

use flow::{FlowKey, FlowMask, slot};

/// The condition under which a field exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prereq {
    /// None: every packet has it.
    None,
    /// An Ethernet packet.
    Ethernet,
    /// ARP or RARP.
    Arp,
    /// A VLAN tag.
    VlanVid,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// IPv4 or IPv6.
    IpAny,
    /// A network service header.
    Nsh,
    /// An MPLS label.
    Mpls,
    /// TCP, not of a later fragment.
    Tcp,
    /// UDP, not of a later fragment.
    Udp,
    /// SCTP, not of a later fragment.
    Sctp,
    /// ICMP, not of a later fragment.
    Icmpv4,
    /// ICMPv6, not of a later fragment.
    Icmpv6,
    /// A connection is known.
    CtValid,
    /// A neighbour solicitation or advertisement.
    Nd,
    /// A neighbour solicitation.
    NdSolicit,
    /// A neighbour advertisement.
    NdAdvert,
}

pub(crate) mod ether {
    pub(crate) const IP: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;
    pub(crate) const RARP: u16 = 0x8035;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_MCAST: u16 = 0x8848;
    pub(crate) const NSH: u16 = 0x894f;
}

pub(crate) mod proto {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const SCTP: u8 = 132;
}

/// The Ethernet type of the packet, whether it has an Ethernet header or its packet type says so.
pub fn effective_dl_type(key: &FlowKey) -> u16 {
    match key.packet_type() {
        0 => key.dl_type(),
        pt if pt >> 16 == 1 => pt as u16,
        _ => flow::DL_TYPE_NONE,
    }
}

/// Records in `seen` that all of a slot was looked at.
fn see(seen: &mut Option<&mut FlowMask>, place: flow::Slot) {
    if let Some(mask) = seen {
        mask.add_all(place);
    }
}

fn protocol_is(key: &FlowKey, seen: &mut Option<&mut FlowMask>, types: &[u16], protocol: u8) -> bool {
    types.contains(&effective_dl_type(key)) && {
        see(seen, slot::NW_PROTO);
        key.nw_proto() == protocol
    }
}

/// Whether the packet is a neighbour solicitation or advertisement.
pub fn is_nd(key: &FlowKey, seen: &mut Option<&mut FlowMask>) -> bool {
    if !protocol_is(key, seen, &[ether::IPV6], proto::ICMPV6) {
        return false;
    }
    see(seen, slot::TP_DST);
    if key.tp_dst() != 0 {
        return false;
    }
    see(seen, slot::TP_SRC);
    matches!(key.tp_src(), 135 | 136)
}

fn is_ethernet(key: &FlowKey, seen: &mut Option<&mut FlowMask>) -> bool {
    see(seen, slot::PACKET_TYPE);
    key.is_ethernet()
}

impl Prereq {
    /// Whether `key` meets the condition; `seen` records the bits that were looked at.
    pub fn met_by(self, key: &FlowKey, mut seen: Option<&mut FlowMask>) -> bool {
        let seen = &mut seen;
        let ip = &[ether::IP, ether::IPV6];
        let whole = key.nw_frag() & flow::frag::LATER == 0;
        match self {
            Prereq::None => true,
            Prereq::Ethernet => is_ethernet(key, seen),
            Prereq::Arp => matches!(effective_dl_type(key), ether::ARP | ether::RARP),
            Prereq::Ipv4 => effective_dl_type(key) == ether::IP,
            Prereq::Ipv6 => effective_dl_type(key) == ether::IPV6,
            Prereq::IpAny => ip.contains(&effective_dl_type(key)),
            Prereq::Nsh => effective_dl_type(key) == ether::NSH,
            Prereq::Mpls => is_mpls(effective_dl_type(key)),
            Prereq::VlanVid => {
                is_ethernet(key, seen) && {
                    if let Some(mask) = seen {
                        mask.add(slot::VLAN0_TCI, u128::from(flow::VLAN_CFI));
                    }
                    key.vlan_tci(0) & flow::VLAN_CFI != 0
                }
            }
            Prereq::Tcp => protocol_is(key, seen, ip, proto::TCP) && whole,
            Prereq::Udp => protocol_is(key, seen, ip, proto::UDP) && whole,
            Prereq::Sctp => protocol_is(key, seen, ip, proto::SCTP) && whole,
            Prereq::Icmpv4 => protocol_is(key, seen, &[ether::IP], proto::ICMP),
            Prereq::Icmpv6 => protocol_is(key, seen, &[ether::IPV6], proto::ICMPV6),
            Prereq::CtValid => {
                use flow::ct_state::{ESTABLISHED, NEW, REPLY};
                if let Some(mask) = seen {
                    mask.add(slot::CT_STATE, u128::from(NEW | ESTABLISHED | REPLY));
                }
                key.ct_state() & (NEW | ESTABLISHED | REPLY) != 0
            }
            Prereq::Nd => is_nd(key, seen),
            Prereq::NdSolicit => is_nd(key, seen) && key.tp_src() == 135,
            Prereq::NdAdvert => is_nd(key, seen) && key.tp_src() == 136,
        }
    }
}

pub(crate) fn is_mpls(dl_type: u16) -> bool {
    matches!(dl_type, ether::MPLS | ether::MPLS_MCAST)
}

/// Further conditions under which a packet has a field of this name: old names stand for several fields.
pub fn other_prereqs(name: &str) -> &'static [Prereq] {
    match name {
        "tp_src" | "tp_dst" => &[Prereq::Tcp, Prereq::Udp, Prereq::Sctp, Prereq::Icmpv4, Prereq::Icmpv6],
        "icmp_type" | "icmp_code" => &[Prereq::Icmpv4, Prereq::Icmpv6],
        "nw_src" | "nw_dst" | "ip_src" | "ip_dst" => &[Prereq::Ipv4, Prereq::Arp],
        "nw_proto" | "ip_proto" => &[Prereq::IpAny, Prereq::Arp],
        _ => &[],
    }
}
