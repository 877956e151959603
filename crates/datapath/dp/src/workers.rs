//! Who does a datapath's work: threads ("workers"), and the queues of ports that each takes packets from.
//!
//! Operators know them as PMD threads and receive queues: `pmd-cpu-mask`, `dpif-netdev/pmd-rxq-show`.

use std::collections::BTreeMap;
use std::time::Duration;

use base::DpPort;

/// How queues are shared among workers (`other_config:pmd-rxq-assign`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Assignment {
    /// In turn.
    RoundRobin,
    /// The busiest queues first, to the workers up and down.
    #[default]
    Cycles,
    /// The busiest queues first, each to the worker that has the least to do.
    Group,
}

impl Assignment {
    /// As the database has it.
    pub fn name(self) -> &'static str {
        match self {
            Assignment::RoundRobin => "roundrobin",
            Assignment::Cycles => "cycles",
            Assignment::Group => "group",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Assignment> {
        [Assignment::RoundRobin, Assignment::Cycles, Assignment::Group]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// How long workers may sleep (`other_config:pmd-sleep-max`), in microseconds.
///
/// A worker that may sleep does so until packets come. One that may not polls without rest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SleepLimits {
    /// Of workers that none is given for. `None`: nobody has said anything, and they may sleep.
    pub default_us: Option<u64>,
    /// Of single workers, by the number of their processor.
    pub by_core: BTreeMap<u32, u64>,
}

impl SleepLimits {
    /// The limit of the worker of this processor, if anybody has set one.
    pub fn of_core(&self, core: u32) -> Option<u64> {
        self.by_core.get(&core).copied().or(self.default_us)
    }
}

/// Sharing queues anew by itself when workers are overloaded (`other_config:pmd-auto-lb*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AutoBalance {
    /// Whether it is done at all.
    pub is_on: bool,
    /// How often it is looked whether it would help.
    pub interval: Duration,
    /// How much a worker must have to do, in percent.
    pub load_threshold: u8,
    /// By how much the variance of what workers have to do must fall, in percent.
    pub improvement_threshold: u8,
}

impl Default for AutoBalance {
    fn default() -> AutoBalance {
        AutoBalance {
            is_on: false,
            interval: Duration::from_secs(60),
            load_threshold: 95,
            improvement_threshold: 25,
        }
    }
}

/// What holds for the workers of a datapath.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerSettings {
    /// The processors that shall have one each, as a hexadecimal mask (`other_config:pmd-cpu-mask`). `None`: as many as suit
    /// the machine, which may change processors.
    pub cpu_mask: Option<String>,
    /// How queues are shared.
    pub assignment: Assignment,
    /// A worker to which a queue is pinned has no others (`other_config:pmd-rxq-isolate`).
    pub isolates: bool,
    /// How long workers may sleep.
    pub sleep: SleepLimits,
    /// Sharing queues anew.
    pub balance: AutoBalance,
}

impl Default for WorkerSettings {
    fn default() -> WorkerSettings {
        WorkerSettings {
            cpu_mask: None,
            assignment: Assignment::default(),
            isolates: true,
            sleep: SleepLimits::default(),
            balance: AutoBalance::default(),
        }
    }
}

/// A datapath's workers, for whoever sets them up or shows them.
pub trait Workers {
    /// Brings settings into force. Queues that pass from one worker to another lose no packet and change no order.
    fn set_up(&self, settings: &WorkerSettings);

    /// Pins queues of a port to processors, and unpins the others; pairs of queue and processor.
    fn pin(&self, port: DpPort, queues: &[(u32, u32)]);

    /// Shares the queues anew.
    fn rebalance(&self);

    /// Does what time asks for: to be called several times a second.
    fn tick(&self);

    /// The workers and their queues, by the number of their processors. What they were busy with is summed up over so many
    /// of the last intervals of [`LOAD_INTERVAL`].
    fn workers(&self, intervals: usize) -> Vec<WorkerInfo>;

