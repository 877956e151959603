//! Which connections are meant.

use wire::protocol;

use crate::key::{Address, Endpoint, Key, answering_type};

/// Connections by what is known of them; what is zero is not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// IPv6 or IPv4; `None` when no address is given.
    pub is_v6: Option<bool>,
    /// The protocol over IP.
    pub protocol: u8,
    /// As packets of the original direction name it.
    pub original: Ends,
    /// As replies name it.
    pub reply: Ends,
    /// Value and mask.
    pub mark: (u32, u32),
    /// Value and mask.
    pub label: (u128, u128),
}

/// The ends of a connection, as far as they are given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    /// The source address.
    pub src: Address,
    /// The destination address.
    pub dst: Address,
    /// The source port.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// The identifier of ICMP.
    pub icmp_id: u16,
    /// The type of ICMP.
    pub icmp_type: u8,
    /// The code of ICMP.
    pub icmp_code: u8,
}

impl Filter {
    /// Whether every connection is meant.
    pub fn is_empty(&self) -> bool {
        *self == Filter { mark: (self.mark.0, 0), label: (self.label.0, 0), ..Filter::default() }
    }

    /// Whether the protocol is ICMP of either version.
    pub fn is_icmp(&self) -> bool {
        matches!(self.protocol, protocol::ICMP | protocol::ICMPV6)
    }

    /// The key, when all of the original direction is given and nothing else.
    pub(crate) fn exact(&self, zone: u16) -> Option<Key> {
        let ends = &self.original;
        let has_ports = self.is_icmp() || ends.src_port != 0 && ends.dst_port != 0;
        let has_addresses = !ends.src.is_zero() && !ends.dst.is_zero();
        let is_alone = self.reply.is_zero(self.is_icmp()) && self.mark.1 == 0 && self.label.1 == 0;
        if !(has_ports && has_addresses && is_alone) || ends.icmp_code != 0 {
            return None;
        }
        let is_v6 = self.is_v6.unwrap_or_default();
        let end = |address, port, icmp_type| Endpoint { address, port, icmp_type };
        let (src, dst) = if self.is_icmp() {
            let answer = answering_type(is_v6, ends.icmp_type).unwrap_or_default();
            (end(ends.src, ends.icmp_id, ends.icmp_type), end(ends.dst, ends.icmp_id, answer))
        } else {
            (end(ends.src, ends.src_port, 0), end(ends.dst, ends.dst_port, 0))
        };
        Some(Key { src, dst, zone, protocol: self.protocol, is_v6 })
    }

    /// Whether a connection is meant.
    pub(crate) fn matches(&self, original: &Key, reply: &Key, mark: u32, label: u128) -> bool {
        self.is_v6.is_none_or(|is_v6| is_v6 == original.is_v6)
            && (self.protocol == 0 || self.protocol == original.protocol)
            && self.original.matches(original, self.is_icmp())
            && self.reply.matches(reply, self.is_icmp())
            && (mark ^ self.mark.0) & self.mark.1 == 0
            && (label ^ self.label.0) & self.label.1 == 0
    }
}

impl Ends {
    fn is_zero(&self, is_icmp: bool) -> bool {
        let has_ports = !is_icmp && (self.src_port != 0 || self.dst_port != 0);
        self.src.is_zero() && self.dst.is_zero() && !has_ports
    }

    fn matches(&self, key: &Key, is_icmp: bool) -> bool {
        let address = |given: Address, has| given.is_zero() || given == has;
        let port = |given, has| given == 0 || given == has;
        if !address(self.src, key.src.address) || !address(self.dst, key.dst.address) {
            return false;
        }
        if !is_icmp {
            return port(self.src_port, key.src.port) && port(self.dst_port, key.dst.port);
        }
        // Zero is a type and a code as well.
        let has_icmp = *self != Ends { src: self.src, dst: self.dst, ..Ends::default() };
        !has_icmp
            || (self.icmp_id == key.src.port && self.icmp_type == key.src.icmp_type && self.icmp_code == 0)
    }
}
