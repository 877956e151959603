//! VXLAN (RFC 7348), with group policy (draft-smith-vxlan-group-policy) or generic protocol extension
//! (draft-ietf-nvo3-vxlan-gpe).
//!
//! Which extension a header has is not in the header: both sides agree on it for a UDP port. So the typed form keeps
//! the first word whole, and each extension is read from it and put into it.

use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// Bytes of the header.
pub const LEN: usize = 8;
/// The port that IANA has assigned.
pub const PORT: u16 = 4789;
/// The port that IANA has assigned to the generic protocol extension.
pub const GPE_PORT: u16 = 4790;

/// Bit of the flags: the VNI counts.
pub const FLAG_VNI: u32 = 0x0800_0000;
/// Bit of the flags: the header has a group policy.
pub const FLAG_GROUP_POLICY: u32 = 0x8000_0000;
/// Bit of the flags: the header says what follows (generic protocol extension).
pub const FLAG_NEXT_PROTOCOL: u32 = 0x0400_0000;
/// Bit of the flags: the packet is of operations and maintenance (generic protocol extension).
pub const FLAG_OAM: u32 = 0x0100_0000;
/// Bit of the flags: the address inside must not be learned (group policy).
const DONT_LEARN: u32 = 0x0040_0000;
/// Bit of the flags: the policy was applied already (group policy).
const POLICY_APPLIED: u32 = 0x0008_0000;

/// An IPv4 packet follows.
pub const NEXT_IPV4: u8 = 1;
/// An IPv6 packet follows.
pub const NEXT_IPV6: u8 = 2;
/// An Ethernet frame follows.
pub const NEXT_ETHERNET: u8 = 3;
/// A network service header follows.
pub const NEXT_NSH: u8 = 4;

/// A VXLAN header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The first word, with the extension: [`FLAG_VNI`] and the others.
    pub flags: u32,
    /// The number of the virtual network, 24 bits.
    pub vni: u32,
}

/// The group policy of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupPolicy {
    /// The group that the sender belongs to.
    pub group: u16,
    /// The address inside must not be learned.
    pub is_not_learned: bool,
    /// The policy was applied already.
    pub is_applied: bool,
}

impl Header {
    /// A header of RFC 7348.
    pub const fn new(vni: u32) -> Header {
        Header { flags: FLAG_VNI, vni }
    }

    /// The same header with a group policy.
    #[must_use]
    pub fn with_group_policy(self, policy: GroupPolicy) -> Header {
        let learn = if policy.is_not_learned { DONT_LEARN } else { 0 };
        let applied = if policy.is_applied { POLICY_APPLIED } else { 0 };
        let word = self.flags & 0xff00_0000 | FLAG_GROUP_POLICY | learn | applied | u32::from(policy.group);
        Header { flags: word, ..self }
    }

    /// The group policy, when the header has one; on a port that has this extension.
    pub fn group_policy(&self) -> Option<GroupPolicy> {
        (self.flags & FLAG_GROUP_POLICY != 0).then_some(GroupPolicy {
            group: self.flags as u16,
            is_not_learned: self.flags & DONT_LEARN != 0,
            is_applied: self.flags & POLICY_APPLIED != 0,
        })
    }

    /// The same header with what follows it: [`NEXT_ETHERNET`] or another.
    #[must_use]
    pub const fn with_next_protocol(self, next: u8) -> Header {
        Header { flags: self.flags & 0xff00_0000 | FLAG_NEXT_PROTOCOL | next as u32, ..self }
    }

    /// What follows, when the header says so; on a port that has the generic protocol extension.
    pub fn next_protocol(&self) -> Option<u8> {
        (self.flags & FLAG_NEXT_PROTOCOL != 0).then_some(self.flags as u8)
    }
}

impl TypedForm for Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        Some(Header { flags: input.u32()?, vni: input.u32()? >> 8 })
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u32(self.flags);
        out.u32(self.vni << 8);
    }
}
