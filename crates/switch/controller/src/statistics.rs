//! Answers about the switch: features, descriptions, counters.

use base::{OfPort, Timestamp};
use ofp::{ActionKind, PortDesc, PortStats, SwitchDesc, SwitchFeatures, Version, capability};
use ofproto::{Bridge, PortEntry};

use crate::manager::BridgeControl;

/// How many tables controllers may use.
pub(crate) const TABLES: u8 = 254;

/// The actions of OpenFlow 1.0, all of which every bridge does.
const OF10_ACTIONS: [ActionKind; 12] = [
    ActionKind::Output,
    ActionKind::SetVlanVid,
    ActionKind::SetVlanPcp,
    ActionKind::StripVlan,
    ActionKind::SetEthSrc,
    ActionKind::SetEthDst,
    ActionKind::SetIpv4Src,
    ActionKind::SetIpv4Dst,
    ActionKind::SetIpDscp,
    ActionKind::SetL4Src,
    ActionKind::SetL4Dst,
    ActionKind::Enqueue,
];

pub(crate) fn features(bridge: &Bridge, control: &BridgeControl, version: Version) -> SwitchFeatures {
    SwitchFeatures {
        datapath_id: control.datapath_id,
        n_buffers: 0,
        n_tables: TABLES,
        auxiliary_id: 0,
        capabilities: capability::FLOW_STATS
            | capability::TABLE_STATS
            | capability::PORT_STATS
            | capability::QUEUE_STATS
            | capability::ARP_MATCH_IP,
        actions: OF10_ACTIONS.iter().fold(0, |set, kind| set | kind.bit()),
        ports: if version < Version::Of13 { port_descs(bridge, OfPort::ANY) } else { Vec::new() },
    }
}

/// The ports, or the one asked for, in the order of their numbers.
pub(crate) fn port_descs(bridge: &Bridge, which: OfPort) -> Vec<PortDesc> {
    bridge
        .port_entries()
        .filter(|entry| which == OfPort::ANY || entry.port.number == which)
        .map(|entry| entry.desc.clone())
        .collect()
}

pub(crate) fn description(control: &BridgeControl) -> SwitchDesc {
    SwitchDesc {
        manufacturer: "Nicira, Inc.".to_owned(),
        hardware: "Open vSwitch".to_owned(),
        software: rpc::REFERENCE_VERSION.to_owned(),
        serial: "None".to_owned(),
        datapath: control.dp_desc.clone().unwrap_or_else(|| "None".to_owned()),
    }
}

/// A port's counters: of its device, or of what crossed a patch port.
pub(crate) fn port_stats(entry: &PortEntry, datapath: &dyn dp::Datapath, now: Timestamp) -> PortStats {
    let age = now - entry.created;
    let mut stats = PortStats {
        port: entry.port.number,
        duration_sec: u32::try_from(age.as_secs()).unwrap_or(u32::MAX),
        duration_nsec: age.subsec_nanos(),
        ..PortStats::default()
    };
    match entry.port.datapath.map(|port| datapath.port_stats(port)) {
        Some(Ok(device)) => {
            stats.rx_packets = device.rx_packets;
            stats.tx_packets = device.tx_packets;
            stats.rx_bytes = device.rx_bytes;
            stats.tx_bytes = device.tx_bytes;
            stats.rx_dropped = device.rx_dropped;
            stats.tx_dropped = device.tx_dropped;
            stats.rx_errors = device.rx_errors;
            stats.tx_errors = device.tx_errors;
            stats.rx_frame_errors = device.rx_frame_errors;
            stats.rx_over_errors = device.rx_over_errors;
            stats.rx_crc_errors = device.rx_crc_errors;
            stats.collisions = device.collisions;
        }
        Some(Err(_)) => {}
        None => {
            let traffic = &entry.port.traffic;
            stats.rx_packets = traffic.received.packets();
            stats.rx_bytes = traffic.received.bytes();
            stats.tx_packets = traffic.sent.packets();
            stats.tx_bytes = traffic.sent.bytes();
        }
    }
    stats
}
