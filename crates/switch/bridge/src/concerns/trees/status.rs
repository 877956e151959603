//! What rows show of spanning tree.

use base::OfPort;
use model::Datum;
use protocols::PortId;
use protocols::spanning::{PortStatus, Status, address, priority, state_name};
use schema::port as table;

use crate::concerns::interfaces::DesiredInterface;
use crate::running::{Running, RunningBridge};
use crate::status::{Report, Reporting};
use crate::writer::pairs;

type Pairs = Vec<(String, String)>;

/// The `status` and `rstp_status` of a bridge.
pub(crate) fn bridge_columns(running: &Running, bridge: &RunningBridge) -> (Pairs, Pairs) {
    match running.monitor.spanning_status(bridge.id) {
        None => (Vec::new(), Vec::new()),
        Some(Status::Stp(status)) => {
            let shown = [
                ("stp_bridge_id", stp_id(status.bridge)),
                ("stp_designated_root", stp_id(status.root)),
                ("stp_root_path_cost", status.cost.to_string()),
            ];
            (named(shown), Vec::new())
        }
        Some(Status::Rstp(status)) => {
            let shown = [
                ("rstp_bridge_id", rstp_id(status.bridge)),
                ("rstp_root_path_cost", status.cost.to_string()),
                ("rstp_root_id", rstp_id(status.root)),
                ("rstp_designated_id", rstp_id(status.designated_bridge)),
                ("rstp_designated_port_id", port_id(status.designated_port)),
                ("rstp_bridge_port_id", port_id(status.root_port)),
            ];
            (Vec::new(), named(shown))
        }
    }
}

/// What a port's `status` and `rstp_status` show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PortColumns {
    pub stp: Pairs,
    pub rstp: Pairs,
}

pub(crate) fn port_columns(
    running: &Running,
    bridge: &RunningBridge,
    interfaces: &[DesiredInterface],
) -> PortColumns {
    match port_status(running, bridge, interfaces) {
        None => PortColumns::default(),
        Some(PortStatus::Stp(status, _)) => {
            let seconds = (running.clock.now().as_millis() as i64 - status.since).max(0) / 1000;
            let shown = [
                ("stp_port_id", status.id.to_string()),
                ("stp_state", state_name(pipeline::SpanningTree::Stp, status.state).to_owned()),
                ("stp_sec_in_state", seconds.to_string()),
                ("stp_role", status.role.name().to_owned()),
            ];
            PortColumns { stp: named(shown), rstp: Vec::new() }
        }
        Some(PortStatus::Rstp(status, _)) => {
            let shown = [
                ("rstp_port_id", port_id(status.id)),
                ("rstp_port_role", status.role.name().to_owned()),
                ("rstp_port_state", state_name(pipeline::SpanningTree::Rstp, status.state).to_owned()),
                ("rstp_designated_bridge_id", rstp_id(status.designated_bridge)),
                ("rstp_designated_port_id", port_id(status.designated_port)),
                ("rstp_designated_path_cost", status.designated_cost.to_string()),
            ];
            PortColumns { stp: Vec::new(), rstp: named(shown) }
        }
    }
}

/// Writes how many units the ports have sent and received.
pub(crate) fn write_counters(out: &mut Reporting, report: &Report<'_>, bridge: &RunningBridge) {
    for port in &bridge.config.ports {
        let Some(row) = report.rows.row(table::NAME_OF_TABLE, &port.uuid) else { continue };
        let numbers =
            |counts: &[(&str, u64)]| pairs(counts.iter().map(|(name, count)| ((*name).to_owned(), *count)));
        let (stp, rstp) = match port_status(report.running, bridge, &port.interfaces) {
            None => (Datum::Empty, Datum::Empty),
            Some(PortStatus::Stp(_, counts)) => {
                let shown = [
                    ("stp_tx_count", counts.sent),
                    ("stp_rx_count", counts.received),
                    ("stp_error_count", counts.errors),
                ];
                (numbers(&shown), Datum::Empty)
            }
            Some(PortStatus::Rstp(_, counts)) => {
                let shown = [
                    ("rstp_tx_count", counts.sent),
                    ("rstp_rx_count", counts.received),
                    ("rstp_uptime", counts.uptime),
                    ("rstp_error_count", counts.errors),
                ];
                (Datum::Empty, numbers(&shown))
            }
        };
        out.writer.write(
            table::NAME_OF_TABLE,
            row,
            vec![(table::STATISTICS, stp), (table::RSTP_STATISTICS, rstp)],
        );
    }
}

fn port_status(
    running: &Running,
    bridge: &RunningBridge,
    interfaces: &[DesiredInterface],
) -> Option<PortStatus> {
    let [interface] = interfaces else { return None };
    let number: OfPort = *bridge.interfaces.get(&interface.name)?.result.as_ref().ok()?;
    running.monitor.spanning_port_status(PortId { bridge: bridge.id, port: number })
}

fn named<const N: usize>(pairs: [(&str, String); N]) -> Pairs {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn stp_id(id: u64) -> String {
    format!("{:04x}.{:012x}", priority(id), address(id).to_u64())
}

fn rstp_id(id: u64) -> String {
    let priority = priority(id);
    format!("{:x}.{:03x}.{:012x}", priority >> 12, priority & 0xfff, address(id).to_u64())
}

fn port_id(id: u16) -> String {
    format!("{id:04x}")
}
