//! How a link runs: its speed, duplex and features, as ethtool(8) shows them.

use crate::ethtool::{Request, ask};

/// `ETHTOOL_GSET`.
const GET_SETTINGS: u32 = 1;
const DUPLEX_HALF: u8 = 0;
const DUPLEX_FULL: u8 = 1;

// SAFETY: `ETHTOOL_GSET` fills in a `struct ethtool_cmd`, which this is, all of plain numbers.
unsafe impl Request for Settings {}

/// `struct ethtool_cmd`.
#[repr(C)]
#[derive(Default)]
struct Settings {
    command: u32,
    supported: u32,
    advertising: u32,
    speed: u16,
    duplex: u8,
    port: u8,
    phy_address: u8,
    transceiver: u8,
    autonegotiation: u8,
    mdio_support: u8,
    max_tx_packets: u32,
    max_rx_packets: u32,
    speed_high: u16,
    mdix: u8,
    mdix_control: u8,
    peer_advertising: u32,
    reserved: [u32; 2],
}

/// `PORT_TP`, `PORT_FIBRE`.
const PORT_TWISTED_PAIR: u8 = 0;
const PORT_FIBRE: u8 = 1;

/// `SUPPORTED_*` of ethtool, by bit, as features.
const ETHTOOL_FEATURES: [u32; 27] = {
    use base::link_feature::*;
    let mut bits = [0; 27];
    (bits[0], bits[1], bits[2], bits[3], bits[4], bits[5]) =
        (HALF_10M, FULL_10M, HALF_100M, FULL_100M, HALF_1G, FULL_1G);
    (bits[6], bits[7], bits[10]) = (AUTONEGOTIATION, COPPER, FIBER);
    (bits[13], bits[14]) = (PAUSE, PAUSE_ASYMMETRIC);
    bits[17] = FULL_1G;
    (bits[12], bits[18], bits[19], bits[20]) = (FULL_10G, FULL_10G, FULL_10G, FULL_10G);
    (bits[23], bits[24], bits[25], bits[26]) = (FULL_40G, FULL_40G, FULL_40G, FULL_40G);
    bits
};

fn features(ethtool: u32) -> u32 {
    let named = ETHTOOL_FEATURES.iter().enumerate().filter(|(bit, _)| ethtool >> bit & 1 != 0);
    named.fold(0, |all, (_, feature)| all | feature)
}

/// How a link runs now, and how it could.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkMode {
    /// `None` when the link does not know.
    pub speed_mbps: Option<u32>,
    /// Whether it sends and receives at once; false also when the link does not know.
    pub is_full_duplex: bool,
    /// [`base::link_feature`] bits: how it runs now.
    pub current: u32,
    /// What it offers its peer.
    pub advertised: u32,
    /// How it could run.
    pub supported: u32,
}

impl LinkMode {
    fn new(settings: &Settings) -> LinkMode {
        use base::link_feature::*;
        let speed = u32::from(settings.speed_high) << 16 | u32::from(settings.speed);
        // None, and all ones in 16 or 32 bits, stand for "unknown".
        let speed_mbps = Some(speed).filter(|speed| ![0, 0xffff, u32::MAX].contains(speed));
        let by_duplex = |half, full| if settings.duplex == DUPLEX_HALF { half } else { full };
        let mut current = match speed_mbps {
            None => 0,
            Some(10) => by_duplex(HALF_10M, FULL_10M),
            Some(100) => by_duplex(HALF_100M, FULL_100M),
            Some(1_000) => by_duplex(HALF_1G, FULL_1G),
            Some(10_000) => FULL_10G,
            Some(40_000) => FULL_40G,
            Some(100_000) => FULL_100G,
            Some(1_000_000) => FULL_1T,
            Some(_) => OTHER,
        };
        current |= match settings.port {
            PORT_TWISTED_PAIR => COPPER,
            PORT_FIBRE => FIBER,
            _ => 0,
        };
        if settings.autonegotiation != 0 {
            current |= AUTONEGOTIATION;
        }
        LinkMode {
            speed_mbps,
            is_full_duplex: settings.duplex == DUPLEX_FULL,
            current,
            advertised: features(settings.advertising),
            supported: features(settings.supported),
        }
    }
}

/// The mode of the link of this name, in this thread's network namespace;
/// none when there is no such link, or it has no modes.
pub fn link_mode(name: &str) -> Option<LinkMode> {
    let mut settings = Settings { command: GET_SETTINGS, ..Settings::default() };
    ask(name, &mut settings).then(|| LinkMode::new(&settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_told_in_features() {
        use base::link_feature::*;
        let settings = Settings {
            supported: 1 << 5 | 1 << 6 | 1 << 7 | 1 << 12,
            advertising: 1 << 5,
            speed: 10_000,
            duplex: DUPLEX_FULL,
            port: PORT_TWISTED_PAIR,
            ..Settings::default()
        };
        assert_eq!(
            LinkMode::new(&settings),
            LinkMode {
                speed_mbps: Some(10_000),
                is_full_duplex: true,
                current: FULL_10G | COPPER,
                advertised: FULL_1G,
                supported: FULL_1G | AUTONEGOTIATION | COPPER | FULL_10G,
            }
        );
        let unknown = Settings { speed: 0xffff, speed_high: 0xffff, port: 0xff, ..Settings::default() };
        assert_eq!(LinkMode::new(&unknown), LinkMode::default());
    }

    #[test]
    fn what_has_no_mode_tells_none() {
        assert_eq!(std::mem::size_of::<Settings>(), 44);
        assert_eq!(link_mode("lo"), None);
        assert_eq!(link_mode("no-such-link"), None);
        assert_eq!(link_mode("a-name-that-is-too-long"), None);
    }
}
