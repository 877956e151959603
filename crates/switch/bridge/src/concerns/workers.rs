//! The threads that forward: what `Open_vSwitch.other_config` says of all (`pmd-*`), and rows of interfaces of the queues of
//! their devices.

use std::time::Duration;

use dp::{Assignment, AutoBalance, SleepLimits, WorkerSettings};
use replica::Row;
use schema::{interface, open_vswitch};

use super::{Concern, Pass};
use crate::columns::Columns;
use crate::desired::Desired;
use crate::running::Running;

/// What holds for them, and what is wrong with what is said of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredWorkers {
    /// See there.
    pub settings: WorkerSettings,
    /// For the log.
    pub warnings: Vec<&'static str>,
}

const MINUTE: Duration = Duration::from_secs(60);
/// The most minutes between two looks at how even loads are.
const MAX_INTERVAL: u64 = 20_000;
/// A worker does not sleep longer at a time, in microseconds.
const MAX_SLEEP: u64 = 10_000;

pub(crate) fn desire(root: &Row) -> DesiredWorkers {
    let text = |key| root.map_text(open_vswitch::OTHER_CONFIG, key);
    let flag = |key| root.map_boolean(open_vswitch::OTHER_CONFIG, key);
    let mut warnings = Vec::new();
    let assignment = match text("pmd-rxq-assign") {
        None => Assignment::default(),
        Some(name) => Assignment::named(name).unwrap_or_else(|| {
            warnings.push(
                "Unsupported rx queue to PMD assignment mode in pmd-rxq-assign. Defaulting to 'cycles'.",
            );
            Assignment::Cycles
        }),
    };
    let mut isolates = flag("pmd-rxq-isolate").unwrap_or(true);
    if !isolates && assignment != Assignment::Group {
        warnings.push("pmd-rxq-isolate can only be set false when using pmd-rxq-assign=group");
        isolates = true;
    }
    let sleep = match (text("pmd-sleep-max"), root.map_number(open_vswitch::OTHER_CONFIG, "pmd-maxsleep")) {
        (Some(list), _) => parse_sleep(list),
        (None, Some(limit)) => {
            warnings.push("pmd-maxsleep is deprecated. Please use pmd-sleep-max instead.");
            SleepLimits { default_us: Some(limit.min(MAX_SLEEP)), ..SleepLimits::default() }
        }
        (None, None) => SleepLimits::default(),
    };
    let cpu_mask = text("pmd-cpu-mask").map(str::to_owned);
    let settings = WorkerSettings { cpu_mask, assignment, isolates, sleep, balance: desire_balance(root) };
    DesiredWorkers { settings, warnings }
}

fn desire_balance(root: &Row) -> AutoBalance {
    let number = |key| root.map_number(open_vswitch::OTHER_CONFIG, key);
    let default = AutoBalance::default();
    let percent = |key, default| {
        number(key).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= 100).unwrap_or(default)
    };
    let minutes = number("pmd-auto-lb-rebal-interval").filter(|minutes| *minutes <= MAX_INTERVAL);
    AutoBalance {
        is_on: root.map_boolean(open_vswitch::OTHER_CONFIG, "pmd-auto-lb").unwrap_or(default.is_on),
        interval: minutes.map_or(default.interval, |minutes| MINUTE * minutes.max(1) as u32),
        load_threshold: percent("pmd-auto-lb-load-threshold", default.load_threshold),
        improvement_threshold: percent("pmd-auto-lb-improvement-threshold", default.improvement_threshold),
    }
}

/// The words of a list whose items are a key each, or a key and a value.
fn items(list: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let words = list.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
    words.map(|word| word.split_once([':', '=']).map_or((word, None), |(key, value)| (key, Some(value))))
}

/// Microseconds for all, and processors with microseconds of their own: `50,3:300`. What is no number is passed over.
fn parse_sleep(list: &str) -> SleepLimits {
    let mut limits = SleepLimits { default_us: Some(0), ..SleepLimits::default() };
    for (key, value) in items(list) {
        match (key.parse::<u64>(), value.map(str::parse::<u64>)) {
            (Ok(limit), None) => limits.default_us = Some(limit.min(MAX_SLEEP)),
            (Ok(core), Some(Ok(limit))) => {
                if let Ok(core) = u32::try_from(core) {
                    limits.by_core.insert(core, limit.min(MAX_SLEEP));
                }
            }
            (Err(_), _) | (Ok(_), Some(Err(_))) => {}
        }
    }
    limits
}

/// Queues and processors (`pmd-rxq-affinity`): `0:3,1:7`. One mistake, and none is pinned.
pub(crate) fn desire_pinned(row: &Row) -> Vec<(u32, u32)> {
    row.map_text(interface::OTHER_CONFIG, "pmd-rxq-affinity").map(parse_pinned).unwrap_or_default()
}

fn parse_pinned(list: &str) -> Vec<(u32, u32)> {
    let pair = |(key, value): (&str, Option<&str>)| Some((key.parse().ok()?, value?.parse().ok()?));
    items(list).map(pair).collect::<Option<_>>().unwrap_or_default()
}

pub(crate) struct Workers;

impl Concern for Workers {
    /// Before there are ports, so that these come to where they belong.
    fn prepare(&self, running: &mut Running, desired: &Desired) {
        if running.workers == desired.workers {
            return;
        }
        running.workers = desired.workers.clone();
        for warning in &running.workers.warnings {
            log::warn!(target: "dpif_netdev", "{warning}");
        }
        running.datapaths.set_workers(&running.workers.settings);
    }

    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let Some(bridge) = running.bridges.get(&pass.config.name) else { return };
        let Some(workers) = bridge.below.datapath.workers() else { return };
        for interface in pass.changed.iter().flat_map(|port| &port.interfaces) {
            let known = bridge.interfaces.get(&interface.name);
            let Some(&number) = known.and_then(|known| known.result.as_ref().ok()) else { continue };
            let port = {
                let switch = running.switch.read();
                let entry = switch.get(bridge.id).and_then(|state| state.port_entry(number));
                entry.and_then(|entry| entry.port.datapath)
            };
            if let Some(port) = port {
                workers.pin(port, &interface.pinned);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_limited_for_all_or_by_processor() {
        let of = |list| {
            let limits = parse_sleep(list);
            (limits.default_us, limits.by_core.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(of("10001"), (Some(10_000), vec![]));
        assert_eq!(of("3:400,200"), (Some(200), vec![(3, 400)]));
        assert_eq!(of("3:300,0:100,5:400"), (Some(0), vec![(0, 100), (3, 300), (5, 400)]));
        assert_eq!(of("qwe"), (Some(0), vec![]));
        assert_eq!(of("50,1:qwe,2:0"), (Some(50), vec![(2, 0)]));
    }

    #[test]
    fn queues_are_pinned_in_pairs() {
        assert_eq!(parse_pinned("0:3,1:7"), [(0, 3), (1, 7)]);
        assert_eq!(parse_pinned("0:3,1"), []);
        assert_eq!(parse_pinned("0:3,x:1"), []);
    }
}
