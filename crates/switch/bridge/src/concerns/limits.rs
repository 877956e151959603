//! What `Open_vSwitch.other_config` says of the whole switch: limits of flows, and whether packets are served yet.

use std::time::Duration;

use replica::Row;
use schema::open_vswitch;

use super::Concern;
use crate::columns::Columns;
use crate::desired::Desired;
use crate::running::Running;

/// What holds for all datapaths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DesiredLimits {
    /// The most megaflows (`flow-limit`).
    pub flow_limit: usize,
    /// How long a megaflow without packets stays (`max-idle`).
    pub max_idle: Duration,
    /// How often megaflows are looked through though nothing changed (`max-revalidator`).
    pub max_revalidator: Duration,
    /// How many VLAN tags of a packet are looked at (`vlan-limit`).
    pub max_vlans: usize,
    /// The kernel may forward packets of some flows itself (`hw-offload`).
    pub may_offload: bool,
    /// Rules are about to be restored: until then no packet is served (`flow-restore-wait`).
    pub awaits_rules: bool,
}

/// As many VLAN tags as switches looked at before they could look at more.
const DEFAULT_MAX_VLANS: usize = 1;

/// Less for `max-revalidator` counts as this.
const LEAST_MAX_REVALIDATOR: Duration = Duration::from_millis(100);

impl Default for DesiredLimits {
    fn default() -> DesiredLimits {
        DesiredLimits {
            flow_limit: flowsync::DEFAULT_FLOW_LIMIT,
            max_idle: flowsync::DEFAULT_MAX_IDLE,
            max_revalidator: flowsync::REVALIDATION_INTERVAL,
            max_vlans: DEFAULT_MAX_VLANS,
            may_offload: true,
            awaits_rules: false,
        }
    }
}

pub(crate) fn desire(root: &Row) -> DesiredLimits {
    let number = |key| root.map_number(open_vswitch::OTHER_CONFIG, key);
    let default = DesiredLimits::default();
    DesiredLimits {
        flow_limit: number("flow-limit").map_or(default.flow_limit, |n| n as usize),
        max_idle: number("max-idle").map_or(default.max_idle, Duration::from_millis),
        max_revalidator: number("max-revalidator")
            .map_or(default.max_revalidator, |ms| Duration::from_millis(ms).max(LEAST_MAX_REVALIDATOR)),
        max_vlans: match number("vlan-limit") {
            None => default.max_vlans,
            Some(0) => usize::MAX,
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        },
        may_offload: root
            .map_boolean(open_vswitch::OTHER_CONFIG, "hw-offload")
            .unwrap_or(default.may_offload),
        awaits_rules: root.map_boolean(open_vswitch::OTHER_CONFIG, "flow-restore-wait").unwrap_or(false),
    }
}

pub(crate) struct Limits;

impl Concern for Limits {
    /// Before there are ports, so that no packet comes before the rules.
    fn prepare(&self, running: &mut Running, desired: &Desired) {
        let limits = desired.limits;
        if running.limits.awaits_rules != limits.awaits_rules {
            let change = if limits.awaits_rules { "begins" } else { "ends" };
            log::info!(target: "bridge", "flow-restore-wait {change}");
            running.datapaths.serve(!limits.awaits_rules);
        }
        running.datapaths.set_limits(flowsync::Bounds {
            flow_limit: limits.flow_limit,
            max_idle: limits.max_idle,
            interval: limits.max_revalidator,
        });
        running.datapaths.set_max_vlans(limits.max_vlans);
        running.datapaths.set_offload(limits.may_offload);
        running.limits = limits;
    }
}
