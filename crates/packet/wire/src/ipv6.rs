//! IPv6 and its extension headers (RFC 8200).

use crate::bytes::{be16, be32, be128, byte, put32};
use crate::cursor::{Reader, Writer};
use crate::form::{TypedForm, array, setters};
use crate::protocol;

/// Bytes of the fixed header.
pub const LEN: usize = 40;
/// Bits of the flow label.
pub const LABEL_MASK: u32 = 0xfffff;

/// The view of an IPv6 header whose stated length fits the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a>(&'a [u8]);

impl<'a> Ipv6<'a> {
    /// The view, if the fixed header and the stated payload fit `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Option<Ipv6<'a>> {
        if bytes.len() < LEN {
            return None;
        }
        let view = Ipv6(bytes);
        (view.payload_len() <= bytes.len() - LEN).then_some(view)
    }

    /// The view of a header alone, whose packet may be cut off, as in a sample: the length is as it states it.
    pub fn parse_header(bytes: &'a [u8]) -> Option<Ipv6<'a>> {
        (bytes.len() >= LEN).then_some(Ipv6(bytes))
    }

    /// DSCP in the upper six bits, ECN in the lower two.
    pub fn traffic_class(&self) -> u8 {
        (be32(self.0, 0) >> 20) as u8
    }

    /// The flow label, 20 bits.
    pub fn label(&self) -> u32 {
        be32(self.0, 0) & LABEL_MASK
    }

    /// Bytes behind the fixed header, extension headers included.
    pub fn payload_len(&self) -> usize {
        usize::from(be16(self.0, 4))
    }

    /// What follows the fixed header: an extension header or a protocol (see [`crate::protocol`]).
    pub fn next_header(&self) -> u8 {
        byte(self.0, 6)
    }

    /// Hops that the packet may still take.
    pub fn hop_limit(&self) -> u8 {
        byte(self.0, 7)
    }

    /// The source address.
    pub fn src(&self) -> u128 {
        be128(self.0, 8)
    }

    /// The destination address.
    pub fn dst(&self) -> u128 {
        be128(self.0, 24)
    }

    /// What follows the fixed header, without padding of the frame.
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(LEN..LEN + self.payload_len()).unwrap_or(&[])
    }
}

/// An IPv6 header whose fields can be set in place.
#[derive(Debug)]
pub struct Ipv6Mut<'a>(&'a mut [u8; LEN]);

impl<'a> Ipv6Mut<'a> {
    /// The header, if its stated payload fits `bytes`, as for [`Ipv6::parse`].
    #[inline]
    pub fn parse(bytes: &'a mut [u8]) -> Option<Ipv6Mut<'a>> {
        Ipv6::parse(bytes)?;
        Ipv6Mut::parse_header(bytes)
    }

    /// The header alone, whatever length it states.
    #[inline]
    pub fn parse_header(bytes: &'a mut [u8]) -> Option<Ipv6Mut<'a>> {
        bytes.first_chunk_mut().map(Ipv6Mut)
    }

    /// The same for reading; its payload is not seen.
    #[inline]
    pub fn view(&self) -> Ipv6<'_> {
        Ipv6(self.0)
    }

    /// Sets DSCP and ECN.
    #[inline]
    pub fn set_traffic_class(&mut self, class: u8) {
        let word = be32(self.0, 0) & !(0xff << 20) | u32::from(class) << 20;
        put32(self.0, 0, word);
    }

    /// Sets the flow label; bits beyond its 20 are dropped.
    #[inline]
    pub fn set_label(&mut self, label: u32) {
        let word = be32(self.0, 0) & !LABEL_MASK | label & LABEL_MASK;
        put32(self.0, 0, word);
    }

    setters! {
        /// Sets the bytes behind the fixed header.
        set_payload_len: put16(u16) = 4;
        /// Sets what follows the fixed header.
        set_next_header: put8(u8) = 6;
        /// Sets the hops that the packet may still take.
        set_hop_limit: put8(u8) = 7;
        /// Sets the source address.
        set_src: put128(u128) = 8;
        /// Sets the destination address.
        set_dst: put128(u128) = 24;
    }
}

/// What stands behind the extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper<'a> {
    /// What the payload is (see [`crate::protocol`]).
    pub protocol: u8,
    /// What follows the last extension header.
    pub payload: &'a [u8],
    /// The packet is a fragment.
    pub is_fragment: bool,
    /// It is a fragment other than the first; `payload` then is not an L4 header.
    pub is_later_fragment: bool,
    /// A routing header with segments left was passed: the addresses in the
    /// fixed header are not those that L4 checksums cover.
    pub has_routing: bool,
}

