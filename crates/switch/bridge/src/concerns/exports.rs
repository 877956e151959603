//! What bridges export: an exporter for each export that one asks for, and the sockets to its collectors.
//!
//! Samples come from workers by way of the control thread; exporters are asked once a second what is due. What is sent, and
//! when, is `telemetry`'s. Another export is another arm of [`DesiredExport`].

mod collector;
mod ipfix;
mod observed;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ::controller::IpfixCounters;
use base::Timestamp;
use base::murmur::hash_bytes;
use dp::Datapath;
use flowsync::Sample;
use log::Level;
use ofp::IpfixStats;
use ofproto::Settings;
use pipeline::{BridgeId, BridgeSampling, FlowLog, IpfixSampling, SflowSampling};
use replica::{Row, Tables};
use schema::{bridge, netflow, sflow};
use telemetry::{
    ACTIVE_TIMEOUT, COLLECTOR_PORT, Exporter, IPFIX_PORT, Ipfix, IpfixSource, Netflow, NetflowConfig,
    SampledPacket, Sflow,
};

use self::collector::Collector;
pub(crate) use self::ipfix::desire_sampling;
pub use self::ipfix::{DesiredIpfix, DesiredSampling};
use self::observed::{Observed, wall_clock};
use super::{Concern, Pass};
use crate::columns::Columns;
use crate::desired::{Desired, DesiredBridge};
use crate::extent::Extent;
use crate::running::{Running, RunningBridge};

/// By whose names exports are in the log.
const SFLOW: &str = "ofproto_dpif_sflow";
const NETFLOW: &str = "netflow";
const IPFIX: &str = "ipfix";

/// How often exporters look whether something is due.
const TICK: Duration = Duration::from_secs(1);

/// The exports of all bridges.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    running: Vec<Export>,
    /// The number of the last exporter of IPFIX that was made.
    last_ipfix: u32,
    /// Exporters came, went or took something since their counters were handed on.
    has_counted: bool,
}

/// An export that a bridge asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DesiredExport {
    Sflow(DesiredSflow),
    Netflow(DesiredNetflow),
    Ipfix(DesiredIpfix),
}

/// sFlow export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredSflow {
    pub targets: Vec<String>,
    /// One packet in so many.
    pub sampling: u32,
    /// Seconds between counter samples; 0 for none.
    pub polling: u32,
    /// Bytes of a sampled packet.
    pub header: u32,
    /// The interface whose address names this agent, or an address.
    pub agent: Option<String>,
}

/// NetFlow export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredNetflow {
    pub targets: Vec<String>,
    /// Nothing where the datapath's is to be used.
    pub engine_type: Option<u8>,
    pub engine_id: Option<u8>,
    pub adds_id_to_port: bool,
    pub active_timeout: Duration,
    /// What is to be said of the row.
    pub doubts: Vec<String>,
}

/// The exports of a bridge; none without a collector.
pub(crate) fn desire(rows: &Tables, bridge_row: &Row) -> Vec<DesiredExport> {
    let row = bridge_row.reference(bridge::SFLOW).and_then(|uuid| rows.row(sflow::NAME_OF_TABLE, &uuid));
    let sflow = row.map(|row| desire_sflow(row)).filter(|sflow| !sflow.targets.is_empty());
    let row = bridge_row.reference(bridge::NETFLOW).and_then(|uuid| rows.row(netflow::NAME_OF_TABLE, &uuid));
    let netflow = row.map(|row| desire_netflow(row, bridge_row));
    let exports = [sflow.map(DesiredExport::Sflow), netflow.map(DesiredExport::Netflow)];
    let ipfix = ipfix::desire(rows, bridge_row).into_iter().map(DesiredExport::Ipfix);
    exports.into_iter().flatten().chain(ipfix).collect()
}

