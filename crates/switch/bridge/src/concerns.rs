//! What the database asks for, concern by concern.
//!
//! A concern is a thing that rows ask for: mirrors, flow tables, controllers. Its file has all of it: its rows as types
//! (`desire`, called by [`crate::desired`]), bringing that into force, following what changes by itself, and reporting.
//! [`CONCERNS`] lists them in the order in which they are brought into force; [`Running`] and [`crate::status`] go through
//! the list.

pub(crate) mod addresses;
pub(crate) mod bridges;
pub(crate) mod bundles;
pub(crate) mod controllers;
pub(crate) mod datapaths;
pub(crate) mod devices;
pub(crate) mod discovery;
pub(crate) mod exports;
pub(crate) mod forwarding;
pub(crate) mod interfaces;
pub(crate) mod limits;
pub(crate) mod machine;
pub(crate) mod mirrors;
pub(crate) mod monitoring;
pub(crate) mod multicast;
pub(crate) mod qos;
pub(crate) mod shaping;
pub(crate) mod spanning;
pub(crate) mod tables;
pub(crate) mod trees;
pub(crate) mod tunnels;
pub(crate) mod unread;
pub(crate) mod workers;
pub(crate) mod zones;

use std::sync::Arc;

use base::Timestamp;
use replica::Row;

use self::bundles::DesiredPort;
use crate::desired::{Desired, DesiredBridge};
use crate::extent::Extent;
use crate::running::{Running, RunningBridge};
use crate::status::{Report, Reporting};

/// All concerns. Later ones rely on earlier ones: mirrors choose among bundles, bundles among interfaces.
pub(crate) const CONCERNS: [&dyn Concern; 22] = [
    &limits::Limits,
    &workers::Workers,
    &datapaths::Datapaths,
    &zones::Zones,
    &bridges::Bridges,
    &tunnels::Tunnels,
    &interfaces::Interfaces,
    &bundles::Bundles,
    &addresses::Addresses,
    &devices::Devices,
    &shaping::Shaping,
    &monitoring::Monitoring,
    &discovery::Discovery,
    &forwarding::Forwarding,
    &tables::FlowTables,
    &mirrors::Mirrors,
    &multicast::Multicast,
    &spanning::Spanning,
    &exports::BridgeExports,
    &controllers::Controllers,
    &machine::Machine,
    &unread::UnreadSettings,
];

/// A bridge that is being brought into line.
pub(crate) struct Pass<'a> {
    pub config: &'a Arc<DesiredBridge>,
    /// The ports that are new, or changed, or have interfaces that came or went.
    pub changed: Vec<&'a Arc<DesiredPort>>,
    /// Ports have gone.
    pub has_fewer_ports: bool,
}

/// One of [`CONCERNS`]. What it does not need to do, it leaves out.
pub(crate) trait Concern: Sync {
    /// Brings into force what holds for the whole switch, before bridges and interfaces come and go.
    fn prepare(&self, _running: &mut Running, _desired: &Desired) {}
    /// Brings into force what a bridge asks for. Where nothing changed, nothing happens.
    fn settle(&self, _running: &mut Running, _pass: &Pass<'_>) {}
    /// Brings into force what depends on all bridges, after each was settled.
    fn finish(&self, _running: &mut Running, _desired: &Desired) {}
    /// Follows what devices report. Returns whether a pass over the configuration has to follow.
    fn follow(&self, _running: &mut Running) -> bool {
        false
    }
    /// Does what time asks for. Returns what is to be reported.
    fn tick(&self, _running: &mut Running, _now: Timestamp) -> Extent {
        Extent::default()
    }
    /// Writes what the rows of the whole switch show.
    fn report_switch(&self, _out: &mut Reporting, _report: &Report<'_>, _root: &Row) {}
    /// Writes what the rows of a bridge, and those below it, show.
    fn report(&self, _out: &mut Reporting, _report: &Report<'_>, _bridge: &RunningBridge) {}
}
