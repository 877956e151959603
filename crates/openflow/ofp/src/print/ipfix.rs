//! Counters of IPFIX.

use std::fmt::Write;

use super::Printer;
use crate::IpfixStats;

impl Printer<'_> {
    pub(super) fn ipfix_bridge(&self, out: &mut String, stats: &IpfixStats) {
        out.push_str("\n  bridge ipfix: ");
        put_stats(out, stats, 16);
    }

    pub(super) fn ipfix_sets(&self, out: &mut String, all: &[IpfixStats]) {
        let _ = writeln!(out, " {} ids", all.len());
        if self.verbosity < 1 {
            return;
        }
        for stats in all {
            let _ = write!(out, "  id {:3}: ", stats.collector_set);
            put_stats(out, stats, 10);
        }
    }
}

/// Two lines, the second behind `indent` blanks.
fn put_stats(out: &mut String, stats: &IpfixStats, indent: usize) {
    let first = [
        ("flows", stats.total_flows),
        ("current flows", stats.current_flows),
        ("sampled pkts", stats.packets),
        ("ipv4 ok", stats.ipv4_packets),
        ("ipv6 ok", stats.ipv6_packets),
        ("tx pkts", stats.tx_packets),
    ];
    let second = [
        ("pkts errs", stats.error_packets),
        ("ipv4 errs", stats.ipv4_error_packets),
        ("ipv6 errs", stats.ipv6_error_packets),
        ("tx errs", stats.tx_errors),
    ];
    put_line(out, &first);
    let _ = write!(out, "{:indent$}", "");
    put_line(out, &second);
}

fn put_line(out: &mut String, counters: &[(&str, u64)]) {
    for (index, (name, counter)) in counters.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let _ = match *counter {
            u64::MAX => write!(out, "{separator}{name}=?"),
            counter => write!(out, "{separator}{name}={counter}"),
        };
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_take_two_lines() {
        let mut text = String::new();
        put_stats(&mut text, &IpfixStats { packets: 7, tx_errors: u64::MAX, ..IpfixStats::default() }, 3);
        let lines = [
            "flows=0, current flows=0, sampled pkts=7, ipv4 ok=0, ipv6 ok=0, tx pkts=0\n",
            "   pkts errs=0, ipv4 errs=0, ipv6 errs=0, tx errs=?\n",
        ];
        assert_eq!(text, lines.concat());
    }
}
