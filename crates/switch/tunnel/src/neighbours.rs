//! The link addresses of neighbours, by bridge.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use base::{MacAddr, Timestamp};
use pipeline::tunnel::{Neighbour, shown};

/// So many are remembered of all bridges: whoever sends from ever new addresses cannot fill the memory.
const MAX_NEIGHBOURS: usize = 8192;
/// How long one that is not in use is remembered, unless somebody says otherwise.
const AGING: Duration = Duration::from_secs(15 * 60);
const MAX_AGING: Duration = Duration::from_secs(3600);
/// After which time one that has not answered is asked for again, unless somebody says otherwise.
const RETRANSMIT: Duration = Duration::from_millis(1000);
/// The column of addresses is so wide (`INET6_ADDRSTRLEN`).
const ADDRESS_WIDTH: usize = 46;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// `None` until it has answered.
    mac: Option<MacAddr>,
    expires: Timestamp,
}

/// What is known of neighbours.
#[derive(Debug)]
pub struct Neighbours {
    entries: BTreeMap<(String, u128), Entry>,
    aging: Duration,
    retransmit: Duration,
}

impl Default for Neighbours {
    fn default() -> Neighbours {
        Neighbours { entries: BTreeMap::new(), aging: AGING, retransmit: RETRANSMIT }
    }
}

impl Neighbours {
    /// What is known of the neighbour behind a bridge; an address of IPv4 is mapped.
    pub fn find(&self, bridge: &str, address: u128) -> Neighbour {
        match self.entries.get(&(bridge.to_owned(), address)) {
            None => Neighbour::Unknown,
            Some(Entry { mac: None, .. }) => Neighbour::Asked,
            Some(Entry { mac: Some(mac), .. }) => Neighbour::Known(*mac),
        }
    }

    /// Takes in a neighbour's link address, or that it is in use; whether that is news.
    pub fn set(&mut self, bridge: &str, address: u128, mac: MacAddr, now: Timestamp) -> bool {
        let expires = now + self.aging;
        let key = (bridge.to_owned(), address);
        if let Some(known) = self.entries.get_mut(&key) {
            let is_news = known.mac != Some(mac);
            *known = Entry { mac: Some(mac), expires: expires.max(known.expires) };
            return is_news;
        }
        if self.entries.len() >= MAX_NEIGHBOURS {
            return false;
        }
        self.entries.insert(key, Entry { mac: Some(mac), expires });
        true
    }

    /// Takes note that a neighbour is asked for; whether nothing was known of it. Without a time after which to ask again,
    /// nothing is noted, and every packet asks.
    pub fn ask(&mut self, bridge: &str, address: u128, now: Timestamp) -> bool {
        let key = (bridge.to_owned(), address);
        if self.entries.contains_key(&key) {
            return false;
        }
        if !self.retransmit.is_zero() && self.entries.len() < MAX_NEIGHBOURS {
            self.entries.insert(key, Entry { mac: None, expires: now + self.retransmit });
        }
        true
    }

