//! When to connect, to probe and to give up: the state machine behind every
//! long-lived connection. It does no I/O and reads no clock.

use base::Timestamp;
use std::io;
use std::time::Duration;

const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(8);
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Void,
    Listening,
    Backoff,
    Connecting,
    Active,
    Idle,
    Reconnect,
}

impl State {
    /// As the log has it.
    fn name(self) -> &'static str {
        match self {
            State::Void => "VOID",
            State::Listening => "LISTENING",
            State::Backoff => "BACKOFF",
            State::Connecting => "CONNECTING",
            State::Active => "ACTIVE",
            State::Idle => "IDLE",
            State::Reconnect => "RECONNECT",
        }
    }
}

/// What the owner of the connection should do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin an attempt, and say so with [`Reconnect::connecting`].
    Connect,
    /// Drop the connection or attempt, and say so with [`Reconnect::disconnected`].
    Disconnect,
    /// Send something that the peer answers.
    Probe,
}

/// Numbers for status columns and `--verbose` listings.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    pub state: &'static str,
    pub is_connected: bool,
    pub since_state: Duration,
    /// Since the last time that a connection was made.
    pub since_connect: Option<Duration>,
    /// Since the last time that a connection ended.
    pub since_disconnect: Option<Duration>,
}

/// The state machine of one connection.
#[derive(Debug)]
pub struct Reconnect {
    name: String,
    quiet: bool,
    passive: bool,
    state: State,
    entered: Timestamp,
    backoff: Duration,
    min_backoff: Duration,
    max_backoff: Duration,
    free_tries: u32,
    /// `None` is without end.
    max_tries: Option<u32>,
    probe_interval: Option<Duration>,
    last_activity: Timestamp,
    last_connected: Option<Timestamp>,
    last_disconnected: Option<Timestamp>,
}

impl Reconnect {
    pub fn new(name: &str, now: Timestamp) -> Reconnect {
        Reconnect {
            name: name.to_owned(),
            quiet: false,
            passive: false,
            state: State::Void,
            entered: now,
            backoff: Duration::ZERO,
            min_backoff: MIN_BACKOFF,
            max_backoff: MAX_BACKOFF,
            free_tries: 0,
            max_tries: None,
            probe_interval: Some(PROBE_INTERVAL),
            last_activity: now,
            last_connected: None,
            last_disconnected: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// Quiet machines log their changes at debug level.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    pub fn set_passive(&mut self, passive: bool) {
        self.passive = passive;
    }

    /// How many attempts without any wait come first.
    pub fn set_free_tries(&mut self, tries: u32) {
        self.free_tries = tries;
    }

    /// How many attempts are made at all; `None` is without end.
    pub fn set_max_tries(&mut self, tries: Option<u32>) {
        self.max_tries = tries;
    }

    pub fn max_tries(&self) -> Option<u32> {
        self.max_tries
    }

    pub fn set_backoff(&mut self, min: Duration, max: Duration) {
        self.min_backoff = min.max(Duration::from_secs(1));
        self.max_backoff = if max.is_zero() { MAX_BACKOFF } else { max.max(Duration::from_secs(1)) };
        self.max_backoff = self.max_backoff.max(self.min_backoff);
        if self.state == State::Backoff {
            self.backoff = self.backoff.min(self.max_backoff);
        }
    }

    /// `None` or zero means no probes; the least is one second.
    pub fn set_probe_interval(&mut self, interval: Option<Duration>) {
        self.probe_interval = interval.filter(|i| !i.is_zero()).map(|i| i.max(Duration::from_secs(1)));
    }

    pub fn enable(&mut self, now: Timestamp) {
        if self.state == State::Void && self.may_retry() {
            self.transition(now, State::Backoff);
            self.backoff = Duration::ZERO;
        }
    }

    pub fn disable(&mut self, now: Timestamp) {
        self.transition(now, State::Void);
    }

    /// The current connection is dropped at the next [`Reconnect::run`].
    pub fn force_reconnect(&mut self, now: Timestamp) {
        if matches!(self.state, State::Connecting | State::Active | State::Idle) {
            self.transition(now, State::Reconnect);
        }
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Active | State::Idle | State::Reconnect)
    }

