//! The status columns of interfaces.

use std::sync::Arc;

use base::{MacAddr, OfPort};
use dp::PortInfo;
use model::Datum;
use ofp::{port_config, port_state};
use pipeline::tunnel::{Endpoint, TunnelConfig};
use protocols::PortId;
use schema::interface;

use super::{DesiredInterface, RunningInterface, connectivity, refused};
use crate::running::{Running, RunningBridge};
use crate::status::Counters;
use crate::writer::{pairs, texts};

/// What the row of an interface says of its state follows from this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Working {
        number: OfPort,
        /// What is wrong nevertheless.
        error: Option<String>,
        mac: MacAddr,
        is_up: bool,
        has_link: bool,
        /// What the device reports, if there is one.
        info: Option<Arc<PortInfo>>,
        /// What the session with the neighbour is like, if there is one.
        bfd: Vec<(String, String)>,
        /// Whether link aggregation knows the neighbour.
        lacp_current: Option<bool>,
        /// What connectivity checks have found, if there are any.
        cfm: Option<protocols::cfm::Status>,
        /// Where packets leave, if it is a tunnel with a way to its other end.
        egress: Option<Egress>,
    },
    /// Why it cannot be used, as far as the row says.
    Broken(Option<String>),
    /// The bridge does not know its port any more.
    Gone,
}

/// The device by which the outer packets of a tunnel leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Egress {
    device: Arc<str>,
    has_carrier: bool,
}

impl Egress {
    /// What `status` shows of a tunnel.
    fn shown(&self) -> Datum {
        let carrier = if self.has_carrier { "up" } else { "down" };
        let shown = [("tunnel_egress_iface", &*self.device), ("tunnel_egress_iface_carrier", carrier)];
        texts(shown.map(|(key, value)| (key.to_owned(), value.to_owned())))
    }
}

impl Running {
    /// Where packets to the tunnel's other end leave; `None` where rules say which end that is, and where there is no way.
    fn egress_of(&self, tunnel: &TunnelConfig) -> Option<Egress> {
        let Endpoint::Is(remote) = tunnel.remote else { return None };
        let mark = tunnel.mark.unwrap_or(0);
        let device = self.below_tunnels.network.routes().find(mark, remote, 0)?.device;
        let has_carrier = self.has_carrier(&device);
        Some(Egress { device, has_carrier })
    }

    /// What a port's device is known to have; of others, the kernel is asked.
    fn has_carrier(&self, device: &str) -> bool {
        let known = self.bridges.values().find_map(|bridge| {
            let number = *bridge.interfaces.get(device)?.result.as_ref().ok()?;
            Some(self.switch.read().get(bridge.id)?.port_entry(number)?.desc.state)
        });
        let ask = || netlink::link(device).ok().flatten().is_some_and(|link| link.has_carrier());
        known.map_or_else(ask, |state| state & port_state::LINK_DOWN == 0)
    }
}

impl State {
    pub(super) fn of(
        running: &Running,
        bridge: &RunningBridge,
        desired: &DesiredInterface,
        known: Option<&RunningInterface>,
    ) -> State {
        let Some(known) = known else {
            return State::Broken(Some(format!("could not open network device {}", desired.name)));
        };
        let number = match &known.result {
            Ok(number) => *number,
            // As in the reference, only the log tells why.
            Err(_) if refused::is_reserved(&desired.name) => return State::Broken(None),
            Err(reason) => return State::Broken(Some(reason.clone())),
        };
        let unsupported = running.unsupported_of(&desired.uuid);
        let unsupported = unsupported.map(|settings| format!("{settings}: not supported"));
        let port = {
            let switch = running.switch.read();
            let entry = switch.get(bridge.id).and_then(|state| state.port_entry(number));
            entry.map(|entry| {
                let (desc, port) = (&entry.desc, &entry.port);
                (desc.hw_addr, desc.config, desc.state, port.datapath, port.tunnel.clone())
            })
        };
        let Some((mac, config, state, datapath, tunnel)) = port else { return State::Gone };
        State::Working {
            number,
            error: known.trouble.clone().or(unsupported),
            mac,
            is_up: config & port_config::PORT_DOWN == 0,
            has_link: state & port_state::LINK_DOWN == 0,
            info: datapath.and_then(|port| bridge.below.datapath.port(port)),
            bfd: running.monitor.bfd_status(PortId { bridge: bridge.id, port: number }),
            cfm: running.monitor.cfm_status(PortId { bridge: bridge.id, port: number }),
            lacp_current: running.monitor.lacp_current(PortId { bridge: bridge.id, port: number }),
            egress: tunnel.and_then(|tunnel| running.egress_of(&tunnel)),
        }
    }

