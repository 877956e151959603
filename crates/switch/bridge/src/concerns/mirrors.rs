//! Mirrors: what their rows ask for, setting it, and reporting what they sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use fields::{Match, PortNames};
use model::Datum;
use pipeline::{BundleId, Mirror, MirrorOutput, VlanSet};
use replica::{Row, Tables};
use schema::{bridge, interface, mirror, port};
use uuid::Uuid;

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::desired::DesiredBridge;
use crate::running::{Running, RunningBridge};
use crate::status::{Report, Reporting};
use crate::writer::pairs;

/// A mirror. Ports are rows of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredMirror {
    pub uuid: Uuid,
    pub name: String,
    /// All ports, both ways.
    pub select_all: bool,
    pub sources: BTreeSet<Uuid>,
    pub destinations: BTreeSet<Uuid>,
    pub vlans: Option<VlanSet>,
    pub filter: Option<Match>,
    pub output: MirrorTarget,
    /// Bytes of each packet, if it does not get all.
    pub snaplen: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorTarget {
    Port(Uuid),
    Vlan(u16),
}

/// The mirrors of a bridge, by name. One without an output is reported and left out.
pub(crate) fn desire(rows: &Tables, bridge_row: &Row) -> Vec<DesiredMirror> {
    let mut references = bridge_row.references(bridge::MIRRORS).peekable();
    if references.peek().is_none() {
        return Vec::new();
    }
    let names = port_names(rows, bridge_row);
    let all = references
        .filter_map(|uuid| rows.row(mirror::NAME_OF_TABLE, &uuid))
        .filter_map(|row| desire_one(row, bridge_row.string(bridge::NAME), &names));
    let mut all: Vec<DesiredMirror> = all.collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if all.len() > pipeline::MAX_MIRRORS {
        log::warn!(target: "ofproto_dpif_mirror", "maximum of {} port mirrors reached", pipeline::MAX_MIRRORS);
        all.truncate(pipeline::MAX_MIRRORS);
    }
    all
}

/// The names that a bridge's ports go by. Their numbers are not known yet, and nobody asks for them: any will do.
fn port_names(rows: &Tables, bridge_row: &Row) -> PortNames {
    let ports = bridge_row.references(bridge::PORTS).filter_map(|uuid| rows.row(port::NAME_OF_TABLE, &uuid));
    let interfaces = ports.flat_map(|row| row.references(port::INTERFACES));
    let rows = interfaces.filter_map(|uuid| rows.row(interface::NAME_OF_TABLE, &uuid));
    let mut names = PortNames::new();
    for (number, row) in (1..).zip(rows) {
        names.insert(number, row.string(interface::NAME));
    }
    names
}

fn desire_one(row: &Row, bridge: &str, names: &PortNames) -> Option<DesiredMirror> {
    let name = row.string(mirror::NAME).to_owned();
    let vlan = row.integer(mirror::OUTPUT_VLAN).and_then(|vid| u16::try_from(vid).ok());
    let output = match (row.reference(mirror::OUTPUT_PORT), vlan) {
        (Some(port), _) => MirrorTarget::Port(port),
        (None, Some(vid)) => MirrorTarget::Vlan(vid),
        (None, None) => {
            log::error!(target: "bridge", "bridge {bridge}: mirror {name} does not specify output; ignoring");
            return None;
        }
    };
    let vids: Vec<u16> =
        row.integers(mirror::SELECT_VLAN).into_iter().filter_map(|vid| u16::try_from(vid).ok()).collect();
    let filter = match row
        .text(mirror::FILTER)
        .filter(|text| !text.is_empty())
        .map(|text| parse_filter(text, names))
    {
        None => None,
        Some(Ok(filter)) => Some(filter),
        Some(Err(why)) => {
            log::warn!(target: "ofproto_dpif_mirror", "{why}");
            log::error!(target: "bridge", "bridge {bridge}: mirror {name} configuration is invalid");
            return None;
        }
    };
    Some(DesiredMirror {
        uuid: row.uuid,
        name,
        select_all: row.is_true(mirror::SELECT_ALL),
        sources: row.references(mirror::SELECT_SRC_PORT).collect(),
        destinations: row.references(mirror::SELECT_DST_PORT).collect(),
        vlans: (!vids.is_empty()).then(|| vids.into_iter().collect()),
        filter,
        output,
        snaplen: row.integer(mirror::SNAPLEN).and_then(|length| u16::try_from(length).ok()),
    })
}

fn parse_filter(text: &str, names: &PortNames) -> Result<Match, String> {
    let filter = Match::parse_exact(text, Some(names)).map_err(|why| format!("filter is invalid: {why}"))?;
    if filter.mask.bits(flow::slot::IN_PORT) != 0 {
        return Err("filter is invalid due to in_port field.".to_owned());
    }
    Ok(filter)
}

pub(crate) struct Mirrors;

impl Concern for Mirrors {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        running.settle_mirrors(pass.config);
    }

    /// What they have sent.
    fn report(&self, out: &mut Reporting, report: &Report<'_>, bridge: &RunningBridge) {
        if !report.extent.counters {
            return;
        }
        let switch = report.running.switch.read();
        let Some(state) = switch.get(bridge.id) else { return };
        for desired in &bridge.config.mirrors {
            let Some(row) = report.rows.row(mirror::NAME_OF_TABLE, &desired.uuid) else { continue };
            let counters = state.mirror_counters(desired.uuid.as_u128());
            let statistics = counters.map_or(Datum::Empty, |counters| {
                let counted = [("tx_bytes", counters.bytes()), ("tx_packets", counters.packets())];
                pairs(counted.map(|(name, value)| (name.to_owned(), value)))
            });
            out.writer.write(mirror::NAME_OF_TABLE, row, vec![(mirror::STATISTICS, statistics)]);
        }
    }
}

impl Running {
    fn settle_mirrors(&self, config: &DesiredBridge) {
        let Some(bridge) = self.bridges().get(&config.name) else { return };
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        let bundle_of = |uuid: &Uuid| {
            let port = config.ports.iter().find(|port| port.uuid == *uuid)?;
            Some(state.bundle_named(&port.name)?.id)
        };
        let all: BTreeSet<BundleId> =
            config.ports.iter().filter_map(|port| Some(state.bundle_named(&port.name)?.id)).collect();
        let mut mirrors: Vec<Mirror> = Vec::new();
        for wanted in &config.mirrors {
            let output = match wanted.output {
                MirrorTarget::Vlan(vid) => MirrorOutput::Vlan(vid),
                MirrorTarget::Port(uuid) => match bundle_of(&uuid) {
                    Some(id) => MirrorOutput::Port(id),
                    None => {
                        log::error!(
                            target: "bridge",
                            "bridge {}: mirror {}: output port does not exist", config.name, wanted.name
                        );
                        continue;
                    }
                },
            };
            let chosen = |ports: &BTreeSet<Uuid>| -> BTreeSet<BundleId> {
                if wanted.select_all { all.clone() } else { ports.iter().filter_map(bundle_of).collect() }
            };
            let known = state.mirrors().iter().find(|mirror| mirror.id == wanted.uuid.as_u128());
            mirrors.push(Mirror {
                id: wanted.uuid.as_u128(),
                sources: chosen(&wanted.sources),
                destinations: chosen(&wanted.destinations),
                vlans: wanted.vlans.clone(),
                filter: wanted.filter.clone(),
                output,
                snaplen: wanted.snaplen,
                duplicates: 0,
                counters: known.map(|mirror| Arc::clone(&mirror.counters)).unwrap_or_default(),
            });
        }
        state.set_mirrors(mirrors);
    }
}
