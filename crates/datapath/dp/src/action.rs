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
    Output(DpPort),
    /// Output to the member of bond `.0` that the packet's hash chooses.
    LbOutput(u32),
    /// The next output sends at most this many bytes.
    Trunc(u32),
    /// Hand a copy to the [`crate::Upcall`] door.
    Userspace(Box<Userspace>),
    /// Rewrite header fields or metadata; see [`Set`].
    Set(Box<Set>),
    PushVlan {
        tpid: u16,
        tci: u16,
    },
    PopVlan,
    PushMpls {
        entry: u32,
        ether_type: u16,
    },
    PopMpls {
        ether_type: u16,
    },
    /// Like [`Action::PushMpls`], with the label before the Ethernet header when `is_l3` is not set.
    AddMpls {
        entry: u32,
        ether_type: u16,
        is_l3: bool,
    },
    PushEth {
        src: MacAddr,
        dst: MacAddr,
    },
    PopEth,
    /// The header's values are the NSH slots of the key; `metadata` is that of type 2.
    PushNsh {
        key: Box<SparseKey>,
        metadata: Box<[u8]>,
    },
    PopNsh,
    /// Look up again with this number in the key.
    Recirc(u32),
    Hash {
        algorithm: HashAlgorithm,
        basis: u32,
    },
    /// Run the list for `probability` of 2^32 packets.
    Sample {
        probability: u32,
        actions: Arc<[Action]>,
    },
    Clone(Arc<[Action]>),
    CheckPktLen {
        size: u16,
        greater: Arc<[Action]>,
        less_equal: Arc<[Action]>,
    },
    Ct(Box<Conntrack>),
    CtClear,
    Meter(u32),
    TunnelPush(Box<PushTunnel>),
    TunnelPop(DpPort),
    DecTtl(Arc<[Action]>),
    Psample {
        group: u32,
        cookie: Box<[u8]>,
    },
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
    pub attr: Attr,
    /// Values; only bits that `mask` names count.
    pub key: SparseKey,
    pub mask: SparseKey,
}

impl Set {
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
            bits.add_tun_options();
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
    pub cookie: Cookie,
    /// Hand over the remaining actions too.
    pub include_actions: bool,
    pub tunnel_out_port: Option<DpPort>,
    /// OpenFlow port of arrival and bridge, not part of the text.
    pub ofp_in_port: u32,
    pub bridge: u128,
}

impl Userspace {
    pub fn new(cookie: Cookie) -> Userspace {
        Userspace {
            pid: 0,
            cookie,
            include_actions: false,
            tunnel_out_port: None,
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
    Sflow {
        vlan_tci: u16,
        output: u32,
    },
    SlowPath(SlowPath),
    FlowSample {
        probability: u16,
        collector_set_id: u32,
        obs_domain_id: u32,
        obs_point_id: u32,
        output_port: DpPort,
        direction: SampleDirection,
    },
    Ipfix {
        output_port: DpPort,
    },
    Controller {
        reason: u16,
        dont_send: bool,
        continuation: bool,
        recirc_id: u32,
        rule_cookie: u64,
        controller_id: u16,
        max_len: u16,
    },
    /// Bytes that only their author understands.
    Raw(Box<[u8]>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SampleDirection {
    #[default]
    Default,
    Ingress,
    Egress,
}

/// Why a packet cannot be handled by cached actions; a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlowPath(pub u32);

impl SlowPath {
    pub const CFM: SlowPath = SlowPath(1);
    pub const BFD: SlowPath = SlowPath(2);
    pub const LACP: SlowPath = SlowPath(4);
    pub const STP: SlowPath = SlowPath(8);
    pub const LLDP: SlowPath = SlowPath(16);
    /// An action that the datapath does not know.
    pub const ACTION: SlowPath = SlowPath(32);
    /// The datapath cannot match specifically enough.
    pub const MATCH: SlowPath = SlowPath(64);
    /// The names, from the lowest bit up.
    pub const NAMES: [&'static str; 7] = ["cfm", "bfd", "lacp", "stp", "lldp", "action", "match"];

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn with(self, other: SlowPath) -> SlowPath {
        SlowPath(self.0 | other.0)
    }

    pub const fn contains(self, other: SlowPath) -> bool {
        self.0 & other.0 == other.0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashAlgorithm {
    L4,
    SymL4,
}

/// The `ct` action.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conntrack {
    pub commit: bool,
    pub force: bool,
    pub zone: u16,
    /// Value and mask.
    pub mark: Option<(u32, u32)>,
    pub label: Option<(u128, u128)>,
    pub helper: Option<Box<str>>,
    pub timeout: Option<Box<str>>,
    pub nat: Option<Nat>,
}

/// Address translation; without a kind, that which the connection already has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Nat {
    pub kind: Option<NatKind>,
    pub range: Option<NatRange>,
    /// Ports, the last one included; `(0, 0)` when not restricted.
    pub ports: (u16, u16),
    pub persistent: bool,
    pub hash: bool,
    pub random: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatKind {
    Source,
    Destination,
}

/// First and last address; the last is zero when there is only one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatRange {
    V4(u32, u32),
    V6(u128, u128),
}

/// Encapsulation with prepared header bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushTunnel {
    /// The tunnel port that asked for it; its name tells the kind.
    pub tunnel_port: DpPort,
    pub out_port: DpPort,
    /// `OVS_VPORT_TYPE_*`: 3 GRE, 4 VXLAN, 5 Geneve, 107 ERSPAN, 108 IP6ERSPAN, 109 IP6GRE, 110 GTPU, 112 SRV6.
    pub kind: u32,
    /// Ethernet to tunnel header, lengths and checksums left zero.
    pub header: Box<[u8]>,
}
