//! How a bridge switches: learned addresses, and frames that bridges keep to themselves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ofproto::Settings;
use replica::Row;
use schema::bridge;

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::running::Running;

/// What a bridge's row says of switching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredForwarding {
    /// How long an address is remembered that is not heard of.
    pub mac_aging: Duration,
    pub mac_table_size: usize,
    pub forwards_bpdus: bool,
    /// VLANs in which no address is learned.
    pub flood_vlans: Arc<BTreeSet<u16>>,
}

/// How long an address is remembered unless the row says otherwise.
const DEFAULT_AGING: Duration = Duration::from_secs(300);

impl Default for DesiredForwarding {
    fn default() -> DesiredForwarding {
        DesiredForwarding {
            mac_aging: DEFAULT_AGING,
            mac_table_size: ofproto::DEFAULT_CAPACITY,
            forwards_bpdus: false,
            flood_vlans: Arc::default(),
        }
    }
}

pub(crate) fn desire(row: &Row) -> DesiredForwarding {
    let flood_vlans = row.integers(bridge::FLOOD_VLANS).into_iter().filter_map(|vid| u16::try_from(vid).ok());
    let number = |key| row.map_number(bridge::OTHER_CONFIG, key);
    DesiredForwarding {
        mac_aging: number("mac-aging-time").map_or(DEFAULT_AGING, Duration::from_secs),
        mac_table_size: number("mac-table-size").map_or(ofproto::DEFAULT_CAPACITY, |n| n as usize),
        forwards_bpdus: row.map_boolean(bridge::OTHER_CONFIG, "forward-bpdu").unwrap_or(false),
        flood_vlans: flood_vlans.collect::<BTreeSet<u16>>().into(),
    }
}

pub(crate) struct Forwarding;

impl Concern for Forwarding {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let wanted = &pass.config.forwarding;
        let Some(bridge) = running.bridges().get(&pass.config.name) else { return };
        let mut switch = running.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        let are_flooded_others = state.settings().flood_vlans != wanted.flood_vlans;
        state.set_settings(Settings {
            forwards_bpdus: wanted.forwards_bpdus,
            flood_vlans: Arc::clone(&wanted.flood_vlans),
            ..state.settings().clone()
        });
        if are_flooded_others {
            state.macs().flush();
        }
        state.macs().configure(wanted.mac_table_size, wanted.mac_aging);
    }
}
