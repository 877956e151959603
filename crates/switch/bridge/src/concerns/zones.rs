//! Zones of connection tracking: how many connections each may have, and how long connections live without packets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use conntrack::Stage;
use dp::DpId;
use log::Level;
use model::Atom;
use replica::{Row, Tables};
use schema::{ct_timeout_policy, ct_zone, datapath, open_vswitch};

use super::Concern;
use crate::desired::Desired;
use crate::running::Running;

/// Seconds for stages of connections.
type Timeouts = BTreeMap<&'static str, u32>;

/// What holds for the connections of a datapath.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredZones {
    /// Connections of each zone that has no limit of its own.
    pub default_limit: Option<u32>,
    /// Connections of a zone.
    pub limits: BTreeMap<u16, u32>,
    /// Seconds of a zone, by the names of the database.
    pub timeouts: BTreeMap<u16, Timeouts>,
}

/// What the rows of datapaths ask for, by the kind of the datapath.
pub(crate) fn desire(
    rows: &Tables,
    root: &Row,
    complaints: &mut Vec<(Level, String)>,
) -> BTreeMap<String, DesiredZones> {
    let mut all = BTreeMap::new();
    for (kind, uuid) in root.get(open_vswitch::DATAPATHS).entries() {
        let uuid = uuid.and_then(Atom::as_uuid);
        let row = uuid.and_then(|uuid| rows.row(datapath::NAME_OF_TABLE, &uuid));
        if let (Some(kind), Some(row)) = (kind.as_str(), row) {
            all.insert(kind.to_owned(), desire_zones(rows, row, complaints));
        }
    }
    all
}

fn desire_zones(rows: &Tables, row: &Row, complaints: &mut Vec<(Level, String)>) -> DesiredZones {
    let mut desired = DesiredZones {
        default_limit: row.integer(datapath::CT_ZONE_DEFAULT_LIMIT).map(|limit| limit as u32),
        ..DesiredZones::default()
    };
    for (zone, uuid) in row.get(datapath::CT_ZONES).entries() {
        let zone = zone.as_integer().and_then(|zone| u16::try_from(zone).ok());
        let uuid = uuid.and_then(Atom::as_uuid);
        let row = uuid.and_then(|uuid| rows.row(ct_zone::NAME_OF_TABLE, &uuid));
        let (Some(zone), Some(row)) = (zone, row) else { continue };
        if let Some(limit) = row.integer(ct_zone::LIMIT) {
            desired.limits.insert(zone, limit as u32);
        }
        let policy = row.references(ct_zone::TIMEOUT_POLICY).next();
        let policy = policy.and_then(|uuid| rows.row(ct_timeout_policy::NAME_OF_TABLE, &uuid));
        let timeouts = policy.map(|row| timeouts(row, zone, complaints)).unwrap_or_default();
        if !timeouts.is_empty() {
            desired.timeouts.insert(zone, timeouts);
        }
    }
    desired
}

fn timeouts(row: &Row, zone: u16, complaints: &mut Vec<(Level, String)>) -> Timeouts {
    let mut timeouts = Timeouts::new();
    for (name, seconds) in row.get(ct_timeout_policy::TIMEOUTS).entries() {
        let (Some(name), Some(seconds)) = (name.as_str(), seconds.and_then(Atom::as_integer)) else {
            continue;
        };
        match Stage::ALL.iter().find(|stage| stage.name() == name) {
            Some(stage) => _ = timeouts.insert(stage.name(), seconds as u32),
            None => complaints.push((
                Level::Info,
                format!("timeout policy of zone {zone}: {name} has no effect on this switch"),
            )),
        }
    }
    timeouts
}

/// What holds for a datapath's connections now.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunningZones {
    applied: DesiredZones,
    /// The policies by the names that the datapath has for them, which are numbers.
    policies: HashMap<Timeouts, u32>,
    last_number: u32,
    by_zone: Arc<BTreeMap<u16, Box<str>>>,
}

impl RunningZones {
    fn apply(&mut self, desired: &DesiredZones, tracker: &conntrack::Tracker) {
        if self.applied == *desired {
            return;
        }
        let old = std::mem::replace(&mut self.applied, desired.clone());
        tracker.protect_limits(desired.default_limit.is_some() || !desired.limits.is_empty());
        if old.default_limit != desired.default_limit {
            tracker.set_limit(None, desired.default_limit.unwrap_or_default());
        }
        for zone in old.limits.keys().filter(|zone| !desired.limits.contains_key(zone)) {
            tracker.remove_limit(Some(*zone));
        }
        for (zone, limit) in &desired.limits {
            if old.limits.get(zone) != Some(limit) {
                tracker.set_limit(Some(*zone), *limit);
            }
        }
        if old.timeouts != desired.timeouts {
            self.apply_timeouts(tracker);
        }
    }