    pub fn connecting(&mut self, now: Timestamp) {
        if self.state != State::Connecting {
            if self.passive {
                self.report_state("listening...");
            } else if self.backoff < self.max_backoff {
                self.report_state("connecting...");
            }
            self.transition(now, State::Connecting);
        }
    }

    pub fn listening(&mut self, now: Timestamp) {
        if self.state != State::Listening {
            self.report_state("listening...");
            self.transition(now, State::Listening);
        }
    }

    pub fn connected(&mut self, now: Timestamp) {
        if !self.is_connected() {
            self.connecting(now);
            self.report_state("connected");
            self.transition(now, State::Active);
            self.last_connected = Some(now);
        }
    }

    pub fn connect_failed(&mut self, now: Timestamp, error: &io::Error) {
        self.connecting(now);
        self.disconnected(now, Some(error));
    }

    /// The connection or attempt ended; without an error it was our own decision.
    pub fn disconnected(&mut self, now: Timestamp, error: Option<&io::Error>) {
        if matches!(self.state, State::Backoff | State::Void) {
            return;
        }
        self.report_end(error);
        let was_active = matches!(self.state, State::Active | State::Idle);
        if was_active {
            self.last_disconnected = Some(now);
        }
        if !self.may_retry() {
            self.transition(now, State::Void);
            return;
        }
        let lived = self.last_activity.since(self.last_connected.unwrap_or(self.last_activity));
        if self.free_tries > 1 {
            self.free_tries -= 1;
            self.backoff = Duration::ZERO;
        } else if was_active && (lived >= self.backoff || self.passive) {
            self.backoff = if self.passive { Duration::ZERO } else { self.min_backoff };
        } else {
            self.grow_backoff();
        }
        self.transition(now, State::Backoff);
    }

    fn grow_backoff(&mut self) {
        if self.backoff < self.min_backoff {
            self.backoff = self.min_backoff;
        } else if self.backoff < self.max_backoff / 2 {
            self.backoff *= 2;
            let before = if self.passive { "trying to listen again" } else { "reconnect" };
            let seconds = self.backoff.as_secs_f64();
            self.report_state(&format!("waiting {seconds} seconds before {before}"));
        } else {
            if self.backoff < self.max_backoff {
                let what = if self.passive { "try to listen" } else { "reconnect" };
                log::info!(target: "reconnect",
                    "{}: continuing to {what} in the background but suppressing further logging", self.name);
            }
            self.backoff = self.max_backoff;
        }
    }

    fn report_end(&self, error: Option<&io::Error>) {
        let name = &self.name;
        let eof = error.is_some_and(|e| e.kind() == io::ErrorKind::UnexpectedEof);
        let text = error.map(crate::error_text);
        match self.state {
            State::Active | State::Idle | State::Reconnect => match text {
                _ if eof => self.report_state("connection closed by peer"),
                Some(text) => {
                    log::warn!(target: "reconnect", "{name}: connection dropped ({text})");
                }
                None => self.report_state("connection dropped"),
            },
            State::Listening => match text {
                Some(text) => {
                    log::warn!(target: "reconnect", "{name}: error listening for connections ({text})");
                }
                None => self.report_state("error listening for connections"),
            },
            _ if self.backoff < self.max_backoff => {
                let kind = if self.passive { "listen" } else { "connection" };
                match text {
                    Some(text) => {
                        log::info!(target: "reconnect", "{name}: {kind} attempt failed ({text})");
                    }
                    None => self.report_state(&format!("{kind} attempt timed out")),
                }
            }
            _ => {}
        }
    }

    /// Something was received, or a queue shrank.
    pub fn activity(&mut self, now: Timestamp) {
        if self.state == State::Idle {
            self.transition(now, State::Active);
        }
        self.last_activity = now;
    }

