//! A bound on how often one place in the code may log, so that a peer that
//! sends rubbish without rest cannot fill the disk.
//!
//! Only messages that somebody else can provoke are bounded: those of the
//! modules that read messages, and those whose target says so
//! ([`bounded!`](crate::bounded)). Each place may log a handful at once and then
//! one a minute, or as many a minute as its target says; what was dropped is
//! counted, and reported with the next one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a place may log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate {
    /// Messages at once after a silence.
    burst: u32,
    /// How long it takes until there may be one more.
    refill: Duration,
}

/// What a place may log where nothing else is said.
const USUAL: Rate = Rate { burst: 5, refill: Duration::from_secs(60) };

/// Marks the target of a message that somebody else can provoke again and again:
/// `log::info!(target: base::bounded!("connmgr"), …)`. With a number, that many are
/// logged at once, and as many a minute.
#[macro_export]
macro_rules! bounded {
    ($module:literal) => {
        concat!($module, "@")
    };
    ($module:literal, $per_minute:literal) => {
        concat!($module, "@", $per_minute)
    };
}

/// The module of a target and how often it may log, if there is a bound.
pub(super) fn parse_target(target: &str) -> (&str, Option<Rate>) {
    match target.split_once('@') {
        None => (target, reads_peers(target).then_some(USUAL)),
        Some((module, "")) => (module, Some(USUAL)),
        Some((module, number)) => {
            let per_minute = number.parse().unwrap_or(USUAL.burst).max(1);
            (module, Some(Rate { burst: per_minute, refill: Duration::from_secs(60) / per_minute }))
        }
    }
}

/// Whether `module` reads what peers send.
fn reads_peers(module: &str) -> bool {
    module.starts_with("ofp_") || matches!(module, "nx_match" | "meta_flow")
}

/// A place in the code: file (by address, file names are static) and line.
type Site = (usize, u32);

struct Bucket {
    tokens: u32,
    filled: Instant,
    dropped: Option<Dropped>,
}

/// Messages of a place that nobody saw.
#[derive(Clone, Copy)]
struct Dropped {
    count: u32,
    first: Instant,
    last: Instant,
}

/// What is to be done with a message.
pub(super) enum Verdict {
    Write,
    /// Write this first.
    WriteAfter(String),
    Drop,
}

/// The buckets of all places that logged; as many as there are places.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<Site, Bucket>>);

impl Limits {
    pub(super) fn judge(&self, record: &log::Record<'_>, rate: Rate, now: Instant) -> Verdict {
        let site =
            (record.file_static().map_or(0, |file| file.as_ptr() as usize), record.line().unwrap_or(0));
        let Ok(mut buckets) = self.0.lock() else { return Verdict::Write };
        let bucket = buckets.entry(site).or_insert(Bucket { tokens: rate.burst, filled: now, dropped: None });
        bucket.judge(rate, now)
    }
}

impl Bucket {
    fn judge(&mut self, rate: Rate, now: Instant) -> Verdict {
        let refill = rate.refill.as_millis().max(1);
        let earned = now.saturating_duration_since(self.filled).as_millis() / refill;
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(rate.burst);
            self.filled = self.filled.checked_add(rate.refill.saturating_mul(earned)).unwrap_or(now);
        }
        if self.tokens == 0 {
            let dropped = self.dropped.get_or_insert(Dropped { count: 0, first: now, last: now });
            dropped.count = dropped.count.saturating_add(1);
            dropped.last = now;
            return Verdict::Drop;
        }
        self.tokens -= 1;
        match self.dropped.take() {
            None => Verdict::Write,
            Some(dropped) => Verdict::WriteAfter(format!(
                "Dropped {} log messages in last {} seconds (most recently, {} seconds ago) due to excessive rate",
                dropped.count,
                now.saturating_duration_since(dropped.first).as_secs(),
                now.saturating_duration_since(dropped.last).as_secs(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_may_log_a_burst_and_then_one_a_minute() {
        let start = Instant::now();
        let mut bucket = Bucket { tokens: USUAL.burst, filled: start, dropped: None };
        for _ in 0..USUAL.burst {
            assert!(matches!(bucket.judge(USUAL, start), Verdict::Write));
        }
        for second in [1, 20, 59] {
            assert!(matches!(bucket.judge(USUAL, start + Duration::from_secs(second)), Verdict::Drop));
        }
        let Verdict::WriteAfter(summary) = bucket.judge(USUAL, start + Duration::from_secs(61)) else {
            panic!("a minute earns a message")
        };
        assert_eq!(
            summary,
            "Dropped 3 log messages in last 60 seconds (most recently, 2 seconds ago) due to excessive rate"
        );
        assert!(matches!(bucket.judge(USUAL, start + Duration::from_secs(62)), Verdict::Drop));
    }

    #[test]
    fn readers_of_peers_and_targets_that_say_so_are_bounded() {
        let bound = |target: &'static str| parse_target(target);
        assert_eq!(bound("ofp_actions"), ("ofp_actions", Some(USUAL)));
        assert_eq!(bound("bridge"), ("bridge", None));
        assert_eq!(bound(crate::bounded!("connmgr")), ("connmgr", Some(USUAL)));
        let ten = Rate { burst: 10, refill: Duration::from_secs(6) };
        assert_eq!(bound(crate::bounded!("connmgr", 10)), ("connmgr", Some(ten)));
    }

    #[test]
    fn a_faster_place_earns_its_messages_sooner() {
        let start = Instant::now();
        let (_, Some(ten)) = parse_target("connmgr@10") else { panic!("bounded") };
        let mut bucket = Bucket { tokens: ten.burst, filled: start, dropped: None };
        let written = (0..1000).filter(|_| !matches!(bucket.judge(ten, start), Verdict::Drop)).count();
        assert_eq!(written, 10);
        assert!(matches!(bucket.judge(ten, start + Duration::from_secs(5)), Verdict::Drop));
        assert!(matches!(bucket.judge(ten, start + Duration::from_secs(6)), Verdict::WriteAfter(_)));
    }
}
