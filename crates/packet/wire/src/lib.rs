//! Headers on the wire.
//!
//! Enters: bytes of any length and content. Leaves: values of header fields,
//! or headers written. Used by whoever reads or rewrites packets.
//!
//! The contract: a view is made by a checked constructor (`parse`), which
//! returns `None` when the bytes are too few or the lengths they state do not
//! fit; after it no accessor can fail. Nothing here panics on any bytes.
//! Numbers are host-endian.
//!
//! Not here: sockets, the flow key (`flow`), what to do with a packet (`dp`).

pub mod arp;
pub mod bytes;
pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod mpls;
pub mod nsh;
pub mod sctp;
pub mod tcp;
pub mod udp;

pub use checksum::{Checksum, checksum};

/// IP protocol numbers.
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IGMP: u8 = 2;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const AUTH: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const NONE: u8 = 59;
    pub const DEST_OPTIONS: u8 = 60;
    pub const SCTP: u8 = 132;
}
