//! Actions on single header fields, as OpenFlow 1.0 and 1.1 have them.

/// `mod_vlan_vid` (pushes a tag if there is none) or `set_vlan_vid`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetVlanVid {
    pub vid: u16,
    /// OpenFlow 1.0's meaning.
    pub push_if_needed: bool,
    /// Whether the match said that there is a tag; found by the check.
    pub flow_has_vlan: bool,
}

/// `mod_vlan_pcp` (pushes a tag if there is none) or `set_vlan_pcp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetVlanPcp {
    pub pcp: u8,
    pub push_if_needed: bool,
    pub flow_has_vlan: bool,
}

/// `push_vlan:ETHERTYPE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PushVlan {
    pub ethertype: u16,
}

/// `mod_tp_src`, `mod_tp_dst`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetL4Port {
    pub port: u16,
    /// The protocol that the match asks for, or 0; found by the check.
    pub ip_proto: u8,
}

/// `dec_ttl` or `dec_ttl(ID,...)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DecTtl {
    /// The controllers that are told of expired packets: `[0]` in the plain form.
    pub controllers: Vec<u16>,
    /// Whether it has the form with controllers.
    pub with_ids: bool,
}
