//! What `Interface.bfd` asks for.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use base::MacAddr;
use log::Level;

/// The address that packets come from where none is configured: 169.254.1.1.
pub const DEFAULT_SOURCE: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The address that packets go to where none is configured: 169.254.1.0.
pub const DEFAULT_DESTINATION: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 0);
/// The Ethernet address that packets go to where none is configured.
pub const DEFAULT_DESTINATION_MAC: MacAddr = MacAddr([0x00, 0x23, 0x20, 0x00, 0x00, 0x01]);

const DEFAULT_MULTIPLIER: u8 = 3;
const DEFAULT_MIN_TX: i64 = 100;
const DEFAULT_MIN_RX: i64 = 1000;

/// The settings of a session. Times are in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How many packets may be missing before the neighbour is taken to be gone.
    pub multiplier: u8,
    /// The shortest interval at which packets are sent.
    pub min_tx: i64,
    /// The shortest interval at which packets can be received.
    pub min_rx: i64,
    /// The same while no other traffic comes; zero: there is no such mode.
    pub decay_min_rx: i64,
    /// Any traffic that comes shows that the port can be used.
    pub forwarding_if_rx: bool,
    /// What lies behind this switch is down, which the neighbour is to know.
    pub concatenated_path_down: bool,
    /// Packets in tunnels count only if they have no key.
    pub check_tunnel_key: bool,
    /// The packets' source, if it is not the port's address.
    pub local_source_mac: Option<MacAddr>,
    /// The packets' destination, if it is not [`DEFAULT_DESTINATION_MAC`].
    pub local_destination_mac: Option<MacAddr>,
    /// Received packets count only if they have this destination.
    pub remote_destination_mac: Option<MacAddr>,
    /// The packets' source.
    pub source: Ipv4Addr,
    /// The packets' destination.
    pub destination: Ipv4Addr,
    /// Packets in tunnels are marked as those of operation and maintenance.
    pub oam: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            multiplier: DEFAULT_MULTIPLIER,
            min_tx: DEFAULT_MIN_TX,
            min_rx: DEFAULT_MIN_RX,
            decay_min_rx: 0,
            forwarding_if_rx: false,
            concatenated_path_down: false,
            check_tunnel_key: false,
            local_source_mac: None,
            local_destination_mac: None,
            remote_destination_mac: None,
            source: DEFAULT_SOURCE,
            destination: DEFAULT_DESTINATION,
            oam: false,
        }
    }
}

impl Settings {
    /// Reads the column of interface `name`; `None` where nobody asks for a session. A value that cannot be used is
    /// noted in `complaints` with how bad that is, and the usual one is used.
    pub fn read(
        name: &str,
        column: &BTreeMap<String, String>,
        complaints: &mut Vec<(Level, String)>,
    ) -> Option<Settings> {
        let mut column = Column { name, column, complaints };
        if !column.flag("enable") {
            return None;
        }
        let min_rx = column.number("min_rx", DEFAULT_MIN_RX, 1..=MAX_INTERVAL);
        let decay_min_rx = column.number("decay_min_rx", 0, 0..=MAX_INTERVAL);
        if decay_min_rx > 0 && decay_min_rx < min_rx {
            let text = format!("{name}: decay_min_rx cannot be less than {min_rx} ms");
            column.complaints.push((Level::Warn, text));
        }
        Some(Settings {
            multiplier: column.number("mult", DEFAULT_MULTIPLIER, 1..=u8::MAX),
            min_tx: column.number("min_tx", DEFAULT_MIN_TX, 1..=MAX_INTERVAL),
            min_rx,
            decay_min_rx: if decay_min_rx < min_rx { 0 } else { decay_min_rx },
            forwarding_if_rx: column.flag("forwarding_if_rx"),
            concatenated_path_down: column.flag("cpath_down"),
            check_tunnel_key: column.flag("check_tnl_key"),
            local_source_mac: column.mac("bfd_local_src_mac"),
            local_destination_mac: column.mac("bfd_local_dst_mac"),
            remote_destination_mac: column.mac("bfd_remote_dst_mac"),
            source: column.parsed("bfd_src_ip", "an IP address").unwrap_or(DEFAULT_SOURCE),
            destination: column.parsed("bfd_dst_ip", "an IP address").unwrap_or(DEFAULT_DESTINATION),
            oam: column.flag("oam"),
        })
    }

    /// The frames that the session takes.
    pub fn frames(&self) -> pipeline::BfdFrames {
        pipeline::BfdFrames {
            destination_mac: self.remote_destination_mac,
            destination: Some(self.source).filter(|&source| source != DEFAULT_SOURCE).map(u32::from),
            without_tunnel_key: self.check_tunnel_key,
        }
    }
}