fn desire_netflow(row: &Row, bridge_row: &Row) -> DesiredNetflow {
    /// Ports beyond so many do not fit into nine bits, some of whose values stand for others.
    const MOST_PORTS: usize = 508;
    let name = bridge_row.text(bridge::NAME).unwrap_or_default();
    let mut doubts = Vec::new();
    let mut doubt = |text: &str| doubts.push(format!("bridge {name}: {text}"));
    let active_timeout = match row.integer(netflow::ACTIVE_TIMEOUT).map(u64::try_from) {
        None | Some(Ok(0)) => ACTIVE_TIMEOUT,
        Some(Ok(seconds)) => Duration::from_secs(seconds),
        Some(Err(_)) => {
            let default = ACTIVE_TIMEOUT.as_secs();
            doubt(&format!(
                "active timeout interval set to negative value, using default instead ({default} seconds)"
            ));
            ACTIVE_TIMEOUT
        }
    };
    let byte = |column| row.integer(column).and_then(|n| u8::try_from(n).ok());
    let engine_id = byte(netflow::ENGINE_ID);
    let adds_id_to_port = row.is_true(netflow::ADD_ID_TO_INTERFACE);
    if adds_id_to_port {
        if engine_id.is_some_and(|id| id > 0x7f) {
            doubt(
                "NetFlow port mangling may conflict with another vswitch, choose an engine id less than 128",
            );
        }
        if bridge_row.get(bridge::PORTS).len() > MOST_PORTS {
            doubt("NetFlow port mangling will conflict with another port when more than 508 ports are used");
        }
    }
    DesiredNetflow {
        targets: row.strings(netflow::TARGETS).into_iter().map(str::to_owned).collect(),
        engine_type: byte(netflow::ENGINE_TYPE),
        engine_id,
        adds_id_to_port,
        active_timeout,
        doubts,
    }
}

fn desire_sflow(row: &Row) -> DesiredSflow {
    let number = |column, default| row.integer(column).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    DesiredSflow {
        targets: row.strings(sflow::TARGETS).into_iter().map(str::to_owned).collect(),
        sampling: number(sflow::SAMPLING, 400).max(1),
        polling: number(sflow::POLLING, 30),
        header: number(sflow::HEADER, 128),
        agent: row.text(sflow::AGENT).map(str::to_owned),
    }
}

pub(crate) struct BridgeExports;

impl Concern for BridgeExports {
    /// Which packets are sampled.
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let Some(bridge) = running.bridges().get(&pass.config.name) else { return };
        let exports = running.sampling_of(bridge, pass.config);
        let netflows = pass.config.exports.iter().filter_map(|export| match export {
            DesiredExport::Netflow(netflow) => Some(netflow),
            DesiredExport::Sflow(_) | DesiredExport::Ipfix(_) => None,
        });
        for doubt in netflows.flat_map(|netflow| &netflow.doubts) {
            running.complaints.say(Level::Warn, doubt.clone());
        }
        if exports.groups != pass.config.sampling.groups {
            let name = &pass.config.name;
            let text = "ignoring local sampling configuration: not supported by this datapath";
            running.complaints.say(Level::Warn, format!("bridge {name}: {text}"));
        }
        let Some(bridge) = running.bridges().get(&pass.config.name) else { return };
        if let Some(state) = running.switch.write().get_mut(bridge.id) {
            state.set_settings(Settings { exports, ..state.settings().clone() });
        }
    }

    /// Before the configuration is reported to be in force, so that no packet after that goes unsampled.
    fn finish(&self, running: &mut Running, _desired: &Desired) {
        let mut exports = std::mem::take(&mut running.exports);
        exports.follow(running.clock.now(), running);
        running.exports = exports;
    }

    fn tick(&self, running: &mut Running, now: Timestamp) -> Extent {
        let mut exports = std::mem::take(&mut running.exports);
        exports.run(now, running);
        running.exports = exports;
        Extent::default()
    }
}

