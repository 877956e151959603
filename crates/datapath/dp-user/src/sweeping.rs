//! The thread that removes connections which are over, and fragments whose others do not come.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Clock;
use conntrack::Tracker;

use crate::tracking::Waiting;

/// The thread, and what it shares with who ends it.
pub(crate) struct Sweeping {
    tracker: Arc<Tracker>,
    fragments: Arc<Waiting>,
    clock: Clock,
    end: Arc<End>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct End {
    is_asked: Mutex<bool>,
    changed: Condvar,
}

impl End {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits this long; true when the thread is to end.
    fn wait(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |is_asked| !*is_asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Sweeping {
    pub(crate) fn new(
        tracker: Arc<Tracker>,
        fragments: Arc<Waiting>,
        clock: Clock,
    ) -> std::io::Result<Sweeping> {
        let sweeping = Sweeping { tracker, fragments, clock, end: Arc::default(), thread: Mutex::default() };
        sweeping.start()?;
        Ok(sweeping)
    }

    /// Starts the thread, which does not run.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        *self.end.lock() = false;
        let (tracker, clock, end) = (Arc::clone(&self.tracker), self.clock.clone(), Arc::clone(&self.end));
        let fragments = Arc::clone(&self.fragments);
        let thread = std::thread::Builder::new()
            .name("ct_clean".into())
            .spawn(move || run(&tracker, &fragments, &clock, &end))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    pub(crate) fn end(&self) {
        *self.end.lock() = true;
        self.end.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.end();
    }
}

/// How long it sleeps at once, so that a shorter interval is noticed.
const STEP: Duration = Duration::from_secs(1);

fn run(tracker: &Tracker, fragments: &Waiting, clock: &Clock, end: &End) {
    let mut left = interval(tracker);
    loop {
        let step = left.min(STEP).min(interval(tracker));
        if end.wait(step) {
            return;
        }
        left = left.saturating_sub(step).min(interval(tracker));
        if left.is_zero() {
            let now = clock.now();
            fragments.expire(&tracker.fragments, now);
            while !tracker.sweep(now) {
                std::thread::yield_now();
            }
            left = interval(tracker);
        }
    }
}

fn interval(tracker: &Tracker) -> Duration {
    Duration::from_millis(tracker.sweep_interval_ms().max(1).into())
}
