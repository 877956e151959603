//! OpenFlow controllers: what their rows ask for, connecting to them, and reporting how that goes.

mod confine;
mod in_band;

use std::collections::BTreeMap;
use std::time::Duration;

use base::Timestamp;
use controller::{BridgeSettings, ControllerSpec, ControllerStatus, RateLimit};
use log::Level;
use model::Datum;
use ofp::ControllerRole;
use replica::{Row, Tables};
use rpc::Tls;
use schema::{bridge, controller as table, open_vswitch, ssl};
use uuid::Uuid;

pub(crate) use self::in_band::{DesiredInBand, InBand, desire_in_band};
use super::{Concern, Pass};
use crate::columns::Columns;
use crate::desired::{Desired, DesiredBridge, FailMode};
use crate::extent::Extent;
use crate::running::{Running, RunningBridge};
use crate::status::{Report, Reporting};
use crate::writer::texts;

/// An OpenFlow controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredController {
    pub uuid: Uuid,
    pub target: String,
    pub max_backoff: Duration,
    /// Zero: it is never probed.
    pub inactivity_probe: Duration,
    /// How many packets it is sent at most.
    pub rate_limit: Option<RateLimit>,
    /// What the SSL table says, where the target is over TLS; without a row there, the command line says it.
    pub tls: Option<Tls>,
    pub is_service: bool,
    /// Its connection passes whatever the bridge's rules are.
    pub is_in_band: bool,
    pub has_async_messages: bool,
    /// The DSCP of its packets.
    pub dscp: u8,
}

/// The controllers of a bridge.
pub(crate) fn desire(rows: &Tables, bridge_row: &Row) -> Vec<DesiredController> {
    let of_bridge = bridge_row.references(bridge::CONTROLLER);
    let of_bridge = of_bridge.filter_map(|uuid| rows.row(table::NAME_OF_TABLE, &uuid));
    of_bridge.map(|row| desire_one(rows, row)).filter(|controller| controller.target != "none").collect()
}

fn desire_one(rows: &Tables, row: &Row) -> DesiredController {
    let millis = |column, default| {
        Duration::from_millis(row.integer(column).and_then(|ms| u64::try_from(ms).ok()).unwrap_or(default))
    };
    let limit = row.integer(table::CONTROLLER_RATE_LIMIT).and_then(|n| u32::try_from(n).ok());
    let burst = row.integer(table::CONTROLLER_BURST_LIMIT).and_then(|n| u32::try_from(n).ok());
    let target = row.string(table::TARGET).to_owned();
    let dscp = row.map_text(table::OTHER_CONFIG, "dscp").and_then(|text| text.parse().ok());
    DesiredController {
        uuid: row.uuid,
        tls: rpc::stream::is_tls_name(&target).then(|| desire_tls(rows)).flatten(),
        target,
        max_backoff: millis(table::MAX_BACKOFF, 8000).max(Duration::from_secs(1)),
        inactivity_probe: millis(table::INACTIVITY_PROBE, 5000),
        rate_limit: limit
            .map(|rate| RateLimit { rate: rate.max(100), burst: burst.unwrap_or(rate / 4).max(25) }),
        is_service: row.text(table::TYPE) == Some("service"),
        is_in_band: row.text(table::CONNECTION_MODE) != Some("out-of-band"),
        has_async_messages: row.boolean(table::ENABLE_ASYNC_MESSAGES).unwrap_or(true),
        dscp: dscp.filter(|dscp| *dscp < 64).unwrap_or(controller::DEFAULT_DSCP),
    }
}

/// The files that the SSL table names.
fn desire_tls(rows: &Tables) -> Option<Tls> {
    let named = rows.rows(open_vswitch::NAME_OF_TABLE).flat_map(|root| root.references(open_vswitch::SSL));
    let row = named.filter_map(|uuid| rows.row(ssl::NAME_OF_TABLE, &uuid)).next()?;
    let file = |column| Some(row.string(column)).filter(|path| !path.is_empty()).map(Into::into);
    Some(Tls {
        private_key: file(ssl::PRIVATE_KEY),
        certificate: file(ssl::CERTIFICATE),
        ca_cert: file(ssl::CA_CERT),
        bootstrap_ca_cert: row.boolean(ssl::BOOTSTRAP_CA_CERT).unwrap_or(false),
        ..Tls::default()
    })
}

