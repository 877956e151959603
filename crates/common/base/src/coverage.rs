//! Event counters ("coverage"): how often rare and common things happened,
//! for `ovs-appctl coverage/show`.
//!
//! A counter is a static; counting is one relaxed addition:
//! ```
//! base::coverage!(static RECONNECTS = "rconn_reconnect");
//! RECONNECTS.count();
//! ```

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Timestamp;

/// One named counter.
pub struct Counter {
    name: &'static str,
    total: AtomicU64,
    listed: AtomicBool,
}

impl Counter {
    /// A counter at zero. It is listed once it has counted something.
    pub const fn new(name: &'static str) -> Counter {
        Counter { name, total: AtomicU64::new(0), listed: AtomicBool::new(false) }
    }

    /// Counts one event.
    #[inline]
    pub fn count(&'static self) {
        self.add(1);
    }

    /// Counts several events at once.
    #[inline]
    pub fn add(&'static self, events: u64) {
        self.total.fetch_add(events, Ordering::Relaxed);
        if !self.listed.load(Ordering::Relaxed) {
            self.list();
        }
    }

    /// All events since the program started.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The name that `coverage/show` has.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Makes the counter known before its first event, so that reading it gives 0 and no error.
    #[cold]
    pub fn list(&'static self) {
        if let Ok(mut all) = COUNTERS.lock()
            && !self.listed.swap(true, Ordering::Relaxed)
        {
            all.push(self);
        }
    }
}

/// Declares a counter.
#[macro_export]
macro_rules! coverage {
    ($(#[$doc:meta])* $vis:vis static $name:ident = $text:literal) => {
        $(#[$doc])* $vis static $name: $crate::coverage::Counter = $crate::coverage::Counter::new($text);
    };
}

static COUNTERS: Mutex<Vec<&'static Counter>> = Mutex::new(Vec::new());

/// How often the owner of a [`History`] should call [`History::sample`].
pub const SAMPLE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// Totals of the last hour, from which rates are made.
#[derive(Default)]
pub struct History {
    /// (when, totals by name), oldest first, one a [`SAMPLE_INTERVAL`].
    samples: std::collections::VecDeque<(Timestamp, Vec<(&'static str, u64)>)>,
}

impl History {
    const LENGTH: usize = 3600 / SAMPLE_INTERVAL.as_secs() as usize + 1;

    /// Remembers the totals at `now`.
    pub fn sample(&mut self, now: Timestamp) {
        if self.samples.len() == Self::LENGTH {
            self.samples.pop_front();
        }
        self.samples.push_back((now, totals()));
    }

    /// Events in the last `seconds` of samples, by name.
    fn events(&self, name: &str, now: u64, seconds: u64) -> u64 {
        let steps = (seconds / SAMPLE_INTERVAL.as_secs()) as usize;
        let Some((_, then)) = self.samples.iter().rev().nth(steps.min(self.samples.len().saturating_sub(1)))
        else {
            return 0;
        };
        now.saturating_sub(then.iter().find(|(n, _)| *n == name).map_or(0, |(_, total)| *total))
    }

    /// The text of `coverage/show`.
    pub fn show(&self) -> String {
        let totals = totals();
        let mut out = format!(
            "Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash={:08x}:\n",
            hash(&totals)
        );
        let (hit, never_hit): (Vec<_>, Vec<_>) = totals.iter().partition(|(_, total)| *total != 0);
        for (name, total) in hit {
            let rate = |seconds: u64| self.events(name, total, seconds) as f64 / seconds as f64;
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{name:<24} {:5.1}/sec {:9.3}/sec {:13.4}/sec   total: {total}",
                rate(5),
                rate(60),
                rate(3600)
            );
        }
        let _ = writeln!(out, "{} events never hit", never_hit.len());
        out
    }
}

/// The text of `coverage/read-counter`.
pub fn read(name: &str) -> Result<String, String> {
    match totals().into_iter().find(|(n, _)| *n == name) {
        Some((_, total)) => Ok(format!("{total}\n")),
        None => Err("No such counter".into()),
    }
}

fn totals() -> Vec<(&'static str, u64)> {
    let mut all: Vec<_> =
        COUNTERS.lock().map(|all| all.iter().map(|c| (c.name, c.total())).collect()).unwrap_or_default();
    all.sort_unstable();
    all
}

/// A number that differs when other counters moved (FNV-1a over the names that were hit).
fn hash(totals: &[(&str, u64)]) -> u32 {
    totals
        .iter()
        .filter(|(_, total)| *total != 0)
        .flat_map(|(name, _)| name.bytes())
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    coverage!(static TESTED = "coverage_tested");

    #[test]
    fn counters_are_listed_with_rates_once_they_moved() {
        let mut history = History::default();
        assert!(!history.show().contains("coverage_tested"));
        history.sample(Timestamp::from_millis(0));
        TESTED.add(50);
        assert!(
            history
                .show()
                .contains("coverage_tested           10.0/sec     0.833/sec        0.0139/sec   total: 50\n")
        );
        assert_eq!(read("coverage_tested"), Ok("50\n".to_owned()));
        assert!(read("unknown").is_err());
    }

    coverage!(static NEVER_HIT = "coverage_never_hit");

    #[test]
    fn a_listed_counter_reads_zero_and_is_not_shown() {
        assert!(read("coverage_never_hit").is_err());
        NEVER_HIT.list();
        assert_eq!(read("coverage_never_hit"), Ok("0\n".to_owned()));
        let shown = History::default().show();
        assert!(!shown.contains("coverage_never_hit"), "{shown}");
        assert!(
            shown.ends_with(" events never hit\n") && !shown.ends_with("\n0 events never hit\n"),
            "{shown}"
        );
    }
}
