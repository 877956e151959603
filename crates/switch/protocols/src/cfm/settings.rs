//! What an interface's row asks for.

use pipeline::CfmFrames;
use wire::cfm::{DESTINATION, DESTINATION_EXTENDED};

/// The intervals of the standard, in milliseconds, by their number less one.
const INTERVALS: [i64; 7] = [3, 10, 100, 1000, 10_000, 60_000, 600_000];
/// The greatest number of a maintenance point, but for extended mode.
const MOST_MPID: u64 = 8191;

/// The VLAN of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vlan {
    /// This one; zero is none.
    Id(u16),
    /// Another one each time.
    Random,
}

/// The settings of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The number of this end.
    pub mpid: u64,
    /// Milliseconds between messages.
    pub interval_ms: i64,
    /// Numbers and intervals may be any, and ends say whether they are to be used.
    pub is_extended: bool,
    /// Other traffic stands for messages, in extended mode.
    pub demand: bool,
    /// This end is to be used.
    pub is_up: bool,
    /// The VLAN of messages.
    pub vlan: Vlan,
    /// The priority of messages.
    pub pcp: u8,
    /// Messages in tunnels count only if these have no key.
    pub check_tunnel_key: bool,
}

impl Settings {
    /// Whether the number is one that this mode allows.
    pub fn is_valid(&self) -> bool {
        self.mpid >= 1 && (self.is_extended || self.mpid <= MOST_MPID)
    }

    pub(super) fn is_demanding(&self) -> bool {
        self.is_extended && self.demand
    }

    /// The number of the interval in messages, and the interval: outside of extended mode the greatest of the standard's that
    /// is not longer.
    pub(super) fn interval(&self) -> (u8, i64) {
        let standard = INTERVALS.iter().rposition(|interval| *interval <= self.interval_ms).unwrap_or(0);
        let (number, interval) = (standard as u8 + 1, INTERVALS[standard]);
        if self.is_extended && interval != self.interval_ms {
            return (0, self.interval_ms.min(u16::MAX.into()));
        }
        (number, interval)
    }

    /// The frames that the session takes.
    pub fn frames(&self) -> CfmFrames {
        CfmFrames {
            destination: if self.is_extended { DESTINATION_EXTENDED } else { DESTINATION },
            without_tunnel_key: self.check_tunnel_key,
        }
    }
}
