//! Ways in which a link can run, as bits: OpenFlow 1.1's port features (`OFPPF_*`).
//!
//! `netlink` makes them of what a device says, and `ofp` writes them for controllers.

/// 10 Mbit/s, half duplex.
pub const HALF_10M: u32 = 1;
/// 10 Mbit/s, full duplex.
pub const FULL_10M: u32 = 1 << 1;
/// 100 Mbit/s, half duplex.
pub const HALF_100M: u32 = 1 << 2;
/// 100 Mbit/s, full duplex.
pub const FULL_100M: u32 = 1 << 3;
/// 1 Gbit/s, half duplex.
pub const HALF_1G: u32 = 1 << 4;
/// 1 Gbit/s, full duplex.
pub const FULL_1G: u32 = 1 << 5;
/// 10 Gbit/s, full duplex.
pub const FULL_10G: u32 = 1 << 6;
/// 40 Gbit/s, full duplex.
pub const FULL_40G: u32 = 1 << 7;
/// 100 Gbit/s, full duplex.
pub const FULL_100G: u32 = 1 << 8;
/// 1 Tbit/s, full duplex.
pub const FULL_1T: u32 = 1 << 9;
/// Another rate than those.
pub const OTHER: u32 = 1 << 10;
/// The medium is copper.
pub const COPPER: u32 = 1 << 11;
/// The medium is fibre.
pub const FIBER: u32 = 1 << 12;
/// Rate and duplex are negotiated.
pub const AUTONEGOTIATION: u32 = 1 << 13;
/// Pause frames in both directions.
pub const PAUSE: u32 = 1 << 14;
/// Pause frames in one direction.
pub const PAUSE_ASYMMETRIC: u32 = 1 << 15;

/// The greatest speed of a set, in kbit/s; 0 of a set without any.
pub fn speed_kbps(features: u32) -> u32 {
    let speeds = [
        (FULL_1T, 1_000_000_000),
        (FULL_100G, 100_000_000),
        (FULL_40G, 40_000_000),
        (FULL_10G, 10_000_000),
        (HALF_1G | FULL_1G, 1_000_000),
        (HALF_100M | FULL_100M, 100_000),
        (HALF_10M | FULL_10M, 10_000),
    ];
    speeds.iter().find(|(bits, _)| features & bits != 0).map_or(0, |(_, speed)| *speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_speed_counts() {
        assert_eq!(speed_kbps(HALF_10M | FULL_1G | COPPER), 1_000_000);
        assert_eq!(speed_kbps(FIBER | AUTONEGOTIATION), 0);
    }
}
