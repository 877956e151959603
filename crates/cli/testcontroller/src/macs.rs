//! Which address is behind which port of a switch.

use std::collections::HashMap;
use std::time::Duration;

use base::{MacAddr, OfPort, Timestamp};

/// How long an address is remembered that nobody sends from.
const IDLE: Duration = Duration::from_secs(300);
/// How many are remembered; made-up addresses must not fill the memory.
const MOST: usize = 2048;

#[derive(Debug, Default)]
pub(crate) struct Macs {
    known: HashMap<MacAddr, (OfPort, Timestamp)>,
}

impl Macs {
    /// Remembers where a frame came from; whether that is news.
    pub(crate) fn learn(&mut self, mac: MacAddr, port: OfPort, now: Timestamp) -> bool {
        if mac.is_multicast() {
            return false;
        }
        if self.known.len() >= MOST && !self.known.contains_key(&mac) {
            self.known.retain(|_, (_, last)| now - *last < IDLE);
            if self.known.len() >= MOST
                && let Some(oldest) =
                    self.known.iter().min_by_key(|(_, (_, last))| *last).map(|(mac, _)| *mac)
            {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(mac, (port, now)).is_none_or(|(old, _)| old != port)
    }

    pub(crate) fn port(&self, mac: MacAddr, now: Timestamp) -> Option<OfPort> {
        self.known.get(&mac).filter(|(_, last)| now - *last < IDLE).map(|(port, _)| *port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_forgotten_in_time_and_by_number() {
        let start = Timestamp::default();
        let mac = MacAddr::from_u64;
        let mut macs = Macs::default();
        assert!(macs.learn(mac(2), OfPort(1), start));
        assert!(!macs.learn(mac(2), OfPort(1), start));
        assert!(macs.learn(mac(2), OfPort(3), start), "it moved");
        assert!(!macs.learn(MacAddr([1, 0, 0, 0, 0, 1]), OfPort(1), start), "a group sends nothing");
        assert_eq!(macs.port(mac(2), start + IDLE / 2), Some(OfPort(3)));
        assert_eq!(macs.port(mac(2), start + IDLE), None);
        for number in 0..2 * MOST as u64 {
            macs.learn(mac(number << 1), OfPort(9), start + Duration::from_millis(number));
        }
        assert_eq!(macs.known.len(), MOST);
        assert_eq!(macs.port(mac((2 * MOST as u64 - 1) << 1), start), Some(OfPort(9)));
    }
}