    /// Zones with the same timeouts share a policy.
    fn apply_timeouts(&mut self, tracker: &conntrack::Tracker) {
        let wanted: BTreeSet<&Timeouts> = self.applied.timeouts.values().collect();
        for timeouts in &wanted {
            if self.policies.contains_key(*timeouts) {
                continue;
            }
            self.last_number += 1;
            self.policies.insert((*timeouts).clone(), self.last_number);
            let seconds = Stage::ALL.iter().filter_map(|stage| Some((*stage, *timeouts.get(stage.name())?)));
            tracker.set_policy(&self.last_number.to_string(), Some(&seconds.collect::<Vec<_>>()));
        }
        self.policies.retain(|timeouts, number| {
            let is_used = wanted.contains(timeouts);
            if !is_used {
                tracker.set_policy(&number.to_string(), None);
            }
            is_used
        });
        let name = |timeouts| self.policies.get(timeouts).map(|number| number.to_string().into_boxed_str());
        let by_zone =
            self.applied.timeouts.iter().filter_map(|(zone, timeouts)| Some((*zone, name(timeouts)?)));
        self.by_zone = Arc::new(by_zone.collect());
    }
}

pub(crate) struct Zones;

impl Concern for Zones {
    fn finish(&self, running: &mut Running, desired: &Desired) {
        let none = DesiredZones::default();
        let mut zones: HashMap<DpId, RunningZones> = HashMap::new();
        let mut names = Vec::new();
        for bridge in running.bridges().values() {
            let id = bridge.below.id;
            let kind = bridge.config.datapath_kind();
            let wanted = desired.zones.get(kind);
            let Some(tracker) = bridge.below.datapath.connections() else {
                if wanted.is_some_and(|wanted| *wanted != none) {
                    log::warn!(target: "bridge", "datapath {kind}: zones have no effect, as it tracks no connections");
                }
                continue;
            };
            // Two kinds may be one datapath: what one of them says holds.
            let known =
                zones.entry(id).or_insert_with(|| running.zones.get(&id).cloned().unwrap_or_default());
            if let Some(wanted) = wanted {
                known.apply(wanted, tracker);
            }
            names.push((bridge.id, Arc::clone(&known.by_zone)));
        }
        running.zones = zones;
        let mut switch = running.switch.write();
        for (id, policies) in names {
            if let Some(bridge) = switch.get_mut(id) {
                bridge.set_timeout_policies(policies);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_with_the_same_timeouts_share_a_policy_and_what_is_not_asked_for_goes() {
        let tracker = conntrack::Tracker::new(1);
        let mut zones = RunningZones::default();
        let short = Timeouts::from([("udp_first", 5)]);
        let mut desired = DesiredZones {
            default_limit: Some(10),
            limits: BTreeMap::from([(1, 5)]),
            timeouts: BTreeMap::from([
                (1, short.clone()),
                (2, short),
                (3, Timeouts::from([("udp_first", 7)])),
            ]),
        };
        zones.apply(&desired, &tracker);
        assert_eq!(zones.by_zone.get(&1), zones.by_zone.get(&2));
        assert_ne!(zones.by_zone.get(&1), zones.by_zone.get(&3));
        assert!(tracker.limits_are_protected());
        let limits = |tracker: &conntrack::Tracker| -> Vec<(Option<u16>, u32)> {
            tracker.limits(&[]).iter().map(|limit| (limit.zone, limit.limit)).collect()
        };
        assert_eq!(limits(&tracker), [(None, 10), (Some(1), 5)]);
        desired = DesiredZones {
            timeouts: BTreeMap::from([(3, Timeouts::from([("udp_first", 7)]))]),
            ..DesiredZones::default()
        };
        let third = zones.by_zone.get(&3).cloned();
        zones.apply(&desired, &tracker);
        assert_eq!((zones.by_zone.len(), zones.by_zone.get(&3).cloned()), (1, third));
        assert!(!tracker.limits_are_protected());
        assert_eq!(limits(&tracker), [(None, 0)]);
    }
}
