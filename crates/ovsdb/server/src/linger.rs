//! Looking at the sockets a little longer before sleeping, while a client asks quickly.
//!
//! A client that sends its next request as soon as it has an answer finds a
//! server that is asleep again, and putting a thread to sleep and waking it
//! costs more than most requests. So after a request that came soon after the
//! one before it, the sockets are polled for a short while. A server that is
//! asked seldom never does that.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Requests that are not further apart than this are taken for a sequence.
const SEQUENCE: Duration = Duration::from_micros(250);

/// As long are the sockets polled for the next request of a sequence.
const PATIENCE: Duration = Duration::from_micros(100);

/// When requests came, as the tasks of one thread share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Linger(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    latest: Cell<Option<Instant>>,
    begin: Notify,
}

impl Linger {
    /// A request was answered just now.
    pub(crate) fn answered(&self) {
        self.answered_at(Instant::now());
    }

    fn answered_at(&self, now: Instant) {
        let before = self.0.latest.replace(Some(now));
        if before.is_some_and(|before| now.saturating_duration_since(before) < SEQUENCE) {
            self.0.begin.notify_one();
        }
    }

    /// Keeps the thread awake while it pays; ends never.
    pub(crate) async fn run(self) {
        loop {
            self.0.begin.notified().await;
            while self.0.latest.get().is_some_and(|latest| latest.elapsed() < PATIENCE) {
                // Returns when the sockets were looked at.
                tokio::task::yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    /// Whether the thread has been told to stay awake since this was asked last.
    fn begins(linger: &Linger) -> bool {
        pin!(linger.0.begin.notified()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn only_requests_close_together_keep_it_awake() {
        let linger = Linger::default();
        let start = Instant::now();
        linger.answered_at(start);
        assert!(!begins(&linger));
        linger.answered_at(start + SEQUENCE);
        assert!(!begins(&linger));
        linger.answered_at(start + SEQUENCE + PATIENCE);
        assert!(begins(&linger));
        linger.answered_at(start + 3 * SEQUENCE);
        assert!(!begins(&linger));
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_ends_when_nothing_more_comes() {
        let linger = Linger::default();
        let wakes = Arc::<Wakes>::default();
        let mut task = pin!(linger.clone().run());
        let mut wakes_by_polling = || {
            let before = wakes.0.load(Ordering::Relaxed);
            let waker = Waker::from(wakes.clone());
            assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            wakes.0.load(Ordering::Relaxed) - before
        };
        assert_eq!(wakes_by_polling(), 0);
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        linger.answered_at(now + hour);
        linger.answered_at(now + hour);
        assert_eq!((wakes_by_polling(), wakes_by_polling()), (1, 1));
        linger.0.latest.set(Some(now.checked_sub(PATIENCE).unwrap()));
        assert_eq!(wakes_by_polling(), 0);
    }
}
