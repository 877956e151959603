//! `ct` and `nat`.

use std::net::{Ipv4Addr, Ipv6Addr};

use fields::Subfield;

use super::Action;

/// Where the zone comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ZoneSource {
    Immediate(u16),
    Field(Subfield),
}

/// `ct(...)`: sends the packet through connection tracking.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ct {
    pub commit: bool,
    pub force: bool,
    pub zone: ZoneSource,
    /// Go on in this table with the connection's state.
    pub recirc_table: Option<u8>,
    /// Port of the helper: 0, 21 (ftp) or 69 (tftp).
    pub alg: u16,
    /// `exec(...)` and at most one `nat`.
    pub actions: Vec<Action>,
}

/// Addresses to translate to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NatRange {
    None,
    V4 { min: Ipv4Addr, max: Option<Ipv4Addr> },
    V6 { min: Ipv6Addr, max: Option<Ipv6Addr> },
}

/// `nat(...)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nat {
    pub source: bool,
    pub destination: bool,
    pub persistent: bool,
    pub hash: bool,
    pub random: bool,
    pub range: NatRange,
    /// Ports to translate to; `None` means any.
    pub min_port: Option<u16>,
    pub max_port: Option<u16>,
}