/// The longest interval in milliseconds: packets have it in microseconds, in 32 bits.
const MAX_INTERVAL: i64 = (u32::MAX / 1000) as i64;

/// The column, and what is wrong with it.
struct Column<'a> {
    name: &'a str,
    column: &'a BTreeMap<String, String>,
    complaints: &'a mut Vec<(Level, String)>,
}

impl Column<'_> {
    fn flag(&self, key: &str) -> bool {
        self.column.get(key).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    fn parsed<T: FromStr>(&mut self, key: &str, what: &str) -> Option<T> {
        let text = self.column.get(key).filter(|text| !text.is_empty())?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let text = format!("{}: bfd:{key}: \"{text}\" is not {what}", self.name);
            self.complaints.push((Level::Error, text));
        }
        parsed
    }

    /// All zero stands for none.
    fn mac(&mut self, key: &str) -> Option<MacAddr> {
        self.parsed(key, "an Ethernet address").filter(|mac: &MacAddr| !mac.is_zero())
    }

    fn number<T>(&mut self, key: &str, usual: T, range: std::ops::RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let Some(text) = self.column.get(key) else { return usual };
        match text.trim().parse().ok().filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let (least, most) = (range.start(), range.end());
                let text = format!(
                    "{}: bfd:{key}: \"{text}\" is not a number from {least} to {most}, using {usual}",
                    self.name
                );
                self.complaints.push((Level::Info, text));
                usual
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
        let column = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut complaints = Vec::new();
        let settings = Settings::read("p0", &column, &mut complaints);
        (settings, complaints.into_iter().map(|(_, text)| text).collect())
    }

    #[test]
    fn nothing_is_asked_for_unless_it_is_enabled() {
        for pairs in [&[][..], &[("min_rx", "100")], &[("enable", "false")], &[("enable", "yes")]] {
            assert_eq!(read(pairs), (None, Vec::new()), "{pairs:?}");
        }
        assert_eq!(read(&[("enable", "true")]), (Some(Settings::default()), Vec::new()));
    }

    #[test]
    fn each_key_is_read() {
        let (settings, complaints) = read(&[
            ("enable", "true"),
            ("mult", "5"),
            ("min_tx", "200"),
            ("min_rx", "300"),
            ("decay_min_rx", "3000"),
            ("forwarding_if_rx", "true"),
            ("cpath_down", "true"),
            ("check_tnl_key", "true"),
            ("bfd_local_src_mac", "00:00:00:00:00:01"),
            ("bfd_local_dst_mac", "00:00:00:00:00:02"),
            ("bfd_remote_dst_mac", "00:00:00:00:00:03"),
            ("bfd_src_ip", "10.0.0.1"),
            ("bfd_dst_ip", "10.0.0.2"),
            ("oam", "true"),
        ]);
        let mac = |last| Some(MacAddr([0, 0, 0, 0, 0, last]));
        let expected = Settings {
            multiplier: 5,
            min_tx: 200,
            min_rx: 300,
            decay_min_rx: 3000,
            forwarding_if_rx: true,
            concatenated_path_down: true,
            check_tunnel_key: true,
            local_source_mac: mac(1),
            local_destination_mac: mac(2),
            remote_destination_mac: mac(3),
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(10, 0, 0, 2),
            oam: true,
        };
        assert_eq!((settings, complaints), (Some(expected), Vec::new()));
    }

    #[test]
    fn what_cannot_be_used_is_named_and_the_usual_is_used() {
        let (settings, complaints) = read(&[
            ("enable", "true"),
            ("mult", "256"),
            ("min_tx", "0"),
            ("min_rx", "often"),
            ("decay_min_rx", "10"),
            ("bfd_local_src_mac", "1:2"),
            ("bfd_src_ip", "here"),
        ]);
        assert_eq!(settings, Some(Settings::default()));
        assert_eq!(
            complaints,
            [
                "p0: bfd:min_rx: \"often\" is not a number from 1 to 4294967, using 1000",
                "p0: decay_min_rx cannot be less than 1000 ms",
                "p0: bfd:mult: \"256\" is not a number from 1 to 255, using 3",
                "p0: bfd:min_tx: \"0\" is not a number from 1 to 4294967, using 100",
                "p0: bfd:bfd_local_src_mac: \"1:2\" is not an Ethernet address",
                "p0: bfd:bfd_src_ip: \"here\" is not an IP address",
            ]
        );
    }
}
