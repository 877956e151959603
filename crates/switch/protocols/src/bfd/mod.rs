//! Bidirectional forwarding detection (RFC 5880 and 5881), in asynchronous mode without authentication and echoes.
//!
//! Times are milliseconds on the switch's clock: packets have microseconds, and nothing here is set more finely than by the
//! millisecond.

mod settings;
mod show;
mod state;

use base::MacAddr;
use wire::TypedForm;
use wire::bfd::{Header, LEN, PORT, VERSION, flag};

pub use settings::{DEFAULT_DESTINATION, DEFAULT_DESTINATION_MAC, DEFAULT_SOURCE, Settings};
use show::flag_names;
pub use state::{Diagnostic, State};

/// The interval at which a session that is not up sends at most.
const SLOW_TX: i64 = 1000;
/// The shortest time in which decay, and traffic that stands for packets, are judged.
const LEAST_JUDGED: i64 = 2000;
/// How often traffic that stands for packets is looked at.
const LOOK: i64 = 250;
/// With traffic that stands for packets, one packet is still to come in so many intervals.
const DEMANDED: i64 = 100;
/// The TTL of packets that were sent by a neighbour.
const TTL: u8 = 255;
/// Internetwork control.
const TOS: u8 = 0xc0;

/// What this side says of itself.
#[derive(Debug)]
struct Local {
    state: State,
    diagnostic: Diagnostic,
    discriminator: u32,
    /// Poll or final, for the next packet.
    flags: u8,
    min_tx: i64,
    min_rx: i64,
    /// The intervals that a poll announces: `min_tx`, `min_rx`.
    polled: (i64, i64),
}

/// What the neighbour said last.
#[derive(Debug, Default)]
struct Remote {
    state: State,
    diagnostic: Diagnostic,
    discriminator: u32,
    flags: u8,
    multiplier: u8,
    min_tx: i64,
    min_rx: i64,
}

/// When something happened, or is to happen.
#[derive(Debug, Default)]
struct Times {
    last_tx: i64,
    /// Zero: at once.
    next_tx: i64,
    /// Until when the neighbour has to be heard again.
    detect: i64,
    /// When other traffic is looked at next, where it counts.
    next_look: i64,
}

/// Whether the port may be forwarded through.
#[derive(Debug, Default)]
struct Forwarding {
    /// As it was found last.
    last: bool,
    /// As an operator says.
    forced: Option<bool>,
    flaps: u64,
    /// Until when traffic stands for packets.
    traffic_until: i64,
    /// Until when a packet has to come nevertheless.
    demanded_until: i64,
}

/// Less frequent packets while nothing else comes.
#[derive(Debug, Default)]
struct Decay {
    is_active: bool,
    /// Packets of the session since `next` was set.
    seen: u64,
    /// What the port had received then.
    received: u64,
    /// When it is judged.
    next: i64,
}

/// A session with one neighbour.
#[derive(Debug)]
pub struct Session {
    name: String,
    settings: Settings,
    source_port: u16,
    local: Local,
    remote: Remote,
    times: Times,
    forwarding: Forwarding,
    decay: Decay,
    /// What the port had received when traffic was looked at last.
    received: u64,
    /// What operators see has changed.
    has_news: bool,
    random: Random,
}

/// What a session is made of, beside its settings.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Not zero, and not another session's.
    pub discriminator: u32,
    /// At least 49152.
    pub source_port: u16,
}

impl Session {
    /// A session that hears nobody yet, for interface `name`. `received` is the number of packets that the port has
    /// received so far.
    pub fn new(name: &str, settings: Settings, identity: Identity, received: u64, now: i64) -> Session {
        let local = Local {
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            discriminator: identity.discriminator,
            flags: 0,
            min_tx: settings.min_tx,
            min_rx: settings.min_rx,
            polled: (0, 0),
        };
        let mut session = Session {
            name: name.to_owned(),
            settings,
            source_port: identity.source_port,
            local,
            remote: Remote { min_rx: 1, ..Remote::default() },
            times: Times::default(),
            forwarding: Forwarding::default(),
            decay: Decay::default(),
            received,
            has_news: true,
            random: Random(identity.discriminator.into()),
        };
        if session.settings.concatenated_path_down {
            session.set_state(State::Down, Diagnostic::NONE, received, now);
        }
        session.restart_decay(received, now);
        session
    }

