//! How a bridge switches: learned addresses, frames of spanning tree, and loops.

use std::time::Duration;

use ofproto::Settings;
use replica::Row;
use schema::bridge;

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::running::Running;

/// What a bridge's row says of switching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DesiredForwarding {
    /// How long an address is remembered that is not heard of.
    pub mac_aging: Duration,
    pub mac_table_size: usize,
    pub forwards_bpdus: bool,
    /// It asks for spanning tree, of either kind.
    pub asks_spanning_tree: bool,
}

/// How long an address is remembered unless the row says otherwise.
const DEFAULT_AGING: Duration = Duration::from_secs(300);

impl Default for DesiredForwarding {
    fn default() -> DesiredForwarding {
        DesiredForwarding {
            mac_aging: DEFAULT_AGING,
            mac_table_size: ofproto::DEFAULT_CAPACITY,
            forwards_bpdus: false,
            asks_spanning_tree: false,
        }
    }
}

pub(crate) fn desire(row: &Row) -> DesiredForwarding {
    let number = |key| row.map_number(bridge::OTHER_CONFIG, key);
    DesiredForwarding {
        mac_aging: number("mac-aging-time").map_or(DEFAULT_AGING, Duration::from_secs),
        mac_table_size: number("mac-table-size").map_or(ofproto::DEFAULT_CAPACITY, |n| n as usize),
        forwards_bpdus: row.map_boolean(bridge::OTHER_CONFIG, "forward-bpdu").unwrap_or(false),
        asks_spanning_tree: row.is_true(bridge::STP_ENABLE) || row.is_true(bridge::RSTP_ENABLE),
    }
}

/// How long a bridge that keeps loops out remembers an address that it does not hear of.
const GUARDED_AGING: Duration = Duration::from_secs(30);

pub(crate) struct Forwarding;

impl Concern for Forwarding {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let wanted = pass.config.forwarding;
        let Some(bridge) = running.bridges().get(&pass.config.name) else { return };
        let mut switch = running.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        state.set_settings(Settings {
            forwards_bpdus: wanted.forwards_bpdus,
            guards_loops: wanted.asks_spanning_tree,
            ..state.settings().clone()
        });
        // An address that moved is refused until it is forgotten where it was. That must not take longer than spanning
        // tree takes to agree, nor be quicker than a flow is to lose its last trace.
        let guarded = wanted.mac_aging.min(GUARDED_AGING).max(2 * running.limits.max_idle);
        let aging = if wanted.asks_spanning_tree { guarded } else { wanted.mac_aging };
        state.macs().configure(wanted.mac_table_size, aging);
    }
}
