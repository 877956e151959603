//! Ethernet II, VLAN tags (IEEE 802.1Q), and LLC/SNAP (IEEE 802.2).

use base::MacAddr;

use crate::bytes::{be16, be48, put};

/// Bytes of the header without tags.
pub const HEADER_LEN: usize = 14;
/// Bytes of one tag: control information, and the next type.
pub const VLAN_HEADER_LEN: usize = 4;
/// LLC and SNAP: aa aa 03, organisation 00 00 00, type.
pub const LLC_SNAP_LEN: usize = 8;
/// Types from here on are types; below they are lengths.
pub const TYPE_MIN: u16 = 0x600;

/// IPv4.
pub const TYPE_IPV4: u16 = 0x0800;
/// ARP.
pub const TYPE_ARP: u16 = 0x0806;
/// Ethernet within a tunnel (transparent Ethernet bridging).
pub const TYPE_TEB: u16 = 0x6558;
/// Reverse ARP.
pub const TYPE_RARP: u16 = 0x8035;
/// A customer VLAN tag (IEEE 802.1Q).
pub const TYPE_VLAN: u16 = 0x8100;
/// IPv6.
pub const TYPE_IPV6: u16 = 0x86dd;
/// Slow protocols, LACP among them (IEEE 802.3).
pub const TYPE_LACP: u16 = 0x8809;
/// MPLS, unicast.
pub const TYPE_MPLS: u16 = 0x8847;
/// MPLS, multicast.
pub const TYPE_MPLS_MULTICAST: u16 = 0x8848;
/// A service VLAN tag (IEEE 802.1ad).
pub const TYPE_VLAN_AD: u16 = 0x88a8;
/// The network service header (RFC 8300).
pub const TYPE_NSH: u16 = 0x894f;

/// Whether a VLAN tag follows.
pub const fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, TYPE_VLAN | TYPE_VLAN_AD)
}

/// Whether an MPLS label stack follows.
pub const fn is_mpls(ether_type: u16) -> bool {
    matches!(ether_type, TYPE_MPLS | TYPE_MPLS_MULTICAST)
}

/// The view of an Ethernet header.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a>(&'a [u8]);

impl<'a> Ethernet<'a> {
    /// The view, if there are enough bytes for the header.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Ethernet<'a>> {
        (bytes.len() >= HEADER_LEN).then_some(Ethernet(bytes))
    }

    /// The destination address.
    #[inline]
    pub fn dst(&self) -> MacAddr {
        MacAddr::from_u64(be48(self.0, 0))
    }

    /// The source address.
    #[inline]
    pub fn src(&self) -> MacAddr {
        MacAddr::from_u64(be48(self.0, 6))
    }

    /// The type or, below [`TYPE_MIN`], the length.
    #[inline]
    pub fn ether_type(&self) -> u16 {
        be16(self.0, 12)
    }

    /// What follows the header, tags included.
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(HEADER_LEN..).unwrap_or(&[])
    }
}

/// An Ethernet header as bytes.
pub fn header(dst: MacAddr, src: MacAddr, ether_type: u16) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    put(&mut out, 0, dst.0);
    put(&mut out, 6, src.0);
    put(&mut out, 12, ether_type.to_be_bytes());
    out
}

/// The type in a SNAP header that stands behind a length, when it is one.
pub fn snap_type(bytes: &[u8]) -> Option<u16> {
    (bytes.len() >= LLC_SNAP_LEN && bytes[..6] == [0xaa, 0xaa, 0x03, 0, 0, 0]).then(|| be16(bytes, 6))
}
