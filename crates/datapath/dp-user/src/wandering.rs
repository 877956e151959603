//! When a worker changes its processor: when it has to wait for it, because others are busy there, and another one idles.
//!
//! The kernel would move such a thread by itself, at any moment. Then frames that it has sent wait on the processor that it
//! left, and those behind them overtake. So a worker stays where it is until it is told to go elsewhere, and goes when
//! nothing is left behind ([`crate::softirq`]).
//!
//! Where no processor idles that a worker could go to, and ports lose frames meanwhile, floods of short packets are better
//! forwarded by whoever sends them, in the kernel: less work in all, and no thread that has to be waited for
//! ([`Wandering::are_crowded`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::part::Part;
use crate::processors;
use crate::seat::Core;

/// How often workers are looked at while they have much to do. What is seen twice in a row is acted on.
const INTERVAL: Duration = Duration::from_millis(100);
/// A worker that waited for more than this part of the time would like to go.
const WAITED_PERCENT: u32 = 25;
/// A processor that idled for more than this part of it is worth going to.
const IDLE_PERCENT: u128 = 50;
/// A worker that had one to itself for this part of it would not wait: the rest of [`WAITED_PERCENT`].
const FREE_PERCENT: u128 = 75;
/// So many frames lost within an interval are more than some that came at a bad moment.
const LOST: u64 = 100;
/// How long a worker stays at least where it went.
const STAY: Duration = Duration::from_secs(1);
/// How long the kernel forwards floods at least, before it is looked whether that leaves a processor idle.
const TRIAL: Duration = Duration::from_millis(200);
/// A crowd that is over so soon was none: what the worker waited for was the kernel's work on what it had sent itself, which
/// nothing tells from others'. How long it is not tried again then.
const SOON: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(10);
/// In one of these the kernel counts how long processors idle.
const TICK: Duration = Duration::from_millis(10);

/// What is known of workers and processors.
#[derive(Default)]
pub(crate) struct Wandering {
    looked: Option<Instant>,
    /// How long each worker has waited for a processor, ever, and when it went somewhere last.
    waited: BTreeMap<Core, Waited>,
    /// How long processors have idled; known only after some worker had to wait, and while they are crowded.
    idled: Option<(Instant, BTreeMap<Core, Duration>)>,
    /// Frames that ports had lost, ever, when it was looked last, and when they lost many.
    lost: u64,
    lost_many: Option<Instant>,
    crowd: Crowd,
}

struct Waited {
    total: Duration,
    moved: Option<Instant>,
}

/// Whether workers have to wait for processors, cannot go elsewhere, and lose frames.
#[derive(Default)]
struct Crowd {
    /// Since when that is so.
    since: Option<Instant>,
    /// Until when it is not to become so.
    paused: Option<Instant>,
}

impl Crowd {
    fn is_there(&self) -> bool {
        self.since.is_some()
    }

    fn begin(&mut self, now: Instant) {
        if self.since.is_none() && self.paused.is_none_or(|paused| now >= paused) {
            self.since = Some(now);
            log::debug!(target: "dpif_netdev", "floods of short packets are for the kernel");
        }
    }

    fn end(&mut self, now: Instant) {
        if let Some(since) = self.since.take_if(|since| now - *since >= TRIAL) {
            self.paused = (now - since < SOON).then(|| now + PAUSE);
            log::debug!(target: "dpif_netdev", "floods of short packets are for workers");
        }
    }
}

impl Wandering {
    /// Looks at the workers, whose ports have `lost` so many frames, ever, and tells those that should go to another processor.
    pub(crate) fn look(&mut self, workers: &[Arc<Part>], lost: u64, now: Instant) {
        let elapsed = match self.looked {
            Some(looked) if now - looked < INTERVAL => return,
            Some(looked) => now - looked,
            None => Duration::ZERO,
        };
        self.looked = Some(now);
        if lost.saturating_sub(std::mem::replace(&mut self.lost, lost)) >= LOST {
            self.lost_many = Some(now);
        }
        let is_losing = self.lost_many.is_some_and(|lost| now - lost < STAY);
        let workers: Vec<&Arc<Part>> = workers.iter().filter(|worker| worker.is_active()).collect();
        let unhappy = self.unhappy(&workers, elapsed);
        if unhappy.is_empty() && !self.crowd.is_there() {
            self.idled = None;
            return;
        }
        let total = std::fs::read_to_string("/proc/stat").map(|table| idle_times(&table)).unwrap_or_default();
        let Some((since, before)) = self.idled.replace((now, total)) else { return };
        let Some((_, total)) = &self.idled else { return };
        let idle = Idle::between(&before, total, now - since);
        let allowed = processors::allowed();
        let mut free = idle.most(&allowed);
        free.retain(|core| !workers.iter().any(|worker| worker.place() == *core));
        let is_free = |core: &Core| idle.is(*core, FREE_PERCENT);
        let has_room = |worker: &&Arc<Part>| {
            if worker.may_wander() { allowed.iter().any(is_free) } else { is_free(&worker.place()) }
        };
        if workers.iter().any(has_room) {
            self.crowd.end(now);
        } else if is_losing && (free.is_empty() || !unhappy.iter().any(|worker| worker.may_wander())) {
            self.crowd.begin(now);
        }
        self.send(&unhappy, &free, now);
    }

