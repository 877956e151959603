//! Listings of ports, groups, meters and tables, a few rows at a time.

use std::collections::HashMap;

use base::{OfPort, TableId};
use ofp::{Message, MeterStats, ReplyParts};
use ofproto::Walk;
use pipeline::BridgeId;

use crate::manager::Manager;
use crate::replies::{RULES, Rows};
use crate::statistics;

/// How many rows a part has at most; features of tables are long, and devices take their time to answer.
const ROWS: usize = 64;
const FEATURES: u8 = 64;

/// Which numbers a listing is about, and how far it has come.
#[derive(Debug)]
struct Numbers {
    only: Option<u32>,
    after: Option<u32>,
}

impl Numbers {
    /// `all` is the number that stands for all of them.
    fn new(which: u32, all: u32) -> Numbers {
        let only = (which != all).then_some(which);
        Numbers { only, after: only.and_then(|number| number.checked_sub(1)) }
    }

    /// Takes the next of `rows`, which begin behind [`Numbers::after`]; and whether there may be more.
    fn take<T>(&mut self, rows: impl Iterator<Item = T>, number: impl Fn(&T) -> u32) -> (Vec<T>, bool) {
        let count = if self.only.is_some() { 1 } else { ROWS };
        let mut rows: Vec<T> = rows.take(count).collect();
        let more = self.only.is_none() && rows.len() == count;
        if let Some(only) = self.only {
            rows.retain(|row| number(row) == only);
        }
        self.after = rows.last().map(&number).or(self.after);
        (rows, more)
    }
}

/// How many rules name each group or meter, which takes a walk through all of them.
#[derive(Debug)]
struct References {
    walk: Walk,
    count: fn(&[ofp::Action], &mut HashMap<u32, u32>),
    found: HashMap<u32, u32>,
}

impl References {
    fn new(count: fn(&[ofp::Action], &mut HashMap<u32, u32>)) -> References {
        References { walk: Walk::through(TableId::ALL), count, found: HashMap::new() }
    }

    /// Goes on; returns whether all rules are counted.
    fn are_known(&mut self, manager: &Manager, bridge: BridgeId) -> bool {
        if self.walk.is_done() {
            return true;
        }
        let switch = manager.switch.survey();
        let Some(state) = switch.get(bridge) else { return true };
        let (count, found) = (self.count, &mut self.found);
        state.walk(&mut self.walk, RULES, |entry| count(&entry.rule.actions, found));
        self.walk.is_done()
    }

    fn of(&self, number: u32) -> u32 {
        self.found.get(&number).copied().unwrap_or(0)
    }
}

/// Ports: what they counted, or what they are.
#[derive(Debug)]
pub(crate) struct PortRows {
    numbers: Numbers,
    has_statistics: bool,
}

impl PortRows {
    pub(crate) fn statistics(which: OfPort) -> PortRows {
        PortRows { numbers: Numbers::new(which.0, OfPort::ANY.0), has_statistics: true }
    }

    pub(crate) fn descriptions(which: OfPort) -> PortRows {
        PortRows { has_statistics: false, ..PortRows::statistics(which) }
    }
}

impl Rows for PortRows {
    fn empty(&self) -> Message {
        if self.has_statistics {
            Message::PortStatsReply(Vec::new())
        } else {
            Message::PortDescReply(Vec::new())
        }
    }

    fn next(&mut self, manager: &mut Manager, bridge: BridgeId, parts: &mut ReplyParts) -> bool {
        let now = manager.clock.now();
        let Some(below) = manager.below(bridge) else { return false };
        let (entries, more): (Vec<ofproto::PortEntry>, bool) = {
            let switch = manager.switch.read();
            let Some(state) = switch.get(bridge) else { return false };
            let after = self.numbers.after.map(OfPort);
            let (entries, more) =
                self.numbers.take(state.port_entries_after(after), |entry| entry.port.number.0);
            (entries.into_iter().cloned().collect(), more)
        };
        // Devices are asked without the lock.
        for entry in entries {
            parts.add(&if self.has_statistics {
                Message::PortStatsReply(vec![statistics::port_stats(&entry, &*below.datapath, now)])
            } else {
                Message::PortDescReply(vec![entry.desc])
            });
        }
        more
    }
}

/// Groups: what they counted, or what they are.
#[derive(Debug)]
pub(crate) struct GroupRows {
    numbers: Numbers,
    references: Option<References>,
}

