//! Ethernet II, VLAN tags (IEEE 802.1Q), and LLC/SNAP (IEEE 802.2).

use base::MacAddr;

use crate::bytes::{be16, be48, put16};
use crate::cursor::{Reader, Writer};
use crate::form::{TypedForm, array, setters};

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

/// An Ethernet header without tags, whose fields can be set in place.
#[derive(Debug)]
pub struct EthernetMut<'a>(&'a mut [u8; HEADER_LEN]);

impl<'a> EthernetMut<'a> {
    /// The header, if there are enough bytes for it.
    #[inline]
    pub fn parse(bytes: &'a mut [u8]) -> Option<EthernetMut<'a>> {
        bytes.first_chunk_mut().map(EthernetMut)
    }

    /// The same for reading.
    #[inline]
    pub fn view(&self) -> Ethernet<'_> {
        Ethernet(self.0)
    }

    setters! {
        /// Sets the destination address.
        set_dst: put_mac(MacAddr) = 0;
        /// Sets the source address.
        set_src: put_mac(MacAddr) = 6;
        /// Sets the type.
        set_ether_type: put16(u16) = 12;
    }
}

/// An Ethernet header without tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The destination address.
    pub dst: MacAddr,
    /// The source address.
    pub src: MacAddr,
    /// The type or, below [`TYPE_MIN`], the length.
    pub ether_type: u16,
}

impl TypedForm for Header {
    #[inline]
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        Some(Header { dst: input.mac()?, src: input.mac()?, ether_type: input.u16()? })
    }

    #[inline]
    fn header_len(&self) -> usize {
        HEADER_LEN
    }

    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.mac(self.dst);
        out.mac(self.src);
        out.u16(self.ether_type);
    }
}

/// An Ethernet header as bytes.
pub fn header(dst: MacAddr, src: MacAddr, ether_type: u16) -> [u8; HEADER_LEN] {
    array(&Header { dst, src, ether_type })
}

/// The same with a tag of 802.1Q, unless `tci` is zero.
pub fn tagged_header(dst: MacAddr, src: MacAddr, tci: u16, ether_type: u16) -> Vec<u8> {
    if tci == 0 {
        return header(dst, src, ether_type).to_vec();
    }
    let mut out = header(dst, src, TYPE_VLAN).to_vec();
    out.extend(tci.to_be_bytes());
    out.extend(ether_type.to_be_bytes());
    out
}

/// Where the first tag of a frame stands, or would: behind the addresses.
pub const TAG_OFFSET: usize = 12;

/// A VLAN tag (IEEE 802.1Q), which stands before the type of what it tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tag {
    /// The type that says that this is a tag: [`TYPE_VLAN`] or [`TYPE_VLAN_AD`].
    pub tpid: u16,
    /// Priority (3 bits), drop eligibility (1 bit) and VLAN (12 bits).
    pub tci: u16,
}

impl Tag {
    /// The number of the VLAN, 12 bits.
    pub const fn vlan(&self) -> u16 {
        self.tci & 0xfff
    }

    /// The priority, 3 bits.
    pub const fn priority(&self) -> u8 {
        (self.tci >> 13) as u8
    }
}

impl TypedForm for Tag {
    /// `None` also when the type is none of a tag.
    #[inline]
    fn parse(bytes: &[u8]) -> Option<Tag> {
        let mut input = Reader::new(bytes);
        let tag = Tag { tpid: input.u16()?, tci: input.u16()? };
        is_vlan(tag.tpid).then_some(tag)
    }

    #[inline]
    fn header_len(&self) -> usize {
        VLAN_HEADER_LEN
    }

    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.tpid);
        out.u16(self.tci);
    }
}

/// Where the type behind all tags of a frame stands, and the type; `None` when the header is cut off. A tag behind
/// which no type is left counts as the type.
#[inline]
pub fn type_behind_tags(frame: &[u8]) -> Option<(usize, u16)> {
    if frame.len() < HEADER_LEN {
        return None;
    }
    let mut at = TAG_OFFSET;
    let mut ether_type = be16(frame, at);
    while is_vlan(ether_type) && frame.len() >= at + VLAN_HEADER_LEN + 2 {
        at += VLAN_HEADER_LEN;
        ether_type = be16(frame, at);
    }
    Some((at, ether_type))
}

/// Sets the type behind all tags of a frame; false when its header is cut off.
#[inline]
pub fn set_type_behind_tags(frame: &mut [u8], ether_type: u16) -> bool {
    let Some((at, _)) = type_behind_tags(frame) else { return false };
    put16(frame, at, ether_type);
    true
}

/// LLC and SNAP with organisation 0, behind a length: they give a type after all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Snap {
    /// The type.
    pub ether_type: u16,
}

/// LLC for SNAP (aa aa 03), and organisation 0.
const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];

impl TypedForm for Snap {
    fn parse(bytes: &[u8]) -> Option<Snap> {
        let mut input = Reader::new(bytes);
        (input.take(SNAP.len())? == SNAP).then_some(Snap { ether_type: input.u16()? })
    }

    fn header_len(&self) -> usize {
        LLC_SNAP_LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.bytes(&SNAP);
        out.u16(self.ether_type);
    }
}

/// The type in a SNAP header that stands behind a length, when it is one.
pub fn snap_type(bytes: &[u8]) -> Option<u16> {
    Snap::parse(bytes).map(|snap| snap.ether_type)
}