    /// Sends workers to processors.
    fn send(&mut self, unhappy: &[&Arc<Part>], free: &[Core], now: Instant) {
        let may_go = |worker: &&&Arc<Part>| {
            let moved = self.waited.get(&worker.core()).and_then(|known| known.moved);
            worker.may_wander() && moved.is_none_or(|moved| now - moved >= STAY)
        };
        let going: Vec<&&Arc<Part>> = unhappy.iter().filter(may_go).collect();
        for (worker, core) in going.into_iter().zip(free) {
            log::debug!(
                target: "dpif_netdev",
                "worker {}: processor {} is busy with others, goes to {core}",
                worker.core(),
                worker.place()
            );
            worker.go_to(*core);
            if let Some(known) = self.waited.get_mut(&worker.core()) {
                known.moved = Some(now);
            }
        }
    }

    /// Nobody has much to do: there is nothing to be looked at for a while.
    pub(crate) fn rest(&mut self) {
        (self.looked, self.idled, self.crowd.since) = (None, None, None);
    }

    /// Whether workers have to wait for processors and lose frames, and there is none that they could go to.
    pub(crate) fn are_crowded(&self) -> bool {
        self.crowd.is_there()
    }

    /// Those of the workers that had to wait.
    fn unhappy<'a>(&mut self, workers: &[&'a Arc<Part>], elapsed: Duration) -> Vec<&'a Arc<Part>> {
        let has_waited = |worker: &&Arc<Part>| {
            let Some(total) = worker.thread_id().and_then(waited) else { return false };
            let known = self.waited.entry(worker.core()).or_insert(Waited { total, moved: None });
            let lately = total.saturating_sub(std::mem::replace(&mut known.total, total));
            elapsed > Duration::ZERO && lately * 100 >= elapsed * WAITED_PERCENT
        };
        workers.iter().copied().filter(has_waited).collect()
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

/// For which part of a while processors idled, in percent.
struct Idle(BTreeMap<Core, u128>);

impl Idle {
    fn between(
        before: &BTreeMap<Core, Duration>,
        after: &BTreeMap<Core, Duration>,
        elapsed: Duration,
    ) -> Idle {
        let part = |(core, after): (&Core, &Duration)| {
            let idled = after.saturating_sub(*before.get(core)?);
            Some((*core, idled.as_nanos() * 100 / elapsed.as_nanos().max(1)))
        };
        Idle(after.iter().filter_map(part).collect())
    }

    fn is(&self, core: Core, percent: u128) -> bool {
        self.0.get(&core).is_some_and(|idled| *idled >= percent)
    }

    /// Those of the processors that idled for much of the time, the idlest first.
    fn most(&self, allowed: &[Core]) -> Vec<Core> {
        let mut idle: Vec<Core> =
            allowed.iter().copied().filter(|core| self.is(*core, IDLE_PERCENT)).collect();
        idle.sort_by_key(|core| (std::cmp::Reverse(self.0.get(core)), *core));
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_of_the_allowed_processors_come_first() {
        let before = idle_times("cpu  1 2 3 400\ncpu0 1 2 3 100 5\ncpu1 1 2 3 100\ncpu2 1 2 3 100\nintr 5\n");
        let after = idle_times("cpu0 9 9 9 120 5\ncpu1 1 2 3 104\ncpu2 1 2 3 130\ncpu3 1 2 3 999\n");
        let idle = Idle::between(&before, &after, Duration::from_millis(300));
        assert_eq!(idle.most(&[0, 1, 2, 3]), [2, 0]);
        assert_eq!(idle.most(&[0, 1]), [0]);
        assert!(idle.is(0, 66) && !idle.is(0, 67) && idle.is(2, 100) && !idle.is(3, 0), "3 came meanwhile");
    }

    #[test]
    fn a_crowd_that_was_none_is_not_seen_again_for_a_while() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut crowd = Crowd::default();
        crowd.begin(at(0));
        crowd.end(at(100));
        assert!(crowd.is_there(), "it is not known yet what comes of it");
        crowd.end(at(2_000));
        crowd.begin(at(2_100));
        assert!(crowd.is_there());
        crowd.end(at(2_300));
        crowd.begin(at(12_000));
        assert!(!crowd.is_there());
        crowd.begin(at(12_300));
        assert!(crowd.is_there());
    }

    #[test]
    fn the_kernel_says_how_long_a_thread_waited() {
        let own = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        assert!(waited(own).is_some());
        assert_eq!(waited(u32::MAX), None);
    }
}