impl GroupRows {
    pub(crate) fn statistics(which: u32) -> GroupRows {
        let references = Some(References::new(ofproto::count_groups));
        GroupRows { numbers: Numbers::new(which, ofp::GROUP_ALL), references }
    }

    pub(crate) fn descriptions(which: u32) -> GroupRows {
        GroupRows { numbers: Numbers::new(which, ofp::GROUP_ALL), references: None }
    }
}

impl Rows for GroupRows {
    fn empty(&self) -> Message {
        match self.references {
            Some(_) => Message::GroupStatsReply(Vec::new()),
            None => Message::GroupDescReply(Vec::new()),
        }
    }

    fn next(&mut self, manager: &mut Manager, bridge: BridgeId, parts: &mut ReplyParts) -> bool {
        if self.references.as_mut().is_some_and(|references| !references.are_known(manager, bridge)) {
            return true;
        }
        let now = manager.clock.now();
        let switch = manager.switch.read();
        let Some(state) = switch.get(bridge) else { return false };
        let after = self.numbers.after;
        let (groups, more) = self.numbers.take(state.groups_after(after), |group| group.id);
        for group in groups {
            parts.add(&match &self.references {
                Some(references) => {
                    Message::GroupStatsReply(vec![ofproto::group_stats(group, references.of(group.id), now)])
                }
                None => Message::GroupDescReply(vec![ofproto::group_desc(group)]),
            });
        }
        more
    }
}

/// Meters: what they counted, or how they are configured.
#[derive(Debug)]
pub(crate) struct MeterRows {
    numbers: Numbers,
    references: Option<References>,
}

impl MeterRows {
    pub(crate) fn statistics(which: u32) -> MeterRows {
        let references = Some(References::new(ofproto::count_meters));
        MeterRows { numbers: Numbers::new(which, ofp::meter_id::ALL), references }
    }

    pub(crate) fn configurations(which: u32) -> MeterRows {
        MeterRows { numbers: Numbers::new(which, ofp::meter_id::ALL), references: None }
    }
}

impl Rows for MeterRows {
    fn empty(&self) -> Message {
        match self.references {
            Some(_) => Message::MeterStatsReply(Vec::new()),
            None => Message::MeterConfigReply(Vec::new()),
        }
    }

    fn next(&mut self, manager: &mut Manager, bridge: BridgeId, parts: &mut ReplyParts) -> bool {
        if self.references.as_mut().is_some_and(|references| !references.are_known(manager, bridge)) {
            return true;
        }
        let now = manager.clock.now();
        let Some(below) = manager.below(bridge) else { return false };
        let switch = manager.switch.read();
        let Some(state) = switch.get(bridge) else { return false };
        let after = self.numbers.after;
        let (meters, more) = self.numbers.take(state.meters_after(after), |meter| meter.config.meter);
        for meter in meters {
            let Some(references) = &self.references else {
                parts.add(&Message::MeterConfigReply(vec![meter.config.clone()]));
                continue;
            };
            let age = now - meter.created;
            let counted = below.datapath.meter_stats(meter.number).unwrap_or_default();
            parts.add(&Message::MeterStatsReply(vec![MeterStats {
                meter: meter.config.meter,
                flow_count: references.of(meter.config.meter),
                packet_in_count: counted.packets_in,
                byte_in_count: counted.bytes_in,
                duration_sec: u32::try_from(age.as_secs()).unwrap_or(u32::MAX),
                duration_nsec: age.subsec_millis() * 1_000_000,
                bands: counted.bands,
            }]));
        }
        more
    }
}

/// What the tables can do.
#[derive(Debug, Default)]
pub(crate) struct FeatureRows {
    next: u8,
}

impl Rows for FeatureRows {
    fn empty(&self) -> Message {
        Message::TableFeaturesReply(Vec::new())
    }

    fn next(&mut self, manager: &mut Manager, bridge: BridgeId, parts: &mut ReplyParts) -> bool {
        let switch = manager.switch.read();
        let Some(state) = switch.get(bridge) else { return false };
        let end = self.next.saturating_add(FEATURES).min(crate::TABLES);
        for features in statistics::table_features(state, self.next..end) {
            parts.add_features(&features);
        }
        self.next = end;
        end < crate::TABLES
    }
}
