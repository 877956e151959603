//! The driver of a link, its version and its firmware's, as `ethtool -i` shows them.

use crate::ethtool::{Request, ask};

/// `ETHTOOL_GDRVINFO`.
const GET_DRIVER: u32 = 3;

// SAFETY: `ETHTOOL_GDRVINFO` fills in a `struct ethtool_drvinfo`, which this is, all of plain numbers.
unsafe impl Request for Info {}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct Info {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    expansion_rom: [u8; 32],
    reserved: [u8; 12],
    counts: [u32; 5],
}

/// What a link's driver says of itself; empty where it says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Driver {
    /// "veth", "virtio_net".
    pub name: String,
    /// The driver's; most have the kernel's.
    pub version: String,
    /// The firmware's version.
    pub firmware: String,
}

/// The driver of the link of this name, in this thread's network namespace; none when there is no such link, or its
/// driver does not say.
pub fn driver(name: &str) -> Option<Driver> {
    let mut info = Info {
        command: GET_DRIVER,
        driver: [0; 32],
        version: [0; 32],
        firmware: [0; 32],
        bus: [0; 32],
        expansion_rom: [0; 32],
        reserved: [0; 12],
        counts: [0; 5],
    };
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
    };
    ask(name, &mut info).then(|| Driver {
        name: text(&info.driver),
        version: text(&info.version),
        firmware: text(&info.firmware),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_has_no_driver() {
        assert_eq!(std::mem::size_of::<Info>(), 196);
        assert_eq!(driver("no-such-link"), None);
        assert_eq!(driver("a-name-that-is-too-long"), None);
    }
}
