//! Whether the peer of a connection is alive: one that has said nothing for some time is asked, and has as long to answer.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// When a silent peer is asked whether it is there. What we send, or fail to send, is no sign of life: only what arrives
/// puts the question off.
pub(crate) struct Probe {
    pub(crate) after: Duration,
    pub(crate) is_sent: bool,
    pub(crate) timer: Pin<Box<Sleep>>,
}

impl Probe {
    pub(crate) fn new(after: Duration) -> Probe {
        Probe { after, is_sent: false, timer: Box::pin(tokio::time::sleep(after)) }
    }

    /// The peer is alive.
    pub(crate) fn heard(&mut self) {
        self.is_sent = false;
        self.put_off();
    }

    /// The time leaps forward. A peer that was asked has as long to answer as before.
    pub(crate) fn leap(&mut self, by: Duration) {
        if !by.is_zero() && !self.is_sent {
            let deadline = self.timer.deadline();
            self.timer.as_mut().reset(deadline.checked_sub(by).unwrap_or_else(Instant::now));
        }
    }

    pub(crate) fn put_off(&mut self) {
        self.timer.as_mut().reset(Instant::now() + self.after);
    }
}
