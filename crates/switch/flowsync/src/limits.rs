//! How many flows there may be, how long they may idle, how often they are looked through.

use std::time::Duration;

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

base::coverage!(static GREW = "upcall_flow_limit_grew");
base::coverage!(static REDUCED = "upcall_flow_limit_reduced");
base::coverage!(static SCALED = "upcall_flow_limit_scaled");
base::coverage!(static KILL = "upcall_flow_limit_kill");

/// The most megaflows unless `other_config:flow-limit` says otherwise.
pub const DEFAULT_FLOW_LIMIT: usize = 200_000;

/// How long a megaflow without packets stays unless `other_config:max-idle` says otherwise.
pub const DEFAULT_MAX_IDLE: Duration = Duration::from_secs(10);

/// How often flows are looked through though nothing changed unless `other_config:max-revalidator` says otherwise.
pub const REVALIDATION_INTERVAL: Duration = Duration::from_millis(500);

/// However long rounds take, so many flows are allowed, or what is configured if that is less.
const LEAST_FLOWS: usize = 1000;

/// How long an idle flow stays while there are more than allowed.
const CROWDED_IDLE: Duration = Duration::from_millis(100);

/// A round that takes longer than this lowers the limit in proportion.
const VERY_LONG: Duration = Duration::from_millis(2000);
/// One that takes longer than this lowers it by a quarter.
const LONG: Duration = Duration::from_millis(1300);
/// One that is shorter, and has looked at more than a few flows, raises it.
const SHORT: Duration = Duration::from_millis(1000);

/// What operators can set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The most megaflows.
    pub flow_limit: usize,
    /// How long a megaflow without packets stays.
    pub max_idle: Duration,
    /// How often flows are looked through though nothing changed.
    pub interval: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { flow_limit: DEFAULT_FLOW_LIMIT, max_idle: DEFAULT_MAX_IDLE, interval: REVALIDATION_INTERVAL }
    }
}

/// The bounds of now.
#[derive(Debug)]
pub(crate) struct Limits {
    configured: AtomicUsize,
    /// What is allowed now: fewer than configured while rounds take long.
    flows: AtomicUsize,
    max_idle_ms: AtomicU64,
    interval_ms: AtomicU64,
    /// How long the last round took.
    duration_ms: AtomicU64,
    /// How many flows there were when rounds began: about as many in the last ones, and the most ever.
    average: AtomicUsize,
    most: AtomicUsize,
    /// Flows match exactly one packet's headers, for debugging.
    pub(crate) exact: AtomicBool,
}

impl Default for Limits {
    fn default() -> Limits {
        let Bounds { flow_limit, max_idle, interval } = Bounds::default();
        Limits {
            configured: AtomicUsize::new(flow_limit),
            flows: AtomicUsize::new(flow_limit),
            max_idle_ms: AtomicU64::new(max_idle.as_millis() as u64),
            interval_ms: AtomicU64::new(interval.as_millis() as u64),
            duration_ms: AtomicU64::new(0),
            average: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            exact: AtomicBool::new(false),
        }
    }
}

impl Limits {
    pub(crate) fn set(&self, bounds: Bounds) {
        let limit = bounds.flow_limit.max(1);
        if self.configured.swap(limit, Ordering::Relaxed) != limit {
            self.flows.store(limit, Ordering::Relaxed);
        }
        self.max_idle_ms.store(bounds.max_idle.as_millis() as u64, Ordering::Relaxed);
        self.interval_ms.store(bounds.interval.as_millis() as u64, Ordering::Relaxed);
    }

    /// How many flows there may be now.
    pub(crate) fn flows(&self) -> usize {
        self.flows.load(Ordering::Relaxed)
    }

    /// How long the last round took, in milliseconds.
    pub(crate) fn duration_ms(&self) -> u64 {
        self.duration_ms.load(Ordering::Relaxed)
    }