impl Running {
    fn sampling_of(&self, bridge: &RunningBridge, config: &DesiredBridge) -> pipeline::Exports {
        let mut exports = pipeline::Exports {
            explicit_drops: config.sampling.explicit_drops,
            ..pipeline::Exports::default()
        };
        if self.capabilities_of(bridge).psample {
            exports.groups.clone_from(&config.sampling.groups);
        }
        for export in &config.exports {
            match export {
                DesiredExport::Sflow(sflow) => {
                    let devices = self.devices(bridge).into_iter().filter_map(|(_, _, info)| info);
                    let ifindexes = devices.filter_map(|info| Some((info.number, info.ifindex?))).collect();
                    let probability = u32::MAX / sflow.sampling.max(1);
                    exports.sflow = Some(SflowSampling { probability, ifindexes });
                }
                DesiredExport::Netflow(_) => {
                    exports.netflow = Some(self.flow_log(bridge.id).unwrap_or_default());
                }
                DesiredExport::Ipfix(ipfix) => {
                    let sampling = exports.ipfix.get_or_insert(IpfixSampling { bridge: None });
                    let tunnels = ipfix.reports_tunnels;
                    match ipfix.source {
                        IpfixSource::Bridge { probability, .. } => {
                            let (input, output) = (ipfix.samples_input, ipfix.samples_output);
                            sampling.bridge = Some(BridgeSampling { probability, input, output, tunnels });
                        }
                        IpfixSource::CollectorSet(set) => {
                            exports.tunnel_sets.extend(tunnels.then_some(set));
                        }
                    }
                }
            }
        }
        exports
    }

    /// The datapath that a bridge's ports are in.
    fn datapath_of(&self, id: BridgeId) -> Option<&dyn Datapath> {
        self.bridges().values().find(|bridge| bridge.id == id).map(|bridge| &*bridge.below.datapath)
    }

    /// Hands on what controllers can ask for of IPFIX, if anything was counted since it was handed on.
    fn report_ipfix(&mut self) {
        if std::mem::take(&mut self.exports.has_counted) {
            self.manager.set_ipfix(self.exports.ipfix_counters());
        }
    }

    /// Takes what came from a controller.
    pub fn take_controller_event(&mut self, event: ::controller::Event) {
        self.report_ipfix();
        self.manager.handle(event);
    }

    /// Where the packets of a bridge's flows are counted, if NetFlow exports them.
    fn flow_log(&self, bridge: BridgeId) -> Option<Arc<FlowLog>> {
        self.switch.read().get(bridge)?.settings().exports.netflow.clone()
    }
}

/// One that runs.
#[derive(Debug)]
struct Export {
    wanted: DesiredExport,
    bridge: BridgeId,
    datapath_id: u64,
    /// Tells bridges of one switch apart that have sFlow, and exporters of IPFIX.
    place: u32,
    ticked: Timestamp,
    collectors: Vec<Collector>,
    /// None while what it needs is not known.
    exporter: Option<Box<dyn Exporter>>,
}

impl DesiredExport {
    fn collectors(&self) -> Vec<Collector> {
        match self {
            DesiredExport::Sflow(sflow) => sflow
                .targets
                .iter()
                .filter_map(|target| Collector::new(target, Some(COLLECTOR_PORT)))
                .collect(),
            DesiredExport::Netflow(netflow) => {
                netflow.targets.iter().filter_map(|target| Collector::new(target, None)).collect()
            }
            DesiredExport::Ipfix(ipfix) => {
                ipfix.targets.iter().filter_map(|target| Collector::new(target, Some(IPFIX_PORT))).collect()
            }
        }
    }

    /// The exporter, if all that it needs is known by now; else the log says why not.
    fn exporter(
        &self,
        bridge: BridgeId,
        place: u32,
        collectors: &mut [Collector],
        now: Timestamp,
        running: &Running,
    ) -> Result<Box<dyn Exporter>, Missing> {
        match self {
            DesiredExport::Sflow(sflow) => {
                let address = agent_address(sflow.agent.as_deref(), collectors)
                    .ok_or_else(|| Missing::error(SFLOW, "could not determine IP address for sFlow agent"))?;
                log::info!(target: SFLOW, "creating sFlow agent {place}");
                let config = telemetry::Config {
                    address,
                    sub_agent: place,
                    rate: sflow.sampling,
                    polling_s: sflow.polling,
                };
                Ok(Box::new(Sflow::new(config, sflow.header as usize, now)))
            }
            DesiredExport::Netflow(netflow) => {
                let below = running.datapath_of(bridge).zip(running.flow_log(bridge));
                let (datapath, log) =
                    below.ok_or_else(|| Missing::error(NETFLOW, "no flows are counted for NetFlow"))?;
                let datapath = datapath.name();
                let [.., engine_type, engine_id] = hash_bytes(datapath.as_bytes(), 0).to_be_bytes();
                let config = NetflowConfig {
                    engine_type: netflow.engine_type.unwrap_or(engine_type),
                    engine_id: netflow.engine_id.unwrap_or(engine_id),
                    adds_id_to_port: netflow.adds_id_to_port,
                    active_timeout: netflow.active_timeout,
                };
                Ok(Box::new(Netflow::new(config, log, now)))
            }
            DesiredExport::Ipfix(_) if collectors.is_empty() => {
                Err(Missing::warning(IPFIX, "no collectors could be initialized, IPFIX exporter disabled"))
            }
            DesiredExport::Ipfix(ipfix) => {
                let config = ipfix.config(place).map_err(|text| Missing::warning(IPFIX, &text))?;
                Ok(Box::new(Ipfix::new(config)))
            }
        }
    }
}

