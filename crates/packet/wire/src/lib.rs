//! Headers on the wire.
//!
//! Enters: bytes of any length and content. Leaves: values of header fields,
//! or headers written. Used by whoever reads or rewrites packets.
//!
//! Each header has up to three types:
//!
//! - a view (`Ipv4`), which reads single fields where they are. It is made by a checked constructor (`parse`), which
//!   returns `None` when the bytes are too few or the lengths they state do not fit; after it no accessor can fail;
//! - a view that sets single fields where they are (`Ipv4Mut`), made alike; its setters cannot fail either, and those
//!   of headers with a checksum of their own correct it;
//! - the typed form (`ipv4::Header`), an owned value that can be parsed and emitted ([`TypedForm`]), whose length is
//!   known before.
//!
//! Nothing here panics on any bytes. Numbers are host-endian. Bareudp has no header of its own: UDP is followed by
//! MPLS or IP.
//!
//! Not here: sockets, the flow key (`flow`), what to do with a packet (`dp`).

#![warn(missing_docs)]

pub mod arp;
pub mod bfd;
pub mod bytes;
pub mod cfm;
pub mod checksum;
pub mod cursor;
pub mod erspan;
pub mod ethernet;
pub mod extension;
mod form;
pub mod geneve;
pub mod gre;
pub mod gtpu;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod lacp;
pub mod lldp;
pub mod membership;
pub mod mpls;
pub mod nd;
pub mod nsh;
pub mod sctp;
pub mod stp;
pub mod tcp;
pub mod transport;
pub mod udp;
pub mod vxlan;

pub use checksum::{Checksum, checksum};
pub use form::{TooShort, TypedForm};

/// IP protocol numbers.
pub mod protocol {
    /// IPv6 hop-by-hop options, an extension header.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// IPv4 within IP.
    pub const IPIP: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 within IP.
    pub const IPV6: u8 = 41;
    /// IPv6 routing, an extension header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment, an extension header.
    pub const FRAGMENT: u8 = 44;
    /// GRE.
    pub const GRE: u8 = 47;
    /// Authentication (RFC 4302), an extension header.
    pub const AUTH: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows.
    pub const NONE: u8 = 59;
    /// IPv6 destination options, an extension header.
    pub const DEST_OPTIONS: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod typed_tests;
