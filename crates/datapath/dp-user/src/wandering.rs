//! When a worker changes its processor: when it has to wait for it, because others are busy there, and another one idles.
//!
//! The kernel would move such a thread by itself, at any moment. Then frames that it has sent wait on the processor that it
//! left, and those behind them overtake. So a worker stays where it is until it is told to go elsewhere, and goes when
//! nothing is left behind ([`crate::softirq`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::part::Part;
use crate::processors;
use crate::seat::Core;

/// How often workers are looked at while they have much to do.
const INTERVAL: Duration = Duration::from_millis(300);
/// A worker that waited for more than this part of the time would like to go.
const WAITED_PERCENT: u32 = 25;
/// A processor that idled for more than this part of it is worth going to.
const IDLE_PERCENT: u32 = 50;
/// How long a worker stays at least where it went.
const STAY: Duration = Duration::from_secs(1);
/// In one of these the kernel counts how long processors idle.
const TICK: Duration = Duration::from_millis(10);

/// What is known of workers and processors.
#[derive(Default)]
pub(crate) struct Wandering {
    looked: Option<Instant>,
    /// How long each worker has waited for a processor, ever, and when it went somewhere last.
    waited: BTreeMap<Core, Waited>,
    /// How long processors have idled; known only after some worker had to wait.
    idled: Option<(Instant, BTreeMap<Core, Duration>)>,
}

struct Waited {
    total: Duration,
    moved: Option<Instant>,
}

impl Wandering {
    /// Looks at the workers that may change their processor, and tells those that should.
    pub(crate) fn look(&mut self, workers: &[Arc<Part>], now: Instant) {
        let elapsed = match self.looked {
            Some(looked) if now - looked < INTERVAL => return,
            Some(looked) => now - looked,
            None => Duration::ZERO,
        };
        self.looked = Some(now);
        let mut unhappy = Vec::new();
        for worker in workers.iter().filter(|worker| worker.may_wander()) {
            let Some(total) = worker.thread_id().and_then(waited) else { continue };
            let known = self.waited.entry(worker.core()).or_insert(Waited { total, moved: None });
            let lately = total.saturating_sub(std::mem::replace(&mut known.total, total));
            let has_stayed = known.moved.is_none_or(|moved| now - moved >= STAY);
            if has_stayed && elapsed > Duration::ZERO && lately * 100 >= elapsed * WAITED_PERCENT {
                unhappy.push(worker);
            }
        }
        if unhappy.is_empty() {
            self.idled = None;
            return;
        }
        let idled = std::fs::read_to_string("/proc/stat").map(|table| idle_times(&table)).unwrap_or_default();
        let before = self.idled.replace((now, idled));
        let (Some((since, before)), Some((_, idled))) = (before, &self.idled) else { return };
        let mut free = idle_processors(&before, idled, now - since, &processors::allowed());
        free.retain(|core| !workers.iter().any(|worker| worker.is_active() && worker.place() == *core));
        for (worker, core) in unhappy.into_iter().zip(free) {
            log::debug!(
                target: "dpif_netdev",
                "worker {}: processor {} is busy with others, goes to {core}",
                worker.core(),
                worker.place()
            );
            worker.go_to(core);
            if let Some(known) = self.waited.get_mut(&worker.core()) {
                known.moved = Some(now);
            }
        }
        self.idled = None;
    }
}

/// How long a thread has waited for a processor, ever.
fn waited(thread: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// How long each processor has idled, by the lines of /proc/stat.
fn idle_times(table: &str) -> BTreeMap<Core, Duration> {
    let of_line = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
        let core = words.next()?.parse().ok()?;
        let ticks: u32 = words.nth(3)?.parse::<u64>().ok()?.try_into().unwrap_or(u32::MAX);
        Some((core, TICK * ticks))
    };
    table.lines().filter_map(of_line).collect()
}

/// The processors that idled for much of the time, the idlest first.
fn idle_processors(
    before: &BTreeMap<Core, Duration>,
    after: &BTreeMap<Core, Duration>,
    elapsed: Duration,
    allowed: &[Core],
) -> Vec<Core> {
    let mut idle: Vec<(Duration, Core)> = Vec::new();
    for &core in allowed {
        let (Some(before), Some(after)) = (before.get(&core), after.get(&core)) else { continue };
        let idled = after.saturating_sub(*before);
        if idled * 100 >= elapsed * IDLE_PERCENT {
            idle.push((idled, core));
        }
    }
    idle.sort_by_key(|(idled, core)| (std::cmp::Reverse(*idled), *core));
    idle.into_iter().map(|(_, core)| core).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_of_the_allowed_processors_come_first() {
        let before = idle_times("cpu  1 2 3 400\ncpu0 1 2 3 100 5\ncpu1 1 2 3 100\ncpu2 1 2 3 100\nintr 5\n");
        let after = idle_times("cpu0 9 9 9 120 5\ncpu1 1 2 3 104\ncpu2 1 2 3 130\ncpu3 1 2 3 999\n");
        let of = |allowed: &[Core]| idle_processors(&before, &after, Duration::from_millis(300), allowed);
        assert_eq!(of(&[0, 1, 2, 3]), [2, 0]);
        assert_eq!(of(&[0, 1]), [0]);
    }

    #[test]
    fn the_kernel_says_how_long_a_thread_waited() {
        let own = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        assert!(waited(own).is_some());
        assert_eq!(waited(u32::MAX), None);
    }
}