    pub(super) fn columns(&self) -> Vec<(&'static str, Datum)> {
        let text = |text: &Option<String>| text.as_deref().map_or(Datum::Empty, Datum::from);
        match self {
            State::Gone => Vec::new(),
            State::Broken(error) => broken(text(error)),
            State::Working { number, error, mac, is_up, has_link, info, bfd, lacp_current, cfm, egress } => {
                let shown = number.to_u16().map_or(i64::from(number.0), i64::from);
                let mut columns = vec![
                    (interface::OFPORT, Datum::from(shown)),
                    (interface::ERROR, text(error)),
                    (interface::MAC_IN_USE, Datum::from(mac.to_string())),
                ];
                columns.extend(device(info.as_deref(), *is_up, *has_link));
                if let Some(egress) = egress {
                    columns.retain(|(column, _)| *column != interface::STATUS);
                    columns.push((interface::STATUS, egress.shown()));
                }
                columns.push((interface::LACP_CURRENT, lacp_current.map_or(Datum::Empty, Datum::from)));
                columns.push((interface::BFD_STATUS, texts(bfd.iter().cloned())));
                columns.extend(connectivity::columns(cfm.as_ref()));
                columns
            }
        }
    }
}

/// The columns of a device; those of a patch port where there is none.
fn device(info: Option<&PortInfo>, is_up: bool, has_link: bool) -> Vec<(&'static str, Datum)> {
    let up = |up: bool| Datum::from(if up { "up" } else { "down" });
    let Some(info) = info else {
        return vec![
            (interface::ADMIN_STATE, up(true)),
            (interface::LINK_STATE, up(true)),
            (interface::IFINDEX, Datum::from(0)),
            (interface::LINK_RESETS, Datum::from(0)),
            (interface::STATUS, Datum::Empty),
        ];
    };
    let speed = info.speed_mbps.map(|mbps| i64::from(mbps) * 1_000_000);
    let duplex = speed.map(|_| if info.is_full_duplex { "full" } else { "half" });
    vec![
        (interface::ADMIN_STATE, up(is_up)),
        (interface::LINK_STATE, up(has_link)),
        (interface::IFINDEX, Datum::from(i64::from(info.ifindex.unwrap_or(0)))),
        // A tunnel has none of its own.
        (interface::MTU, if info.mtu == 0 { Datum::Empty } else { Datum::from(i64::from(info.mtu)) }),
        (interface::LINK_RESETS, Datum::from(i64::try_from(info.link_resets).unwrap_or(i64::MAX))),
        (interface::LINK_SPEED, speed.map_or(Datum::Empty, Datum::from)),
        (interface::DUPLEX, duplex.map_or(Datum::Empty, Datum::from)),
        (interface::STATUS, texts(info.status.clone())),
    ]
}

/// The counters of an interface; none while it cannot be used.
pub(super) fn statistics(
    asked: &mut Counters,
    running: &Running,
    bridge: &RunningBridge,
    known: &RunningInterface,
) -> Option<(&'static str, Datum)> {
    let number = *known.result.as_ref().ok()?;
    // The device is asked while nobody waits for the switch.
    let entry = running.switch.read().get(bridge.id)?.port_entry(number).cloned()?;
    let counters = match entry.port.datapath.filter(|_| entry.port.tunnel.is_none()) {
        Some(port) => {
            let stats = asked.of(&bridge.below, port)?;
            counters(&stats, bridge.below.datapath.custom_port_stats(port))
        }
        None => patch_counters(&entry),
    };
    Some((interface::STATISTICS, counters))
}

/// The columns of an interface that cannot be used, for this reason.
pub(crate) fn broken(error: Datum) -> Vec<(&'static str, Datum)> {
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
        interface::BFD_STATUS,
        interface::LACP_CURRENT,
    ];
    let mut columns = vec![(interface::OFPORT, Datum::from(-1)), (interface::ERROR, error)];
    columns.extend(empty.map(|column| (column, Datum::Empty)));
    columns.extend(connectivity::columns(None));
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
    let kept = common.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    pairs(kept.chain(custom))
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
        let stats = dp::PortStats { rx_packets: Some(3), tx_bytes: Some(64), ..dp::PortStats::UNCOUNTED };
        let written = counters(&stats, vec![("rx_q0_packets".to_owned(), 3)]);
        let pair = |name: &str, value: i64| (Atom::from(name), Atom::from(value));
        let expected = [pair("rx_packets", 3), pair("rx_q0_packets", 3), pair("tx_bytes", 64)];
        assert_eq!(written, Datum::map(expected));
    }
}
