//! A bound on how often one place in the code may log, so that a peer that
//! sends rubbish without rest cannot fill the disk.
//!
//! Only messages that a peer's bytes can provoke are bounded: those of the
//! modules that read messages. Each place may log a handful at once and then
//! one a minute; what was dropped is counted and told with the next one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Messages that a place may log at once after a silence.
const BURST: u32 = 5;

/// How long it takes until it may log one more.
const REFILL: Duration = Duration::from_secs(60);

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
    pub(super) fn judge(&self, record: &log::Record<'_>, now: Instant) -> Verdict {
        if !reads_peers(record.target()) {
            return Verdict::Write;
        }
        let site =
            (record.file_static().map_or(0, |file| file.as_ptr() as usize), record.line().unwrap_or(0));
        let Ok(mut buckets) = self.0.lock() else { return Verdict::Write };
        let bucket = buckets.entry(site).or_insert(Bucket { tokens: BURST, filled: now, dropped: None });
        bucket.judge(now)
    }
}

impl Bucket {
    fn judge(&mut self, now: Instant) -> Verdict {
        let earned = (now.saturating_duration_since(self.filled).as_secs() / REFILL.as_secs()) as u32;
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(BURST);
            self.filled += REFILL * earned;
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
        let mut bucket = Bucket { tokens: BURST, filled: start, dropped: None };
        for _ in 0..BURST {
            assert!(matches!(bucket.judge(start), Verdict::Write));
        }
        for second in [1, 20, 59] {
            assert!(matches!(bucket.judge(start + Duration::from_secs(second)), Verdict::Drop));
        }
        let Verdict::WriteAfter(told) = bucket.judge(start + Duration::from_secs(61)) else {
            panic!("a minute earns a message")
        };
        assert_eq!(
            told,
            "Dropped 3 log messages in last 60 seconds (most recently, 2 seconds ago) due to excessive rate"
        );
        assert!(matches!(bucket.judge(start + Duration::from_secs(62)), Verdict::Drop));
    }

    #[test]
    fn only_readers_of_peers_are_bounded() {
        assert!(reads_peers("ofp_actions") && reads_peers("nx_match"));
        assert!(!reads_peers("bridge") && !reads_peers("ovsdb_server"));
    }
}
