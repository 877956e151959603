//! What a datapath can be told to do with a packet.

use std::sync::Arc;

use base::{DpPort, MacAddr};
use flow::{FlowKey, FlowMask, SparseKey};

use crate::attr::Field;
use crate::{Attr, DropReason};

/// One step. A list of steps is executed in order; an empty list drops the packet.
///
/// Lists inside a step (sample, clone, check_pkt_len) work on the packet as it
/// is then and leave it unchanged for the steps that follow.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Send the packet by this port.
    Output(DpPort),
    /// Output to the member of bond `.0` that the packet's hash chooses.
    LbOutput(u32),
    /// The next output sends at most this many bytes.
    Trunc(u32),
    /// Hand a copy to the [`crate::Upcall`] door.
    Userspace(Box<Userspace>),
    /// Rewrite header fields or metadata; see [`Set`].
    Set(Box<Set>),
    /// Put a VLAN tag before those that there are.
    PushVlan {
        /// The tag's Ethernet type, 0x8100 or 0x88a8.
        tpid: u16,
        /// Priority and VLAN; [`flow::VLAN_CFI`] is not written.
        tci: u16,
    },
    /// Take the outermost VLAN tag off.
    PopVlan,
    /// Put an MPLS label before those that there are, or before the network header.
    PushMpls {
        /// The label stack entry.
        entry: u32,
        /// The Ethernet type that the frame gets, one of MPLS.
        ether_type: u16,
    },
    /// Take the outermost MPLS label off.
    PopMpls {
        /// The Ethernet type that the frame gets.
        ether_type: u16,
    },
    /// Like [`Action::PushMpls`], with the label before the Ethernet header when `is_l3` is not set.
    AddMpls {
        /// The label stack entry.
        entry: u32,
        /// The Ethernet type that the frame gets, one of MPLS.
        ether_type: u16,
        /// The label stands before the network header.
        is_l3: bool,
    },
    /// Put an Ethernet header before a packet that has none.
    PushEth {
        /// The source address.
        src: MacAddr,
        /// The destination address.
        dst: MacAddr,
    },
    /// Take the Ethernet header off, with its tags.
    PopEth,
    /// Put a network service header before the packet.
    PushNsh {
        /// The header's values, in the NSH slots of a key.
        key: Box<SparseKey>,
        /// The metadata of a header of type 2.
        metadata: Box<[u8]>,
    },
    /// Take the network service header off.
    PopNsh,
    /// Look up again with this number in the key.
    Recirc(u32),
    /// Give the packet a hash of its flow, which later look-ups see.
    Hash {
        /// Which values it covers.
        algorithm: HashAlgorithm,
        /// What makes hashes of one packet differ.
        basis: u32,
    },
    /// Run the list for `probability` of 2^32 packets.
    Sample {
        /// Packets out of 2^32; the greatest value: all of them.
        probability: u32,
        /// What is run on a copy.
        actions: Arc<[Action]>,
    },
    /// Run the list on a copy.
    Clone(Arc<[Action]>),
    /// Run one list or the other on a copy, by the length of the packet.
    CheckPktLen {
        /// The greatest length in bytes, from the Ethernet header on, for which `less_equal` is run.
        size: u16,
        /// For longer packets.
        greater: Arc<[Action]>,
        /// For other packets.
        less_equal: Arc<[Action]>,
    },
    /// Track the packet's connection.
    Ct(Box<Conntrack>),
    /// Forget what connection tracking found out.
    CtClear,
    /// Drop the packet if it exceeds the meter of this number.
    Meter(u32),
    /// Put the headers of a tunnel before the packet.
    TunnelPush(Box<PushTunnel>),
    /// Take the headers of a tunnel off; the packet comes in again by this tunnel port.
    TunnelPop(DpPort),
    /// Take one off the TTL or hop limit; where that is at its end, run the list in place of what follows.
    DecTtl(Arc<[Action]>),
    /// Hand a copy to the kernel's psample group; nobody listens in userspace.
    Psample {
        /// The number of the group.
        group: u32,
        /// Bytes that come with each copy.
        cookie: Box<[u8]>,
    },
    /// Drop the packet for this reason.
    Drop(DropReason),
}

impl Action {
    /// Sets the fields of `attr` that `mask` names to their values in `key`.
    pub fn set(attr: Attr, key: &FlowKey, mask: &FlowMask) -> Action {
        Action::Set(Box::new(Set::new(attr, key, mask)))
    }

