//! Multicast: whether a bridge forwards it only to those who listen, and which ports get it whoever listens.

use std::time::Duration;

use ofproto::{DEFAULT_GROUPS, DEFAULT_MEMBERSHIP, PortFlooding, Snooping};
use replica::Row;
use schema::{bridge, port};

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::running::Running;

/// How a bridge is to look into multicast, if it is to.
pub(crate) fn desire(row: &Row) -> Option<Snooping> {
    // Zero stands for what holds where nothing is said.
    let number = |key| row.map_number(bridge::OTHER_CONFIG, key).filter(|number| *number != 0);
    let keeps_back =
        row.map_boolean(bridge::OTHER_CONFIG, "mcast-snooping-disable-flood-unregistered").unwrap_or(false);
    row.is_true(bridge::MCAST_SNOOPING_ENABLE).then(|| Snooping {
        capacity: number("mcast-snooping-table-size").map_or(DEFAULT_GROUPS, |n| n as usize),
        idle: number("mcast-snooping-aging-time").map_or(DEFAULT_MEMBERSHIP, Duration::from_secs),
        floods_unregistered: !keeps_back,
    })
}

/// What a port is to get whoever listens.
pub(crate) fn desire_port(row: &Row) -> PortFlooding {
    let flag = |key| row.map_boolean(port::OTHER_CONFIG, key).unwrap_or(false);
    PortFlooding { multicast: flag("mcast-snooping-flood"), reports: flag("mcast-snooping-flood-reports") }
}

pub(crate) struct Multicast;

impl Concern for Multicast {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let Some(bridge) = running.bridges().get(&pass.config.name) else { return };
        let mut switch = running.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        let had_ports = state.snooped().is_some();
        state.set_snooping(pass.config.snooping);
        if pass.config.snooping.is_none() {
            return;
        }
        if had_ports {
            state.set_multicast_flooding(pass.changed.iter().map(|port| (&*port.name, port.multicast)));
        } else {
            state.set_multicast_flooding(pass.config.ports.iter().map(|port| (&*port.name, port.multicast)));
        }
    }
}
