//! The status columns of interfaces.

use base::OfPort;
use model::Datum;
use ofp::{port_config, port_state};
use ofproto::PortEntry;
use schema::interface;

use crate::desired::DesiredInterface;
use crate::refused;
use crate::running::{Running, RunningBridge, RunningInterface};
use crate::writer::{pairs, texts};

/// What the row of an interface says of its state.
pub(super) fn state(
    running: &Running,
    bridge: &RunningBridge,
    desired: &DesiredInterface,
    known: Option<&RunningInterface>,
) -> Vec<(&'static str, Datum)> {
    let Some(known) = known else {
        return broken(Datum::from(format!("could not open network device {}", desired.name)));
    };
    match &known.result {
        Ok(number) => {
            let unsupported = running.unsupported_of(&desired.uuid);
            let unsupported = unsupported.map(|settings| format!("{settings}: not supported yet"));
            let error = known.trouble.clone().or(unsupported);
            working(running, bridge, *number, error.map_or(Datum::Empty, Datum::from))
        }
        // As in the reference, only the log tells why.
        Err(_) if refused::is_reserved(&desired.name) => broken(Datum::Empty),
        Err(reason) => broken(Datum::from(reason.as_str())),
    }
}

/// The columns of an interface that works; `error` is what is wrong nevertheless.
fn working(
    running: &Running,
    bridge: &RunningBridge,
    number: OfPort,
    error: Datum,
) -> Vec<(&'static str, Datum)> {
    let Some(entry) = entry(running, bridge, number) else { return Vec::new() };
    let desc = &entry.desc;
    let is_up = desc.config & port_config::PORT_DOWN == 0;
    let has_link = desc.state & port_state::LINK_DOWN == 0;
    let up = |up: bool| Datum::from(if up { "up" } else { "down" });
    let shown = number.to_u16().map_or(i64::from(number.0), i64::from);
    let mut columns = vec![
        (interface::OFPORT, Datum::from(shown)),
        (interface::ERROR, error),
        (interface::MAC_IN_USE, Datum::from(desc.hw_addr.to_string())),
    ];
    let info = entry.port.datapath.and_then(|port| running.datapath.port(port));
    match &info {
        Some(info) => {
            let speed = i64::from(info.speed_mbps) * 1_000_000;
            columns.extend([
                (interface::ADMIN_STATE, up(is_up)),
                (interface::LINK_STATE, up(has_link)),
                (interface::IFINDEX, Datum::from(i64::from(info.ifindex))),
                (interface::MTU, Datum::from(i64::from(info.mtu))),
                (interface::LINK_RESETS, Datum::from(i64::try_from(info.link_resets).unwrap_or(i64::MAX))),
                (interface::LINK_SPEED, if speed == 0 { Datum::Empty } else { Datum::from(speed) }),
                (
                    interface::DUPLEX,
                    match (speed, info.is_full_duplex) {
                        (0, _) => Datum::Empty,
                        (_, true) => Datum::from("full"),
                        (_, false) => Datum::from("half"),
                    },
                ),
            ]);
        }
        None => columns.extend([
            (interface::ADMIN_STATE, up(true)),
            (interface::LINK_STATE, up(true)),
            (interface::IFINDEX, Datum::from(0)),
            (interface::LINK_RESETS, Datum::from(0)),
        ]),
    }
    let status = info.map(|info| info.status).unwrap_or_default();
    columns.push((interface::STATUS, texts(status)));
    columns.extend(MONITORING.map(|column| (column, Datum::Empty)));
    columns
}

/// A port as the switch knows it. Its device is to be asked while nobody waits for the switch.
fn entry(running: &Running, bridge: &RunningBridge, number: OfPort) -> Option<PortEntry> {
    running.switch.read().get(bridge.id)?.port_entry(number).cloned()
}

/// What would be known of an interface's peers if it were watched.
const MONITORING: [&str; 8] = [
    interface::LACP_CURRENT,
    interface::BFD_STATUS,
    interface::CFM_FAULT,
    interface::CFM_FAULT_STATUS,
    interface::CFM_FLAP_COUNT,
    interface::CFM_HEALTH,
    interface::CFM_REMOTE_MPIDS,
    interface::CFM_REMOTE_OPSTATE,
];

/// The counters of an interface; none while it cannot be used.
pub(super) fn statistics(
    running: &Running,
    bridge: &RunningBridge,
    known: &RunningInterface,
) -> Option<(&'static str, Datum)> {
    let number = *known.result.as_ref().ok()?;
    let entry = entry(running, bridge, number)?;
    let counters = match entry.port.datapath {
        Some(port) => {
            let stats = running.datapath.port_stats(port).ok()?;
            counters(&stats, running.datapath.custom_port_stats(port))
        }
        None => patch_counters(&entry),
    };
    Some((interface::STATISTICS, counters))
}

/// The columns of an interface that cannot be used, for this reason.
pub(super) fn broken(error: Datum) -> Vec<(&'static str, Datum)> {
    let empty = [
        interface::MAC_IN_USE,
        interface::ADMIN_STATE,
        interface::LINK_STATE,
        interface::IFINDEX,
        interface::MTU,
        interface::LINK_RESETS,
        interface::LINK_SPEED,
        interface::DUPLEX,
        interface::STATUS,
        interface::STATISTICS,
    ];
    let mut columns = vec![(interface::OFPORT, Datum::from(-1)), (interface::ERROR, error)];
    columns.extend(empty.into_iter().chain(MONITORING).map(|column| (column, Datum::Empty)));
    columns
}

fn counters(stats: &dp::PortStats, custom: Vec<(String, u64)>) -> Datum {
    let common = [
        ("collisions", stats.collisions),
        ("rx_bytes", stats.rx_bytes),
        ("rx_crc_err", stats.rx_crc_errors),
        ("rx_dropped", stats.rx_dropped),
        ("rx_errors", stats.rx_errors),
        ("rx_frame_err", stats.rx_frame_errors),
        ("rx_missed_errors", stats.rx_missed_errors),
        ("rx_multicast_packets", stats.multicast),
        ("rx_over_err", stats.rx_over_errors),
        ("rx_packets", stats.rx_packets),
        ("tx_bytes", stats.tx_bytes),
        ("tx_dropped", stats.tx_dropped),
        ("tx_errors", stats.tx_errors),
        ("tx_packets", stats.tx_packets),
    ];
    let kept = common.into_iter().filter(|(_, value)| *value != dp::UNCOUNTED);
    pairs(kept.map(|(name, value)| (name.to_owned(), value)).chain(custom))
}

fn patch_counters(entry: &ofproto::PortEntry) -> Datum {
    let traffic = &entry.port.traffic;
    let counters = [
        ("rx_bytes", traffic.received.bytes()),
        ("rx_packets", traffic.received.packets()),
        ("tx_bytes", traffic.sent.bytes()),
        ("tx_packets", traffic.sent.packets()),
    ];
    pairs(counters.map(|(name, value)| (name.to_owned(), value)))
}

#[cfg(test)]
mod tests {
    use model::Atom;

    use super::*;

    #[test]
    fn only_counters_that_a_device_keeps_are_written() {
        let stats = dp::PortStats { rx_packets: 3, tx_bytes: 64, ..dp::PortStats::UNCOUNTED };
        let written = counters(&stats, vec![("rx_q0_packets".to_owned(), 3)]);
        let pair = |name: &str, value: i64| (Atom::from(name), Atom::from(value));
        let expected = [pair("rx_packets", 3), pair("rx_q0_packets", 3), pair("tx_bytes", 64)];
        assert_eq!(written, Datum::map(expected));
    }
}