    /// Sends the packet up for the reasons in `slow`.
    pub fn slow_path(slow: SlowPath) -> Action {
        Action::Userspace(Box::new(Userspace::new(Cookie::SlowPath(slow))))
    }
}

/// New values for fields of one [`Attr`].
///
/// A mask that covers the attribute wholly is printed as the whole attribute
/// (`set(ipv4(src=…,dst=…,proto=…,…))`), else only the named fields are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set {
    /// The group of the fields.
    pub attr: Attr,
    /// Values; only bits that `mask` names count.
    pub key: SparseKey,
    /// The bits that are set; none of other groups.
    pub mask: SparseKey,
}

impl Set {
    /// Sets the fields of `attr` that `mask` names to their values in `key`; a tunnel is set whole.
    pub fn new(attr: Attr, key: &FlowKey, mask: &FlowMask) -> Set {
        let mut values = FlowKey::new();
        let mut bits = FlowMask::new();
        for &Field { slot, ones, .. } in attr.fields() {
            let m = if attr == Attr::Tunnel { ones } else { mask.bits(slot) & ones };
            bits.set_bits(slot, m);
            values.write(slot, key.read(slot) & m);
        }
        if attr == Attr::Tunnel && key.has_tun_options() {
            values.copy_tun_options(key);
            bits.add_tun_options(key);
        }
        Set { attr, key: SparseKey::from(&values), mask: SparseKey::from(&bits) }
    }

    /// Whether every bit of the attribute is set.
    pub fn is_whole(&self) -> bool {
        self.attr == Attr::Tunnel
            || self.attr.fields().iter().all(|field| self.mask.read(field.slot) == field.ones)
    }
}

/// A packet's way into userspace: to whom and why.
#[derive(Clone, PartialEq, Debug)]
pub struct Userspace {
    /// Netlink socket of the kernel datapath; 0 in userspace.
    pub pid: u32,
    /// Why, and what the handler needs to know.
    pub cookie: Cookie,
    /// Hand over the remaining actions too.
    pub include_actions: bool,
    /// The tunnel port that the packet is about to leave by, for samples.
    pub tunnel_out_port: Option<DpPort>,
    /// The tunnel's fields with which the packet is about to leave by that port; not part of the text.
    pub egress_tunnel: Option<Box<SparseKey>>,
    /// The OpenFlow port of arrival; not part of the text.
    pub ofp_in_port: u32,
    /// The bridge that sends the packet up; not part of the text.
    pub bridge: u128,
}

impl Userspace {
    /// Sends the packet up with this cookie, and with nothing else.
    pub fn new(cookie: Cookie) -> Userspace {
        Userspace {
            pid: 0,
            cookie,
            include_actions: false,
            tunnel_out_port: None,
            egress_tunnel: None,
            ofp_in_port: 0xffff,
            bridge: 0,
        }
    }
}

/// What the handler of a [`Userspace`] action needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cookie {
    /// No user data.
    None,
    /// A sample of sFlow.
    Sflow {
        /// The tag that the packet leaves with.
        vlan_tci: u16,
        /// Where it leaves, in sFlow's form: a number of an interface, or the kind and number of others.
        output: u32,
    },
    /// The packet is to be translated in userspace.
    SlowPath(SlowPath),
    /// A sample that a rule asks for.
    FlowSample {
        /// Packets out of 65535 that are sampled.
        probability: u16,
        /// The set of collectors that gets it.
        collector_set_id: u32,
        /// IPFIX's observation domain.
        obs_domain_id: u32,
        /// IPFIX's observation point.
        obs_point_id: u32,
        /// Where the packet leaves; no port for none in particular.
        output_port: DpPort,
        /// Which way the packet went when it was sampled.
        direction: SampleDirection,
        /// The same actions send it out by a port; not part of the text.
        is_forwarded: bool,
    },
    /// A sample that a bridge's IPFIX asks for.
    Ipfix {
        /// Where the packet leaves; no port where it comes in.
        output_port: DpPort,
        /// The same actions send it out by a port; not part of the text.
        is_forwarded: bool,
    },
    /// The packet is for a controller.
    Controller {
        /// OpenFlow's reason (`OFPR_*`).
        reason: u16,
        /// The controller shall not get it: the packet was sent up for its effects alone.
        dont_send: bool,
        /// The controller decides how the packet goes on.
        continuation: bool,
        /// The number under which the state of the translation is kept.
        recirc_id: u32,
        /// The cookie of the rule that sent it.
        rule_cookie: u64,
        /// Which controller.
        controller_id: u16,
        /// How many bytes of the packet it wants.
        max_len: u16,
    },
    /// Bytes that only their author understands.
    Raw(Box<[u8]>),
}