    /// A round begins, over so many flows.
    pub(crate) fn begin_round(&self, count: usize) {
        // Rounds are made by one thread. Older ones count half as much as the one after them, as with the reference.
        self.average.store((self.average.load(Ordering::Relaxed) + count) / 2, Ordering::Relaxed);
        self.most.fetch_max(count, Ordering::Relaxed);
    }

    /// About how many flows the last rounds found, and the most that any did.
    pub(crate) fn census(&self) -> (usize, usize) {
        (self.average.load(Ordering::Relaxed), self.most.load(Ordering::Relaxed))
    }

    fn max_idle(&self) -> Duration {
        Duration::from_millis(self.max_idle_ms.load(Ordering::Relaxed))
    }

    /// How long flows may go without being looked through.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.load(Ordering::Relaxed)).min(self.max_idle())
    }

    /// How long a flow may idle while there are `count`.
    pub(crate) fn max_idle_of(&self, count: usize) -> Duration {
        let limit = self.flows();
        if count > 2 * limit {
            KILL.count();
            Duration::ZERO
        } else if count > limit {
            self.max_idle().min(CROWDED_IDLE)
        } else {
            self.max_idle()
        }
    }

    /// A round over `count` flows has taken so long: the limit is set so that rounds take about a second at most.
    pub(crate) fn adapt(&self, duration: Duration, count: usize) {
        let ms = duration.as_millis() as usize;
        self.duration_ms.store(ms as u64, Ordering::Relaxed);
        let (limit, configured) = (self.flows(), self.configured.load(Ordering::Relaxed));
        let wanted = if duration > VERY_LONG {
            SCALED.count();
            limit / (ms / 1000).max(1)
        } else if duration > LONG {
            REDUCED.count();
            limit / 4 * 3
        } else if duration < SHORT && limit < configured && count > 2000 && limit < count * 1000 / ms.max(1) {
            GREW.count();
            limit + (limit / 8).max(LEAST_FLOWS)
        } else {
            limit
        };
        self.flows.store(wanted.max(LEAST_FLOWS).min(configured), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_limit_follows_how_long_rounds_take() {
        let limits = Limits::default();
        limits.adapt(ms(100), 50_000);
        assert_eq!(limits.flows(), 200_000, "never more than configured");
        limits.adapt(ms(1500), 200_000);
        assert_eq!(limits.flows(), 150_000);
        limits.adapt(ms(5000), 150_000);
        assert_eq!(limits.flows(), 30_000);
        limits.adapt(ms(90_000), 30_000);
        assert_eq!(limits.flows(), 1000, "never none");
        for _ in 0..100 {
            limits.adapt(ms(10), 5000);
        }
        assert_eq!(limits.flows(), 200_000, "and up again");
        limits.set(Bounds { flow_limit: 10, ..Bounds::default() });
        limits.adapt(ms(1500), 10);
        assert_eq!(limits.flows(), 10);
    }

    #[test]
    fn what_rounds_find_is_remembered() {
        let limits = Limits::default();
        assert_eq!(limits.census(), (0, 0));
        for count in [100, 100, 20] {
            limits.begin_round(count);
        }
        assert_eq!(limits.census(), (47, 100));
    }

    #[test]
    fn a_crowd_does_not_idle() {
        let limits = Limits::default();
        assert_eq!(limits.max_idle_of(200_000), DEFAULT_MAX_IDLE);
        assert_eq!(limits.max_idle_of(200_001), ms(100));
        assert_eq!(limits.max_idle_of(400_001), Duration::ZERO);
    }

    #[test]
    fn flows_are_looked_through_before_they_have_idled_too_long() {
        let limits = Limits::default();
        assert_eq!(limits.interval(), REVALIDATION_INTERVAL);
        limits.set(Bounds { max_idle: ms(200), ..Bounds::default() });
        assert_eq!(limits.interval(), ms(200));
        limits.set(Bounds { interval: ms(300), ..Bounds::default() });
        assert_eq!(limits.interval(), ms(300));
    }
}