    /// Takes over other settings, without interrupting the session.
    pub fn configure(&mut self, settings: Settings, received: u64, now: i64) {
        let old = std::mem::replace(&mut self.settings, settings);
        let (is_up, is_polling) = (self.local.state == State::Up, self.is_polling());
        let (min_tx, min_rx) = (self.settings.min_tx, self.settings.min_rx);
        let mut needs_poll = false;
        if old.min_tx != min_tx {
            if !is_up || !is_polling && min_tx < self.local.min_tx {
                self.local.min_tx = min_tx;
            }
            needs_poll = true;
        }
        if old.min_rx != min_rx {
            if !is_up || !is_polling && min_rx > self.local.min_rx {
                self.local.min_rx = min_rx;
            }
            needs_poll = true;
        }
        if old.decay_min_rx != self.settings.decay_min_rx || old.min_rx != min_rx {
            self.decay.is_active = false;
            self.restart_decay(received, now);
            needs_poll = true;
        }
        if old.concatenated_path_down != self.settings.concatenated_path_down {
            self.set_state(self.local.state, Diagnostic::NONE, received, now);
            needs_poll = true;
        }
        if old.forwarding_if_rx != self.settings.forwarding_if_rx {
            self.forwarding.traffic_until = 0;
        }
        if is_up
            && self.settings.forwarding_if_rx
            && (!old.forwarding_if_rx || old.multiplier != self.settings.multiplier)
        {
            self.trust_traffic(now);
        }
        if needs_poll {
            self.poll();
        }
        self.is_forwarding(now);
    }

    /// The number of the session.
    pub(crate) fn discriminator(&self) -> u32 {
        self.local.discriminator
    }

    /// Has it forward, or not, whatever its state; `None` has it follow its state again.
    pub fn force(&mut self, forwarding: Option<bool>) {
        self.forwarding.forced = forwarding;
        self.has_news = true;
    }

    /// When [`Session::run`] or [`Session::frame`] has something to do next.
    pub fn wakes_at(&self) -> i64 {
        if self.local.flags & flag::FINAL != 0 {
            return 0;
        }
        let mut wake = self.times.next_tx;
        if self.local.state > State::Down {
            wake = wake.min(self.times.detect);
        }
        if self.settings.forwarding_if_rx {
            wake = wake.min(self.times.next_look);
        }
        if self.local.state == State::Up && self.settings.decay_min_rx > 0 {
            wake = wake.min(self.decay.next);
        }
        wake
    }

    /// Whether its frames are to be known as a tunnel's own.
    pub fn is_oam(&self) -> bool {
        self.settings.oam
    }

    /// This side stood still for `late` milliseconds, and can have heard nobody: the neighbour has as long again.
    pub fn stood_still(&mut self, late: i64) {
        self.times.detect = self.times.detect.saturating_add(late);
    }

    /// Does what time asks for; `received` as in [`Session::new`], asked where it is needed.
    pub fn run(&mut self, received: impl Fn() -> u64, now: i64) {
        if self.local.state > State::Down && now >= self.times.detect {
            let received = if self.settings.decay_min_rx > 0 { received() } else { 0 };
            self.set_state(State::Down, Diagnostic::EXPIRED, received, now);
        }
        self.is_forwarding(now);
        if self.settings.forwarding_if_rx {
            self.times.next_look = now + LOOK;
            let received = received();
            if received != self.received {
                self.received = received;
                self.trust_traffic(now);
                self.is_forwarding(now);
            }
        }
        let was_decaying = self.decay.is_active;
        if self.local.state == State::Up && self.settings.decay_min_rx > 0 && now >= self.decay.next {
            let received = received();
            // The port counts the session's own packets too, and not at the same moment.
            self.decay.is_active = received.saturating_sub(self.decay.received) <= 2 * self.decay.seen.max(1);
            self.restart_decay(received, now);
        }
        let rx_is_set = [self.settings.min_rx, self.settings.decay_min_rx].contains(&self.local.min_rx);
        if self.local.min_tx != self.settings.min_tx || !rx_is_set || self.decay.is_active != was_decaying {
            self.poll();
        }
    }

