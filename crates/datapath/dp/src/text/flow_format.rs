//! Whole flows to text: key, counters, actions.

use std::fmt::Write as _;

use base::Timestamp;

use super::{PortNames, format_actions, format_key};
use crate::{Flow, FlowStats};

/// A flow without its id: `recirc_id(0),…, packets:0, bytes:0, used:never, actions:drop`.
pub fn format_flow(flow: &Flow, now: Timestamp, verbose: bool, ports: Option<&PortNames>) -> String {
    let mut out = format_key(&flow.key, Some(&flow.mask), verbose, ports);
    out.push_str(", ");
    stats(&mut out, &flow.stats, now);
    if verbose && flow.is_offloaded {
        out.push_str(", offloaded:yes");
    }
    out.push_str(", actions:");
    out.push_str(&format_actions(&flow.actions, ports));
    out
}

fn stats(out: &mut String, stats: &FlowStats, now: Timestamp) {
    // Writing to a String cannot fail.
    let _ = write!(out, "packets:{}, bytes:{}, used:", stats.packets, stats.bytes);
    let _ = match stats.used {
        Some(used) => write!(out, "{:.3}s", (now - used).as_secs_f64()),
        None => write!(out, "never"),
    };
    if stats.tcp_flags != 0 {
        let _ = write!(out, ", flags:{}", tcp_flags(stats.tcp_flags));
    }
}

/// TCP flags by their letters, in tcpdump's order; bits without a letter each as a number.
fn tcp_flags(flags: u16) -> String {
    const NAMES: [(u16, &str); 12] = [
        (0x002, "S"),
        (0x001, "F"),
        (0x008, "P"),
        (0x004, "R"),
        (0x020, "U"),
        (0x010, "."),
        (0x040, "E"),
        (0x080, "C"),
        (0x100, "N"),
        (0x200, "[200]"),
        (0x400, "[400]"),
        (0x800, "[800]"),
    ];
    NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow::{FlowKey, FlowMask, slot};

    use super::*;
    use crate::{Ufid, WorkerId};

    #[test]
    fn a_flow_shows_its_key_its_counters_and_its_actions() {
        let mut key = FlowKey::new();
        key.set_in_port(3);
        key.set_dl_type(0x1234);
        let mut mask = FlowMask::new();
        for place in [slot::RECIRC_ID, slot::IN_PORT, slot::DL_TYPE] {
            mask.add_all(place);
        }
        let mut flow = Flow {
            ufid: Ufid(1),
            worker: WorkerId::Main,
            key: Arc::new(key),
            mask: Arc::new(mask),
            actions: Arc::new([]),
            stats: FlowStats::default(),
            is_offloaded: false,
            version: None,
        };
        let now = Timestamp::from_millis(2500);
        let text = format_flow(&flow, now, false, None);
        assert!(text.ends_with("eth_type(0x1234), packets:0, bytes:0, used:never, actions:drop"), "{text}");
        flow.stats =
            FlowStats { packets: 2, bytes: 120, used: Some(Timestamp::from_millis(2000)), tcp_flags: 0xfff };
        let text = format_flow(&flow, now, false, None);
        assert!(
            text.ends_with(
                ", packets:2, bytes:120, used:0.500s, flags:SFPRU.ECN[200][400][800], actions:drop"
            ),
            "{text}"
        );
    }
}
