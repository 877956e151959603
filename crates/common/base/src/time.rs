//! Time as a value. Logic never reads a clock: it is handed a [`Timestamp`].
//!
//! The one [`Clock`] of a process is read by the loops that own state. It can
//! be stopped and warped (`ovs-appctl time/stop`, `time/warp`), which is what
//! makes timeouts testable without sleeping.

use std::fmt::Write;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point of monotonic time, in nanoseconds since the machine started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The beginning of the clock.
    pub const ZERO: Timestamp = Timestamp(0);
    /// Later than every time that a clock shows: "never".
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// So many nanoseconds after the beginning.
    pub const fn from_nanos(ns: u64) -> Timestamp {
        Timestamp(ns)
    }

    /// So many milliseconds after the beginning.
    pub const fn from_millis(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    /// Nanoseconds since the beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the beginning.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time since `earlier`, or zero when it lies in the future.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, d: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Timestamp) -> Duration {
        self.since(earlier)
    }
}

/// The process's monotonic clock. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<State>);

#[derive(Debug, Default)]
struct State {
    stopped: AtomicBool,
    /// While stopped: the time shown. While running: what warps have added.
    nanos: AtomicU64,
}

impl Clock {
    /// A clock that runs.
    pub fn new() -> Clock {
        Clock::default()
    }

    /// The time: the system's, or where the clock was stopped or warped to.
    pub fn now(&self) -> Timestamp {
        let shown = self.0.nanos.load(Ordering::Acquire);
        if self.is_stopped() { Timestamp(shown) } else { Timestamp(real() + shown) }
    }

    /// Whether `time/stop` stopped it.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// From here on time stands still but for [`Clock::warp`]; it cannot be started again.
    pub fn stop(&self) {
        let now = self.now();
        if !self.0.stopped.swap(true, Ordering::AcqRel) {
            self.0.nanos.store(now.0, Ordering::Release);
        }
    }

    /// Advances the shown time.
    pub fn warp(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX / 4);
        self.0.nanos.fetch_add(by, Ordering::AcqRel);
    }
}

fn real() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// `strftime` in UTC for the conversions that dates are made of, and `#` for the digits of the fraction of a second.
pub fn wall_text(template: &str, wall: SystemTime) -> String {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let mut fraction = format!("{:09}", since.subsec_nanos()).into_bytes().into_iter();
    let mut out = String::new();
    let mut rest = template.chars();
    while let Some(c) = rest.next() {
        let result = match c {
            '#' => write!(out, "{}", fraction.next().map_or('0', char::from)),
            '%' => match rest.next() {
                Some('Y') => write!(out, "{year}"),
                Some('m') => write!(out, "{month:02}"),
                Some('d') => write!(out, "{day:02}"),
                Some('H') => write!(out, "{:02}", seconds / 3600),
                Some('M') => write!(out, "{:02}", seconds / 60 % 60),
                Some('S') => write!(out, "{:02}", seconds % 60),
                Some('T') => {
                    write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
                }
                Some('F') => write!(out, "{year}-{month:02}-{day:02}"),
                Some('s') => write!(out, "{}", since.as_secs()),
                Some('b') => write!(out, "{}", MONTHS[(month as usize - 1) % 12]),
                Some(other) => write!(out, "{other}"),
                None => write!(out, "%"),
            },
            other => write!(out, "{other}"),
        };
        // Writing to a String cannot fail.
        let _ = result;
    }
    out
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month and day of the Gregorian calendar for days since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Count from 0000-03-01, so that a leap day is the last day of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_clock_moves_only_by_warps() {
        let clock = Clock::new();
        let handle = clock.clone();
        clock.stop();
        let t = clock.now();
        assert_eq!(handle.now(), t);
        handle.warp(Duration::from_millis(1500));
        assert_eq!(clock.now() - t, Duration::from_millis(1500));
    }

    #[test]
    fn a_running_clock_goes_forward() {
        let clock = Clock::new();
        let a = clock.now();
        assert!(clock.now() >= a);
        clock.warp(Duration::from_secs(10));
        assert!(clock.now() - a >= Duration::from_secs(10));
    }
}
