//! The rhythm of requests, and how what is done between them keeps to it.
//!
//! A client that sends its next request as soon as it has an answer finds a
//! server that is asleep again, and putting a thread to sleep and waking it
//! costs more than most requests. So between requests that follow each other
//! closely the sockets are polled for a short while. A server that is asked
//! seldom never does that. A disk is waited for in the same way while it syncs
//! quickly.
//!
//! In the same way, work that can be put off is done in portions between such
//! requests ([`crate::broadcast`]): all at once it would take the processors
//! from the clients that ask.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Requests that are not further apart than this follow each other closely.
const CLOSE: Duration = Duration::from_micros(250);

/// As long are the sockets polled for the next request.
const PATIENCE: Duration = Duration::from_micros(100);

/// A disk that takes longer to sync is not waited for awake.
const DISK_PATIENCE: Duration = Duration::from_micros(400);

/// No portion waits longer for the request before it.
const PORTION_WAIT: Duration = Duration::from_millis(1);

/// When requests come, as the tasks of one thread share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rhythm(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    latest: Cell<Option<Instant>>,
    /// The latest request came closely after the one before it.
    is_quick: Cell<bool>,
    /// Since when a reply waits for the disk.
    held: Cell<Option<Instant>>,
    /// The disk was quick when it was waited for last.
    is_disk_quick: Cell<bool>,
    answered: Notify,
    lingers: Notify,
}

impl Rhythm {
    /// A request was answered just now. With `linger` the next one is waited for awake, if it is to be expected
    /// soon.
    pub(crate) fn answered(&self, linger: bool) {
        let now = Instant::now();
        let before = self.0.latest.replace(Some(now));
        self.0.is_quick.set(before.is_some_and(|before| now - before < CLOSE));
        self.0.answered.notify_waiters();
        if linger && self.0.is_quick.get() {
            self.0.lingers.notify_one();
        }
    }

    /// A reply has begun to wait for the disk.
    pub(crate) fn held(&self) {
        self.0.held.set(Some(Instant::now()));
        if self.0.is_disk_quick.get() {
            self.0.lingers.notify_one();
        }
    }

    /// The disk has done what was waited for.
    pub(crate) fn released(&self) {
        if let Some(held) = self.0.held.take() {
            self.0.is_disk_quick.set(held.elapsed() < DISK_PATIENCE);
        }
    }

    /// Whether something is to be expected soon.
    fn is_worth_waiting(&self) -> bool {
        let Inner { latest, is_quick, held, is_disk_quick, .. } = &*self.0;
        (is_quick.get() && is_within(PATIENCE, latest))
            || (is_disk_quick.get() && is_within(DISK_PATIENCE, held))
    }

    /// Keeps the thread awake while a request or the disk is to be expected; ends never.
    pub(crate) async fn run(self) {
        loop {
            self.0.lingers.notified().await;
            while self.is_worth_waiting() {
                // Who was just answered may wait for this very processor.
                std::thread::yield_now();
                // Returns when the sockets were looked at.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Returns when it is time for the next portion of work that can be put off: after the next request while they
    /// follow each other closely, else when the sockets were looked at.
    pub(crate) async fn next_portion(&self) {
        if self.0.is_quick.get() && is_within(CLOSE, &self.0.latest) {
            // Without another request the portion comes all the same.
            let _ = timeout(PORTION_WAIT, self.0.answered.notified()).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

fn is_within(time: Duration, moment: &Cell<Option<Instant>>) -> bool {
    moment.get().is_some_and(|moment| moment.elapsed() < time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests, so many microseconds apart.
    fn asked(rhythm: &Rhythm, pauses: &[u64]) {
        for pause in pauses {
            if let Some(latest) = rhythm.0.latest.get() {
                let before = Instant::now().checked_sub(Duration::from_micros(*pause)).unwrap();
                rhythm.0.latest.set(Some(latest.min(before)));
            }
            rhythm.answered(true);
        }
    }

    /// Whether the thread has been told to stay awake since this was asked last.
    fn lingers(rhythm: &Rhythm) -> bool {
        pin!(rhythm.0.lingers.notified()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn requests_far_apart_keep_nobody_awake() {
        let rhythm = Rhythm::default();
        asked(&rhythm, &[0]);
        assert!(!lingers(&rhythm), "one request is no sequence");
        asked(&rhythm, &[1_000, 1_000]);
        assert!(!lingers(&rhythm));
    }

    #[test]
    fn a_sequence_keeps_the_thread_awake_until_it_ends() {
        let rhythm = Rhythm::default();
        let wakes = Arc::<Wakes>::default();
        let mut task = pin!(rhythm.clone().run());
        let mut is_awake = || {
            let before = wakes.0.load(Ordering::Relaxed);
            let waker = Waker::from(wakes.clone());
            assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            wakes.0.load(Ordering::Relaxed) > before
        };
        assert!(!is_awake());
        let now = Instant::now();
        rhythm.0.lingers.notify_one();
        rhythm.0.is_quick.set(true);
        rhythm.0.latest.set(Some(now + Duration::from_secs(3600)));
        assert!(is_awake() && is_awake());
        rhythm.0.latest.set(now.checked_sub(PATIENCE));
        assert!(!is_awake());
    }

    #[test]
    fn only_a_quick_disk_is_waited_for_awake() {
        let rhythm = Rhythm::default();
        rhythm.held();
        assert!(!lingers(&rhythm), "nobody knows yet how quick it is");
        rhythm.0.held.set(Some(Instant::now() + Duration::from_secs(3600)));
        rhythm.released();
        rhythm.held();
        assert!(lingers(&rhythm));
        rhythm.0.held.set(Instant::now().checked_sub(DISK_PATIENCE));
        assert!(!rhythm.is_worth_waiting());
        rhythm.released();
        rhythm.held();
        assert!(!lingers(&rhythm));
    }

    #[test]
    fn portions_wait_for_requests_but_not_for_long() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
            let rhythm = Rhythm::default();
            let start = Instant::now();
            rhythm.next_portion().await;
            rhythm.answered(false);
            rhythm.next_portion().await;
            assert_eq!(start.elapsed(), Duration::ZERO, "there is no sequence");
            rhythm.answered(false);
            tokio::join!(rhythm.next_portion(), async { rhythm.answered(false) });
            assert_eq!(start.elapsed(), Duration::ZERO, "a request came");
            rhythm.next_portion().await;
            assert!(start.elapsed() >= PORTION_WAIT && start.elapsed() <= 2 * PORTION_WAIT);
        });
    }
}