    /// What the worker of this processor has done, since it was asked to forget it; `None`: all threads but workers.
    fn performance(&self, core: Option<u32>) -> Option<Performance>;

    /// Forgets what the worker of this processor has done; `None`: all threads but workers.
    fn clear_performance(&self, core: Option<u32>);

    /// The limit that holds for workers which none is given for.
    fn default_max_sleep_us(&self) -> u64;
}

/// The time for which it is known what a worker was busy with.
pub const LOAD_INTERVAL: Duration = Duration::from_secs(5);
/// How many such intervals are remembered.
pub const LOAD_INTERVALS: usize = 12;

/// A worker as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorkerInfo {
    /// The processor that it was made for.
    pub core: u32,
    /// The memory node of that one.
    pub numa: u32,
    /// Only queues that are pinned to it are its.
    pub is_isolated: bool,
    /// How long it may sleep at a time.
    pub max_sleep_us: u64,
    /// Its queues, by name of port and number.
    pub queues: Vec<QueueInfo>,
    /// The time that the intervals asked for last; `None` before the first one has ended.
    pub time: Option<Duration>,
    /// How much of it was spent with packets, and around them.
    pub busy: Duration,
}

/// A queue of a worker.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueueInfo {
    /// Name of its port.
    pub port: String,
    /// Number among the port's queues.
    pub queue: u32,
    /// Time spent with its packets.
    pub busy: Duration,
}

/// What a thread has done. Times are in nanoseconds, which are shown as cycles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Performance {
    /// For how long it has been counted, by the clock.
    pub duration: Duration,
    /// Rounds over the queues without packets, and with packets.
    pub idle_iterations: u64,
    /// See above.
    pub busy_iterations: u64,
    /// Time spent with these.
    pub idle_ns: u64,
    /// See above.
    pub busy_ns: u64,
    /// How often and how long it slept.
    pub sleeps: u64,
    /// See above.
    pub sleep_ns: u64,
    /// Packets received.
    pub received: u64,
    /// Packets that were looked up again.
    pub recirculated: u64,
    /// Packets found in the cache in front of the table.
    pub cache_hits: u64,
    /// Packets found in the table, and how many masks were asked for them.
    pub table_hits: u64,
    /// See above.
    pub subtables: u64,
    /// Packets that had to be translated, and the time that took.
    pub missed: u64,
    /// See above.
    pub miss_ns: u64,
    /// Packets that nobody translated.
    pub lost: u64,
    /// Packets sent, and in how many batches.
    pub sent: u64,
    /// See above.
    pub batches: u64,
}

impl Performance {
    /// What was done since `before`, which was so long ago.
    pub fn since(&self, before: &Performance, duration: Duration) -> Performance {
        Performance {
            duration,
            idle_iterations: self.idle_iterations.saturating_sub(before.idle_iterations),
            busy_iterations: self.busy_iterations.saturating_sub(before.busy_iterations),
            idle_ns: self.idle_ns.saturating_sub(before.idle_ns),
            busy_ns: self.busy_ns.saturating_sub(before.busy_ns),
            sleeps: self.sleeps.saturating_sub(before.sleeps),
            sleep_ns: self.sleep_ns.saturating_sub(before.sleep_ns),
            received: self.received.saturating_sub(before.received),
            recirculated: self.recirculated.saturating_sub(before.recirculated),
            cache_hits: self.cache_hits.saturating_sub(before.cache_hits),
            table_hits: self.table_hits.saturating_sub(before.table_hits),
            subtables: self.subtables.saturating_sub(before.subtables),
            missed: self.missed.saturating_sub(before.missed),
            miss_ns: self.miss_ns.saturating_sub(before.miss_ns),
            lost: self.lost.saturating_sub(before.lost),
            sent: self.sent.saturating_sub(before.sent),
            batches: self.batches.saturating_sub(before.batches),
        }
    }
}