/// Walks the extension headers; `None` when one is cut off.
pub fn upper(next_header: u8, payload: &[u8]) -> Option<Upper<'_>> {
    let mut at = Upper {
        protocol: next_header,
        payload,
        is_fragment: false,
        is_later_fragment: false,
        has_routing: false,
    };
    loop {
        let bytes = at.payload;
        let len = match at.protocol {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DEST_OPTIONS => {
                if bytes.len() < 8 {
                    return None;
                }
                at.has_routing |= at.protocol == protocol::ROUTING && byte(bytes, 3) > 0;
                (usize::from(byte(bytes, 1)) + 1) * 8
            }
            protocol::AUTH => {
                if bytes.len() < 8 {
                    return None;
                }
                (usize::from(byte(bytes, 1)) + 2) * 4
            }
            protocol::FRAGMENT => {
                if bytes.len() < 8 {
                    return None;
                }
                8
            }
            _ => return Some(at),
        };
        let protocol = at.protocol;
        at.protocol = byte(bytes, 0);
        at.payload = bytes.get(len..)?;
        if protocol == protocol::FRAGMENT {
            let word = be16(bytes, 2);
            // A whole packet with a fragment header is no fragment.
            if word != 0 {
                at.is_fragment = true;
                if word & 0xfff8 != 0 {
                    at.is_later_fragment = true;
                    // What the next header would be is not in this packet.
                    at.protocol = protocol::FRAGMENT;
                    return Some(at);
                }
            }
        }
    }
}

/// An IPv6 header without extension headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// DSCP in the upper six bits, ECN in the lower two.
    pub traffic_class: u8,
    /// The flow label, 20 bits.
    pub label: u32,
    /// Bytes behind this header, extension headers included.
    pub payload_len: u16,
    /// What follows: an extension header or a protocol (see [`crate::protocol`]).
    pub next_header: u8,
    /// Hops that the packet may still take.
    pub hop_limit: u8,
    /// The source address.
    pub src: u128,
    /// The destination address.
    pub dst: u128,
}

impl TypedForm for Header {
    /// `None` also for another version. The packet may be cut off behind the header.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        let first = input.u32()?;
        (first >> 28 == 6).then_some(Header {
            traffic_class: (first >> 20) as u8,
            label: first & LABEL_MASK,
            payload_len: input.u16()?,
            next_header: input.u8()?,
            hop_limit: input.u8()?,
            src: input.u128()?,
            dst: input.u128()?,
        })
    }

    #[inline]
    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u32(6 << 28 | u32::from(self.traffic_class) << 20 | self.label & LABEL_MASK);
        out.u16(self.payload_len);
        out.u8(self.next_header);
        out.u8(self.hop_limit);
        out.u128(self.src);
        out.u128(self.dst);
    }
}

/// A header for `payload_len` bytes.
pub fn header(
    src: u128,
    dst: u128,
    next_header: u8,
    traffic_class: u8,
    label: u32,
    hop_limit: u8,
    payload_len: usize,
) -> [u8; LEN] {
    let payload_len = u16::try_from(payload_len).unwrap_or(u16::MAX);
    array(&Header { traffic_class, label, payload_len, next_header, hop_limit, src, dst })
}