pub(crate) struct Controllers;

impl Concern for Controllers {
    fn prepare(&self, running: &mut Running, desired: &Desired) {
        running.manager.set_bundle_idle(desired.bundle_idle);
    }

    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let config = pass.config;
        let mut controllers = Vec::new();
        for one in &config.controllers {
            match running.refusal(&one.target, config) {
                None => controllers.push(ControllerSpec {
                    target: one.target.clone(),
                    max_backoff: one.max_backoff,
                    probe: one.inactivity_probe,
                    rate_limit: one.rate_limit,
                    tls: rpc::stream::is_tls_name(&one.target)
                        .then(|| one.tls.clone().unwrap_or_else(|| running.tls.clone())),
                    is_service: one.is_service,
                    has_async_messages: one.has_async_messages,
                    dscp: one.dscp,
                }),
                Some(why) => running.complaints.say(Level::Error, why),
            }
        }
        let Some(bridge) = running.bridges().get(&config.name) else { return };
        let (id, datapath_id) = (bridge.id, bridge.datapath_id);
        let settings = BridgeSettings {
            name: config.name.clone(),
            datapath_id,
            dp_desc: config.dp_desc.clone(),
            serial: config.serial.clone(),
            versions: config.versions.clone(),
            is_secure: config.fail_mode == FailMode::Secure,
            controllers,
            awaits_rules: running.limits.awaits_rules,
        };
        running.manager.want(id, settings);
    }

    fn finish(&self, running: &mut Running, _desired: &Desired) {
        running.keep_in_band();
    }

    fn tick(&self, running: &mut Running, _now: Timestamp) -> Extent {
        running.keep_in_band();
        Extent::default()
    }

    fn report(&self, out: &mut Reporting, report: &Report<'_>, bridge: &RunningBridge) {
        if !report.extent.controllers {
            return;
        }
        let statuses: BTreeMap<String, ControllerStatus> =
            report.running.manager.statuses(bridge.id).into_iter().collect();
        for wanted in &bridge.config.controllers {
            let Some(row) = report.rows.row(table::NAME_OF_TABLE, &wanted.uuid) else { continue };
            // Of who listens for connections there is nothing to tell.
            let columns = columns(report.running, wanted, statuses.get(&wanted.target));
            out.writer.write(table::NAME_OF_TABLE, row, columns);
        }
    }
}

fn columns(
    running: &Running,
    wanted: &DesiredController,
    status: Option<&ControllerStatus>,
) -> Vec<(&'static str, Datum)> {
    let mut details = running.unsupported_status(&wanted.uuid);
    let role = match status.and_then(|status| status.role) {
        None => Datum::Empty,
        Some(ControllerRole::Primary) => Datum::from("master"),
        Some(ControllerRole::Secondary) => Datum::from("slave"),
        Some(_) => Datum::from("other"),
    };
    if let Some(status) = status {
        let state = if status.is_connected { "ACTIVE" } else { "BACKOFF" };
        details.insert("state".to_owned(), state.to_owned());
        let now = running.clock.now();
        for (key, at) in
            [("sec_since_connect", status.connected_at), ("sec_since_disconnect", status.disconnected_at)]
        {
            details.extend(at.map(|at| (key.to_owned(), (now - at).as_secs().to_string())));
        }
        details.extend(status.last_error.as_ref().map(|error| ("last_error".to_owned(), error.clone())));
    }
    let is_connected = status.is_some_and(|status| status.is_connected);
    vec![
        (table::IS_CONNECTED, Datum::from(is_connected)),
        (table::ROLE, role),
        (table::STATUS, texts(details)),
    ]
}

impl Running {
    /// Why the database may not name this controller.
    fn refusal(&self, target: &str, bridge: &DesiredBridge) -> Option<String> {
        self.is_confined.then(|| confine::refusal(target, &bridge.name, &rpc::dirs::rundir())).flatten()
    }
}