/// Which way a packet goes that is sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SampleDirection {
    /// In, or out where the sample names an output port.
    #[default]
    Default,
    /// It came in.
    Ingress,
    /// It leaves.
    Egress,
}

/// Why a packet cannot be handled by cached actions; a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlowPath(pub u32);

impl SlowPath {
    /// Connectivity fault management (IEEE 802.1ag).
    pub const CFM: SlowPath = SlowPath(1);
    /// Bidirectional forwarding detection (RFC 5880).
    pub const BFD: SlowPath = SlowPath(2);
    /// Link aggregation (IEEE 802.1AX).
    pub const LACP: SlowPath = SlowPath(4);
    /// Spanning tree (IEEE 802.1D).
    pub const STP: SlowPath = SlowPath(8);
    /// Link layer discovery (IEEE 802.1AB).
    pub const LLDP: SlowPath = SlowPath(16);
    /// An action that the datapath does not know.
    pub const ACTION: SlowPath = SlowPath(32);
    /// The datapath cannot match specifically enough.
    pub const MATCH: SlowPath = SlowPath(64);
    /// The names, from the lowest bit up.
    pub const NAMES: [&'static str; 7] = ["cfm", "bfd", "lacp", "stp", "lldp", "action", "match"];

    /// Whether there is no reason.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The reasons of both.
    #[must_use]
    pub const fn with(self, other: SlowPath) -> SlowPath {
        SlowPath(self.0 | other.0)
    }

    /// Whether all reasons of `other` are here.
    pub const fn contains(self, other: SlowPath) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a hash of a flow covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashAlgorithm {
    /// Addresses, protocol and ports.
    L4,
    /// The same, alike for both directions of a connection.
    SymL4,
}

/// The `ct` action.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conntrack {
    /// Keep the connection; not with `force`.
    pub commit: bool,
    /// Keep it, and take this packet's direction for the connection's own.
    pub force: bool,
    /// Where the connection is kept; those of different zones have nothing to do with each other.
    pub zone: u16,
    /// Value and mask.
    pub mark: Option<(u32, u32)>,
    /// Value and mask.
    pub label: Option<(u128, u128)>,
    /// The protocol whose messages tell of further connections: "ftp" or "tftp".
    pub helper: Option<Box<str>>,
    /// The name of the policy by which connections expire.
    pub timeout: Option<Box<str>>,
    /// Translate addresses.
    pub nat: Option<Nat>,
}

/// Address translation; without a kind, that which the connection already has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Nat {
    /// Which address is translated.
    pub kind: Option<NatKind>,
    /// The addresses to choose from; none: the packet's own.
    pub range: Option<NatRange>,
    /// Ports, the last one included; `(0, 0)` when not restricted.
    pub ports: (u16, u16),
    /// The same address gets the same one again.
    pub persistent: bool,
    /// Ports are chosen by a hash.
    pub hash: bool,
    /// Ports are chosen at random.
    pub random: bool,
}

/// Which address is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatKind {
    /// The source, and in replies the destination.
    Source,
    /// The destination, and in replies the source.
    Destination,
}

/// First and last address; the last is zero when there is only one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatRange {
    /// Of IPv4.
    V4(u32, u32),
    /// Of IPv6.
    V6(u128, u128),
}

/// Encapsulation with prepared header bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushTunnel {
    /// The tunnel port that asked for it; its name tells the kind.
    pub tunnel_port: DpPort,
    /// The port that the packet leaves by.
    pub out_port: DpPort,
    /// `OVS_VPORT_TYPE_*`: 3 GRE, 4 VXLAN, 5 Geneve, 107 ERSPAN, 108 IP6ERSPAN, 109 IP6GRE, 110 GTPU, 112 SRV6.
    pub kind: u32,
    /// Ethernet to tunnel header, lengths and checksums left zero.
    pub header: Box<[u8]>,
}
