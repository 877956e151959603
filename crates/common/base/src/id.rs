//! Numbers that must not be mixed up.

use std::fmt;

/// An OpenFlow port number in the 32-bit form (OpenFlow 1.1+, `ofp_port_no`).
///
/// OpenFlow 1.0's 16-bit reserved ports are stored here with their 32-bit
/// values: 0xfff8 there is 0xfffffff8 here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OfPort(pub u32);

impl OfPort {
    /// "No port": what a packet that came from no port has as its in_port (OpenFlow 1.0 `OFPP_NONE`, later `OFPP_ANY`).
    pub const NONE: OfPort = OfPort(0xffff_ffff);
    /// Any port: the wildcard of requests; the same number as [`OfPort::NONE`].
    pub const ANY: OfPort = OfPort(0xffff_ffff);
    /// The bridge's own port.
    pub const LOCAL: OfPort = OfPort(0xffff_fffe);
    /// To the controllers, as a packet-in.
    pub const CONTROLLER: OfPort = OfPort(0xffff_fffd);
    /// Every port except the one that the packet came in by.
    pub const ALL: OfPort = OfPort(0xffff_fffc);
    /// As `ALL`, without ports that are not to be flooded.
    pub const FLOOD: OfPort = OfPort(0xffff_fffb);
    /// What a switch without rules would do.
    pub const NORMAL: OfPort = OfPort(0xffff_fffa);
    /// Through the tables, for packet-outs.
    pub const TABLE: OfPort = OfPort(0xffff_fff9);
    /// The port that the packet came in by.
    pub const IN_PORT: OfPort = OfPort(0xffff_fff8);
    /// OpenFlow 1.5's "not set" value of the action set's output field.
    pub const UNSET: OfPort = OfPort(0xffff_fff7);
    /// One more than the greatest number of a real port (OpenFlow 1.0 `OFPP_MAX`).
    pub const MAX: OfPort = OfPort(0xff00);

    /// Whether this is one of the reserved numbers, [`OfPort::LOCAL`] among them.
    pub const fn is_reserved(self) -> bool {
        self.0 >= 0xffff_ff00
    }

    /// From the `ofport` and `ofport_request` columns, where reserved ports have their 16-bit numbers and -1 is none.
    pub const fn from_database(v: u32) -> Option<OfPort> {
        match v {
            1..0xff00 => Some(OfPort(v)),
            0xfffe => Some(OfPort::LOCAL),
            _ => None,
        }
    }

    /// The 16-bit form of OpenFlow 1.0 and of the `in_port` match field, or `None` when the number has none.
    pub const fn to_u16(self) -> Option<u16> {
        match self.0 {
            0..0xff00 => Some(self.0 as u16),
            0xffff_ff00.. => Some(self.0 as u16),
            _ => None,
        }
    }

    /// From the 16-bit form of OpenFlow 1.0.
    pub const fn from_u16(v: u16) -> OfPort {
        if v >= 0xff00 { OfPort(v as u32 | 0xffff_0000) } else { OfPort(v as u32) }
    }
}

impl fmt::Debug for OfPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfPort({:#x})", self.0)
    }
}

/// A port number of a datapath. One datapath serves several bridges, so this differs from the OpenFlow number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct DpPort(pub u32);

impl DpPort {
    /// "No port": the in_port of packets that a bridge makes itself (`ODPP_NONE`).
    pub const NONE: DpPort = DpPort(u32::MAX);
}

impl fmt::Display for DpPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An OpenFlow table number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct TableId(pub u8);

impl TableId {
    /// All tables, in requests (`OFPTT_ALL`).
    pub const ALL: TableId = TableId(0xff);
    /// The number of tables a bridge has: 0 to 254, of which 254 is kept for the switch's own rules.
    pub const COUNT: usize = 255;
    /// The table of the switch's own rules, hidden from controllers.
    pub const INTERNAL: TableId = TableId(254);
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
