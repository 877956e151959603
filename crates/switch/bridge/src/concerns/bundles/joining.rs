//! Ports with several interfaces, and link aggregation: what rows ask for, and handing it over to the protocols.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{MacAddr, OfPort};
use ofproto::Bridge;
use pipeline::BondMode;
use protocols::{Joined, JoinedMember, PortId, bond, lacp};
use replica::Row;
use schema::port as table;

use super::DesiredPort;
use crate::columns::Columns;
use crate::concerns::interfaces::{DesiredInterface, number};
use crate::running::{Running, RunningBridge};

/// The system's priority in link aggregation unless the row says otherwise: a port with several interfaces decides rather than
/// one with a single one.
const PRIORITY_OF_SEVERAL: u16 = u16::MAX - 1;
const PRIORITY_OF_ONE: u16 = u16::MAX;
/// The same of a member.
const MEMBER_PRIORITY: u16 = u16::MAX;
/// How often load is moved, in milliseconds, unless the row says otherwise, and how often at most.
const REBALANCE_INTERVAL: i64 = 10_000;
const LEAST_REBALANCE_INTERVAL: i64 = 1000;

/// What a port's row says of link aggregation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredLacp {
    is_active: bool,
    is_fast: bool,
    /// `None`: the bridge's address.
    system: Option<MacAddr>,
    system_priority: Option<u16>,
}

pub(super) fn desire_bond(row: &Row) -> bond::Settings {
    let flag = |key| row.map_boolean(table::OTHER_CONFIG, key).unwrap_or(false);
    let integer =
        |key| row.map_text(table::OTHER_CONFIG, key).and_then(|text| text.trim().parse::<i64>().ok());
    let mode = row
        .text(table::BOND_MODE)
        .and_then(|name| BondMode::ALL.into_iter().find(|mode| mode.name() == name));
    let mode = mode.unwrap_or_default();
    let falls_back = flag("lacp-fallback-ab");
    let rebalance_interval = match integer("bond-rebalance-interval").unwrap_or(REBALANCE_INTERVAL) {
        0 => 0,
        interval => interval.max(LEAST_REBALANCE_INTERVAL),
    };
    let primary = row.map_text(table::OTHER_CONFIG, "bond-primary").map(str::to_owned);
    bond::Settings {
        mode,
        up_delay: row.integer(table::BOND_UPDELAY).unwrap_or(0).max(0),
        down_delay: row.integer(table::BOND_DOWNDELAY).unwrap_or(0).max(0),
        rebalance_interval,
        basis: integer("bond-hash-basis").unwrap_or(0) as u32,
        primary: primary.filter(|_| mode == BondMode::ActiveBackup || falls_back),
        all_members_active: flag("all-members-active"),
        falls_back,
        is_balanced_below: flag("lb-output-action"),
        last_active: row.mac(table::BOND_ACTIVE_SLAVE).unwrap_or(MacAddr::ZERO),
    }
}

/// What a port has that no row asks for.
pub(crate) fn no_bond() -> bond::Settings {
    bond::Settings {
        mode: BondMode::default(),
        up_delay: 0,
        down_delay: 0,
        rebalance_interval: REBALANCE_INTERVAL,
        basis: 0,
        primary: None,
        all_members_active: false,
        falls_back: false,
        is_balanced_below: false,
        last_active: MacAddr::ZERO,
    }
}

pub(super) fn desire_lacp(row: &Row) -> Option<DesiredLacp> {
    let is_active = match row.text(table::LACP)? {
        "active" => true,
        "passive" => false,
        _ => return None,
    };
    let system = row.map_text(table::OTHER_CONFIG, "lacp-system-id").and_then(|text| text.parse().ok());
    Some(DesiredLacp {
        is_active,
        is_fast: row
            .map_text(table::OTHER_CONFIG, "lacp-time")
            .is_some_and(|text| text.eq_ignore_ascii_case("fast")),
        system: system.filter(|mac: &MacAddr| !mac.is_zero()),
        system_priority: number(row, table::OTHER_CONFIG, "lacp-system-priority"),
    })
}

impl Running {
    /// Has the protocols join a port's interfaces as its row asks for. Returns how several share the packets.
    pub(super) fn join(&self, bridge: &RunningBridge, port: &DesiredPort) -> Option<Arc<pipeline::Bond>> {
        let is_bond = port.interfaces.len() > 1;
        if !is_bond && port.lacp.is_none() {
            self.monitor.part(bridge.id, &port.name);
            return None;
        }
        let members = self.members(bridge, port);
        for number in members.keys() {
            let route =
                self.switch.read().get(bridge.id).and_then(|state| state.port_entry(*number)?.port.datapath);
            self.routes.set(PortId { bridge: bridge.id, port: *number }, bridge, route);
        }
        let lacp = port.lacp.as_ref().map(|lacp| lacp::Settings {
            is_active: lacp.is_active,
            is_fast: lacp.is_fast,
            falls_back: port.bond.falls_back,
            system: lacp.system.unwrap_or(bridge.mac),
            system_priority: lacp.system_priority.unwrap_or(if is_bond {
                PRIORITY_OF_SEVERAL
            } else {
                PRIORITY_OF_ONE
            }),
        });
        let bond = is_bond.then(|| port.bond.clone());
        self.monitor.join(bridge.id, Joined { name: port.name.clone(), lacp, bond, members })
    }

    fn members(&self, bridge: &RunningBridge, port: &DesiredPort) -> BTreeMap<OfPort, JoinedMember> {
        let switch = self.switch.read();
        let Some(state) = switch.get(bridge.id) else { return BTreeMap::new() };
        let working = port.interfaces.iter().filter_map(|interface| {
            let number = *bridge.interfaces.get(&interface.name)?.result.as_ref().ok()?;
            Some((number, member(state, number, interface)?))
        });
        working.collect()
    }

    /// Joins again those ports that tell neighbours the bridge's address.
    pub(super) fn join_again(&self) {
        for bridge in self.bridges.values() {
            let speaks = bridge.config.ports.iter().filter(|port| port.lacp.is_some());
            for port in speaks {
                self.join(bridge, port);
            }
        }
    }

    /// Tells the protocols of links that came up or went down.
    pub(super) fn follow_links(&self) {
        for bridge in self.bridges.values() {
            let joined =
                bridge.config.ports.iter().filter(|port| port.interfaces.len() > 1 || port.lacp.is_some());
            for port in joined {
                for (number, member) in self.members(bridge, port) {
                    let id = PortId { bridge: bridge.id, port: number };
                    self.monitor.set_link(id, member.interface.has_link);
                }
            }
        }
    }
}

fn member(state: &Bridge, number: OfPort, interface: &DesiredInterface) -> Option<JoinedMember> {
    let entry = state.port_entry(number)?;
    let wanted = &interface.lacp;
    let port_id = wanted.port_id.or(number.to_u16()).unwrap_or(0);
    Some(JoinedMember {
        interface: bond::MemberSettings {
            name: interface.name.clone(),
            mac: entry.desc.hw_addr,
            has_link: entry.port.has_link && !entry.port.flags.down,
        },
        lacp: lacp::MemberSettings {
            name: interface.name.clone(),
            port_id,
            port_priority: wanted.priority.unwrap_or(MEMBER_PRIORITY),
            key: wanted.key.unwrap_or(0),
        },
    })
}
