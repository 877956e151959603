//! What protocols that the switch itself speaks at a port have translation do.

use std::sync::atomic::{AtomicBool, Ordering};

use base::MacAddr;
use dp::SlowPath;

/// A protocol that the switch speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Bidirectional forwarding detection.
    Bfd,
    /// Link aggregation.
    Lacp,
    /// Connectivity fault management.
    Cfm,
    /// Spanning tree, of either kind.
    SpanningTree,
    /// Link layer discovery.
    Lldp,
}

impl Protocol {
    pub(crate) fn slow_path(self) -> SlowPath {
        match self {
            Protocol::Bfd => SlowPath::BFD,
            Protocol::Lacp => SlowPath::LACP,
            Protocol::Cfm => SlowPath::CFM,
            Protocol::SpanningTree => SlowPath::STP,
            Protocol::Lldp => SlowPath::LLDP,
        }
    }
}

/// Which frames that come in by a port are those of its protocols.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwnFrames {
    /// The frames of a session of bidirectional forwarding detection.
    pub bfd: Option<BfdFrames>,
    /// The frames of connectivity fault management.
    pub cfm: Option<CfmFrames>,
    /// Whether link aggregation is spoken here.
    pub lacp: bool,
    /// Whether link layer discovery is spoken here.
    pub lldp: bool,
}

/// What the protocols at a port have translation do.
#[derive(Debug)]
pub struct Watched {
    /// What goes to them and nowhere else.
    pub own: OwnFrames,
    is_up: AtomicBool,
}

impl Watched {
    /// `is_up`: see [`Watched::is_up`].
    pub fn new(own: OwnFrames, is_up: bool) -> Watched {
        Watched { own, is_up: AtomicBool::new(is_up) }
    }

    /// Whether the neighbour is heard, so that the port may be forwarded through.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// Sets [`Watched::is_up`]. Returns whether it was otherwise: then the bridges' epoch is to be moved.
    pub fn set_up(&self, is_up: bool) -> bool {
        self.is_up.swap(is_up, Ordering::AcqRel) != is_up
    }
}

/// Which frames to the port of bidirectional forwarding detection are the session's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BfdFrames {
    /// Only those to this address.
    pub destination_mac: Option<MacAddr>,
    /// Only those to this IPv4 address.
    pub destination: Option<u32>,
    /// Only those whose tunnel has no key.
    pub without_tunnel_key: bool,
}

/// Which frames of connectivity fault management are the port's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CfmFrames {
    /// Only those to this address.
    pub destination: MacAddr,
    /// Only those whose tunnel has no key.
    pub without_tunnel_key: bool,
}
