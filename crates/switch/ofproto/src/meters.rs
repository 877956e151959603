//! Meters: which there are, and by what numbers the datapath knows them.
//!
//! Rates are enforced by the datapath; whoever changes a meter here tells it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use base::Timestamp;
use ofp::{
    Action, FlowRemovedReason, MeterCommand, MeterConfig, MeterFeatures, MeterMod, OfError, meter_flag,
    meter_id,
};

use crate::bridge::Bridge;
use crate::entry::Entry;
use crate::flow_mod::Change;
use crate::meter::Meter;

/// The only kind of band that the datapath enforces: packets above the rate are dropped.
const BAND_DROP: u16 = 1;
/// As many as the datapath has room for.
const MAX_METERS: u32 = 200_000;
const MAX_BANDS: u8 = 8;
const KNOWN_FLAGS: u16 = meter_flag::KBPS | meter_flag::PKTPS | meter_flag::BURST | meter_flag::STATS;

/// The numbers by which the datapath knows meters.
#[derive(Debug, Default)]
pub struct MeterNumbers {
    taken: BTreeSet<u32>,
}

impl MeterNumbers {
    /// The least number that is free.
    pub fn take(&mut self) -> u32 {
        let mut number = 0;
        for &taken in &self.taken {
            if taken != number {
                break;
            }
            number += 1;
        }
        self.taken.insert(number);
        number
    }

    pub fn give_back(&mut self, number: u32) {
        self.taken.remove(&number);
    }
}

/// What a meter request asks of the datapath, and what went with it.
#[derive(Clone, Debug, Default)]
pub struct MeterChange {
    /// To be set up, or up again.
    pub set: Option<Meter>,
    /// To be removed.
    pub removed: Vec<Meter>,
    /// Rules that went with their meter.
    pub rules: Vec<Change>,
}

impl Bridge {
    /// Carries out `request`. On an error nothing has changed.
    pub fn meter_mod(
        &mut self,
        request: &MeterMod,
        numbers: &mut MeterNumbers,
        now: Timestamp,
    ) -> Result<MeterChange, OfError> {
        let id = request.config.meter;
        let known = self.meters.get(&id).cloned();
        match (request.command, known) {
            (MeterCommand::Delete, _) => Ok(self.delete_meters(id)),
            (_, _) if !is_meter_id(id) => Err(OfError::OfpmmfcInvalidMeter),
            (MeterCommand::Add, Some(_)) => Err(OfError::OfpmmfcMeterExists),
            (MeterCommand::Modify, None) => Err(OfError::OfpmmfcUnknownMeter),
            (_, known) => {
                check_config(&request.config)?;
                let (number, created) =
                    known.map_or_else(|| (numbers.take(), now), |old| (old.number, old.created));
                let meter = Meter { config: request.config.clone(), number, created };
                self.meters.insert(id, meter.clone());
                self.changed();
                Ok(MeterChange { set: Some(meter), ..MeterChange::default() })
            }
        }
    }

    fn delete_meters(&mut self, which: u32) -> MeterChange {
        let users = self.users_of_meters(which);
        let removed: BTreeMap<u32, Meter> = match which {
            meter_id::ALL => std::mem::take(&mut self.meters),
            one => self.meters.remove_entry(&one).into_iter().collect(),
        };
        if !removed.is_empty() {
            self.changed();
        }
        let rules = self.remove_entries(users.into_iter(), FlowRemovedReason::MeterDelete);
        MeterChange { set: None, removed: removed.into_values().collect(), rules }
    }

    /// The rules that name a meter of this number, which may be all.
    pub(crate) fn users_of_meters(&self, which: u32) -> Vec<Arc<Entry>> {
        let is_meant = |meter| (which == meter_id::ALL || which == meter) && self.meters.contains_key(&meter);
        if which != meter_id::ALL && !is_meant(which) {
            return Vec::new();
        }
        self.entries_that(|entry| uses_meter(&entry.rule.actions, &is_meant))
    }

    /// The meters behind the one of this number, in the order of their numbers.
    pub fn meters_after(&self, after: Option<u32>) -> impl Iterator<Item = &Meter> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.meters.range((from, Bound::Unbounded)).map(|(_, meter)| meter)
    }
}

/// Adds to `references` each meter that `actions` name.
pub fn count_meters(actions: &[Action], references: &mut HashMap<u32, u32>) {
    let mut named = BTreeSet::new();
    collect_meters(actions, &mut named);
    for meter in named {
        *references.entry(meter).or_default() += 1;
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
fn collect_meters(actions: &[Action], named: &mut BTreeSet<u32>) {
    for action in actions {
        match action {
            Action::Meter(meter) => _ = named.insert(*meter),
            other => collect_meters(other.nested(), named),
        }
    }
}

/// What meters can do, on every bridge.
pub fn meter_features() -> MeterFeatures {
    MeterFeatures {
        max_meters: MAX_METERS,
        band_types: 1 << BAND_DROP,
        capabilities: u32::from(KNOWN_FLAGS),
        max_bands: MAX_BANDS,
        max_color: 0,
    }
}

fn is_meter_id(id: u32) -> bool {
    (1..=MAX_METERS).contains(&id) || matches!(id, meter_id::SLOWPATH | meter_id::CONTROLLER)
}

fn check_config(config: &MeterConfig) -> Result<(), OfError> {
    if config.flags & !KNOWN_FLAGS != 0 {
        return Err(OfError::OfpmmfcBadFlags);
    }
    if config.bands.len() > usize::from(MAX_BANDS) {
        return Err(OfError::OfpmmfcOutOfBands);
    }
    if config.bands.iter().any(|band| band.kind != BAND_DROP) {
        return Err(OfError::OfpmmfcBadBand);
    }
    Ok(())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
fn uses_meter(actions: &[Action], is_meant: &impl Fn(u32) -> bool) -> bool {
    actions.iter().any(|action| match action {
        Action::Meter(meter) => is_meant(*meter),
        other => uses_meter(other.nested(), is_meant),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_free_number_is_taken() {
        let mut numbers = MeterNumbers::default();
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [0, 1, 2]);
        numbers.give_back(1);
        assert_eq!([numbers.take(), numbers.take()], [1, 3]);
    }

    #[test]
    fn flags_that_no_meter_has_are_refused() {
        let mut switch = crate::Switch::new();
        let bridge = switch.add_bridge("br0", dp::DpId(1), dp::Capabilities::ALL);
        let mut add = |flags| {
            let config = MeterConfig { meter: 1, flags, bands: Vec::new() };
            let request = MeterMod { command: MeterCommand::Add, config };
            let (state, numbers) = switch.get_with_meters(bridge).unwrap();
            state.meter_mod(&request, numbers, Timestamp::ZERO).map(|_| ())
        };
        assert_eq!(add(0x10 | meter_flag::KBPS), Err(OfError::OfpmmfcBadFlags));
        assert_eq!(add(meter_flag::PKTPS | meter_flag::BURST), Ok(()));
    }
}
