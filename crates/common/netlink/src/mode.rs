//! How a link runs: its speed and duplex, as ethtool tells them.

use std::os::fd::AsRawFd;

use crate::socket::Socket;

/// `ETHTOOL_GSET`.
const GET_SETTINGS: u32 = 1;
const DUPLEX_FULL: u8 = 1;

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

/// The speed and duplex that a link has now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkMode {
    pub speed_mbps: u32,
    pub is_full_duplex: bool,
}

/// The mode of the link of this name, in this thread's network namespace;
/// none when there is no such link, or it does not know.
pub fn link_mode(name: &str) -> Option<LinkMode> {
    if name.len() >= libc::IFNAMSIZ {
        return None;
    }
    // Every kind of socket answers this request.
    let socket = Socket::open(0, false).ok()?;
    let mut settings = Settings { command: GET_SETTINGS, ..Settings::default() };
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut settings).cast();
    // SAFETY: the kernel reads the request and writes at most a `struct ethtool_cmd` to
    // `ifru_data`, which points to one; both live until the call returns.
    let rc = unsafe { libc::ioctl(socket.fd().as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    let speed_mbps = u32::from(settings.speed_high) << 16 | u32::from(settings.speed);
    // All ones, in 16 or 32 bits, stand for "unknown".
    let is_known = ![0, 0xffff, u32::MAX].contains(&speed_mbps);
    (rc == 0 && is_known).then_some(LinkMode { speed_mbps, is_full_duplex: settings.duplex == DUPLEX_FULL })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_mode_tells_none() {
        assert_eq!(std::mem::size_of::<Settings>(), 44);
        assert_eq!(link_mode("lo"), None);
        assert_eq!(link_mode("no-such-link"), None);
        assert_eq!(link_mode("a-name-that-is-too-long"), None);
    }
}