    /// Forgets those whose time is over; whether there were any.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.expires > now);
        self.entries.len() != before
    }

    /// Forgets those behind bridges that are gone; whether there were any.
    pub fn keep_bridges(&mut self, is_there: impl Fn(&str) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(of, _), _| is_there(of));
        self.entries.len() != before
    }

    /// Forgets all; whether there were any.
    pub fn flush(&mut self) -> bool {
        !std::mem::take(&mut self.entries).is_empty()
    }

    /// What `tnl/neigh/show` says.
    pub fn show(&self, now: Timestamp) -> String {
        let mut text = format!("{:46}MAC                 Bridge\n{}\n", "IP", "=".repeat(74));
        for ((bridge, address), entry) in &self.entries {
            let _ = write!(text, "{:ADDRESS_WIDTH$}", shown(*address));
            let _ = match entry.mac {
                Some(mac) => write!(text, "{mac}   {bridge}"),
                None => write!(text, "                    {bridge} INCOMPLETE"),
            };
            text.push_str(if entry.expires <= now { " STALE\n" } else { "\n" });
        }
        text
    }

    /// How long one that is not in use is remembered.
    pub fn aging(&self) -> Duration {
        self.aging
    }

    /// Sets that, in whole seconds. The error is worded for who runs the command.
    pub fn set_aging(&mut self, seconds: u64, now: Timestamp) -> Result<(), &'static str> {
        let aging = Duration::from_secs(seconds);
        if aging.is_zero() || aging > MAX_AGING {
            return Err("bad aging value");
        }
        if aging < self.retransmit {
            return Err("aging value cannot be less than retrans_time");
        }
        self.aging = aging;
        self.entries.values_mut().for_each(|entry| entry.expires = entry.expires.min(now + aging));
        Ok(())
    }

    /// After which time one that has not answered is asked for again.
    pub fn retransmit(&self) -> Duration {
        self.retransmit
    }

    /// Sets that. The error is worded for who runs the command.
    pub fn set_retransmit(&mut self, time: Duration, now: Timestamp) -> Result<(), &'static str> {
        if time > self.aging {
            return Err("retrans_time value cannot be greater than aging");
        }
        self.retransmit = time;
        let asked = self.entries.values_mut().filter(|entry| entry.mac.is_none());
        asked.for_each(|entry| entry.expires = entry.expires.min(now + time));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    #[test]
    fn a_neighbour_is_asked_for_once_in_a_while() {
        let mut all = Neighbours::default();
        assert_eq!(all.find("br0", 7), Neighbour::Unknown);
        assert!(all.ask("br0", 7, at(0)));
        assert!(!all.ask("br0", 7, at(0)));
        assert_eq!(all.find("br0", 7), Neighbour::Asked);
        assert_eq!(all.find("br1", 7), Neighbour::Unknown);
        assert!(!all.expire(at(0)));
        assert!(all.expire(at(1)));
        assert!(all.ask("br0", 7, at(1)));
        assert!(all.set("br0", 7, MAC, at(1)));
        assert!(!all.set("br0", 7, MAC, at(2)));
        assert_eq!(all.find("br0", 7), Neighbour::Known(MAC));
        all.set_aging(10, at(2)).unwrap();
        assert!(all.set("br0", 7, MacAddr::BROADCAST, at(3)), "it has another address");
        assert!(!all.expire(at(12)));
        assert!(all.expire(at(13)));
    }

    #[test]
    fn times_are_checked_and_neighbours_shown() {
        let mut all = Neighbours::default();
        assert_eq!(all.set_aging(0, at(0)), Err("bad aging value"));
        assert_eq!(all.set_aging(3601, at(0)), Err("bad aging value"));
        let too_long = all.set_retransmit(Duration::from_secs(901), at(0));
        assert_eq!(too_long, Err("retrans_time value cannot be greater than aging"));
        all.set_retransmit(Duration::from_secs(5), at(0)).unwrap();
        assert_eq!(all.set_aging(4, at(0)), Err("aging value cannot be less than retrans_time"));
        all.set("br0", 0xffff_0101_025c, MAC, at(0));
        all.ask("br0", 0xffff_0101_025d, at(0));
        let text = all.show(at(1));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "IP                                            MAC                 Bridge");
        assert_eq!(lines[2], "1.1.2.92                                      02:00:00:00:00:01   br0");
        let asked = "1.1.2.93                                                          br0 INCOMPLETE";
        assert_eq!(lines[3], asked);
    }

    #[test]
    fn memory_is_bounded() {
        let mut all = Neighbours::default();
        for address in 0..2 * MAX_NEIGHBOURS as u128 {
            all.set("br0", address, MAC, at(0));
        }
        assert_eq!(all.entries.len(), MAX_NEIGHBOURS);
    }
}
