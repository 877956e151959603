//! What a connection is known by.

use std::net::{Ipv4Addr, Ipv6Addr};

use flow::extract::mix;
use wire::protocol;

/// An address of either version of IP; which, the [`Key`] says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Address([u8; 16]);

impl Address {
    /// Of IPv4.
    pub const fn v4(address: u32) -> Address {
        Address((address as u128).to_be_bytes())
    }

    /// Of IPv6.
    pub const fn v6(address: u128) -> Address {
        Address(address.to_be_bytes())
    }

    /// As a number: of IPv4, the lower 32 bits.
    pub const fn number(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// Whether no bit is set.
    pub const fn is_zero(self) -> bool {
        self.number() == 0
    }

    /// As text.
    pub fn text(self, is_v6: bool) -> String {
        if is_v6 {
            Ipv6Addr::from(self.number()).to_string()
        } else {
            Ipv4Addr::from(self.number() as u32).to_string()
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Endpoint {
    /// Its address.
    pub address: Address,
    /// Its port; of ICMP the identifier, the same at both ends; 0 for protocols without ports.
    pub port: u16,
    /// Of ICMP, the type of messages that this end sends.
    pub icmp_type: u8,
}

impl Endpoint {
    fn hash(&self, basis: u64) -> u64 {
        let number = self.address.number();
        let hash = mix(mix(basis, (number >> 64) as u64), number as u64);
        mix(hash, u64::from(self.port) << 8 | u64::from(self.icmp_type))
    }
}

/// A connection as packets of one direction name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Key {
    /// Who sends.
    pub src: Endpoint,
    /// Who receives.
    pub dst: Endpoint,
    /// Connections of different zones have nothing to do with each other.
    pub zone: u16,
    /// The protocol over IP (see [`wire::protocol`]).
    pub protocol: u8,
    /// IPv6, else IPv4.
    pub is_v6: bool,
}

impl Key {
    /// As packets of the other direction name it.
    #[must_use]
    pub const fn reversed(&self) -> Key {
        Key { src: self.dst, dst: self.src, ..*self }
    }

    /// Whether the ends have a type of ICMP in place of ports.
    pub const fn is_icmp(&self) -> bool {
        matches!((self.protocol, self.is_v6), (protocol::ICMP, false) | (protocol::ICMPV6, true))
    }

    /// The same for both directions.
    pub(crate) fn hash(&self, basis: u64) -> u64 {
        let ends = self.src.hash(basis) ^ self.dst.hash(basis);
        let rest = u64::from(self.zone) << 16 | u64::from(self.protocol) << 8 | u64::from(self.is_v6);
        let hash = mix(ends, rest);
        hash ^ hash >> 32
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// As the first packet of the connection.
    Original,
    /// Against it.
    Reply,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub(crate) const fn reversed(self) -> Direction {
        match self {
            Direction::Original => Direction::Reply,
            Direction::Reply => Direction::Original,
        }
    }
}

/// The type of the message that answers one of this type; `None` for types that begin or answer nothing.
pub(crate) const fn answering_type(is_v6: bool, kind: u8) -> Option<u8> {
    match (is_v6, kind) {
        (false, 8) => Some(0),
        (false, 0) => Some(8),
        (false, 13) => Some(14),
        (false, 14) => Some(13),
        (false, 15) => Some(16),
        (false, 16) => Some(15),
        (true, 128) => Some(129),
        (true, 129) => Some(128),
        _ => None,
    }
}