/// Why there is no exporter.
#[derive(Debug)]
struct Missing {
    module: &'static str,
    level: Level,
    text: String,
}

impl Missing {
    fn error(module: &'static str, text: &str) -> Missing {
        Missing { module, level: Level::Error, text: text.to_owned() }
    }

    fn warning(module: &'static str, text: &str) -> Missing {
        Missing { module, level: Level::Warn, text: text.to_owned() }
    }
}

impl Exports {
    /// Once a second, sends what is due.
    pub(crate) fn run(&mut self, now: Timestamp, running: &Running) {
        for export in &mut self.running {
            if now - export.ticked >= TICK {
                self.has_counted = true;
                export.ticked = now;
                export.tick(now, running);
            }
        }
    }

    /// Takes a sampled packet.
    pub(crate) fn take(&mut self, sample: &Sample, running: &Running) {
        self.has_counted = true;
        let sampled = SampledPacket {
            key: &sample.key,
            packet: &sample.packet,
            cookie: &sample.cookie,
            egress_tunnel: sample.egress_tunnel.as_deref(),
            actions: &sample.actions,
            lost: sample.lost,
        };
        for export in self.running.iter_mut().filter(|export| export.bridge == sample.bridge) {
            let bridge = export.observed(running);
            let due = export.exporter.as_mut().map(|exporter| exporter.sample(&sampled, &bridge));
            export.send(due.unwrap_or_default());
        }
    }

    /// What exporters of IPFIX have counted, by bridge.
    fn ipfix_counters(&self) -> HashMap<BridgeId, IpfixCounters> {
        let mut all: HashMap<BridgeId, IpfixCounters> = HashMap::new();
        for export in &self.running {
            let DesiredExport::Ipfix(ipfix) = &export.wanted else { continue };
            let Some(stats) = export.exporter.as_ref().and_then(|exporter| exporter.ipfix_stats()) else {
                continue;
            };
            let of_bridge = all.entry(export.bridge).or_default();
            match ipfix.source {
                IpfixSource::Bridge { .. } => of_bridge.bridge = Some(stats),
                IpfixSource::CollectorSet(_) => of_bridge.sets.push(stats),
            }
        }
        all
    }

    /// Brings the configuration into force. Called before anybody is notified that
    /// it is, so that no packet after that goes unsampled.
    pub(crate) fn follow(&mut self, now: Timestamp, running: &Running) {
        let asking = running.bridges().values().flat_map(|bridge| {
            let wanted = bridge.config.exports.iter().cloned();
            wanted.map(move |wanted| (bridge.id, bridge.datapath_id, wanted))
        });
        self.has_counted = true;
        let mut before = std::mem::take(&mut self.running);
        let mut sflows = 0..;
        for (bridge, datapath_id, wanted) in asking {
            let place = match &wanted {
                DesiredExport::Sflow(_) => sflows.next().unwrap_or_default(),
                DesiredExport::Netflow(_) => 0,
                DesiredExport::Ipfix(ipfix) => before
                    .iter()
                    .find(|old| old.is_earlier(bridge, ipfix))
                    .map_or_else(|| self.next_ipfix(), |old| old.place),
            };
            let is_same = |old: &Export| {
                (old.bridge, old.datapath_id, old.place) == (bridge, datapath_id, place)
                    && old.wanted == wanted
            };
            let old = before.iter().position(is_same).map(|at| before.swap_remove(at));
            let export = old.unwrap_or_else(|| {
                // One whose settings have changed sends what it has, and its counters go on.
                let counters = match &wanted {
                    DesiredExport::Ipfix(ipfix) => {
                        before.iter_mut().find(|old| old.is_earlier(bridge, ipfix)).and_then(Export::end)
                    }
                    DesiredExport::Sflow(_) | DesiredExport::Netflow(_) => None,
                };
                let mut new = Export::new(wanted, bridge, datapath_id, place, now, running);
                if let (Some(exporter), Some(counters)) = (&mut new.exporter, counters) {
                    exporter.count_on(counters);
                }
                new
            });
            self.running.push(export);
        }
    }

