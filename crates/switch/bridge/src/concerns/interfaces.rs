//! Interfaces: what their rows ask for, adding and removing them with their devices, and reporting what these show.

mod aggregation;
mod coming;
mod connectivity;
mod refused;
mod status;
mod troubles;
mod tunnel_options;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base::{MacAddr, OfPort};
use dp::{PortKind, PortSpec, TunnelKind, UnknownPortKind};
use model::{Atom, Datum};
use pipeline::tunnel::TunnelConfig;
use replica::Row;
use schema::{interface as table, open_vswitch};
use uuid::Uuid;

use super::{Concern, Pass, qos, workers};
use crate::columns::Columns;
use crate::desired::Desired;
use crate::running::{Dummies, Notice, Running, RunningBridge};
use crate::status::{Report, Reporting, is_shown};

use aggregation::DesiredLacpMember;
pub(crate) use aggregation::number;
pub(crate) use coming::describe;
pub(crate) use status::{State, broken};
pub use tunnel_options::shown_options;

base::coverage!(static ROWS_REPORTED = "bridge_row_reported");

/// The kinds of interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceKind {
    /// One that stands for a port of the datapath.
    Port(PortKind),
    /// One end of a patch between two bridges; no datapath knows of it.
    Patch,
    /// What the database asks for and nobody offers.
    Unknown(UnknownPortKind),
}

impl InterfaceKind {
    const PATCH: &str = "patch";

    /// As the database has it.
    fn named(name: &str) -> InterfaceKind {
        if name == InterfaceKind::PATCH {
            return InterfaceKind::Patch;
        }
        name.parse().map_or_else(InterfaceKind::Unknown, InterfaceKind::Port)
    }

    /// The names of those that this program offers, with those for tests or without.
    fn offered(with_dummies: bool) -> impl Iterator<Item = &'static str> {
        let devices = PortKind::DEVICES.into_iter().filter(move |kind| with_dummies || !kind.is_dummy());
        let is_offered = |kind: &TunnelKind| refused::check_tunnel("", &TunnelConfig::new(*kind)).is_ok();
        let tunnels = TunnelKind::ALL.into_iter().filter(is_offered).map(TunnelKind::name);
        devices.map(PortKind::name).chain([InterfaceKind::PATCH]).chain(tunnels)
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredInterface {
    pub uuid: Uuid,
    pub name: String,
    pub kind: InterfaceKind,
    pub options: BTreeMap<String, String>,
    /// The number asked for by the operator, else the one that it had before.
    pub number: Option<OfPort>,
    /// The operator asked for the number.
    pub is_number_asked: bool,
    pub mac: Option<MacAddr>,
    pub mtu: Option<u32>,
    /// The column of that name.
    pub bfd: BTreeMap<String, String>,
    /// How connectivity is checked.
    pub cfm: Option<protocols::cfm::Settings>,
    /// Whether neighbours learn of the switch by it.
    pub lldp: bool,
    /// How link aggregation has it.
    pub lacp: DesiredLacpMember,
    /// Queues and the processors that they are pinned to.
    pub pinned: Vec<(u32, u32)>,
    /// How much it lets in at most.
    pub policing: dp::Policing,
}

impl DesiredInterface {
    /// An internal one that no row asks for by itself.
    pub(crate) fn internal(name: &str, number: Option<OfPort>) -> DesiredInterface {
        DesiredInterface {
            uuid: Uuid::nil(),
            name: name.to_owned(),
            kind: InterfaceKind::Port(PortKind::Internal),
            options: BTreeMap::new(),
            number,
            is_number_asked: false,
            mac: None,
            mtu: None,
            bfd: BTreeMap::new(),
            cfm: None,
            lldp: false,
            lacp: DesiredLacpMember::default(),
            pinned: Vec::new(),
            policing: dp::Policing::default(),
        }
    }

    /// The address that the row gives an internal interface of `bridge`, or why it cannot. The bridge's own port has the
    /// bridge's.
    pub(crate) fn wanted_mac(&self, bridge: &str) -> Result<Option<MacAddr>, String> {
        let Some(mac) = self.mac.filter(|_| self.is_internal()) else { return Ok(None) };
        let why = if self.name == bridge {
            "ignoring mac in Interface record (use Bridge record to set local port's mac)"
        } else if mac.is_multicast() {
            "cannot set MAC to multicast address"
        } else if mac.is_zero() {
            "cannot set MAC to all zero address"
        } else {
            return Ok(Some(mac));
        };
        Err(format!("interface {}: {why}", self.name))
    }

    pub fn is_patch(&self) -> bool {
        self.kind == InterfaceKind::Patch
    }

    /// Whether it takes over other options as it is.
    pub(crate) fn takes_other_options(&self) -> bool {
        self.port_spec().is_some() || self.is_patch() && self.check_patch().is_ok()
    }

    /// What the port of a device is to be.
    fn port_spec(&self) -> Option<PortSpec> {
        let InterfaceKind::Port(kind) = self.kind else { return None };
        let options = self.options.clone().into_iter().collect();
        (kind.tunnel().is_none() && !kind.is_afxdp())
            .then(|| PortSpec { options, ..PortSpec::new(&self.name, kind) })
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.kind == InterfaceKind::Port(PortKind::Internal)
    }

    pub fn peer(&self) -> Option<&str> {
        self.options.get("peer").map(String::as_str).filter(|_| self.is_patch())
    }

