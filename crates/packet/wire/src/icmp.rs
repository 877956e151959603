//! ICMP (RFC 792), IGMP (RFC 2236), ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861).

use base::MacAddr;

use crate::bytes::{be16, be32, be48, be128, byte};
use crate::cursor::{Reader, Writer};
use crate::form::{TypedForm, setters};

/// Bytes that ICMP messages of both versions begin with.
pub const LEN: usize = 8;
/// Where the checksum stands.
pub const CHECK_OFFSET: usize = 2;
/// Bytes of an IGMP message.
pub const IGMP_LEN: usize = 8;

/// ICMP type: echo reply.
pub const ECHO_REPLY: u8 = 0;
/// ICMP type: echo request.
pub const ECHO_REQUEST: u8 = 8;

/// ICMPv6 type: echo request.
pub const V6_ECHO_REQUEST: u8 = 128;
/// ICMPv6 type: echo reply.
pub const V6_ECHO_REPLY: u8 = 129;
/// ICMPv6 type: router solicitation.
pub const V6_ROUTER_SOLICITATION: u8 = 133;
/// ICMPv6 type: router advertisement.
pub const V6_ROUTER_ADVERTISEMENT: u8 = 134;
/// ICMPv6 type: neighbour solicitation.
pub const V6_NEIGHBOR_SOLICITATION: u8 = 135;
/// ICMPv6 type: neighbour advertisement.
pub const V6_NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// The view of the eight bytes with which ICMP, ICMPv6 and IGMP messages begin.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a>(&'a [u8]);

impl<'a> Icmp<'a> {
    /// The view, if there are enough bytes for the header.
    pub fn parse(bytes: &'a [u8]) -> Option<Icmp<'a>> {
        (bytes.len() >= LEN).then_some(Icmp(bytes))
    }

    /// The type.
    pub fn kind(&self) -> u8 {
        byte(self.0, 0)
    }

    /// The code, which refines the type.
    pub fn code(&self) -> u8 {
        byte(self.0, 1)
    }

    /// The checksum.
    pub fn check(&self) -> u16 {
        be16(self.0, 2)
    }

    /// The four bytes behind the checksum: identifier and sequence, flags of
    /// neighbour discovery, or the group of IGMP.
    pub fn rest(&self) -> u32 {
        be32(self.0, 4)
    }

    /// What follows the eight bytes.
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(LEN..).unwrap_or(&[])
    }
}

/// What the switch reads of a neighbour solicitation or advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NeighborDiscovery {
    /// Flags and reserved bits.
    pub reserved: u32,
    /// The address that is asked for.
    pub target: u128,
    /// Of the source link-layer address option; zero when there is none.
    pub source_mac: MacAddr,
    /// Of the target link-layer address option; zero when there is none.
    pub target_mac: MacAddr,
    /// Type of the first link-layer address option seen (1 source, 2 target), else 0.
    pub option_type: u8,
}

impl NeighborDiscovery {
    /// From an ICMPv6 message of kind 135 or 136, code 0.
    ///
    /// A message too short for the target gives `reserved` alone, and so does a
    /// doubled option; at an option of a wrong length reading ends.
    pub fn parse(icmp: &Icmp<'_>) -> NeighborDiscovery {
        let mut nd = NeighborDiscovery { reserved: icmp.rest(), ..NeighborDiscovery::default() };
        let body = icmp.payload();
        if body.len() < 16 {
            return nd;
        }
        nd.target = be128(body, 0);
        let mut options = body.get(16..).unwrap_or(&[]);
        while options.len() >= 8 {
            let len = usize::from(byte(options, 1)) * 8;
            if len == 0 || len > options.len() {
                return nd;
            }
            let kind = byte(options, 0);
            if len == 8 && (kind == 1 || kind == 2) {
                let mac = MacAddr::from_u64(be48(options, 2));
                let place = if kind == 1 { &mut nd.source_mac } else { &mut nd.target_mac };
                if !place.is_zero() {
                    return NeighborDiscovery {
                        reserved: nd.reserved,
                        option_type: nd.option_type,
                        ..Default::default()
                    };
                }
                *place = mac;
                if nd.option_type == 0 {
                    nd.option_type = kind;
                }
            }
            options = options.get(len..).unwrap_or(&[]);
        }
        nd
    }
}

/// The eight bytes with which ICMP, ICMPv6 and IGMP messages begin, whose fields can be set in place; the checksum is
/// the caller's.
#[derive(Debug)]
pub struct IcmpMut<'a>(&'a mut [u8; LEN]);

impl<'a> IcmpMut<'a> {
    /// The header, if there are enough bytes for it.
    pub fn parse(bytes: &'a mut [u8]) -> Option<IcmpMut<'a>> {
        bytes.first_chunk_mut().map(IcmpMut)
    }

    /// The same for reading; its payload is not seen.
    pub fn view(&self) -> Icmp<'_> {
        Icmp(self.0)
    }

    setters! {
        /// Sets the type.
        set_kind: put8(u8) = 0;
        /// Sets the code.
        set_code: put8(u8) = 1;
        /// Sets the checksum.
        set_check: put16(u16) = CHECK_OFFSET;
        /// Sets the four bytes behind the checksum.
        set_rest: put32(u32) = 4;
    }
}

/// The eight bytes with which ICMP, ICMPv6 and IGMP messages begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The type.
    pub kind: u8,
    /// The code, which refines the type; of IGMP the greatest time to respond.
    pub code: u8,
    /// The checksum.
    pub check: u16,
    /// Identifier and sequence, flags of neighbour discovery, or the group of IGMP.
    pub rest: u32,
}

impl TypedForm for Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        Some(Header { kind: input.u8()?, code: input.u8()?, check: input.u16()?, rest: input.u32()? })
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(self.kind);
        out.u8(self.code);
        out.u16(self.check);
        out.u32(self.rest);
    }
}