    /// The number of another exporter of IPFIX.
    fn next_ipfix(&mut self) -> u32 {
        self.last_ipfix = self.last_ipfix.wrapping_add(1);
        self.last_ipfix
    }
}

impl Export {
    fn new(
        wanted: DesiredExport,
        bridge: BridgeId,
        datapath_id: u64,
        place: u32,
        now: Timestamp,
        running: &Running,
    ) -> Export {
        let mut collectors = wanted.collectors();
        let exporter = wanted.exporter(bridge, place, &mut collectors, now, running);
        if let Err(Missing { module, level, text }) = &exporter {
            log::log!(target: module, *level, "{text}");
        }
        let exporter = exporter.ok();
        // Ticks come with the seconds of the clock.
        let ticked = Timestamp::from_millis(now.as_millis() / 1000 * 1000);
        Export { wanted, bridge, datapath_id, place, ticked, collectors, exporter }
    }

    fn tick(&mut self, now: Timestamp, running: &Running) {
        if self.exporter.is_none() {
            self.exporter =
                self.wanted.exporter(self.bridge, self.place, &mut self.collectors, now, running).ok();
        }
        let bridge = self.observed(running);
        let due = self.exporter.as_mut().map(|exporter| exporter.tick(now, &bridge));
        self.send(due.unwrap_or_default());
    }

    fn send(&mut self, datagrams: impl IntoIterator<Item = Vec<u8>>) {
        let (mut sent, mut failed) = (0, 0);
        for datagram in datagrams {
            for collector in &mut self.collectors {
                let counter = if collector.send(&datagram) { &mut sent } else { &mut failed };
                *counter += 1;
            }
        }
        if let Some(exporter) = &mut self.exporter {
            exporter.sent(sent, failed);
        }
    }

    /// Whether it exports the same of a bridge, by whatever settings.
    fn is_earlier(&self, bridge: BridgeId, ipfix: &DesiredIpfix) -> bool {
        let DesiredExport::Ipfix(own) = &self.wanted else { return false };
        self.bridge == bridge && own.source.collector_set() == ipfix.source.collector_set()
    }

    /// Sends what has not gone yet. Returns the counters, of an export that has some.
    fn end(&mut self) -> Option<IpfixStats> {
        let rest = self.exporter.as_mut().map(|exporter| exporter.finish(wall_clock()));
        self.send(rest.unwrap_or_default());
        self.exporter.as_ref()?.ipfix_stats()
    }

    fn observed<'a>(&self, running: &'a Running) -> Observed<'a> {
        let tells_switch = self.place == 0;
        Observed { running, bridge: self.bridge, datapath_id: self.datapath_id, tells_switch }
    }
}

impl Drop for Export {
    /// What was counted is not lost when the export ends, or goes elsewhere from now on.
    fn drop(&mut self) {
        self.end();
    }
}

/// The address of the interface `device`, the address that it is itself, or the one from which a collector is reached.
fn agent_address(device: Option<&str>, collectors: &mut [Collector]) -> Option<IpAddr> {
    if let Some(name) = device {
        let of_interface = netlink::addresses(name).unwrap_or_default();
        let of_interface = of_interface.into_iter().find(|address| !is_link_local(address));
        if let Some(address) = of_interface.or_else(|| name.parse().ok()) {
            return Some(address);
        }
    }
    collectors.iter_mut().find_map(Collector::local_address)
}

/// Unicast addresses that mean nothing beyond their link (RFC 4291 §2.5.6).
fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