    /// Whether the options of a patch port are in order.
    pub(crate) fn check_patch(&self) -> Result<(), String> {
        let name = &self.name;
        let why = match self.peer() {
            None => "patch type requires valid 'peer' argument",
            Some(_) if self.options.len() > 1 => "patch type takes only a 'peer' argument",
            Some(peer) if peer == name => "patch peer must not be self",
            Some(_) => return Ok(()),
        };
        Err(format!("{name}: {why}"))
    }
}

pub(crate) fn desire(row: &Row) -> DesiredInterface {
    let number = |column| OfPort::from_database(u32::try_from(row.integer(column)?).ok()?);
    let asked = number(table::OFPORT_REQUEST);
    DesiredInterface {
        uuid: row.uuid,
        name: row.string(table::NAME).to_owned(),
        kind: InterfaceKind::named(row.string(table::TYPE)),
        options: row.map(table::OPTIONS),
        number: asked.or_else(|| number(table::OFPORT)),
        is_number_asked: asked.is_some(),
        mac: row.mac(table::MAC),
        mtu: row.integer(table::MTU_REQUEST).and_then(|mtu| u32::try_from(mtu).ok()),
        bfd: row.map(table::BFD),
        lldp: row.map_boolean(table::LLDP, "enable").unwrap_or(false),
        cfm: connectivity::desire(row),
        lacp: aggregation::desire(row),
        pinned: workers::desire_pinned(row),
        policing: qos::desire_policing(row),
    }
}

/// An interface, working or not.
#[derive(Clone, Debug)]
pub struct RunningInterface {
    pub(crate) config: DesiredInterface,
    /// The number, or why there is none.
    pub result: Result<OfPort, String>,
    /// Why it is of no use though it has a number.
    pub trouble: Option<String>,
    /// Which one it is of all that were ever added.
    pub serial: u64,
}

pub(crate) struct Interfaces;

impl Concern for Interfaces {
    /// Those that come and go are steps of the plan.
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let Some(bridge) = running.bridges.get_mut(&pass.config.name) else { return };
        for interface in pass.changed.iter().flat_map(|port| &port.interfaces) {
            let Some(known) = bridge.interfaces.get_mut(&interface.name) else { continue };
            let old = std::mem::replace(&mut known.config, interface.clone());
            let datapath = &bridge.below.datapath;
            if old.options != interface.options
                && let Some(spec) = interface.port_spec()
                && let Some(port) = datapath.port_by_name(&interface.name).map(|info| info.number)
            {
                // One that is gone gets its options when it comes back.
                if let Err(error) = datapath.change_port(port, &spec) {
                    log::warn!(target: "bridge", "{}: could not set configuration ({error})", interface.name);
                }
            }
            if let (Some(peer), Ok(number)) = (interface.peer(), &known.result)
                && let Some(state) = running.switch.write().get_mut(bridge.id)
            {
                state.set_peer(*number, peer);
            }
        }
        if !pass.changed.is_empty() || pass.has_fewer_ports {
            // Interfaces that never worked and are not wanted any more.
            let wanted: HashSet<&str> = pass.config.interfaces().map(|interface| &*interface.name).collect();
            bridge.interfaces.retain(|name, _| wanted.contains(&**name));
            bridge.vanished.retain(|name, _| wanted.contains(&**name));
        }
    }

    fn finish(&self, running: &mut Running, _desired: &Desired) {
        running.review();
    }

    fn follow(&self, running: &mut Running) -> bool {
        let mut again = false;
        for bridge in running.bridges.values() {
            again |= bridge.lacks_devices();
            let devices = running.devices(bridge);
            let mut switch = running.switch.write();
            let Some(state) = switch.get_mut(bridge.id) else { continue };
            for (_, number, info) in devices {
                match info {
                    Some(info) => {
                        let news = state.update_port(number, |entry| describe(&mut entry.desc, &info));
                        running.notices.extend(news.map(|news| Notice::Port { bridge: bridge.id, news }));
                    }
                    None => again = true,
                }
            }
        }
        again
    }

    fn report(&self, out: &mut Reporting, report: &Report<'_>, bridge: &RunningBridge) {
        for desired in bridge.config.interfaces() {
            let Some(row) = report.rows.row(table::NAME_OF_TABLE, &desired.uuid) else { continue };
            let known = bridge.interface(&desired.name);
            let mut columns = Vec::new();
            if report.extent.state {
                let state = State::of(report.running, bridge, desired, known);
                if !is_shown(&report.told.states, row, &state) {
                    ROWS_REPORTED.count();
                    columns.extend(state.columns());
                }
                Arc::make_mut(&mut out.told.states).insert(desired.uuid, (Arc::clone(row), state));
            }
            if let Some(known) = known {
                let is_new = !report.told.interfaces.contains(&known.serial);
                if report.extent.counters || report.extent.state && is_new {
                    columns.extend(status::statistics(&mut out.counters, report.running, bridge, known));
                }
                if report.extent.counters || report.extent.state || !is_new {
                    out.told.interfaces.insert(known.serial);
                }
            }
            out.writer.write(table::NAME_OF_TABLE, row, columns);
        }
    }

    fn report_switch(&self, out: &mut Reporting, report: &Report<'_>, root: &Row) {
        if !report.extent.state {
            out.told.states = Arc::clone(&report.told.states);
            return;
        }
        let with_dummies = report.running.dummies != Dummies::None;
        let types = Datum::set(InterfaceKind::offered(with_dummies).map(Atom::from));
        out.writer.write(open_vswitch::NAME_OF_TABLE, root, vec![(open_vswitch::IFACE_TYPES, types)]);
    }
}