    /// The frame that is to be sent at `now`, if one is, from a port with address `mac`.
    pub fn frame(&mut self, mac: MacAddr, now: i64) -> Option<Vec<u8>> {
        if self.local.flags & flag::FINAL == 0 && now < self.times.next_tx {
            return None;
        }
        if self.times.next_tx != 0 {
            let (delay, interval) = (now - self.times.next_tx, self.tx_interval());
            if delay > interval * 3 / 2 {
                log::info!(
                    target: "bfd",
                    "{}: long delay of {delay}ms (expected {interval}ms) sending BFD control message",
                    self.name
                );
            }
        }
        let (min_tx, min_rx) =
            if self.is_polling() { self.local.polled } else { (self.min_tx(), self.local.min_rx) };
        let packet = Header {
            version: VERSION,
            diagnostic: self.local.diagnostic.0,
            state: self.local.state as u8,
            flags: self.local.flags,
            multiplier: self.settings.multiplier,
            length: LEN as u8,
            my_discriminator: self.local.discriminator,
            your_discriminator: self.remote.discriminator,
            min_tx: micros(min_tx),
            min_rx: micros(min_rx),
            min_echo_rx: 0,
        };
        self.local.flags &= !flag::FINAL;
        self.times.last_tx = now;
        self.schedule();
        Some(self.enclose(&packet, mac))
    }

    fn enclose(&self, packet: &Header, mac: MacAddr) -> Vec<u8> {
        let settings = &self.settings;
        let destination_mac = settings.local_destination_mac.unwrap_or(DEFAULT_DESTINATION_MAC);
        let mut frame =
            wire::ethernet::header(destination_mac, settings.local_source_mac.unwrap_or(mac), 0x0800)
                .to_vec();
        let (source, destination) = (settings.source.into(), settings.destination.into());
        let udp = wire::udp::header(self.source_port, PORT, LEN);
        let payload_len = udp.len() + LEN;
        let ip = wire::ipv4::header(source, destination, wire::protocol::UDP, TOS, TTL, 0, payload_len);
        frame.extend(ip);
        frame.extend(udp);
        packet.append(&mut frame);
        frame
    }

    /// Takes a frame that translation has recognised.
    pub fn receive(&mut self, frame: &[u8], received: impl Fn() -> u64, now: i64) {
        self.decay.seen += 1;
        self.is_forwarding(now);
        self.take(frame, received, now);
        self.is_forwarding(now);
    }

    fn take(&mut self, frame: &[u8], received: impl Fn() -> u64, now: i64) {
        let Some((ttl, payload)) = udp_payload(frame) else { return };
        if ttl != TTL {
            return;
        }
        let Some(packet) = Header::parse(payload) else {
            log::info!(
                target: base::bounded!("bfd", 20),
                "{}: Received too-short BFD control message (only {} bytes long, at least {LEN} required).",
                self.name,
                payload.len()
            );
            return;
        };
        if let Err(why) = self.check(&packet) {
            self.log_packet(log::Level::Warn, why, &packet, now);
            return;
        }
        if usize::from(packet.length) != LEN {
            self.log_packet(log::Level::Warn, "Unexpected length", &packet, now);
        }
        self.note(&packet, now);
        self.follow(&packet, received, now);
        if self.settings.forwarding_if_rx {
            self.forwarding.demanded_until = now + DEMANDED * self.settings.min_rx;
        }
    }

