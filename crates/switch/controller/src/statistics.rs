//! Answers about the switch: features, descriptions, counters.

use base::{OfPort, Timestamp};
use fields::Field;
use ofp::{ActionKind, PortDesc, PortStats, SwitchDesc, SwitchFeatures, Version, capability};
use ofp::{
    FieldSet, QueueConfig, QueueStats, TableActionFeatures, TableFeatures, TableInstructionFeatures,
    TableMiss,
};
use ofproto::{Bridge, PortEntry};

use crate::TABLES;
use crate::manager::BridgeControl;

/// How many rules a table is said to hold at most.
const MAX_ENTRIES: u32 = 1_000_000;

/// See [`TableInstructionFeatures::instructions`].
const ALL_INSTRUCTIONS: u32 = 0x3f;
const GOTO_TABLE: u32 = 1 << 5;

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
            | capability::GROUP_STATS
            | capability::QUEUE_STATS
            | capability::BUNDLES
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

/// What tables can do: all of them the same.
pub(crate) fn table_features(
    bridge: &Bridge,
    tables: std::ops::Range<u8>,
) -> impl Iterator<Item = TableFeatures> {
    let fields = |wanted: fn(Field) -> bool| {
        Field::all()
            .filter(|field| fields::oxm::preferred(*field, 0).is_some() && wanted(*field))
            .collect::<FieldSet>()
    };
    // Each version lists those that it has a number for.
    let actions = pipeline::supported_kinds();
    let settable = fields(Field::is_writable);
    let matchable = fields(|_| true);
    let maskable = fields(|field| field.info().maskable == fields::Maskable::Full);
    let list = TableActionFeatures { actions, set_fields: settable };
    tables.map(move |table| {
        let known = bridge.table(base::TableId(table));
        let mut next = [0u64; 4];
        for later in table + 1..TABLES {
            next[usize::from(later / 64)] |= 1 << (later % 64);
        }
        let instructions = if next == [0; 4] { ALL_INSTRUCTIONS & !GOTO_TABLE } else { ALL_INSTRUCTIONS };
        let instructions = TableInstructionFeatures { next, instructions, write: list, apply: list };
        TableFeatures {
            command: 0,
            table,
            name: known.and_then(|table| table.name()).unwrap_or_default().to_owned(),
            metadata_match: u64::MAX,
            metadata_write: u64::MAX,
            max_entries: known
                .and_then(|table| table.max_rules())
                .and_then(|max| u32::try_from(max).ok())
                .map_or(MAX_ENTRIES, |max| max.min(MAX_ENTRIES)),
            any_properties: true,
            miss_config: miss_config(bridge, table),
            supports_eviction: Some(false),
            supports_vacancy_events: Some(false),
            nonmiss: instructions,
            miss: instructions,
            match_fields: matchable,
            mask_fields: maskable,
            wildcard_fields: matchable,
        }
    })
}

/// What every table counted; before OpenFlow 1.3 also what it can do.
pub(crate) fn table_stats(bridge: &Bridge, version: Version) -> Vec<ofp::TableStats> {
    let mut all = bridge.table_stats();
    if version < Version::Of13 {
        for (stats, features) in all.iter_mut().zip(table_features(bridge, 0..TABLES)) {
            stats.features = Some(Box::new(features));
        }
    }
    all
}

fn miss_config(bridge: &Bridge, table: u8) -> TableMiss {
    match bridge.table(base::TableId(table)).map(|table| table.miss) {
        Some(pipeline::Miss::Continue) => TableMiss::Continue,
        Some(pipeline::Miss::Controller) => TableMiss::Controller,
        Some(pipeline::Miss::Drop) => TableMiss::Drop,
        _ => TableMiss::Default,
    }
}

pub(crate) fn queue_stats((port, queue, stats): (OfPort, u32, dp::QueueStats), now: Timestamp) -> QueueStats {
    let age = stats.created.map(|created| now.since(created));
    QueueStats {
        port,
        queue,
        tx_bytes: stats.bytes.unwrap_or(UNKNOWN),
        tx_packets: stats.packets.unwrap_or(UNKNOWN),
        tx_errors: stats.errors.unwrap_or(UNKNOWN),
        duration_sec: age.map_or(u32::MAX, |age| u32::try_from(age.as_secs()).unwrap_or(u32::MAX)),
        duration_nsec: age.map_or(u32::MAX, |age| age.subsec_nanos()),
    }
}

/// The rates of queues are no shares of a link, as OpenFlow has them, so none is told.
pub(crate) fn queue_config((port, queue, _): (OfPort, u32, dp::QueueStats)) -> QueueConfig {
    QueueConfig { port, queue, min_rate: u16::MAX, max_rate: u16::MAX }
}

pub(crate) fn description(control: &BridgeControl) -> SwitchDesc {
    SwitchDesc {
        manufacturer: "Nicira, Inc.".to_owned(),
        hardware: "Open vSwitch".to_owned(),
        software: rpc::REFERENCE_VERSION.to_owned(),
        serial: control.serial.clone().unwrap_or_else(|| "None".to_owned()),
        datapath: control.dp_desc.clone().unwrap_or_else(|| "None".to_owned()),
    }
}

/// What OpenFlow says of a counter that nobody keeps.
const UNKNOWN: u64 = u64::MAX;

/// A port's counters: of its device, or of what crossed a patch port.
pub(crate) fn port_stats(entry: &PortEntry, datapath: &dyn dp::Datapath, now: Timestamp) -> PortStats {
    let age = now - entry.created;
    let mut stats = PortStats {
        port: entry.port.number,
        duration_sec: u32::try_from(age.as_secs()).unwrap_or(u32::MAX),
        duration_nsec: age.subsec_millis() * 1_000_000,
        ..PortStats::default()
    };
    let shown = |counter: Option<u64>| counter.unwrap_or(UNKNOWN);
    let own = entry.port.datapath.filter(|_| entry.port.tunnel.is_none());
    match own.map(|port| datapath.port_stats(port)) {
        Some(Ok(device)) => {
            stats.rx_packets = shown(device.rx_packets);
            stats.tx_packets = shown(device.tx_packets);
            stats.rx_bytes = shown(device.rx_bytes);
            stats.tx_bytes = shown(device.tx_bytes);
            stats.rx_dropped = shown(device.rx_dropped);
            stats.tx_dropped = shown(device.tx_dropped);
            stats.rx_errors = shown(device.rx_errors);
            stats.tx_errors = shown(device.tx_errors);
            stats.rx_frame_errors = shown(device.rx_frame_errors);
            stats.rx_over_errors = shown(device.rx_over_errors);
            stats.rx_crc_errors = shown(device.rx_crc_errors);
            stats.collisions = shown(device.collisions);
            stats.custom =
                entry.port.datapath.map(|port| datapath.custom_port_stats(port)).unwrap_or_default();
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
