//! The life of a connection: how it ended, how the log says so, and when to try again.

use std::time::Duration;

/// How a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Nothing came of it, for this reason.
    Failed(String),
    /// The peer was not ready in time.
    TimedOut,
    /// The peer closed it.
    Closed,
    /// It broke.
    Dropped(String),
    /// The peer left a probe unanswered for this long.
    Unresponsive(Duration),
    /// The peer took too little of what was to be sent to it.
    Overrun,
    /// The switch has no more use for it.
    Released,
}

/// How a closed connection reads where an error is shown.
pub(crate) const END_OF_FILE: &str = "End of file";

impl End {
    /// What the database shows as the last error.
    pub(crate) fn error(&self) -> Option<String> {
        match self {
            End::Failed(reason) | End::Dropped(reason) => Some(reason.clone()),
            End::TimedOut | End::Unresponsive(_) => Some("Connection timed out".to_owned()),
            End::Closed => Some(END_OF_FILE.to_owned()),
            End::Overrun => Some("No buffer space available".to_owned()),
            End::Released => None,
        }
    }

    /// Tells of it in the log; `level` is for what is no fault.
    pub(crate) fn log(&self, name: &str, level: log::Level) {
        match self {
            End::Failed(reason) => {
                log::info!(target: base::bounded!("rconn"), "{name}: connection failed ({reason})");
            }
            End::TimedOut => log::info!(target: base::bounded!("rconn"), "{name}: connection timed out"),
            End::Closed => log::log!(target: "rconn", level, "{name}: connection closed by peer"),
            End::Dropped(reason) => {
                log::warn!(target: base::bounded!("rconn"), "{name}: connection dropped ({reason})");
            }
            End::Unresponsive(probe) => log::error!(
                target: "rconn",
                "{name}: no response to inactivity probe after {} seconds, disconnecting",
                probe.as_secs()
            ),
            // Whoever cut it has said how much waited.
            End::Released | End::Overrun => log::debug!(target: "rconn", "{name}: disconnecting"),
        }
    }
}

/// How long to wait before connecting again: twice as long after each failure, up to a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Backoff {
    pub(crate) wait: Duration,
    max: Duration,
}

const FIRST_WAIT: Duration = Duration::from_secs(1);

impl Backoff {
    pub(crate) fn new(max: Duration) -> Backoff {
        Backoff { wait: Duration::ZERO, max: max.max(FIRST_WAIT) }
    }

    /// Whether an attempt is logged: no longer once the pauses have grown to their limit.
    pub(crate) fn is_worth_a_line(&self) -> bool {
        self.wait < self.max
    }

    /// How long an attempt may take.
    pub(crate) fn patience(&self) -> Duration {
        self.wait.max(FIRST_WAIT)
    }

    /// Settles the next pause, after an attempt that failed or a connection that lasted so long; what the log
    /// is to say about it.
    pub(crate) fn after(&mut self, lasted: Option<Duration>) -> Option<String> {
        if lasted.is_some_and(|lasted| lasted >= self.wait) {
            self.wait = FIRST_WAIT;
            return None;
        }
        if self.wait < self.max / 2 {
            self.wait = (self.wait * 2).max(FIRST_WAIT);
            return Some(format!("waiting {} seconds before reconnect", self.wait.as_secs()));
        }
        let was_worth_a_line = self.is_worth_a_line();
        self.wait = self.max;
        let text = "continuing to retry connections in the background but suppressing further logging";
        was_worth_a_line.then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_the_log_falls_silent() {
        let mut backoff = Backoff::new(Duration::from_secs(8));
        let said: Vec<(bool, Option<String>, u64)> = (0..6)
            .map(|_| {
                let logged = backoff.is_worth_a_line();
                let text = backoff.after(None);
                (logged, text, backoff.wait.as_secs())
            })
            .collect();
        let waiting = |seconds| Some(format!("waiting {seconds} seconds before reconnect"));
        let silence = "continuing to retry connections in the background but suppressing further logging";
        assert_eq!(
            said,
            [
                (true, waiting(1), 1),
                (true, waiting(2), 2),
                (true, waiting(4), 4),
                (true, Some(silence.to_owned()), 8),
                (false, None, 8),
                (false, None, 8),
            ]
        );
    }

    #[test]
    fn a_connection_that_lasted_starts_over() {
        let mut backoff = Backoff::new(Duration::from_secs(8));
        for _ in 0..5 {
            backoff.after(None);
        }
        assert_eq!(backoff.after(Some(Duration::from_secs(9))), None);
        assert_eq!(backoff.wait, Duration::from_secs(1));
        let text = backoff.after(Some(Duration::from_millis(10)));
        assert_eq!(text.as_deref(), Some("waiting 2 seconds before reconnect"));
    }
}