    /// Why a packet is not for this session, or none at all (RFC 5880, section 6.8.6).
    fn check(&self, packet: &Header) -> Result<(), &'static str> {
        let has = |flag| packet.flags & flag != 0;
        if packet.version != VERSION {
            Err("Incorrect version")
        } else if has(flag::AUTHENTICATED) {
            Err("Authenticated control message with authentication disabled")
        } else if usize::from(packet.length) < LEN {
            Err("Unexpected length")
        } else if packet.multiplier == 0 {
            Err("Zero multiplier")
        } else if has(flag::MULTIPOINT) {
            Err("Unsupported multipoint flag")
        } else if packet.my_discriminator == 0 {
            Err("NULL my_disc")
        } else if packet.your_discriminator == 0 {
            let needs_it = State::from_bits(packet.state) > State::Down;
            if needs_it { Err("Null your_disc") } else { Ok(()) }
        } else if packet.your_discriminator != self.local.discriminator {
            Err("Incorrect your_disc")
        } else {
            Ok(())
        }
    }

    /// What the neighbour says of itself, and of polls.
    fn note(&mut self, packet: &Header, now: i64) {
        let state = State::from_bits(packet.state);
        let diagnostic = Diagnostic(packet.diagnostic);
        self.has_news |= self.remote.state != state || self.remote.diagnostic != diagnostic;
        self.remote.discriminator = packet.my_discriminator;
        self.remote.state = state;
        self.remote.flags = packet.flags;
        self.remote.diagnostic = diagnostic;
        if packet.flags & flag::FINAL != 0 && self.is_polling() {
            (self.local.min_tx, self.local.min_rx) = self.local.polled;
            self.local.flags &= !flag::POLL;
            self.log_packet(log::Level::Info, "Poll sequence terminated", packet, now);
        }
        if packet.flags & flag::POLL != 0 {
            // Both in one packet are not allowed; the answer goes first.
            self.local.flags = self.local.flags & !flag::POLL | flag::FINAL;
        }
        if self.remote.multiplier != packet.multiplier {
            log::info!(
                target: base::bounded!("bfd", 20),
                "Interface {} remote mult value {} changed to {}",
                self.name,
                self.remote.multiplier,
                packet.multiplier
            );
            self.remote.multiplier = packet.multiplier;
        }
        let min_rx = i64::from(packet.min_rx / 1000).max(1);
        if self.remote.min_rx != min_rx {
            self.remote.min_rx = min_rx;
            if self.times.next_tx != 0 {
                self.schedule();
            }
            self.log_packet(log::Level::Info, "New remote min_rx", packet, now);
        }
        self.remote.min_tx = i64::from(packet.min_tx / 1000).max(1);
        self.times.detect = now + self.rx_interval() * i64::from(self.remote.multiplier);
    }

    /// The state that follows from the neighbour's.
    fn follow(&mut self, packet: &Header, received: impl Fn() -> u64, now: i64) {
        let diagnostic = self.local.diagnostic;
        let next = match (self.local.state, self.remote.state) {
            (State::AdminDown, _) | (State::Down, State::AdminDown | State::Up) => return,
            (State::Init | State::Up, State::AdminDown) => (State::Down, Diagnostic::NEIGHBOR_DOWN),
            (State::Down, State::Down) => (State::Init, diagnostic),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => (State::Up, diagnostic),
            (State::Init, State::Down) | (State::Up, State::Init | State::Up) => return,
            (State::Up, State::Down) => (State::Down, Diagnostic::NEIGHBOR_DOWN),
        };
        let went_down = self.local.state == State::Up && self.remote.state == State::Down;
        self.set_state(next.0, next.1, received(), now);
        if went_down {
            self.log_packet(log::Level::Info, "Remote signaled STATE_DOWN", packet, now);
        }
    }

    fn set_state(&mut self, state: State, diagnostic: Diagnostic, received: u64, now: i64) {
        let diagnostic = if self.settings.concatenated_path_down {
            Diagnostic::CONCATENATED_PATH_DOWN
        } else {
            diagnostic
        };
        if (self.local.state, self.local.diagnostic) == (state, diagnostic) {
            return;
        }
        let shown = |state: State, diagnostic: Diagnostic| {
            format!("(bfd.SessionState: {}, bfd.LocalDiag: \"{}\")", state.name(), diagnostic.text())
        };
        let (old, new) = (shown(self.local.state, self.local.diagnostic), shown(state, diagnostic));
        let details = self.details(now);
        log::info!(
            target: base::bounded!("bfd", 20),
            "{}: BFD state change: {old} -> {new}\n{details}",
            self.name
        );
        self.local.state = state;
        self.local.diagnostic = diagnostic;
        self.has_news = true;
        if state <= State::Down {
            self.remote = Remote { multiplier: self.remote.multiplier, min_rx: 1, ..Remote::default() };
            if self.decay.is_active {
                self.local.min_rx = self.settings.min_rx;
                self.decay.is_active = false;
            }
        }
        if state == State::Up && self.settings.decay_min_rx > 0 {
            self.restart_decay(received, now);
        }
    }

    /// Announces other intervals, if somebody listens.
    fn poll(&mut self) {
        if self.local.state > State::Down && self.local.flags & (flag::POLL | flag::FINAL) == 0 {
            let min_rx = if self.decay.is_active { self.settings.decay_min_rx } else { self.settings.min_rx };
            self.local.polled = (self.settings.min_tx, min_rx);
            self.local.flags |= flag::POLL;
            self.times.next_tx = 0;
            log::info!(target: base::bounded!("bfd", 20), "{}: Initiating poll sequence", self.name);
        }
    }

    fn is_polling(&self) -> bool {
        self.local.flags & flag::POLL != 0
    }

    /// The interval that is announced: a session that is not up costs next to nothing.
    fn min_tx(&self) -> i64 {
        if self.local.state == State::Up { self.local.min_tx } else { self.local.min_tx.max(SLOW_TX) }
    }

    fn tx_interval(&self) -> i64 {
        self.min_tx().max(self.remote.min_rx)
    }

    fn rx_interval(&self) -> i64 {
        self.local.min_rx.max(self.remote.min_tx)
    }

    /// Sets when the next packet is sent: somewhat before the interval is over, so that sessions do not fall into step. Where
    /// one missing packet ends the session, at least a tenth before.
    fn schedule(&mut self) {
        let interval = self.tx_interval();
        let percent =
            if self.settings.multiplier == 1 { 10 + self.random.below(16) } else { self.random.below(26) };
        self.times.next_tx = self.times.last_tx + interval - interval * percent / 100;
    }

    /// Whether the port may be forwarded through; a change is counted.
    pub fn is_forwarding(&mut self, now: i64) -> bool {
        if let Some(forced) = self.forwarding.forced {
            return forced;
        }
        let by_traffic = self.settings.forwarding_if_rx
            && self.forwarding.traffic_until > now
            && self.forwarding.demanded_until > now;
        let is = (self.local.state == State::Up || by_traffic) && !self.remote.diagnostic.is_of_path();
        if is != self.forwarding.last {
            self.forwarding.last = is;
            self.forwarding.flaps += 1;
            self.has_news = true;
        }
        is
    }

    /// The same, as it was found last.
    pub(crate) fn forwards(&self) -> bool {
        self.forwarding.forced.unwrap_or(self.forwarding.last)
    }

    fn trust_traffic(&mut self, now: i64) {
        let time = self.rx_interval() * i64::from(self.settings.multiplier);
        self.forwarding.traffic_until = now + time.max(LEAST_JUDGED);
    }

    fn restart_decay(&mut self, received: u64, now: i64) {
        let next = now + self.settings.decay_min_rx.max(LEAST_JUDGED);
        self.decay = Decay { is_active: self.decay.is_active, seen: 0, received, next };
    }

    /// Whether what operators see has changed since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    fn log_packet(&mut self, level: log::Level, what: &str, packet: &Header, now: i64) {
        let micros = |value: u32| format!("{value}us ({}ms)", value / 1000);
        let text = format!(
            "{}: {what}.\n  vers:{} diag:\"{}\" state:{} mult:{} length:{}\n  flags: {}\n  \
             my_disc:{:#x} your_disc:{:#x}\n  min_tx:{}\n  min_rx:{}\n  min_rx_echo:{}",
            self.name,
            packet.version,
            Diagnostic(packet.diagnostic).text(),
            State::from_bits(packet.state).name(),
            packet.multiplier,
            packet.length,
            flag_names(packet.flags),
            packet.my_discriminator,
            packet.your_discriminator,
            micros(packet.min_tx),
            micros(packet.min_rx),
            micros(packet.min_echo_rx),
        );
        let details = self.details(now);
        log::log!(target: base::bounded!("bfd", 20), level, "{text}{details}");
    }
}

fn micros(ms: i64) -> u32 {
    u32::try_from(ms.saturating_mul(1000)).unwrap_or(u32::MAX)
}

/// The TTL and payload of a UDP datagram in an Ethernet frame, whatever tags it has.
fn udp_payload(frame: &[u8]) -> Option<(u8, &[u8])> {
    let (at, ether_type) = wire::ethernet::type_behind_tags(frame)?;
    if ether_type != 0x0800 {
        return None;
    }
    let ip = wire::ipv4::Ipv4::parse(frame.get(at + 2..)?)?;
    if ip.protocol() != wire::protocol::UDP || ip.is_later_fragment() {
        return None;
    }
    Some((ip.ttl(), wire::udp::Udp::parse(ip.payload())?.payload()))
}

/// Numbers that need not surprise anybody: the session's jitter.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// From zero up to, not including, `bound`.
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap_or(0) % bound
    }
}

#[cfg(test)]
mod tests;
