//! Who talks most: packets and bytes of the last seconds, added up by what they have in common.
//!
//! No clock: times are whole seconds, and arguments.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::flow::Flow;

/// So many names are counted of one second; what has others is counted together.
const MAX_NAMES: usize = 2048;

/// What flows are added up by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    Source,
    Destination,
    Pair,
    Flow,
    Service,
    Vlan,
    Exporter,
}

impl By {
    /// By the words of the command line.
    pub(crate) const NAMES: [(&'static str, By); 7] = [
        ("source", By::Source),
        ("destination", By::Destination),
        ("pair", By::Pair),
        ("flow", By::Flow),
        ("service", By::Service),
        ("vlan", By::Vlan),
        ("exporter", By::Exporter),
    ];

    pub(crate) fn word(self) -> &'static str {
        Self::NAMES.iter().find(|(_, by)| *by == self).map_or("", |(word, _)| word)
    }

    /// What a flow that `exporter` told of is counted under.
    pub(crate) fn name(self, flow: &Flow, exporter: IpAddr) -> String {
        let address = |ip: Option<IpAddr>| ip.map_or("no IP".to_owned(), |ip| ip.to_string());
        let ports = flow.src_port != 0 && flow.dst_port != 0;
        let end = |ip: Option<IpAddr>, port| match ip {
            Some(ip) if ports => SocketAddr::new(ip, port).to_string(),
            ip => address(ip),
        };
        match self {
            By::Source => address(flow.src),
            By::Destination => address(flow.dst),
            By::Pair => format!("{} > {}", address(flow.src), address(flow.dst)),
            By::Flow => {
                let (src, dst) = (end(flow.src, flow.src_port), end(flow.dst, flow.dst_port));
                format!("{} {src} > {dst}", protocol(flow))
            }
            // Of two ports, the lower one is the service's.
            By::Service if ports => format!("{}/{}", protocol(flow), flow.src_port.min(flow.dst_port)),
            By::Service => protocol(flow),
            By::Vlan => format!("VLAN {}", flow.vlan),
            By::Exporter => exporter.to_string(),
        }
    }
}

fn protocol(flow: &Flow) -> String {
    match flow.protocol {
        _ if flow.src.is_none() => "no IP".to_owned(),
        wire::protocol::ICMP => "icmp".to_owned(),
        wire::protocol::ICMPV6 => "icmp6".to_owned(),
        wire::protocol::TCP => "tcp".to_owned(),
        wire::protocol::UDP => "udp".to_owned(),
        wire::protocol::SCTP => "sctp".to_owned(),
        other => format!("ip-{other}"),
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Counts of the last seconds.
#[derive(Debug)]
pub(crate) struct Talkers {
    /// So many seconds are looked at, with that at whose end the first one begins.
    window: u64,
    /// When the first flow was counted.
    begun: Option<u64>,
    seconds: VecDeque<Second>,
}

#[derive(Debug)]
struct Second {
    at: u64,
    counts: HashMap<String, Count>,
    /// Of what has no place among `counts`.
    rest: Count,
}

/// What was counted, the most bytes first.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub rows: Vec<(String, Count)>,
    /// What is in none of the rows, as there are too many names.
    pub rest: Count,
    pub total: Count,
    /// How many seconds the counts are of; at least one.
    pub seconds: u64,
}

impl Talkers {
    pub(crate) fn new(window: u64) -> Talkers {
        Talkers { window: window.max(1), begun: None, seconds: VecDeque::new() }
    }

    /// Counts what came at the second `at`, which is not before those that came earlier.
    pub(crate) fn add(&mut self, at: u64, name: String, count: Count) {
        self.begun.get_or_insert(at);
        let at = self.seconds.back().map_or(at, |last| last.at.max(at));
        if self.seconds.back().is_none_or(|last| last.at != at) {
            self.seconds.push_back(Second { at, counts: HashMap::new(), rest: Count::default() });
        }
        while self.seconds.front().is_some_and(|first| first.at + self.window < at) {
            self.seconds.pop_front();
        }
        let Some(second) = self.seconds.back_mut() else { return };
        if second.counts.len() < MAX_NAMES || second.counts.contains_key(&name) {
            second.counts.entry(name).or_default().add(count);
        } else {
            second.rest.add(count);
        }
    }

    /// What was counted up to the second `now`.
    pub(crate) fn table(&self, now: u64) -> Table {
        let (mut all, mut rest, mut total) =
            (HashMap::<&str, Count>::new(), Count::default(), Count::default());
        for second in self.seconds.iter().filter(|second| second.at + self.window >= now) {
            for (name, count) in &second.counts {
                all.entry(name).or_default().add(*count);
                total.add(*count);
            }
            rest.add(second.rest);
        }
        total.add(rest);
        let mut rows: Vec<(String, Count)> =
            all.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        rows.sort_by(|(a, x), (b, y)| (y.bytes, y.packets, a).cmp(&(x.bytes, x.packets, b)));
        let since = self.begun.map_or(0, |begun| now.saturating_sub(begun));
        Table { rows, rest, total, seconds: since.clamp(1, self.window) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(packets: u64, bytes: u64) -> Count {
        Count { packets, bytes }
    }

    #[test]
    fn who_sent_most_comes_first() {
        let mut talkers = Talkers::new(10);
        talkers.add(100, "a".into(), count(1, 100));
        talkers.add(101, "b".into(), count(1, 150));
        talkers.add(101, "a".into(), count(2, 100));
        let table = talkers.table(101);
        assert_eq!(table.rows, [("a".to_owned(), count(3, 200)), ("b".to_owned(), count(1, 150))]);
        assert_eq!((table.total, table.seconds), (count(4, 350), 1));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut talkers = Talkers::new(2);
        for second in 0..5 {
            talkers.add(second, format!("at {second}"), count(1, 1));
        }
        let names = |now| talkers.table(now).rows.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(4), ["at 2", "at 3", "at 4"]);
        assert_eq!(names(6), ["at 4"]);
        assert_eq!((names(9), talkers.table(9).seconds), (Vec::<String>::new(), 2));
        assert_eq!(talkers.seconds.len(), 3);
    }

    #[test]
    fn many_names_take_no_more_memory() {
        let mut talkers = Talkers::new(1);
        for number in 0..=MAX_NAMES {
            talkers.add(7, number.to_string(), count(1, 10));
        }
        talkers.add(7, "0".into(), count(1, 10));
        let table = talkers.table(7);
        assert_eq!((table.rows.len(), table.rest), (MAX_NAMES, count(1, 10)));
        assert_eq!(table.total.packets, MAX_NAMES as u64 + 2);
    }

    #[test]
    fn flows_are_named_by_what_is_asked() {
        let (src, dst) = (Some([10, 0, 0, 1].into()), Some("fd00::2".parse().unwrap()));
        let flow = Flow { src, dst, protocol: 6, src_port: 5000, dst_port: 443, vlan: 7, ..Flow::default() };
        let name = |by: By| by.name(&flow, [192, 0, 2, 1].into());
        assert_eq!(name(By::Flow), "tcp 10.0.0.1:5000 > [fd00::2]:443");
        assert_eq!((name(By::Pair), name(By::Service)), ("10.0.0.1 > fd00::2".into(), "tcp/443".into()));
        assert_eq!((name(By::Vlan), name(By::Exporter)), ("VLAN 7".into(), "192.0.2.1".into()));
        let arp = Flow::default();
        assert_eq!(By::Service.name(&arp, [192, 0, 2, 1].into()), "no IP");
    }
}