    /// When [`Reconnect::run`] has something to say at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Void | State::Listening => None,
            State::Backoff => Some(self.entered + self.backoff),
            State::Connecting => Some(self.entered + self.backoff.max(Duration::from_secs(1))),
            State::Active => {
                self.probe_interval.map(|interval| self.last_activity.max(self.entered) + interval)
            }
            State::Idle => self.probe_interval.map(|interval| self.entered + interval),
            State::Reconnect => Some(self.entered),
        }
    }

    pub fn run(&mut self, now: Timestamp) -> Option<Action> {
        if now < self.deadline()? {
            return None;
        }
        match self.state {
            State::Void | State::Listening => None,
            State::Backoff => Some(Action::Connect),
            State::Connecting | State::Reconnect => Some(Action::Disconnect),
            State::Active => {
                let idle = now.since(self.last_activity.max(self.entered));
                log::debug!(target: "reconnect",
                    "{}: idle {} ms, sending inactivity probe", self.name, idle.as_millis());
                self.transition(now, State::Idle);
                Some(Action::Probe)
            }
            State::Idle => {
                let seconds = now.since(self.entered).as_millis() as f64 / 1000.0;
                log::error!(target: "reconnect",
                    "{}: no response to inactivity probe after {} seconds, disconnecting",
                    self.name, three_digits(seconds));
                Some(Action::Disconnect)
            }
        }
    }

    pub fn status(&self, now: Timestamp) -> Status {
        let state = match self.state {
            State::Void => "VOID",
            State::Listening => "LISTENING",
            State::Backoff => "BACKOFF",
            State::Connecting => "CONNECTING",
            State::Active => "ACTIVE",
            State::Idle => "IDLE",
            State::Reconnect => "RECONNECT",
        };
        Status {
            state,
            is_connected: self.is_connected(),
            since_state: now.since(self.entered),
            since_connect: self.last_connected.map(|t| now.since(t)),
            since_disconnect: self.last_disconnected.map(|t| now.since(t)),
        }
    }

    fn may_retry(&mut self) -> bool {
        match &mut self.max_tries {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn transition(&mut self, now: Timestamp, state: State) {
        log::debug!(target: "reconnect", "{}: entering {}", self.name, state.name());
        self.state = state;
        self.entered = now;
    }

    fn report_state(&self, what: &str) {
        let level = if self.quiet { log::Level::Debug } else { log::Level::Info };
        log::log!(target: "reconnect", level, "{}: {what}", self.name);
    }
}

/// A positive number with at most three significant digits ("%.3g").
fn three_digits(v: f64) -> String {
    let decimals = if v >= 100.0 {
        0
    } else if v >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{v:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn failures_double_the_wait_up_to_a_bound() {
        let mut machine = Reconnect::new("x", at(0));
        machine.enable(at(0));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert_eq!(machine.run(at(now)), Some(Action::Connect));
            machine.connect_failed(at(now), &refused);
            let next = machine.deadline().unwrap().as_millis();
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits, [1000, 2000, 4000, 8000, 8000, 8000]);
    }

    #[test]
    fn silence_is_probed_and_then_fatal() {
        let mut machine = Reconnect::new("x", at(0));
        machine.enable(at(0));
        machine.connected(at(0));
        machine.activity(at(100));
        assert_eq!(machine.run(at(5099)), None);
        assert_eq!(machine.run(at(5100)), Some(Action::Probe));
        assert_eq!(machine.run(at(10_099)), None);
        assert_eq!(machine.run(at(10_100)), Some(Action::Disconnect));
        machine.disconnected(at(10_100), None);
        assert_eq!(machine.deadline(), Some(at(11_100)));
    }

    #[test]
    fn tries_may_be_counted() {
        let mut machine = Reconnect::new("x", at(0));
        machine.set_max_tries(Some(1));
        machine.enable(at(0));
        assert_eq!(machine.run(at(0)), Some(Action::Connect));
        machine.connect_failed(at(0), &io::Error::from_raw_os_error(2));
        assert_eq!(machine.deadline(), None);
    }
}
