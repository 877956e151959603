//! Bridges as such: what their rows show, and those that cannot be made.

use model::Datum;
use replica::Row;
use schema::{bridge, interface as interface_table};

use super::Concern;
use crate::concerns::{interfaces, trees};
use crate::desired::DesiredBridge;
use crate::running::RunningBridge;
use crate::status::{Report, Reporting};
use crate::writer::texts;

pub(crate) struct Bridges;

impl Concern for Bridges {
    fn report(&self, out: &mut Reporting, report: &Report<'_>, bridge: &RunningBridge) {
        let Some(row) = report.rows.row(bridge::NAME_OF_TABLE, &bridge.config.uuid) else { return };
        if !report.extent.state {
            return;
        }
        let mut state = report.running.unsupported_status(&bridge.config.uuid);
        state.extend(bridge.error.iter().map(|error| ("error".to_owned(), error.clone())));
        let (stp, rstp) = trees::bridge_columns(report.running, bridge);
        state.extend(stp);
        let columns = vec![
            (bridge::DATAPATH_ID, Datum::from(format!("{:016x}", bridge.datapath_id))),
            (bridge::DATAPATH_VERSION, Datum::from("<built-in>")),
            (bridge::STATUS, texts(state)),
            (bridge::RSTP_STATUS, texts(rstp)),
        ];
        out.writer.write(bridge::NAME_OF_TABLE, row, columns);
    }

    fn report_switch(&self, out: &mut Reporting, report: &Report<'_>, _root: &Row) {
        if report.extent.state {
            for (config, why) in report.running.refused() {
                report_refused(out, report, config, why);
            }
        }
    }
}

/// The rows of a bridge that cannot be made: its own says why, and none of its interfaces is of use.
fn report_refused(out: &mut Reporting, report: &Report<'_>, config: &DesiredBridge, why: &str) {
    if let Some(row) = report.rows.row(bridge::NAME_OF_TABLE, &config.uuid) {
        let mut state = report.running.unsupported_status(&config.uuid);
        state.insert("error".to_owned(), why.to_owned());
        let columns = vec![(bridge::STATUS, texts(state)), (bridge::DATAPATH_ID, Datum::Empty)];
        out.writer.write(bridge::NAME_OF_TABLE, row, columns);
    }
    for desired in config.interfaces() {
        let Some(row) = report.rows.row(interface_table::NAME_OF_TABLE, &desired.uuid) else { continue };
        let error = format!("bridge {} does not exist: {why}", config.name);
        out.writer.write(interface_table::NAME_OF_TABLE, row, interfaces::broken(Datum::from(error)));
    }
}
